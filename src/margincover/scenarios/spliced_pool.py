"""Standardised bars of one coin with generalised-Pareto tails on both sides, as the compiled recursion draws them.

A bar whose low (or high) lies beyond the threshold keeps its date and its rank among the bars beyond it; its size is
drawn within the cell of that rank: the k-th largest of N lies between the tail's quantiles (k - 1) / N and k / N. Over
all draws the sizes then follow the fitted tail exactly, and a bar that was the worst of one coin on the worst day of
another stays so. The largest has no upper end but that of the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, FactorPath, Vector
from margincover.numeric.pareto_tail import SHAPE_BOUNDS, ParetoTail, fit_excesses, fit_pareto_tail
from margincover.numeric.recursions import CONVEXITY_NODES, CONVEXITY_SPACING
from margincover.numeric.recursions_reference import pareto_size, spliced_bars

MIN_TAIL_BARS = 100
# More than this is no tail: where 100 bars need it, the tail stays as seen.
MAX_TAIL_SHARE = 0.15
# Nearer to 0 than this the sizes beyond are no tail: those of a coin that hardly ever moves this way.
MIN_THRESHOLD = 0.1
# Shares at which the shape is reported, to show how much it depends on the threshold.
SHAPE_GRID = (0.10, 0.075, 0.05, 0.03, 0.02)
# Beyond this rank the size is linear within its cell: it is within 1e-4 of the tail's own there.
EXACT_RANKS = 32
# Panels of u for means over the exact cells; the quantile of the largest has its singularity at 0.
_PANELS = np.array([0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.4, 1.0])
_GAUSS_NODES, _GAUSS_WEIGHTS = (np.array(part) for part in ((-(0.6**0.5), 0.0, 0.6**0.5), (5 / 18, 8 / 18, 5 / 18)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SideTail:
    """Tail of one side as fitted, or None with the reason why the bars are drawn as seen; ``text`` is for people."""

    tail: ParetoTail | None
    text: str
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplicedPool:
    """One coin's drawable bars.

    Parameters
    ----------
    rows : array [bar, 4]
        Close, low, high in units of sigma and the number of the bar's cell; see ``recursions.gjr_bar_paths``. Bars
        that are never drawn are NaN.
    cells : array [cell, 4]
    tails : array [side, 3]
    spread : float
        What turns the square of a range into its variance.
    convexity : array [node]
    mean_close : array [bar]
        Mean close of each bar over its cell.
    sides : (SideTail, SideTail)
        Of falls and of rises.
    """

    rows: NDArray[np.float32]
    cells: FactorPath
    tails: FactorPath
    spread: float
    convexity: Vector
    mean_close: Vector
    sides: tuple[SideTail, SideTail]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Law:
    """The law of one drawn bar as weighted points: ``weight``, close, low and high [point], and each point's bar."""

    weight: Vector
    close: Vector
    low: Vector
    high: Vector
    bar: NDArray[np.int64]


def spliced_pool(bars: FactorFactor, weights: Vector, *, share: float, limit: float, sigma: float) -> SplicedPool:
    """Return the pool of one coin, with mean square 1 at its usual volatility.

    Parameters
    ----------
    bars : array [bar, 3]
        Close, low and high over the previous close in units of the conditional sigma; the mean close over ``weights``
        is 0.
    weights : array [bar]
        Probability of each bar; 0 for bars that are never drawn.
    share : float
        Part of the bars that is tail on each side; 0 leaves both as seen.
    limit : float
        Largest absolute log move of a step.
    sigma : float
        Long-run sigma of a step. The variance of the drawn moves, cut at ``limit``, is made 1 there: with a heavy tail
        it depends on where moves are cut.
    """
    drawn = weights > 0.0
    sides = (_side_tail(-bars[drawn, 1], share), _side_tail(bars[drawn, 2], share))
    rows, cells = _cells(bars, weights, [each.tail for each in sides])
    tails = np.array(
        [[0.0, 0.0, 0.0] if t is None else [t.threshold, t.scale, t.shape] for t in (each.tail for each in sides)]
    )
    law = _law(rows, cells, tails, weights)
    close = np.clip(law.close, -limit / sigma, limit / sigma)
    mean = float(law.weight @ close)
    deviation = float(np.sqrt(law.weight @ (close - mean) ** 2))
    rows[:, :3] /= np.float32(deviation)
    tails[:, :2] /= deviation
    # again, because the rows are kept in single precision: what is centred must be what is drawn
    law = _law(rows, cells, tails, weights)
    span = np.minimum(law.high, limit / sigma) - np.maximum(law.low, -limit / sigma)
    return SplicedPool(
        rows=rows,
        cells=cells,
        tails=tails,
        spread=1.0 / float(law.weight @ span**2),
        convexity=_convexity(law, limit),
        mean_close=_mean_close(law, weights),
        sides=sides,
    )


