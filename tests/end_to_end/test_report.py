"""``margincover report`` as its user runs it."""

import json
import sys

import pytest

from margincover.app.report_statement import StatementSettings, statement
from margincover.cli.main import main
from margincover.io.book_file import parse_book
from tests.books import demo_data, write_book
from tests.unit.test_report_html import read
from tests.unit.test_statement import next_day, one_position_data

FAST = ("--paths", "1280")
FIRST, SECOND = "margincover-report-20260101T000000Z", "margincover-report-20260102T000000Z"


def run(folder, capsys, *arguments, data):
    folder.mkdir(exist_ok=True)
    code = main(["report", str(write_book(folder, data)), "--out", str(folder / "reports"), *FAST, *arguments])
    return code, capsys.readouterr()


def safe_data(**changes):
    """One position with a hundred times the money it needs."""
    data = one_position_data(**changes)
    data["accounts"][0]["balances"][0]["total"] = 500_000.0
    return data


@pytest.fixture(scope="module")
def demo_reports(tmp_path_factory):
    """Reports of the demo book on two days, all formats on the second."""
    folder = tmp_path_factory.mktemp("desk")
    data = demo_data()
    now = {**next_day(data), "obligations": []}
    now["market"]["marks"] = {name: 0.98 * mark for name, mark in now["market"]["marks"].items()}
    now["accounts"][4]["balances"][0]["total"] += 20_000.0
    codes = []
    for each, formats in ((data, "json"), (now, "html,csv,xlsx")):
        book = str(write_book(folder, each))
        codes.append(main(["report", book, "--out", str(folder / "reports"), "--format", formats, *FAST]))
    return codes, folder / "reports"


def test_demo_book_is_in_breach_and_every_format_is_written(demo_reports):
    codes, folder = demo_reports
    assert codes == [2, 2]
    assert [path.name for path in folder.glob(f"{FIRST}*")] == [f"{FIRST}.json"]
    names = {path.name.removeprefix(f"{SECOND}.") for path in folder.glob(f"{SECOND}*")}
    tables = json.loads((folder / f"{SECOND}.json").read_text())["tables"]
    assert names == {"html", "xlsx", "json"} | {f"{name}.csv" for name in tables}


def test_second_report_is_explained_from_the_first_in_the_folder(demo_reports):
    first, second = (json.loads((demo_reports[1] / f"{name}.json").read_text()) for name in (FIRST, SECOND))
    run_of = {row["name"]: row["value"] for row in second["tables"]["run"]["rows"]}
    assert run_of["previous report"].endswith(f"{FIRST}.json")
    assert run_of["previous input SHA-256"] == first["book"]["input_sha256"]
    *rows, total = second["tables"]["change_equity"]["rows"]
    assert total["before_usd"] == pytest.approx(sum(each["equity_usd"] for each in first["values"]))
    assert total["now_usd"] == pytest.approx(sum(each["equity_usd"] for each in second["values"]))
    parts = [key for key in total if key not in ("place", "before_usd", "now_usd")]
    for row in (*rows, total):
        assert sum(row[key] for key in parts) == pytest.approx(row["now_usd"] - row["before_usd"], abs=1e-6)
    # 20,000 USDC came from outside, at 0.9998 USD.
    assert total["balances_usd"] == pytest.approx(19_996.0)


def test_page_has_every_section_and_loads_nothing(demo_reports):
    page = (demo_reports[1] / f"{SECOND}.html").read_text(encoding="utf-8")
    reader = read(page)
    assert [value for value in reader.values("src") + reader.values("href") if not value.startswith("#")] == []
    for word in (
        "Daily statement",
        "Worst coverage ratio",
        "Survival horizon",
        "P(liquidation) 24 h",
        "Breaches and warnings",
        "Obligations by due time",
        "Liquid assets by tier",
        "Concentration",
        "Covid crash",
        "What changed since the previous report",
        "Ages of the data at as_of",
        "Rulebook editions in force",
        "What is not modelled",
    ):
        assert word.lower() in reader.words.lower()
    assert "nan" not in reader.words.lower().split()


