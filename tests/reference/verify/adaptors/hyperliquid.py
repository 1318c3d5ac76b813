"""Hyperliquid: perpetuals, cross and isolated, builder-deployed markets, account summaries and margin tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from margincover.io.exchanges import parse_account
from margincover.model.account import Account
from margincover.model.position import MarginMode
from margincover.venues import registry
from tests.reference.verify.account import AccountSpec, Figures, PositionSpec, figures_of
from tests.reference.verify.adaptors import hyperliquid_portfolio
from tests.reference.verify.answer import Answer, answer_of
from tests.reference.verify.build import Setting, any_size, describe, refuse_out_of_scope
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import Facts, as_number, observed_at, tier_rows
from tests.reference.verify.tables import deductions

DEFAULT = datetime(2026, 9, 15, tzinfo=UTC)
VALID_FROM = datetime(2024, 3, 1, tzinfo=UTC)
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "HYPE")


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Hyperliquid case."""
    further = hyperliquid_portfolio.answer(case)
    if further is not None:
        return further
    refuse_out_of_scope(case)
    if "crossMarginSummary" in case.raw or "marginSummary" in case.raw:
        return _clearinghouse(case)
    facts = Facts(*case.layers)
    if re.search(r"auto-delever|adl|backstop|funding|order cap|withdraw", case.family):
        raise UnsupportedError(f"family not modelled: {case.product}, {case.account_mode}")
    setting = _setting(case, facts)
    case = _completed(case, facts, setting)
    if facts.number("quantity") is None and facts.named("positions") is None:
        if facts.number("notional") is None and facts.named("tiers") is not None:
            rows = _tiers(facts)
            found = deductions(venue="hyperliquid", mode="perps", symbol="BTC", as_of=DEFAULT, rows=rows)
            return Answer(figures=Figures(account={"deduction": found, "first_tier": 0}))
        if facts.number("max_leverage") is not None and facts.number("notional") is None:
            return _rate(facts.number("max_leverage") or 0.0)
    spec = describe(any_size(case, setting.isolated), setting, side=side)
    return answer_of(_with_account_maintenance(case, spec))


def _setting(case: Case, facts: Facts) -> Setting:
    stated = facts.text("symbol") or _coin(case.product)
    builder = stated is not None and _own_symbol(stated).partition(":")[1] == ":"
    kind = facts.named("leverage")
    mode = str(kind.get("type", "")) if isinstance(kind, Mapping) else ""
    return Setting(
        venue="hyperliquid",
        mode="builder_perps" if builder else "perps",
        as_of=observed_at(case, default=DEFAULT, valid_from=VALID_FROM),
        symbols=(stated, *COINS) if stated else COINS,
        isolated=mode == "isolated" if mode else "isolated" in case.family and "cross" not in case.family,
        own_symbol=_own_symbol,
        fill=_fill,
    )


def _coin(product: str) -> str | None:
    match = re.match(r"([A-Za-z0-9:-]+) perp", product)
    return match.group(1) if match else None


def _own_symbol(symbol: str) -> str:
    base = symbol.partition("/")[0]
    # Unified symbols of builder-deployed markets are written DEX-COIN, the venue writes dex:COIN.
    dex, dash, coin = base.partition("-")
    return f"{dex.lower()}:{coin}" if dash else base


def _tiers(facts: Facts) -> tuple[tuple[float, float, float], ...]:
    # The venue's tables state the maximum leverage of a tier; its rate is 1 / (2 x maximum leverage).
    return tuple(
        (floor, cap, 0.5 / column if column >= 1.0 else column)
        for floor, cap, column in tier_rows(facts.named("tiers"))
    )


def _completed(case: Case, facts: Facts, setting: Setting) -> Case:
    """Return the case with nested fields laid flat and the tiers as rates."""
    extra: dict[str, object] = {}
    leverage = facts.named("leverage")
    if isinstance(leverage, Mapping) and "rawUsd" in leverage:
        extra["raw_usd"] = leverage["rawUsd"]
    if facts.named("tiers") is not None and facts.number("rate") is None:
        extra["tiers"] = [list(row) for row in _tiers(facts)]
    return replace(case, layers=(extra, *case.layers)) if extra else case


