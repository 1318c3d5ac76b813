"""Price impact of forced orders: how far a sale moves the local price from the index, and how depth thins under stress.

Depth is stated as one figure that can be read from any order book: the notional that moves the price by 1 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from margincover.errors import InputError

UNIT_MOVE = 0.01  # depth is the notional of this move


class ImpactLaw(IntEnum):
    """Shape of the displacement over the notional sold; all pass through 1 % at the stated depth for small bounds."""

    LINEAR = 0
    EXPONENTIAL = 1
    SQUARE_ROOT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Impact:
    """How forced orders move one local price.

    Parameters
    ----------
    law : ImpactLaw
    thinning_move_fraction : float or None
        Move from the price before the event at which depth has halved, > 0; None for depth that does not thin.
    depth_floor_fraction : float
        Part of the depth that always stays, 0 < floor <= 1.

    Notes
    -----
    With d = 1 - local / index, u = 0.01 and depth D: linear d = u Q / D; exponential d = bound (1 - exp(-u Q / (bound
    D))), which is drop = (1 - B/P)(1 - exp(-Q/D')) with B = index (1 - bound); square root d = u sqrt(Q / D). A further
    order adds to the flow that the present displacement stands for, so orders add up whatever their split. Depth at a
    move x from the price before the event is D max(floor, 1 / (1 + x / thinning)).

    References
    ----------
    Cont and Schaanning (2017), Fire sales, indirect contagion and systemic stress testing, Norges Bank WP 2/2017.
    """

    law: ImpactLaw = ImpactLaw.EXPONENTIAL
    thinning_move_fraction: float | None = 0.033
    depth_floor_fraction: float = 0.05

    def __post_init__(self) -> None:
        """Check the figures."""
        thinning = self.thinning_move_fraction
        if thinning is not None and not (thinning > 0.0 and math.isfinite(thinning)):
            raise InputError(f"was {thinning}", field="thinning_move_fraction", allowed="above 0, or none")
        if not 0.0 < self.depth_floor_fraction <= 1.0:
            raise InputError(f"was {self.depth_floor_fraction}", field="depth_floor_fraction", allowed="above 0, to 1")


def standing_flow_usd(displacement: float, depth_usd: float, law: ImpactLaw, bound: float) -> float:
    """Return the notional sold (positive) or bought (negative) that a displacement stands for."""
    size = min(abs(displacement), bound)
    if law is ImpactLaw.LINEAR:
        flow = depth_usd * size / UNIT_MOVE
    elif law is ImpactLaw.EXPONENTIAL:
        # At the bound itself the flow would be infinite.
        flow = -depth_usd * bound / UNIT_MOVE * math.log1p(-min(size / bound, 1.0 - 1e-12))
    else:
        flow = depth_usd * (size / UNIT_MOVE) ** 2
    return math.copysign(flow, displacement)


def displaced(displacement: float, sold_usd: float, depth_usd: float, law: ImpactLaw, bound: float) -> float:
    """Return the displacement after a net sale.

    Parameters
    ----------
    displacement : float
        1 - local / index before; positive is below the index.
    sold_usd : float
        Net notional sold, negative where bought.
    depth_usd : float
        Notional that moves the price by 1 %, > 0.
    law : ImpactLaw
    bound : float
        Largest distance of the local price from the index, 0 < bound < 1: the exponential law approaches it, the others
        are cut there.

    Examples
    --------
    >>> round(displaced(0.0, 1e6, 1e6, ImpactLaw.LINEAR, 0.5), 6)
    0.01
    """
    flow = standing_flow_usd(displacement, depth_usd, law, bound) + sold_usd
    size = abs(flow) / depth_usd
    if law is ImpactLaw.LINEAR:
        moved = UNIT_MOVE * size
    elif law is ImpactLaw.EXPONENTIAL:
        moved = -bound * math.expm1(-UNIT_MOVE * size / bound)
    else:
        moved = UNIT_MOVE * math.sqrt(size)
    return math.copysign(min(moved, bound), flow)


def thinned_depth_usd(depth_usd: float, move_fraction: float, impact: Impact) -> float:
    """Return the depth that is left at a move from the price before the event; its sign does not matter."""
    if impact.thinning_move_fraction is None:
        return depth_usd
    share = 1.0 / (1.0 + abs(move_fraction) / impact.thinning_move_fraction)
    return depth_usd * max(share, impact.depth_floor_fraction)
