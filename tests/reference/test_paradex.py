"""Paradex against the worked examples of its documentation (docs.paradex.trade, 2026-08-20 unless stated)."""

from __future__ import annotations

import json

import numpy as np
import pytest

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.venues.paradex import cross
from margincover.venues.paradex import liquidation as around
from margincover.venues.paradex import portfolio as pm
from margincover.venues.parameters import packaged
from tests.shared_data import shared_folder


def _edition(mode, underlying, id_part=""):
    return next(e for e in packaged("paradex") if (e.mode, e.underlying) == (mode, underlying) and id_part in e.id)


def _case(name):
    path = shared_folder() / "reference/examples/paradex.json"
    case = next(c for c in json.loads(path.read_text()) if c["id"] == name)
    return case["inputs"], case["expected"]


def _liquidation(fee):
    return around.ParadexLiquidationParameters(
        fee_of_maintenance_fraction=fee, share_step_fraction=0.2, target_utilisation_fraction=0.9
    )


# risk/cross-margin-requirement: short 1 BTC, 3 to buy, 2 to sell, 2 %, mark 90,000 -> open sizes 2 and 3, net 5,400
# USD.
def test_net_initial_margin_takes_the_larger_open_size():
    orders = {"position": -1.0, "buy_orders": 3.0, "sell_orders": 2.0}
    assert [float(size) for size in cross.open_sizes(**orders)] == [2.0, 3.0]
    assert float(cross.perpetual_net_initial_usd(**orders, mark_price=90_000.0, fraction=0.02)) == 5_400.0


def test_fee_provision_is_the_taker_fee_of_the_position_without_orders_and_never_falls_with_orders():
    case = {"position": -2.0, "mark_price": 100.0, "taker_fee": 0.001}
    bare = cross.perpetual_fee_provision_usd(**case, buy_orders=0.0, sell_orders=0.0)
    assert float(bare) == pytest.approx(0.2)
    offset = cross.perpetual_fee_provision_usd(**case, buy_orders=1.0, sell_orders=0.0)
    # Selling 3 more: entry of 3 and exit of 5 coins.
    added = cross.perpetual_fee_provision_usd(**case, buy_orders=0.0, sell_orders=3.0)
    assert [float(offset), float(added)] == pytest.approx([0.2, 0.8])


def test_maintenance_is_half_the_initial_fraction_plus_the_taker_fee():
    values = _edition("cross_perpetual", "BTC").values
    p = cross.ParadexPerpetualParameters.from_mapping(values, source="t")
    required = cross.perpetual_maintenance_usd(position=-1.0, mark_price=90_000.0, fraction=0.02, parameters=p)
    assert float(required) == pytest.approx(900.0 + 21.6)  # 1 % and 2.4 bp of 90,000


def test_open_loss_counts_only_aggressive_orders():
    losses = cross.open_loss_usd(order_size=[2.0, 2.0, -1.0, -1.0], order_price=[101, 99, 95, 105], mark_price=100.0)
    assert losses.tolist() == [2.0, 0.0, 5.0, 0.0]


def _options(**values):
    return cross.ParadexOptions(**values)


# dated-options/margin-requirements, parameters of BTC: short 110,000 call at spot 100,000: the floor of 10,000.
def test_short_call_out_of_the_money_falls_to_the_floor():
    p = cross.ParadexOptionParameters.from_mapping(_edition("cross_option", "BTC").values, source="t")
    leg = _options(quantity=-1.0, strike=110_000.0, is_call=True, mark_price=3_000.0, spot_price=100_000.0)
    found = [
        float(cross.option_requirement_usd(options=leg, factors=f, put_cap_basis=p.short_put_cap_basis))
        for f in (p.initial, p.maintenance)
    ]
    assert found == pytest.approx([10_000.0, 5_000.0])


# The same page, read 2026-11-24: long 1 x 100,000 call (4,000), short 1 x 110,000 call (1,500), spot 100,000:
# 4,000 and 10,000 by themselves, 2,500 as a group.
def test_call_spread_is_charged_what_it_can_lose():
    p = cross.ParadexOptionParameters.from_mapping(_edition("cross_option", "BTC").values, source="t")
    legs = _options(
        quantity=[1.0, -1.0],
        strike=[100_000.0, 110_000.0],
        is_call=[True, True],
        mark_price=[4_000.0, 1_500.0],
        spot_price=100_000.0,
    )
    alone = cross.option_requirement_usd(options=legs, factors=p.initial, put_cap_basis=p.short_put_cap_basis)
    assert alone.tolist() == [4_000.0, 10_000.0]
    group = cross.option_group_requirement_usd(options=legs, isolated_usd=alone, unpaired_factor=1.2)
    assert float(group) == 2_500.0


