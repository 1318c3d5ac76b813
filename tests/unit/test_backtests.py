from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.numeric import backtests, scores
from margincover.numeric.garch_likelihood import gjr_t_mean_cost, maximise_gjr_t
from margincover.numeric.pareto_tail import ParetoTail, fit_excesses, fit_pareto_tail


def test_no_exceedances_leave_the_likelihood_ratio_finite():
    # LR = -2 ln (1 - p)^n
    assert backtests.kupiec(0, 250, tail=0.01).statistic == pytest.approx(-2 * 250 * math.log(0.99), rel=1e-12)


def test_transitions_are_counted_before_by_after():
    hits = np.array([0, 1, 1, 0, 0, 1], dtype=bool)
    assert backtests.hit_transitions(hits).tolist() == [[1, 2], [1, 1]]


def test_independence_without_any_hit_says_nothing():
    found = backtests.christoffersen_independence(np.array([[100, 0], [0, 0]]))
    assert (found.statistic, found.p_value) == (0.0, 1.0)


def test_dynamic_quantile_holds_its_level_on_independent_hits():
    rng = np.random.default_rng(5)
    p_values = [
        backtests.dynamic_quantile(rng.random(1_500) < 0.05, rng.standard_normal(1_500), tail=0.05).p_value
        for _ in range(400)
    ]
    # 400 runs at 5 %: a standard error of 1.1 %; the chi-square limit itself is about 1 % off
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


def test_dynamic_quantile_finds_clustered_hits():
    hits = np.zeros(1_000, dtype=bool)
    hits[100:150] = True
    known = np.random.default_rng(1).standard_normal(1_000)
    assert backtests.dynamic_quantile(hits, known, tail=0.05).p_value < 1e-6


def test_dynamic_quantile_finds_hits_that_volatility_foretells():
    rng = np.random.default_rng(2)
    known = rng.standard_normal(2_000)
    hits = rng.random(2_000) < np.where(known > 0, 0.09, 0.01)
    assert backtests.dynamic_quantile(hits, known, tail=0.05).p_value < 1e-4


def test_z2_is_near_zero_for_the_true_law_and_negative_for_half_the_risk():
    from scipy.stats import norm

    loss = np.random.default_rng(3).standard_normal(200_000)
    q, es = norm.isf(0.025), norm.pdf(norm.isf(0.025)) / 0.025
    ones = np.ones_like(loss)
    # standard error sqrt(E[X^2; X > q] / (n p^2)) / es is about 0.015
    assert abs(backtests.acerbi_szekely_z2(loss, q * ones, es * ones, tail=0.025)) < 0.05
    assert backtests.acerbi_szekely_z2(loss, q / 2 * ones, es / 2 * ones, tail=0.025) < -1.0


def test_scores_are_smallest_at_the_true_quantile_and_shortfall():
    from scipy.stats import norm

    loss = 1.0 + 0.2 * np.random.default_rng(4).standard_normal(400_000)
    q, es = 1.0 + 0.2 * norm.isf(0.05), 1.0 + 0.2 * norm.pdf(norm.isf(0.05)) / 0.05
    ones = np.ones_like(loss)
    best = scores.fissler_ziegel(loss, q * ones, es * ones, tail=0.05).mean()
    for a, b in ((0.95, 1.0), (1.05, 1.0), (1.0, 0.95), (1.0, 1.05)):
        assert scores.fissler_ziegel(loss, a * q * ones, b * es * ones, tail=0.05).mean() > best
    pinball = [scores.quantile_loss(loss, k * q * ones, tail=0.05).mean() for k in (0.97, 1.0, 1.03)]
    assert pinball[1] < min(pinball[0], pinball[2])


def test_exact_rate_scale_makes_the_rate_exact():
    rng = np.random.default_rng(6)
    loss, quantile = rng.exponential(size=10_000), rng.uniform(0.5, 1.0, size=10_000)
    scale = scores.exact_rate_scale(loss, quantile, tail=0.01)
    assert (loss > scale * quantile).sum() == 100


def test_procyclicality_of_a_hand_made_series():
    found = scores.procyclicality(np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 3.0]))
    # 1 step: 1 -> 3; 5 steps: 2 -> 3 or 1 -> 1, the larger rise is 0.5; fewer than 31 values: no 30-step rise
    assert (found.peak_to_trough, found.jump_1, found.jump_5, found.jump_30) == (3.0, 2.0, 0.5, 0.0)


