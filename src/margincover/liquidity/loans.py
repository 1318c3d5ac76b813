"""Loans as pools of the path engine: the debt against weighted collateral, called and liquidated like an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margincover.errors import InputError
from margincover.liquidity.conversion import price_usd
from margincover.model.book import Book
from margincover.model.liquidity import LoanRow
from margincover.model.pool import AssetTable, MarginPool
from margincover.model.resources import Loan
from margincover.model.results import Estimate
from margincover.model.rules import TickRule
from margincover.numeric.arrays import frozen, frozen_index
from margincover.units import SECONDS_PER_YEAR
from margincover.venues.assets import is_pegged
from margincover.venues.legs import leg_table

# Pools of two levels: where the lender calls, and where he liquidates.
CALL, LIQUIDATION = "call", "liquidation"
_OPEN_END = 1.7e308


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanLevel:
    """One level of a loan: share of each collateral's value that counts there, in the order of the collateral."""

    loan: Loan
    name: str
    weights: tuple[float, ...]

    @property
    def pool_id(self) -> str:
        """Id of the pool of this level."""
        return f"loan:{self.loan.id}/{self.name}"


def loan_levels(loan: Loan) -> tuple[LoanLevel, ...]:
    """Return the levels at which a lender calls and liquidates.

    A loan with ``liquidation_ltv`` is liquidated when debt / collateral reaches it; one without by the thresholds of
    its collateral (health factor 1). A loan without ``call_ltv`` is called when it is liquidated: nobody warns.

    Raises
    ------
    InputError
        If the loan states neither a loan to value nor thresholds below 1, and has collateral: then nothing says when it
        is liquidated.
    """
    if not loan.collateral:
        return ()
    thresholds = tuple(piece.liquidation_threshold for piece in loan.collateral)
    if loan.liquidation_ltv is None and min(thresholds) >= 1.0:
        raise InputError(
            "states neither liquidation_ltv nor a liquidation_threshold below 1",
            field=f"loans.{loan.id}",
            allowed="one of them: the level at which the collateral is taken",
        )
    stop = thresholds if loan.liquidation_ltv is None else (loan.liquidation_ltv,) * len(thresholds)
    call = stop if loan.call_ltv is None else (loan.call_ltv,) * len(thresholds)
    return (
        LoanLevel(loan=loan, name=CALL, weights=call),
        LoanLevel(loan=loan, name=LIQUIDATION, weights=stop),
    )


def loan_pool(book: Book, level: LoanLevel, *, horizon_s: int) -> MarginPool:
    """Return the pool whose shortfall is debt less weighted collateral, in US dollars.

    The interest of the whole horizon is owed from the start: at most a few basis points too much, never too little.
    A pegged asset holds its price, as everywhere along the paths.
    """
    loan = level.loan
    owed = loan.amount_native * (1.0 + loan.annual_rate_fraction * horizon_s / SECONDS_PER_YEAR)
    names = (loan.asset, *(piece.asset for piece in loan.collateral))
    if len(set(names)) != len(names):
        raise InputError(
            f"was {', '.join(names)}", field=f"loans.{loan.id}.collateral", allowed="each asset once, none the debt's"
        )
    factors = tuple(dict.fromkeys(name for name in names if not is_pegged(name)))
    weights = level.weights
    assets = AssetTable(
        assets=names,
        balance_native=frozen([-owed, *(piece.amount_native for piece in loan.collateral)], name="balance", ndim=1),
        price_unit=frozen([price_usd(book, name, f"loans.{loan.id}") for name in names], name="price", ndim=1),
        factor_index=frozen_index([factors.index(name) if name in factors else -1 for name in names]),
        slice_start=frozen_index([0, *range(len(weights))]),
        slice_count=frozen_index([0, *[1] * len(weights)]),
        slice_floor=frozen([0.0] * len(weights), name="slice_floor", ndim=1),
        slice_cap=frozen([_OPEN_END] * len(weights), name="slice_cap", ndim=1),
        slice_weight=frozen(list(weights), name="slice_weight", ndim=1),
        borrow_maintenance_fraction=frozen([0.0] * len(names), name="borrow_maintenance", ndim=1),
    )
    return MarginPool(
        id=level.pool_id,
        account_id=f"loan:{loan.id}",
        venue=loan.lender,
        mode="loan",
        margin_mode="cross",
        unit="USD",
        unit_usd=1.0,
        factors=factors,
        legs=leg_table((), factors, names),
        assets=assets,
        # a loan has no maintenance to be a multiple of: its call is a level of its own
        margin_call_coverage_ratio=1.25,
        margin_call_source="not used",
        tick_rule=TickRule.NONE,
    )


