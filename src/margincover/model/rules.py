"""Rule data: tier tables, haircut ladders, mode rules, editions and the rulebook of a venue.

These are records of what a venue published, with dates and sources; the kernels that apply them are in ``venues``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from margincover.errors import RulebookError
from margincover.model.parameter_edition import ParameterEdition


class TierKernel(Enum):
    """How a tier table is applied."""

    PROGRESSIVE = "progressive"  # rate of the tier on all, minus a deduction: continuous at the edges
    WHOLE_POSITION = "whole_position"  # rate of the tier on all, no deduction: a step at each edge
    FRACTION_OF_INITIAL = "fraction_of_initial"  # maintenance is a fraction of the initial requirement


class TierUnit(Enum):
    """What a tier's bounds count."""

    NOTIONAL = "notional"  # position value in the settle unit: quote (linear) or coin (inverse)
    CONTRACTS = "contracts"


class PoolBy(Enum):
    """What shares one equity in cross margin."""

    SETTLE_ASSET = "settle_asset"  # one pool per margin asset, computed in that asset
    ACCOUNT = "account"  # one pool per account, valued in USD after haircuts


class PriceBasis(Enum):
    """Price at which a margin figure is computed."""

    MARK = "mark"
    ENTRY = "entry"


class ClosingFee(Enum):
    """Closing fee inside the maintenance figure."""

    NONE = "none"
    TAKER_ON_NOTIONAL = "taker_on_notional"  # notional at the mark x taker fee, whatever maintenance is based on
    TAKER_AT_BANKRUPTCY = "taker_at_bankruptcy"  # entry value x (1 -/+ 1/leverage) x taker fee
    TAKER_ON_ENTRY_PLUS_INITIAL = "taker_on_entry_plus_initial"  # entry value x (1 + 1/leverage) x taker fee


class MaintenanceScale(Enum):
    """What a maintenance rate multiplies."""

    VALUE = "value"
    VALUE_OVER_LEVERAGE = "value_over_leverage"  # the rate is a share of value / leverage (HTX's adjust factor)


class ModelFor(Enum):
    """Which pools of a mode its model margins."""

    ALL = "all"
    OPTIONS = "options"  # pools that hold options; tiers and haircuts say the rest


