"""OKX account modes behind the book: drawn accounts against plain twins, and what every margin rule must keep."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.pricing import black76
from margincover.venues import margin, modelled
from margincover.venues.explain import explain_pool
from margincover.venues.okx import multi_currency, options, portfolio
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue
from margincover.venues.slices import sliced_total_reference

AT = datetime(2026, 6, 15, tzinfo=UTC)
EXPIRY = datetime(2026, 9, 25, 8, tzinfo=UTC)
PUT, CALL = "BTC-USD-260925-80000-P", "BTC-USD-260925-110000-C"
STRIKE = {PUT: 80_000.0, CALL: 110_000.0}
BTC, USDT, FORWARD = 90_000.0, 0.9995, 91_300.0
MARK = {"BTC-USDT-SWAP": 90_040.0, "BTC-USD-SWAP": 90_010.0, "ETH-USDT-SWAP": 3_001.0}
SIZE = {"BTC-USDT-SWAP": 0.01, "BTC-USD-SWAP": 100.0}
# Rate that the positions state, so that the twin needs no tier table; fee of the account; factor of the option tier.
RATE, FEE, FACTOR = 0.0075, 0.0004, 1.02
MARKET = MarketState(
    as_of=AT,
    observed_at=AT,
    marks=MARK,
    asset_usd={"BTC": BTC, "ETH": 3_000.0, "USDT": USDT, "USDC": 0.9998},
    forwards={"BTC-260925": FORWARD},
    implied_volatility={PUT: 0.55, CALL: 0.5},
)
CONTRACTS = st.one_of(st.just(0), st.integers(-20_000, 20_000))
STATES = st.tuples(st.floats(0.2, 4.0), st.floats(0.3, 3.0), st.floats(0.0, 90.0))


def close(value, scale):
    # Double arithmetic leaves about 1e-15 of the values that are added; 1e-10 of their scale is the contract.
    return pytest.approx(value, rel=1e-10, abs=1e-10 * scale)


def rule_of(kind, mode, underlying="BTC"):
    edition = parameters("okx", mode=mode, underlying=underlying, at=AT)
    return kind.from_mapping(edition.values, source=edition.id)


def pool_of(mode, contracts, balances, **locked):
    positions = [
        Position(
            symbol=symbol,
            contracts=float(count),
            entry_price=0.02 if symbol in STRIKE else 88_000.0,
            leverage=None if symbol in STRIKE else 10.0,
            maintenance_fraction=0.03 * FACTOR if symbol in STRIKE else RATE,
        )
        for symbol, count in contracts.items()
        if count
    ]
    account = Account(
        id="okx:drawn",
        venue="okx",
        mode=mode,
        positions=tuple(positions),
        balances=tuple(
            Balance(asset=asset, total_native=total, locked_native=locked.get(asset, 0.0))
            for asset, total in balances.items()
        ),
        taker_fee_fraction=FEE,
    )
    book = resolve(BookInput(as_of=AT, accounts=(account,), market=MARKET, source="drawn"))
    (pool,) = build_pools(book)
    return pool


def evaluated(pool, state):
    """Return equity, maintenance and initial margin of the pool when BTC and volatility move and time passes."""
    ratio, volatility, days = state
    factors = np.ones((len(pool.factors), 1))
    factors[[name == "BTC" for name in pool.factors]] = ratio
    found = margin.evaluate_pool(pool, factors, volatility_ratio=volatility, elapsed_days=days)
    return tuple(float(value[0]) for value in found)


def option_twin(symbol, count, state):
    """Return (initial, maintenance with fee, value) of an option in coins."""
    ratio, volatility, days = state
    years = (EXPIRY - AT).total_seconds() / 86_400.0 / 365.0 - days / 365.0
    call, forward, quantity = symbol == CALL, FORWARD * ratio, count * 0.01
    value = black76.price_reference(
        forward=forward,
        strike=STRIKE[symbol],
        years=years,
        volatility=MARKET.implied_volatility[symbol] * volatility,
        is_call=call,
    )
    mark = value / forward
    initial, maintenance = options.position_reference(
        quantity,
        state=(forward, STRIKE[symbol], call, mark, 1.0, FACTOR),
        parameters=rule_of(options.OptionParameters, "option"),
    )
    fee = rule_of(options.LiquidationFeeParameters, "option_liquidation_fee", "*")
    charged = max(-quantity, 0.0) * min(fee.taker_fee_fraction, fee.fee_cap_fraction * mark)
    return initial, maintenance + charged, quantity * mark


def leg_twin(symbol, count, ratio):
    """Return (notional, profit) of a swap in its settle asset."""
    size, price, entry = count * SIZE[symbol], MARK[symbol] * ratio, 88_000.0
    if symbol == "BTC-USD-SWAP":
        return abs(size) / price, size * (1.0 / entry - 1.0 / price)
    return abs(size) * price, size * (price - entry)


@given(put=CONTRACTS, call=CONTRACTS, swap=CONTRACTS, cash=st.floats(-50.0, 500.0), state=STATES)
def test_futures_mode_with_options_equals_the_twin(put, call, swap, cash, state):
    pool = pool_of("futures", {PUT: put, CALL: call, "BTC-USD-SWAP": swap}, {"BTC": cash})
    equity, maintenance, initial = evaluated(pool, state)
    shorts = [option_twin(symbol, count, state) for symbol, count in ((PUT, put), (CALL, call))]
    notional, profit = leg_twin("BTC-USD-SWAP", swap, state[0])
    scale = abs(cash) + notional + sum(part[1] for part in shorts)
    assert (pool.unit, pool.model is not None) == ("BTC", bool(put or call))
    # Long options are no collateral, and the cost of buying short ones back stands in their margin.
    assert equity == close(cash + profit, scale)
    assert maintenance == close(notional * (RATE + FEE) + sum(part[1] for part in shorts), scale)
    assert initial == close(notional / 10.0 + sum(part[0] for part in shorts), scale)


@given(
    put=CONTRACTS,
    call=CONTRACTS,
    linear=CONTRACTS,
    inverse=CONTRACTS,
    coins=st.floats(-30.0, 40.0),
    cash=st.floats(-1e6, 1e6),
    locked=st.floats(0.0, 5.0),
    state=STATES,
)
def test_multi_currency_equals_the_twin(put, call, linear, inverse, coins, cash, locked, state):
    held = {PUT: put, CALL: call, "BTC-USDT-SWAP": linear, "BTC-USD-SWAP": inverse}
    pool = pool_of("multi_currency", held, {"BTC": coins, "USDT": cash}, BTC=locked)
    equity, maintenance, initial = evaluated(pool, state)
    price = BTC * state[0]
    shorts = [option_twin(symbol, count, state) for symbol, count in ((PUT, put), (CALL, call))]
    linear_value, linear_profit = leg_twin("BTC-USDT-SWAP", linear, state[0])
    inverse_value, inverse_profit = leg_twin("BTC-USD-SWAP", inverse, state[0])
    discount = rule_of(multi_currency.DiscountParameters, "discount")
    loans = {name: rule_of(multi_currency.BorrowParameters, "borrow", name) for name in ("BTC", "USDT")}
    everything = multi_currency.DiscountParameters(edges=(0.0,), rates=(1.0,))
    btc = coins + inverse_profit + sum(min(part[2], 0.0) for part in shorts)
    twins = [
        multi_currency.ReferenceCoin(equity=btc, usd_price=price, discount=discount, borrow=loans["BTC"]),
        multi_currency.ReferenceCoin(
            equity=cash + linear_profit, usd_price=USDT, discount=everything, borrow=loans["USDT"]
        ),
    ]
    legs = linear_value * USDT + inverse_value * price
    adjusted, required = multi_currency.account_reference(
        twins,
        maintenance_usd=legs * RATE + sum(part[1] for part in shorts) * price,
        fee_usd=legs * FEE,
        frozen_usd=locked * price,
    )
    borrowed = sum(max(-coin.equity, 0.0) * coin.usd_price * coin.borrow.initial_fraction for coin in twins)
    scale = legs + abs(cash) + (abs(coins) + locked + sum(part[1] for part in shorts)) * price + abs(btc) * price
    assert equity == close(adjusted, scale)
    assert maintenance == close(required, scale)
    assert initial == close(legs / 10.0 + sum(part[0] for part in shorts) * price + borrowed, scale)


@given(
    linear=CONTRACTS,
    inverse=CONTRACTS,
    coins=st.floats(-30.0, 40.0),
    cash=st.floats(-1e6, 1e6),
    ratio=st.floats(0.2, 4.0),
)
def test_portfolio_margin_of_perpetuals_equals_the_twin(linear, inverse, coins, cash, ratio):
    pool = pool_of("portfolio", {"BTC-USDT-SWAP": linear, "BTC-USD-SWAP": inverse}, {"BTC": coins, "USDT": cash})
    equity, maintenance, initial = evaluated(pool, (ratio, 1.0, 0.0))
    tether = linear * SIZE["BTC-USDT-SWAP"] * MARK["BTC-USDT-SWAP"] * ratio * USDT
    dollars = inverse * SIZE["BTC-USD-SWAP"]
    shocks = rule_of(portfolio.RiskUnitParameters, "portfolio_margin")
    unit = portfolio.perpetual_unit_reference(
        delta_index_usd=linear * SIZE["BTC-USDT-SWAP"] * BTC * ratio + dollars,
        delta_mark_usd=abs(tether) + abs(dollars),
        shocks=shocks,
        charges=rule_of(portfolio.PerpetualChargeParameters, "portfolio_margin_perpetual"),
        scaling=rule_of(portfolio.ScalingParameters, "portfolio_margin_scaling"),
    )
    slices = rule_of(portfolio.StablecoinParameters, "portfolio_margin_stablecoin_example")
    hedged = portfolio.stablecoin_hedges_reference(usdt_usd=tether, usdc_usd=0.0, usd_usd=dollars)
    mr9 = sum(sliced_total_reference(part, edges=slices.edges, rates=slices.rates) for part in hedged)
    own = max(max(unit["mr1"], unit["mr6"]) + unit["mr4"] + mr9, unit["mr7"])
    amounts = {
        "BTC": (coins + leg_twin("BTC-USD-SWAP", inverse, ratio)[1], BTC * ratio),
        "USDT": (cash + leg_twin("BTC-USDT-SWAP", linear, ratio)[1], USDT),
    }
    required, first, scale = own, 1.3 * own, own
    for coin, (amount, price) in amounts.items():
        loan = rule_of(multi_currency.BorrowParameters, "borrow", coin)
        owed = max(-amount, 0.0) * price
        required += owed * (loan.maintenance_fraction + (1 + loan.maintenance_fraction) * loan.liquidation_fee_fraction)
        first += owed * loan.initial_fraction
        scale += abs(amount) * price
    ladder = rule_of(multi_currency.DiscountParameters, "discount")
    kept = sliced_total_reference(max(amounts["BTC"][0], 0.0), edges=ladder.edges, rates=ladder.rates)
    counted = (kept + min(amounts["BTC"][0], 0.0)) * amounts["BTC"][1] + amounts["USDT"][0] * USDT
    scale += abs(tether) + abs(dollars)
    assert equity == close(counted, scale)
    assert maintenance == close(required, scale)
    # The loan's own rates: initial 10 % for both coins, above the fee that stands in maintenance.
    assert initial == close(first, scale)


ACCOUNTS = {
    "futures": ({PUT: -500, CALL: 200, "BTC-USD-SWAP": -900}, {"BTC": 4.0}),
    "multi_currency": (
        {PUT: -500, CALL: 300, "BTC-USDT-SWAP": 700, "BTC-USD-SWAP": -900},
        {"BTC": 30.0, "USDT": -4_000.0},
    ),
    "portfolio": ({"BTC-USDT-SWAP": 700, "BTC-USD-SWAP": -9_000}, {"BTC": 30.0, "USDT": -4_000.0}),
    "isolated_pair": ({}, {"BTC": 1.1, "USDT": -70_000.0}),
}


@pytest.mark.parametrize("mode", ACCOUNTS)
def test_no_figure_depends_on_the_number_of_paths(mode):
    pool = pool_of(mode, *ACCOUNTS[mode])
    ratios = np.geomspace(0.2, 5.0, 33)
    many = margin.evaluate_pool(pool, np.vstack([ratios] * len(pool.factors)), elapsed_days=3.0)
    for k, ratio in enumerate(ratios):
        one = margin.evaluate_pool(pool, np.full((len(pool.factors), 1), ratio), elapsed_days=3.0)
        assert [float(v[0]) for v in one] == [float(v[k]) for v in many]


@pytest.mark.parametrize("mode", ACCOUNTS)
def test_explanations_sum_to_the_figures(mode):
    pool = pool_of(mode, *ACCOUNTS[mode])
    found = margin.evaluate_pool(pool, np.ones((len(pool.factors), 1)))
    for tree, figure in zip(explain_pool(pool), found, strict=True):
        assert tree.value == pytest.approx(float(figure[0]), rel=1e-12, abs=1e-9)
        assert tree.children


@pytest.mark.parametrize("mode", ["multi_currency", "portfolio"])
def test_an_account_without_positions_requires_nothing(mode):
    pool = pool_of(mode, {}, {"BTC": 2.0, "USDT": 0.0})
    equity, maintenance, initial = evaluated(pool, (1.0, 1.0, 0.0))
    assert (equity, maintenance, initial) == (pytest.approx(2.0 * 0.98 * BTC), 0.0, 0.0)


@given(count=st.integers(1, 20_000), more=st.integers(0, 20_000), state=STATES)
def test_a_larger_position_alone_never_requires_less(count, more, state):
    symbols = {
        "futures": (PUT, CALL),
        "multi_currency": (PUT, CALL, "BTC-USDT-SWAP", "BTC-USD-SWAP"),
        "portfolio": ("BTC-USDT-SWAP", "BTC-USD-SWAP"),
    }
    for mode, held in symbols.items():
        for symbol in held:
            small, large = (
                pool_of(mode, {symbol: -size}, {"BTC": 1_000.0, **({} if mode == "futures" else {"USDT": 1e9})})
                for size in (count, count + more)
            )
            slack = 1.0 + 1e-12
            assert evaluated(small, state)[1] <= evaluated(large, state)[1] * slack
            assert evaluated(small, state)[2] <= evaluated(large, state)[2] * slack


def test_an_expired_option_requires_nothing_and_is_paid():
    # Put of 80,000 at an index of 90,000 x 0.5: pays 35,000 / 45,000 of a coin, 5 coins short.
    pool = pool_of("multi_currency", {PUT: -500}, {"BTC": 20.0, "USDT": 0.0})
    equity, maintenance, _ = evaluated(pool, (0.5, 1.0, 200.0))
    assert maintenance == 0.0
    assert equity == pytest.approx(0.98 * (20.0 - 5.0 * 35_000.0 / 45_000.0) * 45_000.0)


@pytest.mark.parametrize("mode", ["multi_currency", "portfolio"])
def test_separable_requirements_are_sums_of_one_factor_each(mode):
    contracts, balances = ACCOUNTS[mode]
    pool = pool_of(mode, {**contracts, "ETH-USDT-SWAP": 800}, balances)
    assert modelled.model_of(pool).is_separable

    def required(btc, eth):
        moved = {"BTC": btc, "ETH": eth}
        state = revalue(pool, np.array([[moved[name]] for name in pool.factors]))
        return modelled.totals(modelled.model_of(pool).requirements(state), 1)

    corners = [required(0.7, 1.9), required(1.0, 1.0), required(0.7, 1.0), required(1.0, 1.9)]
    for both, none, first, second in zip(*corners, strict=True):
        assert both + none == pytest.approx(first + second, rel=1e-12)
