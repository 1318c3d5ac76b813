"""Generalised-Pareto tails on both sides of standardised bars: law, joint dates, and what is said without one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import History
from margincover.numeric.recursions_reference import pareto_size, spliced_bars
from margincover.scenarios.filtered import FilteredHistorical
from margincover.scenarios.spliced_pool import spliced_pool
from tests.unit.synthetic_bars import bars_of, history_of_two_clustered_coins


def _bars(n: int = 4_000, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    close = rng.standard_t(4, n)
    close = (close - close.mean()) / close.std()
    return np.stack((close, np.minimum(close, 0.0) - rng.random(n), np.maximum(close, 0.0) + rng.random(n)), axis=-1)


def _even(n: int) -> np.ndarray:
    return np.full(n, 1.0 / n)


def test_drawn_sizes_follow_the_fitted_tail_and_pass_the_largest_seen() -> None:
    bars = _bars()
    pool = spliced_pool(bars, _even(4_000), share=0.05, limit=1e9, sigma=1.0)
    rng = np.random.default_rng(1)
    index = rng.integers(0, 4_000, 2_000_000)
    _, low, high = spliced_bars(pool.rows[index], pool.cells, pool.tails, 1.0 - rng.random(index.size))
    for side, size in enumerate((-low, high)):
        for beyond in (0.5, 0.1, 0.01, 0.001):
            # 5 % of the bars are tail; the part ``beyond`` of them lies above this size
            expected = 0.05 * beyond
            found = float((size > pareto_size(np.array(beyond), pool.tails[side])).mean())
            # three standard errors, and 1 % of the chance for sizes that are linear within their rank
            assert abs(found - expected) < 3.0 * np.sqrt(expected / size.size) + 0.01 * expected
        assert size.max() > pool.rows[:, 1 + side].__abs__().max()


def test_each_bar_keeps_its_rank_and_its_close_lies_within_its_range() -> None:
    pool = spliced_pool(_bars(), _even(4_000), share=0.05, limit=1e9, sigma=1.0)
    order = np.argsort(pool.rows[:, 1], kind="stable")[:150]
    for u in (0.01, 0.5, 1.0):
        close, low, high = spliced_bars(pool.rows, pool.cells, pool.tails, np.full(4_000, u))
        assert (np.diff(low[order]) >= -1e-6).all()
        assert (low <= close + 1e-6).all()
        assert (close <= high + 1e-6).all()


def test_exponential_mean_is_one_under_the_spliced_law() -> None:
    bars = _bars()
    pool = spliced_pool(bars, _even(4_000), share=0.05, limit=0.3, sigma=0.01)
    rng = np.random.default_rng(2)
    index = rng.integers(0, 4_000, 4_000_000)
    close, _, _ = spliced_bars(pool.rows[index], pool.cells, pool.tails, 1.0 - rng.random(index.size))
    assert close.var() == pytest.approx(1.0, abs=0.03)
    for node in (5, 20, 80):
        sigma = node * 0.001
        growth = np.exp(np.clip(sigma * close, -0.3, 0.3) - pool.convexity[node] * sigma**2)
        growth *= np.exp(-sigma * float(np.nanmean(pool.mean_close)))
        assert abs(growth.mean() - 1.0) < 4.0 * growth.std() / np.sqrt(growth.size)


def test_shape_at_or_above_one_is_bounded_and_said() -> None:
    bars = _bars(6_000)
    worst = np.random.default_rng(5).random(6_000) < 0.06
    # P(size > x) = (3 / x)^(1 / 1.3): a shape of 1.3
    bars[worst, 1] = -3.0 * np.random.default_rng(6).random(int(worst.sum())) ** -1.3
    pool = spliced_pool(bars, _even(6_000), share=0.05, limit=0.5, sigma=0.01)
    down, up = pool.sides
    assert down.tail is not None
    assert down.tail.shape == 0.6
    assert down.tail.fitted_shape is not None
    assert down.tail.fitted_shape >= 1.0
    assert "Expected Shortfall is infinite" in down.warning
    assert down.warning in down.text
    assert "shape by threshold" in down.text
    assert up.warning == ""
    assert np.isfinite(pool.convexity).all()


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        (_bars(500), "500 bars, allowed 667 for a tail"),
        (_bars() * [1.0, 0.0, 1.0], "a threshold of 0 sigma, allowed at least 0.1"),
    ],
)
def test_bars_without_a_tail_are_drawn_as_seen_and_say_why(bars: np.ndarray, words: str) -> None:
    pool = spliced_pool(bars, _even(len(bars)), share=0.05, limit=0.5, sigma=0.01)
    assert pool.sides[0].tail is None
    assert words in pool.sides[0].text
    assert "in place of a Pareto tail" in pool.sides[0].warning


def test_generator_names_the_coin_whose_tail_is_as_seen() -> None:
    history = history_of_two_clustered_coins()
    bars = history.factors["ETH"]
    # a coin that stands still but for one bar in 25, up or down: fewer than the 5 % that would be a tail
    rng = np.random.default_rng(8)
    moves = np.where(rng.random(bars.close.size) < 0.04, 0.01 * rng.standard_normal(bars.close.size), 0.0)
    close = 100.0 * np.exp(np.cumsum(moves))
    opened = np.concatenate((close[:1], close[:-1]))
    still = bars_of("ETH", np.stack((opened, np.maximum(opened, close), np.minimum(opened, close), close)))
    mixed = History(factors={"BTC": history.factors["BTC"], "ETH": still}, step_s=3_600, sha256="x")
    info = FilteredHistorical.fit(mixed, ["BTC", "ETH"]).info
    assert any(text.startswith("ETH: tail of falls: as seen") for text in info.warnings)
    assert info.not_modelled[0].startswith("standardised moves larger than the largest seen (ETH falls")
    assert "BTC" not in info.not_modelled[0]
    assert info.params["tail_down.ETH"].startswith("as seen")
    assert info.params["tail_down.BTC"].startswith("generalised Pareto beyond")


@pytest.mark.parametrize("share", [0.005, 0.2, -0.1, float("nan")])
def test_impossible_share_is_an_input_error(share: float) -> None:
    with pytest.raises(InputError, match="tail_share"):
        FilteredHistorical.fit(history_of_two_clustered_coins(), ["BTC"], tail_share=share)


def test_fit_that_does_not_converge_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from margincover.scenarios import garch_fit

    monkeypatch.setattr(garch_fit, "_maximise", lambda _: "the optimiser did not converge (flag 4)")
    info = FilteredHistorical.fit(history_of_two_clustered_coins(), ["BTC"]).info
    assert info.params["volatility.BTC"] == garch_fit.FALLBACK
    assert any("did not converge (flag 4)" in text and text.startswith("BTC") for text in info.warnings)


def test_coin_that_starts_in_the_middle_leaves_too_few_joint_bars() -> None:
    history = history_of_two_clustered_coins(n_bars=3_000)
    late = history.factors["ETH"]
    late = replace(
        late,
        start_utc_ns=late.start_utc_ns + 2_000 * 3_600 * 1_000_000_000,
        **{name: getattr(late, name)[2_000:] for name in ("open", "high", "low", "close")},
    )
    cut = History(factors={"BTC": history.factors["BTC"], "ETH": late}, step_s=3_600, sha256="x")
    with pytest.raises(InputError, match=r"999 joint bars of BTC, ETH; allowed: at least 1500"):
        FilteredHistorical.fit(cut, ["BTC", "ETH"])
