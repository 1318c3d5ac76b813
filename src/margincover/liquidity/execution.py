"""What it costs to sell a position: spread, square-root impact, and the best schedule of Almgren and Chriss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

# Average cost of a sale by the square-root law is two thirds of its final impact: the mean of sqrt(x) over [0, 1].
AVERAGE_OF_IMPACT = 2.0 / 3.0

Array = NDArray[np.float64]


def square_root_impact(volume_share: float, *, daily_volatility: float, coefficient: float = 1.0) -> float:
    """Return the final price impact of a sale as a fraction: Y sigma (Q / V)^0.5.

    Parameters
    ----------
    volume_share : float
        Amount sold over the volume of a day, >= 0.
    daily_volatility : float
        Volatility of a day as a fraction.
    coefficient : float
        Y, about 1.

    References
    ----------
    Donier, Bonart (2015), A million metaorder analysis of market impact on the Bitcoin, arXiv:1412.4503.
    """
    return coefficient * daily_volatility * math.sqrt(volume_share)


def lognormal_loss_fraction(z: float, sigma: float) -> float:
    """Return the loss of z standard deviations of the log price, 1 - exp(-z sigma), as a fraction."""
    return 1.0 - math.exp(-z * sigma)


def spread_lvar(
    value: float,
    *,
    price_loss_fraction: float,
    spread_mean: float,
    spread_deviation: float = 0.0,
    spread_multiple: float = 0.0,
) -> float:
    """Return VaR with the cost of the spread, in the unit of ``value``.

    Parameters
    ----------
    value : float
        Of the position, >= 0.
    price_loss_fraction : float
        VaR of the price as a fraction: ``lognormal_loss_fraction``, or z sigma.
    spread_mean, spread_deviation : float
        Bid-ask spread over the mid price, its mean and standard deviation.
    spread_multiple : float
        Standard deviations of the spread that are added; 2 to 4.5 were measured.

    Notes
    -----
    L-VaR = V loss + V / 2 (mean + a deviation). It adds the worst spread to the worst price: on the safe side.

    References
    ----------
    Bangia, Diebold, Schuermann, Stroughair (1999), Modeling liquidity risk, with implications for traditional market
    risk measurement and management, Wharton FIC 99-06.
    """
    spread = spread_mean + spread_multiple * spread_deviation
    if value < 0.0 or spread < 0.0:
        raise InputError(f"was {value:g} at a spread of {spread:g}", field="value", allowed="both >= 0")
    return value * price_loss_fraction + 0.5 * value * spread


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionMarket:
    """The market of Almgren and Chriss, for a position of ``units`` sold in ``periods`` periods within ``horizon``.

    Parameters
    ----------
    units : float
        Units to sell, > 0.
    horizon : float
        Time to sell, in the unit of time of ``sigma``.
    periods : int
    sigma : float
        Standard deviation of the price over one unit of time, in money per unit (not a fraction).
    fixed_cost : float
        epsilon: half the spread and fees, money per unit.
    permanent_impact : float
        gamma: fall of the price that stays, per unit sold.
    temporary_impact : float
        eta: concession per unit sold in a unit of time.
    """

    units: float
    horizon: float
    periods: int
    sigma: float
    fixed_cost: float
    permanent_impact: float
    temporary_impact: float

    def __post_init__(self) -> None:
        if self.periods < 1 or min(self.units, self.horizon, self.sigma) <= 0.0:
            raise InputError(f"was {self.units:g}, {self.horizon:g}, {self.periods}", field="market", allowed="> 0")
        if self.eased_impact <= 0.0:
            raise InputError(
                f"temporary impact was {self.temporary_impact:g}",
                field="temporary_impact",
                allowed=f"above half the permanent impact of a period, {0.5 * self.permanent_impact * self.period:g}",
            )

    @property
    def period(self) -> float:
        """Length of one period, tau."""
        return self.horizon / self.periods

    @property
    def eased_impact(self) -> float:
        """Temporary impact less half of what a period adds for good, eta - gamma tau / 2."""
        return self.temporary_impact - 0.5 * self.permanent_impact * self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a position is sold: ``left_units`` [period + 1] from all to none, expected cost and its variance, in money.

    ``urgency`` is kappa, 1 / time; its inverse is the half-life. 0 sells evenly.
    """

    left_units: Array
    urgency: float
    expected_cost: float
    cost_variance: float

    def lvar(self, z: float) -> float:
        """Return the cost not exceeded at z standard deviations, E + z sqrt(V)."""
        return self.expected_cost + z * math.sqrt(self.cost_variance)


