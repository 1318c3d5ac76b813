"""The search of the emergency plan: cheapest set, money in time only, no dollar twice, twins agree."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.liquidity.rescue_options import MoneyOption, RescueProblem, TradeOption
from margincover.liquidity.rescue_search import RescueSearch, missing_usd
from margincover.paths.arrivals import cash_needed
from margincover.paths.follow_cash import liquidated_step_by_step


def walk(seed, *, start, n_steps=8, n_paths=400, size=10.0):
    """Running maxima of random walks of the shortfall from ``start``."""
    steps = np.random.default_rng(seed).normal(0.0, size, (n_steps, n_paths))
    states = np.concatenate([np.zeros((1, n_paths)), np.cumsum(steps, axis=0)]) + start
    return np.maximum.accumulate(states, axis=0)


def money(number, account, *, first, amount=200.0, source=None, **more):
    arrives = np.where(np.arange(9) >= first, amount, 0.0)
    return MoneyOption(id=f"m{number}", source=source or f"s{number}", account=account, arrives_usd=arrives, **more)


def problem(running, options=(), trades=(), max_hits=4, sources=None):
    return RescueProblem(
        running=tuple(running),
        coming_usd=np.zeros((len(running), 9)),
        money=tuple(options),
        trades=tuple(trades),
        sources_usd=sources or {option.source: 1_000.0 for option in options},
        max_hits=max_hits,
    )


def test_nothing_is_done_where_the_tolerance_is_met():
    plan = RescueSearch(problem([walk(1, start=-200.0)], [money(0, 0, first=1)])).best()
    assert (plan.trades, plan.amounts_usd, plan.cost_usd, plan.meets) == ((), {}, 0.0, True)


def test_the_cheaper_of_two_that_come_in_time_is_taken_with_the_least_amount():
    table = walk(2, start=-40.0)
    options = [money(0, 0, first=1, cost_per_usd=0.02), money(1, 0, first=1, cost_per_usd=0.01)]
    plan = RescueSearch(problem([table], options)).best()
    assert list(plan.amounts_usd) == [1]
    amount = plan.amounts_usd[1]
    lost = [np.count_nonzero(cash_needed(table, options[1].cash(amount - less)) >= 0.0) for less in (0.0, 1.0)]
    assert lost[0] <= 4 < lost[1]


def test_money_after_the_deadline_is_never_proposed_however_cheap():
    # Half of the paths are lost in the first step: what comes at step 5 cannot keep the tolerance.
    table = walk(3, start=-1.0)
    search = RescueSearch(problem([table], [money(0, 0, first=5)]))
    assert search.deadline_step(0, (), np.zeros(9)) == 0
    plan = search.best()
    assert plan.amounts_usd == {}
    assert not plan.meets


def test_a_trade_moves_the_deadline_so_that_later_money_comes_in_time():
    bad, calmer = walk(4, start=-30.0, size=15.0), walk(4, start=-30.0, size=6.0)
    late = money(0, 0, first=3)
    trade = TradeOption(id="half", running={0: calmer}, cost_usd=1.0)
    assert RescueSearch(problem([bad], [late])).best().amounts_usd == {}
    plan = RescueSearch(problem([bad], [late], [trade])).best()
    assert plan.trades == (0,)
    assert list(plan.amounts_usd) == [0]
    assert plan.meets


def test_one_source_is_not_spent_twice():
    tables = [walk(5, start=-40.0), walk(6, start=-40.0)]
    options = [money(0, 0, first=0, source="one"), money(1, 1, first=0, source="one")]
    enough = RescueSearch(problem(tables, options, sources={"one": 1_000.0})).best()
    assert enough.meets
    needed = sum(enough.amounts_usd.values())
    short = RescueSearch(problem(tables, options, sources={"one": needed - 5.0})).best()
    assert not short.meets
    assert sum(short.amounts_usd.values()) <= needed - 5.0


def test_own_margin_of_another_account_is_taken_off_there_from_the_start():
    rich, poor = walk(7, start=-150.0), walk(8, start=-40.0)
    option = money(0, 1, first=1, leaves=0)
    search = RescueSearch(problem([rich, poor], [option]))
    plan = search.best()
    assert plan.meets
    assert search.cash(0, plan.amounts_usd)[0] == -plan.amounts_usd[0]
    # An account with nothing to spare is not emptied to fill the other.
    assert not RescueSearch(problem([walk(7, start=-60.0), poor], [option])).best().meets


def test_where_one_account_is_lost_the_others_are_still_kept_at_least_cost():
    dead, saved = np.full((9, 400), 5.0), walk(2, start=-40.0)
    options = [money(0, 0, first=1), money(1, 1, first=1, cost_per_usd=0.01), money(2, 1, first=1, cost_per_usd=0.1)]
    plan = RescueSearch(problem([dead, saved], options)).best()
    assert plan.hits[0] == 400
    assert plan.hits[1] <= 4
    assert list(plan.amounts_usd) == [1]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_no_set_with_full_amounts_is_cheaper_than_the_plan(seed, data):
    tables = [walk(seed, start=-40.0, n_paths=200), walk(seed + 1, start=-45.0, n_paths=200)]
    options = [
        money(
            number,
            number % 2,
            first=data.draw(st.integers(0, 4)),
            amount=data.draw(st.sampled_from([20.0, 80.0, 200.0])),
            cost_per_usd=data.draw(st.sampled_from([0.0, 0.01, 0.05])),
            fixed_usd=data.draw(st.sampled_from([0.0, 1.0, 5.0])),
        )
        for number in range(4)
    ]
    trades = [TradeOption(id="t", running={0: walk(seed, start=-41.0, n_paths=200, size=5.0)}, cost_usd=3.0)]
    search = RescueSearch(problem(tables, options, trades, max_hits=2))
    plan = search.best()
    for chosen in product([False, True], repeat=4):
        for with_trade in (False, True):
            amounts = {n: float(np.floor(options[n].arrives_usd[-1])) for n in range(4) if chosen[n]}
            other = search.plan_of((0,) if with_trade else (), amounts)
            assert not other.meets or (plan.meets and plan.cost_usd <= other.cost_usd + 1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_plan_followed_step_by_step_loses_as_many_paths_as_promised(seed):
    table = walk(seed, start=-40.0, n_paths=150)
    options = [money(0, 0, first=1, amount=15.0), money(1, 0, first=2, cost_per_usd=0.01)]
    search = RescueSearch(problem([table], options, max_hits=1))
    plan = search.best()
    cash = [sum(min(options[n].arrives_usd[k], x) for n, x in plan.amounts_usd.items()) for k in range(9)]
    # A running maximum is itself a path that stays where it was worst: lost in the same step.
    steps = [liquidated_step_by_step(table[0, p], table[1:, p, None].tolist(), cash) for p in range(150)]
    assert sum(step >= 0 for step in steps) == plan.hits[0]


def test_what_is_missing_is_a_cent_more_than_the_worst_path_that_may_not_be_lost():
    needed = np.array([-5.0, 3.0, 1.0, 10.0])
    assert missing_usd(needed, 0) == pytest.approx(10.01)
    assert missing_usd(needed, 1) == pytest.approx(3.01)
    assert missing_usd(needed, 3) == 0.0
    assert missing_usd(needed, 4) == 0.0


def test_an_option_of_an_unknown_source_is_refused():
    with pytest.raises(InputError, match="'s0'"):
        problem([walk(1, start=-1.0)], [money(0, 0, first=1)], sources={"other": 1.0})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_no_plan_holds_money_that_comes_after_its_deadline_whether_it_meets_the_tolerance_or_not(seed, data):
    start = data.draw(st.sampled_from([-60.0, -40.0, -15.0, 1.0]))
    options = [
        money(
            number,
            0,
            first=data.draw(st.integers(0, 8)),
            amount=data.draw(st.sampled_from([10.0, 60.0, 200.0])),
            cost_per_usd=data.draw(st.sampled_from([0.0, 0.01])),
        )
        for number in range(3)
    ]
    trades = [TradeOption(id="t", running={0: walk(seed, start=start, n_paths=200, size=6.0)}, cost_usd=3.0)]
    search = RescueSearch(problem([walk(seed, start=start, n_paths=200)], options, trades, max_hits=2))
    plan = search.best()
    table = search.paths_of(0, plan.trades)
    for number in plan.amounts_usd:
        # Worked out again without the search: paths lost by the time the money counts, with what came before it.
        first = options[number].first_step
        if first == 0:
            continue  # it is there at once: nothing is lost before it
        before = sum(
            (options[n].cash(x) for n, x in plan.amounts_usd.items() if options[n].first_step < first), np.zeros(9)
        )
        lost = [liquidated_step_by_step(table[0, p], table[1:, p, None].tolist(), before.tolist()) for p in range(200)]
        assert sum(0 <= step <= first for step in lost) <= 2
