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
from margincover.paths import follow, kernels, reference
from margincover.paths.engine import BLOCK_PATHS, PathSettings, bridge_key, simulate
from margincover.paths.program import compile_pool
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues.pools import build_pools
from tests.books import a_book, a_position, an_account, scale_of
from tests.strategies import SHAPES, books

N_STEPS, HORIZON, DAY = 12, 8, 86_400
N_PATHS = 2 * BLOCK_PATHS
HOURS = 24.0
NEVER = 10**6
# Of the notional along the path. The twin's slope is a difference quotient with a step of 1e-6, good to about 1e-10.
TOLERANCE = 1e-9


def wild_market(factors: tuple[str, ...]) -> GeometricBrownian:
    """Return daily steps at 100 % to 200 % volatility, which carry positions across several tiers."""
    n = len(factors)
    correlation = np.full((n, n), 0.6) + 0.4 * np.eye(n)
    return GeometricBrownian(
        factors=factors, sigma_annual=np.linspace(2.0, 1.0, n), correlation=correlation, step_s=DAY
    )


def blocks(generator: GeometricBrownian, seed: int) -> list[ScenarioBlock]:
    return [generator.block(seed=seed, number=k, n_steps=N_STEPS, n_paths=BLOCK_PATHS) for k in (0, 1)]


def by_kernel(pool: MarginPool, generator: GeometricBrownian, *, seed: int, horizon: int):
    """Return maximum, its step, liquidation and call step [path] by the engine, whose kernel is compiled."""
    chosen = PathSettings(
        n_paths=N_PATHS, horizon_s=horizon * DAY, follow_s=N_STEPS * DAY, seed=seed, tolerance=0.01, threads=1
    )
    done = simulate([pool], generator, chosen)
    return done.maximum[0], done.maximum_step[0], done.liquidation_step[0], done.margin_call_step[0]


def by_twin(pool: MarginPool, generator: GeometricBrownian, *, seed: int, horizon: int, key: int | None = None):
    factor = np.array([generator.info.factors.index(name) for name in pool.factors], dtype=np.int64)
    parts = [
        reference.run_pool(
            pool,
            block,
            factor,
            generator.info.loading,
            HOURS,
            horizon,
            bridge_key(seed, pool.id) if key is None else key,
            number * BLOCK_PATHS,
        )
        for number, block in enumerate(blocks(generator, seed))
    ]
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


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


def largest_scale(pool: MarginPool, generator: GeometricBrownian, seed: int) -> float:
    """Return the scale of the pool times the largest ratio, or its reciprocal, on its paths."""
    logs = [float(np.abs(part).max()) for block in blocks(generator, seed) for part in (block.low_log, block.high_log)]
    return scale_of(pool) * float(np.exp(max(logs)))


def assert_twins_agree(pool: MarginPool, generator: GeometricBrownian, *, seed: int) -> None:
    maximum, at, liquidation, call = by_kernel(pool, generator, seed=seed, horizon=HORIZON)
    expected, expected_at, expected_liquidation, expected_call = by_twin(pool, generator, seed=seed, horizon=HORIZON)
    scale = largest_scale(pool, generator, seed)
    room = TOLERANCE * scale
    far = np.abs(maximum - expected) > room
    # The twin's difference quotient straddles a tier edge or the end of a collateral slice now and then; a pool of one
    # factor takes no slope.
    assert far.sum() <= (0 if len(pool.factors) == 1 else 1)
    assert np.abs(maximum - expected).max() <= 1e-4 * scale
    for path in np.flatnonzero((at != expected_at) & ~far):
        # Rounding may decide only between ties: what the earlier step reached is the maximum in both rooms.
        earlier = int(min(at[path], expected_at[path]))
        reached = by_twin(pool, generator, seed=seed, horizon=earlier)[0][path]
        assert abs(reached - maximum[path]) <= 2.0 * room
    if (liquidation != expected_liquidation).any() or (call != expected_call).any():
        # Rounding may decide only where the level itself is within the tolerance: the steps of a pool with a little
        # less and a little more cash stand on both sides.
        key = bridge_key(seed, pool.id)
        poorer, richer = (
            by_twin(with_cash(pool, change), generator, seed=seed, horizon=HORIZON, key=key) for change in (-room, room)
        )
        for mine, early, late in ((liquidation, poorer[2], richer[2]), (call, poorer[3], richer[3])):
            first, step, last = (np.where(each < 0, NEVER, each) for each in (early, mine, late))
            assert (((first <= step) & (step <= last)) | far).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=25)