def _side_tail(sizes: Vector, share: float) -> SideTail:
    """Fit the tail of ``sizes`` [bar] beyond its quantile 1 - share, or beyond more of them to have 100."""
    if share == 0.0:
        return SideTail(tail=None, text="as seen, by the setting")
    used = max(share, (MIN_TAIL_BARS + 0.5) / sizes.size)
    try:
        if used > max(share, MAX_TAIL_SHARE):
            raise InputError(f"{sizes.size} bars", allowed=f"{int(MIN_TAIL_BARS / MAX_TAIL_SHARE) + 1} for a tail")
        threshold = float(np.quantile(sizes, 1.0 - used))
        if threshold < MIN_THRESHOLD:
            raise InputError(f"a threshold of {threshold:.3g} sigma", allowed=f"at least {MIN_THRESHOLD:g}")
        tail = fit_pareto_tail(sizes, share=used, min_exceedances=MIN_TAIL_BARS)
    except InputError as error:
        reason = f"{error.found}, allowed {error.allowed}"
        return SideTail(tail=None, text=f"as seen: {reason}", warning=f"as seen in place of a Pareto tail ({reason})")
    text = (
        f"generalised Pareto beyond {tail.threshold:.3g} sigma ({tail.share:.2%} of bars, "
        f"{round(tail.share * sizes.size)}), shape {tail.shape:.3g}, scale {tail.scale:.3g}; shape by threshold: "
        f"{_shapes(sizes)}"
    )
    fitted = tail.fitted_shape
    if not tail.shape_was_bounded or fitted is None:
        return SideTail(tail=tail, text=text)
    infinite = ", at which Expected Shortfall is infinite" if fitted >= 1.0 else ""
    low, high = SHAPE_BOUNDS
    warning = f"the fitted shape was {fitted:.3g}{infinite}; {tail.shape:g} is used (bounds {low:g} to {high:g})"
    return SideTail(tail=tail, text=f"{text}; {warning}", warning=warning)


def _shapes(sizes: Vector) -> str:
    """Return the fitted shape, without bounds, at several thresholds, as text."""
    found = []
    for share in SHAPE_GRID:
        threshold = float(np.quantile(sizes, 1.0 - share))
        excess = sizes[sizes > threshold] - threshold
        if excess.size >= MIN_TAIL_BARS // 2:
            found.append(f"{share:.1%} {fit_excesses(excess)[0]:.2f}")
    return ", ".join(found) or "too few bars"


def _cells(
    bars: FactorFactor, weights: Vector, tails: Sequence[ParetoTail | None]
) -> tuple[NDArray[np.float32], FactorPath]:
    """Rows with cell numbers, and the cells."""
    rows = np.full((weights.size, 4), np.nan, dtype=np.float32)
    drawn = weights > 0.0
    rows[drawn, :3] = bars[drawn]
    rows[drawn, 3] = 0.0
    stretch = np.tile([1.0, 0.0, 1.0, 0.0], (weights.size, 1))
    for side, tail in enumerate(tails):
        if tail is None:
            continue
        size = np.where(drawn, -rows[:, 1] if side == 0 else rows[:, 2], 0.0).astype(np.float64)
        beyond = np.flatnonzero(size > tail.threshold)
        order = beyond[np.argsort(-size[beyond], kind="stable")]
        edges = np.concatenate(([0.0], np.cumsum(weights[order]))) / weights[order].sum()
        first, last = edges[:-1], np.minimum(edges[1:], 1.0)
        law = np.array([tail.threshold, tail.scale, tail.shape])
        far = pareto_size(np.maximum(first, 1e-300), law) / size[order]
        near = pareto_size(last, law) / size[order]
        exact = np.arange(order.size) < EXACT_RANKS
        stretch[order, 2 * side] = np.where(exact, first - last, far)
        stretch[order, 2 * side + 1] = np.where(exact, first, near - far)
    in_tail = np.flatnonzero((stretch != [1.0, 0.0, 1.0, 0.0]).any(axis=1))
    rows[in_tail, 3] = np.arange(1, in_tail.size + 1)
    return rows, np.concatenate(([[1.0, 0.0, 1.0, 0.0]], stretch[in_tail]))


def _law(rows: NDArray[np.float32], cells: FactorPath, tails: FactorPath, weights: Vector) -> _Law:
    """Points of the law: one for a bar in no tail or deep in its rank, a quadrature over u for the exact cells."""
    drawn = np.flatnonzero(weights > 0.0)
    exact = (cells[rows[drawn, 3].astype(np.int64)][:, (0, 2)] < 0.0).any(axis=1)
    width = np.diff(_PANELS)[:, None]
    u = (_PANELS[:-1, None] + width * (0.5 + 0.5 * _GAUSS_NODES)).ravel()
    share = (width * _GAUSS_WEIGHTS).ravel()
    few = drawn[exact]
    bar = np.concatenate([drawn[~exact], np.repeat(few, u.size)])
    uniform = np.concatenate([np.full(bar.size - few.size * u.size, 0.5), np.tile(u, few.size)])
    part = np.concatenate([np.ones(bar.size - few.size * u.size), np.tile(share, few.size)])
    close, low, high = spliced_bars(rows[bar], cells, tails, uniform)
    return _Law(weight=weights[bar] * part, close=close, low=low, high=high, bar=bar)


def _convexity(law: _Law, limit: float) -> Vector:
    """c(sigma) / sigma^2 on the grid of the kernel, with E exp(clip(sigma z) - sigma E z - c) = 1."""
    mean = float(law.weight @ law.close)
    table = np.empty(CONVEXITY_NODES)
    for i in range(1, CONVEXITY_NODES):
        sigma = i * CONVEXITY_SPACING
        # expm1: at small sigma the mean of exp is 1 up to 1e-7, and its log would lose half the digits
        growth = np.log1p(float(law.weight @ np.expm1(np.clip(sigma * law.close, -limit, limit))))
        table[i] = (growth - sigma * mean) / sigma**2
    # half the variance; below the first node it makes no difference to any price
    table[0] = table[1]
    return table


def _mean_close(law: _Law, weights: Vector) -> Vector:
    total = np.bincount(law.bar, weights=law.weight * law.close, minlength=weights.size)
    mean = np.full(weights.size, np.nan)
    drawn = weights > 0.0
    mean[drawn] = total[drawn] / weights[drawn]
    return mean
