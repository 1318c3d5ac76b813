"""Tests of a series of forecasts against what came: coverage, independence, dynamic quantile, Z2, traffic light.

Hits are 1 where the outcome exceeded the forecast; ``tail`` is the stated probability of that. A p-value near 0 speaks
against the forecasts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

Hits = NDArray[np.bool_]

# Zones of the Basel framework: cumulative probability of at most this many exceedances.
_YELLOW, _RED = 0.95, 0.9999


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """A test statistic, its degrees of freedom under the null (chi-square), and its p-value in [0, 1]."""

    __test__ = False  # the name is not a test of pytest

    statistic: float
    degrees: int
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficLight:
    """P(X <= x) and P(X >= x) of the binomial law, and the zone: green, yellow or red."""

    at_most: float
    at_least: float
    zone: str


def kupiec(exceedances: int, count: int, *, tail: float) -> TestResult:
    """Return the proportion-of-failures test of the rate of exceedances against ``tail``.

    Notes
    -----
    LR = -2 ln[(1-p)^(n-x) p^x / ((1-x/n)^(n-x) (x/n)^x)], chi-square with one degree; 0 ln 0 is 0.

    References
    ----------
    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models, Journal of Derivatives 3(2):73-84.

    Examples
    --------
    >>> round(kupiec(57, 1043, tail=0.05).statistic, 5)
    0.46147
    """
    _check_count(exceedances, count)
    _check_tail(tail)
    rate = exceedances / count
    null = _binomial_log(exceedances, count - exceedances, tail)
    return _chi_square(2.0 * (_binomial_log(exceedances, count - exceedances, rate) - null), 1)


def christoffersen_independence(transitions: NDArray[np.int64]) -> TestResult:
    """Return the first-order independence test from the counts [before, after] of hits (index 1) and others (0).

    Notes
    -----
    Where no hit follows a hit the term is 0 ln 0 = 0, so the statistic stays finite. Without any hit, or with nothing
    but hits, nothing can be said: statistic 0, p-value 1.

    References
    ----------
    Christoffersen (1998), Evaluating interval forecasts, International Economic Review 39:841-862.
    """
    if transitions.shape != (2, 2) or (transitions < 0).any() or transitions.sum() == 0:
        raise InputError(f"was {transitions.tolist()}", field="transitions", allowed="2 x 2 counts >= 0, not all 0")
    (n00, n01), (n10, n11) = ((int(value) for value in row) for row in transitions)
    pooled = (n01 + n11) / (n00 + n01 + n10 + n11)
    free = sum(_binomial_log(hit, miss, hit / max(hit + miss, 1)) for hit, miss in ((n01, n00), (n11, n10)))
    return _chi_square(2.0 * (free - _binomial_log(n01 + n11, n00 + n10, pooled)), 1)


def hit_transitions(hits: Hits) -> NDArray[np.int64]:
    """Return the counts [before, after] of pairs of neighbours; index 1 is a hit."""
    pairs = 2 * hits[:-1].astype(np.int64) + hits[1:]
    return np.bincount(pairs, minlength=4).reshape(2, 2)


def conditional_coverage(hits: Hits, *, tail: float) -> TestResult:
    """Return Christoffersen's joint test of rate and independence, two degrees of freedom."""
    independence = christoffersen_independence(hit_transitions(hits))
    rate = kupiec(int(hits.sum()), hits.size, tail=tail)
    return _chi_square(rate.statistic + independence.statistic, 2)


