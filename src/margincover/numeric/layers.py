"""Losses shared over ordered layers: each layer is used up before the next is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredLoss:
    """What each layer absorbed, in order, and what none did; together they are the loss."""

    absorbed: Vector
    residual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredPaths:
    """The same on paths: ``absorbed`` [layer, path] and ``residual`` [path]."""

    absorbed: NDArray[np.float64]
    residual: PathVector


def absorb(loss: float, capacities: Sequence[float]) -> LayeredLoss:
    """Return the parts of a loss by layer.

    Parameters
    ----------
    loss : float
        >= 0.
    capacities : sequence of float
        >= 0, in the order in which the layers are used; infinity is allowed for a layer without limit.

    Examples
    --------
    >>> absorb(133.0, [8.0, 165.0])
    LayeredLoss(absorbed=array([  8., 125.]), residual=0.0)
    """
    found = absorb_paths(np.array([loss]), np.asarray(capacities, dtype=np.float64)[:, np.newaxis])
    return LayeredLoss(absorbed=found.absorbed[:, 0], residual=float(found.residual[0]))


def absorb_paths(loss: ArrayLike, capacities: ArrayLike) -> LayeredPaths:
    """Return the parts of losses by layer on every path.

    Parameters
    ----------
    loss : array [path]
        >= 0.
    capacities : array [layer, path]
        >= 0, in the order in which the layers are used; a path axis of length 1 stands for every path; infinity is
        allowed for a layer without limit.

    Notes
    -----
    Layer by layer: absorbed = min(left, capacity), left = left - absorbed. So a layer is touched only where those
    above it are used up, and absorbed + residual = loss up to rounding in the last digit.

    Raises
    ------
    InputError
        If a loss is negative or not finite, a capacity is negative or NaN, or the numbers of paths differ.
    """
    losses, sizes = np.asarray(loss, dtype=np.float64), np.asarray(capacities, dtype=np.float64)
    if losses.ndim != 1 or sizes.ndim != 2 or sizes.shape[1] not in (1, losses.size):
        raise InputError(
            f"loss {losses.shape}, layers {sizes.shape}", field="layers", allowed="[path] and [layer, path or 1]"
        )
    if not (np.isfinite(losses).all() and (losses >= 0.0).all()) or not (sizes >= 0.0).all():
        raise InputError(
            f"loss {losses.tolist()[:8]}, layers {sizes.tolist()[:8]}", field="layers", allowed="figures >= 0"
        )
    absorbed = np.empty((sizes.shape[0], losses.size))
    left = losses.copy()
    for layer, size in enumerate(sizes):
        np.minimum(left, size, out=absorbed[layer])
        left -= absorbed[layer]
    return LayeredPaths(absorbed=absorbed, residual=left)
