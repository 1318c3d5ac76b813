"""Read an index of implied volatility (such as DVOL) from a CSV or Parquet file."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from margincover.errors import InputError
from margincover.io.text import read_bytes
from margincover.model.volatility import ImpliedSeries
from margincover.units import parse_utc, utc_ns

MAX_BYTES = 256 * 1024 * 1024
# The index is published in per cent; no coin was ever below 3, and nothing above 1,000 was seen.
_PERCENT_RANGE = (3.0, 1_000.0)
_VALUE_COLUMNS = ("dvol_close", "dvol", "close", "value")


def load_implied_series(path: Path, *, coin: str) -> ImpliedSeries:
    """Return an index of implied volatility.

    Parameters
    ----------
    path : path
        Columns ``ts`` (UTC, open of the bar) and one of ``dvol_close``, ``dvol``, ``close``, ``value`` in per cent.
    coin : str

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a time does not ascend or has no zone, or a value is not a
        percentage from 3 to 1,000.

    Notes
    -----
    A value counts as known one step (the most common distance of the times) after its ``ts``.
    """
    source = str(path)
    frame = _frame(path)
    column = next((name for name in _VALUE_COLUMNS if name in frame.columns), None)
    if "ts" not in frame.columns or column is None:
        raise InputError(
            f"columns were {', '.join(frame.columns)}",
            source=source,
            allowed=f"ts and one of {', '.join(_VALUE_COLUMNS)}",
        )
    if frame.height < 2:
        raise InputError(f"held {frame.height} rows", source=source, allowed="at least 2 rows")
    percent = frame[column].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    wrong = ~((percent >= _PERCENT_RANGE[0]) & (percent <= _PERCENT_RANGE[1]))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"row {row + 1}: {column} was {frame[column][row]!r}",
            source=source,
            allowed="per cent from 3 to 1,000 (52.5, not 0.525)",
        )
    times = _times(frame["ts"], source)
    difference = np.diff(times)
    if (difference <= 0).any():
        row = int(np.argmax(difference <= 0)) + 2
        raise InputError(f"row {row}: ts did not ascend", source=source, allowed="times in ascending order")
    step, _ = Counter(difference.tolist()).most_common(1)[0]
    return ImpliedSeries(coin=coin, known_utc_ns=times + step, volatility_annual=percent / 100.0, source=source)


def _frame(path: Path) -> pl.DataFrame:
    content = read_bytes(path, max_bytes=MAX_BYTES)
    try:
        if path.suffix.lower() == ".csv":
            return pl.read_csv(io.BytesIO(content), infer_schema=False, encoding="utf8")
        return pl.read_parquet(io.BytesIO(content), use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"could not be read: {reason}", source=str(path), allowed="a CSV or Parquet table") from None


def _times(column: pl.Series, source: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    if column.null_count():
        raise InputError("ts was empty in a row", source=source, allowed="UTC times")
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        return column.cast(pl.Datetime("ns", column.dtype.time_zone)).to_physical().to_numpy()
    if column.dtype == pl.String:
        try:
            found = [utc_ns(parse_utc(text.strip(), field=f"row {row}: ts")) for row, text in enumerate(column, 1)]
        except InputError as error:
            raise error.located(source=source) from None
        return np.array(found, dtype=np.int64)
    raise InputError(f"ts was {column.dtype}", source=source, allowed="UTC times: datetime with zone, or ISO-8601 text")
