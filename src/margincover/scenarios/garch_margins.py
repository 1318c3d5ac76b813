"""Bars of several coins seen through their own GJR-GARCH volatility: the margins that joint laws are put on.

Shared by the t-copula and the DCC generator. Sigma is per bar, with the hour of the day in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.recursions import CONVEXITY_NODES, CONVEXITY_SPACING, gjr_filter
from margincover.numeric.volatility import annual_volatility, parkinson_variance
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.garch_fit import FALLBACK, GarchFit, fit_gjr
from margincover.scenarios.seasonality import N_BUCKETS, bucket_factors, hour_buckets
from margincover.units import SECONDS_PER_DAY

# About two months of hours: fewer standardised bars hold neither a tail nor a dependence worth fitting.
MIN_JOINT_BARS = 1_500
# The filter starts at the long-run variance; after 72 bars a wrong start has lost most of its weight.
BURN_IN_BARS = 72
# Two years of hourly bars for the fits: long enough for the dynamics, short enough to be of this market.
DEFAULT_WINDOW_BARS = 2 * 365 * 24
# One step moves at most this times the largest log move of the pool; it keeps the mean price of a fat tail finite.
MAX_MOVE_MULTIPLE = 1.5
# A coin whose late start takes away more than this part of the others' bars is named in the warnings.
_NOTABLE_CUT = 0.10
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchMargin:
    """One coin: its fit, hour factors [bucket], sigma [bar], mean move, and the variance of the first new step."""

    fit: GarchFit
    season: Vector
    sigma: Vector
    mean: float
    next_variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardisedBars:
    """Bars in units of their conditional sigma, over the bars that every coin has and the filter has settled on.

    ``close`` [factor, pool] has mean 0 and variance 1; ``excess`` [factor, pool, 2] is how far the low went below and
    the high above both ends of the bar, >= 0; ``span`` [factor, pool] is the range variance with mean 1; ``place``
    [pool] is the number of the bar in ``bars``; ``limit`` [factor] the largest log move that a step may make;
    ``warnings`` say what was fallen back to.
    """

    bars: JointBars
    margins: tuple[GarchMargin, ...]
    place: NDArray[np.int64]
    close: FactorFactor
    excess: NDArray[np.float64]
    span: FactorFactor
    limit: Vector
    warnings: tuple[str, ...]

    def garch_table(self) -> FactorFactor:
        """Return [factor, 6]: omega, alpha, gamma, beta, variance of the first step, largest log move of a step."""
        rows = [
            [*margin.fit.parameters.as_vector(), margin.next_variance, limit]
            for margin, limit in zip(self.margins, self.limit, strict=True)
        ]
        return np.array(rows)

    def seasons(self, n_steps: int) -> FactorFactor:
        """Return the hour factor on sigma [step, factor] of the steps that follow the history."""
        buckets = hour_buckets(start_utc_ns=self.bars.end_utc_ns, step_s=self.bars.step_s, n_steps=n_steps)
        return np.ascontiguousarray(np.stack([margin.season[buckets] for margin in self.margins], axis=1))

    def in_window(self, window_bars: int) -> NDArray[np.bool_]:
        """Return the bars of the pool [pool] that lie among the last ``window_bars`` of the history."""
        return np.asarray(self.place >= self.bars.usable.size - window_bars)

    def params(self, *, window_bars: int) -> dict[str, str]:
        """Return what ``ScenarioInfo.params`` says of the margins."""
        result: dict[str, str] = {}
        for name, margin, row in zip(self.bars.factors, self.margins, self.close, strict=True):
            garch = margin.fit.parameters
            level, start = (
                annual_volatility(variance, step_s=self.bars.step_s)
                for variance in (garch.long_run_variance, margin.next_variance)
            )
            result[f"volatility.{name}"] = margin.fit.method
            result[f"garch.{name}"] = (
                f"alpha {garch.alpha:.4g}, gamma {garch.gamma:.4g}, beta {garch.beta:.4g}, "
                f"long run {level:.4g} a year, start {start:.4g} a year"
            )
            result[f"largest_standardised_move.{name}"] = f"{row.min():.3g} to {row.max():.3g} sigma"
        first, last = (self.bars.start_utc_ns + int(i) * self.bars.step_s * _NS for i in self.place[[0, -1]])
        result["pool"] = f"{self.place.size} joint bars, {utc_text(first)} to {utc_text(last)}"
        result["bars_left_out"] = str(int((~self.bars.usable).sum()))
        result["fit_window_bars"] = f"{window_bars} (the pool uses all bars)"
        result["hours"] = "24 hours x weekday or weekend, UTC" if self.bars.step_s < SECONDS_PER_DAY else "not modelled"
        result["start"] = "last conditional variance"
        result["largest_move"] = f"{MAX_MOVE_MULTIPLE:g} times the largest log move of the pool"
        return result


def standardised_bars(history: History, factors: Sequence[str], *, window_bars: int) -> StandardisedBars:
    """Return the joint bars of several coins over their own volatility.

    Parameters
    ----------
    history : History
    factors : sequence of str
    window_bars : int
        Last bars used for the hours and the GARCH parameters; the pool uses all bars after the first 72.

    Raises
    ------
    InputError
        For a missing coin, constant prices (in the window too), a window below 2 bars, or fewer than 1,500 joint bars;
        the message says how many each coin has and where a late one starts.
    """
    bars = joint_bars(history, factors)
    _require_enough(history, bars)
    if window_bars < 2:
        raise InputError(f"was {window_bars}", field="window_bars", allowed="an integer >= 2")
    margins = tuple(_margin(bars, f, window_bars=window_bars) for f in range(len(bars.factors)))
    place = np.flatnonzero(bars.usable)
    place = place[place >= BURN_IN_BARS]
    shape = (len(bars.factors), place.size)
    close, excess, span = np.empty(shape), np.empty((*shape, 2)), np.empty(shape)
    for f, margin in enumerate(margins):
        sigma, move = margin.sigma[place], bars.close[f, place]
        low, high = bars.low[f, place], bars.high[f, place]
        z = (move - margin.mean) / sigma
        close[f] = (z - z.mean()) / z.std()
        excess[f, :, 0] = (np.minimum(move, 0.0) - low) / (sigma * z.std())
        excess[f, :, 1] = (high - np.maximum(move, 0.0)) / (sigma * z.std())
        span[f] = parkinson_variance((high - low) / sigma)
        span[f] /= span[f].mean()
    # the high is at least the close of the bar before it, so that a rounding below 0 is all there can be
    excess = np.maximum(excess, 0.0)
    return StandardisedBars(
        bars=bars,
        margins=margins,
        place=place,
        close=close,
        excess=excess,
        span=span,
        limit=MAX_MOVE_MULTIPLE * np.maximum(-bars.low, bars.high)[:, place].max(axis=1),
        warnings=(*history.issues, *_cut_warnings(history, bars), *_fallback_warnings(bars, margins)),
    )


def convexity_table(values: Vector, weights: Vector, limit: float) -> Vector:
    """Return c(sigma) / sigma^2 on the grid of the kernels, with E exp(clip(sigma z, -limit, limit) - c) = 1.

    ``values`` and ``weights`` [atom] are the law of z, mean 0 and variance 1, so that the table starts at 1/2.
    """
    table = np.full(CONVEXITY_NODES, 0.5)
    for i in range(1, CONVEXITY_NODES):
        sigma = i * CONVEXITY_SPACING
        # expm1: at small sigma the mean of exp is 1 up to 1e-7, and its log would lose half the digits
        table[i] = np.log1p(float(weights @ np.expm1(np.clip(sigma * values, -limit, limit)))) / sigma**2
    return table


def _require_enough(history: History, bars: JointBars) -> None:
    if bars.n_usable >= MIN_JOINT_BARS:
        return
    alone = ", ".join(
        f"{name} {int(np.isfinite(history.factors[name].close).sum())} from {_first_bar(history, name)}"
        for name in bars.factors
    )
    raise InputError(
        f"{bars.n_usable} joint bars of {', '.join(bars.factors)}; bars of each: {alone}",
        field="history",
        allowed=f"at least {MIN_JOINT_BARS} bars that every coin has, or a stand-in for the young coin under `proxies`",
    )


def _first_bar(history: History, name: str) -> str:
    present = np.flatnonzero(np.isfinite(history.factors[name].close))
    first = int(present[0]) if present.size else 0
    return utc_text(history.factors[name].start_utc_ns + first * history.step_s * _NS)


def _margin(bars: JointBars, f: int, *, window_bars: int) -> GarchMargin:
    """Hours, mean and GARCH of factor ``f`` from the last ``window_bars``; sigma over all bars."""
    buckets = hour_buckets(start_utc_ns=bars.start_utc_ns, step_s=bars.step_s, n_steps=bars.usable.size)
    moves = np.where(bars.usable, bars.close[f], np.nan)
    recent = moves[-window_bars:]
    if not np.isfinite(recent).any():
        raise InputError(
            f"no joint bar among the last {window_bars}", field=bars.factors[f], allowed="bars in the window of the fit"
        )
    mean = float(np.nanmean(recent))
    if not np.nanmax(np.abs(recent)) > 0.0:
        raise InputError(
            f"the close never moved in the last {window_bars} bars", field=bars.factors[f], allowed="prices that vary"
        )
    season = np.ones(N_BUCKETS)
    if bars.step_s < SECONDS_PER_DAY:
        season = bucket_factors(recent - mean, buckets[-window_bars:])
    hour = season[buckets]
    residuals = (moves - mean) / hour
    fit = fit_gjr(residuals[-window_bars:])
    variance = gjr_filter(residuals, fit.parameters.as_vector(), fit.parameters.long_run_variance)
    return GarchMargin(
        fit=fit, season=season, sigma=np.sqrt(variance[:-1]) * hour, mean=mean, next_variance=float(variance[-1])
    )


def _cut_warnings(history: History, bars: JointBars) -> list[str]:
    """Name the coins that start so late that bars of the others are lost."""
    counts = {name: int(np.isfinite(history.factors[name].close).sum()) for name in bars.factors}
    longest = max(counts.values())
    return [
        f"{name} has {count} bars from {_first_bar(history, name)}: earlier bars of the other coins are not used"
        for name, count in counts.items()
        if count < (1.0 - _NOTABLE_CUT) * longest
    ]


def _fallback_warnings(bars: JointBars, margins: Sequence[GarchMargin]) -> list[str]:
    return [
        f"{name}: {FALLBACK} in place of a GARCH fit, because {margin.fit.note}"
        for name, margin in zip(bars.factors, margins, strict=True)
        if margin.fit.method == FALLBACK
    ]
