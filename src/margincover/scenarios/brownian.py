"""Geometric Brownian motion with constant volatility: the generator that closed forms can check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector, frozen
from margincover.numeric.draws import Draws, normals
from margincover.numeric.recursions import bridge_extremes
from margincover.numeric.rng import stream
from margincover.scenarios.dependence import correlation_root, one_factor_loading
from margincover.scenarios.request import correlate, require_factors, require_request
from margincover.units import years


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometricBrownian:
    """Joint geometric Brownian motion.

    Parameters
    ----------
    factors : sequence of str
    sigma_annual : array [factor]
        Volatility as a fraction (0.8 is 80 %), > 0.
    correlation : array [factor, factor]
    step_s : int
        Length of a step, > 0.
    drift_annual : float or array [factor]
        Drift of the price; 0 makes the price a martingale (log drift -sigma^2 / 2).
    draws : Draws
        Independent normals, antithetic pairs or shifted Sobol points; see ``numeric.draws``.

    Notes
    -----
    The low inside a step is the exact bridge minimum 0.5 (x + y - sqrt((y - x)^2 - 2 v ln U)), the high its mirror
    with its own U: each is exact alone, their joint law is not.

    Raises
    ------
    InputError
        If sizes do not match, a volatility is not positive, or the matrix is no correlation.
    """

    factors: Sequence[str]
    sigma_annual: ArrayLike
    correlation: ArrayLike
    step_s: int
    drift_annual: ArrayLike = 0.0
    draws: Draws = Draws.INDEPENDENT
    info: ScenarioInfo = field(init=False)
    _drift: Vector = field(init=False, repr=False)
    _variance: Vector = field(init=False, repr=False)
    _root: FactorFactor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = require_factors(self.factors)
        sigma = frozen(self.sigma_annual, name="sigma_annual", ndim=1)
        correlation = frozen(self.correlation, name="correlation", ndim=2)
        if sigma.shape != (len(names),) or correlation.shape != (len(names), len(names)):
            raise InputError(
                f"{len(names)} factors had {sigma.size} volatilities and a {correlation.shape} correlation",
                field="scenario",
                allowed="one volatility per factor and a square correlation",
            )
        if sigma.min() <= 0.0:
            raise InputError(f"was {sigma.min()}", field="sigma_annual", allowed="a fraction > 0")
        if self.step_s <= 0:
            raise InputError(f"was {self.step_s}", field="step_s", allowed="seconds > 0")
        drift = _drift_of(self.drift_annual, len(names))
        info = ScenarioInfo(
            factors=names,
            step_s=self.step_s,
            loading=one_factor_loading(correlation),
            correlation=correlation,
            method="brownian",
            label="Geometric Brownian motion, constant volatility",
            params={
                "sigma_annual": ", ".join(f"{name} {value:g}" for name, value in zip(names, sigma, strict=True)),
                "drift_annual": ", ".join(f"{value:g}" for value in np.unique(drift)),
                "draws": self.draws.value,
            },
            not_modelled=("fat tails", "volatility clustering", "jumps"),
        )
        object.__setattr__(self, "factors", names)
        object.__setattr__(self, "sigma_annual", sigma)
        object.__setattr__(self, "correlation", correlation)
        object.__setattr__(self, "info", info)
        object.__setattr__(self, "_drift", drift)
        object.__setattr__(self, "_variance", frozen(sigma**2 * years(self.step_s), name="variance"))
        object.__setattr__(self, "_root", frozen(correlation_root(correlation), name="correlation"))

    def cumulant_annual(self, power: Vector) -> float:
        """Return ln E exp(power . X) of a year of log moves X; ``power`` [factor]."""
        variance = self._variance / years(self.step_s)
        shock = self._root.T @ (power * np.sqrt(variance))
        return float(power @ (self._drift - 0.5 * variance)) + 0.5 * float(shock @ shock)

    def tilted(self, power: Vector) -> GeometricBrownian:
        """Return the law under dQ/dP = exp(power . X_T - T cumulant): the drift alone changes."""
        sigma = np.sqrt(self._variance / years(self.step_s))
        return replace(self, drift_annual=self._drift + sigma * (self._root @ (self._root.T @ (power * sigma))))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        require_request(n_steps=n_steps, n_paths=n_paths)
        shape = (n_steps, len(self.info.factors), n_paths)
        normal = normals(seed, "brownian.normal", number, shape=shape, draws=self.draws)
        variance = self._variance[:, None]
        drift = self._drift[:, None] * years(self.step_s) - 0.5 * variance
        close = np.cumsum(correlate(normal, self._root) * np.sqrt(variance) + drift, axis=0)
        step_variance = np.broadcast_to(variance, shape).copy()
        low, high = bridge_extremes(
            close,
            step_variance,
            stream(seed, "brownian.low", number).standard_exponential(shape),
            stream(seed, "brownian.high", number).standard_exponential(shape),
        )
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=step_variance)


def _drift_of(value: ArrayLike, n_factors: int) -> Vector:
    drift = np.asarray(value, dtype=np.float64)
    if drift.ndim > 1 or (drift.ndim == 1 and drift.size != n_factors) or not np.isfinite(drift).all():
        raise InputError(
            f"was {value!r}", field="drift_annual", allowed=f"a finite number, or {n_factors} of them, one a factor"
        )
    return frozen(np.broadcast_to(drift, (n_factors,)), name="drift_annual")
