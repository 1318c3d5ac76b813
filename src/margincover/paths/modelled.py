"""Follow a pool with a model along one block of paths: the whole block at once, by the pool's table.

The same quantities as ``paths.reference.run_pool``, to the accuracy of the table; every run re-prices a sample of its
states exactly and keeps the largest difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock
from margincover.numeric.arrays import Vector
from margincover.paths import reference
from margincover.paths.charges import charged_by_node
from margincover.paths.expiry import settled
from margincover.paths.level_table import tables_of
from margincover.paths.pool_table import NODE
from margincover.paths.program import PoolProgram
from margincover.paths.volatility_levels import path_levels
from margincover.units import HOURS_PER_DAY
from margincover.venues import modelled

Array = NDArray[np.float64]
_STEP_BITS, _FIRST, _SECOND, _THIRD = 40, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# States that are re-priced exactly in each block.
_CHECKED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Results of one pool along one block.

    ``maximum`` [path] and ``passage`` [3, path] (steps of the maximum, of liquidation, of the call) as in
    ``paths.follow.PoolState``; ``step_maximum`` [step, path] the largest shortfall inside each step; ``paid``,
    ``moved`` and ``received`` [node, asset, path] funding paid, what marks off their index have cost, and options
    settled by each node; ``node_shortfall`` and ``node_maintenance`` [node, path] at the ends of the steps, node 0 the
    start; ``table_error`` the largest difference between table and rule among the checked states, as a share of the
    maintenance there; ``level`` [path] the residual level of implied volatility that each path drew.
    """

    maximum: Array
    passage: NDArray[np.int64]
    step_maximum: Array
    paid: Array
    moved: Array
    received: Array
    node_shortfall: Array
    node_maintenance: Array
    table_error: float
    level: NDArray[np.int64]


