"""Make ``src/margincover/scenarios/data/episode_paths.json``: the kept origin of the episodes' figures.

Usage::

    python tools/episodes.py --perp DIR --spot DIR --mark DIR --funding FILE --surfaces FILE --dvol FILE [--output FILE]

Reads the windows in ``episodes.toml`` beside the output. The folders hold one Parquet file per coin with ``ts`` (bar
open, UTC) and open, high, low, close. Per coin the mark price is used where there is one, else the perpetual, else the
spot market; every figure is a ratio to the price at the start of the window, in millionths. The funding file has
``symbol``, ``ts`` and ``funding_rate``; the surfaces ``date``, ``tenor_days``, ``moneyness`` and ``iv``; the DVOL file
``ts`` and ``dvol_close`` (the close of the day that begins at ``ts``).
"""

from __future__ import annotations

import argparse
import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

COINS = ("BTC", "ETH", "XRP", "ADA", "SOL", "DOGE", "LINK", "DOT", "TRX", "SUI", "BNB", "AVAX")
DATA = Path(__file__).parents[1] / "src/margincover/scenarios/data"
MILLION = 1_000_000
# A low this far below the body of its own bar while no other coin did the like is an error of the feed; real wicks of
# 2025-10-10 reached 84 %.
BAD_PRINT_FRACTION = 0.95
NEAR_TENOR_DAYS = 30
ATM = 0.01

Bars = dict[str, NDArray[np.float64]]


def read_window(path: Path, start: datetime, hours: int) -> Bars | None:
    """Return price at the start, high, low and close of each hour; None where the window is not whole."""
    if not path.exists():
        return None
    table = pl.read_parquet(path).sort("ts")
    window = table.filter((pl.col("ts") >= start) & (pl.col("ts") < start + timedelta(hours=hours)))
    if window.height != hours:
        return None
    if "open" in table.columns:
        first = float(window["open"][0])
    else:
        # A mark file has no open: the mark moves on from the close of the hour before.
        before = table.filter(pl.col("ts") == start - timedelta(hours=1))
        if not before.height:
            return None
        first = float(before["close"][0])
    return {"start": np.array([first])} | {name: window[name].to_numpy() for name in ("high", "low", "close")}


def coin_bars(coin: str, folders: dict[str, Path], start: datetime, hours: int) -> tuple[Bars, str] | None:
    """Return the bars of one coin and the market they are from: mark, perpetual or spot, in this order."""
    for word, folder in folders.items():
        bars = read_window(folder / f"{coin}USDT.parquet", start, hours)
        if bars is not None:
            return bars, word
    return None


def clean(found: dict[str, tuple[Bars, str]]) -> list[str]:
    """Replace impossible lows by the worst of the other coins in that hour; return what was replaced."""
    notes = []
    body = {coin: np.minimum(_previous(bars), bars["close"]) for coin, (bars, _) in found.items()}
    wick = {coin: bars["low"] / body[coin] for coin, (bars, _) in found.items()}
    for coin, (bars, _) in found.items():
        others = np.min([wick[other] for other in found if other != coin], axis=0) if len(found) > 1 else None
        if others is None:
            continue
        wrong = (wick[coin] < 1 - BAD_PRINT_FRACTION) & (others > 1 - BAD_PRINT_FRACTION)
        if wrong.any():
            bars["low"] = np.where(wrong, body[coin] * others, bars["low"])
            hours = ", ".join(str(hour) for hour in np.flatnonzero(wrong))
            notes.append(f"{coin}: the low of hour {hours} was a bad print; the worst other coin of that hour is taken")
    return notes


def _previous(bars: Bars) -> NDArray[np.float64]:
    return np.concatenate([bars["start"], bars["close"][:-1]])


def funding_of(path: Path, coin: str, start: datetime, hours: int) -> list[list[float]]:
    """Return [hour, fraction] of every settlement after the start; the hour is the one that ends with it."""
    table = pl.read_parquet(path).filter(pl.col("symbol") == f"{coin}USDT").sort("ts")
    window = table.filter((pl.col("ts") > start) & (pl.col("ts") <= start + timedelta(hours=hours)))
    rows = []
    for ts, fraction in window.select("ts", "funding_rate").iter_rows():
        hour = int(np.ceil((ts - start).total_seconds() / 3600)) - 1
        rows.append([hour, round(float(fraction), 8)])
    return rows


