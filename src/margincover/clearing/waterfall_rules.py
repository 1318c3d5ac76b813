"""Default waterfalls by venue, dated, from TOML: layers in a chain, each naming the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from margincover.clearing import dated
from margincover.clearing.waterfall import Layer, LayerKind, Waterfall
from margincover.errors import RulebookError

_LAYER_NEEDED = ("name", "kind")


def waterfall_of(venue: str, *, at: datetime) -> Waterfall:
    """Return a venue's waterfall in force; ``clearing_house`` is the common order of clearing houses."""
    held = [waterfall for waterfall in packaged() if waterfall.venue == venue]
    if not held:
        known = ", ".join(sorted({waterfall.venue for waterfall in packaged()}))
        raise RulebookError(f"no waterfall of '{venue}'", source="waterfalls.toml", field="venue", allowed=known)
    return dated.in_force(held, at=at, what=f"waterfall of {venue}")


@cache
def packaged() -> tuple[Waterfall, ...]:
    """Return all packaged waterfalls."""
    return parse_waterfalls(dated.packaged_text("waterfalls.toml"), source="waterfalls.toml")


def parse_waterfalls(text: str, *, source: str) -> tuple[Waterfall, ...]:
    """Return the waterfalls in a TOML text.

    Raises
    ------
    RulebookError
        If a key is unknown or missing, a layer stands twice, layers run in a circle, fork or follow one that is not
        there, or editions of a venue overlap.
    """
    found = tuple(_waterfall(row, source) for row in dated.tables(text, key="waterfall", source=source))
    for venue in {waterfall.venue for waterfall in found}:
        dated.check_overlaps([waterfall for waterfall in found if waterfall.venue == venue], where=source)
    return found


def _waterfall(row: Mapping[str, object], source: str) -> Waterfall:
    where = f"{source}: {row.get('id', 'without id')}"
    dated.check_keys(row, needed=(*dated.ORIGIN_KEYS, "venue", "layer"), optional=dated.OPTIONAL_KEYS, where=where)
    rows = row["layer"]
    if not isinstance(rows, list) or not rows or not all(isinstance(layer, dict) for layer in rows):
        raise RulebookError(f"was {rows!r}", source=where, field="layer", allowed="tables with name, kind and after")
    layers, after = {}, {}
    for table in rows:
        dated.check_keys(table, needed=_LAYER_NEEDED, optional=("after",), where=f"{where}: layer")
        name, kind = str(table["name"]), str(table["kind"])
        if name in layers:
            raise RulebookError(f"'{name}' stood twice", source=where, field="layer", allowed="each layer once")
        if kind not in {k.value for k in LayerKind}:
            allowed = ", ".join(k.value for k in LayerKind)
            raise RulebookError(f"'{name}' was {kind}", source=where, field="kind", allowed=allowed)
        layers[name] = Layer(name=name, kind=LayerKind(kind))
        after[name] = str(table["after"]) if "after" in table else None
    order = _chain(after, where)
    return Waterfall(
        venue=str(row["venue"]),
        origin=dated.origin(row, where=where),
        layers=tuple(layers[name] for name in order),
    )


def _chain(after: Mapping[str, str | None], where: str) -> Sequence[str]:
    """Return the layers in order; every layer but the first follows exactly one, and no two follow the same."""
    lost = [
        f"'{name}' after '{before}'" for name, before in after.items() if before is not None and before not in after
    ]
    if lost:
        raise RulebookError(f"{', '.join(lost)}: no such layer", source=where, field="after", allowed=", ".join(after))
    following: dict[str | None, str] = {}
    for name, before in after.items():
        if before in following:
            where_to = f"after '{before}'" if before is not None else "first"
            raise RulebookError(
                f"'{following[before]}' and '{name}' both stand {where_to}",
                source=where,
                field="after",
                allowed="one each",
            )
        following[before] = name
    order, current = [], following.get(None)
    while current is not None:
        order.append(current)
        current = following.get(current)
    circle = [name for name in after if name not in order]
    if circle:
        raise RulebookError(
            f"layers run in a circle: {', '.join(circle)}",
            source=where,
            field="after",
            allowed="a chain from a first layer",
        )
    return order
