"""Required coverage: quantile and Expected Shortfall of the path maximum of maintenance - equity.

A dollar added to a pool lowers its shortfall at every instant by a dollar. The smallest sum that keeps the probability
of touching zero at the tolerance is therefore the quantile of the path maximum, and not the loss at the end of the
horizon nor the largest of the quantiles in time.
"""

from __future__ import annotations

from collections.abc import Sequence

from margincover.coverage import attribution, probability
from margincover.coverage.rare import RareEstimate
from margincover.coverage.status import severity
from margincover.model.book import Tolerance
from margincover.model.pool import MarginPool
from margincover.model.provenance import Provenance
from margincover.model.results import (
    CoverageResult,
    Estimate,
    PathSummary,
    PoolCoverage,
    PoolStatus,
    Reconciliation,
)
from margincover.numeric import quantile
from margincover.numeric.arrays import PathVector

_Z95 = 1.959963984540054
_WORST_PATHS = 10


def measure(
    pools: Sequence[MarginPool],
    statuses: Sequence[PoolStatus],
    paths: PathSummary,
    tolerance: Tolerance,
    *,
    reconciliation: tuple[Reconciliation, ...],
    provenance: Provenance,
    rare: Sequence[RareEstimate] | None = None,
) -> CoverageResult:
    """Return the coverage of every pool and of the book, worst first.

    Parameters
    ----------
    pools, statuses : sequence
        Same order as ``paths.pool_ids``.
    paths : PathSummary
    tolerance : Tolerance
        ``paths`` must have been made for its horizon.
    rare : sequence of RareEstimate or None
        Tail figures from a run made for small tolerances, in the order of ``pools``: they take the place of those of
        ``paths`` for RC, RCES, contributions and the probabilities at the tolerance's own horizon.
    """
    done = [
        _pool(row, pools[row], statuses[row], paths, tolerance, None if rare is None else rare[row])
        for row in range(len(pools))
    ]
    done.sort(key=lambda pool: (_rank(pool), severity(pool.status)))
    return CoverageResult(
        pools=tuple(done),
        tolerance=tolerance.probability,
        horizon_s=tolerance.horizon_s,
        measure=tolerance.measure,
        n_paths=int(paths.maximum.shape[1]),
        any_liquidation=probability.any_liquidation(
            paths.liquidation_step,
            paths.margin_call_step,
            step_s=paths.step_s,
            n_steps=paths.n_steps,
            horizon_s=tolerance.horizon_s,
        ),
        required_usd=sum(pool.required_usd for pool in done),
        available_usd=sum(pool.available_usd for pool in done),
        gap_usd=sum(max(pool.gap_usd, 0.0) for pool in done),
        surplus_usd=sum(max(-pool.gap_usd, 0.0) for pool in done),
        reconciliation=reconciliation,
        provenance=provenance,
        paths=paths,
    )


def _rank(pool: PoolCoverage) -> float:
    """Return what sorts worst first: available over required; flat pools last."""
    ratio = pool.required_coverage_ratio
    return float("inf") if ratio is None else ratio


def estimates(values: PathVector, tail: float) -> tuple[Estimate, Estimate]:
    """Return (RC, RCES) of path maxima at a tail probability, with standard errors and 95 % intervals."""
    error, low, high = quantile.quantile_interval(values, tail)
    rc = Estimate(value=quantile.tail_quantile(values, tail), standard_error=error, low=low, high=high)
    mean, mean_error = quantile.expected_shortfall(values, tail), quantile.shortfall_error(values, tail)
    rces = Estimate(value=mean, standard_error=mean_error, low=mean - _Z95 * mean_error, high=mean + _Z95 * mean_error)
    return rc, rces


def _pool(
    row: int,
    pool: MarginPool,
    status: PoolStatus,
    paths: PathSummary,
    tolerance: Tolerance,
    rare: RareEstimate | None,
) -> PoolCoverage:
    rc, rces = estimates(paths.maximum[row], tolerance.probability) if rare is None else (rare.rc, rare.rces)
    touched = probability.by_horizon(
        paths.liquidation_step[row],
        paths.margin_call_step[row],
        step_s=paths.step_s,
        n_steps=paths.n_steps,
        horizon_s=tolerance.horizon_s,
    )
    chosen = rces if tolerance.measure == "rces" else rc
    gap = chosen.value
    required = status.equity_native + gap
    if status.state == "flat":
        gap, required = -status.equity_native, 0.0
    tail = paths.tails[row]
    hours = paths.step_s / 3600.0
    worst = tuple(
        (int(tail.path[k]), float(tail.maximum[k]), float(paths.maximum_step[row, tail.path[k]]) * hours)
        for k in range(min(_WORST_PATHS, tail.path.size))
    )
    return PoolCoverage(
        status=status,
        rc=rc,
        rces=rces,
        measure=tolerance.measure,
        required_native=required,
        available_native=status.equity_native,
        gap_native=gap,
        gap_standard_error_native=chosen.standard_error,
        required_usd=required * status.unit_usd,
        available_usd=status.equity_usd,
        gap_usd=gap * status.unit_usd,
        required_coverage_ratio=status.equity_native / required if required > 0 else None,
        contributions=(
            attribution.contributions(pool, paths, row, tolerance.probability) if rare is None else rare.contributions
        ),
        probabilities=touched if rare is None else tuple(rare.at_horizon(each, tolerance) for each in touched),
        time_to_liquidation_p50_s=probability.median_time_s(paths.liquidation_step[row], paths.step_s),
        worst_paths=worst,
        verdict=_verdict(status, gap, chosen.standard_error),
    )


def _verdict(status: PoolStatus, gap: float, error: float) -> str:
    if status.state == "flat":
        return "covered"
    if status.state == "liquidatable" or gap > 0.0:
        return "breach"
    if status.state == "called" or gap + _Z95 * error > 0.0:
        return "warning"
    return "covered"
