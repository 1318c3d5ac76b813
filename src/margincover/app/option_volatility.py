"""Implied volatility along paths: give pools their law, and say which one, from where, and how sound its smiles are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioGenerator
from margincover.model.spot_volatility import SpotVolatility
from margincover.scenarios.implied import packaged_spot_volatility
from margincover.scenarios.moved_surfaces import MovedCheck, moved_check
from margincover.units import SECONDS_PER_DAY

# States at which moved smiles are looked at: quantiles of the coin at parts of the horizon, from one block of paths.
_QUANTILES = (0.005, 0.05, 0.25, 0.5, 0.75, 0.95, 0.995)
_PARTS = 4
_PATHS = 256


def with_volatility(pools: Sequence[MarginPool], rule: str | None = None) -> list[MarginPool]:
    """Return pools whose options' implied volatility moves along paths by the packaged law under a rule."""
    law = packaged_spot_volatility(rule)
    return [replace(pool, spot_volatility=law) if pool.options.count else pool for pool in pools]


def volatility_notes(pools: Sequence[MarginPool]) -> list[str]:
    """Return what the paths leave out of implied volatility, where a pool holds options."""
    if not any(pool.options.count for pool in pools):
        return []
    return [
        "smiles of their own for coins other than BTC: one law moves the implied volatility of every coin; the level "
        "that a coin's move does not explain is drawn once a path and is the same for all coins; the skew moves with "
        "the coin alone"
    ]


def volatility_settings(
    pools: Sequence[MarginPool], generator: ScenarioGenerator, *, horizon_s: int, seed: int
) -> dict[str, str]:
    """Return rule, source and soundness of implied volatility for the provenance; nothing without options."""
    law = next((pool.spot_volatility for pool in pools if pool.spot_volatility is not None), None)
    if law is None:
        return {}
    return {
        "implied volatility": f"{law.rule.value}, {len(law.levels)} residual levels; {law.source}",
        "smiles along the paths": _check_text(moved_smiles(pools, law, generator, horizon_s=horizon_s, seed=seed)),
    }


def moved_smiles(
    pools: Sequence[MarginPool], law: SpotVolatility, generator: ScenarioGenerator, *, horizon_s: int, seed: int
) -> MovedCheck:
    """Return the arbitrage of all pools' smiles, moved to where one block of the paths goes up to the horizon."""
    info = generator.info
    n_steps = max(horizon_s // info.step_s, 1)
    close = generator.block(seed=seed, number=0, n_steps=n_steps, n_paths=_PATHS).close_log
    total = MovedCheck()
    for pool in pools:
        for number, name in enumerate(pool.factors):
            if not (pool.options.factor_index == number).any():
                continue
            path = close[:, list(info.factors).index(name)]
            states = [
                (float(x), (step + 1) * info.step_s / SECONDS_PER_DAY)
                for step in sorted({max(n_steps * part // _PARTS, 1) - 1 for part in range(1, _PARTS + 1)})
                for x in np.quantile(path[step], _QUANTILES)
            ]
            total = total + moved_check(pool, law, factor=number, states=states)
    return total


def _check_text(check: MovedCheck) -> str:
    return (
        f"{check.smiles} looked at where the paths go: {check.butterflies} with butterfly arbitrage, "
        f"{check.calendars} with calendar arbitrage"
    )
