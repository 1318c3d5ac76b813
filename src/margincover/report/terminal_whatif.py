"""What-if on a terminal: before and after, pool by pool, and a heat map of coverage ratios over spot."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from margincover.model.results import PoolStatus, SpotGrid, WhatIfResult
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.headline import STATE_WORDS
from margincover.report.terminal import liquidated_at


def whatif_table(result: WhatIfResult) -> RenderableType:
    """Return headroom, coverage ratio and liquidation move of every pool before and after the changes."""
    before = {pool.pool_id: pool for pool in result.before.pools}
    after = {pool.pool_id: pool for pool in result.after.pools}
    names = [*after, *(name for name in before if name not in after)]
    pairs = [(before.get(name), after.get(name)) for name in names]
    return FittedTable(
        title="Before and after",
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


def grid_table(grid: SpotGrid, *, title: str) -> RenderableType:
    """Return coverage ratios over common moves of all coins; 1 or less is liquidated and marked with an x."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("all coins move", no_wrap=True)
    for move in grid.move_fractions:
        table.add_column(f"{move:+.0%}", justify="right", no_wrap=True)
    for name, ratios in zip(grid.pool_ids, grid.coverage_ratios, strict=True):
        table.add_row(Text(name), *(_cell(ratio) for ratio in ratios))
    note = Text(
        "Equity / maintenance: above 1 is safe, x is liquidated. Other marks and volatility as they are.", "dim"
    )
    return Group(table, note)


def _cell(ratio: float | None) -> Text:
    if ratio is None:
        return Text(fmt.ABSENT)
    if ratio <= 1.0:
        return Text("x", style="bold red")
    style = "yellow" if ratio < 1.25 else "green"
    return Text(f"{ratio:.1f}" if ratio < 100 else f"{ratio:.0f}", style=style)
