"""Filtered historical simulation: standardised joint bars of the past, pushed through today's volatility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, frozen
from margincover.numeric.bootstrap import BlockChoice, bar_weights, draw_bars, eligible_starts
from margincover.numeric.recursions import gjr_bar_paths, gjr_filter
from margincover.numeric.rng import stream
from margincover.numeric.volatility import annual_volatility
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.dependence import one_factor_loading
from margincover.scenarios.garch_fit import FALLBACK, GarchFit, fit_gjr
from margincover.scenarios.request import require_request
from margincover.scenarios.seasonality import bucket_factors, hour_buckets
from margincover.scenarios.spliced_pool import MAX_TAIL_SHARE, SplicedPool, spliced_pool
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
# Part of the standardised bars on each side that follows a generalised Pareto tail; more where 100 bars need it.
TAIL_SHARE = 0.05


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

    Lows and highs beyond a quantile follow generalised Pareto tails: a bar keeps its date and its rank, its size is
    drawn (``spliced_pool``), with one number for all factors, so that a worse crash is a worse crash of all. A falling
    close is stretched with its low, a rising one with its high. Per factor the moves have mean 0 and variance 1; no
    step moves more than 1.5 times the largest log move of the pool.

    The move loses c(sigma), the log of the mean of exp(move) over bars and tails, and the sigma-weighted mean z of its
    place in the block. The price is then a martingale up to the serial dependence inside a block that these two do not
    see.

    References
    ----------
    Barone-Adesi, Giannopoulos, Vosper (1999), VaR without correlations for portfolios of derivative securities,
    Journal of Futures Markets 19:583-602. McNeil, Frey (2000), Journal of Empirical Finance 7:271-300,
    doi:10.1016/S0927-5398(00)00012-8.
    """

    info: ScenarioInfo
    block_bars: int
    _starts: NDArray[np.int64]
    _bars: NDArray[np.float32]
    _cells: NDArray[np.float64]
    _tails: NDArray[np.float64]
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
        tail_share: float = TAIL_SHARE,
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
        tail_share : float
            Part of the bars, on each side, whose size follows a generalised Pareto tail, 0.01 to 0.15; at least 100
            bars. 0 draws all bars as seen.

        Raises
        ------
        InputError
            For a missing factor, constant prices, fewer than 1,500 joint bars, or a block longer than the gaps allow.
        """
        bars = _enough_bars(history, factors)
        if window_bars < 2:
            raise InputError(f"was {window_bars}", field="window_bars", allowed="an integer >= 2")
        if tail_share != 0.0 and not 0.01 <= tail_share <= MAX_TAIL_SHARE:
            raise InputError(f"was {tail_share}", field="tail_share", allowed=f"0, or 0.01 to {MAX_TAIL_SHARE:g}")
        filters = [_filter(bars, f, window_bars=window_bars) for f in range(len(bars.factors))]
        usable = bars.usable.copy()
        usable[:BURN_IN_BARS] = False
        starts = eligible_starts(usable, block_bars=block_bars)
        weights = bar_weights(starts, block_bars=block_bars, n_bars=usable.size)
        limits = MAX_MOVE_MULTIPLE * np.maximum(-bars.low, bars.high)[:, weights > 0.0].max(axis=1)
        pools = [
            spliced_pool(
                _standardise(bars, f, seen, weights),
                weights,
                share=tail_share,
                limit=float(limits[f]),
                sigma=float(np.sqrt(seen.fit.parameters.long_run_variance)),
            )
            for f, seen in enumerate(filters)
        ]
        garch = np.array([_garch_row(seen, as_of_stale=as_of_stale) for seen in filters])
        rows = np.stack([pool.rows for pool in pools])
        info = _with_tails(_info(history, bars, filters, rows[:, weights > 0.0, 0].astype(np.float64)), pools)
        return cls(
            info=_with_settings(info, window_bars=window_bars, block_bars=block_bars, as_of_stale=as_of_stale),
            block_bars=block_bars,
            _starts=starts,
            _bars=rows,
            _cells=_padded([pool.cells for pool in pools]),
            _tails=np.stack([pool.tails for pool in pools]),
            _convexity=frozen([pool.convexity for pool in pools], name="convexity", ndim=2),
            _garch=frozen(np.column_stack((garch, limits, [pool.spread for pool in pools])), name="garch", ndim=2),
            _shift=frozen(
                _block_shift(np.stack([pool.mean_close for pool in pools]), garch, starts, block_bars),
                name="shift",
                ndim=2,
            ),
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
        return self.along(index, seed=seed, number=number)

    def block_choice(self) -> BlockChoice:
        """Return the blocks that are drawn, with their standardised closes times the present sigma."""
        sigma = np.sqrt(self._garch[:, 4])[:, None]
        closes = sigma * self._bars[:, :, 0].astype(np.float64)
        return BlockChoice(starts=self._starts, block_bars=self.block_bars, moves=closes)

    def along(self, index: NDArray[np.int32], *, seed: int, number: int) -> ScenarioBlock:
        """Return the paths of block ``number`` for given bars [step, path]."""
        n_steps, n_paths = index.shape
        buckets = hour_buckets(start_utc_ns=self._end_utc_ns, step_s=self.info.step_s, n_steps=n_steps)
        season = np.ascontiguousarray(self._season[:, buckets].T)
        shift = np.ascontiguousarray(self._shift[:, np.arange(n_steps) % self.block_bars].T)
        # in (0, 1]: 0 would be the end of a tail that has none
        within = 1.0 - stream(seed, "filtered.tails", number).random((n_steps, n_paths))
        close, low, high, variance = gjr_bar_paths(
            self._bars, (self._cells, self._tails), (index, within), season, self._garch, self._convexity, shift
        )
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
    """Standardised close, low and high [bar, 3], the close with mean 0 and variance 1; bars never drawn are NaN."""
    drawn = weights > 0.0
    result = np.full((weights.size, 3), np.nan)
    for k, moves in enumerate((bars.close[f], bars.low[f], bars.high[f])):
        result[drawn, k] = (moves[drawn] - seen.mean) / seen.sigma[drawn]
    share = weights[drawn]
    mean = float(share @ result[drawn, 0])
    deviation = float(np.sqrt(share @ (result[drawn, 0] - mean) ** 2))
    result[drawn] = (result[drawn] - mean) / deviation
    return result


def _padded(cells: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Cells [factor, cell, 4] of equal length; what is added is never read."""
    result = np.zeros((len(cells), max(len(each) for each in cells), 4))
    for f, each in enumerate(cells):
        result[f, : len(each)] = each
    return result


