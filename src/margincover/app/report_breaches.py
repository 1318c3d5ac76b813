"""Everything of a statement that is beyond what is allowed, or within it only but for its error, worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from margincover.model.liquidity import LiquidityResult
from margincover.model.results import CoverageResult, PoolCoverage
from margincover.model.statement import Breach, HeadlineFigure, Verdict
from margincover.report import format as fmt
from margincover.report.format import Rounding
from margincover.report.statement_words import interval_text, limit_text, value_text


def breaches_of(
    figures: Sequence[HeadlineFigure],
    coverage: CoverageResult,
    liquidity: LiquidityResult,
    share_limits: Mapping[str, float],
) -> tuple[Breach, ...]:
    """Return all breaches and warnings, breaches first, in the order figures, pools, due times, loans, shares."""
    found = [
        *_figures(figures),
        *(breach for pool in coverage.pools for breach in _pool(pool, coverage.tolerance)),
        *_needs(liquidity),
        *_loans(liquidity),
        *_shares(liquidity, share_limits),
    ]
    return tuple(sorted(found, key=lambda each: -each.verdict))


def _figures(figures: Sequence[HeadlineFigure]) -> Iterator[Breach]:
    for figure in figures:
        if figure.verdict is Verdict.WITHIN:
            continue
        interval = interval_text(figure)
        yield Breach(
            verdict=figure.verdict,
            what=figure.label,
            where=figure.where or "book",
            found=value_text(figure) + ("" if interval == "exact" else f" ({interval})"),
            allowed=limit_text(figure) if figure.limit is not None else figure.note.rpartition("; ")[2],
        )


def _pool(pool: PoolCoverage, tolerance: float) -> Iterator[Breach]:
    status = pool.status
    if status.state == "liquidatable":
        yield Breach(
            verdict=Verdict.BREACH,
            what="Liquidatable now",
            where=status.pool_id,
            found=f"coverage ratio {fmt.ratio(status.coverage_ratio)}",
            allowed="equity above maintenance",
        )
    elif status.state == "called":
        yield Breach(
            verdict=Verdict.WARNING,
            what="Margin call level reached",
            where=status.pool_id,
            found=f"coverage ratio {fmt.ratio(status.coverage_ratio)}",
            allowed=f"above {status.margin_call_coverage_ratio:g}",
        )
    gap = fmt.native(abs(pool.gap_native), status.unit, rounding=Rounding.UP)
    if pool.gap_native > 0.0:
        yield Breach(
            verdict=Verdict.BREACH,
            what="Capital below required coverage",
            where=status.pool_id,
            found=f"add {gap}",
            allowed=f"no gap at {fmt.percent(tolerance, decimals=4)}",
        )
    elif pool.verdict == "warning":
        yield Breach(
            verdict=Verdict.WARNING,
            what="Covered within the error bar, or called too often",
            where=status.pool_id,
            found=f"{fmt.native(-pool.gap_native, status.unit, rounding=Rounding.DOWN)} to spare",
            allowed=f"calls at most {fmt.percent(tolerance, decimals=4)}",
        )


def _needs(liquidity: LiquidityResult) -> Iterator[Breach]:
    for need in liquidity.needs:
        if need.p_unmet.value > liquidity.tolerance:
            yield Breach(
                verdict=Verdict.BREACH,
                what="Calls not met in time by what can get there",
                where=need.id,
                found=fmt.probability(need.p_unmet, field=f"{need.id}: unmet"),
                allowed=f"at most {fmt.percent(liquidity.tolerance, decimals=4)}",
            )


def _loans(liquidity: LiquidityResult) -> Iterator[Breach]:
    for loan in liquidity.loans:
        for verdict, what, chance in (
            (Verdict.BREACH, "Loan liquidated by its lender", loan.p_liquidation),
            (Verdict.WARNING, "Collateral called by a lender", loan.p_call),
        ):
            if chance.value > liquidity.tolerance:
                yield Breach(
                    verdict=verdict,
                    what=what,
                    where=f"{loan.id}, {loan.lender}",
                    found=fmt.probability(chance, field=f"{loan.id}: probability"),
                    allowed=f"at most {fmt.percent(liquidity.tolerance, decimals=4)}",
                )


def _shares(liquidity: LiquidityResult, limits: Mapping[str, float]) -> Iterator[Breach]:
    for table in liquidity.concentrations:
        limit = limits.get(table.by)
        for name, share in table.shares.items():
            if limit is not None and share > limit:
                yield Breach(
                    verdict=Verdict.BREACH,
                    what=f"Concentration by {table.by}",
                    where=name,
                    found=fmt.percent(share),
                    allowed=f"at most {fmt.percent(limit)}",
                )
