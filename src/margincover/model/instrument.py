"""Instrument: what is traded, how its profit is counted and which tier table governs it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from margincover.errors import InputError


class Kind(Enum):
    """What an instrument is."""

    SPOT = "spot"
    PERP = "perp"
    FUTURE = "future"
    OPTION = "option"


class Payoff(Enum):
    """How profit is counted: in quote per base move, in base coin, or in a third asset."""

    LINEAR = "linear"
    INVERSE = "inverse"
    QUANTO = "quanto"


class Right(Enum):
    """Right of an option."""

    CALL = "call"
    PUT = "put"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable contract of one venue.

    Parameters
    ----------
    id : str
        ``<venue symbol>.<VENUE>``, for example ``BTCUSDT.BINANCE``.
    venue, venue_symbol, product : str
        Venue name, the venue's own symbol, and the product line (``usdm``, ``coinm``, ``linear`` ...).
    kind, payoff : Kind, Payoff
    base, quote, settle : str
        Assets. INVERSE means settle = base.
    factor : str
        Name of the market factor that moves the mark, normally the base coin without a size prefix.
    multiplier : float
        Base units per contract (LINEAR) or quote units per contract (INVERSE), > 0.
    expiry, strike, right
        expiry only for FUTURE and OPTION; strike and right only for OPTION.
    tick, lot : float or None
        Price and size steps, > 0; None means not known.
    tier_table : str
        Key of the tier table in the rulebook.
    open_interest : float or None
        Base units open in the whole market, >= 0, where a venue's margin depends on it; None means not stated.
    open_interest_lower_cap, open_interest_upper_cap : float or None
        Values of open interest, in the quote asset, between which a venue raises initial margin; an upper cap of 0
        means that it does not.

    Raises
    ------
    InputError
        If one of the invariants above does not hold.
    """

    id: str
    venue: str
    venue_symbol: str
    product: str
    kind: Kind
    payoff: Payoff
    base: str
    quote: str
    settle: str
    factor: str
    multiplier: float
    tier_table: str
    expiry: datetime | None = None
    strike: float | None = None
    right: Right | None = None
    tick: float | None = None
    lot: float | None = None
    open_interest: float | None = None
    open_interest_lower_cap: float | None = None
    open_interest_upper_cap: float | None = None

    def __post_init__(self) -> None:
        dated = self.kind in (Kind.FUTURE, Kind.OPTION)
        if dated != (self.expiry is not None):
            self._refuse("expiry", str(self.expiry), "an expiry exactly for futures and options")
        if self.expiry is not None and self.expiry.tzinfo is None:
            self._refuse("expiry", str(self.expiry), "an aware UTC time")
        option = self.kind is Kind.OPTION
        if option != (self.strike is not None) or option != (self.right is not None):
            self._refuse("strike/right", f"{self.strike}/{self.right}", "both exactly for options")
        if self.payoff is Payoff.INVERSE and self.settle != self.base:
            self._refuse("settle", self.settle, f"the base asset {self.base} for an inverse contract")
        for name in ("multiplier", "tick", "lot"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                self._refuse(name, str(value), "a finite number > 0")
        self._check_open_interest()

    def _check_open_interest(self) -> None:
        for name in ("open_interest", "open_interest_lower_cap", "open_interest_upper_cap"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                self._refuse(name, str(value), "a finite number >= 0")
        lower, upper = self.open_interest_lower_cap, self.open_interest_upper_cap
        if (lower is None) != (upper is None):
            self._refuse("open_interest_lower_cap", f"{lower}, the upper cap {upper}", "both caps or none")
        if lower is not None and upper is not None and upper < lower:
            self._refuse("open_interest_upper_cap", str(upper), f"at least the lower cap {lower:g}")

    def _refuse(self, field: str, found: str, allowed: str) -> None:
        raise InputError(f"{field} was {found}", field=self.id, allowed=allowed)
