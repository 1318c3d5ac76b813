"""A cascade in sentences and rows that terminal and page share."""

from __future__ import annotations

import numpy as np

from margincover.clearing.cascade_report import CascadeReportData, deepest_gap, share_of_worst_window
from margincover.report import format as fmt
from margincover.report.format import Rounding

WINDOW_S = 2400.0  # the 40 minutes that the record day of October 2025 is measured by

MARKET_HEADERS = (
    "Market", "Mark", "Lowest", "Highest", "Gap to index", "Longs closed", "Shorts closed", "Least depth",
    "Unstable from",
)  # fmt: skip
LEVEL_HEADERS = ("Shock", "Liquidated", "Furthest price", "Fund pays", "Not paid")


def headline(data: CascadeReportData) -> str:
    """Return the answer in one or two sentences."""
    result = data.result
    total, ledger = float(result.liquidated_usd.sum()), result.ledger
    if total <= 0.0:
        return f"{data.index_label}: nobody is liquidated."
    held = sum(data.population.long_usd) + sum(data.population.short_usd)
    text = (
        f"{data.index_label}: {fmt.usd(total)} liquidated, {total / held:.1%} of all positions, "
        f"{int(result.record.n_closed.sum()):,} of {result.n_accounts:,} accounts closed. "
    )
    if ledger.residual_usd >= 0.01:
        return text + f"{fmt.usd(ledger.residual_usd, rounding=Rounding.UP)} is paid by neither accounts nor funds."
    if ledger.paid_usd >= 0.01:
        return text + f"The insurance funds pay {fmt.usd(ledger.paid_usd, rounding=Rounding.UP)}; nothing stays open."
    return text + "No account goes below zero."


def ledger_rows(data: CascadeReportData) -> list[tuple[str, str]]:
    """Return the money of the run: what was lost and who paid."""
    ledger = data.result.ledger
    return [
        ("Loss of the positions closed, both sides net", fmt.usd(ledger.market_loss_usd)),
        ("+ liquidation fees", fmt.usd(ledger.fees_usd)),
        ("+ collateral kept by the venue", fmt.usd(ledger.forfeited_usd)),
        ("= to be paid", fmt.usd(ledger.loss_usd)),
        ("Taken from the accounts closed", fmt.usd(ledger.taken_usd)),
        ("+ paid by insurance funds", fmt.usd(ledger.paid_usd, rounding=Rounding.UP)),
        ("+ not paid", fmt.usd(ledger.residual_usd, rounding=Rounding.UP)),
    ]


def market_rows(data: CascadeReportData) -> list[tuple[str, ...]]:
    """Return a row of texts for each market, under MARKET_HEADERS."""
    result, record = data.result, data.result.record
    gap = deepest_gap(result)
    return [
        (
            market.name,
            fmt.price(market.mark),
            _reached(min(float(record.low[:, m].min()), market.mark), market.mark),
            _reached(max(float(record.high[:, m].max()), market.mark), market.mark),
            f"{gap[m]:.1%}",
            fmt.usd(float(record.sold_usd[:, m].sum())),
            fmt.usd(float(record.bought_usd[:, m].sum())),
            f"{fmt.usd(float(record.depth[:, m].min()))} of {fmt.usd(float(result.stage.depth_usd[m]))}",
            unstable_text(data, m),
        )
        for m, market in enumerate(result.markets)
    ]


def _reached(price: float, mark: float) -> str:
    return f"{fmt.price(price)} ({price / mark - 1.0:+.1%})"


def unstable_text(data: CascadeReportData, market: int) -> str:
    """Return from which moves on a forced order forces a larger one."""
    found = [data.systemic.first_unstable(market, sign=sign) for sign in (-1.0, 1.0)]
    texts = [f"{level:+.0%}" for level in found if level is not None]
    return ", ".join(texts) if texts else "no level"


def level_rows(data: CascadeReportData) -> list[tuple[str, ...]]:
    """Return a row of texts for each shock of the map, under LEVEL_HEADERS."""
    rows: list[tuple[str, ...]] = []
    for level in data.levels:
        place = int(np.argmax(np.abs(level.furthest)))
        rows.append(
            (
                f"{level.shock:+.0%}",
                fmt.usd(level.liquidated_usd),
                f"{data.result.markets[place].name} {level.furthest[place]:+.1%}",
                fmt.usd(level.paid_usd, rounding=Rounding.UP),
                fmt.usd(level.residual_usd, rounding=Rounding.UP),
            )
        )
    return rows


def timing_text(data: CascadeReportData) -> str:
    """Return how concentrated in time the liquidations are."""
    share = share_of_worst_window(data.result.liquidated_usd, data.result.settings.step_s, WINDOW_S)
    if share is None:
        return "No liquidation."
    longs = float(data.result.record.sold_usd.sum()) / float(data.result.liquidated_usd.sum())
    return f"{share:.0%} of the liquidated notional falls within the worst 40 minutes; {longs:.0%} of it are longs."


def population_text(data: CascadeReportData) -> str:
    """Return who was there."""
    who = data.population
    low, middle, high = who.leverage_p10_p50_p90
    return (
        f"{who.n_accounts:,} accounts with {who.n_positions:,} positions, {fmt.usd(sum(who.long_usd))} long and "
        f"{fmt.usd(sum(who.short_usd))} short; leverage {low:.1f}, {middle:.1f} and "
        f"{high:.1f} at the 10th, 50th and 90th percentile"
    )


LEVEL_NOTE = "Each shock comes in 10 minutes and is followed for 30, with feedback."
GAIN_NOTE = (
    "Loop gain: the net notional that a further 1 % forces to close, over the depth that is left for 1 %. From 1 on a "
    "forced order forces a larger one before the book recovers; levels are reached by the move alone, without feedback."
)
