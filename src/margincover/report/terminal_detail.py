"""The two detail tables of a terminal: probabilities by horizon, and what makes the requirement, one line per pool."""

from __future__ import annotations

import math

from rich.console import RenderableType

from margincover.model.results import CoverageResult, Estimate, HorizonProbability, PoolCoverage
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding
from margincover.report.parts import at_horizon, ordered_contributions
from margincover.units import format_duration

_FIXED_PARTS = ("start", "funding", "remainder")


def probability_table(result: CoverageResult) -> RenderableType:
    """Return the probabilities of liquidation and of a margin call, one column per horizon, the whole book first.

    Parameters
    ----------
    result : CoverageResult

    Returns
    -------
    rich renderable
        Cells are per cent, ± half of the 95 % interval; ``<`` and ``>`` mark the end of the interval where no or every
        path was hit. The tolerance's own horizon is always shown, the others while they fit.
    """
    lines: list[tuple[str, str, tuple[HorizonProbability, ...]]] = []
    if result.pools:
        lines.append(("any pool", "liquidation", result.any_liquidation))
        lines.append(("", "margin call", result.any_liquidation))
    for pool in result.pools:
        lines.append((pool.status.pool_id, "liquidation", pool.probabilities))
        lines.append(("", "margin call", pool.probabilities))
    horizons = [entry.horizon_s for entry in result.any_liquidation]
    order = sorted(horizons, key=lambda seconds: abs(horizons.index(seconds) - _own(result, horizons)))
    columns = [
        Column(title="Pool", cells=[name for name, _, _ in lines], justify="left", name=True),
        Column(title="Probability of", cells=[kind for _, kind, _ in lines], justify="left"),
    ]
    for seconds in horizons:
        cells = [_cell(kind, at_horizon(entries, seconds)) for _, kind, entries in lines]
        columns.append(Column(title=format_duration(seconds), cells=cells, priority=order.index(seconds)))
    return FittedTable(
        title="Probability within a horizon, in % (± half of the 95 % interval)",
        columns=columns,
        empty="no pools",
        note=f"{result.n_paths:,} paths; '<' and '>' are the end of the interval where no or every path was hit."
        if lines
        else "",
    )


def _own(result: CoverageResult, horizons: list[int]) -> int:
    return horizons.index(result.horizon_s) if result.horizon_s in horizons else 0


def _cell(kind: str, entry: HorizonProbability | None) -> str:
    if entry is None:
        return fmt.ABSENT
    estimate = entry.liquidation if kind == "liquidation" else entry.margin_call
    fmt.check_probability(estimate, field=kind)
    return compact_percent(estimate)


def compact_percent(estimate: Estimate) -> str:
    """Return a probability in per cent with half of its interval, without the per cent sign.

    Examples
    --------
    >>> compact_percent(Estimate(value=0.314, standard_error=0.003, low=0.307, high=0.321))
    '31.4 ±0.7'
    >>> compact_percent(Estimate(value=0.0, standard_error=0.0, low=0.0, high=0.00019))
    '< 0.019'
    """
    value, low, high = 100.0 * estimate.value, 100.0 * estimate.low, 100.0 * estimate.high
    if low == high:
        return f"{value:.3g}"
    if estimate.value == 0.0:
        return f"< {high:.2g}"
    if estimate.value == 1.0:
        return f"> {low:.4g}"
    half = max(high - value, value - low)
    # The error decides how many digits mean something, but a figure that is not 0 never shows as 0.
    decimals = max(1 if half >= 0.05 else 2 if half >= 0.02 else 3, math.ceil(-math.log10(value)))
    return f"{value:.{decimals}f} ±{half:.{decimals}f}"


def contribution_table(result: CoverageResult) -> RenderableType:
    """Return what makes the Expected Shortfall of each pool, one column per part: start, coins, funding, remainder."""
    pools = result.pools
    parts = [dict(ordered_contributions(pool)) for pool in pools]
    weight: dict[str, float] = {}
    for pool, part in zip(pools, parts, strict=True):
        for name, amount in part.items():
            if name not in _FIXED_PARTS:
                weight[name] = weight.get(name, 0.0) + abs(amount) * pool.status.unit_usd
    coins = list(weight)
    # The coins that move the most money stay longest on a narrow screen.
    rank = {name: place for place, name in enumerate(sorted(coins, key=lambda name: -weight[name]), start=2)}
    columns = [
        Column(title="Pool", cells=[pool.status.pool_id for pool in pools], justify="left", name=True),
        Column(title="Unit", cells=[pool.status.unit for pool in pools], justify="left"),
        Column(title="Now", cells=[_amount(part.get("start")) for part in parts], priority=1),
    ]
    columns += [
        Column(title=f"+ {name}", cells=[_amount(part.get(name)) for part in parts], priority=rank[name])
        for name in coins
    ]
    last = len(coins) + 2
    columns += [
        Column(title="+ funding", cells=[_amount(part.get("funding")) for part in parts], priority=last),
        Column(title="+ remainder", cells=[_amount(part.get("remainder")) for part in parts], priority=last + 1),
        Column(title="= RCES", cells=[_rces(pool) for pool in pools]),
    ]
    return FittedTable(
        title="What makes the requirement: maintenance - equity now, and its change by coin on the worst paths",
        columns=columns,
        empty="no pools",
    )


def _amount(amount: float | None) -> str:
    return fmt.ABSENT if amount is None else fmt.number(amount)


def _rces(pool: PoolCoverage) -> str:
    return fmt.number(pool.rces.value, rounding=Rounding.UP)
