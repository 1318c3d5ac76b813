"""Trees of a risk matrix: the worst cell down to the positions in it, the shocks down to expiries."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from margincover.model.explain import ExplainNode
from margincover.model.pool_model import PoolState, Requirement
from margincover.venues.deribit.book import Settlement, Vectors
from margincover.venues.deribit.cells import BookCells
from margincover.venues.deribit.matrix import (
    VOLATILITIES,
    MatrixMargin,
    delta_one_vectors,
    option_vectors,
    standard_moves,
)
from margincover.venues.deribit.pair_book import PairBook
from margincover.venues.deribit.parameters import MatrixParameters

# Positions with the largest part in the worst cell that are named one by one.
_NAMED = 12
_VOLATILITY = ("volatility up", "volatility unchanged", "volatility down")


def with_trees(
    part: Requirement, *, state: PoolState, pair: PairBook, cells: BookCells, margin: MatrixMargin
) -> Requirement:
    """Return the requirement of a matrix with the trees of the first path."""
    unit, p = state.pool.unit, pair.parameters
    parts = _risk_parts(state, pair, cells, margin)
    initial = float(part.initial[0])
    rest = initial - math.fsum(node.value for node in parts)
    rounded = [*parts, ExplainNode(label="rounding", value=rest, unit=unit)] if _counts(rest, parts) else parts
    factor = p.maintenance_factor_fraction
    return replace(
        part,
        maintenance_tree=ExplainNode(
            label=part.label,
            value=float(part.maintenance[0]),
            unit=unit,
            detail=f"{factor:.4g} of the risk matrix margin {float(margin.risk_matrix_margin[0]):,.8g}",
            children=tuple(scaled(node, factor) for node in parts),
        ),
        initial_tree=ExplainNode(label=part.label, value=initial, unit=unit, children=tuple(rounded)),
    )


def scaled(node: ExplainNode, factor: float) -> ExplainNode:
    """Return a tree with all values times a factor."""
    children = tuple(scaled(child, factor) for child in node.children)
    return replace(node, value=node.value * factor, children=children)


def _risk_parts(state: PoolState, pair: PairBook, cells: BookCells, margin: MatrixMargin) -> list[ExplainNode]:
    worst = round(float(margin.worst_case[0]), pair.parameters.worst_case_decimals)
    found = worst_cell(margin.aggregated, pair.parameters)
    detail, children = ("no cell loses", ()) if worst <= 0.0 else (found[2], _by_position(state, pair, found, worst))
    price = 1.0 if pair.settlement is Settlement.COIN else float(pair.index_on_paths(state)[0])
    return [
        ExplainNode(label="worst case", value=worst, unit=state.pool.unit, detail=detail, children=children),
        ExplainNode(
            label="roll shock",
            value=float(margin.roll_shock[0]),
            unit=state.pool.unit,
            children=roll_nodes(state, pair, cells, price),
        ),
        ExplainNode(label="delta shock", value=float(margin.delta_shock[0]), unit=state.pool.unit),
    ]


def worst_cell(cells: Vectors, parameters: MatrixParameters) -> tuple[bool, int, str]:
    """Return whether the lowest cell of the first path is an extended one, its row, and its move and volatility."""
    standard, extended = cells.standard[:, 0], cells.extended[:, 0]
    if extended.min() < standard.min():
        row = int(extended.argmin())
        return True, row, f"move {parameters.extended_moves[row]:+.4g}, volatility up, extended table"
    row = int(standard.argmin())
    move = float(standard_moves(parameters)[row // VOLATILITIES])
    return False, row, f"move {move:+.4g}, {_VOLATILITY[row % VOLATILITIES]}"


def _by_position(
    state: PoolState, pair: PairBook, found: tuple[bool, int, str], worst: float
) -> tuple[ExplainNode, ...]:
    """Return the loss of each position in the worst cell, largest first, and what the aggregation changed."""
    losses = position_losses(state, pair, outer=found[0], row=found[1])
    return loss_nodes(losses, worst, rest="dampener and rounding", unit=state.pool.unit)


def loss_nodes(losses: list[tuple[str, float]], worst: float, *, rest: str, unit: str) -> tuple[ExplainNode, ...]:
    """Return nodes of the losses in the worst cell, largest first, and ``rest`` for what they leave of it."""
    ordered = sorted(losses, key=lambda item: -abs(item[1]))
    nodes = [ExplainNode(label=name, value=value, unit=unit) for name, value in ordered[:_NAMED]]
    if ordered[_NAMED:]:
        further = math.fsum(value for _, value in ordered[_NAMED:])
        nodes.append(ExplainNode(label=f"{len(ordered) - _NAMED} further positions", value=further, unit=unit))
    change = worst - math.fsum(node.value for node in nodes)
    if _counts(change, nodes):
        nodes.append(ExplainNode(label=rest, value=change, unit=unit))
    return tuple(nodes)


def _counts(value: float, nodes: list[ExplainNode]) -> bool:
    """Return whether a remainder is more than the rounding of the parts beside it."""
    return abs(value) > 1e-10 * max(math.fsum(abs(node.value) for node in nodes), 1e-12)


def position_losses(
    state: PoolState, pair: PairBook, *, outer: bool, row: int, price: float = 1.0
) -> list[tuple[str, float]]:
    """Return symbol and loss of each position in one cell of the first path; a gain is negative."""
    done = []
    for leg in pair.legs:
        legs = pair.delta_one(state, rows=(leg,), price=price)
        cells = delta_one_vectors(legs, settlement=pair.settlement, parameters=pair.parameters)
        done.append((state.pool.legs.symbols[leg], cells))
    # The first path alone: a book of options has as many tables of cells as positions.
    first = replace(state, option_forward=state.option_forward[:, :1], option_volatility=state.option_volatility[:, :1])
    for option in pair.options:
        options = pair.option_legs(first, rows=(option,), price=price)
        done.append(
            (
                state.pool.options.symbols[option],
                option_vectors(options, settlement=pair.settlement, parameters=pair.parameters),
            )
        )
    return [(name, -float((cells.extended if outer else cells.standard)[row, 0])) for name, cells in done]


def roll_nodes(state: PoolState, pair: PairBook, cells: BookCells, price: float) -> tuple[ExplainNode, ...]:
    """Return the roll shock of each expiry; ``price`` turns coins into the pool's unit."""
    names = pair.expiry_names(state.pool)
    parts = cells.roll_parts(pair.parameters)[:, 0]
    return tuple(
        ExplainNode(
            label=name,
            value=float(value) * price,
            unit=state.pool.unit,
            detail=f"net delta {float(np.round(delta, 8)):,.8g} {pair.base}",
        )
        for name, value, delta in zip(names, parts, cells.expiry_delta[:, 0], strict=True)
    )
