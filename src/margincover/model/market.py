"""MarketState: levels of marks, asset prices and perpetual funding with their observation time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from margincover.errors import InputError, StaleDataError

MAX_IMPLIED_VOLATILITY = 10.0
# No listed forward implies an interest rate beyond this; a larger figure is a percentage.
MAX_INTEREST_RATE_PER_YEAR = 1.0


def _positive(name: str, prices: Mapping[str, float]) -> Mapping[str, float]:
    for key, price in prices.items():
        if not (math.isfinite(price) and price > 0):
            raise InputError(f"was {price}", field=f"{name}.{key}", allowed="a finite number > 0")
    return MappingProxyType(dict(prices))


def _implied(volatilities: Mapping[str, float]) -> Mapping[str, float]:
    for key, volatility in volatilities.items():
        # No listed option is marked above 1,000 %; a larger figure is a percentage.
        if not (math.isfinite(volatility) and 0.0 < volatility <= MAX_IMPLIED_VOLATILITY):
            raise InputError(
                f"was {volatility}",
                field=f"market.implied_volatility.{key}",
                allowed=f"a fraction above 0, at most {MAX_IMPLIED_VOLATILITY:g} (0.6 is 60 %)",
            )
    return MappingProxyType(dict(volatilities))


def _interest(rates: Mapping[str, float]) -> Mapping[str, float]:
    for key, rate in rates.items():
        if not (math.isfinite(rate) and abs(rate) <= MAX_INTEREST_RATE_PER_YEAR):
            raise InputError(
                f"was {rate}",
                field=f"market.interest_rate_per_year.{key}",
                allowed=f"a fraction per year, at most {MAX_INTEREST_RATE_PER_YEAR:g} either way (0.05 is 5 %)",
            )
    return MappingProxyType(dict(rates))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketState:
    """Market levels at one instant.

    Parameters
    ----------
    as_of : datetime
        The instant for which the book is valued.
    observed_at : datetime
        When the levels were observed, not after ``as_of``.
    marks : mapping of str to float
        Mark price by ``<symbol>.<VENUE>``, or by bare venue symbol for all venues; in the quote asset.
    asset_usd : mapping of str to float
        USD price of one unit of an asset. A stable coin stands here too; nothing is assumed to be 1.
    funding_per_hour : mapping of str to float
        Perpetual funding as a fraction of notional per hour, > 0 means longs pay; keys as in ``marks``.
    volatility_annual : mapping of str to float
        Stated annual volatility by factor, overriding a generator's own level.
    implied_volatility : mapping of str to float
        Implied annual volatility of an option as a fraction (0.6 is 60 %), keys as in ``marks``.
    forwards : mapping of str to float
        Forward of an option's expiry in its quote asset: keys as in ``marks``, or ``BASE-YYMMDD`` for all options of a
        coin and day.
    interest_rate_per_year : mapping of str to float
        Interest rate of an expiry as a fraction (0.05 is 5 %), either sign, by ``BASE-YYMMDD``; read by the rules that
        discount options.

    Raises
    ------
    InputError
        If a price is not finite and positive, or ``observed_at`` is after ``as_of``.
    """

    as_of: datetime
    observed_at: datetime
    marks: Mapping[str, float] = field(default_factory=dict)
    asset_usd: Mapping[str, float] = field(default_factory=dict)
    funding_per_hour: Mapping[str, float] = field(default_factory=dict)
    volatility_annual: Mapping[str, float] = field(default_factory=dict)
    implied_volatility: Mapping[str, float] = field(default_factory=dict)
    forwards: Mapping[str, float] = field(default_factory=dict)
    interest_rate_per_year: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.observed_at > self.as_of:
            raise InputError(
                f"observed_at {self.observed_at.isoformat()} was after as_of {self.as_of.isoformat()}",
                field="market.observed_at",
                allowed="a time not after as_of",
            )
        object.__setattr__(self, "marks", _positive("market.marks", self.marks))
        object.__setattr__(self, "asset_usd", _positive("market.asset_usd", self.asset_usd))
        object.__setattr__(self, "volatility_annual", _positive("market.volatility_annual", self.volatility_annual))
        object.__setattr__(self, "forwards", _positive("market.forwards", self.forwards))
        object.__setattr__(self, "implied_volatility", _implied(self.implied_volatility))
        object.__setattr__(self, "interest_rate_per_year", _interest(self.interest_rate_per_year))
        for key, rate in self.funding_per_hour.items():
            # Venues cap funding at 4 % per hour or below; a larger figure is a percent or an annual rate.
            if not (math.isfinite(rate) and abs(rate) <= 0.04):
                raise InputError(
                    f"was {rate}",
                    field=f"market.funding_per_hour.{key}",
                    allowed="a fraction of notional per hour between -0.04 and 0.04",
                )
        object.__setattr__(self, "funding_per_hour", MappingProxyType(dict(self.funding_per_hour)))

    def require_fresh(self, *, max_age_s: float) -> None:
        """Raise StaleDataError when the levels are older than ``max_age_s`` at ``as_of``."""
        age_s = (self.as_of - self.observed_at).total_seconds()
        if age_s > max_age_s:
            raise StaleDataError(
                f"levels were {age_s:.0f} s old at as_of",
                field="market.observed_at",
                allowed=f"at most {max_age_s:.0f} s (settings.max_market_age)",
            )

    def mark(self, *, instrument_id: str, symbol: str) -> float | None:
        """Return the mark of an instrument, None when the market has none."""
        found = self.marks.get(instrument_id)
        return found if found is not None else self.marks.get(symbol)

    def funding(self, *, instrument_id: str, symbol: str) -> float | None:
        """Return perpetual funding per hour of an instrument, None when the market has none."""
        found = self.funding_per_hour.get(instrument_id)
        return found if found is not None else self.funding_per_hour.get(symbol)

    def option_volatility(self, *, instrument_id: str, symbol: str) -> float | None:
        """Return the implied volatility of an option, None when the market has none."""
        found = self.implied_volatility.get(instrument_id)
        return found if found is not None else self.implied_volatility.get(symbol)

    def forward(self, *, instrument_id: str, symbol: str, base: str, expiry: datetime) -> float | None:
        """Return the forward of an option's expiry, None when the market has none."""
        for key in (instrument_id, symbol, f"{base}-{expiry:%y%m%d}"):
            if key in self.forwards:
                return self.forwards[key]
        return None

    def index(self, base: str, quote: str = "USD") -> float:
        """Return the index of a coin in a quote asset at ``as_of``, from the USD prices.

        Raises
        ------
        InputError
            If there is no USD price of the coin, or of a quote other than USD.
        """
        prices = []
        for asset in (base, quote):
            price = 1.0 if asset == "USD" else self.asset_usd.get(asset)
            if price is None:
                raise InputError(
                    f"no USD price for {asset}",
                    field=f"market.asset_usd.{asset}",
                    allowed="the index price > 0: margins are measured from it",
                )
            prices.append(price)
        return prices[0] / prices[1]
