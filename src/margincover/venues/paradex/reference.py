"""The slow twin of the Paradex rules: plain floats, one leg and one state at a time; a test ties the two to 1e-10."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from margincover.pricing import black76
from margincover.venues.paradex.cross import ParadexOptionFactors, PutCapBasis
from margincover.venues.paradex.portfolio import ParadexPortfolioParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionLeg:
    """One option: signed coins, strike, right, mark (USD per coin), forward, volatility, years."""

    quantity: float
    strike: float
    is_call: bool
    mark: float
    forward: float
    volatility: float
    years: float


def option_requirement(leg: OptionLeg, *, spot: float, factors: ParadexOptionFactors, cap: PutCapBasis) -> float:
    """Return the cross requirement of one leg by itself."""
    if leg.quantity >= 0:
        return leg.quantity * min(factors.premium_fraction * leg.mark, factors.long_itm_fraction * spot)
    otm = max(0.0, leg.strike - spot) if leg.is_call else max(0.0, spot - leg.strike)
    each = max(factors.short_itm_fraction * spot - otm, factors.short_otm_fraction * spot)
    if not leg.is_call and cap is PutCapBasis.STRIKE:
        each = min(each, factors.short_put_cap_fraction * leg.strike)
    if not leg.is_call and cap is PutCapBasis.SPOT:
        each = min(each, factors.short_put_cap_fraction * spot)
    return -leg.quantity * each


def group_requirement(legs: Sequence[OptionLeg], *, spot: float, isolated: float, unpaired_factor: float) -> float:
    """Return the requirement of the options of one expiry together."""
    if all(leg.quantity >= 0 for leg in legs):
        return isolated
    worth = sum(leg.quantity * leg.mark for leg in legs)
    worst = min(
        sum(leg.quantity * _payoff(leg, settlement) for leg in legs)
        for settlement in (0.0, *(leg.strike for leg in legs))
    )
    net_short = max(0.0, -sum(leg.quantity for leg in legs if leg.is_call))
    return min(isolated, max(0.0, worth - worst) + unpaired_factor * net_short * spot)


def scan_risk(
    legs: Sequence[OptionLeg], *, perpetuals: Sequence[tuple[float, float]], parameters: ParadexPortfolioParameters
) -> float:
    """Return SCAN risk of option legs and perpetuals given as (quantity, mark)."""
    greatest = 0.0
    for spot, vol, weight in zip(parameters.spot_shocks, parameters.volatility_shocks, parameters.weights, strict=True):
        loss = -sum(quantity * mark * float(spot) for quantity, mark in perpetuals)
        for leg in legs:
            sigma = _shocked(leg, float(vol), parameters)
            before = _value(leg, leg.forward, leg.volatility)
            loss += leg.quantity * (before - _value(leg, leg.forward * (1.0 + float(spot)), sigma))
        greatest = max(greatest, float(weight) * loss)
    return greatest


def minimum_delta(deltas: Sequence[float], *, spot: float, parameters: ParadexPortfolioParameters) -> float:
    """Return the floor by delta from the signed deltas of the legs."""
    net = abs(math.fsum(deltas))
    gross = math.fsum(abs(delta) for delta in deltas)
    return (parameters.unhedged_fraction * net + parameters.hedged_fraction * (gross - net) / 2.0) * spot


def _payoff(leg: OptionLeg, settlement: float) -> float:
    return max(0.0, settlement - leg.strike if leg.is_call else leg.strike - settlement)


def _value(leg: OptionLeg, forward: float, volatility: float) -> float:
    return black76.price_reference(
        forward=forward, strike=leg.strike, years=leg.years, volatility=volatility, is_call=leg.is_call
    )


def _shocked(leg: OptionLeg, shock: float, parameters: ParadexPortfolioParameters) -> float:
    days = leg.years * 365.0
    short = days < parameters.vega_reference_days
    power = parameters.vega_power_short if short else parameters.vega_power_long
    scaled: float = shock * (parameters.vega_reference_days / max(parameters.smallest_days, days)) ** power
    if shock > 0:
        scaled = max(scaled, parameters.smallest_up_shock)
    return max(0.0, leg.volatility * (1.0 + scaled))
