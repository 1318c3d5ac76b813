"""Stress: each pool along each scenario: worst shortfall, first liquidation, loss, cash needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from margincover.coverage.stress_states import PoolBooks, PoolStates, evaluate_path, pool_paths
from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.pool import MarginPool
from margincover.model.stress import Fill, Halt, PoolStress, ScenarioResult, StressScenario
from margincover.model.whatif import CellState
from margincover.venues import margin


def evaluate_scenario(
    scenario: StressScenario, pools: Sequence[MarginPool], proxies: Mapping[str, Proxy], books: PoolBooks
) -> ScenarioResult:
    """Return what a scenario does to every pool, worst first.

    Parameters
    ----------
    scenario : StressScenario
    pools : sequence of MarginPool
        As compiled from the book of ``books``.
    proxies : mapping factor -> Proxy
        Stand-ins of the book; they come before the rule for coins without history.
    books : PoolBooks

    Raises
    ------
    InputError
        If a pool has no finite value in a state.

    Notes
    -----
    All coins of an hour are taken at their lows together, at their highs together, and at their closes. Nothing is
    traded or sent: a pool is followed as if no venue closed it, so that the cash needed is that of the whole path.
    """
    found: list[PoolStress] = []
    fills: list[Fill] = []
    for pool in pools:
        outcomes = []
        for path in pool_paths(scenario, pool, proxies, books.calibration):
            states = evaluate_path(scenario, pool, path, books)
            outcomes.append((_outcome(scenario, pool, states), path.rules))
        # Of several ways in which a coin without history may go, the worst stands.
        worst, rules = max(outcomes, key=lambda pair: (pair[0].state, pair[0].shortfall_usd))
        found.append(worst)
        fills += [Fill(pool_id=pool.id, factor=factor, rule=rule) for factor, rule in rules.items()]
    ordered = sorted(found, key=lambda each: (-each.state, -each.cash_usd, _ratio(each), each.pool_id))
    return ScenarioResult(
        scenario=scenario, pools=tuple(ordered), fills=tuple(fills), notes=_notes(scenario, pools, books)
    )


def severity(result: ScenarioResult) -> tuple[float, ...]:
    """Return a key that sorts scenarios worst first: by cash needed, pools liquidated, then the lowest ratio."""
    lowest = min((_ratio(pool) for pool in result.pools), default=math.inf)
    return (-result.cash_usd, -result.n_liquidated, -result.state, lowest)


def _ratio(pool: PoolStress) -> float:
    return math.inf if pool.coverage_ratio is None else pool.coverage_ratio


def _outcome(scenario: StressScenario, pool: MarginPool, states: PoolStates) -> PoolStress:
    equity, maintenance, unit_usd = states.equity, states.maintenance, states.unit_usd
    if not (np.isfinite(equity).all() and np.isfinite(maintenance).all()):
        raise InputError(
            f"had no finite value in scenario {scenario.name}",
            account=pool.account_id,
            field=pool.id,
            allowed="prices > 0",
        )
    now = margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))
    start_equity, start_maintenance = now[0][0], now[1][0]
    shortfall = maintenance - equity
    hour, extreme = (int(x) for x in np.unravel_index(int(np.argmax(shortfall)), shortfall.shape))
    liquidated, called = _hits(pool, equity, maintenance)
    state = CellState.LIQUIDATED if liquidated.any() else CellState.CALLED if called.any() else CellState.FINE
    at = (hour, extreme)
    first = _first(scenario, liquidated)
    return PoolStress(
        pool_id=pool.id,
        account_id=pool.account_id,
        venue=pool.venue,
        unit=pool.unit,
        state=state,
        headroom_start_usd=float((start_equity - start_maintenance) * pool.unit_usd),
        equity_native=float(equity[at]),
        maintenance_native=float(maintenance[at]),
        coverage_ratio=float(equity[at] / maintenance[at]) if maintenance[at] > 0.0 else None,
        shortfall_native=float(shortfall[at]),
        shortfall_usd=float(shortfall[at] * unit_usd[at]),
        loss_usd=float(start_equity * pool.unit_usd - equity[at] * unit_usd[at]),
        worst_hour=math.ceil(float(scenario.elapsed_hours[hour])) if scenario.is_path else 0,
        liquidated_hour=first,
        called_hour=_first(scenario, called | liquidated),
        cash_hour=None if first is None else _cash_hour(scenario.halts, pool, first),
        path_headroom_usd=-(shortfall * unit_usd).max(axis=1),
    )


def _hits(
    pool: MarginPool, equity: NDArray[np.float64], maintenance: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return whether the pool is liquidated, and called, in each hour, by the tests of ``status``."""
    # Where nothing is required only a debt is liquidated.
    empty = (equity < 0.0) if pool.is_flat else (equity <= 0.0)
    liquidated = np.where(maintenance > 0.0, equity <= maintenance, empty)
    near = (maintenance > 0.0) & (equity <= pool.margin_call_coverage_ratio * maintenance)
    return np.asarray(liquidated.any(axis=1)), np.asarray(near.any(axis=1))


def _first(scenario: StressScenario, hit: NDArray[np.bool_]) -> int | None:
    """Return the hours after the start by whose end it first happened; 0 for a shock, None for never."""
    rows = np.flatnonzero(hit)
    if not rows.size:
        return None
    return math.ceil(float(scenario.elapsed_hours[rows[0]])) if scenario.is_path else 0


def _cash_hour(halts: Sequence[Halt], pool: MarginPool, needed_hour: int) -> float | None:
    """Return when money can first reach the pool's venue, None where no halt stood in the way when it was needed."""
    ends = []
    for halt in halts:
        concerns = halt.venue == pool.venue and (not halt.assets or pool.unit in halt.assets)
        over = halt.to_hour is not None and halt.to_hour <= max(needed_hour - 1, 0)
        if concerns and halt.from_hour <= needed_hour and not over:
            ends.append(math.inf if halt.to_hour is None else halt.to_hour)
    return max(ends, default=None)


def _notes(scenario: StressScenario, pools: Sequence[MarginPool], books: PoolBooks) -> tuple[str, ...]:
    notes = list(scenario.notes)
    if any(pool.options.count for pool in pools):
        if scenario.volatility_source == "" and scenario.is_path:
            notes.append("implied volatility of the time is not known: each option keeps its own, which is too kind")
        elif scenario.is_path:
            notes.append(
                "implied volatility: that of BTC for the options of every coin; spikes within a day are not in it"
            )
    if scenario.is_path:
        coins = {factor for pool in pools for factor in pool.factors}
        silent = sorted(coins - set(scenario.funding))
        if silent:
            notes.append(
                f"funding of {', '.join(silent)} in the episode is not known: each position pays its cost in the book"
            )
    held = {name.upper() for name in books.book.market.asset_usd}
    for move in scenario.asset_moves:
        if scenario.is_path and move.asset.upper() in held:
            price = f"{move.price_usd:g} USD" if move.price_usd is not None else f"{move.ratio:g} x its price"
            end = scenario.n_hours if move.to_hour is None else move.to_hour
            where = "every venue" if move.venue is None else move.venue
            notes.append(f"{move.asset} at {price} at {where}, hours {move.from_hour} to {end}")
    for coin, (low, high) in scenario.basis.items():
        notes.append(
            f"{coin} mark over spot at Binance, hourly closes: {low:+.2%} to {high:+.2%} (not applied to the marks)"
        )
    return tuple(notes)
