"""Binance USD-M multi-assets mode behind a pool.

What is owned counts at the bid rate of its asset, what is owed or required at the ask rate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import RulebookError
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.model.rules import HaircutLadder
from margincover.numeric.arrays import Vector, frozen
from margincover.venues.binance import multi_assets
from margincover.venues.binance.account import ladder_uses, leg_requirement, require_counted_debts
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

# Prefix of the collateral keys by which a rule file states buffers: the same coin may have another rate elsewhere.
LADDER_PREFIX = "usdm_multi_assets/"
_ORDER_NOTE = (
    "resting orders take the one-way rule of single-asset mode, converted at the ask rate: the venue's text on "
    "multi-assets mode does not restate it; orders do not enter maintenance"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiAssetsModel:
    """Model of the account.

    ``bid_buffer_fraction``, ``ask_buffer_fraction`` [asset] are fractions of the index price; ``order_rate`` [asset] is
    USD per unit of the initial margin of resting orders at ``as_of``.
    """

    bid_buffer_fraction: Vector
    ask_buffer_fraction: Vector
    order_rate: Vector
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    initial_known: bool
    is_separable: bool = True
    order_note: str = _ORDER_NOTE

    def held(self, state: PoolState) -> Paths:
        """Return asset equity: wallet and unrealised profit."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what each asset counts: at the bid where owned, at the ask where owed."""
        bid, ask = self._rates(asset_price)
        return multi_assets.counted_usd(held, bid_rate=bid, ask_rate=ask)

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each leg, at the ask rate of its margin asset."""
        _, ask = self._rates(state.asset_price)
        return tuple(
            leg_requirement(state, leg, rate=ask[int(asset)], multiple=1.0, detailed=detailed)
            for leg, asset in enumerate(state.pool.legs.asset_index)
        )

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: what is owed counts at the ask rate and has no requirement of its own."""
        return ()

    def _rates(self, asset_price: Paths) -> tuple[Paths, Paths]:
        return multi_assets.asset_rates(
            asset_price,
            bid_buffer_fraction=self.bid_buffer_fraction[:, None],
            ask_buffer_fraction=self.ask_buffer_fraction[:, None],
        )


def build(request: ModelRequest) -> MultiAssetsModel:
    """Return the model of an account in multi-assets mode.

    Raises
    ------
    RulebookError
        If an asset that is held, owed or settles a position has no buffers in force.
    InputError
        If a debt is marked as not counted.
    """
    pool, ladders = request.pool, request.rulebook.ladders
    settle = {int(index) for index in pool.legs.asset_index}
    bids, asks, stated, packaged = [], [], {}, []
    for asset, name in enumerate(pool.assets.assets):
        needed = asset in settle or pool.assets.balance_native[asset] != 0.0
        ladder = ladders.get(f"{LADDER_PREFIX}{name}")
        if ladder is not None:
            bid, ask = _stated_buffers(request, name, ladder)
            stated[name] = ladder
        elif needed:
            edition, found = _packaged_buffers(request, name)
            packaged.append(edition)
            bid, ask = found.bid_buffer_fraction, found.ask_buffer_fraction
        else:
            # Nothing of it is held, and nothing can come to be held: it counts nothing at any rate.
            bid, ask = 0.0, 0.0
        bids.append(bid)
        asks.append(ask)
    require_counted_debts(request)
    limit = request.edition("multi_assets_auto_exchange", "*")
    exchange = _exchange_notes(pool, limit)
    used = [*packaged, limit] if exchange else packaged
    return MultiAssetsModel(
        bid_buffer_fraction=frozen(bids, name="bid_buffer", ndim=1),
        ask_buffer_fraction=frozen(asks, name="ask_buffer", ndim=1),
        order_rate=frozen(pool.assets.price_unit * (1.0 + np.asarray(asks)), name="order_rate", ndim=1),
        notes=(*_sample_notes(packaged), *exchange, *edition_notes(used, request.at)),
        editions=(*edition_uses(used, request.at), *ladder_uses(request, stated)),
        initial_known=bool(pool.legs.initial_known.all()),
    )


def _stated_buffers(request: ModelRequest, asset: str, ladder: HaircutLadder) -> tuple[float, float]:
    """Return bid and ask buffer of a collateral edition: one weight for every amount, and what a debt counts."""
    if len(ladder.slices) != 1 or ladder.slices[0].cap != float("inf") or ladder.owed_weight is None:
        raise RulebookError(
            f"{len(ladder.slices)} slices, owed_weight {ladder.owed_weight}",
            source=f"rules of {request.pool.venue}",
            account=request.account.id,
            field=f"collateral.{LADDER_PREFIX}{asset}",
            allowed="slices = [[0, inf, 1 - bidBuffer]] and owed_weight = 1 + askBuffer, of GET /fapi/v1/assetIndex",
        )
    return 1.0 - ladder.slices[0].weight, ladder.owed_weight - 1.0


def _packaged_buffers(request: ModelRequest, asset: str) -> tuple[ParameterEdition, multi_assets.MultiAssetsParameters]:
    try:
        edition = request.edition("multi_assets", asset)
    except RulebookError as error:
        raise RulebookError(
            f"{asset} has no buffers in force at {request.at:%Y-%m-%d}",
            source=f"rules of {request.pool.venue}",
            account=request.account.id,
            field=f"balances.{asset}",
            allowed=f'an edition of collateral by --rules DIR with the key "{LADDER_PREFIX}{asset}" (slices = '
            "[[0, inf, 1 - bidBuffer]], owed_weight = 1 + askBuffer, of GET /fapi/v1/assetIndex), or is_collateral = "
            "false for a coin that the venue does not count",
        ) from error
    source = f"{edition.venue}.toml {edition.id}"
    return edition, multi_assets.MultiAssetsParameters.from_mapping(edition.values, source=source)


def _sample_notes(editions: list[ParameterEdition]) -> tuple[str, ...]:
    if not editions:
        return ()
    days = ", ".join(f"{edition.underlying} {edition.observed:%Y-%m-%d}" for edition in editions)
    return (
        f"multi-assets buffers are samples that the venue changes ({days}): state those of GET /fapi/v1/assetIndex "
        "by --rules DIR",
    )


def _exchange_notes(pool: MarginPool, edition: ParameterEdition) -> tuple[str, ...]:
    """Return one note for each wallet that the venue fills by selling other assets."""
    source = f"{edition.venue}.toml {edition.id}"
    limit = multi_assets.AutoExchangeParameters.from_mapping(edition.values, source=source)
    due = multi_assets.auto_exchange_due(
        pool.assets.balance_native, index_price=pool.assets.price_unit, parameters=limit
    )
    return tuple(
        f"{name} wallet of {amount:,.2f} lies below the auto-exchange threshold of -{limit.deficit_threshold_usd:,.0f} "
        "USD: the venue sells other assets to fill it, at a cost within the auto-exchange buffers that is not modelled"
        for name, amount, is_due in zip(pool.assets.assets, pool.assets.balance_native, due, strict=True)
        if is_due
    )