class TickRule(Enum):
    """How the venue's published liquidation price differs from the root."""

    NONE = "none"
    ONE_TICK_TOWARD_MARK_ISOLATED = "one_tick_toward_mark_isolated"
    ROUND_AWAY_FROM_BANKRUPTCY = "round_toward_mark"  # rounded to the tick on the mark's side
    FROZEN_REQUIREMENT = "frozen_requirement"  # mark - headroom / quantity: maintenance held at its present size
    FEE_SET_ASIDE_ISOLATED = "fee_set_aside_isolated"  # root of the margin less the closing fee posted with it


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTier:
    """One band of a tier table. Rates are fractions; ``deduction`` is in the settle unit, >= 0."""

    floor: float
    cap: float
    maintenance_fraction: float
    max_leverage: float | None
    deduction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTable:
    """Tier table of one symbol or family.

    ``first_tiers_only`` says that the venue has higher tiers than these, at rates that are not known: a position above
    the last cap is refused. Without it the last rate goes on above the last cap.

    Raises
    ------
    RulebookError
        If floors do not rise, a gap stands between bands, a rate is outside (0, 1] or falls, or a
        progressive table jumps at an edge.
    """

    key: str
    kernel: TierKernel
    unit: TierUnit
    tiers: tuple[MarginTier, ...]
    source: str = ""
    complete: bool = True
    first_tiers_only: bool = False

    def __post_init__(self) -> None:
        if not self.tiers:
            raise RulebookError("had no tiers", field=self.key, allowed="at least one tier")
        if self.tiers[0].floor != 0.0:
            raise RulebookError(f"first floor was {self.tiers[0].floor}", field=self.key, allowed="0")
        previous: MarginTier | None = None
        for number, tier in enumerate(self.tiers, start=1):
            where = f"{self.key} tier {number}"
            if not 0.0 < tier.maintenance_fraction <= 1.0:
                raise RulebookError(
                    f"maintenance rate was {tier.maintenance_fraction}",
                    field=where,
                    allowed="a fraction in (0, 1] (0.005 is 0.5 %)",
                )
            if not tier.cap > tier.floor:
                raise RulebookError(f"cap {tier.cap} <= floor {tier.floor}", field=where, allowed="cap > floor")
            # The edge first: falling rates or a gap are the cause of a negative computed deduction.
            if previous is not None:
                self._check_edge(previous, tier, where)
            if not (math.isfinite(tier.deduction) and tier.deduction >= 0.0):
                raise RulebookError(f"deduction was {tier.deduction}", field=where, allowed="a number >= 0")
            previous = tier

    def _check_edge(self, lower: MarginTier, upper: MarginTier, where: str) -> None:
        # Venues that count contracts print the next floor one contract (or lot) above the previous cap.
        step = 1.0 if self.unit is TierUnit.CONTRACTS else 0.0
        if not lower.cap <= upper.floor <= lower.cap + step:
            raise RulebookError(
                f"floor {upper.floor} after cap {lower.cap}", field=where, allowed="bands without gap or overlap"
            )
        if upper.maintenance_fraction < lower.maintenance_fraction:
            raise RulebookError(
                f"maintenance rate fell from {lower.maintenance_fraction} to {upper.maintenance_fraction}",
                field=where,
                allowed="rates that do not fall with size",
            )
        if self.kernel is TierKernel.PROGRESSIVE:
            below = upper.floor * lower.maintenance_fraction - lower.deduction
            above = upper.floor * upper.maintenance_fraction - upper.deduction
            if abs(above - below) > 1e-6 * max(abs(below), 1e-12):
                raise RulebookError(
                    f"maintenance jumps from {below:g} to {above:g} at {upper.floor:g}",
                    field=where,
                    allowed="a deduction that makes the table continuous",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class HaircutSlice:
    """Marginal slice of a collateral ladder: amounts in [floor, cap) of the coin count with ``weight``."""

    floor: float
    cap: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HaircutLadder:
    """Collateral weights of one asset by amount held, and what borrowing it adds to maintenance.

    ``owed_weight`` in [1, 2] is what a unit that is owed or required counts where a venue prices debts above the index
    (Binance multi-assets mode); None where it does not.

    Raises
    ------
    RulebookError
        If slices leave a gap, weights rise or stand outside [0, 1], or ``owed_weight`` outside [1, 2].
    """

    asset: str
    slices: tuple[HaircutSlice, ...]
    borrow_maintenance_fraction: float = 0.0
    source: str = ""
    owed_weight: float | None = None

    def __post_init__(self) -> None:
        where = f"collateral.{self.asset}"
        if not self.slices or self.slices[0].floor != 0.0:
            raise RulebookError("did not start at 0", field=where, allowed="a first slice from 0")
        last = math.inf
        for lower, upper in zip(self.slices, self.slices[1:], strict=False):
            if lower.cap != upper.floor:
                raise RulebookError(f"gap between {lower.cap} and {upper.floor}", field=where, allowed="no gap")
        for part in self.slices:
            if not 0.0 <= part.weight <= 1.0 or part.weight > last or not part.cap > part.floor:
                raise RulebookError(
                    f"slice {part.floor}..{part.cap} had weight {part.weight}",
                    field=where,
                    allowed="weights in [0, 1] that do not rise with the amount",
                )
            last = part.weight
        if not 0.0 <= self.borrow_maintenance_fraction <= 1.0:
            raise RulebookError("borrow maintenance outside [0, 1]", field=where, allowed="a fraction")
        if self.owed_weight is not None and not 1.0 <= self.owed_weight <= 2.0:
            raise RulebookError(
                f"owed_weight was {self.owed_weight}", field=where, allowed="1 + buffer, from 1 to 2 (1.05 is 5 %)"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeRule:
    """How one account mode of a venue computes equity, maintenance and initial margin.

    Parameters
    ----------
    name : str
        ``usdm_single_asset``, ``coinm``, ``uta_cross`` ...
    products : tuple of str
        Product lines that an account in this mode may hold.
    pool_by : PoolBy
    margin_modes : tuple of str
        ``cross`` and / or ``isolated``.
    maintenance_basis, initial_basis_cross, initial_basis_isolated : PriceBasis
    closing_fee : ClosingFee
        Fee that the venue adds to the maintenance side of its liquidation test.
    closing_fee_in_initial : bool
        True when the same fee stands in initial margin (Bybit).
    fee_in_reported_maintenance : bool
        True when the maintenance that the venue prints already holds the fee.
    default_taker_fee_fraction : float
    margin_call_coverage_ratio : float or None
        The venue's own warning level as equity / maintenance; None when the venue has none.
    tick_rule : TickRule
    haircut_collateral : bool
    confidence : str
        CONFIRMED, INFERRED, SECONDARY or UNCONFIRMED, with the reason in ``notes``.
    model : str
        Name of the rule in ``venues.models`` that margins the account's pools where tiers and haircuts alone do not say
        it (options, scan grids, portfolio margin); empty where they do.
    model_for : ModelFor
        Which of those pools; ``OPTIONS`` leaves pools without options to tiers and haircuts.
    uses_tiers : bool
        False where the model reads no tier table: positions of coins without one can then be held.
    unit : str
        Unit of a pool of the whole account: ``USD``, or the asset in which the venue values the account.
    initial_closing_fee : ClosingFee or None
        Closing fee inside initial margin where it differs from that of maintenance; None means the same one. Counts
        only with ``closing_fee_in_initial``.
    maintenance_scale : MaintenanceScale
        What the maintenance rate multiplies; with ``VALUE_OVER_LEVERAGE`` a position needs its leverage.
    funding_in_maintenance_hours : float
        Hours of the market's funding that stand inside the maintenance rate; 0 where funding does not enter it. Signed
        for a long, as the venue's figures confirm; by its size for a short, which is never below the venue's.
    backstop_of_maintenance_fraction : float or None
        Equity over maintenance, in (0, 1), below which the venue takes positions and margin and returns nothing.
    """

    name: str
    products: tuple[str, ...]
    pool_by: PoolBy
    margin_modes: tuple[str, ...]
    maintenance_basis: PriceBasis
    initial_basis_cross: PriceBasis
    initial_basis_isolated: PriceBasis
    closing_fee: ClosingFee
    closing_fee_in_initial: bool
    fee_in_reported_maintenance: bool
    default_taker_fee_fraction: float
    margin_call_coverage_ratio: float | None
    tick_rule: TickRule
    haircut_collateral: bool
    confidence: str
    source: str
    notes: str = ""
    model: str = ""
    model_for: ModelFor = ModelFor.ALL
    unit: str = "USD"
    uses_tiers: bool = True
    initial_closing_fee: ClosingFee | None = None
    maintenance_scale: MaintenanceScale = MaintenanceScale.VALUE
    funding_in_maintenance_hours: float = 0.0
    backstop_of_maintenance_fraction: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """How a product line's symbols read and what its contracts are.

    ``symbol_pattern`` is a regular expression with the groups ``base`` and, where they vary, ``quote`` and
    ``expiry``; ``multipliers`` maps a base (or ``"*"``) to units per contract. An option product (``kind = "option"``)
    has the groups ``expiry``, ``strike`` and ``right`` (C or P) as well, its multiplier counts base coins whatever it
    settles in, and it has no tiers. An empty ``tier_key`` means that no tier table exists: only modes with a model may
    hold such a product.
    """

    id: str
    symbol_pattern: str
    expiry_format: str | None
    payoff: str
    quote: str | None
    settle: str
    multipliers: Mapping[str, float]
    tier_kernel: TierKernel
    tier_unit: TierUnit
    tier_key: str
    ticks: Mapping[str, float] = field(default_factory=dict)
    maintenance_of_initial_fraction: float | None = None
    kind: str = ""

    @property
    def is_option(self) -> bool:
        """Whether the product is an option."""
        return self.kind == "option"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """What one venue has in force at one instant.

    Tier tables and haircut ladders carry the edition that they came from in ``source``; ``observed`` is the date of
    the newest observation used, and ``age_days`` how old it is at the instant asked for. ``parameters`` are those of
    models, by (mode, underlying).
    """

    venue: str
    title: str
    at: datetime
    products: Mapping[str, Product]
    modes: Mapping[str, ModeRule]
    tier_tables: Mapping[str, TierTable]
    ladders: Mapping[str, HaircutLadder]
    editions: tuple[Edition, ...]
    factor_aliases: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[tuple[str, str], ParameterEdition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One dated edition of one block of rules: half-open validity [valid_from, valid_to), UTC."""

    id: str
    block: str
    valid_from: datetime
    valid_to: datetime | None
    observed: datetime
    source: str
    retrieved: str
    confidence: str = "CONFIRMED"
