"""Filtered historical simulation: standardised joint bars of the past, pushed through today's volatility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath, frozen
from margincover.numeric.bootstrap import bar_weights, draw_bars, eligible_starts
from margincover.numeric.recursions import CONVEXITY_NODES, CONVEXITY_SPACING, gjr_bar_paths, gjr_filter
from margincover.numeric.rng import stream
from margincover.numeric.volatility import annual_volatility, parkinson_variance
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.dependence import one_factor_loading
from margincover.scenarios.garch_fit import FALLBACK, GarchFit, fit_gjr
from margincover.scenarios.request import require_request
from margincover.scenarios.seasonality import bucket_factors, hour_buckets
from margincover.units import SECONDS_PER_DAY

# About two months of hours: fewer standardised bars hold no tail worth drawing from.
MIN_JOINT_BARS = 1_500
# The filter starts at the long-run variance; after 72 bars a wrong start has lost most of its weight.
BURN_IN_BARS = 72
# One step moves at most this times the largest move in the pool: an outlier of 40 sigma, drawn while sigma is ten times
# its usual size, would otherwise be a move that no market can make, and its convexity would drown the path.
MAX_MOVE_MULTIPLE = 1.5
# Two years of hourly bars for the fit: long enough for the dynamics, short enough to be of this market.
DEFAULT_WINDOW_BARS = 2 * 365 * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    """One factor seen through its volatility.

    ``sigma`` [bar] is the conditional sigma of each bar with the hour in it; ``mean`` the mean move taken out of the
    closes; ``season`` [bucket]; ``next_variance`` the forecast for the first step after the history, hour left out.
    """

    fit: GarchFit
    season: NDArray[np.float64]
    sigma: NDArray[np.float64]
    mean: float
    next_variance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredHistorical:
    """Bootstrap of standardised joint bars with GJR-GARCH volatility; made by ``FilteredHistorical.fit``.

    Notes
    -----
    z = (move - mean) / (sigma x hour factor), for close, low and high of a bar over the previous close. Bars are drawn
    at joint dates in blocks and rescaled by the sigma that the recursion has reached on the path; the close z drives
    the recursion.

    Per factor the pool is recentred to mean 0 and variance 1, so the largest move of a step is the largest standardised
    move ever seen times the sigma of that step, and never above 1.5 times the largest log move of the pool.

    The move loses c(sigma), the log of the pool's mean of exp(move), and the sigma-weighted mean z of its place in the
    block. The price is then a martingale up to the serial dependence inside a block that these two do not see.

    References
    ----------
    Barone-Adesi, Giannopoulos, Vosper (1999), VaR without correlations for portfolios of derivative securities,
    Journal of Futures Markets 19:583-602.
    """

    info: ScenarioInfo
    block_bars: int
    _starts: NDArray[np.int64]
    _bars: StepFactorPath
    _convexity: FactorFactor
    _garch: FactorFactor
    _shift: FactorFactor
    _season: FactorFactor
    _end_utc_ns: int

    @classmethod
    def fit(
        cls,
        history: History,
        factors: Sequence[str],
        *,
        window_bars: int = DEFAULT_WINDOW_BARS,
        block_bars: int = 6,
        as_of_stale: bool = False,
    ) -> FilteredHistorical:
        """Fit the volatility of every factor and return the generator.

        Parameters
        ----------
        window_bars : int
            Last bars used to fit the GARCH parameters and the hours; the pool of standardised bars uses all.
        block_bars : int
            Bars drawn together.
        as_of_stale : bool
            True when the history ends too long before the date of the book for its last volatility to be today's: the
            paths then start at the larger of that and the long-run variance.

        Raises
        ------
        InputError
            For a missing factor, constant prices, fewer than 1,500 joint bars, or a block longer than the gaps allow.
        """
        bars = _enough_bars(history, factors)
        if window_bars < 2:
            raise InputError(f"was {window_bars}", field="window_bars", allowed="an integer >= 2")
        filters = [_filter(bars, f, window_bars=window_bars) for f in range(len(bars.factors))]
        usable = bars.usable.copy()
        usable[:BURN_IN_BARS] = False
        starts = eligible_starts(usable, block_bars=block_bars)
        weights = bar_weights(starts, block_bars=block_bars, n_bars=usable.size)
        pool = np.stack([_standardise(bars, f, seen, weights) for f, seen in enumerate(filters)])
        limits = MAX_MOVE_MULTIPLE * np.maximum(-bars.low, bars.high)[:, weights > 0.0].max(axis=1)
        garch = np.array(
            [[*_garch_row(seen, as_of_stale=as_of_stale), limit] for seen, limit in zip(filters, limits, strict=True)]
        )
        info = _info(history, bars, filters, pool[:, weights > 0.0, 0])
        return cls(
            info=_with_settings(info, window_bars=window_bars, block_bars=block_bars, as_of_stale=as_of_stale),
            block_bars=block_bars,
            _starts=starts,
            _bars=pool,
            _convexity=frozen(
                [_convexity(z, weights, limit) for z, limit in zip(pool[:, :, 0], limits, strict=True)],
                name="convexity",
                ndim=2,
            ),
            _garch=frozen(garch, name="garch", ndim=2),
            _shift=frozen(_block_shift(pool, garch, starts, block_bars), name="shift", ndim=2),
            _season=frozen([seen.season for seen in filters], name="season", ndim=2),
            _end_utc_ns=bars.end_utc_ns,
        )

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        require_request(n_steps=n_steps, n_paths=n_paths)
        index = draw_bars(
            stream(seed, "filtered.blocks", number),
            self._starts,
            block_bars=self.block_bars,
            n_bars=self._bars.shape[1],
            shape=(n_steps, n_paths),
        )
        buckets = hour_buckets(start_utc_ns=self._end_utc_ns, step_s=self.info.step_s, n_steps=n_steps)
        season = np.ascontiguousarray(self._season[:, buckets].T)
        shift = np.ascontiguousarray(self._shift[:, np.arange(n_steps) % self.block_bars].T)
        close, low, high, variance = gjr_bar_paths(self._bars, index, season, self._garch, self._convexity, shift)
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=variance)


def _enough_bars(history: History, factors: Sequence[str]) -> JointBars:
    bars = joint_bars(history, factors)
    if bars.n_usable < MIN_JOINT_BARS:
        raise InputError(
            f"{bars.n_usable} joint bars of {', '.join(bars.factors)}",
            field="history",
            allowed=f"at least {MIN_JOINT_BARS} bars that every coin has",
        )
    return bars


def _filter(bars: JointBars, f: int, *, window_bars: int) -> _Filter:
    """Hours, mean and GARCH of factor ``f`` from the last ``window_bars``; sigma over all bars."""
    buckets = hour_buckets(start_utc_ns=bars.start_utc_ns, step_s=bars.step_s, n_steps=bars.usable.size)
    moves = np.where(bars.usable, bars.close[f], np.nan)
    recent = moves[-window_bars:]
    if not np.isfinite(recent).any():
        raise InputError(
            f"no joint bar among the last {window_bars}", field=bars.factors[f], allowed="bars in the window of the fit"
        )
    mean = float(np.nanmean(recent))
    season = np.ones(48)
    if bars.step_s < SECONDS_PER_DAY:
        season = bucket_factors(recent - mean, buckets[-window_bars:])
    hour = season[buckets]
    residuals = (moves - mean) / hour
    fit = fit_gjr(residuals[-window_bars:])
    variance = gjr_filter(residuals, fit.parameters.as_vector(), fit.parameters.long_run_variance)
    return _Filter(
        fit=fit,
        season=season,
        sigma=np.sqrt(variance[:-1]) * hour,
        mean=mean,
        next_variance=float(variance[-1]),
    )


def _standardise(bars: JointBars, f: int, seen: _Filter, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised close, low, high and range variance [bar, 4]; bars that cannot be drawn are NaN."""
    drawn = weights > 0.0
    result = np.full((weights.size, 4), np.nan)
    for k, moves in enumerate((bars.close[f], bars.low[f], bars.high[f])):
        result[drawn, k] = (moves[drawn] - seen.mean) / seen.sigma[drawn]
    share = weights[drawn]
    mean = float(share @ result[drawn, 0])
    deviation = float(np.sqrt(share @ (result[drawn, 0] - mean) ** 2))
    result[drawn, :3] = (result[drawn, :3] - mean) / deviation
    span = parkinson_variance((bars.high[f][drawn] - bars.low[f][drawn]) / seen.sigma[drawn])
    # range variance with mean 1: the level is that of the closes, the range only says in which bars it came
    result[drawn, 3] = span / float(share @ span)
    return result


