"""The command ``margincover``.

Exit codes: 0 covered, 1 warning, 2 breach, 3 data unknown, 64 the command line is wrong.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.version import __version__

EXIT_UNKNOWN = 3
EXIT_USAGE = 64

app = typer.Typer(
    name="margincover",
    help="Margin call coverage for crypto derivatives: how much capital, placed where, so that no account is "
    "force-liquidated at the tolerance you state.",
    epilog="Exit codes: 0 covered, 1 warning, 2 breach, 3 data unknown, 64 usage.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(help="Show and check the venues' dated margin rules.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")

BookArgument = Annotated[Path, typer.Argument(metavar="BOOK", help="Book file, JSON or TOML.")]
RulesOption = Annotated[
    Optional[Path],  # noqa: UP045  # typer reads the annotation at run time
    typer.Option("--rules", metavar="DIR", help="Folder of <venue>.toml files that add to or override the rules."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
HtmlOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", metavar="FILE", help="Write the report to one self-contained HTML file."),
]
ToleranceOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--tolerance", metavar="P", help="Accepted probability: 0.01 or 1%. Default: the book's."),
]
HorizonOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--horizon", metavar="TIME", help="1h to 30d, for example 24h or 5d. Default: the book's."),
]
MeasureOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--measure", metavar="rces|rc", help="Expected Shortfall form or quantile. Default: the book's."),
]
PathsOption = Annotated[int, typer.Option("--paths", metavar="N", help="Joint market paths.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", help="Seed; same seed, same bits.")]
ScenariosOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--scenarios",
        metavar="montecarlo|fhs|bootstrap",
        help="Scenario generator. Default: fhs with --history, else montecarlo from the packaged calibration.",
    ),
]
HistoryOption = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--history", metavar="DIR", help="Folder of <SYMBOL>.parquet or .csv (ts, open, high, low, close)."),
]
ThreadsOption = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option("--threads", metavar="N", min=1, help="Threads; does not change the result."),
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"margincover {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Margin call coverage for crypto derivatives."""


@app.command()
def demo(
    save_book: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--save-book", metavar="FILE", help="Write the example book to FILE, to start from, and stop."),
    ] = None,
    html: HtmlOption = None,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
) -> None:
    """Run the main job on the shipped example book; no network, nothing to configure.

    Exits 0 when it ran, whatever it found.
    """
    from margincover.cli import commands

    if save_book is not None:
        commands.save_demo_book(save_book)
    else:
        commands.run_demo(html=html or Path("margincover-demo.html"), paths=paths, seed=seed)


@app.command()
def status(
    book: BookArgument,
    rules: RulesOption = None,
    as_json: JsonOption = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show each figure as a tree down to balances, tiers, fees and haircuts.")
    ] = False,
) -> None:
    """Show equity, margins, ratios and liquidation prices of every account now."""
    from margincover.cli import commands

    raise typer.Exit(commands.run_status(book, rules=rules, as_json=as_json, explain=explain))


@app.command()
def cover(
    book: BookArgument,
    tolerance: ToleranceOption = None,
    horizon: HorizonOption = None,
    measure: MeasureOption = None,
    paths: PathsOption = 20_000,
    seed: SeedOption = 1,
    scenarios: ScenariosOption = None,
    history: HistoryOption = None,
    rules: RulesOption = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
    html: HtmlOption = None,
) -> None:
    """Compute the capital that each account requires at your tolerance, worst first."""
    from margincover.cli import commands

    settings = commands.cover_settings(
        tolerance=tolerance,
        horizon=horizon,
        measure=measure,
        paths=paths,
        seed=seed,
        scenarios=scenarios,
        history=history,
        threads=threads,
    )
    raise typer.Exit(commands.run_cover(book, settings, rules=rules, as_json=as_json, html=html))


@app.command()
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


@app.command()
def schema() -> None:
    """Print the JSON Schema of the book file."""
    from margincover.cli import commands

    commands.print_schema()


@rules_app.command("show")
def rules_show(
    venue: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[VENUE]", help="Venue; without it the venues are listed."),
    ] = None,
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--at", metavar="TIME", help="UTC instant, for example 2026-01-01T00:00:00Z. Default: now."),
    ] = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the margin rules of a venue in force at an instant, with their sources."""
    from margincover.cli import rules_commands

    rules_commands.show(venue, at=at, rules=rules, as_json=as_json)


@rules_app.command("diff")
def rules_diff(
    venue: Annotated[str, typer.Argument(metavar="VENUE", help="Venue.")],
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="UTC instant, for example 2024-01-01T00:00:00Z.")
    ],
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--to", metavar="TIME", help="UTC instant. Default: now."),
    ] = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed in the rules of a venue between two instants."""
    from margincover.cli import rules_commands

    rules_commands.diff(venue, since=since, until=until, rules=rules, as_json=as_json)


@rules_app.command("verify")
def rules_verify(
    book: Annotated[Path, typer.Option("--book", metavar="BOOK", help="Book that carries what the venues report.")],
    tolerance_bps: Annotated[
        float, typer.Option("--tolerance-bps", metavar="BPS", min=0.0, help="Largest difference that is no alarm.")
    ] = 10.0,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare our figures with what the venues report; exit 2 on a difference beyond the tolerance (rule drift)."""
    from margincover.cli import rules_commands

    raise typer.Exit(rules_commands.verify(book, tolerance_bps=tolerance_bps, rules=rules, as_json=as_json))


@rules_app.command("check")
def rules_check(rules: RulesOption = None) -> None:
    """Validate every edition of every venue; exit 3 when one is unsound."""
    from margincover.cli import rules_commands

    raise typer.Exit(EXIT_UNKNOWN if rules_commands.check(rules) else 0)


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.exit(main(arguments))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; errors are one message without a traceback."""
    from margincover.errors import MargincoverError, UsageError

    warnings.simplefilter("default")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = app(args=arguments, standalone_mode=False, prog_name="margincover")
        return code if isinstance(code, int) else 0
    except UsageError as error:
        _say(str(error))
        return EXIT_USAGE
    except MargincoverError as error:
        _say(str(error))
        return EXIT_UNKNOWN
    except (KeyboardInterrupt, typer.Abort):
        _say("stopped")
        return 130
    except BrokenPipeError:
        # The reader of the pipe went away: nothing is left to say to it.
        sys.stderr.close()
        return 141
    except Exception as error:
        usage = _usage_text(error)
        if usage is None:
            raise
        # Without a command typer answers with the help itself, which is no message of one line.
        print(usage if "\n" in usage else f"margincover: error: {usage}", file=sys.stderr)
        return EXIT_USAGE


def _usage_text(error: Exception) -> str | None:
    """Return the message of a command-line error of typer, None for anything else."""
    show = getattr(error, "format_message", None)
    if show is None:
        return None
    context = getattr(error, "ctx", None)
    hint = f" (see `{context.command_path} --help`)" if context is not None else ""
    text = show() or "a command is missing"
    return text if "\n" in text else f"{text}{hint}"


def _say(message: str) -> None:
    print(f"margincover: error: {message}", file=sys.stderr)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"margincover: warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    run()
