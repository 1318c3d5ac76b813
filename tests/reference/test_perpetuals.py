"""Perpetual venues against figures that the venues themselves printed; numbers and sources stand beside each test."""

from __future__ import annotations

import json

import pytest

from margincover.errors import InputError, RulebookError
from margincover.venues.parameters import packaged
from margincover.venues.perpetuals import inverse
from margincover.venues.perpetuals import linear as rule
from tests.shared_data import shared_folder


def _parameters(mode, latest=True):
    editions = sorted((e for e in packaged("perpetuals") if e.mode == mode), key=lambda e: e.valid_from)
    edition = editions[-1 if latest else 0]
    return rule.PerpetualParameters.from_mapping(edition.values, source=edition.id)


def _long(quantity, entry, mark, leverage=1.0):
    return rule.LinearPosition(quantity=quantity, entry_price=entry, mark_price=mark, leverage=leverage)


def _sample(name):
    path = shared_folder() / f"data/exchange_samples/{name}.json"
    data = json.loads(path.read_text())
    return data["raw"], data["context"], data["exchange_says"]


# PF_LTCUSD, 2023-10-29: 0.5 LTC bought at 70.53, mark 68.80433882446; IM 0.7053, MM 0.35265, pnl -0.86283058777.
def test_kraken_futures_measures_both_requirements_on_entry_value():
    position = _long(0.5, 70.53, 68.80433882446, leverage=50)
    p = _parameters("krakenfutures_linear")
    assert float(rule.initial(position=position, parameters=p)) == pytest.approx(0.7053, abs=1e-12)
    assert float(rule.maintenance(position=position, rate=0.01, parameters=p)) == pytest.approx(0.35265, abs=1e-12)
    assert float(position.unrealised_pnl()) == pytest.approx(-0.8628305877699987, abs=1e-12)


# support.kraken.com "Equity Protection Process": 1,000 USD contracts at 8,000, 0.01 BTC; 7,481 and 7,407 USD.
def test_kraken_inverse_example_needs_maintenance_at_the_current_value():
    case = {"notional": 1_000.0, "mark_price": 8_000.0, "equity_coin": 0.01}
    assert float(inverse.liquidation_price(**case, rate=0.01)) == pytest.approx(7_481, abs=0.5)
    assert float(inverse.bankruptcy_price(**case)) == pytest.approx(7_407, abs=0.5)
    assert float(inverse.requirement_coin(notional=1_000.0, price=8_000.0, rate=0.02)) == pytest.approx(0.0025)


# GitHub ccxt/ccxt 13130, 2022-05-06: 20 ADA at 0.79271, margin 0.80460065, rate 2.5 %; printed 0.77237 (tick 0.00001).
def test_gate_holds_its_closing_fee_in_the_divisor():
    position = _long(20.0, 0.79271, 0.79342, leverage=20)
    equity = 0.80460065 + float(position.unrealised_pnl())
    price = rule.liquidation_price(position=position, equity=equity, rate=0.025, parameters=_parameters("gate_linear"))
    assert float(price) == pytest.approx(0.77237, abs=0.5e-5)


# ccxt 4.5.90 kucoin.py, ETHUSDTM, 2021-12-04: 0.02 ETH at 4,182.1, leverage 23, funding 0.000428 (implied).
def test_kucoin_classic_adds_funding_and_fee_to_maintenance_on_entry():
    position = _long(0.02, 4182.1, 4225.01, leverage=83.642 / 3.6366087)
    p = _parameters("kucoin_classic", latest=False)
    margin = float(rule.initial(position=position, parameters=p))
    assert margin == pytest.approx(3.68897586, abs=2e-8)  # posMargin = posInit + posComm
    required = rule.maintenance(position=position, rate=0.005, parameters=p, funding_fraction=0.000428)
    # The funding rate is known to 1e-6 of value, which is 1e-4 USDT of requirement.
    assert float(required) == pytest.approx(0.50637594, abs=1e-4)
    equity = margin + float(position.unrealised_pnl())
    assert equity == pytest.approx(4.54717586, abs=2e-8)  # maintMargin is the margin balance
    price = rule.liquidation_price(
        position=position, equity=equity, rate=0.005, parameters=p, funding_fraction=0.000428
    )
    assert float(price) == pytest.approx(4023.0, abs=0.05)  # one tick
    # The printed bust price leaves the closing fee aside: margin without posComm.
    bust = rule.bankruptcy_price(position=position, equity=3.6366087 + float(position.unrealised_pnl()))
    assert float(bust) == pytest.approx(4000.25, abs=0.05)


