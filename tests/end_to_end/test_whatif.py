"""``margincover whatif`` as its user runs it."""

import json

import pytest

from margincover.cli.main import main
from tests.books import demo_data, write_book


def run(tmp_path, capsys, *arguments, data=None):
    code = main(["whatif", str(write_book(tmp_path, data or demo_data())), *arguments])
    return code, capsys.readouterr()


def straddle_data():
    """One Deribit account that is short a put of 7 days and a call of 35, and nothing else."""
    at = "2026-11-20T00:00:00Z"
    return {
        "schema_version": 1,
        "as_of": at,
        "market": {
            "observed_at": at,
            "marks": {},
            "asset_usd": {"BTC": 90_000.0},
            "implied_volatility": {"BTC-27NOV26-90000-P": 0.5, "BTC-25DEC26-100000-C": 0.52},
            "forwards": {"BTC-261127": 90_100.0, "BTC-261225": 90_600.0},
        },
        "accounts": [
            {
                "id": "deribit:main",
                "venue": "deribit",
                "mode": "segregated_sm",
                "positions": [
                    {"symbol": "BTC-27NOV26-90000-P", "contracts": -5, "entry_price": 0.02},
                    {"symbol": "BTC-25DEC26-100000-C", "contracts": -4, "entry_price": 0.03},
                ],
                "balances": [{"asset": "BTC", "total": 2.5}],
            }
        ],
    }


def pool_of(status, name):
    return next(pool for pool in status["pools"] if pool["pool_id"] == name)


