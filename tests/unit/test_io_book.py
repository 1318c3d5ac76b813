"""Book files: a full book in JSON and TOML, every kind of broken field, referenced files, the JSON Schema."""

import copy
import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from margincover.errors import InputError
from margincover.io.book_file import book_json_schema, load_book, parse_book
from margincover.model.position import Bucket, MarginMode, Side

FIXTURES = Path(__file__).parent / "fixtures"

BOOK = {
    "schema_version": 1,
    "as_of": "2026-11-20T12:00:00Z",
    "market": {
        "observed_at": "2026-11-20T13:59:30+02:00",
        "marks": {"BTCUSDT": 62000, "ETHUSDT.BINANCE": 2900.5},
        "asset_usd": {"USDT": 0.9998, "BTC": 61990.0},
        "funding_per_hour": {"BTCUSDT": -0.00001},
        "volatility_annual": {"BTC": 0.6},
    },
    "accounts": [
        {
            "id": "binance:main",
            "mode": "usdm_single_asset",
            "taker_fee": 0.0004,
            "margin_call_coverage_ratio": 1.5,
            "positions": [
                {"symbol": "BTCUSDT", "contracts": -0.5, "entry_price": 60000},
                {
                    "symbol": "ETHUSDT",
                    "side": "long",
                    "size": 2,
                    "entry_price": 3000.0,
                    "margin_mode": "isolated",
                    "leverage": 8,
                    "isolated_collateral": 750.0,
                    "bucket": "LONG",
                    "mark_price": 2900.0,
                    "maintenance_fraction": 0.005,
                    "maintenance_deduction": 16.0,
                    "reported": {"maintenance": 29.0, "liquidation_price": 2650.0},
                },
            ],
            "balances": [
                {
                    "asset": "USDT",
                    "total": 10000,
                    "locked": 10.0,
                    "borrowed": 5.0,
                    "is_collateral": True,
                    "observed_at": "2026-11-20T11:59:00Z",
                },
                {"asset": "BNB", "total": -1.5},
            ],
            "open_orders": [{"symbol": "BTCUSDT", "side": "buy", "contracts": 0.1, "price": 59000}],
            "reported": {"asset": "USDT", "equity": 11000.0, "ratio": 0.012, "ratio_kind": "mm_over_equity"},
        },
        {"id": "okx:hedge", "venue": "okx", "mode": "futures"},
    ],
    "instruments": [{"venue": "okx", "symbol": "BTC-USDT-SWAP", "multiplier": 0.01, "tick": 0.1}],
    "tiers": {"binance": {"BTCUSDT": [[0, 300000, 0.004], [300000, 800000, 0.005, 100, 300]]}},
    "tolerance": {"probability": 0.005, "horizon": "3d", "measure": "rc"},
    "settings": {"max_market_age": "30min", "max_history_age": "2d", "max_rules_age_days": 90},
    "reserves": [
        {"id": "bank", "asset": "USD", "amount": 1e6, "time_to_cash_p50": "4h", "time_to_cash_p99": "3d"},
    ],
    "credit_lines": [
        {"id": "line", "asset": "USDC", "limit": 5e5, "drawn": 0, "annual_rate": 0.08, "time_to_cash": "30min"},
    ],
    "transfer_times": [
        {"origin": "bank", "destination": "okx:hedge", "asset": "USDT", "p50": "10min", "p99": "2h", "fee": 1.0},
    ],
    "proxies": {"SUI": {"factor": "SOL", "multiple": 1.2}},
}


def book(**changes):
    return copy.deepcopy(BOOK) | changes


