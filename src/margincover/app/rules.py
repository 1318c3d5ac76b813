"""Rules: what is in force when, and whether every edition is sound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from margincover.errors import InputError
from margincover.model.rules import Rulebook
from margincover.venues import registry


def rules_in_force(venue: str, *, at: datetime, extra: Sequence[registry.RuleSource] = ()) -> Rulebook:
    """Return the rulebook of a venue at an instant.

    Raises
    ------
    InputError
        If the venue is unknown.
    """
    known = registry.known_venues(extra)
    if venue not in known:
        raise InputError(f"venue was '{venue}'", field="VENUE", allowed=", ".join(known))
    return registry.rulebook(venue, at=at, extra=extra)


def rule_rows(rulebook: Rulebook) -> list[dict[str, str]]:
    """Return one row of texts for each rule in force."""
    return registry.describe(rulebook)


def rule_problems(extra: Sequence[registry.RuleSource] = ()) -> list[str]:
    """Return the problems of all packaged and given editions; empty means none."""
    return registry.check_all(extra)


def venues(extra: Sequence[registry.RuleSource] = ()) -> tuple[str, ...]:
    """Return the venues that have rules."""
    return registry.known_venues(extra)
