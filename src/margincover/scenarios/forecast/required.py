"""From extremes of the log price to required coverage of a unit linear position, and what a forecast gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

# Maintenance of the judged position: 0.5 % of current notional.
MAINTENANCE_FRACTION = 0.005


class Side(IntEnum):
    """Side of the position; the value is its place on the axis ``side``."""

    LONG = 0
    SHORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """Accepted probabilities, each in (0, 0.5), from large to small, all different."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        legal = all(0.0 < value < 0.5 for value in self.values)
        if not self.values or not legal or list(self.values) != sorted(set(self.values), reverse=True):
            raise InputError(
                f"was {self.values}", field="tolerances", allowed="different numbers between 0 and 0.5, falling"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Required coverage as fractions of notional.

    Parameters
    ----------
    rc, rces : array [window, side, tolerance]
        Quantile and Expected Shortfall of the path maximum of (maintenance - equity change), >= maintenance.
    method : tuple of str [window]
        The model that answered: its own name, or that of the fallback.
    """

    rc: NDArray[np.float64]
    rces: NDArray[np.float64]
    method: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.rc.shape != self.rces.shape or self.rc.ndim != 3 or len(self.method) != self.rc.shape[0]:
            raise InputError(f"shapes {self.rc.shape} and {self.rces.shape}", field="forecast", allowed="equal")
        if not (np.isfinite(self.rc).all() and np.isfinite(self.rces).all()):
            raise InputError("held a NaN or an infinity", field="forecast", allowed="finite fractions")


def shortfall_maximum(extreme_log: NDArray[np.float64], side: Side) -> NDArray[np.float64]:
    """Return M from the distance >= 0 in logs to the worst price of the path.

    Parameters
    ----------
    extreme_log : array
        Long: log price at the start minus the lowest; short: the highest minus that at the start; both >= 0.

    Notes
    -----
    Long: 1 - (1 - m) exp(-x); short: (1 + m) exp(x) - 1. At x = 0 both are m.
    """
    if side == Side.LONG:
        return np.asarray(1.0 - (1.0 - MAINTENANCE_FRACTION) * np.exp(-extreme_log), dtype=np.float64)
    return np.asarray((1.0 + MAINTENANCE_FRACTION) * np.exp(extreme_log) - 1.0, dtype=np.float64)


def extreme_distance(maximum: NDArray[np.float64], side: Side) -> NDArray[np.float64]:
    """Return the distance in logs that gives M; the inverse of ``shortfall_maximum``."""
    if side == Side.LONG:
        return np.asarray(-np.log((1.0 - maximum) / (1.0 - MAINTENANCE_FRACTION)), dtype=np.float64)
    return np.asarray(np.log((1.0 + maximum) / (1.0 + MAINTENANCE_FRACTION)), dtype=np.float64)


def tail_figures(maxima: Vector, tolerances: Tolerances) -> tuple[Vector, Vector]:
    """Return quantile and Expected Shortfall [tolerance] of a sample, conventions of ``numeric.quantile``."""
    count = maxima.size
    deepest = min(count, int(np.ceil(tolerances.values[0] * count)) + 2)
    worst = np.sort(np.partition(maxima, count - deepest)[count - deepest :])[::-1]
    running = np.concatenate(([0.0], np.cumsum(worst)))
    rc, rces = np.empty(len(tolerances.values)), np.empty(len(tolerances.values))
    for k, tail in enumerate(tolerances.values):
        # the guard keeps 0.05 of 100 values at five although 0.05 * 100 is not exact in binary
        above = int(np.floor(tail * count + 1e-9))
        rc[k] = worst[above]
        rces[k] = (running[above] + (tail * count - above) * worst[above]) / (tail * count)
    return rc, rces
