"""Tail quantile and Expected Shortfall: counted by hand, against the integral, and their error bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.numeric import quantile
from margincover.numeric.rng import stream

ONE_TO_TEN = np.arange(1.0, 11.0)


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(0.05, 10.0), (0.1, 9.0), (0.15, 9.0), (0.2, 8.0), (0.5, 5.0), (0.999, 1.0)],
)
def test_quantile_is_the_smallest_value_with_at_most_the_tail_above(tail, expected):
    assert quantile.tail_quantile(ONE_TO_TEN, tail) == expected


@pytest.mark.parametrize(
    ("tail", "expected"),
    # The worst 1.5 of ten values: (10 + 0.5 x 9) / 1.5.
    [(0.05, 10.0), (0.1, 10.0), (0.15, 14.5 / 1.5), (0.2, 9.5), (0.5, 8.0)],
)
def test_shortfall_is_the_mean_of_exactly_the_tail(tail, expected):
    assert quantile.expected_shortfall(ONE_TO_TEN, tail) == pytest.approx(expected)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    tail=st.floats(0.001, 0.999),
)
def test_shortfall_is_the_integral_of_the_quantile_and_the_least_of_its_lp_form(values, tail):
    sample = np.array(values)
    room = 1e-9 * (1.0 + np.abs(sample).max()) / tail
    found = quantile.expected_shortfall(sample, tail)
    # Rockafellar and Uryasev: min over c of c + E[(X - c)+] / a; the minimum stands at a sample value.
    objective = [c + np.maximum(sample - c, 0.0).mean() / tail for c in sample]
    assert found == pytest.approx(min(objective), abs=room)
    assert found >= quantile.tail_quantile(sample, tail) - room


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), tail=st.floats(0.001, 0.999))
def test_tail_weights_give_the_shortfall(values, tail):
    ordered = np.sort(values)[::-1]
    weights = quantile.tail_weights(len(values), tail)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= -1e-12).all()
    expected = quantile.expected_shortfall(np.array(values), tail)
    assert float(weights @ ordered[: weights.size]) == pytest.approx(expected, abs=1e-6, rel=1e-9)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60),
    shift=st.floats(-1e6, 1e6),
    scale=st.floats(0.01, 100.0),
)
def test_both_figures_move_with_cash_and_with_size(values, shift, scale):
    sample = np.array(values)
    room = 1e-8 * (1.0 + np.abs(sample).max() * scale + abs(shift))
    for figure in (quantile.tail_quantile, quantile.expected_shortfall):
        assert figure(scale * sample + shift, 0.1) == pytest.approx(scale * figure(sample, 0.1) + shift, abs=room)


def test_order_of_the_sample_does_not_matter_and_the_sample_is_left_alone():
    sample = stream(1, "test.quantile").standard_normal(999)
    before = sample.copy()
    assert quantile.tail_quantile(sample, 0.03) == quantile.tail_quantile(np.sort(sample), 0.03)
    assert quantile.expected_shortfall(sample, 0.03) == pytest.approx(
        quantile.expected_shortfall(np.sort(sample), 0.03), rel=1e-14
    )
    assert (sample == before).all()


@pytest.mark.parametrize("tail", [0.01, 0.05])
def test_intervals_hold_the_truth_of_a_normal_as_often_as_they_say(tail):
    from scipy.stats import norm

    truth = norm.isf(tail)
    shortfall = norm.pdf(truth) / tail
    runs, held, near = 400, 0, 0
    for run in range(runs):
        sample = stream(run, "test.intervals").standard_normal(4_000)
        _, low, high = quantile.quantile_interval(sample, tail)
        held += low <= truth <= high
        error = quantile.shortfall_error(sample, tail)
        near += abs(quantile.expected_shortfall(sample, tail) - shortfall) < 1.96 * error
    # 95 % of 400 is 380, three standard errors are 13; the order statistics are rounded outward and hold a bit more.
    assert held >= 367
    # 40 values in the tail: the asymptotic error is a bit small at 1 %.
    assert near >= 360


def test_error_of_the_shortfall_is_the_formula_on_a_uniform_tail():
    # 1..100 at 10 %: quantile 90, values >= 90: 90..100, variance 10; ES 95.5.
    expected = math.sqrt((10.0 + 0.9 * 5.5**2) / 10.0)
    assert quantile.shortfall_error(np.arange(1.0, 101.0), 0.1) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_empty_or_unknown_sample_is_refused(values):
    for figure in (quantile.tail_quantile, quantile.expected_shortfall, quantile.quantile_interval):
        with pytest.raises(InputError, match="values"):
            figure(np.array(values), 0.1)


@pytest.mark.parametrize("tail", [0.0, 1.0, -0.1, math.nan])
def test_tail_out_of_range_is_refused(tail):
    with pytest.raises(InputError, match="tail"):
        quantile.tail_quantile(ONE_TO_TEN, tail)
