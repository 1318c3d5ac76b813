"""Isolated accounts in one market: sorted once by liquidation price, then any number of cascades on the same book."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from margincover.clearing.cascade import CascadeResult, CascadeSettings, Stage, finished
from margincover.clearing.cascade_arrays import BLOCK, Floats, SideArrays, new_record
from margincover.clearing.cascade_kernels import isolated_path, isolated_paths
from margincover.clearing.population import Population
from margincover.errors import NotSupportedError


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedBook:
    """Isolated accounts of one market in the order in which a move reaches them."""

    longs: SideArrays
    shorts: SideArrays


def liquidation_price(population: Population) -> Floats:
    """Return the price at which equity equals maintenance [account]; -inf for a long that no price reaches.

    Notes
    -----
    Long: equity c + q (P - e) meets the line m q P - k at P = (q e - c - k) / (q (1 - m)); the first line met on the
    way down counts, which is the highest. Short: P = (c + q e + k) / (q (1 + m)), the lowest. Both may lie beyond the
    mark.
    """
    size, is_long = np.abs(population.quantity), population.quantity > 0.0
    debt = np.where(is_long, size * population.entry, -size * population.entry) - population.collateral_usd
    side = np.where(is_long, 1.0, -1.0)
    best = np.full(size.shape, -np.inf)
    for number, table in enumerate(population.tables):
        here = population.table == number if len(population.tables) > 1 else slice(None)
        for fraction, deduction in zip(table.fraction, table.deduction_usd, strict=True):
            # side * price, so that one maximum serves both sides; debt is q e - c for a long, -(q e + c) for a short.
            key = (debt[here] - deduction) / (size[here] * (1.0 - side[here] * fraction))
            best[here] = np.maximum(best[here], key)
    # A line needs no test of its own zero: where it is below 0 equity of 0 comes later than another line.
    bankrupt = debt / size
    best = np.maximum(best, bankrupt)
    price: Floats = side * best
    return np.where(is_long & (price <= 0.0), -np.inf, price)


def sort_book(population: Population) -> SortedBook:
    """Return the accounts sorted by liquidation price with prefix sums.

    Raises
    ------
    NotSupportedError
        If an account holds several positions or the population several markets.
    """
    if not population.is_isolated or len(population.markets) != 1:
        raise NotSupportedError(
            f"held {len(population.markets)} markets and {population.n_positions} positions of {population.n_accounts} "
            "accounts", source=population.source, allowed="one market and one position per account",
        )  # fmt: skip
    level, size = liquidation_price(population), np.abs(population.quantity)
    with ThreadPoolExecutor(max_workers=2) as pool:
        sides = list(pool.map(lambda sign: _sorted_side(population, level, size, sign), (1.0, -1.0)))
    return SortedBook(longs=sides[0], shorts=sides[1])


def _sorted_side(population: Population, level: Floats, size: Floats, sign: float) -> SideArrays:
    own = np.flatnonzero(population.quantity * sign > 0.0)
    order = own[_descending(sign * level[own])]
    quantity = size[order]
    bankruptcy = population.entry[order] - sign * population.collateral_usd[order] / quantity
    edges = np.arange(0, order.size, BLOCK)
    return SideArrays(
        sign=sign,
        key=sign * level[order],
        bankruptcy=bankruptcy,
        quantity=quantity,
        cumulative=_prefix(quantity),
        cumulative_value=_prefix(quantity * bankruptcy),
        block_low=np.minimum.reduceat(sign * bankruptcy, edges) if order.size else np.zeros(0),
        block_high=np.maximum.reduceat(sign * bankruptcy, edges) if order.size else np.zeros(0),
    )


def _descending(key: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    order = np.argsort(-key)
    found = key[order]
    # The fast sort may order equal keys differently on another machine: within each tie the order of the file holds.
    is_new = found[1:] != found[:-1]
    is_tied = np.zeros(key.size, dtype=bool)
    is_tied[1:] |= ~is_new
    is_tied[:-1] |= ~is_new
    if is_tied.any():
        tie = np.concatenate([[0], np.cumsum(is_new)])[is_tied]
        rows = order[is_tied]
        order[is_tied] = rows[np.argsort(tie * key.size + rows)]
    return order


def _prefix(values: Floats) -> Floats:
    # Extended precision: a window is a difference of two sums that may be a million times larger.
    total = np.zeros(values.size + 1, dtype=np.longdouble)
    np.cumsum(values, dtype=np.longdouble, out=total[1:])
    return total.astype(np.float64)


def run_isolated(
    population: Population, stage: Stage, settings: CascadeSettings, book: SortedBook | None = None
) -> CascadeResult:
    """Run one cascade; ``book`` saves the sorting where several runs share a population.

    Raises
    ------
    NotSupportedError
        If the population is not isolated in one market, or the settings liquidate by slices.
    """
    if settings.slices is not None:
        raise NotSupportedError("slices were asked for", allowed="whole accounts; cascade_cross does slices")
    book = sort_book(population) if book is None else book
    record = new_record(stage.index.shape[0], 1, 1)
    market = (float(stage.depth_usd[0]), population.markets[0].mark, float(stage.bound_fraction[0]))
    index = np.ascontiguousarray(stage.index[:, 0])
    ends = isolated_path(index, (book.longs, book.shorts), market, settings.values(), float(stage.fund_usd[0]), record)
    # Each side is reached in its own order, so the accounts closed are the first of each.
    equity = sum(
        side.sign * (market[1] * side.cumulative[end] - side.cumulative_value[end])
        for side, end in zip((book.longs, book.shorts), ends, strict=True)
    )
    return finished(population, stage, settings, record, float(equity - record.returned.sum()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOutcomes:
    """What a cascade did on each path [path]; money in USD, ``rounds`` over all steps."""

    lowest_price: Floats
    last_price: Floats
    liquidated_usd: Floats
    residual_usd: Floats
    rounds: Floats
    n_cut: Floats


def run_isolated_paths(
    population: Population,
    index: Floats,
    stage: Stage,
    settings: CascadeSettings,
    book: SortedBook,
    threads: int = 1,
) -> PathOutcomes:
    """Run a cascade along every path of index [step, path] on one sorted book; ``stage`` gives depth and fund.

    ``threads`` does not change the result.
    """
    rows = np.ascontiguousarray(index.T)
    blocks = np.array_split(rows, max(1, min(threads, rows.shape[0])))
    market = (float(stage.depth_usd[0]), population.markets[0].mark, float(stage.bound_fraction[0]))
    sides, rule, fund = (book.longs, book.shorts), settings.values(), float(stage.fund_usd[0])
    with ThreadPoolExecutor(max_workers=len(blocks)) as pool:
        parts = list(pool.map(lambda block: isolated_paths(block, sides, market, rule, fund), blocks))
    columns = np.concatenate(parts).T
    low, last, closed, unpaid, rounds, cut = (np.ascontiguousarray(column) for column in columns)
    return PathOutcomes(
        lowest_price=low, last_price=last, liquidated_usd=closed, residual_usd=unpaid, rounds=rounds, n_cut=cut
    )
