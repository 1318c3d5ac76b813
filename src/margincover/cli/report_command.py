"""What ``margincover report`` does: read book and previous report, compute the statement, write its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.cli.commands import cover_settings, path_progress, terminal_console
from margincover.errors import InputError, UsageError
from margincover.io.output import require_target, write_atomically

if TYPE_CHECKING:
    from margincover.app.report_change import PreviousReport
    from margincover.app.report_statement import StatementReport
    from margincover.model.book import BookInput

FORMATS = ("html", "csv", "xlsx", "json")
NO_PREVIOUS = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """Options of one run, as they were typed."""

    formats: str
    out: Path
    previous: str | None
    tolerance: str | None
    horizon: str | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    threads: int | None
    rules: Path | None
    as_json: bool


def run_report(path: Path, options: ReportOptions) -> int:
    """Write the daily statement of a book and return the exit code."""
    from margincover.app.load import rule_sources
    from margincover.app.report_statement import StatementSettings, statement
    from margincover.io.book_file import load_book

    formats = report_formats(options.formats)
    common = cover_settings(
        tolerance=options.tolerance,
        horizon=options.horizon,
        measure=None,
        paths=options.paths,
        seed=options.seed,
        scenarios=options.scenarios,
        history=options.history,
        threads=options.threads,
    )
    settings = StatementSettings(
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
        threads=common.threads,
    )
    book = load_book(path)
    stem = _stem(options.out, book)
    previous = _previous(options, book)
    with path_progress() as step:
        report = statement(book, settings, previous=previous, extra_rules=rule_sources(options.rules), progress=step)
    written = _write(report, stem, formats)
    if options.as_json:
        print(report.to_json())
    else:
        _print(report, written)
    return report.exit_code


def report_formats(text: str) -> tuple[str, ...]:
    """Return the formats of a comma-separated list, each once; JSON is always written.

    Raises
    ------
    UsageError
        If one is unknown, or none is named.
    """
    names = [part.strip().lower() for part in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise UsageError(f"was '{text}'", field="--format", allowed=f"a list of {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in names or name == "json")


def _stem(folder: Path, book: BookInput) -> Path:
    """Return the path of the files without their ends; the folder is made now, so that long work cannot be in vain."""
    from margincover.app.report_previous import file_stem

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"could not be made ({error})", source=str(folder), field="--out", allowed="a writable folder"
        ) from None
    stem = folder / file_stem(book.as_of)
    require_target(stem.with_suffix(".json"), option="--out DIR")
    return stem


def _previous(options: ReportOptions, book: BookInput) -> PreviousReport | None:
    """Return the report that was named, or the last earlier one of the folder; None for the first report."""
    from margincover.app.report_previous import last_report, read_previous

    if options.previous == NO_PREVIOUS:
        return None
    if options.previous is not None:
        return read_previous(Path(options.previous), book=book)
    found = last_report(options.out, before=book.as_of)
    if found is None:
        return None
    try:
        return read_previous(found, book=book)
    except InputError as error:
        allowed = f"{error.allowed or 'an earlier report'}; or name one with --previous FILE, or --previous none"
        raise InputError(error.found, source=error.source, field=error.field, allowed=allowed) from None


def _write(report: StatementReport, stem: Path, formats: tuple[str, ...]) -> list[Path]:
    """Write the files, JSON last: where it stands, the others do."""
    written: list[Path] = []

    def write(end: str, content: str | bytes) -> None:
        path = stem.with_name(f"{stem.name}{end}")
        write_atomically(path, content, option="--out DIR")
        written.append(path)

    if "html" in formats:
        write(".html", report.to_html())
    if "xlsx" in formats:
        write(".xlsx", report.to_xlsx())
    if "csv" in formats:
        for name, text in report.to_csv().items():
            write(f".{name}.csv", text)
    write(".json", report.to_json() + "\n")
    return written


def _print(report: StatementReport, written: list[Path]) -> None:
    from margincover.report import terminal
    from margincover.report.terminal_statement import breach_table, headline_table

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    if report.result.breaches:
        console.print(breach_table(report.result))
        console.print()
    console.print(headline_table(report.result))
    tables = sum(path.suffix == ".csv" for path in written)
    for path in written:
        if path.suffix != ".csv":
            console.print(f"report: {path.resolve()}", soft_wrap=True, highlight=False, markup=False)
    if tables:
        text = f"report: {tables} tables *.csv beside it"
        console.print(text, soft_wrap=True, highlight=False, markup=False)
