"""Answer: the figures of a case, with the account they came from where there is one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.verify.account import AccountSpec, Figures, figures_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Figures of a case; ``spec`` lets the comparison see how far the printed digits of its inputs carry."""

    figures: Figures
    spec: AccountSpec | None = None


def answer_of(spec: AccountSpec) -> Answer:
    """Return the figures of an account that went through the product."""
    return Answer(figures=figures_of(spec), spec=spec)
