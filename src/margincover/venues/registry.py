"""Rulebooks: the packaged and the user's dated rules of every venue, and what is in force at an instant.

Holds the choice of editions, their age and the listings of ``rules show`` and ``rules check``. The texts are parsed in
``registry_parse``; user files are read by the caller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from types import MappingProxyType

from margincover.errors import InputError, RulebookError
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.rules import Edition, HaircutLadder, ModeRule, Product, Rulebook, TierTable
from margincover.venues import parameters, registry_parse, symbols
from margincover.venues.registry_parse import RuleEntry, RuleKey, VenueRules, parse_rules

__all__ = [
    "RuleSource",
    "VenueRules",
    "check_all",
    "describe",
    "edition_age_days",
    "entries",
    "known_venues",
    "parse_rules",
    "rulebook",
    "stale_editions",
]

# A table may be used before its own validity by at most this time: better a near table than none, with a warning.
LOOK_AHEAD = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSource:
    """A user's rule text and the name of its file."""

    text: str
    source: str


def known_venues(extra: Sequence[RuleSource] = ()) -> tuple[str, ...]:
    """Return the venues that have rules, packaged or in ``extra``, sorted.

    Raises
    ------
    RulebookError
        If a text of ``extra`` is not TOML or names no venue.
    """
    return tuple(sorted({*_packaged_names(), *(registry_parse.venue_of(e.text, e.source) for e in extra)}))


def rulebook(venue: str, *, at: datetime, extra: Sequence[RuleSource] = ()) -> Rulebook:
    """Return what a venue has in force at an instant.

    Parameters
    ----------
    venue : str
    at : datetime
        Aware instant. Validity is half-open: [valid_from, valid_to).
    extra : sequence of RuleSource
        User rules. For a key, a user edition in force wins over a packaged one.

    Returns
    -------
    Rulebook
        For each key the edition with the latest ``valid_from`` not after ``at``. A tier table or a collateral ladder
        whose first edition starts at most 366 days after ``at`` is used early (``stale_editions`` says so); a key with
        nothing near is absent.

    Raises
    ------
    RulebookError
        If the venue is unknown, no mode is in force at ``at``, or a text of ``extra`` is not valid.
    InputError
        If ``at`` carries no time zone.
    """
    if at.tzinfo is None:
        raise InputError(f"was {at.isoformat()}", field="at", allowed="an instant with a time zone")
    layers = _layers(venue, extra)
    chosen = _chosen(layers, at)
    if not any(block == "mode" for block, _ in chosen):
        first = min(e.edition.valid_from for layer in layers for e in layer.entries if e.key[0] == "mode")
        raise RulebookError(
            f"no mode in force at {at:%Y-%m-%d}",
            source=f"rules of {venue}",
            field="mode",
            allowed=f"from {first:%Y-%m-%d}",
        )
    products: dict[str, Product] = {}
    aliases: dict[str, str] = {}
    for layer in reversed(layers):
        products.update(layer.products)
        aliases.update(layer.factor_aliases)
    modes: dict[str, ModeRule] = {}
    tables: dict[str, TierTable] = {}
    ladders: dict[str, HaircutLadder] = {}
    for (_, name), entry in chosen.items():
        if isinstance(entry.value, ModeRule):
            modes[name] = entry.value
        elif isinstance(entry.value, TierTable):
            tables[name] = entry.value
        else:
            ladders[name] = entry.value
    return Rulebook(
        venue=venue,
        title=layers[-1].title,
        at=at.astimezone(UTC),
        products=MappingProxyType(products),
        modes=MappingProxyType(modes),
        tier_tables=MappingProxyType(tables),
        ladders=MappingProxyType(ladders),
        editions=tuple(dict.fromkeys(entry.edition for entry in chosen.values())),
        factor_aliases=MappingProxyType(aliases),
        parameters=parameters.in_force(venue, at=at, own=[each for layer in layers for each in layer.parameters]),
    )


def parameter_editions(venue: str, extra: Sequence[RuleSource] = ()) -> tuple[ParameterEdition, ...]:
    """Return every dated parameter edition of a venue, whenever it is valid, the user's first.

    Raises
    ------
    RulebookError
        If the venue is unknown or a text of ``extra`` is not valid.
    """
    own = [each for layer in _layers(venue, extra) for each in layer.parameters]
    return (*own, *parameters.packaged(venue))


