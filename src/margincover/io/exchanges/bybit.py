"""Bybit v5: ``position/list``, the websocket position push and ``account/wallet-balance``.

``size`` is unsigned and ``side`` gives the direction; ``positionIdx`` 0 is one-way, 1 and 2 the legs of hedge mode.
The margin mode of a unified account belongs to the account, so ``tradeMode`` (0 cross, 1 isolated) decides only where
the account's mode does not say isolated. The payload states the collateral of an isolated position as
``positionBalance``; where it does not, it must be written by hand: initial margin is not what was assigned.

Rows of ``category=option`` have the same shape: the mark is per coin in the settle coin, leverage and liquidation price
are empty; no row states volatility or forward, which the book's market must give. In portfolio margin a position has no
margin of its own (the fields are empty or 0), and the account's rates are over its equity, not its margin balance.

References
----------
bybit-exchange.github.io/docs/v5: "Get Position Info", "Position" (websocket), "Get Wallet Balance".
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, as_rows, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, Bucket, MarginMode, PositionReport

_BUCKETS = {0.0: Bucket.NET, 1.0: Bucket.LONG, 2.0: Bucket.SHORT}


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the responses say: ``positions`` (position/list) and ``account`` or ``balance`` (wallet-balance)."""
    issues: list[str] = []
    isolated_account = "isolated" in mode
    rows = [row for key, document in documents(responses, "positions") for row in _rows(document, key, issues)]
    portfolio = "portfolio" in mode
    drafts = tuple(_draft(row, isolated_account, portfolio) for row in rows if row.required("size") != 0.0)
    wallets = [
        row for key, document in documents(responses, "account", "balance") for row in _rows(document, key, issues)
    ]
    if len(wallets) > 1:
        raise InputError(f"{len(wallets)} wallets were given", field="responses.account", allowed="one account")
    balances: tuple[Balance, ...] = ()
    reports: tuple[AccountReport, ...] = ()
    if wallets:
        reports = (_report(wallets[0], portfolio),)
        balances = _balances(wallets[0])
    if not wallets or not wallets[0].has("coin"):
        issues.append("bybit: no coin list in a wallet-balance response, balances must be written by hand")
    return VenueAccount(drafts=drafts, balances=balances, reports=reports, issues=tuple(issues))


def _rows(document: object, key: str, issues: list[str]) -> list[Row]:
    if not isinstance(document, Mapping):
        return as_rows(document, key)
    envelope = as_row(document, key)
    code = envelope.number("retCode")
    if code is not None and code != 0:
        raise InputError(
            f"the venue answered with retCode {code:g}: {shown(document.get('retMsg'))}",
            field=key,
            allowed="a successful response",
        )
    if envelope.has("result"):
        result = envelope.child("result")
        if result.data.get("nextPageCursor"):
            issues.append(f"bybit: {key} has a next page cursor, make sure that all pages are given")
        return result.children("list")
    if isinstance(document.get("data"), list):
        # A websocket push: {"topic": "position", "data": [...]}.
        return envelope.children("data")
    if isinstance(document.get("list"), list):
        return envelope.children("list")
    return [envelope]


def _draft(row: Row, isolated_account: bool, portfolio: bool) -> PositionDraft:
    sign = {"Buy": 1.0, "Sell": -1.0}.get(row.text("side"))
    if sign is None:
        raise InputError(f"was '{row.text('side')}'", field=row.field("side"), allowed="Buy or Sell")
    size = row.required("size")
    if size < 0:
        raise InputError(f"was {size:g}", field=row.field("size"), allowed="a number >= 0; side gives the direction")
    index = row.number("positionIdx") or 0.0
    if index not in _BUCKETS:
        raise InputError(f"was {index:g}", field=row.field("positionIdx"), allowed="0, 1 or 2")
    isolated = isolated_account or row.number("tradeMode") == 1.0
    return PositionDraft(
        place=row.place,
        symbol=row.text("symbol"),
        contracts=sign * size,
        # position/list says avgPrice, the websocket push says entryPrice.
        entry_price=row.nonzero("avgPrice", "entryPrice"),
        margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
        bucket=_BUCKETS[index],
        leverage=row.nonzero("leverage"),
        isolated_collateral_native=row.nonzero("positionBalance") if isolated else None,
        mark_price=row.nonzero("markPrice"),
        report=PositionReport(
            maintenance_native=None if portfolio else row.number("positionMM"),
            initial_native=None if portfolio else row.number("positionIM"),
            unrealised_pnl_native=row.number("unrealisedPnl"),
            liquidation_price=row.nonzero("liqPrice"),
        ),
    )


def _report(wallet: Row, portfolio: bool) -> AccountReport:
    rate = wallet.number("accountMMRate")
    return AccountReport(
        asset="USD",
        equity_native=wallet.number("totalEquity" if portfolio else "totalMarginBalance"),
        maintenance_native=wallet.number("totalMaintenanceMargin"),
        initial_native=wallet.number("totalInitialMargin"),
        available_native=wallet.number("totalAvailableBalance"),
        ratio=rate,
        ratio_kind=None if rate is None else "mm_over_equity",
    )


def _balances(wallet: Row) -> tuple[Balance, ...]:
    if not wallet.has("coin"):
        return ()
    found = []
    for row in wallet.children("coin"):
        total = row.required("walletBalance")
        # Equity = walletBalance - spotBorrow + ...; responses from before spotBorrow had it deducted already.
        borrowed = row.number("spotBorrow") or 0.0
        equity = row.number("equity") or 0.0
        if total == 0.0 and borrowed == 0.0 and equity == 0.0:
            continue
        usable = row.flag("marginCollateral"), row.flag("collateralSwitch")
        found.append(
            Balance(
                asset=row.text("coin"),
                total_native=total,
                locked_native=row.number("locked") or 0.0,
                borrowed_native=borrowed,
                is_collateral=False not in usable,
            )
        )
    return tuple(found)
