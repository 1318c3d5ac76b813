"""Derive accounts that go through a book, against the slow twins of the rules, in several states of the market."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import margincover as mc
from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues import margin, modelled
from margincover.venues.derive.parameters import Pm2Parameters, StandardParameters
from margincover.venues.derive.pm2_reference import portfolio_margin_reference
from margincover.venues.derive.standard_reference import market_margin_reference
from margincover.venues.derive.state import OptionLegs, Pm2Holding, Pm2State, StandardHolding, StandardState
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue

V2 = datetime(2026, 3, 1, 12, tzinfo=UTC)
V3 = datetime(2026, 11, 1, 12, tzinfo=UTC)
SPOT = {"ETH": 3_000.0, "BTC": 90_000.0, "SOL": 150.0}
STABLE = 0.9875
RATES = {"ETH-261225": 0.03, "ETH-270326": -0.02}
DAYS = {V2: ("20260306", "20260327"), V3: ("20261225", "20270326")}
# Kernels and twins are held to 1e-10 of the gross values that are added.
TOLERANCE = 1e-10
quantities = st.integers(-40, 40).filter(bool).map(lambda n: n / 8.0)
multiples = st.sampled_from([0.6, 0.9, 1.0, 1.1, 1.6])


@st.composite
def positions(draw, *, coins, at):
    found = {}
    for coin in coins:
        if draw(st.booleans()):
            found[f"{coin}-PERP"] = (draw(quantities), SPOT[coin] * 1.002, None, None)
        for _ in range(draw(st.integers(0, 4))):
            day, right = draw(st.sampled_from(DAYS[at])), draw(st.sampled_from("CP"))
            strike = SPOT[coin] * draw(multiples)
            volatility = draw(st.sampled_from([0.2, 0.6, 1.4]))
            forward = SPOT[coin] * (1.004 if day == DAYS[at][0] else 1.02)
            found[f"{coin}-{day}-{strike:g}-{right}"] = (draw(quantities), None, volatility, forward)
    return found


def book_of(at, mode, held, balances, *, stable=STABLE, marks=None, spot=SPOT, rates=RATES):
    rows = tuple(
        Position(
            symbol=symbol,
            contracts=quantity,
            entry_price=SPOT[symbol.partition("-")[0]] * 0.97 if symbol.endswith("PERP") else 1.0,
            mark_price=(marks or {}).get(symbol, mark),
            implied_volatility=volatility,
            forward_price=forward,
        )
        for symbol, (quantity, mark, volatility, forward) in held.items()
    )
    account = Account(
        id="derive:desk",
        venue="derive",
        mode=mode,
        positions=rows,
        balances=tuple(Balance(asset=a, total_native=n) for a, n in balances.items()),
    )
    prices = {**spot, "USDC": stable, "wstETH": 3_600.0}
    market = MarketState(as_of=at, observed_at=at, asset_usd=prices, interest_rate_per_year=rates)
    return resolve(BookInput(as_of=at, accounts=(account,), market=market, source="test"))


def pool_of(*args, **changes):
    (pool,) = build_pools(book_of(*args, **changes))
    return pool


def gross(pool, state):
    size = 1.0 + float(np.abs(pool.assets.balance_native * pool.assets.price_unit).sum())
    size += float(np.abs(pool.legs.signed_size[:, None] * state.leg_price).sum())
    return size + float(np.abs(pool.options.quantity[:, None] * state.option_forward).sum())


def ratios(pool):
    """Return factor ratios of three states, each factor by its own move."""
    moves = np.array([[1.0, 0.8, 1.3], [1.0, 1.15, 0.7], [1.0, 0.9, 1.1]])
    return moves[: max(len(pool.factors), 1)][: len(pool.factors)]


def reference_standard(pool, state, at, path):
    """Return net maintenance and initial margin, written anew from the pool's tables."""
    cash = float(state.balance[pool.assets.assets.index("USDC"), path])
    totals = [cash, cash]
    bases = dict.fromkeys((*pool.legs.bases, *pool.options.bases, *(a for a in pool.assets.assets if a != "USDC")))
    for base in bases:
        edition = parameters("derive", mode="SM", underlying=base, at=at)
        rules = StandardParameters.from_mapping(edition.values, source=edition.id)
        options = [k for k, b in enumerate(pool.options.bases) if b == base]
        days = sorted({pool.options.symbols[k].split("-")[1] for k in options})
        rows = [days.index(pool.options.symbols[k].split("-")[1]) for k in options]
        leg = next((k for k, b in enumerate(pool.legs.bases) if b == base), None)
        factor = pool.factors.index(base)
        spot = SPOT[base] * float(state.factor_ratio[factor, path])
        price = 0.0
        if leg is not None:
            price = spot if at == V3 else float(state.leg_price[leg, path])
        now = StandardState.of(
            n_legs=len(options),
            n_expiries=len(days),
            spot=spot,
            stable_price=pool.unit_usd,
            forward=[[float(state.option_forward[options[rows.index(r)], path])] for r in range(len(days))]
            or np.zeros((0, 1)),
            mark=state.option_mark[options][:, [path]],
            perp_price=price,
            perp_pnl_usd=0.0 if leg is None else float(state.leg_profit[leg, path]),
            spot_confidence=1.0,
            perp_confidence=1.0,
            option_confidence=np.ones((len(options), 1)),
        )
        legs = OptionLegs.of(
            expiry=rows,
            strike=pool.options.strike[options],
            is_call=pool.options.is_call[options],
            quantity_contracts=state.option_quantity[options],
        )
        coin = pool.assets.assets.index(base) if base in pool.assets.assets else None
        holding = StandardHolding(
            legs=legs,
            perp_quantity=0.0 if leg is None else float(pool.legs.signed_size[leg]),
            base_quantity=0.0 if coin is None else float(state.balance[coin, path]),
        )
        _, maintenance, initial = market_margin_reference(holding=holding, state=now, parameters=rules, path=0)
        totals[0] += float(maintenance)
        totals[1] += float(initial)
    return totals


