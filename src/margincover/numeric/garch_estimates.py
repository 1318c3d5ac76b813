"""GARCH, GJR-GARCH and EGARCH with a constant mean by maximum likelihood, with standard errors; no targeting, no caps.

The scenario engine fits with variance targeting and caps (``scenarios.garch_fit``). This is the plain estimator that
published benchmarks state, for judging a fit and for checking the engine against the literature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numba import njit

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector

MIN_RETURNS = 250


class GarchKind(Enum):
    """h' = omega + alpha e^2 + beta h; GJR adds gamma e^2 for e < 0; EGARCH: ln h' = omega + beta ln h + news.

    The news of EGARCH is alpha z + gamma (|z| - E|z|), z = e / sqrt(h): alpha is the sign effect, gamma the size
    effect.
    """

    GARCH = "garch"
    GJR = "gjr"
    EGARCH = "egarch"


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchEstimates:
    """Estimates by name (mu, omega, alpha, [gamma,] beta[, nu]), standard errors in the same order, log likelihood.

    The start value of the recursion, for the variance and for the squared residual before the sample, is the mean
    squared residual. Standard errors are from the inverse Hessian; None where the likelihood is largest at the edge
    of what is legal (persistence 1), where it has no regular maximum.
    """

    names: tuple[str, ...]
    values: Vector
    standard_errors: Vector | None
    log_likelihood: float

    def __getitem__(self, name: str) -> float:
        return float(self.values[self.names.index(name)])


def estimate_garch(returns: Vector, *, kind: GarchKind, student: bool = False) -> GarchEstimates:
    """Return the estimates of one model.

    Parameters
    ----------
    returns : array [time]
        At least 250, best in per cent: an omega of 1e-6 defeats optimisers.
    kind : GarchKind
    student : bool
        Student-t innovations scaled to variance 1, nu > 2.05; else normal.

    Raises
    ------
    InputError
        If there are too few returns, they do not vary, or the search does not converge.

    References
    ----------
    Fiorentini, Calzolari, Panattoni (1996), Analytic derivatives and the computation of GARCH estimates, Journal of
    Applied Econometrics 11:399-417.
    """
    if returns.size < MIN_RETURNS or not np.isfinite(returns).all() or not float(np.ptp(returns)) > 0.0:
        raise InputError(
            f"{returns.size} returns", field="returns", allowed=f"at least {MIN_RETURNS} finite figures that vary"
        )
    names = _names(kind, student)

    def cost(point: Vector) -> float:
        return _cost(returns, point, kind, student)

    point = _search(cost, _start(returns, kind, student))
    return GarchEstimates(
        names=names, values=point, standard_errors=_standard_errors(cost, point), log_likelihood=-cost(point)
    )


def _standard_errors(cost: Callable[[Vector], float], point: Vector) -> Vector | None:
    hessian = _hessian(cost, point)
    if not np.isfinite(hessian).all() or not (np.linalg.eigvalsh(hessian) > 0.0).all():
        return None
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(hessian))), dtype=np.float64)


def _names(kind: GarchKind, student: bool) -> tuple[str, ...]:
    middle = ("alpha",) if kind is GarchKind.GARCH else ("alpha", "gamma")
    return ("mu", "omega", *middle, "beta", *(("nu",) if student else ()))


def _start(returns: Vector, kind: GarchKind, student: bool) -> Vector:
    variance = float(returns.var())
    dynamics = {
        GarchKind.GARCH: [0.05 * variance, 0.1, 0.85],
        GarchKind.GJR: [0.05 * variance, 0.08, 0.04, 0.85],
        GarchKind.EGARCH: [0.1 * math.log(variance), 0.0, 0.2, 0.9],
    }[kind]
    return np.array([float(returns.mean()), *dynamics, *([6.0] if student else [])])


def _search(cost: Callable[[Vector], float], start: Vector) -> Vector:
    from scipy.optimize import minimize

    rough = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 4000, "maxfev": 8000, "fatol": 1e-9})
    # a second simplex, started afresh, leaves the corner in which the first may have collapsed
    fine = minimize(
        cost, rough.x, method="Nelder-Mead", options={"maxiter": 8000, "maxfev": 16000, "xatol": 1e-10, "fatol": 1e-11}
    )
    if not (fine.success and math.isfinite(float(fine.fun))):
        raise InputError(f"the fit did not converge: {fine.message}", field="returns", allowed="another model")
    return np.asarray(fine.x, dtype=np.float64)


def _cost(returns: Vector, point: Vector, kind: GarchKind, student: bool) -> float:
    """Return minus the log likelihood, infinite outside the legal region."""
    residuals = returns - point[0]
    dynamics = point[1:-1] if student else point[1:]
    nu = float(point[-1]) if student else math.inf
    if nu <= 2.05 or not _is_legal(dynamics, kind):
        return math.inf
    start = float(np.mean(residuals**2))
    if kind is GarchKind.EGARCH:
        h = _egarch_variance(residuals, dynamics, math.log(start), _mean_absolute(nu))
    else:
        h = _linear_variance(residuals, dynamics, start, kind)
    if not (np.isfinite(h).all() and (h > 0.0).all()):
        return math.inf
    if not student:
        return 0.5 * float(np.sum(math.log(2.0 * math.pi) + np.log(h) + residuals**2 / h))
    constant = math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0) - 0.5 * math.log(math.pi * (nu - 2.0))
    tails = 0.5 * (nu + 1.0) * np.log1p(residuals**2 / (h * (nu - 2.0)))
    return float(np.sum(0.5 * np.log(h) + tails)) - returns.size * constant


def _is_legal(dynamics: Vector, kind: GarchKind) -> bool:
    if kind is GarchKind.EGARCH:
        return abs(float(dynamics[-1])) < 1.0
    omega, alpha, beta = float(dynamics[0]), float(dynamics[1]), float(dynamics[-1])
    gamma = float(dynamics[2]) if kind is GarchKind.GJR else 0.0
    return omega > 0.0 and alpha >= 0.0 and alpha + gamma >= 0.0 and beta >= 0.0 and alpha + beta + gamma / 2.0 < 1.0


def _linear_variance(residuals: Vector, dynamics: Vector, start: float, kind: GarchKind) -> Vector:
    """Return h [time] of GARCH or GJR, as the linear filter that it is."""
    from scipy.signal import lfilter

    omega, alpha, beta = float(dynamics[0]), float(dynamics[1]), float(dynamics[-1])
    gamma = float(dynamics[2]) if kind is GarchKind.GJR else 0.0
    # before the sample half of the squared residuals count as falls
    news = np.concatenate(([omega + (alpha + 0.5 * gamma) * start], omega + alpha * residuals[:-1] ** 2))
    if gamma:
        news[1:] += gamma * residuals[:-1] ** 2 * (residuals[:-1] < 0.0)
    return np.asarray(lfilter([1.0], [1.0, -beta], news, zi=[beta * start])[0], dtype=np.float64)


def _mean_absolute(nu: float) -> float:
    """Return E|z| of a normal, or of a Student-t scaled to variance 1."""
    if math.isinf(nu):
        return math.sqrt(2.0 / math.pi)
    ratio = math.exp(math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0))
    return 2.0 * math.sqrt(nu - 2.0) * ratio / (math.sqrt(math.pi) * (nu - 1.0))


@njit(nogil=True, cache=True)
def _egarch_variance(residuals: Vector, dynamics: Vector, log_start: float, mean_absolute: float) -> Vector:
    omega, alpha, gamma, beta = dynamics[0], dynamics[1], dynamics[2], dynamics[3]
    h = np.empty(residuals.size)
    log_h = omega + beta * log_start
    for t in range(residuals.size):
        if log_h > 50.0:
            log_h = 50.0
        h[t] = math.exp(log_h)
        z = residuals[t] / math.sqrt(h[t])
        log_h = omega + beta * log_h + alpha * z + gamma * (abs(z) - mean_absolute)
    return h


def _hessian(cost: Callable[[Vector], float], point: Vector) -> FactorFactor:
    """Return second differences of the cost; steps of 0.02 % of a parameter, which leave about four digits."""
    n = point.size
    step = 2e-4 * np.maximum(np.abs(point), 1e-2)
    result = np.empty((n, n))
    for i in range(n):
        for j in range(i, n):
            total = 0.0
            for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                moved = point.copy()
                moved[i] += a * step[i]
                moved[j] += b * step[j]
                value = cost(moved)
                # an infinite cost, beyond an edge, must not meet another of the opposite sign
                total = total + a * b * value if math.isfinite(value) else math.inf
            result[i, j] = result[j, i] = total / (4.0 * step[i] * step[j])
    return result
