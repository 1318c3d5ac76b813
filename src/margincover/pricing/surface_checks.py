"""Static arbitrage of smiles: Durrleman's condition, total variance that falls with time, wings that are too steep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from margincover.pricing.surface import Beyond, Surface, SviSlice

Array = NDArray[np.float64]

# Points of log moneyness at which a slice is looked at, and how many deviations out where its wings are used.
_POINTS = 401
_DEVIATIONS = 4.0
_LARGEST_SLOPE = 2.0
# g is a difference of numbers near 1; total variance is compared to a share of itself.
_TOLERANCE = 1e-9
_SAMPLED_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One place of a surface with arbitrage.

    ``kind`` is ``variance`` (not above 0), ``butterfly``, ``calendar`` or ``slope``; ``amount`` > 0 says by how much
    the condition fails, in its own units.
    """

    kind: str
    expiry: str
    strike: float
    amount: float

    def __str__(self) -> str:
        """Return the violation as a sentence's part."""
        return f"{self.kind} arbitrage at expiry {self.expiry}, strike {self.strike:,.6g} (by {self.amount:.3g})"


def durrleman(k: Array, w: Array, first: Array, second: Array) -> Array:
    """Return g(k), same shape: below 0 the price of a butterfly is negative.

    Parameters
    ----------
    k, w, first, second : array
        Log moneyness; total variance > 0 and its derivatives.

    Notes
    -----
    ``g = (1 - k w' / (2 w))^2 - (w'^2 / 4) (1 / w + 1 / 4) + w'' / 2``, Gatheral and Jacquier (2014), section 2.2.
    """
    return np.asarray((1.0 - k * first / (2.0 * w)) ** 2 - first**2 / 4.0 * (1.0 / w + 0.25) + second / 2.0)


def slice_violations(each: SviSlice, *, beyond: Beyond = Beyond.ERROR) -> list[Violation]:
    """Return what is wrong with one expiry alone, at most one violation a kind: the worst.

    ``beyond`` says where the slice will be used: within its quotes, or in its wings as well. The slope of the wings is
    looked at in either case.
    """
    k = moneyness_grid(each, beyond=beyond)
    w = each.total_variance(k)
    found = []
    if w.min() <= 0.0:
        return [_violation("variance", each, float(k[w.argmin()]), float(-w.min()))]
    g = durrleman(k, w, *each.slopes(k))
    if g.min() < -_TOLERANCE:
        found.append(_violation("butterfly", each, float(k[g.argmin()]), float(-g.min())))
    steep = each.b * (1.0 + abs(each.rho))
    if steep > _LARGEST_SLOPE:
        found.append(_violation("slope", each, float(k[-1] if each.rho > 0 else k[0]), steep - _LARGEST_SLOPE))
    return found


def surface_violations(surface: Surface, *, beyond: Beyond = Beyond.ERROR) -> list[Violation]:
    """Return what is wrong with a surface: of each expiry alone, and of each against the one before it.

    Two expiries are compared at the log moneyness that both quote, or over both grids where wings are used.
    """
    found = [violation for each in surface.slices for violation in slice_violations(each, beyond=beyond)]
    for earlier, later in pairwise(surface.slices):
        grids = [moneyness_grid(each, beyond=beyond) for each in (earlier, later)]
        k = np.unique(np.concatenate(grids))
        if beyond is Beyond.ERROR:
            k = k[(k >= max(g[0] for g in grids)) & (k <= min(g[-1] for g in grids))]
        if not k.size:
            continue
        before, after = earlier.total_variance(k), later.total_variance(k)
        falls = before - after
        worst = int(falls.argmax())
        if falls[worst] > _TOLERANCE * max(float(before[worst]), 1e-12):
            found.append(_violation("calendar", later, float(k[worst]), float(falls[worst])))
    return found


def moneyness_grid(each: SviSlice, *, beyond: Beyond = Beyond.ERROR) -> Array:
    """Return the log moneyness at which a slice is looked at: its quotes, or four deviations to either side as well."""
    quoted = math.isfinite(each.lowest) and math.isfinite(each.highest)
    if quoted and beyond is Beyond.ERROR:
        return np.asarray(np.linspace(each.lowest, each.highest, _POINTS), dtype=np.float64)
    reach = _DEVIATIONS * math.sqrt(max(float(each.total_variance(0.0)), 1e-8))
    # A slice that was stated without quotes is looked at wherever its form bends.
    inner = (each.lowest, each.highest) if quoted else (each.m - 10.0 * each.sigma, each.m + 10.0 * each.sigma)
    return np.asarray(np.linspace(min(-reach, inner[0]), max(reach, inner[1]), _POINTS), dtype=np.float64)


def sampled_violations(k: Array, w: Sequence[Array]) -> tuple[int, int]:
    """Return how many smiles hold butterfly, and how many calendar arbitrage, from their values alone.

    Parameters
    ----------
    k : array [point]
        Log moneyness, rising.
    w : sequence of array [point]
        Total variance > 0 of expiries, nearest first, at the same log moneyness.

    Notes
    -----
    Derivatives are central differences; a dip of g below zero by less than 0.01 is taken as theirs.
    """
    butterflies = calendars = 0
    for row, each in enumerate(w):
        first = np.gradient(each, k)
        g = durrleman(k, each, first, np.gradient(first, k))
        # At the ends differences are one-sided, and so are those of their neighbours.
        butterflies += bool(g[2:-2].min() < -_SAMPLED_TOLERANCE)
        calendars += bool(row and (each < w[row - 1] * (1.0 - _TOLERANCE)).any())
    return butterflies, calendars


def _violation(kind: str, each: SviSlice, k: float, amount: float) -> Violation:
    return Violation(kind=kind, expiry=each.name, strike=each.forward * math.exp(k), amount=amount)
