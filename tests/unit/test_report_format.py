"""Numbers as text: rounding never makes a figure look safer, and nothing that is unknown is printed."""

import math

import pytest

from margincover.errors import InputError
from margincover.model.results import Estimate, Reconciliation
from margincover.report import format as fmt
from margincover.report.format import Rounding


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value=value, standard_error=0.0, low=low, high=high)


@pytest.mark.parametrize(
    ("value", "rounding", "expected"),
    [
        (41_234.01, Rounding.UP, "41,235"),
        (41_234.99, Rounding.DOWN, "41,234"),
        (0.351231, Rounding.UP, "0.35124"),
        (0.351239, Rounding.DOWN, "0.35123"),
        (-41_234.01, Rounding.UP, "-41,234"),  # what could leave shrinks
        (-41_234.01, Rounding.DOWN, "-41,235"),  # a negative headroom grows
        (5.0, Rounding.UP, "5"),
        (0.1 + 0.2, Rounding.UP, "0.3"),
        (0.0, Rounding.UP, "0"),
        (-0.0, Rounding.DOWN, "0"),
        (1e-12, Rounding.UP, "0.00000001"),
        (1e-12, Rounding.DOWN, "< 0.00000001"),
        (-1e-12, Rounding.UP, "> -0.00000001"),
        (1.23456789e13, Rounding.UP, "12,346 bn"),
        (1e30, Rounding.UP, "1.0000e+30"),
    ],
)
def test_number_keeps_five_digits_and_rounds_in_the_stated_direction(value, rounding, expected):
    assert expected == fmt.number(value, rounding=rounding)


@pytest.mark.parametrize(
    ("value", "rounding", "expected"),
    [
        (1234.01, Rounding.UP, "1,235 USD"),
        (1234.99, Rounding.DOWN, "1,234 USD"),
        (12.341, Rounding.UP, "12.35 USD"),
        (0.0, Rounding.UP, "0 USD"),
        (0.001, Rounding.DOWN, "< 0.01 USD"),
        (-0.001, Rounding.UP, "> -0.01 USD"),
        (2.5e12, Rounding.UP, "2,500 bn USD"),
    ],
)
def test_dollars_are_whole_from_a_thousand_on(value, rounding, expected):
    assert expected == fmt.usd(value, rounding=rounding)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [fmt.number, fmt.usd, fmt.ratio, fmt.percent, fmt.duration, fmt.price])
def test_a_figure_that_is_not_finite_is_an_error_and_never_text(write, value):
    with pytest.raises(InputError, match="finite number"):
        write(value)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((0.0118, 0.0132, 0.0147), "1.32 % (1.18-1.47)"),
        ((0.0, 0.0, 0.00003), "< 0.003 %"),
        ((0.0, 0.0, 0.0000301), "< 0.0031 %"),  # the bound is rounded up
        ((0.9981, 1.0, 1.0), "> 99.81 %"),
        ((0.998129, 1.0, 1.0), "> 99.81 %"),  # and down at the other end
        ((0.0, 0.0, 0.0), "none"),
        ((1.0, 1.0, 1.0), "certain"),
        ((0.2, 0.5, 0.8), "50 % (20-80)"),
        ((0.0, 0.00001, 0.05), "0.001 % (0.000-5.000)"),  # a hit never reads as zero
        ((0.95, 0.99999, 1.0), "99.999 % (95.000-100.000)"),  # nor a miss as certainty
    ],
)
def test_a_probability_carries_its_interval_and_never_reads_as_zero(parts, expected):
    low, value, high = parts
    assert expected == fmt.probability(estimate(low, value, high))


@pytest.mark.parametrize("parts", [(0.2, 0.1, 0.3), (0.0, 0.1, 1.2), (-0.1, 0.1, 0.2), (0.0, math.nan, 1.0)])
def test_a_probability_out_of_order_is_an_error(parts):
    with pytest.raises(InputError, match=r"pool x: was .* allowed: 0 <= low"):
        fmt.probability(estimate(*parts), field="pool x")


@pytest.mark.parametrize(
    ("value", "expected"), [(0.9999, "0.99"), (1.0, "1.00"), (-0.001, "-0.01"), (None, "-"), (5000.0, "> 1,000")]
)
def test_a_coverage_ratio_is_rounded_down(value, expected):
    assert expected == fmt.ratio(value)


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (0, "now", None),
        (45, "45 s", "45 seconds"),
        (5_700, "95 min", "95 minutes"),
        (122_400, "34 h", "34 hours"),
        (449_280, "5.2 d", "7,488 minutes"),
        (432_000, "5 d", "5 days"),
        (864_000, "10 d", "10 days"),
        (72_000, "20 h", "20 hours"),
    ],
)
def test_durations_use_the_unit_a_reader_would(seconds, short, words):
    assert short == fmt.duration(seconds)
    if words is not None:
        assert words == fmt.duration_words(seconds)


def test_an_absent_duration_or_price_is_a_dash():
    assert (fmt.duration(None), fmt.price(None), fmt.percent(None)) == ("-", "-", "-")


def line(ours: float, venue: float, difference: float) -> Reconciliation:
    return Reconciliation(pool_id="x:y", figure="equity", unit="USD", ours=ours, venue=venue, difference_bps=difference)


def test_a_difference_to_a_venue_figure_of_zero_has_no_ratio():
    assert fmt.difference_bps(line(1.0, 0.0, math.inf)) is None
    assert fmt.difference_bps(line(0.0, 0.0, math.nan)) == 0.0


def test_a_difference_that_is_not_finite_for_no_reason_is_an_error():
    with pytest.raises(InputError, match=r"x:y: reconciliation\.equity"):
        fmt.difference_bps(line(1.0, 2.0, math.nan))


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "-"), (0.0, "0 bps"), (-2.04, "-2 bps"), (153.2, "+153 bps"), (1e-13, "< 0.01 bps")]
)
def test_basis_points_carry_a_sign(value, expected):
    assert expected == fmt.bps(value)
