"""Trades that could help in an emergency: reduce a position, or reduce it and hold the same at another venue."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from margincover.app.changes import OUTSIDE, Trade, Transfer, changed_book
from margincover.errors import InputError
from margincover.liquidity.conversion import impact_fraction, price_usd
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind, Payoff
from margincover.model.pool import MarginPool
from margincover.model.position import MarginMode, Position
from margincover.model.rescue import ActionCost, RejectedAction
from margincover.venues.legs import FundingFallback, mark_of
from margincover.venues.pools import build_pools

REDUCED_PARTS = (0.25, 0.5, 0.75, 1.0)
MOVED_PARTS = (0.5, 1.0)
# Largest positions of a pool that are looked at.
_POSITIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeIdea:
    """Trades done at once, the pools that they leave by account row, and what they cost."""

    kind: str
    account: str
    text: str
    symbol: str
    notional_usd: float
    cost: ActionCost
    pools: Mapping[int, MarginPool]
    deltas: tuple[Trade, ...]
    costs: tuple[Transfer, ...]


@dataclass(slots=True, kw_only=True)
class TradeFinder:
    """Finds trades for pools at risk; ``rejected`` collects what cannot be done, and why."""

    book: Book
    pools: tuple[MarginPool, ...]
    funding_fallback: FundingFallback | None
    halted: tuple[str, ...] = ()
    rejected: list[RejectedAction] = field(default_factory=list)

    def ideas(self, at_risk: Sequence[int]) -> list[TradeIdea]:
        """Return reductions of the largest positions of each pool at risk, and moves to pools that are not."""
        found = []
        for row in at_risk:
            for account, position, instrument in self._positions(row):
                for part in REDUCED_PARTS:
                    idea = self._reduce(row, account, position, instrument, part)
                    found += [] if idea is None else [idea]
                for other in range(len(self.pools)):
                    if other in at_risk or self.pools[other].account_id == account.id:
                        continue
                    for target in self._same_coin(other, instrument):
                        ideas = [self._move(row, other, position, instrument, target, part) for part in MOVED_PARTS]
                        found += [idea for idea in ideas if idea is not None]
        return found

    def _positions(self, row: int) -> Iterator[tuple[Account, Position, Instrument]]:
        pool = self.pools[row]
        account = next(each for each in self.book.accounts if each.id == pool.account_id)
        if pool.margin_mode != "cross":
            self._reject("reduce", pool.id, "isolated margin: positions are changed in cross margin only")
            return
        held = [
            (position, instrument)
            for position in account.positions
            if (instrument := self.book.instruments[(account.venue, position.symbol)]).id in pool.legs.instrument_ids
            and position.margin_mode is MarginMode.CROSS
        ]
        for position, instrument in sorted(held, key=lambda each: -self._notional(account, *each))[:_POSITIONS]:
            if instrument.kind is Kind.OPTION or instrument.payoff is Payoff.QUANTO:
                continue
            if instrument.factor not in self.book.sale_markets:
                self._reject(
                    f"reduce {instrument.venue_symbol}", pool.id,
                    f"what it costs is not known: the book states no sale_markets.{instrument.factor}",
                )  # fmt: skip
                continue
            yield account, position, instrument

    def _reduce(
        self, row: int, account: Account, position: Position, instrument: Instrument, part: float
    ) -> TradeIdea | None:
        trade = Trade(account=account.id, contracts=-_sized(position, instrument, part), symbol=position.symbol)
        text = f"reduce {instrument.venue_symbol} in {account.id} by {abs(trade.contracts):g} contracts ({part:.0%})"
        return self._idea("reduce", row, text, [(trade, account, position, instrument)])

    def _move(
        self, row: int, other: int, position: Position, instrument: Instrument, target: Position, part: float
    ) -> TradeIdea | None:
        origin = self._account(self.pools[row].account_id)
        place = self._account(self.pools[other].account_id)
        there = self.book.instruments[(place.venue, target.symbol)]
        size = _sized(position, instrument, part)
        coins = size * self._coins(origin, position, instrument)
        trade = Trade(account=origin.id, contracts=-size, symbol=position.symbol)
        hedge = Trade(account=place.id, contracts=coins / self._coins(place, target, there), symbol=target.symbol)
        text = (
            f"reduce {instrument.venue_symbol} in {origin.id} by {abs(size):g} contracts ({part:.0%}) and hold the "
            f"same in {place.id}: {hedge.contracts:+.6g} {there.venue_symbol}"
        )
        sides = [(trade, origin, position, instrument), (hedge, place, target, there)]
        return self._idea("move", row, text, sides)

    def _same_coin(self, row: int, instrument: Instrument) -> list[Position]:
        """Return positions of another pool in which the same coin can be held: contracts that it holds already."""
        pool = self.pools[row]
        account = self._account(pool.account_id)
        if pool.margin_mode != "cross":
            return []
        return [
            position
            for position in account.positions
            if (other := self.book.instruments[(account.venue, position.symbol)]).factor == instrument.factor
            and other.kind is not Kind.OPTION
            and other.payoff is not Payoff.QUANTO
            and position.margin_mode is MarginMode.CROSS
            and other.id in pool.legs.instrument_ids
        ][:1]

    def _idea(
        self, kind: str, row: int, text: str, sides: list[tuple[Trade, Account, Position, Instrument]]
    ) -> TradeIdea | None:
        """Return the trades, costs taken off the wallets; None (and a rejection) where they cannot be done."""
        fees = impact = 0.0
        payments = []
        first = 0.0
        for trade, account, position, instrument in sides:
            if account.venue in self.halted:
                self._reject(text, self.pools[row].id, f"{account.venue} is halted in this state")
                return None
            notional = abs(trade.contracts) * self._usd_per_contract(account, position, instrument)
            fee = notional * max(self._taker(account), 0.0)
            slip = notional * impact_fraction(notional, self.book.sale_markets.get(instrument.factor), stress=True)
            settle = price_usd(self.book, instrument.settle, f"{account.id}.{instrument.settle}")
            payments.append(
                Transfer(amount=(fee + slip) / settle, asset=instrument.settle, origin=account.id, destination=OUTSIDE)
            )
            fees, impact, first = fees + fee, impact + slip, first or notional
        trades = tuple(trade for trade, *_ in sides)
        try:
            pools = self._after(trades, payments)
        except InputError as error:
            self._reject(text, self.pools[row].id, str(error))
            return None
        return TradeIdea(
            kind=kind,
            account=self.pools[row].id,
            text=text,
            symbol=sides[0][3].venue_symbol,
            notional_usd=first,
            cost=ActionCost(fees_usd=fees, impact_usd=impact),
            pools=pools,
            deltas=trades,
            costs=tuple(payments),
        )

    def _after(self, trades: Sequence[Trade], payments: Sequence[Transfer]) -> dict[int, MarginPool]:
        """Return the pools of the touched accounts after trades, by account row."""
        changed = changed_book(self.book, trades, payments)
        touched = {trade.account for trade in trades}
        accounts = tuple(account for account in changed.accounts if account.id in touched)
        made = {
            pool.id: pool
            for pool in build_pools(
                replace(changed, accounts=accounts),
                funding_fallback=self.funding_fallback,
            )
        }
        rows = {row: pool for row, pool in enumerate(self.pools) if pool.account_id in touched}
        missing = [pool.id for pool in rows.values() if pool.id not in made]
        if missing or len(made) != len(rows):
            names = ", ".join(sorted(str(name) for name in touched))
            raise InputError(f"the pools of {names} would change", allowed="the same pools")
        # A pool that a trade leaves as it was, such as an isolated one, keeps its paths.
        return {row: made[pool.id] for row, pool in rows.items() if not _is_same(pool, made[pool.id])}

    def _account(self, name: str) -> Account:
        return next(account for account in self.book.accounts if account.id == name)

    def _taker(self, account: Account) -> float:
        rule = self.book.rulebooks[account.venue].modes[account.mode]
        own = account.taker_fee_fraction
        return rule.default_taker_fee_fraction if own is None else own

    def _coins(self, account: Account, position: Position, instrument: Instrument) -> float:
        """Coins of one contract at its mark."""
        if instrument.payoff is Payoff.INVERSE:
            return instrument.multiplier / mark_of(self.book, account, position, instrument)
        return instrument.multiplier

    def _usd_per_contract(self, account: Account, position: Position, instrument: Instrument) -> float:
        settle = price_usd(self.book, instrument.settle, f"{account.id}.{instrument.settle}")
        if instrument.payoff is Payoff.INVERSE:
            return self._coins(account, position, instrument) * settle
        return instrument.multiplier * mark_of(self.book, account, position, instrument) * settle

    def _notional(self, account: Account, position: Position, instrument: Instrument) -> float:
        if instrument.kind is Kind.OPTION:
            return 0.0
        return abs(position.contracts) * self._usd_per_contract(account, position, instrument)

    def _reject(self, text: str, account: str, reason: str) -> None:
        row = RejectedAction(text=text, account=account, reason=reason)
        if row not in self.rejected:
            self.rejected.append(row)


def _is_same(before: MarginPool, after: MarginPool) -> bool:
    """Whether two pools hold the same legs and assets; pools with a model count as changed."""
    if before.model is not None or after.model is not None:
        return False
    return all(
        np.array_equal(getattr(one, part.name), getattr(other, part.name))
        for one, other in ((before.legs, after.legs), (before.assets, after.assets))
        for part in fields(one)
    )


def _sized(position: Position, instrument: Instrument, part: float) -> float:
    """Return the contracts of a part of a position, signed, rounded up to whole lots where the lot is known."""
    if part >= 1.0 or instrument.lot is None:
        return position.contracts * part
    lots = math.ceil(abs(position.contracts) * part / instrument.lot - 1e-9)
    size = min(lots * instrument.lot, abs(position.contracts))
    return math.copysign(size, position.contracts)
