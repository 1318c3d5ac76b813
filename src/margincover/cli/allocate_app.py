"""The command ``allocate`` with its options."""

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

allocate_app = typer.Typer(add_completion=False)


@allocate_app.command()
def allocate(
    book: BookArgument,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    cost_of_capital: Annotated[
        str, typer.Option("--cost-of-capital", metavar="RATE", help="What a dollar held costs a year.")
    ] = "10%",
    liquidation_cost: Annotated[
        float,
        typer.Option("--liquidation-cost", metavar="X", help="Dollars lost per dollar short; a judgement."),
    ] = 1.0,
    minimise: Annotated[
        str,
        typer.Option("--minimise", metavar="capital|cost", help="Carry at the tolerance, or with liquidation loss."),
    ] = "capital",
    n_minus_1: Annotated[bool, typer.Option("--n-1", help="Hold the tolerance with any one venue frozen.")] = False,
    limit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--limit", metavar="ACCOUNT=USD", help="Most capital in an account; may be given several times."),
    ] = None,
    fresh: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--fresh", metavar="USD", help="Most new capital. Default: no limit."),
    ] = None,
    reserve_limit: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--reserve-limit", metavar="USD", help="Most in the reserve. Default: no limit."),
    ] = None,
    budget: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--budget", metavar="USD", help="Most capital in all. Default: no limit."),
    ] = None,
    only_ways: Annotated[
        bool, typer.Option("--only-ways", help="Nothing gets to an account to which the book names no way.")
    ] = False,
    frontier: Annotated[int, typer.Option("--frontier", metavar="N", help="Points of the frontier; 0 for none.")] = 14,
    alternatives: Annotated[
        bool, typer.Option("--alternatives/--no-alternatives", help="Weigh hedges brought together and faster ways.")
    ] = True,
    paths: PathsOption = 8_192,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Plan where capital goes: transfers now, reserve, standing rules, what each dollar buys. Money is never moved."""
    from margincover.cli.allocate_command import AllocateOptions, run_allocate

    options = AllocateOptions(
        tolerance=tolerance,
        horizon=horizon,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        threads=threads,
        cost_of_capital=cost_of_capital,
        liquidation_cost=liquidation_cost,
        minimise=minimise,
        n_minus_1=n_minus_1,
        limits=tuple(limit or ()),
        fresh=fresh,
        reserve_limit=reserve_limit,
        budget=budget,
        only_ways=only_ways,
        frontier=frontier,
        alternatives=alternatives,
        rules=rules,
        html=html,
        as_json=as_json,
    )
    raise typer.Exit(run_allocate(book, options))
