"""The small language of shocks: ``BTC=-30%,*=-40%,vol=+40%,USDe=0.65@binance,funding=+0.1%/8h,halt=okx:6h``.

A shock is read without a book (``parse_shock``) and then held against one (``resolve_shock``): a coin, an asset or a
venue that the book does not have is an error that lists those it has.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError
from margincover.model.stress import AssetMove, Halt, StressScenario, VenueMove
from margincover.units import SECONDS_PER_HOUR, format_duration, parse_duration_s

ALL = "*"
_WORDS = ("vol", "funding", "hold", "halt")
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_VALUE = re.compile(rf"({_NUMBER})(%?)(?:@([A-Za-z0-9_-]+))?")
_PERCENT = re.compile(rf"({_NUMBER})%")
_FUNDING = re.compile(rf"({_NUMBER})%/(\d+(?:\.\d+)?(?:min|h|d))")
_HALT = re.compile(r"([A-Za-z0-9_-]+):(\d+(?:\.\d+)?(?:min|h|d))")
_NAME = re.compile(r"[A-Za-z0-9_.-]+|\*")
_MAX_HOURS = 30 * 24.0
# Venues cap funding at 4 % an hour or below; a larger figure is an annual rate.
_MAX_FUNDING_PER_HOUR = 0.04
ALLOWED = (
    "parts NAME=VALUE with commas between: a coin or asset with -30% (a move, -99 to 1000) or 0.65 (a USD price), "
    "@venue after it for one venue; *=-40% for all other coins; vol=+40% (-95 to 500); funding=+0.1%/8h (longs pay); "
    "hold=24h; halt=okx:6h"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockMove:
    """A move (fraction, -0.3 is 30 % lower) or a USD price of a coin or asset, at one venue or everywhere."""

    name: str
    venue: str | None
    fraction: float | None = None
    price_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shock:
    """A shock as it was written.

    ``funding_fraction`` is paid by longs over ``funding_hours``; ``halts`` holds (venue, hours); ``hold_hours`` is how
    long the state lasts: options age by it and funding is paid for it.
    """

    name: str
    moves: tuple[ShockMove, ...]
    volatility_fraction: float | None = None
    funding_fraction: float | None = None
    funding_hours: float = 0.0
    halts: tuple[tuple[str, float], ...] = ()
    hold_hours: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BookNames:
    """What a book holds: factors by venue, assets by venue, and the USD prices of assets."""

    factors: Mapping[str, frozenset[str]]
    assets: Mapping[str, frozenset[str]]
    asset_usd: Mapping[str, float]

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues of the book, in order of their names."""
        return tuple(sorted({*self.factors, *self.assets}))

    def all_of(self, table: Mapping[str, frozenset[str]], venue: str | None) -> tuple[str, ...]:
        """Return the names in a table at one venue, or at all."""
        rows = table.values() if venue is None else [table.get(venue, frozenset())]
        return tuple(sorted(set().union(*rows)))


def parse_shock(text: str, *, name: str | None = None, field: str = "--shock", source: str | None = None) -> Shock:
    """Return the shock in a text.

    Raises
    ------
    InputError
        If a part does not read so, stands twice, or a number is outside what is allowed.

    Examples
    --------
    >>> parse_shock("BTC=-30%, *=-40%, vol=+40%").volatility_fraction
    0.4
    """
    pairs = []
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if not equals:
            raise InputError(f"was '{part.strip()}' in '{text}'", source=source, field=field, allowed=ALLOWED)
        pairs.append((key.strip(), value.strip()))
    return shock_of(pairs, name=name or text, field=field, source=source)


def shock_of(pairs: Sequence[tuple[str, str]], *, name: str, field: str, source: str | None = None) -> Shock:
    """Return the shock in pairs of name and value; see ``parse_shock`` for the errors."""
    moves: list[ShockMove] = []
    halts: list[tuple[str, float]] = []
    single: dict[str, tuple[float, float]] = {}
    try:
        for key, value in pairs:
            if key == "halt":
                halts.append(_halt(value))
            elif key in _WORDS:
                if key in single:
                    raise InputError(f"{key} stood twice", allowed=ALLOWED)
                single[key] = _single(key, value)
            else:
                moves.append(_move(key, value))
        _require_once(moves, halts)
        if not moves and not halts and not single:
            raise InputError("was empty", allowed=ALLOWED)
    except InputError as error:
        raise InputError(f"{error.found} (in '{name}')", source=source, field=field, allowed=error.allowed) from None
    funding = single.get("funding")
    return Shock(
        name=name,
        moves=tuple(moves),
        volatility_fraction=single["vol"][0] if "vol" in single else None,
        funding_fraction=None if funding is None else funding[0],
        funding_hours=0.0 if funding is None else funding[1],
        halts=tuple(halts),
        hold_hours=single["hold"][0] if "hold" in single else 0.0,
    )


