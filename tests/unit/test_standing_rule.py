"""Standing rules along paths: what must stand there, what is ordered, who is liquidated."""

from __future__ import annotations

import numpy as np
import pytest

from margincover.allocation.standing_rule import RuleSetting, arrived_rows, early_needs, run_rules
from margincover.errors import InputError
from margincover.numeric.rng import stream

HOUR = 3_600.0
TIMES = tuple(int(HOUR * k) for k in range(9))


def needs(n_paths=300, n_venues=3, seed=5):
    steps = stream(seed, "test.standing_rule").standard_t(3, (len(TIMES) - 1, n_venues, n_paths))
    start = np.full((1, n_venues, n_paths), 2.0)
    return np.maximum.accumulate(np.concatenate([start, start + np.cumsum(steps, axis=0)]), axis=0)


def setting(amount, trigger, reserve, *, delays, n_paths, limit=np.inf):
    return RuleSetting(
        amount_usd=np.asarray(amount, dtype=float),
        trigger_usd=np.asarray(trigger, dtype=float),
        reserve_usd=reserve,
        receivable_usd=np.full((len(amount), n_paths), limit),
        arrived=arrived_rows(TIMES, delays),
    )


def by_hand(need, chosen):
    """The same rules with plain loops, one path at a time."""
    n_times, n_venues, n_paths = need.shape
    lost = np.zeros((n_venues, n_paths), dtype=bool)
    for path in range(n_paths):
        left, ordered = chosen.reserve_usd, [[0.0] * n_venues]
        for time in range(n_times):
            before = ordered[-1] if time else [0.0] * n_venues
            more = []
            for venue in range(n_venues):
                wanted = need[time, venue, path] - chosen.amount_usd[venue] + chosen.trigger_usd[venue]
                wanted = min(max(wanted, 0.0), chosen.receivable_usd[venue, path])
                more.append(max(wanted - before[venue], 0.0))
            share = 1.0 if sum(more) <= left else left / sum(more)
            left -= share * sum(more)
            now = [old + share * new for old, new in zip(before, more, strict=True)]
            ordered = [now] if time == 0 else [*ordered, now]
        for venue in range(n_venues):
            for time in range(n_times):
                look = chosen.arrived[time, venue] if time else -1
                there = chosen.amount_usd[venue] + (ordered[look][venue] if look >= 0 else 0.0)
                grew = time == 0 or need[time, venue, path] > need[time - 1, venue, path]
                if grew and need[time, venue, path] > there + 1e-3:
                    lost[venue, path] = True
    return lost


def test_an_order_counts_in_the_interval_that_starts_after_its_arrival():
    # Looks at 0, 1, 2, ... h. With a delay of 90 min what was ordered at 0 is there at 1.5 h, so from 2 h on.
    assert arrived_rows(TIMES, [1.5 * HOUR])[:, 0].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 5]
    assert arrived_rows(TIMES, [0.0])[:, 0].tolist() == [-1, 0, 1, 2, 3, 4, 5, 6, 7]
    assert set(arrived_rows(TIMES, [np.inf])[:, 0].tolist()) == {-1}


@pytest.mark.parametrize("reserve", [0.0, 2.0, 50.0])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_fast_rules_agree_with_plain_loops(reserve, share):
    need = needs(n_paths=60)
    amount = np.array([4.0, 5.0, 6.0])
    chosen = setting(amount, share * (amount - 2.0), reserve, delays=[0.0, 2 * HOUR, np.inf], n_paths=60, limit=6.0)
    assert np.array_equal(run_rules(need, chosen).is_liquidated, by_hand(need, chosen))


def test_early_need_is_just_enough_for_a_rule_that_orders_every_rise_at_once():
    need = needs()
    delays = [HOUR, 2 * HOUR, 4 * HOUR]
    early = early_needs(need, arrived_rows(TIMES, delays))
    for path in range(0, 300, 37):
        one, amount = need[:, :, path : path + 1], early[:, path]
        trigger = amount - one[0, :, 0]
        enough = setting(amount, trigger, 1e9, delays=delays, n_paths=1)
        assert not run_rules(one, enough).is_liquidated.any()
        # A dollar less at a venue that needs it, with the same rule, is too little there.
        for venue in range(3):
            if early[venue, path] > one[0, venue, 0] + 1.1:
                less = amount - np.eye(3)[venue]
                short = setting(less, less - one[0, :, 0], 1e9, delays=delays, n_paths=1)
                assert run_rules(one, short).is_liquidated[venue, 0]


def test_without_a_way_all_of_the_need_must_stand_there():
    need = needs()
    early = early_needs(need, arrived_rows(TIMES, [np.inf] * 3))
    np.testing.assert_allclose(early, need[-1], rtol=1e-12)


def test_never_more_is_sent_than_the_reserve_and_the_ways_hold():
    need = needs()
    chosen = setting([3.0] * 3, [1.0] * 3, 5.0, delays=[HOUR] * 3, n_paths=300, limit=4.0)
    sent = run_rules(need, chosen).sent_usd
    assert sent.sum(axis=0).max() <= 5.0 + 1e-9
    assert sent.max() <= 4.0
    assert sent.sum(axis=0).max() > 4.9


def test_times_must_rise_from_zero():
    with pytest.raises(InputError, match="rising"):
        arrived_rows([3_600, 7_200], [0.0])
