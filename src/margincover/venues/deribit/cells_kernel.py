"""Compiled sum of option profits by cell of a risk matrix, with the deltas of the options.

The plain twins are ``matrix.option_vectors`` and ``book.OptionLegs.delta_coin``. Releases the interpreter lock.
"""

from __future__ import annotations

import math

from numba import njit

from margincover.numeric.arrays import IndexVector, Vector
from margincover.venues.deribit.book import Array

_ROOT_HALF = math.sqrt(0.5)
# As in ``pricing.black76``: below this total deviation the formula gives the intrinsic value to rounding.
_SMALLEST_DEVIATION = 1e-12


@njit(nogil=True, cache=True, error_model="numpy")
def add_options(
    terms: Array,
    expiry_row: IndexVector,
    forward: Array,
    volatility: Array,
    up_floor: float,
    in_coin: bool,
    growth: Vector,
    log_growth: Vector,
    which: IndexVector,
    middle: int,
    totals: Array,
    expiry_delta: Array,
    side_delta: Array,
) -> None:
    """Add the profits of options to ``totals`` [path, cell] and their deltas in coin to the other two tables.

    Parameters
    ----------
    terms : array [option, term]
        Signed coins; 1 for a call and -1 for a put; strike; root of the years; factors of the volatility up and down.
    expiry_row : IndexVector [option]
        Row of ``expiry_delta`` [expiry, path].
    forward, volatility : array [option, path]
    up_floor : float
        Least volatility after the shock up.
    in_coin : bool
        Whether a profit is in coin at the moved forward, or in USD.
    growth, log_growth : Vector [cell]
        1 + move.
    which : IndexVector [cell]
        Volatility of the cell: 0 up, 1 unchanged, 2 down.
    middle : int
        The cell without a shock.
    side_delta : array [2, path]
        Deltas of long options, then of short ones.

    Notes
    -----
    Per coin at the moved forward F': ``u = s (N(s d1) - (K / F') N(s d2))``; the value is u in coin, ``u F'`` in USD.
    """
    n_cells = growth.size
    values = growth.copy()
    deviations = growth[:3].copy()
    for option in range(terms.shape[0]):
        quantity, side, strike, root = terms[option, 0], terms[option, 1], terms[option, 2], terms[option, 3]
        if quantity == 0.0:
            continue
        group = 0 if quantity > 0.0 else 1
        for path in range(forward.shape[1]):
            own = volatility[option, path]
            deviations[0] = max(max(own * terms[option, 4], up_floor) * root, _SMALLEST_DEVIATION)
            deviations[1] = max(own * root, _SMALLEST_DEVIATION)
            deviations[2] = max(max(own * terms[option, 5], 0.0) * root, _SMALLEST_DEVIATION)
            ratio = forward[option, path] / strike
            level = math.log(ratio)
            delta = 0.0
            for cell in range(n_cells):
                deviation = deviations[which[cell]]
                d1 = (level + log_growth[cell]) / deviation + 0.5 * deviation
                first = 0.5 * math.erfc(-side * d1 * _ROOT_HALF)
                second = 0.5 * math.erfc(-side * (d1 - deviation) * _ROOT_HALF)
                value = max(side * (first - second / (ratio * growth[cell])), 0.0)
                values[cell] = value if in_coin else value * forward[option, path] * growth[cell]
                if cell == middle:
                    delta = quantity * side * first
            for cell in range(n_cells):
                totals[path, cell] += quantity * (values[cell] - values[middle])
            expiry_delta[expiry_row[option], path] += delta
            side_delta[group, path] += delta
