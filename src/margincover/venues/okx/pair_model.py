"""OKX isolated spot-margin pair: what was bought on credit, with its margin, against what is owed, in USD.

The pair is an account of its own in a book: its assets, with a margin in the same coin, as one balance, and its
liability as the borrowed amount of another, which holds a margin in that coin as its total.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.position import Balance
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector, frozen
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.okx import parts
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairModel:
    """Model of one pair; ``beside_native`` [asset] is what is held of the coin that is owed, >= 0."""

    beside_native: Vector
    loans: tuple[parts.LoanTerms, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the assets and the liability of the pair."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return their values: an isolated pair has no discount."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return nothing: a pair holds no contracts."""
        return ()

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the maintenance of the liability and the fee of repaying it."""
        # A margin in the coin that is owed does not lower the liability on which maintenance is charged.
        gross = held - self.beside_native[:, None]
        return parts.loan_requirements(pool, self.loans, gross, asset_price, detailed=detailed)


def build(request: ModelRequest) -> PairModel:
    """Return the model of a pair.

    Raises
    ------
    InputError
        If the account holds contracts, or does not hold one coin and owe another.
    RulebookError
        If the coin that is owed has no maintenance rate of loans.
    """
    rows, owed = _sides(request)
    stated = request.account.taker_fee_fraction
    fee = request.rule.default_taker_fee_fraction if stated is None else max(stated, 0.0)
    loans, editions = parts.loan_terms(request, fee_fraction=fee, owed=owed)
    beside = [max(row.total_native, 0.0) if k in owed else 0.0 for k, row in enumerate(rows)]
    return PairModel(
        beside_native=frozen(beside, name="beside", ndim=1),
        loans=loans,
        notes=(*edition_notes(editions, request.at), parts.LOAN_NOTE),
        editions=edition_uses(editions, request.at),
    )


def _sides(request: ModelRequest) -> tuple[list[Balance], list[int]]:
    """Return the two balances of a pair and the row of the one that is owed, as the errors of ``build`` say."""
    held = (*request.pool.legs.symbols, *request.pool.options.symbols)
    if held:
        raise InputError(
            f"{', '.join(held)} stood in an isolated pair", field="positions", allowed="none: a pair is two balances"
        )
    by_asset = {balance.asset: balance for balance in request.account.balances}
    rows = [by_asset[asset] for asset in request.pool.assets.assets]
    owed = [k for k, row in enumerate(rows) if row.borrowed_native > 0.0 or row.total_native < 0.0]
    if len(rows) != 2 or len(owed) != 1:
        raise InputError(
            f"balances were {', '.join(f'{r.total_native:g} {r.asset}, {r.borrowed_native:g} borrowed' for r in rows)}",
            field="balances",
            allowed="two: the assets of the pair, and the coin that is borrowed, with a margin in it as its total",
        )
    return rows, owed
