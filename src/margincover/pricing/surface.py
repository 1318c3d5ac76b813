"""Implied-volatility surface: one raw SVI slice an expiry, straight lines of total variance between expiries.

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14:59-71, arXiv:1204.0646.
Lee (2004), The moment formula for implied volatility at extreme strikes, Mathematical Finance 14:469-480.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError

Array = NDArray[np.float64]


class Beyond(StrEnum):
    """What a surface says beyond its quotes: nothing, or its own wings and the nearest expiry's volatility."""

    ERROR = "error"
    WINGS = "wings"


@dataclass(frozen=True, slots=True, kw_only=True)
class SviSlice:
    """Total variance of one expiry by log moneyness k = ln(strike / forward): the raw SVI form.

    ``w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))``; volatility is ``sqrt(w / years)``.

    Parameters
    ----------
    name : str
        Of the expiry, for messages.
    years : float
        Time to expiry in years of 365 days, > 0.
    forward : float
        > 0.
    a, b, rho, m, sigma : float
        b >= 0, -1 < rho < 1, sigma > 0. Whether the slice holds arbitrage is not asked here.
    lowest, highest : float
        Log moneyness of the outermost quotes.
    root_mean_square : float
        Of the fit's errors in volatility, 0 for a slice that was stated.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    name: str
    years: float
    forward: float
    a: float
    b: float
    rho: float
    m: float
    sigma: float
    lowest: float = -math.inf
    highest: float = math.inf
    root_mean_square: float = 0.0

    def __post_init__(self) -> None:
        sound = self.years > 0.0 and self.forward > 0.0 and self.b >= 0.0 and abs(self.rho) < 1.0 and self.sigma > 0.0
        if not (
            sound and all(math.isfinite(v) for v in (self.years, self.forward, self.a, self.b, self.m, self.sigma))
        ):
            raise InputError(
                f"was a={self.a:g}, b={self.b:g}, rho={self.rho:g}, m={self.m:g}, sigma={self.sigma:g}",
                field=f"surface.{self.name}",
                allowed="finite numbers, b >= 0, -1 < rho < 1, sigma > 0, years > 0, forward > 0",
            )

    def total_variance(self, k: ArrayLike) -> Array:
        """Return volatility squared times years at log moneyness, same shape."""
        x = np.asarray(k, dtype=np.float64) - self.m
        return np.asarray(self.a + self.b * (self.rho * x + np.sqrt(x**2 + self.sigma**2)), dtype=np.float64)

    def slopes(self, k: ArrayLike) -> tuple[Array, Array]:
        """Return the first and the second derivative of total variance by log moneyness."""
        x = np.asarray(k, dtype=np.float64) - self.m
        root = np.sqrt(x**2 + self.sigma**2)
        return np.asarray(self.b * (self.rho + x / root)), np.asarray(self.b * self.sigma**2 / root**3)

    def volatility(self, k: ArrayLike) -> Array:
        """Return implied volatility at log moneyness, annual, same shape."""
        return np.asarray(np.sqrt(np.maximum(self.total_variance(k), 0.0) / self.years), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Slices of one coin, nearest expiry first.

    Notes
    -----
    Between expiries total variance runs straight in time at equal log moneyness: free of calendar arbitrage where the
    slices are. Beyond the quotes nothing is known: ``Beyond.ERROR`` raises; ``Beyond.WINGS`` takes the SVI form past
    the outermost strikes, and the nearest slice's volatility before the first and after the last expiry.

    Raises
    ------
    InputError
        If there is no slice, or times to expiry do not rise.
    """

    slices: tuple[SviSlice, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        years = [each.years for each in self.slices]
        if not years or any(later <= earlier for earlier, later in pairwise(years)):
            raise InputError(f"was {years}", field="surface", allowed="at least one expiry, times to expiry that rise")

    def volatility(self, k: float, years: float, *, beyond: Beyond = Beyond.ERROR) -> float:
        """Return implied volatility at log moneyness k and time to expiry, annual.

        Raises
        ------
        InputError
            Under ``Beyond.ERROR``, if no quotes surround the point; the message names expiry and strike.
        """
        return math.sqrt(max(self.total_variance(k, years, beyond=beyond), 0.0) / years)

    def total_variance(self, k: float, years: float, *, beyond: Beyond = Beyond.ERROR) -> float:
        """Return total variance at one point; as ``volatility``."""
        if not (years > 0.0 and math.isfinite(k)):
            raise InputError(f"was k={k}, years={years}", field="surface", allowed="a finite k and years > 0")
        times = [each.years for each in self.slices]
        if not times[0] * (1.0 - 1e-9) <= years <= times[-1] * (1.0 + 1e-9) and beyond is Beyond.ERROR:
            raise InputError(
                f"{years * 365.0:.2f} days to expiry stand outside the quoted expiries "
                f"{self.slices[0].name} to {self.slices[-1].name}",
                field="surface",
                allowed=f"{times[0] * 365.0:.2f} to {times[-1] * 365.0:.2f} days",
            )
        if years <= times[0] or len(times) == 1:
            return self._of(0, k, beyond) * years / times[0]
        if years >= times[-1]:
            return self._of(len(times) - 1, k, beyond) * years / times[-1]
        at = int(np.searchsorted(times, years))
        share = (years - times[at - 1]) / (times[at] - times[at - 1])
        return (1.0 - share) * self._of(at - 1, k, beyond) + share * self._of(at, k, beyond)

    def _of(self, row: int, k: float, beyond: Beyond) -> float:
        each = self.slices[row]
        # The outermost strike itself is quoted: rounding must not push it out.
        if beyond is Beyond.ERROR and not each.lowest - 1e-9 <= k <= each.highest + 1e-9:
            raise InputError(
                f"strike {each.forward * math.exp(k):,.6g} stands outside the quotes of {each.name}",
                field="surface",
                allowed=f"strikes {each.forward * math.exp(each.lowest):,.6g} to "
                f"{each.forward * math.exp(each.highest):,.6g} of that expiry",
            )
        return float(each.total_variance(k))
