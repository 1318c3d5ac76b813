"""Broken books: exit code 3, one message that names file, account and field, and no output."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from margincover.cli.main import main
from tests.books import demo_data, write_book
from tests.end_to_end.test_cli import assert_one_error

Data = dict
Change = Callable[[Data], object]


def account(data: Data, name: str) -> Data:
    return next(a for a in data["accounts"] if a["id"] == name)


def first(data: Data, name: str = "binance:market-making") -> Data:
    return account(data, name)["positions"][0]


def replaced(data: Data, name: str, **fields: object) -> None:
    account(data, name).update(fields)


# What names accounts that a case takes away.
NO_WAYS: Data = {"transfer_times": [], "in_transit": [], "buffers": {}, "contingency": []}
MAKING, COIN, BYBIT = "binance:market-making", "binance:coin-treasury", "bybit:directional"
# Each case: a change of the demo book, and the words that the message must hold beside the file.
CASES: dict[str, tuple[Change, list[str]]] = {
    "unknown venue": (
        lambda d: (d.update(NO_WAYS), replaced(d, MAKING, id="binanze:market-making")),
        ["binanze:market-making", "venue", "binance, bitget", "bybit"],
    ),
    "unknown mode": (lambda d: replaced(d, MAKING, mode="usdm"), [MAKING, "mode", "usdm_single_asset"]),
    "unknown symbol": (lambda d: first(d).update(symbol="BTCUSDX"), [MAKING, "symbol", "BTCUSDX"]),
    "symbol of another product": (
        lambda d: (first(d).update(symbol="BTCUSD_PERP"), d["market"]["marks"].update(BTCUSD_PERP=1.0)),
        [MAKING, "symbol", "coinm"],
    ),
    "spot symbol": (lambda d: first(d).update(symbol="BTC/USDT"), [MAKING, "symbol", "BTC/USDT"]),
    "symbol without a tier table": (
        lambda d: (first(d).update(symbol="ZECUSDT"), d["market"]["marks"].update(ZECUSDT=500.0)),
        [MAKING, "ZECUSDT", "--rules"],
    ),
    "expired instrument": (
        lambda d: (
            first(d).update(symbol="BTCUSDT_251226", maintenance_fraction=0.01),
            d["market"]["marks"].update(BTCUSDT_251226=88000.0),
        ),
        [MAKING, "symbol", "BTCUSDT_251226", "expired"],
    ),
    "unknown field of a position": (
        lambda d: first(d).update(entry_prce=1.0),
        [MAKING, "positions[0].entry_prce", "did you mean 'entry_price'?"],
    ),
    "unknown field of the book": (lambda d: d.update(acounts=[]), ["acounts", "did you mean 'accounts'?"]),
    "unknown field of the market": (lambda d: d["market"].update(mark={}), ["market.mark", "did you mean 'marks'?"]),
    "missing mark": (lambda d: d["market"]["marks"].pop("BTCUSDT.BINANCE"), [MAKING, "BTCUSDT", "mark_price"]),
    "negative mark": (
        lambda d: d["market"]["marks"].update({"BTCUSDT.BINANCE": -1.0}),
        ["market.marks.BTCUSDT.BINANCE", "-1.0", "> 0"],
    ),
    "zero mark": (lambda d: d["market"]["marks"].update({"BTCUSDT.BINANCE": 0}), ["market.marks.BTCUSDT.BINANCE"]),
    "number as text": (
        lambda d: first(d).update(contracts="-12.0"),
        [MAKING, "positions[0].contracts", "'-12.0'", "a finite number"],
    ),
    "true as a number": (lambda d: first(d).update(contracts=True), [MAKING, "positions[0].contracts", "True"]),
    "null as a number": (
        lambda d: account(d, MAKING)["balances"][0].update(total=None),
        [MAKING, "balances[0].total", "None"],
    ),
    "zero contracts": (lambda d: first(d).update(contracts=0), [MAKING, "positions[0].contracts", "not 0"]),
    "missing entry price": (lambda d: first(d).pop("entry_price"), [MAKING, "positions[0].entry_price"]),
    "leverage below 1": (lambda d: first(d).update(leverage=0.5), [MAKING, "positions[0].leverage", "0.5"]),
    "leverage missing where the closing fee needs it": (
        lambda d: first(d, BYBIT).pop("leverage"),
        [BYBIT, "BTCUSDT.leverage"],
    ),
    "duplicate position": (
        lambda d: account(d, MAKING)["positions"].append(dict(first(d))),
        [MAKING, "positions[3]", "BTCUSDT", "twice"],
    ),
    "duplicate position by another name": (
        lambda d: account(d, MAKING)["positions"].append({**first(d), "symbol": "BTC/USDT:USDT"}),
        [MAKING, "positions", "BTC/USDT:USDT", "one position per instrument"],
    ),
    "duplicate balance": (
        lambda d: account(d, MAKING)["balances"].append({"asset": "USDT", "total": 1.0}),
        [MAKING, "balances[1].asset", "twice"],
    ),
    "duplicate account": (lambda d: d["accounts"].append(dict(account(d, COIN))), [COIN, "2 times"]),
    "wrong side of a bucket": (
        lambda d: first(d).update(bucket="LONG"),
        [MAKING, "positions[0].bucket", "negative in SHORT"],
    ),
    "isolated without collateral": (
        lambda d: first(d).update(margin_mode="isolated"),
        [MAKING, "positions[0].isolated_collateral"],
    ),
    "cross with collateral": (
        lambda d: first(d).update(isolated_collateral=5.0),
        [MAKING, "positions[0].isolated_collateral"],
    ),
    "negative isolated collateral": (
        lambda d: account(d, MAKING)["positions"][2].update(isolated_collateral=-78000.0),
        [MAKING, "SOLUSDT.isolated_collateral", "-78000.0", ">= 0"],
    ),
    "isolated in a mode without it": (
        lambda d: first(d, BYBIT).update(margin_mode="isolated", isolated_collateral=1.0),
        [BYBIT, "margin_mode", "isolated"],
    ),
    "missing balance": (lambda d: replaced(d, MAKING, balances=[]), [MAKING, "balances.USDT"]),
    "missing wallet of a unified account": (lambda d: replaced(d, BYBIT, balances=[]), [BYBIT, "balances"]),
    "missing price of a stable coin": (
        lambda d: d["market"]["asset_usd"].pop("USDT"),
        [MAKING, "market.asset_usd.USDT", "stable coins"],
    ),
    "missing price of a collateral coin": (
        lambda d: (d["market"]["asset_usd"].pop("BTC"), d.update(NO_WAYS, accounts=[account(d, BYBIT)])),
        [BYBIT, "market.asset_usd.BTC"],
    ),
    "collateral without a ladder": (
        lambda d: (
            account(d, BYBIT)["balances"].append({"asset": "DOGE", "total": 5.0}),
            d["market"]["asset_usd"].update(DOGE=0.1),
        ),
        [BYBIT, "balances.DOGE", "--rules"],
    ),
    "stale market": (
        lambda d: d["market"].update(observed_at="2025-12-31T12:00:00Z"),
        ["market.observed_at", "43200 s", "max_market_age"],
    ),
    "market from the future": (
        lambda d: d["market"].update(observed_at="2026-01-01T00:00:01Z"),
        ["market.observed_at", "after as_of"],
    ),
    "time without a zone": (lambda d: d.update(as_of="2026-01-01T00:00:00"), ["as_of", "2026-01-01T00:00:00"]),
    "as_of before any rules": (
        lambda d: (d.update(as_of="2015-01-01T00:00:00Z"), d["market"].update(observed_at="2015-01-01T00:00:00Z")),
        [MAKING, "2015-01-01"],
    ),
    "funding in per cent": (
        lambda d: d["market"]["funding_per_hour"].update({"BTCUSDT.BINANCE": 1.25}),
        ["market.funding_per_hour.BTCUSDT.BINANCE", "1.25"],
    ),
    "tolerance in per cent": (lambda d: d["tolerance"].update(probability=1), ["tolerance.probability", "<= 0.5"]),
    "horizon beyond 30 days": (lambda d: d["tolerance"].update(horizon="31d"), ["tolerance.horizon", "30 d"]),
    "fee in per cent": (lambda d: replaced(d, MAKING, taker_fee=0.5), [MAKING, "taker_fee"]),
    "wrong schema version": (lambda d: d.update(schema_version=2), ["schema_version", "1"]),
    "no accounts": (lambda d: d.update(NO_WAYS, accounts=[]), ["accounts", "at least 1"]),
    "accounts as an object": (lambda d: d.update(accounts={}), ["accounts", "a list"]),
    "book as a list": (lambda d: None, []),  # written below as [book]
    "tier table with falling rates": (
        lambda d: d.update(tiers={"binance": {"BTCUSDT": [[0, 10, 0.02], [10, 20, 0.01]]}}),
        ["BTCUSDT tier 2", "fell"],
    ),
    "tier table with a gap": (
        lambda d: d.update(tiers={"binance": {"BTCUSDT": [[0, 10, 0.01], [12, 20, 0.02]]}}),
        ["BTCUSDT tier 2", "gap"],
    ),
    "tier table of no venue": (
        lambda d: d.update(tiers={"binanze": {"BTCUSDT": [[0, 10, 0.01]]}}),
        ["tiers.binanze", "binanze"],
    ),
    "file that the book names is missing": (
        lambda d: replaced(d, MAKING, positions_csv="none.csv"),
        [MAKING, "positions_csv", "none.csv"],
    ),
}

# What is wrong stands elsewhere than in the book itself; that place is named, with the account of the book.
ELSEWHERE = {
    "symbol without a tier table": "rules of binance",
    "as_of before any rules": "rules of binance",
    "file that the book names is missing": "none.csv",
}


@pytest.mark.parametrize("command", ["status", "cover"])
@pytest.mark.parametrize("name", CASES)
def test_broken_book_is_one_error_that_says_where(name, command, tmp_path, capsys):
    change, words = CASES[name]
    data = demo_data()
    change(data)
    path = write_book(tmp_path, [data] if name == "book as a list" else data)
    target = tmp_path / "report.html"
    more = ["--paths", "256", "--html", str(target)] if command == "cover" else []
    assert main([command, str(path), *more]) == 3
    assert_one_error(capsys, ELSEWHERE.get(name, str(path)), *words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["book.json"]


def test_every_problem_of_a_book_stands_in_one_error(tmp_path, capsys):
    data = demo_data()
    first(data).update(leverage=0.1)
    first(data, COIN).update(entry_price=-5)
    data["market"]["asset_usd"]["USDT"] = 0
    assert main(["cover", str(write_book(tmp_path, data))]) == 3
    message = assert_one_error(capsys, MAKING, COIN, "leverage", "entry_price", "market.asset_usd.USDT")
    assert "and 2 more" in message


TEXTS = {
    "empty": b"",
    "blank": b" \n\n",
    "truncated": json.dumps(demo_data()).encode()[:500],
    "NaN": b'{"schema_version": 1, "as_of": NaN}',
    "Infinity": b'{"schema_version": 1, "as_of": -Infinity}',
    "a number beyond a float": b'{"schema_version": 1e999}',
    "a long integer": b'{"schema_version": ' + b"9" * 5000 + b"}",
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a key twice": b'{"schema_version": 1, "schema_version": 1}',
    "binary": bytes(range(256)) * 4,
    "two values": b"{} {}",
    "null": b"null",
    "text": b'"book"',
}


@pytest.mark.parametrize("name", TEXTS)
def test_file_that_is_no_book_is_one_error(name, tmp_path, capsys):
    path = tmp_path / "book.json"
    path.write_bytes(TEXTS[name])
    assert main(["cover", str(path), "--html", str(tmp_path / "r.html")]) == 3
    message = assert_one_error(capsys, str(path))
    assert len(message) < 2_000
    assert [p.name for p in tmp_path.iterdir()] == ["book.json"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("schema_version = 1\nschema_version = 1\n", ["TOML"]),
        ('schema_version = 1\nas_of = "2026-01-01T00:00:00Z"\n[market]\nobserved_at = nan\n', ["not finite"]),
        ("a = " + "[" * 5_000 + "]" * 5_000, ["64 levels"]),
        ("{", ["TOML"]),
    ],
    ids=["empty", "key twice", "nan", "deep", "json"],
)
def test_toml_that_is_no_book_is_one_error(text, words, tmp_path, capsys):
    path = tmp_path / "book.toml"
    path.write_text(text, encoding="utf-8")
    assert main(["status", str(path)]) == 3
    assert_one_error(capsys, str(path), *words)


@pytest.mark.parametrize("name", ["none.json", "folder.json", "book.yaml", "book"])
def test_path_that_is_no_book_file_is_one_error(name, tmp_path, capsys):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "book.yaml").write_text("a: 1", encoding="utf-8")
    assert main(["cover", str(tmp_path / name)]) == 3
    assert_one_error(capsys, str(tmp_path / name))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400"])
@pytest.mark.parametrize("field", ["contracts", "entry_price"])
def test_number_that_is_not_finite_is_refused(field, value, tmp_path, capsys):
    data = demo_data()
    first(data)[field] = "HERE"
    path = tmp_path / "book.json"
    path.write_text(json.dumps(data).replace('"HERE"', value), encoding="utf-8")
    assert main(["status", str(path)]) == 3
    assert_one_error(capsys, str(path), "finite")


@pytest.mark.parametrize("rules", ["missing", "empty", "broken", "unknown key", "a file"])
def test_broken_rule_folder_is_one_error(rules, tmp_path, capsys):
    book, folder = write_book(tmp_path, demo_data()), tmp_path / "rules"
    if rules == "a file":
        folder.write_text("x", encoding="utf-8")
    elif rules != "missing":
        folder.mkdir()
    if rules == "broken":
        (folder / "binance.toml").write_text("venue = ", encoding="utf-8")
    if rules == "unknown key":
        (folder / "binance.toml").write_text('venue = "binance"\nedtion = 1\n', encoding="utf-8")
    assert main(["status", str(book), "--rules", str(folder)]) == 3
    assert_one_error(capsys, str(folder))
