"""Derive's array kernels against their slow twins, on drawn holdings and markets of several paths."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.venues.derive import auction as derive_auction
from margincover.venues.derive import fees as derive_fees
from margincover.venues.derive import pm2 as derive_pm2
from margincover.venues.derive import pm2_reference as derive_pm2_reference
from margincover.venues.derive import standard as derive_standard
from margincover.venues.derive import standard_reference as derive_standard_reference
from margincover.venues.derive.fees import FeeParameters
from margincover.venues.derive.parameters import Pm2Parameters, StandardParameters
from margincover.venues.derive.state import OptionLegs, Pm2Holding, Pm2State, StandardHolding, StandardState
from margincover.venues.parameters import parameters

# Doubles leave about 1e-15 of the values that are added; 1e-10 is the contract of the kernels.
TOLERANCE = 1e-10
AT = datetime(2026, 3, 15, tzinfo=UTC)
UNDERLYINGS = ("BTC", "ETH", "HYPE")
N_EXPIRIES = 3
quantities = st.integers(-40, 40).map(lambda n: n / 8.0)
fractions = st.integers(0, 20).map(lambda n: n / 20.0)


def rules(kind, mode, underlying):
    edition = parameters("derive", mode=mode, underlying=underlying, at=AT)
    return kind.from_mapping(edition.values, source=edition.id)


def grid(draw, rows, n_paths, numbers):
    values = draw(st.lists(numbers, min_size=rows * n_paths, max_size=rows * n_paths))
    return np.array(values, dtype=float).reshape(rows, n_paths)


@st.composite
def option_legs(draw):
    n = draw(st.integers(0, 6))
    return OptionLegs.of(
        expiry=draw(st.lists(st.integers(0, N_EXPIRIES - 1), min_size=n, max_size=n)),
        strike=draw(st.lists(st.sampled_from([600.0, 900.0, 1000.0, 1150.0, 2000.0]), min_size=n, max_size=n)),
        is_call=draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        quantity_contracts=draw(st.lists(quantities, min_size=n, max_size=n)),
    )


@st.composite
def standard_cases(draw):
    legs, n_paths = draw(option_legs()), draw(st.integers(1, 4))
    n, prices = legs.strike.size, st.floats(400.0, 3000.0)
    state = StandardState.of(
        n_legs=n,
        n_expiries=N_EXPIRIES,
        spot=grid(draw, 1, n_paths, prices)[0],
        stable_price=grid(draw, 1, n_paths, st.floats(0.5, 1.1))[0],
        forward=grid(draw, N_EXPIRIES, n_paths, prices),
        mark=grid(draw, n, n_paths, st.floats(0.0, 2000.0)),
        perp_price=grid(draw, 1, n_paths, prices)[0],
        perp_pnl_usd=grid(draw, 1, n_paths, st.floats(-5000.0, 5000.0))[0],
        spot_confidence=grid(draw, 1, n_paths, fractions)[0],
        perp_confidence=grid(draw, 1, n_paths, fractions)[0],
        option_confidence=grid(draw, n, n_paths, fractions),
    )
    holding = StandardHolding(legs=legs, perp_quantity=draw(quantities), base_quantity=abs(draw(quantities)))
    return holding, state, rules(StandardParameters, "SM", draw(st.sampled_from(UNDERLYINGS)))


@st.composite
def pm2_cases(draw):
    legs, n_paths = draw(option_legs()), draw(st.integers(1, 3))
    n, n_collaterals, prices = legs.strike.size, draw(st.integers(0, 2)), st.floats(400.0, 3000.0)
    forward = grid(draw, N_EXPIRIES, n_paths, prices)
    state = Pm2State.of(
        n_legs=n,
        n_expiries=N_EXPIRIES,
        n_collaterals=n_collaterals,
        spot=grid(draw, 1, n_paths, prices)[0],
        stable_price=grid(draw, 1, n_paths, st.floats(0.5, 1.1))[0],
        perp_price=grid(draw, 1, n_paths, prices)[0],
        perp_pnl_usd=grid(draw, 1, n_paths, st.floats(-5000.0, 5000.0))[0],
        spot_confidence=grid(draw, 1, n_paths, fractions)[0],
        perp_confidence=grid(draw, 1, n_paths, fractions)[0],
        forward=forward,
        forward_fixed=forward * grid(draw, N_EXPIRIES, n_paths, st.sampled_from([0.0, 0.0, 0.25, 1.0])),
        years=grid(draw, N_EXPIRIES, n_paths, st.sampled_from([0.0, 900.0, 86_400.0, 3e6, 4e7])) / 31_536_000.0,
        rate_per_year=grid(draw, N_EXPIRIES, n_paths, st.floats(-0.2, 0.5)),
        expiry_confidence=grid(draw, N_EXPIRIES, n_paths, fractions),
        volatility=grid(draw, n, n_paths, st.floats(0.0, 3.0)),
        collateral_price=grid(draw, n_collaterals, n_paths, prices),
        collateral_confidence=grid(draw, n_collaterals, n_paths, fractions),
    )
    holding = Pm2Holding(
        legs=legs,
        cash_usd=draw(st.floats(-1e4, 1e4)),
        perp_quantity=draw(quantities),
        collateral_quantity=np.abs(grid(draw, 1, n_collaterals, quantities)[0]),
        collateral_maintenance_haircut=grid(draw, 1, n_collaterals, fractions)[0],
        collateral_extra_initial_haircut=grid(draw, 1, n_collaterals, fractions)[0],
        collateral_is_risk_cancelling=draw(st.lists(st.booleans(), min_size=n_collaterals, max_size=n_collaterals)),
    )
    return holding, state, rules(Pm2Parameters, "PM2", draw(st.sampled_from(UNDERLYINGS)))


def scale(holding, state):
    """Return the sum of gross values, the size against which rounding is measured."""
    size = 1.0 + np.abs(holding.legs.quantity_contracts).sum() + abs(holding.perp_quantity)
    return 3000.0 * float(size) + 1e4


@given(case=standard_cases())
def test_standard_manager_equals_its_exact_twin(case):
    holding, state, numbers = case
    margin = derive_standard.market_margin(holding=holding, state=state, parameters=numbers)
    for path in range(state.spot.size):
        value, maintenance, initial = derive_standard_reference.market_margin_reference(
            holding=holding, state=state, parameters=numbers, path=path
        )
        room = TOLERANCE * scale(holding, state)
        assert float(value) == pytest.approx(margin.mark_to_market_usd[path], rel=TOLERANCE, abs=room)
        assert float(maintenance) == pytest.approx(margin.maintenance_usd[path], rel=TOLERANCE, abs=room)
        assert float(initial) == pytest.approx(margin.initial_usd[path], rel=TOLERANCE, abs=room)


@given(case=pm2_cases())
def test_pm2_equals_its_loop_twin_with_every_scenario(case):
    holding, state, numbers = case
    margin = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=numbers)
    losses = derive_pm2.scenario_pnl(holding=holding, state=state, parameters=numbers)
    # Spot moves of up to six times the price make the priced values up to six times larger.
    room = TOLERANCE * scale(holding, state) * 6.0
    for path in range(state.spot.size):
        expected = derive_pm2_reference.portfolio_margin_reference(
            holding=holding, state=state, parameters=numbers, path=path
        )
        for name, value in expected.items():
            assert value == pytest.approx(getattr(margin, name)[path], rel=TOLERANCE, abs=room), name
        each = derive_pm2_reference.scenario_pnl_reference(holding=holding, state=state, parameters=numbers, path=path)
        assert each == pytest.approx(losses[:, path], rel=TOLERANCE, abs=room)


@given(case=pm2_cases())
def test_pm2_is_never_better_than_the_value_of_the_account(case):
    holding, state, numbers = case
    margin = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=numbers)
    assert (margin.worst_pnl_usd <= 0.0).all()
    assert (margin.maintenance_usd <= margin.mark_to_market_usd).all()
    assert (margin.initial_usd <= margin.maintenance_usd + TOLERANCE * scale(holding, state)).all()


@given(case=pm2_cases())
def test_pm2_of_many_paths_equals_each_path_alone_to_the_bit(case):
    holding, state, numbers = case
    whole = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=numbers)
    for path in range(state.spot.size):
        one = derive_pm2.portfolio_margin(holding=holding, state=state.paths(slice(path, path + 1)), parameters=numbers)
        assert one.maintenance_usd[0] == whole.maintenance_usd[path]
        assert one.initial_usd[0] == whole.initial_usd[path]


def test_pm2_does_not_depend_on_the_chunk_size(monkeypatch):
    # Two legs on 1000 paths in chunks of 37 against one chunk: bit-equal.
    draws = np.random.default_rng(7)
    legs = OptionLegs.of(expiry=[0, 1], strike=[900.0, 1100.0], is_call=[True, False], quantity_contracts=[-2.0, 1.0])
    holding = Pm2Holding(
        legs=legs,
        cash_usd=500.0,
        perp_quantity=1.0,
        collateral_quantity=[1.0],
        collateral_maintenance_haircut=[0.05],
        collateral_extra_initial_haircut=[0.02],
        collateral_is_risk_cancelling=[True],
    )
    spot = 1000.0 * np.exp(0.1 * draws.standard_normal(1000))
    state = Pm2State.of(
        n_legs=2,
        n_expiries=2,
        n_collaterals=1,
        spot=spot,
        stable_price=1.0,
        perp_price=spot,
        perp_pnl_usd=spot - 1000.0,
        spot_confidence=1.0,
        perp_confidence=1.0,
        forward=np.stack([spot * 1.001, spot * 1.01]),
        forward_fixed=0.0,
        years=[0.02, 0.3],
        rate_per_year=[0.05, 0.05],
        expiry_confidence=[1.0, 1.0],
        volatility=0.6 + 0.1 * np.abs(draws.standard_normal((2, 1000))),
        collateral_price=spot.reshape(1, -1),
        collateral_confidence=[1.0],
    )
    numbers = rules(Pm2Parameters, "PM2", "ETH")
    whole = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=numbers)
    monkeypatch.setattr(derive_pm2, "_CELLS", 74)
    parts = derive_pm2.portfolio_margin(holding=holding, state=state, parameters=numbers)
    np.testing.assert_array_equal(whole.maintenance_usd, parts.maintenance_usd)
    np.testing.assert_array_equal(whole.initial_usd, parts.initial_usd)


@given(maintenance=st.floats(-1e6, 1e6), market=st.floats(-1e6, 1e6), scale_fraction=fractions)
def test_buffer_margin_equals_its_exact_twin(maintenance, market, scale_fraction):
    names = {"maintenance_usd": maintenance, "mark_to_market_usd": market, "buffer_fraction": scale_fraction}
    found = float(derive_auction.buffer_margin(**names))
    assert float(derive_auction.buffer_margin_reference(**names)) == pytest.approx(found, rel=TOLERANCE, abs=1e-7)


@given(buffer=st.floats(-1e6, 1e5), market=st.floats(1.0, 1e6), discount=fractions, reserved=st.floats(0.0, 1e5))
def test_largest_share_is_a_share_and_grows_with_the_discount(buffer, market, discount, reserved):
    names = {"buffer_margin_usd": buffer, "mark_to_market_usd": market, "reserved_usd": min(reserved, market)}
    share = float(derive_auction.max_share(discount=discount, **names))
    assert 0.0 <= share <= 1.0
    assert share >= float(derive_auction.max_share(discount=0.0, **names)) - TOLERANCE


@given(quantity=quantities, price=st.floats(1.0, 1e5), premium=st.floats(0.0, 1e5), is_taker=st.booleans())
def test_option_fee_equals_its_exact_twin(quantity, price, premium, is_taker):
    edition = parameters("derive", mode="fees", underlying="*", at=AT)
    numbers = FeeParameters.from_mapping(edition.values, source=edition.id)
    names = {"quantity": quantity, "price": price, "premium_usd": premium, "is_taker": is_taker, "parameters": numbers}
    expected = float(derive_fees.option_fee_reference(**names))
    assert expected == pytest.approx(float(derive_fees.option_fee(**names)), rel=TOLERANCE, abs=1e-12)
