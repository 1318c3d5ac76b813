"""Report: the daily statement of a book, composed from coverage, liquidity, stress and the previous report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from margincover.app.cover import DEFAULT_PATHS, CoverSettings, cover
from margincover.app.liquidity import BUCKETS_S, LiquiditySettings, liquidity
from margincover.app.report_breaches import breaches_of
from margincover.app.report_change import PreviousReport, explain_change, place_values
from margincover.app.report_figures import DAY_S, headline_figures
from margincover.app.stress import StressSettings, stress
from margincover.errors import InputError
from margincover.io.book_snapshot import book_snapshot
from margincover.model.book import Book, BookInput, Tolerance
from margincover.model.provenance import Provenance
from margincover.model.results import CoverageResult
from margincover.model.scenario import History
from margincover.model.statement import DataAge, StatementResult
from margincover.units import format_utc, parse_utc
from margincover.venues import registry
from margincover.venues.resolve import resolve

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementSettings:
    """Settings of one statement; None takes the book's tolerance or the default. Fields as in ``CoverSettings``."""

    tolerance: float | None = None
    horizon_s: int | None = None
    paths: int = DEFAULT_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementReport:
    """A statement; ``exit_code`` is 0 when everything is within its limits, 1 warning, 2 breach."""

    result: StatementResult

    @property
    def exit_code(self) -> int:
        """The worst verdict of all figures and breaches."""
        return int(self.result.verdict)

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the statement as JSON text; the next statement reads it."""
        from margincover.report.statement_json import statement_to_dict

        return json.dumps(statement_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the statement as one self-contained HTML page with charts."""
        from margincover.report.statement_html import statement_html

        return statement_html(self.result)

    def to_xlsx(self) -> bytes:
        """Return the statement as a workbook with one sheet a table."""
        from margincover.report.statement_xlsx import statement_xlsx

        return statement_xlsx(self.result)

    def to_csv(self) -> Mapping[str, str]:
        """Return every table as CSV text, by name."""
        from margincover.report.statement_csv import statement_csv

        return statement_csv(self.result)


def statement(
    stated: BookInput,
    settings: StatementSettings | None = None,
    *,
    previous: PreviousReport | None = None,
    extra_rules: Sequence[registry.RuleSource] = (),
    progress: Progress | None = None,
) -> StatementReport:
    """Return the daily statement of a book.

    Parameters
    ----------
    stated : BookInput
        The book as it was read: the statement keeps it, so that the next one can value it again.
    settings : StatementSettings or None
    previous : PreviousReport or None
        From ``read_previous``; None leaves the change unexplained.
    extra_rules : sequence of RuleSource
    progress : callable or None
        Called with (blocks done, blocks in all) of each run.

    Raises
    ------
    InputError, RulebookError, StaleDataError, UsageError
        Naming file, account or resource, and field.
    """
    chosen = settings or StatementSettings()
    book = resolve(stated, extra_rules=extra_rules)
    tolerance = _tolerance(book, chosen)
    covered = cover(book, _cover_settings(chosen, tolerance), progress=progress).result
    liquid = liquidity(book, _liquidity_settings(book, chosen, tolerance), progress=progress).result
    stressed = stress(book, StressSettings(reverse=False, seed=chosen.seed)).result
    values = place_values(book)
    change = None
    if previous is not None:
        try:
            change = explain_change(previous, book, values, stated=stated, extra_rules=extra_rules)
        except InputError as error:
            raise error.located(source=previous.source) from None
    figures = headline_figures(covered, liquid, stressed, limits=book.limits, tolerance=tolerance)
    return StatementReport(
        result=StatementResult(
            figures=figures,
            breaches=breaches_of(figures, covered, liquid, book.limits.max_share),
            values=values,
            change=change,
            coverage=covered,
            liquidity=liquid,
            stress=stressed,
            ages=_ages(book, covered),
            share_limits=book.limits.max_share,
            book_source=book.source,
            book_snapshot=book_snapshot(stated),
            provenance=_provenance(covered, liquidity=liquid.provenance, stress=stressed.provenance),
        )
    )


