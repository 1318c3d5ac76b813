"""Stress on a terminal: scenarios worst first, pools of the worst ones, reverse stress."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.stress import ScenarioResult, StressResult
from margincover.model.whatif import CellState
from margincover.report import format as fmt
from margincover.report import stress_words as words
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding

_STYLES = {CellState.FINE: "green", CellState.CALLED: "yellow", CellState.LIQUIDATED: "bold red"}
_DETAILED = 3


def scenario_table(result: StressResult) -> RenderableType:
    """Return all scenarios, worst first, with the answer in words above."""
    rows = result.scenarios
    return FittedTable(
        headline=words.stress_headline(result),
        title="Scenarios, worst first",
        columns=[
            Column(title="Scenario", cells=[each.scenario.name for each in rows], justify="left", name=True),
            Column(
                title="State",
                cells=[words.STATE_WORDS[each.state] for each in rows],
                justify="left",
                styles=[_STYLES[each.state] for each in rows],
            ),
            Column(title="Cash needed", cells=[fmt.usd(each.cash_usd, rounding=Rounding.UP) for each in rows]),
            Column(
                title="Liquidated", cells=[f"{each.n_liquidated} of {len(each.pools)}" for each in rows], priority=1
            ),
            Column(title="Lowest ratio", cells=[words.lowest_ratio(each) for each in rows], priority=2),
            Column(title="Loss", cells=[fmt.usd(each.loss_usd, rounding=Rounding.UP) for each in rows], priority=3),
            Column(
                title="Blocked by halts",
                cells=[fmt.usd(each.blocked_usd, rounding=Rounding.UP) for each in rows],
                priority=5,
            ),
            Column(title="What", cells=[each.scenario.title for each in rows], justify="left", priority=4),
        ],
        empty="none was run",
        note="Cash needed: per pool the smallest amount placed beforehand that keeps equity at maintenance, summed.",
    )


def stress_parts(result: StressResult) -> list[RenderableType]:
    """Return what stands above the answer: pools of the worst scenarios and of every shock, then reverse stress."""
    shown = [each for k, each in enumerate(result.scenarios) if k < _DETAILED or not each.scenario.is_path]
    # The worst stands last, next to the answer.
    parts: list[RenderableType] = [_pool_table(each) for each in reversed(shown)]
    if result.reverse:
        parts.insert(0, reverse_table(result))
    return parts


def _pool_table(each: ScenarioResult) -> RenderableType:
    scenario, pools = each.scenario, each.pools
    when = "" if scenario.start is None else f", {scenario.n_hours} hours from {scenario.start:%Y-%m-%d %H:%M} UTC"
    table = FittedTable(
        title=f"{scenario.name}: {scenario.title}{when}",
        columns=[
            Column(title="Pool", cells=[pool.pool_id for pool in pools], justify="left", name=True),
            Column(
                title="State",
                cells=[words.STATE_WORDS[pool.state] for pool in pools],
                justify="left",
                styles=[_STYLES[pool.state] for pool in pools],
            ),
            Column(title="Cash needed", cells=[words.cash_text(pool) for pool in pools]),
            Column(
                title="Liquidated by",
                cells=[words.hour_text(pool.liquidated_hour, is_path=scenario.is_path) for pool in pools],
                priority=1,
            ),
            Column(title="Ratio at worst", cells=[fmt.ratio(pool.coverage_ratio) for pool in pools], priority=2),
            Column(
                title="Equity at worst",
                cells=[fmt.native(pool.equity_native, pool.unit, rounding=Rounding.DOWN) for pool in pools],
                priority=3,
            ),
            Column(title="Loss", cells=[fmt.usd(pool.loss_usd, rounding=Rounding.UP) for pool in pools], priority=4),
            Column(title="Money can arrive", cells=[words.blocked_text(pool) for pool in pools], priority=5),
        ],
        empty="no pools",
    )
    return Group(table, *_lines(_said(each)))


def _said(each: ScenarioResult) -> list[str]:
    fills = [f"{fill.factor} in {fill.pool_id}: {fill.rule}" for fill in each.fills]
    halts = [f"halt at {halt.venue}: {halt.what}" for halt in each.scenario.halts]
    return [*fills, *halts, *each.notes]


def _lines(texts: Sequence[str]) -> list[Text]:
    return [Text(f"- {text}", style="dim") for text in dict.fromkeys(texts)]


def reverse_table(result: StressResult) -> RenderableType:
    """Return the least extreme liquidating moves, nearest first."""
    rows = result.reverse
    table = FittedTable(
        title="Least extreme joint move that liquidates, nearest first",
        columns=[
            Column(title="Accounts", cells=[" + ".join(each.accounts) for each in rows], justify="left", name=True),
            Column(title="Distance", cells=[words.distance_text(each) for each in rows]),
            Column(title="Move", cells=[words.moves_text(each) for each in rows], justify="left"),
            Column(
                title="Chance (t, this way)",
                cells=[words.chance_text(each.half_space_student) for each in rows],
                priority=1,
            ),
            Column(
                title="Nearest in history",
                cells=[words.analogue_text(each.analogue) for each in rows],
                justify="left",
                priority=2,
            ),
            Column(
                title="Chance (t, any way)", cells=[words.chance_text(each.tail_student) for each in rows], priority=3
            ),
            Column(title="Chance (normal)", cells=[words.chance_text(each.tail_normal) for each in rows], priority=4),
        ],
        empty="no account with positions",
    )
    return Group(table, *_lines(result.reverse_notes))
