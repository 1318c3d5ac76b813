"""Standard errors of simulated figures by batch means: the figure of each batch of paths, and how much they differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector

DEFAULT_BATCHES = 20
# Fewer batches make the t factor large, and the interval a guess.
MIN_BATCHES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchError:
    """Standard error by batch means, the factor for a 95 % interval (Student-t), and how many batches there were."""

    standard_error: float
    factor_95: float
    batches: int


def batch_error(
    values: PathVector,
    figure: Callable[[PathVector], float],
    *,
    block_paths: int = 1,
    batches: int = DEFAULT_BATCHES,
) -> BatchError:
    """Return the standard error of ``figure`` of all values.

    Parameters
    ----------
    values : array [..., path]
        Path last; a batch is a run of paths.
    figure : callable
        From values to a number.
    block_paths : int
        Paths that were made together (antithetic or quasi-random partners stand in one block); a batch is made of
        whole blocks, so that dependence inside a block is in the error.
    batches : int
        Wanted; fewer where there are fewer blocks.

    Raises
    ------
    InputError
        If fewer than 5 batches can be made.

    Notes
    -----
    sqrt(variance of the batch figures / batches). A quantile of a small batch is biased; the bias is common to all
    batches and does not enter. A batch should hold at least some ten values beyond the quantile.

    References
    ----------
    Glynn, Whitt (1991), Estimating the asymptotic variance with batch means, Operations Research Letters 10:431-435.
    """
    blocks = values.shape[-1] // block_paths
    used = min(batches, blocks)
    if used < MIN_BATCHES:
        raise InputError(
            f"{values.shape[-1]} paths in blocks of {block_paths}",
            field="paths",
            allowed=f"at least {MIN_BATCHES} blocks",
        )
    edges = np.linspace(0, blocks, used + 1).astype(np.int64) * block_paths
    figures = np.array([figure(values[..., low:high]) for low, high in pairwise(edges)])
    from scipy.special import stdtrit

    return BatchError(
        standard_error=float(figures.std(ddof=1)) / math.sqrt(used),
        factor_95=float(stdtrit(used - 1, 0.975)),
        batches=used,
    )
