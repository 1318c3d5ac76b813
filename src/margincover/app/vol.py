"""Volatility assessment: every model side by side per coin, with walk-forward forecast scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from margincover.errors import InputError, StaleDataError, UsageError
from margincover.io.history import load_history
from margincover.io.history_table import factor_of_stem
from margincover.io.implied_series import load_implied_series
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind
from margincover.model.provenance import Provenance
from margincover.model.scenario import History
from margincover.model.volatility import CoinVolatility, ImpliedSeries, ModelVolatility, VolatilityResult
from margincover.scenarios.volatility_assess import assess
from margincover.scenarios.volatility_bars import day_bars
from margincover.scenarios.volatility_models import REFIT_DAYS
from margincover.units import format_utc
from margincover.version import __version__

DEFAULT_DAYS = 365
MAX_DAYS = 3_650
_EVER = datetime(2200, 1, 1, tzinfo=UTC)
_NO_LIMIT_S = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class VolReport:
    """A volatility assessment; ``exit_code`` is 0, or 3 when a coin could not be assessed."""

    result: VolatilityResult

    @property
    def exit_code(self) -> int:
        """0 when every coin was assessed, 3 (data unknown) when one was not."""
        return 3 if self.result.failed else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_vol import volatility_to_dict

        return json.dumps(volatility_to_dict(self.result), indent=indent, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class VolSettings:
    """What is asked.

    Parameters
    ----------
    coins : sequence of str
        Empty takes the coins of the book, or all of the folder.
    dvol : mapping of str to path
        Files of an index of implied volatility by coin.
    days : int
        Days of the walk-forward, 30 to 3,650.
    as_of : datetime or None
        Bars that close later are not read; None takes the book's, or all bars.
    """

    coins: Sequence[str] = ()
    dvol: Mapping[str, Path] = field(default_factory=dict)
    days: int = DEFAULT_DAYS
    as_of: datetime | None = None


def vol(
    history: Path | str,
    settings: VolSettings | None = None,
    *,
    book: Book | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> VolReport:
    """Return volatility levels, forecasts and forecast scores of coins.

    Parameters
    ----------
    history : path
        Folder of hourly or daily bars; see ``io.history``.
    settings : VolSettings or None
    book : Book or None
        Gives ``as_of``, the largest age of the bars, stated and implied volatilities.
    progress : callable or None
        Called with (coin, model).

    Raises
    ------
    UsageError
        If ``days`` is out of range, a coin was named twice, or an index is of a coin that is not assessed.
    InputError
        If no coin is asked for, or a file of an index cannot be used. A coin whose bars cannot be used stands in
        ``result.failed`` with the reason.
    """
    chosen = settings or VolSettings()
    days = chosen.days
    if not 30 <= days <= MAX_DAYS:
        raise UsageError(f"was {days}", field="--days", allowed=f"30 to {MAX_DAYS}")
    wanted = _wanted(history, chosen.coins, book)
    series = {coin: load_implied_series(path, coin=coin) for coin, path in chosen.dvol.items()}
    for coin in series:
        if coin not in wanted:
            raise UsageError(f"was of {coin}", field="--dvol", allowed=f"an index of {', '.join(wanted)}")
    until = chosen.as_of or (book.as_of if book is not None else _EVER)
    found: list[CoinVolatility] = []
    failed: dict[str, str] = {}
    digests: list[str] = []
    for coin in wanted:
        try:
            bars = _bars(history, coin, until, book)
            found.append(_assessed(bars, coin, days, series.get(coin), book, progress))
            digests.append(bars.sha256)
        except InputError as error:
            failed[coin] = str(error)
    return VolReport(
        result=VolatilityResult(
            coins=tuple(found),
            failed=failed,
            days=days,
            provenance=Provenance(
                version=__version__,
                as_of=max((coin.end_utc for coin in found), default="") if until is _EVER else format_utc(until),
                input_sha256=" ".join(digests),
                settings={"days scored": str(days), "refit": f"every {REFIT_DAYS} days"},
                warnings=tuple(_uneven_ends(found)),
            ),
        )
    )


def _wanted(folder: Path | str, coins: Sequence[str], book: Book | None) -> list[str]:
    doubled = sorted({coin for coin in coins if list(coins).count(coin) > 1})
    if doubled:
        raise UsageError(f"{', '.join(doubled)} stood twice", field="--coins", allowed="every coin once")
    if coins:
        return list(coins)
    if book is not None:
        held = {(a.venue, p.symbol) for a in book.accounts for p in a.positions}
        found = {book.instruments[key].factor for key in held}
    else:
        files = Path(folder).iterdir() if Path(folder).is_dir() else ()
        found = {factor_of_stem(path.stem, {}) for path in files if path.suffix.lower() in (".parquet", ".csv")}
    if not found:
        raise InputError(
            "held no coin" if book is None else "the book holds no position",
            source=str(folder) if book is None else book.source,
            field="--coins",
            allowed="a folder of <SYMBOL>.parquet or .csv, or coins by --coins",
        )
    return sorted(found)


def _bars(folder: Path | str, coin: str, until: datetime, book: Book | None) -> History:
    age = _NO_LIMIT_S if book is None else book.max_history_age_s
    try:
        return load_history(folder, factors=[coin], as_of=until, max_age_s=age)
    except StaleDataError as error:
        raise error.located(field=coin) from error


def _assessed(  # one coin with everything known of it
    bars: History,
    coin: str,
    days: int,
    series: ImpliedSeries | None,
    book: Book | None,
    progress: Callable[[str, str], None] | None,
) -> CoinVolatility:
    done = assess(
        day_bars(bars.factors[coin]),
        days=days,
        implied=series,
        progress=None if progress is None else lambda name: progress(coin, name),
    )
    stated = () if book is None else tuple(_from_book(book, coin))
    return replace(done, models=(*done.models, *stated), notes=(*done.notes, *bars.issues))


def _from_book(book: Book, coin: str) -> list[ModelVolatility]:
    """Return what the book states: its own volatility of the coin, and that of the option nearest the money."""
    found = []
    if coin in book.market.volatility_annual:
        found.append(_level("stated in the book", book.market.volatility_annual[coin]))
    nearest: tuple[float, float, str, float] | None = None
    for account in book.accounts:
        for position in account.positions:
            instrument = book.instruments[(account.venue, position.symbol)]
            if instrument.kind is not Kind.OPTION or instrument.factor != coin:
                continue
            implied = position.implied_volatility or book.market.option_volatility(
                instrument_id=instrument.id, symbol=position.symbol
            )
            forward = position.forward_price or _forward(book, instrument, position.symbol)
            if implied is not None and forward is not None:
                candidate = (_off_money(instrument, forward), *_expiry_key(instrument), implied)
                nearest = candidate if nearest is None else min(nearest, candidate)
    if nearest is not None:
        found.append(_level(f"implied, {nearest[2]}", nearest[3]))
    return found


def _forward(book: Book, instrument: Instrument, symbol: str) -> float | None:
    assert instrument.expiry is not None, "Invariant: an option has an expiry"
    return book.market.forward(
        instrument_id=instrument.id, symbol=symbol, base=instrument.base, expiry=instrument.expiry
    )


def _off_money(instrument: Instrument, forward: float) -> float:
    assert instrument.strike is not None, "Invariant: an option has a strike"
    # Hundredths: between options equally near the money the nearer expiry speaks for the horizons shown.
    return round(abs(instrument.strike / forward - 1.0), 2)


def _expiry_key(instrument: Instrument) -> tuple[float, str]:
    assert instrument.expiry is not None, "Invariant: an option has an expiry"
    return instrument.expiry.timestamp(), instrument.venue_symbol


def _level(name: str, annual: float) -> ModelVolatility:
    return ModelVolatility(name=name, level_annual=annual, one_day_annual=annual, five_days_annual=annual, scores=None)


def _uneven_ends(found: Sequence[CoinVolatility]) -> list[str]:
    ends = sorted({coin.end_utc for coin in found})
    return [f"the bars of the coins end at different times, {ends[0]} to {ends[-1]}"] if len(ends) > 1 else []
