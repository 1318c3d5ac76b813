"""Trees of what the standard manager requires of the options of one expiry, first path."""

from __future__ import annotations

import numpy as np

from margincover.model.explain import ExplainNode, summed
from margincover.venues.derive import standard
from margincover.venues.derive.parameters import StandardParameters
from margincover.venues.derive.state import OptionLegs, StandardState


def expiry_trees(
    name: str, legs: OptionLegs, state: StandardState, parameters: StandardParameters, unit: str
) -> tuple[ExplainNode, ExplainNode]:
    """Return the trees of maintenance and of initial margin of one expiry.

    The better of two margins counts: each option on its own, or the largest loss at expiry. The tree shows the one
    that does and names the other.
    """
    alone = standard.isolated_option_margin(legs=legs, state=state, parameters=parameters)
    values = alone.mark_to_market_usd[:, 0]
    whole = standard.option_margin(legs=legs, state=state, parameters=parameters)
    payoff, net_calls = standard.lowest_payoff(legs, np.arange(legs.strike.size))
    found = []
    for net, each, factor in (
        (whole.maintenance_usd, alone.maintenance_usd, parameters.unpaired_maintenance_factor),
        (whole.initial_usd, alone.initial_usd, parameters.unpaired_initial_factor),
    ):
        required = float(whole.mark_to_market_usd[0] - net[0])
        unpaired = -factor * min(0.0, net_calls) * float(state.forward[0, 0])
        by_leg, by_loss = float(values.sum() - each[:, 0].sum()), float(values.sum()) - payoff + unpaired
        if by_leg <= by_loss:
            children = tuple(
                ExplainNode(
                    label=_leg(legs, k),
                    value=float(values[k] - each[k, 0]),
                    unit=unit,
                    detail="value: long options give no credit" if legs.quantity_contracts[k] > 0 else "short, alone",
                )
                for k in range(legs.strike.size)
            )
            detail = f"each option on its own; the largest loss would be {by_loss:,.8g}"
        else:
            children = (
                ExplainNode(label="value of the options", value=float(values.sum()), unit=unit),
                ExplainNode(label="largest loss at expiry", value=-payoff, unit=unit, detail="at 0 or at a strike"),
                ExplainNode(
                    label="unpaired short calls",
                    value=unpaired,
                    unit=unit,
                    detail=f"{factor:g} times the forward for each of {max(0.0, -net_calls):,.8g}",
                ),
            )
            detail = f"largest loss at expiry; each option on its own would be {by_leg:,.8g}"
        tree = summed(f"{name} options", unit, children, detail)
        assert abs(tree.value - required) <= 1e-9 * max(abs(required), abs(float(values.sum())), 1.0), (
            f"Invariant: the tree of {name} ends in what is required ({tree.value!r}, {required!r})"
        )
        found.append(tree)
    return found[0], found[1]


def _leg(legs: OptionLegs, k: int) -> str:
    side = "call" if legs.is_call[k] else "put"
    return f"{legs.quantity_contracts[k]:+,.8g} {side} {legs.strike[k]:,.8g}"
