"""What-if: margins, liquidation moves and a grid over spot, volatility and days, before and after changes."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.app.changes import Trade, Transfer, changed_book
from margincover.app.facade import WhatIfReport
from margincover.app.grid import GridAxes, evaluate_grid
from margincover.app.status import status
from margincover.errors import UsageError
from margincover.model.book import Book
from margincover.model.whatif import WhatIfResult
from margincover.venues.pools import build_pools


def whatif(
    book: Book,
    *,
    trades: Sequence[Trade] = (),
    transfers: Sequence[Transfer] = (),
    axes: GridAxes | None = None,
) -> WhatIfReport:
    """Return the status of a book before and after trades and transfers, and its margins over a grid of the market.

    Parameters
    ----------
    book : Book
    trades, transfers : sequence
        Applied in this order; nothing is traded or sent.
    axes : GridAxes or None
        Common moves of all coins, changes of all implied volatilities, and days; None takes the defaults.

    Raises
    ------
    UsageError
        If there is nothing to try: no trade, no transfer, and no axis stated.
    InputError, RulebookError, StaleDataError
        If something that a venue's rule needs is missing or too old.

    Notes
    -----
    All coins move by the same fraction and all implied volatilities by the same fraction. Days age options only;
    funding and interest are not counted, and an option that has expired is its payoff in cash.
    """
    chosen = axes or GridAxes()
    changed = bool(trades or transfers)
    if not changed and not chosen.is_stated:
        raise UsageError(
            "nothing was to be tried",
            field="--add",
            allowed="at least one of --add, --transfer, --grid, --days or --modes",
        )
    after = changed_book(book, trades, transfers) if changed else book
    status_before = status(book).result
    status_after = status(after).result if changed else status_before
    pools_before = build_pools(book)
    pools_after = build_pools(after) if changed else pools_before
    # One set of axes for both sides, or they could not be compared.
    has_options = any(pool.options.count for pool in (*pools_before, *pools_after))
    grid_before = evaluate_grid(pools_before, chosen, has_options=has_options)
    return WhatIfReport(
        result=WhatIfResult(
            before=status_before,
            after=status_after,
            grid_before=grid_before,
            grid_after=evaluate_grid(pools_after, chosen, has_options=has_options) if changed else grid_before,
            changed=changed,
        )
    )
