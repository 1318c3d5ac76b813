"""Student-t as a scale mixture of normals: one mixing variable per step and path, unit variance, capped scale."""

from __future__ import annotations

import math

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorPath


def capped_second_moment(nu: float, *, max_scale: float) -> float:
    """Return E min(s, max_scale)^2 for s^2 = (nu - 2) / W, W chi-square with nu degrees of freedom.

    Notes
    -----
    E[(nu - 2) / W; W > w] = P(chi2(nu - 2) > w), hence the moment is P(chi2(nu - 2) > w) + max_scale^2 P(chi2(nu) < w)
    with w = (nu - 2) / max_scale^2.
    """
    from scipy.special import gammainc, gammaincc

    w = (nu - 2.0) / max_scale**2
    return float(gammaincc((nu - 2.0) / 2.0, w / 2.0) + max_scale**2 * gammainc(nu / 2.0, w / 2.0))


def mixing_scale_squared(
    rng: np.random.Generator, *, nu: float, max_scale: float, shape: tuple[int, int]
) -> FactorPath:
    """Return s^2 [step, path] with mean 1, such that s times a standard normal is a unit-variance Student-t.

    Parameters
    ----------
    nu : float
        Degrees of freedom, > 2.
    max_scale : float
        Largest s before the rescaling to mean 1; > 1. It bounds the tail, so that all moments exist.

    Raises
    ------
    InputError
        If nu or max_scale is out of range.
    """
    if not (math.isfinite(nu) and nu > 2.0):
        raise InputError(f"was {nu}", field="nu", allowed="a finite number > 2 (unit variance must exist)")
    if not (math.isfinite(max_scale) and max_scale > 1.0):
        raise InputError(f"was {max_scale}", field="max_scale", allowed="a finite number > 1")
    chi_square = 2.0 * rng.standard_gamma(nu / 2.0, size=shape)
    floor = (nu - 2.0) / max_scale**2
    raw = (nu - 2.0) / np.maximum(chi_square, floor)
    return np.asarray(raw / capped_second_moment(nu, max_scale=max_scale), dtype=np.float64)


def joint_degrees_of_freedom(nus: list[float]) -> float:
    """Return the harmonic mean: the mean of 1 / nu is the mean tail index, and fatter tails count for more."""
    if not nus:
        raise InputError("no degrees of freedom", field="nu", allowed="at least one")
    return len(nus) / sum(1.0 / nu for nu in nus)
