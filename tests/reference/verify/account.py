"""The public path: a described account goes through the product, and its figures come back under canonical names.

The only arithmetic here is the difference of two figures of the product (free collateral = equity - initial) and their
quotient (return on equity); margins, profits, ratios and prices are read from its results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from margincover.coverage.reconcile import adverse_price, reconcile
from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import Book, BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Bucket, MarginMode, OpenOrder, Position, PositionReport
from margincover.model.results import LiquidationLevel, PoolStatus
from margincover.venues import margin, registry
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

Value = float | None

# Makes `reconcile` state our own maintenance, initial margin and profit of a position; what is compared is done here.
_ASK = PositionReport(maintenance_native=1.0, initial_native=1.0, unrealised_pnl_native=1.0, liquidation_price=1.0)
# Figures that are wrong as long as what backs the account is not known.
NEED_EQUITY: tuple[str, ...] = (
    *("equity", "wallet", "margin_ratio", "ratio_down", "mm_rate", "im_rate", "available", "withdrawable"),
    *("isolated_margin", "collateral", "effective_leverage", "liquidation_price", "liquidation_price_raw"),
    *("liquidation_down", "liquidation_up", "bankruptcy_price", "bankruptcy_price_raw"),
)
NEED_ENTRY = ("upnl", "roe", "entry_value", "initial_at_entry", "wallet")


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSpec:
    """One position as a case describes it; ``label`` helps an expected key to name it."""

    symbol: str
    contracts: float
    mark: float
    entry: float | None
    label: str = ""
    isolated: bool = False
    leverage: float | None = None
    collateral: float | None = None
    extra_collateral: float = 0.0
    bucket: Bucket = Bucket.NET
    rate: float | None = None
    deduction: float | None = None
    multiplier: float | None = None
    tick: float | None = None
    tiers: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSpec:
    """One account as a case describes it.

    ``wallet`` is in the settle asset. ``equity`` is given where a case states the equity instead. ``aside`` is the
    headroom of positions that the case gives only as sums (their profit less their maintenance): frozen, like the
    venue's own formula has it, they are money added to the wallet. ``money_half_unit`` is half a unit in the last
    printed digit of wallet, equity or collateral, ``entry_half_unit`` that of the entry price.
    """

    venue: str
    mode: str
    as_of: datetime
    positions: tuple[PositionSpec, ...]
    wallet: float | None = None
    equity: float | None = None
    aside: float | None = None
    fee: float | None = None
    orders: tuple[OpenOrder, ...] = ()
    ratio_is_equity_over_maintenance: bool = False
    bankruptcy_without_fee: bool = True
    target: int = 0
    rules: tuple[registry.RuleSource, ...] = ()
    money_half_unit: float = 0.0
    entry_half_unit: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of an account and of its positions by canonical name.

    ``labels`` are the words by which an expected key may name a position; ``missing`` says why a figure is not given.
    """

    account: Mapping[str, object] = field(default_factory=dict)
    positions: tuple[Mapping[str, object], ...] = ()
    labels: tuple[frozenset[str], ...] = ()
    target: int = 0
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    book: Book
    pools: tuple[MarginPool, ...]
    statuses: tuple[PoolStatus, ...]
    rows: Mapping[tuple[str, str], Sequence[float]]  # (pool, figure) -> ours, leg by leg


def figures_of(spec: AccountSpec) -> Figures:
    """Return every figure that the product has for an account.

    Raises
    ------
    margincover.errors.MargincoverError
        As the product raises it.
    """
    spec = _complete(spec)
    run = _run(spec)
    empty = _run(_without_maintenance(spec))
    fresh = _run(replace(spec, positions=tuple(replace(p, mark=p.entry or p.mark) for p in spec.positions), orders=()))
    found = []
    for number, position in enumerate(spec.positions):
        found.append(_position_figures(spec, number, run, empty, fresh))
        hidden = _unknown_without_entry(spec) if position.entry is None else ()
        found[-1] = {name: value for name, value in found[-1].items() if name not in hidden}
    account = _account_figures(spec, run)
    labels = tuple(_labels(run.book, spec.venue, position) for position in spec.positions)
    return Figures(account=account, positions=tuple(found), labels=labels, target=spec.target)


