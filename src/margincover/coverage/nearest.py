"""Nearest failure: the shortest vector at which all of several functions are at or below zero.

The search is in standardised coordinates, where the length of a vector is its distance. Rays in many directions find
every region of failure that a ray meets; each is improved by SLSQP and the best by narrowing cones; the shortest
stands. Regions may be disjoint and functions may have kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector

Points = NDArray[np.float64]  # [dimension, point]
# Functions of points [dimension, point] that return [function, point].
Functions = Callable[[Points], NDArray[np.float64]]

_RADII = 48
_FIRST_RADIUS = 0.02
_STARTS = 10
_APART_COSINE = 0.95
_NARROWED = 2
_CONE_DIRECTIONS = 64
_CONE_ROUNDS = 30
_BISECTIONS = 36
_CHUNK = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How far (``max_distance``) and in how many directions to search."""

    max_distance: float = 40.0
    directions: int = 512
    # Directions of which the caller knows that they matter, [dimension, direction]; need not have length 1.
    known: Points = field(default_factory=lambda: np.zeros((0, 0)))


def nearest_failure(
    functions: Functions, dimension: int, rng: np.random.Generator, settings: SearchSettings
) -> Vector | None:
    """Return the shortest vector found with every function <= 0; None where no ray meets one.

    Parameters
    ----------
    functions : callable
        Points [dimension, point] to values [function, point]; the first failure on a ray counts.
    dimension : int
    rng : Generator
    settings : SearchSettings

    Returns
    -------
    Vector [dimension] or None
        All functions are <= 0 at it; zeros where they are so already.
    """

    def worst(points: Points) -> Vector:
        parts = [
            functions(points[:, first : first + _CHUNK]).max(axis=0) for first in range(0, points.shape[1], _CHUNK)
        ]
        return np.concatenate(parts)

    if worst(np.zeros((dimension, 1)))[0] <= 0.0:
        return np.zeros(dimension)
    directions = _directions(dimension, rng, settings)
    radius = first_hits(worst, directions, settings.max_distance)
    if not np.isfinite(radius).any():
        return None
    starts = _distinct(directions, radius)
    ends = [_shorter(worst, start, _slsqp(functions, start)) for start in starts]
    ends.sort(key=lambda z: float(np.linalg.norm(z)))
    if dimension > 1:
        ends = [_narrowed(worst, end, rng) for end in ends[:_NARROWED]]
    return _settled(worst, min(ends, key=lambda z: float(np.linalg.norm(z))))


def _settled(worst: Callable[[Points], Vector], point: Vector) -> Vector:
    """Return the point, moved out by rounding errors where the last digit of it is not yet a failure."""
    step = 1e-15
    while worst(point[:, None])[0] > 0.0:
        point, step = point * (1.0 + step), 2.0 * step
        assert step < 1e-6, "Invariant: the point found lies at the edge of a failure"
    return point


def _directions(dimension: int, rng: np.random.Generator, settings: SearchSettings) -> Points:
    axes = np.concatenate([np.eye(dimension), -np.eye(dimension)], axis=1)
    if dimension == 1:
        return axes
    known = settings.known if settings.known.size else np.zeros((dimension, 0))
    drawn = rng.standard_normal((dimension, settings.directions))
    found = np.concatenate([axes, known, -known, drawn, -drawn], axis=1)
    return np.asarray(found / np.linalg.norm(found, axis=0))


def first_hits(worst: Callable[[Points], Vector], directions: Points, max_distance: float) -> Vector:
    """Return the smallest radius at which the worst function is <= 0 on each ray, [direction]; inf where none is.

    A failure thinner than the spacing of the radii (one tenth of the radius) may be missed.
    """
    radii = np.geomspace(_FIRST_RADIUS, max_distance, _RADII)
    n = directions.shape[1]
    points = (directions[:, :, None] * radii).reshape(directions.shape[0], -1)
    failed = worst(points).reshape(n, radii.size) <= 0.0
    hit = failed.any(axis=1)
    first = failed.argmax(axis=1)
    high = np.where(hit, radii[first], np.inf)
    low = np.where(hit & (first > 0), radii[np.maximum(first - 1, 0)], 0.0)
    rows = np.flatnonzero(hit)
    if rows.size:
        high[rows] = _bisected(worst, directions[:, rows], low[rows], high[rows])
    return high


