"""Resources and obligations outside the margin pools: what can be drawn on, how fast, at what cost, and what falls due.

Everything here is a statement of the desk, read from the book and never guessed: a resource without a time to cash or
a credit line without a limit is an error, not a default.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from margincover.errors import InputError

# 168 hours of a week, Monday 00:00 UTC first.
HOURS_OF_WEEK = 168


class ResourceKind(StrEnum):
    """What a reserve is; decides its tier of the ladder, never its amount."""

    BANK = "bank"
    STABLE = "stable"
    COIN = "coin"
    FUND = "fund"
    CUSTODY = "custody"
    VENUE = "venue"


@dataclass(frozen=True, slots=True, kw_only=True)
class HaircutStep:
    """Haircut of the part of an amount above ``floor_native`` and up to the next step; fraction from 0 to 1."""

    floor_native: float
    haircut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """When a place pays out: ``is_open`` [168 hours of the week from Monday 00:00 UTC] and dates that are closed."""

    is_open: tuple[bool, ...]
    closed_dates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.is_open) != HOURS_OF_WEEK or not any(self.is_open):
            raise InputError(
                f"{sum(self.is_open)} open hours of {len(self.is_open)}",
                field="hours",
                allowed="168 hours of a week with at least one open",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Cash, coins or fund units outside the margin pools that may be sent when needed.

    Parameters
    ----------
    id : str
        Name of the place, unique in the book.
    asset : str
    amount_native : float
        Units of the asset, >= 0.
    time_to_cash_p50_s, time_to_cash_p99_s : int
        Delay from the order until the money can be sent on, median and 99 % quantile.
    kind : ResourceKind
    custodian : str
        Who holds it: the name under which it is lost when that bank, custodian or venue is frozen.
    haircuts : tuple of HaircutStep
        By size; empty is no haircut. The first floor is 0, floors and haircuts rise.
    hours : OpeningHours or None
        None is always open. The delay runs only while the place is open.
    cost_fraction, cost_native : float
        Cost of turning it into cash: share of the amount, and a fixed part.
    carry_per_year_fraction : float
        What holding it costs a year over the use of the money elsewhere (0.05 is 5 %).
    capacity_per_hour_native : float or None
        Most that can be turned into cash in an hour; None is unbounded.
    daily_limit_native : float or None
        Most that can leave in 24 hours; None is unbounded.
    settlement_cycle_s : int or None
        Off-exchange custody: settled at multiples of this after midnight UTC.
    earmark : str
        ``"reserve"`` is kept for margin calls; ``"trading"`` is not drawn on unless asked.
    """

    id: str
    asset: str
    amount_native: float
    time_to_cash_p50_s: int
    time_to_cash_p99_s: int
    kind: ResourceKind = ResourceKind.STABLE
    custodian: str = ""
    haircuts: tuple[HaircutStep, ...] = ()
    hours: OpeningHours | None = None
    cost_fraction: float = 0.0
    cost_native: float = 0.0
    carry_per_year_fraction: float = 0.0
    capacity_per_hour_native: float | None = None
    daily_limit_native: float | None = None
    settlement_cycle_s: int | None = None
    earmark: str = "reserve"

    def __post_init__(self) -> None:
        field = f"reserves.{self.id}"
        _times(field, self.time_to_cash_p50_s, self.time_to_cash_p99_s, prefix="time_to_cash_")
        _at_least_zero(field, amount=self.amount_native, cost=self.cost_native)
        _fraction(f"{field}.cost_fraction", self.cost_fraction)
        _above_zero(field, capacity_per_hour=self.capacity_per_hour_native, daily_limit=self.daily_limit_native)
        if self.settlement_cycle_s is not None and self.settlement_cycle_s <= 0:
            raise InputError(f"was {self.settlement_cycle_s}", field=f"{field}.settlement_cycle", allowed="> 0 s")
        if self.earmark not in ("reserve", "trading"):
            raise InputError(f"was '{self.earmark}'", field=f"{field}.earmark", allowed="reserve or trading")
        _haircut_steps(field, self.haircuts)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLine:
    """Money that may be drawn.

    ``is_committed`` says whether the lender is bound; an uncommitted line does not count in stress. ``until`` is the
    end of the line, None only for a line without end. ``fee_fraction`` is paid on a draw, ``minimum_draw_native`` its
    least size.
    """

    id: str
    asset: str
    limit_native: float
    drawn_native: float
    annual_rate_fraction: float
    time_to_cash_s: int
    time_to_cash_p99_s: int | None = None
    is_committed: bool = True
    until: datetime | None = None
    fee_fraction: float = 0.0
    minimum_draw_native: float = 0.0
    lender: str = ""

    def __post_init__(self) -> None:
        field = f"credit_lines.{self.id}"
        _at_least_zero(field, limit=self.limit_native, drawn=self.drawn_native, minimum_draw=self.minimum_draw_native)
        _fraction(f"{field}.fee_fraction", self.fee_fraction)
        _times(field, self.time_to_cash_s, self.slowest_s, prefix="time_to_cash_")
        if self.drawn_native > self.limit_native:
            raise InputError(
                f"was {self.drawn_native:g}", field=f"{field}.drawn", allowed=f"at most the limit {self.limit_native:g}"
            )

    @property
    def slowest_s(self) -> int:
        """Delay that is not exceeded in 99 of 100 draws; the stated delay where only one is stated."""
        return self.time_to_cash_s if self.time_to_cash_p99_s is None else self.time_to_cash_p99_s

    @property
    def undrawn_native(self) -> float:
        """What may still be drawn."""
        return self.limit_native - self.drawn_native


