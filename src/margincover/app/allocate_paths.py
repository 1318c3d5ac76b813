"""The paths behind an allocation: running maximum of the shortfall of every pool, look by look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.app.option_volatility import with_volatility
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo
from margincover.paths.engine import PathSettings, simulate
from margincover.units import SECONDS_PER_HOUR

_MAX_LOOKS = 24
# Blocks are kept between runs of rising length only while they fit comfortably into memory.
_KEPT_BYTES = 400_000_000

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPaths:
    """Running maximum of maintenance less equity, in US dollars at today's prices of the pools' units.

    Parameters
    ----------
    times_s : tuple of int [time]
        Looks, from 0.
    running_usd : array [time, pool, path]
        Row 0 is now. If nobody adds money; no absorption.
    hourly_usd : array [pool]
        Standard deviation of the change of headroom over the first step, scaled to one hour.
    """

    times_s: tuple[int, ...]
    running_usd: Array
    hourly_usd: Array


class RememberedPaths:
    """A generator that keeps its blocks: a shorter run is the beginning of a longer one."""

    def __init__(self, generator: ScenarioGenerator, *, is_kept: bool) -> None:
        self._generator, self._is_kept = generator, is_kept
        self._blocks: dict[tuple[int, int, int], ScenarioBlock] = {}

    @property
    def info(self) -> ScenarioInfo:
        """What the generator makes."""
        return self._generator.info

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return a block, cut from a longer one where that was made before."""
        key = (seed, number, n_paths)
        kept = self._blocks.get(key)
        if kept is None or kept.close_log.shape[0] < n_steps:
            kept = self._generator.block(seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
            if self._is_kept:
                self._blocks[key] = kept
        if kept.close_log.shape[0] == n_steps:
            return kept
        return ScenarioBlock(
            close_log=kept.close_log[:n_steps],
            low_log=kept.low_log[:n_steps],
            high_log=kept.high_log[:n_steps],
            step_variance=kept.step_variance[:n_steps],
            funding_per_hour=None if kept.funding_per_hour is None else kept.funding_per_hour[:n_steps],
            mark_log=None if kept.mark_log is None else kept.mark_log[:n_steps],
        )


def look_times(horizon_s: int, step_s: int) -> tuple[int, ...]:
    """Return the times of looking, from 0 to the horizon: every step, or about 24 of them on a long horizon."""
    n_steps = horizon_s // step_s
    every = -(-n_steps // _MAX_LOOKS)
    steps = [*range(0, n_steps, every), n_steps]
    return tuple(step * step_s for step in steps)


def desk_paths(
    pools: Sequence[MarginPool],
    generator: ScenarioGenerator,
    *,
    horizon_s: int,
    paths: int,
    seed: int,
    threads: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> DeskPaths:
    """Follow the pools along joint paths and return their running maxima.

    Raises
    ------
    InputError
        If the horizon is no whole number of steps of the generator.
    """
    step_s = generator.info.step_s
    times = look_times(horizon_s, step_s)
    size = paths * (horizon_s // step_s) * len(generator.info.factors) * 4 * 8
    remembered = RememberedPaths(generator, is_kept=size <= _KEPT_BYTES)
    moved = with_volatility(pools)
    unit_usd = np.array([pool.unit_usd for pool in pools])[:, np.newaxis]
    rows: list[Array] = []
    hourly = np.zeros(len(pools))
    # The longest run first: the shorter ones are cut from its blocks.
    for number, until_s in enumerate(reversed(times[1:])):
        run = PathSettings(
            n_paths=paths, horizon_s=until_s, follow_s=until_s, seed=seed, tolerance=0.01, threads=threads
        )
        summary = simulate(moved, remembered, run)
        rows.append(summary.maximum * unit_usd)
        if number == 0:
            shortfall = summary.fan_maintenance - summary.fan_equity
            hourly = (shortfall[1] - shortfall[0]).std(axis=1) * unit_usd[:, 0] / np.sqrt(step_s / SECONDS_PER_HOUR)
            start = np.broadcast_to(summary.start_shortfall[:, np.newaxis] * unit_usd, rows[0].shape)
        if progress:
            progress(number + 1, len(times) - 1)
    running = np.stack([start, *reversed(rows)])
    # Each run finds the same maxima up to the last bit or two; a running maximum never falls.
    return DeskPaths(times_s=times, running_usd=np.maximum.accumulate(running, axis=0), hourly_usd=hourly)
