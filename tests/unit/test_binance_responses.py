"""Binance responses of accounts that several assets back: multi-assets mode and portfolio margin."""

from __future__ import annotations

import pytest

from margincover.errors import InputError
from margincover.io.exchanges import parse_account
from margincover.model.position import MarginMode


def parse(mode, **responses):
    return parse_account("binance", responses, account_id="binance:main", mode=mode, source="book.json")


def multi_account(**more):
    def asset(name, wallet, profit, counted):
        return {
            "asset": name,
            "crossWalletBalance": wallet,
            "crossUnPnl": profit,
            "maintMargin": "0",
            "initialMargin": "0",
            "availableBalance": "8800.0",
            "marginAvailable": counted,
        }

    return {
        "multiAssetsMargin": True,
        "totalMarginBalance": "11000.5",
        "totalMaintMargin": "180.25",
        "totalInitialMargin": "2250.0",
        "availableBalance": "8750.5",
        "assets": [
            asset("USDT", "-250.0", "100.0", True),
            asset("BTC", "0.125", "0", True),
            asset("DOGE", "40.0", "0", False),
            asset("LTC", "0.0", "0", True),
        ],
        "positions": [],
        **more,
    }


def balance(asset, **amounts):
    names = (
        *("crossMarginFree", "crossMarginLocked", "crossMarginBorrowed", "crossMarginInterest"),
        *("umWalletBalance", "cmWalletBalance"),
    )
    return {"asset": asset, **dict.fromkeys(names, "0.0"), "crossMarginAsset": "0.0", **amounts}


POSITION = {
    "symbol": "BTCUSDT",
    "positionAmt": "-0.5",
    "entryPrice": "88000.0",
    "markPrice": "90000.0",
    "leverage": "0",
    "unRealizedProfit": "-1000.0",
    "liquidationPrice": "0",
    "positionSide": "BOTH",
}
TOTALS = {
    "uniMMR": "12.5",
    "accountEquity": "5000.0",
    "accountMaintMargin": "400.0",
    "accountInitialMargin": "0",
    "totalAvailableBalance": "",
    "totalMarginOpenLoss": "0",
}


def test_multi_assets_wallets_and_the_totals_in_dollars():
    account = parse("usdm_multi_assets", account=multi_account()).account
    held = {b.asset: (b.total_native, b.is_collateral) for b in account.balances}
    assert held == {"USDT": (-250.0, True), "BTC": (0.125, True), "DOGE": (40.0, False)}
    (report,) = account.reported
    assert (report.asset, report.equity_native, report.maintenance_native) == ("USD", 11_000.5, 180.25)
    assert (report.initial_native, report.available_native) == (2_250.0, 8_750.5)


def test_a_debt_counts_although_the_coin_is_no_margin():
    account = multi_account()
    account["assets"][0]["marginAvailable"] = False
    (first, *_) = parse("usdm_multi_assets", account=account).account.balances
    assert (first.total_native, first.is_collateral) == (-250.0, True)


@pytest.mark.parametrize(
    ("mode", "is_multi", "said"),
    [("usdm_single_asset", True, "usdm_multi_assets"), ("usdm_multi_assets", False, "usdm_single_asset")],
)
def test_an_account_in_the_other_mode_is_refused(mode, is_multi, said):
    with pytest.raises(InputError, match=rf"account.multiAssetsMargin: .*allowed: mode {said}"):
        parse(mode, account=multi_account(multiAssetsMargin=is_multi))


def test_portfolio_margin_adds_wallets_and_keeps_loans_apart():
    rows = [
        # 2 free and 0.5 locked, 0.25 in COIN-M; 0.75 borrowed with 0.001 of interest; crossMarginAsset is net of both.
        balance(
            "BTC",
            crossMarginFree="2.0",
            crossMarginLocked="0.5",
            crossMarginBorrowed="0.75",
            crossMarginInterest="0.001",
            cmWalletBalance="0.25",
            crossMarginAsset="1.749",
        ),
        balance("USDT", umWalletBalance="-300.0"),
        balance("ETH"),
    ]
    cm = {**POSITION, "symbol": "BTCUSD_PERP", "positionAmt": "10", "leverage": "20"}
    parsed = parse(
        "portfolio_margin", account=TOTALS, balance=rows, **{"positions[1]": [POSITION], "positions[2]": [cm]}
    )
    held = {b.asset: (b.total_native, b.borrowed_native) for b in parsed.account.balances}
    assert held == {"BTC": (2.75, pytest.approx(0.751)), "USDT": (-300.0, 0.0)}
    found = {p.symbol: p for p in parsed.account.positions}
    assert (found["BTCUSDT"].contracts, found["BTCUSDT"].leverage) == (-0.5, None)
    assert (found["BTCUSD_PERP"].contracts, found["BTCUSD_PERP"].leverage) == (10.0, 20.0)
    assert {p.margin_mode for p in found.values()} == {MarginMode.CROSS}
    (report,) = parsed.account.reported
    assert (report.asset, report.equity_native, report.maintenance_native) == ("USD", 5_000.0, 400.0)
    assert (report.ratio, report.ratio_kind, report.initial_native) == (12.5, "equity_over_mm", None)


def test_the_open_loss_of_spot_orders_is_a_debt_in_dollars():
    parsed = parse("portfolio_margin", account={**TOTALS, "totalMarginOpenLoss": "12.5"}, balance=[balance("ETH")])
    assert {b.asset: b.total_native for b in parsed.account.balances} == {"USD": -12.5}
    assert parsed.account.reported[0].equity_native is None


def test_without_balances_the_reader_is_told():
    assert any(
        "balances must be written by hand" in issue for issue in parse("portfolio_margin", account=TOTALS).issues
    )


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        ({"balance": [balance("BTC", cmWalletBalance="")]}, r"balance\[0\].cmWalletBalance: was missing"),
        ({"balance": [balance("BTC", crossMarginFree="x")]}, r"crossMarginFree"),
        ({"balance": {"code": -2015, "msg": "no"}}, r"the venue answered with code -2015"),
        ({"account": {**TOTALS, "uniMMR": "high"}, "balance": []}, r"account.uniMMR"),
        ({"account": TOTALS, "account[1]": TOTALS}, r"two account responses"),
    ],
    ids=["empty", "no number", "error", "ratio", "two accounts"],
)
def test_what_cannot_be_read_is_named(responses, said):
    with pytest.raises(InputError, match=f"book.json: binance:main: .*{said}"):
        parse("portfolio_margin", **responses)
