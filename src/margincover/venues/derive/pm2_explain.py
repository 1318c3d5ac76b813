"""Trees of what PM2 requires, first path: the worst scenario, forward moves, contingencies, haircuts."""

from __future__ import annotations

import numpy as np

from margincover.model.explain import ExplainNode, summed
from margincover.venues.derive import pm2
from margincover.venues.derive.parameters import Pm2Parameters, Pm2Scenario
from margincover.venues.derive.state import Pm2Holding, Pm2State


def portfolio_trees(
    base: str, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, coins: tuple[str, ...], unit: str
) -> tuple[ExplainNode, ExplainNode]:
    """Return the trees of maintenance and of initial margin; ``coins`` names the collaterals of the holding."""
    now = state.paths(slice(0, 1))
    p, spot = parameters, float(now.spot[0])
    peg = p.peg_factor * max(0.0, p.peg_threshold_fraction - float(now.stable_price[0]))
    perp = abs(holding.perp_quantity) * spot
    naked = sum(pm2.naked_shorts(holding.legs).values()) * spot
    steady = [_charge("perpetual contingency", perp, p.perp_maintenance_fraction, unit)] if perp else []
    extra = [_charge("perpetual contingency, initial", perp, p.perp_extra_initial_fraction, unit)] if perp else []
    if naked:
        steady.append(_charge("uncovered short options", naked, p.option_maintenance_fraction, unit))
        extra.append(_charge("uncovered short options, initial", naked, p.option_extra_initial_fraction, unit))
    for row, coin in enumerate(coins):
        value = float(holding.collateral_quantity[row] * now.collateral_price[row, 0] / now.stable_price[0])
        steady.append(_charge(f"{coin} haircut", value, float(holding.collateral_maintenance_haircut[row]), unit))
        more = float(holding.collateral_extra_initial_haircut[row])
        extra.append(_charge(f"{coin} haircut, initial", value, more, unit))
    doubt = float(pm2.oracle_contingency(holding=holding, state=now, parameters=p)[0])
    if doubt:
        extra.append(ExplainNode(label="oracle contingency", value=doubt, unit=unit, detail="a feed is doubted"))
    worst = _worst(holding, now, p, p.maintenance_loss_factor, unit)
    harder = _worst(holding, now, p, p.initial_loss_factor + peg, unit)
    return (
        summed(f"{base} portfolio", unit, (worst, *steady)),
        summed(f"{base} portfolio", unit, (harder, *steady, *extra)),
    )


def _charge(label: str, value: float, fraction: float, unit: str) -> ExplainNode:
    return ExplainNode(label=label, value=value * fraction, unit=unit, detail=f"{fraction:.4%} of {value:,.8g}")


def _worst(holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, factor: float, unit: str) -> ExplainNode:
    """Return the counted part of the worst loss: that of a scenario, of forward moves alone, or none."""
    margin = pm2.portfolio_margin(holding=holding, state=state, parameters=parameters)
    worst, forward = float(margin.worst_pnl_usd[0]), float(margin.forward_contingency_usd[0])
    profits = pm2.scenario_pnl(holding=holding, state=state, parameters=parameters)[:, 0]
    number = int(np.argmin(profits))
    beside = f"{factor:.4g} of the loss; forward moves alone would be {-forward:,.8g}"
    if worst == 0.0:
        return ExplainNode(label="worst scenario: no loss", value=0.0, unit=unit)
    if float(profits[number]) > forward:
        label = "forward moves of each expiry alone"
        beside = f"{factor:.4g} of the loss; the worst scenario would be {-float(profits[number]):,.8g}"
        return ExplainNode(label=label, value=-factor * worst, unit=unit, detail=beside)
    scenario = parameters.scenarios[number]
    moves, discounting = pm2.scenario_parts(holding=holding, state=state, parameters=parameters, scenario=scenario)
    label = f"worst scenario: {_name(scenario)}"
    if scenario.is_skew:
        return ExplainNode(label=label, value=-factor * worst, unit=unit, detail=beside)
    children = (
        ExplainNode(label="moves of price and volatility", value=-factor * float(moves[0]), unit=unit),
        ExplainNode(label="static discount", value=-factor * float(discounting[0]), unit=unit),
    )
    return summed(label, unit, children, beside)


def _name(scenario: Pm2Scenario) -> str:
    if scenario.is_skew:
        return scenario.volatility.value.replace("_", " ")
    damped = "" if scenario.dampening_factor == 1.0 else f", {scenario.dampening_factor:g} of it"
    return f"spot {scenario.spot_factor - 1.0:+.4g}, volatility {scenario.volatility.value}{damped}"
