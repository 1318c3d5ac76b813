"""What stands beside the plan: comparisons, frontier, frozen places, hedges brought together, value of speed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from margincover.allocation.frontier import frontier
from margincover.allocation.standing_rule import RuleSetting, run_rules
from margincover.allocation.value import allocation_information
from margincover.app.allocate_desk import build_desk
from margincover.app.allocate_paths import desk_paths
from margincover.app.allocate_plan import Decision, Planner, Sample
from margincover.app.changes import Trade, changed_book
from margincover.errors import InputError, MargincoverError, SolverError
from margincover.liquidity.ladder import counted
from margincover.model.allocation import Alternative, Comparison, FrontierEntry, OutageCell
from margincover.model.book import Book
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioGenerator
from margincover.numeric.arrays import Vector
from margincover.numeric.lp_cuts import CutSettings
from margincover.numeric.lp_two_stage import InformationValue
from margincover.numeric.quantile import tail_quantile
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from margincover.venues.pools import build_pools

_INFORMATION_PATHS = 400
_MAX_HEDGES = 3
_YEAR_S = 365.0 * SECONDS_PER_DAY


def comparisons(planner: Planner, joint: Decision | None, planning: Sample, fresh: Sample) -> tuple[Comparison, ...]:
    """Return the capital of each way to size from nothing held, and its rate on fresh paths."""
    alone, pro_rata = planner.alone(planning), planner.pro_rata(planning)
    base = float(alone.sum())
    found = [("each pool alone (Bonferroni)", alone), ("in proportion to maintenance", pro_rata)]
    rows = [
        Comparison(
            name=name,
            capital_usd=float(amount.sum()),
            probability=counted((fresh.need_usd[-1] > amount[:, np.newaxis] + 1e-3).any(axis=0)),
            to_bonferroni=float(amount.sum()) / base if base > 0.0 else None,
        )
        for name, amount in found
    ]
    if joint is not None:
        capital = joint.allocation.capital_usd
        rows.append(
            Comparison(
                name="jointly, with reserve and rules",
                capital_usd=capital,
                probability=counted(planner.rules(joint, fresh).any_liquidated),
                to_bonferroni=capital / base if base > 0.0 else None,
            )
        )
    return tuple(rows)


def frontier_entries(planner: Planner, planning: Sample, fresh: Sample, *, points: int) -> tuple[FrontierEntry, ...]:
    """Return capital against P(any liquidation), from nothing held; the rate is that of the rules on fresh paths."""
    if points < 2:
        return ()
    # Rarer than a few hits in the planning paths there is nothing to choose by.
    least = max(5.0 / planning.need_usd.shape[2], planner.settings.tolerance / 20.0)
    most = min(0.5, 12.0 * planner.settings.tolerance)
    if least >= most:
        return ()
    asked = planner.problem(planner.needs(planning), tail=None, with_holdings=False, with_costs=False)
    found = frontier(asked, np.geomspace(least, most, points).tolist(), settings=CutSettings(gap=planner.settings.gap))
    years = planner.settings.horizon_s / _YEAR_S
    entries = []
    for point in found:
        decision = planner.with_rules(point.allocation, planning)
        entries.append(
            FrontierEntry(
                tail=point.tail,
                capital_usd=point.allocation.capital_usd,
                reserve_usd=point.allocation.reserve_usd,
                cost_per_year_usd=point.allocation.carry_usd / years,
                probability=counted(planner.rules(decision, fresh).any_liquidated),
            )
        )
    return tuple(entries)


def outage_cells(planner: Planner, decision: Decision, fresh: Sample) -> tuple[OutageCell, ...]:
    """Return every pool when each venue and each custodian of the reserve is frozen for the whole horizon."""
    desk, allocation = planner.desk, decision.allocation
    custodians = {source.custodian for source in desk.sources if source.custodian}
    cells = []
    for place in dict.fromkeys([*(pool.venue for pool in desk.pools), *sorted(custodians)]):
        receivable = planner.receivable(fresh)
        receivable[list(planner.pools_at(place))] = 0.0
        lost = sum(source.usable_usd for source in desk.sources if source.custodian == place)
        run = run_rules(
            fresh.need_usd,
            RuleSetting(
                amount_usd=allocation.amount_usd,
                trigger_usd=decision.trigger_usd,
                reserve_usd=max(0.0, allocation.reserve_usd - lost),
                receivable_usd=receivable,
                arrived=planner.arrived(),
            ),
        )
        for number, pool in enumerate(desk.pools):
            lacking = fresh.need_usd[-1, number] - allocation.amount_usd[number]
            rate = counted(run.is_liquidated[number])
            # With this much more of its own the pool needs nothing from elsewhere, at the stated tolerance.
            extra = max(0.0, float(tail_quantile(lacking, planner.settings.tolerance)))
            cells.append(
                OutageCell(
                    place=place,
                    pool_id=pool.id,
                    probability=rate,
                    extra_usd=extra if rate.value > planner.settings.tolerance else 0.0,
                )
            )
    return tuple(cells)


def information(planner: Planner, planning: Sample) -> InformationValue:
    """Return what perfect information and the stochastic model are worth, from nothing held, on thinned paths."""
    asked = planner.problem(planner.needs(planning), tail=None, with_holdings=False, with_costs=True)
    step = max(1, planning.need_usd.shape[2] // _INFORMATION_PATHS)
    thinned = np.arange(0, planning.need_usd.shape[2], step)[:_INFORMATION_PATHS]
    return allocation_information(replace(asked, needs=asked.needs.only(thinned)))


def hour_values(planner: Planner, planning: Sample, *, tail: float) -> list[float | None]:
    """Return by how much capital falls when later money comes to one pool an hour sooner; None where none comes."""
    slow = planner.from_nothing(planning, tail=tail).capital_usd
    values: list[float | None] = []
    for number, delay in enumerate(planner.delays_s):
        if not planner.later[number]:
            values.append(None)
            continue
        faster = planner.with_delay(max(0.0, delay - SECONDS_PER_HOUR), (number,))
        values.append(max(0.0, slow - faster.from_nothing(planning, tail=tail).capital_usd))
    return values


def speed_alternatives(planner: Planner, planning: Sample, *, tail: float) -> list[Alternative]:
    """Return what faster ways to every cross pool in dollars would save: one hour, and custody that pays at once."""
    before = planner.from_nothing(planning, tail=tail).capital_usd
    found = []
    for name, delay in (
        ("ways of one hour from the reserve to every cross pool in dollars", float(SECONDS_PER_HOUR)),
        ("off-exchange custody that credits every cross pool in dollars at once", 0.0),
    ):
        after = planner.with_delay(delay).from_nothing(planning, tail=tail).capital_usd
        found.append(Alternative(name=name, capital_before_usd=before, capital_after_usd=after, cost_usd=0.0))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """Two legs of opposite sign in one coin, in two accounts; ``coins`` > 0 of both can close each other."""

    coin: str
    coins: float
    long_account: str
    long_symbol: str
    short_account: str
    short_symbol: str
    notional_usd: float
    fee_usd: float


def hedges(book: Book, pools: tuple[MarginPool, ...]) -> tuple[Hedge, ...]:
    """Return the hedged legs of linear contracts that stand in cross pools of different accounts, largest first."""
    legs = [leg for pool in pools if pool.margin_mode == "cross" for leg in _linear_legs(pool)]
    found = []
    for long in legs:
        for short in legs:
            if long.coin != short.coin or long.size <= 0.0 or short.size >= 0.0 or long.account == short.account:
                continue
            coins = min(long.size, -short.size)
            notional = coins * max(long.mark_usd, short.mark_usd)
            fee = coins * (long.mark_usd * _taker(book, long.account) + short.mark_usd * _taker(book, short.account))
            found.append(
                Hedge(
                    coin=long.coin,
                    coins=coins,
                    long_account=long.account,
                    long_symbol=long.symbol,
                    short_account=short.account,
                    short_symbol=short.symbol,
                    notional_usd=notional,
                    fee_usd=fee,
                )
            )
    return tuple(sorted(found, key=lambda hedge: (-hedge.notional_usd, hedge.long_account, hedge.short_account)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    coin: str
    size: float
    account: str
    symbol: str
    mark_usd: float


def _linear_legs(pool: MarginPool) -> Iterator[_Leg]:
    legs = pool.legs
    for number in range(legs.count):
        if not legs.inverse[number]:
            asset_usd = float(pool.assets.price_unit[legs.asset_index[number]]) * pool.unit_usd
            yield _Leg(
                coin=legs.bases[number],
                size=float(legs.signed_size[number]),
                account=pool.account_id,
                symbol=legs.symbols[number],
                mark_usd=float(legs.mark_price[number]) * asset_usd,
            )


def _taker(book: Book, account_id: str) -> float:
    account = next(row for row in book.accounts if row.id == account_id)
    if account.taker_fee_fraction is not None:
        return account.taker_fee_fraction
    return book.rulebooks[account.venue].modes[account.mode].default_taker_fee_fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """What is needed to plan a changed book on the same paths."""

    generator: ScenarioGenerator
    funding: Callable[[str], float]
    paths: int
    seed: int
    threads: int | None


def hedge_alternatives(
    planner: Planner, planning: Sample, resolve: Resolve, *, tail: float
) -> tuple[list[Alternative], list[str]]:
    """Return what closing hedged legs of two accounts against each other would save, fees of both sides as the cost."""
    before = planner.from_nothing(planning, tail=tail).capital_usd
    found, notes = [], []
    for hedge in hedges(planner.desk.book, planner.desk.pools)[:_MAX_HEDGES]:
        name = (
            f"both {hedge.coin} legs in one place: {hedge.coins:g} {hedge.coin} long in {hedge.long_account}, "
            f"short in {hedge.short_account}"
        )
        try:
            after = _capital_after(planner, hedge, resolve, tail)
        except SolverError:
            raise
        except MargincoverError as error:
            notes.append(f"{name}: not tried: {error}")
            continue
        found.append(Alternative(name=name, capital_before_usd=before, capital_after_usd=after, cost_usd=hedge.fee_usd))
    return found, notes


def _capital_after(planner: Planner, hedge: Hedge, resolve: Resolve, tail: float) -> float:
    book = planner.desk.book
    trades = []
    for account, symbol, sign in (
        (hedge.long_account, hedge.long_symbol, -1.0),
        (hedge.short_account, hedge.short_symbol, 1.0),
    ):
        venue = account.partition(":")[0]
        size = book.instruments[(venue, symbol)].multiplier
        if not size > 0.0:
            raise InputError(f"was {size}", account=account, field=symbol, allowed="a contract size > 0")
        trades.append(Trade(account=account, contracts=sign * hedge.coins / size, symbol=symbol))
    changed = changed_book(book, trades, ())
    pools = build_pools(changed, funding_fallback=resolve.funding)
    settings = planner.settings
    desk = build_desk(changed, pools, horizon_s=settings.horizon_s, cost_of_capital=settings.cost_of_capital)
    followed = desk_paths(
        pools, resolve.generator, horizon_s=settings.horizon_s, paths=resolve.paths, seed=resolve.seed,
        threads=resolve.threads,
    )  # fmt: skip
    moved = Planner.of(desk, settings, followed.times_s).unlimited()
    sample = moved.sample(followed, seed=resolve.seed, purpose="planning")
    return moved.from_nothing(sample.first(resolve.paths), tail=tail).capital_usd


def multiples(trigger_usd: Vector, hourly_usd: Vector) -> list[float | None]:
    """Return triggers as multiples of the hourly standard deviation of headroom; None where it does not move."""
    return [
        float(trigger / hourly) if hourly > 0.0 else None
        for trigger, hourly in zip(trigger_usd, hourly_usd, strict=True)
    ]
