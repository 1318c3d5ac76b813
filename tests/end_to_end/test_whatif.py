"""``margincover whatif`` as its user runs it."""

import json

import pytest

from margincover.cli.main import main
from tests.books import demo_data, write_book


def run(tmp_path, capsys, *arguments):
    code = main(["whatif", str(write_book(tmp_path, demo_data())), *arguments])
    return code, capsys.readouterr()


def test_before_and_after_and_the_grid_are_in_the_json(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--add", "hyperliquid:fast -50 ETH", "--grid", "spot=-10:20", "--json")
    assert code == 0
    result = json.loads(output.out)
    before, after = (
        next(pool for pool in result[when]["pools"] if pool["pool_id"] == "hyperliquid:fast")
        for when in ("before", "after")
    )
    # A third of 150 ETH is closed at the mark: equity stays, maintenance falls by a third.
    assert after["equity_native"] == pytest.approx(before["equity_native"], rel=1e-12)
    assert after["maintenance_native"] == pytest.approx(before["maintenance_native"] * 2 / 3, rel=1e-12)
    grid = result["grid_after"]
    assert (grid["move_fractions"][0], grid["move_fractions"][-1]) == (-0.1, 0.2)
    here = grid["move_fractions"].index(min(grid["move_fractions"], key=abs))
    assert len(grid["coverage_ratios"]["hyperliquid:fast"]) == len(grid["move_fractions"]) > here


def test_tables_show_the_change_and_the_heat_map(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--transfer", "10000 USDC outside -> hyperliquid:fast")
    assert code == 0
    assert "Coverage ratio after" in output.out
    assert "2.82 → 3.95" in output.out


def test_a_change_that_liquidates_exits_2(tmp_path, capsys):
    code, _ = run(tmp_path, capsys, "--transfer", "20000 USDC hyperliquid:fast -> outside")
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ([], 64, "--add"),
        (["--add", "1 ETH"], 64, "account"),
        (["--add", "nowhere:x 1 ETH"], 64, "nowhere:x"),
        (["--add", "hyperliquid:fast 1 NOSUCH"], 3, "NOSUCH"),
        (["--add", "okx:hedge 5 ETH-USDT-SWAP"], 3, "mark"),
        (["--add", "okx:hedge 5 BTC-USDT-SWAP", "--grid", "vol=-30:30"], 64, "--grid"),
        (["--add", "okx:hedge 5 BTC-USDT-SWAP", "--grid", "spot=30:-30"], 64, "--grid"),
    ],
)
def test_what_cannot_be_tried_is_one_clear_message(tmp_path, capsys, arguments, code, named):
    found, output = run(tmp_path, capsys, *arguments)
    assert found == code
    assert named in output.err
    assert output.err.count("margincover: error: ") == 1
    assert "Traceback" not in output.err