@given(data=st.data())
def test_kernel_equals_its_twin_on_drawn_pools(shape, data):
    pools = build_pools(data.draw(books(shape, least=1, shift=1.0137)))
    pool = data.draw(st.sampled_from(pools))
    assume(pool.factors)
    # Two factors that the pool does not have stand around its own, in another order: the indices must be its own.
    generator = wild_market(("FIRST", *pool.factors[::-1], "LAST"))
    assert_twins_agree(pool, generator, seed=data.draw(st.integers(0, 1000)))


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
    assert_twins_agree(pool, wild_market(pool.factors), seed=seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("with_funding", [False, True])
def test_kernel_of_the_common_case_equals_the_twin_and_the_general_kernel(seed, with_funding, monkeypatch):
    positions = [
        a_position("BTCUSDT", 30.0, 80_000.0),
        a_position("ETHUSDT", -700.0, 3_100.0),
        a_position("SOLUSDT", 40_000.0, 120.0),
    ]
    funding = {"BTCUSDT": 0.0003, "ETHUSDT": -0.0002, "SOLUSDT": 0.0001} if with_funding else None
    account = an_account("binance", "usdm_single_asset", positions, USDT=9e5)
    (pool,) = build_pools(a_book(account, funding=funding) if funding else a_book(account))
    generator = wild_market(("FIRST", *pool.factors[::-1], "LAST"))
    general = by_kernel(pool, generator, seed=seed, horizon=HORIZON)
    monkeypatch.setattr(follow, "JOINT_FACTORS", 2)
    assert compile_pool(pool, generator.info.factors).is_joint
    assert_twins_agree(pool, generator, seed=seed)
    joint = by_kernel(pool, generator, seed=seed, horizon=HORIZON)
    assert np.abs(joint[0] - general[0]).max() <= 1e-12 * scale_of(pool)
    for mine, other in zip(joint[1:], general[1:], strict=True):
        assert (mine == other).all()


def test_the_paths_of_these_tests_cross_tiers_and_liquidate_some():
    pool = fixed_pools()["one factor, tiers"]
    generator = wild_market(pool.factors)
    _, at, liquidation, call = by_kernel(pool, generator, seed=1, horizon=HORIZON)
    notional = 30.0 * 87_600.0 * np.exp(blocks(generator, 1)[0].close_log)
    assert len(set(np.searchsorted(pool.legs.tier_floor, notional.ravel(), side="right").tolist())) >= 2
    assert 0 < (liquidation >= 0).sum() < N_PATHS
    assert (call >= 0).sum() > (liquidation >= 0).sum()
    assert len(set(at.tolist())) > HORIZON / 2


def test_maximum_of_several_factors_depends_on_the_bridge_key_of_the_pool():
    pool = fixed_pools()["two factors, tiers, funding"]
    generator = wild_market(pool.factors)
    own = by_kernel(pool, generator, seed=1, horizon=HORIZON)[0]
    other = by_kernel(replace(pool, id="binance:b"), generator, seed=1, horizon=HORIZON)[0]
    assert (own != other).mean() > 0.5


@pytest.mark.parametrize("cash", [0.0, 5.0])
def test_empty_wallet_is_never_liquidated_and_a_debt_without_positions_is(cash):
    flat, owing = (
        build_pools(a_book(an_account("bybit", "uta_cross", USDT=total)))[0] for total in (cash, -cash - 1.0)
    )
    generator = wild_market(("BTC",))
    assert set(by_kernel(flat, generator, seed=1, horizon=HORIZON)[2].tolist()) == {-1}
    assert set(by_kernel(flat, generator, seed=1, horizon=HORIZON)[3].tolist()) == {-1}
    assert set(by_kernel(owing, generator, seed=1, horizon=HORIZON)[2].tolist()) == {0}


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
