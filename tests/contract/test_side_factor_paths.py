"""The engine with funding, marks and stable coins along the paths against its plain twin, and what must not move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from margincover.app.side_factors import with_side_factors
from margincover.model.book import Book, BookInput
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.paths import follow, reference
from margincover.paths.engine import BLOCK_PATHS, PathSettings, bridge_key, simulate
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.side_factors import SideFactors
from margincover.scenarios.side_laws import JumpLaw, packaged_side_laws
from margincover.venues import registry
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from tests.books import AS_OF, MARKS, a_book, a_position, an_account, scale_of

N_STEPS, HORIZON, HOUR = 30, 20, 3_600
N_PATHS = 2 * BLOCK_PATHS
FUNDING = {"BTCUSDT": 0.0003, "ETHUSDT": -0.0002, "SOLUSDT": 0.0001, "BTCUSD": 0.0005, "BTC-USDT-SWAP": 0.0002}
ASSET_USD = {"USDT": 0.9993, "USDC": 0.9998, "USDE": 0.9991, "BTC": 87_540.0, "ETH": 2_969.0}


def wild(factors: tuple[str, ...]) -> GeometricBrownian:
    n = len(factors)
    correlation = np.full((n, n), 0.6) + 0.4 * np.eye(n)
    return GeometricBrownian(
        factors=factors, sigma_annual=np.linspace(6.0, 4.0, n), correlation=correlation, step_s=HOUR
    )


def many_linear() -> Book:
    positions = [
        a_position("BTCUSDT", 30.0, 80_000.0),
        a_position("ETHUSDT", -700.0, 3_100.0),
        a_position("SOLUSDT", 40_000.0, 120.0),
    ]
    return a_book(an_account("binance", "usdm_single_asset", positions, USDT=9e5), funding=FUNDING)


def unified() -> Book:
    positions = [
        a_position("BTCUSDT", 40.0, 80_000.0, leverage=10.0),
        a_position("BTCUSD", -12_000_000.0, 90_000.0, leverage=10.0),
        a_position("BTCPERP", -3.0, 88_000.0, leverage=5.0),
    ]
    account = an_account("bybit", "uta_cross", positions, USDT=-2e5, USDC=1e4, BTC=12.0)
    return a_book(account, funding=FUNDING, asset_usd=ASSET_USD)


def one_coin() -> Book:
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 30.0, 80_000.0)], USDT=3e5)
    return a_book(account, funding=FUNDING)


def multi_assets(sizes: dict[str, float], funding: dict[str, float] | None = None, **totals: float) -> Book:
    """Return a multi-assets account of Binance with ladders of the account's own: 1 USD of USDe counts 0.98."""
    rules = "".join(
        f"""
[[edition]]
id = "own-{asset}"
block = "collateral"
valid_from = 2025-12-01
observed = 2025-12-31
source = "own account"
retrieved = "2025-12-31"
confidence = "CONFIRMED"
[edition.collateral."usdm_multi_assets/{asset}"]
slices = [[0, inf, {weight}]]
borrow_maintenance_fraction = 0.0
owed_weight = 1.01
"""
        for asset, weight in (("USDC", 1.0), ("USDE", 0.98))
    )
    positions = [
        a_position(symbol, size, leverage=10.0, maintenance_fraction=0.0075, maintenance_deduction_native=0.0)
        for symbol, size in sizes.items()
    ]
    account = an_account("binance", "usdm_multi_assets", positions, **totals)
    prices = MarketState(
        as_of=AS_OF, observed_at=AS_OF, marks=MARKS, asset_usd=ASSET_USD, funding_per_hour=dict(funding or {})
    )
    source = registry.RuleSource(text='venue = "binance"\n' + rules, source="own.toml")
    given = BookInput(as_of=AS_OF, accounts=(account,), market=prices, source="test book")
    return resolve(given, extra_rules=(source,))


