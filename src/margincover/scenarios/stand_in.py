"""Factors without a history of their own, moved by another factor times a stated multiple."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from margincover.model.book import Proxy
from margincover.model.scenario import ScenarioBlock, ScenarioGenerator, ScenarioInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """A generator with further factors, each a multiple of the log moves of one that the base generator makes.

    Parameters
    ----------
    base : ScenarioGenerator
    factors : sequence of str
        Factors to make, in order; each is a factor of ``base`` or a key of ``proxies``.
    proxies : mapping factor -> Proxy
        Multiples are > 0.

    Notes
    -----
    A multiple of a log price that is a martingale is not one itself: the mean of exp(m x) is corrected by
    (m - m^2) / 2 times the step variance, which is exact for normal moves given that variance.
    """

    base: ScenarioGenerator
    factors: Sequence[str]
    proxies: Mapping[str, Proxy]
    info: ScenarioInfo = field(init=False)

    def __post_init__(self) -> None:
        source = self.base.info
        rows = self._rows()
        object.__setattr__(
            self,
            "info",
            ScenarioInfo(
                factors=tuple(self.factors),
                step_s=source.step_s,
                loading=source.loading[rows],
                correlation=source.correlation[np.ix_(rows, rows)],
                method=source.method,
                label=source.label,
                params={**source.params, "stand_ins": self._text()},
                input_sha256=source.input_sha256,
                as_of=source.as_of,
                warnings=(*source.warnings, f"stand-ins: {self._text()}"),
                not_modelled=source.not_modelled,
            ),
        )

    def block(self, *, seed: int, number: int, n_steps: int, n_paths: int) -> ScenarioBlock:
        """Return block ``number`` of joint paths; see ``model.scenario.ScenarioGenerator``."""
        made = self.base.block(seed=seed, number=number, n_steps=n_steps, n_paths=n_paths)
        rows = self._rows()
        multiple = np.array([self.proxies[f].multiple if f in self.proxies else 1.0 for f in self.factors])[:, None]
        variance = made.step_variance[:, rows]
        shift = np.cumsum(0.5 * (multiple - multiple**2) * variance, axis=0)
        before = np.concatenate([np.zeros_like(shift[:1]), shift[:-1]])
        close = made.close_log[:, rows] * multiple + shift
        # Both ends of the step belong to its extremes, whichever way the correction points.
        low = np.minimum(made.low_log[:, rows] * multiple + np.minimum(shift, before), close)
        high = np.maximum(made.high_log[:, rows] * multiple + np.maximum(shift, before), close)
        return ScenarioBlock(close_log=close, low_log=low, high_log=high, step_variance=variance * multiple**2)

    def _rows(self) -> list[int]:
        names = list(self.base.info.factors)
        return [names.index(self.proxies[f].factor if f in self.proxies else f) for f in self.factors]

    def _text(self) -> str:
        used = [f for f in self.factors if f in self.proxies]
        return ", ".join(f"{f} = {self.proxies[f].multiple:g} x {self.proxies[f].factor}" for f in used)
