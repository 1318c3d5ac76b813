"""Paradex portfolio margin of one underlying: SCAN risk, minimum delta, provisions.

Perpetuals and dated options of one base asset; nothing nets between base assets. Amounts are USD, quantities signed
coins. Axes are [leg, path], path last; fields of [leg] must be given as [leg, 1].

References
----------
docs.paradex.trade, risk/portfolio-margin (2026-08-20 and 2026-11-24).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector, frozen
from margincover.pricing import black76, option_cells
from margincover.venues.paradex.cross import fraction, sum_of_legs
from margincover.venues.registry_fields import Place

_DAYS_PER_YEAR = 365.0
_ARRAYS = ("spot_shocks", "volatility_shocks", "weights")
# A spot shock of +500 % and a vega power are no fractions of one; these bounds still catch percentages.
_LARGEST_SHOCK = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexPortfolioParameters:
    """Scenario grid and factors of one underlying.

    Parameters
    ----------
    spot_shocks, volatility_shocks, weights : Vector [scenario]
        Relative moves of spot and of implied volatility at the reference term, and the weight of the loss in [0, 1].
    smallest_days, vega_reference_days, vega_power_short, vega_power_long : float
        Term scaling of the volatility shock: ``(reference / max(smallest, days))^power``, the short power below the
        reference term, the long one from it on.
    smallest_up_shock : float
        Floor of an upward volatility shock after scaling.
    unhedged_fraction, hedged_fraction : float
        Of spot, per coin of net and of hedged delta.
    maintenance_factor : float
    """

    spot_shocks: Vector
    volatility_shocks: Vector
    weights: Vector
    smallest_days: float
    vega_reference_days: float
    vega_power_short: float
    vega_power_long: float
    smallest_up_shock: float
    unhedged_fraction: float
    hedged_fraction: float
    maintenance_factor: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ParadexPortfolioParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, lists differ in length, or a value is out of range.
        """
        place = Place(dict(data), source, "parameters")
        place.only([f.name for f in fields(cls)])
        spot, volatility, weights = (_numbers(place, key) for key in _ARRAYS)
        if not len(spot) == len(volatility) == len(weights):
            raise place.error("lists differed in length", key="weights", allowed="one entry a scenario")
        if min(spot) <= -1 or min(volatility) <= -1 or min(weights) < 0 or max(weights) > 1:
            raise place.error(
                "a shock or weight was out of range", key="weights", allowed="shocks > -1, weights 0 to 1"
            )
        days = {key: place.number(key) for key in ("smallest_days", "vega_reference_days")}
        if min(days.values()) <= 0:
            raise place.error("a term was not above 0", key="smallest_days", allowed="days > 0")
        names = [f.name for f in fields(cls) if f.name not in (*_ARRAYS, *days)]
        return cls(
            spot_shocks=frozen(spot, name="spot_shocks"),
            volatility_shocks=frozen(volatility, name="volatility_shocks"),
            weights=frozen(weights, name="weights"),
            **days,
            **{name: fraction(place, name) for name in names},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexPortfolio:
    """Legs of one underlying in many states.

    Parameters
    ----------
    spot : array [path]
    perpetual_quantity : array [leg, 1], perpetual_mark : array [leg, path]
        Signed coins and marks; leg axis of length 0 when there is none.
    option_quantity, strike, is_call : array [leg, 1]
    forward, volatility, years : array [leg, path]
        Forward of the expiry, mark volatility, time to expiry.
    """

    spot: NDArray[np.float64]
    perpetual_quantity: NDArray[np.float64]
    perpetual_mark: NDArray[np.float64]
    option_quantity: NDArray[np.float64]
    strike: NDArray[np.float64]
    is_call: NDArray[np.bool_]
    forward: NDArray[np.float64]
    volatility: NDArray[np.float64]
    years: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.spot.ndim != 1 or not np.all(self.spot > 0):
            raise InputError("was not a vector of prices > 0", field="spot", allowed="array [path] of numbers > 0")
        for f in fields(self):
            values = getattr(self, f.name)
            if f.name != "spot" and values.ndim != 2:
                raise InputError(f"had {values.ndim} axes", field=f.name, allowed="array [leg, path] or [leg, 1]")
            if not np.all(np.isfinite(values)):
                raise InputError("held a NaN or an infinity", field=f.name, allowed="finite numbers")


def shocked_volatility(
    *, volatility: NDArray[np.float64], years: NDArray[np.float64], shock: float, parameters: ParadexPortfolioParameters
) -> NDArray[np.float64]:
    """Return implied volatility after a shock, scaled by the term of each leg, not below 0."""
    days = years * _DAYS_PER_YEAR
    reference = parameters.vega_reference_days
    power = np.where(days < reference, parameters.vega_power_short, parameters.vega_power_long)
    scaled = shock * (reference / np.maximum(parameters.smallest_days, days)) ** power
    if shock > 0:
        scaled = np.maximum(scaled, parameters.smallest_up_shock)
    return np.asarray(np.maximum(volatility * (1.0 + scaled), 0.0), dtype=np.float64)


def scenario_losses_usd(*, portfolio: ParadexPortfolio, parameters: ParadexPortfolioParameters) -> NDArray[np.float64]:
    """Return the weighted loss (> 0) or gain (< 0) in each scenario, [scenario, path].

    Notes
    -----
    Every price of the underlying moves by the spot shock; options are worth Black (1976) on the forward, undiscounted,
    before and after. Time does not pass. ``scenario_losses_reference_usd`` is the plain twin.
    """
    p = portfolio
    spot, weights = parameters.spot_shocks, parameters.weights
    perpetuals = [-sum_of_legs(p.perpetual_quantity * p.perpetual_mark * shock) for shock in spot]
    shape = (p.option_quantity.shape[0], p.spot.size)
    shocks, row = np.unique(parameters.volatility_shocks, return_inverse=True)
    volatility = [
        shocked_volatility(volatility=p.volatility, years=p.years, shock=float(shock), parameters=parameters)
        for shock in shocks
    ]
    totals = option_cells.cell_profits(
        option_cells.OptionBook(
            weight=p.option_quantity,
            strike=p.strike[:, 0],
            is_call=p.is_call[:, 0],
            years=p.years,
            forward=np.broadcast_to(p.forward, shape),
        ),
        volatility=np.stack([np.broadcast_to(one, shape) for one in (p.volatility, *volatility)]),
        # The first cell is the market as it is.
        cells=option_cells.Cells(growth=np.append(1.0, 1.0 + spot), kind=np.append(0, row + 1)),
    )[0]
    return np.asarray(weights[:, None] * (totals[0] - totals[1:] + np.stack(perpetuals)), dtype=np.float64)


def scenario_losses_reference_usd(
    *, portfolio: ParadexPortfolio, parameters: ParadexPortfolioParameters
) -> NDArray[np.float64]:
    """Return the same as ``scenario_losses_usd``, scenario by scenario: its plain twin."""
    p = portfolio
    now = _option_values(p, p.forward, p.volatility)
    losses = np.empty((parameters.weights.size, p.spot.size))
    for k, (spot, vol, weight) in enumerate(
        zip(parameters.spot_shocks, parameters.volatility_shocks, parameters.weights, strict=True)
    ):
        after_volatility = shocked_volatility(
            volatility=p.volatility, years=p.years, shock=float(vol), parameters=parameters
        )
        options = now - _option_values(p, p.forward * (1.0 + spot), after_volatility)
        perpetuals = -sum_of_legs(p.perpetual_quantity * p.perpetual_mark * spot)
        losses[k] = weight * (options + perpetuals)
    return losses


def scan_risk_usd(*, portfolio: ParadexPortfolio, parameters: ParadexPortfolioParameters) -> NDArray[np.float64]:
    """Return the greatest weighted loss over the scenarios, not below 0, [path]."""
    losses = scenario_losses_usd(portfolio=portfolio, parameters=parameters)
    return np.asarray(np.maximum(losses.max(axis=0), 0.0), dtype=np.float64)


def leg_deltas(portfolio: ParadexPortfolio) -> NDArray[np.float64]:
    """Return the delta of every leg in coins (quantity included): perpetuals, then options, [leg, path]."""
    shape = (portfolio.perpetual_quantity.shape[0], portfolio.spot.size)
    perpetuals = np.broadcast_to(portfolio.perpetual_quantity, shape)
    options = portfolio.option_quantity * black76.delta(
        forward=portfolio.forward,
        strike=portfolio.strike,
        years=portfolio.years,
        volatility=portfolio.volatility,
        is_call=portfolio.is_call,
    )
    options = np.broadcast_to(options, (portfolio.option_quantity.shape[0], portfolio.spot.size))
    return np.concatenate((perpetuals, options), axis=0)


def minimum_delta_usd(
    *, deltas: NDArray[np.float64], spot: NDArray[np.float64], parameters: ParadexPortfolioParameters
) -> NDArray[np.float64]:
    """Return the floor by delta, [path].

    Parameters
    ----------
    deltas : array [leg, path]
        Signed coins.

    Notes
    -----
    ``(unhedged |net| + hedged (gross - |net|) / 2) S``, gross being the sum of the legs' absolute deltas.
    """
    net = np.abs(sum_of_legs(deltas))
    hedged = (sum_of_legs(np.abs(deltas)) - net) / 2.0
    return np.asarray(
        (parameters.unhedged_fraction * net + parameters.hedged_fraction * hedged) * spot, dtype=np.float64
    )


def funding_provision_usd(
    *, perpetual_quantity: NDArray[np.float64], perpetual_mark: NDArray[np.float64], funding_8h: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the funding that the legs together are expected to pay over 8 hours, not below 0, [path].

    Parameters
    ----------
    funding_8h : array [leg, path]
        Expected funding fraction of 8 hours; > 0 is paid by longs.
    """
    return np.asarray(np.maximum(0.0, sum_of_legs(perpetual_quantity * perpetual_mark * funding_8h)), dtype=np.float64)


def portfolio_requirements_usd(
    *,
    scan_usd: NDArray[np.float64],
    minimum_delta_usd: NDArray[np.float64],
    funding_provision_usd: NDArray[np.float64],
    fee_provision_usd: NDArray[np.float64],
    parameters: ParadexPortfolioParameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return initial and maintenance requirement, [path].

    Notes
    -----
    ``net = max(SCAN, minimum delta)``; initial is net plus both provisions, maintenance ``factor * net`` plus both
    provisions at full size.
    """
    net = np.maximum(scan_usd, minimum_delta_usd)
    provisions = funding_provision_usd + fee_provision_usd
    return net + provisions, parameters.maintenance_factor * net + provisions


def _option_values(
    p: ParadexPortfolio, forward: NDArray[np.float64], volatility: NDArray[np.float64]
) -> NDArray[np.float64]:
    if p.option_quantity.shape[0] == 0:
        return np.zeros(p.spot.size)
    unit = black76.price(forward=forward, strike=p.strike, years=p.years, volatility=volatility, is_call=p.is_call)
    return sum_of_legs(p.option_quantity * unit)


def _numbers(place: Place, key: str) -> list[float]:
    values = place.get(key)
    if not isinstance(values, list | tuple) or not values:
        raise place.error(f"was {values!r}", key=key, allowed="a list of numbers")
    numbers = [place.checked_number(value, key) for value in values]
    if max(abs(value) for value in numbers) > _LARGEST_SHOCK:
        raise place.error("held a value above 10", key=key, allowed="fractions: 0.16 is 16 %")
    return numbers
