"""Further factors around any generator: stable coins, marks against their index, perpetual funding.

The base generator's paths are passed on unchanged: each further row has a random stream of its own, so that switching
one on or off changes nothing else, and a larger book sees the same market as a smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo
from margincover.numeric.rng import stream
from margincover.scenarios.side_laws import JumpLaw, SideLaws
from margincover.units import SECONDS_PER_HOUR

Array = NDArray[np.float64]
# The coin whose fall tells that the market is under stress; without it the mean over the coins of the base stands in.
MARKET_COIN = "BTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtVenue:
    """A coin or a stable coin at one venue."""

    name: str
    venue: str

    @property
    def id(self) -> str:
        """Name of the row: ``USDE@binance``."""
        return f"{self.name}@{self.venue}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualFunding:
    """A perpetual whose funding varies: ``start_per_hour`` is what the book states, > 0 means longs pay."""

    instrument_id: str
    coin: str
    venue: str
    start_per_hour: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFactors:
    """A generator with stable coins, local marks and funding beside the prices of another.

    Parameters
    ----------
    base : ScenarioGenerator
    laws : SideLaws
    stables : sequence of AtVenue
        Stable coins, each a factor ``USDT@bybit`` after those of the base.
    marks : sequence of AtVenue
        Coins whose marks at a venue move against their index.
    funding : sequence of PerpetualFunding

    Notes
    -----
    Stable coin: noise of a first-order autoregression, the same at every venue, less breaks that decay; a break is the
    more likely the deeper the market has just fallen. Mark: first-order autoregression whose noise grows with the move
    of the step. Funding: first-order autoregression per interval, held inside it; the first interval pays what the book
    states. Rows of one coin share the noise of funding at all venues; marks have noise of their own at each.

    Raises
    ------
    InputError
        If a coin is not made by the base, a row stands twice, or the step does not fit the funding interval.
    """

    base: ScenarioGenerator
    laws: SideLaws
    stables: Sequence[AtVenue] = ()
    marks: Sequence[AtVenue] = ()
    funding: Sequence[PerpetualFunding] = ()
    info: ScenarioInfo = field(init=False)

    def __post_init__(self) -> None:
        source = self.base.info
        for coin in dict.fromkeys([*(m.name for m in self.marks), *(f.coin for f in self.funding)]):
            if coin not in source.factors:
                raise InputError(
                    f"{coin} is not made by the base generator", field="factors", allowed=", ".join(source.factors)
                )
        ids = (
            [*source.factors, *(s.id for s in self.stables)],
            [m.id for m in self.marks],
            [f.instrument_id for f in self.funding],
        )
        for names in ids:
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f"{', '.join(twice)} stood twice", field="factors", allowed="each row once")
        interval_s = self.laws.interval_hours * SECONDS_PER_HOUR
        if self.funding and interval_s % source.step_s and source.step_s % interval_s:
            raise InputError(
                f"step was {source.step_s} s",
                field="factors",
                allowed=f"a step that divides {interval_s} s or a multiple",
            )
        object.__setattr__(self, "info", self._info(source))

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        made = self.base.block(seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
        request = _Request(seed=seed, number=number, close_log=made.close_log, hours=self._hours)
        if self.marks:
            made = replace(made, mark_log=np.stack([self._mark(request, row) for row in self.marks], axis=1))
        if self.funding:
            made = replace(made, funding_per_hour=self._rates(request))
        if self.stables:
            made = self._with_stables(request, made)
        return made

    @property
    def _hours(self) -> float:
        return self.base.info.step_s / SECONDS_PER_HOUR

    def _row(self, coin: str) -> int:
        return self.base.info.factors.index(coin)

    def _mark(self, request: _Request, row: AtVenue) -> Array:
        """Return log of mark over index against the start, [step, path]."""
        law = self.laws.mark(row.name)
        move = request.moves(self._row(row.name))
        noise = law.residuals.of(request.uniform(f"side.mark/{row.id}"))
        noise *= (law.calm_deviation + law.move_deviation * np.abs(move)) * _spread(law.persistence, self._hours)
        if law.response:
            noise += law.response * move
        _accumulate(noise, law.persistence**self._hours)
        return np.clip(noise, -law.largest, law.largest)

    def _rates(self, request: _Request) -> Array:
        """Return funding per hour, [step, row, path]; the shock of a coin is the same at every venue."""
        shocks = {coin: self._shock(request, coin) for coin in dict.fromkeys(row.coin for row in self.funding)}
        steps = max(1, round(self.laws.interval_hours / self._hours))
        rows = []
        for row in self.funding:
            law, start = self.laws.rate(row.coin), row.start_per_hour
            shock = shocks[row.coin]
            lasted = np.arange(shock.shape[0]) * max(1.0, self._hours / self.laws.interval_hours)
            pull = (1.0 - law.persistence**lasted)[:, None]
            rate = start + pull * (law.mean / self.laws.interval_hours - start) + shock
            # What the book states stands even beyond the limit that is known.
            limit = max(self.laws.rate_limit(row.coin, row.venue), abs(start))
            rows.append(np.repeat(np.clip(rate, -limit, limit), steps, axis=0)[: request.n_steps])
        return np.stack(rows, axis=1)

    def _shock(self, request: _Request, coin: str) -> Array:
        """Return what the moves and the noise have added to funding per hour, [interval, path], nothing at first."""
        law = self.laws.rate(coin)
        steps = max(1, round(self.laws.interval_hours / self._hours))
        per_interval = max(1.0, self._hours / self.laws.interval_hours)
        n_intervals = -(-request.n_steps // steps)
        shock = np.zeros((n_intervals, request.n_paths))
        if n_intervals > 1:
            level = np.zeros((n_intervals, request.n_paths))
            level[1:] = request.close_log[steps - 1 :: steps, self._row(coin)][: n_intervals - 1]
            uniform = stream(request.seed, f"side.funding/{coin}", request.number).random(
                (n_intervals - 1, request.n_paths)
            )
            shock[1:] = law.residuals.of(uniform) * (law.deviation * _spread(law.persistence, per_interval))
            shock[1:] += law.response * np.diff(level, axis=0)
            _accumulate(shock, law.persistence**per_interval)
        return shock / self.laws.interval_hours

    def _with_stables(self, request: _Request, made: ScenarioBlock) -> ScenarioBlock:
        chance = {
            True: self._chance(request, self.laws.stable.common),
            False: self._chance(request, self.laws.stable.local),
        }
        parts = [self._stable(request, row, chance) for row in self.stables]
        close, low, high, variance = (np.stack([part[k] for part in parts], axis=1) for k in range(4))
        return replace(
            made,
            close_log=np.concatenate([made.close_log, close], axis=1),
            low_log=np.concatenate([made.low_log, low], axis=1),
            high_log=np.concatenate([made.high_log, high], axis=1),
            step_variance=np.concatenate([made.step_variance, variance], axis=1),
        )

    def _chance(self, request: _Request, law: JumpLaw) -> Array:
        """Return the chance that a peg breaks in each step, [step, path]."""
        stable, names = self.laws.stable, self.base.info.factors
        close = request.close_log
        market = close[:, names.index(MARKET_COIN)] if MARKET_COIN in names else close.mean(axis=1)
        back = max(1, round(stable.stress_hours / self._hours))
        before = np.zeros_like(market)
        before[back:] = market[:-back]
        is_stressed = market - before <= math.log1p(-stable.stress_drop)
        rate = np.where(is_stressed, law.stress_per_hour, law.calm_per_hour)
        return np.asarray(-np.expm1(-rate * self._hours), dtype=np.float64)

    def _stable(self, request: _Request, row: AtVenue, chance: dict[bool, Array]) -> tuple[Array, Array, Array, Array]:
        """Return close, low, high and variance of a stable coin, each [step, path]."""
        stable = self.laws.stable
        decay = 0.5 ** (self._hours / stable.common.half_life_hours)
        step_deviation = stable.noise(row.name) * math.sqrt(1.0 - decay**2)
        noise = request.normal(f"side.stable/{row.name}") * step_deviation
        _accumulate(noise, decay)
        # The mean of the price is 1 but for breaks of the peg, which nothing makes up for.
        lasted = np.arange(1, request.n_steps + 1)[:, None]
        close = noise - 0.5 * stable.noise(row.name) ** 2 * (1.0 - decay ** (2.0 * lasted))
        variance = np.full_like(close, step_deviation**2)
        breaks = [(stable.common, f"side.break/{row.name}", chance[True])]
        if row.name.upper() not in stable.fiat_backed:
            breaks.append((stable.local, f"side.break/{row.id}", chance[False]))
        for law, purpose, probability in breaks:
            uniform = request.uniform(purpose)
            step, path = np.nonzero(uniform < probability)
            if step.size:
                # Given that the peg breaks, the draw over its bound is uniform again: it sets how far.
                fall = np.zeros_like(close)
                size = -np.log(uniform[step, path] / probability[step, path])
                fall[step, path] = np.minimum(law.mean_log * size, stable.largest_log)
                # Inside the step of a break the price may go further than where it ends.
                variance += fall**2
                _accumulate(fall, 0.5 ** (self._hours / law.half_life_hours))
                close -= fall
        np.clip(close, -stable.largest_log, stable.largest_log, out=close)
        # The noise of a peg inside a step is a few hundredths of a per cent: the ends of the step are its extremes.
        before = np.concatenate([np.zeros((1, request.n_paths)), close])[: request.n_steps]
        return close, np.minimum(before, close), np.maximum(before, close), variance

    def _info(self, source: ScenarioInfo) -> ScenarioInfo:
        n, m = len(source.factors), len(self.stables)
        correlation = np.eye(n + m)
        correlation[:n, :n] = source.correlation
        rows = [f.instrument_id for f in self.funding]
        return replace(
            source,
            factors=(*source.factors, *(s.id for s in self.stables)),
            loading=np.concatenate([source.loading, np.zeros(m)]),
            correlation=correlation,
            params={
                **source.params,
                "side_factors": "; ".join(
                    f"{what}: {', '.join(names)}"
                    for what, names in (
                        ("stable coins", [s.id for s in self.stables]),
                        ("marks against index", [x.id for x in self.marks]),
                        ("varying funding", rows),
                    )
                    if names
                )
                or "none",
                "side_factors_source": self.laws.source,
                "side_factors_as_of": self.laws.as_of,
            },
            funding=tuple(rows),
            marks=tuple(x.id for x in self.marks),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One block that is asked for, with the prices of the base: draws of any purpose have its shape."""

    seed: int
    number: int
    close_log: Array
    hours: float

    @property
    def n_steps(self) -> int:
        return int(self.close_log.shape[0])

    @property
    def n_paths(self) -> int:
        return int(self.close_log.shape[2])

    def moves(self, row: int) -> Array:
        """Return the log moves of a factor, [step, path]."""
        return np.asarray(np.diff(self.close_log[:, row], axis=0, prepend=0.0), dtype=np.float64)

    def uniform(self, purpose: str) -> Array:
        return stream(self.seed, purpose, self.number).random((self.n_steps, self.n_paths))

    def normal(self, purpose: str) -> Array:
        return stream(self.seed, purpose, self.number).standard_normal((self.n_steps, self.n_paths))


def _accumulate(noise: Array, persistence: float) -> None:
    """Turn noise [step, path] into a first-order autoregression that starts at 0, in place."""
    for step in range(1, noise.shape[0]):
        noise[step] += persistence * noise[step - 1]


def _spread(persistence: float, periods: float) -> float:
    """Return the deviation that several periods of a first-order autoregression add, over that of one period."""
    if periods == 1.0:
        return 1.0
    if persistence == 1.0:
        return math.sqrt(periods)
    return math.sqrt((1.0 - persistence ** (2.0 * periods)) / (1.0 - persistence**2))
