"""Compile a margin pool to the coefficients that the path kernel consumes.

With r the ratio of a factor to its level at ``as_of``, everything of a pool is, per asset,

    held        = held_constant + sum over factors (held_linear * r + held_inverse / r) + funding
    maintenance = line_constant + sum over factors (line_linear * r + line_inverse / r) + tiered legs

because a linear contract is linear in r and an inverse one is linear in 1 / r. Positions of one factor collapse into
two numbers; only legs with several tiers keep a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioInfo
from margincover.paths.charges import ChargeTable, charge_table

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolProgram:
    """Arrays of one pool for the kernel; axes [asset], [asset, factor], [tiered leg], [tier], [slice].

    ``factor`` maps the pool's own factors to the generator's. ``has_funding`` says whether any funding is at a constant
    rate; what varies along the paths stands in ``charges``.
    """

    factor: Index
    held_constant: Array
    held_linear: Array
    held_inverse: Array
    line_constant: Array
    line_linear: Array
    line_inverse: Array
    funding_linear: Array
    funding_inverse: Array
    has_funding: bool
    leg_asset: Index
    leg_factor: Index
    leg_inverse: NDArray[np.bool_]
    leg_notional: Array
    leg_tier_start: Index
    leg_tier_count: Index
    tier_floor: Array
    tier_fraction: Array
    tier_deduction: Array
    price: Array
    price_factor: Index
    slice_start: Index
    slice_count: Index
    slice_floor: Array
    slice_cap: Array
    slice_weight: Array
    borrow: Array
    call_ratio: float
    charges: ChargeTable | None = None

    @property
    def is_joint(self) -> bool:
        """Whether this is the common case: several factors, one plain asset, linear contracts alone."""
        plain = self.price.size == 1 and self.price[0] == 1.0 and self.price_factor[0] < 0
        plain = plain and self.slice_count[0] == 0 and self.borrow[0] == 0.0
        inverse = any(np.any(a) for a in (self.held_inverse, self.line_inverse, self.funding_inverse, self.leg_inverse))
        return self.n_factors > 1 and bool(plain) and not inverse

    @property
    def n_factors(self) -> int:
        """Number of factors that move this pool."""
        return int(self.factor.size)

    def packed(self) -> tuple[Index, Array, Array, Index, Index, Array, Array, Array]:
        """Return the tables in the order of the kernel's arguments, few arrays with named rows.

        ``factor``; coefficients [6, asset, factor]; values and indices [row, asset]; leg indices [5, leg] and notional
        [leg]; tiers and slices [3, row]. The kernel names the rows.
        """
        return (
            self.factor,
            np.stack(
                [
                    self.held_linear,
                    self.held_inverse,
                    self.line_linear,
                    self.line_inverse,
                    self.funding_linear,
                    self.funding_inverse,
                ]
            ),
            np.stack([self.held_constant, self.line_constant, self.price, self.borrow]),
            np.stack([self.price_factor, self.slice_start, self.slice_count]),
            np.stack(
                [
                    self.leg_asset,
                    self.leg_factor,
                    self.leg_inverse.astype(np.int64),
                    self.leg_tier_start,
                    self.leg_tier_count,
                ]
            ),
            np.ascontiguousarray(self.leg_notional),
            np.stack([self.tier_floor, self.tier_fraction, self.tier_deduction]),
            np.stack([self.slice_floor, self.slice_cap, self.slice_weight]),
        )

    def joint_tables(self) -> tuple[Index | Array, ...]:
        """Return the tables in the order of ``paths.joint_kernel.run_joint``; only where ``is_joint``."""
        _, _, _, _, leg_index, leg_notional, tier, _ = self.packed()
        return (
            self.factor,
            np.ascontiguousarray(self.held_linear[0]),
            np.ascontiguousarray(self.line_linear[0]),
            np.ascontiguousarray(self.funding_linear[0]),
            np.array([self.held_constant[0], self.line_constant[0]]),
            leg_index,
            leg_notional,
            tier,
        )


def compile_pool(pool: MarginPool, factors: Sequence[str], info: ScenarioInfo | None = None) -> PoolProgram:
    """Return the program of a pool.

    Parameters
    ----------
    pool : MarginPool
    factors : sequence of str
        Factors of the scenario generator, in its order.
    info : ScenarioInfo or None
        Of the generator, where its blocks hold funding or marks.

    Raises
    ------
    InputError
        If the generator does not make a factor that the pool needs.
    """
    missing = [factor for factor in pool.factors if factor not in factors]
    if missing:
        raise InputError(
            f"scenarios do not move {', '.join(missing)}",
            account=pool.account_id,
            field="scenarios",
            allowed=f"factors {', '.join(factors)}, or `proxies` in the book",
        )
    shape = (pool.assets.count, len(pool.factors))
    tables = {name: np.zeros(shape) for name in ("hl", "hi", "ll", "li", "fl", "fi")}
    held = pool.assets.balance_native.copy()
    line = np.zeros(pool.assets.count)
    varying = [info is not None and name in info.funding for name in pool.legs.instrument_ids]
    constant = np.where(varying, 0.0, pool.legs.funding_per_hour)
    tiered = [leg for leg in range(pool.legs.count) if not _add_leg(pool, leg, constant[leg], tables, held, line)]
    legs, assets = pool.legs, pool.assets
    size = np.abs(legs.signed_size)
    notional = np.where(legs.inverse, size / legs.mark_price, size * legs.mark_price)
    return PoolProgram(
        factor=np.array([list(factors).index(f) for f in pool.factors], dtype=np.int64),
        held_constant=held,
        held_linear=tables["hl"],
        held_inverse=tables["hi"],
        line_constant=line,
        line_linear=tables["ll"],
        line_inverse=tables["li"],
        funding_linear=tables["fl"],
        funding_inverse=tables["fi"],
        has_funding=bool(np.any(constant != 0.0)),
        leg_asset=legs.asset_index[tiered].astype(np.int64),
        leg_factor=legs.factor_index[tiered].astype(np.int64),
        leg_inverse=legs.inverse[tiered],
        leg_notional=notional[tiered],
        leg_tier_start=legs.tier_start[tiered].astype(np.int64),
        leg_tier_count=legs.tier_count[tiered].astype(np.int64),
        tier_floor=legs.tier_floor,
        tier_fraction=legs.tier_fraction,
        tier_deduction=legs.tier_deduction,
        price=assets.price_unit,
        price_factor=assets.factor_index.astype(np.int64),
        slice_start=assets.slice_start.astype(np.int64),
        slice_count=assets.slice_count.astype(np.int64),
        slice_floor=assets.slice_floor,
        slice_cap=assets.slice_cap,
        slice_weight=assets.slice_weight,
        borrow=assets.borrow_maintenance_fraction,
        call_ratio=pool.margin_call_coverage_ratio,
        charges=None if info is None else charge_table(pool, info),
    )


def _add_leg(
    pool: MarginPool, leg: int, funding_per_hour: float, tables: dict[str, Array], held: Array, line: Array
) -> bool:
    """Add one leg to the collapsed coefficients; return False when its tiers must stay a table."""
    legs = pool.legs
    asset, factor = int(legs.asset_index[leg]), int(legs.factor_index[leg])
    at = (asset, factor)
    signed, mark, entry = legs.signed_size[leg], legs.mark_price[leg], legs.entry_price[leg]
    inverse = bool(legs.inverse[leg])
    size = abs(signed)
    notional = size / mark if inverse else size * mark
    if inverse:
        held[asset] += signed / entry
        tables["hi"][at] -= signed / mark
    else:
        held[asset] -= signed * entry
        tables["hl"][at] += signed * mark
    tables["fi" if inverse else "fl"][at] += funding_per_hour * notional
    fraction = float(legs.fee_on_notional_fraction[leg])
    line[asset] += legs.maintenance_constant[leg]
    collapses = int(legs.tier_count[leg]) <= 1
    if int(legs.tier_count[leg]) == 1:
        start = int(legs.tier_start[leg])
        fraction += float(legs.tier_fraction[start])
        line[asset] -= legs.tier_deduction[start]
    tables["li" if inverse else "ll"][at] += fraction * notional
    return collapses
