"""Derive: standard manager, PM2, auctions and fees, from published suites, the documentation's pages and payloads."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from margincover.pricing import linear
from margincover.venues.derive import auction, fees, pm2
from margincover.venues.derive.parameters import CollateralHaircut, PerpPrice, Pm2Parameters, StandardParameters
from margincover.venues.derive.portfolio_account import PortfolioAccount
from margincover.venues.parameters import parameters
from margincover.venues.revalue import revalue
from tests import derive_cases
from tests.reference.verify.adaptors import derive_book, derive_page
from tests.reference.verify.adaptors.derive_book import PerpSpec
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import observed_at

# A PM2 scenario that moves spot by more than a quarter is one of the tails; the regular grid ends at 18 %.
TAIL_MOVE = 0.25


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Derive case."""
    given = inputs_of(case, nested=False)
    if case.is_sample:
        return _row(case, given)
    keys = set(given.keys())
    if "scenarios" in keys:
        return _pm2(case)
    if {"options", "cash"} <= keys and given.top("params") is not None:
        return _suite(case)
    if "days" in keys or "dte" in keys:
        return _term(case, given)
    if {"unpaid", "deposited"} <= keys or {"unpaidusd", "depositsusd"} <= keys:
        rate = auction.withdrawal_fee_fraction(
            unpaid_usd=given.need("unpaid", "unpaidusd"), deposits_usd=given.need("deposited", "depositsusd")
        )
        return named(case, {"withdrawal": float(rate)}, spellings=derive_page.SPELLINGS)
    if keys & {"mtm", "marktomarket"}:
        return _auction(case, given)
    if keys & {"takerrate", "makerrate", "takerbase", "perptakerbase"}:
        return _fees(case, given)
    if "baseim" in keys:
        return derive_page.contingencies(case, given)
    return derive_page.account(case, given)


def _suite(case: Case) -> Answer:
    inputs = dict(case.layers[0])
    rules = derive_cases.standard_parameters(inputs)
    found = derive_book.standard(suite_account(inputs), dict.fromkeys(inputs["spot"], rules))
    figures = {"initial": found.initial, "maintenance": found.maintenance, "mtm": found.mtm}
    return named(case, figures, spellings=derive_page.SPELLINGS)


def suite_account(inputs: dict[str, Any]) -> derive_book.SubaccountSpec:
    """Return the subaccount of a published case of the standard manager."""
    return derive_book.SubaccountSpec(
        at=derive_page.AT,
        cash=inputs["cash"],
        stable=inputs["usdc_price"],
        spot={coin: price for coin, (price, _) in inputs["spot"].items()},
        spot_confidence={coin: confidence for coin, (_, confidence) in inputs["spot"].items()},
        coins=inputs["base"],
        options=[
            derive_book.OptionSpec(
                coin=o["u"],
                strike=o["K"],
                is_call=o["call"],
                quantity=o["amt"],
                forward=o["fwd"],
                seconds=o["sec"],
                volatility=o["vol"],
                confidence=min(o["vol_conf"], o["fwd_conf"]),
            )
            for o in inputs["options"]
        ],
        perps=[
            derive_book.PerpSpec(
                coin=coin,
                quantity=perp["pos"],
                price=perp["price"],
                profit=perp["unrealised"],
                confidence=perp["conf"],
            )
            for coin, perp in inputs["perps"].items()
        ],
    )


def _pm2(case: Case) -> Answer:
    inputs = dict(case.layers[0])
    account, rules = portfolio_account_of(inputs)
    found = derive_book.portfolio(account, rules)
    model = found.pool.model
    assert isinstance(model, PortfolioAccount)
    now = revalue(found.pool, np.ones((len(found.pool.factors), 1)))
    holding, state = model.holding(now), model.state(now)
    margin = pm2.portfolio_margin(holding=holding, state=state, parameters=rules)
    profits = pm2.scenario_pnl(holding=holding, state=state, parameters=rules)[:, 0]
    worst = {"regular": 0.0, "tail": 0.0, "skew": 0.0}
    for scenario, profit in zip(rules.scenarios, profits, strict=True):
        far = abs(scenario.spot_factor - 1.0) > TAIL_MOVE
        kind = "skew" if scenario.is_skew else "tail" if far else "regular"
        worst[kind] = min(worst[kind], float(profit))
    figures: dict[str, object] = {
        "initial": found.initial,
        "maintenance": found.maintenance,
        "mtm": found.mtm,
        "forward": float(margin.forward_contingency_usd[0]),
        "worst": float(margin.worst_pnl_usd[0]),
        "scenarios": [float(profit) for profit in profits],
    }
    return named(
        case, figures | {f"worst{kind}": value for kind, value in worst.items()}, spellings=derive_page.SPELLINGS
    )


