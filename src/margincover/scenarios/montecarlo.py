"""Monte Carlo: hourly GJR-GARCH per coin, one Student-t mixing variable for all coins, bridge inside the hour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector, frozen
from margincover.numeric.rng import stream
from margincover.numeric.students_t import mixing_scale_squared
from margincover.numeric.volatility import MAX_STEP_SIGMA, annual_volatility, step_variance
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.dependence import correlation_root, one_factor_loading
from margincover.scenarios.request import require_factors, require_request

# Largest mixing scale of one step. With |normal| of 1 to 2.5 on top it admits moves of 30 to 75 conditional sigmas;
# the largest standardised hourly moves of the packaged calibration are 14 to 75. Without a bound the variance of the
# price would be infinite.
MAX_MIXING_SCALE = 30.0
# A wider multiple is a mistyped percentage; a negative one turns the low into the high and is not a stand-in.
MAX_PROXY_MULTIPLE = 10.0
# Steps made at a time: 12 steps of 256 paths of ten coins are 250 kB of normals, a quarter of a usual L2 cache.
_SLAB_STEPS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exposure:
    """How the factors asked for follow the simulated coins: place in ``bases`` and multiple, both [factor]."""

    bases: tuple[str, ...]
    place: NDArray[np.int64]
    multiple: Vector
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentTMonteCarlo:
    """Joint GJR-GARCH(1,1) paths with multivariate Student-t innovations.

    Parameters
    ----------
    calibration : Calibration
    factors : sequence of str
    volatility_annual : mapping of str to float
        Stated annual volatility by factor as a fraction. It replaces the level of the coin: the start of the path and
        the level to which it returns. A factor that is not stated starts at its long-run variance.
    proxies : mapping of str to Proxy
        Stand-ins for factors that the calibration misses: the moves of another coin times a multiple in (0, 10].

    Notes
    -----
    In one step: h from the recursion of each coin; one W, chi-square with ``nu_joint`` degrees of freedom (harmonic
    mean of the coins' nu), shared by all coins; s^2 = (nu - 2) / W with s at most 30, rescaled to mean 1; v = h s^2,
    sqrt(v) at most 50 %; move = sqrt(v) (A n) - v / 2. Given the mixing variable the move is normal with variance v, so
    the price is an exact martingale (mean 1), and the extremes inside the step follow the exact bridge with v, which
    is also ``step_variance``. The residual that drives the recursion is the move without its drift.

    Raises
    ------
    InputError
        For a factor without calibration and without stand-in, a bad multiple, or a stated volatility that is not > 0.
    """

    calibration: Calibration
    factors: Sequence[str]
    volatility_annual: Mapping[str, float] = field(default_factory=dict)
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    info: ScenarioInfo = field(init=False)
    _garch: FactorFactor = field(init=False, repr=False)
    _root: FactorFactor = field(init=False, repr=False)
    _exposure: _Exposure = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = require_factors(self.factors)
        exposure = _expose(self, names)
        places = [self.calibration.position(base) for base in exposure.bases]
        correlation = self.calibration.correlation[np.ix_(places, places)]
        garch = _garch_table(self, exposure.bases)
        object.__setattr__(self, "factors", names)
        object.__setattr__(self, "_garch", frozen(garch, name="garch", ndim=2))
        object.__setattr__(self, "_root", frozen(correlation_root(correlation), name="correlation", ndim=2))
        object.__setattr__(self, "_exposure", exposure)
        object.__setattr__(self, "info", _info(self, names, exposure, correlation))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        from margincover.scenarios.montecarlo_kernel import fill_steps  # Numba loads here and not with the package

        require_request(n_steps=n_steps, n_paths=n_paths)
        n_bases, n_factors = len(self._exposure.bases), len(self.info.factors)
        normal = stream(seed, "montecarlo.normal", number)
        mixing = stream(seed, "montecarlo.mixing", number)
        low, high = stream(seed, "montecarlo.low", number), stream(seed, "montecarlo.high", number)
        state = np.zeros((2, max(n_bases, n_factors), n_paths))
        state[0, :n_bases] = self._garch[:, 4:5]
        out = np.empty((4, n_steps, n_factors, n_paths))
        # Draws come in order of step, so that slabs give the bits of one long draw; a slab stays in the cache.
        draws = np.empty((3, _SLAB_STEPS, n_bases, n_paths))
        for first in range(0, n_steps, _SLAB_STEPS):
            length = min(_SLAB_STEPS, n_steps - first)
            slab = draws[:, :length]
            normal.standard_normal(out=slab[0])
            low.standard_exponential(out=slab[1])
            high.standard_exponential(out=slab[2])
            scale_squared = mixing_scale_squared(
                mixing, nu=self.calibration.nu_joint, max_scale=MAX_MIXING_SCALE, shape=(length, n_paths)
            )
            fill_steps(
                slab[0], slab[1], slab[2], scale_squared, self._root, self._garch, self._exposure.place,
                self._exposure.multiple[None, :], state, out[:, first : first + length],
            )  # fmt: skip
        # a stand-in follows the very bridge of its coin, so that the same coin twice has the same low
        return ScenarioBlock(close_log=out[0], low_log=out[1], high_log=out[2], step_variance=out[3])


def _stated(generator: StudentTMonteCarlo, factor: str) -> float | None:
    value = generator.volatility_annual.get(factor)
    if value is None:
        return None
    highest = annual_volatility(MAX_STEP_SIGMA**2, step_s=generator.calibration.step_s)
    if not (math.isfinite(value) and 0.0 < value <= highest):
        raise InputError(
            f"was {value}",
            field=f"volatility_annual.{factor}",
            allowed=f"a fraction > 0 and <= {highest:.0f} (0.8 is 80 % a year)",
        )
    return value


def _level(generator: StudentTMonteCarlo, base: str) -> float:
    """Annual volatility of a coin of the calibration: stated, or its own long run."""
    stated = _stated(generator, base)
    return stated if stated is not None else generator.calibration.of(base).long_run_volatility_annual


def _garch_table(generator: StudentTMonteCarlo, bases: tuple[str, ...]) -> FactorFactor:
    rows = []
    for base in bases:
        parameters = generator.calibration.of(base).garch
        if _stated(generator, base) is not None:
            level = step_variance(_level(generator, base), step_s=generator.calibration.step_s)
            parameters = parameters.at_level(level)
        rows.append([*parameters.as_vector(), parameters.long_run_variance])
    return np.array(rows)


def _expose(generator: StudentTMonteCarlo, names: tuple[str, ...]) -> _Exposure:
    bases: list[str] = []
    place, multiples, warnings = [], [], []
    for name in names:
        base, multiple = name, 1.0
        proxy = generator.proxies.get(name)
        if proxy is not None and name in generator.calibration:
            warnings.append(f"{name} has a calibration of its own; its stand-in {proxy.factor} was not used")
        elif proxy is not None:
            if not (math.isfinite(proxy.multiple) and 0.0 < proxy.multiple <= MAX_PROXY_MULTIPLE):
                raise InputError(
                    f"multiple was {proxy.multiple}", field=f"proxies.{name}", allowed="a number > 0 and <= 10"
                )
            generator.calibration.position(proxy.factor)
            base, multiple = proxy.factor, proxy.multiple
            stated = _stated(generator, name)
            if stated is not None:
                multiple = stated / _level(generator, base)
            warnings.append(f"{name} follows {base} times {multiple:g}: its own risk is not modelled")
        else:
            generator.calibration.position(name)
        if base not in bases:
            bases.append(base)
        place.append(bases.index(base))
        multiples.append(multiple)
    return _Exposure(
        bases=tuple(bases),
        place=np.array(place, dtype=np.int64),
        multiple=frozen(multiples, name="multiple", ndim=1),
        warnings=tuple(warnings),
    )


def _info(
    generator: StudentTMonteCarlo, names: tuple[str, ...], exposure: _Exposure, correlation: FactorFactor
) -> ScenarioInfo:
    calibration = generator.calibration
    levels = [
        f"{name} {_level(generator, exposure.bases[i]) * multiple:.4g}"
        + (" (stated)" if name in generator.volatility_annual else "")
        for name, i, multiple in zip(names, exposure.place, exposure.multiple, strict=True)
    ]
    full = correlation[np.ix_(exposure.place, exposure.place)]
    return ScenarioInfo(
        factors=names,
        step_s=calibration.step_s,
        loading=one_factor_loading(full),
        correlation=full,
        method="montecarlo",
        label="GJR-GARCH with joint Student-t innovations, packaged or given calibration",
        params={
            "volatility_annual": ", ".join(levels),
            "nu_joint": f"{calibration.nu_joint:g} (harmonic mean over the calibration)",
            "start": "long-run variance, or the stated volatility",
            "max_mixing_scale": f"{MAX_MIXING_SCALE:g}",
            "max_step_sigma": f"{MAX_STEP_SIGMA:g}",
            "calibration_source": calibration.source,
            "calibration_as_of": calibration.as_of,
        },
        input_sha256=calibration.input_sha256,
        as_of=calibration.as_of,
        warnings=exposure.warnings,
        not_modelled=(
            "today's volatility where it is not stated",
            "hour of the day",
            "changing correlation",
            "jumps inside an hour other than through the mixing variable",
        ),
    )
