"""Durations and UTC instants: what is read, what is refused, and there and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from margincover import units
from margincover.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30min", 1_800), ("24h", 86_400), ("5d", 432_000), ("2w", 1_209_600), (" 1.5 h ", 5_400)],
)
def test_duration_is_read(text, seconds):
    assert units.parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-5d", "0h", "5m", "5 days", "1e3s", "0.3s", "24H", "nan h", "inf h"])
def test_text_that_is_no_duration_is_refused_with_field_and_example(text):
    with pytest.raises(InputError, match="for example 24h") as caught:
        units.parse_duration_s(text, field="horizon")
    assert caught.value.field == "horizon"


@example(seconds=1_234_567)
@given(seconds=st.integers(1, 10**7))
def test_duration_goes_there_and_back(seconds):
    assert units.parse_duration_s(units.format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "1min"), (3_600, "1h"), (86_400, "24h"), (172_800, "2d"), (2_592_000, "30d"), (90, "90s")],
)
def test_duration_is_written_short(seconds, text):
    assert units.format_duration(seconds) == text


def test_instant_is_read_in_any_zone_and_written_with_z():
    instant = units.parse_utc("2026-01-01T02:00:00+02:00")
    assert instant == datetime(2026, 1, 1, tzinfo=UTC)
    assert units.format_utc(instant) == "2026-01-01T00:00:00Z"
    assert units.parse_utc(units.format_utc(instant)) == instant


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "2026-01-01", "yesterday", "", "2026-13-01T00:00:00Z"])
def test_instant_without_a_zone_or_sense_is_refused(text):
    with pytest.raises(InputError, match="with a zone"):
        units.parse_utc(text, field="as_of")


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(-14, 14),
)
def test_nanoseconds_are_exact_in_every_zone(naive, hours):
    instant = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    assert units.utc_ns(instant) == (since // timedelta(microseconds=1)) * 1_000


def test_year_has_365_days():
    assert units.years(365 * 86_400) == 1.0
