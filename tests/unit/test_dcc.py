"""The corrected DCC: kernels against their twins, the fit on simulated processes, and the generator."""

from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import History
from margincover.numeric import dcc_recursion, dcc_recursion_reference
from margincover.scenarios import dcc_fit
from margincover.scenarios.dcc import DynamicCorrelation
from margincover.scenarios.dcc_fit import CONSTANT, FITTED, fit_dcc
from tests.unit.synthetic_bars import history_of_one_constant_coin, history_of_two_clustered_coins
from tests.unit.synthetic_dcc import dcc_moves, history_of_changing_correlation

TARGET = np.array([[1.0, 0.7, 0.4], [0.7, 1.0, 0.5], [0.4, 0.5, 1.0]])


@pytest.fixture(scope="module")
def history() -> History:
    return history_of_changing_correlation(missing=(700, 701, 1_500))


@pytest.fixture(scope="module")
def generator(history: History) -> DynamicCorrelation:
    return DynamicCorrelation.fit(history, ["BTC", "ETH"])


def moves_with_gaps() -> np.ndarray:
    z = dcc_moves(a=0.05, b=0.9, target=TARGET, n_bars=300, seed=3, nu=5.0)
    z[[20, 21, 200], [0, 2, 1]] = math.nan
    return z


def test_target_equals_its_plain_twin() -> None:
    z = moves_with_gaps()
    for a, b in ((0.0, 0.0), (0.05, 0.9), (0.2, 0.7)):
        assert dcc_recursion.cdcc_target(z, a, b) == pytest.approx(
            dcc_recursion_reference.cdcc_target(z, a, b), rel=1e-10
        )


def test_filter_equals_its_plain_twin() -> None:
    z = moves_with_gaps()
    for fast, slow in zip(
        dcc_recursion.cdcc_filter(z, TARGET, 0.05, 0.9),
        dcc_recursion_reference.cdcc_filter(z, TARGET, 0.05, 0.9),
        strict=True,
    ):
        assert fast == pytest.approx(slow, rel=1e-9, abs=1e-9, nan_ok=True)


def small_world(seed: int = 3) -> dict[str, np.ndarray]:
    """Three coins, 50 bars, 25 steps of 60 paths."""
    rng = np.random.default_rng(seed)
    return {
        "white": rng.standard_t(5, (50, 3)),
        "inside": rng.standard_exponential((50, 3, 3)),
        "index": rng.integers(0, 50, (25, 60)).astype(np.int32),
        "season": rng.uniform(0.5, 1.5, (25, 3)),
        "garch": np.array(
            [
                [2e-6, 0.05, 0.03, 0.9, 5e-5, 0.02],
                [3e-6, 0.1, 0.0, 0.85, 9e-5, 0.2],
                [3e-6, 0.1, -0.04, 0.85, 9e-5, 0.2],
            ]
        ),
        "convexity": np.linspace(0.5, 0.8, 3 * 501).reshape(3, 501),
        "start": TARGET * np.outer([1.0, 1.3, 0.8], [1.0, 1.3, 0.8]),
        "target": TARGET,
        "news": np.array([0.06, 0.9]),
    }


def test_paths_equal_their_plain_twin() -> None:
    world = tuple(small_world().values())
    fast = dcc_recursion.cdcc_bar_paths(*world)
    slow = dcc_recursion_reference.cdcc_bar_paths(*world)
    for quick, plain in zip(fast, slow, strict=True):
        assert quick == pytest.approx(plain, rel=1e-9, abs=1e-12)


def test_simulated_process_has_the_target_as_mean_of_its_scaled_news() -> None:
    # E P e e' P = S is what the corrected recursion is for; 40 batches of 500 bars give the standard error
    a, b = 0.05, 0.9
    z = dcc_moves(a=a, b=b, target=TARGET, n_bars=20_000, seed=8)
    q, scaled = TARGET, np.empty((20_000, 3, 3))
    for t, e in enumerate(z):
        size = np.sqrt(np.diag(q)) * e
        scaled[t] = np.outer(size, size)
        q = dcc_recursion_reference.next_q(q, e, TARGET, a, b)
    batches = scaled.reshape(40, 500, 3, 3).mean(axis=1)
    error = batches.std(axis=0, ddof=1) / math.sqrt(40)
    assert (np.abs(batches.mean(axis=0) - TARGET) < 3.0 * error).all()


@pytest.mark.parametrize(("seed", "nu"), [(1, None), (2, None), (3, 6.0)])
def test_fit_recovers_the_parameters_of_a_simulated_process(seed: int, nu: float | None) -> None:
    z = dcc_moves(a=0.04, b=0.93, target=TARGET, n_bars=6_000, seed=seed, nu=nu)
    fit = fit_dcc(z)
    assert fit.method == FITTED
    assert abs(fit.a - 0.04) < 3.0 * fit.a_error
    assert abs(fit.b - 0.93) < 3.0 * fit.b_error
    assert fit.a_error < 0.02
    assert fit.b_error < 0.04
    # S: with half-lives of 23 bars about 130 independent stretches, 1 / sqrt(130) = 0.09 at the worst
    assert np.abs(fit.target - TARGET).max() < 0.1


