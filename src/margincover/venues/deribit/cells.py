"""Cells of a Deribit matrix and the deltas behind its shocks for large books: one pass over the options.

The same figures as ``matrix.option_vectors``, ``matrix.roll_shock`` and ``matrix.delta_shock``, which stay as the plain
form. Faster by one logarithm for all cells of an option in a state, the value before the shock from the middle cell,
and the delta from the same normal probability. Figures never depend on how many paths stand beside each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.numeric.arrays import IndexVector
from margincover.venues.deribit.book import Array, DeltaOneLegs, OptionLegs, Settlement, Vectors
from margincover.venues.deribit.cells_kernel import add_options
from margincover.venues.deribit.matrix import (
    VOLATILITIES,
    delta_one_vectors,
    delta_shock,
    extended_scale,
    roll_fraction,
    standard_moves,
    volatility_factors,
)
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.revalue import row_total


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCells:
    """What a matrix needs of one pair's book: cells before aggregation, and deltas in coin.

    ``expiry_delta`` [expiry, path] is the net delta of futures and options of each expiry, ``expiry_years`` [expiry]
    its time; the other deltas are [path].
    """

    vectors: Vectors
    expiry_delta: Array
    expiry_years: Array
    futures_delta: Array
    long_option_delta: Array
    short_option_delta: Array

    def shocks_coin(self, *, index_usd: Array, parameters: MatrixParameters) -> tuple[Array, Array]:
        """Return roll shock and delta shock in coin, [path]."""
        shock = delta_shock(
            futures_delta=self.futures_delta,
            long_option_delta=self.long_option_delta,
            short_option_delta=self.short_option_delta,
            index_usd=index_usd,
            parameters=parameters,
        )
        return row_total(self.roll_parts(parameters)), shock

    def roll_parts(self, parameters: MatrixParameters) -> Array:
        """Return the roll shock of each expiry in coin, [expiry, path]."""
        rates = np.array([roll_fraction(float(years), parameters) for years in self.expiry_years])
        return np.asarray(np.abs(self.expiry_delta) * rates[:, None], dtype=np.float64)


def book_cells(
    delta_one: DeltaOneLegs, options: OptionLegs, *, settlement: Settlement, parameters: MatrixParameters
) -> BookCells:
    """Return cells and deltas of a book; options of quantity 0 are skipped."""
    expiries = np.unique(np.concatenate((delta_one.expiry, options.expiry)))
    n_paths = delta_one.size_coin.shape[1]
    expiry_delta, years = np.zeros((len(expiries), n_paths)), np.zeros(len(expiries))
    for row, expiry in enumerate(expiries):
        mine = delta_one.expiry == expiry
        expiry_delta[row] = row_total(delta_one.size_coin[mine])
        every = np.concatenate((delta_one.years[mine], options.years[options.expiry == expiry]))
        years[row] = every.max()
    side_delta = np.zeros((2, n_paths))
    cells = _add_options(
        options,
        np.searchsorted(expiries, options.expiry).astype(np.int32),
        settlement=settlement,
        parameters=parameters,
        expiry_delta=expiry_delta,
        side_delta=side_delta,
    )
    linear = delta_one_vectors(delta_one, settlement=settlement, parameters=parameters)
    return BookCells(
        vectors=linear + cells,
        expiry_delta=expiry_delta,
        expiry_years=years,
        futures_delta=row_total(delta_one.size_coin),
        long_option_delta=side_delta[0],
        short_option_delta=side_delta[1],
    )


def _add_options(
    options: OptionLegs,
    expiry_row: IndexVector,
    *,
    settlement: Settlement,
    parameters: MatrixParameters,
    expiry_delta: Array,
    side_delta: Array,
) -> Vectors:
    """Return the cells of the options and add their deltas to the two tables."""
    grid = grid_of(parameters, settlement)
    totals = np.zeros((options.forward_usd.shape[1], len(grid.growth)))
    add_to(
        grid,
        terms=grid.terms(
            quantity_coin=options.quantity_coin,
            is_call=options.is_call,
            strike_usd=options.strike_usd,
            years=options.years,
        ),
        expiry_row=expiry_row,
        forward_usd=options.forward_usd,
        volatility=options.volatility,
        totals=totals,
        expiry_delta=expiry_delta,
        side_delta=side_delta,
    )
    return grid.vectors(totals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Cells of one matrix: ``growth`` [cell] is 1 + move, ``which`` [cell] its volatility (up, same, down)."""

    parameters: MatrixParameters
    settlement: Settlement
    growth: Array
    log_growth: Array
    which: IndexVector
    n_standard: int

    def terms(self, *, quantity_coin: Array, is_call: NDArray[np.bool_], strike_usd: Array, years: Array) -> Array:
        """Return what the kernel reads of options, [option, term]; all arguments [option]."""
        up, down = volatility_factors(years, self.parameters)
        side = np.where(is_call, 1.0, -1.0)
        return np.ascontiguousarray(np.column_stack((quantity_coin, side, strike_usd, np.sqrt(years), up, down)))

    def vectors(self, totals: Array) -> Vectors:
        """Return the cells of totals [path, cell] before aggregation."""
        cells = np.ascontiguousarray(totals.T)
        scale = extended_scale(np.asarray(self.parameters.extended_moves), self.settlement, self.parameters)
        return Vectors(standard=cells[: self.n_standard], extended=scale[:, None] * cells[self.n_standard :])


def grid_of(parameters: MatrixParameters, settlement: Settlement) -> Grid:
    """Return the cells of a matrix."""
    inner, outer = standard_moves(parameters), np.asarray(parameters.extended_moves)
    growth = 1.0 + np.concatenate((np.repeat(inner, VOLATILITIES), outer))
    # Rows of the shocked volatilities up, same, down; extended cells have volatility up.
    which = np.concatenate((np.tile(np.arange(VOLATILITIES), len(inner)), np.zeros(len(outer), dtype=np.int64)))
    return Grid(
        parameters=parameters,
        settlement=settlement,
        growth=growth,
        log_growth=np.log(growth),
        which=which.astype(np.int32),
        n_standard=len(inner) * VOLATILITIES,
    )


def add_to(
    grid: Grid,
    *,
    terms: Array,
    expiry_row: IndexVector,
    forward_usd: Array,
    volatility: Array,
    totals: Array,
    expiry_delta: Array,
    side_delta: Array,
) -> None:
    """Add the profits of options to ``totals`` [path, cell] and their deltas to the others, as the kernel says."""
    add_options(
        terms,
        expiry_row,
        np.ascontiguousarray(forward_usd),
        np.ascontiguousarray(volatility),
        grid.parameters.volatility_up_floor_fraction,
        grid.settlement is Settlement.COIN,
        grid.growth,
        grid.log_growth,
        grid.which,
        # Volatility unchanged in the bucket of no move.
        grid.parameters.buckets_per_side_count * VOLATILITIES + 1,
        totals,
        expiry_delta,
        side_delta,
    )