def test_loss_ratio_counts_every_series_alike_and_its_interval_holds_the_ratio():
    rng = np.random.default_rng(7)
    theirs = rng.exponential(size=(4, 700)) * np.array([[1.0], [10.0], [0.1], [5.0]])
    ours = 0.9 * theirs * rng.uniform(0.8, 1.2, size=theirs.shape)
    theirs[2, :300] = np.nan
    ours[2, :300] = np.nan
    found = scores.loss_ratio_interval(ours, theirs, block=7, draws=200, rng=rng)
    by_hand = np.mean(np.nansum(ours, axis=1) / np.nansum(theirs, axis=1))
    assert found.ratio == pytest.approx(by_hand, rel=1e-12)
    assert found.low < found.ratio < found.high < 1.0


def test_pareto_fit_agrees_with_scipy():
    from scipy.stats import genpareto

    for shape in (-0.1, 0.0, 0.25, 0.5):
        sample = genpareto.rvs(shape, scale=2.0, size=4_000, random_state=np.random.default_rng(8))
        theirs = genpareto.fit(sample, floc=0.0)
        ours = fit_excesses(sample)
        # both maximise the same likelihood; scipy stops at 1e-4
        assert ours == pytest.approx((theirs[0], theirs[2]), rel=5e-3, abs=5e-3)


def test_a_shape_out_of_bounds_is_bounded_and_said():
    from scipy.stats import genpareto

    sample = genpareto.rvs(0.95, size=5_000, random_state=np.random.default_rng(9))
    tail = fit_pareto_tail(sample, share=0.05)
    assert (tail.shape, tail.shape_was_bounded) == (0.6, True)


def test_infinite_expected_shortfall_is_an_error():
    tail = ParetoTail(threshold=1.0, shape=1.0, scale=1.0, share=0.05)
    with pytest.raises(InputError, match="infinite"):
        tail.expected_shortfall(0.01)


def test_pareto_quantile_and_shortfall_agree_with_integration():
    tail = ParetoTail(threshold=1.0, shape=0.3, scale=0.5, share=0.1)
    u = (np.arange(2_000_000) + 0.5) / 2_000_000 * 0.01
    mean = np.mean([tail.threshold + tail.scale * np.expm1(0.3 * np.log(0.1 / u)) / 0.3])
    # midpoint rule of an integrand with a singular end: error of order n^-0.7
    assert tail.expected_shortfall(0.01) == pytest.approx(mean, rel=1e-4)


def test_compiled_likelihood_agrees_with_arch():
    from arch import arch_model

    rng = np.random.default_rng(10)
    h, out = 1.0, []
    for t in rng.standard_t(5, size=4_000) * math.sqrt(3 / 5):
        out.append(math.sqrt(h) * t)
        h = 0.03 + (0.05 + 0.04 * (out[-1] < 0)) * out[-1] ** 2 + 0.90 * h
    scaled = np.array(out)
    scaled /= math.sqrt(np.mean(scaled**2))
    found = maximise_gjr_t(scaled)
    assert not isinstance(found, str)
    alpha, gamma, beta, nu = found
    model = arch_model(scaled, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    theirs = model.fit(disp="off", show_warning=False)
    at_ours = model.fix([1 - alpha - gamma / 2 - beta, alpha, gamma, beta, nu])
    # arch starts its recursion at a weighted mean of early squares, ours at 1: a few units of log likelihood at most
    assert -0.5 * scaled.size * gjr_t_mean_cost(scaled, *found) == pytest.approx(at_ours.loglikelihood, abs=3.0)
    # our fit has one parameter less (variance targeting): it may lose, but not more than chi-square(1) allows
    assert at_ours.loglikelihood > theirs.loglikelihood - 5.0


def test_bad_figures_are_named():
    with pytest.raises(InputError, match="exceedances: was 5 of 4"):
        backtests.kupiec(5, 4, tail=0.01)
    with pytest.raises(InputError, match="tail: was 1"):
        backtests.kupiec(1, 4, tail=1.0)
    with pytest.raises(InputError, match="excess"):
        fit_excesses(np.zeros(100))
