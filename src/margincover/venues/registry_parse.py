"""Read rule files: TOML text to validated, dated rule entries. No file is opened here; the text comes from the caller.

Every refusal is a RulebookError that names the file, the edition and the key, so that a user can repair a rule file
without reading this code.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import TypeAlias

from margincover.errors import RulebookError
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.rules import (
    Edition,
    HaircutLadder,
    HaircutSlice,
    MarginTier,
    ModeRule,
    Product,
    TierKernel,
    TierTable,
    TierUnit,
)
from margincover.venues.parameters import parse_editions
from margincover.venues.registry_fields import Place
from margincover.venues.registry_modes import mode_rule

BLOCKS = ("mode", "tiers", "collateral")
CONFIDENCES = ("CONFIRMED", "INFERRED", "SECONDARY", "UNCONFIRMED")
PAYOFFS = ("linear", "inverse")
# A printed deduction may be rounded to the cent, a computed one carries float noise.
DEDUCTION_TOLERANCE = 1e-6

_TOP_KEYS = frozenset({"venue", "title", "factor_aliases", "product", "edition", "parameters"})
_PRODUCT_KEYS = frozenset(Product.__dataclass_fields__)
_EDITION_KEYS = frozenset(
    {"id", "block", "valid_from", "valid_to", "observed", "source", "retrieved", "confidence", "complete", "note"}
    | {"first_tiers_only"}
)
_LADDER_KEYS = frozenset({"slices", "borrow_maintenance_fraction", "owed_weight"})

RuleKey: TypeAlias = tuple[str, str]  # (block, mode name | tier table key | asset)
RuleValue: TypeAlias = ModeRule | TierTable | HaircutLadder


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """One rule with the edition that dates it; ``product`` is empty except for tier tables."""

    key: RuleKey
    edition: Edition
    value: RuleValue
    product: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRules:
    """All dated rules of one venue as read from one text."""

    venue: str
    title: str
    source: str
    products: Mapping[str, Product]
    factor_aliases: Mapping[str, str]
    entries: tuple[RuleEntry, ...]
    parameters: tuple[ParameterEdition, ...] = ()


def venue_of(text: str, source: str) -> str:
    """Return the venue that a rule text speaks of, without checking the rest."""
    return Place(_toml(text, source), source, "").text("venue")


def parse_rules(text: str, source: str, known_products: Mapping[str, Product] | None = None) -> VenueRules:
    """Return the validated rules of one TOML text.

    Parameters
    ----------
    text, source : str
        The text, and the name of its file for error messages.
    known_products : mapping or None
        Products of the packaged rules of the same venue, to which the text may refer without restating them.

    Raises
    ------
    RulebookError
        For unknown keys, missing fields, NaN, percent-looking fractions, gaps, wrong deductions, overlapping validity
        of the same key, ``valid_to`` not after ``valid_from``, or a reference to an unknown product.
    """
    top = Place(_toml(text, source), source, "")
    top.only(_TOP_KEYS)
    venue = top.text("venue")
    own = {product.id: product for product in (_product(raw, source) for raw in top.list_of_tables("product"))}
    if len(own) != len(top.list_of_tables("product")):
        raise top.error("a product id stood twice", key="product", allowed="unique ids")
    products = {**(known_products or {}), **own}
    entries: list[RuleEntry] = []
    seen: set[str] = set()
    for raw in top.list_of_tables("edition"):
        place, edition = _edition(raw, source)
        if edition.id in seen:
            raise place.error(f"'{edition.id}' stood twice", key="id", allowed="unique ids")
        seen.add(edition.id)
        entries.extend(_entries(place, edition, products))
    _refuse_overlaps(entries, source)
    aliases = top.within("factor_aliases", "factor_aliases") if "factor_aliases" in top.table else None
    return VenueRules(
        venue=venue,
        title=top.text("title", venue),
        source=source,
        products=MappingProxyType(own),
        factor_aliases=MappingProxyType({key: aliases.text(key) for key in aliases.table} if aliases else {}),
        entries=tuple(entries),
        parameters=parse_editions(top.list_of_tables("parameters"), venue=venue, source=source),
    )


def _toml(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulebookError(f"was not TOML: {error}", source=source, allowed="a TOML rule file") from error


def _product(raw: object, source: str) -> Product:
    place = Place(raw, source, "product")
    place = Place(raw, source, f"product {place.text('id')}")
    place.only(_PRODUCT_KEYS)
    payoff = place.text("payoff")
    if payoff not in PAYOFFS:
        raise place.error(f"was '{payoff}'", key="payoff", allowed=", ".join(PAYOFFS))
    quote = place.optional_text("quote")
    kind = place.text("kind", "") if "kind" not in place.table else place.text("kind")
    if kind not in ("", "option"):
        raise place.error(f"was '{kind}'", key="kind", allowed="option, or left out for perpetuals and futures")
    groups = _pattern_groups(place, option=kind == "option")
    if "quote" not in groups and quote is None:
        raise place.error("no quote", key="quote", allowed="a group quote in symbol_pattern, or a quote")
    expiry_format = place.optional_text("expiry_format")
    if ("expiry" in groups) != (expiry_format is not None):
        raise place.error(
            f"was {expiry_format!r}", key="expiry_format", allowed="given exactly when the pattern has a group expiry"
        )
    settle = place.text("settle")
    if payoff == "inverse" and settle != "base":
        raise place.error(f"was '{settle}'", key="settle", allowed="base for inverse contracts")
    # A product without any tier key has no tier table: options, and what a model margins by parameters of its own.
    has_tiers = any(key in place.table for key in ("tier_kernel", "tier_unit", "tier_key"))
    return Product(
        id=place.text("id"),
        symbol_pattern=place.text("symbol_pattern"),
        expiry_format=expiry_format,
        payoff=payoff,
        quote=quote,
        settle=settle,
        multipliers=_positive_numbers(place, "multipliers"),
        tier_kernel=place.choice("tier_kernel", TierKernel) if has_tiers else TierKernel.PROGRESSIVE,
        tier_unit=place.choice("tier_unit", TierUnit) if has_tiers else TierUnit.NOTIONAL,
        tier_key=place.text("tier_key") if has_tiers else "",
        kind=kind,
        ticks=_positive_numbers(place, "ticks") if "ticks" in place.table else MappingProxyType({}),
        maintenance_of_initial_fraction=_optional_share(place, "maintenance_of_initial_fraction"),
    )


def _optional_share(place: Place, key: str) -> float | None:
    if key not in place.table:
        return None
    value = place.number(key)
    if not 0.0 < value <= 1.0:
        raise place.error(f"was {value}", key=key, allowed="a fraction in (0, 1]")
    return value


def _pattern_groups(place: Place, *, option: bool) -> frozenset[str]:
    try:
        groups = frozenset(re.compile(place.text("symbol_pattern")).groupindex)
    except re.error as error:
        raise place.error(f"was no regular expression: {error}", key="symbol_pattern", allowed="one") from error
    needed = {"base", "expiry", "strike", "right"} if option else {"base"}
    if not needed <= groups <= needed | {"base", "quote", "expiry"}:
        raise place.error(
            f"had groups {sorted(groups)}",
            key="symbol_pattern",
            allowed=f"groups {', '.join(sorted(needed))}, and where they vary quote, expiry",
        )
    return groups


def _positive_numbers(place: Place, key: str) -> Mapping[str, float]:
    table = place.within(key)
    numbers = {name: table.number(name) for name in table.table}
    for name, number in numbers.items():
        if number <= 0.0:
            raise table.error(f"was {number}", key=name, allowed="a number > 0")
    return MappingProxyType(numbers)


def _edition(raw: object, source: str) -> tuple[Place, Edition]:
    place = Place(raw, source, "edition")
    place = Place(raw, source, f"edition {place.text('id')}")
    block = place.text("block")
    if block not in BLOCKS:
        raise place.error(f"was '{block}'", key="block", allowed=", ".join(BLOCKS))
    place.only(_EDITION_KEYS | {block})
    confidence = place.text("confidence")
    if confidence not in CONFIDENCES:
        raise place.error(f"was '{confidence}'", key="confidence", allowed=", ".join(CONFIDENCES))
    valid_from = place.instant("valid_from")
    valid_to = place.instant("valid_to") if "valid_to" in place.table else None
    if valid_to is not None and valid_to <= valid_from:
        raise place.error(f"{valid_to:%Y-%m-%d}", key="valid_to", allowed=f"after valid_from {valid_from:%Y-%m-%d}")
    edition = Edition(
        id=place.text("id"),
        block=block,
        valid_from=valid_from,
        valid_to=valid_to,
        observed=place.instant("observed"),
        source=place.text("source"),
        retrieved=place.text("retrieved"),
        confidence=confidence,
    )
    return place, edition


def _entries(place: Place, edition: Edition, products: Mapping[str, Product]) -> list[RuleEntry]:
    block = place.within(edition.block, f"{place.where} {edition.block}")
    if not block.table:
        raise block.error("was empty", allowed="at least one rule")
    if edition.block == "tiers":
        found: list[RuleEntry] = []
        for product_id in block.table:
            if product_id not in products:
                raise block.error("unknown product", key=product_id, allowed=", ".join(sorted(products)))
            tables = block.within(product_id, f"{block.where}.{product_id}")
            for key in tables.table:
                table = _tier_table(place, tables, key, products[product_id], edition)
                found.append(RuleEntry(key=("tiers", key), edition=edition, value=table, product=product_id))
        return found
    values: list[RuleEntry] = []
    for name in block.table:
        inner = block.within(name, f"{block.where}.{name}")
        value = (
            _ladder(inner, name, edition) if edition.block == "collateral" else mode_rule(place, inner, name, products)
        )
        values.append(RuleEntry(key=(edition.block, name), edition=edition, value=value))
    return values


def _named(error: RulebookError, place: Place) -> RulebookError:
    # The core types know the key; the file and the edition are added here.
    where = f"{place.where}: {error.field}"
    return RulebookError(error.found, source=place.source, field=where, allowed=error.allowed)


def source_text(edition: Edition) -> str:
    """Return what a rule carries as its source: the edition's name and the edition's source."""
    return f"{edition.id}; {edition.source}"


def _tier_table(edition_place: Place, tables: Place, key: str, product: Product, edition: Edition) -> TierTable:
    rows = tables.get(key)
    if not isinstance(rows, list) or not rows:
        raise tables.error(f"was {rows!r}", key=key, allowed="rows [floor, cap, rate, max_leverage, deduction?]")
    progressive = product.tier_kernel is TierKernel.PROGRESSIVE
    tiers: list[MarginTier] = []
    for number, row in enumerate(rows, start=1):
        tiers.append(_tier(tables, f"{key} tier {number}", row, tiers[-1] if tiers else None, progressive))
    try:
        return TierTable(
            key=key,
            kernel=product.tier_kernel,
            unit=product.tier_unit,
            tiers=tuple(tiers),
            source=source_text(edition),
            complete=edition_place.flag("complete", True),
            first_tiers_only=edition_place.flag("first_tiers_only", False),
        )
    except RulebookError as error:
        raise _named(error, tables) from error


def _tier(tables: Place, where: str, row: object, previous: MarginTier | None, progressive: bool) -> MarginTier:
    allowed_length = (4, 5) if progressive else (4,)
    if not isinstance(row, list) or len(row) not in allowed_length:
        raise tables.error(
            f"was {row!r}",
            key=where,
            allowed="[floor, cap, rate, max_leverage" + (", deduction?]" if progressive else "]"),
        )
    floor = tables.checked_number(row[0], f"{where} floor")
    cap = tables.checked_number(row[1], f"{where} cap", open_end=True)
    rate = tables.checked_number(row[2], f"{where} rate")
    leverage = tables.checked_number(row[3], f"{where} max_leverage")
    # Maintenance never exceeds initial margin, 1 / leverage: a rate above it is a per cent figure.
    if not 0.0 < rate <= 1.0 or leverage <= 0.0 or rate * leverage > 1.0 + 1e-9:
        raise tables.error(
            f"rate {rate:g} with maximum leverage {leverage:g}",
            key=where,
            allowed="a fraction in (0, 1] and at most 1 / max_leverage (0.005 is 0.5 %)",
        )
    if previous is not None and rate < previous.maintenance_fraction:
        raise tables.error(
            f"rate fell from {previous.maintenance_fraction:g} to {rate:g}",
            key=where,
            allowed="rates that do not fall with size",
        )
    deduction = 0.0
    if progressive and previous is not None:
        deduction = previous.deduction + floor * (rate - previous.maintenance_fraction)
    if len(row) == 5:
        given = tables.checked_number(row[4], f"{where} deduction")
        if abs(given - deduction) > DEDUCTION_TOLERANCE * max(abs(deduction), 1e-3):
            raise tables.error(f"deduction {given:g}", key=where, allowed=f"{deduction:g}, which makes it continuous")
    return MarginTier(floor=floor, cap=cap, maintenance_fraction=rate, max_leverage=leverage, deduction=deduction)


def _ladder(place: Place, asset: str, edition: Edition) -> HaircutLadder:
    place.only(_LADDER_KEYS)
    rows = place.get("slices")
    if not isinstance(rows, list):
        raise place.error(f"was {rows!r}", key="slices", allowed="rows [floor, cap, weight]")
    slices = []
    for number, row in enumerate(rows, start=1):
        where = f"slices {number}"
        if not isinstance(row, list) or len(row) != 3:
            raise place.error(f"was {row!r}", key=where, allowed="[floor, cap, weight]")
        slices.append(
            HaircutSlice(
                floor=place.checked_number(row[0], f"{where} floor"),
                cap=place.checked_number(row[1], f"{where} cap", open_end=True),
                weight=place.checked_number(row[2], f"{where} weight"),
            )
        )
    try:
        return HaircutLadder(
            asset=asset,
            slices=tuple(slices),
            borrow_maintenance_fraction=place.number("borrow_maintenance_fraction"),
            source=source_text(edition),
            owed_weight=place.number("owed_weight") if "owed_weight" in place.table else None,
        )
    except RulebookError as error:
        raise _named(error, place) from error


def _refuse_overlaps(entries: list[RuleEntry], source: str) -> None:
    by_key: dict[RuleKey, list[RuleEntry]] = {}
    for entry in entries:
        by_key.setdefault(entry.key, []).append(entry)
    for (block, name), group in by_key.items():
        group.sort(key=lambda entry: entry.edition.valid_from)
        for earlier, later in pairwise(group):
            end, start = earlier.edition.valid_to, later.edition.valid_from
            # An edition without an end lasts until the next one starts; a stated end may not reach into it.
            if start == earlier.edition.valid_from or (end is not None and end > start):
                raise RulebookError(
                    f"{earlier.edition.id} and {later.edition.id} overlap from {start:%Y-%m-%d}",
                    source=source,
                    field=f"{block} {name}",
                    allowed="one edition of a key at a time",
                )
            if earlier.product != later.product:
                raise RulebookError(
                    f"stood under {earlier.product} and {later.product}",
                    source=source,
                    field=f"{block} {name}",
                    allowed="one product per table key",
                )
