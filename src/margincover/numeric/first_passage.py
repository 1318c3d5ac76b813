"""Closed forms for the path extremes of Brownian motion with drift, and the required coverage that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from margincover.errors import InputError

# -zeta(1/2) / sqrt(2 pi): shift of a barrier, in standard deviations of one step, between discrete and continuous
# monitoring. Broadie, Glasserman, Kou (1997), Mathematical Finance 7:325-349, doi:10.1111/1467-9965.00035.
BGK_BETA = 0.5825971579390107


@dataclass(frozen=True, slots=True, kw_only=True)
class BrownianLaw:
    """Log price X_t = drift t + sigma W_t over a horizon.

    Parameters
    ----------
    sigma_annual : float
        Volatility as a fraction, > 0.
    horizon_years : float
        > 0, in years of 365 days.
    log_drift_annual : float
        Drift of the log price; -sigma^2 / 2 makes the price a martingale.

    Raises
    ------
    InputError
        If a figure is out of range.
    """

    sigma_annual: float
    horizon_years: float
    log_drift_annual: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sigma_annual", "horizon_years"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"was {value}", field=name, allowed="a finite number > 0")
        if not math.isfinite(self.log_drift_annual):
            raise InputError(f"was {self.log_drift_annual}", field="log_drift_annual", allowed="a finite number")

    @property
    def deviation(self) -> float:
        """Standard deviation of the log price at the horizon."""
        return self.sigma_annual * math.sqrt(self.horizon_years)

    @property
    def mean(self) -> float:
        """Mean of the log price at the horizon."""
        return self.log_drift_annual * self.horizon_years

    def mirrored(self) -> BrownianLaw:
        """Return the law of -X."""
        return BrownianLaw(
            sigma_annual=self.sigma_annual,
            horizon_years=self.horizon_years,
            log_drift_annual=-self.log_drift_annual,
        )


class Extreme(Enum):
    """Which extreme of the path is meant."""

    MINIMUM = "minimum"
    MAXIMUM = "maximum"


class Contract(Enum):
    """Unit-notional positions whose shortfall is monotone in one path extreme."""

    LINEAR_LONG = "linear_long"
    LINEAR_SHORT = "linear_short"
    INVERSE_LONG = "inverse_long"
    INVERSE_SHORT = "inverse_short"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredCoverage:
    """Quantile and Expected Shortfall of the path maximum of (maintenance - equity), as fractions of notional."""

    rc: float
    rces: float


def touch_probability(law: BrownianLaw, *, log_barrier: float) -> float:
    """Return P(the path touches ``log_barrier`` within the horizon); negative is a lower barrier, positive an upper.

    Notes
    -----
    For b < 0: Phi((b - m) / s) + exp(2 m b / s^2) Phi((b + m) / s), m and s mean and deviation at the horizon. The
    second term is formed in logs: exp alone overflows for a small sigma. At b = 0 the answer is 1.

    References
    ----------
    Harrison (1985), Brownian Motion and Stochastic Flow Systems, section 1.8.
    """
    from scipy.special import log_ndtr, ndtr

    if not math.isfinite(log_barrier):
        raise InputError(f"was {log_barrier}", field="log_barrier", allowed="a finite number")
    b, m, s = log_barrier, law.mean, law.deviation
    if b > 0.0:
        b, m = -b, -m
    if b == 0.0:
        return 1.0
    image = math.exp(2.0 * m * b / s**2 + float(log_ndtr((b + m) / s)))
    return min(float(ndtr((b - m) / s)) + image, 1.0)


def extreme_quantile(law: BrownianLaw, *, tail: float, extreme: Extreme) -> float:
    """Return the log level that the path minimum falls below (maximum: rises above) with probability ``tail``."""
    from scipy.optimize import brentq

    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a fraction between 0 and 1")
    if extreme is Extreme.MAXIMUM:
        return -extreme_quantile(law.mirrored(), tail=tail, extreme=Extreme.MINIMUM)
    lower = min(law.mean, 0.0) - law.deviation
    while touch_probability(law, log_barrier=lower) > tail:
        lower *= 2.0

    def excess(level: float) -> float:
        return touch_probability(law, log_barrier=level) - tail

    return float(brentq(excess, lower, 0.0, xtol=1e-15, rtol=1e-14))


def _integral_exp_ndtr(k: float, mean: float, deviation: float, upper: float) -> float:
    """Integral over (-inf, upper] of exp(k x) Phi((x - mean) / deviation) dx; by parts, k = 0 by its limit."""
    from scipy.special import ndtr

    d = (upper - mean) / deviation
    if abs(k) * deviation < 1e-9:
        density = math.exp(-0.5 * d * d) / math.sqrt(2.0 * math.pi)
        return (upper - mean) * float(ndtr(d)) + deviation * density
    tilted = math.exp(k * mean + 0.5 * (k * deviation) ** 2) * float(ndtr(d - k * deviation))
    return (math.exp(k * upper) * float(ndtr(d)) - tilted) / k


def minimum_exponential_tail(law: BrownianLaw, *, power: float, level: float) -> float:
    """Return E[exp(power * I); I <= level] for the path minimum I, level < 0.

    Notes
    -----
    By parts: exp(power level) F(level) - power * integral of exp(power x) F(x), with F the touch probability; both
    terms of F integrate in closed form.
    """
    m, s = law.mean, law.deviation
    tilt = power + 2.0 * m / s**2
    integral = _integral_exp_ndtr(power, m, s, level) + _integral_exp_ndtr(tilt, -m, s, level)
    return math.exp(power * level) * touch_probability(law, log_barrier=level) - power * integral


def required_coverage(
    law: BrownianLaw, *, contract: Contract, maintenance_fraction: float, tolerance: float, equity_fraction: float = 0.0
) -> RequiredCoverage:
    """Return how much must be added so that the position meets maintenance on the whole path.

    Parameters
    ----------
    law : BrownianLaw
    contract : Contract
        Linear: fractions of notional in the quote asset. Inverse: fractions of the coin value of notional at the start.
    maintenance_fraction : float
        Maintenance over current notional, in [0, 1).
    tolerance : float
        Tail probability, in (0, 1).
    equity_fraction : float
        Equity at the start over notional.

    Returns
    -------
    RequiredCoverage
        Negative figures are capital that may leave.

    Notes
    -----
    With P0 = 1 the shortfall maintenance - equity is

    - linear long   1 - E0 - (1 - m) P,        largest at the path minimum of P;
    - linear short  (1 + m) P - 1 - E0,        largest at the path maximum;
    - inverse long  (1 + m) / P - 1 - E0,      largest at the path minimum;
    - inverse short 1 - E0 - (1 - m) / P,      largest at the path maximum,

    each constant + coefficient * exp(power * extreme). A maximum of X is minus a minimum of -X.
    """
    if not 0.0 <= maintenance_fraction < 1.0:
        raise InputError(f"was {maintenance_fraction}", field="maintenance_fraction", allowed="a fraction in [0, 1)")
    long_like = contract in (Contract.LINEAR_LONG, Contract.INVERSE_LONG)
    law = law if long_like else law.mirrored()
    # after mirroring the minimum is the dangerous extreme of every contract
    power = {
        Contract.LINEAR_LONG: 1.0,
        Contract.LINEAR_SHORT: -1.0,
        Contract.INVERSE_LONG: -1.0,
        Contract.INVERSE_SHORT: 1.0,
    }[contract]
    rising = power < 0.0
    constant = -1.0 - equity_fraction if rising else 1.0 - equity_fraction
    coefficient = 1.0 + maintenance_fraction if rising else -(1.0 - maintenance_fraction)
    level = extreme_quantile(law, tail=tolerance, extreme=Extreme.MINIMUM)
    tail_mean = minimum_exponential_tail(law, power=power, level=level) / tolerance
    return RequiredCoverage(
        rc=constant + coefficient * math.exp(power * level), rces=constant + coefficient * tail_mean
    )
