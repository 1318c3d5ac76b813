"""The emergency plan of a book: what it promises is what a step by step replay reaches, and late money is no plan."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

import margincover as mc
from margincover.app.changes import changed_book
from margincover.app.rescue import RescueSettings, rescue
from margincover.app.rescue_answer import RescueAnswer
from margincover.app.rescue_run import RescueRun
from margincover.errors import InputError, NotSupportedError, UsageError
from margincover.model.contingency import ContingencyAction
from margincover.model.resources import CreditLine, Reserve, SaleMarket, TransferInTransit, TransferTime
from margincover.paths.arrivals import step_paths
from margincover.paths.follow_cash import liquidated_step_by_step
from margincover.scenarios.calibration import load_packaged
from margincover.venues.pools import build_pools
from tests.books import a_book, a_position, an_account

HOUR = 3_600
FEW = RescueSettings(paths=2_560, horizon_s=12 * HOUR)
ETH_MARKET = {"ETH": SaleMarket(asset="ETH", daily_volume_usd=8e9, daily_volatility=0.04, depth_usd=4e6)}
FAST, DEEP = "hyperliquid:fast", "binance:deep"


def desk(*, usdc=31_500.0, markets=None, **resources):
    """A long of 150 ETH with thin margin at one venue, and a rich account with some ETH at another."""
    thin = an_account("hyperliquid", "perps", [a_position("ETH", 150.0, 2_980.0)], name="fast", USDC=usdc)
    rich = an_account("binance", "usdm_single_asset", [a_position("ETHUSDT", -20.0, 2_970.0)], name="deep", USDT=2e5)
    made = a_book(thin, rich)
    return replace(made, sale_markets=ETH_MARKET if markets is None else markets, **resources)


def way(origin="wallet", destination=FAST, hours=0.5, **more):
    seconds = int(hours * HOUR)
    return TransferTime(
        origin=origin, destination=destination, asset="USDC" if destination == FAST else "USDT", p50_s=seconds,
        p99_s=seconds, fee_native=more.pop("fee", 1.0), **more,
    )  # fmt: skip


def wallet(name="wallet", amount=100_000.0, hours=0.0):
    seconds = int(hours * HOUR)
    return Reserve(
        id=name,
        asset="USDC",
        amount_native=amount,
        time_to_cash_p50_s=seconds,
        time_to_cash_p99_s=seconds,
        custodian=name,
    )


def test_money_in_time_is_the_plan_and_a_replay_step_by_step_reaches_what_it_promised():
    book = desk(reserves=(wallet(),), transfer_times=(way(),))
    answer = RescueAnswer.of(RescueRun.of(book, FEW, None), None)
    result = answer.result()
    assert result.meets
    (action,) = [each for each in result.actions if each.kind == "transfer"]
    assert action.arrives_s <= action.deadline_s
    assert action.p_after.value < action.p_before.value
    # The replay knows nothing of running maxima of a plan: it walks each path with the cash that is there.
    row = next(row for row, pool in enumerate(answer.run.pools) if pool.id == FAST)
    table = answer.search.paths_of(row, answer.plan.trades)
    cash = [action.amount_usd if step * HOUR >= action.arrives_s else 0.0 for step in range(table.shape[0])]
    lost = sum(
        liquidated_step_by_step(table[0, path], table[1:, path, None].tolist(), cash) >= 0
        for path in range(table.shape[1])
    )
    promised = next(account for account in result.accounts if account.id == FAST).p_after
    assert lost / table.shape[1] == promised.value


def test_the_plan_in_the_book_itself_reaches_the_promise_on_the_same_paths():
    # A reduction and money that counts from the start, put into the book: cover's own paths must agree.
    book = desk(reserves=(), transfer_times=())
    answer = RescueAnswer.of(RescueRun.of(book, FEW, None), None)
    result = answer.result()
    assert {action.kind for action in result.actions} <= {"reduce", "move"}
    assert result.actions
    trades = [trade for n in answer.plan.trades for trade in answer.options.ideas[n].deltas]
    costs = [cost for n in answer.plan.trades for cost in answer.options.ideas[n].costs]
    fallback = load_packaged().pessimistic_funding_per_hour
    pools = build_pools(changed_book(book, trades, costs), funding_fallback=fallback)
    paths = step_paths(pools, answer.run.generator, horizon_s=12 * HOUR, n_paths=2_560, seed=1)
    for row, pool in enumerate(pools):
        promised = next(account for account in result.accounts if account.id == pool.id).p_after
        assert float((paths.running[-1, row] >= 0.0).mean()) == promised.value


def test_money_after_the_deadline_is_not_proposed_and_the_reason_and_the_missing_sum_are_told():
    book = desk(markets={}, reserves=(wallet(hours=9.0),), transfer_times=(way(),))
    result = rescue(book, FEW).result
    assert result.actions == ()
    assert not result.meets
    (late,) = [row for row in result.rejected if row.text.startswith("wallet")]
    assert "too late: arrives after 10h" in late.reason
    (unknown,) = [row for row in result.rejected if row.text == "reduce ETH"]
    assert "sale_markets.ETH" in unknown.reason
    lost = next(account for account in result.accounts if account.id == FAST)
    assert lost.deadline_s < 10 * HOUR
    assert lost.lost_p50_s is not None
    # With that much more at the start there is nothing left to do.
    enough = desk(usdc=31_500.0 + lost.extra_buffer_usd / 0.9998 + 0.01, markets={})
    assert rescue(enough, FEW).exit_code == 0
    almost = desk(usdc=31_500.0 + lost.extra_buffer_usd / 0.9998 - 500.0, markets={})
    assert rescue(almost, FEW).exit_code == 2


def test_the_cheaper_way_is_taken_and_no_plan_costs_more_than_each_single_one():
    cheap, dear = wallet("cheap"), wallet("dear")
    ways = (way("cheap", fee=1.0), way("dear", fee=40.0))
    result = rescue(desk(reserves=(cheap, dear), transfer_times=ways), FEW).result
    assert [action.text.split(" from ")[1].split(" ")[0] for action in result.actions] == ["cheap"]
    assert result.cost_usd == pytest.approx(0.9998, rel=1e-6)
    assert any("not in the cheapest plan" in row.reason for row in result.rejected if row.text.startswith("dear"))


def test_a_line_costs_its_fee_and_interest_and_is_drawn_in_time():
    line = CreditLine(
        id="prime", asset="USDC", limit_native=90_000.0, drawn_native=0.0, annual_rate_fraction=0.365,
        time_to_cash_s=60, fee_fraction=0.001,
    )  # fmt: skip
    result = rescue(desk(markets={}, credit_lines=(line,), transfer_times=(way("prime", fee=0.0),)), FEW).result
    (action,) = result.actions
    assert action.kind == "draw"
    # 36.5 % a year is 0.05 % for 12 hours; the fee is 0.1 % of the draw, which is a little more than what counts.
    assert action.cost.interest_usd == pytest.approx(action.amount_usd * 0.0005, rel=2e-3)
    assert action.cost.fees_usd == pytest.approx(action.amount_usd * 0.001, rel=2e-3)
    uncommitted = replace(line, is_committed=False)
    other = rescue(desk(markets={}, credit_lines=(uncommitted,), transfer_times=(way("prime"),)), FEW).result
    assert other.actions == ()
    assert any("not committed" in row.reason for row in other.rejected)


def test_margin_of_another_account_that_it_can_spare_is_sent_and_gone_there_from_the_start():
    thin = an_account(
        "binance", "usdm_single_asset", [a_position("ETHUSDT", 150.0, 2_970.0)], name="thin", USDT=20_000.0
    )
    rich = an_account("okx", "futures", [a_position("BTC-USDT-SWAP", 100.0, 87_600.0, leverage=5.0)], USDT=300_000.0)
    route = replace(way("okx:a", "binance:thin"), fee_native=1.0)
    book = replace(a_book(thin, rich), sale_markets={}, transfer_times=(route,))
    answer = RescueAnswer.of(RescueRun.of(book, FEW, None), None)
    result = answer.result()
    (action,) = result.actions
    assert action.account == "binance:thin"
    donor = next(row for row, pool in enumerate(answer.run.pools) if pool.account_id == "okx:a")
    # The fee is paid by the sender on top of what arrives.
    left = answer.search.cash(donor, answer.plan.amounts_usd)
    np.testing.assert_allclose(left, -(action.amount_usd + 0.9993), atol=1e-6)
    assert result.meets


def test_money_already_on_its_way_counts_once_from_its_arrival():
    book = desk(markets={})
    moving = TransferInTransit(
        id="moving", destination=FAST, asset="USDC", amount_native=80_000.0, arrives_p50_at=book.as_of,
        arrives_p99_at=book.as_of + timedelta(hours=1),
    )  # fmt: skip
    alone, coming = rescue(book, FEW).result, rescue(replace(book, in_transit=(moving,)), FEW).result
    before = [next(a for a in each.accounts if a.id == FAST).p_before.value for each in (alone, coming)]
    assert before[1] < before[0]


def test_a_shock_moves_the_book_and_a_halted_venue_receives_nothing():
    book = desk(reserves=(wallet(),), transfer_times=(way(),))
    calm = rescue(book, FEW).result
    down = rescue(book, replace(FEW, shock="ETH=-2%")).result
    before = [next(a for a in each.accounts if a.id == FAST).p_before.value for each in (calm, down)]
    assert before[1] > before[0]
    assert "ETH=-2%" in down.state
    halted = rescue(book, replace(FEW, shock="ETH=-2%,halt=hyperliquid:6h")).result
    assert halted.actions == ()
    assert any("no money goes in or out" in row.reason for row in halted.rejected)
    assert any("halted" in row.reason for row in halted.rejected)


def test_an_account_that_is_liquidatable_in_the_state_is_told_and_nothing_is_sent_after_it():
    book = desk(reserves=(wallet(),), transfer_times=(way(),))
    result = rescue(book, replace(FEW, shock="ETH=-12%")).result
    lost = result.accounts[0]
    assert (lost.id, lost.p_after.value, lost.deadline_s) == (FAST, 1.0, -1)
    assert all(action.account != FAST or action.kind != "transfer" for action in result.actions)


def test_an_episode_starts_the_plan_after_its_first_hours():
    book = desk(usdc=70_000.0, reserves=(wallet(),), transfer_times=(way(),))
    result = rescue(book, replace(FEW, scenario="2021-05-19", after_hours=3)).result
    assert "first 3 h of 2021-05-19" in result.state


def test_the_standing_plan_is_run_and_never_makes_it_worse():
    plan = (
        ContingencyAction(
            id="wallet-first", account=FAST, source="wallet", trigger_coverage_ratio=1.6, target_coverage_ratio=2.5,
            capacity_usd=60_000.0, lead_time_s=1_800, approver="treasurer",
        ),
        ContingencyAction(
            id="no-way", account=DEEP, source="wallet", trigger_coverage_ratio=1.6, target_coverage_ratio=2.5,
            capacity_usd=60_000.0, lead_time_s=1_800, approver="treasurer",
        ),
    )  # fmt: skip
    book = desk(reserves=(wallet(),), transfer_times=(way(),), contingency=plan)
    standing = rescue(book, FEW).result.contingency
    assert standing.any_with.value < standing.any_without.value
    assert standing.saved.value == pytest.approx(standing.any_without.value - standing.any_with.value)
    used, unusable = standing.uses
    assert used.p_used.value > 0.0
    assert 0.0 < used.mean_usd <= 60_000.0
    assert unusable.p_used.value == 0.0
    assert any("no usable way from wallet" in note for note in standing.notes)
    for account in standing.accounts:
        assert sum(account.failures.values()) == pytest.approx(account.p_with.value)


def test_the_report_says_that_nothing_was_traded_and_its_json_is_the_same_twice():
    book = desk(reserves=(wallet(),), transfer_times=(way(),))
    made = [json.loads(rescue(book, FEW).to_json()) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["actions"][0]["deadline_s"] >= made[0]["actions"][0]["arrives_s"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"scenario": "2021-05-19", "shock": "ETH=-1%"}, UsageError, "one of --scenario and --shock"),
        ({"after_hours": 3}, UsageError, "together with --scenario"),
        ({"scenario": "1987-10-19"}, UsageError, "2021-05-19"),
        ({"scenario": "2021-05-19", "after_hours": 10_000}, UsageError, "--after"),
        ({"shock": "PEPE=-10%"}, UsageError, "no coin or asset 'PEPE'"),
        ({"paths": 256, "tolerance": 0.001}, UsageError, "or more at this tolerance"),
        ({"horizon_s": 5_000}, UsageError, "whole hours"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        rescue(desk(), replace(FEW, **changes))


def test_a_coin_reserve_that_nobody_can_price_is_refused():
    coins = Reserve(
        id="coins", asset="BTC", amount_native=1.0, time_to_cash_p50_s=60, time_to_cash_p99_s=60, custodian="own"
    )
    with pytest.raises(InputError, match="neither haircuts nor a sale market"):
        rescue(desk(reserves=(coins,), transfer_times=(way("coins"),)), FEW)


def test_options_after_a_stress_are_refused(tmp_path):
    path = tmp_path / "book.json"
    account = {
        "id": "deribit:main", "mode": "segregated_sm", "balances": [{"asset": "BTC", "total": 3.0}],
        "positions": [{"symbol": "BTC-27MAR26-80000-P", "contracts": -10, "entry_price": 0.03}],
    }  # fmt: skip
    market = {
        "observed_at": "2026-02-01T08:00:00Z", "asset_usd": {"BTC": 90_000}, "forwards": {"BTC-260327": 90_300},
        "implied_volatility": {"BTC-27MAR26-80000-P": 0.6},
    }  # fmt: skip
    data = {"schema_version": 1, "as_of": "2026-02-01T08:00:00Z", "market": market, "accounts": [account]}
    path.write_text(json.dumps(data), encoding="utf-8")
    book = mc.load(path)
    with pytest.raises(NotSupportedError, match="holds the option BTC-27MAR26-80000-P"):
        rescue(book, replace(FEW, shock="BTC=-1%"))
    # As it is the book is planned for, options and all.
    assert len(rescue(book, replace(FEW, horizon_s=2 * HOUR)).result.accounts) == 1


def test_the_demo_book_keeps_its_shape():
    result = rescue(mc.demo_book(), replace(FEW, horizon_s=4 * HOUR)).result
    assert {account.account_id for account in result.accounts} == {account.id for account in mc.demo_book().accounts}
    assert np.isfinite(result.cost_usd)


def test_a_liquidatable_account_and_one_that_was_closed_on_the_way_are_told():
    book = desk(reserves=(wallet(),), transfer_times=(way(),))
    now = rescue(book, replace(FEW, shock="ETH=-12%")).result
    assert any("liquidatable in this state" in row.reason for row in now.rejected)
    # The crash of that day: at its close the long of 150 ETH on 31,500 USDC had long been below maintenance.
    later = rescue(book, replace(FEW, scenario="2021-05-19", after_hours=20)).result
    assert any("was liquidatable in hour" in warning for warning in later.provenance.warnings)


@pytest.mark.parametrize("slower", [{"settlement_cycle_s": 8 * HOUR}, {"capacity_per_hour_native": 2_000.0}])
def test_settlements_and_capacities_of_a_source_hold_in_the_standing_plan(slower):
    action = ContingencyAction(
        id="wallet-first", account=FAST, source="wallet", trigger_coverage_ratio=1.6, target_coverage_ratio=2.5,
        capacity_usd=60_000.0, lead_time_s=1_800, approver="treasurer",
    )  # fmt: skip
    free, bound = (
        rescue(desk(reserves=(place,), transfer_times=(way(),), contingency=(action,)), FEW).result.contingency
        for place in (wallet(hours=0.1), replace(wallet(hours=0.1), **slower))
    )
    assert free.any_without == bound.any_without
    assert bound.any_with.value > free.any_with.value
