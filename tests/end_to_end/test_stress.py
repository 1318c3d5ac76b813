"""``margincover stress`` as its user runs it."""

import json
import tomllib

import pytest

from margincover.app.demo import demo_book
from margincover.app.stress import StressSettings, stress
from margincover.cli.main import main
from margincover.errors import InputError
from margincover.scenarios.episodes import load_episodes
from margincover.scenarios.shocks import parse_shock
from tests.books import demo_data, write_book
from tests.end_to_end.test_whatif import straddle_data
from tests.unit.test_report_html import read

FAST = ("--no-reverse",)


def run(tmp_path, capsys, *arguments, data=None):
    code = main(["stress", str(write_book(tmp_path, data or demo_data())), *arguments])
    return code, capsys.readouterr()


def as_json(tmp_path, capsys, *arguments, data=None):
    code, out = run(tmp_path, capsys, *arguments, "--json", data=data)
    return code, json.loads(out.out)


def by_name(data):
    return {each["name"]: each for each in data["scenarios"]}


def test_all_episodes_and_reverse_stress_of_the_demo_book(tmp_path, capsys):
    page = tmp_path / "stress.html"
    shock = "BTC=-30%,*=-40%,funding=+0.1%/8h,halt=okx:6h"
    code, out = run(tmp_path, capsys, "--shock", shock, "--html", str(page))
    assert code == 2
    for word in ("Scenarios, worst first", "2020-03-12", "LIQUIDATED", "Least extreme joint move", shock, "page: "):
        assert word in out.out
    reader = read(page.read_text(encoding="utf-8"))
    for word in (*load_episodes().names, "Reverse stress", "Every pool in every scenario"):
        assert word in reader.words
    # Money is never "nan", and what is rounded up is never below what was computed.
    assert "nan" not in out.out.lower().split()


def test_the_exit_code_is_that_of_the_status_in_the_worst_scenario(tmp_path, capsys):
    for shock, expected in (("*=-0.1%", 0), ("*=-3.6%", 1), ("*=-30%", 2)):
        code, data = as_json(tmp_path, capsys, *FAST, "--episodes", "none", "--shock", shock)
        states = {pool["state"] for pool in data["scenarios"][0]["pools"]}
        assert code == expected
        assert ("liquidated" in states, "called" in states or "liquidated" in states) == (expected == 2, expected >= 1)


def test_a_shock_of_the_command_line_is_what_whatif_says(tmp_path, capsys):
    _, stressed = as_json(tmp_path, capsys, *FAST, "--episodes", "none", "--shock", "*=-20%")
    main(["whatif", str(tmp_path / "book.json"), "--grid", "spot=-20:20", "--json"])
    grid = json.loads(capsys.readouterr().out)["grid_after"]["pools"]
    for pool in stressed["scenarios"][0]["pools"]:
        expected = -grid[pool["pool_id"]]["headroom_usd"][0][0][0]
        assert pool["shortfall_usd"] == pytest.approx(expected, rel=1e-9)


def test_a_shock_with_volatility_and_hold_ages_options(tmp_path, capsys):
    shocks = ("BTC=-10%", "BTC=-10%,vol=+40%", "BTC=-10%,vol=+40%,hold=3d")
    arguments = [part for shock in shocks for part in ("--shock", shock)]
    _, data = as_json(tmp_path, capsys, *FAST, "--episodes", "none", *arguments, data=straddle_data())
    found = by_name(data)
    plain, vol, held = (found[shock]["pools"][0]["shortfall_native"] for shock in shocks)
    main(["whatif", str(tmp_path / "book.json"), "--grid", "spot=-10:10,vol=-40:40", "--days", "0,3", "--json"])
    grid = json.loads(capsys.readouterr().out)["grid_after"]["pools"]["deribit:main"]["headroom_usd"]
    # whatif states USD of the moved coin, 90,000 x 0.9.
    assert vol == pytest.approx(-grid[0][-1][0] / 81_000.0, rel=1e-9)
    assert held == pytest.approx(-grid[1][-1][0] / 81_000.0, rel=1e-9)
    assert plain < vol


