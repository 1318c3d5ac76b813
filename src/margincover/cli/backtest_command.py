"""What ``margincover backtest`` does: read its options, walk forward or answer requests, print and write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.errors import UsageError
from margincover.io.output import require_target, write_atomically
from margincover.units import format_duration, parse_duration_s

if TYPE_CHECKING:
    from margincover.app.backtest import BacktestResult, BacktestSettings, Progress
    from margincover.report.backtest_html import Track
    from margincover.report.page_parts import Table

_HTML, _OUT = "--html FILE", "--out FILE"
_HOUR_S = 3_600
# The series drawn on the page: the first coins that were judged, both sides, at the middle tolerance.
_TRACKED_COINS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """Options of one run, as they were typed."""

    history: Path
    coins: str | None
    models: str | None
    horizon: str
    tolerances: str
    paths: int
    seed: int
    html: Path | None
    as_json: bool
    resume: Path | None
    requests: Path | None
    out: Path | None
    threads: int | None


def run_backtest(options: BacktestOptions) -> int:
    """Walk forward and print the scores, or answer requests; return the exit code."""
    if options.paths < 1_000:
        raise UsageError(f"was {options.paths}", field="--paths", allowed="at least 1000")
    if not 0 <= options.seed < 2**63:
        raise UsageError(f"was {options.seed}", field="--seed", allowed="0 to 2^63 - 1")
    if (options.requests is None) != (options.out is None):
        raise UsageError("stood alone", field="--requests or --out", allowed="--requests FILE and --out FILE together")
    if options.requests is not None:
        return _run_requests(options)
    from margincover.app.backtest import backtest
    from margincover.io.market_files import load_market
    from margincover.paths.engine import available_threads

    settings = _settings(options)
    if options.html is not None:
        require_target(options.html, option=_HTML)
    files = load_market(options.history, coins=_names(options.coins))
    with _progress(quiet=options.as_json) as progress:
        result = backtest(
            files,
            settings,
            resume=options.resume,
            progress=progress,
            threads=options.threads or available_threads(),
        )
    if options.html is not None:
        write_atomically(options.html, _page(result), option=_HTML)
    if options.as_json:
        _print_json(result)
    else:
        _print(result, options.html)
    return 0


def _settings(options: BacktestOptions) -> BacktestSettings:
    from margincover.app.backtest import DEFAULT_MODELS, BacktestSettings
    from margincover.cli.commands import parse_tolerance
    from margincover.scenarios.forecast.required import Tolerances

    tails = {parse_tolerance(text) for text in options.tolerances.split(",")}
    models = tuple(part.strip() for part in options.models.split(",")) if options.models else DEFAULT_MODELS
    return BacktestSettings(
        models=models,
        horizon_hours=_horizon_hours(options.horizon),
        tolerances=Tolerances(values=tuple(sorted(tails, reverse=True))),
        n_paths=options.paths,
        seed=options.seed,
    )


def _horizon_hours(text: str) -> int:
    seconds = parse_duration_s(text, field="--horizon")
    if seconds % _HOUR_S or not _HOUR_S <= seconds <= 30 * 24 * _HOUR_S:
        raise UsageError(f"was '{text}'", field="--horizon", allowed="whole hours up to 30d, for example 24h or 5d")
    return seconds // _HOUR_S


def _names(text: str | None) -> set[str] | None:
    return None if text is None else {part.strip().upper() for part in text.split(",") if part.strip()}


def _run_requests(options: BacktestOptions) -> int:
    from collections import Counter

    from margincover.app.backtest_requests import answer_requests
    from margincover.io.market_files import load_market
    from margincover.io.requests_table import read_requests, write_answers
    from margincover.paths.engine import available_threads
    from margincover.scenarios.forecast.models import DEFAULT

    assert options.requests is not None, "Invariant: called only with requests"
    assert options.out is not None, "Invariant: called only with a file to write"
    require_target(options.out, option=_OUT)
    requests = read_requests(options.requests)
    files = load_market(options.history)
    with _progress(quiet=options.as_json) as progress:
        answers = answer_requests(
            files,
            requests,
            model=options.models or DEFAULT,
            n_paths=options.paths,
            seed=options.seed,
            progress=progress,
            threads=options.threads or available_threads(),
        )
    write_answers(options.out, requests, rc=answers.rc, rces=answers.rces, model=answers.model)
    kinds = Counter(text.split(" (")[0] for text in answers.model)
    print(f"{len(answers.model)} requests answered: {options.out.resolve()}")
    for name, count in kinds.most_common():
        print(f"  {count} by {name}")
    return 0


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("backtest", total=None)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show


def _print_json(result: BacktestResult) -> None:
    """Print the scores as JSON."""
    from margincover.app.crisis_days import crisis_rows
    from margincover.report.backtest import backtest_json

    settings = asdict(result.settings)
    settings["tolerances"] = list(result.settings.tolerances.values)
    print(
        backtest_json(
            settings=settings,
            models=dict(result.models),
            series=dict(result.series),
            crisis=crisis_rows(result),
            notes=result.notes,
        )
    )


def _print(result: BacktestResult, html: Path | None) -> None:
    from rich.console import Console

    from margincover.app.crisis_days import crisis_rows
    from margincover.cli.commands import terminal_console
    from margincover.report.backtest import crisis_table_text, score_table

    console = terminal_console()
    # 14 columns: a pipe gets them whole
    console = console if console.is_terminal else Console(highlight=False, width=200)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    for rows in result.models.values():
        console.print(score_table(rows))
    crisis = crisis_rows(result)
    if crisis:
        console.print(crisis_table_text(crisis, result.settings.tolerances.values))
    if html is not None:
        console.print(f"page: {html.resolve()}", soft_wrap=True, highlight=False, markup=False)


def _page(result: BacktestResult) -> str:
    from margincover.report.backtest_html import backtest_html

    settings = result.settings
    windows = sum(found.count.size for found in result.judged)
    return backtest_html(
        subtitle=f"{len(result.judged)} coins, both sides, {format_duration(settings.horizon_hours * _HOUR_S)}, "
        f"{windows:,} windows each side",
        headline="What was forecast, and what came",
        models=result.models,
        tracks=_tracks(result),
        crisis=_crisis_table(result),
        notes=result.notes or ("Every model answered every window itself.",),
    )


def _tracks(result: BacktestResult) -> list[Track]:
    from margincover.app.backtest import series_id
    from margincover.report.backtest_html import Track
    from margincover.scenarios.forecast.models import DEFAULT, REFERENCE
    from margincover.scenarios.forecast.required import Side

    tails = result.settings.tolerances.values
    k = len(tails) // 2
    models = [name for name in (DEFAULT, REFERENCE) if name in result.forecasts]
    return [
        Track(
            series_id=series_id(found.coin, side),
            times=[str(day) for day in found.start_utc_ns.astype("datetime64[ns]").astype("datetime64[D]")],
            came=found.maximum[:, side],
            rc={model: result.forecasts[model][found.coin].rc[:, side, k] for model in models},
            tolerance=tails[k],
        )
        for found in result.judged[:_TRACKED_COINS]
        for side in Side
    ]


def _crisis_table(result: BacktestResult) -> Table:
    from margincover.app.crisis_days import crisis_rows
    from margincover.report.backtest_html import crisis_table

    return crisis_table(crisis_rows(result), result.settings.tolerances.values)
