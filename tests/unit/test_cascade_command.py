"""`margincover cascade` from the command line to JSON, page and exit code, and the systemic map behind it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from margincover.app.cascade import CascadeRequest, cascade
from margincover.app.cascade_index import seen_bars, stated_fall
from margincover.clearing.cascade import CascadeSettings, stage_of
from margincover.clearing.cascade_report import by_minute, share_of_worst_window
from margincover.clearing.cascade_systemic import moves_by_coin, systemic_map
from margincover.clearing.impact import Impact, ImpactLaw, displaced, thinned_depth_usd
from margincover.cli.figures import figure_of, named_figures
from margincover.cli.main import main
from margincover.errors import InputError, UsageError
from tests.unit.cascade_cases import isolated, random_cross, stage


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """400 isolated accounts of one coin, both sides of the same size, as a table."""
    rng = np.random.default_rng(1)
    n = 400
    size = np.repeat(1.0 + rng.pareto(2.0, n // 2), 2)
    leverage = np.exp(rng.normal(1.5, 0.7, n)).clip(1.0, 50.0)
    path = tmp_path_factory.mktemp("cascade") / "book.parquet"
    pl.DataFrame(
        {
            "account": [f"u{k}" for k in range(n)],
            "coin": ["BTC"] * n,
            "side": ["long", "short"] * (n // 2),
            "size": size,
            "entry": [100.0] * n,
            "collateral": size * 100.0 / leverage,
            "maintenance_fraction": [0.01] * n,
            "mark": [100.0] * n,
        }
    ).write_parquet(path)
    return path


def test_json_adds_up_and_exit_code_says_who_paid(book, capsys):
    code = main(["cascade", str(book), "--depth", "BTC=500", "--fund", "main=1k", "--shock", "-8%", "--json"])
    out = json.loads(capsys.readouterr().out)
    ledger = out["ledger"]
    assert abs(ledger["taken_usd"] + ledger["paid_usd"] + ledger["residual_usd"] - ledger["loss_usd"]) < 0.01
    assert sum(out["by_minute"]["liquidated_usd"]) == pytest.approx(out["liquidated_usd"])
    assert len(out["by_minute"]["liquidated_usd"]) == 120
    assert code == (2 if ledger["residual_usd"] >= 0.01 else 1 if ledger["paid_usd"] >= 0.01 else 0)
    assert code == 2
    assert out["schema"] == "margincover/cascade/1"
    assert out["warnings"] == [
        "no bound was stated for BTC@main: the local price may leave the index by at most 25%, an assumption; "
        "--bound states another"
    ]


def test_a_small_shock_on_a_deep_market_costs_nobody(book, capsys):
    assert main(["cascade", str(book), "--depth", "BTC=1bn", "--shock", "-0.1%", "--duration", "30min"]) == 0
    assert "nobody is liquidated" in capsys.readouterr().out


def test_page_holds_five_charts_and_loads_nothing(book, tmp_path):
    page = tmp_path / "page.html"
    main(["cascade", str(book), "--depth", "BTC=2k", "--whole", "--immediate", "--html", str(page)])
    text = page.read_text()
    for name in ("price", "flow", "map", "gain", "heat"):
        assert f'id="cascade-{name}"' in text
    assert "<script src" not in text
    assert "What is not modelled" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 3, "depth: none for BTC@main"),
        (["--depth", "BTC=0"], 3, "without depth nothing trades"),
        (["--depth", "ETH=1M"], 3, "was given for ETH; allowed: BTC, BTC@main"),
        (["--depth", "BTC"], 64, "NAME=FIGURE"),
        (["--depth", "BTC=1k", "--depth", "BTC=2k"], 64, "each name once"),
        (["--depth", "BTC=1k", "--coin", "DOGE"], 3, "coin: was DOGE"),
        (["--depth", "BTC=1k", "--shock", "-100%"], 64, "above -100%"),
        (["--depth", "BTC=1k", "--step", "3h"], 64, "--step"),
        (["--depth", "BTC=1k", "--impact", "cubic"], 64, "exponential, linear, square-root"),
        (["--depth", "BTC=1k", "--thinning", "0%"], 64, "thinning_move_fraction"),
        (["--depth", "BTC=1k", "--max-rounds", "0"], 64, "max_rounds"),
        (["--depth", "BTC=1k", "--bound", "BTC=100%"], 3, "bound"),
        (["--depth", "BTC=1k", "--fund", "main=-1"], 3, "fund_usd"),
        (["--depth", "BTC=1k", "--below-zero", "ignore"], 64, "refuse, close"),
        (["--depth", "BTC=1k", "--from", "2025-10-10T00:00:00Z"], 64, "with --index FILE"),
    ],
)
def test_wrong_options_are_one_sentence(book, capsys, arguments, code, message):
    assert main(["cascade", str(book), *arguments]) == code
    assert message in capsys.readouterr().err


def test_a_missing_file_is_said(capsys):
    assert main(["cascade", "nowhere.parquet"]) == 3
    assert "does not exist" in capsys.readouterr().err


def test_shipped_population_answers_without_a_file():
    request = CascadeRequest(index=stated_fall(-0.05, over_s=600.0, duration_s=900.0, step_s=60.0))
    report = cascade(CascadeRequest(index=request.index, settings=CascadeSettings(step_s=60.0)))
    assert report.data.result.liquidated_usd.sum() > 0.0
    assert "no population was named" in report.data.provenance.warnings[0]
    assert abs(report.data.result.ledger.difference_usd) < 0.01


def test_bars_become_four_points_each(tmp_path):
    pl.DataFrame(
        {
            "ts": ["2025-01-01T00:00:00Z", "2025-01-01T00:01:00Z"],
            "open": [100.0, 105.0], "high": [106.0, 105.0], "low": [99.0, 80.0], "close": [105.0, 90.0],
        }
    ).write_csv(tmp_path / "bars.csv")  # fmt: skip
    path = seen_bars(tmp_path / "bars.csv")
    assert path.step_s == 15.0
    np.testing.assert_allclose(path.relative * 100.0, [100, 99, 106, 105, 105, 105, 80, 90])
    with pytest.raises(InputError, match="evenly in time"):
        seen_bars(tmp_path / "bars.csv", end_ns=0)


def test_figures_read_their_units():
    assert figure_of("-10%", option="x") == pytest.approx(-0.1)
    assert named_figures(["BTC=1.5bn"], option="x") == {"BTC": 1.5e9}
    with pytest.raises(UsageError, match="figure"):
        figure_of("ten", option="x")


@pytest.mark.parametrize("law", list(ImpactLaw))
def test_impact_adds_up_whatever_the_split_and_keeps_its_bound(law):
    once = displaced(0.0, 5e6, 1e6, law, 0.3)
    twice = displaced(displaced(0.0, 2e6, 1e6, law, 0.3), 3e6, 1e6, law, 0.3)
    assert twice == pytest.approx(once, rel=1e-12)
    # A root magnifies rounding near zero: sqrt(1e-16) is 1e-8 of 1 %.
    assert displaced(once, -5e6, 1e6, law, 0.3) == pytest.approx(0.0, abs=1e-9)
    assert displaced(0.0, -5e6, 1e6, law, 0.3) == -once
    assert displaced(0.0, 1e12, 1e6, law, 0.3) <= 0.3


def test_exponential_law_is_the_published_drop():
    # drop = (1 - B/P)(1 - exp(-Q/D)) with the index at 100, B = 70 and D = 0.3 / 0.01 of the depth for 1 %.
    assert displaced(0.0, 15e6, 1e6, ImpactLaw.EXPONENTIAL, 0.3) == pytest.approx(0.3 * (1.0 - np.exp(-0.5)))


def test_depth_halves_at_the_stated_move_and_keeps_its_floor():
    impact = Impact(thinning_move_fraction=0.04, depth_floor_fraction=0.1)
    assert thinned_depth_usd(100.0, -0.04, impact) == pytest.approx(50.0)
    assert thinned_depth_usd(100.0, -0.9, impact) == pytest.approx(10.0)
    assert thinned_depth_usd(100.0, -0.9, Impact(thinning_move_fraction=None)) == 100.0


def test_systemic_map_finds_levels_and_gain_by_hand():
    # Long 1 at 100 on 5.94 USD: liquidated at (100 - 5.94) / 0.99 = 95.01, so within the fifth per cent.
    # Depth is 40 USD for 1 %, halved at a move of 5 %: the gain there is 95 / (40 / 2) = 4.75. The short on 1,000 USD
    # is out of reach.
    population = isolated([(1.0, 100.0, 5.94), (-1.0, 100.0, 1000.0)])
    on = stage_of(population, {"BTC": np.array([100.0])}, depth_usd={"BTC": 40.0}, bound_fraction=0.5, fund_usd={})
    found = systemic_map(population, on, Impact(thinning_move_fraction=0.05), moves_by_coin(population, None, {}))
    place = int(np.argmin(np.abs(found.level + 0.05)))
    assert found.liquidated_usd[place] == pytest.approx(100.0)
    assert found.liquidated_usd[place + 1] == 0.0
    assert found.gain[place, 0] == pytest.approx(95.0 / 20.0)
    assert found.first_unstable(0, sign=-1.0) == pytest.approx(-0.05)
    assert found.first_unstable(0, sign=1.0) is None
    assert found.heat_usd.sum() == pytest.approx(100.0)


def test_a_coin_moved_alone_reaches_fewer_accounts():
    population = random_cross(np.random.default_rng(3), 2_000)
    on = stage(population, [1.0])
    all_coins = systemic_map(population, on, Impact(), moves_by_coin(population, None, {}))
    alone = systemic_map(population, on, Impact(), moves_by_coin(population, "BTC", {"ETH": 0.0, "SOL": 0.0}))
    assert alone.liquidated_usd[0] < all_coins.liquidated_usd[0]


def test_worst_window_and_minutes_by_hand():
    values = np.array([1.0, 2.0, 3.0, 0.0, 4.0])
    np.testing.assert_array_equal(by_minute(values, 30.0), [3.0, 3.0, 4.0])
    assert share_of_worst_window(values, 30.0, 60.0) == pytest.approx(0.5)
    assert share_of_worst_window(np.zeros(3), 30.0, 60.0) is None
