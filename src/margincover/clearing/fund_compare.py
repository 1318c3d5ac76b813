"""Policies of sharing a loss on the same shock: who pays what, and what splitting an account would change.

The prices jump past every account's bankruptcy price; what a failed account owes beyond its equity is the deficit. The
prefunded layers of the venue pay first, then one policy pays from what it reaches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.clearing import adl_policies, loss_sharing
from margincover.clearing.adl_measures import measure
from margincover.clearing.adl_rules import RANDOM_START, AdlRule
from margincover.clearing.adl_scores import SCORES, RankedPositions
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.checks import amounts
from margincover.clearing.fund_report import PolicyOutcome
from margincover.clearing.population import Population
from margincover.clearing.waterfall import PREFUNDED, Layer, LayerKind, Waterfall, apply
from margincover.errors import InputError
from margincover.numeric.rng import stream

POLICIES: Mapping[str, LayerKind] = {
    "adl": LayerKind.ADL,
    "pro-rata": LayerKind.ADL,
    "haircut": LayerKind.GAINS_HAIRCUT,
    "socialise": LayerKind.SOCIALISED,
    "assess": LayerKind.ASSESSMENT,
}
SPLIT_ACCOUNTS = 20
_CENT = 0.01
_HALVES = np.array([0.5, 0.5])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """A market after a jump, one row per account.

    Parameters
    ----------
    before_usd, after_usd : array [account]
        Equity, before >= 0; after below 0 is a debt.
    gain_usd, profit_usd : array [account]
        Change of value in the jump; open profit since entry after it; both signed.
    rows : RankedPositions
        After the jump, for scores.
    maintenance_usd : array [account]
        Before the jump.
    """

    before_usd: Floats
    after_usd: Floats
    gain_usd: Floats
    profit_usd: Floats
    rows: RankedPositions
    maintenance_usd: Floats

    @property
    def is_failed(self) -> np.ndarray:
        """Whether an account owes more than it has [account]."""
        return self.after_usd < 0.0

    @property
    def debts_usd(self) -> Floats:
        """Return what each account owes beyond its equity [account]."""
        return np.maximum(-self.after_usd, 0.0)

    @property
    def deficit_usd(self) -> float:
        """Return the sum of debts."""
        return math.fsum(self.debts_usd)


def shocked(population: Population, move: float) -> Shock:
    """Return isolated accounts of one market after its price jumps by a fraction.

    Raises
    ------
    InputError
        If the move is -1 or below, or an account owes already.
    """
    if not (math.isfinite(move) and move > -1.0):
        raise InputError(f"was {move}", field="shock", allowed="above -1")
    mark, before, maintenance = population.markets[0].mark, population.equity_usd(), population.maintenance_usd()
    if (before < 0.0).any():
        raise InputError(
            f"{int((before < 0.0).sum())} accounts are below zero before the shock", source=population.source,
            field="equity", allowed="accounts at or above zero",
        )  # fmt: skip
    price, size = mark * (1.0 + move), np.abs(population.quantity)
    after = population.collateral_usd + population.quantity * (price - population.entry)
    rows = RankedPositions(
        quantity=size, side=np.sign(population.quantity), entry_price=population.entry,
        mark_price=np.full(size.shape, price), wallet_usd=population.collateral_usd, equity_usd=after,
        maintenance_usd=population.position_maintenance_usd(np.full(size.shape, price)),
    )  # fmt: skip
    gain = population.quantity * (price - mark)
    return Shock(
        before_usd=before, after_usd=after, gain_usd=gain, profit_usd=rows.profit_usd, rows=rows,
        maintenance_usd=maintenance,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Whose rules hold and what is there: ``fund_usd`` is all contributions, ``own_usd`` the venue's own capital.

    ``multiple`` limits an assessment to so many times a member's contribution.
    """

    waterfall: Waterfall
    adl: AdlRule | None
    fund_usd: float
    own_usd: float = 0.0
    multiple: float = 1.0


