"""Price history from a folder of Parquet or CSV files: checked, cut at ``as_of``, on a regular grid.

What is known at ``as_of`` are the bars that have closed by then; later bars are never seen. Missing bars are NaN, never
a return of zero. What was repaired or noticed stands in ``History.issues``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, StaleDataError
from margincover.io.history_table import BarTable, factor_of_stem, read_bars
from margincover.model.scenario import FactorHistory, History
from margincover.units import SECONDS_PER_DAY, format_duration, format_utc, utc_ns

# More holes than this and returns across them would be a guess.
MAX_MISSING_FRACTION = 0.05
# A bad print lies this far beyond both neighbouring closes ...
BAD_PRINT_BEYOND_FRACTION = 0.60
# ... while its own bar closes this near to the close before.
BAD_PRINT_REVERT_FRACTION = 0.20
# Room for prices that were rounded to fewer digits than their neighbours in the same bar.
_RANGE_TOLERANCE = 1e-9
_NS = 1_000_000_000


def load_history(
    folder: Path | str,
    *,
    factors: Collection[str],
    as_of: datetime,
    max_age_s: float,
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> History:
    """Return the bars of ``factors`` that had closed at ``as_of``.

    Parameters
    ----------
    folder : path
        Files ``<SYMBOL>.parquet`` or ``<SYMBOL>.csv`` with columns ``ts`` (bar open, UTC), ``open``, ``high``, ``low``,
        ``close``; others are ignored. The symbol gives the factor: ``BTCUSDT``, ``BTC-USDT``, ``BTC_USD-1h`` are BTC,
        ``1000PEPEUSDT`` and ``kPEPE`` are PEPE. Without ``open`` a bar opens at the close before.
    factors : collection of str
        Factors that are needed; the others in the folder are not read.
    as_of : datetime
        Aware. A bar counts when ts + step <= as_of.
    max_age_s : float
        Largest distance from the close of the last bar to ``as_of``.
    aliases : mapping of str to str
        Further names in file stems and the factor they mean.

    Raises
    ------
    InputError
        If a needed factor has no file or two, a file is broken, unsorted, off its grid, not in UTC, has a price that is
        not positive or outside the bar's range, misses more than 5 % of its bars, or the steps differ.
    StaleDataError
        If the last bar is older than ``max_age_s``.

    Notes
    -----
    A low (high) more than 60 % below (above) the lower (higher) of both neighbouring closes, in a bar that closes
    within 20 % of the close before, is a bad print. It is clipped to the neighbours' range and counted in
    ``repaired_bars``. At the end of the data the one neighbour decides.
    """
    paths = _needed_files(Path(folder), factors, aliases)
    digest = hashlib.sha256()
    found: dict[str, FactorHistory] = {}
    issues: list[str] = []
    for factor, path in sorted(paths.items()):
        table = read_bars(path)
        digest.update(f"{factor} {path.name} {table.sha256}\n".encode())
        try:
            history, noticed = _factor_history(factor, table, utc_ns(as_of))
            _require_fresh(history, as_of, max_age_s)
        except InputError as error:
            raise error.located(source=str(path), field=factor) from error
        found[factor] = history
        issues += [f"{path.name}: {text}" for text in noticed]
    steps = {factor: history.step_s for factor, history in found.items()}
    if len(set(steps.values())) > 1:
        shown = ", ".join(f"{factor} {format_duration(step)}" for factor, step in steps.items())
        raise InputError(f"the steps differ: {shown}", source=str(folder), allowed="one step for all factors")
    return History(
        factors=MappingProxyType(found),
        step_s=next(iter(steps.values())),
        sha256=digest.hexdigest(),
        issues=tuple(issues),
    )


def _needed_files(folder: Path, factors: Collection[str], aliases: Mapping[str, str]) -> dict[str, Path]:
    if not factors:
        raise InputError("no factor was asked for", source=str(folder), allowed="at least one factor")
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".parquet", ".csv"))
    except FileNotFoundError:
        raise InputError("the folder does not exist", source=str(folder), allowed="a folder of price files") from None
    except NotADirectoryError:
        raise InputError("was not a folder", source=str(folder), allowed="a folder of price files") from None
    except OSError as error:
        raise InputError(f"could not be read ({error})", source=str(folder), allowed="a readable folder") from error
    if not files:
        raise InputError("held no .parquet or .csv file", source=str(folder), allowed="a folder of price files")
    by_factor: dict[str, list[Path]] = {}
    for path in files:
        by_factor.setdefault(factor_of_stem(path.stem, aliases), []).append(path)
    missing = sorted(set(factors) - set(by_factor))
    if missing:
        raise InputError(
            f"no history of {', '.join(missing)}",
            source=str(folder),
            allowed=f"the factors that are there ({', '.join(sorted(by_factor))}), or a proxy in the book",
        )
    for factor in factors:
        if len(by_factor[factor]) > 1:
            names = " and ".join(path.name for path in by_factor[factor])
            raise InputError(f"{names} are both {factor}", source=str(folder), allowed="one file per factor")
    return {factor: by_factor[factor][0] for factor in factors}


def _factor_history(factor: str, table: BarTable, as_of_ns: int) -> tuple[FactorHistory, list[str]]:
    bars, issues = _without_duplicates(table)
    step_ns = _step(bars.ts_ns, bars.source)
    keep = bars.ts_ns + step_ns <= as_of_ns
    bars = bars.kept(keep)
    if not keep.any():
        raise StaleDataError("no bar had closed at as_of", allowed="bars before as_of")
    bars = _checked_prices(bars)
    grid, missing = _on_grid(bars, step_ns, issues)
    repaired = _repair_bad_prints(grid, bars.ts_ns[0], step_ns, issues)
    arrays = {name: _read_only(values) for name, values in zip(("open", "high", "low", "close"), grid, strict=True)}
    history = FactorHistory(
        factor=factor,
        start_utc_ns=int(bars.ts_ns[0]),
        step_s=step_ns // _NS,
        **arrays,
        source=bars.source,
        repaired_bars=repaired,
        missing_bars=missing,
    )
    return history, issues


def _without_duplicates(table: BarTable) -> tuple[BarTable, list[str]]:
    issues = list(table.issues)
    difference = np.diff(table.ts_ns)
    if (difference < 0).any():
        row = int(np.argmax(difference < 0)) + 1
        raise InputError(
            f"row {table.row(row)}: {_at(table.ts_ns[row])} came after {_at(table.ts_ns[row - 1])}",
            allowed="timestamps in ascending order",
        )
    same = np.concatenate([[False], difference == 0])
    if not same.any():
        return table, issues
    for index in np.flatnonzero(same):
        if any(values[index] != values[index - 1] for values in table.prices):
            raise InputError(
                f"row {table.row(int(index))}: {_at(table.ts_ns[index])} stood twice with different prices",
                allowed="one bar per time",
            )
    issues.append(f"{int(same.sum())} identical duplicate bars dropped")
    return table.kept(~same), issues


def _step(ts_ns: NDArray[np.int64], source: str) -> int:
    if len(ts_ns) < 3:
        raise InputError(f"had {len(ts_ns)} bars", source=source, allowed="at least 3 bars")
    difference = np.diff(ts_ns)
    step, _ = Counter(difference.tolist()).most_common(1)[0]
    if step % _NS:
        raise InputError(f"the most common step was {step} ns", source=source, allowed="whole seconds")
    off = difference % step != 0
    if off.any():
        row = int(np.argmax(off)) + 1
        raise InputError(
            f"{_at(ts_ns[row])} is off the grid of {format_duration(step // _NS)}",
            source=source,
            allowed="bars a whole number of steps apart",
        )
    return int(step)


def _checked_prices(bars: BarTable) -> BarTable:
    for name, values in zip(("open", "high", "low", "close"), bars.prices, strict=True):
        wrong = ~(np.isfinite(values) & (values > 0.0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"row {bars.row(row)}, {_at(bars.ts_ns[row])}: {name} was {values[row]}",
                allowed="a finite price > 0",
            )
    first, high, low, close = bars.prices
    room = _RANGE_TOLERANCE * high
    for name, lower, upper in (
        ("high was below low", low, high),
        ("open was outside [low, high]", low, first),
        ("open was outside [low, high]", first, high),
        ("close was outside [low, high]", low, close),
        ("close was outside [low, high]", close, high),
    ):
        wrong = lower > upper + room
        if wrong.any():
            row = int(np.argmax(wrong))
            shown = ", ".join(f"{values[row]:g}" for values in bars.prices)
            raise InputError(
                f"row {bars.row(row)}, {_at(bars.ts_ns[row])}: {name} (open, high, low, close: {shown})",
                allowed="low <= open, close <= high",
            )
    high = np.maximum.reduce([high, low, first, close])
    low = np.minimum.reduce([high, low, first, close])
    return bars.with_prices((first, high, low, close))


def _on_grid(bars: BarTable, step_ns: int, issues: list[str]) -> tuple[list[NDArray[np.float64]], int]:
    place = (bars.ts_ns - bars.ts_ns[0]) // step_ns
    count = int(place[-1]) + 1
    missing = count - len(place)
    if missing > MAX_MISSING_FRACTION * count:
        raise InputError(
            f"{missing} of {count} bars were missing ({missing / count:.1%})",
            allowed=f"at most {MAX_MISSING_FRACTION:.0%} of the span",
        )
    if missing:
        issues.append(f"{missing} of {count} bars missing, left empty")
    holes_s = (np.diff(place) - 1) * (step_ns // _NS)
    for index in np.flatnonzero(holes_s > SECONDS_PER_DAY):
        issues.append(f"gap of {format_duration(int(holes_s[index]))} after {_at(bars.ts_ns[index])}")
    grid = []
    for values in bars.prices:
        full = np.full(count, np.nan)
        full[place] = values
        grid.append(full)
    return grid, missing


def _repair_bad_prints(grid: list[NDArray[np.float64]], start_ns: int, step_ns: int, issues: list[str]) -> int:
    first, high, low, close = grid
    before = np.concatenate([[np.nan], close[:-1]])
    after = np.concatenate([close[1:], [np.nan]])
    reverts = np.abs(close / before - 1.0) <= BAD_PRINT_REVERT_FRACTION
    # fmin and fmax pass over a missing neighbour; a comparison with NaN is False, so missing bars are never flagged.
    low_print = reverts & (low < (1.0 - BAD_PRINT_BEYOND_FRACTION) * np.fmin(before, after))
    high_print = reverts & (high > (1.0 + BAD_PRINT_BEYOND_FRACTION) * np.fmax(before, after))
    for values, flagged, reduce, word in ((low, low_print, np.fmin, "low"), (high, high_print, np.fmax, "high")):
        # A flagged neighbour gives no range, so its body stands for it.
        body = np.where(flagged, reduce(first, close), values)
        left, right = np.concatenate([[np.nan], body[:-1]]), np.concatenate([body[1:], [np.nan]])
        for row in np.flatnonzero(flagged):
            old = values[row]
            values[row] = reduce(reduce(left[row], right[row]), body[row])
            issues.append(f"bad print at {_at(start_ns + row * step_ns)}: {word} {old:g} clipped to {values[row]:g}")
    return int((low_print | high_print).sum())


def _require_fresh(history: FactorHistory, as_of: datetime, max_age_s: float) -> None:
    closed_ns = history.start_utc_ns + len(history.close) * history.step_s * _NS
    age_s = (utc_ns(as_of) - closed_ns) / _NS
    if age_s > max_age_s:
        raise StaleDataError(
            f"the last bar closed {_at(closed_ns)}, {format_duration(round(age_s))} before as_of {format_utc(as_of)}",
            allowed=f"at most {format_duration(max_age_s)} (settings.max_history_age)",
        )


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    array = np.ascontiguousarray(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def _at(ts_ns: int | np.int64) -> str:
    return f"{np.datetime64(int(ts_ns) // _NS, 's')}Z"
