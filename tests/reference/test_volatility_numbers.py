"""Volatility figures against published numbers, closed forms and another library."""

from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.numeric.first_passage import BGK_BETA
from margincover.numeric.volatility import GjrParameters
from margincover.scenarios.volatility_garch import expected_variances, maximise_garch
from margincover.scenarios.volatility_models import ewma_path
from margincover.scenarios.volatility_range import garman_klass, parkinson, rogers_satchell, yang_zhang
from margincover.scenarios.volatility_scores import diebold_mariano, mincer_zarnowitz, qlike


def brownian_days(*, n_days: int, n_steps: int, drift: float = 0.0, seed: int = 5):
    """Log open, high, low, close of days of variance 1, each from 0.

    Extremes of a grid lie inside those of the path by 0.5826 standard deviations of a step (Broadie, Glasserman, Kou
    1997); adding that leaves an error of second order.
    """
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((n_days, n_steps)) / math.sqrt(n_steps) + drift / n_steps
    path = np.cumsum(steps, axis=1)
    shift = BGK_BETA / math.sqrt(n_steps)
    high, low = np.maximum(path.max(axis=1), 0.0) + shift, np.minimum(path.min(axis=1), 0.0) - shift
    return np.zeros(n_days), high, low, path[:, -1]


def test_ewma_reproduces_the_textbook_update():
    # Hull, Options, Futures and Other Derivatives, EWMA example: lambda 0.9, sigma 1 %, return 2 % give 1.14 %.
    updated = ewma_path(np.array([0.02**2]), decay=0.9, start=0.01**2)[1]
    assert math.sqrt(updated) == pytest.approx(0.0114, rel=0.005)


def test_weight_beyond_the_effective_days_of_an_ewma_is_one_per_cent():
    # lambda^K = 1 %: 74 observations at 0.94 and 151 at 0.97 (RiskMetrics Technical Document 1996, table 5.7).
    for decay, days in ((0.94, 74), (0.97, 151)):
        left = ewma_path(np.zeros(days), decay=decay, start=1.0)[days]
        assert left <= 0.0103
        assert ewma_path(np.zeros(days - 1), decay=decay, start=1.0)[days - 1] > 0.01


def test_range_measures_are_right_and_as_efficient_as_published_on_brownian_days():
    # Efficiency is the variance of the squared close, 2, over that of the measure. Parkinson: exactly
    # 2 / (9 zeta(3) / (16 ln(2)^2) - 1) = 4.91; Garman-Klass (1980): 7.4; Rogers-Satchell (1991): 6.0.
    # 40,000 days: 1 % of sampling error in a mean, about 3 % in a variance.
    days = brownian_days(n_days=40_000, n_steps=1_000)
    o, high, low, close = days
    apery = 1.2020569031595942
    exact = 2.0 / (9.0 * apery / (16.0 * math.log(2.0) ** 2) - 1.0)
    for values, efficiency in (
        (parkinson(high, low), exact),
        (garman_klass(o, high, low, close), 7.4),
        (rogers_satchell(o, high, low, close), 6.0),
    ):
        assert values.mean() == pytest.approx(1.0, abs=0.015)
        assert 2.0 / values.var() == pytest.approx(efficiency, rel=0.06)


def test_drift_spoils_parkinson_but_neither_rogers_satchell_nor_yang_zhang():
    o, high, low, close = brownian_days(n_days=20_000, n_steps=1_000, drift=1.0)
    before = np.zeros_like(o)
    assert parkinson(high, low).mean() > 1.2
    assert rogers_satchell(o, high, low, close).mean() == pytest.approx(1.0, abs=0.02)
    assert yang_zhang(o, high, low, close, before) == pytest.approx(1.0, abs=0.02)


def test_yang_zhang_adds_the_jumps_between_close_and_open():
    o, high, low, close = brownian_days(n_days=20_000, n_steps=1_000)
    jumps = 0.5 * np.random.default_rng(1).standard_normal(o.size)
    found = yang_zhang(o, high, low, close, o - jumps)
    # variance inside the day 1, of the jumps 0.25
    assert found == pytest.approx(1.25, abs=0.025)


