"""ParameterEdition: dated values of a rule that is more than tiers and haircuts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterEdition:
    """One dated set of parameters of one mode and underlying; ``values`` are as written in the file.

    Validity is half-open, [valid_from, valid_to), UTC; ``underlying`` ``"*"`` stands for every one.
    """

    id: str
    venue: str
    mode: str
    underlying: str
    valid_from: datetime
    valid_to: datetime | None
    observed: datetime
    source: str
    retrieved: str
    confidence: str
    note: str
    values: Mapping[str, object]
