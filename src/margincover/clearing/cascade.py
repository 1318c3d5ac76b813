"""A cascade: an outside move of the index, the liquidations it causes, and the prices and debts that those cause.

Each step sets the index, then rounds follow: accounts under maintenance close, their net order walks the book of its
market, the local price moves, and the next round looks again, until no account is left or the bound on rounds is hit.
With feedback in the next step there is one round a step.
Between steps arbitrage closes part of the gap between venues, and part of the gap to the index.

Within a round orders of both sides net before they meet the book, and all trade at the mean price of the walk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from margincover.clearing.cascade_arrays import Floats, Record, RuleValues
from margincover.clearing.checks import amounts
from margincover.clearing.impact import Impact
from margincover.clearing.population import Market, Population
from margincover.errors import InputError

CENT = 0.01


class Remainder(Enum):
    """Where the collateral goes that a closed account has left."""

    RETURNED = "returned"
    TO_FUND = "to-fund"  # takeover at the bankruptcy price: the venue keeps the difference


class Feedback(Enum):
    """When the price that liquidations made is looked at."""

    IMMEDIATE = "immediate"  # rounds follow within the step until nobody is left
    NEXT_STEP = "next-step"  # one round a step: the book recovers between two looks of the venue


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRule:
    """Partial liquidation: slices until maintenance is restored.

    ``least_fraction`` of a position is closed at a time, above 0 so that slices come to an end; a rest below
    ``whole_below_usd`` is closed whole.
    """

    least_fraction: float = 0.2
    whole_below_usd: float = 1_000.0

    def __post_init__(self) -> None:
        """Check the figures."""
        if not 0.0 < self.least_fraction <= 1.0:
            raise InputError(f"was {self.least_fraction}", field="least_fraction", allowed="above 0, to 1")
        amounts(self.whole_below_usd, name="whole_below_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeSettings:
    """Rules of a run.

    Parameters
    ----------
    impact : Impact
    step_s : float
        Length of a step.
    arbitrage_half_life_s, recovery_half_life_s : float or None
        Time in which half of the gap between a coin's venues, and between venue and index, closes; None for never.
    fee_fraction, fee_to_fund_fraction : float
        Liquidation fee as part of the closed notional, and the part of the fee that the fund receives.
    slices : SliceRule or None
        None closes an account whole at once.
    remainder : Remainder
    feedback : Feedback
    max_rounds : int
        Bound on rounds within a step of immediate feedback.
    """

    impact: Impact = field(default_factory=Impact)
    step_s: float = 60.0
    arbitrage_half_life_s: float | None = 120.0
    recovery_half_life_s: float | None = 300.0
    fee_fraction: float = 0.005
    fee_to_fund_fraction: float = 1.0
    slices: SliceRule | None = None
    remainder: Remainder = Remainder.RETURNED
    feedback: Feedback = Feedback.IMMEDIATE
    max_rounds: int = 200

    def __post_init__(self) -> None:
        """Check the figures."""
        for name in ("fee_fraction", "fee_to_fund_fraction"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"was {getattr(self, name)}", field=name, allowed="0 to 1")
        if self.max_rounds < 1:
            raise InputError(f"was {self.max_rounds}", field="max_rounds", allowed="1 or more")
        if not (self.step_s > 0.0 and math.isfinite(self.step_s)):
            raise InputError(f"was {self.step_s}", field="step_s", allowed="seconds above 0")
        for name in ("arbitrage_half_life_s", "recovery_half_life_s"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise InputError(f"was {value}", field=name, allowed="seconds above 0, or none for never")

    def values(self) -> RuleValues:
        """Return the settings as plain numbers for the kernels."""
        thinning, slices = self.impact.thinning_move_fraction, self.slices or SliceRule()
        return RuleValues(
            law=int(self.impact.law),
            thinning=math.inf if thinning is None else thinning,
            depth_floor=self.impact.depth_floor_fraction,
            arbitrage=_share(self.step_s, self.arbitrage_half_life_s),
            recovery=_share(self.step_s, self.recovery_half_life_s),
            fee=self.fee_fraction,
            fee_to_fund=self.fee_to_fund_fraction,
            is_partial=int(self.slices is not None),
            least_slice=slices.least_fraction,
            whole_below_usd=slices.whole_below_usd,
            is_forfeited=int(self.remainder is Remainder.TO_FUND),
            max_rounds=1 if self.feedback is Feedback.NEXT_STEP else self.max_rounds,
        )


def _share(step_s: float, half_life_s: float | None) -> float:
    return 0.0 if half_life_s is None else 1.0 - 0.5 ** (step_s / half_life_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a cascade plays: the index along time, the depth of each market and the fund of each venue.

    Parameters
    ----------
    index : array [step, coin]
        USD, in the order of ``coins``.
    coins, venues : sequence of str
    depth_usd : array [market]
        Notional that moves the price by 1 % before the event, above 0.
    bound_fraction : array [market]
        Largest distance of the local price from the index, above 0, below 1.
    fund_usd : array [venue]
    """

    coins: tuple[str, ...]
    venues: tuple[str, ...]
    index: Floats
    depth_usd: Floats
    bound_fraction: Floats
    fund_usd: Floats

    def __post_init__(self) -> None:
        """Check what a run relies on."""
        if self.index.ndim != 2 or self.index.shape[1] != len(self.coins) or not self.index.shape[0]:
            raise InputError(f"had shape {self.index.shape}", field="index", allowed="[step, coin], one step or more")
        if not (np.isfinite(self.index) & (self.index > 0.0)).all():
            raise InputError("held a price that is not above 0", field="index", allowed="finite prices above 0")
        if not (np.isfinite(self.depth_usd) & (self.depth_usd > 0.0)).all():
            raise InputError(
                f"was {self.depth_usd.tolist()}", field="depth",
                allowed="USD above 0 in every market: without depth nothing trades and no price can be given",
            )  # fmt: skip
        if not ((self.bound_fraction > 0.0) & (self.bound_fraction < 1.0)).all():
            raise InputError(f"was {self.bound_fraction.tolist()}", field="bound", allowed="above 0, below 1")
        amounts(self.fund_usd, name="fund_usd")


