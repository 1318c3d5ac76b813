"""The packaged figures of jumps on stress dates, and the generator made from them."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from typing import Any

import numpy as np

from margincover.errors import InputError
from margincover.model.book import Proxy
from margincover.numeric.draws import Draws
from margincover.numeric.jump_laws import DoubleExponentialJumps, NormalJumps
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.jumps import JumpClock, JumpDiffusion
from margincover.scenarios.request import require_factors

# With a stated volatility the jumps keep their size and the diffusion takes the rest, but no less than this share.
SMALLEST_DIFFUSION_SHARE = 0.5
MAX_PROXY_MULTIPLE = 10.0


class JumpSizes(Enum):
    """Which law the sizes of jumps have."""

    KOU = "kou"
    MERTON = "merton"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFigures:
    """One clock: jumps a year, the double-exponential law and the normal law of the same sizes (log moves)."""

    per_year: float
    up_probability: float
    mean_up: float
    mean_down: float
    mean: float
    deviation: float

    def clock(self, sizes: JumpSizes, *, multiple: float = 1.0) -> JumpClock:
        """Return the clock with one of the laws, sizes times ``multiple``."""
        law: NormalJumps | DoubleExponentialJumps
        if sizes is JumpSizes.MERTON:
            law = NormalJumps(mean=self.mean, deviation=self.deviation)
        else:
            law = DoubleExponentialJumps(
                up_probability=self.up_probability, up_rate=1.0 / self.mean_up, down_rate=1.0 / self.mean_down
            )
        return JumpClock(per_year=self.per_year, sizes=law.scaled(multiple))


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinFigures:
    """One coin: volatility of its diffusion a year, its beta to systemic jumps, and its own clock."""

    diffusion_annual: float
    beta: float
    own: ClockFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpFigures:
    """Figures of all coins, made by ``tools/jumps.py``."""

    systemic: ClockFigures
    coins: Mapping[str, CoinFigures]
    source: str
    as_of: str


def load_jump_figures() -> JumpFigures:
    """Return the packaged figures."""
    text = resources.files("margincover.scenarios").joinpath("data/jumps.toml").read_text(encoding="utf-8")
    return jump_figures_from(text)


def jump_figures_from(text: str) -> JumpFigures:
    """Return the figures in TOML text.

    Raises
    ------
    InputError
        If it does not parse, or a key is missing, unknown or no number.
    """
    try:
        table = tomllib.loads(text)
        unknown = set(table) - {"source", "as_of", "threshold_sigmas", "systemic", "coins"}
        if unknown:
            raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
        return JumpFigures(
            systemic=_clock(table["systemic"]),
            coins={coin: _coin(row) for coin, row in table["coins"].items()},
            source=str(table["source"]),
            as_of=str(table["as_of"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"could not be read: {error!r}", source="jumps", allowed="the keys that tools/jumps.py writes"
        ) from error


def _clock(row: Mapping[str, Any]) -> ClockFigures:
    return ClockFigures(**{name: float(value) for name, value in row.items()})


def _coin(row: Mapping[str, Any]) -> CoinFigures:
    rest = {name: value for name, value in row.items() if name not in ("diffusion_annual", "beta")}
    return CoinFigures(diffusion_annual=float(row["diffusion_annual"]), beta=float(row["beta"]), own=_clock(rest))


def packaged_jumps(
    factors: Sequence[str],
    *,
    calibration: Calibration,
    sizes: JumpSizes = JumpSizes.KOU,
    figures: JumpFigures | None = None,
    volatility_annual: Mapping[str, float] | None = None,
    proxies: Mapping[str, Proxy] | None = None,
    draws: Draws = Draws.INDEPENDENT,
) -> JumpDiffusion:
    """Return the jump diffusion of some coins.

    Parameters
    ----------
    factors : sequence of str
    calibration : Calibration
        Gives the step and the correlation of the diffusion.
    sizes : JumpSizes
    figures : JumpFigures or None
        None takes the packaged ones.
    volatility_annual : mapping of str to float, optional
        Stated volatility of a coin, jumps included, as a fraction: the diffusion takes what the jumps leave of its
        square, and no less than half.
    proxies : mapping of str to Proxy, optional
        Stand-ins: a coin without figures has the diffusion, beta and jump sizes of another times a multiple. It shares
        the diffusion and the systemic jumps of that coin; its own jumps come at times of its own.

    Raises
    ------
    InputError
        For a coin without figures and without stand-in, a bad multiple, or a stated volatility that is not > 0.
    """
    names = require_factors(factors)
    held = figures or load_jump_figures()
    followed = [_followed(name, held, dict(proxies or {})) for name in names]
    places = [calibration.position(base) for base, _ in followed]
    stated = volatility_annual or {}
    sigma = [
        multiple * held.coins[base].diffusion_annual
        if name not in stated
        else _diffusion(name, stated[name], held, base, multiple, sizes)
        for name, (base, multiple) in zip(names, followed, strict=True)
    ]
    made = JumpDiffusion(
        factors=names,
        sigma_annual=sigma,
        correlation=calibration.correlation[np.ix_(places, places)],
        step_s=calibration.step_s,
        systemic=held.systemic.clock(sizes),
        beta=[multiple * held.coins[base].beta for base, multiple in followed],
        own=[held.coins[base].own.clock(sizes, multiple=multiple) for base, multiple in followed],
        draws=draws,
        source=held.source,
        as_of=held.as_of,
        warnings=tuple(
            f"{name} follows {base} times {multiple:g}: its own risk is not modelled"
            for name, (base, multiple) in zip(names, followed, strict=True)
            if name != base
        ),
    )
    return made


def _followed(name: str, held: JumpFigures, proxies: Mapping[str, Proxy]) -> tuple[str, float]:
    """Coin whose figures a factor has, and the multiple."""
    if name in held.coins:
        return name, 1.0
    proxy = proxies.get(name)
    if proxy is None or proxy.factor not in held.coins:
        raise InputError(
            f"no jump figures of {name}; there are those of {', '.join(held.coins)}",
            field="scenario.factors",
            allowed="a coin that has them, or a stand-in for it under `proxies` in the book",
        )
    if not (math.isfinite(proxy.multiple) and 0.0 < proxy.multiple <= MAX_PROXY_MULTIPLE):
        raise InputError(f"multiple was {proxy.multiple}", field=f"proxies.{name}", allowed="a number > 0 and <= 10")
    return proxy.factor, proxy.multiple


def _diffusion(name: str, stated: float, held: JumpFigures, base: str, multiple: float, sizes: JumpSizes) -> float:
    if not (math.isfinite(stated) and stated > 0.0):
        raise InputError(f"was {stated}", field=f"volatility_annual.{name}", allowed="a fraction > 0")
    coin = held.coins[base]
    systemic, own = held.systemic.clock(sizes), coin.own.clock(sizes)
    jumps = systemic.per_year * systemic.sizes.mean_square() * coin.beta**2 + own.per_year * own.sizes.mean_square()
    return math.sqrt(max(stated**2 - jumps * multiple**2, SMALLEST_DIFFUSION_SHARE * stated**2))
