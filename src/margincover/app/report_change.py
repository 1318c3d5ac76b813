"""What changed since the previous report: by market, rules, positions, balances, places, and the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.coverage.status import pool_statuses
from margincover.model import statement
from margincover.model.account import Account
from margincover.model.book import Book, BookInput
from margincover.model.instrument import Instrument, Kind
from margincover.model.market import MarketState
from margincover.model.position import Position
from margincover.model.statement import ChangeRow, ExplainedChange, PlaceValue
from margincover.units import format_utc
from margincover.venues import registry
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

ACCOUNT, RESERVE, IN_TRANSIT = "account", "reserve", "in transit"
# What makes two positions the same holding; marks, leverage and what the venue reports do not.
_HOLDING = ("symbol", "contracts", "entry_price", "margin_mode", "isolated_collateral_native", "bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousReport:
    """What an earlier report kept: its book, and what each place was worth then."""

    source: str
    book: BookInput
    values: tuple[PlaceValue, ...]


def place_values(book: Book) -> tuple[PlaceValue, ...]:
    """Return equity and maintenance of every account, and the value of reserves and of money in transit, in USD.

    Raises
    ------
    InputError
        If a reserve's asset has no USD price.
    """
    equity, maintenance = _account_values(book)
    found = [
        PlaceValue(place=name, kind=ACCOUNT, equity_usd=equity[name], maintenance_usd=maintenance[name])
        for name in equity
    ]
    for kind, rows in ((RESERVE, book.reserves), (IN_TRANSIT, book.in_transit)):
        found += [
            PlaceValue(
                place=f"{kind}: {row.id}",
                kind=kind,
                equity_usd=row.amount_native * book.market.index(row.asset),
                maintenance_usd=0.0,
            )
            for row in rows
        ]
    return tuple(found)


def _account_values(book: Book) -> tuple[dict[str, float], dict[str, float]]:
    equity = {account.id: 0.0 for account in book.accounts}
    maintenance = dict(equity)
    for status in pool_statuses(build_pools(book)):
        equity[status.account_id] += status.equity_usd
        maintenance[status.account_id] += status.maintenance_usd
    return equity, maintenance


def explain_change(
    previous: PreviousReport,
    book: Book,
    now: Sequence[PlaceValue],
    *,
    stated: BookInput,
    extra_rules: Sequence[registry.RuleSource] = (),
) -> ExplainedChange:
    """Return how every place came from the value of the previous report to the present one.

    Parameters
    ----------
    previous : PreviousReport
    book : Book
        The present book, ``stated`` as it was read, with its values ``now``.
    extra_rules : sequence of RuleSource

    Raises
    ------
    InputError, RulebookError
        If the previous book cannot be valued, then or in the present market.

    Notes
    -----
    One thing changes at a time, in this order: what can no longer be priced is taken out (counted as positions); the
    present prices and time; the present rules; the present positions and balances. What is left between the value that
    the previous report stated and the one that its book has today at its own time is the rest: rules or the program
    have been corrected since.
    """
    old = resolve(previous.book, extra_rules=extra_rules)
    kept, gone = _priceable(old, book)
    then = _repriced(kept, book)
    ruled = _under_present_rules(previous.book, then, stated, extra_rules)
    states = [place_values(each) for each in (old, kept, then, ruled)]
    traded = _changed(previous.book.accounts, book.accounts)
    notes = [f"{name}: has no price in the present market; its part stands under positions" for name in gone]
    return ExplainedChange(
        previous_as_of=format_utc(previous.book.as_of),
        previous_sha256=previous.book.input_sha256,
        source=previous.source,
        equity=_rows(previous.values, states, now, traded, "equity_usd"),
        maintenance=_rows(
            [each for each in previous.values if each.kind == ACCOUNT],
            states,
            [each for each in now if each.kind == ACCOUNT],
            traded,
            "maintenance_usd",
        ),
        notes=tuple(notes),
    )


def _rows(
    before: Sequence[PlaceValue],
    states: Sequence[Sequence[PlaceValue]],
    now: Sequence[PlaceValue],
    traded: frozenset[str],
    figure: str,
) -> tuple[ChangeRow, ...]:
    """Return one row a place.

    ``states`` are the previous book then, without what has no price now, at present prices, and under present rules.
    """
    stated, present = ({each.place: each for each in side} for side in (before, now))
    steps = [{each.place: float(getattr(each, figure)) for each in state} for state in states]
    rows = []
    for place in dict.fromkeys([*present, *stated]):
        first = float(getattr(stated[place], figure)) if place in stated else 0.0
        last = float(getattr(present[place], figure)) if place in present else 0.0
        then, kept, priced, ruled = (step.get(place, 0.0) for step in steps)
        held = last - ruled
        is_both = place in stated and place in present
        positions = held if place in traded and is_both else 0.0
        parts = {
            statement.MARKET: priced - kept,
            statement.RULES: ruled - priced,
            statement.POSITIONS: positions + (kept - then),
            statement.BALANCES: held if place not in traded and is_both else 0.0,
            statement.PLACES: 0.0 if is_both else held,
        }
        # The rest closes the sum, so that no rounding of the parts is lost.
        rest = (last - first) - math.fsum(parts.values())
        parts[statement.REST] = rest if abs(rest) > 1e-9 * max(1.0, abs(first), abs(last)) else 0.0
        rows.append(ChangeRow(place=place, before_usd=first, now_usd=last, parts=parts))
    return tuple(rows)


def _changed(before: Sequence[Account], now: Sequence[Account]) -> frozenset[str]:
    """Return the accounts whose mode or positions are not the same; every other place changed by balances alone."""
    held = {account.id: _holdings(account) for account in before}
    return frozenset(account.id for account in now if held.get(account.id) != _holdings(account))


def _holdings(account: Account) -> tuple[object, ...]:
    positions = sorted(account.positions, key=lambda each: (each.symbol, each.bucket.value))
    return (account.mode, *(tuple(getattr(each, name) for name in _HOLDING) for each in positions))


def _priced(position: Position, account: Account, book: Book, source: Book) -> Position:
    """Return the position of ``book`` with the prices of ``source``."""
    instrument = book.instruments[(account.venue, position.symbol)]
    mark, volatility, forward = _prices(instrument, position.symbol, source)
    return replace(position, mark_price=mark, implied_volatility=volatility, forward_price=forward)


def _prices(instrument: Instrument, symbol: str, source: Book) -> tuple[float | None, float | None, float | None]:
    """Return mark, implied volatility and forward of an instrument: from a book's positions first, then its market."""
    names = {"instrument_id": instrument.id, "symbol": symbol}
    mark, volatility, forward = source.market.mark(**names), None, None
    if instrument.kind is Kind.OPTION:
        volatility = source.market.option_volatility(**names)
        if instrument.expiry is not None:
            forward = source.market.forward(**names, base=instrument.base, expiry=instrument.expiry)
    for account in source.accounts:
        for held in account.positions:
            if source.instruments[(account.venue, held.symbol)].id == instrument.id:
                mark = held.mark_price if held.mark_price is not None else mark
                volatility = held.implied_volatility if held.implied_volatility is not None else volatility
                forward = held.forward_price if held.forward_price is not None else forward
    return mark, volatility, forward


