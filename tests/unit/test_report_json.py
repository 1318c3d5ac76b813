"""Results as data: no NaN, unit in every name, the sums still hold."""

import json
import math
from dataclasses import replace

import pytest

from margincover.errors import InputError
from margincover.report.json import coverage_to_dict, rows, status_to_dict
from tests.builders import STANDARD_SPECS, coverage_result, status_result


@pytest.fixture(scope="module")
def six_pools():
    return coverage_result(n_paths=500)


def test_coverage_is_strict_json_with_schema_first(six_pools):
    data = coverage_to_dict(six_pools)
    assert next(iter(data)) == "schema"
    assert data["schema"] == "margincover/coverage/1"
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_status_is_strict_json_with_schema_first():
    data = status_to_dict(status_result())
    assert next(iter(data)) == "schema"
    assert data["schema"] == "margincover/status/1"
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_figures_are_not_rounded_and_contributions_sum_to_rces(six_pools):
    for pool, data in zip(six_pools.pools, coverage_to_dict(six_pools)["pools"], strict=True):
        assert data["gap_native"] == pool.gap_native
        assert data["rces_native"]["standard_error"] == pool.rces.standard_error
        assert math.fsum(data["contributions_native"].values()) == pytest.approx(data["rces_native"]["value"], abs=1e-9)


def test_every_probability_has_an_interval_around_it(six_pools):
    for pool in coverage_to_dict(six_pools)["pools"]:
        for entry in pool["probabilities"]:
            for level in ("liquidation_probability", "margin_call_probability"):
                assert 0 <= entry[level]["low"] <= entry[level]["value"] <= entry[level]["high"] <= 1


def test_absent_figures_are_none():
    flat = next(pool for pool in coverage_to_dict(coverage_result())["pools"] if pool["status"]["state"] == "flat")
    assert flat["status"]["coverage_ratio"] is None
    assert flat["time_to_liquidation_p50_s"] is None


@pytest.mark.parametrize("write", [coverage_to_dict, rows])
@pytest.mark.parametrize("field", ["gap_native", "required_usd", "required_coverage_ratio"])
def test_nan_names_the_pool_and_the_field(six_pools, write, field):
    pool = replace(six_pools.pools[0], **{field: math.nan})
    with pytest.raises(InputError, match=rf"{pool.status.pool_id}: {field}: was nan"):
        write(replace(six_pools, pools=(pool,)))


def test_rows_have_one_set_of_columns_and_horizons_in_their_names(six_pools):
    table = rows(six_pools)
    assert [row["pool_id"] for row in table] == [pool.status.pool_id for pool in six_pools.pools]
    assert len({tuple(row) for row in table}) == 1
    first = six_pools.pools[0].probabilities[2]
    assert first.horizon_s == 86_400
    assert table[0]["liquidation_probability_24h_high"] == first.liquidation.high
    assert all(not isinstance(value, (list, dict)) for row in table for value in row.values())


def test_a_horizon_that_a_pool_lacks_is_none_in_its_row(six_pools):
    shorter = replace(six_pools.pools[1], probabilities=six_pools.pools[1].probabilities[:1])
    table = rows(replace(six_pools, pools=(six_pools.pools[0], shorter)))
    assert table[1]["liquidation_probability_30d"] is None
    assert table[0]["liquidation_probability_30d"] is not None


def test_rows_of_status_and_of_nothing():
    assert len(rows(status_result())) == len(STANDARD_SPECS)
    assert rows(coverage_result((), n_paths=10)) == []


def test_same_result_gives_the_same_text(six_pools):
    again = coverage_result(n_paths=500)
    assert json.dumps(coverage_to_dict(six_pools)) == json.dumps(coverage_to_dict(again))
