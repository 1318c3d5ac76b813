"""Allocation by decomposition against the same problem as one linear programme on HiGHS, and its own scaling.

    python benchmarks/allocation.py [--rounds 3] [--whole "prefunded:2000,10000"]

Ten venues with heavy-tailed needs and a common factor. `prefunded`: joint Expected Shortfall at 1 %, no reserve.
`reserve`: a reserve, transfers on 9 paths of 10, one venue frozen as an N-1 case. `second stage`: also expected fees
and liquidation loss. Gap 1e-6. Both sides in turn; a whole programme above 10,000 paths is solved once, because it
takes minutes. The objectives must agree to 1e-6.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from margincover.allocation.chance import solve_exactly
from margincover.allocation.check import recheck
from margincover.allocation.first_stage import choose_units
from margincover.allocation.frontier import frontier
from margincover.allocation.needs import Needs, Placements
from margincover.allocation.problem import AllocationProblem, RecourseCosts, RiskLimit
from margincover.allocation.solve import solve_allocation
from margincover.allocation.whole import solve_whole_usd
from margincover.numeric.lp_cuts import CutSettings
from margincover.numeric.rng import stream

N_VENUES, GAP = 10, 1e-6
CASES = ("prefunded", "reserve", "second stage")


def problem(case: str, n_paths: int) -> AllocationProblem:
    """Make one of the three cases."""
    rng = stream(1, "benchmarks.allocation")
    factor, own = rng.standard_t(4, (1, n_paths)), rng.standard_t(4, (N_VENUES, n_paths))
    side, size = rng.choice([-1.0, 1.0], (N_VENUES, 1)), rng.uniform(0.5, 2.0, (N_VENUES, 1))
    total = ((side * factor + 0.7 * own) * size - rng.uniform(1.0, 3.0, (N_VENUES, 1))) * 1e6
    carry = rng.uniform(0.05, 0.15, N_VENUES) / 365.0
    joint = RiskLimit(name="joint", tail=0.01)
    if case == "prefunded":
        places = Placements.one_per_venue(carry)
        return AllocationProblem(needs=Needs.prefunded(total), placements=places, limits=(joint,))
    early = total - np.abs(rng.standard_normal(total.shape)) * rng.uniform(0.0, 1e6, (N_VENUES, 1))
    receivable = np.where(rng.random(total.shape) < 0.9, rng.uniform(0.5e6, 3e6, (N_VENUES, 1)), 0.0)
    needs = Needs(early_usd=early, total_usd=total, receivable_usd=receivable)
    costs = RecourseCosts(
        transfer_fee_fraction=rng.uniform(0.0, 1e-3, N_VENUES),
        liquidation_loss_fraction=rng.uniform(1e-3, 2e-2, N_VENUES),
    )
    return AllocationProblem(
        needs=needs,
        placements=Placements.one_per_venue(carry, reserve_carry_fraction=0.03 / 365.0),
        limits=(joint, RiskLimit(name="venue 1 frozen", tail=0.05, needs=needs.with_frozen(1))),
        costs=costs if case == "second stage" else None,
    )


def timed(run: Callable[[], object]) -> tuple[float, object]:
    """Return seconds and result of one call."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def compare(case: str, n_paths: int, *, rounds: int, whole: bool) -> None:
    """Print one line of the table."""
    asked = problem(case, n_paths)
    units, ours, theirs = choose_units(asked), [], []
    found = solve_allocation(asked, CutSettings(gap=GAP))  # warm-up
    optimum = found.objective_usd
    for number in range(rounds):
        seconds, _ = timed(lambda: solve_allocation(asked, CutSettings(gap=GAP)))
        ours.append(seconds)
        if whole and (number == 0 or n_paths <= 10_000):
            seconds, answer = timed(lambda: solve_whole_usd(asked, units))
            theirs.append(seconds)
            optimum = answer[0]  # type: ignore[index]
    difference = abs(found.objective_usd / optimum - 1.0)
    assert difference <= 2.0 * GAP, difference
    excess = recheck(asked, found).excess_usd
    us = statistics.median(ours)
    them = f"{statistics.median(theirs):.2f} | {statistics.median(theirs) / us:.0f}" if theirs else "- | -"
    shown = f"{difference:.1e}" if theirs else "-"
    print(
        f"| {case} | {n_paths:,} | {us:.3f} | {found.rounds} | {found.gap:.1e} | {them} | {shown} | {excess:.1e} |",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", default="prefunded:2000,10000,50000;reserve:2000;second stage:2000")
    arguments = parser.parse_args()
    largest = {}
    for piece in arguments.whole.split(";"):
        name, sizes = piece.split(":")
        largest[name] = {int(size) for size in sizes.split(",")}
    print("| case | paths | ours, s | rounds | gap | whole, s | ratio | difference | largest excess, USD |")
    print("|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        for n_paths in (2_000, 10_000, 50_000, 100_000):
            compare(case, n_paths, rounds=arguments.rounds, whole=n_paths in largest.get(case, set()))
    for case in ("prefunded", "reserve"):
        free = replace(problem(case, 50_000), limits=())
        seconds, _ = timed(lambda free=free: frontier(free, list(np.geomspace(0.001, 0.1, 20))))
        print(f"frontier of 20 points, 50,000 paths, {case}: {seconds:.2f} s")
    for n_paths in (10_000, 100_000):
        free = replace(problem("prefunded", n_paths), limits=())
        seconds, answer = timed(lambda free=free: solve_exactly(free, 0.01))
        print(f"exact chance constraint at 1 %, {n_paths:,} paths: {seconds:.2f} s, gap {answer.gap:.1e}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
