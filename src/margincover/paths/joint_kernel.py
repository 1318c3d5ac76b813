"""The path kernel of the common case: several factors, one plain asset, linear contracts.

Same results as ``paths.kernels.run_pool`` to rounding, in one pass per factor and step: shortfall, maintenance and the
local variance of the bridge are added up together. The sums stand in one array at fixed distances, for blocks of 256
paths, so that the compiler sees that they do not overlap and uses vectors.
"""

from __future__ import annotations

from numba import njit

from margincover.paths.kernels import bridge_levels, draw_bridges, record, tier_of

KERNEL_VERSION = 2  # raise when a helper changes: Numba's cache follows the caller's file only
PATHS = 256
_SHORTFALL, _MAINTENANCE, _COMMON, _OWN = 0, PATHS, 2 * PATHS, 3 * PATHS
_FLOOR, _FRACTION, _DEDUCTION = range(3)


@njit(nogil=True, cache=True, error_model="numpy")
def _add_tiers(row, notional, first, last, tier, sums, extra):
    """Add the tiers above the lowest one that any path reaches, path by path, to sums and to the slope ``extra``."""
    for s in range(first + 1, last + 1):
        floor, more = tier[_FLOOR, s], tier[_FRACTION, s] - tier[_FRACTION, s - 1]
        less = tier[_DEDUCTION, s] - tier[_DEDUCTION, s - 1]
        for p in range(PATHS):
            value = notional * row[p]
            above = more * value if value >= floor else 0.0
            added = above - (less if value >= floor else 0.0)
            sums[_SHORTFALL + p] += added
            sums[_MAINTENANCE + p] += added
            extra[p] += above


@njit(nogil=True, cache=True, error_model="numpy")
def _add_factor(row, before, deviation, change, change_before, line, loading, sums):
    """Add one factor to the sums: shortfall, maintenance, and both parts of the local variance."""
    half, half_before, rest = 0.5 * change, 0.5 * change_before, 1.0 - loading * loading
    for p in range(PATHS):
        ratio = row[p]
        sums[_SHORTFALL + p] += change * ratio
        sums[_MAINTENANCE + p] += line * ratio
        move = (half * ratio + half_before * before[p]) * deviation[p]
        sums[_COMMON + p] += loading * move
        sums[_OWN + p] += rest * move * move


@njit(nogil=True, cache=True, error_model="numpy")
def _add_tiered_factor(
    row, before, deviation, change, change_before, line, loading, sums, extra, extra_before
):  # fmt: skip
    """Do what ``_add_factor`` does for a factor whose slope has a part path by path, now or at the step before."""
    rest = 1.0 - loading * loading
    for p in range(PATHS):
        ratio = row[p]
        sums[_SHORTFALL + p] += change * ratio
        sums[_MAINTENANCE + p] += line * ratio
        slope = change * ratio + change_before * before[p] + extra[p] + extra_before[p]
        move = 0.5 * slope * deviation[p]
        sums[_COMMON + p] += loading * move
        sums[_OWN + p] += rest * move * move


