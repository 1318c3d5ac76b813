"""Liquidity of whole books: loans against closed forms, needs by account, what is worth as margin, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from margincover.app.liquidity import LiquiditySettings, liquidity
from margincover.app.resource_margin import idle_margin, margin_weights
from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, UsageError
from margincover.liquidity.loans import loan_levels, loan_row
from margincover.liquidity.verdict import Level, verdict
from margincover.model.resources import Collateral, Loan, Obligation, Reserve, ResourceKind, TransferTime
from margincover.model.results import Estimate
from margincover.numeric.first_passage import BrownianLaw, touch_probability
from margincover.scenarios.brownian import GeometricBrownian
from margincover.units import years
from margincover.venues.pools import build_pools
from tests.books import AS_OF, MARKS, a_book, a_position, an_account

HOUR, DAY = 3_600, 86_400
SIGMA = 0.8
ONE_DAY = LiquiditySettings(horizon_s=DAY, buckets_s=(DAY,), paths=40_960)
NONE = Estimate(value=0.0, standard_error=0.0, low=0.0, high=0.0)


def brownian(factor: str = "BTC") -> GeometricBrownian:
    return GeometricBrownian(factors=(factor,), sigma_annual=[SIGMA], correlation=[[1.0]], step_s=HOUR)


def cash_only(**resources: object):
    book = a_book(
        an_account("binance", "usdm_single_asset", USDT=1e4), asset_usd={"USDT": 1.0, "USDC": 1.0, "BTC": 1e5}
    )
    return replace(book, **resources)  # type: ignore[arg-type]


def a_loan(**fields: object) -> Loan:
    stated = {
        "id": "loan", "lender": "desk", "asset": "USDC", "amount_native": 7e4, "annual_rate_fraction": 0.0,
        "collateral": (Collateral(asset="BTC", amount_native=1.0),), "call_ltv": 7e4 / 0.95e5,
        "liquidation_ltv": 7e4 / 0.92e5, **fields,
    }  # fmt: skip
    return Loan(**stated)  # type: ignore[arg-type]


def chance(fall: float) -> float:
    law = BrownianLaw(sigma_annual=SIGMA, horizon_years=years(DAY), log_drift_annual=-0.5 * SIGMA**2)
    return touch_probability(law, log_barrier=math.log(1.0 - fall))


def test_a_loan_on_a_coin_is_called_and_liquidated_as_often_as_first_passage_says():
    found = liquidity(cash_only(loans=(a_loan(),)), ONE_DAY, generator=brownian()).result.loans[0]
    assert (found.fall_to_call, found.fall_to_liquidation) == (pytest.approx(0.05), pytest.approx(0.08))
    assert found.ltv == pytest.approx(0.7)
    assert found.health_factor == pytest.approx(1.0 / 0.92)
    for estimate, fall in ((found.p_call, 0.05), (found.p_liquidation, 0.08)):
        exact = chance(fall)
        error = math.sqrt(exact * (1.0 - exact) / ONE_DAY.paths)
        assert abs(estimate.value - exact) < 3.0 * error


def test_a_protocol_liquidates_by_the_threshold_of_its_collateral():
    loan = a_loan(
        call_ltv=None, liquidation_ltv=None,
        collateral=(Collateral(asset="BTC", amount_native=1.0, liquidation_threshold=7.0 / 9.2),),
    )  # fmt: skip
    found = liquidity(cash_only(loans=(loan,)), ONE_DAY, generator=brownian()).result.loans[0]
    exact = chance(0.08)
    assert abs(found.p_liquidation.value - exact) < 3.0 * math.sqrt(exact * (1.0 - exact) / ONE_DAY.paths)
    assert found.p_call == found.p_liquidation


def test_the_call_of_a_loan_is_a_need_that_cash_pays():
    reserve = Reserve(
        id="vault", asset="USDT", amount_native=1e6, time_to_cash_p50_s=0, time_to_cash_p99_s=0, custodian="x"
    )
    bare = liquidity(cash_only(loans=(a_loan(),)), ONE_DAY, generator=brownian()).result
    paid = liquidity(cash_only(loans=(a_loan(),), reserves=(reserve,)), ONE_DAY, generator=brownian()).result
    assert bare.ladder[-1].shortfall == bare.loans[0].p_call
    assert (paid.ladder[-1].shortfall.value, paid.survival.is_censored) == (0.0, True)
    assert verdict(bare).level is Level.BREACH
    # paid, and still a warning: the lender calls more often than one time in 100
    assert verdict(paid).level is Level.WARNING


def test_a_loan_in_a_coin_falls_due_at_rising_prices():
    loan = a_loan(
        asset="BTC", amount_native=0.7, collateral=(Collateral(asset="USDC", amount_native=1e5),),
        call_ltv=0.75, liquidation_ltv=0.8,
    )  # fmt: skip
    found = liquidity(cash_only(loans=(loan,)), ONE_DAY, generator=brownian()).result.loans[0]
    assert found.fall_to_liquidation == pytest.approx(1.0 - 0.7 / 0.8)
    law = BrownianLaw(sigma_annual=SIGMA, horizon_years=years(DAY), log_drift_annual=-0.5 * SIGMA**2)
    exact = touch_probability(law, log_barrier=math.log(0.8 / 0.7))
    assert abs(found.p_liquidation.value - exact) < 3.0 * math.sqrt(exact / ONE_DAY.paths)


def test_a_loan_without_collateral_has_no_ratio_and_one_without_level_is_refused():
    bare = loan_row(cash_only(), a_loan(collateral=()), p_call=NONE, p_liquidation=NONE)
    assert (bare.ltv, bare.health_factor, bare.fall_to_call) == (None, None, None)
    with pytest.raises(InputError, match=r"loans\.loan.*neither liquidation_ltv"):
        loan_levels(a_loan(call_ltv=None, liquidation_ltv=None))


def test_probability_of_a_need_is_that_of_liquidation_of_the_account():
    position = a_position("BTCUSDT", 1e6 / MARKS["BTCUSDT"], maintenance_fraction=0.005, leverage=20.0)
    book = a_book(an_account("binance", "usdm_single_asset", [position], fee=0.0, USDT=7e4), asset_usd={"USDT": 1.0})
    found = liquidity(book, ONE_DAY, generator=brownian()).result
    # equity 70,000 - 1e6 x fall = maintenance 5,000 (1 - fall)
    fall = 65_000.0 / 995_000.0
    exact = chance(fall)
    assert abs(found.needs[0].p_need.value - exact) < 4.0 * math.sqrt(exact / ONE_DAY.paths)
    assert found.needs[0].p_unmet == found.needs[0].p_need


def test_every_bucket_follows_the_same_paths():
    book = cash_only(loans=(a_loan(),))
    few = liquidity(book, replace(ONE_DAY, paths=2_560), generator=brownian()).result
    more = liquidity(
        book, replace(ONE_DAY, paths=2_560, buckets_s=(HOUR, 6 * HOUR, DAY, 2 * DAY)), generator=brownian()
    ).result
    assert next(row for row in more.ladder if row.until_s == DAY).shortfall == few.ladder[0].shortfall
    values = [row.shortfall.value for row in more.ladder]
    assert values == sorted(values)


def test_the_horizon_is_a_bucket_of_its_own():
    found = liquidity(cash_only(), replace(ONE_DAY, horizon_s=5 * HOUR, paths=1_280), generator=brownian()).result
    assert [row.until_s for row in found.ladder] == [5 * HOUR, DAY]


def way(destination: str, asset: str, origin: str = "vault") -> TransferTime:
    return TransferTime(origin=origin, destination=destination, asset=asset, p50_s=0, p99_s=0, fee_native=0.0)


def test_money_counts_as_the_rule_of_the_venue_counts_it():
    held = [a_position("BTCUSDT", 0.1, maintenance_fraction=0.005, leverage=10.0)]
    coin = [a_position("BTCUSD_PERP", 10, maintenance_fraction=0.005, leverage=10.0)]
    book = a_book(
        an_account("bybit", "uta_cross", USDT=1e4),
        an_account("binance", "usdm_single_asset", held, USDT=1e4),
        an_account("binance", "coinm", coin, "b", BTC=0.1),
        asset_usd={"USDT": 1.0, "USDC": 1.0, "BTC": 1e5},
    )
    vault = Reserve(id="vault", asset="BTC", amount_native=1.0, time_to_cash_p50_s=0, time_to_cash_p99_s=0)
    ways = (way("bybit:a", "BTC"), way("bybit:a", "USDT"), way("binance:a", "USDT"), way("binance:a", "BTC"))
    ways = (*ways, way("binance:b", "BTC"), way("binance:b", "USDT"))
    weights, notes = margin_weights(replace(book, reserves=(vault,), transfer_times=ways), funding_fallback=None)
    assert weights["bybit:a"]["USDT"] == 1.0
    # the collateral ladder of the venue, at the amount that could come
    assert 0.5 < weights["bybit:a"]["BTC"] < 1.0
    # coins in a wallet that margins in dollars are no margin, nor dollars in one that margins in the coin
    assert weights["binance:a"] == {"USDT": 1.0}
    assert weights["binance:b"] == {"BTC": 1.0}
    assert not any("bybit" in note for note in notes)


def test_idle_margin_is_what_is_above_initial_margin_and_held_in_the_asset():
    position = a_position("BTCUSDT", 1e5 / MARKS["BTCUSDT"], maintenance_fraction=0.005, leverage=10.0)
    book = a_book(an_account("binance", "usdm_single_asset", [position], USDT=3e4), asset_usd={"USDT": 1.0})
    statuses = pool_statuses(build_pools(book))
    book = replace(book, transfer_times=(way("vault", "USDT", "binance:a"),))
    offer = idle_margin(book, statuses)["binance:a"]
    # 30,000 less 10 % of 100,000
    assert offer.total_usd == pytest.approx(2e4, rel=1e-3)
    assert offer.by_asset_usd == {"USDT": 3e4}


def test_what_falls_due_is_a_need_in_its_bucket():
    due = Obligation(id="rent", asset="USDT", amount_native=5e3, due_at=AS_OF + timedelta(hours=5))
    found = liquidity(
        cash_only(obligations=(due,)), replace(ONE_DAY, buckets_s=(4 * HOUR, DAY), paths=1_280), generator=brownian()
    ).result
    assert [row.need_gross_usd for row in found.ladder] == [0.0, 5e3]
    assert found.debt_coverage_ratio == 0.0
    assert found.survival.at_least_s == 4 * HOUR


def test_frozen_names_must_exist():
    with pytest.raises(UsageError, match=r"--frozen: was 'moon'; allowed: .*binance"):
        liquidity(cash_only(), replace(ONE_DAY, frozen=("moon",)), generator=brownian())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"paths": 512}, "--paths"),
        ({"horizon_s": 5_400}, "--horizon"),
        ({"buckets_s": ()}, "buckets"),
        ({"buckets_s": (DAY, HOUR)}, "buckets"),
        ({"tolerance": 0.9}, "tolerance"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises((UsageError, InputError), match=words):
        liquidity(cash_only(), replace(ONE_DAY, **settings), generator=brownian())


def test_a_coin_without_paths_is_refused_with_its_place():
    coin = Reserve(
        id="bags",
        asset="OBSCURE",
        amount_native=1.0,
        time_to_cash_p50_s=0,
        time_to_cash_p99_s=0,
        kind=ResourceKind.COIN,
    )
    book = cash_only(reserves=(coin,))
    with pytest.raises(InputError, match=r"reserves\.bags\.asset.*OBSCURE is not in the packaged calibration"):
        liquidity(book, replace(ONE_DAY, paths=1_280))


def test_more_threads_change_nothing():
    book = cash_only(loans=(a_loan(),))
    made = [liquidity(book, replace(ONE_DAY, paths=2_560, threads=n), generator=brownian()).to_json() for n in (1, 2)]
    assert made[0] == made[1]


def test_json_has_no_nan_and_sums_shares():
    import json

    found = json.loads(
        liquidity(cash_only(loans=(a_loan(),)), replace(ONE_DAY, paths=1_280), generator=brownian()).to_json()
    )
    assert found["schema"] == "margincover/liquidity/1"
    assert found["level"] == "breach"
    by = {row["by"]: row for row in found["concentrations"]}
    assert sum(by["venue"]["shares"].values()) == pytest.approx(1.0)
    assert np.isfinite(found["liquidity_at_risk_usd"]["gross"]["var"]["value"])
