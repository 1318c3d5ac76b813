"""Make ``src/margincover/scenarios/data/surface_moves.toml``: how implied volatility moves with its coin.

Usage::

    python tools/surface_moves.py --options FOLDER --daily FILE [--output FILE]

``FOLDER`` holds ``dvol_btc_daily.parquet`` (``ts``, ``dvol_close``) and ``btc_iv_crisis_surfaces.parquet`` (``date``,
``tenor_days``, ``moneyness`` = ln(K / F), ``iv``); ``FILE`` daily bars with ``symbol``, ``ts``, ``open``, ``high``,
``low``, ``close``.

The linear level is a least-squares fit of the log change of DVOL (a 30-day index) over three days on the log change of
BTC, apart below and above 0, with mean reversion and a constant that are not used afterwards: they act in calm. What
those slopes leave, after one to ten days, gives the residual: its growth and its reversion, and its standardised levels
as means of equal parts of the three-day residuals; its rises are made larger after a fall, so that the residuals of
the crises are one standard deviation on average. The crisis days give the power of the tenor (a regression of log
log change on log tenor, one constant an episode), the quadratic level below 0 at 30 days, the change of the skew and
the cap. All days of the surfaces together give the typical smile. A day of the surfaces is smoothed from all its
trades, so BTC stands at the mean of open, high, low and close. Above 0 there is no crisis day: no quadratic part there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from margincover.model.spot_volatility import SpotVolatility, VolatilityRule

DAYS = 3
RESIDUAL_DAYS = (1, 2, 3, 5, 10)
LEVELS = 4
REFERENCE_DAYS = 30.0
# Calm day and crisis day of each episode in the surfaces.
CRISES = (
    ("2020-03-09", "2020-03-12"),
    ("2020-03-09", "2020-03-13"),
    ("2021-05-18", "2021-05-19"),
    ("2022-05-09", "2022-05-12"),
    ("2022-11-07", "2022-11-09"),
)
DEFAULT_OUTPUT = Path(__file__).parents[1] / "src/margincover/scenarios/data/surface_moves.toml"
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One expiry of one day: tenor, volatility at the money, and the slope and curvature of its log by moneyness."""

    days: float
    money: float
    slope: float
    curvature: float
    moneyness: Array
    volatility: Array


def bars_of(path: Path) -> pl.DataFrame:
    """Return the daily bars of BTC: ``day``, ``close``, ``mean``."""
    bars = pl.read_parquet(path).filter(pl.col("symbol") == "BTCUSDT")
    mean = (pl.col("open") + pl.col("high") + pl.col("low") + pl.col("close")) / 4.0
    return bars.select(pl.col("ts").cast(pl.Date).alias("day"), "close", mean.alias("mean")).sort("day")


def slices_of(surfaces: pl.DataFrame, day: str) -> list[Slice]:
    """Return the expiries of a day, nearest first."""
    rows = surfaces.filter(pl.col("date").cast(pl.String) == day).sort("tenor_days", "moneyness")
    found = []
    for (tenor,), part in rows.group_by("tenor_days", maintain_order=True):
        k, iv = part["moneyness"].to_numpy(), part["iv"].to_numpy()
        money = float(np.interp(0.0, k, iv))
        z = k / (money * np.sqrt(tenor / 365.0))
        columns = np.column_stack([z, z**2])
        slope, curvature = np.linalg.lstsq(columns, np.log(iv / money), rcond=None)[0]
        found.append(
            Slice(
                days=float(tenor), money=money, slope=float(slope), curvature=float(curvature),
                moneyness=k, volatility=iv,
            )
        )  # fmt: skip
    return found


def at_tenor(slices: list[Slice], days: float, name: str) -> float:
    """Return a figure of a day's slices at a tenor, by straight lines in the log of the tenor."""
    return float(
        np.interp(np.log(days), [np.log(each.days) for each in slices], [getattr(each, name) for each in slices])
    )


