"""Add-ons as a terminal table, as a table of the report page, and as JSON; always apart from the requirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from margincover.model.add_ons import AddOns, PoolAddOns
from margincover.report import format as fmt
from margincover.report.fitted import Column, FittedTable
from margincover.report.format import Rounding, finite
from margincover.report.page_parts import Cell, Table, up

if TYPE_CHECKING:
    from rich.console import RenderableType

    from margincover.report.json import JsonDict

_APART = "Not part of the requirement, the gap, the verdict or the exit code, and no coverage at the tolerance."


def add_on_table(found: AddOns) -> RenderableType:
    """Return one line a pool: calibrated requirement, each add-on, and the requirement with the larger one."""
    pools = found.pools
    return FittedTable(
        title=_title(found),
        columns=[
            Column(title="Pool", cells=[pool.pool_id for pool in pools], justify="left", name=True),
            Column(title="Stress add-on", cells=[up(pool.stress_add_on_native, pool.unit) for pool in pools]),
            Column(title="Floor add-on", cells=[up(pool.floor_add_on_native, pool.unit) for pool in pools]),
            Column(title="Calibrated", cells=[up(pool.required_native, pool.unit) for pool in pools], priority=1),
            Column(
                title="With add-ons", cells=[up(pool.required_with_native, pool.unit) for pool in pools], priority=2
            ),
            Column(title="Episode", cells=[pool.episode for pool in pools], priority=3, justify="left"),
        ],
        headline=_headline(found),
        empty="no pools",
        note="\n".join([_sources(found), *found.notes]),
    )


def add_on_page_table(found: AddOns) -> Table:
    """Return the add-ons as a table of the report page."""
    return Table(
        caption=f"{_title(found)}. {_headline(found)} {_sources(found)}",
        headers=(
            "Pool",
            "Worst episode",
            "Calibrated requirement",
            "Stress add-on",
            "Floor add-on",
            "Requirement with add-ons",
            "Largest shortfall in the episode",
            "Floor",
        ),
        rows=[[Cell(text=text) for text in _texts(pool)] for pool in found.pools],
        n_words=2,
        empty="The book holds no margin account.",
    )


def add_ons_to_dict(found: AddOns) -> JsonDict:
    """Return the add-ons as a JSON-able dictionary; every figure is apart from the requirement."""
    return {
        "stress_weight": finite(found.stress_weight, field="stress_weight"),
        "floor_label": found.floor_label,
        "floor_as_of": found.floor_as_of,
        "stress_add_on_usd": finite(found.stress_add_on_usd, field="stress_add_on_usd"),
        "floor_add_on_usd": finite(found.floor_add_on_usd, field="floor_add_on_usd"),
        "required_with_add_ons_usd": finite(found.required_with_usd, field="required_with_add_ons_usd"),
        "pools": [_pool(pool) for pool in found.pools],
        "notes": list(found.notes),
    }


def _pool(pool: PoolAddOns) -> JsonDict:
    figures = {
        "required_native": pool.required_native,
        "model_native": pool.model_native,
        "stress_native": pool.stress_native,
        "floor_native": pool.floor_native.value,
        "floor_standard_error_native": pool.floor_native.standard_error,
        "stress_add_on_native": pool.stress_add_on_native,
        "floor_add_on_native": pool.floor_add_on_native,
        "required_with_add_ons_native": pool.required_with_native,
    }
    return {
        "pool_id": pool.pool_id,
        "unit": pool.unit,
        "episode": pool.episode,
        **{name: finite(value, field=name, account=pool.pool_id) for name, value in figures.items()},
    }


def _texts(pool: PoolAddOns) -> tuple[str, ...]:
    amounts = (
        pool.required_native,
        pool.stress_add_on_native,
        pool.floor_add_on_native,
        pool.required_with_native,
        pool.stress_native,
    )
    floor = fmt.estimate_text(pool.floor_native, pool.unit, rounding=Rounding.UP)
    return (pool.pool_id, pool.episode, *(up(amount, pool.unit) for amount in amounts), floor)


def _title(found: AddOns) -> str:
    return f"Add-ons against procyclicality: stress weight {found.stress_weight:.0%}, full-history floor"


def _headline(found: AddOns) -> str:
    stress, floor = (fmt.usd(x, rounding=Rounding.UP) for x in (found.stress_add_on_usd, found.floor_add_on_usd))
    return f"Stress add-on {stress}, floor add-on {floor}, summed over pools; the larger of each pool counts. {_APART}"


def _sources(found: AddOns) -> str:
    end = f", data to {found.floor_as_of[:10]}" if found.floor_as_of else ""
    return f"Stress: worst packaged episode, whole. Floor: {found.floor_label}{end}."
