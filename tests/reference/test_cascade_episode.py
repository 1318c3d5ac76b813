"""2025-10-10 from seen bars and depth: what the cascade reproduces of the record day, and in which order of magnitude.

Published: Amberdata, "How 3.21B vanished in 60 seconds" (October 2025): 9.89 bn USD liquidated on its venues, 6.93 bn
(70 %) of it in 40 minutes, 3.21 bn in the worst minute, 83.9 % longs. The accounts are those of the shipped synthetic
population: no venue has published the real ones, so the ranges are wide and say only the order of magnitude.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from margincover.app.cascade import CascadeRequest, cascade
from margincover.app.cascade_index import seen_bars
from margincover.clearing.cascade import CascadeSettings, Feedback, SliceRule
from margincover.clearing.cascade_report import by_minute, deepest_gap, share_of_worst_window
from margincover.clearing.impact import Impact, thinned_depth_usd
from margincover.units import utc_ns
from tests.shared_data import shared_folder


@pytest.fixture(scope="module")
def shared():
    return shared_folder()


@pytest.fixture(scope="module")
def replay(shared):
    bars = shared / "data" / "bars_2025_10_10" / "BTCUSD_PERP_coinm_mark_1m_2025-10-09_10.parquet"
    index = seen_bars(bars, start_ns=utc_ns(datetime(2025, 10, 10, tzinfo=UTC)))
    settings = CascadeSettings(step_s=index.step_s, feedback=Feedback.NEXT_STEP, slices=SliceRule())
    # Hourly lows of 21:00 against the open of 20:00: BTC -12.9 %, ETH -14.9 %, SOL -31.1 %.
    request = CascadeRequest(index=index, coin="BTC", betas={"ETH": 1.15, "SOL": 2.4}, settings=settings)
    return cascade(request).data.result


def test_share_of_the_worst_40_minutes_is_of_the_published_order(replay):
    share = share_of_worst_window(replay.liquidated_usd, replay.settings.step_s, 2400.0)
    assert share == pytest.approx(0.70, abs=0.25)


def test_the_worst_minute_falls_where_it_was_seen(replay):
    minutes = by_minute(replay.liquidated_usd, replay.settings.step_s)
    # Auto-deleveraging on Hyperliquid ran from 21:15 to 21:27 UTC, the lowest mark of Binance fell in 21:20.
    assert 21 * 60 + 10 <= int(np.argmax(minutes)) <= 21 * 60 + 27
    assert 0.1 < minutes.max() / minutes.sum() < 0.5


def test_most_of_it_are_longs_and_the_total_is_billions(replay):
    longs, total = replay.record.sold_usd.sum(), replay.liquidated_usd.sum()
    assert longs / total > 0.8
    assert 1e9 < total < 3e10


def test_thin_venues_fall_below_the_index_further_than_deep_ones(replay):
    gap = deepest_gap(replay)
    assert (gap[1::2] > 2.0 * gap[::2]).all()
    # SOL: Binance's perpetual printed 141.28 when the lowest spot price of that hour was 168.79, 16 % below.
    assert 0.05 < gap[5] < 0.35


def test_depth_fell_as_the_default_thinning_says(shared):
    depth = pl.read_parquet(shared / "data" / "depth" / "BTCUSDT_perp_bookDepth_2025-10-10.parquet")
    bars = pl.read_parquet(shared / "data" / "bars_2025_10_10" / "BTCUSDT_perp_mark_5m_2025-10-08_12.parquet")
    # Only the asks are usable that evening: a stale bid stands in the file from 15:30 UTC on.
    asks = (
        depth.filter(pl.col("percentage") == 1)
        .group_by(pl.col("ts").dt.truncate("5m"))
        .agg(pl.col("notional").median())
        .join(bars.select("ts", (pl.col("low") + pl.col("high")) / 2.0), on="ts")
        .sort("ts")
    )
    evening = asks.filter(pl.col("ts").is_between(_at(20, 45), _at(21, 55)))
    quiet = asks.filter(pl.col("ts").is_between(_at(20, 0), _at(20, 40)))
    before, price = quiet["notional"].median(), quiet["low"].median()
    impact = Impact()
    stated = [thinned_depth_usd(before, low / price - 1.0, impact) for low in evening["low"]]
    ratio = evening["notional"].to_numpy() / np.array(stated)
    # Depth fell to 80 million of 367 and came back: the law stays within a factor of 1.6 of every five minutes.
    assert ratio.min() > 1.0 / 1.6
    assert ratio.max() < 1.6
    assert np.exp(np.abs(np.log(ratio)).mean()) < 1.2


def _at(hour, minute):
    return datetime(2025, 10, 10, hour, minute, tzinfo=UTC)
