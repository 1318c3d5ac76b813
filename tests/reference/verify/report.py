"""Report: run every case and sort it into matched, mismatched and unsupported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from margincover.errors import MargincoverError
from tests.reference.verify.account import figures_of, nudged, nudged_entry
from tests.reference.verify.adaptors import ADAPTORS
from tests.reference.verify.answer import Answer
from tests.reference.verify.build import refuse_fixture
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.compare import Asked, Outcome, asked, has_own_tolerance, look_up, outcome, reread

# Cases are written loosely: one of an unforeseen shape must not hide the result of all others.
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError, AssertionError)

# Figures that hold unrealised profit.
WITH_PROFIT = ("upnl", "roe", "equity", "isolated_margin", "margin_used", "margin_ratio", "mm_rate")


@dataclass(slots=True)
class Report:
    """Result of a run; ``matched + distinct mismatched ids + unsupported = total``."""

    total: int = 0
    matched: int = 0
    mismatched: list[dict[str, object]] = field(default_factory=list)
    unsupported: list[dict[str, str]] = field(default_factory=list)
    unanswered: list[dict[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no figure was found to differ."""
        return not self.mismatched

    def as_json(self) -> dict[str, object]:
        """Return the report as plain data."""
        return {
            "total": self.total,
            "matched": self.matched,
            "mismatched": self.mismatched,
            "unsupported": self.unsupported,
            "unanswered": self.unanswered,
        }

    def as_text(self) -> str:
        """Return the report for a reader."""
        lines = [f"cases {self.total}, matched {self.matched}, unsupported {len(self.unsupported)}"]
        lines[0] += f", mismatched {len({row['id'] for row in self.mismatched})}"
        lines += [
            f"mismatched {row['id']} {row['field']}: expected {row['expected']}, actual {row['actual']}"
            for row in self.mismatched
        ]
        lines += [f"unsupported {row['id']}: {row['reason']}" for row in self.unsupported]
        lines += [f"unanswered {row['id']} {row['field']}: {row['reason']}" for row in self.unanswered]
        return "\n".join(lines)


def run(cases: Sequence[Case]) -> Report:
    """Return the report of all cases."""
    report = Report()
    for case in cases:
        report.total += 1
        try:
            results = compare_case(case)
        except (UnsupportedError, MargincoverError) as error:
            report.unsupported.append({"id": case.id, "reason": str(error)})
            continue
        except UNREADABLE as error:
            reason = f"the inputs could not be read ({type(error).__name__}: {error})"
            report.unsupported.append({"id": case.id, "reason": reason})
            continue
        _sort(report, case, results)
    return report


def _sort(report: Report, case: Case, results: Sequence[Outcome]) -> None:
    answered = [result for result in results if result.ok is not None]
    if not answered:
        reason = "; ".join(dict.fromkeys(result.reason for result in results))
        report.unsupported.append({"id": case.id, "reason": reason})
        return
    wrong = [result for result in answered if not result.ok]
    report.matched += not wrong
    for result in wrong:
        report.mismatched.append(
            {"id": case.id, "field": result.field, "expected": result.expected, "actual": result.actual}
        )
    for result in results:
        if result.ok is None:
            report.unanswered.append({"id": case.id, "field": result.field, "reason": result.reason})


def compare_case(case: Case) -> list[Outcome]:
    """Return one outcome for each expected figure of a case.

    Raises
    ------
    UnsupportedError, MargincoverError
        If the case's family is not modelled, or the product refuses its inputs.
    """
    if not case.expected:
        raise UnsupportedError("the case expects no figure")
    if case.venue not in ADAPTORS:
        raise UnsupportedError(f"venue not modelled: {case.venue or 'none given'}")
    refuse_fixture(case)
    answers: dict[int | None, Answer] = {}
    results = []
    for wanted in asked(case):
        # "..._long" and "..._short" of a case that names no side ask for both sides of the same position.
        side = 1 if "long" in wanted.words else -1 if "short" in wanted.words else None
        if side not in answers:
            answers[side] = ADAPTORS[case.venue](case, side)
        results.append(_outcome(case, reread(wanted, answers[side].figures), answers[side]))
    return results


def _outcome(case: Case, wanted: Asked, answer: Answer) -> Outcome:
    if wanted.field in answer.direct:
        slack = 0.0 if has_own_tolerance(case) else answer.slack.get(wanted.field, 0.0)
        return outcome(case, wanted, answer.direct[wanted.field], slack)
    found, actual, reason = look_up(answer.figures, wanted)
    if not found:
        reason = answer.reasons.get(wanted.field, reason)
        return Outcome(field=wanted.field, expected=wanted.expected, reason=reason)
    first = outcome(case, wanted, actual)
    if first.ok or not case.is_sample or has_own_tolerance(case) or answer.spec is None:
        return first
    return outcome(case, wanted, actual, _slack(wanted, actual, answer))


def _slack(wanted: Asked, actual: object, answer: Answer) -> float:
    """Return how far the figure moves with half a unit in the last printed digit of what it is made from.

    Stated money (wallet, equity, collateral) counts for every figure; a printed entry price only for profits and what
    holds them, because prices of liquidation are to be met to their own digits.
    """
    assert answer.spec is not None, "Invariant: only an answer with an account is nudged"
    spec = answer.spec
    moves = [nudged(spec, spec.money_half_unit)] if spec.money_half_unit else []
    if spec.entry_half_unit and wanted.name in WITH_PROFIT:
        moves.append(nudged_entry(spec, spec.entry_half_unit))
    slack = 0.0
    for move in moves:
        _, moved, _ = look_up(figures_of(move), wanted)
        if isinstance(moved, float) and isinstance(actual, float):
            slack += abs(moved - actual)
    return slack


def by_family(cases: Sequence[Case]) -> Mapping[str, tuple[int, int]]:
    """Return (cases, matched) by venue and product, for the documentation's table."""
    table: dict[str, tuple[int, int]] = {}
    for case in cases:
        part = run([case])
        count, matched = table.get(f"{case.venue} {case.product}", (0, 0))
        table[f"{case.venue} {case.product}"] = count + 1, matched + part.matched
    return table