def portfolio_account_of(inputs: dict[str, Any]) -> tuple[derive_book.SubaccountSpec, Pm2Parameters]:
    """Return the subaccount of a published PM2 case and its parameters; the case names no underlying."""
    # Rows are name, amount, price, confidence, whether it cancels risk, haircut, what initial margin adds.
    coins = [row for row in inputs["collaterals"] if row[1] and row[2]]
    prices = {row[0]: row[2] for row in coins}
    base = next((c for c in ("ETH", "BTC") if prices.get(c) == inputs["spot"]), None)
    base = base or next(c for c in ("ETH", "BTC", "SOL") if c not in prices)
    haircuts = {
        row[0]: CollateralHaircut(
            maintenance_haircut_fraction=row[5],
            extra_initial_haircut_fraction=row[6],
            is_risk_cancelling=row[4],
        )
        for row in coins
    }
    feeds = {feed[0]: feed for feed in inputs["feeds"]}
    account = derive_book.SubaccountSpec(
        at=derive_page.AT,
        cash=inputs["cash"],
        stable=inputs["stable_price"],
        spot={base: inputs["spot"]},
        spot_confidence={base: inputs["spot_conf"]},
        coins={row[0]: row[1] for row in coins},
        coin_price=prices,
        coin_confidence={row[0]: row[3] for row in coins},
        rates={seconds: feed[3] for seconds, feed in feeds.items()},
        expiry_confidence={seconds: min(feed[2], feed[4], feed[5]) for seconds, feed in feeds.items()},
        options=[
            derive_book.OptionSpec(
                coin=base,
                strike=strike,
                is_call=kind == "C",
                quantity=quantity,
                forward=feeds[seconds][1],
                seconds=seconds,
                volatility=volatility,
            )
            for seconds, strike, kind, quantity, volatility in inputs["options"]
        ],
        perps=[
            derive_book.PerpSpec(
                coin=base,
                quantity=inputs["perps"],
                price=inputs["perp_price"],
                profit=inputs["perp_upnl"] + inputs["perp_funding"],
                confidence=inputs["perp_conf"],
            )
        ],
    )
    return account, replace(derive_cases.pm2_parameters(inputs), haircuts=haircuts)


def _term(case: Case, given: Inputs) -> Answer:
    """Return what depends on the term alone: PM1 and PM2 share these two formulas."""
    years = np.array([given.need("days", "dte") / 365.0])
    edition = parameters("derive", mode="PM2", underlying="ETH", at=derive_page.AT)
    stated = {
        "volatility_up_fraction": given.number("volrangeup", "volup"),
        "basis_add_factor": given.number("add", "addfactor", "basiscontaddfactor"),
        "basis_factor_per_year": given.number("mult", "multfactor", "basiscontmultfactor"),
    }
    power = given.number("power", "shorttermpower")
    if power is not None:
        stated |= {"short_term_power": power, "long_term_power": power}
    numbers = {name: value for name, value in stated.items() if value is not None}
    rules = replace(Pm2Parameters.from_mapping(edition.values, source=edition.id), **numbers)  # type: ignore[arg-type]
    figures = {}
    if power is not None or stated["volatility_up_fraction"] is not None:
        scale = pm2.volatility_multiplier(years=years, parameters=rules)
        figures["up"] = float(pm2.volatility_up_factor(multiplier=scale, parameters=rules)[0])
    loss = given.number("basisloss", "loss")
    if loss is not None:
        figures["forward"] = loss * float(pm2.basis_factor(years=years, parameters=rules)[0])
    reason = "the discount of the first portfolio manager (PM1) is no rule of PM2; PM1 is not modelled"
    return named(
        case, figures, spellings=derive_page.SPELLINGS, missing=dict.fromkeys(("discount", "staticdiscount"), reason)
    )


