"""Collateral value and the bound on cross portfolio margin, one state at a time: the twin of ``deribit_cross``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from margincover.venues.deribit import matrix_reference as matrix
from margincover.venues.deribit.matrix_reference import Future, Option
from margincover.venues.deribit.parameters import EquitySideImpact, MatrixParameters


class Pair(NamedTuple):
    """One currency pair in one state: coin-settled and USD-settled legs, each with its parameters."""

    index_usd: float
    equity_coin: float
    coin_legs: Sequence[Future | Option]
    usd_legs: Sequence[Future | Option]
    coin_parameters: MatrixParameters
    usd_parameters: MatrixParameters


def collateral_value_usd(holdings: Sequence[tuple[float, float, float]]) -> float:
    """Return the collateral value of (equity, index, haircut) triples; a debt counts in full."""
    total = 0.0
    for equity, index, haircut in holdings:
        total += equity * index * (1.0 - haircut) if equity > 0 else equity * index
    return total


def pair_bound_usd(pair: Pair) -> float:
    """Return worst case, roll shock and delta shock of one pair in USD, without any offset by other pairs."""
    p = pair.coin_parameters
    worst = 0.0
    for in_coin in (True, False):
        cells = [
            _cell_usd(pair, p.price_range_fraction * i / p.buckets_per_side_count, which, in_coin)
            for i in range(-p.buckets_per_side_count, p.buckets_per_side_count + 1)
            for which in ("up", "same", "down")
        ]
        for move in p.extended_moves:
            share = p.extended_table_factor * p.price_range_fraction / abs(move)
            cells.append(share * _cell_usd(pair, move, "up", in_coin))
        worst += max(0.0, -min(cells))
    roll = matrix.roll_shock(pair.coin_legs, p) + matrix.roll_shock(pair.usd_legs, pair.usd_parameters)
    charge = matrix.delta_shock([*pair.coin_legs, *pair.usd_legs], pair.index_usd, p)
    return worst + (roll + charge) * pair.index_usd


def _cell_usd(pair: Pair, move: float, which: str, in_coin: bool) -> float:
    if not in_coin:
        return sum(matrix.profit(leg, move, which, False, pair.usd_parameters) for leg in pair.usd_legs)
    moved = pair.index_usd * (1.0 + move)
    total = sum(matrix.profit(leg, move, which, True, pair.coin_parameters) for leg in pair.coin_legs) * moved
    if pair.coin_parameters.equity_side_impact is EquitySideImpact.BOTH:
        total += pair.equity_coin * (moved - pair.index_usd)
    return total
