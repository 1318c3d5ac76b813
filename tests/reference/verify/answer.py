"""Answer: the figures of a case, with the account they came from where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.reference.verify.account import AccountSpec, Figures, figures_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Figures of a case; ``spec`` lets the comparison see how far the printed digits of its inputs carry.

    ``direct`` holds figures under the expected key itself, for rules that have no account in the product; ``slack`` is
    what the printed digits of their inputs leave open, ``reasons`` says why an expected key has no figure.
    """

    figures: Figures
    spec: AccountSpec | None = None
    direct: Mapping[str, object] = field(default_factory=dict)
    slack: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


def answer_of(spec: AccountSpec) -> Answer:
    """Return the figures of an account that went through the product."""
    return Answer(figures=figures_of(spec), spec=spec)
