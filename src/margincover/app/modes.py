"""Modes: one account under several account modes of its venue, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from margincover.app.facade import ModesReport
from margincover.app.provenance import build_provenance
from margincover.coverage.status import pool_statuses, severity
from margincover.errors import InputError, UsageError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.pool import MarginPool
from margincover.model.rules import ModeRule
from margincover.model.whatif import ModeComparison, ModeRow
from margincover.venues.pools import build_pools

ALL = "all"


def compare_modes(book: Book, *, account: str | None = None, modes: Sequence[str] = (ALL,)) -> ModesReport:
    """Return equity, margins and liquidation moves of one account under each of several modes.

    Parameters
    ----------
    book : Book
    account : str or None
        Account id; None where the book holds one account.
    modes : sequence of str
        Modes of the account's venue, or ``all``: those whose product lines and margin modes hold the positions.

    Raises
    ------
    UsageError
        If the account or a mode is unknown, or a mode stands twice.

    Notes
    -----
    A mode that cannot hold the account keeps its error in its row. Positions, balances and marks stay as they are:
    what an exchange would convert, close or refuse on the change itself is not modelled.
    """
    chosen = _account(book, account)
    rules = book.rulebooks[chosen.venue].modes
    wanted, notes = _wanted(book, chosen, modes)
    found: list[MarginPool] = []
    rows = []
    for mode in wanted:
        is_present = mode == chosen.mode
        # Reported figures are those of the present mode and say nothing of another.
        moved = replace(book, accounts=(replace(chosen, mode=mode, reported=()),))
        try:
            pools = build_pools(moved)
            statuses = tuple(sorted(pool_statuses(pools), key=severity))
        except InputError as error:
            rows.append(ModeRow(mode=mode, is_present=is_present, error=str(_placeless(error))))
            continue
        found.extend(pools)
        rows.append(ModeRow(mode=mode, is_present=is_present, pools=statuses))
    notes += [f"mode {mode} is {rules[mode].confidence}" for mode in wanted if rules[mode].confidence != "CONFIRMED"]
    return ModesReport(
        result=ModeComparison(
            account_id=chosen.id,
            venue=chosen.venue,
            present_mode=chosen.mode,
            rows=tuple(rows),
            notes=tuple(notes),
            provenance=build_provenance(replace(book, accounts=(chosen,)), found),
        )
    )


def parse_modes(text: str) -> tuple[str, ...]:
    """Return the names in ``"segregated_sm,cross_pm"``.

    Raises
    ------
    UsageError
        If a name is empty or stands twice, or ``all`` stands beside others.
    """
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names) or (ALL in names and len(names) > 1):
        raise UsageError(f"was '{text}'", field="--modes", allowed="different names of modes by commas, or 'all' alone")
    return names


def _placeless(error: InputError) -> InputError:
    # A row of the table stands under file and account already.
    return type(error)(error.found, field=error.field, allowed=error.allowed)


def _account(book: Book, name: str | None) -> Account:
    accounts = {account.id: account for account in book.accounts}
    if name is None and len(accounts) == 1:
        return next(iter(accounts.values()))
    if name not in accounts:
        raise UsageError(
            f"account was '{name or 'not stated'}'",
            field="--account",
            allowed=", ".join(accounts) or "a book with accounts",
        )
    return accounts[name]


def _wanted(book: Book, account: Account, modes: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the modes to compute, the present one first, and notes on those left out and on served rates."""
    known = book.rulebooks[account.venue].modes
    unknown = [mode for mode in modes if mode not in known and mode != ALL]
    if unknown:
        raise UsageError(
            f"mode was '{unknown[0]}'",
            account=account.id,
            field="--modes",
            allowed=f"{', '.join(sorted(known))}, or all",
        )
    notes = [
        f"{position.symbol} keeps the maintenance rate that the venue served in mode {account.mode}"
        for position in account.positions
        if position.maintenance_fraction is not None
    ]
    if tuple(modes) != (ALL,):
        return tuple(modes), notes
    refused = {name: _refusal(book, account, rule) for name, rule in known.items()}
    notes += [f"mode {name} is left out: {reason}" for name, reason in refused.items() if reason]
    fitting = [name for name, reason in refused.items() if not reason and name != account.mode]
    return (account.mode, *fitting), notes


def _refusal(book: Book, account: Account, rule: ModeRule) -> str:
    """Return why a mode cannot hold the positions, empty where it can."""
    for position in account.positions:
        product = book.instruments[(account.venue, position.symbol)].product
        if product not in rule.products:
            return f"it does not hold {product} ({position.symbol})"
        if position.margin_mode.value not in rule.margin_modes:
            return f"it has no {position.margin_mode.value} margin ({position.symbol})"
    return ""
