"""SpotVolatility: how implied volatility moves with its coin along paths."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotVolatility:
    """Multiple of every implied volatility of a coin as a function of the coin's move since the start.

    With x the log ratio of the coin, ``ln multiple = down_linear (-x) + down_quadratic x^2`` below 0 and
    ``up_linear x + up_quadratic x^2`` above, at most ``largest_log``.

    Parameters
    ----------
    down_linear, down_quadratic, up_linear, up_quadratic : float
        >= 0: volatility rises with large moves to either side.
    largest_log : float
        > 0: beyond it nothing was seen.
    source : str
    """

    down_linear: float
    down_quadratic: float
    up_linear: float
    up_quadratic: float
    largest_log: float
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("down_linear", "down_quadratic", "up_linear", "up_quadratic"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"was {value}", field=f"spot_volatility.{name}", allowed="a finite number >= 0")
        if not (math.isfinite(self.largest_log) and self.largest_log > 0.0):
            raise InputError(f"was {self.largest_log}", field="spot_volatility.largest_log", allowed="a number > 0")

    def multiple(self, ratio: ArrayLike) -> NDArray[np.float64]:
        """Return the multiple of implied volatility at ratios of the coin > 0, same shape.

        Examples
        --------
        >>> law = SpotVolatility(
        ...     down_linear=1.2, down_quadratic=4.0, up_linear=1.0, up_quadratic=0.0, largest_log=1.0
        ... )
        >>> [round(float(m), 3) for m in law.multiple([0.8, 1.0, 1.1])]
        [1.595, 1.0, 1.1]
        """
        x = np.log(np.asarray(ratio, dtype=np.float64))
        down = self.down_linear * -x + self.down_quadratic * x**2
        up = self.up_linear * x + self.up_quadratic * x**2
        return np.asarray(np.exp(np.minimum(np.where(x < 0.0, down, up), self.largest_log)), dtype=np.float64)
