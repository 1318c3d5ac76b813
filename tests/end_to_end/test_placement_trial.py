"""The trial of capital placement on a synthetic history: repeatable, walk-forward, and its sizes in the right order."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.scenario import FactorHistory

TOOLS = Path(__file__).parents[2] / "tools"
N_BARS = 365 * 24 + 20 * 24
START_DAY = 18_262  # 2020-01-01


def synthetic(seed: int, coin: str) -> FactorHistory:
    """Hourly bars whose volatility moves, with one market factor shared by all coins of a seed."""
    market = np.random.default_rng(seed)
    own = np.random.default_rng([seed, *coin.encode()])
    level = np.exp(np.cumsum(market.normal(0.0, 0.02, N_BARS)) * 0.3)
    move = 0.006 * level / level.mean() * (0.8 * market.standard_t(5, N_BARS) + 0.6 * own.standard_t(5, N_BARS))
    close = 100.0 * np.exp(np.cumsum(move))
    opened = np.concatenate(([100.0], close[:-1]))
    wick = 0.003 * own.exponential(1.0, (2, N_BARS))
    return FactorHistory(
        factor=coin,
        start_utc_ns=START_DAY * 86_400 * 1_000_000_000,
        step_s=3_600,
        open=opened,
        high=np.maximum(opened, close) * (1.0 + wick[0]),
        low=np.minimum(opened, close) * (1.0 - wick[1]),
        close=close,
        source="synthetic",
    )


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import placement_trial

    return placement_trial


def rows_of(trial: ModuleType, histories: dict[str, FactorHistory]) -> dict[int, list[object]]:
    grid = sys.modules["placement_model"].Grid.of(histories)
    first = START_DAY + 366
    return trial.run_task(trial.Task(grid=grid, days=tuple(range(first, first + 6)), n_paths=(500, 500), seed=3))


def test_trial_on_synthetic_history(trial: ModuleType) -> None:
    histories = {coin: synthetic(1, coin) for coin in ("BTC", "ETH", "SOL")}
    rows = rows_of(trial, histories)
    assert rows == rows_of(trial, histories)
    assert {row.kind for row in rows[24]} == set(trial.KINDS)
    assert rows[120]
    methods = sys.modules["placement_methods"]
    for row in [*rows[24], *rows[120]]:
        capital = {name: each.capital for name, each in row.sized.items()}
        assert capital["unequal levels"] <= capital["equal levels"] + 1e-9 <= capital[methods.ALONE] + 2e-9
        assert capital[methods.POOL] <= 1e-9 + capital["unequal levels"]
        assert capital[methods.RULE] < capital["pro rata"]
        assert all(each.critical >= 0.0 for each in row.sized.values())
        if row.kind == "hedged":
            joined = row.sized[methods.JOINED]
            # five short legs of one unit move, each at 10 basis points, and maintenance is left
            assert joined.cost == pytest.approx(5 * 0.001)
            assert joined.capital < 0.4 * capital[methods.ALONE]
    scores = trial.tables(rows[24], 24, 3)
    assert scores[methods.ALONE]["all"]["planned"] == 1.0
    assert scores[methods.ALONE]["all"]["windows"] == len(rows[24])


def test_plan_reads_no_later_bar(trial: ModuleType) -> None:
    histories = {coin: synthetic(1, coin) for coin in ("BTC", "ETH", "SOL")}
    cut = (366 + 8) * 24  # a day on which plans of 24 hours are made
    moved = {}
    for coin, bars in histories.items():
        prices = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
        for values in prices.values():
            values[cut:] *= 0.5
        moved[coin] = FactorHistory(
            factor=coin, start_utc_ns=bars.start_utc_ns, step_s=bars.step_s, source="crash", **prices
        )
    day = START_DAY + 366 + 8
    grids = [sys.modules["placement_model"].Grid.of(each) for each in (histories, moved)]
    calm, crash = (
        trial.run_task(trial.Task(grid=grid, days=tuple(range(day - 6, day + 1)), n_paths=(500, 500), seed=3))
        for grid in grids
    )
    last = max(row.day for row in calm[24])
    assert last == day
    for a, b in zip(calm[24], crash[24], strict=True):
        assert {k: v.capital for k, v in a.sized.items()} == {k: v.capital for k, v in b.sized.items()}
    worse = [b.sized["one pool"].critical > a.sized["one pool"].critical
             for a, b in zip(calm[24], crash[24], strict=True) if a.day == day]  # fmt: skip
    assert any(worse)


def test_buffers_of_a_frozen_venue_are_what_it_needs(trial: ModuleType) -> None:
    grid = sys.modules["placement_model"].Grid.of({coin: synthetic(2, coin) for coin in ("BTC", "ETH")})
    frozen = sys.modules["placement_frozen"]
    cases = frozen.frozen_cases(grid, 366 * 24, n_paths=500, seed=1)
    whole = [case for case in cases if case["kind"] in trial.KINDS]
    assert len(whole) == len(trial.KINDS) * frozen.DESKS_A_KIND * (1 + 5)
    joined = [case for case in cases if case["kind"] == "hedged, legs joined"]
    assert {case["desk"] for case in joined} == set(range(frozen.DESKS_A_KIND))
    for case in cases:
        assert {venue for _, venue in case["deaths"]} == set(case["buffers"])
        assert all(buffer > 0.0 for buffer in case["buffers"].values())
    assert "survive, one frozen" in frozen.frozen_table(cases)


def test_days_without_a_year_of_bars_before_them_are_an_error(trial: ModuleType) -> None:
    grid = sys.modules["placement_model"].Grid.of({"BTC": synthetic(2, "BTC")})
    with pytest.raises(InputError, match="8760 bars or more after its start"):
        trial.run_task(trial.Task(grid=grid, days=(START_DAY + 300,), n_paths=(500, 500), seed=1))


def test_wrong_arguments_are_refused(trial: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in (["--workers", "0"], ["--paths", "10", "10"], ["--from", "2025-01-02", "--until", "2025-01-01"], []):
        monkeypatch.setattr(sys, "argv", ["trial", str(tmp_path / "none"), "--out", str(tmp_path / "out"), *wrong])
        with pytest.raises(SystemExit):
            trial.main()
    assert not (tmp_path / "out").exists()