def nudged(spec: AccountSpec, amount: float) -> AccountSpec:
    """Return the account with its stated money (wallet, equity, isolated collateral) larger by ``amount``."""
    positions = tuple(
        replace(p, collateral=p.collateral + amount) if p.collateral is not None else p for p in spec.positions
    )
    wallet = None if spec.wallet is None else spec.wallet + amount
    equity = None if spec.equity is None else spec.equity + amount
    return replace(spec, positions=positions, wallet=wallet, equity=equity)


def nudged_entry(spec: AccountSpec, amount: float) -> AccountSpec:
    """Return the account with its entry prices higher by ``amount``."""
    moved = tuple(replace(p, entry=None if p.entry is None else p.entry + amount) for p in spec.positions)
    return replace(spec, positions=moved)


def _complete(spec: AccountSpec) -> AccountSpec:
    """Fill collateral of fresh isolated positions and the wallet behind a stated equity, both by the product."""
    missing = [p.isolated and p.collateral is None and p.leverage is not None for p in spec.positions]
    if any(missing):
        run = _run(spec)
        done = []
        for number, (position, fresh) in enumerate(zip(spec.positions, missing, strict=True)):
            initial = _leg_row(run, spec, number, "initial")
            if fresh and initial is not None:
                position = replace(position, collateral=initial + position.extra_collateral)
            done.append(position)
        spec = replace(spec, positions=tuple(done))
    if spec.equity is not None and spec.wallet is None:
        profit = _cross(_run(replace(spec, wallet=0.0)))
        spec = replace(spec, wallet=spec.equity - (profit.equity_native if profit else 0.0))
    return spec


def _without_maintenance(spec: AccountSpec) -> AccountSpec:
    """Return the account without maintenance: its liquidation price is the price at which its equity is gone."""
    positions = tuple(replace(p, rate=0.0, deduction=None, tiers=()) for p in spec.positions)
    return replace(spec, positions=positions, fee=0.0 if spec.bankruptcy_without_fee else spec.fee)


def _run(spec: AccountSpec) -> _Run:
    book = resolve(_book_input(spec), extra_rules=spec.rules)
    pools = build_pools(book)
    statuses, rows = reconcile(book, pools, pool_statuses(pools))
    table: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        table.setdefault((row.pool_id, row.figure), []).append(row.ours)
    return _Run(book=book, pools=pools, statuses=statuses, rows=table)


def _book_input(spec: AccountSpec) -> BookInput:
    name = f"{spec.venue}:case"
    positions = tuple(_position(position) for position in spec.positions)
    settle = _settle_assets(spec)
    total = (spec.wallet or 0.0) + (spec.aside or 0.0)
    account = Account(
        id=name,
        venue=spec.venue,
        mode=spec.mode,
        positions=positions,
        balances=tuple(Balance(asset=asset, total_native=total if k == 0 else 0.0) for k, asset in enumerate(settle)),
        open_orders=spec.orders,
        taker_fee_fraction=spec.fee,
    )
    overrides = {
        p.symbol: InstrumentOverride(venue=spec.venue, symbol=p.symbol, multiplier=p.multiplier, tick=p.tick)
        for p in spec.positions
    }
    tiers = {p.symbol: _tier_override(spec.venue, p) for p in spec.positions if p.tiers}
    # All figures compared are in the settle asset: an asset price of 1 does not enter them.
    market = MarketState(as_of=spec.as_of, observed_at=spec.as_of, asset_usd=dict.fromkeys(settle, 1.0))
    return BookInput(
        as_of=spec.as_of,
        accounts=(account,),
        market=market,
        instrument_overrides=tuple(overrides.values()),
        tier_overrides=tuple(tiers.values()),
        source="case",
    )


