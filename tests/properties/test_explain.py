"""Explain trees sum, and their roots are what the margin room computes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.model.explain import ExplainNode
from margincover.venues import margin
from margincover.venues.explain import explain_pool
from margincover.venues.pools import build_pools
from tests.strategies import SHAPES, books


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=25)
@given(data=st.data())
def test_roots_equal_equity_maintenance_and_initial_margin(shape, data):
    for pool in build_pools(data.draw(books(shape))):
        risk = margin.evaluate([pool])
        figures = (risk.equity[0, 0], risk.maintenance[0, 0], risk.initial[0, 0])
        size = max(1e-9, float((abs(pool.legs.signed_size) * pool.legs.mark_price).sum()))
        for tree, figure in zip(explain_pool(pool), figures, strict=True):
            assert math.isclose(tree.value, float(figure), rel_tol=1e-9, abs_tol=1e-10 * size)


def test_parts_that_do_not_sum_are_refused():
    part = ExplainNode(label="part", value=1.0, unit="USD")
    with pytest.raises(AssertionError, match="sum"):
        ExplainNode(label="whole", value=3.0, unit="USD", children=(part, part))
