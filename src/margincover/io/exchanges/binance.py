"""Binance futures: ``positionRisk`` and ``account`` of USDⓈ-M (fapi v2, v3), COIN-M (dapi v1), portfolio margin (papi).

``positionAmt`` is signed in all of them; ``positionSide`` is BOTH in one-way mode, LONG or SHORT in hedge mode.
``liquidationPrice`` "0" means that there is none. v3 states neither margin type nor leverage: a position with an
isolated wallet is isolated. Where both responses are given, ``account`` fills what ``positionRisk`` leaves out.
In multi-assets mode the totals of ``account`` are the account in USD; every asset's ``availableBalance`` restates it
and ``marginAvailable`` says whether the asset counts. Single-asset mode carries that field without a meaning.
Portfolio margin answers ``positionRisk`` of um and cm, ``balance`` by asset and ``account`` with totals alone; all its
positions are cross. ``crossMarginAsset`` is net of loan and interest, which stand beside it.

References
----------
developers.binance.com, derivatives, "Position Information V2/V3" and "Account Information V2/V3".
"""

from __future__ import annotations

from collections.abc import Mapping

from margincover.errors import InputError
from margincover.io.exchanges.fields import PositionDraft, Row, VenueAccount, as_row, as_rows, documents, shown
from margincover.model.account import AccountReport
from margincover.model.position import Balance, Bucket, MarginMode, PositionReport

_BUCKETS = {"BOTH": Bucket.NET, "LONG": Bucket.LONG, "SHORT": Bucket.SHORT}
_SINGLE_ASSET, _MULTI_ASSETS = "usdm_single_asset", "usdm_multi_assets"
_PORTFOLIO_MODES = ("portfolio_margin", "portfolio_margin_pro")
_USD = "USD"


def parse(responses: Mapping[str, object], mode: str) -> VenueAccount:
    """Return what the responses say: ``positions`` (positionRisk), ``account`` and ``balance``."""
    if mode in _PORTFOLIO_MODES:
        return _portfolio(responses)
    risk = [row for key, document in documents(responses, "positions") for row in _list(document, key)]
    accounts = [_object(document, key) for key, document in documents(responses, "account")]
    if len(accounts) > 1:
        raise InputError("two account responses were given", field="responses.account", allowed="one")
    for account in accounts:
        _require_mode(account, mode)
    stated = accounts[0].children("positions") if accounts and accounts[0].has("positions") else []
    live = _live_rows(risk, stated)
    drafts = tuple(_draft(row) for row in live)
    wallets = accounts[0].children("assets") if accounts else []
    if not wallets:
        wallets = [row for key, document in documents(responses, "balance") for row in _list(document, key)]
    issues = () if wallets else ("binance: no account or balance response, balances must be written by hand",)
    balances = tuple(balance for row in wallets if (balance := _balance(row, live, mode)) is not None)
    held = {balance.asset for balance in balances}
    if mode == _MULTI_ASSETS:
        reports = tuple(_total_report(row) for row in accounts)
    else:
        reports = tuple(_report(row, live) for row in wallets if row.text("asset") in held)
    return VenueAccount(drafts=drafts, balances=balances, reports=reports, issues=issues)


def _refuse_error(document: object, key: str) -> None:
    if isinstance(document, Mapping) and "code" in document and "msg" in document:
        raise InputError(
            f"the venue answered with code {document['code']}: {shown(document['msg'])}",
            field=key,
            allowed="a successful response",
        )


def _list(document: object, key: str) -> list[Row]:
    _refuse_error(document, key)
    # A single row is what is left when someone saves one position only.
    return [as_row(document, key)] if isinstance(document, Mapping) else as_rows(document, key)


def _object(document: object, key: str) -> Row:
    _refuse_error(document, key)
    return as_row(document, key)


def _live_rows(risk: list[Row], stated: list[Row]) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for row in risk:
        key = _key(row)
        if key in rows:
            raise InputError(f"{key[0]} {key[1]} stood twice", field=row.place, allowed="one row per symbol and side")
        rows[key] = row
    for row in stated:
        key = _key(row)
        if key not in rows:
            rows[key] = row
            continue
        first = rows[key]
        if row.has("positionAmt") and row.required("positionAmt") != first.required("positionAmt"):
            raise InputError(
                f"{key[0]} was {row.required('positionAmt'):g} here and {first.required('positionAmt'):g} "
                f"in {first.place}",
                field=row.field("positionAmt"),
                allowed="responses fetched at the same moment",
            )
        said = {name: value for name, value in first.data.items() if value not in (None, "")}
        rows[key] = Row({**row.data, **said}, first.place)
    return [row for row in rows.values() if row.required("positionAmt") != 0.0]


