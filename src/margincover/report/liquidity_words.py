"""What a liquidity result says, in the words that terminal and page share."""

from __future__ import annotations

from margincover.liquidity.verdict import Level, verdict
from margincover.model.liquidity import Concentration, LadderRow, LiquidityResult, LoanRow, SurvivalHorizon
from margincover.report import format as fmt
from margincover.report.format import Rounding

TONES = {Level.COVERED: "covered", Level.WARNING: "warning", Level.BREACH: "breach"}
CONCENTRATION_TITLES = {
    "custodian": "usable by the horizon, by custodian",
    "asset": "usable by the horizon, by asset",
    "venue": "equity in accounts, by venue",
    "stable coin": "stable coins in accounts and reserves",
}


def tone(result: LiquidityResult) -> str:
    """Return ``covered``, ``warning`` or ``breach``."""
    return TONES[verdict(result).level]


def horizon_text(survival: SurvivalHorizon) -> str:
    """Return the survival horizon: ``"6 hours"``, ``"10 days or more"``, ``"below the first bucket"``."""
    return _until(survival.at_least_s, is_censored=survival.is_censored)


def horizon_interval(result: LiquidityResult) -> str:
    """Return the survival horizon at both ends of the 95 % interval of the probability of a shortfall."""
    survival, last = result.survival, result.ladder[-1].until_s
    low = _until(survival.low_s, is_censored=survival.low_s == last)
    high = _until(survival.high_s, is_censored=survival.high_s == last)
    return low if low == high else f"{low} to {high}"


def _until(seconds: int, *, is_censored: bool) -> str:
    if seconds == 0:
        return "less than the first bucket"
    return fmt.duration_words(seconds) + (" or more" if is_censored else "")


def headline(result: LiquidityResult) -> str:
    """Return the answer in two or three sentences."""
    share, horizon = fmt.percent(result.tolerance, decimals=4), fmt.duration_words(result.horizon_s)
    lasts = f"At {share} all needs can be met for {horizon_text(result.survival)} (95 %: {horizon_interval(result)})"
    owed = "nothing falls due" if result.debt_coverage_ratio is None else f"debt coverage {debt_text(result)}"
    found = verdict(result)
    outcome = "Covered." if not found.reasons else f"{found.level.name.capitalize()}: {'; '.join(found.reasons)}."
    return f"{lasts}; over {horizon} {owed}. {outcome}"


def debt_text(result: LiquidityResult) -> str:
    """Return the debt coverage ratio, ``"-"`` where nothing falls due."""
    return fmt.ratio(result.debt_coverage_ratio)


def gap_text(row: LadderRow) -> str:
    """Return what is missing, or is left, at the start of a bucket."""
    if row.gap_usd > 0.0:
        return f"short {fmt.usd(row.gap_usd, rounding=Rounding.UP)}"
    return f"spare {fmt.usd(-row.gap_usd, rounding=Rounding.DOWN)}"


def shares_text(row: Concentration, *, most: int = 4) -> str:
    """Return the largest shares: ``"binance 47 %, okx 32 %"``."""
    parts = [f"{name} {fmt.percent(share, decimals=1)}" for name, share in list(row.shares.items())[:most]]
    rest = len(row.shares) - most
    return ", ".join([*parts, *([f"{rest} more"] if rest > 0 else [])]) or "none"


def fall_text(value: float | None) -> str:
    """Return a fall of the collateral: ``"-22.48 %"``, ``"-"`` where no fall gets there."""
    if value is None:
        return fmt.ABSENT
    return "now" if value == 0.0 else fmt.percent(-value)


def ltv_text(loan: LoanRow) -> str:
    """Return the loan to value, ``"-"`` without collateral."""
    return fmt.percent(loan.ltv)


def notes(result: LiquidityResult) -> list[str]:
    """Return how to read the figures, and what was left out of the supply and why."""
    return [
        "Usable: after haircut, price impact and cost, at today's prices. Margin of accounts is not counted: it "
        "backs them. Need: the stated quantile of what accounts and debts need beyond their own equity, gains on one "
        "venue not paying calls on another.",
        "A need may come at the first minute of a bucket: it is set against what was usable at its start. "
        "P(shortfall): some need by then is not met in time, with the best placement along the ways of the book, coins "
        "sold at their lowest price.",
        *(f"left out: {note}" for note in result.supply.notes),
    ]
