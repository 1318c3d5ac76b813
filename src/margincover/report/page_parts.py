"""Pieces of the report page: cells, tables, tiles, and the roundings that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.results import PoolCoverage
from margincover.report import format as fmt
from margincover.report.format import Rounding

TONES = {"breach": "breach", "warning": "warning", "covered": "covered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One table cell: text, a tone that only repeats what the text says, and the columns that it spans."""

    text: str
    tone: str = ""
    link: str = ""
    span: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Caption, headers and rows; the first column heads its row, ``n_words`` columns from the left hold words."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    n_words: int = 1
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One summary tile."""

    label: str
    value: str
    note: str
    tone: str = ""


def gap_words(pool: PoolCoverage) -> str:
    """Return what must be added or could leave, in words."""
    unit = pool.status.unit
    if pool.gap_native > 0:
        return f"add {fmt.native(pool.gap_native, unit, rounding=Rounding.UP)}"
    return f"{fmt.native(-pool.gap_native, unit, rounding=Rounding.DOWN)} could leave"


def up(value: float, unit: str) -> str:
    """Return a requirement, rounded up."""
    return fmt.native(value, unit, rounding=Rounding.UP)


def down(value: float, unit: str) -> str:
    """Return collateral, rounded down."""
    return fmt.native(value, unit, rounding=Rounding.DOWN)
