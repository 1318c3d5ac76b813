"""``margincover vol`` as its user runs it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from margincover.cli.main import main
from margincover.errors import InputError
from margincover.io.implied_series import load_implied_series
from tests.books import write_book
from tests.end_to_end.test_whatif import straddle_data
from tests.unit.synthetic_bars import history_of_one_constant_coin, history_of_two_clustered_coins

START = datetime(2025, 1, 6, tzinfo=UTC)


def write_bars(folder, name, history, *, start=START):
    rows = ["ts,open,high,low,close"]
    for hour in range(history.close.size):
        prices = (history.open[hour], history.high[hour], history.low[hour], history.close[hour])
        rows.append(f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{','.join(repr(float(p)) for p in prices)}")
    (folder / name).write_text("\n".join(rows), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("bars")
    history = history_of_two_clustered_coins(n_bars=110 * 24)
    for coin in ("BTC", "ETH"):
        write_bars(found, f"{coin}USDT.csv", history.factors[coin])
    return found


def write_index(path, values, *, start=START):
    rows = [f"{start + timedelta(days=day):%Y-%m-%dT00:00:00Z},{value}" for day, value in enumerate(values)]
    path.write_text("\n".join(["ts,dvol_close", *rows]), encoding="utf-8")
    return path


def run(capsys, *arguments):
    code = main(["vol", *(str(argument) for argument in arguments)])
    return code, capsys.readouterr()


def test_all_coins_of_a_folder_stand_side_by_side(folder, capsys):
    code, output = run(capsys, "--history", folder, "--days", "40")
    assert code == 0
    for text in ("BTC, bars to 2025-04-26", "ETH, bars to 2025-04-26", "gjr-t-hourly", "yang-zhang-10d", "QLIKE"):
        assert text in output.out
    # 110 days are too few for a daily GARCH: what answered instead stands below the table.
    assert "* garch-daily: now ewma-daily: 110 days, 500 needed; ewma-daily on 40 days" in output.out
    headline = output.out.splitlines()[0]
    assert "forecast best over 40 days" in headline
    assert "garch-daily" not in headline
    assert "season of hours" in output.out


def test_json_holds_scores_levels_and_an_index(folder, tmp_path, capsys):
    index = write_index(tmp_path / "dvol.csv", 50.0 + np.arange(110) / 10.0)
    code, output = run(capsys, "--history", folder, "--coins", "btc", "--days", "40", "--dvol", index, "--json")
    assert code == 0
    result = json.loads(output.out)
    coin = result["coins"]["BTC"]
    models = {model["name"]: model for model in coin["models"]}
    # The value of the day before the last is the last known: 50 + 10.9 when the last day closed.
    assert models["implied-index"]["one_day_annual"] == pytest.approx(0.609)
    assert models["implied-index"]["scores"]["n_days"] == 40
    assert coin["best_by_qlike"] == coin["models"][0]["name"]
    assert models["har"]["fallback_now"] == "ewma-daily: 110 days, 180 needed"
    assert len(coin["season_weekend"]) == 24


def test_bars_after_as_of_are_not_read(folder, tmp_path, capsys):
    _, output = run(
        capsys, "--history", folder, "--coins", "BTC", "--as-of", "2025-04-16T00:00:00Z", "--days", "40", "--json"
    )
    early = json.loads(output.out)["coins"]["BTC"]
    assert early["end_utc"] == "2025-04-16T00:00:00Z"
    write_bars(tmp_path, "BTCUSDT.csv", history_of_two_clustered_coins(n_bars=110 * 24).factors["BTC"])
    text = (tmp_path / "BTCUSDT.csv").read_text().splitlines()
    (tmp_path / "BTCUSDT.csv").write_text("\n".join(text[: 1 + 100 * 24]))
    _, output = run(capsys, "--history", tmp_path, "--days", "40", "--json")
    assert json.loads(output.out)["coins"]["BTC"]["models"] == early["models"]


def test_a_coin_that_cannot_be_assessed_is_named_and_the_others_stand(folder, tmp_path, capsys):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_bars(tmp_path, "FLATUSDT.csv", history_of_one_constant_coin().factors["USDX"])
    write_bars(tmp_path, "NEWUSDT.csv", history_of_two_clustered_coins(n_bars=200).factors["BTC"])
    code, output = run(capsys, "--history", tmp_path, "--days", "30")
    assert code == 3
    assert "BTC, bars to" in output.out
    words = " ".join(output.out.split())
    assert "FLAT: the close never moved" in words
    assert "NEW: 8 whole days of bars; allowed: at least 40" in words
    assert "bars of the coins end at different times" not in words


def test_a_book_gives_its_coins_its_instant_and_its_implied_volatility(folder, tmp_path, capsys):
    data = straddle_data()
    data["as_of"] = data["market"]["observed_at"] = "2025-04-26T00:00:00Z"
    data["market"]["implied_volatility"] = {"BTC-2MAY25-90000-P": 0.5, "BTC-30MAY25-100000-C": 0.52}
    data["market"]["forwards"] = {"BTC-250502": 90_100.0, "BTC-250530": 90_600.0}
    positions = data["accounts"][0]["positions"]
    positions[0]["symbol"], positions[1]["symbol"] = "BTC-2MAY25-90000-P", "BTC-30MAY25-100000-C"
    book = write_book(tmp_path, data)
    code, output = run(capsys, "--history", folder, "--book", book, "--days", "40", "--json")
    assert code == 0
    result = json.loads(output.out)
    assert list(result["coins"]) == ["BTC"]
    assert result["as_of"] == "2025-04-26T00:00:00Z"
    implied = [model for model in result["coins"]["BTC"]["models"] if model["name"].startswith("implied,")]
    # The put is 0.1 % from the money, the call 10 %.
    assert [(model["name"], model["level_annual"]) for model in implied] == [("implied, BTC-2MAY25-90000-P", 0.5)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--days", "10"), "--days: was 10; allowed: 30 to 3650"),
        (("--coins", "BTC,"), "--coins"),
        (("--coins", "BTC,BTC"), "stood twice"),
        (("--as-of", "yesterday"), "--as-of"),
        (("--dvol", "x.csv"), "allowed: COIN=FILE"),
        (("--dvol", "BTC="), "one COIN=FILE"),
    ],
)
def test_a_wrong_command_line_is_64(folder, capsys, arguments, text):
    code, output = run(capsys, "--history", folder, *arguments)
    assert code == 64
    assert text in output.err


def test_missing_folders_coins_and_indexes_are_named(folder, tmp_path, capsys):
    code, output = run(capsys, "--history", tmp_path / "none")
    assert code == 3
    assert "none" in output.err
    code, output = run(capsys, "--history", folder, "--coins", "DOGE")
    assert code == 3
    assert "no history of DOGE" in output.out
    index = write_index(tmp_path / "dvol.csv", [50.0] * 5)
    code, output = run(capsys, "--history", folder, "--coins", "BTC", "--dvol", f"ETH={index}")
    assert code == 64
    assert "--dvol: was of ETH" in output.err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("ts,dvol_close\n2025-01-01T00:00:00Z,0.5\n2025-01-02T00:00:00Z,0.6\n", "row 1.*52.5, not 0.525"),
        ("ts,dvol_close\n2025-01-01T00:00:00Z,50\n2025-01-02T00:00:00Z,\n", "row 2"),
        ("ts,dvol_close\n2025-01-02T00:00:00Z,50\n2025-01-01T00:00:00Z,51\n", "did not ascend"),
        ("ts,dvol_close\n2025-01-01,50\n2025-01-02,51\n", "row 1: ts"),
        ("ts,price\n2025-01-01T00:00:00Z,50\n", "columns were ts, price"),
        ("ts,dvol_close\n2025-01-01T00:00:00Z,50\n", "at least 2 rows"),
    ],
)
def test_an_index_that_cannot_be_used_is_refused(tmp_path, content, text):
    (tmp_path / "dvol.csv").write_text(content)
    with pytest.raises(InputError, match=text):
        load_implied_series(tmp_path / "dvol.csv", coin="BTC")
