"""Debt coverage: every obligation by the time it falls due, against what can be used by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from margincover.liquidity.conversion import price_usd
from margincover.model.book import Book
from margincover.model.liquidity import DebtRow
from margincover.units import SECONDS_PER_YEAR

MARGIN = "margin obligations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One amount that falls due ``due_s`` after ``as_of``, in US dollars."""

    due_s: int
    label: str
    due_usd: float


def scheduled(book: Book, *, horizon_s: int) -> tuple[Due, ...]:
    """Return what falls due within a horizon: obligations, maturing loans, expiring lines, negative balances, interest.

    A negative balance of an account is owed now only where no pool carries it: a venue counts it against the pool's
    equity, which the margin needs already contain, so it does not stand here a second time. Drawn lines fall due at
    their end with the interest until then. Interest of loans and lines that run on falls due at the horizon.
    """
    rows = [
        Due(
            due_s=int((row.due_at - book.as_of).total_seconds()),
            label=row.id,
            due_usd=row.amount_native * price_usd(book, row.asset, f"obligations.{row.id}.asset"),
        )
        for row in book.obligations
    ]
    interest = 0.0
    for loan in book.loans:
        debt = loan.amount_native * price_usd(book, loan.asset, f"loans.{loan.id}.asset")
        until = horizon_s if loan.due_at is None else int((loan.due_at - book.as_of).total_seconds())
        if until <= horizon_s and loan.due_at is not None:
            accrued = debt * loan.annual_rate_fraction * until / SECONDS_PER_YEAR
            rows.append(Due(due_s=until, label=f"{loan.id}, maturity", due_usd=debt + accrued))
        else:
            interest += debt * loan.annual_rate_fraction * horizon_s / SECONDS_PER_YEAR
    for line in book.credit_lines:
        drawn = line.drawn_native * price_usd(book, line.asset, f"credit_lines.{line.id}.asset")
        until = horizon_s + 1 if line.until is None else int((line.until - book.as_of).total_seconds())
        if until <= horizon_s and drawn > 0.0:
            accrued = drawn * line.annual_rate_fraction * until / SECONDS_PER_YEAR
            rows.append(Due(due_s=until, label=f"{line.id}, drawn", due_usd=drawn + accrued))
        else:
            interest += drawn * line.annual_rate_fraction * horizon_s / SECONDS_PER_YEAR
    if interest > 0.0:
        rows.append(Due(due_s=horizon_s, label="interest", due_usd=interest))
    return tuple(sorted((row for row in rows if row.due_s <= horizon_s), key=lambda row: (row.due_s, row.label)))


def due_by(rows: Sequence[Due], buckets_s: Sequence[int]) -> list[float]:
    """Return what has fallen due by each bucket, cumulative."""
    return [sum(row.due_usd for row in rows if row.due_s <= until) for until in buckets_s]


def debt_rows(
    dues: Sequence[Due],
    *,
    buckets_s: Sequence[int],
    margin_needs_usd: Sequence[float],
    usable_usd: Callable[[int], float],
) -> tuple[DebtRow, ...]:
    """Return one row for each scheduled amount and one for the margin obligations of each bucket, in time order.

    Parameters
    ----------
    dues : sequence of Due
    buckets_s : sequence of int
        Ends of the buckets, rising; the first begins at 0.
    margin_needs_usd : sequence of float [bucket]
        Stated quantile of what the accounts and loans call for, cumulative.
    usable_usd : callable
        Usable resources after haircut by a time in seconds, cumulative.

    Notes
    -----
    The ratio is usable over all that is due by then, margin obligations included. A scheduled amount is set against
    what is usable at its due time; margin obligations, which may come at any time of their bucket, against what is
    usable at its start, and they count as due from the start on.
    """
    starts = (0, *buckets_s[:-1])
    events = [(due.due_s, 0, due.due_s, due.label, due.due_usd) for due in dues]
    events += [
        (start, 1, end, MARGIN, amount) for start, end, amount in zip(starts, buckets_s, margin_needs_usd, strict=True)
    ]
    rows: list[DebtRow] = []
    paid = margin = 0.0
    for at_s, kind, until_s, label, amount in sorted(events):
        if kind == 0:
            step, paid = amount, paid + amount
        else:
            step, margin = max(0.0, amount - margin), max(margin, amount)
        if step <= 0.0:
            continue
        usable, total = usable_usd(at_s), paid + margin
        rows.append(
            DebtRow(
                due_s=until_s,
                label=label,
                due_usd=step,
                cumulative_due_usd=total,
                usable_usd=usable,
                ratio=usable / total,
            )
        )
    return tuple(rows)


def debt_coverage_ratio(rows: Sequence[DebtRow]) -> float | None:
    """Return the smallest ratio over all due times; None without a debt."""
    return min((row.ratio for row in rows), default=None)
