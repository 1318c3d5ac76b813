"""Compiled values of options in cells of moved forwards and volatilities, and the normal distribution they need.

The plain twin is ``option_cells.cell_profits_reference``. Loops run over states inside, without a branch, so that the
compiler uses vectors; every state is computed on its own, whatever stands beside it. Releases the interpreter lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float64]

# As in ``pricing.black76``: below this total deviation the formula gives the intrinsic value to rounding.
_SMALLEST_DEVIATION = 1e-12
# N(-37) = 6e-300 is the last normal number; nothing beyond it reaches a price.
_LARGEST = 37.0
# Adding 1.5 * 2^52 rounds to a whole number; see ``paths.exponential`` for the same steps.
_ROUND = 6755399441055744.0
_INVERSE_LN2 = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
# (1 + a) N(-a) exp(a^2 / 2) as a polynomial in t = (a - 4.5) / (a + 4.5), |t| <= 1: the Chebyshev expansion of degree
# 23, computed with 60 digits; its remainder is below 2e-17.
_CENTRE = 4.5
_C00, _C01, _C02, _C03 = 0.46641865659290194, -0.09445675888818685, 0.02384296476911725, 0.018922656662711215
_C04, _C05, _C06, _C07 = -0.030376890965734007, 0.022616310447329088, -0.01059108533733803, 0.0027112460987931803
_C08, _C09, _C10, _C11 = 0.00011925569366612544, -0.0003530017691548341, 7.09521227795714e-05, 3.3835016900661945e-05
_C12, _C13, _C14, _C15 = -1.4896126888530407e-05, -3.5858521624946496e-06, 2.5509103351834914e-06, 5.261852829657511e-07
_C16, _C17, _C18, _C19 = -4.278383980924101e-07, -1.0798184253843731e-07, 6.895720224685503e-08, 2.4286503977672236e-08
_C20, _C21, _C22, _C23 = -9.328009813128234e-09, -4.453291002793951e-09, 7.510825272502022e-10, 4.4783296877272375e-10


@intrinsic
def _power_of_two(typing_context: object, exponent: object) -> tuple[object, Callable[..., object]]:
    """Return 2^n of a whole number n >= -1022, given as n plus 1.5 * 2^52, from its bits."""

    # The compiler's own objects have no types that could be named here.
    def generate(context: Any, builder: Any, signature: object, arguments: Sequence[object]) -> object:
        whole, number = context.get_value_type(types.int64), context.get_value_type(types.float64)
        biased = builder.add(builder.bitcast(arguments[0], whole), context.get_constant(types.int64, 1023))
        return builder.bitcast(builder.shl(biased, context.get_constant(types.int64, 52)), number)

    return types.float64(types.float64), generate


# The compiler gives an intrinsic its first argument itself: kernels call it with the other one.
_two_to = cast("Callable[[float], float]", _power_of_two)


@njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _normal(x: float) -> float:
    """Return the standard normal distribution function."""
    a = min(abs(x), _LARGEST)
    t = (a - _CENTRE) / (a + _CENTRE)
    u = t * t
    w = u * u
    even = (_C00 + _C02 * u) + w * (
        (_C04 + _C06 * u)
        + w * ((_C08 + _C10 * u) + w * ((_C12 + _C14 * u) + w * (_C16 + _C18 * u + w * (_C20 + _C22 * u))))
    )
    odd = (_C01 + _C03 * u) + w * (
        (_C05 + _C07 * u)
        + w * ((_C09 + _C11 * u) + w * ((_C13 + _C15 * u) + w * (_C17 + _C19 * u + w * (_C21 + _C23 * u))))
    )
    y = -0.5 * a * a
    sum_ = y * _INVERSE_LN2 + _ROUND
    n = sum_ - _ROUND
    y = (y - n * _LN2_HIGH) - n * _LN2_LOW
    y2 = y * y
    y4 = y2 * y2
    low = (1.0 + y) + y2 * (1.0 / 2 + y * (1.0 / 6))
    middle = (1.0 / 24 + y * (1.0 / 120)) + y2 * (1.0 / 720 + y * (1.0 / 5040))
    high = (1.0 / 40320 + y * (1.0 / 362880)) + y2 * (1.0 / 3628800 + y * (1.0 / 39916800))
    decay = (low + y4 * (middle + y4 * (high + y4 * (1.0 / 479001600)))) * _two_to(sum_)
    tail = decay * (even + t * odd) / (1.0 + a)
    return 1.0 - tail if x > 0.0 else tail


@njit(nogil=True, cache=True, error_model="numpy")
def normal_values(x: Array) -> Array:
    """Return the standard normal distribution function of numbers, [state]: the kernel's own, for its test."""
    out = np.empty_like(x)
    for k in range(x.size):
        out[k] = _normal(x[k])
    return out


@njit(nogil=True, cache=True, error_model="numpy")
def add_profits(
    weight: Array,
    side: Array,
    strike: Array,
    forward: Array,
    deviation: Array,
    residual: Array,
    base: Array,
    growth: Array,
    kind: NDArray[np.int64],
    group: NDArray[np.int64],
    totals: Array,
) -> None:
    """Add ``weight * (max(value + residual, 0) - base)`` of each option to ``totals`` [group, cell, state].

    Parameters
    ----------
    weight, forward, base : array [option, state]
        Forward > 0.
    side, strike, residual : array [option]
        Side is 1 for a call and -1 for a put; strike > 0.
    deviation : array [volatility, option, state]
        Volatility times the root of the years, >= 0.
    growth : array [cell]
        What the cell multiplies the forward by, > 0.
    kind : array of int [cell]
        Which volatility the cell has.
    group : array of int [option]
    """
    n_states = forward.shape[1]
    level = np.empty(n_states)
    for k in range(strike.size):
        own, moved, minus = weight[k], forward[k], base[k]
        if not own.any():
            # Expired: no state holds any of it.
            continue
        s, strike_, residual_ = side[k], strike[k], residual[k]
        for p in range(n_states):
            level[p] = math.log(moved[p] / strike_)
        for cell in range(growth.size):
            g, log_g = growth[cell], math.log(growth[cell])
            spread, row = deviation[kind[cell], k], totals[group[k], cell]
            for p in range(n_states):
                sigma = max(spread[p], _SMALLEST_DEVIATION)
                d1 = (level[p] + log_g) / sigma + 0.5 * sigma
                first = _normal(s * d1)
                second = _normal(s * (d1 - sigma))
                value = s * (moved[p] * g * first - strike_ * second)
                value = max(max(value, 0.0) + residual_, 0.0)
                row[p] += own[p] * (value - minus[p])
