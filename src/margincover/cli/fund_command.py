"""What ``margincover fund`` does: read its options, run, print, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.cli.figures import figure_of, named_figures
from margincover.errors import InputError, UsageError
from margincover.units import parse_duration_s, parse_utc

if TYPE_CHECKING:
    from margincover.app.fund import FundSizeRequest, WaterfallRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    """Options of ``fund size``, as they were typed."""

    venue: str | None
    fund: str | None
    horizon: str
    step: str
    capital_cost: str
    loss_cost: str
    inflow: str
    fee: str
    in_coins: str
    coin: str
    depth: tuple[str, ...]
    prices: tuple[str, ...]
    paths: int
    seed: int
    as_json: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallOptions:
    """Options of ``fund waterfall``, as they were typed."""

    compare: str
    venue: str
    market: str | None
    shock: str
    fund: str | None
    own_capital: str
    assessment: str
    adl_of: str | None
    at: str | None
    prices: tuple[str, ...]
    seed: int
    as_json: bool


def run_size(source: Path | None, options: SizeOptions) -> int:
    """Print a fund's size and return the exit code."""
    from margincover.app.fund import fund_size

    request = size_request(source, options)
    with _progress() as say:
        report = fund_size(request, progress=say)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report.terminal_fund import fund_size_tables

    terminal_console().print(fund_size_tables(report.data))
    return report.exit_code


def run_waterfall(population: Path | None, options: WaterfallOptions) -> int:
    """Print policies side by side and return the exit code."""
    from margincover.app.fund import fund_waterfall

    report = fund_waterfall(waterfall_request(population, options))
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report.terminal_fund import waterfall_tables

    terminal_console().print(waterfall_tables(report.data))
    return report.exit_code


def size_request(source: Path | None, options: SizeOptions) -> FundSizeRequest:
    """Return the request that the options make.

    Raises
    ------
    UsageError
        If an option does not read or is out of its range.
    """
    from margincover.app.fund import FundSizeRequest
    from margincover.app.fund_paths import PathRequest

    paths = PathRequest(
        horizon_s=_duration(options.horizon, "--horizon"), step_s=_duration(options.step, "--step"),
        n_paths=options.paths, fee_fraction=_within(options.fee, "--fee", 1.0), seed=options.seed,
    )  # fmt: skip
    return FundSizeRequest(
        source=source, venue=options.venue, paths=paths,
        capital_cost_annual=_above_zero(options.capital_cost, "--capital-cost"),
        loss_cost=_above_zero(options.loss_cost, "--loss-cost"), fund_usd=_stated(options.fund),
        inflow_usd=_within(options.inflow, "--inflow"), coin_fraction=_within(options.in_coins, "--in-coins", 1.0),
        coin=options.coin.upper(), prices=named_figures(options.prices, option="--price"),
        depth_usd=named_figures(options.depth, option="--depth"),
    )  # fmt: skip


def waterfall_request(population: Path | None, options: WaterfallOptions) -> WaterfallRequest:
    """Return the request that the options make.

    Raises
    ------
    UsageError
        If an option does not read, is out of its range, or names an unknown policy or one twice.
    """
    from margincover.app.fund import WaterfallRequest
    from margincover.clearing.fund_compare import POLICIES

    policies = [name.strip() for name in options.compare.split(",")]
    if not set(policies) <= set(POLICIES) or len(set(policies)) != len(policies):
        raise UsageError(f"was '{options.compare}'", field="--compare", allowed=f"{', '.join(POLICIES)}; each once")
    shock = figure_of(options.shock, option="--shock")
    if not -1.0 < shock <= 10.0:
        raise UsageError(f"was '{options.shock}'", field="--shock", allowed="above -100%, to 1000%")
    return WaterfallRequest(
        policies=policies, population=population, venue=options.venue.strip().lower().replace("-", "_"),
        market=options.market, shock=shock, fund_usd=_stated(options.fund),
        own_usd=_within(options.own_capital, "--own-capital"), multiple=_within(options.assessment, "--assessment"),
        adl_of=options.adl_of, at=_instant(options.at), prices=named_figures(options.prices, option="--price"),
        seed=options.seed,
    )  # fmt: skip


def _stated(text: str | None) -> float | None:
    return None if text is None else _within(text, "--fund")


def _within(text: str, option: str, most: float | None = None) -> float:
    value = figure_of(text, option=option)
    if value < 0.0 or (most is not None and value > most):
        raise UsageError(f"was '{text}'", field=option, allowed="0 or more" if most is None else f"0 to {most:.0%}")
    return value


def _above_zero(text: str, option: str) -> float:
    value = figure_of(text, option=option)
    if not value > 0.0:
        raise UsageError(f"was '{text}'", field=option, allowed="above 0")
    return value


def _duration(text: str, option: str) -> int:
    try:
        return parse_duration_s(text, field=option)
    except InputError as error:
        raise UsageError(error.found, field=option, allowed=error.allowed) from None


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_utc(text, field="--at")
    except InputError as error:
        raise UsageError(error.found, field="--at", allowed=error.allowed) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Show what is being done on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("fund") as line:
        yield lambda what: line.update(what)
