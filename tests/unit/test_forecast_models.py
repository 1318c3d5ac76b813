from __future__ import annotations

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.numeric.first_passage import BrownianLaw, Contract, required_coverage
from margincover.numeric.quantile import expected_shortfall, tail_quantile
from margincover.numeric.quantile_regression import fit_quantile, smoothed_loss
from margincover.scenarios.forecast import kernels, kernels_reference
from margincover.scenarios.forecast.coin_bars import CoinBars
from margincover.scenarios.forecast.fallback import BOUND, NAME, RangeFallback
from margincover.scenarios.forecast.filtered import FilteredForecast
from margincover.scenarios.forecast.models import answered, coin_models
from margincover.scenarios.forecast.normal import NormalForecast
from margincover.scenarios.forecast.pooled import PooledForecast
from margincover.scenarios.forecast.pooled_correction import ECHO, ECHO_OF_COMMON, MAX_RISE, STEP, Series, corrected
from margincover.scenarios.forecast.pooled_features import weekday_shares
from margincover.scenarios.forecast.required import (
    Forecast,
    Side,
    Tolerances,
    extreme_distance,
    shortfall_maximum,
    tail_figures,
)
from margincover.scenarios.forecast.stress_floor import StoredForecast, StressFloorForecast
from margincover.scenarios.forecast.windows import realised_maxima
from tests.market_cases import clustered_prices, coin_history

TOLERANCES = Tolerances(values=(0.05, 0.01, 0.001))
DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return clustered_prices(n_bars=7_200, seed=1)


@pytest.fixture(scope="module")
def bars(table) -> CoinBars:
    return CoinBars(history=coin_history("BTC", table))


def cut(table: np.ndarray, count: int, name: str = "BTC") -> CoinBars:
    return CoinBars(history=coin_history(name, table[:, :count].copy()))


def test_shortfall_of_a_hand_made_window():
    # price 100, low 90, high 120: long 1 - 0.995 * 0.9, short 1.005 * 1.2 - 1
    table = np.array([[100.0, 100, 100], [100.0, 120, 100], [100.0, 90, 100], [100.0, 100, 100]])
    found = realised_maxima(cut(table, 3), np.array([1]), horizon_hours=2)
    assert found[0] == pytest.approx([1 - 0.995 * 0.9, 1.005 * 1.2 - 1], rel=1e-12)


def test_shortfall_is_never_below_maintenance():
    table = np.full((4, 5), 100.0)
    table[:, 3:] = 101.0
    found = realised_maxima(cut(table, 5), np.array([2]), horizon_hours=2)
    assert found[0, Side.LONG] == pytest.approx(0.005, rel=1e-12)


def test_distance_is_the_inverse_of_the_shortfall():
    x = np.array([0.0, 0.1, 1.5])
    for side in (0, 1):
        assert extreme_distance(shortfall_maximum(x, Side(side)), Side(side)) == pytest.approx(x, abs=1e-12)


def test_tail_figures_follow_the_conventions_of_the_product():
    values = np.random.default_rng(3).exponential(size=1_003)
    rc, rces = tail_figures(values, TOLERANCES)
    assert rc == pytest.approx([tail_quantile(values, a) for a in TOLERANCES.values], rel=1e-12)
    assert rces == pytest.approx([expected_shortfall(values, a) for a in TOLERANCES.values], rel=1e-12)


def test_compiled_paths_equal_the_plain_twin():
    rng = np.random.default_rng(4)
    close = rng.standard_t(4, 300)
    bars = np.stack((close, np.minimum(close, 0) - rng.random(300), np.maximum(close, 0) + rng.random(300)), axis=1)
    index = rng.integers(300, size=(30, 40))
    stretch = 1.0 + (rng.random((30, 2, 40)) > 0.9)
    args = (bars, index, stretch, rng.uniform(0.7, 1.4, 30), np.array([1e-6, 0.05, 0.04, 0.9, 4e-5]), 0.03)
    assert kernels.bar_extremes(*args) == pytest.approx(kernels_reference.bar_extremes(*args), rel=1e-12)


