"""Perpetuals of the venues whose whole rule is a rate on a value: one reading of inputs, one table of venues.

Venues with a rule file go through the product (``perpetual_book``); the others, of which no maintenance rule is
confirmed, through the pure functions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from margincover.venues.cex_fields import truncated
from margincover.venues.okx import multi_currency
from margincover.venues.parameters import packaged, parameters
from margincover.venues.perpetuals import inverse, linear
from tests.reference.verify.adaptors import perpetual_book
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import observed_at, side_of

DEFAULT = datetime(2026, 9, 15, tzinfo=UTC)
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
# The first day of the rules of coin-margined contracts.
INVERSE_FROM = datetime(2023, 10, 29, tzinfo=UTC)
POSITION = frozenset({"upnl", "notional", "entry_value", "roe", "loss"})
ALL = POSITION | {"initial", "maintenance", "liquidation_price", "bankruptcy_price", "equity", "fee", "available"}
# Names of figures that differ from what the same word means elsewhere come first.
COMMON = {
    "initial": "initialmargin im imr oim marginsize positioninitialmargin",
    "maintenance": "maintenancemargin mm mmr positionmaintenancemargin",
    "liquidation_price": "liquidationprice liqprice liqpx liquidateprice estliquidationprice liquidationpx",
    "bankruptcy_price": "bankruptcyprice bankruptprice bustprice",
    "upnl": "upnl upl pnl unrealisedpnl unrealizedpnl pnlunrealized unrealizedpl",
    "notional": "notional positionvalue markvalue value",
    "roe": "returnonequity uplratio roe profitrate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Venue:
    """What a venue's rule is called, which of its figures are confirmed, and what its words mean."""

    modes: Mapping[str, str]  # words of the family, as a pattern -> mode; the first that fits
    figures: frozenset[str] = ALL
    words: Mapping[str, str] | None = None
    cut: Mapping[str, int] | None = None  # figures that the venue prints cut to so many decimals


KUCOIN = {"initial": "posmargin", "fee": "poscomm", "maintenance": "posmaint", "equity": "maintmargin"}
NO_PRICE = ALL - {"liquidation_price", "bankruptcy_price"}
VENUES: Mapping[str, _Venue] = {
    "kraken": _Venue(modes={"": "krakenfutures_linear"}, figures=NO_PRICE),
    "gate": _Venue(modes={"": "gate_linear"}, figures=POSITION | {"liquidation_price", "bankruptcy_price"}),
    "kucoin": _Venue(modes={"uta": "kucoin_uta", "": "kucoin_classic"}, words=KUCOIN),
    "bitget": _Venue(
        modes={"uta": "bitget_uta", "isolated|fixed": "bitget_isolated", "": "bitget_cross"},
        words={"initial": "margin positionbalance"},
    ),
    "htx": _Venue(
        modes={"isolated": "htx_isolated"},
        words={"initial": "positionmargin", "risk_rate": "riskrate"},
        figures=ALL | {"risk_rate"},
    ),
    "bitmex": _Venue(modes={"": "bitmex_linear"}, figures=NO_PRICE),
    "lighter": _Venue(
        modes={"": "lighter_cross"}, words={"equity": "totalassetvalue", "available": "availablebalance"}
    ),
    "blofin": _Venue(modes={"": "blofin_cross"}),
    "delta": _Venue(modes={"isolated": "delta_isolated"}, figures=ALL - {"initial"}),
    "mexc": _Venue(modes={"": "mexc_isolated"}, figures=POSITION | {"initial"}),
    "poloniex": _Venue(
        modes={"": "poloniex_cross"},
        words={"initial": "mgn", "ratio": "mgnratio"},
        figures=ALL | {"ratio"},
        cut={"ratio": 4, "roe": 4},
    ),
    "bingx": _Venue(modes={"": "bingx_cross"}, figures=POSITION | {"initial"}),
    "grvt": _Venue(modes={"": "grvt_cross"}, figures=POSITION, words={"entry_return": "roi"}),
    "bitmart": _Venue(modes={"": "bitmart_linear"}, figures=POSITION | {"initial", "maintenance"}),
    "bydfi": _Venue(modes={"": "bydfi_linear"}, figures=POSITION | {"initial", "maintenance"}),
}
ALIASES = {"krakenfutures": "kraken", "kraken_futures": "kraken", "huobi": "htx", "gateio": "gate"}
WITHOUT_RULE = {
    "phemex": "its one liquidation price fits no formula to a tick: no confirmed rule",
    "aevo": "no confirmed rule: the scenario margin of this venue is not published in full",
}
# Every name of a venue that this module answers, or refuses with a reason.
NAMES = (*VENUES, *ALIASES, *WITHOUT_RULE, "backpack")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One position as read: signed size in coins, equity at the mark or else margin, the printed bust price."""

    size: float
    entry: float
    mark: float
    leverage: float | None
    rate: float
    funding: float
    equity: float | None
    margin: float | None
    bust: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """The rule of a case: its mode, the instant at which it is looked up, and its parameters."""

    mode: str
    at: datetime
    parameters: linear.PerpetualParameters


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a case of one of these venues."""
    if case.venue in WITHOUT_RULE:
        raise UnsupportedError(f"{case.venue}: {WITHOUT_RULE[case.venue]}")
    if re.search(r"\badl\b|insurance|deleverag", case.family):
        raise UnsupportedError(
            "family not modelled: auto-deleveraging and insurance fund, belongs to the consequence rules"
        )
    given = inputs_of(case)
    if given.number("totalmarginbalance") is not None:
        return _account(case, given)
    if case.venue == "backpack":
        return _backpack(case, given)
    if given.number("isolatedmargin") is not None and given.number("price1") is not None:
        return _loss(case, given)
    if _is_inverse(case, given):
        return _inverse(case, given)
    return _linear(case, given)


