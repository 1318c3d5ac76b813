"""Closed forms and likelihood of the multivariate Student-t copula."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import FactorFactor


def t_copula_tail_dependence(nu: float, rho: float) -> float:
    """Return the limit of P(U2 < u | U1 < u) for u to 0; the upper tail has the same.

    Parameters
    ----------
    nu : float
        Degrees of freedom, > 0; infinity is the Gaussian copula.
    rho : float
        Correlation of the copula, -1 to 1.

    Raises
    ------
    InputError
        If nu or rho is out of range.

    Notes
    -----
    lambda = 2 t_{nu + 1}(-sqrt((nu + 1) (1 - rho) / (1 + rho))). The Gaussian copula has none unless rho = 1: crashes
    of different coins would become independent the deeper they are.

    References
    ----------
    Demarta, McNeil (2005), The t copula and related copulas, International Statistical Review 73:111-129.

    Examples
    --------
    >>> round(t_copula_tail_dependence(4.0, 0.5), 4)
    0.2532
    """
    from scipy.special import stdtr

    if not nu > 0.0:
        raise InputError(f"was {nu}", field="nu", allowed="a number > 0, infinity for the Gaussian copula")
    if not -1.0 <= rho <= 1.0:
        raise InputError(f"was {rho}", field="rho", allowed="-1 to 1")
    if rho == 1.0:
        return 1.0
    if rho == -1.0 or math.isinf(nu):
        return 0.0
    return float(2.0 * stdtr(nu + 1.0, -math.sqrt((nu + 1.0) * (1.0 - rho) / (1.0 + rho))))


def kendall_tau(rho: float) -> float:
    """Return Kendall's tau of a t or Gaussian copula: 2 / pi arcsin(rho), whatever nu.

    Examples
    --------
    >>> round(kendall_tau(0.5), 6)
    0.333333
    """
    if not -1.0 <= rho <= 1.0:
        raise InputError(f"was {rho}", field="rho", allowed="-1 to 1")
    return 2.0 / math.pi * math.asin(rho)


def t_copula_log_density(ranks: NDArray[np.int64], correlation: FactorFactor, nu: float) -> NDArray[np.float64]:
    """Return the log density [sample] of the t copula at the pseudo-observations (rank + 1) / (n + 1).

    Parameters
    ----------
    ranks : array [factor, sample]
        Ranks 0..n-1 of each factor, each rank once.
    correlation : array [factor, factor]
        Positive definite.
    nu : float
        Degrees of freedom, > 0 and finite.

    Notes
    -----
    All factors share the same n quantiles, so that the t quantile is taken n times and not n x factor times.
    """
    from scipy.special import gammaln, stdtrit

    d, n = ranks.shape
    quantiles = stdtrit(nu, np.arange(1, n + 1) / (n + 1.0))
    x = quantiles[ranks]
    root = np.linalg.cholesky(correlation)
    white = np.linalg.solve(root, x)
    margins = 0.5 * (nu + 1.0) * np.log1p(quantiles**2 / nu)[ranks].sum(axis=0)
    constant = (gammaln(0.5 * (nu + d)) + (d - 1) * gammaln(0.5 * nu) - d * gammaln(0.5 * (nu + 1.0))) - float(
        np.log(np.diag(root)).sum()
    )
    density = constant + margins - 0.5 * (nu + d) * np.log1p((white**2).sum(axis=0) / nu)
    return np.asarray(density, dtype=np.float64)
