"""Many dYdX subaccounts at once: the rule of ``subaccount_model`` by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolModel, PoolState
from margincover.venues.dydx.integers import PPM
from margincover.venues.dydx.subaccount_model import (
    QUANTUMS_PER_USDC,
    DydxSubaccount,
    ceil_ppm,
    cut,
    is_whole,
    to_usdc,
)
from margincover.venues.revalue import added, wallet_and_profit
from margincover.venues.stacked import Merged, RequiredRows

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxStack:
    """Rules by leg, [leg, 1]: parts per million, caps in quote quantums; ``open_interest`` 0 where nothing scales."""

    merged: Merged
    base_ppm: Paths
    maintenance_ppm: Paths
    lower: Paths
    upper: Paths
    open_interest: Paths
    least_ppm: Paths

    def held(self, state: PoolState) -> Paths:
        """Return net collateral, each position's value cut towards zero to a quantum."""
        legs, value = state.pool.legs, self._value(state)
        lost = np.where(is_whole(value), 0.0, value - np.floor(value))
        off = np.copysign(to_usdc(lost), legs.signed_size[:, None])
        return added(wallet_and_profit(state, with_options=False), legs.asset_index, -off)

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: USDC at face value."""
        return held * asset_price

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return one row for each position."""
        value = cut(self._value(state))
        maintenance = to_usdc(ceil_ppm(ceil_ppm(value, self.base_ppm), self.maintenance_ppm))
        initial = to_usdc(ceil_ppm(value, np.maximum(self._initial_ppm(state), self.least_ppm)))
        asset = state.pool.legs.asset_index.astype(np.int64)
        return (RequiredRows(asset=asset, maintenance=maintenance, initial=initial),)

    def _value(self, state: PoolState) -> Paths:
        size = np.abs(state.pool.legs.signed_size)[:, None]
        return np.asarray(size * state.leg_price * QUANTUMS_PER_USDC, dtype=np.float64)

    def _initial_ppm(self, state: PoolState) -> Paths:
        value = cut(self.open_interest * state.leg_price * QUANTUMS_PER_USDC)
        share = np.clip((value - self.lower) / np.maximum(self.upper - self.lower, 1.0), 0.0, 1.0)
        between = self.base_ppm + cut((PPM - self.base_ppm) * share)
        scaled = np.where(value <= self.lower, self.base_ppm, np.where(value >= self.upper, float(PPM), between))
        return np.asarray(np.where(self.open_interest > 0.0, scaled, self.base_ppm), dtype=np.float64)


def can_stack(model: PoolModel, pool: MarginPool) -> bool:
    """Return whether the stack holds the model: it holds every subaccount."""
    return isinstance(model, DydxSubaccount)


def stack(models: Sequence[PoolModel], merged: Merged) -> DydxStack:
    """Return the rule of many subaccounts."""
    markets = [market for model in models if isinstance(model, DydxSubaccount) for market in model.markets]

    def column(values: list[float]) -> Paths:
        return np.array(values, dtype=np.float64).reshape(-1, 1)

    scales = [not m.is_bounded and m.tier.open_interest_upper_cap > 0 for m in markets]
    return DydxStack(
        merged=merged,
        base_ppm=column([m.tier.initial_margin_ppm for m in markets]),
        maintenance_ppm=column([m.tier.maintenance_fraction_ppm for m in markets]),
        lower=column([m.tier.open_interest_lower_cap for m in markets]),
        upper=column([m.tier.open_interest_upper_cap for m in markets]),
        open_interest=column([(m.open_interest or 0.0) if on else 0.0 for m, on in zip(markets, scales, strict=True)]),
        # The whole value where it is not known what open interest asks.
        least_ppm=column([PPM if m.is_bounded else m.custom_ppm for m in markets]),
    )
