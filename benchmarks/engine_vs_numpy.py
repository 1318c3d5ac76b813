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

import books
import numpy as np
import numpy_engine

from margincover.model.pool import MarginPool
from margincover.model.results import PathSummary
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.paths.engine import BLOCK_PATHS, PathSettings, simulate

N_STEPS = 168


class Recorded:
    """A generator that hands out blocks made before, so that no scenario is made inside the measured time."""

    def __init__(self, info: ScenarioInfo, blocks: list[ScenarioBlock]) -> None:
        self.info, self.blocks = info, blocks

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number``."""
        return self.blocks[number]


def _ours(pools: list[MarginPool], generator: Recorded, threads: int) -> PathSummary:
    horizon_s = N_STEPS * books.STEP_S
    n_paths = len(generator.blocks) * BLOCK_PATHS
    settings = PathSettings(
        n_paths=n_paths, horizon_s=horizon_s, follow_s=horizon_s, seed=1, tolerance=0.01, threads=threads,
        chunk_blocks=1,
    )  # fmt: skip
    return simulate(pools, generator, settings)


def _baseline(pools: list[MarginPool], generator: Recorded, threads: int) -> np.ndarray:
    def block(one: ScenarioBlock) -> np.ndarray:
        return np.stack([numpy_engine.follow(pool, one.close_log)[0] for pool in pools])

    if threads == 1:
        return np.concatenate([block(one) for one in generator.blocks], axis=1)
    with ThreadPoolExecutor(threads) as executor:
        return np.concatenate(list(executor.map(block, generator.blocks)), axis=1)


def _largest_differences(pools: list[MarginPool], generator: Recorded) -> tuple[float, int]:
    """Return the largest difference of the maximum over the pool's notional, and the first passages that differ."""
    closes = Recorded(
        generator.info, [replace(block, step_variance=np.zeros_like(block.step_variance)) for block in generator.blocks]
    )
    ours = _ours(pools, closes, 1)
    worst, passages = 0.0, 0
    for row, pool in enumerate(pools):
        notional = float((np.abs(pool.legs.signed_size) * pool.legs.mark_price).sum())
        for number, block in enumerate(closes.blocks):
            part = slice(number * BLOCK_PATHS, (number + 1) * BLOCK_PATHS)
            maximum, _, first = numpy_engine.follow(pool, block.close_log)
            worst = max(worst, float(np.abs(maximum - ours.maximum[row, part]).max()) / notional)
            passages += int((first != ours.liquidation_step[row, part]).sum())
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
    generator = Recorded(source.info, blocks)
    worst, passages = _largest_differences(pools, generator)
    runs = {
        "numpy, 1 thread": lambda: _baseline(pools, generator, 1),
        "numpy, 2 threads": lambda: _baseline(pools, generator, 2),
        "margincover, 1 thread": lambda: _ours(pools, generator, 1),
        "margincover, 2 threads": lambda: _ours(pools, generator, 2),
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
