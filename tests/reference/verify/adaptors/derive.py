"""Derive: standard manager, PM2, auctions and fees, from published suites, the documentation's pages and payloads."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from margincover.pricing import linear
from margincover.venues.derive import auction, fees, pm2, standard
from margincover.venues.derive.parameters import Pm2Parameters
from margincover.venues.parameters import parameters
from tests import derive_cases
from tests.reference.verify.adaptors import derive_page
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
    margin = derive_cases.standard_account(dict(case.layers[0]))
    figures = {
        "initial": float(margin.initial_usd[0]),
        "maintenance": float(margin.maintenance_usd[0]),
        "mtm": float(margin.mark_to_market_usd[0]),
    }
    return named(case, figures, spellings=derive_page.SPELLINGS)


def _pm2(case: Case) -> Answer:
    inputs = dict(case.layers[0])
    rules = derive_cases.pm2_parameters(inputs)
    holding, state = derive_cases.pm2_account(inputs)
    margin = pm2.portfolio_margin(holding=holding, state=state, parameters=rules)
    profits = pm2.scenario_pnl(holding=holding, state=state, parameters=rules)[:, 0]
    worst = {"regular": 0.0, "tail": 0.0, "skew": 0.0}
    for scenario, profit in zip(rules.scenarios, profits, strict=True):
        far = abs(scenario.spot_factor - 1.0) > TAIL_MOVE
        kind = "skew" if scenario.is_skew else "tail" if far else "regular"
        worst[kind] = min(worst[kind], float(profit))
    figures: dict[str, object] = {
        "initial": float(margin.initial_usd[0]),
        "maintenance": float(margin.maintenance_usd[0]),
        "mtm": float(margin.mark_to_market_usd[0]),
        "forward": float(margin.forward_contingency_usd[0]),
        "worst": float(margin.worst_pnl_usd[0]),
        "scenarios": [float(profit) for profit in profits],
    }
    return named(
        case, figures | {f"worst{kind}": value for kind, value in worst.items()}, spellings=derive_page.SPELLINGS
    )


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
    figures = {}
    entry, mark = given.number("averageprice", "entry", "avgprice"), given.number("markprice", "mark")
    if entry is not None and mark is not None:
        figures["upnl"] = float(linear.profit(signed_size=quantity, entry_price=entry, price=mark))
    match = re.fullmatch(r"[A-Z]+-\d+-([\d.]+)-([CP])", name)
    if match is None:
        pnl = given.number("unsettledpnlmarkvalue", "markvalue")
        margin = standard.perp_margin(
            quantity=quantity,
            price=given.need("price", "indexprice", "markprice"),
            pnl_usd=0.0 if pnl is None else pnl,
            parameters=rules,
        )
        figures |= {"maintenance": float(margin.maintenance_usd), "initial": float(margin.initial_usd)}
        return named(case, figures, spellings=derive_page.SPELLINGS)
    strike, kind = float(match.group(1)), match.group(2)
    spot = given.number("indexprice", "index", "spot", "price")
    if quantity > 0:
        # A long option has no margin whatever the index is; its strike stands in for a missing one.
        spot = strike if spot is None else spot
    if spot is None or mark is None:
        raise UnsupportedError("a short option without the index or its mark in the payload")
    rows = [(kind == "C", strike, quantity, mark)]
    holding, state = derive_page.option_book(Inputs({"spot": spot}), rows)  # type: ignore[arg-type]
    margin = standard.isolated_option_margin(legs=holding.legs, state=state, parameters=rules)
    figures |= {"maintenance": float(margin.maintenance_usd[0, 0]), "initial": float(margin.initial_usd[0, 0])}
    return named(case, figures, spellings=derive_page.SPELLINGS)