def toml_text(value) -> str:
    """Write a book as TOML, every table inline; a second writer, so that the reader is not checked against itself."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    return json.dumps(value)


def test_full_book_in_json_becomes_a_book_input(tmp_path):
    path = tmp_path / "book.json"
    path.write_text(json.dumps(BOOK))
    found = load_book(path)
    assert found.as_of == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert found.market.observed_at == datetime(2026, 11, 20, 11, 59, 30, tzinfo=UTC)
    assert found.market.marks["BTCUSDT"] == 62_000.0
    main, hedge = found.accounts
    assert (main.venue, hedge.venue) == ("binance", "okx")
    short, long = main.positions
    assert (short.contracts, short.margin_mode, short.bucket) == (-0.5, MarginMode.CROSS, Bucket.NET)
    assert (long.contracts, long.isolated_collateral_native, long.bucket) == (2.0, 750.0, Bucket.LONG)
    assert long.reported.liquidation_price == 2_650.0
    assert main.balances[1].total_native == -1.5
    assert main.open_orders[0].side is Side.BUY
    assert main.reported[0].ratio_kind == "mm_over_equity"
    assert (main.taker_fee_fraction, main.margin_call_coverage_ratio) == (0.0004, 1.5)
    assert found.tier_overrides[0].rows[1] == (300_000.0, 800_000.0, 0.005, 100.0, 300.0)
    assert found.tier_overrides[0].rows[0][3:] == (None, None)
    assert found.instrument_overrides[0].multiplier == 0.01
    assert (found.tolerance.probability, found.tolerance.horizon_s, found.tolerance.measure) == (0.005, 259_200, "rc")
    assert (found.max_market_age_s, found.max_history_age_s, found.max_rules_age_days) == (1_800.0, 172_800.0, 90)
    assert found.reserves[0].time_to_cash_p99_s == 259_200
    assert found.credit_lines[0].annual_rate_fraction == 0.08
    assert found.transfer_times[0].fee_native == 1.0
    assert found.proxies["SUI"].factor == "SOL"
    assert found.source == str(path)
    assert found.input_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_json_and_toml_of_the_same_book_are_equal(tmp_path):
    (tmp_path / "book.json").write_text(json.dumps(BOOK))
    lines = [f"{key} = {toml_text(value)}" for key, value in BOOK.items()]
    # TOML has times of its own.
    lines[1] = "as_of = 2026-11-20T12:00:00Z"
    (tmp_path / "book.toml").write_text("\n".join(lines) + "\n")
    first, second = load_book(tmp_path / "book.json"), load_book(tmp_path / "book.toml")
    assert first.input_sha256 != second.input_sha256
    assert replace(first, source="", input_sha256="") == replace(second, source="", input_sha256="")


def test_small_book_takes_the_documented_defaults():
    found = parse_book(
        {
            "schema_version": 1,
            "as_of": "2026-11-20T12:00:00Z",
            "market": {"observed_at": "2026-11-20T12:00:00Z"},
            "accounts": [{"id": "a:b", "mode": "m"}],
        },
        source="memory",
    )
    assert (found.tolerance.probability, found.tolerance.horizon_s, found.tolerance.measure) == (0.01, 432_000, "rces")
    assert (found.max_market_age_s, found.max_history_age_s, found.max_rules_age_days) == (3_600.0, 604_800.0, 180)


def at(path: str, value):
    """Return the book with one value changed; ``path`` such as ``accounts.0.positions.1.side``; ... deletes it."""
    data = book()
    inner = data
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in steps:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return data


MAIN = "book.json: binance:main: "

BROKEN = [
    (
        "accounts/0/positions/0/entry_price",
        "abc",
        MAIN + "positions[0].entry_price: was 'abc'; allowed: a finite number > 0",
    ),
    ("accounts/0/positions/0/entry_price", -1, MAIN + "positions[0].entry_price: was -1; allowed: a finite number > 0"),
    ("accounts/0/positions/0/entry_price", "60000", MAIN + "positions[0].entry_price: was '60000'"),
    ("accounts/0/positions/0/entry_price", True, MAIN + "positions[0].entry_price: was True"),
    ("accounts/0/positions/0/entry_price", float("nan"), MAIN + "positions[0].entry_price: was nan"),
    ("accounts/0/positions/0/entry_price", 10**400, MAIN + "positions[0].entry_price: was 1000"),
    ("accounts/0/positions/0/entry_price", ..., MAIN + "positions[0].entry_price: was missing"),
    ("accounts/0/positions/0/contracts", 0, MAIN + "positions[0].contracts: was 0"),
    ("accounts/0/positions/0/contracts", ..., MAIN + "positions[0].contracts: gave none of"),
    ("accounts/0/positions/0/side", "long", MAIN + "positions[0].contracts: gave contracts and side"),
    ("accounts/0/positions/0/isolated_collateral", 5, MAIN + "positions[0].isolated_collateral: was 5.0 on a cross"),
    (
        "accounts/0/positions/1/isolated_collateral",
        ...,
        MAIN + "positions[1].isolated_collateral: was None on a isolated",
    ),
    ("accounts/0/positions/1/side", "buy", MAIN + "positions[1].side: was 'buy'; allowed: long or short"),
    ("accounts/0/positions/1/leverage", 0.5, MAIN + "positions[1].leverage: was 0.5; allowed: a finite number >= 1"),
    ("accounts/0/positions/1/maintenance_fraction", 5, MAIN + "positions[1].maintenance_fraction: was 5"),
    ("accounts/0/positions/1/bucket", "SHORT", MAIN + "positions[1].bucket: contracts 2 in bucket SHORT"),
    ("accounts/0/positions/1/reported/liqprice", 1, MAIN + "positions[1].reported.liqprice: unknown field 'liqprice'"),
    ("accounts/0/positions/0/symbol", "", MAIN + "positions[0].symbol: was ''"),
    (
        "accounts/0/positions/0/entry_prce",
        1,
        MAIN + "positions[0].entry_prce: unknown field 'entry_prce'; allowed: did you mean 'entry_price'?",
    ),
    ("accounts/0/balances/0/locked", -1, MAIN + "balances[0].locked: was -1; allowed: a finite number >= 0"),
    ("accounts/0/balances/0/borrowed", -1, MAIN + "balances[0].borrowed: was -1"),
    ("accounts/0/balances/0/total", "1", MAIN + "balances[0].total: was '1'; allowed: a finite number"),
    ("accounts/0/balances/0/is_collateral", 1, MAIN + "balances[0].is_collateral: was 1; allowed: true or false"),
    (
        "accounts/0/balances/0/observed_at",
        "2026-11-20T12:00:01Z",
        MAIN + "balances.USDT.observed_at: was 2026-11-20T12:00:01Z, after as_of",
    ),
    ("accounts/0/balances/1/asset", "USDT", MAIN + "balances[1].asset: USDT stood twice"),
    ("accounts/0/balances", {"USDT": 1}, MAIN + "balances: was {'USDT': 1}; allowed: a list"),
    ("accounts/0/open_orders/0/side", "long", MAIN + "open_orders[0].side: was 'long'; allowed: buy or sell"),
    ("accounts/0/open_orders/0/price", 0, MAIN + "open_orders[0].price: was 0"),
    ("accounts/0/reported/ratio_kind", ..., MAIN + "reported[0].ratio: ratio stood without ratio_kind"),
    ("accounts/0/reported/ratio_kind", "up", MAIN + "reported[0].ratio_kind: was 'up'; allowed: mm_over_equity or"),
    ("accounts/0/taker_fee", 0.5, MAIN + "taker_fee: was 0.5; allowed: a finite number >= -0.01 and <= 0.05"),
    (
        "accounts/0/margin_call_coverage_ratio",
        1,
        MAIN + "margin_call_coverage_ratio: was 1; allowed: a finite number > 1",
    ),
    ("accounts/0/mode", ..., MAIN + "mode: was missing"),
    ("accounts/0/venue", "okx", MAIN + "id: id was 'binance:main'; allowed: okx:<name>"),
    ("accounts/0/positions_csv", "none.csv", MAIN + "positions_csv: 'none.csv' cannot be read"),
    ("accounts/1/id", "okx", "book.json: okx: id: was 'okx'; allowed: venue:name"),
    ("accounts/1/id", ..., "book.json: accounts[1].id: was missing"),
    ("accounts/1/id", "binance:main", "book.json: binance:main: id: the account stood 2 times"),
    ("accounts/1", 5, "book.json: accounts[1]: was 5; allowed: an object with named fields"),
    ("accounts", [], "book.json: accounts: had 0 entries; allowed: at least 1"),
    ("as_of", "2026-11-20T12:00:00", "book.json: as_of: was '2026-11-20T12:00:00'; allowed: ISO-8601 with a zone"),
    ("as_of", datetime(2026, 11, 20), "book.json: as_of: was datetime"),
    ("as_of", 5, "book.json: as_of: was 5"),
    ("as_of", ..., "book.json: as_of: was missing"),
    ("schema_version", 2, "book.json: schema_version: was 2; allowed: 1"),
    ("schema_version", True, "book.json: schema_version: was True"),
    ("market", ..., "book.json: market: was missing"),
    ("market/observed_at", "2026-11-20T12:00:01Z", "book.json: market.observed_at: observed_at 2026-11-20T12:00:01"),
    ("market/marks/BTCUSDT", 0, "book.json: market.marks.BTCUSDT: was 0; allowed: a finite number > 0"),
    ("market/funding_per_hour/BTCUSDT", 0.5, "book.json: market.funding_per_hour.BTCUSDT: was 0.5"),
    ("market/volatility_annual/BTC", 60, "book.json: market.volatility_annual.BTC: was 60"),
    ("market/mark", {}, "book.json: market.mark: unknown field 'mark'; allowed: did you mean 'marks'?"),
    ("acounts", [], "book.json: acounts: unknown field 'acounts'; allowed: did you mean 'accounts'?"),
    ("tolerance/probability", 0, "book.json: tolerance.probability: was 0"),
    ("tolerance/horizon", "5", "book.json: tolerance.horizon: was '5'; allowed: a positive time span"),
    ("tolerance/horizon", "60d", "book.json: tolerance.horizon: was 5184000 s"),
    ("tolerance/measure", "var", "book.json: tolerance.measure: was 'var'; allowed: rces or rc"),
    ("settings/max_market_age", 60, "book.json: settings.max_market_age: was 60"),
    ("settings/max_rules_age_days", 0, "book.json: settings.max_rules_age_days: was 0; allowed: a whole number >= 1"),
    ("instruments/0/multiplier", -1, "book.json: instruments[0].multiplier: was -1"),
    ("instruments/0/venue", "okex", "book.json: instruments[0].venue: was 'okex'; allowed: a venue of an account"),
    ("tiers/binance/BTCUSDT", [[0, 1]], "book.json: tiers.binance.BTCUSDT[0]: had 2 entries; allowed: at least 3"),
    ("tiers/binance/BTCUSDT", [[0, 1, 5]], "book.json: tiers.binance.BTCUSDT[0]: was [0.0, 1.0, 5.0]"),
    ("tiers/binance/BTCUSDT", [[0, None, 0.1]], "book.json: tiers.binance.BTCUSDT[0]: was [0.0, None, 0.1]"),
    ("tiers/binanc", {"X": [[0, 1, 0.1]]}, "book.json: tiers.binanc: was 'binanc'; allowed: a venue of an account"),
    ("reserves/0/amount", -1, "book.json: reserves[0].amount: was -1"),
    ("reserves/0/time_to_cash_p99", "1h", "book.json: reserves[0].time_to_cash_p99: was below the median"),
    ("reserves/0/id", "line", "book.json: resources.line: the id stood 2 times"),
    ("credit_lines/0/drawn", 6e5, "book.json: credit_lines[0].drawn: was 600000; allowed: at most the limit"),
    ("credit_lines/0/annual_rate", 8, "book.json: credit_lines[0].annual_rate: was 8"),
    (
        "transfer_times/0/destination",
        "okx:x",
        "book.json: transfer_times[0].destination: was 'okx:x'; allowed: a known place",
    ),
    ("transfer_times/0/destination", "bank", "book.json: transfer_times[0].destination: was 'bank', the origin"),
    ("transfer_times/0/p99", "1min", "book.json: transfer_times[0].p99: was below the median"),
    ("proxies/SUI/factor", "SUI", "book.json: proxies.SUI.factor: was 'SUI' itself"),
    ("proxies/SUI/multiple", 0, "book.json: proxies.SUI.multiple: was 0"),
]


@pytest.mark.parametrize(("path", "value", "start"), BROKEN, ids=[f"{row[0]}={row[1]!r}"[:70] for row in BROKEN])
def test_broken_field_names_file_account_field_and_what_is_allowed(path, value, start):
    with pytest.raises(InputError) as caught:
        parse_book(at(path, value), source="book.json")
    first = str(caught.value).splitlines()[0]
    assert first.startswith(start)
    assert "; allowed: " in first


def test_all_problems_stand_in_one_error():
    data = at("accounts/0/positions/0/entry_price", "abc")
    data["accounts"][0]["balances"][0]["total"] = None
    data["tolerance"]["probability"] = 2
    with pytest.raises(InputError) as caught:
        parse_book(data, source="book.json")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(MAIN + "positions[0].entry_price: was 'abc'")
    assert lines[1] == "and 2 more:"
    assert lines[2].startswith("  " + MAIN + "balances[0].total: was None")
    assert lines[3].startswith("  book.json: tolerance.probability: was 2")


@pytest.mark.parametrize("data", [None, 5, "text", [], [{}]])
def test_file_that_is_no_object_is_refused(data):
    with pytest.raises(InputError, match=r"book.json: was .*; allowed: an object with named fields"):
        parse_book(data, source="book.json")


def test_file_name_must_end_in_json_or_toml(tmp_path):
    with pytest.raises(InputError, match=r"book.yaml: the file name ended in '.yaml'; allowed: .json or .toml"):
        load_book(tmp_path / "book.yaml")


def with_responses(tmp_path, **changes):
    for name in (
        "http_get_binance_fapi_v2_position_risk",
        "http_get_binance_fapi_v3_account",
        "http_get_bybit_v5_position_list",
    ):
        shutil.copy(FIXTURES / f"{name}.json", tmp_path / f"{name}.json")
    account = {
        "id": "binance:main",
        "mode": "usdm_single_asset",
        "responses": {
            "positions": "http_get_binance_fapi_v2_position_risk.json",
            "account": "http_get_binance_fapi_v3_account.json",
        },
    } | changes
    data = book(accounts=[account], transfer_times=[], instruments=[])
    path = tmp_path / "book.json"
    path.write_text(json.dumps(data))
    return path


def test_responses_give_positions_balances_marks_and_hash(tmp_path):
    path = with_responses(tmp_path)
    found = load_book(path)
    account = found.accounts[0]
    assert [position.symbol for position in account.positions] == ["BTCUSDT", "ETHUSDT"]
    assert account.balances[0].total_native == 10_000.0
    assert account.reported[0].equity_native == 11_000.0
    # ETHUSDT.BINANCE and BTCUSDT stand in the book's market and win over the responses' marks.
    assert dict(found.market.marks) == {"BTCUSDT": 62_000.0, "ETHUSDT.BINANCE": 2_900.5}
    before = found.input_sha256
    assert before != hashlib.sha256(path.read_bytes()).hexdigest()
    response = tmp_path / "http_get_binance_fapi_v3_account.json"
    response.write_text(response.read_text() + "\n")
    assert load_book(path).input_sha256 != before


def test_marks_of_responses_fill_the_market(tmp_path):
    path = with_responses(tmp_path)
    data = json.loads(path.read_text())
    del data["market"]["marks"]
    path.write_text(json.dumps(data))
    assert dict(load_book(path).market.marks) == {"BTCUSDT.BINANCE": 62_000.0, "ETHUSDT.BINANCE": 2_900.0}


def test_hand_written_facts_complete_the_responses(tmp_path):
    path = with_responses(
        tmp_path,
        positions=[
            {"symbol": "BTCUSDT", "maintenance_fraction": 0.004, "reported": {"unrealised_pnl": 1000.0}},
            {"symbol": "SOLUSDT", "contracts": 3, "entry_price": 140},
        ],
        balances=[
            {"asset": "USDT", "total": 10000, "observed_at": "2026-11-20T11:00:00Z"},
            {"asset": "BNB", "total": 1},
        ],
        reported=[{"asset": "USDT", "ratio": 0.011, "ratio_kind": "mm_over_equity"}],
    )
    account = load_book(path).accounts[0]
    assert [position.symbol for position in account.positions] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert account.positions[0].maintenance_fraction == 0.004
    assert {balance.asset: balance.total_native for balance in account.balances} == {"USDT": 10_000.0, "BNB": 1.0}
    assert account.balances[0].observed_at == datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert (account.reported[0].ratio, account.reported[0].equity_native) == (0.011, 11_000.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"positions": [{"symbol": "BTCUSDT", "contracts": 0.4}]},
            "contracts: the payload says 0.5 for BTCUSDT, the book says 0.4",
        ),
        ({"positions": [{"symbol": "BTCUSDT", "leverage": 20}]}, "leverage: the payload says 10.0"),
        ({"positions": [{"symbol": "ETHUSDT", "margin_mode": "cross"}]}, "margin_mode: the payload says isolated"),
        ({"positions": [{"symbol": "SOLUSDT", "contracts": 1}]}, "positions[0].entry_price: was missing"),
        ({"positions": [{"symbol": "BTCUSDT"}, {"symbol": "BTCUSDT"}]}, "positions[1]: BTCUSDT NET stood twice"),
        (
            {"positions": [{"symbol": "BTCUSDT", "reported": {"maintenance": 9}}]},
            "positions[0].reported.maintenance: the response says 124.0",
        ),
        (
            {"balances": [{"asset": "USDT", "total": 9000}]},
            "balances[0].total: the response says 10000.0 USDT, the book says 9000.0",
        ),
        ({"reported": {"asset": "USDT", "equity": 1}}, "reported[0].equity: the response says 11000.0"),
        ({"responses": {"positions": "none.json"}}, "responses.positions: the file does not exist"),
        ({"responses": {"positions": "book.json"}}, "positions.symbol: was missing"),
        ({"responses": {}}, "responses: named no file"),
        ({"responses": {"positions": "/etc/hostname"}}, "responses.positions: was '/etc/hostname'"),
        ({"responses": {"orders": "x.json"}}, "responses.orders: unknown field 'orders'"),
    ],
)
def test_conflict_between_response_and_hand_is_an_error(tmp_path, changes, words):
    path = with_responses(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        load_book(path)
    text = str(caught.value)
    assert "binance:main" in text
    assert words in text


def test_response_error_names_book_response_and_account(tmp_path):
    path = with_responses(tmp_path)
    (tmp_path / "http_get_binance_fapi_v3_account.json").write_text('{"code": -2015, "msg": "Invalid API-key"}')
    with pytest.raises(InputError) as caught:
        load_book(path)
    assert str(caught.value).startswith(str(path))
    assert "http_get_binance_fapi_v3_account.json" in str(caught.value)
    assert "binance:main: account: the venue answered with code -2015: 'Invalid API-key'" in str(caught.value)


def test_issues_of_responses_carry_the_account(tmp_path):
    path = with_responses(
        tmp_path, id="bybit:a", mode="uta_cross", responses={"positions": ["http_get_bybit_v5_position_list.json"]}
    )
    data = json.loads(path.read_text())
    data["tiers"] = {}
    path.write_text(json.dumps(data))
    found = load_book(path)
    assert found.issues == (
        "bybit:a: bybit: no coin list in a wallet-balance response, balances must be written by hand",
    )


def test_positions_csv_is_read_beside_the_book(tmp_path):
    (tmp_path / "p.csv").write_text("account,symbol,contracts,entry_price\na:x,S,1,2\na:y,S,-1,2\n")
    data = book(
        accounts=[
            {"id": "a:x", "mode": "m", "positions_csv": "p.csv"},
            {"id": "a:y", "mode": "m", "positions_csv": "p.csv"},
        ],
        transfer_times=[],
        instruments=[],
        tiers={},
    )
    found = parse_book(data, source="book.json", base_dir=tmp_path, sha256="0")
    assert [account.positions[0].contracts for account in found.accounts] == [1.0, -1.0]
    (tmp_path / "p.csv").write_text("account,symbol,contracts,entry_price\na:z,S,1,x\n")
    with pytest.raises(InputError, match=r"p.csv:2: a:x: entry_price: was 'x'"):
        parse_book(data, source="book.json", base_dir=tmp_path, sha256="0")
    (tmp_path / "p.csv").write_text("account,symbol,contracts,entry_price\na:z,S,1,2\n")
    with pytest.raises(InputError, match=r"p.csv: a:x: account: account 'a:z' is not in the book"):
        parse_book(data, source="book.json", base_dir=tmp_path, sha256="0")


def fields_of(schema: dict):
    for definition in [schema, *schema["$defs"].values()]:
        for name, field in definition.get("properties", {}).items():
            yield f"{definition.get('title')}.{name}", field


def test_json_schema_describes_every_field_and_forbids_others():
    schema = book_json_schema()
    described = dict(fields_of(schema))
    assert len(described) > 80
    assert [name for name, field in described.items() if not field.get("description")] == []
    assert all(definition["additionalProperties"] is False for definition in schema["$defs"].values())
    assert schema["required"] == ["schema_version", "as_of", "market", "accounts"]
    json.dumps(schema)


def test_book_of_the_reference_page_loads(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "book-file.md").read_text()
    path = tmp_path / "book.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0])
    found = load_book(path)
    assert found.accounts[0].positions[0].contracts == -0.5
    assert found.tolerance.measure == "rces"


def test_every_field_of_the_schema_stands_on_the_reference_page():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "book-file.md").read_text()
    names = {name.partition(".")[2] for name, _ in fields_of(book_json_schema())}
    assert sorted(name for name in names if f"`{name}`" not in page and f".{name}`" not in page) == []
