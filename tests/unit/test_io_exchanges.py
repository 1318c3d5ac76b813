"""Raw exchange responses: fixtures in each venue's shape, error envelopes, traps, and captured samples."""

import json
from pathlib import Path

import pytest

from margincover.errors import InputError, NotSupportedError
from margincover.io.exchanges import ParsedAccount, PositionSupplement, parse_account
from margincover.model.position import Bucket, MarginMode, Position
from tests.shared_data import shared_folder

FIXTURES = Path(__file__).parent / "fixtures"


def load(name: str) -> object:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def parse(venue: str, mode: str = "any", **responses: object) -> ParsedAccount:
    return parse_account(venue, responses, account_id=f"{venue}:main", mode=mode, source="book.json")


def by_symbol(parsed: ParsedAccount) -> dict[str, Position]:
    return {position.symbol: position for position in parsed.account.positions}


def binance_v3_and_v2() -> ParsedAccount:
    return parse(
        "binance",
        positions=load("http_get_binance_fapi_v2_position_risk"),
        account=load("http_get_binance_fapi_v3_account"),
    )


def test_binance_positions_are_signed_and_flat_rows_dropped():
    found = by_symbol(binance_v3_and_v2())
    assert list(found) == ["BTCUSDT", "ETHUSDT"]
    assert found["BTCUSDT"].contracts == 0.5
    assert found["ETHUSDT"].contracts == -2.0
    assert found["BTCUSDT"].margin_mode is MarginMode.CROSS
    assert found["BTCUSDT"].leverage == 10.0


def test_binance_isolated_collateral_is_the_isolated_wallet():
    found = by_symbol(binance_v3_and_v2())["ETHUSDT"]
    assert found.margin_mode is MarginMode.ISOLATED
    assert found.isolated_collateral_native == 750.0
    # The v2 risk row states no margin; the account row of the same symbol does.
    assert found.reported.maintenance_native == 29.0
    assert found.reported.initial_native == 725.0
    assert found.reported.liquidation_price == 3380.7


def test_binance_balance_is_the_cross_wallet_and_the_report_the_cross_pool():
    account = binance_v3_and_v2().account
    assert [(balance.asset, balance.total_native) for balance in account.balances] == [("USDT", 10_000.0)]
    (report,) = account.reported
    # Cross equity 10,000 + 1,000; maintenance 153 in all, less 29 of the isolated position.
    assert report.equity_native == 11_000.0
    assert report.maintenance_native == pytest.approx(124.0, rel=1e-12)
    assert report.initial_native == pytest.approx(3_100.0, rel=1e-12)


def test_binance_v3_hedge_rows_become_buckets_and_liquidation_price_zero_is_none():
    parsed = parse("binance", positions=load("http_get_binance_fapi_v3_position_risk_hedge"))
    long, short = parsed.account.positions
    assert (long.bucket, long.contracts) == (Bucket.LONG, 1.0)
    assert (short.bucket, short.contracts) == (Bucket.SHORT, -0.4)
    assert long.margin_mode is MarginMode.CROSS
    assert long.reported.liquidation_price is None
    assert long.leverage is None
    assert parsed.marks == {"BTCUSDT": 62_000.0}
    assert "written by hand" in parsed.issues[0]


def test_binance_v2_account_alone_gives_positions_with_mark_from_notional():
    parsed = parse("binance", account=load("http_get_binance_fapi_v2_account"))
    (position,) = parsed.account.positions
    assert (position.symbol, position.entry_price, position.mark_price) == ("BNBUSDT", 510.0, 500.0)
    assert parsed.account.balances[0].total_native == 500.0


def test_binance_v3_account_alone_asks_for_the_entry_price():
    with pytest.raises(InputError, match=r"book.json: binance:main: .*entry_price.*BTCUSDT"):
        parse("binance", account=load("http_get_binance_fapi_v3_account"))


def test_binance_coinm_short_in_contracts_with_coin_wallet():
    parsed = parse(
        "binance",
        positions=load("http_get_binance_dapi_v1_position_risk"),
        account=load("http_get_binance_dapi_v1_account"),
    )
    (position,) = parsed.account.positions
    assert (position.symbol, position.contracts, position.mark_price) == ("BTCUSD_PERP", -100.0, 40_000.0)
    assert position.reported.maintenance_native == 0.001
    assert [(balance.asset, balance.total_native) for balance in parsed.account.balances] == [("BTC", 0.7)]
    assert parsed.account.reported[0].equity_native == pytest.approx(0.75, rel=1e-12)


def test_binance_balance_list_serves_where_there_is_no_account():
    row = {"accountAlias": "a", "asset": "USDT", "balance": "900.0", "crossWalletBalance": "800.0", "crossUnPnl": "5.0"}
    account = parse("binance", balance=[row]).account
    assert (account.balances[0].total_native, account.reported[0].equity_native) == (800.0, 805.0)