def _key(row: Row) -> tuple[str, str]:
    side = row.text("positionSide") if row.has("positionSide") else "BOTH"
    if side not in _BUCKETS:
        raise InputError(f"was '{side}'", field=row.field("positionSide"), allowed="BOTH, LONG or SHORT")
    return row.text("symbol"), side


def _draft(row: Row) -> PositionDraft:
    symbol, side = _key(row)
    contracts = row.required("positionAmt")
    isolated = _is_isolated(row)
    return PositionDraft(
        place=row.place,
        symbol=symbol,
        contracts=contracts,
        entry_price=row.nonzero("entryPrice"),
        margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
        bucket=_BUCKETS[side],
        leverage=row.number("leverage"),
        isolated_collateral_native=_isolated_wallet(row) if isolated else None,
        mark_price=_mark(row, contracts),
        report=PositionReport(
            maintenance_native=row.number("maintMargin"),
            initial_native=row.number("positionInitialMargin", "initialMargin"),
            unrealised_pnl_native=_profit(row),
            liquidation_price=row.nonzero("liquidationPrice"),
        ),
    )


def _profit(row: Row) -> float | None:
    # positionRisk spells it unRealizedProfit, account spells it unrealizedProfit.
    return row.number("unRealizedProfit", "unrealizedProfit")


def _is_isolated(row: Row) -> bool:
    if row.has("marginType"):
        kind = row.text("marginType").lower()
        if kind not in ("cross", "crossed", "isolated"):
            raise InputError(f"was '{kind}'", field=row.field("marginType"), allowed="cross or isolated")
        return kind == "isolated"
    stated = row.flag("isolated")
    if stated is not None:
        return stated
    if row.number("isolatedWallet", "isolatedMargin") is None:
        raise InputError(
            "was missing", field=row.field("marginType or isolated or isolatedWallet"), allowed="one of these fields"
        )
    return row.nonzero("isolatedWallet") is not None or row.nonzero("isolatedMargin") is not None


def _isolated_wallet(row: Row) -> float | None:
    wallet = row.nonzero("isolatedWallet")
    margin, profit = row.nonzero("isolatedMargin"), _profit(row)
    if wallet is None and margin is not None and profit is not None:
        # isolatedMargin includes unrealised profit (docs sample: 15517.54150468 - 2316.8342356 = 13200.70726908).
        return margin - profit
    return wallet


def _mark(row: Row, contracts: float) -> float | None:
    stated = row.nonzero("markPrice")
    notional = row.nonzero("notional")
    if stated is None and notional is not None:
        # Account rows of USDⓈ-M have no mark; their notional is quantity times mark.
        return abs(notional / contracts)
    return stated


def _settles_in(row: Row, asset: str) -> bool:
    if row.has("marginAsset"):
        return row.text("marginAsset") == asset
    symbol = row.text("symbol")
    # COIN-M symbols are BTCUSD_PERP or BTCUSD_210625 and settle in the base coin.
    if "USD_" in symbol:
        return symbol.startswith(f"{asset}USD_")
    return symbol.partition("_")[0].endswith(asset)


def _balance(row: Row, live: list[Row], mode: str) -> Balance | None:
    asset = row.text("asset")
    # The cross wallet: what is assigned to isolated positions stands with them.
    total = row.required("crossWalletBalance")
    if total == 0.0 and not any(_settles_in(position, asset) for position in live):
        return None
    # A debt counts whether or not the venue takes the coin as collateral.
    counted = mode != _MULTI_ASSETS or row.flag("marginAvailable") is not False or total < 0.0
    return Balance(asset=asset, total_native=total, is_collateral=counted)


