"""Stressed paths: whole blocks of the packaged episodes, joint over coins, as they were and not recentred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.model.scenario import ScenarioBlock, ScenarioInfo
from margincover.model.stress import StressScenario
from margincover.numeric.bootstrap import draw_bars, eligible_starts
from margincover.numeric.rng import stream
from margincover.numeric.volatility import parkinson_variance
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.dependence import one_factor_loading
from margincover.scenarios.episode_fill import beta_to_btc, held_path
from margincover.scenarios.request import require_request

BLOCK_HOURS = 24
_STEP_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeBlocks:
    """Draw blocks of 24 hours from named episodes, the same hours for every coin.

    Parameters
    ----------
    episodes : sequence of StressScenario
        With hourly rows.
    factors : sequence of str
    calibration : Calibration
    proxies : mapping factor -> Proxy
        Stand-ins of the book.

    Notes
    -----
    Every start hour that leaves a whole block inside its episode is equally likely. The drift of the episodes, mostly
    falls, stays in. A coin that an episode does not hold moves as BTC did in it times the coin's beta in the
    calibration; unlike in ``margincover stress`` no side is favoured, because a book may hold both.

    Raises
    ------
    InputError
        If a coin is neither in an episode nor in the calibration nor has a stand-in.
    """

    episodes: Sequence[StressScenario]
    factors: Sequence[str]
    calibration: Calibration
    proxies: Mapping[str, Proxy] = field(default_factory=dict)
    info: ScenarioInfo = field(init=False)
    _close: np.ndarray = field(init=False, repr=False)
    _low: np.ndarray = field(init=False, repr=False)
    _high: np.ndarray = field(init=False, repr=False)
    _starts: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        used = [episode for episode in self.episodes if episode.is_path and episode.n_hours >= BLOCK_HOURS]
        if not used or not self.factors:
            raise InputError(
                f"{len(used)} episodes, {len(self.factors)} coins",
                field="episodes",
                allowed=f"episodes of {BLOCK_HOURS} h or more, and coins",
            )
        # NaN hours between the episodes, so that no block runs from one into another.
        tables = [np.full((len(self.factors), sum(e.n_hours + 1 for e in used)), np.nan) for _ in range(3)]
        filled: dict[str, int] = {}
        at = 0
        for episode in used:
            for f, factor in enumerate(self.factors):
                logs, was_filled = self._logs(episode, factor)
                filled[factor] = filled.get(factor, 0) + was_filled
                before = np.concatenate(([0.0], logs[0][:-1]))
                for table, log in zip(tables, logs, strict=True):
                    table[f, at : at + episode.n_hours] = log - before
            at += episode.n_hours + 1
        for name, table in zip(("_close", "_low", "_high"), tables, strict=True):
            table.flags.writeable = False
            object.__setattr__(self, name, table)
        usable = ~np.isnan(tables[0]).any(axis=0)
        object.__setattr__(self, "_starts", eligible_starts(usable, block_bars=BLOCK_HOURS))
        object.__setattr__(self, "info", self._info(used, filled, np.atleast_2d(np.corrcoef(tables[0][:, usable]))))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        require_request(n_steps=n_steps, n_paths=n_paths)
        rng = stream(seed, "episode.blocks", number)
        index = draw_bars(
            rng, self._starts, block_bars=BLOCK_HOURS, n_bars=self._close.shape[1], shape=(n_steps, n_paths)
        )
        out = np.empty((4, n_steps, len(self.factors), n_paths))
        for f in range(len(self.factors)):
            close = np.cumsum(self._close[f][index], axis=0)
            start = np.concatenate([np.zeros((1, n_paths)), close[:-1]])
            low, high = self._low[f][index], self._high[f][index]
            out[:, :, f] = close, start + low, start + high, parkinson_variance(high - low)
        return ScenarioBlock(close_log=out[0], low_log=out[1], high_log=out[2], step_variance=out[3])

    def _logs(self, episode: StressScenario, factor: str) -> tuple[list[np.ndarray], bool]:
        """Return log close, low and high over the start, [hour], and whether they were filled in."""
        path = held_path(episode, factor, self.proxies)
        beta, was_filled = 1.0, False
        if path is None:
            own = beta_to_btc(self.calibration, factor)
            path = held_path(episode, "BTC", {})
            if own is None or path is None:
                raise InputError(
                    f"{factor} is neither in episode {episode.name} nor in the packaged calibration",
                    field="stress",
                    allowed="a stand-in for it under `proxies` in the book, or --history with a stress window",
                )
            beta, was_filled = own, True
        logs = [beta * np.log(table) for table in (path.close, path.low, path.high)]
        close, edges = logs[0], np.sort(np.stack(logs[1:]), axis=0)
        before = np.concatenate(([0.0], close[:-1]))
        low = np.minimum(edges[0], np.minimum(before, close))
        return [close, low, np.maximum(edges[1], np.maximum(before, close))], was_filled

    def _info(self, used: Sequence[StressScenario], filled: Mapping[str, int], correlation: np.ndarray) -> ScenarioInfo:
        np.fill_diagonal(correlation, 1.0)
        beta = ", ".join(f"{factor} in {count}" for factor, count in filled.items() if count)
        return ScenarioInfo(
            factors=tuple(self.factors),
            step_s=_STEP_S,
            loading=one_factor_loading(correlation),
            correlation=correlation,
            method="episodes",
            label=f"Blocks of {BLOCK_HOURS} h from {len(used)} packaged episodes",
            params={
                "episodes": ", ".join(episode.name for episode in used),
                **({"coins moved as BTC times beta": f"{beta} of the episodes"} if beta else {}),
            },
        )
