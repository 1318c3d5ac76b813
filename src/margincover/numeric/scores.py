"""Scores of quantile and Expected Shortfall forecasts: losses, exact-rate scale, procyclicality, loss ratios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioInterval:
    """A ratio of mean losses and the ends of its 95 % bootstrap interval."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Procyclicality:
    """Largest over smallest requirement, and the largest relative rise over 1, 5 and 30 steps (0.5 is 50 %)."""

    peak_to_trough: float
    jump_1: float
    jump_5: float
    jump_30: float


def quantile_loss(loss: Vector, quantile: Vector, *, tail: float) -> Vector:
    """Return the pinball loss [window] of forecasts of the (1 - tail)-quantile; smaller is better.

    Examples
    --------
    >>> quantile_loss(np.array([2.0, 0.0]), np.array([1.0, 1.0]), tail=0.25).tolist()
    [0.75, 0.25]
    """
    over = loss - quantile
    return np.asarray(np.maximum((1.0 - tail) * over, -tail * over), dtype=np.float64)


def fissler_ziegel(loss: Vector, quantile: Vector, shortfall: Vector, *, tail: float) -> Vector:
    """Return the FZ0 loss [window] of joint quantile and Expected Shortfall forecasts; smaller is better.

    Notes
    -----
    With losses positive: max(x - q, 0) / (a e) + q / e + ln e - 1, for e > 0. It depends on relative errors only.

    References
    ----------
    Patton, Ziegel, Chen (2019), Dynamic semiparametric models for Expected Shortfall, Journal of Econometrics
    211:388-413, doi:10.1016/j.jeconom.2018.10.008.
    """
    if not (shortfall > 0.0).all():
        raise InputError(f"smallest was {shortfall.min():g}", field="shortfall", allowed="> 0")
    over = np.maximum(loss - quantile, 0.0)
    return np.asarray(over / (tail * shortfall) + quantile / shortfall + np.log(shortfall) - 1.0, dtype=np.float64)


def exact_rate_scale(loss: Vector, quantile: Vector, *, tail: float) -> float:
    """Return the one factor on all forecasts after which a share ``tail`` of the windows exceeds.

    Notes
    -----
    The (1 - tail)-quantile of loss / forecast, with linear interpolation between order statistics. It uses what came,
    so it compares models at equal coverage; it is no forecast.
    """
    if not (quantile > 0.0).all():
        raise InputError(f"smallest was {quantile.min():g}", field="quantile", allowed="> 0")
    return float(np.quantile(loss / quantile, 1.0 - tail))


def procyclicality(requirement: Vector) -> Procyclicality:
    """Return peak over trough and the worst rises of a requirement [step] for a constant position.

    Notes
    -----
    n-step rise: max over t of requirement[t + n] / requirement[t] - 1; never below 0. A series shorter than n has 0.
    """
    if requirement.size == 0 or not (requirement > 0.0).all():
        raise InputError("was empty or not positive", field="requirement", allowed="figures > 0")

    def jump(n: int) -> float:
        return max(0.0, float((requirement[n:] / requirement[:-n]).max() - 1.0)) if requirement.size > n else 0.0

    peak = float(requirement.max() / requirement.min())
    return Procyclicality(peak_to_trough=peak, jump_1=jump(1), jump_5=jump(5), jump_30=jump(30))


def loss_ratio_interval(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], *, block: int, draws: int, rng: np.random.Generator
) -> RatioInterval:
    """Return the ratio of mean losses over series and its interval by a bootstrap of blocks of dates.

    Parameters
    ----------
    ours, theirs : array [series, date]
        Losses on one calendar; NaN where a series has no window. ``theirs`` has a positive mean in every series.
    block : int
        Dates drawn together, the same for every series, so that dependence across coins stays.

    Notes
    -----
    Every series counts alike: the ratio is the mean over series of (mean of ours / mean of theirs).
    """
    if ours.shape != theirs.shape or ours.ndim != 2:
        raise InputError(f"shapes {ours.shape} and {theirs.shape}", field="losses", allowed="equal, [series, date]")
    sums = [_block_sums(table, block) for table in (ours, theirs)]
    counts = _drawn_blocks(sums[0].shape[1], draws, rng)
    with np.errstate(divide="ignore", invalid="ignore"):
        # a short series may have no date in a draw; it is left out of that draw
        drawn = np.nanmean((sums[0] @ counts.T) / (sums[1] @ counts.T), axis=0)
    low, high = np.quantile(drawn, (0.025, 0.975))
    ratio = float((sums[0].sum(axis=1) / sums[1].sum(axis=1)).mean())
    return RatioInterval(ratio=ratio, low=float(low), high=float(high))


def pooled_rates(hits: NDArray[np.float64], *, block: int, draws: int, rng: np.random.Generator) -> Vector:
    """Return bootstrapped rates [draw] of hits [series, date] (NaN for no window), blocks of dates drawn together."""
    sums, present = _block_sums(hits, block), _block_sums(np.where(np.isnan(hits), np.nan, 1.0), block)
    counts = _drawn_blocks(sums.shape[1], draws, rng)
    return np.asarray((counts @ sums.sum(axis=0)) / (counts @ present.sum(axis=0)), dtype=np.float64)


def _block_sums(table: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """Return sums [series, block] over dates; a missing date adds nothing."""
    n_blocks = -(-table.shape[1] // block)
    pad = ((0, 0), (0, n_blocks * block - table.shape[1]))
    padded = np.pad(table, pad, constant_values=np.nan)
    return np.asarray(np.nansum(padded.reshape(len(table), n_blocks, block), axis=2), dtype=np.float64)


def _drawn_blocks(n_blocks: int, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return how often each block is drawn [draw, block]."""
    return np.stack(
        [np.bincount(rng.integers(n_blocks, size=n_blocks), minlength=n_blocks) for _ in range(draws)]
    ).astype(np.float64)
