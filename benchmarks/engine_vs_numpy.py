"""The path kernel against straightforward NumPy on the same blocks of paths, interleaved in one run.

    python benchmarks/engine_vs_numpy.py [--rounds 7] [--blocks 4]

200 perpetual positions in 10 cross pools, 20 coins, 6 tiers each, 168 hourly steps, blocks of 256 paths. Making the
scenarios is measured apart and counted in neither. The kernel also does what the baseline does not: the Brownian bridge
between the closes. A check with the bridge off (step variance 0) compares the results of both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import numpy_engine

import books
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock
from margincover.paths.engine import BLOCK_PATHS
from margincover.paths.follow import Follower, bridge_key
from margincover.paths.program import compile_pool
from margincover.scenarios.brownian import GeometricBrownian
from margincover.units import SECONDS_PER_HOUR

N_STEPS = 168


def _follower(pools: list[MarginPool], source: GeometricBrownian) -> Follower:
    return Follower(
        [compile_pool(pool, source.info.factors) for pool in pools],
        keys=[bridge_key(1, pool.id) for pool in pools],
        loading=source.info.loading,
        hours=source.info.step_s / SECONDS_PER_HOUR,
        horizon=N_STEPS,
        n_paths=BLOCK_PATHS,
    )


def _in_threads(block: Callable[[int], object], n_blocks: int, threads: int) -> None:
    if threads == 1:
        for number in range(n_blocks):
            block(number)
        return
    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(block, range(n_blocks)))


def _largest_differences(pools: list[MarginPool], follower: Follower, blocks: list[ScenarioBlock]) -> tuple[float, int]:
    """Return the largest difference of the maximum over the pool's notional, and the first passages that differ."""
    worst, passages = 0.0, 0
    for block in blocks:
        ours = follower.follow(replace(block, step_variance=np.zeros_like(block.step_variance)), first_path=0)
        for pool, state in zip(pools, ours, strict=True):
            notional = float((np.abs(pool.legs.signed_size) * pool.legs.mark_price).sum())
            maximum, _, first = numpy_engine.follow(pool, block.close_log)
            worst = max(worst, float(np.abs(maximum - state.maximum).max()) / notional)
            passages += int((first != state.passage[1]).sum())
    return worst, passages


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print ns per position-step, the ratios and the check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--blocks", type=int, default=4)
    options = parser.parse_args()
    pools, source = books.perpetual_pools(), books.brownian()
    making: list[float] = []
    blocks: list[ScenarioBlock] = []
    for number in range(options.blocks):
        start = time.perf_counter()
        blocks.append(source.block(seed=1, number=number, n_steps=N_STEPS, n_paths=BLOCK_PATHS))
        making.append(time.perf_counter() - start)
    follower = _follower(pools, source)
    worst, passages = _largest_differences(pools, follower, blocks)

    def ours(number: int) -> None:
        follower.follow(blocks[number], first_path=number * BLOCK_PATHS)

    def baseline(number: int) -> None:
        for pool in pools:
            numpy_engine.follow(pool, blocks[number].close_log)

    runs = {
        f"{name}, {threads} thread{'s' if threads > 1 else ''}": partial(_in_threads, block, len(blocks), threads)
        for threads in (1, 2)
        for name, block in (("numpy", baseline), ("margincover", ours))
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(_seconds(run))
    position_steps = sum(pool.legs.count for pool in pools) * N_STEPS * BLOCK_PATHS * options.blocks
    unit = {name: statistics.median(values) / position_steps * 1e9 for name, values in times.items()}
    for name, value in unit.items():
        print(f"{name:24} {value:8.3f} ns per position-step, {unit['numpy, 1 thread'] / value:6.1f}x numpy on 1 thread")
    same = unit["numpy, 2 threads"] / unit["margincover, 2 threads"]
    print(f"both on 2 threads: {same:.1f}x")
    prices = N_STEPS * len(source.info.factors) * BLOCK_PATHS
    print(f"making a Brownian block: {statistics.median(making) / prices * 1e9:.1f} ns per price (counted in neither)")
    print(f"bridge off: largest difference of the maximum {worst:.1e} of the pool's notional, ", end="")
    print(f"{passages} of {len(pools) * options.blocks * BLOCK_PATHS} first passages differ")


if __name__ == "__main__":
    main()
