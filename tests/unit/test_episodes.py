"""The library of episodes: sound figures, sources, and a rule for coins that it does not hold."""

from datetime import timedelta

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.scenarios.calibration import load_packaged
from margincover.scenarios.episode_fill import FILL_MULTIPLE, Side, beta_to_btc, filled_path, held_path
from margincover.scenarios.episodes import library_from, load_episodes

LIBRARY = load_episodes()
CALIBRATION = load_packaged()
BY_NAME = {episode.name: episode for episode in LIBRARY.episodes}
NAMED = ("2020-03-12", "2021-05-19", "2022-05-09", "2022-11-08", "2024-08-05", "2025-10-10")


def test_the_library_holds_the_crises_that_every_desk_knows():
    assert set(NAMED) <= set(LIBRARY.names)
    assert list(LIBRARY.names) == sorted(LIBRARY.names)


@pytest.mark.parametrize("name", LIBRARY.names)
def test_an_episode_starts_at_the_market_as_it_is_and_names_its_sources(name):
    episode = BY_NAME[name]
    assert 24 <= episode.n_hours <= 120
    # Both ends of an hour belong to it, so the first hour holds the start.
    assert (episode.low[0] <= 1.0).all()
    assert (episode.high[0] >= 1.0).all()
    # An hour begins where the last one ended.
    assert (episode.low[1:] <= episode.close[:-1]).all()
    assert (episode.high[1:] >= episode.close[:-1]).all()
    assert any(source.startswith("prices: Binance") for source in episode.sources)
    assert all(move.source for move in episode.asset_moves)
    assert all(halt.source for halt in episode.halts)


def test_known_extremes_stand_in_the_figures():
    # BTC's mark on Binance: down 52 % on 12 and 13 March 2020; 16 % on 10 October 2025 (101,877.69 of 121.6 thousand).
    covid, october = BY_NAME["2020-03-12"], BY_NAME["2025-10-10"]
    assert covid.low[:, covid.factors.index("BTC")].min() == pytest.approx(0.479, abs=0.002)
    assert october.low[:, october.factors.index("BTC")].min() == pytest.approx(0.838, abs=0.002)


def test_a_bad_print_is_not_a_crash():
    # LINK traded at 0.0001 on the spot market for an instant on 12 March 2020.
    covid = BY_NAME["2020-03-12"]
    assert covid.low[:, covid.factors.index("LINK")].min() > 0.2
    assert any("LINK" in note for note in covid.notes)


def test_figures_are_those_of_the_shared_bars(shared_folder):
    import polars as pl

    for name in ("2020-03-12", "2024-08-05"):
        episode = BY_NAME[name]
        table = pl.read_parquet(shared_folder / "data/prices/mark_1h/BTCUSDT.parquet")
        before = table.filter(pl.col("ts") == episode.start - timedelta(hours=1))["close"][0]
        end = episode.start + timedelta(hours=episode.n_hours)
        window = table.filter((pl.col("ts") >= episode.start) & (pl.col("ts") < end))
        expected = window["close"].to_numpy() / before
        assert episode.close[:, episode.factors.index("BTC")] == pytest.approx(expected, abs=1e-6)


def test_funding_paid_is_that_of_the_venue():
    # Binance BTCUSDT 2020-03-13 08:00 UTC: -0.300 %, the lowest ever; it ends hour 32 after the start.
    assert BY_NAME["2020-03-12"].funding["BTC"][31] == pytest.approx(-0.003, abs=2e-5)


def test_volatility_rises_with_the_crash_and_is_absent_where_unknown():
    assert BY_NAME["2020-03-12"].volatility_ratio.max() == pytest.approx(1.9, abs=0.05)
    quiet = BY_NAME["2021-12-04"]
    assert quiet.volatility_source == ""
    assert (quiet.volatility_ratio == 1.0).all()


@pytest.mark.parametrize("name", LIBRARY.names)
@pytest.mark.parametrize("factor", ["PEPE", "SUI", "AVAX"])
def test_a_fill_is_never_kinder_than_any_coin_of_the_episode(name, factor):
    episode = BY_NAME[name]
    others = [k for k, coin in enumerate(episode.factors) if coin not in episode.own_coins]
    down, up = (filled_path(episode, factor, side, CALIBRATION) for side in (Side.DOWN, Side.UP))
    for low, high, table in (
        (down.low, up.low, episode.low),
        (down.high, up.high, episode.high),
        (down.close, up.close, episode.close),
    ):
        assert (low <= table[:, others].min(axis=1) + 1e-12).all()
        assert (high >= table[:, others].max(axis=1) - 1e-12).all()
    for path in (down, up):
        assert (path.low <= path.close + 1e-12).all()
        assert (path.close <= path.high + 1e-12).all()


def test_a_fill_is_the_worst_coin_times_the_stated_multiple():
    episode = BY_NAME["2025-10-10"]
    path = filled_path(episode, "PEPE", Side.DOWN, CALIBRATION)
    assert np.log(path.low.min()) == pytest.approx(FILL_MULTIPLE * np.log(episode.low.min()))
    assert "1.25" in path.rule


def test_a_coin_with_its_own_news_does_not_stand_in_for_another():
    doge = BY_NAME["2021-01-28"]
    assert doge.high[:, doge.factors.index("DOGE")].max() > 10.0
    assert filled_path(doge, "PEPE", Side.UP, CALIBRATION).high.max() < 2.5


def test_the_beta_of_a_calibrated_coin_is_a_floor_too():
    # The squeeze of 2019 holds five coins, of which BTC moved most: SOL at its beta goes beyond them.
    rally = BY_NAME["2019-10-25"]
    beta = beta_to_btc(CALIBRATION, "SOL")
    assert beta is not None
    path = filled_path(rally, "SOL", Side.UP, CALIBRATION)
    top = rally.high[:, rally.factors.index("BTC")].max()
    assert path.high.max() == pytest.approx(top ** (FILL_MULTIPLE * beta))


def test_a_stand_in_of_the_book_comes_before_the_rule():
    episode = BY_NAME["2024-08-05"]
    path = held_path(episode, "PEPE", {"PEPE": Proxy(factor="DOGE", multiple=1.5)})
    assert path is not None
    assert path.close == pytest.approx(episode.close[:, episode.factors.index("DOGE")] ** 1.5)
    assert held_path(episode, "PEPE", {}) is None


def test_unknown_episodes_and_broken_files_are_errors():
    with pytest.raises(InputError, match="2020-03-12"):
        LIBRARY.chosen(("2020-03-13",))
    with pytest.raises(InputError):
        library_from("[[episode]]\nname = 'x'\n", "{}")
    entry = "[[episode]]\nname='x'\ntitle='x'\nstart=2020-01-01T00:00:00Z\nhours=1\nodd=1\n"
    with pytest.raises(InputError, match="unknown keys odd"):
        library_from(entry, '{"source":"s","volatility_law":{},"episodes":{"x":{}}}')
