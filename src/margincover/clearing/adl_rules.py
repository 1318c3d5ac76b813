"""Auto-deleveraging rules by venue, dated: which score, which price, which trigger, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from types import MappingProxyType

from margincover.clearing import dated
from margincover.clearing.adl_scores import SCORES
from margincover.clearing.checks import amounts, numbers
from margincover.errors import InputError, RulebookError

RANDOM_START = "random_start"
CLOSE_PRICES = ("bankruptcy", "mark", "previous_mark")
_NEEDED = (*dated.ORIGIN_KEYS, "venue", "score", "close_price", "close_price_confidence")
_TRIGGER = ("drawdown_fraction", "stop_fraction", "pool_threshold_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdlRule:
    """How a venue auto-deleverages.

    Parameters
    ----------
    origin : Origin
        ``confidence`` is that of the score.
    score : str
        A name of ``adl_scores.SCORES``, or ``random_start``.
    close_price, close_price_confidence : str
    trigger : mapping
        Fractions and amounts of a trigger by drawdown; empty where none is published.
    """

    venue: str
    origin: dated.Origin
    score: str
    close_price: str
    close_price_confidence: str
    trigger: Mapping[str, float]

    @property
    def is_exact(self) -> bool:
        """Whether the order of the queue is the venue's own as published; else it is a plausible one."""
        return self.origin.confidence == "CONFIRMED"


def adl_rule(venue: str, *, at: datetime) -> AdlRule:
    """Return a venue's rule in force; RulebookError where none is packaged or in force.

    Venues that share losses another way (Deribit, Paradex) have none: see ``waterfall_rules``.
    """
    rules = [rule for rule in packaged() if rule.venue == venue]
    if not rules:
        known = ", ".join(sorted({rule.venue for rule in packaged()}))
        raise RulebookError(f"no rule of '{venue}'", source="adl.toml", field="venue", allowed=known)
    return dated.in_force(rules, at=at, what=f"auto-deleveraging of {venue}")


@cache
def packaged() -> tuple[AdlRule, ...]:
    """Return all packaged rules."""
    return parse_adl(dated.packaged_text("adl.toml"), source="adl.toml")


def parse_adl(text: str, *, source: str) -> tuple[AdlRule, ...]:
    """Return the rules in a TOML text; RulebookError for unknown keys, names or dates, or overlapping editions."""
    rules = tuple(_rule(row, source) for row in dated.tables(text, key="adl", source=source))
    for venue in {rule.venue for rule in rules}:
        dated.check_overlaps([rule for rule in rules if rule.venue == venue], where=source)
    return rules


def _rule(row: Mapping[str, object], source: str) -> AdlRule:
    where = f"{source}: {row.get('id', 'without id')}"
    dated.check_keys(row, needed=_NEEDED, optional=(*dated.OPTIONAL_KEYS, "trigger"), where=where)
    for field, allowed in (
        ("score", (*SCORES, RANDOM_START)),
        ("close_price", CLOSE_PRICES),
        ("close_price_confidence", dated.CONFIDENCES),
    ):
        if row[field] not in allowed:
            raise RulebookError(f"was {row[field]}", source=where, field=field, allowed=", ".join(allowed))
    return AdlRule(
        venue=str(row["venue"]),
        origin=dated.origin(row, where=where),
        score=str(row["score"]),
        close_price=str(row["close_price"]),
        close_price_confidence=str(row["close_price_confidence"]),
        trigger=_trigger(row.get("trigger"), where),
    )


def _trigger(table: object, where: str) -> Mapping[str, float]:
    if table is None:
        return MappingProxyType({})
    if not isinstance(table, dict):
        raise RulebookError(f"was {table!r}", source=where, field="trigger", allowed="a table")
    dated.check_keys(table, needed=_TRIGGER, optional=(), where=f"{where}: trigger")
    values: dict[str, float] = {}
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise RulebookError(f"was {value!r}", source=where, field=key, allowed="a number >= 0")
        if key.endswith("_fraction") and value > 1:
            raise RulebookError(f"was {value}", source=where, field=key, allowed="a fraction: 0.3 is 30 %")
        values[key] = float(value)
    return MappingProxyType(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """Fall of a contract's result against its eight-hour peak, as a share of the pool's peak, and what it starts.

    ``ratio`` is negative in a drawdown. ``shifted_usd`` is the loss beyond the trigger: the part that winners carry.
    """

    ratio: float
    is_triggered: bool
    shifted_usd: float


def contract_drawdown(
    *,
    result_now_usd: float,
    result_peak_usd: float,
    pool_peak_usd: float,
    drawdown_fraction: float,
    pool_now_usd: float | None = None,
    pool_threshold_usd: float = 0.0,
) -> Drawdown:
    """Return Bybit's test of a contract against the insurance pool that it shares.

    Parameters
    ----------
    result_now_usd, result_peak_usd : float
        Profit and loss of the contract in the pool, now and at its peak of eight hours; signed.
    pool_peak_usd : float
        > 0.
    drawdown_fraction : float
        0.3 where the venue's sample says -0.3.
    pool_now_usd : float or None
        The test holds only above ``pool_threshold_usd``; at or below 0 auto-deleveraging starts in any case and the
        whole drawdown is shifted. None means above the threshold.

    References
    ----------
    bybit-exchange/docs, docs/v5/market/adl-alert.mdx, read 2026-11-22.
    """
    now, peak = (float(x) for x in numbers([result_now_usd, result_peak_usd], name="result_now_usd, result_peak_usd"))
    pool, limit = (float(x) for x in amounts([pool_peak_usd, drawdown_fraction], name="pool_peak_usd, limit"))
    if not pool > 0.0 or now > peak or limit > 1.0:
        allowed = "a pool above 0, a result at most its peak, a fraction to 1"
        raise InputError(f"pool {pool}, result {now}, peak {peak}, limit {limit}", field="drawdown", allowed=allowed)
    ratio = (now - peak) / pool
    if pool_now_usd is not None and pool_now_usd <= 0.0:
        return Drawdown(ratio=ratio, is_triggered=True, shifted_usd=peak - now)
    watched = pool_now_usd is None or pool_now_usd > pool_threshold_usd
    triggered = watched and ratio < -limit
    return Drawdown(ratio=ratio, is_triggered=triggered, shifted_usd=(-limit - ratio) * pool if triggered else 0.0)
