"""Liquidation when money arrives on the way: running maxima of the shortfall step by step, and cash that only grows.

A dollar that arrives at the end of step k lowers every shortfall after k by a dollar and none before. Let M(k) be the
running maximum of the shortfall up to step k and C(k) the cash that has arrived by then. C never falls, so the
shortfall less the cash reaches zero somewhere exactly when M(k + 1) >= C(k) for some k: if the shortfall reached C at a
time s of step k + 1, then M(k + 1) >= C(k); and if M(k + 1) >= C(k), the maximum was reached at some time up to k + 1,
when no more than C(k) had come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator
from margincover.paths import reference
from margincover.paths.engine import BLOCK_PATHS, PathSettings, simulate
from margincover.paths.follow import Follower, JointState, PoolState, bridge_key
from margincover.paths.modelled import ModelledPool
from margincover.paths.program import compile_pool
from margincover.paths.volatility_levels import level_key
from margincover.units import SECONDS_PER_HOUR

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPaths:
    """What pools did along joint paths, in the unit of each pool.

    Parameters
    ----------
    pool_ids : tuple of str
    step_s : int
    running : array [step + 1, pool, path]
        Largest maintenance less equity from the start to the end of each step, as the engine measures it; row 0 is the
        start. Nobody acts and no venue closes a pool.
    """

    pool_ids: tuple[str, ...]
    step_s: int
    running: Array

    @property
    def n_paths(self) -> int:
        """Number of joint paths."""
        return int(self.running.shape[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStates:
    """Equity and maintenance [step + 1, pool, path] at the ends of the steps, in the unit of each pool."""

    equity: Array
    maintenance: Array


def step_paths(
    pools: Sequence[MarginPool], generator: ScenarioGenerator, *, horizon_s: int, n_paths: int, seed: int
) -> StepPaths:
    """Return the running maximum of every pool at the end of every step.

    The same paths and the same draws inside the steps as ``paths.engine.simulate`` with this seed; its ``maximum`` is
    the last row. A pool that holds nothing and owes nothing is never liquidated: its rows are minus infinity.

    Raises
    ------
    InputError
        If the horizon is no whole number of steps, or a factor is missing.
    """
    info = generator.info
    if horizon_s % info.step_s or horizon_s <= 0:
        raise InputError(f"was {horizon_s} s", field="horizon", allowed=f"a multiple of the step, {info.step_s} s")
    n_steps, n_blocks = horizon_s // info.step_s, -(-n_paths // BLOCK_PATHS)
    watched = _Watched(pools, generator, n_steps=n_steps, seed=seed)
    running = np.empty((n_steps + 1, len(pools), n_blocks * BLOCK_PATHS))
    for number in range(n_blocks):
        block = generator.block(seed=seed, number=number, n_steps=n_steps, n_paths=BLOCK_PATHS)
        first = number * BLOCK_PATHS
        watched.fill(block, first, running[:, :, first : first + BLOCK_PATHS])
    return StepPaths(pool_ids=tuple(pool.id for pool in pools), step_s=info.step_s, running=running)


class _Watched:
    """Pools that are followed one step at a time."""

    def __init__(self, pools: Sequence[MarginPool], generator: ScenarioGenerator, *, n_steps: int, seed: int) -> None:
        info = generator.info
        programs = [compile_pool(pool, info.factors, info) for pool in pools]
        keys = [bridge_key(seed, pool.id) for pool in pools]
        hours = info.step_s / SECONDS_PER_HOUR
        self.plain = [row for row, pool in enumerate(pools) if pool.model is None]
        self.modelled = {
            row: ModelledPool(
                pool, programs[row], key=keys[row], loading=info.loading, hours=hours, horizon=n_steps, n_steps=n_steps,
                volatility_key=level_key(seed),
            )
            for row, pool in enumerate(pools)
            if pool.model is not None
        }  # fmt: skip
        self.follower = Follower(
            [programs[row] for row in self.plain], keys=[keys[row] for row in self.plain], loading=info.loading,
            hours=hours, horizon=n_steps, n_paths=BLOCK_PATHS,
        )  # fmt: skip
        # What the kernels carry is looked at after every slab: a slab of one step shows every step.
        self.follower.slabs.steps = 1
        self.start = np.array([_start(pool) for pool in pools])
        self.idle = [row for row, pool in enumerate(pools) if is_idle(pool)]

    def fill(self, block: ScenarioBlock, first_path: int, running: Array) -> None:
        """Fill the running maxima [step + 1, pool, path] of one block."""

        def watch(steps_done: int, states: Sequence[PoolState | JointState]) -> None:
            for row, state in zip(self.plain, states, strict=True):
                running[steps_done, row] = state.maximum

        if self.plain:
            self.follower.follow(block, first_path=first_path, watch=watch)
        for row, pool in self.modelled.items():
            followed = pool.follow(block, first_path=first_path)
            running[0, row] = followed.node_shortfall[0]
            running[1:, row] = np.maximum(np.maximum.accumulate(followed.step_maximum, axis=0), running[0, row])
        running[0, self.plain] = self.start[self.plain, None]
        running[:, self.idle] = -np.inf


class NodeRecorder:
    """Keeps equity and maintenance of every path at the ends of the steps; give ``observe`` to the engine."""

    def __init__(self, *, n_steps: int, n_pools: int, n_paths: int) -> None:
        shape = (n_steps + 1, n_pools, -(-n_paths // BLOCK_PATHS) * BLOCK_PATHS)
        self.equity, self.maintenance = np.empty(shape), np.empty(shape)

    def observe(self, first_path: int, close: Array, equity: Array, maintenance: Array) -> None:
        """Keep one block; the axes are those of ``paths.engine.Observer``."""
        part = slice(first_path, first_path + close.shape[2])
        self.equity[:, :, part], self.maintenance[:, :, part] = equity, maintenance


def node_states(
    pools: Sequence[MarginPool], generator: ScenarioGenerator, *, horizon_s: int, n_paths: int, seed: int
) -> NodeStates:
    """Return equity and maintenance of every pool at the ends of the steps, on the paths of ``step_paths``."""
    recorder = NodeRecorder(n_steps=horizon_s // generator.info.step_s, n_pools=len(pools), n_paths=n_paths)
    settings = PathSettings(
        n_paths=n_paths, horizon_s=horizon_s, follow_s=horizon_s, seed=seed, tolerance=0.01, threads=1
    )
    simulate(pools, generator, settings, observer=recorder.observe)
    return NodeStates(equity=recorder.equity, maintenance=recorder.maintenance)


def cash_needed(running: Array, arrived: Array) -> Array:
    """Return what a pool would have needed at the start on top of the cash that arrives, [path].

    Parameters
    ----------
    running : array [step + 1, path]
        Running maximum of the shortfall.
    arrived : array [step + 1] or [step + 1, path]
        Cash that has arrived by the end of each step, never falling; below 0 where cash has left at the start. What
        arrives at the end of the last step helps nothing.

    Returns
    -------
    array [path]
        The pool is liquidated exactly where it is at least 0.
    """
    cash = arrived[:, None] if arrived.ndim == 1 else arrived
    found = np.maximum((running[1:] - cash[:-1]).max(axis=0), running[0] - cash[0])
    return np.asarray(found, dtype=np.float64)


def first_liquidation(running: Array, arrived: Array) -> NDArray[np.int64]:
    """Return the step inside which each path is liquidated, 0 the start, -1 never; arguments as in ``cash_needed``."""
    cash = arrived[:, None] if arrived.ndim == 1 else arrived
    touched = np.concatenate([running[:1] - cash[:1], running[1:] - cash[:-1]]) >= 0.0
    return np.where(touched.any(axis=0), touched.argmax(axis=0), -1).astype(np.int64)


def is_idle(pool: MarginPool) -> bool:
    """Whether a pool holds nothing and owes nothing, so that there is nothing to liquidate."""
    return pool.is_flat and bool((pool.assets.balance_native >= 0.0).all())


def _start(pool: MarginPool) -> float:
    nothing = np.zeros((pool.assets.count, 1))
    return float(reference.evaluate_step(pool, np.ones((len(pool.factors), 1)), nothing)[0][0])


__all__ = ["NodeRecorder", "NodeStates", "StepPaths", "cash_needed", "first_liquidation", "node_states", "step_paths"]
