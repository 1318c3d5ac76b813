"""What a reserve releases over time: its delay, hours, settlement and limits, and what its sale brings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from margincover.errors import InputError
from margincover.liquidity.arrival import reserve_ready_at, within_limit
from margincover.liquidity.conversion import Proceeds, Sale, most_of, price_usd
from margincover.liquidity.ways import Release
from margincover.model.book import Book
from margincover.model.resources import Reserve, ResourceKind, TransferInTransit
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

# Money that stands at the bank or in a stable coin is sold in no market.
_CASH_KINDS = (ResourceKind.BANK, ResourceKind.STABLE, ResourceKind.VENUE, ResourceKind.CUSTODY)
_COIN_TIER = ("BTC", "ETH")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveFlow:
    """A reserve with some arrivals: what it releases, in US dollars by time, and what the last arrival adds.

    ``gain`` is that of the whole amount: of the reserve itself without arrivals, else of the last arrival.
    ``ready_p50_s`` and ``ready_p99_s`` are when the same is cash.
    """

    released_usd: Release
    gain: Proceeds
    tier: int
    ready_p50_s: float
    ready_p99_s: float


def reserve_flow(
    book: Book,
    reserve: Reserve,
    arrivals: Sequence[TransferInTransit],
    *,
    pegged: frozenset[str],
    slow: bool,
    stress: bool,
) -> ReserveFlow:
    """Return the flow out of a reserve that holds its amount and receives some arrivals.

    An arrival must first become cash there, as all that the reserve holds, within the same hours, settlements, limits
    and haircuts by size.

    Raises
    ------
    InputError
        If the asset has no price, or is a coin or fund with neither haircuts nor a sale market.
    """
    is_cash = reserve.asset in pegged and reserve.kind in _CASH_KINDS
    brings = _sale(book, reserve, is_cash=is_cash, stress=stress)
    ready = [_ready(book, reserve, book.as_of)]
    ready += [_ready(book, reserve, *_arrives(book, moving)) for moving in arrivals]
    amounts = [reserve.amount_native, *(moving.amount_native for moving in arrivals)]
    parts = [(amount, at[slow]) for amount, at in zip(amounts, ready, strict=True)]

    def there(at_s: float) -> float:
        return sum(amount for amount, from_s in parts if at_s >= from_s)

    @cache
    def by_capacity(at_s: float) -> float:
        return within_limit(there, at_s, limit=reserve.capacity_per_hour_native, window_s=SECONDS_PER_HOUR)

    @cache
    def released(at_s: float) -> float:
        return worth(within_limit(by_capacity, at_s, limit=reserve.daily_limit_native, window_s=SECONDS_PER_DAY))

    @cache
    def worth(amount: float) -> float:
        return most_of(brings, amount)

    whole, before = brings(sum(amounts)), brings(sum(amounts[:-1]))
    return ReserveFlow(
        released_usd=released,
        gain=whole if len(amounts) == 1 else _less(whole, before),
        tier=_tier(reserve, is_cash),
        ready_p50_s=ready[-1][0],
        ready_p99_s=ready[-1][1],
    )


def _sale(book: Book, reserve: Reserve, *, is_cash: bool, stress: bool) -> Sale:
    market = None if is_cash else book.sale_markets.get(reserve.asset)
    if not is_cash and market is None and not reserve.haircuts:
        raise InputError(
            f"{reserve.asset} has neither haircuts nor a sale market: what it brings is not known",
            source=book.source,
            field=f"reserves.{reserve.id}",
            allowed=f"haircuts, or sale_markets.{reserve.asset}",
        )
    price = price_usd(book, reserve.asset, f"reserves.{reserve.id}.asset")
    return Sale(
        price_usd=price,
        haircuts=reserve.haircuts,
        cost_fraction=reserve.cost_fraction,
        cost_native=reserve.cost_native,
        market=market,
        stress=stress,
    )


def _arrives(book: Book, moving: TransferInTransit) -> tuple[datetime, datetime]:
    """Median and 99 % arrival; what should have come already is expected now."""
    return max(moving.arrives_p50_at, book.as_of), max(moving.arrives_p99_at, book.as_of)


def _ready(book: Book, reserve: Reserve, median: datetime, late: datetime | None = None) -> tuple[float, float]:
    """Seconds until money that is there from some time on is cash: median and 99 %."""
    fast = reserve_ready_at(reserve, median, slow=False)
    slow = reserve_ready_at(reserve, late or median, slow=True)
    return (fast - book.as_of).total_seconds(), (slow - book.as_of).total_seconds()


def _less(whole: Proceeds, before: Proceeds) -> Proceeds:
    return Proceeds(
        gross_usd=whole.gross_usd - before.gross_usd,
        haircut_usd=whole.haircut_usd - before.haircut_usd,
        impact_usd=whole.impact_usd - before.impact_usd,
        cost_usd=whole.cost_usd - before.cost_usd,
        usable_usd=whole.usable_usd - before.usable_usd,
    )


def _tier(reserve: Reserve, is_cash: bool) -> int:
    if not is_cash:
        return 3 if reserve.asset in _COIN_TIER else 4
    return 1 if reserve.kind in (ResourceKind.BANK, ResourceKind.VENUE) else 2
