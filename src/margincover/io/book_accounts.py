"""Build the accounts of a book from hand-written fields, positions files and raw exchange responses."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import TypeVar

from margincover.errors import InputError
from margincover.io import exchanges
from margincover.io.book_schema import AccountReportTable, AccountTable, BalanceTable, OpenOrderTable, PositionTable
from margincover.io.positions_csv import parse_positions_csv
from margincover.io.text import decode_text, parse_json, read_bytes
from margincover.model.account import Account, AccountReport
from margincover.model.position import (
    Balance,
    Bucket,
    MarginMode,
    OpenOrder,
    Position,
    PositionReport,
    Side,
)

Report = TypeVar("Report", AccountReport, PositionReport)


@dataclass(frozen=True, slots=True)
class ReferencedFiles:
    """Reader of the files that a book names; remembers what was read, for the hash of the input."""

    base_dir: Path | None
    read: dict[str, bytes] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return the text of a file named in the book, relative to the book's folder."""
        if self.base_dir is None:
            raise InputError(f"'{name}' cannot be read", allowed="a book that is a file; this one has no folder")
        if PurePath(name).is_absolute():
            raise InputError(f"was '{name}'", allowed="a file name relative to the book")
        if name not in self.read:
            self.read[name] = read_bytes(self.base_dir / name)
        return decode_text(self.read[name], name)

    def sha256(self, book_sha256: str) -> str:
        """Return the hash of the book, or of the book and every file that it names."""
        if not self.read:
            return book_sha256
        digest = hashlib.sha256(book_sha256.encode())
        for name in sorted(self.read):
            digest.update(f"\n{name} {hashlib.sha256(self.read[name]).hexdigest()}".encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltAccount:
    """An account with the marks that its responses carried, by venue symbol, and remarks."""

    account: Account
    marks: Mapping[str, float]
    issues: tuple[str, ...]


def placed(error: InputError, place: str) -> InputError:
    """Return the error with its field below ``place``."""
    inner = error.field
    full = place if inner is None else f"{place}.{inner}"
    return type(error)(error.found, source=error.source, account=error.account, field=full, allowed=error.allowed)


def build_account(
    table: AccountTable, *, files: ReferencedFiles, source: str, known_ids: Sequence[str], problems: list[InputError]
) -> BuiltAccount | None:
    """Return the account of a table; None when something was wrong, which is then added to ``problems``."""
    before = len(problems)

    def note(error: InputError, place: str | None = None) -> None:
        located = placed(error, place) if place else error
        problems.append(located.located(source=source, account=table.id))

    venue, separator, rest = table.id.partition(":")
    if not (venue and separator and rest):
        note(InputError(f"was '{table.id}'", field="id", allowed="venue:name, for example binance:main"))
        return None
    try:
        parsed = _parse_responses(table, venue, files, source)
    except InputError as error:
        note(error)
        return None
    positions = _positions(table, parsed.account.positions, note)
    try:
        positions += _from_csv(table, files, known_ids)
    except InputError as error:
        note(error.located(field="positions_csv"))
    account = replace(
        parsed.account,
        balances=_merged_balances(parsed.account.balances, table.balances, note),
        open_orders=tuple(_order(order) for order in table.open_orders),
        reported=_merged_reports(parsed.account.reported, table.reported, note),
        taker_fee_fraction=table.taker_fee,
        margin_call_coverage_ratio=table.margin_call_coverage_ratio,
    )
    if len(problems) > before:
        return None
    try:
        account = replace(account, venue=table.venue or venue, positions=tuple(positions))
    except InputError as error:
        note(error)
        return None
    issues = tuple(f"{table.id}: {issue}" for issue in parsed.issues)
    return BuiltAccount(account=account, marks=parsed.marks, issues=issues)


Note = Callable[[InputError, str], None]


def _parse_responses(table: AccountTable, venue: str, files: ReferencedFiles, source: str) -> exchanges.ParsedAccount:
    if table.responses is None:
        empty = Account(id=table.id, venue=venue, mode=table.mode)
        return exchanges.ParsedAccount(account=empty, marks={}, issues=())
    documents: dict[str, object] = {}
    names: list[str] = []
    for role in exchanges.ROLES:
        for number, name in enumerate(getattr(table.responses, role)):
            key = role if number == 0 else f"{role}[{number}]"
            try:
                documents[key] = parse_json(files.text(name), name)
            except InputError as error:
                raise error.located(field=f"responses.{key}") from error
            names.append(name)
    if not documents:
        raise InputError("named no file", field="responses", allowed=", ".join(exchanges.ROLES))
    supplements: dict[tuple[str, str], exchanges.PositionSupplement] = {
        (position.symbol, position.bucket): _supplement(position) for position in table.positions
    }
    return exchanges.parse_account(
        venue,
        documents,
        account_id=table.id,
        mode=table.mode,
        source=f"{source} ({', '.join(names)})",
        supplements=supplements,
    )


def _supplement(table: PositionTable) -> exchanges.PositionSupplement:
    contracts = _contracts(table) if (table.contracts is not None or table.size is not None) else None
    return exchanges.PositionSupplement(
        contracts=contracts,
        entry_price=table.entry_price,
        margin_mode=None if table.margin_mode is None else MarginMode(table.margin_mode),
        leverage=table.leverage,
        isolated_collateral_native=table.isolated_collateral,
        mark_price=table.mark_price,
        maintenance_fraction=table.maintenance_fraction,
        maintenance_deduction_native=table.maintenance_deduction,
        implied_volatility=table.implied_volatility,
        forward_price=table.forward_price,
    )


def _positions(table: AccountTable, parsed: Sequence[Position], note: Note) -> list[Position]:
    found = {(position.symbol, position.bucket.value): position for position in parsed}
    written = []
    seen: set[tuple[str, str]] = set()
    for number, row in enumerate(table.positions):
        place = f"positions[{number}]"
        key = (row.symbol, row.bucket)
        try:
            if key in seen:
                raise InputError(f"{row.symbol} {row.bucket} stood twice", allowed="one position per symbol and bucket")
            seen.add(key)
            if key in found:
                found[key] = _with_report(found[key], row)
            else:
                written.append(_position(row))
        except InputError as error:
            note(error, place)
    return [*found.values(), *written]


def _with_report(position: Position, row: PositionTable) -> Position:
    report = _report(row)
    if report is None:
        return position
    first = position.reported or PositionReport()
    try:
        return replace(position, reported=_filled(first, report))
    except InputError as error:
        raise placed(error, "reported") from error


def _filled(first: Report, second: Report) -> Report:
    changes = {}
    for item in fields(first):
        old, new = getattr(first, item.name), getattr(second, item.name)
        if new is None or old == new:
            continue
        close = isinstance(old, float) and isinstance(new, float) and math.isclose(old, new, rel_tol=1e-9)
        if old is not None and not close:
            raise InputError(
                f"the response says {old}, the book says {new}",
                field=item.name.removesuffix("_native"),
                allowed="the same value in both, or only one of them",
            )
        if old is None:
            changes[item.name] = new
    return replace(first, **changes)


def _contracts(row: PositionTable) -> float:
    if row.contracts is not None and row.side is None and row.size is None:
        return row.contracts
    if row.contracts is None and row.side is not None and row.size is not None:
        return row.size if row.side == "long" else -row.size
    given = [name for name in ("contracts", "side", "size") if getattr(row, name) is not None]
    raise InputError(
        f"gave {' and '.join(given) if given else 'none of contracts, side and size'}",
        field="contracts",
        allowed="contracts (signed, > 0 is long), or side (long, short) with size",
    )


def _position(row: PositionTable) -> Position:
    contracts = _contracts(row)
    if row.entry_price is None:
        raise InputError("was missing", field="entry_price", allowed="a finite number > 0")
    return Position(
        symbol=row.symbol,
        contracts=contracts,
        entry_price=row.entry_price,
        margin_mode=MarginMode(row.margin_mode or "cross"),
        leverage=row.leverage,
        isolated_collateral_native=row.isolated_collateral,
        bucket=Bucket(row.bucket),
        mark_price=row.mark_price,
        maintenance_fraction=row.maintenance_fraction,
        maintenance_deduction_native=row.maintenance_deduction,
        implied_volatility=row.implied_volatility,
        forward_price=row.forward_price,
        reported=_report(row),
    )


def _report(row: PositionTable) -> PositionReport | None:
    said = row.reported
    if said is None:
        return None
    return PositionReport(
        maintenance_native=said.maintenance,
        initial_native=said.initial,
        unrealised_pnl_native=said.unrealised_pnl,
        liquidation_price=said.liquidation_price,
    )


def _from_csv(table: AccountTable, files: ReferencedFiles, known_ids: Sequence[str]) -> tuple[Position, ...]:
    name = table.positions_csv
    if name is None:
        return ()
    found = parse_positions_csv(files.text(name), source=name, account_id=table.id)
    for owner in found:
        if owner not in known_ids:
            raise InputError(
                f"account '{owner}' is not in the book",
                source=name,
                field="account",
                allowed=", ".join(known_ids),
            )
    return found.get(table.id, ())


def _order(row: OpenOrderTable) -> OpenOrder:
    return OpenOrder(symbol=row.symbol, side=Side(row.side), contracts=row.contracts, price=row.price)


def _balance(row: BalanceTable) -> Balance:
    return Balance(
        asset=row.asset,
        total_native=row.total,
        locked_native=row.locked,
        borrowed_native=row.borrowed,
        is_collateral=row.is_collateral,
        observed_at=row.observed_at,
    )


def _merged_balances(parsed: Sequence[Balance], rows: Sequence[BalanceTable], note: Note) -> tuple[Balance, ...]:
    found = {balance.asset: balance for balance in parsed}
    seen: set[str] = set()
    for number, row in enumerate(rows):
        place = f"balances[{number}]"
        if row.asset in seen:
            note(InputError(f"{row.asset} stood twice", field="asset", allowed="one balance per asset"), place)
            continue
        seen.add(row.asset)
        written, first = _balance(row), found.get(row.asset)
        if first is not None:
            _check_amounts(row, first, place, note)
            stated = {
                name: getattr(row, name) for name in ("is_collateral", "observed_at") if name in row.model_fields_set
            }
            written = replace(first, **stated)
        found[row.asset] = written
    return tuple(found.values())


def _check_amounts(row: BalanceTable, first: Balance, place: str, note: Note) -> None:
    # A hand-written balance may repeat the response's or set what it cannot say, never another amount.
    for name in ("total", "locked", "borrowed"):
        said, ours = getattr(first, f"{name}_native"), getattr(row, name)
        if name in row.model_fields_set and not math.isclose(said, ours):
            error = InputError(
                f"the response says {said} {row.asset}, the book says {ours}",
                field=name,
                allowed="the same value in both, or only one of them",
            )
            note(error, place)


def _merged_reports(
    parsed: Sequence[AccountReport], rows: Sequence[AccountReportTable], note: Note
) -> tuple[AccountReport, ...]:
    found = {report.asset: report for report in parsed}
    seen: set[str] = set()
    for number, row in enumerate(rows):
        place = f"reported[{number}]"
        if (row.ratio is None) != (row.ratio_kind is None):
            note(
                InputError("ratio stood without ratio_kind or the reverse", field="ratio", allowed="both or none"),
                place,
            )
            continue
        if row.asset in seen:
            note(InputError(f"{row.asset} stood twice", field="asset", allowed="one report per asset"), place)
            continue
        seen.add(row.asset)
        written = AccountReport(
            asset=row.asset,
            equity_native=row.equity,
            maintenance_native=row.maintenance,
            initial_native=row.initial,
            available_native=row.available,
            ratio=row.ratio,
            ratio_kind=row.ratio_kind,
        )
        try:
            found[row.asset] = _filled(found[row.asset], written) if row.asset in found else written
        except InputError as error:
            note(error, place)
    return tuple(found.values())
