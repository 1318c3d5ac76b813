"""Symbols: from a venue's own symbol, or the unified ccxt symbol, to an instrument; and to its tier table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from margincover.errors import InputError, RulebookError
from margincover.model.instrument import Instrument, Kind, Payoff, Right
from margincover.model.rules import Product, Rulebook, TierTable

# BASE/QUOTE:SETTLE, BASE/QUOTE:SETTLE-YYMMDD or BASE/QUOTE:SETTLE-YYMMDD-STRIKE-C
_CCXT = re.compile(
    r"(?P<base>[^/:]+)/(?P<quote>[^/:]+):(?P<settle>[^/:-]+)"
    r"(?:-(?P<expiry>[0-9]{6})(?:-(?P<strike>[0-9.]+)-(?P<right>[CP]))?)?"
)


_RIGHTS = {"C": Right.CALL, "P": Right.PUT, "CALL": Right.CALL, "PUT": Right.PUT}


@dataclass(frozen=True, slots=True)
class _Reading:
    product: Product
    base: str
    quote: str
    settle: str
    expiry: datetime | None
    strike: float | None = None
    right: Right | None = None


def resolve_instrument(
    rulebook: Rulebook, symbol: str, *, multiplier: float | None = None, tick: float | None = None
) -> Instrument:
    """Return the instrument of a symbol.

    Parameters
    ----------
    rulebook : Rulebook
        Rules of the venue in force.
    symbol : str
        The venue's own symbol (``BTCUSDT``, ``BTC-USD-260327``) or the ccxt symbol (``BTC/USDT:USDT``,
        ``BTC/USD:BTC``, ``BTC/USDT:USDT-260327``).
    multiplier, tick : float or None
        Contract facts that the book states; None takes the rulebook's. Multiplier is base units per contract
        (linear) or quote units per contract (inverse).

    Returns
    -------
    Instrument
        With id ``<venue symbol>.<VENUE>``. ``factor`` is the base coin without a size prefix.

    Raises
    ------
    InputError
        If no product of the venue reads the symbol (close matches are listed), or the multiplier is not known.
    RulebookError
        If two products read the same symbol.
    """
    venue_symbol = _venue_symbol(rulebook, symbol)
    readings = _readings(rulebook, venue_symbol)
    if not readings:
        raise _unknown(rulebook, symbol)
    if len(readings) > 1:
        raise RulebookError(
            f"{venue_symbol} was read by products {', '.join(r.product.id for r in readings)}",
            source=rulebook.venue,
            field="symbol_pattern",
            allowed="patterns that do not overlap",
        )
    reading = readings[0]
    product = reading.product
    return Instrument(
        id=f"{venue_symbol}.{rulebook.venue.upper()}",
        venue=rulebook.venue,
        venue_symbol=venue_symbol,
        product=product.id,
        kind=_kind(reading),
        payoff=Payoff(product.payoff),
        base=reading.base,
        quote=reading.quote,
        settle=reading.settle,
        factor=rulebook.factor_aliases.get(reading.base, reading.base),
        multiplier=_multiplier(rulebook, reading, venue_symbol, multiplier),
        tier_table=product.tier_key.format(symbol=venue_symbol, base=reading.base, quote=reading.quote),
        expiry=reading.expiry,
        strike=reading.strike,
        right=reading.right,
        tick=tick if tick is not None else product.ticks.get(reading.base, product.ticks.get("*")),
    )


def tier_table_for(rulebook: Rulebook, instrument: Instrument) -> TierTable:
    """Return the tier table in force for an instrument.

    Raises
    ------
    RulebookError
        If the rulebook holds none; the message says how to supply one.
    """
    table = rulebook.tier_tables.get(instrument.tier_table)
    if table is None:
        raise RulebookError(
            f"no tier table '{instrument.tier_table}' in force at {rulebook.at:%Y-%m-%d} for {instrument.id}",
            source=f"rules of {rulebook.venue}",
            field=instrument.venue_symbol,
            allowed="a table read from the venue: under `tiers` in the book, or as a TOML file with --rules DIR; "
            "or maintenance_fraction on the position",
        )
    return table


def _readings(rulebook: Rulebook, venue_symbol: str) -> list[_Reading]:
    found = (_read(product, venue_symbol) for product in rulebook.products.values())
    return [reading for reading in found if reading is not None]


def _read(product: Product, venue_symbol: str) -> _Reading | None:
    match = re.fullmatch(product.symbol_pattern, venue_symbol)
    if match is None:
        return None
    groups = match.groupdict()
    quote = groups.get("quote") or product.quote
    expiry_text = groups.get("expiry")
    expiry = _expiry(product.expiry_format, expiry_text) if expiry_text else None
    if quote is None or (expiry_text and expiry is None):
        return None
    base = groups["base"]
    settle = {"quote": quote, "base": base}.get(product.settle, product.settle)
    if not product.is_option:
        return _Reading(product, base, quote, settle, expiry)
    strike = _strike(groups["strike"])
    right = _RIGHTS.get(groups["right"].upper())
    if strike is None or right is None:
        return None
    return _Reading(product, base, quote, settle, expiry, strike, right)


def _kind(reading: _Reading) -> Kind:
    if reading.right is not None:
        return Kind.OPTION
    return Kind.PERP if reading.expiry is None else Kind.FUTURE


def _strike(text: str) -> float | None:
    # Deribit writes a decimal point as "d" (0d625), Derive as "_" (0_625).
    try:
        strike = float(text.replace("d", ".").replace("_", "."))
    except ValueError:
        return None
    return strike if strike > 0 else None


def _expiry(expiry_format: str | None, text: str) -> datetime | None:
    # "%y%m%d@08:00": how the date reads in the symbol, and the hour of day (UTC) at which the contract expires.
    day_format, _, hour = (expiry_format or "").partition("@")
    try:
        return datetime.strptime(f"{text} {hour or '00:00'}", f"{day_format} %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None


def _multiplier(rulebook: Rulebook, reading: _Reading, venue_symbol: str, stated: float | None) -> float:
    if stated is not None:
        return stated
    known = reading.product.multipliers
    found = known.get(reading.base, known.get("*"))
    if found is None:
        counts_quote = reading.product.payoff == "inverse" and not reading.product.is_option
        unit = reading.quote if counts_quote else reading.base
        raise InputError(
            f"contract size of {venue_symbol} is not known",
            source=f"rules of {rulebook.venue}",
            field="multiplier",
            allowed=f"{unit} per contract, in the book under `instruments` (known for: {', '.join(known) or '-'})",
        )
    return found


def _venue_symbol(rulebook: Rulebook, symbol: str) -> str:
    unified = _CCXT.fullmatch(symbol)
    if unified is None:
        return symbol
    wanted: dict[str, str | None] = unified.groupdict()
    matches: dict[str, str] = {}
    for candidate in _candidates(wanted):
        for reading in _readings(rulebook, candidate):
            if _is_wanted(reading, wanted):
                matches.setdefault(reading.product.id, candidate)
    if len(matches) > 1:
        found = ", ".join(matches.values())
        raise InputError(f"{symbol} could be {found}", field="symbol", allowed="the venue's own symbol")
    if not matches:
        raise _unknown(rulebook, symbol)
    return next(iter(matches.values()))


def _is_wanted(reading: _Reading, wanted: dict[str, str | None]) -> bool:
    expiry = f"{reading.expiry:%y%m%d}" if reading.expiry else None
    right = None if reading.right is None else reading.right.value[0].upper()
    strike = None if wanted["strike"] is None else float(wanted["strike"])
    same = (reading.base, reading.quote, reading.settle, expiry, reading.strike, right)
    return same == (wanted["base"], wanted["quote"], wanted["settle"], wanted["expiry"], strike, wanted["right"])


def _candidates(wanted: dict[str, str | None]) -> Iterator[str]:
    # The ways in which venues write a contract; only one that a product reads back to the same contract is taken.
    base, quote, expiry = wanted["base"] or "", wanted["quote"] or "", wanted["expiry"]
    if expiry is None:
        yield from (f"{base}{quote}", f"{base}{quote}_PERP", f"{base}PERP", f"{base}-{quote}-SWAP", base)
        yield from (f"{base}_{quote}", f"{base}-{quote}", f"{base}{quote}M", f"PF_{base}{quote}", f"PI_{base}{quote}")
        yield from (f"{base}-PERPETUAL", f"{base}_{quote}-PERPETUAL", f"{base}-PERP", f"{base}-USD-PERP")
        return
    tail = "" if wanted["strike"] is None else f"-{wanted['strike'].replace('.', 'd')}-{wanted['right']}"
    dated = [f"{base}{quote}_{expiry}", f"{base}-{quote}-{expiry}", f"{base}-{expiry}", f"{base}-20{expiry}"]
    day = _expiry("%y%m%d", expiry)
    if day is not None:
        # Days before the tenth are written without a leading zero.
        written = f"{day.day}{day:%b%y}".upper()
        dated += [f"{base}{quote}-{written}", f"{base}-{written}", f"{base}_{quote}-{written}", f"{base}-USD-{written}"]
    for name in dated:
        yield f"{name}{tail}"
        if tail:
            yield f"{name}{tail}-{quote}"


def _unknown(rulebook: Rulebook, symbol: str) -> InputError:
    known = sorted(rulebook.tier_tables)
    lookup = {name.upper(): name for name in known}
    bare = re.sub(r":.*$", "", symbol).replace("/", "")
    close = difflib.get_close_matches(bare.upper(), list(lookup), n=3, cutoff=0.6)
    hint = f"close: {', '.join(lookup[name] for name in close)}; " if close else ""
    examples = f"for example {', '.join(known[:3])}; " if known and not close else ""
    products = ", ".join(rulebook.products)
    return InputError(
        f"{rulebook.venue} has no symbol '{symbol}'",
        field="symbol",
        allowed=f"{hint}{examples}the venue's own symbol or BASE/QUOTE:SETTLE[-YYMMDD[-STRIKE-C]], "
        f"of the products {products}",
    )
