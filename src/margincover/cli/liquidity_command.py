"""What ``margincover liquidity`` does: read its options, follow the paths, print, write, choose the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.cli.commands import cover_settings, path_progress, terminal_console
from margincover.io.output import require_target, write_atomically

if TYPE_CHECKING:
    from margincover.app.liquidity import LiquiditySettings

_HTML = "--html FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityOptions:
    """Options of one run, as they were typed."""

    tolerance: str | None
    horizon: str | None
    paths: int
    seed: int
    scenarios: str | None
    history: Path | None
    frozen: tuple[str, ...]
    medians: bool
    stress: bool
    trading: bool
    threads: int | None
    rules: Path | None
    html: Path | None
    as_json: bool


def run_liquidity(path: Path, options: LiquidityOptions) -> int:
    """Print the ladder, survival horizon and debt coverage of a book and return the exit code."""
    from margincover.app.liquidity import liquidity
    from margincover.app.load import load

    if options.html is not None:
        require_target(options.html, option=_HTML)
    settings = _settings(options)
    book = load(path, rules=options.rules)
    with path_progress() as step:
        report = liquidity(book, settings, progress=step)
    if options.html is not None:
        write_atomically(options.html, report.to_html(), option=_HTML)
    if options.as_json:
        print(report.to_json())
        return report.exit_code
    from margincover.report import terminal, terminal_liquidity

    console = terminal_console()
    console.print(terminal.provenance_panel(report.result.provenance))
    console.print()
    console.print(terminal_liquidity.liquidity_view(report.result))
    if options.html is not None:
        console.print(f"page: {options.html.resolve()}", soft_wrap=True, highlight=False, markup=False)
    return report.exit_code


def _settings(options: LiquidityOptions) -> LiquiditySettings:
    from margincover.app.liquidity import LiquiditySettings

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
    return LiquiditySettings(
        tolerance=common.tolerance,
        horizon_s=common.horizon_s,
        frozen=options.frozen,
        slow=not options.medians,
        stress=options.stress,
        with_trading=options.trading,
        paths=common.paths,
        seed=common.seed,
        scenarios=common.scenarios,
        history=common.history,
        threads=common.threads,
    )
