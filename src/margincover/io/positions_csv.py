"""Positions from a CSV file: one row per position, errors by file, line and column."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path

from margincover.errors import InputError
from margincover.io.book_problems import close_match, joined
from margincover.io.text import read_text
from margincover.model.position import Bucket, MarginMode, Position

COLUMNS = (
    "account",
    "symbol",
    "contracts",
    "side",
    "size",
    "entry_price",
    "margin_mode",
    "leverage",
    "isolated_collateral",
    "bucket",
    "mark_price",
)
_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


def load_positions_csv(path: Path | str, *, account_id: str | None = None) -> dict[str, tuple[Position, ...]]:
    """Return positions by account from a CSV file; as `parse_positions_csv`."""
    return parse_positions_csv(read_text(path), source=str(path), account_id=account_id)


def parse_positions_csv(text: str, *, source: str, account_id: str | None = None) -> dict[str, tuple[Position, ...]]:
    """Return positions by account from CSV text.

    Parameters
    ----------
    text : str
        First line: column names out of `COLUMNS`. ``symbol``, ``entry_price`` and either ``contracts`` (signed,
        > 0 is long) or ``side`` (long, short) with ``size`` are needed. An empty cell means not given.
    source : str
        Name of the file, for messages.
    account_id : str or None
        Account of all rows when the file has no ``account`` column.

    Raises
    ------
    InputError
        For every cell that cannot be used, all in one error; also for an unknown or repeated column, a decimal comma,
        a thousands separator, a row with too many or too few cells, and a position that stands twice.
    """
    try:
        rows = _rows(text)
    except csv.Error as error:
        raise InputError(f"not CSV: {error}", source=source, allowed="comma-separated values") from None
    if not rows:
        raise InputError("the file had no header line", source=source, allowed="a line of column names")
    header = _header(rows[0][1], source, needs_account=account_id is None)
    found: dict[str, list[Position]] = {} if account_id is None else {account_id: []}
    problems: list[InputError] = []
    seen: dict[tuple[str, str, str], int] = {}
    for line, cells in rows[1:]:
        try:
            row = _cells(header, cells, f"{source}:{line}")
            # Where the column exists every row must fill it: an empty cell would belong to any account.
            owner = row.get("account") if "account" in header else account_id
            if owner is None:
                raise InputError("was empty", source=f"{source}:{line}", field="account", allowed="an account id")
            position = _position(row, f"{source}:{line}")
            key = (owner, position.symbol, position.bucket.value)
            if key in seen:
                raise InputError(
                    f"{position.symbol} {position.bucket.value} of {owner} stood in line {seen[key]} already",
                    source=f"{source}:{line}",
                    field="symbol",
                    allowed="one row per account, symbol and bucket",
                )
            seen[key] = line
            found.setdefault(owner, []).append(position)
        except InputError as error:
            problems.append(error)
    if problems:
        raise joined(problems)
    return {owner: tuple(positions) for owner, positions in found.items()}


def _rows(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            rows.append((reader.line_num, [cell.strip() for cell in cells]))
    return rows


def _header(cells: list[str], source: str, *, needs_account: bool) -> list[str]:
    where = f"{source}:1"
    if len(cells) == 1 and (";" in cells[0] or "\t" in cells[0]):
        raise InputError("the separator was a semicolon or a tab", source=where, allowed="commas between the cells")
    for name in cells:
        if name not in COLUMNS:
            raise InputError(f"unknown column '{name}'", source=where, allowed=close_match(name, COLUMNS))
        if cells.count(name) > 1:
            raise InputError(f"column '{name}' stood twice", source=where, allowed="every column once")
    for name in ("account", "symbol", "entry_price") if needs_account else ("symbol", "entry_price"):
        if name not in cells:
            raise InputError(f"column '{name}' was missing", source=where, allowed=", ".join(COLUMNS))
    if "contracts" not in cells and not {"side", "size"} <= set(cells):
        raise InputError("no size column was found", source=where, allowed="contracts, or side and size")
    return cells


def _cells(header: list[str], cells: list[str], where: str) -> Mapping[str, str]:
    if len(cells) != len(header):
        raise InputError(
            f"the row had {len(cells)} cells",
            source=where,
            allowed=f"{len(header)} cells as in the header; a comma inside a number starts a new cell",
        )
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}


def _number(row: Mapping[str, str], column: str, where: str) -> float | None:
    cell = row.get(column)
    if cell is None:
        return None
    if "," in cell:
        raise InputError(
            f"was '{cell}': a decimal comma or a thousands separator cannot be told apart",
            source=where,
            field=column,
            allowed="digits with a decimal point, for example 1234.5",
        )
    number = float(cell) if _DECIMAL.fullmatch(cell) else math.nan
    if not math.isfinite(number):
        raise InputError(
            f"was '{cell}'",
            source=where,
            field=column,
            allowed="a finite number with a decimal point, for example 1234.5",
        )
    return number


def _choice(row: Mapping[str, str], column: str, choices: tuple[str, ...], where: str) -> str | None:
    cell = row.get(column)
    if cell is not None and cell not in choices:
        raise InputError(f"was '{cell}'", source=where, field=column, allowed=", ".join(choices))
    return cell


def _contracts(row: Mapping[str, str], where: str) -> float:
    contracts, size = _number(row, "contracts", where), _number(row, "size", where)
    side = _choice(row, "side", ("long", "short"), where)
    if contracts is not None and side is None and size is None:
        return contracts
    if contracts is None and side is not None and size is not None:
        if size <= 0:
            raise InputError(f"was {size:g}", source=where, field="size", allowed="a number > 0; side gives the sign")
        return size if side == "long" else -size
    raise InputError(
        "gave not exactly one of contracts and side with size",
        source=where,
        field="contracts",
        allowed="contracts (signed), or side (long, short) and size",
    )


def _position(row: Mapping[str, str], where: str) -> Position:
    symbol, entry = row.get("symbol"), _number(row, "entry_price", where)
    if symbol is None or entry is None:
        missing = "symbol" if symbol is None else "entry_price"
        raise InputError("was empty", source=where, field=missing, allowed="a value")
    try:
        return Position(
            symbol=symbol,
            contracts=_contracts(row, where),
            entry_price=entry,
            margin_mode=MarginMode(_choice(row, "margin_mode", ("cross", "isolated"), where) or "cross"),
            leverage=_number(row, "leverage", where),
            isolated_collateral_native=_number(row, "isolated_collateral", where),
            bucket=Bucket(_choice(row, "bucket", ("NET", "LONG", "SHORT"), where) or "NET"),
            mark_price=_number(row, "mark_price", where),
        )
    except InputError as error:
        raise error.located(source=where) from error
