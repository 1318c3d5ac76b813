"""The default model: forecast range and simulated quantiles, combined by what all coins have shown so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.filtered import MIN_BARS
from margincover.scenarios.forecast.pooled_correction import Series, corrected
from margincover.scenarios.forecast.pooled_levels import (
    PRIOR_EXCEEDANCES,
    TAIL_HALF_LIFE_DAYS,
    far_factor,
    log_ranges,
    rich_levels,
    tail_levels,
)
from margincover.scenarios.forecast.pooled_panel import (
    ANCHOR_TAIL,
    BASE,
    DAY_NS,
    SHAPE_TAIL,
    Learned,
    Panel,
    Refit,
    panel_of,
    refits_of,
    usable_rows,
)
from margincover.scenarios.forecast.required import Forecast, Side, Tolerances, shortfall_maximum

NAME = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledForecast:
    """Range forecast and reference, combined by quantile regression over all coins, corrected along each series.

    Notes
    -----
    Every 28 days, on windows that had ended, over all coins: (1) least squares forecast the log range of the horizon
    from range volatilities of 6 hours to all history, those of BTC and of the market, moves, the weekdays ahead and the
    reference; (2) a quantile regression puts the level at 5 % between that range and the reference's quantile; (3) a
    short, strongly shrunk one goes from there to smaller tolerances down to 1 %. Below 1 % the reference's shape is
    followed, times a factor from what came. ``pooled_correction`` holds the rate of each series, and bounds rise and
    fall. Until 300 coin-days are known, the reference speaks alone.
    """

    name: str = NAME
    label: str = "Forecast range and reference, pooled quantile regression, online correction"

    def training_counts(self, bars: CoinBars) -> NDArray[np.int64]:
        """Return the bars closed at every 00:00 UTC at which the reference can answer."""
        first = -(-(bars.start_utc_ns + MIN_BARS * HOUR_NS) // DAY_NS) * DAY_NS
        last = bars.start_utc_ns + bars.n_bars * HOUR_NS
        return bars.closed_by(np.arange(first, last + 1, DAY_NS, dtype=np.int64))

    def forecast(
        self,
        market: Mapping[str, CoinBars],
        learned: Learned,
        asked: Mapping[str, NDArray[np.int64]],
        *,
        horizon_hours: int,
        base_tolerances: Tolerances,
    ) -> dict[str, Forecast]:
        """Return forecasts for the instants at which ``asked`` bars [window] had closed, by coin.

        Parameters
        ----------
        market : mapping of coin to CoinBars
        learned : mapping of coin to (counts, Forecast)
            The reference at all ``training_counts`` and all asked counts, rising, at ``base_tolerances``.
        base_tolerances : Tolerances
            Hold ``ANCHOR_TAIL`` and ``SHAPE_TAIL``; the forecasts have the same.

        Notes
        -----
        Instants at which the reference itself was replaced keep that answer and its name.
        """
        if not any(usable_rows(found).any() for found in learned.values()):
            return {coin: _base_alone(learned[coin], counts) for coin, counts in asked.items()}
        panel = panel_of(market, learned, horizon_hours, base_tolerances)
        refits = refits_of(panel)
        log_levels = _log_levels(panel, refits, base_tolerances)
        rc, rces = np.empty_like(panel.base), np.empty_like(panel.base)
        for k, tail in enumerate(base_tolerances.values):
            log_distance = _corrected(panel, log_levels[k], tail)
            for side in Side:
                rc[:, side, k] = shortfall_maximum(np.exp(log_distance[:, side]), side)
            rces[:, :, k] = rc[:, :, k] * _shortfall_ratio(panel, refits, k, rc[:, :, k], log_distance)
        rc = np.maximum.accumulate(rc, axis=2)
        rces = np.maximum.accumulate(np.maximum(rces, rc), axis=2)
        trained = np.zeros(panel.time.size, dtype=bool)
        for refit in refits:
            trained |= refit.answered
        return {coin: _answer(panel, coin, learned, asked, (rc, rces), trained) for coin in asked}


def _log_levels(panel: Panel, refits: list[Refit], tolerances: Tolerances) -> list[NDArray[np.float64]]:
    """Return uncorrected log distances [row, side] of each tolerance."""
    shape, anchor = (tolerances.values.index(tail) for tail in (SHAPE_TAIL, ANCHOR_TAIL))
    log_range = log_ranges(panel, refits)
    found: dict[int, NDArray[np.float64]] = {}
    for k, tail in enumerate(tolerances.values):
        if tail >= SHAPE_TAIL:
            found[k] = rich_levels(panel, refits, k, tail, log_range)
        elif tail >= ANCHOR_TAIL:
            found[k] = tail_levels(panel, refits, k, tail, (shape, found[shape]))
        else:
            level = found[anchor] + panel.base[:, :, k] - panel.base[:, :, anchor]
            found[k] = level + far_factor(panel, refits, level, tail)
    return [found[k] for k in range(len(tolerances.values))]


def _corrected(panel: Panel, level: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    out = np.empty_like(level)
    for number in range(len(panel.coins)):
        rows = np.flatnonzero(panel.coin == number)
        for side in Side:
            series = Series(
                time_utc_ns=panel.time[rows],
                is_day=panel.is_day[rows],
                log_level=level[rows, side],
                log_came=panel.came[rows, side],
            )
            out[rows, side] = corrected(series, tail=tail, horizon_ns=panel.horizon_hours * HOUR_NS, day_ns=DAY_NS)
    return out


def _shortfall_ratio(
    panel: Panel, refits: list[Refit], k: int, rc: NDArray[np.float64], log_distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return Expected Shortfall over quantile [row, side]: the base's, times what exceedances have shown of it."""
    came = np.stack([shortfall_maximum(np.exp(panel.came[:, side]), side) for side in Side], axis=1)
    factor = np.ones((panel.time.size, 1))
    for refit in refits:
        taught = refit.taught
        hits = panel.came[taught] > log_distance[taught]
        weight = refit.age_weight(panel, TAIL_HALF_LIFE_DAYS)[:, None] * hits
        ratio = panel.base_ratio[taught, :, k]
        prior = PRIOR_EXCEEDANCES * float(ratio.mean())
        seen = float((weight * came[taught] / rc[taught]).sum())
        factor[refit.answered] = (prior + seen) / (prior + float((weight * ratio).sum()))
    return panel.base_ratio[:, :, k] * factor


