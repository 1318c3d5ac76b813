"""The daily statement on a terminal: breaches, and the headline figures last."""

from __future__ import annotations

from margincover.model.statement import StatementResult, Verdict
from margincover.report.fitted import Column, FittedTable
from margincover.report.statement_words import VERDICT_WORDS, interval_text, limit_text, value_text

_STYLES = {Verdict.WITHIN: "green", Verdict.WARNING: "yellow", Verdict.BREACH: "bold red"}


def headline_table(result: StatementResult) -> FittedTable:
    """Return the headline figures with their intervals and limits."""
    figures = result.figures
    words = [
        "no limit" if each.limit is None and each.verdict is Verdict.WITHIN else VERDICT_WORDS[each.verdict]
        for each in figures
    ]
    styles = ["" if word == "no limit" else _STYLES[each.verdict] for word, each in zip(words, figures, strict=True)]
    return FittedTable(
        title=f"Daily statement, as of {result.provenance.as_of}",
        columns=[
            Column(title="Figure", cells=[each.label for each in figures], justify="left", name=True),
            Column(title="Verdict", cells=words, justify="left", styles=styles),
            Column(title="Value", cells=[value_text(each) for each in figures]),
            Column(title="95 % interval", cells=[interval_text(each) for each in figures], priority=1),
            Column(title="Limit", cells=[limit_text(each) for each in figures], priority=2),
            Column(title="Where", cells=[each.where for each in figures], justify="left", priority=3),
        ],
    )


def breach_table(result: StatementResult) -> FittedTable:
    """Return everything in breach or within its error bar of it, breaches first."""
    rows = result.breaches
    return FittedTable(
        title="Breaches and warnings",
        columns=[
            Column(title="What", cells=[each.what for each in rows], justify="left", name=True),
            Column(
                title="Verdict",
                cells=[VERDICT_WORDS[each.verdict] for each in rows],
                justify="left",
                styles=[_STYLES[each.verdict] for each in rows],
            ),
            Column(title="Where", cells=[each.where for each in rows], justify="left"),
            Column(title="Found", cells=[each.found for each in rows], priority=1),
            Column(title="Allowed", cells=[each.allowed for each in rows], priority=2),
        ],
        empty="nothing is in breach",
    )
