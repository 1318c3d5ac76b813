"""The whole JSON output of one small book; it changes only with a line under "Numbers that moved" in the changelog.

Numbers are compared to 9 digits: the last bits of a sum may differ between processors and NumPy builds.
"""

import json
from pathlib import Path

import pytest

from margincover.report.json import coverage_to_dict, status_to_dict
from tests.builders import STANDARD_SPECS, coverage_result, status_result

HERE = Path(__file__).parent
SPECS = (STANDARD_SPECS[1], STANDARD_SPECS[2], STANDARD_SPECS[5])


def flat(value: object, place: str = "") -> dict[str, object]:
    """Return every leaf under its place, in order."""
    if isinstance(value, dict):
        pairs = [(f"{place}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{place}[{number}]", part) for number, part in enumerate(value)]
    else:
        return {place: value}
    return {key: leaf for name, part in pairs for key, leaf in flat(part, name).items()} or {place: value}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("report_coverage.json", coverage_to_dict(coverage_result(SPECS, n_paths=400))),
        ("report_status.json", status_to_dict(status_result(SPECS))),
    ],
)
def test_json_output_is_the_golden_file(name, data):
    expected, actual = flat(json.loads((HERE / name).read_text(encoding="utf-8"))), flat(data)
    assert list(expected) == list(actual)
    for place, value in expected.items():
        if isinstance(value, float):
            # 1e-6 absolute: the remainder of a sum of 1e5 holds rounding of that size at most.
            assert actual[place] == pytest.approx(value, rel=1e-9, abs=1e-6), place
        else:
            assert actual[place] == value, place
