"""Pools of any rule evaluated together against the plain twin, one pool after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError
from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues import margin, mixed_batch
from margincover.venues.mixed_batch import MixedBatch
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from tests.books import linear_pool
from tests.properties import test_binance_models as binance
from tests.properties import test_deribit_models as deribit
from tests.properties import test_derive_models as derive
from tests.properties import test_dex_models as dex

# Both add the same numbers, some in another order.
RELATIVE = 1e-12
WALLET = {"BTC": 3.0, "ETH": 40.0, "USDC": 200_000.0}
RATIOS = st.floats(0.3, 3.0)


def dydx_pool(*, quantity, leverage, open_interest, lower, upper):
    at = datetime(2026, 11, 24, tzinfo=UTC)
    capped = upper > 0.0
    fact = InstrumentOverride(
        venue="dydx",
        symbol="BTC-USD",
        open_interest=open_interest,
        open_interest_lower_cap=lower if capped else None,
        open_interest_upper_cap=upper if capped else None,
    )
    positions = (
        Position(symbol="BTC-USD", contracts=quantity, entry_price=90_000.0, mark_price=91_000.0, leverage=leverage),
        Position(symbol="ETH-USD", contracts=-quantity * 20.0, entry_price=3_100.0, mark_price=3_000.0),
    )
    account = Account(
        id="dydx:a",
        venue="dydx",
        mode="cross",
        positions=positions,
        balances=(Balance(asset="USDC", total_native=5e4),),
    )
    book = BookInput(
        as_of=at,
        accounts=(account,),
        market=MarketState(as_of=at, observed_at=at, asset_usd={"USDC": 1.0}),
        instrument_overrides=(fact,),
        tier_overrides=tuple(
            TierOverride(venue="dydx", symbol=symbol, rows=((0.0, 1e12, 0.03, None, None),))
            for symbol in ("BTC-USD", "ETH-USD")
        ),
    )
    (pool,) = build_pools(resolve(book))
    return pool


@st.composite
def pools(draw):
    """Draw pools of every stacked kind, one that has no model and one that is evaluated alone; in any order."""
    found = [
        linear_pool(notional=2e5, cash=3e4),
        dex.paradex_pool("portfolio", dex.AFTER, draw(dex.options), draw(dex.perps)),
    ]
    found.append(dex.paradex_pool("cross", dex.AFTER, [], draw(st.sampled_from([-2.0, 0.3])), leverage=draw(LEVERAGE)))
    found.append(
        dydx_pool(
            quantity=draw(st.sampled_from([0.1234567, -2.0])),
            leverage=draw(st.sampled_from([None, 2.0])),
            open_interest=draw(st.sampled_from([None, 0.0, 4_000.0])),
            lower=1e8,
            upper=draw(st.sampled_from([0.0, 6e8])),
        )
    )
    sizes = {"BTCUSDT": draw(binance.SIZE), "ETHUSDT": draw(binance.SIZE)}
    wallet = binance.amounts(USDT=draw(binance.CASH), BTC=draw(binance.COINS))
    found.append(binance.pool_of("usdm_multi_assets", sizes, wallet))
    at = draw(st.sampled_from([derive.V2, derive.V3]))
    held = draw(derive.positions(coins=("ETH", "BTC"), at=at))
    stable = draw(st.sampled_from([derive.STABLE, 0.95]))
    coins = {"USDC": draw(st.floats(-1e4, 1e5)), "ETH": draw(st.sampled_from([0.0, 5.0]))}
    found.append(derive.pool_of(at, "standard", held, coins, stable=stable))
    drawn = draw(deribit.specs(bases=("BTC", "ETH"), linear=st.booleans()))
    found += deribit.pools_of("segregated_pm", drawn, at=deribit.OCTOBER, wallet=WALLET)
    # Linear futures of other coins have no rates of that time, and sizes above the published curve are refused.
    drawn = deribit.supported_in_standard(draw(deribit.specs(bases=("BTC",), linear=st.booleans())))
    found += deribit.pools_of("segregated_sm", drawn, at=deribit.EARLY_2026, wallet=WALLET)
    ordered = [replace(pool, open_order_initial=draw(st.sampled_from([0.0, 12.5]))) for pool in found]
    return draw(st.permutations(ordered))


LEVERAGE = st.sampled_from([3.0, 50.0])


@settings(max_examples=10, deadline=None)
@given(held=pools(), data=st.data())
def test_a_mixed_batch_equals_its_pools_one_by_one(held, data):
    batch = MixedBatch.of(held)
    ratio = np.array([[data.draw(RATIOS) for _ in range(3)] for _ in batch.factors])
    together = mixed_batch.evaluate(batch, ratio)
    for row, pool in enumerate(held):
        own = ratio[[batch.factors.index(name) for name in pool.factors]].reshape(len(pool.factors), 3)
        expected = margin.evaluate_pool(pool, own)
        # Equity and requirements are sums of legs: the size of what is added bounds the rounding.
        legs = np.abs(pool.legs.signed_size * np.where(pool.legs.inverse, 1.0, pool.legs.mark_price)).sum()
        room = RELATIVE * (1.0 + np.abs(np.stack(expected)).max() + 10.0 * float(legs))
        for figure, alone in zip(together, expected, strict=True):
            np.testing.assert_allclose(figure[row], alone, rtol=RELATIVE, atol=room, err_msg=pool.id)


@settings(max_examples=10, deadline=None)
@given(held=pools(), data=st.data())
def test_a_state_of_a_mixed_batch_does_not_depend_on_the_states_beside_it(held, data):
    batch = MixedBatch.of(held)
    ratio = np.array([[data.draw(RATIOS) for _ in range(5)] for _ in batch.factors])
    whole = mixed_batch.evaluate(batch, ratio)
    for state in (0, 3):
        for figure, alone in zip(whole, mixed_batch.evaluate(batch, ratio[:, state : state + 1]), strict=True):
            np.testing.assert_array_equal(figure[:, state], alone[:, 0])


def test_kinds_that_stack_are_stacked_and_others_stay_alone():
    stacked = dydx_pool(quantity=1.0, leverage=None, open_interest=None, lower=0.0, upper=0.0)
    row = ("26MAR27", 100_000, True, 1.0, 0.5)
    alone = dex.paradex_pool("cross", dex.AFTER, [row], 1.0)
    batch = MixedBatch.of([linear_pool(notional=2e5, cash=3e4), stacked, alone])
    assert batch.plain_rows.tolist() == [0]
    assert [stack.rows.tolist() for stack in batch.stacks] == [[1]]
    assert [place for place, _, _ in batch.alone] == [2]
    assert mixed_batch.can_stack(stacked)
    assert not mixed_batch.can_stack(alone)


def test_a_ratio_of_another_shape_is_refused():
    batch = MixedBatch.of([linear_pool(notional=2e5, cash=3e4)])
    with pytest.raises(InputError, match="factor_ratio"):
        mixed_batch.evaluate(batch, np.ones((3, 1)))


def test_the_market_at_as_of_is_the_same_stacked_and_one_by_one():
    # Five models: from four on they are stacked.
    held = [
        dydx_pool(quantity=q, leverage=None, open_interest=100.0, lower=0.0, upper=0.0)
        for q in (1.0, 2.0, -3.0, 4.0, 5.0)
    ]
    together, one_by_one = margin.evaluate(held), [margin.evaluate([pool]) for pool in held]
    for name in ("equity", "maintenance", "initial"):
        expected = np.concatenate([getattr(vector, name) for vector in one_by_one])
        np.testing.assert_allclose(getattr(together, name), expected, rtol=RELATIVE)
