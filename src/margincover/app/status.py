"""Status: every pool at ``as_of``, worst first, against what the venues report."""

from __future__ import annotations

from dataclasses import replace

from margincover.app.announcements import announcement_text, announcements
from margincover.app.facade import StatusReport
from margincover.app.provenance import build_provenance
from margincover.coverage.reconcile import reconcile
from margincover.coverage.status import pool_statuses, severity
from margincover.model.book import Book
from margincover.model.results import StatusResult
from margincover.venues.explain import explain_pool
from margincover.venues.pools import build_pools


def status(book: Book, *, explain: bool = False) -> StatusReport:
    """Return what each venue would say of each account now: equity, margins, ratio, liquidation prices.

    Parameters
    ----------
    book : Book
        From ``load``.
    explain : bool
        Add to every pool the trees that lead from its figures to balances, tiers, fees and haircuts.

    Raises
    ------
    InputError, RulebookError, StaleDataError
        If something that a venue's rule needs is missing or too old.
    """
    pools = build_pools(book)
    statuses, rows = reconcile(book, pools, pool_statuses(pools))
    if explain:
        statuses = tuple(
            replace(status, explain=explain_pool(pool)) for status, pool in zip(statuses, pools, strict=True)
        )
    to_come = announcements(book)
    result = StatusResult(
        pools=tuple(sorted(statuses, key=severity)),
        reconciliation=rows,
        provenance=build_provenance(book, pools, warnings=[announcement_text(each) for each in to_come]),
        announcements=to_come,
    )
    return StatusReport(result=result)
