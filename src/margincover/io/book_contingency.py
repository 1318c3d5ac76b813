"""Build the contingency funding plan of a book, and refuse actions that name nothing or state no level."""

from __future__ import annotations

from margincover.errors import InputError
from margincover.io.book_schema import BookTable
from margincover.io.contingency_schema import ContingencyTable
from margincover.model.contingency import ContingencyAction
from margincover.units import format_utc


def build_contingency(table: BookTable, source: str, problems: list[InputError]) -> tuple[ContingencyAction, ...]:
    """Return the actions of the plan in the order of the book; what is wrong is appended to ``problems``."""
    found = []
    accounts = [row.id for row in table.accounts]
    sources = [*(row.id for row in table.reserves), *(row.id for row in table.credit_lines)]
    seen: set[str] = set()
    for number, row in enumerate(table.contingency):
        place = f"contingency[{number}]"
        wrong = _wrong(row, place, table, accounts, sources, seen)
        seen.add(row.id)
        if wrong:
            problems.extend(error.located(source=source) for error in wrong)
            continue
        try:
            found.append(_action(row, table))
        except InputError as error:
            field = (error.field or place).replace(f"contingency.{row.id}", place)
            problems.append(InputError(error.found, source=source, field=field, allowed=error.allowed))
    return tuple(found)


def _wrong(
    row: ContingencyTable, place: str, table: BookTable, accounts: list[str], sources: list[str], seen: set[str]
) -> list[InputError]:
    wrong = []
    if row.id in seen:
        wrong.append(InputError(f"'{row.id}' stood twice", field=f"{place}.id", allowed="unique ids"))
    if row.account not in accounts:
        wrong.append(InputError(f"was '{row.account}'", field=f"{place}.account", allowed=", ".join(accounts)))
    if row.source not in sources:
        known = ", ".join(sources) or "a reserve or credit line of the book; it has none"
        wrong.append(InputError(f"was '{row.source}'", field=f"{place}.source", allowed=known))
    for name in ("trigger", "target"):
        if getattr(row, name) is None and row.account not in table.buffers:
            wrong.append(
                InputError("was not stated", field=f"{place}.{name}", allowed=f"a level, or buffers.{row.account}")
            )
    if row.tested is not None and row.tested > table.as_of:
        wrong.append(
            InputError(
                f"was {format_utc(row.tested)}, after as_of", field=f"{place}.tested", allowed="a time not after as_of"
            )
        )
    return wrong


def _action(row: ContingencyTable, table: BookTable) -> ContingencyAction:
    buffer = table.buffers.get(row.account)
    trigger = row.trigger if row.trigger is not None or buffer is None else buffer.search
    target = row.target if row.target is not None or buffer is None else buffer.initial
    assert trigger is not None, "Invariant: a trigger is stated or the account has a buffer"
    assert target is not None, "Invariant: a target is stated or the account has a buffer"
    return ContingencyAction(
        id=row.id,
        account=row.account,
        source=row.source,
        trigger_coverage_ratio=trigger,
        target_coverage_ratio=target,
        capacity_usd=row.capacity_usd,
        lead_time_s=row.lead_time,
        cost_fraction=row.cost_fraction,
        cost_usd=row.cost_usd,
        approver=row.approver,
        tested_at=row.tested,
    )
