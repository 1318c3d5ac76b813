"""First passage of a double-exponential jump diffusion: Laplace transform, inverted in 70-digit arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from margincover.errors import InputError

# The inversion adds terms of alternating sign up to 1e20 times the answer; 70 digits leave 50.
_DIGITS = 70
_TERMS = 24
# Newton doubles the digits: four steps bring 16 digits beyond 70, two more are for the start.
_NEWTON_STEPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class KouLaw:
    """X_t = drift t + sigma W_t + sum of double-exponential jumps.

    Parameters
    ----------
    log_drift_annual : float
        Drift of the log price between jumps, a year.
    sigma_annual : float
        > 0, as a fraction.
    jumps_per_year : float
        > 0.
    up_probability : float
        In (0, 1).
    up_rate, down_rate : float
        One over the mean jump in log price, > 0.

    Raises
    ------
    InputError
        If a figure is out of range.
    """

    log_drift_annual: float
    sigma_annual: float
    jumps_per_year: float
    up_probability: float
    up_rate: float
    down_rate: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.log_drift_annual):
            raise InputError(f"was {self.log_drift_annual}", field="log_drift_annual", allowed="a finite number")
        for name in ("sigma_annual", "jumps_per_year", "up_rate", "down_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"was {value}", field=name, allowed="a finite number > 0")
        if not 0.0 < self.up_probability < 1.0:
            raise InputError(f"was {self.up_probability}", field="up_probability", allowed="between 0 and 1")

    def mirrored(self) -> KouLaw:
        """Return the law of -X."""
        return KouLaw(
            log_drift_annual=-self.log_drift_annual,
            sigma_annual=self.sigma_annual,
            jumps_per_year=self.jumps_per_year,
            up_probability=1.0 - self.up_probability,
            up_rate=self.down_rate,
            down_rate=self.up_rate,
        )


def touch_probability(law: KouLaw, *, log_barrier: float, horizon_years: float) -> float:
    """Return P(X reaches or passes ``log_barrier`` within the horizon); negative is a lower barrier, positive an upper.

    Notes
    -----
    G(x) = drift x + sigma^2 x^2 / 2 + rate (p up / (up - x) + q down / (down + x) - 1) has for a > 0 one root b1 of
    G = a in (0, up) and one, b2, beyond up. For b > 0

        E exp(-a T) = (up - b1) / up * b2 / (b2 - b1) * exp(-b b1) + (b2 - up) / up * b1 / (b2 - b1) * exp(-b b2),

    and the transform of P(T <= t) is that over a. It is inverted by Gaver-Stehfest, with
    f(t) = ln 2 / t * sum of w_k F(k ln 2 / t). The weights alternate and grow to 1e17, so that double precision
    fails; all is done in 70 decimal digits.

    Raises
    ------
    InputError
        If the barrier is not finite or the horizon not > 0.

    References
    ----------
    Kou, Wang (2003), First passage times of a jump diffusion process, Advances in Applied Probability 35:504-531.
    Stehfest (1970), Algorithm 368, Communications of the ACM 13:47-49.

    Examples
    --------
    >>> law = KouLaw(
    ...     log_drift_annual=0.1,
    ...     sigma_annual=0.2,
    ...     jumps_per_year=3.0,
    ...     up_probability=0.5,
    ...     up_rate=50.0,
    ...     down_rate=100 / 3,
    ... )
    >>> round(touch_probability(law, log_barrier=0.3, horizon_years=1.0), 5)
    0.25584
    """
    if not math.isfinite(log_barrier):
        raise InputError(f"was {log_barrier}", field="log_barrier", allowed="a finite number")
    if not (math.isfinite(horizon_years) and horizon_years > 0.0):
        raise InputError(f"was {horizon_years}", field="horizon_years", allowed="a finite number > 0")
    if log_barrier == 0.0:
        return 1.0
    if log_barrier < 0.0:
        law, log_barrier = law.mirrored(), -log_barrier
    with localcontext() as context:
        context.prec = _DIGITS
        step = Decimal(2).ln() / Decimal(horizon_years)
        total = Decimal(0)
        for k, weight in enumerate(stehfest_weights(_TERMS), start=1):
            rate = k * step
            total += (
                Decimal(weight.numerator) / Decimal(weight.denominator) * _hit_transform(law, rate, log_barrier) / k
            )
        # ln 2 / t cancels against the a = k ln 2 / t under the transform
        return min(max(float(total), 0.0), 1.0)


def stehfest_weights(terms: int) -> tuple[Fraction, ...]:
    """Return the weights of the Gaver-Stehfest inversion, ``terms`` even, as exact fractions; they sum to 0.

    Examples
    --------
    >>> [str(weight) for weight in stehfest_weights(4)]
    ['-2', '26', '-48', '24']
    """
    half = terms // 2
    weights = []
    for k in range(1, terms + 1):
        inner = sum(
            Fraction(
                j**half * math.factorial(2 * j),
                math.factorial(half - j)
                * math.factorial(j)
                * math.factorial(j - 1)
                * math.factorial(k - j)
                * math.factorial(2 * j - k),
            )
            for j in range((k + 1) // 2, min(k, half) + 1)
        )
        weights.append((-1) ** (k + half) * Fraction(inner))
    return tuple(weights)


def _hit_transform(law: KouLaw, rate: Decimal, barrier: float) -> Decimal:
    """E exp(-rate T) for the first passage T of an upper barrier."""
    up, level = Decimal(law.up_rate), Decimal(barrier)
    first, second = _roots(law, rate)
    gap = second - first
    return (up - first) / up * second / gap * (-level * first).exp() + (second - up) / up * first / gap * (
        -level * second
    ).exp()


def _roots(law: KouLaw, rate: Decimal) -> tuple[Decimal, Decimal]:
    """Roots of G = rate below and above the rate of upward jumps."""
    from scipy.optimize import brentq

    up = law.up_rate

    def times_pole(x: float) -> float:
        # multiplied by (up - x) the function has no pole and changes sign at the root alone
        return float((_exponent(law, Decimal(x)) - rate) * (Decimal(up) - Decimal(x)))

    beyond = 2.0 * up
    while float(_exponent(law, Decimal(beyond)) - rate) <= 0.0:
        beyond *= 2.0
    margin = 1e-12 * up
    starts = (
        brentq(times_pole, 0.0, up - margin, xtol=1e-15, rtol=1e-14),
        brentq(times_pole, up + margin, beyond, xtol=1e-15, rtol=1e-14),
    )
    return _polished(law, rate, starts[0]), _polished(law, rate, starts[1])


def _polished(law: KouLaw, rate: Decimal, start: float) -> Decimal:
    x = Decimal(start)
    for _ in range(_NEWTON_STEPS):
        x -= (_exponent(law, x) - rate) / _exponent_slope(law, x)
    return x


def _exponent(law: KouLaw, x: Decimal) -> Decimal:
    up, down, p = Decimal(law.up_rate), Decimal(law.down_rate), Decimal(law.up_probability)
    jump = p * up / (up - x) + (1 - p) * down / (down + x) - 1
    variance = Decimal(law.sigma_annual) ** 2
    return Decimal(law.log_drift_annual) * x + variance * x * x / 2 + Decimal(law.jumps_per_year) * jump


def _exponent_slope(law: KouLaw, x: Decimal) -> Decimal:
    up, down, p = Decimal(law.up_rate), Decimal(law.down_rate), Decimal(law.up_probability)
    jump = p * up / (up - x) ** 2 - (1 - p) * down / (down + x) ** 2
    return Decimal(law.log_drift_annual) + Decimal(law.sigma_annual) ** 2 * x + Decimal(law.jumps_per_year) * jump
