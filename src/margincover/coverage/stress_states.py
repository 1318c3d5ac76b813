"""States of one pool in a scenario: what each coin, asset and option of the pool does, hour by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from margincover.model.book import Book, Proxy
from margincover.model.pool import MarginPool
from margincover.model.stress import AssetMove, StressScenario
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.episode_fill import CoinPath, Side, filled_path, held_path
from margincover.venues import margin
from margincover.venues.assets import is_pegged
from margincover.venues.pools import build_pools
from margincover.venues.revalue import settlement

Table = NDArray[np.float64]
LOW, HIGH, CLOSE = 0, 1, 2
HOURS_PER_DAY = 24.0
# The probe that tells which way a coin must go to hurt a pool; small enough to stay on this side of a liquidation.
_PROBE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBooks:
    """Compiles the pools of a book under other asset prices, once for every set of prices.

    ``build`` takes the accounts of one venue: an asset may have another price at each venue.
    """

    book: Book
    calibration: Calibration
    _made: dict[tuple[str, tuple[AssetMove, ...]], dict[str, MarginPool]] = field(default_factory=dict, repr=False)

    def pool(self, pool: MarginPool, moves: Sequence[AssetMove], active: tuple[int, ...]) -> MarginPool:
        """Return the pool with the prices of the active moves."""
        wanted = tuple(k for k in active if self._applies(moves[k], pool.venue))
        if not wanted:
            return pool
        key = (pool.venue, tuple(moves[k] for k in wanted))
        if key not in self._made:
            prices = dict(self.book.market.asset_usd)
            for k in wanted:
                self._set(prices, moves[k])
            accounts = tuple(account for account in self.book.accounts if account.venue == pool.venue)
            moved = replace(self.book, market=replace(self.book.market, asset_usd=prices), accounts=accounts)
            pools = build_pools(moved, funding_fallback=self.calibration.pessimistic_funding_per_hour)
            self._made[key] = {each.id: each for each in pools}
        return self._made[key][pool.id]

    def _applies(self, move: AssetMove, venue: str) -> bool:
        return move.venue in (None, venue) and self._name(move) is not None

    def _name(self, move: AssetMove) -> str | None:
        """Return the asset as the book writes it; None where the book does not hold it."""
        return next((name for name in self.book.market.asset_usd if name.upper() == move.asset.upper()), None)

    def _set(self, prices: dict[str, float], move: AssetMove) -> None:
        name = self._name(move)
        assert name is not None, "Invariant: only moves of assets that the book prices are applied"
        if move.price_usd is not None:
            prices[name] = move.price_usd
        else:
            assert move.ratio is not None, "Invariant: a move states a price or a ratio"
            prices[name] *= move.ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPath:
    """What moves one pool: ``ratio`` [hour, 3, factor] of low, high and close; ``unit_ratio`` [hour, 3] of its unit."""

    ratio: Table
    unit_ratio: Table
    rules: Mapping[str, str]


def pool_paths(
    scenario: StressScenario, pool: MarginPool, proxies: Mapping[str, Proxy], calibration: Calibration
) -> list[PoolPath]:
    """Return the paths of a pool: one, or several where it is not clear which way a coin without history must go.

    A coin that is filled goes the way that hurts the pool most at a small move. Options may hurt both ways, so a pool
    with options is also tried with all filled coins down and all up.
    """
    missing = [name for name in pool.factors if not _is_known(scenario, name, proxies)]
    first = {name: _hurting_side(pool, pool.factors.index(name)) for name in missing}
    choices = [first]
    if missing and pool.options.count:
        choices += [dict.fromkeys(missing, side) for side in Side]
    distinct = [choice for k, choice in enumerate(choices) if choice not in choices[:k]]
    return [_path(scenario, pool, proxies, calibration, choice) for choice in distinct]


def _is_known(scenario: StressScenario, factor: str, proxies: Mapping[str, Proxy]) -> bool:
    # A shock says of every coin what it does: one that it does not name stands still.
    return not scenario.is_path or held_path(scenario, factor, proxies) is not None


def _hurting_side(pool: MarginPool, factor: int) -> Side:
    ratio = np.ones((len(pool.factors), 2))
    ratio[factor] = (1.0 - _PROBE, 1.0 + _PROBE)
    equity, maintenance, _ = margin.evaluate_pool(pool, ratio)
    headroom = equity - maintenance
    return Side.DOWN if headroom[0] <= headroom[1] else Side.UP


def _path(
    scenario: StressScenario,
    pool: MarginPool,
    proxies: Mapping[str, Proxy],
    calibration: Calibration,
    sides: Mapping[str, Side],
) -> PoolPath:
    ratio = np.ones((scenario.n_hours, 3, len(pool.factors)))
    rules = {}
    coins: dict[str, CoinPath] = {}
    for column, factor in enumerate(pool.factors):
        found = held_path(scenario, factor, proxies)
        if found is None and factor in sides:
            found = filled_path(scenario, factor, sides[factor], calibration)
        if found is not None:
            coins[factor] = found
            for row, values in ((LOW, found.low), (HIGH, found.high), (CLOSE, found.close)):
                ratio[:, row, column] = values
            if found.rule:
                rules[factor] = found.rule
        for move in scenario.venue_moves:
            if (move.factor, move.venue) == (factor, pool.venue):
                ratio[:, :, column] = move.ratio
    return PoolPath(ratio=ratio, unit_ratio=_unit_ratio(scenario, pool, ratio, proxies), rules=rules)


def _unit_ratio(scenario: StressScenario, pool: MarginPool, ratio: Table, proxies: Mapping[str, Proxy]) -> Table:
    """Return USD per unit over its level at the start: a pool in coin is worth the coin's moved price."""
    if is_pegged(pool.unit):
        return np.ones(ratio.shape[:2])
    if pool.unit in pool.factors:
        return np.asarray(ratio[:, :, pool.factors.index(pool.unit)])
    found = held_path(scenario, pool.unit, proxies)
    if found is None:
        return np.ones(ratio.shape[:2])
    return np.stack([found.low, found.high, found.close], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStates:
    """Equity and maintenance in the pool's unit, and USD per unit, each [hour, 3] of low, high and close."""

    equity: Table
    maintenance: Table
    unit_usd: Table


def evaluate_path(scenario: StressScenario, pool: MarginPool, path: PoolPath, books: PoolBooks) -> PoolStates:
    """Return equity and maintenance of one pool in every state of a path."""
    shape = path.ratio.shape[:2]
    equity, maintenance, unit_usd = np.empty(shape), np.empty(shape), np.empty(shape)
    received = received_native(scenario, pool, path)
    hours = np.arange(scenario.n_hours)
    active = [tuple(k for k, move in enumerate(scenario.asset_moves) if move.is_active(int(h))) for h in hours]
    # Options age, so each of their hours is an evaluation of its own; other pools take all hours at once.
    groups = [(row, i) if pool.options.count else (row, 0) for i, row in enumerate(active)]
    for group in dict.fromkeys(groups):
        rows = np.array([i for i, other in enumerate(groups) if other == group])
        moved = books.pool(pool, scenario.asset_moves, group[0])
        count = rows.size * 3
        found = margin.evaluate_pool(
            moved,
            np.ascontiguousarray(path.ratio[rows].reshape(count, -1).T),
            volatility_ratio=np.repeat(scenario.volatility_ratio[rows], 3),
            elapsed_days=float(scenario.elapsed_hours[rows[-1]]) / HOURS_PER_DAY if pool.options.count else 0.0,
            received_native=np.ascontiguousarray(np.repeat(received[:, rows], 3, axis=1)),
            settle_expired=False,
        )
        equity[rows], maintenance[rows] = (part.reshape(rows.size, 3) for part in found[:2])
        unit_usd[rows] = moved.unit_usd * path.unit_ratio[rows]
    return PoolStates(equity=equity, maintenance=maintenance, unit_usd=unit_usd)


def received_native(scenario: StressScenario, pool: MarginPool, path: PoolPath) -> Table:
    """Return funding received (< 0 paid) and what expired options paid by the end of each hour, [asset, hour].

    Funding of a coin is the scenario's, on notional at the close of the hour. Where the scenario does not state it,
    each position pays its cost in the book, which is pessimistic where the book states none.
    """
    legs, close = pool.legs, path.ratio[:, CLOSE, :]
    hours = np.diff(np.concatenate([[0.0], scenario.elapsed_hours]))
    paid = np.zeros((pool.assets.count, scenario.n_hours))
    for leg in range(legs.count):
        # A dated future has no funding.
        if legs.years[leg] > 0.0:
            continue
        notional = margin.leg_notional(pool, leg, close[:, legs.factor_index[leg]])
        factor = pool.factors[int(legs.factor_index[leg])]
        stated = scenario.funding.get(factor, scenario.common_funding)
        if stated is None:
            cost = legs.funding_per_hour[leg] * hours
        else:
            # Longs pay a rate above 0; a long of an inverse contract is a positive size too.
            cost = np.sign(legs.signed_size[leg]) * np.asarray(stated)
        paid[legs.asset_index[leg]] += np.cumsum(cost * notional)
    return -paid + _expired(scenario, pool, close)


def _expired(scenario: StressScenario, pool: MarginPool, close: Table) -> Table:
    """Return what expired options have paid by the end of each hour, at the close of the hour of their expiry."""
    paid = np.zeros((pool.assets.count, scenario.n_hours))
    left_hours = pool.options.years * 365.0 * HOURS_PER_DAY
    for k in range(pool.options.count):
        after = np.flatnonzero(scenario.elapsed_hours >= left_hours[k])
        if after.size:
            only = np.zeros(pool.options.count, dtype=bool)
            only[k] = True
            paid[:, after[0] :] += settlement(pool, np.ascontiguousarray(close[after[0]][:, None]), only)
    return paid
