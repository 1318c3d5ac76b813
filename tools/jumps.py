"""Make ``src/margincover/scenarios/data/jumps.toml`` from a folder of hourly prices: the kept origin of its figures.

Usage::

    python tools/jumps.py PRICES [--output FILE]

PRICES holds the folders ``perp_1h`` and ``spot_1h`` with one Parquet file per coin (``ts``, open, high, low, close).

- Window: 2020-01-01 to the last bar. The bar at a seam between spot and perpetual is left out.
- A systemic jump is an hour inside one of the packaged episodes in which BTC closed at least 6 of its hourly standard
  deviations (packaged calibration) away from the hour before. Intensity: their number over the years of the window.
- beta of a coin: median of its log move over BTC's in those hours. With fewer than 10 such hours: the larger of that
  and the median of the other coins.
- A jump of a coin's own is any hour of the window in which its move, less beta times BTC's move where BTC jumped, else
  less its packaged correlation beta times BTC's move, was at least 6 of its own standard deviations.
- Sizes: probability of up, mean up, mean down; mean and deviation of all for the normal law.
- Diffusion: packaged long-run variance less the variance that the jumps bring under the double-exponential law, and no
  less than half of it.
"""

from __future__ import annotations

import argparse
import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from calibrate import COINS, STEP_S, read_coin
from numpy.typing import NDArray

from margincover.model.scenario import FactorHistory
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.scenarios.episodes import load_episodes
from margincover.units import SECONDS_PER_YEAR

DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/margincover/scenarios/data/jumps.toml"
START = datetime(2020, 1, 1, tzinfo=UTC)
THRESHOLD_SIGMAS = 6.0
FEWEST_HOURS = 10
SMALLEST_DIFFUSION_SHARE = 0.5
MARKET = "BTC"

Moves = NDArray[np.float64]


