"""Add-ons against procyclicality: what a stress weight and a full-history floor ask above the requirement."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.coverage.required import estimates
from margincover.model.add_ons import AddOns, PoolAddOns
from margincover.model.results import CoverageResult, PathSummary, PoolCoverage
from margincover.model.stress import PoolStress, ScenarioResult

STRESS_WEIGHT = 0.25


def add_ons(
    result: CoverageResult,
    episodes: Sequence[ScenarioResult],
    floor: PathSummary,
    *,
    floor_label: str,
    floor_as_of: str,
    notes: Sequence[str] = (),
) -> AddOns:
    """Return the add-ons of every pool of a coverage result.

    Parameters
    ----------
    result : CoverageResult
    episodes : sequence of ScenarioResult
        Packaged episodes on the same pools; at least one.
    floor : PathSummary
        The same pools along paths at the volatility of all of the history, over the same horizon.
    floor_label, floor_as_of : str
        Of the generator of ``floor``.
    notes : sequence of str

    Notes
    -----
    With w = 25 %: max(w (RC_stress - RC), 0), so that RC and add-on are max(RC, w RC_stress + (1 - w) RC), and
    max(RC_floor - RC, 0). RC is the measure of the result. RC_stress is that of the whole episode, whatever the
    horizon. The requirement with add-ons is not coverage at the stated tolerance.

    References
    ----------
    Commission Delegated Regulation (EU) 153/2013, Art. 28: weight of at least 25 % on stressed observations, and a
    floor at the volatility of a ten-year lookback.
    """
    found, fills = [], list(notes)
    for pool in result.pools:
        worst, scenario = _worst(pool.status.pool_id, episodes)
        fills += [
            f"{pool.status.pool_id}, {fill.factor} in {scenario.scenario.name}: {fill.rule}"
            for fill in scenario.fills
            if fill.pool_id == pool.status.pool_id
        ]
        found.append(_pool(pool, worst, scenario.scenario.name, floor, result))
    return AddOns(
        pools=tuple(found),
        stress_weight=STRESS_WEIGHT,
        floor_label=floor_label,
        floor_as_of=floor_as_of,
        notes=tuple(dict.fromkeys(fills)),
    )


def _worst(pool_id: str, episodes: Sequence[ScenarioResult]) -> tuple[PoolStress, ScenarioResult]:
    pairs = [(pool, episode) for episode in episodes for pool in episode.pools if pool.pool_id == pool_id]
    assert pairs, "Invariant: every episode is evaluated on every pool of the result"
    return max(pairs, key=lambda pair: pair[0].shortfall_native)


def _pool(
    pool: PoolCoverage, worst: PoolStress, episode: str, floor: PathSummary, result: CoverageResult
) -> PoolAddOns:
    status = pool.status
    rc, rces = estimates(floor.maximum[floor.pool_ids.index(status.pool_id)], result.tolerance)
    low = rces if result.measure == "rces" else rc
    model = (pool.rces if result.measure == "rces" else pool.rc).value
    # without a position there is nothing to require, calibrated or not
    held = 0.0 if status.state == "flat" else 1.0
    return PoolAddOns(
        pool_id=status.pool_id,
        unit=status.unit,
        unit_usd=status.unit_usd,
        required_native=pool.required_native,
        model_native=model,
        stress_native=worst.shortfall_native,
        episode=episode,
        floor_native=low,
        stress_add_on_native=held * max(STRESS_WEIGHT * (worst.shortfall_native - model), 0.0),
        floor_add_on_native=held * max(low.value - model, 0.0),
    )
