"""Compile the kernels once, so that no later run waits for it: ``python -m margincover.app.warm``.

Numba keeps what it compiled beside the package, or in the user's cache folder where that is read-only. Without this the
first run of a program does the same work.
"""

from __future__ import annotations

from margincover.app.cover import cover
from margincover.app.demo import demo_book


def warm() -> None:
    """Run one block of the example book, which uses every kernel of the default scenarios."""
    cover(demo_book(), paths=256, follow_s=86_400, threads=1)


if __name__ == "__main__":
    warm()
