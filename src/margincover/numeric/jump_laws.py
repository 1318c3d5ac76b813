"""Laws of one jump of a log price: normal (Merton) and double exponential (Kou), with their exponential tilts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector


class JumpLaw(Protocol):
    """Law of the size Y of a jump in the log price."""

    def log_moment(self, power: float) -> float:
        """Return ln E exp(power Y), infinite where the mean is."""

    def mean_square(self) -> float:
        """Return E Y^2."""

    def tilted(self, power: float) -> JumpLaw:
        """Return the law with density exp(power y) / E exp(power Y) against this one."""

    def scaled(self, multiple: float) -> JumpLaw:
        """Return the law of ``multiple`` times Y, ``multiple`` > 0."""

    def sizes(self, sign: Vector, uniform: Vector) -> Vector:
        """Return sizes from two independent uniforms in (0, 1) each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalJumps:
    """Y ~ N(mean, deviation^2), in log price; ``deviation`` >= 0.

    References
    ----------
    Merton (1976), Option pricing when underlying stock returns are discontinuous, Journal of Financial Economics
    3:125-144, doi:10.1016/0304-405X(76)90022-2.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation >= 0.0):
            raise InputError(
                f"mean {self.mean}, deviation {self.deviation}", field="jumps", allowed="finite numbers, deviation >= 0"
            )

    def log_moment(self, power: float) -> float:
        """Return ln E exp(power Y)."""
        return power * self.mean + 0.5 * (power * self.deviation) ** 2

    def mean_square(self) -> float:
        """Return E Y^2."""
        return self.mean**2 + self.deviation**2

    def tilted(self, power: float) -> NormalJumps:
        """Return N(mean + power deviation^2, deviation^2)."""
        return NormalJumps(mean=self.mean + power * self.deviation**2, deviation=self.deviation)

    def scaled(self, multiple: float) -> NormalJumps:
        """Return the law of ``multiple`` times Y, ``multiple`` > 0."""
        return NormalJumps(mean=self.mean * multiple, deviation=self.deviation * multiple)

    def sizes(self, sign: Vector, uniform: Vector) -> Vector:
        """Return sizes by inversion of ``uniform``; ``sign`` is not used."""
        from scipy.special import ndtri

        return self.mean + self.deviation * np.asarray(ndtri(uniform), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleExponentialJumps:
    """Up with probability ``up_probability``, then Exp(``up_rate``); else down, then Exp(``down_rate``).

    Rates are one over the mean size in log price; ``up_rate`` > 1, or the mean price would be infinite.

    References
    ----------
    Kou (2002), A jump-diffusion model for option pricing, Management Science 48:1086-1101,
    doi:10.1287/mnsc.48.8.1086.166.
    """

    up_probability: float
    up_rate: float
    down_rate: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.up_probability <= 1.0:
            raise InputError(f"was {self.up_probability}", field="up_probability", allowed="a probability")
        for name in ("up_rate", "down_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"was {value}", field=name, allowed="a finite number > 0")

    def log_moment(self, power: float) -> float:
        """Return ln E exp(power Y); infinite outside (-down_rate, up_rate)."""
        if not -self.down_rate < power < self.up_rate:
            return math.inf
        up, down = self._parts(power)
        return math.log(up + down)

    def mean_square(self) -> float:
        """Return E Y^2."""
        return 2.0 * (self.up_probability / self.up_rate**2 + (1.0 - self.up_probability) / self.down_rate**2)

    def tilted(self, power: float) -> DoubleExponentialJumps:
        """Return the tilted law, again double exponential."""
        if not -self.down_rate < power < self.up_rate:
            raise InputError(f"was {power}", field="power", allowed=f"between {-self.down_rate:g} and {self.up_rate:g}")
        up, down = self._parts(power)
        return DoubleExponentialJumps(
            up_probability=up / (up + down), up_rate=self.up_rate - power, down_rate=self.down_rate + power
        )

    def scaled(self, multiple: float) -> DoubleExponentialJumps:
        """Return the law of ``multiple`` times Y, ``multiple`` > 0."""
        return DoubleExponentialJumps(
            up_probability=self.up_probability, up_rate=self.up_rate / multiple, down_rate=self.down_rate / multiple
        )

    def sizes(self, sign: Vector, uniform: Vector) -> Vector:
        """Return sizes: up where ``sign`` is below the probability of up, the length by inversion of ``uniform``."""
        length = -np.log(uniform)
        return np.asarray(np.where(sign < self.up_probability, length / self.up_rate, -length / self.down_rate))

    def _parts(self, power: float) -> tuple[float, float]:
        """Parts of E exp(power Y) from jumps up and down."""
        up = self.up_probability * self.up_rate / (self.up_rate - power)
        return up, (1.0 - self.up_probability) * self.down_rate / (self.down_rate + power)
