"""The daily statement: headline figures against limits, what changed since the last one, and what is in breach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from margincover.model.liquidity import LiquidityResult
from margincover.model.provenance import Provenance
from margincover.model.results import CoverageResult
from margincover.model.stress import StressResult


class Verdict(IntEnum):
    """How a figure stands against its limit; the number is the exit code."""

    WITHIN = 0
    WARNING = 1
    BREACH = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadlineFigure:
    """One figure of the head of the statement.

    Parameters
    ----------
    key, label : str
    unit : str
        ``ratio``, ``fraction`` (a probability or a share), ``s`` or ``pools``.
    value : float or None
        None where there is nothing to measure; ``note`` says why.
    low, high : float or None
        95 % interval of a simulated figure; None where the figure is exact or has none.
    where : str
        Pool, account, due time or episode that it comes from.
    limit : float or None
    is_upper : bool
        Whether the limit is the most that is allowed, not the least.
    is_stated : bool
        Whether the book states the limit; else it is the default.
    verdict : Verdict
        BREACH beyond the limit, WARNING within it but for the interval.
    note : str
    """

    key: str
    label: str
    unit: str
    value: float | None
    where: str
    verdict: Verdict = Verdict.WITHIN
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    is_upper: bool = False
    is_stated: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Something that is beyond what is allowed, or within it but for its error: what, where, and what would heal it."""

    verdict: Verdict
    what: str
    where: str
    found: str
    allowed: str


# Parts of a change, in the order in which they are taken.
MARKET, RULES, POSITIONS, BALANCES, PLACES, REST = "market", "rules", "positions", "balances", "places", "rest"
PARTS = (MARKET, RULES, POSITIONS, BALANCES, PLACES, REST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """One figure of one place, before and now, in US dollars.

    ``parts`` hold one amount for each of ``PARTS``; they sum to ``now_usd - before_usd``. ``before_usd`` is what the
    previous report stated.
    """

    place: str
    before_usd: float
    now_usd: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedChange:
    """What changed since the previous report.

    ``equity`` holds accounts and the reserves and transfers outside them, ``maintenance`` the accounts; a total is the
    sum of its rows. ``notes`` name what could not be valued in today's market.
    """

    previous_as_of: str
    previous_sha256: str
    source: str
    equity: tuple[ChangeRow, ...]
    maintenance: tuple[ChangeRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceValue:
    """Equity and maintenance of one place at ``as_of`` in US dollars; a reserve has no maintenance."""

    place: str
    kind: str  # "account", "reserve" or "in transit"
    equity_usd: float
    maintenance_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAge:
    """When something was observed and how old it is at ``as_of``; negative lies after ``as_of``."""

    what: str
    observed_at: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementResult:
    """Everything of one daily statement."""

    figures: tuple[HeadlineFigure, ...]
    breaches: tuple[Breach, ...]
    values: tuple[PlaceValue, ...]
    change: ExplainedChange | None
    coverage: CoverageResult
    liquidity: LiquidityResult
    stress: StressResult
    ages: tuple[DataAge, ...]
    share_limits: Mapping[str, float]
    book_source: str
    book_snapshot: Mapping[str, object]
    provenance: Provenance

    @property
    def verdict(self) -> Verdict:
        """The worst of all figures and breaches."""
        found = [figure.verdict for figure in self.figures] + [breach.verdict for breach in self.breaches]
        return max(found, default=Verdict.WITHIN)
