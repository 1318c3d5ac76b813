"""Compiled loops over paths: the level of the shared shortfall after transfers, and the cost of the second stage.

Both second stages have closed forms, so no solver is called per path. Plain twins: `allocation.reference`.
Arrays are [venue, path] or, for receivable amounts and covers, [venue, 1] when they hold for all paths; weights are
[placement, path] or [placement, 1].
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _step(array):
    # An array with one column holds for all paths: its column is read again and again.
    return 1 if array.shape[1] > 1 else 0


@numba.njit(cache=True)
def _insert(buffer, count, value):
    # Keeps buffer[:count] in descending order.
    place = count
    while place > 0 and buffer[place - 1] < value:
        buffer[place] = buffer[place - 1]
        place -= 1
    buffer[place] = value


@numba.njit(cache=True)
def shortfall_levels(early, total, receivable, early_cover, total_cover, venues, reserve, paths):
    """Least level t to which transfers from the reserve can bring the largest shortfall, array [path of ``paths``].

    Nothing receivable and no reserve gives the largest shortfall itself. A reserve of 0 with something receivable gives
    the same number but another slope, so the two must not be mixed up.
    """
    of_cover, of_cap = _step(total_cover), _step(receivable)
    level = np.empty(paths.size)
    buffer = np.empty(venues.size + 1)
    for number in range(paths.size):
        path = paths[number]
        worst, count = -np.inf, 0
        for venue in venues:
            late = total[venue, path] - total_cover[venue, path * of_cover]
            cap = receivable[venue, path * of_cap]
            if cap > 0.0:
                worst = max(worst, late - cap, early[venue, path] - early_cover[venue, path * of_cover])
                _insert(buffer, count, late)
                count += 1
            else:
                soon = early[venue, path] - early_cover[venue, path * of_cover]
                worst = max(worst, late, soon)
        filled = 0.0
        for place in range(count):
            filled += buffer[place]
            worst = max(worst, (filled - reserve) / (place + 1))
        level[number] = worst
    return level


@numba.njit(cache=True)
def _active(early, total, receivable, early_cover, total_cover, venues, reserve, path, buffer):
    # What holds the level up on one path: a single venue (by its early or its total need), or `share` venues alike.
    of_cover, of_cap = _step(total_cover), _step(receivable)
    worst, who, is_total, count = -np.inf, -1, False, 0
    for venue in venues:
        late = total[venue, path] - total_cover[venue, path * of_cover]
        cap = receivable[venue, path * of_cap]
        if late - cap > worst:
            worst, who, is_total = late - cap, venue, True
        soon = early[venue, path] - early_cover[venue, path * of_cover]
        if soon > worst:
            worst, who, is_total = soon, venue, False
        if cap > 0.0:
            _insert(buffer, count, late)
            count += 1
    filled, share, threshold = 0.0, 0, 0.0
    for place in range(count):
        filled += buffer[place]
        if (filled - reserve) / (place + 1) > worst:
            worst, share, threshold = (filled - reserve) / (place + 1), place + 1, buffer[place]
    return who, is_total, share, threshold


@numba.njit(cache=True)
def _share_out(total, receivable, total_cover, venues, path, share, threshold, part):
    # The largest first, then those equal to the smallest of the shared: exactly `share` venues, whatever the ties.
    of_cover, of_cap = _step(total_cover), _step(receivable)
    part[:] = 0.0
    left = share
    for tied in range(2):
        for venue in venues:
            late = total[venue, path] - total_cover[venue, path * of_cover]
            chosen = late == threshold if tied else late > threshold
            if left > 0 and receivable[venue, path * of_cap] > 0.0 and chosen:
                part[venue] = 1.0 / share
                left -= 1


@numba.njit(cache=True)
def shortfall_slope(
    early,
    total,
    receivable,
    early_cover,
    total_cover,
    venues,
    reserve,
    paths,
    mass,
    placement_venue,
    early_weight,
    total_weight,
):
    """Weighted slope of the level over some paths by placement [placement + 1], the reserve last; ``mass`` per path."""
    of_early, of_total = _step(early_weight), _step(total_weight)
    n_placements = placement_venue.size
    slope = np.zeros(n_placements + 1)
    buffer = np.empty(venues.size + 1)
    part = np.empty(total.shape[0])
    for number in range(paths.size):
        path = paths[number]
        who, is_total, share, threshold = _active(
            early, total, receivable, early_cover, total_cover, venues, reserve, path, buffer
        )
        if share == 0:
            for place in range(n_placements):
                if placement_venue[place] == who:
                    weight = total_weight[place, path * of_total] if is_total else early_weight[place, path * of_early]
                    slope[place] -= mass[number] * weight
            continue
        _share_out(total, receivable, total_cover, venues, path, share, threshold, part)
        for place in range(n_placements):
            slope[place] -= mass[number] * part[placement_venue[place]] * total_weight[place, path * of_total]
        slope[n_placements] -= mass[number] / share
    return slope


@numba.njit(cache=True)
def _send(late, soon, cap, order, fee, loss, reserve):
    # Cost of one path and the saving per dollar of the first venue that the reserve does not serve in full.
    cost, price, left = 0.0, 0.0, reserve
    for venue in order:
        cost += loss[venue] * max(late[venue], soon[venue], 0.0)
        useful = min(max(late[venue], 0.0) - max(soon[venue], 0.0), cap[venue])
        saving = loss[venue] - fee[venue]
        if saving > 0.0 and useful > 0.0:
            sent = min(useful, left)
            cost -= saving * sent
            if price == 0.0 and sent < useful:
                price = saving
            left -= sent
    return cost, price


@numba.njit(cache=True)
def _prices(late, soon, cap, fee, loss, price, by_early, by_total):
    # Slopes of one path's cost by early and total cover: the dual prices when a dollar of reserve is worth ``price``.
    for venue in range(late.size):
        by_early[venue], by_total[venue] = 0.0, 0.0
        if late[venue] > 0.0 and late[venue] >= soon[venue]:
            by_total[venue] = -loss[venue]
            extra = loss[venue] - fee[venue] - price
            if extra > 0.0 and late[venue] - max(soon[venue], 0.0) < cap[venue]:
                by_total[venue] += extra
                by_early[venue] = -extra if soon[venue] > 0.0 else 0.0
        elif soon[venue] > 0.0:
            by_early[venue] = -loss[venue]


@numba.njit(cache=True)
def recourse_cost(
    early,
    total,
    receivable,
    early_cover,
    total_cover,
    order,
    fee,
    loss,
    reserve,
    paths,
    mass,
    placement_venue,
    early_weight,
    total_weight,
):
    """Weighted cost of the best transfers over some paths, and its slope by placement with the reserve last.

    ``order`` lists the venues by falling saving per dollar (loss - fee): the reserve goes where it saves most. The
    slopes are the dual prices of the second stage.
    """
    of_cover, of_cap = _step(total_cover), _step(receivable)
    of_early, of_total = _step(early_weight), _step(total_weight)
    n_venues, n_placements = total.shape[0], placement_venue.size
    slope = np.zeros(n_placements + 1)
    late, soon, cap = np.empty(n_venues), np.empty(n_venues), np.empty(n_venues)
    by_early, by_total = np.empty(n_venues), np.empty(n_venues)
    expected = 0.0
    for number in range(paths.size):
        path = paths[number]
        for venue in range(n_venues):
            late[venue] = total[venue, path] - total_cover[venue, path * of_cover]
            soon[venue] = early[venue, path] - early_cover[venue, path * of_cover]
            cap[venue] = receivable[venue, path * of_cap]
        cost, price = _send(late, soon, cap, order, fee, loss, reserve)
        expected += mass[number] * cost
        slope[n_placements] -= mass[number] * price
        _prices(late, soon, cap, fee, loss, price, by_early, by_total)
        for place in range(n_placements):
            venue = placement_venue[place]
            slope[place] += mass[number] * (
                by_early[venue] * early_weight[place, path * of_early]
                + by_total[venue] * total_weight[place, path * of_total]
            )
    return expected, slope
