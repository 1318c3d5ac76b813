"""An insurance fund over time: fees come in, deficits go out, its own assets move with the market."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.clearing.checks import amounts, numbers
from margincover.errors import InputError
from margincover.numeric.arrays import PathVector
from margincover.numeric.intervals import wilson

StepPath = NDArray[np.float64]  # [step, path]
NEVER = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class FundPaths:
    """What a fund did on every path.

    Parameters
    ----------
    level_usd : array [step + 1, path]
        Value before the first step and after each.
    paid_usd, residual_usd : array [step, path]
        Paid deficit and what was left of it; their sum is the deficit.
    revaluation_usd : array [step, path]
        Change of value of the fund's own assets, signed.
    inflow_usd : array [step, path]
    depleted_at : array [path] of int
        First step at which a deficit was not paid in full; -1 for never.
    refilled_after : array [path] of int
        Steps from the first payment until the fund was back at the level before it; -1 where it was not, or nothing was
        paid (``first_paid_at`` tells them apart).
    first_paid_at : array [path] of int
        -1 where nothing was paid.
    """

    level_usd: StepPath
    paid_usd: StepPath
    residual_usd: StepPath
    revaluation_usd: StepPath
    inflow_usd: StepPath
    depleted_at: NDArray[np.int64]
    refilled_after: NDArray[np.int64]
    first_paid_at: NDArray[np.int64]

    @property
    def depletion(self) -> tuple[float, float, float]:
        """Probability that some deficit is not paid in full, with its 95 % interval (estimate, low, high)."""
        estimate, _, low, high = wilson(int((self.depleted_at != NEVER).sum()), self.depleted_at.size)
        return estimate, low, high

    def refill_quantile(self, share: float) -> float:
        """Return the steps within which that share of drawn funds was refilled; infinite where fewer were.

        NaN is never returned: without any draw there is no time to state and an error says so.
        """
        drawn = self.first_paid_at != NEVER
        if not drawn.any():
            raise InputError("the fund was never drawn", field="refill", allowed="paths with a deficit")
        if not 0.0 < share <= 1.0:
            raise InputError(f"was {share}", field="share", allowed="above 0, at most 1")
        steps = self.refilled_after[drawn]
        times = np.sort(np.where(steps == NEVER, np.inf, steps.astype(np.float64)))
        return float(times[int(np.ceil(share * times.size)) - 1])

    def fan(self, shares: ArrayLike = (0.01, 0.05, 0.25, 0.5, 0.75)) -> NDArray[np.float64]:
        """Return quantiles of the level over paths, [share, step + 1]."""
        return np.asarray(np.quantile(self.level_usd, np.asarray(shares), axis=1), dtype=np.float64)


def run_fund(
    *,
    start_usd: float,
    deficit_usd: ArrayLike,
    inflow_usd: ArrayLike,
    asset_return: ArrayLike | None = None,
    coin_fraction: float = 0.0,
) -> FundPaths:
    """Run a fund along paths.

    Parameters
    ----------
    start_usd : float
    deficit_usd : array [step, path]
    inflow_usd : float or array [step, path]
        Liquidation and trading fees that the fund receives in a step, >= 0.
    asset_return : array [step, path] or None
        Relative change of the fund's coins, >= -1; needed where ``coin_fraction`` is above 0.
    coin_fraction : float
        Part of the fund in coins, 0 to 1, rebalanced at each step. The same paths must drive coins and deficits.

    Notes
    -----
    In each step the value moves first, then fees come in, then claims are paid as far as the money goes.
    """
    claims = _claims(deficit_usd)
    income = np.zeros(claims.shape) + _table(amounts(inflow_usd, name="inflow_usd"), claims.shape, "inflow_usd")
    moves = _moves(asset_return, coin_fraction, claims.shape)
    level, paid, gained = _roll(float(amounts(start_usd, name="start_usd")), claims, income, moves)
    first_paid, refilled = _refill(level, paid)
    return FundPaths(
        level_usd=level,
        paid_usd=paid,
        residual_usd=claims - paid,
        revaluation_usd=gained,
        inflow_usd=income,
        depleted_at=_first(claims > paid),
        refilled_after=refilled,
        first_paid_at=first_paid,
    )


def _claims(deficit_usd: ArrayLike) -> StepPath:
    claims = amounts(deficit_usd, name="deficit_usd")
    if claims.ndim != 2 or not claims.size:
        raise InputError(f"shape {claims.shape}", field="deficit_usd", allowed="[step, path]")
    return claims


def _roll(start: float, claims: StepPath, income: StepPath, moves: StepPath) -> tuple[StepPath, StepPath, StepPath]:
    """Return (level, paid, revaluation) step by step."""
    steps, paths = claims.shape
    level, paid, gained = np.empty((steps + 1, paths)), np.empty(claims.shape), np.empty(claims.shape)
    level[0] = start
    for step in range(steps):
        gained[step] = level[step] * moves[step]
        before = level[step] + gained[step] + income[step]
        np.minimum(claims[step], before, out=paid[step])
        level[step + 1] = before - paid[step]
    return level, paid, gained


def _moves(asset_return: ArrayLike | None, coin_fraction: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    fraction = float(amounts(coin_fraction, name="coin_fraction"))
    if fraction > 1.0 or (fraction > 0.0 and asset_return is None):
        found = f"was {fraction}, returns {'missing' if asset_return is None else 'stated'}"
        raise InputError(found, field="coin_fraction", allowed="0 to 1, with returns where it is above 0")
    if asset_return is None:
        return np.zeros(shape)
    moves = _table(numbers(asset_return, name="asset_return"), shape, "asset_return")
    if (moves < -1.0).any():
        raise InputError(f"was {moves.min()}", field="asset_return", allowed="at least -1: a coin cannot lose more")
    return fraction * np.broadcast_to(moves, shape)


def _table(values: NDArray[np.float64], shape: tuple[int, ...], name: str) -> NDArray[np.float64]:
    if values.shape not in ((), shape):
        raise InputError(f"shape {values.shape}", field=name, allowed=f"one figure or {list(shape)}")
    return values


def _first(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First step of each path where a flag holds, -1 for never."""
    return np.where(flags.any(axis=0), flags.argmax(axis=0), NEVER).astype(np.int64)


def _refill(level: StepPath, paid: StepPath) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the step of the first payment and the steps from there until the level before it is reached again."""
    first = _first(paid > 0.0)
    drawn = first != NEVER
    start = np.where(drawn, first, 0)
    target: PathVector = level[start, np.arange(level.shape[1])]
    after = np.arange(1, level.shape[0])[:, np.newaxis]
    # the step of the payment itself counts when its own fees already make it good
    back = (level[1:] >= target) & (after > start) & drawn
    found = _first(back)
    return first, np.where(found == NEVER, NEVER, found - start)
