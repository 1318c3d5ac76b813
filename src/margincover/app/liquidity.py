"""Liquidity: from a book to its ladder, survival horizon and debt coverage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from margincover.app.liquidity_run import BUCKETS_S, LiquidityRun, LiquiditySettings
from margincover.liquidity import debt, ladder
from margincover.liquidity.verdict import verdict
from margincover.model.book import Book
from margincover.model.liquidity import LiquidityResult
from margincover.model.scenario import ScenarioGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityReport:
    """Ladder, survival horizon and debt coverage; ``exit_code`` is 0 covered, 1 warning, 2 breach."""

    result: LiquidityResult

    @property
    def exit_code(self) -> int:
        """The level of ``liquidity.verdict``."""
        return int(verdict(self.result).level)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_liquidity import liquidity_to_dict

        return json.dumps(liquidity_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the result as one self-contained HTML page."""
        from margincover.report.html_liquidity import liquidity_html

        return liquidity_html(self.result)


def liquidity(
    book: Book,
    settings: LiquiditySettings | None = None,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LiquidityReport:
    """Return the liquidity ladder, survival horizon and debt coverage of a book.

    Parameters
    ----------
    book : Book
    settings : LiquiditySettings or None
    generator : ScenarioGenerator or None
        Own generator; then ``scenarios`` and ``history`` must be left out.
    progress : callable or None
        Called with (blocks done, blocks in all).

    Raises
    ------
    InputError, RulebookError, StaleDataError, UsageError
        Naming file, account or resource, and field.
    """
    run = LiquidityRun.of(book, settings or LiquiditySettings(), generator)
    buckets = run.buckets_s
    dues = debt.scheduled(book, horizon_s=run.horizon_s)
    everything = run.supply(sorted({0, *buckets, *(due.due_s for due in dues)}))
    # What arrives inside a bucket may come after the need: only what was there at its start counts.
    supply, opening = everything.at(buckets), everything.at((0, *buckets[:-1]))
    running = run.running(progress)
    needs = run.needs(running)
    idle = ladder.idle_margins(supply)
    failed = ladder.unmet_paths(opening, needs, idle)
    rows = ladder.ladder_rows(opening, supply, needs, failed, tolerance=run.tolerance)
    last = buckets.index(run.horizon_s)
    by_horizon = supply.at((run.horizon_s,))
    due_rows = run.debts(dues, everything, needs, last)
    return LiquidityReport(
        result=LiquidityResult(
            tolerance=run.tolerance,
            horizon_s=run.horizon_s,
            n_paths=needs.running_usd.shape[2],
            supply=supply,
            ladder=rows,
            needs=ladder.account_needs(opening, supply, needs, tolerance=run.tolerance, until_bucket=last, idle=idle),
            survival=ladder.survival_horizon(rows, tolerance=run.tolerance),
            stock=ladder.stock_of(by_horizon, outflow_usd=rows[last].need_gross_usd),
            concentrations=(*ladder.concentrations(by_horizon), *run.holdings()),
            debts=due_rows,
            debt_coverage_ratio=debt.debt_coverage_ratio(due_rows),
            loans=run.loan_rows(running, last),
            calls=run.calls(progress),
            provenance=run.provenance(everything),
        )
    )


__all__ = ["BUCKETS_S", "LiquidityReport", "LiquiditySettings", "liquidity"]
