"""Appendix of the statement: rules, data ages, run, warnings, and what is not modelled."""

from __future__ import annotations

from margincover.model.statement import StatementResult
from margincover.report.statement_cells import Column, DataTable
from margincover.units import SECONDS_PER_HOUR


def appendix_tables(result: StatementResult) -> tuple[DataTable, ...]:
    """Return the tables of the appendix."""
    provenance = result.provenance
    return (
        _run(result),
        DataTable(
            key="data_ages",
            title="Ages of the data at as_of",
            columns=(Column("what", "What"), Column("observed_at", "Observed"), Column("age_h", "Age", "hours")),
            rows=tuple((each.what, each.observed_at, each.age_s / SECONDS_PER_HOUR) for each in result.ages),
        ),
        DataTable(
            key="rulebooks",
            title="Rulebook editions in force",
            columns=(
                Column("venue", "Venue"),
                Column("edition", "Edition"),
                Column("valid_from", "Valid from"),
                Column("retrieved", "Retrieved"),
                Column("source", "Source"),
                Column("age_days", "Age", "days"),
            ),
            rows=tuple(
                (use.venue, use.edition, use.valid_from, use.retrieved, use.source, use.age_days)
                for use in provenance.editions
            ),
        ),
        DataTable(
            key="warnings",
            title="Warnings",
            columns=(Column("warning", "Warning"),),
            rows=tuple((text,) for text in provenance.warnings),
            empty="The runs warn of nothing.",
        ),
        DataTable(
            key="not_modelled",
            title="What is not modelled",
            columns=(Column("what", "Not modelled"),),
            rows=tuple((text,) for text in provenance.not_modelled),
        ),
    )


def _run(result: StatementResult) -> DataTable:
    provenance, coverage = result.provenance, result.coverage
    pairs = [
        ("program", f"margincover {provenance.version}"),
        ("as of", provenance.as_of),
        ("book", result.book_source),
        ("input SHA-256", provenance.input_sha256),
        ("seed", "" if provenance.seed is None else str(provenance.seed)),
        ("paths", str(coverage.n_paths)),
        *provenance.settings.items(),
        *((f"scenarios: {key}", value) for key, value in provenance.scenario.items()),
    ]
    if result.change is not None:
        pairs += [
            ("previous report", result.change.source),
            ("previous as of", result.change.previous_as_of),
            ("previous input SHA-256", result.change.previous_sha256),
        ]
    return DataTable(
        key="run",
        title="This run",
        columns=(Column("name", "Name"), Column("value", "Value")),
        rows=tuple((name, str(value)) for name, value in pairs),
    )