def test_standard_errors_are_the_spread_of_fits() -> None:
    fits = [fit_dcc(dcc_moves(a=0.06, b=0.9, target=TARGET[:2, :2], n_bars=2_500, seed=s)) for s in range(30, 54)]
    for name in ("a", "b"):
        spread = np.std([getattr(fit, name) for fit in fits], ddof=1)
        stated = np.median([getattr(fit, f"{name}_error") for fit in fits])
        # 24 fits give the spread to 1 / sqrt(46) = 15 %
        assert 0.5 < spread / stated < 2.0


def test_zero_news_and_memory_is_the_constant_correlation() -> None:
    z = dcc_moves(a=0.0, b=0.0, target=TARGET, n_bars=1_000, seed=4)
    target = dcc_recursion.cdcc_target(z, 0.0, 0.0)
    square = z.T @ z
    assert target == pytest.approx(square / np.sqrt(np.outer(np.diag(square), np.diag(square))), rel=1e-12)
    white, cost, last = dcc_recursion.cdcc_filter(z, target, 0.0, 0.0)
    assert last == pytest.approx(target, abs=1e-15)
    assert white == pytest.approx(np.linalg.solve(np.linalg.cholesky(target), z.T).T, abs=1e-10)
    expected = np.linalg.slogdet(target)[1] + np.einsum("ti,ij,tj->t", z, np.linalg.inv(target), z)
    assert cost == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_zero_news_and_memory_colours_every_step_alike() -> None:
    world = small_world()
    world |= {"news": np.zeros(2), "start": TARGET, "season": np.ones((25, 3)), "convexity": np.zeros((3, 501))}
    world["garch"] = np.array([[1e-4, 0.0, 0.0, 0.0, 1e-4, 9.0]] * 3)
    close = dcc_recursion.cdcc_bar_paths(*world.values())[0]
    moves = np.diff(close, axis=0, prepend=0.0) / 0.01
    expected = np.einsum("ij,tpj->tip", np.linalg.cholesky(TARGET), world["white"][world["index"]])
    assert moves == pytest.approx(expected, abs=1e-9)


def test_constant_correlation_is_found_and_said() -> None:
    fit = fit_dcc(dcc_moves(a=0.0, b=0.0, target=TARGET, n_bars=3_000, seed=4))
    assert fit.method == CONSTANT
    assert (fit.a, fit.b) == (0.0, 0.0)
    assert "gained" in fit.note


def test_fit_that_does_not_converge_is_constant_and_says_so() -> None:
    fit = fit_dcc(dcc_moves(a=0.06, b=0.9, target=TARGET, n_bars=1_000, seed=4), max_rounds=3)
    assert fit.method == CONSTANT
    assert "did not converge in 3 rounds" in fit.note


def test_likelihood_that_is_not_finite_is_constant_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcc_fit, "dcc_cost", lambda z, a, b: np.full(z.shape[0], math.nan))
    fit = fit_dcc(dcc_moves(a=0.06, b=0.9, target=TARGET, n_bars=600, seed=4))
    assert fit.method == CONSTANT
    assert "not finite" in fit.note


def test_coin_under_a_second_name_moves_with_it_and_is_named(history: History) -> None:
    both = History(factors={**history.factors, "WBTC": history.factors["BTC"]}, step_s=3_600, sha256="x")
    found = DynamicCorrelation.fit(both, ["BTC", "ETH", "WBTC"])
    assert any("BTC and WBTC move as one" in text for text in found.info.warnings)
    block = found.block(seed=1, number=0, n_steps=48, n_paths=2_000)
    assert np.isfinite(block.low_log).all()
    assert np.corrcoef(block.close_log[-1, 0], block.close_log[-1, 2])[0, 1] > 0.99
    price = np.exp(block.close_log[-1])
    assert (np.abs(price.mean(axis=1) - 1.0) < 4.0 * price.std(axis=1) / math.sqrt(2_000)).all()