def _block_shift(close: FactorFactor, garch: FactorFactor, starts: NDArray[np.int64], block_bars: int) -> FactorFactor:
    """Mean z [factor, position in the block], weighted by the sigma that the bars before it in the block have made.

    ``close`` [factor, bar]. Its mean is 0 over all bars, but a bar after a crash bar is a rebound more often than not,
    and there sigma is high: without this the price would drift. Sigma starts every block at its long-run value.
    """
    shift = np.empty((close.shape[0], block_bars))
    for f, (omega, alpha, gamma, beta, _) in enumerate(garch):
        h = np.full(starts.size, omega / (1.0 - alpha - gamma / 2.0 - beta))
        for k in range(block_bars):
            z = close[f, (starts + k) % close.shape[1]]
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
        params[f"largest_standardised_move.{name}"] = f"{row.min():.3g} to {row.max():.3g} sigma seen"
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
        label="Filtered historical simulation, GJR-GARCH volatility, joint bars, Pareto tails",
        params=params,
        input_sha256=history.sha256,
        as_of=utc_text(bars.end_utc_ns),
        warnings=tuple(warnings),
        not_modelled=(
            "dependence of standardised bars across block edges",
            "parameter uncertainty",
        ),
    )


def _with_tails(info: ScenarioInfo, pools: Sequence[SplicedPool]) -> ScenarioInfo:
    """Return the info with the tails of every coin, their warnings, and what is then not modelled."""
    params, warnings, as_seen = dict(info.params), list(info.warnings), []
    for name, pool in zip(info.factors, pools, strict=True):
        for side, word, of in zip(pool.sides, ("down", "up"), ("falls", "rises"), strict=True):
            params[f"tail_{word}.{name}"] = side.text
            if side.warning:
                warnings.append(f"{name}: tail of {of}: {side.warning}")
            if side.tail is None:
                as_seen.append(f"{name} {of}")
    missing = [f"standardised moves larger than the largest seen ({', '.join(as_seen)})"] if as_seen else []
    return replace(info, params=params, warnings=tuple(warnings), not_modelled=(*missing, *info.not_modelled))


def _with_settings(info: ScenarioInfo, *, window_bars: int, block_bars: int, as_of_stale: bool) -> ScenarioInfo:
    """Return the info with the settings of the fit written into its parameters."""
    settings = {
        "fit_window_bars": f"{window_bars} (fit and hours; the pool uses all bars)",
        "block_bars": str(block_bars),
        "hours": "24 hours x weekday or weekend, UTC" if info.step_s < SECONDS_PER_DAY else "not modelled",
        "start": "larger of last and long-run variance" if as_of_stale else "last conditional variance",
        "largest_move": f"{MAX_MOVE_MULTIPLE:g} times the largest log move of the pool",
        "step_variance": "squared range of the drawn bar, tails included, with the mean of the conditional variance",
    }
    warnings = info.warnings
    if as_of_stale:
        warnings = (*warnings, f"the history ends {info.as_of}: volatility starts at no less than its long run")
    return replace(info, params={**info.params, **settings}, warnings=warnings)
