"""Published and exact figures of VaR, Expected Shortfall, extreme values and GARCH, with their sources."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.numeric.block_length import LagRule, best_block_length
from margincover.numeric.block_maxima import ExtremeLaw, fit_block_maxima
from margincover.numeric.garch_estimates import GarchKind, estimate_garch
from margincover.numeric.historical_risk import (
    QuantileRule,
    ShortfallRule,
    age_weights,
    historical_risk,
    rescaled_moves,
    weighted_es,
    weighted_var,
)
from margincover.numeric.layers import absorb
from margincover.numeric.parametric_risk import (
    CORNISH_FISHER_MAX_SKEWNESS,
    Divisor,
    Moments,
    cornish_fisher_is_monotone,
    gaussian_portfolio,
    gaussian_risk,
    modified_risk,
    sample_moments,
    student_risk,
)
from margincover.numeric.pareto_intervals import conditional_tail_risk, pareto_tail_above, tail_risk
from margincover.numeric.pareto_tail import ParetoTail
from margincover.numeric.scores import procyclicality
from margincover.numeric.shortfall_backtests import basel_plus_factor, normal_plus_factor, z2_law

DATA = Path(__file__).parent / "data"


def series(name: str) -> np.ndarray:
    return np.loadtxt(DATA / name, delimiter=",", comments="#")


# Boudoukh, Richardson, Whitelaw (1998), The best of both worlds, Risk 11(5): the six worst of 100 returns, decay 0.98.
BRW_LOSSES = np.array([3.3, 2.9, 2.7, 2.5, 2.4, 2.3])


def test_age_weighted_hybrid_of_boudoukh_richardson_and_whitelaw():
    # brw-hybrid-cumweights and the VaR of 2.63 % beside it
    weights = age_weights(np.array([3.0, 2, 65, 45, 5, 30]), decay=0.98, count=100)
    assert np.cumsum(weights) == pytest.approx([0.0221, 0.0447, 0.0511, 0.0605, 0.0818, 0.0947], abs=6e-5)
    assert weighted_var(BRW_LOSSES, weights, tail=0.05) == pytest.approx(2.63, abs=0.006)


def test_age_weighted_hybrid_25_days_later():
    # brw-hybrid-var5-25d-later
    weights = age_weights(np.array([28.0, 27, 90, 70, 30, 55]), decay=0.98, count=100)
    assert np.cumsum(weights) == pytest.approx([0.0134, 0.0270, 0.0308, 0.0365, 0.0494, 0.0571], abs=6e-5)
    assert weighted_var(BRW_LOSSES, weights, tail=0.05) == pytest.approx(2.34, abs=0.006)


def test_a_tail_beyond_the_part_that_was_given_is_an_error():
    weights = age_weights(np.array([28.0, 27, 90, 70, 30, 55]), decay=0.98, count=100)
    with pytest.raises(InputError, match="more of the sample"):
        weighted_var(BRW_LOSSES, weights, tail=0.10)


def test_equal_weights_give_the_unweighted_shortfall():
    losses = np.random.default_rng(1).standard_normal(200)
    weights = np.full(200, 1 / 200)
    plain = historical_risk(losses, tail=0.033, rule=QuantileRule.LOWER)
    assert weighted_es(losses, weights, tail=0.033) == pytest.approx(plain.es, rel=1e-12)
    hazen = historical_risk(losses, tail=0.05, rule=QuantileRule.HAZEN).var
    assert weighted_var(losses, weights, tail=0.05) == pytest.approx(hazen, rel=1e-12)


def test_historical_var_and_es_of_hull():
    # hs-hull-es-top5: 500 scenarios at 99 %, the fifth worst and the mean of the five worst
    worst = np.array([477_841.0, 345_435, 282_204, 277_041, 253_385])
    losses = np.concatenate([worst, np.linspace(-200_000.0, 200_000.0, 495)])
    found = historical_risk(losses, tail=0.01, rule=QuantileRule.UPPER, shortfall=ShortfallRule.AT_OR_BEYOND)
    assert found.var == 253_385.0
    assert found.es == pytest.approx(327_181, abs=1)


def test_historical_figures_of_performance_analytics():
    # pa-edhec-historical-var, pa-edhec-historical-es: R's default quantile, mean at or beyond it
    losses = -series("edhec_first_100_months.csv")[:, 0]
    found = historical_risk(losses, tail=0.05, rule=QuantileRule.LINEAR, shortfall=ShortfallRule.AT_OR_BEYOND)
    assert found.var == pytest.approx(0.014095, abs=6e-7)
    assert found.es == pytest.approx(0.024080, abs=6e-7)


def test_gaussian_and_modified_figures_of_performance_analytics():
    # pa-edhec-gaussian-es, pa-edhec-modified-var: moments of the population (divisor n)
    moments = sample_moments(series("edhec_first_100_months.csv")[:, 0], divisor=Divisor.POPULATION)
    assert gaussian_risk(moments, tail=0.05).es == pytest.approx(0.017133, abs=6e-7)
    assert modified_risk(moments, tail=0.05).var == pytest.approx(0.014674, abs=6e-7)


def test_portfolio_figure_of_performance_analytics():
    # pa-edhec-portfolio-gaussian: the portfolio path divides the covariance by n - 1
    returns = series("edhec_first_100_months.csv")
    weights = np.array([0.3, 0.4, 0.3])
    found = gaussian_portfolio(weights, returns.mean(axis=0), np.cov(returns.T, ddof=1), tail=0.05)
    assert found.var == pytest.approx(0.012916, abs=6e-7)
    assert found.var_parts.sum() == pytest.approx(found.var, rel=1e-14)
    assert found.es_parts.sum() == pytest.approx(found.es, rel=1e-14)


def test_normal_and_t_figures_of_quantitative_risk_management():
    # qrm-normal-t4-var-es: 10,000 at 20 % a year over one of 250 days
    moments = Moments(mean=0.0, deviation=10_000 * 0.2 / math.sqrt(250))
    tails = [0.1, 0.05, 0.025, 0.01, 0.005]
    normal = [gaussian_risk(moments, tail=tail) for tail in tails]
    student = [student_risk(moments, nu=4.0, tail=tail) for tail in tails]
    assert [f.var for f in normal] == pytest.approx([162.1, 208.1, 247.9, 294.3, 325.8], abs=0.06)
    assert [f.var for f in student] == pytest.approx([137.1, 190.7, 248.3, 335.1, 411.8], abs=0.06)
    assert [f.es for f in normal[:3]] == pytest.approx([222.0, 260.9, 295.7], abs=0.06)
    assert [f.es for f in student] == pytest.approx([223.55, 286.47, 357.19, 466.94, 565.71], abs=0.006)


def test_cornish_fisher_is_refused_outside_its_domain():
    # cornish-fisher-domain: |s| <= 6 (sqrt 2 - 1). At the corner one kurtosis is left: both coefficients balance.
    assert pytest.approx(2.4853, abs=5e-5) == CORNISH_FISHER_MAX_SKEWNESS
    grid = np.linspace(0.0, 30.0, 30_001)
    allowed = lambda s: any(cornish_fisher_is_monotone(skewness=s, excess_kurtosis=float(k)) for k in grid)  # noqa: E731
    assert allowed(CORNISH_FISHER_MAX_SKEWNESS - 0.01)
    assert not allowed(CORNISH_FISHER_MAX_SKEWNESS + 0.01)
    for s, k in ((2.6, 8.0), (0.0, 30.0), (1.0, 0.5)):
        with pytest.raises(InputError, match="fall somewhere"):
            modified_risk(Moments(mean=0.0, deviation=1.0, skewness=s, excess_kurtosis=k), tail=0.01)


def test_modified_shortfall_is_the_integral_of_the_expansion_of_the_density():
    moments = Moments(mean=0.0, deviation=1.0, skewness=-0.4, excess_kurtosis=1.0)
    found = modified_risk(moments, tail=0.05)
    z = np.linspace(-12.0, -found.var, 400_001)
    s, k = moments.skewness, moments.excess_kurtosis
    he3, he4 = z**3 - 3 * z, z**4 - 6 * z**2 + 3
    he6 = z**6 - 15 * z**4 + 45 * z**2 - 15
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) * (1 + s / 6 * he3 + k / 24 * he4 + s**2 / 72 * he6)
    assert found.es == pytest.approx(-float(np.trapezoid(z * density, z)) / 0.05, rel=1e-7)


def test_danish_fire_losses_above_ten_million():
    # evt-danish-u10-params, -var-es, -profile-ci: McNeil (1997), 109 of 2,167 losses. Printed intervals were read from
    # splines of the profile likelihood, hence 2 % of room at their ends.
    found = tail_risk(series("danish_fire_above_10.csv"), threshold=10.0, tail=0.01, count=2_167)
    assert found.exceedances == 109
    assert (found.tail.shape, found.tail.scale) == pytest.approx((0.497, 6.98), rel=2e-3)
    assert found.es is not None
    assert (found.var.value, found.es.value) == pytest.approx((27.3, 58.2), rel=2e-3)
    assert (found.es.low, found.es.high) == pytest.approx((41.6, 154.7), rel=0.02)


def test_danish_fire_losses_above_twenty_million():
    # evt-danish-u20-params
    losses = series("danish_fire_above_10.csv")
    found = pareto_tail_above(losses, threshold=20.0, count=2_167)
    assert round(found.share * 2_167) == 36
    assert (found.shape, found.scale) == pytest.approx((0.684, 9.63), rel=2e-3)
    # With 36 losses the data allow a tail without a mean: the upper end of ES is open or far away.
    wide = tail_risk(losses, threshold=20.0, tail=0.01, count=2_167)
    assert wide.es is not None
    assert wide.es.high > 1_000.0


def test_rises_of_the_dow_jones_of_coles():
    # evt-coles-dowjones: 37 of 1,303 daily rises above 2 %
    returns = series("dow_jones_above_2.csv")
    found = pareto_tail_above(returns, threshold=2.0, count=1_303)
    assert returns.size == 37
    assert (found.scale, found.shape) == pytest.approx((0.495, 0.288), rel=2e-3)


def test_pareto_tail_of_hull():
    # evt-hull-gpd: Hull, 500 scenarios, 22 above 160 (thousand): shape 0.436, scale 32.532; VaR 99 % 227.8, ES 337.9.
    # The page rounds the parameters, and the figures from the unrounded ones: 0.15 of room.
    tail = ParetoTail(threshold=160.0, shape=0.436, scale=32.532, share=22 / 500)
    assert tail.quantile(0.01) == pytest.approx(227.8, abs=0.15)
    assert tail.expected_shortfall(0.01) == pytest.approx(337.9, abs=0.15)


def test_conditional_tail_scales_with_volatility():
    tail = ParetoTail(threshold=1.2181, shape=0.224, scale=0.568, share=0.1)
    found = conditional_tail_risk(tail, mean=0.1, sigma=2.0, tail=0.01)
    assert found.var == pytest.approx(0.1 + 2.0 * tail.quantile(0.01), rel=1e-14)
    assert (found.es - 0.1) / (found.var - 0.1) == pytest.approx(1.42, abs=0.006)


def test_sea_levels_of_port_pirie():
    # gev-coles-portpirie: Coles (2001), section 3.4.1: location 3.87, scale 0.198, shape -0.050, log likelihood 4.34
    found = fit_block_maxima(series("port_pirie_sea_levels.csv"))
    assert found.location == pytest.approx(3.87, abs=0.005)
    assert found.scale == pytest.approx(0.198, abs=5e-4)
    assert found.shape == pytest.approx(-0.050, abs=5e-4)
    assert found.log_likelihood == pytest.approx(4.34, abs=0.005)
    # ten- and hundred-year levels of the same page: 4.30 and 4.69
    assert (found.quantile(0.1), found.quantile(0.01)) == pytest.approx((4.30, 4.69), abs=0.006)


def test_margin_and_leverage_of_block_maxima():
    # cheng-optimal-margin-leverage: a margin of 33 % is 3 times leverage, of 20 % 5 times; here the identity behind it
    law = ExtremeLaw(location=0.04, scale=0.03, shape=0.25)
    margin = law.quantile(0.01)
    inside = 1.0 + law.shape * (margin - law.location) / law.scale
    assert 1.0 - math.exp(-(inside ** (-1.0 / law.shape))) == pytest.approx(0.01, rel=1e-12)
    assert law.largest_leverage(0.01) == pytest.approx(1.0 / margin, rel=1e-14)


def test_garch_benchmark_of_fiorentini_calzolari_and_panattoni():
    # garch-fcp-params and garch-fcp-se: mark against pound, start value the mean squared residual
    found = estimate_garch(series("mark_pound_returns.csv"), kind=GarchKind.GARCH)
    assert found.values == pytest.approx([-0.00619041, 0.0107613, 0.153134, 0.805974], rel=5e-5)
    assert found.standard_errors == pytest.approx([0.00846212, 0.00285271, 0.0265228, 0.0335527], rel=5e-4)


def test_egarch_agrees_with_another_library():
    # egarch-dmbp: start values differ between programs, hence two digits
    from arch import arch_model

    returns = series("mark_pound_returns.csv")
    theirs = arch_model(returns, mean="Constant", vol="EGARCH", p=1, o=1, q=1, rescale=False).fit(disp="off").params
    ours = estimate_garch(returns, kind=GarchKind.EGARCH)
    for mine, name in (("alpha", "gamma[1]"), ("gamma", "alpha[1]"), ("beta", "beta[1]")):
        assert ours[mine] == pytest.approx(theirs[name], abs=0.01)


def test_no_standard_errors_where_the_likelihood_has_its_maximum_at_the_edge():
    # GJR with t innovations on this series wants a persistence of 1 or more
    found = estimate_garch(series("mark_pound_returns.csv"), kind=GarchKind.GJR, student=True)
    assert found["alpha"] + found["gamma"] / 2 + found["beta"] == pytest.approx(1.0, abs=1e-3)
    assert found.standard_errors is None


def test_block_lengths_of_politis_and_white():
    # politis-white-block-length: AR(1) 0.3 of RandomState(0), 10,100 normals, 100 dropped; usual code, then the paper
    shocks = np.random.RandomState(0).standard_normal(10_100)
    values = shocks.copy()
    for t in range(1, values.size):
        values[t] += 0.3 * values[t - 1]
    usual = best_block_length(values[100:])
    assert (usual.stationary, usual.circular) == pytest.approx((13.635665, 15.60894), rel=1e-5)
    paper = best_block_length(values[100:], rule=LagRule.LAST_SIGNIFICANT)
    assert (paper.stationary, paper.circular) == pytest.approx((14.4025, 16.4868), rel=1e-5)


def test_z2_of_the_toolbox_for_normal_and_t():
    # matlab-es-unconditional-normal: 1,966 days, 97.5 %, Z2 = -0.38265; itself simulated, tolerance 12 %
    normal, student = (z2_law(1_966, tail=0.025, nu=nu, trials=20_000) for nu in (None, 3.0))
    assert normal.critical(0.01) == pytest.approx(-0.34639, rel=0.12)
    assert student.critical(0.01) == pytest.approx(-0.42986, rel=0.12)
    # The p-value for t is 0.0160 (60,000 trials); the printed one is that of a straight line between the critical
    # values at 1 % and 2.5 %, as a table gives it.
    table = [student.critical(level) for level in (0.01, 0.025)]
    assert np.interp(-0.38265, table, [0.01, 0.025]) == pytest.approx(0.01857, rel=0.12)
    assert student.p_value(-0.38265) == pytest.approx(0.0160, rel=0.12)
    assert normal.p_value(-0.38265) == pytest.approx(0.0054, rel=0.12)


def test_plus_factors_of_basel():
    # basel-plus-factor-derivation: the table rounds the factor that would restore 99 % for normal losses
    assert [basel_plus_factor(x) for x in range(4, 11)] == [0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.0]
    for x in range(5, 11):
        assert normal_plus_factor(x) == pytest.approx(basel_plus_factor(x), abs=0.035)


def test_filtered_scenario_is_the_move_at_the_present_volatility():
    # fhs-hull-scenario in symbols: a fall of 2 % at a volatility of 1 % is one of 3 % at 1.5 %
    assert rescaled_moves(np.array([-0.02]), np.array([0.01]), sigma_now=0.015) == pytest.approx([-0.03], rel=1e-14)


def test_initial_margin_of_clearing_houses_in_march_2020():
    # fia-im-2019q4-2020q1: FIA (2020), 563.6 to 833.9 billion: 270 billion, 48 %
    margins = np.array([563.6, 833.9])
    assert margins[1] - margins[0] == pytest.approx(270, rel=0.01)
    assert procyclicality(margins).jump_1 == pytest.approx(0.48, rel=0.01)


def test_loss_of_nasdaq_clearing_in_2018():
    # nasdaq-2018-waterfall-usd: 133 million dollars: 8 of own capital, 125 of the members' fund, nothing left
    found = absorb(133.0, [8.0, 166.0])
    assert [*found.absorbed, found.residual] == pytest.approx([8.0, 125.0, 0.0], rel=1e-9)
