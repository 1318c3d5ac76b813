"""Plain twin of the compiled t-copula paths: slow, readable, and equal to them (a test ties the pair)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.recursions_reference import next_variance


def pareto_size(tail: FactorPath, law: NDArray[np.float64]) -> FactorPath:
    """Return the size exceeded with probability ``tail``; ``law`` is share, threshold, shape, scale."""
    share, threshold, shape, scale = law
    log_ratio = np.log(share / tail)
    growth = log_ratio if abs(shape) < 1e-9 else np.expm1(shape * log_ratio) / shape
    return np.asarray(threshold + scale * growth, dtype=np.float64)


def drawn_bars(
    draw: FactorPath, *, nu: float, bars: NDArray[np.float64], tails: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return close, scaling and rank of the bar [path] at the rank of a Student-t draw [path], for one factor."""
    from scipy.special import stdtr

    n = bars.shape[0]
    tail = stdtr(nu, -np.abs(draw))
    from_edge = np.minimum((tail * n).astype(np.int64), n - 1)
    rank = np.where(draw < 0.0, from_edge, n - 1 - from_edge)
    z = bars[rank, 0]
    stretch = np.ones_like(z)
    for side, sign in ((0, -1.0), (1, 1.0)):
        hit = ((draw < 0.0) == (side == 0)) & (tail < tails[side, 0])
        size = pareto_size(tail[hit], tails[side])
        stretch[hit] = size / np.abs(z[hit])
        z[hit] = sign * size
    return z, stretch, rank


def copula_bar_paths(
    normals: StepFactorPath,
    scale: FactorPath,
    root: FactorFactor,
    nu: float,
    bars: NDArray[np.float64],
    tails: NDArray[np.float64],
    season: FactorPath,
    garch: FactorPath,
    convexity: FactorPath,
) -> tuple[StepFactorPath, StepFactorPath, StepFactorPath, StepFactorPath]:
    """Return close, low, high and step variance; see ``copula_paths.copula_bar_paths``. Takes nu, not its table."""
    n_steps, n_factors, n_paths = normals.shape
    out = np.empty((4, n_steps, n_factors, n_paths))
    grid = np.arange(convexity.shape[1]) * CONVEXITY_SPACING
    h = np.repeat(garch[:, 4:5], n_paths, axis=1)
    limit = garch[:, 5:6]
    x = np.zeros((n_factors, n_paths))
    for t in range(n_steps):
        draws = (root @ normals[t]) * scale[t]
        found = [drawn_bars(draws[f], nu=nu, bars=bars[f], tails=tails[f]) for f in range(n_factors)]
        z, stretch = np.stack([z for z, _, _ in found]), np.stack([s for _, s, _ in found])
        inside = np.stack([bars[f, rank] for f, (_, _, rank) in enumerate(found)])  # [factor, path, 4]
        sigma = np.sqrt(h) * season[t][:, None]
        drift = -np.stack([np.interp(sigma[f], grid, convexity[f]) for f in range(n_factors)]) * sigma**2
        move = np.clip(sigma * z, -limit, limit)
        y = x + move + drift
        low = x + drift + np.maximum(np.minimum(move, 0.0) - sigma * stretch * inside[..., 1], -limit)
        high = x + drift + np.minimum(np.maximum(move, 0.0) + sigma * stretch * inside[..., 2], limit)
        low, high = np.minimum(low, np.minimum(x, y)), np.maximum(high, np.maximum(x, y))
        out[:, t] = y, low, high, (sigma * stretch) ** 2 * inside[..., 3]
        h = next_variance(h, move / season[t][:, None], garch)
        x = y
    return out[0], out[1], out[2], out[3]
