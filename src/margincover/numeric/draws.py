"""Standard normals for a block of paths: independent, in antithetic pairs, or quasi-random with a random shift.

All are made step by step, so that fewer steps are a prefix of more steps, and depend on (seed, purpose, number) alone.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import StepFactorPath
from margincover.numeric.rng import stream

_BITS = 30
# Directions that SciPy holds for the Sobol sequence.
MAX_DIMENSIONS = 21_201


class Draws(Enum):
    """How the normals of a block are drawn."""

    INDEPENDENT = "independent"
    ANTITHETIC = "antithetic"
    SOBOL = "sobol"


def normals(
    seed: int, purpose: str, number: int, *, shape: tuple[int, int, int], draws: Draws = Draws.INDEPENDENT
) -> StepFactorPath:
    """Return standard normals [step, factor, path] of block ``number``.

    Parameters
    ----------
    shape : (n_steps, n_factors, n_paths)
    draws : Draws
        ``ANTITHETIC``: the second half of the paths has the normals of the first half with the other sign; with an odd
        number of paths the last has its own. ``SOBOL``: path p takes point p of a Sobol sequence whose coordinates
        are the steps and factors in order, XORed with random bits that differ by block (a digital shift), so that
        every path alone is exactly normal and the mean over blocks is unbiased.

    Raises
    ------
    InputError
        For ``SOBOL`` with more than 21,201 coordinates (steps times factors).

    References
    ----------
    L'Ecuyer, Lemieux (2002), Recent advances in randomized quasi-Monte Carlo methods, section on digital shifts,
    doi:10.1007/0-306-48102-2_20.
    """
    if draws is Draws.SOBOL:
        return _sobol(seed, purpose, number, shape)
    rng = stream(seed, purpose, number)
    if draws is Draws.INDEPENDENT:
        return rng.standard_normal(shape)
    n_steps, n_factors, n_paths = shape
    half = n_paths // 2
    own = rng.standard_normal((n_steps, n_factors, n_paths - half))
    out = np.empty(shape)
    out[:, :, : n_paths - half] = own
    out[:, :, n_paths - half :] = -own[:, :, :half]
    return out


def _sobol(seed: int, purpose: str, number: int, shape: tuple[int, int, int]) -> StepFactorPath:
    from scipy.special import ndtri
    from scipy.stats import qmc

    n_steps, n_factors, n_paths = shape
    n_dimensions = n_steps * n_factors
    if n_dimensions > MAX_DIMENSIONS:
        raise InputError(
            f"{n_steps} steps of {n_factors} factors need {n_dimensions} coordinates",
            field="draws",
            allowed=f"sobol up to {MAX_DIMENSIONS} coordinates; fewer steps or factors, or independent draws",
        )
    if not n_dimensions:
        return np.empty(shape)
    points = qmc.Sobol(n_dimensions, scramble=False, bits=_BITS).random_base2(max(n_paths - 1, 0).bit_length())
    whole = np.rint(points[:n_paths].T * 2**_BITS).astype(np.int64)
    shift = (stream(seed, f"{purpose}.shift", number).random(n_dimensions) * 2**_BITS).astype(np.int64)
    # the half keeps every coordinate off 0 and 1, where the normal is infinite
    uniform = ((whole ^ shift[:, None]) + 0.5) / 2**_BITS
    return np.ascontiguousarray(ndtri(uniform).reshape(shape))
