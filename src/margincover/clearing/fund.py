"""Size of an insurance fund: newsvendor, Cover-N, and the far tail of the deficit by a generalised Pareto law.

Deficits are >= 0, one per path: what liquidated accounts owe beyond their own money in the horizon of the paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from margincover.clearing.checks import amounts, probability
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector
from margincover.numeric.pareto_intervals import TailRisk, tail_risk
from margincover.numeric.quantile import quantile_interval, tail_quantile

TAILS = (0.005, 0.001)
# Share of all paths that the tail law is fitted to, where as many paths have a deficit.
TAIL_SHARE = 0.05
MIN_EXCESSES = 50
MOST_EXCESSES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FundSize:
    """Sizes of a fund by method, in USD.

    Parameters
    ----------
    newsvendor_usd : float
        With ``newsvendor_interval_usd``, 95 %.
    cover_usd : dict of int to float
        Cover-N by N; empty without exposures by member.
    tails : dict of float to TailRisk
        By tail probability: VaR and ES beyond it, each with a 95 % interval.
    recommended_usd : float
        Largest of newsvendor, Cover-2 (where known) and the quantile of the smallest tail.
    binding : str
        Which of them it is.
    notes : tuple of str
        What a reader must know, such as a tail without finite mean.
    """

    newsvendor_usd: float
    newsvendor_interval_usd: tuple[float, float]
    cover_usd: dict[int, float]
    tails: dict[float, TailRisk]
    recommended_usd: float
    binding: str
    notes: tuple[str, ...]


def newsvendor_tail(*, capital_cost: float, loss_cost: float) -> float:
    """Return the tail probability at which a dollar of fund earns its cost: capital cost over cost of uncovered loss.

    Parameters
    ----------
    capital_cost : float
        Of a dollar in the fund over the horizon of the deficits, > 0.
    loss_cost : float
        Of a dollar of deficit that is not covered, > 0.

    Returns
    -------
    float
        1 or more means that no fund is worth its cost.
    """
    costs = amounts([capital_cost, loss_cost], name="capital_cost, loss_cost")
    if not (costs > 0.0).all():
        raise InputError(f"was {costs.tolist()}", field="capital_cost, loss_cost", allowed="figures > 0")
    return float(costs[0] / costs[1])


def newsvendor_size(deficit_usd: ArrayLike, *, capital_cost: float, loss_cost: float) -> float:
    """Return the fund that minimises capital cost * size + loss cost * E[(deficit - size)+]: VaR at 1 - cost ratio.

    Parameters
    ----------
    deficit_usd : array [path]
    capital_cost, loss_cost : float
        As in ``newsvendor_tail``; 0 is returned where capital costs at least as much as loss.

    References
    ----------
    Chitra et al., arXiv:2512.01112, appendix on optimal capital.
    """
    deficits = _deficits(deficit_usd)
    tail = newsvendor_tail(capital_cost=capital_cost, loss_cost=loss_cost)
    return 0.0 if tail >= 1.0 else tail_quantile(deficits, tail)


def cover_n(exposure_usd: ArrayLike, *, n: int) -> PathVector:
    """Return the sum of the n largest members' deficits on each stress or path.

    Parameters
    ----------
    exposure_usd : array [member, path]
        >= 0: loss beyond own margin if the member fails, under each stress. Affiliates belong in one row.
    n : int
        >= 1; with fewer members all are summed.
    """
    exposures = amounts(exposure_usd, name="exposure_usd")
    if exposures.ndim != 2 or not exposures.size or n < 1:
        raise InputError(f"shape {exposures.shape}, n {n}", field="exposure_usd", allowed="[member, path], n >= 1")
    members = exposures.shape[0]
    if n >= members:
        return np.asarray(exposures.sum(axis=0), dtype=np.float64)
    largest = np.partition(exposures, members - n, axis=0)[members - n :]
    return np.asarray(largest.sum(axis=0), dtype=np.float64)


def deficit_tail(deficit_usd: ArrayLike, *, tail: float, share: float = TAIL_SHARE) -> TailRisk:
    """Return VaR and ES of the deficit beyond a tail probability, by peaks over threshold, with 95 % intervals.

    Parameters
    ----------
    deficit_usd : array [path]
    tail : float
        Below the share of paths in the fit.
    share : float
        Part of the paths that is fitted; less where fewer have a deficit at all, since the law cannot hold across the
        mass at zero, and at most the larger of 10,000 paths and twice the tail.

    Raises
    ------
    InputError
        If fewer than 50 paths have a deficit above the threshold: the tail cannot be fitted from so few.
    """
    deficits = _deficits(deficit_usd)
    probability(tail, name="tail")
    # beyond a few thousand excesses the law's fit to the far tail gains nothing, and a lower threshold biases it
    enough = max(MOST_EXCESSES, int(2.0 * tail * deficits.size))
    count = min(int(probability(share, name="share") * deficits.size), int((deficits > 0.0).sum()) - 1, enough)
    if count < MIN_EXCESSES:
        raise InputError(
            f"{max(count, 0)} paths with a deficit above the threshold",
            field="deficit_usd",
            allowed=f"at least {MIN_EXCESSES}: simulate more paths or raise the share",
        )
    threshold = float(np.partition(deficits, deficits.size - count - 1)[deficits.size - count - 1])
    return tail_risk(deficits, threshold=threshold, tail=tail)


def size_fund(
    deficit_usd: ArrayLike,
    *,
    capital_cost: float,
    loss_cost: float,
    exposure_usd: ArrayLike | None = None,
    tails: Sequence[float] = TAILS,
) -> FundSize:
    """Return the sizes of a fund by all methods, and the largest as the recommendation.

    Parameters
    ----------
    deficit_usd : array [path]
    capital_cost, loss_cost : float
        As in ``newsvendor_tail``.
    exposure_usd : array [member, stress] or None
        For Cover-1, Cover-2 and so on up to 3: the largest over the stresses.
    tails : sequence of float
        Smallest last in what is recommended; each is fitted with its interval.
    """
    deficits = _deficits(deficit_usd)
    tail = newsvendor_tail(capital_cost=capital_cost, loss_cost=loss_cost)
    newsvendor, low, high = 0.0, 0.0, 0.0
    if tail < 1.0:
        newsvendor, (_, low, high) = tail_quantile(deficits, tail), quantile_interval(deficits, tail)
    fits = {level: deficit_tail(deficits, tail=level) for level in sorted(tails, reverse=True)}
    cover = {} if exposure_usd is None else {n: float(cover_n(exposure_usd, n=n).max()) for n in (1, 2, 3)}
    candidates = {"newsvendor": newsvendor} | ({"Cover-2": cover[2]} if cover else {})
    if fits:
        candidates[f"{1.0 - min(fits):.4%} quantile"] = fits[min(fits)].var.value
    binding = max(candidates, key=lambda name: candidates[name])
    return FundSize(
        newsvendor_usd=newsvendor,
        newsvendor_interval_usd=(low, high),
        cover_usd=cover,
        tails=fits,
        recommended_usd=candidates[binding],
        binding=binding,
        notes=_notes(fits, cover, tail),
    )


def _notes(fits: dict[float, TailRisk], cover: dict[int, float], tail: float) -> tuple[str, ...]:
    notes = []
    if tail >= 1.0:
        notes.append("capital costs at least as much as an uncovered loss: the newsvendor size is 0")
    if not cover:
        notes.append("no exposures by member: Cover-N is not in the recommendation")
    for level, fit in fits.items():
        if fit.es is None:
            notes.append(f"the fitted tail at {level:g} has no finite mean: no size covers it on average")
        elif np.isinf(fit.es.high):
            notes.append(f"the data set no upper bound on ES at {level:g}")
    return tuple(notes)


def _deficits(deficit_usd: ArrayLike) -> PathVector:
    deficits = amounts(deficit_usd, name="deficit_usd")
    if deficits.ndim != 1 or not deficits.size:
        raise InputError(f"shape {deficits.shape}", field="deficit_usd", allowed="[path], at least one")
    return deficits
