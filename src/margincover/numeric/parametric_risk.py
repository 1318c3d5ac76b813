"""Value at Risk and Expected Shortfall in closed form: normal, Student-t, modified Cornish-Fisher, normal portfolio.

Moments are those of the profit (a positive mean is a gain); the figures are losses, positive. Whoever estimates moments
from a sample states the divisor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.historical_risk import RiskFigures

# Beyond this skewness parameter no kurtosis makes the expansion monotone: 6 (sqrt 2 - 1).
CORNISH_FISHER_MAX_SKEWNESS = 6.0 * (math.sqrt(2.0) - 1.0)


class Divisor(Enum):
    """What the sum of squared deviations is divided by: ``POPULATION`` n, ``SAMPLE`` n - 1."""

    POPULATION = "n"
    SAMPLE = "n-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Moments of the profit. ``skewness`` and ``excess_kurtosis`` are always those of the population (divisor n)."""

    mean: float
    deviation: float
    skewness: float = 0.0
    excess_kurtosis: float = 0.0

    def __post_init__(self) -> None:
        values = (self.mean, self.deviation, self.skewness, self.excess_kurtosis)
        if not (all(math.isfinite(v) for v in values) and self.deviation > 0.0):
            raise InputError(f"were {values}", field="moments", allowed="finite figures, deviation > 0")


def sample_moments(profits: Vector, *, divisor: Divisor) -> Moments:
    """Return the moments of a sample of profits; ``divisor`` is that of the deviation.

    Raises
    ------
    InputError
        If there are fewer than two profits, or they are all equal.
    """
    if profits.size < 2 or not np.isfinite(profits).all():
        raise InputError(f"{profits.size} profits", field="profits", allowed="at least two finite figures")
    centred = profits - profits.mean()
    variance = float(np.mean(centred**2))
    if not variance > 0.0:
        raise InputError("were all equal", field="profits", allowed="figures that vary")
    unbiased = profits.size / (profits.size - 1.0) if divisor is Divisor.SAMPLE else 1.0
    return Moments(
        mean=float(profits.mean()),
        deviation=math.sqrt(variance * unbiased),
        skewness=float(np.mean(centred**3)) / variance**1.5,
        excess_kurtosis=float(np.mean(centred**4)) / variance**2 - 3.0,
    )


def gaussian_risk(moments: Moments, *, tail: float) -> RiskFigures:
    """Return VaR = -mean + z deviation and ES = -mean + deviation phi(z) / tail, z the upper ``tail`` point.

    Examples
    --------
    >>> round(gaussian_risk(Moments(mean=0.0, deviation=1.0), tail=0.01).es, 4)
    2.6652
    """
    from scipy.special import ndtri

    _check_tail(tail)
    z = -float(ndtri(tail))
    return RiskFigures(
        var=-moments.mean + z * moments.deviation, es=-moments.mean + moments.deviation * _density(z) / tail
    )


def student_risk(moments: Moments, *, nu: float, tail: float) -> RiskFigures:
    """Return VaR and ES of a Student-t with ``nu`` degrees of freedom, scaled to the stated deviation.

    Parameters
    ----------
    moments : Moments
        Mean and deviation; skewness and kurtosis are not used.
    nu : float
        > 2, so that the deviation exists.

    Notes
    -----
    With q the upper ``tail`` point of the t: VaR = -mean + s q, ES = -mean + s t(q) / tail (nu + q^2) / (nu - 1),
    s = deviation sqrt((nu - 2) / nu).

    References
    ----------
    McNeil, Frey, Embrechts, Quantitative Risk Management, section on Value at Risk and Expected Shortfall.
    """
    from scipy.stats import t

    _check_tail(tail)
    if not (math.isfinite(nu) and nu > 2.0):
        raise InputError(f"was {nu}", field="nu", allowed="a finite number > 2")
    scale = moments.deviation * math.sqrt((nu - 2.0) / nu)
    q = float(t.isf(tail, nu))
    es = scale * float(t.pdf(q, nu)) / tail * (nu + q * q) / (nu - 1.0)
    return RiskFigures(var=-moments.mean + scale * q, es=-moments.mean + es)


