"""Many Paradex cross accounts without options at once: the rule of ``cross_model`` by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.venues.paradex.cross_model import ParadexCross
from margincover.venues.revalue import wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows, TieredLegs

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualStack:
    """``by_leverage`` [leg, 1] is the share of the notional that the chosen leverage asks, taker fee included."""

    tiers: TieredLegs
    by_leverage: Paths

    def held(self, state: PoolState) -> Paths:
        """Return wallet and profits."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: USDC at face value."""
        return held * asset_price

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return one row for each perpetual."""
        notional = state.leg_notional
        maintenance = np.maximum(self.tiers.maintenance(notional), self.by_leverage * notional)
        asset = state.pool.legs.asset_index.astype(np.int64)
        return (RequiredRows(asset=asset, maintenance=maintenance, initial=self.tiers.initial(notional)),)


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: an account of perpetuals alone."""
    return isinstance(model, ParadexCross) and not model.groups


def stack(models: Sequence[PoolModel], merged: Merged) -> PerpetualStack:
    """Return the rule of many accounts."""
    least = [value for model in models if isinstance(model, ParadexCross) for value in model.least_maintenance]
    legs = merged.pool.legs
    share = np.array(least, dtype=np.float64) + legs.fee_on_notional_fraction
    return PerpetualStack(tiers=TieredLegs.of(legs), by_leverage=share[:, None])
