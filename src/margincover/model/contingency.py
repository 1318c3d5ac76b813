"""Standing contingency funding plan: at which coverage ratio which money is called, and what that takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from margincover.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyAction:
    """One action of the plan: money from one source to one account.

    Parameters
    ----------
    id : str
        Unique in the book.
    account : str
        Account that receives the money.
    source : str
        Id of a reserve or credit line.
    trigger_coverage_ratio : float
        The action is started when equity over maintenance of the account falls below it, >= 1.
    target_coverage_ratio : float
        Level to restore, above the trigger.
    capacity_usd : float
        Most that the action may bring in all, > 0.
    lead_time_s : int
        From the decision until the money counts as margin, >= 0: people and systems included.
    cost_fraction, cost_usd : float
        Cost as a part of what is brought, and a fixed part each time.
    approver : str
        Who must agree.
    tested_at : datetime or None
        When the action was last tried; None is never.
    """

    id: str
    account: str
    source: str
    trigger_coverage_ratio: float
    target_coverage_ratio: float
    capacity_usd: float
    lead_time_s: int
    cost_fraction: float = 0.0
    cost_usd: float = 0.0
    approver: str = ""
    tested_at: datetime | None = None

    def __post_init__(self) -> None:
        field = f"contingency.{self.id}"
        if not 1.0 <= self.trigger_coverage_ratio < self.target_coverage_ratio < math.inf:
            raise InputError(
                f"were {self.trigger_coverage_ratio:g} and {self.target_coverage_ratio:g}",
                field=f"{field}.trigger",
                allowed="1 <= trigger < target, as equity over maintenance",
            )
        if not (math.isfinite(self.capacity_usd) and self.capacity_usd > 0.0):
            raise InputError(f"was {self.capacity_usd}", field=f"{field}.capacity_usd", allowed="a finite number > 0")
        if self.lead_time_s < 0:
            raise InputError(f"was {self.lead_time_s} s", field=f"{field}.lead_time", allowed=">= 0 s")
        if not 0.0 <= self.cost_fraction <= 1.0:
            raise InputError(f"was {self.cost_fraction}", field=f"{field}.cost_fraction", allowed="a fraction, 0 to 1")
        if not (math.isfinite(self.cost_usd) and self.cost_usd >= 0.0):
            raise InputError(f"was {self.cost_usd}", field=f"{field}.cost_usd", allowed="a finite number >= 0")