def _convexity(z: NDArray[np.float64], weights: NDArray[np.float64], limit: float) -> FactorPath:
    """c(sigma) / sigma^2 on the grid of the kernel; 1/2 at sigma = 0, as the pool has variance 1."""
    drawn = weights > 0.0
    share, z = weights[drawn], z[drawn]
    table = np.full(CONVEXITY_NODES, 0.5)
    for i in range(1, CONVEXITY_NODES):
        sigma = i * CONVEXITY_SPACING
        # expm1: at small sigma the mean of exp is 1 up to 1e-7, and its log would lose half the digits
        table[i] = np.log1p(float(share @ np.expm1(np.clip(sigma * z, -limit, limit)))) / sigma**2
    return table


def _block_shift(pool: StepFactorPath, garch: FactorFactor, starts: NDArray[np.int64], block_bars: int) -> FactorFactor:
    """Mean z [factor, position in the block], weighted by the sigma that the bars before it in the block have made.

    The pool has mean 0 over all bars, but a bar after a crash bar is a rebound more often than not, and there sigma is
    high: without this the price would drift. Sigma starts every block at its long-run value.
    """
    shift = np.empty((pool.shape[0], block_bars))
    for f, (omega, alpha, gamma, beta, _, _) in enumerate(garch):
        h = np.full(starts.size, omega / (1.0 - alpha - gamma / 2.0 - beta))
        for k in range(block_bars):
            z = pool[f, (starts + k) % pool.shape[1], 0]
            sigma = np.sqrt(h)
            shift[f, k] = float(sigma @ z) / float(sigma.sum())
            h = omega + (alpha + gamma * (z < 0.0)) * h * z**2 + beta * h
    return shift


