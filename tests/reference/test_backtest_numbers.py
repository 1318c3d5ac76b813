"""Published figures of backtests and tails, with their sources."""

from __future__ import annotations

import numpy as np
import pytest

from margincover.numeric.backtests import (
    acerbi_szekely_z2,
    christoffersen_independence,
    kupiec,
    traffic_light,
)
from margincover.numeric.pareto_tail import ParetoTail

# MathWorks, Risk Management Toolbox, documentation of varbacktest (data set VaRBacktestData): 1,043 days, VaR 95 % with
# 57 failures. Printed: five digits.
VARBACKTEST = {"n": 1043, "x": 57, "tail": 0.05}


def test_pof_of_the_toolbox_at_95():
    found = kupiec(VARBACKTEST["x"], VARBACKTEST["n"], tail=0.05)
    assert found.statistic == pytest.approx(0.46147, rel=2e-5)
    assert found.p_value == pytest.approx(0.49694, rel=2e-5)


def test_independence_of_the_toolbox():
    found = christoffersen_independence(np.array([[932, 53], [53, 4]]))
    assert found.statistic == pytest.approx(0.25866, rel=2e-5)
    assert found.p_value == pytest.approx(0.61104, rel=2e-5)


def test_conditional_coverage_of_the_toolbox():
    # the same page: LRatioCC = LRatioPOF + LRatioCCI = 0.72013
    joint = kupiec(57, 1043, tail=0.05).statistic
    joint += christoffersen_independence(np.array([[932, 53], [53, 4]])).statistic
    assert joint == pytest.approx(0.72013, rel=2e-5)


def test_traffic_light_of_the_toolbox():
    found = traffic_light(57, 1043, tail=0.05)
    assert found.at_most == pytest.approx(0.77913, rel=2e-5)
    assert found.at_least == pytest.approx(0.26396, rel=2e-5)
    assert found.zone == "green"


def test_non_rejection_regions_of_kupiec():
    # Kupiec (1995), as reprinted by Jorion, Value at Risk, table of non-rejection regions at 95 % test confidence:
    # 99 % VaR, 255 days: N < 7; 510 days: 1 < N < 11; 95 % VaR, 255 days: 6 < N < 21; 1,000 days: 37 < N < 65.
    for tail, n, lowest, highest in ((0.01, 255, 0, 6), (0.01, 510, 2, 10), (0.05, 255, 7, 20), (0.05, 1000, 38, 64)):
        kept = [x for x in range(n) if kupiec(x, n, tail=tail).statistic < 3.841]
        if lowest == 0:
            # the table counts no failure in 255 days as accepted; its statistic 5.13 is above 3.841
            kept = [0, *kept]
        assert (kept[0], kept[-1]) == (lowest, highest)


def test_jp_morgan_1998():
    # Jorion, Value at Risk, chapter on backtesting: JP Morgan 1998, 252 days at 95 %, 20 exceptions: LR 3.91
    assert kupiec(20, 252, tail=0.05).statistic == pytest.approx(3.91, abs=0.006)


def test_cumulative_probabilities_of_the_basel_traffic_light():
    # Basel Committee (1996), Supervisory framework for the use of backtesting, table 2: 250 days at 99 %
    published = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    found = [100 * traffic_light(x, 250, tail=0.01).at_most for x in range(11)]
    assert found == pytest.approx(published, abs=0.006)
    zones = [traffic_light(x, 250, tail=0.01).zone for x in range(11)]
    assert zones == ["green"] * 5 + ["yellow"] * 5 + ["red"]


def test_z2_critical_value_of_acerbi_and_szekely():
    # Acerbi, Szekely (2014), Backtesting Expected Shortfall: -0.70 at 5 % for n = 250 and a tail of 2.5 %
    from scipy.stats import norm

    rng = np.random.default_rng(1)
    q, es = norm.isf(0.025), norm.pdf(norm.isf(0.025)) / 0.025
    ones = np.ones(250)
    z2 = [acerbi_szekely_z2(row, q * ones, es * ones, tail=0.025) for row in rng.standard_normal((40_000, 250))]
    # 40,000 runs: standard error of the 5 % quantile about 0.006
    assert np.quantile(z2, 0.05) == pytest.approx(-0.70, abs=0.02)


def test_z2_critical_value_of_the_toolbox():
    # MathWorks, documentation of esbacktest.unconditionalNormal: 1,966 days, VaR 97.5 %, test level 99 %: -0.34639
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    q, es = norm.isf(0.025), norm.pdf(norm.isf(0.025)) / 0.025
    ones = np.ones(1966)
    z2 = [acerbi_szekely_z2(row, q * ones, es * ones, tail=0.025) for row in rng.standard_normal((10_000, 1966))]
    # the published value is itself simulated; stated tolerance 12 %
    assert np.quantile(z2, 0.01) == pytest.approx(-0.34639, rel=0.12)


def test_ratios_of_mcneil_and_frey():
    # McNeil, Frey (2000), Journal of Empirical Finance 7:271-300, DAX: shape 0.224, scale 0.568, tenth of the sample in
    # the tail; threshold from the ratio 1.52 at 95 %. ES / VaR at 99 % and 99.5 %: 1.42, 1.39; limit 1 / (1 - shape).
    shape, scale = 0.224, 0.568
    tail = ParetoTail(threshold=1.2181, shape=shape, scale=scale, share=0.1)
    ratios = [tail.expected_shortfall(a) / tail.quantile(a) for a in (0.05, 0.01, 0.005)]
    assert ratios == pytest.approx([1.52, 1.42, 1.39], abs=0.006)
    assert tail.expected_shortfall(1e-15) / tail.quantile(1e-15) == pytest.approx(1.29, abs=0.006)
