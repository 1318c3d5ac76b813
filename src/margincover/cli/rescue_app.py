"""The command ``rescue``."""

from __future__ import annotations

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
    ToleranceOption,
)

rescue_app = typer.Typer(add_completion=False)


@rescue_app.command()
def rescue(
    book: BookArgument,
    scenario: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--scenario", metavar="EPISODE", help="Start after the first hours of a packaged episode."),
    ] = None,
    after: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--after", metavar="HOURS", help="Hours of the episode that have passed. Default: 1."),
    ] = None,
    shock: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--shock", metavar="SHOCK", help="Start after a stated shock, as in `stress`: 'BTC=-10%,*=-15%'."),
    ] = None,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    paths: PathsOption = 10_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the cheapest actions, by deadline, that keep every account alive; nothing is traded, borrowed or sent.

    Exits 0 when nothing is to be done, 1 when a plan keeps the tolerance, 2 when none does.
    """
    from margincover.cli.rescue_command import RescueOptions, run_rescue

    options = RescueOptions(
        scenario=scenario,
        after=after,
        shock=shock,
        tolerance=tolerance,
        horizon=horizon,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        rules=rules,
        as_json=as_json,
    )
    raise typer.Exit(run_rescue(book, options))
