"""Compare: expected keys to canonical figures, and how near is near enough.

Tolerances: a number that a case states is relative, a mapping by field is absolute (a mapping of rel and abs is both),
"exact" leaves room for float noise only, "truncate" cuts our figure toward zero to the printed decimals. Without one,
whole numbers and ratios that the product itself keeps exact are compared exactly, all others by the largest of 1e-6
relative, 1e-8 absolute and half a unit in the last printed decimal; captured responses add what half a unit in the last
printed digit of the stated money moves the figure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.verify.account import Figures
from tests.reference.verify.cases import Case
from tests.reference.verify.facts import as_number, half_unit

RELATIVE, ABSOLUTE, FLOAT_NOISE = 1e-6, 1e-8, 1e-11
CUT_NOISE = NOISE_AT_ZERO = 1e-9
# Rates that venues cut off after so many decimals: the figure is cut in the same way before it is compared.
TRUNCATED = {"bybit": {"mm_rate": 4, "im_rate": 4}}

_SPELLINGS = {
    "maintenance": "maintmargin maintenancemargin mm mmr maintenance totalmaintenancemargin tmm accountmm mmamount "
    "crossmaintenancemarginused totalmaintmargin maintenanceamount mmbymp",
    "initial": "im initialmargin imr initial positioninitialmargin totalinitialmargin accountim imbymp",
    "margin_requirement": "marginrequirement requiredmargin",
    "liquidation_price": "liquidationprice liqprice liqpx liquidationpx lp estliqprice liq liquidation "
    "estimatedliqprice",
    "liquidation_down": "liquidationpricedown liqpricedown liquidationdown",
    "liquidation_up": "liquidationpriceup liqpriceup liquidationup",
    "bankruptcy_price": "bustprice bankruptcyprice bp bankruptprice bust bankruptcy",
    "upnl": "upnl upl unrealisedpnl unrealizedpnl unrealizedprofit pnl perpupl totalperpupl unrealisedprofit totalupnl",
    "margin_ratio": "marginratio mgnratio ratio riskrate crossmarginratio",
    "mm_rate": "mmrate accountmmrate maintenancerate mmrrate",
    "im_rate": "imrate accountimrate initialrate",
    "roe": "roe returnonequity uplratio",
    "margin_used": "marginused totalmarginused usedmargin",
    "withdrawable": "withdrawable",
    "equity": "equity accountvalue marginbalance accountequity totalmarginbalance eq adjeq equitynative",
    "available": "available availablebalance availeq totalavailablebalance freecollateral availbal totalavailable",
    "isolated_margin": "isolatedmargin",
    "collateral": "margin isolatedwallet",
    "notional": "notional positionvalue notionalvalue value positionnotional totalntlpos",
    "wallet": "walletbalance wallet",
    "entry_value": "entryvalue entrynotional",
    "effective_leverage": "effectiveleverage leverageeffective",
    "position_balance": "positionbalance",
    "break_even": "breakeven breakevenprice",
    "deduction": "cum mmdeduction deduction maintenancededuction",
    "quantity": "contracts",
}
_CANONICAL = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_COINS = "usd usdt usdc busd btc eth coin native quote base bnb xrp sol ada ltc doge"
_UNITS = frozenset(_COINS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One expected figure: its name as printed, its canonical name, and how it is to be read."""

    field: str
    expected: object
    name: str | None
    words: frozenset[str] = frozenset()
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One comparison. ``ok`` is None where the product has no figure, for the given reason."""

    field: str
    expected: object
    actual: object = None
    ok: bool | None = None
    reason: str = ""


def asked(case: Case) -> list[Asked]:
    """Return what a case expects, nested mappings laid flat with dotted names."""
    return [_read(path, value) for path, value in _flat(case.expected)]


def _flat(tree: Mapping[str, object], prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def reread(wanted: Asked, figures: Figures) -> Asked:
    """Return what is asked with the account's own symbols and coins known as words that may stand in a key."""
    known = frozenset(word for labels in figures.labels for word in labels)
    return wanted if wanted.name is not None else _read(wanted.field.split("."), wanted.expected, known)