def _report(row: Row, live: list[Row]) -> AccountReport:
    asset = row.text("asset")
    profit = row.number("crossUnPnl")
    isolated = [position for position in live if _settles_in(position, asset) and _is_isolated(position)]
    return AccountReport(
        asset=asset,
        equity_native=None if profit is None else row.required("crossWalletBalance") + profit,
        maintenance_native=_less(row.number("maintMargin"), [r.number("maintMargin") for r in isolated]),
        initial_native=_less(row.number("initialMargin"), [r.number("initialMargin") for r in isolated]),
        available_native=row.number("availableBalance"),
    )


def _less(total: float | None, parts: list[float | None]) -> float | None:
    # The venue's total covers isolated positions as well; without their parts the cross figure is not known.
    if total is None or any(part is None for part in parts):
        return None
    return total - sum(part for part in parts if part is not None)


def _require_mode(account: Row, mode: str) -> None:
    """Raise InputError where the account says that it is in another asset mode than the book."""
    is_multi = account.flag("multiAssetsMargin")
    said = {True: _MULTI_ASSETS, False: _SINGLE_ASSET}.get(is_multi) if is_multi is not None else None
    if said is not None and mode in (_SINGLE_ASSET, _MULTI_ASSETS) and mode != said:
        raise InputError(
            f"was {str(is_multi).lower()} in mode {mode}",
            field=account.field("multiAssetsMargin"),
            allowed=f"mode {said}",
        )


def _total_report(account: Row) -> AccountReport:
    """Return the totals of an account in multi-assets mode, which the venue values in dollars."""
    return AccountReport(
        asset=_USD,
        equity_native=account.number("totalMarginBalance"),
        maintenance_native=account.number("totalMaintMargin"),
        initial_native=account.number("totalInitialMargin"),
        available_native=account.number("availableBalance"),
    )


def _portfolio(responses: Mapping[str, object]) -> VenueAccount:
    """Return a portfolio margin account: um and cm ``positions``, ``balance`` by asset, ``account`` with the totals."""
    rows = [row for key, document in documents(responses, "positions") for row in _list(document, key)]
    live = _live_rows([Row({**row.data, "marginType": "cross"}, row.place) for row in rows], [])
    drafts = tuple(_portfolio_draft(row) for row in live)
    totals = [_object(document, key) for key, document in documents(responses, "account")]
    if len(totals) > 1:
        raise InputError("two account responses were given", field="responses.account", allowed="one")
    wallets = [row for key, document in documents(responses, "balance") for row in _list(document, key)]
    balances = [balance for row in wallets if (balance := _portfolio_balance(row, live)) is not None]
    loss = (totals[0].number("totalMarginOpenLoss") or 0.0) if totals else 0.0
    if loss:
        # What resting spot-margin orders would lose lowers equity by dollars: a debt in dollars.
        balances.append(Balance(asset=_USD, total_native=-abs(loss)))
    return VenueAccount(
        drafts=drafts,
        balances=tuple(balances),
        reports=tuple(_portfolio_report(row, loss) for row in totals),
        issues=() if wallets else ("binance: no balance response, balances must be written by hand",),
    )


def _portfolio_draft(row: Row) -> PositionDraft:
    # Accounts without initial margin answer with a leverage of "0".
    said = {} if row.nonzero("leverage") is not None else {"leverage": None}
    return _draft(Row({**row.data, **said}, row.place))


def _portfolio_balance(row: Row, live: list[Row]) -> Balance | None:
    asset = row.text("asset")
    margin = row.required("crossMarginFree") + row.required("crossMarginLocked")
    total = margin + row.required("umWalletBalance") + row.required("cmWalletBalance")
    borrowed = row.required("crossMarginBorrowed") + row.required("crossMarginInterest")
    if total == borrowed == 0.0 and not any(_settles_in(position, asset) for position in live):
        return None
    return Balance(asset=asset, total_native=total, borrowed_native=borrowed)


def _portfolio_report(account: Row, loss: float) -> AccountReport:
    return AccountReport(
        asset=_USD,
        # Whether accountEquity is after the open loss of orders is not documented: compared only where there is none.
        equity_native=None if loss else account.number("accountEquity"),
        maintenance_native=account.number("accountMaintMargin"),
        initial_native=account.nonzero("accountInitialMargin"),
        available_native=account.number("totalAvailableBalance"),
        ratio=account.number("uniMMR"),
        ratio_kind="equity_over_mm",
    )
