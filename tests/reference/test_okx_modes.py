"""OKX options, multi-currency, isolated spot margin and portfolio margin against the venue's own worked numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from margincover.errors import InputError, RulebookError
from margincover.pricing import linear
from margincover.venues.okx import multi_currency as multi
from margincover.venues.okx import options, portfolio
from margincover.venues.parameters import packaged, parameters
from tests.shared_data import shared_folder

AT = datetime(2026, 7, 1, tzinfo=UTC)
# Stablecoin index that the position-builder sample's delta implies (0.1 BTC at mark 97,093.7).
USDT_USD = 0.99954


def shared(path):
    return json.loads((shared_folder() / path).read_text())


def example(name):
    return next(row for row in shared("reference/examples/okx.json") if row["id"] == name)


def of(kind, mode, underlying="BTC", at=AT):
    edition = parameters("okx", mode=mode, underlying=underlying, at=at)
    return kind.from_mapping(edition.values, source=edition.id)


def call_of_the_2020_example():
    # Sell at forward 5,900, 100 USD out of the money, mark 0.0575 BTC, second tier with factor 1.02.
    return options.OptionState(
        forward_price=5_900.0, strike=6_000.0, is_call=True, mark_price=0.0575, margin_unit=1.0, margin_factor=1.02
    )


def test_every_packaged_edition_is_readable():
    readers = {
        "option": options.OptionParameters,
        "option_fee": options.OptionFeeParameters,
        "option_liquidation_fee": options.LiquidationFeeParameters,
        "borrow": multi.BorrowParameters,
        "discount": multi.DiscountParameters,
        "portfolio_margin": portfolio.RiskUnitParameters,
        "portfolio_margin_perpetual": portfolio.PerpetualChargeParameters,
        "portfolio_margin_scaling": portfolio.ScalingParameters,
        "portfolio_margin_stablecoin_example": portfolio.StablecoinParameters,
        "portfolio_margin_stablecoin_range": portfolio.StablecoinRangeParameters,
    }
    read = [readers[e.mode].from_mapping(e.values, source=e.id) for e in packaged("okx")]
    assert len(read) == 32


def test_short_call_margin_of_the_2020_example():
    # https://365shuku.com/13503.html, read 2026-11-24: [max(0.1, 0.15 - 100/5900) * 1.02 + 0.0575] * 0.1 = 0.01932 BTC
    # as printed; the formula gives 0.0193212. Sell to open 100 at 0.06: 1.334 BTC as printed.
    factors = of(options.OptionParameters, "option")
    per_coin = options.initial_per_coin(call_of_the_2020_example(), factors)
    assert per_coin * 0.1 == pytest.approx(0.01932, abs=5e-6)
    order = options.sell_to_open_margin(
        size=100 * 0.1, price=0.06, fee_per_coin=2e-4, state=call_of_the_2020_example(), parameters=factors
    )
    assert order == pytest.approx(1.334, abs=5e-4)  # printed with three decimals


def test_orders_of_the_2020_example():
    # Same page: buy 100 at 0.0475 with 0.02 % fee and multiplier 0.1: 0.477 BTC; closing orders need nothing.
    assert options.buy_to_open_margin(size=10.0, price=0.0475, fee_per_coin=2e-4) == pytest.approx(0.477, abs=1e-12)
    assert options.sell_to_close_margin(size=10.0, price=0.0755, fee_per_coin=2e-4) == 0.0
    assert (
        options.buy_to_close_margin(size=10.0, price=0.05, fee_per_coin=2e-4, position_initial_per_coin=0.1932) == 0.0
    )


def test_order_examples_of_the_venue():
    row = example("okx-38")
    given = row["inputs"]
    margin = options.buy_to_open_margin(
        size=given["n"] * given["mult"], price=given["px"], fee_per_coin=given["fee_per_contract"] / given["mult"]
    )
    assert margin == pytest.approx(row["expected"]["buy_to_open_order_margin"], abs=1e-12)
    row = example("okx-41")
    given = row["inputs"]
    size = given["n"] * given["mult"]
    closing = options.sell_to_close_margin(size=size, price=given["sell_to_close_px"], fee_per_coin=given["fee"])
    assert closing == row["expected"]["sell_to_close"]
    closing = options.buy_to_close_margin(
        size=size,
        price=given["buy_to_close_px"],
        fee_per_coin=given["fee"],
        position_initial_per_coin=given["pos_margin"] / given["mult"],
    )
    assert closing == row["expected"]["buy_to_close"]


def test_option_fee_example_of_the_venue():
    row = example("okx-42")
    given, fees = row["inputs"], of(options.OptionFeeParameters, "option_fee")
    assert (fees.taker_fee_fraction, fees.maker_fee_fraction, fees.fee_cap_fraction) == (
        given["taker"],
        given["maker"],
        given["cap"],
    )
    for rate, name in ((fees.taker_fee_fraction, "fee_taker"), (fees.maker_fee_fraction, "fee_maker")):
        fee = options.order_fee(
            size=given["contracts"] * given["mult"],
            premium=given["premium"],
            margin_unit=1.0,
            fee_fraction=rate,
            fee_cap_fraction=fees.fee_cap_fraction,
        )
        assert fee == pytest.approx(row["expected"][name], abs=1e-15)


def test_maintenance_of_coin_and_usd_margined_puts():
    # Put with mark 1.5 coins: max(0.03, 0.03 * 1.5) * 2 + 1.5 = 1.59; call: 0.03 * 2 + 1.5 = 1.56.
    factors = of(options.OptionParameters, "option")
    coin = options.OptionState(
        forward_price=100.0,
        strike=250.0,
        is_call=[[False], [True]],
        mark_price=1.5,
        margin_unit=1.0,
        margin_factor=2.0,
    )
    assert options.maintenance_per_coin(coin, factors)[:, 0] == pytest.approx([1.59, 1.56])
    # In USD at index 100 every figure is 100 times as large.
    usd = options.OptionState(
        forward_price=100.0,
        strike=250.0,
        is_call=[[False], [True]],
        mark_price=150.0,
        margin_unit=100.0,
        margin_factor=2.0,
    )
    assert options.maintenance_per_coin(usd, factors)[:, 0] == pytest.approx([159.0, 156.0])
    initial, maintenance = options.position_margins([[2.0], [-2.0]], state=usd, parameters=factors)
    assert (initial[0, 0], maintenance[0, 0]) == (0.0, 0.0)
    # Call 150 out of the money on 100: max(0.1, 0.15 - 1.5) * 2 * 100 + 150 = 170, two coins 340.
    assert (initial[1, 0], maintenance[1, 0]) == pytest.approx((340.0, 312.0))


def test_tier_factor_below_one_is_refused():
    state = options.OptionState(
        forward_price=100.0, strike=100.0, is_call=True, mark_price=0.1, margin_unit=1.0, margin_factor=0.02
    )
    with pytest.raises(InputError, match="margin_factor"):
        options.initial_per_coin(state, of(options.OptionParameters, "option"))


def test_account_ratio_of_the_api_sample():
    # OKX API docs, account/balance sample: 33,722.94 USD of swaps at a fee of 0.05 %, mmr 134.89, adjEq 10,679,688.05.
    fee = multi.derivative_fee_usd([[33722.9423710505978888]], fee_fraction=[[0.0005]])
    ratio = multi.account_coverage_ratio([10679688.0460531643], maintenance_usd=134.8917694842024, fee_usd=fee)
    assert ratio[0] == pytest.approx(70375.35408747017, rel=1e-12)


def test_account_ratio_of_the_stored_sample():
    sample = shared("data/exchange_samples/okx-account-multiccy-docs.json")
    raw = {key: float(value) for key, value in sample["raw"].items()}
    fee = multi.derivative_fee_usd([[raw["notionalUsd"]]], fee_fraction=[[sample["context"]["taker_fee"]]])
    ratio = multi.account_coverage_ratio([raw["adjEq"]], maintenance_usd=raw["mmr"], fee_usd=fee)
    assert ratio[0] == pytest.approx(sample["exchange_says"]["mgn_ratio"], rel=1e-12)


def test_isolated_short_pair_of_a_captured_position():
    # https://github.com/ccxt/ccxt/issues/18806 (2023-08-07): SHIB-USDT short, 304.08 USDT against 20,000,966 SHIB.
    assets, owed, mark = 304.082907074178, 20000966.0227737993648251, 9.133e-06
    ratio = multi.isolated_pair_ratio(
        asset_value=assets, liability_value=owed * mark, maintenance_fraction=0.08, fee_fraction=0.001
    )
    assert ratio == pytest.approx(8.197678827946161, rel=1e-9)
    debt = multi.isolated_pair_debt(owed, maintenance_fraction=0.08, fee_fraction=0.001)
    price = multi.isolated_short_liquidation_price(assets, debt_base=debt)
    assert price == pytest.approx(0.0000140631692489, rel=1e-9)
    # The solved price, put back, gives a ratio of 1.
    at_price = multi.isolated_pair_ratio(
        asset_value=assets, liability_value=owed * price, maintenance_fraction=0.08, fee_fraction=0.001
    )
    assert at_price == pytest.approx(1.0, rel=1e-12)


def test_isolated_pair_of_the_stored_sample():
    sample = shared("data/exchange_samples/okx-shib-margin-iso-short.json")
    context = sample["context"]
    rates = {"maintenance_fraction": context["mmr_rate"], "fee_fraction": context["taker_fee"]}
    ratio = multi.isolated_pair_ratio(
        asset_value=context["position_assets"], liability_value=context["liability"] * context["mark"], **rates
    )
    assert ratio == pytest.approx(sample["exchange_says"]["mgn_ratio"], rel=1e-8)
    debt = multi.isolated_pair_debt(context["liability"], **rates)
    price = multi.isolated_short_liquidation_price(context["position_assets"], debt_base=debt)
    assert price == pytest.approx(sample["exchange_says"]["liq_px"], rel=1e-8)


def test_isolated_long_pair_is_liquidated_at_ratio_one():
    # Base margin as in okx-50: 1.1 BTC held, 10,000 USDT owed; mmr 3 %, fee 0.1 %.
    debt = multi.isolated_pair_debt(10_000.0, maintenance_fraction=0.03, fee_fraction=0.001)
    price = multi.isolated_long_liquidation_price(debt, asset_base=1.1, margin_quote=0.0)
    ratio = multi.isolated_pair_ratio(
        asset_value=1.1 * price, liability_value=10_000.0, maintenance_fraction=0.03, fee_fraction=0.001
    )
    assert ratio == pytest.approx(1.0, rel=1e-12)
    # With quote margin the margin is added to the value instead.
    price = multi.isolated_long_liquidation_price(debt, asset_base=1.0, margin_quote=1_000.0)
    ratio = multi.isolated_pair_ratio(
        asset_value=price + 1_000.0, liability_value=10_000.0, maintenance_fraction=0.03, fee_fraction=0.001
    )
    assert ratio == pytest.approx(1.0, rel=1e-12)


def test_isolated_pair_opening_of_the_help_page():
    row = example("okx-50")
    given, expected = row["inputs"], row["expected"]
    margin, owed, held = multi.isolated_long_opening(
        given["open_btc"], price=given["price"], leverage=given["leverage"]
    )
    assert margin == pytest.approx(expected["margin_btc"], abs=1e-12)
    assert owed == pytest.approx(expected["borrow_usdt"], abs=1e-9)
    assert held == pytest.approx(expected["position_asset_btc"], abs=1e-12)


def test_discount_slices_of_the_documentation_sample():
    # 22 BTC at 50,000 USD: (20 * 0.98 + 2 * 0.9775) * 50,000 = 1,077,750; a debt of 1 BTC counts in full.
    ladder = of(multi.DiscountParameters, "discount")
    value = multi.discounted_equity_usd([22.0, -1.0], usd_price=50_000.0, parameters=ladder)
    assert value.tolist() == pytest.approx([1_077_750.0, -50_000.0])


def test_account_without_requirement():
    ratios = multi.account_coverage_ratio([1.0, -1.0], maintenance_usd=0.0, fee_usd=0.0)
    assert ratios.tolist() == [np.inf, -np.inf]


def test_other_venues_ratio_without_fees():
    # Gate's unified account prints margin balance / maintenance: the same ratio without a fee term.
    sample = shared("data/exchange_samples/gate-unified-account-docs.json")
    raw = {key: float(value) for key, value in sample["raw"].items()}
    ratio = multi.account_coverage_ratio(
        raw["total_margin_balance"], maintenance_usd=raw["total_maintenance_margin"], fee_usd=0.0
    )
    assert ratio == pytest.approx(sample["exchange_says"]["mm_rate"], rel=1e-12)
    free = multi.available_usd(raw["total_margin_balance"], initial_usd=raw["total_initial_margin"])
    assert free == pytest.approx(sample["exchange_says"]["available"], abs=1e-8)


def test_risk_unit_of_the_position_builder_sample():
    # API docs sample of 2025-01-15: short 0.1 BTC, mark 97,093.7. The sample does not print the index: it follows from
    # the worst profit at 24 %, -2328.8218489440005, and is then held against MR1 at 12 % and MR6 at one half.
    at_index, at_mark = -2328.8218489440005 / 0.24, -0.1 * 97093.7 * USDT_USD
    unit = of(portfolio.RiskUnitParameters, "portfolio_margin")
    perpetual = of(portfolio.PerpetualChargeParameters, "portfolio_margin_perpetual")
    move = unit.extreme_shock_fraction
    mr1 = portfolio.worst_loss(portfolio.linear_pnl([at_index], shock_fraction=unit.price_shock_fraction))
    mr6 = portfolio.extreme_charge(pnl_down=[at_index * -move], pnl_up=[at_index * move], parameters=unit)
    mr4 = portfolio.perpetual_basis_charge([at_mark], perpetual)
    raw = portfolio.perpetual_minimum_charge([at_mark], perpetual)
    mr7 = portfolio.scaled_minimum_charge(raw, of(portfolio.ScalingParameters, "portfolio_margin_scaling"))
    assert mr1[0] == pytest.approx(1164.4109244719994, rel=1e-12)
    assert mr6[0] == pytest.approx(1164.4109244720003, rel=1e-12)
    assert mr4[0] == pytest.approx(19.4098073796, abs=1e-6)
    assert mr7[0] == pytest.approx(43.6720666041, abs=1e-6)
    charges = portfolio.UnitCharges(mr1=mr1, mr2=0.0, mr3=0.0, mr4=mr4, mr5=0.0, mr6=mr6, mr7=mr7, mr9=0.0)
    maintenance = portfolio.unit_maintenance(charges)
    assert maintenance[0] == pytest.approx(1183.8207318516002, abs=1e-6)
    initial, _ = portfolio.account_margins(
        maintenance[None], borrow_initial_usd=0.0, borrow_maintenance_usd=0.0, parameters=unit
    )
    assert initial[0] == pytest.approx(1538.9669514070802, abs=1e-6)


def test_shock_base_is_the_index():
    row = example("okx-48")
    given = row["inputs"]["BTC"]
    base = row["expected"]["implied_base_price"]
    delta = -given["qty"] * base * row["inputs"]["usdt_usd"]
    unit = of(portfolio.RiskUnitParameters, "portfolio_margin")
    assert max(unit.price_shock_fraction) == given["shock"]
    loss = portfolio.worst_loss(portfolio.linear_pnl([delta], shock_fraction=unit.price_shock_fraction))[0]
    # The implied base is stated to 0.02 USD: 0.02 * 0.1 * 0.12 of the loss.
    assert loss == pytest.approx(given["mr1"], abs=0.02 * 0.1 * 0.12)
    mark_loss = given["qty"] * given["mark"] * row["inputs"]["usdt_usd"] * given["shock"]
    assert abs(mark_loss - given["mr1"]) > 0.1


def test_scaling_example_of_2021():
    # https://www.okx.com/support/hc/en-us/articles/4417291853837: 10,000 * 1 + 20,000 * 2 = 50,000 replaces 40,000.
    scaling = of(portfolio.ScalingParameters, "portfolio_margin_scaling", at=datetime(2022, 1, 1, tzinfo=UTC))
    assert scaling.edges[:3] == (0.0, 10_000.0, 70_000.0)
    mr7 = portfolio.scaled_minimum_charge([30_000.0], scaling)
    assert mr7[0] == pytest.approx(50_000.0)
    charges = portfolio.UnitCharges(mr1=[40_000.0], mr2=0, mr3=0, mr4=0, mr5=0, mr6=0, mr7=mr7, mr9=0)
    assert portfolio.unit_maintenance(charges)[0] == pytest.approx(50_000.0)
    row = example("okx-43")
    edges, multipliers = zip(*row["inputs"]["tiers"], strict=True)
    given = portfolio.ScalingParameters(edges=edges, multipliers=multipliers)
    assert portfolio.scaled_minimum_charge(row["inputs"]["mr7_raw"], given) == row["expected"]["mr7_adj"]


def test_stablecoin_slices_of_the_notice():
    # Notice of 2024-11-25: 1M * 0.75 % + 4M * 1.75 % + 5M * 2.5 % = 202,500.
    factors = of(portfolio.StablecoinParameters, "portfolio_margin_stablecoin_example")
    assert portfolio.stablecoin_charge([10e6], factors)[0] == pytest.approx(202_500.0)
    row = example("okx-44")
    widths, rates = zip(*row["inputs"]["slices"], strict=True)
    assert factors.rates == rates
    assert portfolio.stablecoin_charge(sum(widths), factors) == pytest.approx(row["expected"]["mr9"])


def test_stablecoin_pairs_are_matched_in_order():
    # +10 USDT meets -4 USD first, then -3 of the -3 USDC; USD is used up, nothing is left for USDC-USD.
    hedged = portfolio.stablecoin_hedges(usdt_usd=[10.0], usdc_usd=[-3.0], usd_usd=[-4.0])
    assert [part[0] for part in hedged] == [4.0, 3.0, 0.0]


def test_aggregation_example_before_the_merge():
    row = example("okx-45")
    for state, expected in (("before", "mmr_before"), ("after", "mmr_after")):
        given = row["inputs"][state]
        charges = portfolio.UnitCharges(
            mr1=0.0, mr2=0.0, mr3=0.0, mr4=given.get("mr4", 0.0), mr5=0.0, mr6=0.0, mr7=given["mr7"], mr9=0.0
        )
        assert portfolio.unit_maintenance(charges) == pytest.approx(row["expected"][expected], abs=1e-9)


def test_portfolio_account_of_the_sample():
    row = example("okx-49")
    given, expected = row["inputs"], row["expected"]
    equity = given["sim_asset_USDT"]
    for position in given["positions"]:
        contracts = next(value for name, value in position.items() if name.endswith("SWAP"))
        equity += float(
            linear.profit(
                signed_size=contracts * position["ctVal"], entry_price=position["avg"], price=position["mark"]
            )
        )
    assert equity == pytest.approx(expected["ccy_equity_usdt"], abs=0.006)
    terms = of(multi.BorrowParameters, "borrow", underlying="USDT")
    owed = multi.borrowed(equity) * given["usdt_usd"]
    initial, maintenance, fee = multi.borrow_margins_usd(owed, parameters=terms)
    assert maintenance == pytest.approx(expected["borrow_mmr"], abs=1e-6)
    assert initial == pytest.approx(expected["borrow_imr"], abs=1e-6)
    unit = of(portfolio.RiskUnitParameters, "portfolio_margin")
    total_initial, total = portfolio.account_margins(
        [[given["deriv_mmr"]]], borrow_initial_usd=initial, borrow_maintenance_usd=maintenance, parameters=unit
    )
    assert total[0] == pytest.approx(expected["total_mmr"], abs=1e-6)
    assert total_initial[0] == pytest.approx(expected["total_imr"], abs=1e-6)
    ratio = portfolio.account_coverage_ratio([-owed], maintenance_usd=total, liability_fee_usd=fee)
    assert ratio[0] == pytest.approx(expected["margin_ratio"], abs=1e-9)


def test_a_charge_that_is_not_known_is_refused():
    charges = portfolio.UnitCharges(mr1=0, mr2=np.nan, mr3=0, mr4=0, mr5=0, mr6=0, mr7=0, mr9=0)
    with pytest.raises(InputError, match="mr2"):
        portfolio.unit_maintenance(charges)


def test_bad_risk_unit_parameters_are_refused():
    good = {
        "price_shock_fraction": [-0.12, 0.12],
        "extreme_shock_fraction": 0.24,
        "extreme_share_fraction": 0.5,
        "initial_over_maintenance": 1.3,
    }
    for change in ({"extreme_shock_fraction": 24.0}, {"price_shock_fraction": [12.0]}, {"price_shock_fraction": []}):
        with pytest.raises(RulebookError, match=next(iter(change))):
            portfolio.RiskUnitParameters.from_mapping({**good, **change}, source="test")
