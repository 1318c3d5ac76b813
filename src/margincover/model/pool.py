"""MarginPool: one equity set against one maintenance requirement, compiled to arrays.

A venue account holds one pool in cross margin (or one per settle asset) and one more for every isolated position.
The pool is what is liquidated, so it is what is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.model.option_table import OptionTable
from margincover.model.pool_model import PoolModel
from margincover.model.rules import TickRule
from margincover.model.spot_volatility import SpotVolatility
from margincover.numeric.arrays import IndexVector, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class LegTable:
    """Legs of one pool, one array entry per position.

    With mark p the leg has, in its settle asset,

    - linear:  notional = size * p,  profit = signed_size * (p - entry)
    - inverse: notional = size / p,  profit = signed_size * (1 / entry - 1 / p)

    where size = |contracts| * multiplier in base (linear) or quote (inverse) units. Then

    - maintenance = tier line on notional (or ``maintenance_constant`` alone when the venue uses entry value)
                    + fee_on_notional_fraction * notional + maintenance_constant
    - initial     = initial_fraction * notional + initial_constant

    Parameters
    ----------
    instrument_ids, symbols, factors : tuple of str [leg]
    factor_index : IndexVector [leg]
        Index into the pool's ``factors``.
    asset_index : IndexVector [leg]
        Index into the pool's assets: where profit and margin of the leg are counted.
    inverse : bool array [leg]
    signed_size, entry_price, mark_price : Vector [leg]
    tier_start, tier_count : IndexVector [leg]
        Slice of the flat tier arrays; count 0 means that maintenance does not depend on the mark's tier.
    tier_floor, tier_fraction, tier_deduction : Vector [tier]
        Bands by notional in the settle asset; the rate applies to the whole notional, less the deduction.
    fee_on_notional_fraction, maintenance_constant : Vector [leg]
    initial_fraction, initial_constant : Vector [leg]
        NaN never stands here: a leg without known leverage has ``initial_known`` False and zeros.
    initial_known : bool array [leg]
    funding_per_hour : Vector [leg]
        Cost as a fraction of notional per hour, > 0 is paid by the leg, whatever its side.
    tick : Vector [leg]
        0 where not known.
    bases, quotes, products : tuple of str [leg]
        Underlying coin, quote asset and product line.
    years : Vector [leg]
        Time to expiry of a dated future in years of 365 days at ``as_of``; 0 for a perpetual.
    leverage : Vector [leg]
        Leverage chosen at the venue; 0 where it was not stated.
    """

    instrument_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    buckets: tuple[str, ...]
    factor_index: IndexVector
    asset_index: IndexVector
    inverse: NDArray[np.bool_]
    signed_size: Vector
    entry_price: Vector
    mark_price: Vector
    tier_start: IndexVector
    tier_count: IndexVector
    tier_floor: Vector
    tier_fraction: Vector
    tier_deduction: Vector
    fee_on_notional_fraction: Vector
    maintenance_constant: Vector
    initial_fraction: Vector
    initial_constant: Vector
    initial_known: NDArray[np.bool_]
    funding_per_hour: Vector
    tick: Vector
    bases: tuple[str, ...]
    quotes: tuple[str, ...]
    products: tuple[str, ...]
    years: Vector
    leverage: Vector

    @property
    def count(self) -> int:
        """Number of legs."""
        return len(self.instrument_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetTable:
    """Assets of one pool.

    Parameters
    ----------
    assets : tuple of str [asset]
    balance_native : Vector [asset]
        Wallet balance less what is borrowed, before unrealised profit.
    price_unit : Vector [asset]
        Price of one unit in the pool's unit at ``as_of``; 1 for a single-asset pool.
    factor_index : IndexVector [asset]
        Factor that moves ``price_unit``, or -1 when it is held constant along paths.
    slice_start, slice_count : IndexVector [asset]
    slice_floor, slice_cap, slice_weight : Vector [slice]
        Marginal collateral ladder by amount; count 0 means weight 1.
    borrow_maintenance_fraction : Vector [asset]
        Maintenance added per unit of negative asset equity.
    """

    assets: tuple[str, ...]
    balance_native: Vector
    price_unit: Vector
    factor_index: IndexVector
    slice_start: IndexVector
    slice_count: IndexVector
    slice_floor: Vector
    slice_cap: Vector
    slice_weight: Vector
    borrow_maintenance_fraction: Vector

    @property
    def count(self) -> int:
        """Number of assets."""
        return len(self.assets)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginPool:
    """One pool of one account, compiled.

    Parameters
    ----------
    id : str
        ``venue:account`` for the only pool of an account, else ``venue:account/USDT`` (cross by asset) or
        ``venue:account/BTCUSDT`` (isolated; ``/BTCUSDT:LONG`` in hedge mode).
    unit : str
        Asset in which equity and maintenance are computed: the settle asset, or ``"USD"``.
    unit_usd : float
        USD per unit at ``as_of``.
    factors : tuple of str
        Market factors that move this pool; ``factor_index`` of legs and assets points here.
    margin_call_coverage_ratio : float
        Equity / maintenance at which the pool counts as called, > 1.
    open_order_initial : float
        Initial margin of resting orders beyond the positions', in the pool's unit.
    options : OptionTable
        Options; only pools with a model hold any.
    model : PoolModel or None
        Rule of the account where tiers and haircuts alone do not say it; None means that ``legs`` and ``assets`` do.
    spot_volatility : SpotVolatility or None
        How implied volatility moves when factors move; None holds it. Set for paths, not for what a venue says now.
    """

    id: str
    account_id: str
    venue: str
    mode: str
    margin_mode: str
    unit: str
    unit_usd: float
    factors: tuple[str, ...]
    legs: LegTable
    assets: AssetTable
    margin_call_coverage_ratio: float
    margin_call_source: str
    tick_rule: TickRule
    open_order_initial: float = 0.0
    notes: tuple[str, ...] = ()
    options: OptionTable = field(default_factory=OptionTable.empty)
    model: PoolModel | None = None
    spot_volatility: SpotVolatility | None = None

    @property
    def is_flat(self) -> bool:
        """Whether the pool holds no position."""
        return not self.legs.count and not self.options.count


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskVector:
    """Equity, maintenance and initial margin of pools in market states, each [pool, path] in the pool's unit.

    ``initial`` is NaN-free; ``initial_known`` [pool] is False where a leg's leverage was not given.
    """

    pool_ids: tuple[str, ...]
    units: tuple[str, ...]
    unit_usd: Vector
    equity: NDArray[np.float64]
    maintenance: NDArray[np.float64]
    initial: NDArray[np.float64]
    initial_known: NDArray[np.bool_]

    @property
    def headroom(self) -> NDArray[np.float64]:
        """Equity after haircut minus maintenance, [pool, path]; liquidation at or below 0."""
        return self.equity - self.maintenance
