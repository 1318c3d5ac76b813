"""Broken price histories: exit code 3, one message that names folder or file and what is wrong, and no output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from margincover.cli.main import main
from tests.books import AS_OF, demo_data, write_book
from tests.end_to_end.test_cli import FAST, assert_one_error

HOUR_MS = 3_600_000
N_BARS = 1_600
END_MS = int(AS_OF.timestamp() * 1_000)
Rows = list[list[object]]


def rows(*, seed: int = 1, bars: int = N_BARS, end_ms: int = END_MS, step_ms: int = HOUR_MS) -> Rows:
    """Return bars [ts, open, high, low, close] of a random walk of 0.7 % an hour; the last one closes at ``end_ms``."""
    rng = np.random.Generator(np.random.Philox(seed))
    close = 90_000.0 * np.exp(np.cumsum(0.007 * rng.standard_normal(bars)))
    first = np.concatenate([[90_000.0], close[:-1]])
    spread = 1.0 + 0.003 * rng.random(bars)
    high, low = np.maximum(first, close) * spread, np.minimum(first, close) / spread
    ts = end_ms - step_ms * np.arange(bars, 0, -1)
    return [[int(t), *map(float, prices)] for t, *prices in zip(ts, first, high, low, close, strict=True)]


def write(folder: Path, name: str, table: Rows) -> None:
    lines = ["ts,open,high,low,close", *(",".join(map(str, row)) for row in table)]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def coin_book(folder: Path) -> Path:
    """Write a book that needs the history of BTC alone."""
    data = demo_data()
    data["accounts"] = [a for a in data["accounts"] if a["id"] == "binance:coin-treasury"]
    data.update(transfer_times=[], in_transit=[], buffers={}, contingency=[])
    return write_book(folder, data)


def cover(tmp_path: Path, history: Path, *more: str) -> int:
    target = tmp_path / "report.html"
    book = coin_book(tmp_path)
    return main(["cover", str(book), *FAST, "--history", str(history), "--html", str(target), *more])


@pytest.fixture
def history(tmp_path):
    folder = tmp_path / "bars"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("method", ["fhs", "bootstrap"])
def test_whole_history_gives_an_answer(method, tmp_path, history, capsys):
    write(history, "BTCUSDT.csv", rows())
    assert cover(tmp_path, history, "--scenarios", method) == 0
    shown = capsys.readouterr()
    assert "covered" in shown.out
    assert "Traceback" not in shown.err
    assert (tmp_path / "report.html").exists()


def swapped(table: Rows) -> Rows:
    return [*table[:700], table[701], table[700], *table[702:]]


def with_cell(row: int, column: int, value: object) -> Callable[[Rows], Rows]:
    def change(table: Rows) -> Rows:
        table[row][column] = value
        return table

    return change


# Each case: a change of the good bars of BTCUSDT.csv, and the words that the message must hold beside the file.
CASES: dict[str, tuple[Callable[[Rows], Rows], list[str]]] = {
    "unsorted": (swapped, ["BTC", "row 702", "ascending"]),
    "gapped": (lambda t: t[:400] + t[500:], ["BTC", "100 of 1600", "5%"]),
    "off the grid": (with_cell(700, 0, rows()[700][0] + 60_000), ["BTC", "grid"]),
    "zero price": (with_cell(700, 3, 0.0), ["BTC", "row 701", "low was 0.0", "> 0"]),
    "negative price": (with_cell(700, 4, -1.0), ["BTC", "row 701", "close was -1.0"]),
    "price that is not finite": (with_cell(700, 2, "inf"), ["BTC", "row 701", "high was inf"]),
    "NaN": (with_cell(700, 4, "nan"), ["BTC", "row 701", "close was nan"]),
    "price that is no number": (with_cell(700, 4, "n/a"), ["row 701", "close was 'n/a'"]),
    "empty cell": (with_cell(700, 4, ""), ["row 701", "close"]),
    "high below low": (with_cell(700, 2, 1.0), ["BTC", "row 701", "high was below low"]),
    "duplicate bar with other prices": (
        lambda t: [*t[:701], [t[700][0], *t[700][1:4], t[700][4] * 1.0001], *t[701:]],
        ["BTC", "row 702", "twice"],
    ),
    "ends long before as_of": (
        lambda t: rows(end_ms=END_MS - 30 * 24 * HOUR_MS),
        ["BTC", "before as_of", "max_history_age"],
    ),
    "begins after as_of": (lambda t: rows(end_ms=END_MS + 2 * N_BARS * HOUR_MS), ["BTC", "as_of"]),
    "two bars": (lambda t: t[-2:], ["BTC", "2 bars", "at least 3"]),
    "no bars": (lambda t: [], ["no bars"]),
    "seconds instead of milliseconds": (lambda t: [[r[0] // 1000, *r[1:]] for r in t], ["ts", "13 digits"]),
    "times without a zone": (
        lambda t: [[f"2025-11-{1 + k // 24:02d}T{k % 24:02d}:00:00", *r[1:]] for k, r in enumerate(t[:600])],
        ["row 1: ts", "zone"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_broken_history_is_one_error_that_says_where(name, tmp_path, history, capsys):
    change, words = CASES[name]
    write(history, "BTCUSDT.csv", change(rows()))
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, str(history / "BTCUSDT.csv"), *words)
    assert not (tmp_path / "report.html").exists()


FILES: dict[str, bytes] = {
    "empty file": b"",
    "binary file": bytes(range(256)) * 20,
    "missing column": b"ts,open,high,low\n1,2,3,4\n",
    "ragged": b"ts,open,high,low,close\n1,2,3\n1,2,3,4,5,6,7\n",
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_file_that_holds_no_bars_is_one_error(name, ending, tmp_path, history, capsys):
    path = history / f"BTCUSDT.{ending}"
    path.write_bytes(FILES[name])
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, str(path))
    assert not (tmp_path / "report.html").exists()


def test_empty_folder_and_missing_folder_and_file_are_refused(tmp_path, history, capsys):
    for folder in (history, tmp_path / "none", coin_book(tmp_path)):
        assert cover(tmp_path, folder) == 3
        assert_one_error(capsys, str(folder))


def test_missing_coin_names_what_is_there(tmp_path, history, capsys):
    write(history, "ETHUSDT.csv", rows())
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, str(history), "BTC", "ETH", "proxy")


def test_two_files_of_one_coin_are_refused(tmp_path, history, capsys):
    write(history, "BTCUSDT.csv", rows())
    write(history, "BTC-USD.csv", rows())
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, str(history), "BTC-USD.csv", "BTCUSDT.csv")


def test_folder_as_a_bar_file_is_refused(tmp_path, history, capsys):
    (history / "BTCUSDT.csv").mkdir()
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, str(history / "BTCUSDT.csv"), "directory")


def test_few_bars_are_refused_by_the_filter_and_not_answered(tmp_path, history, capsys):
    write(history, "BTCUSDT.csv", rows(bars=10))
    assert cover(tmp_path, history) == 3
    assert_one_error(capsys, "BTC")
    assert not (tmp_path / "report.html").exists()


def test_step_that_does_not_divide_the_horizon_is_refused(tmp_path, history, capsys):
    write(history, "BTCUSDT.csv", rows(step_ms=7 * 60_000, bars=3_000))
    assert cover(tmp_path, history, "--scenarios", "bootstrap") in (3, 64)
    assert_one_error(capsys, "420 s")
