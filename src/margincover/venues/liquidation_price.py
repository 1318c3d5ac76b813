"""Liquidation prices: the nearest moves, down and up, at which equity meets maintenance.

Two families of moves: all factors of a pool together (the common move), and one instrument with everything else held
(what venues print). The search is exact up to rounding: a coarse logarithmic grid brackets the nearest change of sign
on each side, then the bracket is refined until it is one floating-point step wide relative to 1e-15.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.results import LiquidationLevel
from margincover.model.rules import TickRule
from margincover.venues import margin

# A price may fall to a 1e-9th or rise 1,000-fold before "no liquidation price" is the answer.
_LOWEST_RATIO = 1e-9
_HIGHEST_RATIO = 1e3
_GRID_POINTS = 400
_REFINE_POINTS = 33

Headroom = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def nearest_roots(headroom: Headroom) -> tuple[float | None, float | None]:
    """Return the nearest ratios below and above 1 at which ``headroom`` changes sign.

    Parameters
    ----------
    headroom : callable
        Maps price ratios [path] to equity - maintenance [path].

    Returns
    -------
    tuple of (float or None, float or None)
        Ratios down (<= 1) and up (>= 1); None where there is no change of sign between 1e-9 and 1,000.
    """
    far_down = np.geomspace(0.5, _LOWEST_RATIO, _GRID_POINTS // 2)
    near = np.linspace(0.0, 0.5, _GRID_POINTS // 2, endpoint=False)
    down = np.concatenate([1.0 - near, far_down])
    up = np.concatenate([1.0 + near, np.geomspace(1.5, _HIGHEST_RATIO, _GRID_POINTS // 2)])
    return _first_change(headroom, down), _first_change(headroom, up)


def _first_change(headroom: Headroom, grid: NDArray[np.float64]) -> float | None:
    values = headroom(grid)
    if values[0] == 0.0:
        return float(grid[0])
    changed = np.flatnonzero(np.sign(values[1:]) != np.sign(values[0]))
    if not changed.size:
        return None
    at = int(changed[0]) + 1
    return _refine(headroom, float(grid[at - 1]), float(grid[at]))


def _refine(headroom: Headroom, inner: float, outer: float) -> float:
    """Return the root between ``inner`` (nearer to 1) and ``outer``."""
    while abs(outer - inner) > 4e-16 * max(abs(inner), abs(outer)):
        grid = np.linspace(inner, outer, _REFINE_POINTS)
        values = headroom(grid)
        changed = np.flatnonzero(np.sign(values[1:]) != np.sign(values[0]))
        if not changed.size:
            return outer
        at = int(changed[0]) + 1
        if (grid[at - 1], grid[at]) == (inner, outer):
            break
        inner, outer = float(grid[at - 1]), float(grid[at])
    pair = np.array([inner, outer])
    first, last = (float(v) for v in headroom(pair))
    # The last bracket is straight to rounding: one secant step centres the answer.
    return inner if first == last else inner - first * (outer - inner) / (last - first)


def common_move(pool: MarginPool) -> tuple[float | None, float | None]:
    """Return the fractional common moves (down <= 0, up >= 0) at which a pool is liquidated, None where none."""
    # A pool with a model may owe what moves without holding a position: borrowed coins.
    if pool.is_flat and (pool.model is None or not pool.factors):
        return None, None

    def headroom(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        factors = np.repeat(ratio[None, :], max(len(pool.factors), 1), axis=0)
        equity, maintenance, _ = margin.evaluate_pool(pool, factors)
        return equity - maintenance

    down, up = nearest_roots(headroom)
    return (None if down is None else down - 1.0), (None if up is None else up - 1.0)


def instrument_levels(pool: MarginPool) -> tuple[LiquidationLevel, ...]:
    """Return the liquidation prices of every instrument of a pool, all other marks held.

    Both legs of a hedge-mode pair move together: they are one instrument with one mark. In a pool with a model
    everything of one underlying moves together, and the price is stated for each of its perpetuals and futures, and for
    its index where it has options alone.
    """
    if pool.model is not None:
        return _underlying_levels(pool)
    done: list[LiquidationLevel] = []
    for leg, symbol in enumerate(pool.legs.symbols):
        if symbol in pool.legs.symbols[:leg]:
            continue
        moved = np.array([other == symbol for other in pool.legs.symbols])

        def headroom(ratio: NDArray[np.float64], moved: NDArray[np.bool_] = moved) -> NDArray[np.float64]:
            leg_ratio = np.where(moved[:, None], ratio[None, :], 1.0)
            assets = np.ones((pool.assets.count, ratio.size))
            equity, maintenance, _ = margin.evaluate_legs(pool, leg_ratio, assets)
            return equity - maintenance

        down, up = nearest_roots(headroom)
        mark = float(pool.legs.mark_price[leg])
        down_price = None if down is None else down * mark
        up_price = None if up is None else up * mark
        done.append(
            LiquidationLevel(
                symbol=symbol,
                mark_price=mark,
                down=down_price,
                up=up_price,
                venue_price=_venue_price(pool, leg, down_price, up_price),
            )
        )
    return tuple(done)


def _underlying_levels(pool: MarginPool) -> tuple[LiquidationLevel, ...]:
    done: list[LiquidationLevel] = []
    for factor in range(len(pool.factors)):
        marks = {
            symbol: float(pool.legs.mark_price[leg])
            for leg, symbol in enumerate(pool.legs.symbols)
            if pool.legs.factor_index[leg] == factor
        }
        if not marks:
            options = pool.options
            marks = {
                f"{options.bases[k]}/{options.quotes[k]}": float(options.index[k])
                for k in range(options.count)
                if options.factor_index[k] == factor
            }
        if not marks:
            marks = {
                f"{asset}/{pool.unit}": float(pool.assets.price_unit[row])
                for row, asset in enumerate(pool.assets.assets)
                if pool.assets.factor_index[row] == factor and pool.is_flat
            }
        if not marks:
            continue

        def headroom(ratio: NDArray[np.float64], moved: int = factor) -> NDArray[np.float64]:
            factors = np.ones((len(pool.factors), ratio.size))
            factors[moved] = ratio
            equity, maintenance, _ = margin.evaluate_pool(pool, factors)
            return equity - maintenance

        down, up = nearest_roots(headroom)
        for symbol, mark in marks.items():
            below = None if down is None else down * mark
            above = None if up is None else up * mark
            done.append(LiquidationLevel(symbol=symbol, mark_price=mark, down=below, up=above))
    return tuple(done)


def _venue_price(pool: MarginPool, leg: int, down: float | None, up: float | None) -> float | None:
    """Return the price that the venue prints where its rule differs from the root, else None."""
    if pool.tick_rule is TickRule.FROZEN_REQUIREMENT:
        return _frozen(pool, leg)
    tick = float(pool.legs.tick[leg])
    long = pool.legs.signed_size[leg] > 0
    if pool.tick_rule is TickRule.FEE_SET_ASIDE_ISOLATED and pool.margin_mode == "isolated":
        return _without_posted_fee(pool, leg)
    root = down if long else up
    if tick == 0.0 or root is None:
        return None
    if pool.tick_rule is TickRule.ONE_TICK_TOWARD_MARK_ISOLATED and pool.margin_mode == "isolated":
        return root + tick if long else root - tick
    if pool.tick_rule is TickRule.ROUND_AWAY_FROM_BANKRUPTCY:
        return _rounded(root, tick, up=long)
    return None


def _frozen(pool: MarginPool, leg: int) -> float | None:
    """Return mark - headroom / quantity, the requirement held at its present size; None at or below 0.

    It moves with the mark though nothing else changes, and lies further from the mark than the root for a short.
    """
    legs = pool.legs
    same = [k for k, symbol in enumerate(legs.symbols) if symbol == legs.symbols[leg]]
    net = float(sum(legs.signed_size[k] for k in same))
    # The form is confirmed on linear contracts only.
    if net == 0.0 or bool(legs.inverse[leg]):
        return None
    equity, maintenance, _ = margin.evaluate_legs(pool, np.ones((legs.count, 1)), np.ones((pool.assets.count, 1)))
    headroom = float(equity[0] - maintenance[0]) / float(pool.assets.price_unit[int(legs.asset_index[leg])])
    price = float(legs.mark_price[leg]) - headroom / net
    return price if price > 0.0 else None


def _without_posted_fee(pool: MarginPool, leg: int) -> float | None:
    """Return the root when the closing fee that was posted with the initial margin does not count as equity."""
    legs = pool.legs
    leverage, size = float(legs.leverage[leg]), abs(float(legs.signed_size[leg]))
    if not legs.initial_known[leg] or leverage == 0.0 or bool(legs.inverse[leg]):
        return None
    entry_value = size * float(legs.entry_price[leg])
    # Initial margin on the entry value holds its fee as a constant: what is above value / leverage.
    posted_fee = float(legs.initial_constant[leg]) - entry_value / leverage

    def headroom(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
        equity, maintenance, _ = margin.evaluate_legs(pool, ratio[None, :], np.ones((pool.assets.count, ratio.size)))
        return equity - maintenance - posted_fee

    down, up = nearest_roots(headroom)
    ratio = down if legs.signed_size[leg] > 0 else up
    return None if ratio is None else ratio * float(legs.mark_price[leg])


def _rounded(price: float, tick: float, *, up: bool) -> float:
    """Return the next multiple of ``tick`` at or above (``up``) or at or below a price."""
    # A price that stands on the grid but for float noise stays where it is.
    ticks = price / tick
    nearest = round(ticks)
    if abs(ticks - nearest) < 1e-9 * max(ticks, 1.0):
        return nearest * tick
    return (math.ceil(ticks) if up else math.floor(ticks)) * tick