def entries(venue: str, extra: Sequence[RuleSource] = ()) -> tuple[RuleEntry, ...]:
    """Return every dated rule of a venue, whenever it is valid, the user's first.

    Raises
    ------
    RulebookError
        If the venue is unknown or a text of ``extra`` is not valid.
    """
    return tuple(entry for layer in _layers(venue, extra) for entry in layer.entries)


def edition_age_days(edition: Edition, at: datetime) -> int:
    """Return the whole days from the observation of an edition to ``at``; negative when it was observed later."""
    return (at.astimezone(UTC).date() - edition.observed.astimezone(UTC).date()).days


def stale_editions(rulebook: Rulebook, tables: Collection[str], max_age_days: int) -> tuple[str, ...]:
    """Return a sentence for each table that is older than allowed, or used before its own validity.

    Parameters
    ----------
    rulebook : Rulebook
    tables : collection of str
        Keys of tier tables, or assets of collateral ladders, that a run uses.
    max_age_days : int
        Largest age of the observation at ``rulebook.at``.

    Raises
    ------
    RulebookError
        If a key is not in the rulebook.
    """
    sentences = []
    for name in dict.fromkeys(tables):
        rule = rulebook.tier_tables.get(name) or rulebook.ladders.get(name)
        if rule is None:
            raise RulebookError(
                f"'{name}' has no table in force", source=f"rules of {rulebook.venue}", allowed="a key of the rulebook"
            )
        edition = _edition_of(rulebook, rule.source)
        age = edition_age_days(edition, rulebook.at)
        label = f"{rulebook.venue} {edition.block} {name} observed {edition.observed:%Y-%m-%d}"
        if edition.valid_from > rulebook.at:
            start = f"valid from {edition.valid_from:%Y-%m-%d}"
            sentences.append(f"{label}, {max(-age, 0)} days after as_of, used before its validity ({start})")
        elif age > max_age_days:
            sentences.append(f"{label}, {age} days before as_of")
    return tuple(sentences)


def describe(rulebook: Rulebook) -> list[dict[str, str]]:
    """Return one row of texts for each rule in force: edition, block, key, dates, confidence and source."""
    rules: list[tuple[str, str, str]] = [("mode", name, mode.source) for name, mode in rulebook.modes.items()]
    rules += [("tiers", name, table.source) for name, table in rulebook.tier_tables.items()]
    rules += [("collateral", name, ladder.source) for name, ladder in rulebook.ladders.items()]
    found: list[tuple[str, str, Edition | ParameterEdition]] = [
        (block, key, _edition_of(rulebook, source)) for block, key, source in rules
    ]
    found += [("parameters", f"{e.mode} {e.underlying}", e) for e in rulebook.parameters.values()]
    return [
        {
            "edition": edition.id,
            "block": block,
            "key": key,
            "valid_from": f"{edition.valid_from:%Y-%m-%d}",
            "valid_to": f"{edition.valid_to:%Y-%m-%d}" if edition.valid_to else "",
            "observed": f"{edition.observed:%Y-%m-%d}",
            "confidence": edition.confidence,
            "source": edition.source,
        }
        for block, key, edition in found
    ]


def check_all(extra: Sequence[RuleSource] = ()) -> list[str]:
    """Return the problems of every venue's rules at every date on which they change; empty means none.

    Checked are the texts themselves, that a mode is in force whenever a table is, and that every tier table belongs to
    a symbol of its own product.
    """
    try:
        venues = known_venues(extra)
    except RulebookError as error:
        return [str(error)]
    problems: list[str] = []
    for venue in venues:
        try:
            layers = _layers(venue, extra)
        except RulebookError as error:
            problems.append(str(error))
            continue
        dates = {e.edition.valid_from for layer in layers for e in layer.entries}
        dates |= {e.edition.valid_to for layer in layers for e in layer.entries if e.edition.valid_to is not None}
        for at in sorted(dates):
            try:
                problems += _table_problems(rulebook(venue, at=at, extra=extra), layers)
            except RulebookError as error:
                problems.append(str(error))
    return list(dict.fromkeys(problems))


