"""Populations: what a file may hold, what is refused, and what a synthetic one matches."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from margincover.app.cascade import default_population_path
from margincover.clearing.population import BelowZero, Population, TierTable, population_notes
from margincover.errors import InputError
from margincover.io.population import population_of_table, read_population
from margincover.io.population_spec import spec_population
from tests.unit.cascade_cases import BTC, fields, isolated

ROWS = {
    "account": ["a", "b", "a"],
    "coin": ["BTC", "BTC", "ETH"],
    "side": ["long", "SHORT", "short"],
    "size": [1.0, 1.0, 10.0],
    "entry": [90.0, 110.0, 10.0],
    "collateral": [20.0, 30.0, 5.0],
    "maintenance_fraction": [0.01, 0.02, 0.05],
    "mark": [100.0, 100.0, 11.0],
}


def table(**changes):
    return pl.DataFrame({**ROWS, **changes})


def of(frame, prices=None):
    return population_of_table(frame, source="p.csv", prices=prices or {})


def test_rows_of_one_account_share_its_collateral():
    population = of(table())
    assert (population.n_accounts, population.n_positions) == (2, 3)
    # Account a: 25 + 1 (100 - 90) - 10 (11 - 10) = 25; maintenance 1 % of 100 + 5 % of 110 = 6.5.
    # Account b: 30 - 1 (100 - 110) = 40; maintenance 2.
    assert sorted(population.equity_usd()) == pytest.approx([25.0, 40.0])
    assert sorted(population.maintenance_usd()) == pytest.approx([2.0, 6.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [1.0, 0.0, 1.0]}, "size: was 0.0 in row 2"),
        ({"size": [1.0, -1.0, 1.0]}, "size: was -1.0 in row 2"),
        ({"entry": [1.0, 2.0, math.nan]}, "entry: was nan in row 3"),
        ({"collateral": [1.0, math.inf, 1.0]}, "collateral: was inf in row 2"),
        ({"maintenance_fraction": [0.01, 1.0, 0.1]}, "maintenance_fraction: was 1.0 in row 2"),
        ({"side": ["long", "up", "short"]}, "side: was up in row 2"),
        ({"size": [1.0, None, 1.0]}, "size: was None in row 2"),
        ({"coin": ["BTC", "BTC", None]}, "coin: was None in row 3"),
        ({"mark": [100.0, 101.0, 11.0]}, "BTC at main had 2 different marks, 100.0 to 101.0"),
        ({"size": ["1", "2", "3"]}, "size: held String"),
        ({"leverage": [1.0, 1.0, 1.0]}, "columns unknown: leverage"),
    ],
)
def test_bad_rows_are_named(changes, message):
    with pytest.raises(InputError) as error:
        of(table(**changes))
    assert message in str(error.value)


def test_missing_column_and_empty_table_are_refused():
    with pytest.raises(InputError, match="columns missing: collateral"):
        of(table().drop("collateral"))
    with pytest.raises(InputError, match="held no row"):
        of(table().head(0))


def test_a_table_without_marks_needs_prices():
    frame = table().drop("mark")
    with pytest.raises(InputError, match="--price COIN=USD"):
        of(frame)
    assert of(frame, {"BTC": 100.0, "ETH": 11.0}).markets[0].mark == 100.0


def test_an_account_at_two_venues_is_refused():
    with pytest.raises(InputError, match="one venue per account"):
        of(table(venue=["x", "x", "y"]))


def test_parquet_and_csv_give_the_same_population(tmp_path):
    table().write_parquet(tmp_path / "p.parquet")
    table().write_csv(tmp_path / "p.csv")
    one, other = (read_population(tmp_path / name, prices={}, seed=1).population for name in ("p.parquet", "p.csv"))
    np.testing.assert_array_equal(one.quantity, other.quantity)
    np.testing.assert_array_equal(one.collateral_usd, other.collateral_usd)
    (tmp_path / "p.txt").write_text("x")
    with pytest.raises(InputError, match=r"\.parquet, \.csv or \.toml"):
        read_population(tmp_path / "p.txt", prices={}, seed=1)


def test_open_interest_that_does_not_net_says_by_how_much():
    population = isolated([(3.0, 100.0, 50.0), (-1.0, 100.0, 50.0)])
    (note,) = population_notes(population, BelowZero.REFUSE)
    assert "does not net to zero: long by 200 USD, 50.0% of the gross" in note
    assert "never liquidated" in note


def test_accounts_below_zero_are_refused_or_closed_first():
    population = isolated([(1.0, 120.0, 10.0), (-1.0, 100.0, 50.0)])
    with pytest.raises(InputError, match=r"1 accounts are below zero by 10\.00 USD"):
        population_notes(population, BelowZero.REFUSE)
    (note,) = population_notes(population, BelowZero.CLOSE)
    assert "closed in the first step" in note


def test_accounts_below_maintenance_are_counted():
    population = isolated([(1.0, 100.0, 0.5), (-1.0, 100.0, 50.0)])
    (note,) = population_notes(population, BelowZero.REFUSE)
    assert note.startswith("1 accounts are below maintenance")


def test_an_empty_population_is_refused():
    population = isolated([(1.0, 100.0, 10.0)])
    empty = {"quantity": np.zeros(0), "entry": np.zeros(0), "market": np.zeros(0, np.int32)}
    with pytest.raises(InputError, match="held no account"):
        Population(**{**fields(population), **empty, "collateral_usd": np.zeros(0), "start": np.zeros(1, np.int64)})


@pytest.mark.parametrize(
    ("floors", "fractions"),
    [([0.0, 100.0, 100.0], [0.01, 0.02, 0.03]), ([0.0, 100.0], [0.02, 0.01]), ([10.0], [0.01]), ([0.0], [1.0])],
)
def test_crossing_tiers_are_refused(floors, fractions):
    with pytest.raises(InputError, match="tiers"):
        TierTable.progressive(floors_usd=floors, fractions=fractions)


def test_tiers_are_continuous_at_their_edges():
    tiers = TierTable.progressive(floors_usd=[0.0, 100.0, 400.0], fractions=[0.01, 0.02, 0.05])
    # At 400: 1 % of 100 + 2 % of 300 = 7, from both lines.
    assert [f * 400.0 - d for f, d in zip(tiers.fraction, tiers.deduction_usd, strict=True)][1:] == pytest.approx(
        [7, 7]
    )


def test_the_shipped_population_matches_what_it_states():
    loaded = read_population(default_population_path(), prices={}, seed=1)
    population = loaded.population
    assert population_notes(population, BelowZero.REFUSE) == []
    signed = population.quantity * population.mark_of_position()
    for number, open_interest in enumerate((8e9, 0.8e9, 5e9, 0.5e9, 1.5e9, 0.15e9)):
        own = signed[population.market == number]
        assert own[own > 0].sum() == pytest.approx(open_interest, rel=1e-9)
        assert -own[own < 0].sum() == pytest.approx(open_interest, rel=1e-9)
    held = np.diff(population.start)
    assert held.max() == 3
    single = np.repeat(held == 1, held) & (population.quantity > 0.0)
    leverage = np.repeat(population.effective_leverage(), held)[single]
    assert np.median(leverage) == pytest.approx(3.2, rel=0.03)
    assert all(text for text in loaded.sources)


def test_a_seed_gives_the_same_bits_and_another_seed_others():
    path = default_population_path()
    one, same, other = (read_population(path, prices={}, seed=seed).population for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.collateral_usd, same.collateral_usd)
    assert one.collateral_usd.shape != other.collateral_usd.shape or (one.collateral_usd != other.collateral_usd).any()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size_tail = 1.6", "size_tail = 0.9", "traders.size_tail"),
        ("open_interest_usd = 8000000000.0", "open_interest_usd = 0.0", "open interest of BTC@deep"),
        ("tier_fractions = [0.0125, 0.025]", "tier_fractions = [0.025, 0.0125]", "BTC@thin: tiers"),
        ('name = "thin"', 'name = "deep"', "allowed: deep"),
        ("cross_fraction = 0.3", "crossing = 0.3", "missing: cross_fraction; unknown: crossing"),
        ("n_accounts = 60000", "n_accounts = 20", "BTC@thin gets 1 of 20 accounts"),
        ("n_accounts = 60000", "n_accounts = true", "was True"),
    ],
)
def test_a_wrong_description_is_named(old, new, message):
    text = default_population_path().read_text()
    assert old in text
    with pytest.raises(InputError) as error:
        spec_population(text.replace(old, new), source="x.toml", seed=1)
    assert message in str(error.value)


def test_market_name_joins_coin_and_venue():
    assert BTC.name == "BTC@main"
