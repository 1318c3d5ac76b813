"""The commands ``fund size`` and ``fund waterfall``: what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.cli.options import JsonOption, SeedOption

fund_app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Size an insurance fund, or compare who pays what it cannot."
)

_Figures = Optional[list[str]]  # noqa: UP045  # typer reads the annotation at run time
_Price = Annotated[_Figures, typer.Option("--price", metavar="COIN=USD", help="Mark, for a table without.")]
_FUND_HELP = "The present fund: 50M. Default: that of the population's file."


@fund_app.command()
def size(
    source: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(
            metavar="[FILE]",
            help="Losses by path (table with loss_usd), or a population as in cascade. Default: a synthetic one.",
        ),
    ] = None,
    venue: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--venue", metavar="NAME", help="Venue of the population. Default: the largest."),
    ] = None,
    fund: Annotated[Optional[str], typer.Option("--fund", metavar="USD", help=_FUND_HELP)] = None,  # noqa: UP045
    horizon: Annotated[str, typer.Option("--horizon", metavar="TIME", help="Time that the losses cover.")] = "5d",
    step: Annotated[str, typer.Option("--step", metavar="TIME", help="Time between two looks at accounts.")] = "5min",
    capital_cost: Annotated[
        str, typer.Option("--capital-cost", metavar="PART", help="Yearly cost of a dollar in the fund.")
    ] = "15%",
    loss_cost: Annotated[
        str, typer.Option("--loss-cost", metavar="X", help="Cost of a dollar of loss that the fund does not cover.")
    ] = "1",
    inflow: Annotated[
        str, typer.Option("--inflow", metavar="USD", help="Income of the fund a day, beside liquidation fees.")
    ] = "0",
    fee: Annotated[
        str, typer.Option("--fee", metavar="PART", help="Liquidation fee that the fund gets, of the notional.")
    ] = "0.5%",
    in_coins: Annotated[
        str, typer.Option("--in-coins", metavar="PART", help="Part of the fund that falls with a coin.")
    ] = "0%",
    coin: Annotated[str, typer.Option("--coin", metavar="COIN", help="That coin.")] = "BTC",
    depth: Annotated[
        _Figures, typer.Option("--depth", metavar="NAME=USD", help="Notional that moves the price by 1 %.")
    ] = None,
    price: _Price = None,
    paths: Annotated[int, typer.Option("--paths", metavar="N", help="Joint market paths.")] = 2_000,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Show how large a fund must be by each method, and how the present one does.

    Exit codes: 0 large enough or none stated, 1 below the recommended size, 2 below the newsvendor's.
    """
    from margincover.cli.fund_command import SizeOptions, run_size

    options = SizeOptions(
        venue=venue, fund=fund, horizon=horizon, step=step, capital_cost=capital_cost, loss_cost=loss_cost,
        inflow=inflow, fee=fee, in_coins=in_coins, coin=coin, depth=tuple(depth or ()), prices=tuple(price or ()),
        paths=paths, seed=seed, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(run_size(source, options))


@fund_app.command()
def waterfall(
    population: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="[POPULATION]", help="Population as in cascade. Default: a synthetic one."),
    ] = None,
    compare: Annotated[
        str,
        typer.Option("--compare", metavar="POLICIES", help="Of adl, pro-rata, haircut, socialise, assess; commas."),
    ] = "adl,haircut,socialise,assess",
    venue: Annotated[
        str, typer.Option("--venue", metavar="VENUE", help="Whose rules: binance ... or clearing-house.")
    ] = "binance",
    market: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--market", metavar="COIN@VENUE", help="Market of the population. Default: the largest."),
    ] = None,
    shock: Annotated[str, typer.Option("--shock", metavar="MOVE", help="Jump of its price, such as -10%.")] = "-20%",
    fund: Annotated[Optional[str], typer.Option("--fund", metavar="USD", help=_FUND_HELP)] = None,  # noqa: UP045
    own_capital: Annotated[
        str, typer.Option("--own-capital", metavar="USD", help="Own capital of a clearing house before its fund.")
    ] = "0",
    assessment: Annotated[
        str, typer.Option("--assessment", metavar="X", help="Limit of a call, times a member's contribution.")
    ] = "1",
    adl_of: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--adl-of", metavar="VENUE", help="Queue of another venue."),
    ] = None,
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--at", metavar="TIME", help="Rules in force then. Default: the latest packaged."),
    ] = None,
    price: _Price = None,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Show who pays what under each policy when a price jumps, on the same accounts.

    Exit codes: 0 the prefunded layers pay all, 1 a policy has to pay, 2 a policy leaves a residual.
    """
    from margincover.cli.fund_command import WaterfallOptions, run_waterfall

    options = WaterfallOptions(
        compare=compare, venue=venue, market=market, shock=shock, fund=fund, own_capital=own_capital,
        assessment=assessment, adl_of=adl_of, at=at, prices=tuple(price or ()), seed=seed, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(run_waterfall(population, options))
