"""The compiled helpers of the engine and the Monte Carlo generator against their plain forms."""

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock
from margincover.numeric.recursions_reference import bridge_extremes, gjr_mixture_paths
from margincover.numeric.rng import stream
from margincover.numeric.students_t import mixing_scale_squared
from margincover.paths.exponential import fill_exponentials
from margincover.paths.program import compile_pool
from margincover.paths.slabs import Slabs
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.montecarlo import MAX_MIXING_SCALE, StudentTMonteCarlo
from margincover.scenarios.request import correlate
from margincover.venues.pools import build_pools
from tests.books import a_book, a_position, an_account


def exponentials(logs):
    out, work = np.empty_like(logs), np.zeros((2, logs.shape[2]))
    factors = np.arange(logs.shape[1])
    finite = fill_exponentials(logs, factors, out, out.view(np.int64), work, work.view(np.int64))
    return out, finite


def test_exponentials_agree_with_numpy_to_the_last_places():
    logs = np.concatenate([np.linspace(-699.0, 699.0, 40_001), np.linspace(-1e-8, 1e-8, 2_001)])[None, None, :]
    values, finite = exponentials(np.ascontiguousarray(logs))
    assert finite
    assert np.abs(values / np.exp(logs) - 1.0).max() <= 4 * np.finfo(float).eps


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_exponentials_report_a_log_that_is_not_finite(broken):
    logs = np.zeros((2, 1, 8))
    logs[1, 0, 3] = broken
    assert exponentials(logs)[1] is False or not exponentials(logs)[1]


def test_a_log_price_that_is_not_finite_is_an_error_and_not_a_safe_path():
    account = an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, 80_000.0)], USDT=1e5)
    (pool,) = build_pools(a_book(account))
    slabs = Slabs([compile_pool(pool, ("BTC",))], n_factors=1, n_paths=256)
    logs = np.zeros((4, 1, 256))
    logs[2, 0, 17] = np.nan
    block = ScenarioBlock(close_log=logs, low_log=logs, high_log=logs, step_variance=np.zeros_like(logs))
    with pytest.raises(InputError, match="finite"):
        list(slabs.of(block))


def test_fused_monte_carlo_equals_the_formulas_one_by_one():
    calibration = load_packaged()
    factors = ("BTC", "ETH", "SOL")
    generator = StudentTMonteCarlo(calibration=calibration, factors=factors)
    seed, number, n_steps, n_paths = 5, 3, 30, 64
    block = generator.block(seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
    shape = (n_steps, len(factors), n_paths)
    normals = correlate(stream(seed, "montecarlo.normal", number).standard_normal(shape), generator._root)
    scale = mixing_scale_squared(
        stream(seed, "montecarlo.mixing", number),
        nu=calibration.nu_joint,
        max_scale=MAX_MIXING_SCALE,
        shape=(n_steps, n_paths),
    )
    shock, variance = gjr_mixture_paths(normals, scale, generator._garch)
    close = np.cumsum(shock - 0.5 * variance, axis=0)
    draws = [stream(seed, f"montecarlo.{name}", number).standard_exponential(shape) for name in ("low", "high")]
    low, high = bridge_extremes(close, variance, *draws)
    for mine, plain in (
        (block.step_variance, variance),
        (block.close_log, close),
        (block.low_log, low),
        (block.high_log, high),
    ):
        np.testing.assert_allclose(mine, plain, rtol=1e-10, atol=1e-13)
