"""The path engine: run every pool along the same blocks of joint paths and keep what coverage needs.

A block of paths is the unit of randomness and of work: made, followed by every pool, reduced, thrown away. The result
depends on the seed alone, not on how blocks are grouped into chunks or on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.pool import MarginPool
from margincover.model.results import PathSummary
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator
from margincover.numeric.arrays import Vector
from margincover.paths import reference, tails
from margincover.paths.charges import charged_by_node
from margincover.paths.follow import Follower, JointState, PoolState, bridge_key
from margincover.paths.modelled import Followed, ModelledPool
from margincover.paths.program import compile_pool
from margincover.paths.volatility_levels import level_key
from margincover.units import SECONDS_PER_HOUR

BLOCK_PATHS = 256
_FAN_BLOCKS = 4
MAX_PATHS = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """How many paths, how far, on how many threads.

    Parameters
    ----------
    n_paths : int
        Rounded up to whole blocks of 256.
    horizon_s : int
        Horizon of required coverage.
    follow_s : int
        How far first passage is followed, >= horizon_s.
    seed : int
    tolerance : float
        Sets how many worst paths are kept for attribution.
    threads : int or None
        None takes the processors that the process may use. Does not change the result.
    chunk_blocks : int
        Blocks that one task makes in a row. Does not change the result.
    """

    n_paths: int
    horizon_s: int
    follow_s: int
    seed: int
    tolerance: float
    threads: int | None = None
    chunk_blocks: int = 4


Progress = Callable[[int, int], None]
# Called for every block with its first path, ratios [step, factor, path] at the ends of the steps up to the horizon,
# and equity and maintenance [step + 1, pool, path]; from several threads, each path once.
Observer = Callable[[int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], None]
_Scalar = TypeVar("_Scalar", bound=np.generic)
_State = PoolState | JointState | Followed


def simulate(
    pools: Sequence[MarginPool],
    generator: ScenarioGenerator,
    settings: PathSettings,
    *,
    progress: Progress | None = None,
    observer: Observer | None = None,
) -> PathSummary:
    """Return the reduction of all paths of all pools.

    Parameters
    ----------
    pools : sequence of MarginPool
    generator : ScenarioGenerator
        Must make every factor that a pool needs.
    settings : PathSettings
    progress : callable or None
        Called with (blocks done, blocks in all) from the calling thread.
    observer : callable or None
        Sees every block at the ends of its steps; costs a plain evaluation of every pool there.

    Raises
    ------
    InputError
        If a factor is missing, or the horizon is not a whole number of steps.
    """
    run = _Run(pools, generator, settings, observer)
    chunks = [
        range(first, min(first + settings.chunk_blocks, run.n_blocks))
        for first in range(0, run.n_blocks, settings.chunk_blocks)
    ]
    threads = settings.threads or available_threads()
    done = 0
    if threads == 1:
        for chunk in chunks:
            run.chunk(chunk)
            done += len(chunk)
            if progress:
                progress(done, run.n_blocks)
        return run.summary()
    with ThreadPoolExecutor(max_workers=threads) as executor:
        for size in executor.map(run.chunk, chunks):
            done += size
            if progress:
                progress(done, run.n_blocks)
    return run.summary()


def available_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


class _Run:
    """Everything that the blocks of one run share, and the arrays that they fill."""

    def __init__(
        self,
        pools: Sequence[MarginPool],
        generator: ScenarioGenerator,
        settings: PathSettings,
        observer: Observer | None,
    ) -> None:
        info = generator.info
        self.observer = observer
        self.pools, self.generator, self.settings = pools, generator, settings
        self.n_steps = _whole_steps(settings.follow_s, info.step_s, "follow")
        self.horizon = _whole_steps(settings.horizon_s, info.step_s, "horizon")
        if self.horizon > self.n_steps:
            raise InputError("was longer than what is followed", field="horizon", allowed="horizon <= follow")
        if not 1 <= settings.n_paths <= MAX_PATHS:
            raise InputError(f"was {settings.n_paths}", field="paths", allowed=f"1 to {MAX_PATHS}")
        self.n_blocks = -(-settings.n_paths // BLOCK_PATHS)
        self.hours = info.step_s / SECONDS_PER_HOUR
        self.loading: Vector = info.loading
        self.programs = [compile_pool(pool, info.factors, info) for pool in pools]
        keys = [bridge_key(settings.seed, pool.id) for pool in pools]
        # Pools of tiers and haircuts are followed by the kernels, pools with a model by tables of their rule.
        self.plain = [row for row, pool in enumerate(pools) if pool.model is None]
        self.modelled = {
            row: ModelledPool(
                pool,
                self.programs[row],
                key=keys[row],
                loading=info.loading,
                hours=self.hours,
                horizon=self.horizon,
                n_steps=self.n_steps,
                volatility_key=level_key(settings.seed),
            )
            for row, pool in enumerate(pools)
            if pool.model is not None
        }
        self.table_error = [0.0] * len(pools)
        self.follower = Follower(
            [self.programs[row] for row in self.plain],
            keys=[keys[row] for row in self.plain],
            loading=info.loading,
            hours=self.hours,
            horizon=self.horizon,
            n_paths=BLOCK_PATHS,
        )
        self.nothing_owed = [pool.is_flat and bool((pool.assets.balance_native >= 0.0).all()) for pool in pools]
        tail_rows = int(np.ceil(settings.tolerance * self.n_blocks * BLOCK_PATHS)) + 1
        self.collectors = [tails.TailCollector(tail_rows) for _ in pools]
        shape = (len(pools), self.n_blocks * BLOCK_PATHS)
        self.maximum = np.empty(shape)
        self.maximum_step = np.empty(shape, dtype=np.int32)
        self.liquidation_step = np.empty(shape, dtype=np.int32)
        self.call_step = np.empty(shape, dtype=np.int32)
        self.fans: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def chunk(self, blocks: range) -> int:
        for number in blocks:
            self._block(number)
        return len(blocks)

    def _block(self, number: int) -> None:
        block = self.generator.block(seed=self.settings.seed, number=number, n_steps=self.n_steps, n_paths=BLOCK_PATHS)
        first = number * BLOCK_PATHS
        part = slice(first, first + BLOCK_PATHS)
        plain = self.follower.follow(block, first_path=first) if self.plain else []
        states: dict[int, _State] = dict(zip(self.plain, plain, strict=True))
        for row, pool in self.modelled.items():
            followed = states[row] = pool.follow(block, first_path=first)
            self.table_error[row] = max(self.table_error[row], followed.table_error)
        for row, state in states.items():
            program = self.programs[row]
            self.maximum[row, part] = state.maximum
            self.maximum_step[row, part], self.liquidation_step[row, part], self.call_step[row, part] = state.passage
            if self.nothing_owed[row]:
                # An empty wallet has equity 0 and maintenance 0: it meets the level, yet there is nothing to close.
                self.liquidation_step[row, part] = self.call_step[row, part] = -1
            collector = self.collectors[row]
            collector.add(
                tails.candidates(
                    program, block, self.maximum[row, part], self.maximum_step[row, part], collector.threshold, first,
                    self.hours, state if isinstance(state, Followed) else None,
                )
            )  # fmt: skip
        if number < _FAN_BLOCKS or self.observer is not None:
            fan = self._fan(block, states)
            if number < _FAN_BLOCKS:
                self.fans[number] = fan
            if self.observer is not None:
                self.observer(first, np.exp(block.close_log[: self.horizon]), *fan)

    def _fan(
        self, block: ScenarioBlock, states: Mapping[int, _State]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return equity and maintenance [step + 1, pool, path] of one block, up to the horizon."""
        close = np.exp(block.close_log[: self.horizon])
        n_paths = close.shape[2]
        nodes = np.concatenate([np.ones((1, *close.shape[1:])), close])
        equity = np.empty((nodes.shape[0], len(self.pools), n_paths))
        maintenance = np.empty_like(equity)
        for row, (pool, program) in enumerate(zip(self.pools, self.programs, strict=True)):
            followed = states[row]
            if isinstance(followed, Followed):
                maintenance[:, row] = followed.node_maintenance[: nodes.shape[0]]
                equity[:, row] = maintenance[:, row] - followed.node_shortfall[: nodes.shape[0]]
                continue
            # The size is spelt out: a flat pool has no factor, and -1 cannot be inferred from nothing.
            flat_shape = (program.n_factors, nodes.shape[0] * n_paths)
            own = nodes[:, program.factor].transpose(1, 0, 2).reshape(flat_shape)
            steps = reference.funding_paid(pool, own, self.hours, varying=self.generator.info.funding)
            steps = steps.reshape(pool.assets.count, nodes.shape[0], n_paths)
            paid = np.zeros_like(steps)
            paid[:, 1:] = np.cumsum(steps[:, :-1], axis=1)
            if program.charges is not None:
                charged = charged_by_node(program.charges, block, self.hours, n_steps=self.horizon)
                paid += (charged[0] + charged[1]).transpose(1, 0, 2)
            shortfall, required = reference.evaluate_step(pool, own, paid.reshape(pool.assets.count, -1))
            maintenance[:, row] = required.reshape(nodes.shape[0], n_paths)
            equity[:, row] = maintenance[:, row] - shortfall.reshape(nodes.shape[0], n_paths)
        return equity, maintenance

    def summary(self) -> PathSummary:
        n_fan = min(_FAN_BLOCKS, self.n_blocks)
        return PathSummary(
            pool_ids=tuple(pool.id for pool in self.pools),
            step_s=self.generator.info.step_s,
            n_steps=self.n_steps,
            n_horizon_steps=self.horizon,
            seed=self.settings.seed,
            start_shortfall=np.array([_start(pool) for pool in self.pools]),
            maximum=_read_only(self.maximum),
            maximum_step=_read_only(self.maximum_step),
            liquidation_step=_read_only(self.liquidation_step),
            margin_call_step=_read_only(self.call_step),
            tails=tuple(
                tails.tail_record(pool, collector.states(), self.loading[program.factor], self.hours)
                for pool, program, collector in zip(self.pools, self.programs, self.collectors, strict=True)
            ),
            table_error=tuple(self.table_error),
            fan_equity=np.concatenate([self.fans[n][0] for n in range(n_fan)], axis=2),
            fan_maintenance=np.concatenate([self.fans[n][1] for n in range(n_fan)], axis=2),
        )


def _start(pool: MarginPool) -> float:
    nothing = np.zeros((pool.assets.count, 1))
    return float(reference.evaluate_step(pool, np.ones((len(pool.factors), 1)), nothing)[0][0])


def _whole_steps(seconds: int, step_s: int, field: str) -> int:
    if seconds % step_s or seconds <= 0:
        raise InputError(f"was {seconds} s", field=field, allowed=f"a multiple of the scenario step, {step_s} s")
    return seconds // step_s


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array


__all__ = ["BLOCK_PATHS", "PathSettings", "Progress", "available_threads", "bridge_key", "simulate"]
