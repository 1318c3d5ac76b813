"""Risk measures of a book: VaR and ES of profit and loss, liquidity at risk, and their contributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from margincover.model.provenance import Provenance
from margincover.model.results import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPair:
    """VaR and ES, losses positive, USD."""

    var: Estimate
    es: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRow:
    """Risk of one pool, account, venue or the book.

    ``at_horizon`` is of the loss at the horizon, ``on_path`` of the largest loss at any time up to it; the stressed
    pairs are the same on the stressed paths.
    """

    scope: str  # "book", "venue", "account" or "pool"
    id: str
    value_usd: float
    mean_pnl_usd: float
    at_horizon: RiskPair
    on_path: RiskPair
    stressed_at_horizon: RiskPair
    stressed_on_path: RiskPair


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityAtRisk:
    """Cash that calls take over the horizon, USD.

    Parameters
    ----------
    gross : RiskPair
        Of the sum over venues of each venue's largest cumulative call: gains on one venue do not pay calls on another,
        and cash sent to a venue stays there.
    net : RiskPair
        Of the largest cumulative call of all venues together, as if cash moved between them at once.
    cross_exchange : Estimate
        Quantile of gross less quantile of net: what it costs that cash does not move.
    gross_at_horizon, net_at_horizon : RiskPair
        The same with the calls of the horizon alone instead of the largest on the way.
    venues : mapping venue -> RiskPair
        Each venue by itself.
    venue_parts, kind_parts : mapping name -> float
        Parts of the ES of gross, by venue, and by ``variation_margin_and_funding`` and ``maintenance_margin``; each
        mapping sums to it.
    """

    gross: RiskPair
    net: RiskPair
    cross_exchange: Estimate
    gross_at_horizon: RiskPair
    net_at_horizon: RiskPair
    venues: Mapping[str, RiskPair]
    venue_parts: Mapping[str, float]
    kind_parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskParts:
    """Contributions to VaR and ES of the book at the horizon, USD; each mapping sums to its figure."""

    by: str  # "pool", "venue" or "factor"
    var: Mapping[str, float]
    es: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskResult:
    """Risk measures of a book; rows are the book, then venues, accounts and pools.

    ``batches`` is the number of batches behind every standard error; ``stress`` says what the stressed paths are.
    """

    rows: tuple[RiskRow, ...]
    parts: tuple[RiskParts, ...]
    liquidity: LiquidityAtRisk
    stressed_liquidity: LiquidityAtRisk
    tolerance: float
    horizon_s: int
    n_paths: int
    batches: int
    quantile_rule: str
    stress: str
    provenance: Provenance