def _distinct(directions: Points, radius: Vector) -> list[Vector]:
    """Return the nearest failures of rays that point apart: each may be a region of its own."""
    kept: list[Vector] = []
    for row in np.argsort(radius, kind="stable"):
        if not np.isfinite(radius[row]) or len(kept) == _STARTS:
            break
        if all(float(directions[:, row] @ other) < _APART_COSINE * float(np.linalg.norm(other)) for other in kept):
            kept.append(directions[:, row] * radius[row])
    return kept


def _slsqp(functions: Functions, start: Vector) -> Vector:
    """Return where SLSQP ends: least squared length with every function <= 0; not trusted, only tried."""
    from scipy.optimize import minimize

    def constraint(z: Vector) -> Vector:
        return np.asarray(-functions(z[:, None])[:, 0])

    def slope(z: Vector) -> NDArray[np.float64]:
        step = 1e-5
        moved = np.concatenate([z[:, None] + step * np.eye(z.size), z[:, None] - step * np.eye(z.size)], axis=1)
        values = -functions(moved)
        return np.asarray((values[:, : z.size] - values[:, z.size :]) / (2.0 * step))

    found = minimize(
        lambda z: float(z @ z),
        start,
        jac=lambda z: 2.0 * z,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": constraint, "jac": slope}],
        options={"maxiter": 60, "ftol": 1e-10},
    )
    return np.asarray(found.x, dtype=np.float64)


def _shorter(worst: Callable[[Points], Vector], best: Vector, candidate: Vector) -> Vector:
    """Return the candidate's ray at its first failure where that is shorter than the best, else the best."""
    length = float(np.linalg.norm(candidate))
    if not (np.isfinite(candidate).all() and length > 0.0):
        return best
    reach = float(np.linalg.norm(best))
    radius = _hit_within(worst, (candidate / length)[:, None], reach)[0]
    return candidate / length * radius if radius < reach else best


def _hit_within(worst: Callable[[Points], Vector], directions: Points, reach: float) -> Vector:
    """Return the first failure on each ray up to ``reach``, inf where there is none; refined where it is found."""
    levels = np.linspace(0.0, 1.0, 17)[1:] * reach
    n = directions.shape[1]
    failed = worst((directions[:, :, None] * levels).reshape(directions.shape[0], -1)).reshape(n, levels.size) <= 0.0
    radius = np.full(n, np.inf)
    rows = np.flatnonzero(failed.any(axis=1))
    if rows.size:
        high = levels[failed[rows].argmax(axis=1)]
        radius[rows] = _bisected(worst, directions[:, rows], high - levels[0], high)
    return radius


def _bisected(worst: Callable[[Points], Vector], directions: Points, low: Vector, high: Vector) -> Vector:
    """Return radii at which the worst function is <= 0, halving from ``low`` (above 0) to ``high`` (<= 0)."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        failed = worst(directions * middle) <= 0.0
        high = np.where(failed, middle, high)
        low = np.where(failed, low, middle)
    return high


def _narrowed(worst: Callable[[Points], Vector], start: Vector, rng: np.random.Generator) -> Vector:
    """Return the best of cones that narrow around the best so far: what SLSQP misses at a kink."""
    best, spread = start, 0.3
    for _ in range(_CONE_ROUNDS):
        length = float(np.linalg.norm(best))
        drawn = (best / length)[:, None] + spread * rng.standard_normal((best.size, _CONE_DIRECTIONS))
        drawn /= np.linalg.norm(drawn, axis=0)
        # One state a ray first: only rays that fail before the best are worth a search.
        shorter = worst(drawn * (length * (1.0 - 1e-4))) <= 0.0
        if not shorter.any():
            spread *= 0.6
            continue
        rays = drawn[:, np.flatnonzero(shorter)[:8]]
        radius = _hit_within(worst, rays, length)
        row = int(np.argmin(radius))
        best = rays[:, row] * radius[row] if radius[row] < length else best
    return best