def compare(
    shock: Shock, house: House, policies: Sequence[str], *, market_usd: float, seed: int
) -> list[PolicyOutcome]:
    """Return each policy's outcome on the same shock.

    Raises
    ------
    InputError
        If a policy is unknown or named twice, the venue has no rule for one, or the fund is larger than the market.
    """
    unknown = [name for name in policies if name not in POLICIES]
    if unknown or not policies or len(set(policies)) != len(policies):
        raise InputError(f"was {','.join(policies)}", field="compare", allowed=f"{', '.join(POLICIES)}; each once")
    return [_outcome(shock, house, name, market_usd, seed) for name in policies]


def endowment(shock: Shock, house: House, policy: str) -> Floats:
    """Return what a policy can reach at each account [account], >= 0; failed accounts have nothing."""
    alive = ~shock.is_failed
    if policy == "assess":
        return np.where(alive, house.multiple * _contributions(shock, house), 0.0)
    reach = {
        "adl": shock.profit_usd, "pro-rata": shock.profit_usd, "haircut": shock.gain_usd, "socialise": shock.after_usd,
    }[policy]  # fmt: skip
    # nobody can lose more than its equity, whatever its profit was
    have: Floats = np.where(alive, np.clip(reach, 0.0, np.maximum(shock.after_usd, 0.0)), 0.0)
    return have


def _contributions(shock: Shock, house: House) -> Floats:
    """Contributions to the fund in proportion to maintenance before the shock."""
    shares: Floats = house.fund_usd * shock.maintenance_usd / shock.maintenance_usd.sum()
    return shares


def _outcome(shock: Shock, house: House, policy: str, market_usd: float, seed: int) -> PolicyOutcome:
    capacity = _prefunded(shock, house)
    kept = [layer for layer in house.waterfall.layers if layer.name in capacity]
    have = endowment(shock, house, policy)
    own_money = math.fsum(shock.before_usd[shock.is_failed])
    layers = (*kept, Layer(name=policy, kind=POLICIES[policy]))
    waterfall = Waterfall(venue=house.waterfall.venue, origin=house.waterfall.origin, layers=layers)
    loss = own_money + shock.deficit_usd
    # the policy reaches the debts that are left; its capacity is what it would take if all of them were asked for
    found = apply(waterfall, loss, {**capacity, policy: math.fsum(have)}, market_usd=market_usd)
    needed = max(loss - math.fsum(found.absorbed_usd[:-1, 0]), 0.0)
    taken = _taken(shock, house, policy, have, needed, seed)
    paid = (*(float(part) for part in found.absorbed_usd[:-1, 0]), math.fsum(taken))
    residual = max(needed - paid[-1], 0.0)
    # less than a cent that rounding leaves is no deficit to compare a survivor with
    left = needed if residual >= _CENT else paid[-1]
    measures = measure(
        have, taken, needed_usd=needed, deficit_usd=left, largest_deficit_usd=min(float(shock.debts_usd.max()), left)
    )
    return PolicyOutcome(
        name=policy,
        is_own=any(layer.kind is POLICIES[policy] for layer in house.waterfall.layers) and policy != "pro-rata",
        layers=layers,
        paid_usd=paid,
        residual_usd=residual,
        difference_usd=math.fsum([*paid, residual, -loss]),
        payers=int((taken >= _CENT).sum()),
        measures=measures,
        split_gain_fraction=_split_gain(shock, house, policy, have, needed),
    )


def _prefunded(shock: Shock, house: House) -> dict[str, float]:
    """Return what stands before any policy, by layer of the venue's own waterfall."""
    failed = shock.is_failed
    has_contributions = any(layer.name == "defaulter_contribution" for layer in house.waterfall.layers)
    contributed = math.fsum(_contributions(shock, house)[failed]) if has_contributions else 0.0
    capacity, funds = {}, [layer for layer in house.waterfall.layers if layer.kind is LayerKind.FUND]
    for layer in house.waterfall.layers:
        if layer.name == "defaulter_contribution":
            capacity[layer.name] = contributed
        elif layer.kind is LayerKind.DEFAULTER:
            capacity[layer.name] = math.fsum(shock.before_usd[failed])
        elif layer.kind in PREFUNDED:
            own = layer.kind is LayerKind.VENUE
            is_first = bool(funds) and layer is funds[0]
            capacity[layer.name] = house.own_usd if own else max(house.fund_usd - contributed, 0.0) * is_first
    return capacity