def _garch_row(seen: _Filter, *, as_of_stale: bool) -> list[float]:
    start = seen.next_variance
    if as_of_stale:
        start = max(start, seen.fit.parameters.long_run_variance)
    return [*seen.fit.parameters.as_vector(), start]


def _info(history: History, bars: JointBars, filters: Sequence[_Filter], z: FactorFactor) -> ScenarioInfo:
    correlation = np.atleast_2d(np.corrcoef(z))
    np.fill_diagonal(correlation, 1.0)
    params: dict[str, str] = {}
    warnings = list(history.issues)
    for name, seen, row in zip(bars.factors, filters, z, strict=True):
        garch = seen.fit.parameters
        params[f"volatility.{name}"] = seen.fit.method
        params[f"garch.{name}"] = (
            f"alpha {garch.alpha:.4g}, gamma {garch.gamma:.4g}, beta {garch.beta:.4g}, long run "
            f"{annual_volatility(garch.long_run_variance, step_s=bars.step_s):.4g} a year, start "
            f"{annual_volatility(seen.next_variance, step_s=bars.step_s):.4g} a year"
        )
        params[f"largest_standardised_move.{name}"] = f"{row.min():.3g} to {row.max():.3g} sigma"
        if seen.fit.method == FALLBACK:
            warnings.append(f"{name}: {FALLBACK} in place of a GARCH fit, because {seen.fit.note}")
    params["joint_bars"] = str(bars.n_usable)
    params["bars_left_out"] = str(int((~bars.usable).sum()))
    params["pool"] = f"{utc_text(bars.start_utc_ns)} to {utc_text(bars.end_utc_ns)}, without the first {BURN_IN_BARS}"
    return ScenarioInfo(
        factors=bars.factors,
        step_s=bars.step_s,
        loading=one_factor_loading(correlation),
        correlation=correlation,
        method="filtered",
        label="Filtered historical simulation, GJR-GARCH volatility, joint standardised bars",
        params=params,
        input_sha256=history.sha256,
        as_of=utc_text(bars.end_utc_ns),
        warnings=tuple(warnings),
        not_modelled=(
            "standardised moves larger than the largest seen",
            "dependence of standardised bars across block edges",
            "parameter uncertainty",
        ),
    )


def _with_settings(info: ScenarioInfo, *, window_bars: int, block_bars: int, as_of_stale: bool) -> ScenarioInfo:
    """Return the info with the settings of the fit written into its parameters."""
    settings = {
        "fit_window_bars": f"{window_bars} (fit and hours; the pool uses all bars)",
        "block_bars": str(block_bars),
        "hours": "24 hours x weekday or weekend, UTC" if info.step_s < SECONDS_PER_DAY else "not modelled",
        "start": "larger of last and long-run variance" if as_of_stale else "last conditional variance",
        "largest_move": f"{MAX_MOVE_MULTIPLE:g} times the largest log move of the pool",
        "step_variance": "conditional variance times the range variance of the drawn bar (mean 1)",
    }
    warnings = info.warnings
    if as_of_stale:
        warnings = (*warnings, f"the history ends {info.as_of}: volatility starts at no less than its long run")
    return replace(info, params={**info.params, **settings}, warnings=warnings)
