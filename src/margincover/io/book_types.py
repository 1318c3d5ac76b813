"""Scalar types of a book file: numbers with limits, instants, time spans, texts; each refuses in plain words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from margincover.errors import InputError
from margincover.units import parse_duration_s, parse_utc


class StrictTable(BaseModel):
    """Base of the tables of a book: unknown fields are errors, no silent conversion."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def refusal(value: object, allowed: str) -> PydanticCustomError:
    """Return the error of one field: what was found and what is allowed."""
    shown = repr(value)
    found = f"was {shown if len(shown) <= 60 else shown[:57] + '...'}"
    return PydanticCustomError("margincover", "{found}", {"found": found, "allowed": allowed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Annotation of a strict finite number: text, booleans, NaN and infinity are refused."""

    above: float | None = None
    least: float | None = None
    most: float | None = None

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        marks = ((">", self.above), (">=", self.least), ("<=", self.most))
        return (
            f"a finite number {' and '.join(f'{mark} {limit:g}' for mark, limit in marks if limit is not None)}".strip()
        )

    def check(self, value: object) -> float:
        """Return the value as a float, or refuse it."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise refusal(value, self.allowed)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        low = (self.above is not None and number <= self.above) or (self.least is not None and number < self.least)
        if not math.isfinite(number) or low or (self.most is not None and number > self.most):
            raise refusal(value, self.allowed)
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Callable[[Any], Any]) -> dict[str, object]:
        limits = (("exclusiveMinimum", self.above), ("minimum", self.least), ("maximum", self.most))
        return {"type": "number"} | {name: limit for name, limit in limits if limit is not None}


def _instant(value: object) -> datetime:
    allowed = "ISO-8601 with a zone, for example 2026-11-20T12:00:00Z"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise refusal(value, allowed)
    try:
        return parse_utc(value)
    except (InputError, OverflowError):
        raise refusal(value, allowed) from None


def _duration(value: object) -> int:
    allowed = "a positive time span as text, for example 90s, 30min, 24h or 5d"
    if not isinstance(value, str):
        raise refusal(value, allowed)
    try:
        return parse_duration_s(value)
    except (InputError, OverflowError):
        raise refusal(value, allowed) from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or value != value.strip():
        raise refusal(value, "a text that is not empty, without spaces at its ends")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise refusal(value, "a whole number >= 1")
    return value


def listed(value: object) -> object:
    """Return a list: one object or one name may stand where a list is meant."""
    return value if isinstance(value, list) else [value]


def _version(value: object) -> int:
    if isinstance(value, bool) or value != 1:
        raise refusal(value, "1")
    return 1


Number = Annotated[float, Limits()]
Positive = Annotated[float, Limits(above=0.0)]
NonNegative = Annotated[float, Limits(least=0.0)]
Fraction = Annotated[float, Limits(least=0.0, most=1.0)]
Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Instant = Annotated[datetime, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Duration = Annotated[
    int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|min|h|d|w)$"})
]
Whole = Annotated[int, BeforeValidator(_whole), WithJsonSchema({"type": "integer", "minimum": 1})]
Version = Annotated[int, BeforeValidator(_version), WithJsonSchema({"const": 1})]
FileNames = Annotated[list[Text], BeforeValidator(listed)]
