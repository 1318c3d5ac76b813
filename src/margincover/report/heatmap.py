"""Heat maps of a what-if as texts and states: what terminal, page and picture share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from margincover.model.whatif import CellState, PoolGrid, WhatIfGrid, WhatIfResult
from margincover.report import format as fmt
from margincover.report.format import Rounding

GRID_NOTE = (
    "Equity / maintenance: above 1 is safe. All coins move by the same per cent, all implied volatilities by the same "
    "per cent. Days age options only: funding and interest are not counted, an expired option is its payoff in cash."
)
_LARGEST_RATIO = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One cell: state, where it stands, and its figures as text.

    ``mark`` repeats the state without colour: ``x`` liquidated, ``!`` called, empty where fine. ``depth`` (0 to 4) is
    the shade within the state: darker is safer where fine, worse where liquidated.
    """

    state: CellState
    mark: str
    depth: int
    spot: str
    volatility: str
    coverage: str
    equity: str
    maintenance: str
    headroom: str

    @property
    def words(self) -> str:
        """The cell in one sentence."""
        word = {CellState.FINE: "fine", CellState.CALLED: "called", CellState.LIQUIDATED: "liquidated"}[self.state]
        moved = f"coins {self.spot}" + (f", volatility {self.volatility}" if self.volatility else "")
        return (
            f"{moved}: {word}, coverage {self.coverage}, equity {self.equity}, maintenance {self.maintenance}, "
            f"headroom {self.headroom} USD"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """One heat map: ``rows`` [volatility][spot]; ``when`` is "before", "after" or "as it is"."""

    when: str
    spot_labels: tuple[str, ...]
    volatility_labels: tuple[str, ...]
    rows: tuple[tuple[HeatCell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatDay:
    """The heat maps of one pool on one day, before and after; the label is empty where the day changes nothing."""

    label: str
    maps: tuple[HeatMap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPool:
    """The heat maps of one pool."""

    pool_id: str
    has_options: bool
    days: tuple[HeatDay, ...]


def heat_pools(result: WhatIfResult) -> tuple[HeatPool, ...]:
    """Return the heat maps of every pool, in the order of the status after, then those that are gone after.

    A pool without options, before and after, has one row and one day: only spot moves it.
    """
    sides = [("before", result.grid_before), ("after", result.grid_after)] if result.changed else []
    sides = sides or [("as it is", result.grid_before)]
    names = [pool.pool_id for pool in result.after.pools]
    names += [pool.pool_id for pool in result.before.pools if pool.pool_id not in names]
    return tuple(_heat_pool(name, sides) for name in names)


def _heat_pool(name: str, sides: Sequence[tuple[str, WhatIfGrid]]) -> HeatPool:
    found = [(when, grid, pool) for when, grid in sides if (pool := grid.pool(name)) is not None]
    has_options = any(pool.has_options for _, _, pool in found)
    days = sides[0][1].days if has_options else (None,)
    return HeatPool(
        pool_id=name,
        has_options=has_options,
        days=tuple(
            HeatDay(
                label="" if day is None else day_words(day),
                maps=tuple(_heat_map(when, grid, pool, number, has_options) for when, grid, pool in found),
            )
            for number, day in enumerate(days)
        ),
    )


def _heat_map(when: str, grid: WhatIfGrid, pool: PoolGrid, day: int, has_options: bool) -> HeatMap:
    levels = grid.volatility_fractions if has_options else (0.0,)
    shown = has_options and len(grid.volatility_fractions) > 1
    labels = tuple(signed_percent(level) if shown else "" for level in levels)
    spots = tuple(signed_percent(move) for move in grid.spot_fractions)
    # High volatility stands at the top, as the axis of a chart does.
    order = range(len(levels) - 1, -1, -1)
    return HeatMap(
        when=when,
        spot_labels=spots,
        volatility_labels=tuple(labels[row] for row in order),
        rows=tuple(
            tuple(_cell(pool, (day, row, column), spots[column], labels[row]) for column in range(len(spots)))
            for row in order
        ),
    )


def _cell(pool: PoolGrid, place: tuple[int, int, int], spot: str, volatility: str) -> HeatCell:
    state, ratio = CellState(int(pool.state[place])), float(pool.coverage_ratio[place])
    return HeatCell(
        state=state,
        mark={CellState.FINE: "", CellState.CALLED: "!", CellState.LIQUIDATED: "x"}[state],
        depth=_depth(state, ratio),
        spot=spot,
        volatility=volatility,
        coverage=short_ratio(ratio, state),
        equity=short_usd(float(pool.equity_usd[place]), rounding=Rounding.DOWN),
        maintenance=short_usd(float(pool.maintenance_usd[place]), rounding=Rounding.UP),
        headroom=short_usd(float(pool.headroom_usd[place]), rounding=Rounding.DOWN),
    )


def _depth(state: CellState, ratio: float) -> int:
    if state is CellState.LIQUIDATED:
        return sum(ratio < edge for edge in (1.0, 0.75, 0.5, 0.0))
    return sum(ratio > edge for edge in (1.5, 2.0, 3.0, 5.0)) if state is CellState.FINE else 0


def short_ratio(ratio: float, state: CellState = CellState.FINE) -> str:
    """Return a coverage ratio in at most five characters, rounded down; "-" where nothing is required.

    Examples
    --------
    >>> short_ratio(0.999), short_ratio(12.38), short_ratio(250.0), short_ratio(float("inf"))
    ('0.99', '12.3', '> 99', '-')
    """
    if math.isinf(ratio):
        return fmt.ABSENT if state is not CellState.LIQUIDATED else "debt"
    if ratio >= _LARGEST_RATIO:
        return "> 99"
    if ratio <= -_LARGEST_RATIO:
        return "< -99"
    decimals = 2 if abs(ratio) < 10 else 1
    scale = 10**decimals
    # 12 digits first: the noise of binary fractions must not push 0.3 down to 0.29.
    return f"{math.floor(float(f'{ratio * scale:.12g}')) / scale:.{decimals}f}"


def short_usd(value: float, *, rounding: Rounding) -> str:
    """Return dollars in about six characters: three significant digits and k, M or bn.

    Examples
    --------
    >>> short_usd(-45_219.0, rounding=Rounding.DOWN), short_usd(1_234_567.0, rounding=Rounding.UP)
    ('-45.3k', '1.24M')
    """
    fmt.finite(value, field="usd")
    digits = math.floor(math.log10(abs(value))) if value else 0
    for size, suffix in ((9, "bn"), (6, "M"), (3, "k"), (0, "")):
        if digits >= size or size == 0:
            scaled = value / 10.0**size
            decimals = max(0, 2 - max(digits - size, 0))
            step = 10**decimals
            raw = float(f"{scaled * step:.12g}")
            exact = math.floor(raw) if rounding is Rounding.DOWN else math.ceil(raw)
            return f"{exact / step:,.{decimals}f}{suffix}"
    raise AssertionError("Invariant: the last size takes every value")


def signed_percent(fraction: float) -> str:
    """Return a move with its sign: "+12.5 %"; "0 %" for none."""
    return f"{'+' if fraction > 0 else ''}{fmt.percent(fraction, decimals=1)}".replace(" %", "%")


def day_words(day: float) -> str:
    """Return "today", "in 1 day" or "in 7 days".

    Examples
    --------
    >>> day_words(0.0), day_words(0.5), day_words(7.0)
    ('today', 'in 0.5 days', 'in 7 days')
    """
    return "today" if day == 0 else f"in {day:g} day{'' if day == 1 else 's'}"
