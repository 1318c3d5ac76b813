"""Scenarios drawn from another law on purpose, with the weight that makes every mean right again.

A proposal is a mixture: some paths of each block come from the true law, the others from laws tilted towards the moves
that hurt a pool. The weight of a path is the density of the true law over that of the whole mixture, so it never
exceeds one over the share of the true law, whatever the tilts: a bad tilt costs accuracy and never correctness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, PathVector, Vector
from margincover.units import years

# Probabilities for which the tilts of one direction are made: every level between is reached by one of them.
LADDER = (0.1, 0.01, 1e-3, 1e-4, 1e-5)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedBlock:
    """A block of paths and ``log_weight`` [path], the log of the true density over that of the proposal."""

    block: ScenarioBlock
    log_weight: PathVector


class Proposal(Protocol):
    """Maker of weighted blocks; like a generator it depends on (seed, number, n_steps, n_paths) alone.

    Unlike a generator's, fewer steps are no prefix of more: the weight belongs to a number of steps.
    """

    @property
    def info(self) -> ScenarioInfo:
        """What the true generator makes."""

    def weighted_block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> WeightedBlock:
        """Return block ``number`` with its weights."""


@runtime_checkable
class Tiltable(ScenarioGenerator, Protocol):
    """A generator of independent increments, whose exponential tilt is a generator of the same kind."""

    def cumulant_annual(self, power: Vector) -> float:
        """Return ln E exp(power . X) of a year of log moves X; infinite where the mean is."""

    def tilted(self, power: Vector) -> ScenarioGenerator:
        """Return the law with dQ/dP = exp(power . X_T - T cumulant)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EsscherMixture:
    """Mixture of exponential tilts of one generator.

    Parameters
    ----------
    base : Tiltable
    powers : array [component, factor]
        Tilts; a row of zeros, the true law, must be among them.

    Notes
    -----
    Components have equal numbers of paths in every block, the first ones one more where it does not divide. With n_j
    of n paths from component j, the weight of a path with log moves X over the horizon T is
    1 / sum_j (n_j / n) exp(h_j . X - T k(h_j)): the balance heuristic. It depends on the paths' end alone, as the
    increments are independent and every tilt leaves the inside of a step, given its ends and jumps, as it was.

    References
    ----------
    Veach, Guibas (1995), Optimally combining sampling techniques for Monte Carlo rendering, doi:10.1145/218380.218498.
    Owen, Zhou (2000), Safe and effective importance sampling, Journal of the American Statistical Association
    95:135-143, doi:10.1080/01621459.2000.10473909.
    Gerber, Shiu (1994), Option pricing by Esscher transforms, Transactions of the Society of Actuaries 46:99-191.
    """

    base: Tiltable
    powers: FactorFactor
    _parts: tuple[ScenarioGenerator, ...] = field(init=False, repr=False)
    _cumulants: Vector = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not (self.powers == 0.0).all(axis=1).any():
            raise InputError("had no row of zeros", field="powers", allowed="the true law among the components")
        object.__setattr__(self, "_parts", tuple(self.base.tilted(row) for row in self.powers))
        object.__setattr__(self, "_cumulants", np.array([self.base.cumulant_annual(row) for row in self.powers]))

    @property
    def info(self) -> ScenarioInfo:
        """What the true generator makes."""
        return self.base.info

    def weighted_block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> WeightedBlock:
        """Return block ``number`` with its weights; see ``Proposal``."""
        counts = component_counts(n_paths, len(self._parts))
        made = [
            part.block(seed=seed, number=number * len(self._parts) + j, n_steps=n_steps, n_paths=int(counts[j]))
            for j, part in enumerate(self._parts)
            if counts[j]
        ]
        block = joined_paths(made)
        horizon = years(self.info.step_s) * n_steps
        end = block.close_log[-1] if n_steps else np.zeros((len(self.info.factors), n_paths))
        log_ratio = np.zeros((len(self._parts), n_paths))
        for j, power in enumerate(self.powers):
            # element by element: a matrix product's bits may depend on the machine
            for f, h in enumerate(power):
                log_ratio[j] += h * end[f]
            log_ratio[j] -= horizon * self._cumulants[j]
        return WeightedBlock(block=block, log_weight=balance_log_weight(log_ratio, counts))


