"""OKX multi-currency margin: every coin of the account after its discount against all positions and loans, in USD.

A coin's equity is wallet, profits and the value of short options; long options are no collateral. Positive equity takes
the coin's discount ladder, negative equity counts in full and is a loan with margins of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector, frozen
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.okx import parts
from margincover.venues.revalue import counted_by_ladder, wallet_and_profit

Paths = NDArray[np.float64]
_SHORT_NOTE = (
    "the value of short options lowers the coin's equity and their mark stands in their margin as well, as the "
    "published formulas read together: errs to the safe side if the venue counts it once"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiCurrencyModel:
    """Model of the account; ``frozen_native`` [asset] is what resting orders hold of each coin, >= 0."""

    options: tuple[parts.OptionTerms, ...]
    loans: tuple[parts.LoanTerms, ...]
    frozen_native: Vector
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    initial_known: bool
    is_separable: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return wallet, profits and the value of short options, < 0."""
        held = wallet_and_profit(state, with_options=False)
        for option, asset in enumerate(state.pool.options.asset_index):
            held[asset] += np.minimum(state.option_value[option], 0.0)
        return held

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the discounted equity of each coin less what orders hold: adjEq is their sum."""
        return counted_by_ladder(pool, held, asset_price) - self.frozen_native[:, None] * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each leg and each short option."""
        legs = parts.leg_requirements(state, detailed=detailed)
        return (*legs, *parts.option_requirements(state, self.options, detailed=detailed))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the margin and the fee of every coin that is owed."""
        return parts.loan_requirements(pool, self.loans, held, asset_price, detailed=detailed)


def build(request: ModelRequest) -> MultiCurrencyModel:
    """Return the model of an account in multi-currency mode.

    Raises
    ------
    RulebookError, InputError
        As ``parts.option_terms`` and ``parts.loan_terms``.
    """
    terms, option_editions = parts.option_terms(request)
    loans, loan_editions = parts.loan_terms(request)
    editions = (*option_editions, *loan_editions)
    notes = [*edition_notes(editions, request.at)]
    if request.pool.options.count:
        notes += [parts.FEE_NOTE, _SHORT_NOTE]
    if loans:
        notes.append(parts.LOAN_NOTE)
    return MultiCurrencyModel(
        options=terms,
        loans=loans,
        frozen_native=frozen_by_orders(request),
        notes=tuple(notes),
        editions=edition_uses(editions, request.at),
        initial_known=bool(request.pool.legs.initial_known.all()),
    )


def frozen_by_orders(request: ModelRequest) -> Vector:
    """Return what resting orders hold of each coin of the pool, [asset], in the coin."""
    locked = {balance.asset: balance.locked_native for balance in request.account.balances if balance.is_collateral}
    return frozen([locked.get(asset, 0.0) for asset in request.pool.assets.assets], name="frozen", ndim=1)
