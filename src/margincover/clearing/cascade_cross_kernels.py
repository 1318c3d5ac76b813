"""Compiled cascade of cross-margined accounts over several coins and venues; its plain twin is cascade_cross_reference.

An account is evaluated only when prices have travelled far enough to reach it: after an evaluation with headroom h and
exposure G = sum |q| P (1 + m), no travel below ln(1 + h / G) can bring it under maintenance. ``travelled`` adds up the
largest move of any market in logarithms, which bounds the move of every market since.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from margincover.clearing.cascade_kernels import average_displacement, depth_at


@njit(nogil=True, cache=True, error_model="numpy")
def maintenance_of(accounts, position, notional):
    """Return the largest of the table's lines fraction * notional - deduction."""
    table = accounts.table[position]
    largest = 0.0
    for line in range(accounts.table_start[table], accounts.table_start[table + 1]):
        largest = max(largest, accounts.line_fraction[line] * notional - accounts.line_deduction[line])
    return largest


@njit(nogil=True, cache=True, error_model="numpy")
def _standing(accounts, account, price):
    """Return equity, maintenance, exposure to moves and the number of positions of an account."""
    equity, maintenance, exposure, held = accounts.cash[account], 0.0, 0.0, 0
    for k in range(accounts.start[account], accounts.start[account + 1]):
        quantity = accounts.quantity[k]
        if quantity == 0.0:
            continue
        value = quantity * price[accounts.market[k]]
        notional = abs(value)
        steepest = accounts.line_fraction[accounts.table_start[accounts.table[k] + 1] - 1]
        equity += value
        maintenance += maintenance_of(accounts, k, notional)
        exposure += notional * (1.0 + steepest)
        held += 1
    return equity, maintenance, exposure, held


@njit(nogil=True, cache=True, error_model="numpy")
def _slice(accounts, k, price, slip, missing, rule):
    """Return the quantity to close, >= 0, and the maintenance and costs that closing it frees."""
    held = abs(accounts.quantity[k])
    market = accounts.market[k]
    notional = held * price[market]
    maintenance = maintenance_of(accounts, k, notional)
    # Slippage of the last round: a long sells below the mark, a short buys above it.
    cost = slip[market] if accounts.quantity[k] > 0.0 else -slip[market]
    freed = maintenance / held - price[market] * (max(cost, 0.0) + rule.fee)
    if freed <= 0.0:
        return held, 0.0
    size = max(missing / freed, rule.least_slice * held)
    if size >= held or notional - size * price[market] < rule.whole_below_usd:
        return held, held * freed
    return size, size * freed


@njit(nogil=True, cache=True, error_model="numpy")
def _largest(accounts, account, price, close):
    """Return the position with the most maintenance of which nothing is to be closed yet, -1 for none."""
    best, most = -1, -1.0
    for k in range(accounts.start[account], accounts.start[account + 1]):
        if accounts.quantity[k] == 0.0 or close[k] != 0.0:
            continue
        margin = maintenance_of(accounts, k, abs(accounts.quantity[k]) * price[accounts.market[k]])
        if margin > most:
            best, most = k, margin
    return best


@njit(nogil=True, cache=True, error_model="numpy")
def _choose(accounts, account, standing, price, slip, close, rule):
    """Write the quantities that an account must close: everything, or slices until maintenance is restored."""
    equity, maintenance = standing
    if not rule.is_partial or equity <= 0.0:
        for k in range(accounts.start[account], accounts.start[account + 1]):
            close[k] = abs(accounts.quantity[k])
        return
    missing = maintenance - equity
    while missing > 0.0:
        k = _largest(accounts, account, price, close)
        if k < 0:
            return
        close[k], freed = _slice(accounts, k, price, slip, missing, rule)
        missing -= freed


