"""Tail figures of a weighted sample: probability, quantile and Expected Shortfall, standard errors by blocks of paths.

The paths come from another law; ``weight`` is the density of the true law over it, with mean 1. Figures are divided by
the number of paths and not by the sum of the weights, so that probabilities are unbiased.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, Vector

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedSample:
    """Values and weights [path]; ``block_paths`` paths in a row were made together.

    Raises
    ------
    InputError
        If sizes differ, the paths are not at least two whole blocks, or a weight is negative or not finite.
    """

    values: PathVector
    weight: PathVector
    block_paths: int

    def __post_init__(self) -> None:
        n = self.values.size
        if self.weight.shape != (n,) or n % self.block_paths or n < 2 * self.block_paths:
            raise InputError(
                f"{n} values had {self.weight.size} weights in blocks of {self.block_paths}",
                field="weight",
                allowed="one weight a value, at least two whole blocks",
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.weight).all() and self.weight.min() >= 0.0):
            raise InputError("held a NaN, an infinity or a negative weight", field="weight", allowed="finite, >= 0")

    def mean(self, values: PathVector) -> tuple[float, float]:
        """Return the weighted mean of ``values`` [path] and its standard error from the blocks."""
        blocks = (self.weight * values).reshape(-1, self.block_paths).mean(axis=1)
        return float(blocks.mean()), float(blocks.std(ddof=1)) / math.sqrt(blocks.size)

    def quantile(self, tail: float) -> float:
        """Return the smallest sample value that is exceeded with probability at most ``tail``."""
        order, above = self._above()
        return float(self.values[order[self._boundary(above, tail)]])

    def quantile_interval(self, tail: float) -> tuple[float, float, float]:
        """Return (standard error, low, high) of the quantile, 95 %.

        Notes
        -----
        Low and high are the quantiles at the tail probability plus and minus 1.96 standard errors of the probability
        of exceeding the quantile; the standard error is the width over 2 x 1.96.
        """
        order, above = self._above()
        _, error = self.mean(np.asarray(self.values > self.quantile(tail), dtype=np.float64))
        low, high = (
            float(self.values[order[self._boundary(above, max(at, 0.0))]])
            for at in (tail + _Z95 * error, tail - _Z95 * error)
        )
        return (high - low) / (2.0 * _Z95), low, high

    def expected_shortfall(self, tail: float) -> tuple[float, float]:
        """Return the mean of the worst share ``tail`` and its standard error (that of E (X - q)+ / tail, q given)."""
        share = self.tail_share(tail)
        quantile = self.quantile(tail)
        _, error = self.mean(np.maximum(self.values - quantile, 0.0) / tail)
        return float(share @ self.values), error

    def tail_share(self, tail: float) -> Vector:
        """Return weights [path] that sum to 1 and make the Expected Shortfall: 0 outside the worst share ``tail``."""
        order, above = self._above()
        last = self._boundary(above, tail)
        share = np.zeros(self.values.size)
        share[order[:last]] = self.weight[order[:last]] / (self.values.size * tail)
        share[order[last]] = 1.0 - share.sum()
        return share

    def effective_exceedances(self, level: float) -> float:
        """Return how many equally weighted exceedances of ``level`` would carry as much: (sum w)^2 / sum w^2."""
        weight = self.weight[self.values > level]
        square = float(weight @ weight)
        return float(weight.sum()) ** 2 / square if square > 0.0 else 0.0

    def _above(self) -> tuple[NDArray[np.int64], Vector]:
        """Return the order of the values, largest first, and the probability before each place in it."""
        order = np.lexsort((np.arange(self.values.size), -self.values))
        mass = np.cumsum(self.weight[order]) / self.values.size
        return order, np.concatenate(([0.0], mass[:-1]))

    def _boundary(self, above: Vector, tail: float) -> int:
        if not 0.0 <= tail < 1.0:
            raise InputError(f"was {tail}", field="tail", allowed="a probability in [0, 1)")
        # the guard is that of numeric.quantile: 1 - 0.05 of 100 values is the 95th although 0.95 x 100 is not exact
        return int(np.searchsorted(above, tail * (1.0 + 1e-12) + 1e-15, side="right")) - 1
