"""The slow twin of ``derive_standard``: one path in exact fractions and loops, written from the formulas."""

from __future__ import annotations

from fractions import Fraction

from margincover.venues.derive.parameters import StandardParameters
from margincover.venues.derive.state import StandardHolding, StandardState


def market_margin_reference(
    *, holding: StandardHolding, state: StandardState, parameters: StandardParameters, path: int
) -> tuple[Fraction, Fraction, Fraction]:
    """Return mark to market, net maintenance and net initial margin of one underlying on one path, USD, exact.

    Marks come from the state, so that no rounding is left: the two twins differ by double arithmetic alone.
    """
    spot, stable = Fraction(state.spot[path]), Fraction(state.stable_price[path])
    pnl, perp = Fraction(state.perp_pnl_usd[path]), abs(Fraction(holding.perp_quantity))
    notional, base = perp * Fraction(state.perp_price[path]), Fraction(holding.base_quantity) * spot
    value, maintenance, initial = _options(holding, state, parameters, path)
    credit = base * Fraction(parameters.base_margin_fraction)
    value += pnl + base / stable
    maintenance += pnl - notional * Fraction(parameters.perp_maintenance_fraction) + credit
    initial += pnl - notional * Fraction(parameters.perp_initial_fraction)
    initial += credit * Fraction(parameters.base_initial_scale_fraction)
    return value, maintenance, initial - _contingencies(holding, state, parameters, path)


def _options(
    holding: StandardHolding, state: StandardState, p: StandardParameters, path: int
) -> tuple[Fraction, Fraction, Fraction]:
    legs, value, maintenance, initial = holding.legs, Fraction(0), Fraction(0), Fraction(0)
    expiries = sorted({int(row) for row in legs.expiry})
    for expiry in expiries:
        rows = [leg for leg in range(legs.strike.size) if int(legs.expiry[leg]) == expiry]
        alone = [_leg(holding, state, p, leg, path) for leg in rows]
        value += sum((part[0] for part in alone), Fraction(0))
        lowest = min(_payoff(holding, rows, x) for x in [Fraction(0), *(Fraction(legs.strike[leg]) for leg in rows)])
        net_calls = sum((Fraction(legs.quantity_contracts[leg]) for leg in rows if legs.is_call[leg]), Fraction(0))
        unpaired = min(Fraction(0), net_calls) * Fraction(state.forward[expiry, path])
        loss = min(Fraction(0), lowest)
        maintenance += max(sum(part[1] for part in alone), loss + Fraction(p.unpaired_maintenance_factor) * unpaired)
        initial += max(sum(part[2] for part in alone), loss + Fraction(p.unpaired_initial_factor) * unpaired)
    return value, maintenance, initial


def _leg(
    holding: StandardHolding, state: StandardState, p: StandardParameters, leg: int, path: int
) -> tuple[Fraction, Fraction, Fraction]:
    """Return value, maintenance and initial of one leg alone."""
    n, strike = Fraction(holding.legs.quantity_contracts[leg]), Fraction(holding.legs.strike[leg])
    spot, value = Fraction(state.spot[path]), n * Fraction(state.mark[leg, path])
    if n >= 0:
        return value, Fraction(0), Fraction(0)
    is_call = bool(holding.legs.is_call[leg])
    out = max(Fraction(0), strike - spot if is_call else spot - strike)
    most, least = Fraction(p.option_initial_max_fraction), Fraction(p.option_initial_min_fraction)
    initial = value + n * spot * max(most - out / spot, least)
    if is_call:
        return value, value + n * spot * Fraction(p.call_maintenance_fraction), initial
    by_spot, by_value = (
        n * spot * Fraction(p.put_maintenance_fraction),
        value * Fraction(p.put_maintenance_value_fraction),
    )
    maintenance = value + min(by_spot, by_value)
    return value, maintenance, min(initial, Fraction(p.put_initial_over_maintenance_factor) * maintenance)


def _payoff(holding: StandardHolding, rows: list[int], price: Fraction) -> Fraction:
    total = Fraction(0)
    for leg in rows:
        strike, n = Fraction(holding.legs.strike[leg]), Fraction(holding.legs.quantity_contracts[leg])
        total += n * max(Fraction(0), price - strike if holding.legs.is_call[leg] else strike - price)
    return total


def _contingencies(holding: StandardHolding, state: StandardState, p: StandardParameters, path: int) -> Fraction:
    """Return depeg plus oracle contingency."""
    spot, stable, trust = (Fraction(x[path]) for x in (state.spot, state.stable_price, state.spot_confidence))
    perp = abs(Fraction(holding.perp_quantity))
    shorts = [max(Fraction(0), -Fraction(n)) for n in holding.legs.quantity_contracts]
    gap = max(Fraction(0), Fraction(p.depeg_threshold_fraction) - stable)
    total = gap * Fraction(p.depeg_factor) * spot * (sum(shorts, Fraction(0)) + perp)
    parts = [(abs(Fraction(holding.base_quantity)), trust), (perp, min(trust, Fraction(state.perp_confidence[path])))]
    parts += [(n, min(trust, Fraction(c[path]))) for n, c in zip(shorts, state.option_confidence, strict=True)]
    for size, confidence in parts:
        if confidence < Fraction(p.confidence_threshold_fraction):
            total += (1 - confidence) * Fraction(p.oracle_factor) * spot * size
    return total
