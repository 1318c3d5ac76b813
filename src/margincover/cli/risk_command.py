"""What ``margincover risk`` does: read its options, measure, print."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from margincover.cli.commands import cover_settings, path_progress, terminal_console


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskOptions:
    """Options of one run, as they were typed."""

    tolerance: str | None
    horizon: str | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    stress: str | None
    stress_days: int
    threads: int | None
    rules: Path | None
    as_json: bool


def run_risk(path: Path, options: RiskOptions) -> int:
    """Print the risk measures of a book and return the exit code."""
    from margincover.app.load import load
    from margincover.app.risk import RiskSettings, risk

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
    settings = RiskSettings(
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
        stress=options.stress,
        stress_days=options.stress_days,
        threads=common.threads,
    )
    book = load(path, rules=options.rules)
    with path_progress() as step:
        report = risk(book, settings, progress=step)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.report import terminal, terminal_risk

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(terminal_risk.risk_tables(report.result))
    return report.exit_code
