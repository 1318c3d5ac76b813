"""Reconciliation: our figures against what the venue itself reports, in basis points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from margincover.model.account import Account, AccountReport
from margincover.model.book import Book
from margincover.model.pool import MarginPool
from margincover.model.pool_model import ScalesMaintenance
from margincover.model.position import PositionReport
from margincover.model.results import LiquidationLevel, PoolStatus, Reconciliation
from margincover.units import BPS_PER_UNIT
from margincover.venues import margin


def reconcile(
    book: Book, pools: Sequence[MarginPool], statuses: Sequence[PoolStatus]
) -> tuple[tuple[PoolStatus, ...], tuple[Reconciliation, ...]]:
    """Return the statuses with reported liquidation prices filled in, and every comparison that can be made."""
    accounts = {account.id: account for account in book.accounts}
    rows: list[Reconciliation] = []
    done: list[PoolStatus] = []
    for pool, status in zip(pools, statuses, strict=True):
        account = accounts[pool.account_id]
        rows.extend(_account_rows(account, pool, status))
        levels = []
        for level in status.levels:
            legs = [k for k, symbol in enumerate(pool.legs.symbols) if symbol == level.symbol]
            reports = [_report(book, account, pool, leg) for leg in legs]
            rows.extend(_position_rows(book, account, pool, legs, reports))
            reported = next((r.liquidation_price for r in reports if r and r.liquidation_price), None)
            levels.append(replace(level, reported=reported))
            rows.extend(_price_row(pool, legs, level, reported))
        done.append(replace(status, levels=tuple(levels)))
    return tuple(done), tuple(rows)


def _row(pool_id: str, figure: str, unit: str, ours: float | None, venue: float | None) -> list[Reconciliation]:
    if ours is None or venue is None:
        return []
    difference = 0.0 if ours == venue else (ours - venue) / abs(venue) * BPS_PER_UNIT if venue else float("inf")
    return [
        Reconciliation(pool_id=pool_id, figure=figure, unit=unit, ours=ours, venue=venue, difference_bps=difference)
    ]


def _account_rows(account: Account, pool: MarginPool, status: PoolStatus) -> list[Reconciliation]:
    if pool.margin_mode != "cross":
        return []
    report: AccountReport | None = next((r for r in account.reported if r.asset == pool.unit), None)
    if report is None:
        return []
    rows = _row(pool.id, "equity", pool.unit, status.equity_native, report.equity_native)
    # The venue prints its own maintenance margin, which the model holds as a multiple where liquidation is not at 1.
    multiple = pool.model.maintenance_multiple if isinstance(pool.model, ScalesMaintenance) else 1.0
    maintenance = status.maintenance_native / multiple
    rows += _row(pool.id, "maintenance margin", pool.unit, maintenance, report.maintenance_native)
    rows += _row(pool.id, "initial margin", pool.unit, status.initial_native, report.initial_native)
    if report.ratio is not None and status.coverage_ratio is not None:
        ratio = status.coverage_ratio * multiple
        ours = ratio if report.ratio_kind == "equity_over_mm" else 1.0 / ratio
        rows += _row(pool.id, f"ratio ({report.ratio_kind})", "fraction", ours, report.ratio)
    return rows


def _report(book: Book, account: Account, pool: MarginPool, leg: int) -> PositionReport | None:
    for position in account.positions:
        instrument = book.instruments[(account.venue, position.symbol)]
        same = instrument.id == pool.legs.instrument_ids[leg] and position.bucket.value == pool.legs.buckets[leg]
        if same:
            return position.reported
    return None


def _position_rows(
    book: Book, account: Account, pool: MarginPool, legs: Sequence[int], reports: Sequence[PositionReport | None]
) -> list[Reconciliation]:
    rows: list[Reconciliation] = []
    mode = book.rulebooks[account.venue].modes[account.mode]
    for leg, report in zip(legs, reports, strict=True):
        if report is None:
            continue
        now = np.ones(1)
        notional = margin.leg_notional(pool, leg, now)
        # A model margins the pool as a whole: no part of its requirement belongs to one position.
        ours = None if pool.model else float(margin.leg_maintenance(pool, leg, notional)[0])
        if ours is not None and not mode.fee_in_reported_maintenance:
            ours -= float(pool.legs.fee_on_notional_fraction[leg] * notional[0])
        asset = pool.assets.assets[int(pool.legs.asset_index[leg])]
        label = pool.legs.symbols[leg]
        rows += _row(pool.id, f"{label} maintenance", asset, ours, report.maintenance_native)
        if pool.legs.initial_known[leg] and not pool.model:
            initial = float(pool.legs.initial_fraction[leg] * notional[0] + pool.legs.initial_constant[leg])
            rows += _row(pool.id, f"{label} initial", asset, initial, report.initial_native)
        profit = float(margin.leg_profit(pool, leg, now)[0])
        rows += _row(pool.id, f"{label} unrealised profit", asset, profit, report.unrealised_pnl_native)
    return rows


def adverse_price(pool: MarginPool, legs: Sequence[int], level: LiquidationLevel) -> float | None:
    """Return the price that the venue would print: below the mark for a net long, above it for a net short."""
    net = float(sum(pool.legs.signed_size[leg] for leg in legs))
    root = level.down if net > 0 else level.up
    return root if level.venue_price is None else level.venue_price


def _price_row(
    pool: MarginPool, legs: Sequence[int], level: LiquidationLevel, reported: float | None
) -> list[Reconciliation]:
    return _row(pool.id, f"{level.symbol} liquidation price", "price", adverse_price(pool, legs, level), reported)
