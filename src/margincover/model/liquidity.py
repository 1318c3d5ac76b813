"""Results of liquidity: what can be used by when, what is needed by when, how long it lasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.provenance import Provenance
from margincover.model.results import Estimate
from margincover.model.risk import LiquidityAtRisk
from margincover.numeric.arrays import Vector

Array = NDArray[np.float64]
IDLE_MARGIN = "idle margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplySource:
    """One thing that can be drawn on, in US dollars at the prices of ``as_of``.

    ``gross_usd`` = haircut + impact + cost + usable, for the whole amount. ``tier`` is 1, 2 (own custody, same
    money), 3 (coins) or 4 (what counts in no liquid stock). ``factor`` is the coin whose price moves its value, ``""``
    for none. ``ready_p50_s`` and ``ready_p99_s`` are the delays until it is cash, before any way.
    """

    id: str
    kind: str
    tier: int
    custodian: str
    asset: str
    factor: str
    gross_usd: float
    haircut_usd: float
    impact_usd: float
    cost_usd: float
    usable_usd: float
    ready_p50_s: float
    ready_p99_s: float

    @property
    def is_idle_margin(self) -> bool:
        """Whether it is margin of an account: it backs that account first and stands on no rung of the ladder."""
        return self.kind == IDLE_MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyTable:
    """What every source can have brought by each bucket, cumulative.

    Parameters
    ----------
    sources : tuple of SupplySource [source]
    accounts : tuple of str [account]
        Places of need: account ids, and ``"obligations"`` and loans.
    buckets_s : tuple of int [bucket]
        Seconds after ``as_of``, rising.
    total_usd : array [bucket, source]
        Usable wherever it is needed, cumulative; never falls with time.
    way_usd : array [bucket, source, account]
        What can have reached the account, at most ``total_usd``; 0 where there is no way.
    notes : tuple of str
        Ways and sources that were left out, and why.
    """

    sources: tuple[SupplySource, ...]
    accounts: tuple[str, ...]
    buckets_s: tuple[int, ...]
    total_usd: Array
    way_usd: Array
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.buckets_s), len(self.sources), len(self.accounts))
        if self.total_usd.shape != shape[:2] or self.way_usd.shape != shape:
            raise InputError(
                f"was {self.total_usd.shape} and {self.way_usd.shape}", field="supply", allowed=f"{shape[:2]}, {shape}"
            )
        if (np.diff(self.total_usd, axis=0) < -1e-9).any() or (np.diff(self.way_usd, axis=0) < -1e-9).any():
            raise InputError("fell with time", field="supply", allowed="cumulative amounts")

    def at(self, times_s: Sequence[int]) -> SupplyTable:
        """Return the rows of some of its times, in the order given."""
        rows = [self.buckets_s.index(time) for time in times_s]
        return replace(self, buckets_s=tuple(times_s), total_usd=self.total_usd[rows], way_usd=self.way_usd[rows])

    @property
    def usable_usd(self) -> Vector:
        """Usable supply by time in US dollars, [bucket]; margin of accounts backs them and is left out."""
        counted = [not source.is_idle_margin for source in self.sources]
        return np.asarray(self.total_usd[:, counted].sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRow:
    """One bucket of the ladder, in US dollars.

    ``supply`` is usable by the end of the bucket at today's prices, margin of accounts left out; ``opening`` what was
    usable at its start. ``need_gross`` is the stated quantile of what all accounts and debts together need by the end
    beyond their own equity, gains on one venue not paying calls on another; ``need_net`` lets them pay (largest
    shortfalls added with their sign: not below the need of one common pool). A need may come at the first minute of a
    bucket, so ``gap`` = need_gross - opening. ``shortfall`` is the probability that some need by then cannot be met in
    time with the best placement.
    """

    until_s: int
    opening_usd: float
    supply_usd: float
    need_gross_usd: float
    need_net_usd: float
    need_gross_standard_error_usd: float
    gap_usd: float
    shortfall: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountNeed:
    """One place of need over the horizon.

    ``need`` is the stated quantile of what it needs beyond its own equity, ``reachable`` what can have reached it by
    the horizon when nobody else calls, at today's prices. ``p_need`` is the probability of a need, ``p_unmet`` that of
    a need that what can reach it in time does not meet, nobody else calling.
    """

    id: str
    need_usd: float
    reachable_usd: float
    p_need: Estimate
    p_unmet: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalHorizon:
    """Longest bucket until which all needs can be met at the stated tolerance.

    ``at_least_s`` is the last bucket at which the probability of a shortfall is within the tolerance (0 when it never
    is); ``low_s`` and ``high_s`` the same with the upper and the lower end of the 95 % interval of that probability.
    ``is_censored``: still within the tolerance at the last bucket, so the horizon is longer than what was followed.
    """

    tolerance: float
    at_least_s: int
    low_s: int
    high_s: int
    is_censored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidStock:
    """Liquid stock over stressed outflow, after the caps of the coverage ratio; ``ratio`` None: nothing flows out."""

    level_1_usd: float
    level_2a_usd: float
    level_2b_usd: float
    stock_usd: float
    outflow_usd: float
    ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concentration:
    """Where money stands: shares of ``total_usd`` that sum to 1; ``herfindahl`` is the sum of their squares.

    ``by`` is ``custodian`` or ``asset`` (of the supply usable by the horizon), ``venue`` (of the equity in accounts) or
    ``stable coin`` (of the stable coins in accounts and reserves together).
    """

    by: str
    total_usd: float
    shares: Mapping[str, float]
    herfindahl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtRow:
    """One due time, in US dollars: ``ratio`` = usable / cumulative due.

    ``due`` falls due under ``label``, ``cumulative_due`` with all that came before. ``usable`` can have been used by
    ``due_s``; for margin obligations, which may come at any time of their bucket, by its start.
    """

    due_s: int
    label: str
    due_usd: float
    cumulative_due_usd: float
    usable_usd: float
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanRow:
    """One loan now and along the paths.

    ``ltv`` = debt / collateral; ``health_factor`` = collateral weighted at the liquidation level / debt, liquidation
    below 1; both None without collateral. ``fall_to_call`` and ``fall_to_liquidation`` are common falls of the
    collateral's coins as fractions (of all collateral against the debt where a coin is owed), None where no fall gets
    there. ``p_call`` and ``p_liquidation`` are the probabilities that prices reach the level within the horizon when
    nobody pays.
    """

    id: str
    lender: str
    debt_usd: float
    collateral_usd: float
    ltv: float | None
    health_factor: float | None
    fall_to_call: float | None
    fall_to_liquidation: float | None
    p_call: Estimate
    p_liquidation: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityResult:
    """Answer of ``margincover liquidity``."""

    tolerance: float
    horizon_s: int
    n_paths: int
    supply: SupplyTable
    ladder: tuple[LadderRow, ...]
    needs: tuple[AccountNeed, ...]
    survival: SurvivalHorizon
    stock: LiquidStock
    concentrations: tuple[Concentration, ...]
    debts: tuple[DebtRow, ...]
    debt_coverage_ratio: float | None
    loans: tuple[LoanRow, ...]
    calls: LiquidityAtRisk | None
    provenance: Provenance
