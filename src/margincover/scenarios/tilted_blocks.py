"""Importance sampling for generators that draw blocks of bars: bad blocks are drawn more often, and weighed back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo
from margincover.numeric.arrays import FactorFactor, Vector
from margincover.numeric.bootstrap import BlockChoice
from margincover.numeric.rng import stream
from margincover.scenarios.tilted import LADDER, WeightedBlock, balance_log_weight, component_counts


@runtime_checkable
class BlockDrawing(ScenarioGenerator, Protocol):
    """A generator that draws blocks of bars with equal chances, and whatever else regardless of them."""

    def block_choice(self) -> BlockChoice:
        """Return the blocks that are drawn."""

    def along(self, index: NDArray[np.int32], *, seed: int, number: int) -> ScenarioBlock:
        """Return the paths for given bars [step, path]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockMixture:
    """Mixture of the true law and laws that draw bad blocks more often.

    Parameters
    ----------
    base : BlockDrawing
    chances : array [law, block]
        Chance of each block times the number of blocks (mean 1) under each tilted law, > 0.

    Notes
    -----
    Components of equal size: the true law, and per law l one in which a single block of the path, at a place drawn
    evenly, comes from l, and one in which all blocks do. With r the ratio of a drawn block's chance to the true one,
    dQ/dP is the mean of r over the places in the first case and their product in the second. The weight is that of
    the balance heuristic, see ``EsscherMixture``; whatever else the generator draws is drawn as ever.
    """

    base: BlockDrawing
    chances: FactorFactor

    @property
    def info(self) -> ScenarioInfo:
        """What the true generator makes."""
        return self.base.info

    def weighted_block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> WeightedBlock:
        """Return block ``number`` with its weights; see ``scenarios.tilted.Proposal``."""
        choice = self.base.block_choice()
        n_laws, n_blocks = self.chances.shape
        counts = component_counts(n_paths, 1 + 2 * n_laws)
        places = -(-n_steps // choice.block_bars)
        rng = stream(seed, "tilted.blocks", number)
        uniform = rng.random((places, n_paths))
        drawn = np.minimum((uniform * n_blocks).astype(np.int64), n_blocks - 1)
        special = np.minimum((rng.random(n_paths) * places).astype(np.int64), places - 1)
        edges = np.concatenate(([0], np.cumsum(counts)))
        for law in range(n_laws):
            heaped = np.cumsum(self.chances[law]) / self.chances[law].sum()
            for kind in range(2):
                part = np.arange(edges[1 + 2 * law + kind], edges[2 + 2 * law + kind])
                at = special[part][None] if kind == 0 else np.repeat(np.arange(places)[:, None], part.size, axis=1)
                found = np.searchsorted(heaped, uniform[at, part[None]], side="right")
                drawn[at, part[None]] = np.minimum(found, n_blocks - 1)
        bars = choice.starts[drawn][:, None, :] + np.arange(choice.block_bars)[None, :, None]
        index = (bars % choice.moves.shape[1]).reshape(-1, n_paths)[:n_steps]
        block = self.base.along(np.ascontiguousarray(index, dtype=np.int32), seed=seed, number=number)
        return WeightedBlock(block=block, log_weight=balance_log_weight(self._log_ratio(drawn), counts))

    def _log_ratio(self, drawn: NDArray[np.int64]) -> FactorFactor:
        """Return ln dQ/dP [component, path] of drawn blocks [place, path]."""
        rows = [np.zeros(drawn.shape[1])]
        for law in self.chances:
            ratio = law[drawn]
            rows += [np.log(ratio.mean(axis=0)), np.log(ratio).sum(axis=0)]
        return np.stack(rows)


def block_mixture(base: BlockDrawing, directions: Sequence[Vector], *, n_steps: int, smallest: float) -> BlockMixture:
    """Return the mixture for the moves along ``directions`` [factor].

    Notes
    -----
    The score of a block is the largest sum of its moves along the direction at any of its bars, and no less than 0. A
    law has chances proportional to exp(c score); c is set by its relative entropy to the true law, a ladder up to that
    at which about one block in 1 / ``smallest`` is meant. Every chance keeps a tenth of the true one.
    """
    choice = base.block_choice()
    covered = (choice.starts[:, None] + np.arange(choice.block_bars)) % choice.moves.shape[1]
    laws = []
    for direction in directions:
        moves = sum(weight * choice.moves[f][covered] for f, weight in enumerate(direction))
        score = np.maximum(np.cumsum(moves, axis=1).max(axis=1), 0.0)
        if not score.max() > 0.0:
            continue
        # A law on n blocks cannot have more entropy than ln n; the last rung stays well inside.
        deepest = 0.8 * math.log(score.size)
        for at in (rung for rung in LADDER if rung > smallest / 10.0):
            laws.append(_tilted_chances(score, min(-math.log(at), deepest)))
    return BlockMixture(base=base, chances=np.array(laws).reshape(-1, choice.starts.size))


def _tilted_chances(score: Vector, entropy: float) -> Vector:
    """Return chances (mean 1) as exp(c score), of the wanted relative entropy, with a tenth of even ones."""
    from scipy.optimize import brentq

    def chances(c: float) -> Vector:
        weight = np.exp(c * (score - score.max()))
        return np.asarray(weight / weight.mean(), dtype=np.float64)

    def missing(c: float) -> float:
        p = chances(c)
        return float((p * np.log(np.maximum(p, 1e-300))).mean()) - entropy

    high = 1.0 / float(score.max())
    # Ties at the top bound the entropy: the search ends there.
    while missing(high) < 0.0 and high * float(score.max()) < 1e4:
        high *= 2.0
    c = float(brentq(missing, 0.0, high)) if missing(high) > 0.0 else high
    return 0.1 + 0.9 * chances(c)
