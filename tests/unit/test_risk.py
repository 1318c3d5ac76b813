"""Risk measures of books: values against closed forms, calls gross and net, contributions, errors, bits."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from margincover.app.demo import demo_book
from margincover.app.risk import RiskSettings, risk
from margincover.coverage import risk as measures
from margincover.coverage.value_pools import value_pool
from margincover.errors import InputError, UsageError
from margincover.numeric.batch_means import batch_error
from margincover.numeric.parametric_risk import Moments, gaussian_risk
from margincover.numeric.quantile import expected_shortfall, tail_quantile
from margincover.paths.engine import PathSettings
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.episode_blocks import BLOCK_HOURS, EpisodeBlocks
from margincover.scenarios.episodes import load_episodes
from margincover.units import years
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import MARKS, a_book, a_position, an_account, inverse_pool, linear_pool

DAY = 86_400
SIGMA = 0.5


def brownian(*factors: str) -> GeometricBrownian:
    n = len(factors)
    return GeometricBrownian(
        factors=factors,
        sigma_annual=np.full(n, SIGMA),
        correlation=0.7 * np.ones((n, n)) + 0.3 * np.eye(n),
        step_s=3_600,
    )


def run_of(pools, generator, *, n_paths=51_200, threads=1):
    settings = PathSettings(
        n_paths=n_paths, horizon_s=DAY, follow_s=DAY, seed=4, tolerance=0.01, threads=threads, chunk_blocks=3
    )
    return measures.run_risk(measures.plan_risk(pools, law=None), generator, settings)


def two_venues():
    """A long at Binance against the same short at Bybit: no net loss, calls at one venue on every move."""
    size = 1e6 / MARKS["BTCUSDT"]
    held = [a_position("BTCUSDT", amount, maintenance_fraction=0.005, leverage=10.0) for amount in (size, -size)]
    return build_pools(
        a_book(
            an_account("binance", "usdm_single_asset", held[:1], USDT=1e5),
            an_account("bybit", "uta_cross", held[1:], USDT=1e5),
        )
    )


def test_value_pool_is_the_equity_in_dollars_where_there_is_no_haircut():
    pools = [linear_pool(notional=1e5, cash=2e4), inverse_pool(notional_coin=1.0, cash=0.5)]
    joint = value_pool("both", "binance", pools, law=None)
    ratio = np.linspace(0.7, 1.4, 8)[None, :].repeat(len(joint.factors), axis=0)
    found = margin.evaluate_pool(joint, ratio)
    linear = margin.evaluate_pool(pools[0], ratio[:1])[0] * pools[0].unit_usd
    inverse = margin.evaluate_pool(pools[1], ratio[:1])[0] * pools[1].unit_usd * ratio[0]
    assert found[0] == pytest.approx(linear + inverse, rel=1e-12)
    assert not found[1].any()


def test_var_and_es_of_a_linear_long_are_the_closed_form():
    run = run_of([linear_pool(notional=1e5, cash=5e4)], brownian("BTC"))
    deviation = SIGMA * math.sqrt(years(DAY))
    unit = run.plan.pools[0].unit_usd
    # loss = notional (1 - exp(x)), x normal with mean -variance / 2
    at = gaussian_risk(Moments(mean=-0.5 * deviation**2, deviation=deviation), tail=0.01).var
    found = measures.pair(run.at_horizon[0], 0.01)
    assert abs(found.var.value - 1e5 * unit * (1.0 - math.exp(-at))) < 3.5 * found.var.standard_error
    assert found.es.value > found.var.value
    # the reflection principle: the path quantile is that of half the tail
    path = measures.pair(run.on_path[0], 0.01)
    half = tail_quantile(run.at_horizon[0], 0.005)
    assert abs(path.var.value - half) < 0.05 * half
    assert (run.on_path >= run.at_horizon - 1e-6).all()


def test_calls_of_a_hedge_over_two_venues_are_gross_and_hardly_net():
    run = run_of(two_venues(), brownian("BTC"), n_paths=5_120)
    found = measures.liquidity_at_risk(run, 0.01)
    assert found.net.var.value < 0.02 * found.gross.var.value
    assert found.cross_exchange.value == pytest.approx(found.gross.var.value - found.net.var.value, rel=1e-12)
    assert found.gross.var.value >= max(pair.var.value for pair in found.venues.values())
    assert sum(found.venue_parts.values()) == pytest.approx(found.gross.es.value, rel=1e-9)
    assert sum(found.kind_parts.values()) == pytest.approx(found.gross.es.value, rel=1e-9)
    # gains of one venue never pay the other: gross is at least net on every path
    assert (run.calls.venue_peak.sum(axis=0) >= run.calls.net_peak - 1e-6).all()


def test_call_of_one_pool_is_its_loss_and_the_change_of_maintenance():
    run = run_of([linear_pool(notional=1e5, cash=5e4, maintenance_fraction=0.01)], brownian("BTC"), n_paths=1_280)
    unit = run.plan.pools[0].unit_usd
    moved = run.calls.factor_ratio[0] - 1.0
    expected = -1e5 * unit * moved + 0.01 * 1e5 * unit * moved
    assert run.calls.venue_end[0] == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_contributions_sum_and_factors_explain_a_linear_book():
    run = run_of(two_venues(), brownian("BTC"), n_paths=5_120)
    parts = {each.by: each for each in measures.contributions(run, ("BTC",), 0.01)}
    book = measures.pair(run.at_horizon[0], 0.01)
    for each in parts.values():
        assert sum(each.es.values()) == pytest.approx(book.es.value, abs=1e-6)
        assert sum(each.var.values()) == pytest.approx(book.var.value, abs=1e-6)
    assert abs(parts["factor"].es["remainder"]) < 1e-6


def test_threads_do_not_change_a_bit():
    one, two = (run_of(two_venues(), brownian("BTC"), n_paths=2_560, threads=n) for n in (1, 2))
    assert (one.at_horizon == two.at_horizon).all()
    assert (one.on_path == two.on_path).all()
    assert (one.calls.venue_peak == two.calls.venue_peak).all()


def test_batch_means_give_the_error_of_a_mean_and_refuse_too_few_blocks():
    values = np.random.default_rng(3).standard_normal(100_000)
    found = batch_error(values, lambda x: float(x.mean()), block_paths=100, batches=50)
    assert found.standard_error == pytest.approx(1 / math.sqrt(100_000), rel=0.35)
    assert found.batches == 50
    with pytest.raises(InputError, match="at least 5 blocks"):
        batch_error(values[:1_000], lambda x: float(x.mean()), block_paths=256)


def test_batch_means_of_a_quantile_cover_it():
    # the known 1 % point of normals lies within two standard errors in about 95 % of runs; 60 runs, at least 50
    rng, hits = np.random.default_rng(8), 0
    for _ in range(60):
        values = rng.standard_normal(20_000)
        found = batch_error(values, lambda x: tail_quantile(x, 0.01))
        hits += abs(tail_quantile(values, 0.01) - 2.3263) < found.factor_95 * found.standard_error
    assert hits >= 50


def test_stressed_paths_are_the_hours_of_the_episodes():
    library = load_episodes()
    generator = EpisodeBlocks(
        episodes=library.episodes, factors=("BTC", "SUI"), calibration=load_packaged(), proxies={}
    )
    block = generator.block(seed=1, number=0, n_steps=BLOCK_HOURS, n_paths=64)
    moves = {
        round(math.log(b / a), 9)
        for episode in library.episodes
        for column in [np.concatenate(([1.0], episode.close[:, episode.factors.index("BTC")]))]
        for a, b in itertools.pairwise(column)
    }
    drawn = np.diff(np.concatenate([np.zeros((1, 64)), block.close_log[:, 0]]), axis=0)
    assert {round(float(x), 9) for x in drawn.ravel()} <= moves
    assert (block.low_log <= block.close_log + 1e-12).all()
    assert (block.high_log >= block.close_log - 1e-12).all()
    shorter = generator.block(seed=1, number=0, n_steps=5, n_paths=64)
    assert (shorter.close_log == block.close_log[:5]).all()
    assert "SUI in" in generator.info.params["coins moved as BTC times beta"]


def test_report_of_the_demo_book():
    report = risk(demo_book(), RiskSettings(paths=1_280))
    made = json.loads(report.to_json())
    assert (made["schema"], made["batches"], made["n_paths"]) == ("margincover/risk/1", 5, 1_280)
    assert [row["scope"] for row in made["rows"]][:2] == ["book", "venue"]
    for row in made["rows"]:
        for name in ("at_horizon", "on_path", "stressed_at_horizon", "stressed_on_path"):
            assert row[name]["es"]["value"] >= row[name]["var"]["value"]
        assert row["on_path"]["var"]["value"] >= row["at_horizon"]["var"]["value"]
    book = made["rows"][0]
    assert book["stressed_at_horizon"]["es"]["value"] > book["at_horizon"]["es"]["value"]
    # sub-additive: the book's shortfall is at most the sum of its venues'
    venues = [row["at_horizon"]["es"]["value"] for row in made["rows"] if row["scope"] == "venue"]
    assert book["at_horizon"]["es"]["value"] <= sum(venues)
    assert "packaged episodes" in made["stress"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (RiskSettings(paths=1_000), "--paths"),
        (RiskSettings(stress="window"), "--stress"),
        (RiskSettings(stress="worst"), "--stress"),
        (RiskSettings(stress_days=1), "--stress-days"),
    ],
)
def test_settings_out_of_range_are_usage_errors(settings, field):
    with pytest.raises(UsageError, match=field):
        risk(demo_book(), settings)


def test_expected_shortfall_of_the_run_is_that_of_the_losses():
    run = run_of([linear_pool(notional=1e5, cash=5e4)], brownian("BTC"), n_paths=1_280)
    assert measures.pair(run.at_horizon[0], 0.05).es.value == expected_shortfall(run.at_horizon[0], 0.05)
