"""Deribit's array rules against their plain twins, on drawn books."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.venues.deribit import cross as deribit_cross
from margincover.venues.deribit import cross_reference as cross_twin
from margincover.venues.deribit import matrix as deribit_matrix
from margincover.venues.deribit import matrix_reference as matrix_twin
from margincover.venues.deribit import standard as deribit_standard
from margincover.venues.deribit import standard_reference as standard_twin
from margincover.venues.deribit.book import DeltaOneLegs, OptionLegs, Settlement
from margincover.venues.deribit.matrix_reference import Future, Option
from margincover.venues.deribit.parameters import (
    FutureCurveParameters,
    FutureIncrementParameters,
    MatrixParameters,
    OptionParameters,
)
from margincover.venues.parameters import packaged

# Double arithmetic leaves about 1e-15 of the values that are added; 1e-10 is the contract of the kernels.
TOLERANCE = 1e-10
EDITIONS = {e.id: e for e in packaged("deribit")}
OPTION_FACTORS = OptionParameters.from_mapping(EDITIONS["options-inverse"].values, source="deribit.toml")
INCREMENTS = FutureIncrementParameters(
    initial_base_fraction=0.02, maintenance_base_fraction=0.01, increase_per_coin=0.00005
)
CURVE = FutureCurveParameters(
    maintenance_of_initial_fraction=0.6666666666666666,
    small_position_leverage=25.0,
    small_position_fraction=0.03,
    large_position_leverage=4.0,
    large_position_fraction=0.35,
    max_position_coin=885.0,
)


def record(name: str) -> MatrixParameters:
    return MatrixParameters.from_mapping(EDITIONS[name].values, source="deribit.toml")


MATRICES = {name: record(name) for name in EDITIONS if "-matrix-" in name}


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


def exact(value: float) -> Decimal:
    return Decimal(repr(value))


@given(size=numbers(-2e3, 2e3), price=numbers(1e-3, 2e5))
def test_futures_equal_their_exact_twins(size, price):
    pairs = [
        (
            deribit_standard.increment_margin(size, unit_price=price, parameters=INCREMENTS),
            standard_twin.increment_margin(exact(size), unit_price=exact(price), parameters=INCREMENTS),
        ),
        (
            deribit_standard.curve_margin(
                size,
                unit_price=price,
                parameters=CURVE,
                unknown_curve=deribit_standard.UnknownCurve.PESSIMISTIC,
            ),
            standard_twin.curve_margin(exact(size), unit_price=exact(price), parameters=CURVE),
        ),
    ]
    for ours, twin in pairs:
        assert float(ours.initial) == pytest.approx(float(twin.initial), rel=TOLERANCE, abs=1e-300)
        assert float(ours.maintenance) == pytest.approx(float(twin.maintenance), rel=TOLERANCE, abs=1e-300)


@given(
    quantity=numbers(-1e3, 1e3),
    index=numbers(1.0, 2e5),
    strike=numbers(1.0, 4e5),
    is_call=st.booleans(),
    mark=numbers(0.0, 5.0),
)
def test_options_equal_their_exact_twins(quantity, index, strike, is_call, mark):
    option = standard_twin.ShortOption(exact(quantity), exact(index), exact(strike), is_call, exact(mark))
    inverse = deribit_standard.inverse_option_margin(
        quantity, index_usd=index, strike_usd=strike, is_call=is_call, mark_coin=mark, parameters=OPTION_FACTORS
    )
    linear = deribit_standard.linear_option_margin(
        quantity, index_usd=index, strike_usd=strike, is_call=is_call, mark_usd=mark, parameters=OPTION_FACTORS
    )
    for ours, twin in (
        (inverse, standard_twin.inverse_option_margin(option, parameters=OPTION_FACTORS)),
        (linear, standard_twin.linear_option_margin(option, parameters=OPTION_FACTORS)),
    ):
        assert float(ours.initial) == pytest.approx(float(twin.initial), rel=TOLERANCE, abs=1e-300)
        assert float(ours.maintenance) == pytest.approx(float(twin.maintenance), rel=TOLERANCE, abs=1e-300)
        assert ours.initial >= ours.maintenance >= 0.0
    order = deribit_standard.inverse_option_order_margin(
        abs(quantity), index_usd=index, strike_usd=strike, is_call=is_call, parameters=OPTION_FACTORS
    )
    twin_order = standard_twin.inverse_option_order_margin(
        exact(abs(quantity)), option=option, parameters=OPTION_FACTORS
    )
    assert float(order) == pytest.approx(float(twin_order), rel=TOLERANCE, abs=1e-300)


# ---- matrix


def years_of(expiry: int) -> float:
    # 0 is the perpetual; then 12 hours, 9 days, exactly 30 days, 300 days
    return (0.0, 0.5 / 365, 9 / 365, 30 / 365, 300 / 365)[expiry]


@st.composite
def books(draw) -> tuple[list[Future | Option], list[float], list[list[float]]]:
    """Draw legs at a state of 1, the path's price factors and each option's volatility by path."""
    factors = draw(st.lists(numbers(0.4, 2.5), min_size=1, max_size=3))
    legs: list[Future | Option] = []
    vols = []
    for _ in range(draw(st.integers(0, 3))):
        expiry = draw(st.integers(0, 4))
        legs.append(Future(draw(numbers(-400, 400)), draw(numbers(0.9, 1.1)), expiry, years_of(expiry)))
        vols.append([0.0] * len(factors))
    for _ in range(draw(st.integers(0, 4))):
        expiry = draw(st.integers(1, 4))
        size, forward, strike = draw(numbers(-400, 400)), draw(numbers(0.9, 1.1)), draw(numbers(0.3, 4.0))
        legs.append(Option(size, forward, 0.0, strike, years_of(expiry), draw(st.booleans()), expiry))
        vols.append(draw(st.lists(numbers(0.2, 2.0), min_size=len(factors), max_size=len(factors))))
    return legs, factors, vols


def tables(legs, factors, vols, price: float) -> tuple[DeltaOneLegs, OptionLegs]:
    futures = [leg for leg in legs if isinstance(leg, Future)]
    options = [(leg, v) for leg, v in zip(legs, vols, strict=True) if isinstance(leg, Option)]
    moved = price * np.array(factors)
    shape = (len(options), len(factors))
    return (
        DeltaOneLegs(
            size_coin=np.outer([f.size_coin for f in futures], np.ones(len(factors))),
            mark_usd=np.outer([f.mark_usd for f in futures], moved),
            expiry=np.array([f.expiry for f in futures], dtype=np.int64),
            years=np.array([f.years for f in futures], dtype=np.float64),
        ),
        OptionLegs(
            quantity_coin=np.array([o.quantity_coin for o, _ in options], dtype=np.float64),
            forward_usd=np.outer([o.forward_usd for o, _ in options], moved),
            volatility=np.array([v for _, v in options], dtype=np.float64).reshape(shape),
            strike_usd=np.array([o.strike_usd * price for o, _ in options], dtype=np.float64),
            years=np.array([o.years for o, _ in options], dtype=np.float64),
            is_call=np.array([o.is_call for o, _ in options], dtype=bool),
            expiry=np.array([o.expiry for o, _ in options], dtype=np.int64),
        ),
    )


def on_path(legs, vols, path: int, price: float, factor: float) -> list[Future | Option]:
    out: list[Future | Option] = []
    for leg, v in zip(legs, vols, strict=True):
        if isinstance(leg, Future):
            out.append(leg._replace(mark_usd=leg.mark_usd * price * factor))
        else:
            forward = leg.forward_usd * price * factor
            out.append(leg._replace(forward_usd=forward, volatility=v[path], strike_usd=leg.strike_usd * price))
    return out


@pytest.mark.parametrize("name", MATRICES)
@given(book=books(), orders=numbers(0.0, 10.0))
def test_matrix_equals_its_twin_cell_by_cell(name, book, orders):
    p, in_coin, price = MATRICES[name], "-coin-" in name, 60_000.0
    legs, factors, vols = book
    delta_one, options = tables(legs, factors, vols, price)
    ours = deribit_matrix.matrix_margin(
        delta_one=delta_one,
        options=options,
        index_usd=price * np.array(factors),
        settlement=Settlement.COIN if in_coin else Settlement.USD,
        parameters=p,
        order_margin=orders,
    )
    size = sum(abs(leg[0]) for leg in legs)
    for path, factor in enumerate(factors):
        state = on_path(legs, vols, path, price, factor)
        twin = matrix_twin.matrix_margin(state, index_usd=price * factor, in_coin=in_coin, parameters=p, orders=orders)
        room = TOLERANCE * max(1.0, size * (1.0 if in_coin else 6 * price * factor))
        np.testing.assert_allclose(ours.aggregated.standard[:, path], twin.standard, rtol=0, atol=room)
        np.testing.assert_allclose(ours.aggregated.extended[:, path], twin.extended, rtol=0, atol=room)
        assert ours.worst_case[path] == pytest.approx(twin.worst_case, rel=0, abs=room)
        assert ours.roll_shock[path] == pytest.approx(twin.roll_shock, rel=0, abs=room)
        assert ours.delta_shock[path] == pytest.approx(twin.delta_shock, rel=0, abs=room)
        # a worst case on the edge of the ninth decimal may round either way
        assert ours.initial[path] == pytest.approx(twin.initial, rel=0, abs=room + 2.1e-9)
        assert ours.maintenance[path] == pytest.approx(twin.maintenance, rel=0, abs=room + 1.1e-9)
        assert ours.worst_case[path] >= 0.0
        assert ours.maintenance[path] <= ours.initial[path] + 1e-9


@given(book=books(), scale=st.integers(2, 5))
def test_without_dampener_and_delta_shock_the_matrix_scales_with_the_book(book, scale):
    p = replace(
        MATRICES["eth-matrix-coin-2026"],
        extended_dampener_usd=0.0,
        max_delta_shock_fraction=0.0,
        max_offsetable_pnl_usd=1e15,
    )
    legs, factors, vols = book
    large = [leg._replace(**{leg._fields[0]: leg[0] * scale}) for leg in legs]

    def risk(of) -> np.ndarray:
        delta_one, options = tables(of, factors, vols, 60_000.0)
        return deribit_matrix.matrix_margin(
            delta_one=delta_one,
            options=options,
            index_usd=60_000.0 * np.array(factors),
            settlement=Settlement.COIN,
            parameters=p,
        ).risk_matrix_margin

    # each side rounds its worst case to nine decimals
    np.testing.assert_allclose(risk(large), scale * risk(legs), rtol=1e-10, atol=6e-9)


# ---- cross collateral


@given(st.lists(st.tuples(numbers(-1e4, 1e4), numbers(0.1, 1e5), numbers(0.0, 1.0)), min_size=1, max_size=5))
def test_collateral_value_equals_its_twin(holdings):
    equity, index, haircut = (np.array(column) for column in zip(*holdings, strict=True))
    ours = deribit_cross.collateral_value_usd(equity[:, None], index_usd=index[:, None], haircut_fraction=haircut)
    twin = cross_twin.collateral_value_usd(holdings)
    assert ours[0] == pytest.approx(twin, rel=0, abs=TOLERANCE * max(1.0, float(np.abs(equity * index).sum())))


@given(coin=books(), usd=books(), equity=numbers(-50, 50))
def test_cross_bound_equals_its_twin(coin, usd, equity):
    price = 2_000.0
    coin_p, usd_p = MATRICES["eth-matrix-coin-2026"], MATRICES["eth-matrix-usd-2026"]
    pairs = []
    for (legs, factors, vols), in_coin in ((coin, True), (usd, False)):
        vols_at_one = [v[:1] for v in vols]
        pairs.append(
            (on_path(legs, vols, 0, price, factors[0]), tables(legs, factors[:1], vols_at_one, price), in_coin)
        )
    index = price * coin[1][0]
    settled = tuple(
        deribit_cross.SettledLegs(
            settlement=Settlement.COIN if in_coin else Settlement.USD,
            delta_one=table[0],
            options=table[1],
            parameters=coin_p if in_coin else usd_p,
        )
        for _, table, in_coin in pairs
    )
    pair = deribit_cross.CrossPair(
        index_usd=np.array([index]), equity_coin=np.array([equity]), legs=settled, parameters=coin_p
    )
    ours = deribit_cross.cross_margin_bound([pair, pair], maintenance_factor_fraction=0.8, order_margin_usd=7.0)
    twin = cross_twin.pair_bound_usd(
        cross_twin.Pair(
            index_usd=index,
            equity_coin=equity,
            coin_legs=pairs[0][0],
            usd_legs=pairs[1][0],
            coin_parameters=coin_p,
            usd_parameters=usd_p,
        )
    )
    room = TOLERANCE * max(1.0, 4 * index * (abs(equity) + sum(abs(leg[0]) for p in pairs for leg in p[0])))
    assert ours.initial_usd[0] == pytest.approx(2 * twin + 7.0, rel=0, abs=room)
    assert ours.maintenance_usd[0] == pytest.approx(0.8 * 2 * twin, rel=0, abs=room)