def test_shocks_in_a_file_are_the_same_language(tmp_path, capsys):
    file = tmp_path / "shocks.toml"
    file.write_text(
        '[[scenario]]\nname = "crash"\nvol = "+40%"\nfunding = "+0.1%/8h"\nhold = "24h"\nhalt = ["okx:6h"]\n'
        '[scenario.moves]\nBTC = "-30%"\n"USDC@hyperliquid" = 0.9\n"*" = "-40%"\n',
        encoding="utf-8",
    )
    assert tomllib.loads(file.read_text())["scenario"]
    line = "BTC=-30%,USDC=0.9@hyperliquid,*=-40%,vol=+40%,funding=+0.1%/8h,hold=24h,halt=okx:6h"
    _, data = as_json(tmp_path, capsys, *FAST, "--episodes", "none", "--shocks", str(file), "--shock", line)
    first, second = data["scenarios"]
    assert {first["name"], second["name"]} == {"crash", line}
    assert first["pools"] == second["pools"]
    assert first["cash_blocked_usd"] == second["cash_blocked_usd"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "empty"),
        ("x = 1\n", "tables [[scenario]]"),
        ('[[scenario]]\nvol = "+1%"\n', "had no name"),
        ('[[scenario]]\nname = "a"\nodd = 1\n', "held odd"),
        ('[[scenario]]\nname = "a"\n[scenario.moves]\nvol = "+1%"\n', "moves held 'vol'"),
        ('[[scenario]]\nname = "a"\n[scenario.moves]\nBTC = true\n', "was True"),
        ('[[scenario]]\nname = "a"\nmoves = "BTC=-1%"\n', "moves was no table"),
        ('[[scenario]]\nname = "a"\n[scenario.moves]\nXMR = "-1%"\n', "no coin or asset 'XMR'"),
        ('[[scenario]]\nname = "a"\nvol = "+1%"\n[[scenario]]\nname = "a"\nvol = "+2%"\n', "'a' stood twice"),
    ],
)
def test_a_file_that_does_not_read_is_data_unknown(tmp_path, capsys, text, found):
    file = tmp_path / "shocks.toml"
    file.write_text(text, encoding="utf-8")
    code, out = run(tmp_path, capsys, *FAST, "--episodes", "none", "--shocks", str(file))
    assert code == 3
    assert found in out.err
    assert "Traceback" not in out.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("--shock", "BTC"), 64, "--shock"),
        (("--shock", "XMR=-10%"), 3, "coins BTC, ETH, SOL, XRP"),
        (("--shock", "halt=ftx:1h"), 3, "binance, bybit, hyperliquid, okx"),
        (("--episodes", "2020-03-13"), 3, "2020-03-12"),
        (("--episodes", "none", "--no-reverse"), 64, "nothing was to be done"),
        (("--horizon", "30min"), 64, "--horizon"),
        (("--seed", "-1"), 64, "--seed"),
        (("--history", "/nowhere/at/all"), 3, "/nowhere/at/all"),
    ],
)
def test_bad_input_is_named_with_what_is_allowed(tmp_path, capsys, arguments, code, found):
    got, out = run(tmp_path, capsys, *arguments)
    assert got == code
    assert found in out.err
    assert "Traceback" not in out.err


def test_accounts_without_positions_have_nothing_to_be_liquidated(tmp_path, capsys):
    data = demo_data()
    for account in data["accounts"]:
        account["positions"] = []
    code, found = as_json(tmp_path, capsys, data=data)
    assert code == 0
    assert found["reverse"]["moves"] == []
    assert all(each["cash_usd"] == 0.0 for each in found["scenarios"])
    _, out = run(tmp_path, capsys, data=data)
    assert "No pool is liquidated in any of 16 scenarios." in out.out


def test_the_report_of_the_python_api_has_a_frame():
    report = stress(demo_book(), StressSettings(episodes=("2025-10-10",), reverse=False))
    frame = report.to_frame()
    assert frame.height == 6
    assert set(frame["scenario"]) == {"2025-10-10"}
    shock = (parse_shock("BTC=-1%"), None)
    twice = StressSettings(episodes=(), reverse=False, shocks=(shock, shock))
    with pytest.raises(InputError, match="stood twice"):
        stress(demo_book(), twice)


def test_a_history_replaces_the_packaged_covariance(tmp_path, capsys, shared_folder):
    folder = shared_folder / "data/prices/perp_1h"
    arguments = ("--episodes", "none", "--json", "--history", str(folder))
    _, out = run(tmp_path, capsys, *arguments)
    data = json.loads(out.out)
    near = {tuple(each["accounts"]): each["distance"] for each in data["reverse"]["moves"]}
    assert 0.5 < near[("hyperliquid:fast",)] < 2.0
    assert any("joint bars" in note for note in data["reverse"]["notes"])