def test_kucoin_since_october_2025_is_the_bust_price_over_one_minus_rate_and_fee():
    position = _long(2.0, 100.0, 110.0, leverage=10)
    price = rule.liquidation_price(position=position, equity=41.0, rate=0.005, parameters=_parameters("kucoin_classic"))
    bust = 110.0 - 41.0 / 2.0
    assert float(price) == pytest.approx(bust / (1 - 0.005 - 0.0006), rel=1e-14)


# ccxt 4.5.90 kucoin.py UTA, DOGEUSDTM, 2026-03: value 18.298, 3x, rate 0.7 %; 6.0993333327234, 0.128086.
def test_kucoin_unified_account_has_no_fee_in_its_requirements():
    position, p = _long(200.0, 0.093795, 0.09149, leverage=3), _parameters("kucoin_uta")
    assert float(rule.initial(position=position, parameters=p)) == pytest.approx(6.0993333327234, rel=2e-10)
    assert float(rule.maintenance(position=position, rate=0.007, parameters=p)) == pytest.approx(0.128086, abs=1e-12)


# ccxt 4.5.90 bitget.py, BTCUSDT, 2023-11-24: 0.002 BTC at 37,355.5, mark 37,359, equity 11.61176139 (implied).
def test_bitget_prints_the_frozen_price_and_the_root_lies_below_it():
    position, p = _long(0.002, 37355.5, 37359.0, leverage=20), _parameters("bitget_cross")
    case = {"position": position, "equity": 11.611761394867107, "rate": 0.004, "parameters": p}
    assert float(rule.published_liquidation_price(**case)) == pytest.approx(31724.970702417, abs=1e-6)
    assert float(rule.liquidation_price(**case)) == pytest.approx(31698.93, abs=0.005)
    assert float(rule.initial(position=position, parameters=p)) == pytest.approx(3.73555, abs=1e-12)  # marginSize


# ccxt 4.5.90 bitget.py UTA, 2025-06-26: position balance 5.435199 at about 107,415; the payload mixes two marks (3e-6).
def test_bitget_unified_position_balance_holds_the_fee():
    position = _long(0.001, 107410.3, 107415.3, leverage=20)
    balance = rule.initial(position=position, parameters=_parameters("bitget_uta"))
    assert float(balance) == pytest.approx(5.435199, rel=3e-6)


# ccxt 4.5.90 htx.py, BTC-USDT, 2021: 0.001 BTC at 47,151.3, last 47,158.6, 2x, adjust 0.015.
def test_htx_risk_rate_and_liquidation_price_are_exact():
    position, p = _long(0.001, 47151.3, 47158.6, leverage=2), _parameters("htx_isolated")
    equity = 24.96572007 + float(position.unrealised_pnl())
    margin = rule.initial(position=position, parameters=p)
    assert float(margin) == pytest.approx(23.5793, abs=1e-12)
    rate = rule.htx_risk_rate(equity=equity, position_margin=margin, adjust_fraction=0.015)
    assert float(rate) == pytest.approx(1.044107779705080303, rel=1e-12)
    price = rule.liquidation_price(position=position, equity=equity, rate=0.015, parameters=p)
    assert float(price) == pytest.approx(22353.229148614609571788, rel=1e-12)


