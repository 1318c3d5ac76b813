"""Read the description of a synthetic population: traders, venues and markets, each with a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from margincover.clearing.population import Market, Population, TierTable
from margincover.clearing.population_synthetic import MarketSpec, TraderSpec, synthesise
from margincover.errors import InputError
from margincover.io.text import parse_toml

_TRADER_FIELDS = tuple(TraderSpec.__dataclass_fields__)
_MARKET_NUMBERS = ("mark", "open_interest_usd", "depth_usd", "bound_fraction")
_MARKET_FIELDS = ("coin", "venue", *_MARKET_NUMBERS, "tier_floors_usd", "tier_fractions", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecPopulation:
    """A population made from a description, with depth by market, fund by venue, and the sources stated."""

    population: Population
    depth_usd: Mapping[str, float]
    bound_fraction: Mapping[str, float]
    fund_usd: Mapping[str, float]
    sources: tuple[str, ...]


def spec_population(text: str, *, source: str, seed: int) -> SpecPopulation:
    """Return the population that a description gives.

    Raises
    ------
    InputError
        If a key is missing or unknown, a value is of the wrong kind, a venue or market stands twice, or tiers cross.
    """
    tree = _table(parse_toml(text, source), ("as_of", "traders", "venue", "market"), source, "the file")
    traders = _table(tree["traders"], (*_TRADER_FIELDS, "source"), source, "[traders]")
    venues = [
        _table(each, ("name", "fund_usd", "source"), source, "[[venue]]") for each in _list(tree, "venue", source)
    ]
    rows = [_table(each, _MARKET_FIELDS, source, "[[market]]") for each in _list(tree, "market", source)]
    fund = {_text(each, "name", source): _number(each, "fund_usd", source) for each in venues}
    specs = [_market(row, set(fund), source) for row in rows]
    names = [spec.market.name for spec in specs]
    for kind, found in (("venue", [str(each["name"]) for each in venues]), ("market", names)):
        twice = sorted({name for name in found if found.count(name) > 1})
        if twice:
            raise InputError(f"{', '.join(twice)} stood twice", source=source, field=kind, allowed="each once")
    numbers = {name: _number(traders, name, source) for name in _TRADER_FIELDS if name != "n_accounts"}
    spec = TraderSpec(n_accounts=int(_number(traders, "n_accounts", source)), **numbers)
    return SpecPopulation(
        population=synthesise(specs, spec, seed=seed, source=source),
        depth_usd={name: _number(row, "depth_usd", source) for name, row in zip(names, rows, strict=True)},
        bound_fraction={name: _number(row, "bound_fraction", source) for name, row in zip(names, rows, strict=True)},
        fund_usd=fund,
        sources=tuple(dict.fromkeys(
            [f"traders: {_text(traders, 'source', source)}"]
            + [f"fund at {each['name']}: {_text(each, 'source', source)}" for each in venues]
            + [f"{name}: {_text(row, 'source', source)}" for name, row in zip(names, rows, strict=True)]
        )),
    )  # fmt: skip


def _market(row: Mapping[str, object], venues: set[str], source: str) -> MarketSpec:
    coin, venue = _text(row, "coin", source), _text(row, "venue", source)
    if venue not in venues:
        raise InputError(f"was '{venue}'", source=source, field=f"{coin}: venue", allowed=", ".join(sorted(venues)))
    try:
        tiers = TierTable.progressive(
            floors_usd=_numbers(row, "tier_floors_usd", source), fractions=_numbers(row, "tier_fractions", source)
        )
    except InputError as error:
        raise error.located(source=source, account=f"{coin}@{venue}") from None
    return MarketSpec(
        market=Market(coin=coin, venue=venue, mark=_number(row, "mark", source)),
        open_interest_usd=_number(row, "open_interest_usd", source),
        tiers=tiers,
    )


def _table(value: object, fields: tuple[str, ...], source: str, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InputError(f"was {value!r}", source=source, field=where, allowed="a table")
    missing, unknown = sorted(set(fields) - set(value)), sorted(set(value) - set(fields))
    if missing or unknown:
        found = "; ".join(
            f"{word}: {', '.join(names)}" for word, names in (("missing", missing), ("unknown", unknown)) if names
        )
        raise InputError(found, source=source, field=where, allowed=", ".join(fields))
    return value


def _list(tree: Mapping[str, object], name: str, source: str) -> list[object]:
    value = tree[name]
    if not isinstance(value, list) or not value:
        raise InputError(f"was {value!r}", source=source, field=name, allowed=f"at least one [[{name}]]")
    return value


def _number(row: Mapping[str, object], name: str, source: str) -> float:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"was {value!r}", source=source, field=name, allowed="a number")
    return float(value)


def _numbers(row: Mapping[str, object], name: str, source: str) -> list[float]:
    value = row[name]
    if not isinstance(value, list):
        raise InputError(f"was {value!r}", source=source, field=name, allowed="a list of numbers")
    return [_number({name: each}, name, source) for each in value]


def _text(row: Mapping[str, object], name: str, source: str) -> str:
    value = row[name]
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"was {value!r}", source=source, field=name, allowed="a text")
    return value
