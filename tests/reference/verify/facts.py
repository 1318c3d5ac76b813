"""Facts: read the loosely named inputs of a case; many spellings, one meaning each."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tests.reference.verify.cases import Case, UnsupportedError

# One-letter keys follow the notation of the rule pages and are read with their case: M is the mark, m the rate.
LETTERS = {"q": "quantity", "E": "entry", "EP": "entry", "M": "mark", "P": "mark", "m": "rate", "c": "deduction"}
LETTERS |= {"L": "leverage", "f": "fee", "WB": "wallet", "n": "quantity", "s": "side", "Q": "quantity"}

SPELLINGS = {
    "symbol": "symbol instid coin contract instrument market pair",
    "quantity": "qty quantity size contracts positionamt pos szi amount positionqty sz positionsize qtyusd sizeusd "
    "ncontracts numcontracts positioncontracts contractsqty sizecontracts contractcount positionamount qtycoin qtybtc",
    "side": "side direction posside positionside",
    "entry": "entry entryprice avgpx avgprice entrypx averageprice openprice avgentryprice averageentryprice "
    "avgentry openavgprice openrate",
    "mark": "mark markprice markpx markimplied markimpliedbyupl currentmark exit exitprice",
    "rate": "mmr mmrrate mmrate maintenanceratio maintenancerate maintmarginratio maintenancemarginrate mmf mmfraction "
    "tierrate maintenancefraction maintmarginrate maintrate mmrimplied maintenancemarginratio mmratio",
    "deduction": "cum maintenanceamount mmdeduction deduction maintamount maintenanceamt cumbtc "
    "cumcoin maintenancededuction cumeth",
    "leverage": "leverage lever lev",
    "collateral": "isolatedwallet isolatedcollateral collateral positionbalance isolatedmargin margin positionmargin "
    "mgn assignedmargin marginused posmargin isolatedbalance isolatedwalletbalance marginbtc",
    "wallet": "walletbalance wallet balance crosswallet crosswalletbalance cashbal cash balancebtc balanceusdt "
    "walletbtc walletusdt usdcbalance balanceeth walletbalancebtc totalwalletbalance walletcoin balanceusdc",
    "equity": "equity accountvalue accountequity marginbalance eq equityimpliedbymgnratio equityimplied "
    "totalmarginbalance equityusdt",
    "fee": "takerfee taker fee feerate takerrate takerfeerate liqfee takerfeefraction",
    "tick": "tick ticksize ticksz pricestep",
    "multiplier": "ctval contractsize contractsizeusd ctvalusd multiplier mult facevalue contractvalue "
    "contractmultiplier sizeusdpercontract",
    "max_leverage": "maxleverage assetmaxleverage maxlev maximumleverage",
    "notional": "notional notionalvalue positionvalue notionalusd positionnotional notionalbtc value",
    "profit": "unrealizedprofit unrealizedpnl unrealisedpnl upl upnl",
    "extra": "extramargin addedmargin",
    "raw_usd": "rawusd",
    "other_maintenance": "othermm tmmother othermaintenance tmm tmm1 othermaintenancemargin mmex1",
    "other_profit": "otherupnl upnlother otherupl upnl1 otherunrealisedpnl upnlex1",
}
_MEANING = {spelling: meaning for meaning, spellings in SPELLINGS.items() for spelling in spellings.split()}
# A unit at the end of a key says nothing that the product line does not say.
_UNIT_ENDING = re.compile(r"_(btc|eth|usdt?|usdc|coin|native|quote)$", re.IGNORECASE)
_LONG, _SHORT = ("long", "buy", "bid", "1", "1.0", "+1", "l"), ("short", "sell", "ask", "-1", "-1.0", "s")
# The latest time that a response states is when its numbers were true.
_TIMES = ("uTime", "updateTime", "updatedTime", "ts", "time", "timestamp", "cTime", "createdTime")


def plain(key: str) -> str:
    """Return a key in lower case without anything but letters and digits."""
    return re.sub(r"[^a-z0-9]", "", key.lower())


def meaning(key: str) -> str | None:
    """Return what an input key means, None when it is not one of the spellings."""
    return LETTERS.get(key) or _MEANING.get(plain(key)) or _MEANING.get(plain(_UNIT_ENDING.sub("", key)))


def as_number(value: object) -> float | None:
    """Return a finite number from a JSON number or a decimal text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def half_unit(value: object) -> float:
    """Return half a unit in the last printed decimal of a number; 0 for a whole number or anything else."""
    text = value if isinstance(value, str) else repr(value)
    match = re.fullmatch(r"[-+]?\d*\.(\d+)(?:[eE]([-+]?\d+))?|[-+]?\d+[eE]([-+]?\d+)", text.strip())
    if match is None:
        return 0.0
    decimals = len(match.group(1) or "") - int(match.group(2) or match.group(3) or 0)
    return 0.5 * 10.0**-decimals if decimals > 0 else 0.0


