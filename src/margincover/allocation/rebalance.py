"""A rule that moves money between venues hour by hour, followed along paths, and the least capital that it needs.

The rule looks at each venue at the close of every step. A venue should hold its need of the coming hours, which moves
with volatility; when it holds less than that by more than a band, money is sent from the reserve and taken back from
venues that hold more. A move takes time, and while it is under way it protects nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.allocation import rebalance_kernel
from margincover.errors import InputError
from margincover.numeric.arrays import IndexVector, PathVector, StepPoolPath, Vector

_GROWTH = 1.12
_BISECTIONS = 9
_MAX_DOUBLINGS = 60
_LADDER = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePaths:
    """What a book needs at each venue along joint paths, before any money is moved.

    Parameters
    ----------
    worst_usd : array [step, venue, path]
        Maintenance minus equity change at the worst prices within each step.
    close_usd : array [step, venue, path]
        The same at the close of each step.
    need_usd : array [step, venue, path]
        Need of the hours from each step on, as known before the step, >= 0; only ratios between venues and over time
        matter.
    """

    worst_usd: StepPoolPath
    close_usd: StepPoolPath
    need_usd: StepPoolPath
    _table: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check shapes and signs."""
        for name in ("worst_usd", "close_usd", "need_usd"):
            array = getattr(self, name)
            if array.ndim != 3 or array.shape != self.worst_usd.shape or 0 in array.shape:
                raise InputError(f"shape was {array.shape}", field=name, allowed="one shape [step, venue, path]")
            if not np.isfinite(array).all():
                raise InputError("held a NaN or an infinity", field=name, allowed="finite numbers")
        if float(self.need_usd.min()) < 0.0:
            raise InputError(f"was {float(self.need_usd.min()):g}", field="need_usd", allowed=">= 0")
        # as the compiled loop reads it, [path, step, 3, venue]
        table = np.stack((self.worst_usd, self.close_usd, self.need_usd), axis=2).transpose(3, 0, 2, 1)
        object.__setattr__(self, "_table", np.ascontiguousarray(table))

    @property
    def n_venues(self) -> int:
        """Number of venues."""
        return int(self.worst_usd.shape[1])

    @property
    def n_paths(self) -> int:
        """Number of paths."""
        return int(self.worst_usd.shape[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceRule:
    """How money is placed at the start and moved later.

    Parameters
    ----------
    share : array [venue]
        Part of the money at venues that each holds at the start, >= 0, sums to 1.
    reserve_share : float
        Part of all capital in the reserve at the start, 0 <= share < 1.
    band_fraction : float
        A venue is sent money when it lacks more than this part of its target, >= 0.
    takes_back : bool
        Venues above their target give to those below it. Never more than the money placed there: gains that are not
        realised stay.
    delay_steps : int
        Whole steps that a move is under way: 0 arrives at once, 1 leaves the next step without it.
    """

    share: Vector
    reserve_share: float = 0.0
    band_fraction: float = 0.1
    takes_back: bool = True
    delay_steps: int = 1

    def __post_init__(self) -> None:
        """Check every number once."""
        if self.share.ndim != 1 or not np.isfinite(self.share).all() or float(self.share.min(initial=0.0)) < 0.0:
            raise InputError("was not a vector of numbers >= 0", field="share", allowed="numbers >= 0, one a venue")
        if abs(float(self.share.sum()) - 1.0) > 1e-9:
            raise InputError(f"summed to {float(self.share.sum()):g}", field="share", allowed="a sum of 1")
        if not 0.0 <= self.reserve_share < 1.0:
            raise InputError(f"was {self.reserve_share}", field="reserve_share", allowed="0 <= share < 1")
        if not 0.0 <= self.band_fraction < np.inf:
            raise InputError(f"was {self.band_fraction}", field="band_fraction", allowed=">= 0")
        if self.delay_steps < 0:
            raise InputError(f"was {self.delay_steps}", field="delay_steps", allowed="an integer >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What happened on each followed path.

    ``step``, ``venue`` [path] of the first liquidation, -1 for none; at a liquidation the path ends. ``money_usd``
    [venue + 2, path] is where the capital is at the end: placed at each venue, in the reserve, under way.
    """

    step: IndexVector
    venue: IndexVector
    money_usd: NDArray[np.float64]

    @property
    def is_liquidated(self) -> NDArray[np.bool_]:
        """True [path] where a venue was liquidated."""
        return np.asarray(self.step >= 0)


def follow(
    needs: VenuePaths,
    rule: RebalanceRule,
    capital_usd: Vector,
    *,
    paths: NDArray[np.int64] | None = None,
    frozen_venues: tuple[int, ...] = (),
) -> Followed:
    """Follow the rule along paths.

    Parameters
    ----------
    capital_usd : array [path]
        All money at the start, at venues and in the reserve.
    paths : array or None
        Which paths to follow, one for each capital; a path may come more than once. None: all in order.
    frozen_venues : tuple of int
        Venues that neither send nor receive. Their positions go on and may be liquidated.

    Notes
    -----
    Before each step: what was sent ``delay_steps`` + 1 closes ago arrives. In the step: a venue whose shortfall at the
    worst prices reaches its money is liquidated. At the close: with H the headroom of all open venues, what is under
    way to them and the reserve, the target of venue v is min(k0, H / sum of needs) x need_v, where k0 is the ratio of
    money to need at the start. Venues that lack more than the band are sent what they lack, from the reserve first,
    then from venues above their target in proportion; when both are too little, all receive the same part. Nothing is
    sent that would arrive after the last step.
    """
    chosen = np.arange(needs.n_paths, dtype=np.int64) if paths is None else np.asarray(paths, dtype=np.int64)
    if chosen.ndim != 1 or not ((chosen >= 0) & (chosen < needs.n_paths)).all():
        raise InputError("named a path that is not there", field="paths", allowed=f"0 to {needs.n_paths - 1}")
    useable = _useable(needs, rule, capital_usd, chosen.size, frozen_venues)
    step, venue, money = rebalance_kernel.follow(
        needs._table,
        useable,
        rule.share,
        rule.reserve_share,
        rule.band_fraction,
        rule.takes_back,
        rule.delay_steps,
        chosen,
        np.ascontiguousarray(capital_usd, dtype=np.float64),
    )
    return Followed(step=step, venue=venue, money_usd=money)


def _useable(
    needs: VenuePaths, rule: RebalanceRule, capital_usd: Vector, n_followed: int, frozen_venues: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Return which venues send and receive, after the request is checked."""
    if capital_usd.shape != (n_followed,):
        raise InputError(f"{capital_usd.size} capitals", field="capital_usd", allowed=f"one for each of {n_followed}")
    if not (np.isfinite(capital_usd).all() and float(capital_usd.min(initial=0.0)) >= 0.0):
        raise InputError("was not finite and >= 0", field="capital_usd", allowed="finite numbers >= 0")
    if rule.share.size != needs.n_venues:
        raise InputError(f"{rule.share.size} shares", field="share", allowed=f"one for each of {needs.n_venues} venues")
    if any(not 0 <= venue < needs.n_venues for venue in frozen_venues):
        raise InputError(f"was {frozen_venues}", field="frozen_venues", allowed=f"0 to {needs.n_venues - 1}")
    useable = np.ones(needs.n_venues, dtype=np.bool_)
    useable[list(frozen_venues)] = False
    return useable


def least_capital(needs: VenuePaths, rule: RebalanceRule, *, tolerance: float, guess_usd: float) -> float:
    """Return the least capital with which at most ``tolerance`` of the paths see a venue liquidated.

    Parameters
    ----------
    tolerance : float
        0 < tolerance < 1.
    guess_usd : float
        Where the search starts, > 0.

    Raises
    ------
    InputError
        If no capital suffices: a venue without money at the start that has a need at once.

    Notes
    -----
    The search halves a bracket and looks only at paths that fail at its lower end; the answer is then followed on all
    paths, and raised while it fails there, so that it holds whether or not more money always helps.
    """
    if not 0.0 < tolerance < 1.0:
        raise InputError(f"was {tolerance}", field="tolerance", allowed="0 < tolerance < 1")
    if not guess_usd > 0.0:
        raise InputError(f"was {guess_usd}", field="guess_usd", allowed="> 0")
    allowed = int(tolerance * needs.n_paths + 1e-9)
    low, high, failing = _bracket(needs, rule, allowed, guess_usd)
    for _ in range(_BISECTIONS):
        middle = float(np.sqrt(low * high))
        failed = follow(needs, rule, np.full(failing.size, middle), paths=failing).is_liquidated
        if int(failed.sum()) > allowed:
            low, failing = middle, failing[failed]
        else:
            high = middle
    for _ in range(_MAX_DOUBLINGS):
        if _n_failed(needs, rule, high)[0] <= allowed:
            return high
        high *= 1.005
    raise InputError("more capital did not help", field="rule", allowed="a rule under which capital helps")


def _n_failed(needs: VenuePaths, rule: RebalanceRule, capital_usd: float) -> tuple[int, NDArray[np.int64]]:
    failed = np.flatnonzero(follow(needs, rule, np.full(needs.n_paths, capital_usd)).is_liquidated)
    return failed.size, failed.astype(np.int64)


def _bracket(
    needs: VenuePaths, rule: RebalanceRule, allowed: int, guess_usd: float
) -> tuple[float, float, NDArray[np.int64]]:
    """Return a capital that fails, one that holds, and the paths that fail with the first."""
    count, failing = _n_failed(needs, rule, guess_usd)
    capital = guess_usd
    for _ in range(_MAX_DOUBLINGS):
        if count > allowed:
            higher = capital * _GROWTH
            failed = follow(needs, rule, np.full(failing.size, higher), paths=failing).is_liquidated
            if int(failed.sum()) <= allowed:
                return capital, higher, failing
            capital, failing, count = higher, failing[failed], int(failed.sum())
        else:
            lower = capital / _GROWTH
            count, failing = _n_failed(needs, rule, lower)
            if count > allowed:
                return lower, capital, failing
            capital = lower
    raise InputError("no capital kept the tolerance", field="rule", allowed="money at every venue with a need")


def critical_capital(needs: VenuePaths, rule: RebalanceRule, *, path: int, low_usd: float, high_usd: float) -> float:
    """Return the capital above which one path is survived.

    The largest of 120 capitals from ``low_usd`` to ``high_usd`` that fails, and between it and the next 120 more: 0 if
    none fails, infinite if the highest does.
    """
    ladder: PathVector = np.geomspace(low_usd, high_usd, _LADDER)
    failed = follow(needs, rule, ladder, paths=np.full(_LADDER, path)).is_liquidated
    if failed[-1]:
        return float("inf")
    if not failed.any():
        return 0.0
    last = int(np.flatnonzero(failed)[-1])
    ladder = np.geomspace(ladder[last], ladder[last + 1], _LADDER)
    failed = follow(needs, rule, ladder, paths=np.full(_LADDER, path)).is_liquidated
    return float(ladder[int(np.flatnonzero(failed)[-1]) + 1])
