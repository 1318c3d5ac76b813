"""Crisis days one by one: what was forecast at 00:00 UTC and in the hour before the slide, and what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from margincover.app.backtest import BacktestResult
from margincover.app.crisis_windows import CRISIS_DAYS
from margincover.scenarios.forecast.required import Forecast, Side

MIDNIGHT, HOUR_BEFORE = "00:00 UTC", "hour before"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrisisRow:
    """One coin, day and instant: realised M from there, and the requirements [tolerance] that stood, by model.

    ``instant`` is ``00:00 UTC`` or ``hour before``; ``forecast_utc`` is the instant as a time of day.
    """

    day: str
    name: str
    coin: str
    side: str
    instant: str
    forecast_utc: str
    came: float
    forecast: dict[str, tuple[float, ...]]


def crisis_rows(result: BacktestResult) -> list[CrisisRow]:
    """Return the longs of every judged coin on every crisis day, by day, coin and instant, for default and reference.

    Notes
    -----
    Longs only: all these days fell. Requirement and M of the hour before refer to the price at that hour, so that what
    had already fallen by then is in neither.
    """
    rows = [
        (int(found.day[place]), coin, bool(found.from_hour_before[place]), place)
        for coin, found in result.crises.items()
        for place in range(found.count.size)
    ]
    return [_row(result, day, coin, place) for day, coin, _, place in sorted(rows)]


def _row(result: BacktestResult, day: int, coin: str, place: int) -> CrisisRow:
    windows = result.crises[coin]
    before = bool(windows.from_hour_before[place])
    hour = int(windows.crash_hour[place]) if before else 0
    return CrisisRow(
        day=CRISIS_DAYS[day][0].isoformat(),
        name=CRISIS_DAYS[day][1],
        coin=coin,
        side="long",
        instant=HOUR_BEFORE if before else MIDNIGHT,
        forecast_utc=f"{hour:02d}:00",
        came=float(windows.maximum[place, Side.LONG]),
        forecast=_standing(result.crisis_forecasts, coin, place),
    )


def _standing(forecasts: Mapping[str, Mapping[str, Forecast]], coin: str, place: int) -> dict[str, tuple[float, ...]]:
    return {
        model: tuple(float(value) for value in by_coin[coin].rc[place, Side.LONG])
        for model, by_coin in sorted(forecasts.items())
        if coin in by_coin
    }