def with_a_model() -> Book:
    """Return stable coins and BTC behind perpetuals: the rule is a model, read from tables along the paths."""
    sizes = {"BTCUSDT": 20.0, "ETHUSDT": -300.0}
    return multi_assets(sizes, FUNDING, USDT=1e5, USDC=2e4, USDE=3e4, BTC=1.0)


BOOKS = {"linear": many_linear, "unified": unified, "one coin": one_coin, "model": with_a_model}


def market(book: Book, *, laws=None) -> tuple[MarginPool, SideFactors]:
    (pool,) = build_pools(book)
    made = with_side_factors(book, [pool], wild(pool.factors), laws or packaged_side_laws())
    assert isinstance(made.generator, SideFactors)
    return made.pools[0], made.generator


def settings(seed: int = 3, **changes: int) -> PathSettings:
    return PathSettings(
        n_paths=N_PATHS, horizon_s=HORIZON * HOUR, follow_s=N_STEPS * HOUR, seed=seed, tolerance=0.01,
        **{"threads": 1, **changes},
    )  # fmt: skip


def by_twin(pool: MarginPool, generator: SideFactors, seed: int = 3):
    info = generator.info
    factor = np.array([info.factors.index(name) for name in pool.factors], dtype=np.int64)
    parts = []
    for number in range(N_PATHS // BLOCK_PATHS):
        block = generator.block(seed=seed, number=number, n_steps=N_STEPS, n_paths=BLOCK_PATHS)
        key, first = bridge_key(seed, pool.id), number * BLOCK_PATHS
        parts.append(reference.run_pool(pool, block, factor, info.loading, 1.0, HORIZON, key, first, info))
    return tuple(np.concatenate(each) for each in zip(*parts, strict=True))


@pytest.mark.parametrize("name", ["linear", "unified", "one coin"])
@pytest.mark.parametrize("joint_from", [2, 99])
def test_kernels_equal_the_twin_with_everything_moving(name, joint_from, monkeypatch):
    monkeypatch.setattr(follow, "JOINT_FACTORS", joint_from)
    pool, generator = market(BOOKS[name]())
    done = simulate([pool], generator, settings())
    expected = by_twin(pool, generator)
    # The twin's slope is a difference quotient; a pool of one factor takes none.
    room = (1e-10 if len(pool.factors) == 1 else 1e-9) * 2.0 * scale_of(pool)
    assert np.abs(done.maximum[0] - expected[0]).max() <= room
    assert (done.liquidation_step[0] != expected[2]).mean() <= 0.002
    assert 0 < (done.liquidation_step[0] >= 0).sum() < N_PATHS


def test_pool_with_a_model_equals_the_twin_to_the_accuracy_of_its_table():
    pool, generator = market(with_a_model())
    assert pool.model is not None
    done = simulate([pool], generator, settings())
    expected = by_twin(pool, generator)
    assert done.table_error[0] < 1e-3
    maintenance = 20.0 * MARKS["BTCUSDT"] * 0.02
    assert np.abs(done.maximum[0] - expected[0]).max() <= 3e-3 * maintenance
    assert {"USDT@binance", "USDC@binance"} <= set(pool.factors)


@pytest.mark.parametrize("name", BOOKS)
def test_contributions_sum_to_the_maxima_and_the_summary_shows_every_node(name):
    pool, generator = market(BOOKS[name]())
    done = simulate([pool], generator, settings())
    tail = done.tails[0]
    assert tail.contribution.shape[1] == len(pool.factors) + 3
    room = 1e-9 * scale_of(pool) + done.table_error[0] * abs(done.start_shortfall[0])
    assert np.abs(tail.contribution.sum(axis=1) + done.start_shortfall[0] - tail.maximum).max() <= room
    assert np.abs(tail.contribution[:, -1]).max() > 0.0
    # The picture's equity never lies below the path maximum of the shortfall.
    shown = (done.fan_maintenance[:, 0] - done.fan_equity[:, 0]).max(axis=0)
    assert (shown <= done.maximum[0] + room).all()


@pytest.mark.parametrize("name", BOOKS)
def test_bits_do_not_depend_on_chunks_or_threads(name):
    pool, generator = market(BOOKS[name]())
    first = simulate([pool], generator, settings())
    other = simulate([pool], generator, settings(threads=2, chunk_blocks=1))
    assert np.array_equal(first.maximum, other.maximum)
    assert np.array_equal(first.tails[0].contribution, other.tails[0].contribution)


@pytest.mark.parametrize("name", ["linear", "one coin"])
def test_laws_that_stand_still_give_the_figures_of_prices_alone(name):
    book = BOOKS[name]()
    (plain,) = build_pools(book)
    pool, generator = market(book, laws=packaged_side_laws().stilled())
    base = simulate([plain], wild(plain.factors), settings())
    still = simulate([pool], generator, settings())
    # Only funding is summed in another order.
    assert np.abs(base.maximum - still.maximum).max() <= 1e-12 * scale_of(pool)
    marks_alone = SideFactors(base=generator.base, laws=generator.laws, marks=generator.marks)
    assert np.array_equal(simulate([plain], marks_alone, settings()).maximum, base.maximum)


def test_hedge_in_one_coin_is_not_hurt_by_its_own_price_inside_a_step():
    """Coins held against a short of the same coin in the base quote: only funding, marks and pegs are left."""
    account = an_account("bybit", "uta_cross", [a_position("BTCUSDT", -10.0, leverage=10.0)], BTC=10.0)
    pool, generator = market(a_book(account, funding=FUNDING, asset_usd=ASSET_USD), laws=packaged_side_laws().stilled())
    (plain,) = build_pools(a_book(account, funding=FUNDING, asset_usd=ASSET_USD))
    plain_maximum = simulate([plain], wild(plain.factors), settings()).maximum
    still = simulate([pool], generator, settings()).maximum
    # The stable coin is a factor more: its bridge takes the place of low and high. Nothing of size comes from it.
    assert np.abs(np.quantile(still, [0.5, 0.99]) / np.quantile(plain_maximum, [0.5, 0.99]) - 1.0).max() < 0.05


def test_depeg_of_usde_at_one_venue_liquidates_the_account_it_backs_and_no_other_path():
    laws = packaged_side_laws().stilled()
    breaks = JumpLaw(calm_per_hour=0.01, stress_per_hour=0.01, mean_log=0.4, half_life_hours=1.0)
    laws = replace(laws, stable=replace(laws.stable, local=breaks))
    book = multi_assets({"BTCUSDT": 1.0}, USDE=2_500.0)
    (pool,) = build_pools(book)
    base = GeometricBrownian(factors=pool.factors, sigma_annual=[1e-6], correlation=[[1.0]], step_s=HOUR)
    made = with_side_factors(book, [pool], base, laws)
    assert simulate([pool], base, settings()).liquidation_step.max() == -1
    done = simulate(list(made.pools), made.generator, settings())
    # Equity 2,500 x price x 0.98 meets 0.75 % of one BTC, and what the closing fee of the rule adds, far below par.
    place = made.generator.info.factors.index("USDE@binance")
    blocks = [made.generator.block(seed=3, number=k, n_steps=N_STEPS, n_paths=BLOCK_PATHS) for k in (0, 1)]
    lowest = ASSET_USD["USDE"] * np.exp(np.concatenate([b.close_log[:, place].min(axis=0) for b in blocks]))
    level = 0.0075 * MARKS["BTCUSDT"] * ASSET_USD["USDT"] / (2_500.0 * 0.98)
    liquidated = done.liquidation_step[0] >= 0
    # In the hour of the break the bridge may go below its close; nothing else liquidates.
    assert liquidated[lowest <= level].all()
    assert not liquidated[lowest > 0.99 * ASSET_USD["USDE"]].any()
    assert 0.02 < liquidated.mean() < 0.3
    own = made.pools[0].factors.index("USDE@binance")
    assert done.tails[0].contribution[0, own] > 0.9 * (done.tails[0].maximum[0] - done.start_shortfall[0])
