"""Peaks over threshold: tails above a stated threshold, VaR and ES of them, and profile-likelihood intervals.

Losses are positive. Intervals come from the likelihood re-written in the figure itself (VaR or ES): the error of a tail
figure is far from symmetric, so estimate +- 1.96 standard errors would be wrong on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.historical_risk import RiskFigures
from margincover.numeric.pareto_tail import ParetoTail, fit_excesses

# Half the 95 % point of chi-square with one degree: how far the log likelihood may fall inside the interval.
_DROP_95 = 3.841458820694124 / 2.0
_SHAPES_VAR = (-0.5, 3.0)
# Expected Shortfall is finite for shapes below 1 only.
_SHAPES_ES = (-0.5, 0.9999)
_GRID = 61
# An interval whose upper end lies beyond this multiple of the estimate is reported as open.
_FARTHEST = 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class TailEstimate:
    """A tail figure with its 95 % profile-likelihood interval; ``high`` is infinite where the data set no bound."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRisk:
    """VaR and ES of a generalised Pareto tail with intervals; ``es`` is None where it is infinite (shape >= 1)."""

    tail: ParetoTail
    exceedances: int
    var: TailEstimate
    es: TailEstimate | None


def pareto_tail_above(losses: Vector, *, threshold: float, count: int | None = None) -> ParetoTail:
    """Return the maximum-likelihood tail of the losses above a stated threshold; the shape is not bounded.

    Parameters
    ----------
    losses : array [observation]
        The sample, or only its part above the threshold; then ``count`` is needed.
    threshold : float
    count : int or None
        Size of the whole sample; None where ``losses`` is all of it.

    Raises
    ------
    InputError
        If fewer than ten losses lie above the threshold.
    """
    excess = losses[losses > threshold] - threshold
    size = losses.size if count is None else count
    if excess.size < 10 or size < excess.size:
        raise InputError(
            f"{excess.size} of {size} losses above {threshold:g}", field="threshold", allowed="at least ten"
        )
    shape, scale = fit_excesses(excess)
    return ParetoTail(threshold=threshold, shape=shape, scale=scale, share=excess.size / size)


def tail_risk(losses: Vector, *, threshold: float, tail: float, count: int | None = None) -> TailRisk:
    """Return VaR and ES at ``tail`` by peaks over threshold, with 95 % profile-likelihood intervals.

    Parameters
    ----------
    losses, threshold, count
        As in ``pareto_tail_above``.
    tail : float
        Tail probability, below the share of losses above the threshold.

    Notes
    -----
    VaR = u + (scale / shape) ((tail / share)^-shape - 1); ES = (VaR + scale - shape u) / (1 - shape). For a trial value
    of the figure the scale follows from the shape, and the likelihood is maximised over the shape alone; the interval
    holds the values where it falls by less than 1.92 from its maximum. The share is taken as known.

    References
    ----------
    McNeil (1997), Estimating the tails of loss severity distributions using extreme value theory, ASTIN Bulletin
    27:117-138, doi:10.2143/AST.27.1.563210.
    """
    fitted = pareto_tail_above(losses, threshold=threshold, count=count)
    if not 0.0 < tail < fitted.share:
        raise InputError(f"was {tail}", field="tail", allowed=f"above 0, below the share {fitted.share:.6g}")
    excess = losses[losses > threshold] - threshold
    ratio = tail / fitted.share
    best = _log_likelihood(excess, fitted.shape, fitted.scale)

    def var_scale(figure: float, shape: float) -> float:
        return (figure - threshold) / _growth(ratio, shape)

    def es_scale(figure: float, shape: float) -> float:
        return (figure - threshold) * (1.0 - shape) / (_growth(ratio, shape) + 1.0)

    value = fitted.quantile(tail)
    low, high = _interval(excess, best, value, threshold, var_scale, _SHAPES_VAR)
    es = None
    if fitted.shape < 1.0:
        mean = fitted.expected_shortfall(tail)
        es = TailEstimate(
            value=mean,
            **dict(zip(("low", "high"), _interval(excess, best, mean, threshold, es_scale, _SHAPES_ES), strict=True)),
        )
    return TailRisk(tail=fitted, exceedances=int(excess.size), var=TailEstimate(value=value, low=low, high=high), es=es)


def conditional_tail_risk(residual_tail: ParetoTail, *, mean: float, sigma: float, tail: float) -> RiskFigures:
    """Return conditional VaR and ES: mean + sigma times those of the standardised residuals' tail.

    Parameters
    ----------
    residual_tail : ParetoTail
        Of losses over their volatility, such as from ``pareto_tail.fit_pareto_tail``.
    mean, sigma : float
        Forecast mean of the loss and its deviation, > 0.

    References
    ----------
    McNeil, Frey (2000), Journal of Empirical Finance 7:271-300, doi:10.1016/S0927-5398(00)00012-8.
    """
    if not (math.isfinite(mean) and math.isfinite(sigma) and sigma > 0.0):
        raise InputError(f"mean {mean}, sigma {sigma}", field="sigma", allowed="finite figures, sigma > 0")
    return RiskFigures(
        var=mean + sigma * residual_tail.quantile(tail), es=mean + sigma * residual_tail.expected_shortfall(tail)
    )


def _growth(ratio: float, shape: float) -> float:
    """Return (ratio^-shape - 1) / shape, -ln ratio at shape 0."""
    log = -math.log(ratio)
    return log if abs(shape) < 1e-9 else math.expm1(shape * log) / shape


def _log_likelihood(excess: Vector, shape: float, scale: float) -> float:
    if not scale > 0.0:
        return -math.inf
    if abs(shape) < 1e-9:
        return -excess.size * math.log(scale) - float(excess.sum()) / scale
    inside = 1.0 + shape * excess / scale
    if not (inside > 0.0).all():
        return -math.inf
    return -excess.size * math.log(scale) - (1.0 / shape + 1.0) * float(np.log(inside).sum())


def _interval(
    excess: Vector,
    best: float,
    value: float,
    threshold: float,
    scale_of: Callable[[float, float], float],
    shapes: tuple[float, float],
) -> tuple[float, float]:
    """Return the ends of the interval around ``value``."""
    from scipy.optimize import brentq

    def above(figure: float) -> float:
        return _profile(excess, lambda shape: scale_of(figure, shape), shapes) - (best - _DROP_95)

    step = 0.25 * (value - threshold)
    low = value
    while above(low) > 0.0:
        low = threshold + 0.5 * (low - threshold)
    high = value + step
    while above(high) > 0.0:
        high += step
        step *= 2.0
        if high > _FARTHEST * value:
            return float(brentq(above, low, value, rtol=1e-8)), math.inf
    return float(brentq(above, low, value, rtol=1e-8)), float(brentq(above, value, high, rtol=1e-8))


def _profile(excess: Vector, scale_of: Callable[[float], float], shapes: tuple[float, float]) -> float:
    """Return the log likelihood maximised over the shape."""
    from scipy.optimize import minimize_scalar

    grid = np.linspace(*shapes, _GRID)
    # The end points of a range stay out: a shape of -0.5 or less has no regular likelihood.
    values = [_log_likelihood(excess, float(shape), scale_of(float(shape))) for shape in grid]
    k = int(np.argmax(values))
    ends = (float(grid[max(k - 1, 0)]), float(grid[min(k + 1, _GRID - 1)]))
    found = minimize_scalar(
        lambda shape: -_log_likelihood(excess, shape, scale_of(shape)),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-9},
    )
    return max(float(values[k]), -float(found.fun))
