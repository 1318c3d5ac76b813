"""``margincover allocate`` as its user runs it, and what its answers must keep."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from margincover.app.allocate import AllocateSettings, allocate
from margincover.app.allocate_desk import build_desk
from margincover.app.allocate_more import hedges
from margincover.app.allocate_paths import desk_paths, look_times
from margincover.app.allocate_plan import Planner
from margincover.app.allocate_settings import plan_settings
from margincover.app.demo import demo_book
from margincover.app.generators import build_generator
from margincover.cli.main import main
from margincover.errors import UsageError
from margincover.numeric.quantile import expected_shortfall
from margincover.report.allocate_words import NEVER_MOVED, headline, proof
from margincover.scenarios.calibration import load_packaged
from margincover.venues.pools import build_pools
from tests.books import demo_data, write_book

# Coarse on purpose: what is checked here holds at any number of paths.
QUICK = AllocateSettings(
    tolerance=0.05, horizon_s=8 * 3_600, paths=768, frontier_points=3, with_alternatives=False, threads=2
)


@pytest.fixture(scope="module")
def plan():
    return allocate(demo_book(), QUICK)


@pytest.fixture(scope="module")
def planner_and_sample():
    book, calibration = demo_book(), load_packaged()
    pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
    factors = sorted({factor for pool in pools for factor in pool.factors})
    generator = build_generator(book, factors, method=None, history=None, calibration=calibration)
    settings = plan_settings(book, QUICK)
    desk = build_desk(book, pools, horizon_s=settings.horizon_s, cost_of_capital=0.1)
    paths = desk_paths(pools, generator, horizon_s=settings.horizon_s, paths=768, seed=1, threads=2)
    planner = Planner.of(desk, settings, paths.times_s)
    return planner, planner.sample(paths, seed=1, purpose="planning")


def test_money_is_conserved_to_the_cent_and_the_plan_holds_without_the_solver(plan):
    result = plan.result
    assert result.status == "planned"
    assert result.imbalance_cents == 0
    assert result.recheck_excess_usd <= 1e-3
    assert result.gap <= 1e-6
    pools = {pool.pool_id: pool for pool in result.pools}
    for name, pool in pools.items():
        came = sum(move.amount_cents for move in result.transfers if move.destination == name)
        went = sum(move.amount_cents for move in result.transfers if move.origin == name)
        # Two cents are rounding.
        assert pool.held_usd + (came - went) / 100 == pytest.approx(pool.planned_usd, abs=0.02)


def test_no_source_sends_more_than_it_has():
    # A long horizon asks for more than the reserve: other own money goes first, the rest comes from outside.
    result = allocate(demo_book(), replace(QUICK, horizon_s=5 * 86_400, frontier_points=0, paths=256)).result
    reserves = {row.id: row for row in demo_book().reserves}
    sent = dict.fromkeys(reserves, 0)
    for move in result.transfers:
        if move.origin in sent:
            sent[move.origin] += move.amount_cents + move.fee_cents
    prices = demo_book().market.asset_usd
    for name, amount in sent.items():
        reserve = reserves[name]
        came = sum(move.amount_cents for move in result.transfers if move.destination == name)
        most = reserve.amount_native * prices.get(reserve.asset, 1.0) * 100 + came
        assert amount <= most
    assert sum(sent.values()) > 0
    assert result.imbalance_cents == 0


def test_fresh_paths_agree_with_the_tolerance(plan):
    result = plan.result
    assert result.validation_bound <= result.tolerance
    assert result.p_planned.low <= result.tolerance
    assert result.p_now.value > result.tolerance
    assert plan.exit_code == 2


def test_the_plan_is_the_same_on_any_number_of_threads(plan):
    assert allocate(demo_book(), replace(QUICK, threads=1)).to_json() == plan.to_json()


def test_frontier_falls_and_the_joint_plan_beats_proportion(plan):
    capital = [entry.capital_usd for entry in plan.result.frontier]
    assert capital == sorted(capital)
    rates = [entry.probability.value for entry in plan.result.frontier]
    assert rates[0] > rates[-1]
    by_name = {row.name: row.capital_usd for row in plan.result.comparisons}
    assert by_name["jointly, with reserve and rules"] < by_name["in proportion to maintenance"]


def test_what_is_shown_says_that_nothing_was_moved(plan):
    assert "never moves money" in NEVER_MOVED
    assert json.loads(plan.to_json())["moves_money"] is False
    page = plan.to_html()
    assert NEVER_MOVED in page
    assert "default-src 'none'" in page
    for chart in ('"frontier"', '"flows"', '"outages"', "sankey", "heatmap"):
        assert chart in page


def test_one_pool_without_a_way_needs_its_own_expected_shortfall(planner_and_sample):
    planner, sample = planner_and_sample
    # With a single pool and no later money the optimum is known: RCES of its need at the tail of the joint limit.
    row = next(number for number, pool in enumerate(planner.desk.pools) if pool.id == "okx:hedge")
    desk = planner.desk
    single = replace(
        desk,
        pools=desk.pools[row : row + 1],
        statuses=desk.statuses[row : row + 1],
        base_usd=desk.base_usd[row : row + 1],
        free_usd=desk.free_usd[row : row + 1],
        ways=((),),
        later=(None,),
    )
    alone = Planner.of(single, replace(planner.settings, is_rces=False), planner.times_s)
    need = sample.need_usd[:, row : row + 1]
    found = alone.from_nothing(replace(sample, need_usd=need, is_open=sample.is_open[row : row + 1]), tail=0.05)
    assert found.amount_usd[0] == pytest.approx(expected_shortfall(need[-1, 0], 0.05), rel=1e-6)
    assert found.reserve_usd == 0.0


def test_a_way_that_is_always_shut_brings_nothing(planner_and_sample):
    planner, sample = planner_and_sample
    shut = replace(sample, is_open=np.zeros_like(sample.is_open))
    assert planner.receivable(shut).max() == 0.0
    free = planner.unlimited()
    assert free.from_nothing(shut, tail=0.05).reserve_usd == pytest.approx(0.0, abs=1.0)
    assert free.from_nothing(shut, tail=0.05).capital_usd >= free.from_nothing(sample, tail=0.05).capital_usd - 1.0


def test_faster_money_never_needs_more_capital(planner_and_sample):
    planner, sample = planner_and_sample
    free = planner.unlimited()
    capital = [
        free.with_delay(delay).from_nothing(sample, tail=0.05).capital_usd for delay in (0.0, 3_600.0, 4 * 3_600.0)
    ]
    assert capital == sorted(capital)


def test_the_running_maximum_is_that_of_the_engine_and_never_falls(planner_and_sample):
    planner, sample = planner_and_sample
    assert look_times(8 * 3_600, 3_600) == planner.times_s
    assert (np.diff(sample.need_usd, axis=0) >= 0.0).all()
    assert look_times(120 * 3_600, 3_600)[-1] == 120 * 3_600
    assert len(look_times(120 * 3_600, 3_600)) == 25


def test_hedged_legs_of_two_venues_are_found_with_the_fees_of_both(planner_and_sample):
    planner, _ = planner_and_sample
    found = hedges(planner.desk.book, planner.desk.pools)
    first = found[0]
    assert (first.coin, first.long_account, first.short_account) == ("BTC", "okx:hedge", "binance:market-making")
    # 1,200 contracts of 0.01 BTC against 12 BTC; taker fee 0.05 % at both, marks from the book in USDT at 0.9993.
    assert first.coins == pytest.approx(12.0)
    assert first.fee_usd == pytest.approx(12.0 * (87_605.0 + 87_608.2) * 0.9993 * 5e-4, rel=1e-9)


def test_closing_a_hedge_saves_capital():
    found = allocate(demo_book(), replace(QUICK, with_alternatives=True, frontier_points=0)).result
    best = next(row for row in found.alternatives if "12 BTC" in row.name)
    assert best.capital_after_usd < best.capital_before_usd
    assert best.cost_usd > 0.0


def test_n_minus_1_as_hard_case_holds_more(plan):
    plain = plan.result
    hard = allocate(demo_book(), replace(QUICK, frontier_points=0, n_minus_1=True)).result
    assert hard.objective_usd >= plain.objective_usd * (1.0 - 1e-6)
    frozen = [cell for cell in hard.outages if cell.pool_id.startswith(f"{cell.place}:")]
    assert frozen
    assert all(cell.probability.low <= hard.tolerance for cell in frozen)


def test_limits_that_exclude_each_other_are_named_with_the_least_relaxation():
    report = allocate(demo_book(), replace(QUICK, limits_usd={"hyperliquid:fast": 26_000.0}))
    result = report.result
    assert (result.status, report.exit_code, result.transfers) == ("infeasible", 2, ())
    assert "upper limit of hyperliquid:fast" in result.message
    assert "give way by" in result.message
    assert headline(result).startswith("No plan")


def test_a_budget_that_no_plan_can_meet_is_named():
    result = allocate(demo_book(), replace(QUICK, budget_usd=10_000.0)).result
    assert result.status == "infeasible"
    assert "budget" in result.message


def test_a_solver_that_stops_is_never_called_optimal():
    report = allocate(demo_book(), replace(QUICK, max_rounds=1, frontier_points=0))
    result = report.result
    assert result.status == "fallback"
    assert headline(result).startswith("FALLBACK, not optimal")
    assert proof(result) == "Nothing is proven of this answer."
    assert report.exit_code in (1, 2)
    assert result.imbalance_cents == 0


def test_costless_capital_is_refused_because_nothing_bounds_it():
    with pytest.raises(UsageError, match="cost-of-capital"):
        allocate(demo_book(), replace(QUICK, cost_of_capital=0.0))


def run(tmp_path, capsys, *arguments, data=None):
    book = write_book(tmp_path, data or demo_data())
    quick = ("--paths", "512", "--horizon", "6h", "--frontier", "0", "--no-alternatives")
    code = main(["allocate", str(book), *quick, *arguments])
    return code, capsys.readouterr()


def test_the_screen_shows_moves_rules_and_the_answer_last(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--tolerance", "5%")
    text = " ".join(output.out.split())
    assert code == 2
    for part in ("Transfers now", "Standing rules", "One place frozen", "Ways to size"):
        assert part in text
    assert text.endswith("margincover never moves money. These are orders for a person to check and give.")


def test_a_tolerance_finer_than_the_paths_can_show_is_an_error(tmp_path, capsys):
    code, output = run(tmp_path, capsys, "--tolerance", "0.01%")
    assert code == 3
    assert "more validation paths" in output.err


def test_a_way_between_unknown_places_is_an_error(tmp_path, capsys):
    data = demo_data()
    data["transfer_times"] = [
        {"origin": "custody", "destination": "kraken:none", "asset": "USDT", "p50": "1h", "p99": "2h", "fee": 0.0}
    ]
    code, output = run(tmp_path, capsys, "--tolerance", "5%", data=data)
    assert code == 3
    assert "kraken:none" in output.err


@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--cost-of-capital", "-1%"], "--cost-of-capital"),
        (["--limit", "okx:hedge"], "--limit"),
        (["--limit", "okx:hedge=-5"], "--limit"),
        (["--minimise", "risk"], "--minimise"),
        (["--fresh", "nan"], "--fresh"),
    ],
)
def test_wrong_options_are_named(tmp_path, capsys, option, named):
    code, output = run(tmp_path, capsys, *option)
    assert code == 64
    assert named in output.err
