"""``rules diff``, ``rules verify`` and ``status --explain`` as their user runs them."""

import json

import pytest

from margincover.cli.main import main
from tests.books import demo_data, write_book


def test_diff_names_what_changed_between_two_instants(capsys):
    code = main(
        ["rules", "diff", "binance", "--from", "2024-03-15T00:00:00Z", "--to", "2024-08-01T00:00:00Z", "--json"]
    )
    assert code == 0
    changes = {(row["block"], row["key"]): row for row in json.loads(capsys.readouterr().out)["changes"]}
    # Binance widened BTCUSDT between the two: 500,000 to 600,000 in the second bracket.
    change = changes[("tiers", "BTCUSDT")]
    assert "500,000" in change["before"]
    assert "600,000" in change["after"]


def test_diff_of_a_day_without_changes_is_empty(capsys):
    main(["rules", "diff", "okx", "--from", "2026-07-01T00:00:00Z", "--to", "2026-07-02T00:00:00Z", "--json"])
    assert json.loads(capsys.readouterr().out)["changes"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere", "--from", "2024-01-01T00:00:00Z"],
        ["okx", "--from", "yesterday"],
        ["okx", "--from", "2026-07-02T00:00:00Z", "--to", "2026-07-01T00:00:00Z"],
    ],
)
def test_diff_refuses_what_it_cannot_compare(arguments, capsys):
    assert main(["rules", "diff", *arguments]) == 64
    assert capsys.readouterr().err.startswith("margincover: error: ")


def reported_book(tmp_path, maintenance):
    data = demo_data()
    account = next(a for a in data["accounts"] if a["id"] == "hyperliquid:fast")
    account["reported"] = {"asset": "USDC", "maintenance": maintenance}
    return write_book(tmp_path, data)


def test_verify_agrees_with_a_venue_that_says_the_same(tmp_path, capsys):
    # 150 ETH at 2,970.1 and 2 %: 8,910.3
    assert main(["rules", "verify", "--book", str(reported_book(tmp_path, 8_910.3))]) == 0
    assert "agree within 10 bps" in capsys.readouterr().out


def test_verify_raises_the_alarm_on_drift(tmp_path, capsys):
    assert main(["rules", "verify", "--book", str(reported_book(tmp_path, 9_100.0)), "--json"]) == 2
    result = json.loads(capsys.readouterr().out)
    assert result["drifted"] == 1
    assert result["compared"][0]["difference_bps"] == pytest.approx((8_910.3 - 9_100.0) / 9_100.0 * 1e4)


def test_verify_without_reported_figures_is_an_error_and_not_agreement(tmp_path, capsys):
    assert main(["rules", "verify", "--book", str(write_book(tmp_path, demo_data()))]) == 3
    assert "reported" in capsys.readouterr().err


def test_explain_is_in_the_json_and_sums(tmp_path, capsys):
    main(["status", str(write_book(tmp_path, demo_data())), "--explain", "--json"])
    for pool in json.loads(capsys.readouterr().out)["pools"]:
        equity, maintenance, _ = pool["explain"]
        assert equity["value"] == pytest.approx(pool["equity_native"], rel=1e-9)
        assert maintenance["value"] == pytest.approx(pool["maintenance_native"], rel=1e-9)
        assert sum(part["value"] for part in equity["parts"]) == pytest.approx(equity["value"], rel=1e-9)


def test_explain_is_a_tree_on_screen(tmp_path, capsys):
    main(["status", str(write_book(tmp_path, demo_data())), "--explain"])
    shown = capsys.readouterr().out
    assert "tier rate x notional: 8,910.3 USDC  2.0000% of 445,515, tier 1 of 2 from 0" in shown
