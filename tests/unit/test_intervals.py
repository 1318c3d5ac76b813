"""Wilson's interval on known numbers and by its definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.numeric.intervals import wilson

Z2 = 1.959963984540054**2


@given(count=st.integers(1, 10**6), share=st.floats(0.0, 1.0))
def test_ends_solve_the_score_equation(count, share):
    # Wilson (1927): the ends are the p with |p_hat - p| = z sqrt(p (1 - p) / n).
    hits = round(share * count)
    estimate, error, low, high = wilson(hits, count)
    assert estimate == hits / count
    assert error == pytest.approx(math.sqrt(estimate * (1.0 - estimate) / count))
    assert 0.0 <= low <= estimate <= high <= 1.0
    for end in (low, high):
        if 0.0 < end < 1.0:
            assert (estimate - end) ** 2 == pytest.approx(Z2 * end * (1.0 - end) / count, rel=1e-6, abs=1e-15)


def test_event_that_was_not_seen_is_not_impossible():
    # z^2 / (n + z^2)
    assert wilson(0, 1000)[2:] == (0.0, pytest.approx(Z2 / (1000 + Z2)))
    assert wilson(1000, 1000)[2:] == (pytest.approx(1000 / (1000 + Z2)), 1.0)


def test_both_sides_mirror_each_other():
    _, _, low, high = wilson(30, 200)
    _, _, other_low, other_high = wilson(170, 200)
    assert (1.0 - other_high, 1.0 - other_low) == pytest.approx((low, high))


@pytest.mark.parametrize("share", [0.01, 0.2])
def test_interval_holds_the_truth_as_often_as_it_says(share):
    from scipy.stats import binom

    n = 500
    held = sum(binom.pmf(hits, n, share) for hits in range(n + 1) if wilson(hits, n)[2] <= share <= wilson(hits, n)[3])
    # Exact coverage of a discrete variable swings around 95 %.
    assert 0.93 < held < 0.99


@pytest.mark.parametrize(("hits", "count"), [(0, 0), (-1, 10), (11, 10)])
def test_impossible_counts_are_refused(hits, count):
    with pytest.raises(InputError, match="0 <= hits <= count"):
        wilson(hits, count)
