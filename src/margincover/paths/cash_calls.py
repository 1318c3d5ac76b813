"""What risk measures need of a run beyond the path maxima: values at the horizon and cash calls along the way.

The engine shows every block's equity and maintenance at the ends of the steps; this reduces them at once. A cash call
of a pool by a time is the change of maintenance - equity since the start: variation margin paid, increase of the
maintenance margin, funding. A negative call is cash that may leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPool:
    """Where one pool stands in a run: its row, venue row, USD per unit, and the generator's factor of the unit.

    ``unit_factor`` is -1 for a unit that paths hold constant.
    """

    row: int
    venue: int
    unit_usd: float
    unit_factor: int


class CashCalls:
    """Reduction of blocks; give ``observe`` to the engine, read the arrays when the run is over.

    Attributes
    ----------
    equity : array [row, path]
        Equity of ``equity_rows`` at the horizon, in the unit of each pool.
    venue_peak, venue_end : array [venue, path]
        Largest call of a venue over the ends of the steps (>= 0: the start counts), and its call at the horizon, USD.
        Pools of one venue net at every instant: cash moves inside a venue at once.
    venue_margin : array [venue, path]
        Part of ``venue_peak`` that is increase of maintenance margin; the rest is variation margin and funding.
    net_peak, net_end : array [path]
        The same for the sum of all venues, as if cash could move between venues at once.
    factor_ratio : array [factor, path]
        Level of the generator's factors at the horizon over the start.
    """

    def __init__(
        self, pools: Sequence[CallPool], *, n_venues: int, equity_rows: Sequence[int], n_factors: int, n_paths: int
    ) -> None:
        self.pools, self.equity_rows = tuple(pools), list(equity_rows)
        self.equity = np.empty((len(self.equity_rows), n_paths))
        self.venue_peak, self.venue_end, self.venue_margin = (np.zeros((n_venues, n_paths)) for _ in range(3))
        self.net_peak, self.net_end = np.zeros(n_paths), np.zeros(n_paths)
        self.factor_ratio = np.empty((n_factors, n_paths))

    def observe(self, first_path: int, close: Array, equity: Array, maintenance: Array) -> None:
        """Reduce one block.

        Parameters
        ----------
        first_path : int
        close : array [step, factor, path]
            Ratios at the ends of the steps.
        equity, maintenance : array [step + 1, pool, path]
            Row 0 is the start.
        """
        part = slice(first_path, first_path + close.shape[2])
        self.equity[:, part] = equity[-1, self.equity_rows]
        self.factor_ratio[:, part] = close[-1]
        n_venues = self.venue_peak.shape[0]
        calls, margin = np.zeros((2, n_venues, equity.shape[0], close.shape[2]))
        for pool in self.pools:
            price = np.full((equity.shape[0], close.shape[2]), pool.unit_usd)
            if pool.unit_factor >= 0:
                price[1:] *= close[:, pool.unit_factor]
            required = maintenance[:, pool.row] - maintenance[0, pool.row]
            lost = equity[0, pool.row] - equity[:, pool.row]
            calls[pool.venue] += (required + lost) * price
            margin[pool.venue] += required * price
        at = calls.argmax(axis=1)[:, None, :]
        self.venue_peak[:, part] = np.take_along_axis(calls, at, axis=1)[:, 0]
        self.venue_margin[:, part] = np.take_along_axis(margin, at, axis=1)[:, 0]
        self.venue_end[:, part] = calls[:, -1]
        total = calls.sum(axis=0)
        self.net_peak[part], self.net_end[part] = total.max(axis=0), total[-1]
