"""Comparison of account modes: rows as text, and the table on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from margincover.model.results import PoolStatus
from margincover.model.whatif import ModeComparison, ModeRow
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding
from margincover.report.headline import STATE_WORDS
from margincover.report.terminal import liquidated_at

SUM_NOTE = "A sum adds pools that do not back each other: what one has to spare does not help another."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeLine:
    """One line of the comparison: a pool of a mode, the sum of its pools, or the reason why it has none."""

    mode: str
    pool: str
    state: str
    equity: str = fmt.ABSENT
    maintenance: str = fmt.ABSENT
    initial: str = fmt.ABSENT
    headroom: str = fmt.ABSENT
    coverage: str = fmt.ABSENT
    liquidated_at: str = fmt.ABSENT
    error: str = ""


def mode_lines(result: ModeComparison) -> list[ModeLine]:
    """Return the lines of a comparison: pools of a mode worst first, their sum where there are several."""
    lines: list[ModeLine] = []
    for row in result.rows:
        name = f"{row.mode} (now)" if row.is_present else row.mode
        if row.error:
            lines.append(ModeLine(mode=name, pool=fmt.ABSENT, state="not possible", error=row.error))
            continue
        lines += [_pool_line(name, pool, result.account_id) for pool in row.pools]
        if len(row.pools) > 1:
            lines.append(_sum_line(name, row))
    return lines


def _pool_line(mode: str, pool: PoolStatus, account: str) -> ModeLine:
    initial = "unknown" if pool.initial_usd is None else fmt.usd(pool.initial_usd, rounding=Rounding.UP)
    return ModeLine(
        mode=mode,
        pool="whole account" if pool.pool_id == account else pool.pool_id.removeprefix(f"{account}/"),
        state=STATE_WORDS.get(pool.state, pool.state),
        equity=fmt.usd(pool.equity_usd, rounding=Rounding.DOWN),
        maintenance=fmt.usd(pool.maintenance_usd, rounding=Rounding.UP),
        initial=initial,
        headroom=fmt.usd(pool.headroom_usd, rounding=Rounding.DOWN),
        coverage=fmt.ratio(pool.coverage_ratio),
        liquidated_at=liquidated_at(pool),
    )


def _sum_line(mode: str, row: ModeRow) -> ModeLine:
    return ModeLine(
        mode=mode,
        pool=f"sum of {len(row.pools)} pools",
        state=fmt.ABSENT,
        equity=fmt.usd(row.equity_usd, rounding=Rounding.DOWN),
        maintenance=fmt.usd(row.maintenance_usd, rounding=Rounding.UP),
        initial="unknown" if row.initial_usd is None else fmt.usd(row.initial_usd, rounding=Rounding.UP),
        headroom=fmt.usd(row.headroom_usd, rounding=Rounding.DOWN),
    )


def modes_headline(result: ModeComparison) -> str:
    """Return how many modes could be computed and which leaves the most headroom.

    Headroom and not maintenance: modes differ in what they count as equity too, above all in the marks of options.
    """
    held = [row for row in result.rows if row.pools]
    if not held:
        return f"{result.account_id}: none of {len(result.rows)} modes could be computed."
    best = max(held, key=lambda row: row.headroom_usd)
    figure = fmt.usd(best.headroom_usd, rounding=Rounding.DOWN)
    counted = f"{result.account_id} under {len(held)} of {len(result.rows)} modes"
    if len(held) == 1:
        return f"{counted}: {best.mode} leaves headroom of {figure}."
    text = f"{counted}: {best.mode} leaves the most headroom, {figure}"
    present = next((row for row in held if row.is_present), None)
    if present is None or present is best:
        return f"{text}."
    return f"{text}, against {fmt.usd(present.headroom_usd, rounding=Rounding.DOWN)} in {present.mode} now."


def modes_table(result: ModeComparison) -> RenderableType:
    """Return the comparison for a terminal; reasons and notes stand below the table in full."""
    lines = mode_lines(result)

    def cells(text: Callable[[ModeLine], str]) -> list[str]:
        return [text(line) for line in lines]

    table = FittedTable(
        title=f"{result.account_id} by account mode",
        headline=modes_headline(result),
        columns=[
            Column(title="Mode", cells=cells(lambda x: x.mode), justify="left", name=True),
            Column(title="Pool", cells=cells(lambda x: x.pool), justify="left", priority=1),
            Column(title="State", cells=cells(lambda x: x.state), justify="left", priority=4),
            Column(title="Maintenance", cells=cells(lambda x: x.maintenance)),
            Column(title="Headroom", cells=cells(lambda x: x.headroom)),
            Column(title="Coverage", cells=cells(lambda x: x.coverage), priority=2),
            Column(title="Liquidated at move", cells=cells(lambda x: x.liquidated_at), priority=3),
            Column(title="Equity", cells=cells(lambda x: x.equity), priority=5),
            Column(title="Initial", cells=cells(lambda x: x.initial), priority=6),
        ],
        empty="no modes",
    )
    below = [f"{line.mode}: not possible: {line.error}" for line in lines if line.error]
    below += [f"Note: {note}" for note in result.notes]
    if any(line.pool.startswith("sum of") for line in lines):
        below.append(SUM_NOTE)
    return Group(table, *(Text(text, style="dim") for text in below))
