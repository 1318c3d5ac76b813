"""Results as tables for a terminal or a pipe, from 80 columns on; colour only repeats what a word says."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from margincover.model.provenance import Provenance
from margincover.model.results import (
    CoverageResult,
    HorizonProbability,
    PoolCoverage,
    PoolStatus,
    Reconciliation,
    StatusResult,
)
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding
from margincover.report.headline import (
    STATE_WORDS,
    VERDICT_WORDS,
    coverage_headline,
    status_headline,
)
from margincover.report.parts import at_horizon, pool_probability
from margincover.report.terminal_detail import contribution_table, probability_table
from margincover.units import format_duration

__all__ = [
    "comparison_table",
    "contribution_table",
    "coverage_table",
    "liquidated_at",
    "probability_table",
    "provenance_panel",
    "reconciliation_table",
    "status_table",
]

_STYLES = {
    "breach": "bold red",
    "liquidatable": "bold red",
    "warning": "yellow",
    "called": "yellow",
    "covered": "green",
    "open": "green",
    "flat": "dim",
}


def status_table(result: StatusResult) -> RenderableType:
    """Return all pools at ``as_of``, in the order of the result (worst first), with the answer in words above.

    Parameters
    ----------
    result : StatusResult

    Returns
    -------
    rich renderable
        Chooses its columns by the width of the console. Equity and headroom are rounded down, maintenance up.

    Raises
    ------
    InputError
        If a figure is not finite.
    """
    pools = result.pools
    states = [pool.state for pool in pools]
    columns = [
        Column(title="Pool", cells=[pool.pool_id for pool in pools], justify="left", name=True),
        Column(
            title="State",
            cells=[STATE_WORDS.get(state, state) for state in states],
            justify="left",
            styles=[_STYLES.get(state, "") for state in states],
        ),
        Column(title="Coverage", cells=[fmt.ratio(pool.coverage_ratio) for pool in pools]),
        Column(title="Headroom", cells=[_down(pool.headroom_native, pool) for pool in pools]),
        Column(title="Liquidated at move", cells=[liquidated_at(pool) for pool in pools], priority=1),
        Column(title="Equity", cells=[_down(pool.equity_native, pool) for pool in pools], priority=2),
        Column(title="Maintenance", cells=[_up(pool.maintenance_native, pool) for pool in pools], priority=3),
        Column(title="Notional", cells=[fmt.usd(pool.gross_notional_usd) for pool in pools], priority=4),
        Column(title="Margin", cells=[pool.margin_mode for pool in pools], priority=5, justify="left"),
    ]
    return FittedTable(
        title="Status now",
        columns=columns,
        headline=status_headline(result),
        empty="no pools",
        note=_notes(pools),
    )


def coverage_table(result: CoverageResult) -> RenderableType:
    """Return required and available capital of all pools, worst first, with the answer in words above.

    Parameters
    ----------
    result : CoverageResult

    Returns
    -------
    rich renderable
        Gap and required are rounded up, available down; a negative gap is what could leave.

    Raises
    ------
    InputError
        If a figure is not finite.
    """
    pools, horizon = result.pools, format_duration(result.horizon_s)
    horizons = [at_horizon(pool.probabilities, result.horizon_s) for pool in pools]
    verdicts = [pool.verdict for pool in pools]
    columns = [
        Column(title="Pool", cells=[pool.status.pool_id for pool in pools], justify="left", name=True),
        Column(
            title="Verdict",
            cells=[VERDICT_WORDS.get(verdict, verdict) for verdict in verdicts],
            justify="left",
            styles=[_STYLES.get(verdict, "") for verdict in verdicts],
        ),
        Column(title="Gap", cells=[_up(pool.gap_native, pool.status) for pool in pools]),
        Column(
            title=f"P(liquidation {horizon})",
            cells=_liquidation(pools, horizons),
            priority=1,
        ),
        Column(title="Required", cells=[_up(pool.required_native, pool.status) for pool in pools], priority=2),
        Column(title="Available", cells=[_down(pool.available_native, pool.status) for pool in pools], priority=3),
        Column(title="Gap in USD", cells=[fmt.usd(pool.gap_usd, rounding=Rounding.UP) for pool in pools], priority=4),
        Column(title="Avail/req", cells=[fmt.ratio(pool.required_coverage_ratio) for pool in pools], priority=5),
        Column(title=f"P(call {horizon})", cells=_calls(pools, horizons), priority=6),
        Column(
            title="Median time",
            cells=[fmt.duration(pool.time_to_liquidation_p50_s) for pool in pools],
            priority=7,
        ),
    ]
    note = "Gap = required - available: > 0 must be added, < 0 could leave." if pools else ""
    return FittedTable(
        title=f"Coverage at {fmt.percent(result.tolerance, decimals=4)} over "
        f"{fmt.duration_words(result.horizon_s)} ({result.measure.upper()}, {result.n_paths:,} paths)",
        columns=columns,
        headline=coverage_headline(result),
        empty="no pools",
        note=note,
    )


def reconciliation_table(result: StatusResult | CoverageResult) -> RenderableType:
    """Return our figures beside the venues' own, largest difference first."""
    return comparison_table(result.reconciliation)


