"""Deribit cross standard margin (X:SM): the requirements of standard margin summed in USD over all currencies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector
from margincover.venues.deribit import collateral
from margincover.venues.deribit.segregated_standard import StandardRates, standard_rates
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

BALANCE_NOTE = (
    "the margin balance of cross standard margin is taken without the value of options, as in segregated standard "
    "margin: long options count for nothing, and a short option's mark stands in its requirement (INFERRED)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossStandard:
    """Model of a cross account in standard margin, in USD; ``haircut`` [asset] as fractions."""

    rates: StandardRates
    haircut: Vector
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return wallet and profit of futures by currency: options count in the requirement."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what each currency counts in USD after its haircut; a debt counts in full."""
        return collateral.counted_value(held, asset_price, self.haircut)

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each future and each short option, in USD."""
        done = []
        for asset, part in self.rates.requirements(state):
            price = state.asset_price[asset]
            done.append(replace(part, maintenance=part.maintenance * price, initial=part.initial * price))
        return tuple(done)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance counts against the equity, and has no requirement of its own."""
        return ()


def build(request: ModelRequest) -> CrossStandard:
    """Return the model of a cross account in standard margin."""
    rates, editions = standard_rates(request)
    haircut, edition = collateral.haircuts(request)
    used = (*editions, edition)
    notes = (BALANCE_NOTE, *collateral.haircut_note(request.pool, haircut), *rates.notes)
    return CrossStandard(
        rates=rates,
        haircut=haircut,
        notes=(*notes, *edition_notes(used, request.at)),
        editions=edition_uses(used, request.at),
    )
