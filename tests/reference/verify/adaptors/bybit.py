"""Bybit: unified account (linear, inverse; cross, isolated), classic accounts, wallet summaries and risk limits."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from margincover.io.exchanges import parse_account
from margincover.venues import registry
from margincover.venues.symbols import resolve_instrument
from tests.reference.verify.account import NEED_EQUITY, AccountSpec, Figures, PositionSpec, figures_of
from tests.reference.verify.adaptors import bybit_modes
from tests.reference.verify.answer import Answer, answer_of
from tests.reference.verify.build import Setting, any_size, describe, refuse_out_of_scope
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.compare import asked
from tests.reference.verify.facts import Facts, as_number, observed_at, tier_rows
from tests.reference.verify.tables import deductions

DEFAULT = datetime(2026, 3, 13, tzinfo=UTC)
# Rules "until September 2025" (value at entry) and classic accounts: a day inside those editions.
ENTRY_DAY = datetime(2025, 6, 1, tzinfo=UTC)
CLASSIC_DAY = datetime(2022, 11, 15, tzinfo=UTC)
VALID_FROM = datetime(2022, 1, 1, tzinfo=UTC)
LINEAR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
INVERSE = ("BTCUSD", "ETHUSD", "XRPUSD", "SOLUSD")
CLASSIC_MAINTENANCE = "a classic account prints maintenance at its bankruptcy price, the product counts it at entry"
OLD_RULES = re.compile(r"legacy|until sep|entry-price|before sep|superseded 2025|until 2025")


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Bybit case."""
    further = bybit_modes.answer(case)
    if further is not None:
        return further
    refuse_out_of_scope(case)
    if "totalMarginBalance" in case.raw:
        return _wallet(case)
    facts = Facts(*case.layers)
    setting = _setting(case, facts)
    listed = facts.named("tiers_floor_mmr", "tiers", "risk_limits")
    if listed is not None and facts.number("quantity") is None and facts.number("notional") is None:
        found = deductions(
            venue="bybit", mode=setting.mode, symbol=setting.symbols[0], as_of=setting.as_of, rows=tier_rows(listed)
        )
        return Answer(figures=Figures(account={"deduction": found}))
    if re.search(r"\badl\b", case.family) and "bankruptcy" not in case.family:
        raise UnsupportedError("family not modelled: auto-deleveraging")
    if "hedged" in case.family or any(
        "hedg" in key.lower() and value for layer in case.layers for key, value in layer.items()
    ):
        raise UnsupportedError("family not modelled: hedged legs of one symbol (reduced maintenance not published)")
    spec = describe(_completed(case, facts, setting), setting, side=side)
    invented = [p.leverage is None and setting.mode != "classic_cross" for p in spec.positions]
    if any(invented) and not spec.fee and spec.fee is not None:
        # The rule asks for a leverage because of its closing fee; without a fee the leverage does not enter.
        spec = replace(spec, positions=tuple(replace(p, leverage=p.leverage or 1.0) for p in spec.positions))
    spec, weight_known = _with_weights(spec)
    computed = answer_of(spec)
    figures = _trimmed(case, setting, computed.figures, any(invented), weight_known)
    if setting.mode == "classic_cross":
        figures = _classic_cross(spec, figures)
    return replace(computed, figures=figures)


def _setting(case: Case, facts: Facts) -> Setting:
    symbol = facts.text("symbol") or ""
    category = str(facts.named("category") or "")
    inverse = category == "inverse" or ("inverse" in case.family if not symbol else symbol.endswith("USD"))
    isolated = as_number(facts.named("tradeMode")) == 1.0 or ("isolated" in case.family and "cross" not in case.family)
    classic = "classic" in case.family
    old = OLD_RULES.search(f"{case.family} {case.text.lower()}") is not None
    default = CLASSIC_DAY if classic else ENTRY_DAY if old else DEFAULT
    kind = "isolated" if isolated else "cross"
    fee = facts.number("fee")
    return Setting(
        venue="bybit",
        mode=f"classic_{kind}" if classic else f"uta_{kind}",
        as_of=observed_at(case, default=default, valid_from=VALID_FROM) if case.is_sample else default,
        symbols=INVERSE if inverse else LINEAR,
        isolated=isolated,
        inverse=inverse,
        # A worked example that names no fee leaves fees out; a captured account pays the fee of its day.
        fee=0.0 if fee is None and not case.is_sample else fee,
        # Bybit's bankruptcy price pays the closing fee: what is left of the margin there.
        bankruptcy_without_fee=False,
        fill=_fill,
    )


def _fill(spec: PositionSpec, facts: Facts) -> PositionSpec:
    value = as_number(facts.named("value_for_margin"))
    if facts.number("mark") is None and value:
        return replace(spec, mark=value / abs(spec.contracts))
    return spec


def _completed(case: Case, facts: Facts, setting: Setting) -> Case:
    case = any_size(case, setting.isolated)
    extra: dict[str, object] = {}
    margin, wallet = as_number(facts.named("position_margin")), facts.number("wallet")
    if not setting.isolated and margin is not None and wallet is not None:
        # The page counts the wallet beside the margin of the position; together they back a cross position.
        extra["wallet_balance"] = wallet + margin
    if facts.number("rate") is None and all(a.name and a.name.startswith("bankruptcy") for a in asked(case)):
        # A bankruptcy price does not depend on the maintenance rate.
        extra["mmr"] = 0.0
    return replace(case, layers=(extra, *case.layers)) if extra else case


