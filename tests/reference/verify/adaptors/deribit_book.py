"""Deribit accounts through the product: BookInput, resolve, build_pools, pool_statuses; and their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.model.results import PoolStatus
from margincover.venues.deribit.matrix import MatrixMargin
from margincover.venues.deribit.pair_book import PairBook
from margincover.venues.deribit.parameters import (
    FutureCurveParameters,
    FutureIncrementParameters,
    MatrixParameters,
    OptionParameters,
)
from margincover.venues.deribit.segregated_portfolio import SegregatedPortfolio
from margincover.venues.deribit.segregated_standard import SegregatedStandard
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue


def pools_of(
    mode: str,
    positions: Sequence[Position],
    *,
    at: datetime,
    balances: Mapping[str, float],
    asset_usd: Mapping[str, float],
) -> tuple[MarginPool, ...]:
    """Return the pools of one account; funding does not enter the figures and is taken as 0."""
    account = Account(
        id="deribit:case",
        venue="deribit",
        mode=mode,
        positions=tuple(positions),
        balances=tuple(Balance(asset=asset, total_native=total) for asset, total in balances.items()),
    )
    market = MarketState(as_of=at, observed_at=at, asset_usd=dict(asset_usd))
    book = resolve(BookInput(as_of=at, accounts=(account,), market=market, source="case"))
    return build_pools(book, funding_fallback=lambda factor: 0.0)


def only_pool(
    mode: str, position: Position, *, at: datetime, settle: str, asset_usd: Mapping[str, float]
) -> MarginPool:
    """Return the pool of one position and an empty wallet."""
    prices = {"USDC": 1.0, "USDT": 1.0, **asset_usd}
    (pool,) = pools_of(mode, [position], at=at, balances={settle: 0.0}, asset_usd=prices)
    return pool


def with_future_rates(pool: MarginPool, rates: FutureIncrementParameters | FutureCurveParameters) -> MarginPool:
    """Return the pool with the rates of a case in place of the packaged ones: a book states none."""
    model = pool.model
    assert isinstance(model, SegregatedStandard), "Invariant: a segregated pool in standard margin"
    futures = tuple(rates for _ in model.rates.futures)
    return replace(pool, model=replace(model, rates=replace(model.rates, futures=futures)))


def with_option_rates(pool: MarginPool, rates: OptionParameters) -> MarginPool:
    """Return the pool with option factors of a case in place of the packaged ones."""
    model = pool.model
    assert isinstance(model, SegregatedStandard), "Invariant: a segregated pool in standard margin"
    options = tuple(rates for _ in model.rates.options)
    return replace(pool, model=replace(model, rates=replace(model.rates, options=options)))


def with_matrix(pool: MarginPool, change: Callable[[PairBook], MatrixParameters]) -> MarginPool:
    """Return the pool with the matrix parameters of a case, pair by pair."""
    model = pool.model
    assert isinstance(model, SegregatedPortfolio), "Invariant: a segregated pool in portfolio margin"
    pairs = tuple(replace(pair, parameters=change(pair)) for pair in model.pairs)
    return replace(pool, model=replace(model, pairs=pairs))


def status_of(pool: MarginPool) -> PoolStatus:
    """Return the status of a pool."""
    (status,) = pool_statuses((pool,))
    return status


def matrix_of(pool: MarginPool, *, number: int = 0) -> MatrixMargin:
    """Return all figures of one pair's matrix at ``as_of``."""
    model = pool.model
    assert isinstance(model, SegregatedPortfolio), "Invariant: a segregated pool in portfolio margin"
    state = revalue(pool, np.ones((len(pool.factors), 1)))
    return model.matrix(state, model.pairs[number])[1]


def option_symbol(coin: str, strike: float, is_call: bool, *, at: datetime, linear: bool, days: int = 30) -> str:
    """Return the symbol of an option that lives at an instant; margin in standard mode does not read its expiry."""
    expiry = at + timedelta(days=days)
    text = f"{strike:.10f}".rstrip("0").rstrip(".").replace(".", "d")
    name = f"{expiry.day}{expiry:%b%y}".upper()
    return f"{coin}{'_USDC' if linear else ''}-{name}-{text}-{'C' if is_call else 'P'}"
