"""Read one file of bars to arrays, and tell which factor a file name means."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.io.text import read_bytes
from margincover.units import parse_utc, utc_ns

MAX_HISTORY_BYTES = 1024 * 1024 * 1024
_QUOTES = ("USDT", "USDC", "USD")
_INTERVAL = re.compile(r"[-_. ]\d+(s|m|min|h|d|w)$", re.IGNORECASE)
_CONTRACT = re.compile(r"[-_. ]?(PERP|SWAP)$", re.IGNORECASE)
_SIZE_PREFIX = re.compile(r"^(1(000)+(?=[A-Z])|k(?=[A-Z]))")
_MS = 1_000_000
_NS_PER_S = 1_000_000_000
# Epoch numbers of the years 2001 to 2286 have 13 digits in milliseconds and 19 in nanoseconds.
_MS_RANGE = (10**12, 10**13)
_NS_RANGE = (10**18, 2**63 - 1)

Prices = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarTable:
    """Bars as they stand in a file: open times and (open, high, low, close), with the row number of the first bar."""

    ts_ns: NDArray[np.int64]
    prices: Prices
    rows: NDArray[np.int64]
    source: str
    sha256: str
    issues: tuple[str, ...] = ()

    def row(self, index: int) -> int:
        """Return the number of the row in the file, 1 for the first row of data."""
        return int(self.rows[index])

    def kept(self, mask: NDArray[np.bool_]) -> BarTable:
        """Return the bars where ``mask`` is True."""
        first, high, low, close = (values[mask] for values in self.prices)
        return replace(self, ts_ns=self.ts_ns[mask], rows=self.rows[mask], prices=(first, high, low, close))

    def with_prices(self, prices: Prices) -> BarTable:
        """Return the same bars with other prices."""
        return replace(self, prices=prices)


def factor_of_stem(stem: str, aliases: Mapping[str, str]) -> str:
    """Return the factor that a file name without its ending means.

    Examples
    --------
    >>> [factor_of_stem(stem, {"XBT": "BTC"}) for stem in ("BTCUSDT", "ETH-USDC-1h", "1000PEPEUSDT", "XBT_USD")]
    ['BTC', 'ETH', 'PEPE', 'BTC']
    """
    name = _INTERVAL.sub("", stem)
    name = _CONTRACT.sub("", name) or name
    for quote in _QUOTES:
        if name.upper().endswith(quote):
            # A coin that is itself a dollar (USDT) keeps its name.
            name = name[: -len(quote)].rstrip("-_. ") or name
            break
    name = _SIZE_PREFIX.sub("", name).upper()
    return aliases.get(name, name)


def read_bars(path: Path) -> BarTable:
    """Return the bars of a Parquet or CSV file as they stand there.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, misses a column, or a cell is not a time or a number.
    """
    content = read_bytes(path, max_bytes=MAX_HISTORY_BYTES)
    source = str(path)
    frame = _frame(content, source, is_csv=path.suffix.lower() == ".csv")
    for name in ("ts", "high", "low", "close"):
        if name not in frame.columns:
            raise InputError(
                f"column '{name}' was missing (found {', '.join(frame.columns)})",
                source=source,
                allowed="ts, open, high, low, close",
            )
    if frame.height == 0:
        raise InputError("held no bars", source=source, allowed="at least 3 bars")
    ts_ns = _times(frame["ts"], source)
    high, low, close = (_prices(frame[name], source) for name in ("high", "low", "close"))
    issues: tuple[str, ...] = ()
    if "open" in frame.columns:
        first = _prices(frame["open"], source)
    else:
        # Mark files carry no open. The close before may lie outside this bar's range after a jump.
        before = np.concatenate([close[:1], close[:-1]])
        first = np.clip(before, np.minimum(low, high), high)
        issues = ("no column open: each bar opens at the close before, inside its own range",)
    return BarTable(
        ts_ns=ts_ns,
        prices=(first, high, low, close),
        rows=np.arange(1, len(ts_ns) + 1),
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        issues=issues,
    )


def _frame(content: bytes, source: str, *, is_csv: bool) -> pl.DataFrame:
    try:
        if is_csv:
            # All cells as text: what is not a number is then named with its row.
            return pl.read_csv(io.BytesIO(content), infer_schema=False, encoding="utf8")
        return pl.read_parquet(io.BytesIO(content), use_pyarrow=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"could not be read as {'CSV' if is_csv else 'Parquet'}: {reason}",
            source=source,
            allowed="a table with ts, open, high, low, close",
        ) from None


def _prices(column: pl.Series, source: str) -> NDArray[np.float64]:
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        raise InputError(f"column '{column.name}' was {column.dtype}", source=source, allowed="numbers")
    text = column.str.strip_chars() if column.dtype == pl.String else column
    values = text.cast(pl.Float64, strict=False)
    wrong = values.is_null().to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"row {row + 1}: {column.name} was {column[row]!r}", source=source, allowed="a finite price > 0"
        )
    return values.to_numpy().astype(np.float64)


def _times(column: pl.Series, source: str) -> NDArray[np.int64]:
    if column.null_count():
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError(f"row {row + 1}: ts was empty", source=source, allowed="the UTC time of the bar's open")
    if isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone is None:
            raise InputError("ts had no time zone", source=source, allowed="UTC times, as datetime with zone UTC")
        return column.cast(pl.Datetime("ns", column.dtype.time_zone)).to_physical().to_numpy()
    if column.dtype == pl.String:
        digits = column.str.contains(r"^\d+$").all()
        if not digits:
            return np.array([_text_ns(text, row, source) for row, text in enumerate(column, start=1)], dtype=np.int64)
        column = column.cast(pl.Int64, strict=False)
    if not column.dtype.is_integer() or column.null_count():
        raise InputError(
            f"ts was {column.dtype}", source=source, allowed="UTC datetime, ISO-8601 text with zone, or epoch ms or ns"
        )
    return _epoch_ns(column.cast(pl.Int64).to_numpy(), source)


def _text_ns(text: str, row: int, source: str) -> int:
    try:
        return utc_ns(parse_utc(text.strip(), field=f"row {row}: ts"))
    except InputError as error:
        raise error.located(source=source) from None


def _epoch_ns(values: NDArray[np.int64], source: str) -> NDArray[np.int64]:
    for (low, high), scale in ((_MS_RANGE, _MS), (_NS_RANGE, 1)):
        if ((values >= low) & (values <= high)).all():
            return values * scale
    raise InputError(
        f"ts held numbers from {values.min()} to {values.max()}",
        source=source,
        allowed="epoch milliseconds (13 digits) or nanoseconds (19 digits), the same unit in all rows",
    )
