"""The contingency plan along paths: equal to its plain twin, money conserved, late money helps nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.liquidity.contingency import AccountPaths, Failure, PlannedAction, run_plan
from margincover.liquidity.contingency_reference import run_path

N_ACCOUNTS, N_SOURCES = 2, 2


@st.composite
def plans(draw):
    n_steps, n_paths = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shape = (n_steps + 1, N_ACCOUNTS, n_paths)
    maintenance = rng.uniform(10.0, 30.0, shape)
    equity = 40.0 + np.cumsum(rng.normal(-3.0, 12.0, shape), axis=0)
    inside = np.maximum(maintenance - equity, 0.0 * equity - 60.0) + rng.exponential(2.0, shape)
    running = np.maximum.accumulate(np.maximum(maintenance - equity, inside), axis=0)
    running[0] = (maintenance - equity)[0]
    actions = [
        PlannedAction(
            account=draw(st.integers(0, N_ACCOUNTS - 1)),
            source=draw(st.integers(0, N_SOURCES - 1)),
            trigger=(trigger := draw(st.floats(1.0, 3.0))),
            target=trigger + draw(st.floats(0.1, 2.0)),
            capacity_usd=draw(st.floats(1.0, 80.0)),
            lead_steps=draw(st.integers(0, 3)),
            cost_fraction=draw(st.floats(0.0, 0.01)),
            cost_usd=draw(st.floats(0.0, 2.0)),
            interest_per_step_fraction=draw(st.floats(0.0, 0.001)),
            drawn_per_usd=draw(st.sampled_from([1.0, 1.0, 1.25])),
            earliest_step=draw(st.sampled_from([(), tuple(-(-step // 3) * 3 for step in range(n_steps))])),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    sources = [draw(st.floats(0.0, 100.0)) for _ in range(N_SOURCES)]
    most = [draw(st.sampled_from([5.0, 20.0, float("inf")])) for _ in range(N_SOURCES)]
    return AccountPaths(running=running, equity=equity, maintenance=maintenance), actions, sources, most


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_every_dollar_is_at_its_source_on_its_way_or_arrived(plan):
    paths, actions, sources, most = plan
    run = run_plan(paths, actions, sources, most_per_step_usd=most)
    there = run.on_its_way_usd.sum(axis=0) + run.arrived_usd[-1].sum(axis=0)
    np.testing.assert_allclose(there, run.brought_usd.sum(axis=0), atol=1e-7)
    drawn = sum(action.drawn_per_usd * usd for action, usd in zip(actions, run.brought_usd, strict=True))
    np.testing.assert_allclose(drawn + run.left_usd.sum(axis=0), sum(sources), atol=1e-7)
    assert (run.left_usd >= -1e-9).all()
    assert (run.on_its_way_usd >= -1e-7).all()
    for number, action in enumerate(actions):
        assert (run.brought_usd[number] <= action.capacity_usd + 1e-9).all()


@settings(max_examples=150, deadline=None)
@given(plan=plans())
def test_all_paths_together_give_what_the_plain_twin_gives_path_by_path(plan):
    paths, actions, sources, most = plan
    run = run_plan(paths, actions, sources, most_per_step_usd=most)
    for path in range(paths.running.shape[2]):
        tables = (table[:, :, path].tolist() for table in (paths.running, paths.equity, paths.maintenance))
        expected = run_path(*tables, actions, sources, most_per_step_usd=most)
        assert run.liquidated_step[:, path].tolist() == expected.liquidated_step
        np.testing.assert_allclose(run.left_usd[:, path], expected.left_usd, atol=1e-7)
        np.testing.assert_allclose(run.cost_usd[path], expected.cost_usd, atol=1e-7)


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_a_plan_never_liquidates_an_account_earlier_than_doing_nothing(plan):
    paths, actions, sources, most = plan
    run, nothing = run_plan(paths, actions, sources, most_per_step_usd=most), run_plan(paths, [], sources)
    late = np.where(run.liquidated_step < 0, 10**6, run.liquidated_step)
    assert (late >= np.where(nothing.liquidated_step < 0, 10**6, nothing.liquidated_step)).all()


def one_account(running, equity, maintenance):
    return AccountPaths(**{
        name: np.array(values, dtype=float)[:, None, None]
        for name, values in (("running", running), ("equity", equity), ("maintenance", maintenance))
    })  # fmt: skip


# Maintenance 10; the account falls from 30 to 12 (seen at the end of step 1) and to 5 inside step 3.
FALLING = {"running": [-20.0, -2.0, -1.0, 5.0], "equity": [30.0, 12.0, 11.0, 5.0], "maintenance": [10.0] * 4}


def action(**changes):
    base = {"account": 0, "source": 0, "trigger": 1.5, "target": 2.0, "capacity_usd": 100.0, "lead_steps": 1}
    return PlannedAction(**base | changes)


def test_money_in_time_saves_and_is_what_is_missing_to_the_target():
    run = run_plan(one_account(**FALLING), [action()], [100.0])
    # At the end of step 1: 2.0 x 10 - 12 = 8 are sent and stand there from step 2 on; 5 were needed in step 3.
    assert run.arrived_usd[:, 0, 0].tolist() == [0.0, 0.0, 8.0, 8.0]
    assert run.liquidated_step[0, 0] == -1


def test_money_that_is_one_step_too_late_is_on_its_way_and_not_counted():
    run = run_plan(one_account(**FALLING), [action(lead_steps=2)], [100.0])
    assert run.liquidated_step[0, 0] == 3
    assert run.failure[0, 0] == Failure.MONEY_ON_ITS_WAY


def test_an_empty_source_and_an_action_that_is_too_small_are_told_apart_from_a_jump():
    paths = one_account(**FALLING)
    assert run_plan(paths, [action()], [0.0]).failure[0, 0] == Failure.MONEY_USED_UP
    assert run_plan(paths, [action(capacity_usd=3.0)], [100.0]).failure[0, 0] == Failure.MONEY_USED_UP
    jump = one_account(running=[-20.0, 5.0], equity=[30.0, 5.0], maintenance=[10.0, 10.0])
    assert run_plan(jump, [action()], [100.0]).failure[0, 0] == Failure.NO_ACTION_STARTED


def test_two_accounts_do_not_spend_the_same_dollar():
    both = AccountPaths(**{name: np.repeat(np.array(v)[:, None, None], 2, axis=1) for name, v in FALLING.items()})
    run = run_plan(both, [action(), action(account=1)], [10.0])
    assert run.brought_usd[:, 0].tolist() == [8.0, 2.0]
    assert run.liquidated_step[:, 0].tolist() == [-1, 3]


def test_what_leaves_a_source_in_an_hour_is_bounded_over_all_accounts():
    both = AccountPaths(**{name: np.repeat(np.array(v)[:, None, None], 2, axis=1) for name, v in FALLING.items()})
    run = run_plan(both, [action(), action(account=1)], [100.0], most_per_step_usd=[6.0])
    # The first takes all of the first hour (it misses 8); at 11 + 6 it is above its trigger of 15, the second is next.
    assert run.brought_usd[:, 0].tolist() == [6.0, 6.0]
    assert run.arrived_usd[2, :, 0].tolist() == [6.0, 0.0]


def test_an_order_waits_for_the_place_to_open():
    # Ordered at the end of step 1 it would count at the end of step 2; the place settles at the end of step 3 only.
    run = run_plan(one_account(**FALLING), [action(earliest_step=(3, 3, 3))], [100.0])
    assert run.failure[0, 0] == Failure.MONEY_ON_ITS_WAY


def test_an_action_on_an_account_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="rows that are there"):
        run_plan(one_account(**FALLING), [action(account=1)], [10.0])
