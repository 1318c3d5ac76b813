"""Queue scores of auto-deleveraging by venue: the highest is closed first.

One function per published formula; which venue uses which, since when and how sure that is stands in ``data/adl.toml``.
Positions are rows. ``side`` is +1 long, -1 short; money in the settlement currency. Scores of one formula are compared
with each other only, within one contract and one side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from margincover.clearing.checks import amounts, numbers, same_length
from margincover.errors import InputError
from margincover.numeric.arrays import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedPositions:
    """What the formulas read, one row per position of one contract and side.

    Parameters
    ----------
    quantity, entry_price, mark_price : array [position]
        > 0; ``side`` gives the direction.
    side : array [position]
        +1 or -1.
    wallet_usd, equity_usd, maintenance_usd : array [position]
        Of the account behind a cross position, of the position itself when isolated. Equity includes open profit.
    """

    quantity: Vector
    side: Vector
    entry_price: Vector
    mark_price: Vector
    wallet_usd: Vector
    equity_usd: Vector
    maintenance_usd: Vector

    def __post_init__(self) -> None:
        for name in ("quantity", "entry_price", "mark_price", "maintenance_usd"):
            object.__setattr__(self, name, amounts(getattr(self, name), name=name))
        for name in ("side", "wallet_usd", "equity_usd"):
            object.__setattr__(self, name, numbers(getattr(self, name), name=name))
        same_length(**{name: getattr(self, name) for name in self.__dataclass_fields__})
        if not (
            np.isin(self.side, (-1.0, 1.0)).all() and (self.entry_price > 0.0).all() and (self.mark_price > 0.0).all()
        ):
            raise InputError(
                "a side was not +1 or -1, or a price was 0", field="positions", allowed="+1, -1; prices > 0"
            )

    @property
    def profit_usd(self) -> Vector:
        """Open profit at the mark, negative for a loss."""
        return self.side * self.quantity * (self.mark_price - self.entry_price)

    @property
    def notional_usd(self) -> Vector:
        """Value at the mark, > 0."""
        return self.quantity * self.mark_price


Score = Callable[[RankedPositions], Vector]


def wallet_profit_times_margin_ratio(rows: RankedPositions) -> Vector:
    """Return profit over wallet, times maintenance over margin balance (Binance).

    Notes
    -----
    max(0, profit) / max(1, wallet) * maintenance / (wallet + profit); the second factor is 0 where wallet + profit is
    not positive.
    """
    balance = rows.wallet_usd + rows.profit_usd
    ratio = np.divide(rows.maintenance_usd, balance, out=np.zeros_like(balance), where=balance > 0.0)
    return wallet_profit_share(rows) * ratio


def wallet_profit_share(rows: RankedPositions) -> Vector:
    """Return the first factor of the Binance score: max(0, profit) / max(1, wallet)."""
    return np.maximum(rows.profit_usd, 0.0) / np.maximum(rows.wallet_usd, 1.0)


def return_times_effective_leverage(rows: RankedPositions) -> Vector:
    """Return profit over entry value, times effective leverage for a gain, over it for a loss (BitMEX; Bybit classic).

    Notes
    -----
    Effective leverage = mark value / (mark value - value at the bankruptcy price) = notional / equity of the position.
    A position without equity has no finite leverage: its gain ranks first, its loss last but before nothing (0).
    """
    gain = rows.profit_usd / (rows.quantity * rows.entry_price)
    leverage = _leverage(rows)
    with np.errstate(invalid="ignore"):
        return np.where(gain > 0.0, gain * leverage, np.where(gain < 0.0, gain / leverage, 0.0))


def return_over_margin_ratio(rows: RankedPositions) -> Vector:
    """Return profit over initial outlay at the margin ratio: ROI / ratio for a gain, ROI * ratio for a loss (OKX).

    Notes
    -----
    Ratio = equity / maintenance, dangerous when it falls. ROI is taken as profit over wallet, the outlay behind the
    position; the venue's pages leave open which outlay they mean for cross accounts. Without maintenance there is
    nothing to rank by: such a row is an error.
    """
    if not (rows.maintenance_usd > 0.0).all():
        raise InputError("a maintenance was 0", field="maintenance_usd", allowed="figures > 0 for this score")
    if not (rows.wallet_usd > 0.0).all():
        raise InputError("a wallet was not above 0", field="wallet_usd", allowed="figures > 0 for this score")
    roi = rows.profit_usd / rows.wallet_usd
    ratio = rows.equity_usd / rows.maintenance_usd
    with np.errstate(divide="ignore"):
        gains = np.where(ratio > 0.0, roi / ratio, np.inf)
    return np.where(roi > 0.0, gains, roi * np.maximum(ratio, 0.0))


def price_ratio_times_leverage(rows: RankedPositions) -> Vector:
    """Return the price ratio in the position's favour, times notional over account value (Hyperliquid).

    Notes
    -----
    mark / entry for a long; entry / mark for a short, which the venue's page leaves open and readers of its feed use.
    """
    favour = np.where(rows.side > 0.0, rows.mark_price / rows.entry_price, rows.entry_price / rows.mark_price)
    return np.asarray(favour * _leverage(rows), dtype=np.float64)


def _leverage(rows: RankedPositions) -> Vector:
    """Notional over equity; infinite where equity is not positive: the venue has nothing behind such a position."""
    leverage = np.full(rows.equity_usd.shape, np.inf)
    np.divide(rows.notional_usd, rows.equity_usd, out=leverage, where=rows.equity_usd > 0.0)
    return leverage


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "wallet_profit_times_margin_ratio": wallet_profit_times_margin_ratio,
        "return_times_effective_leverage": return_times_effective_leverage,
        "return_over_margin_ratio": return_over_margin_ratio,
        "price_ratio_times_leverage": price_ratio_times_leverage,
    }
)


def rank_share(score: Vector) -> Vector:
    """Return each position's place from the top as a share of all: 1 / n for the first in the queue, 1 for the last.

    Equal scores share the place of the first of them.
    """
    values = np.asarray(score, dtype=np.float64)
    if not values.size or np.isnan(values).any():
        raise InputError("was empty or held NaN", field="score", allowed="at least one figure, no NaN")
    ordered = np.sort(-values)
    return (np.searchsorted(ordered, -values, side="left") + 1.0) / values.size