def _is_inverse(case: Case, given: Inputs) -> bool:
    symbol = str(given.value("symbol", "instrument", "instid", "contractcode") or "").upper()
    return "inverse" in case.family or symbol.startswith(("PI_", "FI_")) or "coin-margined" in case.family


def _account(case: Case, given: Inputs) -> Answer:
    """Return ratios of a unified account that the venue states as balance over requirement, without a fee."""
    balance = given.need("totalmarginbalance")
    initial, maintenance = given.number("totalinitialmargin"), given.number("totalmaintenancemargin")
    figures: dict[str, object] = {}
    for name, required in (("im_rate", initial), ("mm_rate", maintenance)):
        if required is not None:
            ratio = multi_currency.account_coverage_ratio(balance, maintenance_usd=required, fee_usd=0.0)
            figures[name] = float(ratio)
    if initial is not None:
        figures["available"] = float(multi_currency.available_usd(balance, initial_usd=initial))
    return named(case, figures)


def _backpack(case: Case, given: Inputs) -> Answer:
    """Return profit and value of a Backpack position: its square-root schedule was not seen where it binds."""
    held = _read(case, given)
    position = _position(held)
    # The venue prints its profit cut to six decimals.
    profit = float(truncated(position.unrealised_pnl(), decimals=6))
    reason = "the square-root schedule of its fractions was only seen where it does not bind: no confirmed rule"
    figures: dict[str, object] = {"upnl": profit, "notional": float(position.value(linear.ValueBasis.MARK))}
    missing = dict.fromkeys(("imf", "mmf", "initial", "maintenance", "liquidation_price"), reason)
    return named(case, figures, spellings=COMMON, missing=missing)