def _with_weights(spec: AccountSpec) -> tuple[AccountSpec, bool]:
    """Return the account with collateral weights of 1 for settle coins that have none in force on that day."""
    rules = registry.rulebook("bybit", at=spec.as_of)
    if not rules.modes[spec.mode].haircut_collateral:
        return spec, True
    coins = dict.fromkeys(resolve_instrument(rules, p.symbol, multiplier=1.0).settle for p in spec.positions)
    unknown = [coin for coin in coins if coin not in rules.ladders]
    if not unknown:
        return spec, True
    lines = ['venue = "bybit"', "[[edition]]", 'id = "case-collateral"', 'block = "collateral"']
    lines += ["valid_from = 2020-01-01", "observed = 2020-01-01", 'source = "stand-in of a case"']
    lines += ['retrieved = "2026-11-24"', 'confidence = "UNCONFIRMED"']
    for coin in unknown:
        lines += [f"[edition.collateral.{coin}]", "slices = [[0, inf, 1.0]]", "borrow_maintenance_fraction = 0.0"]
    source = registry.RuleSource(text="\n".join(lines), source="case.toml")
    return replace(spec, rules=(source,)), False


def _trimmed(case: Case, setting: Setting, figures: Figures, invented: bool, weight_known: bool) -> Figures:
    """Return the figures without those that rest on a stand-in, and with the balance that Bybit calls position's."""
    dropped: set[str] = set()
    missing = dict(figures.missing)
    if not weight_known:
        # Maintenance and initial margin of a position do not depend on the weight; what backs them does.
        dropped |= set(NEED_EQUITY)
    if invented:
        dropped |= {"initial", "initial_at_entry", "im_rate", "available", "withdrawable", "margin_used", "roe"}
    positions = []
    for position in figures.positions:
        kept = {name: value for name, value in position.items() if name not in dropped}
        if "initial_at_entry" in kept and setting.isolated:
            kept["position_balance"] = kept["initial_at_entry"]
        positions.append(kept)
    if setting.mode.startswith("classic") and case.is_sample:
        missing["maintenance"] = CLASSIC_MAINTENANCE
    account = {name: value for name, value in figures.account.items() if name not in dropped}
    return replace(figures, account=account, positions=tuple(positions), missing=missing)


def _classic_cross(spec: AccountSpec, figures: Figures) -> Figures:
    """Return the figures with those that classic cross accounts print by a rule of their own.

    The balance of a position is its margin with the closing fee, as if isolated, and its loss beside it; its initial
    margin is that of the tier's initial rate, whatever the chosen leverage, and the product has no such rate.
    """
    positions = []
    for position, own in zip(figures.positions, spec.positions, strict=True):
        kept = {name: value for name, value in position.items() if name not in ("initial", "margin_used")}
        if "bankruptcy_price_raw" in kept:
            # The page prints this price without rounding.
            kept["bankruptcy_price"] = kept["bankruptcy_price_raw"]
        profit = kept.get("upnl")
        if own.leverage is not None and isinstance(profit, float):
            alone = replace(own, isolated=True, collateral=0.0)
            twin = replace(spec, mode="classic_isolated", positions=(alone,), wallet=None, equity=None, target=0)
            margin = figures_of(twin).positions[0]["initial_at_entry"]
            kept["position_balance"] = margin + max(0.0, -profit) if isinstance(margin, float) else None
        positions.append(kept)
    reason = "a classic cross account prints the tier's initial rate, whatever the leverage; the rulebook holds none"
    return replace(figures, positions=tuple(positions), missing={**figures.missing, "initial": reason})


def _wallet(case: Case) -> Answer:
    """Return the figures of a wallet-balance summary, read by the product's parser.

    Such a payload carries no positions: what is held to the venue is that its fields were read for what they are -
    available is margin balance less initial margin, and the rates are over the margin balance.
    """
    parsed = parse_account("bybit", {"account": case.raw}, account_id="bybit:case", mode="uta_cross", source=case.id)
    report = parsed.account.reported[0]
    equity, initial, maintenance = report.equity_native, report.initial_native, report.maintenance_native
    if equity is None or initial is None or maintenance is None:
        raise UnsupportedError("a wallet summary without margin balance, initial and maintenance margin")
    account: dict[str, object] = {"equity": equity, "available": max(equity - initial, 0.0)}
    if equity > 0:
        account |= {"im_rate": initial / equity, "mm_rate": maintenance / equity, "margin_ratio": maintenance / equity}
    wallet, profit = as_number(case.raw.get("totalWalletBalance")), as_number(case.raw.get("totalPerpUPL"))
    missing = dict.fromkeys(("initial", "maintenance", "upnl"), "the payload carries no positions")
    if wallet is None or profit is None:
        missing["wallet"] = "the payload does not state it"
    return Answer(figures=Figures(account=account, missing=missing))
