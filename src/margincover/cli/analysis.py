"""Commands that try, stress, size and judge: ``whatif``, ``vol``, ``stress``, ``risk``, ``size``, ``backtest``."""

from __future__ import annotations

from pathlib import Path
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

analysis_app = typer.Typer(add_completion=False)


@analysis_app.command()
def whatif(
    book: BookArgument,
    add: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--add", metavar="TRADE", help="'[ACCOUNT] SIZE SYMBOL[@PRICE] [xLEVERAGE]'; may be given several times."
        ),
    ] = None,
    transfer: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--transfer", metavar="TRANSFER", help="'AMOUNT ASSET FROM -> TO'; 'outside' is anywhere else."),
    ] = None,
    grid: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--grid",
            metavar="spot=LOW:HIGH,vol=LOW:HIGH",
            help="Common moves in per cent. Default: spot=-30:30, and vol=-30:60 when an account holds options.",
        ),
    ] = None,
    days: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--days", metavar="0,3,7", help="Days from as_of, at most 12: options age. Default: 0."),
    ] = None,
    account: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--account", metavar="ACCOUNT", help="With --modes: the account to compare."),
    ] = None,
    modes: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--modes", metavar="MODE,MODE|all", help="Compare the account under these account modes of its venue."
        ),
    ] = None,
    html: HtmlOption = None,
    png: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--png", metavar="FILE", help="Write the heat maps to a picture file."),
    ] = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show margins over spot, volatility and days, before and after trades and transfers; nothing is traded or sent.

    With --modes the same account is shown under several account modes instead.
    """
    from margincover.cli.whatif_command import WhatIfOptions, run_whatif

    options = WhatIfOptions(
        add=tuple(add or ()),
        transfer=tuple(transfer or ()),
        grid=grid,
        days=days,
        account=account,
        modes=modes,
        html=html,
        png=png,
        rules=rules,
        as_json=as_json,
    )
    raise typer.Exit(run_whatif(book, options))


@analysis_app.command()
def vol(
    history: Annotated[
        Path,
        typer.Option(
            "--history", metavar="DIR", help="Folder of <SYMBOL>.parquet or .csv (ts, open, high, low, close)."
        ),
    ],
    coins: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--coins", metavar="BTC,ETH", help="Default: the coins of the book, else all of the folder."),
    ] = None,
    book: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--book", metavar="BOOK", help="Book that gives as_of, stated and implied volatilities."),
    ] = None,
    dvol: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--dvol", metavar="[COIN=]FILE", help="Index of implied volatility (ts, dvol_close in per cent)."),
    ] = None,
    days: Annotated[int, typer.Option("--days", metavar="N", help="Last days to score, one day ahead.")] = 365,
    as_of: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--as-of", metavar="TIME", help="Later bars are not read. Default: the book's, else all bars."),
    ] = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show volatility by every model side by side: now, 24 h, 5 d, and how well each forecast.

    Exits 3 when a coin could not be assessed.
    """
    from margincover.cli.vol_command import VolOptions, run_vol

    options = VolOptions(
        coins=coins, book=book, dvol=tuple(dvol or ()), days=days, as_of=as_of, rules=rules, as_json=as_json
    )
    raise typer.Exit(run_vol(history, options))


