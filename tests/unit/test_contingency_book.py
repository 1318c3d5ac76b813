"""The contingency plan of a book file: read with its defaults, refused where it names nothing or states no level."""

import pytest

from margincover.errors import InputError
from margincover.io.book_file import parse_book
from tests.books import demo_data

ACCOUNT = "hyperliquid:fast"


def book_with(*rows, buffers=None):
    data = demo_data()
    data["contingency"] = list(rows)
    if buffers is not None:
        data["buffers"] = buffers
    return parse_book(data, source="book.json")


def row(**changes):
    base = {"id": "first", "account": ACCOUNT, "source": "custody", "trigger": 1.5, "target": 2.0,
            "capacity_usd": 50_000.0, "lead_time": "2h", "approver": "treasurer"}  # fmt: skip
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def test_an_action_is_read_with_its_levels_lead_time_and_test_date():
    (action,) = book_with(row(tested="2025-11-01T00:00:00Z", cost_fraction=0.001)).contingency
    assert (action.trigger_coverage_ratio, action.target_coverage_ratio, action.lead_time_s) == (1.5, 2.0, 7_200)
    assert action.tested_at is not None
    assert action.approver == "treasurer"


def test_levels_left_out_are_those_of_the_buffer():
    buffers = {ACCOUNT: {"search": 1.4, "initial": 2.2, "release": 4.0}}
    (action,) = book_with(row(trigger=None, target=None), buffers=buffers).contingency
    assert (action.trigger_coverage_ratio, action.target_coverage_ratio) == (1.4, 2.2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"account": "nowhere:x"}, "contingency\\[0\\].account"),
        ({"source": "mattress"}, "contingency\\[0\\].source"),
        ({"trigger": None}, "contingency\\[0\\].trigger"),
        ({"trigger": 2.5}, "trigger < target"),
        ({"capacity_usd": -1.0}, "capacity_usd"),
        ({"capacity_usd": None}, "capacity_usd"),
        ({"lead_time": None}, "lead_time"),
        ({"approver": None}, "approver"),
        ({"tested": "2027-01-01T00:00:00Z"}, "after as_of"),
        ({"reduce": "BTC"}, "reduce"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changes, words):
    with pytest.raises(InputError, match=words):
        book_with(row(**changes), buffers={})


def test_an_id_that_stands_twice_is_refused():
    with pytest.raises(InputError, match="'first' stood twice"):
        book_with(row(), row())
