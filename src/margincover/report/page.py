"""What stands on the report page: sentences, tiles, tables and figures, all as finished text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from margincover.model.provenance import Provenance
from margincover.model.results import (
    CoverageResult,
    HorizonProbability,
    LiquidationLevel,
    PoolCoverage,
    PoolStatus,
    Reconciliation,
)
from margincover.report import format as fmt
from margincover.report.chart_probability import probability_figure
from margincover.report.charts import pool_figures
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.headline import STATE_WORDS, VERDICT_WORDS, coverage_headline
from margincover.report.parts import at_horizon, pool_probability
from margincover.units import format_duration

_TONES = {"breach": "breach", "warning": "warning", "covered": "covered"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One table cell: text, and a tone that only repeats what the text says."""

    text: str
    tone: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Caption, headers and rows; the first column heads its row, ``n_words`` columns from the left hold words."""

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    n_words: int = 1
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One summary tile."""

    label: str
    value: str
    note: str
    tone: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that the template prints."""

    title: str
    subtitle: str
    headline: str
    tone: str
    warnings: Sequence[str]
    tiles: Sequence[Tile]
    summary: Table
    book_figures: Sequence[Figure]
    pools: Sequence[PoolSection]
    reconciliation: Table
    provenance: Sequence[tuple[str, str]]
    editions: Table
    not_modelled: Sequence[str]
    figures: Sequence[Figure] = field(default_factory=tuple)


def coverage_page(result: CoverageResult) -> Page:
    """Return the content of the coverage report.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability is not one.
    """
    pools = [_pool_section(result, pool, number) for number, pool in enumerate(result.pools, start=1)]
    book = probability_figure(
        result.any_liquidation if result.pools else (),
        figure_id="book-probability",
        tolerance=result.tolerance,
        name="any pool",
    )
    book_figures = () if book is None else (book,)
    verdicts = {pool.verdict for pool in result.pools}
    provenance = result.provenance
    return Page(
        title="Margin call coverage",
        subtitle=f"As of {provenance.as_of} · tolerance {fmt.percent(result.tolerance, decimals=4)} over "
        f"{fmt.duration_words(result.horizon_s)} · {result.measure.upper()} · {result.n_paths:,} paths",
        headline=coverage_headline(result),
        tone=next((word for word in ("breach", "warning", "covered") if word in verdicts), "warning"),
        warnings=provenance.warnings,
        tiles=_tiles(result),
        summary=_summary(result),
        book_figures=book_figures,
        pools=pools,
        reconciliation=reconciliation_rows(result.reconciliation),
        provenance=_provenance(result),
        editions=_editions(provenance),
        not_modelled=provenance.not_modelled,
        figures=[*book_figures, *(figure for pool in pools for figure in pool.figures)],
    )


def _tiles(result: CoverageResult) -> list[Tile]:
    gap = result.gap_usd
    tiles = [
        Tile(
            label="Required",
            value=fmt.usd(result.required_usd, rounding=Rounding.UP),
            note="capital that must back all pools",
        ),
        Tile(
            label="Available",
            value=fmt.usd(result.available_usd, rounding=Rounding.DOWN),
            note="equity after haircut, all pools",
        ),
        Tile(
            label="Gap",
            value=fmt.usd(gap, rounding=Rounding.UP),
            note="to add, summed over under-covered pools" if gap > 0 else _surplus_note(result),
            tone="breach" if gap > 0 else "covered",
        ),
    ]
    if not result.pools:
        return [*tiles[:2], Tile(label="Gap", value=tiles[2].value, note="nothing was measured", tone="warning")]
    worst = result.pools[0]
    word = VERDICT_WORDS.get(worst.verdict, worst.verdict)
    tiles.append(
        Tile(
            label="Worst pool",
            value=worst.status.pool_id,
            note=f"{word}, {_gap_words(worst)}",
            tone=_TONES.get(worst.verdict, ""),
        )
    )
    return [*tiles, _any_tile(result)]


def _surplus_note(result: CoverageResult) -> str:
    surplus = fmt.usd(max(result.surplus_usd, 0.0), rounding=Rounding.DOWN)
    return f"nothing to add; {surplus} could leave"


def _any_tile(result: CoverageResult) -> Tile:
    label = f"Any liquidation within {fmt.duration_words(result.horizon_s)}"
    entry = at_horizon(result.any_liquidation, result.horizon_s)
    if entry is None:
        return Tile(label=label, value=fmt.ABSENT, note="not computed at this horizon")
    above = entry.liquidation.value > result.tolerance
    call = fmt.probability(entry.margin_call, field="any pool: margin call")
    return Tile(
        label=label,
        value=fmt.probability(entry.liquidation, field="any pool: liquidation"),
        note=f"{'above' if above else 'not above'} the tolerance of one pool; any margin call {call}",
        tone="breach" if above else "covered",
    )


def _gap_words(pool: PoolCoverage) -> str:
    unit = pool.status.unit
    if pool.gap_native > 0:
        return f"add {fmt.native(pool.gap_native, unit, rounding=Rounding.UP)}"
    return f"{fmt.native(-pool.gap_native, unit, rounding=Rounding.DOWN)} could leave"


def _up(value: float, unit: str) -> str:
    return fmt.native(value, unit, rounding=Rounding.UP)


def _down(value: float, unit: str) -> str:
    return fmt.native(value, unit, rounding=Rounding.DOWN)


def _summary(result: CoverageResult) -> Table:
    horizon = format_duration(result.horizon_s)
    headers = (
        "Pool",
        "Verdict",
        "Gap",
        "Required",
        "Available",
        "Avail. / req.",
        f"P(liquidation {horizon})",
        f"P(margin call {horizon})",
        "Median time to liquidation",
        "Gap in USD",
    )
    return Table(
        caption="All pools, worst first. Gap = required - available: above 0 it must be added, below 0 it could leave.",
        headers=headers,
        rows=[_summary_row(result, pool, number) for number, pool in enumerate(result.pools, start=1)],
        n_words=2,
        empty="The book holds no margin account.",
    )


def _summary_row(result: CoverageResult, pool: PoolCoverage, number: int) -> list[Cell]:
    status, entry = pool.status, at_horizon(pool.probabilities, result.horizon_s)
    texts = (
        _up(pool.gap_native, status.unit),
        _up(pool.required_native, status.unit),
        _down(pool.available_native, status.unit),
        fmt.ratio(pool.required_coverage_ratio),
        pool_probability(status, entry.liquidation if entry else None),
        pool_probability(status, entry.margin_call if entry else None),
        fmt.duration(pool.time_to_liquidation_p50_s),
        fmt.usd(pool.gap_usd, rounding=Rounding.UP),
    )
    return [
        Cell(text=status.pool_id, link=f"#pool-{number}"),
        Cell(text=VERDICT_WORDS.get(pool.verdict, pool.verdict), tone=_TONES.get(pool.verdict, "")),
        *(Cell(text=text) for text in texts),
    ]


def _pool_section(result: CoverageResult, pool: PoolCoverage, number: int) -> PoolSection:
    status = pool.status
    figures = pool_figures(result, pool, prefix=f"pool-{number}")
    return PoolSection(
        anchor=f"pool-{number}",
        title=status.pool_id,
        verdict=VERDICT_WORDS.get(pool.verdict, pool.verdict),
        tone=_TONES.get(pool.verdict, ""),
        sentence=_pool_sentence(result, pool),
        facts=_facts(pool),
        figures=figures,
        no_figures="" if figures else "No position, so nothing moves: there is no chart to draw.",
        tables=[table for table in (_levels(status), _horizons(pool), _worst_paths(pool)) if table.rows],
        notes=status.notes,
    )


def _pool_sentence(result: CoverageResult, pool: PoolCoverage) -> str:
    status = pool.status
    if status.state == "liquidatable":
        lead = "Equity is at or below maintenance: the venue may liquidate now. "
    elif status.state == "called":
        lead = "Equity is below the margin call level. "
    else:
        lead = ""
    required, available = _up(pool.required_native, status.unit), _down(pool.available_native, status.unit)
    terms = f"at {fmt.percent(result.tolerance, decimals=4)} over {fmt.duration_words(result.horizon_s)}"
    tail = ""
    if pool.time_to_liquidation_p50_s is not None and status.state != "liquidatable":
        tail = f" Of the paths that are liquidated, half are within {fmt.duration(pool.time_to_liquidation_p50_s)}."
    return f"{lead}Required {terms}: {required}; available: {available}; {_gap_words(pool)}.{tail}"


def _facts(pool: PoolCoverage) -> list[tuple[str, str]]:
    status, unit = pool.status, pool.status.unit
    initial = "unknown: a leverage was not given" if status.initial_native is None else _up(status.initial_native, unit)
    ratio = fmt.ratio(status.coverage_ratio) if status.coverage_ratio is not None else "- (no requirement)"
    return [
        ("State now", STATE_WORDS.get(status.state, status.state)),
        ("Margin mode", f"{status.mode}, {status.margin_mode}"),
        ("Equity after haircut", _down(status.equity_native, unit)),
        ("Maintenance margin", _up(status.maintenance_native, unit)),
        ("Initial margin", initial),
        ("Headroom", _down(status.headroom_native, unit)),
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
        return f"{'+' if move > 0 else ''}{fmt.percent(move)}"
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
            [Cell(text=str(path)), Cell(text=_up(maximum, unit)), Cell(text=fmt.duration(hour * 3600))]
            for path, maximum, hour in pool.worst_paths
        ],
    )


def reconciliation_rows(lines: Sequence[Reconciliation]) -> Table:
    """Return our figures beside the venues' own, in the order given."""
    return Table(
        caption="Our figures beside those that the venues report",
        headers=("Pool", "Figure", "Ours", "Venue's", "Difference"),
        rows=[
            [
                Cell(text=line.pool_id),
                Cell(text=line.figure),
                Cell(text=fmt.native(line.ours, line.unit)),
                Cell(text=fmt.native(line.venue, line.unit)),
                Cell(text=fmt.bps(fmt.difference_bps(line))),
            ]
            for line in lines
        ],
        n_words=2,
        empty="The book carries no figures of the venues, so nothing was compared.",
    )


def _provenance(result: CoverageResult) -> list[tuple[str, str]]:
    provenance = result.provenance
    seed = fmt.ABSENT if provenance.seed is None else str(provenance.seed)
    pairs = [
        ("Program", f"margincover {provenance.version}"),
        ("As of", provenance.as_of),
        ("Input SHA-256", provenance.input_sha256 or fmt.ABSENT),
        ("Seed", seed),
        ("Paths", f"{result.n_paths:,} with steps of {fmt.duration_words(result.paths.step_s)}"),
    ]
    pairs += [(f"Setting: {key}", value or fmt.ABSENT) for key, value in provenance.settings.items()]
    return pairs + [(f"Scenarios: {key}", value or fmt.ABSENT) for key, value in provenance.scenario.items()]


def _editions(provenance: Provenance) -> Table:
    return Table(
        caption="Rulebook editions in force",
        headers=("Venue", "Edition", "Valid from", "Retrieved", "Source", "Age in days"),
        rows=[
            [
                Cell(text=text)
                for text in (use.venue, use.edition, use.valid_from, use.retrieved, use.source, str(use.age_days))
            ]
            for use in provenance.editions
        ],
        n_words=5,
        empty="No rulebook was used.",
    )
