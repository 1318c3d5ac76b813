"""The command ``cascade``: what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.cli.options import HtmlOption, JsonOption, SeedOption

cascade_app = typer.Typer(add_completion=False)

_Figures = Optional[list[str]]  # noqa: UP045  # typer reads the annotation at run time


@cascade_app.command()
def cascade(
    population: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(
            metavar="[POPULATION]",
            help="Positions (.parquet, .csv) or a description to make them from (.toml). Default: a synthetic one.",
        ),
    ] = None,
    coin: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--coin", metavar="COIN", help="Coin that the shock moves. Default: all coins alike."),
    ] = None,
    shock: Annotated[str, typer.Option("--shock", metavar="MOVE", help="Move of the index, such as -10%.")] = "-10%",
    over: Annotated[str, typer.Option("--over", metavar="TIME", help="Time in which the shock comes.")] = "30min",
    duration: Annotated[str, typer.Option("--duration", metavar="TIME", help="Time that is followed.")] = "2h",
    step: Annotated[
        str, typer.Option("--step", metavar="TIME", help="Time between two looks at the accounts, 1s or more.")
    ] = "5s",
    index: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--index", metavar="FILE", help="Bars (ts, open, high, low, close) in the place of a shock."),
    ] = None,
    start: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", metavar="TIME", help="With --index: first bar."),
    ] = None,
    end: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--until", metavar="TIME", help="With --index: the bars before it."),
    ] = None,
    others: Annotated[
        _Figures, typer.Option("--beta", metavar="COIN=B", help="Move of another coin per move of --coin. Default: 1.")
    ] = None,
    price: Annotated[_Figures, typer.Option("--price", metavar="COIN=USD", help="Mark, for a table without.")] = None,
    depth: Annotated[
        _Figures,
        typer.Option(
            "--depth", metavar="NAME=USD", help="Notional that moves the price by 1 %, by COIN or COIN@VENUE."
        ),
    ] = None,
    bound: Annotated[
        _Figures,
        typer.Option("--bound", metavar="NAME=PART", help="Largest distance of a local price from the index, 25%."),
    ] = None,
    fund: Annotated[_Figures, typer.Option("--fund", metavar="VENUE=USD", help="Insurance fund of a venue.")] = None,
    impact: Annotated[
        str, typer.Option("--impact", metavar="exponential|linear|square-root", help="Law of the price impact.")
    ] = "exponential",
    thinning: Annotated[
        str, typer.Option("--thinning", metavar="MOVE|none", help="Move at which depth has halved.")
    ] = "3.3%",
    whole: Annotated[bool, typer.Option("--whole", help="Close accounts whole, not by slices.")] = False,
    takeover: Annotated[
        bool, typer.Option("--takeover", help="The venue keeps the collateral that a closed account has left.")
    ] = False,
    immediate: Annotated[
        bool, typer.Option("--immediate", help="Look again at once after each round, not at the next step.")
    ] = False,
    fee: Annotated[str, typer.Option("--fee", metavar="PART", help="Liquidation fee, part of the notional.")] = "0.5%",
    max_rounds: Annotated[int, typer.Option("--max-rounds", metavar="N", help="Bound on rounds in a step.")] = 200,
    below_zero: Annotated[
        str, typer.Option("--below-zero", metavar="refuse|close", help="Accounts without equity at the start.")
    ] = "refuse",
    seed: SeedOption = 1,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Show what a move of the market sets off: liquidations, prices, debts, and where the next ones stand.

    Without a population it runs on a synthetic one. Exit codes: 0 the fund was not touched, 1 it paid, 2 a loss stays.
    """
    from margincover.cli.cascade_command import CascadeOptions, run_cascade

    options = CascadeOptions(
        coin=coin, shock=shock, over=over, duration=duration, step=step, index=index, start=start, end=end,
        betas=tuple(others or ()), prices=tuple(price or ()), depth=tuple(depth or ()), bound=tuple(bound or ()),
        fund=tuple(fund or ()), impact=impact, thinning=thinning, whole=whole, takeover=takeover, immediate=immediate,
        fee=fee, max_rounds=max_rounds, below_zero=below_zero, seed=seed, as_json=as_json, html=html,
    )  # fmt: skip
    raise typer.Exit(run_cascade(population, options))
