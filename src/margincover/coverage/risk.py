"""Risk measures from one run: VaR and ES of every group of pools, cash calls gross and net, contributions, errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from margincover.coverage.value_pools import unit_factor, value_pool
from margincover.model.pool import MarginPool
from margincover.model.results import Estimate
from margincover.model.risk import LiquidityAtRisk, RiskPair, RiskParts
from margincover.model.scenario import ScenarioGenerator
from margincover.model.spot_volatility import SpotVolatility
from margincover.numeric import quantile
from margincover.numeric.arrays import PathVector
from margincover.numeric.batch_means import batch_error
from margincover.paths.cash_calls import CallPool, CashCalls
from margincover.paths.engine import BLOCK_PATHS, PathSettings, Progress, simulate
from margincover.units import SECONDS_PER_DAY
from margincover.venues import margin

Array = NDArray[np.float64]
_Z95 = 1.959963984540054
QUANTILE_RULE = (
    "VaR: smallest loss x with a share of at most the tolerance above it (order statistic, no interpolation); ES: mean "
    "of the worst share, the boundary path counted in part"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some pools of a book that are measured together; ``row`` is the place of their value pool in the run."""

    scope: str
    id: str
    members: tuple[int, ...]
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPlan:
    """What one run follows: the margin pools for their calls, then value pools for profit and loss."""

    pools: tuple[MarginPool, ...]
    values: tuple[MarginPool, ...]
    groups: tuple[Group, ...]
    venues: tuple[str, ...]

    @property
    def factors(self) -> tuple[str, ...]:
        """Factors that a generator must make, sorted."""
        return tuple(sorted({factor for value in self.values for factor in value.factors}))


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRun:
    """Losses of every group [group, path] at the horizon and at their largest, in USD, and the calls of the run."""

    plan: RiskPlan
    start_usd: Array
    at_horizon: Array
    on_path: Array
    calls: CashCalls
    table_error: float
    horizon_days: float

    @property
    def n_paths(self) -> int:
        """Number of joint paths."""
        return int(self.at_horizon.shape[1])


def plan_risk(pools: Sequence[MarginPool], *, law: SpotVolatility | None) -> RiskPlan:
    """Return what to follow for a book: itself, its venues, accounts and pools; groups of the same pools share a row.

    Parameters
    ----------
    pools : sequence of MarginPool
        At least one, with the law of implied volatility already set.
    law : SpotVolatility or None
        The same law.
    """
    venues = tuple(dict.fromkeys(pool.venue for pool in pools))
    wanted = [("book", "book", tuple(range(len(pools))))]
    wanted += [("venue", name, _where([pool.venue for pool in pools], name)) for name in venues]
    accounts = dict.fromkeys(pool.account_id for pool in pools)
    wanted += [("account", name, _where([pool.account_id for pool in pools], name)) for name in accounts]
    wanted += [("pool", pool.id, (row,)) for row, pool in enumerate(pools)]
    rows: dict[tuple[int, ...], int] = {}
    values: list[MarginPool] = []
    groups = []
    for scope, name, members in wanted:
        if members not in rows:
            rows[members] = len(values)
            held = [pools[member] for member in members]
            values.append(value_pool(f"{scope}/{name}", held[0].venue, held, law=law))
        groups.append(Group(scope=scope, id=name, members=members, row=rows[members]))
    return RiskPlan(pools=tuple(pools), values=tuple(values), groups=tuple(groups), venues=venues)


def _where(names: Sequence[str], name: str) -> tuple[int, ...]:
    return tuple(row for row, own in enumerate(names) if own == name)


