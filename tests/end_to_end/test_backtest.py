from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from margincover.cli.main import main
from margincover.errors import InputError
from margincover.io.market_files import load_market
from margincover.io.requests_table import read_requests
from tests.market_cases import START_UTC_NS, clustered_prices, write_history

N_BARS = 400 * 24
BASIC = ("backtest", "--paths", "1000", "--json", "--history")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """BTC and ALT of 400 days, NEW of 30 days, and a coin that never moves."""
    path = tmp_path_factory.mktemp("history")
    write_history(path / "BTCUSDT.parquet", clustered_prices(n_bars=N_BARS, seed=1))
    write_history(path / "ALTUSDT.parquet", clustered_prices(n_bars=N_BARS, seed=2, level=0.01))
    late = START_UTC_NS + (N_BARS - 720) * 3_600_000_000_000
    write_history(path / "NEWUSDT.parquet", clustered_prices(n_bars=720, seed=3), start_utc_ns=late)
    write_history(path / "STILLUSDT.parquet", np.full((4, N_BARS), 1.0))
    return path


@pytest.fixture(scope="module")
def outcome(folder, tmp_path_factory):
    """One run with a state file and a page; the parsed JSON."""
    import contextlib
    import io

    out = tmp_path_factory.mktemp("out")
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        code = main([*BASIC, str(folder), "--html", str(out / "page.html"), "--resume", str(out / "state.npz")])
    return code, json.loads(text.getvalue()), out


def test_backtest_scores_every_model_and_says_what_it_could_not_judge(outcome):
    code, data, _ = outcome
    assert code == 0
    names = [row["model"] for row in data["models"]["0.01"]]
    assert {"reference", "default", "historical-500d", "range-fallback"} <= set(names)
    # 400 days: windows from day 300 on; BTC and ALT, two sides each
    assert all(row["windows"] == 4 * 100 for row in data["models"]["0.05"])
    assert any(note.startswith("NEW: 0 windows") for note in data["notes"])
    assert "STILL: the price never moved: not judged" in data["notes"]


def test_a_stopped_run_goes_on_and_ends_the_same(folder, outcome, capsys):
    _, data, out = outcome
    assert (
        main(["backtest", "--history", str(folder), "--paths", "1000", "--json", "--resume", str(out / "state.npz")])
        == 0
    )
    assert json.loads(capsys.readouterr().out) == data


