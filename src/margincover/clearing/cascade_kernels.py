"""Compiled cascade of isolated accounts in one market; its plain twin, which scans every account, is cascade_reference.

Accounts stand sorted by liquidation price, so that a round reads only those that it reaches: the end of the window by
galloping from the last place, the quantity by a difference of prefix sums.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from margincover.clearing.cascade_arrays import BLOCK

UNIT_MOVE = 0.01  # as in clearing.impact
_LINEAR, _EXPONENTIAL = 0, 1


@njit(nogil=True, cache=True, error_model="numpy")
def standing_flow(displacement, depth_usd, law, bound):
    """Twin of impact.standing_flow_usd."""
    size = min(abs(displacement), bound)
    if law == _LINEAR:
        flow = depth_usd * size / UNIT_MOVE
    elif law == _EXPONENTIAL:
        flow = -depth_usd * bound / UNIT_MOVE * math.log1p(-min(size / bound, 1.0 - 1e-12))
    else:
        flow = depth_usd * (size / UNIT_MOVE) ** 2
    return math.copysign(flow, displacement)


@njit(nogil=True, cache=True, error_model="numpy")
def displacement_of(flow, depth_usd, law, bound):
    """Return the displacement that a net flow stands for: the second half of impact.displaced."""
    size = abs(flow) / depth_usd
    if law == _LINEAR:
        moved = UNIT_MOVE * size
    elif law == _EXPONENTIAL:
        moved = -bound * math.expm1(-UNIT_MOVE * size / bound)
    else:
        moved = UNIT_MOVE * math.sqrt(size)
    return math.copysign(min(moved, bound), flow)


@njit(nogil=True, cache=True, error_model="numpy")
def depth_at(depth_usd, price, reference, thinning, floor):
    """Twin of impact.thinned_depth_usd."""
    return depth_usd * max(1.0 / (1.0 + abs(1.0 - price / reference) / thinning), floor)


@njit(nogil=True, cache=True, error_model="numpy")
def average_displacement(before, sold_usd, depth_usd, law, bound):
    """Return the mean displacement while an order walks the book, by Simpson's rule, and that after it."""
    flow = standing_flow(before, depth_usd, law, bound)
    after = displacement_of(flow + sold_usd, depth_usd, law, bound)
    middle = displacement_of(flow + 0.5 * sold_usd, depth_usd, law, bound)
    return (before + 4.0 * middle + after) / 6.0, after


@njit(nogil=True, cache=True, error_model="numpy")
def reached(key, first, level):
    """Return the end of the accounts with key >= level, galloping from first."""
    n = key.shape[0]
    if first >= n or key[first] < level:
        return first
    low, jump = first, 1
    while low + jump < n and key[low + jump] >= level:
        low += jump
        jump *= 2
    high = min(low + jump, n)
    while high - low > 1:
        middle = (low + high) // 2
        if key[middle] >= level:
            low = middle
        else:
            high = middle
    return high


@njit(nogil=True, cache=True, error_model="numpy")
def _settle_each(side, first, last, execution, fee):
    """Return fees, collateral left and shortfall of a window closed at one price, account by account."""
    fees = left = shortfall = 0.0
    for k in range(first, last):
        equity = side.sign * side.quantity[k] * (execution - side.bankruptcy[k])
        if equity <= 0.0:
            shortfall -= equity
        else:
            charged = min(fee * side.quantity[k] * execution, equity)
            fees += charged
            left += equity - charged
    return fees, left, shortfall


@njit(nogil=True, cache=True, error_model="numpy")
def settle(side, first, last, execution, fee, is_forfeited):
    """Return fees, forfeited margin, shortfall and returned collateral of a window closed at one price.

    A block in which every account can pay its fee, none can pay all of it, or none has equity, goes by its sums.
    """
    fees = left = shortfall = 0.0
    solvent, bankrupt = side.sign * execution - fee * execution, side.sign * execution
    k = first
    while k < last:
        block = k // BLOCK
        end = min((block + 1) * BLOCK, last)
        low, high = side.block_low[block], side.block_high[block]
        if high <= solvent or low >= bankrupt or (low >= solvent and high <= bankrupt):
            quantity = side.cumulative[end] - side.cumulative[k]
            equity = side.sign * (execution * quantity - (side.cumulative_value[end] - side.cumulative_value[k]))
            if high <= solvent:
                charged = fee * execution * quantity
                fees += charged
                left += equity - charged
            elif low >= bankrupt:
                shortfall -= equity
            else:
                fees += equity
        else:
            each = _settle_each(side, k, end, execution, fee)
            fees += each[0]
            left += each[1]
            shortfall += each[2]
        k = end
    # A difference of sums may fall a rounding below zero.
    fees, left, shortfall = max(fees, 0.0), max(left, 0.0), max(shortfall, 0.0)
    return (fees, left, shortfall, 0.0) if is_forfeited else (fees, 0.0, shortfall, left)


