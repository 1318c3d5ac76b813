"""What ``margincover size`` does: read its options, search, print, write, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.errors import UsageError
from margincover.io.output import require_target, write_atomically

if TYPE_CHECKING:
    from margincover.app.size_task import SizeSettings

_HTML = "--html FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """Options of one run, as they were typed."""

    account: str
    symbol: str | None
    scale: bool
    side: str | None
    tolerance: str | None
    horizon: str | None
    capital: float | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    threads: int | None
    curve: bool
    rules: Path | None
    html: Path | None
    as_json: bool


def run_size(path: Path, options: SizeOptions) -> int:
    """Print the largest size of an account and return the exit code."""
    from margincover.app.load import load
    from margincover.app.size import size

    if options.scale == (options.symbol is not None):
        found = "both" if options.scale else "neither"
        raise UsageError(f"{found} stood there", field="--symbol/--scale", allowed="--symbol SYMBOL or --scale")
    if options.html is not None:
        require_target(options.html, option=_HTML)
    settings = _settings(options)
    book = load(path, rules=options.rules)
    with _progress() as step:
        report = size(book, settings, progress=step)
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report import terminal, terminal_size

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(terminal_size.sizing_tables(report.result))
    if options.html is not None:
        console.print(f"page: {options.html.resolve()}", soft_wrap=True, highlight=False, markup=False)
    return report.exit_code


def _settings(options: SizeOptions) -> SizeSettings:
    from margincover.app.size_task import SizeSettings
    from margincover.cli.commands import cover_settings

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
    return SizeSettings(
        account=options.account,
        symbol=options.symbol,
        side=options.side,
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        capital_usd=options.capital,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
        threads=common.threads,
        with_curve=options.curve,
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Show what is searched on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("searching") as line:
        yield lambda text: line.update(f"searching: {text}")
