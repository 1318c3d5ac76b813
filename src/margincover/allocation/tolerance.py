"""Solve at a tightened tolerance, so that the rate on paths never seen holds the stated one.

What is solved to a rate on its own paths has about an even chance of a higher rate on others. An independent sample
judges tails from the tightest to the loosest and stops at the first that fails: by this fixed order each test keeps
its level without a correction for their number (Maurer, Hothorn, Lehmacher 1995; fixed-sequence testing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from scipy import stats

from margincover.errors import InputError, SolverError

Decision = TypeVar("Decision")

FACTORS = (0.25, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tightened(Generic[Decision]):
    """The decision taken and how it was judged.

    Parameters
    ----------
    decision : Decision
    tail : float
        The tail that it was solved at.
    hits, count : int
        Liquidations and paths of the validation sample.
    upper_bound : float
        Upper end of the one-sided interval of the rate (Clopper-Pearson).
    tried : tuple of (tail, hits, upper bound)
        Every tail that was looked at, tightest first.
    """

    decision: Decision
    tail: float
    hits: int
    count: int
    upper_bound: float
    tried: tuple[tuple[float, int, float], ...]


def tighten(
    solve: Callable[[float], Decision],
    count_hits: Callable[[Decision], tuple[int, int]],
    *,
    tolerance: float,
    confidence: float = 0.95,
    factors: Sequence[float] = FACTORS,
) -> Tightened[Decision]:
    """Return the decision of the loosest tail whose out-of-sample rate surely holds the tolerance.

    Parameters
    ----------
    solve : callable
        From a tail to a decision, on the planning paths.
    count_hits : callable
        From a decision to (hits, paths) on validation paths that ``solve`` never sees.
    tolerance, confidence : float
        In (0, 1).
    factors : sequence of float
        Tails tried, as shares of the tolerance, rising.

    Raises
    ------
    SolverError
        If even the tightest tail fails: more validation paths or a tighter factor are needed.
    """
    if not 0.0 < tolerance < 1.0 or not 0.0 < confidence < 1.0:
        raise InputError(f"were {tolerance} and {confidence}", field="tolerance, confidence", allowed="between 0 and 1")
    if not factors or list(factors) != sorted(set(factors)) or factors[0] <= 0.0:
        raise InputError(f"were {tuple(factors)}", field="factors", allowed="positive, rising")
    best: Tightened[Decision] | None = None
    tried: list[tuple[float, int, float]] = []
    for factor in factors:
        tail = factor * tolerance
        decision = solve(tail)
        hits, count = count_hits(decision)
        bound = upper_bound(hits, count, confidence)
        tried.append((tail, hits, bound))
        if bound > tolerance:
            break
        best = Tightened(decision=decision, tail=tail, hits=hits, count=count, upper_bound=bound, tried=())
    if best is None:
        tail, hits, bound = tried[0]
        raise SolverError(
            f"solved at tail {tail:.6g} the rate on the validation paths may be up to {bound:.6g} ({hits} hits);"
            f" allowed: {tolerance:.6g}. Use more validation paths or a smaller first factor"
        )
    return Tightened(
        decision=best.decision,
        tail=best.tail,
        hits=best.hits,
        count=best.count,
        upper_bound=best.upper_bound,
        tried=tuple(tried),
    )


def upper_bound(hits: int, count: int, confidence: float) -> float:
    """Return the one-sided Clopper-Pearson upper bound of a rate.

    Examples
    --------
    >>> round(upper_bound(0, 299, 0.95), 4)
    0.01
    """
    if count <= 0 or not 0 <= hits <= count:
        raise InputError(f"was {hits} of {count}", field="hits", allowed="0 <= hits <= count, count > 0")
    return 1.0 if hits == count else float(stats.beta.ppf(confidence, hits + 1, count - hits))
