"""Auto-deleveraging: who gives up what, conservation, order, splitting, measures, rules by venue."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from margincover.clearing import adl_policies as adl
from margincover.clearing import loss_sharing
from margincover.clearing.adl_measures import gini, majorises, measure, paid_by_group
from margincover.clearing.adl_rules import adl_rule, contract_drawdown, packaged, parse_adl
from margincover.clearing.adl_scores import SCORES, RankedPositions, rank_share
from margincover.clearing.adl_split import Winners, largest_split_gain, split_gain
from margincover.errors import InputError, RulebookError

CENT = 0.01
AT = datetime(2026, 9, 1, tzinfo=UTC)
money = st.floats(0.0, 1e9, allow_nan=False).map(lambda x: round(x, 2))
accounts = st.lists(st.tuples(money, st.floats(0.0, 100.0), st.floats(-5.0, 5.0)), min_size=1, max_size=30)
losses = st.lists(money, min_size=1, max_size=5)


def policies(have, want, leverage, score):
    yield "queue", adl.queue(have, want, score=score), have.sum()
    yield "pro rata", adl.pro_rata(have, want), have.sum()
    yield "capped", adl.capped_pro_rata(have, want, largest_fraction=0.4), 0.4 * have.sum()
    yield "risk aware", adl.risk_aware_pro_rata(have, want, leverage=leverage), have[leverage > 0].sum()
    yield "random", adl.random_start(have, want, rng=np.random.default_rng(1)), have.sum()


@given(rows=accounts, wanted=losses)
def test_every_policy_takes_what_is_needed_and_no_more_than_there_is(rows, wanted):
    have, leverage, score = (np.array(column) for column in zip(*rows, strict=True))
    want = np.array(wanted)
    for name, taken, most in policies(have, want, leverage, score):
        assert (taken >= 0.0).all(), name
        assert (taken <= have[:, np.newaxis] + 1e-6).all(), name
        assert np.abs(taken.sum(axis=0) - np.minimum(want, most)).max() < CENT, name
        assert (taken.sum(axis=0) <= want * (1.0 + 1e-12) + 1e-9).all(), name


@given(rows=accounts, wanted=losses, more=money)
def test_every_deterministic_policy_takes_more_from_each_when_more_is_needed(rows, wanted, more):
    have, leverage, score = (np.array(column) for column in zip(*rows, strict=True))
    want = np.array(wanted)
    first, second = policies(have, want, leverage, score), policies(have, want + more, leverage, score)
    for (name, less, _), (_, greater, _) in zip(first, second, strict=True):
        if name != "random":
            assert (greater >= less - CENT).all(), name


@given(rows=accounts, wanted=losses)
def test_columns_per_path_give_the_same_as_one_column(rows, wanted):
    have, leverage, score = (np.array(column) for column in zip(*rows, strict=True))
    want = np.array(wanted)
    wide = np.repeat(have[:, np.newaxis], want.size, axis=1)
    for (name, one, _), wide_taken in zip(
        policies(have, want, leverage, score),
        (
            adl.queue(wide, want, score=score),
            adl.pro_rata(wide, want),
            adl.capped_pro_rata(wide, want, largest_fraction=0.4),
            adl.risk_aware_pro_rata(wide, want, leverage=leverage),
        ),
        strict=False,
    ):
        assert np.abs(one - wide_taken).max() < CENT, name


def plain_water_fill(limit, needed, weight):
    """Twin in a loop: share what is left among the open accounts until none reaches its limit."""
    taken, left = [0.0] * len(limit), needed
    live = {i for i in range(len(limit)) if weight[i] > 0 and limit[i] > 0}
    while live and left > 1e-12 * max(needed, 1.0):
        total = sum(weight[i] for i in live)
        level = min(left / total, min((limit[i] - taken[i]) / weight[i] for i in live))
        for i in live:
            taken[i] += level * weight[i]
        left -= level * total
        live = {i for i in live if limit[i] - taken[i] > 1e-12 * limit[i]}
    return taken


@given(
    rows=st.lists(st.tuples(st.floats(0.0, 1e6), st.floats(0.0, 1e3)), min_size=1, max_size=12),
    needed=st.floats(0, 1e7),
)
def test_water_filling_agrees_with_the_plain_loop(rows, needed):
    limit, weight = ([round(x, 3) for x in column] for column in zip(*rows, strict=True))
    expected = plain_water_fill(limit, needed, weight)
    assert adl.water_fill(limit, needed, weight=weight)[:, 0] == pytest.approx(expected, abs=CENT)


def test_random_start_goes_on_from_the_start_and_around_the_end():
    class Second:
        def integers(self, high, size):
            return np.full(size, 2)

    taken = adl.random_start([5.0, 6.0, 7.0], [10.0], rng=Second())
    assert taken[:, 0].tolist() == [3.0, 0.0, 7.0]


@given(sizes=st.lists(st.integers(0, 10**6), min_size=1, max_size=40), needed=st.integers(0, 10**7))
def test_whole_contracts_are_conserved_and_within_one_of_the_exact_share(sizes, needed):
    closed = adl.contract_pro_rata(sizes, needed)
    most = min(needed, sum(sizes))
    assert int(closed.sum()) == most
    assert (closed >= 0).all()
    assert (closed <= np.array(sizes)).all()
    if sum(sizes):
        assert np.abs(closed - np.array(sizes) / sum(sizes) * most).max() <= 1.0 + 1e-6


@given(weights=st.lists(money, min_size=1, max_size=30).filter(lambda w: sum(w) > 0), total=st.integers(0, 10**12))
def test_largest_remainders_sum_to_the_cent(weights, total):
    found = adl.largest_remainders(weights, total)
    assert int(found.sum()) == total
    assert (found >= 0).all()


# --- splitting -----------------------------------------------------------------------------------------------------


def three_winners():
    return Winners(
        available_usd=np.array([800.0, 400.0, 50.0]),
        score=np.array([2.0, 3.0, 1.0]),
        leverage=np.array([5.0, 2.0, 20.0]),
    )


SPLIT_INVARIANT = {
    "queue": lambda w, need: adl.queue(w.available_usd, need, score=w.score)[:, 0],
    "pro rata": lambda w, need: adl.pro_rata(w.available_usd, need)[:, 0],
    "capped": lambda w, need: adl.capped_pro_rata(w.available_usd, need, largest_fraction=0.5)[:, 0],
    "risk aware": lambda w, need: adl.risk_aware_pro_rata(w.available_usd, need, leverage=w.leverage)[:, 0],
}


@pytest.mark.parametrize("name", SPLIT_INVARIANT)
@given(need=st.floats(0.0, 1500.0), first=st.floats(0.01, 0.99))
def test_splitting_an_account_changes_nothing_where_it_is_claimed(name, need, first):
    policy = SPLIT_INVARIANT[name]
    gain = largest_split_gain(lambda w: policy(w, need), three_winners(), shares=(first, 1.0 - first))
    assert gain < 1e-9


def test_splitting_is_measured_where_it_pays():
    # at most 100 from any account: 750 needed of 1,250 cannot be met; two halves of the large account pay 200
    def per_head(winners):
        limit = np.minimum(winners.available_usd, 100.0)
        return adl.water_fill(limit, 750.0, weight=np.ones(limit.size))[:, 0]

    assert split_gain(per_head, three_winners(), account=0, shares=(0.5, 0.5)) == pytest.approx(-100.0)


def test_nothing_needed_takes_nothing_where_sums_round():
    # 151,467,168.28 + 116,968,288 rounds: the last account in turn must not pay the rounding
    for seed in range(10):
        taken = adl.random_start([151467168.28, 0.0, 116968288.0], [0.0], rng=np.random.default_rng(seed))
        assert not taken.any()


def test_whole_contracts_change_by_less_than_two_when_split():
    def policy(winners):
        return adl.contract_pro_rata(np.floor(winners.available_usd), 333).astype(float)

    assert abs(split_gain(policy, three_winners(), account=0, shares=(0.5, 0.5))) < 2.0


def test_splitting_shifts_the_start_of_a_random_queue():
    # whole: each of three starts once in three; the large account pays 400 of a need of 400 when it starts and when
    # the small one does 350; split in two it starts twice in four and pays 400 each time, the small one's start 350
    winners = three_winners()

    def mean_of_starts(rows):
        class Each:
            def integers(self, high, size):
                return np.arange(size) % high

        n = rows.available_usd.size
        return adl.random_start(rows.available_usd, np.full(n, 400.0), rng=Each()).mean(axis=1)

    whole, halves = (400.0 + 0.0 + 350.0) / 3, (400.0 + 400.0 + 0.0 + 350.0) / 4
    assert split_gain(mean_of_starts, winners, account=0, shares=(0.5, 0.5)) == pytest.approx(whole - halves)


# --- measures ------------------------------------------------------------------------------------------------------


def test_measures_of_the_queue_and_of_pro_rata():
    # endowments 8, 4, 0.5; deficit 15 of which 7.5 is raised; largest deficit 10
    have = np.array([8.0, 4.0, 0.5])
    for taken, survivor, largest in (
        (adl.queue(have, 7.5, score=[2, 3, 1])[:, 0], 4.5, 1.0),
        (adl.pro_rata(have, 7.5)[:, 0], 3.2, 0.6),
    ):
        found = measure(have, taken, needed_usd=7.5, deficit_usd=15.0, largest_deficit_usd=10.0)
        assert found.overshoot_usd == pytest.approx(0.0, abs=1e-12)
        assert (found.largest_survivor_usd, found.largest_fraction) == pytest.approx((survivor, largest))
        assert (found.ptsr, found.pmr) == pytest.approx((survivor / 7.5, survivor / 5.0))
        assert found.survivor_share == pytest.approx(survivor / (survivor + 7.5))


def test_pro_rata_has_equal_fractions_and_the_queue_has_not():
    have = np.array([8.0, 4.0, 0.5])
    terms = {"needed_usd": 7.5, "deficit_usd": 15.0, "largest_deficit_usd": 10.0}
    assert measure(have, adl.pro_rata(have, 7.5)[:, 0], **terms).gini_fractions == pytest.approx(0.0, abs=1e-12)
    assert measure(have, adl.queue(have, 7.5, score=[2, 3, 1])[:, 0], **terms).gini_fractions > 0.3


def test_taking_more_than_an_account_has_is_an_error():
    with pytest.raises(InputError, match=r"taken_usd\[1\]"):
        measure([1.0, 1.0], [0.5, 1.5], needed_usd=2.0, deficit_usd=2.0, largest_deficit_usd=1.0)


@given(values=st.lists(money, min_size=1, max_size=30))
def test_gini_lies_between_zero_and_one_and_one_payer_is_the_most_concentrated(values):
    total = sum(values)
    one = np.zeros(len(values))
    one[0] = total
    assert 0.0 <= gini(values) <= gini(one) + 1e-9 <= 1.0
    assert majorises(one, values)
    assert majorises(values, np.full(len(values), total / len(values)))


def test_neither_allocation_need_majorise_the_other():
    first, second = [0.5, 0.25, 0.25], [0.4, 0.4, 0.2]
    assert not majorises(first, second)
    assert not majorises(second, first)


def test_who_pays_by_group_counts_from_the_smallest_endowment():
    assert paid_by_group([4.0, 1.0, 3.0, 2.0], [3.0, 0.0, 1.0, 0.0], groups=2).tolist() == [0.0, 1.0]
    assert paid_by_group([1.0, 9.0], [0.0, 2.0])[-1] == 1.0


# --- scores and rules ------------------------------------------------------------------------------------------------


def two_positions(**changes):
    columns = {
        "quantity": [1.0, 1.0],
        "side": [-1.0, -1.0],
        "entry_price": [100.0, 100.0],
        "mark_price": [80.0, 80.0],
        "wallet_usd": [100.0, 10.0],
        "equity_usd": [120.0, 30.0],
        "maintenance_usd": [0.4, 0.4],
    } | changes
    return RankedPositions(**{name: np.array(values) for name, values in columns.items()})


@pytest.mark.parametrize("name", SCORES)
def test_the_more_leveraged_of_two_equal_gains_goes_first(name):
    score = SCORES[name](two_positions())
    assert score[1] > score[0]


@pytest.mark.parametrize("name", [name for name in SCORES if name != "price_ratio_times_leverage"])
def test_a_gain_goes_before_a_loss(name):
    gain_then_loss = two_positions(mark_price=[80.0, 120.0], equity_usd=[120.0, 80.0], wallet_usd=[100.0, 100.0])
    score = SCORES[name](gain_then_loss)
    assert score[0] > score[1]


def test_scores_in_figures():
    rows = two_positions()
    # 20 / 100 * 0.4 / 120 and 20 / 10 * 0.4 / 30
    assert SCORES["wallet_profit_times_margin_ratio"](rows) == pytest.approx([0.2 * 0.4 / 120, 2 * 0.4 / 30])
    # 20 % of entry value, leverage 80 / 120 and 80 / 30
    assert SCORES["return_times_effective_leverage"](rows) == pytest.approx([0.2 * 80 / 120, 0.2 * 80 / 30])
    assert SCORES["return_over_margin_ratio"](rows) == pytest.approx([0.2 / 300, 2.0 / 75])
    # a short: entry over mark
    assert SCORES["price_ratio_times_leverage"](rows) == pytest.approx([1.25 * 80 / 120, 1.25 * 80 / 30])


def test_a_position_without_equity_ranks_first():
    rows = two_positions(equity_usd=[120.0, 0.0], wallet_usd=[100.0, -20.0])
    assert SCORES["price_ratio_times_leverage"](rows)[1] == np.inf
    assert rank_share(SCORES["price_ratio_times_leverage"](rows)).tolist() == [1.0, 0.5]


def test_scores_refuse_what_they_cannot_rank():
    with pytest.raises(InputError, match="prices > 0"):
        two_positions(entry_price=[0.0, 1.0])
    with pytest.raises(InputError, match=r"wallet_usd\[0\]"):
        two_positions(wallet_usd=[np.nan, 1.0])
    with pytest.raises(InputError, match="maintenance_usd"):
        SCORES["return_over_margin_ratio"](two_positions(maintenance_usd=[0.0, 1.0]))


def test_an_unconfirmed_score_is_never_exact():
    assert {rule.venue for rule in packaged() if rule.is_exact} == {"binance", "hyperliquid", "dydx"}
    assert adl_rule("bybit", at=AT).origin.confidence == "UNCONFIRMED"
    assert dict(adl_rule("bybit", at=AT).trigger) == {
        "drawdown_fraction": 0.30,
        "stop_fraction": 0.25,
        "pool_threshold_usd": 10_000.0,
    }


def test_rules_are_dated_and_venues_without_one_are_named():
    with pytest.raises(RulebookError, match="none in force at 2020-01-01"):
        adl_rule("hyperliquid", at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(RulebookError, match="no rule of 'deribit'"):
        adl_rule("deribit", at=AT)


RULE = """
[[adl]]
id = "x-1"
venue = "x"
valid_from = 2026-01-01
source = "s"
retrieved = "2026-01-02"
confidence = "CONFIRMED"
score = "random_start"
close_price = "mark"
close_price_confidence = "CONFIRMED"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RULE.replace("random_start", "fairest"), "fairest"),
        (RULE + 'colour = "red"', "unknown key colour"),
        (RULE.replace('source = "s"\n', ""), "source was missing"),
        (RULE + RULE, "overlap"),
        (RULE.replace("2026-01-01", '"soon"'), "a UTC date or time"),
        (RULE + "[adl.trigger]\ndrawdown_fraction = 30\nstop_fraction = 0.2\npool_threshold_usd = 1", "0.3 is 30 %"),
        ("colour = 1", r"\[\[adl\]\] only"),
        ("[[adl]", "was not TOML"),
        (RULE + "valid_to = 2025-01-01", "after valid_from"),
        (RULE.replace('confidence = "CONFIRMED"\nscore', 'confidence = "SURE"\nscore'), "SURE"),
    ],
)
def test_bad_rule_files_say_what_is_wrong(text, message):
    with pytest.raises(RulebookError, match=message):
        parse_adl(text, source="test")


