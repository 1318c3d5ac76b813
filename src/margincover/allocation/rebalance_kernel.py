"""Compiled loop that follows a rule for moving money between venues along paths. Plain twin: `rebalance_reference`.

Capital and results are by position in ``paths``, so that one path may be followed with many capitals.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def _order_moves(cash, headroom, pending, need, useable, cap, band, takes_back, reserve, sent, taken):
    # Fills what each venue is sent and what is taken from it; returns what the reserve gives.
    total, needed = reserve, 0.0
    for v in range(cash.size):
        sent[v], taken[v] = 0.0, 0.0
        if useable[v]:
            total += headroom[v] + pending[v]
            needed += need[v]
    if needed <= 0.0 or total <= 0.0:
        return 0.0
    unit = min(cap, total / needed)
    wanted, offered = 0.0, 0.0
    for v in range(cash.size):
        if not useable[v]:
            continue
        target = unit * need[v]
        missing = target - headroom[v] - pending[v]
        if missing > band * target:
            sent[v] = missing
            wanted += missing
        elif takes_back and headroom[v] > target:
            taken[v] = max(min(headroom[v] - target, cash[v]), 0.0)
            offered += taken[v]
    moved = min(wanted, reserve + offered)
    if moved <= 0.0:
        sent[:] = 0.0
        taken[:] = 0.0
        return 0.0
    from_reserve = min(moved, reserve)
    part = (moved - from_reserve) / offered if offered > 0.0 else 0.0
    for v in range(cash.size):
        sent[v] *= moved / wanted
        taken[v] *= part
    return from_reserve


@numba.njit(cache=True, nogil=True)
def follow(table, useable, share, reserve_share, band, takes_back, delay, paths, capital):
    """Return first liquidated step (-1: none) and venue, and the money at the end by place; see ``rebalance.follow``.

    ``table`` [path, step, 3, venue] holds worst, close and need: paths are followed one by one, and what one path reads
    lies together, or most of the time goes into waiting for memory. Money at the end is [venue + 2, path]: at each
    venue, in the reserve, in transit.
    """
    n_steps, n_venues = table.shape[1], table.shape[3]
    step = np.full(paths.size, -1, dtype=np.int32)
    venue = np.full(paths.size, -1, dtype=np.int32)
    money = np.zeros((n_venues + 2, paths.size))
    cash, headroom, pending = np.empty(n_venues), np.empty(n_venues), np.empty(n_venues)
    now, sent, taken = np.empty(n_venues), np.empty(n_venues), np.empty(n_venues)
    arriving = np.zeros((n_steps + delay + 2, n_venues))
    for number in range(paths.size):
        row = table[paths[number]]
        reserve = reserve_share * capital[number]
        first = 0.0
        arriving[:] = 0.0
        pending[:] = 0.0
        for v in range(n_venues):
            cash[v] = (1.0 - reserve_share) * capital[number] * share[v]
            first += row[0, 2, v]
        cap = (1.0 - reserve_share) * capital[number] / first if first > 0.0 else 0.0
        for t in range(n_steps):
            for v in range(n_venues):
                cash[v] += arriving[t, v]
                pending[v] -= arriving[t, v]
                arriving[t, v] = 0.0
                if venue[number] < 0 and row[t, 0, v] >= cash[v]:
                    step[number], venue[number] = t, v
            if step[number] >= 0:
                break
            if t + 1 + delay >= n_steps:
                continue  # what is sent now arrives after the last step
            for v in range(n_venues):
                headroom[v] = cash[v] - row[t, 1, v]
                now[v] = row[t + 1, 2, v]
            reserve -= _order_moves(cash, headroom, pending, now, useable, cap, band, takes_back, reserve, sent, taken)
            for v in range(n_venues):
                cash[v] -= taken[v]
                pending[v] += sent[v]
                arriving[t + 1 + delay, v] += sent[v]
        for v in range(n_venues):
            money[v, number] = cash[v]
            money[n_venues + 1, number] += pending[v]
        money[n_venues, number] = reserve
    return step, venue, money


@numba.njit(cache=True, nogil=True)
def shortfalls(gross, slope, net, low, high, close, sigma, worst, last, need):
    """Write shortfall at the worst prices of each step, at its close, and the next step's sigma by venue.

    ``slope``, ``net`` [venue, coin]; prices and sigma [step, coin, path]; outputs [step, venue, path]. ``sigma`` of
    step t is known before it, and is applied to the price at its start.
    """
    n_steps, n_venues, n_paths = worst.shape
    for t in range(n_steps):
        for v in range(n_venues):
            w, c, s = worst[t, v], last[t, v], need[t, v]
            w[:] = 0.0
            c[:] = 0.0
            s[:] = 0.0
            for k in range(net.shape[1]):
                if gross[v, k] == 0.0:
                    continue
                a, q, size = slope[v, k], net[v, k], abs(slope[v, k])
                for p in range(n_paths):
                    w[p] += q + max(a * low[t, k, p], a * high[t, k, p])
                    c[p] += q + a * close[t, k, p]
                    before = close[t - 1, k, p] if t > 0 else 1.0
                    s[p] += size * before * sigma[t, k, p]
