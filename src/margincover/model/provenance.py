"""Provenance: which inputs, rules and settings a result came from, and what it does not contain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionUse:
    """One rulebook edition that a result used."""

    venue: str
    edition: str
    valid_from: str
    source: str
    retrieved: str
    age_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a result came from.

    ``not_modelled`` lists in plain sentences what the figures leave out; ``warnings`` what the reader must know.
    """

    version: str
    as_of: str
    input_sha256: str
    seed: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    editions: tuple[EditionUse, ...] = ()
    scenario: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()
