"""Random allocation problems: heavy-tailed needs with a common factor, reserves, weights, holdings, frozen venues."""

from __future__ import annotations

import numpy as np

from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import AllocationProblem, Holdings, RecourseCosts, RiskLimit


def random_needs(rng: np.random.Generator, n_venues: int, n_paths: int, *, weighted: int = 0) -> Needs:
    """Needs in dollars; ``weighted`` adds that many placements in volatile collateral after one per venue in cash."""
    factor, own = rng.standard_t(4, (1, n_paths)), rng.standard_t(4, (n_venues, n_paths))
    side, size = rng.choice([-1.0, 1.0], (n_venues, 1)), rng.uniform(0.5, 2.0, (n_venues, 1))
    total = ((side * factor + 0.7 * own) * size - rng.uniform(0.0, 2.0, (n_venues, 1))) * 1e6
    early = total - np.abs(rng.standard_normal((n_venues, n_paths))) * rng.uniform(0.0, 1e6, (n_venues, 1))
    up = rng.random((n_venues, n_paths)) < 0.9
    receivable = np.where(up, rng.uniform(0.3e6, 3e6, (n_venues, 1)), 0.0)
    early_weight = total_weight = None
    if weighted:
        cash = np.ones((n_venues, n_paths))
        early_weight = np.vstack([cash, rng.uniform(0.6, 1.0, (weighted, n_paths))])
        total_weight = np.vstack([cash, rng.uniform(0.5, 1.0, (weighted, n_paths))])
    return Needs(
        early_usd=early,
        total_usd=total,
        receivable_usd=receivable,
        probability=rng.dirichlet(np.ones(n_paths)) if rng.random() < 0.5 else None,
        early_weight=early_weight,
        total_weight=total_weight,
    )


def random_problem(seed: int, *, n_venues: int = 3, n_paths: int = 40) -> AllocationProblem:
    """A feasible problem whose features (reserve, weights, holdings, second stage, limits) follow from the seed."""
    rng = np.random.default_rng(seed)
    weighted = 2 if seed % 5 == 0 else 0
    needs = random_needs(rng, n_venues, n_paths, weighted=weighted)
    count = n_venues + weighted
    with_reserve = seed % 3 != 0
    placements = Placements(
        venue=np.append(np.arange(n_venues), rng.integers(0, n_venues, weighted)),
        carry_fraction=rng.uniform(0.05, 0.15, count) / 365.0,
        lower_usd=rng.uniform(0.0, 2e5, count),
        upper_usd=np.full(count, 1e8),
        reserve_carry_fraction=0.03 / 365.0 if with_reserve else 0.0,
        reserve_upper_usd=1e8 if with_reserve else 0.0,
    )
    limits = [RiskLimit(name="joint", tail=0.1)]
    if seed % 2:
        limits.append(RiskLimit(name="venue 0", tail=0.05, venues=(0,), with_reserve=False, level_usd=2e5))
    if seed % 4 == 1:
        limits.append(RiskLimit(name="venue 1 frozen", tail=0.25, needs=needs.with_frozen(1)))
    if seed % 7 == 0:
        limits.append(RiskLimit(name="worst path", tail=0.0, level_usd=1e6))
    costs = RecourseCosts(
        transfer_fee_fraction=rng.uniform(0.0, 1e-3, n_venues),
        liquidation_loss_fraction=rng.uniform(1e-3, 2e-2, n_venues),
    )
    holdings = Holdings(
        amount_usd=rng.uniform(0.0, 3e6, count),
        reserve_usd=1e6 if with_reserve else 0.0,
        fee_fraction=rng.uniform(0.0, 1e-4, count),
        depositable_usd=np.full(count, 1e8),
        withdrawable_usd=rng.choice([1e8, 5e5], count),
    )
    return AllocationProblem(
        needs=needs,
        placements=placements,
        limits=tuple(limits),
        costs=costs if seed % 2 == 0 or seed % 3 == 1 else None,
        holdings=holdings if seed % 4 == 2 else None,
        budget_usd=3e8 if seed % 4 == 3 else np.inf,
    )
