"""Deribit's rules against the venue's own numbers, and what they refuse.

Restated numbers are facts of public responses; each names its source and date.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from margincover.errors import InputError, NotSupportedError, ReconciliationError, RulebookError
from margincover.pricing.black76 import price_reference
from margincover.venues.deribit import standard
from margincover.venues.deribit.accounts import SummaryRow, account_pools, row_in_usd
from margincover.venues.deribit.book import DeltaOneLegs, OptionLegs, Settlement
from margincover.venues.deribit.cross import (
    CrossPair,
    SettledLegs,
    collateral_value_usd,
    cross_margin_bound,
)
from margincover.venues.deribit.live import live_matrix_parameters
from margincover.venues.deribit.matrix import MatrixMargin, matrix_margin
from margincover.venues.deribit.parameters import (
    CollateralParameters,
    FutureCurveParameters,
    FutureIncrementParameters,
    MatrixParameters,
    OptionParameters,
    future_parameters,
)
from margincover.venues.parameters import packaged, parameters

# docs.deribit.com private/pme/simulate, response example, parameters of 2024-06-17; one number a bucket
BTC_AGGREGATED = (
    -0.05968587238095239, -0.04272965863636364, -0.02724789826086957, -0.013056284583333334, 0.0, 0.0, 0.0, 0.0, 0.0,
)  # fmt: skip
# production response of private/pme/simulate for a short ETH perpetual, 2026-02-15 23:20 UTC
ETH_BEFORE = (
    0.21939959699999997, 0.155989308849711, 0.09885036787912087, 0.04709624857068063, 0.0,
    -0.04304011233014354, -0.08252645391743119, -0.11888171996035243, -0.15246412672881357,
)  # fmt: skip
ETH_EXTENDED_BEFORE = (0.21939959699999997,) * 2 + (-0.15246412672881357,) * 6
ETH_AGGREGATED = (
    0.13163975819999998, 0.09359358530982659, 0.05931022072747252, 0.028257749142408375, 0.0,
    -0.04304011233014354, -0.08252645391743119, -0.11888171996035243, -0.15246412672881357,
)  # fmt: skip
# The responses print doubles; our cells differ by the order of three multiplications at most.
CELL = 1e-15


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def values(mode: str, underlying: str, day: str) -> dict[str, object]:
    return dict(parameters("deribit", mode=mode, underlying=underlying, at=at(day)).values)


def matrix_of(underlying: str, day: str, mode: str = "matrix_coin") -> MatrixParameters:
    return MatrixParameters.from_mapping(values(mode, underlying, day), source="deribit.toml")


def increments(mode: str, underlying: str, day: str) -> FutureIncrementParameters:
    record = future_parameters(values(mode, underlying, day), source="deribit.toml")
    assert isinstance(record, FutureIncrementParameters)
    return record


def curve(mode: str, underlying: str, day: str) -> FutureCurveParameters:
    record = future_parameters(values(mode, underlying, day), source="deribit.toml")
    assert isinstance(record, FutureCurveParameters)
    return record


def option_factors(mode: str = "option_inverse", underlying: str = "BTC") -> OptionParameters:
    return OptionParameters.from_mapping(values(mode, underlying, "2024-01-01"), source="deribit.toml")


def delta_one(sizes, marks, expiry, years, n_paths: int = 1) -> DeltaOneLegs:
    return DeltaOneLegs(
        size_coin=np.outer(sizes, np.ones(n_paths)),
        mark_usd=np.outer(marks, np.ones(n_paths)),
        expiry=np.array(expiry, dtype=np.int64),
        years=np.array(years, dtype=np.float64),
    )


def no_futures(n_paths: int = 1) -> DeltaOneLegs:
    return DeltaOneLegs(
        size_coin=np.zeros((0, n_paths)),
        mark_usd=np.zeros((0, n_paths)),
        expiry=np.zeros(0, dtype=np.int64),
        years=np.zeros(0),
    )


def no_options(n_paths: int = 1) -> OptionLegs:
    empty = np.zeros(0)
    return OptionLegs(
        quantity_coin=empty,
        forward_usd=np.zeros((0, n_paths)),
        volatility=np.zeros((0, n_paths)),
        strike_usd=empty,
        years=empty,
        is_call=np.zeros(0, dtype=bool),
        expiry=np.zeros(0, dtype=np.int64),
    )


def short_options(quantity, strike, forward, volatility, is_call, years=0.25) -> OptionLegs:
    n = len(quantity)
    return OptionLegs(
        quantity_coin=np.array(quantity, dtype=np.float64),
        forward_usd=np.full((n, 1), float(forward)),
        volatility=np.full((n, 1), volatility),
        strike_usd=np.array(strike, dtype=np.float64),
        years=np.full(n, years),
        is_call=np.array(is_call),
        expiry=np.ones(n, dtype=np.int64),
    )


def btc_matrix() -> MatrixMargin:
    # 28 June 2024 08:00 UTC is 10.6 days after the response
    return matrix_margin(
        delta_one=delta_one([0.314538364, -0.001187534], [65910.57, 67371.75], [0, 1], [0.0, 10.6 / 365]),
        options=no_options(),
        index_usd=65666.19,
        settlement=Settlement.COIN,
        parameters=matrix_of("BTC", "2024-06-18"),
        order_margin=0.06 + 1.8212e-05,
    )


def eth_matrix() -> MatrixMargin:
    return matrix_margin(
        delta_one=delta_one([-0.999487053], [1949.49], [0], [0.0]),
        options=no_options(),
        index_usd=1949.34,
        settlement=Settlement.COIN,
        parameters=matrix_of("ETH", "2026-02-16"),
    )


def test_documented_btc_matrix_is_reproduced_cell_by_cell():
    result = btc_matrix()
    np.testing.assert_allclose(result.aggregated.standard[:, 0], np.repeat(BTC_AGGREGATED, 3), rtol=0, atol=CELL)
    np.testing.assert_array_equal(result.aggregated.extended, np.zeros((8, 1)))
    assert result.worst_case[0] == pytest.approx(0.05968587238095239, abs=CELL)
    assert result.roll_shock[0] == pytest.approx(0.00315725898, abs=CELL)
    assert result.delta_shock[0] == 0.0
    assert result.risk_matrix_margin[0] == pytest.approx(0.06284313098, abs=CELL)
    assert result.initial[0] == 0.122861343
    assert result.maintenance[0] == pytest.approx(0.050274504784, abs=CELL)


def test_production_eth_matrix_is_reproduced_cell_by_cell():
    result = eth_matrix()
    np.testing.assert_allclose(result.pre_aggregated.standard[:, 0], np.repeat(ETH_BEFORE, 3), rtol=0, atol=CELL)
    np.testing.assert_allclose(result.pre_aggregated.extended[:, 0], ETH_EXTENDED_BEFORE, rtol=0, atol=CELL)
    np.testing.assert_allclose(result.aggregated.standard[:, 0], np.repeat(ETH_AGGREGATED, 3), rtol=0, atol=CELL)
    np.testing.assert_array_equal(result.aggregated.extended, np.zeros((8, 1)))
    assert result.roll_shock[0] == pytest.approx(0.004997435265, abs=CELL)
    assert result.risk_matrix_margin[0] == pytest.approx(0.157461562265, abs=CELL)
    assert result.initial[0] == 0.157461562
    assert result.maintenance[0] == pytest.approx(0.125969249812, abs=CELL)


def test_matrices_of_the_shared_examples_are_reproduced(shared_folder: Path):
    cases = {c["id"]: c for c in json.loads((shared_folder / "reference/examples/deribit.json").read_text())}
    eth, btc = cases["deribit-000"]["expected"], cases["deribit-001"]["expected"]
    ours = eth_matrix()
    for key, cells in (
        ("pnl_vector_standard_per_bucket", ours.pre_aggregated.standard[::3, 0]),
        ("pnl_vector_extended", ours.pre_aggregated.extended[:, 0]),
        ("aggregated_standard_per_bucket", ours.aggregated.standard[::3, 0]),
        ("aggregated_extended", ours.aggregated.extended[:, 0]),
    ):
        np.testing.assert_allclose(cells, eth[key], rtol=0, atol=CELL)
    for expected, result in ((eth, ours), (btc, btc_matrix())):
        assert result.worst_case[0] == pytest.approx(expected["worst_case"], abs=CELL)
        assert result.roll_shock[0] == pytest.approx(expected["roll_shock"], abs=CELL)
        assert result.risk_matrix_margin[0] == pytest.approx(expected["risk_matrix_margin"], abs=CELL)
        assert result.initial[0] == expected["initial_margin"]
        assert result.maintenance[0] == pytest.approx(expected["maintenance_margin"], abs=CELL)


# rate and requirement: support.deribit.com, Linear Perpetual, worked table (read 2026-09);
# size and margins of the rows: payloads of 2022-05-21 (ccxt issue 13374) and 2026-02-16, nine decimals
@pytest.mark.parametrize(
    ("mode", "underlying", "day", "size", "price", "initial", "maintenance"),
    [
        ("linear_perpetual", "BTC", "2024-01-01", 25.0, 100_000.0, 53_125.0, None),
        ("linear_perpetual", "SOL", "2024-01-01", 25.0, 200.0, 200.625, None),
        ("inverse_perpetual", "ETH", "2026-02-16", 0.000509344, 1.0, 1.0187e-05, 5.093e-06),
        ("inverse_perpetual", "SOL", "2022-05-21", 0.603420186, 1.0, 0.024138628, 0.012070224),
        # a position of 40 USD at mark 109 266.97 in github.com/ccxt/ccxt/issues/26913 of 2025-09-26
        ("inverse_perpetual", "BTC", "2025-09-26", 40 / 109_266.97, 1.0, 7.322e-06, 3.661e-06),
        # a payload in github.com/ccxt/ccxt/pull/20880 of 2024-01-19: 0.003 BTC at 40 823.7167
        ("linear_perpetual", "BTC", "2024-01-19", 0.003, 40_823.7167, 2.449441373, 1.224729872),
    ],
)
def test_margin_with_increments_equals_the_venues_digits(mode, underlying, day, size, price, initial, maintenance):
    rates = increments(mode, underlying, day)
    ours = standard.increment_margin(size, unit_price=price, parameters=rates)
    assert round(float(ours.initial), 9) == initial
    if maintenance is not None:
        assert round(float(ours.maintenance), 9) == maintenance


def test_documented_btc_position_carries_other_rates_and_the_same_form(shared_folder: Path):
    # The position rows of the API documentation are of an older or test environment: 2.95 % and 2.15 %, same increase.
    raw = json.loads((shared_folder / "data/exchange_samples/deribit-btcperp-50-docs.json").read_text())["raw"]
    rates = FutureIncrementParameters(
        initial_base_fraction=0.0295, maintenance_base_fraction=0.0215, increase_per_coin=0.00005
    )
    ours = standard.increment_margin(raw["size_currency"], parameters=rates)
    assert round(float(ours.initial), 9) == raw["initial_margin"]
    assert round(float(ours.maintenance), 9) == raw["maintenance_margin"]


def test_captured_sol_position_is_reproduced(shared_folder: Path):
    raw = json.loads((shared_folder / "data/exchange_samples/deribit-solperp-30-2022.json").read_text())["raw"]
    size = float(raw["size"]) / float(raw["mark_price"])
    ours = standard.increment_margin(size, parameters=increments("inverse_perpetual", "SOL", "2022-05-21"))
    # the mark is printed to two decimals, which leaves 1e-4 of the size open
    assert float(ours.initial) == pytest.approx(float(raw["initial_margin"]), rel=1e-4)
    assert float(ours.maintenance) == pytest.approx(float(raw["maintenance_margin"]), rel=1e-4)


def test_january_2022_doubled_the_eth_increase_and_the_btc_base():
    # support.deribit.com article 25944826427293: ETH 0.0002 % -> 0.0004 % a coin;
    # BTC initial 1 % -> 2 %, maintenance 0.525 % -> 1 %
    before, after = (increments("inverse_perpetual", "ETH", day) for day in ("2022-01-10", "2022-01-11"))
    assert (before.increase_per_coin, after.increase_per_coin) == (2e-6, 4e-6)
    old, new = (increments("inverse_perpetual", "BTC", day) for day in ("2022-01-10", "2022-01-11"))
    assert (old.initial_base_fraction, old.maintenance_base_fraction) == (0.01, 0.00525)
    assert (new.initial_base_fraction, new.maintenance_base_fraction) == (0.02, 0.01)


def test_leverage_curve_is_known_for_small_positions():
    # secondary note of 2026-09-30: 3 % of 885 BTC is 26.55 BTC at leverage 25; maintenance is two thirds of initial
    rule = curve("linear_future", "BTC", "2026-10-01")
    ours = standard.curve_margin(-26.55, parameters=rule, unknown_curve=standard.UnknownCurve.REFUSE)
    assert float(ours.initial) == pytest.approx(26.55 * 0.04, rel=1e-15)
    assert float(ours.maintenance) == pytest.approx(26.55 * 0.0266666667, rel=2e-9)


def test_leverage_curve_beyond_small_positions_is_refused_or_bounded():
    rule = curve("linear_future", "BTC", "2026-10-01")
    sizes = np.array([[10.0, 30.0]])
    with pytest.raises(NotSupportedError, match=r"1 sizes, the largest 30 coin, lie above 26\.55 coin"):
        standard.curve_margin(sizes, parameters=rule, unknown_curve=standard.UnknownCurve.REFUSE)
    bound = standard.curve_margin(sizes, parameters=rule, unknown_curve=standard.UnknownCurve.PESSIMISTIC)
    # the lowest leverage of the curve is 4
    np.testing.assert_allclose(bound.initial, [[10.0 / 25, 30.0 / 4]], rtol=1e-15)


def test_leverage_curve_without_a_known_largest_position_is_refused():
    rule = curve("inverse_perpetual", "BTC", "2026-10-01")
    with pytest.raises(NotSupportedError, match="lie above 0 coin"):
        standard.curve_margin(0.1, parameters=rule, unknown_curve=standard.UnknownCurve.PESSIMISTIC)


def test_chosen_leverage_raises_initial_margin_only():
    rates = increments("inverse_perpetual", "BTC", "2024-01-01")
    free = standard.increment_margin(1.0, parameters=rates)
    chosen = standard.increment_margin(1.0, parameters=rates, chosen_leverage=10.0)
    assert float(chosen.initial) == 0.1
    assert float(chosen.maintenance) == float(free.maintenance)


# Derived by hand from IM = max(0.15 - otm/S, 0.10) + m, MM = 0.075 + m (call), max(0.075, 0.075 m) + m (put).
@pytest.mark.parametrize(
    ("quantity", "strike", "is_call", "mark", "initial", "maintenance"),
    [
        (-1.0, 52_000.0, True, 0.02, 0.11 + 0.02, 0.095),  # otm/S 0.04
        (-2.0, 60_000.0, True, 0.005, 2 * 0.105, 2 * 0.08),  # otm/S 0.20: the floor of 0.10
        (-1.0, 45_000.0, True, 0.11, 0.15 + 0.11, 0.185),  # in the money: otm 0
        (-1.0, 48_000.0, False, 0.03, 0.11 + 0.03, 0.105),
        (-1.0, 150_000.0, False, 2.0, 2.15, 2.15),  # 0.075 m = 0.15 above 0.075; initial 0.15 + 2
        (-1.0, 200_000.0, False, 3.0, 3.225, 3.225),  # maintenance 0.225 + 3 lifts initial from 3.15
        (5.0, 52_000.0, True, 0.02, 0.0, 0.0),  # long
    ],
)
def test_short_coin_settled_options_follow_the_formula(quantity, strike, is_call, mark, initial, maintenance):
    ours = standard.inverse_option_margin(
        quantity,
        index_usd=50_000.0,
        strike_usd=strike,
        is_call=is_call,
        mark_coin=mark,
        parameters=option_factors(),
    )
    assert float(ours.initial) == pytest.approx(initial, abs=1e-15)
    assert float(ours.maintenance) == pytest.approx(maintenance, abs=1e-15)


def test_resting_sell_order_holds_the_fee_and_no_mark():
    ours = standard.inverse_option_order_margin(
        0.1, index_usd=50_000.0, strike_usd=52_000.0, is_call=True, parameters=option_factors()
    )
    assert float(ours) == pytest.approx(0.1 * (0.11 + 0.0003), abs=1e-17)


def test_short_usdc_call_equals_the_published_case():
    # two secondary implementations, 2026-09: index 61 000, strike 67 000, mark 30: initial 6 130, maintenance 4 605
    ours = standard.linear_option_margin(
        -1.0,
        index_usd=61_000.0,
        strike_usd=67_000.0,
        is_call=True,
        mark_usd=30.0,
        parameters=option_factors("option_linear"),
    )
    assert float(ours.initial) == pytest.approx(6_130.0, abs=1e-9)
    assert float(ours.maintenance) == pytest.approx(4_605.0, abs=1e-9)


def test_short_usdc_put_is_floored_by_its_strike():
    # K 55 000 below S 61 000: initial max(9150 - 6000, 5500) + 40, maintenance 0.075 * 55 000 + 40
    ours = standard.linear_option_margin(
        -2.0,
        index_usd=61_000.0,
        strike_usd=55_000.0,
        is_call=False,
        mark_usd=40.0,
        parameters=option_factors("option_linear"),
    )
    assert float(ours.initial) == pytest.approx(2 * 5_540.0, abs=1e-9)
    assert float(ours.maintenance) == pytest.approx(2 * 4_165.0, abs=1e-9)


def test_options_of_coins_without_known_factors_are_refused():
    with pytest.raises(RulebookError, match="no parameters of mode option_linear for SOL"):
        values("option_linear", "SOL", "2024-01-01")


def test_segregated_summary_adds_up():
    # docs.deribit.com private/get_account_summaries, BTC row in segregated standard margin
    equity = standard.segregated_equity(
        balance=302.60065765, futures_session_upl=0.05921555, session_rpl=-0.03258105, options_value=-0.0086
    )
    # the documented sum is 302.6186 92 15 against a printed ...14: eight printed decimals
    assert float(equity) == pytest.approx(302.61869214, abs=1.1e-8)
    balance = standard.standard_margin_balance(equity=302.61869214, options_value=-0.0086)
    assert float(balance) == pytest.approx(302.62729214, abs=1e-12)
    (pool,) = account_pools(
        [
            SummaryRow(
                currency="BTC",
                margin_model="segregated_sm",
                margin_balance=302.62729214,
                initial=1.24669592,
                maintenance=0.8857841,
            )
        ]
    )
    assert pool.available_funds == pytest.approx(301.38059622, abs=1e-12)


def cross_row(currency: str, balance: float, initial: float, total: float) -> SummaryRow:
    # captured summary of 2026-02-15 23:27 UTC; initial 0.640151869 and maintenance 0.45572159158 USD
    return SummaryRow(
        currency=currency,
        margin_model="cross_pm",
        margin_balance=balance,
        initial=initial,
        maintenance=0.0,
        total_margin_balance_usd=total,
        total_initial_usd=0.640151869,
        total_maintenance_usd=0.45572159158,
    )


def test_cross_rows_are_one_pool_and_are_not_added():
    rows = [cross_row("BTC", 0.00003691, 0.00000933, 2.531977059), cross_row("ETH", 0.001296, 0.000328, 2.531977059)]
    (pool,) = account_pools(rows)
    assert (pool.unit, pool.currencies) == ("USD", ("BTC", "ETH"))
    assert pool.margin_balance == 2.531977059
    assert pool.available_funds == pytest.approx(2.531977059 - 0.640151869, abs=1e-12)


def test_cross_rows_with_different_totals_are_refused():
    rows = [cross_row("BTC", 0.00003691, 0.00000933, 2.531977059), cross_row("ETH", 0.001296, 0.000328, 5.06)]
    with pytest.raises(ReconciliationError, match="restate one pool"):
        account_pools(rows)


def test_a_segregated_row_beside_cross_rows_is_a_pool_of_its_own():
    bnb = SummaryRow(currency="BNB", margin_model="segregated_pm", margin_balance=1.0, initial=0.2, maintenance=0.1)
    pools = account_pools([bnb, cross_row("BTC", 0.00003691, 0.00000933, 2.531977059)])
    assert [p.unit for p in pools] == ["BNB", "USD"]


def test_cross_row_converts_at_its_own_index(shared_folder: Path):
    raw = json.loads((shared_folder / "data/exchange_samples/deribit-crosspm-btc.json").read_text())["raw"]
    row = SummaryRow(
        currency=raw["currency"],
        margin_model=raw["margin_model"],
        margin_balance=raw["margin_balance"],
        initial=raw["initial_margin"],
        maintenance=raw["maintenance_margin"],
        total_margin_balance_usd=raw["total_margin_balance_usd"],
        total_initial_usd=raw["total_initial_margin_usd"],
        total_maintenance_usd=raw["total_maintenance_margin_usd"],
    )
    (pool,) = account_pools([row])
    # eight printed decimals of about 3e-6 BTC leave 1.5e-3 open
    assert row_in_usd(row.maintenance, row) == pytest.approx(pool.maintenance, rel=2e-3)
    assert row.margin_balance - row.initial == pytest.approx(raw["available_funds"], abs=1e-12)


def test_collateral_is_cut_and_debt_is_not():
    haircuts = CollateralParameters.from_mapping(values("cross_collateral", "BTC", "2026-10-01"), source="deribit.toml")
    held = ["BTC", "USDT", "STETH"]
    value = collateral_value_usd(
        np.array([[1.0], [1_000.0], [-2.0]]),
        index_usd=np.array([[80_000.0], [0.999], [2_000.0]]),
        haircut_fraction=[haircuts.haircut_fraction(asset) for asset in held],
    )
    assert value[0] == pytest.approx(80_000.0 + 999.0 * 0.98 - 4_000.0, abs=1e-9)
    with pytest.raises(NotSupportedError, match=r"collateral\.PAXG: had no known haircut"):
        haircuts.haircut_fraction("PAXG")


def test_cross_bound_keeps_the_ratio_of_maintenance_to_the_matrix():
    # captured user.portfolio notification of 2026-02-16: initial 0.570187404, maintenance 0.45614992333 USD, no orders
    p = matrix_of("ETH", "2026-02-16")
    legs = SettledLegs(
        settlement=Settlement.COIN,
        delta_one=delta_one([-0.5], [2_000.0], [0], [0.0]),
        options=no_options(),
        parameters=p,
    )
    pair = CrossPair(index_usd=np.array([2_000.0]), equity_coin=np.zeros(1), legs=(legs,), parameters=p)
    bound = cross_margin_bound([pair], maintenance_factor_fraction=p.maintenance_factor_fraction)
    # worst at +18 %: 0.5 * 2000 * 0.18; roll 0.5 % of the delta
    assert bound.initial_usd[0] == pytest.approx(180.0 + 5.0, abs=1e-9)
    expected_ratio = 0.45614992333200005 / 0.570187404
    assert bound.maintenance_usd[0] / bound.initial_usd[0] == pytest.approx(expected_ratio, rel=1e-7)


def test_coin_equity_covers_a_short_of_the_same_coin_in_the_cross_matrix():
    p = matrix_of("ETH", "2026-02-16")
    legs = SettledLegs(
        settlement=Settlement.COIN,
        delta_one=delta_one([-1.0], [2_000.0], [0], [0.0]),
        options=no_options(),
        parameters=p,
    )
    pair = CrossPair(index_usd=np.array([2_000.0]), equity_coin=np.ones(1), legs=(legs,), parameters=p)
    bound = cross_margin_bound([pair], maintenance_factor_fraction=0.8)
    assert bound.worst_case_usd[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert bound.initial_usd[0] == pytest.approx(0.005 * 2_000.0, abs=1e-9)


def test_far_short_calls_are_charged_by_the_extended_table():
    p = matrix_of("BTC", "2026-10-01")
    options = short_options([-10_000.0], [400_000.0], 100_000.0, 0.5, [True])
    result = matrix_margin(
        delta_one=no_futures(),
        options=options,
        index_usd=100_000.0,
        settlement=Settlement.COIN,
        parameters=p,
    )
    assert -result.aggregated.extended.min() > -result.aggregated.standard.min()
    # The worst move is +500 %: profit in coin x (0.14 / 5) x 6 / 1.14, less the dampener in coin at 114 000. A quarter
    # of a year is 91.25 days, so volatility 50 % goes up by 40 % x (30 / 91.25) ** 0.13.
    raised = 0.5 * (1 + 0.4 * (30 / 91.25) ** 0.13)
    call = partial(price_reference, strike=400_000.0, years=0.25, is_call=True)
    change = (
        call(forward=600_000.0, volatility=raised) / 600_000.0 - call(forward=100_000.0, volatility=0.5) / 100_000.0
    )
    expected = 10_000.0 * change * (0.14 / 5) * 6 / 1.14 - (5 / 0.14 - 1) * 200_000 / 114_000
    assert result.worst_case[0] == pytest.approx(expected, abs=1e-9)


def test_delta_shock_begins_at_its_threshold():
    p = matrix_of("BTC", "2026-10-01")

    def shock(size: float) -> float:
        return float(
            matrix_margin(
                delta_one=delta_one([size], [100_000.0], [0], [0.0]),
                options=no_options(),
                index_usd=100_000.0,
                settlement=Settlement.COIN,
                parameters=p,
            ).delta_shock[0]
        )

    # threshold 20 m USD is 200 BTC; above it (300 - 200) * 300 * 0.00005 coin
    assert shock(200.0) == 0.0
    assert shock(300.0) == pytest.approx(1.5, abs=1e-12)
    # capped at 10 % of the delta: (N - 200) * 0.00005 reaches 0.10 at 2 200 BTC
    assert shock(5_000.0) == pytest.approx(500.0, abs=1e-9)


def test_empty_book_needs_nothing():
    result = matrix_margin(
        delta_one=no_futures(3),
        options=no_options(3),
        index_usd=np.full(3, 80_000.0),
        settlement=Settlement.COIN,
        parameters=matrix_of("BTC", "2026-10-01"),
    )
    np.testing.assert_array_equal(result.initial, np.zeros(3))
    np.testing.assert_array_equal(result.maintenance, np.zeros(3))


def test_every_packaged_edition_is_accepted_by_its_record():
    for edition in packaged("deribit"):
        where = f"deribit.toml: {edition.id}"
        if edition.mode.startswith("matrix_"):
            MatrixParameters.from_mapping(edition.values, source=where)
        elif edition.mode.startswith("option_"):
            OptionParameters.from_mapping(edition.values, source=where)
        elif edition.mode == "cross_collateral":
            CollateralParameters.from_mapping(edition.values, source=where)
        else:
            future_parameters(edition.values, source=where)
        assert edition.note or edition.confidence != "UNCONFIRMED", edition.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price_range_fraction": 14.0}, "price_range_fraction: was 14.0; allowed: a fraction"),
        ({"extended_dampener_usd": math.nan}, "extended_dampener_usd: was nan"),
        ({"equity_side_impact": "left"}, "equity_side_impact: was 'left'; allowed: both, none"),
        ({"surprise": 1.0}, "surprise: unknown key"),
        ({"extended_moves": [-1.0, 0.5]}, "extended_moves: was"),
        ({"buckets_per_side_count": 0}, "buckets_per_side_count: was 0"),
    ],
)
def test_wrong_parameters_are_refused_with_source_and_key(change, message):
    data = {**values("matrix_coin", "ETH", "2026-02-16"), **change}
    with pytest.raises(RulebookError, match=r"live parameters") as caught:
        MatrixParameters.from_mapping(data, source="live parameters")
    assert message in str(caught.value)


# model_params of the production response of 2026-02-15
LIVE_PAIR = {
    "price_range": 0.18,
    "m_inc": 0.000004,
    "delta_total_liq_shock_threshold": 20000000,
    "max_delta_shock": 0.1,
    "min_volatility_for_shock_up": 0.5,
    "volatility_range_up": 0.4,
    "volatility_range_down": 0.25,
    "extended_table_factor": 1,
    "short_term_vega_power": 0.3,
    "long_term_vega_power": 0.13,
}
LIVE_CURRENCY = {
    "min_annualised_move": 0.005,
    "annualised_move_risk": 0.05,
    "pnl_offset": 0.6,
    "correlation_set": False,
    "equity_side_impact": "both",
    "haircut": 0,
    "extended_dampener": 200000,
    "max_offsetable_pnl": 20000000,
}
LIVE_GENERAL = {"timestamp": 1771197609587, "mm_factor": 0.8, "buckets_count": 4, "vol_scenarios_count": 3}


def test_live_parameters_override_the_packaged_ones():
    live = live_matrix_parameters(
        matrix_of("BTC", "2024-06-18"),
        pair=LIVE_PAIR,
        currency=LIVE_CURRENCY,
        general=LIVE_GENERAL,
        source="pme/simulate",
    )
    assert live == matrix_of("ETH", "2026-02-16")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"correlation_set": True}, NotSupportedError, "pme/simulate: correlation_set: was True; allowed: False"),
        ({"haircut": 0.02}, NotSupportedError, "pme/simulate: haircut: was 0.02"),
        ({"new_shock": 1.0}, RulebookError, "pme/simulate: new_shock: unknown key"),
        ({"pnl_offset": 60}, RulebookError, "pme/simulate: pnl_offset_fraction: was 60"),
    ],
)
def test_live_parameters_of_another_rule_are_refused(change, error, message):
    with pytest.raises(error) as caught:
        live_matrix_parameters(
            matrix_of("ETH", "2026-02-16"),
            pair=LIVE_PAIR,
            currency={**LIVE_CURRENCY, **change},
            general=LIVE_GENERAL,
            source="pme/simulate",
        )
    assert message in str(caught.value)


def test_missing_parameter_is_named():
    data = values("matrix_coin", "ETH", "2026-02-16")
    del data["pnl_offset_fraction"]
    with pytest.raises(RulebookError, match="pnl_offset_fraction: was missing"):
        MatrixParameters.from_mapping(data, source="live parameters")


def test_unusable_states_are_refused():
    rates = increments("inverse_perpetual", "BTC", "2024-01-01")
    with pytest.raises(InputError, match="size_coin: held a NaN"):
        standard.increment_margin(np.array([1.0, np.nan]), parameters=rates)
    with pytest.raises(InputError, match="index_usd: was 0"):
        standard.inverse_option_margin(
            -1.0, index_usd=0.0, strike_usd=1.0, is_call=True, mark_coin=0.1, parameters=option_factors()
        )
    with pytest.raises(InputError, match="delta-one legs: had columns of unequal length"):
        delta_one([1.0, 2.0], [3.0, 4.0], [0], [0.0, 0.1])
    with pytest.raises(InputError, match="paths: delta-one legs had 2 paths, options 3, the index 2"):
        matrix_margin(
            delta_one=no_futures(2),
            options=no_options(3),
            index_usd=[1.0, 2.0],
            settlement=Settlement.COIN,
            parameters=matrix_of("ETH", "2026-02-16"),
        )
