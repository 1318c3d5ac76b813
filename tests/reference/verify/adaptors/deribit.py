"""Deribit: standard margin of futures, perpetuals and options, payoffs at delivery, account summaries; which rule."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from margincover.errors import RulebookError
from margincover.model.position import Position
from margincover.pricing import black76, inverse, linear
from margincover.venues import margin
from margincover.venues.deribit import accounts, standard
from margincover.venues.deribit.parameters import (
    FutureCurveParameters,
    FutureIncrementParameters,
    OptionParameters,
    future_parameters,
)
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors import deribit_book, deribit_matrix
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import side_of

COINS = r"\b(BTC|ETH|SOL|XRP|BNB|PAXG|DOGE|MATIC|AVAX|TRX|ADA|LTC)"
SIZE_COIN = ("sizecurrency", "positionbase", "positionbaseccy", "positioncoin", "nbtc", "neth", "n", "sizecoin")
SIZE = ("sizeusd", "size", "positionusd", "amount", "quantity", "contracts")
MARK = ("mark", "markprice")
ENTRY = ("average", "averageprice", "entry", "entryprice")
# A day on which the stand-in has packaged rates, which those of the case replace.
STANDARD_DAY = datetime(2024, 6, 18, tzinfo=UTC)
INITIAL_RATE = ("imrate", "imbase", "imr", "im0", "initialbase")
MAINTENANCE_RATE = ("mmrate", "mmbase", "mmr", "mm0", "maintenancebase")
SPELLINGS = {
    "initial": "initialmargin im imr initialmarginusdc initialmarginbtc imusdc",
    "maintenance": "maintenancemargin mm mmr maintenancemarginusdc maintenancemarginbtc mmusdc",
    "imrate": "imrate initialrate imrrate",
    "mmrate": "mmrate maintenancerate mmrrate",
    "pnl": "totalpnl totalprofitloss upnl floatingprofitloss pnl",
    "settlement": "settlement settlementbtc settlementusdc payoff payoffbtc settlementeth",
    "cost": "cost premiumpaid costbtc",
    "profit": "profit profitbtc profitusdc profiteth netprofit",
    "available": "availablefunds available",
    "balance": "marginbalance",
    "mmusd": "mmusdviamarginbalance totalmaintenancemarginusd maintenancemarginusd",
    "imusd": "imusdviamarginbalance initialmarginusd",
    "order": "openordersmargin ordermargin openordermargin",
}


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Deribit case."""
    given = inputs_of(case, nested=False)
    keys = set(given.keys())
    name = str(given.value("instrumentname", "instrument", "symbol") or "")
    if keys & {"delivery", "deliveryprice", "settlementprice", "expirationprice"}:
        return _payoff(case, given)
    if "c1" in keys:
        return _curve(case, given)
    if "totalinitialmarginusd" in keys and not case.is_sample:
        return _totals(case, given)
    if keys & {"marginmodel", "availablefunds", "marginbalance"}:
        return _summary(case, given)
    if "pricerange" in keys:
        return deribit_matrix.answer(case, given, coin=_coin(case, name), at=_at(case))
    if re.search(r"-[CP]$", name) or "option" in case.family or "strike" in keys:
        return _option(case, given, name)
    if re.search(r"\bpm\b|_pm\b|portfolio", case.family):
        raise UnsupportedError("the risk matrix without its positions and parameters: nothing to compute it from")
    return _future(case, given, name)


def _coin(case: Case, name: str) -> str:
    match = re.search(COINS, name) or re.search(COINS, case.product)
    if match is None:
        raise UnsupportedError(f"no currency in the instrument or product of deribit {case.product}")
    return match.group(1)


def _at(case: Case) -> datetime:
    """Return the instant of a case: a time stamp or a date in its text, else a day of the rules of 2022 to 2026."""
    text = f"{case.account_mode} {case.product} {case.text}"
    stamp = re.search(r"\b1[5-9]\d{11}\b", text)
    if stamp:
        return datetime.fromtimestamp(int(stamp.group()) / 1000.0, tz=UTC)
    for year, month, day in re.findall(r"\b(20\d\d)-(\d\d)-(\d\d)\b", text):
        found = datetime(int(year), int(month), int(day), tzinfo=UTC)
        if found >= datetime(2021, 7, 1, tzinfo=UTC):
            return found
    return datetime(2024, 6, 18, tzinfo=UTC)


def _linear(case: Case, name: str) -> bool:
    return bool(re.search(r"usdc|usdt|linear", f"{name} {case.product}".lower())) and "inverse" not in case.family


def _direction(case: Case, given: Inputs) -> int:
    stated = side_of(given.value("direction", "side"))
    return stated or (-1 if re.search(r"\bshort\b|\bsold\b", case.family) else 1)