def side_of(value: object) -> int | None:
    """Return +1 for a long, -1 for a short, None where the text does not say."""
    text = str(value).strip().lower()
    return 1 if text in _LONG else -1 if text in _SHORT else None


class Facts:
    """A view on mappings, the most trusted first, that answers by meaning."""

    def __init__(self, *layers: Mapping[str, object]) -> None:
        self.layers = layers

    def item(self, wanted: str) -> tuple[str, object] | None:
        """Return key and value of the first entry with a meaning, by order of its spellings inside each layer."""
        for layer in self.layers:
            for key, value in sorted(layer.items(), key=_spelling_order):
                if meaning(key) == wanted and value not in (None, ""):
                    return key, value
        return None

    def raw(self, wanted: str) -> object:
        """Return the first value with a meaning; of a leverage that is an object, the number in it."""
        found = self.item(wanted)
        value = None if found is None else found[1]
        return value.get("value") if wanted == "leverage" and isinstance(value, Mapping) else value

    def in_units_of(self, *keys: str) -> bool:
        """Whether the quantity stands under one of these keys, which say what it counts."""
        found = self.item("quantity")
        return found is not None and found[0] in keys

    def number(self, wanted: str) -> float | None:
        """Return the first number with a meaning, None when there is none."""
        return as_number(self.raw(wanted))

    def text(self, wanted: str) -> str | None:
        """Return the first text with a meaning."""
        value = self.raw(wanted)
        return value if isinstance(value, str) else None

    def named(self, *keys: str) -> object:
        """Return the value under one of the exact keys."""
        for layer in self.layers:
            for key in keys:
                if layer.get(key) not in (None, ""):
                    return layer[key]
        return None

    @property
    def side(self) -> int | None:
        """+1, -1, or None where nothing but the sign of the quantity can say."""
        for layer in self.layers:
            for key, value in layer.items():
                if meaning(key) == "side" and side_of(value) is not None:
                    return side_of(value)
                if plain(key) in ("short", "isshort", "long", "islong") and isinstance(value, bool):
                    return (1 if value else -1) * (1 if "long" in plain(key) else -1)
        return None


def _spelling_order(item: tuple[str, object]) -> int:
    key = plain(item[0])
    found = _MEANING.get(key)
    return SPELLINGS[found].split().index(key) if found else -1


def position_rows(case: Case) -> list[tuple[str, Facts]]:
    """Return (label, facts) of every position of a case; the label is a symbol, a side, both, or empty.

    Positions may stand in a list, in a mapping by symbol (with legs ``long`` and ``short`` below it), under the keys
    ``long`` and ``short``, in keys with such a prefix or suffix, or flat beside the account's facts.
    """
    shared = tuple({k: v for k, v in layer.items() if k != "positions"} for layer in case.layers)
    for layer in case.layers:
        listed = layer.get("positions", layer.get("legs"))
        if isinstance(listed, Sequence) and not isinstance(listed, str):
            return [("", _inner(row, shared)) for row in listed if isinstance(row, Mapping)]
        if isinstance(listed, Mapping):
            return [found for symbol, row in listed.items() for found in _by_symbol(symbol, row, shared)]
    for layer in case.layers:
        legs = [(side, layer[side]) for side in ("both", "long", "short") if isinstance(layer.get(side), Mapping)]
        if legs:
            return [(side, _inner(row, shared)) for side, row in legs if isinstance(row, Mapping)]
    flat = _prefixed(case)
    return flat or [("", Facts(*shared))]


def _inner(row: Mapping[str, object], shared: Sequence[Mapping[str, object]]) -> Facts:
    # What stands beside the list belongs to the account, or to all positions alike: a rate, a leverage, a margin mode.
    kept = ("rate", "deduction", "leverage", "multiplier", "tick", "max_leverage", "mark")
    own = {meaning(key) for key in row}
    common = {k: v for layer in shared for k, v in layer.items() if meaning(k) in kept and meaning(k) not in own}
    common |= {k: v for layer in shared for k, v in layer.items() if k in ("tiers", "brackets") and k not in row}
    if "rate" in own:
        common = {k: v for k, v in common.items() if meaning(k) != "deduction"}
    return Facts(row, common)


