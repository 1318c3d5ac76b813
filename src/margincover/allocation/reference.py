"""Plain twins of the compiled loops, written from the definitions; the re-check uses them and no solver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margincover.allocation.needs import Needs, Placements, VenuePath
from margincover.numeric.arrays import PathVector, Vector


def covers(needs: Needs, placements: Placements, amount_usd: Vector) -> tuple[VenuePath, VenuePath]:
    """Return what the amounts are worth at the early and at the total maximum, two arrays [venue, path]."""
    shape = needs.total_usd.shape
    early, total = np.zeros(shape), np.zeros(shape)
    for place, venue in enumerate(placements.venue):
        early[venue] += amount_usd[place] * (1.0 if needs.early_weight is None else needs.early_weight[place])
        total[venue] += amount_usd[place] * (1.0 if needs.total_weight is None else needs.total_weight[place])
    return early, total


def receivable(needs: Needs) -> VenuePath:
    """Return the most that can arrive at each venue, array [venue, path], infinite where nothing limits it."""
    if needs.receivable_usd is None:
        return np.full(needs.total_usd.shape, np.inf)
    return needs.receivable_usd


def levels(
    needs: Needs, placements: Placements, amount_usd: Vector, reserve_usd: float, venues: Sequence[int]
) -> PathVector:
    """Return the least level, array [path], to which transfers bring the largest shortfall over ``venues``.

    Notes
    -----
    The least t with early - cover <= t at each venue and the sum over venues of (total - cover - t)+ within the
    reserve, no venue receiving more than it can. Sharing a reserve r over the k largest shortfalls brings them to
    (their sum - r) / k; the least possible level is the largest of these over k. At t = 0 it is the question whether
    the path is survived.
    """
    early, total = covers(needs, placements, amount_usd)
    rows = list(venues)
    soon, late, cap = (needs.early_usd - early)[rows], (needs.total_usd - total)[rows], receivable(needs)[rows]
    cap = cap if reserve_usd > 0.0 else np.zeros_like(cap)
    floor = np.maximum(soon.max(axis=0), (late - cap).max(axis=0))
    ordered = -np.sort(-np.where(cap > 0.0, late, -np.inf), axis=0)
    share = np.arange(1, len(rows) + 1)[:, np.newaxis]
    shared: PathVector = ((np.cumsum(ordered, axis=0) - reserve_usd) / share).max(axis=0)
    return np.asarray(np.maximum(floor, shared), dtype=np.float64)


def transfers(
    needs: Needs, placements: Placements, amount_usd: Vector, reserve_usd: float, saving: Vector
) -> tuple[VenuePath, VenuePath]:
    """Return transfers and liquidated shortfall, two arrays [venue, path], sending the reserve where it saves most."""
    early, total = covers(needs, placements, amount_usd)
    soon = np.maximum(needs.early_usd - early, 0.0)
    late = np.maximum(needs.total_usd - total, 0.0)
    useful = np.minimum(np.maximum(late - soon, 0.0), receivable(needs))
    sent = np.zeros_like(late)
    left = np.full(needs.n_paths, reserve_usd)
    for venue in np.argsort(-saving, kind="stable"):
        if saving[venue] > 0.0:
            sent[venue] = np.minimum(useful[venue], left)
            left = left - sent[venue]
    return sent, np.maximum(late - sent, soon)
