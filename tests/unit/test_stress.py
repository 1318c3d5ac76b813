"""Pools along scenarios: figures worked out by hand, and what may not change them."""

import math

import numpy as np
import pytest

from margincover.app.load import load
from margincover.coverage.stress import evaluate_scenario, severity
from margincover.coverage.stress_states import PoolBooks, evaluate_path, pool_paths
from margincover.model.book import Proxy
from margincover.model.stress import AssetMove, Halt, StressScenario
from margincover.model.whatif import CellState
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.episodes import load_episodes
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, write_book
from tests.end_to_end.test_whatif import straddle_data

CALIBRATION = load_packaged()


def a_path(close, *, low=None, high=None, factors=("BTC",), **fields):
    close = np.array(close, dtype=float).reshape(-1, len(factors))
    return StressScenario(
        name="made",
        title="made for a test",
        kind="episode",
        start=None,
        factors=factors,
        low=close if low is None else np.array(low, dtype=float).reshape(close.shape),
        high=close if high is None else np.array(high, dtype=float).reshape(close.shape),
        close=close,
        elapsed_hours=np.arange(1.0, len(close) + 1.0),
        volatility_ratio=np.ones(len(close)),
        **{"common_funding": np.zeros(len(close)), **fields},
    )


def btc_account(notional, *, cash, venue_mode=("binance", "usdm_single_asset"), name="a"):
    """One BTC position entered at the mark with 1 % maintenance, so that equity is cash + notional x (ratio - 1)."""
    position = a_position("BTCUSDT", notional / MARKS["BTCUSDT"], maintenance_fraction=0.01, leverage=10.0)
    return an_account(*venue_mode, [position], name, USDT=cash)


def run(book, scenario, proxies=None):
    pools = build_pools(book, funding_fallback=CALIBRATION.pessimistic_funding_per_hour)
    return evaluate_scenario(scenario, pools, proxies or {}, PoolBooks(book=book, calibration=CALIBRATION))


def test_cash_needed_is_the_largest_shortfall_of_the_path_not_of_its_end():
    # Long 100,000: at the low of hour 2 (0.8) equity is 10,000 - 20,000, maintenance 1 % of 80,000.
    scenario = a_path([0.95, 0.9, 1.1], low=[0.94, 0.8, 0.9], high=[1.0, 0.95, 1.1])
    (pool,) = run(a_book(btc_account(100_000, cash=10_000)), scenario).pools
    assert pool.cash_native == pytest.approx(10_800)
    assert pool.equity_native == pytest.approx(-10_000)
    assert pool.maintenance_native == pytest.approx(800)
    assert (pool.worst_hour, pool.liquidated_hour) == (2, 2)
    assert pool.state is CellState.LIQUIDATED
    # The cash itself is enough, and one dollar less is not.
    for more, state in ((10_800.01, CellState.CALLED), (10_799.0, CellState.LIQUIDATED)):
        (again,) = run(a_book(btc_account(100_000, cash=10_000 + more)), scenario).pools
        assert again.state is state


def test_a_short_is_hurt_by_the_high():
    # Short 100,000 at 1.12: 15,000 - 12,000 = 3,000 of equity against 1,120; called at 1.25 x maintenance only later.
    (pool,) = run(a_book(btc_account(-100_000, cash=15_000)), a_path([1.0], low=[0.9], high=[1.12])).pools
    assert pool.shortfall_native == pytest.approx(1_120 - 3_000)
    assert (pool.state, pool.cash_usd, pool.liquidated_hour) == (CellState.FINE, 0.0, None)


def test_funding_of_the_scenario_is_paid_hour_by_hour_by_longs_and_received_by_shorts():
    # 1 % in each of two hours on notional at the close: 0.01 x 100,000 + 0.01 x 90,000.
    scenario = a_path([1.0, 0.9], funding={"BTC": np.array([0.01, 0.01])})
    for side in (1, -1):
        (pool,) = run(a_book(btc_account(side * 100_000, cash=20_000)), scenario).pools
        # A short is worst off at the first close, where it has received 1,000.
        expected = 20_000 - 10_000 - 1_900 if side > 0 else 20_000 + 1_000
        assert pool.equity_native == pytest.approx(expected)


def test_funding_that_is_not_known_is_the_cost_in_the_book():
    account = btc_account(100_000, cash=20_000)
    silent = a_path([1.0, 1.0], common_funding=None)
    stated = a_book(account, funding={"BTCUSDT": 0.001})
    (pool,) = run(stated, silent).pools
    assert pool.equity_native == pytest.approx(20_000 - 2 * 0.001 * 100_000)
    # A book that states none is charged the pessimistic rate, whatever the side.
    (charged,) = run(a_book(account), silent).pools
    assert charged.equity_native < 20_000


