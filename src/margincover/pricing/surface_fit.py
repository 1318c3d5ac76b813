"""Fit an implied-volatility surface to quotes: raw SVI expiry by expiry, or SSVI over all expiries without arbitrage.

No library fits: those that are kept ask for a later Python, or bring a market data feed along. Both forms are five
lines each, and least squares come from SciPy.

References
----------
Gatheral, Jacquier (2014), Arbitrage-free SVI volatility surfaces, Quantitative Finance 14:59-71, arXiv:1204.0646.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, SolverError
from margincover.pricing.surface import Surface, SviSlice
from margincover.pricing.surface_checks import durrleman, slice_violations, surface_violations

Array = NDArray[np.float64]

# Raw SVI has five figures: as many strikes are the least that say anything about all of them.
LEAST_STRIKES = 5
_LARGEST_RHO = 0.999
_SMALLEST_SIGMA = 1e-3
# How strongly a dip of Durrleman's g below zero counts against errors of volatility, when a slice is fitted again.
_PENALTY = 1.0
# A smile of few quotes can be met by many slices: the search along that valley is cut off.
_EVALUATIONS = 300
_LEAST_WEIGHT = 0.1
# Half the sum of squared errors at which no other start is tried: a hundredth of a volatility point.
_EXACT = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class SmileQuotes:
    """Quotes of one expiry.

    Parameters
    ----------
    name : str
        Of the expiry, for messages.
    years : float
        Time to expiry in years of 365 days, > 0.
    forward : float
        > 0.
    strike, volatility : array [quote]
        > 0; strikes may repeat (a call and a put).

    Raises
    ------
    InputError
        If a quote is not a number > 0, the arrays differ in length, or fewer than five strikes are quoted.
    """

    name: str
    years: float
    forward: float
    strike: Array
    volatility: Array

    def __post_init__(self) -> None:
        strike, volatility = (np.asarray(v, dtype=np.float64) for v in (self.strike, self.volatility))
        field = f"surface.{self.name}"
        if strike.shape != volatility.shape or strike.ndim != 1:
            raise InputError(f"{strike.size} strikes, {volatility.size} volatilities", field=field, allowed="one each")
        for name, values in (("strike", strike), ("volatility", volatility)):
            bad = ~(np.isfinite(values) & (values > 0.0))
            if bad.any():
                at = int(np.flatnonzero(bad)[0])
                raise InputError(
                    f"{name} {values[at]} at strike {strike[at]:g}", field=field, allowed="finite numbers > 0"
                )
        if not (self.years > 0.0 and self.forward > 0.0):
            raise InputError(f"was {self.years}, {self.forward}", field=field, allowed="years > 0, forward > 0")
        if np.unique(strike).size < LEAST_STRIKES:
            raise InputError(
                f"{np.unique(strike).size} strikes are quoted", field=field, allowed=f"at least {LEAST_STRIKES} strikes"
            )
        object.__setattr__(self, "strike", strike)
        object.__setattr__(self, "volatility", volatility)

    @property
    def moneyness(self) -> Array:
        """ln(strike / forward), [quote]."""
        return np.asarray(np.log(self.strike / self.forward), dtype=np.float64)

    @property
    def weight(self) -> Array:
        """Vega over vega at the money, at least a tenth, [quote]: a far strike's volatility is worth little money."""
        deviations = self.moneyness / (self.volatility * math.sqrt(self.years))
        return np.asarray(np.maximum(np.exp(-0.5 * deviations**2), _LEAST_WEIGHT), dtype=np.float64)