def _base_alone(learned: tuple[NDArray[np.int64], Forecast], asked: NDArray[np.int64]) -> Forecast:
    """Answers of the base, where no coin can teach."""
    counts, base = learned
    place = np.searchsorted(counts, asked)
    return Forecast(rc=base.rc[place], rces=base.rces[place], method=tuple(base.method[k] for k in place))


def _answer(
    panel: Panel,
    coin: str,
    learned: Learned,
    asked: Mapping[str, NDArray[np.int64]],
    figures: tuple[NDArray[np.float64], NDArray[np.float64]],
    trained: NDArray[np.bool_],
) -> Forecast:
    """Rows of one coin in the order asked; where the base was replaced, its own answer."""
    counts, base = learned[coin]
    place = np.searchsorted(counts, asked[coin])
    rc, rces = base.rc[place].copy(), base.rces[place].copy()
    method = [base.method[p] for p in place]
    rows = np.flatnonzero(panel.coin == panel.coins.index(coin))
    usable = usable_rows(learned[coin])[place]
    for k, count in enumerate(asked[coin]):
        if not usable[k]:
            continue
        row = rows[np.searchsorted(panel.count[rows], count)]
        rc[k], rces[k] = figures[0][row], figures[1][row]
        if method[k] == BASE:
            method[k] = NAME if trained[row] else f"{NAME}: reference alone, too few coin-days to learn from"
    return Forecast(rc=rc, rces=rces, method=tuple(method))
