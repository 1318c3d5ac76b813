"""Named, dated episodes of the market that come with the package, as hourly joint paths with what happened beside."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import numpy as np

from margincover.errors import InputError
from margincover.model.stress import AssetMove, Halt, StressScenario
from margincover.numeric.arrays import Vector

_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityLaw:
    """Daily moves of BTC's implied volatility: standard deviation of the log change, correlation with BTC."""

    daily_standard_deviation: float
    correlation_with_btc: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLibrary:
    """All packaged episodes, oldest first, and the law of implied volatility worked out beside them."""

    episodes: tuple[StressScenario, ...]
    volatility_law: VolatilityLaw

    @property
    def names(self) -> tuple[str, ...]:
        """Names, which are dates."""
        return tuple(episode.name for episode in self.episodes)

    def chosen(self, names: tuple[str, ...] | None) -> tuple[StressScenario, ...]:
        """Return the episodes of these names, all for None.

        Raises
        ------
        InputError
            If a name is not in the library.
        """
        if names is None:
            return self.episodes
        by_name = {episode.name: episode for episode in self.episodes}
        for name in names:
            if name not in by_name:
                raise InputError(f"was '{name}'", field="--episodes", allowed=f"all, none, or {', '.join(self.names)}")
        return tuple(by_name[name] for name in dict.fromkeys(names))


def load_episodes() -> EpisodeLibrary:
    """Return the packaged episodes.

    Raises
    ------
    InputError
        If the packaged files do not fit each other.
    """
    folder = resources.files("margincover.scenarios").joinpath("data")
    return library_from(
        folder.joinpath("episodes.toml").read_text(encoding="utf-8"),
        folder.joinpath("episode_paths.json").read_text(encoding="utf-8"),
    )


def library_from(entries_toml: str, paths_json: str) -> EpisodeLibrary:
    """Return the library in the text of ``episodes.toml`` and ``episode_paths.json``.

    Raises
    ------
    InputError
        If a text does not parse, a key is missing or unknown, or an episode has no figures.
    """
    try:
        entries = tomllib.loads(entries_toml)["episode"]
        figures = json.loads(paths_json)
        episodes = tuple(_episode(entry, figures["episodes"][entry["name"]], figures["source"]) for entry in entries)
        law = figures["volatility_law"]
        return EpisodeLibrary(
            episodes=episodes,
            volatility_law=VolatilityLaw(
                daily_standard_deviation=float(law["daily_standard_deviation"]),
                correlation_with_btc=float(law["correlation_with_btc"]),
                source=str(law["source"]),
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"could not be read: {error!r}",
            source="episodes",
            allowed="the keys that tools/episodes.py reads and writes",
        ) from error


def _episode(entry: Mapping[str, Any], figures: Mapping[str, Any], price_source: str) -> StressScenario:
    unknown = set(entry) - {"name", "title", "start", "hours", "own_coins", "depeg", "halt"}
    if unknown:
        raise ValueError(f"{entry['name']}: unknown keys {', '.join(sorted(unknown))}")
    start, hours = entry["start"], int(entry["hours"])
    if not isinstance(start, datetime) or start.tzinfo is None:
        raise TypeError(f"{entry['name']}: start was no time with a zone")
    coins = figures["coins"]
    tables = {
        name: np.array([row[name] for row in coins.values()], dtype=np.float64).T / _MILLION
        for name in ("low", "high", "close")
    }
    volatility = figures["volatility"]
    depegs = [AssetMove(**{"venue": None, **row}) for row in entry.get("depeg", [])]
    halts = [_halt(row) for row in entry.get("halt", [])]
    return StressScenario(
        name=str(entry["name"]),
        title=str(entry["title"]),
        kind="episode",
        start=start.astimezone(UTC),
        factors=tuple(coins),
        low=tables["low"],
        high=tables["high"],
        close=tables["close"],
        elapsed_hours=np.arange(1.0, hours + 1.0),
        volatility_ratio=_volatility(volatility, hours),
        volatility_source=str(volatility["source"]) if volatility else "",
        funding={coin: _funding(rows, hours) for coin, rows in figures["funding"].items()},
        asset_moves=tuple(depegs),
        halts=tuple(halts),
        own_coins=tuple(entry.get("own_coins", [])),
        notes=tuple(figures["notes"]),
        sources=_sources(price_source, coins, volatility, (depegs, halts)),
        basis={coin: (float(low), float(high)) for coin, (low, high) in figures["basis"].items()},
    )


def _sources(
    price_source: str,
    coins: Mapping[str, Any],
    volatility: Mapping[str, Any] | None,
    events: tuple[list[AssetMove], list[Halt]],
) -> tuple[str, ...]:
    """Return where prices, implied volatility, depegs and halts are from, one sentence each."""
    markets = {
        word: [coin for coin, row in coins.items() if row["market"] == word] for word in ("mark", "perpetual", "spot")
    }
    used = ", ".join(f"{word}: {' '.join(names)}" for word, names in markets.items() if names)
    return (
        f"prices: {price_source} ({used})",
        *([f"implied volatility: {volatility['source']}"] if volatility else []),
        *(f"{depeg.asset}: {depeg.source}" for depeg in events[0]),
        *(f"{halt.venue} halt: {halt.source}" for halt in events[1]),
    )


def _halt(row: Mapping[str, Any]) -> Halt:
    known = {"venue", "what", "from_hour", "to_hour", "assets", "source"}
    if set(row) - known:
        raise ValueError(f"unknown keys {', '.join(sorted(set(row) - known))} of a halt")
    return Halt(**{"to_hour": None, **row, "assets": tuple(row.get("assets", ()))})


def _funding(rows: list[list[float]], hours: int) -> Vector:
    found = np.zeros(hours)
    for hour, fraction in rows:
        found[int(hour)] += fraction
    return found


def _volatility(volatility: Mapping[str, Any] | None, hours: int) -> Vector:
    """Return the ratio at the end of each hour: straight lines between the figures, the last one kept."""
    if volatility is None:
        return np.ones(hours)
    at, ratio = np.array(volatility["points"], dtype=np.float64).T
    return np.asarray(np.interp(np.arange(1.0, hours + 1.0), at, ratio), dtype=np.float64)