def best_schedule(market: ExecutionMarket, risk_aversion: float) -> Schedule:
    """Return the schedule that minimises expected cost + risk aversion x variance.

    Parameters
    ----------
    market : ExecutionMarket
    risk_aversion : float
        lambda, 1 / money, >= 0.

    Notes
    -----
    kappa'^2 = lambda sigma^2 / (eta - gamma tau / 2), kappa = arcosh(kappa'^2 tau^2 / 2 + 1) / tau, and
    x_j = X sinh(kappa (T - t_j)) / sinh(kappa T). E = gamma X^2 / 2 + eps X + (eta - gamma tau / 2) / tau sum n_j^2,
    V = sigma^2 tau sum x_j^2 over the ends of the periods.

    References
    ----------
    Almgren, Chriss (2000), Optimal execution of portfolio transactions, Journal of Risk 3:5-39.
    """
    if risk_aversion < 0.0:
        raise InputError(f"was {risk_aversion:g}", field="risk_aversion", allowed=">= 0")
    tau = market.period
    squared = risk_aversion * market.sigma**2 / market.eased_impact
    urgency = math.acosh(0.5 * squared * tau**2 + 1.0) / tau
    times_left = market.horizon - tau * np.arange(market.periods + 1)
    if urgency * market.horizon < 1e-6:
        left = market.units * times_left / market.horizon
    else:
        # sinh(a) / sinh(b) in exponentials of what is negative: large urgencies do not overflow
        passed = market.horizon - times_left
        ratio = -np.expm1(-2.0 * urgency * times_left) / -math.expm1(-2.0 * urgency * market.horizon)
        left = market.units * np.exp(-urgency * passed) * ratio
    left[-1] = 0.0
    return _scheduled(market, np.asarray(left, dtype=np.float64), urgency)


def _scheduled(market: ExecutionMarket, left: Array, urgency: float) -> Schedule:
    sold = -np.diff(left)
    linear = 0.5 * market.permanent_impact * market.units**2 + market.fixed_cost * market.units
    return Schedule(
        left_units=left,
        urgency=urgency,
        expected_cost=linear + market.eased_impact / market.period * float(sold @ sold),
        cost_variance=market.sigma**2 * market.period * float(left[1:] @ left[1:]),
    )


def least_lvar(market: ExecutionMarket, z: float, *, risk_aversions: Sequence[float] | None = None) -> Schedule:
    """Return the schedule with the smallest L-VaR at z standard deviations.

    Parameters
    ----------
    market : ExecutionMarket
    z : float
        >= 0; 0 sells evenly, at the least expected cost.
    risk_aversions : sequence of float or None
        Tried; None searches over all of them by golden section.

    Notes
    -----
    The minimum of E + z sqrt(V) lies on the frontier at lambda = z / (2 sqrt(V)): L-VaR is unimodal along it.
    """
    if z < 0.0:
        raise InputError(f"was {z:g}", field="z", allowed=">= 0")
    if risk_aversions is not None:
        return min((best_schedule(market, each) for each in risk_aversions), key=lambda found: found.lvar(z))
    if z == 0.0:
        return best_schedule(market, 0.0)
    # lambda is known up to a factor by the even schedule: its square root of V bounds it from below.
    start = math.log(0.5 * z / math.sqrt(max(best_schedule(market, 0.0).cost_variance, 1e-300)))
    low, high, golden = start - 1.0, start + 60.0, 0.5 * (math.sqrt(5.0) - 1.0)
    for _ in range(120):
        inner, outer = high - golden * (high - low), low + golden * (high - low)
        at_inner = best_schedule(market, math.exp(inner)).lvar(z)
        at_outer = best_schedule(market, math.exp(outer)).lvar(z)
        low, high = (low, outer) if at_inner <= at_outer else (inner, high)
    return best_schedule(market, math.exp(0.5 * (low + high)))
