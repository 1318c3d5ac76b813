"""The accounts of a venue: who holds what, with how much collateral, and what does not add up in it.

One pool per account: positions of one account share its collateral (cross margin). An isolated position is an account
of one position. Signs: quantity above 0 is long; collateral may be anything, sizes and prices are above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from margincover.clearing.cascade_arrays import Floats, Ints
from margincover.errors import InputError


class BelowZero(Enum):
    """What happens to accounts that have no equity before anything moves."""

    REFUSE = "refuse"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One local price: a coin at a venue, with the mark before the event in USD."""

    coin: str
    venue: str
    mark: float

    @property
    def name(self) -> str:
        """Return ``COIN@venue``."""
        return f"{self.coin}@{self.venue}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTable:
    """Maintenance as lines: the largest of fraction * notional - deduction, and never below 0."""

    fraction: tuple[float, ...]
    deduction_usd: tuple[float, ...]

    @classmethod
    def flat(cls, fraction: float) -> TierTable:
        """Return one fraction for every size."""
        return cls.progressive(floors_usd=(0.0,), fractions=(fraction,))

    @classmethod
    def progressive(cls, *, floors_usd: Sequence[float], fractions: Sequence[float]) -> TierTable:
        """Return the lines of a table in which each band of notional has its own fraction.

        Raises
        ------
        InputError
            If the tiers cross: floors that do not rise from 0, or fractions that do not rise.
        """
        floors, rates = np.asarray(floors_usd, dtype=np.float64), np.asarray(fractions, dtype=np.float64)
        if floors.shape != rates.shape or not floors.size or floors[0] != 0.0 or (np.diff(floors) <= 0.0).any():
            raise InputError(f"floors were {floors.tolist()}", field="tiers", allowed="floors that rise from 0")
        if not ((rates > 0.0) & (rates < 1.0)).all() or (np.diff(rates) <= 0.0).any():
            raise InputError(
                f"fractions were {rates.tolist()}", field="tiers", allowed="above 0, below 1, rising with the floors"
            )
        steps = np.concatenate([[0.0], floors[1:] * np.diff(rates)])
        return cls(fraction=tuple(rates.tolist()), deduction_usd=tuple(np.cumsum(steps).tolist()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Accounts with their positions, grouped: account k holds the positions start[k] to start[k + 1].

    Parameters
    ----------
    markets : sequence of Market
    start : int64 array [account + 1]
    market, table : int32 arrays [position]
    quantity, entry : arrays [position]
        Coins, signed; USD per coin.
    collateral_usd : array [account]
    tables : sequence of TierTable
    source : str
        Where it came from, for messages and provenance.
    """

    markets: tuple[Market, ...]
    start: np.ndarray[tuple[int], np.dtype[np.int64]]
    market: Ints
    quantity: Floats
    entry: Floats
    table: Ints
    collateral_usd: Floats
    tables: tuple[TierTable, ...]
    source: str

    def __post_init__(self) -> None:
        """Check what a cascade relies on."""
        if self.n_accounts == 0 or self.n_positions == 0:
            raise InputError("held no account", source=self.source, allowed="at least one account with a position")
        for name, values in (("size", np.abs(self.quantity)), ("entry", self.entry)):
            wrong = ~(np.isfinite(values) & (values > 0.0))
            if wrong.any():
                raise InputError(
                    f"was {values[wrong][0]} in {int(wrong.sum())} positions, first in position {int(wrong.argmax())}",
                    source=self.source, field=name, allowed="finite and above 0",
                )  # fmt: skip
        if not np.isfinite(self.collateral_usd).all():
            raise InputError("held a NaN or an infinity", source=self.source, field="collateral", allowed="USD")
        for market in self.markets:
            if not (np.isfinite(market.mark) and market.mark > 0.0):
                raise InputError(f"was {market.mark}", source=self.source, field=f"mark of {market.name}",
                                 allowed="a price above 0")  # fmt: skip
        self._check_venues()

    def _check_venues(self) -> None:
        venues = np.array([market.venue for market in self.markets])
        names, code = np.unique(venues, return_inverse=True)
        of_position = code[self.market]
        first = of_position[np.minimum(self.start[:-1], self.n_positions - 1)]
        if (np.repeat(first, np.diff(self.start)) != of_position).any():
            raise InputError(
                f"an account held positions at several of {names.tolist()}", source=self.source, field="venue",
                allowed="one venue per account: a pool does not reach across venues",
            )  # fmt: skip

    @property
    def n_accounts(self) -> int:
        """Return the number of accounts."""
        return int(self.collateral_usd.shape[0])

    @property
    def n_positions(self) -> int:
        """Return the number of positions."""
        return int(self.quantity.shape[0])

    @property
    def is_isolated(self) -> bool:
        """Tell whether every account holds one position."""
        return self.n_positions == self.n_accounts

    def mark_of_position(self) -> Floats:
        """Return the mark before the event [position]."""
        return np.array([market.mark for market in self.markets])[self.market]

    def cash_usd(self) -> Floats:
        """Return collateral - sum quantity * entry [account]: equity at any prices is cash + sum quantity * price."""
        return self.collateral_usd - np.add.reduceat(self.quantity * self.entry, self.start[:-1])

    def equity_usd(self) -> Floats:
        """Return equity at the marks before the event [account]."""
        profit = self.quantity * (self.mark_of_position() - self.entry)
        return self.collateral_usd + np.add.reduceat(profit, self.start[:-1])

    def maintenance_usd(self) -> Floats:
        """Return maintenance at the marks before the event [account]."""
        return np.add.reduceat(self.position_maintenance_usd(self.mark_of_position()), self.start[:-1])

    def position_maintenance_usd(self, price: Floats) -> Floats:
        """Return maintenance at prices [position]."""
        notional = np.abs(self.quantity) * price
        result = np.zeros_like(notional)
        for number, table in enumerate(self.tables):
            here = self.table == number if len(self.tables) > 1 else np.ones(self.n_positions, bool)
            for fraction, deduction in zip(table.fraction, table.deduction_usd, strict=True):
                result[here] = np.maximum(result[here], fraction * notional[here] - deduction)
        return result

    def effective_leverage(self) -> Floats:
        """Return gross notional over equity [account]; infinity where there is no equity."""
        gross = np.add.reduceat(np.abs(self.quantity) * self.mark_of_position(), self.start[:-1])
        equity = self.equity_usd()
        return np.divide(gross, equity, out=np.full_like(gross, np.inf), where=equity > 0.0)


def population_notes(population: Population, below_zero: BelowZero) -> list[str]:
    """Return what does not add up in a population, in sentences, with what the run does about it.

    Raises
    ------
    InputError
        If accounts have no equity and ``below_zero`` refuses them.
    """
    notes = []
    equity, maintenance = population.equity_usd(), population.maintenance_usd()
    under = equity < 0.0
    if under.any():
        found = f"{int(under.sum())} accounts are below zero by {-equity[under].sum():,.2f} USD before anything moves"
        if below_zero is BelowZero.REFUSE:
            raise InputError(
                f"{found}, the first is account number {int(under.argmax()) + 1} with {equity[under][0]:,.2f}",
                source=population.source, field="equity",
                allowed="accounts at or above zero; --below-zero close takes them over in the first step",
            )  # fmt: skip
        notes.append(f"{found}: they are closed in the first step, and their debt is part of the shortfall")
    due = (equity >= 0.0) & (equity <= maintenance)
    if due.any():
        count = int(due.sum())
        notes.append(f"{count} accounts are below maintenance before anything moves: they go in the first step")
    return notes + _imbalances(population)


def _imbalances(population: Population) -> list[str]:
    notes = []
    for number, market in enumerate(population.markets):
        held = population.quantity[population.market == number]
        net, gross = float(held.sum()), float(np.abs(held).sum())
        if abs(net) > 1e-6 * gross:
            side = "long" if net > 0.0 else "short"
            notes.append(
                f"open interest of {market.name} does not net to zero: {side} by {abs(net) * market.mark:,.0f} USD, "
                f"{abs(net) / gross:.1%} of the gross; the other side is taken as held outside by accounts that are "
                "never liquidated"
            )
    return notes
