"""What the resources of a book can bring by when, to whom: one cumulative table of sources, times and accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from margincover.liquidity.arrival import reserve_ready_at
from margincover.liquidity.conversion import price_usd
from margincover.liquidity.reserves import ReserveFlow, reserve_flow
from margincover.liquidity.ways import LARGEST_OUTAGE_PROBABILITY, Release, Way, delivered_by_all_usd
from margincover.model.book import Book
from margincover.model.liquidity import IDLE_MARGIN, SupplySource, SupplyTable
from margincover.model.resources import CreditLine, Reserve, TransferInTransit, TransferTime

Array = NDArray[np.float64]
OBLIGATIONS = "obligations"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyView:
    """How pessimistic the table is.

    ``slow`` takes 99 % delays instead of medians and leaves out ways that are shut more often than 1 time in 100;
    ``stress`` multiplies price impact and leaves out uncommitted lines; ``frozen`` names custodians, venues, accounts,
    resources and assets from which nothing comes and to which nothing gets; ``with_trading`` also draws on what is
    earmarked for trading.
    """

    slow: bool = True
    stress: bool = True
    frozen: tuple[str, ...] = ()
    with_trading: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleOffer:
    """Margin that an account could send away now: in all, and of each asset that it holds, in US dollars."""

    total_usd: float
    by_asset_usd: Mapping[str, float]


def supply_table(
    book: Book,
    times_s: Sequence[int],
    *,
    weights: Mapping[str, Mapping[str, float]],
    pegged: frozenset[str],
    view: SupplyView,
    debts: Sequence[str] = (),
    idle: Mapping[str, IdleOffer] | None = None,
) -> SupplyTable:
    """Return what every reserve, line and transfer in transit can have brought by each time.

    Parameters
    ----------
    book : Book
    times_s : sequence of int
        Seconds after ``as_of``, rising; the last is how far the table is meant to be read.
    weights : mapping account id -> asset -> float
        Part of a dollar of the asset that counts as margin in the account, above 0; a way that carries an asset that is
        not named is left out.
    pegged : set of str
        Assets that are money and are not sold: US dollars and stable coins.
    view : SupplyView
    debts : sequence of str
        Further places of need that any cash can pay directly, such as ``"obligations"``.
    idle : mapping account id -> IdleOffer
        It becomes a source where a way starts at the account; what the account comes to need itself on a path is taken
        off there (``liquidity.ladder.IdleMargin``).

    Raises
    ------
    InputError
        If an asset has no price, or a coin or fund has neither haircuts nor a market in which to sell it.
    """
    desk = _Desk(
        book=book,
        times_s=tuple(times_s),
        weights=weights,
        pegged=pegged | {"USD"},
        view=view,
        n_places=len(book.accounts) + len(debts),
    )
    rows = [*desk.reserve_rows(), *desk.line_rows(), *desk.transit_rows(), *desk.idle_rows(idle or {})]
    shape = (len(desk.times_s), len(rows), desk.n_places)
    total, way = np.zeros(shape[:2]), np.zeros(shape)
    for number, row in enumerate(rows):
        total[:, number], way[:, number] = row.total_usd, row.way_usd
    return SupplyTable(
        sources=tuple(row.source for row in rows),
        accounts=(*(account.id for account in book.accounts), *debts),
        buckets_s=desk.times_s,
        total_usd=total,
        way_usd=way,
        notes=tuple(dict.fromkeys(desk.notes)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One source with its ``total_usd`` [time] and ``way_usd`` [time, place]."""

    source: SupplySource
    total_usd: Array
    way_usd: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """The book as its resources see it; ``notes`` collects what is left out and why."""

    book: Book
    times_s: tuple[int, ...]
    weights: Mapping[str, Mapping[str, float]]
    pegged: frozenset[str]
    view: SupplyView
    n_places: int
    notes: list[str] = field(default_factory=list)

    def reserve_rows(self) -> list[_Row]:
        """Reserves, each followed by what is on its way to it: they share its limits, its haircuts and its ways."""
        rows: list[_Row] = []
        for reserve in self.book.reserves:
            if reserve.earmark == "trading" and not self.view.with_trading:
                self.notes.append(f"{reserve.id}: earmarked for trading, not drawn on")
                continue
            arrivals = sorted(
                (moving for moving in self.book.in_transit if moving.destination == reserve.id),
                key=lambda moving: (self._arrival(moving), moving.id),
            )
            before: _Row | None = None
            for count in range(len(arrivals) + 1):
                flow = reserve_flow(
                    self.book, reserve, arrivals[:count], pegged=self.pegged, slow=self.view.slow,
                    stress=self.view.stress,
                )  # fmt: skip
                name, kind = (reserve.id, str(reserve.kind)) if count == 0 else (arrivals[count - 1].id, "in transit")
                source = self._reserve_source(reserve, flow, name, kind)
                whole = self._spread(source, flow.released_usd, origin=reserve.id)
                rows.append(whole if before is None else _added(whole, before))
                before = whole
        return rows

    def _reserve_source(self, reserve: Reserve, flow: ReserveFlow, name: str, kind: str) -> SupplySource:
        gain = flow.gain
        return SupplySource(
            id=name,
            kind=kind,
            tier=flow.tier,
            custodian=reserve.custodian,
            asset=reserve.asset,
            factor="" if reserve.asset in self.pegged else reserve.asset,
            gross_usd=gain.gross_usd,
            haircut_usd=gain.haircut_usd,
            impact_usd=gain.impact_usd,
            cost_usd=gain.cost_usd,
            usable_usd=gain.usable_usd,
            ready_p50_s=flow.ready_p50_s,
            ready_p99_s=flow.ready_p99_s,
        )

    def line_rows(self) -> list[_Row]:
        """Credit lines; a line that ends before the last time has to be repaid by then and is left out."""
        rows = []
        for line in self.book.credit_lines:
            if self.view.stress and not line.is_committed:
                self.notes.append(f"{line.id}: not committed, does not count in stress")
                continue
            rows.append(self._line(line))
        return rows

    def _line(self, line: CreditLine) -> _Row:
        gross = line.undrawn_native * price_usd(self.book, line.asset, f"credit_lines.{line.id}.asset")
        cost = gross * line.fee_fraction
        source = SupplySource(
            id=line.id,
            kind="credit line" if line.is_committed else "uncommitted line",
            tier=4,
            custodian=line.lender,
            asset=line.asset,
            factor="" if line.asset in self.pegged else line.asset,
            gross_usd=gross,
            haircut_usd=0.0,
            impact_usd=0.0,
            cost_usd=cost,
            usable_usd=gross - cost,
            ready_p50_s=float(line.time_to_cash_s),
            ready_p99_s=float(line.slowest_s),
        )
        ready = source.ready_p99_s if self.view.slow else source.ready_p50_s
        last = self.book.as_of + timedelta(seconds=self.times_s[-1])
        is_there = line.until is None or last <= line.until
        if not is_there:
            self.notes.append(f"{line.id}: ends within the ladder, when what is drawn would fall due; not drawn on")
        is_there = is_there and line.undrawn_native >= line.minimum_draw_native
        return self._spread(source, lambda at_s: gross - cost if is_there and at_s >= ready else 0.0)

    def transit_rows(self) -> list[_Row]:
        """Return what is on its way to an account; what goes to a reserve stands with the reserve."""
        accounts = {account.id for account in self.book.accounts}
        return [self._transit(moving) for moving in self.book.in_transit if moving.destination in accounts]

    def _arrival(self, moving: TransferInTransit) -> float:
        at = moving.arrives_p99_at if self.view.slow else moving.arrives_p50_at
        return max(0.0, (at - self.book.as_of).total_seconds())

    def _transit(self, moving: TransferInTransit) -> _Row:
        gross = moving.amount_native * price_usd(self.book, moving.asset, f"in_transit.{moving.id}.asset")
        account = next(row for row in self.book.accounts if row.id == moving.destination)
        weight = self.weights.get(account.id, {}).get(moving.asset, 0.0)
        if weight <= 0.0:
            self.notes.append(f"{moving.id}: {moving.asset} does not count as margin in {account.id}")
        if self._is_frozen(moving.id, account.id, account.venue, moving.asset):
            self.notes.append(f"{moving.id}: frozen")
            weight = 0.0
        arrivals = [(at - self.book.as_of).total_seconds() for at in (moving.arrives_p50_at, moving.arrives_p99_at)]
        source = SupplySource(
            id=moving.id,
            kind="in transit",
            tier=2,
            custodian=account.venue,
            asset=moving.asset,
            factor="" if moving.asset in self.pegged else moving.asset,
            gross_usd=gross,
            haircut_usd=gross * (1.0 - weight),
            impact_usd=0.0,
            cost_usd=0.0,
            usable_usd=gross * weight,
            ready_p50_s=max(0.0, arrivals[0]),
            ready_p99_s=max(0.0, arrivals[1]),
        )
        ready = self._arrival(moving)
        total = np.array([source.usable_usd if at >= ready else 0.0 for at in self.times_s])
        way = np.zeros((len(self.times_s), self.n_places))
        way[:, self.book.accounts.index(account)] = total
        return _Row(source=source, total_usd=total, way_usd=way)

    def idle_rows(self, idle: Mapping[str, IdleOffer]) -> list[_Row]:
        """Margin above what each account must hold now, where a way leads out of the account."""
        origins = {route.origin for route in self.book.transfer_times}
        return [
            self._idle(account.id, account.venue, idle[account.id])
            for account in self.book.accounts
            if account.id in origins and account.id in idle and idle[account.id].total_usd > 0.0
        ]

    def _idle(self, account_id: str, venue: str, offer: IdleOffer) -> _Row:
        source = SupplySource(
            id=account_id,
            kind=IDLE_MARGIN,
            tier=4,
            custodian=venue,
            asset="margin",
            factor="",
            gross_usd=offer.total_usd,
            haircut_usd=0.0,
            impact_usd=0.0,
            cost_usd=0.0,
            usable_usd=offer.total_usd,
            ready_p50_s=0.0,
            ready_p99_s=0.0,
        )
        return self._spread(source, _from_the_start(offer.total_usd), held=offer.by_asset_usd)

    def _spread(
        self,
        source: SupplySource,
        released: Release,
        *,
        origin: str | None = None,
        held: Mapping[str, float] | None = None,
    ) -> _Row:
        """Send what is released on: along the ways to the accounts, and cash outside accounts at once to debts.

        ``held`` bounds what can leave in each asset (idle margin); such money reaches debts only by way of a reserve.
        """
        start = origin or source.id
        way = np.zeros((len(self.times_s), self.n_places))
        if self._is_frozen(start, source.id, source.custodian, source.asset):
            self.notes.append(f"{source.id}: frozen")
            return _Row(source=source, total_usd=np.zeros(len(self.times_s)), way_usd=way)
        total = np.maximum.accumulate([released(at) for at in self.times_s])
        paid = total if held is None else self._by_reserves(source, released, held)
        way[:, len(self.book.accounts) :] = np.minimum(total, paid)[:, None]
        missing = []
        for place, account in enumerate(self.book.accounts):
            if account.id == start or self._is_frozen(account.id, account.venue):
                continue
            routes = [row for row in self.book.transfer_times if row.origin == start and row.destination == account.id]
            if not routes:
                missing.append(account.id)
            ways = [way_to for route in routes if (way_to := self._way(route, source, held)) is not None]
            reached = [delivered_by_all_usd(ways, _held_in(ways, released, held), at) for at in self.times_s]
            way[:, place] = np.minimum(total, np.maximum.accumulate(reached))
        if missing and held is None:
            self.notes.append(f"{start}: no way to {', '.join(missing)}")
        return _Row(source=source, total_usd=total, way_usd=way)

    def _by_reserves(self, source: SupplySource, released: Release, held: Mapping[str, float]) -> Array:
        """Return what margin of an account can pay of debts: sent to a reserve first, and turned into cash there."""
        best = np.zeros(len(self.times_s))
        for reserve in self.book.reserves:
            routes = [
                row for row in self.book.transfer_times if (row.origin, row.destination) == (source.id, reserve.id)
            ]
            if self._is_frozen(reserve.id, reserve.custodian, reserve.asset):
                continue
            for route in routes:
                way = None if route.asset != reserve.asset else self._way(route, source, held, weight=1.0)
                if way is None:
                    continue
                sent = self.book.as_of + timedelta(seconds=way.duration_s)
                wait = (reserve_ready_at(reserve, sent, slow=self.view.slow) - sent).total_seconds()
                cash = _held_in([way], released, held)
                reached = [delivered_by_all_usd([way], cash, at - wait) for at in self.times_s]
                best = np.maximum(best, np.maximum.accumulate(reached))
        return best

    def _way(
        self, route: TransferTime, source: SupplySource, held: Mapping[str, float] | None, weight: float | None = None
    ) -> Way | None:
        """Return a way as it can be used, None (and a note) where it cannot; ``weight`` None is that of the account."""
        named = f"{route.origin} -> {route.destination} in {route.asset}"
        weight = self.weights.get(route.destination, {}).get(route.asset, 0.0) if weight is None else weight
        reason = ""
        if route.is_suspended:
            reason = "suspended"
        elif self._is_frozen(route.asset):
            reason = f"{route.asset} frozen"
        elif self.view.slow and route.outage_probability > LARGEST_OUTAGE_PROBABILITY:
            reason = f"shut {route.outage_probability:.1%} of the time, more than 1 in 100"
        elif weight <= 0.0:
            reason = f"{route.asset} does not count as margin there"
        elif route.asset not in self.pegged and held is None and route.asset != source.asset:
            reason = f"{source.id} is {source.asset}: coins are not bought on the way"
        elif held is not None and held.get(route.asset, 0.0) <= 0.0:
            reason = f"no {route.asset} to send"
        if reason:
            self.notes.append(f"{named}: {reason}")
            return None
        return Way(
            route=route,
            duration_s=route.p99_s if self.view.slow else route.p50_s,
            price_usd=price_usd(self.book, route.asset, f"transfer_times.{named}"),
            weight=weight,
        )

    def _is_frozen(self, *names: str) -> bool:
        return any(name in self.view.frozen for name in names)


def _added(whole: _Row, before: _Row) -> _Row:
    """Return what the last arrival adds to a reserve; where it adds less later, the less counts from the start."""

    def gain(more: Array, less: Array) -> Array:
        added = np.maximum(more - less, 0.0)
        return np.ascontiguousarray(np.minimum.accumulate(added[::-1], axis=0)[::-1])

    return _Row(
        source=whole.source,
        total_usd=gain(whole.total_usd, before.total_usd),
        way_usd=gain(whole.way_usd, before.way_usd),
    )


def _from_the_start(amount: float) -> Release:
    return lambda at_s: amount if at_s >= 0.0 else 0.0


def _held_in(ways: Sequence[Way], released: Release, held: Mapping[str, float] | None) -> Release:
    """Bound a release by what is held of the asset that leaves; of several assets by the smallest holding."""
    if held is None or not ways:
        return released
    most = min(held[way.route.asset] for way in ways)
    return lambda at_s: min(released(at_s), most)


__all__ = ["OBLIGATIONS", "IdleOffer", "SupplyView", "supply_table"]