def test_threads_do_not_change_a_figure(folder, outcome, capsys):
    _, data, _ = outcome
    assert main([*BASIC, str(folder), "--threads", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == data


def test_a_state_of_another_run_is_refused(folder, outcome, capsys):
    _, _, out = outcome
    code = main(["backtest", "--history", str(folder), "--paths", "2000", "--resume", str(out / "state.npz")])
    assert code == 3
    assert "other data, settings or version" in capsys.readouterr().err


def test_a_broken_state_file_is_named(folder, tmp_path, capsys):
    broken = tmp_path / "state.npz"
    broken.write_bytes(b"no archive")
    assert main(["backtest", "--history", str(folder), "--resume", str(broken)]) == 3
    assert "is no state of a backtest" in capsys.readouterr().err


def test_the_page_is_self_contained(outcome):
    _, _, out = outcome
    page = (out / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "reference-stress-floor" in page
    assert "http-equiv" in page
    assert "<script src" not in page


def write_requests(path, rows):
    pl.DataFrame(rows, schema=["series_id", "forecast_ts", "horizon_h", "tolerance"], orient="row").write_csv(path)


ROWS = [
    ("BTC:long", "2023-12-01T00:00:00Z", 24, 0.01),
    ("BTC:short", "2023-12-01T07:30:00Z", 24, 0.05),
    ("NEW:long", "2024-01-20T00:00:00Z", 24, 0.01),
    ("STILL:long", "2023-12-01T00:00:00Z", 24, 0.01),
    ("NONE:short", "2023-12-01T00:00:00Z", 12, 0.001),
    ("ALT:long", "2022-12-01T00:00:00Z", 24, 0.01),
]


def test_every_request_is_answered_and_the_answerer_named(folder, tmp_path, capsys):
    write_requests(tmp_path / "in.csv", ROWS)
    args = ["backtest", "--history", str(folder), "--paths", "1000"]
    assert main([*args, "--requests", str(tmp_path / "in.csv"), "--out", str(tmp_path / "out.csv")]) == 0
    found = pl.read_csv(tmp_path / "out.csv")
    assert found["series_id"].to_list() == [row[0] for row in ROWS]
    assert found["model"][0] == "default"
    assert found["model"][2].startswith("range-fallback")
    assert found["model"][3].startswith("whole-notional-bound")
    # no file, and bars that had not begun
    assert found["rc"][4] == found["rc"][5] == 1.0
    assert (found["rces"] >= found["rc"]).all()
    assert "6 requests answered" in capsys.readouterr().out


def test_answers_do_not_depend_on_later_bars_or_on_other_requests(folder, tmp_path, capsys):
    write_requests(tmp_path / "all.csv", ROWS)
    write_requests(tmp_path / "one.csv", ROWS[:1])
    short = tmp_path / "short"
    short.mkdir()
    # the same histories, ending at the request
    bars = (np.datetime64("2023-12-01").astype("M8[ns]").astype(int) - START_UTC_NS) // 3_600_000_000_000
    for name in ("BTC", "ALT", "STILL"):
        pl.read_parquet(folder / f"{name}USDT.parquet").head(int(bars)).write_parquet(short / f"{name}USDT.parquet")
    answers = []
    for history, requests in ((folder, "all.csv"), (short, "one.csv")):
        out = tmp_path / f"{requests}.parquet"
        args = ["backtest", "--history", str(history), "--paths", "1000"]
        assert main([*args, "--requests", str(tmp_path / requests), "--out", str(out)]) == 0
        answers.append(pl.read_parquet(out).row(0))
    capsys.readouterr()
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("BTC", "2023-12-01T00:00:00Z", 24, 0.01), "series_id"),
        (("BTC:long", "yesterday", 24, 0.01), "forecast_ts"),
        (("BTC:long", "2023-12-01T00:00:00Z", 0, 0.01), "horizon_h"),
        (("BTC:long", "2023-12-01T00:00:00Z", 24, 0.7), "tolerance"),
    ],
)
def test_a_request_that_cannot_be_read_is_named_with_its_row(tmp_path, row, words):
    write_requests(tmp_path / "in.csv", [ROWS[0], row])
    with pytest.raises(InputError, match=words) as error:
        read_requests(tmp_path / "in.csv")
    assert "row 2" in str(error.value)


def test_bad_options_are_usage_errors(folder, capsys):
    args = ["backtest", "--history", str(folder)]
    assert main([*args, "--models", "magic"]) == 64
    assert main([*args, "--horizon", "25h"]) == 64
    assert main([*args, "--requests", "x.csv"]) == 64
    assert main(["backtest", "--history", str(folder / "nowhere")]) == 3
    assert main([*args, "--coins", "ABSENT"]) == 3
    assert "ABSENT" in capsys.readouterr().err


def test_the_longest_history_of_a_coin_is_used_and_said(folder, tmp_path):
    for name, bars, start in (("perp", 900, 100), ("spot", 1_000, 0)):
        (tmp_path / name).mkdir()
        table = clustered_prices(n_bars=bars, seed=4)
        write_history(tmp_path / name / "BTCUSDT.parquet", table, start_utc_ns=START_UTC_NS + start * 3_600 * 10**9)
    found = load_market(tmp_path)
    assert found.histories["BTC"].close.size == 1_000
    assert any("starts later or is shorter" in text for text in found.issues)


def test_a_bad_print_is_clipped_by_the_bars_before_it_alone(tmp_path):
    table = clustered_prices(n_bars=500, seed=5)
    table[2, 400] = 0.001
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for path, bars in ((whole, 500), (cut, 401)):
        path.mkdir()
        write_history(path / "BTCUSDT.parquet", table[:, :bars])
    low = load_market(whole).histories["BTC"].low[400]
    assert low == load_market(cut).histories["BTC"].low[400]
    assert low > 10.0
