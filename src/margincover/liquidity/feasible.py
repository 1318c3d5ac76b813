"""Can every need be met? Cumulative needs of accounts and debts against what sources can have brought there by then.

Sources reach some places and not others, up to limits; one dollar goes to one place. Needs can all be met exactly
when for every set of places what can reach the set is at least what the set needs (max-flow, min-cut). That says with
the best placement: a desk that sends money to the wrong venue first does worse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError

# 4,096 sets; a path on which more places need money at once counts as not met, which is on the safe side.
MAX_PLACES = 12
# Amounts below it are rounding, not needs.
CENT = 0.01

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSupply:
    """Sources along paths at one time.

    Parameters
    ----------
    way_usd : array [source, place]
        What can have reached each place at the prices of ``as_of``.
    total_usd : array [source]
    scale : array [source, path]
        Price of the source over its price at ``as_of``.
    ceiling_usd : array [source, path]
        Most that the source has on the path, infinite where only ``total_usd`` limits it.
    """

    way_usd: Array
    total_usd: Array
    scale: Array
    ceiling_usd: Array

    def reaching(self, places: NDArray[np.int64], paths: NDArray[np.int64]) -> Array:
        """Return what can reach a set of places together, [path]."""
        most = np.minimum(self.total_usd, self.way_usd[:, places].sum(axis=1))
        used = most > 0.0
        amounts = most[used, None] * self.scale[np.ix_(used, paths)]
        return np.asarray(np.minimum(amounts, self.ceiling_usd[np.ix_(used, paths)]).sum(axis=0), dtype=np.float64)


def unmet(need_usd: Array, supply: PathSupply) -> NDArray[np.bool_]:
    """Return [path] whether some set of places needs more than can reach it.

    Parameters
    ----------
    need_usd : array [place, path]
        Cumulative needs, >= 0 after clipping; amounts below a cent are no need.
    supply : PathSupply

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    n_places, n_paths = need_usd.shape
    if supply.way_usd.shape[1] != n_places or supply.scale.shape[1] != n_paths:
        raise InputError(
            f"was {supply.way_usd.shape} and {supply.scale.shape}", field="supply", allowed=f"{n_places} places"
        )
    needs = np.maximum(need_usd, 0.0)
    result = np.zeros(n_paths, dtype=np.bool_)
    for places, paths in _by_needy_places(needs > CENT):
        if places.size > MAX_PLACES:
            result[paths] = True
            continue
        for subset in _subsets(places):
            open_paths = paths[~result[paths]]
            if not open_paths.size:
                break
            short = needs[np.ix_(subset, open_paths)].sum(axis=0) > supply.reaching(subset, open_paths) + CENT
            result[open_paths[short]] = True
    return result


def _by_needy_places(needy: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (places that need money, paths on which exactly these do), leaving out paths without a need."""
    patterns, where = np.unique(needy, axis=1, return_inverse=True)
    where = np.asarray(where).reshape(-1)
    for number in range(patterns.shape[1]):
        places = np.flatnonzero(patterns[:, number])
        if places.size:
            yield places, np.flatnonzero(where == number)


def _subsets(places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield every set of places that is not empty, single places first."""
    masks = sorted(range(1, 1 << places.size), key=lambda mask: (mask.bit_count(), mask))
    for mask in masks:
        yield places[[k for k in range(places.size) if mask >> k & 1]]