def test_a_drawdown_at_the_limit_triggers_nothing_and_an_empty_pool_everything():
    terms = {"result_peak_usd": 0.0, "pool_peak_usd": 1e6, "drawdown_fraction": 0.3}
    assert not contract_drawdown(result_now_usd=-300_000.0, **terms).is_triggered
    below = contract_drawdown(result_now_usd=-350_000.0, pool_now_usd=9_000.0, pool_threshold_usd=10_000.0, **terms)
    assert (below.is_triggered, below.shifted_usd) == (False, 0.0)
    empty = contract_drawdown(result_now_usd=-350_000.0, pool_now_usd=0.0, **terms)
    assert (empty.is_triggered, empty.shifted_usd) == (True, 350_000.0)


# --- other ways of sharing ----------------------------------------------------------------------------------------


@given(gains=st.lists(st.floats(-1e8, 1e8), min_size=1, max_size=20), wanted=losses)
def test_a_haircut_of_gains_pays_the_loss_or_all_gains(gains, wanted):
    found = loss_sharing.gains_haircut(gains, wanted)
    assert np.abs(found.paid_usd.sum(axis=0) + found.residual_usd - np.array(wanted)).max() < CENT
    assert (found.paid_usd[np.array(gains) <= 0] == 0.0).all()


def test_assessments_stop_at_their_multiple_and_spare_the_defaulter():
    found = loss_sharing.assessment(
        [10.0, 20.0, 30.0], [15.0, 100.0], multiple=1.0, survives=np.array([True, True, False])
    )
    assert found.paid_usd[:, 0] == pytest.approx([5.0, 10.0, 0.0])
    assert found.paid_usd[:, 1] == pytest.approx([10.0, 20.0, 0.0])
    assert found.residual_usd == pytest.approx([0.0, 70.0])


