"""What ``margincover cascade`` does: read its options, run, print, write, choose the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from margincover.cli.figures import figure_of, named_figures
from margincover.errors import InputError, UsageError
from margincover.io.output import require_target, write_atomically
from margincover.units import parse_duration_s, parse_utc, utc_ns

if TYPE_CHECKING:
    from margincover.app.cascade import CascadeRequest
    from margincover.app.cascade_index import IndexPath
    from margincover.clearing.cascade import CascadeSettings

_HTML = "--html FILE"
_Choice = TypeVar("_Choice")


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeOptions:
    """Options of one run, as they were typed."""

    coin: str | None
    shock: str
    over: str
    duration: str
    step: str
    index: Path | None
    start: str | None
    end: str | None
    betas: tuple[str, ...]
    prices: tuple[str, ...]
    depth: tuple[str, ...]
    bound: tuple[str, ...]
    fund: tuple[str, ...]
    impact: str
    thinning: str
    whole: bool
    takeover: bool
    immediate: bool
    fee: str
    max_rounds: int
    below_zero: str
    seed: int
    as_json: bool
    html: Path | None


def run_cascade(population: Path | None, options: CascadeOptions) -> int:
    """Print a cascade, write its page when asked, and return the exit code."""
    from margincover.app.cascade import cascade

    if options.html is not None:
        require_target(options.html, option=_HTML)
    request = cascade_request(population, options)
    with _progress() as say:
        report = cascade(request, progress=say)
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.cli.commands import terminal_console
    from margincover.report.terminal_cascade import cascade_tables

    console = terminal_console()
    console.print(cascade_tables(report.data))
    if options.html is not None:
        console.print(f"page: {options.html.resolve()}", soft_wrap=True, highlight=False, markup=False)
    return report.exit_code


def cascade_request(population: Path | None, options: CascadeOptions) -> CascadeRequest:
    """Return what is asked for from the texts of the command line.

    Raises
    ------
    UsageError
        If a text does not read or a figure is out of range.
    """
    from margincover.app.cascade import CascadeRequest
    from margincover.clearing.population import BelowZero

    if not 0 <= options.seed < 2**63:
        raise UsageError(f"was {options.seed}", field="--seed", allowed="0 to 2^63 - 1")
    index = _index(options)
    return CascadeRequest(
        index=index,
        population=population,
        coin=options.coin,
        betas=named_figures(options.betas, option="--beta"),
        prices=named_figures(options.prices, option="--price"),
        depth_usd=named_figures(options.depth, option="--depth"),
        bound_fraction=named_figures(options.bound, option="--bound"),
        fund_usd=named_figures(options.fund, option="--fund"),
        settings=_settings(options, index.step_s),
        below_zero=_choice(options.below_zero, {each.value: each for each in BelowZero}, "--below-zero"),
        seed=options.seed,
    )


def _index(options: CascadeOptions) -> IndexPath:
    from margincover.app.cascade_index import seen_bars, stated_fall

    if options.index is not None:
        start, end = (_instant_ns(text, name) for text, name in ((options.start, "--from"), (options.end, "--until")))
        return seen_bars(options.index, start_ns=start, end_ns=end)
    for name, text in (("--from", options.start), ("--until", options.end)):
        if text is not None:
            raise UsageError(f"was '{text}' without --index", field=name, allowed="with --index FILE")
    return stated_fall(
        figure_of(options.shock, option="--shock"),
        over_s=_duration(options.over, "--over"),
        duration_s=_duration(options.duration, "--duration"),
        step_s=_duration(options.step, "--step"),
    )


def _settings(options: CascadeOptions, step_s: float) -> CascadeSettings:
    from margincover.clearing.cascade import CascadeSettings, Feedback, Remainder, SliceRule
    from margincover.clearing.impact import Impact, ImpactLaw

    laws = {"exponential": ImpactLaw.EXPONENTIAL, "linear": ImpactLaw.LINEAR, "square-root": ImpactLaw.SQUARE_ROOT}
    thinning = None if options.thinning == "none" else figure_of(options.thinning, option="--thinning")
    try:
        return CascadeSettings(
            impact=Impact(law=_choice(options.impact, laws, "--impact"), thinning_move_fraction=thinning),
            step_s=step_s,
            fee_fraction=figure_of(options.fee, option="--fee"),
            slices=None if options.whole else SliceRule(),
            remainder=Remainder.TO_FUND if options.takeover else Remainder.RETURNED,
            feedback=Feedback.IMMEDIATE if options.immediate else Feedback.NEXT_STEP,
            max_rounds=options.max_rounds,
        )
    except UsageError:
        raise
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None


def _choice(text: str, choices: dict[str, _Choice], option: str) -> _Choice:
    if text not in choices:
        raise UsageError(f"was '{text}'", field=option, allowed=", ".join(choices))
    return choices[text]


def _duration(text: str, option: str) -> float:
    try:
        return float(parse_duration_s(text, field=option))
    except InputError as error:
        raise UsageError(error.found, field=option, allowed=error.allowed) from None


def _instant_ns(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return utc_ns(parse_utc(text, field=option))
    except InputError as error:
        raise UsageError(error.found, field=option, allowed=error.allowed) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """Show what is being done on a terminal; stay silent in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("cascade") as line:
        yield lambda what: line.update(what)
