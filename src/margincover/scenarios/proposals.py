"""Choose the proposal of a generator: the one place that knows which generators can be tilted."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.model.scenario import ScenarioGenerator
from margincover.numeric.arrays import Vector
from margincover.scenarios.tilted import Proposal, Tiltable, esscher_mixture
from margincover.scenarios.tilted_blocks import BlockDrawing, block_mixture


def proposal_for(
    generator: ScenarioGenerator, directions: Sequence[Vector], *, n_steps: int, smallest: float
) -> Proposal | None:
    """Return a proposal for the moves along ``directions`` [factor], or None where the generator has none.

    Parameters
    ----------
    generator : ScenarioGenerator
    directions : sequence of array [factor]
        Not all zero.
    n_steps : int
        Horizon.
    smallest : float
        Smallest probability that matters.
    """
    if isinstance(generator, Tiltable):
        return esscher_mixture(generator, directions, n_steps=n_steps, smallest=smallest)
    if isinstance(generator, BlockDrawing):
        return block_mixture(generator, directions, n_steps=n_steps, smallest=smallest)
    return None