def run_risk(
    plan: RiskPlan, generator: ScenarioGenerator, settings: PathSettings, *, progress: Progress | None = None
) -> RiskRun:
    """Follow everything of a plan along the paths of a generator; errors are those of ``paths.engine.simulate``."""
    n_pools = len(plan.pools)
    names = generator.info.factors
    calls = CashCalls(
        [
            CallPool(
                row=row,
                venue=plan.venues.index(pool.venue),
                unit_usd=pool.unit_usd,
                unit_factor=-1 if (unit := unit_factor(pool)) is None else names.index(unit),
            )
            for row, pool in enumerate(plan.pools)
        ],
        n_venues=len(plan.venues),
        equity_rows=range(n_pools, n_pools + len(plan.values)),
        n_factors=len(names),
        n_paths=-(-settings.n_paths // BLOCK_PATHS) * BLOCK_PATHS,
    )
    paths = simulate([*plan.pools, *plan.values], generator, settings, progress=progress, observer=calls.observe)
    start = -paths.start_shortfall[n_pools:]
    rows = [group.row for group in plan.groups]
    return RiskRun(
        plan=plan,
        start_usd=start[rows],
        at_horizon=(start[:, None] - calls.equity)[rows],
        on_path=(paths.maximum[n_pools:] + start[:, None])[rows],
        calls=calls,
        # A value pool requires nothing, and an error has no share of nothing: the margin pools alone are told.
        table_error=max(paths.table_error[:n_pools], default=0.0),
        horizon_days=settings.horizon_s / SECONDS_PER_DAY,
    )


def pair(losses: PathVector, tail: float) -> RiskPair:
    """Return VaR and ES of simulated losses with standard errors by batch means over whole blocks of paths."""
    return RiskPair(
        var=_estimate(losses, lambda x: quantile.tail_quantile(x, tail)),
        es=_estimate(losses, lambda x: quantile.expected_shortfall(x, tail)),
    )


def batches(losses: PathVector) -> int:
    """Return how many batches stand behind the standard errors."""
    return batch_error(losses, lambda x: float(x.mean()), block_paths=BLOCK_PATHS).batches


def _estimate(values: Array, figure: Callable[[Array], float]) -> Estimate:
    value, error = figure(values), batch_error(values, figure, block_paths=BLOCK_PATHS)
    half = error.factor_95 * error.standard_error
    return Estimate(value=value, standard_error=error.standard_error, low=value - half, high=value + half)


def liquidity_at_risk(run: RiskRun, tail: float) -> LiquidityAtRisk:
    """Return liquidity at risk of a run; see ``model.risk.LiquidityAtRisk``."""
    calls = run.calls
    gross, net = calls.venue_peak.sum(axis=0), calls.net_peak
    rows, weights = _worst(gross, tail)
    venue_parts = calls.venue_peak[:, rows] @ weights
    margin_part = float(calls.venue_margin[:, rows].sum(axis=0) @ weights)

    def difference(both: Array) -> float:
        return quantile.tail_quantile(both[0], tail) - quantile.tail_quantile(both[1], tail)

    return LiquidityAtRisk(
        gross=pair(gross, tail),
        net=pair(net, tail),
        cross_exchange=_estimate(np.stack([gross, net]), difference),
        gross_at_horizon=pair(np.maximum(calls.venue_end, 0.0).sum(axis=0), tail),
        net_at_horizon=pair(np.maximum(calls.net_end, 0.0), tail),
        venues={venue: pair(calls.venue_peak[row], tail) for row, venue in enumerate(run.plan.venues)},
        venue_parts={venue: float(venue_parts[row]) for row, venue in enumerate(run.plan.venues)},
        kind_parts={
            "variation_margin_and_funding": float(gross[rows] @ weights) - margin_part,
            "maintenance_margin": margin_part,
        },
    )


def contributions(run: RiskRun, factors: Sequence[str], tail: float) -> tuple[RiskParts, ...]:
    """Return the parts of VaR and ES of the book's loss at the horizon by pool, venue and factor.

    Parameters
    ----------
    run : RiskRun
    factors : sequence of str
        Of the generator, in its order.
    tail : float

    Notes
    -----
    Euler allocation: the mean of each part over the worst share of the paths (ES), or over the paths whose rank is
    within the sampling error of the VaR's (VaR). ``"remainder"`` holds what no single part explains, and for VaR the
    difference between that mean and the VaR itself.

    References
    ----------
    Tasche (2000), Risk contributions and performance measurement.
    """
    book = run.at_horizon[0]
    found = []
    for scope in ("pool", "venue"):
        found.append(_parts(scope, book, tail, partial(_by_group, run, scope)))
    found.append(_parts("factor", book, tail, partial(_by_factor, run, factors)))
    return tuple(found)


def _parts(
    by: str, book: PathVector, tail: float, split: Callable[[NDArray[np.int64]], tuple[list[str], Array]]
) -> RiskParts:
    order = np.argsort(-book, kind="stable")
    es_rows, weights = _worst(book, tail)
    spread = math.ceil(_Z95 * math.sqrt(book.size * tail * (1.0 - tail)))
    rank = weights.size - 1
    near = order[max(rank - spread, 0) : rank + spread + 1]
    result = []
    for rows, share, figure in (
        (near, np.full(near.size, 1.0 / near.size), float(book[order[rank]])),
        (es_rows, weights, float(book[es_rows] @ weights)),
    ):
        names, values = split(rows)
        parts = dict(zip(names, (float(v) for v in values @ share), strict=True))
        parts["remainder"] = parts.get("remainder", 0.0) + figure - sum(parts.values())
        result.append(parts)
    return RiskParts(by=by, var=result[0], es=result[1])


def _worst(values: PathVector, tail: float) -> tuple[NDArray[np.int64], PathVector]:
    """Return the paths of the worst share, worst first, and their weights in its mean; they sum to 1."""
    weights = quantile.tail_weights(values.size, tail)
    return np.argsort(-values, kind="stable")[: weights.size], weights


def _by_group(run: RiskRun, scope: str, rows: NDArray[np.int64]) -> tuple[list[str], Array]:
    """Return the loss of each group of a scope, [group, row]."""
    wanted = [place for place, group in enumerate(run.plan.groups) if group.scope == scope]
    return [run.plan.groups[place].id for place in wanted], run.at_horizon[wanted][:, rows]


def _by_factor(run: RiskRun, factors: Sequence[str], rows: NDArray[np.int64]) -> tuple[list[str], Array]:
    """Return the loss of the book from each factor alone, and what funding took, [part, row]."""
    book = run.plan.values[run.plan.groups[0].row]
    place = [list(factors).index(factor) for factor in book.factors]
    ratio = run.calls.factor_ratio[place][:, rows]

    def value(moved: Array) -> Array:
        return margin.evaluate_pool(book, moved, elapsed_days=run.horizon_days)[0]

    ones = np.ones_like(ratio)
    still = value(ones)
    parts = []
    for f in range(len(book.factors)):
        alone = ones.copy()
        alone[f] = ratio[f]
        parts.append(still - value(alone))
    end = run.start_usd[0] - run.at_horizon[0, rows]
    if book.options.count:
        # Options also settle on the way and carry a volatility level of their own: left to the remainder.
        return list(book.factors), np.array(parts).reshape(-1, rows.size)
    parts.append(value(ratio) - end)
    return [*book.factors, "funding"], np.array(parts)
