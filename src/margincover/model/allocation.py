"""Results of an allocation: what stands where, what to move, the rules that follow, and what is proven and checked."""

from __future__ import annotations

from dataclasses import dataclass

from margincover.model.provenance import Provenance
from margincover.model.results import Estimate

OUTSIDE = "outside"
RESERVE = "reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCapital:
    """One pool of the plan, amounts in US dollars.

    ``held`` is its equity after haircut now, at least 0; ``planned`` what shall stand there. ``trigger`` is the
    headroom below which the standing rule orders money, ``target`` the headroom it restores, ``trigger_multiple`` the
    trigger over the hourly standard deviation of the headroom now. ``delay_s`` is the 99 % delay of money from the
    reserve, None where none comes. ``p_now`` is P(liquidation) if nothing is moved, ``p_before_arrival`` until the
    moves of the plan are there, ``p_planned`` with the plan and its rules. ``marginal_value`` is by how many dollars a
    year the cost falls per further dollar that stands there; ``hour_value`` by how much capital an hour less delay
    lowers the plan.
    """

    pool_id: str
    account_id: str
    venue: str
    asset: str
    held_usd: float
    planned_usd: float
    maintenance_usd: float
    hourly_usd: float
    trigger_usd: float
    target_usd: float
    trigger_multiple: float | None
    trigger_of_maintenance: float | None
    delay_s: float | None
    p_now: Estimate
    p_before_arrival: Estimate
    p_planned: Estimate
    marginal_value: float
    hour_value_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferNow:
    """One move of the plan in whole cents; ``outside`` is new capital or a place without a way in the book.

    ``fee_cents`` is paid on top by the place it comes from. Delays are None where the book names no way.
    """

    origin: str
    destination: str
    asset: str
    amount_cents: int
    fee_cents: int
    arrival_p50_s: float | None
    arrival_p99_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierEntry:
    """One point of the frontier: capital in US dollars, its cost a year, and P(any liquidation) on fresh paths."""

    tail: float
    capital_usd: float
    reserve_usd: float
    cost_per_year_usd: float
    probability: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One way to size, from nothing held: capital, and P(any liquidation) on fresh paths."""

    name: str
    capital_usd: float
    probability: Estimate
    to_bonferroni: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageCell:
    """One pool when one place is frozen: P(liquidation) on fresh paths and the extra buffer that prevents it."""

    place: str
    pool_id: str
    probability: Estimate
    extra_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A change beside cash: capital of the plan before and after it, from nothing held, and what it costs once."""

    name: str
    capital_before_usd: float
    capital_after_usd: float
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationResult:
    """The whole answer.

    Parameters
    ----------
    status : str
        ``"planned"``, ``"fallback"`` (the solver failed: each pool alone, not optimal) or ``"infeasible"``.
    message : str
        Why it is a fallback or infeasible: the limits in conflict and the least relaxation.
    tolerance, horizon_s, n_paths
    joint_tail : float
        Tail of the Expected Shortfall at which the plan was solved.
    validation_bound : float
        Upper end (95 %, one-sided) of P(any liquidation) on the validation paths.
    pools : tuple of PlacedCapital
    transfers : tuple of TransferNow
    reserve_before_cents, reserve_cents, fresh_cents, returned_cents, imbalance_cents : int
    line_usd : float
        Part of the reserve that is undrawn committed credit.
    cost_per_year_usd : float
        Carry of capital and reserve.
    objective_usd, bound_usd, gap : float
        Over the horizon; the proven relative gap.
    recheck_excess_usd : float
        Largest violation found by the computation without the solver; <= 0.
    p_now, p_planned : Estimate
        P(any liquidation) on fresh paths, without moves and with the plan.
    binding : tuple of str
    """

    status: str
    message: str
    tolerance: float
    horizon_s: int
    n_paths: int
    joint_tail: float
    validation_bound: float
    pools: tuple[PlacedCapital, ...]
    transfers: tuple[TransferNow, ...]
    reserve_before_cents: int
    reserve_cents: int
    fresh_cents: int
    returned_cents: int
    imbalance_cents: int
    line_usd: float
    cost_per_year_usd: float
    objective_usd: float
    bound_usd: float
    gap: float
    recheck_excess_usd: float
    p_now: Estimate
    p_planned: Estimate
    binding: tuple[str, ...]
    frontier: tuple[FrontierEntry, ...]
    comparisons: tuple[Comparison, ...]
    outages: tuple[OutageCell, ...]
    alternatives: tuple[Alternative, ...]
    evpi_usd: float | None
    vss_usd: float | None
    notes: tuple[str, ...]
    provenance: Provenance
