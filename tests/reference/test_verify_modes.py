"""The verifier on further venues and modes: every expected number is worked out beside its case, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from margincover.errors import InputError, RulebookError
from margincover.venues.binance import order_cost
from margincover.venues.hyperliquid import portfolio
from margincover.venues.parameters import packaged
from tests.reference.verify.adaptors.perpetuals import NAMES
from tests.reference.verify.cases import default_files, load_cases
from tests.reference.verify.report import Report, run
from tests.shared_data import shared_folder

Row = dict[str, object]
# Cases of the shared files that these venues and modes reach.
MATCHED = {"perpetuals": 20, "binance": 5, "bybit": 5, "okx": 11, "hyperliquid": 2}


def example(venue: str, product: str, mode: str, inputs: object, expected: object, **more: object) -> Row:
    row = {"id": f"{venue} {product} {mode}", "venue": venue, "product": product, "account_mode": mode}
    return {**row, "source": "derived here", "inputs": inputs, "expected": expected, **more}


def sample(venue: str, product: str, raw: object, context: object, says: object, source: str = "derived here") -> Row:
    row = {"id": f"{venue} {product}", "venue": venue, "product": product, "provenance": "captured", "source": source}
    return {**row, "raw": raw, "context": context, "exchange_says": says}


def verified(tmp_path: Path, *rows: Row) -> Report:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(list(rows)), encoding="utf-8")
    return run(load_cases([file]))


# Short 2 ETH at 100, mark 90, margin 30: equity 50. Liquidated where 30 + 2 (100 - p) = a 2 p, a the rate with fee.
SHORT = {"side": -1, "qty": 2.0, "entry": 100.0, "mark": 90.0, "margin": 30.0}
CASES = [
    # a = 0.01 + 0.00075: p = 230 / 2.0215.
    sample("gate", "linear_perp", {}, {**SHORT, "mmr": 0.01}, {"liq_price": 230.0 / 2.0215, "upnl": 20.0}),
    # Lighter states equity and the initial fraction: 10 % of 180 is 18, 50 - 18 = 32; a = 0.012.
    sample(
        "lighter",
        "perp_cross",
        {"position": {"position": "-2.0"}},
        {"qty": -2.0, "entry": 100.0, "mark": 90.0, "equity": 50.0, "mmf": 0.012, "imf": 0.1},
        {"available_balance": 32.0, "liquidation_price": 230.0 / 2.024},
    ),
    # Delta measures maintenance on entry: 115 - 0.005 * 100.
    sample(
        "delta", "perp_isolated", {}, {**SHORT, "mmr": 0.005}, {"liquidation_price": 114.5, "bankruptcy_price": 115}
    ),
    # Bitget prints 90 + (50 - (0.004 + 0.0006) * 180) / 2: the requirement held at the mark.
    sample(
        "bitget", "linear_perp_cross", {}, {**SHORT, "equity": 50.0, "keep_margin_rate": 0.004}, {"liq_price": 114.586}
    ),
    # Queue score: 50 / 20 of the wallet, times a margin ratio of 0.2.
    example(
        "binance",
        "usdm",
        "ADL score",
        {"upnl": 50.0, "wallet_balance": 20.0, "margin_ratio": 0.2},
        {"pnl_percent": 2.5, "leverage_pnl": 0.5},
    ),
    # A fall of 800 against a pool of 2,000; beyond 30 % of the pool, 600, lie 200.
    example(
        "bybit",
        "insurance/ADL",
        "contract PnL drawdown",
        {"pool_8h_max": 2000.0, "symbol_pnl_now": -900.0, "symbol_8h_max_pnl": -100.0, "insurancePnlRatio": -0.3},
        {"pnlRatio": -0.4, "loss_shifted_to_adl": 200.0},
    ),
    # HTX at 5x: position margin 180 / 5 = 36; 50 / 36 - 0.1.
    sample(
        "htx",
        "linear_perp_isolated",
        {"direction": "sell", "volume": "2"},
        {"face": 1.0, "cost_hold": 100.0, "last": 90.0, "lever": 5, "adjust": 0.1, "margin_static": 30.0},
        {"position_margin": 36.0, "risk_rate": 50.0 / 36.0 - 0.1},
    ),
    # KuCoin in 2026: no funding in the rule; maintenance (0.005 + 0.0006) * 180 = 1.008; margin balance 30 + 20.
    sample(
        "kucoin",
        "linear_perp_isolated",
        {"posMargin": 30.0},
        {"side": -1, "base_qty": 2.0, "entry": 100.0, "mark": 90.0, "mmr": 0.005},
        {"pos_maint": 1.008, "maint_margin": 50.0, "liquidation_price": 230.0 / 2.0112},
        source="payload of 2026-02-03",
    ),
    # The same with its printed bust price: 115.4 / 1.0056.
    sample(
        "kucoin",
        "linear_perp_isolated, bust price",
        {"bankruptPrice": 115.4, "posMargin": 30.0},
        {"side": -1, "base_qty": 2.0, "entry": 100.0, "mark": 90.0, "mmr": 0.005},
        {"liquidation_price": 115.4 / 1.0056},
        source="payload of 2026-02-03",
    ),
    # BloFin prints 0.5 % of 180 without the fee; the price holds it: a = 0.0056.
    sample(
        "blofin",
        "linear_perp_cross",
        {},
        {**SHORT, "equity": 50.0, "mmr": 0.005, "leverage": 10},
        {"maintenance_margin": 0.9, "initial_margin": 18.0, "liquidation_price": 230.0 / 2.0112},
    ),
    # 1000 USD short at 8000, 0.02 BTC: 0.02 - 1000 / 8000 + 1000 / p = 10 / p gives p = 990 / 0.105; bust 1000 / 0.105.
    example(
        "kraken_futures",
        "PI inverse",
        "single-collateral",
        {"side": "short", "contracts_usd": 1000, "entry": 8000, "margin_btc": 0.02, "im_rate": 0.02, "mm_rate": 0.01},
        {"im_btc": 0.0025, "liquidation_price": 990.0 / 0.105, "bankruptcy_price": 1000.0 / 0.105},
    ),
    # 40 coins at 50: 2,000 of value; 4 % and 1 % of it at 25x.
    example(
        "bitmex",
        "linear",
        "cross",
        {"contracts": 40, "price": 50, "leverage": 25, "mm": 0.01},
        {"initial_margin_usdt": 80.0, "maintenance_margin_usdt": 20.0},
    ),
    # 100 USDC at par and -10 USDT of profit at the ask 1.01: 89.9; margin 0.1 * 90 / 9 = 1 at the ask.
    example(
        "binance",
        "usdm",
        "multi-assets",
        {
            "rates": {
                "USDTUSD": {"index": 1.0, "bid_buffer": 0.01, "ask_buffer": 0.01},
                "USDCUSD": {"index": 1, "bid_buffer": 0, "ask_buffer": 0},
            },
            "wallet": {"USDT": 0, "USDC": 100},
            "positions": [
                {"symbol": "ETHUSDT", "side": 1, "qty": 1, "entry": 100, "mark": 90, "leverage": 90, "mmr": 0.01}
            ],
        },
        {"account_equity_usd": 89.9, "available_USDC": 88.89, "margin_ratio": 0.909 / 89.9},
    ),
    # Sell 2 at 90 with the mark at 100: 180 / 10 = 18, and 20 lost when it fills.
    example(
        "binance",
        "usdm-perp",
        "order cost (rule until Nov 2024)",
        {"order_price": 90, "qty": 2, "leverage": 10, "mark": 100},
        {"initial_margin": 18, "open_loss_short": 20, "open_loss_long": 0, "order_cost_short": 38},
    ),
    # 250 beyond 400 at 0.2 % a day.
    example(
        "binance",
        "portfolio-margin",
        "negative balance interest",
        {"balance_USDT": -650, "vip1_threshold": 400, "daily_rate": 0.002},
        {"charged_balance": -250, "interest_usdt": 0.5},
    ),
    # Put 90 at index 100, mark 2, sold at 3: (3 + 2 + 0.2) * 2 = 10.4; max(15 - 10, 10) + 3 = 13, twice.
    example(
        "bybit",
        "option",
        "UTA cross",
        {
            "side": "short",
            "size": 2,
            "type": "P",
            "strike": 90,
            "index": 100,
            "mark": 2,
            "avg_price": 3,
            "margin_balance": 104,
        },
        {"position_mm": 10.4, "position_im": 26.0, "account_mm_pct": 0.1},
    ),
    # Worst node -30 - 2 + 1; 31 and a contingency of 9 are 40, 1.2 times 48.
    example(
        "bybit",
        "portfolio-margin",
        "UTA PM (risk unit BTC)",
        {"perp_pnl": [-30, 30], "option_pnl": [-2, 1], "spot_hedge_pnl": [1, 0], "contingency": 9},
        {"total_pnl": [-31, 31], "max_loss": 31, "mm": 40, "im": 48},
    ),
    # 55 bought with 40, and 100 lost with 40.
    example(
        "bybit",
        "UTA",
        "auto borrow",
        {"case_spot": {"wallet_usdc": 40, "buy_usdc": 55}, "case_upl": {"wallet_usdt": 40, "upl_usdt": -100}},
        {"borrow_spot": 15, "borrow_upl": 60},
    ),
    # Call 110 at forward 100, per coin: initial max(0.1, 0.15 - 0.1) + 0.02, maintenance 0.03 + 0.02; orders at 0.01
    # with a fee of 0.001: sell max(0.12 - 0.01 + 0.001, 0.1), buy 0.011. Ten coins.
    example(
        "okx",
        "option (coin-margined)",
        "single-currency",
        {"type": "C", "forward": 100, "strike": 110, "mark": 0.02, "mult": 0.1, "n": 100, "px": 0.01, "fee": 0.001},
        {"position_im": 1.2, "position_mm": 0.5, "sell_to_open": 1.11, "buy_to_open": 0.11},
    ),
    # Unit max(max(10, 4, 7) + 1 + 2 + 3, 5) = 16.
    example(
        "okx",
        "portfolio-margin",
        "aggregation",
        {"now": {"mr1": 10, "mr2": 4, "mr6": 7, "mr3": 1, "mr4": 2, "mr5": 3, "mr7": 5}},
        {"mmr_now": 16},
    ),
    # Long pair: 3 coins at 50 against 100 owed at 10 % and 1 %: 50 / (10 + 110 * 0.01); price 100 * 1.1 * 1.01 / 3.
    sample(
        "okx",
        "margin_isolated",
        {"instType": "MARGIN", "instId": "ETH-USDT", "liabCcy": "USDT"},
        {"position_assets": 3.0, "liability": 100.0, "mark": 50.0, "mmr_rate": 0.1, "taker_fee": 0.01, "short": False},
        {"mgn_ratio": 50.0 / 11.1, "liq_px": 111.1 / 3.0},
    ),
    # Fees 1000 * 0.05 % and 500 * 0.1 %, loan 200 * 1.02 * 0.1 %: 0.5 + 0.5 + 0.204.
    sample(
        "okx",
        "account_multi_currency",
        {"adjEq": "500", "mmr": "20", "imr": "100"},
        {
            "swap_notional": 1000,
            "swap_fee": 0.0005,
            "future_notional": 500,
            "future_fee": 0.001,
            "liability_usd": 200,
            "borrow_mmr": 0.02,
            "borrow_fee": 0.001,
        },
        {"mgn_ratio": 500.0 / 21.204, "avail_eq": 400.0},
    ),
    # 0.5 + 0.5 * 0.8 and 0.05 + 4.75 * 0.1; below the kink the base rate alone.
    example("hyperliquid", "threshold", "portfolio margin", {"ltv_BTC": 0.8}, {"liquidation_threshold": 0.9}),
    example("hyperliquid", "borrow rate", "portfolio margin", {"utilization": 0.9}, {"apy": 0.525}),
    example("hyperliquid", "low borrow rate", "portfolio margin", {"utilization": 0.5}, {"apy": 0.05}),
]


@pytest.mark.parametrize("row", CASES, ids=lambda row: str(row["id"]))
def test_case_solved_by_hand_is_met_in_every_figure_and_a_wrong_one_is_reported(tmp_path, row):
    report = verified(tmp_path, row)
    assert (report.mismatched, report.unsupported, report.unanswered) == ([], [], [])
    key = "expected" if "expected" in row else "exchange_says"
    wrong = {**row, key: {name: _moved(value) for name, value in row[key].items()}}
    assert {found["field"] for found in verified(tmp_path, wrong).mismatched} == set(row[key])


def _moved(value):
    if isinstance(value, list):
        return [_moved(part) for part in value]
    # Many digits: a figure printed short would leave half of its last digit open.
    return value * 1.23456789 + (value == 0) * 1.23456789


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            example("binance", "usdm", "ADL score", {"upnl": 1, "wallet": 2}, {"pnl_percent": 0.5}),
            "none of marginratio",
        ),
        (example("bybit", "insurance/ADL", "drawdown", {"pnl": 1}, {"pnlRatio": 1}), "none of symbolpnlnow"),
        (example("aevo", "prices", "PM", {"spot": 1}, {"up": 2}), "no confirmed rule"),
        (
            sample("phemex", "linear_perp_isolated", {}, {"entry": 1, "qty": 1}, {"liquidation_price": 1}),
            "no confirmed",
        ),
        (
            sample("mexc", "perp_isolated", {}, {**SHORT, "mmr": 0.01}, {"liquidate_price": 115}),
            "not confirmed for mexc",
        ),
        (sample("htx", "perp_cross", {}, SHORT, {"risk_rate": 1}), "no confirmed rule of this margin mode"),
        (sample("okx", "margin_isolated", {"instType": "MARGIN"}, {"mark": 1.0}, {"liq_px": 1}), "without assets"),
        (example("okx", "option", "single", {"n": 1, "mult": 1}, {"position_im": 1}), "no figure"),
        (example("binance", "pm span", "grid", {"price": 1}, {"scan": 1}), "not published"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value["id"]),
)
def test_case_without_a_rule_is_unsupported_with_its_reason(tmp_path, row, reason):
    report = verified(tmp_path, row)
    assert (report.matched, report.mismatched) == (0, [])
    assert reason in report.unsupported[0]["reason"]


def test_order_cost_agrees_with_its_twin_on_random_orders():
    random = np.random.default_rng(7)
    size, leverage = random.normal(0.0, 3.0, 200), random.uniform(1.0, 125.0, 200)
    order, mark = random.uniform(1.0, 100.0, (2, 200))
    fast = order_cost.initial_margin(signed_size=size, price=order, leverage=leverage)
    fast = fast + order_cost.open_loss(signed_size=size, order_price=order, mark=mark)
    rows = zip(size, order, mark, leverage, strict=True)
    slow = [order_cost.order_cost_reference(signed_size=q, order_price=p, mark=m, leverage=x) for q, p, m, x in rows]
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_sell_order_since_2024_counts_at_no_less_than_the_last_price_with_its_markup():
    # 100 * 1.0015 = 100.15 above mark 99 and order 98; a buy order counts at its own price.
    rule = order_cost.OrderCostParameters(sell_markup_fraction=0.0015)
    price = order_cost.assuming_price(signed_size=[-1.0, 1.0], order_price=98.0, mark=99.0, last=100.0, parameters=rule)
    assert price.tolist() == pytest.approx([100.15, 98.0])
    with pytest.raises(InputError, match="last"):
        order_cost.assuming_price(signed_size=-1.0, order_price=98.0, mark=99.0, last=float("nan"), parameters=rule)


def test_hyperliquid_rates_refuse_what_is_no_fraction():
    edition = packaged("hyperliquid")[0]
    rule = portfolio.PortfolioParameters.from_mapping(edition.values, source=edition.id)
    for bad in (75.0, -0.1, float("nan")):
        with pytest.raises(InputError, match="ltv_fraction"):
            portfolio.liquidation_threshold(bad, parameters=rule)
        with pytest.raises(InputError, match="utilisation_fraction"):
            portfolio.borrow_rate_per_year(bad, parameters=rule)
    with pytest.raises(RulebookError, match="threshold_base_fraction"):
        portfolio.PortfolioParameters.from_mapping({**edition.values, "threshold_base_fraction": 50.0}, source="t")


def _shared_report(group: str) -> Report:
    shared_folder()
    venues = NAMES if group == "perpetuals" else (group,)
    modes = (
        "portfolio",
        "multi-assets",
        "order cost",
        "option",
        "borrow",
        "margin (spot",
        "margin_isolated",
        "adl score",
    )
    cases = [case for case in load_cases(default_files()) if case.venue in venues]
    if group != "perpetuals":
        cases = [case for case in cases if any(word in case.family for word in modes)]
    return run(cases)


@pytest.mark.parametrize("group", list(MATCHED))
def test_shared_cases_reach_the_count_and_none_differs(group):
    report = _shared_report(group)
    assert report.mismatched == []
    assert report.matched >= MATCHED[group]
