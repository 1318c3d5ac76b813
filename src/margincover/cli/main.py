"""The command ``margincover``.

Exit codes: 0 covered, 1 warning, 2 breach, 3 data unknown, 64 the command line is wrong.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.cli.allocate_app import allocate_app
from margincover.cli.analysis import analysis_app
from margincover.cli.capital import capital_app
from margincover.cli.cascade_app import cascade_app
from margincover.cli.fund_app import fund_app
from margincover.cli.options import (
    AddOnsOption,
    BookArgument,
    FactorsOption,
    HistoryOption,
    HorizonOption,
    HtmlOption,
    JsonOption,
    MeasureOption,
    PathsOption,
    RareOption,
    RulesOption,
    ScenariosOption,
    SeedOption,
    ThreadsOption,
    ToleranceOption,
    VolRuleOption,
)
from margincover.cli.report_app import report_app
from margincover.cli.rescue_app import rescue_app
from margincover.cli.rules_app import rules_app
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
    vol_rule: VolRuleOption = None,
    factors: FactorsOption = "prices",
    add_ons: AddOnsOption = False,
    rare: RareOption = False,
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
        vol_rule=vol_rule,
        factors=factors,
        add_ons=add_ons,
        rare=rare,
    )
    raise typer.Exit(commands.run_cover(book, settings, rules=rules, as_json=as_json, html=html))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the book file."""
    from margincover.cli import commands

    commands.print_schema()


# Without a name the commands stand beside the others, in this order of the help.
app.add_typer(analysis_app)
app.add_typer(cascade_app)
app.add_typer(allocate_app)
app.add_typer(capital_app)
app.add_typer(report_app)
app.add_typer(rescue_app)
app.add_typer(fund_app, name="fund")
app.add_typer(rules_app, name="rules")


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
