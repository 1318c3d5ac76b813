"""Make ``src/margincover/scenarios/data/side_factors.json``: laws of funding, local marks and stable coins.

Usage::

    python tools/side_factors.py --prices FOLDER --funding FILE [--episodes FILE] [--output FILE]

``FOLDER`` holds ``mark_1h/<SYMBOL>.parquet`` and ``spot_1h/<SYMBOL>.parquet`` (``ts`` bar open, ``close``) and
``perp_1h``; ``FILE`` funding with ``symbol``, ``ts``, ``funding_rate`` per interval of eight hours. Nothing after
``END`` is read, so that the laws know no more than the packaged calibration of prices.

Every law is a first-order autoregression whose standardised residuals are kept as quantiles: their tails are far
fatter than any Student-t with a variance (fourth moments of 70 to 1,700).
"""

from __future__ import annotations

import argparse
import json
import math
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

END = datetime(2026, 1, 1, tzinfo=UTC)
DATA = Path(__file__).parents[1] / "src/margincover/scenarios/data"
MARK_COINS = ("BTC", "ETH")
FUNDING_COINS = ("BTC", "ETH", "XRP", "ADA")
HOURS = 8
# Probabilities of the residual quantiles: dense in the tails.
GRID = np.unique(
    np.round(
        np.concatenate(
            [[0.0, 1e-4, 3e-4, 1e-3, 3e-3], np.linspace(0.01, 0.99, 50), [0.997, 0.999, 0.9997, 0.9999, 1.0]]
        ),
        6,
    )
)
# The market is under stress in hours when BTC stands this far below its level of 24 hours before.
STRESS_DROP, STRESS_HOURS = 0.05, 24
DEPEG_START = datetime(2020, 1, 1, tzinfo=UTC)
DEPEG_COINS = ("USDT", "USDC", "DAI")
# Stable coins whose price broke at one venue alone were not old enough for a longer time of observation.
LOCAL_START = datetime(2025, 1, 1, tzinfo=UTC)
FIAT_BACKED = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "PYUSD", "RLUSD", "USDT0")
PEG_SOURCE = (
    "standard deviation of daily closes around 1 since 2021, USDC 0.000787 and DAI 0.001136: "
    "https://lorenzonaranjo.com/class-materials/fintech/notebook-summaries/stablecoins.html (read 2026-11-24)"
)
PEG_DEVIATION, PEG_DEVIATION_OTHER = 0.000787, 0.001136
# USDC on 11 March 2023: 0.877 at the low, near 0.9715 at the close of the day, some 17 hours later: 2.2 halvings.
COMMON_HALF_LIFE_HOURS = 8.0
# USDe at Binance on 10 October 2025: from 21:36 to 22:16 UTC.
LOCAL_HALF_LIFE_HOURS = 1.0
CAP_PER_HOUR = 0.04
CAP_SOURCE = (
    "4 % of notional an hour at Hyperliquid, https://hyperliquid.gitbook.io/hyperliquid-docs/trading/funding: the "
    "widest clamp known; it stands for every venue and coin without a clamp of its own here"
)


def closes(path: Path) -> dict[datetime, float]:
    """Return the log close by the time of the bar's end."""
    bars = pl.read_parquet(path).filter(pl.col("ts") + timedelta(hours=1) <= END).sort("ts")
    times = [stamp + timedelta(hours=1) for stamp in bars["ts"].dt.replace_time_zone("UTC").to_list()]
    return dict(zip(times, np.log(bars["close"].to_numpy()), strict=True))


def standard_quantiles(residual: np.ndarray) -> tuple[list[float], float]:
    """Return quantiles of mean 0 and variance 1 when read by straight lines, and what they were divided by."""
    points = np.quantile(residual, GRID)
    width, low, high = np.diff(GRID), points[:-1], points[1:]
    mean = float((width * (low + high) / 2.0).sum())
    square = float((width * (low**2 + low * high + high**2) / 3.0).sum())
    scale = math.sqrt(square - mean**2)
    return [round(float(x), 6) for x in (points - mean) / scale], scale


