"""Volatility parameters, recursions and their twins, mixing variable, bootstrap indices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from margincover.errors import InputError
from margincover.numeric import recursions, recursions_reference
from margincover.numeric.bootstrap import bar_weights, draw_bars, eligible_starts
from margincover.numeric.students_t import capped_second_moment, joint_degrees_of_freedom, mixing_scale_squared
from margincover.numeric.volatility import MAX_PERSISTENCE, GjrParameters, parkinson_variance, targeted
from margincover.scenarios.garch_fit import FALLBACK, FITTED, fit_gjr

GARCH = np.array([[1e-6, 0.05, 0.04, 0.9, 4e-5, 0.1], [2e-6, 0.1, -0.02, 0.85, 9e-5, 0.08]])


def _gjr_series(n: int, seed: int = 2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    h, out = 1.0, np.empty(n)
    for t in range(n):
        out[t] = math.sqrt(h) * rng.standard_t(5) * math.sqrt(3 / 5)
        h = 0.03 + (0.06 + 0.06 * (out[t] < 0)) * out[t] ** 2 + 0.88 * h
    return out


def test_long_run_variance_and_half_life() -> None:
    garch = GjrParameters(omega=2e-6, alpha=0.05, gamma=0.04, beta=0.91)
    assert garch.persistence == pytest.approx(0.98)
    assert garch.long_run_variance == pytest.approx(1e-4)  # 2e-6 / 0.02
    assert 0.98**garch.half_life_steps == pytest.approx(0.5)
    assert garch.at_level(4e-4).long_run_variance == pytest.approx(4e-4)


@pytest.mark.parametrize(
    "bad", [{"omega": 0.0}, {"alpha": -0.01}, {"gamma": -0.2}, {"beta": 0.95}, {"omega": math.nan}]
)
def test_impossible_parameters_are_an_input_error(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="garch"):
        GjrParameters(**{"omega": 1e-6, "alpha": 0.1, "gamma": 0.0, "beta": 0.8, **bad})


def test_persistence_above_the_cap_shrinks_in_proportion() -> None:
    garch = targeted(alpha=0.15, gamma=0.1, beta=0.8, variance=1e-4)
    assert garch.persistence == pytest.approx(MAX_PERSISTENCE)
    assert garch.alpha / garch.beta == pytest.approx(0.15 / 0.8)
    assert garch.long_run_variance == pytest.approx(1e-4)


def test_parkinson_variance_of_brownian_bars_is_their_variance() -> None:
    steps = np.random.default_rng(1).standard_normal((400, 10_000)) * 0.01 / math.sqrt(400)
    path = np.cumsum(steps, axis=0)
    span = np.maximum(path.max(axis=0), 0.0) - np.minimum(path.min(axis=0), 0.0)
    # A grid of 400 points misses 0.5826 / sqrt(400) deviations at either end of a mean range of sqrt(8 / pi):
    # the variance comes out 7 % low. Standard error of the mean of 10,000 squared ranges: 0.6 %.
    seen = 1.0 - 2 * 0.5826 / 20 / math.sqrt(8 / math.pi)
    assert parkinson_variance(span).mean() == pytest.approx(1e-4 * seen**2, rel=0.025)


def test_filter_equals_its_twin_with_a_missing_bar() -> None:
    residuals = _gjr_series(300)
    residuals[[10, 11, 200]] = np.nan
    parameters = np.array([0.03, 0.06, 0.06, 0.88])
    found = recursions.gjr_filter(residuals, parameters, 1.0)
    assert found == pytest.approx(recursions_reference.gjr_filter(residuals, parameters, 1.0), rel=1e-14)
    assert found[11] == pytest.approx(0.03 + 0.97 * found[10], rel=1e-14)


def test_filter_equals_the_conditional_volatility_of_arch() -> None:
    from arch import arch_model

    residuals = _gjr_series(1_500)
    model = arch_model(residuals, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="t", rescale=False)
    fixed = model.fix([0.03, 0.06, 0.06, 0.88, 5.0])
    expected = np.asarray(fixed.conditional_volatility)
    found = recursions.gjr_filter(residuals, np.array([0.03, 0.06, 0.06, 0.88]), float(expected[0] ** 2))
    assert np.sqrt(found[:-1]) == pytest.approx(expected, rel=1e-8)


def test_bridge_equals_its_twin() -> None:
    rng = np.random.default_rng(3)
    shape = (7, 2, 50)
    arguments = (
        np.cumsum(0.01 * rng.standard_normal(shape), axis=0),
        1e-4 * rng.random(shape),
        rng.standard_exponential(shape),
        rng.standard_exponential(shape),
    )
    for found, expected in zip(
        recursions.bridge_extremes(*arguments), recursions_reference.bridge_extremes(*arguments), strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-15)


def test_mixture_paths_equal_their_twin() -> None:
    rng = np.random.default_rng(4)
    normals, scale = 3 * rng.standard_normal((40, 2, 30)), 5 * rng.random((40, 30))
    for found, expected in zip(
        recursions.gjr_mixture_paths(normals, scale, GARCH),
        recursions_reference.gjr_mixture_paths(normals, scale, GARCH),
        strict=True,
    ):
        assert found == pytest.approx(expected, rel=1e-12)


def test_bar_paths_equal_their_twin_with_limits_and_tails_at_work() -> None:
    rng = np.random.default_rng(5)
    close = 2 * rng.standard_normal((2, 100))
    rows = np.zeros((2, 100, 4), dtype=np.float32)
    rows[:, :, :3] = np.stack((close, close - rng.random((2, 100)), close + rng.random((2, 100))), axis=-1)
    rows[:, :, 1] = np.minimum(rows[:, :, 1], -0.01)
    rows[:, :, 2] = np.maximum(rows[:, :, 2], 0.01)
    # every third bar lies in a cell: linear on both sides, the tail itself below, the tail itself above
    rows[:, ::3, 3] = rng.integers(1, 4, (2, 34))
    cells = np.tile(
        [[1.0, 0.0, 1.0, 0.0], [1.3, -0.2, 1.1, -0.1], [-0.5, 0.0, 1.0, 0.0], [1.0, 0.0, -0.4, 0.6]], (2, 1, 1)
    )
    tails = np.array([[[2.0, 0.5, 0.3], [2.1, 0.4, 0.0]], [[1.9, 0.6, -0.1], [2.0, 0.5, 0.6]]])
    draws = rng.integers(0, 100, (40, 30)).astype(np.int32), 1.0 - rng.random((40, 30))
    season = 0.5 + rng.random((40, 2))
    convexity = 0.5 + 0.1 * rng.random((2, recursions.CONVEXITY_NODES))
    shift = 0.01 * rng.random((40, 2))
    garch = np.column_stack((GARCH, [0.4, 0.3]))
    results = [
        module.gjr_bar_paths(rows, (cells, tails), draws, season, garch, convexity, shift)
        for module in (recursions, recursions_reference)
    ]
    for found, expected in zip(*results, strict=True):
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-14)
    moves = np.diff(results[0][0], axis=0, prepend=0.0)
    assert np.abs(moves).max() > 0.08  # the limit of 8 % was reached, or the test would not see it
    without = rows.copy()
    without[:, :, 3] = 0.0
    as_seen = recursions.gjr_bar_paths(without, (cells, tails), draws, season, garch, convexity, shift)
    assert not np.array_equal(as_seen[0], results[0][0])


def test_capped_second_moment_against_numerical_integration() -> None:
    nu, cap = 3.8, 30.0
    floor = (nu - 2) / cap**2
    body, _ = quad(lambda w: (nu - 2) / w * chi2.pdf(w, nu), floor, np.inf)
    assert capped_second_moment(nu, max_scale=cap) == pytest.approx(body + cap**2 * chi2.cdf(floor, nu), rel=1e-7)


def test_mixing_scale_has_mean_one_and_a_bound() -> None:
    scale = mixing_scale_squared(np.random.default_rng(6), nu=6.0, max_scale=10.0, shape=(100, 4_000))
    assert scale.mean() == pytest.approx(1.0, abs=4 * scale.std() / math.sqrt(scale.size))
    assert scale.max() <= 100.0 / capped_second_moment(6.0, max_scale=10.0) * (1 + 1e-12)


def test_degrees_of_freedom_average_by_tail_index() -> None:
    assert joint_degrees_of_freedom([3.0, 6.0]) == pytest.approx(4.0)  # 2 / (1/3 + 1/6)
    with pytest.raises(InputError, match="nu"):
        mixing_scale_squared(np.random.default_rng(1), nu=2.0, max_scale=10.0, shape=(1, 1))


def test_blocks_never_hold_a_missing_bar_and_weights_count_the_draws() -> None:
    usable = np.ones(50, dtype=bool)
    usable[[7, 30]] = False
    starts = eligible_starts(usable, block_bars=4)
    weights = bar_weights(starts, block_bars=4, n_bars=50)
    index = draw_bars(np.random.default_rng(7), starts, block_bars=4, n_bars=50, shape=(40, 20_000))
    assert usable[index].all()
    assert weights[[7, 30]].tolist() == [0.0, 0.0]
    observed = np.bincount(index.ravel(), minlength=50) / index.size
    # 200,000 blocks of four bars: standard error of a share near 0.02 is about 0.0002
    assert observed == pytest.approx(weights, abs=0.001)
    steps = np.diff(index, axis=0) % 50
    assert (np.delete(steps, np.arange(3, 39, 4), axis=0) == 1).all()


def test_no_whole_block_is_an_input_error() -> None:
    with pytest.raises(InputError, match="without a missing bar"):
        eligible_starts(np.array([True, False, True, False]), block_bars=2)
    with pytest.raises(InputError, match="1 to 4 bars"):
        eligible_starts(np.ones(4, dtype=bool), block_bars=5)


def test_fit_recovers_known_parameters() -> None:
    fit = fit_gjr(_gjr_series(20_000) * 0.01)
    assert fit.method == FITTED
    # standard errors at 20,000 bars are about 0.006 (alpha), 0.009 (gamma), 0.01 (beta) and 0.2 (nu)
    assert fit.parameters.alpha == pytest.approx(0.06, abs=0.025)
    assert fit.parameters.gamma == pytest.approx(0.06, abs=0.035)
    assert fit.parameters.beta == pytest.approx(0.88, abs=0.04)
    assert fit.nu == pytest.approx(5.0, abs=0.8)


def test_short_series_takes_the_named_fallback_at_its_own_level() -> None:
    residuals = _gjr_series(499) * 0.01
    fit = fit_gjr(residuals)
    assert fit.method == FALLBACK
    assert "499 bars" in fit.note
    assert fit.nu is None
    assert fit.parameters.long_run_variance == pytest.approx(float(np.mean(residuals**2)))


def test_optimiser_that_does_not_converge_takes_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    from arch.univariate.base import ARCHModelResult

    monkeypatch.setattr(ARCHModelResult, "convergence_flag", property(lambda self: 9))
    fit = fit_gjr(_gjr_series(800) * 0.01)
    assert fit.method == FALLBACK
    assert "flag 9" in fit.note


def test_series_without_movement_is_an_input_error() -> None:
    with pytest.raises(InputError, match="never moved"):
        fit_gjr(np.zeros(1_000))