def component_counts(n_paths: int, n_components: int) -> NDArray[np.int64]:
    """Return paths per component: equal, the first ones one more where it does not divide."""
    return n_paths // n_components + (np.arange(n_components) < n_paths % n_components)


def balance_log_weight(log_ratio: NDArray[np.float64], counts: NDArray[np.int64]) -> PathVector:
    """Return -ln sum_j (n_j / n) exp(log_ratio[j]) [path]; log_ratio [component, path] is ln dQ_j/dP."""
    used = counts > 0
    terms = log_ratio[used] + np.log(counts[used] / counts.sum())[:, None]
    top = terms.max(axis=0)
    return np.asarray(-(top + np.log(np.exp(terms - top).sum(axis=0))), dtype=np.float64)


def joined_paths(blocks: Sequence[ScenarioBlock]) -> ScenarioBlock:
    """Return blocks side by side along the path axis; what a block may lack, none has or all have."""
    parts = {name: [getattr(block, name) for block in blocks] for name in ScenarioBlock.__slots__}
    return ScenarioBlock(
        **{
            name: np.ascontiguousarray(np.concatenate(arrays, axis=2))
            for name, arrays in parts.items()
            if arrays[0] is not None
        }
    )


def esscher_mixture(base: Tiltable, directions: Sequence[Vector], *, n_steps: int, smallest: float) -> EsscherMixture:
    """Return the mixture of the true law and, per direction, a ladder of tilts.

    Parameters
    ----------
    directions : sequence of array [factor]
        Gradients of a shortfall by log price; only the direction counts.
    n_steps : int
        Horizon.
    smallest : float
        Smallest probability that matters; the ladder goes one rung beyond it.

    Notes
    -----
    Along a direction g the multiple c solves T (c k'(c) - k(c)) = -ln(probability) with k(c) the cumulant of c g: the
    tilt at which a move of that probability, on the scale of large deviations, is the usual one.
    """
    rungs = [at for at in LADDER if at > smallest / 100.0] or [LADDER[-1]]
    powers = [np.zeros(len(base.info.factors))]
    horizon = years(base.info.step_s) * n_steps
    for direction in directions:
        if not np.any(direction):
            continue
        powers.extend(direction * tilt_multiple(base, direction, horizon=horizon, chance=at) for at in rungs)
    return EsscherMixture(base=base, powers=np.array(powers))


def tilt_multiple(base: Tiltable, direction: Vector, *, horizon: float, chance: float) -> float:
    """Return c > 0 with horizon (c k'(c) - k(c)) = -ln chance, k(c) = cumulant_annual(c direction)."""
    from scipy.optimize import brentq

    def information(c: float) -> float:
        step = 1e-5 * c
        above, below = base.cumulant_annual((c + step) * direction), base.cumulant_annual((c - step) * direction)
        at = base.cumulant_annual(c * direction)
        if not (math.isfinite(above) and math.isfinite(at)):
            return math.inf
        return horizon * (c * (above - below) / (2.0 * step) - at)

    wanted = -math.log(chance)
    high = 1e-6 / float(np.abs(direction).max())
    while information(high) < wanted:
        high *= 2.0
    low = high / 2.0
    for _ in range(60):  # back from where the cumulant is infinite
        if math.isfinite(information(high)):
            break
        middle = 0.5 * (low + high)
        low, high = (middle, high) if information(middle) < wanted else (low, middle)
    return float(brentq(lambda c: information(c) - wanted, low, high, xtol=1e-9 * high, rtol=1e-9))
