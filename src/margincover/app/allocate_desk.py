"""The desk of an allocation: pools that need capital, the reserve and its ways, what may be moved now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.errors import InputError
from margincover.liquidity.arrival import flow_limit
from margincover.liquidity.conversion import price_usd
from margincover.liquidity.supply import SupplyView, supply_table
from margincover.model.book import Book
from margincover.model.liquidity import IDLE_MARGIN, SupplySource, SupplyTable
from margincover.model.pool import MarginPool
from margincover.model.resources import TransferTime
from margincover.model.results import PoolStatus
from margincover.numeric.arrays import Vector
from margincover.venues.assets import PEGGED_TO_USD, is_pegged

_LINE = "credit line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way from the reserve or a line to a pool: its source, and delays with the source's own, in seconds."""

    source: SupplySource
    route: TransferTime
    p50_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What an allocation works with; everything by pool is in the order of ``pools``.

    Parameters
    ----------
    pools, statuses : tuple
    base_usd : array [pool]
        Equity after haircut now, at least 0: what stands there.
    free_usd : array [pool]
        Margin that may leave now: above initial margin and the call level, in a pegged asset, where a way leads out.
    ways : tuple of tuple of Way
        Ways for own money sent now, by pool: money that is no reserve first, then the fastest. Empty where none leads.
    later : tuple of Way or None
        Way of the money that the standing rules send; only to cross margin in US dollars or a stable coin.
    reserve_usd, line_usd : float
        Money of the reserve that the rules may send, and undrawn credit on top.
    elsewhere_usd : mapping source id -> US dollars
        Own money that is no reserve, because it does not reach all that the reserve serves in time: for moves now.
    """

    book: Book
    pools: tuple[MarginPool, ...]
    statuses: tuple[PoolStatus, ...]
    base_usd: Vector
    free_usd: Vector
    ways: tuple[tuple[Way, ...], ...]
    later: tuple[Way | None, ...]
    reserve_usd: float
    line_usd: float
    elsewhere_usd: Mapping[str, float]
    reserve_carry_per_year: float
    sources: tuple[SupplySource, ...]
    notes: tuple[str, ...]

    def assets(self) -> tuple[str, ...]:
        """Asset in which each pool takes money."""
        return tuple(settlement_asset(pool) for pool in self.pools)

    def delays_s(self) -> tuple[float, ...]:
        """99 % delay of later money by pool, infinite where none comes."""
        return tuple(float("inf") if way is None else way.p99_s for way in self.later)

    def limits_usd(self, horizon_s: int) -> Vector:
        """Most that later money can bring to each pool within a time; infinite without a daily limit or a way."""
        return np.array([np.inf if way is None else way_limit_usd(self.book, way, horizon_s) for way in self.later])


def settlement_asset(pool: MarginPool) -> str:
    """Return the asset in which new money is placed in a pool: its unit, or the largest pegged asset of a USD pool."""
    if pool.unit != "USD":
        return pool.unit
    held = [
        (balance, name)
        for name, balance in zip(pool.assets.assets, pool.assets.balance_native.tolist(), strict=True)
        if is_pegged(name) and name != "USD"
    ]
    return max(held)[1] if held else "USDT"


def way_limit_usd(book: Book, way: Way, horizon_s: float) -> float:
    """Return the most that a way delivers within a time, in US dollars."""
    limit = flow_limit(horizon_s, way.p99_s, capacity_per_hour=None, daily_limit=way.route.daily_limit_native)
    return limit * price_usd(book, way.route.asset, "transfer_times.asset") if np.isfinite(limit) else limit


def accepted_assets(pools: Sequence[MarginPool], account_id: str) -> frozenset[str]:
    """Return the assets that pay a call of an account at full value."""
    units = {pool.unit for pool in pools if pool.account_id == account_id}
    if "USD" in units:
        held = {name for pool in pools if pool.account_id == account_id for name in pool.assets.assets}
        units |= {name for name in held if is_pegged(name)} | {"USD"}
    return frozenset(units)


def build_desk(book: Book, pools: Sequence[MarginPool], *, horizon_s: int, cost_of_capital: float) -> Desk:
    """Return the desk of a book.

    Raises
    ------
    InputError
        If the book holds no account, or a resource has no price or haircut.
    """
    if not pools:
        raise InputError("held no margin account", source=book.source, field="accounts", allowed="at least one")
    statuses = {status.pool_id: status for status in pool_statuses(pools)}
    ordered = tuple(statuses[pool.id] for pool in pools)
    table = _table(book, pools, horizon_s)
    notes = [note for note in table.notes if ": no way to " not in note]
    sources = [source for source in table.sources if source.kind != "in transit"]
    notes += [f"{source.id}: money in transit is not counted" for source in table.sources if source not in sources]
    later, counted = _served(book, pools, sources, horizon_s)
    within = {source.id: float(table.total_usd[0, n]) for n, source in enumerate(table.sources)}
    own = [source for source in sources if source.kind not in (_LINE, IDLE_MARGIN)]
    rest = [source for source in own if source not in counted]
    ways = tuple(
        (*_ways(book, pool, rest), *_ways(book, pool, [row for row in counted if row in own])) for pool in pools
    )
    notes += _left_out(sources, counted, own)
    return Desk(
        book=book,
        pools=tuple(pools),
        statuses=ordered,
        base_usd=np.array([max(status.equity_usd, 0.0) for status in ordered]),
        free_usd=np.array([_free(book, pool, status, counted) for pool, status in zip(pools, ordered, strict=True)]),
        ways=ways,
        later=later,
        reserve_usd=sum(within[source.id] for source in counted if source.kind != _LINE),
        line_usd=sum(within[source.id] for source in counted if source.kind == _LINE),
        elsewhere_usd={
            source.id: within[source.id]
            for source in rest
            if any(way.source is source for reachable in ways for way in reachable)
        },
        reserve_carry_per_year=_carry(book, cost_of_capital),
        sources=tuple(counted),
        notes=tuple(dict.fromkeys([*notes, *_pool_notes(pools, later, ways)])),
    )


def _table(book: Book, pools: Sequence[MarginPool], horizon_s: int) -> SupplyTable:
    accepted = {account.id: accepted_assets(pools, account.id) for account in book.accounts}
    return supply_table(
        book,
        (horizon_s,),
        weights={name: dict.fromkeys(assets, 1.0) for name, assets in accepted.items()},
        pegged=PEGGED_TO_USD,
        view=SupplyView(),
    )


def _left_out(
    sources: Sequence[SupplySource], counted: Sequence[SupplySource], own: Sequence[SupplySource]
) -> list[str]:
    why = "does not reach every pool that the reserve serves in time"
    return [
        f"{source.id}: {why}: {'used for moves now only' if source in own else 'not counted'}"
        for source in sources
        if source not in counted
    ]


def _ways(book: Book, pool: MarginPool, sources: Sequence[SupplySource]) -> list[Way]:
    """Return all ways from some sources to a pool, the fastest at 99 % first."""
    found = []
    for source in sources:
        for route in book.transfer_times:
            if route.origin != source.id or route.destination != pool.account_id or route.is_suspended:
                continue
            if route.asset == pool.unit or (pool.unit == "USD" and is_pegged(route.asset)):
                p50, p99 = source.ready_p50_s + route.p50_s, source.ready_p99_s + route.p99_s
                found.append(Way(source=source, route=route, p50_s=p50, p99_s=p99))
    return sorted(found, key=lambda way: (way.p99_s, way.source.id))


def _is_served_later(pool: MarginPool) -> bool:
    return pool.margin_mode == "cross" and (pool.unit == "USD" or is_pegged(pool.unit))


def _served(
    book: Book, pools: Sequence[MarginPool], sources: Sequence[SupplySource], horizon_s: int
) -> tuple[tuple[Way | None, ...], list[SupplySource]]:
    """Return the ways by which later money comes, by pool, and the sources of that money.

    One reserve for all pools is only true of money that can go to all of them: the own source that reaches most pools
    (then the largest) leads, and others join it that reach the same pools no later. The rest is left out, on the safe
    side.
    """
    reach = {
        source.id: {
            number: ways[0]
            for number, pool in enumerate(pools)
            if _is_served_later(pool) and (ways := _ways(book, pool, [source])) and ways[0].p99_s < horizon_s
        }
        for source in sources
    }
    able = [source for source in sources if reach[source.id]]
    if not able:
        return (None,) * len(pools), []
    lead = max(able, key=lambda source: (source.kind != _LINE, len(reach[source.id]), source.usable_usd))
    served = reach[lead.id]
    joined = [
        source
        for source in able
        if all(n in reach[source.id] and reach[source.id][n].p99_s <= way.p99_s for n, way in served.items())
    ]
    return tuple(served.get(number) for number in range(len(pools))), joined


def way_out(book: Book, account_id: str, reserve_ids: Collection[str]) -> TransferTime | None:
    """Return the fastest way by which money of an account gets to the reserve, None where none leads."""
    places = set(reserve_ids) or {row.id for row in book.reserves}
    found = [
        row
        for row in book.transfer_times
        if row.origin == account_id and row.destination in places and not row.is_suspended and is_pegged(row.asset)
    ]
    return min(found, key=lambda row: (row.p99_s, row.destination), default=None)


def _free(book: Book, pool: MarginPool, status: PoolStatus, counted: Sequence[SupplySource]) -> float:
    out = way_out(book, pool.account_id, [source.id for source in counted])
    if out is None or pool.margin_mode != "cross" or status.initial_usd is None:
        return 0.0
    floor = max(status.maintenance_usd * status.margin_call_coverage_ratio, status.initial_usd)
    cash: float = sum(
        balance * price
        for name, balance, price in zip(
            pool.assets.assets, pool.assets.balance_native.tolist(), pool.assets.price_unit.tolist(), strict=True
        )
        if is_pegged(name)
    )
    # Unrealised profit cannot be withdrawn, and only pegged assets are sent.
    return max(0.0, min(status.equity_usd - floor, float(cash) * pool.unit_usd))


def _carry(book: Book, cost_of_capital: float) -> float:
    stated: Mapping[str, float] = {
        row.id: row.carry_per_year_fraction for row in book.reserves if row.carry_per_year_fraction > 0.0
    }
    return max(stated.values()) if stated else cost_of_capital


def _pool_notes(pools: Sequence[MarginPool], later: Sequence[Way | None], ways: Sequence[Sequence[Way]]) -> list[str]:
    notes = []
    for pool, served, way in zip(pools, later, ways, strict=True):
        if not way:
            notes.append(f"{pool.id}: no way of the book carries its money there: prefunded, from outside")
        elif served is None:
            why = "no way of the reserve in time" if _is_served_later(pool) else "isolated margin, or margin in a coin"
            notes.append(f"{pool.id}: {why}: prefunded, nothing is sent later")
    return notes
