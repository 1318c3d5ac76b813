"""Derive's standard manager (SM) on many paths at once: net margins of options, perpetuals and base collateral.

Signs: margins are net (value less requirement): below 0 in maintenance an account is liquidated, below 0 in initial it
may not add risk. Contingencies are returned as amounts >= 0 that initial margin loses.

References
----------
docs.derive.xyz, standard margin (read 2026-03); worked numbers: the exchange's published cases (2026-01-21).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.numeric.arrays import Vector
from margincover.pricing import black76
from margincover.venues.derive.parameters import StandardParameters
from margincover.venues.derive.state import OptionLegs, StandardHolding, StandardState, row_sum


@dataclass(frozen=True, slots=True, kw_only=True)
class NetMargin:
    """Mark to market, net maintenance and net initial margin in USD [path]; legs and sums share the type."""

    mark_to_market_usd: Vector
    maintenance_usd: Vector
    initial_usd: Vector

    def plus(self, other: NetMargin) -> NetMargin:
        """Return the sum with another margin."""
        return NetMargin(
            mark_to_market_usd=self.mark_to_market_usd + other.mark_to_market_usd,
            maintenance_usd=self.maintenance_usd + other.maintenance_usd,
            initial_usd=self.initial_usd + other.initial_usd,
        )


def option_marks(*, legs: OptionLegs, forward: Vector, years: ArrayLike, volatility: Vector) -> NDArray[np.float64]:
    """Return the value of one contract of each leg, USD [leg, path]: Black-76 on the expiry's forward, not discounted.

    Parameters
    ----------
    legs : OptionLegs
    forward, years : array [expiry, path]
    volatility : array [leg, path]

    Raises
    ------
    InputError
        If a price, time or volatility is out of range.
    """
    time = np.asarray(years, dtype=np.float64)
    return black76.price(
        forward=np.asarray(forward)[legs.expiry],
        strike=legs.strike[:, None],
        years=time[legs.expiry],
        volatility=volatility,
        is_call=legs.is_call[:, None],
    )


def account_margin(*, cash_usd: float, markets: list[NetMargin], n_paths: int = 1) -> NetMargin:
    """Return the margin of an account: its cash and the margins of its markets, which do not offset each other."""
    cash = np.full(n_paths, float(cash_usd))
    if not np.isfinite(cash).all():
        raise InputError(f"was {cash_usd}", source="derive", field="cash_usd", allowed="a finite number")
    total = NetMargin(mark_to_market_usd=cash, maintenance_usd=cash, initial_usd=cash)
    for market in markets:
        total = total.plus(market)
    return total


def market_margin(*, holding: StandardHolding, state: StandardState, parameters: StandardParameters) -> NetMargin:
    """Return the net margin of one underlying on every path.

    Parameters
    ----------
    holding : StandardHolding
    state : StandardState
        Market on n paths, rows as in ``holding``.
    parameters : StandardParameters

    Raises
    ------
    InputError
        If the state does not have the rows of the legs, or a held perpetual has no price.
    NotSupportedError
        If base collateral is held that the rules give no credit for.

    Notes
    -----
    margin = base + perpetual + options + unsettled profit; initial margin loses the depeg and the oracle contingency.
    """
    _check(holding, state, parameters)
    options = option_margin(legs=holding.legs, state=state, parameters=parameters)
    perp = perp_margin(
        quantity=holding.perp_quantity, price=state.perp_price, pnl_usd=state.perp_pnl_usd, parameters=parameters
    )
    base = base_margin(
        quantity=holding.base_quantity, spot=state.spot, stable_price=state.stable_price, parameters=parameters
    )
    total = options.plus(perp).plus(base)
    penalty = depeg_contingency(holding=holding, state=state, parameters=parameters)
    penalty = penalty + oracle_contingency(holding=holding, state=state, parameters=parameters)
    return replace(total, initial_usd=total.initial_usd - penalty)


def base_margin(
    *, quantity: ArrayLike, spot: ArrayLike, stable_price: ArrayLike, parameters: StandardParameters
) -> NetMargin:
    """Return value and credit of base collateral, USD [path]; ``quantity`` in coins, >= 0."""
    value = np.asarray(quantity, dtype=np.float64) * np.asarray(spot, dtype=np.float64)
    credit = value * parameters.base_margin_fraction
    # The credit is not divided by the stable coin's price, the value is: the venue's own asymmetry.
    return NetMargin(
        mark_to_market_usd=value / np.asarray(stable_price, dtype=np.float64),
        maintenance_usd=credit,
        initial_usd=credit * parameters.base_initial_scale_fraction,
    )


def perp_margin(*, quantity: float, price: ArrayLike, pnl_usd: ArrayLike, parameters: StandardParameters) -> NetMargin:
    """Return the net margin of a perpetual: unsettled profit less |quantity| price fraction, USD [path]."""
    pnl = np.asarray(pnl_usd, dtype=np.float64)
    notional = abs(quantity) * np.asarray(price, dtype=np.float64)
    return NetMargin(
        mark_to_market_usd=pnl,
        maintenance_usd=pnl - notional * parameters.perp_maintenance_fraction,
        initial_usd=pnl - notional * parameters.perp_initial_fraction,
    )


def option_margin(*, legs: OptionLegs, state: StandardState, parameters: StandardParameters) -> NetMargin:
    """Return the options' net margin: for each expiry the better of isolated and maximum loss, summed, USD [path].

    Notes
    -----
    margin_e = max(sum of isolated margins, maximum loss); a long option has no margin and gives no credit alone.
    """
    zero = np.zeros_like(state.spot)
    isolated = isolated_option_margin(legs=legs, state=state, parameters=parameters)
    maintenance, initial = zero, zero
    for row in np.unique(legs.expiry):
        rows = np.flatnonzero(legs.expiry == row)
        payoff, net_calls = lowest_payoff(legs, rows)
        unpaired = min(0.0, net_calls) * state.forward[row]
        alone_maintenance, alone_initial = (
            row_sum(isolated.maintenance_usd[rows]),
            row_sum(isolated.initial_usd[rows]),
        )
        maintenance = maintenance + np.maximum(
            alone_maintenance, payoff + parameters.unpaired_maintenance_factor * unpaired
        )
        initial = initial + np.maximum(alone_initial, payoff + parameters.unpaired_initial_factor * unpaired)
    market = zero + row_sum(isolated.mark_to_market_usd) if legs.strike.size else zero
    return NetMargin(mark_to_market_usd=market, maintenance_usd=maintenance, initial_usd=initial)


def isolated_option_margin(*, legs: OptionLegs, state: StandardState, parameters: StandardParameters) -> NetMargin:
    """Return value and net margins of each leg on its own, USD [leg, path]; a long leg has margin 0.

    Notes
    -----
    n < 0 contracts of value M = n * mark, spot S, out of the money by o:
    call MM = M + n c S, IM = M + n S max(a - o/S, b);
    put MM = M + min(n c S, v M), IM = min(M + n S max(a - o/S, b), w MM).
    """
    return isolated_margins(
        quantity=legs.quantity_contracts[:, None],
        is_call=legs.is_call[:, None],
        strike=legs.strike[:, None],
        mark=state.mark,
        spot=state.spot,
        parameters=parameters,
    )


def isolated_margins(
    *,
    quantity: Vector,
    is_call: NDArray[np.bool_],
    strike: Vector,
    mark: Vector,
    spot: Vector,
    parameters: StandardParameters,
) -> NetMargin:
    """Return what ``isolated_option_margin`` says of rows [leg, path]; all arguments broadcast."""
    p, n, call = parameters, quantity, is_call
    value = n * mark
    out = np.maximum(np.where(call, strike - spot, spot - strike), 0.0)
    call_maintenance = value + n * p.call_maintenance_fraction * spot
    put_maintenance = value + np.minimum(
        n * p.put_maintenance_fraction * spot, p.put_maintenance_value_fraction * value
    )
    maintenance = np.where(call, call_maintenance, put_maintenance)
    initial = value + n * spot * np.maximum(p.option_initial_max_fraction - out / spot, p.option_initial_min_fraction)
    floor = p.put_initial_over_maintenance_factor * maintenance
    initial = np.where(call, initial, np.minimum(initial, floor))
    return NetMargin(
        mark_to_market_usd=value,
        maintenance_usd=np.where(n < 0, maintenance, 0.0),
        initial_usd=np.where(n < 0, initial, 0.0),
    )


def depeg_contingency(
    *, holding: StandardHolding, state: StandardState, parameters: StandardParameters
) -> NDArray[np.float64]:
    """Return what initial margin loses when the stable coin is below its threshold, USD [path], >= 0."""
    short = float(np.maximum(-holding.legs.quantity_contracts, 0.0).sum())
    gap = np.maximum(0.0, parameters.depeg_threshold_fraction - state.stable_price)
    size = short + abs(holding.perp_quantity)
    return np.asarray(gap * parameters.depeg_factor * state.spot * size, dtype=np.float64)


def oracle_contingency(
    *, holding: StandardHolding, state: StandardState, parameters: StandardParameters
) -> NDArray[np.float64]:
    """Return what initial margin loses for feeds of low confidence, USD [path], >= 0.

    Notes
    -----
    (1 - c) factor S size where c, the lowest confidence among the feeds of the position, is below the threshold; base,
    perpetual and short options count, long options do not.
    """
    sizes = [abs(holding.base_quantity), abs(holding.perp_quantity)]
    sizes += [max(0.0, -float(n)) for n in holding.legs.quantity_contracts]
    feeds = [state.spot_confidence, state.perp_confidence, *state.option_confidence]
    total = np.zeros_like(state.spot)
    for size, feed in zip(sizes, feeds, strict=True):
        confidence = np.minimum(state.spot_confidence, feed)
        low = confidence < parameters.confidence_threshold_fraction
        total = total + np.where(low, (1.0 - confidence) * parameters.oracle_factor * state.spot * size, 0.0)
    return total


def lowest_payoff(legs: OptionLegs, rows: NDArray[np.int64]) -> tuple[float, float]:
    """Return the lowest payoff (<= 0) of one expiry at 0 and at its strikes, and the net number of calls.

    The payoff is straight between strikes; above the last strike its slope is the net number of calls.
    """
    strike, n, call = legs.strike[rows], legs.quantity_contracts[rows], legs.is_call[rows]
    points = np.concatenate(([0.0], strike))[:, None]
    payoff = (n * np.maximum(np.where(call, points - strike, strike - points), 0.0)).sum(axis=1)
    return float(min(0.0, payoff.min())), float(n[call].sum())


def _check(holding: StandardHolding, state: StandardState, parameters: StandardParameters) -> None:
    legs = holding.legs
    fits = state.mark.shape[0] == legs.strike.size
    if not fits or (legs.expiry.size and int(legs.expiry.max()) >= state.forward.shape[0]):
        raise InputError(
            f"had {state.forward.shape[0]} expiries and {state.mark.shape[0]} legs",
            source="derive",
            field="state",
            allowed="one row for every expiry and leg of the holding",
        )
    if holding.perp_quantity and (state.perp_price <= 0).any():
        raise InputError("was 0", source="derive", field="perp_price", allowed="> 0 when a perpetual is held")
    if holding.base_quantity and parameters.base_margin_fraction == 0.0:
        raise NotSupportedError(
            f"was {holding.base_quantity}",
            source="derive",
            field="base_quantity",
            allowed="0: no base credit in these rules",
        )
