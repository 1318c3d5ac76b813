"""Bybit options, portfolio margin and borrowing against the venue's own worked numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from margincover.errors import InputError, RulebookError
from margincover.venues.bybit import options, portfolio, stress
from margincover.venues.parameters import packaged, parameters
from tests.shared_data import shared_folder

AT = datetime(2026, 3, 24, tzinfo=UTC)


def shared(path):
    return json.loads((shared_folder() / path).read_text())


def example(name):
    return next(row for row in shared("reference/examples/bybit.json") if row["id"] == name)


def of(kind, mode, underlying="BTC", at=AT):
    edition = parameters("bybit", mode=mode, underlying=underlying, at=at)
    return kind.from_mapping(edition.values, source=edition.id)


def test_every_packaged_edition_is_readable():
    readers = {
        "option": options.OptionParameters,
        "option_fee": options.OptionFeeParameters,
        "portfolio_margin": portfolio.RiskUnitParameters,
        "portfolio_margin_contingency": portfolio.ContingencyParameters,
        "portfolio_margin_volatility": stress.VolatilityParameters,
        "portfolio_margin_spread": stress.SpreadBound,
        "borrow": portfolio.BorrowParameters,
        "collateral": portfolio.CollateralParameters,
    }
    read = [readers[e.mode].from_mapping(e.values, source=e.id) for e in packaged("bybit")]
    assert len(read) == 11


def test_short_call_maintenance_of_the_help_page():
    # https://bybit.nl/nl-NL/help-center/article?id=000001546 (2023-12-04): 900 + 300 + 60 = 1,260 USDC.
    maintenance = options.position_maintenance(
        quantity=[[-1.0], [1.0]],
        index_price=30_000.0,
        mark_price=300.0,
        parameters=of(options.OptionParameters, "option"),
    )
    assert maintenance[:, 0].tolist() == pytest.approx([1_260.0, 0.0], abs=1e-9)


def test_short_put_initial_of_the_spread_article():
    # Article 000001735 (2024-10-23): put 18,500 at index 20,250, sold at 280, mark 290: MM 938, IM 2,315 USDC.
    # MM = 607.5 + 290 + 40.5; IM = max(3,037.5 - 1,750, 2,025) + 290.
    put = options.ShortOption(index_price=20_250.0, strike=18_500.0, is_call=False, mark_price=290.0, entry_price=280.0)
    factors = of(options.OptionParameters, "option")
    assert options.position_initial(quantity=-1.0, option=put, parameters=factors) == pytest.approx(2_315.0, abs=1e-9)
    assert options.position_maintenance(
        quantity=-1.0, index_price=20_250.0, mark_price=290.0, parameters=factors
    ) == pytest.approx(938.0, abs=1e-9)


def test_short_call_example_of_the_venue():
    row = example("bybit-22")
    given, factors = row["inputs"], of(options.OptionParameters, "option")
    assert factors.maintenance_fraction == given["mm_factor"]
    assert factors.liquidation_fee_fraction == given["liq_fee_rate"]
    maintenance = options.position_maintenance(
        quantity=-given["size"], index_price=given["index"], mark_price=given["mark"], parameters=factors
    )
    assert maintenance == pytest.approx(row["expected"]["position_mm"], abs=1e-9)
    rate = portfolio.account_rate(
        maintenance, equity_usd=given["margin_balance"], haircut_loss_usd=0.0, order_loss_usd=0.0
    )
    assert rate == pytest.approx(row["expected"]["account_mm_pct"], abs=1e-12)


def test_buy_order_cost_of_the_help_page():
    row = example("bybit-24")
    given, factors = row["inputs"], of(options.OptionFeeParameters, "option_fee")
    assert (factors.taker_fee_fraction, factors.fee_cap_fraction) == (given["taker"], given["fee_cap"])
    fee = options.order_fee(size=given["qty"], price=given["price"], index_price=given["index"], parameters=factors)
    assert fee == pytest.approx(row["expected"]["fee"], abs=1e-9)
    cost = options.buy_order_cost(size=given["qty"], price=given["price"], fee=fee)
    assert cost == pytest.approx(row["expected"]["cost"], abs=1e-9)


def test_cheap_option_pays_the_capped_fee():
    # 12.5 % of 10 is 1.25, below 0.03 % of 42,000 = 12.6.
    factors = of(options.OptionFeeParameters, "option_fee")
    assert options.order_fee(size=2.0, price=10.0, index_price=42_000.0, parameters=factors) == pytest.approx(2.5)


def test_sell_order_keeps_position_margin_less_premium():
    # As the put above, as an order at 280: 2,315 + fee 3 - 280 = 2,038.
    put = options.ShortOption(index_price=20_250.0, strike=18_500.0, is_call=False, mark_price=290.0, entry_price=280.0)
    margin = options.sell_order_initial(
        size=1.0, option=put, fee=3.0, parameters=of(options.OptionParameters, "option")
    )
    assert margin == pytest.approx(2_038.0, abs=1e-9)


def test_risk_unit_of_the_api_sample():
    row = example("bybit-31")
    given, unit = row["inputs"], of(portfolio.RiskUnitParameters, "portfolio_margin")
    assert list(unit.price_shock_fraction) == given["price_scale"]
    pnl = portfolio.scenario_pnl(
        linear_pnl=np.array(given["perp_pnl"])[:, None],
        option_pnl=np.array(given["option_pnl_worst_iv_-20pct"])[:, None, None],
        spot_hedge_pnl=np.array(given["spot_hedge_pnl"])[:, None],
    )
    # The API prints totals rounded to 3 decimals, the maximum loss to 4.
    assert np.round(pnl[:, 0], 3).tolist() == row["expected"]["total_pnl"]
    assert portfolio.maximum_loss(pnl)[0] == pytest.approx(row["expected"]["max_loss"], abs=6e-5)


def test_risk_unit_worst_node_by_hand():
    # Two nodes: -100 - 5 + 2 and 100 - 20 + 0; the worst volatility is taken at each: loss 103.
    pnl = portfolio.scenario_pnl(
        linear_pnl=[[-100.0], [100.0]], option_pnl=[[[4.0], [-5.0]], [[-20.0], [1.0]]], spot_hedge_pnl=[[2.0], [0.0]]
    )
    assert pnl[:, 0].tolist() == [-103.0, 80.0]
    parts = portfolio.Contingencies(
        future=[3.0], short_option=[0.0], vega_spread=[0.0], delta_spread=[4.0], stablecoin_spread=[0.0]
    )
    initial, maintenance = portfolio.unit_margins(
        worst_loss=portfolio.maximum_loss(pnl),
        contingencies=parts,
        parameters=of(portfolio.RiskUnitParameters, "portfolio_margin"),
    )
    assert maintenance[0] == pytest.approx(110.0)
    assert initial[0] == pytest.approx(132.0)  # 1.2 times


def test_contingencies_by_hand():
    factors = portfolio.ContingencyParameters.from_mapping(
        {"future_fraction": 0.001, "short_option_fraction": 0.02, "vega_spread_fraction_per_day": 0.0005}, source="test"
    )
    futures = portfolio.future_contingency(quantity=[[0.1], [-0.2]], index_price=[70_000.0], parameters=factors)
    assert futures[0] == pytest.approx(21.0)  # 0.3 * 70,000 * 0.1 %
    shorts = portfolio.short_option_contingency(net_short_quantity=[2.0], index_price=[70_000.0], parameters=factors)
    assert shorts[0] == pytest.approx(2_800.0)
    vega = portfolio.vega_spread_contingency(
        days_difference=[30.0], hedged_quantity=[2.0], index_price=[70_000.0], parameters=factors
    )
    assert vega[0] == pytest.approx(2_100.0)


def test_a_contingency_that_is_not_known_is_refused():
    parts = portfolio.Contingencies(
        future=0.0, short_option=0.0, vega_spread=0.0, delta_spread=np.nan, stablecoin_spread=0.0
    )
    with pytest.raises(InputError, match="delta_spread"):
        parts.total()


def test_account_of_the_api_sample():
    row = example("bybit-33")
    given, expected = row["inputs"], row["expected"]
    free = portfolio.available_usd(
        equity_usd=given["equity"], haircut_loss_usd=given["haircut"], initial_margin_usd=given["accountIM"]
    )
    assert free == pytest.approx(expected["availableBalance"], abs=1e-8)
    for amount, printed in (("accountIM", "accountIMRate"), ("accountMM", "accountMMRate")):
        rate = portfolio.account_rate(
            given[amount], equity_usd=given["equity"], haircut_loss_usd=given["haircut"], order_loss_usd=0.0
        )
        assert portfolio.printed_rate(rate) == pytest.approx(expected[printed], abs=1e-12)


def test_captured_wallet_of_2024_11():
    # https://github.com/ccxt/ccxt/issues/24215 (2024-11-10): totalMarginBalance, totalInitialMargin, total maintenance.
    rates = portfolio.account_rate(
        [705.4650483, 60.23673481], equity_usd=1352.5353253, haircut_loss_usd=0.0, order_loss_usd=0.0
    )
    assert portfolio.printed_rate(rates).tolist() == [0.5215, 0.0445]
    free = portfolio.available_usd(equity_usd=1352.5353253, haircut_loss_usd=0.0, initial_margin_usd=705.4650483)
    assert free == pytest.approx(647.070277, abs=1e-6)


@pytest.mark.parametrize("name", ["bybit-uta-wallet-1352", "bybit-uta-wallet-nautilus"])
def test_available_of_the_sampled_wallets(name):
    # Rates of the second wallet are made up ("0.0" beside a margin of 127): only its available figure is a fact.
    raw = shared(f"data/exchange_samples/{name}.json")["raw"]
    free = portfolio.available_usd(
        equity_usd=float(raw["totalMarginBalance"]),
        haircut_loss_usd=0.0,
        initial_margin_usd=float(raw["totalInitialMargin"]),
    )
    assert free == pytest.approx(float(raw["totalAvailableBalance"]), abs=1e-6)


def test_account_without_equity_never_looks_safe():
    rate = portfolio.account_rate([1.0, 1.0], equity_usd=[0.0, -5.0], haircut_loss_usd=0.0, order_loss_usd=0.0)
    assert rate.tolist() == [np.inf, np.inf]


def test_auto_borrow_examples_of_the_venue():
    row = example("bybit-37")
    given, expected = row["inputs"], row["expected"]
    cases = [
        (given["case_fee_usdt"]["wallet"] - given["case_fee_usdt"]["fee"], 0.0, expected["borrow_fee"]),
        (given["case_upl"]["wallet_usdt"] + given["case_upl"]["upl_usdt"], 0.0, expected["borrow_upl"]),
        (given["case_spot"]["wallet_usdc"], given["case_spot"]["buy_usdc"], expected["borrow_spot"]),
    ]
    for equity, frozen, borrow in cases:
        amount = portfolio.borrow_amount(equity, frozen=frozen, option_buy_initial=0.0, positive_option_value=0.0)
        assert amount == pytest.approx(borrow, abs=1e-12)


def test_borrow_margin_and_interest_by_hand():
    terms = of(portfolio.BorrowParameters, "borrow")
    # 0.5 BTC at 60,000: 20 % initial and 4 % maintenance of 30,000 USD.
    initial, maintenance = portfolio.borrow_margins_usd(0.5, index_price=60_000.0, parameters=terms)
    assert (float(initial), float(maintenance)) == pytest.approx((6_000.0, 1_200.0))
    # 100 borrowed of a limit of 50: usage 2, penalty 2^3; 20 are free: 80 * 0.001 * 8.
    interest = portfolio.borrow_interest_per_hour(
        100.0, interest_free=20.0, rate_per_hour=0.001, limit_usage=2.0, parameters=terms
    )
    assert interest == pytest.approx(0.64)


def test_collateral_ladder_of_the_help_page():
    # Help page of 2025-09-18: 15 BTC at 100 USD: (10 * 0.98 + 5 * 0.95) * 100 = 1,455; a debt counts in full.
    ladder = of(portfolio.CollateralParameters, "collateral")
    value = portfolio.collateral_value_usd([15.0, -2.0], index_price=100.0, parameters=ladder)
    assert value.tolist() == pytest.approx([1_455.0, -200.0])


def test_collateral_beyond_the_last_slice_counts_nothing():
    ladder = of(portfolio.CollateralParameters, "collateral")
    low, high = portfolio.collateral_value_usd([50.0, 60.0], index_price=1.0, parameters=ladder)
    assert low == high == pytest.approx(44.8)  # 10 * (0.98 + 0.95 + 0.90 + 0.85 + 0.80)


def test_spot_hedge_bound_never_counts_a_gain():
    assert portfolio.bounded_spot_hedge_pnl([7.0, -7.0]).tolist() == [0.0, -7.0]


def test_ladders_that_do_not_rise_are_refused():
    for ladder in ([[1.0, 0.9]], [[0.0, 0.9], [0.0, 0.8]], [[0.0, 95.0]], []):
        with pytest.raises(RulebookError, match="ladder"):
            portfolio.CollateralParameters.from_mapping({"ladder": ladder}, source="test")