def _taken(shock: Shock, house: House, policy: str, have: Floats, needed: float, seed: int) -> Floats:
    if policy == "adl":
        rule = _rule(house)
        if rule.score == RANDOM_START:
            return adl_policies.random_start(have, needed, rng=stream(seed, "adl start"))[:, 0]
        return adl_policies.queue(have, needed, score=_score(shock, rule, have))[:, 0]
    if policy == "assess":
        found = loss_sharing.assessment(
            _contributions(shock, house), needed, multiple=house.multiple, survives=~shock.is_failed
        )
        return found.paid_usd[:, 0]
    return adl_policies.pro_rata(have, needed)[:, 0]


def _rule(house: House) -> AdlRule:
    if house.adl is None:
        raise InputError(
            f"{house.waterfall.venue} has no auto-deleveraging", field="compare",
            allowed=f"{', '.join(name for name in POLICIES if name != 'adl')}, or --adl-of a venue that has",
        )  # fmt: skip
    return house.adl


def _score(shock: Shock, rule: AdlRule, have: Floats) -> Floats:
    """Return the venue's score of the accounts that can be reached, the lowest of all for the others."""
    reached = have > 0.0
    score = np.full(have.shape, -np.inf)
    if reached.any():
        rows = {name: getattr(shock.rows, name)[reached] for name in RankedPositions.__dataclass_fields__}
        score[reached] = SCORES[rule.score](RankedPositions(**rows))
    return score


def _split_gain(shock: Shock, house: House, policy: str, have: Floats, needed: float) -> float:
    """Return the largest change that a split in halves makes to one of the best endowed accounts, by what it has.

    Above 0 the account saves, below 0 it loses.

    Both halves keep the score, the leverage and the ratio of contribution to margin. A random start enters by its mean
    over all starts, which is exact.
    """
    if not needed > 0.0 or not (have > 0.0).any():
        return 0.0
    is_random = policy == "adl" and _rule(house).score == RANDOM_START
    score = _score(shock, _rule(house), have) if policy == "adl" and not is_random else np.zeros(have.shape)
    worst = 0.0
    for account in np.argsort(-have, kind="stable")[:SPLIT_ACCOUNTS]:
        if not have[account] > 0.0:
            break
        parts = np.concatenate([have[:account], have[account] * _HALVES, have[account + 1 :]])
        ranks = np.insert(score, account, score[account])

        def lost(values: Floats, scores: Floats, places: Sequence[int]) -> float:
            if is_random:
                return sum(mean_random_start(values, needed, place) for place in places)
            if policy == "adl":
                taken = adl_policies.queue(values, needed, score=scores)[:, 0]
            else:
                taken = adl_policies.pro_rata(values, needed)[:, 0]
            return float(taken[list(places)].sum())

        place = int(account)
        gain = lost(have, score, [place]) - lost(parts, ranks, [place, place + 1])
        part = gain / float(have[account])
        worst = part if abs(part) > abs(worst) else worst
    return worst


def mean_random_start(available: Floats, needed: float, account: int) -> float:
    """Return the mean over all starts of what a queue from a random account on takes from one account.

    Parameters
    ----------
    available : array [account]
        >= 0.
    needed : float
    account : int
    """
    have = amounts(available, name="available")
    before = np.cumsum(have) - have
    ahead = before[account] - before + np.where(np.arange(have.size) > account, have.sum(), 0.0)
    return float(np.clip(needed - ahead, 0.0, have[account]).mean())
