"""The grid of a what-if: ranges of spot, volatility and days from the command line, and pools revalued over them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, UsageError
from margincover.model.pool import MarginPool
from margincover.model.whatif import CellState, PoolGrid, WhatIfGrid
from margincover.venues import margin
from margincover.venues.assets import is_pegged

Range = tuple[float, float]

DEFAULT_SPOT: Range = (-0.3, 0.3)
# Implied volatility rises further than it falls: the default range is not symmetric.
DEFAULT_VOLATILITY: Range = (-0.3, 0.6)
MAX_DAYS = 12

_SPOT_POINTS = 13
_VOLATILITY_POINTS = 7
_LIMITS = {"spot": (-0.99, 10.0), "vol": (-0.95, 5.0)}
_ALLOWED_GRID = (
    "spot=LOW:HIGH and/or vol=LOW:HIGH in per cent with LOW < HIGH, spot -99 to 1000, vol -95 to 500, "
    "for example spot=-30:30,vol=-30:60"
)
_ALLOWED_DAYS = f"at most {MAX_DAYS} different numbers from 0 to 365, for example 0,3,7"
_RANGE = re.compile(r"(spot|vol)=([+-]?\d+(?:\.\d+)?):([+-]?\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GridAxes:
    """Ranges of a grid as fractions (-0.3 is 30 % lower) and days from ``as_of``; None takes the default.

    Defaults: spot -30 to 30 %; volatility -30 to 60 % when the book holds options, else unchanged; today only.

    Raises
    ------
    UsageError
        If a range does not rise or leaves its limits, or the days are too many, equal or out of range.
    """

    spot: Range | None = None
    volatility: Range | None = None
    days: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, value in (("spot", self.spot), ("vol", self.volatility)):
            lowest, highest = _LIMITS[name]
            if value is not None and not lowest <= value[0] < value[1] <= highest:
                found = f"{name}={value[0] * 100:g}:{value[1] * 100:g}"
                raise UsageError(f"was {found}", field="--grid", allowed=_ALLOWED_GRID)
        if self.days is not None:
            inside = all(math.isfinite(day) and 0.0 <= day <= 365.0 for day in self.days)
            if not inside or not 1 <= len(self.days) <= MAX_DAYS or len(set(self.days)) != len(self.days):
                found = ",".join(f"{day:g}" for day in self.days)
                raise UsageError(f"was '{found}'", field="--days", allowed=_ALLOWED_DAYS)

    @property
    def is_stated(self) -> bool:
        """Whether anything differs from the defaults."""
        return self != GridAxes()


def parse_axes(grid: str | None, days: str | None) -> GridAxes:
    """Return the axes in ``"spot=-30:30,vol=-30:60"`` and ``"0,3,7"``; None leaves the defaults.

    Raises
    ------
    UsageError
        If a text does not read so, names a range twice, or a number is not allowed.

    Examples
    --------
    >>> parse_axes("vol=-20:50", "0,7").volatility
    (-0.2, 0.5)
    """
    ranges: dict[str, Range] = {}
    for part in [] if grid is None else grid.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None or match[1] in ranges:
            raise UsageError(f"was '{grid}'", field="--grid", allowed=_ALLOWED_GRID)
        ranges[match[1]] = (float(match[2]) / 100.0, float(match[3]) / 100.0)
    return GridAxes(spot=ranges.get("spot"), volatility=ranges.get("vol"), days=_days(days))


def _days(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(sorted(float(part) for part in text.split(",")))
    except ValueError:
        raise UsageError(f"was '{text}'", field="--days", allowed=_ALLOWED_DAYS) from None


def points(low: float, high: float, count: int) -> NDArray[np.float64]:
    """Return ``count`` rising points from low to high; where 0 lies between, the nearest inner point is moved to it.

    Examples
    --------
    >>> points(-0.1, 0.2, 4).round(3).tolist()
    [-0.1, 0.0, 0.1, 0.2]
    """
    values = np.linspace(low, high, count)
    if low < 0.0 < high:
        # The market as it is belongs on the grid, so that each table can be held against the status.
        inner = 1 + int(np.argmin(np.abs(values[1:-1])))
        values[inner] = 0.0
    return values


def evaluate_grid(pools: Sequence[MarginPool], axes: GridAxes, *, has_options: bool) -> WhatIfGrid:
    """Return equity, maintenance, coverage ratio and state of every pool over the grid.

    Parameters
    ----------
    pools : sequence of MarginPool
    axes : GridAxes
    has_options : bool
        Whether volatility is shown by default: whether any pool of the comparison holds options.

    Raises
    ------
    InputError
        If a pool has no finite value in a state.
    """
    spot = points(*(axes.spot or DEFAULT_SPOT), _SPOT_POINTS)
    volatility = axes.volatility or (DEFAULT_VOLATILITY if has_options else None)
    levels = np.zeros(1) if volatility is None else points(*volatility, _VOLATILITY_POINTS)
    days = axes.days or (0.0,)
    return WhatIfGrid(
        spot_fractions=tuple(float(x) for x in spot),
        volatility_fractions=tuple(float(x) for x in levels),
        days=days,
        pools=tuple(_pool_grid(pool, spot, levels, days) for pool in pools),
    )


def _pool_grid(
    pool: MarginPool, spot: NDArray[np.float64], levels: NDArray[np.float64], days: tuple[float, ...]
) -> PoolGrid:
    has_options = pool.options.count > 0
    shape = (len(days), len(levels), len(spot))
    # A pool without options is computed once and repeated: only spot moves it.
    used_levels, used_days = (levels, days) if has_options else (np.zeros(1), days[:1])
    ratio = np.tile(1.0 + spot, len(used_levels))
    volatility = np.repeat(1.0 + used_levels, len(spot))
    factors = np.repeat(ratio[None, :], len(pool.factors), axis=0)
    found = [
        margin.evaluate_pool(pool, factors, volatility_ratio=volatility, elapsed_days=day)[:2] for day in used_days
    ]
    used = (len(used_days), len(used_levels), len(spot))
    equity, maintenance = (np.stack([pair[part] for pair in found]).reshape(used) for part in (0, 1))
    if not (np.isfinite(equity).all() and np.isfinite(maintenance).all()):
        raise InputError(
            "has no finite value on the grid", account=pool.account_id, field="--grid", allowed="a narrower grid"
        )
    # Coins move together, so a pool in coin is worth the coin's moved price.
    unit_usd = pool.unit_usd * (1.0 if is_pegged(pool.unit) else 1.0 + spot)
    with np.errstate(divide="ignore", invalid="ignore"):
        coverage = np.where(maintenance > 0.0, equity / maintenance, np.inf)
    return PoolGrid(
        pool_id=pool.id,
        unit=pool.unit,
        has_options=has_options,
        coverage_ratio=np.broadcast_to(coverage, shape),
        equity_usd=np.broadcast_to(equity * unit_usd, shape),
        maintenance_usd=np.broadcast_to(maintenance * unit_usd, shape),
        state=np.broadcast_to(_states(pool, equity, maintenance), shape),
    )


def _states(pool: MarginPool, equity: NDArray[np.float64], maintenance: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the state by the tests of ``status``: at maintenance is liquidated, at the call level is called."""
    # Where nothing is required (no position, or all options have expired) only a debt is liquidated.
    empty = (equity < 0.0) if pool.is_flat else (equity <= 0.0)
    liquidated = np.where(maintenance > 0.0, equity <= maintenance, empty)
    called = (maintenance > 0.0) & (equity <= pool.margin_call_coverage_ratio * maintenance)
    codes = np.where(liquidated, CellState.LIQUIDATED, np.where(called, CellState.CALLED, CellState.FINE))
    return codes.astype(np.int8)
