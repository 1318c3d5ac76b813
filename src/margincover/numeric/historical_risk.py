"""Value at Risk and Expected Shortfall of a sample of losses, with the quantile rule named by the caller.

Losses are positive. The rules differ by at most the gap between two neighbouring order statistics, which in the tail of
a short sample is the third digit of the answer; so no rule is the silent default of a formula here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from margincover.errors import InputError
from margincover.numeric import quantile
from margincover.numeric.arrays import Vector


class QuantileRule(Enum):
    """Which value stands for the (1 - tail)-quantile of n losses, sorted upwards.

    ``LOWER`` inf{x : share of losses <= x is at least 1 - tail}, an order statistic (Hyndman-Fan type 1); ``UPPER``
    inf{x : that share is more than 1 - tail}: of 500 losses the fifth worst at 1 % where ``LOWER`` is the sixth;
    ``LINEAR`` straight lines between ranks over n - 1 (type 7, the default of R, NumPy and Excel); ``HAZEN`` each loss
    in the middle of its mass (type 5); ``WEIBULL`` ranks over n + 1 (type 6); ``MEDIAN_UNBIASED`` type 8.

    References
    ----------
    Hyndman, Fan (1996), Sample quantiles in statistical packages, The American Statistician 50:361-365.
    """

    LOWER = "lower"
    UPPER = "upper"
    LINEAR = "linear"
    HAZEN = "hazen"
    WEIBULL = "weibull"
    MEDIAN_UNBIASED = "median_unbiased"


class ShortfallRule(Enum):
    """Which losses Expected Shortfall is the mean of.

    ``EXACT_SHARE`` the worst share ``tail``, the boundary loss counted in part: (1 / tail) times the integral of the
    quantile, coherent. ``AT_OR_BEYOND`` every loss at or beyond the stated Value at Risk, as textbooks and R do.
    """

    EXACT_SHARE = "exact_share"
    AT_OR_BEYOND = "at_or_beyond"


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFigures:
    """Value at Risk and Expected Shortfall, losses positive, in the unit of the sample."""

    var: float
    es: float


def historical_var(losses: Vector, *, tail: float, rule: QuantileRule) -> float:
    """Return the (1 - tail)-quantile of the losses under a stated rule.

    Examples
    --------
    >>> losses = np.arange(1.0, 501.0)
    >>> [historical_var(losses, tail=0.01, rule=rule) for rule in (QuantileRule.LOWER, QuantileRule.UPPER)]
    [495.0, 496.0]
    """
    # LOWER is the project's own rule; it also checks the sample and the tail for all the others.
    lower = quantile.tail_quantile(losses, tail)
    if rule is QuantileRule.LOWER:
        return lower
    if rule is QuantileRule.UPPER:
        # The guard keeps 1 % of 500 at five although 0.01 * 500 is not exact in binary.
        at_or_beyond = max(1, int(np.floor(tail * losses.size + 1e-9)))
        return float(np.partition(losses, losses.size - at_or_beyond)[losses.size - at_or_beyond])
    if rule is QuantileRule.LINEAR:
        return float(np.quantile(losses, 1.0 - tail, method="linear"))
    if rule is QuantileRule.HAZEN:
        return float(np.quantile(losses, 1.0 - tail, method="hazen"))
    if rule is QuantileRule.WEIBULL:
        return float(np.quantile(losses, 1.0 - tail, method="weibull"))
    return float(np.quantile(losses, 1.0 - tail, method="median_unbiased"))


def historical_risk(
    losses: Vector, *, tail: float, rule: QuantileRule, shortfall: ShortfallRule = ShortfallRule.EXACT_SHARE
) -> RiskFigures:
    """Return Value at Risk and Expected Shortfall of a sample.

    Parameters
    ----------
    losses : array [observation]
        Positive is a loss.
    tail : float
        Tail probability in (0, 1).
    rule : QuantileRule
    shortfall : ShortfallRule

    Raises
    ------
    InputError
        If the sample is empty or not finite, or the tail is no probability.

    Notes
    -----
    Only ``EXACT_SHARE`` with ``LOWER`` or ``UPPER`` is sure to give ES >= VaR and a coherent ES; an interpolated VaR
    can lie above the losses that ``AT_OR_BEYOND`` averages only where none is, and then ES is the VaR itself.
    """
    var = historical_var(losses, tail=tail, rule=rule)
    if shortfall is ShortfallRule.EXACT_SHARE:
        return RiskFigures(var=var, es=max(var, quantile.expected_shortfall(losses, tail)))
    beyond = losses[losses >= var]
    return RiskFigures(var=var, es=float(beyond.mean()) if beyond.size else var)


def age_weights(periods_ago: Vector, *, decay: float, count: int) -> Vector:
    """Return the weight of observations by age: decay^(i - 1) (1 - decay) / (1 - decay^count); 1 is the newest.

    Parameters
    ----------
    periods_ago : array [observation]
        1 to ``count``, each age at most once.
    decay : float
        In (0, 1); 0.97 to 0.99 is usual.
    count : int
        Observations in the whole window; the weights of all of them sum to 1.

    References
    ----------
    Boudoukh, Richardson, Whitelaw (1998), The best of both worlds, Risk 11(5):64-67.

    Examples
    --------
    >>> age_weights(np.array([3.0, 2.0]), decay=0.98, count=100).round(4).tolist()
    [0.0221, 0.0226]
    """
    if not 0.0 < decay < 1.0:
        raise InputError(f"was {decay}", field="decay", allowed="a number in (0, 1)")
    ages = np.asarray(periods_ago, dtype=np.float64)
    if not (ages.size and (ages >= 1).all() and (ages <= count).all() and np.unique(ages).size == ages.size):
        raise InputError("an age was out of range or stood twice", field="periods_ago", allowed=f"1 to {count}, once")
    return np.asarray(decay ** (ages - 1.0) * (1.0 - decay) / (1.0 - decay**count), dtype=np.float64)


def weighted_var(losses: Vector, weights: Vector, *, tail: float) -> float:
    """Return the (1 - tail)-quantile of weighted losses, half of each mass on either side of its loss.

    Parameters
    ----------
    losses : array [observation]
        The whole sample, or its worst part if that weighs more than ``tail``.
    weights : array [observation]
        > 0, sum at most 1.

    Notes
    -----
    Sorted from the worst, a loss stands at the middle of its mass, and half way between two losses at the edge between
    their masses; straight lines in between. Before the middle of the worst loss's mass the quantile is that loss.

    References
    ----------
    Boudoukh, Richardson, Whitelaw (1998), The best of both worlds, Risk 11(5):64-67.
    """
    total = _checked(losses, weights, tail)
    order = np.argsort(-losses, kind="stable")
    ordered, mass = losses[order], weights[order]
    edge = np.cumsum(mass)
    middle = edge - 0.5 * mass
    if tail > middle[-1] and total < 1.0 - 1e-9:
        raise InputError(
            f"weighed {total:.6g}, the tail {tail:g} lies beyond", field="losses", allowed="more of the sample"
        )
    at = np.empty(2 * mass.size - 1)
    value = np.empty_like(at)
    at[::2], at[1::2] = middle, edge[:-1]
    value[::2], value[1::2] = ordered, 0.5 * (ordered[1:] + ordered[:-1])
    return float(np.interp(tail, at, value))


def weighted_es(losses: Vector, weights: Vector, *, tail: float) -> float:
    """Return the mean of the worst share ``tail`` of weighted losses, the boundary loss counted in part."""
    total = _checked(losses, weights, tail)
    if total < tail - 1e-12:
        raise InputError(f"weighed {total:.6g} in all", field="losses", allowed=f"a weight of at least {tail:g}")
    order = np.argsort(-losses, kind="stable")
    taken = np.minimum(np.cumsum(weights[order]), tail)
    return float(np.diff(taken, prepend=0.0) @ losses[order]) / float(taken[-1])


def rescaled_moves(moves: Vector, sigma: Vector, *, sigma_now: float) -> Vector:
    """Return past moves scaled to the present volatility: move * sigma_now / sigma of its time.

    A scenario for a level is then level * (1 + move) for simple returns.

    References
    ----------
    Hull, White (1998), Incorporating volatility updating into the historical simulation method for VaR, Journal of
    Risk 1(1):5-19. Barone-Adesi, Giannopoulos, Vosper (1999), Journal of Futures Markets 19:583-602.
    """
    if moves.shape != sigma.shape or not ((sigma > 0.0).all() and sigma_now > 0.0):
        raise InputError("volatilities did not fit the moves", field="sigma", allowed="one each, > 0")
    return np.asarray(moves * (sigma_now / sigma), dtype=np.float64)


def _checked(losses: Vector, weights: Vector, tail: float) -> float:
    """Return the sum of the weights."""
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a probability in (0, 1)")
    fits = losses.shape == weights.shape and losses.ndim == 1 and losses.size > 0
    if not (fits and np.isfinite(losses).all() and (weights > 0.0).all() and float(weights.sum()) <= 1.0 + 1e-9):
        raise InputError(
            "losses and weights did not fit", field="weights", allowed="finite losses, a weight > 0 each, sum <= 1"
        )
    return float(weights.sum())
