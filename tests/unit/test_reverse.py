"""Reverse stress: the move found liquidates, and no smaller one does."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, norm

from margincover.app.demo import demo_book
from margincover.app.load import load
from margincover.coverage.analogue import nearest_analogue
from margincover.coverage.nearest import SearchSettings, nearest_failure
from margincover.coverage.reverse import MoveSpace, ReverseSettings, reverse_stress, tail_probabilities
from margincover.numeric.rng import stream
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.episodes import load_episodes
from margincover.scenarios.joint_moves import VOLATILITY, law_from_calibration
from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import linear_pool, usdt_pool, write_book
from tests.end_to_end.test_whatif import straddle_data

CALIBRATION, LIBRARY = load_packaged(), load_episodes()
DAY = 86_400


def a_law(factors, volatility=None, horizon_s=DAY):
    return law_from_calibration(CALIBRATION, factors, proxies={}, horizon_s=horizon_s, volatility=volatility)


def reverse(pools, *, seed=1, episodes=()):
    factors = sorted({factor for pool in pools for factor in pool.factors})
    return reverse_stress(pools, ReverseSettings(law=a_law(factors), seed=seed, episodes=episodes))


@pytest.mark.parametrize(("notional", "sign"), [(10.0, -1), (-10.0, 1)])
def test_one_coin_is_the_liquidation_price_in_standard_deviations(notional, sign):
    # Long: 1 + 10 (r - 1) = 0.05 r, so r = 9 / 9.95; short: 1 - 10 (r - 1) = 0.05 r, so r = 11 / 10.05.
    (found,) = reverse([linear_pool(notional=notional, cash=1.0)])
    ratio = 9.0 / 9.95 if sign < 0 else 11.0 / 10.05
    sigma = CALIBRATION.of("BTC").long_run_volatility_annual * math.sqrt(1 / 365)
    assert found.distance == pytest.approx(abs(math.log(ratio)) / sigma, rel=1e-6)
    assert found.moves["BTC"] == pytest.approx(ratio - 1.0, rel=1e-6)
    assert found.headroom_ratio <= 0.0


@pytest.mark.parametrize(
    "positions",
    [
        {"BTCUSDT": 60_000.0, "ETHUSDT": 40_000.0},
        {"BTCUSDT": -80_000.0, "ETHUSDT": 50_000.0},
        {"BTCUSDT": -30_000.0, "ETHUSDT": -30_000.0},
    ],
)
def test_no_smaller_move_exists_in_a_brute_force_search_on_two_factors(positions):
    pool = usdt_pool(positions, cash=9_000.0)
    (found,) = reverse([pool])
    law = a_law(["BTC", "ETH"])
    order = [("BTC", "ETH").index(name) for name in pool.factors]
    inverse = np.linalg.inv(law.covariance)
    step = 0.002
    line = np.arange(-0.6, 0.6, step)
    grid = np.stack([each.ravel() for each in np.meshgrid(line, line)])
    equity, maintenance, _ = margin.evaluate_pool(pool, np.exp(grid[order]))
    distance = np.sqrt(np.einsum("ip,ij,jp->p", grid, inverse, grid))
    smallest = distance[equity <= maintenance].min()
    # The grid's own nearest point may lie one cell beyond the edge of the region, never inside the move found.
    cell = step * math.sqrt(float(np.linalg.eigvalsh(inverse).max()))
    assert smallest - cell <= found.distance <= smallest + 1e-9


def test_no_smaller_move_of_coin_and_volatility_liquidates_a_short_straddle(tmp_path):
    (pool,) = build_pools(load(write_book(tmp_path, straddle_data())))
    law = a_law(["BTC"], volatility=LIBRARY.volatility_law)
    (found,) = reverse_stress([pool], ReverseSettings(law=law))
    assert found.volatility_fraction is not None
    step = np.array([0.002, 0.004])
    grid = np.stack(
        [each.ravel() for each in np.meshgrid(np.arange(-0.4, 0.4, step[0]), np.arange(-0.4, 0.4, step[1]))]
    )
    equity, maintenance, _ = margin.evaluate_pool(pool, np.exp(grid[:1]), volatility_ratio=np.exp(grid[1]))
    inverse = np.linalg.inv(law.covariance)
    distance = np.sqrt(np.einsum("ip,ij,jp->p", grid, inverse, grid))
    smallest = distance[equity <= maintenance].min()
    cell = math.sqrt(float(step @ np.abs(inverse) @ step))
    assert smallest - cell <= found.distance <= smallest + 1e-9


def test_moves_of_the_demo_book_really_liquidate_and_a_hair_less_does_not():
    book = demo_book()
    pools = build_pools(book, funding_fallback=CALIBRATION.pessimistic_funding_per_hour)
    by_id = {pool.id: pool for pool in pools}
    found = reverse(pools, episodes=LIBRARY.episodes)
    accounts = len(book.accounts)
    assert len(found) == accounts + accounts * (accounts - 1) // 2 + 1
    for each in found:
        assert each.distance is not None
        for scale, expected in ((1.0, True), (0.999, False)):
            logs = {factor: scale * math.log1p(move) for factor, move in each.moves.items()}
            hits = []
            for name in each.pools:
                pool = by_id[name]
                ratio = np.exp(np.array([[logs[factor]] for factor in pool.factors]))
                equity, maintenance, _ = margin.evaluate_pool(pool, ratio)
                # Moves are stored as fractions: the last digit of a logarithm is allowed for.
                hits.append(bool(equity[0] <= maintenance[0] * (1.0 + 1e-9)))
            assert all(hits) is expected
        assert each.analogue is not None
    distances = [each.distance for each in found]
    assert distances == sorted(distances)


def test_a_set_is_never_nearer_than_any_of_its_accounts():
    pools = build_pools(demo_book(), funding_fallback=CALIBRATION.pessimistic_funding_per_hour)
    found = {each.accounts: each.distance for each in reverse(pools)}
    for accounts, distance in found.items():
        for name in accounts:
            assert distance >= found[(name,)] * (1.0 - 1e-6)


def test_the_same_seed_gives_the_same_bits_and_another_the_same_answer():
    pools = [usdt_pool({"BTCUSDT": -80_000.0, "ETHUSDT": 50_000.0}, cash=9_000.0)]
    first, again, other = (reverse(pools, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again
    assert other.distance == pytest.approx(first.distance, rel=1e-5)


def test_of_disjoint_regions_the_nearest_is_kept():
    def functions(z):
        # A half-plane at 3, and a small disc whose edge is at 2.3.
        return np.minimum(3.0 - z[0], np.hypot(z[0], z[1] + 2.5) - 0.2)[None, :]

    found = nearest_failure(functions, 2, stream(1, "test"), SearchSettings(directions=256))
    assert found is not None
    assert np.linalg.norm(found) == pytest.approx(2.3, abs=1e-4)


def test_several_functions_must_all_fail():
    def functions(z):
        return np.stack([2.0 - z[0], 2.0 - z[1]])

    found = nearest_failure(functions, 2, stream(1, "test"), SearchSettings(directions=256))
    assert found == pytest.approx([2.0, 2.0], abs=1e-4)


def test_what_no_move_liquidates_says_so_and_what_is_gone_needs_none():
    (safe,) = reverse([linear_pool(notional=1.0, cash=50.0)])
    assert safe.distance is None
    assert safe.moves == {}
    (gone,) = reverse([linear_pool(notional=10.0, cash=0.01)])
    assert gone.distance == 0.0
    assert gone.tail_normal == 1.0


def test_many_ways_to_be_liquidated_are_searched_at_once_with_the_same_answer(monkeypatch):
    pools = build_pools(demo_book(), funding_fallback=CALIBRATION.pessimistic_funding_per_hour)
    one_by_one = {each.accounts: each for each in reverse(pools)}
    monkeypatch.setattr("margincover.coverage.reverse.MAX_COMBINATIONS", 0)
    at_once = {each.accounts: each for each in reverse(pools)}
    for accounts, each in one_by_one.items():
        assert at_once[accounts].distance == pytest.approx(each.distance, rel=1e-3)
        assert at_once[accounts].pools == each.pools


def test_tails_are_those_of_the_textbook_laws():
    normal, student, half = tail_probabilities(3.0, 2, 1e9)
    assert normal == pytest.approx(math.exp(-4.5))
    assert student == pytest.approx(normal, rel=1e-6)
    assert half == pytest.approx(norm.sf(3.0), rel=1e-6)
    assert tail_probabilities(3.0, 5, 4.0)[0] == pytest.approx(chi2.sf(9.0, 5))
    assert tail_probabilities(3.0, 2, 4.0)[1] > normal


def test_a_coin_without_calibration_is_wilder_than_any_that_has_one():
    law = a_law(["BTC", "PEPE"])
    largest = max(row.long_run_volatility_annual for row in CALIBRATION.factors)
    assert math.sqrt(law.covariance[1, 1]) == pytest.approx(1.25 * largest * math.sqrt(1 / 365))
    assert "PEPE is not calibrated" in law.notes[0]


def test_implied_volatility_is_a_factor_of_pools_with_options_only():
    law = a_law(["BTC"], volatility=LIBRARY.volatility_law)
    assert law.factors == ("BTC", VOLATILITY)
    assert MoveSpace.of([[linear_pool(notional=10.0, cash=1.0)]], law).factors == ("BTC",)


def test_the_nearest_analogue_of_an_episode_is_that_episode():
    episode = next(each for each in LIBRARY.episodes if each.name == "2021-05-19")
    factors = ("BTC", "ETH", "XRP")
    rows = [episode.factors.index(name) for name in factors]
    moves = dict(zip(factors, np.log(episode.low[13, rows] / episode.close[4, rows]).tolist(), strict=True))
    found = nearest_analogue(moves, a_law(list(factors)), LIBRARY.episodes)
    assert found is not None
    assert (found.episode, found.from_hour, found.to_hour) == ("2021-05-19", 5, 14)
    assert found.cosine == pytest.approx(1.0)
    assert found.size_ratio == pytest.approx(1.0)