def _tier_override(venue: str, position: PositionSpec) -> TierOverride:
    rows = tuple((floor, cap, rate, None, None) for floor, cap, rate in position.tiers)
    return TierOverride(venue=venue, symbol=position.symbol, rows=rows, observed="case")


def _position(spec: PositionSpec) -> Position:
    return Position(
        symbol=spec.symbol,
        contracts=spec.contracts,
        entry_price=spec.entry if spec.entry is not None else spec.mark,
        margin_mode=MarginMode.ISOLATED if spec.isolated else MarginMode.CROSS,
        leverage=spec.leverage,
        isolated_collateral_native=(spec.collateral or 0.0) if spec.isolated else None,
        bucket=spec.bucket,
        mark_price=spec.mark,
        maintenance_fraction=spec.rate,
        maintenance_deduction_native=spec.deduction if spec.rate is not None else None,
        reported=_ASK,
    )


def _settle_assets(spec: AccountSpec) -> list[str]:
    rules = registry.rulebook(spec.venue, at=spec.as_of, extra=spec.rules)
    from margincover.venues.symbols import resolve_instrument

    assets = [resolve_instrument(rules, p.symbol, multiplier=p.multiplier or 1.0).settle for p in spec.positions]
    return list(dict.fromkeys(assets))


def _cross(run: _Run) -> PoolStatus | None:
    return next((s for s, p in zip(run.statuses, run.pools, strict=True) if p.margin_mode == "cross"), None)


def _leg(run: _Run, spec: AccountSpec, number: int) -> tuple[MarginPool, PoolStatus, int, LiquidationLevel]:
    """Return pool, status, leg and level of a position."""
    position = spec.positions[number]
    symbol = run.book.instruments[(spec.venue, position.symbol)].venue_symbol
    mode = "isolated" if position.isolated else "cross"
    for pool, status in zip(run.pools, run.statuses, strict=True):
        for leg, (name, bucket) in enumerate(zip(pool.legs.symbols, pool.legs.buckets, strict=True)):
            if (name, bucket, pool.margin_mode) == (symbol, position.bucket.value, mode):
                return pool, status, leg, next(level for level in status.levels if level.symbol == symbol)
    raise AssertionError("Invariant: every position stands in a pool")


def _leg_row(run: _Run, spec: AccountSpec, number: int, figure: str) -> float | None:
    pool, _, leg, level = _leg(run, spec, number)
    same = [k for k, symbol in enumerate(pool.legs.symbols) if symbol == level.symbol]
    known = [k for k in same if figure != "initial" or pool.legs.initial_known[k]]
    if leg not in known:
        return None
    return run.rows[(pool.id, f"{level.symbol} {figure}")][known.index(leg)]


def _adverse(run: _Run, spec: AccountSpec, number: int, *, printed: bool) -> float | None:
    pool, _, _, level = _leg(run, spec, number)
    same = [k for k, symbol in enumerate(pool.legs.symbols) if symbol == level.symbol]
    return adverse_price(pool, same, level if printed else replace(level, venue_price=None))


