"""The largest size at a tolerance: a bracketed search on common random numbers.

Every size is followed along the same paths. With E the excess of maintenance over equity at its worst instant of a
path, a size keeps the tolerance when the (1 - tolerance)-quantile of E is below 0. Where margin is proportional to the
size that quantile is a straight line in it, and one interpolation ends the search; tiers, haircuts and options bend it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from margincover.errors import InputError
from margincover.model.pool import MarginPool
from margincover.model.results import Estimate
from margincover.model.scenario import ScenarioGenerator
from margincover.model.sizing import Bound, SizePoint
from margincover.numeric.arrays import Vector
from margincover.numeric.intervals import wilson
from margincover.numeric.quantile import quantile_interval, tail_quantile
from margincover.paths.engine import PathSettings, simulate

# Notional over capital: from next to nothing to beyond the leverage that any venue gives.
SCAN_SIZES = tuple(2.0**power for power in range(-6, 10))
# Width of the final bracket over the size: far below the sampling error of any usual number of paths.
BRACKET = 1e-3
_MAX_PASSES = 12
_Z95 = 1.959963984540054
# Keeps the record of worst paths, which is not read here, at a row or two.
_NO_TAIL = 1e-9

PoolsAt = Callable[[float], Sequence[MarginPool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Paths of a search; see ``paths.engine.PathSettings``. None of threads changes a result."""

    n_paths: int
    seed: int
    threads: int | None = None


