"""Words and numbers of the daily statement: figures in their own unit, verdicts, names of parts."""

from __future__ import annotations

from margincover.model import statement
from margincover.model.statement import HeadlineFigure, Verdict
from margincover.report import format as fmt
from margincover.report.format import Rounding
from margincover.units import SECONDS_PER_HOUR

VERDICT_WORDS = {Verdict.WITHIN: "within", Verdict.WARNING: "WARNING", Verdict.BREACH: "BREACH"}
TONES = {Verdict.WITHIN: "covered", Verdict.WARNING: "warning", Verdict.BREACH: "breach"}
PART_WORDS = {
    statement.MARKET: "prices",
    statement.RULES: "rules",
    statement.POSITIONS: "positions",
    statement.BALANCES: "balances",
    statement.PLACES: "places",
    statement.REST: "rest",
}
PART_NOTES = (
    "prices: the holdings of the previous report in the present market, options older by the time between",
    "rules: the same under the rules now in force",
    "positions: accounts that traded, with realised profit, fees and transfers, and positions without a present price",
    "balances: transfers, funding, interest and fees where positions did not change; transfers cancel in the total",
    "places: accounts, reserves and transfers that are new or gone",
    "rest: what the earlier book is worth by today's program and rules of its time, less what that report stated",
)


def figure_text(value: float | None, unit: str, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """Return a headline value in its unit; a ratio is rounded down, ``"-"`` for None."""
    if value is None:
        return fmt.ABSENT
    if unit == "ratio":
        return fmt.ratio(value)
    if unit == "fraction":
        return fmt.percent(value)
    if unit == "s":
        return f"{fmt.number(value / SECONDS_PER_HOUR, rounding=rounding)} h"
    return fmt.number(value, rounding=rounding)


def value_text(figure: HeadlineFigure) -> str:
    """Return the value of a figure; a survival horizon that outlasts the run is ``at least``."""
    text = figure_text(figure.value, figure.unit)
    if figure.unit == "fraction" and figure.value == 0 and figure.high:
        return f"< {fmt.percent(figure.high)}"
    if figure.unit == "s" and figure.value is not None and figure.high is None:
        return f"at least {text}"
    return text


def interval_text(figure: HeadlineFigure) -> str:
    """Return the 95 % interval of a figure, ``"exact"`` where there is none."""
    if figure.value is None:
        return fmt.ABSENT
    if figure.low is None and figure.high is None:
        return "exact"
    low, high = (figure_text(end, figure.unit) for end in (figure.low, figure.high))
    return f"{low if figure.low is not None else 'open'} to {high if figure.high is not None else 'open'}"


def limit_text(figure: HeadlineFigure) -> str:
    """Return the limit of a figure with its side, and whether it is the default."""
    if figure.limit is None:
        return "not stated"
    side = "at most" if figure.is_upper else "at least"
    return f"{side} {figure_text(figure.limit, figure.unit)}{'' if figure.is_stated else ' (default)'}"
