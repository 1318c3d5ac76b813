"""Pools with a model along paths: tables against the rule itself, expiry, same bits for any grouping of work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.model.spot_volatility import SpotVolatility
from margincover.paths import reference
from margincover.paths.engine import BLOCK_PATHS, PathSettings, bridge_key, simulate
from margincover.paths.expiry import expiry_steps, settled
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues import margin
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AS_OF = datetime(2026, 2, 1, 8, tzinfo=UTC)
DAY, N_STEPS, HORIZON = 86_400, 10, 6


def options_pool(*positions: tuple[str, float], balances: dict[str, float]) -> MarginPool:
    """Return a segregated Deribit pool with the options and perpetuals named; every volatility is 60 %."""
    symbols = [symbol for symbol, _ in positions]
    options = [symbol for symbol in symbols if symbol.endswith(("-C", "-P"))]
    book = BookInput(
        as_of=AS_OF,
        accounts=(
            Account(
                id="deribit:main",
                venue="deribit",
                mode="segregated_sm",
                positions=tuple(Position(symbol=s, contracts=size, entry_price=0.02) for s, size in positions),
                balances=tuple(Balance(asset=a, total_native=amount) for a, amount in balances.items()),
            ),
        ),
        market=MarketState(
            as_of=AS_OF,
            observed_at=AS_OF,
            marks={symbol: 90_000.0 for symbol in symbols if symbol not in options},
            asset_usd={"BTC": 90_000.0, "ETH": 3_000.0, "USDC": 1.0},
            funding_per_hour={symbol: 0.0001 for symbol in symbols if symbol not in options},
            implied_volatility=dict.fromkeys(options, 0.6),
            forwards={s: 3_010.0 if s.startswith("ETH") else 90_300.0 for s in options},
        ),
    )
    book_positions = tuple(
        replace(p, entry_price=90_000.0) if p.symbol not in options else p for p in book.accounts[0].positions
    )
    book = replace(book, accounts=(replace(book.accounts[0], positions=book_positions),))
    (pool,) = build_pools(resolve(book))
    return pool


def strangle() -> MarginPool:
    """Return a short strangle whose put expires inside the paths, with a perpetual that pays funding."""
    return options_pool(
        ("BTC-6FEB26-85000-P", -4.0),
        ("BTC-27MAR26-110000-C", -5.0),
        ("BTC-27MAR26-60000-P", 2.0),
        ("BTC-PERPETUAL", 40_000.0),
        balances={"BTC": 2.5},
    )


def two_coins() -> MarginPool:
    """Return linear options of two coins that settle in one asset."""
    return options_pool(
        ("BTC_USDC-27MAR26-110000-C", -3.0),
        ("ETH_USDC-27MAR26-2500-P", -40.0),
        ("ETH_USDC-6FEB26-3000-C", 10.0),
        balances={"USDC": 120_000.0},
    )


def market(pool: MarginPool) -> GeometricBrownian:
    n = len(pool.factors)
    correlation = np.full((n, n), 0.7) + 0.3 * np.eye(n)
    return GeometricBrownian(
        factors=pool.factors, sigma_annual=np.linspace(0.8, 1.0, n), correlation=correlation, step_s=DAY
    )


def run(pool: MarginPool, *, threads: int = 1, chunk_blocks: int = 4, n_blocks: int = 2):
    settings = PathSettings(
        n_paths=n_blocks * BLOCK_PATHS,
        horizon_s=HORIZON * DAY,
        follow_s=N_STEPS * DAY,
        seed=5,
        tolerance=0.02,
        threads=threads,
        chunk_blocks=chunk_blocks,
    )
    return simulate([pool], market(pool), settings)


@pytest.mark.parametrize("pool", [strangle(), two_coins()], ids=["one factor", "two factors"])
def test_the_table_follows_the_rule(pool):
    done = run(pool, n_blocks=1)
    generator = market(pool)
    block = generator.block(seed=5, number=0, n_steps=N_STEPS, n_paths=BLOCK_PATHS)
    exact = reference.run_pool(
        pool, block, np.arange(len(pool.factors)), generator.info.loading, 24.0, HORIZON, bridge_key(5, pool.id), 0
    )
    _, maintenance, _ = margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))
    # A straight line misses a smooth curve by a fraction of the node distance squared; the bridge reads its slope.
    room = (1e-4 if len(pool.factors) == 1 else 1e-3) * float(maintenance[0])
    np.testing.assert_allclose(done.maximum[0], exact[0], rtol=0, atol=room)
    unsure = np.abs(exact[0]) < room
    assert (((done.liquidation_step[0] == exact[2]) | unsure).mean()) > 0.99
    assert 0.0 < done.table_error[0] < 1e-3


def test_a_run_does_not_depend_on_threads_or_chunks():
    first, second = run(strangle(), n_blocks=4), run(strangle(), threads=2, chunk_blocks=1, n_blocks=4)
    for name in ("maximum", "maximum_step", "liquidation_step", "margin_call_step", "fan_equity"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    np.testing.assert_array_equal(first.tails[0].contribution, second.tails[0].contribution)
    assert first.table_error == second.table_error


def test_contributions_sum_to_the_maximum():
    for pool in (strangle(), two_coins()):
        done = run(pool)
        tail = done.tails[0]
        total = done.start_shortfall[0] + tail.contribution.sum(axis=1)
        np.testing.assert_allclose(total, tail.maximum, rtol=1e-9)


def test_an_option_is_paid_when_it_expires_and_its_cash_no_longer_moves():
    pool = strangle()
    assert list(expiry_steps(pool, hours=24.0, n_steps=N_STEPS)) == [5, -1, -1]
    node = np.ones((N_STEPS + 1, 1, 3))
    node[5] = [[0.8, 1.0, 1.2]]
    node[6:] = 0.5
    paid = settled(pool, node, hours=24.0)
    # Four short puts at 85,000 with the index at 72,000: 13,000 USD each, in coin at 72,000.
    expected = [-4.0 * 13_000.0 / 72_000.0, 0.0, 0.0]
    np.testing.assert_allclose(paid[5:, 0], np.tile(expected, (N_STEPS - 4, 1)), rtol=1e-12)
    assert not paid[:5].any()


def test_an_expired_option_needs_no_margin():
    pool, days = strangle(), (datetime(2026, 2, 6, 8, tzinfo=UTC) - AS_OF) / timedelta(days=1)
    lone = options_pool(("BTC-6FEB26-85000-P", -4.0), balances={"BTC": 2.5})
    one = np.ones((1, 1))
    assert margin.evaluate_pool(lone, one)[1] > 0
    assert margin.evaluate_pool(lone, one, elapsed_days=days)[1] == 0.0
    before = margin.evaluate_pool(pool, one, elapsed_days=days - 1e-6)
    after = margin.evaluate_pool(pool, one, elapsed_days=days)
    assert after[1] < before[1]
    # The put ends out of the money: equity in standard margin counts no options, so that nothing is paid or freed.
    np.testing.assert_allclose(after[0], before[0], rtol=1e-9)


def test_implied_volatility_moves_with_the_coin_along_paths_and_not_at_the_start():
    law = SpotVolatility(down_linear=1.2, down_quadratic=4.0, up_linear=1.0, up_quadratic=0.0, largest_log=0.9)
    plain = strangle()
    moving = replace(plain, spot_volatility=law)
    ratio = np.array([[1.0, 0.8, 1.2, 0.3]])
    bare, moved = margin.evaluate_pool(plain, ratio), margin.evaluate_pool(moving, ratio)
    multiple = law.multiple(ratio[0])
    assert multiple[0] == 1.0
    assert multiple[3] == pytest.approx(np.exp(0.9))
    by_hand = [margin.evaluate_pool(plain, ratio[:, [k]], volatility_ratio=multiple[k])[1][0] for k in range(4)]
    np.testing.assert_allclose(moved[1], by_hand, rtol=1e-12)
    assert moved[1][0] == bare[1][0]
    assert (moved[1][1:] > bare[1][1:]).all()
    assert run(moving).maximum.mean() > run(plain).maximum.mean()
