"""Rules still to come: which editions begin after an instant, and what will then be in force."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from margincover.errors import RulebookError
from margincover.model.announcement import FutureRules
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.rules import Edition
from margincover.venues import registry

# Venues announce tier changes days to weeks ahead; what lies beyond a quarter is no news for today's positions.
ANNOUNCED_AHEAD = timedelta(days=90)


def future_rules(
    venues: Iterable[str], *, as_of: datetime, extra: Sequence[registry.RuleSource] = ()
) -> tuple[FutureRules, ...]:
    """Return the rules of venues at every instant at which one begins or ends, within 90 days after ``as_of``.

    Parameters
    ----------
    venues : iterable of str
    as_of : datetime
        Aware; an edition that begins at ``as_of`` itself is already in force.
    extra : sequence of RuleSource
        User rules, as for ``registry.rulebook``.

    Returns
    -------
    tuple of FutureRules
        By venue, then by time.

    Raises
    ------
    RulebookError
        If a venue is unknown or a text of ``extra`` is not valid.
    """
    found = []
    for venue in dict.fromkeys(venues):
        for at in _instants(venue, after=as_of, until=as_of + ANNOUNCED_AHEAD, extra=extra):
            try:
                found.append(FutureRules(venue=venue, at=at, rulebook=registry.rulebook(venue, at=at, extra=extra)))
            except RulebookError as error:
                # A venue whose last mode ends is told to the user; it must not keep today's figures from him.
                found.append(FutureRules(venue=venue, at=at, rulebook=None, problem=str(error)))
    return tuple(found)


def describe_upcoming(
    venue: str, *, after: datetime, extra: Sequence[registry.RuleSource] = ()
) -> list[dict[str, str]]:
    """Return one row of texts for each edition that begins after an instant, the earliest first.

    The columns are those of ``registry.describe`` with the keys of an edition joined; editions of ``parameters`` are
    listed by mode and underlying. There is no limit of days.

    Raises
    ------
    RulebookError
        If the venue is unknown or a text of ``extra`` is not valid.
    """
    rows: dict[str, dict[str, str]] = {}
    for entry in registry.entries(venue, extra):
        edition = entry.edition
        if edition.valid_from <= after:
            continue
        row = rows.setdefault(edition.id, _row(edition, edition.block))
        row["key"] += f"{', ' if row['key'] else ''}{entry.key[1]}"
    for dated in registry.parameter_editions(venue, extra):
        if dated.valid_from > after:
            rows[f"parameters {dated.id}"] = _row(dated, "parameters") | {"key": f"{dated.mode} {dated.underlying}"}
    return sorted(rows.values(), key=lambda row: (row["valid_from"], row["edition"]))


def _row(edition: Edition | ParameterEdition, block: str) -> dict[str, str]:
    return {
        "edition": edition.id,
        "block": block,
        "key": "",
        "valid_from": f"{edition.valid_from:%Y-%m-%d}",
        "valid_to": f"{edition.valid_to:%Y-%m-%d}" if edition.valid_to else "",
        "observed": f"{edition.observed:%Y-%m-%d}",
        "confidence": edition.confidence,
        "source": edition.source,
    }


def _instants(
    venue: str, *, after: datetime, until: datetime, extra: Sequence[registry.RuleSource]
) -> tuple[datetime, ...]:
    editions: list[Edition | ParameterEdition] = [entry.edition for entry in registry.entries(venue, extra)]
    editions += registry.parameter_editions(venue, extra)
    ends = (at for edition in editions for at in (edition.valid_from, edition.valid_to) if at is not None)
    return tuple(sorted({at for at in ends if after < at <= until}))
