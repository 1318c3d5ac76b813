"""Position, open order and balance: what an account holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from margincover.errors import InputError


class MarginMode(Enum):
    """Which equity backs a position."""

    CROSS = "cross"
    ISOLATED = "isolated"


class Bucket(Enum):
    """One-way (NET) or the leg of a hedge-mode pair."""

    NET = "NET"
    LONG = "LONG"
    SHORT = "SHORT"


class Side(Enum):
    """Side of an order."""

    BUY = "buy"
    SELL = "sell"


def _finite(name: str, value: float | None, *, minimum: float | None = None, above: float | None = None) -> None:
    if value is None:
        return
    wrong = not math.isfinite(value)
    wrong = wrong or (minimum is not None and value < minimum) or (above is not None and value <= above)
    if wrong:
        limit = f" >= {minimum:g}" if minimum is not None else f" > {above:g}" if above is not None else ""
        raise InputError(f"was {value}", field=name, allowed=f"a finite number{limit}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open position in one instrument.

    Parameters
    ----------
    symbol : str
        The venue's symbol, or the ccxt symbol.
    contracts : float
        Signed number of contracts, > 0 is long; finite and not zero.
    entry_price : float
        Average entry price, > 0.
    margin_mode : MarginMode
    leverage : float or None
        Leverage chosen at the venue, >= 1; needed for initial margin and for Bybit's closing fee.
    isolated_collateral_native : float or None
        ISOLATED only: margin assigned to the position, without unrealised profit, in the settle asset.
    bucket : Bucket
    mark_price : float or None
        Mark observed with the position; None means the book's market supplies it.
    maintenance_fraction, maintenance_deduction_native : float or None
        What the venue served for this position; overrides the tier table when given.
    reported : PositionReport or None
        What the venue itself says of the position.
    implied_volatility, forward_price : float or None
        Options only: mark volatility (0.6 is 60 %) and forward of the expiry seen with the position; None means that
        the book's market supplies them.
    """

    symbol: str
    contracts: float
    entry_price: float
    margin_mode: MarginMode = MarginMode.CROSS
    leverage: float | None = None
    isolated_collateral_native: float | None = None
    bucket: Bucket = Bucket.NET
    mark_price: float | None = None
    maintenance_fraction: float | None = None
    maintenance_deduction_native: float | None = None
    reported: PositionReport | None = None
    implied_volatility: float | None = None
    forward_price: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.contracts) or self.contracts == 0:
            raise InputError(f"was {self.contracts}", field="contracts", allowed="a finite number that is not 0")
        _finite("entry_price", self.entry_price, above=0.0)
        _finite("mark_price", self.mark_price, above=0.0)
        _finite("leverage", self.leverage, minimum=1.0)
        _finite("isolated_collateral", self.isolated_collateral_native)
        _finite("maintenance_fraction", self.maintenance_fraction, minimum=0.0)
        _finite("maintenance_deduction", self.maintenance_deduction_native, minimum=0.0)
        _finite("implied_volatility", self.implied_volatility, above=0.0)
        _finite("forward_price", self.forward_price, above=0.0)
        isolated = self.margin_mode is MarginMode.ISOLATED
        if isolated != (self.isolated_collateral_native is not None):
            raise InputError(
                f"was {self.isolated_collateral_native} on a {self.margin_mode.value} position",
                field="isolated_collateral",
                allowed="a number on isolated positions, nothing on cross positions",
            )
        if (self.bucket is Bucket.LONG and self.contracts < 0) or (self.bucket is Bucket.SHORT and self.contracts > 0):
            raise InputError(
                f"contracts {self.contracts:g} in bucket {self.bucket.value}",
                field="bucket",
                allowed="positive contracts in LONG, negative in SHORT",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReport:
    """What the venue itself says of a position, in the settle asset; None where it says nothing."""

    maintenance_native: float | None = None
    initial_native: float | None = None
    unrealised_pnl_native: float | None = None
    liquidation_price: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """A resting limit order: side, contracts > 0, limit price > 0."""

    symbol: str
    side: Side
    contracts: float
    price: float

    def __post_init__(self) -> None:
        _finite("contracts", self.contracts, above=0.0)
        _finite("price", self.price, above=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Holdings of one asset in one account, before unrealised profit.

    Parameters
    ----------
    asset : str
    total_native : float
        Wallet balance; negative means owed.
    locked_native : float
        Part that cannot be moved, >= 0.
    borrowed_native : float
        Borrowed amount, >= 0, **not** yet deducted from ``total_native``.
    is_collateral : bool
        False when the venue does not count the asset as margin.
    observed_at : datetime or None
        None means at the book's ``as_of``.
    """

    asset: str
    total_native: float
    locked_native: float = 0.0
    borrowed_native: float = 0.0
    is_collateral: bool = True
    observed_at: datetime | None = None

    def __post_init__(self) -> None:
        _finite("total", self.total_native)
        _finite("locked", self.locked_native, minimum=0.0)
        _finite("borrowed", self.borrowed_native, minimum=0.0)