def _loss(case: Case, given: Inputs) -> Answer:
    """Return what a position loses from one price to another, isolated and cross."""
    before = given.need("price0", "entry")
    value = given.need("positionxbt", "position", "notional", "positionvalue")
    size = value / before
    position = linear.LinearPosition(quantity=size, entry_price=before, mark_price=given.need("price1"), leverage=1.0)
    loss = -position.unrealised_pnl()
    lost = float(linear.isolated_loss(loss=loss, assigned_margin=given.need("isolatedmargin")))
    spellings = {"isolated": "isolatedloss", "cross": "crossunrealisedloss crossloss"}
    return named(case, {"isolated": lost, "cross": float(loss)}, spellings=spellings)


def _side(case: Case, given: Inputs) -> int:
    for name in ("side", "posside", "holdside", "direction", "positionside", "positiontype", "islong", "short"):
        value = given.value(name)
        if isinstance(value, bool):
            return 1 if value == (name != "short") else -1
        if name == "positiontype" and value is not None:
            return 1 if value in (1, "1") else -1  # MEXC: 1 is long, 2 is short
        if value is not None and (found := side_of(value)) is not None:
            return found
    return 1


def _inverse(case: Case, given: Inputs) -> Answer:
    venue = ALIASES.get(case.venue, case.venue)
    if venue not in ("kraken", "bingx"):
        raise UnsupportedError(f"{case.venue}: no confirmed rule of coin-margined contracts")
    contracts = given.need("contractsusd", "notionalusd", "contracts", "positionamt", "qtyusd", "qty")
    notional = abs(contracts) * (given.number("contractusd", "contractsize") or 1.0) * _side(case, given)
    entry = given.need("entry", "entryprice", "avgprice")
    mark = given.number("mark", "markprice") or entry
    leverage = given.number("leverage")
    initial_rate = given.number("imrate") or (None if leverage is None else 1.0 / leverage)
    rate = given.number("mmrate", "mmr")
    margin = given.number("marginbtc", "margin", "equitybtc")
    missing = {}
    if venue == "bingx":
        profit = float(inverse.unrealised_pnl_coin(notional=notional, entry_price=entry, mark_price=mark))
        figures: dict[str, object] = {"upnl": profit}
        if initial_rate is not None:
            initial = inverse.requirement_coin(notional=notional, price=entry, rate=initial_rate)
            figures["initial"] = float(initial)
        missing = dict.fromkeys(("maintenance", "liquidation_price"), "maintenance is in no payload: no confirmed rule")
    else:
        leverage = None if initial_rate is None else 1.0 / initial_rate
        figures = _inverse_from_book(case, notional, (entry, mark), leverage, rate, margin)
    spellings = {**COMMON, "initial": f"{COMMON['initial']} imbtc", "entrymm": "mmbtcatentry mmatentry"}
    # The page prints its prices in whole dollars.
    whole = dict.fromkeys(("liquidation_price", "bankruptcy_price"), 0.5)
    return named(case, figures, spellings=spellings, slack=whole if venue == "kraken" else None, missing=missing)


def _inverse_from_book(
    case: Case,
    notional: float,
    prices: tuple[float, float],
    leverage: float | None,
    rate: float | None,
    margin: float | None,
) -> dict[str, object]:
    entry, mark = prices
    position = perpetual_book.OnePosition(
        mode="krakenfutures_inverse",
        at=observed_at(case, default=DEFAULT, valid_from=INVERSE_FROM),
        size=notional,
        entry=entry,
        mark=mark,
        leverage=leverage,
        rate=math.nan if rate is None else rate,
        equity=None,
    )
    now = perpetual_book.run(position)
    figures: dict[str, object] = {"upnl": now.profit}
    if now.status.initial_native is not None:
        figures["initial"] = now.status.initial_native
    if rate is not None:
        figures["entrymm"] = perpetual_book.run(replace(position, mark=entry)).reported_maintenance
        figures["maintenance"] = now.reported_maintenance
        if margin is not None:
            backed = replace(position, equity=margin + now.profit)
            figures["liquidation_price"] = perpetual_book.run(backed).price()
            figures["bankruptcy_price"] = perpetual_book.bankruptcy_price(backed)
    return figures


