"""Joint law of log moves over a horizon: covariance of coins and of implied volatility, for reverse stress."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.scenario import History
from margincover.numeric.arrays import FactorFactor, frozen
from margincover.scenarios.bars import joint_bars
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.dependence import nearest_correlation, rank_correlation
from margincover.scenarios.episode_fill import FILL_MULTIPLE
from margincover.scenarios.episodes import VolatilityLaw
from margincover.units import SECONDS_PER_DAY, years

VOLATILITY = "implied volatility"
# Keeps the covariance of coins that move alike invertible; a distance changes by less than a thousandth.
_EIGEN_FLOOR = 1e-3
_MIN_BARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class JointLaw:
    """Covariance of log moves over a horizon.

    Parameters
    ----------
    factors : tuple of str [factor]
        Coins; ``VOLATILITY`` stands last where implied volatility is one of the factors.
    covariance : array [factor, factor]
        Of the log of price over price (volatility over volatility) over ``horizon_s``.
    nu : float
        Degrees of freedom of the Student-t law, > 2.
    notes : tuple of str
    """

    factors: tuple[str, ...]
    covariance: FactorFactor
    horizon_s: int
    nu: float
    source: str
    notes: tuple[str, ...] = ()

    def part(self, factors: Sequence[str]) -> FactorFactor:
        """Return the covariance of some of the factors, in their order."""
        rows = [self.factors.index(factor) for factor in factors]
        return np.ascontiguousarray(self.covariance[np.ix_(rows, rows)])


def law_from_calibration(
    calibration: Calibration,
    factors: Sequence[str],
    *,
    proxies: Mapping[str, Proxy],
    horizon_s: int,
    volatility: VolatilityLaw | None,
) -> JointLaw:
    """Return the law of some coins from the packaged figures: long-run volatility, correlation of standardised moves.

    A coin that is not calibrated moves as the book's stand-in says; without one it takes the largest volatility of all
    coins times ``FILL_MULTIPLE`` and, as its dependence, the smallest loading of all coins. ``volatility`` adds implied
    volatility as a factor that is tied to BTC.
    """
    notes = []
    n = len(factors)
    sigma, root = np.empty(n), np.eye(n)
    base, multiple = _bases(calibration, factors, proxies)
    largest = max(row.long_run_volatility_annual for row in calibration.factors) * FILL_MULTIPLE
    smallest = float(np.min(np.abs(calibration.loading)))
    for i, name in enumerate(base):
        annual = largest if name is None else calibration.of(name).long_run_volatility_annual * multiple[i]
        sigma[i] = annual * math.sqrt(years(horizon_s))
        if name is None:
            notes.append(f"{factors[i]} is not calibrated: volatility {annual:.0%} a year, loading {smallest:.2f}")
        elif name != factors[i]:
            notes.append(f"{factors[i]} moves as {multiple[i]:g} x {name} (stand-in of the book)")
    for i in range(n):
        for j in range(i):
            root[i, j] = root[j, i] = _correlation(calibration, (base[i], base[j]), smallest)
    source = f"packaged calibration: {calibration.source}"
    law = JointLaw(
        factors=tuple(factors),
        covariance=frozen(
            np.outer(sigma, sigma) * nearest_correlation(root, floor=_EIGEN_FLOOR), name="covariance", ndim=2
        ),
        horizon_s=horizon_s,
        nu=calibration.nu_joint,
        source=source,
        notes=tuple(notes),
    )
    return law if volatility is None else with_volatility(law, volatility)


def _bases(
    calibration: Calibration, factors: Sequence[str], proxies: Mapping[str, Proxy]
) -> tuple[list[str | None], list[float]]:
    """Return the calibrated coin that stands for each coin, None where there is none, and the multiple of its moves."""
    base: list[str | None] = []
    multiple: list[float] = []
    for factor in factors:
        proxy = proxies.get(factor)
        used = proxy.factor if factor not in calibration and proxy is not None else factor
        base.append(used if used in calibration else None)
        multiple.append(proxy.multiple if used != factor and proxy is not None else 1.0)
    return base, multiple


def _correlation(calibration: Calibration, pair: tuple[str | None, str | None], smallest: float) -> float:
    first, second = pair
    if first is not None and second is not None:
        return float(calibration.correlation[calibration.position(first), calibration.position(second)])
    loadings = [smallest if name is None else float(calibration.loading[calibration.position(name)]) for name in pair]
    return loadings[0] * loadings[1]


def law_from_history(
    history: History, factors: Sequence[str], *, horizon_s: int, nu: float, volatility: VolatilityLaw | None
) -> JointLaw:
    """Return the law of some coins from bars: standard deviation of log moves, rank correlation.

    Raises
    ------
    InputError
        If the history lacks a coin, or has fewer than 500 joint bars.
    """
    bars = joint_bars(history, factors)
    moves = bars.close[:, bars.usable]
    if moves.shape[1] < _MIN_BARS:
        raise InputError(f"had {moves.shape[1]} joint bars", field="--history", allowed=f"at least {_MIN_BARS}")
    sigma = moves.std(axis=1, ddof=1) * math.sqrt(horizon_s / history.step_s)
    root = nearest_correlation(rank_correlation(moves), floor=_EIGEN_FLOOR)
    law = JointLaw(
        factors=tuple(factors),
        covariance=frozen(np.outer(sigma, sigma) * root, name="covariance", ndim=2),
        horizon_s=horizon_s,
        nu=nu,
        source=f"history: {moves.shape[1]} joint bars, SHA-256 {history.sha256[:12]}",
        notes=("tail weight (degrees of freedom) is that of the packaged calibration",),
    )
    return law if volatility is None else with_volatility(law, volatility)


def with_volatility(law: JointLaw, volatility: VolatilityLaw) -> JointLaw:
    """Return the law with implied volatility as its last factor; coins other than BTC are tied to it through BTC."""
    n = len(law.factors)
    sigma = np.sqrt(np.diag(law.covariance))
    own = volatility.daily_standard_deviation * math.sqrt(law.horizon_s / SECONDS_PER_DAY)
    correlation = np.eye(n + 1)
    correlation[:n, :n] = law.covariance / np.outer(sigma, sigma)
    btc = law.factors.index("BTC") if "BTC" in law.factors else None
    for i in range(n):
        tied = 1.0 if btc is None or i == btc else float(correlation[i, btc])
        correlation[i, n] = correlation[n, i] = volatility.correlation_with_btc * tied
    both = np.append(sigma, own)
    return JointLaw(
        factors=(*law.factors, VOLATILITY),
        covariance=frozen(
            np.outer(both, both) * nearest_correlation(correlation, floor=_EIGEN_FLOOR), name="covariance", ndim=2
        ),
        horizon_s=law.horizon_s,
        nu=law.nu,
        source=law.source,
        notes=(*law.notes, f"implied volatility: {own:.1%} over the horizon, from {volatility.source}"),
    )
