"""Block bootstrap of joint bars: the past itself, in blocks of hours, without any volatility model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.bootstrap import BlockChoice, bar_weights, draw_bars, eligible_starts
from margincover.numeric.rng import stream
from margincover.numeric.volatility import parkinson_variance
from margincover.scenarios.bars import JointBars, joint_bars, utc_text
from margincover.scenarios.dependence import one_factor_loading
from margincover.scenarios.request import require_request
from margincover.units import format_duration

# 30 blocks of 6 hourly bars: below it a bootstrap only repeats a handful of days.
MIN_JOINT_BARS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockBootstrap:
    """Draw whole blocks of joint (close, low, high) bars, the same dates for every factor.

    Parameters
    ----------
    history : History
    factors : sequence of str
    block_s : int
        Length of a block; a whole number of bars.

    Notes
    -----
    The bars stand on a circle; a block with a bar that any factor misses is never drawn. Every factor is recentred to
    a martingale: at position k of a block the log move loses the constant that makes the mean price over the first k
    bars of all drawable blocks equal 1, which takes out the mean return and the convexity together. The price mean is
    then 1 at every step, exactly. Low and high move with their close. ``step_variance`` is the Parkinson variance of
    the drawn bar (its range includes the previous close), scaled per factor so that its mean is the close-to-close
    variance.

    Raises
    ------
    InputError
        For a missing factor, fewer than 180 joint bars, a block that is no whole number of bars, constant prices.

    References
    ----------
    Politis, Romano (1992), A circular block-resampling procedure for stationary data, in Exploring the Limits of
    Bootstrap, Wiley.
    """

    history: History
    factors: Sequence[str]
    block_s: int = 21_600
    info: ScenarioInfo = field(init=False)
    _bars: JointBars = field(init=False, repr=False)
    _starts: NDArray[np.int64] = field(init=False, repr=False)
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
        starts = eligible_starts(bars.usable, block_bars=block_bars)
        weights = bar_weights(starts, block_bars=block_bars, n_bars=bars.usable.size)
        object.__setattr__(self, "factors", bars.factors)
        object.__setattr__(self, "_bars", bars)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_drift", block_drift(bars, starts, block_bars))
        object.__setattr__(self, "_variance", range_variance(bars, weights))
        object.__setattr__(self, "info", _info(self.history, bars, block_bars=block_bars))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        require_request(n_steps=n_steps, n_paths=n_paths)
        bars, block_bars = self._bars, self._drift.shape[1]
        rng = stream(seed, "historical.blocks", number)
        index = draw_bars(rng, self._starts, block_bars=block_bars, n_bars=bars.usable.size, shape=(n_steps, n_paths))
        return self.along(index, seed=seed, number=number)

    def block_choice(self) -> BlockChoice:
        """Return the blocks that are drawn, with the log moves of their closes."""
        return BlockChoice(starts=self._starts, block_bars=self._drift.shape[1], moves=self._bars.close)

    def along(self, index: NDArray[np.int32], *, seed: int, number: int) -> ScenarioBlock:
        """Return the paths for given bars [step, path]; nothing else in them is random."""
        return replay(self._bars, index, drift=self._drift, variance=self._variance)


def replay(bars: JointBars, index: NDArray[np.int32], *, drift: FactorFactor, variance: FactorFactor) -> ScenarioBlock:
    """Return the paths of drawn bars, recentred.

    Parameters
    ----------
    bars : JointBars
    index : array [step, path]
        Bars drawn in blocks that start together.
    drift : array [factor, position]
        From ``block_drift``.
    variance : array [factor, bar]
        From ``range_variance``.
    """
    n_steps, n_paths = index.shape
    position = np.arange(n_steps) % drift.shape[1]
    out = np.empty((4, n_steps, len(bars.factors), n_paths))
    for f in range(len(bars.factors)):
        out_of = drift[f][position][:, None]
        close = np.cumsum(bars.close[f][index] - out_of, axis=0)
        start = np.zeros_like(close)
        start[1:] = close[:-1]
        # recentring may lift a low above an end of its step by the size of the drift, hence the min and max
        low = np.minimum(start + bars.low[f][index] - out_of, np.minimum(start, close))
        high = np.maximum(start + bars.high[f][index] - out_of, np.maximum(start, close))
        out[:, :, f] = close, low, high, variance[f][index]
    return ScenarioBlock(close_log=out[0], low_log=out[1], high_log=out[2], step_variance=out[3])


def block_drift(
    bars: JointBars, starts: NDArray[np.int64], block_bars: int, chance: Vector | None = None
) -> FactorFactor:
    """Return constants [factor, position] that make the mean price 1 after every position of a block.

    ``chance`` [start] is the probability of each block, None for the same of all.
    """
    covered = (starts[:, None] + np.arange(block_bars)) % bars.usable.size
    drift = np.empty((len(bars.factors), block_bars))
    for f, close in enumerate(bars.close):
        log_mean = np.log(np.average(np.exp(np.cumsum(close[covered], axis=1)), axis=0, weights=chance))
        drift[f] = np.diff(log_mean, prepend=0.0)
    return drift


def range_variance(bars: JointBars, weights: Vector) -> FactorFactor:
    """Return the Parkinson variance [factor, bar], scaled to the close-to-close variance; NaN where a bar is missing.

    Raises
    ------
    InputError
        If the close of a factor never moves in the bars that may be drawn.
    """
    result = parkinson_variance(bars.high - bars.low)
    drawn = weights > 0.0
    for f, close in enumerate(bars.close):
        mean = float(weights[drawn] @ close[drawn])
        realised = float(weights[drawn] @ (close[drawn] - mean) ** 2)
        if not realised > 0.0:
            raise InputError(
                f"the close never moved over the {int(drawn.sum())} bars that may be drawn",
                field=bars.factors[f],
                allowed="prices that vary",
            )
        result[f] *= realised / float(weights[drawn] @ result[f][drawn])
    return result


def _info(history: History, bars: JointBars, *, block_bars: int) -> ScenarioInfo:
    correlation = np.atleast_2d(np.corrcoef(bars.close[:, bars.usable]))
    np.fill_diagonal(correlation, 1.0)
    return ScenarioInfo(
        factors=bars.factors,
        step_s=bars.step_s,
        loading=one_factor_loading(correlation),
        correlation=correlation,
        method="historical",
        label=f"Block bootstrap of joint bars, {format_duration(block_bars * bars.step_s)} blocks",
        params={
            "joint_bars": str(bars.n_usable),
            "bars_left_out": str(int((~bars.usable).sum())),
            "block_bars": str(block_bars),
            "window": f"{utc_text(bars.start_utc_ns)} to {utc_text(bars.end_utc_ns)}",
            "recentring": "mean price 1 at every position of a block, per factor",
            "step_variance": "Parkinson range of the drawn bar, scaled to the close-to-close variance",
        },
        input_sha256=history.sha256,
        as_of=utc_text(bars.end_utc_ns),
        warnings=history.issues,
        not_modelled=(
            "today's volatility (all dates are equally likely)",
            "moves larger than the largest bar seen",
            "dependence across block edges",
        ),
    )
