"""Bybit accounts with options and portfolio margin, from the book to the pool, against plain twins and the venue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margincover.errors import InputError, RulebookError
from margincover.io.exchanges import parse_account
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Bucket, Position
from margincover.venues import margin
from margincover.venues.bybit import cross_options, options, portfolio, stress
from margincover.venues.explain import explain_pool
from margincover.venues.models import ModelRequest
from margincover.venues.parameters import parameters
from margincover.venues.pools import build_pools
from margincover.venues.registry_parse import parse_rules
from margincover.venues.resolve import resolve
from margincover.venues.symbols import resolve_instrument

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASSET_USD = {"BTC": 70_000.0, "ETH": 2_500.0, "USDT": 0.9997, "USDC": 1.0}
MARKS = {"BTCUSDT": 70_010.0, "BTCPERP": 70_020.0, "ETHUSDT": 2_501.0}
OPTIONS = {
    "BTC-27MAR26-65000-P": 0.55,
    "BTC-27MAR26-80000-C": 0.50,
    "BTC-25SEP26-70000-C": 0.45,
    "BTC-27MAR26-70000-C-USDT": 0.48,
    "BTC-25SEP26-60000-P-USDT": 0.52,
}
WALLET = {"BTC": 1.0, "USDT": 5_000.0, "USDC": 20_000.0}


def book_of(mode, positions, wallet=None, *, volatility=None, at=AT):
    account = Account(
        id="bybit:a",
        venue="bybit",
        mode=mode,
        positions=tuple(positions),
        balances=tuple(Balance(asset=a, total_native=n) for a, n in (WALLET if wallet is None else wallet).items()),
    )
    market = MarketState(
        as_of=at,
        observed_at=at,
        marks=MARKS,
        asset_usd=ASSET_USD,
        implied_volatility=OPTIONS if volatility is None else volatility,
        forwards={"BTC-260327": 70_300.0, "BTC-260925": 71_500.0},
        funding_per_hour=dict.fromkeys(MARKS, 0.0),
    )
    return resolve(BookInput(as_of=at, accounts=(account,), market=market))


def pool_of(mode, positions, wallet=None, **more):
    pools = build_pools(book_of(mode, positions, wallet, **more))
    assert len(pools) == 1
    return pools[0]


def option(symbol, contracts, entry=1_000.0):
    return Position(symbol=symbol, contracts=contracts, entry_price=entry)


def perp(symbol, contracts, entry=None, *, bucket=Bucket.NET):
    price = entry or MARKS[symbol] * 1.01
    return Position(symbol=symbol, contracts=contracts, entry_price=price, leverage=10.0, bucket=bucket)


def at_ratio(pool, *ratios):
    return margin.evaluate_pool(pool, np.tile(np.array(ratios), (len(pool.factors), 1)))


quantities = st.floats(-20.0, 20.0).filter(lambda q: abs(q) > 1e-3)
held_options = st.dictionaries(st.sampled_from(sorted(OPTIONS)), quantities, min_size=1)
held_perps = st.dictionaries(st.sampled_from(sorted(MARKS)), quantities)
btc_perps = st.dictionaries(st.sampled_from(["BTCUSDT", "BTCPERP"]), quantities)
wallets = st.fixed_dictionaries({a: st.floats(-200.0 * n, 200.0 * n) for a, n in WALLET.items()})


def legs_of(shorts, perps):
    return [option(s, q) for s, q in shorts.items()] + [perp(s, q) for s, q in perps.items()]


# --- cross margin with options -------------------------------------------------------------------------------------


def test_cross_account_without_options_keeps_its_tiers():
    assert pool_of("uta_cross", [perp("BTCUSDT", 1.0)]).model is None
    assert pool_of("uta_cross", [perp("BTCUSDT", 1.0), option("BTC-27MAR26-65000-P", 1.0)]).model is not None


@given(held_perps, wallets)
@settings(max_examples=40, deadline=None)
def test_model_gives_perpetuals_the_figures_of_their_tiers(perps, wallet):
    book = book_of("uta_cross", legs_of({}, perps), wallet)
    pool = build_pools(book)[0]
    rule = book.rulebooks["bybit"].modes["uta_cross"]
    rulebook = book.rulebooks["bybit"]
    request = ModelRequest(pool=pool, rule=rule, rulebook=rulebook, account=book.accounts[0], market=book.market, at=AT)
    modelled = replace(pool, model=cross_options.build(request))
    for own, tiers in zip(at_ratio(modelled, 0.7, 1.0, 1.3)[:2], at_ratio(pool, 0.7, 1.0, 1.3)[:2], strict=True):
        np.testing.assert_allclose(own, tiers, rtol=1e-12, atol=1e-9)


def twin_cross(pool, wallet):
    """Return equity, maintenance and initial margin of a pool at its own marks, in plain floats."""
    rule = options.OptionParameters.from_mapping(
        parameters("bybit", mode="option", underlying="BTC", at=AT).values, source="test"
    )
    held = dict(wallet)
    maintenance = initial = 0.0
    for k in range(pool.legs.count):
        asset = pool.assets.assets[pool.legs.asset_index[k]]
        size, mark = float(pool.legs.signed_size[k]), float(pool.legs.mark_price[k])
        held[asset] = held.get(asset, 0.0) + size * (mark - float(pool.legs.entry_price[k]))
        value, entry_value = abs(size) * mark, abs(size) * float(pool.legs.entry_price[k])
        fee = entry_value * (1.0 - np.sign(size) / 10.0) * 0.00055
        part = slice(int(pool.legs.tier_start[k]), int(pool.legs.tier_start[k] + pool.legs.tier_count[k]))
        rows = list(
            zip(pool.legs.tier_floor[part], pool.legs.tier_fraction[part], pool.legs.tier_deduction[part], strict=True)
        )
        rate, deduction = next((r, d) for f, r, d in reversed(rows) if value >= f)
        maintenance += (rate * value - deduction + fee) * ASSET_USD[asset]
        initial += (value / 10.0 + fee) * ASSET_USD[asset]
    liability = dict.fromkeys(held, 0.0)
    table = pool.options
    for k in range(table.count):
        asset = table.quotes[k]
        quantity, mark = float(table.quantity[k]), float(table.mark[k])
        state = (float(table.index[k]), float(table.strike[k]), bool(table.is_call[k]), mark, float(table.entry[k]))
        im, mm = options.position_reference(quantity=quantity, option=state, parameters=rule)
        maintenance += mm * ASSET_USD[asset]
        initial += im * ASSET_USD[asset]
        liability[asset] = liability.get(asset, 0.0) + min(quantity * mark, 0.0)
    ladder = portfolio.CollateralParameters.from_mapping(
        parameters("bybit", mode="collateral", underlying="BTC", at=AT).values, source="test"
    )
    equity = 0.0
    for asset, amount in held.items():
        if asset == "BTC":
            equity += portfolio.collateral_reference(amount, index_price=ASSET_USD[asset], parameters=ladder)
        else:
            equity += amount * ASSET_USD[asset]
        borrowed = max(-(amount + liability.get(asset, 0.0)), 0.0) * ASSET_USD[asset]
        maintenance += 0.04 * borrowed
        initial += 0.20 * borrowed
    return equity, maintenance, initial


@given(held_options, held_perps, wallets)
@settings(max_examples=60, deadline=None)
def test_cross_account_equals_its_plain_twin(shorts, perps, wallet):
    pool = pool_of("uta_cross", legs_of(shorts, perps), wallet)
    found = [float(row[0]) for row in at_ratio(pool, 1.0)]
    expected = twin_cross(pool, wallet)
    size = sum(abs(x) for x in expected) + sum(abs(n) * ASSET_USD[a] for a, n in wallet.items())
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-13 * size)


def test_short_call_of_the_help_page_through_a_book():
    # https://bybit.nl/nl-NL/help-center/article?id=000001546 (2023-12-04): 1,260 USDC of 10,000, 12.6 %.
    call = replace(option("BTC-27MAR26-31000-C", -1.0, 300.0), mark_price=300.0, implied_volatility=0.4)
    account = Account(
        id="bybit:a",
        venue="bybit",
        mode="uta_cross",
        positions=(replace(call, forward_price=30_000.0),),
        balances=(Balance(asset="USDC", total_native=10_000.0),),
    )
    market = MarketState(as_of=AT, observed_at=AT, asset_usd={"BTC": 30_000.0, "USDC": 1.0})
    pool = build_pools(resolve(BookInput(as_of=AT, accounts=(account,), market=market)))[0]
    equity, maintenance, _ = at_ratio(pool, 1.0)
    assert (equity[0], maintenance[0]) == pytest.approx((10_000.0, 1_260.0))


def test_long_options_need_no_margin_and_add_no_equity():
    pool = pool_of("uta_cross", [option("BTC-27MAR26-65000-P", 5.0)], {"USDC": 100.0})
    equity, maintenance, initial = at_ratio(pool, 0.5, 1.0, 2.0)
    assert equity.tolist() == [100.0] * 3
    assert maintenance.tolist() == initial.tolist() == [0.0] * 3


def test_short_option_borrows_what_the_wallet_does_not_hold():
    # Mark m of one short put: USDC equity is 500 - m, so m - 500 is borrowed at 4 % and 20 %.
    alone = pool_of("uta_cross", [option("BTC-27MAR26-65000-P", -1.0)], {"BTC": 1.0, "USDC": 1e5})
    short = pool_of("uta_cross", [option("BTC-27MAR26-65000-P", -1.0)], {"BTC": 1.0, "USDC": 500.0})
    mark = float(short.options.mark[0])
    more = [float(a[0] - b[0]) for a, b in zip(at_ratio(short, 1.0)[1:], at_ratio(alone, 1.0)[1:], strict=True)]
    assert mark > 500.0
    assert more == pytest.approx([0.04 * (mark - 500.0), 0.20 * (mark - 500.0)])


def test_hedge_mode_legs_are_margined_in_full_and_said_so():
    pair = [perp("BTCUSDT", 1.0, bucket=Bucket.LONG), perp("BTCUSDT", -1.0, bucket=Bucket.SHORT)]
    pool = pool_of("uta_cross", [*pair, option("BTC-27MAR26-65000-P", 1.0)])
    single = [pool_of("uta_cross", [leg, option("BTC-27MAR26-65000-P", 1.0)]) for leg in pair]
    assert at_ratio(pool, 1.0)[1][0] == pytest.approx(sum(at_ratio(p, 1.0)[1][0] for p in single))
    assert any("margined in full" in note for note in pool.notes)


# --- portfolio margin ----------------------------------------------------------------------------------------------

SAMPLE_AT = datetime(2026, 3, 24, 2, 28, 10, 506_000, tzinfo=UTC)
# bybit-exchange/docs, asset/portfolio-margin, sample of 2026-03-24: BTC-25SEP26-80000-C-USDT, 0.02 long; profit at
# -10 %, 0 and +10 % with volatility up, unchanged and down.
SAMPLE = {
    -0.1: (-24.06747339, -33.15841013, -39.65273684),
    0.0: (14.21190294, 0.00067229, -11.36906857),
    0.1: (75.52147477, 58.34116026, 44.02244694),
}


def sample_pool(positions, wallet):
    account = Account(
        id="bybit:a",
        venue="bybit",
        mode="uta_portfolio",
        positions=tuple(positions),
        balances=tuple(Balance(asset=a, total_native=n) for a, n in wallet.items()),
    )
    # Forward and volatility solved from the sample's unshocked column; 0.999708 is mark times this over the values.
    market = MarketState(
        as_of=SAMPLE_AT,
        observed_at=SAMPLE_AT,
        marks={"BTCUSDT": 255_902.31},
        asset_usd={"BTC": 70_500.40350877, "USDT": 0.999708},
        forwards={"BTC-260925": 71_382.4},
        implied_volatility={"BTC-25SEP26-80000-C-USDT": 0.2774},
        funding_per_hour={"BTCUSDT": 0.0},
    )
    return build_pools(resolve(BookInput(as_of=SAMPLE_AT, accounts=(account,), market=market)))[0]


@pytest.mark.parametrize("shock", sorted(SAMPLE))
def test_option_grid_of_the_documentation_sample(shock):
    years = (datetime(2026, 9, 25, 8, tzinfo=UTC) - SAMPLE_AT).total_seconds() / 86_400.0 / 365.0
    rule = stress.VolatilityParameters.from_mapping(
        parameters("bybit", mode="portfolio_margin_volatility", underlying="BTC", at=AT).values, source="test"
    )
    shocks = stress.volatility_shocks([years], parameters=rule)[:, 0]
    found = [
        stress.option_pnl_reference(
            quantity=0.02,
            strike=80_000.0,
            is_call=True,
            years=years,
            forward=71_382.4,
            volatility=0.2774,
            # The sample's own mark is 0.0336 above this one: its unshocked profit is 0.00067 and not 0.
            mark=2_608.56395729 - 0.00067229 / 0.02 / 0.999708,
            price_shock=shock,
            volatility_shock=float(s),
            settle_usd=0.999708,
        )
        for s in shocks
    ]
    assert found == pytest.approx(list(SAMPLE[shock]), abs=0.0007)


def test_risk_unit_of_the_documentation_sample():
    # Without the sample's spot hedge (7.05 at -10 %): futures 972.1448288, option 39.6527, futures contingency 0.8037.
    future = Position(symbol="BTCUSDT", contracts=0.038, entry_price=75_995.4295, leverage=10.0)
    call = option("BTC-25SEP26-80000-C-USDT", 0.02)
    pool = sample_pool([future, call], {"USDT": 50_000.0})
    _, maintenance, _ = explain_pool(pool)
    parts = {node.label: node.value for node in maintenance.children[0].children}
    assert parts["worst loss"] == pytest.approx(972.1448288 + 39.65273684, abs=0.001)
    assert parts["future contingency"] == pytest.approx(0.80370460, abs=1e-6)
    assert parts["short option contingency"] == parts["vega spread contingency"] == 0.0
    # The venue prints 56.89; the bound is 0.6 a year x 0.5075 years x 0.00633 coins x 70,500.
    assert 56.89174177 < parts["delta spread contingency"] < 140.0


def twin_unit(pool):
    """Return initial and maintenance of the BTC unit node by node, in plain floats."""

    def of(kind, mode):
        return kind.from_mapping(parameters("bybit", mode=mode, underlying="BTC", at=AT).values, source="test")

    grid = of(portfolio.RiskUnitParameters, "portfolio_margin")
    factors = of(portfolio.ContingencyParameters, "portfolio_margin_contingency")
    volatility = of(stress.VolatilityParameters, "portfolio_margin_volatility")
    bound = of(stress.SpreadBound, "portfolio_margin_spread")
    legs, table, assets, index = pool.legs, pool.options, pool.assets.assets, ASSET_USD["BTC"]
    settles = {assets[a] for a in (*legs.asset_index, *table.asset_index)}
    worst = 0.0
    for settle in settles if settles >= {"USDT", "USDC"} else ["all"]:
        linear, moved = [], []
        for shock in grid.price_shock_fraction:
            total = 0.0
            for k in range(legs.count):
                asset = assets[legs.asset_index[k]]
                if settle in ("all", asset):
                    total += float(legs.signed_size[k]) * float(legs.mark_price[k]) * shock * ASSET_USD[asset]
            linear.append(total)
            states = []
            for state in range(3):
                gain = 0.0
                for k in range(table.count):
                    asset = assets[table.asset_index[k]]
                    if settle not in ("all", asset):
                        continue
                    years = float(table.years[k])
                    gain += stress.option_pnl_reference(
                        quantity=float(table.quantity[k]),
                        strike=float(table.strike[k]),
                        is_call=bool(table.is_call[k]),
                        years=years,
                        forward=float(table.forward[k]),
                        volatility=float(table.volatility[k]),
                        mark=float(table.mark[k]),
                        price_shock=shock,
                        volatility_shock=float(stress.volatility_shocks([years], parameters=volatility)[state, 0]),
                        settle_usd=ASSET_USD[asset],
                    )
                states.append(gain)
            moved.append(states)
        nothing = [0.0] * len(linear)
        worst += portfolio.unit_reference(linear=linear, options=moved, spot=nothing, contingency=0.0, parameters=grid)[
            1
        ]
    short = -float(np.minimum(table.quantity, 0.0).sum())
    long = float(np.maximum(table.quantity, 0.0).sum())
    from margincover.pricing import black76

    buckets = {0.0: float(legs.signed_size.sum())} if legs.count else {}
    for k in range(table.count):
        delta = table.quantity[k] * black76.delta(
            forward=table.forward[k],
            strike=table.strike[k],
            years=table.years[k],
            volatility=table.volatility[k],
            is_call=table.is_call[k],
        )
        buckets[float(table.years[k])] = buckets.get(float(table.years[k]), 0.0) + float(delta)
    sizes = [abs(d) for d in buckets.values()]
    days = int(np.ceil((max(table.years) - min(table.years)) * 365.0 - 1e-6)) if table.count else 0
    contingency = float(np.abs(legs.signed_size).sum()) * factors.future_fraction * index
    contingency += short * factors.short_option_fraction * index
    contingency += days * min(long, short) * factors.vega_spread_fraction_per_day * index
    span = max(buckets) - min(buckets) if buckets else 0.0
    contingency += bound.delta_spread_fraction_per_year * span * (sum(sizes) - max(sizes, default=0.0)) * index
    return (worst + contingency) * grid.initial_over_maintenance, worst + contingency


@given(held_options, btc_perps)
@settings(max_examples=30, deadline=None)
def test_portfolio_account_equals_its_plain_twin(shorts, perps):
    pool = pool_of("uta_portfolio", legs_of(shorts, perps), {"BTC": 1.0, "USDT": 1e8, "USDC": 1e8})
    equity, maintenance, initial = (float(row[0]) for row in at_ratio(pool, 1.0))
    expected_initial, expected = twin_unit(pool)
    assert maintenance == pytest.approx(expected, rel=1e-9)
    assert initial == pytest.approx(expected_initial, rel=1e-9)
    value = sum(
        q * m * ASSET_USD[c]
        for q, m, c in zip(pool.options.quantity, pool.options.mark, pool.options.quotes, strict=True)
    )
    profit = sum(
        s * (m - e) * ASSET_USD[c]
        for s, m, e, c in zip(
            pool.legs.signed_size, pool.legs.mark_price, pool.legs.entry_price, pool.legs.quotes, strict=True
        )
    )
    assert equity == pytest.approx(0.98 * 70_000.0 + 1e8 * (1.0 + 0.9997) + value + profit, rel=1e-12)


@given(held_options, btc_perps, wallets, st.sampled_from(["uta_cross", "uta_portfolio"]))
@settings(max_examples=40, deadline=None)
def test_explained_figures_sum_to_the_evaluated_ones(shorts, perps, wallet, mode):
    pool = pool_of(mode, legs_of(shorts, perps), wallet)
    for tree, figure in zip(explain_pool(pool), at_ratio(pool, 1.0), strict=True):
        assert tree.value == pytest.approx(float(figure[0]), rel=1e-9, abs=1e-6)


@given(held_options, btc_perps, st.sampled_from(["uta_cross", "uta_portfolio"]))
@settings(max_examples=25, deadline=None)
def test_figures_do_not_depend_on_the_number_of_paths(shorts, perps, mode):
    pool = pool_of(mode, legs_of(shorts, perps))
    ratios = np.linspace(0.5, 1.8, 7)
    together = at_ratio(pool, *ratios)
    for k, ratio in enumerate(ratios):
        for whole, single in zip(together, at_ratio(pool, ratio), strict=True):
            assert whole[k] == single[0]


@given(st.sampled_from(sorted(OPTIONS)), st.floats(0.1, 20.0), st.floats(1.0, 4.0), st.sampled_from([-1.0, 1.0]))
@settings(max_examples=30, deadline=None)
def test_requirement_rises_with_an_option_scaled_up_alone(symbol, size, multiple, side):
    wallet = {"BTC": 1.0, "USDT": 1e8, "USDC": 1e8}
    for mode in ("uta_cross", "uta_portfolio"):
        small, large = (pool_of(mode, [option(symbol, side * q)], wallet) for q in (size, size * multiple))
        assert at_ratio(large, 1.0)[1][0] >= at_ratio(small, 1.0)[1][0] * (1.0 - 1e-12)


def test_contracts_of_two_stable_coins_do_not_offset_each_other():
    wallet = {"USDT": 1e5, "USDC": 1e5}
    both = pool_of("uta_portfolio", [perp("BTCUSDT", 1.0), perp("BTCPERP", -1.0)], wallet)
    alone = [pool_of("uta_portfolio", [leg], wallet) for leg in (perp("BTCUSDT", 1.0), perp("BTCPERP", -1.0))]
    assert at_ratio(both, 1.0)[1][0] == pytest.approx(sum(at_ratio(p, 1.0)[1][0] for p in alone))
    assert any("do not offset" in note for note in both.notes)


def test_empty_accounts_need_nothing():
    for mode in ("uta_cross", "uta_portfolio"):
        equity, maintenance, initial = at_ratio(pool_of(mode, []), 1.0)
        assert equity[0] > 0.0
        assert maintenance[0] == initial[0] == 0.0


def test_inverse_contract_counts_the_lower_reading_of_its_profit():
    assert stress.inverse_pnl(1_000.0, -0.1) == pytest.approx(-1_000.0 / 9.0)
    assert stress.inverse_pnl(-1_000.0, 0.1) == pytest.approx(-100.0)
    assert stress.inverse_pnl(1_000.0, 0.1) == pytest.approx(1_000.0 / 11.0)


def test_volatility_shocks_grow_for_short_tenors_and_never_pass_minus_one():
    rule = stress.VolatilityParameters(up_fraction=0.24, down_fraction=0.5, reference_days=30.0, tenor_power=0.3)
    up, none, down = stress.volatility_shocks(np.array([30.0, 1.0, 0.01]) / 365.0, parameters=rule)
    assert up[0] == pytest.approx(0.24)
    assert up[1] == up[2] == pytest.approx(0.24 * 30.0**0.3)
    assert none.tolist() == [0.0] * 3
    assert down.tolist() == pytest.approx([-0.5, -1.0, -1.0])


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["uta_cross", "uta_portfolio"])
def test_option_of_a_coin_without_factors_is_refused(mode):
    held = replace(option("ETH-27MAR26-2500-C", -1.0), implied_volatility=0.6, forward_price=2_510.0)
    with pytest.raises(RulebookError, match=r"for ETH .*bybit:a|bybit:a.*for ETH"):
        pool_of(mode, [held])


def test_perpetual_of_a_coin_without_grid_is_refused_in_portfolio_margin():
    with pytest.raises(RulebookError, match="no parameters of mode portfolio_margin for ETH"):
        pool_of("uta_portfolio", [perp("ETHUSDT", 1.0)])


def test_option_without_volatility_or_mark_is_refused():
    with pytest.raises(InputError, match="implied_volatility"):
        pool_of("uta_cross", [option("BTC-27MAR26-65000-P", -1.0)], volatility={})


def test_classic_and_isolated_accounts_hold_no_options():
    with pytest.raises(InputError, match="does not hold"):
        pool_of("uta_isolated", [option("BTC-27MAR26-65000-P", -1.0)])


def test_parameter_tables_refuse_per_cent_figures():
    with pytest.raises(RulebookError, match="down_fraction"):
        stress.VolatilityParameters.from_mapping(
            {"up_fraction": 0.24, "down_fraction": 20.0, "reference_days": 30.0, "tenor_power": 0.3}, source="test"
        )
    with pytest.raises(RulebookError, match="delta_spread"):
        stress.SpreadBound.from_mapping({"delta_spread_fraction_per_year": 60.0}, source="test")


# --- responses and rule files --------------------------------------------------------------------------------------

# In the shape of GET v5/position/list?category=option and v5/account/wallet-balance; the numbers are made up.
OPTION_ROWS = {
    "retCode": 0,
    "retMsg": "OK",
    "result": {
        "category": "option",
        "nextPageCursor": "",
        "list": [
            {
                "symbol": "BTC-27MAR26-65000-P",
                "side": "Sell",
                "size": "1.5",
                "avgPrice": "1700",
                "markPrice": "1820.5",
                "leverage": "",
                "liqPrice": "",
                "positionIM": "13230.75",
                "positionMM": "6090.75",
                "positionIdx": 0,
                "tradeMode": 0,
                "unrealisedPnl": "-180.75",
            }
        ],
    },
}
WALLET_ROW = {
    "totalEquity": "48000",
    "totalMarginBalance": "49000",
    "totalInitialMargin": "13230.75",
    "totalMaintenanceMargin": "6090.75",
    "totalAvailableBalance": "35769.25",
    "accountMMRate": "0.1243",
    "coin": [{"coin": "USDC", "walletBalance": "49000", "equity": "46269.25", "spotBorrow": "0"}],
}


def parsed(mode):
    rows = {"positions": OPTION_ROWS, "account": WALLET_ROW}
    return parse_account("bybit", rows, account_id="bybit:a", mode=mode, source="book.json").account


def test_option_rows_become_positions_that_the_book_margins():
    account = parsed("uta_cross")
    (held,) = account.positions
    assert (held.symbol, held.contracts, held.mark_price) == ("BTC-27MAR26-65000-P", -1.5, 1820.5)
    assert (held.reported.maintenance_native, held.leverage) == (6090.75, None)
    assert account.reported[0].equity_native == 49_000.0
    market = MarketState(
        as_of=AT, observed_at=AT, asset_usd={"BTC": 70_000.0, "USDC": 1.0}, forwards={"BTC-260327": 70_300.0}
    )
    pool = build_pools(resolve(BookInput(as_of=AT, accounts=(account,), market=market)))[0]
    # (3 % of 70,000 + 1,820.5 + 0.2 % of 70,000) x 1.5; the mark alone gives the volatility.
    assert at_ratio(pool, 1.0)[1][0] == pytest.approx(6_090.75, rel=1e-9)
    assert 0.3 < pool.options.volatility[0] < 1.0


def test_portfolio_rows_report_equity_and_no_margin_of_a_position():
    account = parsed("uta_portfolio")
    assert account.reported[0].equity_native == 48_000.0
    assert account.positions[0].reported.maintenance_native is None


def test_model_for_stands_only_beside_a_model():
    text = resources.files("margincover.venues").joinpath("data/bybit.toml").read_text(encoding="utf-8")
    with pytest.raises(RulebookError, match="only beside a model"):
        parse_rules(text.replace('model = "bybit_cross_options"\n', ""), "bybit.toml")
    with pytest.raises(RulebookError, match="model_for"):
        parse_rules(text.replace('model_for = "options"', 'model_for = "futures"'), "bybit.toml")


def test_ccxt_symbol_of_an_option_is_the_same_contract():
    rules = book_of("uta_cross", []).rulebooks["bybit"]
    for ccxt, own in (
        ("BTC/USDC:USDC-260327-65000-P", "BTC-27MAR26-65000-P"),
        ("BTC/USDT:USDT-260327-70000-C", "BTC-27MAR26-70000-C-USDT"),
    ):
        assert resolve_instrument(rules, ccxt).venue_symbol == own
