"""Deribit: ``private/get_positions``, ``private/get_account_summary`` (or summaries), and ``public/ticker`` rows.

``positions`` holds positions and, in further files, tickers or book summaries of their options (``mark_iv`` in percent,
``underlying_price``); ``account`` or ``balance`` holds the summaries. Every currency row of a cross account restates
the whole pool in its own currency: such rows become one report in USD and are never added. Rows of another margin
model than the account's mode are another account and are left out with a remark.

The wallet is what makes the venue's equity with the profit from the average price, as rows state it: the daily
settlement has paid a part of that profit into ``balance`` already.

References
----------
docs.deribit.com: private/get_positions, private/get_account_summaries, public/ticker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, as_rows, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, MarginMode, PositionReport
from margincover.venues.deribit.accounts import CROSS, SummaryRow, account_pools

_KINDS = ("future", "option")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quote:
    """What a ticker says of an option: implied volatility as a fraction, forward, mark; None where it is silent."""

    volatility: float | None
    forward: float | None
    mark: float | None


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the responses say: ``positions`` (positions, tickers) and ``account`` or ``balance`` (summaries)."""
    issues: list[str] = []
    rows = [row for key, document in documents(responses, "positions") for row in _rows(document, key)]
    quotes = {row.text("instrument_name"): _quote(row) for row in rows if _is_quote(row)}
    summaries = [row for key, document in documents(responses, "account", "balance") for row in _rows(document, key)]
    own = _of_mode(summaries, mode, issues)
    foreign = {row.text("currency") for row in summaries} - {row.text("currency") for row in own}
    drafts: list[PositionDraft] = []
    profits = dict.fromkeys((row.text("currency") for row in own), 0.0)
    settled: set[str] = set()
    for row in rows:
        if _is_quote(row) or _size(row) == 0.0:
            continue
        currency = _currency(row)
        if currency in foreign:
            issues.append(f"deribit: {row.text('instrument_name')} settles in {currency}, which is not in mode {mode}")
            continue
        settled.add(currency)
        drafts.append(_draft(row, quotes.get(row.text("instrument_name"))))
        if _kind(row) == "future":
            profits[currency] = profits.get(currency, 0.0) + row.required("total_profit_loss")
    if not summaries:
        issues.append("deribit: no get_account_summary response, balances must be written by hand")
    return VenueAccount(
        drafts=tuple(drafts),
        # The venue lists every currency it knows; one without equity and position is not held.
        balances=tuple(
            _balance(row, profits[row.text("currency")])
            for row in own
            if row.required("equity") != 0.0 or row.text("currency") in settled
        ),
        reports=_reports(own, mode),
        issues=tuple(issues),
    )


def _rows(document: object, key: str) -> list[Row]:
    """Return the rows of a response: bare, in a JSON-RPC envelope, or under ``summaries``."""
    if isinstance(document, Mapping):
        envelope = as_row(document, key)
        if envelope.has("error"):
            raise InputError(
                f"the venue answered with an error: {shown(document['error'])}", field=key, allowed="a result"
            )
        if "result" in document:
            return _rows(document["result"], f"{key}.result")
        if "summaries" in document:
            return envelope.children("summaries")
        return [envelope]
    return as_rows(document, key)


def _of_mode(summaries: Sequence[Row], mode: str, issues: list[str]) -> list[Row]:
    own: list[Row] = []
    for row in summaries:
        currency, model = row.text("currency"), row.text("margin_model")
        if currency in [other.text("currency") for other in own]:
            raise InputError(f"{currency} stood twice", field=row.field("currency"), allowed="one row a currency")
        if model == mode:
            own.append(row)
        elif row.required("equity") != 0.0:
            issues.append(
                f"deribit: {currency} is in {model}, not in {mode}: it is left out; make it an account of its own"
            )
    if summaries and not own:
        found = ", ".join(sorted({row.text("margin_model") for row in summaries}))
        raise InputError(
            f"the account is in {found}, its mode was {mode}", field="mode", allowed="the venue's margin_model"
        )
    return own


def _is_quote(row: Row) -> bool:
    """Return whether a row is a ticker: it has neither of the fields by which a position is known."""
    if "size" in row.data or "direction" in row.data:
        return False
    if not (row.has("mark_iv") or row.has("underlying_price") or row.has("mark_price")):
        found = "was neither a position nor a ticker"
        raise InputError(found, field=row.place, allowed="direction and size, or mark_iv")
    return True


