"""Dated parameters: the right edition is chosen, and a bad file is refused with its place."""

from datetime import UTC, datetime

import pytest

from margincover.errors import RulebookError
from margincover.venues.parameters import packaged, parameter_problems, parameter_venues, parameters, parse_parameters

GOOD = """
[[edition]]
id = "a"
mode = "option"
underlying = "BTC"
valid_from = 2024-01-01T00:00:00Z
observed = 2024-01-01T00:00:00Z
source = "made for this test"
retrieved = "2024-01-01"
confidence = "CONFIRMED"
[edition.parameters]
factor_fraction = 0.1

[[edition]]
id = "b"
mode = "option"
underlying = "BTC"
valid_from = 2025-01-01T00:00:00Z
observed = 2025-01-01T00:00:00Z
source = "made for this test"
retrieved = "2025-01-01"
confidence = "INFERRED"
[edition.parameters]
factor_fraction = 0.2
"""


def test_every_packaged_file_is_sound_and_has_editions():
    assert parameter_problems() == []
    for venue in parameter_venues():
        assert packaged(venue)
        assert all(edition.source and edition.retrieved for edition in packaged(venue))


def test_the_edition_that_began_last_is_in_force():
    at = datetime(2026, 9, 1, tzinfo=UTC)
    chosen = parameters("deribit", mode="matrix_coin", underlying="ETH", at=at)
    others = [
        e for e in packaged("deribit") if e.mode == "matrix_coin" and e.underlying == "ETH" and e.valid_from <= at
    ]
    assert chosen.valid_from == max(edition.valid_from for edition in others)


def test_editions_parse_in_order():
    assert [edition.id for edition in parse_parameters(GOOD, venue="x", source="x.toml")] == ["a", "b"]


def test_unknown_mode_names_what_is_there():
    with pytest.raises(RulebookError, match="matrix_coin"):
        parameters("deribit", mode="nothing", underlying="BTC", at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('confidence = "CONFIRMED"', 'confidence = "SURE"', "SURE"),
        ('mode = "option"\nunderlying = "BTC"\nvalid_from = 2024', 'moda = "option"\nvalid_from = 2024', "moda"),
        ('source = "made for this test"\nretrieved = "2024-01-01"\n', "", "source"),
        ("valid_from = 2025-01-01T00:00:00Z", "valid_from = 2024-01-01T00:00:00Z", "overlap"),
        ("valid_from = 2024-01-01T00:00:00Z", 'valid_from = "soon"', "soon"),
        ("[[edition]]", "[[edition", "TOML"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong(old, new, named):
    with pytest.raises(RulebookError, match=named) as refusal:
        parse_parameters(GOOD.replace(old, new, 1), venue="x", source="x.toml")
    assert "x.toml" in str(refusal.value)
