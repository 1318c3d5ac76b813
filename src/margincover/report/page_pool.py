"""One pool on the report page: sentence, facts, figures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.model.explain import ExplainNode
from margincover.model.results import CoverageResult, HorizonProbability, LiquidationLevel, PoolCoverage, PoolStatus
from margincover.report import format as fmt
from margincover.report.charts import pool_figures
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.headline import STATE_WORDS, VERDICT_WORDS
from margincover.report.page_parts import TONES, Cell, Table, down, gap_words, up
from margincover.report.parts import pool_probability


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One line of an explain tree: label, amount, how it came about, and the lines that sum to it."""

    label: str
    amount: str
    detail: str
    parts: Sequence[Branch]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSection:
    """One pool: heading, facts, figures and tables."""

    anchor: str
    title: str
    verdict: str
    tone: str
    sentence: str
    facts: Sequence[tuple[str, str]]
    figures: Sequence[Figure]
    no_figures: str
    tables: Sequence[Table]
    notes: Sequence[str]
    explain: Sequence[Branch] = ()


def pool_section(result: CoverageResult, pool: PoolCoverage, number: int) -> PoolSection:
    """Return the section of one pool; ``number`` is its place in the result, from 1."""
    status = pool.status
    figures = pool_figures(result, pool, prefix=f"pool-{number}")
    return PoolSection(
        anchor=f"pool-{number}",
        title=status.pool_id,
        verdict=VERDICT_WORDS.get(pool.verdict, pool.verdict),
        tone=TONES.get(pool.verdict, ""),
        sentence=_pool_sentence(result, pool),
        facts=_facts(pool),
        figures=figures,
        no_figures="" if figures else "No position, so nothing moves: there is no chart to draw.",
        tables=[table for table in (_levels(status), _horizons(pool), _worst_paths(pool)) if table.rows],
        notes=status.notes,
        explain=_explain(status),
    )


def _explain(status: PoolStatus) -> list[Branch]:
    branches = [_branch(node) for node in status.explain]
    if branches and status.initial_native is None:
        # The tree counts 0 where a leverage was not stated: the whole is not known.
        branches[-1] = replace(branches[-1], label=f"{branches[-1].label}, as far as it is known")
    return branches


def _branch(node: ExplainNode) -> Branch:
    return Branch(
        label=node.label,
        amount=fmt.native(node.value, node.unit),
        detail=node.detail,
        parts=[_branch(part) for part in node.children],
    )


def _pool_sentence(result: CoverageResult, pool: PoolCoverage) -> str:
    status = pool.status
    if status.state == "liquidatable":
        lead = "Equity is at or below maintenance: the venue may liquidate now. "
    elif status.state == "called":
        lead = "Equity is below the margin call level. "
    else:
        lead = ""
    required, available = up(pool.required_native, status.unit), down(pool.available_native, status.unit)
    terms = f"at {fmt.percent(result.tolerance, decimals=4)} over {fmt.duration_words(result.horizon_s)}"
    tail = ""
    if pool.time_to_liquidation_p50_s is not None and status.state != "liquidatable":
        tail = f" Of the paths that are liquidated, half are within {fmt.duration(pool.time_to_liquidation_p50_s)}."
    return f"{lead}Required {terms}: {required}; available: {available}; {gap_words(pool)}.{tail}"


def _facts(pool: PoolCoverage) -> list[tuple[str, str]]:
    status, unit = pool.status, pool.status.unit
    initial = "unknown: a leverage was not given" if status.initial_native is None else up(status.initial_native, unit)
    ratio = fmt.ratio(status.coverage_ratio) if status.coverage_ratio is not None else "- (no requirement)"
    return [
        ("State now", STATE_WORDS.get(status.state, status.state)),
        ("Margin mode", f"{status.mode}, {status.margin_mode}"),
        ("Equity after haircut", down(status.equity_native, unit)),
        ("Maintenance margin", up(status.maintenance_native, unit)),
        ("Initial margin", initial),
        ("Headroom", down(status.headroom_native, unit)),
        ("Coverage ratio now", ratio),
        ("Margin call below", fmt.ratio(status.margin_call_coverage_ratio)),
        ("Gross notional", fmt.usd(status.gross_notional_usd)),
        ("Liquidated when all fall", _move(status, status.common_move_down)),
        ("Liquidated when all rise", _move(status, status.common_move_up)),
        ("RC (quantile)", fmt.estimate_text(pool.rc, unit, rounding=Rounding.UP)),
        ("RCES (mean beyond)", fmt.estimate_text(pool.rces, unit, rounding=Rounding.UP)),
    ]


def _move(status: PoolStatus, move: float | None) -> str:
    if move is not None:
        return fmt.move_text(move)
    if status.coverage_ratio is None:
        return "- (no position)"
    return "already" if status.state == "liquidatable" else "- (none in the searched range)"


def _levels(status: PoolStatus) -> Table:
    return Table(
        caption="Liquidation prices, all else as it is now",
        headers=("Instrument", "Mark", "Liquidated below", "Liquidated above", "Venue's formula", "Venue reports"),
        rows=[[Cell(text=text) for text in _level(level)] for level in status.levels],
    )


def _level(level: LiquidationLevel) -> tuple[str, ...]:
    def with_distance(value: float | None, rounding: Rounding) -> str:
        if value is None:
            return fmt.ABSENT
        distance = value / level.mark_price - 1
        sign = "+" if distance > 0 else ""
        return f"{fmt.price(value, rounding=rounding)} ({sign}{fmt.percent(distance, decimals=1)})"

    return (
        level.symbol,
        fmt.price(level.mark_price),
        # Towards the mark: a level must not look further away than it is.
        with_distance(level.down, Rounding.UP),
        with_distance(level.up, Rounding.DOWN),
        fmt.price(level.venue_price),
        fmt.price(level.reported),
    )


def _horizons(pool: PoolCoverage) -> Table:
    def row(entry: HorizonProbability) -> list[Cell]:
        texts = (
            fmt.duration_words(entry.horizon_s),
            pool_probability(pool.status, entry.liquidation),
            pool_probability(pool.status, entry.margin_call),
        )
        return [Cell(text=text) for text in texts]

    return Table(
        caption="Probability within a horizon, with 95 % interval",
        headers=("Within", "Liquidation", "Margin call"),
        rows=[row(entry) for entry in pool.probabilities],
    )


def _worst_paths(pool: PoolCoverage) -> Table:
    unit = pool.status.unit
    return Table(
        caption="Worst paths: largest shortfall (maintenance - equity) and when it was reached",
        headers=("Path", "Largest shortfall", "Reached after"),
        rows=[
            [Cell(text=str(path)), Cell(text=up(maximum, unit)), Cell(text=fmt.duration(hour * 3600))]
            for path, maximum, hour in pool.worst_paths
        ],
    )