def _read(case: Case, given: Inputs) -> _Held:
    size, entry, mark = (
        _size(case, given),
        _entry(given),
        given.number("mark", "markprice", "markpx", "last", "lastprice"),
    )
    mark_value = given.number("markvalue")
    if entry is None and mark is not None:
        entry = mark
    if size is None and mark_value is not None:
        size = mark_value / (mark or entry or mark_value)
    if size is None or not size:
        raise UnsupportedError("no position size in the inputs")
    if entry is None and (cost := given.number("poscost", "entryvalue")) is not None:
        entry = cost / abs(size)
    if mark_value is not None:
        # A printed mark is rounded; the value at the mark carries more digits.
        mark = mark_value / abs(size)
    if entry is None:
        entry = mark
    if entry is None:
        raise UnsupportedError("neither entry nor mark in the inputs")
    return _Held(
        size=_side(case, given) * abs(size) if size > 0 else size,
        entry=entry,
        mark=mark or entry,
        leverage=_leverage(case, given),
        rate=_rate(case, given),
        funding=given.number("fundingrateimplied", "fundingrate") or 0.0,
        equity=given.number("equity", "accountequity", "equityimpliedbyratio", "equityimpliedbyliq", "equityimplied"),
        bust=given.number("bankruptprice") if case.venue == "kucoin" else None,
        margin=given.number("marginstatic", "margin", "posmargin", "positionmargin", "isolatedmargin", "collateral"),
    )


def _leverage(case: Case, given: Inputs) -> float | None:
    """Return the leverage, that behind the posted margin where it is stated, or 1 / initial fraction."""
    cost, posted = given.number("poscost"), given.number("posinit")
    if cost and posted:
        return cost / posted
    stated = given.number("leverage", "lever", "leverrate", "lev")
    initial_rate = given.number("imrate", "imf", "im")
    if initial_rate is not None and 0.0 < initial_rate < 1.0 and (stated is None or case.venue == "lighter"):
        return 1.0 / initial_rate
    return stated


def _size(case: Case, given: Inputs) -> float | None:
    if (face := given.number("face")) is not None:
        return face * (given.number("volume") or 1.0)
    size = given.number("baseqty", "qty", "quantity", "basesize")
    if size is None and case.venue == "bitmex":
        size = given.number("contracts")
    if size is not None:
        return size
    contracts, unit = (
        given.number("contracts", "size", "positionamt"),
        given.number("contractsize", "ctval", "multiplier"),
    )
    if contracts is not None and unit is not None:
        return contracts * unit
    value, mark = given.number("markvalue", "positionvalue"), given.number("mark", "markprice")
    listed = given.number("total", "positions", "size", "balance", "netquantity", "position")
    if value is None or mark is None or not listed:
        return given.number("total", "balance", "netquantity")
    # Contract sizes are powers of ten: the one with which the stated value fits the printed mark.
    return listed * 10.0 ** round(math.log10(value / mark / abs(listed)))


def _entry(given: Inputs) -> float | None:
    return given.number(
        *("entry", "entryprice", "costhold", "avgentryprice", "averageprice", "openpriceavg", "averageopenprice"),
        *("avgprice", "openavgpx", "holdavgprice", "price", "avgpx", "openavgprice"),
    )


def _rate(case: Case, given: Inputs) -> float:
    names = ("mmr", "mmrate", "mmf", "keepmarginrate", "adjust", "adjustfactor", "maintmarginreq", "mmrrate", "mm")
    found = given.number(*names)
    return found if found is not None and 0.0 <= found < 1.0 else math.nan


def _position(held: _Held) -> linear.LinearPosition:
    return linear.LinearPosition(
        quantity=held.size, entry_price=held.entry, mark_price=held.mark, leverage=held.leverage or 1.0
    )


