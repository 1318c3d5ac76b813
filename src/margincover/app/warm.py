"""Compile the kernels once, so that no later run waits for it: ``python -m margincover.app.warm``.

Numba keeps what it compiled beside the package, or in the user's cache folder where that is read-only. Without this the
first run of a program does the same work.
"""

from __future__ import annotations

import numpy as np

from margincover.app.cascade import CascadeRequest, cascade
from margincover.app.cascade_index import stated_fall
from margincover.app.cover import cover
from margincover.app.demo import demo_book
from margincover.pricing.option_cells import Cells, OptionBook, cell_profits
from margincover.venues.deribit import cells_kernel


def warm() -> None:
    """Run one block of the example book, which uses every kernel of the default scenarios, and value an option.

    The example book holds no options: their kernels are called on one option of round numbers. The shipped population
    of accounts has several coins; the engine for isolated accounts compiles in seconds when it is first used.
    """
    cover(demo_book(), paths=256, follow_s=86_400, threads=1)
    _warm_options()
    cascade(CascadeRequest(index=stated_fall(-0.02, over_s=60.0, duration_s=120.0, step_s=60.0)))


def _warm_options() -> None:
    one = np.ones(1)
    book = OptionBook(
        weight=one[:, None], strike=one, is_call=np.ones(1, dtype=bool), years=one[:, None], forward=one[:, None]
    )
    cell_profits(book, volatility=np.ones((1, 1, 1)), cells=Cells(growth=one, kind=np.zeros(1, dtype=np.int64)))
    cells_kernel.add_options(
        np.ones((1, 6)),
        np.zeros(1, dtype=np.int32),
        one[:, None],
        one[:, None],
        0.0,
        True,
        np.ones(3),
        np.zeros(3),
        np.arange(3, dtype=np.int32),
        1,
        np.zeros((1, 3)),
        np.zeros((1, 1)),
        np.zeros((2, 1)),
    )


if __name__ == "__main__":
    warm()
