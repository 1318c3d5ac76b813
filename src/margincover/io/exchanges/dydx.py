"""dYdX v4 indexer ``/v4/addresses/{address}/subaccountNumber/{n}``: one subaccount, which is one pool.

USDC of the chain pays for positions in full: a long has a debt. The wallet before unrealised profit is that USDC plus
signed size times entry price. The oracle price is not in the payload: ``unrealizedPnl`` = size x (oracle - entry).

References
----------
docs.dydx.xyz, indexer API, getSubaccount, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, MarginMode, PositionReport

# Subaccounts from this number on hold one market each: the venue's isolated margin.
FIRST_ISOLATED = 128
ISOLATED_MODE = "isolated_market"
_SIGNS = {"LONG": 1.0, "SHORT": -1.0}


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the response of one subaccount says; it may stand under any role."""
    found = list(documents(responses, "positions", "account", "balance"))
    if len(found) != 1:
        raise InputError(f"{len(found)} responses were given", field="responses", allowed="one subaccount")
    key, document = found[0]
    body = as_row(document, key)
    if body.has("errors"):
        raise InputError(f"the venue answered with an error: {shown(body.data['errors'])}", field=key)
    account = body.child("subaccount") if body.has("subaccount") else body
    _require_mode(account, mode)
    rows = _named(account, "openPerpetualPositions")
    live = [row for row in rows if row.required("size") != 0.0 and row.data.get("status", "OPEN") == "OPEN"]
    drafts = tuple(_draft(row) for row in live)
    report = AccountReport(
        asset="USDC",
        equity_native=account.number("equity"),
        available_native=account.number("freeCollateral"),
    )
    return VenueAccount(drafts=drafts, balances=_balances(account, drafts), reports=(report,), issues=())


def _require_mode(account: Row, mode: str) -> None:
    number = account.number("subaccountNumber")
    if number is None:
        return
    if (number >= FIRST_ISOLATED) != (mode == ISOLATED_MODE):
        raise InputError(
            f"subaccount {number:g} in mode {mode}",
            field=account.field("subaccountNumber"),
            allowed=f"mode cross below {FIRST_ISOLATED}, mode {ISOLATED_MODE} from it on",
        )


def _named(account: Row, name: str) -> list[Row]:
    """Return the rows of an object whose keys are names."""
    table = account.child(name)
    return [as_row(value, table.field(key)) for key, value in table.data.items()]


def _sign(row: Row) -> float:
    side = row.text("side")
    if side not in _SIGNS:
        raise InputError(f"was '{side}'", field=row.field("side"), allowed="LONG or SHORT")
    return _SIGNS[side]


def _draft(row: Row) -> PositionDraft:
    size = _sign(row) * abs(row.required("size"))
    entry, profit = row.required("entryPrice"), row.number("unrealizedPnl")
    mark = None if profit is None else entry + profit / size
    if mark is not None and mark <= 0.0:
        raise InputError(
            f"was {profit:g} on {size:g} from {entry:g}",
            field=row.field("unrealizedPnl"),
            allowed="a profit that leaves the oracle price above 0",
        )
    return PositionDraft(
        place=row.place,
        symbol=row.text("market"),
        contracts=size,
        entry_price=entry,
        margin_mode=MarginMode.CROSS,
        mark_price=mark,
        report=PositionReport(unrealised_pnl_native=profit),
    )


def _balances(account: Row, drafts: tuple[PositionDraft, ...]) -> tuple[Balance, ...]:
    total = 0.0
    for row in _named(account, "assetPositions"):
        symbol = row.text("symbol")
        if symbol != "USDC":
            raise InputError(f"was '{symbol}'", field=row.field("symbol"), allowed="USDC: the only collateral")
        total += _sign(row) * abs(row.required("size"))
    total += sum(draft.contracts * (draft.entry_price or 0.0) for draft in drafts)
    return (Balance(asset="USDC", total_native=total),)
