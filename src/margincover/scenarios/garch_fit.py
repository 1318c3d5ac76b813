"""Fitting a GJR-GARCH(1,1) with Student-t innovations, and the named fallback when no fit can be had."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.volatility import GjrParameters, targeted

MIN_FIT_BARS = 500
FITTED = "gjr-garch-t"
FALLBACK = "ewma-with-mean-reversion"
# h' = phi (lambda h + (1 - lambda) e^2) + (1 - phi) hbar. Rounded from the medians of the packaged calibration over
# its twelve coins (hourly bars); a test holds the two together. An EWMA alone forgets the long-run level.
FALLBACK_LAMBDA = 0.91
FALLBACK_PHI = 0.995


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchFit:
    """Parameters per step, degrees of freedom (None for the fallback), method, and the reason for a fallback."""

    parameters: GjrParameters
    nu: float | None
    method: str
    note: str = ""


def fallback_fit(residuals: Vector, *, reason: str) -> GarchFit:
    """Return the mean-reverting EWMA around the sample variance of ``residuals``."""
    parameters = targeted(
        alpha=FALLBACK_PHI * (1.0 - FALLBACK_LAMBDA),
        gamma=0.0,
        beta=FALLBACK_PHI * FALLBACK_LAMBDA,
        variance=float(np.mean(residuals**2)),
    )
    return GarchFit(parameters=parameters, nu=None, method=FALLBACK, note=reason)


def fit_gjr(residuals: Vector) -> GarchFit:
    """Return GJR-GARCH(1,1)-t parameters by maximum likelihood, re-targeted to the sample variance.

    Parameters
    ----------
    residuals : array [bar]
        Log returns without their mean; NaN bars are left out and their neighbours joined.

    Notes
    -----
    The likelihood is unrestricted, on residuals of unit variance (optimisers fail on omegas of 1e-6). Afterwards the
    persistence is capped (``numeric.volatility.MAX_PERSISTENCE``) and omega set so that the long-run variance is the
    sample variance. Fewer than 500 bars or no convergence gives the fallback, with the reason in ``note``.

    Raises
    ------
    InputError
        If the residuals do not vary.
    """
    present = residuals[np.isfinite(residuals)]
    variance = float(np.mean(present**2)) if present.size else 0.0
    if not variance > 0.0:
        raise InputError("the close never moved", field="history", allowed="prices that vary")
    if present.size < MIN_FIT_BARS:
        return fallback_fit(present, reason=f"{present.size} bars, at least {MIN_FIT_BARS} needed")
    found = _maximise(present / np.sqrt(variance))
    if isinstance(found, str):
        return fallback_fit(present, reason=found)
    alpha, gamma, beta, nu = found
    parameters = targeted(alpha=alpha, gamma=gamma, beta=beta, variance=variance)
    return GarchFit(parameters=parameters, nu=nu, method=FITTED)


def _maximise(scaled: Vector) -> tuple[float, float, float, float] | str:
    """Alpha, gamma, beta and nu, or the reason why there are none."""
    from arch import arch_model

    model = arch_model(scaled, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence is judged below, from the flag
            result = model.fit(disp="off", show_warning=False)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        return f"the optimiser failed: {error}"
    if result.convergence_flag != 0:
        return f"the optimiser did not converge (flag {result.convergence_flag})"
    values = np.asarray(result.params, dtype=np.float64)
    if not np.isfinite(values).all():
        return "the optimiser returned a NaN"
    _, alpha, gamma, beta, nu = (float(value) for value in values)
    if not nu > 2.0:
        return f"nu was {nu:g}: unit variance does not exist"
    # the optimiser may end a rounding error outside its own bounds
    alpha, beta = max(alpha, 0.0), max(beta, 0.0)
    return alpha, max(gamma, -alpha), beta, nu
