"""The public names, what importing them loads, and the forms of a report."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import margincover as mc

HEAVY = ("numpy", "numba", "scipy", "arch", "polars", "plotly", "pydantic", "typer", "rich", "jinja2")


def test_public_names_are_few_sorted_and_all_there():
    assert mc.__all__ == sorted(mc.__all__)
    assert len(mc.__all__) <= 25
    assert dir(mc) == mc.__all__
    for name in mc.__all__:
        assert getattr(mc, name) is not None
    # A new public name is a decision: it changes this list.
    assert mc.__all__ == [
        "Book",
        "CoverSettings",
        "CoverageReport",
        "InputError",
        "MargincoverError",
        "NotSupportedError",
        "ReconciliationError",
        "RulebookError",
        "SolverError",
        "StaleDataError",
        "StatusReport",
        "__version__",
        "book_json_schema",
        "cover",
        "demo_book",
        "load",
        "load_history",
        "status",
    ]


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'covr'"):
        _ = mc.covr


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_plain_import_loads_no_heavy_library():
    modules = loaded_after("import margincover; margincover.__all__; margincover.__version__")
    assert "margincover" in modules
    assert modules.isdisjoint(HEAVY)


def test_reading_a_book_loads_neither_the_compiler_nor_the_charts():
    modules = loaded_after("import margincover as mc; mc.status(mc.demo_book())")
    assert modules.isdisjoint({"numba", "scipy", "arch", "polars", "plotly", "typer", "rich"})


@pytest.fixture(scope="module")
def coverage() -> mc.CoverageReport:
    return mc.cover(mc.demo_book(), paths=512, follow_s=86_400)


def test_coverage_has_a_frame_with_one_row_per_pool_worst_first(coverage):
    frame = coverage.to_frame()
    assert frame.height == len(coverage.result.pools) == 6
    assert frame["pool_id"].to_list() == [pool.status.pool_id for pool in coverage.result.pools]
    ratios = [pool.required_coverage_ratio for pool in coverage.result.pools]
    assert ratios == sorted(ratios)
    assert frame["gap_usd"].to_list() == pytest.approx([pool.gap_usd for pool in coverage.result.pools])


def test_coverage_has_json_and_html(coverage):
    data = json.loads(coverage.to_json(indent=None))
    assert [pool["status"]["pool_id"] for pool in data["pools"]] == [
        pool.status.pool_id for pool in coverage.result.pools
    ]
    page = coverage.to_html()
    assert page.startswith("<!doctype html>")
    for pool in coverage.result.pools:
        assert pool.status.account_id in page


def test_sums_of_the_book_are_those_of_its_pools(coverage):
    result = coverage.result
    assert result.required_usd == pytest.approx(sum(pool.required_usd for pool in result.pools))
    assert result.gap_usd == pytest.approx(sum(max(pool.gap_usd, 0.0) for pool in result.pools))
    assert result.surplus_usd == pytest.approx(sum(max(-pool.gap_usd, 0.0) for pool in result.pools))
    # Gaps are not netted: surplus on one venue closes no gap on another.
    assert result.available_usd - result.required_usd == pytest.approx(result.surplus_usd - result.gap_usd)


def test_probability_of_any_liquidation_lies_between_the_largest_and_the_sum(coverage):
    for k, any_pool in enumerate(coverage.result.any_liquidation):
        each = [pool.probabilities[k].liquidation.value for pool in coverage.result.pools]
        assert max(each) <= any_pool.liquidation.value <= sum(each) + 1e-12


def test_status_has_a_frame_and_json():
    report = mc.status(mc.demo_book())
    assert report.to_frame().height == 6
    assert len(json.loads(report.to_json())["pools"]) == 6
    assert report.exit_code == 0


def test_book_with_an_empty_account_is_answered_and_the_account_never_counts_as_liquidated():
    from tests.books import a_book, a_position, an_account

    book = a_book(
        an_account("binance", "usdm_single_asset", name="idle", USDT=0.0),
        an_account("binance", "coinm", [a_position("BTCUSD_PERP", 100)], BTC=1.0),
    )
    result = mc.cover(book, paths=256, follow_s=86_400, horizon_s=86_400).result
    idle = next(pool for pool in result.pools if pool.status.account_id == "binance:idle")
    assert (idle.status.state, idle.verdict, idle.required_native, idle.gap_native) == ("flat", "covered", 0.0, 0.0)
    assert result.any_liquidation[-1].liquidation.value == 0.0


def test_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(mc.InputError, match=r"unknown setting pathz.*paths"):
        mc.cover(mc.demo_book(), pathz=10)


@pytest.mark.parametrize("change", [{"tolerance": 0.0}, {"tolerance": 0.9}, {"horizon_s": 60}, {"measure": "var"}])
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(mc.InputError):
        mc.cover(mc.demo_book(), paths=256, **change)


def test_doctests_of_the_package_are_collected(pytestconfig):
    assert "--doctest-modules" in pytestconfig.getini("addopts")
    assert any(str(path).endswith("src/margincover") for path in pytestconfig.getini("testpaths"))
