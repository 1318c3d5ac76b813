"""Positions CSV: good files, and every kind of broken cell with file, line and column."""

import pytest

from margincover.errors import InputError
from margincover.io.positions_csv import load_positions_csv, parse_positions_csv
from margincover.model.position import Bucket, MarginMode, Position

HEADER = "symbol,contracts,entry_price,margin_mode,leverage,isolated_collateral,bucket,mark_price"


def test_rows_become_positions_and_empty_cells_mean_not_given():
    text = f"{HEADER}\nBTCUSDT,-0.5,60000,,,,,\nETHUSDT,2,3000,isolated,8,750,LONG,2900.5\n"
    found = parse_positions_csv(text, source="p.csv", account_id="binance:main")
    expected = (
        Position(symbol="BTCUSDT", contracts=-0.5, entry_price=60_000.0),
        Position(
            symbol="ETHUSDT",
            contracts=2.0,
            entry_price=3_000.0,
            margin_mode=MarginMode.ISOLATED,
            leverage=8.0,
            isolated_collateral_native=750.0,
            bucket=Bucket.LONG,
            mark_price=2_900.5,
        ),
    )
    assert found == {"binance:main": expected}


def test_side_and_size_give_the_sign():
    text = "symbol,side,size,entry_price\nBTCUSDT,short,0.5,60000\n"
    found = parse_positions_csv(text, source="p.csv", account_id="a:b")
    assert found["a:b"][0].contracts == -0.5


def test_account_column_splits_the_rows():
    text = "account,symbol,contracts,entry_price\na:x,S,1,2\na:y,S,-1,2\n"
    found = parse_positions_csv(text, source="p.csv")
    assert {name: position.contracts for name, (position,) in found.items()} == {"a:x": 1.0, "a:y": -1.0}


def test_byte_order_mark_and_header_only_file_are_accepted(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"\xef\xbb\xbfsymbol,contracts,entry_price\r\n")
    assert load_positions_csv(path, account_id="a:b") == {"a:b": ()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "symbol,contract,entry_price\nS,1,2\n",
            "p.csv:1: unknown column 'contract'; allowed: did you mean 'contracts'?",
        ),
        ("symbol,symbol,entry_price\n", "p.csv:1: column 'symbol' stood twice"),
        ("symbol,contracts\n", "p.csv:1: column 'entry_price' was missing"),
        ("symbol,entry_price,side\n", "p.csv:1: no size column"),
        ("symbol;contracts;entry_price\n", "p.csv:1: the separator was a semicolon"),
        ('symbol,contracts,entry_price\nS,1,"1,5"\n', "p.csv:2: entry_price: was '1,5': a decimal comma"),
        ('symbol,contracts,entry_price\nS,1,"60,000.5"\n', "p.csv:2: entry_price: was '60,000.5': a decimal comma"),
        ("symbol,contracts,entry_price\nS,1,1,5\n", "p.csv:2: the row had 4 cells"),
        ("symbol,contracts,entry_price\nS,1\n", "p.csv:2: the row had 2 cells"),
        ("symbol,contracts,entry_price\nS,abc,5\n", "p.csv:2: contracts: was 'abc'"),
        ("symbol,contracts,entry_price\nS,nan,5\n", "p.csv:2: contracts: was 'nan'"),
        ("symbol,contracts,entry_price\nS,1_0,5\n", "p.csv:2: contracts: was '1_0'"),
        ("symbol,contracts,entry_price\nS,0,5\n", "p.csv:2: contracts: was 0.0"),
        ("symbol,contracts,entry_price\nS,1,-5\n", "p.csv:2: entry_price: was -5.0"),
        ("symbol,contracts,entry_price\nS,1,\n", "p.csv:2: entry_price: was empty"),
        ("symbol,contracts,entry_price\n,1,2\n", "p.csv:2: symbol: was empty"),
        ("symbol,contracts,entry_price\nS,,2\n", "p.csv:2: contracts: gave not exactly one"),
        ("symbol,side,size,entry_price\nS,long,-1,2\n", "p.csv:2: size: was -1"),
        ("symbol,side,size,entry_price\nS,up,1,2\n", "p.csv:2: side: was 'up'; allowed: long, short"),
        ("symbol,contracts,entry_price,bucket\nS,1,2,net\n", "p.csv:2: bucket: was 'net'; allowed: NET"),
        ("symbol,contracts,entry_price,margin_mode\nS,1,2,isolated\n", "p.csv:2: isolated_collateral: was None"),
        ("symbol,contracts,entry_price\nS,1,2\n\nS,1,2\n", "p.csv:4: symbol: S NET of a:b stood in line 2"),
        ('symbol,contracts,entry_price\n"S,1,2\n', "p.csv: not CSV"),
        ("account,symbol,contracts,entry_price\n,S,1,2\n", "p.csv:2: account: was empty"),
    ],
)
def test_broken_file_names_file_line_and_column(text, words):
    with pytest.raises(InputError) as caught:
        parse_positions_csv(text, source="p.csv", account_id="a:b")
    assert str(caught.value).startswith(words)


def test_all_broken_rows_stand_in_one_error():
    text = "symbol,contracts,entry_price\nS,x,2\nT,1,y\nU,1,2\n"
    with pytest.raises(InputError) as caught:
        parse_positions_csv(text, source="p.csv", account_id="a:b")
    assert "p.csv:2: contracts: was 'x'" in str(caught.value)
    assert "and 1 more:\n  p.csv:3: entry_price: was 'y'" in str(caught.value)
