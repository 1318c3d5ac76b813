"""The rule that moves money between venues: loop and twin agree, money is conserved, late money saves nobody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.allocation.rebalance import RebalanceRule, VenuePaths, critical_capital, follow, least_capital
from margincover.allocation.rebalance_reference import follow_path
from margincover.errors import InputError

CENT = 0.01


def random_needs(seed: int, *, n_steps: int = 12, n_venues: int = 4, n_paths: int = 60) -> VenuePaths:
    """Random walks of the shortfall, with worse prices inside each step and needs that move."""
    rng = np.random.default_rng(seed)
    shape = (n_steps, n_venues, n_paths)
    close = np.cumsum(rng.normal(0.0, 30.0, shape), axis=0)
    return VenuePaths(
        worst_usd=close + rng.exponential(20.0, shape),
        close_usd=close,
        need_usd=rng.uniform(0.5, 2.0, shape) * np.arange(1.0, n_venues + 1.0)[:, None],
    )


def even_rule(n_venues: int, **settings_of_rule: float) -> RebalanceRule:
    return RebalanceRule(share=np.full(n_venues, 1.0 / n_venues), **settings_of_rule)


def two_venues(worst_of_first: list[float]) -> VenuePaths:
    """The first venue's shortfall closes each step at 60 of its worst; the second needs nothing but counts the same."""
    n = len(worst_of_first)
    worst = np.stack([np.array(worst_of_first), np.full(n, 1.0)], axis=1)[:, :, None]
    close = np.stack([np.minimum(np.array(worst_of_first), 60.0), np.full(n, 0.0)], axis=1)[:, :, None]
    return VenuePaths(worst_usd=worst, close_usd=close, need_usd=np.ones((n, 2, 1)))


@pytest.mark.parametrize("takes_back", [True, False])
@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("reserve", [0.0, 0.3])
def test_compiled_loop_equals_plain_twin(takes_back: bool, delay: int, reserve: float) -> None:
    needs = random_needs(3)
    rule = even_rule(4, reserve_share=reserve, band_fraction=0.1, takes_back=takes_back, delay_steps=delay)
    capital = np.linspace(150.0, 900.0, needs.n_paths)
    found = follow(needs, rule, capital, frozen_venues=(2,))
    assert 0 < found.is_liquidated.sum() < needs.n_paths
    for path in range(needs.n_paths):
        step, venue, ledger = follow_path(
            needs.worst_usd,
            needs.close_usd,
            needs.need_usd,
            path,
            share=rule.share,
            capital=float(capital[path]),
            reserve_share=reserve,
            band=0.1,
            takes_back=takes_back,
            delay=delay,
            useable=[True, True, False, True],
        )
        assert (step, venue) == (found.step[path], found.venue[path])
        twin = [*ledger.cash, ledger.reserve, sum(amount for _, _, amount in ledger.under_way)]
        np.testing.assert_allclose(found.money_usd[:, path], twin, rtol=0.0, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    last=st.integers(1, 12),
    capital=st.floats(1.0, 5_000_000.0),
    reserve=st.floats(0.0, 0.9),
    band=st.floats(0.0, 1.0),
    takes_back=st.booleans(),
    delay=st.integers(0, 4),
)
def test_money_is_conserved_to_a_cent_at_every_step_of_every_path(
    seed: int, last: int, capital: float, reserve: float, band: float, takes_back: bool, delay: int
) -> None:
    whole = random_needs(seed)
    scale = capital / 500.0
    # cut at `last`: what is where after that many steps
    needs = VenuePaths(
        worst_usd=whole.worst_usd[:last] * scale,
        close_usd=whole.close_usd[:last] * scale,
        need_usd=whole.need_usd[:last],
    )
    rule = even_rule(4, reserve_share=reserve, band_fraction=band, takes_back=takes_back, delay_steps=delay)
    found = follow(needs, rule, np.full(needs.n_paths, capital))
    assert np.abs(found.money_usd.sum(axis=0) - capital).max() < CENT
    assert found.money_usd.min() > -CENT