def test_binance_responses_of_different_moments_are_refused():
    risk = load("http_get_binance_fapi_v2_position_risk")
    risk[0]["positionAmt"] = "0.6"
    with pytest.raises(InputError, match="same moment"):
        parse("binance", positions=risk, account=load("http_get_binance_fapi_v3_account"))


def test_bybit_side_gives_the_sign_and_index_the_bucket():
    parsed = parse("bybit", positions=load("http_get_bybit_v5_position_list"))
    found = by_symbol(parsed)
    assert list(found) == ["BTCUSDT", "ETHUSDT"]
    assert (found["BTCUSDT"].contracts, found["BTCUSDT"].bucket) == (0.5, Bucket.NET)
    assert (found["ETHUSDT"].contracts, found["ETHUSDT"].bucket) == (-2.0, Bucket.SHORT)
    assert found["BTCUSDT"].reported.liquidation_price is None
    assert found["ETHUSDT"].reported.maintenance_native == 32.2


def test_bybit_wallet_gives_borrowed_collateral_switch_and_ratio_direction():
    parsed = parse("bybit", account=load("http_get_bybit_v5_account_wallet_balance"))
    usdt, gold = parsed.account.balances
    assert (usdt.asset, usdt.total_native, usdt.borrowed_native) == ("USDT", 9_500.0, 500.0)
    assert (gold.asset, gold.is_collateral, gold.locked_native) == ("XAUT", False, 0.05)
    (report,) = parsed.account.reported
    assert (report.asset, report.equity_native, report.maintenance_native) == ("USD", 11_000.0, 202.05)
    assert (report.ratio, report.ratio_kind) == (0.0183, "mm_over_equity")


def test_bybit_websocket_push_is_read_like_a_list():
    (position,) = parse("bybit", positions=load("ws_bybit_position")).account.positions
    assert (position.symbol, position.contracts, position.entry_price) == ("BTCUSD", -3.0, 60_000.0)


def test_bybit_isolated_without_stated_collateral_must_be_given_by_hand():
    responses = {"positions": load("http_get_bybit_v5_position_list")}
    with pytest.raises(InputError, match=r"bybit:main: .*isolated_collateral.*by hand"):
        parse("bybit", mode="uta_isolated", **responses)
    given = {
        ("BTCUSDT", "NET"): PositionSupplement(isolated_collateral_native=3_000.0),
        ("ETHUSDT", "SHORT"): PositionSupplement(isolated_collateral_native=700.0, contracts=-2.0),
    }
    parsed = parse_account(
        "bybit", responses, account_id="bybit:main", mode="uta_isolated", source="b", supplements=given
    )
    assert by_symbol(parsed)["BTCUSDT"].isolated_collateral_native == 3_000.0


def test_hand_written_fact_that_contradicts_the_payload_is_refused():
    given = {("BTCUSDT", "NET"): PositionSupplement(leverage=20.0)}
    with pytest.raises(InputError, match=r"leverage: the payload says 10.0 for BTCUSDT, the book says 20.0"):
        parse_account(
            "bybit",
            {"positions": load("http_get_bybit_v5_position_list")},
            account_id="bybit:main",
            mode="uta_cross",
            source="b",
            supplements=given,
        )


def test_bybit_next_page_is_noticed():
    payload = load("http_get_bybit_v5_position_list")
    payload["result"]["nextPageCursor"] = "abc"
    assert any("next page" in issue for issue in parse("bybit", positions=payload).issues)


def test_okx_rows_keep_sign_bucket_and_margin_mode():
    found = by_symbol(parse("okx", positions=load("http_get_okx_v5_account_positions")))
    assert list(found) == ["BTC-USDT-SWAP", "ETH-USDT-SWAP", "XRP-USDT-SWAP"]
    assert found["BTC-USDT-SWAP"].isolated_collateral_native is None
    short = found["ETH-USDT-SWAP"]
    assert (short.contracts, short.bucket, short.isolated_collateral_native) == (-20.0, Bucket.SHORT, 750.0)
    assert (found["XRP-USDT-SWAP"].contracts, found["XRP-USDT-SWAP"].bucket) == (-10.0, Bucket.NET)


def test_okx_balance_excludes_isolated_margin_and_reports_the_cross_pool():
    account = parse("okx", balance=load("http_get_okx_v5_account_balance")).account
    assert [(balance.asset, balance.total_native) for balance in account.balances] == [("USDT", 10_000.0), ("BTC", 1.0)]
    (report,) = account.reported
    # eq 11,930 less isoEq 950 = cash 10,000 + cross profit 980.
    assert (report.asset, report.equity_native) == ("USDT", 10_980.0)
    assert (report.ratio, report.ratio_kind) == (73.1, "equity_over_mm")


