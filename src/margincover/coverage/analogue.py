"""Nearest historical analogue of a move: the stretch of a packaged episode nearest to it by direction and size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.model.stress import Analogue, StressScenario
from margincover.numeric.arrays import Vector
from margincover.scenarios.joint_moves import JointLaw
from margincover.units import SECONDS_PER_HOUR


def nearest_analogue(moves: dict[str, float], law: JointLaw, episodes: Sequence[StressScenario]) -> Analogue | None:
    """Return the stretch of an episode, at most the law's horizon long, that is nearest to a move.

    Parameters
    ----------
    moves : mapping factor -> log move
        Coins only. An episode is compared on the coins that it holds, at least half of these.
    law : JointLaw
        Distances are measured under its covariance, so that a large move of a calm coin counts for more.
    episodes : sequence of StressScenario

    Returns
    -------
    Analogue or None
        None where no episode holds half of the coins, or the move is nil.

    Notes
    -----
    A stretch begins at the close of an hour (or the start) and ends at the low, high or close of a later one. The
    stretch with the smallest distance to the move, as a share of the move's own size on the coins compared, is taken.
    """
    best: tuple[float, Analogue] | None = None
    steps = max(1, law.horizon_s // SECONDS_PER_HOUR)
    for episode in episodes:
        factors = tuple(name for name in moves if name in episode.factors)
        if 2 * len(factors) < len(moves) or not factors:
            continue
        found = _nearest_in(episode, factors, np.array([moves[name] for name in factors]), law, steps)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return None if best is None else best[1]


def _nearest_in(
    episode: StressScenario, factors: tuple[str, ...], move: Vector, law: JointLaw, steps: int
) -> tuple[float, Analogue] | None:
    inverse = np.linalg.inv(np.linalg.cholesky(law.part(factors)))
    target = inverse @ move
    size = float(np.linalg.norm(target))
    if size == 0.0:
        return None
    rows = [episode.factors.index(name) for name in factors]
    ends = np.stack([np.log(table[:, rows]) for table in (episode.low, episode.high, episode.close)]) @ inverse.T
    begins = np.concatenate([np.zeros((1, len(rows))), ends[2][:-1]])
    # [begin, extreme, end, factor]: every stretch of the episode at once.
    stretch = ends[None, :, :, :] - begins[:, None, None, :]
    distance = np.linalg.norm(stretch - target, axis=3) / size
    hours = np.arange(episode.n_hours)
    span = hours[None, :] - hours[:, None]
    distance = np.where(((span >= 0) & (span < steps))[:, None, :], distance, np.inf)
    begin, extreme, end = (int(x) for x in np.unravel_index(int(np.argmin(distance)), distance.shape))
    found = stretch[begin, extreme, end]
    length = float(np.linalg.norm(found))
    cosine = float(found @ target) / (length * size) if length > 0.0 else 0.0
    return float(distance[begin, extreme, end]), Analogue(
        episode=episode.name,
        title=episode.title,
        from_hour=begin,
        to_hour=end + 1,
        cosine=max(-1.0, min(1.0, cosine)),
        size_ratio=length / size,
        factors=factors,
    )