def _auction(case: Case, given: Inputs) -> Answer:
    market = given.need("mtm", "marktomarket")
    maintenance, buffer = given.number("mm", "maintenance"), given.number("buffermargin", "bm")
    scale, share = given.number("bufferscale", "bufferfraction"), given.number("share", "percentage", "fraction")
    figures: dict[str, object] = {}
    if buffer is None and maintenance is not None:
        scale = _auction_rules().buffer_fraction if scale is None else scale
        found = auction.buffer_margin(maintenance_usd=maintenance, mark_to_market_usd=market, buffer_fraction=scale)
        buffer = figures["buffer"] = float(found)
    minutes = given.number("tmin", "elapsedmin", "minutes")
    if minutes is not None and maintenance is not None:
        return named(
            case, figures | _insolvent(given, market, maintenance, minutes, share), spellings=derive_page.SPELLINGS
        )
    if buffer is not None and market > 0:
        figures |= _solvent(given, market, buffer, share)
    return named(case, figures, spellings=derive_page.SPELLINGS)


def _solvent(given: Inputs, market: float, buffer: float, share: float | None) -> dict[str, object]:
    discount, rate = given.number("discount") or 0.0, given.number("rate", "feerate", "liquidationfee")
    most = auction.max_share(
        buffer_margin_usd=buffer,
        mark_to_market_usd=market,
        discount=discount,
        reserved_usd=given.number("reserved", "reservedcash") or 0.0,
    )
    figures: dict[str, object] = {"maxshare": float(most)}
    if rate is not None:
        fee = auction.liquidation_fee(buffer_margin_usd=buffer, mark_to_market_usd=market, fee_fraction=rate)
        figures["fee"] = figures["liquidationfee"] = float(fee)
        # A key "fee" is this fee, not the fee on withdrawals.
    if share is not None:
        cost = auction.bid_cost(mark_to_market_usd=market, discount=discount, share=share)
        cash = auction.bid_required_cash(cost_usd=cost, margin_usd=buffer, share=share)
        figures |= {"cost": float(cost), "requiredcash": float(cash)}
    return figures


def _insolvent(
    given: Inputs, market: float, maintenance: float, minutes: float, share: float | None
) -> dict[str, object]:
    length = given.number("durationmin", "duration", "lengthmin")
    offer = auction.insolvent_offer(
        mark_to_market_usd=market,
        maintenance_usd=maintenance,
        elapsed_minutes=minutes,
        duration_minutes=_auction_rules().insolvent_duration_minutes if length is None else length,
    )
    if share is None:
        return {"offer": float(offer)}
    # The price of a share of an insolvent account is negative: the bidder is paid.
    cost = auction.bid_cost(mark_to_market_usd=offer, discount=0.0, share=share)
    cash = auction.bid_required_cash(cost_usd=cost, margin_usd=maintenance, share=share)
    return {"offer": float(offer), "cost": float(cost), "payout": -float(cost), "requiredcash": float(cash)}


def _auction_rules() -> auction.AuctionParameters:
    edition = parameters("derive", mode="auction", underlying="*", at=derive_page.AT)
    return auction.AuctionParameters.from_mapping(edition.values, source=edition.id)


