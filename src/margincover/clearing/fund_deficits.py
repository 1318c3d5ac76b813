"""What liquidated accounts owe beyond their own money along price paths: the losses that a fund is sized for.

Every position stands alone: a cross-margined account is taken apart, its equity dealt out by notional. A hedge within
an account then helps nobody, so that the sum of debts is not understated. Money is >= 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from margincover.clearing.cascade import CascadeSettings
from margincover.clearing.cascade_arrays import Floats, RuleValues, SideArrays
from margincover.clearing.cascade_isolated import SortedBook, sort_book
from margincover.clearing.fund_kernel import isolated_periods
from margincover.clearing.population import Population, TierTable
from margincover.errors import InputError


def taken_apart(population: Population, number: int) -> Population:
    """Return the positions of one market, each as an account of its own.

    Parameters
    ----------
    population : Population
    number : int
        Of the market.

    Notes
    -----
    The equity of an account is dealt to its positions by notional at the mark; collateral follows from it. Accounts
    of one position keep their figures.
    """
    gross = np.abs(population.quantity) * population.mark_of_position()
    owner = np.repeat(np.arange(population.n_accounts), np.diff(population.start))
    share = gross / np.add.reduceat(gross, population.start[:-1])[owner]
    equity = population.equity_usd()[owner] * share
    collateral = equity - population.quantity * (population.mark_of_position() - population.entry)
    own = population.market == number
    n = int(own.sum())
    return Population(
        markets=(population.markets[number],),
        start=np.arange(n + 1, dtype=np.int64),
        market=np.zeros(n, dtype=np.int32),
        quantity=population.quantity[own],
        entry=population.entry[own],
        table=population.table[own],
        collateral_usd=collateral[own],
        tables=population.tables,
        source=population.source,
    )


def scaled_maintenance(population: Population, factor: float) -> Population:
    """Return the same accounts under maintenance times a factor above 0.

    Raises
    ------
    InputError
        If the factor is not above 0, or maintenance would reach the notional.
    """
    if not (np.isfinite(factor) and factor > 0.0):
        raise InputError(f"was {factor}", field="maintenance factor", allowed="above 0")
    tables = []
    for table in population.tables:
        fraction = tuple(factor * each for each in table.fraction)
        if max(fraction) >= 1.0:
            raise InputError(
                f"{factor:g} times a maintenance of {max(table.fraction):.2%}", field="maintenance factor",
                allowed="a maintenance below the notional",
            )  # fmt: skip
        tables.append(TierTable(fraction=fraction, deduction_usd=tuple(factor * d for d in table.deduction_usd)))
    return replace(population, tables=tuple(tables))


def refined(close_log: Floats, variance: Floats, root: Floats, *, parts: int, rng: np.random.Generator) -> Floats:
    """Return relative prices at ``parts`` even points of each step, through the given ends.

    Parameters
    ----------
    close_log, variance : array [step, factor, path]
        Log of price over price at the start at the end of each step, and the variance inside it.
    root : array [factor, factor]
        Root of the correlation inside a step.
    parts : int
        1 or more; 1 returns the ends alone.

    Returns
    -------
    array [step * parts, factor, path]
        Price over the price at the start.

    Notes
    -----
    A Brownian bridge: increment of a part = change of the step / parts + sqrt(variance / parts) (z - mean of z).
    """
    steps, factors, paths = close_log.shape
    change = np.diff(close_log, axis=0, prepend=0.0)
    noise = rng.standard_normal((steps, parts, factors, paths))
    noise = np.einsum("fg,spgn->spfn", root, noise - noise.mean(axis=1, keepdims=True))
    inner = change[:, np.newaxis] / parts + np.sqrt(variance[:, np.newaxis] / parts) * noise
    before = close_log - change
    points = before[:, np.newaxis] + np.cumsum(inner, axis=1)
    # the last point is the end itself, not a sum that rounds to it
    points[:, -1] = close_log
    relative: Floats = np.exp(points.reshape(steps * parts, factors, paths))
    return relative


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketBook:
    """Isolated accounts of one market, sorted, with what a run of it needs; ``factor`` is its row of the paths."""

    population: Population
    book: SortedBook
    factor: int
    depth_usd: float
    bound_fraction: float


def market_book(population: Population, *, factor: int, depth_usd: float, bound_fraction: float) -> MarketBook:
    """Return a market ready for any number of paths."""
    return MarketBook(
        population=population, book=sort_book(population), factor=factor, depth_usd=depth_usd,
        bound_fraction=bound_fraction,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Deficits:
    """Debts beyond the bankruptcy price and fees received, both [period, path], in USD.

    ``n_cut`` counts the paths on which the bound on rounds stopped a step.
    """

    deficit_usd: Floats
    fees_usd: Floats
    n_cut: int


def deficits(
    markets: Sequence[MarketBook], relative: Floats, settings: CascadeSettings, *, ends: Sequence[int], threads: int = 1
) -> Deficits:
    """Return what accounts owe and which fees they pay, by period.

    Parameters
    ----------
    markets : sequence of MarketBook
        They share the paths and nothing else: no arbitrage between them.
    relative : array [step, factor, path]
        Index over the index at the start.
    settings : CascadeSettings
        Whole accounts; ``fee_fraction`` is taken from what an account has left and never makes a debt.
    ends : sequence of int
        Steps at which periods end, rising, the last the number of steps.

    Raises
    ------
    InputError
        If ``ends`` do not rise to the number of steps.
    """
    steps, paths = relative.shape[0], relative.shape[2]
    if not ends or list(ends) != sorted(set(ends)) or ends[0] < 1 or ends[-1] != steps:
        raise InputError(f"was {list(ends)}", field="ends", allowed=f"rising steps, the last {steps}")
    total, stops = np.zeros((3, len(ends), paths)), np.array(ends, dtype=np.int64)
    for market in markets:
        rows = np.ascontiguousarray((relative[:, market.factor] * market.population.markets[0].mark).T)
        terms = (market.depth_usd, market.population.markets[0].mark, market.bound_fraction)
        sides, rule = (market.book.longs, market.book.shorts), settings.values()
        blocks = np.array_split(rows, max(1, min(threads, paths)))
        with ThreadPoolExecutor(max_workers=len(blocks)) as pool:
            parts = list(pool.map(partial(_run, stops=stops, sides=sides, terms=terms, rule=rule), blocks))
        total += np.concatenate(parts, axis=2)
    return Deficits(deficit_usd=total[0], fees_usd=total[1], n_cut=int((total[2] > 0.0).any(axis=0).sum()))


def _run(
    rows: Floats,
    *,
    stops: np.ndarray,
    sides: tuple[SideArrays, SideArrays],
    terms: tuple[float, float, float],
    rule: RuleValues,
) -> Floats:
    found: Floats = isolated_periods(rows, stops, sides, terms, rule)
    return found


def stress_exposures(population: Population, moves: Sequence[float]) -> Floats:
    """Return what each account owes beyond its equity if all prices jump, [account, move], >= 0."""
    cash = population.cash_usd()
    value = population.quantity * population.mark_of_position()
    held = np.add.reduceat(value, population.start[:-1])
    owed: Floats = np.maximum(-(cash[:, np.newaxis] + held[:, np.newaxis] * (1.0 + np.asarray(moves))), 0.0)
    return owed
