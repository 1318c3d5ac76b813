"""What ``margincover whatif`` does: read its options, try the changes, print, write, choose the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from margincover.app.changes import Trade, Transfer, changed_book, parse_trade, parse_transfer
from margincover.app.facade import ModesReport, WhatIfReport
from margincover.app.grid import GridAxes, parse_axes
from margincover.app.load import load
from margincover.errors import UsageError
from margincover.io.output import require_target, write_atomically

_HTML, _PNG = "--html FILE", "--png FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfOptions:
    """Options of one run, as they were typed."""

    add: tuple[str, ...]
    transfer: tuple[str, ...]
    grid: str | None
    days: str | None
    account: str | None
    modes: str | None
    html: Path | None
    png: Path | None
    rules: Path | None
    as_json: bool


def run_whatif(path: Path, options: WhatIfOptions) -> int:
    """Print a book before and after changes over a grid, or one account by mode; return the exit code."""
    axes = parse_axes(options.grid, options.days)
    if options.modes is None and options.account is not None:
        raise UsageError(f"was '{options.account}'", field="--account", allowed="together with --modes only")
    for file, option in ((options.html, _HTML), (options.png, _PNG)):
        if file is not None:
            require_target(file, option=option)
    if options.modes is not None:
        return _run_modes(path, options, axes)
    from margincover.app.whatif import whatif

    trades, transfers = _changes(options)
    report = whatif(load(path, rules=options.rules), trades=trades, transfers=transfers, axes=axes)
    written = _written(report, options)
    if options.as_json:
        print(report.to_json())
    else:
        _print_whatif(report, written)
    return report.exit_code


def _changes(options: WhatIfOptions) -> tuple[list[Trade], list[Transfer]]:
    return [parse_trade(text) for text in options.add], [parse_transfer(text) for text in options.transfer]


def _run_modes(path: Path, options: WhatIfOptions, axes: GridAxes) -> int:
    from margincover.app.modes import compare_modes, parse_modes

    assert options.modes is not None, "Invariant: called only with modes"
    if axes.is_stated or options.png is not None:
        raise UsageError(
            "stood with --grid, --days or --png",
            field="--modes",
            allowed="--modes without them: it compares accounts in the market as it is",
        )
    modes = parse_modes(options.modes)
    book = load(path, rules=options.rules)
    trades, transfers = _changes(options)
    if trades or transfers:
        book = changed_book(book, trades, transfers)
    report = compare_modes(book, account=options.account, modes=modes)
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
    else:
        _print_modes(report, options.html)
    return report.exit_code


def _written(report: WhatIfReport, options: WhatIfOptions) -> list[tuple[str, Path]]:
    written = []
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
        written.append(("page", options.html))
    if options.png is not None:
        write_atomically(options.png, report.to_png(), option=_PNG)
        written.append(("picture", options.png))
    return written


def _print_whatif(report: WhatIfReport, written: list[tuple[str, Path]]) -> None:
    from margincover.cli.commands import terminal_console
    from margincover.report import terminal, terminal_whatif

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.after.provenance))
    console.print()
    console.print(terminal_whatif.grid_tables(report.result))
    console.print()
    console.print(terminal_whatif.whatif_table(report.result))
    for word, file in written:
        console.print(f"{word}: {file.resolve()}", soft_wrap=True, highlight=False, markup=False)


def _print_modes(report: ModesReport, html: Path | None) -> None:
    from margincover.cli.commands import terminal_console
    from margincover.report import modes, terminal

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(modes.modes_table(report.result))
    if html is not None:
        console.print(f"page: {html.resolve()}", soft_wrap=True, highlight=False, markup=False)
