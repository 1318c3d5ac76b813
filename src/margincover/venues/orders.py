"""Initial margin of resting orders.

One-way, per symbol: max(|N + bids|, |N - asks|) / leverage, with N the signed position at the mark and bids and asks at
their limit prices (Binance FAQ 4f83b65d, 2022-12-06). Orders do not enter Binance's maintenance margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from margincover.errors import NotSupportedError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Payoff
from margincover.model.pool import MarginPool
from margincover.model.position import Bucket, MarginMode, Side
from margincover.numeric.arrays import Vector
from margincover.venues.legs import mark_of

# Venues whose order rule is confirmed; elsewhere resting orders also enter maintenance, by rules not yet modelled.
_ORDER_RULE_VENUES = frozenset({"binance"})


@runtime_checkable
class TakesOrders(Protocol):
    """Model of an account whose resting orders take the rule of this module."""

    @property
    def order_rate(self) -> Vector:
        """Pool unit per unit of initial margin in each asset, [asset], > 0."""

    @property
    def order_note(self) -> str:
        """What is said of the rule where orders rest."""


def open_order_requirement(*, signed_notional: float, bids: float, asks: float, leverage: float) -> float:
    """Return the initial margin of a position together with its resting orders, in the settle asset.

    Parameters
    ----------
    signed_notional : float
        Position value at the mark, > 0 is long.
    bids, asks : float
        Value of resting buys and sells at their limit prices, >= 0.
    leverage : float
        Chosen leverage, >= 1.

    Examples
    --------
    >>> open_order_requirement(signed_notional=10_000, bids=1_900, asks=2_200, leverage=2)
    5950.0
    """
    return max(abs(signed_notional + bids), abs(signed_notional - asks)) / leverage


def with_open_orders(book: Book, account: Account, pools: Sequence[MarginPool]) -> list[MarginPool]:
    """Return the pools with the additional initial margin of the account's resting orders.

    Raises
    ------
    NotSupportedError
        If the venue counts orders in a way that is not modelled, an order is on a hedge-mode or isolated position, or
        its symbol has no cross position with a leverage.
    """
    if not account.open_orders:
        return list(pools)
    if account.venue not in _ORDER_RULE_VENUES:
        raise NotSupportedError(
            f"{len(account.open_orders)} resting orders",
            field="open_orders",
            allowed=f"none at {account.venue}: its orders enter maintenance by a rule that is not modelled",
        )
    extra: dict[str, float] = {}
    for symbol in dict.fromkeys(order.symbol for order in account.open_orders):
        settle, amount = _symbol_extra(book, account, symbol)
        extra[settle] = extra.get(settle, 0.0) + amount
    return [_with_extra(pool, extra) if pool.margin_mode == MarginMode.CROSS.value else pool for pool in pools]


def _with_extra(pool: MarginPool, extra: dict[str, float]) -> MarginPool:
    """Return a cross pool with the part of the extra margin that its assets carry, in its unit."""
    mine = {asset: extra[asset] for asset in pool.assets.assets if asset in extra}
    if not mine:
        return pool
    if pool.model is None:
        assert set(mine) == {pool.unit}, "Invariant: the venue's pools without a model hold one asset, their unit"
        return replace(pool, open_order_initial=mine[pool.unit])
    if not isinstance(pool.model, TakesOrders):
        raise NotSupportedError(
            f"resting orders in mode {pool.mode}",
            field="open_orders",
            allowed="none in this mode: the rule for its orders is not published; they are no part of maintenance",
        )
    rows = [pool.assets.assets.index(asset) for asset in mine]
    total = sum(amount * float(pool.model.order_rate[row]) for row, amount in zip(rows, mine.values(), strict=True))
    return replace(pool, open_order_initial=total, notes=(*pool.notes, pool.model.order_note))


def _symbol_extra(book: Book, account: Account, symbol: str) -> tuple[str, float]:
    instrument = book.instruments[(account.venue, symbol)]
    matching = [p for p in account.positions if p.symbol == symbol]
    usable = len(matching) == 1 and matching[0].leverage is not None
    if not usable or matching[0].bucket is not Bucket.NET or matching[0].margin_mode is not MarginMode.CROSS:
        raise NotSupportedError(
            f"orders in {symbol} without a one-way cross position with leverage",
            field="open_orders",
            allowed="orders on symbols that have such a position",
        )
    position = matching[0]
    assert position.leverage is not None, "Invariant: checked above"
    inverse = instrument.payoff is Payoff.INVERSE

    def value(contracts: float, price: float) -> float:
        size = contracts * instrument.multiplier
        return size / price if inverse else size * price

    bids = sum(value(o.contracts, o.price) for o in account.open_orders if o.symbol == symbol and o.side is Side.BUY)
    asks = sum(value(o.contracts, o.price) for o in account.open_orders if o.symbol == symbol and o.side is Side.SELL)
    held = value(position.contracts, mark_of(book, account, position, instrument))
    total = open_order_requirement(signed_notional=held, bids=bids, asks=asks, leverage=position.leverage)
    return instrument.settle, total - abs(held) / position.leverage
