"""Milliseconds for equity and margins of 1,000 accounts with 20 positions, stacked against pool by pool, in one run.

    python benchmarks/static_margin.py [--rounds 15] [--accounts 1000]

Accounts of all venues and rules mixed (see ``static_books.py``), options included. Market states are drawn with moves
of about 10 % by coin. Rounds are paired: each takes the loop over pools (``margin.evaluate_pool``, the baseline), the
batch already stacked, and stacking and evaluating together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from static_books import pools_of

from margincover.model.pool import MarginPool
from margincover.numeric.rng import stream
from margincover.venues import margin, mixed_batch
from margincover.venues.mixed_batch import MixedBatch

N_STATES = 100


def _loop(pools: Sequence[MarginPool], states: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    results = [margin.evaluate_pool(pool, state) for pool, state in zip(pools, states, strict=True)]
    return tuple(np.stack(figures) for figures in zip(*results, strict=True))


def _by_pool(pools: Sequence[MarginPool], batch: MixedBatch, state: np.ndarray) -> list[np.ndarray]:
    """Return the state [factor, path] of each pool's own factors."""
    row = {name: number for number, name in enumerate(batch.factors)}
    return [state[[row[name] for name in pool.factors]] for pool in pools]


def _largest_difference(ours: Sequence[np.ndarray], twin: Sequence[np.ndarray]) -> float:
    # Equity may be next to nothing: a difference counts against the largest figure of the pool in that state.
    size = np.maximum.reduce([np.abs(figure) for figure in twin])
    return max(float((np.abs(a - b) / size).max()) for a, b in zip(ours, twin, strict=True))


def main() -> None:
    """Print the times, the ratios to the baseline and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    start = time.perf_counter()
    pools = pools_of(options.accounts)
    loading = time.perf_counter() - start
    batch = MixedBatch.of(pools)
    many = np.exp(0.1 * stream(7, "benchmark.state", 0).standard_normal((len(batch.factors), N_STATES)))
    one = many[:, :1]
    one_by_pool, many_by_pool = _by_pool(pools, batch, one), _by_pool(pools, batch, many)
    runs: dict[str, Callable[[], object]] = {
        "pool by pool, 1 state": lambda: _loop(pools, one_by_pool),
        "batch, 1 state": lambda: mixed_batch.evaluate(batch, one),
        "stacking and 1 state": lambda: mixed_batch.evaluate(MixedBatch.of(pools), one),
        f"pool by pool, {N_STATES} states": lambda: _loop(pools, many_by_pool),
        f"batch, {N_STATES} states": lambda: mixed_batch.evaluate(batch, many),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    legs, options_held = sum(pool.legs.count for pool in pools), sum(pool.options.count for pool in pools)
    with_model, alone = sum(pool.model is not None for pool in pools), len(batch.alone)
    print(f"{len(pools)} pools, {with_model} with a model, {alone} of them not stacked; {legs} perpetuals")
    print(f"{options_held} options; book resolved and compiled in {loading:.1f} s")
    for name, values in times.items():
        baseline = times[f"pool by pool, {name.partition(', ')[2]}"] if ", " in name else times["pool by pool, 1 state"]
        ratio = statistics.median(b / v for b, v in zip(baseline, values, strict=True))
        print(f"{name:26} {statistics.median(values):9.2f} ms, {min(values):9.2f} at best, {ratio:6.1f}x pool by pool")
    difference = _largest_difference(mixed_batch.evaluate(batch, many), _loop(pools, many_by_pool))
    print(f"largest relative difference {difference:.1e}")


if __name__ == "__main__":
    main()
