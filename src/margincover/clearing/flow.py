"""Liquidation flow by step: how much of it falls into the worst window, how fast, and on which side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from margincover.clearing.checks import amounts
from margincover.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstWindow:
    """Largest flow in any run of steps: where it starts, its amount, its share of all, its hourly rate."""

    first_step: int
    amount_usd: float
    share: float
    rate_usd_per_hour: float


def worst_window(flow_usd: ArrayLike, *, steps: int, step_s: float) -> WorstWindow:
    """Return the window of ``steps`` steps with the largest flow; the first of several, share 0 without any flow.

    Parameters
    ----------
    flow_usd : array [step]
        Liquidated notional by step, >= 0.
    steps : int
        1 to the number of steps.
    step_s : float
        Length of a step in seconds, > 0.
    """
    flow = amounts(flow_usd, name="flow_usd")
    if flow.ndim != 1 or not 1 <= steps <= flow.size or not step_s > 0.0:
        raise InputError(
            f"flow {flow.shape}, window {steps}, step {step_s} s", field="window", allowed="1 to the number of steps"
        )
    sums = np.convolve(flow, np.ones(steps), mode="valid")
    first = int(sums.argmax())
    amount, total = float(flow[first : first + steps].sum()), float(flow.sum())
    return WorstWindow(
        first_step=first,
        amount_usd=amount,
        share=amount / total if total > 0.0 else 0.0,
        rate_usd_per_hour=amount * 3600.0 / (steps * step_s),
    )


def long_share(long_usd: ArrayLike, short_usd: ArrayLike) -> float:
    """Return the part of all liquidated notional that were longs; raise InputError where nothing was liquidated."""
    longs = float(amounts(long_usd, name="long_usd").sum())
    total = longs + float(amounts(short_usd, name="short_usd").sum())
    if not total > 0.0:
        raise InputError("nothing was liquidated", field="long_usd", allowed="flow above 0")
    return longs / total
