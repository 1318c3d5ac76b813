"""Rare events: required coverage and probabilities at small tolerances, by importance sampling or by many plain paths.

Twenty thousand plain paths hold two of one in ten thousand. A generator that can tilt itself sends each pool most of
its paths the way that hurts it and weighs them back; any other is run along as many plain paths as the tolerance needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.coverage.attribution import named_parts
from margincover.model.book import Tolerance
from margincover.model.pool import MarginPool
from margincover.model.results import Estimate, HorizonProbability, PathSummary
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo
from margincover.numeric.arrays import PathVector, Vector
from margincover.numeric.weighted_tail import WeightedSample
from margincover.paths import reference
from margincover.paths.engine import BLOCK_PATHS, MAX_PATHS, PathSettings, Progress, simulate
from margincover.scenarios.proposals import proposal_for
from margincover.scenarios.tilted import Proposal

_Z95 = 1.959963984540054
# Without tilts: so many paths that this many lie beyond the tolerance; the quantile is then good to about a tenth of
# the scale of the tail.
PLAIN_EXCEEDANCES = 200
# Common moves of all coins, in log price, at which it is asked which way the shortfall grows.
_PROBES = (0.0, -0.1, 0.1, -0.3, 0.3)
_SAME_DIRECTION = 0.95
MAX_DIRECTIONS = 3
_COMMON = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RareSettings:
    """How a rare run is made.

    Parameters
    ----------
    n_paths : int
        Weighted paths of each pool; the plain fallback takes more where the tolerance needs them.
    seed : int
    threads : int or None
    chunk_blocks : int
        Neither threads nor chunk_blocks changes the result.
    """

    n_paths: int
    seed: int
    threads: int | None = None
    chunk_blocks: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RareEstimate:
    """Tail figures of one pool over the horizon of the tolerance.

    ``rc``, ``rces`` in the pool's unit; ``contributions`` as in ``PoolCoverage``, they sum to RCES; ``effective`` is
    how many plain paths beyond RC would carry as much; ``method`` says how it was made.
    """

    pool_id: str
    rc: Estimate
    rces: Estimate
    liquidation: Estimate
    margin_call: Estimate
    contributions: dict[str, float]
    n_paths: int
    effective: float
    method: str

    def at_horizon(self, plain: HorizonProbability, tolerance: Tolerance) -> HorizonProbability:
        """Return this run's probabilities at the tolerance's horizon, the plain ones at any other.

        A probability above 1 % that the plain paths know better stays as it is.
        """
        if plain.horizon_s != tolerance.horizon_s:
            return plain
        return HorizonProbability(
            horizon_s=plain.horizon_s,
            liquidation=_better(plain.liquidation, self.liquidation),
            margin_call=_better(plain.margin_call, self.margin_call),
        )


def _better(plain: Estimate, rare: Estimate) -> Estimate:
    # Weighted paths are meant for the tail: of what is common the plain paths know more.
    return plain if plain.value > _COMMON and plain.standard_error < rare.standard_error else rare


class _Weighed:
    """A proposal in the clothes of a generator: hands out blocks and keeps their weights by block number."""

    def __init__(self, proposal: Proposal) -> None:
        self.proposal = proposal
        self.log_weight: dict[int, PathVector] = {}

    @property
    def info(self) -> ScenarioInfo:
        return self.proposal.info

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        made = self.proposal.weighted_block(seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
        self.log_weight[number] = made.log_weight
        return made.block

    def weights(self) -> PathVector:
        joined = np.concatenate([self.log_weight[number] for number in sorted(self.log_weight)])
        return np.asarray(np.exp(joined), dtype=np.float64)


def measure_rare(
    pools: Sequence[MarginPool],
    generator: ScenarioGenerator,
    tolerance: Tolerance,
    settings: RareSettings,
    *,
    progress: Progress | None = None,
) -> tuple[RareEstimate, ...]:
    """Return the tail figures of every pool, in the order of ``pools``.

    Raises
    ------
    InputError
        As ``paths.engine.simulate``.

    Notes
    -----
    Standard errors come from the blocks of 256 paths, which are independent and alike.
    """
    n_steps = tolerance.horizon_s // generator.info.step_s
    done: dict[int, RareEstimate] = {}
    plain: list[int] = []
    for row, pool in enumerate(pools):
        ways = dangerous_directions(pool, generator.info.factors)
        proposal = proposal_for(generator, ways, n_steps=n_steps, smallest=tolerance.probability) if ways else None
        if proposal is None:
            plain.append(row)
            continue
        weighed = _Weighed(proposal)
        paths = simulate(
            [pool], weighed, _path_settings(settings, tolerance, n_paths=settings.n_paths, kept=1.0), progress=progress
        )
        method = f"importance sampling, {len(ways)} direction{'s' if len(ways) > 1 else ''}"
        done[row] = _estimate(pool, paths, 0, weighed.weights(), tolerance, method=method)
    if plain:
        wanted = math.ceil(PLAIN_EXCEEDANCES / tolerance.probability)
        n_paths = min(max(settings.n_paths, wanted), MAX_PATHS)
        chosen = [pools[row] for row in plain]
        paths = simulate(
            chosen,
            generator,
            _path_settings(settings, tolerance, n_paths=n_paths, kept=tolerance.probability),
            progress=progress,
        )
        weight = np.ones(paths.maximum.shape[1])
        for place, row in enumerate(plain):
            done[row] = _estimate(pools[row], paths, place, weight, tolerance, method="plain paths")
    return tuple(done[row] for row in range(len(pools)))


def dangerous_directions(pool: MarginPool, factors: Sequence[str]) -> list[Vector]:
    """Return directions [factor of the generator] of log prices in which the shortfall of a pool grows, at most three.

    Notes
    -----
    Gradients of the shortfall now and after common moves of 10 % and 30 % either way, each of length 1; of two that
    nearly agree (cosine above 0.95) the first stays. A pool that is short options has one up and one down.
    """
    kept: list[Vector] = []
    for move in _PROBES:
        if not pool.factors:
            break
        ratio = np.full((len(pool.factors), 1), math.exp(move))
        slope = reference.slope(pool, ratio, np.zeros((pool.assets.count, 1)))[:, 0]
        length = float(np.sqrt(slope @ slope))
        if not length > 0.0:
            continue
        direction = np.zeros(len(factors))
        for factor, value in zip(pool.factors, slope / length, strict=True):
            direction[list(factors).index(factor)] = value
        if all(float(direction @ other) < _SAME_DIRECTION for other in kept):
            kept.append(direction)
    return kept[:MAX_DIRECTIONS]


def _path_settings(settings: RareSettings, tolerance: Tolerance, *, n_paths: int, kept: float) -> PathSettings:
    """Return settings up to the horizon; ``kept`` is the share of the worst paths that is kept for attribution.

    Weighted, the tail is most of the paths: all of them are kept. Plain, only the tolerance's share is.
    """
    return PathSettings(
        n_paths=n_paths,
        horizon_s=tolerance.horizon_s,
        follow_s=tolerance.horizon_s,
        seed=settings.seed,
        tolerance=kept,
        threads=settings.threads,
        chunk_blocks=settings.chunk_blocks,
    )


def _estimate(
    pool: MarginPool, paths: PathSummary, row: int, weight: PathVector, tolerance: Tolerance, *, method: str
) -> RareEstimate:
    sample = WeightedSample(values=paths.maximum[row], weight=weight, block_paths=BLOCK_PATHS)
    tail = tolerance.probability
    error, low, high = sample.quantile_interval(tail)
    rc = Estimate(value=sample.quantile(tail), standard_error=error, low=low, high=high)
    mean, mean_error = sample.expected_shortfall(tail)
    liquidated, called = (steps[row] >= 0 for steps in (paths.liquidation_step, paths.margin_call_step))
    return RareEstimate(
        pool_id=pool.id,
        rc=rc,
        rces=Estimate(
            value=mean, standard_error=mean_error, low=mean - _Z95 * mean_error, high=mean + _Z95 * mean_error
        ),
        liquidation=_probability(sample, np.asarray(liquidated, dtype=np.float64)),
        margin_call=_probability(sample, np.asarray(called, dtype=np.float64)),
        contributions=_contributions(pool, paths, row, sample.tail_share(tail)),
        n_paths=sample.values.size,
        effective=sample.effective_exceedances(rc.value),
        method=method,
    )


def _probability(sample: WeightedSample, hit: PathVector) -> Estimate:
    """Probability of a set of paths, from the set or its complement, whichever has the smaller weight."""
    direct, direct_error = sample.mean(hit)
    other, other_error = sample.mean(1.0 - hit)
    value, error = (direct, direct_error) if direct <= other else (1.0 - other, other_error)
    value = min(max(value, 0.0), 1.0)
    return Estimate(
        value=value,
        standard_error=error,
        low=max(value - _Z95 * error, 0.0),
        high=min(value + _Z95 * error, 1.0),
    )


def _contributions(pool: MarginPool, paths: PathSummary, row: int, share: Vector) -> dict[str, float]:
    """Parts of RCES: the weighted mean of what moved the worst paths; see ``coverage.attribution``."""
    record = paths.tails[row]
    used = share[record.path]
    assert abs(float(used.sum()) - 1.0) < 1e-9, "Invariant: the tail that was kept holds the tail that is needed"
    return named_parts(pool, paths, row, used)