@njit(nogil=True, cache=True, error_model="numpy")
def run_joint(
    level, span, deviation, loading, hours, first_step, n_steps, horizon, key, first_path, factor, held, line, funding,
    constants, leg_index, leg_notional, tier, pressure, has_funding, charge, paid, shortfalls, maintenances, changes,
    extras, maximum, passage, sums, work, lines,
):  # fmt: skip
    """Follow one pool along some steps of one block of 256 paths; carry its state and results on.

    Parameters
    ----------
    level, span, deviation, loading, hours, first_step, n_steps, horizon, key, first_path, leg_index, leg_notional,
    tier, pressure, has_funding, shortfalls, maintenances, maximum, passage :
        As in ``paths.kernels.run_pool``.
    factor, held, line, funding : array [factor]
        Factor of the generator; coefficients of the ratio in equity, maintenance and hourly funding.
    constants : array [2]
        Constant of equity and of maintenance.
    charge : array [step, 1, path]
        As in ``run_pool``, of the only asset.
    paid : array [path]
        Funding paid so far, and charges.
    changes : array [2, factor], extras : array [2, factor, path]
        Derivative of the shortfall by ratio at even and odd nodes, and what tiers add to the slope path by path.
    sums, work, lines : array [4 * 256], [6, 256], [2, factor]
        Work space; the second row of ``lines`` marks factors with an extra slope at even (1) and odd (2) nodes.
    """
    n_factors = factor.size
    for n in range(0 if first_step == 0 else 1, n_steps + 1):
        node = first_step + n
        now, ago = node % 2, (node + 1) % 2
        mark = float(1 + now)
        if has_funding and n > 0:
            for f in range(n_factors):
                row, cost = level[0, n - 1, factor[f]], funding[f] * hours
                for p in range(PATHS):
                    paid[p] += cost * row[p]
        if charge.shape[0] > 0 and n > 0:
            for p in range(PATHS):
                paid[p] += charge[n - 1, 0, p]
        required = constants[1]
        for f in range(n_factors):
            lines[0, f] = line[f]
            if lines[1, f] == mark or lines[1, f] == 3.0:
                lines[1, f] -= mark
                extras[now, f, :] = 0.0
        for k in range(leg_notional.size):
            f = leg_index[1, k]
            smallest, largest = span[0, 0, n, factor[f]], span[1, 0, n, factor[f]]
            # One ulp of room: rounding must not hide a tier that a path at the end of the range reaches.
            low = tier_of(leg_notional[k] * smallest * (1.0 - 1e-15), tier[_FLOOR], leg_index[3, k], leg_index[4, k])
            required -= tier[_DEDUCTION, low]
            lines[0, f] += tier[_FRACTION, low] * leg_notional[k]
        for p in range(PATHS):
            sums[_SHORTFALL + p] = required - constants[0] + paid[p]
            sums[_MAINTENANCE + p] = required
            sums[_COMMON + p] = 0.0
            sums[_OWN + p] = 0.0
        for k in range(leg_notional.size):
            f = leg_index[1, k]
            smallest, largest = span[0, 0, n, factor[f]], span[1, 0, n, factor[f]]
            low = tier_of(leg_notional[k] * smallest * (1.0 - 1e-15), tier[_FLOOR], leg_index[3, k], leg_index[4, k])
            high = tier_of(leg_notional[k] * largest * (1.0 + 1e-15), tier[_FLOOR], leg_index[3, k], leg_index[4, k])
            if high > low:
                if lines[1, f] != mark and lines[1, f] != 3.0:
                    lines[1, f] += mark
                _add_tiers(level[0, n, factor[f]], leg_notional[k], low, high, tier, sums, extras[now, f])
        for f in range(n_factors):
            g = factor[f]
            changes[now, f] = lines[0, f] - held[f]
            # The start has no step before it: its deviation counts as nothing and the sums of the bridge are not read.
            back, step = max(n - 1, 0), max(n - 1, 0)
            if lines[1, f] == 0.0:
                _add_factor(
                    level[0, n, g], level[0, back, g], deviation[step, g], changes[now, f], changes[ago, f],
                    lines[0, f], loading[g], sums,
                )  # fmt: skip
            else:
                _add_tiered_factor(
                    level[0, n, g], level[0, back, g], deviation[step, g], changes[now, f], changes[ago, f],
                    lines[0, f], loading[g], sums, extras[now, f], extras[ago, f],
                )  # fmt: skip
        for p in range(PATHS):
            shortfalls[now, p] = sums[_SHORTFALL + p]
            maintenances[now, p] = sums[_MAINTENANCE + p]
            work[0, p] = sums[_SHORTFALL + p]
            work[1, p] = -pressure * sums[_MAINTENANCE + p]
            work[3, p] = sums[_COMMON + p]
            work[4, p] = sums[_OWN + p]
        if n > 0:
            bridge_levels(
                shortfalls, maintenances, node, work, node <= horizon, pressure, maximum, passage[1], passage[2]
            )
            draw_bridges(shortfalls, node, work, key, first_path)
        record(work, node, node <= horizon, maximum, passage[0], passage[1], passage[2])
