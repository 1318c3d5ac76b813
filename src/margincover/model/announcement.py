"""Rules still to come: the rulebook of a later date, and what it will do to the accounts of a book."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from margincover.model.rules import Rulebook


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureRules:
    """What a venue will have in force from an instant after ``as_of`` at which a rule begins or ends.

    ``rulebook`` is None when the rules then known leave nothing to compute with; ``problem`` says why.
    """

    venue: str
    at: datetime
    rulebook: Rulebook | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEffect:
    """What new rules do to one account, its positions, balances and marks held as they are.

    Money is in USD, summed over the account's pools: just before the new rules and under them. ``initial`` is None
    where a leverage was not stated. ``liquidatable`` and ``called`` name the pools that become so.
    """

    account_id: str
    equity_before_usd: float
    equity_after_usd: float
    maintenance_before_usd: float
    maintenance_after_usd: float
    initial_before_usd: float | None
    initial_after_usd: float | None
    liquidatable: tuple[str, ...] = ()
    called: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnnouncement:
    """A change of rules that a book uses, known beforehand.

    Parameters
    ----------
    venue : str
    valid_from : datetime
    rules : tuple of str
        What changes, in words: ``"BTCUSDT tiers"``, ``"mode usdm_single_asset"``, ``"BTC collateral"``.
    editions : tuple of str
        Editions that begin; empty when rules only end.
    seen_after_as_of : bool
        Whether one of the editions was observed after ``as_of``: at that time nobody could have known it.
    effects : tuple of AccountEffect
        Accounts whose figures move.
    problems : tuple of str
        What cannot be computed under the new rules, one sentence each; no figure then stands for "nothing changes".
    """

    venue: str
    valid_from: datetime
    rules: tuple[str, ...]
    editions: tuple[str, ...]
    seen_after_as_of: bool
    effects: tuple[AccountEffect, ...]
    problems: tuple[str, ...]
