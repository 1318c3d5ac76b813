"""Paradex and dYdX accounts through the product's book against the slow rules, in shocked states of the market."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride, TierOverride
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.pricing import black76
from margincover.venues import margin
from margincover.venues.dydx import integers as dydx
from margincover.venues.explain import explain_pool
from margincover.venues.paradex import reference as slow
from margincover.venues.paradex.cross import ParadexGroupParameters, ParadexOptionParameters
from margincover.venues.paradex.portfolio import ParadexPortfolioParameters
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve

RELATIVE = 1e-10
BEFORE, AFTER = datetime(2026, 8, 25, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
DAYS = {"8JAN27": datetime(2027, 1, 8, 8, tzinfo=UTC), "26MAR27": datetime(2027, 3, 26, 8, tzinfo=UTC)}
SPOT, FORWARD, MARK, WALLET, FUNDING = 100_000.0, 101_000.0, 100_050.0, 250_000.0, 0.00002
TAKER = 0.00024

options = st.lists(
    st.tuples(
        st.sampled_from(sorted(DAYS)),
        st.sampled_from([60_000, 90_000, 100_000, 130_000]),
        st.booleans(),
        st.integers(-30, 30).filter(bool).map(lambda n: n / 10),
        st.floats(0.2, 1.5),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda row: row[:3],
)
perps = st.integers(-30, 30).map(lambda n: n / 10)
ratios = st.floats(0.4, 2.5)


def paradex_pool(mode, at, rows, perp, leverage=50.0):
    positions = [
        Position(
            symbol=f"BTC-USD-{day}-{strike}-{'C' if call else 'P'}",
            contracts=quantity,
            entry_price=3_000.0,
            implied_volatility=volatility,
            forward_price=FORWARD,
        )
        for day, strike, call, quantity, volatility in rows
    ]
    if perp:
        positions.append(
            Position(symbol="BTC-USD-PERP", contracts=perp, entry_price=95_000.0, mark_price=MARK, leverage=leverage)
        )
    account = Account(
        id="paradex:a",
        venue="paradex",
        mode=mode,
        positions=tuple(positions),
        balances=(Balance(asset="USDC", total_native=WALLET),),
    )
    market = MarketState(
        as_of=at,
        observed_at=at,
        asset_usd={"BTC": SPOT, "USDC": 1.0},
        funding_per_hour={"BTC-USD-PERP": FUNDING},
    )
    (pool,) = build_pools(resolve(BookInput(as_of=at, accounts=(account,), market=market)))
    return pool


def legs_of(at, rows, ratio):
    done = []
    for day, strike, call, quantity, volatility in rows:
        years = (DAYS[day] - at).total_seconds() / (365 * 86_400)
        forward = FORWARD * ratio
        mark = black76.price_reference(
            forward=forward, strike=float(strike), years=years, volatility=volatility, is_call=call
        )
        leg = slow.OptionLeg(
            quantity=quantity,
            strike=float(strike),
            is_call=call,
            mark=mark,
            forward=forward,
            volatility=volatility,
            years=years,
        )
        done.append((day, leg))
    return done


def close(expected):
    return pytest.approx(expected, rel=RELATIVE, abs=1e-6)


def equity_of(legs, perp, ratio):
    return WALLET + perp * (MARK * ratio - 95_000.0) + math.fsum(leg.quantity * (leg.mark - 3_000.0) for _, leg in legs)


@given(options, perps, ratios, st.sampled_from([BEFORE, AFTER]))
@settings(max_examples=60, deadline=None)
def test_paradex_cross_account_is_the_sum_of_the_slow_rules(rows, perp, ratio, at):
    pool = paradex_pool("cross", at, rows, perp)
    equity, maintenance, initial = margin.evaluate_pool(pool, np.array([[ratio]]))
    legs, spot = legs_of(at, rows, ratio), SPOT * ratio
    edition = parameters("paradex", mode="cross_option", underlying="BTC", at=at)
    rule = ParadexOptionParameters.from_mapping(edition.values, source="t")
    group = parameters("paradex", mode="option_group", underlying="*", at=AFTER)
    netting = ParadexGroupParameters.from_mapping(group.values, source="t")
    value = abs(perp) * MARK * ratio
    fees = math.fsum(abs(leg.quantity) for _, leg in legs) * spot * TAKER
    # 2 % initial and half of it: docs.paradex.trade, risk/cross-margin-requirement.
    expected = [value * (0.01 + TAKER) + fees, value * (0.02 + TAKER) + fees]
    pairs = ((rule.maintenance, netting.unpaired_maintenance_factor), (rule.initial, netting.unpaired_initial_factor))
    for k, (factors, unpaired) in enumerate(pairs):
        for day in DAYS:
            same = [leg for name, leg in legs if name == day]
            alone = math.fsum(
                slow.option_requirement(leg, spot=spot, factors=factors, cap=rule.short_put_cap_basis) for leg in same
            )
            netted = slow.group_requirement(same, spot=spot, isolated=alone, unpaired_factor=unpaired)
            # The page of 2026-08 had no netting: it may not lower a requirement before it was there.
            expected[k] += netted if at == AFTER else alone
    assert float(equity[0]) == close(equity_of(legs, perp, ratio))
    assert [float(maintenance[0]), float(initial[0])] == close(expected)


@given(options, perps, ratios, st.sampled_from([BEFORE, AFTER]))
@settings(max_examples=40, deadline=None)
def test_paradex_portfolio_account_is_the_slow_rule(rows, perp, ratio, at):
    pool = paradex_pool("portfolio", at, rows, perp)
    equity, maintenance, initial = margin.evaluate_pool(pool, np.array([[ratio]]))
    named, spot = legs_of(at, rows, ratio), SPOT * ratio
    legs = [leg for _, leg in named]
    edition = parameters("paradex", mode="portfolio", underlying="BTC", at=at)
    rule = ParadexPortfolioParameters.from_mapping(edition.values, source="t")
    held = [(perp, MARK * ratio)] if perp else []
    deltas = [perp] + [
        leg.quantity
        * float(
            black76.delta(
                forward=leg.forward,
                strike=leg.strike,
                years=leg.years,
                volatility=leg.volatility,
                is_call=leg.is_call,
            )
        )
        for leg in legs
    ]
    net = max(
        slow.scan_risk(legs, perpetuals=held, parameters=rule), slow.minimum_delta(deltas, spot=spot, parameters=rule)
    )
    provisions = max(0.0, perp * MARK * ratio * FUNDING * 8.0) + TAKER * (
        abs(perp) * MARK * ratio + math.fsum(abs(leg.quantity) for leg in legs) * spot
    )
    assert float(equity[0]) == close(equity_of(named, perp, ratio))
    assert float(initial[0]) == close(net + provisions)
    assert float(maintenance[0]) == close(rule.maintenance_factor * net + provisions)


@given(options, perps, st.sampled_from(["cross", "portfolio"]))
@settings(max_examples=25, deadline=None)
def test_paradex_figures_do_not_depend_on_the_number_of_paths_and_explain_sums(rows, perp, mode):
    pool = paradex_pool(mode, AFTER, rows, perp)
    many = np.linspace(0.5, 1.7, 7)[None, :]
    together = margin.evaluate_pool(pool, many)
    for k in range(7):
        alone = margin.evaluate_pool(pool, many[:, k : k + 1])
        assert [float(x[0]) for x in alone] == [float(x[k]) for x in together]
    now = margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))
    assert [tree.value for tree in explain_pool(pool)] == close([float(x[0]) for x in now])


@given(options.map(lambda rows: rows[:1]), st.floats(1.0, 20.0), st.sampled_from(["cross", "portfolio"]))
@settings(max_examples=30, deadline=None)
def test_paradex_requirement_never_falls_when_the_only_position_grows(rows, scale, mode):
    day, strike, call, quantity, volatility = rows[0]
    grown = [(day, strike, call, quantity * scale, volatility)]
    (less, more) = (margin.evaluate_pool(paradex_pool(mode, AFTER, r, 0.0), np.ones((1, 1))) for r in (rows, grown))
    assert float(more[1][0]) >= float(less[1][0]) * (1 - 1e-12)
    assert float(more[2][0]) >= float(less[2][0]) * (1 - 1e-12)


def test_paradex_lower_leverage_raises_maintenance():
    # 5x: half of 20 % of 100,050 and the taker fee; the market's own rate would ask 1 %.
    pool = paradex_pool("cross", AFTER, [], 1.0, leverage=5.0)
    _, maintenance, initial = margin.evaluate_pool(pool, np.ones((1, 1)))
    assert float(maintenance[0]) == close(MARK * (0.1 + TAKER))
    assert float(initial[0]) == close(MARK * (0.2 + TAKER))


sizes = st.integers(-(10**10), 10**10).filter(lambda q: abs(q) >= 10**5)


def dydx_pool(rows, mode="cross", facts=(), leverage=None, at=datetime(2026, 3, 5, tzinfo=UTC)):
    account = Account(
        id="dydx:a",
        venue="dydx",
        mode=mode,
        positions=tuple(
            Position(symbol=symbol, contracts=size, entry_price=price, mark_price=price, leverage=leverage)
            for symbol, size, price in rows
        ),
        balances=(Balance(asset="USDC", total_native=1_000.0),),
    )
    tiers = tuple(
        TierOverride(venue="dydx", symbol=symbol, rows=((0.0, math.inf, 0.05, None, None),))
        for symbol, _, _ in rows
        if symbol not in ("BTC-USD", "ETH-USD")
    )
    book = BookInput(
        as_of=at,
        accounts=(account,),
        market=MarketState(as_of=at, observed_at=at, asset_usd={"USDC": 1.0}),
        instrument_overrides=tuple(facts),
        tier_overrides=tiers,
    )
    (pool,) = build_pools(resolve(book))
    return pool


@given(sizes, st.integers(10**5, 10**10), sizes, st.integers(10**5, 10**9))
@settings(max_examples=80, deadline=None)
def test_dydx_account_is_the_whole_number_rule_to_a_quantum(btc, btc_price, eth, eth_price):
    # BTC: 1e-10 coins and 1e-5 USD; ETH: 1e-9 coins and 1e-6 USD, as on the chain.
    pool = dydx_pool([("BTC-USD", btc / 1e10, btc_price / 1e5), ("ETH-USD", eth / 1e9, eth_price / 1e6)])
    equity, maintenance, initial = margin.evaluate_pool(pool, np.ones((2, 1)))
    edition = parameters("dydx", mode="cross", underlying="BTC", at=datetime(2026, 3, 5, tzinfo=UTC))
    tier = dydx.DydxParameters.from_mapping(edition.values, source="t")
    rows = [
        dydx.position_risk(
            btc, market=dydx.DydxMarket(tier=tier, price=btc_price, price_exponent=-5, atomic_resolution=-10)
        ),
        dydx.position_risk(
            eth, market=dydx.DydxMarket(tier=tier, price=eth_price, price_exponent=-6, atomic_resolution=-9)
        ),
    ]
    # A float product may stand on the other side of a whole quantum: one a position, and the sum's last digit.
    slack = 2.0 + 1e-15 * sum(abs(row.net_collateral) for row in rows)
    assert float(maintenance[0]) * 1e6 == pytest.approx(sum(row.maintenance for row in rows), rel=0, abs=slack)
    assert float(initial[0]) * 1e6 == pytest.approx(sum(row.initial for row in rows), rel=0, abs=slack)
    # Entries are the oracle price: what is left of the wallet is what the values were cut by.
    assert -2.0 <= (float(equity[0]) - 1_000.0) * 1e6 <= 2.0


def test_dydx_figures_are_whole_quantums_rounded_up():
    # 0.0123457 BTC at 50,000.12345: 617.286524...; 2 % up to the quantum, 60 % of that up to the quantum.
    pool = dydx_pool([("BTC-USD", 0.0123457, 50_000.12345)])
    equity, maintenance, initial = margin.evaluate_pool(pool, np.ones((1, 1)))
    value = 123457 * 5000012345 * 10**6 // 10**12
    base = -(-value * 20_000 // 10**6)
    assert round(float(initial[0]) * 1e6) == base
    assert round(float(maintenance[0]) * 1e6) == -(-base * 600_000 // 10**6)
    assert float(equity[0]) <= 1_000.0


def caps(interest, lower=40e6, upper=100e6):
    return InstrumentOverride(
        venue="dydx",
        symbol="LINK-USD",
        open_interest=interest,
        open_interest_lower_cap=lower,
        open_interest_upper_cap=upper,
    )


@pytest.mark.parametrize(
    ("interest", "leverage", "fraction"),
    [
        (1_000_000.0, None, 0.05),  # 20m USDC, below the lower cap
        (3_500_000.0, None, 0.525),  # 70m: half way from 5 % to 100 %
        (6_000_000.0, None, 1.0),  # 120m, above the upper cap
        (1_000_000.0, 4.0, 0.25),  # the user's own leverage asks more
        (3_500_000.0, 4.0, 0.525),
    ],
)
def test_dydx_initial_margin_rises_with_open_interest_and_maintenance_does_not(interest, leverage, fraction):
    pool = dydx_pool([("LINK-USD", -100.0, 20.0)], facts=[caps(interest)], leverage=leverage)
    _, maintenance, initial = margin.evaluate_pool(pool, np.ones((1, 1)))
    assert float(initial[0]) == pytest.approx(2_000.0 * fraction, rel=0, abs=2e-6)
    assert float(maintenance[0]) == pytest.approx(2_000.0 * 0.03, rel=0, abs=2e-6)


@pytest.mark.parametrize("facts", [(), (caps(None),)])
def test_dydx_unknown_open_interest_takes_the_whole_value_and_says_so(facts):
    pool = dydx_pool([("LINK-USD", 100.0, 20.0)], facts=facts, leverage=10.0)
    _, _, initial = margin.evaluate_pool(pool, np.ones((1, 1)))
    assert float(initial[0]) == 2_000.0
    assert any("LINK-USD" in note and "whole value" in note for note in pool.notes)


def test_dydx_open_interest_follows_the_price_of_the_state():
    pool = dydx_pool([("LINK-USD", 100.0, 20.0)], facts=[caps(3_500_000.0)])
    _, _, initial = margin.evaluate_pool(pool, np.array([[0.5, 1.0, 2.0]]))
    # 35m is below the lower cap, 70m half way, 140m above the upper one.
    assert initial.tolist() == pytest.approx([1_000.0 * 0.05, 2_000.0 * 0.525, 4_000.0], rel=0, abs=2e-6)
