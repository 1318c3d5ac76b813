"""The compiled path kernel against its plain twin, and the random draws of the bridge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from margincover.model.pool import AssetTable, MarginPool
from margincover.model.scenario import ScenarioBlock
from margincover.numeric.arrays import frozen, frozen_index
from margincover.paths import kernels, reference
from margincover.paths.engine import kernel_arguments
from margincover.paths.program import compile_pool
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues.pools import build_pools
from tests.books import a_book, a_position, an_account, scale_of
from tests.strategies import SHAPES, books

N_STEPS, N_PATHS, HORIZON = 12, 64, 8
HOURS = 24.0
FIRST_PATH = 512
NEVER = 10**6
# Of the notional along the path. The twin's slope is a difference quotient with a step of 1e-6, good to about 1e-10.
TOLERANCE = 1e-9


def a_block(factors: tuple[str, ...], *, seed: int, sigma: float = 2.0) -> tuple[GeometricBrownian, ScenarioBlock]:
    """Return a wild daily block: 200 % volatility carries positions across several tiers."""
    n = len(factors)
    correlation = np.full((n, n), 0.6) + 0.4 * np.eye(n)
    generator = GeometricBrownian(
        factors=factors, sigma_annual=np.linspace(sigma, 0.5 * sigma, n), correlation=correlation, step_s=86_400
    )
    return generator, generator.block(seed=seed, number=0, n_steps=N_STEPS, n_paths=N_PATHS)


def by_kernel(pool: MarginPool, generator: GeometricBrownian, block: ScenarioBlock, *, key: int, horizon: int):
    program = compile_pool(pool, generator.info.factors)
    close, low, high = np.exp(block.close_log), np.exp(block.low_log), np.exp(block.high_log)
    ranges = [np.stack([ratio.min(axis=2), ratio.max(axis=2)]) for ratio in (close, low, high)]
    maximum = np.empty(N_PATHS)
    steps = [np.empty(N_PATHS, dtype=np.int32) for _ in range(3)]
    kernels.run_pool(
        close, low, high, np.sqrt(block.step_variance), *ranges, generator.info.loading, HOURS, horizon,
        np.uint64(key), FIRST_PATH, *kernel_arguments(program), maximum, *steps,
    )  # fmt: skip
    return maximum, *steps


def by_twin(pool: MarginPool, generator: GeometricBrownian, block: ScenarioBlock, *, key: int, horizon: int):
    factor = np.array([generator.info.factors.index(name) for name in pool.factors], dtype=np.int64)
    return reference.run_pool(pool, block, factor, generator.info.loading, HOURS, horizon, key, FIRST_PATH)


def with_cash(pool: MarginPool, amount: float) -> MarginPool:
    """Return the pool with an asset more: plain cash in its own unit, without haircut."""
    old = pool.assets
    table = AssetTable(
        assets=(*old.assets, "cash of the test"),
        balance_native=frozen([*old.balance_native, amount], name="balance"),
        price_unit=frozen([*old.price_unit, 1.0], name="price"),
        factor_index=frozen_index([*old.factor_index, -1]),
        slice_start=frozen_index([*old.slice_start, 0]),
        slice_count=frozen_index([*old.slice_count, 0]),
        slice_floor=old.slice_floor,
        slice_cap=old.slice_cap,
        slice_weight=old.slice_weight,
        borrow_maintenance_fraction=frozen([*old.borrow_maintenance_fraction, 0.0], name="borrow"),
    )
    return replace(pool, assets=table)


def largest_scale(pool: MarginPool, block: ScenarioBlock) -> float:
    """Return the scale of the pool times the largest ratio, or its reciprocal, of the block."""
    logs = max(float(np.abs(part).max()) for part in (block.low_log, block.high_log))
    return scale_of(pool) * float(np.exp(logs))


def assert_twins_agree(pool: MarginPool, generator: GeometricBrownian, block: ScenarioBlock, *, key: int) -> None:
    maximum, at, liquidation, call = by_kernel(pool, generator, block, key=key, horizon=HORIZON)
    expected, expected_at, expected_liquidation, expected_call = by_twin(
        pool, generator, block, key=key, horizon=HORIZON
    )
    room = TOLERANCE * largest_scale(pool, block)
    far = np.abs(maximum - expected) > room
    if len(pool.factors) == 1:
        assert not far.any()
    else:
        # The twin's difference quotient straddles a tier edge or the end of a collateral slice now and then.
        assert far.sum() <= 1
        assert np.abs(maximum - expected).max() <= 1e-4 * largest_scale(pool, block)
    assert_same_step_of_maximum(pool, generator, block, key, np.flatnonzero((at != expected_at) & ~far), room)
    if (liquidation != expected_liquidation).any() or (call != expected_call).any():
        # Rounding may decide only where the level itself is within the tolerance: steps of a pool with a little less
        # and a little more cash must stand on both sides.
        poorer = by_twin(with_cash(pool, -room), generator, block, key=key, horizon=HORIZON)
        richer = by_twin(with_cash(pool, room), generator, block, key=key, horizon=HORIZON)
        for mine, early, late in ((liquidation, poorer[2], richer[2]), (call, poorer[3], richer[3])):
            first, step, last = (np.where(each < 0, NEVER, each) for each in (early, mine, late))
            assert (((first <= step) & (step <= last)) | far).all()


def assert_same_step_of_maximum(pool, generator, block, key, paths, room) -> None:
    """Where the steps differ the maxima of both steps must be a tie: each is reached by the earlier step already."""
    for path in paths:
        _, at, _, _ = by_kernel(pool, generator, block, key=key, horizon=HORIZON)
        _, expected_at, _, _ = by_twin(pool, generator, block, key=key, horizon=HORIZON)
        earlier = int(min(at[path], expected_at[path]))
        whole = by_kernel(pool, generator, block, key=key, horizon=HORIZON)[0][path]
        assert abs(by_kernel(pool, generator, block, key=key, horizon=earlier)[0][path] - whole) <= 2 * room
        assert abs(by_twin(pool, generator, block, key=key, horizon=earlier)[0][path] - whole) <= 2 * room


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=25)
@given(data=st.data())
def test_kernel_equals_its_twin_on_drawn_pools(shape, data):
    pools = build_pools(data.draw(books(shape, least=1, shift=1.0137)))
    pool = data.draw(st.sampled_from(pools))
    assume(pool.factors)
    # Two factors that the pool does not have stand between its own: the indices must be its own.
    factors = ("FIRST", *pool.factors[::-1], "LAST")
    generator, block = a_block(factors, seed=data.draw(st.integers(0, 1000)))
    assert_twins_agree(pool, generator, block, key=data.draw(st.integers(0, 2**64 - 1)))


def fixed_pools() -> dict[str, MarginPool]:
    """Return pools of which each has one property that the kernel treats apart."""
    funding = {"BTCUSDT": 0.0003, "ETHUSDT": -0.0002, "BTCUSD": 0.0005, "BTCUSD_PERP": 0.0004}
    binance = [
        a_position("BTCUSDT", 30.0, 80_000.0),  # 2.6 million USD: several tiers above and below
        a_position("ETHUSDT", -700.0, 3_100.0),
    ]
    unified = [
        a_position("BTCUSDT", 40.0, 80_000.0, leverage=10.0),
        a_position("BTCUSD", -12_000_000.0, 90_000.0, leverage=10.0),
        a_position("ETHUSDT", 500.0, 3_000.0, leverage=10.0),
        a_position("BTCPERP", -3.0, 88_000.0, leverage=5.0),
    ]
    books_by_name = {
        "one factor, tiers": a_book(an_account("binance", "usdm_single_asset", binance[:1], USDT=3e5)),
        "one factor, tiers, funding": a_book(
            an_account("binance", "usdm_single_asset", binance[:1], USDT=3e5), funding=funding
        ),
        "two factors, tiers, funding": a_book(
            an_account("binance", "usdm_single_asset", binance, USDT=4e5), funding=funding
        ),
        "inverse, tiers, funding": a_book(
            an_account("binance", "coinm", [a_position("BTCUSD_PERP", 9_000, 80_000.0)], BTC=2.5), funding=funding
        ),
        "unified: inverse and linear, haircut, debt, funding": a_book(
            an_account("bybit", "uta_cross", unified, USDT=-2e5, USDC=1e4, BTC=12.0), funding=funding
        ),
        "unified: one factor that is also collateral": a_book(
            an_account("bybit", "uta_cross", [unified[0], unified[3]], USDT=1e5, BTC=25.0)
        ),
        "unified: coin collateral and no position": a_book(an_account("bybit", "uta_cross", USDT=-1e5, BTC=2.0)),
    }
    return {name: build_pools(book)[0] for name, book in books_by_name.items()}


@pytest.mark.parametrize("name", fixed_pools())
@pytest.mark.parametrize("seed", [1, 2])
def test_kernel_equals_its_twin_on_pools_of_one_property(name, seed):
    pool = fixed_pools()[name]
    generator, block = a_block(pool.factors, seed=seed)
    assert_twins_agree(pool, generator, block, key=12345 + seed)


def test_the_block_of_these_tests_crosses_tiers_and_liquidates_some_paths():
    pool = fixed_pools()["one factor, tiers"]
    generator, block = a_block(pool.factors, seed=1)
    _, at, liquidation, call = by_kernel(pool, generator, block, key=1, horizon=HORIZON)
    notional = 30.0 * 87_600.0 * np.exp(block.close_log)
    tiers = np.searchsorted(pool.legs.tier_floor, notional.ravel(), side="right")
    assert len(set(tiers.tolist())) >= 2
    assert 0 < (liquidation >= 0).sum() < N_PATHS
    assert (call >= 0).sum() >= (liquidation >= 0).sum()
    assert set(at.tolist()) - {0}


@pytest.mark.parametrize("change", [{"key": 2}, {"horizon": 3}])
def test_bridge_depends_on_key_and_maximum_on_horizon(change):
    pool = fixed_pools()["two factors, tiers, funding"]
    generator, block = a_block(pool.factors, seed=1)
    same = {"key": 1, "horizon": HORIZON}
    first = by_kernel(pool, generator, block, **same)
    other = by_kernel(pool, generator, block, **{**same, **change})
    assert (first[0] != other[0]).any()


@given(
    key=st.integers(0, 2**64 - 1),
    step=st.integers(0, 20_000),
    path=st.integers(0, 2**40 - 1),
)
def test_hash_exponential_equals_its_twin(key, step, path):
    # Not to the bit: the logarithms of the two compilers may differ in the last place.
    assert reference.hash_exponential(key, step, path) == pytest.approx(
        kernels.hash_exponential(np.uint64(key), step, path), rel=1e-15
    )


@pytest.mark.parametrize("along", ["path", "step", "key"])
def test_hash_exponential_is_exponential_along_every_counter(along):
    from scipy.stats import kstest

    place = {"key": 7, "step": 3, "path": 11}
    draws = np.array([reference.hash_exponential(**{**place, along: place[along] + k}) for k in range(20_000)])
    # One in a thousand: the draws are fixed, so this passes always or never.
    assert kstest(draws, "expon").pvalue > 1e-3
    neighbours = np.corrcoef(draws[:-1], draws[1:])[0, 1]
    assert abs(neighbours) < 3.3 / np.sqrt(draws.size)


def test_hash_exponential_of_neighbouring_steps_is_uncorrelated_over_paths():
    here, there = (
        np.array([reference.hash_exponential(99, step, path) for path in range(20_000)]) for step in (40, 41)
    )
    assert abs(np.corrcoef(here, there)[0, 1]) < 3.3 / np.sqrt(here.size)
