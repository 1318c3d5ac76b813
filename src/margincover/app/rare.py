"""The rare run of ``cover``: its settings, what provenance says of it, and when the reader is warned."""

from __future__ import annotations

from collections.abc import Sequence

from margincover.coverage.rare import RareEstimate, RareSettings, measure_rare
from margincover.model.book import Tolerance
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioGenerator
from margincover.paths.engine import PathSettings, Progress

# Fewer than this many plain paths' worth beyond RC: the interval itself is a guess.
FEWEST_EFFECTIVE = 30.0


def rare_estimates(
    pools: Sequence[MarginPool],
    generator: ScenarioGenerator,
    tolerance: Tolerance,
    run: PathSettings,
    *,
    progress: Progress | None = None,
) -> tuple[RareEstimate, ...]:
    """Return the tail figures of every pool, with the paths, seed and threads of the plain run."""
    settings = RareSettings(n_paths=run.n_paths, seed=run.seed, threads=run.threads, chunk_blocks=run.chunk_blocks)
    return measure_rare(pools, generator, tolerance, settings, progress=progress)


def rare_settings(rare: Sequence[RareEstimate] | None) -> dict[str, str]:
    """Return how the tail figures were made, for provenance."""
    if not rare:
        return {}
    ways = dict.fromkeys(f"{each.method}, {each.n_paths:,} paths" for each in rare)
    return {"rare": "; ".join(ways), "rare_effective_paths": ", ".join(f"{e.pool_id} {e.effective:.0f}" for e in rare)}


def rare_warnings(rare: Sequence[RareEstimate]) -> list[str]:
    """Return the warning for each pool whose tail rests on too little."""
    return [
        f"{each.pool_id}: the tail rests on the worth of {each.effective:.0f} paths beyond RC ({each.method}): "
        "raise --paths"
        for each in rare
        if each.effective < FEWEST_EFFECTIVE
    ]
