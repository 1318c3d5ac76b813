"""One run of a rescue: its settings, state, paths, and the problem whose cheapest answer is the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from margincover.app.cover import LONGEST_S
from margincover.app.generators import build_generator
from margincover.app.option_volatility import with_volatility
from margincover.app.rescue_money import MoneyTable, money_table
from margincover.app.rescue_state import RescueState, rescue_state
from margincover.app.rescue_trades import TradeFinder, TradeIdea
from margincover.errors import InputError, UsageError
from margincover.liquidity.rescue_options import RescueProblem, TradeOption
from margincover.liquidity.rescue_search import MAX_OPTIONS, RescueSearch
from margincover.model.book import Book, Tolerance
from margincover.model.pool import MarginPool
from margincover.model.rescue import RejectedAction
from margincover.model.scenario import History, ScenarioGenerator
from margincover.numeric.intervals import wilson
from margincover.paths.arrivals import StepPaths, step_paths
from margincover.paths.engine import BLOCK_PATHS
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.units import SECONDS_PER_HOUR, format_duration
from margincover.venues.pools import build_pools

Array = NDArray[np.float64]
DEFAULT_RESCUE_PATHS = 10_000
# Every step of every path is kept; this many numbers are about 1 GB with the trades that are tried.
_MOST_NUMBERS = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueSettings:
    """Settings of one rescue; None takes the book's tolerance or the default.

    Parameters
    ----------
    tolerance : float or None
        For every account by itself.
    horizon_s : int or None
        Whole hours, 1 h to 30 d.
    scenario, shock : str or None
        A packaged episode or a stated shock after which the plan starts; at most one.
    after_hours : int or None
        Hours of the episode that have passed; None is 1.
    paths, seed, scenarios, history
        As for ``cover``.
    """

    tolerance: float | None = None
    horizon_s: int | None = None
    scenario: str | None = None
    shock: str | None = None
    after_hours: int | None = None
    paths: int = DEFAULT_RESCUE_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueRun:
    """A rescue that is ready to run."""

    settings: RescueSettings
    state: RescueState
    tolerance: float
    horizon_s: int
    pools: tuple[MarginPool, ...]
    generator: ScenarioGenerator
    calibration: Calibration

    @classmethod
    def of(cls, book: Book, settings: RescueSettings, generator: ScenarioGenerator | None) -> RescueRun:
        """Check the settings and prepare a run; errors as in ``app.rescue.rescue``."""
        calibration = load_packaged()
        state = rescue_state(
            book, scenario=settings.scenario, after_hours=settings.after_hours, shock=settings.shock,
            calibration=calibration,
        )  # fmt: skip
        stated = Tolerance(
            probability=book.tolerance.probability if settings.tolerance is None else settings.tolerance,
            horizon_s=book.tolerance.horizon_s if settings.horizon_s is None else settings.horizon_s,
            measure=book.tolerance.measure,
        )
        pools = build_pools(state.book, funding_fallback=calibration.pessimistic_funding_per_hour)
        if not pools:
            raise InputError("held no margin account", source=book.source, field="accounts", allowed="at least one")
        if generator is None:
            generator = build_generator(
                state.book, _factors(state.book, pools, settings, calibration), method=settings.scenarios,
                history=settings.history, calibration=calibration,
            )  # fmt: skip
        elif settings.scenarios is not None or settings.history is not None:
            raise UsageError("a generator with scenarios or history", field="generator", allowed="one of them")
        run = cls(
            settings=settings, state=state, tolerance=stated.probability, horizon_s=stated.horizon_s,
            pools=tuple(with_volatility(pools)), generator=generator, calibration=calibration,
        )  # fmt: skip
        run._check_size()
        return run

    def _check_size(self) -> None:
        if self.horizon_s % self.step_s or not SECONDS_PER_HOUR <= self.horizon_s <= LONGEST_S:
            found = format_duration(self.horizon_s)
            raise UsageError(f"was {found}", field="--horizon", allowed="whole hours, 1h to 30d")
        size = len(self.times_s) * len(self.pools) * self.settings.paths
        if self.settings.paths < BLOCK_PATHS or size > _MOST_NUMBERS:
            most = _MOST_NUMBERS // (len(self.times_s) * len(self.pools))
            raise UsageError(f"was {self.settings.paths}", field="--paths", allowed=f"{BLOCK_PATHS} to {most}")
        if self.max_hits < 0:
            # With nothing lost the interval still reaches 3.84 / paths.
            enough = int(4.0 / self.tolerance) + 1
            raise UsageError(
                f"was {self.settings.paths}", field="--paths", allowed=f"{enough} or more at this tolerance"
            )

    @property
    def step_s(self) -> int:
        """Length of a step."""
        return self.generator.info.step_s

    @property
    def times_s(self) -> tuple[int, ...]:
        """Ends of the steps, from 0 to the horizon."""
        return tuple(range(0, self.horizon_s + 1, self.step_s))

    @property
    def n_paths(self) -> int:
        """Paths in whole blocks."""
        return -(-self.settings.paths // BLOCK_PATHS) * BLOCK_PATHS

    @property
    def max_hits(self) -> int:
        """Most paths that an account may lose so that the upper end of the interval is within the tolerance, or -1."""
        low, high = -1, self.n_paths
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if wilson(middle, self.n_paths)[3] <= self.tolerance else (low, middle)
        return low

    def follow(self, pools: Sequence[MarginPool], seed: int) -> StepPaths:
        """Follow pools along the paths of a seed."""
        return step_paths(
            with_volatility(pools), self.generator, horizon_s=self.horizon_s, n_paths=self.settings.paths, seed=seed
        )

    def running_usd(self, paths: StepPaths) -> list[Array]:
        """Return running maxima by account row in US dollars at today's price of each unit."""
        return [paths.running[:, row] * pool.unit_usd for row, pool in enumerate(self.pools)]

    def money(self) -> MoneyTable:
        """All money of the book in this state."""
        return money_table(
            self.state.book, self.pools, self.times_s, frozen=self.state.frozen,
            funding_fallback=self.calibration.pessimistic_funding_per_hour,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The problem, and what its options are made of: ``ways`` and ``ideas`` by the option's number."""

    problem: RescueProblem
    ways: tuple[int, ...]
    ideas: tuple[TradeIdea, ...]
    rejected: tuple[RejectedAction, ...]


def candidates(run: RescueRun, running: Sequence[Array], money: MoneyTable) -> Candidates:
    """Return the problem of a rescue with at most 12 options: those that save most for their cost, each alone."""
    bare = RescueProblem(
        running=tuple(running),
        coming_usd=money.coming_usd,
        money=tuple(way.option for way in money.ways),
        trades=(),
        sources_usd=money.sources_usd,
        max_hits=run.max_hits,
    )
    before = RescueSearch(bare).plan_of((), {})
    at_risk = [row for row, hits in enumerate(before.hits) if hits > run.max_hits]
    finder = TradeFinder(
        book=run.state.book, pools=run.pools, funding_fallback=run.calibration.pessimistic_funding_per_hour,
        halted=run.state.frozen,
    )  # fmt: skip
    ideas = finder.ideas(at_risk)
    trades = _trade_options(run, ideas)
    whole = RescueProblem(
        running=bare.running, coming_usd=bare.coming_usd, money=bare.money, trades=trades,
        sources_usd=bare.sources_usd, max_hits=run.max_hits,
    )  # fmt: skip
    kept_money, kept_trades, rejected = _chosen(RescueSearch(whole), at_risk, money, ideas, run.pools)
    return Candidates(
        problem=RescueProblem(
            running=bare.running,
            coming_usd=bare.coming_usd,
            money=tuple(whole.money[number] for number in kept_money),
            trades=tuple(whole.trades[number] for number in kept_trades),
            sources_usd=bare.sources_usd,
            max_hits=run.max_hits,
        ),
        ways=tuple(kept_money),
        ideas=tuple(ideas[number] for number in kept_trades),
        rejected=(*finder.rejected, *rejected),
    )


def _trade_options(run: RescueRun, ideas: Sequence[TradeIdea]) -> tuple[TradeOption, ...]:
    """Follow the pools that every idea leaves, all on the same paths as the pools of the book."""
    if not ideas:
        return ()
    places = [(number, row) for number, idea in enumerate(ideas) for row in idea.pools]
    paths = run.follow([ideas[number].pools[row] for number, row in places], run.settings.seed)
    tables: list[dict[int, Array]] = [{} for _ in ideas]
    for place, (number, row) in enumerate(places):
        tables[number][row] = paths.running[:, place] * run.pools[row].unit_usd
    return tuple(
        TradeOption(id=idea.text, running=table, cost_usd=idea.cost.total_usd)
        for idea, table in zip(ideas, tables, strict=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """One option by itself: paths that it saves at all accounts together, less those that it costs, and its cost."""

    kind: str
    number: int
    text: str
    account: str
    saved: int
    cost_usd: float


def _chosen(
    search: RescueSearch,
    at_risk: Sequence[int],
    money: MoneyTable,
    ideas: Sequence[TradeIdea],
    pools: Sequence[MarginPool],
) -> tuple[list[int], list[int], list[RejectedAction]]:
    """Return the numbers of the money and the trades that are searched, and what is left out with its reason."""
    tried = _tried(search, at_risk, money, ideas)
    useful = [each for each in tried if each.saved > 0]
    rejected = [
        RejectedAction(text=each.text, account=each.account, reason=_nothing(search, pools, each.account))
        for each in tried
        if each.saved <= 0
    ]
    # The trade that saves most stays whatever it costs: it may be the only one that helps.
    largest = max((each.saved for each in useful if each.kind == "trade"), default=0)
    useful.sort(
        key=lambda each: (
            each.kind != "trade" or each.saved < largest,
            -each.saved / max(each.cost_usd, 1e-9),
        )
    )
    for each in useful[MAX_OPTIONS:]:
        reason = f"not searched: {MAX_OPTIONS} options that save more for their cost come first"
        rejected.append(RejectedAction(text=each.text, account=each.account, reason=reason))
    kept = useful[:MAX_OPTIONS]
    numbers = [sorted(each.number for each in kept if each.kind == kind) for kind in ("money", "trade")]
    return numbers[0], numbers[1], rejected


def _tried(search: RescueSearch, at_risk: Sequence[int], money: MoneyTable, ideas: Sequence[TradeIdea]) -> list[_Tried]:
    """Return every option by itself: money with all that it can bring."""
    start = sum(search.plan_of((), {}).hits)
    plans = [
        ("money", number, way.option.id, way.route.destination, search.at_most((), (number,)))
        for number, way in enumerate(money.ways)
        if way.option.account in at_risk
    ]
    plans += [
        ("trade", number, idea.text, idea.account, search.plan_of((number,), {})) for number, idea in enumerate(ideas)
    ]
    return [
        _Tried(
            kind=kind, number=number, text=text, account=account, saved=start - sum(plan.hits), cost_usd=plan.cost_usd
        )
        for kind, number, text, account, plan in plans
    ]


def _nothing(search: RescueSearch, pools: Sequence[MarginPool], account: str) -> str:
    """Return why an option saves no path."""
    is_lost = any(
        search.deadline_step(row, (), search.cash(row, {})) == -1
        for row, pool in enumerate(pools)
        if account in (pool.id, pool.account_id)
    )
    return "too late: the account is liquidatable in this state" if is_lost else "saves no path"


def _factors(book: Book, pools: Sequence[MarginPool], settings: RescueSettings, calibration: Calibration) -> list[str]:
    """Return every factor of the pools, sorted; a coin that no scenario moves is an error with its account."""
    for pool in pools:
        for factor in pool.factors:
            if settings.history is None and factor not in calibration and factor not in book.proxies:
                raise InputError(
                    f"{factor} is not in the packaged calibration ({', '.join(calibration.names)})",
                    source=book.source,
                    account=pool.account_id,
                    field=factor,
                    allowed=f"--history DIR with bars of {factor}, or a stand-in under `proxies` in the book",
                )
    return sorted({factor for pool in pools for factor in pool.factors}) or [calibration.names[0]]
