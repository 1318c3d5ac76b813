"""The implied volatility of an option that is not quoted, from the quotes of its expiry in the book."""

from __future__ import annotations

import math

import numpy as np

from margincover.errors import InputError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind
from margincover.model.position import Position
from margincover.pricing.surface_fit import LEAST_STRIKES, SmileQuotes, fit_surface
from margincover.venues import symbols


def surface_volatility(
    book: Book, account: Account, position: Position, *, forward: float, years: float
) -> tuple[float, tuple[str, ...]]:
    """Return the volatility of an option by a smile fitted to the quotes of its coin and expiry, and what to say of it.

    Parameters
    ----------
    forward : float
        Of the expiry, in the quote asset.
    years : float
        To expiry, > 0.

    Raises
    ------
    InputError
        If fewer than five strikes of the expiry are quoted, the strike lies outside them, or the smile holds arbitrage.
    """
    instrument = book.instruments[(account.venue, position.symbol)]
    assert instrument.strike is not None, "Invariant: an option has a strike"
    assert instrument.expiry is not None, "Invariant: an option has an expiry"
    quoted = _quotes(book, account.venue, instrument)
    strikes = sorted({strike for strike, _ in quoted})
    if len(strikes) < LEAST_STRIKES or not strikes[0] <= instrument.strike <= strikes[-1]:
        raise InputError(
            f"no implied volatility and no mark for {position.symbol}, and {_found(strikes)} of its expiry are quoted",
            source=book.source,
            account=account.id,
            field="implied_volatility",
            allowed=f"implied_volatility on the position, market.implied_volatility.'{instrument.id}' (0.6 is 60 %), "
            f"or quotes of at least {LEAST_STRIKES} strikes of that expiry on both sides of {instrument.strike:g}",
        )
    quotes = SmileQuotes(
        name=f"{instrument.base} {instrument.expiry:%Y-%m-%d}",
        years=years,
        forward=forward,
        strike=np.array([strike for strike, _ in quoted]),
        volatility=np.array([volatility for _, volatility in quoted]),
    )
    try:
        surface = fit_surface([quotes])
    except InputError as error:
        raise error.located(source=book.source, account=account.id) from error
    found = surface.volatility(math.log(instrument.strike / forward), years)
    note = (
        f"{position.symbol}: no volatility is quoted; {found:.4f} is taken from a smile fitted to {len(strikes)} "
        f"strikes of {quotes.name} (SVI, without arbitrage, misses them by {surface.slices[0].root_mean_square:.4f})"
    )
    return found, (note,)


def _found(strikes: list[float]) -> str:
    if not strikes:
        return "no strikes"
    return f"{len(strikes)} strikes from {strikes[0]:g} to {strikes[-1]:g}"


def _quotes(book: Book, venue: str, wanted: Instrument) -> list[tuple[float, float]]:
    """Return strike and volatility of every quote of a coin's expiry at a venue, by strike."""
    suffix = f".{venue.upper()}"
    stated = {key.removesuffix(suffix): value for key, value in book.market.implied_volatility.items()}
    for account in book.accounts:
        if account.venue == venue:
            stated |= {p.symbol: p.implied_volatility for p in account.positions if p.implied_volatility is not None}
    found = []
    for symbol, volatility in stated.items():
        try:
            instrument = symbols.resolve_instrument(book.rulebooks[venue], symbol, multiplier=1.0)
        except InputError:
            continue  # another venue's symbol: its quotes are not this venue's marks
        same = (instrument.base, instrument.expiry) == (wanted.base, wanted.expiry)
        if instrument.kind is Kind.OPTION and same and instrument.strike is not None:
            found.append((instrument.strike, volatility))
    return sorted(found)
