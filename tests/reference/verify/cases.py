"""Cases: the two formats of case files, read to one shape."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SHARED_VARIABLE = "MARGINCOVER_SHARED"
FOLDERS = ("reference/examples", "data/exchange_samples")


class CaseFileError(Exception):
    """Raise when a case file cannot be read as cases; the message names the file and the place."""


class UnsupportedError(Exception):
    """Raise when a case asks for something that the product does not compute; the message names the family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    ``layers`` are the mappings that hold its inputs, the most trusted first: ``inputs`` of a worked example, or
    ``context`` and then ``raw`` of a captured response. ``raw`` is the response alone, empty for worked examples.
    """

    id: str
    venue: str
    product: str
    account_mode: str
    text: str  # source and notes, where dates and the edition of a rule stand
    provenance: str
    layers: tuple[Mapping[str, object], ...]
    raw: Mapping[str, object]
    expected: Mapping[str, object]
    tolerance: object = None
    file: str = field(default="memory")

    @property
    def is_sample(self) -> bool:
        """Whether the case is a captured response."""
        return self.provenance != "example"

    @property
    def family(self) -> str:
        """Product and account mode in lower case, for recognising families."""
        return f"{self.product} | {self.account_mode}".lower()


def default_files() -> list[Path]:
    """Return all case files below the folder that the environment names.

    Raises
    ------
    CaseFileError
        If the variable is unset or the folder holds no cases.
    """
    shared = os.environ.get(SHARED_VARIABLE)
    if not shared:
        raise CaseFileError(
            f"no FILE was given and {SHARED_VARIABLE} is not set: name case files, or set it to the folder that holds "
            f"{' and '.join(FOLDERS)}"
        )
    files = [file for folder in FOLDERS for file in sorted(Path(shared, folder).glob("*.json"))]
    if not files:
        raise CaseFileError(f"{SHARED_VARIABLE}={shared}: held no JSON file in {' or '.join(FOLDERS)}")
    return files


def load_cases(files: Sequence[Path]) -> list[Case]:
    """Return the cases of all files, in their order.

    Raises
    ------
    CaseFileError
        If a file cannot be read, is not JSON, or holds something that is not a case; or an id stands twice.
    """
    cases = [case for file in files for case in _file_cases(file)]
    seen: dict[str, str] = {}
    for case in cases:
        if case.id in seen:
            raise CaseFileError(f"{case.file}: id '{case.id}' already stood in {seen[case.id]}; allowed: unique ids")
        seen[case.id] = case.file
    return cases


def _file_cases(file: Path) -> Iterator[Case]:
    try:
        data: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CaseFileError(f"{file}: could not be read: {error}") from error
    except ValueError as error:
        raise CaseFileError(f"{file}: was not JSON: {error}") from error
    rows = data if isinstance(data, list) else [data]
    for number, row in enumerate(rows):
        where = f"{file}[{number}]" if isinstance(data, list) else str(file)
        if not isinstance(row, dict):
            raise CaseFileError(f"{where}: was {type(row).__name__}; allowed: a case object or a list of them")
        yield _case(row, where)


def _text(row: Mapping[str, object], key: str, default: str = "") -> str:
    value = row.get(key, default)
    return value if isinstance(value, str) else default


def _mapping(value: object) -> Mapping[str, object]:
    if isinstance(value, list):
        # A response that is a list of positions.
        return {"positions": value}
    return value if isinstance(value, dict) else {}


def _case(row: Mapping[str, object], where: str) -> Case:
    """Return one case; only its id must be there: what else is missing makes it unsupported, not unreadable."""
    identity = row.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int) or identity == "":
        raise CaseFileError(f"{where}: id was {identity!r}; allowed: text that is not empty")
    sample = "raw" in row or "exchange_says" in row
    raw = _mapping(row.get("raw")) if sample else {}
    return Case(
        id=str(identity),
        venue=_text(row, "venue").lower(),
        product=_text(row, "product"),
        account_mode=_text(row, "account_mode"),
        text=f"{_text(row, 'source')} {_text(row, 'notes')}",
        provenance=_text(row, "provenance", "captured") if sample else "example",
        layers=(_mapping(row.get("context")), raw) if sample else (_mapping(row.get("inputs")),),
        raw=raw,
        expected=_mapping(row.get("exchange_says" if sample else "expected")),
        tolerance=row.get("tolerance"),
        file=f"{where} ({identity})",
    )
