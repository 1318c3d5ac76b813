"""A population made to match stated open interest, leverage and size distributions; seeded, so always the same.

Both sides of every market hold the same quantity. An account's equity is its notional over its leverage; the entry is
spread around the mark and moves only the split of that equity into collateral and open profit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.population import Market, Population, TierTable
from margincover.errors import InputError
from margincover.numeric.rng import stream

_LEAST_EQUITY = 1.05  # times maintenance: nobody starts in liquidation


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketSpec:
    """Open interest of one market: ``open_interest_usd`` is the value of one side."""

    market: Market
    open_interest_usd: float
    tiers: TierTable

    def __post_init__(self) -> None:
        """Check the figure."""
        if not (np.isfinite(self.open_interest_usd) and self.open_interest_usd > 0.0):
            raise InputError(
                f"was {self.open_interest_usd}", field=f"open interest of {self.market.name}", allowed="USD above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TraderSpec:
    """Distributions over traders.

    Parameters
    ----------
    n_accounts : int
        Approximately: positions are dealt to the markets by open interest, then joined into cross accounts.
    median_leverage_long, median_leverage_short, leverage_log_sd, max_leverage : float
        Effective leverage (notional over equity) is lognormal around the median of its side, cut to 1 .. max.
    size_tail : float
        Tail exponent of the Pareto law of position notional, above 1.
    entry_log_sd : float
        Spread of entries around the mark.
    cross_fraction : float
        Part of the positions of each market that belong to accounts holding several coins of the same venue.
    """

    n_accounts: int
    median_leverage_long: float
    median_leverage_short: float
    leverage_log_sd: float
    max_leverage: float
    size_tail: float
    entry_log_sd: float
    cross_fraction: float

    def __post_init__(self) -> None:
        """Check the figures."""
        bounds = {
            "n_accounts": (2.0, 1e8), "median_leverage_long": (1.0, 1e3), "median_leverage_short": (1.0, 1e3),
            "leverage_log_sd": (0.0, 5.0), "max_leverage": (1.0, 1e3), "size_tail": (1.0 + 1e-9, 100.0),
            "entry_log_sd": (0.0, 2.0), "cross_fraction": (0.0, 1.0),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"was {value}", field=f"traders.{name}", allowed=f"{low:g} to {high:g}")


def synthesise(markets: Sequence[MarketSpec], traders: TraderSpec, *, seed: int, source: str) -> Population:
    """Return a population whose two sides net to zero in every market.

    Raises
    ------
    InputError
        If no market is given, or a market gets fewer than two positions.
    """
    if not markets:
        raise InputError("held no market", source=source, allowed="at least one [[market]]")
    total = sum(each.open_interest_usd for each in markets)
    parts = []
    for number, each in enumerate(markets):
        n = round(traders.n_accounts * each.open_interest_usd / total)
        if n < 2:
            raise InputError(
                f"{each.market.name} gets {n} of {traders.n_accounts} accounts", source=source,
                field="traders.n_accounts", allowed="enough for two in every market",
            )  # fmt: skip
        parts.append(_positions(number, each, traders, n, stream(seed, "population", number)))
    quantity, entry, equity, market, is_cross = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    account = _accounts(market, is_cross, quantity > 0.0, [each.market.venue for each in markets])
    return _grouped(markets, (quantity, entry, equity, market, account), source)


def _positions(
    number: int, spec: MarketSpec, traders: TraderSpec, n: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return quantity, entry, equity, market and whether cross of the positions of one market."""
    side = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    weight = (1.0 - rng.random(n)) ** (-1.0 / traders.size_tail)
    notional = np.zeros(n)
    for sign in (1.0, -1.0):
        own = side == sign
        notional[own] = weight[own] / weight[own].sum() * spec.open_interest_usd
    median = np.where(side > 0.0, traders.median_leverage_long, traders.median_leverage_short)
    leverage = np.clip(median * np.exp(traders.leverage_log_sd * rng.standard_normal(n)), 1.0, traders.max_leverage)
    lines = zip(spec.tiers.fraction, spec.tiers.deduction_usd, strict=True)
    maintenance = np.max([fraction * notional - deduction for fraction, deduction in lines], axis=0)
    equity = np.maximum(notional / leverage, _LEAST_EQUITY * maintenance)
    entry = spec.market.mark * np.exp(traders.entry_log_sd * rng.standard_normal(n))
    is_cross = (rng.random(n) < traders.cross_fraction).astype(np.float64)
    return side * notional / spec.market.mark, entry, equity, np.full(n, float(number)), is_cross


def _accounts(market: Floats, is_cross: Floats, is_long: np.ndarray, venues: Sequence[str]) -> np.ndarray:
    """Return the account of each position: the j-th cross positions of a venue's coins, of one side, share one."""
    n_rows = market.size
    code = np.arange(n_rows, dtype=np.int64)
    venue = np.array([list(dict.fromkeys(venues)).index(name) for name in venues])[market.astype(np.int64)]
    for place in range(int(venue.max()) + 1):
        for side in (True, False):
            pools = [
                np.flatnonzero((market == number) & (venue == place) & (is_cross == 1.0) & (is_long == side))
                for number in range(len(venues))
            ]
            longest = max(pools, key=len)
            for rows in pools:
                code[rows] = code[longest[: rows.size]]
    return code


def _grouped(markets: Sequence[MarketSpec], columns: tuple[np.ndarray, ...], source: str) -> Population:
    quantity, entry, equity, market, account = columns
    order = np.argsort(account, kind="stable")
    start = np.flatnonzero(np.concatenate([[True], np.diff(account[order]) != 0]))
    where = market[order].astype(np.int32)
    marks = np.array([each.market.mark for each in markets])[where]
    collateral = np.add.reduceat(equity[order] - quantity[order] * (marks - entry[order]), start)
    return Population(
        markets=tuple(each.market for each in markets),
        start=np.append(start, order.size).astype(np.int64),
        market=where,
        quantity=quantity[order],
        entry=entry[order],
        table=where,
        collateral_usd=collateral,
        tables=tuple(each.tiers for each in markets),
        source=source,
    )
