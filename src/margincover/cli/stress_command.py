"""What ``margincover stress`` does: read its options, run, print, write, choose the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from margincover.app.load import load
from margincover.app.stress import StressReport, StressSettings, load_shocks, stress
from margincover.cli.commands import terminal_console
from margincover.errors import InputError, UsageError
from margincover.io.output import require_target, write_atomically
from margincover.scenarios.shocks import Shock, parse_shock
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, parse_duration_s

_HTML = "--html FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StressOptions:
    """Options of one run, as they were typed."""

    shock: tuple[str, ...]
    shocks: Path | None
    episodes: str
    reverse: bool
    horizon: str | None
    history: Path | None
    seed: int
    html: Path | None
    rules: Path | None
    as_json: bool


def run_stress(path: Path, options: StressOptions) -> int:
    """Print what episodes and shocks do to a book, write the page when asked, and return the exit code."""
    if options.html is not None:
        require_target(options.html, option=_HTML)
    report = stress(load(path, rules=options.rules), stress_settings(options))
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
    else:
        _print(report, options.html)
    return report.exit_code


def stress_settings(options: StressOptions) -> StressSettings:
    """Return the settings of a run from the texts of the command line.

    Raises
    ------
    UsageError
        If a text does not read.
    InputError
        If the file of shocks does not.
    """
    if not 0 <= options.seed < 2**63:
        raise UsageError(f"was {options.seed}", field="--seed", allowed="0 to 2^63 - 1")
    shocks: list[tuple[Shock, str | None]] = [(_typed(text), None) for text in options.shock]
    if options.shocks is not None:
        shocks += load_shocks(options.shocks)
    return StressSettings(
        episodes=_episodes(options.episodes),
        shocks=tuple(shocks),
        reverse=options.reverse,
        horizon_s=None if options.horizon is None else _horizon(options.horizon),
        history=options.history,
        seed=options.seed,
    )


def _typed(text: str) -> Shock:
    try:
        return parse_shock(text)
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None


def _horizon(text: str) -> int:
    try:
        seconds = parse_duration_s(text, field="--horizon")
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None
    if not SECONDS_PER_HOUR <= seconds <= 30 * SECONDS_PER_DAY or seconds % SECONDS_PER_HOUR:
        raise UsageError(f"was '{text}'", field="--horizon", allowed="whole hours from 1h to 30d")
    return seconds


def _episodes(text: str) -> tuple[str, ...] | None:
    if text == "all":
        return None
    return () if text == "none" else tuple(part.strip() for part in text.split(","))


def _print(report: StressReport, html: Path | None) -> None:
    from margincover.report import terminal, terminal_stress

    console = terminal_console()
    # A terminal shows the end: provenance and detail come first, the answer last.
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    for part in terminal_stress.stress_parts(report.result):
        console.print(part)
        console.print()
    console.print(terminal_stress.scenario_table(report.result))
    if html is not None:
        console.print(f"page: {html.resolve()}", soft_wrap=True, highlight=False, markup=False)
