"""Start-up: help, import and demo, cold (empty kernel cache) and warm, each in a fresh process.

    python benchmarks/startup.py [--rounds 5] [--cold 3]

The demo runs in a temporary folder. Its processor seconds stand beside the wall seconds: on a busy machine only they
can be compared.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "margincover"]


def _run(command: list[str], cache: str) -> tuple[float, float]:
    """Return wall and processor seconds of one process."""
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _print(name: str, runs: list[tuple[float, float]]) -> None:
    wall = [run[0] for run in runs]
    processor = statistics.median(run[1] for run in runs)
    print(
        f"{name:28} median {statistics.median(wall):6.2f} s, best {min(wall):6.2f} s; processor {processor:6.2f} s "
        f"({len(runs)} runs)"
    )


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as warm:
        rounds = range(options.rounds)
        _print("python -c 'pass'", [_run([sys.executable, "-c", "pass"], warm) for _ in rounds])
        _print("import margincover", [_run([sys.executable, "-c", "import margincover"], warm) for _ in rounds])
        _print("margincover --help", [_run([*COMMAND, "--help"], warm) for _ in rounds])
        cold = []
        for number in range(options.cold):
            empty = Path(warm) / f"cold-{number}"
            empty.mkdir()
            cold.append(_run([*COMMAND, "demo"], str(empty)))
        _print("margincover demo, cold", cold)
        _run([*COMMAND, "demo"], warm)
        _print("margincover demo, warm", [_run([*COMMAND, "demo"], warm) for _ in rounds])


if __name__ == "__main__":
    main()