def test_normal_model_agrees_with_the_first_passage_of_a_driftless_price(bars):
    count = np.array([5_000])
    model = NormalForecast(name="n", label="", decay=0.94, step_hours=24)
    found = model.forecast(bars, count, horizon_hours=24, tolerances=TOLERANCES)
    deviation = extreme_distance(found.rc[0, :1, 1], Side.LONG)[0] / 2.5758293035489004
    law = BrownianLaw(sigma_annual=deviation * np.sqrt(365), horizon_years=1 / 365, log_drift_annual=0.0)
    for side, contract in ((Side.LONG, Contract.LINEAR_LONG), (Side.SHORT, Contract.LINEAR_SHORT)):
        theirs = required_coverage(
            law, contract=contract, maintenance_fraction=0.005, tolerance=0.01, equity_fraction=0.0
        )
        assert found.rc[0, side, 1] == pytest.approx(theirs.rc, rel=1e-9)
        assert found.rces[0, side, 1] == pytest.approx(theirs.rces, rel=1e-9)


@pytest.mark.parametrize("name", sorted(coin_models()))
def test_no_model_sees_bars_after_the_forecast(name, table, bars):
    model = coin_models(n_paths=1_000)[name]
    count = np.array([6_300, 6_500, 6_900])
    whole = answered(model, bars, count, horizon_hours=24, tolerances=TOLERANCES)
    for k, known in enumerate(count):
        alone = answered(model, cut(table, known), np.array([known]), horizon_hours=24, tolerances=TOLERANCES)
        assert alone.rc[0].tolist() == whole.rc[k].tolist()
        assert alone.rces[0].tolist() == whole.rces[k].tolist()
        assert alone.method[0] == whole.method[k]


def test_every_model_orders_its_figures(bars):
    count = np.array([6_300, 7_000])
    for name, model in coin_models(n_paths=1_000).items():
        found = answered(model, bars, count, horizon_hours=24, tolerances=TOLERANCES)
        assert (np.diff(found.rc, axis=2) >= 0.0).all(), name
        assert (found.rces >= found.rc).all(), name
        assert (found.rc > 0.005).all(), name


def test_reference_holds_its_rate_on_its_own_law(bars):
    count = np.arange(2_400, 7_176, 24)
    found = FilteredForecast(n_paths=4_000).forecast(bars, count, horizon_hours=24, tolerances=TOLERANCES)
    came = realised_maxima(bars, count, horizon_hours=24)
    rate = (came > found.rc[:, :, 0]).mean()
    # 2 x 199 windows at 5 %: standard error about 1.2 % with the two sides dependent
    assert 0.015 < rate < 0.095


def test_a_young_coin_is_answered_by_the_named_fallback(bars):
    found = answered(
        FilteredForecast(n_paths=1_000), bars, np.array([0, 5, 1_499, 1_500]), horizon_hours=24, tolerances=TOLERANCES
    )
    assert [text.split(" (")[0] for text in found.method] == [BOUND, BOUND, NAME, "reference"]
    assert "1499 bars, reference needs 1500" in found.method[2]
    assert (found.rc[0] == 1.0).all()


def test_constant_prices_are_no_zero_requirement():
    still = CoinBars(history=coin_history("USDX", np.ones((4, 3_000))))
    found = answered(FilteredForecast(n_paths=1_000), still, np.array([2_500]), horizon_hours=24, tolerances=TOLERANCES)
    assert found.method[0].startswith(BOUND)
    assert "never moved" in found.method[0]
    assert (found.rc == 1.0).all()


def test_fallback_interpolates_and_goes_on_beyond_its_table(bars):
    tails = Tolerances(values=(0.02, 0.0005))
    found = RangeFallback().forecast(bars, np.array([2_000]), horizon_hours=24, tolerances=tails)
    known = RangeFallback().forecast(bars, np.array([2_000]), horizon_hours=24, tolerances=TOLERANCES)
    assert known.rc[0, 0, 0] < found.rc[0, 0, 0] < known.rc[0, 0, 1] < known.rc[0, 0, 2] < found.rc[0, 0, 1]


