"""Money that could help in an emergency: every way of the book as an option with its arrival, limits and costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.app.resource_margin import idle_margin, margin_weights
from margincover.coverage.status import pool_statuses
from margincover.liquidity.conversion import price_usd
from margincover.liquidity.rescue_options import MoneyOption
from margincover.liquidity.supply import IdleOffer, SupplyView, supply_table
from margincover.model.book import Book
from margincover.model.liquidity import SupplySource, SupplyTable
from margincover.model.pool import MarginPool
from margincover.model.rescue import ActionCost, RejectedAction
from margincover.model.resources import CreditLine, TransferTime
from margincover.units import SECONDS_PER_YEAR
from margincover.venues.assets import PEGGED_TO_USD, is_pegged
from margincover.venues.legs import FundingFallback

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyWay:
    """An option with what it is made of: its way, kind, and cost for a dollar that counts at the end.

    ``usable_fraction`` is what the source brings of a dollar of its worth, after haircut, impact and conversion.
    """

    option: MoneyOption
    route: TransferTime
    kind: str
    asset_usd: float
    fee_per_usd: float
    conversion_per_usd: float
    interest_per_usd: float
    usable_fraction: float

    def cost(self, amount_usd: float) -> ActionCost:
        """Return the parts of the cost of an amount."""
        return ActionCost(
            fees_usd=self.option.fixed_usd + self.fee_per_usd * amount_usd,
            interest_usd=self.interest_per_usd * amount_usd,
            impact_usd=self.conversion_per_usd * amount_usd,
        )

    def text(self, amount_usd: float) -> str:
        """Return the order in words: what leaves the source."""
        native = self.option.drawn_usd(amount_usd) / self.asset_usd
        digits = 0 if is_pegged(self.route.asset) else 4
        # Rounded up: what is sent must not fall short of what counts in the plan.
        amount = f"{math.ceil(native * 10**digits - 1e-9) / 10**digits:,.{digits}f} {self.route.asset}"
        if self.kind == "draw":
            return f"draw {amount} on {self.route.origin}, to {self.route.destination}"
        if self.kind == "redeem":
            return f"turn part of {self.route.origin} into {amount}, to {self.route.destination}"
        return f"send {amount} from {self.route.origin} to {self.route.destination}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyTable:
    """All money of a book: ways that can be used, what their sources hold, what is coming anyway, what is rejected."""

    ways: tuple[MoneyWay, ...]
    sources_usd: Mapping[str, float]
    coming_usd: Array
    rejected: tuple[RejectedAction, ...]


def money_table(
    book: Book,
    pools: Sequence[MarginPool],
    times_s: Sequence[int],
    *,
    frozen: tuple[str, ...],
    funding_fallback: FundingFallback | None,
) -> MoneyTable:
    """Return what every way of a book can bring by the end of each step, at 99 % delays and stressed sales.

    Parameters
    ----------
    book : Book
    pools : sequence of MarginPool
        Account rows.
    times_s : sequence of int
        Ends of the steps, from 0.
    frozen : tuple of str
        Venues and assets through which no money goes.
    funding_fallback : callable or None

    Raises
    ------
    InputError
        If an asset has no price, or a coin or fund has neither haircuts nor a sale market.
    """
    weights, _ = margin_weights(book, funding_fallback=funding_fallback)
    desk = _Desk(
        book=book,
        pools=tuple(pools),
        times_s=tuple(times_s),
        weights=weights,
        view=SupplyView(slow=True, stress=True, frozen=frozen),
        idle=idle_margin(book, pool_statuses(pools)),
    )
    ways: list[MoneyWay] = []
    rejected: list[RejectedAction] = []
    sources: dict[str, float] = {}
    for route in book.transfer_times:
        found = desk.way(route, sources)
        if isinstance(found, RejectedAction):
            rejected.append(found)
        elif found is not None:
            ways.append(found)
    return MoneyTable(ways=tuple(ways), sources_usd=sources, coming_usd=desk.coming_usd(), rejected=tuple(rejected))


def receiving_row(pools: Sequence[MarginPool], account_id: str, asset: str) -> int | None:
    """Return the pool of an account into which an asset goes: cross margin in the asset itself, else in US dollars."""
    rows = [row for row, pool in enumerate(pools) if pool.account_id == account_id and pool.margin_mode == "cross"]
    own = [row for row in rows if pools[row].unit == asset]
    dollars = [row for row in rows if pools[row].unit == "USD" and is_pegged(asset)]
    return next(iter((*own, *dollars)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    book: Book
    pools: tuple[MarginPool, ...]
    times_s: tuple[int, ...]
    weights: Mapping[str, Mapping[str, float]]
    view: SupplyView
    idle: Mapping[str, IdleOffer]

    def coming_usd(self) -> Array:
        """Money in transit to accounts by the end of each step, [pool, step + 1]."""
        total = np.zeros((len(self.pools), len(self.times_s)))
        for moving in self.book.in_transit:
            row = receiving_row(self.pools, moving.destination, moving.asset)
            if row is None:
                continue
            only = replace(self.book, reserves=(), credit_lines=(), transfer_times=(), in_transit=(moving,))
            table = self._table(only, {})
            total[row] += table.way_usd.sum(axis=(1, 2))
        return total

    def way(self, route: TransferTime, sources: dict[str, float]) -> MoneyWay | RejectedAction | None:
        """Return the option of a way, why there is none, or None where it does not lead to an account."""
        account = next((row for row in self.book.accounts if row.id == route.destination), None)
        if account is None:
            return None
        text = f"{route.origin} -> {route.destination} in {route.asset}"
        row = receiving_row(self.pools, account.id, route.asset)
        if row is None:
            reason = f"no cross pool of the account counts in {route.asset}, or its worth would move with the coin"
            return RejectedAction(text=text, account=account.id, reason=reason)
        table = self._table(self._only(route), self.idle)
        numbers = [n for n, source in enumerate(table.sources) if self._belongs(source, route)]
        place = table.accounts.index(account.id)
        arrives = table.way_usd[:, numbers, place].sum(axis=1)
        if not numbers or arrives[-1] < 1.0:
            reason = "; ".join(self._reasons(table.notes, route)) or "nothing arrives within the horizon"
            return RejectedAction(text=text, account=self.pools[row].id, reason=reason)
        # What is on its way to a reserve counts with it: one source, one sum.
        total = float(table.total_usd[-1, numbers].sum())
        key = f"margin of {route.origin}" if self._is_account(route.origin) else route.origin
        sources[key] = max(sources.get(key, 0.0), total)
        return self._way(route, table.sources[numbers[0]], row, np.maximum.accumulate(arrives), key)

    def _way(self, route: TransferTime, source: SupplySource, row: int, arrives: Array, key: str) -> MoneyWay:
        price = price_usd(self.book, route.asset, "transfer_times.asset")
        weight = self.weights[route.destination][route.asset]
        drawn = 1.0 / (weight * (1.0 - route.fee_fraction))
        line = next((row for row in self.book.credit_lines if row.id == route.origin), None)
        conversion = drawn * (source.impact_usd + source.cost_usd) / max(source.usable_usd, 1e-9)
        fee, interest = drawn - 1.0 / weight, 0.0
        if line is not None:
            fee, conversion = fee + conversion, 0.0
            interest = drawn * _interest_fraction(line, self.times_s[-1])
        leaves = None
        if source.is_idle_margin:
            leaves = receiving_row(self.pools, route.origin, route.asset)
        least = max(route.minimum_native * price, 0.0 if line is None else line.minimum_draw_native * price)
        option = MoneyOption(
            id=f"{route.origin} -> {route.destination} in {route.asset}",
            source=key,
            account=row,
            arrives_usd=arrives,
            drawn_per_usd=drawn,
            fixed_usd=route.fee_native * price,
            cost_per_usd=fee + conversion + interest,
            least_usd=math.ceil(least / drawn),
            leaves=leaves,
        )
        kind = "draw" if line is not None else "transfer"
        if source.factor and is_pegged(route.asset):
            kind = "redeem"
        return MoneyWay(
            option=option, route=route, kind=kind, asset_usd=price, fee_per_usd=fee, conversion_per_usd=conversion,
            interest_per_usd=interest, usable_fraction=source.usable_usd / max(source.gross_usd, 1e-9),
        )  # fmt: skip

    def _table(self, book: Book, idle: Mapping[str, IdleOffer]) -> SupplyTable:
        return supply_table(book, self.times_s, weights=self.weights, pegged=PEGGED_TO_USD, view=self.view, idle=idle)

    def _only(self, route: TransferTime) -> Book:
        """Return the book with one way, its source, and what is on its way to that source."""
        return replace(
            self.book,
            transfer_times=(route,),
            reserves=tuple(row for row in self.book.reserves if row.id == route.origin),
            credit_lines=tuple(row for row in self.book.credit_lines if row.id == route.origin),
            in_transit=tuple(row for row in self.book.in_transit if row.destination == route.origin),
        )

    def _belongs(self, source: SupplySource, route: TransferTime) -> bool:
        if self._is_account(route.origin):
            return source.is_idle_margin and source.id == route.origin
        coming = {moving.id for moving in self.book.in_transit if moving.destination == route.origin}
        return source.id == route.origin or source.id in coming

    def _is_account(self, name: str) -> bool:
        return any(account.id == name for account in self.book.accounts)

    def _reasons(self, notes: Sequence[str], route: TransferTime) -> list[str]:
        named = f"{route.origin} -> {route.destination} in {route.asset}: "
        own = [note.removeprefix(named).removeprefix(f"{route.origin}: ") for note in notes
               if note.startswith((named, f"{route.origin}: ")) and "no way to" not in note]  # fmt: skip
        if self.view.frozen and route.destination.partition(":")[0] in self.view.frozen:
            own.append("no money goes in or out of the venue in this state")
        if self._is_account(route.origin) and self.idle[route.origin].total_usd < 1.0:
            own.append("the account has no margin to spare above its initial margin and call level")
        return own


def _interest_fraction(line: CreditLine, horizon_s: int) -> float:
    return line.annual_rate_fraction * horizon_s / SECONDS_PER_YEAR
