"""`margincover rescue` from a book file to the screen, to JSON and to the exit code."""

from __future__ import annotations

import json

import pytest

from margincover.cli.main import main

FEW = ("--paths", "1280", "--horizon", "12h")


def book_data(usdc=31_500.0):
    """One long of 150 ETH with thin margin, a wallet that is fast and a bank that is slow, and a standing plan."""
    return {
        "schema_version": 1,
        "as_of": "2026-01-01T00:00:00Z",
        "market": {
            "observed_at": "2026-01-01T00:00:00Z",
            "marks": {"ETH.HYPERLIQUID": 2_970.1},
            "asset_usd": {"USDC": 0.9998, "ETH": 2_970.0},
        },
        "accounts": [
            {
                "id": "hyperliquid:fast",
                "mode": "perps",
                "positions": [{"symbol": "ETH", "contracts": 150.0, "entry_price": 2_980.0, "leverage": 20}],
                "balances": [{"asset": "USDC", "total": usdc}],
            }
        ],
        "tolerance": {"probability": 0.01, "horizon": "24h", "measure": "rces"},
        "reserves": [
            {"id": "wallet", "asset": "USDC", "amount": 90_000.0, "time_to_cash_p50": "1min",
             "time_to_cash_p99": "5min"},
            {"id": "bank", "asset": "USD", "amount": 500_000.0, "kind": "bank", "time_to_cash_p50": "2h",
             "time_to_cash_p99": "9h"},
        ],
        "transfer_times": [
            {"origin": "wallet", "destination": "hyperliquid:fast", "asset": "USDC", "p50": "5min", "p99": "30min",
             "fee": 1.0},
            {"origin": "bank", "destination": "hyperliquid:fast", "asset": "USDC", "p50": "5min", "p99": "30min"},
        ],
        "contingency": [
            {"id": "wallet-first", "account": "hyperliquid:fast", "source": "wallet", "trigger": 1.8, "target": 2.5,
             "capacity_usd": 60_000.0, "lead_time": "45min", "approver": "desk head", "tested": "2025-11-01T00:00:00Z"},
        ],
    }  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def made(**changes):
        path = tmp_path / "book.json"
        path.write_text(json.dumps(book_data(**changes)), encoding="utf-8")
        return str(path)

    return made


def test_screen_shows_the_plan_by_deadline_and_ends_with_the_answer(write, capsys):
    assert main(["rescue", write(), *FEW]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "Standing contingency plan, run along the paths", "desk head", "Not in the plan",
        "bank -> hyperliquid:fast in USDC",
        "1. send", "USDC from wallet to hyperliquid:fast", "order it now; counts from 2026-01-01 01:00Z", "is too late",
        "buys: P(liquidation of hyperliquid:fast)", "1 step for 1.00 USD keeps 1 % over 12 hours for every account",
    ):  # fmt: skip
        assert words in shown
    assert shown.endswith("Nothing was traded, borrowed or sent: every step is for people to take.")


def test_exit_codes_nothing_to_do_a_plan_and_none(write, capsys):
    assert main(["rescue", write(usdc=200_000.0), *FEW]) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert main(["rescue", write(), *FEW, "--shock", "ETH=-12%"]) == 2
    assert "more at the start would keep it" in " ".join(capsys.readouterr().out.split())
    assert main(["rescue", write(), *FEW, "--shock", "ETH=-1%", "--scenario", "2021-05-19"]) == 64
    assert "--scenario" in capsys.readouterr().err


def test_json_holds_times_costs_and_probabilities(write, capsys):
    assert main(["rescue", write(), *FEW, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (action,) = found["actions"]
    assert action["arrives_s"] == 3_600
    assert action["order_by_s"] == action["deadline_s"] - action["arrives_s"]
    assert action["p_after"]["high"] <= 0.01 < action["p_before"]["value"]
    assert found["contingency"]["any_with"]["value"] < found["contingency"]["any_without"]["value"]
    (late,) = [row for row in found["rejected"] if row["text"].startswith("bank")]
    assert "too late" in late["reason"]
    assert "outages, transfer delays, reserves and credit lines" not in found["not_modelled"]


def test_a_plan_that_names_an_unknown_source_is_an_error_with_its_place(tmp_path, capsys):
    data = book_data()
    data["contingency"][0]["source"] = "mattress"
    path = tmp_path / "book.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert main(["rescue", str(path), *FEW]) == 3
    assert "contingency[0].source: was 'mattress'" in capsys.readouterr().err
