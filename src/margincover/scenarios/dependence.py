"""Correlation of factors: rank estimate, nearest valid matrix, its root, and one-factor loadings."""

from __future__ import annotations

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor, Vector

# A smaller eigenvalue than this is rounding; a more negative one is a matrix that no random vector can have.
_EIGEN_TOLERANCE = 1e-8


def rank_correlation(values: FactorFactor) -> FactorFactor:
    """Return the correlation [factor, factor] implied by Kendall's tau of values [factor, bar].

    Notes
    -----
    rho = sin(pi tau / 2) holds for every elliptical law, so single crash bars do not rule the estimate.

    References
    ----------
    Lindskog, McNeil, Schmock (2003), Kendall's tau for elliptical distributions, doi:10.1007/978-3-642-59365-9_8.
    """
    from scipy.stats import kendalltau

    n = values.shape[0]
    result = np.eye(n)
    for i in range(n):
        for j in range(i):
            tau = float(kendalltau(values[i], values[j]).statistic)
            if not np.isfinite(tau):
                raise InputError(f"rank correlation of factors {j} and {i} does not exist", field="history")
            result[i, j] = result[j, i] = np.sin(0.5 * np.pi * tau)
    return nearest_correlation(result)


def nearest_correlation(matrix: FactorFactor, *, floor: float = 1e-4) -> FactorFactor:
    """Return a correlation matrix close to a symmetric one with unit diagonal, eigenvalues at least about ``floor``."""
    values, vectors = np.linalg.eigh(matrix)
    if values.min() >= floor:
        return matrix
    lifted = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = 1.0 / np.sqrt(np.diag(lifted))
    result = lifted * np.outer(scale, scale)
    np.fill_diagonal(result, 1.0)
    return np.asarray(0.5 * (result + result.T), dtype=np.float64)


def correlation_root(correlation: FactorFactor) -> FactorFactor:
    """Return A with A A' = correlation: the Cholesky factor, or a root by eigenvalues when it is singular.

    Raises
    ------
    InputError
        If the matrix is not symmetric with unit diagonal, or has a negative eigenvalue.
    """
    if correlation.ndim != 2 or correlation.shape[0] != correlation.shape[1]:
        raise InputError(f"had shape {correlation.shape}", field="correlation", allowed="a square matrix")
    if not np.isfinite(correlation).all():
        raise InputError("held a NaN or an infinity", field="correlation", allowed="finite numbers")
    if not (np.allclose(correlation, correlation.T, atol=1e-12) and np.allclose(np.diag(correlation), 1.0, atol=1e-12)):
        raise InputError("was not symmetric with ones on the diagonal", field="correlation", allowed="a correlation")
    values, vectors = np.linalg.eigh(correlation)
    if values.min() < -_EIGEN_TOLERANCE:
        raise InputError(
            f"had the eigenvalue {values.min():.3g}", field="correlation", allowed="no negative eigenvalue"
        )
    if values.min() > _EIGEN_TOLERANCE:
        return np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)


def one_factor_loading(correlation: FactorFactor) -> Vector:
    """Return loadings l in [-0.999, 0.999] so that l_i l_j is close to correlation_ij for i != j.

    Notes
    -----
    One factor: l = 1. Two: +-sqrt|rho|, exact. More: least squares over the off-diagonal entries (minres), by cyclic
    exact minimisation in one loading at a time from the leading eigenvector.

    References
    ----------
    Harman, Jones (1966), Psychometrika 31:351-368, doi:10.1007/BF02289468.
    """
    n = correlation.shape[0]
    if n == 1:
        return np.ones(1)
    if n == 2:
        rho = float(np.clip(correlation[0, 1], -0.998, 0.998))
        return np.array([np.sqrt(abs(rho)), np.sign(rho) * np.sqrt(abs(rho))])
    values, vectors = np.linalg.eigh(correlation)
    loading = vectors[:, -1] * np.sqrt(values[-1])
    loading = np.clip(loading if loading.sum() >= 0.0 else -loading, -0.999, 0.999)
    for _ in range(500):
        before = loading.copy()
        for i in range(n):
            others = np.delete(loading, i)
            square = float(others @ others)
            if square > 0.0:
                fitted = float(np.delete(correlation[i], i) @ others) / square
                loading[i] = np.clip(fitted, -0.999, 0.999)
        if np.abs(loading - before).max() < 1e-12:
            break
    return np.asarray(loading, dtype=np.float64)
