"""Bybit portfolio margin: volatility shocks by tenor, and the bound of the contingency for calendar spreads.

The documentation sample of ``asset/portfolio-margin`` (2026-03-24, read 2026-11-24) prints the profit of an option at
11 prices and three volatilities. All 33 figures are Black (1976) to 3e-7 with shocks of 0.24 and -0.20 of the
volatility times 0.5784722007 = (30 / 186)^0.3, at 185.2 days to expiry. Amounts are in USD.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.pricing import black76, option_cells
from margincover.venues.cex_fields import ParameterFields, checked

Paths = NDArray[np.float64]
_DAYS_PER_YEAR = 365.0
# A time that is a whole number of days may come out a rounding error above it.
_DAY_SLACK = 1e-6
# Option values computed at once: enough to amortise the call, few enough to stay in cache.
_LARGEST_BLOCK = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityParameters:
    """Shocks of implied volatility as fractions of it at ``reference_days``, and how they grow for shorter tenors."""

    up_fraction: float
    down_fraction: float
    reference_days: float
    tenor_power: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> VolatilityParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is out of range.
        """
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        return cls(
            up_fraction=fields.number("up_fraction", least=0.0, most=10.0),
            down_fraction=fields.fraction("down_fraction"),
            reference_days=fields.number("reference_days", least=1.0, most=3_650.0),
            tenor_power=fields.number("tenor_power", least=0.0, most=1.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadBound:
    """Factor of the calendar-spread contingency: fraction of the index price per year between expiries."""

    delta_spread_fraction_per_year: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> SpreadBound:
        """Return parameters from a table; RulebookError as for ``VolatilityParameters``."""
        name = "delta_spread_fraction_per_year"
        fields = ParameterFields(data, source=source, names=(name,))
        return cls(delta_spread_fraction_per_year=fields.number(name, least=0.0, most=10.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionStates:
    """Options of one risk unit: quantity, strike, is_call, years [option]; the rest [option, path].

    ``forward`` > 0 in the quote asset, ``mark`` and ``residual`` (venue's mark less the formula, the same on all paths)
    per coin in the settle asset, ``settle_usd`` the USD price of the settle asset.
    """

    quantity: NDArray[np.float64]
    strike: NDArray[np.float64]
    is_call: NDArray[np.bool_]
    years: NDArray[np.float64]
    forward: Paths
    volatility: Paths
    mark: Paths
    residual: Paths
    settle_usd: Paths


def tenor_scale(years: ArrayLike, *, parameters: VolatilityParameters) -> NDArray[np.float64]:
    """Return by how much shocks are larger than at the reference tenor: (reference / days)^power, days rounded up.

    Examples
    --------
    >>> sample = VolatilityParameters(up_fraction=0.24, down_fraction=0.2, reference_days=30.0, tenor_power=0.3)
    >>> round(float(tenor_scale(185.23 / 365.0, parameters=sample)), 10)
    0.5784722007
    """
    days = np.ceil(checked(years, name="years", least=0.0) * _DAYS_PER_YEAR - _DAY_SLACK)
    return np.asarray((parameters.reference_days / np.maximum(days, 1.0)) ** parameters.tenor_power)


def volatility_shocks(years: ArrayLike, *, parameters: VolatilityParameters) -> NDArray[np.float64]:
    """Return relative shocks [state, option]: up, none, down; never below -1."""
    scale = tenor_scale(years, parameters=parameters)
    down = np.minimum(parameters.down_fraction * scale, 1.0)
    return np.stack([parameters.up_fraction * scale, np.zeros_like(scale), -down])


def option_pnl(
    options: OptionStates, *, price_shocks: Sequence[float], parameters: VolatilityParameters
) -> NDArray[np.float64]:
    """Return the profit of all options of a unit together in USD, [node, volatility state, path].

    Notes
    -----
    Each option is revalued by Black (1976) at forward * (1 + shock) and the shocked volatility; the venue's sample is
    that, times the USD price of the settle coin. ``option_pnl_plain`` is the same in NumPy.
    """
    shocks = volatility_shocks(options.years, parameters=parameters)
    nodes, states = len(price_shocks), len(shocks)
    moved = 1.0 + np.asarray(price_shocks, dtype=np.float64)
    book = option_cells.OptionBook(
        weight=options.quantity[:, None] * options.settle_usd,
        strike=options.strike,
        is_call=options.is_call,
        years=options.years[:, None],
        forward=options.forward,
        # The venue's mark less the formula is one number an option, whatever the state.
        residual=options.residual[:, 0],
        base=options.mark,
    )
    found = option_cells.cell_profits(
        book,
        volatility=options.volatility * (1.0 + shocks[:, :, None]),
        cells=option_cells.Cells(growth=np.repeat(moved, states), kind=np.tile(np.arange(states), nodes)),
    )
    return np.asarray(found[0].reshape(nodes, states, -1), dtype=np.float64)


def option_pnl_plain(
    options: OptionStates, *, price_shocks: Sequence[float], parameters: VolatilityParameters
) -> NDArray[np.float64]:
    """Return the same as ``option_pnl``, by NumPy alone: its plain twin."""
    shocks = volatility_shocks(options.years, parameters=parameters)
    n_options, n_paths = options.forward.shape
    found = np.empty((len(price_shocks), len(shocks), n_paths))
    step = max(_LARGEST_BLOCK // max(len(shocks) * n_options * n_paths, 1), 1)
    for first in range(0, len(price_shocks), step):
        moved = 1.0 + np.asarray(price_shocks[first : first + step], dtype=np.float64)[:, None, None, None]
        value = black76.price(
            forward=options.forward * moved,
            strike=options.strike[:, None],
            years=options.years[:, None],
            volatility=options.volatility * (1.0 + shocks[:, :, None]),
            is_call=options.is_call[:, None],
        )
        gain = np.maximum(value + options.residual, 0.0) - options.mark
        gain *= options.quantity[:, None] * options.settle_usd
        total = np.zeros((len(gain), len(shocks), n_paths))
        # Added one by one: the bits of a sum must not depend on the number of paths.
        for k in range(n_options):
            total += gain[:, :, k]
        found[first : first + step] = total
    return found


def option_pnl_reference(
    *,
    quantity: float,
    strike: float,
    is_call: bool,
    years: float,
    forward: float,
    volatility: float,
    mark: float,
    price_shock: float,
    volatility_shock: float,
    settle_usd: float,
) -> float:
    """Return the profit of one option at one node in one volatility state: the twin of ``option_pnl``."""
    base, moved = (
        black76.price_reference(forward=f, strike=strike, years=years, volatility=v, is_call=is_call)
        for f, v in ((forward, volatility), (forward * (1.0 + price_shock), volatility * (1.0 + volatility_shock)))
    )
    return quantity * (max(moved + mark - base, 0.0) - mark) * settle_usd


def inverse_pnl(quote_size: float, price_shock: float) -> float:
    """Return the profit of an inverse contract at a node in USD, the lower of the two readings.

    Parameters
    ----------
    quote_size : float
        Signed dollars, > 0 is long.

    Notes
    -----
    Coins gained count at the shocked price (size * s) or at the present one (size * s / (1 + s)); the venue does not
    say which.
    """
    return min(quote_size * price_shock, quote_size * price_shock / (1.0 + price_shock))


def delta_spread_bound(
    deltas: Mapping[float, Paths], *, index_price: Paths, parameters: SpreadBound, n_paths: int
) -> NDArray[np.float64]:
    """Return the bound of the contingency for hedges between expiries [path], >= 0.

    Parameters
    ----------
    deltas : mapping years to expiry -> array [path]
        Net delta in coins of all that expires then; perpetuals stand at 0.

    Notes
    -----
    factor * longest difference of expiries * (gross delta - largest delta) * index. What different expiries can hedge
    of each other is never more than the gross delta less the largest one.
    """
    gross, largest = np.zeros(n_paths), np.zeros(n_paths)
    for delta in deltas.values():
        gross = gross + np.abs(delta)
        largest = np.maximum(largest, np.abs(delta))
    span = max(deltas) - min(deltas) if deltas else 0.0
    hedged = np.maximum(gross - largest, 0.0)
    return np.asarray(parameters.delta_spread_fraction_per_year * span * hedged * index_price, dtype=np.float64)


def days_between(years: Sequence[float]) -> float:
    """Return the days between the first and the last expiry, rounded up; 0 without any."""
    return math.ceil((max(years) - min(years)) * _DAYS_PER_YEAR - _DAY_SLACK) if years else 0.0