def _fees(case: Case, given: Inputs) -> Answer:
    edition = parameters("derive", mode="fees", underlying="*", at=derive_page.AT)
    values = dict(edition.values)
    taker, maker = given.number("takerrate"), given.number("makerrate")
    stated = {
        "option_taker_fraction": taker,
        "perp_taker_fraction": taker,
        "option_maker_fraction": maker,
        "perp_maker_fraction": maker,
        "option_taker_flat_usd": given.number("takerbase", "optiontakerbase"),
        "perp_taker_flat_usd": given.number("perptakerbase"),
    }
    values |= {name: value for name, value in stated.items() if value is not None}
    rules = fees.FeeParameters.from_mapping(values, source="case")
    figures = {}
    for coin in ("btc", "eth", "sol", "hype"):
        size, price = given.number(f"{coin}perp", f"{coin}perps"), given.number(coin, f"{coin}price", f"{coin}index")
        if size is not None and price is not None:
            for name, is_taker in (("perptakerfee", True), ("perpmakerfee", False)):
                fee = fees.perp_fee(quantity=size, price=price, is_taker=is_taker, parameters=rules)
                figures[name] = float(fee)
    options, index = given.number("puts", "calls", "options"), given.number("eth", "ethprice", "index", "spot")
    if options is not None and index is not None:
        # Without a premium the case is one that its cap does not bind: a premium of the whole notional keeps it away.
        premium = given.number("premium", "premiumusd")
        for name, is_taker in (("optiontakerfee", True), ("optionmakerfee", False)):
            fee = fees.option_fee(
                quantity=options,
                price=index,
                premium_usd=abs(options) * index if premium is None else premium,
                is_taker=is_taker,
                parameters=rules,
            )
            figures[name] = float(fee)
    return named(case, figures, spellings=derive_page.SPELLINGS)


def _row(case: Case, given: Inputs) -> Answer:
    """Return the net margin of a captured position: a perpetual, or an option on its own."""
    name = str(given.value("instrumentname", "instrument", "symbol") or "")
    quantity = given.need("qty", "amount", "quantity", "size")
    at = observed_at(case, default=derive_page.AT, valid_from=derive_page.FIRST)
    coin = name.partition("-")[0].upper() or "BTC"
    rules = derive_page.standard_rules(given, coin, at)
    match = re.fullmatch(r"[A-Z0-9]+-\d+-([\d_.]+)-([CP])", name)
    if match is None:
        return _perp_row(case, given, rules, PerpSpec(coin=coin, quantity=quantity, price=0.0), at)
    strike, mark = float(match.group(1).replace("_", ".")), given.number("markprice", "mark")
    spot = given.number("indexprice", "index", "spot", "price")
    if quantity > 0:
        # A long option has no margin whatever the index is; its strike stands in for a missing one.
        spot = strike if spot is None else spot
    if spot is None or mark is None:
        raise UnsupportedError("a short option without the index or its mark in the payload")
    is_call = match.group(2) == "C"
    option = derive_book.OptionSpec(
        coin=coin, strike=strike, is_call=is_call, quantity=quantity, forward=spot, mark=mark or None
    )
    found = derive_page.alone(option, spot, rules, at)
    figures = {"maintenance": found[0], "initial": found[1]}
    entry = given.number("averageprice", "entry", "avgprice")
    if entry is not None:
        figures["upnl"] = float(linear.profit(signed_size=quantity, entry_price=entry, price=mark))
    return named(case, figures, spellings=derive_page.SPELLINGS)


def _perp_row(case: Case, given: Inputs, rules: StandardParameters, perp: PerpSpec, at: datetime) -> Answer:
    mark, index = given.number("markprice", "mark"), given.number("indexprice", "index")
    basis, price = str(given.value("pricebase") or "").lower(), given.number("price")
    if basis in ("mark", "index"):
        rules = replace(rules, perp_price=PerpPrice(basis))
    mark = price if mark is None or (basis == "mark" and price is not None) else mark
    index = price if index is None or (basis == "index" and price is not None) else index
    mark, index = (index if mark is None else mark), (mark if index is None else index)
    if mark is None or index is None:
        raise UnsupportedError("a perpetual without any price in the payload")
    profit = given.number("unsettledpnlmarkvalue", "markvalue") or 0.0
    account = derive_book.SubaccountSpec(
        at=at, cash=0.0, spot={perp.coin: index}, perps=[replace(perp, price=mark, profit=profit)]
    )
    found = derive_book.standard(account, {perp.coin: rules})
    figures = {"maintenance": found.maintenance, "initial": found.initial}
    entry = given.number("averageprice", "entry", "avgprice")
    if entry is not None:
        whole = replace(perp, price=mark, profit=perp.quantity * (mark - entry))
        figures["upnl"] = derive_book.standard(replace(account, perps=[whole]), {perp.coin: rules}).mtm
    return named(case, figures, spellings=derive_page.SPELLINGS)
