"""Deribit cross collateral: what collateral is worth, and a bound on cross portfolio margin.

USD unless a name says otherwise; every requirement is >= 0; the state of the market is the path axis (last).

References
----------
support.deribit.com article 25944777203869; account notifications of 2026 (maintenance is 0.8 of the matrix margin).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from margincover.errors import InputError
from margincover.venues.deribit.book import Array, DeltaOneLegs, OptionLegs, Settlement, Vectors
from margincover.venues.deribit.matrix import (
    VOLATILITIES,
    delta_one_vectors,
    delta_shock,
    option_vectors,
    roll_shock,
    standard_moves,
)
from margincover.venues.deribit.parameters import EquitySideImpact, MatrixParameters


def collateral_value_usd(equity: ArrayLike, *, index_usd: ArrayLike, haircut_fraction: ArrayLike) -> Array:
    """Return what the assets of a cross pool are worth as collateral, [path].

    Parameters
    ----------
    equity, index_usd : array [asset, path]
        Native equity, < 0 where borrowed, and the index, > 0.
    haircut_fraction : array [asset]

    Raises
    ------
    InputError
        If a value is not finite or out of range.

    Notes
    -----
    ``sum max(E, 0) * I * (1 - h) - sum max(-E, 0) * I``: a debt counts in full. The venue states the haircut for
    initial margin; used against maintenance too it can only lower the coverage.
    """
    amount, index = np.asarray(equity, dtype=np.float64), np.asarray(index_usd, dtype=np.float64)
    haircut = np.asarray(haircut_fraction, dtype=np.float64)
    if not (np.isfinite(amount).all() and np.isfinite(index).all() and (index > 0).all()):
        raise InputError("was out of range", field="equity or index_usd", allowed="finite numbers, index > 0")
    if not ((haircut >= 0) & (haircut <= 1)).all():
        raise InputError("was out of range", field="haircut_fraction", allowed="fractions from 0 to 1")
    weight = np.where(amount > 0, 1.0 - haircut[:, None], 1.0)
    return np.asarray((amount * index * weight).sum(axis=0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledLegs:
    """Legs of one pair that settle in one currency, with the parameters of that settlement."""

    settlement: Settlement
    delta_one: DeltaOneLegs
    options: OptionLegs
    parameters: MatrixParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossPair:
    """One currency pair of a cross account: index [path], the account's equity in the coin [path], and its legs."""

    index_usd: Array
    equity_coin: Array
    legs: tuple[SettledLegs, ...]
    parameters: MatrixParameters

    def __post_init__(self) -> None:
        if not (np.isfinite(self.index_usd).all() and (self.index_usd > 0).all()):
            raise InputError("was out of range", field="index_usd", allowed="finite numbers > 0")
        if self.equity_coin.shape != self.index_usd.shape or not np.isfinite(self.equity_coin).all():
            raise InputError("did not fit the index", field="equity_coin", allowed="finite numbers [path]")
        own, keys = self.parameters, ("price_range_fraction", "buckets_per_side_count", "extended_moves")
        if any(getattr(legs.parameters, k) != getattr(own, k) for legs in self.legs for k in keys):
            raise InputError("had other cells", field="parameters", allowed="one grid for all legs of a pair")
        n_paths = self.index_usd.shape[-1]
        tables = (t for legs in self.legs for t in (legs.delta_one.size_coin, legs.options.forward_usd))
        if any(table.shape[1] != n_paths for table in tables):
            raise InputError("had another number of paths", field="legs", allowed=f"{n_paths}, as the index")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossMargin:
    """Upper bounds in USD: worst case and shocks [pair, path], initial and maintenance [path]."""

    worst_case_usd: Array
    shocks_usd: Array
    initial_usd: Array
    maintenance_usd: Array


