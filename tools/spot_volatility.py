"""Make ``src/margincover/scenarios/data/spot_volatility.json``: how implied volatility moves with the coin.

Usage::

    python tools/spot_volatility.py --options FOLDER --daily FILE [--output FILE]

``FOLDER`` holds ``dvol_btc_daily.parquet`` (``ts``, ``dvol_close``) and ``btc_iv_crisis_surfaces.parquet`` (``date``,
``tenor_days``, ``moneyness``, ``iv``); ``FILE`` daily bars with ``symbol``, ``ts``, ``close``.

The linear part is a least-squares fit of the log change of DVOL over three days on the log change of BTC, apart below
and above 0, with mean reversion and a constant that are not used afterwards: they act in calm. The quadratic part below
0 is what the at-the-money volatilities of the crisis days hold beyond the linear one; above 0 there is no crisis day
and it stays 0. The cap is the largest log change of the crisis days.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl

DAYS = 3
TENOR_DAYS = 14
AT_THE_MONEY = 0.003
# Calm day and crisis day of each episode in the surfaces.
CRISES = (("2020-03-09", "2020-03-13"), ("2021-05-18", "2021-05-19"), ("2022-11-07", "2022-11-09"))
DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/margincover/scenarios/data/spot_volatility.json"


def closes(path: Path) -> pl.DataFrame:
    """Return the daily closes of BTC: ``day``, ``close``."""
    bars = pl.read_parquet(path).filter(pl.col("symbol") == "BTCUSDT")
    return bars.with_columns(pl.col("ts").cast(pl.Date).alias("day")).select("day", "close").sort("day")


def linear_part(folder: Path, bars: pl.DataFrame) -> tuple[float, float, int]:
    """Return the slopes below and above 0 and the number of spans."""
    dvol = pl.read_parquet(folder / "dvol_btc_daily.parquet").with_columns(pl.col("ts").cast(pl.Date).alias("day"))
    both = dvol.join(bars, on="day").sort("day")
    price, volatility = (np.log(both[name].to_numpy()) for name in ("close", "dvol_close"))
    x, y = price[DAYS:] - price[:-DAYS], volatility[DAYS:] - volatility[:-DAYS]
    level = volatility[:-DAYS] - volatility.mean()
    columns = np.column_stack([np.ones_like(x), np.minimum(x, 0.0), np.maximum(x, 0.0), level])
    fit = np.linalg.lstsq(columns, y, rcond=None)[0]
    return float(-fit[1]), float(fit[2]), x.size


def crisis_points(folder: Path, bars: pl.DataFrame) -> list[tuple[float, float]]:
    """Return (log change of BTC, log change of volatility) of each crisis."""
    surfaces = pl.read_parquet(folder / "btc_iv_crisis_surfaces.parquet").with_columns(pl.col("date").cast(pl.String))
    price = dict(zip(bars["day"].cast(pl.String), bars["close"], strict=True))

    def volatility(day: str) -> float:
        rows = surfaces.filter((pl.col("date") == day) & (pl.col("moneyness").abs() < AT_THE_MONEY)).sort("tenor_days")
        return float(np.interp(TENOR_DAYS, rows["tenor_days"].to_numpy(), rows["iv"].to_numpy()))

    return [
        (float(np.log(price[after] / price[before])), float(np.log(volatility(after) / volatility(before))))
        for before, after in CRISES
    ]


def main() -> None:
    """Read the options, fit, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--options", type=Path, required=True)
    parser.add_argument("--daily", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    chosen = parser.parse_args()
    bars = closes(chosen.daily)
    down, up, count = linear_part(chosen.options, bars)
    points = crisis_points(chosen.options, bars)
    square = np.array([x**2 for x, _ in points])
    beyond = np.array([y - down * -x for x, y in points])
    result = {
        "schema": "margincover/spot-volatility/1",
        "down_linear": round(down, 4),
        "down_quadratic": round(max(float((square * beyond).sum() / (square**2).sum()), 0.0), 4),
        "up_linear": round(up, 4),
        "up_quadratic": 0.0,
        "largest_log": round(max(y for _, y in points), 4),
        "points": [[round(x, 4), round(y, 4)] for x, y in points],
        "source": f"Deribit BTC DVOL, {count} spans of {DAYS} days 2022-11 to 2025-11; at-the-money volatilities of "
        f"{TENOR_DAYS} days on {', '.join(day for _, day in CRISES)} (smoothed Deribit trades)",
    }
    chosen.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
