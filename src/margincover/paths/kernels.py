"""The path kernel: one pool along one block of joint paths.

Compiled by Numba, without fast-math, releasing the interpreter lock. Its plain twin is ``paths.reference``.

Within a step a pool of one factor is evaluated at the lowest and the highest price of the step: maintenance - equity is
linear or convex between them, so its maximum stands at an end. A pool of several factors uses the Brownian bridge on
its own shortfall with the local variance d' C d, where d is the derivative by factor and C the covariance inside the
step (correlation loading_i * loading_j).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

KERNEL_VERSION = 1  # raise when a helper changes: Numba's cache follows the caller's file only


@njit(nogil=True, cache=True)
def hash_exponential(key, step, path):
    """Return a standard exponential draw that depends on (key, step, path) alone.

    SplitMix64 (Steele, Lea, Flood 2014) on a counter: draws need no state, so they can be made only where they matter.
    """
    mask = np.uint64(0xFFFFFFFFFFFFFFFF)
    z = (key + (np.uint64(step) << np.uint64(40)) + np.uint64(path)) & mask
    z = (z * np.uint64(0x9E3779B97F4A7C15)) & mask
    z = ((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)) & mask
    z = ((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)) & mask
    z = z ^ (z >> np.uint64(31))
    z = (z * np.uint64(0x9E3779B97F4A7C15)) & mask
    z = z ^ (z >> np.uint64(32))
    return -math.log((np.float64(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0))


@njit(nogil=True, cache=True)
def _tier_of(value, floors, start, count):
    tier = 0
    for k in range(1, count):
        if value >= floors[start + k]:
            tier = k
        else:
            break
    return start + tier


@njit(nogil=True, cache=True)
def _evaluate(
    ratio, lowest, highest, factor, held_constant, held_linear, held_inverse, line_constant, line_linear, line_inverse,
    leg_asset, leg_factor, leg_inverse, leg_notional, leg_tier_start, leg_tier_count,
    tier_floor, tier_fraction, tier_deduction, price, price_factor, slice_start, slice_count, slice_floor, slice_cap,
    slice_weight, borrow, paid, want_slope, shortfall, maintenance, slope, held, line, dheld, dline,
):  # fmt: skip
    """Fill shortfall, maintenance [path] and, when asked, slope [factor, path] at one instant.

    ``ratio`` [factor of the generator, path]; ``lowest``, ``highest`` its range over the paths; ``paid`` [asset, path]
    funding paid so far; ``held``, ``line`` [path] and ``dheld``, ``dline`` [factor, path] are work space.
    """
    n_paths = shortfall.size
    n_assets, n_factors = held_linear.shape
    shortfall[:] = 0.0
    maintenance[:] = 0.0
    if want_slope:
        slope[:, :] = 0.0
    lin = np.empty(n_factors)
    inv = np.empty(n_factors)
    for a in range(n_assets):
        constant = line_constant[a]
        for f in range(n_factors):
            lin[f] = line_linear[a, f]
            inv[f] = line_inverse[a, f]
        wide = False
        for k in range(leg_asset.size):
            if leg_asset[k] != a:
                continue
            g = factor[leg_factor[k]]
            if leg_inverse[k]:
                small, large = leg_notional[k] / highest[g], leg_notional[k] / lowest[g]
            else:
                small, large = leg_notional[k] * lowest[g], leg_notional[k] * highest[g]
            first = _tier_of(small, tier_floor, leg_tier_start[k], leg_tier_count[k])
            last = _tier_of(large, tier_floor, leg_tier_start[k], leg_tier_count[k])
            if first == last:
                constant -= tier_deduction[first]
                if leg_inverse[k]:
                    inv[leg_factor[k]] += tier_fraction[first] * leg_notional[k]
                else:
                    lin[leg_factor[k]] += tier_fraction[first] * leg_notional[k]
            else:
                wide = True
        for p in range(n_paths):
            held[p] = held_constant[a] - paid[a, p]
            line[p] = constant
        for f in range(n_factors):
            g = factor[f]
            row = ratio[g]
            hl, hi, ll, li = held_linear[a, f], held_inverse[a, f], lin[f], inv[f]
            if hi == 0.0 and li == 0.0:
                for p in range(n_paths):
                    held[p] += hl * row[p]
                    line[p] += ll * row[p]
                if want_slope:
                    for p in range(n_paths):
                        dheld[f, p] = hl * row[p]
                        dline[f, p] = ll * row[p]
            else:
                for p in range(n_paths):
                    reciprocal = 1.0 / row[p]
                    held[p] += hl * row[p] + hi * reciprocal
                    line[p] += ll * row[p] + li * reciprocal
                if want_slope:
                    for p in range(n_paths):
                        reciprocal = 1.0 / row[p]
                        dheld[f, p] = hl * row[p] - hi * reciprocal
                        dline[f, p] = ll * row[p] - li * reciprocal
        if wide:
            for k in range(leg_asset.size):
                if leg_asset[k] != a:
                    continue
                g = factor[leg_factor[k]]
                inverse = leg_inverse[k]
                start, count = leg_tier_start[k], leg_tier_count[k]
                if inverse:
                    small, large = leg_notional[k] / highest[g], leg_notional[k] / lowest[g]
                else:
                    small, large = leg_notional[k] * lowest[g], leg_notional[k] * highest[g]
                if _tier_of(small, tier_floor, start, count) == _tier_of(large, tier_floor, start, count):
                    continue
                for p in range(n_paths):
                    value = leg_notional[k] / ratio[g, p] if inverse else leg_notional[k] * ratio[g, p]
                    t = _tier_of(value, tier_floor, start, count)
                    line[p] += tier_fraction[t] * value - tier_deduction[t]
                    if want_slope:
                        change = tier_fraction[t] * value
                        dline[leg_factor[k], p] += -change if inverse else change
        plain = slice_count[a] == 0 and borrow[a] == 0.0 and price_factor[a] < 0
        if plain:
            for p in range(n_paths):
                shortfall[p] += (line[p] - held[p]) * price[a]
                maintenance[p] += line[p] * price[a]
            if want_slope:
                for f in range(n_factors):
                    for p in range(n_paths):
                        slope[f, p] += (dline[f, p] - dheld[f, p]) * price[a]
            continue
        for p in range(n_paths):
            amount = held[p]
            counted = amount
            weight = 1.0
            if slice_count[a] > 0:
                counted = min(amount, 0.0)
                weight = 1.0 if amount < 0.0 else 0.0
                for s in range(slice_start[a], slice_start[a] + slice_count[a]):
                    inside = min(max(amount, slice_floor[s]), slice_cap[s]) - slice_floor[s]
                    counted += slice_weight[s] * inside
                    if slice_floor[s] <= amount < slice_cap[s]:
                        weight = slice_weight[s]
            debt = max(-amount, 0.0)
            unit = price[a]
            if price_factor[a] >= 0:
                unit *= ratio[factor[price_factor[a]], p]
            required = line[p] + borrow[a] * debt
            shortfall[p] += (required - counted) * unit
            maintenance[p] += required * unit
            if want_slope:
                if amount < 0.0:
                    weight += borrow[a]
                for f in range(n_factors):
                    slope[f, p] += (dline[f, p] - weight * dheld[f, p]) * unit
                if price_factor[a] >= 0:
                    slope[price_factor[a], p] += (required - counted) * unit


@njit(nogil=True, cache=True)
def run_pool(
    close, low, high, deviation, close_range, low_range, high_range, loading, hours, horizon, key, first_path,
    factor, held_constant, held_linear, held_inverse, line_constant, line_linear, line_inverse,
    funding_linear, funding_inverse, has_funding, leg_asset, leg_factor, leg_inverse, leg_notional, leg_tier_start,
    leg_tier_count, tier_floor, tier_fraction, tier_deduction, price, price_factor, slice_start, slice_count,
    slice_floor, slice_cap, slice_weight, borrow, call_ratio,
    maximum, maximum_step, liquidation_step, call_step,
):  # fmt: skip
    """Follow one pool along one block; fill maximum, maximum_step, liquidation_step and call_step [path].

    ``close``, ``low``, ``high`` [step, factor, path] are ratios to the level at the start, ``deviation`` the standard
    deviation of the log return inside each step; ``*_range`` [2, step, factor] the smallest and largest ratio over the
    paths; ``key`` the random key of this pool; ``first_path`` the number of the block's first path.
    """
    n_steps, _, n_paths = close.shape
    n_assets, n_factors = held_linear.shape
    several = n_factors > 1
    paid = np.zeros((n_assets, n_paths))
    shortfall = np.empty(n_paths)
    maintenance = np.empty(n_paths)
    slope = np.zeros((n_factors, n_paths))
    held = np.empty(n_paths)
    line = np.empty(n_paths)
    dheld = np.zeros((n_factors, n_paths))
    dline = np.zeros((n_factors, n_paths))
    before = np.empty(n_paths)
    required_before = np.empty(n_paths)
    slope_before = np.zeros((n_factors, n_paths))
    common = np.empty(n_paths)
    own = np.empty(n_paths)
    ones = np.ones((close.shape[1], n_paths))
    unit = np.ones(close.shape[1])
    # A pool of one factor is seen at the low and at the high of a step, others at its close. One call site keeps the
    # compiled kernel small; node -1 is the start.
    n_sides = 1 if several else 2
    for node in range(-1, n_steps):
        if has_funding and node >= 0:
            for a in range(n_assets):
                for f in range(n_factors):
                    fl, fi = funding_linear[a, f] * hours, funding_inverse[a, f] * hours
                    if fl == 0.0 and fi == 0.0:
                        continue
                    row = close[node - 1, factor[f]] if node > 0 else ones[0]
                    for p in range(n_paths):
                        paid[a, p] += fl * row[p] + fi / row[p]
        for side in range(n_sides):
            if node < 0:
                ratio, smallest, largest = ones, unit, unit
            elif several:
                ratio, smallest, largest = close[node], close_range[0, node], close_range[1, node]
            elif side == 0:
                ratio, smallest, largest = low[node], low_range[0, node], low_range[1, node]
            else:
                ratio, smallest, largest = high[node], high_range[0, node], high_range[1, node]
            _evaluate(
                ratio, smallest, largest, factor, held_constant, held_linear, held_inverse, line_constant, line_linear,
                line_inverse, leg_asset, leg_factor, leg_inverse, leg_notional, leg_tier_start, leg_tier_count,
                tier_floor, tier_fraction, tier_deduction, price, price_factor, slice_start, slice_count, slice_floor,
                slice_cap, slice_weight, borrow, paid, several, shortfall, maintenance, slope, held, line, dheld, dline,
            )  # fmt: skip
            if several and node >= 0:
                continue
            for p in range(n_paths):
                value = shortfall[p]
                if node < 0 and side == 0:
                    maximum[p] = value
                    maximum_step[p] = 0
                    liquidation_step[p] = -1
                    call_step[p] = -1
                if node < horizon and value > maximum[p]:
                    maximum[p] = value
                    maximum_step[p] = node + 1
                if value >= 0.0 and liquidation_step[p] < 0:
                    liquidation_step[p] = node + 1
                if value >= -(call_ratio - 1.0) * maintenance[p] and call_step[p] < 0:
                    call_step[p] = node + 1
        if not several:
            continue
        if node >= 0:
            common[:] = 0.0
            own[:] = 0.0
            for f in range(n_factors):
                g = factor[f]
                b = loading[g]
                rest = 1.0 - b * b
                for p in range(n_paths):
                    move = 0.5 * (slope[f, p] + slope_before[f, p]) * deviation[node, g, p]
                    common[p] += b * move
                    own[p] += rest * move * move
            for p in range(n_paths):
                x, y = before[p], shortfall[p]
                variance = common[p] * common[p] + own[p]
                call_level = -(call_ratio - 1.0) * max(required_before[p], maintenance[p])
                top = max(x, y)
                # The lowest level that still matters on this path; the bridge is drawn only if it can be reached.
                level = np.inf
                if node < horizon:
                    level = maximum[p]
                if liquidation_step[p] < 0:
                    level = min(level, 0.0)
                if call_step[p] < 0:
                    level = min(level, call_level)
                if variance > 0.0 and (level <= top or 2.0 * (level - x) * (level - y) < 37.0 * variance):
                    draw = hash_exponential(key, node, first_path + p)
                    top = 0.5 * (x + y + math.sqrt((y - x) * (y - x) + 2.0 * variance * draw))
                if node < horizon and top > maximum[p]:
                    maximum[p] = top
                    maximum_step[p] = node + 1
                if top >= 0.0 and liquidation_step[p] < 0:
                    liquidation_step[p] = node + 1
                if top >= call_level and call_step[p] < 0:
                    call_step[p] = node + 1
        for p in range(n_paths):
            before[p] = shortfall[p]
            required_before[p] = maintenance[p]
        slope_before, slope = slope, slope_before
