"""One battery over every scenario generator: what the path engine relies on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.scenario import ScenarioGenerator
from margincover.scenarios.age_weighted import AgeWeightedBootstrap
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.dcc import DynamicCorrelation
from margincover.scenarios.filtered import FilteredHistorical
from margincover.scenarios.historical import BlockBootstrap
from margincover.scenarios.jump_figures import packaged_jumps
from margincover.scenarios.jumps import JumpDiffusion
from margincover.scenarios.montecarlo import StudentTMonteCarlo
from margincover.scenarios.side_factors import AtVenue, SideFactors
from margincover.scenarios.side_laws import packaged_side_laws
from margincover.scenarios.t_copula import TCopula
from tests.unit.synthetic_bars import history_of_two_clustered_coins
from tests.unit.synthetic_dcc import history_of_changing_correlation

FACTORS = ("BTC", "ETH")
FIELDS = ("close_log", "low_log", "high_log", "step_variance")


def _brownian() -> ScenarioGenerator:
    return GeometricBrownian(
        factors=FACTORS, sigma_annual=[0.6, 0.8], correlation=[[1.0, 0.7], [0.7, 1.0]], step_s=3_600
    )


def _montecarlo() -> ScenarioGenerator:
    return StudentTMonteCarlo(calibration=load_packaged(), factors=FACTORS)


def _montecarlo_with_stand_in() -> ScenarioGenerator:
    return StudentTMonteCarlo(
        calibration=load_packaged(),
        factors=("BTC", "NEWCOIN"),
        volatility_annual={"BTC": 0.9},
        proxies={"NEWCOIN": Proxy(factor="ETH", multiple=1.5)},
    )


def _historical() -> ScenarioGenerator:
    return BlockBootstrap(history=history_of_two_clustered_coins(missing=(700, 701, 1_500)), factors=FACTORS)


def _age_weighted() -> ScenarioGenerator:
    history = history_of_two_clustered_coins(missing=(700, 701, 1_500))
    return AgeWeightedBootstrap(history=history, factors=FACTORS)


def _filtered() -> ScenarioGenerator:
    return FilteredHistorical.fit(history_of_two_clustered_coins(missing=(700, 701, 1_500)), FACTORS)


def _jumps() -> ScenarioGenerator:
    return packaged_jumps(FACTORS, calibration=load_packaged())


def _t_copula() -> ScenarioGenerator:
    return TCopula.fit(history_of_two_clustered_coins(missing=(700, 701, 1_500)), FACTORS)


def _dcc() -> ScenarioGenerator:
    return DynamicCorrelation.fit(history_of_changing_correlation(missing=(700, 701, 1_500)), FACTORS)


def _side_factors() -> ScenarioGenerator:
    """Return a base with a stable coin whose peg does not break: a break is a loss that no later gain makes up for."""
    laws = packaged_side_laws()
    quiet = {
        name: replace(getattr(laws.stable, name), calm_per_hour=0.0, stress_per_hour=0.0)
        for name in ("common", "local")
    }
    laws = replace(laws, stable=replace(laws.stable, **quiet))
    marks = [AtVenue(name="BTC", venue="binance")]
    return SideFactors(base=_brownian(), laws=laws, stables=[AtVenue(name="USDC", venue="bybit")], marks=marks)


MAKERS = (
    _brownian,
    _montecarlo,
    _montecarlo_with_stand_in,
    _historical,
    _age_weighted,
    _filtered,
    _jumps,
    _t_copula,
    _dcc,
    _side_factors,
)


@pytest.fixture(scope="module", params=MAKERS, ids=lambda maker: maker.__name__.strip("_"))
def generator(request: pytest.FixtureRequest) -> ScenarioGenerator:
    return request.param()


def test_fewer_steps_are_a_prefix_of_more_bit_for_bit(generator: ScenarioGenerator) -> None:
    longer = generator.block(seed=3, number=2, n_steps=31, n_paths=40)
    for n_steps in (1, 6, 17):
        shorter = generator.block(seed=3, number=2, n_steps=n_steps, n_paths=40)
        for name in FIELDS:
            assert np.array_equal(getattr(longer, name)[:n_steps], getattr(shorter, name))


def test_same_seed_and_number_give_the_same_bits_from_any_thread(generator: ScenarioGenerator) -> None:
    expected = [generator.block(seed=3, number=number, n_steps=12, n_paths=64) for number in range(6)]
    with ThreadPoolExecutor(max_workers=3) as pool:
        jobs = [pool.submit(generator.block, seed=3, number=number, n_steps=12, n_paths=64) for number in range(6)]
    for block, job in zip(expected, jobs, strict=True):
        for name in FIELDS:
            assert np.array_equal(getattr(block, name), getattr(job.result(), name))


def test_other_numbers_and_other_seeds_are_unrelated(generator: ScenarioGenerator) -> None:
    size = 4_000
    base = generator.block(seed=3, number=0, n_steps=1, n_paths=size).close_log[0, 0]
    for seed, number in ((3, 1), (4, 0)):
        other = generator.block(seed=seed, number=number, n_steps=1, n_paths=size).close_log[0, 0]
        # ranks: the correlation of independent ranks has a standard error of 1 / sqrt(n - 1)
        ranks = np.corrcoef(np.argsort(np.argsort(base)), np.argsort(np.argsort(other)))[0, 1]
        assert abs(ranks) < 4.5 / np.sqrt(size)


def test_values_are_finite_and_extremes_hold_both_ends_of_the_step(generator: ScenarioGenerator) -> None:
    block = generator.block(seed=8, number=0, n_steps=30, n_paths=500)
    shape = (30, len(generator.info.factors), 500)
    for name in FIELDS:
        assert getattr(block, name).shape == shape
        assert getattr(block, name).dtype == np.float64
        assert np.isfinite(getattr(block, name)).all()
    start = np.zeros(shape)
    start[1:] = block.close_log[:-1]
    assert (block.low_log <= np.minimum(start, block.close_log)).all()
    assert (block.high_log >= np.maximum(start, block.close_log)).all()
    assert (block.step_variance >= 0.0).all()
    assert block.step_variance.mean() > 0.0


def test_mean_price_is_one_at_every_checked_step(generator: ScenarioGenerator) -> None:
    closes = [
        generator.block(seed=5, number=number, n_steps=72, n_paths=4_000).close_log[[0, 5, 8, 23, 71]]
        for number in range(10)
    ]
    price = np.exp(np.concatenate(closes, axis=-1))
    error = price.std(axis=-1) / np.sqrt(price.shape[-1])
    assert (np.abs(price.mean(axis=-1) - 1.0) < 4.0 * error).all()


def test_mean_step_variance_is_the_variance_of_the_moves(generator: ScenarioGenerator) -> None:
    block = generator.block(seed=21, number=0, n_steps=24, n_paths=20_000)
    moves = np.diff(block.close_log, axis=0, prepend=0.0)
    ratio = moves.var(axis=-1).mean(axis=0) / block.step_variance.mean(axis=(0, 2))
    # jumps are nodes of their own: the variance of a step is that of the diffusion beside them
    expected = 1.0 / (1.0 - generator.jump_variance_fraction) if isinstance(generator, JumpDiffusion) else 1.0
    # fourth moments of fat-tailed moves are noisy: 480,000 moves give a few per cent
    assert (np.abs(ratio / expected - 1.0) < 0.12).all()


def test_zero_steps_give_empty_arrays(generator: ScenarioGenerator) -> None:
    block = generator.block(seed=1, number=0, n_steps=0, n_paths=7)
    for name in FIELDS:
        assert getattr(block, name).shape == (0, len(generator.info.factors), 7)


@pytest.mark.parametrize(("n_steps", "n_paths"), [(-1, 5), (3, 0)])
def test_impossible_request_is_an_input_error(generator: ScenarioGenerator, n_steps: int, n_paths: int) -> None:
    with pytest.raises(InputError, match=r"n_steps|n_paths"):
        generator.block(seed=1, number=0, n_steps=n_steps, n_paths=n_paths)


def test_info_describes_the_generator(generator: ScenarioGenerator) -> None:
    info = generator.info
    n = len(info.factors)
    assert info.correlation.shape == (n, n)
    assert np.allclose(np.diag(info.correlation), 1.0)
    # two factors: the one-factor bridge carries their correlation exactly
    assert info.loading[0] * info.loading[1] == pytest.approx(info.correlation[0, 1], abs=1e-12)
    assert info.method
    assert info.label
    assert info.params
    assert info.not_modelled
