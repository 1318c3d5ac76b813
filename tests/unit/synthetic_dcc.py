"""Moves and bars made by a corrected DCC of stated parameters."""

from __future__ import annotations

import numpy as np

from margincover.model.scenario import History
from margincover.numeric.dcc_recursion_reference import correlation_of, next_q
from tests.unit.synthetic_bars import bars_of


def dcc_moves(
    *, a: float, b: float, target: np.ndarray, n_bars: int, seed: int, nu: float | None = None, burn_in: int = 200
) -> np.ndarray:
    """Standardised moves [bar, factor], normal or Student-t of unit variance, of a corrected DCC."""
    rng = np.random.default_rng(seed)
    q = target
    moves = np.empty((n_bars + burn_in, target.shape[0]))
    for t in range(moves.shape[0]):
        scale = 1.0 if nu is None else np.sqrt((nu - 2.0) / rng.chisquare(nu))
        moves[t] = scale * (np.linalg.cholesky(correlation_of(q)) @ rng.standard_normal(target.shape[0]))
        q = next_q(q, moves[t], target, a, b)
    return moves[burn_in:]


def history_of_changing_correlation(
    *, n_bars: int = 3_000, names: tuple[str, ...] = ("BTC", "ETH"), missing: tuple[int, ...] = (), seed: int = 5
) -> History:
    """Hourly bars at 0.6 % an hour, long-run correlation 0.6 that moves with a = 0.06, b = 0.92; t6 innovations."""
    target = np.full((len(names), len(names)), 0.6) + 0.4 * np.eye(len(names))
    moves = 0.006 * dcc_moves(a=0.06, b=0.92, target=target, n_bars=n_bars, seed=seed, nu=6.0)
    rng = np.random.default_rng(seed + 1)
    factors = {}
    for f, name in enumerate(names):
        close = np.cumsum(moves[:, f])
        opened = np.concatenate(([0.0], close[:-1]))
        beyond = 0.003 * rng.standard_exponential((2, n_bars))
        high, low = np.maximum(opened, close) + beyond[0], np.minimum(opened, close) - beyond[1]
        table = 100.0 * np.exp(np.stack((opened, high, low, close)))
        if f == 1:
            table[:, list(missing)] = np.nan
        factors[name] = bars_of(name, table)
    return History(factors=factors, step_s=3_600, sha256="changing correlation")
