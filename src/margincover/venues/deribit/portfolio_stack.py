"""Many Deribit pools in segregated portfolio margin at once: the matrices of ``segregated_portfolio`` side by side.

Pairs with the same parameters are one matrix whose path axis is [pair, path]. Options are added by pair, by the kernel
that one pool uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.numeric.arrays import IndexVector
from margincover.venues.deribit import cells, matrix
from margincover.venues.deribit.book import Settlement, Vectors
from margincover.venues.deribit.pair_book import PairBook
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.deribit.segregated_portfolio import SegregatedPortfolio
from margincover.venues.revalue import added, wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows, same, starts

Index = NDArray[np.int64]
Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRows:
    """Pairs of one set of parameters; rows are those of the merged tables.

    ``leg_pair``, ``leg_expiry`` [leg], ``option_expiry`` [option] number the pairs and the expiries of all pairs;
    ``options`` [pair] holds the rows of each pair's options; ``orders`` [pair] is the margin of resting orders that the
    venue rounds with the matrix.
    """

    parameters: MatrixParameters
    settlement: Settlement
    asset: Index
    factor: Index
    index: Paths
    orders: Paths
    legs: Index
    leg_pair: Index
    leg_expiry: Index
    options: tuple[Index, ...]
    option_expiry: tuple[IndexVector, ...]
    expiries: tuple[slice, ...]
    expiry_pair: Index
    expiry_years: Paths

    def rows(self, state: PoolState) -> RequiredRows:
        """Return the matrix margin of each pair."""
        n_pairs, n_paths = self.index.size, state.n_paths
        index = self.index[:, None] * state.factor_ratio[self.factor]
        vectors, expiry_delta, futures, sides = self._cells(state)
        rates = [matrix.roll_fraction(float(years), self.parameters) for years in self.expiry_years]
        parts = np.abs(expiry_delta) * np.array(rates)[:, None]
        roll = added(np.zeros((n_pairs, n_paths)), self.expiry_pair, parts)
        shock = matrix.delta_shock(
            futures_delta=futures.ravel(),
            long_option_delta=sides[:, 0].ravel(),
            short_option_delta=sides[:, 1].ravel(),
            index_usd=index.ravel(),
            parameters=self.parameters,
        )
        orders = np.repeat(self.orders, n_paths)
        margin = matrix.margin_of_cells(
            vectors,
            roll_coin=roll.ravel(),
            shock_coin=shock,
            index_usd=index.ravel(),
            settlement=self.settlement,
            parameters=self.parameters,
            order_margin=orders,
        )
        shape = (n_pairs, n_paths)
        initial = (margin.initial - orders).reshape(shape)
        return RequiredRows(asset=self.asset, maintenance=margin.maintenance.reshape(shape), initial=initial)

    def _cells(self, state: PoolState) -> tuple[Vectors, Paths, Paths, Paths]:
        """Return cells [cell, pair x path]; deltas by expiry, of futures by pair, of options by pair and side."""
        n_pairs, n_paths = self.index.size, state.n_paths
        legs = state.pool.legs
        size = np.repeat(legs.signed_size[self.legs, None], n_paths, axis=1)
        if self.settlement is Settlement.COIN:
            size = np.sign(size) * state.leg_notional[self.legs]
        empty = np.zeros((n_pairs, n_paths))
        expiry_delta = added(np.zeros((self.expiry_pair.size, n_paths)), self.leg_expiry, size)
        futures = added(empty, self.leg_pair, size)
        value = futures
        if self.settlement is Settlement.USD:
            value = added(empty, self.leg_pair, size * state.leg_price[self.legs])
        grid = cells.grid_of(self.parameters, self.settlement)
        totals = np.zeros((n_pairs, n_paths, grid.growth.size))
        sides = np.zeros((n_pairs, 2, n_paths))
        every, table = np.concatenate(self.options), state.pool.options
        terms = grid.terms(
            quantity_coin=state.option_quantity[every],
            is_call=table.is_call[every],
            strike_usd=table.strike[every],
            years=state.option_years[every],
        )
        first = starts([rows.size for rows in self.options])
        for pair, (rows, at) in enumerate(zip(self.options, first, strict=True)):
            if rows.size:
                cells.add_to(
                    grid,
                    terms=terms[at : at + rows.size],
                    expiry_row=self.option_expiry[pair],
                    forward_usd=state.option_forward[rows],
                    volatility=state.option_volatility[rows],
                    totals=totals[pair],
                    expiry_delta=expiry_delta[self.expiries[pair]],
                    side_delta=sides[pair],
                )
        flat = totals.reshape(n_pairs * n_paths, -1)
        linear = matrix.linear_vectors(value.ravel(), settlement=self.settlement, parameters=self.parameters)
        return linear + grid.vectors(flat), expiry_delta, futures, sides


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioStack:
    """``pairs`` by parameters."""

    pairs: tuple[PairRows, ...]

    def held(self, state: PoolState) -> Paths:
        """Return the equity: wallet, profit of futures, value of options."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: one currency, no haircut."""
        return held * asset_price

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return one row for each pair."""
        return tuple(pairs.rows(state) for pairs in self.pairs)


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: it holds every pool in this mode."""
    return isinstance(model, SegregatedPortfolio)


