"""When models are fitted anew: at instants fixed by the calendar, so that a forecast never depends on who asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from margincover.scenarios.forecast.coin_bars import HOUR_NS, CoinBars

REFIT_HOURS = 14 * 24
_REFIT_NS = REFIT_HOURS * HOUR_NS


def refits(bars: CoinBars, count: NDArray[np.int64], *, min_bars: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (bars known at the fit, positions of the forecasts that use it), every forecast once.

    Parameters
    ----------
    count : array [window]
        Bars closed at each forecast, each at least ``min_bars``.
    min_bars : int
        Bars that a fit needs; forecasts before the first regular fit use a fit at the first bar that has them.

    Notes
    -----
    Fits take place at whole multiples of 14 days since the epoch. A coin too young at the last of them is fitted when
    it reaches ``min_bars``.
    """
    closes = bars.closes_at(count)
    at_fit = bars.closed_by(closes // _REFIT_NS * _REFIT_NS)
    known = np.maximum(at_fit, min_bars)
    for fit in np.unique(known):
        yield int(fit), np.flatnonzero(known == fit)
