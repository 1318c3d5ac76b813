"""``margincover rules show`` and ``margincover rules check``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.app.load import load, rule_sources
from margincover.app.rules import (
    drift,
    rule_changes,
    rule_problems,
    rule_rows,
    rules_in_force,
    upcoming_rows,
    venues,
)
from margincover.errors import InputError, UsageError
from margincover.report.json import comparison_to_dict
from margincover.units import format_utc, parse_utc

if TYPE_CHECKING:
    from rich.table import Table


def show(venue: str | None, *, at: str | None, rules: Path | None, as_json: bool) -> None:
    """Print what is in force at a venue, or the venues."""
    extra = rule_sources(rules)
    if venue is None:
        for name in venues(extra):
            print(name)
        return
    if venue not in venues(extra):
        raise UsageError(f"was '{venue}'", field="VENUE", allowed=", ".join(venues(extra)))
    # The one clock of the program: an instant that the user did not state.
    instant = datetime.now(UTC).replace(microsecond=0) if at is None else _instant(at, "--at")
    rulebook = rules_in_force(venue, at=instant, extra=extra)
    rows = rule_rows(rulebook)
    to_come = upcoming_rows(venue, after=instant, extra=extra)
    if as_json:
        print(
            json.dumps({"venue": venue, "at": format_utc(instant), "rules": rows, "still_to_come": to_come}, indent=2)
        )
        return
    from rich.console import Console

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=140)
    console.print(_rules_table(f"{rulebook.title}: rules in force at {format_utc(instant)}", rows))
    if to_come:
        console.print(_rules_table(f"{rulebook.title}: editions still to come", to_come))


def _rules_table(title: str, rows: list[dict[str, str]]) -> Table:
    from rich.table import Table

    columns = ("block", "key", "valid_from", "observed", "confidence", "source")
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in columns))
    return table


def diff(venue: str, *, since: str, until: str | None, rules: Path | None, as_json: bool) -> None:
    """Print what changed in the rules of a venue between two instants."""
    extra = rule_sources(rules)
    if venue not in venues(extra):
        raise UsageError(f"was '{venue}'", field="VENUE", allowed=", ".join(venues(extra)))
    first = _instant(since, "--from")
    last = datetime.now(UTC).replace(microsecond=0) if until is None else _instant(until, "--to")
    if last <= first:
        raise UsageError("was not after --from", field="--to", allowed="a later instant")
    rows = rule_changes(venue, since=first, until=last, extra=extra)
    if as_json:
        print(
            json.dumps({"venue": venue, "from": format_utc(first), "to": format_utc(last), "changes": rows}, indent=2)
        )
        return
    print(f"{venue}: {len(rows)} rules differ between {format_utc(first)} and {format_utc(last)}")
    for row in rows:
        print(f"\n{row['block']} {row['key']}\n  before  {row['before']}\n  after   {row['after']}")


def verify(path: Path, *, tolerance_bps: float, rules: Path | None, as_json: bool) -> int:
    """Print the comparison with what the venues report; return 2 on drift beyond the tolerance, else 0."""
    book = load(path, rules=rules)
    rows, drifted = drift(book, tolerance_bps=tolerance_bps)
    if as_json:
        print(
            json.dumps(
                {
                    "tolerance_bps": tolerance_bps,
                    "compared": [comparison_to_dict(row) for row in rows],
                    "drifted": len(drifted),
                },
                indent=2,
            )
        )
        return 2 if drifted else 0
    from rich.console import Console

    from margincover.report.terminal import comparison_table

    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=140)).print(comparison_table(rows))
    if drifted:
        names = "; ".join(f"{row.pool_id}: {row.figure} {row.difference_bps:+.2f} bps" for row in drifted)
        print(f"RULE DRIFT: {len(drifted)} of {len(rows)} figures differ by more than {tolerance_bps:g} bps: {names}")
        return 2
    print(f"{len(rows)} figures agree within {tolerance_bps:g} bps")
    return 0


def _instant(text: str, field: str) -> datetime:
    try:
        return parse_utc(text, field=field)
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None


def check(rules: Path | None) -> list[str]:
    """Print the problems of all editions and return them."""
    extra = rule_sources(rules)
    problems = rule_problems(extra)
    for problem in problems:
        print(problem)
    names = ", ".join(venues(extra))
    print(f"rules of {names}: " + (f"{len(problems)} problems" if problems else "every edition is sound"))
    return problems