def volatility_of(surfaces: Path, dvol: Path, start: datetime, hours: int) -> dict[str, object] | None:
    """Return [hour, ratio] of BTC's implied volatility to the last figure known at the start; None where unknown."""
    end = start + timedelta(hours=hours)
    for source, points in (
        ("BTC DVOL, daily close (Deribit)", _dvol_points(dvol)),
        (
            "BTC at the money, tenor nearest to 30 days, smoothed from the day's trades (Deribit)",
            _surface_points(surfaces),
        ),
    ):
        # A first figure of the window's own first half day may be the base: the ratio then errs to the low side.
        before = [pair for pair in points if -4 * 24 <= _hours(start, pair[0]) <= 12]
        if not before:
            continue
        known = [pair for pair in before if pair[0] <= start]
        base = known[-1] if known else before[0]
        inside = [pair for pair in points if base[0] < pair[0] <= end and pair[0] > start]
        if inside:
            rows = [[round(_hours(start, when), 1), round(level / base[1], 4)] for when, level in inside]
            first = max(0.0, round(_hours(start, base[0]), 1))
            return {"source": f"{source}; over that of {base[0]:%Y-%m-%d %H:%M} UTC", "points": [[first, 1.0], *rows]}
    return None


def _hours(start: datetime, when: datetime) -> float:
    return (when - start).total_seconds() / 3600


def _dvol_points(path: Path) -> list[tuple[datetime, float]]:
    rows = pl.read_parquet(path).sort("ts").select("ts", "dvol_close").iter_rows()
    return [(ts.replace(tzinfo=UTC) + timedelta(days=1), float(level)) for ts, level in rows]


def _surface_points(path: Path) -> list[tuple[datetime, float]]:
    table = pl.read_parquet(path).filter(pl.col("moneyness").abs() < ATM)
    points = []
    for (day,), group in sorted(table.group_by(["date"])):
        nearest = group.sort((pl.col("tenor_days") - NEAR_TENOR_DAYS).abs())
        points.append((datetime(day.year, day.month, day.day, 12, tzinfo=UTC), float(nearest["iv"][0])))
    return points


def volatility_law(dvol: Path, perp: Path) -> dict[str, float | str]:
    """Return standard deviation of the daily log change of DVOL and its correlation with BTC's daily log return."""
    levels = pl.read_parquet(dvol).sort("ts").with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))
    closes = pl.read_parquet(perp / "BTCUSDT.parquet").select("ts", "close").sort("ts")
    closes = closes.filter(pl.col("ts").dt.hour() == 23).with_columns(pl.col("ts").dt.truncate("1d"))
    closes = closes.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC")))
    joined = levels.join(closes, on="ts", how="inner").sort("ts")
    days = joined["ts"].diff().dt.total_days().to_numpy()[1:] == 1
    change = np.diff(np.log(joined["dvol_close"].to_numpy()))[days]
    move = np.diff(np.log(joined["close"].to_numpy()))[days]
    return {
        "daily_standard_deviation": round(float(change.std(ddof=1)), 5),
        "correlation_with_btc": round(float(np.corrcoef(change, move)[0, 1]), 4),
        "n_days": int(change.size),
        "source": f"BTC DVOL daily closes (Deribit) {joined['ts'][0]:%Y-%m-%d} to {joined['ts'][-1]:%Y-%m-%d} and "
        "Binance BTCUSDT perpetual",
    }


def basis_of(mark: Path, spot: Path, start: datetime, hours: int) -> dict[str, list[float]]:
    """Return lowest and highest hourly close of Binance's mark over its own spot, less 1, by coin."""
    found = {}
    for coin in ("BTC", "ETH"):
        pair = [read_window(folder / f"{coin}USDT.parquet", start, hours) for folder in (mark, spot)]
        if pair[0] is not None and pair[1] is not None:
            gap = pair[0]["close"] / pair[1]["close"] - 1
            found[coin] = [round(float(gap.min()), 5), round(float(gap.max()), 5)]
    return found


