"""European calls under jump diffusions by Fourier inversion: the closed forms that the jump generator is checked by."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

from margincover.errors import InputError
from margincover.numeric.jump_laws import DoubleExponentialJumps, NormalJumps


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpDiffusionLaw:
    """One coin: diffusion and one clock of jumps, the price a martingale after discounting.

    Parameters
    ----------
    sigma_annual : float
        > 0, of the diffusion alone.
    jumps_per_year : float
        >= 0.
    jumps : NormalJumps or DoubleExponentialJumps
    """

    sigma_annual: float
    jumps_per_year: float
    jumps: NormalJumps | DoubleExponentialJumps

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma_annual) and self.sigma_annual > 0.0):
            raise InputError(f"was {self.sigma_annual}", field="sigma_annual", allowed="a finite number > 0")
        if not (math.isfinite(self.jumps_per_year) and self.jumps_per_year >= 0.0):
            raise InputError(f"was {self.jumps_per_year}", field="jumps_per_year", allowed="a finite number >= 0")
        if not math.isfinite(self.jumps.log_moment(1.0)):
            raise InputError("the mean of exp(jump) was infinite", field="jumps", allowed="an up_rate > 1")


def call_price(
    law: JumpDiffusionLaw, *, spot: float, strike: float, years: float, interest_per_year: float = 0.0
) -> float:
    """Return the value of a European call.

    Notes
    -----
    Lewis: C = S - sqrt(S K exp(-r T)) / pi * integral over u > 0 of Re[exp(i u k) phi(u - i/2)] / (u^2 + 1/4), with
    k = ln(S / K) + r T and phi the characteristic function of the log price over its forward.

    Raises
    ------
    InputError
        If spot, strike or years is not > 0.

    References
    ----------
    Lewis (2001), A simple option formula for general jump-diffusion and other exponential Levy processes, SSRN 282110.

    Examples
    --------
    >>> jumps = DoubleExponentialJumps(up_probability=0.4, up_rate=10.0, down_rate=5.0)
    >>> law = JumpDiffusionLaw(sigma_annual=0.16, jumps_per_year=1.0, jumps=jumps)
    >>> round(call_price(law, spot=100.0, strike=98.0, years=0.5, interest_per_year=0.05), 5)
    9.14732
    """
    from scipy.integrate import quad

    for name, value in (("spot", spot), ("strike", strike), ("years", years)):
        if not (math.isfinite(value) and value > 0.0):
            raise InputError(f"was {value}", field=name, allowed="a finite number > 0")
    if not math.isfinite(interest_per_year):
        raise InputError(f"was {interest_per_year}", field="interest_per_year", allowed="a finite number")
    moneyness = math.log(spot / strike) + interest_per_year * years

    def integrand(u: float) -> float:
        value = cmath.exp(1j * u * moneyness + years * _cumulant(law, complex(0.5, u)))
        return value.real / (u * u + 0.25)

    # Beyond this the diffusion alone has damped the integrand below 1e-17.
    last = math.sqrt(80.0 / (law.sigma_annual**2 * years))
    integral, _ = quad(integrand, 0.0, last, limit=2_000, epsabs=1e-12, epsrel=1e-11)
    return float(spot - math.sqrt(spot * strike) * math.exp(-0.5 * interest_per_year * years) / math.pi * integral)


def _cumulant(law: JumpDiffusionLaw, power: complex) -> complex:
    """Return ln E exp(power X_1) for the log price X over its forward, complex ``power``."""
    variance = law.sigma_annual**2
    drift = -0.5 * variance - law.jumps_per_year * (math.exp(law.jumps.log_moment(1.0)) - 1.0)
    return drift * power + 0.5 * variance * power**2 + law.jumps_per_year * (_moment(law.jumps, power) - 1.0)


def _moment(jumps: NormalJumps | DoubleExponentialJumps, power: complex) -> complex:
    if isinstance(jumps, NormalJumps):
        return cmath.exp(power * jumps.mean + 0.5 * (power * jumps.deviation) ** 2)
    up = jumps.up_probability * jumps.up_rate / (jumps.up_rate - power)
    return up + (1.0 - jumps.up_probability) * jumps.down_rate / (jumps.down_rate + power)
