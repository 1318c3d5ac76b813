"""Deribit portfolio margin: delta-one books through the risk matrix, with the parameters that a response states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from margincover.model.position import Position
from margincover.venues.deribit.matrix import VOLATILITIES, MatrixMargin, delta_one_vectors
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.parameters import packaged, parameters
from margincover.venues.revalue import revalue
from tests.reference.verify.adaptors import deribit_book
from tests.reference.verify.adaptors.named import Inputs, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number, plain

# The venue's words for the parameters, and ours.
STATED = {
    "pricerange": "price_range_fraction",
    "bucketsperside": "buckets_per_side_count",
    "bucketscount": "buckets_per_side_count",
    "volatilityrangeup": "volatility_up_fraction",
    "volatilityrangedown": "volatility_down_fraction",
    "extendedmoves": "extended_moves",
    "extendedtablefactor": "extended_table_factor",
    "extendeddampener": "extended_dampener_usd",
    "extendeddampenerusd": "extended_dampener_usd",
    "pnloffset": "pnl_offset_fraction",
    "maxoffsetablepnl": "max_offsetable_pnl_usd",
    "minannualisedmove": "min_annualised_move_fraction",
    "annualisedmoverisk": "annualised_move_risk_fraction",
    "minc": "delta_shock_per_coin",
    "deltatotalliqshockthreshold": "delta_shock_threshold_usd",
    "deltatotalliqshockthresholdusd": "delta_shock_threshold_usd",
    "maxdeltashock": "max_delta_shock_fraction",
    "mmfactor": "maintenance_factor_fraction",
}
# What the rule takes for granted; another value would be another rule.
FIXED = {"haircut": 0.0, "volscenarios": 3.0, "volscenarioscount": 3.0}
ORDERS = ("mmpmargin", "openordersmargin", "spotmargin", "ordermargin")
SPELLINGS = {
    "initial": "initialmargin im imr",
    "maintenance": "maintenancemargin mm mmr",
    "risk": "riskmatrixmargin",
    "worst": "worstcase",
    "bucket": "worstbucket worstcasebucket",
}
BUCKET = "how the venue numbers the buckets of rising prices is not published"
CORRELATION = "the correlation contingency is 0 in every response seen; its rule is not published and not modelled"


def answer(case: Case, given: Inputs, *, coin: str, at: datetime) -> Answer:
    """Return the figures of a book of perpetuals and futures in one currency."""
    for key, value in FIXED.items():
        stated = given.number(key)
        if stated is not None and stated != value:
            raise UnsupportedError(f"{key} was {stated:g}: the matrix is modelled for {value:g} only")
    linear = re.search(r"linear|usdc", case.family) is not None
    mode = "matrix_usd" if linear else "matrix_coin"
    rule = _parameters(given, mode, coin, at)
    sizes, marks = _book(given)
    index = given.need("index", "indexprice", "indexusd")
    held = {_symbol(name, coin, linear): name for name in sizes}
    positions = [
        Position(
            symbol=symbol,
            contracts=sizes[name] * (1.0 if linear else marks[name]),
            entry_price=marks[name],
            mark_price=marks[name],
        )
        for symbol, name in held.items()
        if sizes[name] != 0.0
    ]
    if not positions or len(held) != len(sizes):
        raise UnsupportedError(f"no book of different instruments in {', '.join(sizes)}")
    for name in sizes:
        _require_alive(name, at)
    (pool,) = deribit_book.pools_of(
        "segregated_pm",
        positions,
        at=_day_in_force(at, mode, coin),
        balances={"USDC" if linear else coin: 0.0},
        asset_usd={coin: index, "USDC": 1.0},
    )
    pool = replace(
        deribit_book.with_matrix(pool, lambda pair: rule),
        open_order_initial=sum(given.number(key) or 0.0 for key in ORDERS),
    )
    result, status = deribit_book.matrix_of(pool), deribit_book.status_of(pool)
    figures = _figures(case, result)
    figures |= {"initial": status.initial_native, "maintenance": status.maintenance_native}
    state, pair = revalue(pool, np.ones((len(pool.factors), 1))), pool.model.pairs[0]  # type: ignore[union-attr]
    for row, symbol in enumerate(pool.legs.symbols):
        name, legs = held[symbol], pair.delta_one(state, rows=(row,))
        alone = delta_one_vectors(legs, settlement=pair.settlement, parameters=rule).standard
        for key in (plain(name), "perp" if "PERP" in name.upper() else "future"):
            figures[f"{key}vector"] = _cells(case, f"{key}vector", alone[:, 0])
    missing = {"correlationcontingency": CORRELATION, "bucket": BUCKET}
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def _figures(case: Case, result: MatrixMargin) -> dict[str, object]:
    figures: dict[str, object] = {
        "worst": float(result.worst_case[0]),
        "rollshock": float(result.roll_shock[0]),
        "deltashock": float(result.delta_shock[0]),
        "risk": float(result.risk_matrix_margin[0]),
        "pnlvectorextended": [float(v) for v in result.pre_aggregated.extended[:, 0]],
        "aggregatedextended": [float(v) for v in result.aggregated.extended[:, 0]],
    }
    for name, cells in (("pnlvector", result.pre_aggregated), ("aggregated", result.aggregated)):
        for key in (f"{name}standard", f"{name}standardperbucket"):
            figures[key] = _cells(case, key, cells.standard[:, 0])
    buckets = result.aggregated.standard[:, 0].reshape(-1, VOLATILITIES).min(axis=1)
    lowest = int(buckets.argmin())
    if lowest < len(buckets) // 2:
        # The one response seen calls the lowest price move 1.
        figures["bucket"] = lowest + 1
    return figures


def _cells(case: Case, key: str, cells: np.ndarray) -> list[float]:
    """Return all cells, or one a bucket where the case has fewer: delta-one profit is the same at all volatilities."""
    expected = next((value for name, value in case.expected.items() if plain(name) == key), None)
    every = VOLATILITIES if isinstance(expected, list) and len(expected) * VOLATILITIES == len(cells) else 1
    return [float(value) for value in cells[::every]]


def _day_in_force(at: datetime, mode: str, coin: str) -> datetime:
    """Return the instant, or the first one with parameters: a response older than those states its own."""
    begun = [e.valid_from for e in packaged("deribit") if (e.mode, e.underlying) == (mode, coin)]
    return max([at, *sorted(begun)[:1]])


def _parameters(given: Inputs, mode: str, coin: str, at: datetime) -> MatrixParameters:
    edition = parameters("deribit", mode=mode, underlying=coin, at=_day_in_force(at, mode, coin))
    values = dict(edition.values)
    for key, name in STATED.items():
        stated = given.value(key)
        if stated is not None:
            values[name] = stated
    return MatrixParameters.from_mapping(values, source=f"case over {edition.id}")


def _book(given: Inputs) -> tuple[dict[str, float], dict[str, float]]:
    """Return signed coins and marks by instrument."""
    listed = given.top("positionsbaseccy", "positions", "positionscoin")
    marks = given.mapping("marks", "markprices")
    if not isinstance(listed, Mapping):
        size = given.need("positionbaseccy", "positioncoin", "position", "delta")
        return {"PERPETUAL": size}, {"PERPETUAL": given.need("mark", "markprice", "index")}
    sizes = {name: number for name, value in listed.items() if (number := as_number(value)) is not None}
    if len(sizes) != len(listed) or any(re.search(r"-[CP]$", name) for name in sizes):
        raise UnsupportedError("a simulated book with options: their volatilities are not in the inputs")
    index = given.need("index", "indexprice", "indexusd")
    return sizes, {name: as_number(marks.get(name)) or index for name in sizes}


def _symbol(name: str, coin: str, linear: bool) -> str:
    """Return the venue's symbol of a written name; a name that is none stands for the perpetual."""
    head = f"{coin}_USDC" if linear else coin
    match = re.search(r"-(\d{1,2}[A-Z]{3}\d{2})$", name)
    return f"{head}-{match.group(1)}" if match else f"{head}-PERPETUAL"


def _require_alive(name: str, at: datetime) -> None:
    match = re.search(r"-(\d{1,2}[A-Z]{3}\d{2})$", name)
    if match is None:
        return
    # Contracts are delivered at 08:00 UTC.
    expiry = datetime.strptime(f"{match.group(1)} 08", "%d%b%y %H").replace(tzinfo=UTC)
    if expiry <= at:
        raise UnsupportedError(f"{name} had expired on {at:%Y-%m-%d}: the day of the response is not known")
