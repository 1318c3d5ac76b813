"""Hyperliquid portfolio margin: the liquidation threshold of a collateral token and the borrow rate."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from margincover.venues.hyperliquid import portfolio
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors.named import inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case

AT = datetime(2026, 9, 15, tzinfo=UTC)
SPELLINGS = {
    "threshold": "liquidationthreshold liqthreshold threshold",
    "rate": "apy borrowapy rate borrowrate interestrate apr borrowapr",
}


def answer(case: Case) -> Answer | None:
    """Return the figures of a case about thresholds or borrowing, None for any other case."""
    if not re.search(r"portfolio|borrow", case.family):
        return None
    given = inputs_of(case)
    ltv = next((given.number(key) for key in given.names() if key.startswith(("ltv", "loantovalue"))), None)
    used = given.number("utilization", "utilisation", "u")
    if ltv is None and used is None:
        return None
    edition = parameters("hyperliquid", mode="portfolio_margin", underlying="*", at=AT)
    rule = portfolio.PortfolioParameters.from_mapping(edition.values, source=edition.id)
    figures: dict[str, object] = {}
    if ltv is not None:
        figures["threshold"] = float(portfolio.liquidation_threshold(ltv, parameters=rule))
    if used is not None:
        figures["rate"] = float(portfolio.borrow_rate_per_year(used, parameters=rule))
    return named(case, figures, spellings=SPELLINGS)