@njit(nogil=True, cache=True, error_model="numpy")
def find_breaches(accounts, state, price, close, flow, rule):
    """List the accounts under maintenance, with what they close and the net sale by market; return their number."""
    n_hit = 0
    flow[:] = 0.0
    for account in range(accounts.cash.shape[0]):
        if state.travelled[0] < state.safe_until[account]:
            continue
        equity, maintenance, exposure, held = _standing(accounts, account, price)
        if held == 0:
            state.safe_until[account] = np.inf
            continue
        if equity > maintenance:
            state.safe_until[account] = state.travelled[0] + math.log1p((equity - maintenance) / exposure)
            continue
        _choose(accounts, account, (equity, maintenance), price, state.slip, close, rule)
        state.hit[n_hit] = account
        n_hit += 1
        for k in range(accounts.start[account], accounts.start[account + 1]):
            market = accounts.market[k]
            flow[market] += math.copysign(close[k] * price[market], accounts.quantity[k])
    return n_hit


@njit(nogil=True, cache=True, error_model="numpy")
def _trade(accounts, account, execution, markets, record, step, close):
    """Close the chosen quantities at the traded prices; return notional, loss since the start and positions left."""
    notional, loss, left = 0.0, 0.0, 0
    for k in range(accounts.start[account], accounts.start[account + 1]):
        if close[k] != 0.0:
            market = accounts.market[k]
            signed = math.copysign(close[k], accounts.quantity[k])
            value = close[k] * execution[market]
            notional += value
            loss += signed * (markets.reference[market] - execution[market])
            accounts.cash[account] += signed * execution[market]
            if signed > 0.0:
                record.sold_usd[step, market] += value
            else:
                record.bought_usd[step, market] += value
            accounts.quantity[k] = 0.0 if close[k] >= abs(accounts.quantity[k]) else accounts.quantity[k] - signed
            close[k] = 0.0
        left += accounts.quantity[k] != 0.0
    return notional, loss, left


@njit(nogil=True, cache=True, error_model="numpy")
def _close_account(accounts, account, trade, price, rule, fund_change):
    """Charge the fee, then forfeit or cover what is left; return fee, forfeited margin and shortfall.

    The fee is charged only out of what is left: an account without equity cannot pay one.
    """
    notional, left = trade
    equity = _standing(accounts, account, price)[0]
    charged = min(rule.fee * notional, max(equity, 0.0))
    accounts.cash[account] -= charged
    forfeited = shortfall = 0.0
    if left == 0:
        if accounts.cash[account] < 0.0:
            shortfall = -accounts.cash[account]
            accounts.cash[account] = 0.0
        elif rule.is_forfeited:
            forfeited = accounts.cash[account]
            accounts.cash[account] = 0.0
    fund_change[0] += rule.fee_to_fund * charged + forfeited
    fund_change[1] += shortfall
    return charged, forfeited, shortfall


@njit(nogil=True, cache=True, error_model="numpy")
def settle_round(accounts, state, n_hit, price, markets, rule, record, step, close, fund):
    """Trade and settle every account that was found; the fund of each venue takes in first and then pays."""
    n_venues = fund.shape[0]
    change = np.zeros((n_venues, 2))
    for j in range(n_hit):
        account = state.hit[j]
        venue = markets.venue[accounts.market[accounts.start[account]]]
        notional, loss, left = _trade(accounts, account, state.execution, markets, record, step, close)
        fee, forfeited, shortfall = _close_account(accounts, account, (notional, left), price, rule, change[venue])
        record.market_loss[step] += loss
        record.fees[step] += fee
        record.forfeited[step] += forfeited
        record.shortfall[step] += shortfall
        if left == 0:
            record.n_closed[step] += 1.0
            record.returned[step] += accounts.cash[account]
        record.n_touched[step] += 1.0
        state.safe_until[account] = -np.inf
    for venue in range(n_venues):
        fund[venue] += change[venue, 0]
        paid = min(fund[venue], change[venue, 1])
        fund[venue] -= paid
        record.paid[step] += paid


@njit(nogil=True, cache=True, error_model="numpy")
def _move(index, displacement, flow, price, state, markets, rule):
    """Send the net sales to the books: write execution, slippage, displacement and the new local prices."""
    furthest = 0.0
    for m in range(price.shape[0]):
        depth = depth_at(markets.depth_usd[m], price[m], markets.reference[m], rule.thinning, rule.depth_floor)
        mean, after = average_displacement(displacement[m], flow[m], depth, rule.law, markets.bound[m])
        state.execution[m] = index[markets.coin[m]] * (1.0 - mean)
        state.slip[m] = 1.0 - state.execution[m] / price[m]
        displacement[m] = after
        new = index[markets.coin[m]] * (1.0 - after)
        furthest = max(furthest, abs(math.log(new / price[m])))
        price[m] = new
    state.travelled[0] += furthest


