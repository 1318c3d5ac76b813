from __future__ import annotations

import numpy as np

from margincover.app.crisis_windows import CRISIS_DAYS, crisis_windows
from margincover.scenarios.forecast.coin_bars import CoinBars
from tests.market_cases import clustered_prices, coin_history

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS


def crashed_at_ten_on_the_yen_day() -> tuple[CoinBars, int]:
    """Bars from 2024-07-01 on, with a low 40 % below the close before in the bar that opens at 10:00 of 2024-08-05."""
    start = int(np.datetime64("2024-07-01").astype("M8[ns]").astype(np.int64))
    day = int(np.datetime64("2024-08-05").astype("M8[ns]").astype(np.int64))
    table = clustered_prices(n_bars=60 * 24, seed=9)
    crash = (day - start) // HOUR_NS + 10
    table[2, crash] = 0.6 * table[3, crash - 1]
    return CoinBars(history=coin_history("BTC", table, start_utc_ns=start)), int(crash)


def test_the_window_of_the_hour_before_opens_with_the_hour_of_the_largest_fall():
    bars, crash = crashed_at_ten_on_the_yen_day()
    judged = np.array([bars.start_utc_ns])
    found = crisis_windows(bars, judged, 24)
    assert [CRISIS_DAYS[k][1] for k in found.day] == ["Yen carry unwind"] * 2
    assert found.from_hour_before.tolist() == [False, True]
    assert found.crash_hour.tolist() == [10, 10]
    # ten bars of the day had closed; the crash bar itself is not among them
    assert found.count.tolist() == [crash - 10, crash]
    # what came from the close before the crash is the crash: 1 - 0.995 x 0.6
    assert abs(found.maximum[1, 0] - (1 - 0.995 * 0.6)) < 1e-12


def test_days_before_the_judged_windows_or_after_the_data_are_left_out():
    bars, _ = crashed_at_ten_on_the_yen_day()
    late = np.array([bars.start_utc_ns + 50 * DAY_NS])
    assert crisis_windows(bars, late, 24).count.size == 0
    # a window of 30 days from 2024-08-05 does not end within 60 days from 2024-07-01
    assert crisis_windows(bars, np.array([bars.start_utc_ns]), 30 * 24).count.size == 0
