"""Volatility: the parameters of a GJR-GARCH(1,1), annual and per-step figures, range variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.units import years

# Standard deviation of one step that no simulated recursion may pass: 50 % in one step. Hourly crypto history never
# came near it (largest hourly sigma seen is about 10 %); it keeps a fat-tailed recursion from running away.
MAX_STEP_SIGMA = 0.5
# Likelihood fits of hourly crypto bars end at 1, where no long-run variance exists. 0.995 per hour is a half-life
# of 138 hours: slower than any horizon for which the reversion matters, and the long-run variance is finite.
MAX_PERSISTENCE = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class GjrParameters:
    """Parameters of h' = omega + (alpha + gamma 1{e < 0}) e^2 + beta h, with e the residual of the step.

    Parameters
    ----------
    omega : float
        > 0, in squared log return per step.
    alpha, gamma, beta : float
        alpha >= 0, alpha + gamma >= 0, beta >= 0, persistence alpha + gamma / 2 + beta < 1.

    Raises
    ------
    InputError
        If a parameter is out of range or not finite.

    References
    ----------
    Glosten, Jagannathan, Runkle (1993), Journal of Finance 48:1779-1801, doi:10.1111/j.1540-6261.1993.tb05128.x.
    """

    omega: float
    alpha: float
    gamma: float
    beta: float

    def __post_init__(self) -> None:
        values = (self.omega, self.alpha, self.gamma, self.beta)
        legal = (
            all(math.isfinite(value) for value in values)
            and self.omega > 0.0
            and self.alpha >= 0.0
            and self.alpha + self.gamma >= 0.0
            and self.beta >= 0.0
            and self.persistence < 1.0
        )
        if not legal:
            raise InputError(
                f"omega {self.omega}, alpha {self.alpha}, gamma {self.gamma}, beta {self.beta}",
                field="garch",
                allowed="omega > 0, alpha, alpha + gamma and beta >= 0, alpha + gamma / 2 + beta < 1",
            )

    @property
    def persistence(self) -> float:
        """Share of a variance deviation that is expected to be left after one step."""
        return self.alpha + self.gamma / 2.0 + self.beta

    @property
    def long_run_variance(self) -> float:
        """Variance per step to which the recursion returns."""
        return self.omega / (1.0 - self.persistence)

    @property
    def half_life_steps(self) -> float:
        """Steps after which half of a variance deviation is expected to be left; 0 when nothing persists."""
        return math.log(0.5) / math.log(self.persistence) if self.persistence > 0.0 else 0.0

    def at_level(self, variance: float) -> GjrParameters:
        """Return the same dynamics around another long-run variance per step (variance targeting)."""
        return GjrParameters(
            omega=variance * (1.0 - self.persistence), alpha=self.alpha, gamma=self.gamma, beta=self.beta
        )

    def as_vector(self) -> Vector:
        """Return [omega, alpha, gamma, beta] as the kernels take it."""
        return np.array([self.omega, self.alpha, self.gamma, self.beta])


def targeted(*, alpha: float, gamma: float, beta: float, variance: float) -> GjrParameters:
    """Return parameters whose long-run variance is ``variance``, persistence capped at ``MAX_PERSISTENCE``.

    Notes
    -----
    Above the cap alpha, gamma and beta shrink by one common factor, so that their proportions stay.

    Examples
    --------
    >>> round(targeted(alpha=0.1, gamma=0.0, beta=0.9, variance=1e-4).persistence, 6)
    0.995
    """
    if not (math.isfinite(variance) and variance > 0.0):
        raise InputError(f"variance was {variance}", field="garch", allowed="a finite number > 0")
    persistence = alpha + gamma / 2.0 + beta
    shrink = MAX_PERSISTENCE / persistence if persistence > MAX_PERSISTENCE else 1.0
    alpha, gamma, beta = alpha * shrink, gamma * shrink, beta * shrink
    omega = variance * (1.0 - min(persistence, MAX_PERSISTENCE))
    return GjrParameters(omega=omega, alpha=alpha, gamma=gamma, beta=beta)


def step_variance(volatility_annual: float, *, step_s: float) -> float:
    """Return the variance of one step from an annual volatility as a fraction (0.8 is 80 %), 365-day years."""
    return volatility_annual**2 * years(step_s)


def annual_volatility(variance: float, *, step_s: float) -> float:
    """Return the annual volatility as a fraction from the variance of one step, 365-day years.

    Examples
    --------
    >>> round(annual_volatility(step_variance(0.8, step_s=3600), step_s=3600), 12)
    0.8
    """
    return math.sqrt(variance / years(step_s))


def parkinson_variance(log_range: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of a step from the log of its high over its low: range^2 / (4 ln 2).

    References
    ----------
    Parkinson (1980), Journal of Business 53:61-65, doi:10.1086/296071.
    """
    return np.asarray(log_range**2 / (4.0 * math.log(2.0)), dtype=np.float64)