def test_expected_variances_are_those_of_arch():
    from arch import arch_model

    rng = np.random.default_rng(3)
    variance, returns = 1.0, np.empty(2_000)
    for t in range(returns.size):
        returns[t] = math.sqrt(variance) * rng.standard_normal()
        variance = 0.05 + 0.1 * returns[t] ** 2 + 0.85 * variance
    result = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, dist="normal", rescale=False).fit(disp="off")
    omega, alpha, beta = (float(value) for value in result.params)
    theirs = result.forecast(horizon=5).variance.to_numpy()[-1]
    ours = expected_variances(GjrParameters(omega=omega, alpha=alpha, gamma=0.0, beta=beta), float(theirs[0]), 5)
    assert ours == pytest.approx(theirs, rel=1e-10)
    # the fit is made on residuals of unit variance: the same optimum, found from another start
    assert maximise_garch(returns) == pytest.approx((alpha, beta), abs=2e-3)


def test_qlike_orders_forecasts_by_a_noisy_measure_as_by_the_unseen_variance():
    # Patton (2011): the loss is robust to noise of the measure. A squared normal is unbiased and very noisy.
    rng = np.random.default_rng(2)
    variance = np.exp(rng.standard_normal(200_000))
    measured = variance * rng.standard_normal(variance.size) ** 2
    right, high, low = (qlike(measured, variance * factor).mean() for factor in (1.0, 1.5, 1 / 1.5))
    assert right < high < low
    assert high - right == pytest.approx(1 / 1.5 - math.log(1 / 1.5) - 1.0, abs=0.01)


def test_mincer_zarnowitz_is_the_least_squares_line():
    rng = np.random.default_rng(4)
    forecast = np.exp(rng.standard_normal(500))
    realised = 0.2 + 0.7 * forecast + 0.3 * rng.standard_normal(500) ** 2
    slope, intercept = np.polyfit(forecast, realised, 1)
    found = mincer_zarnowitz(realised, forecast)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), rel=1e-9)
    assert found.r2 == pytest.approx(np.corrcoef(forecast, realised)[0, 1] ** 2, rel=1e-9)


def test_diebold_mariano_rejects_equal_models_at_about_its_level_and_finds_a_worse_one():
    rng = np.random.default_rng(6)
    level = [diebold_mariano(*rng.standard_normal((2, 365))).p_value < 0.05 for _ in range(1_000)]
    # 1,000 trials: a standard error of 0.7 %; a Bartlett window is known to reject a little too often
    assert 0.03 < np.mean(level) < 0.08
    first, second = rng.standard_normal((2, 365))
    worse = diebold_mariano(first + 0.3, second)
    assert worse.statistic > 0.0
    assert worse.p_value < 0.01
    same = diebold_mariano(first, first)
    assert (same.statistic, same.p_value) == (0.0, 1.0)


def test_documented_scores_of_btc_are_those_of_the_data(shared_folder):
    # docs/how-to/volatility.md and the run behind it: BTC perpetual, 365 days to 2025-12-31.
    from margincover.app.vol import VolSettings, vol

    report = vol(
        shared_folder / "data" / "prices" / "perp_1h",
        VolSettings(coins=("BTC",), dvol={"BTC": shared_folder / "data" / "options" / "dvol_btc_daily.parquet"}),
    )
    coin = report.result.coins[0]
    scores = {model.name: model.scores for model in coin.models}
    assert coin.best == "gjr-t-hourly"
    # abs 0.003: an optimiser of another version may end elsewhere in a flat likelihood
    assert scores["gjr-t-hourly"].qlike == pytest.approx(0.313, abs=0.003)
    assert scores["ewma-daily"].qlike == pytest.approx(0.435, abs=0.001)
    assert (scores["implied-index"].n_days, scores["implied-index"].p_against_best < 0.001) == (319, True)
    assert scores["implied-index"].qlike == pytest.approx(0.407, abs=0.001)
