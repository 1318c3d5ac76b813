"""Named: read loosely named inputs of further modes, and hand figures over under the keys that a case expects."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.reference.verify.account import Figures
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.compare import asked
from tests.reference.verify.facts import as_number, half_unit, plain

_UNITS = re.compile(r"(usdt|usdc|usd|btc|eth|xbt|coin|native|fraction|pct|percent)$")


class Inputs:
    """Inputs of a case by plain key (lower case, letters and digits), the most trusted layer first.

    ``nested`` looks into mappings below the top as well; their keys come after those of the top. ``what`` names the
    family in errors.
    """

    def __init__(self, *layers: Mapping[str, object], nested: bool = True, what: str = "the case") -> None:
        self.layers = layers
        self._what = what
        self._flat: dict[str, object] = {}
        for layer in layers:
            self._add(layer, nested)

    def _add(self, layer: Mapping[str, object], nested: bool) -> None:
        for key, value in layer.items():
            if not isinstance(value, Mapping) and value not in (None, ""):
                self._flat.setdefault(plain(key), value)
        for value in layer.values():
            if nested and isinstance(value, Mapping):
                self._add(value, nested)

    def names(self) -> list[str]:
        """Return all plain keys."""
        return list(self._flat)

    def keys(self) -> list[str]:
        """Return all plain keys, as a mapping would."""
        return self.names()

    def value(self, *names: str) -> object:
        """Return the first value under one of the plain keys, in the order of the names; None without one."""
        return next((self._flat[name] for name in names if name in self._flat), None)

    def number(self, *names: str) -> float | None:
        """Return the first number under one of the plain keys."""
        return next((n for name in names if (n := as_number(self._flat.get(name))) is not None), None)

    def need(self, *names: str) -> float:
        """Return the first number under one of the plain keys; UnsupportedError without one."""
        found = self.number(*names)
        if found is None:
            raise UnsupportedError(f"{self._what}: none of {', '.join(names)} in the inputs")
        return found

    def half_unit(self, *names: str) -> float:
        """Return half a unit in the last printed digit of the number that ``number`` returns."""
        return next((half_unit(self._flat[name]) for name in names if as_number(self._flat.get(name)) is not None), 0.0)

    def mapping(self, *names: str) -> Mapping[str, object]:
        """Return the first mapping under one of the plain keys of the top; empty without one."""
        found = self.top(*names)
        return found if isinstance(found, Mapping) else {}

    def rows(self, *names: str) -> list[object]:
        """Return the first list under one of the plain keys of the top; empty without one."""
        found = self.top(*names)
        return found if isinstance(found, list) else []

    def top(self, *names: str) -> object:
        """Return the first value, of any kind, under one of the plain keys of the top."""
        for layer in self.layers:
            for name in names:
                for key, value in layer.items():
                    if plain(key) == name:
                        return value
        return None


def inputs_of(case: Case, *, nested: bool = True, what: str = "") -> Inputs:
    """Return the inputs of a case; ``what`` names its family in errors."""
    return Inputs(*case.layers, nested=nested, what=what or f"{case.venue} {case.product}, {case.account_mode}")


def named(
    case: Case,
    figures: Mapping[str, object],
    *,
    spellings: Mapping[str, str] | None = None,
    slack: Mapping[str, float] | None = None,
    missing: Mapping[str, str] | None = None,
) -> Answer:
    """Return an answer that gives every expected key its figure by name.

    Parameters
    ----------
    figures : mapping
        Figure by name. A name is a plain spelling of the expected key, or a canonical name of ``compare``.
    spellings : mapping or None
        Figure name to further plain spellings, separated by blanks. They win over canonical names.
    slack : mapping or None
        Figure name to what the printed digits of the inputs leave open.
    missing : mapping or None
        Figure name to the reason why it is not given.
    """
    table = {spelling: name for name, words in (spellings or {}).items() for spelling in words.split()}
    direct: dict[str, object] = {}
    room: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for wanted in asked(case):
        key = plain(wanted.field)
        short = _UNITS.sub("", key)
        candidates = [table.get(key), key, table.get(short), short, wanted.name]
        name = next((c for c in candidates if c is not None and (c in figures or c in (missing or {}))), None)
        if name is None:
            continue
        if name in figures:
            direct[wanted.field] = figures[name]
            room[wanted.field] = (slack or {}).get(name, 0.0)
        else:
            reasons[wanted.field] = (missing or {})[name]
    return Answer(figures=Figures(), direct=direct, slack=room, reasons=reasons)
