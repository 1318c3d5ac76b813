"""Many pools of one kind of model as one: their tables laid end to end, and what their rules require by row.

A venue's ``stack`` module says how the rule of its models is computed on such tables without a loop over pools. Pools
are independent: rows belong to assets, assets to pools, and only what stands in one pool is ever added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from margincover.model.option_table import OptionTable
from margincover.model.pool import AssetTable, LegTable, MarginPool
from margincover.model.pool_model import PoolState
from margincover.numeric.arrays import Vector, frozen, frozen_index
from margincover.venues import kernels

Index = NDArray[np.int64]
Paths = NDArray[np.float64]
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredRows:
    """Requirements by row in the unit of the row's pool, [row, path]; ``asset`` [row] is a row of the merged assets."""

    asset: Index
    maintenance: Paths
    initial: Paths


class Stack(Protocol):
    """Rule of all models of one kind on merged tables; the figures are those of each model on its own pool."""

    def held(self, state: PoolState) -> Paths:
        """Return what is held of each asset, [asset, path], in the asset."""

    def counted(self, held: Paths, asset_price: Paths) -> Paths:
        """Return what each asset counts as equity after haircut, [asset, path], in the unit of its pool."""

    def rows(self, state: PoolState, held: Paths) -> tuple[RequiredRows, ...]:
        """Return what positions and what is held require."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Pools laid end to end.

    Parameters
    ----------
    pools : tuple of MarginPool
        Members, in order.
    pool : MarginPool
        One pool with all their legs, options and assets; it has no model, and its unit is that of no member.
    first_leg, first_option, first_asset : array of int [member]
        Where a member's rows start.
    asset_pool : array of int [asset]
        Member that each asset belongs to.
    """

    pools: tuple[MarginPool, ...]
    pool: MarginPool
    first_leg: Index
    first_option: Index
    first_asset: Index
    asset_pool: Index

    @classmethod
    def of(cls, pools: Sequence[MarginPool], factors: Sequence[str]) -> Merged:
        """Return pools as one; ``factors`` holds the names of all their factors."""
        number = {name: row for row, name in enumerate(factors)}
        own = [np.array([number[name] for name in pool.factors], dtype=np.int64) for pool in pools]
        first_leg = starts([pool.legs.count for pool in pools])
        first_option = starts([pool.options.count for pool in pools])
        first_asset = starts([pool.assets.count for pool in pools])
        return cls(
            pools=tuple(pools),
            pool=replace(
                pools[0],
                id="merged",
                factors=tuple(factors),
                legs=_legs(pools, own, first_asset),
                options=_options(pools, own, first_asset),
                assets=_assets(pools, own),
                model=None,
                notes=(),
            ),
            first_leg=first_leg,
            first_option=first_option,
            first_asset=first_asset,
            asset_pool=np.repeat(np.arange(len(pools)), [pool.assets.count for pool in pools]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredLegs:
    """Maintenance of all legs of a table by their tiers; ``tiered`` are the rows that have any."""

    legs: LegTable
    tiered: Index
    start: Index
    count: Index

    @classmethod
    def of(cls, legs: LegTable) -> TieredLegs:
        """Return the tiers of a table."""
        tiered = np.flatnonzero(legs.tier_count)
        start, count = legs.tier_start[tiered].astype(np.int64), legs.tier_count[tiered].astype(np.int64)
        return cls(legs=legs, tiered=tiered, start=start, count=count)

    def maintenance(self, notional: Paths) -> Paths:
        """Return maintenance of every leg in its settle asset, closing fee included, [leg, path]."""
        legs = self.legs
        total = legs.maintenance_constant[:, None] + legs.fee_on_notional_fraction[:, None] * notional
        value = notional[self.tiered]
        tier = kernels.tier_rows(value, floors=legs.tier_floor, start=self.start, count=self.count)
        total[self.tiered] += legs.tier_fraction[tier] * value - legs.tier_deduction[tier]
        return np.asarray(total, dtype=np.float64)

    def initial(self, notional: Paths) -> Paths:
        """Return initial margin of every leg in its settle asset, [leg, path]."""
        return np.asarray(
            self.legs.initial_fraction[:, None] * notional + self.legs.initial_constant[:, None], dtype=np.float64
        )


def starts(counts: Sequence[int]) -> Index:
    """Return where each part starts when parts of these lengths are laid end to end."""
    return np.concatenate([[0], np.cumsum(np.array(counts, dtype=np.int64))]).astype(np.int64)[: len(counts)]


def same(values: Sequence[_Key]) -> dict[_Key, Index]:
    """Return the rows of each distinct value, in order of first appearance."""
    found: dict[_Key, list[int]] = {}
    for row, value in enumerate(values):
        found.setdefault(value, []).append(row)
    return {value: np.array(rows, dtype=np.int64) for value, rows in found.items()}


def _legs(pools: Sequence[MarginPool], own: Sequence[Index], first_asset: Index) -> LegTable:
    tables = [pool.legs for pool in pools]
    moved = {
        "factor_index": [factors[table.factor_index] for factors, table in zip(own, tables, strict=True)],
        "asset_index": [table.asset_index + first for first, table in zip(first_asset, tables, strict=True)],
        "tier_start": [
            table.tier_start + first
            for first, table in zip(starts([t.tier_floor.size for t in tables]), tables, strict=True)
        ],
    }
    return LegTable(**_joined(tables, moved))  # type: ignore[arg-type]  # one entry a field, by name


def _options(pools: Sequence[MarginPool], own: Sequence[Index], first_asset: Index) -> OptionTable:
    tables = [pool.options for pool in pools]
    moved = {
        "factor_index": [factors[table.factor_index] for factors, table in zip(own, tables, strict=True)],
        "asset_index": [table.asset_index + first for first, table in zip(first_asset, tables, strict=True)],
    }
    return OptionTable(**_joined(tables, moved))  # type: ignore[arg-type]  # one entry a field, by name


def _assets(pools: Sequence[MarginPool], own: Sequence[Index]) -> AssetTable:
    tables = [pool.assets for pool in pools]
    moved = {
        # -1 stays: a price that is held.
        "factor_index": [
            np.where(table.factor_index >= 0, np.append(factors, -1)[table.factor_index], -1)
            for factors, table in zip(own, tables, strict=True)
        ],
        "slice_start": [
            table.slice_start + first
            for first, table in zip(starts([t.slice_floor.size for t in tables]), tables, strict=True)
        ],
    }
    return AssetTable(**_joined(tables, moved))  # type: ignore[arg-type]  # one entry a field, by name


def _joined(
    tables: Sequence[LegTable] | Sequence[OptionTable] | Sequence[AssetTable], moved: dict[str, list[Index]]
) -> dict[str, object]:
    done: dict[str, object] = {}
    for field in fields(tables[0]):
        columns = [getattr(table, field.name) for table in tables]
        if field.name in moved:
            done[field.name] = frozen_index(np.concatenate(moved[field.name]))
        elif isinstance(columns[0], tuple):
            done[field.name] = tuple(chain.from_iterable(columns))
        else:
            joined = np.concatenate(columns)
            done[field.name] = _column(joined, field.name)
    return done


def _column(values: NDArray[np.generic], name: str) -> Vector | NDArray[np.generic]:
    if values.dtype == np.float64:
        return frozen(values, name=name, ndim=1)
    return frozen_index(values) if values.dtype.kind == "i" else values
