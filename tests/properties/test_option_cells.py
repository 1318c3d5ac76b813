"""Compiled sums of option profits by cell against their plain twins, alone and inside the venues' grids."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.pricing.option_cells import Cells, OptionBook, cell_profits, cell_profits_reference
from margincover.pricing.option_kernel import normal_values
from margincover.venues.bybit import stress
from margincover.venues.derive import pm2
from margincover.venues.derive.parameters import Pm2Parameters
from margincover.venues.derive.state import OptionLegs, Pm2Holding, Pm2State
from margincover.venues.paradex import portfolio as paradex
from margincover.venues.parameters import parameters

# Against the gross value of what is added: prices lose digits as small differences of large numbers.
OF_GROSS = 1e-12
AT = datetime(2026, 11, 24, tzinfo=UTC)
SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, n_options, n_states):
    """Return a book's arrays: expiries from an hour to two years, strikes up to five deviations away."""
    rng = np.random.default_rng(seed)
    years = np.exp(rng.uniform(np.log(1e-4), np.log(2.0), n_options))
    forward = 90_000.0 * np.exp(rng.normal(0.0, 0.4, (n_options, n_states)))
    strike = 90_000.0 * np.exp(rng.normal(0.0, 0.5, n_options))
    volatility = rng.uniform(0.05, 2.0, (n_options, n_states))
    return rng.normal(0.0, 5.0, n_options), strike, rng.random(n_options) < 0.5, years, forward, volatility


def book_of(seed, n_options, n_states):
    quantity, strike, is_call, years, forward, volatility = drawn(seed, n_options, n_states)
    rng = np.random.default_rng(seed + 1)
    book = OptionBook(
        weight=quantity[:, None],
        strike=strike,
        is_call=is_call,
        years=years[:, None] * (rng.random((n_options, 1)) < 0.9),
        forward=forward,
        residual=rng.normal(0.0, 500.0, n_options),
        base=rng.uniform(0.0, 5_000.0, (n_options, n_states)),
    )
    kinds = np.stack([1.3 * volatility, volatility, 0.0 * volatility])
    growth = np.array([0.2, 0.8, 0.999, 1.0, 1.0, 1.05, 4.0])
    return book, kinds, Cells(growth=growth, kind=np.array([0, 1, 2, 1, 0, 2, 0])), rng.permutation(n_options) % 3


def gross(quantity, forward):
    return float((np.abs(quantity)[:, None] * forward).sum())


def test_normal_distribution_is_that_of_the_error_function():
    points = np.concatenate([np.linspace(-36.0, 36.0, 5_001), [0.0, 1e-300, -40.0, 40.0]])
    expected = np.array([0.5 * math.erfc(-x / math.sqrt(2.0)) for x in points])
    np.testing.assert_allclose(normal_values(points), expected, rtol=0.0, atol=3e-16)
    near = np.abs(points) < 8.0
    # In the tail a relative error is x^2 / 2 times the rounding of x itself, for erfc as for ours.
    np.testing.assert_allclose(normal_values(points)[near], expected[near], rtol=3e-14)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, n_options=st.integers(3, 8), n_states=st.integers(1, 9))
def test_cells_equal_their_plain_twin(seed, n_options, n_states):
    book, volatility, cells, group = book_of(seed, n_options, n_states)
    ours = cell_profits(book, volatility=volatility, cells=cells, group=group)
    twin = cell_profits_reference(book, volatility=volatility, cells=cells, group=group)
    np.testing.assert_allclose(ours, twin, rtol=0.0, atol=OF_GROSS * gross(book.weight[:, 0], book.forward))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_state_does_not_depend_on_the_states_beside_it(seed):
    book, volatility, cells, group = book_of(seed, 5, 13)
    whole = cell_profits(book, volatility=volatility, cells=cells, group=group)
    for part in (slice(0, 1), slice(2, 9), slice(11, 13)):
        one = OptionBook(
            weight=book.weight[:, part],
            strike=book.strike,
            is_call=book.is_call,
            years=book.years[:, part],
            forward=book.forward[:, part],
            residual=book.residual,
            base=np.asarray(book.base)[:, part],
        )
        alone = cell_profits(one, volatility=volatility[..., part], cells=cells, group=group)
        np.testing.assert_array_equal(alone, whole[..., part])


def test_numbers_out_of_range_are_refused():
    book, volatility, cells, _ = book_of(1, 3, 2)
    for wrong in (-volatility, np.full_like(volatility, np.nan)):
        with pytest.raises(InputError, match="volatility"):
            cell_profits(book, volatility=wrong, cells=cells)
    with pytest.raises(InputError, match="kind"):
        cell_profits(book, volatility=volatility[:1], cells=cells)
    with pytest.raises(InputError, match="forward"):
        OptionBook(
            weight=book.weight, strike=book.strike, is_call=book.is_call, years=book.years, forward=-book.forward
        )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n_options=st.integers(0, 6))
