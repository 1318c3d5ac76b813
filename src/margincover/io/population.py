"""Read a population of accounts: a table of positions (Parquet, CSV) or a description to make one from (TOML).

Columns of the table, one row per position: ``account`` (rows of one account share its collateral), ``coin``, ``side``
(long or short), ``size`` (coins, above 0), ``entry`` (USD), ``collateral`` (USD; the sum over an account's rows
counts), ``maintenance_fraction`` (maintenance / notional of the position), and where wanted ``venue`` (``main`` without
it) and ``mark`` (USD, one per market; prices by coin may be given instead).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from margincover.clearing.population import Market, Population, TierTable
from margincover.errors import InputError
from margincover.io.population_spec import SpecPopulation, spec_population
from margincover.io.text import decode_text, read_bytes

_MAX_BYTES = 4 * 1024**3
_TEXTS = ("account", "coin", "side")
_NUMBERS = ("size", "entry", "collateral", "maintenance_fraction")
_OPTIONAL = ("venue", "mark")
_MAX_FRACTIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPopulation:
    """A population with what its file says beside it: depth and bound by market, fund by venue, empty for a table."""

    population: Population
    depth_usd: Mapping[str, float]
    bound_fraction: Mapping[str, float]
    fund_usd: Mapping[str, float]
    sources: tuple[str, ...]
    sha256: str


def read_population(path: Path, *, prices: Mapping[str, float], seed: int) -> LoadedPopulation:
    """Return the population of a file.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.csv`` or ``.toml``.
    prices : mapping
        Mark by coin, for a table without marks.
    seed : int
        For a description; a table does not use it.

    Raises
    ------
    InputError
        If the file does not read, a column is missing or unknown, or a value cannot be used.
    """
    data, source, ending = read_bytes(path, max_bytes=_MAX_BYTES), str(path), path.suffix.lower()
    digest = hashlib.sha256(data).hexdigest()
    if ending == ".toml":
        made: SpecPopulation = spec_population(decode_text(data, source), source=source, seed=seed)
        return LoadedPopulation(
            population=made.population,
            depth_usd=made.depth_usd,
            bound_fraction=made.bound_fraction,
            fund_usd=made.fund_usd,
            sources=made.sources,
            sha256=digest,
        )
    population = population_of_table(_frame(data, ending, source), source=source, prices=prices)
    return LoadedPopulation(
        population=population, depth_usd={}, bound_fraction={}, fund_usd={}, sources=(), sha256=digest
    )


def _frame(data: bytes, ending: str, source: str) -> pl.DataFrame:
    try:
        if ending == ".parquet":
            return pl.read_parquet(io.BytesIO(data))
        if ending == ".csv":
            return pl.read_csv(io.BytesIO(data), schema_overrides={"account": pl.String})
    except pl.exceptions.PolarsError as error:
        raise InputError(f"did not read: {error}", source=source, allowed="a Parquet or CSV table") from None
    raise InputError(f"the name ended in '{ending}'", source=source, allowed=".parquet, .csv or .toml")


def population_of_table(frame: pl.DataFrame, *, source: str, prices: Mapping[str, float]) -> Population:
    """Return the population of a table of positions; see the module for its columns.

    Raises
    ------
    InputError
        If a column is missing or unknown, a value is absent or out of range, or a market has no mark or several.
    """
    if not frame.height:
        raise InputError("held no row", source=source, allowed="at least one position")
    table = _checked(frame, source)
    code = table["account"].rank("dense").to_numpy() if table["account"].dtype != pl.String else None
    code = table["account"].cast(pl.Categorical).to_physical().to_numpy() if code is None else code
    order = np.argsort(code, kind="stable")
    start = np.flatnonzero(np.concatenate([[True], np.diff(code[order].astype(np.int64)) != 0])).astype(np.int64)
    markets, where = _markets(table, source, prices)
    column = {name: table[name].to_numpy()[order] for name in _NUMBERS}
    fractions, number = np.unique(column["maintenance_fraction"], return_inverse=True)
    if fractions.size > _MAX_FRACTIONS:
        raise InputError(
            f"held {fractions.size} different values", source=source, field="maintenance_fraction",
            allowed=f"at most {_MAX_FRACTIONS}: round up to the tiers of the venue",
        )  # fmt: skip
    sign = np.where((table["side"] == "long").to_numpy()[order], 1.0, -1.0)
    return Population(
        markets=markets,
        start=np.append(start, order.size),
        market=where[order],
        quantity=sign * column["size"],
        entry=column["entry"],
        table=number.astype(np.int32),
        collateral_usd=np.add.reduceat(column["collateral"], start),
        tables=tuple(TierTable.flat(float(fraction)) for fraction in fractions),
        source=source,
    )


def _checked(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    names, wanted = set(frame.columns), {*_TEXTS, *_NUMBERS}
    if not wanted <= names:
        missing = ", ".join(sorted(wanted - names))
        raise InputError(f"columns missing: {missing}", source=source, allowed=", ".join([*_TEXTS, *_NUMBERS]))
    unknown = sorted(names - wanted - set(_OPTIONAL))
    if unknown:
        raise InputError(
            f"columns unknown: {', '.join(unknown)}", source=source,
            allowed=", ".join([*_TEXTS, *_NUMBERS, *_OPTIONAL]),
        )  # fmt: skip
    for name in _NUMBERS + (("mark",) if "mark" in names else ()):
        if not frame[name].dtype.is_numeric():
            raise InputError(f"held {frame[name].dtype}", source=source, field=name, allowed="numbers")
    frame = frame.with_columns(
        pl.col(*(name for name in (*_NUMBERS, "mark") if name in names)).cast(pl.Float64),
        pl.col("side").cast(pl.String).str.to_lowercase(),
        pl.col("coin").cast(pl.String),
        pl.lit("main").alias("venue") if "venue" not in names else pl.col("venue").cast(pl.String),
    )
    for name in frame.columns:
        _require(frame[name].is_null(), frame[name], source, name, "a value in every row")
    for name in ("size", "entry"):
        _require(~(frame[name].is_finite() & (frame[name] > 0.0)), frame[name], source, name, "finite and above 0")
    _require(~frame["collateral"].is_finite(), frame["collateral"], source, "collateral", "finite USD")
    fraction = frame["maintenance_fraction"]
    _require(~((fraction > 0.0) & (fraction < 1.0)), fraction, source, "maintenance_fraction", "above 0, below 1")
    _require(~frame["side"].is_in(["long", "short"]), frame["side"], source, "side", "long or short")
    return frame


def _require(wrong: pl.Series, values: pl.Series, source: str, field: str, allowed: str) -> None:
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        found = str(values[row])
        count = int(wrong.sum())
        raise InputError(f"was {found} in row {row + 1}, and so in {count} rows", source=source, field=field,
                         allowed=allowed)  # fmt: skip


def _markets(
    table: pl.DataFrame, source: str, prices: Mapping[str, float]
) -> tuple[tuple[Market, ...], np.ndarray[tuple[int], np.dtype[np.int32]]]:
    keys = table.select("coin", "venue").unique(maintain_order=True).with_row_index("number")
    where = table.select("coin", "venue").join(keys, on=["coin", "venue"], how="left", maintain_order="left")["number"]
    markets = []
    for coin, venue in keys.select("coin", "venue").iter_rows():
        if coin in prices:
            mark = float(prices[coin])
        elif "mark" in table.columns:
            found = table.filter((pl.col("coin") == coin) & (pl.col("venue") == venue))["mark"].to_numpy()
            if np.unique(found).size != 1:
                raise InputError(
                    f"{coin} at {venue} had {np.unique(found).size} different marks, {found.min()} to {found.max()}",
                    source=source, field="mark", allowed="one mark per market",
                )  # fmt: skip
            mark = float(found[0])
        else:
            raise InputError(
                f"none for {coin}", source=source, field="mark", allowed="a column mark, or --price COIN=USD"
            )
        markets.append(Market(coin=coin, venue=venue, mark=mark))
    return tuple(markets), where.to_numpy().astype(np.int32)
