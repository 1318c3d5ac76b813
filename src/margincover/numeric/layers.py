"""Losses shared over ordered layers: each layer is used up before the next is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class LayeredLoss:
    """What each layer absorbed, in order, and what none did; together they are the loss."""

    absorbed: Vector
    residual: float


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
    sizes = np.asarray(capacities, dtype=np.float64)
    if not (np.isfinite(loss) and loss >= 0.0) or np.isnan(sizes).any() or (sizes < 0.0).any():
        raise InputError(f"loss {loss}, layers {list(capacities)}", field="layers", allowed="figures >= 0")
    absorbed = np.zeros(sizes.size)
    left = float(loss)
    for layer, size in enumerate(sizes):
        absorbed[layer] = min(left, float(size))
        left -= float(absorbed[layer])
    return LayeredLoss(absorbed=absorbed, residual=left)
