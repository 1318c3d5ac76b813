"""Hourly histories of many coins from a folder or its sub-folders, for walk-forward use: repairs never look ahead."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.io.history import BAD_PRINT_BEYOND_FRACTION, BAD_PRINT_REVERT_FRACTION, load_history
from margincover.io.history_table import factor_of_stem, read_bars
from margincover.model.scenario import FactorHistory
from margincover.units import SECONDS_PER_HOUR

_ALL_TIME = datetime(2200, 1, 1, tzinfo=UTC)
_NO_LIMIT_S = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFiles:
    """Histories by coin, and what was noticed or left out while reading."""

    histories: dict[str, FactorHistory]
    issues: tuple[str, ...]


def load_market(folder: Path, *, coins: Collection[str] | None = None) -> MarketFiles:
    """Return the hourly history of every coin in a folder and in the folders directly below it.

    Parameters
    ----------
    folder : path
        Files as ``io.history.load_history`` reads them.
    coins : collection of str or None
        Coins wanted; None takes all.

    Notes
    -----
    Of several files of a coin the one that starts first is used (then the one with more bars), and said in ``issues``.
    Without ``coins``, a file that is no hourly history is left out and said in ``issues``. Bad prints are recognised
    and clipped by the bars before them alone, as ``_repaired`` describes: what a forecast sees at an instant must not
    depend on the bar after it.

    Raises
    ------
    InputError
        If the folder is missing or holds no history, a wanted coin has no file, or its only file cannot be used.
    """
    wanted = None if coins is None else {coin.upper() for coin in coins}
    found: dict[str, FactorHistory] = {}
    issues: list[str] = []
    failures: dict[str, InputError] = {}
    for path in _files(folder):
        coin = factor_of_stem(path.stem, {})
        if wanted is not None and coin not in wanted:
            continue
        try:
            history, noticed = _read(path, coin)
        except InputError as error:
            failures[coin] = error
            issues.append(f"left out: {error}")
            continue
        issues += noticed
        kept = found.get(coin)
        if kept is not None:
            history, other = _earlier(kept, history)
            issues.append(f"{coin}: {history.source} used, {other.source} starts later or is shorter")
        found[coin] = history
    missing = sorted((wanted or set()) - set(found))
    if missing and missing[0] in failures:
        raise failures[missing[0]]
    if missing or not found:
        raise InputError(
            f"no hourly history of {', '.join(missing) or 'any coin'}",
            source=str(folder),
            field="--history",
            allowed="a folder of <SYMBOL>.parquet or .csv with ts, open, high, low, close",
        )
    return MarketFiles(histories=dict(sorted(found.items())), issues=tuple(issues))


def _files(folder: Path) -> list[Path]:
    try:
        below = sorted(folder.iterdir())
        inner = [path for entry in below if entry.is_dir() for path in sorted(entry.iterdir())]
    except (FileNotFoundError, NotADirectoryError):
        raise InputError("is no folder", source=str(folder), field="--history", allowed="a folder of prices") from None
    except OSError as error:
        raise InputError(f"could not be read ({error})", source=str(folder), field="--history") from error
    return [path for path in (*below, *inner) if path.suffix.lower() in (".parquet", ".csv") and path.is_file()]


def _read(path: Path, coin: str) -> tuple[FactorHistory, list[str]]:
    # load_history checks the folder of one file at a time: names of two quotes in one folder would clash there
    table = read_bars(path)
    history, issues = _checked(path, coin)
    if history.step_s != SECONDS_PER_HOUR:
        raise InputError(f"had bars of {history.step_s} s", source=str(path), field=coin, allowed="hourly bars")
    place = (table.ts_ns - history.start_utc_ns) // (SECONDS_PER_HOUR * 1_000_000_000)
    raw = []
    for values in table.prices:
        full = np.full(history.close.size, np.nan)
        full[place] = values
        raw.append(full)
    first, high, low, close = raw
    low, high, repaired = _repaired(first, high, low, close)
    return replace(history, low=low, high=high, repaired_bars=repaired), issues


def _checked(path: Path, coin: str) -> tuple[FactorHistory, list[str]]:
    loaded = load_history(path.parent, factors=[coin], as_of=_ALL_TIME, max_age_s=_NO_LIMIT_S)
    return loaded.factors[coin], [text for text in loaded.issues if "bad print" not in text]


def _repaired(
    first: NDArray[np.float64], high: NDArray[np.float64], low: NDArray[np.float64], close: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Clip lows and highs more than 60 % beyond the close before, in a bar that closes within 20 % of it.

    The clip is to the range of the bar before and the body of the bar itself.
    """
    before = np.concatenate([[np.nan], close[:-1]])
    reverts = np.abs(close / before - 1.0) <= BAD_PRINT_REVERT_FRACTION
    low_print = reverts & (low < (1.0 - BAD_PRINT_BEYOND_FRACTION) * before)
    high_print = reverts & (high > (1.0 + BAD_PRINT_BEYOND_FRACTION) * before)
    body_low, body_high = np.fmin(first, close), np.fmax(first, close)
    sound_low, sound_high = np.where(low_print, body_low, low), np.where(high_print, body_high, high)
    left_low, left_high = (np.concatenate([[np.nan], values[:-1]]) for values in (sound_low, sound_high))
    new_low = np.where(low_print, np.fmin(left_low, body_low), np.fmin(low, body_low))
    new_high = np.where(high_print, np.fmax(left_high, body_high), np.fmax(high, body_high))
    return new_low, new_high, int((low_print | high_print).sum())


def _earlier(one: FactorHistory, two: FactorHistory) -> tuple[FactorHistory, FactorHistory]:
    """Return the history that starts first, and the other."""
    rank_one, rank_two = ((bars.start_utc_ns, -bars.close.size) for bars in (one, two))
    return (one, two) if rank_one <= rank_two else (two, one)