def _require_once(moves: Sequence[ShockMove], halts: Sequence[tuple[str, float]]) -> None:
    seen: set[tuple[str, str | None]] = set()
    for key in [(move.name.upper(), move.venue) for move in moves] + [("halt", venue) for venue, _ in halts]:
        if key in seen:
            raise InputError(f"{key[0]}{'' if key[1] is None else f' at {key[1]}'} stood twice", allowed="each once")
        seen.add(key)


def _hours(text: str) -> float:
    hours = parse_duration_s(text) / SECONDS_PER_HOUR
    if hours > _MAX_HOURS:
        raise InputError(f"was {text}", allowed="at most 30d")
    return hours


def _halt(value: str) -> tuple[str, float]:
    match = _HALT.fullmatch(value)
    if match is None:
        raise InputError(f"was 'halt={value}'", allowed="halt=VENUE:TIME, for example halt=okx:6h")
    return match[1].lower(), _hours(match[2])


def _single(key: str, value: str) -> tuple[float, float]:
    if key == "hold":
        return _hours(value), 0.0
    if key == "vol":
        match = _PERCENT.fullmatch(value)
        if match is None or not -95.0 <= float(match[1]) <= 500.0:
            raise InputError(f"was 'vol={value}'", allowed="vol=PERCENT% from -95 to 500, for example vol=+40%")
        return float(match[1]) / 100.0, 0.0
    match = _FUNDING.fullmatch(value)
    allowed = "funding=PERCENT%/TIME, at most 4 % an hour either way, for example funding=+0.1%/8h"
    if match is None:
        raise InputError(f"was 'funding={value}'", allowed=allowed)
    fraction, hours = float(match[1]) / 100.0, _hours(match[2])
    if abs(fraction) > _MAX_FUNDING_PER_HOUR * hours:
        raise InputError(f"was 'funding={value}'", allowed=allowed)
    return fraction, hours


def _move(key: str, value: str) -> ShockMove:
    match = _VALUE.fullmatch(value)
    if match is None or _NAME.fullmatch(key) is None:
        raise InputError(f"was '{key}={value}'", allowed=ALLOWED)
    number, venue = float(match[1]), None if match[3] is None else match[3].lower()
    if key == ALL and not match[2]:
        raise InputError(f"was '{key}={value}'", allowed="a move in per cent: one USD price does not fit all coins")
    if match[2]:
        if not -99.0 <= number <= 1000.0:
            raise InputError(f"was '{key}={value}'", allowed="a move from -99% to 1000%")
        return ShockMove(name=key, venue=venue, fraction=number / 100.0)
    if not (math.isfinite(number) and number > 0.0) or match[1][0] in "+-":
        raise InputError(f"was '{key}={value}'", allowed="a USD price above 0 without a sign, or a move with %")
    return ShockMove(name=key, venue=venue, price_usd=number)


