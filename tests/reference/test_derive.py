"""Derive's rules against the exchange's published cases, its documentation and captured positions.

Sources of the restated numbers: docs.derive.xyz pages "standard margin", "liquidations", "fees" (stored 2026-03) and
the exchange's published test cases of its margin contracts (2026-01-21). The whole collection runs when
MARGINCOVER_SHARED is set.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.venues.derive import auction as derive_auction
from margincover.venues.derive import fees as derive_fees
from margincover.venues.derive import pm2 as derive_pm2
from margincover.venues.derive import standard as derive_standard
from margincover.venues.derive.auction import AuctionParameters
from margincover.venues.derive.fees import FeeParameters
from margincover.venues.derive.parameters import Pm2Parameters, StandardParameters, StaticRate
from margincover.venues.derive.state import OptionLegs, Pm2Holding, StandardHolding, StandardState
from margincover.venues.parameters import packaged, parameters
from tests import derive_cases

# Black-76 in doubles against the exchange's 18-digit fixed point: 1e-7 of the figure is what the cases state.
PM2_TOLERANCE = 1e-7
# The 2026 payload misses the formula by 0.9e-9 (MM) and 1.6e-9 (IM) of the figure; why is not known (4e-8 USD).
CAPTURED_TOLERANCE = 3e-9
# One published file states a skew cap (9.9) that is not behind its own printed loss: with 0.15, the cap of its sister
# files, the number comes out to 1e-12. The other 30 scenarios of the file and all its margins are held as given.
PM2_SKEW_EXCEPTION = ("PM2 test_67_misc_skew_scenario_with_spot_move", 30, 0.15)
V2 = datetime(2026, 3, 15, tzinfo=UTC)
V3 = datetime(2026, 11, 1, tzinfo=UTC)
NO_LEGS = OptionLegs.of(expiry=[], strike=[], is_call=[], quantity_contracts=[])


@pytest.fixture
def cases(shared_folder):
    return json.loads((shared_folder / "reference/examples/derive.json").read_text(encoding="utf-8"))


def standard_rules(underlying, at=V2):
    edition = parameters("derive", mode="SM", underlying=underlying, at=at)
    return StandardParameters.from_mapping(edition.values, source=edition.id)


def pm2_rules(underlying, at=V2):
    edition = parameters("derive", mode="PM2", underlying=underlying, at=at)
    return Pm2Parameters.from_mapping(edition.values, source=edition.id)


def state_of(*, spot, forward, mark, stable=1.0, perp_price=0.0, perp_confidence=1.0):
    n_legs = len(mark)
    return StandardState.of(
        n_legs=n_legs,
        n_expiries=1,
        spot=spot,
        stable_price=stable,
        forward=[[forward]],
        mark=np.array(mark, dtype=float).reshape(-1, 1),
        perp_price=perp_price,
        perp_pnl_usd=0.0,
        spot_confidence=1.0,
        perp_confidence=perp_confidence,
        option_confidence=[1.0] * n_legs,
    )


def eth_calls(strikes, quantities):
    flags, rows = [True] * len(strikes), [0] * len(strikes)
    legs = OptionLegs.of(expiry=rows, strike=strikes, is_call=flags, quantity_contracts=quantities)
    return StandardHolding(legs=legs)


def test_all_published_standard_manager_cases(cases):
    run = [case for case in cases if case["account_mode"] == "SM" and "options" in case["inputs"]]
    assert len(run) >= 20
    for case in run:
        margin, expected = derive_cases.standard_account(case["inputs"]), case["expected"]
        maintenance, initial = float(margin.maintenance_usd[0]), float(margin.initial_usd[0])
        if "IM_trunc" in expected:
            found = (derive_cases.truncated(initial), derive_cases.truncated(maintenance))
            assert (expected["IM_trunc"], expected["MM_trunc"]) == found, case["id"]
        else:
            # Fixed point against doubles on books of 1e6 USD: 1e-9 of the figure and 1e-9 USD.
            found = [initial, maintenance, float(margin.mark_to_market_usd[0])]
            assert [expected[k] for k in ("IM", "MM", "MtM")] == pytest.approx(found, rel=1e-9, abs=1e-9), case["id"]


def test_all_published_pm2_cases_with_their_scenario_vectors(cases):
    run = [case for case in cases if case["account_mode"] == "PM2"]
    assert len(run) >= 40
    for case in run:
        inputs, expected, rules = case["inputs"], case["expected"], derive_cases.pm2_parameters(case["inputs"])
        holding, state = derive_cases.pm2_account(inputs)
        margin = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=rules)
        for key, found in (
            ("MM", margin.maintenance_usd),
            ("IM", margin.initial_usd),
            ("mtm", margin.mark_to_market_usd),
            ("forward_contingency", margin.forward_contingency_usd),
        ):
            assert expected[key] == pytest.approx(float(found[0]), rel=PM2_TOLERANCE, abs=PM2_TOLERANCE), (
                case["id"],
                key,
            )
        losses = derive_pm2.scenario_pnl(holding=holding, state=state, parameters=rules)[:, 0]
        if case["product"] == PM2_SKEW_EXCEPTION[0]:
            other = replace(rules, linear_cap_base=PM2_SKEW_EXCEPTION[2])
            row = PM2_SKEW_EXCEPTION[1]
            losses[row] = derive_pm2.scenario_pnl(holding=holding, state=state, parameters=other)[row, 0]
        assert expected["scenario_losses"] == pytest.approx(losses, rel=PM2_TOLERANCE, abs=PM2_TOLERANCE), case["id"]


def test_all_published_buffer_margins(cases):
    run = [case for case in cases if "buffer_scale" in case["inputs"]]
    assert run
    for case in run:
        i = case["inputs"]
        found = derive_auction.buffer_margin(
            maintenance_usd=i["mm"], mark_to_market_usd=i["mtm"], buffer_fraction=i["buffer_scale"]
        )
        assert case["expected"]["buffer_margin"] == pytest.approx(float(found), abs=1e-9)


def test_captured_perpetual_positions(shared_folder):
    files = sorted((shared_folder / "data/exchange_samples").glob("derive-*.json"))
    assert files
    for file in files:
        payload = json.loads(file.read_text(encoding="utf-8"))
        c = payload["context"]
        rules = replace(
            standard_rules("BTC"), perp_maintenance_fraction=c["mm_fraction"], perp_initial_fraction=c["im_fraction"]
        )
        margin = derive_standard.perp_margin(
            quantity=c["qty"], price=c["price"], pnl_usd=c["unsettled_pnl_mark_value"], parameters=rules
        )
        says = payload["exchange_says"]
        assert says["maintenance_margin"] == pytest.approx(float(margin.maintenance_usd), rel=CAPTURED_TOLERANCE)
        assert says["initial_margin"] == pytest.approx(float(margin.initial_usd), rel=CAPTURED_TOLERANCE)


def test_captured_btc_perpetual_of_october_2026_follows_the_packaged_v3_rules():
    # A v3 position payload quoted in an exchange client's source (2026-10): 0.01 BTC-PERP at index 84829.53.
    margin = derive_standard.perp_margin(
        quantity=0.01,
        price=84_829.52978196857,
        pnl_usd=-0.002270077649,
        parameters=standard_rules("BTC", at=V3),
    )
    assert float(margin.maintenance_usd) == pytest.approx(-42.417035008133, rel=CAPTURED_TOLERANCE)
    assert float(margin.initial_usd) == pytest.approx(-55.989759825391, rel=CAPTURED_TOLERANCE)


def test_documentation_example_short_calls():
    # Standard margin page, example 1: 2000 USDC, 3 short 1800 calls at 120, ETH 1900.
    holding, state = eth_calls([1800.0], [-3.0]), state_of(spot=1900.0, forward=1900.0, mark=[120.0])
    market = derive_standard.market_margin(holding=holding, state=state, parameters=standard_rules("ETH"))
    margin = derive_standard.account_margin(cash_usd=2000.0, markets=[market])
    assert float(margin.maintenance_usd[0]) == pytest.approx(1127.0)
    assert float(margin.initial_usd[0]) == pytest.approx(785.0)


def test_documentation_example_call_spread():
    # Example 2: 8 short 1700 calls at 425 against 8 long 1900 calls, ETH 2100: isolated -5920 / -4912, offset -1600.
    holding, state = (
        eth_calls([1700.0, 1900.0], [-8.0, 8.0]),
        state_of(spot=2100.0, forward=2105.0, mark=[425.0, 290.0]),
    )
    rules = standard_rules("ETH")
    alone = derive_standard.isolated_option_margin(legs=holding.legs, state=state, parameters=rules)
    assert alone.initial_usd.sum() == pytest.approx(-5920.0)
    assert alone.maintenance_usd.sum() == pytest.approx(-4912.0)
    market = derive_standard.market_margin(holding=holding, state=state, parameters=rules)
    margin = derive_standard.account_margin(cash_usd=2000.0, markets=[market])
    assert float(margin.initial_usd[0]) == pytest.approx(400.0)
    assert float(margin.maintenance_usd[0]) == pytest.approx(400.0)


def test_documentation_example_two_markets_and_contingencies():
    # Examples 3 and 4: 25,000 USDC, the ETH spread (-1600), 7 BTC-PERP at 28,000; then USDC at 0.70, perp feed at 0.5.
    eth, btc = standard_rules("ETH"), standard_rules("BTC")
    spread, perp = eth_calls([1700.0, 1900.0], [-8.0, 8.0]), StandardHolding(legs=NO_LEGS, perp_quantity=7.0)
    calm = [
        derive_standard.market_margin(
            holding=spread, state=state_of(spot=2100.0, forward=2105.0, mark=[425.0, 290.0]), parameters=eth
        ),
        derive_standard.market_margin(
            holding=perp, state=state_of(spot=28_000.0, forward=28_000.0, mark=[], perp_price=28_000.0), parameters=btc
        ),
    ]
    margin = derive_standard.account_margin(cash_usd=25_000.0, markets=calm)
    assert float(margin.initial_usd[0]) == pytest.approx(3800.0)
    assert float(margin.maintenance_usd[0]) == pytest.approx(10_660.0)
    low = state_of(spot=2100.0, forward=2105.0, mark=[425.0, 290.0], stable=0.7)
    doubtful = state_of(spot=28_000.0, forward=28_000.0, mark=[], stable=0.7, perp_price=28_000.0, perp_confidence=0.5)
    assert derive_standard.depeg_contingency(holding=spread, state=low, parameters=eth) == pytest.approx(9744.0)
    assert derive_standard.depeg_contingency(holding=perp, state=doubtful, parameters=btc) == pytest.approx(113_680.0)
    assert derive_standard.oracle_contingency(holding=perp, state=doubtful, parameters=btc) == pytest.approx(98_000.0)
    stressed = [
        derive_standard.market_margin(holding=spread, state=low, parameters=eth),
        derive_standard.market_margin(holding=perp, state=doubtful, parameters=btc),
    ]
    margin = derive_standard.account_margin(cash_usd=25_000.0, markets=stressed)
    assert float(margin.initial_usd[0]) == pytest.approx(-217_624.0)
    assert float(margin.maintenance_usd[0]) == pytest.approx(10_660.0)


def test_documentation_examples_of_the_auction():
    # Liquidations page: fee 3750 at share 0.375; share 41.8 % at 12 % off; a bid of 20 %; insolvent after 10 min.
    fee = derive_auction.liquidation_fee(buffer_margin_usd=-60_000.0, mark_to_market_usd=100_000.0, fee_fraction=0.1)
    assert float(fee) == pytest.approx(3750.0)
    share = derive_auction.max_share(buffer_margin_usd=-62_000.0, mark_to_market_usd=98_000.0, discount=0.12)
    assert float(share) == pytest.approx(62_000.0 / 148_240.0)
    assert float(share) == pytest.approx(0.418, abs=5e-4)
    cost = derive_auction.bid_cost(mark_to_market_usd=98_000.0, discount=0.12, share=0.2)
    assert float(cost) == pytest.approx(17_248.0)
    cash = derive_auction.bid_required_cash(cost_usd=cost, margin_usd=-62_000.0, share=0.2)
    assert float(cash) == pytest.approx(29_648.0)
    offer = derive_auction.insolvent_offer(
        mark_to_market_usd=-4_000.0, maintenance_usd=-15_000.0, elapsed_minutes=10.0, duration_minutes=60.0
    )
    assert float(offer) == pytest.approx(-5_833.333333, abs=1e-6)
    assert 0.4 * float(offer) == pytest.approx(-2_333.333333, abs=1e-6)
    cash = derive_auction.bid_required_cash(cost_usd=0.4 * float(offer), margin_usd=-15_000.0, share=0.4)
    assert float(cash) == pytest.approx(3_666.67, abs=5e-3)
    rate = derive_auction.withdrawal_fee_fraction(unpaid_usd=100_000.0, deposits_usd=1_000_000.0)
    assert float(rate) == pytest.approx(0.0909, abs=5e-5)


def test_selling_the_largest_share_brings_the_buffer_margin_to_zero():
    # After a share s is sold at (1 - d) MtM the rest has (1 - s) BM and the cash paid in: the definition of the share.
    buffer, market, discount = -62_000.0, 98_000.0, 0.12
    share = float(derive_auction.max_share(buffer_margin_usd=buffer, mark_to_market_usd=market, discount=discount))
    paid = float(derive_auction.bid_cost(mark_to_market_usd=market, discount=discount, share=share))
    assert (1.0 - share) * buffer + paid == pytest.approx(0.0, abs=1e-9)


def test_documentation_example_of_fees():
    # Fees page: 2 ETH puts at 2200 taken: 1.82; 0.1 BTC-PERP at 43,000 made: 0.43, taken: 1.39. The premium (1000) is
    # ours: it only keeps the cap of 12.5 % of the premium away.
    edition = parameters("derive", mode="fees", underlying="*", at=V2)
    rules = FeeParameters.from_mapping(edition.values, source=edition.id)
    option = derive_fees.option_fee(quantity=2.0, price=2200.0, premium_usd=1000.0, is_taker=True, parameters=rules)
    assert float(option) == pytest.approx(1.82)
    perp = derive_fees.perp_fee(quantity=-0.1, price=43_000.0, is_taker=[False, True], parameters=rules)
    assert perp == pytest.approx([0.43, 1.39])


def test_documented_volatility_multiplier_and_forward_contingency_factor():
    # Portfolio margin page, 14 days: 1 + 0.5 (30/14)^0.3 = 1.628; -59.2353 (0.5 + 2 * 14/365) = -34.1617.
    rules, fortnight = pm2_rules("ETH"), np.array([14.0 / 365.0])
    multiplier = derive_pm2.volatility_multiplier(years=fortnight, parameters=rules)
    assert 1.0 + 0.5 * float(multiplier[0]) == pytest.approx(1.628, abs=5e-4)
    factor = derive_pm2.basis_factor(years=fortnight, parameters=rules)
    assert -59.2353 * float(factor[0]) == pytest.approx(-34.1617, abs=5e-4)


# The 31 scenarios of the published PM2 suite: nine spot moves, six tails, two skews.
SUITE_SCENARIOS = [
    [1.0 + 0.045 * step, kind, 1.0]
    for step in (4, 3, 2, 1, 0, -1, -2, -3, -4)
    for kind in (("Up",) if abs(step) == 4 else ("Down", "None", "Up"))
] + [
    *([0.34, "Up", 0.6 / 11.0], [0.67, "Up", 1.2 / 11.0], [1.5, "Up", 0.072]),
    *([2.0, "Up", 0.036], [3.0, "Up", 0.018], [4.0, "Up", 0.012]),
    *([1.0, "LINEAR", 1.0], [1.0, "ABS", 1.0]),
]
SUITE_VALUES = {
    "vol": [0.5, 0.275, 0.45, 0.3, 0.13, 1.0],
    "skew": [0.15, -0.05, 0.15, -0.05, 0.01, 4.0, 0.6, -0.1],
    "margin": [0.8, 1.0, 0.95, 1.0, 0.08, 1.04, 0.5, 0.08],
    "basis": [1.045, 0.955, 0.5, 2.0],
    "other": [0.98, 2.0, 0.55, 1.0, 0.015, 0.005, 0.003, 0.002],
}


def suite_inputs(**changes):
    names = derive_cases._PM2_NAMES
    values = {part: dict(zip(names[part], numbers, strict=True)) for part, numbers in SUITE_VALUES.items()}
    inputs = {
        "params": values,
        "scenarios": SUITE_SCENARIOS,
        "options": [],
        "feeds": [],
        "collaterals": [],
        "cash": 0.0,
    }
    inputs |= {
        "spot_conf": 1.0,
        "perps": 0.0,
        "perp_price": 0.0,
        "perp_conf": 0.0,
        "perp_upnl": 0.0,
        "perp_funding": 0.0,
    }
    return inputs | {"stable_price": 1.00019088635} | changes


def pm2_margin(inputs):
    holding, state = derive_cases.pm2_account(inputs)
    rules = derive_cases.pm2_parameters(inputs)
    losses = derive_pm2.scenario_pnl(holding=holding, state=state, parameters=rules)[:, 0]
    return derive_pm2.portfolio_margin(holding=holding, state=state, parameters=rules), losses


def test_published_pm2_case_of_a_covered_call():
    # Portfolio case 13: 1 BTC that cancels risk, 2 short 100,000 calls, 794,852 s to expiry.
    margin, losses = pm2_margin(
        suite_inputs(
            spot=95663.50604855,
            options=[[794852, 100000.0, "C", -2.0, 0.453803924321583]],
            feeds=[[794852, 95776.67392708939, 1.0, 0.15000000000000002, 1.0, 0.95]],
            collaterals=[["BTC", 1.0, 95663.50604855, 1.0, True, 0.02, 0.01]],
        )
    )
    assert float(margin.maintenance_usd[0]) == pytest.approx(78744.92602874589, rel=PM2_TOLERANCE)
    assert float(margin.initial_usd[0]) == pytest.approx(74395.66964312586, rel=PM2_TOLERANCE)
    assert float(margin.forward_contingency_usd[0]) == pytest.approx(-1894.419609860217, rel=PM2_TOLERANCE)
    # First, a down-volatility, the outer down, a tail and the two skews of the published vector of 31.
    picked = [losses[k] for k in (0, 1, 22, 28, 29, 30)]
    expected = [-8662.479279182287, -2227.499396218458, -15050.749373322431, -3322.8576989926974]
    assert picked == pytest.approx([*expected, -86.86790519006036, -86.86790519006036], rel=PM2_TOLERANCE)


def test_published_pm2_case_of_a_doubtful_perpetual_feed():
    # Portfolio case 31: short 1 perpetual at 4000, spot 3000 with confidence 0.2, perp feed 0.1, loss 900.
    # MM = -900 - 0.8 * 720 - 1.5 % * 3000; IM = -900 - 720 - 2 % * 3000 - 0.9 * 3000.
    margin, _ = pm2_margin(
        suite_inputs(spot=3000.0, spot_conf=0.2, perps=-1.0, perp_price=4000.0, perp_conf=0.1, perp_upnl=-900.0)
    )
    assert float(margin.maintenance_usd[0]) == pytest.approx(-1521.0)
    assert float(margin.initial_usd[0]) == pytest.approx(-4380.0)


def test_published_pm2_case_of_a_call_spread_under_a_doubtful_spot_feed():
    # Portfolio case 49: the doubt counts on both legs, 2 * 3000 * (1 - 0.2) = 4800 of the initial margin.
    margin, losses = pm2_margin(
        suite_inputs(
            spot=3000.0,
            spot_conf=0.2,
            options=[
                [3214052, 1700.0, "C", 1.0, 0.981510069021587],
                [3214052, 1800.0, "C", -1.0, 0.938667615013681],
            ],
            feeds=[[3214052, 3014.178509176334, 1.0, 0.21000000000000002, 1.0, 0.95]],
        )
    )
    assert float(margin.maintenance_usd[0]) == pytest.approx(69.65288097789352, rel=PM2_TOLERANCE)
    assert float(margin.initial_usd[0]) == pytest.approx(-4740.496330315975, rel=PM2_TOLERANCE)
    assert losses[22] == pytest.approx(-20.746056469341525, rel=PM2_TOLERANCE)
    assert losses[29:] == pytest.approx([-6.918252721753532, -7.627110532798554], rel=PM2_TOLERANCE)


def standard_inputs(**changes):
    # The parameters of the published standard manager suite (not those in force).
    rules = {"perp_im": 0.065, "perp_mm": 0.05, "max_spot": 0.15, "min_spot": 0.1, "mm_call": 0.075, "mm_put": 0.075}
    rules |= {"mm_put_mtm": 0.075, "unpaired_im": 1.2, "unpaired_mm": 1.1, "mm_offset": 1.05, "conf_threshold": 0.4}
    rules |= {"oc_factor": 0.4, "depeg_threshold": 0.98, "depeg_factor": 1.2, "base_factor": 0.1, "base_im_scale": 1.0}
    inputs = {"options": [], "spot": {"ETH": [1500.0, 1.0]}, "perps": {}, "base": {}, "cash": 0.0, "usdc_price": 1.0}
    return inputs | {"params": rules} | changes


def eth_option(strike, quantity, volatility, *, is_call=True, confidence=1.0):
    option = {"u": "ETH", "sec": 500400, "K": strike, "call": is_call, "amt": quantity, "vol": volatility}
    return option | {"vol_conf": confidence, "fwd": 1500.833279310994, "fwd_conf": 1.0}


@pytest.mark.parametrize(
    ("inputs", "maintenance", "initial"),
    [
        # Test 4, a short put bounded by spot; Test 7, a spread with a tenth of a call unpaired (maximum loss).
        (
            standard_inputs(options=[eth_option(1300.0, -1.0, 1.0831894155098765, is_call=False)]),
            -126.82279429437403,
            -164.32279429437403,
        ),
        (
            standard_inputs(
                options=[
                    eth_option(1200.0, 1.0, 1.1389393988282974),
                    eth_option(1000.0, -1.0, 1.2620121299319145),
                    eth_option(2500.0, -0.1, 1.32653865803086),
                ]
            ),
            -365.09166072420936,
            -380.09999351731926,
        ),
        # Test 16, the stable coin at 0.30; Test 19, a call against one ETH of base collateral.
        (
            standard_inputs(options=[eth_option(1500.0, -1.0, 1.0478844940849863)], usdc_price=0.3),
            -191.87158518905994,
            -1528.3715851890597,
        ),
        (
            standard_inputs(options=[eth_option(1800.0, -1.0, 1.1492964832093617)], base={"ETH": 1.0}),
            25.622287925320023,
            -11.877712074679977,
        ),
    ],
    ids=["short put", "unpaired call", "depeg", "base collateral"],
)
def test_published_standard_manager_cases(inputs, maintenance, initial):
    margin = derive_cases.standard_account(inputs)
    assert float(margin.maintenance_usd[0]) == pytest.approx(maintenance, abs=1e-9)
    assert float(margin.initial_usd[0]) == pytest.approx(initial, abs=1e-9)


def test_forward_part_already_settled_is_not_shocked():
    # Wholly settled forward: every spot scenario leaves the option at intrinsic value, so only discounts move it.
    inputs = suite_inputs(
        spot=3000.0, options=[[900, 2500.0, "C", 1.0, 0.6]], feeds=[[900, 3000.0, 1.0, 0.0, 1.0, 1.0]]
    )
    holding, state = derive_cases.pm2_account(inputs)
    settled = replace(state, forward_fixed=state.forward)
    rules = derive_cases.pm2_parameters(inputs)
    regular = derive_pm2.scenario_pnl(holding=holding, state=settled, parameters=rules)[:23, 0]
    assert regular == pytest.approx(np.full(23, regular[0]), abs=1e-6)
    assert float(np.ptp(derive_pm2.scenario_pnl(holding=holding, state=state, parameters=rules)[:23, 0])) > 500.0


def test_every_packaged_edition_is_accepted_and_v3_is_not_sold_as_confirmed():
    kinds = {"SM": StandardParameters, "PM2": Pm2Parameters, "auction": AuctionParameters, "fees": FeeParameters}
    kinds["PM2_rate"] = StaticRate
    editions = packaged("derive")
    assert {edition.mode for edition in editions} == set(kinds)
    for edition in editions:
        kinds[edition.mode].from_mapping(edition.values, source=edition.id)
        assert edition.confidence == "UNCONFIRMED" or not edition.id.endswith("v3")
        assert edition.note or edition.confidence != "UNCONFIRMED"


def test_packaged_pm2_grid_has_23_regular_8_tail_and_2_skew_scenarios():
    scenarios = pm2_rules("BTC").scenarios
    assert len(scenarios) == 33
    assert sum(s.is_skew for s in scenarios) == 2
    assert sorted({round(s.spot_factor, 6) for s in scenarios[:23]}) == pytest.approx(
        [1 + 0.045 * k for k in range(-4, 5)]
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"perp_initial_fraction": 6.6}, "fraction"),
        ({"perp_initial_fraction": float("nan")}, "finite"),
        ({"perp_initial_fraction": -0.1}, "fraction"),
        ({"perp_initial_fraction": True}, "finite"),
        ({"surprise": 1.0}, "surprise"),
    ],
)
def test_wrong_rule_tables_are_refused_with_source_and_key(change, word):
    edition = parameters("derive", mode="SM", underlying="BTC", at=V2)
    with pytest.raises(RulebookError, match=word) as caught:
        StandardParameters.from_mapping({**edition.values, **change}, source="desk.toml")
    assert "desk.toml" in str(caught.value)
    assert next(iter(change)) in str(caught.value)


def test_missing_rule_key_is_refused():
    edition = parameters("derive", mode="PM2", underlying="BTC", at=V2)
    less = {key: value for key, value in edition.values.items() if key != "peg_factor"}
    with pytest.raises(RulebookError, match="peg_factor was missing"):
        Pm2Parameters.from_mapping(less, source="desk.toml")


@pytest.mark.parametrize(
    ("column", "value"), [("spot", float("nan")), ("spot", 0.0), ("stable_price", -1.0), ("spot_confidence", 1.5)]
)
def test_wrong_market_values_are_refused(column, value):
    inputs = suite_inputs(spot=3000.0)
    name = {"spot_confidence": "spot_conf"}.get(column, column)
    with pytest.raises(InputError, match=column):
        derive_cases.pm2_account(inputs | {name: value})


def test_borrowed_and_uncredited_collateral_is_not_supported():
    with pytest.raises(NotSupportedError, match="base_quantity"):
        StandardHolding(legs=NO_LEGS, base_quantity=-1.0)
    with pytest.raises(NotSupportedError, match="collateral_quantity"):
        Pm2Holding(
            legs=NO_LEGS,
            cash_usd=0.0,
            perp_quantity=0.0,
            collateral_quantity=[-1.0],
            collateral_maintenance_haircut=[0.1],
            collateral_extra_initial_haircut=[0.0],
            collateral_is_risk_cancelling=[True],
        )
    holding, state = StandardHolding(legs=NO_LEGS, base_quantity=1.0), state_of(spot=150.0, forward=150.0, mark=[])
    with pytest.raises(NotSupportedError, match="base_quantity"):
        derive_standard.market_margin(holding=holding, state=state, parameters=standard_rules("SOL"))


def test_perpetual_without_price_is_refused():
    with pytest.raises(InputError, match="perp_price"):
        pm2_margin(suite_inputs(spot=3000.0, perps=1.0))


def test_state_column_with_the_wrong_number_of_rows_is_refused():
    with pytest.raises(InputError, match="forward"):
        StandardState.of(
            n_legs=0,
            n_expiries=2,
            spot=1.0,
            stable_price=1.0,
            forward=[1.0, 1.0, 1.0],
            mark=np.zeros((0, 1)),
            perp_price=0.0,
            perp_pnl_usd=0.0,
            spot_confidence=1.0,
            perp_confidence=1.0,
            option_confidence=np.zeros((0, 1)),
        )
