"""Making a calibration from a history: one fit per coin, the level of the whole window, rank correlation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory, History
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.recursions import gjr_filter
from margincover.numeric.students_t import joint_degrees_of_freedom
from margincover.numeric.volatility import annual_volatility
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.calibration import Calibration, FactorCalibration, FundingStatistics
from margincover.scenarios.dependence import one_factor_loading, rank_correlation
from margincover.scenarios.garch_fit import FITTED, fit_gjr
from margincover.scenarios.request import require_factors

# A coin with at least this share of the bars of the longest history counts as covering the whole window.
FULL_WINDOW_SHARE = 0.95


def calibrate(
    history: History, factors: Sequence[str], *, source: str, funding: Mapping[str, FundingStatistics] | None = None
) -> Calibration:
    """Return a calibration made from hourly (or other regular) bars.

    Parameters
    ----------
    history : History
        Each coin is fitted on all of its own bars, whatever the others have.
    factors : sequence of str
    source : str
        Where the bars come from, in words.
    funding : mapping of str to FundingStatistics, optional

    Notes
    -----
    Per coin: GJR-GARCH(1,1)-t by maximum likelihood, long-run variance equal to the variance of all bars. A coin with
    less than 95 % of the bars of the longest history has missed part of the window; its variance is multiplied by the
    mean, over the coins with the whole window, of (their variance over the whole window / over the coin's window), when
    that is above 1, so that a young coin is not calm only because it is young. Dependence: rank correlation of
    standardised moves over the bars that all coins have.

    Raises
    ------
    InputError
        For a missing coin, constant prices, fewer than 500 bars, or a fit that does not converge.
    """
    names = require_factors(factors)
    alone = {name: joint_bars(history, [name]) for name in names}
    longest = max(bars.n_usable for bars in alone.values())
    full = [bars for bars in alone.values() if bars.n_usable >= FULL_WINDOW_SHARE * longest]
    rows = []
    for name, bars in alone.items():
        lift = 1.0 if bars in full else _level_adjustment(full, start_utc_ns=bars.start_utc_ns)
        rows.append(_calibrate_factor(history.factors[name], bars, lift=lift, funding=(funding or {}).get(name)))
    correlation = rank_correlation(_standardised(history, rows))
    return Calibration(
        factors=tuple(rows),
        correlation=correlation,
        loading=one_factor_loading(correlation),
        nu_joint=joint_degrees_of_freedom([row.nu for row in rows]),
        step_s=history.step_s,
        as_of=utc_text(max(bars.end_utc_ns for bars in alone.values())),
        source=source,
        input_sha256=history.sha256,
        notes=(
            "long-run variance: all bars of the window, so that crashes and manias count",
            "coins without two years of funding data take the largest pessimistic funding of the others",
            "no price is stored here, only figures computed from prices",
        ),
    )


def _variance(moves: Vector) -> float:
    return float(np.nanvar(moves))


def _level_adjustment(full: Sequence[JointBars], *, start_utc_ns: int) -> float:
    """Factor on volatility for a coin that starts at ``start_utc_ns``; at least 1."""
    ratios = []
    for bars in full:
        skip = max((start_utc_ns - bars.start_utc_ns) // (bars.step_s * 1_000_000_000), 0)
        ratios.append(_variance(bars.close[0]) / _variance(bars.close[0][skip:]))
    return math.sqrt(max(float(np.mean(ratios)), 1.0))


def _calibrate_factor(
    bars: FactorHistory, moves: JointBars, *, lift: float, funding: FundingStatistics | None
) -> FactorCalibration:
    residuals = moves.close[0] - np.nanmean(moves.close[0])
    fit = fit_gjr(residuals)
    if fit.method != FITTED or fit.nu is None:
        raise InputError(f"no GARCH fit: {fit.note}", field=bars.factor, allowed="500 bars and a fit that converges")
    start = fit.parameters.long_run_variance
    sigma = np.sqrt(gjr_filter(residuals, fit.parameters.as_vector(), start)[:-1])
    level = start * lift**2
    return FactorCalibration(
        factor=bars.factor,
        garch=fit.parameters.at_level(level),
        nu=fit.nu,
        long_run_volatility_annual=annual_volatility(level, step_s=moves.step_s),
        level_adjustment=lift,
        largest_standardised_move=float(np.nanmax(np.abs(residuals / sigma))),
        window=f"{utc_text(moves.start_utc_ns)[:10]} to {utc_text(moves.end_utc_ns - 1)[:10]}",
        n_bars=moves.n_usable,
        source=bars.source,
        funding=funding,
    )


def _standardised(history: History, rows: Sequence[FactorCalibration]) -> FactorFactor:
    """Return moves over their conditional sigma [factor, bar], over the bars that every coin has."""
    bars = joint_bars(history, [row.factor for row in rows])
    result = np.empty_like(bars.close)
    for f, row in enumerate(rows):
        residuals = bars.close[f] - np.nanmean(bars.close[f])
        # the lift is a common factor and drops out of a rank correlation
        result[f] = residuals / np.sqrt(gjr_filter(residuals, row.garch.as_vector(), row.garch.long_run_variance)[:-1])
    return np.asarray(result[:, bars.usable], dtype=np.float64)
