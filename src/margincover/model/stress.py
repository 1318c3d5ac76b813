"""Stress types: scenarios as joint paths or one shock, and what they did to each pool; reverse stress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.provenance import Provenance
from margincover.model.whatif import CellState
from margincover.numeric.arrays import Vector, frozen

HourFactor = NDArray[np.float64]  # [hour, factor]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMove:
    """Another price of an asset than the book's, at one venue or everywhere, from hour to hour after the start.

    Parameters
    ----------
    asset : str
    venue : str or None
        None means every venue.
    price_usd, ratio : float or None
        USD price, or multiple of the book's price; exactly one is given, > 0.
    from_hour, to_hour : int
        Hours after the start; ``to_hour`` is not included, None means to the end.
    source : str
    """

    asset: str
    venue: str | None
    price_usd: float | None = None
    ratio: float | None = None
    from_hour: int = 0
    to_hour: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        stated = [value for value in (self.price_usd, self.ratio) if value is not None]
        if len(stated) != 1 or not (np.isfinite(stated[0]) and stated[0] > 0.0):
            raise InputError(
                f"was price {self.price_usd}, ratio {self.ratio}", field=self.asset, allowed="one of them, a number > 0"
            )

    def is_active(self, hour: int) -> bool:
        """Return whether the price holds in an hour after the start."""
        return self.from_hour <= hour and (self.to_hour is None or hour < self.to_hour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Hours in which money could not leave or reach a venue; ``to_hour`` None means that no end is known.

    ``assets`` names the only assets that were halted; empty means all.
    """

    venue: str
    from_hour: float
    to_hour: float | None
    what: str
    assets: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueMove:
    """Ratio of a coin's marks at one venue to their level in the book, instead of the coin's common ratio."""

    factor: str
    venue: str
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StressScenario:
    """A joint path of coins hour by hour, or one state (a shock).

    Parameters
    ----------
    name, title : str
    kind : str
        ``"episode"`` or ``"shock"``.
    start : datetime or None
        When an episode began.
    factors : tuple of str [factor]
    low, high, close : array [hour, factor]
        Price over price at the start, > 0; ``low`` and ``high`` include both ends of the hour. A shock has one row.
    elapsed_hours : Vector [hour]
        Time since the start at the end of each row; 0 for a shock that is not held.
    funding : mapping factor -> Vector [hour]
        Fraction of notional that longs pay in the hour (< 0: shorts pay).
    common_funding : Vector [hour] or None
        The same for coins not in ``funding``; None where the scenario does not state it.
    volatility_ratio : Vector [hour]
        Multiple of every implied volatility at the end of each row.
    volatility_source : str
        Empty where implied volatility is not known: the ratio is then 1 throughout.
    own_coins : tuple of str
        Coins that never stand in for another.
    """

    name: str
    title: str
    kind: str
    start: datetime | None
    factors: tuple[str, ...]
    low: HourFactor
    high: HourFactor
    close: HourFactor
    elapsed_hours: Vector
    volatility_ratio: Vector
    funding: Mapping[str, Vector] = field(default_factory=dict)
    common_funding: Vector | None = None
    volatility_source: str = ""
    venue_moves: tuple[VenueMove, ...] = ()
    asset_moves: tuple[AssetMove, ...] = ()
    halts: tuple[Halt, ...] = ()
    own_coins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    basis: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.elapsed_hours), len(self.factors))
        for name in ("low", "high", "close"):
            table = frozen(getattr(self, name), name=f"{self.name}.{name}", ndim=2)
            if table.shape != shape or not (table > 0.0).all():
                raise InputError(f"{name} had shape {table.shape}", field=self.name, allowed=f"{shape}, ratios above 0")
            object.__setattr__(self, name, table)
        if not ((self.low <= self.close).all() and (self.close <= self.high).all()):
            raise InputError("a close lay outside low and high", field=self.name, allowed="low <= close <= high")
        ratio = frozen(self.volatility_ratio, name=f"{self.name}.volatility", ndim=1)
        if ratio.shape != shape[:1] or not (ratio > 0.0).all():
            raise InputError("volatility ratios did not fit", field=self.name, allowed="one ratio > 0 an hour")
        object.__setattr__(self, "volatility_ratio", ratio)

    @property
    def n_hours(self) -> int:
        """Number of rows: hours of an episode, 1 for a shock."""
        return int(self.elapsed_hours.size)

    @property
    def is_path(self) -> bool:
        """Whether the rows are hours of a path, not one state."""
        return self.kind == "episode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """A coin that the scenario does not hold, and what stood in for it in one pool."""

    pool_id: str
    factor: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStress:
    """One pool in one scenario.

    Money is in the pool's ``unit`` (``_native``) and in USD at the prices of the state. Signs: loss, cash needed > 0.

    Parameters
    ----------
    state : CellState
        Worst state seen along the path.
    headroom_start_usd : float
        Equity minus maintenance before the scenario.
    equity_native, maintenance_native : float
        In the state with the largest shortfall (maintenance minus equity).
    coverage_ratio : float or None
        Of that state; None where nothing is required.
    shortfall_native, shortfall_usd : float
        Maintenance minus equity there; < 0 is what was left to spare.
    loss_usd : float
        Equity at the start minus equity there.
    worst_hour, liquidated_hour, called_hour : int or None
        Hours after the start by whose end it happened; 0 for a shock; None where it did not.
    cash_hour : float or None
        Hours after which money can first reach the venue, where a halt stands in the way of the first need; inf never.
    path_headroom_usd : Vector [hour]
        Lowest headroom (equity minus maintenance) of each hour, in USD at the prices of that state.
    """

    pool_id: str
    account_id: str
    venue: str
    unit: str
    state: CellState
    headroom_start_usd: float
    equity_native: float
    maintenance_native: float
    coverage_ratio: float | None
    shortfall_native: float
    shortfall_usd: float
    loss_usd: float
    worst_hour: int
    liquidated_hour: int | None
    called_hour: int | None
    cash_hour: float | None
    path_headroom_usd: Vector

    @property
    def cash_native(self) -> float:
        """Smallest amount that, placed before the scenario, would have kept equity at maintenance throughout."""
        return max(self.shortfall_native, 0.0)

    @property
    def cash_usd(self) -> float:
        """``cash_native`` in USD at the prices of the worst state."""
        return max(self.shortfall_usd, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """One scenario on all pools, worst pool first; ``fills`` says which coins were stood in for."""

    scenario: StressScenario
    pools: tuple[PoolStress, ...]
    fills: tuple[Fill, ...]
    notes: tuple[str, ...]

    @property
    def cash_usd(self) -> float:
        """Cash needed, summed over pools: what one pool has to spare does not help another."""
        return sum(pool.cash_usd for pool in self.pools)

    @property
    def blocked_usd(self) -> float:
        """Part of the cash that a halt would have kept from arriving when it was first needed."""
        return sum(pool.cash_usd for pool in self.pools if pool.cash_hour is not None)

    @property
    def loss_usd(self) -> float:
        """Sum of each pool's loss in its own worst state."""
        return sum(pool.loss_usd for pool in self.pools)

    @property
    def n_liquidated(self) -> int:
        """Number of pools that were liquidated."""
        return sum(pool.state is CellState.LIQUIDATED for pool in self.pools)

    @property
    def state(self) -> CellState:
        """Worst state of all pools."""
        return max((pool.state for pool in self.pools), default=CellState.FINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Analogue:
    """The stretch of a packaged episode most like a move: nearest by direction and size.

    ``cosine`` is that of the angle between the two moves and ``size_ratio`` the episode's size over the move's, both
    in units of standard deviations; ``factors`` are the coins compared.
    """

    episode: str
    title: str
    from_hour: int
    to_hour: int
    cosine: float
    size_ratio: float
    factors: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseStress:
    """The least extreme joint move that liquidates every account of a set.

    Parameters
    ----------
    accounts : tuple of str
    pools : tuple of str
        The pools whose liquidation the move brings, one an account; none where there is no such move.
    distance : float or None
        Mahalanobis distance of the move: standard deviations under the joint covariance over the horizon. None where no
        move within the search does it; 0 where the accounts are liquidatable now.
    moves : mapping factor -> fraction
        The move of each coin: -0.1 is 10 % lower.
    volatility_fraction : float or None
        Change of all implied volatilities, None where no pool of the set holds options.
    headroom_ratio : float
        Largest headroom over maintenance of the pools in ``pools`` after the move, by replay: <= 0.
    tail_normal, tail_student : float
        Chance of a move at least this far in any direction: chi-square tail, and the same for a Student-t law.
    half_space_student : float
        Chance of a move at least this far in this direction (Student-t): the usual first-order estimate.
    analogue : Analogue or None
    """

    accounts: tuple[str, ...]
    pools: tuple[str, ...]
    distance: float | None
    moves: Mapping[str, float]
    volatility_fraction: float | None
    headroom_ratio: float | None
    tail_normal: float | None
    tail_student: float | None
    half_space_student: float | None
    analogue: Analogue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StressResult:
    """Scenarios, worst first, and reverse stress, nearest first."""

    scenarios: tuple[ScenarioResult, ...]
    reverse: tuple[ReverseStress, ...]
    reverse_horizon_s: int
    reverse_notes: tuple[str, ...]
    provenance: Provenance
