"""The cascade of isolated accounts along many paths, adding up debts and fees by period."""

from __future__ import annotations

import numpy as np
from numba import njit

from margincover.clearing.cascade_kernels import isolated_round


@njit(nogil=True, cache=True, error_model="numpy")
def isolated_periods(index, ends, sides, market, rule):
    """Run a cascade along each row of index [path, step]; return [3, period, path]: debts, fees, steps cut.

    ``ends`` [period] are the steps at which periods end, the last the number of steps. There is no fund.
    """
    n_paths = index.shape[0]
    out = np.zeros((3, ends.shape[0], n_paths))
    for path in range(n_paths):
        places, displacement, held, period = np.zeros(2, np.int64), 0.0, np.zeros(1), 0
        for step in range(index.shape[1]):
            if step == ends[period]:
                period += 1
            money = np.zeros(9)
            now, count, is_open = index[path, step], 0, True
            while is_open and count < rule.max_rounds:
                displacement, is_open = isolated_round(sides, places, (now, displacement), market, rule, money, held)
                count += is_open
            displacement *= 1.0 - rule.recovery
            out[0, period, path] += money[6]
            out[1, period, path] += money[4]
            out[2, period, path] += is_open
    return out