def test_missing_bars_are_bridged_and_a_hole_at_the_forecast_is_answered(table):
    holed = table.copy()
    holed[:, [3_000, 3_001, 5_999]] = np.nan
    bars = CoinBars(history=coin_history("BTC", holed))
    found = answered(FilteredForecast(n_paths=1_000), bars, np.array([6_000]), horizon_hours=24, tolerances=TOLERANCES)
    assert found.method == ("reference",)
    assert np.isfinite(found.rc).all()


def test_daily_bars_are_refused(table):
    from dataclasses import replace

    with pytest.raises(InputError, match="hourly bars"):
        CoinBars(history=replace(coin_history("BTC", table), step_s=86_400))


def test_quantile_regression_finds_a_known_line():
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, 40_000)
    # y = 1 + 2 x + (1 + 0.5 x) e, e exponential: its 90 % quantile is 1 + 2 x + (1 + 0.5 x) ln 10
    y = 1 + 2 * x + (1 + 0.5 * x) * rng.standard_exponential(x.size)
    found = fit_quantile(
        np.column_stack([np.ones_like(x), x]),
        y,
        tail=0.1,
        weights=np.ones_like(x),
        ridge=np.zeros(2),
        start=np.zeros(2),
    )
    # standard error about 0.02; the smoothing adds less than 0.01
    assert found == pytest.approx([1 + np.log(10), 2 + 0.5 * np.log(10)], abs=0.06)


def test_smoothed_loss_is_the_pinball_loss_away_from_zero_and_smooth_at_the_seams():
    error = np.array([-1.0, -0.05, 0.0, 0.05, 1.0])
    loss, slope = smoothed_loss(error, tail=0.1, smoothing=0.05)
    assert loss == pytest.approx([0.1, 0.005, 0.0125, 0.045, 0.9], abs=1e-12)
    assert slope == pytest.approx([-0.1, -0.1, 0.4, 0.9, 0.9], abs=1e-12)


def test_correction_brings_a_level_that_is_far_off_to_the_stated_rate():
    rng = np.random.default_rng(6)
    days = 4_000
    series = Series(
        time_utc_ns=np.arange(days) * DAY_NS,
        is_day=np.ones(days, dtype=bool),
        log_level=np.full(days, np.log(1.0)),
        log_came=np.log(rng.exponential(size=days)),
    )
    # exceeded in e^-1 = 37 % of days without correction
    found = corrected(series, tail=0.05, horizon_ns=DAY_NS, day_ns=DAY_NS)
    rate = (series.log_came[500:] > found[500:]).mean()
    assert 0.04 < rate < 0.06


def test_correction_bounds_the_rise_and_waits_for_the_end_of_a_window():
    log_level = np.zeros(20)
    log_level[10:] = 5.0
    came = np.full(20, -9.0)
    came[3] = 1.0
    series = Series(
        time_utc_ns=np.arange(20) * DAY_NS, is_day=np.ones(20, dtype=bool), log_level=log_level, log_came=came
    )
    found = corrected(series, tail=0.05, horizon_ns=2 * DAY_NS, day_ns=DAY_NS)
    # the window of day 3 ends on day 5: only then may the level rise
    assert found[4] < found[3]
    assert found[5] > found[4]
    assert found[10] == pytest.approx(found[5:10].min() + np.log(MAX_RISE))


def learned_of(market, asked):
    model, pooled = FilteredForecast(n_paths=1_000), PooledForecast()
    learned = {}
    for coin, coin_bars in market.items():
        count = np.union1d(pooled.training_counts(coin_bars), asked.get(coin, np.empty(0, dtype=np.int64)))
        learned[coin] = (count, answered(model, coin_bars, count, horizon_hours=24, tolerances=TOLERANCES))
    return learned


def test_default_sees_no_bar_after_the_forecast_in_any_coin(table):
    other = clustered_prices(n_bars=7_200, seed=2, level=0.01)
    asked = {"BTC": np.array([6_200, 6_205, 6_600]), "ALT": np.array([6_600])}
    market = {"BTC": cut(table, 7_200), "ALT": cut(other, 7_200, "ALT")}
    whole = PooledForecast().forecast(
        market, learned_of(market, asked), asked, horizon_hours=24, base_tolerances=TOLERANCES
    )
    for coin, place, known in (("BTC", 1, 6_205), ("ALT", 0, 6_600)):
        early = {"BTC": cut(table, known), "ALT": cut(other, known, "ALT")}
        alone = {coin: np.array([known])}
        found = PooledForecast().forecast(
            early, learned_of(early, alone), alone, horizon_hours=24, base_tolerances=TOLERANCES
        )
        assert found[coin].rc[0].tolist() == whole[coin].rc[place].tolist()
        assert found[coin].rces[0].tolist() == whole[coin].rces[place].tolist()
    assert whole["ALT"].method == ("default",)


