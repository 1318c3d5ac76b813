"""Results of what-ifs: a book before and after changes, over spot, volatility and days; one account in other modes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from margincover.model.provenance import Provenance
from margincover.model.results import PoolStatus, StatusResult


class CellState(IntEnum):
    """What a venue would say of a pool in one state of the market; a larger number is worse."""

    FINE = 0
    CALLED = 1
    LIQUIDATED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolGrid:
    """One pool, revalued over a grid.

    Parameters
    ----------
    pool_id, unit : str
    has_options : bool
        False means that volatility and days change nothing: the figures repeat along both.
    coverage_ratio : array [day, volatility, spot]
        Equity over maintenance; infinite where nothing is required.
    equity_usd, maintenance_usd : array [day, volatility, spot]
        In USD of that state: a pool in coin is valued at the coin's moved price. Finite; maintenance >= 0.
    state : array of CellState numbers [day, volatility, spot]
    """

    pool_id: str
    unit: str
    has_options: bool
    coverage_ratio: NDArray[np.float64]
    equity_usd: NDArray[np.float64]
    maintenance_usd: NDArray[np.float64]
    state: NDArray[np.int8]

    @property
    def headroom_usd(self) -> NDArray[np.float64]:
        """Equity minus maintenance in USD, [day, volatility, spot]; at or below 0 the venue may liquidate."""
        return self.equity_usd - self.maintenance_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfGrid:
    """All pools over common moves of all coins, changes of all implied volatilities, and days from ``as_of``.

    ``spot_fractions`` and ``volatility_fractions`` are relative: -0.3 is 30 % lower. Both rise, and hold 0 where their
    range does.
    """

    spot_fractions: tuple[float, ...]
    volatility_fractions: tuple[float, ...]
    days: tuple[float, ...]
    pools: tuple[PoolGrid, ...]

    def pool(self, pool_id: str) -> PoolGrid | None:
        """Return the grid of one pool, None where the book has no such pool."""
        return next((pool for pool in self.pools if pool.pool_id == pool_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfResult:
    """A book before and after trades and transfers that were tried; both are the same when ``changed`` is False."""

    before: StatusResult
    after: StatusResult
    grid_before: WhatIfGrid
    grid_after: WhatIfGrid
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRow:
    """One account in one mode: its pools, worst first, or the reason why there are none.

    The four sums add the pools in USD; ``initial_usd`` is None where one pool's is not known.
    """

    mode: str
    is_present: bool
    pools: tuple[PoolStatus, ...] = ()
    error: str = ""

    @property
    def equity_usd(self) -> float:
        """Sum of equity after haircut."""
        return sum(pool.equity_usd for pool in self.pools)

    @property
    def maintenance_usd(self) -> float:
        """Sum of maintenance margin."""
        return sum(pool.maintenance_usd for pool in self.pools)

    @property
    def initial_usd(self) -> float | None:
        """Sum of initial margin."""
        known = [pool.initial_usd for pool in self.pools if pool.initial_usd is not None]
        return sum(known) if len(known) == len(self.pools) else None

    @property
    def headroom_usd(self) -> float:
        """Sum of headroom: no pool's own, for what one pool has to spare does not help another."""
        return sum(pool.headroom_usd for pool in self.pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeComparison:
    """One account under several account modes of its venue."""

    account_id: str
    venue: str
    present_mode: str
    rows: tuple[ModeRow, ...]
    notes: tuple[str, ...]
    provenance: Provenance