def cornish_fisher_is_monotone(*, skewness: float, excess_kurtosis: float) -> bool:
    """Return whether the expansion of these parameters rises everywhere, so that it is a quantile at all.

    Notes
    -----
    The derivative 1 - k/8 + 5 s^2/36 + (s/3) z + (k/8 - s^2/6) z^2 must not become negative. Needs |s| <= 6 (sqrt 2 -
    1) = 2.4853.

    References
    ----------
    Maillard (2012), A user's guide to the Cornish Fisher expansion, SSRN 1997178.
    """
    s, k = skewness, excess_kurtosis
    square, constant = k / 8.0 - s * s / 6.0, 1.0 - k / 8.0 + 5.0 * s * s / 36.0
    if square < 0.0 or constant < 0.0:
        return False
    # At the corner of the domain both sides are equal up to rounding.
    return s * s / 9.0 <= 4.0 * square * constant + 1e-12


def modified_risk(moments: Moments, *, tail: float) -> RiskFigures:
    """Return modified VaR and ES by the Cornish-Fisher expansion; a diagnostic, refused outside its domain.

    Parameters
    ----------
    moments : Moments
        ``skewness`` and ``excess_kurtosis`` enter as the parameters of the expansion, which are not the moments of the
        law that it describes.

    Raises
    ------
    InputError
        If |skewness| > 6 (sqrt 2 - 1), or the expansion is not monotone: a higher confidence could then give a smaller
        VaR. Crypto returns of an hour usually lie outside.

    Notes
    -----
    w = z + (z^2 - 1) s/6 + (z^3 - 3 z) k/24 - (2 z^3 - 5 z) s^2/36 with z the lower ``tail`` point, VaR = -(mean + w
    deviation). ES is the mean of the Edgeworth density below w over ``tail``, at least the VaR.

    References
    ----------
    Zangari (1996), RiskMetrics Monitor Q1:5-12. Boudt, Peterson, Croux (2008), Estimation and decomposition of
    downside risk for portfolios with non-normal returns, Journal of Risk 11(2):79-103. Maillard (2012), SSRN 1997178.
    """
    from scipy.special import ndtri

    _check_tail(tail)
    s, k = moments.skewness, moments.excess_kurtosis
    if abs(s) > CORNISH_FISHER_MAX_SKEWNESS or not cornish_fisher_is_monotone(skewness=s, excess_kurtosis=k):
        raise InputError(
            f"skewness {s:.4g} and excess kurtosis {k:.4g} make the expansion fall somewhere",
            field="moments",
            allowed=f"|skewness| <= {CORNISH_FISHER_MAX_SKEWNESS:.4f} and a monotone expansion; use another estimator",
        )
    z = float(ndtri(tail))
    w = z + (z**2 - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s**2 / 36
    # Integral of z phi(z) times the Hermite series of the density, up to w.
    series = 1 + w**3 * s / 6 + (w**4 - 2 * w**2 - 1) * k / 24 + (w**6 - 9 * w**4 + 9 * w**2 + 3) * s**2 / 72
    var = -(moments.mean + w * moments.deviation)
    return RiskFigures(var=var, es=max(var, -moments.mean + moments.deviation * _density(w) * series / tail))


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRisk:
    """VaR and ES of a portfolio and their parts by position; each vector [position] sums to its figure."""

    var: float
    es: float
    var_parts: Vector
    es_parts: Vector


def gaussian_portfolio(weights: Vector, mean: Vector, covariance: FactorFactor, *, tail: float) -> PortfolioRisk:
    """Return normal VaR and ES of positions with their Euler contributions.

    Parameters
    ----------
    weights : array [position]
        Amounts; the figures come out in their unit.
    mean : array [position]
        Mean profit per unit of weight.
    covariance : array [position, position]
        Of the profits per unit; whether it was divided by n or n - 1 is the caller's to state.

    Notes
    -----
    Part i is weight_i (-mean_i + factor (covariance weights)_i / deviation), factor z or phi(z) / tail.
    """
    from scipy.special import ndtri

    _check_tail(tail)
    n = weights.size
    if mean.shape != (n,) or covariance.shape != (n, n) or not np.allclose(covariance, covariance.T):
        raise InputError(
            f"{n} weights, mean {mean.shape}, covariance {covariance.shape}",
            field="covariance",
            allowed="one mean a weight and a symmetric matrix of them",
        )
    own = covariance @ weights
    variance = float(weights @ own)
    if not variance > 0.0:
        raise InputError(f"variance was {variance:g}", field="covariance", allowed="a portfolio of variance > 0")
    z = -float(ndtri(tail))
    deviation = math.sqrt(variance)
    parts = [weights * (-mean + factor * own / deviation) for factor in (z, _density(z) / tail)]
    return PortfolioRisk(var=float(parts[0].sum()), es=float(parts[1].sum()), var_parts=parts[0], es_parts=parts[1])


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _check_tail(tail: float) -> None:
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a probability in (0, 1)")