@njit(nogil=True, cache=True, error_model="numpy")
def relax(displacement, markets, rule, n_coins):
    """Close part of the gap between the venues of a coin, then part of the gap to the index."""
    mean = np.zeros(n_coins)
    for m in range(displacement.shape[0]):
        mean[markets.coin[m]] += markets.weight[m] * displacement[m]
    for m in range(displacement.shape[0]):
        displacement[m] += rule.arbitrage * (mean[markets.coin[m]] - displacement[m])
        displacement[m] *= 1.0 - rule.recovery


@njit(nogil=True, cache=True, error_model="numpy")
def _reprice(index, displacement, price, state, markets):
    furthest = 0.0
    for m in range(price.shape[0]):
        new = index[markets.coin[m]] * (1.0 - displacement[m])
        furthest = max(furthest, abs(math.log(new / price[m])))
        price[m] = new
    state.travelled[0] += furthest


@njit(nogil=True, cache=True, error_model="numpy")
def cross_path(index, accounts, markets, rule, fund, state, record):
    """Run one cascade along the index [step, coin]; cash, quantity and fund change in place."""
    n_markets = markets.coin.shape[0]
    displacement, flow = np.zeros(n_markets), np.zeros(n_markets)
    price, close = markets.reference.copy(), np.zeros(accounts.quantity.shape[0])
    for step in range(index.shape[0]):
        _reprice(index[step], displacement, price, state, markets)
        state.slip[:] = 0.0
        record.low[step], record.high[step] = price, price
        rounds, n_hit = 0, 1
        while n_hit > 0 and rounds < rule.max_rounds:
            n_hit = find_breaches(accounts, state, price, close, flow, rule)
            if n_hit == 0:
                break
            rounds += 1
            _move(index[step], displacement, flow, price, state, markets, rule)
            settle_round(accounts, state, n_hit, price, markets, rule, record, step, close, fund)
            record.low[step] = np.minimum(record.low[step], price)
            record.high[step] = np.maximum(record.high[step], price)
        record.price[step], record.fund[step] = price, fund
        for m in range(n_markets):
            record.depth[step, m] = depth_at(
                markets.depth_usd[m], price[m], markets.reference[m], rule.thinning, rule.depth_floor
            )
        record.rounds[step], record.is_cut[step] = rounds, n_hit > 0
        relax(displacement, markets, rule, index.shape[1])


@njit(nogil=True, cache=True, error_model="numpy")
def _headroom_at(accounts, account, price, beta, move):
    """Return equity - maintenance of an account after a move of every price by beta * move."""
    headroom = accounts.cash[account]
    for k in range(accounts.start[account], accounts.start[account + 1]):
        market = accounts.market[k]
        value = accounts.quantity[k] * price[market] * max(1.0 + beta[market] * move, 0.0)
        headroom += value - maintenance_of(accounts, k, abs(value))
    return headroom


@njit(nogil=True, cache=True, error_model="numpy")
def liquidating_moves(accounts, price, beta, furthest):
    """Return the smallest move towards furthest that liquidates each account, infinite where none does.

    Equity is linear and maintenance convex in the move, so headroom crosses zero once: bisection finds where.
    """
    moves = np.full(accounts.cash.shape[0], np.inf)
    for account in range(accounts.cash.shape[0]):
        if _headroom_at(accounts, account, price, beta, 0.0) <= 0.0:
            moves[account] = 0.0
            continue
        if _headroom_at(accounts, account, price, beta, furthest) > 0.0:
            continue
        safe, hit = 0.0, furthest
        for _ in range(40):
            middle = 0.5 * (safe + hit)
            if _headroom_at(accounts, account, price, beta, middle) > 0.0:
                safe = middle
            else:
                hit = middle
        moves[account] = hit
    return moves
