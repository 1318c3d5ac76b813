"""How close a population is to feeding on itself: liquidated notional by price level, and the loop gain.

Levels are moves of the index by which accounts are reached, before any feedback: what stands there, not what happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.clearing.cascade import Stage
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.cascade_cross import account_arrays
from margincover.clearing.cascade_cross_kernels import liquidating_moves
from margincover.clearing.impact import Impact, thinned_depth_usd
from margincover.clearing.population import Population
from margincover.errors import InputError

STEP = 0.01  # depth is stated for this move, so levels stand this far apart
FALL, RISE = -0.6, 0.6
LEVERAGE_EDGES = (0.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemicMap:
    """Where liquidations stand, by move of the index from the marks before the event.

    Parameters
    ----------
    level : array [level]
        Moves away from 0 in steps of 1 %, falls first (-0.60 to -0.01), then rises.
    liquidated_usd : array [level]
        Notional, at the marks before the event, of all accounts reached up to the level.
    gain : array [level, market]
        Loop gain: net notional that the last 1 % of the move to the level forces, over the depth left there for 1 %.
        Below 1 a forced order forces a smaller one.
    heat_usd : array [leverage, level]
        Notional of accounts reached within each 1 %, by effective leverage before the event.
    """

    level: Floats
    liquidated_usd: Floats
    gain: Floats
    heat_usd: Floats
    moving: tuple[str, ...]

    def first_unstable(self, market: int, *, sign: float) -> float | None:
        """Return the nearest level on one side with a loop gain of 1 or more, None where there is none."""
        found = [float(level) for level, gain in zip(self.level, self.gain[:, market], strict=True)
                 if level * sign > 0.0 and gain >= 1.0]  # fmt: skip
        return min(found, key=abs) if found else None


def moves_by_coin(population: Population, coin: str | None, betas: Mapping[str, float]) -> Floats:
    """Return how much each market moves per unit of the move [market].

    Without a coin all move alike. With one, it moves by 1 and the others by their beta, 1 where none is stated.

    Raises
    ------
    InputError
        If a coin is not in the population.
    """
    coins = {market.coin for market in population.markets}
    for name in (*betas, *([] if coin is None else [coin])):
        if name not in coins:
            raise InputError(f"was {name}", source=population.source, field="coin", allowed=", ".join(sorted(coins)))
    return np.array([1.0 if m.coin == coin else float(betas.get(m.coin, 1.0)) for m in population.markets])


def systemic_map(population: Population, stage: Stage, impact: Impact, beta: Floats) -> SystemicMap:
    """Return liquidated notional and loop gain by level; market m moves by beta[m] times the level."""
    accounts = account_arrays(population)
    price = np.array([market.mark for market in population.markets])
    notional = np.abs(population.quantity) * population.mark_of_position()
    gross = np.add.reduceat(notional, population.start[:-1])
    bucket = np.digitize(population.effective_leverage(), LEVERAGE_EDGES[1:-1])
    parts = []
    for furthest in (FALL, RISE):
        count = round(abs(furthest) / STEP)
        moves = np.abs(liquidating_moves(accounts, price, beta, furthest))
        # Level k is reached by moves in (k - 1, k] per cent; what is due at once belongs to the first.
        place = np.where(np.isfinite(moves), np.maximum(np.ceil(np.round(moves / STEP, 9)), 1.0) - 1.0, count)
        place = np.minimum(place, count).astype(np.int64)
        parts.append(_side(population, stage, impact, beta, (furthest, place, count, gross, bucket)))
    fall, rise = parts
    moving = tuple(f"{m.name} x {b:g}" for m, b in zip(population.markets, beta, strict=True) if b != 0.0)
    return SystemicMap(
        level=np.concatenate([fall[0][::-1], rise[0]]),
        liquidated_usd=np.concatenate([fall[1][::-1], rise[1]]),
        gain=np.concatenate([fall[2][::-1], rise[2]]),
        heat_usd=np.concatenate([fall[3][:, ::-1], rise[3]], axis=1),
        moving=moving,
    )


def _side(
    population: Population,
    stage: Stage,
    impact: Impact,
    beta: Floats,
    reached: tuple[float, NDArray[np.int64], int, Floats, NDArray[np.int64]],
) -> tuple[Floats, Floats, Floats, Floats]:
    furthest, place, count, gross, bucket = reached
    sign = np.sign(furthest)
    level = sign * STEP * np.arange(1, count + 1)
    by_level = np.bincount(place, weights=gross, minlength=count + 1)[:count]
    heat = np.zeros((len(LEVERAGE_EDGES) - 1, count))
    for row in range(heat.shape[0]):
        heat[row] = np.bincount(place[bucket == row], weights=gross[bucket == row], minlength=count + 1)[:count]
    of_position = np.repeat(place, np.diff(population.start))
    gain = np.zeros((count, len(population.markets)))
    for m, market in enumerate(population.markets):
        here = population.market == m
        # Longs sell on a fall, shorts buy on a rise: orders the other way in the same market calm it.
        coins = np.bincount(of_position[here], weights=-sign * population.quantity[here], minlength=count + 1)[:count]
        price = np.maximum(1.0 + beta[m] * level, 1e-9)
        depth = np.array([thinned_depth_usd(float(stage.depth_usd[m]), float(p - 1.0), impact) for p in price])
        gain[:, m] = coins * market.mark * price / depth
    return level, np.cumsum(by_level), gain, heat
