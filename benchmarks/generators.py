"""Nanoseconds per price of the Monte Carlo generator against its NumPy twin, interleaved in one run.

    python benchmarks/generators.py [--rounds 5]

Four coins of the packaged calibration, 168 hourly steps, blocks of 256 paths, one thread. Both take the same draws from
NumPy; the draws alone are shown too, because no kernel can be faster than they are.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from margincover.numeric import recursions_reference
from margincover.numeric.rng import stream
from margincover.numeric.students_t import mixing_scale_squared
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.dependence import correlation_root
from margincover.scenarios.montecarlo import MAX_MIXING_SCALE, StudentTMonteCarlo
from margincover.scenarios.request import correlate

N_STEPS, N_PATHS, N_COINS = 168, 256, 4


def _draws(number: int, nu: float) -> tuple[np.ndarray, ...]:
    shape = (N_STEPS, N_COINS, N_PATHS)
    mixing = mixing_scale_squared(
        stream(1, "montecarlo.mixing", number), nu=nu, max_scale=MAX_MIXING_SCALE, shape=(N_STEPS, N_PATHS)
    )
    return (
        stream(1, "montecarlo.normal", number).standard_normal(shape),
        mixing,
        stream(1, "montecarlo.low", number).standard_exponential(shape),
        stream(1, "montecarlo.high", number).standard_exponential(shape),
    )


def main() -> None:
    """Print ns per price and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    calibration = load_packaged()
    names = calibration.names[:N_COINS]
    generator = StudentTMonteCarlo(calibration=calibration, factors=names)
    root = correlation_root(calibration.correlation[:N_COINS, :N_COINS])
    fits = [calibration.of(name).garch for name in names]
    garch = np.array([[*fit.as_vector(), fit.long_run_variance] for fit in fits])

    def twin(number: int) -> np.ndarray:
        normals, mixing, low, high = _draws(number, calibration.nu_joint)
        shock, variance = recursions_reference.gjr_mixture_paths(correlate(normals, root), mixing, garch)
        close = np.cumsum(shock - 0.5 * variance, axis=0)
        return np.stack([close, *recursions_reference.bridge_extremes(close, variance, low, high)])

    def ours(number: int) -> np.ndarray:
        block = generator.block(seed=1, number=number, n_steps=N_STEPS, n_paths=N_PATHS)
        return np.stack([block.close_log, block.low_log, block.high_log])

    difference = float(np.abs(twin(0) - ours(0)).max())
    runs: dict[str, Callable[[int], object]] = {
        "numpy twin": twin,
        "margincover": ours,
        "draws alone": lambda number: _draws(number, calibration.nu_joint),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(number)
            times[name].append((time.perf_counter() - start) / (N_STEPS * N_COINS * N_PATHS) * 1e9)
    unit = {name: statistics.median(values) for name, values in times.items()}
    for name, value in unit.items():
        print(f"{name:12} {value:7.1f} ns per price, {unit['numpy twin'] / value:.1f}x the twin")
    print(f"largest difference of a log price {difference:.1e}")


if __name__ == "__main__":
    main()