def test_default_without_enough_days_is_the_reference_and_says_so(table):
    market = {"BTC": cut(table, 2_400)}
    asked = {"BTC": np.array([1_000, 2_300])}
    learned = learned_of(market, asked)
    found = PooledForecast().forecast(market, learned, asked, horizon_hours=24, base_tolerances=TOLERANCES)["BTC"]
    assert found.method[0].startswith(NAME)
    assert "too few coin-days" in found.method[1]


def test_add_on_never_lowers_and_reuses_stored_forecasts(bars):
    count = np.array([6_000, 6_024])
    base = FilteredForecast(n_paths=1_000)
    made = base.forecast(bars, count, horizon_hours=24, tolerances=TOLERANCES)
    stored = StoredForecast(count=count, found=made, min_bars=base.min_bars)
    ours = StressFloorForecast(base=base).forecast(bars, count, horizon_hours=24, tolerances=TOLERANCES)
    again = StressFloorForecast(base=stored).forecast(bars, count, horizon_hours=24, tolerances=TOLERANCES)
    assert ours.rc.tolist() == again.rc.tolist()
    assert (ours.rc >= made.rc).all()


def test_forecasts_hold_no_nan():
    with pytest.raises(InputError, match="NaN"):
        Forecast(rc=np.full((1, 2, 1), np.nan), rces=np.ones((1, 2, 1)), method=("x",))


def test_tolerances_fall():
    with pytest.raises(InputError, match="tolerances"):
        Tolerances(values=(0.01, 0.05))


@pytest.mark.parametrize(("tail", "echo"), [(0.05, ECHO_OF_COMMON), (0.01, ECHO)])
def test_an_exceedance_echoes_for_some_days_and_fades(tail, echo):
    came = np.full(30, -9.0)
    came[10] = 1.0
    series = Series(
        time_utc_ns=np.arange(30) * DAY_NS, is_day=np.ones(30, dtype=bool), log_level=np.zeros(30), log_came=came
    )
    found = corrected(series, tail=tail, horizon_ns=DAY_NS, day_ns=DAY_NS)
    # a step that stays and an echo that fades; the small falls of quiet days before are in both levels
    assert found[11] - found[10] == pytest.approx(STEP + echo * (1.0 - tail), abs=0.01)
    assert found[29] - found[10] == pytest.approx(STEP, abs=0.02)
    assert (np.diff(found[11:]) < 0.0).all()


def test_weekday_shares_count_the_hours_ahead():
    # 2024-01-05 was a Friday: from 18:00 six hours of it and eighteen of Saturday lie ahead
    friday = np.datetime64("2024-01-05T18:00").astype("M8[ns]").astype(np.int64)
    found = weekday_shares(np.array([friday]), 24)
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0, 0.25, 0.75])


def test_far_rise_of_volatility_raises_the_forecast_range_of_the_default(table):
    # twin histories of the same bars, one with its last two days three times as wide
    wild = np.log(table.copy())
    start = 7_200 - 48
    wild[:, start:] = wild[3, start - 1] + 3.0 * (wild[:, start:] - wild[3, start - 1])
    asked = {"BTC": np.array([7_200])}
    found = []
    for bars in (table, np.exp(wild)):
        market = {"BTC": cut(bars, 7_200), "ALT": cut(clustered_prices(n_bars=7_200, seed=2, level=0.01), 7_200, "ALT")}
        found.append(
            PooledForecast()
            .forecast(market, learned_of(market, asked), asked, horizon_hours=24, base_tolerances=TOLERANCES)["BTC"]
            .rc[0]
        )
    assert (found[1] > 1.1 * found[0]).all()
