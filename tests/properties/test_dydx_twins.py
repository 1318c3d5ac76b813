"""The array rules of dYdX, Paradex and the perpetual family against their slow twins, on drawn positions."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.pricing import black76
from margincover.venues.dydx import integers as dydx
from margincover.venues.dydx import vector as dydx_vector
from margincover.venues.paradex import cross as paradex
from margincover.venues.paradex import portfolio as paradex_portfolio
from margincover.venues.paradex import reference as paradex_reference
from margincover.venues.parameters import packaged
from margincover.venues.perpetuals import inverse as perpetuals_inverse
from margincover.venues.perpetuals import linear as perpetuals
from margincover.venues.perpetuals import reference as perpetuals_reference

RELATIVE = 1e-10
QUANTUM_USD = 1e-6
# One coin is 1e10 base quantums; a price unit is 1e-5 USD (dYdX BTC-USD).
ATOMIC_RESOLUTION, PRICE_EXPONENT = -10, -5

tiers = st.builds(
    lambda initial, share, lower, width: dydx.DydxParameters(
        initial_margin_ppm=initial,
        maintenance_fraction_ppm=share,
        open_interest_lower_cap=lower,
        open_interest_upper_cap=lower + width,
    ),
    st.integers(1_000, 1_000_000),
    st.integers(10_000, 1_000_000),
    st.integers(0, 10**14),
    st.integers(0, 10**14),
)
sizes = st.integers(-(10**13), 10**13).filter(lambda q: abs(q) >= 10**6)
prices = st.integers(10**4, 10**11)
settings_ppm = st.builds(
    lambda a, s, f: dydx.DydxLiquidationParameters(
        bankruptcy_adjustment_ppm=a, spread_to_maintenance_margin_ratio_ppm=s, max_liquidation_fee_ppm=f
    ),
    st.integers(10**6, 5 * 10**6),
    st.integers(1, 10**6),
    st.integers(1, 50_000),
)


def _market(tier, price):
    return dydx.DydxMarket(tier=tier, price=price, price_exponent=PRICE_EXPONENT, atomic_resolution=ATOMIC_RESOLUTION)


def _near(value, *, scale, quantums):
    """Allow for the whole-number rounding (in quantums) and for double arithmetic."""
    return pytest.approx(value, rel=0, abs=quantums * QUANTUM_USD + RELATIVE * scale)


@given(tier=tiers, open_interest=st.integers(0, 3 * 10**14))
def test_initial_fraction_differs_by_less_than_one_part_per_million(tier, open_interest):
    exact = dydx.adjusted_initial_margin_ppm(tier=tier, open_interest_quote_quantums=open_interest) / 1e6
    found = float(dydx_vector.initial_fraction(tier=tier, open_interest_usd=open_interest * QUANTUM_USD))
    if tier.open_interest_lower_cap == tier.open_interest_upper_cap == open_interest:
        return  # a step: the double of the cap may fall on either side
    assert -1e-9 <= found - exact <= 1e-6 + 1e-9


@given(tier=tiers, legs=st.lists(st.tuples(sizes, prices), min_size=1, max_size=4), usdc=st.integers(-(10**12), 10**12))
def test_account_requirements_equal_the_whole_number_rule_to_its_rounding(tier, legs, usdc):
    rows = [dydx.position_risk(size, market=_market(tier, price)) for size, price in legs]
    account = dydx.account_risk(usdc_quote_quantums=usdc, settled_funding=7, positions=rows)
    coins = np.array([size * 10.0**ATOMIC_RESOLUTION for size, _ in legs])
    marks = np.array([[price * 10.0**PRICE_EXPONENT] * 2 for _, price in legs])
    scale = float(np.abs(coins @ marks[:, 0])) + float(np.abs(coins) @ marks[:, 0]) + abs(usdc) * QUANTUM_USD
    net = dydx_vector.net_collateral_usd(
        usdc=usdc * QUANTUM_USD, settled_funding_usd=7 * QUANTUM_USD, quantity=coins, price_usd=marks
    )
    rate = dydx_vector.maintenance_fraction(tier=tier)
    maintenance = dydx_vector.maintenance_usd(
        quantity=coins[:, np.newaxis], price_usd=marks, maintenance_fraction=rate
    ).sum(axis=0)
    initial = dydx_vector.initial_usd(
        quantity=coins[:, np.newaxis], price_usd=marks, initial_fraction=tier.initial_margin_ppm / 1e6
    ).sum(axis=0)
    assert net.shape == maintenance.shape == (2,)
    n = len(legs)
    assert net[1] == _near(account.net_collateral * QUANTUM_USD, scale=scale, quantums=n)
    # Value, initial and maintenance are each rounded once: three quantums bound a leg.
    assert maintenance[1] == _near(account.maintenance * QUANTUM_USD, scale=scale, quantums=3 * n)
    assert initial[1] == _near(account.initial * QUANTUM_USD, scale=scale, quantums=2 * n)


@given(tier=tiers, size=sizes, price=prices, health=st.floats(-1.0, 1.0), part=st.integers(1, 100), p=settings_ppm)
def test_bankruptcy_and_fillable_price_equal_the_whole_number_rule(tier, size, price, health, part, p):
    market = _market(tier, price)
    risk = dydx.position_risk(size, market=market)
    if risk.maintenance < 10**6:
        return  # below one USDC of maintenance the ratio to it is rounding alone
    net = int(health * risk.maintenance)
    account = dydx.account_risk(usdc_quote_quantums=net - risk.net_collateral, settled_funding=0, positions=[risk])
    delta = -(abs(size) * part // 100) * (1 if size > 0 else -1)
    if delta == 0:
        return
    close = dydx.DydxClose(market=market, position_base_quantums=size, delta_base_quantums=delta)
    exact = dydx.bankruptcy_price_quote_quantums(account=account, close=close)
    mark, rate = price * 10.0**PRICE_EXPONENT, dydx_vector.maintenance_fraction(tier=tier)
    coins = size * 10.0**ATOMIC_RESOLUTION
    shared = {
        "price_usd": mark,
        "maintenance_fraction": rate,
        "net_collateral_usd": net * QUANTUM_USD,
        "account_maintenance_usd": risk.maintenance * QUANTUM_USD,
    }
    value = float(dydx_vector.bankruptcy_value_usd(closed_quantity=-delta * 10.0**ATOMIC_RESOLUTION, **shared))
    assert value == _near(exact * QUANTUM_USD, scale=abs(coins * mark), quantums=8)
    if rate * p.spread_to_maintenance_margin_ratio_ppm / 1e6 < 0.99:
        fill = dydx.fillable_price(account=account, market=market, position_base_quantums=size, parameters=p) * 10 ** (
            -6 - ATOMIC_RESOLUTION
        )
        found = float(dydx_vector.fillable_price_usd(quantity=coins, parameters=p, **shared))
        assert found == pytest.approx(float(fill), rel=RELATIVE, abs=8 * QUANTUM_USD / abs(coins))


@given(tier=tiers, size=sizes, price=prices, leverage=st.floats(1.0, 20.0))
def test_headroom_is_zero_at_the_liquidation_price(tier, size, price, leverage):
    coins, mark = size * 10.0**ATOMIC_RESOLUTION, price * 10.0**PRICE_EXPONENT
    rate = dydx_vector.maintenance_fraction(tier=tier)
    if rate > 0.9:
        return
    net = abs(coins) * mark / leverage
    found = float(
        dydx_vector.liquidation_price_usd(
            quantity=coins, price_usd=mark, net_collateral_usd=net, maintenance_fraction=rate
        )
    )
    if found == 0.0:
        assert coins > 0
        assert net - coins * mark >= -1e-9 * net
    else:
        room = net + coins * (found - mark) - abs(coins) * found * rate
        assert room == pytest.approx(0.0, abs=1e-9 * abs(coins) * (mark + found))


editions = st.sampled_from(packaged("perpetuals"))
money = st.floats(0.01, 1e5, allow_nan=False)


@given(
    edition=editions,
    quantity=st.floats(0.001, 1e4),
    is_long=st.booleans(),
    entry=money,
    mark=money,
    leverage=st.floats(1.0, 100.0),
    rate=st.floats(0.001, 0.3),
    share=st.floats(-0.5, 1.5),
)
def test_perpetual_family_equals_its_decimal_twin(edition, quantity, is_long, entry, mark, leverage, rate, share):
    p = perpetuals.PerpetualParameters.from_mapping(edition.values, source=edition.id)
    q = quantity if is_long else -quantity
    funding = 0.0003 if p.funding_in_maintenance else 0.0
    deduction, equity = 0.01 * quantity * mark * rate, share * quantity * mark
    position = perpetuals.LinearPosition(quantity=q, entry_price=entry, mark_price=[mark, mark], leverage=leverage)
    case = {"position": position, "rate": rate, "parameters": p, "deduction": deduction, "funding_fraction": funding}
    with localcontext() as context:
        context.prec = 50
        values = (q, entry, mark, leverage, rate, deduction, funding)
        names = ("quantity", "entry_price", "mark_price", "leverage", "rate", "deduction", "funding_fraction")
        twin = perpetuals_reference.ExactPosition(
            **{name: Decimal(repr(float(value))) for name, value in zip(names, values, strict=True)}
        )
        exact = Decimal(repr(equity))
        expected = [
            perpetuals_reference.initial(twin, p),
            perpetuals_reference.maintenance(twin, p, at=twin.mark_price),
        ]
        expected_prices = [
            perpetuals_reference.liquidation_price(twin, p, equity=exact),
            perpetuals_reference.published_liquidation_price(twin, p, equity=exact),
        ]
    found = [perpetuals.initial(position=position, parameters=p), perpetuals.maintenance(**case)]
    prices_found = [
        perpetuals.liquidation_price(equity=equity, **case),
        perpetuals.published_liquidation_price(equity=equity, **case),
    ]
    found = [np.broadcast_to(value, (2,)) for value in found]
    assert [float(value[1]) for value in found] == pytest.approx([float(v) for v in expected], rel=RELATIVE)
    room = RELATIVE * (mark + entry) * 4
    assert [float(v[1]) for v in prices_found] == pytest.approx([float(v) for v in expected_prices], abs=room, rel=0)


@given(
    notional=st.floats(1.0, 1e6), is_long=st.booleans(), mark=money, rate=st.floats(0.0, 0.3), share=st.floats(-0.5, 2)
)
def test_inverse_price_equals_its_decimal_twin(notional, is_long, mark, rate, share):
    n = notional if is_long else -notional
    equity = share * notional / mark
    if abs(share + (1 if is_long else -1)) < 1e-3:
        return  # the root runs to infinity: its digits are lost on purpose
    found = float(perpetuals_inverse.liquidation_price(notional=n, mark_price=mark, equity_coin=equity, rate=rate))
    with localcontext() as context:
        context.prec = 50
        expected = perpetuals_reference.inverse_liquidation_price(
            notional=Decimal(repr(n)),
            mark_price=Decimal(repr(mark)),
            equity_coin=Decimal(repr(equity)),
            rate=Decimal(repr(rate)),
        )
    assert found == pytest.approx(float("inf") if expected is None else float(expected), rel=RELATIVE)


legs = st.lists(
    st.builds(
        lambda q, k, c, m, v, t: paradex_reference.OptionLeg(
            quantity=q, strike=k, is_call=c, mark=m, forward=100.0, volatility=v, years=t
        ),
        st.floats(-5, 5).filter(lambda q: abs(q) > 0.01),
        st.floats(20, 300),
        st.booleans(),
        st.floats(0, 50),
        st.floats(0.1, 2.0),
        st.floats(0.001, 1.0),
    ),
    min_size=1,
    max_size=4,
)
caps = st.sampled_from(list(paradex.PutCapBasis))


def _columns(drawn, name):
    return np.array([[float(getattr(leg, name))] for leg in drawn])


@given(drawn=legs, spot=st.floats(50, 200), cap=caps, factor=st.floats(0, 1.5))
def test_paradex_option_requirements_equal_their_twin(drawn, spot, cap, factor):
    edition = next(e for e in packaged("paradex") if e.mode == "cross_option")
    p = paradex.ParadexOptionParameters.from_mapping(edition.values, source=edition.id)
    spots = np.array([spot, spot])
    calls = np.array([leg.is_call for leg in drawn])
    alone = paradex.option_requirement_usd(
        options=paradex.ParadexOptions(
            quantity=_columns(drawn, "quantity"),
            strike=_columns(drawn, "strike"),
            is_call=calls[:, np.newaxis],
            mark_price=_columns(drawn, "mark"),
            spot_price=spots,
        ),
        factors=p.initial,
        put_cap_basis=cap,
    )
    expected = [paradex_reference.option_requirement(leg, spot=spot, factors=p.initial, cap=cap) for leg in drawn]
    assert alone[:, 1].tolist() == pytest.approx(expected, rel=RELATIVE)
    group = paradex.option_group_requirement_usd(
        options=paradex.ParadexOptions(
            quantity=_columns(drawn, "quantity")[:, 0],
            strike=_columns(drawn, "strike")[:, 0],
            is_call=calls,
            mark_price=_columns(drawn, "mark") * np.ones(2),
            spot_price=spots,
        ),
        isolated_usd=alone,
        unpaired_factor=factor,
    )
    twin = paradex_reference.group_requirement(drawn, spot=spot, isolated=sum(expected), unpaired_factor=factor)
    assert group.tolist() == pytest.approx([twin, twin], rel=RELATIVE, abs=1e-9)
    assert np.all(group <= alone.sum(axis=0) + 1e-9)


@given(drawn=legs, perpetual=st.floats(-5, 5), spot=st.floats(50, 200))
def test_paradex_portfolio_margin_equals_its_twin(drawn, perpetual, spot):
    edition = next(e for e in packaged("paradex") if e.mode == "portfolio")
    p = paradex_portfolio.ParadexPortfolioParameters.from_mapping(edition.values, source=edition.id)
    portfolio = paradex_portfolio.ParadexPortfolio(
        spot=np.array([spot, spot]),
        perpetual_quantity=np.array([[perpetual]]),
        perpetual_mark=np.array([[spot, spot]]),
        option_quantity=_columns(drawn, "quantity"),
        strike=_columns(drawn, "strike"),
        is_call=_columns(drawn, "is_call").astype(bool),
        forward=_columns(drawn, "forward") * np.ones(2),
        volatility=_columns(drawn, "volatility") * np.ones(2),
        years=_columns(drawn, "years") * np.ones(2),
    )
    scan = paradex_portfolio.scan_risk_usd(portfolio=portfolio, parameters=p)
    twin = paradex_reference.scan_risk(drawn, perpetuals=[(perpetual, spot)], parameters=p)
    # Losses are differences of option values of up to 6 * 100 USD each.
    assert scan.tolist() == pytest.approx([twin, twin], rel=RELATIVE, abs=1e-8)
    deltas = paradex_portfolio.leg_deltas(portfolio)
    step = 1e-4
    slopes = []
    for leg in drawn:
        shape = {"strike": leg.strike, "years": leg.years, "volatility": leg.volatility, "is_call": leg.is_call}
        up, down = (float(black76.price(forward=100.0 + side * step, **shape)) for side in (1, -1))
        slopes.append(leg.quantity * (up - down) / (2 * step))
    # A central difference is good to its third derivative; it only guards against a wrong sign or leg.
    assert deltas[1:, 1].tolist() == pytest.approx(slopes, abs=1e-4)
    floor = paradex_portfolio.minimum_delta_usd(deltas=deltas, spot=portfolio.spot, parameters=p)
    expected = paradex_reference.minimum_delta(deltas[:, 0].tolist(), spot=spot, parameters=p)
    assert floor.tolist() == pytest.approx([expected, expected], rel=RELATIVE, abs=1e-10)