def reference_portfolio(pool, state, at, path, base, rate_of):
    edition = parameters("derive", mode="PM2", underlying=base, at=at)
    rules = Pm2Parameters.from_mapping(edition.values, source=edition.id)
    days = sorted({symbol.split("-")[1] for symbol in pool.options.symbols})
    rows = [days.index(symbol.split("-")[1]) for symbol in pool.options.symbols]
    first = [rows.index(r) for r in range(len(days))]
    coins = [k for k, a in enumerate(pool.assets.assets) if a != "USDC"]
    cuts = [rules.haircuts[pool.assets.assets[k]] for k in coins]
    spot = SPOT[base] * (float(state.factor_ratio[0, path]) if pool.factors else 1.0)
    one = np.ones((len(days), 1))
    now = Pm2State.of(
        n_legs=len(rows),
        n_expiries=len(days),
        n_collaterals=len(coins),
        spot=spot,
        stable_price=pool.unit_usd,
        perp_price=float(state.leg_price[0, path]) if pool.legs.count else 0.0,
        perp_pnl_usd=float(state.leg_profit[0, path]) if pool.legs.count else 0.0,
        spot_confidence=1.0,
        perp_confidence=1.0,
        forward=state.option_forward[first][:, [path]],
        forward_fixed=0.0 * one,
        years=state.option_years[first].reshape(-1, 1),
        rate_per_year=np.array([rate_of(f"{base}-{day[2:]}") for day in days]).reshape(-1, 1),
        expiry_confidence=one,
        volatility=state.option_volatility[:, [path]],
        collateral_price=(state.asset_price[coins] * pool.unit_usd)[:, [path]],
        collateral_confidence=np.ones((len(coins), 1)),
    )
    holding = Pm2Holding(
        legs=OptionLegs.of(
            expiry=rows,
            strike=pool.options.strike,
            is_call=pool.options.is_call,
            quantity_contracts=state.option_quantity,
        ),
        cash_usd=float(state.balance[pool.assets.assets.index("USDC"), path]),
        perp_quantity=float(pool.legs.signed_size[0]) if pool.legs.count else 0.0,
        collateral_quantity=pool.assets.balance_native[coins],
        collateral_maintenance_haircut=np.array([c.maintenance_haircut_fraction for c in cuts]),
        collateral_extra_initial_haircut=np.array([c.extra_initial_haircut_fraction for c in cuts]),
        collateral_is_risk_cancelling=np.array([c.is_risk_cancelling for c in cuts], dtype=bool),
    )
    return portfolio_margin_reference(holding=holding, state=now, parameters=rules, path=0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), at=st.sampled_from([V2, V3]), eth=st.integers(0, 8), days=st.sampled_from([0.0, 2.0, 10.0]))
