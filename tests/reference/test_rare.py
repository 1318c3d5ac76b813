"""Importance sampling at small tolerances against closed forms and against brute force."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from margincover.app.cover import cover
from margincover.app.demo import demo_book
from margincover.cli.main import app
from margincover.coverage.rare import RareSettings, dangerous_directions, measure_rare
from margincover.coverage.required import estimates
from margincover.errors import InputError
from margincover.model.book import Tolerance
from margincover.numeric import kou_first_passage
from margincover.numeric.first_passage import BrownianLaw, Contract, required_coverage, touch_probability
from margincover.numeric.jump_laws import DoubleExponentialJumps
from margincover.numeric.kou_first_passage import KouLaw
from margincover.numeric.weighted_tail import WeightedSample
from margincover.paths.engine import PathSettings, simulate
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.filtered import FilteredHistorical
from margincover.scenarios.historical import BlockBootstrap
from margincover.scenarios.jumps import JumpClock, JumpDiffusion
from margincover.scenarios.montecarlo import StudentTMonteCarlo
from margincover.scenarios.proposals import proposal_for
from tests.books import linear_pool, usdt_pool
from tests.unit.synthetic_bars import history_of_two_clustered_coins

DAY, SIGMA, RATE, NOTIONAL = 86_400, 0.8, 0.005, 1e5
LAW = BrownianLaw(sigma_annual=SIGMA, horizon_years=1.0 / 365.0, log_drift_annual=-0.5 * SIGMA**2)
TINY = Tolerance(probability=1e-4, horizon_s=DAY, measure="rces")
SETTINGS = RareSettings(n_paths=20_000, seed=4)


def brownian(factors=("BTC",)) -> GeometricBrownian:
    n = len(factors)
    return GeometricBrownian(
        factors=factors, sigma_annual=np.full(n, SIGMA), correlation=0.7 + 0.3 * np.eye(n), step_s=3_600
    )


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_one_in_ten_thousand_meets_the_closed_form_within_three_errors(side):
    contract = Contract.LINEAR_LONG if side > 0 else Contract.LINEAR_SHORT
    exact = required_coverage(LAW, contract=contract, maintenance_fraction=RATE, tolerance=1e-4)
    pool = linear_pool(notional=side * NOTIONAL, cash=exact.rc * NOTIONAL, maintenance_fraction=RATE)
    found = measure_rare([pool], brownian(), TINY, SETTINGS)[0]
    # with the required coverage as equity the pool is liquidated with the tolerance, and its RC is 0
    assert found.liquidation.standard_error < 5e-6
    assert abs(found.liquidation.value - 1e-4) < 3.0 * found.liquidation.standard_error
    assert abs(found.rc.value) < 3.0 * found.rc.standard_error
    assert abs(found.rces.value - (exact.rces - exact.rc) * NOTIONAL) < 3.0 * found.rces.standard_error
    assert sum(found.contributions.values()) == pytest.approx(found.rces.value, rel=1e-9)


def test_variance_is_a_hundredth_of_that_of_plain_paths():
    exact = required_coverage(LAW, contract=Contract.LINEAR_LONG, maintenance_fraction=RATE, tolerance=1e-4)
    pool = linear_pool(notional=NOTIONAL, cash=exact.rc * NOTIONAL, maintenance_fraction=RATE)
    found = measure_rare([pool], brownian(), TINY, SETTINGS)[0]
    # Measured about 600 times; plain paths of the same number have the variance p (1 - p) / n.
    assert 1e-4 / found.n_paths / found.liquidation.standard_error**2 > 100.0
    assert found.effective > 400.0


def test_errors_cover_the_truth_as_often_as_they_say():
    # 60 independent runs: |z| has mean square near 1 (its standard error is 0.18 for normal z).
    pool = linear_pool(notional=NOTIONAL, cash=0.16 * NOTIONAL, maintenance_fraction=RATE)
    exact = touch_probability(LAW, log_barrier=math.log((1.0 - 0.16) / (1.0 - RATE)))
    z = []
    for seed in range(60):
        found = measure_rare([pool], brownian(), TINY, RareSettings(n_paths=8_192, seed=seed))[0].liquidation
        z.append((found.value - exact) / found.standard_error)
    assert abs(np.mean(z)) < 4.0 / math.sqrt(60.0)
    assert 0.5 < np.mean(np.square(z)) < 1.7


def test_jumps_meet_kou_and_wang_in_the_far_tail():
    jumps = DoubleExponentialJumps(up_probability=0.4, up_rate=20.0, down_rate=14.0)
    generator = JumpDiffusion(
        factors=("BTC",),
        sigma_annual=[0.6],
        correlation=[[1.0]],
        step_s=3_600,
        systemic=JumpClock(per_year=6.0, sizes=jumps),
        beta=[1.0],
        own=[JumpClock(per_year=0.0, sizes=jumps)],
        drift_annual=[0.0],
    )
    law = KouLaw(
        log_drift_annual=0.0, sigma_annual=0.6, jumps_per_year=6.0, up_probability=0.4, up_rate=20.0, down_rate=14.0
    )
    pool = linear_pool(notional=NOTIONAL, cash=0.3 * NOTIONAL, maintenance_fraction=RATE)
    barrier = math.log(0.7 / (1.0 - RATE))
    exact = kou_first_passage.touch_probability(law, log_barrier=barrier, horizon_years=1.0 / 365.0)
    assert 5e-5 < exact < 2e-4
    found = measure_rare([pool], generator, TINY, SETTINGS)[0].liquidation
    assert abs(found.value - exact) < 3.0 * found.standard_error
    assert found.standard_error < 0.1 * exact


@pytest.mark.parametrize("kind", ["bootstrap", "filtered"])
def test_drawn_blocks_agree_with_brute_force(kind):
    history = history_of_two_clustered_coins(n_bars=6_000)
    factors = ("BTC", "ETH")
    generator = (
        BlockBootstrap(history=history, factors=factors)
        if kind == "bootstrap"
        else FilteredHistorical.fit(history, factors)
    )
    pool = usdt_pool({"BTCUSDT": 6e4, "ETHUSDT": 4e4}, cash=9e3)
    tolerance = Tolerance(probability=1e-3, horizon_s=DAY, measure="rces")
    found = measure_rare([pool], generator, tolerance, SETTINGS)[0]
    assert found.method.startswith("importance sampling")
    paths = simulate(
        [pool],
        generator,
        PathSettings(n_paths=400_000, horizon_s=DAY, follow_s=DAY, seed=77, tolerance=1e-3),
    )
    for ours, brute in zip((found.rc, found.rces), estimates(paths.maximum[0], 1e-3), strict=True):
        error = math.hypot(ours.standard_error, brute.standard_error)
        assert abs(ours.value - brute.value) < 3.0 * error
        # a twentieth of the paths, half the error and less
        assert ours.standard_error < brute.standard_error
    hits = float((paths.liquidation_step[0] >= 0).mean())
    assert hits > 0.0
    error = math.hypot(found.liquidation.standard_error, math.sqrt(hits / 400_000))
    assert abs(found.liquidation.value - hits) < 3.0 * error


@pytest.mark.parametrize("maker", ["brownian", "bootstrap", "filtered"])
def test_weights_have_mean_one_and_are_bounded_by_the_share_of_the_true_law(maker):
    factors = ("BTC", "ETH")
    history = history_of_two_clustered_coins()
    generator = {
        "brownian": lambda: brownian(factors),
        "bootstrap": lambda: BlockBootstrap(history=history, factors=factors),
        "filtered": lambda: FilteredHistorical.fit(history, factors),
    }[maker]()
    proposal = proposal_for(generator, [np.array([-0.7, -0.7])], n_steps=24, smallest=1e-4)
    assert proposal is not None
    blocks = [proposal.weighted_block(seed=2, number=n, n_steps=24, n_paths=256) for n in range(60)]
    weight = np.exp(np.stack([made.log_weight for made in blocks]))
    per_block = weight.mean(axis=1)
    assert abs(per_block.mean() - 1.0) < 4.0 * per_block.std() / math.sqrt(per_block.size)
    # at most one over the share of the true law: 256 paths over 11 components are 24 to each, less one path's part
    assert weight.max() < 256.0 / 22.0


def test_short_straddle_has_two_directions_and_a_plain_long_one():
    long_only = usdt_pool({"BTCUSDT": 6e4, "ETHUSDT": 4e4}, cash=2e4)
    ways = dangerous_directions(long_only, ("BTC", "ETH", "SOL"))
    assert len(ways) == 1
    assert ways[0][2] == 0.0
    assert (ways[0][:2] < 0.0).all()
    hedged = dangerous_directions(usdt_pool({"BTCUSDT": 6e4, "ETHUSDT": -6e4}, cash=2e4), ("BTC", "ETH"))
    assert hedged[0][0] < 0.0 < hedged[0][1]


def test_generator_without_a_tilt_gets_as_many_plain_paths_as_the_tolerance_needs():
    pool = linear_pool(notional=NOTIONAL, cash=0.2 * NOTIONAL)
    generator = StudentTMonteCarlo(calibration=load_packaged(), factors=("BTC",))
    tolerance = Tolerance(probability=5e-3, horizon_s=DAY, measure="rc")
    found = measure_rare([pool], generator, tolerance, RareSettings(n_paths=1_024, seed=1))[0]
    assert found.method == "plain paths"
    assert found.n_paths >= 200 / 5e-3
    paths = simulate(
        [pool], generator, PathSettings(n_paths=40_000, horizon_s=DAY, follow_s=DAY, seed=1, tolerance=5e-3)
    )
    rc, rces = estimates(paths.maximum[0], 5e-3)
    assert found.rc.value == rc.value
    assert found.rces.value == pytest.approx(rces.value, rel=1e-12)


def test_threads_and_chunks_do_not_change_a_bit():
    pool = usdt_pool({"BTCUSDT": 6e4, "ETHUSDT": 4e4}, cash=2e4)
    first, second = (
        measure_rare(
            [pool],
            brownian(("BTC", "ETH")),
            TINY,
            RareSettings(n_paths=4_096, seed=5, threads=threads, chunk_blocks=chunk),
        )[0]
        for threads, chunk in ((1, 4), (3, 1))
    )
    assert first == second


def test_weighted_sample_of_even_weights_is_the_plain_one():
    values = np.random.default_rng(1).standard_normal(1_024)
    sample = WeightedSample(values=values, weight=np.ones(1_024), block_paths=256)
    rc, rces = estimates(values, 0.05)
    assert sample.quantile(0.05) == rc.value
    assert sample.expected_shortfall(0.05)[0] == pytest.approx(rces.value, rel=1e-12)
    assert sample.effective_exceedances(rc.value) == pytest.approx((values > rc.value).sum())
    with pytest.raises(InputError, match="weight"):
        WeightedSample(values=values, weight=-np.ones(1_024), block_paths=256)


def test_cover_puts_the_tail_figures_in_place_and_says_how_they_were_made():
    report = cover(demo_book(), rare=True, tolerance=1e-4, paths=2_048, follow_s=DAY, horizon_s=DAY, scenarios="jumps")
    result = report.result
    assert "importance sampling" in result.provenance.settings["rare"]
    for pool in result.pools:
        assert sum(pool.contributions.values()) == pytest.approx(pool.rces.value, rel=1e-9, abs=1e-6)
        assert pool.gap_native == pool.rces.value
        assert pool.rces.value >= pool.rc.value
    assert not [text for text in result.provenance.warnings if "use --rare" in text]


def test_plain_run_at_a_small_tolerance_offers_the_rare_one():
    report = cover(demo_book(), tolerance=1e-4, paths=512, follow_s=DAY, horizon_s=DAY)
    assert any("use --rare" in text for text in report.result.provenance.warnings)


def test_command_line_knows_the_option(tmp_path):
    from typer.testing import CliRunner

    from margincover.app.demo import demo_text

    book = tmp_path / "book.json"
    book.write_text(demo_text(), encoding="utf-8")
    words = ["cover", str(book), "--tolerance", "0.001", "--horizon", "1h", "--paths", "512"]
    done = CliRunner().invoke(app, [*words, "--scenarios", "jumps:merton=1", "--rare", "--json"])
    assert done.exit_code in (0, 1, 2), done.output
    assert "importance sampling" in json.loads(done.stdout)["provenance"]["settings"]["rare"]
