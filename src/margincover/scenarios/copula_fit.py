"""Fitting a multivariate t copula: correlation from Kendall's tau, degrees of freedom by maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor
from margincover.numeric.t_copula import t_copula_log_density
from margincover.scenarios.dependence import rank_correlation

FITTED = "maximum likelihood"
DEFAULT = "default"
# Hourly bars of large coins give 2.5 to 4.5; the round figure in the middle, with tail dependence 0.45 at rho 0.75.
DEFAULT_NU = 4.0
# Below 1 two coins would jump together far more than apart; above 100 the copula is Gaussian for every purpose.
NU_BOUNDS = (1.0, 100.0)
MIN_SAMPLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CopulaFit:
    """Correlation, degrees of freedom, their standard error (NaN where there is none), method, and what to warn of.

    The standard error is the robust one of independent samples with the correlation known; ranks and the estimate of
    the correlation add a little, dependence over time adds more.
    """

    correlation: FactorFactor
    nu: float
    nu_error: float
    method: str
    note: str = ""


def ordinal_ranks(values: FactorFactor) -> NDArray[np.int64]:
    """Return ranks 0..n-1 [factor, sample], each once; ties stand in the order of the samples.

    Examples
    --------
    >>> ordinal_ranks(np.array([[0.3, -1.0, 2.0]]))
    array([[1, 0, 2]])
    """
    order = np.argsort(values, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(values.shape[1])[None, :].repeat(values.shape[0], axis=0), axis=1)
    return ranks.astype(np.int64)


def fit_t_copula(values: FactorFactor, *, max_rounds: int = 60) -> CopulaFit:
    """Return the t copula of values [factor, sample].

    Parameters
    ----------
    values : array [factor, sample]
        Finite; only their ranks are used.
    max_rounds : int
        Rounds of the search over nu, after which the default nu is taken and ``note`` says so.

    Notes
    -----
    rho = sin(pi tau / 2), nearest positive definite matrix; then nu maximises the likelihood of the ranks for that
    correlation (profile over nu, in its log, between 1 and 100).

    Raises
    ------
    InputError
        For fewer than 100 samples, a value that is not finite, or a factor that never varies.

    References
    ----------
    Demarta, McNeil (2005), The t copula and related copulas, International Statistical Review 73:111-129.
    Genest, Ghoudi, Rivest (1995), Biometrika 82:543-552, doi:10.1093/biomet/82.3.543.
    """
    if values.shape[1] < MIN_SAMPLE:
        raise InputError(f"{values.shape[1]} samples", field="values", allowed=f"at least {MIN_SAMPLE}")
    if not np.isfinite(values).all():
        raise InputError("held a NaN or an infinity", field="values", allowed="finite numbers")
    if values.shape[0] == 1:
        return CopulaFit(
            correlation=np.eye(1), nu=DEFAULT_NU, nu_error=math.nan, method="not needed", note="one coin has no copula"
        )
    correlation = rank_correlation(values)
    ranks = ordinal_ranks(values)
    found = _maximise(ranks, correlation, max_rounds=max_rounds)
    if isinstance(found, str):
        return CopulaFit(correlation=correlation, nu=DEFAULT_NU, nu_error=math.nan, method=DEFAULT, note=found)
    note = ""
    if found > 0.99 * NU_BOUNDS[1]:
        note = f"nu stands at its bound {NU_BOUNDS[1]:g}: joint extremes are no more frequent than under a normal law"
    if found < 1.01 * NU_BOUNDS[0]:
        note = f"nu stands at its bound {NU_BOUNDS[0]:g}: extremes come together more often than any t copula says"
    error = math.nan if note else nu_standard_error(ranks, correlation, found)
    return CopulaFit(correlation=correlation, nu=found, nu_error=error, method=FITTED, note=note)


def nu_standard_error(ranks: NDArray[np.int64], correlation: FactorFactor, nu: float) -> float:
    """Return the robust standard error of nu: root of the mean squared score over the squared curvature."""
    step = 1e-2 * nu
    low, middle, high = (t_copula_log_density(ranks, correlation, nu + k * step) for k in (-1.0, 0.0, 1.0))
    score = (high - low) / (2.0 * step)
    curvature = float((high - 2.0 * middle + low).mean()) / step**2
    if not curvature < 0.0:
        return math.nan
    return math.sqrt(float(score.var()) / ranks.shape[1]) / -curvature


def _maximise(ranks: NDArray[np.int64], correlation: FactorFactor, *, max_rounds: int) -> float | str:
    """Nu, or the reason why there is none."""
    from scipy.optimize import minimize_scalar

    def cost(log_nu: float) -> float:
        return -float(t_copula_log_density(ranks, correlation, math.exp(log_nu)).mean())

    bounds = (math.log(NU_BOUNDS[0]), math.log(NU_BOUNDS[1]))
    found = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-4, "maxiter": max_rounds})
    if not math.isfinite(float(found.fun)):
        return "the likelihood of the copula was not finite"
    if not found.success:
        return f"the search for nu did not converge in {max_rounds} rounds"
    return math.exp(float(found.x))
