"""The backtest as text tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from margincover.coverage.backtest_scores import ModelScore

if TYPE_CHECKING:
    from rich.table import Table

HEADERS = (
    "model",
    "rate",
    "95 % interval",
    "calm / stress",
    "Kupiec",
    "DQ",
    "CC",
    "Z2",
    "loss / ref",
    "FZ0 best",
    "capital",
    "exact / ref",
    "peak/trough",
    "5-day jump",
)


class CrisisLine(Protocol):
    """A crisis day of one coin at one instant, as ``app.crisis_days`` gives it."""

    @property
    def day(self) -> str:
        """ISO date."""

    @property
    def name(self) -> str:
        """What the day is known for."""

    @property
    def coin(self) -> str:
        """Coin."""

    @property
    def instant(self) -> str:
        """00:00 UTC or hour before."""

    @property
    def forecast_utc(self) -> str:
        """The instant as a time of day."""

    @property
    def came(self) -> float:
        """Realised M."""

    @property
    def forecast(self) -> dict[str, tuple[float, ...]]:
        """Requirements by model."""


CRISIS_CAPTION = (
    "Crisis days, longs: per cent of notional forecast at 00:00 UTC and just before the hour of the largest fall, and "
    "what came from there (! where it was more)"
)


def crisis_headers(rows: Sequence[CrisisLine], tolerances: Sequence[float]) -> tuple[str, ...]:
    """Return the heads of the crisis table, in the order of ``crisis_cells``."""
    models = list(rows[0].forecast) if rows else []
    heads = [f"{model} {100 * tail:g} %" for model in models for tail in tolerances]
    return ("day", "event", "coin", "forecast at", "came", *heads)


def crisis_cells(row: CrisisLine) -> tuple[str, ...]:
    """Return the cells of one row of the crisis table."""
    figures = [
        f"{100 * value:.1f}{' !' if row.came > value else ''}" for values in row.forecast.values() for value in values
    ]
    instant = row.forecast_utc if row.instant.startswith("00:00") else f"{row.forecast_utc} ({row.instant})"
    return (row.day, row.name, row.coin, instant, f"{100 * row.came:.1f}", *figures)


def crisis_table_text(rows: Sequence[CrisisLine], tolerances: Sequence[float]) -> Table:
    """Return the crisis days for the terminal."""
    from rich.table import Table

    table = Table(title=CRISIS_CAPTION, title_justify="left")
    for k, header in enumerate(crisis_headers(rows, tolerances)):
        table.add_column(header, justify="left" if k < 4 else "right", overflow="fold")
    for row in rows:
        table.add_row(*crisis_cells(row))
    return table


def score_cells(score: ModelScore) -> tuple[str, ...]:
    """Return the cells of one row of the score table, in the order of ``HEADERS``."""
    return (
        score.model,
        _percent(score.rate, 2 if score.tolerance >= 0.005 else 3),
        f"{100 * score.rate_low:.2f}-{100 * score.rate_high:.2f} %",
        f"{100 * score.rate_calm:.2f} / {100 * score.rate_stress:.2f} %",
        f"{_percent(score.kupiec_pass, 0)} ({score.failed_with_too_little} low)",
        _percent(score.dynamic_quantile_pass, 0),
        _percent(score.conditional_pass, 0),
        f"{score.z2:+.2f}",
        f"{score.loss_ratio.ratio:.3f} ({score.loss_ratio.low:.3f}-{score.loss_ratio.high:.3f})",
        _percent(score.best_fissler_ziegel, 0),
        _percent(score.capital, 1),
        f"{score.exact_rate_ratio:.3f}",
        f"{score.peak_to_trough:.1f}",
        _percent(score.jump_5, 0),
    )


def score_table(scores: Sequence[ModelScore]) -> Table:
    """Return the score table of one tolerance for the terminal."""
    from rich.table import Table

    first = scores[0]
    table = Table(
        title=f"Tolerance {100 * first.tolerance:g} %, {first.windows:,} windows (coin x side)", title_justify="left"
    )
    for k, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if k == 0 else "right", overflow="fold")
    for score in scores:
        table.add_row(*score_cells(score))
    return table


def backtest_json(
    *,
    settings: dict[str, Any],
    models: dict[float, list[ModelScore]],
    series: dict[float, Any],
    crisis: Sequence[Any],
    notes: Sequence[str],
) -> str:
    """Return the scores as JSON text; fractions are fractions, tolerances are keys as text."""
    data = {
        "settings": settings,
        "notes": list(notes),
        "models": {f"{tail:g}": [asdict(row) for row in rows] for tail, rows in models.items()},
        "series": {
            f"{tail:g}": {model: [asdict(row) for row in rows.values()] for model, rows in found.items()}
            for tail, found in series.items()
        },
        "crisis_days": [asdict(row) for row in crisis],
    }
    return json.dumps(data, indent=1, allow_nan=False)


def _percent(value: float, digits: int) -> str:
    return f"{100 * value:.{digits}f} %"
