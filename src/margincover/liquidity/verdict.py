"""What a liquidity result says: covered, warning or breach, with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from margincover.model.liquidity import LiquidityResult

# Default floor of both ratios: below it is a warning, debt coverage below 1 a breach.
RATIO_FLOOR = 1.2


class Level(IntEnum):
    """The exit code of the command."""

    COVERED = 0
    WARNING = 1
    BREACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The level and what led to it, worst first; no reasons when covered."""

    level: Level
    reasons: tuple[str, ...]


def verdict(result: LiquidityResult) -> Verdict:
    """Return the verdict of a result.

    Breach: the survival horizon is shorter than the horizon of the tolerance, or debt coverage is below 1. Warning: the
    survival horizon is that long only without its error, debt coverage or the liquidity coverage ratio is below 1.2, or
    a lender calls with a probability above the tolerance.
    """
    survival, ratio = result.survival, result.debt_coverage_ratio
    breaches: list[str] = []
    warnings: list[str] = []
    if survival.at_least_s < result.horizon_s:
        breaches.append("the survival horizon is shorter than the horizon of the tolerance")
    elif survival.low_s < result.horizon_s:
        warnings.append("within its error the survival horizon is shorter than the horizon of the tolerance")
    if ratio is not None and ratio < 1.0:
        breaches.append("debt coverage is below 1")
    elif ratio is not None and ratio < RATIO_FLOOR:
        warnings.append(f"debt coverage is below {RATIO_FLOOR}")
    if result.stock.ratio is not None and result.stock.ratio < RATIO_FLOOR:
        warnings.append(f"the liquid stock over the outflow is below {RATIO_FLOOR}")
    warnings += [
        f"{loan.lender} calls for more collateral of {loan.id} more often than the tolerance"
        for loan in result.loans
        if loan.p_call.value > result.tolerance
    ]
    level = Level.BREACH if breaches else Level.WARNING if warnings else Level.COVERED
    return Verdict(level=level, reasons=(*breaches, *warnings))
