"""Shared margin kernels on arrays: tier tables, tier deductions, collateral ladders, fraction of initial.

Each kernel has a Decimal twin in ``venues.reference``; a test ties them to 1e-10.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.numeric.arrays import Vector


def tier_deductions(*, floors: Sequence[float], fractions: Sequence[float]) -> list[float]:
    """Return the deductions that make a progressive table continuous.

    Parameters
    ----------
    floors, fractions : sequence of float [tier]
        Lower bounds, rising from 0, and maintenance rates.

    Notes
    -----
    cum_1 = 0 and cum_k = cum_{k-1} + floor_k * (rate_k - rate_{k-1}): the recurrence of Binance's ``cum``, Bybit's
    ``mmDeduction`` and Hyperliquid's deduction.

    References
    ----------
    Binance FAQ b3c689c1f50a44cabb3a84e663b81d93; Hyperliquid docs, margin tiers (both read 2026-11).

    Examples
    --------
    >>> [round(v, 9) for v in tier_deductions(floors=[0, 50_000, 250_000], fractions=[0.004, 0.005, 0.01])]
    [0.0, 50.0, 1300.0]
    """
    deductions = [0.0]
    for k in range(1, len(floors)):
        deductions.append(deductions[-1] + floors[k] * (fractions[k] - fractions[k - 1]))
    return deductions


def tiered_maintenance(
    *, notional: ArrayLike, floors: Vector, fractions: Vector, deductions: Vector
) -> NDArray[np.float64]:
    """Return maintenance by the tier that holds the notional: ``rate_k * notional - deduction_k``.

    Parameters
    ----------
    notional : array
        Position values in the settle asset, >= 0.
    floors, fractions, deductions : Vector [tier]

    Notes
    -----
    For a continuous table with rates that do not fall this equals max over k of (rate_k N - deduction_k), hence it is
    convex. Above the last cap the last tier goes on: a price move can carry a position there.
    """
    values = np.asarray(notional, dtype=np.float64)
    tier = np.maximum(np.searchsorted(floors, values, side="right") - 1, 0)
    return fractions[tier] * values - deductions[tier]


def tier_rows(
    value: NDArray[np.float64], *, floors: Vector, start: NDArray[np.int64], count: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the row of the tier that holds each value [leg, path]: the last floor not above it, else the first tier.

    Parameters
    ----------
    value : array [leg, path]
    floors : Vector [tier]
        Tiers of all legs, one leg after the other.
    start, count : array of int [leg]
        Rows of each leg's own tiers; a count is >= 1.

    Notes
    -----
    A binary search of all legs in step: each halves its own range of the stacked floors until one tier is left.
    """
    found = np.repeat(start[:, None], value.shape[1], axis=1)
    left = count[:, None].copy()
    while left.size and int(left.max()) > 1:
        half = left // 2
        middle = found + half
        found = np.where(floors[middle] <= value, middle, found)
        left -= half
    return found


def fraction_of_initial(*, initial: ArrayLike, fraction: float) -> NDArray[np.float64]:
    """Return maintenance as a fraction of the initial requirement (dYdX and similar venues)."""
    return np.asarray(initial, dtype=np.float64) * fraction


def collateral_value(
    *, amount: ArrayLike, slice_floor: Vector, slice_cap: Vector, slice_weight: Vector
) -> NDArray[np.float64]:
    """Return the amount that counts as collateral, in units of the asset.

    Parameters
    ----------
    amount : array
        Asset equity; negative amounts count in full, as a debt.
    slice_floor, slice_cap, slice_weight : Vector [slice]
        Marginal slices by amount; empty means weight 1. Nothing counts above the last cap.
    """
    held = np.asarray(amount, dtype=np.float64)
    if slice_weight.size == 0:
        return held
    total = np.minimum(held, 0.0)
    for floor, cap, weight in zip(slice_floor, slice_cap, slice_weight, strict=True):
        total = total + weight * (np.clip(held, floor, cap) - floor)
    return total