class ModelledPool:
    """One pool with a model, ready to follow blocks; may be used from several threads."""

    def __init__(
        self,
        pool: MarginPool,
        program: PoolProgram,
        *,
        key: int,
        loading: Vector,
        hours: float,
        horizon: int,
        n_steps: int,
        volatility_key: int = 0,
    ) -> None:
        self.pool, self.program, self.key, self.hours, self.horizon = pool, program, key, hours, horizon
        self.loading = loading[program.factor]
        self.volatility_key, self.pools = volatility_key, at_levels(pool)
        is_separable = modelled.model_of(pool).is_separable
        self.tables = tables_of(self.pools, hours=hours, n_steps=n_steps) if is_separable else None

    def follow(self, block: ScenarioBlock, *, first_path: int) -> Followed:
        """Return the results of a block whose first path has the number ``first_path``."""
        close = block.close_log[:, self.program.factor]
        _, n_factors, n_paths = close.shape
        node_log = np.concatenate([np.zeros((1, n_factors, n_paths)), close])
        node = np.exp(node_log)
        level = path_levels(self.volatility_key, first_path=first_path, n_paths=n_paths, n_levels=len(self.pools))
        paid = self._funding(node)
        moved = np.zeros_like(paid)
        if self.program.charges is not None:
            varying, moved = charged_by_node(self.program.charges, block, self.hours)
            paid = paid + varying
        received = settled(self.pool, node, hours=self.hours)
        net = paid + moved - received
        shortfall, required = self.evaluate(node_log, net, level)
        if n_factors > 1:
            top, margin = self._bridged(block, node_log, net, level, shortfall, required, first_path)
            called = top >= -self._call * margin
        else:
            # Low and high of a step stand at the time and with the wallet of its end.
            factor = self.program.factor
            at_low, required_low = self.evaluate(block.low_log[:, factor], net[1:], level, first_step=1)
            at_high, required_high = self.evaluate(block.high_log[:, factor], net[1:], level, first_step=1)
            # Options can be worst between low and high; both ends of the step are looked at as well.
            top = np.maximum(np.maximum(at_low, at_high), np.maximum(shortfall[:-1], shortfall[1:]))
            called = (at_low >= -self._call * required_low) | (at_high >= -self._call * required_high)
        return Followed(
            maximum=np.maximum(shortfall[0], top[: self.horizon].max(axis=0)),
            passage=self._passage(shortfall[0], required[0], top, called),
            step_maximum=top,
            paid=paid,
            moved=moved,
            received=received,
            node_shortfall=shortfall,
            node_maintenance=required,
            table_error=self._error(node, net, level, shortfall, required),
            level=level,
        )

    @property
    def _call(self) -> float:
        return self.pool.margin_call_coverage_ratio - 1.0

    def evaluate(
        self, log_ratio: Array, net: Array, level: NDArray[np.int64], *, first_step: int = 0
    ) -> tuple[Array, Array]:
        """Return shortfall and maintenance [step, path].

        Parameters
        ----------
        log_ratio : array [step, factor, path]
        net : array [step, asset, path]
            Funding paid less options settled.
        level : array [path]
            Residual level of implied volatility of each path.
        first_step : int
            Number of the first row's step.
        """
        if len(self.pools) == 1:
            return self._evaluate(0, log_ratio, net, first_step)
        shortfall, maintenance = (np.empty((log_ratio.shape[0], log_ratio.shape[2])) for _ in range(2))
        for k in np.unique(level):
            rows = np.flatnonzero(level == k)
            found = self._evaluate(int(k), log_ratio[:, :, rows], net[:, :, rows], first_step)
            shortfall[:, rows], maintenance[:, rows] = found
        return shortfall, maintenance

    def _evaluate(self, k: int, log_ratio: Array, net: Array, first_step: int) -> tuple[Array, Array]:
        table = None if self.tables is None else self.tables[k]
        n_steps, n_factors, n_paths = log_ratio.shape
        if table is None:
            rows = [
                reference.evaluate_step(
                    self.pools[k], np.exp(log_ratio[t]), net[t], (first_step + t) * self.hours / HOURS_PER_DAY
                )
                for t in range(n_steps)
            ]
            return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
        flat = log_ratio.transpose(1, 0, 2).reshape(n_factors, n_steps * n_paths)
        step = np.repeat(np.arange(first_step, first_step + n_steps), n_paths)
        rows_read = table.read(flat, step)
        held = rows_read[:-1] - net.transpose(1, 0, 2).reshape(-1, n_steps * n_paths)
        price = np.repeat(self.pool.assets.price_unit[:, None], n_steps * n_paths, axis=1)
        for asset, factor in enumerate(self.pool.assets.factor_index):
            if factor >= 0:
                price[asset] *= np.exp(flat[factor])
        nothing = np.zeros(n_steps * n_paths)
        equity, maintenance, _ = modelled.combine(self.pool, held, price, rows_read[-1], nothing)
        shape = (n_steps, n_paths)
        return (maintenance - equity).reshape(shape), maintenance.reshape(shape)

    def _funding(self, node: Array) -> Array:
        """Return funding paid by each node, [node, asset, path], from the notional at the start of each step."""
        paid = np.zeros((node.shape[0], self.pool.assets.count, node.shape[2]))
        if not self.program.has_funding:
            return paid
        each = np.einsum("af,tfp->tap", self.program.funding_linear, node[:-1])
        each += np.einsum("af,tfp->tap", self.program.funding_inverse, 1.0 / node[:-1])
        np.cumsum(each * self.hours, axis=0, out=paid[1:])
        return paid

    def _bridged(
        self,
        block: ScenarioBlock,
        node_log: Array,
        net: Array,
        level: NDArray[np.int64],
        shortfall: Array,
        required: Array,
        first_path: int,
    ) -> tuple[Array, Array]:
        """Return the highest shortfall inside each step and the maintenance it is called against, [step, path]."""
        slope = np.empty_like(node_log)
        for f in range(node_log.shape[1]):
            moved = node_log.copy()
            moved[:, f] += NODE
            above = self.evaluate(moved, net, level)[0]
            moved[:, f] -= 2.0 * NODE
            slope[:, f] = (above - self.evaluate(moved, net, level)[0]) / (2.0 * NODE)
        deviation = np.sqrt(block.step_variance[:, self.program.factor])
        move = 0.5 * (slope[1:] + slope[:-1]) * deviation
        b = self.loading[None, :, None]
        variance = (b * move).sum(axis=1) ** 2 + ((1.0 - b**2) * move**2).sum(axis=1)
        before, after = shortfall[:-1], shortfall[1:]
        draw = exponential_draws(self.key, before.shape[0], first_path, before.shape[1])
        top = 0.5 * (before + after + np.sqrt((after - before) ** 2 + 2.0 * variance * draw))
        top = np.where(variance > 0.0, top, np.maximum(before, after))
        return top, np.maximum(required[:-1], required[1:])

    def _passage(self, start: Array, required: Array, top: Array, called: NDArray[np.bool_]) -> NDArray[np.int64]:
        inside = top[: self.horizon]
        reached = inside.argmax(axis=0) + 1
        passage = np.empty((3, start.size), dtype=np.int64)
        passage[0] = np.where(inside.max(axis=0) > start, reached, 0)
        for row, at_start, touched in ((1, start >= 0.0, top >= 0.0), (2, start >= -self._call * required, called)):
            first = np.where(touched.any(axis=0), touched.argmax(axis=0) + 1, -1)
            passage[row] = np.where(at_start, 0, first)
        return passage

    def _error(self, node: Array, net: Array, level: NDArray[np.int64], shortfall: Array, required: Array) -> float:
        """Return the largest difference between table and rule in some states, as a share of the maintenance there."""
        if self.tables is None:
            return 0.0
        worst = 0.0
        n_nodes, _, n_paths = node.shape
        for k in range(_CHECKED):
            # States spread over the block by a fixed stride: the same for any grouping of blocks.
            step, path = (k * (n_nodes - 1)) // max(_CHECKED - 1, 1), (k * 97 + 31) % n_paths
            exact, _ = reference.evaluate_step(
                self.pools[level[path]], node[step][:, [path]], net[step][:, [path]], step * self.hours / HOURS_PER_DAY
            )
            size = max(abs(float(required[step, path])), 1e-12)
            worst = max(worst, abs(float(shortfall[step, path] - exact[0])) / size)
        return worst


def at_levels(pool: MarginPool) -> tuple[MarginPool, ...]:
    """Return the pool at each residual level of its implied volatility; the pool alone where it has none."""
    if pool.spot_volatility is None:
        return (pool,)
    return tuple(replace(pool, spot_volatility=law) for law in pool.spot_volatility.levels)


def exponential_draws(key: int, n_steps: int, first_path: int, n_paths: int) -> Array:
    """Return the draws of ``paths.reference.hash_exponential`` for a block, [step, path]."""
    with np.errstate(over="ignore"):
        step = np.arange(n_steps, dtype=np.uint64)[:, None] << np.uint64(_STEP_BITS)
        z = np.uint64(key) + step + (np.uint64(first_path) + np.arange(n_paths, dtype=np.uint64))[None, :]
        z = z * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_SECOND)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_THIRD)
        z = z ^ (z >> np.uint64(31))
        z = z * np.uint64(_FIRST)
        z = z ^ (z >> np.uint64(32))
    return np.asarray(-np.log(((z >> np.uint64(11)).astype(np.float64) + 0.5) / 9007199254740992.0))
