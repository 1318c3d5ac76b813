"""The allocation problem and its answer: limits, costs, holdings; amounts, prices and what is proven."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from margincover.allocation.needs import Needs, Placements
from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.lp_cuts import Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimit:
    """A bound on the Expected Shortfall, over the worst paths, of the largest shortfall of some venues.

    Parameters
    ----------
    name : str
        Used in messages and results.
    tail : float
        Tail probability in (0, 1), or 0 for the worst path.
    venues : tuple of int or None
        Venues whose largest shortfall is taken. One venue gives its RCES; all (None) the restriction that implies
        P(any shortfall > level) <= tail.
    level_usd : float
        0 asks for cover; a negative level asks for room.
    with_reserve : bool
        Whether transfers from the reserve count (in time, and one dollar once). With one venue the whole reserve
        counts for it.
    needs : Needs or None
        Own paths of this limit, such as a case with a frozen venue. None means the problem's.
    """

    name: str
    tail: float
    venues: tuple[int, ...] | None = None
    level_usd: float = 0.0
    with_reserve: bool = True
    needs: Needs | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.tail < 1.0:
            raise InputError(f"was {self.tail}", field=f"limit {self.name}: tail", allowed="0 (worst path) to below 1")
        if not np.isfinite(self.level_usd):
            raise InputError(f"was {self.level_usd}", field=f"limit {self.name}: level_usd", allowed="a finite amount")
        if self.venues is not None and (not self.venues or len(set(self.venues)) != len(self.venues)):
            raise InputError(
                f"was {self.venues}", field=f"limit {self.name}: venues", allowed="distinct venues, or None"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecourseCosts:
    """Cost of later transfers and of shortfall that is liquidated.

    Parameters
    ----------
    transfer_fee_fraction, liquidation_loss_fraction : array [venue]
        Per dollar, >= 0.
    """

    transfer_fee_fraction: Vector
    liquidation_loss_fraction: Vector

    def __post_init__(self) -> None:
        for name in ("transfer_fee_fraction", "liquidation_loss_fraction"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or not np.isfinite(values).all() or (values < 0.0).any():
                raise InputError(f"was {values}", field=name, allowed="finite numbers >= 0, one per venue")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.transfer_fee_fraction.shape != self.liquidation_loss_fraction.shape:
            raise InputError(
                "differ in length", field="transfer_fee_fraction, liquidation_loss_fraction", allowed="one per venue"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What stands where today and how it can be moved now; without it all money is fresh.

    Parameters
    ----------
    amount_usd : array [placement]
    reserve_usd : float
    fee_fraction : array [placement]
        Cost of moving a dollar between the reserve and the placement now, in [0, 1).
    depositable_usd, withdrawable_usd : array [placement]
        Most that can be moved in and out now; 0 for a halted venue; may be infinite.
    fresh_usd : float
        Most new capital that can be raised into the reserve; may be infinite.
    """

    amount_usd: Vector
    reserve_usd: float
    fee_fraction: Vector
    depositable_usd: Vector
    withdrawable_usd: Vector
    fresh_usd: float = np.inf

    def __post_init__(self) -> None:
        count = np.asarray(self.amount_usd).size
        for name in ("amount_usd", "fee_fraction", "depositable_usd", "withdrawable_usd"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != (count,) or np.isnan(values).any() or (values < 0.0).any():
                raise InputError(f"was {values}", field=f"holdings: {name}", allowed=f"{count} numbers >= 0")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if (self.fee_fraction >= 1.0).any() or not np.isfinite(self.amount_usd).all():
            raise InputError("was out of range", field="holdings", allowed="fees below 1, finite amounts")
        if not 0.0 <= self.reserve_usd < np.inf or not self.fresh_usd >= 0.0:
            raise InputError("was negative or infinite", field="holdings: reserve_usd, fresh_usd", allowed="0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationProblem:
    """Minimise carry, fees and expected cost of the second stage subject to limits.

    Parameters
    ----------
    needs, placements : Needs, Placements
    limits : tuple of RiskLimit
        With distinct names.
    costs : RecourseCosts or None
        None leaves the second stage out of the objective.
    holdings : Holdings or None
    budget_usd : float
        Most that may stand in all placements and the reserve together.
    """

    needs: Needs
    placements: Placements
    limits: tuple[RiskLimit, ...] = ()
    costs: RecourseCosts | None = None
    holdings: Holdings | None = None
    budget_usd: float = np.inf

    def __post_init__(self) -> None:
        self.placements.check_against(self.needs)
        names = [limit.name for limit in self.limits]
        if len(set(names)) != len(names):
            raise InputError(f"were {names}", field="limits", allowed="distinct names")
        for limit in self.limits:
            case = self.needs if limit.needs is None else limit.needs
            self.placements.check_against(case)
            if limit.venues is not None and not set(limit.venues) <= set(range(case.n_venues)):
                raise InputError(
                    f"were {limit.venues}", field=f"limit {limit.name}: venues", allowed="venues with needs"
                )
        if np.isnan(self.budget_usd) or self.budget_usd < 0.0:
            raise InputError(f"was {self.budget_usd}", field="budget_usd", allowed="0 or more")
        if self.costs is not None and self.costs.transfer_fee_fraction.size != self.needs.n_venues:
            raise InputError("had another length", field="costs", allowed=f"{self.needs.n_venues} venues")
        if self.holdings is not None and self.holdings.amount_usd.size != self.placements.count:
            raise InputError("had another length", field="holdings", allowed=f"{self.placements.count} placements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer.

    Parameters
    ----------
    amount_usd, deposit_usd, withdrawal_usd : array [placement]
        What stands there after the moves; what is moved in and out now (zeros without holdings: then all is fresh).
    reserve_usd, fresh_usd, returned_usd : float
        Reserve after the moves, new capital, capital not needed any more.
    objective_usd, bound_usd, gap : float
        Cost at the answer, proven lower bound, their difference over the larger of 1 scaled unit and the cost.
    carry_usd, fee_usd, recourse_usd : float
        Parts of the objective: holding, moving now, expected second stage.
    marginal_value_usd : array [placement]
        Fall of the objective per further dollar that already stands there, >= 0.
    reserve_marginal_value_usd : float
        The same for the reserve.
    limit_price_usd : dict
        Fall of the objective per dollar by which a limit's level is raised, by name.
    binding : tuple of str
        Limits, bounds and budget that hold with equality and cost something.
    rounds : int
    optimal : bool
        Whether the gap was closed. False: a limit on rounds stopped it and only the bound is proven.
    planes : tuple of Plane
        For a warm start of a nearby problem with the same columns.
    """

    amount_usd: Vector
    deposit_usd: Vector
    withdrawal_usd: Vector
    reserve_usd: float
    fresh_usd: float
    returned_usd: float
    objective_usd: float
    bound_usd: float
    gap: float
    carry_usd: float
    fee_usd: float
    recourse_usd: float
    marginal_value_usd: Vector
    reserve_marginal_value_usd: float
    limit_price_usd: dict[str, float]
    binding: tuple[str, ...]
    rounds: int
    optimal: bool
    planes: tuple[Plane, ...]

    @property
    def capital_usd(self) -> float:
        """All that stands at venues and in the reserve."""
        return float(self.amount_usd.sum()) + self.reserve_usd
