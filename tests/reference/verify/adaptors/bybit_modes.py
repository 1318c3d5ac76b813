"""Bybit beyond linear and inverse futures: options, portfolio margin, borrowing, collateral ladders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from margincover.venues.bybit import options, portfolio
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors import bybit_book, deleveraging
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.compare import asked
from tests.reference.verify.facts import as_number, plain

AT = datetime(2026, 3, 24, tzinfo=UTC)
OPTION = {
    "mm": "positionmm mm maintenancemargin maintenance",
    "im": "positionim im initialmargin initial",
    "mmrate": "accountmmpct accountmmrate mmrate accountmm",
    "imrate": "accountimpct accountimrate imrate accountim",
    "otm": "otm otmamount outofthemoney",
    "premium": "premium",
    "fee": "fee tradingfee openfee",
    "cost": "cost ordercost total buycost orderimbuy",
    "orderim": "orderim ordermargin sellorderim orderinitialmargin initialmarginorder",
}
UNIT = {
    "pnl": "totalpnl pnl totalpnls",
    "loss": "maxloss maximumloss worstloss",
    "mm": "mm maintenancemargin unitmm accountmm totalmm",
    "im": "im initialmargin unitim accountim totalim",
    "contingency": "contingency totalcontingency",
    "available": "availablebalance available totalavailablebalance",
    "mmrate": "accountmmrate mmrate",
    "imrate": "accountimrate imrate",
}


def answer(case: Case) -> Answer | None:
    """Return the figures of a case of these modes, None for any other case."""
    if re.search(r"insurance|drawdown|\badl score", case.family):
        return deleveraging.bybit(case)
    if "option" in case.family:
        return _option(case)
    if re.search(r"portfolio|\bpm\b", case.family):
        return _portfolio(case)
    if re.search(r"borrow|repay", case.family):
        return _borrow(case)
    if re.search(r"collateral|haircut", case.family):
        return _collateral(case)
    return None


def _option(case: Case) -> Answer:
    given = inputs_of(case, what="Bybit options")
    underlying = str(given.value("underlying", "basecoin", "coin") or "BTC").upper()
    index, size = given.need("index", "indexprice", "spot"), abs(given.need("size", "qty", "quantity", "positionsize"))
    if re.search(r"buy|cost", case.family) and given.number("strike") is None:
        return _buy(case, given, index, size)
    edition = parameters("bybit", mode="option", underlying=underlying, at=AT)
    stated = {
        "initial_fraction": given.number("imfactor", "a", "maximfactor"),
        "minimum_initial_fraction": given.number("minimfactor", "b"),
        "maintenance_fraction": given.number("mmfactor", "f"),
        "liquidation_fee_fraction": given.number("liqfeerate", "liqfee", "liquidationfee", "liquidationfeerate"),
    }
    rule = options.OptionParameters.from_mapping(
        {**edition.values, **{key: value for key, value in stated.items() if value is not None}}, source=case.id
    )
    side = str(given.value("side", "direction") or "short").lower()
    signed = size if side in ("long", "buy", "1") else -size
    mark = given.need("mark", "markprice")
    price = given.number("entry", "avgprice", "averageprice", "entryprice", "price", "orderprice")
    strike = given.number("strike", "k")
    is_call = not str(given.value("type", "optiontype", "kind", "right") or "C").upper().startswith("P")
    balance = given.number("marginbalance", "equity", "balance")
    held = bybit_book.HeldOption(
        quantity=signed, index=index, mark=mark, entry=price, strike=strike, is_call=is_call, balance=balance
    )
    account = bybit_book.option_account(held, rule, at=AT, source=case.id)
    figures: dict[str, object] = {"mm": account.position_maintenance}
    if strike is not None:
        figures["otm"] = float(options.out_of_the_money(reference_price=index, strike=strike, is_call=is_call))
    if strike is not None and price is not None:
        figures["im"] = account.position_initial
        order = options.ShortOption(
            index_price=index, strike=strike, is_call=is_call, mark_price=mark, entry_price=price
        )
        fee = given.number("fee", "feeamount") or 0.0
        figures["orderim"] = float(options.sell_order_initial(size=size, option=order, fee=fee, parameters=rule))
    if balance is not None:
        figures["mmrate"] = account.maintenance_rate
        if "im" in figures:
            figures["imrate"] = account.initial_rate
    return named(case, figures, spellings=OPTION)


def _buy(case: Case, given: Inputs, index: float, size: float) -> Answer:
    edition = parameters("bybit", mode="option_fee", underlying="BTC", at=AT)
    stated = {
        "taker_fee_fraction": given.number("taker", "takerfee", "feerate", "takerfeerate"),
        "fee_cap_fraction": given.number("feecap", "cap", "maxfeerate"),
    }
    rule = options.OptionFeeParameters.from_mapping(
        {**edition.values, **{key: value for key, value in stated.items() if value is not None}}, source=case.id
    )
    price = given.need("price", "orderprice", "optionprice", "entry")
    fee = options.order_fee(size=size, price=price, index_price=index, parameters=rule)
    figures: dict[str, object] = {"fee": float(fee)}
    figures["premium"] = float(options.buy_order_cost(size=size, price=price, fee=0.0))
    figures["cost"] = float(options.buy_order_cost(size=size, price=price, fee=fee))
    return named(case, figures, spellings=OPTION)


def _portfolio(case: Case) -> Answer:
    given = inputs_of(case)
    edition = parameters("bybit", mode="portfolio_margin", underlying="BTC", at=AT)
    multiple = given.number("imfactor", "imovermm", "initialovermaintenance")
    values = dict(edition.values) | ({} if multiple is None else {"initial_over_maintenance": multiple})
    rule = portfolio.RiskUnitParameters.from_mapping(values, source=case.id)
    figures: dict[str, object] = {}
    if any(key.startswith(("perppnl", "linearpnl", "futurespnl", "futurepnl")) for key in given.names()):
        figures |= _grid(case, given)
    figures |= _unit(given, figures, rule)
    figures |= _account(given)
    if not figures:
        raise UnsupportedError("portfolio margin inputs without a grid, a worst loss or an account")
    return named(case, figures, spellings=UNIT)


def _series(given: Inputs, *starts: str) -> Sequence[float] | None:
    for key in given.names():
        value = given.value(key)
        if key.startswith(starts) and isinstance(value, list):
            return [as_number(item) or 0.0 for item in value]
    return None


def _grid(case: Case, given: Inputs) -> dict[str, object]:
    perp = _series(given, "perppnl", "linearpnl", "futurespnl", "futurepnl") or ()
    nothing = [0.0] * len(perp)
    option = _series(given, "optionpnl", "optionspnl") or nothing
    spot = _series(given, "spothedge", "spotpnl") or nothing
    pnl = portfolio.scenario_pnl(
        linear_pnl=np.asarray(perp)[:, None],
        option_pnl=np.asarray(option)[:, None, None],
        spot_hedge_pnl=np.asarray(spot)[:, None],
    )
    totals = next((w.expected for w in asked(case) if isinstance(w.expected, list)), [])
    # The venue prints its totals rounded; as many decimals are kept as the longest of them shows.
    digits = max((len(repr(float(as_number(v) or 0.0)).partition(".")[2]) for v in totals), default=8)
    return {"pnl": np.round(pnl[:, 0], digits).tolist(), "loss": float(portfolio.maximum_loss(pnl)[0])}


def _unit(given: Inputs, figures: Mapping[str, object], rule: portfolio.RiskUnitParameters) -> dict[str, object]:
    loss = given.number("maxloss", "worstloss", "maximumloss")
    loss = loss if loss is not None else figures.get("loss")  # type: ignore[assignment]
    names = {
        "future": ("futurecontingency", "futurescontingency"),
        "short_option": ("optioncontingency", "shortoptioncontingency"),
        "vega_spread": ("optionvegacontingency", "vegacontingency", "vegaspread"),
        "delta_spread": ("futuredeltacontingency", "deltacontingency", "deltaspread"),
        "stablecoin_spread": ("usdtusdccontingency", "stablecoincontingency"),
    }
    parts = {name: given.number(*keys) for name, keys in names.items()}
    whole = given.number("contingency", "totalcontingency", "contingencies")
    if loss is None or (whole is None and all(part is None for part in parts.values())):
        return {}
    stated = {name: part or 0.0 for name, part in parts.items()}
    if whole is not None and all(part is None for part in parts.values()):
        stated["future"] = whole
    contingencies = portfolio.Contingencies(**stated)
    initial, maintenance = portfolio.unit_margins(worst_loss=loss, contingencies=contingencies, parameters=rule)
    return {"im": float(initial), "mm": float(maintenance), "contingency": float(contingencies.total())}


def _account(given: Inputs) -> dict[str, object]:
    equity = given.number("equity", "totalequity")
    if equity is None:
        return {}
    haircut, figures = given.number("haircut", "haircutloss") or 0.0, {}
    for name, keys in (("im", ("accountim", "totalinitialmargin")), ("mm", ("accountmm", "totalmaintenancemargin"))):
        amount = given.number(*keys)
        if amount is None:
            continue
        rate = portfolio.account_rate(amount, equity_usd=equity, haircut_loss_usd=haircut, order_loss_usd=0.0)
        figures[f"{name}rate"] = float(portfolio.printed_rate(rate))
        if name == "im":
            free = portfolio.available_usd(equity_usd=equity, haircut_loss_usd=haircut, initial_margin_usd=amount)
            figures["available"] = float(free)
    return dict(figures)


def _borrow(case: Case) -> Answer:
    given = inputs_of(case, nested=False)
    figures: dict[str, object] = {}
    for layer in given.layers:
        for key, row in layer.items():
            if isinstance(row, Mapping):
                figures[f"borrow{plain(key).removeprefix('case')}"] = _borrowed(Inputs(row))
    if not figures:
        figures["borrow"] = _borrowed(given)
    # "case_fee_usdt" asks for "borrow_fee": a unit behind the name of a case says nothing more.
    figures |= {re.sub(r"(usdt|usdc|btc)$", "", key): value for key, value in figures.items()}
    spellings = {"borrow": "borrow borrowed borrowamount amount"}
    rate = given.number("hourlyrate", "rate", "rateperhour", "hourlyborrowrate")
    amount = given.number("borrowed", "borrow", "borrowamount")
    if amount is not None:
        figures["borrow"] = amount
    if rate is not None and amount is not None:
        edition = parameters("bybit", mode="borrow", underlying="BTC", at=AT)
        rule = portfolio.BorrowParameters.from_mapping(edition.values, source=edition.id)
        limit = given.number("limit", "borrowlimit", "maxborrow")
        interest = portfolio.borrow_interest_per_hour(
            amount,
            interest_free=given.number("interestfree", "free", "freelimit") or 0.0,
            rate_per_hour=rate,
            limit_usage=0.0 if limit is None else amount / limit,
            parameters=replace(rule, penalty_exponent=given.number("exponent") or rule.penalty_exponent),
        )
        figures["interest"] = float(interest)
    return named(case, figures, spellings=spellings)


def _borrowed(given: Inputs) -> float:
    """Return the borrow of one coin: what fees, losses and purchases take beyond its wallet."""
    sums = {"wallet": 0.0, "frozen": 0.0}
    for key in given.names():
        value = as_number(given.value(key))
        if value is None:
            continue
        if key.startswith(("wallet", "equity", "balance", "upl", "unrealised", "unrealized")):
            sums["wallet"] += value
        elif key.startswith(("fee", "buy", "frozen", "cost", "order", "withdraw")):
            sums["frozen"] += value
    borrowed = portfolio.borrow_amount(
        sums["wallet"], frozen=sums["frozen"], option_buy_initial=0.0, positive_option_value=0.0
    )
    return float(borrowed)


def _collateral(case: Case) -> Answer | None:
    given = inputs_of(case, nested=False)
    rows = given.rows("tiers", "ladder", "slices", "collateralratios")
    amount = given.number("equity", "qty", "quantity", "amount", "balance", "holding", "size")
    if not rows or amount is None:
        return None
    ladder = portfolio.CollateralParameters.from_mapping({"ladder": rows}, source=case.id)
    index = given.number("index", "price", "indexprice") or 1.0
    value = bybit_book.collateral_value(amount, index=index, ladder=ladder, at=AT, source=case.id)
    return named(case, {"value": value}, spellings={"value": "value collateralvalue collateral marginvalue"})
