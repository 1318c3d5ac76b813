"""The command ``margincover rules``: what is in force when, what changed, whether a venue still agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from margincover.cli.options import (
    JsonOption,
    RulesOption,
)

EXIT_UNSOUND = 3

rules_app = typer.Typer(help="Show and check the venues' dated margin rules.", no_args_is_help=True)


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

    raise typer.Exit(EXIT_UNSOUND if rules_commands.check(rules) else 0)