def resolve_shock(
    shock: Shock, names: BookNames, *, field: str = "--shock", source: str | None = None
) -> StressScenario:
    """Return a shock as a scenario of one state for a book.

    A name is a coin that moves positions where the book has one, else an asset held as collateral.

    Raises
    ------
    InputError
        If the book has no such coin, asset or venue (it lists those that it has), or no USD price to compare one with.
    """
    found = _Resolved(names=names, name=shock.name, field=field, source=source)
    for move in shock.moves:
        found.add(move)
    for venue, _ in shock.halts:
        found.require_venue(venue)
    factors = tuple(sorted(found.common))
    ratio = np.array([[found.common[factor] for factor in factors]]).reshape(1, len(factors))
    paid = _paid(shock)
    unmoved = [name for name in names.all_of(names.factors, None) if name not in found.common]
    held = f", held for {format_duration(shock.hold_hours * SECONDS_PER_HOUR)}" if shock.hold_hours else ""
    return StressScenario(
        name=shock.name,
        title=f"hypothetical shock, one state{held}",
        kind="shock",
        start=None,
        factors=factors,
        low=ratio,
        high=ratio,
        close=ratio,
        elapsed_hours=np.array([shock.hold_hours]),
        volatility_ratio=np.array([1.0 + (shock.volatility_fraction or 0.0)]),
        volatility_source="" if shock.volatility_fraction is None else "stated",
        common_funding=None if paid is None else np.array([paid]),
        venue_moves=tuple(found.local),
        asset_moves=tuple(found.assets),
        halts=tuple(
            Halt(venue=venue, from_hour=0.0, to_hour=hours, what="no money in or out, stated", source="stated")
            for venue, hours in shock.halts
        ),
        notes=(f"not moved: {', '.join(unmoved)}",) if unmoved else (),
        sources=("stated by the user",),
    )


def _paid(shock: Shock) -> float | None:
    """Return the fraction of notional that longs pay: for the time that the state is held, else one interval."""
    if shock.funding_fraction is None:
        return None
    return shock.funding_fraction * (shock.hold_hours / shock.funding_hours if shock.hold_hours else 1.0)


class _Resolved:
    """Moves of a shock sorted into coins everywhere, coins at a venue, and assets."""

    def __init__(self, *, names: BookNames, name: str, field: str, source: str | None) -> None:
        self.names, self.name, self.field, self.source = names, name, field, source
        self.common: dict[str, float] = {}
        self.local: list[VenueMove] = []
        self.assets: list[AssetMove] = []

    def error(self, found: str, allowed: str) -> InputError:
        return InputError(f"{found} (in '{self.name}')", source=self.source, field=self.field, allowed=allowed)

    def require_venue(self, venue: str) -> None:
        """Raise for a venue without an account."""
        if venue not in self.names.venues:
            raise self.error(f"the book has no account at '{venue}'", f"a venue of it: {', '.join(self.names.venues)}")

    def add(self, move: ShockMove) -> None:
        """Sort one move in."""
        if move.venue is not None:
            self.require_venue(move.venue)
        factors = self.names.all_of(self.names.factors, move.venue)
        if move.name == ALL:
            assert move.fraction is not None, "Invariant: a move of all coins is a fraction"
            for each in factors:
                self._coin(each, move.venue, 1.0 + move.fraction, is_rest=True)
            return
        factor = _same_name(move.name, factors)
        if factor is not None:
            self._coin(factor, move.venue, self._ratio(factor, move), is_rest=False)
            return
        assets = self.names.all_of(self.names.assets, move.venue)
        asset = _same_name(move.name, assets)
        if asset is None:
            where = "the book" if move.venue is None else f"the book at {move.venue}"
            raise self.error(
                f"{where} has no coin or asset '{move.name}'",
                f"coins {', '.join(factors) or '(none)'}; assets {', '.join(assets) or '(none)'}",
            )
        ratio = None if move.fraction is None else 1.0 + move.fraction
        self.assets.append(
            AssetMove(asset=asset, venue=move.venue, price_usd=move.price_usd, ratio=ratio, source="stated")
        )

    def _ratio(self, factor: str, move: ShockMove) -> float:
        if move.fraction is not None:
            return 1.0 + move.fraction
        now = self.names.asset_usd.get(factor)
        if now is None or move.price_usd is None:
            raise self.error(
                f"{factor} was given a USD price, the book states none of its own",
                "a move in per cent, for example -30%",
            )
        return move.price_usd / now

    def _coin(self, factor: str, venue: str | None, ratio: float, *, is_rest: bool) -> None:
        # '*' is for coins that are not named, wherever it stands in the text.
        if venue is None:
            self.common[factor] = self.common.get(factor, ratio) if is_rest else ratio
            return
        named = [row for row in self.local if (row.factor, row.venue) == (factor, venue)]
        if named and is_rest:
            return
        self.local = [row for row in self.local if row not in named]
        self.local.append(VenueMove(factor=factor, venue=venue, ratio=ratio))


def _same_name(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is written so, else the only one that differs in capitals alone."""
    if name in known:
        return name
    alike = [other for other in known if other.upper() == name.upper()]
    return alike[0] if len(alike) == 1 else None
