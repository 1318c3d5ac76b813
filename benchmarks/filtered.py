"""Nanoseconds per price of filtered historical simulation, against NumPy and against `arch`, interleaved in one run.

    python benchmarks/filtered.py [--rounds 7]

168 hourly steps, 20 coins, a pool of two years of hourly bars. A price is the close of one step of one coin on a path;
low, high and step variance come with it and are not counted.

- "margincover" is the product's generator as coverage uses it: blocks of 256 paths, draws included, one or two threads.
- "numpy, all" does the same work with the same draws: closes, lows, highs, variances, hours, both Pareto tails, limit
  and convexity; vectorised over the paths of a coin, with everything that does not change taken out of the loop.
- "numpy, closes" is the textbook: one standardised move per step through the recursion, no bar, no tail, no limit.
- "arch" forecasts one coin by the package's own simulation and bootstrap, from a model with the same parameters.

Processor time, so that other work on the machine disturbs less; wall time for two threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from arch import arch_model

from margincover.model.scenario import FactorHistory, History
from margincover.numeric.recursions import CONVEXITY_SPACING
from margincover.numeric.rng import stream
from margincover.numeric.volatility import MAX_STEP_SIGMA
from margincover.scenarios.filtered import FilteredHistorical
from margincover.scenarios.seasonality import hour_buckets

N_STEPS, N_PATHS, N_COINS, N_BARS = 168, 256, 20, 17_520
MAX_VARIANCE = MAX_STEP_SIGMA**2


def history() -> History:
    """Two years of hourly bars of 20 coins: one common t4 shock and one of each coin, GARCH(0.08, 0.9)."""
    rng = np.random.default_rng(1)
    shock = 0.8 * rng.standard_t(4, N_BARS) + 0.6 * rng.standard_t(4, (N_COINS, N_BARS))
    shock /= np.sqrt(2.0)
    variance, moves = np.full(N_COINS, 5e-5), np.empty((N_COINS, N_BARS))
    for t in range(N_BARS):
        moves[:, t] = np.sqrt(variance) * shock[:, t]
        variance = 5e-5 * 0.02 + 0.08 * moves[:, t] ** 2 + 0.90 * variance
    wick = 0.004 * rng.random((2, N_COINS, N_BARS))
    factors = {}
    for f in range(N_COINS):
        close = 100.0 * np.exp(np.cumsum(moves[f]))
        opened = np.concatenate(([100.0], close[:-1]))
        name = f"COIN{f}"
        factors[name] = FactorHistory(
            factor=name,
            start_utc_ns=1_672_617_600 * 1_000_000_000,
            step_s=3_600,
            open=opened,
            high=np.maximum(opened, close) * (1.0 + wick[0, f]),
            low=np.minimum(opened, close) * (1.0 - wick[1, f]),
            close=close,
            source="synthetic",
        )
    return History(factors=factors, step_s=3_600, sha256="synthetic")


class Numpy:
    """The same simulation in NumPy: reads what the generator fitted, shares none of its code."""

    def __init__(self, fitted: FilteredHistorical) -> None:
        self.fitted = fitted
        self.starts, self.block_bars = fitted._starts, fitted.block_bars
        # columns of their own: a look-up in one array of doubles is the fastest that NumPy has
        self.bars = np.ascontiguousarray(fitted._bars[:, :, :3].astype(np.float64).transpose(0, 2, 1))
        self.cell = np.nan_to_num(fitted._bars[:, :, 3]).astype(np.int64)
        buckets = hour_buckets(start_utc_ns=fitted._end_utc_ns, step_s=3_600, n_steps=N_STEPS)
        self.season = fitted._season[:, buckets]

    def draws(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Bars and places within their ranks [step, path], the generator's own."""
        n_blocks = -(-N_STEPS // self.block_bars)
        uniform = stream(1, "filtered.blocks", number).random((n_blocks, N_PATHS))
        chosen = self.starts[(uniform * self.starts.size).astype(np.int64)]
        index = (chosen[:, None] + np.arange(self.block_bars)[:, None]) % self.bars.shape[2]
        within = 1.0 - stream(1, "filtered.tails", number).random((N_STEPS, N_PATHS))
        return index.reshape(-1, N_PATHS)[:N_STEPS], within

    def everything(self, number: int) -> np.ndarray:
        """Close, low, high and variance [4, step, coin, path]."""
        index, within = self.draws(number)
        out = np.empty((4, N_STEPS, N_COINS, N_PATHS))
        for f in range(N_COINS):
            self._coin(f, index, within, out[:, :, f])
        return out

    def _coin(self, f: int, index: np.ndarray, within: np.ndarray, out: np.ndarray) -> None:
        omega, alpha, gamma, beta, h0, limit, spread = self.fitted._garch[f]
        close, low, high = (np.take(column, index) for column in self.bars[f])
        self._splice(f, index, within, close, low, high)
        table, nodes = self.fitted._convexity[f], np.arange(self.fitted._convexity.shape[1]) * CONVEXITY_SPACING
        h, x = np.full(N_PATHS, h0), np.zeros(N_PATHS)
        for t in range(N_STEPS):
            hour = self.season[f, t]
            sigma = np.sqrt(h) * hour
            drift = -(np.interp(sigma, nodes, table) * sigma + self.fitted._shift[f, t % self.block_bars]) * sigma
            move = np.clip(sigma * close[t], -limit, limit)
            down, up = np.maximum(sigma * low[t], -limit), np.minimum(sigma * high[t], limit)
            y = x + move + drift
            base = x + drift
            out[0, t] = y
            np.minimum(base + down, np.minimum(x, y), out=out[1, t])
            np.maximum(base + up, np.maximum(x, y), out=out[2, t])
            np.multiply((up - down) ** 2, spread, out=out[3, t])
            e = move / hour
            h = np.minimum(omega + np.where(e < 0.0, alpha + gamma, alpha) * e * e + beta * h, MAX_VARIANCE)
            x = y

    def _splice(self, f: int, index: np.ndarray, within: np.ndarray, *bars: np.ndarray) -> None:
        close, low, high = (each.reshape(-1) for each in bars)
        number = np.take(self.cell[f], index.reshape(-1))
        hit = np.flatnonzero(number)
        cell, u = self.fitted._cells[f][number[hit]], within.reshape(-1)[hit]
        stretch = []
        for side, size in ((0, -low[hit]), (1, high[hit])):
            a, b = cell[:, 2 * side], cell[:, 2 * side + 1]
            factor = a + b * u
            exact = a < 0.0
            threshold, scale, shape = self.fitted._tails[f, side]
            beyond = (b[exact] - a[exact] * u[exact]) ** -shape
            factor[exact] = (threshold + scale * (beyond - 1.0) / shape) / size[exact]
            stretch.append(factor)
        close[hit] *= np.where(close[hit] < 0.0, *stretch)
        low[hit] *= stretch[0]
        high[hit] *= stretch[1]

    def closes(self, number: int) -> np.ndarray:
        """Closes [step, coin, path] alone."""
        index, _ = self.draws(number)
        out = np.empty((N_STEPS, N_COINS, N_PATHS))
        for f in range(N_COINS):
            omega, alpha, gamma, beta, h0, _, _ = self.fitted._garch[f]
            z = np.take(self.bars[f, 0], index)
            h = np.full(N_PATHS, h0)
            for t in range(N_STEPS):
                e = np.sqrt(h) * z[t]
                out[t, f] = e
                h = np.minimum(omega + np.where(e < 0.0, alpha + gamma, alpha) * e * e + beta * h, MAX_VARIANCE)
            np.cumsum(out[:, f], axis=0, out=out[:, f])
        return out


def arch_forecast(fitted: FilteredHistorical, bars: History) -> Callable[[str], object]:
    """One coin, 168 steps, by arch; parameters as fitted here."""
    close = bars.factors["COIN0"].close
    moves = 100.0 * np.diff(np.log(close))
    omega, alpha, gamma, beta = fitted._garch[0, :4]
    model = arch_model(moves, mean="Zero", vol="GARCH", p=1, o=1, q=1, dist="normal", rescale=False)
    result = model.fix([omega * 1e4, alpha, gamma, beta])
    rng = np.random.default_rng(1)

    def run(method: str) -> object:
        more = {"rng": lambda size: rng.standard_normal(size)} if method == "simulation" else {}
        return result.forecast(horizon=N_STEPS, method=method, simulations=2_000, reindex=False, **more)

    return run


def main() -> None:
    """Print ns per price, ratios, and the largest difference of a log price."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    bars = history()
    fitted = FilteredHistorical.fit(bars, tuple(bars.factors))
    plain, forecast = Numpy(fitted), arch_forecast(fitted, bars)

    def block(number: int) -> np.ndarray:
        made = fitted.block(seed=1, number=number, n_steps=N_STEPS, n_paths=N_PATHS)
        return np.stack([made.close_log, made.low_log, made.high_log, made.step_variance])

    difference = float(np.abs(block(0) - plain.everything(0)).max())

    def two_threads(number: int) -> None:
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [
                pool.submit(fitted.block, seed=1, number=4 * number + k, n_steps=N_STEPS, n_paths=N_PATHS)
                for k in range(4)
            ]
            for job in jobs:
                job.result()

    prices = N_STEPS * N_COINS * N_PATHS
    runs: dict[str, tuple[Callable[[int], object], float, Callable[[], float]]] = {
        "margincover, 1 thread": (
            lambda number: fitted.block(seed=1, number=number, n_steps=N_STEPS, n_paths=N_PATHS),
            prices,
            time.process_time,
        ),
        "margincover, 2 threads (wall)": (two_threads, 4 * prices, time.perf_counter),
        "numpy, all": (plain.everything, prices, time.process_time),
        "numpy, closes": (plain.closes, prices, time.process_time),
        "arch simulation": (lambda _: forecast("simulation"), N_STEPS * 2_000, time.process_time),
        "arch bootstrap": (lambda _: forecast("bootstrap"), N_STEPS * 2_000, time.process_time),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, (run, size, clock) in runs.items():
            start = clock()
            run(number)
            times[name].append((clock() - start) / size * 1e9)
    unit = {name: statistics.median(values[1:]) for name, values in times.items()}  # the first round warms up
    own = unit["margincover, 1 thread"]
    for name, value in unit.items():
        print(f"{name:30} {value:8.1f} ns per price, {value / own:6.2f} times margincover on 1 thread")
    print(f"largest difference from NumPy of a log price or variance {difference:.1e}")


if __name__ == "__main__":
    main()
