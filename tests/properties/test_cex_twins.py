"""The vector rules of Binance, Bybit and OKX modes against their exact twins, on drawn states."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.venues.binance import multi_assets
from margincover.venues.binance import portfolio as binance_portfolio
from margincover.venues.bybit import options as bybit_options
from margincover.venues.bybit import portfolio as bybit_portfolio
from margincover.venues.cex_fields import truncated
from margincover.venues.okx import multi_currency
from margincover.venues.okx import options as okx_options
from margincover.venues.okx import portfolio as okx_portfolio
from margincover.venues.slices import sliced_total, sliced_total_reference

# Double arithmetic leaves about 1e-15 of the values that are added; 1e-10 of their scale is the contract.
TOLERANCE = 1e-10
MONEY = st.floats(-1e7, 1e7, allow_subnormal=False)
SIZE = st.floats(0.0, 1e6, allow_subnormal=False)
PRICE = st.floats(1e-3, 1e6)
FRACTION = st.floats(0.0, 0.5, allow_subnormal=False)


def close(expected, *scales):
    return pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE * max(1e-9, *(abs(s) for s in scales)))


@st.composite
def ladders(draw):
    widths = draw(st.lists(st.floats(0.5, 1e6), min_size=0, max_size=5))
    edges = tuple(np.concatenate([[0.0], np.cumsum(widths)]).tolist())
    rates = tuple(draw(st.lists(st.floats(0.0, 1.0), min_size=len(edges), max_size=len(edges))))
    return edges, rates


@given(ladder=ladders(), amounts=st.lists(SIZE, min_size=1, max_size=4))
def test_slices_equal_the_twin(ladder, amounts):
    edges, rates = ladder
    fast = sliced_total(amounts, edges=edges, rates=rates)
    for value, amount in zip(fast, amounts, strict=True):
        assert value == close(sliced_total_reference(amount, edges=edges, rates=rates), amount)


@given(units=st.integers(-(10**12), 10**12))
def test_cutting_a_whole_decimal_leaves_it(units):
    assert truncated(units / 1e4, decimals=4) == units / 1e4


@given(units=st.integers(0, 10**9), digit=st.integers(1, 9))
def test_cutting_drops_the_next_digit(units, digit):
    # Both figures as decimal text, so that the expected one owes nothing to the code under test.
    assert truncated(float(f"{units}{digit}e-5"), decimals=4) == float(f"{units}e-4")


@st.composite
def reference_assets(draw):
    return multi_assets.ReferenceAsset(
        index_price=draw(PRICE),
        bid_buffer_fraction=draw(FRACTION),
        ask_buffer_fraction=draw(FRACTION),
        equity=draw(MONEY),
        initial_margin=draw(SIZE),
        maintenance_margin=draw(SIZE),
    )


@given(assets=st.lists(reference_assets(), min_size=1, max_size=4))
def test_binance_multi_assets_equal_the_twin(assets):
    def column(name):
        return np.array([[getattr(asset, name)] for asset in assets])

    bid, ask = multi_assets.asset_rates(
        column("index_price"),
        bid_buffer_fraction=column("bid_buffer_fraction"),
        ask_buffer_fraction=column("ask_buffer_fraction"),
    )
    equity = multi_assets.account_equity_usd(column("equity"), bid_rate=bid, ask_rate=ask)
    initial = multi_assets.requirement_usd(column("initial_margin"), ask_rate=ask)
    maintenance = multi_assets.requirement_usd(column("maintenance_margin"), ask_rate=ask)
    available = multi_assets.available_in_asset(equity, initial_margin_usd=initial, ask_rate=ask)
    exact = multi_assets.account_reference(assets)
    scale = float((np.abs(column("equity")) * ask).sum() + initial[0] + maintenance[0])
    assert equity[0] == close(exact["equity_usd"], scale)
    assert initial[0] == close(exact["initial_usd"], scale)
    assert maintenance[0] == close(exact["maintenance_usd"], scale)
    for row, expected in enumerate(exact["available"]):
        assert available[row, 0] == close(expected, scale / ask[row, 0])


@st.composite
def reference_holdings(draw):
    return binance_portfolio.ReferenceHolding(
        equity=draw(MONEY),
        index_price=draw(PRICE),
        collateral_weight=draw(st.floats(0.0, 1.0)),
        open_loss=draw(SIZE),
        futures_maintenance=draw(SIZE),
        loan=draw(SIZE),
        loan_rate_fraction=draw(FRACTION),
    )


@given(holdings=st.lists(reference_holdings(), min_size=1, max_size=4))
def test_binance_portfolio_equals_the_twin(holdings):
    def column(name):
        return np.array([[getattr(held, name)] for held in holdings])

    index = column("index_price")
    equity = binance_portfolio.account_equity_usd(
        column("equity"), index_price=index, collateral_weight=column("collateral_weight")
    )
    adjusted = binance_portfolio.adjusted_equity_usd(equity, open_loss=column("open_loss"), index_price=index)
    # Rate 1 and no deduction make the given figure the futures' maintenance itself.
    maintenance = binance_portfolio.futures_maintenance_usd(
        column("futures_maintenance"), rate_fraction=1.0, deduction=0.0, settle_index_price=index
    ) + binance_portfolio.loan_maintenance_usd(
        column("loan"), rate_fraction=column("loan_rate_fraction"), index_price=index
    )
    exact = binance_portfolio.account_reference(holdings)
    scale = float(((np.abs(column("equity")) + column("open_loss")) * index).sum() + maintenance[0])
    assert equity[0] == close(exact["equity_usd"], scale)
    assert adjusted[0] == close(exact["adjusted_usd"], scale)
    assert maintenance[0] == close(exact["maintenance_usd"], scale)


LINES = binance_portfolio.PortfolioParameters(
    reminder_ratio=1.5,
    reduce_only_ratio=1.2,
    liquidation_ratio=1.05,
    bankruptcy_ratio=1.0,
    withdraw_maintenance_multiple=1.2,
    loan_maintenance_fraction={"3": 0.1},
)


@given(ratio=st.one_of(st.floats(0.5, 2.0), st.sampled_from([1.0, 1.05, 1.2, 1.5, np.inf, -np.inf])))
def test_binance_status_equals_the_twin(ratio):
    assert binance_portfolio.account_status([ratio], LINES)[0] == binance_portfolio.status_reference(ratio, LINES)


@given(
    quantity=st.floats(-1e3, 1e3, allow_subnormal=False),
    option=st.tuples(PRICE, PRICE, st.booleans(), SIZE, SIZE),
    factors=st.tuples(FRACTION, FRACTION, FRACTION, FRACTION),
)
def test_bybit_option_equals_the_twin(quantity, option, factors):
    parameters = bybit_options.OptionParameters(
        initial_fraction=factors[0],
        minimum_initial_fraction=factors[1],
        maintenance_fraction=factors[2],
        liquidation_fee_fraction=factors[3],
    )
    index, strike, is_call, mark, entry = option
    leg = bybit_options.ShortOption(
        index_price=index, strike=strike, is_call=is_call, mark_price=mark, entry_price=entry
    )
    initial = bybit_options.position_initial(quantity=quantity, option=leg, parameters=parameters)
    maintenance = bybit_options.position_maintenance(
        quantity=quantity, index_price=index, mark_price=mark, parameters=parameters
    )
    exact = bybit_options.position_reference(quantity=quantity, option=option, parameters=parameters)
    scale = abs(quantity) * (index + strike + mark + entry)
    assert (float(initial), float(maintenance)) == (close(exact[0], scale), close(exact[1], scale))
    assert initial >= maintenance >= 0.0


@given(data=st.data(), n_nodes=st.integers(1, 11), contingency=SIZE)
def test_bybit_risk_unit_equals_the_twin(data, n_nodes, contingency):
    def drawn(count):
        return data.draw(st.lists(MONEY, min_size=count, max_size=count))

    linear, spot, options = drawn(n_nodes), drawn(n_nodes), [drawn(3) for _ in range(n_nodes)]
    parameters = bybit_portfolio.RiskUnitParameters(price_shock_fraction=(0.0,), initial_over_maintenance=1.2)
    pnl = bybit_portfolio.scenario_pnl(
        linear_pnl=np.array(linear)[:, None],
        option_pnl=np.array(options)[:, :, None],
        spot_hedge_pnl=np.array(spot)[:, None],
    )
    parts = bybit_portfolio.Contingencies(
        future=[contingency], short_option=0.0, vega_spread=0.0, delta_spread=0.0, stablecoin_spread=0.0
    )
    initial, maintenance = bybit_portfolio.unit_margins(
        worst_loss=bybit_portfolio.maximum_loss(pnl), contingencies=parts, parameters=parameters
    )
    exact = bybit_portfolio.unit_reference(
        linear=linear, options=options, spot=spot, contingency=contingency, parameters=parameters
    )
    assert (initial[0], maintenance[0]) == (close(exact[0], 1e7), close(exact[1], 1e7))


@given(ladder=ladders(), equity=MONEY, price=PRICE)
def test_bybit_collateral_equals_the_twin(ladder, equity, price):
    parameters = bybit_portfolio.CollateralParameters(edges=ladder[0], rates=ladder[1])
    fast = bybit_portfolio.collateral_value_usd([equity], index_price=price, parameters=parameters)[0]
    exact = bybit_portfolio.collateral_reference(equity, index_price=price, parameters=parameters)
    assert fast == close(exact, equity * price)


@given(
    quantity=st.floats(-1e3, 1e3, allow_subnormal=False),
    state=st.tuples(PRICE, PRICE, st.booleans(), SIZE, PRICE, st.floats(1.0, 20.0)),
    factors=st.tuples(FRACTION, FRACTION, FRACTION),
)
def test_okx_option_equals_the_twin(quantity, state, factors):
    parameters = okx_options.OptionParameters(
        minimum_initial_fraction=factors[0],
        initial_fraction=factors[1],
        maintenance_fraction=factors[2],
        minimum_order_fraction=0.1,
    )
    names = ("forward_price", "strike", "is_call", "mark_price", "margin_unit", "margin_factor")
    legs = okx_options.OptionState(**dict(zip(names, state, strict=True)))
    initial, maintenance = okx_options.position_margins([quantity], state=legs, parameters=parameters)
    exact = okx_options.position_reference(quantity, state=state, parameters=parameters)
    scale = abs(quantity) * (state[3] + state[4] * state[5] * (1.0 + state[1] / state[0]))
    assert (initial[0], maintenance[0]) == (close(exact[0], scale), close(exact[1], scale))


@st.composite
def reference_coins(draw):
    edges, rates = draw(ladders())
    return multi_currency.ReferenceCoin(
        equity=draw(MONEY),
        usd_price=draw(PRICE),
        discount=multi_currency.DiscountParameters(edges=edges, rates=rates),
        borrow=multi_currency.BorrowParameters(
            initial_fraction=0.1, maintenance_fraction=draw(FRACTION), liquidation_fee_fraction=draw(FRACTION)
        ),
    )


@given(coins=st.lists(reference_coins(), min_size=1, max_size=4), maintenance=SIZE, fee=SIZE, frozen=SIZE)
def test_okx_multi_currency_account_equals_the_twin(coins, maintenance, fee, frozen):
    discounted, required = [], maintenance + fee
    for coin in coins:
        discounted.append(
            multi_currency.discounted_equity_usd([coin.equity], usd_price=coin.usd_price, parameters=coin.discount)
        )
        liability = multi_currency.borrowed([coin.equity]) * coin.usd_price
        _, borrow_maintenance, borrow_fee = multi_currency.borrow_margins_usd(liability, parameters=coin.borrow)
        required = required + borrow_maintenance + borrow_fee
    adjusted = multi_currency.adjusted_equity_usd(np.array(discounted), frozen_usd=frozen)
    exact = multi_currency.account_reference(coins, maintenance_usd=maintenance, fee_usd=fee, frozen_usd=frozen)
    scale = sum(abs(coin.equity) * coin.usd_price for coin in coins) + maintenance + fee + frozen
    assert adjusted[0] == close(exact[0], scale)
    assert np.ravel(required)[0] == close(exact[1], scale)


@given(
    delta=MONEY,
    basis=st.floats(0.99, 1.01),
    extreme=FRACTION,
    factors=st.tuples(FRACTION, FRACTION),
    ladder=ladders(),
)
def test_okx_unit_of_perpetuals_equals_the_twin(delta, basis, extreme, factors, ladder):
    unit = okx_portfolio.RiskUnitParameters(
        price_shock_fraction=(-0.12, -0.04, 0.0, 0.04, 0.12),
        extreme_shock_fraction=extreme,
        extreme_share_fraction=0.5,
        initial_over_maintenance=1.3,
    )
    perpetual = okx_portfolio.PerpetualChargeParameters(basis_fraction=factors[0], minimum_charge_fraction=factors[1])
    scaling = okx_portfolio.ScalingParameters(edges=ladder[0], multipliers=ladder[1])
    at_mark, at_index = np.array([delta]), np.array([delta * basis])
    pnl = okx_portfolio.linear_pnl(at_index, shock_fraction=unit.price_shock_fraction)
    charges = okx_portfolio.UnitCharges(
        mr1=okx_portfolio.worst_loss(pnl),
        mr2=0.0,
        mr3=0.0,
        mr4=okx_portfolio.perpetual_basis_charge(at_mark, perpetual),
        mr5=0.0,
        mr6=okx_portfolio.extreme_charge(pnl_down=-extreme * at_index, pnl_up=extreme * at_index, parameters=unit),
        mr7=okx_portfolio.scaled_minimum_charge(okx_portfolio.perpetual_minimum_charge(at_mark, perpetual), scaling),
        mr9=0.0,
    )
    maintenance = okx_portfolio.unit_maintenance(charges)
    initial, _ = okx_portfolio.account_margins(
        maintenance[None], borrow_initial_usd=0.0, borrow_maintenance_usd=0.0, parameters=unit
    )
    exact = okx_portfolio.perpetual_unit_reference(
        delta_index_usd=float(at_index[0]), delta_mark_usd=delta, shocks=unit, charges=perpetual, scaling=scaling
    )
    for name in ("mr1", "mr4", "mr6", "mr7"):
        assert np.ravel(getattr(charges, name))[0] == close(exact[name], delta)
    assert maintenance[0] == close(exact["mmr"], delta)
    assert initial[0] == close(exact["imr"], delta)


@given(usdt=MONEY, usdc=MONEY, usd=MONEY)
def test_okx_stablecoin_hedges_equal_the_twin(usdt, usdc, usd):
    fast = okx_portfolio.stablecoin_hedges(usdt_usd=[usdt], usdc_usd=[usdc], usd_usd=[usd])
    exact = okx_portfolio.stablecoin_hedges_reference(usdt_usd=usdt, usdc_usd=usdc, usd_usd=usd)
    assert [part[0] for part in fast] == [close(value, usdt, usdc, usd) for value in exact]


@given(delta=st.lists(MONEY, min_size=2, max_size=6))
def test_paths_do_not_touch_each_other(delta):
    shocks = (-0.1, 0.05, 0.1)
    together = okx_portfolio.worst_loss(okx_portfolio.linear_pnl(delta, shock_fraction=shocks))
    alone = [okx_portfolio.worst_loss(okx_portfolio.linear_pnl([d], shock_fraction=shocks))[0] for d in delta]
    assert together.tolist() == alone
