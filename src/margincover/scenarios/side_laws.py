"""Laws of what moves beside coin prices: perpetual funding, marks against their index, stable coins.

The packaged laws stand in ``data/side_factors.json``; ``tools/side_factors.py`` makes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.numeric.arrays import Vector, frozen

OTHER = "other"
_NODES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Distribution of standardised residuals by its quantiles, read by straight lines: mean 0, variance 1.

    Probabilities are whole multiples of ``1 / _NODES``, so that a draw finds its two quantiles without a search.
    """

    probability: Vector
    value: Vector
    _low: Vector = field(init=False, repr=False, compare=False)
    _step: Vector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        probability = frozen(self.probability, name="side.probabilities", ndim=1)
        value = frozen(self.value, name="side.quantiles", ndim=1)
        if probability.shape != value.shape or probability[0] != 0.0 or probability[-1] != 1.0:
            raise InputError(
                "did not run from 0 to 1, a value each", field="side.quantiles", allowed="quantiles of 0..1"
            )
        if (np.diff(probability) <= 0.0).any() or (np.diff(value) < 0.0).any():
            raise InputError("did not rise", field="side.quantiles", allowed="rising quantiles")
        if np.abs(probability * _NODES - np.round(probability * _NODES)).max() > 1e-6:
            raise InputError("lay between the nodes", field="side.probabilities", allowed=f"multiples of 1 / {_NODES}")
        object.__setattr__(self, "probability", probability)
        object.__setattr__(self, "value", value)
        table = np.interp(np.arange(_NODES + 1) / _NODES, probability, value)
        object.__setattr__(self, "_low", table)
        object.__setattr__(self, "_step", np.diff(table))

    def of(self, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the residuals of uniform draws in [0, 1), same shape."""
        place = uniform * _NODES
        node = place.astype(np.int32)
        place -= node
        place *= self._step[node]
        place += self._low[node]
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLaw:
    """Log of mark over index of one coin at one venue, hour by hour, as a deviation from its value at the start.

    With r the log move of the coin in the hour: ``persistence x before + response x r + (calm + move x |r|) z``, z the
    residual; never beyond ``largest`` either way.
    """

    persistence: float
    response: float
    calm_deviation: float
    move_deviation: float
    largest: float
    residuals: Residuals

    def __post_init__(self) -> None:
        _require_persistence(self.persistence, "mark.persistence")
        _require_sizes("mark", self, ("calm_deviation", "move_deviation", "largest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingLaw:
    """Funding of one coin per interval of eight hours, as a fraction of notional, > 0 means longs pay.

    ``mean + persistence x (before - mean) + response x r + deviation x z`` with r the log move of the coin over the
    interval; ``clamp`` is the venue's limit where the data show one.
    """

    persistence: float
    response: float
    deviation: float
    mean: float
    residuals: Residuals
    clamp: float | None = None

    def __post_init__(self) -> None:
        _require_persistence(self.persistence, "funding.persistence")
        _require_sizes("funding", self, ("deviation",))


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpLaw:
    """Breaks of a peg: chance per hour in calm and under stress, mean of the exponential log size, hours to halve."""

    calm_per_hour: float
    stress_per_hour: float
    mean_log: float
    half_life_hours: float

    def __post_init__(self) -> None:
        _require_sizes("stable", self, ("calm_per_hour", "stress_per_hour", "mean_log"))
        if not self.half_life_hours > 0.0:
            raise InputError(f"was {self.half_life_hours}", field="stable.half_life_hours", allowed="a number > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class StableLaw:
    """Log price of a stable coin over its price in the book: a small mean-reverting noise and breaks of the peg.

    ``common`` breaks are the same at every venue; ``local`` ones happen at one venue alone and only to coins that are
    not in ``fiat_backed``. The market is under stress while it stands ``stress_drop`` below its level of
    ``stress_hours`` before. No price falls further than ``largest_log``.
    """

    fiat_backed: frozenset[str]
    deviation: float
    deviation_other: float
    common: JumpLaw
    local: JumpLaw
    stress_drop: float
    stress_hours: int
    largest_log: float

    def __post_init__(self) -> None:
        _require_sizes("stable", self, ("deviation", "deviation_other", "stress_drop", "largest_log"))

    def noise(self, asset: str) -> float:
        """Return the standard deviation of the noise in the long run."""
        return self.deviation if asset.upper() in self.fiat_backed else self.deviation_other


@dataclass(frozen=True, slots=True, kw_only=True)
class SideLaws:
    """All laws, by coin; coins without a law of their own take that of ``other``, the widest of those fitted."""

    marks: Mapping[str, MarkLaw]
    funding: Mapping[str, FundingLaw]
    stable: StableLaw
    interval_hours: int
    cap_per_hour: float
    clamp_venue: str
    as_of: str
    source: str

    def mark(self, coin: str) -> MarkLaw:
        """Return the law of a coin's marks."""
        return self.marks.get(coin, self.marks[OTHER])

    def rate(self, coin: str) -> FundingLaw:
        """Return the law of a coin's funding."""
        return self.funding.get(coin, self.funding[OTHER])

    def rate_limit(self, coin: str, venue: str) -> float:
        """Return the largest funding rate per hour of a coin at a venue, either way."""
        clamp = self.rate(coin).clamp
        return self.cap_per_hour if clamp is None or venue != self.clamp_venue else clamp / self.interval_hours

    def stilled(self) -> SideLaws:
        """Return the laws without any motion: marks, pegs and funding stay where they are."""
        quiet = JumpLaw(calm_per_hour=0.0, stress_per_hour=0.0, mean_log=0.0, half_life_hours=1.0)
        return replace(
            self,
            marks={
                coin: replace(law, response=0.0, calm_deviation=0.0, move_deviation=0.0)
                for coin, law in self.marks.items()
            },
            funding={
                coin: replace(law, response=0.0, persistence=1.0, deviation=0.0) for coin, law in self.funding.items()
            },
            stable=replace(self.stable, deviation=0.0, deviation_other=0.0, common=quiet, local=quiet),
        )


def _require_persistence(value: float, name: str) -> None:
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise InputError(f"was {value}", field=f"side.{name}", allowed="0 to 1")


def _require_sizes(family: str, law: object, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(law, name)
        if not (math.isfinite(value) and value >= 0.0):
            raise InputError(f"was {value}", field=f"side.{family}.{name}", allowed="a finite number >= 0")


def _jump(row: Mapping[str, Any]) -> JumpLaw:
    names = ("calm_per_hour", "stress_per_hour", "mean_log", "half_life_hours")
    return JumpLaw(**{name: float(row[name]) for name in names})


@cache
def packaged_side_laws() -> SideLaws:
    """Return the packaged laws, fitted on Binance and on the depegs of the packaged episodes."""
    file = resources.files("margincover.scenarios").joinpath("data/side_factors.json")
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    grid = table["probabilities"]

    def residuals(row: Mapping[str, Any]) -> Residuals:
        return Residuals(probability=grid, value=row["quantiles"])

    marks = ("persistence", "response", "calm_deviation", "move_deviation", "largest")
    rates = ("persistence", "response", "deviation", "mean")
    stable, funding = table["stable"], table["funding"]
    return SideLaws(
        marks={
            coin: MarkLaw(residuals=residuals(row), **{name: float(row[name]) for name in marks})
            for coin, row in table["mark"].items()
        },
        funding={
            coin: FundingLaw(residuals=residuals(row), clamp=row["clamp"], **{name: float(row[name]) for name in rates})
            for coin, row in funding["laws"].items()
        },
        stable=StableLaw(
            fiat_backed=frozenset(stable["fiat_backed"]),
            common=_jump(stable["common"]),
            local=_jump(stable["local"]),
            stress_hours=int(stable["stress_hours"]),
            **{name: float(stable[name]) for name in ("deviation", "deviation_other", "stress_drop", "largest_log")},
        ),
        interval_hours=int(funding["interval_hours"]),
        cap_per_hour=float(funding["cap_per_hour"]),
        clamp_venue=str(funding["clamp_venue"]),
        as_of=str(table["as_of"]),
        source=str(table["source"]),
    )
