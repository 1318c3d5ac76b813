"""Cases of Binance accounts that several assets back, through the verifier: expected numbers are worked out here."""

from __future__ import annotations

import json

import pytest

from tests.reference.verify.cases import load_cases
from tests.reference.verify.report import run


def verified(tmp_path, mode, inputs, expected, product="usdm"):
    row = {"id": "case", "venue": "binance", "product": product, "account_mode": mode, "source": "derived here"}
    row |= {"inputs": inputs, "expected": expected, "tolerance": dict.fromkeys(expected, 1e-9)}
    file = tmp_path / "cases.json"
    file.write_text(json.dumps([row]), encoding="utf-8")
    return run(load_cases([file]))


def test_multi_assets_account_with_a_position(tmp_path):
    # 0.5 BTC short from 88,000 at 90,000: -1,000 USDT; with a wallet of 400 it owes 600 USDT at the ask 1.01: 606 USD.
    # 0.1 BTC counts at 90,000 x 0.95 = 8,550 USD: equity 7,944. Maintenance 45,000 x 0.004 x 1.01 = 181.8 USD, initial
    # 45,000 / 20 x 1.01 = 2,272.5 USD: 5,671.5 USD are free, 5,671.5 / (90,000 x 1.05) BTC.
    inputs = {
        "rates": {
            "USDTUSD": {"index": 1.0, "bid_buffer": 0.02, "ask_buffer": 0.01},
            "BTCUSD": {"index": 90_000.0, "bid_buffer": 0.05, "ask_buffer": 0.05},
        },
        "wallet": {"USDT": 400.0, "BTC": 0.1},
        "positions": [
            {"symbol": "BTCUSDT", "side": -1, "qty": 0.5, "entry": 88_000, "mark": 90_000, "mmr": 0.004, "leverage": 20}
        ],
    }
    expected = {
        "account_equity_usd": 7_944.0,
        "account_mm": 181.8,
        "account_im": 2_272.5,
        "available_BTC": 5_671.5 / 94_500.0,
        "margin_ratio": 181.8 / 7_944.0,
    }
    report = verified(tmp_path, "multi-assets", inputs, expected)
    assert (report.matched, report.mismatched) == (1, [])
    wrong = verified(tmp_path, "multi-assets", inputs, {**expected, "account_mm": 180.0})
    assert (wrong.matched, len(wrong.mismatched)) == (0, 1)


def test_portfolio_margin_account_to_its_uni_mmr(tmp_path):
    # Positions and wallets of the venue's article of 2022 (5e33af8e), with collateral rates of 0.95 set here; COIN-M:
    # 100 contracts of 100 USD from 50,000 at 40,000 lose 10,000 x (1 / 50,000 - 1 / 40,000) = -0.05 BTC.
    # USDT: 1,000 + 5,000 + 600 - 414 = 6,186; BTC: 0.1 - 0.04 + 0.1 - 0.05 = 0.11; ETH: 5.
    # Equity at 40,000 and 3,000: 6,186 + 0.11 x 40,000 x 0.95 + 5 x 3,000 x 0.95 = 6,186 + 4,180 + 14,250 = 24,616.
    # Maintenance at 0.5 %: 2,000 x 0.5 % + 1,680 x 0.5 % + 0.25 BTC x 0.5 % = 10 + 8.4 + 50 = 68.4 USD; loans at 10 %:
    # 0.004 BTC and 1.5 ETH = 160 + 4,500. In all 4,728.4, uniMMR 5.2059.
    inputs = {
        "positions": [
            {"symbol": "BTCUSDT_PERP", "side": -1, "qty": 0.05, "entry": 52_000, "mark": 40_000, "mmr": 0.005},
            {"symbol": "BTCUSDT_20220624", "side": 1, "qty": 0.04, "entry": 52_350, "mark": 42_000, "mmr": 0.005},
            {"symbol": "BTCUSD_PERP", "side": 1, "qty": 100, "entry": 50_000, "mark": 40_000, "mmr": 0.005},
        ],
        "margin_assets": {"USDT": 1_000, "BTC": 0.1, "ETH": 20},
        "um_wallet": {"USDT": 5_000},
        "cm_wallet": {"BTC": 0.1},
        "loans": {"BTC": 0.04, "ETH": 15},
        "margin_leverage": 3,
        "index_prices": {"USDT": 1.0, "BTC": 40_000.0, "ETH": 3_000.0},
        "collateral_rates": {"USDT": 1.0, "BTC": 0.95, "ETH": 0.95},
    }
    expected = {
        "upnl_short_usdt": 600.0,
        "margin_mm_ETH": 1.5,
        "adjusted_equity": 24_616.0,
        "maintenance_margin": 4_728.4,
        "unimmr": 24_616.0 / 4_728.4,
    }
    report = verified(tmp_path, "uniMMR", inputs, expected, product="portfolio-margin")
    assert (report.matched, report.mismatched) == (1, [])


@pytest.mark.parametrize("missing", ["index_prices", "collateral_rates"])
def test_a_ratio_is_not_made_up_where_prices_or_rates_are_missing(tmp_path, missing):
    inputs = {
        "positions": [{"symbol": "BTCUSDT", "side": 1, "qty": 1, "entry": 40_000, "mark": 40_000, "mmr": 0.005}],
        "margin_assets": {"USDT": 10_000},
        "index_prices": {"USDT": 1.0},
        "collateral_rates": {"USDT": 1.0},
    }
    del inputs[missing]
    report = verified(tmp_path, "uniMMR", inputs, {"unimmr": 50.0}, product="portfolio-margin")
    assert (report.matched, report.mismatched) == (0, [])
