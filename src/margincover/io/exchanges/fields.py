"""Read fields of a venue's payload: numbers that arrive as text, absent values, envelopes, drafts of positions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from margincover.errors import InputError
from margincover.model.account import AccountReport
from margincover.model.position import Balance, Bucket, MarginMode, Position, PositionReport

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Row:
    """One JSON object of a payload with the place where it stands, such as ``positions[2]``."""

    data: Mapping[str, object]
    place: str

    def field(self, name: str) -> str:
        """Return the full place of a field."""
        return f"{self.place}.{name}" if self.place else name

    def has(self, name: str) -> bool:
        """Return whether the field is there and not null."""
        return self.data.get(name) is not None

    def number(self, *names: str) -> float | None:
        """Return the first of the fields that holds a number; None when all are absent, null or empty text.

        Raises
        ------
        InputError
            If a field holds anything else than a finite decimal.
        """
        for name in names:
            value = self.data.get(name)
            if value is None or value == "":
                continue
            return _decimal(value, self.field(name))
        return None

    def required(self, *names: str) -> float:
        """Return the first of the fields that holds a number.

        Raises
        ------
        InputError
            If none does.
        """
        value = self.number(*names)
        if value is None:
            raise InputError(
                "was missing",
                field=self.field(" or ".join(names)),
                allowed="a finite decimal number, as text or number",
            )
        return value

    def nonzero(self, *names: str) -> float | None:
        """Return the number, None when it is absent or 0: venues write 0 for "there is none"."""
        return self.number(*names) or None

    def text(self, name: str) -> str:
        """Return a text field that must be there.

        Raises
        ------
        InputError
            If it is missing, empty or no text.
        """
        value = self.data.get(name)
        if not isinstance(value, str) or not value:
            found = "was missing" if value is None else f"was {shown(value)}"
            raise InputError(found, field=self.field(name), allowed="a text that is not empty")
        return value

    def flag(self, name: str) -> bool | None:
        """Return a true/false field, None when absent; venues send it as a boolean or as text."""
        value = self.data.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise InputError(f"was {shown(value)}", field=self.field(name), allowed="true or false")

    def child(self, name: str) -> Row:
        """Return an object field that must be there."""
        return as_row(self.data.get(name), self.field(name))

    def children(self, name: str) -> list[Row]:
        """Return a list-of-objects field that must be there."""
        return as_rows(self.data.get(name), self.field(name))


def shown(value: object) -> str:
    """Return a short text of a value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _decimal(value: object, place: str) -> float:
    allowed = 'a finite decimal number, as text or number, or "" for none'
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InputError(f"was {shown(value)}", field=place, allowed=allowed)
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise InputError(f"was {shown(value)}", field=place, allowed=allowed)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"was {shown(value)}", field=place, allowed=allowed)
    return number


def as_row(value: object, place: str) -> Row:
    """Return a JSON object as a row; anything else is an InputError that names the place."""
    if not isinstance(value, Mapping):
        found = "was missing" if value is None else f"was {shown(value)}"
        raise InputError(found, field=place, allowed="a JSON object")
    return Row(value, place)


def as_rows(value: object, place: str) -> list[Row]:
    """Return a JSON list of objects as rows; anything else is an InputError that names the place."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        found = "was missing" if value is None else f"was {shown(value)}"
        raise InputError(found, field=place, allowed="a list of JSON objects")
    return [as_row(item, f"{place}[{number}]") for number, item in enumerate(value)]


def documents(responses: Mapping[str, object], *roles: str) -> Iterator[tuple[str, object]]:
    """Yield the responses of the given roles; a role with several files has keys such as ``positions[1]``."""
    for key, document in responses.items():
        if key.partition("[")[0] in roles:
            yield key, document


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSupplement:
    """Facts of a position that a person wrote beside a venue's payload; None where nothing was written."""

    contracts: float | None = None
    entry_price: float | None = None
    margin_mode: MarginMode | None = None
    leverage: float | None = None
    isolated_collateral_native: float | None = None
    mark_price: float | None = None
    maintenance_fraction: float | None = None
    maintenance_deduction_native: float | None = None
    implied_volatility: float | None = None
    forward_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionDraft:
    """A position as the payload states it, before facts written by hand are added."""

    place: str
    symbol: str
    contracts: float
    entry_price: float | None
    margin_mode: MarginMode
    bucket: Bucket = Bucket.NET
    leverage: float | None = None
    isolated_collateral_native: float | None = None
    mark_price: float | None = None
    report: PositionReport = field(default_factory=PositionReport)
    implied_volatility: float | None = None
    forward_price: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Symbol and bucket: what makes a position unique in an account."""
        return self.symbol, self.bucket.value


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAccount:
    """What a venue's parser found: drafts of positions, balances, reports and remarks."""

    drafts: tuple[PositionDraft, ...]
    balances: tuple[Balance, ...]
    reports: tuple[AccountReport, ...]
    issues: tuple[str, ...]


VenueParser = Callable[[Mapping[str, object], str], VenueAccount]


def finish_position(draft: PositionDraft, supplement: PositionSupplement | None) -> Position:
    """Return the position of a draft, with facts written by hand where the payload is silent.

    Raises
    ------
    InputError
        If the payload and the hand-written fact differ, or a needed fact is in neither.
    """
    given = supplement or PositionSupplement()
    if given.margin_mode is not None and given.margin_mode is not draft.margin_mode:
        raise _conflict(draft, "margin_mode", draft.margin_mode.value, given.margin_mode.value)
    _merge(draft, "contracts", draft.contracts, given.contracts)
    entry = _merge(draft, "entry_price", draft.entry_price, given.entry_price)
    collateral = _merge(
        draft, "isolated_collateral", draft.isolated_collateral_native, given.isolated_collateral_native
    )
    missing = None
    if entry is None:
        missing = "entry_price"
    elif draft.margin_mode is MarginMode.ISOLATED and collateral is None:
        missing = "isolated_collateral"
    if missing is not None or entry is None:
        raise InputError(
            f"the payload does not state it for {draft.symbol} {draft.bucket.value}",
            field=f"{draft.place}: {missing}",
            allowed=f"{missing} of {draft.symbol} written by hand in the book's positions of this account",
        )
    return Position(
        symbol=draft.symbol,
        contracts=draft.contracts,
        entry_price=entry,
        margin_mode=draft.margin_mode,
        leverage=_merge(draft, "leverage", draft.leverage, given.leverage),
        isolated_collateral_native=collateral,
        bucket=draft.bucket,
        mark_price=_merge(draft, "mark_price", draft.mark_price, given.mark_price),
        maintenance_fraction=given.maintenance_fraction,
        maintenance_deduction_native=given.maintenance_deduction_native,
        reported=draft.report,
        implied_volatility=_merge(draft, "implied_volatility", draft.implied_volatility, given.implied_volatility),
        forward_price=_merge(draft, "forward_price", draft.forward_price, given.forward_price),
    )


def _merge(draft: PositionDraft, name: str, found: float | None, written: float | None) -> float | None:
    if found is None or written is None:
        return written if found is None else found
    # A person may type fewer digits than the venue sends, not another number.
    if not math.isclose(found, written, rel_tol=1e-9, abs_tol=0.0):
        raise _conflict(draft, name, found, written)
    return found


def _conflict(draft: PositionDraft, name: str, found: object, written: object) -> InputError:
    return InputError(
        f"the payload says {found} for {draft.symbol}, the book says {written}",
        field=f"{draft.place}: {name}",
        allowed="the same value in both, or only one of them",
    )