def common_tenors(before: list[Slice], after: list[Slice]) -> list[float]:
    """Return the tenors of the later day that the earlier day holds as well, within a day at the ends."""
    low, high = before[0].days - 1.0, before[-1].days + 1.0
    return [each.days for each in after if low <= each.days <= high]


def level_fit(dvol: pl.DataFrame, bars: pl.DataFrame) -> tuple[float, float, int, dict[int, Array]]:
    """Return the slopes below and above 0, the number of spans, and what they leave by length of span."""
    both = dvol.with_columns(pl.col("ts").cast(pl.Date).alias("day")).join(bars, on="day").sort("day")
    price, volatility = (np.log(both[name].to_numpy()) for name in ("close", "dvol_close"))
    x, y = price[DAYS:] - price[:-DAYS], volatility[DAYS:] - volatility[:-DAYS]
    level = volatility[:-DAYS] - volatility.mean()
    columns = np.column_stack([np.ones_like(x), np.minimum(x, 0.0), np.maximum(x, 0.0), level])
    fit = np.linalg.lstsq(columns, y, rcond=None)[0]
    left = {}
    for days in RESIDUAL_DAYS:
        x, y = price[days:] - price[:-days], volatility[days:] - volatility[:-days]
        rest = y - fit[1] * np.minimum(x, 0.0) - fit[2] * np.maximum(x, 0.0)
        left[days] = rest - rest.mean()
    return float(-fit[1]), float(fit[2]), int(price.size - DAYS), left


def residual_fit(left: dict[int, Array]) -> tuple[float, float, tuple[float, ...]]:
    """Return deviation per root day, reversion per day and standardised levels of the residual.

    The variance ``s^2 (1 - exp(-2 k t)) / (2 k)`` is fitted to the logs of the deviations over all lengths of span.
    """
    from scipy.optimize import least_squares

    days = np.array(sorted(left), dtype=np.float64)
    seen = np.array([left[int(d)].std() for d in days])

    def deviation(p: Array) -> Array:
        rate = 2.0 * np.exp(p[1])
        return np.asarray(np.exp(p[0]) * np.sqrt(-np.expm1(-rate * days) / rate))

    fit = least_squares(lambda p: np.log(deviation(p) / seen), x0=[np.log(seen[0]), np.log(0.05)])
    parts = np.array_split(np.sort(left[DAYS]), LEVELS)
    levels = np.array([part.mean() for part in parts])
    # Means of parts lose what lies inside the parts: scaled back to one standard deviation.
    levels = (levels - levels.mean()) / levels.std()
    return float(np.exp(fit.x[0])), float(np.exp(fit.x[1])), tuple(round(float(v), 4) for v in levels)


def residual_per_move(x: Array, standardised: Array) -> float:
    """Return how much larger rises of the residual are per log move down: then crises have one deviation on average.

    Only what came higher than the level counts as larger: in no crisis did volatility stay far below it.
    """
    from scipy.optimize import brentq

    def excess(c: float) -> float:
        larger = np.where(standardised > 0.0, 1.0 + c * np.maximum(-x, 0.0), 1.0)
        return float(np.mean((standardised / larger) ** 2)) - 1.0

    return 0.0 if excess(0.0) <= 0.0 else float(brentq(excess, 0.0, 1e3))


def tenor_power(pairs: list[tuple[list[Slice], list[Slice]]]) -> float:
    """Return the power of the tenor by which short expiries move more, >= 0."""
    x, y = [], []
    for before, after in pairs:
        days = common_tenors(before, after)
        moves = [np.log(at_tenor(after, d, "money") / at_tenor(before, d, "money")) for d in days]
        if len(days) < 2:
            continue
        x.append(np.log(days) - np.mean(np.log(days)))
        y.append(np.log(moves) - np.mean(np.log(moves)))
    across, up = np.concatenate(x), np.concatenate(y)
    return max(float(-(across * up).sum() / (across**2).sum()), 0.0)


