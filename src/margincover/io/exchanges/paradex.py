"""Paradex ``/v1/positions``, ``/v1/account`` and ``/v1/balances``: one USDC pool.

The account value is USDC, profits and funding that has accrued but is not settled; so the wallet is the USDC balance
plus ``unrealized_funding_pnl`` of open positions. Position rows carry no mark. Whether ``unrealized_pnl`` holds that
funding as well is not stated: it is not taken as a report of price profit.

References
----------
docs.paradex.trade, API reference, responses of the three endpoints, read 2026-11-24.
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, MarginMode, PositionReport

_SIGNS = {"LONG": 1.0, "SHORT": -1.0}


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the responses say: ``positions``, and ``account`` or ``balance`` with the other two."""
    rows = [row for key, document in documents(responses, "positions") for row in _results(document, key)]
    live = [row for row in rows if _is_open(row)]
    _require_once(live)
    balances: list[Balance] = []
    reports: list[AccountReport] = []
    for key, document in documents(responses, "account", "balance"):
        body = _body(document, key)
        if body.has("account_value"):
            reports.append(_report(body))
        else:
            held = [_balance(row) for row in body.children("results")]
            balances.extend(found for found in held if found.total_native != 0.0 or found.asset == "USDC")
    return VenueAccount(
        drafts=tuple(_draft(row) for row in live),
        balances=tuple(_with_funding(balances, live)),
        reports=tuple(reports),
        issues=(),
    )


def _body(document: object, key: str) -> Row:
    body = as_row(document, key)
    if body.has("error"):
        message = f"{body.data['error']} {body.data.get('message', '')}".strip()
        raise InputError(f"the venue answered with an error: {shown(message)}", field=key)
    return body


def _results(document: object, key: str) -> list[Row]:
    body = _body(document, key)
    # Whole pages have results; one row alone is what a push of the position channel carries.
    return [body] if body.has("market") else body.children("results")


def _is_open(row: Row) -> bool:
    return row.required("size") != 0.0 and row.data.get("status", "OPEN") != "CLOSED"


def _require_once(rows: list[Row]) -> None:
    markets = [row.text("market") for row in rows]
    for row, market in zip(rows, markets, strict=True):
        if markets.count(market) > 1:
            raise InputError(f"{market} stood twice", field=row.field("market"), allowed="one open position a market")


def _draft(row: Row) -> PositionDraft:
    size, side = row.required("size"), row.text("side")
    if side not in _SIGNS:
        raise InputError(f"was '{side}'", field=row.field("side"), allowed="LONG or SHORT")
    return PositionDraft(
        place=row.place,
        symbol=row.text("market"),
        contracts=_SIGNS[side] * abs(size),
        # Marks are in USD; the entry in USDC differs by the price of USDC on the day.
        entry_price=row.nonzero("average_entry_price_usd", "average_entry_price"),
        margin_mode=MarginMode.CROSS,
        leverage=row.nonzero("leverage"),
        report=PositionReport(liquidation_price=row.nonzero("liquidation_price")),
    )


def _report(body: Row) -> AccountReport:
    return AccountReport(
        asset="USDC",
        equity_native=body.required("account_value"),
        maintenance_native=body.number("maintenance_margin_requirement"),
        initial_native=body.number("initial_margin_requirement"),
        available_native=body.number("free_collateral"),
    )


def _balance(row: Row) -> Balance:
    token = row.text("token")
    # Other coins count in the account value but do not back positions.
    return Balance(asset=token, total_native=row.required("size"), is_collateral=token == "USDC")


def _with_funding(balances: list[Balance], live: list[Row]) -> list[Balance]:
    funding = sum(row.number("unrealized_funding_pnl") or 0.0 for row in live)
    return [
        Balance(asset=held.asset, total_native=held.total_native + funding, is_collateral=True)
        if held.asset == "USDC"
        else held
        for held in balances
    ]