def mark_law(prices: Path, coin: str) -> dict[str, object]:
    """Fit log(mark / spot) of a coin, hour by hour."""
    mark, spot = (closes(prices / kind / f"{coin}USDT.parquet") for kind in ("mark_1h", "spot_1h"))
    times = sorted(set(mark) & set(spot))
    deviation = np.array([mark[t] - spot[t] for t in times])
    level = np.array([spot[t] for t in times])
    together = np.diff(np.array(times)) == timedelta(hours=1)
    move = np.diff(level)[together]
    x, y = deviation[:-1][together], deviation[1:][together]
    columns = np.column_stack([np.ones_like(x), x, move])
    fit = np.linalg.lstsq(columns, y, rcond=None)[0]
    residual = y - columns @ fit
    size = np.column_stack([np.ones_like(move), np.abs(move)])
    calm, slope = np.linalg.lstsq(size, np.abs(residual), rcond=None)[0]
    standard = residual / (calm + slope * np.abs(move))
    quantiles, scale = standard_quantiles(standard)
    return {
        "persistence": round(float(fit[1]), 4),
        # Below 0 a mark lags its index, which softens every move: nothing counts on that.
        "response": max(0.0, round(float(fit[2]), 5)),
        "calm_deviation": round(float(calm * scale), 7),
        "move_deviation": round(float(slope * scale), 5),
        "largest": round(float(np.abs(deviation - deviation.mean()).max()), 5),
        "quantiles": quantiles,
        "observations": int(x.size),
    }


def funding_law(prices: Path, table: pl.DataFrame, coin: str) -> dict[str, object]:
    """Fit the rate per eight hours of a coin on the rate before and on the coin's move over the same hours."""
    rows = table.filter(pl.col("symbol") == f"{coin}USDT").sort("ts")
    rate = rows["funding_rate"].to_numpy()
    level = closes(prices / "perp_1h" / f"{coin}USDT.parquet")
    times = rows["ts"].dt.replace_time_zone("UTC").to_list()
    price = np.array([level.get(t, np.nan) for t in times])
    move = np.diff(price)
    valid = np.isfinite(move) & (np.diff(np.array(times)) == timedelta(hours=HOURS))
    x, y, move = rate[:-1][valid], rate[1:][valid], move[valid]
    columns = np.column_stack([np.ones_like(x), x, move])
    fit = np.linalg.lstsq(columns, y, rcond=None)[0]
    residual = y - columns @ fit
    quantiles, scale = standard_quantiles(residual)
    # The same size to the last digit both ways is a clamp of the venue, not a quote.
    largest = float(rate.max())
    is_clamped = abs(float(rate.min()) + largest) < 1e-9
    return {
        "persistence": round(float(fit[1]), 4),
        "response": round(float(fit[2]), 6),
        "deviation": round(scale, 8),
        "mean": round(float(rate.mean()), 8),
        "clamp": round(largest, 6) if is_clamped else None,
        "quantiles": quantiles,
        "observations": int(x.size),
    }


def stress_hours(prices: Path, start: datetime) -> tuple[dict[datetime, bool], int, int]:
    """Return whether each hour was one of stress, and the numbers of hours with and without, from ``start`` on."""
    level = closes(prices / "spot_1h" / "BTCUSDT.parquet")
    state = {
        t: x - level[t - timedelta(hours=STRESS_HOURS)] <= math.log(1.0 - STRESS_DROP)
        for t, x in level.items()
        if t >= start and t - timedelta(hours=STRESS_HOURS) in level
    }
    stressed = int(sum(state.values()))
    return state, stressed, len(state) - stressed


def depeg_events(path: Path) -> list[dict[str, object]]:
    """Return the depegs of the packaged episodes with their first and last hour."""
    found = []
    for episode in tomllib.loads(path.read_text(encoding="utf-8"))["episode"]:
        for event in episode.get("depeg", ()):
            if "price_usd" in event:
                start = episode["start"]
                found.append(
                    {
                        **event,
                        "from": start + timedelta(hours=event["from_hour"]),
                        "to": start + timedelta(hours=event.get("to_hour", episode["hours"])),
                    }
                )
    return found


