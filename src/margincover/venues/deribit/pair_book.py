"""Pairs of a pool: which positions of one coin and settlement share a risk matrix, and their tables in any state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState
from margincover.venues.deribit.book import Array, DeltaOneLegs, OptionLegs, Settlement
from margincover.venues.deribit.cells import BookCells, book_cells
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.models import ModelRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class PairBook:
    """Positions of one coin that settle in one asset.

    Parameters
    ----------
    base, quote : str
    settlement : Settlement
    legs, options : tuple of int
        Rows of the pool's leg and option tables.
    asset : int
        Row of the settle asset in the pool's assets.
    factor : int
        Factor that moves the index.
    index : float
        In the quote asset at ``as_of``.
    parameters : MatrixParameters
    """

    base: str
    quote: str
    settlement: Settlement
    legs: tuple[int, ...]
    options: tuple[int, ...]
    asset: int
    factor: int
    index: float
    parameters: MatrixParameters

    @property
    def label(self) -> str:
        """Name of the pair as the venue writes it."""
        return f"{self.base}_{self.quote}".lower()

    def index_on_paths(self, state: PoolState) -> Array:
        """Return the index in the quote asset, [path]."""
        return np.asarray(self.index * state.factor_ratio[self.factor], dtype=np.float64)

    def cells(self, state: PoolState, *, price: float = 1.0) -> BookCells:
        """Return cells and deltas; ``price`` turns the quote asset into the unit of the cells of linear legs."""
        return book_cells(
            self.delta_one(state, price=price),
            self.option_legs(state, price=price),
            settlement=self.settlement,
            parameters=self.parameters,
        )

    def delta_one(self, state: PoolState, *, rows: Sequence[int] | None = None, price: float = 1.0) -> DeltaOneLegs:
        """Return the table of perpetuals and futures, or of some of their rows."""
        table, chosen = state.pool.legs, list(self.legs if rows is None else rows)
        sign = np.sign(table.signed_size[chosen])[:, None]
        if self.settlement is Settlement.COIN:
            size = sign * state.leg_notional[chosen]
        else:
            size = np.repeat(table.signed_size[chosen][:, None], state.n_paths, axis=1)
        return DeltaOneLegs(
            size_coin=size,
            mark_usd=state.leg_price[chosen] * price,
            expiry=self._expiries(state.pool, table.years[chosen]),
            # A perpetual has no time; a future past its expiry has none left.
            years=np.maximum(table.years[chosen] - state.elapsed_years, 0.0),
        )

    def option_legs(self, state: PoolState, *, rows: Sequence[int] | None = None, price: float = 1.0) -> OptionLegs:
        """Return the table of options, or of some of their rows."""
        table, chosen = state.pool.options, list(self.options if rows is None else rows)
        return OptionLegs(
            quantity_coin=state.option_quantity[chosen],
            forward_usd=state.option_forward[chosen] * price,
            volatility=state.option_volatility[chosen],
            strike_usd=table.strike[chosen] * price,
            years=state.option_years[chosen],
            is_call=table.is_call[chosen],
            expiry=self._expiries(state.pool, table.years[chosen]),
        )

    def _expiries(self, pool: MarginPool, years: Array) -> NDArray[np.int64]:
        """Return the number of each expiry: the place of its time among all of the pair; perpetuals are one.

        Times of one expiry are the same number, as they come from the same two instants.
        """
        every = np.concatenate((pool.legs.years[list(self.legs)], pool.options.years[list(self.options)]))
        return np.searchsorted(np.unique(every), years).astype(np.int64)

    def expiry_names(self, pool: MarginPool) -> list[str]:
        """Return a name for each expiry number: the date in the symbols, or ``perpetual``."""
        numbers, names = [], []
        for row in self.legs:
            numbers.append(float(pool.legs.years[row]))
            names.append("perpetual" if numbers[-1] == 0.0 else pool.legs.symbols[row].split("-")[1])
        for row in self.options:
            numbers.append(float(pool.options.years[row]))
            names.append(pool.options.symbols[row].split("-")[1])
        return [names[numbers.index(one)] for one in sorted(set(numbers))]


def pair_books(request: ModelRequest) -> tuple[tuple[PairBook, ...], tuple[ParameterEdition, ...]]:
    """Return the pairs of a pool in the order of its positions, and the editions of their matrices.

    Raises
    ------
    RulebookError
        If no matrix parameters of a coin are in force.
    InputError
        If the market states no index of a coin.
    """
    pool = request.pool
    found, editions = [], []
    for key in dict.fromkeys(_keys(pool)):
        base, quote, inverse = key
        legs = tuple(k for k in range(pool.legs.count) if _leg_key(pool, k) == key)
        options = tuple(k for k in range(pool.options.count) if _option_key(pool, k) == key)
        edition = request.edition("matrix_coin" if inverse else "matrix_usd", base)
        editions.append(edition)
        found.append(
            PairBook(
                base=base,
                quote=quote,
                settlement=Settlement.COIN if inverse else Settlement.USD,
                legs=legs,
                options=options,
                asset=int(pool.legs.asset_index[legs[0]] if legs else pool.options.asset_index[options[0]]),
                factor=int(pool.legs.factor_index[legs[0]] if legs else pool.options.factor_index[options[0]]),
                index=request.index(base, quote),
                parameters=matrix_parameters(edition),
            )
        )
    return tuple(found), tuple(editions)


def matrix_parameters(edition: ParameterEdition) -> MatrixParameters:
    """Return the record of a matrix edition."""
    return MatrixParameters.from_mapping(edition.values, source=f"{edition.venue}.toml {edition.id}")


def stated_rate_notes(request: ModelRequest) -> list[str]:
    """Return a note for each position that states a maintenance rate: a risk matrix has no place for it."""
    symbols = [
        position.symbol
        for position in request.account.positions
        if position.maintenance_fraction is not None or position.maintenance_deduction_native is not None
    ]
    if not symbols:
        return []
    return [
        f"the maintenance rate stated for {', '.join(symbols)} is not used: a risk matrix has no rate of one position"
    ]


def _keys(pool: MarginPool) -> Iterator[tuple[str, str, bool]]:
    yield from (_leg_key(pool, k) for k in range(pool.legs.count))
    yield from (_option_key(pool, k) for k in range(pool.options.count))


def _leg_key(pool: MarginPool, row: int) -> tuple[str, str, bool]:
    return pool.legs.bases[row], pool.legs.quotes[row], bool(pool.legs.inverse[row])


def _option_key(pool: MarginPool, row: int) -> tuple[str, str, bool]:
    return pool.options.bases[row], pool.options.quotes[row], bool(pool.options.inverse[row])