def _future(case: Case, given: Inputs, name: str) -> Answer:
    coin, is_linear, at = _coin(case, name), _linear(case, name), _at(case)
    amount, mark = given.number(*SIZE), given.number(*MARK)
    size, slack = given.number(*SIZE_COIN), {}
    figures: dict[str, object] = {}
    if not is_linear and amount is not None and mark is not None:
        computed = float(inverse.notional(size=abs(amount), price=mark))
        figures["sizecurrency"] = computed
        # The printed mark is rounded: half a unit of it is what the size may differ.
        slack["sizecurrency"] = computed * given.half_unit(*MARK) / mark
        size = computed if size is None else size
    size = amount if size is None else size
    if size is None:
        raise UnsupportedError(f"no position size in the inputs ({', '.join(sorted(given.keys()))})")
    price = 1.0
    if is_linear:
        # The documentation takes the index; a position row fits the mark that it prints.
        price = given.need(*MARK, "index", "indexprice") if case.is_sample else given.need("index", "indexprice", *MARK)
    rates, knows_maintenance = _rates(case, given, coin, is_linear, name, at)
    # The size in coin carries more digits of the mark than the printed mark.
    exact = abs(amount / size) if amount is not None and size else mark
    position = Position(
        symbol=f"BTC{'_USDC' if is_linear else ''}-PERPETUAL",
        contracts=_direction(case, given) * (abs(size) if is_linear else abs(size) * (exact or 1.0)),
        entry_price=given.number(*ENTRY) or mark or 1.0,
        mark_price=mark if is_linear else exact or 1.0,
        leverage=given.number("chosenleverage", "userleverage"),
    )
    # A perpetual in BTC stands in for all: rates and prices are the case's own.
    pool = deribit_book.only_pool(
        "segregated_sm",
        position if position.mark_price else replace(position, mark_price=price),
        at=STANDARD_DAY,
        settle="USDC" if is_linear else "BTC",
        asset_usd={"BTC": price if is_linear else 1.0},
    )
    status = deribit_book.status_of(deribit_book.with_future_rates(pool, rates))
    value = abs(size) * price
    figures["initial"], figures["imrate"] = status.initial_native, (status.initial_native or 0.0) / value
    missing = {"estimatedliquidationprice": "the account behind the position is not in the payload"}
    if knows_maintenance:
        figures["maintenance"], figures["mmrate"] = status.maintenance_native, status.maintenance_native / value
    else:
        missing |= dict.fromkeys(("maintenance", "mmrate"), "no maintenance rate in the case or in the rules")
    if given.number(*ENTRY) is not None and mark is not None and (is_linear or amount is not None):
        # An empty wallet: what is held is the profit.
        figures["pnl"] = status.equity_native
    conflict = _other_environment(case, given, (status.initial_native or 0.0) / value)
    if conflict:
        figures = {name: value for name, value in figures.items() if name not in _MARGINS}
        missing |= dict.fromkeys(_MARGINS, conflict)
    return named(case, figures, spellings=SPELLINGS, missing=missing, slack=slack if case.is_sample else None)


_MARGINS = ("initial", "maintenance", "imrate", "mmrate")


def _other_environment(case: Case, given: Inputs, rate: float) -> str:
    """Return why the rates of a documentation sample are not known: its own leverage contradicts the stated rate."""
    leverage = given.number("leverage")
    if case.provenance != "docs_example" or not leverage or abs(1.0 / rate - leverage) <= 1.0:
        return ""
    return (
        f"a documentation sample: its leverage of {leverage:g} says an initial rate near {1.0 / leverage:.4f}, "
        f"the case {rate:.4f}; the rates of the environment it was made in are in no rule"
    )


def _rates(
    case: Case, given: Inputs, coin: str, is_linear: bool, name: str, at: datetime
) -> tuple[FutureIncrementParameters, bool]:
    """Return the rates, stated ones in place of the packaged, and whether the maintenance rate is known."""
    dated = re.search(r"-\d{1,2}[A-Z]{3}\d{2}", name) or re.search(r"dated|future", case.family)
    mode = ("linear_" if is_linear else "inverse_") + ("future" if dated else "perpetual")
    initial, maintenance = given.number(*INITIAL_RATE), given.number(*MAINTENANCE_RATE)
    growth = given.number("increasefactor", "inc", "increase", "increment")
    try:
        edition = parameters("deribit", mode=mode, underlying=coin, at=at)
        packaged = future_parameters(edition.values, source=edition.id)
    except RulebookError:
        packaged = None
        if initial is None:
            raise
    if isinstance(packaged, FutureIncrementParameters):
        return FutureIncrementParameters(
            initial_base_fraction=packaged.initial_base_fraction if initial is None else initial,
            maintenance_base_fraction=packaged.maintenance_base_fraction if maintenance is None else maintenance,
            increase_per_coin=packaged.increase_per_coin if growth is None else growth,
        ), True
    if initial is None:
        raise UnsupportedError(f"the leverage curve of {mode} {coin} needs the instrument's largest position")
    # Stated rates are those of the row; without a stated increase they hold it already.
    return FutureIncrementParameters(
        initial_base_fraction=initial, maintenance_base_fraction=maintenance or 0.0, increase_per_coin=growth or 0.0
    ), maintenance is not None