def test_before_and_after_and_the_grid_are_in_the_json(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--add", "hyperliquid:fast -50 ETH", "--grid", "spot=-10:20", "--json")
    assert code == 0
    result = json.loads(output.out)
    before, after = (pool_of(result[when], "hyperliquid:fast") for when in ("before", "after"))
    # A third of 150 ETH is closed at the mark: equity stays, maintenance falls by a third.
    assert after["equity_native"] == pytest.approx(before["equity_native"], rel=1e-12)
    assert after["maintenance_native"] == pytest.approx(before["maintenance_native"] * 2 / 3, rel=1e-12)
    grid = result["grid_after"]
    assert (grid["spot_fractions"][0], grid["spot_fractions"][-1]) == (-0.1, 0.2)
    # No account holds options: volatility is not shown, and the grid stands for today.
    assert (grid["volatility_fractions"], grid["days"]) == ([0.0], [0.0])
    now = grid["spot_fractions"].index(0.0)
    figures = grid["pools"]["hyperliquid:fast"]
    for name in ("equity_usd", "maintenance_usd", "headroom_usd", "coverage_ratio"):
        assert figures[name][0][0][now] == pytest.approx(after[name], rel=1e-12)


def test_a_grid_alone_shows_the_book_as_it_is(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--grid", "spot=-20:20")
    assert code == 0
    assert "Coverage ratio as it is" in output.out
    assert "before" not in output.out.partition("Coverage ratio")[2]


def test_tables_show_the_change_and_the_heat_map(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--transfer", "10000 USDC outside -> hyperliquid:fast")
    assert code == 0
    assert "Coverage ratio after" in output.out
    assert "2.82 → 3.95" in output.out


def test_a_change_that_liquidates_exits_2(tmp_path, capsys):
    code, _ = run(tmp_path, capsys, "--transfer", "20000 USDC hyperliquid:fast -> outside")
    assert code == 2


def test_options_are_shown_over_volatility_and_days(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--days", "0,3,8", "--json", data=straddle_data())
    assert code == 0
    result = json.loads(output.out)
    grid, now = result["grid_after"], pool_of(result["after"], "deribit:main")
    assert (grid["volatility_fractions"][0], grid["volatility_fractions"][-1]) == (-0.3, 0.6)
    assert grid["days"] == [0.0, 3.0, 8.0]
    figures = grid["pools"]["deribit:main"]
    here = (grid["volatility_fractions"].index(0.0), grid["spot_fractions"].index(0.0))
    headroom, equity = figures["headroom_usd"], figures["equity_usd"]
    assert headroom[0][here[0]][here[1]] == pytest.approx(now["headroom_usd"], rel=1e-9)
    # Short options in a market that stands still: they lose value with every day, which the account gains.
    assert headroom[0][here[0]][here[1]] < headroom[1][here[0]][here[1]] < headroom[2][here[0]][here[1]]
    # And they cost more when volatility rises.
    column = [row[here[1]] for row in headroom[0]]
    assert column == sorted(column, reverse=True)
    # After 8 days the put of 7 days is settled: at 63,000 five coins' puts cost 5 x 27,000 / 63,000 BTC of the 2.5,
    # whatever volatility is; a standard margin account does not count the value of the call that is left.
    assert grid["spot_fractions"][0] == -0.3
    cash = (2.5 - 5 * 27_000 / 63_000) * 63_000
    assert [row[0] for row in equity[2]] == pytest.approx([cash] * 7, rel=1e-9)


def test_terminal_has_one_table_a_day_with_volatility_down_the_side(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--days", "0,7.5", "--grid", "vol=-20:40", data=straddle_data())
    assert code == 0
    for title in ("deribit:main today, as it is", "deribit:main in 7.5 days, as it is"):
        assert f"Coverage ratio of {title}" in output.out
    assert output.out.count("+40%") == 2


def test_page_and_picture_are_written(tmp_path, capsys):
    page, picture = tmp_path / "page.html", tmp_path / "maps.png"
    code, output = run(
        tmp_path, capsys, "--days", "0,3", "--html", str(page), "--png", str(picture), data=straddle_data()
    )
    assert code == 0
    assert str(page) in output.out
    assert str(picture) in output.out
    assert 'data-day="1"' in page.read_text(encoding="utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_modes_stand_side_by_side(tmp_path, capsys):
    data = demo_data()
    # COIN-M contracts stand in no other mode of the venue.
    arguments = ("--account", "binance:coin-treasury", "--modes", "coinm,usdm_single_asset", "--json")
    code, output = run(tmp_path, capsys, *arguments, data=data)
    assert code == 0
    held, refused = json.loads(output.out)["modes"]
    assert (held["mode"], held["is_present"], held["error"]) == ("coinm", True, None)
    assert held["headroom_usd"] == pytest.approx(held["equity_usd"] - held["maintenance_usd"], rel=1e-12)
    assert "does not hold" in refused["error"]
    assert "equity_usd" not in refused


def test_modes_page_and_table_show_the_reason_of_a_mode_that_cannot_hold_the_account(tmp_path, capsys):
    page = tmp_path / "modes.html"
    arguments = ("--account", "binance:coin-treasury", "--modes", "coinm,usdm_single_asset", "--html", str(page))
    code, output = run(tmp_path, capsys, *arguments)
    assert code == 0
    for text in (output.out, page.read_text(encoding="utf-8")):
        assert "not possible" in text
        assert "usdm_single_asset does not hold" in " ".join(text.split())


def test_modes_exit_3_when_none_can_be_computed(tmp_path, capsys):
    code, _ = run(tmp_path, capsys, "--account", "binance:coin-treasury", "--modes", "usdm_single_asset")
    assert code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ([], 64, "--add"),
        (["--add", "1 ETH"], 64, "account"),
        (["--add", "nowhere:x 1 ETH"], 64, "nowhere:x"),
        (["--add", "hyperliquid:fast 1 NOSUCH"], 3, "NOSUCH"),
        (["--add", "okx:hedge 5 ETH-USDT-SWAP"], 3, "mark"),
        (["--grid", "spot=30:-30"], 64, "--grid"),
        (["--grid", "spot=-100:30"], 64, "--grid"),
        (["--grid", "spot=-30:1001"], 64, "--grid"),
        (["--grid", "vol=-96:30"], 64, "--grid"),
        (["--grid", "vol=-30:501"], 64, "--grid"),
        (["--grid", "vol=1:2,vol=1:2"], 64, "--grid"),
        (["--grid", "skew=1:2"], 64, "--grid"),
        (["--days", "0,x"], 64, "--days"),
        (["--days", "366"], 64, "--days"),
        (["--days", "-1"], 64, "--days"),
        (["--days", "nan"], 64, "--days"),
        (["--days", "1,1"], 64, "--days"),
        (["--days", "0,1,2,3,4,5,6,7,8,9,10,11,12"], 64, "--days"),
        (["--days", "1", "--png", "/no/such/folder/x.png"], 3, "--png"),
        (["--days", "1", "--html", "/no/such/folder/x.html"], 3, "--html"),
        (["--modes", "all"], 64, "--account"),
        (["--modes", "all", "--account", "okx:nowhere"], 64, "okx:nowhere"),
        (["--modes", "nosuch", "--account", "okx:hedge"], 64, "nosuch"),
        (["--modes", "all,futures", "--account", "okx:hedge"], 64, "--modes"),
        (["--modes", "all", "--account", "okx:hedge", "--days", "1"], 64, "--modes"),
        (["--modes", "all", "--account", "okx:hedge", "--png", "x.png"], 64, "--modes"),
        (["--account", "okx:hedge", "--days", "1"], 64, "--account"),
    ],
)
def test_what_cannot_be_tried_is_one_clear_message(tmp_path, capsys, arguments, code, named):
    found, output = run(tmp_path, capsys, *arguments)
    assert found == code
    assert named in output.err
    assert output.err.count("margincover: error: ") == 1
    assert "Traceback" not in output.err