def test_money_sent_at_a_close_does_not_help_in_the_next_step() -> None:
    # 200 of capital, 100 at each; after the first close the first venue has 40 of headroom and is sent 30 at most
    rule = even_rule(2, band_fraction=0.0)
    assert follow(two_venues([60.0, 99.0, 99.0, 99.0]), rule, np.array([200.0])).step[0] == -1
    late = follow(two_venues([60.0, 101.0, 99.0, 99.0]), rule, np.array([200.0]))
    assert (late.step[0], late.venue[0]) == (1, 0)
    in_time = follow(two_venues([60.0, 99.0, 101.0, 99.0]), rule, np.array([200.0]))
    assert in_time.step[0] == -1
    at_once = even_rule(2, band_fraction=0.0, delay_steps=0)
    assert follow(two_venues([60.0, 101.0, 99.0, 99.0]), at_once, np.array([200.0])).step[0] == -1


def test_a_reserve_that_comes_after_the_death_is_not_spent_on_it() -> None:
    rule = even_rule(2, reserve_share=0.5, takes_back=False, delay_steps=3)
    found = follow(two_venues([60.0, 60.0, 60.0, 60.0, 130.0, 60.0]), rule, np.array([400.0]))
    assert found.step[0] == 4 or found.money_usd[0, 0] > 130.0
    slow = even_rule(2, reserve_share=0.5, takes_back=False, delay_steps=4)
    dead = follow(two_venues([60.0, 60.0, 60.0, 60.0, 130.0, 60.0]), slow, np.array([400.0]))
    assert (dead.step[0], dead.venue[0]) == (4, 0)


def test_a_frozen_venue_neither_sends_nor_receives() -> None:
    needs = random_needs(8)
    found = follow(needs, even_rule(4, band_fraction=0.0), np.full(needs.n_paths, 2_000.0), frozen_venues=(1,))
    assert (found.money_usd[1] == 500.0).all()
    assert (np.abs(found.money_usd[0] - 500.0) > 1.0).any()


def test_no_more_is_taken_from_a_venue_than_was_placed_there() -> None:
    # the second venue gains 1,000 that are not realised: it can give its 100, never the gain
    close = np.zeros((4, 2, 1))
    close[:, 1] = -1_000.0
    close[:, 0] = 80.0
    need = np.ones((4, 2, 1))
    need[1:] = 10.0
    needs = VenuePaths(worst_usd=close + 1.0, close_usd=close, need_usd=need)
    found = follow(needs, even_rule(2, band_fraction=0.0), np.array([200.0]))
    assert found.step[0] == -1
    assert found.money_usd[:, 0].tolist() == pytest.approx([200.0, 0.0, 0.0, 0.0])


def test_least_capital_holds_the_tolerance_and_little_less_does_not() -> None:
    needs = random_needs(5, n_paths=1_000)
    rule = even_rule(4)
    capital = least_capital(needs, rule, tolerance=0.02, guess_usd=50.0)
    assert follow(needs, rule, np.full(1_000, capital)).is_liquidated.mean() <= 0.02
    assert follow(needs, rule, np.full(1_000, 0.99 * capital)).is_liquidated.mean() > 0.02


def test_critical_capital_is_the_edge_of_one_path() -> None:
    needs, rule = random_needs(6), even_rule(4)
    critical = critical_capital(needs, rule, path=7, low_usd=1.0, high_usd=1e5)
    at = [follow(needs, rule, np.array([critical * f]), paths=np.array([7])).is_liquidated[0] for f in (0.998, 1.001)]
    assert at == [True, False]
    assert critical_capital(needs, rule, path=7, low_usd=1.0, high_usd=2.0) == float("inf")


def test_bad_input_is_named() -> None:
    needs = random_needs(1)
    with pytest.raises(InputError, match="share"):
        RebalanceRule(share=np.array([0.5, 0.6]))
    with pytest.raises(InputError, match="reserve_share"):
        even_rule(4, reserve_share=1.0)
    with pytest.raises(InputError, match="frozen_venues"):
        follow(needs, even_rule(4), np.ones(needs.n_paths), frozen_venues=(4,))
    with pytest.raises(InputError, match="capital_usd"):
        follow(needs, even_rule(4), np.full(needs.n_paths, -1.0))
    with pytest.raises(InputError, match="paths"):
        follow(needs, even_rule(4), np.ones(1), paths=np.array([needs.n_paths]))
    with pytest.raises(InputError, match="need_usd"):
        VenuePaths(worst_usd=needs.worst_usd, close_usd=needs.close_usd, need_usd=-needs.need_usd)
    without = RebalanceRule(share=np.array([0.0, 0.5, 0.5, 0.0]), band_fraction=1e9)
    with pytest.raises(InputError, match="no capital kept the tolerance"):
        least_capital(needs, without, tolerance=0.01, guess_usd=100.0)