def fit_surface(quotes: Sequence[SmileQuotes], *, repair: bool = False) -> Surface:
    """Return the surface of raw SVI slices fitted to quotes.

    Parameters
    ----------
    quotes : sequence of SmileQuotes
        One an expiry, in any order.
    repair : bool
        Where slices hold arbitrage, take an SSVI surface, which holds none, and say so in ``notes``.

    Raises
    ------
    InputError
        If the fitted slices hold arbitrage and ``repair`` is False; names kind, expiry and strike.
    SolverError
        If the SSVI repair does not converge or holds arbitrage by the check, which does not use the fit.
    """
    ordered = sorted(quotes, key=lambda each: each.years)
    surface = Surface(slices=tuple(fit_slice(each) for each in ordered))
    violations = surface_violations(surface)
    if not violations:
        return surface
    found = "; ".join(str(each) for each in violations[:3])
    more = f" and {len(violations) - 3} more" if len(violations) > 3 else ""
    if not repair:
        raise InputError(
            f"the quotes hold {found}{more}", field="surface", allowed="quotes without arbitrage, or a repair by SSVI"
        )
    repaired = fit_ssvi(ordered)
    was = math.sqrt(float(np.mean([each.root_mean_square**2 for each in surface.slices])))
    now = math.sqrt(float(np.mean([each.root_mean_square**2 for each in repaired.slices])))
    note = (
        f"surface: {found}{more}; repaired by an SSVI surface, whose volatilities miss the quotes by {now:.4f} "
        f"(root mean square; before: {was:.4f})"
    )
    return Surface(slices=repaired.slices, notes=(note,))


def fit_slice(quotes: SmileQuotes) -> SviSlice:
    """Return the raw SVI slice nearest to quotes by least squares of volatility, weighted by vega.

    Notes
    -----
    Started from several places; a slice that comes out with butterfly arbitrage is fitted once more with dips of
    Durrleman's g counted as errors, and the better of the two by that check is returned: a caller asks the check.
    """
    k, seen = quotes.moneyness, quotes.volatility
    best = _least(quotes, k, seen, penalty=0.0)
    if slice_violations(best):
        again = _least(quotes, k, seen, penalty=_PENALTY)
        if not slice_violations(again):
            return again
    return best


def _least(quotes: SmileQuotes, k: Array, seen: Array, *, penalty: float) -> SviSlice:
    from scipy.optimize import least_squares

    w = seen**2 * quotes.years
    width = max(float(k.max() - k.min()), 0.05)
    low = [-float(w.max()), 0.0, -_LARGEST_RHO, float(k.min()) - width, _SMALLEST_SIGMA]
    high = [float(w.max()), 2.0 if penalty else 10.0, _LARGEST_RHO, float(k.max()) + width, 5.0 * width + 1.0]
    best = None
    for rho, share in ((-0.3, 0.1), (-0.3, 0.5), (0.3, 0.1), (0.3, 0.5)):
        b = max(float(w.max() - w.min()) / width, 1e-4)
        start = np.clip([0.5 * float(w.min()), b, rho, float(k[w.argmin()]), share * width], low, high)
        found = least_squares(
            _errors,
            start,
            args=(quotes, k, seen, penalty),
            bounds=(low, high),
            x_scale=[0.1, 0.1, 1.0, width, width],
            max_nfev=_EVALUATIONS,
        )
        if best is None or found.cost < best.cost:
            best = found
        if best.cost < _EXACT:
            break
    assert best is not None, "Invariant: several starts were tried"
    a, b, rho, m, sigma = (float(v) for v in best.x)
    form = SviSlice(name=quotes.name, years=quotes.years, forward=quotes.forward, a=a, b=b, rho=rho, m=m, sigma=sigma)
    return _with_quotes(form, quotes)


def _errors(p: Array, quotes: SmileQuotes, k: Array, seen: Array, penalty: float) -> Array:
    """Return the weighted errors of a raw SVI slice, then what its arbitrage counts where ``penalty`` > 0."""
    a, b, rho, m, sigma = p
    root = np.sqrt((k - m) ** 2 + sigma**2)
    error = np.sqrt(np.maximum(a + b * (rho * (k - m) + root), 1e-12) / quotes.years) - seen
    error = np.asarray(error * quotes.weight)
    if not penalty:
        return error
    grid = np.linspace(float(k.min()), float(k.max()), 201)
    x = grid - m
    far = np.sqrt(x**2 + sigma**2)
    variance = np.maximum(a + b * (rho * x + far), 1e-10)
    g = durrleman(grid, variance, b * (rho + x / far), b * sigma**2 / far**3)
    steep = min(2.0 - b * (1.0 + abs(rho)), 0.0)
    return np.concatenate([error, penalty * np.minimum(g - 1e-4, 0.0), [penalty * steep]])


