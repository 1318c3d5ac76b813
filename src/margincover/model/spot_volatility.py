"""SpotVolatility: how implied volatility moves with its coin along paths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError

Array = NDArray[np.float64]
DAYS_PER_YEAR = 365.0
# A mark below intrinsic value has next to no volatility: its moneyness is held at the largest.
_SMALLEST_DEVIATION = 1e-9
_NOT_NEGATIVE = (
    "down_linear",
    "down_quadratic",
    "up_linear",
    "up_quadratic",
    "smile_curvature",
    "tenor_power",
    "residual_per_root_day",
    "residual_reversion_per_day",
    "residual_per_down_move",
)
_POSITIVE = ("largest_log", "largest_moneyness", "shortest_days", "longest_days", "reference_days")


class VolatilityRule(StrEnum):
    """What stays when the coin moves: the smile over strikes, or the smile over moneyness (and so over delta)."""

    STICKY_STRIKE = "sticky-strike"
    STICKY_DELTA = "sticky-delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotVolatility:
    """How each option's implied volatility moves with its coin, over time, and by a level of its own.

    With x the log ratio of the coin, t the days to expiry that are left, z0 = ln(K / F0) / (v0 sqrt(t)) the moneyness
    of an option in standard deviations at its own volatility v0 at the start, and z = z0 - x / (v0 sqrt(t)) where the
    coin now stands:

    - level at the money: ``L = down_linear (-x) + down_quadratic x^2`` below 0, ``up_linear x + up_quadratic x^2``
      above, at most ``largest_log``; times ``(t / reference_days) ** -tenor_power``: short expiries move more;
    - smile: ``s(z) = smile_slope z + smile_curvature z^2``, held beyond ``largest_moneyness``;
    - skew: the slope changes by ``skew_down x`` below 0;
    - residual: ``residual_level`` standard deviations of what the coin does not explain, growing with time and
      reverting; a rise is ``1 + residual_per_down_move d`` times as large after a fall of d in logs; times the same
      power of t.
      Level and residual together are at most ``largest_log``.

    sticky-delta:   ln multiple = level + residual + s(z) - s(z0) + skew z
    sticky-strike:  ln multiple = level + residual - s(x / (v0 sqrt(t))) + skew z

    Under both the volatility at the money moves by the level: under sticky-strike the coin has moved along the smile,
    and what the smile holds there is taken off. Without a move and without a residual the multiple is 1 at any time.

    Parameters
    ----------
    down_linear, down_quadratic, up_linear, up_quadratic : float
        >= 0: volatility rises with large moves to either side.
    largest_log : float
        > 0: beyond it nothing was seen.
    rule : VolatilityRule
    smile_slope, smile_curvature : float
        Of ln(volatility / volatility at the money) by moneyness in standard deviations; curvature >= 0.
    largest_moneyness : float
        > 0, in standard deviations.
    skew_down : float
        Change of the slope per log move of the coin below 0.
    tenor_power : float
        >= 0; 0 moves all expiries alike.
    reference_days, shortest_days, longest_days : float
        > 0: tenor at which the level is stated, and the tenors beyond which an expiry counts as the nearest of them.
    residual_per_root_day : float
        >= 0, standard deviation of the log level after one day, were there no reversion.
    residual_reversion_per_day, residual_per_down_move : float
        >= 0.
    residual_levels : tuple of float
        Standardised levels of equal probability from which each path draws one; empty means no residual.
    residual_level : float
        The level of this law: 0 is none.
    source : str
    """

    down_linear: float
    down_quadratic: float
    up_linear: float
    up_quadratic: float
    largest_log: float
    rule: VolatilityRule = VolatilityRule.STICKY_STRIKE
    smile_slope: float = 0.0
    smile_curvature: float = 0.0
    largest_moneyness: float = 2.5
    skew_down: float = 0.0
    tenor_power: float = 0.0
    reference_days: float = 30.0
    shortest_days: float = 7.0
    longest_days: float = 46.0
    residual_per_root_day: float = 0.0
    residual_reversion_per_day: float = 0.0
    residual_per_down_move: float = 0.0
    residual_levels: tuple[float, ...] = ()
    residual_level: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"was {value}", field=f"spot_volatility.{name}", allowed="a finite number >= 0")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"was {value}", field=f"spot_volatility.{name}", allowed="a number > 0")
        for name in ("smile_slope", "skew_down", "residual_level"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(
                    f"was {getattr(self, name)}", field=f"spot_volatility.{name}", allowed="a finite number"
                )
        if self.shortest_days > self.longest_days:
            raise InputError(
                f"was {self.shortest_days:g}", field="spot_volatility.shortest_days", allowed="at most longest_days"
            )
        if not all(math.isfinite(level) for level in self.residual_levels):
            raise InputError(
                f"was {self.residual_levels}", field="spot_volatility.residual_levels", allowed="finite numbers"
            )

    @property
    def levels(self) -> tuple[SpotVolatility, ...]:
        """The law at each residual level; the law alone where it has none."""
        if not self.residual_levels or self.residual_per_root_day == 0.0:
            return (self,)
        return tuple(replace(self, residual_level=level) for level in self.residual_levels)

    def log_level(self, x: ArrayLike) -> Array:
        """Return the log change of the volatility at the money and at the reference tenor, same shape as ``x``."""
        move = np.asarray(x, dtype=np.float64)
        down = self.down_linear * -move + self.down_quadratic * move**2
        up = self.up_linear * move + self.up_quadratic * move**2
        return np.asarray(np.minimum(np.where(move < 0.0, down, up), self.largest_log), dtype=np.float64)

    def multiple(self, ratio: ArrayLike) -> Array:
        """Return the multiple at the money, at the reference tenor, at ratios of the coin > 0, same shape.

        Examples
        --------
        >>> law = SpotVolatility(
        ...     down_linear=1.2, down_quadratic=4.0, up_linear=1.0, up_quadratic=0.0, largest_log=1.0
        ... )
        >>> [round(float(m), 3) for m in law.multiple([0.8, 1.0, 1.1])]
        [1.595, 1.0, 1.1]
        """
        return np.asarray(np.exp(self.log_level(np.log(np.asarray(ratio, dtype=np.float64)))), dtype=np.float64)

    def option_multiple(
        self,
        ratio: ArrayLike,
        *,
        moneyness_log: ArrayLike,
        volatility: ArrayLike,
        years: ArrayLike,
        elapsed_days: float,
    ) -> Array:
        """Return the multiple of each option's implied volatility, [option, path].

        Parameters
        ----------
        ratio : array [option, path]
            Coin over its level at the start, > 0.
        moneyness_log : array [option]
            ln(strike / forward) at the start.
        volatility : array [option]
            Implied at the start, > 0.
        years : array [option]
            Time to expiry that is left, >= 0.
        elapsed_days : float
            Since the start, >= 0.
        """
        x = np.log(np.asarray(ratio, dtype=np.float64))
        # An expiry nearer than the shortest that was seen counts as that one: moneyness does not grow without end.
        days = np.maximum(np.asarray(years, dtype=np.float64) * DAYS_PER_YEAR, self.shortest_days)
        deviation = np.asarray(volatility, dtype=np.float64) * np.sqrt(days / DAYS_PER_YEAR)
        deviation = np.maximum(deviation, _SMALLEST_DEVIATION)[:, None]
        tenor = (np.minimum(days, self.longest_days) / self.reference_days) ** -self.tenor_power
        at_start = np.asarray(moneyness_log, dtype=np.float64)[:, None] / deviation
        travelled = x / deviation
        change = self.log_level(x)
        if self.residual_level:
            residual = self.residual_level * self.residual_deviation(elapsed_days)
            larger = 1.0 + self.residual_per_down_move * np.maximum(-x, 0.0) if residual > 0.0 else 1.0
            change = change + residual * larger
            change = np.minimum(change, self.largest_log)
        change = change * tenor[:, None]
        if self.smile_slope or self.smile_curvature:
            if self.rule is VolatilityRule.STICKY_DELTA:
                change = change + self.smile(at_start - travelled) - self.smile(at_start)
            else:
                change = change - self.smile(travelled)
        if self.skew_down:
            change = change + self.skew_down * np.minimum(x, 0.0) * self._held(at_start - travelled)
        return np.asarray(np.exp(change), dtype=np.float64)

    def smile(self, moneyness: ArrayLike) -> Array:
        """Return the log of volatility over that at the money, at moneyness in standard deviations."""
        z = self._held(np.asarray(moneyness, dtype=np.float64))
        return np.asarray(self.smile_slope * z + self.smile_curvature * z**2, dtype=np.float64)

    def residual_deviation(self, elapsed_days: float) -> float:
        """Return the standard deviation of the log level that the coin does not explain, at the reference tenor."""
        rate = 2.0 * self.residual_reversion_per_day
        grown = elapsed_days if rate == 0.0 else -math.expm1(-rate * elapsed_days) / rate
        return self.residual_per_root_day * math.sqrt(grown)

    def _held(self, moneyness: Array) -> Array:
        return np.clip(moneyness, -self.largest_moneyness, self.largest_moneyness)
