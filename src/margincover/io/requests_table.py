"""Requests for forecasts: a table of (series, instant, horizon, tolerance) in, the same table with answers out."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.io.output import write_atomically
from margincover.io.text import read_bytes
from margincover.units import parse_utc, utc_ns

COLUMNS = ("series_id", "forecast_ts", "horizon_h", "tolerance")
MAX_BYTES = 256 * 1024 * 1024
MAX_HORIZON_H = 720
_ALLOWED = "series_id (BTC:long), forecast_ts (UTC), horizon_h (1 to 720), tolerance (0.0001 to below 0.5)"
# Epoch seconds, milliseconds, microseconds and nanoseconds of the years 2001 to 2286, by their number of digits.
_EPOCH_DIGITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsTable:
    """Requests [row] in the order of the file.

    Parameters
    ----------
    coin : tuple of str
    is_short : array of bool
    forecast_utc_ns, horizon_hours : array of int
    tolerance : array of float
    """

    coin: tuple[str, ...]
    is_short: NDArray[np.bool_]
    forecast_utc_ns: NDArray[np.int64]
    horizon_hours: NDArray[np.int64]
    tolerance: NDArray[np.float64]
    frame: pl.DataFrame


def read_requests(path: Path) -> RequestsTable:
    """Return the requests in a CSV or Parquet file; further columns are kept and written back.

    Raises
    ------
    InputError
        If a column is missing or a cell cannot be read; the row is named.
    """
    source = str(path)
    frame = _frame(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InputError(f"no column {', '.join(missing)}", source=source, allowed=_ALLOWED)
    if frame.height == 0:
        raise InputError("held no requests", source=source, allowed=_ALLOWED)
    coins, sides = zip(*(_series(text, row, source) for row, text in enumerate(frame["series_id"], 1)), strict=True)
    horizon, tolerance = (_numbers(frame[name], source) for name in ("horizon_h", "tolerance"))
    _require(horizon, (horizon >= 1) & (horizon <= MAX_HORIZON_H) & (horizon == np.floor(horizon)), "horizon_h", source)
    _require(tolerance, (tolerance >= 1e-4) & (tolerance < 0.5), "tolerance", source)
    return RequestsTable(
        coin=coins,
        is_short=np.array(sides),
        forecast_utc_ns=_times(frame["forecast_ts"], source),
        horizon_hours=horizon.astype(np.int64),
        tolerance=tolerance,
        frame=frame,
    )


def write_answers(
    path: Path, requests: RequestsTable, *, rc: NDArray[np.float64], rces: NDArray[np.float64], model: list[str]
) -> None:
    """Write the requests with the columns rc, rces and model to CSV or, for a name that ends so, Parquet."""
    frame = requests.frame.with_columns(pl.Series("rc", rc), pl.Series("rces", rces), pl.Series("model", model))
    buffer = io.BytesIO()
    if path.suffix.lower() == ".parquet":
        frame.write_parquet(buffer)
    else:
        frame.write_csv(buffer)
    write_atomically(path, buffer.getvalue(), option="--out FILE")


def _frame(path: Path) -> pl.DataFrame:
    content = read_bytes(path, max_bytes=MAX_BYTES)
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(io.BytesIO(content), use_pyarrow=False)
        # all cells as text: what cannot be read is then named with its row
        return pl.read_csv(io.BytesIO(content), infer_schema=False, encoding="utf8")
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"could not be read: {reason}", source=str(path), allowed=_ALLOWED) from None


def _series(text: str | None, row: int, source: str) -> tuple[str, bool]:
    coin, _, side = (text or "").strip().rpartition(":")
    if not coin or side.lower() not in ("long", "short"):
        raise InputError(
            f"row {row}: was '{text}'", source=source, field="series_id", allowed="COIN:long or COIN:short"
        )
    return coin.upper(), side.lower() == "short"


def _numbers(column: pl.Series, source: str) -> NDArray[np.float64]:
    values = column.cast(pl.Float64, strict=False)
    wrong = values.is_null().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"row {row + 1}: was {column[row]!r}", source=source, field=column.name, allowed="a number")
    return values.to_numpy().astype(np.float64)


def _require(values: NDArray[np.float64], legal: NDArray[np.bool_], name: str, source: str) -> None:
    if not legal.all():
        row = int(np.argmin(legal))
        raise InputError(f"row {row + 1}: was {values[row]:g}", source=source, field=name, allowed=_ALLOWED)


def _times(column: pl.Series, source: str) -> NDArray[np.int64]:
    if column.null_count():
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError(f"row {row + 1}: was empty", source=source, field=column.name, allowed="a UTC instant")
    if isinstance(column.dtype, pl.Datetime):
        # an instant without a zone is read as UTC: the column is stated to be UTC
        naive = column.dt.replace_time_zone(None) if column.dtype.time_zone in (None, "UTC") else None
        if naive is None:
            naive = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return naive.cast(pl.Datetime("ns")).to_physical().to_numpy().astype(np.int64)
    if column.dtype.is_integer():
        return np.array([_epoch(int(value), row, source) for row, value in enumerate(column, 1)], dtype=np.int64)
    texts = column.cast(pl.String)
    return np.array([_instant(text.strip(), row, source) for row, text in enumerate(texts, 1)], dtype=np.int64)


def _instant(text: str, row: int, source: str) -> int:
    if text.isdigit():
        return _epoch(int(text), row, source)
    zoned = text if text.endswith("Z") or "+" in text[10:] or "-" in text[10:] else f"{text}Z"
    try:
        return utc_ns(parse_utc(zoned, field=f"row {row}: forecast_ts"))
    except InputError as error:
        raise error.located(source=source) from None


def _epoch(value: int, row: int, source: str) -> int:
    scale = _EPOCH_DIGITS.get(int(math.log10(value)) + 1) if value > 0 else None
    if scale is None:
        raise InputError(
            f"row {row}: was {value}", source=source, field="forecast_ts", allowed="epoch s, ms, us or ns, or ISO-8601"
        )
    return value * scale
