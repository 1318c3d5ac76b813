"""Exponentials of rows of logs, compiled: the step from log prices to ratios.

NumPy has a vector form of exp on some processors alone; elsewhere it takes as long as all the rest of a price. This one
is branch-free, the same on every processor, and within 2 units in the last place of the exact value.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Adding 1.5 * 2^52 rounds to a whole number and leaves that number in the low bits of the sum.
_ROUND = 6755399441055744.0
_INVERSE_LN2 = 1.4426950408889634
# ln 2 in two parts: a whole number below 2^11 times the first is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# exp stays finite and normal; a log ratio beyond 700 is no price.
_LIMIT = 700.0


@njit(nogil=True, cache=True, error_model="numpy")
def fill_exponentials(
    logs: NDArray[np.float64],
    factors: NDArray[np.int64],
    out: NDArray[np.float64],
    bits: NDArray[np.int64],
    work: NDArray[np.float64],
    work_bits: NDArray[np.int64],
) -> bool:
    """Fill ``out`` [step, factor, path] with exp of ``logs`` for some factors; return False if a log was not finite.

    Parameters
    ----------
    logs : array [step, factor, path]
        Cut to [-700, 700].
    factors : array
        Factors to fill.
    out : array [step, factor, path]
    bits : array [step, factor, path]
        The same memory as ``out``, as integers.
    work : array [2, path]
        Work space, its second row zeros; ``work_bits`` is the same memory as integers.

    Notes
    -----
    x = n ln 2 + y with |y| <= ln 2 / 2; exp y by its Taylor polynomial of degree 12, whose remainder is below 2e-16;
    n is added to the exponent bits.
    """
    n_paths = logs.shape[2]
    rounded, broken = work[0], work[1]
    for t in range(logs.shape[0]):
        for k in range(factors.size):
            source = logs[t, factors[k]]
            row = out[t, factors[k]]
            for p in range(n_paths):
                broken[p] += source[p] - source[p]
                x = min(max(source[p], -_LIMIT), _LIMIT)
                sum_ = x * _INVERSE_LN2 + _ROUND
                n = sum_ - _ROUND
                y = (x - n * _LN2_HIGH) - n * _LN2_LOW
                y2 = y * y
                y4 = y2 * y2
                low = (1.0 + y) + y2 * (1.0 / 2 + y * (1.0 / 6))
                middle = (1.0 / 24 + y * (1.0 / 120)) + y2 * (1.0 / 720 + y * (1.0 / 5040))
                high = (1.0 / 40320 + y * (1.0 / 362880)) + y2 * (1.0 / 3628800 + y * (1.0 / 39916800))
                row[p] = low + y4 * (middle + y4 * (high + y4 * (1.0 / 479001600)))
                rounded[p] = sum_
            for p in range(n_paths):
                bits[t, factors[k], p] += work_bits[0, p] << 52
    finite = True
    for p in range(n_paths):
        finite = finite and broken[p] == 0.0
    return finite
