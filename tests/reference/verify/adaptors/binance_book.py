"""Binance accounts of several assets as accounts of a book: multi-assets mode and portfolio margin.

Buffers and collateral rates that a case states stand in a rule file, as a user's would. The path is BookInput, resolve,
build_pools, pool_statuses; parts of a figure are read from the pool's model in the state of the book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.position import Balance, Position
from margincover.model.results import PoolStatus
from margincover.venues.binance.multi_assets_model import LADDER_PREFIX
from margincover.venues.pools import build_pools
from margincover.venues.registry import RuleSource
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue

AT = datetime(2026, 9, 15, tzinfo=UTC)
_EDITION = """
[[edition]]
id = "case-{number}"
block = "collateral"
valid_from = 2020-01-01
observed = 2026-09-15
source = "the case"
retrieved = "2026-11-24"
confidence = "CONFIRMED"
[edition.collateral."{key}"]
slices = {slices}
borrow_maintenance_fraction = {borrow!r}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """One asset of a case: price in USD, what of it is held and owed, and how it counts."""

    price: float
    total: float = 0.0
    borrowed: float = 0.0
    weight: float = 1.0
    owed_weight: float | None = None
    loan_rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One position of a case: signed contracts; ``rate`` and ``deduction`` of its bracket, 0 where it states none."""

    symbol: str
    contracts: float
    entry: float
    mark: float
    rate: float = 0.0
    deduction: float = 0.0
    leverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An account after it went through the product: its pool, status, state and requirements."""

    pool: MarginPool
    status: PoolStatus
    state: PoolState
    requirements: tuple[Requirement, ...]

    @property
    def equity_by_asset(self) -> dict[str, float]:
        """Return what is held of each asset with profits, less what is owed."""
        assert self.pool.model is not None, "Invariant: the mode has a model"
        held = self.pool.model.held(self.state)[:, 0]
        return dict(zip(self.pool.assets.assets, held.tolist(), strict=True))

    @property
    def counted_by_asset(self) -> dict[str, float]:
        """Return what each asset counts in USD."""
        assert self.pool.model is not None, "Invariant: the mode has a model"
        counted = self.pool.model.counted(self.pool, self.pool.model.held(self.state), self.state.asset_price)[:, 0]
        return dict(zip(self.pool.assets.assets, counted.tolist(), strict=True))

    @property
    def profits(self) -> list[float]:
        """Return the unrealised profit of each position in its settle asset, in their order."""
        return [float(value) for value in self.state.leg_profit[:, 0]]

    def required(self, label: str) -> Requirement:
        """Return the requirement of a position or a loan by its label."""
        return next(part for part in self.requirements if part.label == label)


def account(mode: str, assets: Mapping[str, Collateral], positions: Sequence[Held] = ()) -> Result:
    """Return an account of a case, as the product sees it."""
    name = "binance:case"
    held = Account(
        id=name,
        venue="binance",
        mode=mode,
        positions=tuple(_position(position) for position in positions),
        balances=tuple(
            Balance(asset=asset, total_native=row.total, borrowed_native=row.borrowed) for asset, row in assets.items()
        ),
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={asset: row.price for asset, row in assets.items()})
    book = BookInput(as_of=AT, accounts=(held,), market=market, source="case")
    (pool,) = build_pools(resolve(book, extra_rules=(_rules(mode, assets),)))
    (status,) = pool_statuses((pool,))
    state = revalue(pool, np.ones((len(pool.factors), 1)))
    assert pool.model is not None, "Invariant: the mode has a model"
    return Result(pool=pool, status=status, state=state, requirements=pool.model.requirements(state))


def as_symbol(name: str, number: int) -> str:
    """Return the book's symbol of a contract as a case writes it, such as BTCUSDT_PERP or BTCUSDT_20220624.

    A dated contract is given an expiry in the future, another for each ``number``: no figure asked depends on it.
    """
    base, _, tail = name.partition("_")
    if tail.isdigit():
        return f"{base}_2712{31 - number % 30:02d}"
    inverse = base.endswith("USD")
    return f"{base}_PERP" if inverse else base


def _position(held: Held) -> Position:
    return Position(
        symbol=held.symbol,
        contracts=held.contracts,
        entry_price=held.entry,
        mark_price=held.mark,
        leverage=held.leverage,
        maintenance_fraction=held.rate,
        maintenance_deduction_native=held.deduction,
    )


def _rules(mode: str, assets: Mapping[str, Collateral]) -> RuleSource:
    text = 'venue = "binance"\n'
    for number, (asset, row) in enumerate(assets.items()):
        multi = mode == "usdm_multi_assets"
        key = f"{LADDER_PREFIX}{asset}" if multi else asset
        slices = f"[[0, inf, {row.weight!r}]]"
        text += _EDITION.format(number=number, key=key, slices=slices, borrow=row.loan_rate)
        text += f"owed_weight = {row.owed_weight!r}\n" if multi else ""
    return RuleSource(text=text, source="case.toml")