@dataclass(frozen=True, slots=True, kw_only=True)
class Collateral:
    """Collateral of a loan: ``liquidation_threshold`` is the part of its value that counts against the debt."""

    asset: str
    amount_native: float
    liquidation_threshold: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """Borrowed money with collateral: an over-the-counter loan or a position in a lending protocol.

    Parameters
    ----------
    id, lender : str
    asset : str
        What is owed.
    amount_native : float
        Principal and interest due so far, > 0.
    annual_rate_fraction : float
    collateral : tuple of Collateral
    call_ltv, liquidation_ltv : float or None
        Loan to value at which the lender calls for more, and at which he liquidates. A protocol liquidates by the
        thresholds of its collateral instead: ``liquidation_ltv`` is None, and the health factor decides.
    cure_period_s : int
        Time from a call to the liquidation when nothing is paid; 0 for a protocol.
    liquidation_penalty_fraction : float
    due_at : datetime or None
        Maturity; None is open-ended.
    """

    id: str
    lender: str
    asset: str
    amount_native: float
    annual_rate_fraction: float
    collateral: tuple[Collateral, ...]
    call_ltv: float | None = None
    liquidation_ltv: float | None = None
    cure_period_s: int = 0
    liquidation_penalty_fraction: float = 0.0
    due_at: datetime | None = None

    def __post_init__(self) -> None:
        field = f"loans.{self.id}"
        if not (math.isfinite(self.amount_native) and self.amount_native > 0.0):
            raise InputError(f"was {self.amount_native}", field=f"{field}.amount", allowed="> 0")
        _fraction(f"{field}.liquidation_penalty", self.liquidation_penalty_fraction)
        for piece in self.collateral:
            _at_least_zero(f"{field}.collateral.{piece.asset}", amount=piece.amount_native)
            _fraction(f"{field}.collateral.{piece.asset}.liquidation_threshold", piece.liquidation_threshold)
        for name, ltv in (("call_ltv", self.call_ltv), ("liquidation_ltv", self.liquidation_ltv)):
            if ltv is not None and not 0.0 < ltv <= 1.0:
                raise InputError(f"was {ltv}", field=f"{field}.{name}", allowed="a fraction above 0, at most 1")
        if self.call_ltv is not None and self.liquidation_ltv is not None and self.call_ltv > self.liquidation_ltv:
            raise InputError(
                f"was {self.call_ltv:g}", field=f"{field}.call_ltv", allowed=f"at most {self.liquidation_ltv:g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Obligation:
    """Money that falls due: ``amount_native`` > 0 of ``asset`` to ``payee`` at ``due_at``."""

    id: str
    asset: str
    amount_native: float
    due_at: datetime
    payee: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount_native) and self.amount_native > 0.0):
            raise InputError(f"was {self.amount_native}", field=f"obligations.{self.id}.amount", allowed="> 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferTime:
    """One way for one asset from one place to another.

    ``p50_s`` and ``p99_s`` run from the order until the money counts at the destination: network, confirmations and
    the venue's own processing together. ``daily_limit_native`` None is unbounded. ``outage_probability`` is the chance
    that the way is shut when it is needed; ``is_suspended`` says that it is shut now.
    """

    origin: str
    destination: str
    asset: str
    p50_s: int
    p99_s: int
    fee_native: float
    network: str = ""
    fee_fraction: float = 0.0
    daily_limit_native: float | None = None
    minimum_native: float = 0.0
    outage_probability: float = 0.0
    is_suspended: bool = False

    def __post_init__(self) -> None:
        field = f"transfer_times.{self.origin} -> {self.destination}.{self.asset}"
        _times(field, self.p50_s, self.p99_s)
        _at_least_zero(field, fee=self.fee_native, minimum=self.minimum_native)
        _above_zero(field, daily_limit=self.daily_limit_native)
        _fraction(f"{field}.fee_fraction", self.fee_fraction)
        _fraction(f"{field}.outage_probability", self.outage_probability)
        if self.origin == self.destination:
            raise InputError(
                f"was '{self.destination}', the origin", field=f"{field}.destination", allowed="another place"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferInTransit:
    """Money already on its way: it counts once, and only from ``arrives_p99_at`` on in a stressed view."""

    id: str
    destination: str
    asset: str
    amount_native: float
    arrives_p50_at: datetime
    arrives_p99_at: datetime

    def __post_init__(self) -> None:
        _at_least_zero(f"in_transit.{self.id}", amount=self.amount_native)
        if self.arrives_p99_at < self.arrives_p50_at:
            raise InputError(
                f"was {self.arrives_p99_at.isoformat()}",
                field=f"in_transit.{self.id}.arrives_p99_at",
                allowed="not before arrives_p50_at",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleMarket:
    """How much of an asset can be sold: one-day volume in US dollars, daily volatility, depth within 1 %.

    Sales beyond ``depth_usd`` move the price by the square-root law with ``impact_coefficient`` (about 1), times
    ``stress_multiple`` in stress.
    """

    asset: str
    daily_volume_usd: float
    daily_volatility: float
    depth_usd: float = 0.0
    impact_coefficient: float = 1.0
    stress_multiple: float = 3.0

    def __post_init__(self) -> None:
        field = f"sale_markets.{self.asset}"
        _above_zero(field, daily_volume=self.daily_volume_usd, daily_volatility=self.daily_volatility)
        _at_least_zero(field, depth=self.depth_usd, impact_coefficient=self.impact_coefficient)
        if not self.stress_multiple >= 1.0:
            raise InputError(f"was {self.stress_multiple}", field=f"{field}.stress_multiple", allowed=">= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferPolicy:
    """Capital kept above maintenance on purpose in one account, as multiples of its maintenance margin.

    Below ``search`` money is looked for, to come back to ``initial``; above ``release`` it may leave. Levels rise:
    1 <= search < initial <= release.
    """

    account: str
    search: float
    initial: float
    release: float

    def __post_init__(self) -> None:
        if not 1.0 <= self.search < self.initial <= self.release:
            raise InputError(
                f"were {self.search:g}, {self.initial:g}, {self.release:g}",
                field=f"buffers.{self.account}",
                allowed="1 <= search < initial <= release, as multiples of maintenance",
            )


def _times(field: str, p50_s: int, p99_s: int, *, prefix: str = "") -> None:
    if p50_s < 0:
        raise InputError(f"was {p50_s} s", field=f"{field}.{prefix}p50", allowed=">= 0")
    if p99_s < p50_s:
        raise InputError("was below the median", field=f"{field}.{prefix}p99", allowed=f"at least {prefix}p50")


def _at_least_zero(field: str, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0.0):
            raise InputError(f"was {value}", field=f"{field}.{name}", allowed="a finite number >= 0")


def _above_zero(field: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value > 0.0):
            raise InputError(f"was {value}", field=f"{field}.{name}", allowed="a finite number > 0")


def _fraction(field: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise InputError(f"was {value}", field=field, allowed="a fraction from 0 to 1 (0.05 is 5 %)")


def _haircut_steps(field: str, steps: tuple[HaircutStep, ...]) -> None:
    for step in steps:
        _fraction(f"{field}.haircuts", step.haircut)
    floors = [step.floor_native for step in steps]
    if floors and (floors[0] != 0.0 or floors != sorted(set(floors))):
        raise InputError(f"floors were {floors}", field=f"{field}.haircuts", allowed="floors that rise from 0")
    haircuts = [step.haircut for step in steps]
    if haircuts != sorted(haircuts):
        raise InputError(f"were {haircuts}", field=f"{field}.haircuts", allowed="haircuts that do not fall with size")