def on_grid(bars: FactorHistory, n_hours: int) -> Moves:
    """Return close-to-close log moves [hour] on the hours since START, NaN where there is none."""
    first = int(bars.start_utc_ns // 1_000_000_000 - START.timestamp()) // STEP_S
    close = np.full(n_hours, np.nan)
    close[first : first + bars.close.size] = bars.close
    return np.diff(np.log(close), prepend=np.nan)


def episode_hours(n_hours: int) -> NDArray[np.bool_]:
    """Return whether each hour since START lies in a packaged episode."""
    inside = np.zeros(n_hours, dtype=bool)
    for episode in load_episodes().episodes:
        assert episode.start is not None, "Invariant: an episode has a start"
        first = int(episode.start.timestamp() - START.timestamp()) // STEP_S
        if first >= 0:
            inside[first : first + episode.elapsed_hours.size] = True
    return inside


def law(sizes: Moves) -> dict[str, float]:
    """Return the figures of both laws of the sizes; a side that never came takes the mean size of the other."""
    up, down = sizes[sizes > 0.0], -sizes[sizes < 0.0]
    mean = float(np.abs(sizes).mean())
    return {
        "up_probability": round(up.size / sizes.size, 4),
        "mean_up": round(float(up.mean()) if up.size else mean, 5),
        "mean_down": round(float(down.mean()) if down.size else mean, 5),
        "mean": round(float(sizes.mean()), 5),
        "deviation": round(float(sizes.std()), 5),
    }


def mean_square(figures: dict[str, float]) -> float:
    """Return E Y^2 of the double-exponential law."""
    p = figures["up_probability"]
    return 2.0 * (p * figures["mean_up"] ** 2 + (1.0 - p) * figures["mean_down"] ** 2)


def betas(moves: dict[str, Moves], jumped: NDArray[np.bool_]) -> dict[str, tuple[float, int]]:
    """Return beta and the number of hours it rests on, by coin."""
    found = {}
    for coin, own in moves.items():
        hours = jumped & np.isfinite(own)
        found[coin] = (float(np.median(own[hours] / moves[MARKET][hours])), int(hours.sum()))
    others = float(np.median([beta for coin, (beta, n) in found.items() if n >= FEWEST_HOURS and coin != MARKET]))
    return {coin: (beta if n >= FEWEST_HOURS else max(beta, others), n) for coin, (beta, n) in found.items()}


def own_jumps(moves: Moves, market: Moves, *, explained: Moves, sigma: float) -> Moves:
    """Return the moves of a coin beyond the threshold after what the market explains."""
    rest = moves - explained * np.nan_to_num(market)
    return rest[np.isfinite(rest) & (np.abs(rest) >= THRESHOLD_SIGMAS * sigma)]


def derive(coins: dict[str, FactorHistory], calibration: Calibration) -> list[str]:
    """Return the lines of the file."""
    last = max(bars.start_utc_ns // 1_000_000_000 + STEP_S * bars.close.size for bars in coins.values())
    n_hours = int(last - START.timestamp()) // STEP_S
    moves = {coin: on_grid(bars, n_hours) for coin, bars in coins.items()}
    hourly = math.sqrt(STEP_S / SECONDS_PER_YEAR)
    sigma = {coin: calibration.of(coin).long_run_volatility_annual * hourly for coin in coins}
    beyond = np.abs(np.nan_to_num(moves[MARKET])) >= THRESHOLD_SIGMAS * sigma[MARKET]
    jumped = episode_hours(n_hours) & beyond
    n_years = n_hours * STEP_S / SECONDS_PER_YEAR
    systemic, per_year = law(moves[MARKET][jumped]), round(float(jumped.sum()) / n_years, 4)
    end = datetime.fromtimestamp(last, tz=UTC)
    lines = [
        "# Jumps of stress dates, made by tools/jumps.py; log moves of one hour. No price is stored here.",
        "",
        f'source = "Binance USD-M perpetual hourly bars (spot before listing), {START:%Y-%m-%d} to '
        f'{end:%Y-%m-%d}; hours of the packaged episodes; packaged calibration"',
        f'as_of = "{end:%Y-%m-%dT%H:%M:%SZ}"',
        f"threshold_sigmas = {THRESHOLD_SIGMAS}",
        "",
        "[systemic]",
        f"# {int(jumped.sum())} hours in episodes; {int((beyond & ~jumped).sum())} more of that size outside of them",
        f"per_year = {per_year}",
        *(f"{name} = {value}" for name, value in systemic.items()),
    ]
    place = calibration.position(MARKET)
    for coin, (beta, n) in betas(moves, jumped).items():
        slope = float(calibration.correlation[place, calibration.position(coin)]) * sigma[coin] / sigma[MARKET]
        own = own_jumps(moves[coin], moves[MARKET], explained=np.where(jumped, beta, slope), sigma=sigma[coin])
        coin_years = float(np.isfinite(moves[coin]).sum()) * STEP_S / SECONDS_PER_YEAR
        figures = law(own) if own.size else systemic
        rate = round(own.size / coin_years, 4)
        total = (sigma[coin] / hourly) ** 2
        jumps = per_year * beta**2 * mean_square(systemic) + rate * mean_square(figures)
        diffusion = math.sqrt(max(total - jumps, SMALLEST_DIFFUSION_SHARE * total))
        lines += [
            "",
            f"[coins.{coin}]",
            f"# beta from {n} hours; {own.size} jumps of its own in {coin_years:.1f} years; jumps bring "
            f"{jumps / total:.0%} of the long-run variance",
            f"diffusion_annual = {diffusion:.4f}",
            f"beta = {beta:.4f}",
            f"per_year = {rate}",
            *(f"{name} = {value}" for name, value in figures.items()),
        ]
    return lines


def main() -> None:
    """Read the folder and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prices", type=Path, help="folder with perp_1h and spot_1h")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    arguments = parser.parse_args()
    coins = {
        coin: read_coin(coin, perp_dir=arguments.prices / "perp_1h", spot_dir=arguments.prices / "spot_1h", start=START)
        for coin in COINS
    }
    lines = derive(coins, load_packaged())
    arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