def _curve(case: Case, given: Inputs) -> Answer:
    """Return rates on the leverage curve; sizes beyond its known end are refused by the rule."""
    edition = parameters("deribit", mode="linear_future", underlying="BTC", at=datetime(2026, 10, 1, tzinfo=UTC))
    packaged = future_parameters(edition.values, source=edition.id)
    assert isinstance(packaged, FutureCurveParameters), "Invariant: the edition of October 2026 is the curve's"
    rule = FutureCurveParameters(
        maintenance_of_initial_fraction=packaged.maintenance_of_initial_fraction,
        small_position_leverage=given.need("c1"),
        small_position_fraction=given.need("c3"),
        large_position_leverage=given.number("c2"),
        large_position_fraction=given.number("c4"),
        max_position_coin=given.number("nmaxbtc", "nmax", "nmaxeth", "maxposition"),
    )
    size = abs(given.need(*SIZE_COIN, *SIZE))
    price = given.number("index", "indexprice", *MARK) if _linear(case, "") else None
    # Refuses what lies where the curve is not published; a book would be given a bound there.
    standard.curve_margin(size, parameters=rule, unknown_curve=standard.UnknownCurve.REFUSE)
    is_linear, value = price is not None, size * (price or 1.0)
    position = Position(
        symbol=f"BTC{'_USDC' if is_linear else ''}-PERPETUAL",
        contracts=size,
        entry_price=price or 1.0,
        mark_price=price or 1.0,
    )
    settle, prices = "USDC" if is_linear else "BTC", {"BTC": price or 1.0}
    pool = deribit_book.only_pool("segregated_sm", position, at=STANDARD_DAY, settle=settle, asset_usd=prices)
    # At the mark alone: the liquidation price of a status would need the part of the curve that is not published.
    now = margin.evaluate_pool(deribit_book.with_future_rates(pool, rule), np.ones((1, 1)))
    maintenance, initial = float(now[1][0]), float(now[2][0])
    figures = {"initial": initial, "maintenance": maintenance}
    figures |= {"imrate": initial / value, "mmrate": maintenance / value, "leverage": value / initial}
    return named(case, figures, spellings=SPELLINGS)


def _option(case: Case, given: Inputs, name: str) -> Answer:
    parts = re.fullmatch(r"(.+)-(\d+(?:d\d+)?)-([CP])", name)
    # Strikes below a dollar are written with a d for the point.
    strike = given.number("strike") or (float(parts.group(2).replace("d", ".")) if parts else None)
    if strike is None:
        raise UnsupportedError("an option without its strike")
    kind = str(given.value("type", "optiontype", "right") or (parts.group(3) if parts else "")).lower()
    if kind[:1] not in ("c", "p"):
        kind = "put" if re.search(r"\bput", case.family) else "call"
    is_linear = _linear(case, name)
    mode, coin = "option_linear" if is_linear else "option_inverse", _coin(case, name)
    edition = parameters("deribit", mode=mode, underlying=coin, at=_at(case))
    rule = OptionParameters.from_mapping(edition.values, source=edition.id)
    size = abs(given.number("size", "amount", "quantity", "contracts") or 1.0)
    index = given.need("index", "indexprice", "indexusd", "indeximplied", "underlyingindex", "underlyingprice")
    terms = {"index_usd": index, "strike_usd": strike, "is_call": kind.startswith("c"), "parameters": rule}
    stated = given.value("direction", "side")
    side = side_of(stated) or (1 if re.search(r"\blong\b|\bbought\b", case.family) else -1)
    if given.value("orderstate", "ordertype") is not None or "order" in case.family:
        if is_linear or side > 0:
            raise UnsupportedError("resting orders: only those that sell coin-settled options have a confirmed rule")
        order = float(standard.inverse_option_order_margin(size, **terms))  # type: ignore[arg-type]
        return named(case, {"order": order, "initial": order}, spellings=SPELLINGS)
    mark = given.need("optionmarkusdc", "optionmark", "markprice", "mark", "markcoin", "optionmarkbtc", "m")
    if mark <= 0.0:
        raise UnsupportedError(f"an option marked at {mark:g}: a position's mark is above 0")
    coins = size * (given.number("multiplier", "contractmultiplier", "contractsize") or 1.0) if is_linear else size
    at = _at(case)
    position = Position(
        symbol=deribit_book.option_symbol(coin, strike, kind.startswith("c"), at=at, linear=is_linear),
        contracts=side * coins,
        entry_price=mark,
        mark_price=mark,
        # Neither enters the rule: the mark does, and it is kept.
        implied_volatility=0.5,
        forward_price=index,
    )
    settle = "USDC" if is_linear else coin
    pool = deribit_book.only_pool("segregated_sm", position, at=at, settle=settle, asset_usd={coin: index})
    status = deribit_book.status_of(pool)
    figures = {"initial": status.initial_native, "maintenance": status.maintenance_native}
    return named(case, figures, spellings=SPELLINGS)


