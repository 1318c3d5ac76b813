"""The path kernel: one pool along a few steps of one block of joint paths.

Compiled by Numba, without fast-math, releasing the interpreter lock. Its plain twin is ``paths.reference``.

Within a step a pool of one factor is evaluated at the lowest and the highest price of the step: maintenance - equity is
linear or convex between them, so its maximum stands at an end. A pool of several factors uses the Brownian bridge on
its own shortfall with the local variance d' C d, where d is the derivative by factor and C the covariance inside the
step (correlation loading_i * loading_j).

Every loop over paths runs along rows of one block, which stay in the first cache. The tables of a pool are packed in
few arrays and the text is short: compiling is what the first run waits for.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

KERNEL_VERSION = 4  # raise when a helper changes: Numba's cache follows the caller's file only

# The largest draw of hash_exponential is ln(2) * 54 = 37.43: what a larger draw would need cannot be reached.
_LARGEST_DRAW = 37.5

# Rows of the packed tables of paths.program.PoolProgram, see PoolProgram.packed.
_HELD_LINEAR, _HELD_INVERSE, _LINE_LINEAR, _LINE_INVERSE, _FUNDING_LINEAR, _FUNDING_INVERSE = range(6)
_HELD_CONSTANT, _LINE_CONSTANT, _PRICE, _BORROW = range(4)
_PRICE_FACTOR, _SLICE_START, _SLICE_COUNT = range(3)
_LEG_ASSET, _LEG_FACTOR, _LEG_INVERSE, _LEG_TIER_START, _LEG_TIER_COUNT = range(5)
_FLOOR, _FRACTION, _DEDUCTION = range(3)
_CAP, _WEIGHT = 1, 2


@njit(nogil=True, cache=True, error_model="numpy")
def _hash_uniform(key, step, path):
    """Return a uniform draw in (0, 1) that depends on (key, step, path) alone.

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
    return (np.float64(z >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@njit(nogil=True, cache=True, error_model="numpy")
def hash_exponential(key, step, path):
    """Return the standard exponential draw -ln u of the uniform draw u of (key, step, path)."""
    return -math.log(_hash_uniform(key, step, path))


@njit(nogil=True, cache=True, error_model="numpy")
def tier_of(value, floors, start, count):
    """Return the place of the tier that holds a notional, in the flat arrays."""
    tier = 0
    for k in range(1, count):
        if value >= floors[start + k]:
            tier = k
        else:
            break
    return start + tier


@njit(nogil=True, cache=True, error_model="numpy")
def _evaluate(
    ratio, span, factor, coefficient, asset_value, asset_index, leg_index, leg_notional, tier, slices, paid,
    shortfall, maintenance, slope, work, collapsed, band,
):  # fmt: skip
    """Fill shortfall, maintenance [path] and slope [factor, path] at one instant.

    ``ratio`` [factor of the generator, path]; ``span`` [2, factor of the generator] its smallest and largest value over
    the paths; ``paid`` [asset, path] funding paid so far; ``work`` [6, path], ``collapsed`` [2, factor] and ``band``
    [2, leg] are work space.
    """
    n_paths = shortfall.size
    n_assets, n_factors = coefficient.shape[1:]
    held, counted, line, weight, unit = work[0], work[1], work[2], work[3], work[4]
    value = work[5]
    first, last = band[0], band[1]
    shortfall[:] = 0.0
    maintenance[:] = 0.0
    slope[:, :] = 0.0
    for a in range(n_assets):
        constant = asset_value[_LINE_CONSTANT, a]
        for f in range(n_factors):
            collapsed[0, f] = coefficient[_LINE_LINEAR, a, f]
            collapsed[1, f] = coefficient[_LINE_INVERSE, a, f]
        # In the lowest tier that any path reaches a leg is one more linear term; tiers above it are added path by path.
        for k in range(leg_notional.size):
            if leg_index[_LEG_ASSET, k] != a:
                continue
            own, inverse = leg_index[_LEG_FACTOR, k], leg_index[_LEG_INVERSE, k]
            smallest, largest = span[0, factor[own]], span[1, factor[own]]
            if inverse:
                smallest, largest = 1.0 / largest, 1.0 / smallest
            start, count = leg_index[_LEG_TIER_START, k], leg_index[_LEG_TIER_COUNT, k]
            # One ulp of room: rounding must not hide a tier that a path at the end of the range reaches.
            first[k] = tier_of(leg_notional[k] * smallest * (1.0 - 1e-15), tier[_FLOOR], start, count)
            last[k] = tier_of(leg_notional[k] * largest * (1.0 + 1e-15), tier[_FLOOR], start, count)
            constant -= tier[_DEDUCTION, first[k]]
            collapsed[inverse, own] += tier[_FRACTION, first[k]] * leg_notional[k]
        for p in range(n_paths):
            held[p] = asset_value[_HELD_CONSTANT, a] - paid[a, p]
            line[p] = constant
        begin, count, price_factor = (
            asset_index[_SLICE_START, a],
            asset_index[_SLICE_COUNT, a],
            asset_index[_PRICE_FACTOR, a],
        )
        borrow = asset_value[_BORROW, a]
        for p in range(n_paths):
            unit[p] = asset_value[_PRICE, a]
        if count == 0 and borrow == 0.0 and price_factor < 0:
            price = asset_value[_PRICE, a]
            for f in range(n_factors):
                row = ratio[factor[f]]
                held_linear, held_inverse = coefficient[_HELD_LINEAR, a, f], coefficient[_HELD_INVERSE, a, f]
                line_linear, line_inverse = collapsed[0, f], collapsed[1, f]
                change, change_inverse = (line_linear - held_linear) * price, (held_inverse - line_inverse) * price
                if held_inverse == 0.0 and line_inverse == 0.0:
                    for p in range(n_paths):
                        held[p] += held_linear * row[p]
                        line[p] += line_linear * row[p]
                        slope[f, p] += change * row[p]
                else:
                    for p in range(n_paths):
                        reciprocal = 1.0 / row[p]
                        held[p] += held_linear * row[p] + held_inverse * reciprocal
                        line[p] += line_linear * row[p] + line_inverse * reciprocal
                        slope[f, p] += change * row[p] + change_inverse * reciprocal
            for p in range(n_paths):
                counted[p] = held[p]
        else:
            for f in range(n_factors):
                row = ratio[factor[f]]
                linear, inverse = coefficient[_HELD_LINEAR, a, f], coefficient[_HELD_INVERSE, a, f]
                for p in range(n_paths):
                    held[p] += linear * row[p] + inverse / row[p]
            for p in range(n_paths):
                weight[p] = 1.0
                counted[p] = held[p]
            if price_factor >= 0:
                row = ratio[factor[price_factor]]
                for p in range(n_paths):
                    unit[p] *= row[p]
            if count > 0:
                for p in range(n_paths):
                    counted[p] = min(held[p], 0.0)
                    weight[p] = 1.0 if held[p] < 0.0 else 0.0
            for s in range(begin, begin + count):
                floor, cap, share = slices[_FLOOR, s], slices[_CAP, s], slices[_WEIGHT, s]
                for p in range(n_paths):
                    counted[p] += share * (min(max(held[p], floor), cap) - floor)
                    weight[p] = share if floor <= held[p] and held[p] < cap else weight[p]
            for p in range(n_paths):
                line[p] += borrow * max(-held[p], 0.0)
                weight[p] += borrow if held[p] < 0.0 else 0.0
            for f in range(n_factors):
                row = ratio[factor[f]]
                held_linear, held_inverse = coefficient[_HELD_LINEAR, a, f], coefficient[_HELD_INVERSE, a, f]
                line_linear, line_inverse = collapsed[0, f], collapsed[1, f]
                for p in range(n_paths):
                    reciprocal = 1.0 / row[p]
                    line[p] += line_linear * row[p] + line_inverse * reciprocal
                    change = (line_linear - weight[p] * held_linear) * row[p]
                    slope[f, p] += (change - (line_inverse - weight[p] * held_inverse) * reciprocal) * unit[p]
        for k in range(leg_notional.size):
            if leg_index[_LEG_ASSET, k] != a or first[k] == last[k]:
                continue
            own, inverse = leg_index[_LEG_FACTOR, k], leg_index[_LEG_INVERSE, k]
            row = ratio[factor[own]]
            for s in range(first[k] + 1, last[k] + 1):
                floor, more = tier[_FLOOR, s], tier[_FRACTION, s] - tier[_FRACTION, s - 1]
                less, sign = tier[_DEDUCTION, s] - tier[_DEDUCTION, s - 1], -1.0 if inverse else 1.0
                if inverse:
                    for p in range(n_paths):
                        value[p] = leg_notional[k] / row[p]
                else:
                    for p in range(n_paths):
                        value[p] = leg_notional[k] * row[p]
                for p in range(n_paths):
                    above = more * value[p] if value[p] >= floor else 0.0
                    line[p] += above - (less if value[p] >= floor else 0.0)
                    slope[own, p] += sign * above * unit[p]
        for p in range(n_paths):
            maintenance[p] += line[p] * unit[p]
            shortfall[p] += (line[p] - counted[p]) * unit[p]
        if price_factor >= 0:
            for p in range(n_paths):
                slope[price_factor, p] += (line[p] - counted[p]) * unit[p]


@njit(nogil=True, cache=True, error_model="numpy")
def _bridge(deviation, factor, loading, slopes, shortfalls, maintenances, node, work, within, pressure, maximum,
            liquidation_step, call_step):  # fmt: skip
    """Fill work rows 0 to 3: highest end of the step, level of a call, least draw that matters, local variance."""
    n_paths = maximum.size
    now, ago = node % 2, (node + 1) % 2
    common, own = work[3], work[4]
    common[:] = 0.0
    own[:] = 0.0
    for f in range(factor.size):
        row = deviation[factor[f]]
        b = loading[factor[f]]
        rest = 1.0 - b * b
        for p in range(n_paths):
            move = 0.5 * (slopes[now, f, p] + slopes[ago, f, p]) * row[p]
            common[p] += b * move
            own[p] += rest * move * move
    bridge_levels(shortfalls, maintenances, node, work, within, pressure, maximum, liquidation_step, call_step)


@njit(nogil=True, cache=True, error_model="numpy")
def bridge_levels(shortfalls, maintenances, node, work, within, pressure, maximum, liquidation_step, call_step):
    """Fill work rows 0 to 3 of ``_bridge`` from rows 3 and 4: the common move and the sum of the own ones, squared."""
    n_paths = maximum.size
    now, ago = node % 2, (node + 1) % 2
    top, call, least, common, own = work[0], work[1], work[2], work[3], work[4]
    spread = common
    for p in range(n_paths):
        x, y = shortfalls[ago, p], shortfalls[now, p]
        variance = common[p] * common[p] + own[p]
        call[p] = -pressure * max(maintenances[ago, p], maintenances[now, p])
        top[p] = max(x, y)
        # The lowest level that is still open on this path, and the draw from which the bridge reaches it.
        level = maximum[p] if within else np.inf
        level = min(level, 0.0 if liquidation_step[p] < 0 and top[p] < 0.0 else np.inf)
        level = min(level, call[p] if call_step[p] < 0 and top[p] < call[p] else np.inf)
        enough = 2.0 * (level - x) * (level - y) / variance if level > top[p] else 0.0
        least[p] = enough if variance > 0.0 else np.inf
        spread[p] = variance


@njit(nogil=True, cache=True, error_model="numpy")
def draw_bridges(shortfalls, node, work, key, first_path):
    """Raise ``top`` (work row 0) to a draw of the bridge where the draw can matter."""
    top, least, spread = work[0], work[2], work[3]
    for p in range(top.size):
        if least[p] >= _LARGEST_DRAW:
            continue
        uniform = _hash_uniform(key, node - 1, first_path + p)
        # -ln u <= (1 - u) / sqrt(u): most draws are seen to be too small without their logarithm.
        if 1.0 - uniform < least[p] * math.sqrt(uniform):
            continue
        x, y = shortfalls[(node + 1) % 2, p], shortfalls[node % 2, p]
        top[p] = 0.5 * (x + y + math.sqrt((y - x) * (y - x) - 2.0 * spread[p] * math.log(uniform)))


@njit(nogil=True, cache=True, error_model="numpy")
def record(work, node, within, maximum, maximum_step, liquidation_step, call_step):
    """Enter the highest end of a step (work row 0) and the level of a call (row 1) into the results."""
    top, call = work[0], work[1]
    news, higher = 0, 0
    for p in range(maximum.size):
        news += 1 if top[p] >= min(call[p], 0.0) else 0
        higher += 1 if top[p] > maximum[p] else 0
    if news > 0:
        for p in range(maximum.size):
            liquidation_step[p] = node if top[p] >= 0.0 and liquidation_step[p] < 0 else liquidation_step[p]
            call_step[p] = node if top[p] >= call[p] and call_step[p] < 0 else call_step[p]
    if within and higher > 0:
        for p in range(maximum.size):
            maximum_step[p] = node if top[p] > maximum[p] else maximum_step[p]
            maximum[p] = top[p] if top[p] > maximum[p] else maximum[p]


@njit(nogil=True, cache=True, error_model="numpy")
def run_pool(
    level, span, deviation, loading, hours, first_step, n_steps, horizon, key, first_path,
    factor, coefficient, asset_value, asset_index, leg_index, leg_notional, tier, slices, pressure, has_funding,
    charge, paid, shortfalls, maintenances, slopes, maximum, passage, work, collapsed, band,
):  # fmt: skip
    """Follow one pool along some steps of one block; carry its state and results on.

    Parameters
    ----------
    level : array [3, node, factor of the generator, path]
        Ratios to the level at the start: closes, lows, highs. Node 0 is the close before the first step here; it is
        evaluated only when ``first_step`` is 0, as the start of the run.
    span : array [2, 3, node, factor of the generator]
        Smallest and largest ratio over the paths.
    deviation : array [step, factor of the generator, path]
        Standard deviation of the log return inside each step.
    first_step, n_steps, horizon : int
        Steps done before this call, steps to do, last step that counts for the maximum.
    key, first_path : int
        Random key of this pool and number of the block's first path.
    factor ... slices :
        ``PoolProgram.packed``.
    pressure : float
        Coverage ratio of a margin call - 1.
    charge : array [step, asset, path]
        What each step adds to what is paid beside constant funding; no step where nothing does.
    paid : array [asset, path]
        Funding paid so far, and charges.
    shortfalls, maintenances, slopes : array [2, ...]
        State at even and odd nodes.
    maximum : array [path], passage : int array [3, path]
        Results so far; -inf and -1 before the start. Rows of ``passage``: step of the maximum, of liquidation, of the
        call.
    work, collapsed, band : array [6, path], [2, factor], int [2, leg]
        Work space: made outside, because an allocation is slow to compile.
    """
    n_paths = maximum.size
    several = factor.size > 1
    top, call = work[0], work[1]
    maximum_step, liquidation_step, call_step = passage[0], passage[1], passage[2]
    for n in range(0 if first_step == 0 else 1, n_steps + 1):
        node = first_step + n
        if has_funding and n > 0:
            for a in range(paid.shape[0]):
                for f in range(factor.size):
                    linear = coefficient[_FUNDING_LINEAR, a, f] * hours
                    inverse = coefficient[_FUNDING_INVERSE, a, f] * hours
                    if linear == 0.0 and inverse == 0.0:
                        continue
                    row = level[0, n - 1, factor[f]]
                    for p in range(n_paths):
                        paid[a, p] += linear * row[p] + inverse / row[p]
        if charge.shape[0] > 0 and n > 0:
            for a in range(paid.shape[0]):
                for p in range(n_paths):
                    paid[a, p] += charge[n - 1, a, p]
        within = node <= horizon
        # A pool of one factor is seen at the low and at the high of a step, others at its close.
        for side in range(0 if several else 1, 1 if several else 3):
            _evaluate(
                level[side, n], span[:, side, n], factor, coefficient, asset_value, asset_index, leg_index,
                leg_notional, tier, slices, paid, shortfalls[node % 2], maintenances[node % 2], slopes[node % 2], work,
                collapsed, band,
            )  # fmt: skip
            if several and n > 0:
                _bridge(
                    deviation[n - 1], factor, loading, slopes, shortfalls, maintenances, node, work, within, pressure,
                    maximum, liquidation_step, call_step,
                )  # fmt: skip
                draw_bridges(shortfalls, node, work, key, first_path)
            else:
                for p in range(n_paths):
                    top[p] = shortfalls[node % 2, p]
                    call[p] = -pressure * maintenances[node % 2, p]
            record(work, node, within, maximum, maximum_step, liquidation_step, call_step)
