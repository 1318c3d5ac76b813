"""What an emergency plan may be made of: money that arrives at accounts by steps, and trades that change paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyOption:
    """Money from one source to one account, US dollars at the prices of the start.

    Parameters
    ----------
    id : str
    source : str
        What it shares with other options: their sum stays within what the source holds.
    account : int
        Row that receives it.
    arrives_usd : array [step + 1]
        Most that can have arrived by the end of each step, cumulative.
    drawn_per_usd : float
        What leaves the source for a dollar that counts at the end, >= 1.
    fixed_usd : float
        Fixed fees; they leave the source too.
    cost_per_usd : float
        Fees, conversion and interest for a dollar that counts, without the fixed fees.
    least_usd : float
        Smaller amounts are not sent.
    leaves : int or None
        Row of the account whose own margin it is: it is gone there from the start.
    """

    id: str
    source: str
    account: int
    arrives_usd: Array
    drawn_per_usd: float = 1.0
    fixed_usd: float = 0.0
    cost_per_usd: float = 0.0
    least_usd: float = 0.0
    leaves: int | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.arrives_usd).all() or (np.diff(self.arrives_usd) < -1e-6).any():
            raise InputError("fell with time", field=self.id, allowed="cumulative finite amounts")

    @property
    def first_step(self) -> int | None:
        """Step at whose end the first money is there; None where none comes."""
        there = np.flatnonzero(self.arrives_usd > 0.0)
        return int(there[0]) if there.size else None

    def cash(self, amount_usd: float) -> Array:
        """Return what has arrived by the end of each step when an amount is sent, [step + 1]."""
        return np.minimum(self.arrives_usd, amount_usd)

    def cost_usd(self, amount_usd: float) -> float:
        """Return what sending an amount costs."""
        return self.fixed_usd + self.cost_per_usd * amount_usd

    def drawn_usd(self, amount_usd: float) -> float:
        """Return what leaves the source for an amount that counts at the end."""
        return self.fixed_usd + self.drawn_per_usd * amount_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOption:
    """Trades done at the start: ``running`` [step + 1, path] of every account row that they change, cost taken off."""

    id: str
    running: Mapping[int, Array]
    cost_usd: float

    @property
    def accounts(self) -> frozenset[int]:
        """Rows that it changes; of two options that change one row at most one is chosen."""
        return frozenset(self.running)


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueProblem:
    """Accounts, their paths when nobody acts, and what may be done.

    Parameters
    ----------
    running : tuple of array [step + 1, path]
        By account row, largest shortfall up to the end of each step, US dollars; below 0 is headroom.
    coming_usd : array [account, step + 1]
        Money already on its way that has arrived by the end of each step.
    money : tuple of MoneyOption
    trades : tuple of TradeOption
    sources_usd : mapping source -> float
    max_hits : int
        Paths on which an account may be liquidated.
    """

    running: tuple[Array, ...]
    coming_usd: Array
    money: tuple[MoneyOption, ...]
    trades: tuple[TradeOption, ...]
    sources_usd: Mapping[str, float]
    max_hits: int

    def __post_init__(self) -> None:
        shapes = {table.shape for table in self.running}
        if len(shapes) != 1 or self.coming_usd.shape != (len(self.running), self.running[0].shape[0]):
            raise InputError(f"shapes were {shapes}", field="running", allowed="one shape, and one row of money each")
        for option in self.money:
            if option.source not in self.sources_usd:
                raise InputError(f"was '{option.source}'", field=option.id, allowed=", ".join(self.sources_usd))


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuePlan:
    """A choice: options by number, amounts in US dollars that count at the end, its cost, hits by account row."""

    trades: tuple[int, ...]
    amounts_usd: Mapping[int, float]
    cost_usd: float
    hits: tuple[int, ...]
    meets: bool
