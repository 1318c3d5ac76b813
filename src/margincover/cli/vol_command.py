"""What ``margincover vol`` does: read its options, assess, print, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from margincover.errors import InputError, UsageError
from margincover.units import parse_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class VolOptions:
    """Options of one run, as they were typed."""

    coins: str | None
    book: Path | None
    dvol: tuple[str, ...]
    days: int
    as_of: str | None
    rules: Path | None
    as_json: bool


def run_vol(history: Path, options: VolOptions) -> int:
    """Print the volatility of coins and return the exit code."""
    from margincover.app.load import load
    from margincover.app.vol import VolSettings, vol

    names = parse_coins(options.coins)
    settings = VolSettings(
        coins=names,
        dvol=parse_dvol(options.dvol, names),
        days=options.days,
        as_of=None if options.as_of is None else _instant(options.as_of),
    )
    book = None if options.book is None else load(options.book, rules=options.rules)
    with _progress() as step:
        report = vol(history, settings, book=book, progress=step)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report import terminal_vol

    console = terminal_console()
    for warning in report.result.provenance.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    console.print(terminal_vol.volatility_tables(report.result))
    return report.exit_code


def parse_coins(text: str | None) -> list[str]:
    """Return the coins in ``"BTC,ETH"``; none for None.

    Raises
    ------
    UsageError
        If a name is empty.
    """
    if text is None:
        return []
    names = [name.strip().upper() for name in text.split(",")]
    if not all(names):
        raise UsageError(f"was '{text}'", field="--coins", allowed="names with commas between them, BTC,ETH")
    return names


def parse_dvol(texts: Sequence[str], coins: Sequence[str]) -> dict[str, Path]:
    """Return files by coin from ``"[COIN=]FILE"``; without COIN the only coin of ``coins``.

    Raises
    ------
    UsageError
        If the coin is not clear, or stands twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        coin, equals, file = text.partition("=")
        if not equals:
            if len(coins) != 1:
                raise UsageError(f"was '{text}'", field="--dvol", allowed="COIN=FILE, for example BTC=dvol.csv")
            coin, file = coins[0], text
        coin = coin.strip().upper()
        if not coin or not file or coin in found:
            raise UsageError(f"was '{text}'", field="--dvol", allowed="one COIN=FILE for each coin")
        found[coin] = Path(file)
    return found


def _instant(text: str) -> datetime:
    try:
        return parse_utc(text, field="--as-of")
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None


@contextmanager
def _progress() -> Iterator[Callable[[str, str], None] | None]:
    """Show which model runs on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading bars") as line:
        yield lambda coin, model: line.update(f"{coin}: {model}")
