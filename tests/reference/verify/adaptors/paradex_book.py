"""Paradex through the product: perpetuals and options of a case as a book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from margincover.coverage.status import pool_statuses
from margincover.model import account as model
from margincover.model.book import BookInput, TierOverride
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.model.results import PoolStatus
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 8, 20, 12, tzinfo=UTC)
# The day of an option does not enter its cross margin; one that is open at AT.
EXPIRY = "25JUN27"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One perpetual: coin, signed size, mark, entry (None: the mark), initial fraction and maintenance fraction."""

    coin: str
    size: float
    mark: float
    entry: float | None = None
    initial: float | None = None
    maintenance: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Figures of an account in USDC; ``initial`` is None where an initial fraction was not stated."""

    equity: float
    profit: float
    maintenance: float
    initial: float | None
    notional: float


def perpetuals(rows: Sequence[Held], *, fee: float = 0.0, wallet: float = 0.0) -> Account:
    """Return the figures of an account of perpetuals with a taker fee.

    A maintenance fraction is that of the notional; without one it follows from the initial fraction, which is stated as
    the market's own and as the leverage set.
    """
    positions = tuple(_position(row) for row in rows)
    tiers = tuple(
        TierOverride(
            venue="paradex", symbol=symbol(row), rows=((0.0, float("inf"), row.initial, None, None),), observed="case"
        )
        for row in rows
        if row.initial is not None and row.maintenance is None
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={"USDC": 1.0})
    status = _status(positions, market, fee=fee, wallet=wallet, tiers=tiers)
    return Account(
        equity=status.equity_native,
        profit=status.equity_native - wallet,
        maintenance=status.maintenance_native,
        initial=status.initial_native,
        notional=status.gross_notional_usd,
    )


def symbol(row: Held) -> str:
    """Return the venue's symbol of a perpetual."""
    return f"{row.coin}-USD-PERP"


def _position(row: Held) -> Position:
    return Position(
        symbol=symbol(row),
        contracts=row.size,
        entry_price=row.mark if row.entry is None else row.entry,
        mark_price=row.mark,
        leverage=max(1.0 / row.initial, 1.0) if row.initial else None,
        maintenance_fraction=row.maintenance,
    )


def _status(
    positions: tuple[Position, ...],
    market: MarketState,
    *,
    fee: float,
    wallet: float = 0.0,
    tiers: tuple[TierOverride, ...] = (),
) -> PoolStatus:
    account = model.Account(
        id="paradex:case",
        venue="paradex",
        mode="cross",
        positions=positions,
        balances=(Balance(asset="USDC", total_native=wallet),),
        taker_fee_fraction=fee,
    )
    book = BookInput(as_of=AT, accounts=(account,), market=market, tier_overrides=tiers, source="case")
    (status,) = pool_statuses(build_pools(resolve(book)))
    return status


def option(
    *, coin: str, size: float, strike: float, is_call: bool, mark: float, spot: float, fee: float
) -> tuple[float, float]:
    """Return initial margin and maintenance of an account that holds one option."""
    written = f"{strike:g}" if float(f"{strike:g}") == strike and "e" not in f"{strike:g}" else f"{strike:.0f}"
    position = Position(
        symbol=f"{coin}-USD-{EXPIRY}-{written}-{'C' if is_call else 'P'}",
        contracts=size,
        entry_price=mark,
        mark_price=mark,
        forward_price=spot,
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={coin: spot, "USDC": 1.0})
    status = _status((position,), market, fee=fee)
    assert status.initial_native is not None, "Invariant: options need no leverage"
    return status.initial_native, status.maintenance_native
