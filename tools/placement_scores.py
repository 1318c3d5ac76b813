"""Scores of `placement_trial.py`: correction by past exceedances, realised rates with intervals, capital ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from placement_methods import TOLERANCE, Sized

from margincover.numeric.rng import stream
from margincover.scenarios.forecast.pooled_correction import ECHO, ECHO_HALF_LIFE_DAYS, STEP

BLOCK_DAYS = 21
N_BOOTSTRAP = 2_000
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One desk at one plan."""

    day: int
    kind: str
    sized: dict[str, Sized]


def correction(days: NDArray[np.int64], ratio: Array, *, horizon_days: int) -> Array:
    """Return the factor [window] on capital from exceedances of windows that had ended by then.

    ``ratio`` [window] is the critical capital over the planned, ``days`` the day of each plan, rising. The constants
    are those of the calibrated forecast of single coins: an exceedance raises the log of capital by 0.01 for good and
    by 0.1 for a while (halved every two days), every window without one lowers it by a hundredth of that.
    """
    factor = np.ones(ratio.size)
    shift, echo, waiting = 0.0, 0.0, 0
    for row, day in enumerate(days):
        while waiting < row and days[waiting] + horizon_days <= day:
            surprise = float(ratio[waiting] > factor[waiting]) - TOLERANCE
            gap = float(days[waiting] - days[max(waiting - 1, 0)])
            shift += STEP / (1.0 - TOLERANCE) * surprise
            echo = 0.5 ** (gap / ECHO_HALF_LIFE_DAYS) * echo + ECHO * surprise
            waiting += 1
        factor[row] = np.exp(shift + echo)
    return factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A method on the desks of one kind: planned capital, its correction, critical capital, cost and day [window]."""

    days: NDArray[np.int64]
    capital: Array
    critical: Array
    cost: Array
    alone: Array
    factor: Array

    @classmethod
    def of(cls, rows: Sequence[Row], method: str, reference: str, *, horizon_days: int) -> Series:
        """Return the series of the rows, of one kind, that have the method."""
        having = sorted((row for row in rows if method in row.sized), key=lambda row: row.day)
        found = [row.sized[method] for row in having]
        days = np.array([row.day for row in having], dtype=np.int64)
        capital = np.array([each.capital for each in found])
        critical = np.array([each.critical for each in found])
        return cls(
            days=days,
            capital=capital,
            critical=critical,
            cost=np.array([each.cost for each in found]),
            alone=np.array([row.sized[reference].capital for row in having]),
            factor=correction(days, critical / capital, horizon_days=horizon_days),
        )


def score(parts: Sequence[Series], *, seed: int) -> dict[str, float]:
    """Return the scores of a method over the series of one or more kinds, desks pooled.

    Ratios are means over desks of capital over that of each venue alone, as stated; ``_of_sums`` those of mean capital.
    ``exact`` is capital after one factor that makes the realised rate 1 %.
    """
    days = np.concatenate([part.days for part in parts])
    used = np.concatenate([part.capital * part.factor for part in parts])
    critical = np.concatenate([part.critical for part in parts])
    cost = np.concatenate([part.cost for part in parts])
    alone = np.concatenate([part.alone for part in parts])
    planned = np.concatenate([part.capital for part in parts])
    exceeded = critical > used
    low, high = _interval(days, exceeded, seed)
    scale = float(np.quantile(critical / planned, 1.0 - TOLERANCE))
    return {
        "windows": float(days.size),
        "planned": float(((planned + cost) / alone).mean()),
        "planned_rate": float((critical > planned).mean()),
        "used": float(((used + cost) / alone).mean()),
        "used_of_sums": float((used + cost).sum() / alone.sum()),
        "rate": float(exceeded.mean()),
        "rate_low": low,
        "rate_high": high,
        "exact": float(((planned * scale + cost) / alone).mean()),
        "exact_of_sums": float((planned * scale + cost).sum() / alone.sum()),
    }


def _interval(days: NDArray[np.int64], exceeded: NDArray[np.bool_], seed: int) -> tuple[float, float]:
    """95 % interval of the rate, from blocks of 21 days drawn with all desks of their days."""
    block = (days - days.min()) // BLOCK_DAYS
    n = int(block.max()) + 1
    count, total = np.bincount(block, minlength=n), np.bincount(block, weights=exceeded, minlength=n)
    chosen = stream(seed, "placement.bootstrap").integers(n, size=(N_BOOTSTRAP, n))
    rates = total[chosen].sum(axis=1) / count[chosen].sum(axis=1)
    low, high = np.quantile(rates, (0.025, 0.975))
    return float(low), float(high)
