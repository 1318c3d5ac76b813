"""What the cascade kernels read and write: tuples of arrays, so that a compiled function has few arguments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

BLOCK = 64  # accounts settled at once where all are solvent, or all bankrupt


class SideArrays(NamedTuple):
    """Isolated accounts of one side in the order in which a move reaches them.

    ``key`` is side * liquidation price, descending: an account is reached when key >= side * price.
    ``cumulative`` sums of quantity and ``cumulative_value`` of quantity * bankruptcy price have one entry more than
    accounts. ``block_low`` and ``block_high`` bound side * bankruptcy price in each block of BLOCK accounts.
    """

    sign: float
    key: Floats
    bankruptcy: Floats
    quantity: Floats
    cumulative: Floats
    cumulative_value: Floats
    block_low: Floats
    block_high: Floats


class RuleValues(NamedTuple):
    """The settings of a run as plain numbers; fractions per step where they are speeds."""

    law: int
    thinning: float  # infinity for depth that stays
    depth_floor: float
    arbitrage: float  # part of the gap between venues closed in a step
    recovery: float  # part of the gap to the index closed in a step
    fee: float
    fee_to_fund: float
    is_partial: int
    least_slice: float
    whole_below_usd: float
    is_forfeited: int
    max_rounds: int


class MarketArrays(NamedTuple):
    """One local price each: which coin and venue, depth, price before the event, weight among the coin's venues."""

    coin: Ints
    venue: Ints
    depth_usd: Floats
    reference: Floats
    weight: Floats
    bound: Floats  # largest distance of the local price from the index


class AccountArrays(NamedTuple):
    """Accounts and their positions: account k holds the positions start[k] to start[k + 1]."""

    start: NDArray[np.int64]
    market: Ints
    quantity: Floats  # signed, long above 0
    table: Ints
    table_start: Ints
    line_fraction: Floats
    line_deduction: Floats
    cash: Floats  # collateral - quantity * entry: equity is cash + quantity * price


class CrossState(NamedTuple):
    """What the kernel of cross-margined accounts remembers between rounds."""

    travelled: Floats  # [1], sum of the largest moves so far, in logarithms
    safe_until: Floats  # [account], travel below which the account cannot be under maintenance
    hit: Ints  # [account], accounts found in the present round
    slip: Floats  # [market], 1 - execution / mark of the last round
    execution: Floats  # [market], price that traded in the present round


class Record(NamedTuple):
    """What a run writes down, step by step; money in USD, all >= 0 but market_loss."""

    price: Floats  # [step, market], at the end of the step
    low: Floats  # [step, market]
    high: Floats  # [step, market]
    depth: Floats  # [step, market]
    sold_usd: Floats  # [step, market], longs closed
    bought_usd: Floats  # [step, market], shorts closed
    n_closed: Floats  # [step], accounts left without a position
    n_touched: Floats  # [step], liquidations: an account counts again in each round
    market_loss: Floats  # [step], of the closed quantity since the price before the event
    fees: Floats  # [step]
    forfeited: Floats  # [step]
    returned: Floats  # [step], collateral left to accounts whose last position was closed
    shortfall: Floats  # [step]
    paid: Floats  # [step], by the fund
    fund: Floats  # [step, venue], at the end of the step
    rounds: Floats  # [step]
    is_cut: Floats  # [step], 1 where the bound on rounds stopped the step


def new_record(n_steps: int, n_markets: int, n_venues: int) -> Record:
    """Return a record of zeros."""
    wide = {"price", "low", "high", "depth", "sold_usd", "bought_usd"}
    columns = {"fund": n_venues} | dict.fromkeys(wide, n_markets)
    shapes = {name: (n_steps, columns[name]) if name in columns else (n_steps,) for name in Record._fields}
    return Record(**{name: np.zeros(shape) for name, shape in shapes.items()})