# ccxt 4.5.90 lighter.py, ETH, 2025-11: 18.0193 ETH at mark 3,013.8, equity 15,298.072264, rate 1.2 %.
def test_lighter_liquidation_price_and_free_balance():
    position, p = _long(18.0193, 2669.84, 3013.8, leverage=20), _parameters("lighter_cross")
    price = rule.liquidation_price(position=position, equity=15298.072264, rate=0.012, parameters=p)
    assert float(price) == pytest.approx(2191.1107231380406, rel=1e-12)
    free = 15298.072264 - float(rule.initial(position=position, parameters=p))
    assert free == pytest.approx(12582.743947, abs=1e-6)


# ccxt 4.5.90 blofin.py, LTC-USDT, 2024-02-06: value 68.96631223, ratio 152.523509620342499273, rate 0.5 %.
def test_blofin_tests_equity_against_maintenance_plus_fee():
    position, p = _long(1.0, 68.16, 68.96631223, leverage=3), _parameters("blofin_cross")
    required = float(rule.maintenance(position=position, rate=0.005, parameters=p))
    assert required - 0.0006 * 68.96631223 == pytest.approx(0.34483156115, abs=1e-12)
    equity = 152.523509620342499273 * required
    price = rule.liquidation_price(position=position, equity=equity, rate=0.005, parameters=p)
    assert float(price) == pytest.approx(10.116655172370356, rel=1e-10)
    assert float(rule.initial(position=position, parameters=p)) == pytest.approx(22.98877074333333, rel=1e-12)


# ccxt 4.5.90 delta.py, BTCUSDT, 2023-07-20: 0.001 BTC at 29,926.8, margin 4.99268; printed 25,083.754 and 24,934.12.
def test_delta_adds_maintenance_on_entry_to_the_bust_price():
    position, p = _long(0.001, 29926.8, 29926.8, leverage=6), _parameters("delta_isolated")
    price = rule.liquidation_price(position=position, equity=4.99268, rate=0.005, parameters=p)
    assert float(price) == pytest.approx(25083.754, abs=1e-6)
    assert float(rule.bankruptcy_price(position=position, equity=4.99268)) == pytest.approx(24934.12, abs=1e-6)


# ccxt 4.5.90 mexc.py 2021-01 (im 0.1290338), poloniex.py 2025-03-02 (im 4.7047795, mm 0.56457354), bingx.py 2024-07-16.
def test_initial_margin_of_further_venues():
    mexc = rule.initial(position=_long(0.01, 1217.3, 1217.3, leverage=100), parameters=_parameters("mexc_isolated"))
    assert float(mexc) == pytest.approx(0.1290338, abs=1e-12)
    held, p = _long(0.001, 94193.42, 94095.59, leverage=20), _parameters("poloniex_cross")
    assert float(rule.initial(position=held, parameters=p)) == pytest.approx(4.7047795, abs=1e-12)
    assert float(rule.maintenance(position=held, rate=0.006, parameters=p)) == pytest.approx(0.56457354, abs=1e-12)
    bingx = inverse.requirement_coin(notional=10.0, price=158.63, rate=0.1)  # on ENTRY
    assert float(bingx) == pytest.approx(0.00630398, abs=0.5e-8)
    pnl = inverse.unrealised_pnl_coin(notional=10.0, entry_price=158.63, mark_price=158.402)
    assert float(pnl) == pytest.approx(-0.00009074, abs=0.5e-8)


# bitmex.com isolatedMarginExamples: 20,000 notional at 50x: IM 400, MM 200; an isolated 4 XBT is lost, not the whole 6.
def test_bitmex_published_examples():
    position, p = _long(20.0, 1000.0, 1000.0, leverage=50), _parameters("bitmex_linear")
    assert float(rule.initial(position=position, parameters=p)) == pytest.approx(400.0)
    assert float(rule.maintenance(position=position, rate=0.01, parameters=p)) == pytest.approx(200.0)
    assert rule.isolated_loss(loss=[6.0, 3.0, -1.0], assigned_margin=4.0).tolist() == [4.0, 3.0, 0.0]


