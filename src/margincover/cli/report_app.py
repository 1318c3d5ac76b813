"""The command ``report`` with its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.cli.options import (
    BookArgument,
    HistoryOption,
    HorizonOption,
    JsonOption,
    PathsOption,
    RulesOption,
    ScenariosOption,
    SeedOption,
    ThreadsOption,
    ToleranceOption,
)

report_app = typer.Typer(add_completion=False)


@report_app.command()
def report(
    book: BookArgument,
    formats: Annotated[
        str,
        typer.Option("--format", metavar="html,csv,xlsx", help="Files to write; JSON is always written."),
    ] = "html",
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the files; it is made when it is missing.")
    ] = Path("reports"),
    previous: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--previous",
            metavar="FILE|none",
            help="JSON of the report to explain the change from. Default: the last earlier one in the folder.",
        ),
    ] = None,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the daily statement: figures against limits, obligations, liquid assets, stress, and what changed.

    Exits 1 when a figure is within its limit only but for its error bar, 2 when one is beyond it.
    """
    from margincover.cli.report_command import ReportOptions, run_report

    options = ReportOptions(
        formats=formats,
        out=out,
        previous=previous,
        tolerance=tolerance,
        horizon=horizon,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        threads=threads,
        rules=rules,
        as_json=as_json,
    )
    raise typer.Exit(run_report(book, options))