def dynamic_quantile(hits: Hits, known: Vector, *, tail: float, lags: int = 2) -> TestResult:
    """Return the dynamic quantile test: exceedances must not be foretold by earlier ones or by what was known.

    Parameters
    ----------
    hits : array [window]
    known : array [window]
        A regressor known at the forecast, such as log volatility.
    lags : int
        Earlier hits used.

    Notes
    -----
    Regress hit - tail on a constant, its lags and ``known``: DQ = b' X'X b / (tail (1 - tail)), chi-square with as many
    degrees as regressors. A regressor that does not vary is left out (X'X would be singular). Windows before the first
    full set of lags are left out.

    References
    ----------
    Engle, Manganelli (2004), CAViaR, Journal of Business and Economic Statistics 22:367-381,
    doi:10.1198/073500104000000370.
    """
    _check_tail(tail)
    if hits.shape != known.shape or hits.size <= lags + 2 or not np.isfinite(known).all():
        raise InputError(
            f"{hits.size} hits and {known.size} regressors", field="known", allowed="finite, one each, more than lags"
        )
    demeaned = hits.astype(np.float64) - tail
    columns = [demeaned[lags - k - 1 : -k - 1] for k in range(lags)] + [known[lags:] - known[lags:].mean()]
    varying = [column for column in columns if float(np.ptp(column)) > 0.0]
    design = np.column_stack([np.ones(hits.size - lags), *varying])
    score = design.T @ demeaned[lags:]
    # pinv: two lags of very few hits may be the same column
    statistic = float(score @ np.linalg.pinv(design.T @ design) @ score) / (tail * (1.0 - tail))
    return _chi_square(statistic, int(np.linalg.matrix_rank(design)))


def acerbi_szekely_z2(loss: Vector, quantile: Vector, shortfall: Vector, *, tail: float) -> float:
    """Return Z2 of Acerbi and Szekely: 0 if Expected Shortfall is right, negative if risk is understated.

    Parameters
    ----------
    loss, quantile, shortfall : array [window]
        Losses positive; forecasts of the quantile and the Expected Shortfall, the latter > 0.

    Notes
    -----
    Z2 = 1 - sum(loss 1{loss > quantile} / shortfall) / (n tail). Critical values depend on n and the law; simulate.

    References
    ----------
    Acerbi, Szekely (2014), Backtesting Expected Shortfall, Risk 27(11).
    """
    _check_tail(tail)
    if not (shortfall > 0.0).all():
        raise InputError(f"smallest was {shortfall.min():g}", field="shortfall", allowed="> 0")
    return 1.0 - float((loss * (loss > quantile) / shortfall).sum()) / (loss.size * tail)


def traffic_light(exceedances: int, count: int, *, tail: float) -> TrafficLight:
    """Return the zone of a number of exceedances: yellow from cumulative probability 95 %, red from 99.99 %.

    References
    ----------
    Basel Committee (1996), Supervisory framework for the use of backtesting.

    Examples
    --------
    >>> [traffic_light(x, 250, tail=0.01).zone for x in (4, 5, 9, 10)]
    ['green', 'yellow', 'yellow', 'red']
    """
    from scipy.stats import binom

    _check_count(exceedances, count)
    _check_tail(tail)
    at_most = float(binom.cdf(exceedances, count, tail))
    zone = "green" if at_most < _YELLOW else "yellow" if at_most < _RED else "red"
    return TrafficLight(at_most=at_most, at_least=float(binom.sf(exceedances - 1, count, tail)), zone=zone)


def _binomial_log(hits: int, misses: int, rate: float) -> float:
    """Log likelihood of hits and misses, 0 ln 0 = 0."""
    first = hits * math.log(rate) if hits else 0.0
    return first + (misses * math.log1p(-rate) if misses else 0.0)


def _chi_square(statistic: float, degrees: int) -> TestResult:
    from scipy.special import gammaincc

    # rounding may leave a likelihood ratio a bit below zero
    value = max(statistic, 0.0)
    return TestResult(statistic=value, degrees=degrees, p_value=float(gammaincc(degrees / 2.0, value / 2.0)))


def _check_tail(tail: float) -> None:
    if not 0.0 < tail < 1.0:
        raise InputError(f"was {tail}", field="tail", allowed="a probability in (0, 1)")


def _check_count(exceedances: int, count: int) -> None:
    if count <= 0 or not 0 <= exceedances <= count:
        raise InputError(f"was {exceedances} of {count}", field="exceedances", allowed="0 <= exceedances <= count")
