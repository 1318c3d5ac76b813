"""Which parts of a result are shown, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.results import Estimate, HorizonProbability, PoolCoverage, PoolStatus
from margincover.report import format as fmt

# A part below this fraction of the largest is the rounding of a sum, not a contribution.
_NOISE_FRACTION = 1e-9


def at_horizon(probabilities: Sequence[HorizonProbability], horizon_s: int) -> HorizonProbability | None:
    """Return the entry of one horizon, None where that horizon was not computed."""
    return next((entry for entry in probabilities if entry.horizon_s == horizon_s), None)


def pool_probability(pool: PoolStatus, estimate: Estimate | None) -> str:
    """Return the probability of one pool as text.

    Without a requirement and without a hit it is ``"no position"``: an upper bound from the number of paths would
    say something about the simulation, not about the pool. ``"-"`` where the horizon was not computed.
    """
    if estimate is None:
        return fmt.ABSENT
    text = fmt.probability(estimate, field=f"{pool.pool_id}: probability")
    return "no position" if pool.coverage_ratio is None and estimate.value == 0 else text


def ordered_contributions(pool: PoolCoverage) -> list[tuple[str, float]]:
    """Return the parts of RCES in the pool's unit: start, factors by size, funding, remainder.

    A part that is only the rounding of the sum (below 1e-9 of the largest) is given as 0.

    Raises
    ------
    InputError
        If a part is not finite.
    """
    ends = ("funding", "remainder")
    parts = pool.contributions
    for name, value in parts.items():
        fmt.finite(value, field=f"contributions.{name}", account=pool.status.pool_id)
    factors = [name for name in parts if name != "start" and name not in ends]
    factors.sort(key=lambda name: (-abs(parts[name]), name))
    least = _NOISE_FRACTION * max((abs(value) for value in parts.values()), default=0.0)
    names = [name for name in ("start", *factors, *ends) if name in parts]
    return [(name, parts[name] if abs(parts[name]) > least else 0.0) for name in names]
