"""Probabilities of a margin call and of liquidation by horizon, from first-passage steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from margincover.model.results import Estimate, HorizonProbability
from margincover.numeric.intervals import wilson

HORIZONS_S = (3_600, 14_400, 28_800, 86_400, 259_200, 432_000, 864_000, 2_592_000)


def by_horizon(
    liquidation_step: NDArray[np.int32], call_step: NDArray[np.int32], *, step_s: int, n_steps: int, horizon_s: int
) -> tuple[HorizonProbability, ...]:
    """Return probabilities with 95 % Wilson intervals for each standard horizon that was followed.

    Parameters
    ----------
    liquidation_step, call_step : array [path]
        First step in which the level was touched, 0 at the start, -1 never.
    step_s, n_steps : int
    horizon_s : int
        The tolerance's own horizon, added to the standard ones.
    """
    done = []
    for horizon in sorted({*HORIZONS_S, horizon_s}):
        if horizon % step_s or horizon > n_steps * step_s:
            continue
        last = horizon // step_s
        done.append(
            HorizonProbability(
                horizon_s=horizon,
                liquidation=_share(liquidation_step, last),
                margin_call=_share(call_step, last),
            )
        )
    return tuple(done)


def any_liquidation(
    liquidation_steps: NDArray[np.int32], call_steps: NDArray[np.int32], **kwargs: int
) -> tuple[HorizonProbability, ...]:
    """Return the probability that at least one of the pools [pool, path] is touched, by horizon."""
    return by_horizon(_earliest(liquidation_steps), _earliest(call_steps), **kwargs)


def median_time_s(liquidation_step: NDArray[np.int32], step_s: int) -> float | None:
    """Return the median first-passage time of the paths that are liquidated, None when none is."""
    hit = liquidation_step[liquidation_step >= 0]
    return float(np.median(hit)) * step_s if hit.size else None


def _earliest(steps: NDArray[np.int32]) -> NDArray[np.int32]:
    never = np.iinfo(np.int32).max
    if not steps.shape[0]:
        return np.full(max(steps.shape[1], 1), -1, dtype=np.int32)
    first = np.where(steps < 0, never, steps).min(axis=0)
    return np.where(first == never, -1, first).astype(np.int32)


def _share(steps: NDArray[np.int32], last: int) -> Estimate:
    hits = int(np.count_nonzero((steps >= 0) & (steps <= last)))
    value, error, low, high = wilson(hits, steps.size)
    return Estimate(value=value, standard_error=error, low=low, high=high)


def labels(horizons: Sequence[HorizonProbability]) -> tuple[int, ...]:
    """Return the horizons in seconds."""
    return tuple(item.horizon_s for item in horizons)