def test_an_asset_that_leaves_its_peg_at_one_venue_moves_only_pools_there():
    def book(name):
        position = a_position("BTCUSDT", 1.0, maintenance_fraction=0.01, leverage=10.0)
        return an_account("bybit", "uta_cross", [position], name, USDT=30_000.0)

    hyper = an_account(
        "binance", "usdm_single_asset", [a_position("BTCUSDT", 0.1, maintenance_fraction=0.01)], USDT=9_000.0
    )
    both = a_book(book("a"), hyper)
    flat = a_path([1.0, 1.0])
    moved = a_path([1.0, 1.0], asset_moves=(AssetMove(asset="usdt", venue="bybit", price_usd=0.65, from_hour=1),))
    before = {pool.pool_id: pool for pool in run(both, flat).pools}
    after = {pool.pool_id: pool for pool in run(both, moved).pools}
    assert after["binance:a"] == _same_but_path(before["binance:a"], after["binance:a"])
    was, now = before["bybit:a"], after["bybit:a"]
    price = both.market.asset_usd["USDT"]
    assert now.equity_native == pytest.approx(was.equity_native * 0.65 / price)
    # Only the second hour is hit.
    assert now.worst_hour == 2


def _same_but_path(expected, found):
    from dataclasses import replace

    assert expected.path_headroom_usd == pytest.approx(found.path_headroom_usd)
    return replace(expected, path_headroom_usd=found.path_headroom_usd)


def test_a_halt_says_when_money_can_arrive_only_where_it_is_needed_in_it():
    account = btc_account(100_000, cash=5_000)
    cases = [
        (Halt(venue="binance", from_hour=0, to_hour=6.0, what="x"), 6.0),
        (Halt(venue="binance", from_hour=0, to_hour=None, what="x"), math.inf),
        (Halt(venue="okx", from_hour=0, to_hour=6.0, what="x"), None),
        (Halt(venue="binance", from_hour=3, to_hour=6.0, what="x"), None),
        (Halt(venue="binance", from_hour=0, to_hour=1.0, what="x"), None),
        (Halt(venue="binance", from_hour=0, to_hour=6.0, what="x", assets=("BTC",)), None),
    ]
    for halt, expected in cases:
        result = run(a_book(account), a_path([1.0, 0.9, 0.9], halts=(halt,)))
        assert result.pools[0].liquidated_hour == 2
        assert result.pools[0].cash_hour == expected
        assert result.blocked_usd == (0.0 if expected is None else result.cash_usd)


def test_a_coin_without_history_goes_against_the_pool_that_holds_it():
    scenario = a_path([[0.9, 0.8], [1.1, 0.9]], factors=("BTC", "DOGE"))
    symbol = "SOLUSDT"
    for side, ratio in ((1, 0.8**1.25), (-1, 1.1**1.25)):
        position = a_position(symbol, side * 100_000 / MARKS[symbol], maintenance_fraction=0.01)
        book = a_book(an_account("binance", "usdm_single_asset", [position], USDT=200_000.0))
        result = run(book, scenario)
        beta = CALIBRATION.correlation[CALIBRATION.position("SOL"), CALIBRATION.position("BTC")]
        beta *= CALIBRATION.of("SOL").long_run_volatility_annual / CALIBRATION.of("BTC").long_run_volatility_annual
        beyond = min(ratio, 0.9 ** (1.25 * beta)) if side > 0 else max(ratio, 1.1 ** (1.25 * beta))
        assert result.pools[0].equity_native == pytest.approx(200_000 + side * 100_000 * (beyond - 1.0))
        assert [fill.factor for fill in result.fills] == ["SOL"]
    stood_in = run(book, scenario, {"SOL": Proxy(factor="DOGE", multiple=2.0)})
    assert "stand-in of the book" in stood_in.fills[0].rule


def test_every_pool_is_shown_and_sums_are_over_pools():
    book = a_book(btc_account(100_000, cash=5_000), btc_account(-100_000, cash=5_000, name="b"))
    result = run(book, a_path([0.9, 1.1]))
    assert {pool.pool_id for pool in result.pools} == {"binance:a", "binance:b"}
    # One loses on the way down, the other on the way up: neither helps the other.
    assert result.cash_usd == pytest.approx(sum(pool.cash_usd for pool in result.pools))
    assert result.n_liquidated == 2
    assert severity(result) < severity(run(book, a_path([1.0])))


def test_an_option_that_expires_on_the_way_is_paid_at_the_close_of_that_hour(tmp_path):
    data = straddle_data()
    # Two hours before 08:00 UTC of the put's last day; the call is left out.
    data["as_of"] = data["market"]["observed_at"] = "2026-11-27T06:00:00Z"
    data["accounts"][0]["positions"] = data["accounts"][0]["positions"][:1]
    book = load(write_book(tmp_path, data))
    (pool,) = build_pools(book)
    scenario = a_path([1.0, 0.95, 0.5])
    (path,) = pool_paths(scenario, pool, {}, CALIBRATION)
    states = evaluate_path(scenario, pool, path, PoolBooks(book=book, calibration=CALIBRATION))
    # 5 puts of 90,000 at an index of 85,500: 5 x 4,500 / 85,500 BTC, whatever BTC does afterwards.
    assert states.equity[1:, 2] == pytest.approx([2.5 - 5 * 4_500 / 85_500] * 2)
    assert states.maintenance[1:, 2] == pytest.approx([0.0, 0.0])
    assert states.maintenance[0, 2] > 0.0


def test_all_episodes_run_on_a_coin_nobody_has_seen():
    position = a_position("SOLUSDT", 100.0, maintenance_fraction=0.01)
    book = a_book(an_account("binance", "usdm_single_asset", [position], USDT=5_000.0))
    for episode in load_episodes().episodes:
        assert all(math.isfinite(pool.shortfall_usd) for pool in run(book, episode).pools)
