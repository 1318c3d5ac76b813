"""What a size means for one account: capital, the pools measured, and the pools that each size makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from margincover.app.changes import Trade, Transfer, changed_book
from margincover.app.cover import DEFAULT_PATHS
from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, UsageError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument
from margincover.model.pool import MarginPool
from margincover.model.position import MarginMode
from margincover.model.scenario import History
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.implied import packaged_spot_volatility
from margincover.venues import margin, symbols
from margincover.venues.pools import build_pools

_CAPITAL_PASSES = 30
_CAPITAL_ERROR = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSettings:
    """What is asked.

    Parameters
    ----------
    account : str
    symbol : str or None
        None scales all positions of the account.
    side : str or None
        ``long`` or ``short``; None takes the side held, both without a position.
    tolerance : float or None
        Accepted probability of liquidation; None takes the book's.
    horizon_s : int or None
    capital_usd : float or None
        Equity after haircut; None takes the account's own.
    paths, seed, scenarios, history, threads
        As for ``cover``.
    with_curve : bool
        Also the other tolerances and horizons.
    """

    account: str
    symbol: str | None = None
    side: str | None = None
    tolerance: float | None = None
    horizon_s: int | None = None
    capital_usd: float | None = None
    paths: int = DEFAULT_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    threads: int | None = None
    with_curve: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeTask:
    """One account with the capital asked for, and how a size becomes pools."""

    book: Book
    settings: SizeSettings
    instrument: Instrument | None
    held: float
    unit_usd: float
    capital_usd: float
    measured: frozenset[str]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, book: Book, settings: SizeSettings) -> SizeTask:
        """Return the task, with the stated capital put in."""
        account = next((a for a in book.accounts if a.id == settings.account), None)
        if account is None:
            names = ", ".join(a.id for a in book.accounts)
            raise UsageError(f"was '{settings.account}'", field="--account", allowed=names or "the book has none")
        alone = replace(book, accounts=(account,))
        if settings.symbol is None and not any(p.margin_mode is MarginMode.CROSS for p in account.positions):
            raise InputError(
                "holds no cross position to scale", source=book.source, account=account.id, allowed="--symbol SYMBOL"
            )
        instrument = None if settings.symbol is None else _instrument(alone, account, settings.symbol)
        held = 1.0 if instrument is None else _held(alone, account, instrument)
        task = cls(
            book=alone,
            settings=settings,
            instrument=instrument,
            held=held,
            unit_usd=0.0,
            capital_usd=0.0,
            measured=frozenset(),
            left_out=(),
        )
        return task._measured()

    @property
    def tolerance(self) -> float:
        """The stated tolerance, else the book's."""
        stated = self.settings.tolerance
        return self.book.tolerance.probability if stated is None else stated

    @property
    def horizon_s(self) -> int:
        """The stated horizon, else the book's."""
        return self.book.tolerance.horizon_s if self.settings.horizon_s is None else self.settings.horizon_s

    @property
    def sides(self) -> tuple[str, ...]:
        """Sides to search."""
        if self.instrument is None:
            return ("scale",)
        if self.settings.side is not None:
            return (self.settings.side,)
        return ("long", "short") if self.held == 0.0 else ("long" if self.held > 0.0 else "short",)

    def _measured(self) -> SizeTask:
        # One contract more than nothing: the pool exists also where the symbol is not held yet.
        probe = _traded(self.book, self.settings, self.instrument, self.held or 1.0, self.held)
        pools = build_pools(probe, funding_fallback=self.funding)
        crossed = [p for p in pools if p.margin_mode == "cross" and (self.instrument is None or self._holds(p))]
        assert crossed, "Invariant: a cross position stands in a cross pool"
        task = replace(
            self,
            measured=frozenset(pool.id for pool in crossed),
            left_out=tuple(pool.id for pool in pools if pool not in crossed and not pool.is_flat),
        )
        if self.instrument is None:
            unit = sum(status.gross_notional_usd for status in pool_statuses(crossed))
        else:
            unit = _notional_usd(crossed[0], self.instrument) / abs(self.held or 1.0)
        book = task._with_capital()
        capital = sum(_equity_usd(pool) for pool in task.pools_of(book))
        if not capital > 0.0:
            raise InputError(
                f"equity was {capital:.2f} USD",
                source=self.book.source,
                account=self.settings.account,
                allowed="capital > 0, for example by --capital USD",
            )
        return replace(task, book=book, unit_usd=unit, capital_usd=capital)

    def _holds(self, pool: MarginPool) -> bool:
        assert self.instrument is not None, "Invariant: asked only for a symbol"
        return self.instrument.id in (*pool.legs.instrument_ids, *pool.options.instrument_ids)

    def _with_capital(self) -> Book:
        """Return the book with cash added or taken until the measured pool has the stated equity."""
        wanted = self.settings.capital_usd
        if wanted is None:
            return self.book
        if len(self.measured) != 1:
            raise UsageError(
                f"{self.settings.account} has the pools {', '.join(sorted(self.measured))}",
                field="--capital",
                allowed="an account with one cross pool; without --capital each keeps its own",
            )
        book = self.book
        for _ in range(_CAPITAL_PASSES):
            pool = self.pools_of(book)[0]
            missing = wanted - _equity_usd(pool)
            if abs(missing) <= _CAPITAL_ERROR * wanted:
                return book
            asset, price_usd = _cash_of(pool, book, self.instrument)
            book = _with_cash(book, self.settings.account, asset, missing / price_usd)
        raise InputError(
            f"equity stayed {missing:.2f} USD away from it", field="--capital", allowed="capital that cash can make"
        )

    def pools_of(self, book: Book) -> tuple[MarginPool, ...]:
        """Return the measured pools of a book; all cross pools where the symbol is not held."""
        pools = build_pools(book, funding_fallback=self.funding)
        found = tuple(pool for pool in pools if pool.id in self.measured)
        if not found:
            found = tuple(pool for pool in pools if pool.margin_mode == "cross")
        law = packaged_spot_volatility()
        return tuple(replace(p, spot_volatility=law) if p.options.count else p for p in found)

    def pools_with(self, side: str, contracts: float) -> tuple[MarginPool, ...]:
        """Return the measured pools with signed contracts of the symbol, or a multiple of the account."""
        return self.pools_of(self.book_with(contracts))

    def book_with(self, contracts: float) -> Book:
        """Return the book with signed contracts of the symbol, or a multiple of the account."""
        return _traded(self.book, self.settings, self.instrument, contracts, self.held)

    def pools_at(self, side: str) -> Callable[[float], Sequence[MarginPool]]:
        """Return the function from size to pools."""
        return lambda amount: self.pools_with(side, self._signed(side, amount))

    def _signed(self, side: str, amount: float) -> float:
        return (-1.0 if side == "short" else 1.0) * amount * self.per_size()

    def per_size(self) -> float:
        """Return contracts, or multiples of the account, of notional equal to capital."""
        return self.capital_usd / self.unit_usd

    def contracts(self, side: str, amount: float) -> float:
        """Return signed contracts of a size, rounded towards 0 to whole lots; a multiple of the account as it is."""
        signed = self._signed(side, amount)
        lot = None if self.instrument is None else self.instrument.lot
        # The guard keeps a size that is a whole number of lots from losing one to binary rounding.
        return signed if lot is None else math.copysign(math.floor(abs(signed) / lot + 1e-9) * lot, signed)

    def present(self, side: str) -> float:
        """Return the present size on a side; 0 where the other side is held."""
        signed = -self.held if side == "short" else self.held
        return max(signed, 0.0) / self.per_size()

    def funding(self, factor: str) -> float:
        """Return the pessimistic funding per hour of a perpetual whose funding is not stated."""
        return load_packaged().pessimistic_funding_per_hour(factor)

    def notes(self) -> list[str]:
        """Return what the reader must know of this answer."""
        notes = []
        if self.left_out:
            notes.append(f"not measured, for its own margin backs it: {', '.join(self.left_out)}")
        if any(p.maintenance_fraction is not None for a in self.book.accounts for p in a.positions):
            notes.append(
                "a maintenance rate stated for the present size is kept for every size: larger positions may stand "
                "in a higher tier"
            )
        return notes


