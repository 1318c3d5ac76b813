"""OKX futures mode: swaps and dated futures, linear and inverse, cross and isolated; ratios of whole accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from margincover.venues import registry
from margincover.venues.symbols import resolve_instrument
from tests.reference.verify.account import AccountSpec, PositionSpec, figures_of
from tests.reference.verify.adaptors import okx_modes
from tests.reference.verify.answer import Answer, answer_of
from tests.reference.verify.build import Setting, any_size, describe, refuse_out_of_scope
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import Facts, as_number, half_unit, observed_at

DEFAULT = datetime(2026, 6, 15, tzinfo=UTC)
VALID_FROM = datetime(2021, 1, 1, tzinfo=UTC)
LINEAR = ("BTC-USDT-SWAP", "ETH-USDT-SWAP", "SOL-USDT-SWAP", "XRP-USDT-SWAP")
INVERSE = ("BTC-USD-SWAP", "ETH-USD-SWAP")


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of an OKX case."""
    further = okx_modes.answer(case)
    if further is not None:
        return further
    refuse_out_of_scope(case)
    if "adjEq" in case.raw or ("eq" in case.raw and "instId" not in case.raw):
        return _account(case)
    facts = Facts(*case.layers)
    kind = facts.named("instType", "inst_type")
    if kind == "MARGIN" or re.search(r"\bmargin \(spot|margin_isolated|margin_cross|spot leverage", case.family):
        raise UnsupportedError("family not modelled: borrowed spot positions (instType MARGIN)")
    if re.search(r"fee|mr\d|pm ", case.family):
        raise UnsupportedError(f"family not modelled: {case.product}, {case.account_mode}")
    # In a response mmr and imr are amounts; the rate stands in the context.
    raw = _without_amounts(case.raw)
    if isinstance(listed := raw.get("positions"), list):
        raw["positions"] = [_without_amounts(row) for row in listed if isinstance(row, Mapping)]
    layers = (*case.layers[:-1], raw) if case.is_sample else case.layers
    setting = _setting(case, facts)
    spec = describe(any_size(replace(case, layers=layers), setting.isolated), setting, side=side)
    return answer_of(spec)


def _without_amounts(row: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if key not in ("mmr", "imr", "notionalUsd")}


def _setting(case: Case, facts: Facts) -> Setting:
    symbol = facts.text("symbol") or ""
    inverse = "-USD-" in symbol if symbol else re.search(r"inverse|coin-margined", case.family) is not None
    expiry = None
    if re.search(r"-\d{6}$", symbol):
        rules = registry.rulebook("okx", at=DEFAULT)
        expiry = resolve_instrument(rules, symbol, multiplier=1.0).expiry
    mode = str(facts.named("mgnMode", "margin_mode", "td_mode") or "").lower()
    return Setting(
        venue="okx",
        mode="futures",
        as_of=observed_at(case, default=DEFAULT, valid_from=VALID_FROM, expiry=expiry),
        symbols=INVERSE if inverse else LINEAR,
        isolated=mode == "isolated" if mode else "isolated" in case.family,
        inverse=inverse,
        ratio_is_equity_over_maintenance=True,
        fill=_fill,
    )


def _fill(spec: PositionSpec, facts: Facts) -> PositionSpec:
    last = facts.named("last")
    if spec.tick is None and last is not None and half_unit(last) > 0:
        # The last trade stands on the price grid: its last printed decimal is the tick.
        return replace(spec, tick=2.0 * half_unit(last))
    return spec


def _account(case: Case) -> Answer:
    """Return the ratio of a whole account from its stated equity and notional.

    The account stands in the product as one pool with the equity that the venue states (after its discounts) and one
    position of the stated notional at the stated rate: what is held to the venue is the ratio's denominator, with the
    closing fee, not the discounts.
    """
    facts: Mapping[str, object] = {**case.raw, **case.layers[0]}
    equity, notional = as_number(facts.get("adjEq") or facts.get("eq")), as_number(facts.get("notionalUsd"))
    maintenance, rate = as_number(facts.get("mmr")), as_number(facts.get("mmr_rate"))
    if any(re.match(r"liab|borrow", key) and as_number(facts[key]) for key in facts):
        raise UnsupportedError("family not modelled: borrowing in an OKX account")
    if sum("fee" in key.lower() for key in facts) > 1 or any(key in facts for key in ("legs", "positions")):
        raise UnsupportedError("family not modelled: an OKX account with a fee of its own for each leg")
    if equity is None or not notional or maintenance is None:
        raise UnsupportedError("an OKX account without adjEq or eq, notionalUsd and mmr")
    position = PositionSpec(
        symbol=LINEAR[0],
        # One unit per contract at a price of the whole notional: only the notional enters.
        contracts=1.0,
        multiplier=1.0,
        mark=notional,
        entry=notional,
        leverage=as_number(facts.get("lever") or facts.get("leverage")),
        rate=maintenance / notional if rate is None else rate,
    )
    spec = AccountSpec(
        venue="okx",
        mode="futures",
        as_of=observed_at(case, default=DEFAULT, valid_from=VALID_FROM),
        positions=(position,),
        wallet=equity,
        fee=as_number(facts.get("taker_fee")),
        ratio_is_equity_over_maintenance=True,
    )
    found = figures_of(spec)
    missing = {"equity": "the equity is an input of this comparison", "upnl": "no positions in the payload"}
    if rate is None:
        missing["maintenance"] = "the maintenance rate is worked back from mmr itself"
    return Answer(figures=replace(found, positions=(), labels=(), missing=missing), spec=None)
