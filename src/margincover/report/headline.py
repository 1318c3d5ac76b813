"""The answer in words: the first line of every output."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.results import CoverageResult, PoolCoverage, PoolStatus, StatusResult
from margincover.report import format as fmt
from margincover.report.format import Rounding

_MAX_NAMED = 4

STATE_WORDS = {
    "liquidatable": "LIQUIDATABLE",
    "called": "CALLED",
    "open": "open",
    "flat": "flat",
}
VERDICT_WORDS = {"breach": "BREACH", "warning": "WARNING", "covered": "covered"}


def _joined(parts: Sequence[str]) -> str:
    """Join parts with commas and one "and"; only the first few are named."""
    named = list(parts[:_MAX_NAMED])
    if len(parts) > _MAX_NAMED:
        named.append(f"{len(parts) - _MAX_NAMED} more (see the table)")
    if len(named) < 2:
        return "".join(named)
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _counted(part: int, whole: int) -> str:
    return f"{part} of {whole} pool{'' if whole == 1 else 's'} {'is' if part == 1 else 'are'}"


def _top_up(pool: PoolCoverage) -> str:
    status = pool.status
    return f"{fmt.native(pool.gap_native, status.unit, rounding=Rounding.UP)} to {status.pool_id}"


def coverage_headline(result: CoverageResult) -> str:
    """Return the coverage answer in one or two sentences.

    Raises
    ------
    InputError
        If a gap is not finite.
    """
    if not result.pools:
        return "No pool was measured: the book holds no margin account. This says nothing about safety."
    terms = f"at {fmt.percent(result.tolerance, decimals=4)} over {fmt.duration_words(result.horizon_s)}"
    whole = len(result.pools)
    breached = [pool for pool in result.pools if pool.verdict == "breach"]
    warned = [pool.status.pool_id for pool in result.pools if pool.verdict == "warning"]
    if breached:
        text = _breach_sentence(breached, whole=whole, terms=terms)
    elif warned:
        text = f"No pool is under-covered {terms}."
    else:
        return f"{_all_covered(whole, terms)}{_surplus(result)}"
    if warned:
        text += (
            f" {_counted(len(warned), whole)} covered only within the error bar or likely called: {_joined(warned)}."
        )
    return text


def _breach_sentence(breached: Sequence[PoolCoverage], *, whole: int, terms: str) -> str:
    short = [pool for pool in breached if pool.gap_native > 0]
    now = [pool.status.pool_id for pool in breached if pool.status.state == "liquidatable"]
    text = f"{_counted(len(breached), whole)} under-covered {terms}"
    if short:
        text += f": add {_joined([_top_up(pool) for pool in short])}"
        if len(short) > 1:
            total = sum(pool.gap_usd for pool in short)
            text += f" (together {fmt.usd(total, rounding=Rounding.UP)})"
    text += "."
    if now:
        text += f" Liquidatable now: {_joined(now)}."
    return text


def _all_covered(whole: int, terms: str) -> str:
    subject = {1: "The only pool is", 2: "Both pools are"}.get(whole, f"All {whole} pools are")
    return f"{subject} covered {terms}."


def _surplus(result: CoverageResult) -> str:
    if result.surplus_usd <= 0:
        return ""
    return f" {fmt.usd(result.surplus_usd, rounding=Rounding.DOWN)} could leave."


def status_headline(result: StatusResult) -> str:
    """Return the status answer in one or two sentences."""
    if not result.pools:
        return "No pool was found: the book holds no margin account. This says nothing about safety."
    whole = len(result.pools)
    liquidatable = [pool.pool_id for pool in result.pools if pool.state == "liquidatable"]
    called = [pool.pool_id for pool in result.pools if pool.state == "called"]
    parts = []
    if liquidatable:
        parts.append(f"{_counted(len(liquidatable), whole)} liquidatable now: {_joined(liquidatable)}.")
    if called:
        parts.append(f"{_counted(len(called), whole)} below the margin call level: {_joined(called)}.")
    if not parts:
        parts.append(f"No pool of {whole} is liquidatable or called now.")
        parts.extend(_thinnest(result.pools))
    return " ".join(parts)


def _thinnest(pools: Sequence[PoolStatus]) -> list[str]:
    """Name the pool with the lowest coverage ratio."""
    rated = [(pool.coverage_ratio, pool.pool_id) for pool in pools if pool.coverage_ratio is not None]
    if not rated:
        return ["No pool holds a position."]
    lowest, name = min(rated)
    return [f"Thinnest is {name} with equity {fmt.ratio(lowest)} times maintenance."]
