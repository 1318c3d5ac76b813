"""Commands on capital where it is needed: ``liquidity``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from margincover.cli.options import (
    BookArgument,
    HistoryOption,
    HorizonOption,
    HtmlOption,
    JsonOption,
    PathsOption,
    RulesOption,
    ScenariosOption,
    SeedOption,
    ThreadsOption,
    ToleranceOption,
)

capital_app = typer.Typer(add_completion=False)


@capital_app.command()
def liquidity(
    book: BookArgument,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    frozen: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--frozen",
            metavar="NAME",
            help="Venue, custodian, account, resource or asset that is frozen; may be given several times.",
        ),
    ] = None,
    medians: Annotated[bool, typer.Option("--medians", help="Median delays instead of those kept 99 in 100.")] = False,
    stress: Annotated[
        bool, typer.Option("--stress/--no-stress", help="Price impact of stress, no uncommitted lines.")
    ] = True,
    trading: Annotated[bool, typer.Option("--trading", help="Draw on reserves earmarked for trading too.")] = False,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Show the liquidity ladder, how long resources last, debt coverage and loans along joint paths.

    Exits 2 when they last shorter than the horizon of the tolerance, or debts are covered less than once.
    """
    from margincover.cli.liquidity_command import LiquidityOptions, run_liquidity

    options = LiquidityOptions(
        tolerance=tolerance,
        horizon=horizon,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        frozen=tuple(frozen or ()),
        medians=medians,
        stress=stress,
        trading=trading,
        threads=threads,
        rules=rules,
        html=html,
        as_json=as_json,
    )
    raise typer.Exit(run_liquidity(book, options))