@njit(nogil=True, cache=True, error_model="numpy")
def isolated_round(sides, ends, at, market, rule, money, fund):
    """Close what the present price reaches; return the new displacement and whether anything was reached.

    ``at`` is (index, displacement); ``market`` (depth, reference, bound); ``ends`` the places reached so far; ``money``
    gathers sold, bought, accounts, loss, fees, forfeited, shortfall, returned, paid.
    The fund [1] takes in fees and forfeited margin of a round before it pays.
    """
    longs, shorts = sides
    index, displacement = at
    price = index * (1.0 - displacement)
    end_long = reached(longs.key, ends[0], price)
    end_short = reached(shorts.key, ends[1], -price)
    if end_long == ends[0] and end_short == ends[1]:
        return displacement, False
    sold = longs.cumulative[end_long] - longs.cumulative[ends[0]]
    bought = shorts.cumulative[end_short] - shorts.cumulative[ends[1]]
    depth = depth_at(market[0], price, market[1], rule.thinning, rule.depth_floor)
    mean, after = average_displacement(displacement, (sold - bought) * price, depth, rule.law, market[2])
    execution = index * (1.0 - mean)
    a = settle(longs, ends[0], end_long, execution, rule.fee, rule.is_forfeited)
    b = settle(shorts, ends[1], end_short, execution, rule.fee, rule.is_forfeited)
    money[0] += sold * execution
    money[1] += bought * execution
    money[2] += (end_long - ends[0]) + (end_short - ends[1])
    money[3] += (sold - bought) * (market[1] - execution)
    for k in range(4):
        money[4 + k] += a[k] + b[k]
    fund[0] += rule.fee_to_fund * (a[0] + b[0]) + a[1] + b[1]
    paid = min(fund[0], a[2] + b[2])
    fund[0] -= paid
    money[8] += paid
    ends[0], ends[1] = end_long, end_short
    return after, True


@njit(nogil=True, cache=True, error_model="numpy")
def isolated_path(index, sides, market, rule, fund, record):
    """Run one cascade along the index [step] and write the record; return how many of each side were closed."""
    ends = np.zeros(2, np.int64)
    displacement, held, money = 0.0, np.array([fund]), np.zeros(9)
    for step in range(index.shape[0]):
        money[:] = 0.0
        price = index[step] * (1.0 - displacement)
        low = high = price
        rounds, is_open = 0, True
        while is_open and rounds < rule.max_rounds:
            displacement, is_open = isolated_round(sides, ends, (index[step], displacement), market, rule, money, held)
            rounds += is_open
            price = index[step] * (1.0 - displacement)
            low, high = min(low, price), max(high, price)
        record.price[step, 0], record.low[step, 0], record.high[step, 0] = price, low, high
        record.depth[step, 0] = depth_at(market[0], price, market[1], rule.thinning, rule.depth_floor)
        record.sold_usd[step, 0], record.bought_usd[step, 0] = money[0], money[1]
        record.n_closed[step] = record.n_touched[step] = money[2]
        record.market_loss[step], record.fees[step], record.forfeited[step] = money[3], money[4], money[5]
        record.shortfall[step], record.paid[step], record.fund[step, 0] = money[6], money[8], held[0]
        record.returned[step] = money[7]
        record.rounds[step], record.is_cut[step] = rounds, is_open
        displacement *= 1.0 - rule.recovery
    return ends


@njit(nogil=True, cache=True, error_model="numpy")
def isolated_paths(index, sides, market, rule, fund):
    """Run a cascade along each row of index [path, step]; return columns lowest, last, USD, unpaid, rounds, cut."""
    n_paths, n_steps = index.shape
    out = np.empty((n_paths, 6))
    for path in range(n_paths):
        ends = np.zeros(2, np.int64)
        displacement, held, low = 0.0, np.array([fund]), np.inf
        closed = unpaid = rounds = cut = 0.0
        price, money = market[1], np.zeros(9)
        for step in range(n_steps):
            money[:] = 0.0
            now = index[path, step]
            count, is_open = 0, True
            low = min(low, now * (1.0 - displacement))
            while is_open and count < rule.max_rounds:
                displacement, is_open = isolated_round(sides, ends, (now, displacement), market, rule, money, held)
                count += is_open
                price = now * (1.0 - displacement)
                low = min(low, price)
            closed += money[0] + money[1]
            unpaid += money[6] - money[8]
            rounds += count
            cut += is_open
            displacement *= 1.0 - rule.recovery
        out[path] = np.array([low, price, closed, unpaid, rounds, cut])
    return out
