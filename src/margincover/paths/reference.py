"""The plain twin of the path kernel: the same quantities by NumPy from the margin room, one instant after the other.

Slow and readable. It shares no coefficient with the kernel: equity and maintenance come from ``venues.margin``, the
slope of a pool from a central difference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import Vector
from margincover.paths import reference_side as side
from margincover.paths.expiry import settled
from margincover.units import HOURS_PER_DAY
from margincover.venues import margin

_MASK = (1 << 64) - 1
_BUMP = 1e-6


def hash_exponential(key: int, step: int, path: int) -> float:
    """Return the draw of ``paths.kernels.hash_exponential``, in Python integers."""
    z = (key + (step << 40) + path) & _MASK
    z = (z * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z = z ^ (z >> 31)
    z = (z * 0x9E3779B97F4A7C15) & _MASK
    z = z ^ (z >> 32)
    return -math.log((float(z >> 11) + 0.5) / 9007199254740992.0)


def evaluate_step(
    pool: MarginPool, ratio: NDArray[np.float64], paid: NDArray[np.float64], elapsed_days: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shortfall and maintenance [path] at ratios [pool factor, path].

    Parameters
    ----------
    paid : array [asset, path]
        Funding paid since ``as_of``, less what expired options have paid.
    elapsed_days : float
        Time since ``as_of``; an option that has expired by then counts only in ``paid``.
    """
    equity, maintenance, _ = margin.evaluate_pool(
        pool, ratio, received_native=-paid, elapsed_days=elapsed_days, settle_expired=False
    )
    return maintenance - equity, maintenance


def evaluate_rows(
    pool: MarginPool, ratio: NDArray[np.float64], paid: NDArray[np.float64], elapsed_days: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shortfall and maintenance [path] where each path stands at a time of its own, ``elapsed_days`` [path]."""
    if not pool.options.count:
        return evaluate_step(pool, ratio, paid)
    shortfall, maintenance = np.empty(ratio.shape[1]), np.empty(ratio.shape[1])
    for elapsed in np.unique(elapsed_days):
        rows = np.flatnonzero(elapsed_days == elapsed)
        shortfall[rows], maintenance[rows] = evaluate_step(pool, ratio[:, rows], paid[:, rows], float(elapsed))
    return shortfall, maintenance


def funding_paid(
    pool: MarginPool, ratio: NDArray[np.float64], hours: float, *, varying: Sequence[str] = ()
) -> NDArray[np.float64]:
    """Return funding paid in one step at the rates of the book, [asset, path], from the notional at its start.

    ``varying`` names the perpetuals whose rate is not that of the book; they are left out.
    """
    paid = np.zeros((pool.assets.count, ratio.shape[1]))
    for leg in range(pool.legs.count):
        if pool.legs.instrument_ids[leg] in varying:
            continue
        notional = margin.leg_notional(pool, leg, ratio[pool.legs.factor_index[leg]])
        paid[pool.legs.asset_index[leg]] += pool.legs.funding_per_hour[leg] * notional * hours
    return paid


def run_pool(
    pool: MarginPool,
    block: ScenarioBlock,
    factor: NDArray[np.int64],
    loading: Vector,
    hours: float,
    horizon: int,
    key: int,
    first_path: int,
    info: ScenarioInfo | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return maximum, maximum_step, liquidation_step and call_step [path] of one pool along one block.

    ``info`` is that of the generator, where its blocks hold funding or marks.
    """
    n_steps, _, n_paths = block.close_log.shape
    several = len(pool.factors) > 1
    call = pool.margin_call_coverage_ratio - 1.0
    ratio = np.ones((len(pool.factors), n_paths))
    paid = np.zeros((pool.assets.count, n_paths))
    closes = np.exp(block.close_log[:, factor])
    # What expired options have paid by each step; nothing in a pool without options.
    received = settled(pool, np.concatenate([np.ones((1, *closes.shape[1:])), closes]), hours=hours)
    before, required = evaluate_step(pool, ratio, paid)
    slope_before = slope(pool, ratio, paid)
    maximum = before.copy()
    maximum_step = np.zeros(n_paths, dtype=np.int32)
    liquidation = np.where(before >= 0.0, 0, -1).astype(np.int32)
    called = np.where(before >= -call * required, 0, -1).astype(np.int32)
    for t in range(n_steps):
        paid = paid + funding_paid(pool, ratio, hours, varying=() if info is None else info.funding)
        gained = np.zeros_like(paid)
        if info is not None:
            paid = paid + side.funding_paid(pool, info, block, t, hours)
            gained = side.gained(pool, info, block, t)
        ratio = np.exp(block.close_log[t, factor])
        net, elapsed = paid - gained - received[t + 1], (t + 1) * hours / HOURS_PER_DAY
        if several:
            after, required_after = evaluate_step(pool, ratio, net, elapsed)
            slope_after = slope(pool, ratio, net, elapsed)
            move = 0.5 * (slope_after + slope_before) * np.sqrt(block.step_variance[t, factor])
            b = loading[factor][:, None]
            variance = (b * move).sum(axis=0) ** 2 + ((1 - b**2) * move**2).sum(axis=0)
            draw = np.array([hash_exponential(key, t, first_path + p) for p in range(n_paths)])
            top = 0.5 * (before + after + np.sqrt((after - before) ** 2 + 2.0 * variance * draw))
            top = np.where(variance > 0.0, top, np.maximum(before, after))
            is_called = top >= -call * np.maximum(required, required_after)
            before, required, slope_before = after, required_after, slope_after
        else:
            at_low, required_low = evaluate_step(pool, np.exp(block.low_log[t, factor]), net, elapsed)
            at_high, required_high = evaluate_step(pool, np.exp(block.high_log[t, factor]), net, elapsed)
            top = np.maximum(at_low, at_high)
            if pool.model is not None:
                # Options can be worst between low and high; both ends of the step are looked at as well.
                after, _ = evaluate_step(pool, ratio, net, elapsed)
                top, before = np.maximum(top, np.maximum(before, after)), after
            is_called = (at_low >= -call * required_low) | (at_high >= -call * required_high)
        if t < horizon:
            maximum_step = np.where(top > maximum, t + 1, maximum_step).astype(np.int32)
            maximum = np.maximum(maximum, top)
        liquidation = np.where((liquidation < 0) & (top >= 0.0), t + 1, liquidation).astype(np.int32)
        called = np.where((called < 0) & is_called, t + 1, called).astype(np.int32)
    return maximum, maximum_step, liquidation, called


def slope(
    pool: MarginPool, ratio: NDArray[np.float64], paid: NDArray[np.float64], elapsed_days: float = 0.0
) -> NDArray[np.float64]:
    """Return the derivative of the shortfall by log factor, [factor, path], by central differences."""
    return slope_rows(pool, ratio, paid, np.full(ratio.shape[1], elapsed_days))


def slope_rows(
    pool: MarginPool, ratio: NDArray[np.float64], paid: NDArray[np.float64], elapsed_days: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``slope`` where each path stands at a time of its own, ``elapsed_days`` [path]."""
    change = np.zeros_like(ratio)
    for f in range(ratio.shape[0]):
        up, down = ratio.copy(), ratio.copy()
        up[f] *= math.exp(_BUMP)
        down[f] *= math.exp(-_BUMP)
        above = evaluate_rows(pool, up, paid, elapsed_days)[0]
        change[f] = (above - evaluate_rows(pool, down, paid, elapsed_days)[0]) / (2.0 * _BUMP)
    return change