def _by_symbol(symbol: str, row: object, shared: Sequence[Mapping[str, object]]) -> list[tuple[str, Facts]]:
    if not isinstance(row, Mapping):
        return []
    legs = [(side, row[side]) for side in row if side_of(side) is not None and isinstance(row[side], Mapping)]
    if legs:
        return [
            (f"{symbol} {side}".lower(), _inner({"symbol": symbol, "side": side, **leg}, shared)) for side, leg in legs
        ]
    match = re.fullmatch(r"(.+?)[ _:/-](long|short|both)", symbol, flags=re.IGNORECASE)
    if match:
        return [("", _inner({"symbol": match.group(1), "side": match.group(2).lower(), **row}, shared))]
    return [("", _inner({"symbol": symbol, **row}, shared))]


def _prefixed(case: Case) -> list[tuple[str, Facts]]:
    legs: dict[str, dict[str, object]] = {}
    for layer in case.layers:
        for key, value in layer.items():
            match = re.fullmatch(r"(long|short|both)_(.+)|(.+)_(long|short|both)", key.lower())
            if match is None:
                continue
            side, name = match.group(1) or match.group(4), match.group(2) or match.group(3)
            if meaning(name) is not None:
                legs.setdefault(side, {}).setdefault(name, value)
    whole = {side: row for side, row in legs.items() if any(meaning(key) == "quantity" for key in row)}
    rows = [(side, _inner({"side": side, **row}, case.layers)) for side, row in whole.items()]
    if rows and Facts(*case.layers).number("quantity"):
        rows.append(("both", Facts(*case.layers)))
    return rows


def observed_at(case: Case, *, default: datetime, valid_from: datetime, expiry: datetime | None = None) -> datetime:
    """Return the instant of a case: its own time, else a date in its source, else ``default``.

    A dated contract without any time is looked at a week before it expires. A date before ``valid_from`` falls back
    to the default: dates in a source are often those of a thread or a release.
    """
    found: list[datetime] = []
    for layer in case.layers:
        for name in _TIMES:
            stamp = as_number(layer.get(name))
            if stamp is not None and stamp > 1e12:
                found.append(datetime.fromtimestamp(stamp / 1000.0, tz=UTC))
    if case.is_sample:
        for year, month, day in re.findall(r"\b(20\d\d)-(\d\d)(?:-(\d\d))?\b", case.text):
            try:
                found.append(datetime(int(year), int(month), int(day or 15), tzinfo=UTC))
            except ValueError:
                continue
    for instant in found:
        if valid_from <= instant and (expiry is None or instant < expiry):
            return instant
    return default if expiry is None or default < expiry else expiry - timedelta(days=7)


def tier_rows(value: object) -> tuple[tuple[float, float, float], ...]:
    """Return (floor, cap, second column) rows of a tier list: [floor, x] or [floor, cap, x, ...] or objects.

    Raises
    ------
    UnsupportedError
        If the rows are written in another way.
    """
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise UnsupportedError(f"tiers were {value!r}, not a list of rows")
    rows: list[tuple[float, float, float]] = []
    for row in value:
        numbers = _row_numbers(row)
        if numbers is None:
            raise UnsupportedError(f"tier row was {row!r}, not [floor, rate] or [floor, cap, rate, ...]")
        rows.append(numbers)
    caps = [row[0] for row in rows[1:]] + [math.inf]
    return tuple((floor, cap, rate) for (floor, _, rate), cap in zip(rows, caps, strict=True))


def _row_numbers(row: object) -> tuple[float, float, float] | None:
    if isinstance(row, Mapping):
        by_key = {plain(key): as_number(value) for key, value in row.items()}
        floor = next((by_key[k] for k in ("notionalfloor", "floor", "qtyfloor", "minnotional") if k in by_key), None)
        rate = next((by_key[k] for k in ("maintmarginratio", "mmr", "rate", "maxleverage") if k in by_key), None)
        return None if floor is None or rate is None else (floor, math.inf, rate)
    if not isinstance(row, Sequence) or isinstance(row, str):
        return None
    numbers = [as_number(item) for item in row]
    if len(numbers) == 2 and numbers[0] is not None and numbers[1] is not None:
        return numbers[0], math.inf, numbers[1]
    if len(numbers) >= 3 and numbers[0] is not None and numbers[2] is not None:
        return numbers[0], math.inf, numbers[2]
    return None