def _read(path: Sequence[str], value: object, known: frozenset[str] = frozenset()) -> Asked:
    """Split a key into the figure's name and what qualifies it: a position, a level, a unit."""
    words = [word for part in path for word in _split(part)]
    extra = {part.lower() for part in path}
    kept = list(words)
    marks: set[str] = set()
    level = ""
    # Take qualifiers off until what is left is the name of a figure.
    for drop in (_nothing, _is_level, _is_unit, _is_side, _is_tier, _is_symbol, known.__contains__):
        for word in list(kept):
            if len(kept) > 1 and drop(word):
                kept.remove(word)
                marks.add(word)
        if _CANONICAL.get("".join(kept)):
            break
    if marks & {"account", "total", "cross"}:
        level = "account"
    if marks & {"position", "pos", "leg"}:
        level = "position"
    name = _CANONICAL.get("".join(kept))
    if name in ("liquidation_price", "bankruptcy_price") and marks & {"raw", "exact", "unrounded"}:
        name = f"{name}_raw"
    return Asked(field=".".join(path), expected=value, name=name, words=frozenset(marks | extra), level=level)


def _nothing(word: str) -> bool:
    return False


def _is_level(word: str) -> bool:
    return word in ("account", "total", "position", "pos", "leg", "raw", "exact", "unrounded", "pct", "percent")


def _is_unit(word: str) -> bool:
    return word in _UNITS


def _is_side(word: str) -> bool:
    return word in ("long", "short", "cross", "isolated", "both")


def _is_tier(word: str) -> bool:
    return re.fullmatch(r"tier\d*|bracket\d*|\d+", word) is not None


def _is_symbol(word: str) -> bool:
    return "usd" in word


