"""Many Binance accounts in multi-assets mode at once: the rule of ``multi_assets_model`` by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.venues.binance import multi_assets
from margincover.venues.binance.multi_assets_model import MultiAssetsModel
from margincover.venues.revalue import wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows, TieredLegs

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiAssetsStack:
    """``bid_buffer_fraction``, ``ask_buffer_fraction`` [asset, 1] are fractions of the index price."""

    tiers: TieredLegs
    bid_buffer_fraction: Paths
    ask_buffer_fraction: Paths

    def held(self, state: PoolState) -> Paths:
        """Return asset equity: wallet and unrealised profit."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what each asset counts: at the bid where owned, at the ask where owed."""
        bid, ask = self._rates(asset_price)
        return multi_assets.counted_usd(held, bid_rate=bid, ask_rate=ask)

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return one row for each leg, at the ask rate of its margin asset."""
        asset, notional = state.pool.legs.asset_index.astype(np.int64), state.leg_notional
        rate = self._rates(state.asset_price)[1][asset]
        maintenance, initial = self.tiers.maintenance(notional) * rate, self.tiers.initial(notional) * rate
        return (RequiredRows(asset=asset, maintenance=maintenance, initial=initial),)

    def _rates(self, asset_price: Paths) -> tuple[Paths, Paths]:
        return multi_assets.asset_rates(
            asset_price,
            bid_buffer_fraction=self.bid_buffer_fraction,
            ask_buffer_fraction=self.ask_buffer_fraction,
        )


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: it holds every account in this mode."""
    return isinstance(model, MultiAssetsModel)


def stack(models: Sequence[PoolModel], merged: Merged) -> MultiAssetsStack:
    """Return the rule of many accounts."""
    own = [model for model in models if isinstance(model, MultiAssetsModel)]
    return MultiAssetsStack(
        tiers=TieredLegs.of(merged.pool.legs),
        bid_buffer_fraction=np.concatenate([model.bid_buffer_fraction for model in own])[:, None],
        ask_buffer_fraction=np.concatenate([model.ask_buffer_fraction for model in own])[:, None],
    )