# risk/portfolio-margin: long 1 perpetual, short 5 calls of delta 0.3, spot 70,000: 1,400 USD at 2 % and 1 %
# (2026-08-20),
# 140 USD at 0.2 % and 0.1 % (read 2026-11-24).
@pytest.mark.parametrize(("when", "expected"), [("2026-08", 1_400.0), ("2026-11", 140.0)])
def test_minimum_delta_example(when, expected):
    values = _edition("portfolio", "BTC", when).values
    p = pm.ParadexPortfolioParameters.from_mapping(values, source="t")
    found = pm.minimum_delta_usd(deltas=np.array([[1.0], [-1.5]]), spot=np.array([70_000.0]), parameters=p)
    assert found.tolist() == pytest.approx([expected])


def _perpetual_only(quantity, mark):
    none = np.zeros((0, 1))
    return pm.ParadexPortfolio(
        spot=np.array([mark]),
        perpetual_quantity=np.array([[quantity]]),
        perpetual_mark=np.array([[mark]]),
        option_quantity=none,
        strike=none,
        is_call=none.astype(bool),
        forward=none,
        volatility=none,
        years=none,
    )


# By hand from the grid of 2026-08-20: a long loses 16 % at most, the tail 66 % * 18 % = 11.88 % is smaller; a short
# loses max(16 %, 50 % * 24 % = 12 %, 500 % * 2.4 % = 12 %) = 16 %.
def test_scan_of_a_bare_perpetual_is_the_widest_full_weight_move():
    p = pm.ParadexPortfolioParameters.from_mapping(_edition("portfolio", "BTC", "2026-08").values, source="t")
    assert p.weights.size == 24
    for quantity in (2.0, -2.0):
        scan = pm.scan_risk_usd(portfolio=_perpetual_only(quantity, 1_000.0), parameters=p)
        assert scan.tolist() == pytest.approx([320.0])


def test_portfolio_maintenance_halves_the_net_part_but_not_the_provisions():
    p = pm.ParadexPortfolioParameters.from_mapping(_edition("portfolio", "BTC", "2026-08").values, source="t")
    initial, maintenance = pm.portfolio_requirements_usd(
        scan_usd=np.array([100.0, 10.0]),
        minimum_delta_usd=np.array([40.0, 40.0]),
        funding_provision_usd=np.array([3.0, 3.0]),
        fee_provision_usd=np.array([2.0, 2.0]),
        parameters=p,
    )
    assert (initial.tolist(), maintenance.tolist()) == ([105.0, 45.0], [55.0, 25.0])


def test_funding_provision_nets_legs_and_never_pays():
    found = pm.funding_provision_usd(
        perpetual_quantity=np.array([[2.0]]),
        perpetual_mark=np.array([[100.0, 100.0]]),
        funding_8h=np.array([[0.001, -0.001]]),
    )
    assert found.tolist() == pytest.approx([0.2, 0.0])


def test_up_shock_is_scaled_by_term_and_floored():
    p = pm.ParadexPortfolioParameters.from_mapping(_edition("portfolio", "BTC", "2026-08").values, source="t")
    vol, years = np.array([[0.5], [0.5]]), np.array([[7.5 / 365], [120 / 365]])
    up = pm.shocked_volatility(volatility=vol, years=years, shock=0.4, parameters=p)
    # 7.5 days: 0.4 * 4^0.3; 120 days: 0.4 * (1/4)^0.13 is below the floor of 0.4.
    assert up.ravel().tolist() == pytest.approx([0.5 * (1 + 0.4 * 4**0.3), 0.5 * 1.4])
    down = pm.shocked_volatility(volatility=vol, years=years, shock=-0.22, parameters=p)
    assert down.ravel().tolist() == pytest.approx([0.5 * (1 - 0.22 * 4**0.3), 0.5 * (1 - 0.22 * 0.25**0.13)])


# risk/liquidations: account value 80, maintenance 88.8; the table of the page needs a fee of 50 %; at 70 % it is 60 %.
@pytest.mark.parametrize(("fee", "expected"), [(0.5, 0.4), (0.7, 0.6)])
def test_partial_liquidation_example(fee, expected):
    share = around.liquidation_share(account_value_usd=80.0, maintenance_usd=88.8, parameters=_liquidation(fee))
    assert float(share) == expected


def test_partial_liquidation_penalty_and_edges():
    p = _liquidation(0.5)
    assert float(around.penalty_usd(share=0.4, maintenance_usd=88.8, parameters=p)) == pytest.approx(17.76)
    shares = around.liquidation_share(account_value_usd=[90.0, 88.8, -5.0], maintenance_usd=88.8, parameters=p)
    assert shares.tolist() == [0.0, 0.0, 1.0]


# risk/paradex-risk-checks: 100 USD, 10 coins long at 100, 10 %; the mark falls to 98.
def test_order_checks_of_the_documentation():
    def initial(sells):
        case = {"position": 10.0, "buy_orders": 0.0, "sell_orders": sells}
        return cross.perpetual_net_initial_usd(**case, mark_price=98.0, fraction=0.1)

    value = 100.0 + 10.0 * (98.0 - 100.0)
    before = initial(0.0)
    assert float(before) == pytest.approx(98.0)
    # A sell of 5 offsets the long; 23 resting sells make a sell open size of 13, more than the long of 10.
    accepted = [
        bool(
            around.is_order_accepted(
                account_value_usd=value, initial_before_usd=before, initial_after_usd=initial(sells)
            )
        )
        for sells in (5.0, 23.0)
    ]
    assert accepted == [True, False]


