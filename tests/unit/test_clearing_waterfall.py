"""The default waterfall: conservation, order of layers, rules by venue, and what is refused."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.clearing.waterfall import LayerKind, apply
from margincover.clearing.waterfall_rules import packaged, parse_waterfalls, waterfall_of
from margincover.errors import InputError, RulebookError
from margincover.numeric.layers import absorb, absorb_paths

CENT = 0.01
AT = datetime(2026, 9, 1, tzinfo=UTC)
HOUSE = waterfall_of("clearing_house", at=AT)
money = st.floats(0.0, 1e10, allow_nan=False)
sizes_of_layers = st.lists(money, min_size=7, max_size=7)


@settings(max_examples=200)
@given(losses=st.lists(money, min_size=1, max_size=20), sizes=sizes_of_layers)
def test_absorbed_and_residual_are_the_loss_to_a_cent(losses, sizes):
    found = apply(HOUSE, losses, dict(zip(HOUSE.names, sizes, strict=True)))
    assert found.largest_gap_usd < CENT
    assert (found.absorbed_usd >= 0.0).all()
    assert (found.residual_usd >= 0.0).all()


@settings(max_examples=200)
@given(losses=st.lists(money, min_size=1, max_size=20), sizes=sizes_of_layers)
def test_no_layer_is_touched_before_those_above_are_empty(losses, sizes):
    found = apply(HOUSE, losses, dict(zip(HOUSE.names, sizes, strict=True)))
    full = found.absorbed_usd >= np.array(sizes)[:, np.newaxis]
    for upper, lower in itertools.pairwise(range(len(sizes))):
        assert full[upper][found.absorbed_usd[lower] > 0.0].all()
    assert full[-1][found.residual_usd > 0.0].all()


@given(losses=st.lists(money, min_size=2, max_size=20), sizes=sizes_of_layers)
def test_a_larger_loss_never_takes_less_from_any_layer(losses, sizes):
    found = apply(HOUSE, sorted(losses), dict(zip(HOUSE.names, sizes, strict=True)))
    # differences of doubles of 1e10 carry a few millionths
    assert (np.diff(found.absorbed_usd, axis=1) >= -1e-4).all()
    assert (np.diff(found.residual_usd) >= -1e-4).all()


def test_a_million_losses_are_conserved():
    rng = np.random.default_rng(6)
    losses = np.round(rng.pareto(1.1, 1_000_000) * 1e5, 2)
    sizes = {name: np.round(rng.pareto(1.5, losses.size) * 1e5, 2) for name in HOUSE.names}
    found = apply(HOUSE, losses, sizes)
    assert found.largest_gap_usd < CENT
    names = list(HOUSE.names)
    for upper, lower in itertools.pairwise(names):
        assert (found.of(upper) >= sizes[upper])[found.of(lower) > 0.0].all()


def test_layers_on_paths_agree_with_the_plain_loop():
    rng = np.random.default_rng(7)
    losses, sizes = rng.exponential(3.0, 50), rng.exponential(1.0, (4, 50))
    found = absorb_paths(losses, sizes)
    for path, loss in enumerate(losses):
        left = float(loss)
        for layer in range(4):
            part = min(left, sizes[layer, path])
            assert found.absorbed[layer, path] == pytest.approx(part, abs=1e-12)
            left -= part
        assert found.residual[path] == pytest.approx(left, abs=1e-12)
    one = absorb(float(losses[0]), sizes[:, 0].tolist())
    assert one.absorbed.tolist() == found.absorbed[:, 0].tolist()


def test_members_pay_a_layer_in_proportion_to_their_contributions():
    sizes = dict.fromkeys(HOUSE.names, 0.0) | {"mutual_fund": 60.0}
    found = apply(HOUSE, [30.0, 90.0], sizes)
    paid = found.paid_by("mutual_fund", [1.0, 2.0, 3.0])
    assert paid[:, 0] == pytest.approx([5.0, 10.0, 15.0])
    assert paid.sum(axis=0) == pytest.approx(found.of("mutual_fund"))


def test_each_packaged_venue_starts_with_the_defaulter_and_ends_with_others():
    kinds = {waterfall.venue: [layer.kind for layer in waterfall.layers] for waterfall in packaged()}
    assert {venue for venue, row in kinds.items() if row[0] is LayerKind.DEFAULTER} == set(kinds)
    assert kinds["deribit"][-1] is LayerKind.SOCIALISED
    assert kinds["paradex"][-1] is LayerKind.SOCIALISED
    for venue in ("binance", "bybit", "okx", "hyperliquid", "bitmex", "dydx"):
        assert kinds[venue][1:] == [LayerKind.FUND, LayerKind.ADL]


def test_a_fund_larger_than_the_market_is_a_slip_of_units():
    sizes = dict.fromkeys(HOUSE.names, 0.0)
    with pytest.raises(InputError, match=r"mutual_fund.*2,000\.00 USD of a market of 1,000\.00"):
        apply(HOUSE, 1.0, sizes | {"mutual_fund": 2000.0}, market_usd=1000.0)
    # what winners or members can pay may well exceed it
    assert apply(HOUSE, 1.0, sizes | {"gains_haircut": 2000.0}, market_usd=1000.0).residual_usd[0] == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mutual_fund": -1.0}, "mutual_fund"),
        ({"mutual_fund": np.nan}, "mutual_fund"),
        ({"mutual_fund": np.inf}, "mutual_fund"),
        ({"mutual_fund": [1.0, 2.0, 3.0]}, "mutual_fund"),
        ({"mutual_find": 1.0}, "unknown mutual_find"),
    ],
)
def test_bad_sizes_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        apply(HOUSE, 1.0, dict.fromkeys(HOUSE.names, 0.0) | changes)


def test_a_layer_without_a_size_is_never_taken_as_empty():
    with pytest.raises(InputError, match="missing tear_up"):
        apply(HOUSE, 1.0, {name: 0.0 for name in HOUSE.names if name != "tear_up"})


def test_a_negative_loss_is_refused():
    with pytest.raises(InputError, match=r"loss_usd\[1\]"):
        apply(HOUSE, [1.0, -1.0], dict.fromkeys(HOUSE.names, 0.0))


def test_only_a_tear_up_has_no_limit():
    sizes = dict.fromkeys(HOUSE.names, 0.0) | {"tear_up": np.inf}
    assert apply(HOUSE, 1e12, sizes).residual_usd[0] == 0.0


def rules(*layers):
    rows = ", ".join("{ " + ", ".join(f'{key} = "{value}"' for key, value in layer.items()) + " }" for layer in layers)
    return (
        '[[waterfall]]\nid = "x"\nvenue = "x"\nvalid_from = 2026-01-01\nsource = "s"\nretrieved = "2026-01-02"\n'
        f'confidence = "CONFIRMED"\nlayer = [{rows}]\n'
    )


A = {"name": "a", "kind": "defaulter"}
B = {"name": "b", "kind": "fund", "after": "a"}


def test_layers_follow_the_chain_and_not_the_file():
    assert parse_waterfalls(rules(B, A), source="test")[0].names == ("a", "b")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((A, B, B), "'b' stood twice"),
        ((A | {"after": "b"}, B), "circle: a, b"),
        ((A, B | {"after": "b"}), "circle: b"),
        ((A, B, {"name": "c", "kind": "adl", "after": "a"}), "'b' and 'c' both stand after 'a'"),
        ((A, {"name": "b", "kind": "fund"}), "both stand first"),
        ((A, B | {"after": "z"}), "'b' after 'z': no such layer"),
        ((A, B | {"kind": "magic"}), "magic"),
        ((A, B | {"colour": "red"}), "unknown key colour"),
        ((), "layer"),
    ],
)
def test_bad_chains_say_what_is_wrong(layers, message):
    with pytest.raises(RulebookError, match=message):
        parse_waterfalls(rules(*layers), source="test")


def test_waterfalls_are_dated():
    with pytest.raises(RulebookError, match="none in force"):
        waterfall_of("deribit", at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(RulebookError, match="no waterfall of 'nowhere'"):
        waterfall_of("nowhere", at=AT)
    with pytest.raises(RulebookError, match="overlap"):
        parse_waterfalls(rules(A, B) * 2, source="test")