def test_standard_account_through_a_book_equals_the_exact_twin(data, at, eth, days):
    held = data.draw(positions(coins=("ETH", "BTC"), at=at))
    pool = pool_of(at, "standard", held, {"USDC": -500.0, "ETH": float(eth)})
    state = revalue(pool, ratios(pool), volatility_ratio=np.array([1.0, 1.3, 0.8]), elapsed_days=days)
    equity, maintenance, initial = modelled.evaluate_state(state)
    room = TOLERANCE * gross(pool, state)
    for path in range(3):
        expected = reference_standard(pool, state, at, path)
        assert equity[path] - maintenance[path] == pytest.approx(expected[0], rel=TOLERANCE, abs=room)
        assert equity[path] - initial[path] == pytest.approx(expected[1], rel=TOLERANCE, abs=room)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), at=st.sampled_from([V2, V3]), staked=st.integers(0, 8), days=st.sampled_from([0.0, 2.0, 10.0]))
def test_portfolio_account_through_a_book_equals_the_loop_twin(data, at, staked, days):
    held = data.draw(positions(coins=("ETH",), at=at))
    pool = pool_of(at, "portfolio", held, {"USDC": 900.0, "ETH": 2.0, "wstETH": float(staked)})
    state = revalue(pool, ratios(pool), volatility_ratio=np.array([1.0, 1.3, 0.8]), elapsed_days=days)
    equity, maintenance, initial = modelled.evaluate_state(state)
    # Scenarios move spot up to six times.
    room = 6.0 * TOLERANCE * gross(pool, state)
    for path in range(3):
        twin = reference_portfolio(pool, state, at, path, "ETH", lambda name: RATES.get(name, 0.05))
        assert equity[path] == pytest.approx(twin["mark_to_market_usd"], rel=TOLERANCE, abs=room)
        assert equity[path] - maintenance[path] == pytest.approx(twin["maintenance_usd"], rel=TOLERANCE, abs=room)
        assert equity[path] - initial[path] == pytest.approx(twin["initial_usd"], rel=TOLERANCE, abs=room)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), mode=st.sampled_from(["standard", "portfolio"]), stable=st.sampled_from([0.9, 1.0]))
def test_trees_sum_and_a_state_does_not_depend_on_the_others(data, mode, stable):
    held = data.draw(positions(coins=("ETH",), at=V2))
    pool = pool_of(V2, mode, held, {"USDC": 1_000.0, "ETH": 3.0}, stable=stable)
    together = modelled.evaluate_state(revalue(pool, ratios(pool)))
    for path in range(3):
        alone = revalue(pool, ratios(pool)[:, [path]])
        figures = modelled.evaluate_state(alone)
        assert [f[0] for f in figures] == [t[path] for t in together]
        # The nodes check their own sums; their roots are what the pool is measured by.
        room = TOLERANCE * gross(pool, alone)
        for tree, figure in zip(modelled.explain_state(alone), figures, strict=True):
            assert tree.value == pytest.approx(float(figure[0]), rel=TOLERANCE, abs=room)


@pytest.mark.parametrize("mode", ["standard", "portfolio"])
def test_cash_alone_needs_nothing(mode):
    pool = pool_of(V2, mode, {}, {"USDC": 750.0})
    equity, maintenance, initial = margin.evaluate_pool(pool, np.ones((0, 1)))
    assert (float(equity[0]), float(maintenance[0]), float(initial[0])) == (750.0, 0.0, 0.0)


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(),
    mode=st.sampled_from(["standard", "portfolio"]),
    times=st.sampled_from([1.5, 2.0, 10.0]),
)
def test_one_position_scaled_up_alone_never_requires_less(data, mode, times):
    held = data.draw(positions(coins=("ETH",), at=V2).filter(bool))
    symbol, (quantity, *rest) = next(iter(held.items()))
    small = pool_of(V2, mode, {symbol: (quantity, *rest)}, {"USDC": 0.0})
    large = pool_of(V2, mode, {symbol: (quantity * times, *rest)}, {"USDC": 0.0})
    for part in (1, 2):
        first, second = (modelled.evaluate_state(revalue(p, np.ones((1, 1))))[part] for p in (small, large))
        assert second[0] >= first[0] * (1.0 - TOLERANCE)


CALL = ("ETH-20260327-3000-C", (-1.0, None, 0.6, 3_060.0))
BTC_CALL = ("BTC-20260327-90000-C", (-1.0, None, 0.6, 91_800.0))


