"""Convex functions of the amounts: Expected Shortfall of the largest shortfall, expected cost of the second stage.

Each gives its value and a slope; columns are the placements, then the reserve, then columns that they do not depend on.
Between two points no shortfall changes by more than the cover and the reserve do. So paths that were far from
mattering at an earlier point cannot matter now and are not looked at again: exact, and most of the speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.allocation import kernels
from margincover.allocation.needs import Needs, PlacementPath, Placements, VenuePath
from margincover.allocation.problem import RecourseCosts, RiskLimit
from margincover.numeric.arrays import PathVector, Vector
from margincover.numeric.lp_tail import tail_mass

Paths = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cover:
    """From amounts to what they cover, and how far a shortfall can move between two points."""

    venue: NDArray[np.int64]
    n_venues: int
    early_weight: PlacementPath
    total_weight: PlacementPath
    largest_weight: Vector

    @classmethod
    def of(cls, needs: Needs, placements: Placements) -> _Cover:
        if needs.early_weight is None or needs.total_weight is None:
            ones = _read_only(np.ones((placements.count, 1)))
            weights, largest = (ones, ones), np.ones(placements.count)
        else:
            weights = (needs.early_weight, needs.total_weight)
            largest = np.maximum(weights[0].max(axis=1), weights[1].max(axis=1))
        return cls(
            venue=placements.venue,
            n_venues=needs.n_venues,
            early_weight=weights[0],
            total_weight=weights[1],
            largest_weight=largest,
        )

    def cover(self, amount: Vector) -> tuple[VenuePath, VenuePath]:
        """Return early and total cover, two arrays [venue, path] or [venue, 1]."""
        pair = []
        for weight in (self.early_weight, self.total_weight):
            cover = np.zeros((self.n_venues, weight.shape[1]))
            for place, venue in enumerate(self.venue):
                cover[venue] += amount[place] * weight[place]
            pair.append(_read_only(cover))
        return pair[0], pair[1]

    def movement(self, before: Vector, after: Vector) -> float:
        """Return the most by which a level can differ between two points [placement + 1], the reserve last."""
        change = np.abs(after - before)
        by_venue = np.bincount(self.venue, weights=change[:-1] * self.largest_weight, minlength=self.n_venues)
        return float(by_venue.max() + change[-1]) * (1.0 + 1e-9) + 1e-12


class ShortfallAtRisk:
    """x -> Expected Shortfall of a limit's largest shortfall after transfers, and its slope.

    Parameters
    ----------
    needs, placements : Needs, Placements
    limit : RiskLimit
        Its own needs, if any, are already in ``needs``.
    columns : int
        Length of x.
    """

    def __init__(self, needs: Needs, placements: Placements, limit: RiskLimit, columns: int) -> None:
        self._needs, self._columns, self._count = needs, columns, placements.count
        self._cover = _Cover.of(needs, placements)
        self._tail = limit.tail or 1e-300
        self._venues = np.arange(needs.n_venues) if limit.venues is None else np.array(limit.venues, dtype=np.int64)
        self._shared = limit.with_reserve and placements.reserve_upper_usd > 0.0
        nothing = _read_only(np.zeros((needs.n_venues, 1)))
        self._receivable = _receivable(needs) if self._shared else nothing
        self._all: Paths = np.arange(needs.n_paths)
        self._seen: tuple[Vector, PathVector, float] | None = (
            None  # point, level of every path there, tail's least level
        )
        self._looked = 0  # paths looked at since then

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Return the value and the slope at x, array [column]."""
        point = x[: self._count + 1].copy()
        if not self._shared:
            point[-1] = 0.0
        state = self._state(point)
        paths = self._worth_looking(point)
        level = kernels.shortfall_levels(*state, paths)
        value, tail, mass = self._tail_of(level, paths)
        if paths.size == self._all.size:
            self._seen, self._looked = (point, level, float(level[tail].min())), 0
        cover = self._cover
        slope = np.zeros(self._columns)
        slope[: self._count + 1] = kernels.shortfall_slope(
            *state, paths[tail], mass, cover.venue, cover.early_weight, cover.total_weight
        )
        return value, slope

    def _state(self, point: Vector) -> tuple[VenuePath, VenuePath, VenuePath, VenuePath, VenuePath, Paths, float]:
        early, total = self._cover.cover(point[:-1])
        needs = self._needs
        return needs.early_usd, needs.total_usd, self._receivable, early, total, self._venues, float(point[-1])

    def _worth_looking(self, point: Vector) -> Paths:
        # A path of the tail here was at most twice the movement below the tail's least level there.
        if self._seen is None:
            return self._all
        before, level, least = self._seen
        paths = np.flatnonzero(level >= least - 2.0 * self._cover.movement(before, point))
        self._looked += paths.size
        # Looking at all again is worth it once it costs no more than what the old bounds have cost since.
        return paths if self._looked < self._all.size else self._all

    def _tail_of(self, level: PathVector, paths: Paths) -> tuple[float, Paths, PathVector]:
        if self._needs.probability is not None:
            return tail_mass(level, self._needs.probability[paths], self._tail)
        return tail_mass(level, None, min(1.0, self._tail * (self._all.size / paths.size)))


