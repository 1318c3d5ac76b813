"""Results of position sizing: the largest size that capital carries, by tolerance and horizon."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from margincover.model.provenance import Provenance
from margincover.model.results import Estimate, PoolStatus


class Bound(Enum):
    """What the search found."""

    FOUND = "found"
    NONE = "none"  # no size tried keeps the tolerance
    BEYOND = "beyond"  # the largest size tried still keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePoint:
    """Largest size at one tolerance and horizon.

    Parameters
    ----------
    tolerance : float
        Accepted probability that a pool of the account is liquidated within the horizon.
    horizon_s : int
    bound : Bound
        With NONE the sizes are 0, with BEYOND they are the largest tried: a lower bound.
    size : float
        Notional over capital: of the position in the symbol, or of the whole account. The largest tried that keeps the
        tolerance on the simulated paths.
    next_size : float
        Smallest size tried above it that does not; the true root of the sample lies between.
    standard_error, low, high : float
        Of the size, from the sampling of paths: 95 % interval.
    probability : Estimate
        Of liquidation at ``size``.
    """

    tolerance: float
    horizon_s: int
    bound: Bound
    size: float
    next_size: float
    standard_error: float
    low: float
    high: float
    probability: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeCurve:
    """Largest sizes of one side over tolerances and horizons, and what they mean in contracts.

    Parameters
    ----------
    side : str
        ``long``, ``short`` (of a symbol) or ``scale`` (of the account).
    present : float
        Size now, as notional over capital; 0 without a position.
    present_probability : Estimate
        Of liquidation within the stated horizon at the present size.
    per_size : float
        Contracts of the symbol (or multiples of the account) per unit of size.
    points : tuple of SizePoint
        By horizon, then tolerance.
    stated : SizePoint
        The point of the stated tolerance and horizon.
    contracts : float
        Largest signed contracts at the stated point, rounded towards 0 to whole lots where the lot is known; for the
        account the largest multiple of its positions.
    pools : tuple of PoolStatus
        The measured pools with that size.
    """

    side: str
    present: float
    present_probability: Estimate
    per_size: float
    points: tuple[SizePoint, ...]
    stated: SizePoint
    contracts: float
    pools: tuple[PoolStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingResult:
    """Largest sizes of one account.

    ``symbol`` is None where the whole account is scaled; ``capital_usd`` is the equity after haircut that backs the
    measured pools.
    """

    account_id: str
    symbol: str | None
    capital_usd: float
    is_capital_stated: bool
    present_contracts: float
    tolerance: float
    horizon_s: int
    n_paths: int
    curves: tuple[SizeCurve, ...]
    notes: tuple[str, ...]
    provenance: Provenance
