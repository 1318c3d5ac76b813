"""Derive's portfolio manager PM2 on many paths at once: mark to market, scenario losses, contingencies, net margins.

Signs: margins are net (value less requirement); an account is flagged for liquidation when maintenance is below 0 and
may not add risk when initial is below 0. Profits are > 0, contingencies >= 0.

References
----------
docs.derive.xyz, portfolio margin 2 and parameter pages (read 2026-03); worked numbers: the exchange's published
portfolio cases (2026-01-21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import PathVector, Vector
from margincover.pricing import black76, option_cells
from margincover.units import SECONDS_PER_DAY, years
from margincover.venues.derive.parameters import Pm2Parameters, Pm2Scenario, VolatilityShock
from margincover.venues.derive.state import OptionLegs, Pm2Holding, Pm2State, row_sum

_DAY_YEARS = years(SECONDS_PER_DAY)
# The rule's own hinge between the short and the long power, and the reference term of both: 30 days.
_TERM_DAYS = 30.0
# Cells [leg, path] priced at once: work arrays of half a megabyte, whatever the number of paths.
_CELLS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Pm2Margin:
    """Net margins and their parts in USD, all [path].

    ``worst_pnl_usd`` (<= 0 counts) is the lowest of the forward contingency and of every scenario's profit.
    """

    mark_to_market_usd: PathVector
    maintenance_usd: PathVector
    initial_usd: PathVector
    worst_pnl_usd: PathVector
    forward_contingency_usd: PathVector


def portfolio_margin(*, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters) -> Pm2Margin:
    """Return net maintenance and initial margin of a PM2 account on every path.

    Parameters
    ----------
    holding : Pm2Holding
    state : Pm2State
        Market on n paths, rows as in ``holding``.
    parameters : Pm2Parameters

    Raises
    ------
    InputError
        If the state does not have the rows that the holding needs, or a held perpetual has no price.

    Notes
    -----
    W = min(forward contingency, scenario profits, 0); MM = MtM + mm_factor W - C_mm;
    IM = MtM + (im_factor + peg) W - C_mm - C_im; peg = factor * max(0, threshold - stable price).
    Paths are worked in chunks; the result does not depend on the chunk size.
    """
    _check_rows(holding, state)
    n_paths = state.spot.size
    size = max(1, _CELLS // max(1, holding.legs.strike.size))
    parts = [_margin(holding, state.paths(slice(start, start + size)), parameters) for start in range(0, n_paths, size)]
    names = Pm2Margin.__dataclass_fields__
    return Pm2Margin(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def scenario_pnl(*, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return the dampened profit of each scenario, USD [scenario, path], in the order of ``parameters.scenarios``.

    One scenario after the other in NumPy: for explanation, and the plain twin of what ``portfolio_margin`` takes the
    worst of.

    Raises
    ------
    InputError
        As ``portfolio_margin``.
    """
    _check_rows(holding, state)
    view = _Options(holding.legs, state, parameters)
    return np.stack([_pnl(holding, state, parameters, view, s) for s in parameters.scenarios])


