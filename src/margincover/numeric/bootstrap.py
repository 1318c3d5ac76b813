"""Block bootstrap on a circle of bars: which blocks may be drawn, how often each bar then comes, and the draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorPath, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockChoice:
    """The blocks that a bootstrap draws, all equally likely.

    ``starts`` [block] are their first bars, ``moves`` [factor, bar] the log moves of closes, up to a scale by factor.
    """

    starts: NDArray[np.int64]
    block_bars: int
    moves: FactorPath


def eligible_starts(usable: NDArray[np.bool_], *, block_bars: int) -> NDArray[np.int64]:
    """Return the bars at which a whole block of usable bars starts, on a circle: the first bar follows the last.

    Raises
    ------
    InputError
        If the block is longer than the series or no block is whole.

    Examples
    --------
    >>> eligible_starts(np.array([True, True, False, True]), block_bars=2)
    array([0, 3])
    """
    n = usable.size
    if not 1 <= block_bars <= n:
        raise InputError(f"a block had {block_bars} bars", field="block", allowed=f"1 to {n} bars")
    running = np.concatenate(([0], np.cumsum(np.concatenate((usable, usable[: block_bars - 1])))))
    starts = np.flatnonzero(running[block_bars:] - running[:-block_bars] == block_bars)
    if starts.size == 0:
        raise InputError(
            "no block without a missing bar was found", field="history", allowed=f"{block_bars} bars without a gap"
        )
    return starts.astype(np.int64)


def bar_weights(starts: NDArray[np.int64], *, block_bars: int, n_bars: int, chance: Vector | None = None) -> Vector:
    """Return the probability [bar] that a drawn step is each bar; sums to 1.

    ``chance`` [start] is that of each block, None for the same of all.
    """
    covered = (starts[:, None] + np.arange(block_bars)) % n_bars
    of_bar = None if chance is None else np.repeat(chance, block_bars)
    counts = np.bincount(covered.ravel(), weights=of_bar, minlength=n_bars)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def draw_bars(
    rng: np.random.Generator,
    starts: NDArray[np.int64],
    *,
    block_bars: int,
    n_bars: int,
    shape: tuple[int, int],
    chance: Vector | None = None,
) -> NDArray[np.int32]:
    """Return bar numbers [step, path] drawn in blocks; ``shape`` is (n_steps, n_paths), ``chance`` [start] sums to 1.

    Blocks start together at steps 0, block_bars, 2 block_bars ...; draws go step by step, so that fewer steps are a
    prefix of more steps.
    """
    n_steps, n_paths = shape
    n_blocks = -(-n_steps // block_bars)
    # 53 random bits each: every draw takes one number of the stream, so the prefix rule cannot break on rejection
    uniform = rng.random((n_blocks, n_paths))
    if chance is None:
        place = (uniform * starts.size).astype(np.int64)
    else:
        place = np.searchsorted(np.cumsum(chance), uniform, side="right")
    chosen = starts[np.minimum(place, starts.size - 1)]
    index = (chosen[:, None, :] + np.arange(block_bars)[None, :, None]) % n_bars
    return np.ascontiguousarray(index.reshape(n_blocks * block_bars, n_paths)[:n_steps], dtype=np.int32)
