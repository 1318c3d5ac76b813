"""Block maxima: the generalised extreme value law, its fit, the margin that one block breaks with a stated chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector

MIN_BLOCKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtremeLaw:
    """P(largest of a block <= x) = exp(-(1 + shape (x - location) / scale)^(-1 / shape)); shape > 0 is heavy."""

    location: float
    scale: float
    shape: float
    log_likelihood: float = math.nan

    def quantile(self, tail: float) -> float:
        """Return the level that the maximum of one block exceeds with probability ``tail``.

        Notes
        -----
        location - (scale / shape) (1 - (-ln(1 - tail))^-shape). With blocks of a day and maxima of adverse moves it is
        the margin, as a fraction of notional, that is used up on a share ``tail`` of days; the largest leverage is its
        inverse. Maxima of moves inside the day already hold the path: add no path correction to it.

        References
        ----------
        Longin (1999), Optimal margin level in futures markets, Journal of Futures Markets 19:127-152.
        """
        if not 0.0 < tail < 1.0:
            raise InputError(f"was {tail}", field="tail", allowed="a probability in (0, 1)")
        reduced = -math.log(-math.log1p(-tail))
        step = reduced if abs(self.shape) < 1e-9 else math.expm1(self.shape * reduced) / self.shape
        return self.location + self.scale * step

    def largest_leverage(self, tail: float) -> float:
        """Return 1 / ``quantile(tail)``: the leverage whose margin one block uses up with probability ``tail``."""
        margin = self.quantile(tail)
        if not margin > 0.0:
            raise InputError(f"margin was {margin:g}", field="tail", allowed="a tail whose margin is positive")
        return 1.0 / margin


def fit_block_maxima(maxima: Vector) -> ExtremeLaw:
    """Return the law of block maxima by maximum likelihood.

    Parameters
    ----------
    maxima : array [block]
        Largest value of each block; at least 20, not all equal.

    Raises
    ------
    InputError
        For too few blocks, values that do not vary, or no convergence.

    References
    ----------
    Coles (2001), An Introduction to Statistical Modeling of Extreme Values, chapter 3.
    """
    from scipy.optimize import minimize

    if maxima.size < MIN_BLOCKS or not np.isfinite(maxima).all() or not float(np.ptp(maxima)) > 0.0:
        raise InputError(
            f"{maxima.size} block maxima", field="maxima", allowed=f"at least {MIN_BLOCKS} finite figures that vary"
        )
    deviation = float(maxima.std())
    standard = (maxima - maxima.mean()) / deviation
    # Gumbel by moments: scale sqrt(6) / pi, location minus Euler's constant times it
    scale = math.sqrt(6.0) / math.pi
    start = np.array([-0.5772156649 * scale, math.log(scale), 0.1])
    found = minimize(
        lambda p: -_log_likelihood(standard, p),
        start,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000, "maxfev": 4000},
    )
    if not (found.success and math.isfinite(float(found.fun))):
        raise InputError(f"the fit did not converge: {found.message}", field="maxima", allowed="other block maxima")
    location, log_scale, shape = (float(v) for v in found.x)
    return ExtremeLaw(
        location=float(maxima.mean()) + deviation * location,
        scale=deviation * math.exp(log_scale),
        shape=shape,
        log_likelihood=-float(found.fun) - maxima.size * math.log(deviation),
    )


def _log_likelihood(values: Vector, point: Vector) -> float:
    location, scale, shape = float(point[0]), math.exp(float(point[1])), float(point[2])
    z = (values - location) / scale
    if abs(shape) < 1e-7:
        return float(-values.size * math.log(scale) - z.sum() - np.exp(-z).sum())
    inside = 1.0 + shape * z
    # below -1 the likelihood is unbounded
    if shape <= -1.0 or not (inside > 0.0).all():
        return -math.inf
    log = np.log(inside)
    return float(-values.size * math.log(scale) - (1.0 + 1.0 / shape) * log.sum() - np.exp(-log / shape).sum())
