"""Fast maximum likelihood of a variance-targeted GJR-GARCH(1,1)-t; arch is the oracle of its test."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from margincover.numeric.arrays import Vector

# Share of a variance deviation left after a day of hours at most 0.999^24 = 98 %: beyond, the level never returns.
MAX_PERSISTENCE = 0.999


@njit(nogil=True, cache=True)
def gjr_t_cost(residuals: Vector, alpha: float, gamma: float, beta: float, nu: float) -> float:
    """Return minus twice the mean log likelihood, without terms that depend on nu alone; residuals of variance 1."""
    omega = 1.0 - alpha - 0.5 * gamma - beta
    h = 1.0
    total = 0.0
    scale = 1.0 / (nu - 2.0)
    # products of logs' arguments: one log for eight bars costs an eighth
    product_h, product_t = 1.0, 1.0
    log_h, log_t = 0.0, 0.0
    for i in range(residuals.size):
        square = residuals[i] * residuals[i]
        product_h *= h
        product_t *= 1.0 + square * scale / h
        if i % 8 == 7:
            log_h += math.log(product_h)
            log_t += math.log(product_t)
            product_h, product_t = 1.0, 1.0
        weight = alpha + gamma if residuals[i] < 0.0 else alpha
        h = omega + weight * square + beta * h
    total = log_h + math.log(product_h) + (nu + 1.0) * (log_t + math.log(product_t))
    return total / residuals.size


def gjr_t_mean_cost(residuals: Vector, alpha: float, gamma: float, beta: float, nu: float) -> float:
    """Return minus twice the mean log likelihood of residuals of variance 1, all terms."""
    constant = 2.0 * (math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0)) - math.log(math.pi * (nu - 2.0))
    return float(gjr_t_cost(residuals, alpha, gamma, beta, nu)) - constant


def parameters_of(point: Vector) -> tuple[float, float, float, float]:
    """Return alpha, gamma, beta, nu from four unbounded numbers; every point is a legal model.

    Persistence in (0.5, 0.999), share of news in it in (0.001, 0.7), asymmetry -0.9..0.9, nu in (2.05, 52.05).
    """
    persistence = 0.5 + (MAX_PERSISTENCE - 0.5) * _logistic(point[0])
    news = persistence * (0.001 + 0.699 * _logistic(point[1]))
    tilt = 0.9 * math.tanh(point[2])
    gamma = 2.0 * tilt * news
    return news - gamma / 2.0, gamma, persistence - news, 2.05 + 50.0 * _logistic(point[3])


def maximise_gjr_t(scaled: Vector, *, with_asymmetry: bool = True) -> tuple[float, float, float, float] | str:
    """Return alpha, gamma, beta and nu for residuals of unit variance, or the reason why there are none.

    Without asymmetry gamma is 0.
    """
    from scipy.optimize import minimize

    def cost(point: Vector) -> float:
        if not with_asymmetry:
            point = point * np.array([1.0, 1.0, 0.0, 1.0])
        return gjr_t_mean_cost(scaled, *parameters_of(point))

    # persistence 0.98, news 0.1 of it, no tilt, nu 4: the middle of hourly and daily crypto fits
    result = minimize(cost, np.array([3.2, -1.8, 0.0, -3.2]), method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-8})
    if not (np.isfinite(result.x).all() and math.isfinite(float(result.fun))):
        return "the optimiser returned a NaN"
    if result.status == 1:
        return f"the optimiser did not converge in {result.nit} rounds"
    alpha, gamma, beta, nu = parameters_of(result.x)
    return (alpha, gamma, beta, nu) if with_asymmetry else (alpha + gamma / 2.0, 0.0, beta, nu)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -40.0), 40.0)))
