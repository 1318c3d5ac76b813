"""Volatility models: nothing is known before its time, fallbacks are named, scores are those of the forecasts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory
from margincover.model.volatility import ImpliedSeries
from margincover.scenarios.volatility_assess import ImpliedIndex, assess, volatility_models
from margincover.scenarios.volatility_bars import DAY_NS, day_bars
from margincover.scenarios.volatility_garch import MIN_HAR_DAYS, Har, har_design
from margincover.scenarios.volatility_models import DailyEwma, Realised, refit_groups
from margincover.scenarios.volatility_scores import qlike
from tests.unit.synthetic_bars import bars_of, history_of_one_constant_coin, history_of_two_clustered_coins

N_DAYS = 560


@pytest.fixture(scope="module")
def hourly():
    return day_bars(history_of_two_clustered_coins(n_bars=N_DAYS * 24 + 7).factors["BTC"])


@pytest.fixture(scope="module")
def assessed(hourly):
    return assess(hourly, days=60)


def daily_history(bars) -> FactorHistory:
    table = np.exp(np.stack((bars.log_open, bars.log_high, bars.log_low, bars.log_close)))
    return dataclasses.replace(bars_of("BTC", table), step_s=86_400)


def test_days_end_at_the_last_bar_and_hold_all_its_hours(hourly):
    history = history_of_two_clustered_coins(n_bars=N_DAYS * 24 + 7).factors["BTC"]
    assert hourly.n_days == N_DAYS
    assert hourly.end_utc_ns == history.start_utc_ns + history.close.size * 3_600 * 10**9
    last = slice(-24, None)
    moves = np.diff(np.log(history.close))[last]
    assert hourly.realised[-1] == pytest.approx((moves**2).sum(), rel=1e-12)
    assert hourly.returns[-1] == pytest.approx(moves.sum(), rel=1e-9)
    assert hourly.log_high[-1] == pytest.approx(np.log(history.high[last].max()), rel=1e-12)


@pytest.mark.parametrize("model", volatility_models(), ids=lambda model: model.name)
def test_no_model_looks_ahead(hourly, model):
    origins = np.arange(515, N_DAYS + 1)
    all_known = model.forecast(hourly, origins)
    for cut in (520, 541):
        then = model.forecast(hourly.first_days(cut), origins[origins <= cut])
        for name in ("level", "one_day", "five_days"):
            assert getattr(then, name).tolist() == getattr(all_known, name)[: cut - 514].tolist()
        assert then.fallback == all_known.fallback[: cut - 514]
    assert (all_known.one_day > 0.0).all()
    assert not any(all_known.fallback)


@pytest.mark.parametrize("model", volatility_models(), ids=lambda model: model.name)
def test_a_forecast_does_not_depend_on_the_others_asked_for(hourly, model):
    alone = model.forecast(hourly, np.array([530]))
    among = model.forecast(hourly, np.arange(520, 540))
    assert alone.one_day[0] == among.one_day[10]


def test_fits_stand_at_whole_fortnights_of_the_calendar(hourly):
    groups = list(refit_groups(hourly, np.arange(500, 541), min_days=500))
    assert sum(places.size for _, places in groups) == 41
    for fit, places in groups[1:]:
        # the last day that had closed by then: the next one closes after it
        assert 0 < (hourly.start_utc_ns + (fit + 1) * DAY_NS) % (14 * DAY_NS) <= DAY_NS
        assert (500 + places >= fit).all()
        assert places.size <= 14


def test_a_young_coin_falls_back_and_says_what_is_needed(hourly):
    young = day_bars(history_of_two_clustered_coins(n_bars=70 * 24).factors["BTC"])
    result = assess(young, days=365)
    models = {model.name: model for model in result.models}
    assert models["garch-daily"].fallback_now == "ewma-daily: 70 days, 500 needed"
    assert models["garch-daily"].one_day_annual == models["ewma-daily"].one_day_annual
    assert models["garch-daily"].fallback_days == {"ewma-daily": 40}
    assert models["gjr-t-hourly"].fallback_now == ""
    assert any(note.startswith("40 days scored instead of 365") for note in result.notes)


def test_a_fit_without_convergence_is_named(hourly, monkeypatch):
    from margincover.scenarios import volatility_garch

    monkeypatch.setattr(volatility_garch, "maximise_gjr_t", lambda scaled: "the optimiser returned a NaN")
    result = volatility_garch.HourlyGjr().forecast(hourly, np.array([N_DAYS]))
    assert result.fallback == ("ewma-with-mean-reversion: the optimiser returned a NaN",)
    assert result.one_day[0] > 0.0


def test_constant_prices_and_too_few_days_are_errors():
    with pytest.raises(InputError, match="never moved"):
        day_bars(history_of_one_constant_coin().factors["USDX"])
    with pytest.raises(InputError, match=r"39 whole days.*at least 40"):
        day_bars(history_of_two_clustered_coins(n_bars=39 * 24 + 23).factors["BTC"])
    history = history_of_two_clustered_coins().factors["BTC"]
    with pytest.raises(InputError, match="bars of 1h or 1d"):
        day_bars(dataclasses.replace(history, step_s=900))


def test_missing_hours_join_their_move_to_the_next_bar_and_spoil_their_day():
    # ETH misses 10 hours of day 101: more than a quarter, so that day is not scored.
    missing = tuple(range(100 * 24 + 2, 100 * 24 + 12))
    bars = day_bars(history_of_two_clustered_coins(n_bars=200 * 24, missing=missing).factors["ETH"])
    whole = day_bars(history_of_two_clustered_coins(n_bars=200 * 24).factors["ETH"])
    assert bars.is_whole.tolist() == [day != 100 for day in range(200)]
    assert bars.returns == pytest.approx(whole.returns, abs=1e-12)
    assert np.isnan(bars.moves[missing[0] : missing[-1] + 2]).all()
    assert "1 days without enough bars" in " ".join(assess(bars, days=150).notes)


def test_har_is_least_squares_on_targets_that_had_ended(hourly):
    known = np.array([N_DAYS])
    found = Har().forecast(hourly, known)
    fit = next(refit_groups(hourly, known, min_days=MIN_HAR_DAYS))[0]
    log = np.log(hourly.realised)
    rows, target = [], []
    for day in range(29, fit - 1):
        means = [hourly.realised[day + 1 - n : day + 1].mean() for n in (1, 7, 30)]
        rows.append([1.0, *np.log(means)])
        target.append(log[day + 1])
    line, residual, *_ = np.linalg.lstsq(np.array(rows), np.array(target), rcond=None)
    variance = residual[0] / (len(target) - 4)
    expected = np.exp(har_design(hourly.realised)[-1] @ line + variance / 2.0)
    assert found.one_day[0] == pytest.approx(expected, rel=1e-9)


def test_realised_volatility_of_a_week_is_brought_to_the_hours_ahead(hourly):
    found = Realised(name="realised-7d", hours=168).forecast(hourly, np.array([N_DAYS]))
    # Seven whole days hold five weekdays and two weekend days, so that the level per day is near the plain mean.
    assert found.level[0] == pytest.approx(hourly.realised[-7:].mean(), rel=0.05)


def test_scores_are_those_of_the_forecasts_and_the_best_comes_first(hourly, assessed):
    origins = np.arange(N_DAYS - 60, N_DAYS)
    forecast = DailyEwma().forecast(hourly, origins).one_day
    ewma = next(model for model in assessed.models if model.name == "ewma-daily")
    assert ewma.scores.qlike == pytest.approx(qlike(hourly.realised[origins], forecast).mean(), rel=1e-12)
    assert ewma.scores.n_days == 60
    assert assessed.models[0].name == assessed.best
    assert assessed.models[0].scores.p_against_best is None
    losses = [model.scores.qlike for model in assessed.models]
    assert losses == sorted(losses)
    assert all(0.0 <= model.scores.p_against_best <= 1.0 for model in assessed.models[1:])


def test_an_index_is_known_only_after_its_bar_and_scored_on_its_own_days(hourly):
    known = hourly.start_utc_ns + DAY_NS * np.arange(N_DAYS - 45, N_DAYS - 2, dtype=np.int64)
    series = ImpliedSeries(
        coin="BTC", known_utc_ns=known, volatility_annual=np.full(known.size, 0.5), source="index.csv"
    )
    forecast = ImpliedIndex(series=series).forecast(hourly, np.array([N_DAYS - 46, N_DAYS - 45, N_DAYS - 1, N_DAYS]))
    assert np.isnan(forecast.one_day[[0, 3]]).all()
    assert forecast.one_day[1:3] == pytest.approx(0.25 / 365.0)
    result = assess(hourly, days=60, implied=series)
    index = next(model for model in result.models if model.name == "implied-index")
    assert index.one_day_annual is None
    assert index.scores.n_days == 45
    assert result.best != "implied-index"
    assert "implied-index has nothing to say" in " ".join(result.notes)


def test_daily_bars_leave_out_what_needs_hours(hourly):
    result = assess(day_bars(daily_history(hourly)), days=60)
    names = {model.name for model in result.models}
    assert {"ewma-daily", "garch-daily", "gjr-t-daily", "har", "parkinson-10d"} <= names
    assert not any("hourly" in name or "realised" in name for name in names)
    assert result.season is None
    assert any("Garman-Klass" in note for note in result.notes)