def _table_problems(rules: Rulebook, layers: Sequence[VenueRules]) -> list[str]:
    owner = {entry.key[1]: entry.product for layer in layers for entry in layer.entries if entry.key[0] == "tiers"}
    families = {p.id for p in rules.products.values() if "{symbol}" not in p.tier_key}
    problems = []
    for key in rules.tier_tables:
        if owner[key] in families:
            continue
        try:
            # A multiplier of 1 stands in where the rules know none: only the reading of the symbol is checked.
            instrument = symbols.resolve_instrument(rules, key, multiplier=1.0)
        except InputError as error:
            problems.append(f"rules of {rules.venue}: tiers {key}: {error}")
            continue
        if (instrument.product, instrument.tier_table) != (owner[key], key):
            problems.append(
                f"rules of {rules.venue}: tiers {key} stands under {owner[key]}, reads as {instrument.product}"
            )
    return problems


def _packaged_names() -> tuple[str, ...]:
    folder = resources.files("margincover.venues").joinpath("data")
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def _packaged(venue: str) -> VenueRules:
    name = f"{venue}.toml"
    text = resources.files("margincover.venues").joinpath("data").joinpath(name).read_text(encoding="utf-8")
    rules = parse_rules(text, name)
    if rules.venue != venue:
        raise RulebookError(f"venue was '{rules.venue}'", source=name, field="venue", allowed=venue)
    return rules


def _layers(venue: str, extra: Sequence[RuleSource]) -> list[VenueRules]:
    """Return the rules of a venue, the user's first, the packaged last."""
    known = known_venues(extra)
    if venue not in known:
        raise RulebookError(f"venue was '{venue}'", field="venue", allowed=", ".join(known))
    packaged = _packaged(venue) if venue in _packaged_names() else None
    products: Mapping[str, Product] = packaged.products if packaged else {}
    layers = []
    for rules in extra:
        if registry_parse.venue_of(rules.text, rules.source) == venue:
            layers.append(parse_rules(rules.text, rules.source, products))
    layers += [packaged] if packaged else []
    seen: dict[str, str] = {}
    for layer in layers[::-1]:
        for name in dict.fromkeys(entry.edition.id for entry in layer.entries):
            if name in seen:
                raise RulebookError(
                    f"edition '{name}' also stands in {seen[name]}", source=layer.source, allowed="an id of its own"
                )
            seen[name] = layer.source
    if not any(entry.key[0] == "mode" for layer in layers for entry in layer.entries):
        raise RulebookError("had no mode", source=layers[0].source, field="edition.mode", allowed="at least one mode")
    return layers


def _chosen(layers: Sequence[VenueRules], at: datetime) -> dict[RuleKey, RuleEntry]:
    chosen: dict[RuleKey, RuleEntry] = {}
    early: dict[RuleKey, RuleEntry] = {}
    for layer in layers:
        own: dict[RuleKey, RuleEntry] = {}
        for entry in layer.entries:
            edition = entry.edition
            if edition.valid_from <= at and (edition.valid_to is None or at < edition.valid_to):
                held = own.get(entry.key)
                if held is None or held.edition.valid_from < edition.valid_from:
                    own[entry.key] = entry
            _note_early(early, entry, at)
        for key, entry in own.items():
            chosen.setdefault(key, entry)
    started = {e.key for layer in layers for e in layer.entries if e.edition.valid_from <= at}
    for key, entry in early.items():
        if key not in started:
            chosen[key] = entry
    return chosen


def _note_early(early: dict[RuleKey, RuleEntry], entry: RuleEntry, at: datetime) -> None:
    start = entry.edition.valid_from
    if entry.key[0] == "mode" or not at < start <= at + LOOK_AHEAD:
        return
    held = early.get(entry.key)
    if held is None or start < held.edition.valid_from:
        early[entry.key] = entry


def _edition_of(rules: Rulebook, source: str) -> Edition:
    name = source.partition("; ")[0]
    for edition in rules.editions:
        if edition.id == name:
            return edition
    raise AssertionError(f"Invariant: the edition '{name}' of a rule stands in its rulebook")
