"""What ``margincover rescue`` does: read its options, run, print, choose the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from margincover.cli.commands import cover_settings, path_progress, terminal_console


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueOptions:
    """Options of one run, as they were typed."""

    scenario: str | None
    after: int | None
    shock: str | None
    tolerance: str | None
    horizon: str | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    rules: Path | None
    as_json: bool


def run_rescue(path: Path, options: RescueOptions) -> int:
    """Print the emergency plan of a book and return the exit code."""
    from margincover.app.load import load
    from margincover.app.rescue import RescueSettings, rescue

    common = cover_settings(
        tolerance=options.tolerance,
        horizon=options.horizon,
        measure=None,
        paths=options.paths,
        seed=options.seed,
        scenarios=options.scenarios,
        history=options.history,
        threads=None,
    )
    settings = RescueSettings(
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        scenario=options.scenario,
        shock=options.shock,
        after_hours=options.after,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
    )
    book = load(path, rules=options.rules)
    with path_progress() as step:
        report = rescue(book, settings, progress=step)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.report import terminal, terminal_rescue

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(terminal_rescue.rescue_parts(report.result))
    return report.exit_code
