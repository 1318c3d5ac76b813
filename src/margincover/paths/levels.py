"""Lowest and last prices of factors along the paths of a generator, at stated times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import ScenarioGenerator
from margincover.paths.engine import BLOCK_PATHS


def extreme_ratios(
    generator: ScenarioGenerator, factors: Sequence[str], steps: Sequence[int], *, seed: int, n_paths: int
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return, by factor, lowest and highest price up to each of ``steps`` over the price at the start, [step, path].

    The paths are those of ``paths.engine.simulate`` with the same seed, in the same order; ``n_paths`` is rounded up to
    whole blocks. The start counts: the lowest is at most 1, the highest at least 1.

    Raises
    ------
    InputError
        If a factor is not made by the generator, or a step is below 1.
    """
    names = list(generator.info.factors)
    for factor in factors:
        if factor not in names:
            raise InputError(f"{factor} has no paths", field="factors", allowed=", ".join(names))
    if not steps or min(steps) < 1:
        raise InputError(f"was {list(steps)}", field="steps", allowed="whole numbers >= 1")
    n_blocks = -(-n_paths // BLOCK_PATHS)
    shape = (2, len(steps), n_blocks * BLOCK_PATHS)
    found = {factor: np.empty(shape) for factor in factors}
    rows = [step - 1 for step in steps]
    for number in range(n_blocks if factors else 0):
        block = generator.block(seed=seed, number=number, n_steps=max(steps), n_paths=BLOCK_PATHS)
        part = slice(number * BLOCK_PATHS, (number + 1) * BLOCK_PATHS)
        for factor in factors:
            column = names.index(factor)
            lowest = np.minimum.accumulate(block.low_log[:, column], axis=0)[rows]
            highest = np.maximum.accumulate(block.high_log[:, column], axis=0)[rows]
            found[factor][0, :, part] = np.exp(np.minimum(lowest, 0.0))
            found[factor][1, :, part] = np.exp(np.maximum(highest, 0.0))
    return {factor: (pair[0], pair[1]) for factor, pair in found.items()}
