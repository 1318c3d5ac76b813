"""Plain twins of the compiled DCC recursions: slow, readable, and equal to them (a test ties each pair)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath, Vector
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.recursions_reference import next_variance


def correlation_of(q: FactorFactor) -> FactorFactor:
    """Return the correlation [factor, factor] of a matrix Q."""
    scale = 1.0 / np.sqrt(np.diag(q))
    return np.asarray(q * np.outer(scale, scale), dtype=np.float64)


def next_q(q: FactorFactor, e: Vector, target: FactorFactor, a: float, b: float) -> FactorFactor:
    """Return Q' = (1 - a - b) S + a P e e' P + b Q; a NaN in e is a missing bar and enters by its expectation."""
    news = q if np.isnan(e).any() else np.outer(np.sqrt(np.diag(q)) * e, np.sqrt(np.diag(q)) * e)
    return (1.0 - a - b) * target + a * news + b * q


def cdcc_target(z: FactorFactor, a: float, b: float) -> FactorFactor:
    """Return S; see ``dcc_recursion.cdcc_target``."""
    q = np.eye(z.shape[1])
    total = np.zeros_like(q)
    for e in z:
        if not np.isnan(e).any():
            scaled = np.sqrt(np.diag(q)) * e
            total += np.outer(scaled, scaled)
        q = next_q(q, e, np.eye(z.shape[1]), a, b)
    return correlation_of(total)


def cdcc_filter(z: FactorFactor, target: FactorFactor, a: float, b: float) -> tuple[FactorFactor, Vector, FactorFactor]:
    """Return whitened moves, cost and the last Q; see ``dcc_recursion.cdcc_filter``."""
    q = target
    white, cost = np.full(z.shape, np.nan), np.zeros(z.shape[0])
    for t, e in enumerate(z):
        if not np.isnan(e).any():
            correlation = correlation_of(q)
            white[t] = np.linalg.solve(np.linalg.cholesky(correlation), e)
            cost[t] = np.log(np.linalg.det(correlation)) + e @ np.linalg.inv(correlation) @ e
        q = next_q(q, e, target, a, b)
    return white, cost, q


def cdcc_bar_paths(
    white: FactorFactor,
    inside: NDArray[np.float64],
    index: NDArray[np.int32],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
    start: FactorFactor,
    target: FactorFactor,
    news: Vector,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance; see ``dcc_recursion.cdcc_bar_paths``."""
    n_steps, n_paths = index.shape
    n_factors = white.shape[1]
    out = np.empty((4, n_steps, n_factors, n_paths))
    grid = np.arange(convexity.shape[1]) * CONVEXITY_SPACING
    for p in range(n_paths):
        q, h, x = start, garch[:, 4], np.zeros(n_factors)
        for t in range(n_steps):
            bar = inside[index[t, p]]  # [factor, 3]
            z = np.linalg.cholesky(correlation_of(q)) @ white[index[t, p]]
            sigma = np.sqrt(h) * season[t]
            drift = -np.array([np.interp(s, grid, row) for s, row in zip(sigma, convexity, strict=True)]) * sigma**2
            limit = garch[:, 5]
            move = np.clip(sigma * z, -limit, limit)
            y = x + move + drift
            low = x + drift + np.maximum(np.minimum(move, 0.0) - sigma * bar[:, 0], -limit)
            high = x + drift + np.minimum(np.maximum(move, 0.0) + sigma * bar[:, 1], limit)
            low, high = np.minimum(low, np.minimum(x, y)), np.maximum(high, np.maximum(x, y))
            out[:, t, :, p] = y, low, high, sigma**2 * bar[:, 2]
            h = next_variance(h[:, None], (move / season[t])[:, None], garch)[:, 0]
            q = next_q(q, move / sigma, target, news[0], news[1])
            x = y
    return out[0], out[1], out[2], out[3]
