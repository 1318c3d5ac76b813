"""Results: what paths, coverage and status return. Plain frozen tables that every output is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from margincover.model.announcement import RuleAnnouncement
from margincover.model.explain import ExplainNode
from margincover.model.provenance import Provenance
from margincover.numeric.arrays import PoolPath, PoolPathIndex, Vector

if TYPE_CHECKING:
    from margincover.model.add_ons import AddOns


@dataclass(frozen=True, slots=True, kw_only=True)
class TailRecord:
    """Paths with the largest maxima of one pool, with the contribution of each factor at the maximum.

    ``path`` [row] are path numbers, ``maximum`` [row] the path maximum of the shortfall, ``contribution``
    [row, factor + 2] its change from the start by factor of the pool, then by funding, then the remainder that no
    single factor explains (collateral haircuts and borrowed assets), all in the pool's unit. A third column more, where
    marks leave their index, holds what that cost.
    """

    path: NDArray[np.int64]
    maximum: Vector
    contribution: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSummary:
    """Reduction of all joint paths.

    Parameters
    ----------
    pool_ids : tuple of str [pool]
    step_s, n_steps, n_horizon_steps : int
        The maximum is taken over ``n_horizon_steps``; first passage is followed over ``n_steps``.
    start_shortfall : Vector [pool]
        Maintenance minus equity at ``as_of``.
    maximum : PoolPath [pool, path]
        Path maximum of maintenance minus equity, bridge included, start included; without absorption.
    maximum_step : PoolPathIndex [pool, path]
        Step in which it was reached, 0 for the start.
    liquidation_step, margin_call_step : PoolPathIndex [pool, path]
        First step (1, 2, ...) in which the level was touched; 0 when touched at the start, -1 for never.
    tails : tuple of TailRecord [pool]
    table_error : tuple of float [pool]
        Of pools with a model, which are followed by tables of their rule: the largest difference among the states that
        were priced exactly as well, as a share of the maintenance there. 0 for the others.
    fan_equity, fan_maintenance : array [step + 1, pool, path]
        The first paths of the run, kept whole for pictures.
    """

    pool_ids: tuple[str, ...]
    step_s: int
    n_steps: int
    n_horizon_steps: int
    seed: int
    start_shortfall: Vector
    maximum: PoolPath
    maximum_step: PoolPathIndex
    liquidation_step: PoolPathIndex
    margin_call_step: PoolPathIndex
    tails: tuple[TailRecord, ...]
    table_error: tuple[float, ...]
    fan_equity: NDArray[np.float64]
    fan_maintenance: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A simulated figure with its standard error and its 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonProbability:
    """Probability of touching a level within a horizon."""

    horizon_s: int
    liquidation: Estimate
    margin_call: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidationLevel:
    """Liquidation price of one instrument, all else stated.

    ``down`` and ``up`` are the nearest prices below and above the mark at which equity meets maintenance, None where
    there is none; ``venue_price`` is what the venue would print where that differs from the root; ``reported`` is
    what it did print.
    """

    symbol: str
    mark_price: float
    down: float | None
    up: float | None
    venue_price: float | None = None
    reported: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """One figure of ours against the venue's own, in ``unit``."""

    pool_id: str
    figure: str
    unit: str
    ours: float
    venue: float
    difference_bps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """One pool at ``as_of``: what the venue would say of it now.

    Money is in the pool's ``unit`` (``_native``) and in USD. ``coverage_ratio`` is equity after haircut over
    maintenance, None when there is no requirement. ``common_move_down`` / ``up`` are the fractional moves of all
    factors together at which the pool is liquidated, None where there is none within the searched range.
    """

    pool_id: str
    account_id: str
    venue: str
    mode: str
    margin_mode: str
    unit: str
    unit_usd: float
    equity_native: float
    maintenance_native: float
    initial_native: float | None
    headroom_native: float
    equity_usd: float
    maintenance_usd: float
    initial_usd: float | None
    headroom_usd: float
    gross_notional_usd: float
    coverage_ratio: float | None
    margin_call_coverage_ratio: float
    common_move_down: float | None
    common_move_up: float | None
    levels: tuple[LiquidationLevel, ...]
    state: str  # "liquidatable", "called", "open" or "flat"
    notes: tuple[str, ...] = ()
    explain: tuple[ExplainNode, ...] = ()  # trees of equity, maintenance and initial margin, when asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusResult:
    """All pools at ``as_of``, worst first; ``announcements`` are changes of rules that are already known."""

    pools: tuple[PoolStatus, ...]
    reconciliation: tuple[Reconciliation, ...]
    provenance: Provenance
    announcements: tuple[RuleAnnouncement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCoverage:
    """Coverage of one pool at the stated tolerance.

    Parameters
    ----------
    required_native, available_native, gap_native : float
        Capital that must back the pool, capital that does (equity after haircut), and required - available: what
        must be added (> 0) or could leave (< 0). In the pool's unit, with the chosen measure.
    rc, rces : Estimate
        Quantile and Expected Shortfall of the path maximum of maintenance - equity, in the pool's unit.
    required_coverage_ratio : float or None
        available / required, bigger is safer.
    contributions : mapping factor -> float
        Parts of RCES in the pool's unit: ``"start"`` (shortfall at as_of), each factor, ``"funding"``, ``"remainder"``;
        they sum to RCES.
    probabilities : tuple of HorizonProbability
    time_to_liquidation_p50_s : float or None
        Median first-passage time of the paths that are liquidated within the longest horizon.
    worst_paths : tuple of (path number, maximum in the pool's unit, hour of the maximum)
    verdict : str
        ``"breach"`` (gap > 0, or liquidatable now), ``"warning"`` (covered, but within the error bar or called at more
        than the tolerance) or ``"covered"``.
    """

    status: PoolStatus
    rc: Estimate
    rces: Estimate
    measure: str
    required_native: float
    available_native: float
    gap_native: float
    gap_standard_error_native: float
    required_usd: float
    available_usd: float
    gap_usd: float
    required_coverage_ratio: float | None
    contributions: Mapping[str, float]
    probabilities: tuple[HorizonProbability, ...]
    time_to_liquidation_p50_s: float | None
    worst_paths: tuple[tuple[int, float, float], ...]
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageResult:
    """Coverage of all pools, worst first, and of the book."""

    pools: tuple[PoolCoverage, ...]
    tolerance: float
    horizon_s: int
    measure: str
    n_paths: int
    any_liquidation: tuple[HorizonProbability, ...]
    required_usd: float
    available_usd: float
    gap_usd: float
    surplus_usd: float
    reconciliation: tuple[Reconciliation, ...]
    provenance: Provenance
    paths: PathSummary = field(repr=False)
    add_ons: AddOns | None = None  # shown apart, in no other figure
