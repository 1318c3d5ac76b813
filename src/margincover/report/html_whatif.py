"""What-ifs and comparisons of modes as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.results import PoolStatus
from margincover.model.whatif import ModeComparison, WhatIfResult
from margincover.report import format as fmt
from margincover.report.headline import STATE_WORDS, status_headline
from margincover.report.heatmap import GRID_NOTE, HeatPool, heat_pools
from margincover.report.html import page_environment, source_of
from margincover.report.modes import SUM_NOTE, ModeLine, mode_lines, modes_headline
from margincover.report.page import editions_table
from margincover.report.page_parts import Cell, Table, down, up
from margincover.report.terminal import liquidated_at

_TONES = {"liquidatable": "breach", "called": "warning", "open": "covered", "flat": "covered"}
_WORST_FIRST = ("breach", "warning", "covered")
_MODE_HEADERS = (
    "Mode",
    "Pool",
    "State",
    "Equity",
    "Maintenance",
    "Initial",
    "Headroom",
    "Coverage",
    "Liquidated when all coins move",
)
_FIGURE_HEADERS = ("Coverage", "Headroom", "Equity", "Maintenance", "Liquidated when all coins move")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfPage:
    """Everything that the template prints."""

    title: str
    subtitle: str
    headline: str
    tone: str
    warnings: Sequence[str]
    tables: Sequence[Table]
    notes: Sequence[str]
    heat: Sequence[HeatPool]
    days: Sequence[str]
    grid_note: str
    not_modelled: Sequence[str]
    editions: Table


def whatif_html(result: WhatIfResult) -> str:
    """Return a page with the figures before and after, and a heat map of every pool and day.

    Heat maps are tables: every cell says its state by a sign as well as by colour, and without scripts all days stand
    one below the other. With scripts a slider chooses the day and a list the figure.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    heat = heat_pools(result)
    days = max((tuple(day.label for day in pool.days) for pool in heat), key=len, default=())
    provenance = result.after.provenance
    changed = "before and after" if result.changed else "the book as it is"
    return _rendered(
        WhatIfPage(
            title="What if",
            subtitle=f"As of {provenance.as_of} · {changed} · nothing was traded or sent",
            headline=status_headline(result.after),
            tone=_worst([_TONES.get(pool.state, "warning") for pool in result.after.pools]),
            warnings=provenance.warnings,
            tables=[_before_after(result)],
            notes=(),
            heat=heat,
            days=days if len(days) > 1 else (),
            grid_note=GRID_NOTE,
            not_modelled=provenance.not_modelled,
            editions=editions_table(provenance),
        )
    )


def modes_html(result: ModeComparison) -> str:
    """Return a page with one account under several account modes.

    Raises
    ------
    InputError
        If a figure is NaN or infinite.
    """
    lines, provenance = mode_lines(result), result.provenance
    notes = [*result.notes, *([SUM_NOTE] if any(line.pool.startswith("sum of") for line in lines) else [])]
    present = next((row for row in result.rows if row.is_present), None)
    states = [] if present is None else [_TONES.get(pool.state, "warning") for pool in present.pools]
    return _rendered(
        WhatIfPage(
            title="Account modes",
            subtitle=f"As of {provenance.as_of} · {result.account_id} · nothing was changed at the venue",
            headline=modes_headline(result),
            tone=_worst(states),
            warnings=provenance.warnings,
            tables=[
                Table(
                    caption=f"{result.account_id} under each mode, in USD; at present it is in {result.present_mode}",
                    headers=_MODE_HEADERS,
                    rows=[_mode_row(line) for line in lines],
                    n_words=3,
                    empty="No mode was compared.",
                )
            ],
            notes=notes,
            heat=(),
            days=(),
            grid_note="",
            not_modelled=provenance.not_modelled,
            editions=editions_table(provenance),
        )
    )


def _worst(tones: Sequence[str]) -> str:
    return next((tone for tone in _WORST_FIRST if tone in tones), "warning")


def _rendered(page: WhatIfPage) -> str:
    environment = page_environment()
    css = source_of(environment, "report.css") + source_of(environment, "whatif.css")
    script = source_of(environment, "whatif.js") if page.heat else ""
    return environment.get_template("whatif.html.j2").render(page=page, css=css, script=script)


def _before_after(result: WhatIfResult) -> Table:
    before = {pool.pool_id: pool for pool in result.before.pools}
    after = {pool.pool_id: pool for pool in result.after.pools}
    names = [*after, *(name for name in before if name not in after)]
    sides = [("before", before), ("after", after)] if result.changed else [("as it is", after)]
    # Only here a venue's own state decides the badge; the grid states its own cell by cell.
    rows = [_row(name, when, pools.get(name)) for name in names for when, pools in sides]
    return Table(
        caption="All pools in the market as it is, worst first",
        headers=("Pool", "When", "State", *_FIGURE_HEADERS),
        rows=rows,
        n_words=3,
        empty="The book holds no margin account.",
    )


def _row(name: str, when: str, pool: PoolStatus | None) -> list[Cell]:
    if pool is None:
        return [Cell(text=name), Cell(text=when), Cell(text="none"), *(Cell(text=fmt.ABSENT) for _ in range(5))]
    texts = (
        fmt.ratio(pool.coverage_ratio),
        down(pool.headroom_native, pool.unit),
        down(pool.equity_native, pool.unit),
        up(pool.maintenance_native, pool.unit),
        liquidated_at(pool),
    )
    state = Cell(text=STATE_WORDS.get(pool.state, pool.state), tone=_TONES.get(pool.state, ""))
    return [Cell(text=name), Cell(text=when), state, *(Cell(text=text) for text in texts)]


def _mode_row(line: ModeLine) -> list[Cell]:
    if line.error:
        return [Cell(text=line.mode), Cell(text=f"not possible: {line.error}", span=len(_MODE_HEADERS) - 1)]
    tone = next((_TONES[state] for state, word in STATE_WORDS.items() if word == line.state), "")
    figures = (line.equity, line.maintenance, line.initial, line.headroom, line.coverage, line.liquidated_at)
    return [
        Cell(text=line.mode),
        Cell(text=line.pool),
        Cell(text=line.state, tone=tone),
        *(Cell(text=text) for text in figures),
    ]