def loan_row(book: Book, loan: Loan, *, p_call: Estimate, p_liquidation: Estimate) -> LoanRow:
    """Return the figures of a loan now, with its probabilities."""
    debt = loan.amount_native * price_usd(book, loan.asset, f"loans.{loan.id}.asset")
    values = [
        piece.amount_native * price_usd(book, piece.asset, f"loans.{loan.id}.collateral") for piece in loan.collateral
    ]
    worth = sum(values)
    levels = {level.name: level.weights for level in loan_levels(loan)}
    # Where a coin is owed, collateral in dollars moves against it as well.
    is_moving = [not is_pegged(piece.asset) or not is_pegged(loan.asset) for piece in loan.collateral]

    def fall_to(name: str) -> float | None:
        weights = levels.get(name)
        if weights is None:
            return None
        moving = sum(v * w for v, w, moves in zip(values, weights, is_moving, strict=True) if moves)
        fixed = sum(v * w for v, w, moves in zip(values, weights, is_moving, strict=True) if not moves)
        return fall_until(debt, moving=moving, fixed=fixed)

    return LoanRow(
        id=loan.id,
        lender=loan.lender,
        debt_usd=debt,
        collateral_usd=worth,
        ltv=debt / worth if worth > 0.0 else None,
        health_factor=health_factor(debt, values, levels[LIQUIDATION]) if LIQUIDATION in levels else None,
        fall_to_call=fall_to(CALL),
        fall_to_liquidation=fall_to(LIQUIDATION),
        p_call=p_call,
        p_liquidation=p_liquidation,
    )


def health_factor(debt_usd: float, collateral_usd: Sequence[float], thresholds: Sequence[float]) -> float:
    """Return threshold-weighted collateral over debt; a lender liquidates below 1."""
    return sum(value * share for value, share in zip(collateral_usd, thresholds, strict=True)) / debt_usd


def fall_until(debt_usd: float, *, moving: float, fixed: float = 0.0) -> float | None:
    """Return the common fall of ``moving`` weighted collateral at which debt = fixed + moving (1 - fall).

    0 where it is there already, None where ``fixed`` alone carries the debt.
    """
    if debt_usd >= fixed + moving:
        return 0.0
    return None if debt_usd <= fixed else 1.0 - (debt_usd - fixed) / moving


def health_after_repayment(
    health: float, *, debt_usd: float, repaid_usd: float, threshold: float, bonus: float
) -> float:
    """Return the health factor after a partial liquidation that repays ``repaid_usd`` of a debt.

    Parameters
    ----------
    health : float
        Before it: threshold-weighted collateral over debt.
    debt_usd, repaid_usd : float
        0 <= repaid < debt.
    threshold, bonus : float
        Liquidation threshold of the collateral that is taken, and the liquidator's bonus as a fraction.

    Notes
    -----
    Collateral of r (1 + bonus) leaves for a repayment of r: HF' = (HF debt - r LT (1 + bonus)) / (debt - r), so that
    HF' - HF = r (HF - LT (1 + bonus)) / (debt - r). It heals only while HF > LT (1 + bonus).

    Raises
    ------
    InputError
        If the repayment is negative or not below the debt.
    """
    if not 0.0 <= repaid_usd < debt_usd:
        raise InputError(f"was {repaid_usd:g}", field="repaid", allowed=f"0 to below the debt of {debt_usd:g}")
    return (health * debt_usd - repaid_usd * threshold * (1.0 + bonus)) / (debt_usd - repaid_usd)
