"""Read losses of a house by path: Parquet or CSV with ``loss_usd``, and ``path`` and ``member`` where wanted."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.io.text import read_bytes

_MAX_BYTES = 4 * 1024**3
_COLUMNS = ("loss_usd", "path", "member")


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses by path [path], by member and path [member, path] where the file names members, and the file's hash."""

    loss_usd: NDArray[np.float64]
    member_usd: NDArray[np.float64] | None
    sha256: str


def is_losses(path: Path) -> bool:
    """Whether a table holds a column ``loss_usd``; False for one that holds something else."""
    if path.suffix.lower() == ".toml":
        return False
    return "loss_usd" in _frame(read_bytes(path, max_bytes=_MAX_BYTES), path, n_rows=1).columns


def read_losses(path: Path) -> Losses:
    """Return the losses of a table.

    Raises
    ------
    InputError
        If the table is empty, a column is unknown, only one of ``path`` and ``member`` is there, a loss is below 0,
        absent or no number, or a member stands twice on a path.
    """
    data, source = read_bytes(path, max_bytes=_MAX_BYTES), str(path)
    frame, digest = _frame(data, path), hashlib.sha256(data).hexdigest()
    unknown = sorted(set(frame.columns) - set(_COLUMNS))
    if "loss_usd" not in frame.columns or unknown:
        raise InputError(f"columns were {', '.join(frame.columns)}", source=source, allowed=", ".join(_COLUMNS))
    if not frame.height:
        raise InputError("held no row", source=source, allowed="one loss per path")
    if not frame["loss_usd"].dtype.is_numeric():
        raise InputError(f"was {frame['loss_usd'].dtype}", source=source, field="loss_usd", allowed="numbers >= 0")
    loss = frame["loss_usd"].cast(pl.Float64)
    wrong = (loss.is_null() | ~loss.is_finite() | (loss < 0.0)).fill_null(True)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"was {loss[row]} in row {row + 1}", source=source, field="loss_usd",
            allowed="finite losses >= 0: a gain of the house is a loss of 0",
        )  # fmt: skip
    named = {"path", "member"} & set(frame.columns)
    if not named:
        return Losses(loss_usd=loss.to_numpy(), member_usd=None, sha256=digest)
    if len(named) == 1:
        raise InputError(f"only {named.pop()} was there", source=source, allowed="path and member, or neither")
    return _by_member(frame, loss, source, digest)


def _by_member(frame: pl.DataFrame, loss: pl.Series, source: str, digest: str) -> Losses:
    keys = frame.select("path", "member")
    if any(keys[name].null_count() for name in keys.columns):
        raise InputError("a path or member was absent", source=source, allowed="both in every row")
    if keys.is_duplicated().any():
        path, member = keys.filter(keys.is_duplicated()).row(0)
        raise InputError(f"{member} stood twice on path {path}", source=source, field="member", allowed="once a path")
    at_path, at_member = (keys[name].rank("dense").to_numpy().astype(np.int64) - 1 for name in ("path", "member"))
    table = np.zeros((int(at_member.max()) + 1, int(at_path.max()) + 1))
    table[at_member, at_path] = loss.to_numpy()
    return Losses(loss_usd=table.sum(axis=0), member_usd=table, sha256=digest)


def _frame(data: bytes, path: Path, *, n_rows: int | None = None) -> pl.DataFrame:
    ending = path.suffix.lower()
    try:
        if ending == ".parquet":
            return pl.read_parquet(io.BytesIO(data), n_rows=n_rows)
        if ending == ".csv":
            return pl.read_csv(
                io.BytesIO(data), schema_overrides={"loss_usd": pl.Float64}, n_rows=n_rows, infer_schema_length=None
            )
    except pl.exceptions.PolarsError as error:
        raise InputError(f"did not read: {error}", source=str(path), allowed="a Parquet or CSV table") from None
    raise InputError(f"the name ended in '{ending}'", source=str(path), allowed=".parquet, .csv or .toml")
