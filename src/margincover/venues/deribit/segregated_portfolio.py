"""Deribit segregated portfolio margin (S:PM) of one currency: equity against the extended risk matrix of its pairs.

The matrix measures losses from the marks, so the value of options stands in the margin balance. A coin's pool has one
pair; a USDC pool may have several, whose margins are added: an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.deribit import matrix_explain
from margincover.venues.deribit.cells import BookCells
from margincover.venues.deribit.matrix import MatrixMargin, margin_of_cells
from margincover.venues.deribit.pair_book import PairBook, pair_books, stated_rate_notes
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

BALANCE_NOTE = (
    "the margin balance in portfolio margin is taken as the equity with the value of options: the matrix measures "
    "losses from the marks (INFERRED)"
)
OPTIONS_NOTE = (
    "the cells of options follow the published formulas and were not yet held against a response with options "
    "(SECONDARY)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegregatedPortfolio:
    """Model of one currency; ``pairs`` hold the positions and parameters of each matrix."""

    pairs: tuple[PairBook, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the equity: wallet, profit of futures, value of options."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: one currency, no haircut."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the matrix margin of each pair."""
        done = []
        for pair in self.pairs:
            cells, margin = self.matrix(state, pair)
            initial = margin.initial - self._orders(state.pool)
            part = Requirement(
                label=f"{pair.label} risk matrix", maintenance=margin.maintenance, initial=initial, detail="risk matrix"
            )
            if detailed:
                part = matrix_explain.with_trees(part, state=state, pair=pair, cells=cells, margin=margin)
            done.append(part)
        return tuple(done)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance has no requirement of its own."""
        return ()

    def matrix(self, state: PoolState, pair: PairBook) -> tuple[BookCells, MatrixMargin]:
        """Return the cells of a pair and its margin with all figures that the venue prints."""
        cells, index = pair.cells(state), pair.index_on_paths(state)
        roll, shock = cells.shocks_coin(index_usd=index, parameters=pair.parameters)
        margin = margin_of_cells(
            cells.vectors,
            roll_coin=roll,
            shock_coin=shock,
            index_usd=index,
            settlement=pair.settlement,
            parameters=pair.parameters,
            order_margin=self._orders(state.pool),
        )
        return cells, margin

    def _orders(self, pool: MarginPool) -> float:
        # The venue rounds initial margin with the orders inside; they are added to the pool, so taken off here.
        return pool.open_order_initial if len(self.pairs) == 1 else 0.0


def build(request: ModelRequest) -> SegregatedPortfolio:
    """Return the model of a segregated pool in portfolio margin."""
    pairs, editions = pair_books(request)
    notes = [BALANCE_NOTE, *stated_rate_notes(request), *edition_notes(editions, request.at)]
    if request.pool.options.count:
        notes.append(OPTIONS_NOTE)
    if len(pairs) > 1:
        # The dampener belongs to the currency and counts once; in every pair's matrix it would lower the sum too far.
        pairs = tuple(replace(pair, parameters=replace(pair.parameters, extended_dampener_usd=0.0)) for pair in pairs)
        notes.append(
            f"margin of {request.pool.unit} adds the matrices of {', '.join(pair.label for pair in pairs)} without the "
            "dampener: an upper bound, as the venue's offset between pairs is not published"
        )
    return SegregatedPortfolio(pairs=pairs, notes=tuple(notes), editions=edition_uses(editions, request.at))
