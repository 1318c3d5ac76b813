"""What-if on a terminal: before and after, pool by pool, and heat maps over spot, volatility and days."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from margincover.model.results import PoolStatus
from margincover.model.whatif import CellState, WhatIfResult
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.headline import STATE_WORDS
from margincover.report.heatmap import GRID_NOTE, HeatCell, HeatMap, HeatPool, heat_pools
from margincover.report.terminal import liquidated_at

_STYLES = {CellState.FINE: "green", CellState.CALLED: "yellow", CellState.LIQUIDATED: "bold red"}
_KEY = "x is liquidated, ! is at or below the margin call level, - requires nothing."


def whatif_table(result: WhatIfResult) -> RenderableType:
    """Return headroom, coverage ratio and liquidation move of every pool before and after the changes."""
    before = {pool.pool_id: pool for pool in result.before.pools}
    after = {pool.pool_id: pool for pool in result.after.pools}
    names = [*after, *(name for name in before if name not in after)]
    pairs = [(before.get(name), after.get(name)) for name in names]
    return FittedTable(
        title="Before and after" if result.changed else "As it is",
        columns=[
            Column(title="Pool", cells=names, justify="left", name=True),
            Column(title="State", cells=[_change(pair, _state) for pair in pairs], justify="left"),
            Column(title="Coverage", cells=[_change(pair, _ratio) for pair in pairs]),
            Column(title="Headroom", cells=[_change(pair, _headroom) for pair in pairs], priority=1),
            Column(title="Liquidated at move", cells=[_change(pair, liquidated_at) for pair in pairs], priority=2),
            Column(title="Maintenance", cells=[_change(pair, _maintenance) for pair in pairs], priority=3),
        ],
        empty="no pools",
    )


def _change(pair: tuple[PoolStatus | None, PoolStatus | None], text: object) -> str:
    assert callable(text), "Invariant: a column is made by a function of one pool"
    old, new = ("none" if pool is None else str(text(pool)) for pool in pair)
    return old if old == new else f"{old} → {new}"


def _state(pool: PoolStatus) -> str:
    return STATE_WORDS.get(pool.state, pool.state)


def _ratio(pool: PoolStatus) -> str:
    return fmt.ratio(pool.coverage_ratio)


def _headroom(pool: PoolStatus) -> str:
    return fmt.native(pool.headroom_native, pool.unit, rounding=fmt.Rounding.DOWN)


def _maintenance(pool: PoolStatus) -> str:
    return fmt.native(pool.maintenance_native, pool.unit, rounding=fmt.Rounding.UP)


def grid_tables(result: WhatIfResult) -> RenderableType:
    """Return the heat maps of coverage ratios: pools that only spot moves in one table, one a day of every other pool.

    Rows are volatility, columns spot. Every state has a sign of its own, so that nothing depends on colour.
    """
    pools = heat_pools(result)
    if not pools:
        return Text("Coverage ratio: no pools")
    parts: list[RenderableType] = []
    for when in ("before", "after") if result.changed else ("as it is",):
        rows = [(pool.pool_id, heat_map.rows[0]) for pool, heat_map in _one_row(pools, when)]
        if rows:
            spots = next(heat_map.spot_labels for _, heat_map in _one_row(pools, when))
            parts += [SpotTable(title=f"Coverage ratio {when}", corner="coins move", spots=spots, rows=rows), Text("")]
    for pool in pools:
        for day in pool.days if pool.has_options else ():
            for heat_map in day.maps:
                title = f"Coverage ratio of {pool.pool_id} {day.label}, {heat_map.when}"
                corner = "vol \\ coins" if heat_map.volatility_labels[0] else "coins move"
                named = list(zip(heat_map.volatility_labels, heat_map.rows, strict=True))
                parts += [SpotTable(title=title, corner=corner, spots=heat_map.spot_labels, rows=named), Text("")]
    return Group(*parts, Text(f"{_KEY} {GRID_NOTE}", style="dim"))


def _one_row(pools: Sequence[HeatPool], when: str) -> list[tuple[HeatPool, HeatMap]]:
    return [
        (pool, heat_map)
        for pool in pools
        if not pool.has_options
        for heat_map in pool.days[0].maps
        if heat_map.when == when
    ]


class SpotTable:
    """A table with one column per move of the coins; where the screen is narrow, every second column and so on."""

    def __init__(
        self, *, title: str, corner: str, spots: Sequence[str], rows: Sequence[tuple[str, Sequence[HeatCell]]]
    ) -> None:
        self.title, self.corner, self.spots, self.rows = title, corner, spots, rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title and the table for the width of this console."""
        kept = self._fitting(options.max_width)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(Text(self.corner), no_wrap=True, overflow="ellipsis", min_width=8)
        for column in kept:
            table.add_column(self.spots[column], justify="right", no_wrap=True, min_width=self._width(column))
        for name, cells in self.rows:
            table.add_row(Text(name), *(_cell(cells[column]) for column in kept))
        yield Text(self.title, style="bold")
        yield table
        if len(kept) < len(self.spots):
            yield Text(
                f"{len(self.spots) - len(kept)} of {len(self.spots)} moves not shown at this width.", style="dim"
            )

    def _width(self, column: int) -> int:
        # Five for "1.05!": before and after keep the same columns though their figures differ in length.
        return max(5, len(self.spots[column]), *(len(_text(cells[column])) for _, cells in self.rows))

    def _fitting(self, width: int) -> list[int]:
        # The market as it is stays, and so does the shape around it.
        centre = self.spots.index("0%") if "0%" in self.spots else 0
        names = max(8, min(cell_len(self.corner), 11), *(min(cell_len(name), 30) for name, _ in self.rows))
        for step in range(1, len(self.spots)):
            kept = [column for column in range(len(self.spots)) if (column - centre) % step == 0]
            if names + 1 + sum(self._width(column) + 1 for column in kept) <= width:
                return kept
        return [centre]


def _text(cell: HeatCell) -> str:
    return cell.mark if cell.state is CellState.LIQUIDATED else f"{cell.coverage.replace(' ', '')}{cell.mark}"


def _cell(cell: HeatCell) -> Text:
    return Text(_text(cell), style=_STYLES[cell.state])
