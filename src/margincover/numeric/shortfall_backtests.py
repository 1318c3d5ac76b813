"""What a backtest costs: critical values of the Expected Shortfall test Z2 by simulation, and the Basel plus factor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.numeric.arrays import Vector
from margincover.numeric.rng import stream

# Basel Committee (1996), Supervisory framework for the use of backtesting, table 2; MAR99. 250 days at 99 %.
_PLUS_FACTORS = {5: 0.40, 6: 0.50, 7: 0.65, 8: 0.75, 9: 0.85}
_GREEN, _RED, _RED_PLUS = 4, 10, 1.00
_MULTIPLIER = 3.0
_CHUNK = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Z2Law:
    """Simulated values of Z2 under correct forecasts, sorted upwards; negative values speak against the forecasts."""

    values: Vector

    def critical(self, level: float) -> float:
        """Return the value below which a share ``level`` falls when the forecasts are right."""
        if not 0.0 < level < 1.0:
            raise InputError(f"was {level}", field="level", allowed="a probability in (0, 1)")
        return float(np.quantile(self.values, level))

    def p_value(self, statistic: float) -> float:
        """Return the share of values at or below ``statistic``."""
        return float(np.searchsorted(self.values, statistic, side="right")) / self.values.size


def z2_law(count: int, *, tail: float, nu: float | None = None, trials: int = 10_000, seed: int = 1) -> Z2Law:
    """Return the law of Acerbi and Szekely's Z2 for ``count`` right forecasts of VaR and ES.

    Parameters
    ----------
    count : int
        Forecasts in the backtest.
    tail : float
        Tail probability of VaR and ES.
    nu : float or None
        Degrees of freedom of Student-t outcomes, > 1; None is normal. Critical values hardly depend on it at 5 %, but
        much at 0.01 %.
    trials : int
        Simulated backtests; a level of 0.01 % needs over a million.
    seed : int

    References
    ----------
    Acerbi, Szekely (2014), Backtesting Expected Shortfall, Risk 27(11).
    """
    from scipy.stats import norm, t

    if count < 1 or trials < 100 or not 0.0 < tail < 1.0 or (nu is not None and not nu > 1.0):
        raise InputError(
            f"count {count}, trials {trials}, tail {tail}, nu {nu}",
            field="z2",
            allowed="count >= 1, trials >= 100, tail in (0, 1), nu > 1",
        )
    if nu is None:
        q = float(norm.isf(tail))
        es = float(norm.pdf(q)) / tail
    else:
        q = float(t.isf(tail, nu))
        es = float(t.pdf(q, nu)) / tail * (nu + q * q) / (nu - 1.0)
    values = np.empty(trials)
    for number, first in enumerate(range(0, trials, _CHUNK)):
        rng = stream(seed, "z2", number)
        size = (min(_CHUNK, trials - first), count)
        loss = rng.standard_normal(size) if nu is None else rng.standard_t(nu, size)
        values[first : first + size[0]] = 1.0 - (loss * (loss > q)).sum(axis=1) / (count * tail * es)
    return Z2Law(values=np.sort(values))


def basel_plus_factor(exceedances: int) -> float:
    """Return the addition to the multiplier of 3 after 250 days at 99 %: the table, which is the rule.

    Examples
    --------
    >>> [basel_plus_factor(x) for x in (4, 5, 7, 9, 10)]
    [0.0, 0.4, 0.65, 0.85, 1.0]
    """
    if exceedances < 0:
        raise InputError(f"was {exceedances}", field="exceedances", allowed=">= 0")
    if exceedances <= _GREEN:
        return 0.0
    return _RED_PLUS if exceedances >= _RED else _PLUS_FACTORS[exceedances]


def normal_plus_factor(exceedances: int, *, count: int = 250, tail: float = 0.01) -> float:
    """Return the addition that would restore the stated tail for normal losses; the Basel table rounds it.

    Notes
    -----
    3 (z(tail) / z(exceedances / count) - 1), not below 0. With 5 to 9 of 250: 0.40, 0.53, 0.65, 0.77, 0.88.
    """
    from scipy.special import ndtri

    if not 0 < exceedances < 0.5 * count:
        raise InputError(f"was {exceedances} of {count}", field="exceedances", allowed="at least 1, below half")
    ratio = float(ndtri(tail)) / float(ndtri(exceedances / count))
    return max(0.0, _MULTIPLIER * (ratio - 1.0)) if math.isfinite(ratio) else 0.0