def _tolerance(book: Book, chosen: StatementSettings) -> Tolerance:
    stated = book.tolerance
    return Tolerance(
        probability=stated.probability if chosen.tolerance is None else chosen.tolerance,
        horizon_s=stated.horizon_s if chosen.horizon_s is None else chosen.horizon_s,
        measure=stated.measure,
    )


def _cover_settings(chosen: StatementSettings, tolerance: Tolerance) -> CoverSettings:
    return CoverSettings(
        tolerance=tolerance.probability,
        horizon_s=tolerance.horizon_s,
        paths=chosen.paths,
        seed=chosen.seed,
        scenarios=chosen.scenarios,
        history=chosen.history,
        follow_s=max(DAY_S, tolerance.horizon_s),
        threads=chosen.threads,
    )


def _liquidity_settings(book: Book, chosen: StatementSettings, tolerance: Tolerance) -> LiquiditySettings:
    limit = book.limits.min_survival_horizon_s
    # The survival horizon is one of the buckets: its limit must be one, or the figure could not reach it.
    buckets = sorted({*BUCKETS_S, *(() if limit is None else (limit,))})
    return LiquiditySettings(
        tolerance=tolerance.probability,
        horizon_s=tolerance.horizon_s,
        buckets_s=tuple(buckets),
        paths=chosen.paths,
        seed=chosen.seed,
        scenarios=chosen.scenarios,
        history=chosen.history,
        threads=chosen.threads,
    )


def _ages(book: Book, coverage: CoverageResult) -> tuple[DataAge, ...]:
    """Return when market, balances and scenario data were observed."""

    def age(what: str, observed: str) -> DataAge:
        at = parse_utc(observed, field=what)
        return DataAge(what=what, observed_at=format_utc(at), age_s=(book.as_of - at).total_seconds())

    found = [age("market levels", format_utc(book.market.observed_at))]
    for account in book.accounts:
        seen = [balance.observed_at for balance in account.balances if balance.observed_at is not None]
        if seen:
            found.append(age(f"balances of {account.id}, oldest", format_utc(min(seen))))
    return (*found, *_scenario_age(book, coverage.provenance.scenario))


def _scenario_age(book: Book, scenario: Mapping[str, str]) -> list[DataAge]:
    try:
        end = parse_utc(scenario.get("as_of", ""), field="scenario.as_of")
    except InputError:
        return []  # a generator without data, such as one with stated volatilities, has no age
    what = f"scenarios: {scenario.get('label', scenario.get('method', ''))}"
    return [DataAge(what=what, observed_at=format_utc(end), age_s=(book.as_of - end).total_seconds())]


def _provenance(coverage: CoverageResult, **others: Provenance) -> Provenance:
    """Return the provenance of all runs; what they warn of or leave out is said once."""
    made = coverage.provenance
    runs = {"coverage": made, **others}
    settings = {f"{name}: {key}": value for name, run in runs.items() for key, value in run.settings.items()}
    return Provenance(
        version=made.version,
        as_of=made.as_of,
        input_sha256=made.input_sha256,
        seed=made.seed,
        settings=settings,
        editions=tuple(dict.fromkeys(edition for run in runs.values() for edition in run.editions)),
        scenario=made.scenario,
        warnings=tuple(dict.fromkeys(warning for run in runs.values() for warning in run.warnings)),
        not_modelled=_left_out(runs),
    )


def _left_out(runs: Mapping[str, Provenance]) -> tuple[str, ...]:
    """Return what each run leaves out, with the names of the runs unless it is left out of all."""
    by_text: dict[str, list[str]] = {}
    for name, run in runs.items():
        for text in run.not_modelled:
            by_text.setdefault(text, []).append(name)
    return tuple(text if len(names) == len(runs) else f"{text} ({', '.join(names)})" for text, names in by_text.items())