def _split(part: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", part)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def look_up(figures: Figures, wanted: Asked) -> tuple[bool, object, str]:
    """Return (found, figure, reason why not)."""
    name = wanted.name
    if name is None:
        return False, None, f"no figure for {wanted.field}"
    if name in figures.missing:
        return False, None, figures.missing[name]
    places: list[Mapping[str, object]] = []
    named = _named(figures, wanted)
    if named is not None:
        places = [figures.positions[named]]
    elif wanted.level == "account":
        places = [figures.account, *(figures.positions if len(figures.positions) == 1 else ())]
    elif wanted.level == "position":
        places = [*figures.positions[figures.target : figures.target + 1], figures.account]
    elif len(figures.positions) > 1 and name not in ("liquidation_price", "bankruptcy_price", "roe"):
        places = [figures.account, figures.positions[figures.target]]
    else:
        places = [*figures.positions[figures.target : figures.target + 1], figures.account]
    for place in places:
        if name in place:
            value = place[name]
            if name == "deduction" and isinstance(value, list) and not isinstance(wanted.expected, list):
                tiers = [int(digits) for word in wanted.words for digits in re.findall(r"(?:tier|bracket)(\d+)$", word)]
                first = place.get("first_tier", 1)
                # Without a number the key means the last tier that the case gives.
                index = tiers[0] - first if tiers and isinstance(first, int) else len(value) - 1
                value = value[index] if 0 <= index < len(value) else None
            if name == "notional" and isinstance(value, float) and place.get("side") == -1.0:
                # Some payloads print the notional of a short with its sign.
                printed = as_number(wanted.expected)
                value = -value if printed is not None and printed < 0 else value
            return True, value, ""
    return False, None, f"no figure for {wanted.field}"


def _named(figures: Figures, wanted: Asked) -> int | None:
    """Return the position that the key names, None when it names none or cannot tell them apart."""
    if len(figures.positions) < 2:
        return None
    scores = [len(labels & wanted.words) for labels in figures.labels]
    best = max(scores)
    return scores.index(best) if best > 0 and scores.count(best) == 1 else None


def outcome(case: Case, wanted: Asked, actual: object, slack: float = 0.0) -> Outcome:
    """Return the comparison of one figure; ``slack`` is what the printed digits of the inputs leave open."""
    ok = _equal(case, wanted, wanted.expected, actual, slack)
    return Outcome(field=wanted.field, expected=wanted.expected, actual=actual, ok=ok)


def _equal(case: Case, wanted: Asked, expected: object, actual: object, slack: float) -> bool:
    if isinstance(expected, list):
        if not isinstance(actual, list | tuple) or len(actual) != len(expected):
            return False
        return all(_equal(case, wanted, e, a, slack) for e, a in zip(expected, actual, strict=True))
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or actual.keys() != expected.keys():
            return False
        return all(_equal(case, wanted, value, actual[key], slack) for key, value in expected.items())
    is_price = wanted.name is not None and wanted.name.startswith(("liquidation", "bankruptcy"))
    if is_price and (expected is None or as_number(expected) == 0.0):
        # Venues print 0, "" or null for "there is none".
        return actual is None
    if isinstance(expected, bool) or expected is None:
        return actual is expected
    exact = _exact(case, expected, actual)
    if exact is not None:
        return exact
    target = as_number(expected)
    if isinstance(expected, str) and isinstance(actual, str):
        # "rejected (open size 13)" says in brackets why.
        return expected.partition("(")[0].strip().lower() == actual.lower()
    if target is None or isinstance(actual, bool) or not isinstance(actual, int | float | Fraction):
        return actual == expected
    if str(_stated(case, wanted.field)).startswith("trunc"):
        return _cut(float(actual), -decimals(expected)) == target
    digits = TRUNCATED.get(case.venue, {}).get(wanted.name or "")
    value = float(actual)
    if digits is not None and half_unit(expected) >= 0.5 * 10.0**-digits:
        value = math.trunc(value * 10**digits + math.copysign(FLOAT_NOISE, value)) / 10**digits
    return abs(value - target) <= tolerance(case, wanted.field, expected, target) + slack


def _exact(case: Case, expected: object, actual: object) -> bool | None:
    """Return whether two whole numbers or ratios are the same, None where they are to be compared as decimals.

    What the product returns as a whole number or a ratio is exact, and so is a whole number or "49999/100" that a case
    states without a tolerance.
    """
    whole = isinstance(expected, int) or (isinstance(expected, str) and re.fullmatch(r"[-+]?\d+(/\d+)?", expected))
    if isinstance(actual, bool) or not isinstance(actual, int | Fraction) or not whole:
        return None
    if case.tolerance not in (None, "exact") and "/" not in str(expected):
        return None
    return actual == Fraction(str(expected))


def _cut(value: float, power: int) -> float:
    """Return a number cut toward zero to a power of ten; a billionth absorbs what doubles differ from fixed point."""
    noise = math.copysign(CUT_NOISE * max(1.0, abs(value)), value)
    return math.trunc((value + noise) / 10.0**power) * 10.0**power


def decimals(number: object) -> int:
    """Return how many decimals a number is printed with; 0 for a whole number."""
    unit = half_unit(number)
    return round(-math.log10(2.0 * unit)) if unit else 0


def tolerance(case: Case, field: str, expected: object, target: float) -> float:
    """Return the largest difference that counts as equal, in the unit of the figure."""
    stated = _stated(case, field)
    if isinstance(case.tolerance, Mapping) and as_number(stated) is not None:
        return float(as_number(stated) or 0.0) + FLOAT_NOISE * abs(target)
    if isinstance(stated, Mapping):
        parts = [as_number(stated.get(key)) or 0.0 for key in ("rel", "relative", "abs", "absolute")]
        return max((parts[0] or parts[1]) * abs(target), parts[2] or parts[3], NOISE_AT_ZERO)
    if stated == "exact":
        return FLOAT_NOISE * max(abs(target), 1.0)
    relative = as_number(stated)
    if relative is not None:
        # Sums that cancel leave float noise where a venue's fixed point prints 0; it is below any printed unit.
        return max(relative * abs(target), NOISE_AT_ZERO)
    return max(RELATIVE * abs(target), ABSOLUTE, half_unit(expected))


def _stated(case: Case, field: str) -> object:
    """Return the tolerance that a case states for a field: its own, else the one for all fields."""
    stated = case.tolerance
    if not isinstance(stated, Mapping) or stated.keys() & {"rel", "relative", "abs", "absolute"}:
        return stated
    return stated.get(field, stated.get(field.split(".")[0]))


def has_own_tolerance(case: Case) -> bool:
    """Whether the case states how near is near enough."""
    return case.tolerance is not None