def _linear(case: Case, given: Inputs) -> Answer:
    venue = VENUES[ALIASES.get(case.venue, case.venue)]
    words = f"{case.family} {given.value('marginmode', 'mgnmode') or ''}".lower()
    mode = next((mode for word, mode in venue.modes.items() if re.search(word, words)), None)
    if mode is None:
        raise UnsupportedError(f"{case.venue} {case.product}: no confirmed rule of this margin mode")
    at = observed_at(case, default=DEFAULT, valid_from=VALID_FROM)
    if mode == "kucoin_classic" and given.number("fundingrateimplied") is not None:
        # A funding rate stands in the rule until September 2025 only.
        at = min(at, datetime(2025, 9, 1, tzinfo=UTC))
    edition = parameters("perpetuals", mode=mode, underlying="*", at=_begun(mode, at))
    rule = _Rule(
        mode=mode,
        at=_begun(mode, at),
        parameters=linear.PerpetualParameters.from_mapping(edition.values, source=edition.id),
    )
    held = _at_printed_profit(case, given, _read(case, given))
    figures = _figures(case, given, held, rule)
    known = venue.figures | {"entry_return"}
    cut = venue.cut or {}
    shown = {
        name: float(truncated(value, decimals=cut[name])) if name in cut else value
        for name, value in figures.items()
        if name in known
    }
    reason = f"not confirmed for {mode}: {edition.note}"
    missing = {name: reason for name in ALL if name not in shown}
    spellings = dict(COMMON)
    for name, more in (venue.words or {}).items():
        spellings = {n: " ".join(w for w in s.split() if w not in more.split()) for n, s in spellings.items()}
        spellings[name] = f"{spellings.get(name, '')} {more}".strip()
    slack = _slack(case, given, held, rule, figures)
    return named(case, shown, spellings=spellings, slack=slack, missing=missing)


def _begun(mode: str, at: datetime) -> datetime:
    """Return the day itself, or the first day of the rule for a payload that is older than what was observed."""
    return max(at, min(e.valid_from for e in packaged("perpetuals") if e.mode == mode))


def _at_printed_profit(case: Case, given: Inputs, held: _Held) -> _Held:
    """Return a Bitget unified position at the mark of its printed profit: the payload prints a later mark beside it."""
    profit = given.number("unrealisedpnl")
    if case.venue != "bitget" or "uta" not in case.family or profit is None:
        return held
    return replace(held, mark=held.entry + profit / held.size)


def _figures(case: Case, given: Inputs, held: _Held, rule: _Rule) -> dict[str, float]:
    if rule.mode in perpetual_book.MODES:
        return _from_book(case, given, held, rule)
    return _from_functions(held, rule.parameters)


def _from_book(case: Case, given: Inputs, held: _Held, rule: _Rule) -> dict[str, float]:
    """Return the figures of a position that went through the product."""
    position = perpetual_book.OnePosition(
        mode=rule.mode,
        at=rule.at,
        size=held.size,
        entry=held.entry,
        mark=held.mark,
        leverage=held.leverage,
        rate=held.rate,
        equity=None,
        funding=held.funding if rule.parameters.funding_in_maintenance else None,
    )
    now = perpetual_book.run(position)
    profit, initial = now.profit, now.status.initial_native
    entry_value = perpetual_book.run(replace(position, mark=held.entry)).notional
    found = {"upnl": profit, "notional": now.notional, "entry_value": entry_value}
    found["entry_return"] = 100.0 * profit / entry_value
    fee = perpetual_book.posted_fee(position)
    if fee:
        found["fee"] = fee
    if initial is not None:
        found |= {"initial": initial, "roe": profit / initial}
    margin = held.margin if held.margin is not None else initial
    equity = held.equity if held.equity is not None else None if margin is None else margin + profit
    cash = given.number("collateral") if case.venue == "lighter" else None
    if equity is not None:
        found["equity"] = equity if cash is None else cash + profit
        if initial is not None:
            found["available"] = equity - initial
        found["bankruptcy_price"] = perpetual_book.bankruptcy_price(replace(position, equity=equity - fee))
    return found | _tested(held, rule, replace(position, equity=equity), fee)


