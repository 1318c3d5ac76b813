"""Deribit portfolio margin: delta-one books through the risk matrix, with the parameters that a response states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from margincover.venues.deribit.book import DeltaOneLegs, OptionLegs, Settlement
from margincover.venues.deribit.matrix import VOLATILITIES, MatrixMargin, delta_one_vectors, matrix_margin
from margincover.venues.deribit.parameters import MatrixParameters
from margincover.venues.parameters import packaged, parameters
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
    settlement = Settlement.USD if linear else Settlement.COIN
    rule = _parameters(given, "matrix_usd" if linear else "matrix_coin", coin, at)
    sizes, marks = _book(given)
    legs = _legs(sizes, marks, at)
    result = matrix_margin(
        delta_one=legs,
        options=_no_options(),
        index_usd=given.need("index", "indexprice", "indexusd"),
        settlement=settlement,
        parameters=rule,
        order_margin=sum(given.number(key) or 0.0 for key in ORDERS),
    )
    figures = _figures(case, result)
    for name in sizes:
        alone = delta_one_vectors(
            _legs({name: sizes[name]}, marks, at), settlement=settlement, parameters=rule
        ).standard
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
        "initial": float(result.initial[0]),
        "maintenance": float(result.maintenance[0]),
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


def _parameters(given: Inputs, mode: str, coin: str, at: datetime) -> MatrixParameters:
    begun = [e.valid_from for e in packaged("deribit") if (e.mode, e.underlying) == (mode, coin)]
    # A response older than what was observed takes the first edition for what it does not state itself.
    edition = parameters("deribit", mode=mode, underlying=coin, at=max([at, *sorted(begun)[:1]]))
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


def _legs(sizes: Mapping[str, float], marks: Mapping[str, float], at: datetime) -> DeltaOneLegs:
    names = list(sizes)
    return DeltaOneLegs(
        size_coin=np.array([[sizes[name]] for name in names]),
        mark_usd=np.array([[marks[name]] for name in names]),
        expiry=np.arange(len(names), dtype=np.int64),
        years=np.array([_years(name, at) for name in names]),
    )


def _years(name: str, at: datetime) -> float:
    match = re.search(r"-(\d{1,2}[A-Z]{3}\d{2})$", name)
    if match is None:
        return 0.0
    # Contracts are delivered at 08:00 UTC.
    expiry = datetime.strptime(f"{match.group(1)} 08", "%d%b%y %H").replace(tzinfo=UTC)
    days = (expiry - at).total_seconds() / 86_400.0
    if days < 0.0:
        raise UnsupportedError(f"{name} had expired on {at:%Y-%m-%d}: the day of the response is not known")
    return days / 365.0


def _no_options() -> OptionLegs:
    none, empty = np.zeros(0), np.zeros((0, 1))
    return OptionLegs(
        quantity_coin=none,
        forward_usd=empty,
        volatility=empty,
        strike_usd=none,
        years=none,
        is_call=np.zeros(0, dtype=bool),
        expiry=np.zeros(0, dtype=np.int64),
    )
