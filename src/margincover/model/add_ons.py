"""Add-ons against procyclicality: a stress weight and a full-history floor, beside the calibrated requirement."""

from __future__ import annotations

from dataclasses import dataclass

from margincover.model.results import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAddOns:
    """Add-ons of one pool, in its unit.

    Parameters
    ----------
    pool_id, unit : str
    unit_usd : float
    required_native : float
        Calibrated requirement, which the add-ons are not part of.
    model_native : float
        RC or RCES behind it: the tail of the path maximum of maintenance - equity.
    stress_native : float
        Largest maintenance - equity along any packaged episode, from its start to its end.
    episode : str
        The episode in which it came.
    floor_native : Estimate
        The measure of ``model_native`` at the volatility of all of the history.
    stress_add_on_native, floor_add_on_native : float
        max(w (stress - model), 0) and max(floor - model, 0); 0 for a pool without positions.
    """

    pool_id: str
    unit: str
    unit_usd: float
    required_native: float
    model_native: float
    stress_native: float
    episode: str
    floor_native: Estimate
    stress_add_on_native: float
    floor_add_on_native: float

    @property
    def required_with_native(self) -> float:
        """Requirement with the larger of the two: max(RC, w stress + (1 - w) RC, floor) in the place of RC."""
        return self.required_native + max(self.stress_add_on_native, self.floor_add_on_native)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOns:
    """Add-ons of all pools, in the order of the result; ``floor_label`` and ``floor_as_of`` name the floor."""

    pools: tuple[PoolAddOns, ...]
    stress_weight: float
    floor_label: str
    floor_as_of: str
    notes: tuple[str, ...] = ()

    @property
    def stress_add_on_usd(self) -> float:
        """Sum of the stress add-ons: what one pool has to spare does not help another."""
        return sum(pool.stress_add_on_native * pool.unit_usd for pool in self.pools)

    @property
    def floor_add_on_usd(self) -> float:
        """Sum of the floor add-ons."""
        return sum(pool.floor_add_on_native * pool.unit_usd for pool in self.pools)

    @property
    def required_with_usd(self) -> float:
        """Sum of the requirements with each pool's larger add-on."""
        return sum(pool.required_with_native * pool.unit_usd for pool in self.pools)
