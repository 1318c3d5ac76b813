"""Money that arrives on the way: running maxima step by step equal those of shorter runs, and twins agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import margincover as mc
from margincover.app.generators import build_generator
from margincover.paths.arrivals import cash_needed, first_liquidation, node_states, step_paths
from margincover.paths.engine import PathSettings, simulate
from margincover.paths.follow_cash import liquidated_step_by_step
from margincover.scenarios.calibration import load_packaged
from margincover.venues.pools import build_pools

HOUR = 3_600


@pytest.fixture(scope="module")
def demo():
    book = mc.demo_book()
    pools = build_pools(book, funding_fallback=load_packaged().pessimistic_funding_per_hour)
    factors = sorted({factor for pool in pools for factor in pool.factors})
    generator = build_generator(book, factors, method=None, history=None, calibration=load_packaged())
    return pools, generator


def test_the_running_maximum_after_each_step_is_that_of_a_run_that_ends_there(demo):
    pools, generator = demo
    found = step_paths(pools, generator, horizon_s=6 * HOUR, n_paths=512, seed=3)
    for steps in (1, 2, 6):
        until = steps * HOUR
        run = PathSettings(n_paths=512, horizon_s=until, follow_s=until, seed=3, tolerance=0.01, threads=1)
        expected = simulate(pools, generator, run).maximum
        # The same sums in another order: the last bits of a pool's sums may differ.
        np.testing.assert_allclose(found.running[steps], expected, rtol=1e-9, atol=1e-6)


def test_the_states_at_the_ends_of_steps_never_exceed_the_running_maximum(demo):
    pools, generator = demo
    found = step_paths(pools, generator, horizon_s=4 * HOUR, n_paths=256, seed=3)
    states = node_states(pools, generator, horizon_s=4 * HOUR, n_paths=256, seed=3)
    assert ((states.maintenance - states.equity) <= found.running + 1e-6).all()
    np.testing.assert_allclose((states.maintenance - states.equity)[0], found.running[0], rtol=1e-9, atol=1e-6)


@settings(max_examples=80)
@given(
    inside=st.lists(st.lists(st.floats(-100.0, 100.0), min_size=3, max_size=3), min_size=1, max_size=6),
    arrivals=st.lists(st.floats(0.0, 60.0), min_size=7, max_size=7),
    start=st.floats(-50.0, -1.0),
)
def test_cash_that_arrives_is_counted_as_a_loop_over_every_state_counts_it(inside, arrivals, start):
    # Three states inside each step; the loop subtracts the cash of the moment from each of them.
    states = np.array(inside)
    running = np.maximum.accumulate(np.concatenate([[start], states.max(axis=1)]))[:, None]
    arrived = np.cumsum(arrivals[: len(inside) + 1]) - arrivals[0]
    expected = liquidated_step_by_step(start, inside, arrived.tolist())
    assert int(first_liquidation(running, arrived)[0]) == expected
    assert bool(cash_needed(running, arrived)[0] >= 0.0) == (expected >= 0)


def test_money_that_arrives_after_the_path_is_lost_changes_nothing():
    running = np.array([[-10.0], [1.0], [1.0]])
    assert cash_needed(running, np.array([0.0, 1_000.0, 1_000.0]))[0] == 1.0
    assert first_liquidation(running, np.array([0.0, 1_000.0, 1_000.0]))[0] == 1
    # In time it saves the path.
    assert first_liquidation(running, np.array([2.0, 2.0, 2.0]))[0] == -1
