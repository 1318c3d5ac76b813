"""Milliseconds for equity and margins of 1,000 accounts with 20 positions, stacked against pool by pool, in one run.

    python benchmarks/static_margin.py [--rounds 15] [--accounts 1000]

Accounts of binance, bybit, okx, hyperliquid, dydx and paradex in turn, half their positions short, built from a book
with the packaged rules; where the rules hold no table for a coin, a ladder from round numbers stands in. Market states
are drawn with moves of about 10 % by coin. Rounds are paired: each takes the loop over pools and legs
(``margin.evaluate_pool``, the baseline), the batch already stacked, and stacking and evaluating together.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.numeric.rng import stream
from margincover.venues import batch as batches
from margincover.venues import margin, registry
from margincover.venues.batch import PoolBatch
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AS_OF = datetime(2026, 11, 24, tzinfo=UTC)
N_POSITIONS = 20
N_STATES = 100
# Round prices in USD: only their spread of sizes matters.
COINS = {
    "BTC": 90_000.0, "ETH": 3_000.0, "SOL": 130.0, "XRP": 2.0, "DOGE": 0.12, "ADA": 0.5, "LTC": 90.0, "LINK": 13.0,
    "AVAX": 14.0, "SUI": 1.5, "BCH": 500.0, "DOT": 2.2, "NEAR": 1.6, "APT": 2.4, "ARB": 0.2, "OP": 0.3, "UNI": 6.0,
    "AAVE": 160.0, "ATOM": 2.3, "ETC": 13.0,
}  # fmt: skip
# Venue: (mode, symbol of a coin, balances as (asset, USD per unit)).
VENUES = {
    "binance": ("usdm_single_asset", "{coin}USDT", (("USDT", 1.0),)),
    "bybit": ("uta_cross", "{coin}USDT", (("USDT", 1.0), ("BTC", 90_000.0))),
    "okx": ("futures", "{coin}-USDT-SWAP", (("USDT", 1.0),)),
    "hyperliquid": ("perps", "{coin}", (("USDC", 1.0),)),
    "dydx": ("cross", "{coin}-USD", (("USDC", 1.0),)),
    "paradex": ("cross", "{coin}-USD-PERP", (("USDC", 1.0),)),
}
LADDER = ((0.0, 1e5, 0.01, None, None), (1e5, 1e6, 0.02, None, None), (1e6, 1e12, 0.05, None, None))


def _account(number: int) -> Account:
    venue = tuple(VENUES)[number % len(VENUES)]
    mode, symbol, balances = VENUES[venue]
    rng = stream(7, "benchmark.account", number)
    notional = np.exp(rng.uniform(np.log(5_000.0), np.log(6_000_000.0), N_POSITIONS))
    positions = tuple(
        Position(
            symbol=symbol.format(coin=coin),
            contracts=float((-1.0 if row % 2 else 1.0) * notional[row] / price),
            entry_price=float(price * rng.uniform(0.9, 1.1)),
            leverage=10.0,
        )
        for row, (coin, price) in enumerate(COINS.items())
    )
    share = float(notional.sum()) / 5.0 / len(balances)
    return Account(
        id=f"{venue}:{number:04d}",
        venue=venue,
        mode=mode,
        positions=positions,
        balances=tuple(Balance(asset=asset, total_native=share / price) for asset, price in balances),
    )


def pools_of(n_accounts: int) -> tuple[MarginPool, ...]:
    """Return the pools of a book with that many accounts, all venues mixed."""
    symbols = {(venue, VENUES[venue][1].format(coin=coin)): price for venue in VENUES for coin, price in COINS.items()}
    tables = {venue: registry.rulebook(venue, at=AS_OF).tier_tables for venue in VENUES}
    market = MarketState(
        as_of=AS_OF,
        observed_at=AS_OF,
        marks={symbol: price for (_, symbol), price in symbols.items()},
        asset_usd={"USDT": 1.0, "USDC": 1.0, "BTC": COINS["BTC"]},
    )
    book = BookInput(
        as_of=AS_OF,
        accounts=tuple(_account(number) for number in range(n_accounts)),
        market=market,
        instrument_overrides=tuple(
            InstrumentOverride(venue=venue, symbol=symbol, multiplier=1.0) for venue, symbol in symbols
        ),
        tier_overrides=tuple(
            TierOverride(venue=venue, symbol=symbol, rows=LADDER)
            for venue, symbol in symbols
            if symbol not in tables[venue]
        ),
        source="benchmark",
    )
    return build_pools(resolve(book))


def _loop(pools: Sequence[MarginPool], states: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    results = [margin.evaluate_pool(pool, state) for pool, state in zip(pools, states, strict=True)]
    return tuple(np.stack(figures) for figures in zip(*results, strict=True))


def _by_pool(pools: Sequence[MarginPool], batch: PoolBatch, state: np.ndarray) -> list[np.ndarray]:
    """Return the state [factor, path] of each pool's own factors."""
    row = {name: number for number, name in enumerate(batch.factors)}
    return [state[[row[name] for name in pool.factors]] for pool in pools]


def _largest_difference(ours: Sequence[np.ndarray], twin: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(a / b - 1.0).max()) for a, b in zip(ours, twin, strict=True))


def main() -> None:
    """Print the times, the ratios to the baseline and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--accounts", type=int, default=1_000)
    options = parser.parse_args()
    start = time.perf_counter()
    pools = pools_of(options.accounts)
    loading = time.perf_counter() - start
    batch = PoolBatch.of(pools)
    many = np.exp(0.1 * stream(7, "benchmark.state", 0).standard_normal((len(batch.factors), N_STATES)))
    one = many[:, :1]
    one_by_pool, many_by_pool = _by_pool(pools, batch, one), _by_pool(pools, batch, many)
    runs: dict[str, Callable[[], object]] = {
        "pool by pool, 1 state": lambda: _loop(pools, one_by_pool),
        "batch, 1 state": lambda: batches.evaluate(batch, one),
        "stacking and 1 state": lambda: batches.evaluate(PoolBatch.of(pools), one),
        f"pool by pool, {N_STATES} states": lambda: _loop(pools, many_by_pool),
        f"batch, {N_STATES} states": lambda: batches.evaluate(batch, many),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    legs, tiers = sum(pool.legs.count for pool in pools), max(int(pool.legs.tier_count.max()) for pool in pools)
    print(f"{len(pools)} pools, {legs} positions, up to {tiers} tiers; book resolved and compiled in {loading:.1f} s")
    for name, values in times.items():
        baseline = times[f"pool by pool, {name.partition(', ')[2]}"] if ", " in name else times["pool by pool, 1 state"]
        ratio = statistics.median(b / v for b, v in zip(baseline, values, strict=True))
        print(f"{name:26} {statistics.median(values):9.2f} ms, {min(values):9.2f} at best, {ratio:6.1f}x pool by pool")
    difference = _largest_difference(batches.evaluate(batch, many), _loop(pools, many_by_pool))
    print(f"largest relative difference {difference:.1e}")


if __name__ == "__main__":
    main()
