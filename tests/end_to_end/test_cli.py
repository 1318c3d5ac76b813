"""The command line: exit codes, what is printed where, and that nothing is left half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from margincover.cli.main import main
from margincover.version import __version__
from tests.books import demo_data, write_book

FAST = ["--paths", "512", "--horizon", "1h", "--tolerance", "5%"]


def small_book(**changes: object) -> dict:
    """Return the demo book with its Binance coin account alone: one long of about 2.9x, safe for an hour."""
    data = demo_data()
    data["accounts"] = [a for a in data["accounts"] if a["id"] == "binance:coin-treasury"]
    data.update(transfer_times=[], in_transit=[], buffers={}, contingency=[])
    return {**data, **changes}


def with_balance(total: float) -> dict:
    data = small_book()
    data["accounts"][0]["balances"] = [{"asset": "BTC", "total": total}]
    return data


# --- exit codes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "code", "state"),
    [
        # 250,000 USD at 87,590 are 2.8542 BTC, at 0.4 % maintenance 0.01142 BTC; loss since 90,150 is 0.08105 BTC.
        (1.35, 0, "open"),
        (0.094, 1, "called"),  # equity 0.01295 is 1.13 times maintenance, the warning level is 1.25
        (0.05, 2, "liquidatable"),  # equity is below zero
    ],
)
def test_status_and_exit_code_follow_the_balance(total, code, state, tmp_path, capsys):
    assert main(["status", str(write_book(tmp_path, with_balance(total))), "--json"]) == code
    assert json.loads(capsys.readouterr().out)["pools"][0]["state"] == state


def test_cover_of_a_safe_book_exits_0_and_of_a_thin_one_2(tmp_path, capsys):
    assert main(["cover", str(write_book(tmp_path, with_balance(1.35))), *FAST]) == 0
    shown = capsys.readouterr()
    assert "covered" in shown.out
    assert shown.err == ""
    assert main(["cover", str(write_book(tmp_path, with_balance(0.1))), *FAST]) == 2
    assert "BREACH" in capsys.readouterr().out


def test_called_but_covered_is_a_warning(tmp_path, capsys):
    data = with_balance(0.6)
    data["accounts"][0]["margin_call_coverage_ratio"] = 100.0
    assert main(["cover", str(write_book(tmp_path, data)), *FAST]) == 1
    assert "warning" in capsys.readouterr().out.lower()


def test_demo_exits_0_although_an_account_is_in_breach_and_writes_the_report(tmp_path, capsys):
    target = tmp_path / "demo.html"
    assert main(["demo", "--paths", "512", "--html", str(target)]) == 0
    shown = capsys.readouterr()
    assert "BREACH" in shown.out
    assert str(target) in shown.out
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [target]


def test_saved_demo_book_can_be_covered_and_is_never_overwritten(tmp_path, capsys):
    path = tmp_path / "mine.json"
    assert main(["demo", "--save-book", str(path)]) == 0
    assert f"margincover cover {path}" in capsys.readouterr().out
    assert main(["cover", str(path), "--paths", "512"]) == 2  # as the demo says: one account is in breach over 24 h
    before = path.read_bytes()
    assert main(["demo", "--save-book", str(path)]) == 64
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["status", "cover"])
def test_json_is_valid_and_alone_on_stdout(command, tmp_path, capsys):
    path = str(write_book(tmp_path, demo_data()))
    assert main([command, path, "--json", *(FAST if command == "cover" else [])]) == 0
    shown = capsys.readouterr()
    parsed = json.loads(shown.out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert len(parsed["pools"]) == 6
    assert shown.err == ""


def test_options_change_what_is_computed(tmp_path, capsys):
    path = str(write_book(tmp_path, with_balance(1.35)))
    found = {}
    for name, more in {
        "as is": [],
        "5 days": ["--horizon", "5d"],
        "0.2 %": ["--tolerance", "0.002"],
        "rc": ["--measure", "rc"],
        "seed": ["--seed", "2"],
    }.items():
        main(["cover", path, "--json", *FAST, *more])
        found[name] = json.loads(capsys.readouterr().out)["pools"][0]["required_native"]
    assert found["5 days"] > found["as is"]
    assert found["0.2 %"] > found["as is"]
    assert found["rc"] < found["as is"]
    assert found["seed"] != found["as is"]


def test_percent_and_fraction_are_the_same_tolerance(tmp_path, capsys):
    path = str(write_book(tmp_path, with_balance(1.35)))
    texts = []
    for tolerance in ("5%", "0.05"):
        main(["cover", path, "--json", "--paths", "512", "--horizon", "1h", "--tolerance", tolerance])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_version_schema_and_rules_are_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"margincover {__version__}\n"
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "margincover book"
    assert main(["rules", "show"]) == 0
    venues = capsys.readouterr().out.split()
    assert venues == sorted(venues)
    assert {"binance", "bybit", "deribit", "dydx", "hyperliquid", "kraken", "okx", "paradex"} <= set(venues)
    assert main(["rules", "show", "okx", "--at", "2026-01-01T00:00:00Z", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["venue"] == "okx"
    assert main(["rules", "check"]) == 0
    assert "every edition is sound" in capsys.readouterr().out


def test_rule_file_supplies_a_missing_table(tmp_path, capsys):
    data = small_book()
    data["market"]["marks"]["ZECUSDT.BINANCE"] = 500.0
    data["accounts"] = [
        {
            "id": "binance:zec",
            "mode": "usdm_single_asset",
            "positions": [{"symbol": "ZECUSDT", "contracts": 100.0, "entry_price": 500.0, "leverage": 5}],
            "balances": [{"asset": "USDT", "total": 10000.0}],
        }
    ]
    path = str(write_book(tmp_path, data))
    assert main(["status", path]) == 3
    assert "--rules" in capsys.readouterr().err
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "binance.toml").write_text(
        'venue = "binance"\n[[edition]]\nid = "mine"\nblock = "tiers"\nvalid_from = 2025-01-01\n'
        'observed = 2025-01-01\nsource = "my own reading"\nretrieved = "2025-01-01"\nconfidence = "CONFIRMED"\n'
        "[edition.tiers.usdm]\nZECUSDT = [[0, 50000, 0.01, 50], [50000, inf, 0.02, 25]]\n",
        encoding="utf-8",
    )
    assert main(["status", path, "--rules", str(rules), "--json"]) == 0
    # 50,000 USD is the edge of the first tier: 1 %.
    assert json.loads(capsys.readouterr().out)["pools"][0]["maintenance_native"] == pytest.approx(500.0)


# --- usage errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--no-such-option"], "--no-such-option"),
        (["--paths", "many"], "--paths"),
        (["--paths", "10"], "--paths"),
        (["--paths", "1000000000"], "--paths"),
        (["--tolerance", "0"], "--tolerance"),
        (["--tolerance", "60%"], "--tolerance"),
        (["--tolerance", "nan"], "--tolerance"),
        (["--tolerance", "one percent"], "--tolerance"),
        (["--horizon", "5"], "--horizon"),
        (["--horizon", "30min"], "--horizon"),
        (["--horizon", "90min"], "--horizon"),
        (["--horizon", "31d"], "--horizon"),
        (["--horizon", "-5d"], "--horizon"),
        (["--measure", "var"], "--measure"),
        (["--seed", "-1"], "--seed"),
        (["--threads", "0"], "--threads"),
        (["--scenarios", "fhs"], "--history"),
        (["--scenarios", "bootstrap"], "--history"),
        (["--scenarios", "magic"], "--scenarios"),
        (["--scenarios", "montecarlo", "--history", "."], "--scenarios"),
    ],
)
def test_wrong_command_line_exits_64_and_names_the_option(more, named, tmp_path, capsys):
    path = str(write_book(tmp_path, small_book()))
    assert main(["cover", path, *more]) == 64
    assert_one_error(capsys, named)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["frobnicate"], "frobnicate"),
        (["cover"], "BOOK"),
        (["rules", "show", "okx", "--at", "yesterday"], "--at"),
        (["rules", "show", "nowhere"], "nowhere"),
    ],
)
def test_wrong_command_exits_64(arguments, named, capsys):
    assert main(arguments) == 64
    assert_one_error(capsys, named)


def assert_one_error(capsys, *named: str) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("margincover: error: ")
    assert shown.err.count("margincover: error: ") == 1
    assert "Traceback" not in shown.err
    for word in named:
        assert word in shown.err
    return shown.err


# --- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["cover", "demo"])
@pytest.mark.parametrize("where", ["missing folder", "a folder", "below a file"])
def test_report_that_cannot_be_written_is_an_error_and_leaves_nothing(command, where, tmp_path, capsys):
    book = write_book(tmp_path, with_balance(1.35))
    target = {"missing folder": tmp_path / "no" / "r.html", "a folder": tmp_path, "below a file": book / "r.html"}[
        where
    ]
    before = sorted(tmp_path.rglob("*"))
    arguments = ["cover", str(book), *FAST] if command == "cover" else ["demo", "--paths", "512"]
    assert main([*arguments, "--html", str(target)]) in (3, 64)
    assert_one_error(capsys, str(target), "--html")
    assert sorted(tmp_path.rglob("*")) == before


def test_report_in_a_read_only_folder_is_an_error(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "locked"
    folder.mkdir()
    system_open = os.open

    def refuse(path, *arguments, **keywords):
        # The superuser may write everywhere: the refusal of the system is played, so that the test runs for everybody.
        if str(path).startswith(str(folder)):
            raise PermissionError(13, "Permission denied")
        return system_open(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    assert main(["demo", "--paths", "512", "--html", str(folder / "r.html")]) in (3, 64)
    assert_one_error(capsys, "r.html", "--html", "permission")
    assert list(folder.iterdir()) == []


def test_failed_run_keeps_the_report_that_was_there(tmp_path, capsys):
    target = tmp_path / "report.html"
    target.write_text("yesterday", encoding="utf-8")
    broken = small_book()
    broken["market"]["marks"] = {}
    assert main(["cover", str(write_book(tmp_path, broken)), *FAST, "--html", str(target)]) == 3
    assert_one_error(capsys, "BTCUSD_PERP")
    assert target.read_text(encoding="utf-8") == "yesterday"


def test_new_report_replaces_the_old_one(tmp_path, capsys):
    target = tmp_path / "report.html"
    target.write_text("yesterday", encoding="utf-8")
    book = write_book(tmp_path, with_balance(1.35))
    assert main(["cover", str(book), *FAST, "--html", str(target)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert "yesterday" not in target.read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book.json", "report.html"]


# --- a real process ------------------------------------------------------------------------------------------------


def run(*arguments: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "margincover", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )


def test_help_lists_the_commands_and_exit_codes():
    done = run("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    for word in ("cover", "status", "demo", "schema", "rules", "64 usage"):
        assert word in done.stdout


def test_demo_in_a_process_writes_its_report_in_the_working_folder(tmp_path):
    done = run("demo", "--paths", "512", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [p.name for p in tmp_path.iterdir()] == ["margincover-demo.html"]


def test_error_in_a_process_is_one_message_and_code_3(tmp_path):
    done = run("cover", str(tmp_path / "none.json"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("margincover: error: ")
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
