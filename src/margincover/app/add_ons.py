"""Add-ons of a coverage run: the book through the packaged episodes, and along paths of the full-history volatility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from margincover.app.generators import build_generator
from margincover.app.option_volatility import with_volatility
from margincover.app.side_factors import Market, with_side_factors
from margincover.coverage.add_ons import add_ons
from margincover.coverage.stress import evaluate_scenario
from margincover.coverage.stress_states import PoolBooks
from margincover.model.add_ons import AddOns
from margincover.model.book import Book
from margincover.model.pool import MarginPool
from margincover.model.results import CoverageResult
from margincover.model.scenario import History, ScenarioGenerator
from margincover.paths.engine import PathSettings, simulate
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.episodes import load_episodes
from margincover.units import SECONDS_PER_DAY

# A floor from less than this has seen too little of the market to be one.
MIN_FLOOR_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOnRun:
    """Settings of the run whose result the add-ons stand beside.

    ``history`` (path, History or None) is resampled for the floor, each date alike; None takes the packaged long-run
    volatility, whatever volatility the book states. ``vol_rule`` and ``side_factors`` are those of the result.
    """

    settings: PathSettings
    history: Path | str | History | None
    vol_rule: str | None
    side_factors: bool
    calibration: Calibration


def cover_add_ons(
    book: Book, pools: Sequence[MarginPool], result: CoverageResult, run: AddOnRun, *, factors: Sequence[str]
) -> AddOns:
    """Return stress weight and full-history floor beside a coverage result.

    Parameters
    ----------
    book : Book
    pools : sequence of MarginPool
        As compiled from the book.
    result : CoverageResult
    run : AddOnRun
    factors : sequence of str
        Coins of the pools.

    Raises
    ------
    InputError
        If a coin of the book has neither history nor packaged calibration nor stand-in.
    """
    books = PoolBooks(book=book, calibration=run.calibration)
    episodes = [evaluate_scenario(each, pools, book.proxies, books) for each in load_episodes().episodes]
    floor = _floor_generator(book, run, factors)
    market = with_side_factors(book, pools, floor) if run.side_factors else Market(pools=tuple(pools), generator=floor)
    paths = simulate(
        with_volatility(market.pools, run.vol_rule),
        market.generator,
        replace(run.settings, follow_s=run.settings.horizon_s),
    )
    return add_ons(
        result,
        episodes,
        paths,
        floor_label=floor.info.label,
        floor_as_of=floor.info.as_of,
        notes=[*floor.info.warnings, *_length_notes(floor)],
    )


def _floor_generator(book: Book, run: AddOnRun, factors: Sequence[str]) -> ScenarioGenerator:
    """Long-run volatility: all bars of the history, each alike, or the packaged calibration as it is."""
    return build_generator(
        replace(book, market=replace(book.market, volatility_annual={})),
        factors or [run.calibration.names[0]],
        method="montecarlo" if run.history is None else "bootstrap",
        history=run.history,
        calibration=run.calibration,
    )


def _length_notes(floor: ScenarioGenerator) -> list[str]:
    bars = floor.info.params.get("joint_bars")
    if bars is None:
        return []
    days = int(bars) * floor.info.step_s / SECONDS_PER_DAY
    if days >= MIN_FLOOR_DAYS:
        return []
    return [f"the floor rests on {days:.0f} days of bars: less than {MIN_FLOOR_DAYS}, it may have seen no stress"]
