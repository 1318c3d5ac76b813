"""Barrier options and cash at a touch in closed form, watched all the time or at intervals.

They price nothing in a book. They are the outside test of first passage: a down-and-in claim is the discounted law of
the price on the paths that touched, which is what a liquidation price is about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from margincover.errors import InputError
from margincover.numeric.first_passage import BGK_BETA


class Right(Enum):
    """Call or put; the value is the sign of the payoff."""

    CALL = 1
    PUT = -1


class Knock(Enum):
    """Whether the option begins (``IN``) or ends (``OUT``) when the barrier is touched."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarrierMarket:
    """Spot, barrier and the law of the price; the barrier is a lower one where it stands below the spot.

    Parameters
    ----------
    spot, barrier, sigma_annual, years : float
        > 0; the barrier is not the spot.
    rate, carry : float
        Continuous, per year. Carry is rate less yield.
    watch_interval_years : float
        0 where the barrier is watched all the time. Else it is moved away from the spot by exp(0.5826 sigma
        sqrt(interval)), the correction of Broadie, Glasserman and Kou; good unless the barrier is within a step.

    References
    ----------
    Broadie, Glasserman, Kou (1997), A continuity correction for discrete barrier options, Mathematical Finance
    7:325-349, doi:10.1111/1467-9965.00035.
    """

    spot: float
    barrier: float
    sigma_annual: float
    years: float
    rate: float = 0.0
    carry: float = 0.0
    watch_interval_years: float = 0.0

    def __post_init__(self) -> None:
        positive = (self.spot, self.barrier, self.sigma_annual, self.years)
        others = (self.rate, self.carry, self.watch_interval_years)
        legal = all(math.isfinite(v) and v > 0.0 for v in positive) and all(math.isfinite(v) for v in others)
        if not legal or self.barrier == self.spot or self.watch_interval_years < 0.0:
            raise InputError(
                f"spot {self.spot}, barrier {self.barrier}, sigma {self.sigma_annual}, years {self.years}",
                field="barrier",
                allowed="finite figures, > 0, barrier not the spot, interval >= 0",
            )

    @property
    def is_down(self) -> bool:
        """Whether the barrier is below the spot."""
        return self.barrier < self.spot

    @property
    def level(self) -> float:
        """Barrier as the continuous formula takes it."""
        shift = BGK_BETA * self.sigma_annual * math.sqrt(self.watch_interval_years)
        return self.barrier * math.exp(-shift if self.is_down else shift)


def barrier_option(market: BarrierMarket, *, right: Right, knock: Knock, strike: float, rebate: float = 0.0) -> float:
    """Return the value of a European barrier option.

    Parameters
    ----------
    market : BarrierMarket
    right : Right
    knock : Knock
    strike : float
        > 0.
    rebate : float
        Paid at the touch for ``OUT``, at expiry without a touch for ``IN``.

    References
    ----------
    Reiner, Rubinstein (1991), Breaking down the barriers, Risk 4(8):28-35. Haug (1998), The Complete Guide to Option
    Pricing Formulas, section on standard barrier options.
    """
    if not (math.isfinite(strike) and strike > 0.0):
        raise InputError(f"was {strike}", field="strike", allowed="a finite number > 0")
    t = _Terms(market, right.value, strike, rebate)
    above = strike > market.level
    # The strike is beyond the barrier where, at expiry in the money, the price must have crossed it.
    if market.is_down == (right is Right.CALL):
        alive = t.a - t.c if above == market.is_down else t.b - t.d
        knocked = t.c if above == market.is_down else t.a - t.b + t.d
    else:
        alive = 0.0 if above != market.is_down else t.a - t.b + t.c - t.d
        knocked = t.a if above != market.is_down else t.b - t.c + t.d
    return alive + t.f if knock is Knock.OUT else knocked + t.e


def cash_at_touch(market: BarrierMarket, *, cash: float) -> float:
    """Return the value of an amount paid when the barrier is first touched within the time.

    References
    ----------
    Reiner, Rubinstein (1991), Unscrambling the binary code, Risk 4(9):75-83.
    """
    return _Terms(market, 1, market.spot, cash).f


class _Terms:
    """The six terms of Reiner and Rubinstein, named as in Haug."""

    def __init__(self, market: BarrierMarket, phi: int, strike: float, rebate: float) -> None:
        self.market, self.phi, self.strike, self.rebate = market, phi, strike, rebate
        self.eta = 1 if market.is_down else -1
        self.deviation = market.sigma_annual * math.sqrt(market.years)
        variance = market.sigma_annual**2
        self.mu = (market.carry - 0.5 * variance) / variance
        self.ratio = market.level / market.spot
        s, h = market.spot, market.level
        self.a = self._plain(math.log(s / strike))
        self.b = self._plain(math.log(s / h))
        self.c = self._image(math.log(h * h / (s * strike)))
        self.d = self._image(math.log(h / s))
        self.e, self.f = self._at_expiry(), self._at_touch()

    def _plain(self, log: float) -> float:
        m, x = self.market, self._shifted(log)
        spot = m.spot * math.exp((m.carry - m.rate) * m.years) * _ndtr(self.phi * x)
        strike = self.strike * math.exp(-m.rate * m.years) * _ndtr(self.phi * (x - self.deviation))
        return self.phi * (spot - strike)

    def _image(self, log: float) -> float:
        m, y = self.market, self._shifted(log)
        spot = m.spot * math.exp((m.carry - m.rate) * m.years) * math.pow(self.ratio, 2.0 * (self.mu + 1.0))
        strike = self.strike * math.exp(-m.rate * m.years) * math.pow(self.ratio, 2.0 * self.mu)
        return self.phi * (spot * _ndtr(self.eta * y) - strike * _ndtr(self.eta * (y - self.deviation)))

    def _shifted(self, log: float) -> float:
        return log / self.deviation + (1.0 + self.mu) * self.deviation

    def _at_expiry(self) -> float:
        m, log = self.market, math.log(self.ratio)
        kept = _ndtr(self.eta * (self._shifted(-log) - self.deviation))
        image = math.pow(self.ratio, 2.0 * self.mu) * _ndtr(self.eta * (self._shifted(log) - self.deviation))
        return self.rebate * math.exp(-m.rate * m.years) * (kept - image)

    def _at_touch(self) -> float:
        m = self.market
        root = self.mu**2 + 2.0 * m.rate / m.sigma_annual**2
        if root < 0.0:
            raise InputError(f"was {m.rate}", field="rate", allowed="a rate for which the hitting value is finite")
        power = math.sqrt(root)
        z = math.log(self.ratio) / self.deviation + power * self.deviation
        first = math.pow(self.ratio, self.mu + power) * _ndtr(self.eta * z)
        second = math.pow(self.ratio, self.mu - power) * _ndtr(self.eta * (z - 2.0 * power * self.deviation))
        return self.rebate * (first + second)


def _ndtr(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
