"""Deribit portfolio margin: the extended risk matrix of one currency pair and settlement currency.

A book is a table of delta-one legs and a table of option legs; the state of the market is the path axis (last). The
cells are 9 price moves x 3 volatilities (standard) and 8 outer moves with volatility up (extended). Profit > 0 is a
gain; every margin is >= 0. Unit: coin for coin-settled legs, USDC for linear ones.

References
----------
docs.deribit.com, private/pme/simulate (response example of 2024-06-17; a production response of 2026-02-15 agrees
cell by cell); support.deribit.com article 25944756247837. What the venue does not publish is named in
``docs/reference/rules-deribit.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from margincover.errors import InputError
from margincover.pricing import black76
from margincover.venues.deribit.book import Array, DeltaOneLegs, OptionLegs, Settlement, Vectors
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.revalue import row_total

DAYS_PER_YEAR = 365.0
# Up, same, down. The venue's own order inside a bucket is not published and does not change the worst case.
VOLATILITIES = 3
# Options are valued a few legs at a time so that the temporaries stay in the processor's cache.
_BLOCK_VALUES = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixMargin:
    """What the venue prints for a matrix, each ``[path]`` in the settlement unit and >= 0, with the cells behind it."""

    pre_aggregated: Vectors
    aggregated: Vectors
    worst_case: Array
    roll_shock: Array
    delta_shock: Array
    risk_matrix_margin: Array
    initial: Array
    maintenance: Array


def matrix_margin(
    *,
    delta_one: DeltaOneLegs,
    options: OptionLegs,
    index_usd: ArrayLike,
    settlement: Settlement,
    parameters: MatrixParameters,
    order_margin: ArrayLike = 0.0,
) -> MatrixMargin:
    """Return the portfolio margin of one pair and settlement currency.

    Parameters
    ----------
    delta_one, options
        The book; a table may have no legs.
    index_usd : array [path]
        > 0.
    settlement : Settlement
    parameters : MatrixParameters
    order_margin : array [path]
        Margin of open orders, market-maker protection and spot, >= 0: inside initial, outside maintenance.

    Raises
    ------
    InputError
        If the tables' paths and the index do not fit, or a value is out of range.

    Notes
    -----
    ``worst = round(max(-min(cells), 0), 9)``; ``risk = worst + delta shock + roll shock``;
    ``IM = round(risk + orders, 9)``, ``MM = 0.8 risk``.
    """
    index = _index_on_paths(index_usd, delta_one, options)
    orders = np.asarray(order_margin, dtype=np.float64)
    if not (np.isfinite(orders).all() and (orders >= 0).all()):
        raise InputError("was out of range", field="order_margin", allowed="finite numbers >= 0")
    before = delta_one_vectors(delta_one, settlement=settlement, parameters=parameters)
    if len(options.quantity_coin):
        before = before + option_vectors(options, settlement=settlement, parameters=parameters)
    roll, shock = _shocks_coin(delta_one, options, index_usd=index, parameters=parameters)
    return margin_of_cells(
        before,
        roll_coin=roll,
        shock_coin=shock,
        index_usd=index,
        settlement=settlement,
        parameters=parameters,
        order_margin=orders,
    )


def margin_of_cells(
    before: Vectors,
    *,
    roll_coin: Array,
    shock_coin: Array,
    index_usd: Array,
    settlement: Settlement,
    parameters: MatrixParameters,
    order_margin: ArrayLike = 0.0,
) -> MatrixMargin:
    """Return the portfolio margin of one pair from its cells before aggregation and its shocks in coin, [path]."""
    orders = np.asarray(order_margin, dtype=np.float64)
    after = aggregate(before, index_usd=index_usd, settlement=settlement, parameters=parameters)
    lowest = np.minimum(after.standard.min(axis=0), after.extended.min(axis=0))
    worst = np.maximum(-lowest, 0.0)
    unit = index_usd if settlement is Settlement.USD else np.ones_like(index_usd)
    roll, shock = roll_coin * unit, shock_coin * unit
    risk = np.round(worst, parameters.worst_case_decimals) + shock + roll
    return MatrixMargin(
        pre_aggregated=before,
        aggregated=after,
        worst_case=worst,
        roll_shock=roll,
        delta_shock=shock,
        risk_matrix_margin=risk,
        initial=np.round(risk + orders, parameters.worst_case_decimals),
        maintenance=parameters.maintenance_factor_fraction * risk,
    )


def _index_on_paths(index_usd: ArrayLike, delta_one: DeltaOneLegs, options: OptionLegs) -> Array:
    index = np.asarray(index_usd, dtype=np.float64)
    if not (np.isfinite(index).all() and (index > 0).all()):
        raise InputError("was out of range", field="index_usd", allowed="finite numbers > 0")
    n_paths = delta_one.size_coin.shape[1]
    if options.forward_usd.shape[1] != n_paths or index.shape not in ((), (1,), (n_paths,)):
        raise InputError(
            f"delta-one legs had {n_paths} paths, options {options.forward_usd.shape[1]}, the index {index.size}",
            field="paths",
            allowed="one number of paths; a single index serves all",
        )
    return np.ascontiguousarray(np.broadcast_to(index, (n_paths,)))


def _shocks_coin(
    delta_one: DeltaOneLegs, options: OptionLegs, *, index_usd: Array, parameters: MatrixParameters
) -> tuple[Array, Array]:
    option_delta = options.delta_coin()
    bought = options.quantity_coin > 0
    roll = roll_shock(delta_one, options, option_delta=option_delta, parameters=parameters)
    shock = delta_shock(
        futures_delta=row_total(delta_one.size_coin),
        long_option_delta=row_total(option_delta[bought]),
        short_option_delta=row_total(option_delta[~bought]),
        index_usd=index_usd,
        parameters=parameters,
    )
    return roll, shock


def standard_moves(parameters: MatrixParameters) -> Array:
    """Return the price moves of the standard table from low to high, [bucket]; the middle one is 0."""
    n = parameters.buckets_per_side_count
    return parameters.price_range_fraction * np.arange(-n, n + 1) / n


def shocked_volatilities(volatility: ArrayLike, *, years: ArrayLike, parameters: MatrixParameters) -> Array:
    """Return the volatilities up, same and down on a new first axis.

    Notes
    -----
    ``f = (30 / max(days, 1)) ** power``; up ``max(v (1 + u f), floor)``, down ``max(v (1 - d f), 0)``.
    """
    v = np.asarray(volatility, dtype=np.float64)
    rise, fall = volatility_factors(years, parameters)
    up = np.maximum(v * rise, parameters.volatility_up_floor_fraction)
    down = np.maximum(v * fall, 0.0)
    return np.stack(np.broadcast_arrays(up, v, down))


def volatility_factors(years: ArrayLike, parameters: MatrixParameters) -> tuple[Array, Array]:
    """Return by what the volatility is multiplied up and down, before its floor; the factor down may be below 0."""
    days = np.asarray(years, dtype=np.float64) * DAYS_PER_YEAR
    short = days < parameters.vega_reference_days
    power = np.where(short, parameters.short_term_vega_power, parameters.long_term_vega_power)
    scale = (parameters.vega_reference_days / np.maximum(days, parameters.vega_floor_days)) ** power
    return 1.0 + parameters.volatility_up_fraction * scale, 1.0 - parameters.volatility_down_fraction * scale


def delta_one_vectors(legs: DeltaOneLegs, *, settlement: Settlement, parameters: MatrixParameters) -> Vectors:
    """Return the summed profit of perpetuals and futures by cell.

    Notes
    -----
    Coin-settled ``size * m / (1 + m)``: ``q (1 / F - 1 / (F (1 + m)))`` with ``size = q / F``. Linear ``size * F * m``.
    """
    exposure = legs.size_coin if settlement is Settlement.COIN else legs.size_coin * legs.mark_usd
    return linear_vectors(row_total(exposure), settlement=settlement, parameters=parameters)


def linear_vectors(exposure: Array, *, settlement: Settlement, parameters: MatrixParameters) -> Vectors:
    """Return the cells of ``exposure`` [path]: net coins where coin-settled, else their value at the marks."""

    def profit(moves: Array) -> Array:
        return np.outer(moves / (1.0 + moves) if settlement is Settlement.COIN else moves, exposure)

    inner, outer = standard_moves(parameters), np.asarray(parameters.extended_moves)
    scale = extended_scale(outer, settlement, parameters)
    return Vectors(standard=np.repeat(profit(inner), VOLATILITIES, axis=0), extended=scale[:, None] * profit(outer))


def option_vectors(legs: OptionLegs, *, settlement: Settlement, parameters: MatrixParameters) -> Vectors:
    """Return the summed profit of options by cell.

    Notes
    -----
    Each option moves with the forward F of its expiry. With the Black value V, coin-settled
    ``quantity * (V(F (1 + m)) / (F (1 + m)) - V(F) / F)``, linear ``quantity * (V(F (1 + m)) - V(F))``.
    """
    inner, outer = standard_moves(parameters), np.asarray(parameters.extended_moves)
    n_legs, n_paths = legs.forward_usd.shape
    standard = np.zeros((len(inner), VOLATILITIES, n_paths))
    extended = np.zeros((len(outer), n_paths))
    scale = extended_scale(outer, settlement, parameters)
    step = max(1, _BLOCK_VALUES // max(n_paths, 1))
    for first in range(0, n_legs, step):
        part = slice(first, first + step)
        quantity, forward = legs.quantity_coin[part], legs.forward_usd[part]
        vols = shocked_volatilities(legs.volatility[part], years=legs.years[part, None], parameters=parameters)
        base = _option_value(legs, part, forward, legs.volatility[part], settlement)
        for row, move in enumerate(inner):
            for column in range(VOLATILITIES):
                value = _option_value(legs, part, forward * (1.0 + move), vols[column], settlement)
                standard[row, column] += quantity @ (value - base)
        for row, move in enumerate(outer):
            value = _option_value(legs, part, forward * (1.0 + move), vols[0], settlement)
            extended[row] += scale[row] * (quantity @ (value - base))
    return Vectors(standard=standard.reshape(-1, n_paths), extended=extended)


def _option_value(legs: OptionLegs, part: slice, forward: Array, volatility: Array, settlement: Settlement) -> Array:
    value = black76.price(
        forward=forward,
        strike=legs.strike_usd[part, None],
        years=legs.years[part, None],
        volatility=volatility,
        is_call=legs.is_call[part, None],
    )
    return value / forward if settlement is Settlement.COIN else value


def extended_scale(moves: Array, settlement: Settlement, parameters: MatrixParameters) -> Array:
    """Return by what the profit of each outer move counts in the extended table, [outer move]."""
    # The USD profit counts at factor * range / |m|; coin-settled profit is turned back into coin at the price of the
    # outer standard bucket on its side, so that a linear book shows the outer bucket's number in every outer move.
    reach = parameters.price_range_fraction
    scale = parameters.extended_table_factor * reach / np.abs(moves)
    if settlement is Settlement.USD:
        return scale
    return scale * (1.0 + moves) / (1.0 + np.sign(moves) * reach)


def aggregate(vectors: Vectors, *, index_usd: Array, settlement: Settlement, parameters: MatrixParameters) -> Vectors:
    """Return the cells after the offset of gains and, for the extended table, the dampener.

    Notes
    -----
    A gain counts at ``min(offset * gain, cap)``. The dampener moves an extended cell toward 0 by
    ``(max(|m| / range, 1) - 1) * dampener``, in coin at the price of the outer bucket on its side, and never past 0.
    """
    reach = parameters.price_range_fraction
    moves = np.asarray(parameters.extended_moves)
    unit = index_usd if settlement is Settlement.COIN else np.ones_like(index_usd)
    cap = parameters.max_offsetable_pnl_usd / unit

    def offset(cells: Array) -> Array:
        return np.where(cells > 0, np.minimum(cells * parameters.pnl_offset_fraction, cap), cells)

    room = (np.maximum(np.abs(moves) / reach, 1.0) - 1.0) * parameters.extended_dampener_usd
    side = 1.0 + np.sign(moves) * reach if settlement is Settlement.COIN else np.ones_like(moves)
    shift = room[:, None] / (unit * side[:, None])
    outer = offset(vectors.extended)
    return Vectors(
        standard=offset(vectors.standard),
        extended=np.sign(outer) * np.maximum(np.abs(outer) - shift, 0.0),
    )


def roll_shock(
    delta_one: DeltaOneLegs, options: OptionLegs, *, option_delta: Array, parameters: MatrixParameters
) -> Array:
    """Return the roll shock in coin, [path]: net delta by expiry, without netting across expiries.

    Notes
    -----
    ``sum over expiries |delta| * max(minimum, exp(risk * T) - 1)``. Whether the venue grows by ``exp(risk T) - 1``
    or by ``risk T`` is not published; the exponential is the larger of the two.
    """
    expiry = np.concatenate((delta_one.expiry, options.expiry))
    years = np.concatenate((delta_one.years, options.years))
    delta = np.concatenate((delta_one.size_coin, option_delta))
    total = np.zeros(delta.shape[1])
    for one in np.unique(expiry):
        mine = expiry == one
        total += np.abs(row_total(delta[mine])) * roll_fraction(float(years[mine].max()), parameters)
    return total


def roll_fraction(years: float, parameters: MatrixParameters) -> float:
    """Return the roll shock of one coin of net delta in an expiry, as a fraction."""
    growth = float(np.expm1(parameters.annualised_move_risk_fraction * years))
    return max(parameters.min_annualised_move_fraction, growth)


def delta_shock(
    *,
    futures_delta: Array,
    long_option_delta: Array,
    short_option_delta: Array,
    index_usd: Array,
    parameters: MatrixParameters,
) -> Array:
    """Return the charge for large net delta in coin, [path].

    Notes
    -----
    ``D2`` is the delta of futures and short options, ``D1`` that of long options, which may only reduce it: ``D`` is
    ``D1 + D2`` held between 0 and ``D2``. Charge ``min(max(|D| S - threshold, 0) / S * |D| * c, cap * |D|)``. The
    formula is a secondary reading; in every response seen the threshold is not reached and the charge is 0.
    """
    core = futures_delta + short_option_delta
    net = np.abs(np.clip(long_option_delta + core, np.minimum(core, 0.0), np.maximum(core, 0.0)))
    above = np.maximum(net * index_usd - parameters.delta_shock_threshold_usd, 0.0) / index_usd
    charge = above * net * parameters.delta_shock_per_coin
    return np.asarray(np.minimum(charge, parameters.max_delta_shock_fraction * net), dtype=np.float64)
