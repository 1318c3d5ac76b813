"""Make ``src/margincover/scenarios/data/calibration.json`` from folders of hourly bars: the kept origin of its figures.

Usage::

    python tools/calibrate.py --perp PERP_DIR --spot SPOT_DIR --funding FUNDING_FILE [--from 2021-01-01] [--output FILE]

The folders hold one Parquet file per coin, ``BTCUSDT.parquet``, with ``ts`` (bar open, UTC) and open, high, low, close.
Perpetual bars are used from their first hour on, spot bars before it; the bar at the seam is left out. The funding file
has ``symbol``, ``ts`` (settlement) and ``funding_rate`` (fraction per interval, > 0 means longs pay).
"""

from __future__ import annotations

import argparse
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from margincover.model.scenario import FactorHistory, History
from margincover.scenarios.calibrate import calibrate
from margincover.scenarios.calibration import FundingStatistics, to_json

COINS = ("BTC", "ETH", "XRP", "ADA", "SOL", "DOGE", "LINK", "DOT", "TRX", "SUI", "BNB", "AVAX")
STEP_S = 3_600
FUNDING_AVERAGE_S = 5 * 86_400
DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/margincover/scenarios/data/calibration.json"
# An interval longer than this is a gap in the funding data, not a funding interval.
MAX_FUNDING_INTERVAL_S = 8 * 3_600
MIN_FUNDING_SPAN = timedelta(days=730)


def _read_bars(path: Path, start: datetime) -> pl.DataFrame:
    table = pl.read_parquet(path).select("ts", "open", "high", "low", "close").sort("ts")
    return table.filter(pl.col("ts") >= start)


def _day(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d")


def read_coin(coin: str, *, perp_dir: Path, spot_dir: Path, start: datetime) -> FactorHistory:
    """Return the bars of one coin on a full hourly grid, perpetual first, spot where the perpetual is not yet there."""
    perp = _read_bars(perp_dir / f"{coin}USDT.parquet", start)
    listed = perp["ts"][0]
    source = f"Binance USD-M perpetual hourly bars, {_day(listed)} to {_day(perp['ts'][-1])}"
    spot_path = spot_dir / f"{coin}USDT.parquet"
    table = perp
    if listed > start and spot_path.exists():
        spot = _read_bars(spot_path, start).filter(pl.col("ts") < listed)
        # the seam bar would hold the basis between the two markets as if it were a move
        table = pl.concat([spot[:-1], perp])
        source += f"; Binance spot hourly bars {_day(spot['ts'][0])} to {_day(spot['ts'][-1])}"
    first = table["ts"][0]
    hours = (table["ts"].dt.epoch("s") - int(first.timestamp())).to_numpy() // STEP_S
    grid = np.full((4, int(hours[-1]) + 1), np.nan)
    for row, name in enumerate(("open", "high", "low", "close")):
        grid[row, hours] = table[name].to_numpy()
    return FactorHistory(
        factor=coin,
        start_utc_ns=int(first.timestamp()) * 1_000_000_000,
        step_s=STEP_S,
        open=grid[0],
        high=grid[1],
        low=grid[2],
        close=grid[3],
        source=source,
        missing_bars=int(np.isnan(grid[3]).sum()),
    )


def _rolling_mean_per_hour(seconds: NDArray[np.int64], fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean funding per hour over each 5-day window that ends at a settlement and lies wholly in the data."""
    interval = np.diff(seconds)
    paid = fractions[1:].cumsum()
    ends, starts = seconds[1:], seconds[1:] - FUNDING_AVERAGE_S
    before = np.searchsorted(ends, starts, side="right") - 1
    whole = (before >= 0) & (starts >= seconds[0])
    gaps = np.concatenate(([0], np.cumsum(interval > MAX_FUNDING_INTERVAL_S)))[1:]
    whole &= gaps == gaps[np.maximum(before, 0)]
    averaged = (paid - paid[np.maximum(before, 0)]) / (FUNDING_AVERAGE_S / 3_600)
    return np.asarray(averaged[whole])


def read_funding(path: Path, *, start: datetime, end: datetime) -> dict[str, FundingStatistics]:
    """Return funding statistics per coin with two years of data in [start, end)."""
    table = pl.read_parquet(path).filter((pl.col("ts") >= start) & (pl.col("ts") < end)).sort("ts")
    result = {}
    for coin in COINS:
        rows = table.filter(pl.col("symbol") == f"{coin}USDT")
        # a few calm months say nothing of a mania: such a coin takes the largest figure of the others
        if rows.height == 0 or rows["ts"][-1] - rows["ts"][0] < MIN_FUNDING_SPAN:
            continue
        means = _rolling_mean_per_hour(rows["ts"].dt.epoch("s").to_numpy(), rows["funding_rate"].to_numpy())
        result[coin] = FundingStatistics(
            mean_per_hour=float(means.mean()),
            pessimistic_per_hour=float(np.quantile(np.abs(means), 0.95)),
            window=f"{_day(rows['ts'][0])} to {_day(rows['ts'][-1])}",
            source="Binance USD-M perpetual funding, 5-day averages at every settlement",
        )
    return result


def main() -> None:
    """Read the folders and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perp", type=Path, required=True, help="folder of perpetual bars")
    parser.add_argument("--spot", type=Path, required=True, help="folder of spot bars")
    parser.add_argument("--funding", type=Path, required=True, help="Parquet file of funding")
    parser.add_argument("--from", dest="start", default="2021-01-01", help="first day of the window, UTC")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    arguments = parser.parse_args()
    start = datetime.fromisoformat(arguments.start).replace(tzinfo=UTC)
    coins = {coin: read_coin(coin, perp_dir=arguments.perp, spot_dir=arguments.spot, start=start) for coin in COINS}
    digest = hashlib.sha256()
    for coin, bars in coins.items():
        digest.update(coin.encode() + np.int64(bars.start_utc_ns).tobytes() + bars.close.tobytes())
    last = max(bars.start_utc_ns // 1_000_000_000 + STEP_S * bars.close.size for bars in coins.values())
    end = datetime.fromtimestamp(last, tz=UTC)
    last_day = _day(end - timedelta(seconds=1))
    made = calibrate(
        History(factors=coins, step_s=STEP_S, sha256=digest.hexdigest()),
        COINS,
        source=f"Binance USD-M perpetual hourly bars (spot before listing), {arguments.start} to {last_day}",
        funding=read_funding(arguments.funding, start=start, end=end),
    )
    arguments.output.write_text(to_json(made), encoding="utf-8")
    for row in made.factors:
        print(
            f"{row.factor:5} {row.n_bars:6} bars, {row.long_run_volatility_annual:.3f} a year "
            f"(x{row.level_adjustment:.3f}), nu {row.nu:.2f}, {row.garch}, largest {row.largest_standardised_move:.1f}"
        )
    print(f"nu_joint {made.nu_joint:.3f}, loadings {np.round(made.loading, 3)}")


if __name__ == "__main__":
    main()
