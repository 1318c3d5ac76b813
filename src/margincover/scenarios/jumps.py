"""Jump diffusion: constant volatility, one systemic clock of jumps for all coins and one of its own for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, FactorPath, StepFactorPath, Vector, frozen
from margincover.numeric.draws import Draws, normals
from margincover.numeric.jump_laws import JumpLaw
from margincover.numeric.rng import stream
from margincover.scenarios.dependence import correlation_root, one_factor_loading
from margincover.scenarios.request import correlate, require_factors, require_request
from margincover.units import years

# Mean distance between the end of a step and its extreme after a jump at a uniform time, per deviation of the step:
# E sqrt(U) E|N| = 2/3 sqrt(2 / pi). Twice of it, see the notes on step_variance.
_AFTER_JUMP = 2.0 * (2.0 / 3.0) * math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpClock:
    """Jumps that come ``per_year`` times a year on average (>= 0), at Poisson times, each of law ``sizes``."""

    per_year: float
    sizes: JumpLaw

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_year) and self.per_year >= 0.0):
            raise InputError(f"was {self.per_year}", field="jumps.per_year", allowed="a finite number >= 0")

    def exponent(self, power: float) -> float:
        """Return per_year x (E exp(power Y) - 1): the cumulant of a year of jumps."""
        return self.per_year * math.expm1(self.sizes.log_moment(power)) if self.per_year else 0.0

    def tilted(self, power: float) -> JumpClock:
        """Return the clock under the exponential change of measure."""
        if not self.per_year:
            return self
        moment = self.sizes.log_moment(power)
        return JumpClock(per_year=self.per_year * math.exp(moment), sizes=self.sizes.tilted(power))


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpDiffusion:
    """Joint jump diffusion.

    Parameters
    ----------
    factors : sequence of str
    sigma_annual : array [factor]
        Volatility of the diffusion alone, as a fraction, > 0.
    correlation : array [factor, factor]
        Of the diffusion.
    step_s : int
    systemic : JumpClock
        One clock for all coins: when it rings, coin f jumps by ``beta[f]`` times the one size drawn.
    beta : array [factor]
        >= 0.
    own : sequence of JumpClock [factor]
        Clock of each coin alone; ``per_year`` 0 for none.
    drift_annual : array [factor] or None
        Drift of the log price between jumps; None compensates jumps and convexity, so that the price is a martingale.
    draws : Draws
        Of the normals of the diffusion; jumps are always independent.

    Notes
    -----
    Jump times are nodes: inside a step the diffusion is placed at each jump by its bridge, and every piece between two
    nodes has the exact bridge extremes, so first passage of one coin is exact for any length of step. Low and high are
    each exact alone; their joint law is not.

    ``step_variance`` is that of the diffusion, plus 1.064 |jump| sqrt(variance) in a step with jumps: a bridge between
    the two ends of the step then overshoots the farther one by what the diffusion adds after a jump, on average. Pools
    of several coins use it; the square of the jump itself would be counted a second time there.

    Raises
    ------
    InputError
        If sizes do not match, a volatility is not positive, a beta is negative, the matrix is no correlation, or the
        mean of exp(jump) is infinite.

    References
    ----------
    Metwally, Atiya (2002), Using Brownian bridge for fast simulation of jump-diffusion processes and barrier options,
    Journal of Derivatives 10:43-54, doi:10.3905/jod.2002.319189.
    """

    factors: Sequence[str]
    sigma_annual: ArrayLike
    correlation: ArrayLike
    step_s: int
    systemic: JumpClock
    beta: ArrayLike
    own: Sequence[JumpClock]
    drift_annual: ArrayLike | None = None
    draws: Draws = Draws.INDEPENDENT
    source: str = "stated"
    as_of: str = ""
    warnings: tuple[str, ...] = ()
    info: ScenarioInfo = field(init=False)
    _sigma: Vector = field(init=False, repr=False)
    _beta: Vector = field(init=False, repr=False)
    _drift: Vector = field(init=False, repr=False)
    _root: FactorFactor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = require_factors(self.factors)
        sigma = frozen(self.sigma_annual, name="sigma_annual", ndim=1)
        beta = frozen(self.beta, name="beta", ndim=1)
        correlation = frozen(self.correlation, name="correlation", ndim=2)
        _check_sizes(names, sigma, beta, correlation, self.own)
        if self.step_s <= 0:
            raise InputError(f"was {self.step_s}", field="step_s", allowed="seconds > 0")
        drift = _martingale_drift(self, names, sigma, beta) if self.drift_annual is None else self.drift_annual
        drift = frozen(drift, name="drift_annual", ndim=1)
        if drift.shape != sigma.shape:
            raise InputError(f"had {drift.size} entries", field="drift_annual", allowed=f"{len(names)}, one a factor")
        for name, value in (
            ("factors", names),
            ("own", tuple(self.own)),
            ("_sigma", sigma),
            ("_beta", beta),
            ("_drift", drift),
            ("_root", frozen(correlation_root(correlation), name="correlation")),
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "info", _info(self, names, correlation))

    @property
    def jump_variance_fraction(self) -> Vector:
        """Share [factor] of the variance of a move that is due to jumps."""
        jumps = self.systemic.per_year * self.systemic.sizes.mean_square() * self._beta**2
        jumps = jumps + np.array([clock.per_year * clock.sizes.mean_square() for clock in self.own])
        return np.asarray(jumps / (jumps + self._sigma**2), dtype=np.float64)

    def cumulant_annual(self, power: Vector) -> float:
        """Return ln E exp(power . X) of a year of log moves X, infinite where the mean is."""
        shock = self._root.T @ (power * self._sigma)
        value = float(power @ self._drift) + 0.5 * float(shock @ shock)
        value += self.systemic.exponent(float(power @ self._beta))
        return value + sum(clock.exponent(float(h)) for clock, h in zip(self.own, power, strict=True))

    def tilted(self, power: Vector) -> JumpDiffusion:
        """Return the law under dQ/dP = exp(power . X_T - T cumulant): drift, clocks and sizes change, nothing else.

        Raises
        ------
        InputError
            If ``power`` [factor] is outside the range for which E exp(power . X) is finite.
        """
        if not math.isfinite(self.cumulant_annual(power)):
            raise InputError(
                f"was {power}", field="power", allowed="powers for which the mean of exp(power . move) is finite"
            )
        shift = self._sigma * (self._root @ (self._root.T @ (power * self._sigma)))
        return replace(
            self,
            systemic=self.systemic.tilted(float(power @ self._beta)),
            own=tuple(clock.tilted(float(h)) for clock, h in zip(self.own, power, strict=True)),
            drift_annual=self._drift + shift,
        )

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        from margincover.numeric.jump_bridge import jump_bridge  # Numba loads here and not with the package

        require_request(n_steps=n_steps, n_paths=n_paths)
        n_factors, dt = len(self.info.factors), years(self.step_s)
        shape = (n_steps, n_factors, n_paths)
        normal = normals(seed, "jumps.normal", number, shape=shape, draws=self.draws)
        deviation = self._sigma * math.sqrt(dt)
        increment = correlate(normal, self._root) * deviation[:, None] + (self._drift * dt)[:, None]
        events = _draw_events(self, seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
        close, low, high = jump_bridge(
            increment,
            deviation**2,
            stream(seed, "jumps.low", number).standard_exponential(shape),
            stream(seed, "jumps.high", number).standard_exponential(shape),
            events.first, events.time, events.size, events.hits, events.bridge, events.extremes,
        )  # fmt: skip
        variance = np.broadcast_to((deviation**2)[:, None], shape).copy()
        for f in range(n_factors):
            jump = np.bincount(events.cell, np.abs(events.size[f]), n_steps * n_paths).reshape(n_steps, n_paths)
            variance[:, f] += _AFTER_JUMP * deviation[f] * jump
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=variance)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    """Jumps of a block in order of step, path and time; arrays as ``numeric.jump_bridge`` takes them."""

    cell: NDArray[np.int64]
    first: NDArray[np.int64]
    time: Vector
    size: FactorPath
    hits: NDArray[np.bool_]
    bridge: FactorPath
    extremes: StepFactorPath


def _draw_events(generator: JumpDiffusion, *, seed: int, number: int, n_steps: int, n_paths: int) -> _Events:
    n_factors, dt = len(generator.info.factors), years(generator.step_s)
    cells, times, sizes, hits, bridges, extremes = [], [], [], [], [], []
    # clock 0 is the systemic one; every clock has its own streams, each read in order of step
    for place, clock in enumerate((generator.systemic, *generator.own)):
        name = f"jumps.clock{place}"
        counts = stream(seed, f"{name}.count", number).poisson(clock.per_year * dt, (n_steps, n_paths)).ravel()
        cell = np.repeat(np.arange(counts.size), counts)
        n = cell.size
        uniform = 1.0 - stream(seed, f"{name}.size", number).random((n, 3))  # (0, 1]: its log is finite
        drawn = clock.sizes.sizes(uniform[:, 1], np.minimum(uniform[:, 2], 1.0 - 2.0**-53))
        weight = generator._beta if place == 0 else np.eye(n_factors)[place - 1]
        normal = stream(seed, f"{name}.bridge", number).standard_normal((n, n_factors)).T
        cells.append(cell)
        times.append(np.minimum(uniform[:, 0], 1.0 - 2.0**-53))
        sizes.append(weight[:, None] * drawn)
        hits.append(np.broadcast_to((weight != 0.0)[:, None], (n_factors, n)))
        bridges.append(correlate(normal[None], generator._root)[0])
        extremes.append(stream(seed, f"{name}.extremes", number).standard_exponential((n, 2, n_factors)).T)
    cell, time = np.concatenate(cells), np.concatenate(times)
    order = np.lexsort((time, cell))
    cell = cell[order]
    return _Events(
        cell=cell,
        first=np.searchsorted(cell, np.arange(n_steps * n_paths + 1)),
        time=time[order],
        size=np.ascontiguousarray(np.concatenate(sizes, axis=1)[:, order]),
        hits=np.ascontiguousarray(np.concatenate(hits, axis=1)[:, order]),
        bridge=np.ascontiguousarray(np.concatenate(bridges, axis=1)[:, order]),
        extremes=np.ascontiguousarray(np.concatenate(extremes, axis=2)[:, :, order].swapaxes(0, 1)),
    )


def _check_sizes(
    names: tuple[str, ...], sigma: Vector, beta: Vector, correlation: FactorFactor, own: Sequence[JumpClock]
) -> None:
    n = len(names)
    if sigma.shape != (n,) or beta.shape != (n,) or correlation.shape != (n, n) or len(own) != n:
        raise InputError(
            f"{n} factors had {sigma.size} volatilities, {beta.size} betas, {len(own)} clocks, "
            f"a {correlation.shape} correlation",
            field="scenario",
            allowed="one volatility, beta and clock per factor and a square correlation",
        )
    if sigma.min() <= 0.0:
        raise InputError(f"was {sigma.min()}", field="sigma_annual", allowed="a fraction > 0")
    if beta.min() < 0.0:
        raise InputError(f"was {beta.min()}", field="beta", allowed="numbers >= 0")


def _martingale_drift(generator: JumpDiffusion, names: tuple[str, ...], sigma: Vector, beta: Vector) -> Vector:
    drift = -0.5 * sigma**2
    for f, (name, clock) in enumerate(zip(names, generator.own, strict=True)):
        jumps = generator.systemic.exponent(float(beta[f])) + clock.exponent(1.0)
        if not math.isfinite(jumps):
            raise InputError(
                "the mean of exp(jump) was infinite", field=f"jumps.{name}", allowed="mean jumps up below 1 / beta"
            )
        drift[f] -= jumps
    return drift


def _info(generator: JumpDiffusion, names: tuple[str, ...], correlation: FactorFactor) -> ScenarioInfo:
    share = generator.jump_variance_fraction
    return ScenarioInfo(
        factors=names,
        step_s=generator.step_s,
        loading=one_factor_loading(correlation),
        correlation=correlation,
        method="jumps",
        label="Jump diffusion, one systemic clock and one of each coin",
        params={
            "diffusion_annual": ", ".join(f"{n} {s:.4g}" for n, s in zip(names, generator._sigma, strict=True)),
            "systemic": f"{generator.systemic.per_year:.4g} a year, {generator.systemic.sizes}",
            "beta": ", ".join(f"{n} {b:.4g}" for n, b in zip(names, generator._beta, strict=True)),
            "own_per_year": ", ".join(f"{n} {c.per_year:.4g}" for n, c in zip(names, generator.own, strict=True)),
            "jump_variance_fraction": ", ".join(f"{n} {s:.2g}" for n, s in zip(names, share, strict=True)),
            "draws": generator.draws.value,
            "source": generator.source,
        },
        as_of=generator.as_of,
        warnings=generator.warnings,
        not_modelled=(
            "volatility clustering (jumps come at constant rates)",
            "rebounds after a jump",
            "today's volatility where it is not stated",
        ),
    )
