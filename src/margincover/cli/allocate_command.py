"""What ``margincover allocate`` does: read its options, plan, print, write, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.errors import UsageError
from margincover.io.output import require_target, write_atomically

if TYPE_CHECKING:
    from margincover.app.allocate import AllocateSettings

_HTML = "--html FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateOptions:
    """Options of one run, as they were typed."""

    tolerance: str | None
    horizon: str | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    threads: int | None
    cost_of_capital: str
    liquidation_cost: float
    minimise: str
    n_minus_1: bool
    limits: tuple[str, ...]
    fresh: float | None
    reserve_limit: float | None
    budget: float | None
    only_ways: bool
    frontier: int
    alternatives: bool
    rules: Path | None
    html: Path | None
    as_json: bool


def run_allocate(path: Path, options: AllocateOptions) -> int:
    """Print the plan of a book and return the exit code."""
    from margincover.app.allocate import allocate
    from margincover.app.load import load

    if options.html is not None:
        require_target(options.html, option=_HTML)
    settings = _settings(options)
    book = load(path, rules=options.rules)
    with _progress() as step:
        report = allocate(book, settings, progress=step)
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report import terminal, terminal_allocate

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(terminal_allocate.allocation_tables(report.result))
    if options.html is not None:
        console.print(f"page: {options.html.resolve()}", soft_wrap=True, highlight=False, markup=False)
    return report.exit_code


def _settings(options: AllocateOptions) -> AllocateSettings:
    from margincover.app.allocate import AllocateSettings
    from margincover.cli.commands import cover_settings

    common = cover_settings(
        tolerance=options.tolerance,
        horizon=options.horizon,
        measure=None,
        paths=options.paths,
        seed=options.seed,
        scenarios=options.scenarios,
        history=options.history,
        threads=options.threads,
    )
    return AllocateSettings(
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
        threads=common.threads,
        cost_of_capital=parse_rate(options.cost_of_capital),
        liquidation_cost=options.liquidation_cost,
        minimise=options.minimise,
        n_minus_1=options.n_minus_1,
        limits_usd=dict(_limit(text) for text in options.limits),
        fresh_usd=options.fresh,
        reserve_limit_usd=options.reserve_limit,
        budget_usd=options.budget,
        only_ways=options.only_ways,
        frontier_points=options.frontier,
        with_alternatives=options.alternatives,
    )


def parse_rate(text: str) -> float:
    """Return the rate a year in ``"0.1"`` or ``"10%"``.

    Raises
    ------
    UsageError
        If it is no number.

    Examples
    --------
    >>> parse_rate("10%")
    0.1
    """
    body = text.strip()
    try:
        return float(body.removesuffix("%")) / (100.0 if body.endswith("%") else 1.0)
    except ValueError:
        raise UsageError(f"was '{text}'", field="--cost-of-capital", allowed="a rate a year: 0.1 or 10%") from None


def _limit(text: str) -> tuple[str, float]:
    name, separator, amount = text.rpartition("=")
    try:
        value = float(amount)
    except ValueError:
        value, separator = 0.0, ""
    if not separator or not name:
        raise UsageError(f"was '{text}'", field="--limit", allowed="ACCOUNT=USD, for example okx:hedge=200000")
    return name, value


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Show what is being done on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("allocating") as line:
        yield lambda text: line.update(f"allocating: {text}")
