"""Step by step along one series: correct the level by past exceedances, and bound how fast and how low it may go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import Vector

# Rise of the log requirement after an exceedance; it falls by tail / (1 - tail) of that after every other day.
STEP = 0.01
# Exceedances come in clusters: after one, the level stands this much higher for a while, halved every two days; the
# rarer what is exceeded, the more it says of the next days.
ECHO, ECHO_OF_COMMON, COMMON_TAIL = 0.1, 0.05, 0.05
ECHO_HALF_LIFE_DAYS = 2.0
# The requirement rises in five days by at most this factor over its lowest value of these days ...
MAX_RISE = 3.3
RISE_DAYS = 5
# ... and never falls below this share of its own past geometric mean, once 60 days are known.
FLOOR_SHARE = 0.45
FLOOR_DAYS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One coin and side in time order.

    ``log_level`` [row] is the uncorrected log distance; ``log_came`` [row] what came, NaN where the window ended after
    the data; ``is_day`` [row] marks the rows at 00:00 UTC, which alone move the state; ``time_utc_ns`` [row].
    """

    time_utc_ns: NDArray[np.int64]
    is_day: NDArray[np.bool_]
    log_level: Vector
    log_came: Vector


def corrected(series: Series, *, tail: float, horizon_ns: int, day_ns: int) -> Vector:
    """Return the corrected log distances [row].

    Notes
    -----
    A window moves the level only once it has ended. Windows longer than a day overlap, so each counts by day / horizon.
    The level so corrected has in the long run the stated rate, whatever the model: shift and echo are bounded, hence
    the mean of (exceedance - tail) goes to 0 with the number of days.

    References
    ----------
    Gibbs, Candes (2021), Adaptive conformal inference under distribution shift, NeurIPS 34.
    """
    share = min(1.0, day_ns / horizon_ns)
    step, fading = STEP * share / (1.0 - tail), 0.5 ** (1.0 / ECHO_HALF_LIFE_DAYS)
    echo_step = share * (ECHO_OF_COMMON if tail >= COMMON_TAIL else ECHO)
    out = np.empty(series.log_level.size)
    days: list[int] = []
    waiting = 0
    shift, echo, total = 0.0, 0.0, 0.0
    for row, now in enumerate(series.time_utc_ns):
        while waiting < len(days) and series.time_utc_ns[days[waiting]] + horizon_ns <= now:
            ended = days[waiting]
            waiting += 1
            if not np.isnan(series.log_came[ended]):
                surprise = float(series.log_came[ended] > out[ended]) - tail
                shift += step * surprise
                echo = fading * echo + echo_step * surprise
        value = series.log_level[row] + shift + echo
        if len(days) >= FLOOR_DAYS:
            value = max(value, np.log(FLOOR_SHARE) + total / len(days))
        recent = [out[k] for k in days[-RISE_DAYS:] if series.time_utc_ns[k] >= now - RISE_DAYS * day_ns]
        if recent:
            value = min(value, min(recent) + np.log(MAX_RISE))
        out[row] = value
        if series.is_day[row]:
            days.append(row)
            total += series.log_level[row]
    return out
