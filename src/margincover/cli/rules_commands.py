"""``margincover rules show`` and ``margincover rules check``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from margincover.app.load import rule_sources
from margincover.app.rules import rule_problems, rule_rows, rules_in_force, venues
from margincover.errors import InputError, UsageError
from margincover.units import format_utc, parse_utc


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
    instant = datetime.now(UTC).replace(microsecond=0) if at is None else _instant(at)
    rulebook = rules_in_force(venue, at=instant, extra=extra)
    rows = rule_rows(rulebook)
    if as_json:
        print(json.dumps({"venue": venue, "at": format_utc(instant), "rules": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{rulebook.title}: rules in force at {format_utc(instant)}", title_justify="left")
    for column in ("block", "key", "valid_from", "observed", "confidence", "source"):
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(row[name] for name in ("block", "key", "valid_from", "observed", "confidence", "source")))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=140)).print(table)


def _instant(text: str) -> datetime:
    try:
        return parse_utc(text, field="--at")
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
