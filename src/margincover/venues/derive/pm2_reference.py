"""The slow twin of ``derive_pm2``: one path, plain floats and loops, written from the formulas, not the kernel."""

from __future__ import annotations

import math
from typing import NamedTuple

from margincover.pricing import black76
from margincover.venues.derive.parameters import Pm2Parameters, Pm2Scenario, VolatilityShock
from margincover.venues.derive.state import Pm2Holding, Pm2State

_DAYS_PER_YEAR = 365.0


class _Case(NamedTuple):
    holding: Pm2Holding
    state: Pm2State
    parameters: Pm2Parameters
    path: int


def portfolio_margin_reference(
    *, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, path: int
) -> dict[str, float]:
    """Return mark to market, net maintenance, net initial, worst profit and forward contingency of one path, USD."""
    p, case = parameters, _Case(holding, state, parameters, path)
    marks = [_expiry_value(case, row, 1.0, VolatilityShock.STATIC) for row in range(state.forward.shape[0])]
    values = _collaterals(case)
    market = holding.cash_usd + sum(marks) + sum(values) + float(state.perp_pnl_usd[path])
    forward = _forward_contingency(case)
    losses = scenario_pnl_reference(holding=holding, state=state, parameters=p, path=path)
    worst = min([0.0, forward, *losses])
    steady, extra = _contingencies(case)
    peg = p.peg_factor * max(0.0, p.peg_threshold_fraction - float(state.stable_price[path]))
    return {
        "mark_to_market_usd": market,
        "maintenance_usd": market + p.maintenance_loss_factor * worst - steady,
        "initial_usd": market + (p.initial_loss_factor + peg) * worst - steady - extra,
        "worst_pnl_usd": worst,
        "forward_contingency_usd": forward,
    }


def scenario_pnl_reference(
    *, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, path: int
) -> list[float]:
    """Return the dampened profit of each scenario on one path, USD."""
    case = _Case(holding, state, parameters, path)
    return [_scenario(case, scenario) for scenario in parameters.scenarios]


def _scenario(case: _Case, scenario: Pm2Scenario) -> float:
    holding, state, p, path = case
    factor = 1.0 if scenario.is_skew else scenario.spot_factor
    total = holding.perp_quantity * float(state.perp_price[path]) * (factor - 1.0)
    for value, cancels in zip(_collaterals(case), holding.collateral_is_risk_cancelling, strict=True):
        total += value * (factor - 1.0) if cancels else 0.0
    for row in range(state.forward.shape[0]):
        mark = _expiry_value(case, row, 1.0, VolatilityShock.STATIC)
        shocked = _expiry_value(case, row, factor, scenario.volatility)
        rate, time = max(float(state.rate_per_year[row, path]), 0.0), float(state.years[row, path])
        if shocked >= 0.0:
            discount = p.positive_discount_factor * math.exp(
                -time * (rate * p.positive_rate_scale + p.positive_rate_add_per_year)
            )
        else:
            growth = math.exp(time * (rate * p.negative_rate_scale + p.negative_rate_add_per_year))
            discount = min(math.exp(rate * time), p.negative_discount_factor * growth)
        change = discount * shocked - mark
        total += -abs(change) if scenario.is_skew else change
    return scenario.dampening_factor * total


def _expiry_value(case: _Case, row: int, factor: float, kind: VolatilityShock) -> float:
    holding, state, p, path = case
    whole, fixed = float(state.forward[row, path]), float(state.forward_fixed[row, path])
    time, rate = float(state.years[row, path]), max(float(state.rate_per_year[row, path]), 0.0)
    legs, total = holding.legs, 0.0
    for leg in range(legs.strike.size):
        if int(legs.expiry[leg]) != row:
            continue
        strike = float(legs.strike[leg])
        total += float(legs.quantity_contracts[leg]) * black76.price_reference(
            forward=(whole - fixed) * factor + fixed,
            strike=strike,
            years=time,
            volatility=_volatility(float(state.volatility[leg, path]), math.log(strike / whole), time, kind, p),
            is_call=bool(legs.is_call[leg]),
        )
    return total * math.exp(-rate * time)


def _volatility(implied: float, k: float, time: float, kind: VolatilityShock, p: Pm2Parameters) -> float:
    if kind is VolatilityShock.STATIC:
        return implied
    if kind in (VolatilityShock.UP, VolatilityShock.DOWN):
        days = time * _DAYS_PER_YEAR
        power = p.short_term_power if days <= 30.0 else p.long_term_power
        multiplier = math.pow(30.0 / max(days, p.days_floor), power)
        if kind is VolatilityShock.UP:
            return max(p.volatility_up_floor, implied * (1.0 + p.volatility_up_fraction * multiplier))
        return implied * max(0.0, 1.0 - p.volatility_down_fraction * multiplier)
    root = math.sqrt(time)
    width = max(
        p.skew_width_floor, p.skew_width_scale * root * (p.skew_volatility_base + p.skew_volatility_slope * root)
    )
    if kind is VolatilityShock.SKEW_LINEAR:
        cap = p.linear_cap_base + p.linear_cap_slope * root
        move = min(abs(k) * cap / width, cap)
        factor = 1.0 + (move if k > 0 else -move if k < 0 else 0.0)
    else:
        cap = p.absolute_cap_base + p.absolute_cap_slope * root
        factor = 1.0 + min(abs(k) * cap / width, cap)
    return max(0.0, implied * factor)


def _forward_contingency(case: _Case) -> float:
    _, state, p, path = case
    total = 0.0
    for row in range(state.forward.shape[0]):
        mark, up, down = (
            _expiry_value(case, row, factor, VolatilityShock.STATIC)
            for factor in (1.0, p.basis_up_factor, p.basis_down_factor)
        )
        weight = p.basis_add_factor + p.basis_factor_per_year * float(state.years[row, path])
        total += min(0.0, up - mark, down - mark) * weight
    return total


def _contingencies(case: _Case) -> tuple[float, float]:
    holding, state, p, path = case
    spot, trust = float(state.spot[path]), float(state.spot_confidence[path])

    def doubt(confidence: float) -> float:
        return (1.0 - confidence) * p.oracle_factor if confidence < p.confidence_threshold_fraction else 0.0

    perp = abs(holding.perp_quantity) * spot
    steady = perp * p.perp_maintenance_fraction
    extra = perp * (p.perp_extra_initial_fraction + doubt(min(trust, float(state.perp_confidence[path]))))
    legs = holding.legs
    net: dict[tuple[int, float], float] = {}
    for leg in range(legs.strike.size):
        row, quantity = int(legs.expiry[leg]), float(legs.quantity_contracts[leg])
        net[row, float(legs.strike[leg])] = net.get((row, float(legs.strike[leg])), 0.0) + quantity
        extra += abs(quantity) * spot * doubt(min(trust, float(state.expiry_confidence[row, path])))
    for quantity in net.values():
        if quantity < 0:
            steady += -quantity * spot * p.option_maintenance_fraction
            extra += -quantity * spot * p.option_extra_initial_fraction
    for row, value in enumerate(_collaterals(case)):
        steady += value * float(holding.collateral_maintenance_haircut[row])
        extra += value * float(holding.collateral_extra_initial_haircut[row])
        extra += value * doubt(min(trust, float(state.collateral_confidence[row, path])))
    return steady, extra


def _collaterals(case: _Case) -> list[float]:
    holding, state, _, path = case
    return [
        float(quantity) * float(state.collateral_price[row, path]) / float(state.stable_price[path])
        for row, quantity in enumerate(holding.collateral_quantity)
    ]
