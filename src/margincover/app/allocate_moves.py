"""From amounts to orders: moves in whole cents along the ways of the book, money conserved place by place."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from margincover.allocation.cents import in_cents
from margincover.allocation.problem import Allocation
from margincover.app.allocate_desk import Desk, Way, settlement_asset, way_limit_usd, way_out
from margincover.app.allocate_plan import Planner
from margincover.errors import InputError
from margincover.liquidity.conversion import price_usd
from margincover.model.allocation import OUTSIDE, RESERVE, TransferNow
from margincover.model.resources import TransferTime

_CENT_USD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Moves now and the reserve around them, in cents.

    ``unused`` is own money elsewhere that is not sent; ``imbalance`` is 0 when no cent appeared or vanished;
    ``slowest_s`` the 99 % delay of the last money of each pool, infinite for money from outside.
    """

    transfers: tuple[TransferNow, ...]
    reserve_before: int
    reserve: int
    fresh: int
    returned: int
    imbalance: int
    slowest_s: dict[str, float]


@dataclass(slots=True, kw_only=True)
class _Ledger:
    """What is left at each source while orders are written, in cents."""

    desk: Desk
    elsewhere: dict[str, int]
    transfers: list[TransferNow] = field(default_factory=list)
    slowest_s: dict[str, float] = field(default_factory=dict)
    from_reserve: int = 0
    to_reserve: int = 0
    from_outside: int = 0
    fees: int = 0
    reserve_fees: int = 0

    def deposit(self, number: int, amount: int) -> None:
        """Write the orders that bring an amount to a pool: money elsewhere first, then the reserve, then outside."""
        pool, left = self.desk.pools[number], amount
        for way in self.desk.ways[number]:
            if way.source.id not in self.elsewhere or left <= 0:
                continue
            fee_free = self.elsewhere[way.source.id] - _fixed_fee(self.desk, way.route)
            most = math.floor(fee_free / (1.0 + way.route.fee_fraction))
            sent = max(0, min(left, most, _limit_cents(self.desk, way)))
            if sent < _least_cents(self.desk, way):
                continue
            fee = self._send(way, pool.id, sent)
            self.elsewhere[way.source.id] -= sent + fee
            left -= sent
        for way in self.desk.ways[number]:
            if way.source.id in self.elsewhere or left <= 0:
                continue
            sent = min(left, _limit_cents(self.desk, way))
            fee = self._send(way, pool.id, sent)
            self.from_reserve += sent
            self.reserve_fees += fee
            left -= sent
        if left > 0:
            self.from_outside += left
            self.slowest_s[pool.id] = math.inf
            self.transfers.append(_order(OUTSIDE, pool.id, settlement_asset(pool), left))

    def withdraw(self, number: int, amount: int, reserve_ids: list[str]) -> None:
        """Write the order that takes an amount from a pool to the reserve."""
        pool = self.desk.pools[number]
        route = way_out(self.desk.book, pool.account_id, reserve_ids)
        if route is None:
            raise AssertionError("Invariant: only what has a way out is withdrawn")
        fee = math.ceil(route.fee_fraction * amount) + _fixed_fee(self.desk, route)
        self.to_reserve += amount
        self.fees += fee
        self.reserve_fees += fee
        self.transfers.append(_order(pool.id, route.destination, route.asset, amount, fee, route.p50_s, route.p99_s))

    def _send(self, way: Way, pool_id: str, sent: int) -> int:
        fee = math.ceil(way.route.fee_fraction * sent) + _fixed_fee(self.desk, way.route)
        self.fees += fee
        self.slowest_s[pool_id] = max(self.slowest_s.get(pool_id, 0.0), way.p99_s)
        self.transfers.append(_order(way.source.id, pool_id, way.route.asset, sent, fee, way.p50_s, way.p99_s))
        return fee


def orders_of(planner: Planner, allocation: Allocation) -> Orders:
    """Return the moves of an allocation, largest first.

    Notes
    -----
    Own money that is no reserve goes first, then the reserve; what no own money can bring comes from outside. Fees are
    rounded up, fixed ones included, and paid on top by the place that sends (by the reserve for what it receives).
    """
    desk = planner.desk
    moves = in_cents(allocation, planner.holdings())
    ledger = _Ledger(desk=desk, elsewhere={name: math.floor(usd * 100.0) for name, usd in desk.elsewhere_usd.items()})
    elsewhere_before = sum(ledger.elsewhere.values())
    amounts = 0
    reserve_ids = [source.id for source in desk.sources]
    for number in range(len(desk.pools)):
        # What stands there was rounded down and the plan up: that difference is no order.
        is_moved = max(allocation.deposit_usd[number], allocation.withdrawal_usd[number]) >= _CENT_USD
        deposit, withdrawal = (int(row[number]) if is_moved else 0 for row in (moves.deposit, moves.withdrawal))
        amounts += int(moves.held[number]) + deposit - withdrawal
        if deposit:
            ledger.deposit(number, deposit)
        if withdrawal:
            ledger.withdraw(number, withdrawal, reserve_ids)
    before = math.floor((desk.reserve_usd + desk.line_usd) * 100.0)
    there = before + ledger.to_reserve - ledger.from_reserve - ledger.reserve_fees
    fresh = max(moves.reserve - there, 0)
    returned = max(there - moves.reserve, 0)
    if fresh:
        ledger.transfers.append(_order(OUTSIDE, RESERVE, "USD", fresh))
    unused = sum(ledger.elsewhere.values())
    money_in = int(moves.held.sum()) + before + elsewhere_before + fresh + ledger.from_outside
    money_out = amounts + moves.reserve + returned + unused + ledger.fees
    return Orders(
        transfers=tuple(sorted(ledger.transfers, key=lambda move: (-move.amount_cents, move.destination))),
        reserve_before=before,
        reserve=moves.reserve,
        fresh=fresh + ledger.from_outside,
        returned=returned,
        imbalance=money_in - money_out,
        slowest_s=ledger.slowest_s,
    )


def _order(
    origin: str,
    destination: str,
    asset: str,
    amount: int,
    fee: int = 0,
    p50_s: float | None = None,
    p99_s: float | None = None,
) -> TransferNow:
    return TransferNow(
        origin=origin,
        destination=destination,
        asset=asset,
        amount_cents=amount,
        fee_cents=fee,
        arrival_p50_s=p50_s,
        arrival_p99_s=p99_s,
    )


def _price(desk: Desk, route: TransferTime) -> float:
    try:
        return price_usd(desk.book, route.asset, f"transfer_times.{route.origin} -> {route.destination}.asset")
    except InputError as error:
        raise error.located(source=desk.book.source) from error


def _fixed_fee(desk: Desk, route: TransferTime) -> int:
    return math.ceil(route.fee_native * _price(desk, route) * 100.0 - 1e-6)


def _least_cents(desk: Desk, way: Way) -> int:
    return max(1, math.ceil(way.route.minimum_native * _price(desk, way.route) * 100.0 - 1e-6))


def _limit_cents(desk: Desk, way: Way) -> int:
    limit = way_limit_usd(desk.book, way, way.p99_s)
    return math.floor(limit * 100.0) if math.isfinite(limit) else 2**62