def crisis_points(
    pairs: list[tuple[list[Slice], list[Slice]]], moves: list[float], power: float
) -> tuple[Array, Array, Array]:
    """Return x, log move at the money at the reference tenor, and change of the slope, by crisis."""
    level, skew = [], []
    for before, after in pairs:
        days = common_tenors(before, after)
        level.append(
            np.mean([
                np.log(at_tenor(after, d, "money") / at_tenor(before, d, "money")) * (d / REFERENCE_DAYS) ** power
                for d in days
            ])
        )  # fmt: skip
        # The later slope in units of the earlier deviation, as the law counts moneyness.
        skew.append(
            np.mean([
                at_tenor(after, d, "slope") * at_tenor(before, d, "money") / at_tenor(after, d, "money")
                - at_tenor(before, d, "slope")
                for d in days
            ])
        )  # fmt: skip
    return np.array(moves), np.array(level), np.array(skew)


def rule_errors(
    law: SpotVolatility, pairs: list[tuple[list[Slice], list[Slice]]], moves: list[float]
) -> dict[str, tuple[float, float, int]]:
    """Return by rule the root mean square and the mean error of ln(volatility) at fixed strikes, and their number.

    The level of each episode is taken as it came, so that only what the rule says about strikes is judged: at the money
    all rules are right by construction. ``parallel`` moves every strike by the level alone.
    """
    errors: dict[str, list[float]] = {"parallel": [], **{rule.value: [] for rule in VolatilityRule}}
    for (before, after), x in zip(pairs, moves, strict=True):
        for later in after:
            if later.days not in common_tenors(before, after):
                continue
            earlier = min(before, key=lambda each: abs(np.log(each.days / later.days)))
            level = np.log(later.money / at_tenor(before, later.days, "money"))
            for k, iv in zip(earlier.moneyness, earlier.volatility, strict=True):
                if abs(k - x) > np.abs(later.moneyness).max():
                    continue
                seen = np.log(np.interp(k - x, later.moneyness, later.volatility) / iv) - np.log(
                    at_tenor(before, later.days, "money") / earlier.money
                )
                errors["parallel"].append(level - seen)
                for rule in VolatilityRule:
                    beside = _beside_level(law, rule, x, float(k), float(iv), later.days)
                    errors[rule.value].append(level + beside - seen)
    return {
        name: (float(np.sqrt(np.mean(np.square(found)))), float(np.mean(found)), len(found))
        for name, found in errors.items()
    }


def _beside_level(law: SpotVolatility, rule: VolatilityRule, x: float, k: float, iv: float, days: float) -> float:
    bare = replace(law, rule=rule, down_linear=0.0, down_quadratic=0.0, up_linear=0.0, up_quadratic=0.0)
    multiple = bare.option_multiple(
        np.array([[np.exp(x)]]), moneyness_log=[k], volatility=[iv], years=[days / 365.0], elapsed_days=0.0
    )
    return float(np.log(multiple[0, 0]))