def _fill(spec: PositionSpec, facts: Facts) -> PositionSpec:
    top = facts.number("max_leverage")
    if spec.rate is None and top and not spec.tiers:
        # The maximum leverage of the day states the rate of the day: 1 / (2 x maximum leverage).
        spec = replace(spec, rate=0.5 / top)
    notional = facts.number("notional")
    if facts.number("mark") is None and notional:
        spec = replace(spec, mark=abs(notional / spec.contracts))
    if not spec.isolated:
        return spec
    raw_usd, used, profit = facts.number("raw_usd"), facts.named("marginUsed"), facts.number("profit")
    if raw_usd is not None and spec.entry is not None:
        # rawUsd is cash after paying the entry; assigned collateral is that plus the entry value.
        return replace(spec, collateral=raw_usd + spec.contracts * spec.entry)
    if used is not None and profit is not None:
        # marginUsed of an isolated position is its equity, unrealised profit included.
        return replace(spec, collateral=(as_number(used) or 0.0) - profit)
    return spec


def _with_account_maintenance(case: Case, spec: AccountSpec) -> AccountSpec:
    """Return the account with the maintenance of positions that the case gives only as the account's sum."""
    names = ("maintenance_margin", "account_maintenance_margin", "total_mm", "account_mm", "crossMaintenanceMarginUsed")
    stated = as_number(Facts(*case.layers).named(*names))
    if stated is None or len(spec.positions) != 1 or spec.positions[0].isolated or spec.equity is None:
        return spec
    own = figures_of(spec).positions[0]["maintenance"]
    # Cases round the account's sum to the dollar: less than one is no other position.
    return spec if not isinstance(own, float) or stated - own < 1.0 else replace(spec, aside=own - stated)


def _rate(max_leverage: float) -> Answer:
    """Return the maintenance rate of a maximum leverage from the packaged tables, any edition."""
    for year in (2026, 2025, 2024):
        rules = registry.rulebook("hyperliquid", at=datetime(year, 11, 30, tzinfo=UTC))
        for table in rules.tier_tables.values():
            for tier in table.tiers:
                if tier.max_leverage == max_leverage:
                    rate = tier.maintenance_fraction
                    return Answer(figures=Figures(account={"mm_rate": rate, "maintenance": rate}))
    raise UnsupportedError(f"no packaged margin table has a maximum leverage of {max_leverage:g}")


def _clearinghouse(case: Case) -> Answer:
    """Return the figures of a clearinghouseState; one that was cut to its summary has no positions."""
    summary = case.raw.get("crossMarginSummary", case.raw.get("marginSummary"))
    document = {"assetPositions": [], **case.raw, "crossMarginSummary": summary}
    parsed = parse_account(
        "hyperliquid", {"account": document}, account_id="hyperliquid:case", mode="perps", source=case.id
    )
    positions = _held(parsed.account, document["assetPositions"])
    if not positions:
        report = parsed.account.reported[0]
        # Without positions the product's pool is flat: its equity is the venue's, its margin is what the venue states.
        equity, used = report.equity_native or 0.0, report.initial_native or 0.0
        return Answer(
            figures=Figures(
                account={"equity": equity, "withdrawable": max(equity - used, 0.0)},
                missing={
                    "margin_used": "the payload carries no positions",
                    "notional": "the payload carries no positions",
                },
            )
        )
    spec = AccountSpec(
        venue="hyperliquid",
        mode="perps",
        as_of=observed_at(case, default=DEFAULT, valid_from=VALID_FROM),
        positions=positions,
        # The stated account value, not the wallet: entry prices are printed rounded, and so is a wallet behind them.
        equity=parsed.account.reported[0].equity_native,
    )
    figures = figures_of(spec)
    if any("order" in key.lower() for layer in case.layers for key in layer):
        reason = "resting orders take from what can be withdrawn; the product does not model them here"
        figures = replace(figures, missing={**figures.missing, "withdrawable": reason})
    return Answer(figures=figures, spec=spec)


def _held(account: Account, rows: object) -> tuple[PositionSpec, ...]:
    """Return the parsed positions with the rate of the maximum leverage that the payload states."""
    leverages = {}
    for row in rows if isinstance(rows, list) else []:
        position = row.get("position", {})
        leverages[position.get("coin")] = as_number(position.get("maxLeverage"))
    return tuple(
        PositionSpec(
            symbol=p.symbol,
            contracts=p.contracts,
            entry=p.entry_price,
            mark=p.mark_price or p.entry_price,
            isolated=p.margin_mode is MarginMode.ISOLATED,
            leverage=p.leverage,
            collateral=p.isolated_collateral_native,
            rate=0.5 / top if (top := leverages.get(p.symbol)) else None,
        )
        for p in account.positions
    )
