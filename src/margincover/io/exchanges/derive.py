"""Derive: ``private/get_subaccount`` (or get_positions and get_collaterals), and ``public/get_ticker`` of options.

``account`` or ``balance`` holds the subaccount; ``positions`` may hold positions and tickers, whose ``option_pricing``
gives implied volatility and forward. Margins are net: the requirement is the value less the margin.

The profit of a perpetual is paid into cash from time to time. ``mark_value`` is what is not paid yet, so the entry
price here is that of the last payment, mark - mark_value / amount; ``average_price`` would count paid profit twice.

References
----------
docs.derive.xyz: private/get_subaccount, private/get_positions, private/get_collaterals, public/get_ticker.
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, MarginMode, PositionReport

CASH = "USDC"
_MODES = {"SM": "standard", "PM2": "portfolio"}
_KINDS = ("perp", "option")


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the responses say: ``account`` or ``balance`` (subaccount), ``positions`` (positions, tickers)."""
    results = [_result(document, key) for key, document in documents(responses, "account", "balance", "positions")]
    quotes = {row.text("instrument_name"): row for row in results if row.has("instrument_name")}
    accounts = [row for row in results if row.has("subaccount_value")]
    if len(accounts) > 1:
        raise InputError(
            f"{len(accounts)} subaccounts were given", field="responses.account", allowed="one subaccount an account"
        )
    issues: list[str] = []
    for row in accounts:
        _require_mode(row, mode)
        issues += _remarks(row)
    drafts = _drafts(results, quotes)
    balances = _balances(results, issues)
    if not balances:
        issues.append("derive: no collaterals in the responses, balances must be written by hand")
    return VenueAccount(
        drafts=drafts, balances=balances, reports=tuple(_report(row) for row in accounts), issues=tuple(issues)
    )


def _result(document: object, key: str) -> Row:
    envelope = as_row(document, key)
    if envelope.has("error"):
        raise InputError(
            f"the venue answered with {shown(envelope.data['error'])}", field=key, allowed="a successful response"
        )
    return envelope.child("result") if envelope.has("result") else envelope


def _require_mode(row: Row, mode: str) -> None:
    kind = row.text("margin_type")
    if kind not in _MODES:
        raise NotSupportedError(f"margin_type was {kind}", field=row.field("margin_type"), allowed=" or ".join(_MODES))
    if _MODES[kind] != mode:
        raise InputError(
            f"margin_type was {kind}, the account's mode {mode}",
            field=row.field("margin_type"),
            allowed=f"mode {_MODES[kind]} for this subaccount",
        )


def _remarks(row: Row) -> list[str]:
    found = []
    orders = row.children("open_orders") if row.has("open_orders") else []
    if orders:
        found.append(f"derive: {len(orders)} resting orders are not counted, initial margin is larger with them")
    if row.flag("is_under_liquidation"):
        found.append("derive: the subaccount is being auctioned: it is frozen until the auction ends")
    if row.number("mm_credits"):
        found.append("derive: the venue adds a credit to maintenance for a while (mm_credits), it is not counted")
    return found


def _drafts(results: list[Row], quotes: Mapping[str, Row]) -> tuple[PositionDraft, ...]:
    found: dict[str, PositionDraft] = {}
    for result in results:
        for row in result.children("positions") if result.has("positions") else []:
            amount, name = row.required("amount"), row.text("instrument_name")
            if amount == 0.0:
                continue
            draft = _draft(row, name, amount, quotes.get(name))
            before = found.get(name)
            if before is not None and before.contracts != amount:
                raise InputError(
                    f"{name} has amount {before.contracts:g} and {amount:g}",
                    field=row.field("amount"),
                    allowed="responses of one moment",
                )
            found.setdefault(name, draft)
    return tuple(found.values())


def _draft(row: Row, name: str, amount: float, quote: Row | None) -> PositionDraft:
    kind = row.text("instrument_type")
    if kind not in _KINDS:
        raise NotSupportedError(
            f"{name} is a {kind} position", field=row.field("instrument_type"), allowed=" or ".join(_KINDS)
        )
    mark = row.nonzero("mark_price")
    if kind == "option":
        pricing = quote.child("option_pricing") if quote is not None else None
        return PositionDraft(
            place=row.place,
            symbol=name,
            contracts=amount,
            entry_price=row.nonzero("average_price"),
            margin_mode=MarginMode.CROSS,
            mark_price=mark,
            implied_volatility=pricing.nonzero("iv") if pricing is not None else None,
            forward_price=pricing.nonzero("forward_price") if pricing is not None else None,
        )
    unpaid = row.required("mark_value")
    if mark is None or mark - unpaid / amount <= 0.0:
        raise InputError(
            f"{name} has mark {mark} and {unpaid:g} of unpaid profit on {amount:g}",
            field=row.field("mark_value"),
            allowed="a mark > 0 and the profit since the last payment, which give an entry price > 0",
        )
    return PositionDraft(
        place=row.place,
        symbol=name,
        contracts=amount,
        entry_price=mark - unpaid / amount,
        margin_mode=MarginMode.CROSS,
        mark_price=mark,
        report=PositionReport(unrealised_pnl_native=unpaid, liquidation_price=row.nonzero("liquidation_price")),
    )


def _balances(results: list[Row], issues: list[str]) -> tuple[Balance, ...]:
    found: dict[str, Balance] = {}
    for result in results:
        for row in result.children("collaterals") if result.has("collaterals") else []:
            name, amount = row.text("asset_name"), row.required("amount")
            pending = row.number("pending_interest") or 0.0
            # Whether the amount holds it already is not documented: what is owed counts, what is earned does not.
            total = amount + min(pending, 0.0)
            if pending:
                counted = "counted" if pending < 0 else "not counted"
                issues.append(f"derive: {pending:+g} {name} of interest is not booked yet, it is {counted}")
            if name == CASH or total != 0.0:
                found.setdefault(name, _balance(row, name, total, issues))
    return tuple(found.values())


def _balance(row: Row, name: str, total: float, issues: list[str]) -> Balance:
    margins = (row.number("maintenance_margin"), row.number("initial_margin"))
    counts = name == CASH or total < 0.0 or margins != (0.0, 0.0)
    if not counts:
        issues.append(f"derive: {name} has no margin value at the venue, it is left out of the equity")
    return Balance(asset=name, total_native=total, is_collateral=counts)


def _report(row: Row) -> AccountReport:
    value = row.required("subaccount_value")
    return AccountReport(
        asset=CASH,
        equity_native=value,
        maintenance_native=value - row.required("maintenance_margin"),
        initial_native=value - row.required("initial_margin"),
    )
