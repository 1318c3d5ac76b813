"""Binance: USD-M (single-asset) and COIN-M, cross and isolated, open orders and tier tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from margincover.model.instrument import Payoff
from margincover.model.position import OpenOrder, Side
from margincover.venues import registry
from margincover.venues.symbols import resolve_instrument
from tests.reference.verify.account import AccountSpec, Figures, PositionSpec
from tests.reference.verify.adaptors import binance_modes
from tests.reference.verify.answer import Answer, answer_of
from tests.reference.verify.build import Setting, any_size, describe, refuse_out_of_scope
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import Facts, as_number, observed_at, tier_rows
from tests.reference.verify.tables import deductions, lone_edge

# The modes are valid from 2020 on; this day lies inside all editions of tables that a case may fall back on.
DEFAULT = datetime(2026, 9, 15, tzinfo=UTC)
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
USDM = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT")
COINM = ("BTCUSD_PERP", "ETHUSD_PERP", "BNBUSD_PERP", "SOLUSD_PERP")


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Binance case."""
    further = binance_modes.answer(case)
    if further is not None:
        return further
    refuse_out_of_scope(case)
    facts = Facts(*case.layers)
    if "adl" in case.family:
        raise UnsupportedError("family not modelled: auto-deleveraging")
    setting = _setting(case, facts)
    if facts.number("quantity") is None and facts.named("positions", "long", "short") is None:
        table = _table(case, setting)
        if table is not None:
            return table
    spec = describe(any_size(_completed(case, setting), setting.isolated), setting, side=side)
    return answer_of(replace(spec, orders=tuple(_orders(facts, spec))))


def _setting(case: Case, facts: Facts) -> Setting:
    symbol = facts.text("symbol") or ""
    coinm = "coin" in case.family or re.search(r"USD_", symbol) is not None
    expiry = None
    if re.search(r"_\d{6}$", symbol):
        rules = registry.rulebook("binance", at=DEFAULT)
        expiry = resolve_instrument(rules, symbol, multiplier=1.0).expiry
    return Setting(
        venue="binance",
        mode="coinm" if coinm else "usdm_single_asset",
        as_of=observed_at(case, default=DEFAULT, valid_from=VALID_FROM, expiry=expiry),
        symbols=COINM if coinm else USDM,
        isolated=_isolated(case, facts),
        inverse=coinm,
        fill=_fill,
    )


def _isolated(case: Case, facts: Facts) -> bool:
    kind = str(facts.named("marginType", "margin_type", "margin_mode") or "").lower()
    if kind:
        return kind == "isolated"
    if "cross" in case.family or "isolated" in case.family:
        return "isolated" in case.family
    return facts.named("isolated") in (True, "true") or bool(
        as_number(facts.named("isolated_wallet", "isolatedWallet"))
    )


def _fill(spec: PositionSpec, facts: Facts) -> PositionSpec:
    wallet = as_number(facts.named("isolated_wallet", "isolatedWallet"))
    stated, profit = as_number(facts.named("isolatedMargin")), facts.number("profit")
    if spec.isolated and not wallet and stated is not None and profit is not None:
        # positionRisk's isolatedMargin includes unrealised profit.
        spec = replace(spec, collateral=stated - profit)
    notional = facts.number("notional")
    if facts.number("mark") is None and facts.number("quantity") is not None and notional:
        # Account rows print the value at the mark instead of the mark.
        rules = registry.rulebook("binance", at=DEFAULT)
        instrument = resolve_instrument(rules, spec.symbol, multiplier=spec.multiplier)
        size = abs(spec.contracts) * instrument.multiplier
        inverse = instrument.payoff is Payoff.INVERSE
        spec = replace(spec, mark=size / abs(notional) if inverse else abs(notional) / size)
    return spec


def _completed(case: Case, setting: Setting) -> Case:
    """Return the case with the contracts that an account row of COIN-M leaves out.

    Such a row prints notional (size / mark) and profit (size / entry - size / mark for a long) in coin. Contracts are
    whole, so size is the multiple of the contract size next to notional x entry; the side is the one whose
    size x (1/entry - 1/mark) has the printed sign.
    """
    facts = Facts(*case.layers)
    entry, notional, profit = facts.number("entry"), facts.number("notional"), facts.number("profit")
    if not setting.inverse or facts.number("quantity") is not None:
        return case
    if entry is None or notional is None or profit is None:
        return case
    symbol = facts.text("symbol") or setting.symbols[0]
    rules = registry.rulebook(setting.venue, at=setting.as_of)
    size = resolve_instrument(rules, symbol, multiplier=facts.number("multiplier")).multiplier
    contracts = max(round(abs(notional) * entry / size), 1)
    mark = contracts * size / abs(notional)
    rises = mark > entry
    side = 1 if (profit > 0) == rises or profit == 0 else -1
    return replace(case, layers=({"qty": side * contracts, "mark": mark, "symbol": symbol}, *case.layers))


def _orders(facts: Facts, spec: AccountSpec) -> Iterator[OpenOrder]:
    symbol = spec.positions[spec.target].symbol
    for names, side in ((("buy_orders", "bids", "buys"), Side.BUY), (("sell_orders", "asks", "sells"), Side.SELL)):
        rows = facts.named(*names)
        for row in rows if isinstance(rows, list) else []:
            order = Facts(row) if isinstance(row, Mapping) else Facts()
            quantity, price = order.number("quantity"), as_number(order.named("price", "limit", "limit_price"))
            if quantity is None or price is None:
                raise UnsupportedError(f"order was {row!r}, without quantity and price")
            yield OpenOrder(symbol=symbol, side=side, contracts=quantity, price=price)


def _table(case: Case, setting: Setting) -> Answer | None:
    facts = Facts(*case.layers)
    listed = facts.named("tiers", "brackets", "tiers_floor_mmr")
    edge = lone_edge(case) if listed is None else (tier_rows(listed), 0)
    if edge is None or (listed is not None and facts.number("notional") is not None):
        return None
    rows, before = edge
    found = deductions(venue="binance", mode=setting.mode, symbol=setting.symbols[0], as_of=setting.as_of, rows=rows)
    # Rows put in front shift the numbers of the tiers: pad so that the n-th entry is tier n.
    return Answer(figures=Figures(account={"deduction": [0.0] * before + found if before >= 0 else found[-before:]}))