def test_fit_of_the_same_coin_twice_stays_finite() -> None:
    z = dcc_moves(a=0.05, b=0.9, target=TARGET[:2, :2], n_bars=1_000, seed=4)
    fit = fit_dcc(np.concatenate((z, z[:, :1]), axis=1))
    assert np.isfinite(fit.target).all()
    assert fit.target[0, 2] > 0.999


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.ones((300, 2)), "300 whole bars in the window of the fit; allowed: at least 500"),
        (np.zeros((800, 2)), "never moved"),
    ],
)
def test_fit_of_too_little_is_an_input_error(z: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_dcc(z)


def test_first_step_draws_joint_dates_at_the_correlation_of_the_end(generator: DynamicCorrelation) -> None:
    block = generator.block(seed=1, number=0, n_steps=1, n_paths=300)
    sigma = np.sqrt(generator._garch[:, 4]) * generator._source.seasons(1)[0]
    grid = np.arange(501) * 0.001
    drift = np.array([np.interp(s, grid, row) for s, row in zip(sigma, generator._convexity, strict=True)]) * sigma**2
    z = (block.close_log[0] + drift[:, None]) / sigma[:, None]
    white = np.linalg.solve(np.linalg.cholesky(generator.info.correlation), z)
    # one whitened bar of the pool fits both coins
    distance = np.abs(generator._white[:, :, None] - white[None]).max(axis=1).min(axis=0)
    assert distance.max() < 1e-9


def test_pool_is_white_and_its_bars_are_those_of_the_past(generator: DynamicCorrelation) -> None:
    white = generator._white
    assert white.mean(axis=0) == pytest.approx(0.0, abs=1e-12)
    assert np.cov(white.T, bias=True) == pytest.approx(np.eye(2), abs=1e-10)
    # 3,000 bars, less the first without a close before it, 72 of burn-in, and five that a gap takes
    assert white.shape[0] == 2_999 - 72 - 5


def test_correlation_moves_along_the_path_with_its_own_news(generator: DynamicCorrelation) -> None:
    assert generator.dcc.method == FITTED
    block = generator.block(seed=2, number=0, n_steps=40, n_paths=30_000)
    moves = np.diff(block.close_log, axis=0, prepend=0.0)
    # agreement of both coins over the first 20 steps; the correlation of the last 20 must follow it
    agreement = np.mean(np.sign(moves[:20, 0] * moves[:20, 1]) * np.minimum(np.abs(moves[:20, 0]), 0.02), axis=0)
    high = agreement > np.quantile(agreement, 0.8)
    low = agreement < np.quantile(agreement, 0.2)
    later = [np.corrcoef(moves[20:, 0][:, part].ravel(), moves[20:, 1][:, part].ravel())[0, 1] for part in (high, low)]
    # 120,000 moves a side: standard errors below 0.01 even with fat tails
    assert later[0] > later[1] + 0.05


def test_order_of_the_coins_changes_no_bit(history: History, generator: DynamicCorrelation) -> None:
    other = DynamicCorrelation.fit(history, ["ETH", "BTC"])
    assert other.info.factors == ("ETH", "BTC")
    ours, theirs = (each.block(seed=4, number=1, n_steps=9, n_paths=50) for each in (generator, other))
    for name in ("close_log", "low_log", "high_log", "step_variance"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)[:, ::-1])


def test_info_says_what_was_fitted(generator: DynamicCorrelation) -> None:
    info = generator.info
    assert info.method == "dcc"
    assert info.warnings == ()
    assert info.params["correlation_model"] == FITTED
    assert info.params["a"].startswith(f"{generator.dcc.a:.4g} (standard error")
    assert info.params["b"].startswith(f"{generator.dcc.b:.4g} (standard error")
    assert abs(generator.dcc.a - 0.06) < 3.0 * generator.dcc.a_error
    assert abs(generator.dcc.b - 0.92) < 3.0 * generator.dcc.b_error
    half_life = math.log(0.5) / math.log(generator.dcc.a + generator.dcc.b)
    assert info.params["correlation_half_life"] == f"{half_life:.3g} steps"


def test_generator_without_convergence_says_that_correlation_is_constant(history: History) -> None:
    found = DynamicCorrelation.fit(history, ["BTC", "ETH"], max_rounds=3)
    assert found.info.params["correlation_model"] == CONSTANT
    assert any("the correlation is constant, because the search" in text for text in found.info.warnings)
    assert found.info.correlation == pytest.approx(found.dcc.target)


def test_one_coin_has_no_correlation_and_no_warning() -> None:
    found = DynamicCorrelation.fit(history_of_two_clustered_coins(n_bars=1_700), ["BTC"])
    assert found.info.warnings == ()
    assert np.isfinite(found.block(seed=1, number=0, n_steps=5, n_paths=100).close_log).all()


def test_too_short_history_names_what_is_needed() -> None:
    with pytest.raises(InputError, match=r"1399 joint bars of BTC, ETH; .* allowed: at least 1500 bars"):
        DynamicCorrelation.fit(history_of_two_clustered_coins(n_bars=1_400), ["ETH", "BTC"])


def test_too_short_window_names_what_is_needed(history: History) -> None:
    with pytest.raises(InputError, match="window_bars: was 400; allowed: an integer >= 500"):
        DynamicCorrelation.fit(history, ["BTC", "ETH"], window_bars=400)


def test_constant_price_and_missing_coin_are_input_errors(history: History) -> None:
    with pytest.raises(InputError, match="USDX: the close never moved"):
        DynamicCorrelation.fit(history_of_one_constant_coin(), ["USDX"])
    with pytest.raises(InputError, match="no bars of DOGE"):
        DynamicCorrelation.fit(history, ["BTC", "DOGE"])
    with pytest.raises(InputError, match="BTC stood 2 times"):
        DynamicCorrelation.fit(history, ["BTC", "BTC"])
