"""What stands on the report page: sentences, tiles, tables and figures, all as finished text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from margincover.model.provenance import Provenance
from margincover.model.results import CoverageResult, PoolCoverage, Reconciliation
from margincover.report import format as fmt
from margincover.report.add_ons import add_on_page_table
from margincover.report.chart_probability import probability_figure
from margincover.report.figure import Figure
from margincover.report.format import Rounding
from margincover.report.headline import VERDICT_WORDS, coverage_headline
from margincover.report.page_parts import TONES, Cell, Table, Tile, down, gap_words, up
from margincover.report.page_pool import PoolSection, pool_section
from margincover.report.parts import at_horizon, pool_probability
from margincover.units import format_duration


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
    add_ons: Table | None = None


def coverage_page(result: CoverageResult) -> Page:
    """Return the content of the coverage report.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability is not one.
    """
    pools = [pool_section(result, pool, number) for number, pool in enumerate(result.pools, start=1)]
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
        reconciliation=_reconciliation(result.reconciliation),
        provenance=_provenance(result),
        editions=editions_table(provenance),
        not_modelled=provenance.not_modelled,
        figures=[*book_figures, *(figure for pool in pools for figure in pool.figures)],
        add_ons=None if result.add_ons is None else add_on_page_table(result.add_ons),
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
            note=f"{word}, {gap_words(worst)}",
            tone=TONES.get(worst.verdict, ""),
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
        up(pool.gap_native, status.unit),
        up(pool.required_native, status.unit),
        down(pool.available_native, status.unit),
        fmt.ratio(pool.required_coverage_ratio),
        pool_probability(status, entry.liquidation if entry else None),
        pool_probability(status, entry.margin_call if entry else None),
        fmt.duration(pool.time_to_liquidation_p50_s),
        fmt.usd(pool.gap_usd, rounding=Rounding.UP),
    )
    return [
        Cell(text=status.pool_id, link=f"#pool-{number}"),
        Cell(text=VERDICT_WORDS.get(pool.verdict, pool.verdict), tone=TONES.get(pool.verdict, "")),
        *(Cell(text=text) for text in texts),
    ]


def _reconciliation(lines: Sequence[Reconciliation]) -> Table:
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


def editions_table(provenance: Provenance) -> Table:
    """Return the rulebook editions that the figures rest on."""
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