def _tested(held: _Held, rule: _Rule, position: perpetual_book.OnePosition, fee: float) -> dict[str, float]:
    """Return maintenance, ratios and liquidation price; nothing without a maintenance rate."""
    if math.isnan(held.rate):
        return {}
    result = perpetual_book.run(position)
    found = {"maintenance": result.reported_maintenance}
    equity, initial = position.equity, result.status.initial_native
    if equity:
        found["ratio"] = result.status.maintenance_native / equity
        if initial is not None:
            # HTX: equity / position margin - adjust factor, and maintenance is adjust factor x position margin.
            found["risk_rate"] = result.status.headroom_native / initial
    if held.bust is not None and rule.parameters.maintenance_basis is linear.ValueBasis.MARK:
        # KuCoin since October 2025: the price starts from the printed bust price, which leaves the posted fee aside.
        equity = held.size * (held.mark - held.bust) + fee
        result = perpetual_book.run(replace(position, equity=equity))
    if equity is not None:
        found["liquidation_price"] = result.price()
    return found


def _from_functions(held: _Held, rule: linear.PerpetualParameters) -> dict[str, float]:
    """Return the figures of a position at a venue without a rule file."""
    position = _position(held)
    profit, value = float(position.unrealised_pnl()), float(position.value(linear.ValueBasis.MARK))
    entry_value = float(position.value(linear.ValueBasis.ENTRY))
    found = {"upnl": profit, "notional": value, "entry_value": entry_value}
    found["entry_return"] = 100.0 * profit / entry_value
    initial = None
    if held.leverage is not None:
        initial = float(linear.initial(position=position, parameters=rule))
        found |= {"initial": initial, "roe": profit / initial}
    margin = held.margin if held.margin is not None else initial
    equity = held.equity if held.equity is not None else None if margin is None else margin + profit
    if equity is not None:
        found["equity"] = equity
        found["bankruptcy_price"] = float(linear.bankruptcy_price(position=position, equity=equity))
    if equity is not None and initial is not None:
        found["available"] = equity - initial
    if math.isnan(held.rate):
        return found
    found["maintenance"] = float(linear.maintenance(position=position, rate=held.rate, parameters=rule))
    if equity is not None:
        found["liquidation_price"] = float(
            linear.published_liquidation_price(position=position, rate=held.rate, equity=equity, parameters=rule)
        )
        found["ratio"] = found["maintenance"] / equity if equity else math.inf
    return found


def _slack(case: Case, given: Inputs, held: _Held, rule: _Rule, figures: Mapping[str, float]) -> dict[str, float]:
    """Return what half a unit in the last digit of printed inputs moves each figure; for prices half a stated tick."""
    if not case.is_sample:
        return {}
    moves = [
        replace(held, entry=held.entry + given.half_unit("entry", "entryprice", "avgentryprice", "averageprice")),
        replace(held, funding=held.funding + given.half_unit("fundingrateimplied")),
    ]
    if held.bust is not None:
        moves.append(replace(held, bust=held.bust + given.half_unit("bankruptprice")))
    if held.margin is not None:
        moves.append(replace(held, margin=held.margin + given.half_unit("marginstatic", "margin", "posmargin")))
    if case.venue == "bitget" and "uta" in case.family:
        moves.append(replace(held, mark=held.mark + given.half_unit("unrealisedpnl") / abs(held.size)))
    room = dict.fromkeys(figures, 0.0)
    for number, moved in enumerate(moves):
        for name, value in _figures(case, given, moved, rule).items():
            # As for other captured accounts: a rounded entry counts for profits and what holds them, not for prices.
            if number > 0 or not name.endswith("price"):
                room[name] += abs(value - figures[name])
    tick = given.number("tick") or 0.0
    for name in ("liquidation_price", "bankruptcy_price"):
        room[name] = room.get(name, 0.0) + 0.5 * tick
    return room
