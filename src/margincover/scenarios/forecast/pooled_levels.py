"""The regressions of the pooled model: log range, quantile at 5 % with many terms, smaller tolerances with few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector
from margincover.numeric.quantile_regression import fit_quantile
from margincover.scenarios.forecast.pooled_panel import Panel, Refit
from margincover.scenarios.forecast.required import Side

# Half-lives of training days: the range has thousands of days behind each coefficient, the tail at 5 % drifts with the
# market, the step from there to 1 % has few exceedances and needs long memory.
SCALE_HALF_LIFE_DAYS = 700.0
LEVEL_HALF_LIFE_DAYS = 350.0
TAIL_HALF_LIFE_DAYS = 700.0
# Penalties in units of one row's weight; that of the constant is next to none.
SCALE_RIDGE, LEVEL_RIDGE, TAIL_RIDGE, RIDGE_OF_CONSTANT = 5.0, 5.0, 30.0, 0.1
# Share of the base's own step between two tolerances that the smaller one starts from.
STEP_SHARE = 0.7
# Exceedances at the base's own tail that a far tail starts with.
PRIOR_EXCEEDANCES = 20.0
_SMALLEST_RANGE = 1e-3
# About the log quantile over the log range at 1 %, and the log step from 5 % to 1 %: they centre regressors, no more.
_TYPICAL_QUANTILE, _TYPICAL_STEP = 1.0, 0.5


def log_ranges(panel: Panel, refits: list[Refit]) -> Vector:
    """Return the forecast of the log range (fall plus rise) of the horizon [row].

    Notes
    -----
    Least squares over all coins on log range minus log five-day volatility. Rows before the first refit take its
    coefficients: they are never answered with it, they only teach later regressions.
    """
    range_came = np.exp(panel.came).sum(axis=1)
    target = np.log(np.maximum(range_came, _SMALLEST_RANGE)) - panel.recent
    design = panel.scale_design
    ridge = np.diag(_ridge(design.shape[1], SCALE_RIDGE))
    out = panel.recent.copy()
    for number, refit in enumerate(refits):
        x = design[refit.taught]
        weighted = x * refit.age_weight(panel, SCALE_HALF_LIFE_DAYS)[:, None]
        found = np.linalg.solve(weighted.T @ x + ridge, weighted.T @ target[refit.taught])
        rows = refit.answered | (panel.time < refit.now) if number == 0 else refit.answered
        out[rows] += design[rows] @ found
    return out


def rich_levels(panel: Panel, refits: list[Refit], k: int, tail: float, log_range: Vector) -> NDArray[np.float64]:
    """Return log distances [row, side] at a tolerance of 5 % or more; where no refit answered, the base's.

    Notes
    -----
    It starts half way between the range forecast and the base. Terms: side, moves of one and five days towards the
    loss, range over the coin's level, base over range, level of the coin over the market, level of the market.
    """
    own = _both(log_range - panel.own_level)
    quantile = panel.base[:, :, k]
    design = np.stack(
        [
            *_constant_and_side(panel),
            panel.moves[:, :, 0],
            panel.moves[:, :, 1],
            own,
            quantile - _both(log_range) - _TYPICAL_QUANTILE,
            _both(panel.levels[:, 0]),
            _both(panel.levels[:, 1]),
        ],
        axis=2,
    )
    start = 0.5 * (_both(log_range) + quantile)
    return _regressed(panel, refits, (quantile, start, design), tail, (LEVEL_RIDGE, LEVEL_HALF_LIFE_DAYS))


def tail_levels(
    panel: Panel, refits: list[Refit], k: int, tail: float, above: tuple[int, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return log distances [row, side] at a tolerance of 1 % to 5 % from those at 5 %, ``above`` = (place, levels).

    Notes
    -----
    It starts from the level at 5 % plus 0.7 of the base's own step. Terms: side, level at 5 % over the coin's level,
    base over the level at 5 %; strongly shrunk, as exceedances are few.
    """
    place, level = above
    quantile = panel.base[:, :, k]
    start = level + STEP_SHARE * (quantile - panel.base[:, :, place])
    design = np.stack(
        [
            *_constant_and_side(panel),
            level - panel.own_level[:, None],
            quantile - level - _TYPICAL_STEP,
        ],
        axis=2,
    )
    return _regressed(panel, refits, (quantile, start, design), tail, (TAIL_RIDGE, TAIL_HALF_LIFE_DAYS))


def far_factor(panel: Panel, refits: list[Refit], level: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    """Return the log factor [row, 1] that would have made a far tail right so far, shrunk to 0 at first."""
    factor = np.zeros((panel.time.size, 1))
    for refit in refits:
        excess = (panel.came[refit.taught] - level[refit.taught]).ravel()
        weight = np.repeat(refit.age_weight(panel, TAIL_HALF_LIFE_DAYS), len(Side))
        order = np.argsort(excess)[::-1]
        place = int(np.searchsorted(np.cumsum(weight[order]), tail * weight.sum()))
        known = float(weight.sum()) * tail
        factor[refit.answered] = excess[order[place]] * known / (known + PRIOR_EXCEEDANCES)
    return factor


def _regressed(
    panel: Panel,
    refits: list[Refit],
    terms: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    tail: float,
    shrinkage: tuple[float, float],
) -> NDArray[np.float64]:
    """Fit ``came`` on ``start`` + design at every refit; (quantile of the base, start, design), (ridge, half-life)."""
    quantile, start, design = terms
    n_terms = design.shape[2]
    level, found = quantile.copy(), np.zeros(n_terms)
    for refit in refits:
        weight = refit.level_weight(panel) * refit.age_weight(panel, shrinkage[1])[:, None]
        found = fit_quantile(
            design[refit.taught].reshape(-1, n_terms),
            (panel.came[refit.taught] - start[refit.taught]).ravel(),
            tail=tail,
            weights=weight.ravel(),
            ridge=_ridge(n_terms, shrinkage[0]),
            start=found,
        )
        level[refit.answered] = start[refit.answered] + design[refit.answered] @ found
    return level


def _ridge(n_terms: int, ridge: float) -> Vector:
    penalty = np.full(n_terms, ridge)
    penalty[0] = RIDGE_OF_CONSTANT
    return penalty


def _both(values: Vector) -> NDArray[np.float64]:
    """Repeat [row] for both sides."""
    return np.repeat(values[:, None], len(Side), axis=1)


def _constant_and_side(panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shape = (panel.time.size, len(Side))
    return np.ones(shape), np.broadcast_to(np.arange(len(Side), dtype=np.float64), shape)
