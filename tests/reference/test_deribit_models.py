"""Deribit accounts as a book states them: the venue's own matrices, regimes by date, trees, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.explain import ExplainNode
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.venues import margin
from margincover.venues.deribit.matrix import MatrixMargin, matrix_margin
from margincover.venues.deribit.segregated_portfolio import SegregatedPortfolio
from margincover.venues.explain import explain_pool
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue
from tests.reference.test_deribit import (
    BTC_AGGREGATED,
    CELL,
    ETH_AGGREGATED,
    ETH_BEFORE,
    ETH_EXTENDED_BEFORE,
)

AUTUMN = datetime(2026, 10, 1, 12, tzinfo=UTC)
PRICES = {"BTC": 90_000.0, "ETH": 3_000.0, "USDC": 1.0, "USDT": 1.0, "SOL": 150.0, "STETH": 2_990.0}


def pools_of(
    mode: str,
    positions: list[Position],
    *,
    at: datetime = AUTUMN,
    wallet: dict[str, float] | None = None,
    prices: dict[str, float] | None = None,
) -> tuple[MarginPool, ...]:
    wallet = {"BTC": 5.0} if wallet is None else wallet
    account = Account(
        id="deribit:main",
        venue="deribit",
        mode=mode,
        positions=tuple(positions),
        balances=tuple(Balance(asset=asset, total_native=total) for asset, total in wallet.items()),
    )
    market = MarketState(as_of=at, observed_at=at, asset_usd=PRICES if prices is None else prices)
    book = resolve(BookInput(as_of=at, accounts=(account,), market=market, source="test"))
    return build_pools(book, funding_fallback=lambda factor: 0.0)


def option(symbol: str, contracts: float, *, volatility: float = 0.6, forward: float = 91_000.0) -> Position:
    return Position(
        symbol=symbol,
        contracts=contracts,
        entry_price=0.02,
        implied_volatility=volatility,
        forward_price=forward,
    )


def perpetual(symbol: str, contracts: float, *, mark: float = 90_000.0, rate: float | None = None) -> Position:
    return Position(symbol=symbol, contracts=contracts, entry_price=mark, mark_price=mark, maintenance_fraction=rate)


def matrix_of(pool: MarginPool) -> MatrixMargin:
    model = pool.model
    assert isinstance(model, SegregatedPortfolio)
    return model.matrix(revalue(pool, np.ones((len(pool.factors), 1))), model.pairs[0])[1]


def figures(pool: MarginPool) -> tuple[float, float, float]:
    return tuple(float(values[0]) for values in margin.evaluate_pool(pool, np.ones((len(pool.factors), 1))))  # type: ignore[return-value]


def find(node: ExplainNode, label: str) -> ExplainNode:
    if node.label == label:
        return node
    for child in node.children:
        try:
            return find(child, label)
        except LookupError:
            continue
    raise LookupError(label)


# ---- the venue's own responses


def test_documented_btc_matrix_is_reproduced_cell_by_cell_from_a_book():
    # docs.deribit.com, private/pme/simulate, response example of 2024-06-17: sizes in coin times their marks
    sizes = {"BTC-PERPETUAL": (0.314538364, 65_910.57), "BTC-28JUN24": (-0.001187534, 67_371.75)}
    (pool,) = pools_of(
        "segregated_pm",
        [perpetual(symbol, coins * mark, mark=mark) for symbol, (coins, mark) in sizes.items()],
        at=datetime(2024, 6, 17, 12, tzinfo=UTC),
        wallet={"BTC": 1.0},
        prices={"BTC": 65_666.19},
    )
    pool = replace(pool, open_order_initial=0.06 + 1.8212e-05)
    result = matrix_of(pool)
    np.testing.assert_allclose(result.aggregated.standard[:, 0], np.repeat(BTC_AGGREGATED, 3), rtol=0, atol=CELL)
    np.testing.assert_array_equal(result.aggregated.extended, np.zeros((8, 1)))
    assert result.roll_shock[0] == pytest.approx(0.00315725898, abs=CELL)
    equity, maintenance, initial = figures(pool)
    assert equity == 1.0
    assert maintenance == pytest.approx(0.050274504784, abs=CELL)
    assert initial == pytest.approx(0.122861343, abs=CELL)


def test_production_eth_matrix_is_reproduced_cell_by_cell_from_a_book():
    # production response of 2026-02-15 23:20 UTC
    (pool,) = pools_of(
        "segregated_pm",
        [perpetual("ETH-PERPETUAL", -0.999487053 * 1_949.49, mark=1_949.49)],
        at=datetime(2026, 2, 15, 23, 20, tzinfo=UTC),
        wallet={"ETH": 1.0},
        prices={"ETH": 1_949.34},
    )
    result = matrix_of(pool)
    np.testing.assert_allclose(result.pre_aggregated.standard[:, 0], np.repeat(ETH_BEFORE, 3), rtol=0, atol=CELL)
    np.testing.assert_allclose(result.pre_aggregated.extended[:, 0], ETH_EXTENDED_BEFORE, rtol=0, atol=CELL)
    np.testing.assert_allclose(result.aggregated.standard[:, 0], np.repeat(ETH_AGGREGATED, 3), rtol=0, atol=CELL)
    np.testing.assert_array_equal(result.aggregated.extended, np.zeros((8, 1)))
    _, maintenance, initial = figures(pool)
    assert maintenance == pytest.approx(0.125969249812, abs=CELL)
    assert initial == pytest.approx(0.157461562, abs=CELL)


# ---- the fast cells


def test_cells_of_a_large_book_equal_the_plain_functions():
    draws = np.random.default_rng(3)
    positions = [perpetual("BTC-PERPETUAL", 200_000.0)]
    for day in ("9OCT26", "27NOV26", "26MAR27"):
        for strike in range(50_000, 150_000, 10_000):
            for right in "CP":
                size = round(float(draws.normal(0.0, 20.0)), 1) or 1.0
                positions.append(option(f"BTC-{day}-{strike}-{right}", size))
    (pool,) = pools_of("segregated_pm", positions)
    spots, volatilities = np.linspace(0.4, 2.5, 7), np.linspace(0.4, 2.0, 7)
    state = revalue(pool, spots.reshape(1, -1), volatility_ratio=volatilities)
    model = pool.model
    assert isinstance(model, SegregatedPortfolio)
    pair = model.pairs[0]
    plain = matrix_margin(
        delta_one=pair.delta_one(state),
        options=pair.option_legs(state),
        index_usd=pair.index_on_paths(state),
        settlement=pair.settlement,
        parameters=pair.parameters,
    )
    _, fast = model.matrix(state, pair)
    for table in ("standard", "extended"):
        ours, twin = getattr(fast.pre_aggregated, table), getattr(plain.pre_aggregated, table)
        np.testing.assert_allclose(ours, twin, rtol=1e-10, atol=1e-11 * len(positions) * 20.0)
    np.testing.assert_allclose(fast.roll_shock, plain.roll_shock, rtol=1e-11)
    np.testing.assert_allclose(fast.delta_shock, plain.delta_shock, rtol=1e-11)


# ---- trees


def test_tree_of_a_short_put_names_the_worst_cell_and_the_expiries():
    (pool,) = pools_of("segregated_pm", [option("BTC-27NOV26-80000-P", -10.0), perpetual("BTC-PERPETUAL", -45_000.0)])
    _, maintenance, initial = explain_pool(pool)
    worst = find(initial, "worst case")
    # the price range of autumn 2026 is 14 %
    assert worst.detail == "move -0.14, volatility up"
    assert find(worst, "BTC-27NOV26-80000-P").value > 0.0 > find(worst, "BTC-PERPETUAL").value
    # half a coin at the minimum of 0.5 % and above
    assert find(find(initial, "roll shock"), "perpetual").value == pytest.approx(0.5 * 0.005)
    assert find(maintenance, "worst case").value == pytest.approx(0.8 * worst.value)


def test_tree_of_the_cross_bound_separates_equity_and_usd_settled_positions():
    (pool,) = pools_of(
        "cross_pm",
        [perpetual("BTC-PERPETUAL", -90_000.0), perpetual("BTC_USDC-PERPETUAL", 2.0)],
        wallet={"BTC": 3.0, "USDC": 10_000.0},
    )
    _, _, initial = explain_pool(pool)
    coin = find(initial, "worst case of BTC equity and coin-settled positions")
    # 3 coins of equity less 1 short lose 14 % of 2 coins when the price falls
    assert find(coin, "BTC equity").value == pytest.approx(0.14 * 3.0 * 90_000.0)
    assert find(coin, "BTC-PERPETUAL").value == pytest.approx(-0.14 * 90_000.0)
    usd = find(initial, "worst case of USDC-settled positions")
    assert usd.value == pytest.approx(0.14 * 2.0 * 90_000.0)


# ---- regimes of futures by date


def test_increments_apply_until_the_curve_does():
    before = pools_of("segregated_sm", [perpetual("BTC-PERPETUAL", 900_000.0)], at=datetime(2026, 2, 1, tzinfo=UTC))[0]
    # 10 coins: 2 % + 10 * 0.005 % and 1 % + 10 * 0.005 %
    assert figures(before)[1:] == (pytest.approx(10 * 0.0105), pytest.approx(10 * 0.0205))
    after = pools_of("segregated_sm", [perpetual("BTC_USDC-25DEC26", 10.0)], wallet={"USDC": 1e6})[0]
    # 10 of 885 coins lie on the flat part: L = 25, maintenance two thirds of initial
    initial = 10 * 90_000.0 / 25
    assert figures(after)[1:] == (pytest.approx(initial * 2 / 3), pytest.approx(initial))
    assert any("SECONDARY" in note for note in after.notes)


def test_large_future_on_the_curve_is_bounded_with_a_note():
    (pool,) = pools_of("segregated_sm", [perpetual("BTC_USDC-25DEC26", 100.0)], wallet={"USDC": 1e7})
    # the curve's lowest leverage is 4
    assert figures(pool)[2] == pytest.approx(100 * 90_000.0 / 4)
    assert any("lowest leverage 4" in note for note in pool.notes)


def test_perpetual_on_the_unpublished_curve_needs_the_venues_rate():
    with pytest.raises(NotSupportedError, match=r"BTC-PERPETUAL of 10 BTC .*maintenance_fraction"):
        pools_of("segregated_sm", [perpetual("BTC-PERPETUAL", 900_000.0)])
    (pool,) = pools_of("segregated_sm", [perpetual("BTC-PERPETUAL", 900_000.0, rate=0.02)])
    # stated: 2 % of 10 coins; initial one and a half times
    assert figures(pool)[1:] == (pytest.approx(0.2), pytest.approx(0.3))
    assert any("2.0000%" in note for note in pool.notes)


# ---- margin balance and bounds


def test_options_count_in_the_balance_of_portfolio_margin_only():
    short = [option("BTC-27NOV26-80000-P", -10.0)]
    standard, portfolio = (pools_of(mode, short)[0] for mode in ("segregated_sm", "segregated_pm"))
    mark = float(portfolio.options.mark[0])
    assert mark > 0.0
    assert figures(standard)[0] == 5.0
    assert figures(portfolio)[0] == pytest.approx(5.0 - 10.0 * mark)


def test_pairs_in_usdc_are_added_without_the_dampener_and_say_so():
    both = [perpetual("BTC_USDC-PERPETUAL", 5.0), perpetual("ETH_USDC-PERPETUAL", -100.0, mark=3_000.0)]
    (pool,) = pools_of("segregated_pm", both, wallet={"USDC": 1e6})
    alone = [pools_of("segregated_pm", [one], wallet={"USDC": 1e6})[0] for one in both]
    assert figures(pool)[2] >= sum(figures(one)[2] for one in alone)
    assert any("upper bound" in note and "btc_usdc, eth_usdc" in note for note in pool.notes)
    assert not any("upper bound" in note for note in alone[0].notes)


def test_cross_collateral_is_cut_where_owned_and_whole_where_owed():
    (pool,) = pools_of(
        "cross_sm",
        [perpetual("BTC_USDC-PERPETUAL", 0.1)],
        at=datetime(2026, 2, 16, tzinfo=UTC),
        wallet={"USDT": 1_000.0, "BTC": -0.01, "USDC": 500.0},
    )
    # haircut of USDT 2 %; a debt of 0.01 BTC
    assert figures(pool)[0] == pytest.approx(1_000.0 * 0.98 - 900.0 + 500.0)


def test_flat_accounts_need_nothing():
    for mode in ("segregated_sm", "segregated_pm", "cross_sm"):
        (pool,) = pools_of(mode, [], wallet={"BTC": 2.0})
        assert figures(pool)[1:] == (0.0, 0.0)


def test_coin_equity_alone_has_a_matrix_in_cross_portfolio_margin():
    (pool,) = pools_of("cross_pm", [], wallet={"BTC": 2.0, "USDC": 100.0})
    # both sides of BTC equity move: 14 % of 2 coins
    assert figures(pool)[2] == pytest.approx(0.14 * 2.0 * 90_000.0)


# ---- what is refused


@pytest.mark.parametrize(
    ("mode", "positions", "wallet", "error", "message"),
    [
        ("cross_sm", [perpetual("BTC_USDC-25DEC26", 1.0)], {"SOL": 5.0}, NotSupportedError, r"collateral\.SOL"),
        ("cross_pm", [], {"STETH": 5.0}, RulebookError, "matrix_coin for STETH"),
        ("segregated_pm", [perpetual("SOL-PERPETUAL", 50.0, mark=150.0)], {"SOL": 5.0}, RulebookError, "for SOL"),
        ("segregated_pm", [perpetual("BTC-PERPETUAL", 50.0)], {"ETH": 1.0}, InputError, r"balances\.BTC"),
        ("segregated_xm", [], {"BTC": 1.0}, InputError, "segregated_sm"),
        (
            "segregated_pm",
            [Position(symbol="BTC-27NOV26-80000-P", contracts=-1.0, entry_price=0.01, forward_price=9e4)],
            {"BTC": 1.0},
            InputError,
            "no implied volatility and no mark",
        ),
        (
            "segregated_pm",
            [Position(symbol="BTC-27NOV26-80000-P", contracts=-1.0, entry_price=0.01, implied_volatility=0.5)],
            {"BTC": 1.0},
            InputError,
            "no forward",
        ),
        (
            "segregated_sm",
            [replace(option("BTC-27NOV26-80000-P", -1.0), maintenance_fraction=0.01)],
            {"BTC": 1.0},
            InputError,
            "an option and states a maintenance rate",
        ),
    ],
)
def test_what_the_rules_do_not_know_is_refused(mode, positions, wallet, error, message):
    with pytest.raises(error, match=message) as caught:
        pools_of(mode, positions, wallet=wallet)
    assert "deribit" in str(caught.value)


def test_missing_index_is_named():
    with pytest.raises(InputError, match=r"market\.asset_usd\.BTC"):
        pools_of("segregated_pm", [perpetual("BTC_USDC-PERPETUAL", 1.0)], wallet={"USDC": 1.0}, prices={"USDC": 1.0})


def test_rate_stated_where_the_rates_are_published_is_refused():
    with pytest.raises(InputError, match="whose rates are published"):
        pools_of("segregated_sm", [perpetual("BTC-PERPETUAL", 50.0, rate=0.01)], at=datetime(2026, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize("mode", ["segregated_pm", "cross_pm"])
def test_a_stated_rate_has_no_place_in_a_matrix_and_a_note_says_so(mode):
    (stated,) = pools_of(mode, [perpetual("BTC-PERPETUAL", 50.0, rate=0.01)], wallet={"BTC": 1.0})
    (plain,) = pools_of(mode, [perpetual("BTC-PERPETUAL", 50.0)], wallet={"BTC": 1.0})
    assert any("is not used: a risk matrix has no rate" in note for note in stated.notes)
    assert not any("risk matrix has no rate" in note for note in plain.notes)
    one = np.ones((1, 1))
    for with_rate, without in zip(margin.evaluate_pool(stated, one), margin.evaluate_pool(plain, one), strict=True):
        assert with_rate == without
