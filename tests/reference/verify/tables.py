"""Tables: tier lists of a case through the product's own reading of a tier table."""

from __future__ import annotations

import re
from datetime import datetime

from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.venues.resolve import resolve
from margincover.venues.symbols import resolve_instrument
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number

Rows = tuple[tuple[float, float, float], ...]


def deductions(*, venue: str, mode: str, symbol: str, as_of: datetime, rows: Rows) -> list[float]:
    """Return the deductions that the product completes for a table, one per tier.

    Raises
    ------
    margincover.errors.InputError
        If the product refuses the table.
    """
    override = TierOverride(
        venue=venue, symbol=symbol, rows=tuple((f, cap, rate, None, None) for f, cap, rate in rows), observed="case"
    )
    book = resolve(
        BookInput(
            as_of=as_of,
            accounts=(Account(id=f"{venue}:case", venue=venue, mode=mode),),
            market=MarketState(as_of=as_of, observed_at=as_of),
            # A contract size does not enter a deduction; without one the symbol might not be read.
            instrument_overrides=(InstrumentOverride(venue=venue, symbol=symbol, multiplier=1.0),),
            tier_overrides=(override,),
            source="case",
        )
    )
    instrument = resolve_instrument(book.rulebooks[venue], symbol, multiplier=1.0)
    return [tier.deduction for tier in book.tier_overrides[instrument.id].tiers]


def lone_edge(case: Case) -> tuple[Rows, int] | None:
    """Return a table that ends with the edge of which a case speaks, and the number of rows put in front of it.

    A case may give one edge only: its floor, the rates on both sides and the deduction below. A deduction depends on
    nothing else, so any lower tiers with that deduction serve; one is put in front.

    Raises
    ------
    UnsupportedError
        If no table can have that deduction below that floor.
    """
    found: dict[str, dict[int, float]] = {"floor": {}, "mmr": {}, "cum": {}}
    for layer in case.layers:
        for key, value in layer.items():
            match = re.match(r"(floor|mmr|cum)_?(?:tier_?)?(\d+)", key.lower())
            number = as_number(value)
            if match and number is not None:
                found[match.group(1)][int(match.group(2))] = number
    if not found["floor"]:
        return None
    edge = max(found["floor"])
    if not {edge, edge - 1} <= found["mmr"].keys() or edge - 1 not in found["cum"]:
        raise UnsupportedError("the edge of a tier table without both rates and the deduction below it")
    floor, lower, upper, below = (
        found["floor"][edge],
        found["mmr"][edge - 1],
        found["mmr"][edge],
        found["cum"][edge - 1],
    )
    if below == 0.0:
        return ((0.0, floor, lower), (floor, float("inf"), upper)), edge - 2
    first = below / lower
    if first >= floor:
        raise UnsupportedError(f"deduction {below:g} below {floor:g} cannot come from rates up to {lower:g}")
    start = (first + floor) / 2.0
    return ((0.0, start, lower - below / start), (start, floor, lower), (floor, float("inf"), upper)), edge - 3
