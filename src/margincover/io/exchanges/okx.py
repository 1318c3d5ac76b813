"""OKX v5: ``account/positions`` and ``account/balance``.

``pos`` is signed where ``posSide`` is net, unsigned with posSide long or short. Cross rows have ``margin`` "" and all
restate one pool, so their ``mgnRatio`` is not a figure of the position. ``margin`` of an isolated row is without
unrealised profit: (margin + upl) / (mmr + taker fee) is its ``mgnRatio``. ``cashBal`` excludes isolated margin.
Options are marked in their settle coin. In portfolio margin ``imr`` and ``mmr`` of a row are those of its risk unit.
A cross MARGIN row (borrowed spot) restates two entries of ``details``, whose ``cashBal`` is net of liabilities.

References
----------
www.okx.com/docs-v5: "Get positions", "Get balance".
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, as_rows, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, Bucket, MarginMode, PositionReport

_SUPPORTED_TYPES = ("SWAP", "FUTURES", "OPTION")
# Modes whose balances hold what a cross MARGIN row bought and owes.
_BORROWING_MODES = ("multi_currency", "portfolio")
_PORTFOLIO = "portfolio"


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return the content of ``positions`` (account/positions), ``balance`` or ``account`` (account/balance)."""
    rows = [row for key, document in documents(responses, "positions") for row in _rows(document, key)]
    open_rows = [row for row in rows if row.required("pos") != 0.0]
    drafts = tuple(_draft(row, mode) for row in open_rows if not _stands_in_balances(row, mode))
    wallets = [row for key, document in documents(responses, "account", "balance") for row in _rows(document, key)]
    if len(wallets) > 1:
        raise InputError(f"{len(wallets)} balances were given", field="responses.balance", allowed="one account")
    issues = tuple(
        f"okx: {row.text('instId')} is a cross MARGIN position: what it holds and owes is read from the balances"
        for row in open_rows
        if _stands_in_balances(row, mode)
    )
    balances: tuple[Balance, ...] = ()
    reports: tuple[AccountReport, ...] = ()
    if wallets:
        details = wallets[0].children("details") if wallets[0].has("details") else []
        balances = tuple(_balance(row, mode) for row in details)
        reports = _reports(wallets[0], details)
    if not balances:
        issues += ("okx: no details in an account/balance response, balances must be written by hand",)
    return VenueAccount(drafts=drafts, balances=balances, reports=reports, issues=issues)


def _rows(document: object, key: str) -> list[Row]:
    if not isinstance(document, Mapping):
        return as_rows(document, key)
    envelope = as_row(document, key)
    if envelope.has("code"):
        if document["code"] not in ("0", 0):
            raise InputError(
                f"the venue answered with code {document['code']}: {shown(document.get('msg'))}",
                field=key,
                allowed="a successful response",
            )
        return envelope.children("data")
    if isinstance(document.get("data"), list):
        return envelope.children("data")
    return [envelope]


def _stands_in_balances(row: Row, mode: str) -> bool:
    return mode in _BORROWING_MODES and row.text("instType") == "MARGIN" and row.text("mgnMode") == "cross"


def _draft(row: Row, mode: str) -> PositionDraft:
    kind = row.text("instType")
    if kind not in _SUPPORTED_TYPES:
        raise NotSupportedError(
            f"{row.text('instId')} is a {kind} position",
            field=row.field("instType"),
            allowed=f"{' or '.join(_SUPPORTED_TYPES)}; cross MARGIN in modes {' and '.join(_BORROWING_MODES)}; an "
            "isolated pair as an account of its own in mode isolated_pair, its assets and its liability as balances",
        )
    isolated = row.text("mgnMode")
    if isolated not in ("cross", "isolated"):
        raise InputError(f"was '{isolated}'", field=row.field("mgnMode"), allowed="cross or isolated")
    contracts, bucket = _signed(row)
    own = mode != _PORTFOLIO
    return PositionDraft(
        place=row.place,
        symbol=row.text("instId"),
        contracts=contracts,
        entry_price=row.required("avgPx"),
        margin_mode=MarginMode(isolated),
        bucket=bucket,
        leverage=row.nonzero("lever"),
        isolated_collateral_native=row.number("margin") if isolated == "isolated" else None,
        mark_price=row.nonzero("markPx"),
        report=PositionReport(
            maintenance_native=row.number("mmr") if own else None,
            initial_native=row.number("imr") if own else None,
            unrealised_pnl_native=row.number("upl"),
            liquidation_price=row.nonzero("liqPx"),
        ),
    )


def _signed(row: Row) -> tuple[float, Bucket]:
    size = row.required("pos")
    side = row.text("posSide")
    if side == "net":
        return size, Bucket.NET
    if side not in ("long", "short"):
        raise InputError(f"was '{side}'", field=row.field("posSide"), allowed="net, long or short")
    return (abs(size), Bucket.LONG) if side == "long" else (-abs(size), Bucket.SHORT)


def _balance(row: Row, mode: str) -> Balance:
    # cashBal is net of liabilities: eq = cashBal + profit + isolated margin + option value - accrued interest.
    # Interest is the part owed that cashBal does not carry yet.
    total, interest = row.required("cashBal"), abs(row.number("interest") or 0.0)
    # The switch applies to multi-currency margin alone, and only to what is held: a debt counts whatever it says.
    switched_off = mode == "multi_currency" and row.flag("collateralEnabled") is False
    return Balance(
        asset=row.text("ccy"),
        total_native=total,
        locked_native=max(row.number("ordFrozen") or 0.0, 0.0),
        borrowed_native=interest,
        is_collateral=not switched_off or total < interest,
    )


def _reports(account: Row, details: list[Row]) -> tuple[AccountReport, ...]:
    if account.number("adjEq") is not None:
        return (_report(account, "USD", account.number("adjEq"), account.number("availEq")),)
    found = []
    for row in details:
        equity, isolated = row.number("eq"), row.number("isoEq") or 0.0
        if row.number("mmr", "mgnRatio") is None:
            continue
        cross = None if equity is None else equity - isolated
        found.append(_report(row, row.text("ccy"), cross, row.number("availEq")))
    return tuple(found)


def _report(row: Row, asset: str, equity: float | None, available: float | None) -> AccountReport:
    ratio = row.number("mgnRatio")
    return AccountReport(
        asset=asset,
        equity_native=equity,
        maintenance_native=row.number("mmr"),
        initial_native=row.number("imr"),
        available_native=available,
        ratio=ratio,
        ratio_kind=None if ratio is None else "equity_over_mm",
    )