def _payoff(case: Case, given: Inputs) -> Answer:
    """Return settlement, cost and profit of an option at delivery: the intrinsic value, in coin for an inverse one."""
    delivery = given.need("delivery", "deliveryprice", "settlementprice", "expirationprice")
    kind = str(given.value("type", "optiontype") or ("put" if re.search(r"\bput", case.family) else "call"))
    size = abs(given.number("size", "contracts", "quantity", "amount") or 1.0)
    size *= given.number("multiplier", "contractmultiplier") or 1.0
    worth = black76.price(
        forward=delivery, strike=given.need("strike"), years=0.0, volatility=0.0, is_call=kind.lower().startswith("c")
    )
    usd = linear.notional(size=size, price=worth)
    settlement = float(usd if _linear(case, "") else inverse.notional(size=usd, price=delivery))
    figures = {"settlement": settlement}
    premium = given.number("premium", "premiumbtc", "premiumeth", "premiumusdc")
    if premium is not None:
        figures["cost"] = float(linear.notional(size=size, price=premium))
        # Bought unless the case says sold.
        figures["profit"] = _direction(case, given) * (settlement - figures["cost"])
    return named(case, figures, spellings=SPELLINGS)


def _totals(case: Case, given: Inputs) -> Answer:
    orders = [given.number(key) or 0.0 for key in ("openordersmargin", "openordersmarginusd", "mmpmargin")]
    required = accounts.matrix_maintenance(
        given.need("totalinitialmarginusd"),
        order_margin=sum(orders),
        maintenance_factor_fraction=given.need("mmfactor"),
    )
    return named(case, {"mmusd": required}, spellings=SPELLINGS)


def _summary(case: Case, given: Inputs) -> Answer:
    """Return the figures of one currency row of an account summary."""
    figures: dict[str, object] = {}
    model = str(given.value("marginmodel") or "segregated_sm")
    parts = {name: given.number(name.replace("_", "")) for name in _EQUITY}
    worth = given.number("optionsvalue")
    missing = {"availablewithdrawalfunds": "what the venue takes off for withdrawals is not published"}
    if all(value is not None for value in parts.values()):
        figures["equity"] = float(standard.segregated_equity(**parts))  # type: ignore[arg-type]
    equity = given.number("equity")
    if model == "segregated_sm" and equity is not None and worth is not None:
        figures["balance"] = float(standard.standard_margin_balance(equity=equity, options_value=worth))
    balance, initial, maintenance = (given.number(k) for k in ("marginbalance", "initialmargin", "maintenancemargin"))
    if balance is None or initial is None or maintenance is None:
        return named(case, figures, spellings=SPELLINGS, missing=missing)
    row = accounts.SummaryRow(
        currency=str(given.value("currency") or "BTC"),
        margin_model=model,
        margin_balance=balance,
        initial=initial,
        maintenance=maintenance,
        total_margin_balance_usd=given.number("totalmarginbalanceusd") if model in accounts.CROSS else None,
        total_initial_usd=given.number("totalinitialmarginusd") if model in accounts.CROSS else None,
        total_maintenance_usd=given.number("totalmaintenancemarginusd") if model in accounts.CROSS else None,
    )
    accounts.account_pools([row])
    own = accounts.AccountPool(
        unit=row.currency,
        currencies=(row.currency,),
        margin_balance=balance,
        initial=initial,
        maintenance=maintenance,
    )
    figures["available"] = own.available_funds
    slack = {}
    if row.is_cross and balance:
        for name, amount, key in (("mmusd", maintenance, "maintenancemargin"), ("imusd", initial, "initialmargin")):
            figures[name] = accounts.row_in_usd(amount, row)
            # The coin figures are printed with few digits: half a unit of the amount and of the balance.
            moved = accounts.row_in_usd(given.half_unit(key), row)
            slack[name] = (
                abs(moved) + abs(accounts.row_in_usd(amount, row)) * given.half_unit("marginbalance") / balance
            )
    return named(case, figures, spellings=SPELLINGS, missing=missing, slack=slack)


_EQUITY = ("balance", "futures_session_upl", "session_rpl", "options_value")
