"""Binance multi-assets and portfolio margin against the venue's own worked numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from margincover.errors import InputError, RulebookError
from margincover.pricing import linear
from margincover.venues.binance import multi_assets as multi
from margincover.venues.binance import order_cost, portfolio
from margincover.venues.parameters import packaged, parameters
from tests.shared_data import shared_folder

NOON_2025 = datetime(2025, 6, 1, tzinfo=UTC)


def example(name):
    rows = json.loads((shared_folder() / "reference/examples/binance.json").read_text())
    return next(row for row in rows if row["id"] == name)


def portfolio_parameters():
    edition = parameters("binance", mode="portfolio_margin", underlying="BTC", at=NOON_2025)
    return portfolio.PortfolioParameters.from_mapping(edition.values, source=edition.id)


def test_every_packaged_edition_is_readable():
    readers = {
        "multi_assets": multi.MultiAssetsParameters,
        "multi_assets_auto_exchange": multi.AutoExchangeParameters,
        "portfolio_margin": portfolio.PortfolioParameters,
        "portfolio_margin_collateral": portfolio.CollateralParameters,
        "portfolio_margin_negative_balance_vip9": portfolio.NegativeBalanceParameters,
        "portfolio_margin_negative_balance_single": portfolio.NegativeBalanceParameters,
        "order_cost": order_cost.OrderCostParameters,
    }
    read = [readers[e.mode].from_mapping(e.values, source=e.id) for e in packaged("binance")]
    assert len(read) == 9


def test_multi_assets_faq_without_positions():
    # https://www.binance.com/en/support/faq/c983a9268cfa4e70a4916c276bb3b7bc (2022-07-06), read 2026-11-22:
    # 200 USDT at index 0.99 with buffers 1 % and 0.5 %, 220 USDC at 1: equity 200 * 0.9801 + 220 = 416.02 USD.
    bid, ask = multi.asset_rates(
        [[0.99], [1.0]], bid_buffer_fraction=[[0.01], [0.0]], ask_buffer_fraction=[[0.005], [0.0]]
    )
    assert bid[0, 0] == pytest.approx(0.9801, abs=1e-12)
    assert ask[0, 0] == pytest.approx(0.99495, abs=1e-12)
    equity = multi.account_equity_usd([[200.0], [220.0]], bid_rate=bid, ask_rate=ask)
    assert equity[0] == pytest.approx(416.02, abs=1e-9)
    available = multi.available_in_asset(equity, initial_margin_usd=[0.0], ask_rate=ask)
    # The page prints two decimals.
    assert available[:, 0] == pytest.approx([418.13, 416.02], abs=0.006)
    assert multi.margin_utilisation([0.0], equity_usd=equity)[0] == 0.0


def test_multi_assets_example_of_the_venue():
    row = example("binance-11")
    assets = list(row["inputs"]["wallet"])
    rates = [row["inputs"]["rates"][f"{asset}USD"] for asset in assets]
    bid, ask = multi.asset_rates(
        [[r["index"]] for r in rates],
        bid_buffer_fraction=[[r["bid_buffer"]] for r in rates],
        ask_buffer_fraction=[[r["ask_buffer"]] for r in rates],
    )
    wallet = [[row["inputs"]["wallet"][asset]] for asset in assets]
    equity = multi.account_equity_usd(wallet, bid_rate=bid, ask_rate=ask)
    available = multi.available_in_asset(equity, initial_margin_usd=[0.0], ask_rate=ask)
    expected, room = row["expected"], row["tolerance"]
    assert equity[0] == pytest.approx(expected["account_equity_usd"], abs=room["account_equity_usd"])
    for asset, value in zip(assets, available[:, 0], strict=True):
        assert value == pytest.approx(expected[f"available_{asset}"], abs=room[f"available_{asset}"])


def test_multi_assets_negative_equity_counts_at_the_ask():
    # 100 USDC owned, 50 USDT owed: 100 * 1 - 50 * 0.99495 = 50.2525; at the bid it would look larger.
    equity = multi.account_equity_usd([[100.0], [-50.0]], bid_rate=[[1.0], [0.9801]], ask_rate=[[1.0], [0.99495]])
    assert equity[0] == pytest.approx(50.2525, abs=1e-12)


def test_multi_assets_account_without_equity_never_looks_safe():
    assert multi.margin_utilisation([5.0, 5.0], equity_usd=[0.0, -10.0]).tolist() == [np.inf, np.inf]


def test_multi_assets_printed_rates_are_cut_to_eight_decimals():
    assert multi.printed_rate([0.123456789, 0.99 * 0.99]).tolist() == [0.12345678, 0.9801]


def test_multi_assets_auto_exchange():
    # FAQ: 20,000 / 0.975 = 20,512.82 sold; the threshold is a deficit of 10,000 USD.
    assert multi.auto_exchange_sale_usd(20_000.0, collateral_weight=0.975) == pytest.approx(20_512.820512820512)
    limit = multi.AutoExchangeParameters.from_mapping({"deficit_threshold_usd": 10_000.0}, source="test")
    due = multi.auto_exchange_due([[-10_000.0, -10_001.0]], index_price=[[1.0, 1.0]], parameters=limit)
    assert due.tolist() == [[False, True]]


def test_buffers_act_as_haircuts():
    # FAQ 29b45c485d664028b9ca1cdf90b24f6f: 1000 USD of BNB at 95 % and of ADA at 90 % support 950 and 900.
    buffers = [[0.05], [0.10]]
    bid, ask = multi.asset_rates([[1.0], [1.0]], bid_buffer_fraction=buffers, ask_buffer_fraction=buffers)
    assert multi.account_equity_usd([[1000.0], [0.0]], bid_rate=bid, ask_rate=ask)[0] == pytest.approx(950.0)
    assert multi.account_equity_usd([[0.0], [1000.0]], bid_rate=bid, ask_rate=ask)[0] == pytest.approx(900.0)


def test_portfolio_margin_parts_of_the_2022_article():
    # https://binance.com/en/support/faq/5e33af8e6ac04d57a1d0a3398e0a0752 (2022-04-18): 3x leverage is 10 % of a loan.
    rate = portfolio_parameters().loan_maintenance_of(3)
    maintenance = portfolio.loan_maintenance_usd(
        [[0.04], [15.0]], rate_fraction=rate, index_price=[[40_000.0], [3_000.0]]
    )
    # 0.04 BTC * 10 % = 0.004 BTC and 15 ETH * 10 % = 1.5 ETH.
    assert maintenance[0] == pytest.approx(0.004 * 40_000.0 + 1.5 * 3_000.0, abs=1e-9)
    equity = portfolio.asset_equity(
        margin_asset=[[0.1]], margin_loan=[[0.04]], futures_asset=[[0.0]], futures_unrealised_pnl=[[0.0]]
    )
    assert equity[0, 0] == pytest.approx(0.06, abs=1e-12)


def test_portfolio_margin_example_of_the_venue():
    row = example("binance-18")
    profits = [
        float(linear.profit(signed_size=p["side"] * p["qty"], entry_price=p["entry"], price=p["mark"]))
        for p in row["inputs"]["positions"]
    ]
    assert profits == pytest.approx([row["expected"]["upnl_short_usdt"], row["expected"]["upnl_long_usdt"]], abs=0.006)
    rate = portfolio_parameters().loan_maintenance_of(row["inputs"]["margin_leverage"])
    assert rate == row["inputs"]["loan_mmr"]
    for coin, loan in row["inputs"]["loans"].items():
        value = portfolio.loan_maintenance_usd([[loan]], rate_fraction=rate, index_price=1.0)[0]
        assert value == pytest.approx(row["expected"][f"margin_mm_{coin}"], abs=1e-12)


def test_negative_balance_interest_of_the_announcement():
    row = example("binance-19")
    edition = parameters("binance", mode="portfolio_margin_negative_balance_vip9", underlying="*", at=NOON_2025)
    limit = portfolio.NegativeBalanceParameters.from_mapping(edition.values, source=edition.id)
    assert limit.free_negative_balance_usdt == row["inputs"]["vip9_threshold"]
    charged, interest = portfolio.negative_balance_interest(
        row["inputs"]["balance_USDT"], daily_rate_fraction=row["inputs"]["daily_rate"], parameters=limit
    )
    assert charged == pytest.approx(row["expected"]["charged_balance"], abs=1e-9)
    assert interest == pytest.approx(row["expected"]["interest_usdt"], abs=1e-12)


def test_uni_mmr_of_one_account_by_hand():
    # 1 BTC at 40,000 with weight 0.95 and 5,000 USDT owed: 38,000 - 5,000 = 33,000 USD of equity.
    equity = portfolio.account_equity_usd(
        [[1.0], [-5_000.0]], index_price=[[40_000.0], [1.0]], collateral_weight=[[0.95], [1.0]]
    )
    assert equity[0] == pytest.approx(33_000.0)
    # A 100,000 USDT leg at 1 % less 300, and a loan of 5,000 at 10 %: 700 + 500 = 1,200 USD.
    futures = portfolio.futures_maintenance_usd(
        [[-100_000.0]], rate_fraction=0.01, deduction=300.0, settle_index_price=1.0
    )
    loan = portfolio.loan_maintenance_usd([[5_000.0]], rate_fraction=0.10, index_price=[[1.0]])
    assert (futures + loan)[0] == pytest.approx(1_200.0)
    assert portfolio.uni_mmr(equity, maintenance_usd=futures + loan)[0] == pytest.approx(27.5)
    # 33,000 - 1.2 * 1,200 = 31,560 may leave; at 3x it would carry 2 * (31,560 - 1,000 / 2) of loans.
    free = portfolio.maximum_withdrawal_usd(equity, maintenance_usd=futures + loan, parameters=portfolio_parameters())
    assert free[0] == pytest.approx(31_560.0)
    assert portfolio.maximum_loan_usd(free, virtual_loan_usd=1_000.0, margin_leverage=3.0)[0] == pytest.approx(62_120.0)


def test_uni_mmr_without_maintenance():
    assert portfolio.uni_mmr([10.0, -10.0], maintenance_usd=[0.0, 0.0]).tolist() == [np.inf, -np.inf]


def test_account_lines_take_the_worse_side():
    status = portfolio.account_status([np.inf, 1.5, 1.2, 1.0501, 1.05, 1.0], portfolio_parameters())
    assert status.tolist() == [0, 1, 2, 2, 3, 4]


def test_a_missing_ratio_is_refused():
    with pytest.raises(InputError, match="uni_mmr_ratio"):
        portfolio.account_status([np.nan], portfolio_parameters())


def test_a_margin_leverage_that_is_not_offered_is_refused():
    with pytest.raises(RulebookError, match="margin leverage was 4"):
        portfolio_parameters().loan_maintenance_of(4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bid_buffer_fraction": 5.0}, "bid_buffer_fraction"),
        ({"bid_buffer_fraction": float("nan")}, "bid_buffer_fraction"),
        ({"bid_buffer_fraction": "0.05"}, "bid_buffer_fraction"),
        ({"bid_buffer": 0.05}, "unknown key bid_buffer"),
    ],
    ids=["per cent", "nan", "text", "unknown"],
)
def test_bad_parameters_are_refused_with_source_and_key(change, said):
    good = dict.fromkeys(multi.MultiAssetsParameters.__dataclass_fields__, 0.01)
    with pytest.raises(RulebookError, match=f"(?s)rules of a test.*{said}"):
        multi.MultiAssetsParameters.from_mapping({**good, **change}, source="rules of a test")
    del good["bid_buffer_fraction"]
    with pytest.raises(RulebookError, match="bid_buffer_fraction was missing"):
        multi.MultiAssetsParameters.from_mapping(good, source="rules of a test")
