"""Worst paths of a run and what moved them: contributions by factor at the path maximum.

While the run goes on a collector keeps, per pool, the market at the maximum for those paths that can still belong to
the tail. It drops a path only when enough larger maxima are known, so the tail that remains is the same for any order
of the blocks, and memory grows with the tail and not with the number of paths.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.results import TailRecord
from margincover.model.scenario import ScenarioBlock
from margincover.numeric.arrays import Vector
from margincover.paths import reference
from margincover.paths.charges import charged_by_node
from margincover.paths.modelled import Followed, at_levels
from margincover.paths.program import PoolProgram
from margincover.units import HOURS_PER_DAY

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TailStates:
    """Market of some paths around their maximum; every array has path last.

    ``after`` and ``before`` [factor, path] are the ratios at the end and the start of the step of the maximum,
    ``paid_after`` and ``paid_before`` [asset, path] the funding paid by then, ``moved_after`` and ``moved_before`` what
    marks off their index have cost by then, ``received_after`` and ``received_before`` what options have settled by
    then, ``deviation`` [factor, path] the standard deviation inside the step; ``step`` [path] is 0 where the maximum is
    the start; ``level`` [path] the residual level of implied volatility.
    """

    path: NDArray[np.int64]
    maximum: Array
    step: NDArray[np.int32]
    after: Array
    before: Array
    paid_after: Array
    paid_before: Array
    moved_after: Array
    moved_before: Array
    received_after: Array
    received_before: Array
    deviation: Array
    level: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> TailStates:
        """Return the states of some rows."""
        return TailStates(**{name: getattr(self, name)[..., rows] for name in self.__slots__})


def joined(parts: list[TailStates]) -> TailStates:
    """Return the states of several blocks as one table."""
    return TailStates(
        **{name: np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in TailStates.__slots__}
    )


class TailCollector:
    """The largest maxima of one pool, kept while blocks come in from any thread."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.threshold = -np.inf
        self._parts: list[TailStates] = []
        self._rows = 0
        self._lock = threading.Lock()

    def add(self, states: TailStates) -> None:
        """Add the candidates of one block."""
        with self._lock:
            self._parts.append(states)
            self._rows += states.path.size
            if self._rows >= 2 * self.capacity:
                self._prune()

    def _prune(self) -> None:
        kept = joined(self._parts)
        # By maximum, ties by path number: the same rows stay whatever the order of arrival.
        order = np.lexsort((kept.path, -kept.maximum))[: self.capacity]
        kept = kept.take(order)
        self._parts, self._rows = [kept], kept.path.size
        if kept.path.size == self.capacity:
            self.threshold = float(kept.maximum[-1])

    def states(self) -> TailStates:
        """Return the largest maxima, largest first."""
        with self._lock:
            self._prune()
            return self._parts[0]


def candidates(
    program: PoolProgram,
    block: ScenarioBlock,
    maximum: Array,
    maximum_step: NDArray[np.int32],
    threshold: float,
    first_path: int,
    hours: float,
    followed: Followed | None = None,
) -> TailStates:
    """Return the states of those paths of a block whose maximum is not below ``threshold``.

    Parameters
    ----------
    block : ScenarioBlock
        Only what the candidates need of it is turned into ratios.
    maximum : Array [path]
    maximum_step : array [path]
    followed : Followed or None
        Of a pool with a model: funding and settlements are taken from it.
    """
    rows = np.flatnonzero(maximum >= threshold)
    step = maximum_step[rows]
    factor = program.factor[:, None]
    last = np.maximum(step - 1, 0)
    after = np.where(step > 0, np.exp(block.close_log[last, factor, rows]), 1.0)
    before = np.where(step > 1, np.exp(block.close_log[np.maximum(step - 2, 0), factor, rows]), 1.0)
    if followed is None:
        paid_after, paid_before = _paid(program, block.close_log, rows, step, hours)
        moved_after, moved_before = np.zeros_like(paid_after), np.zeros_like(paid_after)
        if program.charges is not None and rows.size:
            at = (step, np.maximum(step - 1, 0))
            charged = charged_by_node(program.charges, block, hours, paths=rows, n_steps=int(step.max()))
            varying, moved = ([total[node, :, np.arange(rows.size)].T for node in at] for total in charged)
            paid_after, paid_before = paid_after + varying[0], paid_before + varying[1]
            moved_after, moved_before = moved[0].copy(), moved[1].copy()
        received_after, received_before = np.zeros_like(paid_after), np.zeros_like(paid_after)
    else:
        earlier = np.maximum(step - 1, 0)
        paid_after, paid_before = followed.paid[step, :, rows].T, followed.paid[earlier, :, rows].T
        moved_after, moved_before = followed.moved[step, :, rows].T, followed.moved[earlier, :, rows].T
        received_after, received_before = followed.received[step, :, rows].T, followed.received[earlier, :, rows].T
    return TailStates(
        path=(rows + first_path).astype(np.int64),
        maximum=maximum[rows],
        step=step,
        after=after,
        before=before,
        paid_after=paid_after,
        paid_before=paid_before,
        moved_after=moved_after,
        moved_before=moved_before,
        received_after=received_after,
        received_before=received_before,
        deviation=np.sqrt(block.step_variance[last, factor, rows]),
        level=np.zeros(rows.size, dtype=np.int64) if followed is None else followed.level[rows],
    )


