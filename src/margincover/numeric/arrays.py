"""Array aliases that carry the meaning of their axes, and the one way to freeze an array."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError

Vector: TypeAlias = NDArray[np.float64]
PathVector: TypeAlias = NDArray[np.float64]  # [path]
FactorPath: TypeAlias = NDArray[np.float64]  # [factor, path]
FactorFactor: TypeAlias = NDArray[np.float64]  # [factor, factor]
StepFactorPath: TypeAlias = NDArray[np.float64]  # [step, factor, path]
PoolPath: TypeAlias = NDArray[np.float64]  # [pool, path]
StepPoolPath: TypeAlias = NDArray[np.float64]  # [step, pool, path]
IndexVector: TypeAlias = NDArray[np.int32]
PoolPathIndex: TypeAlias = NDArray[np.int32]  # [pool, path], a step number, -1 for never


def frozen(values: ArrayLike, *, name: str, ndim: int | None = None) -> NDArray[np.float64]:
    """Return a read-only, C-contiguous float64 copy that holds only finite numbers.

    Raises
    ------
    InputError
        If a value is NaN or infinite, or the number of axes is not ``ndim``.
    """
    array = np.array(values, dtype=np.float64, order="C")
    if ndim is not None and array.ndim != ndim:
        raise InputError(f"had {array.ndim} axes", field=name, allowed=f"{ndim} axes")
    if not np.isfinite(array).all():
        raise InputError("held a NaN or an infinity", field=name, allowed="finite numbers")
    array.flags.writeable = False
    return array


def frozen_index(values: ArrayLike) -> IndexVector:
    """Return a read-only int32 copy."""
    array = np.array(values, dtype=np.int32, order="C")
    array.flags.writeable = False
    return array