def _instrument(book: Book, account: Account, symbol: str) -> Instrument:
    known = book.instruments.get((account.venue, symbol))
    if known is not None:
        return known
    try:
        return symbols.resolve_instrument(book.rulebooks[account.venue], symbol)
    except InputError as error:
        raise error.located(source=book.source, account=account.id, field="--symbol") from error


def _held(book: Book, account: Account, instrument: Instrument) -> float:
    held = [p for p in account.positions if book.instruments[(account.venue, p.symbol)].id == instrument.id]
    if len(held) > 1 or (held and held[0].margin_mode is MarginMode.ISOLATED):
        raise InputError(
            f"{instrument.venue_symbol} is held in hedge mode or isolated margin",
            source=book.source,
            account=account.id,
            field="--symbol",
            allowed="a one-way cross position",
        )
    return held[0].contracts if held else 0.0


def _traded(book: Book, settings: SizeSettings, instrument: Instrument | None, target: float, held: float) -> Book:
    """Return the book with ``target`` contracts of the symbol, or ``target`` times all cross positions, at the mark."""
    account = book.accounts[0]
    if instrument is not None:
        assert settings.symbol is not None, "Invariant: an instrument has a symbol"
        trades = [Trade(account=account.id, contracts=target - held, symbol=settings.symbol)]
    else:
        crossed = [p for p in account.positions if p.margin_mode is MarginMode.CROSS]
        trades = [Trade(account=account.id, contracts=(target - 1.0) * p.contracts, symbol=p.symbol) for p in crossed]
    return changed_book(book, [trade for trade in trades if trade.contracts != 0.0], [])