def jump_law(prices: Path, events: list[dict[str, object]], start: datetime, coins: int) -> dict[str, object]:
    """Return how often pegs break an hour, in calm and under stress, and how far."""
    state, stressed, calm = stress_hours(prices, start)
    hit = [any(s for t, s in state.items() if e["from"] <= t <= e["to"]) for e in events]
    in_stress = int(sum(hit))
    in_calm = len(events) - in_stress
    return {
        "stress_per_hour": round(in_stress / (stressed * coins), 8),
        # None seen is not none: half an event is counted.
        "calm_per_hour": round((in_calm or 0.5) / (calm * coins), 9),
        "mean_log": round(float(np.mean([-math.log(e["price_usd"]) for e in events])), 5),
        "stress_hours": stressed,
        "calm_hours": calm,
        "coins": coins,
        "events": [
            {"asset": e["asset"], "venue": e.get("venue"), "price_usd": e["price_usd"], "in_stress": bool(h),
             "date": f"{e['from']:%Y-%m-%d}", "source": e["source"]}
            for e, h in zip(events, hit, strict=True)
        ],
    }  # fmt: skip


def stable_law(prices: Path, episodes: Path) -> dict[str, object]:
    """Return the law of stable coins."""
    events = depeg_events(episodes)
    common = [e for e in events if e.get("venue") is None and e["asset"] in DEPEG_COINS]
    local = [e for e in events if e.get("venue") is not None]
    deepest = min(events, key=lambda e: e["price_usd"])
    return {
        "fiat_backed": list(FIAT_BACKED),
        "deviation": PEG_DEVIATION,
        "deviation_other": PEG_DEVIATION_OTHER,
        "deviation_source": PEG_SOURCE,
        "stress_drop": STRESS_DROP,
        "stress_hours": STRESS_HOURS,
        "common": {
            **jump_law(prices, common, DEPEG_START, len(DEPEG_COINS)), "half_life_hours": COMMON_HALF_LIFE_HOURS
        },
        "local": {**jump_law(prices, local, LOCAL_START, 1), "half_life_hours": LOCAL_HALF_LIFE_HOURS},
        "largest_log": round(-math.log(deepest["price_usd"]), 4),
        "largest_source": f"{deepest['asset']} at {deepest['price_usd']}: {deepest['source']}",
    }  # fmt: skip


def widest(laws: dict[str, dict[str, object]], signed: tuple[str, ...], sized: tuple[str, ...]) -> dict[str, object]:
    """Return the law of coins without one: by parameter the widest of those fitted, residuals of the fattest tails."""
    rows = list(laws.values())
    law: dict[str, object] = {name: max(row[name] for row in rows) for name in sized}
    law |= {name: max((row[name] for row in rows), key=abs) for name in signed}
    law["quantiles"] = max((row["quantiles"] for row in rows), key=lambda q: max(abs(q[0]), abs(q[-1])))
    return law


def main() -> None:
    """Read, fit, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prices", type=Path, required=True)
    parser.add_argument("--funding", type=Path, required=True)
    parser.add_argument("--episodes", type=Path, default=DATA / "episodes.toml")
    parser.add_argument("--output", type=Path, default=DATA / "side_factors.json")
    chosen = parser.parse_args()
    marks = {coin: mark_law(chosen.prices, coin) for coin in MARK_COINS}
    marks["other"] = widest(
        marks, ("response",), ("persistence", "calm_deviation", "move_deviation", "largest")
    )  # fmt: skip
    table = pl.read_parquet(chosen.funding).filter(pl.col("ts").dt.replace_time_zone("UTC") < END)
    funding = {coin: funding_law(chosen.prices, table, coin) for coin in FUNDING_COINS}
    other = widest(funding, ("response",), ("persistence", "deviation"))
    other["mean"] = round(float(np.mean([law["mean"] for law in funding.values()])), 8)
    funding["other"] = {**other, "clamp": None}
    result = {
        "schema": "margincover/side-factors/1",
        "as_of": f"{END - timedelta(days=1):%Y-%m-%d}",
        "source": (
            "Binance USD-M mark price against Binance spot, hourly closes from 2019-12-23 (BTC, ETH); Binance USD-M "
            "funding from listing (BTC, ETH, XRP, ADA); depegs of the packaged episodes; tools/side_factors.py"
        ),
        "probabilities": [float(p) for p in GRID],
        "mark": marks,
        "funding": {
            "interval_hours": HOURS, "cap_per_hour": CAP_PER_HOUR, "cap_source": CAP_SOURCE, "clamp_venue": "binance",
            "laws": funding,
        },
        "stable": stable_law(chosen.prices, chosen.episodes),
    }  # fmt: skip
    chosen.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
