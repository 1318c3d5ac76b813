"""The array rooms against the Decimal twin, on drawn accounts of every venue and mode."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.venues import margin
from margincover.venues.pools import build_pools
from tests.books import scale_of, twin
from tests.strategies import SHAPES, books

# Double arithmetic leaves about 1e-15 of the values that are added; 1e-10 is the contract of the kernels.
TOLERANCE = 1e-10


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(data=st.data())
def test_compiled_pools_equal_the_decimal_twin(shape, data):
    book = data.draw(books(shape))
    account = book.accounts[0]
    pools = build_pools(book)
    expected = twin(book, account)
    risk = margin.evaluate(pools)
    assert [(p.id, p.unit) for p in expected] == [(p.id, p.unit) for p in pools]
    for row, (pool, exact) in enumerate(zip(pools, expected, strict=True)):
        room = TOLERANCE * max(scale_of(pool), 1e-6)
        assert float(exact.equity) == pytest.approx(risk.equity[row, 0], abs=room, rel=0)
        assert float(exact.maintenance) == pytest.approx(risk.maintenance[row, 0], abs=room, rel=0)
        assert exact.initial is not None
        assert risk.initial_known[row]
        assert float(exact.initial) == pytest.approx(risk.initial[row, 0], abs=room, rel=0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@given(data=st.data())
def test_evaluating_at_moved_factors_equals_the_twin_at_moved_marks(shape, data):
    book = data.draw(books(shape, least=1))
    account = book.accounts[0]
    pools = build_pools(book)
    names = sorted({factor for pool in pools for factor in pool.factors})
    # Steps of 2^-6 keep the product with the mark short, so that both rooms see the same price.
    moves = {name: data.draw(st.integers(-40, 120)) / 64.0 for name in names}
    marks = {
        symbol: Decimal(repr(mark)) * Decimal(1 + moves.get(_factor(book, account, symbol), 0.0))
        for symbol, mark in book.market.marks.items()
    }
    usd = {a: Decimal(repr(p)) * Decimal(1 + moves.get(a, 0.0)) for a, p in book.market.asset_usd.items()}
    expected = twin(book, account, marks=marks, asset_usd=usd)
    for pool, exact in zip(pools, expected, strict=True):
        ratio = np.array([[1.0 + moves[name]] for name in pool.factors]).reshape(len(pool.factors), 1)
        equity, maintenance, _ = margin.evaluate_pool(pool, ratio)
        room = TOLERANCE * max(scale_of(pool), 1e-6) * 3.0  # notional itself moved, by at most 1 + 120 / 64
        assert float(exact.equity) == pytest.approx(equity[0], abs=room, rel=0)
        assert float(exact.maintenance) == pytest.approx(maintenance[0], abs=room, rel=0)


def _factor(book, account, symbol):
    instrument = book.instruments.get((account.venue, symbol))
    return instrument.factor if instrument else ""
