"""Announce rules still to come: what a change that is already known will do to the accounts of a book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from margincover.coverage.status import pool_statuses
from margincover.errors import MargincoverError
from margincover.model.account import Account
from margincover.model.announcement import AccountEffect, FutureRules, RuleAnnouncement
from margincover.model.book import Book
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.results import PoolStatus
from margincover.model.rules import HaircutLadder, ModeRule, PoolBy, Rulebook, TierTable
from margincover.report import format as fmt
from margincover.report.format import Rounding
from margincover.venues import registry
from margincover.venues.pools import build_pools
from margincover.venues.registry_parse import RuleKey

# Below this part of the figure a difference is the rounding of a sum, not a change of rules.
_NOISE_FRACTION = 1e-9
# A sentence names this many accounts; all of them stand in the JSON.
_MAX_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """What one change of rules means to one account."""

    rules: frozenset[str] = frozenset()
    editions: tuple[str, ...] = ()
    seen_after_as_of: bool = False
    effect: AccountEffect | None = None
    problem: str = ""


def announcements(book: Book) -> tuple[RuleAnnouncement, ...]:
    """Return the changes of rules within 90 days after ``as_of`` that accounts of the book will meet, by date.

    Positions, balances, marks and ages of contracts are held as they are at ``as_of``, also for contracts that expire
    before the change. Each figure is against the rules just before: of two changes the second does not hold the first.
    A table or a maintenance rate that the book itself states counts until the venue's next change of that table.

    Parameters
    ----------
    book : Book
        From ``load``; ``book.future_rules`` holds the rules of the later dates.

    Returns
    -------
    tuple of RuleAnnouncement
        Only changes of rules that an account uses, or that move its figures.
    """
    found: dict[tuple[datetime, str], list[_Finding]] = {}
    for account in book.accounts:
        current = replace(book, accounts=(account,))
        for future in book.future_rules:
            if future.venue != account.venue:
                continue
            finding, current = _meet(current, future)
            if finding is not None:
                found.setdefault((future.at, future.venue), []).append(finding)
    return tuple(_joined(venue, at, found[(at, venue)]) for at, venue in sorted(found))


def _joined(venue: str, at: datetime, findings: Sequence[_Finding]) -> RuleAnnouncement:
    return RuleAnnouncement(
        venue=venue,
        valid_from=at,
        rules=tuple(sorted({rule for finding in findings for rule in finding.rules})) or ("rules",),
        editions=tuple(dict.fromkeys(name for finding in findings for name in finding.editions)),
        seen_after_as_of=any(finding.seen_after_as_of for finding in findings),
        effects=tuple(finding.effect for finding in findings if finding.effect is not None),
        problems=tuple(dict.fromkeys(finding.problem for finding in findings if finding.problem)),
    )


def announcement_text(announcement: RuleAnnouncement) -> str:
    """Return an announcement as one sentence, changes of money signed.

    Raises
    ------
    InputError
        If a figure is not finite.
    """
    editions = f" (edition {', '.join(announcement.editions)})" if announcement.editions else ""
    word = "changes" if len(announcement.rules) == 1 and announcement.rules[0].startswith("mode ") else "change"
    parts = [f"from {_when(announcement.valid_from)}: {announcement.venue} {', '.join(announcement.rules)} {word}"]
    parts[0] += editions
    if announcement.seen_after_as_of:
        parts.append("seen only after as_of")
    parts += _named([_effect_text(effect) for effect in _worst_first(announcement.effects)], "accounts move as well")
    parts += _named(announcement.problems, "accounts cannot be computed as well")
    if not announcement.effects and not announcement.problems:
        parts.append("no account's margins move")
    return "; ".join(parts)


def _named(texts: Sequence[str], others: str) -> list[str]:
    more = len(texts) - _MAX_NAMED
    return [*texts[:_MAX_NAMED], *([f"{more} {others}"] if more > 0 else [])]


def _worst_first(effects: Sequence[AccountEffect]) -> list[AccountEffect]:
    def gain(effect: AccountEffect) -> float:
        raised = effect.maintenance_after_usd - effect.maintenance_before_usd
        return effect.equity_after_usd - effect.equity_before_usd - raised

    return sorted(effects, key=lambda each: (not each.liquidatable, not each.called, gain(each)))


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute, at.second) == (0, 0, 0) else f"{at:%Y-%m-%d %H:%M} UTC"


def _effect_text(effect: AccountEffect) -> str:
    figures = [
        ("maintenance", effect.maintenance_before_usd, effect.maintenance_after_usd, Rounding.UP),
        ("initial margin", effect.initial_before_usd, effect.initial_after_usd, Rounding.UP),
        ("equity after haircut", effect.equity_before_usd, effect.equity_after_usd, Rounding.DOWN),
    ]
    moved = [
        f"{name} {'+' if after > before else ''}{fmt.usd(after - before, rounding=rounding)}"
        for name, before, after, rounding in figures
        if before is not None and after is not None and _differs(before, after)
    ]
    text = f"{effect.account_id} {', '.join(moved)}"
    for word, pools in (("LIQUIDATABLE", effect.liquidatable), ("CALLED", effect.called)):
        if pools:
            text += f", then {word}: {', '.join(pools)}"
    return text


def _meet(current: Book, future: FutureRules) -> tuple[_Finding | None, Book]:
    """Return what a change means to the one account of a book, and the book that the next change meets."""
    (account,) = current.accounts
    rules, to_come = current.rulebooks[account.venue], future.rulebook
    if to_come is None:
        return _Finding(problem=_not_computed(account, future.problem)), current
    keys = frozenset(key for key in _used(current, account) if _content(rules, key) != _content(to_come, key))
    # The parameters of a model are dated apart from tiers and ladders: only its pools show which ones it uses.
    if not keys and not rules.modes[account.mode].model:
        return None, current
    about = _finding(current, to_come, keys)
    if account.mode not in to_come.modes:
        return replace(about, problem=_not_computed(account, f"mode {account.mode} has no rules from then on")), current
    after = _under(current, to_come, keys)
    try:
        old, new = build_pools(current), build_pools(after)
        effect = _effect(account, pool_statuses(old), pool_statuses(new))
    except MargincoverError as error:
        return replace(about, problem=_not_computed(account, str(error))), current
    about = _with_parameters(about, current, after, old, new)
    if not about.rules and not _moves(effect):
        return None, after
    return replace(about, effect=effect if _moves(effect) else None), after


def _with_parameters(
    about: _Finding, current: Book, after: Book, old: Sequence[MarginPool], new: Sequence[MarginPool]
) -> _Finding:
    """Return a finding with the editions of parameters that the models of the pools change to."""
    venue = current.accounts[0].venue

    def used(pools: Sequence[MarginPool], rules: Rulebook) -> list[ParameterEdition]:
        dated = {edition.id: edition for edition in rules.parameters.values()}
        used_ids = (use.edition for pool in pools if pool.model is not None for use in pool.model.editions)
        return [dated[name] for name in used_ids if name in dated]

    known = [(e.mode, e.underlying, e.values) for e in used(old, current.rulebooks[venue])]
    begun = [
        each for each in used(new, after.rulebooks[venue]) if (each.mode, each.underlying, each.values) not in known
    ]
    if not begun:
        return about
    return replace(
        about,
        rules=about.rules | {f"parameters of {edition.mode} {edition.underlying}" for edition in begun},
        editions=tuple(dict.fromkeys([*about.editions, *(edition.id for edition in begun)])),
        seen_after_as_of=about.seen_after_as_of or any(edition.observed > current.as_of for edition in begun),
    )


def _not_computed(account: Account, reason: str) -> str:
    return f"{account.id} cannot be computed: {reason}"


def _finding(current: Book, to_come: Rulebook, keys: frozenset[RuleKey]) -> _Finding:
    """Return rules and editions of a change of some keys, still without figures."""
    rows = [row for row in registry.describe(to_come) if (row["block"], row["key"]) in keys]
    return _Finding(
        rules=frozenset(_word(key, to_come) for key in keys),
        editions=tuple(dict.fromkeys(row["edition"] for row in rows)),
        seen_after_as_of=any(row["observed"] > f"{current.as_of:%Y-%m-%d}" for row in rows),
    )


def _word(key: RuleKey, to_come: Rulebook) -> str:
    block, name = key
    text = f"mode {name}" if block == "mode" else f"{name} {block}"
    return text if _content(to_come, key) is not None else f"{text} (without a successor)"


def _content(rules: Rulebook, key: RuleKey) -> ModeRule | TierTable | HaircutLadder | None:
    """Return a rule without where it was read: a new observation of the same rule is no change."""
    block, name = key
    if block == "mode":
        mode = rules.modes.get(name)
        return None if mode is None else replace(mode, source="", notes="", confidence="")
    if block == "tiers":
        table = rules.tier_tables.get(name)
        return None if table is None else replace(table, source="", complete=True)
    ladder = rules.ladders.get(name)
    return None if ladder is None else replace(ladder, source="")


def _used(book: Book, account: Account) -> Iterable[RuleKey]:
    yield ("mode", account.mode)
    symbols = [position.symbol for position in account.positions] + [order.symbol for order in account.open_orders]
    instruments = [book.instruments[(account.venue, symbol)] for symbol in symbols]
    for instrument in instruments:
        if instrument.tier_table:
            yield ("tiers", instrument.tier_table)
    if book.rulebooks[account.venue].modes[account.mode].pool_by is PoolBy.ACCOUNT:
        for asset in {*(b.asset for b in account.balances if b.is_collateral), *(i.settle for i in instruments)}:
            yield ("collateral", asset)


def _under(book: Book, rulebook: Rulebook, keys: frozenset[RuleKey]) -> Book:
    """Return the book under a rulebook, without its own statements of the tables that change."""
    changed = {key for block, key in keys if block == "tiers"}
    stale = {
        instrument.id
        for (venue, _), instrument in book.instruments.items()
        if venue == rulebook.venue and instrument.tier_table in changed
    }

    def renewed(account: Account) -> Account:
        positions = tuple(
            replace(position, maintenance_fraction=None, maintenance_deduction_native=None)
            if book.instruments[(account.venue, position.symbol)].id in stale
            else position
            for position in account.positions
        )
        return replace(account, positions=positions)

    return replace(
        book,
        accounts=tuple(renewed(account) for account in book.accounts),
        rulebooks={**book.rulebooks, rulebook.venue: rulebook},
        tier_overrides={name: table for name, table in book.tier_overrides.items() if name not in stale},
    )


def _effect(account: Account, before: Sequence[PoolStatus], after: Sequence[PoolStatus]) -> AccountEffect:
    state = {pool.pool_id: pool.state for pool in before}

    def becomes(word: str) -> tuple[str, ...]:
        return tuple(pool.pool_id for pool in after if pool.state == word and state.get(pool.pool_id) != word)

    return AccountEffect(
        account_id=account.id,
        equity_before_usd=sum(pool.equity_usd for pool in before),
        equity_after_usd=sum(pool.equity_usd for pool in after),
        maintenance_before_usd=sum(pool.maintenance_usd for pool in before),
        maintenance_after_usd=sum(pool.maintenance_usd for pool in after),
        initial_before_usd=_initial(before),
        initial_after_usd=_initial(after),
        liquidatable=becomes("liquidatable"),
        called=becomes("called"),
    )


def _initial(pools: Sequence[PoolStatus]) -> float | None:
    known = [pool.initial_usd for pool in pools if pool.initial_usd is not None]
    return sum(known) if len(known) == len(pools) else None


def _moves(effect: AccountEffect) -> bool:
    pairs = (
        (effect.equity_before_usd, effect.equity_after_usd),
        (effect.maintenance_before_usd, effect.maintenance_after_usd),
        (effect.initial_before_usd or 0.0, effect.initial_after_usd or 0.0),
    )
    return any(_differs(*pair) for pair in pairs) or bool(effect.liquidatable or effect.called)


def _differs(before: float, after: float) -> bool:
    return abs(after - before) > _NOISE_FRACTION * max(abs(before), abs(after))
