"""Tables of a pool at each residual level of its implied volatility: one fine table, and a coarse difference a level.

What a level adds to margins and values is far smoother in the coin's move and in time than they are themselves: it is
tabulated over nodes four times wider, every six hours, and runs straight in the root of time in between, as the
residual's deviation does at first. The check of every run against the rule covers the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.paths.pool_table import PoolTable

Array = NDArray[np.float64]

_COARSENESS = 4
# Hours between two slices of the coarse tables; longer steps have one slice each.
_HOURS = 6.0


class Table(Protocol):
    """Reads what is held of each asset, then maintenance of the positions."""

    def read(self, log_ratio: Array, step: NDArray[np.int64]) -> Array:
        """Return [asset + 1, state] at log ratios [factor, state] and numbers of steps [state]."""


def tables_of(pools: Sequence[MarginPool], *, hours: float, n_steps: int) -> list[Table]:
    """Return the table of a pool at each of its levels; ``pools`` differ in nothing else."""
    if len(pools) == 1:
        return [PoolTable(pools[0], hours=hours, n_steps=n_steps)]
    law = pools[0].spot_volatility
    assert law is not None, "Invariant: levels are those of a law"
    unmoved = replace(pools[0], spot_volatility=replace(law, residual_level=0.0))
    fine = PoolTable(unmoved, hours=hours, n_steps=n_steps)
    return [LevelTable(fine, _DifferenceTable(pool, unmoved, hours=hours, n_steps=n_steps)) for pool in pools]


class LevelTable:
    """The fine table of the pool without residual, and what one level adds."""

    def __init__(self, fine: PoolTable, added: _DifferenceTable) -> None:
        self.fine, self.added = fine, added

    def read(self, log_ratio: Array, step: NDArray[np.int64]) -> Array:
        """Return what is held of each asset, then maintenance of the positions, [asset + 1, state]."""
        stride = self.added.stride
        before = step // stride
        root, low, high = (np.sqrt(at.astype(np.float64)) for at in (step, before * stride, (before + 1) * stride))
        share = (root - low) / (high - low)
        added = self.added.read(log_ratio, before) * (1.0 - share) + self.added.read(log_ratio, before + 1) * share
        return np.asarray(self.fine.read(log_ratio, step) + added, dtype=np.float64)


class _DifferenceTable(PoolTable):
    """Table of a pool less that of the same pool at another residual level, at some steps, ``stride`` apart."""

    def __init__(self, pool: MarginPool, unmoved: MarginPool, *, hours: float, n_steps: int) -> None:
        self._unmoved = unmoved
        self.stride = max(int(_HOURS / hours), 1)
        n_slices = n_steps // self.stride + 1
        super().__init__(pool, hours=hours * self.stride, n_steps=n_slices, coarseness=_COARSENESS)

    def _rows(self, ratio: Array, slice_: int) -> Array:
        return self._rows_of(self.pool, ratio, slice_) - self._rows_of(self._unmoved, ratio, slice_)
