"""What an amount brings in cash: haircut by size, cost of conversion, price impact of the sale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.liquidity.execution import AVERAGE_OF_IMPACT, square_root_impact
from margincover.model.book import Book
from margincover.model.resources import HaircutStep, SaleMarket


@dataclass(frozen=True, slots=True, kw_only=True)
class Proceeds:
    """What a sale brings in US dollars: gross = haircut + impact + cost + usable, none of them negative."""

    gross_usd: float
    haircut_usd: float
    impact_usd: float
    cost_usd: float
    usable_usd: float


def haircut_native(amount_native: float, steps: Sequence[HaircutStep]) -> float:
    """Return the part of an amount that does not count: each step's haircut on what lies in its band."""
    total = 0.0
    for number, step in enumerate(steps):
        top = steps[number + 1].floor_native if number + 1 < len(steps) else math.inf
        total += step.haircut * max(0.0, min(amount_native, top) - step.floor_native)
    return total


def impact_fraction(amount_usd: float, market: SaleMarket | None, *, stress: bool) -> float:
    """Return the average price concession of a sale, from 0 to 1.

    Notes
    -----
    Within the visible depth half of 1 % on average; beyond it the square-root law Y sigma (Q / V)^0.5, of which the
    average is two thirds, and never less than at the edge of the depth. In stress the whole is multiplied by the
    ``stress_multiple`` of the market.

    References
    ----------
    Donier, Bonart (2015), A million metaorder analysis of market impact on the Bitcoin, arXiv:1412.4503.
    """
    if market is None or amount_usd <= 0.0:
        return 0.0
    inside = 0.005 * min(1.0, amount_usd / market.depth_usd) if market.depth_usd > 0.0 else 0.0
    law = 0.0
    if amount_usd > market.depth_usd:
        share = amount_usd / market.daily_volume_usd
        law = AVERAGE_OF_IMPACT * square_root_impact(
            share, daily_volatility=market.daily_volatility, coefficient=market.impact_coefficient
        )
    fraction = max(inside, law) * (market.stress_multiple if stress else 1.0)
    return min(1.0, fraction)


def proceeds(
    amount_native: float,
    *,
    price_usd: float,
    haircuts: Sequence[HaircutStep],
    cost_fraction: float,
    cost_native: float,
    market: SaleMarket | None,
    stress: bool,
) -> Proceeds:
    """Return what turning an amount into dollars brings.

    Parameters
    ----------
    amount_native : float
        Units of the asset, >= 0.
    price_usd : float
        US dollars per unit, > 0.
    haircuts, cost_fraction, cost_native
        As stated for the resource.
    market : SaleMarket or None
        None for what is not sold (cash in the settlement asset).
    stress : bool
        Multiply the impact by the market's stress multiple.
    """
    gross = amount_native * price_usd
    haircut = haircut_native(amount_native, haircuts) * price_usd
    impact = (gross - haircut) * impact_fraction(gross, market, stress=stress)
    fees = gross * cost_fraction + (cost_native * price_usd if amount_native > 0.0 else 0.0)
    cost = min(fees, gross - haircut - impact)
    return Proceeds(
        gross_usd=gross,
        haircut_usd=haircut,
        impact_usd=impact,
        cost_usd=cost,
        usable_usd=gross - haircut - impact - cost,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """How an asset becomes dollars; called with an amount in units of the asset it returns ``proceeds``."""

    price_usd: float
    haircuts: Sequence[HaircutStep]
    cost_fraction: float
    cost_native: float
    market: SaleMarket | None
    stress: bool

    def __call__(self, amount_native: float) -> Proceeds:
        """Return what selling an amount brings."""
        return proceeds(
            amount_native,
            price_usd=self.price_usd,
            haircuts=self.haircuts,
            cost_fraction=self.cost_fraction,
            cost_native=self.cost_native,
            market=self.market,
            stress=self.stress,
        )


def most_of(sale: Sale, amount_native: float) -> float:
    """Return the most US dollars that selling up to an amount brings: beyond some size a sale only lowers its price.

    Without a market more never brings less. With one, sizes from a millionth to all and the kinks are tried, then those
    around the best.
    """
    if sale.market is None or amount_native <= 0.0:
        return sale(max(amount_native, 0.0)).usable_usd
    kinks = [sale.market.depth_usd / sale.price_usd, *(step.floor_native for step in sale.haircuts)]
    sizes = np.unique([*np.geomspace(1e-6, 1.0, 97) * amount_native, *(k for k in kinks if 0.0 < k < amount_native)])
    best = 0.0
    for _ in range(4):
        values = [sale(float(size)).usable_usd for size in sizes]
        top = int(np.argmax(values))
        best = max(best, values[top])
        sizes = np.linspace(sizes[max(top - 1, 0)], sizes[min(top + 1, sizes.size - 1)], 17)
    return best


def price_usd(book: Book, asset: str, field: str) -> float:
    """Return the price of an asset in the book's market; US dollars are 1.

    Raises
    ------
    InputError
        If the book states none.
    """
    if asset == "USD":
        return 1.0
    price = book.market.asset_usd.get(asset)
    if price is None:
        raise InputError(
            f"no USD price for {asset}", source=book.source, field=field, allowed=f"market.asset_usd.{asset} > 0"
        )
    return price
