"""OKX beyond futures mode: options and their orders, isolated spot-margin pairs, accounts with a fee for each leg."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from margincover.venues.okx import multi_currency as multi
from margincover.venues.okx import options
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors import okx_book, okx_portfolio
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number

AT = datetime(2026, 6, 30, tzinfo=UTC)
OPTION = {
    "buyopen": "buytoopenordermargin buytoopen buyopenmargin buytoopenmargin",
    "sellopen": "selltoopenordermargin selltoopen sellopenmargin selltoopenmargin",
    "sellclose": "selltoclose selltocloseordermargin selltoclosemargin",
    "buyclose": "buytoclose buytocloseordermargin buytoclosemargin",
    "im": "im imr positionim initialmargin posim positioninitialmargin",
    "mm": "mm mmr positionmm maintenancemargin posmm positionmaintenancemargin",
    "takerfee": "feetaker takerfee",
    "makerfee": "feemaker makerfee",
}
PAIR = {
    "ratio": "mgnratio marginratio ratio",
    "price": "liqpx liquidationprice liqprice",
    "mmr": "mmr mm maintenancemargin",
}
OPENING = {
    "margin": "margin marginbtc marginusdt margincoin initialmargin",
    "borrow": "borrow borrowusdt borrowbtc borrowed liability liab",
    "assets": "positionasset positionassetbtc positionassetusdt positionassets asset pos",
}
ACCOUNT = {
    "ratio": "mgnratio marginratio ratio",
    "available": "availeq available",
    "fee": "fees liquidationfee totalfee",
}
LONG_MMR = "the currency in which the venue states the maintenance of a long pair is not confirmed"


def answer(case: Case) -> Answer | None:
    """Return the figures of a case of these modes, None for any other case."""
    if re.search(r"insurance|\badl\b", case.family):
        raise UnsupportedError(
            "family not modelled: auto-deleveraging and insurance fund, belongs to the consequence rules"
        )
    given = inputs_of(case, nested=False)
    if re.search(r"option fee|options fee", case.family):
        return _fees(case, given)
    if "option" in case.family and not re.search(r"portfolio|\bpm\b", case.family):
        return _option(case, given)
    if re.search(r"portfolio|\bpm\b|\bmr\d|_pm\b", case.family):
        return okx_portfolio.answer(case)
    if given.value("insttype") == "MARGIN" or re.search(
        r"spot leverage|^margin|margin_isolated|margin \(", case.family
    ):
        return _pair(case, given)
    if _is_account_with_legs(case, given):
        return _account(case, given)
    return None


def _fees(case: Case, given: Inputs) -> Answer:
    edition = parameters("okx", mode="option_fee", underlying="*", at=AT)
    stated = {
        "taker_fee_fraction": given.number("taker", "takerfee", "takerrate"),
        "maker_fee_fraction": given.number("maker", "makerfee", "makerrate"),
        "fee_cap_fraction": given.number("cap", "feecap"),
    }
    rule = options.OptionFeeParameters.from_mapping(
        {**edition.values, **{key: value for key, value in stated.items() if value is not None}}, source=case.id
    )
    size = given.need("contracts", "n", "qty", "size") * (given.number("mult", "multiplier", "ctval") or 1.0)
    rates = {"takerfee": rule.taker_fee_fraction, "makerfee": rule.maker_fee_fraction}
    figures = {
        name: float(
            options.order_fee(
                size=size,
                premium=given.need("premium", "px", "price"),
                margin_unit=given.number("index", "indexprice") or 1.0,
                fee_fraction=rate,
                fee_cap_fraction=rule.fee_cap_fraction,
            )
        )
        for name, rate in rates.items()
    }
    return named(case, figures, spellings={**OPTION, "takerfee": f"{OPTION['takerfee']} fee"})


def _option(case: Case, given: Inputs) -> Answer:
    mult = given.number("mult", "multiplier", "ctval", "ctmult") or 1.0
    size = abs(given.need("n", "contracts", "qty", "size", "quantity")) * mult
    # A fee for each contract is one for `mult` coins; a fee without that word counts for one coin.
    per_contract = given.number("feepercontract")
    fee = per_contract / mult if per_contract is not None else given.number("fee", "feepercoin") or 0.0
    figures: dict[str, object] = {}
    price = given.number("px", "price", "orderpx", "selltoopenpx", "buytoopenpx")
    if price is not None:
        figures["buyopen"] = float(options.buy_to_open_margin(size=size, price=price, fee_per_coin=fee))
    state = _state(given)
    initial: float | None = None
    if state is not None:
        rule = _option_rule(case, given)
        initial = float(options.initial_per_coin(state, rule))
        own, maintenance = _position(case, given, size, state, rule)
        figures |= {"im": own, "mm": maintenance}
        if price is not None:
            figures["sellopen"] = float(
                options.sell_to_open_margin(size=size, price=price, fee_per_coin=fee, state=state, parameters=rule)
            )
    if (posted := given.number("posmargin", "positionmargin", "posim")) is not None:
        initial = posted / mult
    if (sell := given.number("selltoclosepx", "sellclosepx", "selltocloseprice")) is not None:
        figures["sellclose"] = float(options.sell_to_close_margin(size=size, price=sell, fee_per_coin=fee))
    if (buy := given.number("buytoclosepx", "buyclosepx", "buytocloseprice")) is not None and initial is not None:
        figures["buyclose"] = float(
            options.buy_to_close_margin(size=size, price=buy, fee_per_coin=fee, position_initial_per_coin=initial)
        )
    return named(case, figures, spellings=OPTION)


def _position(
    case: Case, given: Inputs, size: float, state: options.OptionState, rule: options.OptionParameters
) -> tuple[float, float]:
    """Return (initial, maintenance) of a short option: through a book where it is margined in its coin."""
    if (given.number("unit", "marginunit") or 1.0) == 1.0 and not re.search(r"usd.?-margined", case.family):
        return okx_book.option_margins(_underlying(case), quantity=size, state=state, rule=rule)
    # No product of the rulebook settles options in dollars: their settle currency differs by account.
    own, maintenance = options.position_margins(-size, state=state, parameters=rule)
    return float(own), float(maintenance)


def _state(given: Inputs) -> options.OptionState | None:
    forward = given.number("forward", "f", "forwardprice", "futuremark", "fwd", "s", "index", "spot", "underlying")
    strike, mark = given.number("strike", "k"), given.number("mark", "markprice", "markpx", "optionmark")
    if forward is None or strike is None or mark is None:
        return None
    kind = str(given.value("type", "opttype", "optiontype", "kind", "cp") or "").upper()
    return options.OptionState(
        forward_price=forward,
        strike=strike,
        is_call=kind.startswith("C"),
        mark_price=mark,
        margin_unit=given.number("unit", "marginunit") or 1.0,
        margin_factor=given.number("factor", "optmgnfactor", "tierfactor", "marginfactor") or 1.0,
    )


def _underlying(case: Case) -> str:
    return "ETH" if "eth" in case.family else "BTC"


def _option_rule(case: Case, given: Inputs) -> options.OptionParameters:
    edition = parameters("okx", mode="option", underlying=_underlying(case), at=AT)
    stated = {
        "minimum_initial_fraction": given.number("a", "mininitial"),
        "initial_fraction": given.number("b", "initialfactor"),
        "maintenance_fraction": given.number("c", "mmfactor"),
        "minimum_order_fraction": given.number("minorder", "minorderfraction"),
    }
    return options.OptionParameters.from_mapping(
        {**edition.values, **{key: value for key, value in stated.items() if value is not None}}, source=case.id
    )


def _pair(case: Case, given: Inputs) -> Answer:
    if given.number("openbtc", "opensize", "open", "size", "openeth") is not None and given.number("leverage"):
        return _opening(case, given)
    assets, owed = given.number("positionassets", "positionasset", "pos"), given.number("liability", "liab")
    rate, fee = given.number("mmrrate", "mmr"), given.number("takerfee", "feerate", "fee")
    mark = given.number("mark", "markpx", "markprice")
    if assets is None or owed is None or rate is None or fee is None or mark is None:
        raise UnsupportedError("a spot-margin pair (MARGIN) without assets, liability, mark, maintenance rate or fee")
    short = given.value("short")
    is_short = short if isinstance(short, bool) else _is_short(given)
    names = str(given.value("instid") or "BTC-USDT").split("-")
    figures: dict[str, object] = dict(
        okx_book.pair_figures(
            okx_book.Pair(
                base=names[0],
                quote=names[1] if len(names) > 1 else "USDT",
                is_short=is_short,
                assets=assets,
                owed=abs(owed),
                mark=mark,
                rate=rate,
                fee=fee,
                # `pos` already contains a base margin; a quote margin of a long is not part of it.
                margin_quote=given.number("marginquote") or 0.0,
            )
        )
    )
    if not is_short:
        del figures["mmr"]
    return named(case, figures, spellings=PAIR, missing={} if is_short else {"mmr": LONG_MMR})


def _is_short(given: Inputs) -> bool:
    side = str(given.value("side", "posside", "direction") or "").lower()
    if side in ("short", "sell", "-1"):
        return True
    # A short holds the quote currency and owes the base currency.
    pair, owed = str(given.value("instid") or "").split("-"), given.value("liabccy")
    return len(pair) > 1 and owed == pair[0]


def _opening(case: Case, given: Inputs) -> Answer:
    if str(given.value("side", "direction") or "long").lower() in ("short", "sell", "-1"):
        raise UnsupportedError("opening of a short spot-margin pair: no published rule is packaged")
    margin, owed, held = multi.isolated_long_opening(
        given.need("openbtc", "opensize", "open", "size", "openeth"),
        price=given.need("price", "px", "entry"),
        leverage=given.need("leverage", "lever"),
    )
    figures = {"margin": float(margin), "borrow": float(owed), "assets": float(held)}
    return named(case, figures, spellings=OPENING)


def _is_account_with_legs(case: Case, given: Inputs) -> bool:
    if given.number("adjeq") is None or given.number("mmr") is None:
        return False
    keys = given.names()
    owes = any(re.match(r"liab|borrow", key) and given.number(key) for key in keys)
    return owes or bool(given.rows("legs")) or sum("fee" in key for key in keys) > 1


def _account(case: Case, given: Inputs) -> Answer:
    """Return the ratio of an account whose legs have fees of their own; adjEq and mmr are the venue's."""
    notional: list[float] = []
    fees: list[float] = []
    for row in given.rows("legs", "positions"):
        leg = Inputs(row) if isinstance(row, Mapping) else Inputs()
        value, rate = leg.number("notional", "notionalusd", "value"), leg.number("fee", "takerfee", "feerate")
        if value is not None and rate is not None:
            notional.append(value)
            fees.append(rate)
    for key in given.names():
        kind = re.fullmatch(r"(.+?)notional(usd)?", key)
        if kind and (rate := given.number(f"{kind[1]}fee", f"{kind[1]}takerfee", f"takerfee{kind[1]}")) is not None:
            notional.append(as_number(given.value(key)) or 0.0)
            fees.append(rate)
    if not notional:
        raise UnsupportedError("an OKX account without the notional and the fee of each leg")
    adjusted, maintenance = given.need("adjeq"), given.need("mmr")
    status = okx_book.fee_account(adjusted, maintenance=maintenance, notional=notional, fees=fees, loan=_loan(given))
    figures: dict[str, object] = {"fee": status.maintenance_native - maintenance}
    if status.coverage_ratio is not None:
        figures["ratio"] = status.coverage_ratio
    if (initial := given.number("imr")) is not None:
        figures["available"] = float(multi.available_usd(status.equity_native, initial_usd=initial))
    return named(case, figures, spellings=ACCOUNT)


def _loan(given: Inputs) -> okx_book.Loan | None:
    """Return what an account owes, with the rates that the case states for it."""
    liability = given.number("liabilityusd", "liabusd", "liability", "borrowusd", "liabilitiesusd")
    if not liability:
        return None
    rate, charge = given.number("borrowmmr", "borrowmmrrate", "liabmmr"), given.number("borrowfee", "liabfee")
    if rate is None or charge is None:
        raise UnsupportedError("an OKX account that owes, without the rate or the fee of its loan")
    return okx_book.Loan(value=abs(liability), rate=rate, fee=charge)
