"""Populations for the cascade tests."""

from __future__ import annotations

import numpy as np

from margincover.clearing.cascade import Stage, stage_of
from margincover.clearing.population import Market, Population, TierTable

BTC = Market(coin="BTC", venue="main", mark=100.0)


def isolated(rows, *, maintenance=0.01, market=BTC):
    """Return a population of isolated accounts from (quantity, entry, collateral) rows."""
    quantity, entry, collateral = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    n = quantity.size
    return Population(
        markets=(market,), start=np.arange(n + 1), market=np.zeros(n, np.int32), quantity=quantity, entry=entry,
        table=np.zeros(n, np.int32), collateral_usd=collateral, tables=(TierTable.flat(maintenance),), source="test",
    )  # fmt: skip


def random_isolated(rng, n):
    """Return accounts of both sides, of widely spread size and leverage, none under maintenance."""
    side = rng.choice([-1.0, 1.0], n)
    quantity = side * (1.0 + rng.pareto(1.5, n))
    entry = 100.0 * np.exp(rng.normal(0.0, 0.05, n))
    equity = np.abs(quantity) * 100.0 / np.exp(rng.normal(1.5, 0.8, n)).clip(1.0, 60.0)
    collateral = equity - quantity * (100.0 - entry)
    population = isolated(list(zip(quantity, entry, collateral, strict=True)))
    tiers = TierTable.progressive(floors_usd=[0.0, 200.0, 1_000.0], fractions=[0.005, 0.01, 0.03])
    return Population(**{**fields(population), "tables": (tiers,)})


def random_cross(rng, n, *, coins=("BTC", "ETH", "SOL"), venues=("deep", "thin")):
    """Return cross-margined accounts with one to five positions each at one venue, long and short mixed."""
    markets = tuple(Market(coin=c, venue=v, mark=100.0 * (k + 1)) for k, c in enumerate(coins) for v in venues)
    count = rng.integers(1, 6, n)
    start = np.concatenate([[0], np.cumsum(count)])
    place = np.repeat(rng.integers(0, len(venues), n), count)
    market = (rng.integers(0, len(coins), start[-1]) * len(venues) + place).astype(np.int32)
    marks = np.array([each.mark for each in markets])[market]
    notional = 100.0 * (1.0 + rng.pareto(1.5, start[-1]))
    quantity = rng.choice([-1.0, 1.0], start[-1], p=[0.3, 0.7]) * notional / marks
    entry = marks * np.exp(rng.normal(0.0, 0.05, start[-1]))
    gross = np.add.reduceat(notional, start[:-1])
    equity = gross / np.exp(rng.normal(1.5, 0.8, n)).clip(1.0, 25.0)
    collateral = equity - np.add.reduceat(quantity * (marks - entry), start[:-1])
    tiers = tuple(TierTable.progressive(floors_usd=[0.0, 300.0], fractions=[f, 2 * f]) for f in (0.005, 0.01, 0.02))
    return Population(
        markets=markets, start=start, market=market, quantity=quantity, entry=entry,
        table=(market // len(venues)).astype(np.int32), collateral_usd=collateral, tables=tiers, source="test",
    )  # fmt: skip


def fields(population):
    """Return the fields of a population by name."""
    return {name: getattr(population, name) for name in Population.__dataclass_fields__}


def gross_usd(population):
    """Return the notional of all positions."""
    return float((np.abs(population.quantity) * population.mark_of_position()).sum())


def stage(population, path, *, depth_fraction=0.02, fund_fraction=0.0005, bound=0.5) -> Stage:
    """Return a stage on which every coin follows ``path`` times its mark; depth and fund as parts of all notional."""
    gross = gross_usd(population)
    return stage_of(
        population,
        {market.coin: market.mark * np.asarray(path, dtype=float) for market in population.markets},
        depth_usd={market.name: depth_fraction * gross for market in population.markets},
        bound_fraction=bound,
        fund_usd={market.venue: fund_fraction * gross for market in population.markets},
    )