def episode_figures(
    entry: dict[str, object], folders: dict[str, Path], arguments: argparse.Namespace
) -> dict[str, object]:
    """Return the figures of one window."""
    start, hours = entry["start"], int(str(entry["hours"]))
    assert isinstance(start, datetime), "Invariant: TOML gives a datetime"
    found = {}
    for coin in COINS:
        bars = coin_bars(coin, folders, start, hours)
        if bars is not None:
            found[coin] = bars
    notes = clean(found)
    coins = {}
    for coin, (bars, word) in found.items():
        ratio = {name: bars[name] / bars["start"][0] for name in ("low", "high", "close")}
        ends = np.concatenate([[1.0], ratio["close"]])
        # Both ends of an hour belong to its extremes; an hour begins where the last one ended.
        low = np.minimum.reduce([ratio["low"], ends[:-1], ends[1:]])
        high = np.maximum.reduce([ratio["high"], ends[:-1], ends[1:]])
        coins[coin] = {"market": word} | {
            name: [round(float(x) * MILLION) for x in values]
            for name, values in (("low", low), ("high", high), ("close", ratio["close"]))
        }
    funding = {coin: rows for coin in COINS if (rows := funding_of(arguments.funding, coin, start, hours))}
    return {
        "coins": coins,
        "funding": funding,
        "basis": basis_of(arguments.mark, arguments.spot, start, hours),
        "volatility": volatility_of(arguments.surfaces, arguments.dvol, start, hours),
        "notes": notes,
    }


def write(figures: dict[str, object], path: Path) -> None:
    """Write JSON with one line per coin: short, and a change of one coin is a change of one line."""
    text = json.dumps(figures, indent=1, ensure_ascii=False)
    lines, held, depth = [], "", 0
    for line in text.splitlines():
        bare = line.strip()
        # Lists are put on one line: they are the bulk of the file.
        if depth:
            held += bare
            depth += bare.endswith("[") - bare.startswith("]")
            if depth == 0:
                lines.append(held)
                held = ""
        elif bare.endswith("["):
            held, depth = line, 1
        else:
            lines.append(line)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def summary(name: str, found: dict[str, object]) -> str:
    """Return one line that says what an episode holds."""
    coins = found["coins"]
    assert isinstance(coins, dict), "Invariant: coins are a table"
    lowest = {coin: min(row["low"]) / MILLION - 1 for coin, row in coins.items()}
    highest = {coin: max(row["high"]) / MILLION - 1 for coin, row in coins.items()}
    worst, best = min(lowest, key=lambda coin: lowest[coin]), max(highest, key=lambda coin: highest[coin])
    volatility = found["volatility"]
    return (
        f"{name}: {len(coins)} coins, BTC {lowest['BTC']:+.1%} {highest['BTC']:+.1%}, "
        f"lowest {worst} {lowest[worst]:+.1%}, "
        f"highest {best} {highest[best]:+.1%}, vol {volatility and volatility['points']}, basis {found['basis']}, "
        f"{found['notes']}"
    )


def main() -> None:
    """Read the folders and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, words in (
        ("perp", "folder of perpetual bars"),
        ("spot", "folder of spot bars"),
        ("mark", "folder of mark-price bars"),
        ("funding", "Parquet file of funding"),
        ("surfaces", "Parquet file of volatility surfaces"),
        ("dvol", "Parquet file of daily DVOL"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, help=words)
    parser.add_argument("--output", type=Path, default=DATA / "episode_paths.json")
    arguments = parser.parse_args()
    folders = {"mark": arguments.mark, "perpetual": arguments.perp, "spot": arguments.spot}
    entries = tomllib.loads((DATA / "episodes.toml").read_text(encoding="utf-8"))["episode"]
    figures = {
        "source": "Binance USD-M mark price, else USD-M perpetual, else spot, hourly bars; Binance USD-M funding",
        "unit": "millionths of the price at the start",
        "volatility_law": volatility_law(arguments.dvol, arguments.perp),
        "episodes": {entry["name"]: episode_figures(entry, folders, arguments) for entry in entries},
    }
    write(figures, arguments.output)
    for name, found in figures["episodes"].items():
        print(summary(name, found))
    print(figures["volatility_law"])


if __name__ == "__main__":
    main()
