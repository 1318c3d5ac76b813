"""Which windows show a crisis day: from 00:00 UTC, and from the hour before the hour in which the price fell most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars
from margincover.scenarios.forecast.windows import DAY_HOURS, realised_maxima

# Days of large forced liquidations: the UTC day on which the hourly bars show the slide.
CRISIS_DAYS = (
    (date(2020, 3, 12), "Covid crash"),
    (date(2021, 5, 19), "May 2021 deleveraging"),
    (date(2021, 9, 7), "September 2021 flash crash"),
    (date(2021, 12, 4), "December 2021 flash crash"),
    (date(2022, 5, 11), "LUNA"),
    (date(2022, 6, 13), "Celsius halt"),
    (date(2022, 11, 8), "FTX"),
    (date(2023, 8, 17), "August 2023 slide"),
    (date(2024, 8, 5), "Yen carry unwind"),
    (date(2025, 2, 3), "Tariff slide"),
    (date(2025, 10, 10), "October 2025 deleveraging"),
)
_DAY_NS = DAY_HOURS * HOUR_NS
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrisisWindows:
    """Windows of one coin: place in ``CRISIS_DAYS``, whether from the hour before, bars known, realised M [.., side].

    ``crash_hour`` [window] is the UTC hour (0 to 23) of the day in which the low lay furthest below the close before;
    windows from the hour before start when that hour opens, on bars that had closed by then.
    """

    day: NDArray[np.int64]
    from_hour_before: NDArray[np.bool_]
    crash_hour: NDArray[np.int64]
    count: NDArray[np.int64]
    maximum: NDArray[np.float64]


def crisis_windows(bars: CoinBars, judged_start_utc_ns: NDArray[np.int64], horizon_hours: int) -> CrisisWindows:
    """Return the windows of the crisis days that lie in the judged windows of a coin.

    Notes
    -----
    The hour is picked with hindsight, as the question is what stood just before; the forecast itself reads no bar from
    that hour on. A day whose window would end after the data, or without bars, is left out.
    """
    rows: list[tuple[int, bool, int, int]] = []
    for place, (day, _) in enumerate(CRISIS_DAYS):
        start = (day - _EPOCH).days * _DAY_NS
        first = int((start - bars.start_utc_ns) // HOUR_NS)
        if not judged_start_utc_ns.size or start < judged_start_utc_ns[0] or first + DAY_HOURS > bars.n_bars:
            continue
        fall = bars.low[first : first + DAY_HOURS]
        if np.isnan(fall).all():
            continue
        hour = int(np.nanargmin(fall))
        for before, count in ((False, first), (True, first + hour)):
            if count + horizon_hours <= bars.n_bars:
                rows.append((place, before, hour, count))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    known = table[:, 3].copy()
    return CrisisWindows(
        day=table[:, 0].copy(),
        from_hour_before=table[:, 1].astype(bool),
        crash_hour=table[:, 2].copy(),
        count=known,
        maximum=realised_maxima(bars, known, horizon_hours=horizon_hours),
    )