def option_value(*, legs: OptionLegs, state: Pm2State, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return the value of all options as the rule counts it, USD [path]: Black-76 on the forward, discounted."""
    return row_sum(_Options(legs, state, parameters).values(((1.0, VolatilityShock.STATIC),))[0])


def scenario_parts(
    *, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, scenario: Pm2Scenario
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the dampened profit of one scenario in two parts, USD [path]: the moves, and the venue's static discount.

    A skew scenario counts the size of both together: its second part is 0.
    """
    view = _Options(holding.legs, state, parameters)
    whole = _pnl(holding, state, parameters, view, scenario)
    if scenario.is_skew:
        return whole, np.zeros_like(whole)
    shocked = view.value(scenario.spot_factor, view.volatility(scenario.volatility))
    weight = np.where(shocked >= 0.0, view.positive, view.negative)
    discounting = scenario.dampening_factor * row_sum((weight - 1.0) * shocked)
    return whole - discounting, discounting


def volatility_multiplier(*, years: Vector, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return (30 days / max(T, floor))^p, p the short-term power up to 30 days and the long-term one beyond.

    Both volatility shocks scale with it: 1 + up * m and 1 - down * m.
    """
    days = np.asarray(years) / _DAY_YEARS
    power = np.where(days <= _TERM_DAYS, parameters.short_term_power, parameters.long_term_power)
    return np.asarray((_TERM_DAYS / np.maximum(days, parameters.days_floor)) ** power, dtype=np.float64)


def volatility_up_factor(*, multiplier: Vector, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return the factor on implied volatility in an upward shock, before its floor: 1 + up * m."""
    return np.asarray(1.0 + parameters.volatility_up_fraction * np.asarray(multiplier))


def basis_factor(*, years: Vector, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return the multiple of an expiry's loss under a forward move: a + b T."""
    return np.asarray(parameters.basis_add_factor + parameters.basis_factor_per_year * np.asarray(years))


def skew_multiplier(
    *, log_moneyness: Vector, years: Vector, kind: VolatilityShock, parameters: Pm2Parameters
) -> NDArray[np.float64]:
    """Return the factor on implied volatility in a skew scenario.

    Parameters
    ----------
    log_moneyness : array [leg, path]
        ln(strike / forward).
    years : array [leg, path]
    kind : VolatilityShock
        SKEW_LINEAR turns the smile, SKEW_ABSOLUTE lifts both wings.

    Notes
    -----
    cap = base + slope sqrt(T); width = max(floor, scale sqrt(T) (v0 + v1 sqrt(T))); move = min(|k| cap / width, cap);
    factor = 1 + sign(k) move (linear) or 1 + move (absolute), k = ln(K/F).
    """
    root, k = np.sqrt(years), np.asarray(log_moneyness)
    if kind is VolatilityShock.SKEW_LINEAR:
        cap, side = parameters.linear_cap_base + parameters.linear_cap_slope * root, np.sign(k)
    else:
        cap, side = parameters.absolute_cap_base + parameters.absolute_cap_slope * root, np.ones_like(k)
    width = (
        parameters.skew_width_scale * root * (parameters.skew_volatility_base + parameters.skew_volatility_slope * root)
    )
    move = np.minimum(np.abs(k) * cap / np.maximum(width, parameters.skew_width_floor), cap)
    return np.asarray(1.0 + side * move, dtype=np.float64)


def naked_shorts(legs: OptionLegs) -> dict[int, float]:
    """Return uncovered short contracts by expiry row; calls and puts of one strike offset each other."""
    net: dict[tuple[int, float], float] = {}
    for row, strike, quantity in zip(legs.expiry, legs.strike, legs.quantity_contracts, strict=True):
        key = (int(row), float(strike))
        net[key] = net.get(key, 0.0) + float(quantity)
    naked: dict[int, float] = {}
    for (row, _), quantity in net.items():
        naked[row] = naked.get(row, 0.0) + max(0.0, -quantity)
    return naked


class _Options:
    """What all scenarios of one chunk share: forward, time and volatility of legs, value and discounts of expiries."""

    def __init__(self, legs: OptionLegs, state: Pm2State, parameters: Pm2Parameters) -> None:
        row = legs.expiry
        self.legs, self.state, self.parameters = legs, state, parameters
        self.fixed = state.forward_fixed[row]
        self.variable = state.forward[row] - self.fixed
        self.years = state.years[row]
        self.multiplier = volatility_multiplier(years=state.years, parameters=parameters)[row]
        self.log_moneyness = np.log(legs.strike[:, None] / state.forward[row])
        rate = np.maximum(state.rate_per_year, 0.0)
        self.discount = np.exp(-rate * state.years)
        p, t = parameters, state.years
        # Worth less when positive, a larger debt when negative, but never more than the undiscounted debt.
        self.positive = p.positive_discount_factor * np.exp(
            -t * (rate * p.positive_rate_scale + p.positive_rate_add_per_year)
        )
        self.negative = np.minimum(
            1.0 / self.discount,
            p.negative_discount_factor / np.exp(-t * (rate * p.negative_rate_scale + p.negative_rate_add_per_year)),
        )

    @cached_property
    def mark(self) -> NDArray[np.float64]:
        """Discounted value of each expiry as it is [expiry, path]."""
        return self.value(1.0, self.state.volatility)

    def value(self, spot_factor: float, volatility: Vector) -> NDArray[np.float64]:
        """Return the discounted value of each expiry [expiry, path] at a moved forward and given volatilities."""
        legs, totals = self.legs, np.zeros_like(self.discount)
        if not legs.strike.size:
            return totals
        unit = black76.price(
            forward=self.variable * spot_factor + self.fixed,
            strike=legs.strike[:, None],
            years=self.years,
            volatility=volatility,
            is_call=legs.is_call[:, None],
        )
        # Leg by leg, so that the order of summation does not depend on the number of paths.
        for leg, row in enumerate(legs.expiry):
            totals[row] += legs.quantity_contracts[leg] * unit[leg]
        return totals * self.discount

    def values(self, cells: Sequence[tuple[float, VolatilityShock]]) -> NDArray[np.float64]:
        """Return the discounted values [cell, expiry, path] at several spot factors and shocks of volatility at once.

        ``value`` is the plain twin.
        """
        if not self.legs.strike.size:
            return np.zeros((len(cells), *self.discount.shape))
        # What has settled of a forward moves with no shock: its ratio to the strike is another one in each cell, and
        # the plain form is taken on those paths.
        settled = self.fixed.any(axis=0)
        found = self._compiled(cells, np.where(settled, self.state.forward[self.legs.expiry], self.variable))
        if settled.any():
            plain = np.stack([self.value(factor, self.volatility(kind)) for factor, kind in cells])
            found = np.where(settled, plain, found)
        return found

    def _compiled(
        self, cells: Sequence[tuple[float, VolatilityShock]], forward: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        legs, kinds = self.legs, tuple(dict.fromkeys(kind for _, kind in cells))
        book = option_cells.OptionBook(
            weight=legs.quantity_contracts[:, None],
            strike=legs.strike,
            is_call=legs.is_call,
            years=self.years,
            forward=forward,
        )
        held, group = np.unique(legs.expiry, return_inverse=True)
        found = option_cells.cell_profits(
            book,
            volatility=np.stack([self.volatility(kind) for kind in kinds]),
            cells=option_cells.Cells(
                growth=np.array([factor for factor, _ in cells]),
                kind=np.array([kinds.index(kind) for _, kind in cells]),
            ),
            group=group,
        )
        totals = np.zeros((len(cells), *self.discount.shape))
        totals[:, held] = found.transpose(1, 0, 2)
        return totals * self.discount

    def volatility(self, kind: VolatilityShock) -> NDArray[np.float64]:
        """Return implied volatility after a scenario's shock [leg, path]."""
        p, v = self.parameters, self.state.volatility
        if kind is VolatilityShock.UP:
            factor = volatility_up_factor(multiplier=self.multiplier, parameters=p)
            return np.maximum(p.volatility_up_floor, v * factor)
        if kind is VolatilityShock.DOWN:
            return v * np.maximum(0.0, 1.0 - p.volatility_down_fraction * self.multiplier)
        if kind is VolatilityShock.STATIC:
            return v
        factor = skew_multiplier(log_moneyness=self.log_moneyness, years=self.years, kind=kind, parameters=p)
        return v * np.maximum(factor, 0.0)


def _margin(holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters) -> Pm2Margin:
    p, view = parameters, _Options(holding.legs, state, parameters)
    collateral = _collateral_value(holding, state)
    static = VolatilityShock.STATIC
    cells = [(1.0, static), (p.basis_up_factor, static), (p.basis_down_factor, static)]
    mark, up, down, *shocked = view.values([*cells, *((_spot_factor(one), one.volatility) for one in p.scenarios)])
    # Without a trade to lose on, the worst case is no loss: W is never above 0.
    contingency = _forward_contingency(view, mark=mark, up=up, down=down)
    worst = contingency
    for scenario, values in zip(p.scenarios, shocked, strict=True):
        change = _change(view, scenario, shocked=values, mark=mark)
        worst = np.minimum(worst, _profit(holding, state, collateral, scenario, change))
    market = holding.cash_usd + row_sum(mark) + row_sum(collateral) + state.perp_pnl_usd
    steady, extra = _contingencies(holding, state, parameters, collateral)
    peg = p.peg_factor * np.maximum(0.0, p.peg_threshold_fraction - state.stable_price)
    return Pm2Margin(
        mark_to_market_usd=market,
        maintenance_usd=market + p.maintenance_loss_factor * worst - steady,
        initial_usd=market + (p.initial_loss_factor + peg) * worst - steady - extra,
        worst_pnl_usd=worst,
        forward_contingency_usd=contingency,
    )


def _pnl(
    holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, view: _Options, scenario: Pm2Scenario
) -> NDArray[np.float64]:
    """Return the dampened profit of one scenario [path]."""
    shocked = view.value(_spot_factor(scenario), view.volatility(scenario.volatility))
    change = _change(view, scenario, shocked=shocked, mark=view.mark)
    return _profit(holding, state, _collateral_value(holding, state), scenario, change)


def _spot_factor(scenario: Pm2Scenario) -> float:
    # A skew scenario turns the smile at today's price: its spot factor is not used.
    return 1.0 if scenario.is_skew else scenario.spot_factor


def _change(view: _Options, scenario: Pm2Scenario, *, shocked: Vector, mark: Vector) -> NDArray[np.float64]:
    """Return the profit of the options of each expiry in a scenario [expiry, path], with the static discount."""
    change = np.where(shocked >= 0.0, view.positive, view.negative) * shocked - mark
    return np.asarray(-np.abs(change) if scenario.is_skew else change, dtype=np.float64)


def _profit(
    holding: Pm2Holding, state: Pm2State, collateral: Vector, scenario: Pm2Scenario, change: Vector
) -> NDArray[np.float64]:
    cancelling = row_sum(collateral * holding.collateral_is_risk_cancelling[:, None])
    linear = (holding.perp_quantity * state.perp_price + cancelling) * (_spot_factor(scenario) - 1.0)
    return np.asarray(scenario.dampening_factor * (linear + row_sum(change)), dtype=np.float64)


def _forward_contingency(view: _Options, *, mark: Vector, up: Vector, down: Vector) -> NDArray[np.float64]:
    """Return the loss if each expiry's forward moved alone, USD [path], <= 0."""
    lowest = np.minimum(0.0, np.minimum(up - mark, down - mark))
    return row_sum(lowest * basis_factor(years=view.state.years, parameters=view.parameters))


def _contingencies(
    holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters, collateral: Vector
) -> tuple[Vector, Vector]:
    """Return the contingencies of maintenance and what initial margin adds to them, USD [path], both >= 0."""
    p, naked = parameters, naked_shorts(holding.legs)
    perp = abs(holding.perp_quantity) * state.spot
    shorts = sum(naked.values()) * state.spot
    haircuts = row_sum(collateral * holding.collateral_maintenance_haircut[:, None])
    steady = perp * p.perp_maintenance_fraction + shorts * p.option_maintenance_fraction + haircuts
    extra = perp * p.perp_extra_initial_fraction + shorts * p.option_extra_initial_fraction
    extra = extra + row_sum(collateral * holding.collateral_extra_initial_haircut[:, None])
    return steady, extra + oracle_contingency(holding=holding, state=state, parameters=p)


def oracle_contingency(*, holding: Pm2Holding, state: Pm2State, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return what initial margin adds for feeds of low confidence, USD [path], >= 0."""
    p, collateral = parameters, _collateral_value(holding, state)
    confidence = np.minimum(state.spot_confidence, state.perp_confidence)
    extra = abs(holding.perp_quantity) * state.spot * _distrust(confidence, p)
    # The doubt about a feed counts on every contract, long ones and covered ones too.
    for row, quantity in zip(holding.legs.expiry, holding.legs.quantity_contracts, strict=True):
        lowest = np.minimum(state.spot_confidence, state.expiry_confidence[row])
        extra = extra + abs(quantity) * state.spot * _distrust(lowest, p)
    lowest = np.minimum(state.spot_confidence, state.collateral_confidence)
    return np.asarray(extra + row_sum(collateral * _distrust(lowest, p)), dtype=np.float64)


def _distrust(confidence: Vector, parameters: Pm2Parameters) -> NDArray[np.float64]:
    """Return the fraction of a value that a feed of low confidence adds to initial margin."""
    low = confidence < parameters.confidence_threshold_fraction
    return np.where(low, (1.0 - confidence) * parameters.oracle_factor, 0.0)


def _collateral_value(holding: Pm2Holding, state: Pm2State) -> NDArray[np.float64]:
    # Prices are in USD, the account is kept in the stable coin.
    return np.asarray(holding.collateral_quantity[:, None] * state.collateral_price / state.stable_price)


def _check_rows(holding: Pm2Holding, state: Pm2State) -> None:
    legs, rows = holding.legs, state.forward.shape[0]
    fits = (
        state.volatility.shape[0] == legs.strike.size
        and state.collateral_price.shape[0] == holding.collateral_quantity.size
    )
    if not fits or (legs.expiry.size and int(legs.expiry.max()) >= rows):
        raise InputError(
            f"had {rows} expiries, {state.volatility.shape[0]} legs, {state.collateral_price.shape[0]} collaterals",
            source="derive",
            field="state",
            allowed="one row for every expiry, leg and collateral of the holding",
        )
    if holding.perp_quantity and (state.perp_price <= 0).any():
        raise InputError("was 0", source="derive", field="perp_price", allowed="> 0 when a perpetual is held")