class ExpectedRecourse:
    """x -> expected cost of the second stage over a block of paths, and its slope.

    Parameters
    ----------
    needs, placements : Needs, Placements
    costs : RecourseCosts
    columns : int
        Length of x.
    paths : array [n] of int
        The block.
    """

    def __init__(
        self, needs: Needs, placements: Placements, costs: RecourseCosts, columns: int, *, paths: Paths
    ) -> None:
        self._needs, self._columns, self._count = needs, columns, placements.count
        self._cover, self._receivable = _Cover.of(needs, placements), _receivable(needs)
        self._fee, self._loss = costs.transfer_fee_fraction, costs.liquidation_loss_fraction
        self._order = np.argsort(-(self._loss - self._fee), kind="stable")
        self._paths, self._probability = paths, needs.path_probability()
        self._venues = np.arange(needs.n_venues)
        self._nothing = _read_only(np.zeros((needs.n_venues, 1)))
        self._seen: tuple[Vector, PathVector] | None = None  # point, largest shortfall of every path there

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Return the value and the slope at x, array [column]."""
        point = x[: self._count + 1].copy()
        needs, cover = self._needs, self._cover
        state = (needs.early_usd, needs.total_usd, self._receivable, *cover.cover(point[:-1]))
        paths = self._worth_looking(point)
        value, slope = kernels.recourse_cost(
            *state, self._order, self._fee, self._loss, float(point[-1]), paths, self._probability[paths],
            cover.venue, cover.early_weight, cover.total_weight,
        )  # fmt: skip
        wide = np.zeros(self._columns)
        wide[: self._count + 1] = slope
        return float(value), wide

    def _worth_looking(self, point: Vector) -> Paths:
        # A path costs nothing while every shortfall is below zero.
        without_reserve = np.append(point[:-1], 0.0)
        if self._seen is not None:
            before, level = self._seen
            paths: Paths = self._paths[level >= -self._cover.movement(before, without_reserve)]
            if paths.size < 0.3 * self._paths.size:
                return paths
        needs, cover = self._needs, self._cover.cover(point[:-1])
        level = kernels.shortfall_levels(
            needs.early_usd, needs.total_usd, self._nothing, *cover, self._venues, 0.0, self._paths
        )
        self._seen = (without_reserve, level)
        return np.asarray(self._paths[level >= 0.0])


def _receivable(needs: Needs) -> VenuePath:
    if needs.receivable_usd is None:
        return _read_only(np.full((needs.n_venues, 1), np.inf))
    return needs.receivable_usd


def _read_only(array: VenuePath) -> VenuePath:
    # One kind of array for the compiled loops: otherwise they are compiled once per kind.
    array.flags.writeable = False
    return array
