"""Look for arbitrage in the smiles that a law of implied volatility makes where paths go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.spot_volatility import SpotVolatility
from margincover.pricing.surface_checks import sampled_violations

Array = NDArray[np.float64]
DAYS_PER_YEAR = 365.0
_POINTS = 161


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedCheck:
    """How many smiles were looked at, and how many of them held arbitrage."""

    smiles: int = 0
    butterflies: int = 0
    calendars: int = 0

    def __add__(self, other: MovedCheck) -> MovedCheck:
        """Return both together."""
        return MovedCheck(
            smiles=self.smiles + other.smiles,
            butterflies=self.butterflies + other.butterflies,
            calendars=self.calendars + other.calendars,
        )


def moved_check(
    pool: MarginPool, law: SpotVolatility, *, factor: int, states: Sequence[tuple[float, float]]
) -> MovedCheck:
    """Return the arbitrage of one coin's moved smiles.

    Parameters
    ----------
    pool : MarginPool
    law : SpotVolatility
        At each of its residual levels.
    factor : int
        Of the pool's factors.
    states : sequence of (log move, days since the start)

    Notes
    -----
    The smile of an expiry at the start is the law's typical one through the pool's own volatilities. It is looked at
    where the law knows a smile: strikes within ``largest_moneyness`` before the move and after it.
    """
    table = pool.options
    mine = np.flatnonzero((table.factor_index == factor) & (table.quantity != 0.0))
    expiries = np.unique(table.years[mine])
    money = [_at_the_money(pool, law, mine[table.years[mine] == years]) for years in expiries]
    total = MovedCheck()
    for x, days in states:
        for at_level in law.levels:
            total = total + _state(at_level, expiries, money, x, days)
    return total


def _at_the_money(pool: MarginPool, law: SpotVolatility, rows: NDArray[np.int64]) -> float:
    table = pool.options
    deviation = table.volatility[rows] * np.sqrt(table.years[rows])
    z = np.log(table.strike[rows] / table.forward[rows]) / np.maximum(deviation, 1e-9)
    return float(np.mean(table.volatility[rows] * np.exp(-law.smile(z))))


def _state(law: SpotVolatility, expiries: Array, money: Sequence[float], x: float, days: float) -> MovedCheck:
    """Return the arbitrage of all expiries of a coin in one state."""
    smiles = []
    for years, level in zip(expiries, money, strict=True):
        left = years - days / DAYS_PER_YEAR
        if left <= 0.0:
            continue
        # By its moneyness a strike's volatility is known without solving for it.
        z = np.linspace(-law.largest_moneyness, law.largest_moneyness, _POINTS)
        root = np.sqrt(max(left, law.shortest_days / DAYS_PER_YEAR))
        volatility = level * np.exp(law.smile(z))
        strike_log = z * volatility * root
        multiple = law.option_multiple(
            np.full((_POINTS, 1), np.exp(x)),
            moneyness_log=strike_log,
            volatility=volatility,
            years=np.full(_POINTS, left),
            elapsed_days=days,
        )[:, 0]
        known = np.abs(z - x / (volatility * root)) <= law.largest_moneyness
        if known.sum() >= 9:
            smiles.append((strike_log[known] - x, (volatility[known] * multiple[known]) ** 2 * left))
    butterflies = sum(sampled_violations(k, [w])[0] for k, w in smiles)
    calendars = 0
    for (k_before, before), (k_after, after) in pairwise(smiles):
        k = np.linspace(max(k_before[0], k_after[0]), min(k_before[-1], k_after[-1]), 41)
        if k[-1] > k[0]:
            falls = np.interp(k, k_after, after) < np.interp(k, k_before, before) * (1.0 - 1e-6)
            calendars += bool(falls.any())
    return MovedCheck(smiles=len(smiles), butterflies=butterflies, calendars=calendars)