def stack(models: Sequence[PoolModel], merged: Merged) -> PortfolioStack:
    """Return the rule of many pools."""
    found = [
        (member, pair)
        for member, model in enumerate(models)
        if isinstance(model, SegregatedPortfolio)
        for pair in model.pairs
    ]
    groups = same([(pair.parameters, pair.settlement) for _, pair in found])
    return PortfolioStack(pairs=tuple(_pairs(merged, [found[row] for row in rows]) for rows in groups.values()))


def _pairs(merged: Merged, chosen: Sequence[tuple[int, PairBook]]) -> PairRows:
    parts = [_expiries(merged.pools[member], pair) for member, pair in chosen]
    counts = [len(years) for _, _, years in parts]
    first = starts(counts)
    legs = [np.array(pair.legs, dtype=np.int64) + merged.first_leg[member] for member, pair in chosen]
    numbers = np.arange(len(chosen))
    factors = {name: row for row, name in enumerate(merged.pool.factors)}
    return PairRows(
        parameters=chosen[0][1].parameters,
        settlement=chosen[0][1].settlement,
        asset=np.array([merged.first_asset[member] + pair.asset for member, pair in chosen], dtype=np.int64),
        factor=np.array([factors[merged.pools[member].factors[pair.factor]] for member, pair in chosen]),
        index=np.array([pair.index for _, pair in chosen], dtype=np.float64),
        orders=np.array([_orders(merged.pools[member]) for member, _ in chosen], dtype=np.float64),
        legs=np.concatenate(legs),
        leg_pair=np.repeat(numbers, [rows.size for rows in legs]),
        leg_expiry=np.concatenate([part[0] + start for part, start in zip(parts, first, strict=True)]),
        options=tuple(np.array(pair.options, dtype=np.int64) + merged.first_option[member] for member, pair in chosen),
        option_expiry=tuple(part[1].astype(np.int32) for part in parts),
        expiries=tuple(slice(start, start + count) for start, count in zip(first, counts, strict=True)),
        expiry_pair=np.repeat(numbers, counts),
        expiry_years=np.concatenate([part[2] for part in parts]),
    )


def _expiries(pool: MarginPool, pair: PairBook) -> tuple[Index, Index, Paths]:
    """Return the expiry of each leg and of each option of a pair, and the years of each expiry."""
    legs, options = pool.legs.years[list(pair.legs)], pool.options.years[list(pair.options)]
    years, numbers = np.unique(np.concatenate((legs, options)), return_inverse=True)
    return numbers[: legs.size], numbers[legs.size :], years


def _orders(pool: MarginPool) -> float:
    model = pool.model
    # As in the model: of one matrix the venue rounds initial margin with the orders inside.
    return pool.open_order_initial if isinstance(model, SegregatedPortfolio) and len(model.pairs) == 1 else 0.0
