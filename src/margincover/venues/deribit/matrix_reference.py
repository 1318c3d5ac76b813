"""The extended risk matrix cell by cell and leg by leg in plain floats: the twin of ``deribit_matrix``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from margincover.pricing import black76
from margincover.venues.deribit.parameters import MatrixParameters


class Future(NamedTuple):
    """One perpetual (``years`` 0) or dated future: signed coins at its own mark."""

    size_coin: float
    mark_usd: float
    expiry: int
    years: float


class Option(NamedTuple):
    """One option in one state of the market."""

    quantity_coin: float
    forward_usd: float
    volatility: float
    strike_usd: float
    years: float
    is_call: bool
    expiry: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Cells after aggregation and the figures that the venue prints."""

    standard: list[float]
    extended: list[float]
    worst_case: float
    roll_shock: float
    delta_shock: float
    initial: float
    maintenance: float


def matrix_margin(
    legs: Sequence[Future | Option], *, index_usd: float, in_coin: bool, parameters: MatrixParameters, orders: float
) -> Answer:
    """Return the portfolio margin of one pair in one state; see the vectorised rule for the formulas."""
    p = parameters
    n = p.buckets_per_side_count
    standard = [
        _offset(
            sum(profit(leg, p.price_range_fraction * i / n, which, in_coin, p) for leg in legs), index_usd, in_coin, p
        )
        for i in range(-n, n + 1)
        for which in ("up", "same", "down")
    ]
    extended = [_extended_cell(legs, move, index_usd, in_coin, p) for move in p.extended_moves]
    worst = max(0.0, -min(standard + extended))
    price = 1.0 if in_coin else index_usd
    roll, shock = price * roll_shock(legs, p), price * delta_shock(legs, index_usd, p)
    risk = round(worst, p.worst_case_decimals) + shock + roll
    return Answer(
        standard=standard,
        extended=extended,
        worst_case=worst,
        roll_shock=roll,
        delta_shock=shock,
        initial=round(risk + orders, p.worst_case_decimals),
        maintenance=p.maintenance_factor_fraction * risk,
    )


def profit(leg: Future | Option, move: float, which: str, in_coin: bool, p: MatrixParameters) -> float:
    """Return the profit of one leg in one cell, in coin or USD."""
    if isinstance(leg, Future):
        usd_contracts, shocked = leg.size_coin * leg.mark_usd, leg.mark_usd * (1.0 + move)
        if in_coin:
            return usd_contracts * (1.0 / leg.mark_usd - 1.0 / shocked)
        return leg.size_coin * (shocked - leg.mark_usd)
    shocked = leg.forward_usd * (1.0 + move)
    after = _value(leg, shocked, _volatility(leg, which, p))
    before = _value(leg, leg.forward_usd, leg.volatility)
    if in_coin:
        return leg.quantity_coin * (after / shocked - before / leg.forward_usd)
    return leg.quantity_coin * (after - before)


def _value(leg: Option, forward: float, volatility: float) -> float:
    return black76.price_reference(
        forward=forward, strike=leg.strike_usd, years=leg.years, volatility=volatility, is_call=leg.is_call
    )


def _volatility(leg: Option, which: str, p: MatrixParameters) -> float:
    days = leg.years * 365.0
    power = p.short_term_vega_power if days < p.vega_reference_days else p.long_term_vega_power
    scale = float((p.vega_reference_days / max(days, p.vega_floor_days)) ** power)
    if which == "up":
        return max(leg.volatility * (1.0 + p.volatility_up_fraction * scale), p.volatility_up_floor_fraction)
    if which == "down":
        return max(leg.volatility * (1.0 - p.volatility_down_fraction * scale), 0.0)
    return leg.volatility


def _offset(cell: float, index_usd: float, in_coin: bool, p: MatrixParameters) -> float:
    if cell <= 0.0:
        return cell
    return min(cell * p.pnl_offset_fraction, p.max_offsetable_pnl_usd / (index_usd if in_coin else 1.0))


def _extended_cell(
    legs: Iterable[Future | Option], move: float, index_usd: float, in_coin: bool, p: MatrixParameters
) -> float:
    outer = 1.0 + math.copysign(p.price_range_fraction, move)
    total = 0.0
    for leg in legs:
        gain = profit(leg, move, "up", in_coin, p)
        if in_coin:
            gain = gain * index_usd * (1.0 + move)
        gain = gain * p.extended_table_factor * p.price_range_fraction / abs(move)
        total += gain / (index_usd * outer) if in_coin else gain
    cell = _offset(total, index_usd, in_coin, p)
    room = (max(abs(move) / p.price_range_fraction, 1.0) - 1.0) * p.extended_dampener_usd
    room = room / (index_usd * outer) if in_coin else room
    return max(cell - room, 0.0) if cell > 0.0 else min(cell + room, 0.0)


def _delta(leg: Future | Option) -> float:
    if isinstance(leg, Future):
        return leg.size_coin
    deviation = max(leg.volatility * math.sqrt(leg.years), 1e-12)
    d1 = math.log(leg.forward_usd / leg.strike_usd) / deviation + 0.5 * deviation
    call = 0.5 * math.erfc(-d1 / math.sqrt(2.0))
    return leg.quantity_coin * (call if leg.is_call else call - 1.0)


def roll_shock(legs: Sequence[Future | Option], p: MatrixParameters) -> float:
    """Return the roll shock in coin."""
    total = 0.0
    for expiry in {leg.expiry for leg in legs}:
        mine = [leg for leg in legs if leg.expiry == expiry]
        growth = math.exp(p.annualised_move_risk_fraction * max(leg.years for leg in mine)) - 1.0
        total += abs(sum(_delta(leg) for leg in mine)) * max(p.min_annualised_move_fraction, growth)
    return total


def delta_shock(legs: Sequence[Future | Option], index_usd: float, p: MatrixParameters) -> float:
    """Return the charge for large net delta in coin."""
    long_options = sum(_delta(leg) for leg in legs if isinstance(leg, Option) and leg.quantity_coin > 0)
    core = sum(_delta(leg) for leg in legs if isinstance(leg, Future) or leg.quantity_coin <= 0)
    low, high = min(core, 0.0), max(core, 0.0)
    net = min(max(long_options + core, low), high)
    above = max(abs(net) * index_usd - p.delta_shock_threshold_usd, 0.0)
    return min(above / index_usd * abs(net) * p.delta_shock_per_coin, p.max_delta_shock_fraction * abs(net))
