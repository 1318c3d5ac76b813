"""The grid of a what-if: axes, units and states, against figures worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from margincover.app.changes import Transfer
from margincover.app.grid import GridAxes, evaluate_grid, parse_axes, points
from margincover.app.modes import compare_modes, parse_modes
from margincover.app.whatif import whatif
from margincover.errors import InputError, UsageError
from margincover.model.rules import ClosingFee
from margincover.model.whatif import CellState
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, inverse_pool, linear_pool

SPOT_ONLY = GridAxes(spot=(-0.5, 0.5))


def test_axes_read_both_ranges_in_any_order_and_sort_days():
    axes = parse_axes("vol=-20:50, spot=-10:10.5", "7,0,0.5")
    assert (axes.spot, axes.volatility, axes.days) == ((-0.1, 0.105), (-0.2, 0.5), (0.0, 0.5, 7.0))
    assert not parse_axes(None, None).is_stated


@pytest.mark.parametrize(("low", "high"), [(-0.4, 0.35), (-0.01, 0.9), (-0.95, 0.001)])
def test_zero_stands_on_a_range_around_it_and_points_rise(low, high):
    values = points(low, high, 7)
    assert (values[0], values[-1], len(values)) == (low, high, 7)
    assert 0.0 in values
    assert (np.diff(values) > 0).all()


def test_points_of_a_range_on_one_side_are_even():
    assert points(0.1, 0.4, 4) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_long_in_dollars_loses_its_notional_times_the_move():
    # 100,000 long with 20,000 of cash at a flat 0.5 %: at -30 % equity is -10,000, maintenance 350.
    pool = linear_pool(notional=100_000.0, cash=20_000.0)
    grid = evaluate_grid([pool], GridAxes(spot=(-0.3, 0.3)), has_options=False).pools[0]
    assert grid.equity_usd[0, 0, 0] / pool.unit_usd == pytest.approx(-10_000.0, rel=1e-9)
    assert grid.maintenance_usd[0, 0, 0] / pool.unit_usd == pytest.approx(350.0, rel=1e-9)
    assert grid.state[0, 0, 0] == CellState.LIQUIDATED
    assert grid.state[0, 0, -1] == CellState.FINE
    assert not grid.has_options


def test_a_pool_in_coin_is_valued_at_the_moved_price():
    # 1 BTC held, 0.5 BTC of inverse long: at half the price profit is 0.5 x (1 - 2) = -0.5 BTC, of half the worth.
    pool = inverse_pool(notional_coin=0.5, cash=1.0)
    grid = evaluate_grid([pool], SPOT_ONLY, has_options=False).pools[0]
    assert grid.equity_usd[0, 0, 0] == pytest.approx(0.5 * pool.unit_usd * 0.5, rel=1e-9)
    # 0.5 % of a notional of 0.5 x 2 BTC.
    assert grid.maintenance_usd[0, 0, 0] == pytest.approx(0.005 * 1.0 * pool.unit_usd * 0.5, rel=1e-9)
    assert grid.coverage_ratio[0, 0, 0] == pytest.approx(100.0, rel=1e-9)


def test_called_lies_between_maintenance_and_the_call_level():
    # Coverage at a move m is (cash + N m) / (0.005 N (1 + m)); 1.25 is the level where the venue states none.
    pool = linear_pool(notional=100_000.0, cash=10_000.0)
    grid = evaluate_grid([pool], GridAxes(spot=(-0.0955, -0.094)), has_options=False).pools[0]
    expected = [
        CellState.LIQUIDATED if ratio <= 1.0 else CellState.CALLED if ratio <= 1.25 else CellState.FINE
        for ratio in grid.coverage_ratio[0, 0]
    ]
    assert set(expected) == {CellState.CALLED, CellState.LIQUIDATED, CellState.FINE}
    assert grid.state[0, 0].tolist() == expected


def test_a_pool_without_options_repeats_along_volatility_and_days():
    pool = linear_pool(notional=100_000.0, cash=20_000.0)
    axes = GridAxes(spot=(-0.3, 0.3), volatility=(-0.5, 0.5), days=(0.0, 30.0))
    grid = evaluate_grid([pool], axes, has_options=False)
    figures = grid.pools[0].equity_usd
    assert figures.shape == (2, len(grid.volatility_fractions), len(grid.spot_fractions))
    assert (figures == figures[:1, :1]).all()


def test_flat_account_is_fine_and_requires_nothing():
    pool = build_pools(a_book(an_account("binance", "coinm", BTC=1.5)))[0]
    grid = evaluate_grid([pool], SPOT_ONLY, has_options=False).pools[0]
    assert np.isinf(grid.coverage_ratio).all()
    assert (grid.state == CellState.FINE).all()
    # What is held in coin is worth what the coin is worth.
    assert grid.equity_usd[0, 0, -1] == pytest.approx(1.5 * pool.unit_usd * 1.5, rel=1e-12)


def test_a_debt_without_positions_is_liquidated():
    pool = build_pools(a_book(an_account("binance", "coinm", BTC=-0.1)))[0]
    grid = evaluate_grid([pool], SPOT_ONLY, has_options=False).pools[0]
    assert (grid.state == CellState.LIQUIDATED).all()


def test_a_value_that_is_not_finite_is_refused(monkeypatch):
    pool = linear_pool(notional=100_000.0, cash=20_000.0)

    def broken(pool, factors, **_):
        return (np.full(factors.shape[1], np.nan),) * 3

    monkeypatch.setattr(margin, "evaluate_pool", broken)
    with pytest.raises(InputError, match="no finite value"):
        evaluate_grid([pool], SPOT_ONLY, has_options=False)


def test_nothing_to_try_is_refused_and_an_axis_alone_is_enough():
    book = a_book(an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 0.1)], USDT=1e4))
    with pytest.raises(UsageError, match="nothing was to be tried"):
        whatif(book)
    alone = whatif(book, axes=GridAxes(days=(0.0, 1.0))).result
    assert not alone.changed
    assert alone.grid_after is alone.grid_before
    changed = whatif(
        book, transfers=[Transfer(amount=5e3, asset="USDT", origin="outside", destination="binance:a")]
    ).result
    gained = changed.grid_after.pools[0].equity_usd - changed.grid_before.pools[0].equity_usd
    assert gained == pytest.approx(np.full(gained.shape, 5e3 * book.market.asset_usd["USDT"]), rel=1e-9)


def test_modes_compare_the_same_account_and_keep_the_present_mode_first():
    account = an_account("bybit", "uta_cross", [a_position("BTCUSDT", 0.1, leverage=10.0)], USDT=5e3)
    book = a_book(account)
    result = compare_modes(book).result
    assert result.rows[0].mode == "uta_cross"
    assert result.rows[0].is_present
    # The isolated mode cannot hold a cross position; it is named, not silently dropped.
    assert any("uta_isolated" in note and "cross" in note for note in result.notes)
    refused = compare_modes(book, modes=("uta_isolated",))
    assert refused.exit_code == 3
    assert "margin_mode" in refused.result.rows[0].error


def test_modes_name_a_rate_that_was_served_in_the_present_mode():
    position = replace(a_position("BTCUSDT", 0.1, leverage=10.0), maintenance_fraction=0.005)
    result = compare_modes(a_book(an_account("bybit", "uta_cross", [position], USDT=5e3))).result
    assert any("BTCUSDT keeps the maintenance rate" in note for note in result.notes)


def test_modes_ignore_other_accounts_of_the_book():
    # The other account has no mark for its symbol and could not be computed.
    first = an_account("binance", "coinm", BTC=1.0)
    other = an_account("okx", "futures", [a_position("BTC-USDT-SWAP", 1.0)], USDT=1e3)
    marks = {symbol: mark for symbol, mark in MARKS.items() if symbol != "BTC-USDT-SWAP"}
    result = compare_modes(a_book(first, other, marks=marks), account="binance:a", modes=("coinm",)).result
    assert [row.error for row in result.rows] == [""]


@pytest.mark.parametrize("text", ["", "a,,b", "a,a", "all,a"])
def test_modes_text_that_is_not_a_list_of_names_is_refused(text):
    with pytest.raises(UsageError, match="--modes"):
        parse_modes(text)


def test_modes_differ_by_their_rules_alone():
    # A second mode of our own that adds a closing fee of 0.05 % of the notional to maintenance, and nothing else.
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 0.5)], fee=0.0005, USDT=2e4)
    book = a_book(account)
    rules = book.rulebooks["binance"]
    fee = replace(rules.modes["usdm_single_asset"], name="with_fee", closing_fee=ClosingFee.TAKER_ON_NOTIONAL)
    wider = replace(book, rulebooks={"binance": replace(rules, modes={**rules.modes, "with_fee": fee})})
    plain, dearer = compare_modes(wider, modes=("usdm_single_asset", "with_fee")).result.rows
    notional_usd = 0.5 * MARKS["BTCUSDT"] * book.market.asset_usd["USDT"]
    assert dearer.maintenance_usd - plain.maintenance_usd == pytest.approx(0.0005 * notional_usd, rel=1e-9)
    assert dearer.equity_usd == plain.equity_usd
    assert (plain.is_present, dearer.is_present) == (True, False)
    # Without names every mode of the venue that holds perpetuals in USDT is tried, the present one first.
    tried = [row.mode for row in compare_modes(wider).result.rows]
    assert tried[0] == "usdm_single_asset"
    assert {"with_fee", "usdm_multi_assets", "portfolio_margin"} <= set(tried)
    assert "coinm" not in tried
