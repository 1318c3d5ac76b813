"""`margincover fund size` and `fund waterfall` from the command line to JSON, text and exit code."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

from margincover.clearing.adl_policies import random_start
from margincover.clearing.cascade import CascadeSettings, Stage
from margincover.clearing.cascade_isolated import run_isolated_paths
from margincover.clearing.fund_compare import mean_random_start, shocked
from margincover.clearing.fund_deficits import (
    deficits,
    market_book,
    refined,
    scaled_maintenance,
    stress_exposures,
    taken_apart,
)
from margincover.cli.main import main
from margincover.io.population import read_population


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """400 isolated accounts of one coin at 100 USD, both sides alike, leverage 2 to 50."""
    rng = np.random.default_rng(1)
    n = 400
    size = np.repeat(1.0 + rng.pareto(2.0, n // 2), 2)
    leverage = np.exp(rng.normal(2.0, 0.8, n)).clip(2.0, 50.0)
    path = tmp_path_factory.mktemp("fund") / "book.parquet"
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


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    """20,000 exponential losses of mean 1 million USD."""
    path = tmp_path_factory.mktemp("fund") / "losses.csv"
    pl.DataFrame({"loss_usd": np.random.default_rng(2).exponential(1e6, 20_000)}).write_csv(path)
    return path


def run(arguments, capsys):
    code = main(["fund", *(str(each) for each in arguments)])
    found = capsys.readouterr()
    return code, found.out, found.err


def run_json(arguments, capsys):
    code, out, err = run([*arguments, "--json"], capsys)
    assert out, err
    return code, json.loads(out)


def test_size_from_losses_matches_the_law_they_were_drawn_from(losses, capsys):
    code, out = run_json(["size", losses, "--horizon", "5d", "--fund", "1M", "--inflow", "100k"], capsys)
    # Exponential: quantile -ln(tail) and ES 1 - ln(tail), in means; the sampling error at 0.1 % is about 5 %.
    for level, tail in (("0.995", 0.005), ("0.999", 0.001)):
        var, es = out["tails"][level]["var"], out["tails"][level]["es"]
        assert var["value"] == pytest.approx(-math.log(tail) * 1e6, rel=0.1)
        assert es["value"] == pytest.approx((1.0 - math.log(tail)) * 1e6, rel=0.2)
        assert es["low"] <= es["value"] <= es["high"]
    # 15 % a year for 5 days is 0.205 % of a dollar, and so is the tail.
    assert out["newsvendor"]["value"] == pytest.approx(-math.log(0.15 * 5 / 365) * 1e6, rel=0.1)
    # The income of 5 days, 0.5 million, comes before the claim: P(loss > 1.5 million) = exp(-1.5).
    assert out["present"]["depletion"]["value"] == pytest.approx(math.exp(-1.5), abs=0.015)
    assert code == 2


def test_a_fund_above_the_recommended_size_exits_0(losses, capsys):
    code, out = run_json(["size", losses, "--fund", "1bn"], capsys)
    assert code == 0
    assert out["present"]["covers_fraction"] > 1.0
    assert out["present"]["depletion"]["value"] == 0.0


def test_without_income_a_drawn_fund_is_never_full_again(losses, capsys):
    _, out = run_json(["size", losses, "--fund", "1bn"], capsys)
    assert out["present"]["refill_days"] == [None, None]
    _, out = run_json(["size", losses, "--fund", "1bn", "--inflow", "1k"], capsys)
    # Half of the losses are below ln 2 million: the 5,000 of the horizon are taken off, the rest comes 1,000 a day.
    assert out["present"]["refill_days"][0] == pytest.approx(math.log(2.0) * 1e3, rel=0.05)


def test_cover_n_adds_the_largest_members_of_the_worst_path(tmp_path, capsys):
    paths = np.repeat(np.arange(2_000), 3)
    loss = np.random.default_rng(3).exponential(1e5, paths.size)
    loss[:3] = [5e6, 3e6, 1e6]
    pl.DataFrame({"path": paths, "member": ["a", "b", "c"] * 2_000, "loss_usd": loss}).write_parquet(
        tmp_path / "members.parquet"
    )
    _, out = run_json(["size", tmp_path / "members.parquet"], capsys)
    assert out["cover_usd"] == {"1": 5e6, "2": 8e6, "3": 9e6}
    assert out["binding"] == "Cover-2"


def test_size_of_a_population_repeats_and_more_maintenance_needs_no_larger_fund(book, capsys):
    arguments = [
        "size",
        book,
        "--horizon",
        "1d",
        "--depth",
        "BTC=100M",
        "--fund",
        "100",
        "--paths",
        "1000",
        "--step",
        "15min",
    ]
    code, out = run_json(arguments, capsys)
    assert run_json(arguments, capsys)[1] == out
    means = [case["mean_deficit_usd"] for case in out["maintenance"]]
    assert [case["factor"] for case in out["maintenance"]] == [0.5, 0.75, 1.0, 1.25, 1.5]
    assert means[0] > means[-1]
    assert out["maintenance"][2]["mean_deficit_usd"] == pytest.approx(out["mean_deficit_usd"])
    assert code in (1, 2)


@pytest.mark.parametrize("venue", ["binance", "clearing-house"])
def test_every_policy_adds_up_to_the_cent_on_the_same_loss(book, capsys, venue):
    arguments = ["waterfall", book, "--venue", venue, "--fund", "500", "--adl-of", "binance"]
    code, out = run_json([*arguments, "--compare", "adl,pro-rata,haircut,socialise,assess"], capsys)
    assert out["accounts_failed"] > 0
    for policy in out["policies"].values():
        paid = math.fsum(layer["paid_usd"] for layer in policy["layers"])
        assert abs(paid + policy["residual_usd"] - out["loss_usd"]) < 0.005
        assert policy["layers"][:-1] == out["policies"]["adl"]["layers"][:-1]
        assert policy["split_gain_fraction"] == pytest.approx(0.0, abs=1e-9)
    # Calls stop at the contributions of survivors, which are below 500 USD; winners can pay the rest.
    assert out["policies"]["assess"]["residual_usd"] > 0.0
    assert out["policies"]["haircut"]["residual_usd"] == pytest.approx(0.0, abs=0.005)
    assert out["policies"]["adl"]["gini_taken"] > out["policies"]["pro-rata"]["gini_taken"]
    assert code == 2


def test_deficit_is_the_sum_of_negative_equities_after_the_jump(book, capsys):
    _, out = run_json(["waterfall", book, "--fund", "0", "--compare", "haircut"], capsys)
    table = pl.read_parquet(book)
    sign = np.where(table["side"].to_numpy() == "long", 1.0, -1.0)
    equity = table["collateral"].to_numpy() - sign * table["size"].to_numpy() * 20.0
    failed = equity < 0.0
    assert out["deficit_usd"] == pytest.approx(-equity[failed].sum())
    assert out["loss_usd"] == pytest.approx((table["size"].to_numpy() * 20.0)[failed].sum())


def test_a_large_fund_leaves_nothing_to_policies(book, capsys):
    code, text, _ = run(["waterfall", book, "--fund", "20k"], capsys)
    assert code == 0
    assert "the prefunded layers pay all" in text


def test_two_halves_lose_more_to_a_random_start_than_one_account(book, capsys):
    # Each half may be the first of the queue, so that the first place falls on the account twice as often.
    _, out = run_json(["waterfall", book, "--venue", "dydx", "--fund", "0", "--compare", "adl"], capsys)
    assert out["policies"]["adl"]["split_gain_fraction"] < -1e-6


def test_mean_over_random_starts_agrees_with_draws():
    have, needed = np.array([5.0, 1.0, 3.0, 2.0]), 6.0
    drawn = random_start(have, np.full(20_000, needed), rng=np.random.default_rng(4)).mean(axis=1)
    exact = [mean_random_start(have, needed, account) for account in range(4)]
    assert exact == pytest.approx(drawn.tolist(), abs=0.05)
    assert sum(exact) == pytest.approx(needed)


def test_paths_through_a_bridge_keep_their_ends_and_their_variance():
    close = np.log(np.array([[[1.1, 0.9]], [[1.0, 0.8]]]))
    same = refined(close, np.full(close.shape, 1e-4), np.eye(1), parts=4, rng=np.random.default_rng(5))
    assert np.array_equal(same[3::4], np.exp(close))
    flat = np.zeros((1, 1, 40_000))
    middle = refined(flat, np.full(flat.shape, 4e-4), np.eye(1), parts=2, rng=np.random.default_rng(6))[0, 0]
    # Half way along a bridge the variance is a quarter of the step's.
    assert np.log(middle).var() == pytest.approx(1e-4, rel=0.03)


def test_deficit_of_one_account_is_the_gap_beyond_its_bankruptcy_price(tmp_path):
    pl.DataFrame(
        {
            "account": ["a", "b"], "coin": ["BTC", "BTC"], "side": ["long", "short"], "size": [1.0, 1.0],
            "entry": [100.0, 100.0], "collateral": [10.0, 90.0], "maintenance_fraction": [0.01, 0.01],
            "mark": [100.0, 100.0],
        }
    ).write_parquet(tmp_path / "two.parquet")  # fmt: skip
    population = read_population(tmp_path / "two.parquet", prices={}, seed=1).population
    single = market_book(taken_apart(population, 0), factor=0, depth_usd=1e15, bound_fraction=0.5)
    relative = np.array([0.95, 0.85, 0.80])[:, np.newaxis, np.newaxis]
    found = deficits([single], relative, CascadeSettings(fee_fraction=0.01), ends=[1, 2, 3])
    # Bankrupt at 90, first seen below at 85: 5 USD, and nothing is left for a fee; the short is never touched.
    assert found.deficit_usd[:, 0] == pytest.approx([0.0, 5.0, 0.0], abs=1e-6)
    assert found.fees_usd[:, 0] == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    assert stress_exposures(population, [-0.2, 0.2])[:, 0] == pytest.approx([10.0, 0.0])
    # Maintenance of 6 % closes it at 95 with 5 USD left, of which the fee takes 0.95.
    early = market_book(scaled_maintenance(single.population, 6.0), factor=0, depth_usd=1e15, bound_fraction=0.5)
    found = deficits([early], relative, CascadeSettings(fee_fraction=0.01), ends=[3])
    assert found.deficit_usd[0, 0] == 0.0
    assert found.fees_usd[0, 0] == pytest.approx(0.95, rel=1e-6)
    assert shocked(single.population, -0.2).deficit_usd == pytest.approx(10.0)


def test_periods_add_up_to_a_run_of_the_cascade(book):
    population = read_population(book, prices={}, seed=1).population
    single = market_book(population, factor=0, depth_usd=3e3, bound_fraction=0.3)
    relative = np.exp(np.random.default_rng(7).normal(0.0, 0.02, (40, 1, 30)).cumsum(axis=0))
    settings = CascadeSettings(fee_fraction=0.0)
    found = deficits([single], relative, settings, ends=[7, 25, 40], threads=2)
    stage = Stage(
        coins=("BTC",), venues=("main",), index=np.ones((1, 1)), depth_usd=np.array([3e3]),
        bound_fraction=np.array([0.3]), fund_usd=np.zeros(1),
    )  # fmt: skip
    whole = run_isolated_paths(population, relative[:, 0] * 100.0, stage, settings, single.book)
    assert whole.residual_usd.sum() > 0.0
    assert found.deficit_usd.sum(axis=0) == pytest.approx(whole.residual_usd, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["waterfall", "--compare", "adl,lottery"], 64, "adl, pro-rata, haircut, socialise, assess"),
        (["waterfall", "--compare", "adl,adl"], 64, "each once"),
        (["waterfall", "--venue", "nowhere"], 3, "no waterfall of 'nowhere'"),
        (["waterfall", "--venue", "deribit"], 3, "no queue of deribit is packaged"),
        (["waterfall", "--shock", "-100%"], 64, "above -100%"),
        (["waterfall", "--fund", "900bn"], 3, "check the unit"),
        (["waterfall", "--market", "DOGE@deep"], 3, "BTC@deep"),
        (["size", "--fund", "900bn", "--horizon", "1h", "--paths", "1000", "--step", "1h"], 3, "check the unit"),
        (["size", "--paths", "10"], 64, "fewer have no tail"),
        (["size", "--step", "7min"], 64, "a part of an hour"),
        (["size", "--horizon", "36h"], 64, "then whole days"),
        (["size", "--venue", "nowhere"], 3, "deep, thin"),
        (["size", "--capital-cost", "0"], 64, "above 0"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_allowed(arguments, code, message, capsys):
    found, out, err = run(arguments, capsys)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("loss_usd\n", "held no row"),
        ("loss_usd\n1\n-2\n", "row 2"),
        ("loss_usd\n1\nnan\n", "row 2"),
        ("loss_usd\n1\n2\n", "at least 50"),
        ("loss_usd,path\n1,1\n", "path and member, or neither"),
        ("loss_usd,colour\n1,red\n", "columns were"),
        ("loss_usd,path,member\n1,1,a\n2,1,a\n", "stood twice"),
        ("account,coin,side,size,entry,collateral,maintenance_fraction,mark\n", "held no row"),
    ],
)
def test_a_broken_table_is_refused(table, message, tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text(table)
    code, _, err = run(["size", path], capsys)
    assert code == 3
    assert message in " ".join(err.split())


def test_a_table_without_depth_says_which_option_to_give(book, capsys):
    code, _, err = run(["size", book], capsys)
    assert code == 3
    assert "--depth BTC=USD" in err
