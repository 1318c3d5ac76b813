"""dYdX v4 in whole numbers against the venue's own test figures, quote quantum for quote quantum."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from margincover.errors import InputError, RulebookError
from margincover.venues.dydx import integers as dydx
from margincover.venues.parameters import packaged
from tests.shared_data import shared_folder

# base units of the venue's tests: BTC 1e-8, ETH 1e-9 (liquidations_test.go, main 84d4664, 2026-03-04)
RESOLUTION = {0: -8, 1: -9}


def _cases():
    return json.loads((shared_folder() / "reference/examples/dydx.json").read_text())


def _liquidation(**overrides):
    values = {
        "bankruptcy_adjustment_ppm": 1_000_000,
        "spread_to_maintenance_margin_ratio_ppm": 100_000,
        "max_liquidation_fee_ppm": 5_000,
    }
    return dydx.DydxLiquidationParameters(**(values | overrides))


def _setting(inputs):
    tier = dydx.DydxParameters(
        initial_margin_ppm=inputs["im_ppm"],
        maintenance_fraction_ppm=inputs["mm_ppm"] * 1_000_000 // inputs["im_ppm"],
        open_interest_lower_cap=0,
        open_interest_upper_cap=0,
    )
    prices = {0: inputs["btc_price_usd"], 1: inputs["eth_price_usd"]}
    markets = {
        number: dydx.DydxMarket(tier=tier, price=price, price_exponent=0, atomic_resolution=RESOLUTION[number])
        for number, price in prices.items()
    }
    held = dict(map(tuple, inputs["positions_base_quantums"]))
    account = dydx.account_risk(
        usdc_quote_quantums=inputs["usdc_balance"] * 1_000_000,
        settled_funding=0,
        positions=[dydx.position_risk(size, market=markets[number]) for number, size in held.items()],
    )
    return markets, held, account


def _answer(case):
    inputs = case["inputs"]
    if "position_quote_quantums" in inputs:
        tier = dydx.DydxParameters(
            initial_margin_ppm=inputs["initial_margin_ppm"],
            maintenance_fraction_ppm=500_000,
            open_interest_lower_cap=inputs["open_interest_lower_cap"],
            open_interest_upper_cap=inputs["open_interest_upper_cap"],
        )
        return dydx.initial_quote_quantums(
            notional=inputs["position_quote_quantums"],
            tier=tier,
            open_interest_quote_quantums=inputs["open_notional"],
            custom_ppm=inputs.get("custom_imf_ppm", 0),
        )
    if "a_before" in inputs:
        return dydx.open_interest_change(
            [(inputs["a_before"], inputs["a_delta"]), (inputs["b_before"], inputs["b_delta"])]
        )
    markets, held, account = _setting(inputs)
    number = inputs.get("perpetual_id", 0)
    if "spread_to_maintenance_margin_ratio_ppm" in inputs:
        keys = ("bankruptcy_adjustment_ppm", "spread_to_maintenance_margin_ratio_ppm")
        return dydx.fillable_price(
            account=account,
            market=markets[number],
            position_base_quantums=held[number],
            parameters=_liquidation(**{key: inputs[key] for key in keys}),
        )
    if "subticks" not in inputs:
        close = dydx.DydxClose(
            market=markets[number],
            position_base_quantums=held[number],
            delta_base_quantums=inputs["delta_base_quantums"],
        )
        return dydx.bankruptcy_price_quote_quantums(account=account, close=close)
    size = inputs["fill_base_quantums"]
    close = dydx.DydxClose(
        market=markets[number],
        position_base_quantums=held[number],
        delta_base_quantums=size if inputs["is_buy"] else -size,
    )
    fill = dydx.fill_quote_quantums(
        base_quantums=size,
        subticks=inputs["subticks"],
        quantum_conversion_exponent=inputs["quantum_conversion_exponent"],
    )
    return dydx.insurance_fund_delta(
        account=account,
        close=close,
        fill_value=fill,
        parameters=_liquidation(max_liquidation_fee_ppm=inputs["max_liquidation_fee_ppm"]),
    )


def test_every_collected_example_is_reproduced_exactly():
    cases = _cases()
    assert len(cases) >= 20
    found = {case["id"]: _answer(case) for case in cases}
    expected = {case["id"]: next(iter(case["expected"].values())) for case in cases}
    assert {k: Fraction(v) for k, v in expected.items()} == {k: Fraction(v) for k, v in found.items()}


# liquidity_tier_test.go, main 84d4664, 2026-03-04: 20 % base, caps 25m and 50m, open interest 80m, position 0.5 USDC.
def test_open_interest_above_the_upper_cap_asks_full_collateral():
    tier = dydx.DydxParameters(
        initial_margin_ppm=200_000,
        maintenance_fraction_ppm=500_000,
        open_interest_lower_cap=25_000_000_000_000,
        open_interest_upper_cap=50_000_000_000_000,
    )
    expected = 500_000
    assert expected == dydx.initial_quote_quantums(
        notional=500_000, tier=tier, open_interest_quote_quantums=80_000_000_000_000
    )
    # Maintenance stays at ceil(ceil(500,000 * 20 %) * 50 %).
    assert dydx.maintenance_quote_quantums(notional=500_000, tier=tier) == 50_000


def test_open_interest_between_the_caps_is_floored_to_parts_per_million():
    tier = dydx.DydxParameters(
        initial_margin_ppm=200_000, maintenance_fraction_ppm=1, open_interest_lower_cap=0, open_interest_upper_cap=3
    )
    # 0.2 + 0.8 / 3 = 0.466666.. -> 466,666 ppm
    assert dydx.adjusted_initial_margin_ppm(tier=tier, open_interest_quote_quantums=1) == 466_666
    # 1,000,000,000 * 466,666 ppm needs no rounding; a custom 50 % wins over it, a custom 40 % does not.
    notional = 1_000_000_000
    by_custom = {
        ppm: dydx.initial_quote_quantums(notional=notional, tier=tier, open_interest_quote_quantums=1, custom_ppm=ppm)
        for ppm in (0, 400_000, 500_000)
    }
    assert by_custom == {0: 466_666_000, 400_000: 466_666_000, 500_000: 500_000_000}


# liquidations_test.go, main 84d4664: 0.1 BTC long at 50,000, -5,100 USDC, sold at 56,100 USD; fee cap 0.5 %.
def test_insurance_fund_takes_at_most_the_fee_cap():
    inputs = {
        "im_ppm": 200_000,
        "mm_ppm": 100_000,
        "btc_price_usd": 50_000,
        "eth_price_usd": 3_000,
        "usdc_balance": -5_100,
        "positions_base_quantums": [[0, 10_000_000]],
        "is_buy": False,
        "fill_base_quantums": 10_000_000,
        "subticks": 56_100_000_000,
        "quantum_conversion_exponent": -8,
        "max_liquidation_fee_ppm": 5_000,
    }
    assert _answer({"inputs": inputs}) == 28_050_000  # 0.5 % of 5,610 USDC
    # At 50,000 the proceeds are 100 USDC short of the bankruptcy price of 5,100: the fund covers them.
    assert _answer({"inputs": inputs | {"subticks": 50_000_000_000}}) == -100_000_000


def test_liquidatable_only_below_a_positive_requirement():
    def risk(net, maintenance):
        return dydx.DydxRisk(net_collateral=net, initial=2 * maintenance, maintenance=maintenance)

    assert [risk(499, 500).is_liquidatable, risk(500, 500).is_liquidatable, risk(-1, 0).is_liquidatable] == [
        True,
        False,
        False,
    ]


def test_undercollateralised_account_may_reduce_but_not_enlarge():
    before = dydx.DydxRisk(net_collateral=100, initial=400, maintenance=200)
    half = dydx.DydxRisk(net_collateral=50, initial=200, maintenance=100)
    worse = dydx.DydxRisk(net_collateral=49, initial=200, maintenance=100)
    larger = dydx.DydxRisk(net_collateral=120, initial=420, maintenance=201)
    flat = dydx.DydxRisk(net_collateral=-1, initial=0, maintenance=0)
    allowed = [dydx.is_update_allowed(before=before, after=after) for after in (half, worse, larger, flat)]
    assert allowed == [True, False, False, False]


def test_value_of_a_short_is_cut_towards_zero():
    tier = dydx.DydxParameters(
        initial_margin_ppm=20_000,
        maintenance_fraction_ppm=600_000,
        open_interest_lower_cap=0,
        open_interest_upper_cap=0,
    )
    market = dydx.DydxMarket(tier=tier, price=15, price_exponent=-1, atomic_resolution=-6)
    # 1.5 quote quantums a base quantum: 3 quantums are worth 4.5.
    assert [dydx.notional_quote_quantums(size, market=market) for size in (3, -3)] == [4, -4]


def test_refused_input_names_what_is_allowed():
    tier = dydx.DydxParameters(
        initial_margin_ppm=20_000,
        maintenance_fraction_ppm=600_000,
        open_interest_lower_cap=0,
        open_interest_upper_cap=0,
    )
    market = dydx.DydxMarket(tier=tier, price=1, price_exponent=0, atomic_resolution=-6)
    with pytest.raises(InputError, match="opposite sign"):
        dydx.DydxClose(market=market, position_base_quantums=5, delta_base_quantums=-6)
    flat = dydx.DydxRisk(net_collateral=1, initial=0, maintenance=0)
    with pytest.raises(InputError, match="account maintenance"):
        dydx.bankruptcy_price_quote_quantums(
            account=flat, close=dydx.DydxClose(market=market, position_base_quantums=5, delta_base_quantums=-5)
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"initial_margin_ppm": 0.02}, "whole number"),
        ({"initial_margin_ppm": 1_000_001}, "parts per million"),
        ({"open_interest_lower_cap": 9}, "lower cap"),
        ({"imf": 1}, "unknown key"),
    ],
)
def test_wrong_tier_is_refused_with_its_source(change, message):
    good = {
        "initial_margin_ppm": 20_000,
        "maintenance_fraction_ppm": 600_000,
        "open_interest_lower_cap": 0,
        "open_interest_upper_cap": 0,
    }
    assert dydx.DydxParameters.from_mapping(good, source="t").maintenance_fraction_ppm == 600_000
    with pytest.raises(RulebookError, match=message) as error:
        dydx.DydxParameters.from_mapping(good | change, source="dydx.toml")
    assert "dydx.toml" in str(error.value)
    with pytest.raises(RulebookError, match="missing"):
        dydx.DydxParameters.from_mapping({"initial_margin_ppm": 20_000}, source="dydx.toml")


def test_every_packaged_edition_can_be_read():
    for edition in packaged("dydx"):
        if edition.mode == "maintenance_share":
            # The largest share of any tier in the file: never below the venue's.
            assert edition.values == {"maintenance_fraction_ppm": 600_000}
            continue
        kind = dydx.DydxLiquidationParameters if edition.mode == "liquidation" else dydx.DydxParameters
        assert kind.from_mapping(edition.values, source=edition.id) is not None
    btc = next(e for e in packaged("dydx") if (e.mode, e.underlying) == ("cross", "BTC"))
    tier = dydx.DydxParameters.from_mapping(btc.values, source=btc.id)
    # Indexer response of 2025-12-08: initial 0.02, maintenance 0.012.
    assert dydx.maintenance_quote_quantums(notional=1_000_000_000, tier=tier) == 12_000_000