def _size(row: Row) -> float:
    """Return the signed size: USD of an inverse future, coins of everything else."""
    size, side = row.required("size"), row.text("direction")
    if side not in ("buy", "sell", "zero"):
        raise InputError(f"was '{side}'", field=row.field("direction"), allowed="buy, sell or zero")
    if side == "zero" or size == 0.0:
        if size != 0.0:
            raise InputError(f"was zero with a size of {size:g}", field=row.field("direction"), allowed="buy or sell")
        return 0.0
    if side == "buy" and size < 0.0:
        raise InputError(f"was {size:g} on a buy", field=row.field("size"), allowed="a number > 0")
    return abs(size) if side == "buy" else -abs(size)


def _currency(row: Row) -> str:
    """Return the settlement currency: after the underscore of a linear instrument, else the coin."""
    head = row.text("instrument_name").partition("-")[0]
    base, _, quote = head.partition("_")
    return quote or base


def _kind(row: Row) -> str:
    name = row.text("instrument_name")
    # Rows of older interfaces do not say it; options end in C or P.
    kind = row.text("kind") if row.has("kind") else "option" if name[-2:] in ("-C", "-P") else "future"
    if kind not in _KINDS:
        raise NotSupportedError(f"{name} is a {kind} position", field=row.field("kind"), allowed=" or ".join(_KINDS))
    return kind


def _draft(row: Row, quote: _Quote | None) -> PositionDraft:
    option = _kind(row) == "option"
    return PositionDraft(
        place=row.place,
        symbol=row.text("instrument_name"),
        contracts=_size(row),
        entry_price=row.nonzero("average_price"),
        margin_mode=MarginMode.CROSS,
        # The leverage of a row is the venue's own largest one, not a choice of the account.
        mark_price=row.nonzero("mark_price") or (quote.mark if quote else None),
        report=PositionReport(
            maintenance_native=row.number("maintenance_margin"),
            initial_native=row.number("initial_margin"),
            unrealised_pnl_native=row.number("total_profit_loss"),
            liquidation_price=row.nonzero("estimated_liquidation_price"),
        ),
        implied_volatility=quote.volatility if quote and option else None,
        forward_price=quote.forward if quote and option else None,
    )


def _quote(row: Row) -> _Quote:
    percent = row.nonzero("mark_iv")
    return _Quote(
        volatility=None if percent is None else percent / 100.0,
        forward=row.nonzero("underlying_price"),
        mark=row.nonzero("mark_price"),
    )


def _balance(row: Row, profit: float) -> Balance:
    # equity = balance + session profit of futures + session realised + options value. What the average prices make of
    # the futures is added back by the positions, options by their value.
    return Balance(
        asset=row.text("currency"),
        total_native=row.required("equity") - row.required("options_value") - profit,
        locked_native=max(row.number("locked_balance") or 0.0, 0.0),
    )


def _reports(rows: Sequence[Row], mode: str) -> tuple[AccountReport, ...]:
    summaries = [_summary(row, mode) for row in rows]
    if mode in CROSS:
        found = account_pools(summaries)
        return tuple(
            AccountReport(
                asset=pool.unit,
                equity_native=pool.margin_balance,
                maintenance_native=pool.maintenance,
                initial_native=pool.initial,
            )
            for pool in found
        )
    return tuple(
        AccountReport(
            asset=summary.currency,
            equity_native=summary.margin_balance,
            maintenance_native=summary.maintenance,
            initial_native=summary.initial,
            available_native=row.number("available_funds"),
        )
        for summary, row in zip(summaries, rows, strict=True)
    )


def _summary(row: Row, mode: str) -> SummaryRow:
    cross = mode in CROSS
    try:
        return SummaryRow(
            currency=row.text("currency"),
            margin_model=mode,
            margin_balance=row.required("margin_balance"),
            initial=row.required("initial_margin"),
            maintenance=row.required("maintenance_margin"),
            total_margin_balance_usd=row.required("total_margin_balance_usd") if cross else None,
            total_initial_usd=row.required("total_initial_margin_usd") if cross else None,
            total_maintenance_usd=row.required("total_maintenance_margin_usd") if cross else None,
        )
    except InputError as error:
        raise error.located(field=row.place) from error