def test_running_again_gives_the_same_bytes(demo_reports, tmp_path, capsys):
    code, _ = run(tmp_path, capsys, "--format", "html,xlsx", "--previous", "none", data=demo_data())
    first = {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()}
    again, out = run(tmp_path, capsys, "--format", "html,xlsx", "--threads", "1", data=demo_data())
    assert (code, again) == (2, 2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "reports").iterdir()} == first
    # The report of the same instant is not its own predecessor.
    assert "previous report" not in out.out
    for word in ("Daily statement, as of 2026-01-01T00:00:00Z", "BREACH", f"{FIRST}.xlsx"):
        assert word in out.out


def test_book_within_its_limits_exits_0_and_explains_no_change(tmp_path, capsys):
    code, out = run(tmp_path, capsys, "--json", data=safe_data())
    data = json.loads(out.out)
    assert (code, data["verdict"], data["tables"]["breaches"]["rows"]) == (0, "within", [])
    assert data["tables"]["change_equity"]["rows"] == []
    assert "No earlier report was given" in (tmp_path / "reports" / f"{FIRST}.html").read_text(encoding="utf-8")


def test_limit_inside_the_error_bar_exits_1_and_a_limit_beyond_exits_2(tmp_path, capsys):
    _, out = run(tmp_path, capsys, "--json", data=safe_data())
    figures = {row["figure"]: row for row in json.loads(out.out)["tables"]["headline"]["rows"]}
    found = figures["Required coverage ratio"]
    for share, expected in ((0.5 * (found["low"] + found["value"]), 1), (found["value"] + 0.01, 2)):
        limits = {"min_required_coverage_ratio": share}
        code, out = run(tmp_path, capsys, "--json", data=safe_data(limits=limits))
        row = next(row for row in json.loads(out.out)["tables"]["headline"]["rows"] if row["figure"] == found["figure"])
        assert (code, row["limit_from"], row["limit"]) == (expected, "book", share)


def test_other_desk_in_the_folder_is_an_error_that_says_how_to_go_on(tmp_path, capsys):
    assert run(tmp_path, capsys, "--format", "json", data=safe_data())[0] == 0
    other = {**next_day(safe_data())}
    other["accounts"][0]["id"] = "binance:other"
    code, out = run(tmp_path, capsys, data=other)
    assert code == 3
    assert "is of other accounts: binance:a" in out.err
    assert "--previous none" in out.err
    code, _ = run(tmp_path, capsys, "--format", "json", "--previous", "none", data=other)
    assert code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--format", "html,pdf"), 64, "html, csv, xlsx, json"),
        (("--format", ""), 64, "html, csv, xlsx, json"),
        (("--tolerance", "2"), 64, "--tolerance"),
        (("--previous", "/absent/report.json"), 3, "/absent/report.json"),
        (("--out", "/proc/nowhere"), 3, "--out"),
    ],
)
def test_wrong_options_name_the_option(tmp_path, capsys, arguments, code, words):
    found, out = run(tmp_path, capsys, *arguments, data=safe_data())
    assert found == code
    assert words in out.err
    assert "Traceback" not in out.err


def test_nonsense_limit_and_unknown_price_exit_3(tmp_path, capsys):
    code, out = run(tmp_path, capsys, data=safe_data(limits={"min_debt_coverage_ratio": -1}))
    assert (code, "limits.min_debt_coverage_ratio" in out.err) == (3, True)
    data = safe_data()
    data["market"]["marks"] = {}
    code, out = run(tmp_path, capsys, data=data)
    assert (code, "mark" in out.err) == (3, True)
    # Nothing is left of a run that failed.
    assert list((tmp_path / "reports").iterdir()) == []


def test_workbook_library_is_loaded_only_for_a_workbook(monkeypatch):
    report = statement(parse_book(safe_data(), source="book.json"), StatementSettings(paths=1_280))
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    assert report.to_html()
    assert report.to_csv()
    with pytest.raises(ImportError):
        report.to_xlsx()
