"""Crisis days one by one: what was forecast at 00:00 UTC of the day, and what came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from margincover.app.backtest import BacktestResult
from margincover.scenarios.forecast.models import DEFAULT, REFERENCE
from margincover.scenarios.forecast.required import Side

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


@dataclass(frozen=True, slots=True, kw_only=True)
class CrisisRow:
    """One coin, side and day: realised M and the requirements [tolerance] that stood before it, by model."""

    day: str
    name: str
    coin: str
    side: str
    came: float
    forecast: dict[str, tuple[float, ...]]


def crisis_rows(result: BacktestResult) -> list[CrisisRow]:
    """Return the longs of every judged coin on every crisis day that lies in its windows, for default and reference.

    Notes
    -----
    Longs only: all these days fell. A window that merely holds the day (horizons above 24 h) counts.
    """
    models = [name for name in (DEFAULT, REFERENCE) if name in result.forecasts]
    rows = []
    for day, name in CRISIS_DAYS:
        noon_ns = (day - date(1970, 1, 1)).days * 86_400_000_000_000 + 43_200_000_000_000
        for found in result.judged:
            holds = (found.start_utc_ns <= noon_ns) & (
                noon_ns < found.start_utc_ns + result.settings.horizon_hours * 3_600_000_000_000
            )
            for place in holds.nonzero()[0]:
                rows.append(
                    CrisisRow(
                        day=day.isoformat(),
                        name=name,
                        coin=found.coin,
                        side="long",
                        came=float(found.maximum[place, Side.LONG]),
                        forecast={
                            model: tuple(
                                float(value) for value in result.forecasts[model][found.coin].rc[place, Side.LONG]
                            )
                            for model in models
                        },
                    )
                )
    return rows
