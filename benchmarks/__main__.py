"""Run all benchmarks: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPTS = ("startup.py", "engine_vs_numpy.py", "static_margin.py", "generators.py", "filtered.py", "memory_growth.py")


def main() -> int:
    """Run every script in its own process; return the largest exit code."""
    codes = []
    for name in SCRIPTS:
        print(f"\n{name}", flush=True)
        codes.append(subprocess.run([sys.executable, str(Path(__file__).with_name(name))], check=False).returncode)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