@analysis_app.command()
def stress(
    book: BookArgument,
    shock: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--shock",
            metavar="SHOCK",
            help="'BTC=-30%,*=-40%,vol=+40%,USDe=0.65@binance,funding=+0.1%/8h,halt=okx:6h'; each one scenario.",
        ),
    ] = None,
    shocks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--shocks", metavar="FILE", help="TOML file of shocks, tables [[scenario]]."),
    ] = None,
    episodes: Annotated[
        str, typer.Option("--episodes", metavar="all|none|DATE,DATE", help="Packaged episodes to run.")
    ] = "all",
    reverse: Annotated[
        bool, typer.Option("--reverse/--no-reverse", help="Search the least extreme moves that liquidate.")
    ] = True,
    horizon: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--horizon", metavar="TIME", help="Horizon of reverse stress, 1h to 30d. Default: the book's."),
    ] = None,
    history: HistoryOption = None,
    seed: SeedOption = 1,
    html: HtmlOption = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a book through named episodes and stated shocks, and find the least extreme moves that liquidate it."""
    from margincover.cli.stress_command import StressOptions, run_stress

    options = StressOptions(
        shock=tuple(shock or ()),
        shocks=shocks,
        episodes=episodes,
        reverse=reverse,
        horizon=horizon,
        history=history,
        seed=seed,
        html=html,
        rules=rules,
        as_json=as_json,
    )
    raise typer.Exit(run_stress(book, options))


@analysis_app.command()
def risk(
    book: BookArgument,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    stress: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--stress",
            metavar="episodes|window",
            help="Stressed paths: packaged episodes, or the most volatile window of --history. Default: window with "
            "--history, else episodes.",
        ),
    ] = None,
    stress_days: Annotated[int, typer.Option("--stress-days", metavar="N", help="Length of that window.")] = 90,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show VaR and ES of profit and loss, plain and stressed, and the cash that calls take, gross and net of venues."""
    from margincover.cli.risk_command import RiskOptions, run_risk

    options = RiskOptions(
        tolerance=tolerance,
        horizon=horizon,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        stress=stress,
        stress_days=stress_days,
        threads=threads,
        rules=rules,
        as_json=as_json,
    )
    raise typer.Exit(run_risk(book, options))


@analysis_app.command()
def size(
    book: BookArgument,
    account: Annotated[str, typer.Option("--account", metavar="ACCOUNT", help="The account to size.")],
    symbol: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--symbol", metavar="SYMBOL", help="Largest position in this symbol, all else as it is."),
    ] = None,
    scale: Annotated[bool, typer.Option("--scale", help="Largest multiple of all cross positions.")] = False,
    side: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--side", metavar="long|short", help="Default: the side held, both without a position."),
    ] = None,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    capital: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--capital", metavar="USD", help="Equity after haircut. Default: the account's own."),
    ] = None,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    curve: Annotated[
        bool, typer.Option("--curve/--no-curve", help="Also tolerances 0.1, 1, 5 % over 24h, 5d, 10d.")
    ] = True,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Find the largest position, or scale of an account, that capital carries at your tolerance.

    Exits 2 when the present size is beyond it.
    """
    from margincover.cli.size_command import SizeOptions, run_size

    options = SizeOptions(
        account=account,
        symbol=symbol,
        scale=scale,
        side=side,
        tolerance=tolerance,
        horizon=horizon,
        capital=capital,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        threads=threads,
        curve=curve,
        rules=rules,
        html=html,
        as_json=as_json,
    )
    raise typer.Exit(run_size(book, options))


@analysis_app.command()
def backtest(
    history: Annotated[
        Path,
        typer.Option("--history", metavar="DIR", help="Folder of <SYMBOL>.parquet or .csv, or of such folders."),
    ],
    coins: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--coins", metavar="BTC,ETH", help="Coins to read and judge. Default: all that are there."),
    ] = None,
    models: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--models", metavar="NAME,NAME", help="Models to walk forward. Default: all."),
    ] = None,
    horizon: Annotated[
        str, typer.Option("--horizon", metavar="TIME", help="Whole days, for example 24h or 5d.")
    ] = "24h",
    tolerances: Annotated[
        str, typer.Option("--tolerances", metavar="P,P", help="Accepted probabilities.")
    ] = "0.05,0.01,0.001",
    paths: Annotated[int, typer.Option("--paths", metavar="N", help="Paths of a simulated forecast.")] = 10_000,
    seed: SeedOption = 1,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--resume", metavar="FILE", help="State file: what is done is kept there and not done again."),
    ] = None,
    requests: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--requests", metavar="FILE", help="Table of series_id, forecast_ts, horizon_h, tolerance."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", metavar="FILE", help="With --requests: the same rows with rc, rces and model."),
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Walk forecasting models forward over a history and score them against what came; or answer requests."""
    from margincover.cli.backtest_command import BacktestOptions, run_backtest

    options = BacktestOptions(
        history=history,
        coins=coins,
        models=models,
        horizon=horizon,
        tolerances=tolerances,
        paths=paths,
        seed=seed,
        html=html,
        as_json=as_json,
        resume=resume,
        requests=requests,
        out=out,
        threads=threads,
    )
    raise typer.Exit(run_backtest(options))
