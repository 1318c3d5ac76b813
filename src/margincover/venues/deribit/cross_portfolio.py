"""Deribit cross portfolio margin (X:PM): an upper bound in USD, pair by pair, with coin equity inside the matrices.

How the venue offsets pairs is not published; any offset lowers the sum of the separate worst cases. See
``cross.cross_margin_bound`` for the plain form of the same bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import RulebookError
from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector
from margincover.venues.assets import is_pegged
from margincover.venues.deribit import collateral, cross, matrix_explain
from margincover.venues.deribit.book import Settlement, Vectors
from margincover.venues.deribit.cells import BookCells
from margincover.venues.deribit.matrix import VOLATILITIES, delta_shock, standard_moves
from margincover.venues.deribit.pair_book import PairBook, matrix_parameters, pair_books, stated_rate_notes
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.deribit.segregated_portfolio import BALANCE_NOTE, OPTIONS_NOTE
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import row_total, wallet_and_profit

Paths = NDArray[np.float64]

BOUND_NOTE = (
    "cross portfolio margin is an upper bound: worst cases and shocks of pairs are added, as are those of coin-settled "
    "and USD-settled positions of one coin, without the dampener; a correlation contingency (0 in every response seen) "
    "is not in it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinRisk:
    """One coin of a cross account: its books by settlement, and the equity held in it.

    ``asset`` is the row of the coin in the pool's assets, or None where none is held. ``quote_price`` are the USD
    prices of the books' quote assets. ``parameters`` are those of the coin-settled matrix.
    """

    base: str
    books: tuple[PairBook, ...]
    quote_price: tuple[float, ...]
    asset: int | None
    factor: int
    index: float
    parameters: MatrixParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossPortfolio:
    """Model of a cross account in portfolio margin, in USD; ``haircut`` [asset] as fractions."""

    coins: tuple[CoinRisk, ...]
    haircut: Vector
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    # Equity in the matrix depends on the wallet, so the requirement is no table of one factor.
    is_separable: bool = False
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the equity by currency: wallet, profit of futures, value of options."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what each currency counts in USD after its haircut; a debt counts in full."""
        return collateral.counted_value(held, asset_price, self.haircut)

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the bound of each coin, in USD."""
        held = self.held(state)
        return tuple(_coin_requirement(state, coin, held, detailed=detailed) for coin in self.coins)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a debt counts against the equity, and a coin's debt moves in its matrix."""
        return ()


def build(request: ModelRequest) -> CrossPortfolio:
    """Return the model of a cross account in portfolio margin."""
    books, editions = pair_books(request)
    haircut, edition = collateral.haircuts(request)
    coins, more = _coins(request, books)
    used = (*editions, *more, edition)
    notes = [BOUND_NOTE, BALANCE_NOTE, *stated_rate_notes(request), *collateral.haircut_note(request.pool, haircut)]
    if request.pool.options.count:
        notes.append(OPTIONS_NOTE)
    return CrossPortfolio(
        coins=coins,
        haircut=haircut,
        notes=(*notes, *edition_notes(used, request.at)),
        editions=edition_uses(used, request.at),
    )


def _coins(
    request: ModelRequest, books: tuple[PairBook, ...]
) -> tuple[tuple[CoinRisk, ...], tuple[ParameterEdition, ...]]:
    assets = request.pool.assets
    owned = [name for k, name in enumerate(assets.assets) if not is_pegged(name) and assets.balance_native[k] != 0.0]
    found, editions = [], []
    for base in dict.fromkeys([*(book.base for book in books), *owned]):
        edition = request.edition("matrix_coin", base)
        editions.append(edition)
        row = assets.assets.index(base) if base in assets.assets else None
        mine = tuple(book for book in books if book.base == base)
        parameters = matrix_parameters(edition)
        _require_one_grid(request, mine, parameters)
        found.append(
            CoinRisk(
                base=base,
                books=mine,
                quote_price=tuple(1.0 if book.quote == "USD" else request.index(book.quote) for book in mine),
                asset=row,
                factor=mine[0].factor if mine else int(assets.factor_index[assets.assets.index(base)]),
                index=request.index(base),
                parameters=parameters,
            )
        )
    return tuple(found), tuple(editions)


