"""Results of an emergency plan: what to do, by when, what it buys, what it costs, and what was rejected and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from margincover.model.provenance import Provenance
from margincover.model.results import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionCost:
    """Cost of one action in US dollars, each >= 0.

    ``fees`` of transfers, draws and trades; ``interest`` of a line from the order to the horizon; ``impact`` conversion
    and price concession.
    """

    fees_usd: float = 0.0
    interest_usd: float = 0.0
    impact_usd: float = 0.0

    @property
    def total_usd(self) -> float:
        """Sum of the parts."""
        return self.fees_usd + self.interest_usd + self.impact_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueAction:
    """One step of the plan.

    Parameters
    ----------
    kind : str
        ``"transfer"``, ``"draw"``, ``"redeem"``, ``"reduce"`` or ``"move"``.
    account : str
        Pool that it helps.
    text : str
        What to do, in words.
    amount_usd : float
        Money that counts at the account, or notional that is traded.
    asset : str
        What arrives, or the symbol that is traded.
    arrives_s : int
        Time after ``as_of`` from which it counts in the plan: the end of the first step by which the 99 % delay has
        run; 0 for trades.
    deadline_s : int or None
        Time by which it must count: until then at most the accepted share of the paths is lost with what comes before
        it. None where the account keeps the tolerance up to the horizon without it: it lowers no risk in time.
    order_by_s : int or None
        Latest time after ``as_of`` at which it may be ordered to count at the deadline.
    """

    kind: str
    account: str
    text: str
    amount_usd: float
    asset: str
    arrives_s: int
    deadline_s: int | None
    order_by_s: int | None
    cost: ActionCost
    p_before: Estimate
    p_after: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedAction:
    """An action that the plan does not hold, and why."""

    text: str
    account: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueAccount:
    """One pool before and after the plan.

    Parameters
    ----------
    p_before, p_after : Estimate
        Probability of liquidation within the horizon.
    p_check : Estimate
        The same with the plan, on fresh paths that the search did not see.
    deadline_s : int or None
        Without the plan: time by whose end at most the accepted share of the paths is lost; None: never more than that.
        -1 where the pool is liquidatable now.
    lost_p50_s : float or None
        With the plan: median time of liquidation of the paths that are still lost.
    extra_buffer_usd : float
        Cash at the start, on top of the plan, that would keep the tolerance; 0 where it is kept.
    """

    id: str
    account_id: str
    venue: str
    p_before: Estimate
    p_after: Estimate
    p_check: Estimate
    deadline_s: int | None
    lost_p50_s: float | None
    extra_buffer_usd: float

    @property
    def is_kept(self) -> bool:
        """Whether the tolerance is met with the plan."""
        return self.extra_buffer_usd <= 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyUse:
    """One action of the standing plan along the paths; ``mean_usd`` and ``mean_cost_usd`` where it was started."""

    id: str
    account: str
    source: str
    trigger_coverage_ratio: float
    target_coverage_ratio: float
    capacity_usd: float
    lead_s: int
    approver: str
    tested_at: datetime | None
    p_used: Estimate
    mean_usd: float
    mean_starts: float
    p_exhausted: Estimate
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyAccount:
    """One account with and without the standing plan; ``failures`` are shares of all paths by reason."""

    id: str
    p_without: Estimate
    p_with: Estimate
    failures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyResult:
    """The standing plan run along the paths.

    ``saved`` is the difference of the probabilities of any liquidation, on the same paths, with its own interval.
    """

    uses: tuple[ContingencyUse, ...]
    accounts: tuple[ContingencyAccount, ...]
    any_without: Estimate
    any_with: Estimate
    saved: Estimate
    mean_cost_usd: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueResult:
    """Answer of ``margincover rescue``; accounts worst first, actions in the order in which they are taken."""

    state: str
    as_of: datetime
    tolerance: float
    horizon_s: int
    n_paths: int
    accounts: tuple[RescueAccount, ...]
    actions: tuple[RescueAction, ...]
    rejected: tuple[RejectedAction, ...]
    any_before: Estimate
    any_after: Estimate
    any_check: Estimate
    contingency: ContingencyResult | None
    provenance: Provenance

    @property
    def meets(self) -> bool:
        """Whether every account keeps the tolerance with the plan."""
        return all(account.is_kept for account in self.accounts)

    @property
    def cost_usd(self) -> float:
        """Cost of all actions."""
        return sum(action.cost.total_usd for action in self.actions)
