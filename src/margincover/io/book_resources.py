"""Build the resources and obligations of a book, and refuse what cannot be: unknown places, one thing counted twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from margincover.errors import InputError
from margincover.io.book_schema import BookTable
from margincover.io.resource_schema import (
    CreditLineTable,
    LoanTable,
    ReserveTable,
    TransferInTransitTable,
    TransferTimeTable,
)
from margincover.model.resources import (
    HOURS_OF_WEEK,
    BufferPolicy,
    Collateral,
    CreditLine,
    HaircutStep,
    Loan,
    Obligation,
    OpeningHours,
    Reserve,
    ResourceKind,
    SaleMarket,
    TransferInTransit,
    TransferTime,
)
from margincover.model.risk_limits import RiskLimits
from margincover.units import format_utc

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS_ALLOWED = "days and whole hours in UTC, for example 'mon-fri 08-17' or 'sat 00-24'"
_Row = TypeVar("_Row")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookResources:
    """Everything of a book that stands outside its margin pools."""

    reserves: tuple[Reserve, ...]
    credit_lines: tuple[CreditLine, ...]
    transfer_times: tuple[TransferTime, ...]
    in_transit: tuple[TransferInTransit, ...]
    loans: tuple[Loan, ...]
    obligations: tuple[Obligation, ...]
    sale_markets: Mapping[str, SaleMarket]
    buffers: tuple[BufferPolicy, ...]


def build_resources(table: BookTable, source: str, problems: list[InputError]) -> BookResources:
    """Return the resources of a book; what is wrong is appended to ``problems``."""
    _check_names(table, source, problems)
    _check_times(table, source, problems)

    def make(name: str, rows: Sequence[_Row], build: Callable[[_Row], _Made]) -> tuple[_Made, ...]:
        made = []
        for number, row in enumerate(rows):
            try:
                made.append(build(row))
            except InputError as error:
                problems.append(_in_file(error, f"{name}.{_label(row)}", f"{name}[{number}]").located(source=source))
        return tuple(made)

    return BookResources(
        reserves=make("reserves", table.reserves, _reserve),
        credit_lines=make("credit_lines", table.credit_lines, _credit_line),
        transfer_times=make("transfer_times", table.transfer_times, _transfer_time),
        in_transit=make("in_transit", table.in_transit, _in_transit),
        loans=make("loans", table.loans, _loan),
        obligations=make(
            "obligations",
            table.obligations,
            lambda row: Obligation(
                id=row.id, asset=row.asset, amount_native=row.amount, due_at=row.due, payee=row.payee or ""
            ),
        ),
        sale_markets={
            market.asset: market
            for market in make(
                "sale_markets",
                list(table.sale_markets.items()),
                lambda item: SaleMarket(
                    asset=item[0],
                    daily_volume_usd=item[1].daily_volume_usd,
                    daily_volatility=item[1].daily_volatility,
                    depth_usd=item[1].depth_usd,
                    impact_coefficient=item[1].impact_coefficient,
                    stress_multiple=item[1].stress_multiple,
                ),
            )
        },
        buffers=make(
            "buffers",
            list(table.buffers.items()),
            lambda item: BufferPolicy(
                account=item[0], search=item[1].search, initial=item[1].initial, release=item[1].release
            ),
        ),
    )


def build_limits(table: BookTable, source: str, problems: list[InputError]) -> RiskLimits:
    """Return the limits of a book; what is wrong is appended to ``problems``."""
    row = table.limits
    if row is None:
        return RiskLimits()
    stated = {name: value for name, value in row if name not in ("min_survival_horizon", "max_share")}
    try:
        return RiskLimits(
            **stated,
            min_survival_horizon_s=row.min_survival_horizon,
            max_share={str(kind): share for kind, share in row.max_share.items()},
        )
    except InputError as error:
        place = f"limits.{error.field}"
        problems.append(InputError(error.found, source=source, field=place, allowed=error.allowed))
        return RiskLimits()


def _label(row: object) -> str:
    """Return how ``model.resources`` names the row in its errors."""
    if isinstance(row, TransferTimeTable):
        return f"{row.origin} -> {row.destination}.{row.asset}"
    return str(row[0]) if isinstance(row, tuple) else str(getattr(row, "id", ""))


def _in_file(error: InputError, named: str, placed: str) -> InputError:
    """Return the error with the place in the file in front of the field; tables by name keep their name."""
    field = error.field or placed
    if not named.startswith(("sale_markets", "buffers")) and field.startswith(named):
        field = placed + field.removeprefix(named)
    return type(error)(error.found, source=error.source, account=error.account, field=field, allowed=error.allowed)


def _check_names(table: BookTable, source: str, problems: list[InputError]) -> None:
    """Ids are unique over all lists, and every place that is named exists."""

    def refuse(field: str, found: str, allowed: str) -> None:
        problems.append(InputError(found, source=source, field=field, allowed=allowed))

    accounts = [row.id for row in table.accounts]
    reserves = [row.id for row in table.reserves]
    others = [row.id for rows in (table.credit_lines, table.loans, table.obligations, table.in_transit) for row in rows]
    ids = accounts + reserves + others
    for name in dict.fromkeys(reserves + others):
        if ids.count(name) > 1:
            refuse(f"resources.{name}", f"the id stood {ids.count(name)} times", "unique ids in the book")
    ends = accounts + reserves
    origins = ends + [row.id for row in table.credit_lines]
    for number, way in enumerate(table.transfer_times):
        for end, known in (("origin", origins), ("destination", ends)):
            name = getattr(way, end)
            if name not in known:
                refuse(f"transfer_times[{number}].{end}", f"was '{name}'", f"a known place: {', '.join(known)}")
    for number, moving in enumerate(table.in_transit):
        if moving.destination not in ends:
            refuse(
                f"in_transit[{number}].destination", f"was '{moving.destination}'", f"a known place: {', '.join(ends)}"
            )
        held = next((row.asset for row in table.reserves if row.id == moving.destination), moving.asset)
        if held != moving.asset:
            refuse(f"in_transit[{number}].asset", f"was '{moving.asset}'", f"{held}, what {moving.destination} holds")
    for name in table.buffers:
        if name not in accounts:
            refuse(f"buffers.{name}", "is no account of the book", ", ".join(accounts))
    for name, proxy in table.proxies.items():
        if proxy.factor == name:
            refuse(f"proxies.{name}.factor", f"was '{name}' itself", "another factor")
    seen: dict[tuple[str, str, str, str], int] = {}
    for number, way in enumerate(table.transfer_times):
        key = (way.origin, way.destination, way.asset, way.network or "")
        if key in seen:
            refuse(f"transfer_times[{number}]", f"the way of [{seen[key]}] stood again", "each way once, by network")
        seen[key] = number


def _check_times(table: BookTable, source: str, problems: list[InputError]) -> None:
    for name, due in [
        *((f"obligations.{row.id}.due", row.due) for row in table.obligations),
        *((f"loans.{row.id}.due", row.due) for row in table.loans if row.due is not None),
        *((f"credit_lines.{row.id}.until", row.until) for row in table.credit_lines if row.until is not None),
    ]:
        if due < table.as_of:
            problems.append(
                InputError(
                    f"was {format_utc(due)}, before as_of {format_utc(table.as_of)}",
                    source=source,
                    field=name,
                    allowed="a time not before as_of: what is overdue is owed now",
                )
            )


def _reserve(row: ReserveTable) -> Reserve:
    return Reserve(
        id=row.id,
        asset=row.asset,
        amount_native=row.amount,
        time_to_cash_p50_s=row.time_to_cash_p50,
        time_to_cash_p99_s=row.time_to_cash_p99,
        kind=ResourceKind(row.kind),
        custodian=row.custodian or row.id,
        haircuts=tuple(HaircutStep(floor_native=step.floor, haircut=step.haircut) for step in row.haircuts),
        hours=_opening_hours(row),
        cost_fraction=row.cost_fraction,
        cost_native=row.cost,
        carry_per_year_fraction=row.carry_per_year,
        capacity_per_hour_native=row.capacity_per_hour,
        daily_limit_native=row.daily_limit,
        settlement_cycle_s=row.settlement_cycle,
        earmark=row.earmark,
    )


def _credit_line(row: CreditLineTable) -> CreditLine:
    return CreditLine(
        id=row.id,
        asset=row.asset,
        limit_native=row.limit,
        drawn_native=row.drawn,
        annual_rate_fraction=row.annual_rate,
        time_to_cash_s=row.time_to_cash,
        time_to_cash_p99_s=row.time_to_cash_p99,
        is_committed=row.committed,
        until=row.until,
        fee_fraction=row.fee_fraction,
        minimum_draw_native=row.minimum_draw,
        lender=row.lender or row.id,
    )


def _transfer_time(row: TransferTimeTable) -> TransferTime:
    return TransferTime(
        origin=row.origin,
        destination=row.destination,
        asset=row.asset,
        p50_s=row.p50,
        p99_s=row.p99,
        fee_native=row.fee,
        network=row.network or "",
        fee_fraction=row.fee_fraction,
        daily_limit_native=row.daily_limit,
        minimum_native=row.minimum,
        outage_probability=row.outage_probability,
        is_suspended=row.suspended,
    )


def _in_transit(row: TransferInTransitTable) -> TransferInTransit:
    return TransferInTransit(
        id=row.id,
        destination=row.destination,
        asset=row.asset,
        amount_native=row.amount,
        arrives_p50_at=row.arrives_p50,
        arrives_p99_at=row.arrives_p99,
    )


def _loan(row: LoanTable) -> Loan:
    return Loan(
        id=row.id,
        lender=row.lender,
        asset=row.asset,
        amount_native=row.amount,
        annual_rate_fraction=row.annual_rate,
        collateral=tuple(
            Collateral(asset=piece.asset, amount_native=piece.amount, liquidation_threshold=piece.liquidation_threshold)
            for piece in row.collateral
        ),
        call_ltv=row.call_ltv,
        liquidation_ltv=row.liquidation_ltv,
        cure_period_s=row.cure_period or 0,
        liquidation_penalty_fraction=row.liquidation_penalty,
        due_at=row.due,
    )


def _opening_hours(row: ReserveTable) -> OpeningHours | None:
    for text in row.closed_dates:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise InputError(
                f"was '{text}'", field=f"reserves.{row.id}.closed_dates", allowed="dates as 2026-12-25"
            ) from None
    if not row.hours and not row.closed_dates:
        return None
    is_open = [not row.hours] * HOURS_OF_WEEK
    for text in row.hours:
        for hour in _hours_of(text, f"reserves.{row.id}.hours"):
            is_open[hour] = True
    return OpeningHours(is_open=tuple(is_open), closed_dates=tuple(row.closed_dates))


def _hours_of(text: str, field: str) -> list[int]:
    """Hours of the week of one entry, ``mon-fri 08-17``."""
    days, _, hours = text.lower().partition(" ")
    first_day, _, last_day = days.partition("-")
    first_hour, _, last_hour = hours.strip().partition("-")
    known = first_day in _DAYS and (last_day or first_day) in _DAYS
    if not known or not first_hour.isdigit() or not last_hour.isdigit():
        raise InputError(f"was '{text}'", field=field, allowed=_HOURS_ALLOWED)
    start, end = _DAYS.index(first_day), _DAYS.index(last_day or first_day)
    opening, closing = int(first_hour), int(last_hour)
    if start > end or not 0 <= opening < closing <= 24:
        raise InputError(f"was '{text}'", field=field, allowed=_HOURS_ALLOWED)
    return [day * 24 + hour for day in range(start, end + 1) for hour in range(opening, closing)]
