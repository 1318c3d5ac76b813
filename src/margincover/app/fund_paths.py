"""Deficits of a venue's accounts along simulated paths of the packaged calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.clearing.cascade import CascadeSettings
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.fund_deficits import (
    Deficits,
    MarketBook,
    deficits,
    market_book,
    refined,
    scaled_maintenance,
    taken_apart,
)
from margincover.clearing.impact import Impact
from margincover.clearing.population import Population
from margincover.errors import InputError, UsageError
from margincover.io.population import LoadedPopulation
from margincover.numeric.rng import stream
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.dependence import correlation_root
from margincover.scenarios.montecarlo import StudentTMonteCarlo

BLOCK_PATHS = 500
DEFAULT_BOUND = 0.25  # as in a cascade, where the file states none
THINNING_MOVE = 0.033  # move at which depth has halved, as in a cascade
_HOUR_S = 3600
_DAY_H = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRequest:
    """How paths are made: ``step_s`` between two looks at the accounts divides an hour; ``fee_fraction`` of notional.

    ``horizon_s`` is a whole number of days, or of hours below a day, when paths are made.
    """

    horizon_s: int = 5 * 86_400
    step_s: int = 300
    n_paths: int = 2_000
    fee_fraction: float = 0.005
    seed: int = 1
    threads: int = 2

    def __post_init__(self) -> None:
        """Check the figures."""
        if self.horizon_s <= 0:
            raise UsageError(f"was {self.horizon_s} s", field="--horizon", allowed="above 0")
        if self.step_s < 1 or _HOUR_S % self.step_s:
            raise UsageError(f"was {self.step_s} s", field="--step", allowed="a part of an hour, such as 1min or 5min")
        if not 1_000 <= self.n_paths <= 1_000_000:
            raise UsageError(f"was {self.n_paths}", field="--paths", allowed="1,000 to 1,000,000: fewer have no tail")

    @property
    def horizon_days(self) -> float:
        """Return the horizon in days."""
        return self.horizon_s / 86_400.0

    def hours(self) -> tuple[int, ...]:
        """Return the hours at which periods end: each day, or the horizon where it is shorter."""
        unit = _DAY_H * _HOUR_S if self.horizon_s > _DAY_H * _HOUR_S else _HOUR_S
        if self.horizon_s % unit:
            found = f"was {self.horizon_s} s"
            raise UsageError(found, field="--horizon", allowed="whole hours to 24h, then whole days")
        total = self.horizon_s // _HOUR_S
        return tuple(range(_DAY_H, total + 1, _DAY_H)) or (total,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRun:
    """Deficits and fees [period, path], returns by coin [period, path], totals by factor of maintenance [path]."""

    deficit_usd: Floats
    fees_usd: Floats
    period_days: tuple[float, ...]
    coins: Mapping[str, Floats]
    cases: Mapping[float, Floats]
    n_cut: int
    method: str

    @property
    def total_usd(self) -> Floats:
        """Return the deficit of each path over the horizon [path]."""
        total: Floats = self.deficit_usd.sum(axis=0)
        return total


def run_paths(
    loaded: LoadedPopulation,
    venue: str,
    request: PathRequest,
    depth_usd: Mapping[str, float],
    factors: Sequence[float],
    say: Callable[[str], None],
) -> PathRun:
    """Return the deficits of a venue's accounts, also under maintenance times each factor on the same paths.

    Raises
    ------
    InputError, UsageError
        If a market has no depth, or a coin is not in the packaged calibration.
    """
    population, hours = loaded.population, request.hours()
    coins = tuple(dict.fromkeys(market.coin for market in population.markets if market.venue == venue))
    generator = StudentTMonteCarlo(calibration=load_packaged(), factors=coins)
    books = {
        factor: _books(loaded, scaled_maintenance(population, factor), venue, coins, depth_usd)
        for factor in dict.fromkeys((1.0, *factors))
    }
    blocks = []
    for number, first in enumerate(range(0, request.n_paths, BLOCK_PATHS)):
        say(f"{first} of {request.n_paths} paths")
        n = min(BLOCK_PATHS, request.n_paths - first)
        blocks.append(_block(generator, books, request, number, n))
    returns = np.concatenate([block.moves for block in blocks], axis=2)
    return PathRun(
        deficit_usd=np.concatenate([block.found.deficit_usd for block in blocks], axis=1),
        fees_usd=np.concatenate([block.found.fees_usd for block in blocks], axis=1),
        period_days=tuple(float(days) for days in np.diff([0, *hours]) / _DAY_H),
        coins={coin: returns[:, k] for k, coin in enumerate(coins)},
        cases={factor: np.concatenate([block.totals[factor] for block in blocks]) for factor in factors},
        n_cut=sum(block.found.n_cut for block in blocks),
        method=f"{generator.info.label}, a bridge of {_HOUR_S // request.step_s} parts inside the hour",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """What one block of paths gave: debts, moves [period, coin, path], totals [path] by factor of maintenance."""

    found: Deficits
    moves: Floats
    totals: Mapping[float, Floats]


def _block(
    generator: StudentTMonteCarlo, books: Mapping[float, list[MarketBook]], request: PathRequest, number: int, n: int
) -> _Block:
    hours, parts = request.hours(), _HOUR_S // request.step_s
    block = generator.block(seed=request.seed, number=number, n_steps=hours[-1], n_paths=n)
    rng = stream(request.seed, "fund bridge", number)
    root = correlation_root(generator.info.correlation)
    relative = refined(block.close_log, block.step_variance, root, parts=parts, rng=rng)
    settings = CascadeSettings(
        step_s=float(request.step_s), fee_fraction=request.fee_fraction,
        impact=Impact(thinning_move_fraction=THINNING_MOVE),
    )  # fmt: skip
    ends = [hour * parts for hour in hours]
    found = deficits(books[1.0], relative, settings, ends=ends, threads=request.threads)
    totals = {
        factor: found.deficit_usd.sum(axis=0) if factor == 1.0 else _total(held, relative, settings, request.threads)
        for factor, held in books.items()
    }
    log = block.close_log[np.array(hours) - 1]
    return _Block(found=found, moves=np.expm1(np.diff(log, axis=0, prepend=0.0)), totals=totals)


def _total(books: Sequence[MarketBook], relative: Floats, settings: CascadeSettings, threads: int) -> Floats:
    found = deficits(books, relative, settings, ends=[relative.shape[0]], threads=threads)
    return np.asarray(found.deficit_usd[0], dtype=np.float64)


def _books(
    loaded: LoadedPopulation, population: Population, venue: str, coins: Sequence[str], stated: Mapping[str, float]
) -> list[MarketBook]:
    books = []
    for number, market in enumerate(population.markets):
        if market.venue != venue:
            continue
        names = (market.name, market.coin)
        depth = next((table[name] for table in (stated, loaded.depth_usd) for name in names if name in table), None)
        if depth is None:
            raise InputError(
                f"none for {market.name}", source=population.source, field="depth",
                allowed=f"--depth {market.coin}=USD: the notional that moves its price by 1 %",
            )  # fmt: skip
        books.append(
            market_book(
                taken_apart(population, number),
                factor=list(coins).index(market.coin),
                depth_usd=depth,
                bound_fraction=loaded.bound_fraction.get(market.name, DEFAULT_BOUND),
            )
        )
    return books
