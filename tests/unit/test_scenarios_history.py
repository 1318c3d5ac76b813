"""Generators made from a history: alignment, hours, bootstrap, filtered simulation, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioGenerator
from margincover.scenarios.age_weighted import AgeWeightedBootstrap
from margincover.scenarios.bars import joint_bars
from margincover.scenarios.filtered import BURN_IN_BARS, FilteredHistorical
from margincover.scenarios.garch_fit import FALLBACK
from margincover.scenarios.historical import BlockBootstrap
from margincover.scenarios.seasonality import bucket_factors, hour_buckets
from tests.unit.synthetic_bars import START_UTC_NS, history_of_one_constant_coin, history_of_two_clustered_coins

MAKERS: dict[str, Callable[[History, list[str]], ScenarioGenerator]] = {
    "historical": lambda history, factors: BlockBootstrap(history=history, factors=factors),
    "age-weighted": lambda history, factors: AgeWeightedBootstrap(history=history, factors=factors),
    "filtered": lambda history, factors: FilteredHistorical.fit(history, factors),
}


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make(request: pytest.FixtureRequest) -> Callable[[History, list[str]], ScenarioGenerator]:
    return request.param


def test_missing_coin_error_lists_what_is_there(make: Callable[..., ScenarioGenerator]) -> None:
    with pytest.raises(InputError, match=r"no bars of SOL; the history holds BTC, ETH.*`proxies`"):
        make(history_of_two_clustered_coins(), ["BTC", "SOL"])


def test_constant_price_is_an_input_error(make: Callable[..., ScenarioGenerator]) -> None:
    with pytest.raises(InputError, match="USDX: the close never moved"):
        make(history_of_one_constant_coin(), ["USDX"])


@pytest.mark.parametrize(
    ("name", "n_bars", "needed"),
    [("historical", 150, "180"), ("age-weighted", 150, "180"), ("filtered", 1_400, "1500")],
)
def test_short_history_error_says_how_many_bars_are_needed(name: str, n_bars: int, needed: str) -> None:
    with pytest.raises(InputError, match=rf"{n_bars - 1} joint bars of BTC, ETH; allowed: at least {needed}"):
        MAKERS[name](history_of_two_clustered_coins(n_bars=n_bars), ["BTC", "ETH"])


def test_factor_asked_for_twice_is_an_input_error(make: Callable[..., ScenarioGenerator]) -> None:
    with pytest.raises(InputError, match="BTC stood 2 times"):
        make(history_of_two_clustered_coins(), ["BTC", "BTC"])


def test_impossible_bar_error_names_the_hour_and_the_source() -> None:
    history = history_of_two_clustered_coins()
    bars = history.factors["BTC"]
    low = bars.low.copy()
    low[24] = bars.high[24] * 1.1
    wrong = History(factors={"BTC": replace(bars, low=low)}, step_s=3_600, sha256="x")
    with pytest.raises(InputError, match=r"synthetic\.csv: BTC: bar 2025-01-07T00:00:00Z had open"):
        joint_bars(wrong, ["BTC"])


def test_windows_are_cut_to_the_bars_that_all_coins_have() -> None:
    history = history_of_two_clustered_coins(n_bars=300, missing=(100,))
    late = history.factors["ETH"]
    late = replace(
        late,
        start_utc_ns=START_UTC_NS + 50 * 3_600 * 1_000_000_000,
        open=late.open[50:],
        high=late.high[50:],
        low=late.low[50:],
        close=late.close[50:],
    )
    bars = joint_bars(
        History(factors={"BTC": history.factors["BTC"], "ETH": late}, step_s=3_600, sha256="x"), ["BTC", "ETH"]
    )
    # bars 50..299: the first has no close before it; missing bar 100 takes its own move and the next one
    assert bars.close.shape == (2, 249)
    assert np.flatnonzero(~bars.usable).tolist() == [49, 50]
    expected = math.log(history.factors["BTC"].close[51] / history.factors["BTC"].close[50])
    assert bars.close[0, 0] == pytest.approx(expected)
    assert bars.start_utc_ns == START_UTC_NS + 51 * 3_600 * 1_000_000_000


def test_grids_that_do_not_meet_are_an_input_error() -> None:
    history = history_of_two_clustered_coins(n_bars=300)
    shifted = replace(history.factors["ETH"], start_utc_ns=START_UTC_NS + 1_800 * 1_000_000_000)
    with pytest.raises(InputError, match="one grid"):
        joint_bars(History(factors={**history.factors, "ETH": shifted}, step_s=3_600, sha256="x"), ["BTC", "ETH"])


def test_bootstrap_replays_joint_bars_of_the_past() -> None:
    history = history_of_two_clustered_coins(n_bars=400)
    generator = BlockBootstrap(history=history, factors=["BTC", "ETH"])
    moves = joint_bars(history, ["BTC", "ETH"]).close
    block = generator.block(seed=1, number=0, n_steps=12, n_paths=50)
    recentring = generator._drift[:, np.arange(12) % 6].T[:, :, None]
    drawn = np.diff(block.close_log, axis=0, prepend=0.0) + recentring
    # one bar of the past fits both coins, and inside a block of six the bars follow one another
    distance = np.abs(moves[None, :, None, :] - drawn[..., None]).max(axis=1)
    assert distance.min(axis=-1).max() < 1e-12
    steps = np.diff(distance.argmin(axis=-1), axis=0) % moves.shape[1]
    assert (np.delete(steps, 5, axis=0) == 1).all()
    assert (steps[5] != 1).any()
    # recentring takes out the mean and half the variance, nothing else
    assert np.abs(recentring).max() < 0.1 * moves.std()


def test_bootstrap_block_must_be_whole_bars() -> None:
    with pytest.raises(InputError, match="whole number of bars"):
        BlockBootstrap(history=history_of_two_clustered_coins(), factors=["BTC"], block_s=5_000)


def test_filtered_paths_start_at_the_last_volatility_and_return() -> None:
    # Bars of the last 200 hours move four times as much: the first step is wilder than the last of 200.
    history = history_of_two_clustered_coins(n_bars=4_000)
    bars = history.factors["BTC"]
    scale = np.where(np.arange(4_000) >= 3_800, 4.0, 1.0)
    moves = np.diff(np.log(bars.close), prepend=math.log(bars.close[0])) * scale
    close = bars.close[0] * np.exp(np.cumsum(moves))
    opened = np.concatenate((close[:1], close[:-1]))
    wild = replace(bars, open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close), close=close)
    generator = FilteredHistorical.fit(History(factors={"BTC": wild}, step_s=3_600, sha256="x"), ["BTC"])
    variance = generator.block(seed=1, number=0, n_steps=200, n_paths=4_000).step_variance[:, 0].mean(axis=1)
    assert variance[:6].mean() > 1.5 * variance[-24:].mean()


def test_stale_history_starts_no_lower_than_the_long_run() -> None:
    history = history_of_two_clustered_coins(n_bars=4_000)
    bars = history.factors["BTC"]
    # the last 300 bars stand almost still, so that the last conditional variance is low
    moves = np.diff(np.log(bars.close), prepend=math.log(bars.close[0])) * np.where(np.arange(4_000) < 3_700, 1, 0.05)
    close = bars.close[0] * np.exp(np.cumsum(moves))
    opened = np.concatenate((close[:1], close[:-1]))
    calm = replace(bars, open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close), close=close)
    history = History(factors={"BTC": calm}, step_s=3_600, sha256="x")
    start = {
        stale: FilteredHistorical.fit(history, ["BTC"], as_of_stale=stale)
        .block(seed=1, number=0, n_steps=6, n_paths=4_000)
        .step_variance.mean()
        for stale in (False, True)
    }
    assert start[True] > 3 * start[False]


def test_filtered_with_a_short_window_says_that_it_fell_back() -> None:
    generator = FilteredHistorical.fit(history_of_two_clustered_coins(), ["BTC", "ETH"], window_bars=400)
    assert generator.info.params["volatility.BTC"] == FALLBACK
    assert any(FALLBACK in text and "BTC" in text and "400 bars" in text for text in generator.info.warnings)
    block = generator.block(seed=1, number=0, n_steps=24, n_paths=100)
    assert np.isfinite(block.close_log).all()


def test_filtered_pool_is_standardised_and_leaves_out_burn_in_and_gaps() -> None:
    history = history_of_two_clustered_coins(missing=(500,))
    generator = FilteredHistorical.fit(history, ["BTC", "ETH"], tail_share=0.0)
    pool = generator._bars[:, :, 0]
    # a bar that belongs to no drawable block is NaN: the burn-in, and around the gap the bars of no whole block
    assert np.isnan(pool[:, :BURN_IN_BARS]).all()
    assert np.isnan(pool[:, [499, 500]]).all()
    block = generator.block(seed=1, number=0, n_steps=1, n_paths=100_000)
    moves = block.close_log[0]
    largest = np.nanmax(np.abs(pool), axis=1)
    sigma = np.sqrt(block.step_variance[0].mean(axis=1))
    # no draw lies beyond the largest standardised move ever seen (plus drift, far below 1 %)
    assert (np.abs(moves).max(axis=1) <= 1.01 * largest * sigma * 1.02).all()
    assert moves.std(axis=1) == pytest.approx(sigma, rel=0.03)


def test_impossible_window_is_an_input_error() -> None:
    with pytest.raises(InputError, match="window_bars"):
        FilteredHistorical.fit(history_of_two_clustered_coins(), ["BTC"], window_bars=1)


def test_hours_are_counted_in_utc_with_their_own_weekend() -> None:
    saturday = START_UTC_NS + 5 * 86_400 * 1_000_000_000
    assert hour_buckets(start_utc_ns=START_UTC_NS, step_s=3_600, n_steps=3).tolist() == [0, 1, 2]
    assert hour_buckets(start_utc_ns=saturday, step_s=28_800, n_steps=3).tolist() == [24, 32, 40]


def test_busy_hour_is_found_and_mean_square_is_kept() -> None:
    buckets = hour_buckets(start_utc_ns=START_UTC_NS, step_s=3_600, n_steps=24 * 7 * 60)
    moves = np.random.default_rng(1).standard_normal(buckets.size) * np.where(buckets == 14, 2.0, 1.0)
    factors = bucket_factors(moves, buckets)
    assert factors[14] / factors[13] == pytest.approx(2.0, rel=0.15)
    assert (factors[buckets] ** 2).mean() == pytest.approx(1.0, rel=1e-9)
    # twenty moves per bucket are too few: no hour is told from another
    assert bucket_factors(moves[: 24 * 5], buckets[: 24 * 5]).tolist() == [1.0] * 48


def test_filtered_follows_the_hour_of_the_day() -> None:
    history = history_of_two_clustered_coins(n_bars=24 * 7 * 30)
    bars = history.factors["BTC"]
    hours = hour_buckets(start_utc_ns=START_UTC_NS, step_s=3_600, n_steps=bars.close.size) % 24
    moves = np.diff(np.log(bars.close), prepend=math.log(bars.close[0])) * np.where(hours == 14, 3.0, 1.0)
    close = bars.close[0] * np.exp(np.cumsum(moves))
    opened = np.concatenate((close[:1], close[:-1]))
    busy = replace(bars, open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close), close=close)
    generator = FilteredHistorical.fit(History(factors={"BTC": busy}, step_s=3_600, sha256="x"), ["BTC"])
    variance = generator.block(seed=1, number=0, n_steps=24, n_paths=4_000).step_variance[:, 0].mean(axis=1)
    # the history ends at midnight, so step 14 is the busy hour: nine times the variance, less what estimation loses
    assert variance.argmax() == 14
    assert variance[14] / np.median(variance) == pytest.approx(9.0, rel=0.35)