def test_okx_spot_margin_position_is_not_supported():
    payload = load("http_get_okx_v5_account_positions")
    payload["data"][0]["instType"] = "MARGIN"
    with pytest.raises(NotSupportedError, match=r"okx:main: positions.data\[0\].instType"):
        parse("okx", positions=payload)


def test_hyperliquid_isolated_collateral_is_margin_used_less_profit():
    parsed = parse("hyperliquid", account=load("http_get_hyperliquid_clearinghouse_state"))
    found = by_symbol(parsed)
    assert list(found) == ["BTC", "ETH"]
    # Equity 950 = rawUsd 6,750 - 5,800; less the profit of 200.
    assert found["ETH"].isolated_collateral_native == 750.0
    assert found["ETH"].contracts == -2.0
    assert found["ETH"].mark_price == 2_900.0
    assert found["BTC"].mark_price == 62_000.0
    # Cross value 11,000 less the cross profit of 1,000.
    assert parsed.account.balances[0].total_native == 10_000.0
    assert parsed.account.reported[0].maintenance_native == 387.5
    assert parsed.issues == ()


def test_hyperliquid_missing_rows_are_noticed():
    payload = load("http_get_hyperliquid_clearinghouse_state")
    payload["assetPositions"] = payload["assetPositions"][1:]
    assert "rows may be missing" in parse("hyperliquid", account=payload).issues[0]


@pytest.mark.parametrize(
    ("venue", "payload", "words"),
    [
        (
            "binance",
            {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
            "-2015: 'Invalid API-key",
        ),
        ("bybit", {"retCode": 10003, "retMsg": "API key is invalid.", "result": {}}, "10003: 'API key is invalid"),
        ("okx", {"code": "50111", "msg": "Invalid OK-ACCESS-KEY", "data": []}, "50111: 'Invalid OK-ACCESS-KEY"),
        ("hyperliquid", {"status": "err", "response": "user not found"}, "user not found"),
        ("hyperliquid", None, "was missing"),
    ],
)
def test_error_envelope_quotes_code_and_message_of_the_venue(venue, payload, words):
    with pytest.raises(InputError) as caught:
        parse(venue, positions=payload)
    text = str(caught.value)
    assert text.startswith(f"book.json: {venue}:main: positions: ")
    assert words in text


BROKEN_NUMBERS = ["abc", "1,000", "NaN", "Infinity", "1e999", " 1", True, [1], {}, "0x10", "1_000"]


@pytest.mark.parametrize("value", BROKEN_NUMBERS)
@pytest.mark.parametrize(
    ("venue", "fixture", "path"),
    [
        ("binance", "http_get_binance_fapi_v2_position_risk", [0, "markPrice"]),
        ("binance", "http_get_binance_fapi_v2_position_risk", [1, "liquidationPrice"]),
        ("bybit", "http_get_bybit_v5_position_list", ["result", "list", 0, "size"]),
        ("bybit", "http_get_bybit_v5_position_list", ["result", "list", 1, "positionMM"]),
        ("okx", "http_get_okx_v5_account_positions", ["data", 1, "margin"]),
        ("hyperliquid", "http_get_hyperliquid_clearinghouse_state", ["assetPositions", 0, "position", "entryPx"]),
    ],
)
def test_number_that_is_no_decimal_names_file_account_and_field(venue, fixture, path, value):
    payload = load(fixture)
    inner = payload
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InputError) as caught:
        parse(venue, positions=payload)
    text = str(caught.value)
    assert text.startswith(f"book.json: {venue}:main: positions")
    assert f".{path[-1]}: was " in text
    assert "finite decimal" in text


@pytest.mark.parametrize(
    ("venue", "fixture", "path"),
    [
        ("binance", "http_get_binance_fapi_v2_position_risk", [0, "positionAmt"]),
        ("binance", "http_get_binance_fapi_v2_position_risk", [0, "symbol"]),
        ("bybit", "http_get_bybit_v5_position_list", ["result", "list", 0, "side"]),
        ("bybit", "http_get_bybit_v5_position_list", ["result", "list"]),
        ("okx", "http_get_okx_v5_account_positions", ["data", 3, "pos"]),
        ("okx", "http_get_okx_v5_account_positions", ["data", 0, "mgnMode"]),
        ("hyperliquid", "http_get_hyperliquid_clearinghouse_state", ["crossMarginSummary", "accountValue"]),
        ("hyperliquid", "http_get_hyperliquid_clearinghouse_state", ["assetPositions"]),
    ],
)
def test_missing_required_field_is_named(venue, fixture, path):
    payload = load(fixture)
    inner = payload
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    with pytest.raises(InputError, match=rf"{venue}:main: .*{path[-1]}: was missing"):
        parse(venue, positions=payload)


