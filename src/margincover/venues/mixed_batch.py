"""Equity and margins of pools of any rule at once: those of tiers alone, those whose models stack, and the rest.

``venues.margin.evaluate_pool`` is the plain twin, one pool after the other; a test ties the two to the last digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.numeric.arrays import FactorPath, PoolPath, Vector
from margincover.venues import batch as batches
from margincover.venues import modelled
from margincover.venues.batch import PoolBatch
from margincover.venues.revalue import added, revalue
from margincover.venues.stacked import Merged, Stack

Index = NDArray[np.int64]
Paths = NDArray[np.float64]

# Cells [row, path] held at a time, as in ``venues.batch``.
MAX_CELLS = 1_000_000
# Module of a model -> module that has ``can_stack`` and ``stack``; modules load when they are used.
_STACKS = {
    "margincover.venues.binance.multi_assets_model": "margincover.venues.binance.stack",
    "margincover.venues.deribit.segregated_portfolio": "margincover.venues.deribit.portfolio_stack",
    "margincover.venues.deribit.segregated_standard": "margincover.venues.deribit.standard_stack",
    "margincover.venues.derive.standard_account": "margincover.venues.derive.stack",
    "margincover.venues.dydx.subaccount_model": "margincover.venues.dydx.stack",
    "margincover.venues.paradex.cross_model": "margincover.venues.paradex.stack",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedPools:
    """Pools whose models are of one kind, merged; ``rows`` [member] are their places in the batch."""

    rows: Index
    merged: Merged
    rule: Stack
    open_order_initial: Vector

    def evaluate(self, ratio: Paths) -> tuple[Paths, Paths, Paths]:
        """Return equity, maintenance and initial margin, each [member, path]; ``ratio`` is [factor, path]."""
        state = revalue(self.merged.pool, ratio)
        held = self.rule.held(state)
        shape, asset_pool = (self.rows.size, state.n_paths), self.merged.asset_pool
        equity = added(np.zeros(shape), asset_pool, self.rule.counted(held, state.asset_price))
        maintenance, initial = np.zeros(shape), np.zeros(shape)
        for part in self.rule.rows(state, held):
            maintenance = added(maintenance, asset_pool[part.asset], part.maintenance)
            initial = added(initial, asset_pool[part.asset], part.initial)
        return equity, maintenance, initial + self.open_order_initial[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedBatch:
    """Pools of any rule, compiled for evaluation in many states.

    Parameters
    ----------
    pool_ids, factors : tuple of str
        ``factors`` are those of all pools together.
    plain_rows : array of int
        Places of the pools in ``plain``, which have no model.
    plain : PoolBatch
    plain_factors : array of int [factor of ``plain``]
    stacks : tuple of StackedPools
    alone : tuple of (place, pool, factors)
        Pools that are evaluated one by one.
    """

    pool_ids: tuple[str, ...]
    factors: tuple[str, ...]
    plain_rows: Index
    plain: PoolBatch
    plain_factors: Index
    stacks: tuple[StackedPools, ...]
    alone: tuple[tuple[int, MarginPool, Index], ...]

    @classmethod
    def of(cls, pools: Sequence[MarginPool]) -> MixedBatch:
        """Return pools as one batch, in their order."""
        factors = tuple(dict.fromkeys(chain.from_iterable(pool.factors for pool in pools)))
        number = {name: row for row, name in enumerate(factors)}
        plain = [row for row, pool in enumerate(pools) if pool.model is None]
        kinds: dict[str, list[int]] = {}
        alone = []
        for row, pool in enumerate(pools):
            if pool.model is None:
                continue
            module = _stack_module(pool)
            if module is None:
                alone.append((row, pool, np.array([number[name] for name in pool.factors], dtype=np.int64)))
            else:
                kinds.setdefault(module.__name__, []).append(row)
        together = PoolBatch.of([pools[row] for row in plain])
        return cls(
            pool_ids=tuple(pool.id for pool in pools),
            factors=factors,
            plain_rows=np.array(plain, dtype=np.int64),
            plain=together,
            plain_factors=np.array([number[name] for name in together.factors], dtype=np.int64),
            stacks=tuple(_stacked(name, rows, pools, factors) for name, rows in kinds.items()),
            alone=tuple(alone),
        )


def evaluate(batch: MixedBatch, factor_ratio: FactorPath) -> tuple[PoolPath, PoolPath, PoolPath]:
    """Return equity, maintenance and initial margin of all pools, each [pool, path] in the pool's own unit.

    Parameters
    ----------
    batch : MixedBatch
    factor_ratio : array [factor of the batch, path]
        Factor level over its level at ``as_of``, > 0; volatilities and the time are those of ``as_of``.

    Raises
    ------
    InputError
        If the array has another number of factors than the batch, or a ratio is not a number > 0.
    """
    ratio = batches.checked_ratio(factor_ratio, len(batch.factors))
    n_paths = ratio.shape[1]
    done = tuple(np.zeros((len(batch.pool_ids), n_paths)) for _ in range(3))
    rows = max([1, *(stack.merged.pool.legs.count + stack.merged.pool.options.count for stack in batch.stacks)])
    step = max(1, MAX_CELLS // rows)
    for first in range(0, n_paths, step):
        part = slice(first, first + step)
        for stack in batch.stacks:
            _put(done, stack.rows, part, stack.evaluate(ratio[:, part]))
    if batch.plain_rows.size:
        _put(done, batch.plain_rows, slice(None), batches.evaluate(batch.plain, ratio[batch.plain_factors]))
    for row, pool, factors in batch.alone:
        _put(done, np.array([row]), slice(None), modelled.evaluate_state(revalue(pool, ratio[factors])))
    return done[0], done[1], done[2]


def can_stack(pool: MarginPool) -> bool:
    """Return whether a pool has a model that is evaluated together with others of its kind."""
    return pool.model is not None and _stack_module(pool) is not None


def _put(done: tuple[Paths, ...], rows: Index, part: slice, figures: tuple[Paths, Paths, Paths]) -> None:
    for total, figure in zip(done, figures, strict=True):
        total[rows, part] = figure


def _stack_module(pool: MarginPool) -> ModuleType | None:
    """Return the module that stacks the pool's model, None where there is none or the pool cannot be merged."""
    model = pool.model
    name = None if model is None else _STACKS.get(type(model).__module__)
    # How volatility follows the coin is each pool's own.
    if model is None or name is None or pool.spot_volatility is not None:
        return None
    module = import_module(name)
    return module if module.can_stack(model, pool) else None


def _stacked(name: str, rows: Sequence[int], pools: Sequence[MarginPool], factors: Sequence[str]) -> StackedPools:
    members = [pools[row] for row in rows]
    merged = Merged.of(members, factors)
    return StackedPools(
        rows=np.array(rows, dtype=np.int64),
        merged=merged,
        rule=import_module(name).stack([modelled.model_of(pool) for pool in members], merged),
        open_order_initial=np.array([pool.open_order_initial for pool in members], dtype=np.float64),
    )
