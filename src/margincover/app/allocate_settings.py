"""Settings of an allocation: what was asked, what may be asked, and what the planner makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from margincover.app.allocate_plan import PlanSettings
from margincover.errors import InputError, UsageError
from margincover.model.book import Book
from margincover.model.scenario import History
from margincover.paths.engine import MAX_PATHS

DEFAULT_ALLOCATION_PATHS = 8_192
COST_OF_CAPITAL = 0.10
# A judgement, not a measurement: a dollar short when an account is closed costs about one dollar more in fees, slippage
# and the hedge that is left open.
LIQUIDATION_COST = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocateSettings:
    """Settings of one run; None takes the book's or no limit.

    Parameters
    ----------
    tolerance, horizon_s, paths, seed, scenarios, history, threads
        As for ``cover``. Three independent sets of paths are made: planning, validation, fresh.
    cost_of_capital : float
        A year, >= 0.
    liquidation_cost : float
        Dollars lost per dollar short when an account is liquidated, >= 0.
    minimise : str
        ``"capital"``: carry and fees at the tolerance. ``"cost"``: also expected liquidation loss, which may hold more.
    n_minus_1 : bool
        Every frozen venue is a hard case.
    limits_usd : mapping
        Most capital by account or pool id.
    fresh_usd, reserve_limit_usd, budget_usd : float or None
        Most new capital, reserve, and capital in all.
    only_ways : bool
        Nothing gets to a pool to which the book names no way.
    frontier_points : int
        0 leaves the frontier out.
    with_alternatives : bool
        Weigh hedges brought together and faster ways.
    max_rounds : int
        Limit on rounds of the solver.
    """

    tolerance: float | None = None
    horizon_s: int | None = None
    paths: int = DEFAULT_ALLOCATION_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    threads: int | None = None
    cost_of_capital: float = COST_OF_CAPITAL
    liquidation_cost: float = LIQUIDATION_COST
    minimise: str = "capital"
    n_minus_1: bool = False
    limits_usd: Mapping[str, float] = field(default_factory=dict)
    fresh_usd: float | None = None
    reserve_limit_usd: float | None = None
    budget_usd: float | None = None
    only_ways: bool = False
    frontier_points: int = 14
    with_alternatives: bool = True
    max_rounds: int = 5_000


def plan_settings(book: Book, settings: AllocateSettings) -> PlanSettings:
    """Return the settings of the planner, the book's own where nothing was asked."""
    return PlanSettings(
        tolerance=book.tolerance.probability if settings.tolerance is None else settings.tolerance,
        horizon_s=book.tolerance.horizon_s if settings.horizon_s is None else settings.horizon_s,
        cost_of_capital=settings.cost_of_capital,
        liquidation_cost=settings.liquidation_cost,
        limits_usd=dict(settings.limits_usd),
        fresh_usd=settings.fresh_usd,
        reserve_limit_usd=settings.reserve_limit_usd,
        budget_usd=settings.budget_usd,
        only_ways=settings.only_ways,
        n_minus_1=settings.n_minus_1,
        is_rces=book.tolerance.measure == "rces",
        minimise=settings.minimise,
        max_rounds=settings.max_rounds,
    )


def check_settings(settings: AllocateSettings, book: Book) -> None:
    """Raise UsageError or InputError for a setting that cannot be used."""
    if not 256 <= settings.paths <= MAX_PATHS:
        raise UsageError(f"was {settings.paths}", field="--paths", allowed=f"256 to {MAX_PATHS}")
    if settings.minimise not in ("capital", "cost"):
        raise UsageError(f"was '{settings.minimise}'", field="--minimise", allowed="capital or cost")
    if not (math.isfinite(settings.cost_of_capital) and 0.0 < settings.cost_of_capital <= 10.0):
        # Capital that costs nothing, or pays, has no least amount: the problem is unbounded.
        raise UsageError(
            f"was {settings.cost_of_capital:g}", field="--cost-of-capital", allowed="above 0, for example 10%"
        )
    if not 0 <= settings.frontier_points <= 50:
        raise UsageError(f"was {settings.frontier_points}", field="--frontier", allowed="0 to 50 points")
    amounts = {
        "--liquidation-cost": settings.liquidation_cost,
        "--fresh": settings.fresh_usd,
        "--reserve-limit": settings.reserve_limit_usd,
        "--budget": settings.budget_usd,
        **{f"--limit {name}": value for name, value in settings.limits_usd.items()},
    }
    for name, value in amounts.items():
        if value is not None and not (math.isfinite(value) and value >= 0.0):
            raise UsageError(f"was {value}", field=name, allowed="a finite number >= 0")
    known = {account.id for account in book.accounts}
    for name in settings.limits_usd:
        if name.partition("/")[0] not in known:
            raise InputError(f"was '{name}'", field="--limit", allowed=f"an account: {', '.join(sorted(known))}")
