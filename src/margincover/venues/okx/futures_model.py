"""OKX futures mode of one currency where it holds options: what is held and what the positions require.

The venue's ratio of a currency is (cash + profit of perpetuals and futures) / (maintenance + liquidation fees). The
value of options is outside it: a premium received is cash, and what it costs to buy an option back stands in the margin
of the short option, which holds its mark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.okx import parts
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FuturesModel:
    """Model of one currency; ``options`` holds the terms by option."""

    options: tuple[parts.OptionTerms, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    initial_known: bool
    is_separable: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return wallet and profits: long options are no collateral, short ones stand in the requirement."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: one currency, no haircut."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each leg and each short option."""
        legs = parts.leg_requirements(state, detailed=detailed)
        return (*legs, *parts.option_requirements(state, self.options, detailed=detailed))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: nothing is borrowed in this mode."""
        return ()


def build(request: ModelRequest) -> FuturesModel:
    """Return the model of one currency of an account in futures mode.

    Raises
    ------
    RulebookError, InputError
        As ``parts.option_terms``.
    """
    terms, editions = parts.option_terms(request)
    return FuturesModel(
        options=terms,
        notes=(*edition_notes(editions, request.at), parts.FEE_NOTE),
        editions=edition_uses(editions, request.at),
        initial_known=bool(request.pool.legs.initial_known.all()),
    )
