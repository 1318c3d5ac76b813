"""Hyperliquid ``clearinghouseState``: one USDC pool, and one more for every isolated position.

Equity of an isolated position is ``marginUsed`` = rawUsd + size x mark (checked on the docs sample: -95.059824 +
100.02765 = 4.967826), so its collateral without unrealised profit is ``marginUsed - unrealizedPnl``. The cross pool's
USDC is ``crossMarginSummary.accountValue`` less the unrealised profit of cross positions.

References
----------
Hyperliquid documentation, info endpoint, perpetuals: the sample of ``clearinghouseState``.
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, MarginMode, PositionReport

# The summary states the notional of all positions; a larger difference than this means that rows are missing.
_NOTIONAL_TOLERANCE = 1e-3


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what one ``clearinghouseState`` says; it may stand under any role."""
    found = list(documents(responses, "positions", "account", "balance"))
    if len(found) != 1:
        raise InputError(f"{len(found)} responses were given", field="responses", allowed="one clearinghouseState")
    key, document = found[0]
    state = _state(document, key)
    rows = [row.child("position") for row in state.children("assetPositions")]
    live = [row for row in rows if row.required("szi") != 0.0]
    drafts = tuple(_draft(row) for row in live)
    summary = state.child("crossMarginSummary")
    value = summary.required("accountValue")
    cross = [row for row, draft in zip(live, drafts, strict=True) if draft.margin_mode is MarginMode.CROSS]
    profit = sum(row.required("unrealizedPnl") for row in cross)
    report = AccountReport(
        asset="USDC",
        equity_native=value,
        maintenance_native=state.number("crossMaintenanceMarginUsed"),
        initial_native=summary.number("totalMarginUsed"),
        available_native=state.number("withdrawable"),
    )
    return VenueAccount(
        drafts=drafts,
        balances=(Balance(asset="USDC", total_native=value - profit),),
        reports=(report,),
        issues=_issues(summary, cross),
    )


def _state(document: object, key: str) -> Row:
    # A refused request answers with null, a bare text, or {"status": "err", "response": text}.
    if isinstance(document, str):
        raise InputError(f"the venue answered with an error: {shown(document)}", field=key)
    state = as_row(document, key)
    if state.data.get("status") == "err":
        raise InputError(f"the venue answered with an error: {shown(state.data.get('response'))}", field=key)
    return state


def _draft(row: Row) -> PositionDraft:
    coin = row.text("coin")
    if ":" in coin:
        raise NotSupportedError(
            f"{coin} belongs to a builder-deployed venue with a collateral asset of its own",
            field=row.field("coin"),
            allowed="the clearinghouseState of the main venue",
        )
    size = row.required("szi")
    leverage = row.child("leverage")
    kind = leverage.text("type")
    if kind not in ("cross", "isolated"):
        raise InputError(f"was '{kind}'", field=leverage.field("type"), allowed="cross or isolated")
    isolated = kind == "isolated"
    profit = row.required("unrealizedPnl")
    return PositionDraft(
        place=row.place,
        symbol=coin,
        contracts=size,
        entry_price=row.required("entryPx"),
        margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
        leverage=leverage.number("value"),
        isolated_collateral_native=row.required("marginUsed") - profit if isolated else None,
        mark_price=abs(row.required("positionValue")) / abs(size),
        report=PositionReport(
            initial_native=None if isolated else row.number("marginUsed"),
            unrealised_pnl_native=profit,
            liquidation_price=row.nonzero("liquidationPx"),
        ),
    )


def _issues(summary: Row, cross: list[Row]) -> tuple[str, ...]:
    stated = summary.number("totalNtlPos")
    if stated is None:
        return ()
    found = sum(abs(row.required("positionValue")) for row in cross)
    if abs(found - stated) > _NOTIONAL_TOLERANCE * max(stated, 1.0):
        return (
            f"cross positions add up to {found:g} USDC of notional, the venue states {stated:g}: rows may be missing",
        )
    return ()