def test_kraken_cross_nets_perpetual_and_dated_future():
    assert rule.netted_requirement(long_requirement=[3.0, 1.0], short_requirement=2.0).tolist() == [3.0, 2.0]


@pytest.mark.parametrize(
    "name", ["kucoin-eth-long-a", "gate-ada-iso-long", "lighter-eth-cross-long", "htx-btc-usdt-iso-long"]
)
def test_collected_payloads_give_the_printed_liquidation_price(name):
    raw, context, says = _sample(name)
    modes = {"kucoin": "kucoin_classic", "gate": "gate_linear", "lighter": "lighter_cross", "htx": "htx_isolated"}
    mode = modes[name.split("-")[0]]
    p = _parameters(mode, latest=False)
    quantity = context.get("base_qty", context.get("qty", context.get("face")))
    entry = context.get("entry", context.get("cost_hold", context.get("pos_cost", 0) / quantity))
    if mode == "lighter_cross":
        position, equity = _long(quantity, entry or 2669.84, context["mark"], 20), context["equity"]
    else:
        lever = context.get("lever") or (context["pos_cost"] / context["pos_init"] if "pos_init" in context else 20)
        position = _long(quantity, entry, entry, lever)
        equity = context.get("margin", context.get("margin_static", says.get("pos_margin")))
    price = rule.liquidation_price(
        position=position,
        equity=equity,
        rate=context.get("mmr", context.get("mmf", context.get("adjust"))),
        parameters=p,
        funding_fraction=context.get("funding_rate_implied", 0.0),
    )
    printed = says.get("liquidation_price", says.get("liq_price"))
    # One tick where the venue rounds its price to ticks, the printed digits elsewhere.
    tick = {"kucoin": 0.05, "gate": 0.00001}.get(name.split("-")[0], 1e-8)
    assert float(price) == pytest.approx(printed, abs=tick)
    assert raw


def test_no_price_reaches_a_fully_backed_long_or_an_over_collateralised_inverse_short():
    p = _parameters("lighter_cross")
    assert (
        float(rule.liquidation_price(position=_long(1.0, 100.0, 100.0), equity=100.0, rate=0.01, parameters=p)) == 0.0
    )
    short = inverse.liquidation_price(notional=-100.0, mark_price=50.0, equity_coin=2.5, rate=0.01)
    assert float(short) == float("inf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"closing_fee_fraction": 0.06}, "above 0 exactly"),
        ({"closing_fee_fraction": 6.0}, "0.0006"),
        ({"closing_fee_fraction": float("nan")}, "finite"),
        ({"maintenance_basis": "index"}, "mark, entry"),
        ({"fee": 1}, "unknown key"),
    ],
)
def test_wrong_parameters_are_refused_with_their_source(change, message):
    good = {
        "maintenance_basis": "mark",
        "initial_basis": "mark",
        "maintenance_scale": "value",
        "maintenance_fee_basis": "none",
        "initial_fee_basis": "none",
        "closing_fee_fraction": 0.0,
        "funding_in_maintenance": False,
        "liquidation_form": "root",
    }
    assert rule.PerpetualParameters.from_mapping(good, source="t").closing_fee_fraction == 0.0
    with pytest.raises(RulebookError, match=message) as error:
        rule.PerpetualParameters.from_mapping(good | change, source="perpetuals.toml")
    assert "perpetuals.toml" in str(error.value)


def test_wrong_arguments_are_refused():
    p = _parameters("lighter_cross")
    position = _long(1.0, 100.0, 100.0)
    with pytest.raises(InputError, match="fractions"):
        rule.maintenance(position=position, rate=1.2, parameters=p)
    with pytest.raises(InputError, match="funding"):
        rule.maintenance(position=position, rate=0.01, parameters=p, funding_fraction=0.0001)
    with pytest.raises(InputError, match="entry_price"):
        _long(1.0, float("nan"), 100.0)


def test_every_packaged_edition_can_be_read():
    for edition in packaged("perpetuals"):
        assert rule.PerpetualParameters.from_mapping(edition.values, source=edition.id) is not None
