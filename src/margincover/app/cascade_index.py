"""The index along a cascade: a stated fall, or bars that were seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from margincover.clearing.cascade_arrays import Floats
from margincover.errors import InputError, UsageError
from margincover.io.history_table import read_bars

MAX_STEPS = 200_000
NS_PER_S = 1_000_000_000
_POINTS = 4  # of a bar: open, the extreme met first, the other, close


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPath:
    """Price over the price before the event, step by step; ``label`` says where it comes from."""

    relative: Floats
    step_s: float
    label: str


def stated_fall(shock: float, *, over_s: float, duration_s: float, step_s: float) -> IndexPath:
    """Return an index that moves evenly by ``shock`` in the time ``over_s`` and then stays.

    Raises
    ------
    UsageError
        If the shock is not above -1, or the times give no step or more than 200,000.
    """
    if not (np.isfinite(shock) and -1.0 < shock <= 10.0):
        raise UsageError(f"was {shock:g}", field="--shock", allowed="above -100%, to 1000%")
    if not 0.0 < step_s <= duration_s:
        raise UsageError(f"was {step_s:g} s", field="--step", allowed=f"above 0, to the duration of {duration_s:g} s")
    n_steps = round(duration_s / step_s)
    if n_steps > MAX_STEPS:
        raise UsageError(f"{n_steps} steps", field="--step", allowed=f"at most {MAX_STEPS}: a longer step")
    progress = np.minimum(np.arange(1, n_steps + 1) * step_s / max(over_s, step_s), 1.0)
    return IndexPath(
        relative=1.0 + shock * progress, step_s=step_s, label=f"index {shock:+.1%} over {over_s / 60.0:g} minutes"
    )


def seen_bars(path: Path, *, start_ns: int | None = None, end_ns: int | None = None) -> IndexPath:
    """Return the index along bars: open, low, high, close where a bar rises, open, high, low, close where it falls.

    Which extreme came first is not in a bar: the one away from the close is taken.

    Raises
    ------
    InputError
        If fewer than two bars are there, or they do not stand evenly in time.
    """
    table = read_bars(path)
    keep = np.ones(table.ts_ns.size, dtype=bool)
    if start_ns is not None:
        keep &= table.ts_ns >= start_ns
    if end_ns is not None:
        keep &= table.ts_ns < end_ns
    table = table.kept(keep)
    gaps = np.diff(table.ts_ns)
    if gaps.size < 1 or (gaps != gaps[0]).any():
        found = f"{table.ts_ns.size} bars"
        if gaps.size:
            found += f", {gaps.min() / NS_PER_S:g} to {gaps.max() / NS_PER_S:g} s apart"
        raise InputError(found, source=str(path), field="ts", allowed="two bars or more, evenly in time")
    first, high, low, close = table.prices
    rises = close >= first
    points = np.stack([first, np.where(rises, low, high), np.where(rises, high, low), close], axis=1)
    return IndexPath(
        relative=points.ravel() / first[0],
        step_s=float(gaps[0]) / NS_PER_S / _POINTS,
        label=f"{table.ts_ns.size} bars of {path.name}",
    )