def test_unknown_fields_of_a_venue_are_ignored():
    payload = load("http_get_okx_v5_account_positions")
    for row in payload["data"]:
        row["newField"] = {"deep": [1, 2]}
    assert len(parse("okx", positions=payload).account.positions) == 3


def test_unknown_venue_and_role_are_refused():
    with pytest.raises(InputError, match=r"venue was 'kraken'; allowed: binance, bybit"):
        parse("kraken", positions=[])
    with pytest.raises(InputError, match="unknown response 'orders'"):
        parse("okx", orders=[])


# Captured responses -------------------------------------------------------------------------------------------------


def sample(name: str) -> dict:
    return json.loads((shared_folder() / "data" / "exchange_samples" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    "name",
    [
        "binance-usdm-btc-iso-long-docs",
        "binance-usdm-gas-iso-short",
        "binance-usdm-risk-v3-wld",
        "bybit-ada-uta-long-2025a",
        "bybit-btcusd-inverse-testnet",
        "bybit-eth-classic-iso-long",
        "bybit-xrp-uta-long-2022",
        "okx-ethusd-future-iso-long",
        "okx-xrp-swap-cross-long",
    ],
)
def test_captured_position_parses_as_its_context_says(name):
    captured = sample(name)
    raw, context, says = captured["raw"], captured["context"], captured["exchange_says"]
    (position,) = parse(captured["venue"], positions=[raw]).account.positions
    if "side" in context:
        assert (position.contracts > 0) == (context["side"] > 0)
    if "entry" in context:
        assert position.entry_price == context["entry"]
    if "isolated_wallet" in context:
        assert position.isolated_collateral_native == pytest.approx(context["isolated_wallet"], rel=1e-12)
    for key, value in (
        ("maint_margin", position.reported.maintenance_native),
        ("position_mm", position.reported.maintenance_native),
        ("mmr", position.reported.maintenance_native),
        ("initial_margin", position.reported.initial_native),
        ("position_im", position.reported.initial_native),
        ("imr", position.reported.initial_native),
        ("upnl", position.reported.unrealised_pnl_native),
        ("upl", position.reported.unrealised_pnl_native),
        ("margin", position.isolated_collateral_native),
        ("position_balance", position.isolated_collateral_native),
        ("liquidation_price", position.reported.liquidation_price),
        ("liq_px", position.reported.liquidation_price),
        ("liq_price", position.reported.liquidation_price),
    ):
        if key in says:
            assert value == pytest.approx(says[key], rel=1e-12), key


@pytest.mark.parametrize("name", ["hyperliquid-btc-cross-1x", "hyperliquid-eth-iso-long-docs"])
def test_captured_hyperliquid_position_parses(name):
    raw = sample(name)["raw"]
    state = {
        "assetPositions": [{"type": "oneWay", "position": raw}],
        "crossMarginSummary": {"accountValue": "20.0"},
    }
    (position,) = parse("hyperliquid", account=state).account.positions
    assert position.contracts == float(raw["szi"])
    if raw["leverage"]["type"] == "isolated":
        # rawUsd + value = marginUsed: -95.059824 + 100.02765; less the profit of -0.0134.
        assert position.isolated_collateral_native == pytest.approx(4.967826 + 0.0134, rel=1e-12)


@pytest.mark.parametrize("name", ["bybit-uta-wallet-1352", "bybit-uta-wallet-nautilus"])
def test_captured_bybit_wallet_parses(name):
    captured = sample(name)
    parsed = parse("bybit", account=captured["raw"])
    (report,) = parsed.account.reported
    assert report.equity_native == captured["exchange_says"]["margin_balance"]
    assert report.available_native == captured["exchange_says"]["available"]
    assert report.ratio == captured["exchange_says"]["mm_rate"]
    # The cut sample has no coin list, and that is said.
    assert "no coin list" in parsed.issues[0]


def test_captured_okx_multi_currency_balance_parses():
    captured = sample("okx-account-multiccy-docs")
    (report,) = parse("okx", balance=captured["raw"]).account.reported
    assert (report.asset, report.ratio) == ("USD", captured["exchange_says"]["mgn_ratio"])
    assert report.maintenance_native == captured["exchange_says"]["mmr"]


@pytest.mark.parametrize(
    ("name", "role", "words"),
    [
        ("binance-coinm-btc-quarter", "positions", "positionAmt: was missing"),
        ("okx-shib-margin-iso-short", "positions", "SHIB-USDT is a MARGIN position"),
        ("hyperliquid-nautilus-cross-account", "account", "assetPositions: was missing"),
    ],
)
def test_captured_part_that_lacks_what_is_needed_says_so(name, role, words):
    captured = sample(name)
    raw = captured["raw"] if role == "account" else [captured["raw"]]
    with pytest.raises(InputError, match=words):
        parse(captured["venue"], **{role: raw})
