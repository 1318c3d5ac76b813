"""What-if: margins, liquidation moves and a grid over spot before and after trades and transfers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.app.changes import Trade, Transfer, changed_book
from margincover.app.facade import WhatIfReport
from margincover.app.status import status
from margincover.errors import UsageError
from margincover.model.book import Book
from margincover.model.results import SpotGrid, WhatIfResult
from margincover.venues import margin
from margincover.venues.pools import build_pools

_GRID_POINTS = 13


def whatif(
    book: Book,
    *,
    trades: Sequence[Trade] = (),
    transfers: Sequence[Transfer] = (),
    spot_fraction: tuple[float, float] = (-0.3, 0.3),
) -> WhatIfReport:
    """Return the status of a book before and after trades and transfers, and coverage ratios over a grid of spot.

    Parameters
    ----------
    book : Book
    trades, transfers : sequence
        Applied in this order; nothing is traded or sent.
    spot_fraction : tuple of float
        Lowest and highest common move of all coins, for example (-0.3, 0.3).

    Raises
    ------
    UsageError
        If there is nothing to try, or the grid is not two numbers above -1 that rise.
    """
    if not trades and not transfers:
        raise UsageError("nothing was changed", field="--add", allowed="at least one --add or --transfer")
    low, high = spot_fraction
    if not -0.99 <= low < high <= 10.0:
        raise UsageError(f"was {low:g}:{high:g}", field="--grid", allowed="spot=LOW:HIGH in per cent, -99 to 1000")
    after = changed_book(book, trades, transfers)
    moves = np.linspace(low, high, _GRID_POINTS)
    return WhatIfReport(
        result=WhatIfResult(
            before=status(book).result,
            after=status(after).result,
            grid_before=_grid(book, moves),
            grid_after=_grid(after, moves),
        )
    )


def _grid(book: Book, moves: np.ndarray) -> SpotGrid:
    pools = build_pools(book)
    ratios = []
    for pool in pools:
        factors = np.repeat((1.0 + moves)[None, :], max(len(pool.factors), 1), axis=0)
        equity, maintenance, _ = margin.evaluate_pool(pool, factors)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append(tuple(float(x) if np.isfinite(x) else None for x in equity / maintenance))
    return SpotGrid(
        move_fractions=tuple(float(move) for move in moves),
        pool_ids=tuple(pool.id for pool in pools),
        coverage_ratios=tuple(ratios),
    )