def _priceable(old: Book, book: Book) -> tuple[Book, list[str]]:
    """Return the previous book without the positions that have no price in the present one, and their names."""
    gone: list[str] = []
    accounts = []
    for account in old.accounts:
        kept = []
        for position in account.positions:
            instrument = old.instruments[(account.venue, position.symbol)]
            mark, volatility, forward = _prices(instrument, position.symbol, book)
            is_open = instrument.expiry is None or instrument.expiry > book.as_of
            if instrument.kind is Kind.OPTION:
                is_open = is_open and forward is not None and (mark is not None or volatility is not None)
            else:
                is_open = is_open and mark is not None
            if is_open:
                kept.append(position)
            else:
                gone.append(f"{account.id} {position.symbol}")
        # Resting orders have no part in equity or maintenance, and theirs may be gone by now.
        accounts.append(replace(account, positions=tuple(kept), open_orders=()))
    return replace(old, accounts=tuple(accounts)), gone


def _repriced(kept: Book, book: Book) -> Book:
    """Return the previous book at the present time and prices; its rules stay."""
    accounts = tuple(
        replace(account, positions=tuple(_priced(each, account, kept, book) for each in account.positions))
        for account in kept.accounts
    )
    market = _joined(kept.market, book.market)
    return replace(kept, accounts=accounts, as_of=book.as_of, market=market, max_market_age_s=book.max_market_age_s)


def _joined(old: MarketState, new: MarketState) -> MarketState:
    """Return the present market; an asset or rate that only the previous one states stays as it was."""
    # Not marks, volatilities or forwards: an old one must never pass for a price of today.
    return replace(
        new,
        asset_usd={**old.asset_usd, **new.asset_usd},
        interest_rate_per_year={**old.interest_rate_per_year, **new.interest_rate_per_year},
    )


def _under_present_rules(
    previous: BookInput, then: Book, stated: BookInput, extra_rules: Sequence[registry.RuleSource]
) -> Book:
    """Return the previous holdings under the rules, live tables and contract facts of the present book."""
    tiers = {(each.venue, each.symbol): each for each in (*previous.tier_overrides, *stated.tier_overrides)}
    facts = {(each.venue, each.symbol): each for each in (*previous.instrument_overrides, *stated.instrument_overrides)}
    return resolve(
        replace(
            previous,
            as_of=then.as_of,
            accounts=then.accounts,
            market=then.market,
            tier_overrides=tuple(tiers.values()),
            instrument_overrides=tuple(facts.values()),
            max_market_age_s=stated.max_market_age_s,
        ),
        extra_rules=extra_rules,
    )
