"""What resources are worth as margin, and what margin could leave: the venue's own rule is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from margincover.coverage.status import pool_statuses
from margincover.errors import MargincoverError
from margincover.liquidity.conversion import price_usd
from margincover.liquidity.supply import IdleOffer
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.position import Balance
from margincover.model.results import PoolStatus
from margincover.venues.legs import FundingFallback
from margincover.venues.pools import build_pools

# A hair of rounding is no haircut, and no margin.
_ROUNDING = 1e-9


def margin_weights(
    book: Book, *, funding_fallback: FundingFallback | None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return, by account, the part of a dollar of each asset sent there that adds to its headroom, and notes.

    Assets are those that ways and transfers in transit carry to the account. The rule of the venue is asked with all
    that the resources of the book could send on top of the wallet, so that a haircut by size counts. Money has to help
    every cross pool of the account that holds positions: where pools do not pay for each other none is sure to be the
    one that needs it, and nothing counts. What the account does not take as margin is left out.
    """
    arriving = {(way.destination, way.asset) for way in book.transfer_times}
    arriving |= {(moving.destination, moving.asset) for moving in book.in_transit}
    largest_usd = max(_resources_usd(book), 1.0)
    weights: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    for account in book.accounts:
        weights[account.id] = {}
        before: dict[str, float] | None = None
        for asset in sorted(asset for destination, asset in arriving if destination == account.id):
            amount = largest_usd / price_usd(book, asset, f"transfer_times.{account.id}.asset")
            try:
                before = _headrooms(book, account, funding_fallback) if before is None else before
                after = _headrooms(book, _with_more(account, asset, amount), funding_fallback)
            except MargincoverError as error:
                notes.append(f"{asset} to {account.id} does not count: {error}")
                continue
            weight = min((after[name] - value for name, value in before.items()), default=0.0) / largest_usd
            if weight > _ROUNDING:
                weights[account.id][asset] = 1.0 if weight > 1.0 - _ROUNDING else weight
    return weights, notes


def idle_margin(book: Book, statuses: Sequence[PoolStatus]) -> dict[str, IdleOffer]:
    """Return, by account, margin of its cross pools that could leave now, in all and by asset held.

    What is above initial margin and above the call level, at most the balances of the assets themselves: an unrealised
    profit is no coin that can be sent.
    """
    free: dict[str, float] = {}
    for status in statuses:
        if status.margin_mode != "cross":
            continue
        floor = status.maintenance_usd * status.margin_call_coverage_ratio
        floor = floor if status.initial_usd is None else max(floor, status.initial_usd)
        free[status.account_id] = free.get(status.account_id, 0.0) + max(0.0, status.equity_usd - floor)
    carried = {(way.origin, way.asset) for way in book.transfer_times}
    offers = {}
    for account in book.accounts:
        held = {
            balance.asset: max(0.0, balance.total_native - balance.borrowed_native)
            * price_usd(book, balance.asset, f"balances.{balance.asset}")
            for balance in account.balances
            if (account.id, balance.asset) in carried
        }
        total = min(free.get(account.id, 0.0), sum(held.values()))
        offers[account.id] = IdleOffer(total_usd=total, by_asset_usd=held)
    return offers


def _with_more(account: Account, asset: str, amount: float) -> Account:
    balances = [
        replace(row, total_native=row.total_native + amount) if row.asset == asset else row for row in account.balances
    ]
    if all(row.asset != asset for row in account.balances):
        balances.append(Balance(asset=asset, total_native=amount))
    return replace(account, balances=tuple(balances))


def _headrooms(book: Book, account: Account, funding_fallback: FundingFallback | None) -> dict[str, float]:
    """Headroom by cross pool in US dollars: of those that hold positions, of all where none does."""
    pools = build_pools(replace(book, accounts=(account,)), funding_fallback=funding_fallback)
    cross = [pool for pool in pools if pool.margin_mode == "cross"]
    statuses = pool_statuses([pool for pool in cross if not pool.is_flat] or cross)
    return {status.pool_id: status.equity_usd - status.maintenance_usd for status in statuses}


def _resources_usd(book: Book) -> float:
    amounts = [(reserve.asset, reserve.amount_native) for reserve in book.reserves]
    amounts += [(moving.asset, moving.amount_native) for moving in book.in_transit]
    amounts += [(line.asset, line.undrawn_native) for line in book.credit_lines]
    return sum(amount * price_usd(book, asset, f"resources.{asset}") for asset, amount in amounts)
