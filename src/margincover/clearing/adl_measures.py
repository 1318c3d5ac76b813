"""Measures of a policy: how much too much was taken, how concentrated it is, who is left strong, and against what."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from margincover.clearing.checks import amounts, same_length
from margincover.errors import InputError
from margincover.numeric.arrays import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyMeasures:
    """Measures of one allocation.

    Parameters
    ----------
    taken_usd, overshoot_usd : float
        All that was taken; taken - needed, negative where the policy fell short.
    largest_fraction : float
        Highest share of its own endowment that any account lost.
    largest_survivor_usd : float
        What the strongest account has left.
    ptsr, pmr, survivor_share : float or None
        Largest survivor over the deficit that stays, over that share of the largest single deficit, and over the sum of
        itself and the deficit that stays. None where the policy left no deficit: there is nothing to compare with.
    gini_taken, gini_fractions : float
        0 equal, towards 1 concentrated: of the amounts and of the fractions taken.
    top_tenth_share : float
        Part of what was taken that the tenth of accounts with the largest endowment paid.
    """

    taken_usd: float
    overshoot_usd: float
    largest_fraction: float
    largest_survivor_usd: float
    ptsr: float | None
    pmr: float | None
    survivor_share: float | None
    gini_taken: float
    gini_fractions: float
    top_tenth_share: float


def measure(
    available_usd: ArrayLike, taken_usd: ArrayLike, *, needed_usd: float, deficit_usd: float, largest_deficit_usd: float
) -> PolicyMeasures:
    """Return the measures of what a policy took.

    Parameters
    ----------
    available_usd, taken_usd : array [account]
    needed_usd : float
        What the policy was to raise, a part of the deficit or all of it.
    deficit_usd, largest_deficit_usd : float
        Sum of negative equities, and the largest of them.

    Raises
    ------
    InputError
        If an account lost more than it had, or the largest deficit exceeds their sum.
    """
    have, taken = amounts(available_usd, name="available_usd"), amounts(taken_usd, name="taken_usd")
    same_length(available_usd=have, taken_usd=taken)
    over = np.flatnonzero(taken > have * (1.0 + 1e-9) + 1e-9)
    if over.size:
        i = int(over[0])
        raise InputError(f"was {taken[i]} of {have[i]}", field=f"taken_usd[{i}]", allowed="at most what was available")
    survivor, total = float(np.maximum(have - taken, 0.0).max()), math.fsum(taken)
    deficits = {"deficit_usd": deficit_usd, "largest_deficit_usd": largest_deficit_usd}
    ratios = survivor_ratios(survivor, taken_usd=total, **deficits)
    share = np.divide(np.minimum(taken, have), have, out=np.zeros_like(have), where=have > 0.0)
    return PolicyMeasures(
        taken_usd=total,
        overshoot_usd=overshoot(total, needed_usd),
        largest_fraction=float(share.max()),
        largest_survivor_usd=survivor,
        ptsr=ratios[0],
        pmr=ratios[1],
        survivor_share=ratios[2],
        gini_taken=gini(taken),
        gini_fractions=gini(share),
        top_tenth_share=paid_by_group(have, taken, groups=10)[-1] if total > 0.0 else 0.0,
    )


def overshoot(taken_usd: float, needed_usd: float) -> float:
    """Return taken - needed; negative where the policy fell short."""
    return float(amounts(taken_usd, name="taken_usd")) - float(amounts(needed_usd, name="needed_usd"))


def survivor_ratios(
    survivor_usd: float, *, taken_usd: float, deficit_usd: float, largest_deficit_usd: float
) -> tuple[float | None, float | None, float | None]:
    """Return (PTSR, PMR, share) of the largest survivor against the deficit that the policy leaves.

    Notes
    -----
    left = deficit - taken. PTSR = survivor / left, PMR = survivor / (left / deficit * largest deficit),
    share = survivor / (survivor + left). All None where nothing is left.

    References
    ----------
    Chitra et al., arXiv:2512.01112; the released table of 2025-10-10 divides by the deficit that is left.
    """
    survivor, taken, deficit, largest = (
        float(amounts(value, name=name))
        for name, value in (
            ("survivor_usd", survivor_usd),
            ("taken_usd", taken_usd),
            ("deficit_usd", deficit_usd),
            ("largest_deficit_usd", largest_deficit_usd),
        )
    )
    if largest > deficit * (1.0 + 1e-9):
        raise InputError(f"was {largest} of {deficit}", field="largest_deficit_usd", allowed="at most the sum")
    left = deficit - taken
    if not left > 0.0:
        return None, None, None
    return survivor / left, survivor / (left / deficit * largest), survivor / (survivor + left)


def gini(values: ArrayLike) -> float:
    """Return the Gini coefficient of amounts: 0 when all are equal, (n - 1) / n when one holds all, 0 for all zero.

    Examples
    --------
    >>> gini([0.0, 0.0, 0.0, 5.0])
    0.75
    """
    ordered = np.sort(amounts(values, name="values"))
    if ordered.ndim != 1 or not ordered.size:
        raise InputError(f"shape {ordered.shape}", field="values", allowed="[account], at least one")
    total = float(ordered.sum())
    if not total > 0.0:
        return 0.0
    n = ordered.size
    weights = 2.0 * np.arange(1, n + 1) - n - 1.0
    return max(0.0, float((weights * ordered).sum()) / (n * total))


def majorises(first: ArrayLike, second: ArrayLike) -> bool:
    """Whether the first allocation is at least as concentrated as the second, at every count of largest payers.

    Notes
    -----
    Sorted downwards, the partial sums of the first are at least those of the second, and the totals agree (to 1e-9 of
    the total). A partial order: of two allocations neither may majorise the other.
    """
    a, b = amounts(first, name="first"), amounts(second, name="second")
    same_length(first=a, second=b)
    total = float(a.sum())
    slack = 1e-9 * max(total, 1.0)
    if abs(total - float(b.sum())) > slack:
        raise InputError(f"totals {total} and {float(b.sum())}", field="second", allowed="the same total")
    return bool((np.cumsum(np.sort(a)[::-1]) >= np.cumsum(np.sort(b)[::-1]) - slack).all())


def paid_by_group(available_usd: ArrayLike, taken_usd: ArrayLike, *, groups: int = 10) -> Vector:
    """Return the share of what was taken by groups of accounts, smallest endowment first; sums to 1.

    Parameters
    ----------
    groups : int
        At least 1; groups hold as equal counts as the number of accounts allows. All shares are 0 where nothing was
        taken.
    """
    have, taken = amounts(available_usd, name="available_usd"), amounts(taken_usd, name="taken_usd")
    n = same_length(available_usd=have, taken_usd=taken)
    if groups < 1:
        raise InputError(f"was {groups}", field="groups", allowed="at least 1")
    order = np.argsort(have, kind="stable")
    group = np.arange(n) * groups // n
    # fewer accounts than groups: the last group must hold the largest, so count from the top
    group = groups - 1 - group[::-1]
    sums = np.bincount(group, weights=taken[order], minlength=groups)
    total = float(sums.sum())
    return sums / total if total > 0.0 else np.zeros(groups)