def _paid(
    program: PoolProgram, close_log: Array, rows: NDArray[np.int64], step: NDArray[np.int32], hours: float
) -> tuple[Array, Array]:
    """Return funding paid [asset, path] by the end and by the start of the step of the maximum."""
    n_assets = program.held_linear.shape[0]
    zero = np.zeros((n_assets, rows.size))
    if not program.has_funding or not rows.size or step.max(initial=0) == 0:
        return zero, zero.copy()
    longest = int(step.max())
    nodes = np.ones((longest, program.n_factors, rows.size))
    np.exp(close_log[: longest - 1, program.factor][:, :, rows], out=nodes[1:])
    each = np.einsum("af,tfp->tap", program.funding_linear, nodes)
    each = (each + np.einsum("af,tfp->tap", program.funding_inverse, 1.0 / nodes)) * hours
    total = np.concatenate([zero[None], np.cumsum(each, axis=0)])
    at = np.arange(rows.size)
    return total[step, :, at].T.copy(), total[np.maximum(step - 1, 0), :, at].T.copy()


def tail_record(pool: MarginPool, states: TailStates, loading: Vector, hours: float) -> TailRecord:
    """Return the contributions of the tail of one pool.

    Notes
    -----
    For each factor alone: the change of the shortfall when it stands where it stood at the nearer, larger end of the
    step of the maximum. What the inside of the step adds beyond that end is split by the factors' shares of the local
    variance. Collateral haircuts and tiers make factors interact, options age and expire, and implied volatility moves
    of its own: that part is the remainder, stated and not hidden.
    """
    # Marks have a part of their own only where they leave their index.
    moves_marks = bool(np.any(states.moved_after) or np.any(states.moved_before))
    n_parts = len(pool.factors) + (3 if moves_marks else 2)
    result = np.zeros((states.path.size, n_parts))
    for level, at_level in enumerate(at_levels(pool)):
        rows = np.flatnonzero(states.level == level)
        result[rows] = _contributions(at_level, states.take(rows), loading, hours)[:, :n_parts]
    return TailRecord(path=states.path, maximum=states.maximum, contribution=result)


def _contributions(pool: MarginPool, states: TailStates, loading: Vector, hours: float) -> Array:
    """Return the contributions [path, factor + 3] of paths with one residual level; the last is that of marks."""
    n_factors, n_rows = len(pool.factors), states.path.size
    result = np.zeros((n_rows, n_factors + 3))
    if not n_rows:
        return result
    nothing = np.zeros_like(states.paid_after)
    ones = np.ones((n_factors, n_rows))
    start = reference.evaluate_step(pool, ones, nothing)[0]
    node, paid, moved, received, level, days = _larger_end(pool, states, hours)
    unmoved = reference.evaluate_rows(pool, ones, nothing, days)[0]
    for f in range(n_factors):
        alone = ones.copy()
        alone[f] = node[f]
        result[:, f] = reference.evaluate_rows(pool, alone, nothing, days)[0] - unmoved
    unpaid = reference.evaluate_rows(pool, node, moved - received, days)[0]
    result[:, n_factors] = level - unpaid
    if moved.any():
        at_index = reference.evaluate_rows(pool, node, -received, days)[0]
        result[:, n_factors + 2] = unpaid - at_index
        unpaid = at_index
    result[:, n_factors + 1] = unpaid - start - result[:, :n_factors].sum(axis=1)
    shares = _variance_shares(pool, node, paid + moved - received, days, states.deviation, loading)
    result[:, :n_factors] += ((states.maximum - level) * shares).T
    result[states.step == 0] = 0.0
    return result


def _larger_end(pool: MarginPool, states: TailStates, hours: float) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return what stands at the end of the step with the larger shortfall.

    Ratios, funding paid, cost of marks, settlements, the shortfall and the days since the start.
    """
    ends = (
        (states.after, states.paid_after, states.moved_after, states.received_after),
        (states.before, states.paid_before, states.moved_before, states.received_before),
    )
    steps = (states.step, np.maximum(states.step - 1, 0))
    days = [np.asarray(step * hours / HOURS_PER_DAY, dtype=np.float64) for step in steps]
    later, earlier = (
        reference.evaluate_rows(pool, ratio, paid + moved - received, at)[0]
        for (ratio, paid, moved, received), at in zip(ends, days, strict=True)
    )
    is_later = later >= earlier
    node, paid, moved, received = (np.where(is_later, ends[0][k], ends[1][k]) for k in range(4))
    return node, paid, moved, received, np.maximum(later, earlier), np.where(is_later, days[0], days[1])


def _variance_shares(
    pool: MarginPool, node: Array, net: Array, days: Array, deviation: Array, loading: Vector
) -> Array:
    """Return the share of each factor in the local variance of the shortfall, [factor, path]; they sum to 1."""
    move = reference.slope_rows(pool, node, net, days) * deviation
    own = loading[:, None]
    parts = own * move * (own * move).sum(axis=0) + (1.0 - own**2) * move**2
    total = parts.sum(axis=0)
    even = np.full_like(parts, 1.0 / max(parts.shape[0], 1))
    return np.asarray(np.where(total > 0.0, parts / np.where(total > 0.0, total, 1.0), even), dtype=np.float64)