def cross_margin_bound(
    pairs: Sequence[CrossPair], *, maintenance_factor_fraction: float, order_margin_usd: ArrayLike = 0.0
) -> CrossMargin:
    """Return an upper bound on cross portfolio margin: no gain of a pair offsets the loss of another.

    Notes
    -----
    How the venue offsets pairs, and within a pair coin-settled against USD-settled legs, is not published. Any offset
    lowers the sum of the separate worst cases, so ``risk <= sum over pairs (worst cases + roll shock + delta shock)``,
    ``IM <= risk + orders`` and ``MM <= 0.8 risk``. The dampener of the extended table is left out for the same reason.
    A correlation contingency, 0 in every response seen, is not in the bound.

    Raises
    ------
    InputError
        If there are no pairs.
    """
    if not pairs:
        raise InputError("was empty", field="pairs", allowed="at least one currency pair")
    worst = np.stack([_pair_worst_usd(pair) for pair in pairs])
    shocks = np.stack([_pair_shocks_usd(pair) for pair in pairs])
    risk = np.asarray((worst + shocks).sum(axis=0), dtype=np.float64)
    return CrossMargin(
        worst_case_usd=worst,
        shocks_usd=shocks,
        initial_usd=risk + np.asarray(order_margin_usd, dtype=np.float64),
        maintenance_usd=maintenance_factor_fraction * risk,
    )


def _pair_worst_usd(pair: CrossPair) -> Array:
    # Legs that settle in USD have a worst case of their own, beside that of the coin.
    worst = np.zeros_like(pair.index_usd)
    coin = equity_cells_usd(pair.equity_coin, index_usd=pair.index_usd, parameters=pair.parameters)
    for legs in pair.legs:
        cells = delta_one_vectors(legs.delta_one, settlement=legs.settlement, parameters=legs.parameters)
        cells = cells + option_vectors(legs.options, settlement=legs.settlement, parameters=legs.parameters)
        if legs.settlement is Settlement.COIN:
            coin = coin + coin_cells_in_usd(cells, index_usd=pair.index_usd, parameters=pair.parameters)
        else:
            worst = worst + cells_loss(cells)
    return worst + cells_loss(coin)


def cells_loss(cells: Vectors) -> Array:
    """Return the loss of the worst cell, [path], >= 0."""
    lowest: Array = np.minimum(cells.standard.min(axis=0), cells.extended.min(axis=0))
    return np.maximum(-lowest, 0.0)


def equity_cells_usd(equity_coin: Array, *, index_usd: Array, parameters: MatrixParameters) -> Vectors:
    """Return what coin equity gains in each cell, in USD; nothing where the venue leaves it out of the matrix.

    It is one more delta-one holding beside the coin-settled legs: it moves by m, and in the extended table by the outer
    bucket's move.
    """
    p = parameters
    counts = p.equity_side_impact is EquitySideImpact.BOTH
    equity = equity_coin * index_usd if counts else np.zeros_like(index_usd)
    edge = np.sign(np.asarray(p.extended_moves)) * p.price_range_fraction
    return Vectors(
        standard=np.outer(np.repeat(standard_moves(p), VOLATILITIES), equity),
        extended=np.outer(p.extended_table_factor * edge, equity),
    )


def coin_cells_in_usd(cells: Vectors, *, index_usd: Array, parameters: MatrixParameters) -> Vectors:
    """Return cells in coin as USD at the moved price: the outer bucket's price in the extended table."""
    p = parameters
    edge = np.sign(np.asarray(p.extended_moves)) * p.price_range_fraction
    inner = np.repeat(1.0 + standard_moves(p), VOLATILITIES)
    return Vectors(
        standard=cells.standard * np.outer(inner, index_usd),
        extended=cells.extended * np.outer(1.0 + edge, index_usd),
    )


def _pair_shocks_usd(pair: CrossPair) -> Array:
    zero = np.zeros_like(pair.index_usd)
    roll, futures, long_options, short_options = zero, zero, zero, zero
    for legs in pair.legs:
        delta = legs.options.delta_coin()
        bought = legs.options.quantity_coin > 0
        roll = roll + roll_shock(legs.delta_one, legs.options, option_delta=delta, parameters=legs.parameters)
        futures = futures + legs.delta_one.size_coin.sum(axis=0)
        long_options = long_options + delta[bought].sum(axis=0)
        short_options = short_options + delta[~bought].sum(axis=0)
    charge = delta_shock(
        futures_delta=futures,
        long_option_delta=long_options,
        short_option_delta=short_options,
        index_usd=pair.index_usd,
        parameters=pair.parameters,
    )
    return np.asarray((roll + charge) * pair.index_usd, dtype=np.float64)
