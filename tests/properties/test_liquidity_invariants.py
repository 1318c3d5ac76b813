"""Invariants of the ladder: more resources never hurt, a dollar counts once, money in transit only from its arrival."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.liquidity.ladder import NeedPaths, ladder_rows, survival_horizon, unmet_paths
from margincover.liquidity.supply import SupplyView, supply_table
from margincover.model.resources import HaircutStep, Reserve, TransferInTransit, TransferTime
from margincover.venues.assets import PEGGED_TO_USD
from tests.books import AS_OF, a_book, an_account

HOUR = 3_600
BUCKETS = (HOUR, 3 * HOUR, 8 * HOUR, 24 * HOUR, 72 * HOUR)
BOOK = a_book(
    an_account("binance", "usdm_single_asset", USDT=1e3),
    an_account("okx", "futures", USDT=1e3),
    asset_usd={"USDT": 1.0, "USDC": 1.0},
)
PLACES = tuple(account.id for account in BOOK.accounts)
AMOUNT = st.floats(0.0, 1e6)
DELAY = st.integers(0, 30 * HOUR)


@st.composite
def reserves(draw: st.DrawFn, name: str) -> Reserve:
    p50 = draw(DELAY)
    steps = sorted(draw(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=2)))
    return Reserve(
        id=name,
        asset="USDT",
        amount_native=draw(AMOUNT),
        time_to_cash_p50_s=p50,
        time_to_cash_p99_s=p50 + draw(DELAY),
        haircuts=tuple(HaircutStep(floor_native=1e5 * k, haircut=step) for k, step in enumerate(steps)),
        cost_fraction=draw(st.floats(0.0, 0.05)),
        capacity_per_hour_native=draw(st.none() | st.floats(1e3, 1e6)),
        daily_limit_native=draw(st.none() | st.floats(1e3, 1e6)),
        settlement_cycle_s=draw(st.none() | st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR])),
    )


@st.composite
def ways(draw: st.DrawFn, origin: str) -> tuple[TransferTime, ...]:
    found = []
    for destination in PLACES:
        if draw(st.booleans()):
            p50 = draw(DELAY)
            found.append(
                TransferTime(
                    origin=origin, destination=destination, asset="USDT", p50_s=p50, p99_s=p50 + draw(DELAY),
                    fee_native=draw(st.floats(0.0, 100.0)), daily_limit_native=draw(st.none() | st.floats(1e3, 1e6)),
                )
            )  # fmt: skip
    return tuple(found)


@st.composite
def needs(draw: st.DrawFn) -> NeedPaths:
    seed = draw(st.integers(0, 2**32 - 1))
    size = draw(st.floats(1e2, 1e6))
    rng = np.random.default_rng(seed)
    steps = rng.normal(0.0, size, (len(BUCKETS), len(PLACES) + 1, 200))
    return NeedPaths(running_usd=np.maximum.accumulate(steps - size, axis=0), low_ratio={})


def tables(book, view=None):
    table = supply_table(
        book,
        (0, *BUCKETS),
        weights={place: {"USDT": 1.0} for place in PLACES},
        pegged=PEGGED_TO_USD,
        view=view or SupplyView(),
        debts=("obligations",),
    )
    return table.at((0, *BUCKETS[:-1])), table.at(BUCKETS)


def horizon(book, need, view=None):
    opening, supply = tables(book, view)
    failed = unmet_paths(opening, need)
    rows = ladder_rows(opening, supply, need, failed, tolerance=0.05)
    return survival_horizon(rows, tolerance=0.05).at_least_s, failed


@settings(deadline=None, max_examples=60)
@given(reserves("one"), reserves("two"), ways("one"), ways("two"), needs(), st.floats(1.0, 5.0))
def test_more_resources_never_shorten_the_horizon(one, two, from_one, from_two, need, times):
    bare = replace(BOOK, reserves=(one,), transfer_times=from_one)
    larger = replace(bare, reserves=(replace(one, amount_native=one.amount_native * times),))
    both = replace(BOOK, reserves=(one, two), transfer_times=(*from_one, *from_two))
    base, failed = horizon(bare, need)
    for more in (larger, both):
        longer, still_failed = horizon(more, need)
        assert longer >= base
        assert not (still_failed & ~failed).any()


@settings(deadline=None, max_examples=60)
@given(reserves("one"), ways("one"), needs())
def test_medians_and_trust_never_shorten_the_horizon(one, from_one, need):
    book = replace(BOOK, reserves=(one,), transfer_times=from_one)
    assert horizon(book, need, SupplyView(slow=False, stress=False))[0] >= horizon(book, need)[0]
    assert horizon(book, need)[0] >= horizon(book, need, SupplyView(frozen=("one",)))[0]


@settings(deadline=None, max_examples=60)
@given(reserves("one"), ways("one"), st.lists(st.tuples(AMOUNT, DELAY), max_size=3))
def test_a_dollar_is_counted_once_and_only_after_it_has_arrived(one, from_one, moving):
    arrivals = tuple(
        TransferInTransit(
            id=f"wire-{k}", destination="one" if k else PLACES[0], asset="USDT", amount_native=amount,
            arrives_p50_at=AS_OF, arrives_p99_at=AS_OF + timedelta(seconds=late),
        )
        for k, (amount, late) in enumerate(moving)
    )  # fmt: skip
    _, supply = tables(replace(BOOK, reserves=(one,), transfer_times=from_one, in_transit=arrivals))
    for bucket, until_s in enumerate(BUCKETS):
        there = one.amount_native if one.time_to_cash_p99_s <= until_s else 0.0
        there += sum(amount for amount, late in moving if late <= until_s)
        assert supply.usable_usd[bucket] <= there + 1e-6
        # nothing reaches a place that its source has not released
        assert (supply.way_usd[bucket] <= supply.total_usd[bucket][:, None] + 1e-9).all()
        # what is on its way to a reserve shares its ways: no more than a way carries by then
        for place, name in enumerate(PLACES):
            limits = [way.daily_limit_native for way in from_one if way.destination == name]
            if limits and limits[0] is not None:
                ids = ["one", *(row.id for row in arrivals if row.destination == "one")]
                rows = [n for n, source in enumerate(supply.sources) if source.id in ids]
                days = 1 + until_s // 86_400
                assert supply.way_usd[bucket, rows, place].sum() <= days * limits[0] + 1e-6
