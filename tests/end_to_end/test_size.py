"""``margincover size`` as its user runs it."""

from __future__ import annotations

import json

import pytest

from margincover.cli.main import main
from tests.books import demo_data, write_book
from tests.end_to_end.test_whatif import straddle_data


def run(tmp_path, capsys, *arguments, data=None):
    book = write_book(tmp_path, data or demo_data())
    code = main(["size", str(book), "--paths", "1024", "--horizon", "24h", "--tolerance", "1%", *arguments])
    return code, capsys.readouterr()


def test_the_answer_stands_last_and_the_curve_above_it(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--account", "bybit:directional", "--symbol", "BTCUSDT")
    assert code == 0
    last = " ".join(output.out.split())[-120:]
    assert "Largest long in BTCUSDT at 1 % over 24 hours" in " ".join(output.out.split())
    assert last.endswith("times capital.")
    assert output.out.count("10 days") >= 3
    # The account holds another coin as well: it stays as it is.
    assert "now 3 contracts" in output.out


def test_the_whole_account_scales_and_the_page_loads_nothing(tmp_path, capsys):
    page = tmp_path / "size.html"
    code, output = run(
        tmp_path, capsys, "--account", "okx:hedge", "--scale", "--no-curve", "--json", "--html", str(page)
    )
    assert code == 0
    result = json.loads(output.out)
    side = result["sides"][0]
    assert (result["symbol"], side["side"], len(side["curve"])) == (None, "scale", 1)
    # Size is notional over capital, a multiple of the account is that over what it is now.
    assert side["largest"] == pytest.approx(side["largest_at"]["size"] / side["present_size"], rel=1e-9)
    html = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    assert "<script src" not in html
    assert "Largest scale" in html


def test_an_option_account_is_scaled_along_the_paths_of_its_own_rule(tmp_path, capsys):
    code, output = run(
        tmp_path, capsys, "--account", "deribit:main", "--scale", "--no-curve", "--json", data=straddle_data()
    )
    result = json.loads(output.out)
    assert code in (0, 2)
    assert result["sides"][0]["largest_at"]["bound"] == "found"
    assert any("one law moves the implied volatility of every coin" in text for text in result["not_modelled"])


def test_a_history_replaces_the_packaged_market(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--account", "bybit:directional", "--symbol", "BTCUSDT", "--scenarios", "fhs")
    assert code == 64
    assert "--history" in output.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "--symbol/--scale: neither stood there"),
        (("--symbol", "BTCUSDT", "--scale"), "both stood there"),
        (("--symbol", "BTCUSDT", "--side", "buy"), "--side: was 'buy'; allowed: long or short"),
        (("--symbol", "BTCUSDT", "--capital", "0"), "--capital: was 0.0; allowed: USD > 0"),
        (("--symbol", "BTCUSDT", "--tolerance", "2"), "--tolerance"),
        (("--symbol", "BTCUSDT", "--horizon", "90min"), "--horizon"),
        (("--scale", "--side", "long"), "--side"),
    ],
)
def test_a_wrong_command_line_is_64(tmp_path, capsys, arguments, text):
    code, output = run(tmp_path, capsys, "--account", "bybit:directional", *arguments)
    assert code == 64
    assert text in output.err


def test_an_account_that_is_not_there_lists_those_that_are(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--account", "bybit:other", "--scale")
    assert code == 64
    assert "bybit:directional" in output.err


def test_a_coin_without_calibration_is_named(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--account", "bybit:directional", "--symbol", "NOSUCHUSDT")
    assert code == 3
    assert "bybit:directional" in output.err