def _with_quotes(each: SviSlice, quotes: SmileQuotes) -> SviSlice:
    """Return a slice with the range of its quotes and its error against them."""
    k = quotes.moneyness
    error = each.volatility(k) - quotes.volatility
    return replace(
        each,
        lowest=float(k.min()),
        highest=float(k.max()),
        root_mean_square=float(np.sqrt(np.mean(error**2))),
    )


def ssvi_slice(
    *, theta: float, rho: float, eta: float, gamma: float, name: str, years: float, forward: float
) -> SviSlice:
    """Return one slice of an SSVI surface as raw SVI.

    Notes
    -----
    ``w = theta / 2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))`` with
    ``phi = eta / (theta^gamma (1 + theta)^(1 - gamma))``: free of static arbitrage where ``eta (1 + |rho|) <= 2``,
    ``0 < gamma <= 1/2`` and theta does not fall with time (Gatheral and Jacquier 2014, sections 4.1 and 4.2).
    """
    phi = eta / (theta**gamma * (1.0 + theta) ** (1.0 - gamma))
    return SviSlice(
        name=name,
        years=years,
        forward=forward,
        a=0.5 * theta * (1.0 - rho**2),
        b=0.5 * theta * phi,
        rho=rho,
        m=-rho / phi,
        sigma=math.sqrt(1.0 - rho**2) / phi,
    )


def fit_ssvi(quotes: Sequence[SmileQuotes]) -> Surface:
    """Return the SSVI surface nearest to quotes, weighted as a slice's; it holds no arbitrage.

    Raises
    ------
    SolverError
        If the fit does not converge, or the check, which does not use it, finds arbitrage.
    """
    from scipy.optimize import least_squares

    ordered = sorted(quotes, key=lambda each: each.years)
    money = [
        float(np.interp(0.0, each.moneyness[o := np.argsort(each.moneyness)], each.volatility[o])) for each in ordered
    ]
    theta = np.maximum.accumulate([v**2 * each.years for v, each in zip(money, ordered, strict=True)])
    steps = np.maximum(np.diff(theta, prepend=0.0), 1e-7)

    def slices(p: Array) -> list[SviSlice]:
        rho, share, half = math.tanh(p[0]), 1.0 / (1.0 + math.exp(-p[1])), 0.5 / (1.0 + math.exp(-p[2]))
        levels = np.cumsum(np.exp(p[3:]))
        return [
            ssvi_slice(
                theta=float(level), rho=rho, eta=2.0 * share / (1.0 + abs(rho)), gamma=half,
                name=each.name, years=each.years, forward=each.forward,
            )
            for level, each in zip(levels, ordered, strict=True)
        ]  # fmt: skip

    def residual(p: Array) -> Array:
        return np.concatenate(
            [
                (s.volatility(each.moneyness) - each.volatility) * each.weight
                for s, each in zip(slices(p), ordered, strict=True)
            ]
        )

    start = np.concatenate([[-0.1, 0.0, 0.0], np.log(steps)])
    bounds = (np.concatenate([[-3.5, -10.0, -8.0], np.full(steps.size, -25.0)]), np.full(start.size, 10.0))
    bounds[1][0] = 3.5
    found = least_squares(residual, start, bounds=bounds)
    if not found.success:
        raise SolverError(f"surface: SSVI did not converge: {found.message}")
    fitted = [_with_quotes(s, each) for s, each in zip(slices(found.x), ordered, strict=True)]
    surface = Surface(slices=tuple(fitted))
    left = surface_violations(surface)
    if left:
        raise SolverError(f"surface: the SSVI surface holds {left[0]}")
    return surface
