"""Age-weighted bootstrap: weights, effective sample, what is drawn, and quantiles of known laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from margincover.errors import InputError
from margincover.model.scenario import History, ScenarioGenerator
from margincover.scenarios.age_weighted import AgeWeightedBootstrap, age_weights, effective_size
from margincover.scenarios.filtered import FilteredHistorical
from tests.unit.synthetic_bars import bars_of, history_of_two_clustered_coins

DAY_S = 86_400
N_DAYS = 12_000
SIGMA = 0.01


def _daily(moves: np.ndarray) -> History:
    close = 100.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate(([100.0], close[:-1]))
    bars = bars_of("BTC", np.stack((opened, np.maximum(opened, close), np.minimum(opened, close), close)))
    return History(
        factors={"BTC": bars.__class__(**{**_fields(bars), "step_s": DAY_S})}, step_s=DAY_S, sha256="synthetic"
    )


def _fields(bars: object) -> dict[str, object]:
    return {name: getattr(bars, name) for name in bars.__class__.__slots__}  # type: ignore[attr-defined]


def _moves(law: str) -> np.ndarray:
    rng = np.random.default_rng(17)
    if law == "normal":
        return SIGMA * rng.standard_normal(N_DAYS)
    return SIGMA * rng.standard_t(6, N_DAYS) * math.sqrt(4.0 / 6.0)


LAWS = {"normal": norm(), "t6": t(6, scale=math.sqrt(4.0 / 6.0))}


def _makers() -> dict[str, object]:
    return {
        "age-weighted": lambda history: AgeWeightedBootstrap(
            history=history, factors=["BTC"], decay_per_day=0.9998, block_s=DAY_S
        ),
        "filtered": lambda history: FilteredHistorical.fit(history, ["BTC"], block_bars=1, window_bars=N_DAYS),
    }


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("name", ["age-weighted", "filtered"])
def test_one_step_has_the_quantiles_of_the_law_that_made_the_history(name: str, law: str) -> None:
    generator: ScenarioGenerator = _makers()[name](_daily(_moves(law)))  # type: ignore[operator]
    n_paths = 400_000
    moves = generator.block(seed=1, number=0, n_steps=1, n_paths=n_paths).close_log[0, 0]
    if isinstance(generator, FilteredHistorical):
        # the first step has the last conditional variance, which is known; the law is that of the standardised move
        scale, sample = math.sqrt(generator._garch[0, 4]), float(N_DAYS)
    else:
        scale, sample = SIGMA, effective_size(generator._chance)  # type: ignore[attr-defined]
    for level in (0.005, 0.01, 0.05, 0.5, 0.95, 0.99, 0.995):
        expected = float(LAWS[law].ppf(level))
        density = float(LAWS[law].pdf(expected))
        # the history is a sample, and the paths a sample of it
        error = math.sqrt(level * (1.0 - level) * (1.0 / sample + 1.0 / n_paths)) / density
        # the martingale correction moves a log price by half a variance; the mean of the history is taken out
        assert abs(
            float(np.quantile(moves, level)) / scale - expected
        ) < 3.0 * error + scale / 2.0 + 3.0 / sample**0.5 * (level == 0.5)


def test_weights_of_the_published_table() -> None:
    # Boudoukh, Richardson, Whitelaw, Risk 11(5) 1998, lambda 0.98 and 100 periods: cumulated weights of the returns of
    # 3, 2, 65, 45, 5 and 30 periods ago (ages count from 1).
    weights = age_weights(np.arange(1.0, 101.0), decay=0.98)
    found = np.cumsum(weights[np.array([3, 2, 65, 45, 5, 30]) - 1])
    assert found == pytest.approx([0.0221, 0.0447, 0.0511, 0.0605, 0.0818, 0.0947], abs=6e-5)


def test_young_bars_are_drawn_in_proportion_to_their_weight() -> None:
    generator = AgeWeightedBootstrap(
        history=history_of_two_clustered_coins(n_bars=2_400), factors=["BTC", "ETH"], decay_per_day=0.98
    )
    variance = generator._variance[0]
    drawn = generator.block(seed=1, number=0, n_steps=1, n_paths=200_000).step_variance[0, 0]
    place = np.searchsorted(np.sort(variance), drawn)
    bar = np.argsort(variance)[place]
    newest, oldest = (bar >= 2_399 - 480).mean(), (bar < 480).mean()
    # twenty days at each end, 80 days apart: 0.98^80 = 0.199 (block ends shift it by less than a per cent)
    assert oldest / newest == pytest.approx(0.98**80, rel=0.05)


def test_effective_sample_is_reported_and_one_too_small_is_an_error() -> None:
    history = history_of_two_clustered_coins()
    info = AgeWeightedBootstrap(history=history, factors=["BTC"]).info
    assert "blocks of 6h" in info.params["effective_sample"]
    assert info.params["decay_per_day"] == "0.99"
    # 0.6 a day: about (1 + 0.6) / (1 - 0.6) = 4 days count, 16 blocks
    with pytest.raises(
        InputError, match=r"decay of 0\.6 a day over 2999 joint bars left 1[0-9]\.\d blocks.*at least 30"
    ):
        AgeWeightedBootstrap(history=history, factors=["BTC"], decay_per_day=0.6)


@pytest.mark.parametrize("decay", [0.0, 1.01, -0.5, float("nan")])
def test_impossible_decay_is_an_input_error(decay: float) -> None:
    with pytest.raises(InputError, match="decay"):
        AgeWeightedBootstrap(history=history_of_two_clustered_coins(), factors=["BTC"], decay_per_day=decay)


def test_without_decay_all_dates_are_alike() -> None:
    weights = age_weights(np.arange(10.0), decay=1.0)
    assert weights == pytest.approx([0.1] * 10)
    assert effective_size(weights) == pytest.approx(10.0)
