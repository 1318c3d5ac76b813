"""Words and figures of a sizing that the terminal and the page share."""

from __future__ import annotations

from margincover.model.sizing import Bound, SizeCurve, SizePoint, SizingResult
from margincover.report import format as fmt
from margincover.report.format import Rounding

NOTE = (
    "Size is notional over capital, rounded down. With standard error and 95 % interval from the sampling of paths. "
    "Traded at the mark without fees; the event is the liquidation of a measured pool within the horizon."
)


def sizing_headline(result: SizingResult) -> str:
    """Return the answer in a sentence for each side."""
    return " ".join(_sentence(result, curve) for curve in result.curves)


def _sentence(result: SizingResult, curve: SizeCurve) -> str:
    point = curve.stated
    asked = (
        f"at {fmt.percent(result.tolerance, decimals=4)} over {fmt.duration_words(result.horizon_s)}, "
        f"capital {fmt.usd(result.capital_usd, rounding=Rounding.DOWN)}"
    )
    if point.bound is Bound.NONE:
        return (
            f"No {_what(result, curve)} keeps the tolerance {asked}: without it the probability is "
            f"{fmt.probability(point.probability)}."
        )
    least = "At least: the largest tried" if point.bound is Bound.BEYOND else "Largest"
    return f"{least} {_what(result, curve)} {asked}: {amount(result, curve)}, {size_text(point)} times capital."


def _what(result: SizingResult, curve: SizeCurve) -> str:
    return f"scale of {result.account_id}" if result.symbol is None else f"{curve.side} in {result.symbol}"


def amount(result: SizingResult, curve: SizeCurve) -> str:
    """Return the largest size in contracts, or as a multiple of the present positions, rounded towards 0."""
    # A long is rounded down and a short up, so that neither is read larger than it was found.
    rounding = Rounding.DOWN if curve.contracts >= 0.0 else Rounding.UP
    text = fmt.number(curve.contracts, rounding=rounding)
    return f"{text} times the present positions" if result.symbol is None else f"{text} contracts"


def size_text(point: SizePoint) -> str:
    """Return the size of a point, rounded down to two decimals, with what the search did not find."""
    if point.bound is Bound.NONE:
        return "none"
    text = fmt.number(point.size, rounding=Rounding.DOWN, digits=max(3, len(f"{int(point.size)}") + 2))
    return f"> {text}" if point.bound is Bound.BEYOND else text


def interval_text(point: SizePoint) -> str:
    """Return standard error and interval of a point."""
    if point.bound is not Bound.FOUND:
        return fmt.ABSENT
    return f"+- {point.standard_error:.2g} ({point.low:.2f}-{point.high:.2f})"


def bracket_text(point: SizePoint) -> str:
    """Return the bracket that the search ended with."""
    return f"{point.size:.4f}-{point.next_size:.4f}" if point.bound is Bound.FOUND else fmt.ABSENT


def present_text(result: SizingResult, curve: SizeCurve) -> str:
    """Return the present size and its probability."""
    if curve.present <= 0.0:
        return f"no {curve.side} position now"
    held = "" if result.symbol is None else f"{fmt.number(result.present_contracts)} contracts, "
    return f"now {held}{curve.present:.2f} times capital, P(liquidation) {fmt.probability(curve.present_probability)}"


def initial_notes(result: SizingResult) -> list[str]:
    """Return what initial margin says of each largest size."""
    notes = []
    for curve in result.curves:
        for pool in curve.pools:
            if pool.initial_native is None:
                notes.append(f"{pool.pool_id}, {curve.side}: initial margin not known, for a leverage is not stated")
            elif pool.initial_native > pool.equity_native:
                notes.append(
                    f"{pool.pool_id}, {curve.side}: initial margin {fmt.usd(pool.initial_usd or 0.0)} is more than the "
                    f"equity {fmt.usd(pool.equity_usd)}: the venue would not open this size"
                )
    return notes