def comparison_table(rows: Sequence[Reconciliation]) -> RenderableType:
    """Return figures beside the venues' own, largest difference first."""
    lines = sorted(rows, key=lambda line: -abs(_sortable(fmt.difference_bps(line))))
    return FittedTable(
        title="Reconciliation with what the venues report",
        columns=[
            Column(title="Pool", cells=[line.pool_id for line in lines], justify="left", name=True),
            Column(title="Figure", cells=[line.figure for line in lines], justify="left"),
            Column(title="Difference", cells=[fmt.bps(fmt.difference_bps(line)) for line in lines]),
            Column(title="Ours", cells=[fmt.native(line.ours, line.unit) for line in lines], priority=1),
            Column(title="Venue's", cells=[fmt.native(line.venue, line.unit) for line in lines], priority=1),
        ],
        empty="the book carries no figures of the venues, so nothing was compared",
    )


def provenance_panel(provenance: Provenance) -> RenderableType:
    """Return warnings, the scenarios used, what is not modelled, and the rule editions, as a short panel."""
    parts: list[Text] = [Text(f"Warning: {text}", style="yellow") for text in provenance.warnings]
    scenario = provenance.scenario
    if scenario:
        end = f", data to {scenario['as_of'][:10]}" if scenario.get("as_of") else ""
        parts.append(Text(f"Scenarios: {scenario.get('label') or scenario.get('method', 'own generator')}{end}"))
    if provenance.not_modelled:
        parts.append(Text(f"Not modelled: {'; '.join(provenance.not_modelled)}"))
    if provenance.editions:
        editions = ", ".join(f"{use.edition} ({_age(use.age_days)})" for use in provenance.editions)
        parts.append(Text(f"Rule editions: {editions}"))
    seed = "" if provenance.seed is None else f", seed {provenance.seed}"
    digest = f", input {provenance.input_sha256[:12]}" if provenance.input_sha256 else ""
    parts.append(Text(f"margincover {provenance.version}, as of {provenance.as_of}{seed}{digest}", style="dim"))
    return Panel(Group(*parts), title="Where these figures come from", title_align="left")


def _age(days: int) -> str:
    return f"seen {days} d before" if days >= 0 else f"seen {-days} d after"


def _up(value: float, pool: PoolStatus) -> str:
    return fmt.native(value, pool.unit, rounding=Rounding.UP)


def _down(value: float, pool: PoolStatus) -> str:
    return fmt.native(value, pool.unit, rounding=Rounding.DOWN)


def liquidated_at(pool: PoolStatus) -> str:
    """Return the common moves at which a pool is liquidated, as text."""
    moves = [move for move in (pool.common_move_down, pool.common_move_up) if move is not None]
    if pool.coverage_ratio is None:
        return fmt.ABSENT
    if not moves:
        return "now" if pool.state == "liquidatable" else "no move found"
    return " / ".join(fmt.move_text(move, decimals=1) for move in moves)


def _liquidation(pools: tuple[PoolCoverage, ...], horizons: list[HorizonProbability | None]) -> list[str]:
    pairs = zip(pools, horizons, strict=True)
    return [pool_probability(pool.status, entry.liquidation if entry else None) for pool, entry in pairs]


def _calls(pools: tuple[PoolCoverage, ...], horizons: list[HorizonProbability | None]) -> list[str]:
    pairs = zip(pools, horizons, strict=True)
    return [pool_probability(pool.status, entry.margin_call if entry else None) for pool, entry in pairs]


def _notes(pools: tuple[PoolStatus, ...]) -> str:
    return "\n".join(f"{pool.pool_id}: {note}" for pool in pools for note in pool.notes)


def _sortable(difference: float | None) -> float:
    # A venue figure of zero against ours that is not has no ratio; it is the largest difference there is.
    return float("inf") if difference is None else difference