def _notional_usd(pool: MarginPool, instrument: Instrument) -> float:
    if instrument.id in pool.legs.instrument_ids:
        leg = pool.legs.instrument_ids.index(instrument.id)
        asset, value = int(pool.legs.asset_index[leg]), float(margin.leg_notional(pool, leg, np.ones(1))[0])
    else:
        k = pool.options.instrument_ids.index(instrument.id)
        asset = int(pool.options.asset_index[k])
        value = abs(float(pool.options.quantity[k]))
        value *= 1.0 if pool.options.inverse[k] else float(pool.options.index[k])
    return value * float(pool.assets.price_unit[asset]) * pool.unit_usd


def _equity_usd(pool: MarginPool) -> float:
    return float(margin.evaluate([pool]).equity[0, 0]) * pool.unit_usd


def _cash_of(pool: MarginPool, book: Book, instrument: Instrument | None) -> tuple[str, float]:
    """Return the asset in which capital is put, and its price in USD."""
    if pool.unit != "USD":
        return pool.unit, pool.unit_usd
    account = book.accounts[0]
    first = instrument or book.instruments[(account.venue, account.positions[0].symbol)]
    price = 1.0 if first.settle == "USD" else book.market.asset_usd.get(first.settle)
    if price is None:
        raise InputError(
            f"no price of {first.settle}", field=f"market.asset_usd.{first.settle}", allowed="USD per unit, > 0"
        )
    return first.settle, price


def _with_cash(book: Book, account: str, asset: str, amount: float) -> Book:
    held = next((b.total_native for b in book.accounts[0].balances if b.asset == asset), 0.0)
    if held + amount < 0.0:
        raise InputError(
            f"{-amount:g} {asset} would have to leave, {held:g} are there",
            account=account,
            field="--capital",
            allowed="more capital, or another book: other collateral and open profit alone are worth more",
        )
    origin, destination = ("outside", account) if amount > 0.0 else (account, "outside")
    return changed_book(book, [], [Transfer(amount=abs(amount), asset=asset, origin=origin, destination=destination)])
