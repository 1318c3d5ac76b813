"""Pools evaluated as one batch against the plain twin, one pool after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError, NotSupportedError
from margincover.model.pool import AssetTable, MarginPool
from margincover.numeric.arrays import frozen, frozen_index
from margincover.venues import batch as batches
from margincover.venues import margin
from margincover.venues.batch import PoolBatch
from margincover.venues.pools import build_pools
from tests.books import a_book, an_account, inverse_pool, linear_pool
from tests.strategies import SHAPES, books

# Both rooms add the same numbers in the same order, so nothing but the last digits may differ.
RELATIVE = 1e-12


def assert_equal_to_the_twin(pools, batch, ratio):
    """Compare with ``evaluate_pool`` pool by pool: ``ratio`` [factor of the batch, path]."""
    together = batches.evaluate(batch, ratio)
    for row, pool in enumerate(pools):
        own = ratio[[batch.factors.index(name) for name in pool.factors]].reshape(len(pool.factors), ratio.shape[1])
        for figure, expected in zip(together, margin.evaluate_pool(pool, own), strict=True):
            np.testing.assert_allclose(figure[row], expected, rtol=RELATIVE, atol=0.0, err_msg=pool.id)


def drawn_ratio(data, batch, n_paths):
    # From a fall of 97 % to a rise of 2,000 %: every tier and every slice is passed in both directions.
    logs = st.floats(-3.5, 3.0)
    rows = [[data.draw(logs) for _ in range(n_paths)] for _ in batch.factors]
    return np.exp(np.array(rows).reshape(len(batch.factors), n_paths))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(data=st.data())
def test_a_batch_of_one_account_equals_its_pools_one_by_one(shape, data):
    pools = build_pools(data.draw(books(shape)))
    batch = PoolBatch.of(pools)
    assert_equal_to_the_twin(pools, batch, drawn_ratio(data, batch, data.draw(st.integers(1, 3))))


@settings(max_examples=25)
@given(data=st.data())
def test_a_batch_of_all_venues_equals_its_pools_one_by_one(data):
    drawn = [pool for shape in SHAPES.values() for pool in build_pools(data.draw(books(shape)))]
    pools = data.draw(st.permutations(drawn))
    batch = PoolBatch.of(pools)
    assert batch.pool_ids == tuple(pool.id for pool in pools)
    assert_equal_to_the_twin(pools, batch, drawn_ratio(data, batch, 2))


@settings(max_examples=50)
@given(data=st.data())
def test_evaluate_of_a_book_equals_its_pools_one_by_one(data):
    pools = [pool for shape in SHAPES.values() for pool in build_pools(data.draw(books(shape)))]
    risk = margin.evaluate(pools)
    assert risk.pool_ids == tuple(pool.id for pool in pools)
    for row, pool in enumerate(pools):
        expected = margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))
        for figure, value in zip((risk.equity, risk.maintenance, risk.initial), expected, strict=True):
            np.testing.assert_allclose(figure[row], value, rtol=RELATIVE, atol=0.0, err_msg=pool.id)


def ladder_pool(balance: float, *, borrow: float = 0.04) -> MarginPool:
    """Return a pool in USD that holds BTC under a ladder of 10 at 95 %, 20 more at 80 %, and none above."""
    pool = linear_pool(notional=50_000.0, cash=1_000.0)
    assets = AssetTable(
        assets=("USDT", "BTC"),
        balance_native=frozen([1_000.0, balance], name="balance", ndim=1),
        price_unit=frozen([1.0, 87_600.0], name="price", ndim=1),
        factor_index=frozen_index([-1, 0]),
        slice_start=frozen_index([0, 0]),
        slice_count=frozen_index([0, 2]),
        slice_floor=frozen([0.0, 10.0], name="floor", ndim=1),
        slice_cap=frozen([10.0, 30.0], name="cap", ndim=1),
        slice_weight=frozen([0.95, 0.80], name="weight", ndim=1),
        borrow_maintenance_fraction=frozen([0.02, borrow], name="borrow", ndim=1),
    )
    return replace(pool, assets=assets, open_order_initial=77.0)


@pytest.mark.parametrize(
    ("balance", "counted", "debt"),
    [
        (8.0, 7.6, 0.0),  # 8 x 0.95
        (25.0, 21.5, 0.0),  # 10 x 0.95 + 15 x 0.80
        (40.0, 25.5, 0.0),  # 10 x 0.95 + 20 x 0.80, nothing above 30
        (-2.0, -2.0, 2.0),  # a debt counts in full and adds 4 % of itself to the margins
    ],
)
def test_ladders_and_borrowing_by_hand(balance, counted, debt):
    batch = PoolBatch.of([ladder_pool(balance)])
    equity, maintenance, initial = (figure[0] for figure in batches.evaluate(batch, np.array([[1.0, 1.1]])))
    # The position of 50,000 was entered at the mark: 5,000 of profit after a rise of 10 %; 0.5 % maintenance, 5 times.
    price = 87_600.0 * np.array([1.0, 1.1])
    np.testing.assert_allclose(equity, 1_000.0 + np.array([0.0, 5_000.0]) + counted * price, rtol=1e-12)
    np.testing.assert_allclose(maintenance, np.array([250.0, 275.0]) + 0.04 * debt * price, rtol=1e-12)
    np.testing.assert_allclose(initial, 77.0 + np.array([10_000.0, 11_000.0]) + 0.04 * debt * price, rtol=1e-12)


def test_paths_in_parts_equal_paths_at_once(monkeypatch):
    pools = [linear_pool(notional=9e6, cash=1e6), inverse_pool(notional_coin=-40.0, cash=10.0), ladder_pool(25.0)]
    batch = PoolBatch.of(pools)
    ratio = np.exp(np.linspace(-1.0, 1.0, 11))[None, :]
    whole = batches.evaluate(batch, ratio)
    # Four assets: 8 cells hold two paths at a time, the last part one.
    monkeypatch.setattr(batches, "MAX_CELLS", 8)
    for figure, expected in zip(batches.evaluate(batch, ratio), whole, strict=True):
        assert figure.shape == (3, 11)
        np.testing.assert_array_equal(figure, expected)
    assert_equal_to_the_twin(pools, batch, ratio)


def test_a_batch_without_pools_positions_or_paths_is_empty_and_no_error():
    assert [figure.shape for figure in batches.evaluate(PoolBatch.of([]), np.ones((0, 3)))] == [(0, 3)] * 3
    flat = build_pools(a_book(an_account("binance", "usdm_single_asset", USDT=12.0)))
    equity, maintenance, _ = batches.evaluate(PoolBatch.of(flat), np.ones((0, 2)))
    assert (equity.tolist(), maintenance.tolist()) == ([[12.0, 12.0]], [[0.0, 0.0]])
    one = PoolBatch.of([linear_pool(notional=1.0, cash=1.0)])
    assert [figure.shape for figure in batches.evaluate(one, np.ones((1, 0)))] == [(1, 0)] * 3


@pytest.mark.parametrize("ratio", [np.ones((2, 1)), np.ones(1), [[0.0]], [[-1.0]], [[float("nan")]], [[float("inf")]]])
def test_a_market_state_that_is_none_is_refused(ratio):
    batch = PoolBatch.of([linear_pool(notional=1.0, cash=1.0)])
    with pytest.raises(InputError, match="factor_ratio"):
        batches.evaluate(batch, ratio)


def test_a_pool_with_a_rule_of_its_own_is_refused_by_name():
    pool = linear_pool(notional=1.0, cash=1.0, name="grid")
    with pytest.raises(NotSupportedError, match="binance:grid"):
        PoolBatch.of([pool, replace(pool, model=object())])


def stepped_pool(notional: float, floors: tuple[float, ...]) -> MarginPool:
    """Return a pool with one position whose rate jumps by 1 % of the whole notional at each floor."""
    pool = linear_pool(notional=87_600.0, cash=1_000.0)
    legs = replace(
        pool.legs,
        signed_size=frozen([notional], name="size", ndim=1),
        mark_price=frozen([1.0], name="mark", ndim=1),
        entry_price=frozen([1.0], name="entry", ndim=1),
        tier_count=frozen_index([len(floors)]),
        tier_floor=frozen(floors, name="floor", ndim=1),
        tier_fraction=frozen([0.01 * (row + 1) for row in range(len(floors))], name="rate", ndim=1),
        tier_deduction=frozen([0.0] * len(floors), name="deduction", ndim=1),
    )
    return replace(pool, legs=legs)


@pytest.mark.parametrize("n_tiers", [1, 2, 3, 4, 5, 8, 9, 31, 99])
def test_a_notional_on_an_edge_lies_in_the_tier_that_begins_there(n_tiers):
    floors = tuple(100.0 * row for row in range(n_tiers))
    # A pool with another number of tiers stands beside it: each searches its own range of the stacked tables.
    pools = [stepped_pool(50.0, (0.0, 10.0, 20.0)), stepped_pool(100.0, floors), stepped_pool(7.0, (0.0,))]
    batch = PoolBatch.of(pools)
    for multiple in range(1, n_tiers + 3):
        tier = min(multiple + 1, n_tiers)
        below = min(multiple, n_tiers)
        ratio = np.array([[float(multiple), np.nextafter(float(multiple), 0.0)]])
        maintenance = batches.evaluate(batch, ratio)[1][1]
        expected = [0.01 * tier * 100.0 * multiple, 0.01 * below * 100.0 * multiple]
        np.testing.assert_allclose(maintenance, expected, rtol=1e-12)
    assert_equal_to_the_twin(pools, batch, ratio)