def _require_one_grid(request: ModelRequest, books: tuple[PairBook, ...], parameters: MatrixParameters) -> None:
    for book in books:
        for key in ("price_range_fraction", "buckets_per_side_count", "extended_moves"):
            if getattr(book.parameters, key) != getattr(parameters, key):
                raise RulebookError(
                    f"{book.label} was {getattr(book.parameters, key)}",
                    account=request.account.id,
                    field=key,
                    allowed=f"{getattr(parameters, key)}, as in the coin-settled matrix",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Figures of one coin in USD, [path]: worst cases by label, roll and delta shock, with the cells behind them."""

    worst: tuple[tuple[str, Paths, Vectors, tuple[tuple[PairBook, float], ...]], ...]
    roll: Paths
    shock: Paths


def _coin_requirement(state: PoolState, coin: CoinRisk, held: Paths, *, detailed: bool) -> Requirement:
    parts = _parts(state, coin, held)
    risk = row_total(np.stack([worst for _, worst, _, _ in parts.worst])) + parts.roll + parts.shock
    factor = coin.parameters.maintenance_factor_fraction
    label = f"{coin.base} risk matrix"
    done = Requirement(label=label, maintenance=factor * risk, initial=risk, detail="upper bound")
    if not detailed:
        return done
    nodes = _nodes(state, coin, parts)
    return replace(
        done,
        initial_tree=summed(label, state.pool.unit, nodes, "upper bound"),
        maintenance_tree=summed(
            label,
            state.pool.unit,
            tuple(matrix_explain.scaled(node, factor) for node in nodes),
            f"{factor:.4g} of the upper bound on the risk matrix margin",
        ),
    )


def _parts(state: PoolState, coin: CoinRisk, held: Paths) -> _Parts:
    index = np.asarray(coin.index * state.factor_ratio[coin.factor], dtype=np.float64)
    p, zero = coin.parameters, np.zeros(state.n_paths)
    equity = zero if coin.asset is None else held[coin.asset]
    in_coin = cross.equity_cells_usd(equity, index_usd=index, parameters=p)
    settled: list[tuple[PairBook, float]] = []
    apart, roll = [], zero
    deltas = [zero, zero, zero]
    for book, price in zip(coin.books, coin.quote_price, strict=True):
        cells: BookCells = book.cells(state, price=price)
        if book.settlement is Settlement.COIN:
            in_coin = in_coin + cross.coin_cells_in_usd(cells.vectors, index_usd=index, parameters=p)
            settled.append((book, price))
        else:
            loss = cross.cells_loss(cells.vectors)
            apart.append((f"worst case of {book.quote}-settled positions", loss, cells.vectors, ((book, price),)))
        roll = roll + row_total(cells.roll_parts(book.parameters)) * index
        own = (cells.futures_delta, cells.long_option_delta, cells.short_option_delta)
        deltas = [total + more for total, more in zip(deltas, own, strict=True)]
    shock = delta_shock(
        futures_delta=deltas[0],
        long_option_delta=deltas[1],
        short_option_delta=deltas[2],
        index_usd=index,
        parameters=p,
    )
    label = f"worst case of {coin.base} equity" + (" and coin-settled positions" if settled else "")
    first = (label, cross.cells_loss(in_coin), in_coin, tuple(settled))
    return _Parts(worst=(first, *apart), roll=roll, shock=shock * index)


def _nodes(state: PoolState, coin: CoinRisk, parts: _Parts) -> tuple[ExplainNode, ...]:
    unit = state.pool.unit
    nodes = []
    for label, worst, cells, books in parts.worst:
        value = float(worst[0])
        if value <= 0.0:
            nodes.append(ExplainNode(label=label, value=value, unit=unit, detail="no cell loses"))
            continue
        outer, row, detail = matrix_explain.worst_cell(cells, coin.parameters)
        losses = _losses_usd(state, coin, books, outer=outer, row=row)
        children = matrix_explain.loss_nodes(losses, value, rest=f"{coin.base} equity", unit=unit)
        nodes.append(ExplainNode(label=label, value=value, unit=unit, detail=detail, children=children))
    nodes.append(ExplainNode(label="roll shock", value=float(parts.roll[0]), unit=unit))
    nodes.append(ExplainNode(label="delta shock", value=float(parts.shock[0]), unit=unit))
    return tuple(nodes)


def _losses_usd(
    state: PoolState, coin: CoinRisk, books: tuple[tuple[PairBook, float], ...], *, outer: bool, row: int
) -> list[tuple[str, float]]:
    """Return symbol and loss in USD of each position in one cell of the first path."""
    p, done = coin.parameters, []
    for book, price in books:
        losses = matrix_explain.position_losses(state, book, outer=outer, row=row, price=price)
        unit = 1.0
        if book.settlement is Settlement.COIN:
            edge = float(np.sign(p.extended_moves[row])) * p.price_range_fraction if outer else 0.0
            move = edge if outer else float(standard_moves(p)[row // VOLATILITIES])
            unit = coin.index * float(state.factor_ratio[coin.factor, 0]) * (1.0 + move)
        done += [(name, loss * unit) for name, loss in losses]
    return done