@dataclass(slots=True, kw_only=True)
class SizeSearch:
    """Sizes of one account evaluated on one set of paths, each size once.

    Parameters
    ----------
    pools_at : callable
        From a size >= 0 to the pools that it makes, always the same ids in the same order.
    generator : ScenarioGenerator
    settings : SearchSettings

    Attributes
    ----------
    table_error : float
        Largest difference so far between a rule and its table along the paths, as a share of the maintenance.
    """

    pools_at: PoolsAt
    generator: ScenarioGenerator
    settings: SearchSettings
    table_error: float = field(default=0.0, init=False)
    _pools: dict[float, tuple[MarginPool, ...]] = field(default_factory=dict)
    _excess: dict[int, dict[float, Vector]] = field(default_factory=dict)

    def excess(self, size: float, horizon_s: int) -> Vector:
        """Return the worst maintenance - equity in USD [path] of the pool nearest to liquidation."""
        self.evaluate([size], horizon_s)
        return self._excess[horizon_s][size]

    def probability(self, size: float, horizon_s: int) -> Estimate:
        """Return the probability that a pool is liquidated within the horizon, with its Wilson interval."""
        worst = self.excess(size, horizon_s)
        value, error, low, high = wilson(int((worst >= 0.0).sum()), worst.size)
        return Estimate(value=value, standard_error=error, low=low, high=high)

    def evaluate(self, sizes: Sequence[float], horizon_s: int) -> None:
        """Follow all sizes that were not followed yet along the paths, together."""
        known = self._excess.setdefault(horizon_s, {})
        new = [size for size in dict.fromkeys(sizes) if size not in known]
        if not new:
            return
        for size in new:
            if size not in self._pools:
                self._pools[size] = tuple(self.pools_at(size))
        sets = [self._pools[size] for size in new]
        # The same ids for every size, so that the draws inside the steps are common too.
        summary = simulate(
            [pool for pools in sets for pool in pools],
            self.generator,
            PathSettings(
                n_paths=self.settings.n_paths,
                horizon_s=horizon_s,
                follow_s=horizon_s,
                seed=self.settings.seed,
                tolerance=_NO_TAIL,
                threads=self.settings.threads,
            ),
        )
        self.table_error = max(self.table_error, *summary.table_error)
        row = 0
        for size, pools in zip(new, sets, strict=True):
            in_usd = [summary.maximum[row + k] * pool.unit_usd for k, pool in enumerate(pools)]
            known[size] = np.max(in_usd, axis=0)
            row += len(pools)

    def largest(self, tolerances: Sequence[float], horizon_s: int) -> list[SizePoint]:
        """Return the largest size at each tolerance.

        Notes
        -----
        Sizes are scanned by factors of two from 1/64 to 512 times capital; the search then narrows the uppermost change
        from kept to not kept. What would be kept only in a range narrower than a factor of two above that is not found:
        the answer is then too small, never too large.

        Raises
        ------
        InputError
            If a tolerance is not in (0, 1).
        """
        for tolerance in tolerances:
            if not 0.0 < tolerance < 1.0:
                raise InputError(f"was {tolerance}", field="tolerance", allowed="a probability in (0, 1)")
        scan = self._scan(max(tolerances), horizon_s)
        self.evaluate(scan, horizon_s)
        brackets = [self._scanned(tolerance, horizon_s, scan) for tolerance in tolerances]
        for _ in range(_MAX_PASSES):
            open_ones = [
                (tolerance, bracket)
                for tolerance, bracket in zip(tolerances, brackets, strict=True)
                if bracket[0] > 0.0 and math.isfinite(bracket[1]) and bracket[1] > bracket[0] * (1.0 + BRACKET)
            ]
            if not open_ones:
                break
            self.evaluate([s for tol, bracket in open_ones for s in self._proposed(tol, horizon_s, bracket)], horizon_s)
            brackets = [
                self._narrowed(tolerance, horizon_s, bracket)
                for tolerance, bracket in zip(tolerances, brackets, strict=True)
            ]
        return [self._point(tol, horizon_s, bracket) for tol, bracket in zip(tolerances, brackets, strict=True)]

    def _level(self, size: float, tolerance: float, horizon_s: int) -> float:
        return tail_quantile(self._excess[horizon_s][size], tolerance)

    def _scan(self, tolerance: float, horizon_s: int) -> tuple[float, ...]:
        """Return the sizes to scan: what a shorter horizon did not keep, no longer one does (the worst only grows)."""
        sizes = SCAN_SIZES
        for shorter in (known for known in self._excess if known < horizon_s):
            seen = [size for size in SCAN_SIZES if size in self._excess[shorter]]
            kept = [size for size in seen if self._level(size, tolerance, shorter) < 0.0]
            first_lost = next((size for size in seen if size > max(kept, default=0.0)), math.inf)
            sizes = tuple(size for size in sizes if size <= first_lost)
        return sizes

    def _scanned(self, tolerance: float, horizon_s: int, scan: Sequence[float]) -> tuple[float, float]:
        kept = [size for size in scan if self._level(size, tolerance, horizon_s) < 0.0]
        if not kept:
            return 0.0, scan[0]
        above = [size for size in scan if size > kept[-1]]
        return kept[-1], above[0] if above else math.inf

    def _proposed(self, tolerance: float, horizon_s: int, bracket: tuple[float, float]) -> list[float]:
        """Return sizes inside the bracket: the straight line's root, its two sides, and the middle."""
        low, high = bracket
        at_low, at_high = (self._level(size, tolerance, horizon_s) for size in bracket)
        root = low - at_low * (high - low) / (at_high - at_low)
        steps = (1.0 - 0.02, 1.0 - 0.4 * BRACKET, 1.0 + 0.4 * BRACKET, 1.0 + 0.02)
        return sorted({size for size in (*(root * s for s in steps), math.sqrt(low * high)) if low < size < high})

    def _narrowed(self, tolerance: float, horizon_s: int, bracket: tuple[float, float]) -> tuple[float, float]:
        low, high = bracket
        inside = sorted(size for size in self._excess[horizon_s] if low <= size <= high)
        kept = [size for size in inside if self._level(size, tolerance, horizon_s) < 0.0]
        if not kept or kept[-1] == high:
            return bracket
        return kept[-1], next(size for size in inside if size > kept[-1])

    def _point(self, tolerance: float, horizon_s: int, bracket: tuple[float, float]) -> SizePoint:
        low, high = bracket
        if low == 0.0:
            nothing = self.probability(0.0, horizon_s)
            return _edge(tolerance, horizon_s, Bound.NONE, 0.0, high, nothing)
        if math.isinf(high):
            return _edge(tolerance, horizon_s, Bound.BEYOND, low, low, self.probability(low, horizon_s))
        sample = self._excess[horizon_s][low]
        value = tail_quantile(sample, tolerance)
        error, quantile_low, quantile_high = quantile_interval(sample, tolerance)
        slope = self._slope(tolerance, horizon_s, low)
        return SizePoint(
            tolerance=tolerance,
            horizon_s=horizon_s,
            bound=Bound.FOUND,
            size=low,
            next_size=high,
            standard_error=error / slope,
            low=max(0.0, low - (quantile_high - value) / slope),
            high=low + (value - quantile_low) / slope,
            probability=self.probability(low, horizon_s),
        )

    def _slope(self, tolerance: float, horizon_s: int, size: float) -> float:
        """Return how fast the quantile rises with the size, from sizes at least 1 % apart on either side."""
        known = sorted(self._excess[horizon_s])
        below = max((s for s in known if s <= 0.99 * size), default=known[0])
        above = min((s for s in known if s >= 1.01 * size), default=known[-1])
        rise = self._level(above, tolerance, horizon_s) - self._level(below, tolerance, horizon_s)
        assert rise > 0.0, "Invariant: the quantile rises through 0 at the largest size"
        return rise / (above - below)


def _edge(  # one point at an end of the scan
    tolerance: float, horizon_s: int, bound: Bound, size: float, next_size: float, probability: Estimate
) -> SizePoint:
    return SizePoint(
        tolerance=tolerance,
        horizon_s=horizon_s,
        bound=bound,
        size=size,
        next_size=next_size,
        standard_error=0.0,
        low=size,
        high=size,
        probability=probability,
    )
