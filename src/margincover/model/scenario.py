"""Scenario types: history in, blocks of joint market paths out, and the protocol of every generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, StepFactorPath, Vector, frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorHistory:
    """Bars of one factor on a regular grid, gaps already decided by ``io.history``.

    Parameters
    ----------
    factor : str
    start_utc_ns : int
        Open time of the first bar.
    step_s : int
    open, high, low, close : Vector [bar]
        Prices, > 0, low <= open, close <= high. A missing bar is NaN in all four.
    source : str
    repaired_bars, missing_bars : int
        How many bars were clipped as bad prints, and how many are missing.
    """

    factor: str
    start_utc_ns: int
    step_s: int
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    source: str
    repaired_bars: int = 0
    missing_bars: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Histories of several factors with the same step, and what was noticed on loading."""

    factors: Mapping[str, FactorHistory]
    step_s: int
    sha256: str
    issues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioBlock:
    """One block of joint paths.

    Parameters
    ----------
    close_log : array [step, factor, path]
        Log of price over price at the start, at the end of each step.
    low_log, high_log : array [step, factor, path]
        Lowest and highest log price inside each step, including both ends of the step.
    step_variance : array [step, factor, path]
        Variance of the log return inside each step, used for the bridge of pools with several factors.
    funding_per_hour : array [step, row of ``ScenarioInfo.funding``, path] or None
        Perpetual funding during each step as a fraction of notional, > 0 means longs pay; None holds that of the book.
    mark_log : array [step, row of ``ScenarioInfo.marks``, path] or None
        Log of mark over index at the end of each step, over that at the start; None holds marks at their index.
    """

    close_log: StepFactorPath
    low_log: StepFactorPath
    high_log: StepFactorPath
    step_variance: StepFactorPath
    funding_per_hour: StepFactorPath | None = None
    mark_log: StepFactorPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioInfo:
    """What a generator is: factors, step, loadings of the one-factor bridge, method and parameters.

    ``loading`` [factor] in [-1, 1] gives the correlation inside a step as loading_i * loading_j (i != j).
    ``funding`` names the perpetuals, ``marks`` the coins at venues (``BTC@binance``) whose rows a block holds.
    """

    factors: tuple[str, ...]
    step_s: int
    loading: Vector
    correlation: FactorFactor
    method: str
    label: str
    params: Mapping[str, str] = field(default_factory=dict)
    input_sha256: str = ""
    as_of: str = ""
    warnings: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()
    funding: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.factors)
        object.__setattr__(self, "loading", frozen(self.loading, name="loading", ndim=1))
        object.__setattr__(self, "correlation", frozen(self.correlation, name="correlation", ndim=2))
        if self.loading.shape != (n,) or self.correlation.shape != (n, n):
            raise InputError("loading or correlation did not match the factors", field="scenario")
        if np.abs(self.loading).max(initial=0.0) > 1.0:
            raise InputError("a loading was outside [-1, 1]", field="scenario.loading", allowed="-1 to 1")


class ScenarioGenerator(Protocol):
    """Maker of joint paths, block by block. One required method.

    ``block`` depends on (seed, block number, n_steps, n_paths) alone; a shorter ``n_steps`` is a prefix of a longer
    one, so that a longer horizon never changes what happened before.
    """

    @property
    def info(self) -> ScenarioInfo:
        """What the generator makes."""

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` with ``n_paths`` paths of ``n_steps`` steps."""
