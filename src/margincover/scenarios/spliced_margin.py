"""Semi-parametric margin: the bars as seen in the middle, generalised Pareto tails on both sides."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.pareto_tail import ParetoTail, fit_pareto_tail

# A twentieth of the bars on each side, and never fewer than a hundred of them.
TAIL_SHARE = 0.05
MIN_TAIL_BARS = 100
# At 1/2 the variance of a bar would be infinite and sigma would mean nothing; hourly bars of large coins give 0.15 to
# 0.35.
SHAPE_BOUNDS = (-0.2, 0.45)
# A threshold nearer to 0 than this is no tail (a pegged coin that hardly moves): scaling its bars would be meaningless.
_MIN_THRESHOLD = 0.2
# Panels of the quadrature over log(share / tail probability); beyond e^-64 nothing is left.
_PANELS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_NODES_PER_PANEL = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SplicedMargin:
    """Law of one coin's standardised close, mean 0 and variance 1.

    ``order`` [rank] is the sample of each rank and ``ordered`` [rank] its close, already recentred. ``tails`` [2, 4] is
    share, threshold, shape and scale of the lower and the upper tail, both as positive sizes; a share of 0 means that
    the sample stands in for its tail. ``span_mean`` is the mean range variance of a draw; ``notes`` what was bounded.
    """

    order: NDArray[np.int64]
    ordered: Vector
    tails: FactorFactor
    deviation: float
    span_mean: float
    notes: tuple[str, ...]

    def law(self) -> tuple[Vector, Vector]:
        """Return values and weights [atom] of the margin: its ranks, and a quadrature of its tails."""
        values, weights = [self.ordered], [_inner_weights(self.ordered.size, self.tails)]
        for sign, (share, threshold, shape, scale) in zip((-1.0, 1.0), self.tails, strict=True):
            if share > 0.0:
                log_ratio, mass = _tail_nodes()
                values.append(sign * (threshold + scale * _growth(log_ratio, shape)))
                weights.append(share * mass)
        return np.concatenate(values), np.concatenate(weights)


def spliced_margin(close: Vector, span: Vector) -> SplicedMargin:
    """Return the margin of standardised closes [sample] with their range variances [sample].

    Notes
    -----
    Each tail holds 5 % of the sample, at least 100 bars; its shape is bounded to [-0.2, 0.45]. Mean and variance of the
    spliced law are known in closed form and taken out, so that it has mean 0 and variance 1. A bar drawn in a tail is
    the real bar of that rank, scaled to the quantile of the Pareto law.
    """
    order = np.argsort(close, kind="stable")
    ordered = close[order]
    share = max(TAIL_SHARE, MIN_TAIL_BARS / close.size)
    notes: list[str] = []
    found = [_tail(sign * close, share, word, notes) for sign, word in ((-1.0, "lower"), (1.0, "upper"))]
    raw = np.array([[0.0] * 4 if t is None else [t.share, t.threshold, t.shape, t.scale] for t in found])
    mean, square = _moments(ordered, raw)
    deviation = float(np.sqrt(square - mean**2))
    tails = raw.copy()
    # the lower tail is -(threshold + y): taking the mean out adds it there
    tails[:, 1] = np.where(raw[:, 0] > 0.0, raw[:, 1] + np.array([mean, -mean]), 0.0) / deviation
    tails[:, 3] = raw[:, 3] / deviation
    ordered = (ordered - mean) / deviation
    return SplicedMargin(
        order=order.astype(np.int64),
        ordered=ordered,
        tails=tails,
        deviation=deviation,
        span_mean=_span_mean(ordered, span[order], tails),
        notes=tuple(notes),
    )


def tail_words(tails: FactorFactor) -> str:
    """Return the shapes of both tails in words, for ``ScenarioInfo.params``."""
    sides = []
    for word, (share, threshold, shape, scale) in zip(("lower", "upper"), tails, strict=True):
        if share > 0.0:
            sides.append(f"{word} shape {shape:.3g}, scale {scale:.3g}, from {threshold:.3g} sigma ({share:.3g})")
        else:
            sides.append(f"{word} as seen")
    return "; ".join(sides)


def _tail(values: Vector, share: float, word: str, notes: list[str]) -> ParetoTail | None:
    try:
        tail = fit_pareto_tail(values, share=share, bounds=SHAPE_BOUNDS)
    except InputError as error:
        notes.append(f"{word} tail as seen, without a Pareto law: {error}")
        return None
    if tail.threshold < _MIN_THRESHOLD:
        notes.append(f"{word} tail as seen, without a Pareto law: its threshold was {tail.threshold:.3g} sigma")
        return None
    if tail.shape_was_bounded:
        notes.append(
            f"{word} tail: the fitted shape lay outside {SHAPE_BOUNDS[0]:g} to {SHAPE_BOUNDS[1]:g}, bound used"
        )
    return tail


def _inner_weights(n: int, tails: FactorFactor) -> Vector:
    """Probability [rank] of each rank outside the tails; a rank that a threshold cuts counts in part."""
    return np.asarray(np.diff(np.clip(np.arange(n + 1) / n, tails[0, 0], 1.0 - tails[1, 0])), dtype=np.float64)


def _beyond(probability: Vector, tail: Vector) -> tuple[Vector, Vector]:
    """Integrals of Q and Q^2 over tail probabilities 0 to ``probability`` <= share, in closed form.

    Beyond any of its own quantiles q a Pareto tail is one again: scale grows with its shape, the shape stays.
    """
    share, threshold, shape, scale = tail
    with np.errstate(divide="ignore"):
        log_ratio = np.log(share / probability)
    empty = probability <= 0.0
    log_ratio = np.where(empty, 0.0, log_ratio)
    q = threshold + scale * _growth(log_ratio, shape)
    mean = scale * np.exp(shape * log_ratio) / (1.0 - shape)
    square = 2.0 * mean**2 * (1.0 - shape) / (1.0 - 2.0 * shape)
    mass = np.where(empty, 0.0, probability)
    return mass * (q + mean), mass * (q**2 + 2.0 * q * mean + square)


def _moments(ordered: Vector, tails: FactorFactor) -> tuple[float, float]:
    """Mean and mean square of the spliced law."""
    weights = _inner_weights(ordered.size, tails)
    mean, square = float(weights @ ordered), float(weights @ ordered**2)
    for sign, tail in zip((-1.0, 1.0), tails, strict=True):
        if tail[0] > 0.0:
            first, second = _beyond(tail[:1], tail)
            mean += sign * float(first[0])
            square += float(second[0])
    return mean, square


def _span_mean(ordered: Vector, span: Vector, tails: FactorFactor) -> float:
    """Mean of the range variance of a draw: that of the bar times the square of its scaling; ``span`` [rank]."""
    n = span.size
    total = float(_inner_weights(n, tails) @ span)
    for side, tail in enumerate(tails):
        if tail[0] > 0.0:
            edges = np.minimum(np.arange(np.ceil(tail[0] * n - 1e-9) + 1) / n, tail[0])
            squares = np.diff(_beyond(edges, tail)[1])
            rank = np.arange(squares.size) if side == 0 else n - 1 - np.arange(squares.size)
            total += float(squares @ (span[rank] / ordered[rank] ** 2))
    return total


def _tail_nodes() -> tuple[Vector, Vector]:
    """Nodes y = log(share / tail probability) and their probability given the tail."""
    x, w = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    nodes, mass = [], []
    for low, high in itertools.pairwise(_PANELS):
        y = low + (high - low) * 0.5 * (x + 1.0)
        nodes.append(y)
        mass.append(0.5 * (high - low) * w * np.exp(-y))
    weight = np.concatenate(mass)
    return np.concatenate(nodes), weight / weight.sum()


def _growth(log_ratio: Vector, shape: float) -> Vector:
    return log_ratio if abs(shape) < 1e-9 else np.asarray(np.expm1(shape * log_ratio) / shape, dtype=np.float64)
