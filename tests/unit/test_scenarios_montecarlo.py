"""Calibration and Monte Carlo: what is packaged, what can be stated, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.scenario import History
from margincover.numeric.recursions import bridge_extremes
from margincover.numeric.volatility import annual_volatility
from margincover.scenarios.brownian import GeometricBrownian
from margincover.scenarios.calibrate import calibrate
from margincover.scenarios.calibration import FundingStatistics, from_json, load_packaged, to_json
from margincover.scenarios.dependence import correlation_root, nearest_correlation, one_factor_loading
from margincover.scenarios.garch_fit import FALLBACK_LAMBDA, FALLBACK_PHI
from margincover.scenarios.montecarlo import StudentTMonteCarlo
from tests.shared_data import shared_folder
from tests.unit.synthetic_bars import START_UTC_NS, bars_of, history_of_two_clustered_coins

COINS = ("BTC", "ETH", "XRP", "ADA", "SOL", "DOGE", "LINK", "DOT", "TRX", "SUI", "BNB", "AVAX")


def test_packaged_calibration_is_whole_and_says_where_it_comes_from() -> None:
    found = load_packaged()
    assert found.names == COINS
    assert "Binance" in found.source
    assert found.as_of == "2026-01-01T00:00:00Z"
    assert np.linalg.eigvalsh(found.correlation).min() > 0.0
    assert np.abs(np.outer(found.loading, found.loading) - found.correlation)[~np.eye(12, dtype=bool)].max() < 0.15
    for row in found.factors:
        assert row.n_bars > 20_000
        assert 0.3 < row.long_run_volatility_annual < 2.5
        level = annual_volatility(row.garch.long_run_variance, step_s=found.step_s)
        assert level == pytest.approx(row.long_run_volatility_annual, rel=1e-12)
        assert row.level_adjustment >= 1.0
        assert "Binance" in row.source
    assert {row.factor for row in found.factors if row.level_adjustment > 1.0} == {"SUI", "BNB"}


def test_fallback_constants_are_the_medians_of_the_packaged_fits() -> None:
    rows = [row.garch for row in load_packaged().factors]
    alpha, beta = FALLBACK_PHI * (1 - FALLBACK_LAMBDA), FALLBACK_PHI * FALLBACK_LAMBDA
    assert alpha == pytest.approx(np.median([row.alpha + row.gamma / 2 for row in rows]), abs=0.005)
    assert beta == pytest.approx(np.median([row.beta for row in rows]), abs=0.005)


def test_funding_of_a_coin_without_data_is_the_largest_of_all() -> None:
    found = load_packaged()
    known = [row.funding.pessimistic_per_hour for row in found.factors if row.funding is not None]
    assert found.of("SUI").funding is None
    assert found.pessimistic_funding_per_hour("SUI") == max(known)
    assert found.pessimistic_funding_per_hour("UNHEARD") == max(known)
    assert found.pessimistic_funding_per_hour("BTC") == found.of("BTC").funding.pessimistic_per_hour  # type: ignore[union-attr]
    assert min(known) > 0.0


def test_unknown_coin_error_names_it_lists_the_known_and_shows_the_way_out() -> None:
    with pytest.raises(InputError) as caught:
        StudentTMonteCarlo(calibration=load_packaged(), factors=["BTC", "PEPE"])
    text = str(caught.value)
    for part in ("PEPE", "BTC, ETH", "`proxies`", "--history"):
        assert part in text


def test_stand_in_with_multiple_one_is_the_same_coin() -> None:
    generator = StudentTMonteCarlo(
        calibration=load_packaged(), factors=["BTC", "WBTC"], proxies={"WBTC": Proxy(factor="BTC", multiple=1.0)}
    )
    block = generator.block(seed=1, number=0, n_steps=10, n_paths=20)
    for values in (block.close_log, block.low_log, block.high_log, block.step_variance):
        assert np.array_equal(values[:, 0], values[:, 1])
    assert any("WBTC follows BTC" in text for text in generator.info.warnings)


@pytest.mark.parametrize("multiple", [0.0, -1.0, 11.0, float("nan")])
def test_impossible_multiple_is_an_input_error(multiple: float) -> None:
    with pytest.raises(InputError, match=r"proxies\.NEW"):
        StudentTMonteCarlo(
            calibration=load_packaged(), factors=["NEW"], proxies={"NEW": Proxy(factor="BTC", multiple=multiple)}
        )


def test_stand_in_that_is_unknown_itself_is_an_input_error() -> None:
    with pytest.raises(InputError, match="ALSONEW is not in the calibration"):
        StudentTMonteCarlo(
            calibration=load_packaged(), factors=["NEW"], proxies={"NEW": Proxy(factor="ALSONEW", multiple=1.0)}
        )


def test_first_step_starts_at_the_long_run_or_at_the_stated_volatility() -> None:
    generator = StudentTMonteCarlo(
        calibration=load_packaged(),
        factors=["BTC", "ETH", "NEW"],
        volatility_annual={"BTC": 1.2, "NEW": 2.0},
        proxies={"NEW": Proxy(factor="ETH", multiple=1.0)},
    )
    variance = generator.block(seed=2, number=0, n_steps=1, n_paths=400_000).step_variance[0]
    # nu 3.8 has no fourth moment before the cap: the mean of 400,000 mixing variables is good to about 2 %
    found = [annual_volatility(value, step_s=3_600) for value in variance.mean(axis=1)]
    expected = [1.2, load_packaged().of("ETH").long_run_volatility_annual, 2.0]
    assert found == pytest.approx(expected, rel=0.03)
    assert "BTC 1.2 (stated)" in generator.info.params["volatility_annual"]


@pytest.mark.parametrize("stated", [0.0, -0.5, float("inf"), 80.0])
def test_impossible_stated_volatility_is_an_input_error(stated: float) -> None:
    with pytest.raises(InputError, match=r"volatility_annual\.BTC"):
        StudentTMonteCarlo(calibration=load_packaged(), factors=["BTC"], volatility_annual={"BTC": stated})


def test_tails_are_fat_and_come_together() -> None:
    block = StudentTMonteCarlo(calibration=load_packaged(), factors=["BTC", "ETH"]).block(
        seed=3, number=0, n_steps=1, n_paths=200_000
    )
    z = block.close_log[0] / block.close_log[0].std(axis=1, keepdims=True)
    # beyond 5 sigma: normal 6e-7, Student-t with 3.8 degrees about 3e-3
    assert (np.abs(z[0]) > 5).mean() > 1e-3
    crash = z[0] < np.quantile(z[0], 0.001)
    # a Gaussian copula of correlation 0.8 leaves about 0.32 joint crashes at this level; the t keeps more
    assert (z[1][crash] < np.quantile(z[1], 0.001)).mean() > 0.4


def test_bridge_uses_the_variance_given_the_mixing_variable() -> None:
    generator = StudentTMonteCarlo(calibration=load_packaged(), factors=["BTC"])
    block = generator.block(seed=4, number=0, n_steps=1, n_paths=100_000)
    rng = np.random.default_rng(9)
    shape = block.close_log.shape
    low, _ = bridge_extremes(
        block.close_log, block.step_variance, rng.standard_exponential(shape), rng.standard_exponential(shape)
    )
    for level in (-0.01, -0.05):
        here, other = (block.low_log < level).mean(), (low < level).mean()
        assert abs(here - other) < 4 * np.sqrt(2 * other / low.size)


def test_calibration_survives_its_own_text() -> None:
    packaged = load_packaged()
    again = from_json(to_json(packaged))
    assert again.factors == packaged.factors
    assert np.array_equal(again.correlation, packaged.correlation)


@pytest.mark.parametrize("damage", ["surprise", "missing", "kind", "text"])
def test_damaged_calibration_text_is_an_input_error(damage: str) -> None:
    data = json.loads(to_json(load_packaged()))
    if damage == "surprise":
        data["surprise"] = 1
    elif damage == "missing":
        del data["factors"][0]["nu"]
    elif damage == "kind":
        data["factors"][0]["garch"]["alpha"] = "much"
    text = "{" if damage == "text" else json.dumps(data)
    with pytest.raises(InputError, match=r"calibration\.json"):
        from_json(text)


def test_calibrate_recovers_the_law_of_the_bars() -> None:
    history = history_of_two_clustered_coins(n_bars=20_000)
    funding = {"BTC": FundingStatistics(mean_per_hour=1e-5, pessimistic_per_hour=5e-5, window="w", source="s")}
    found = calibrate(history, ["BTC", "ETH"], source="synthetic", funding=funding)
    row = found.of("BTC")
    # law: alpha 0.08, beta 0.90, t5, correlation 0.8
    assert row.garch.alpha + row.garch.gamma / 2 == pytest.approx(0.08, abs=0.02)
    assert row.garch.beta == pytest.approx(0.90, abs=0.03)
    assert row.nu == pytest.approx(5.0, abs=0.7)
    assert found.correlation[0, 1] == pytest.approx(0.8, abs=0.02)
    moves = np.diff(np.log(history.factors["BTC"].close))
    assert row.garch.long_run_variance == pytest.approx(moves.var(), rel=1e-10)
    assert found.pessimistic_funding_per_hour("ETH") == 5e-5


def test_young_coin_is_lifted_to_the_level_of_the_whole_window() -> None:
    # BTC moves twice as much in its first half; NEW lives in the second half only, with BTC's bars.
    rng = np.random.default_rng(12)
    moves = rng.standard_normal(4_000) * np.repeat([0.01, 0.005], 2_000)
    path = 100 * np.exp(np.concatenate(([0.0], np.cumsum(moves))))
    table = np.stack((path[:-1], np.maximum(path[:-1], path[1:]), np.minimum(path[:-1], path[1:]), path[1:]))
    young = bars_of("NEW", table[:, 2_000:])
    shifted = type(young)(
        factor="NEW",
        start_utc_ns=START_UTC_NS + 2_000 * 3_600 * 1_000_000_000,
        step_s=3_600,
        open=young.open,
        high=young.high,
        low=young.low,
        close=young.close,
        source="young.csv",
    )
    history = History(factors={"BTC": bars_of("BTC", table), "NEW": shifted}, step_s=3_600, sha256="x")
    found = calibrate(history, ["BTC", "NEW"], source="synthetic")
    # mean variance of the window (1 + 0.25) / 2 over that of its second half 0.25: factor 2.5, root 1.58
    assert found.of("NEW").level_adjustment == pytest.approx(np.sqrt(2.5), rel=0.05)
    assert found.of("NEW").long_run_volatility_annual == pytest.approx(
        found.of("BTC").long_run_volatility_annual, rel=0.05
    )


def test_calibrate_refuses_a_history_too_short_for_a_fit() -> None:
    with pytest.raises(InputError, match="at least 500"):
        calibrate(history_of_two_clustered_coins(n_bars=400), ["BTC"], source="synthetic")


def test_loadings_reproduce_a_one_factor_matrix() -> None:
    loading = np.array([0.9, 0.8, 0.5, -0.3])
    matrix = np.outer(loading, loading)
    np.fill_diagonal(matrix, 1.0)
    found = one_factor_loading(matrix)
    assert np.abs(found * np.sign(found[0])) == pytest.approx(np.abs(loading), abs=1e-6)
    assert np.outer(found, found)[0, 3] == pytest.approx(-0.27, abs=1e-6)


def test_roots_and_repairs_of_correlations() -> None:
    singular = np.ones((2, 2))
    root = correlation_root(singular)
    assert root @ root.T == pytest.approx(singular, abs=1e-12)
    broken = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    with pytest.raises(InputError, match="eigenvalue"):
        correlation_root(broken)
    repaired = nearest_correlation(broken)
    assert np.linalg.eigvalsh(repaired).min() > 0.0
    assert np.diag(repaired).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"sigma_annual": [0.0]}, "sigma_annual"),
        ({"sigma_annual": [0.5, 0.5]}, "scenario"),
        ({"step_s": 0}, "step_s"),
        ({"correlation": [[0.5]]}, "correlation"),
        ({"factors": []}, "factors"),
        ({"drift_annual": float("nan")}, "drift_annual"),
    ],
)
def test_impossible_brownian_motion_is_an_input_error(changed: dict[str, object], word: str) -> None:
    legal: dict[str, object] = {"factors": ["BTC"], "sigma_annual": [0.8], "correlation": [[1.0]], "step_s": 3_600}
    with pytest.raises(InputError, match=word):
        GeometricBrownian(**{**legal, **changed})  # type: ignore[arg-type]


def test_tool_reproduces_the_packaged_file(tmp_path: Path) -> None:
    shared = shared_folder() / "data"
    root = Path(__file__).parents[2]
    output = tmp_path / "calibration.json"
    command = [sys.executable, str(root / "tools/calibrate.py"), "--output", str(output)]
    command += ["--perp", str(shared / "prices/perp_1h"), "--spot", str(shared / "prices/spot_1h")]
    command += ["--funding", str(shared / "funding/binance_usdm_funding.parquet")]
    subprocess.run(command, check=True, capture_output=True)
    made, packaged = from_json(output.read_text(encoding="utf-8")), load_packaged()
    assert made.input_sha256 == packaged.input_sha256
    # the optimiser may end a little elsewhere on another processor
    assert made.correlation == pytest.approx(packaged.correlation, abs=2e-3)
    for row, kept in zip(made.factors, packaged.factors, strict=True):
        assert row.long_run_volatility_annual == pytest.approx(kept.long_run_volatility_annual, rel=1e-4)
        assert row.garch.alpha == pytest.approx(kept.garch.alpha, abs=2e-3)
        assert row.nu == pytest.approx(kept.nu, abs=0.02)
        assert row.funding == kept.funding