def fit(dvol: pl.DataFrame, surfaces: pl.DataFrame, bars: pl.DataFrame) -> tuple[SpotVolatility, dict[str, Array]]:
    """Return the law and the crisis points behind it."""
    mean = dict(zip(bars["day"].cast(pl.String), bars["mean"], strict=True))
    down, up, count, left = level_fit(dvol, bars)
    per_root_day, reversion, levels = residual_fit(left)
    pairs = [(slices_of(surfaces, before), slices_of(surfaces, after)) for before, after in CRISES]
    power = tenor_power(pairs)
    moves = [float(np.log(mean[after] / mean[before])) for before, after in CRISES]
    x, level, skew = crisis_points(pairs, moves, power)
    beyond = level - down * -x
    quadratic = max(float((x**2 * beyond).sum() / (x**4).sum()), 0.0)
    spans = np.array([(date.fromisoformat(after) - date.fromisoformat(before)).days for before, after in CRISES])
    calm = per_root_day * np.sqrt(-np.expm1(-2.0 * reversion * spans) / (2.0 * reversion))
    larger = residual_per_move(x, (beyond - quadratic * x**2) / calm)
    days = sorted(set(surfaces["date"].cast(pl.String)))
    smiles = [each for day in days for each in slices_of(surfaces, day)]
    widest = max(float(np.abs(s.moneyness).max() / (s.money * np.sqrt(s.days / 365.0))) for s in smiles)
    tenors = [d for before, after in pairs for d in common_tenors(before, after)]
    law = SpotVolatility(
        down_linear=round(down, 4),
        down_quadratic=round(quadratic, 4),
        up_linear=round(up, 4),
        up_quadratic=0.0,
        largest_log=round(float(level.max()), 4),
        rule=VolatilityRule.STICKY_DELTA,
        smile_slope=round(float(np.mean([s.slope for s in smiles])), 4),
        smile_curvature=round(max(float(np.mean([s.curvature for s in smiles])), 0.0), 4),
        largest_moneyness=round(widest, 2),
        skew_down=round(float((x * skew).sum() / (x**2).sum()), 4),
        tenor_power=round(power, 4),
        reference_days=REFERENCE_DAYS,
        shortest_days=min(tenors),
        longest_days=max(tenors),
        residual_per_root_day=round(per_root_day, 5),
        residual_reversion_per_day=round(reversion, 5),
        residual_per_down_move=round(larger, 3),
        residual_levels=levels,
        source=f"Deribit BTC DVOL, {count} spans of {DAYS} days; {len(smiles)} expiries of Deribit BTC options on "
        f"{len(days)} days, crises {', '.join(day for _, day in CRISES)} (smoothed from the day's trades)",
    )
    return law, {"x": x, "level": level, "skew": skew}


def written(law: SpotVolatility, points: dict[str, Array], errors: dict[str, tuple[float, float, int]]) -> str:
    """Return the text of the packaged file."""
    names = [name for name in SpotVolatility.__slots__ if name not in ("residual_level", "source", "rule")]
    lines = [
        "# Made by tools/surface_moves.py; the meaning of each figure stands in margincover.model.spot_volatility.",
        'schema = "margincover/surface-moves/1"',
        f'rule = "{law.rule.value}"',
    ]
    for name in names:
        value = getattr(law, name)
        lines.append(f"{name} = {list(value)}" if isinstance(value, tuple) else f"{name} = {value}")
    lines += [f'source = "{law.source}"', ""]
    lines += ["# Log move of BTC, log move of volatility at the money at the reference tenor, change of the slope."]
    for (_, day), x, level, skew in zip(CRISES, points["x"], points["level"], points["skew"], strict=True):
        lines += ["[[crises]]", f'day = "{day}"', f"x = {x:.4f}", f"level = {level:.4f}", f"skew = {skew:.4f}", ""]
    lines += ["# Errors of ln(volatility) at fixed strikes on the crisis days, given the level at the money."]
    for name, (rms, mean, count) in errors.items():
        lines += [f'[errors."{name}"]', f"root_mean_square = {rms:.4f}", f"mean = {mean:.4f}", f"quotes = {count}", ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Read the options, fit, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--options", type=Path, required=True)
    parser.add_argument("--daily", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT)
    chosen = parser.parse_args()
    dvol = pl.read_parquet(chosen.options / "dvol_btc_daily.parquet")
    surfaces = pl.read_parquet(chosen.options / "btc_iv_crisis_surfaces.parquet")
    bars = bars_of(chosen.daily)
    law, points = fit(dvol, surfaces, bars)
    mean = dict(zip(bars["day"].cast(pl.String), bars["mean"], strict=True))
    pairs = [(slices_of(surfaces, before), slices_of(surfaces, after)) for before, after in CRISES]
    errors = rule_errors(law, pairs, [float(np.log(mean[after] / mean[before])) for before, after in CRISES])
    chosen.output.write_text(written(law, points, errors), encoding="utf-8")


if __name__ == "__main__":
    main()
