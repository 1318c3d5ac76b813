"""PoolModel: how a pool is margined where tiers and haircuts alone do not say it, and what such a rule is computed on.

A model answers four questions, each on arrays with the path last. Nothing else of a venue's rule is seen outside its
folder: status, explain trees, liquidation prices, what-if grids and paths all ask the same four.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from margincover.model.explain import ExplainNode
from margincover.model.provenance import EditionUse
from margincover.numeric.arrays import Vector

if TYPE_CHECKING:
    from margincover.model.pool import MarginPool

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """One pool, revalued in many states of the market.

    Parameters
    ----------
    pool : MarginPool
    factor_ratio : array [factor, path]
        Level of each market factor over its level at ``as_of``.
    elapsed_years : float
        Time since ``as_of``; the same on every path.
    leg_price : array [leg, path]
        Marks of perpetuals and futures, in the quote asset.
    leg_notional, leg_profit : array [leg, path]
        In the settle asset; profit > 0 is a gain.
    option_quantity : Vector [option]
        Signed base coins; 0 for an option that has expired by now. Rules read this, not the pool's table.
    option_index, option_forward : array [option, path]
        In the quote asset, > 0.
    option_volatility : array [option, path]
    option_years : Vector [option]
        Time to expiry, >= 0.
    option_mark : array [option, path]
        Per base coin in the settle asset, >= 0.
    option_value : array [option, path]
        Quantity times mark, in the settle asset; < 0 for a short option.
    balance : array [asset, path]
        Wallet with funding and settled options, before unrealised profit, in the asset.
    asset_price : array [asset, path]
        Pool unit per asset.
    """

    pool: MarginPool
    factor_ratio: Paths
    elapsed_years: float
    leg_price: Paths
    leg_notional: Paths
    leg_profit: Paths
    option_quantity: Vector
    option_index: Paths
    option_forward: Paths
    option_volatility: Paths
    option_years: Vector
    option_mark: Paths
    option_value: Paths
    balance: Paths
    asset_price: Paths

    @property
    def n_paths(self) -> int:
        """Number of states."""
        return int(self.factor_ratio.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One part of what a venue requires of a pool, in the pool's unit.

    ``maintenance`` and ``initial`` [path] are >= 0 unless a rule gives credit. The trees, of the first path, are filled
    when the model was asked for detail and there is more to say than the label; their roots equal the two arrays there.
    """

    label: str
    maintenance: Paths
    initial: Paths
    detail: str = ""
    maintenance_tree: ExplainNode | None = None
    initial_tree: ExplainNode | None = None


@runtime_checkable
class ScalesMaintenance(Protocol):
    """Model of a venue that liquidates at a ratio other than 1: its maintenance is this multiple of the venue's."""

    @property
    def maintenance_multiple(self) -> float:
        """Equity over the venue's own maintenance margin at which it liquidates, >= 1."""


class PoolModel(Protocol):
    """Margin rule of one pool.

    ``requirements`` must be a sum over the pool's factors of parts that each depend on one factor, on time and on
    volatility alone when ``is_separable``: paths then follow the pool by tables of one factor each.
    """

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the rule is approximate, with the side to which it errs."""

    @property
    def editions(self) -> tuple[EditionUse, ...]:
        """Which dated parameters the rule uses."""

    @property
    def is_separable(self) -> bool:
        """Whether requirements are a sum of parts of one factor each."""

    @property
    def initial_known(self) -> bool:
        """Whether the initial margin is known; False where a rule needs a leverage that was not stated."""

    def held(self, state: PoolState) -> Paths:
        """Return what is held of each asset, [asset, path], in the asset: wallet, profits, options where they count."""

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what each asset counts as equity after haircut, [asset, path], in the pool's unit."""

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the requirements of positions: they depend on the market alone, not on what is held."""

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the requirements that follow from what is held: borrowing, negative balances."""