def _position_figures(spec: AccountSpec, number: int, run: _Run, empty: _Run, fresh: _Run) -> dict[str, object]:
    position = spec.positions[number]
    pool, status, leg, level = _leg(run, spec, number)
    profit = _leg_row(run, spec, number, "unrealised profit")
    initial = _leg_row(run, spec, number, "initial")
    posted = _leg_row(fresh, spec, number, "initial")
    found: dict[str, object] = {
        "upnl": profit,
        "maintenance": _leg_row(run, spec, number, "maintenance"),
        "notional": float(margin.leg_notional(pool, leg, np.ones(1))[0]),
        "entry_value": float(margin.leg_notional(_leg(fresh, spec, number)[0], leg, np.ones(1))[0]),
        "side": math.copysign(1.0, position.contracts),
        "liquidation_price": _adverse(run, spec, number, printed=True),
        "liquidation_price_raw": _adverse(run, spec, number, printed=False),
        "liquidation_down": level.down,
        "liquidation_up": level.up,
        "bankruptcy_price": _adverse(empty, spec, number, printed=True),
        "bankruptcy_price_raw": _adverse(empty, spec, number, printed=False),
        "quantity": position.contracts,
    }
    if initial is not None and posted:
        found |= {"initial": initial, "margin_used": initial, "initial_at_entry": posted}
        if position.isolated:
            found["margin_requirement"] = initial
        found["roe"] = None if profit is None else profit / posted
    if position.isolated:
        found |= {"isolated_margin": status.equity_native, "margin_used": status.equity_native}
        found["collateral"] = status.equity_native - (profit or 0.0)
        found |= _ratios(spec, status)
    if not _backed(spec, position):
        found = {name: value for name, value in found.items() if name not in NEED_EQUITY}
        if position.isolated:
            found.pop("margin_used", None)
    return found


def _unknown_without_entry(spec: AccountSpec) -> tuple[str, ...]:
    # A stated equity already holds the profit, whatever the entry was; a wallet does not.
    return NEED_ENTRY if spec.equity is not None else (*NEED_ENTRY, *NEED_EQUITY)


def _backed(spec: AccountSpec, position: PositionSpec) -> bool:
    return position.collateral is not None if position.isolated else spec.wallet is not None


def _ratios(spec: AccountSpec, status: PoolStatus) -> dict[str, object]:
    ratio = status.coverage_ratio
    inverse = None if not ratio else 1.0 / ratio
    found: dict[str, object] = {"margin_ratio": ratio if spec.ratio_is_equity_over_maintenance else inverse}
    found |= {"ratio_down": ratio, "mm_rate": inverse, "equity": status.equity_native}
    if status.equity_native:
        found["effective_leverage"] = status.gross_notional_usd / status.equity_usd
    return found


def _account_figures(spec: AccountSpec, run: _Run) -> dict[str, object]:
    """Return the figures of the cross pool; none for an account of isolated positions alone."""
    status = _cross(run)
    if status is None or spec.aside is not None:
        # Sums that stand for other positions give a price, not the account's own totals.
        return {}
    profits = [_leg_row(run, spec, k, "unrealised profit") for k, p in enumerate(spec.positions) if not p.isolated]
    found: dict[str, object] = {
        "maintenance": status.maintenance_native,
        "notional": status.gross_notional_usd,
        "upnl": sum(p for p in profits if p is not None),
        "wallet": spec.wallet,
        **_ratios(spec, status),
    }
    if not run.book.rulebooks[spec.venue].modes[spec.mode].fee_in_reported_maintenance:
        # The venue prints maintenance without the fee that its test adds.
        parts = [_leg_row(run, spec, k, "maintenance") for k, p in enumerate(spec.positions) if not p.isolated]
        found["maintenance"] = sum(p for p in parts if p is not None)
    if status.initial_native is not None:
        free = status.equity_native - status.initial_native
        found |= dict.fromkeys(("initial", "margin_used", "margin_requirement"), status.initial_native)
        found |= {"available": max(free, 0.0), "withdrawable": max(free, 0.0)}
        if status.equity_native:
            found["im_rate"] = status.initial_native / status.equity_native
    dropped: tuple[str, ...] = () if spec.wallet is not None else NEED_EQUITY
    if any(p.entry is None for p in spec.positions):
        dropped += _unknown_without_entry(spec)
    return {name: value for name, value in found.items() if name not in dropped}


def _labels(book: Book, venue: str, position: PositionSpec) -> frozenset[str]:
    instrument = book.instruments[(venue, position.symbol)]
    side = "long" if position.contracts > 0 else "short"
    words = {position.symbol, instrument.venue_symbol, instrument.base, side, *position.label.split()}
    return frozenset(word.lower() for word in words if word)
