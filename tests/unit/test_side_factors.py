"""Stable coins, marks and funding beside the prices of a generator: laws, streams, closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import margincover as mc
from margincover.errors import InputError, UsageError
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.side_factors import AtVenue, PerpetualFunding, SideFactors
from margincover.scenarios.side_laws import JumpLaw, Residuals, SideLaws, packaged_side_laws

STABLES = (AtVenue(name="USDE", venue="binance"), AtVenue(name="USDT", venue="bybit"))
MARKS = (AtVenue(name="BTC", venue="binance"), AtVenue(name="BTC", venue="bybit"))
FUNDING = tuple(
    PerpetualFunding(instrument_id=f"{coin}-{venue}", coin=coin, venue=venue, start_per_hour=start)
    for coin, venue, start in (("BTC", "binance", 0.0002), ("BTC", "bybit", 0.0001), ("ETH", "bybit", -0.0001))
)


def base(sigma: float = 0.7, step_s: int = 3_600) -> GeometricBrownian:
    return GeometricBrownian(
        factors=("BTC", "ETH"), sigma_annual=[sigma, sigma], correlation=[[1.0, 0.7], [0.7, 1.0]], step_s=step_s
    )


def everything(laws: SideLaws | None = None, **changes: object) -> SideFactors:
    rows = {"base": base(), "stables": STABLES, "marks": MARKS, "funding": FUNDING, **changes}
    return SideFactors(laws=laws or packaged_side_laws(), **rows)


def block(generator: SideFactors, n_steps: int = 48, n_paths: int = 400, seed: int = 7):
    return generator.block(seed=seed, number=1, n_steps=n_steps, n_paths=n_paths)


def test_prices_of_the_base_are_passed_on_bit_for_bit_and_rows_do_not_know_each_other():
    plain, full = block(base()), block(everything())
    for name in ("close_log", "low_log", "high_log", "step_variance"):
        assert np.array_equal(getattr(full, name)[:, :2], getattr(plain, name))
    alone = block(everything(stables=STABLES[1:], marks=MARKS[1:], funding=FUNDING[2:]))
    assert np.array_equal(alone.close_log[:, 2], full.close_log[:, 3])
    assert np.array_equal(alone.mark_log[:, 0], full.mark_log[:, 1])
    assert np.array_equal(alone.funding_per_hour[:, 0], full.funding_per_hour[:, 2])
    nothing = block(everything(stables=(), marks=(), funding=()))
    assert nothing.mark_log is None
    assert nothing.funding_per_hour is None


def test_fewer_steps_are_a_prefix_for_marks_and_funding_too():
    longer = block(everything(), n_steps=41)
    for n_steps in (1, 7, 8, 9, 17):
        shorter = block(everything(), n_steps=n_steps)
        assert np.array_equal(longer.mark_log[:n_steps], shorter.mark_log)
        assert np.array_equal(longer.funding_per_hour[:n_steps], shorter.funding_per_hour)
        assert np.array_equal(longer.close_log[:n_steps], shorter.close_log)


def test_laws_that_stand_still_move_nothing():
    still = block(everything(packaged_side_laws().stilled()))
    assert not still.mark_log.any()
    assert not still.close_log[:, 2:].any()
    assert not still.step_variance[:, 2:].any()
    for row, each in enumerate(FUNDING):
        assert (still.funding_per_hour[:, row] == each.start_per_hour).all()


def test_noise_of_a_peg_has_the_variance_of_an_ornstein_uhlenbeck_process():
    laws = packaged_side_laws()
    quiet = JumpLaw(calm_per_hour=0.0, stress_per_hour=0.0, mean_log=0.0, half_life_hours=1.0)
    laws = replace(laws, stable=replace(laws.stable, common=quiet, local=quiet))
    n_paths = 40_000
    made = block(everything(laws, marks=(), funding=()), n_steps=16, n_paths=n_paths).close_log[:, 2:]
    decay = 0.5 ** (1.0 / quiet.half_life_hours)
    for row, deviation in ((0, laws.stable.deviation_other), (1, laws.stable.deviation)):
        for step in (0, 7, 15):
            expected = deviation**2 * (1.0 - decay ** (2 * (step + 1)))
            # The standard error of a normal variance is sqrt(2 / n) of it.
            assert abs(made[step, row].var() / expected - 1.0) < 3.0 * np.sqrt(2.0 / n_paths)


def test_funding_has_the_mean_and_variance_of_its_autoregression():
    laws = packaged_side_laws()
    law = replace(laws.rate("BTC"), response=0.0, clamp=None)
    laws = replace(laws, funding={**laws.funding, "BTC": law})
    n_paths = 40_000
    rate = block(everything(laws, stables=(), marks=()), n_steps=40, n_paths=n_paths).funding_per_hour[:, 0] * 8.0
    start = FUNDING[0].start_per_hour * 8.0
    assert (rate[:8] == start).all()
    for interval in (1, 4):
        now, power = rate[8 * interval], law.persistence**interval
        variance = law.deviation**2 * (1.0 - power**2) / (1.0 - law.persistence**2)
        assert abs(now.mean() - (law.mean + power * (start - law.mean))) < 3.0 * np.sqrt(variance / n_paths)
        # Fourth moments near 100 times the square of the variance, fewer once noise has been added up.
        kurtosis = np.mean((now - now.mean()) ** 4) / now.var() ** 2
        assert abs(now.var() / variance - 1.0) < 3.0 * np.sqrt(kurtosis / n_paths)
        assert np.array_equal(rate[8 * interval], rate[8 * interval + 7])


def test_mark_has_the_variance_of_its_autoregression_and_grows_with_the_move():
    laws = packaged_side_laws()
    law = replace(laws.mark("BTC"), largest=1.0, response=0.0)
    laws = replace(laws, marks={**laws.marks, "BTC": law})
    n_paths = 40_000
    made = everything(laws, base=base(3.0), stables=(), funding=()).block(seed=2, number=0, n_steps=6, n_paths=n_paths)
    size = np.abs(np.diff(made.close_log[:, 0], axis=0, prepend=0.0))
    noise = (law.calm_deviation + law.move_deviation * size) ** 2
    expected = sum(law.persistence ** (2 * k) * noise[5 - k].mean() for k in range(6))
    mark = made.mark_log[5, 0]
    kurtosis = np.mean(mark**4) / mark.var() ** 2
    assert abs(mark.var() / expected - 1.0) < 3.0 * np.sqrt(kurtosis / n_paths)
    large = size[0] > np.quantile(size[0], 0.9)
    # Ten times the calm deviation and more come from moves of several per cent.
    assert np.abs(made.mark_log[0, 0][large]).mean() > 2.0 * np.abs(made.mark_log[0, 0][~large]).mean()
    assert np.corrcoef(made.mark_log[5, 0], made.mark_log[5, 1])[0, 1] < 0.1


def test_pegs_break_at_the_rate_of_the_law_more_often_under_stress_and_never_locally_for_reserves_of_dollars():
    laws = packaged_side_laws()
    local = JumpLaw(calm_per_hour=0.0, stress_per_hour=0.02, mean_log=0.4, half_life_hours=1.0)
    common = JumpLaw(calm_per_hour=0.001, stress_per_hour=0.001, mean_log=0.1, half_life_hours=8.0)
    laws = replace(laws, stable=replace(laws.stable, local=local, common=common, deviation=0.0, deviation_other=0.0))
    made = everything(laws, base=base(1.5), marks=(), funding=()).block(seed=5, number=0, n_steps=24, n_paths=20_000)
    broken = made.step_variance[:, 2:] > 0.0
    expected = -np.expm1(-0.001)
    n = broken[:, 1].size
    assert abs(broken[:, 1].mean() - expected) < 3.0 * np.sqrt(expected / n)
    is_stressed = made.close_log[:, 0] <= np.log(0.95)
    hits = broken[:, 0][is_stressed].mean()
    assert abs(hits - (expected - np.expm1(-0.02))) < 4.0 * np.sqrt(0.02 / is_stressed.sum())
    assert broken[:, 0][~is_stressed].mean() < 2.0 * expected
    # Sizes are exponential: the mean of those seen alone in their path's first step.
    first = -made.close_log[0, 3][broken[0, 1]]
    assert abs(first.mean() / 0.1 - 1.0) < 3.0 / np.sqrt(first.size)
    assert made.close_log[:, 2].min() >= -laws.stable.largest_log


def test_funding_keeps_the_limit_of_the_venue_and_daily_steps_are_possible():
    laws = packaged_side_laws()
    wild = replace(laws.rate("BTC"), deviation=0.01)
    laws = replace(laws, funding={**laws.funding, "BTC": wild})
    made = block(everything(laws, stables=(), marks=()), n_steps=100).funding_per_hour
    assert np.abs(made[:, 0]).max() == pytest.approx(0.003 / 8.0)
    assert np.abs(made[:, 1]).max() > 0.003 / 8.0
    daily = everything(base=base(step_s=86_400))
    assert block(daily, n_steps=5).funding_per_hour.shape == (5, 3, 400)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"marks": (AtVenue(name="DOGE", venue="okx"),)}, "DOGE"),
        ({"marks": (*MARKS, MARKS[0])}, "twice"),
        ({"base": base(step_s=5 * 3_600)}, "18000 s"),
    ],
)
def test_rows_that_cannot_be_made_are_input_errors(changes, message):
    with pytest.raises(InputError, match=message):
        everything(**changes)


@pytest.mark.parametrize(
    ("probability", "value"), [([0.0, 0.5], [0.0, 1.0]), ([0.0, 1.0], [1.0, 0.0]), ([0.0, 0.0, 1.0], [0.0, 1.0, 2.0])]
)
def test_quantiles_that_are_none_are_input_errors(probability, value):
    with pytest.raises(InputError, match="side"):
        Residuals(probability=probability, value=value)


@pytest.mark.parametrize("family", ["marks", "funding"])
def test_packaged_residuals_have_mean_0_and_variance_1(family):
    for law in getattr(packaged_side_laws(), family).values():
        p, x = law.residuals.probability, law.residuals.value
        width, low, high = np.diff(p), x[:-1], x[1:]
        assert abs((width * (low + high) / 2.0).sum()) < 1e-5
        assert (width * (low**2 + low * high + high**2) / 3.0).sum() == pytest.approx(1.0, abs=1e-4)


def test_cover_moves_everything_only_when_asked():
    book = mc.demo_book()
    plain = mc.cover(book, paths=512, follow_s=86_400)
    same = mc.cover(book, paths=512, follow_s=86_400, factors="prices")
    full = mc.cover(book, paths=512, follow_s=86_400, factors="all")
    assert plain.to_json() == same.to_json()
    by_id = {pool.status.pool_id: pool for pool in full.result.pools}
    unified = by_id["bybit:directional"].contributions
    assert {"USDT@bybit", "basis", "funding"} <= set(unified)
    for pool in full.result.pools:
        assert sum(pool.contributions.values()) == pytest.approx(pool.rces.value, abs=1e-6 * abs(pool.rces.value))
    told = full.result.provenance
    assert told.settings["factors"] == "all"
    assert "Binance" in told.scenario["side_factors_source"]
    assert not any("basis between venues" in note or "held at the price" in note for note in told.not_modelled)
    assert any("basis between venues" in note for note in plain.result.provenance.not_modelled)
    with pytest.raises(UsageError, match="prices or all"):
        mc.cover(book, paths=512, factors="some")
