"""Numbers as text: the only place where a figure is rounded.

Requirements are rounded up and collateral down, so that what is read is never safer than what was computed.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from itertools import pairwise

from margincover.errors import InputError
from margincover.model.results import Estimate, Reconciliation
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

ABSENT = "-"

_AMOUNT_DIGITS = 5  # significant digits of an amount; whole units are never dropped
_PRICE_DIGITS = 7
_MAX_DECIMALS = 8  # the smallest unit of most coins, 1e-8
_BILLIONS_FROM = 1e10
_SCIENTIFIC_FROM = 1e27  # Decimal keeps 28 digits


# A move beyond this is no distance that anybody acts on.
FAR_MOVE = 10.0


class Rounding(Enum):
    """Direction of rounding: requirements UP, collateral DOWN, all else NEAREST."""

    UP = ROUND_CEILING
    DOWN = ROUND_FLOOR
    NEAREST = ROUND_HALF_EVEN


def finite(value: float, *, field: str, account: str | None = None) -> float:
    """Return the value as a float, or raise: a report never shows NaN or infinity.

    Raises
    ------
    InputError
        If the value is not finite.
    """
    if not math.isfinite(value):
        raise InputError(f"was {value}", account=account, field=field, allowed="a finite number")
    return float(value)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _rounded(value: float, *, decimals: int, rounding: Rounding) -> Decimal:
    # 12 digits first: the noise of binary fractions must not push 0.1 + 0.2 up to 0.30001.
    exact = Decimal(f"{value:.12g}")
    result = exact.quantize(Decimal(1).scaleb(-decimals), rounding=rounding.value)
    return abs(result) if result == 0 else result


def _plain(value: Decimal) -> str:
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(value: float, *, rounding: Rounding = Rounding.NEAREST, digits: int = _AMOUNT_DIGITS) -> str:
    """Return a number with thousands separators and sensible digits.

    Parameters
    ----------
    value : float
        Any unit; must be finite.
    rounding : Rounding
    digits : int
        Significant digits; whole units are always kept, decimals stop at 8. From 1e10 on, in billions (``bn``).

    Raises
    ------
    InputError
        If the value is not finite.

    Examples
    --------
    >>> number(41234.2, rounding=Rounding.UP), number(0.351234, rounding=Rounding.DOWN), number(-41.7)
    ('41,235', '0.35123', '-41.7')
    """
    finite(value, field="number")
    if value == 0:
        return "0"
    if abs(value) >= _SCIENTIFIC_FROM:
        return f"{value:.4e}"
    if abs(value) >= _BILLIONS_FROM:
        return f"{number(value / 1e9, rounding=rounding, digits=digits)} bn"
    decimals = min(_MAX_DECIMALS, max(0, digits - 1 - _magnitude(value)))
    result = _rounded(value, decimals=decimals, rounding=rounding)
    if result == 0:
        return "< 0.00000001" if value > 0 else "> -0.00000001"
    return _plain(result)


def native(value: float, unit: str, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """Return an amount with its asset: ``"0.35 BTC"``.

    Examples
    --------
    >>> native(0.1 + 0.2, "BTC", rounding=Rounding.UP)
    '0.3 BTC'
    """
    return f"{number(value, rounding=rounding)} {unit}"


def usd(value: float, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """Return dollars: whole from 1,000 on, cents below.

    Raises
    ------
    InputError
        If the value is not finite.

    Examples
    --------
    >>> usd(1234567.2, rounding=Rounding.UP), usd(12.345, rounding=Rounding.DOWN)
    ('1,234,568 USD', '12.34 USD')
    """
    finite(value, field="usd")
    if abs(value) >= _BILLIONS_FROM:
        return f"{number(value, rounding=rounding)} USD"
    decimals = 0 if abs(value) >= 1000 else 2
    result = _rounded(value, decimals=decimals, rounding=rounding)
    if result == 0 and value != 0:
        return "< 0.01 USD" if value > 0 else "> -0.01 USD"
    return f"{0 if result == 0 else result:,} USD"


def price(value: float | None, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """Return a price with 7 significant digits, ``"-"`` for None."""
    return ABSENT if value is None else number(value, rounding=rounding, digits=_PRICE_DIGITS)


def ratio(value: float | None) -> str:
    """Return a coverage ratio, rounded down to two decimals, ``"-"`` for None.

    Down, because 0.999 must not read as 1.00.

    Examples
    --------
    >>> ratio(0.999), ratio(None), ratio(123456.0)
    ('0.99', '-', '> 1,000')
    """
    if value is None:
        return ABSENT
    finite(value, field="coverage_ratio")
    if value > 1000:
        return "> 1,000"
    if value < -1000:
        return "< -1,000"
    return f"{_rounded(value, decimals=2, rounding=Rounding.DOWN):,f}"


def percent(value: float | None, *, decimals: int = 2) -> str:
    """Return a fraction in per cent without trailing zeros: 0.01 is ``"1 %"``; ``"-"`` for None.

    Examples
    --------
    >>> percent(0.01), percent(-0.12346), percent(1e-06)
    ('1 %', '-12.35 %', '0.0001 %')
    """
    if value is None:
        return ABSENT
    scaled = finite(value, field="fraction") * 100
    if scaled != 0 and abs(scaled) < 10.0**-decimals:
        decimals = min(12, -_magnitude(scaled) + 1)
    return f"{_plain(_rounded(scaled, decimals=decimals, rounding=Rounding.NEAREST))} %"


def move_text(move: float, *, decimals: int = 2) -> str:
    """Return a move of all coins with its sign; one beyond +1,000 % is only said to be so."""
    if move > FAR_MOVE:
        return f"> +{percent(FAR_MOVE, decimals=0)}"
    return f"{'+' if move > 0 else ''}{percent(move, decimals=decimals)}"


def _probability_decimals(low: float, value: float, high: float) -> int:
    """Decimals (of per cent) that show two digits of the interval and at least one of the value and of its rest."""
    decimals = 0
    if high > low:
        decimals = 1 - _magnitude(high - low)
    decimals = max(decimals, -_magnitude(value), -_magnitude(float(f"{100 - value:.6g}")))
    return min(8, max(0, decimals))


def probability(estimate: Estimate, *, field: str = "probability") -> str:
    """Return a simulated probability in per cent with its 95 % interval.

    Parameters
    ----------
    estimate : Estimate
        Fractions, 0 <= low <= value <= high <= 1.

    Returns
    -------
    str
        ``"1.32 % (1.18-1.47)"``. Without a single hit ``"< 0.003 %"`` from the upper end of the interval, with hits
        on all paths ``"> 99.9 %"`` from the lower end. ``"none"`` and ``"certain"`` stand only where the interval
        itself is a point, that is where nothing was left to chance.

    Raises
    ------
    InputError
        If the four figures are not finite or not in order.

    Examples
    --------
    >>> probability(Estimate(value=0.0132, standard_error=0.0007, low=0.0118, high=0.0147))
    '1.32 % (1.18-1.47)'
    >>> probability(Estimate(value=0.0, standard_error=0.0, low=0.0, high=0.00003))
    '< 0.003 %'
    """
    check_probability(estimate, field=field)
    low, value, high = (100 * part for part in (estimate.low, estimate.value, estimate.high))
    if estimate.value == 0:
        return "none" if estimate.high == 0 else f"< {number(high, rounding=Rounding.UP, digits=2)} %"
    if estimate.value == 1:
        decimals = 8 if estimate.low == 1 else min(8, max(1, 1 - _magnitude(100 - low)))
        bound = _plain(_rounded(low, decimals=decimals, rounding=Rounding.DOWN))
        return "certain" if estimate.low == 1 else f"> {bound} %"
    decimals = _probability_decimals(low, value, high)
    shown = _rounded(value, decimals=decimals, rounding=Rounding.NEAREST)
    floor = _rounded(low, decimals=decimals, rounding=Rounding.DOWN)
    ceiling = _rounded(high, decimals=decimals, rounding=Rounding.UP)
    return f"{shown:f} % ({floor:f}-{ceiling:f})"


def check_probability(estimate: Estimate, *, field: str) -> None:
    """Raise InputError unless 0 <= low <= value <= high <= 1."""
    slack = 1e-12  # intervals from quantiles of a beta law end within rounding of the value
    parts = (0.0, estimate.low, estimate.value, estimate.high, 1.0)
    if not all(math.isfinite(part) for part in parts) or any(a > b + slack for a, b in pairwise(parts)):
        raise InputError(
            f"was {estimate.value} in [{estimate.low}, {estimate.high}]",
            field=field,
            allowed="0 <= low <= value <= high <= 1",
        )


def estimate_text(estimate: Estimate, unit: str, *, rounding: Rounding = Rounding.NEAREST) -> str:
    """Return a simulated amount with its 95 % interval: ``"35,210 USDT (34,320 to 36,100)"``."""
    low = number(estimate.low, rounding=Rounding.DOWN)
    high = number(estimate.high, rounding=Rounding.UP)
    return f"{native(estimate.value, unit, rounding=rounding)} ({low} to {high})"


def duration(seconds: float | None) -> str:
    """Return a short time span: ``"now"``, ``"45 s"``, ``"95 min"``, ``"34 h"``, ``"5.2 d"``; ``"-"`` for None."""
    if seconds is None:
        return ABSENT
    finite(seconds, field="duration")
    if seconds == 0:
        return "now"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 2 * SECONDS_PER_HOUR:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * SECONDS_PER_DAY:
        return f"{_plain(Decimal(f'{seconds / SECONDS_PER_HOUR:.1f}'))} h"
    return f"{_plain(Decimal(f'{seconds / SECONDS_PER_DAY:.1f}'))} d"


def duration_words(seconds: float) -> str:
    """Return a time span for a sentence: ``"5 days"``, ``"1 hour"``, ``"36 hours"``.

    Examples
    --------
    >>> duration_words(432000), duration_words(3600), duration_words(86400)
    ('5 days', '1 hour', '24 hours')
    """
    finite(seconds, field="duration")
    for word, size, least in (("day", SECONDS_PER_DAY, 2), ("hour", SECONDS_PER_HOUR, 1), ("minute", 60, 1)):
        if seconds >= least * size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count:,} {word}" + ("" if count == 1 else "s")
    return f"{number(seconds)} seconds"


def difference_bps(line: Reconciliation) -> float | None:
    """Return the difference in basis points, None where the venue's figure is zero and ours is not.

    Raises
    ------
    InputError
        If the difference is not finite for any other reason.
    """
    if line.venue == 0:
        return 0.0 if line.ours == 0 else None
    return finite(line.difference_bps, account=line.pool_id, field=f"reconciliation.{line.figure}")


def bps(value: float | None) -> str:
    """Return basis points with a sign, ``"-"`` for None."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0 bps"
    text = number(abs(value), digits=2)
    return f"{'+' if value > 0 else '-'}{text} bps" if text[0] != "<" else "< 0.01 bps"
