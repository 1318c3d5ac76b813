"""What the commands of ``margincover`` do: call the application, print, write, choose the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.app.cover import CoverSettings, cover
from margincover.app.demo import demo_book, demo_text
from margincover.app.facade import CoverageReport
from margincover.app.load import load
from margincover.app.side_factors import require_factors_setting
from margincover.app.status import status
from margincover.errors import InputError, UsageError
from margincover.io.output import require_target, write_atomically
from margincover.units import parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from margincover.model.book import Book


def cover_settings(
    *,
    tolerance: str | None,
    horizon: str | None,
    measure: str | None,
    paths: int,
    seed: int,
    scenarios: str | None,
    history: Path | None,
    threads: int | None,
    vol_rule: str | None = None,
    factors: str = "prices",
    add_ons: bool = False,
    rare: bool = False,
) -> CoverSettings:
    """Return the settings of a run from the texts of the command line."""
    if measure is not None and measure not in ("rces", "rc"):
        raise UsageError(f"was '{measure}'", field="--measure", allowed="rces or rc")
    if vol_rule not in (None, "sticky-strike", "sticky-delta"):
        raise UsageError(f"was '{vol_rule}'", field="--vol-rule", allowed="sticky-strike or sticky-delta")
    if not 0 <= seed < 2**63:
        raise UsageError(f"was {seed}", field="--seed", allowed="0 to 2^63 - 1")
    return CoverSettings(
        tolerance=None if tolerance is None else parse_tolerance(tolerance),
        horizon_s=None if horizon is None else _horizon(horizon),
        measure=measure,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        threads=threads,
        vol_rule=vol_rule,
        factors=require_factors_setting(factors),
        add_ons=add_ons,
        rare=rare,
    )


def parse_tolerance(text: str) -> float:
    """Return the probability in ``"0.01"`` or ``"1%"``.

    Raises
    ------
    UsageError
        If it is no number, or outside 0.000001 to 0.5.
    """
    body = text.strip()
    percent = body.endswith("%")
    try:
        value = float(body.removesuffix("%")) / (100.0 if percent else 1.0)
    except ValueError:
        value = float("nan")
    if not 1e-6 <= value <= 0.5:
        raise UsageError(f"was '{text}'", field="--tolerance", allowed="0.000001 to 0.5, or 0.0001% to 50%")
    return value


def _horizon(text: str) -> int:
    try:
        seconds = parse_duration_s(text, field="--horizon")
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None
    if not 3_600 <= seconds <= 30 * 86_400 or seconds % 3_600:
        raise UsageError(f"was '{text}'", field="--horizon", allowed="whole hours from 1h to 30d")
    return seconds


def run_status(path: Path, *, rules: Path | None, as_json: bool, explain: bool) -> int:
    """Print the status of a book and return the exit code."""
    report = status(load(path, rules=rules), explain=explain)
    if as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.report import terminal

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    if report.result.reconciliation:
        console.print(terminal.reconciliation_table(report.result))
        console.print()
    if explain:
        from margincover.report.terminal_explain import explain_trees

        console.print(explain_trees(report.result))
    console.print(terminal.status_table(report.result))
    return report.exit_code


def run_cover(path: Path, settings: CoverSettings, *, rules: Path | None, as_json: bool, html: Path | None) -> int:
    """Print the coverage of a book, write its report when asked, and return the exit code."""
    if html is not None:
        require_target(html, option="--html FILE")
    book = load(path, rules=rules)
    report = _covered(book, settings)
    if html is not None:
        write_atomically(html, report.to_html(), option="--html FILE")
    if as_json:
        print(report.to_json())
    else:
        _print_coverage(report, html)
    return report.exit_code


def run_demo(*, html: Path, paths: int, seed: int) -> None:
    """Run the main job on the demo book, print it and write the report."""
    require_target(html, option="--html FILE")
    report = _covered(demo_book(), CoverSettings(paths=paths, seed=seed))
    write_atomically(html, report.to_html(), option="--html FILE")
    _print_coverage(report, html)


def save_demo_book(path: Path) -> None:
    """Write the demo book to a file.

    Raises
    ------
    UsageError
        If the file exists: a book is never overwritten.
    """
    if path.exists():
        raise UsageError(f"{path} exists", field="--save-book", allowed="the name of a new file")
    write_atomically(path, demo_text(), option="--save-book FILE")
    print(f"book written to {path}; next: margincover cover {path}")


def print_schema() -> None:
    """Print the JSON Schema of the book file."""
    from margincover.io.book_file import book_json_schema

    print(json.dumps(book_json_schema(), indent=2))


def _covered(book: Book, settings: CoverSettings) -> CoverageReport:
    with path_progress() as step:
        return cover(book, settings, progress=step)


@contextmanager
def path_progress() -> Iterator[Callable[[int, int], None] | None]:
    """Show a progress bar on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("joint market paths", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_coverage(report: CoverageReport, html: Path | None) -> None:
    from margincover.report import terminal

    console = terminal_console()
    # A terminal shows the end: provenance and detail come first, the answer last.
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    if report.result.reconciliation:
        console.print(terminal.reconciliation_table(report.result))
        console.print()
    console.print(terminal.contribution_table(report.result))
    console.print()
    console.print(terminal.probability_table(report.result))
    console.print()
    if report.result.add_ons is not None:
        from margincover.report.add_ons import add_on_table

        console.print(add_on_table(report.result.add_ons))
        console.print()
    console.print(terminal.coverage_table(report.result))
    if html is not None:
        console.print(f"report: {html.resolve()}", soft_wrap=True, highlight=False, markup=False)


def terminal_console() -> Console:
    """Return the console that every command prints to."""
    from rich.console import Console

    console = Console(highlight=False)
    # A pipe has no width of its own; 140 columns hold every horizon.
    return console if console.is_terminal else Console(highlight=False, width=140)