def test_paradex_scan_equals_its_plain_twin(seed, n_options):
    quantity, strike, is_call, years, forward, volatility = drawn(seed, n_options, 5)
    edition = parameters("paradex", mode="portfolio", underlying="BTC", at=AT)
    grid = paradex.ParadexPortfolioParameters.from_mapping(edition.values, source=edition.id)
    book = paradex.ParadexPortfolio(
        spot=np.full(5, 90_000.0),
        perpetual_quantity=np.array([[2.0], [-0.5]]),
        perpetual_mark=np.full((2, 5), 90_050.0),
        option_quantity=quantity[:, None],
        strike=strike[:, None],
        is_call=is_call[:, None],
        forward=forward,
        volatility=volatility,
        years=years[:, None],
    )
    ours = paradex.scenario_losses_usd(portfolio=book, parameters=grid)
    twin = paradex.scenario_losses_reference_usd(portfolio=book, parameters=grid)
    np.testing.assert_allclose(ours, twin, rtol=0.0, atol=OF_GROSS * (gross(quantity, forward) + 3e5))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n_options=st.integers(1, 6))
def test_bybit_grid_equals_its_plain_twin(seed, n_options):
    quantity, strike, is_call, years, forward, volatility = drawn(seed, n_options, 5)
    edition = parameters("bybit", mode="portfolio_margin_volatility", underlying="BTC", at=AT)
    shocks = stress.VolatilityParameters.from_mapping(edition.values, source=edition.id)
    rng = np.random.default_rng(seed)
    states = stress.OptionStates(
        quantity=quantity,
        strike=strike,
        is_call=is_call,
        years=years,
        forward=forward,
        volatility=volatility,
        mark=rng.uniform(0.0, 3_000.0, (n_options, 5)),
        residual=np.repeat(rng.normal(0.0, 200.0, (n_options, 1)), 5, axis=1),
        settle_usd=np.full((n_options, 5), 0.9993),
    )
    nodes = (-0.15, -0.03, 0.0, 0.09, 0.15)
    ours = stress.option_pnl(states, price_shocks=nodes, parameters=shocks)
    twin = stress.option_pnl_plain(states, price_shocks=nodes, parameters=shocks)
    np.testing.assert_allclose(ours, twin, rtol=0.0, atol=OF_GROSS * gross(quantity, forward))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, n_options=st.integers(1, 6), settled=st.booleans())
def test_pm2_worst_case_equals_the_lowest_scenario_of_the_plain_twin(seed, n_options, settled):
    quantity, strike, is_call, years, forward, volatility = drawn(seed, n_options, 5)
    edition = parameters("derive", mode="PM2", underlying="BTC", at=AT)
    rules = Pm2Parameters.from_mapping(edition.values, source=edition.id)
    row = np.arange(n_options) % 2
    n_expiries = int(row.max()) + 1
    # A part of the forward has settled on some paths alone.
    fixed = np.zeros((n_expiries, 5))
    fixed[:, 3:] = 20_000.0 if settled else 0.0
    state = Pm2State.of(
        n_legs=n_options,
        n_expiries=n_expiries,
        n_collaterals=0,
        spot=np.full(5, 90_000.0),
        stable_price=0.99,
        perp_price=90_010.0,
        perp_pnl_usd=0.0,
        spot_confidence=1.0,
        perp_confidence=1.0,
        forward=forward[:n_expiries] + fixed,
        forward_fixed=fixed,
        years=years[:n_expiries, None],
        rate_per_year=np.full((n_expiries, 1), 0.04),
        expiry_confidence=np.ones((n_expiries, 1)),
        volatility=volatility,
        collateral_price=np.zeros((0, 1)),
        collateral_confidence=np.zeros((0, 1)),
    )
    holding = Pm2Holding(
        legs=OptionLegs.of(expiry=row, strike=strike, is_call=is_call, quantity_contracts=quantity),
        cash_usd=0.0,
        perp_quantity=-1.5,
        collateral_quantity=[],
        collateral_maintenance_haircut=[],
        collateral_extra_initial_haircut=[],
        collateral_is_risk_cancelling=[],
    )
    margin = pm2.portfolio_margin(holding=holding, state=state, parameters=rules)
    lowest = pm2.scenario_pnl(holding=holding, state=state, parameters=rules).min(axis=0)
    worst = np.minimum(lowest, margin.forward_contingency_usd)
    # Scenarios go to four times the forward and discounts to more than par.
    room = 10.0 * OF_GROSS * (gross(quantity, forward + 20_000.0) + 2e5)
    np.testing.assert_allclose(margin.worst_pnl_usd, worst, rtol=0.0, atol=room)
