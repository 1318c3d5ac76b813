"""Rules: what is in force when, and whether every edition is sound."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from margincover.app.status import status
from margincover.clearing import adl_rules, waterfall_rules
from margincover.errors import InputError
from margincover.model.book import Book
from margincover.model.results import Reconciliation
from margincover.model.rules import Rulebook
from margincover.venues import registry
from margincover.venues.parameters import parameter_problems
from margincover.venues.upcoming import describe_upcoming


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


def upcoming_rows(venue: str, *, after: datetime, extra: Sequence[registry.RuleSource] = ()) -> list[dict[str, str]]:
    """Return one row of texts for each edition that begins after an instant, the earliest first."""
    return describe_upcoming(venue, after=after, extra=extra)


def rule_changes(
    venue: str, *, since: datetime, until: datetime, extra: Sequence[registry.RuleSource] = ()
) -> list[dict[str, str]]:
    """Return one row of texts for each rule that differs between two instants: block, key, before, after.

    Raises
    ------
    InputError
        If the venue is unknown, or ``until`` is not after ``since``.
    """
    if until <= since:
        raise InputError("was not after --from", field="--to", allowed="a later instant")
    before = describe_values(rules_in_force(venue, at=since, extra=extra))
    after = describe_values(rules_in_force(venue, at=until, extra=extra))
    rows = []
    for block, key in sorted({*before, *after}):
        old, new = before.get((block, key)), after.get((block, key))
        if old != new:
            rows.append({"block": block, "key": key, "before": old or "absent", "after": new or "absent"})
    return rows


def describe_values(rulebook: Rulebook) -> dict[tuple[str, str], str]:
    """Return every rule in force as a short text, by block and key."""
    found: dict[tuple[str, str], str] = {}
    for name, mode in rulebook.modes.items():
        found[("mode", name)] = (
            f"maintenance at {mode.maintenance_basis.value}, closing fee {mode.closing_fee.value}, "
            f"taker {mode.default_taker_fee_fraction:.4%}"
        )
    for key, table in rulebook.tier_tables.items():
        found[("tiers", key)] = "; ".join(
            f"{tier.floor:,.10g}: {tier.maintenance_fraction:.4%}"
            + (f" {tier.max_leverage:g}x" if tier.max_leverage else "")
            for tier in table.tiers
        )
    for asset, ladder in rulebook.ladders.items():
        owed = "" if ladder.owed_weight is None else f"; owed {ladder.owed_weight:g}"
        found[("collateral", asset)] = "; ".join(f"{p.floor:,.10g}: {p.weight:g}" for p in ladder.slices) + owed
    for (mode_name, underlying), edition in rulebook.parameters.items():
        values = ", ".join(f"{name} {value}" for name, value in sorted(edition.values.items()))
        found[("parameters", f"{mode_name} {underlying}")] = values
    return found


def drift(book: Book, *, tolerance_bps: float) -> tuple[tuple[Reconciliation, ...], tuple[Reconciliation, ...]]:
    """Return every comparison with what the venues report, and those beyond the tolerance.

    Raises
    ------
    InputError
        If the book carries no figure of a venue: nothing to compare is not agreement.
    """
    rows = status(book).result.reconciliation
    if not rows:
        raise InputError(
            "carried no figure of a venue",
            source=book.source,
            field="reported",
            allowed="`reported` figures or raw `responses` in the accounts",
        )
    return rows, tuple(row for row in rows if not abs(row.difference_bps) <= tolerance_bps)


def rule_problems(extra: Sequence[registry.RuleSource] = ()) -> list[str]:
    """Return the problems of all packaged and given editions; empty means none."""
    return [*registry.check_all(extra), *parameter_problems(), *_clearing_problems()]


def _clearing_problems() -> list[str]:
    """Return what is wrong with the packaged waterfalls and deleveraging rules."""
    found = []
    for packaged in (adl_rules.packaged, waterfall_rules.packaged):
        try:
            packaged()
        except InputError as error:
            found.append(str(error))
    return found


def venues(extra: Sequence[registry.RuleSource] = ()) -> tuple[str, ...]:
    """Return the venues that have rules."""
    return registry.known_venues(extra)
