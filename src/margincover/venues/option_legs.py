"""Compile option positions to the arrays of an OptionTable: forward, index, volatility and mark of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Payoff, Right
from margincover.model.market import MAX_IMPLIED_VOLATILITY
from margincover.model.option_table import OptionTable
from margincover.model.position import Position
from margincover.numeric.arrays import frozen, frozen_index
from margincover.pricing import black76
from margincover.venues.legs import years_to_expiry
from margincover.venues.quoted_surface import surface_volatility

# A forward ten times or a tenth of the index is that of another coin, or its point is misplaced.
_LARGEST_BASIS = 10.0
# Marks are printed to four decimals of a coin or to the cent; a formula that is off by more than this share of the
# underlying does not describe the mark, and the user is told.
_LARGE_RESIDUAL_FRACTION = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLeg:
    """One option position as plain numbers; ``mark`` and ``residual`` in the settle asset, all else in the quote."""

    instrument: Instrument
    position: Position
    quantity: float
    forward: float
    index: float
    years: float
    volatility: float
    mark: float
    residual: float
    notes: tuple[str, ...]


def build_option(book: Book, account: Account, position: Position) -> OptionLeg:
    """Return the leg of one option position.

    Raises
    ------
    InputError
        If forward or index is missing, or neither mark nor implied volatility is stated and the market does not quote
        the expiry around the strike; an implied volatility alone gives the mark, a mark alone the implied volatility.
    """
    instrument = book.instruments[(account.venue, position.symbol)]
    assert instrument.expiry is not None, "Invariant: an option has an expiry"
    forward = _forward(book, position, instrument)
    index = book.market.index(instrument.base, instrument.quote)
    _require_near(position.symbol, forward, index)
    years = years_to_expiry(instrument, book.as_of)
    stated = _stated_volatility(book, position, instrument)
    mark = position.mark_price
    if mark is None:
        mark = book.market.mark(instrument_id=instrument.id, symbol=position.symbol)
    notes: tuple[str, ...] = ()
    if stated is None and mark is None:
        stated, notes = surface_volatility(book, account, position, forward=forward, years=years)
    volatility = stated if stated is not None else _implied(instrument, mark or 0.0, forward, years)
    value = _value(instrument, forward, years, volatility)
    residual = 0.0 if mark is None else mark - value
    return OptionLeg(
        instrument=instrument,
        position=position,
        quantity=position.contracts * instrument.multiplier,
        forward=forward,
        index=index,
        years=years,
        volatility=volatility,
        mark=value if mark is None else mark,
        residual=residual,
        notes=(*notes, *_notes(instrument, forward, residual)),
    )


def option_table(legs: Sequence[OptionLeg], factors: Sequence[str], assets: Sequence[str]) -> OptionTable:
    """Return the arrays of a pool's options; ``factors`` and ``assets`` fix the indices."""
    if not legs:
        return OptionTable.empty()
    instruments = [leg.instrument for leg in legs]
    columns = {
        name: frozen([getattr(leg, name) for leg in legs], name=name, ndim=1)
        for name in ("quantity", "forward", "index", "years", "volatility", "mark", "residual")
    }
    return OptionTable(
        instrument_ids=tuple(i.id for i in instruments),
        symbols=tuple(i.venue_symbol for i in instruments),
        buckets=tuple(leg.position.bucket.value for leg in legs),
        bases=tuple(i.base for i in instruments),
        quotes=tuple(i.quote for i in instruments),
        factor_index=frozen_index([list(factors).index(i.factor) for i in instruments]),
        asset_index=frozen_index([list(assets).index(i.settle) for i in instruments]),
        inverse=np.array([i.payoff is Payoff.INVERSE for i in instruments], dtype=bool),
        strike=frozen([i.strike or 0.0 for i in instruments], name="strike", ndim=1),
        is_call=np.array([i.right is Right.CALL for i in instruments], dtype=bool),
        entry=frozen([leg.position.entry_price for leg in legs], name="entry", ndim=1),
        **columns,
    )


def _forward(book: Book, position: Position, instrument: Instrument) -> float:
    if position.forward_price is not None:
        return position.forward_price
    assert instrument.expiry is not None, "Invariant: an option has an expiry"
    found = book.market.forward(
        instrument_id=instrument.id, symbol=position.symbol, base=instrument.base, expiry=instrument.expiry
    )
    if found is not None:
        return found
    key = f"{instrument.base}-{instrument.expiry:%y%m%d}"
    raise InputError(
        f"no forward for {position.symbol}",
        source=book.source,
        field="forward_price",
        allowed=f"forward_price on the position (the venue's underlying price), or market.forwards.'{key}'",
    )


def _require_near(symbol: str, forward: float, index: float) -> None:
    if not 1.0 / _LARGEST_BASIS <= forward / index <= _LARGEST_BASIS:
        raise InputError(
            f"forward {forward:g} of {symbol} stands against an index of {index:g}",
            field="forward_price",
            allowed=f"a forward within {_LARGEST_BASIS:g}-fold of the index, both in the quote asset",
        )


def _stated_volatility(book: Book, position: Position, instrument: Instrument) -> float | None:
    stated = position.implied_volatility
    if stated is None:
        return book.market.option_volatility(instrument_id=instrument.id, symbol=position.symbol)
    if stated > MAX_IMPLIED_VOLATILITY:
        raise InputError(
            f"was {stated}",
            field=f"{position.symbol}.implied_volatility",
            allowed=f"a fraction above 0, at most {MAX_IMPLIED_VOLATILITY:g} (0.6 is 60 %)",
        )
    return stated


def _value(instrument: Instrument, forward: float, years: float, volatility: float) -> float:
    """Return the value of one coin's option in its settle asset."""
    assert instrument.strike is not None, "Invariant: an option has a strike"
    value = black76.price_reference(
        forward=forward,
        strike=instrument.strike,
        years=years,
        volatility=volatility,
        is_call=instrument.right is Right.CALL,
    )
    return value / forward if instrument.payoff is Payoff.INVERSE else value


def _implied(instrument: Instrument, mark: float, forward: float, years: float) -> float:
    """Return the volatility at which the formula gives a mark; the nearest one where none does.

    A mark below intrinsic value has no volatility: the smallest is taken and the residual carries the difference.
    """
    from scipy.optimize import brentq

    def miss(volatility: float) -> float:
        return _value(instrument, forward, years, volatility) - mark

    low, high = 1e-4, MAX_IMPLIED_VOLATILITY
    if miss(low) >= 0.0:
        return low
    if miss(high) <= 0.0:
        raise InputError(
            f"mark {mark:g} of {instrument.venue_symbol} is above any option value at a forward of {forward:g}",
            field="mark_price",
            allowed="a mark in the settle asset per coin (inverse options: in the coin)",
        )
    return float(brentq(miss, low, high, xtol=1e-12))


def _notes(instrument: Instrument, forward: float, residual: float) -> tuple[str, ...]:
    scale = 1.0 if instrument.payoff is Payoff.INVERSE else forward
    if abs(residual) <= _LARGE_RESIDUAL_FRACTION * scale:
        return ()
    return (
        f"{instrument.venue_symbol}: the mark differs by {residual:+.6g} from its implied volatility and forward; "
        "the difference is kept",
    )
