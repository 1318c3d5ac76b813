"""Perpetuals-only venues behind the book: rule files against the venues' printed digits and against the pure functions.

Numbers printed by a venue are those of ``test_perpetuals``; here they come out of BookInput, resolve, build_pools and
pool_statuses.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, MarginMode, Position
from margincover.venues import registry
from margincover.venues.parameters import packaged
from margincover.venues.perpetuals import inverse, linear
from margincover.venues.pools import build_pools
from margincover.venues.reference import reference_pools
from margincover.venues.registry_parse import parse_rules
from margincover.venues.resolve import resolve
from tests.reference.verify.adaptors.perpetual_book import MODES, OnePosition, bankruptcy_price, posted_fee, run

LATEST = datetime(2026, 9, 1, tzinfo=UTC)
KUCOIN_OLD = datetime(2025, 9, 1, tzinfo=UTC)
LINEAR = [mode for mode in MODES if mode != "krakenfutures_inverse"]


def parameters_of(mode, at):
    in_force = [e for e in packaged("perpetuals") if e.mode == mode and e.valid_from <= at]
    edition = max(in_force, key=lambda e: e.valid_from)
    return linear.PerpetualParameters.from_mapping(edition.values, source=edition.id)


def account_of(venue, mode, symbol, contracts, price, money, **fields):
    settle = fields.pop("settle", "USDT")
    isolated = fields.pop("isolated", False)
    position = Position(
        symbol=symbol,
        contracts=contracts,
        entry_price=price,
        mark_price=price,
        margin_mode=MarginMode.ISOLATED if isolated else MarginMode.CROSS,
        isolated_collateral_native=money if isolated else None,
        **fields,
    )
    balances = () if isolated else (Balance(asset=settle, total_native=money),)
    return Account(id=f"{venue}:a", venue=venue, mode=mode, positions=(position,), balances=balances)


def status_of(*args, at=LATEST, funding=None, **fields):
    account = account_of(*args, **fields)
    prices = {"USDT": 1.0, "USDC": 1.0, "USD": 1.0, "XBT": 50_000.0, "BTC": 50_000.0}
    market = MarketState(as_of=at, observed_at=at, asset_usd=prices, funding_per_hour=funding or {})
    pools = build_pools(resolve(BookInput(as_of=at, accounts=(account,), market=market)))
    (status,) = pool_statuses(pools)
    return status


# --- the book path is the pure function ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "at"), [*((mode, LATEST) for mode in LINEAR), ("kucoin_classic", KUCOIN_OLD)], ids=str
)
def test_book_and_function_agree_on_both_sides(mode, at):
    rule = parameters_of(mode, at)
    for size, mark, leverage, rate in itertools.product((1.5, -0.8), (95.0, 104.0), (2.0, 20.0), (0.004, 0.025)):
        # Positive funding: a negative one of a short counts by its size in the book.
        funding = 0.0003 if rule.funding_in_maintenance else 0.0
        held = linear.LinearPosition(quantity=size, entry_price=100.0, mark_price=mark, leverage=leverage)
        terms = {"position": held, "rate": rate, "parameters": rule, "funding_fraction": funding}
        equity = 100.0 * abs(size) / leverage + 5.0
        case = OnePosition(
            mode=mode, at=at, size=size, entry=100.0, mark=mark, leverage=leverage, rate=rate, equity=equity
        )
        result = run(replace(case, funding=funding if rule.funding_in_maintenance else None))
        assert result.status.initial_native == pytest.approx(
            float(linear.initial(position=held, parameters=rule)), rel=1e-13
        )
        assert result.reported_maintenance + _unprinted_fee(mode, result) == pytest.approx(
            float(linear.maintenance(**terms)), rel=1e-12
        )
        if mode == "bitmex_linear":
            continue
        assert result.price(printed=False) == pytest.approx(
            float(linear.liquidation_price(**terms, equity=equity)), rel=1e-12
        )
        if result.pool.tick_rule.value == "frozen_requirement":
            printed = float(linear.published_liquidation_price(**terms, equity=equity))
            assert result.price() == pytest.approx(printed, rel=1e-12)


def _unprinted_fee(mode, result):
    # BloFin prints maintenance without the fee that the function's requirement holds.
    return 0.0006 * result.notional if mode == "blofin_cross" else 0.0


def test_bitmex_liquidation_test_adds_the_fee_as_a_bound():
    rule = parameters_of("bitmex_linear", LATEST)
    for size in (2.0, -2.0):
        held = linear.LinearPosition(quantity=size, entry_price=100.0, mark_price=100.0, leverage=10.0)
        case = OnePosition(
            mode="bitmex_linear", at=LATEST, size=size, entry=100.0, mark=100.0, leverage=10.0, rate=0.01, equity=20.0
        )
        root = float(linear.liquidation_price(position=held, rate=0.01, equity=20.0, parameters=rule))
        with_fee = float(linear.liquidation_price(position=held, rate=0.01075, equity=20.0, parameters=rule))
        assert run(case).price() == pytest.approx(with_fee, rel=1e-12)
        # Nearer to the mark than the rule without a fee, on either side.
        assert abs(run(case).price() - 100.0) < abs(root - 100.0)
        assert run(replace(case, fee=0.0)).price() == pytest.approx(root, rel=1e-12)


def test_kraken_inverse_book_and_function_agree():
    for notional, mark in itertools.product((1_000.0, -700.0), (7_500.0, 8_400.0)):
        case = OnePosition(
            mode="krakenfutures_inverse",
            at=LATEST,
            size=notional,
            entry=8_000.0,
            mark=mark,
            leverage=50.0,
            rate=0.01,
            equity=0.02,
        )
        root = inverse.liquidation_price(notional=notional, mark_price=mark, equity_coin=0.02, rate=0.01)
        assert run(case).price() == pytest.approx(float(root), rel=1e-12)
        initial = inverse.requirement_coin(notional=notional, price=8_000.0, rate=0.02)
        assert run(case).status.initial_native == pytest.approx(float(initial), rel=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_book_agrees_with_its_decimal_twin(mode):
    venue, account_mode, symbol, settle, isolated = MODES[mode]
    fields = {"leverage": 8.0, "maintenance_fraction": 0.0123, "isolated": isolated, "settle": settle}
    account = account_of(venue, account_mode, symbol, -3.0, 321.5, 700.0, **fields)
    at = LATEST
    twin = reference_pools(
        account,
        registry.rulebook(venue, at=at),
        marks={symbol: Decimal("321.5")},
        asset_usd={settle: Decimal(1)},
        tier_tables={},
    )[0]
    status = status_of(venue, account_mode, symbol, -3.0, 321.5, 700.0, **fields)
    assert status.equity_native == pytest.approx(float(twin.equity), rel=1e-13)
    assert status.maintenance_native == pytest.approx(float(twin.maintenance), rel=1e-13)
    assert twin.initial is not None
    assert status.initial_native == pytest.approx(float(twin.initial), rel=1e-13)


# --- what the venues printed, through the book ---------------------------------------------------------------------


def printed(mode, at, size, entry, mark, leverage, rate, equity, **more):
    return run(
        OnePosition(
            mode=mode,
            at=datetime.fromisoformat(at).replace(tzinfo=UTC),
            size=size,
            entry=entry,
            mark=mark,
            leverage=leverage,
            rate=rate,
            equity=equity,
            **more,
        )
    )


def test_kraken_ltc_payload_with_its_packaged_level():
    # PF_LTCUSD, 2023-10-29: 0.5 at 70.53, mark 68.80433882446: IM 0.7053, MM 0.35265, pnl -0.86283058777.
    at = datetime(2023, 10, 30, tzinfo=UTC)
    position = Position(symbol="PF_LTCUSD", contracts=0.5, entry_price=70.53, mark_price=68.80433882446, leverage=50.0)
    account = Account(
        id="kraken:a",
        venue="kraken",
        mode="flex",
        positions=(position,),
        balances=(Balance(asset="USD", total_native=100.0),),
    )
    book = BookInput(as_of=at, accounts=(account,), market=MarketState(as_of=at, observed_at=at))
    (status,) = pool_statuses(build_pools(resolve(book)))
    assert status.initial_native == pytest.approx(0.7053, abs=1e-12)
    assert status.maintenance_native == pytest.approx(0.35265, abs=1e-12)
    assert status.equity_native == pytest.approx(100.0 - 0.8628305877699987, abs=1e-12)


def test_kraken_inverse_example_to_its_whole_dollars():
    # Equity Protection Process: 1,000 USD at 8,000 with 0.01 BTC; IM 0.0025 BTC, liquidation 7,481, bankruptcy 7,407.
    status = status_of("kraken", "single_collateral", "PI_XBTUSD", 1_000.0, 8_000.0, 0.01, settle="XBT", leverage=50.0)
    (level,) = status.levels
    assert level.down == pytest.approx(7_481, abs=0.5)
    assert status.initial_native == pytest.approx(0.0025, rel=1e-12)


def test_gate_payload():
    # ADA_USDT, 2022-05-06: 2 contracts of 10 ADA at 0.79271, margin 0.80460065, rate 2.5 %; printed 0.77237 (0.00001).
    at = datetime(2022, 5, 6, tzinfo=UTC)
    fields = {"isolated": True, "leverage": 20.0, "maintenance_fraction": 0.025, "at": at}
    (level,) = status_of("gate", "isolated", "ADA_USDT", 2.0, 0.79271, 0.80460065, **fields).levels
    assert level.down == pytest.approx(0.77237, abs=0.5e-5)


def test_gate_tiers_of_2026_are_progressive():
    # 1.2 million: 500,000 x 0.3 % + 500,000 x 0.35 % + 200,000 x 0.4 % = 4,050, and 0.075 % fee on all: 900.
    fields = {"leverage": 10.0, "maintenance_fraction": None}
    status = status_of("gate", "cross", "BTC_USDT", 240_000.0, 50_000.0, 200_000.0, **fields)
    assert status.maintenance_native == pytest.approx(4_950.0, rel=1e-12)


def test_kucoin_payload_of_2021_with_funding_in_maintenance():
    # ETHUSDTM, 2021-12-04: 0.02 ETH at 4,182.1, posInit 3.6366087: posMargin 3.68897586, posMaint 0.50637594, 4,023.0.
    case = OnePosition(
        mode="kucoin_classic",
        at=datetime(2021, 12, 4, tzinfo=UTC),
        size=0.02,
        entry=4182.1,
        mark=4225.01,
        leverage=83.642 / 3.6366087,
        rate=0.005,
        equity=4.54717586,
        funding=0.000428,
    )
    result = run(case)
    assert result.status.initial_native == pytest.approx(3.68897586, abs=2e-8)
    assert posted_fee(case) == pytest.approx(0.05236717, abs=1e-8)
    # The funding rate is known to 1e-6 of value, which is 1e-4 USDT of requirement.
    assert result.status.maintenance_native == pytest.approx(0.50637594, abs=1e-4)
    assert result.price() == pytest.approx(4023.0, abs=0.05)  # one tick


def test_kucoin_since_october_2025_prints_the_bust_price_over_one_minus_rate_and_fee():
    # Isolated 2 at 100, 10x: margin 20 and a posted fee of 200 x 1.1 x 0.06 % = 0.132. The bust price leaves it aside.
    case = OnePosition(
        mode="kucoin_classic", at=LATEST, size=2.0, entry=100.0, mark=100.0, leverage=10.0, rate=0.005, equity=20.132
    )
    result = run(case)
    assert result.price() == pytest.approx(90.0 / (1 - 0.005 - 0.0006), rel=1e-12)
    root = (100.0 - 20.132 / 2.0) / (1 - 0.005 - 0.0006)
    assert result.status.levels[0].down == pytest.approx(root, rel=1e-12)
    short = run(replace(case, size=-2.0))
    assert short.price() == pytest.approx(110.0 / (1 + 0.005 + 0.0006), rel=1e-12)


def test_kucoin_unified_payload():
    # DOGEUSDTM, 2026-03: value 18.298, 3x, rate 0.7 %: 6.0993333327234 and 0.128086.
    result = printed("kucoin_uta", "2026-03-15", 200.0, 0.093795, 0.09149, 3.0, 0.007, 20.0)
    assert result.status.initial_native == pytest.approx(6.0993333327234, rel=2e-10)
    assert result.status.maintenance_native == pytest.approx(0.128086, abs=1e-12)


def test_bitget_prints_the_frozen_price_beside_the_root():
    # BTCUSDT, 2023-11-24: 0.002 BTC at 37,355.5, mark 37,359: marginSize 3.73555, liquidationPrice 31,724.970702417.
    result = printed("bitget_cross", "2023-11-24", 0.002, 37355.5, 37359.0, 20.0, 0.004, 11.611761394867107)
    (level,) = result.status.levels
    assert level.venue_price == pytest.approx(31724.970702417, abs=1e-6)
    assert level.down == pytest.approx(31698.93, abs=0.005)
    assert result.status.initial_native == pytest.approx(3.73555, abs=1e-12)
    # A fully backed long has no printed price, and no root either.
    backed = printed("bitget_cross", "2023-11-24", 0.002, 37355.5, 37359.0, 20.0, 0.004, 500.0)
    assert (backed.status.levels[0].venue_price, backed.status.levels[0].down, backed.price()) == (None, None, 0.0)


def test_htx_payload():
    # BTC-USDT, 2021: 0.001 BTC at 47,151.3, last 47,158.6, 2x, adjust 0.015, margin 24.96572007.
    result = printed("htx_isolated", "2021-06-01", 0.001, 47151.3, 47158.6, 2.0, 0.015, 24.97302007)
    assert result.status.initial_native == pytest.approx(23.5793, abs=1e-12)
    risk_rate = result.status.headroom_native / result.status.initial_native
    assert risk_rate == pytest.approx(1.044107779705080303, rel=1e-12)
    assert result.price() == pytest.approx(22353.229148614609571788, rel=1e-12)


def test_lighter_payload_with_its_packaged_rate():
    # ETH, 2025-11: 18.0193 ETH, entry 2,669.84, mark 3,013.8, equity 15,298.072264: 2,191.1107231380406.
    at = datetime(2025, 11, 15, tzinfo=UTC)
    fields = {"settle": "USDC", "leverage": 20.0, "at": at}
    status = status_of("lighter", "cross", "ETH", 18.0193, 3013.8, 15298.072264, **fields)
    assert status.levels[0].down == pytest.approx(2191.1107231380406, rel=1e-12)
    assert status.equity_native - status.initial_native == pytest.approx(12582.743947, abs=1e-6)


def test_blofin_payload():
    # LTC-USDT, 2024-02-06: value 68.96631223, ratio 152.523509620342499273, mm 0.34483156115, price 10.116655172370356.
    result = printed("blofin_cross", "2024-02-06", 1.0, 68.16, 68.96631223, 3.0, 0.005, 58.90631032659493)
    assert result.reported_maintenance == pytest.approx(0.34483156115, abs=1e-12)
    assert result.status.coverage_ratio == pytest.approx(152.523509620342499273, rel=1e-12)
    assert result.price() == pytest.approx(10.116655172370356, rel=1e-10)


def test_delta_payload():
    # BTCUSDT, 2023-07-20: 0.001 BTC at 29,926.8, margin 4.99268: liquidation 25,083.754, bankruptcy 24,934.12.
    case = OnePosition(
        mode="delta_isolated",
        at=datetime(2023, 7, 20, tzinfo=UTC),
        size=0.001,
        entry=29926.8,
        mark=29926.8,
        leverage=6.0,
        rate=0.005,
        equity=4.99268,
    )
    assert run(case).price() == pytest.approx(25083.754, abs=1e-6)
    assert bankruptcy_price(case) == pytest.approx(24934.12, abs=1e-6)


def test_bitmex_published_example():
    # isolatedMarginExamples: 20,000 of value at 50x: initial 400, maintenance 200.
    result = printed("bitmex_linear", "2024-06-01", 20.0, 1_000.0, 1_000.0, 50.0, 0.01, 1_000.0)
    assert result.status.initial_native == pytest.approx(400.0, rel=1e-12)
    assert result.reported_maintenance == pytest.approx(200.0, rel=1e-12)
    # The rule is not confirmed: the result says so.
    assert any("UNCONFIRMED" in note for note in result.status.notes)


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "mode", "symbol", "contracts", "settle"),
    [
        ("gate", "cross", "BTC_USDT", 600_001.0, "USDT"),  # 3,000,005 USDT at 50,000
        ("bitget", "cross", "BTCUSDT", -3.01, "USDT"),
        ("kraken", "flex", "PF_XBTUSD", 200.1, "USD"),
        ("kraken", "single_collateral", "PI_XBTUSD", 75_000_001.0, "XBT"),
    ],
)
def test_position_above_the_known_tiers_is_refused(venue, mode, symbol, contracts, settle):
    with pytest.raises(RulebookError, match=r"above the last known tier .*maintenance_fraction"):
        status_of(venue, mode, symbol, contracts, 50_000.0, 1e6, settle=settle, leverage=2.0)
    inside = status_of(venue, mode, symbol, contracts * 0.9, 50_000.0, 1e6, settle=settle, leverage=2.0)
    assert inside.maintenance_native > 0
    account = account_of(venue, mode, symbol, contracts, 50_000.0, 1e6, settle=settle)
    with pytest.raises(RulebookError, match="last known tier"):
        reference_pools(
            account,
            registry.rulebook(venue, at=LATEST),
            marks={symbol: Decimal(50_000)},
            asset_usd={settle: Decimal(1)},
            tier_tables={},
        )


@pytest.mark.parametrize(
    ("venue", "mode", "symbol", "isolated"),
    [
        ("kucoin", "uta", "ETHUSDTM", False),
        ("htx", "isolated", "BTC-USDT", True),
        ("bitmex", "margin", "XBTUSDT", False),
        ("blofin", "cross", "LTC-USDT", False),
        ("delta", "isolated", "BTCUSDT", True),
    ],
)
def test_venue_without_a_packaged_table_asks_for_the_rate(venue, mode, symbol, isolated):
    with pytest.raises(RulebookError, match=r"no tier table .*maintenance_fraction on the position"):
        status_of(venue, mode, symbol, 1.0, 50_000.0, 1e6, isolated=isolated, leverage=2.0)


def test_rules_that_need_leverage_or_funding_say_so():
    htx = ("htx", "isolated", "BTC-USDT", 1.0, 50_000.0, 100.0)
    with pytest.raises(InputError, match=r"leverage.*share of value / leverage"):
        status_of(*htx, isolated=True, maintenance_fraction=0.015)
    kucoin = ("kucoin", "classic", "ETHUSDTM", 1.0, 4_000.0, 10.0)
    fields = {"isolated": True, "maintenance_fraction": 0.005, "leverage": 10.0, "at": KUCOIN_OLD}
    with pytest.raises(InputError, match=r"no funding for ETHUSDTM.*fraction of notional per hour"):
        status_of(*kucoin, **fields)
    paid = status_of(*kucoin, **fields, funding={"ETHUSDTM": 1e-4})
    free = status_of(*kucoin, **fields, funding={"ETHUSDTM": 0.0})
    # 0.01 ETH a lot at 4,000: 40 of entry value, 8 hours at 1e-4.
    assert paid.maintenance_native - free.maintenance_native == pytest.approx(40 * 8e-4, rel=1e-9)
    at = KUCOIN_OLD
    account = account_of(*kucoin, isolated=True, maintenance_fraction=0.005, leverage=10.0)
    with pytest.raises(NotSupportedError, match="funding in maintenance"):
        reference_pools(
            account, registry.rulebook("kucoin", at=at), marks={}, asset_usd={"USDT": Decimal(1)}, tier_tables={}
        )


def test_funding_of_a_short_never_lowers_its_maintenance():
    fields = {"isolated": True, "maintenance_fraction": 0.005, "leverage": 10.0, "at": KUCOIN_OLD}
    short = ("kucoin", "classic", "ETHUSDTM", -1.0, 4_000.0, 10.0)
    free = status_of(*short, **fields, funding={"ETHUSDTM": 0.0})
    for rate in (1e-4, -1e-4):
        assert status_of(*short, **fields, funding={"ETHUSDTM": rate}).maintenance_native > free.maintenance_native


def test_kraken_collateral_without_a_ladder_is_refused():
    with pytest.raises(RulebookError, match=r"BTC .*no collateral ladder"):
        status_of("kraken", "flex", "PF_XBTUSD", 1.0, 50_000.0, 1.0, settle="BTC", leverage=2.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("funding_in_maintenance_hours = 8", "funding_in_maintenance_hours = 25", "hours from 0 to 24"),
        ("funding_in_maintenance_hours = 8", "funding_in_maintenance_hours = nan", "finite"),
        ("funding_in_maintenance_hours = 8", 'maintenance_scale = "leverage"', "value_over_leverage"),
        ('initial_closing_fee = "taker_on_entry_plus_initial"', 'initial_closing_fee = "maker"', "taker_at_bankruptcy"),
        (
            'closing_fee_in_initial = true\ninitial_closing_fee = "taker_on_entry_plus_initial"',
            'closing_fee_in_initial = false\ninitial_closing_fee = "taker_on_entry_plus_initial"',
            "only beside closing_fee_in_initial",
        ),
    ],
)
def test_wrong_options_are_refused_with_their_place(old, new, message):
    from importlib import resources

    text = (resources.files("margincover.venues") / "data" / "kucoin.toml").read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(RulebookError, match=message) as error:
        parse_rules(text.replace(old, new), "kucoin.toml")
    assert "kucoin.toml" in str(error.value)
    assert "edition kucoin-classic" in str(error.value)
