"""How long does the margin of 500 Deribit options over a 30 x 20 grid of spot and volatility take?

Run: python -m benchmarks.deribit_grid. Prints the time of ``margin.evaluate_pool`` over 600 states, that of one state,
and that of the plain cell functions on the same states, with the largest difference between the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.venues import margin
from margincover.venues.deribit.matrix import matrix_margin
from margincover.venues.deribit.segregated_portfolio import SegregatedPortfolio
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue

AS_OF = datetime(2026, 10, 1, 12, tzinfo=UTC)
SPOT = 90_000.0
EXPIRY_DAYS = (2, 9, 23, 30, 58, 86, 121, 177, 268, 359)
STRIKES = np.linspace(40_000.0, 160_000.0, 25)
N_SPOTS, N_VOLATILITIES = 30, 20


def option_pool(*, mode: str = "segregated_pm") -> MarginPool:
    """Return the pool of 500 options (10 expiries, 25 strikes, calls and puts), two futures and a wallet in BTC."""
    draws = np.random.default_rng(7)
    positions, forwards = [], {}
    for days in EXPIRY_DAYS:
        expiry = AS_OF + timedelta(days=days)
        name = f"{expiry.day}{expiry:%b%y}".upper()
        forwards[f"BTC-{expiry:%y%m%d}"] = SPOT * (1.0 + 0.05 * days / 365.0)
        for strike in STRIKES:
            for right in "CP":
                size = round(float(draws.normal(0.0, 10.0)), 1) or 1.0
                positions.append(
                    Position(
                        symbol=f"BTC-{name}-{strike:.0f}-{right}",
                        contracts=size,
                        entry_price=0.02,
                        implied_volatility=float(0.5 + 0.2 * abs(np.log(strike / SPOT))),
                    )
                )
    for symbol, size in (("BTC-PERPETUAL", 500_000.0), ("BTC-25DEC26", -1_000_000.0)):
        positions.append(Position(symbol=symbol, contracts=size, entry_price=SPOT, mark_price=SPOT))
    account = Account(
        id="deribit:options",
        venue="deribit",
        mode=mode,
        positions=tuple(positions),
        balances=(Balance(asset="BTC", total_native=200.0),),
    )
    market = MarketState(
        as_of=AS_OF,
        observed_at=AS_OF,
        asset_usd={"BTC": SPOT},
        forwards=forwards,
        funding_per_hour={"BTC-PERPETUAL": 0.0},
    )
    return build_pools(resolve(BookInput(as_of=AS_OF, accounts=(account,), market=market, source="benchmark")))[0]


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Return spot ratios [factor, state] and volatility ratios [state] of the grid."""
    spot, volatility = np.meshgrid(np.linspace(0.5, 1.6, N_SPOTS), np.linspace(0.5, 2.0, N_VOLATILITIES))
    return spot.reshape(1, -1), volatility.ravel()


def plain(pool: MarginPool, spot: np.ndarray, volatility: np.ndarray) -> np.ndarray:
    """Return the initial margin by the plain cell functions, [state]."""
    model = pool.model
    assert isinstance(model, SegregatedPortfolio), "Invariant: the benchmark's pool is in portfolio margin"
    state, pair = revalue(pool, spot, volatility_ratio=volatility), model.pairs[0]
    return matrix_margin(
        delta_one=pair.delta_one(state),
        options=pair.option_legs(state),
        index_usd=pair.index_on_paths(state),
        settlement=pair.settlement,
        parameters=pair.parameters,
    ).initial


def best_of(run: Callable[[], object], repeats: int) -> float:
    """Return the shortest time of a few runs in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print the measurements."""
    pool = option_pool()
    spot, volatility = grid()
    _, _, initial = margin.evaluate_pool(pool, spot, volatility_ratio=volatility)
    twin = plain(pool, spot, volatility)
    whole = best_of(lambda: margin.evaluate_pool(pool, spot, volatility_ratio=volatility), 3)
    one = best_of(lambda: margin.evaluate_pool(pool, np.ones((1, 1))), 3)
    slow = best_of(lambda: plain(pool, spot, volatility), 1)
    cells = 35 * pool.options.count * len(volatility)
    print(f"options {pool.options.count}, states {len(volatility)}, option values {cells:,}")
    print(f"evaluate_pool over the grid: {whole:.3f} s, {whole / cells * 1e9:.1f} ns a value")
    print(f"evaluate_pool of one state:  {one:.3f} s")
    print(f"plain cell functions:        {slow:.3f} s")
    print(f"largest difference in initial margin: {np.abs(initial - twin).max():.2e} BTC of {initial.max():,.4g}")


if __name__ == "__main__":
    main()
