"""Peak memory of a run against the number of paths, each run in a fresh process.

    python benchmarks/memory_growth.py

The synthetic book of four coins, packaged Monte Carlo, 24 h horizon, 168 hourly steps, two threads. A peak is the
largest resident set of its process: a second run in one process would hide behind the peak of the first.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

SMALL, LARGE = 10_000, 400_000
ALLOWED_MB = 200.0


def _run(n_paths: int) -> None:
    import books
    from margincover.paths.engine import PathSettings, simulate
    from margincover.scenarios.calibration import load_packaged
    from margincover.scenarios.montecarlo import StudentTMonteCarlo

    calibration = load_packaged()
    names = calibration.names[:4]
    pools = books.perpetual_pools(n_pools=6, n_legs=4, names=names)
    generator = StudentTMonteCarlo(calibration=calibration, factors=names)
    settings = PathSettings(
        n_paths=n_paths, horizon_s=24 * books.STEP_S, follow_s=168 * books.STEP_S, seed=1, tolerance=0.01, threads=2
    )
    start = time.perf_counter()
    summary = simulate(pools, generator, settings)
    seconds = time.perf_counter() - start
    results = sum(array.nbytes for array in (summary.maximum, summary.maximum_step, summary.liquidation_step)) / 1e6
    results += summary.margin_call_step.nbytes / 1e6
    # Linux counts kilobytes here, macOS bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"{n_paths} {peak:.1f} {results:.1f} {seconds:.2f}")


def main() -> int:
    """Print the peaks and the growth; return 1 when the growth is not below 200 MB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, help="run once in this process and print paths, MB, MB of results, s")
    options = parser.parse_args()
    if options.paths:
        _run(options.paths)
        return 0
    peaks = []
    for n_paths in (SMALL, LARGE):
        command = [sys.executable, __file__, "--paths", str(n_paths)]
        done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        peaks.append(float(done[1]))
        print(f"{n_paths:>9,} paths: peak {done[1]} MB, of which results per path {done[2]} MB; {done[3]} s")
    growth = peaks[1] - peaks[0]
    print(f"growth {growth:.1f} MB; allowed {ALLOWED_MB:.0f} MB")
    return 0 if growth < ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
