"""Stress figures as words and short texts, shared by the terminal and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from margincover.coverage.reverse import MAX_DISTANCE
from margincover.model.stress import Analogue, PoolStress, ReverseStress, ScenarioResult, StressResult
from margincover.model.whatif import CellState
from margincover.report import format as fmt
from margincover.report.format import Rounding
from margincover.units import format_duration

STATE_WORDS = {CellState.FINE: "open", CellState.CALLED: "CALLED", CellState.LIQUIDATED: "LIQUIDATED"}
TONES = {CellState.FINE: "covered", CellState.CALLED: "warning", CellState.LIQUIDATED: "breach"}
_MAX_MOVES = 6


def stress_headline(result: StressResult) -> str:
    """Return the answer in two or three sentences."""
    if not result.scenarios:
        return "No scenario was run."
    if not any(each.pools for each in result.scenarios):
        return "No pool was measured: the book holds no margin account. This says nothing about safety."
    hit = [each for each in result.scenarios if each.n_liquidated]
    worst = result.scenarios[0]
    if not hit:
        called = sum(each.state is CellState.CALLED for each in result.scenarios)
        text = f"No pool is liquidated in any of {_counted(len(result.scenarios), 'scenario')}"
        text += f"; {called} bring a margin call." if called else "."
    else:
        text = (
            f"A pool is liquidated in {len(hit)} of {_counted(len(result.scenarios), 'scenario')}. Worst is "
            f"{worst.scenario.name} ({worst.scenario.title}): {worst.n_liquidated} of "
            f"{_counted(len(worst.pools), 'pool')}, "
            f"{fmt.usd(worst.cash_usd, rounding=Rounding.UP)} would have been needed to keep all of them."
        )
    near = next((each for each in result.reverse if each.distance is not None), None)
    return text if near is None else f"{text} {_nearest(near, result.reverse_horizon_s)}"


def _nearest(near: ReverseStress, horizon_s: int) -> str:
    if near.distance == 0.0:
        return f"{' and '.join(near.accounts)} can be liquidated now."
    return (
        f"The least extreme move that liquidates an account is {moves_text(near)} ({' and '.join(near.accounts)}): "
        f"{distance_text(near)} standard deviations over {format_duration(horizon_s)}."
    )


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def hour_text(hour: int | None, *, is_path: bool) -> str:
    """Return ``"at once"`` for a shock, ``"hour 13"`` on a path, ``"-"`` where it did not happen."""
    if hour is None:
        return fmt.ABSENT
    return f"hour {hour}" if is_path else "at once"


def cash_text(pool: PoolStress) -> str:
    """Return cash needed in the pool's unit, rounded up; ``"none"`` where nothing was."""
    return "none" if pool.cash_native == 0.0 else fmt.native(pool.cash_native, pool.unit, rounding=Rounding.UP)


def blocked_text(pool: PoolStress) -> str:
    """Return when money can first reach the venue: ``"-"`` where no halt stands in the way."""
    if pool.cash_hour is None:
        return fmt.ABSENT
    return "end not known" if math.isinf(pool.cash_hour) else f"after {pool.cash_hour:g} h"


def signed_percent(fraction: float) -> str:
    """Return a move with its sign.

    Examples
    --------
    >>> signed_percent(0.104), signed_percent(-0.3)
    ('+10.4 %', '-30 %')
    """
    text = fmt.percent(fraction, decimals=1)
    return f"+{text}" if fraction > 0 else text


def moves_text(each: ReverseStress) -> str:
    """Return the moves of coins, largest first, and of implied volatility."""
    if each.distance is None:
        return f"none within {MAX_DISTANCE:g} standard deviations"
    if each.distance == 0.0:
        return "no move is needed"
    parts = _sorted_moves(each.moves)
    if each.volatility_fraction is not None:
        parts.append(f"vol {signed_percent(each.volatility_fraction)}")
    return ", ".join(parts)


def _sorted_moves(moves: Mapping[str, float]) -> list[str]:
    ordered = sorted(moves.items(), key=lambda pair: -abs(math.log1p(pair[1])))
    texts = [f"{name} {signed_percent(move)}" for name, move in ordered[:_MAX_MOVES]]
    return [*texts, f"{len(ordered) - _MAX_MOVES} more"] if len(ordered) > _MAX_MOVES else texts


def distance_text(each: ReverseStress) -> str:
    """Return the distance rounded down: a move must not look further away than it is."""
    if each.distance is None:
        return fmt.ABSENT
    return fmt.number(math.floor(each.distance * 100.0) / 100.0, rounding=Rounding.DOWN, digits=4)


def chance_text(value: float | None) -> str:
    """Return a small probability in per cent with two digits; below 1e-10 % only that it is below."""
    if value is None:
        return fmt.ABSENT
    if value < 1e-12:
        return "< 1e-10 %"
    return f"{value * 100:.2g} %"


def analogue_text(found: Analogue | None) -> str:
    """Return the nearest stretch of history: episode, hours, how alike, how large."""
    if found is None:
        return fmt.ABSENT
    hours = f"{found.episode} hours {found.from_hour}-{found.to_hour}"
    return f"{hours}, alike {found.cosine:.2f}, size {found.size_ratio:.2f}x"


def lowest_ratio(each: ScenarioResult) -> str:
    """Return the lowest coverage ratio of all pools in their worst states."""
    return fmt.ratio(min((pool.coverage_ratio for pool in each.pools if pool.coverage_ratio is not None), default=None))