def stage_of(
    population: Population,
    index: Mapping[str, Floats],
    *,
    depth_usd: Mapping[str, float],
    bound_fraction: Mapping[str, float] | float,
    fund_usd: Mapping[str, float],
) -> Stage:
    """Return the stage of a population from figures by name.

    Parameters
    ----------
    index : mapping
        Array [step] by coin.
    depth_usd : mapping
        By market (``BTC@main``), or by coin for all its venues.
    bound_fraction : mapping or float
        Largest distance of a local price from the index, likewise; a number for all markets.
    fund_usd : mapping
        By venue; 0 where none is stated.

    Raises
    ------
    InputError
        If a coin has no index, a market no depth, or a name is not in the population.
    """
    coins = tuple(dict.fromkeys(market.coin for market in population.markets))
    venues = tuple(dict.fromkeys(market.venue for market in population.markets))
    names = {*coins, *(market.name for market in population.markets)}
    bounds = dict.fromkeys(coins, bound_fraction) if isinstance(bound_fraction, float) else bound_fraction
    _require_known(depth_usd, names, "depth")
    _require_known(bounds, names, "bound")
    _require_known(fund_usd, set(venues), "fund")
    missing = [coin for coin in coins if coin not in index]
    if missing:
        raise InputError(f"none for {', '.join(missing)}", field="index", allowed="prices for every coin held")
    return Stage(
        coins=coins,
        venues=venues,
        index=np.column_stack([np.asarray(index[coin], dtype=np.float64) for coin in coins]),
        depth_usd=np.array([_of_market(market, depth_usd, "depth") for market in population.markets]),
        bound_fraction=np.array([_of_market(market, bounds, "bound") for market in population.markets]),
        fund_usd=np.array([float(fund_usd.get(venue, 0.0)) for venue in venues]),
    )


def _require_known(given: Mapping[str, float], known: set[str], name: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise InputError(f"was given for {', '.join(unknown)}", field=name, allowed=", ".join(sorted(known)))


def _of_market(market: Market, given: Mapping[str, float], field: str) -> float:
    for name in (market.name, market.coin):
        if name in given:
            return float(given[name])
    raise InputError(f"none for {market.name}", field=field, allowed="a figure for every market, or for its coin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Money of a run in USD: market_loss + fees + forfeited = taken + paid + residual.

    ``market_loss`` is what the closed quantity lost since the marks before the event, net of both sides;
    ``taken`` what accounts lost of the equity that they had; ``residual`` what neither they nor the fund paid.
    """

    market_loss_usd: float
    fees_usd: float
    forfeited_usd: float
    taken_usd: float
    paid_usd: float
    residual_usd: float

    @property
    def loss_usd(self) -> float:
        """Return everything that had to be paid."""
        return self.market_loss_usd + self.fees_usd + self.forfeited_usd

    @property
    def difference_usd(self) -> float:
        """Return taken + paid + residual - loss: the rounding of the run."""
        return self.taken_usd + self.paid_usd + self.residual_usd - self.loss_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeResult:
    """What happened, step by step; see ``cascade_arrays.Record`` for the axes."""

    markets: tuple[Market, ...]
    stage: Stage
    settings: CascadeSettings
    record: Record
    ledger: Ledger
    n_accounts: int
    notes: Sequence[str]

    @property
    def liquidated_usd(self) -> Floats:
        """Return the notional closed in each step, both sides and all markets."""
        total: Floats = (self.record.sold_usd + self.record.bought_usd).sum(axis=1)
        return total

    @property
    def is_cut(self) -> bool:
        """Tell whether the bound on rounds stopped a step."""
        return bool(self.record.is_cut.any())


def finished(
    population: Population, stage: Stage, settings: CascadeSettings, record: Record, taken_usd: float
) -> CascadeResult:
    """Return the result of a run from its record, with the ledger and what the reader must know."""
    if settings.feedback is Feedback.NEXT_STEP:
        record.is_cut[:] = 0.0  # one round a step is the rule there, not a bound
    shortfall, paid = float(record.shortfall.sum()), float(record.paid.sum())
    ledger = Ledger(
        market_loss_usd=float(record.market_loss.sum()),
        fees_usd=float(record.fees.sum()),
        forfeited_usd=float(record.forfeited.sum()),
        taken_usd=taken_usd,
        paid_usd=paid,
        residual_usd=max(shortfall - paid, 0.0),
    )
    notes = []
    if record.is_cut.any():
        notes.append(
            f"the bound of {settings.max_rounds} rounds stopped {int(record.is_cut.sum())} of {record.is_cut.size} "
            f"steps, the first is step {int(record.is_cut.argmax()) + 1}: what was left "
            "went on in the next step; raise --max-rounds"
        )
    for array in record:
        array.flags.writeable = False
    return CascadeResult(
        markets=population.markets, stage=stage, settings=settings, record=record, ledger=ledger,
        n_accounts=population.n_accounts, notes=tuple(notes),
    )  # fmt: skip
