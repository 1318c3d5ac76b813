"""The exception tree and its messages: found, where, allowed."""

from __future__ import annotations

import pytest

from margincover import errors
from margincover.errors import InputError, MargincoverError, StaleDataError

ABOUT_INPUT = ("UsageError", "StaleDataError", "RulebookError", "NotSupportedError")


@pytest.mark.parametrize("name", [*ABOUT_INPUT, "InputError", "ReconciliationError", "SolverError"])
def test_every_error_is_a_margincover_error(name):
    kind = getattr(errors, name)
    assert issubclass(kind, MargincoverError)
    assert issubclass(kind, InputError) == (name in ABOUT_INPUT or name == "InputError")
    assert not issubclass(kind, ValueError)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({}, "was 3"),
        ({"allowed": "1 or 2"}, "was 3; allowed: 1 or 2"),
        ({"source": "book.json"}, "book.json: was 3"),
        (
            {"source": "book.json", "account": "okx:a", "field": "mode", "allowed": "x"},
            "book.json: okx:a: mode: was 3; allowed: x",
        ),
    ],
)
def test_message_says_where_what_and_what_is_allowed(places, message):
    assert str(InputError("was 3", **places)) == message


def test_outer_layers_fill_in_what_inner_ones_did_not_know():
    inner = StaleDataError("was old", field="observed_at", allowed="at most 1h")
    outer = inner.located(source="book.json", account="okx:a", field="market")
    assert type(outer) is StaleDataError
    assert str(outer) == "book.json: okx:a: observed_at: was old; allowed: at most 1h"
    assert str(inner) == "observed_at: was old; allowed: at most 1h"


def test_what_is_known_is_never_replaced():
    inner = InputError("x", source="a.csv", account="okx:a", field="row 3")
    assert str(inner.located(source="book.json", account="okx:b", field="csv")) == str(inner)


def test_warnings_have_one_base():
    assert issubclass(errors.StaleRulesWarning, errors.MargincoverWarning)
    assert issubclass(errors.MargincoverWarning, UserWarning)
