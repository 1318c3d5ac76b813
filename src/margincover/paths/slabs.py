"""Cut a block of log paths into slabs of steps, as ratios, small enough for the cache of one processor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock
from margincover.paths.program import PoolProgram

Array = NDArray[np.float64]

# Closes and deviations of one slab, in bytes. Slabs of 1 to 4 MiB take the same time; smaller ones lose to the cost of
# calling the kernels, one block as a whole to the memory that it needs.
_SLAB_BYTES = 1 << 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Slab:
    """Some steps of a block as ratios to the level at the start.

    ``level`` [close, low, high; node; factor; path], node 0 the close before the first step; ``span`` [smallest,
    largest; close, low, high; node; factor] over the paths; ``deviation`` [step, factor, path]. Rows that no pool reads
    are not filled. The first ``n_steps`` steps hold; the arrays are whole, so that their rows stay contiguous, and are
    used again for the next slab.
    """

    first_step: int
    n_steps: int
    level: Array
    span: Array
    deviation: Array


class Slabs:
    """How blocks of one run are cut, and which of their rows the pools read."""

    def __init__(self, programs: Sequence[PoolProgram], *, n_factors: int, n_paths: int) -> None:
        self.n_factors, self.n_paths = n_factors, n_paths
        # The low and the high are read by pools of one factor alone, the range by pools with tiers.
        self.extreme = np.array(sorted({int(p.factor[0]) for p in programs if p.n_factors == 1}), dtype=np.int64)
        self.all = np.arange(n_factors)
        self.several = any(program.n_factors > 1 for program in programs)
        self.tiered = any(program.leg_notional.size > 0 for program in programs)
        self.steps = max(4, _SLAB_BYTES // (2 * 8 * n_factors * n_paths))

    def of(self, block: ScenarioBlock) -> Iterator[Slab]:
        """Return the slabs of a block in the order of time.

        Raises
        ------
        InputError
            If a log price that a pool reads is not finite.
        """
        n_steps = block.close_log.shape[0]
        size = min(self.steps, n_steps)
        sides = 3 if self.extreme.size else 1
        level = np.ones((3, size + 1, self.n_factors, self.n_paths))
        span = np.ones((2, 3, size + 1, self.n_factors))
        deviation = np.zeros((size, self.n_factors, self.n_paths))
        for first in range(0, n_steps, size):
            n = min(size, n_steps - first)
            part = slice(first, first + n)
            if first:
                level[:, 0] = level[:, size]
            self._fill_level(block, part, level[:, 1 : n + 1])
            if self.several:
                np.sqrt(block.step_variance[part], out=deviation[:n])
            if self.tiered:
                np.min(level[:sides, 1 : n + 1], axis=3, out=span[0, :sides, 1 : n + 1])
                np.max(level[:sides, 1 : n + 1], axis=3, out=span[1, :sides, 1 : n + 1])
            yield Slab(first_step=first, n_steps=n, level=level, span=span, deviation=deviation)

    def _fill_level(self, block: ScenarioBlock, part: slice, level: Array) -> None:
        # Numba loads here and not with the package
        from margincover.paths.exponential import fill_exponentials

        work = np.zeros((2, self.n_paths))
        finite = True
        for logs, factors, out in zip(
            (block.close_log, block.low_log, block.high_log), (self.all, self.extreme, self.extreme), level, strict=True
        ):
            if factors.size:
                rows = np.ascontiguousarray(logs[part])
                finite &= fill_exponentials(rows, factors, out, out.view(np.int64), work, work.view(np.int64))
        if not finite:
            raise InputError("held a log price that was not finite", field="scenarios", allowed="finite log prices")
