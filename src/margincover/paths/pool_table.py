"""Tables of a pool with a model: what it holds and requires by the ratio of one factor and by time.

A margin rule of options is too slow to be evaluated in every state of every path. What is held of each asset and what
the positions require is a sum over factors; each part is tabulated over the factor's log ratio at every step, filled
where paths go, and read by straight lines. Haircuts and borrowing, which bind factors together, are applied on the
paths themselves. A node's value does not depend on which paths asked for it, so that results stay bit-equal.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.units import HOURS_PER_DAY
from margincover.venues import modelled
from margincover.venues.revalue import revalue

Array = NDArray[np.float64]

# Distance of two nodes in the log ratio, nodes that are filled together, and the largest log ratio: a factor of 24.
NODE = 0.0025
_CHUNK = 64
_CHUNKS_PER_SIDE = 20
LARGEST_LOG = NODE * _CHUNK * _CHUNKS_PER_SIDE


class PoolTable:
    """Table of one pool for one run; may be read from several threads.

    Parameters
    ----------
    pool : MarginPool
        With a separable model.
    hours : float
        Length of a step.
    n_steps : int
    coarseness : int
        How many times wider than ``NODE`` two nodes are; divides 64.
    """

    def __init__(self, pool: MarginPool, *, hours: float, n_steps: int, coarseness: int = 1) -> None:
        self.pool, self.hours = pool, hours
        # A chunk spans the same moves whatever the width of its nodes.
        self._node, self._chunk = NODE * coarseness, _CHUNK // coarseness
        # Without options nothing depends on time: one slice serves every step.
        self.n_slices = n_steps + 1 if pool.options.count else 1
        n_rows = pool.assets.count + 1
        n_chunks = 2 * _CHUNKS_PER_SIDE
        n_factors = len(pool.factors)
        self._lock = threading.Lock()
        self._filled = np.zeros((n_factors, self.n_slices, n_chunks), dtype=bool)
        # A chunk's last node is the first of the next: stored twice, so that no chunk needs its neighbour.
        self._dense = np.zeros((n_factors, self.n_slices, n_chunks * (self._chunk + 1), n_rows))
        self._base = np.stack([self._rows(np.ones((n_factors, 1)), slice_)[:, 0] for slice_ in range(self.n_slices)])

    def _rows(self, ratio: Array, slice_: int) -> Array:
        """Return what is held of each asset, then maintenance, [asset + 1, path], without funding and settlement."""
        return self._rows_of(self.pool, ratio, slice_)

    def _rows_of(self, pool: MarginPool, ratio: Array, slice_: int) -> Array:
        state = revalue(pool, ratio, elapsed_days=slice_ * self.hours / HOURS_PER_DAY, settle_expired=False)
        model = modelled.model_of(pool)
        maintenance, _ = modelled.totals(model.requirements(state), state.n_paths)
        return np.concatenate([model.held(state), maintenance[None]])

    def read(self, log_ratio: Array, step: NDArray[np.int64]) -> Array:
        """Return what is held of each asset, then maintenance of the positions, [asset + 1, state].

        Parameters
        ----------
        log_ratio : array [factor, state]
        step : array [state]
            Number of steps since ``as_of``.
        """
        at = step if self.n_slices > 1 else np.zeros_like(step)
        far = (np.abs(log_ratio) >= LARGEST_LOG).any(axis=0)
        inside = np.where(far, 0.0, log_ratio) if far.any() else log_ratio
        total = self._base[at].T.copy()
        for factor in range(log_ratio.shape[0]):
            total += self._part(factor, inside[factor], at)
        for slice_ in np.unique(at[far]):
            # Beyond the table the rule itself is asked.
            columns = np.flatnonzero(far & (at == slice_))
            total[:, columns] = self._rows(np.exp(log_ratio[:, columns]), int(slice_))
        return total

    def _part(self, factor: int, log_ratio: Array, at: NDArray[np.int64]) -> Array:
        place = log_ratio / self._node + self._chunk * _CHUNKS_PER_SIDE
        node = np.floor(place).astype(np.int64)
        chunk, offset = node // self._chunk, node % self._chunk
        self._fill(factor, at, chunk)
        row = chunk * (self._chunk + 1) + offset
        share = (place - node)[:, None]
        table = self._dense[factor]
        low, high = table[at, row], table[at, row + 1]
        return np.asarray((low + share * (high - low)).T, dtype=np.float64)

    def _fill(self, factor: int, at: NDArray[np.int64], chunk: NDArray[np.int64]) -> None:
        filled = self._filled[factor]
        if filled[at, chunk].all():
            return
        wanted = np.zeros_like(filled)
        wanted[at, chunk] = True
        # A neighbour to either side is filled too: later blocks go a little further than the first ones.
        wanted[:, 1:] |= wanted[:, :-1]
        wanted[:, :-1] |= wanted[:, 1:]
        with self._lock:
            missing = wanted & ~filled
            for slice_ in np.flatnonzero(missing.any(axis=1)):
                self._fill_slice(factor, int(slice_), np.flatnonzero(missing[slice_]))
                filled[slice_] |= missing[slice_]

    def _fill_slice(self, factor: int, slice_: int, chunks: NDArray[np.int64]) -> None:
        node = ((chunks - _CHUNKS_PER_SIDE) * self._chunk)[:, None] + np.arange(self._chunk + 1)[None, :]
        ratio = np.ones((len(self.pool.factors), node.size))
        ratio[factor] = np.exp(node.ravel() * self._node)
        part = self._rows(ratio, slice_) - self._base[slice_][:, None]
        row = chunks[:, None] * (self._chunk + 1) + np.arange(self._chunk + 1)[None, :]
        self._dense[factor, slice_, row.ravel()] = part.T
