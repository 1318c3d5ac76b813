"""Age-weighted block bootstrap: joint bars of the past, drawn the more often the younger they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.bootstrap import bar_weights, draw_bars, eligible_starts
from margincover.numeric.rng import stream
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.dependence import one_factor_loading
from margincover.scenarios.historical import MIN_JOINT_BARS, block_drift, range_variance, replay
from margincover.scenarios.request import require_request
from margincover.units import SECONDS_PER_DAY, format_duration

DECAY_PER_DAY = 0.99
# Thirty blocks, as for the bootstrap without weights: below it the draws repeat a handful of days.
MIN_EFFECTIVE_BLOCKS = 30.0


def age_weights(age: Vector, *, decay: float) -> Vector:
    """Return decay^age, scaled to sum to 1.

    Parameters
    ----------
    age : array [observation]
        In the unit that ``decay`` is stated for, >= 0.
    decay : float
        0 < decay <= 1; 1 weighs all alike.

    Raises
    ------
    InputError
        If decay is out of range.

    References
    ----------
    Boudoukh, Richardson, Whitelaw (1998), The best of both worlds, Risk 11(5):64-67.

    Examples
    --------
    >>> age_weights(np.array([0.0, 1.0]), decay=0.5).round(4)
    array([0.6667, 0.3333])
    """
    if not 0.0 < decay <= 1.0:
        raise InputError(f"was {decay}", field="decay", allowed="above 0, at most 1")
    # from the youngest, so that a long history cannot make every power 0
    weight = np.exp((age - age.min()) * math.log(decay))
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def effective_size(weights: Vector) -> float:
    """Return Kish's effective sample size of weights that sum to 1: 1 over the sum of their squares."""
    return 1.0 / float(weights @ weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeWeightedBootstrap:
    """Draw whole blocks of joint (close, low, high) bars with probability decay^age, the same dates for every factor.

    Parameters
    ----------
    history : History
    factors : sequence of str
    decay_per_day : float
        Weight of a day over that of the day after it. 0.99 halves it in 69 days; 199 days count.
    block_s : int
        Length of a block; a whole number of bars.

    Notes
    -----
    The age of a block is that of its last bar. A block never runs from the end of the history to its start, as in the
    bootstrap without weights: its bars would be of two ages. Recentring and step variance are those of
    ``BlockBootstrap``, under the weights. Volatility follows the market through the weights alone, with a delay: it is
    a benchmark, not a forecast.

    Raises
    ------
    InputError
        For a missing factor, fewer than 180 joint bars, weights under which fewer than 30 blocks count, a block that is
        no whole number of bars, constant prices.
    """

    history: History
    factors: Sequence[str]
    decay_per_day: float = DECAY_PER_DAY
    block_s: int = 21_600
    info: ScenarioInfo = field(init=False)
    _bars: JointBars = field(init=False, repr=False)
    _starts: NDArray[np.int64] = field(init=False, repr=False)
    _chance: Vector = field(init=False, repr=False)
    _drift: FactorFactor = field(init=False, repr=False)
    _variance: FactorFactor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bars = joint_bars(self.history, self.factors)
        if bars.n_usable < MIN_JOINT_BARS:
            raise InputError(
                f"{bars.n_usable} joint bars of {', '.join(bars.factors)}",
                field="history",
                allowed=f"at least {MIN_JOINT_BARS} bars that every coin has",
            )
        block_bars, rest = divmod(self.block_s, bars.step_s)
        if rest or block_bars < 1:
            raise InputError(
                f"was {self.block_s} s", field="block_s", allowed=f"a whole number of bars of {bars.step_s} s"
            )
        n = bars.usable.size
        starts = eligible_starts(bars.usable, block_bars=block_bars)
        starts = starts[starts + block_bars <= n]
        if starts.size == 0:
            raise InputError(
                "no block without a missing bar was found", field="history", allowed=f"{block_bars} bars without a gap"
            )
        age_days = (n - (starts + block_bars)) * bars.step_s / SECONDS_PER_DAY
        chance = age_weights(age_days, decay=self.decay_per_day)
        # blocks overlap: of those that do, one in ``block_bars`` counts
        blocks = effective_size(chance) / block_bars
        if blocks < MIN_EFFECTIVE_BLOCKS:
            raise InputError(
                f"a decay of {self.decay_per_day:g} a day over {bars.n_usable} joint bars left {blocks:.1f} blocks of "
                f"{format_duration(self.block_s)} that count",
                field="decay_per_day",
                allowed=f"at least {MIN_EFFECTIVE_BLOCKS:g}: a decay nearer to 1, or more bars",
            )
        weights = bar_weights(starts, block_bars=block_bars, n_bars=n, chance=chance)
        object.__setattr__(self, "factors", bars.factors)
        object.__setattr__(self, "_bars", bars)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_chance", chance)
        object.__setattr__(self, "_drift", block_drift(bars, starts, block_bars, chance))
        object.__setattr__(self, "_variance", range_variance(bars, weights))
        object.__setattr__(self, "info", self._info(weights, blocks))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        require_request(n_steps=n_steps, n_paths=n_paths)
        index = draw_bars(
            stream(seed, "age-weighted.blocks", number),
            self._starts,
            block_bars=self._drift.shape[1],
            n_bars=self._bars.usable.size,
            shape=(n_steps, n_paths),
            chance=self._chance,
        )
        return replay(self._bars, index, drift=self._drift, variance=self._variance)

    def _info(self, weights: Vector, blocks: float) -> ScenarioInfo:
        bars, drawn = self._bars, weights > 0.0
        covariance = np.atleast_2d(np.cov(bars.close[:, drawn], aweights=weights[drawn], ddof=0))
        deviation = np.sqrt(np.diag(covariance))
        correlation = np.clip(covariance / np.outer(deviation, deviation), -1.0, 1.0)
        np.fill_diagonal(correlation, 1.0)
        block_bars = self._drift.shape[1]
        return ScenarioInfo(
            factors=bars.factors,
            step_s=bars.step_s,
            loading=one_factor_loading(correlation),
            correlation=correlation,
            method="age-weighted",
            label=f"Age-weighted bootstrap of joint bars, {self.decay_per_day:g} a day, "
            f"{format_duration(self.block_s)} blocks",
            params={
                "joint_bars": str(bars.n_usable),
                "bars_left_out": str(int((~bars.usable).sum())),
                "block_bars": str(block_bars),
                "decay_per_day": f"{self.decay_per_day:g}",
                "effective_sample": f"{blocks:.1f} blocks of {format_duration(self.block_s)} "
                f"({blocks * self.block_s / SECONDS_PER_DAY:.1f} days)",
                "window": f"{utc_text(bars.start_utc_ns)} to {utc_text(bars.end_utc_ns)}",
                "recentring": "mean price 1 at every position of a block, per factor",
                "step_variance": "Parkinson range of the drawn bar, scaled to the close-to-close variance",
            },
            input_sha256=self.history.sha256,
            as_of=utc_text(bars.end_utc_ns),
            warnings=self.history.issues,
            not_modelled=(
                "a change of volatility faster than the weights forget",
                "moves larger than the largest bar seen",
                "dependence across block edges",
            ),
        )
