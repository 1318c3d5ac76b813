"""Book: everything that one run needs, with rulebooks chosen and names resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from margincover.errors import InputError
from margincover.model.account import Account
from margincover.model.announcement import FutureRules
from margincover.model.contingency import ContingencyAction
from margincover.model.instrument import Instrument
from margincover.model.market import MarketState
from margincover.model.resources import (
    BufferPolicy,
    CreditLine,
    Loan,
    Obligation,
    Reserve,
    SaleMarket,
    TransferInTransit,
    TransferTime,
)
from margincover.model.risk_limits import RiskLimits
from margincover.model.rules import Rulebook, TierTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What the desk accepts: probability over a horizon, by measure ``rces`` or ``rc``."""

    probability: float = 0.01
    horizon_s: int = 432_000
    measure: str = "rces"

    def __post_init__(self) -> None:
        if not 1e-6 <= self.probability <= 0.5:
            raise InputError(
                f"was {self.probability}", field="tolerance", allowed="a fraction from 0.000001 to 0.5 (0.01 is 1 %)"
            )
        if not 3_600 <= self.horizon_s <= 30 * 86_400:
            raise InputError(f"was {self.horizon_s} s", field="horizon", allowed="1 h to 30 d")
        if self.measure not in ("rces", "rc"):
            raise InputError(f"was '{self.measure}'", field="measure", allowed="rces or rc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Stand-in for a factor without history: another factor, its moves times ``multiple``."""

    factor: str
    multiple: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Accounts, market, rules and resources, resolved for one instant.

    Parameters
    ----------
    as_of : datetime
    accounts : tuple of Account
    instruments : mapping (venue, symbol as written in the book) -> Instrument
    market : MarketState
    rulebooks : mapping venue -> Rulebook
    future_rules : tuple of FutureRules
        What will be in force at the dates after ``as_of`` on which a rule of these venues changes.
    tier_overrides : mapping instrument id -> TierTable
        Live tables that the book carries; they win over the packaged ones.
    tolerance : Tolerance
    reserves, credit_lines, transfer_times, in_transit, loans, obligations, sale_markets, buffers
        Resources and obligations outside the pools; see ``model.resources``.
    limits : RiskLimits
        What the daily statement is held against.
    proxies : mapping factor -> Proxy
    max_market_age_s : float
        Oldest market levels accepted.
    source, input_sha256 : str
    """

    as_of: datetime
    accounts: tuple[Account, ...]
    instruments: Mapping[tuple[str, str], Instrument]
    market: MarketState
    rulebooks: Mapping[str, Rulebook]
    future_rules: tuple[FutureRules, ...] = ()
    tolerance: Tolerance = field(default_factory=Tolerance)
    tier_overrides: Mapping[str, TierTable] = field(default_factory=dict)
    reserves: tuple[Reserve, ...] = ()
    credit_lines: tuple[CreditLine, ...] = ()
    transfer_times: tuple[TransferTime, ...] = ()
    in_transit: tuple[TransferInTransit, ...] = ()
    loans: tuple[Loan, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    sale_markets: Mapping[str, SaleMarket] = field(default_factory=dict)
    buffers: tuple[BufferPolicy, ...] = ()
    contingency: tuple[ContingencyAction, ...] = ()
    limits: RiskLimits = field(default_factory=RiskLimits)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    max_market_age_s: float = 3_600.0
    max_history_age_s: float = 7 * 86_400.0
    max_rules_age_days: int = 180
    source: str = "memory"
    input_sha256: str = ""
    issues: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = [account.id for account in self.accounts]
        for name in ids:
            if ids.count(name) > 1:
                raise InputError(f"account stood {ids.count(name)} times", account=name, allowed="unique ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentOverride:
    """Contract facts that a book states for a symbol, over those of the rulebook; None keeps the rulebook's."""

    venue: str
    symbol: str
    multiplier: float | None = None
    tick: float | None = None
    open_interest: float | None = None
    open_interest_lower_cap: float | None = None
    open_interest_upper_cap: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierOverride:
    """Live tier table that a book carries for one symbol.

    ``rows`` hold (floor, cap, maintenance_fraction, max_leverage or None, deduction or None); a missing deduction is
    computed so that the table is continuous.
    """

    venue: str
    symbol: str
    rows: tuple[tuple[float, float, float, float | None, float | None], ...]
    observed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookInput:
    """A book as read from outside, before rulebooks are chosen and symbols resolved.

    ``max_history_age_s`` is the largest distance allowed between the last bar of a history and ``as_of``;
    ``max_rules_age_days`` the age of a packaged table beyond which a warning is shown.
    """

    as_of: datetime
    accounts: tuple[Account, ...]
    market: MarketState
    tolerance: Tolerance = field(default_factory=Tolerance)
    instrument_overrides: tuple[InstrumentOverride, ...] = ()
    tier_overrides: tuple[TierOverride, ...] = ()
    reserves: tuple[Reserve, ...] = ()
    credit_lines: tuple[CreditLine, ...] = ()
    transfer_times: tuple[TransferTime, ...] = ()
    in_transit: tuple[TransferInTransit, ...] = ()
    loans: tuple[Loan, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    sale_markets: Mapping[str, SaleMarket] = field(default_factory=dict)
    buffers: tuple[BufferPolicy, ...] = ()
    contingency: tuple[ContingencyAction, ...] = ()
    limits: RiskLimits = field(default_factory=RiskLimits)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    max_market_age_s: float = 3_600.0
    max_history_age_s: float = 7 * 86_400.0
    max_rules_age_days: int = 180
    source: str = "memory"
    input_sha256: str = ""
    issues: tuple[str, ...] = ()
