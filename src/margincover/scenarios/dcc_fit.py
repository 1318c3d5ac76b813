"""Fitting the corrected DCC: two parameters by quasi maximum likelihood, the target by moments for each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.dcc_recursion import cdcc_filter, cdcc_target
from margincover.scenarios.dependence import nearest_correlation

FITTED = "corrected DCC, quasi maximum likelihood"
CONSTANT = "constant correlation"
# 0.999 per hour is a half-life of 29 days: beyond it the correlation never returns within any horizon.
MAX_PERSISTENCE = 0.999
MAX_NEWS = 0.5
MIN_SAMPLE = 500
# Twice the gain in log likelihood below which two more parameters are noise: 99 % quantile of chi-square with 2.
_MIN_GAIN = 9.21
# Correlation of hourly bars moves little with one bar and keeps most of it: the start of the search.
_START = (0.02, 0.96)


@dataclass(frozen=True, slots=True, kw_only=True)
class DccFit:
    """News weight a, memory b, target S, robust standard errors (NaN where there is none), method, reason to warn."""

    a: float
    b: float
    target: FactorFactor
    a_error: float
    b_error: float
    method: str
    note: str = ""


def constant_fit(z: FactorFactor, *, reason: str) -> DccFit:
    """Return the constant correlation of z [bar, factor]."""
    return DccFit(
        a=0.0, b=0.0, target=_target(z, 0.0, 0.0), a_error=math.nan, b_error=math.nan, method=CONSTANT, note=reason
    )


def fit_dcc(z: FactorFactor, *, max_rounds: int = 200) -> DccFit:
    """Return the corrected DCC of standardised moves.

    Parameters
    ----------
    z : array [bar, factor]
        Moves over their conditional sigma; a row with a NaN is a missing bar.
    max_rounds : int
        Rounds of the search, after which the correlation is constant and ``note`` says so.

    Notes
    -----
    Step one, the volatility of each coin, is done before. Here a >= 0, b >= 0, a + b <= 0.999 minimise the mean of
    log det R + z' R^-1 z; for every (a, b) tried the target S follows by moments. Where the fit does not converge, or
    gains less over a constant correlation than two idle parameters would (99 %), the correlation is constant.

    Raises
    ------
    InputError
        For fewer than 500 whole bars or a factor that never varies.

    References
    ----------
    Engle (2002), Dynamic conditional correlation, Journal of Business and Economic Statistics 20:339-350.
    Aielli (2013), Journal of Business and Economic Statistics 31:282-299, doi:10.1080/07350015.2013.771027.
    """
    whole = np.isfinite(z).all(axis=1)
    if whole.sum() < MIN_SAMPLE:
        raise InputError(
            f"{int(whole.sum())} whole bars in the window of the fit",
            field="dcc",
            allowed=f"at least {MIN_SAMPLE} bars that every coin has",
        )
    if not (np.abs(z[whole]).max(axis=0) > 0.0).all():
        raise InputError("a coin never moved", field="dcc", allowed="moves that vary")
    if z.shape[1] == 1:
        return constant_fit(z, reason="one coin has no correlation")
    found = _minimise(z, max_rounds=max_rounds)
    if isinstance(found, str):
        return constant_fit(z, reason=found)
    a, b = found
    gain = float(dcc_cost(z, 0.0, 0.0).sum() - dcc_cost(z, a, b).sum())
    if gain < _MIN_GAIN:
        return constant_fit(z, reason=f"changing correlation gained {gain:.3g} in twice the log likelihood")
    errors = standard_errors(z, a, b)
    note = f"a + b stands at its bound {MAX_PERSISTENCE:g}" if a + b > MAX_PERSISTENCE - 1e-5 else ""
    if a > 0.98 * MAX_NEWS:
        note = f"a stands at its bound {MAX_NEWS:g}: single bars rule the correlation"
    return DccFit(
        a=a, b=b, target=_target(z, a, b), a_error=float(errors[0]), b_error=float(errors[1]), method=FITTED, note=note
    )


def dcc_cost(z: FactorFactor, a: float, b: float) -> Vector:
    """Return minus twice the quasi log likelihood [bar] of the dependence, the target fitted to a and b."""
    return np.asarray(cdcc_filter(z, _target(z, a, b), a, b)[1], dtype=np.float64)


def standard_errors(z: FactorFactor, a: float, b: float) -> Vector:
    """Return robust standard errors of a and b: curvature^-1 x variance of the scores x curvature^-1.

    NaN where the curvature has no inverse with positive variances, as at a bound.
    """
    n = int(np.isfinite(z).all(axis=1).sum())
    # all corners of the differences stay inside a >= 0, b >= 0, a + b < 1
    steps = np.array([min(0.02 * a, 0.25 * (1.0 - a - b)), min(0.05 * (1.0 - a - b), 0.5 * b)])
    if not (steps > 0.0).all():
        return np.full(2, math.nan)
    centre = np.array([a, b])

    def at(i: float, j: float) -> Vector:
        point = centre + steps * np.array([i, j])
        return dcc_cost(z, float(point[0]), float(point[1]))

    middle, cost = at(0, 0), {key: at(*key) for key in ((1, 0), (-1, 0), (0, 1), (0, -1))}
    score = np.stack([cost[1, 0] - cost[-1, 0], cost[0, 1] - cost[0, -1]]) / (2.0 * steps[:, None])
    second = np.empty((2, 2))
    second[0, 0] = (cost[1, 0] - 2.0 * middle + cost[-1, 0]).sum() / steps[0] ** 2
    second[1, 1] = (cost[0, 1] - 2.0 * middle + cost[0, -1]).sum() / steps[1] ** 2
    mixed = float((at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)).sum())
    second[0, 1] = second[1, 0] = mixed / (4.0 * steps[0] * steps[1])
    if not np.linalg.det(second) > 0.0:
        return np.full(2, math.nan)
    inverse = np.linalg.inv(second)
    covariance = inverse @ (np.cov(score) * n) @ inverse
    return np.sqrt(np.where(np.diag(covariance) > 0.0, np.diag(covariance), math.nan))


def _target(z: FactorFactor, a: float, b: float) -> FactorFactor:
    return nearest_correlation(np.asarray(cdcc_target(np.ascontiguousarray(z), a, b), dtype=np.float64))


def _minimise(z: FactorFactor, *, max_rounds: int) -> tuple[float, float] | str:
    """Return a and b, or the reason why there are none."""
    from scipy.optimize import minimize

    n = int(np.isfinite(z).all(axis=1).sum())

    def parameters(point: Vector) -> tuple[float, float]:
        persistence = MAX_PERSISTENCE * _logistic(point[0])
        a = persistence * MAX_NEWS * _logistic(point[1])
        return a, persistence - a

    def cost(point: Vector) -> float:
        return float(dcc_cost(z, *parameters(point)).sum()) / n

    persistence = sum(_START)
    start = np.array([_logit(persistence / MAX_PERSISTENCE), _logit(_START[0] / (MAX_NEWS * persistence))])
    result = minimize(cost, start, method="Nelder-Mead", options={"maxiter": max_rounds, "xatol": 1e-3, "fatol": 1e-8})
    if not (np.isfinite(result.x).all() and math.isfinite(float(result.fun))):
        return "the likelihood of the correlation was not finite"
    if not result.success:
        return f"the search for a and b did not converge in {max_rounds} rounds"
    return parameters(result.x)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -40.0), 40.0)))


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))
