"""Stress weight and full-history floor: what they are, and that they touch no other figure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from margincover.app.cover import cover
from margincover.app.demo import demo_book
from margincover.app.facade import CoverageReport
from margincover.app.stress import StressSettings, stress
from margincover.cli.main import main
from margincover.errors import UsageError
from margincover.model.book import Book
from tests.books import write_book
from tests.end_to_end.test_broken_histories import rows, write
from tests.end_to_end.test_cli import small_book

FAST = {"paths": 1024, "follow_s": 86_400, "threads": 1}
# On the command line a short horizon; the floor and the model share seed and paths.
FAST_OPTIONS = ["--paths", "512", "--horizon", "1h", "--tolerance", "5%"]


@pytest.fixture(scope="module")
def book() -> Book:
    return demo_book()


@pytest.fixture(scope="module")
def report(book: Book) -> CoverageReport:
    return cover(book, add_ons=True, **FAST)


def test_nothing_else_changes_and_nothing_is_there_unasked(book: Book, report: CoverageReport) -> None:
    with_them, without = json.loads(report.to_json()), json.loads(cover(book, **FAST).to_json())
    assert with_them.pop("add_ons")["stress_weight"] == 0.25
    assert with_them == without


def test_stress_add_on_is_a_quarter_of_the_way_to_the_worst_episode(book: Book, report: CoverageReport) -> None:
    shown = stress(book, StressSettings(reverse=False)).result.scenarios
    assert report.result.add_ons is not None
    for pool, found in zip(report.result.pools, report.result.add_ons.pools, strict=True):
        assert found.pool_id == pool.status.pool_id
        worst = max(each.shortfall_native for result in shown for each in result.pools if each.pool_id == found.pool_id)
        assert found.stress_native == worst
        rc = pool.rces.value
        blended = max(rc, 0.25 * worst + 0.75 * rc)
        assert rc + found.stress_add_on_native == pytest.approx(blended, rel=1e-12)
        assert found.required_with_native == found.required_native + max(
            found.stress_add_on_native, found.floor_add_on_native
        )


def test_floor_is_the_long_run_whatever_volatility_the_book_states(book: Book, report: CoverageReport) -> None:
    calm = replace(
        book, market=replace(book.market, volatility_annual={"BTC": 0.1, "ETH": 0.1, "SOL": 0.1, "XRP": 0.1})
    )
    found = cover(calm, add_ons=True, **FAST).result
    assert found.add_ons is not None
    plain = {
        pool.status.pool_id: pool
        for pool in cover(replace(calm, market=replace(calm.market, volatility_annual={})), **FAST).result.pools
    }
    for pool, add_on in zip(found.pools, found.add_ons.pools, strict=True):
        # the floor is, bit for bit, what the run without stated volatility requires
        assert add_on.floor_native == plain[add_on.pool_id].rces
        assert add_on.floor_add_on_native == max(plain[add_on.pool_id].rces.value - pool.rces.value, 0.0)
    assert sum(pool.floor_add_on_native > 0.0 for pool in found.add_ons.pools) >= 4
    assert report.result.add_ons is not None
    if not book.market.volatility_annual:
        assert report.result.add_ons.floor_add_on_usd == 0.0


def test_floor_of_a_history_resamples_all_its_bars_and_says_when_they_are_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "bars"
    history.mkdir()
    table = rows()
    # the last 200 hours stand almost still: the model starts calm, the floor does not
    for row, before in zip(table[-200:], table[-201:-1], strict=True):
        price = float(before[4]) * (1.0 + 1e-5 * (-1.0) ** (int(row[0]) // 3_600_000))
        row[1:] = [before[4], max(price, float(before[4])), min(price, float(before[4])), price]
    write(history, "BTCUSDT.csv", table)
    book = write_book(tmp_path, small_book())
    assert main(["cover", str(book), *FAST_OPTIONS, "--history", str(history), "--add-ons", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["add_ons"]
    assert found["floor_label"].startswith("Block bootstrap of joint bars")
    assert any("67 days of bars: less than 365" in note for note in found["notes"])
    assert found["pools"][0]["floor_add_on_native"] > 0.0
    assert np.isfinite(found["pools"][0]["required_with_add_ons_native"])


def test_terminal_and_page_show_them_on_lines_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = write_book(tmp_path, small_book())
    page = tmp_path / "report.html"
    assert main(["cover", str(book), *FAST_OPTIONS, "--add-ons", "--html", str(page)]) == 0
    shown, html = capsys.readouterr().out, page.read_text(encoding="utf-8")
    for text in ("Stress add-on", "Floor add-on", "stress weight 25%"):
        assert text in shown
        assert text in html
    assert "Not part of the requirement, the gap, the verdict" in html
    main(["cover", str(book), *FAST_OPTIONS, "--html", str(page)])
    assert "add-on" not in capsys.readouterr().out
    assert "Stress add-on" not in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "scenarios", ["fhs:tail=much", "fhs:depth=3", "age-weighted:decay=0.9,decay=0.8", "bootstrap:decay=0.9"]
)
def test_setting_that_a_generator_does_not_have_is_a_usage_error(scenarios: str, book: Book, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--scenarios"):
        cover(book, scenarios=scenarios, history=tmp_path, **FAST)


@pytest.mark.parametrize(("decay", "code"), [("0.995", 0), ("0.5", 3)])
def test_age_weighted_scenarios_by_name_with_their_decay(
    decay: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "bars"
    history.mkdir()
    write(history, "BTCUSDT.csv", rows())
    book = write_book(tmp_path, small_book())
    options = ["--history", str(history), "--scenarios", f"age-weighted:decay={decay}", "--json"]
    assert main(["cover", str(book), *FAST_OPTIONS, *options]) == code
    shown = capsys.readouterr()
    if code == 0:
        scenario = json.loads(shown.out)["provenance"]["scenario"]
        assert scenario["method"] == "age-weighted"
        assert scenario["decay_per_day"] == "0.995"
    else:
        assert "blocks of 6h that count" in shown.err