def test_a_tear_up_conserves_contracts_and_values_them_against_the_mark():
    found = loss_sharing.tear_up([7, 2, 1], 5, side=1, mark=100.0, price=90.0)
    assert found.contracts.sum() + found.still_open == 5
    assert found.given_up_usd.sum() == pytest.approx(50.0)
    assert loss_sharing.tear_up([1, 1], 5, side=-1, mark=100.0, price=110.0).still_open == 3


def test_closing_a_winner_at_a_price_beyond_the_mark_costs_it_the_difference():
    # a short closed at 95 where the mark is 90 gives up 5 a contract, a long closed there gains 5
    assert loss_sharing.given_up_at([2.0, 2.0], side=[-1.0, 1.0], mark=90.0, close=95.0).tolist() == [10.0, -10.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adl.pro_rata([1.0, -1.0], 1.0), r"available\[1\]"),
        (lambda: adl.pro_rata([1.0, np.nan], 1.0), r"available\[1\]"),
        (lambda: adl.pro_rata([], 1.0), "available"),
        (lambda: adl.pro_rata([1.0], -1.0), "needed"),
        (lambda: adl.queue([1.0, 2.0], 1.0, score=[1.0]), "score"),
        (lambda: adl.capped_pro_rata([1.0], 1.0, largest_fraction=30.0), "largest_fraction"),
        (lambda: adl.contract_pro_rata([1.5], 1), "whole contracts"),
        (lambda: adl.largest_remainders([0.0], 1), "weights above 0"),
        (lambda: loss_sharing.tear_up([1], 1, side=0, mark=1.0, price=1.0), "side"),
    ],
)
def test_bad_amounts_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