def test_position_limit_example():
    assert [float(room) for room in around.order_room(position=-900.0, limit=1_000.0)] == [1_900.0, 100.0]


def test_order_cancellation_example():
    book = [(2, 1_900), (-5, 2_150), (-3, 2_100), (-3, 2_200)]
    orders = [around.ParadexOrder(size=size, price=price) for size, price in book]
    kept = around.orders_kept(position=10.0, orders=orders)
    assert [(order.size, order.price) for order in kept] == [(-5, 2_150), (-3, 2_100)]
    assert around.orders_kept(position=0.0, orders=orders) == ()


# risk/socialized-losses: bankruptcy 2,000, fund 1,000, total 4,000. The stated formula gives 20 %; the page prints
# 25 %.
def test_socialised_loss_follows_the_stated_formula():
    factor = around.socialised_loss_factor(users_bankruptcy_usd=2_000.0, insurance_fund_usd=1_000.0, total_usdc=4_000.0)
    assert float(factor) == pytest.approx(0.2)


def test_free_collateral_is_bounded_by_usdc_and_zero():
    found = around.free_collateral_usd(
        account_value_usd=[100, 100, 10], initial_usd=[30, 30, 30], usdc_usd=[80, 50, 80]
    )
    assert found.tolist() == [70.0, 50.0, 0.0]


def test_collected_examples_are_reproduced():
    inputs, expected = _case("paradex-350")
    names = {"position": "position", "buy_orders": "buy_orders", "sell_orders": "sell_orders", "mark_price": "mark"}
    arguments = {ours: inputs[theirs] for ours, theirs in names.items()}
    assert float(cross.perpetual_net_initial_usd(**arguments, fraction=inputs["imf"])) == expected["net_imr"]
    inputs, expected = _case("paradex-351")
    pnl = sum(q * (mark - entry) for _, q, entry, mark in inputs["positions"])
    required = inputs["mmf"] * sum(abs(q) * mark for _, q, _, mark in inputs["positions"])
    value = inputs["usdc"] + pnl
    assert [required, value] == pytest.approx([expected["mmr"], expected["account_value"]])
    p = _liquidation(inputs["fee_fraction_of_mmr"])
    share = around.liquidation_share(account_value_usd=value, maintenance_usd=required, parameters=p)
    penalty = around.penalty_usd(share=share, maintenance_usd=required, parameters=p)
    left = inputs["usdc"] + float(share) * pnl - float(penalty)
    assert [float(share), float(penalty), left] == pytest.approx(
        [expected["chosen_share"], expected["penalty"], expected["remaining_usdc"]]
    )
    for s, mmr, penalty_s, value_s, ratio in expected["table"]:
        paid = float(around.penalty_usd(share=s, maintenance_usd=required, parameters=p))
        assert [(1 - s) * required, paid, value - paid] == pytest.approx([mmr, penalty_s, value_s])
        assert (1 - s) * required / (value - paid) == pytest.approx(ratio, abs=0.001)  # printed to 0.1 %


def test_wrong_parameters_are_refused():
    good = dict(_edition("cross_perpetual", "BTC").values)
    with pytest.raises(NotSupportedError, match="depends on size"):
        cross.ParadexPerpetualParameters.from_mapping(good | {"initial_factor": 7e-5}, source="t")
    with pytest.raises(RulebookError, match="2 %"):
        cross.ParadexPerpetualParameters.from_mapping(good | {"initial_base_fraction": 2.0}, source="t")
    grid = dict(_edition("portfolio", "BTC", "2026-08").values)
    with pytest.raises(RulebookError, match="length"):
        pm.ParadexPortfolioParameters.from_mapping(grid | {"weights": [1.0]}, source="t")
    with pytest.raises(RulebookError, match="fractions"):
        pm.ParadexPortfolioParameters.from_mapping(grid | {"spot_shocks": [16.0] * 24}, source="t")
    with pytest.raises(InputError, match="spot_price"):
        _options(quantity=1.0, strike=1.0, is_call=True, mark_price=0.0, spot_price=float("nan"))


def test_every_packaged_edition_can_be_read():
    kinds = {
        "cross_perpetual": cross.ParadexPerpetualParameters,
        "cross_option": cross.ParadexOptionParameters,
        "option_group": cross.ParadexGroupParameters,
        "portfolio": pm.ParadexPortfolioParameters,
        "liquidation": around.ParadexLiquidationParameters,
    }
    numbers = {"perpetual_maintenance": "maintenance_of_initial_fraction", "portfolio_provision": "funding_hours"}
    for edition in packaged("paradex"):
        if edition.mode in numbers:
            assert list(edition.values) == [numbers[edition.mode]]
            assert edition.values[numbers[edition.mode]] > 0
            continue
        assert kinds[edition.mode].from_mapping(edition.values, source=edition.id) is not None