@pytest.mark.parametrize(
    ("mode", "held", "balances", "changes", "error", "words"),
    [
        ("portfolio", dict([CALL, BTC_CALL]), {"USDC": 1.0}, {}, InputError, "one underlying"),
        ("portfolio", dict([CALL]), {"USDC": 1.0, "BTC": 1.0}, {}, RulebookError, "no haircut"),
        ("portfolio", dict([CALL]), {"USDC": 1.0, "ETH": -1.0}, {}, NotSupportedError, "balances.ETH"),
        ("standard", dict([CALL]), {"USDC": 1.0, "ETH": -1.0}, {}, NotSupportedError, "balances.ETH"),
        ("standard", {}, {"USDC": 1.0, "wstETH": 1.0}, {}, RulebookError, "no collateral"),
        ("standard", {}, {"USDC": 1.0, "SOL": 1.0}, {}, NotSupportedError, "no credit"),
        ("standard", dict([CALL]), {"USDC": 1.0}, {"spot": {"BTC": 90_000.0}}, InputError, "asset_usd.ETH"),
        ("pm1", {}, {"USDC": 1.0}, {}, InputError, "portfolio, standard"),
        (
            "standard",
            {"DOGE-20260327-1-C": (1.0, None, 0.6, 1.0)},
            {"USDC": 1.0},
            {"spot": {"DOGE": 1.0}},
            RulebookError,
            "DOGE",
        ),
        (
            "portfolio",
            {CALL[0]: (-1.0, 150.0, None, 3_060.0)},
            {"USDC": 1.0},
            {},
            InputError,
            "implied_volatility",
        ),
        (
            "standard",
            {CALL[0]: CALL[1], "ETH-20260327-3500-C": (1.0, None, 0.6, 3_050.0)},
            {"USDC": 1.0},
            {},
            InputError,
            "one forward",
        ),
    ],
)
def test_what_cannot_be_margined_is_an_error_by_name(mode, held, balances, changes, error, words):
    with pytest.raises(error, match=words):
        pool_of(V2, mode, held, balances, **changes)


def test_option_in_the_averaging_before_its_expiry_is_refused_in_portfolio_margin_alone():
    late = datetime(2026, 3, 27, 7, 45, tzinfo=UTC)
    held = dict([CALL])
    with pytest.raises(NotSupportedError, match="30 minutes"):
        pool_of(late, "portfolio", held, {"USDC": 1.0})
    assert pool_of(late, "standard", held, {"USDC": 1.0}).options.count == 1


def test_stated_rate_replaces_the_static_one_and_a_far_mark_is_told():
    held = {CALL[0]: CALL[1]}
    without = pool_of(V2, "portfolio", held, {"USDC": 1.0})
    stated = pool_of(V2, "portfolio", held, {"USDC": 1.0}, rates={"ETH-260327": 0.2})
    assert any("static rate of 0.05" in note for note in without.notes)
    assert not any("static rate" in note for note in stated.notes)
    assert {use.edition for use in without.model.editions} - {use.edition for use in stated.model.editions}
    first, second = (float(modelled.evaluate_state(revalue(p, np.ones((1, 1))))[0][0]) for p in (without, stated))
    assert second > first  # A short option is worth less against its holder at a higher rate.
    marked = pool_of(V2, "portfolio", held, {"USDC": 1.0}, marks={CALL[0]: 400.0})
    assert any("stated mark is" in note for note in marked.notes)
    equity = float(modelled.evaluate_state(revalue(marked, np.ones((1, 1))))[0][0])
    assert equity == pytest.approx(first, rel=1e-12)


def test_doubted_feeds_and_a_weak_stable_coin_raise_initial_margin_alone():
    held = {"ETH-PERP": (2.0, 3_006.0, None, None)}
    whole = pool_of(V2, "standard", held, {"USDC": 1_000.0}, stable=1.0)
    weak = pool_of(V2, "standard", held, {"USDC": 1_000.0}, stable=0.9)
    market = replace(whole.model.markets[0], perp_confidence=0.5)
    doubted = replace(whole, model=replace(whole.model, markets=(market,)))
    base, depeg, doubt = (modelled.evaluate_state(revalue(p, np.ones((1, 1)))) for p in (whole, weak, doubted))
    assert base[1][0] == depeg[1][0] == doubt[1][0] == pytest.approx(2.0 * 3_006.0 * 0.065)
    assert depeg[2][0] - base[2][0] == pytest.approx((0.99 - 0.9) * 2.0 * 3_000.0 * 2.0)
    assert doubt[2][0] - base[2][0] == pytest.approx(0.5 * 3_000.0 * 2.0)


def test_example_of_the_reference_page_gives_the_figures_that_stand_there(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "reference" / "rules-derive.md").read_text()
    path = tmp_path / "book.json"
    path.write_text(page.partition("```json")[2].partition("```")[0])
    (pool,) = build_pools(mc.load(path))
    equity, maintenance, initial = (float(f[0]) for f in modelled.evaluate_state(revalue(pool, np.ones((1, 1)))))
    for figure in (equity, equity - maintenance, equity - initial):
        assert f"{figure:,.2f}" in page
