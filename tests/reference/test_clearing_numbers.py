"""Published figures of topic 6: liquidation slices, auto-deleveraging, funds, waterfalls, the event of 2025-10-10."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from margincover.clearing import adl_policies as adl
from margincover.clearing import flow, fund, liquidation_slice
from margincover.clearing.adl_measures import measure, overshoot, survivor_ratios
from margincover.clearing.adl_rules import contract_drawdown
from margincover.clearing.adl_scores import RankedPositions, wallet_profit_share, wallet_profit_times_margin_ratio
from margincover.clearing.waterfall import apply
from margincover.clearing.waterfall_rules import waterfall_of

# Chitra et al., Autodeleveraging: Impossibilities and Optimization, arXiv:2512.01112, and its released table
# (MIT, pluriholonomic/autodeleveraging-analysis, commit aae0be86), read 2026-11-22.
POLICIES = ("prod", "pr", "pnl_pr", "eq_pr", "vector", "contract_pr", "fixed_point_ilp_integer")


@pytest.fixture
def waves(shared_folder):
    return pl.read_parquet(shared_folder / "data/adl_2025_10_10/policy_per_wave_metrics.parquet").sort("wave")


def _column(table, name):
    return table[name].to_numpy().astype(float)


def test_slice_that_restores_maintenance():
    # adl-liquidation-slice 10.24: short of 1 opened at 1 with 10/99 of collateral, mark 5.5, execution 5.55, m 10 %,
    # fee 30 bp of the mark; the position itself is smaller, so all of it goes
    found = liquidation_slice.restoring_slice(
        quantity=1.0, side=-1.0, equity_usd=10 / 99 - 4.5, mark=5.5, execution=5.55, terms=(0.10, 0.003)
    )
    assert float(found.wanted) == pytest.approx(10.24, abs=0.005)
    assert float(found.size) == 1.0


def test_bad_debt_of_a_long_and_of_a_short():
    # adl-bad-debt-examples: D long 0.4 at 0.98 with 2/19, E short 1 at 1.05 with 10/99, linear impact of 1
    cases = ((0.98, 2 / 19, 0.4, 1.0, 0.0379), (1.05, 10 / 99, 1.0, -1.0, 0.399))
    for mark, equity, size, side, published in cases:
        at = liquidation_slice.slice_price(size=size, side=side, mark=mark, impact=1.0)
        broke = liquidation_slice.bankruptcy_price(quantity=1.0, side=side, equity_usd=equity, mark=mark)
        debt = liquidation_slice.slice_bad_debt(size=size, side=side, bankruptcy=broke, execution=at)
        assert float(debt) == pytest.approx(published, rel=1e-3)


def test_fee_of_a_slice_on_mark_and_execution():
    # adl-bad-debt-examples, fee E: 20 bp of the mark 1.05 and 10 bp of the execution 1.55, one contract
    fee = liquidation_slice.slice_fee(
        size=1.0, mark=1.05, execution=1.55, mark_fraction=0.0020, execution_fraction=0.0010
    )
    assert float(fee) == pytest.approx(0.00365, rel=1e-3)


def test_queue_example():
    # adl-queue-example: order 2, 1, 3
    taken = adl.queue([8.0, 4.0, 0.5], 0.5 * 15.0, score=[2.0, 3.0, 1.0])
    assert taken[:, 0] == pytest.approx([3.5, 4.0, 0.0], rel=1e-9)


def test_pro_rata_example():
    # adl-prorata-example: equities 10, 5, 1 before; profits 8, 4, 0.5
    profits = np.array([8.0, 4.0, 0.5])
    taken = adl.pro_rata(profits, 0.5 * 15.0)[:, 0]
    assert adl.haircut(profits, 0.5 * 15.0)[0] == pytest.approx(0.6, rel=1e-9)
    assert taken == pytest.approx([4.8, 2.4, 0.3], rel=1e-9)
    assert np.array([10.0, 5.0, 1.0]) - taken == pytest.approx([5.2, 2.6, 0.7], rel=1e-9)


def test_newsvendor_size_of_a_lognormal_deficit():
    # insurance-fund-newsvendor: lognormal(0, 1.5), r 5 %, kappa 1. The sample is the law's own quantiles at the middle
    # of a million equal parts, so the order statistic stands half a part from the quantile: 1e-5 of the figure.
    n = 1_000_000
    deficits = np.exp(1.5 * norm.ppf((np.arange(n) + 0.5) / n))
    assert fund.newsvendor_size(deficits, capital_cost=0.05, loss_cost=1.0) == pytest.approx(11.79034, rel=1e-5)


def test_loss_of_nasdaq_clearing_through_the_waterfall():
    # nasdaq-2018-waterfall-usd 133 = 8 + 125 and -eur 114 = 7 + 107 (millions): Nasdaq 10-Q as reported. The margin of
    # the member was used before the loss is stated, so both layers of the defaulter are empty here.
    house = waterfall_of("clearing_house", at=datetime(2018, 9, 10, tzinfo=UTC))
    sizes = dict.fromkeys(house.names, 0.0)
    for loss, junior, mutual in ((133.0, 8.0, 125.0), (114.0, 7.0, 107.0)):
        found = apply(house, loss, sizes | {"skin_in_the_game": junior, "mutual_fund": 166.0})
        assert [found.of("skin_in_the_game")[0], found.of("mutual_fund")[0], found.residual_usd[0]] == [
            pytest.approx(junior, rel=1e-9),
            pytest.approx(mutual, rel=1e-9),
            0.0,
        ]


def test_amberdata_rates_of_the_tenth_of_october():
    # amberdata-oct10-rates: phases of 0.92, 6.93 and 2.05 billion, the second in 40 minutes, by minute and even within
    # each; 8.3 billion of longs and 1.6 of shorts
    minutes = np.concatenate([np.full(60, 0.92 / 60), np.full(40, 6.93 / 40), np.full(80, 2.05 / 80)]) * 1e9
    found = flow.worst_window(minutes, steps=40, step_s=60.0)
    assert found.first_step == 60
    assert found.share == pytest.approx(0.70, rel=2.5e-3)
    assert found.rate_usd_per_hour / 1e9 == pytest.approx(10.39, rel=2.5e-3)
    assert minutes.sum() / 1e9 == pytest.approx(9.89, rel=2.5e-3)
    assert flow.long_share([8.3e9], [1.6e9]) == pytest.approx(0.839, rel=2.5e-3)


def test_binance_score_of_the_forum_example():
    # https://dev.binance.vision/t/17801: profit 40.2, wallet 4.27, margin ratio 13.42 %
    rows = RankedPositions(
        quantity=np.array([1.0]),
        side=np.array([1.0]),
        entry_price=np.array([100.0]),
        mark_price=np.array([140.2]),
        wallet_usd=np.array([4.27]),
        equity_usd=np.array([44.47]),
        maintenance_usd=np.array([0.1342 * 44.47]),
    )
    assert wallet_profit_share(rows)[0] == pytest.approx(9.41, abs=0.006)
    assert wallet_profit_times_margin_ratio(rows)[0] == pytest.approx(1.26, abs=0.006)


def test_bybit_drawdown_of_the_documentation():
    # bybit-exchange/docs docs/v5/market/adl-alert.mdx (2026-07-24): -350,000 against a pool of 1 million, limit -30 %
    found = contract_drawdown(result_now_usd=-350_000.0, result_peak_usd=0.0, pool_peak_usd=1e6, drawdown_fraction=0.3)
    assert (found.ratio, found.is_triggered) == (pytest.approx(-0.35, abs=1e-9), True)
    assert found.shifted_usd == pytest.approx(50_000.0, abs=0.006)


def test_needed_budget_of_each_wave_is_the_sum_over_its_coins(shared_folder, waves):
    gaps = pl.read_parquet(shared_folder / "data/adl_2025_10_10/two_pass_wave_coin_gap_per_contract.parquet")
    by_wave = gaps.group_by("wave").agg(pl.col("gap_per_contract_usd"), pl.col("qty_contracts")).sort("wave")
    needed = [
        float(np.dot(gap, quantity))
        for gap, quantity in zip(by_wave["gap_per_contract_usd"], by_wave["qty_contracts"], strict=True)
    ]
    assert needed == pytest.approx(_column(waves, "budget_needed").tolist(), rel=1e-9)


def test_totals_of_the_tenth_of_october(waves):
    # adl-oct10-totals, adl-equity-pnl-reconciliation: needed 15.08 M, taken 60.11 M, overshoot 45.03 M
    needed, taken = _column(waves, "budget_needed").sum(), _column(waves, "budget_prod").sum()
    assert needed / 1e6 == pytest.approx(15.08, abs=0.005)
    assert taken / 1e6 == pytest.approx(60.11, abs=0.005)
    assert overshoot(taken, needed) / 1e6 == pytest.approx(45.03, abs=0.005)


def test_overshoot_band_over_the_horizons():
    # adl-oct10-overshoot-band 45.0 to 51.7 M: what was taken by evaluation horizon of 0, 0.5, 1, 2, 5 s, as released in
    # out/eval_horizon_sweep_gap_ms=5000.csv of the same repository, less the 15.08 M needed
    taken = (60_108_335.33, 66_753_276.22, 66_091_792.83, 62_526_361.71, 64_353_144.63)
    over = [overshoot(figure, 15_079_669.61) / 1e6 for figure in taken]
    assert (min(over), max(over)) == (pytest.approx(45.0, abs=0.06), pytest.approx(51.7, abs=0.06))


def test_queue_overshoot_of_each_shock(shared_folder):
    table = pl.read_parquet(shared_folder / "data/adl_2025_10_10/per_shock_metrics_queue.parquet")
    have, taken, deficit = (_column(table, f"{name}_usd") for name in ("total_capacity", "budget_queue", "deficit"))
    mine = adl.pro_rata(have[np.newaxis, :], taken)[0]
    assert mine == pytest.approx(taken, rel=0.01)  # no shock takes more than winners had
    over = np.array([max(overshoot(a, b), 0.0) for a, b in zip(mine, deficit, strict=True)])
    assert over == pytest.approx(_column(table, "overshoot_queue_usd"), rel=0.01, abs=0.01)
    assert np.maximum(deficit - mine, 0.0) == pytest.approx(_column(table, "residual_queue_usd"), rel=0.01, abs=0.01)
    assert over.sum() == pytest.approx(653_552_663.51, rel=1e-6)


def test_pro_rata_budget_and_largest_fraction_of_each_wave(waves):
    # The released capacities are sums, so one account stands for all of them: pro rata takes one fraction of each.
    # The largest share of equity is at most that fraction, and equals it where one winner's profit exceeds its equity.
    have, needed = _column(waves, "total_cap"), _column(waves, "budget_needed")
    taken = adl.pro_rata(have[np.newaxis, :], needed)[0]
    for policy in ("pr", "pnl_pr", "eq_pr"):
        assert taken == pytest.approx(_column(waves, f"budget_{policy}"), rel=0.01)
    fraction, published = adl.haircut(have[np.newaxis, :], needed), _column(waves, "max_pct_pr")
    assert (published <= fraction * (1 + 1e-9)).all()
    assert int(np.isclose(published, fraction, rtol=0.01).sum()) == 11


@pytest.mark.parametrize("policy", POLICIES)
def test_measures_of_each_policy_in_each_wave(waves, policy):
    # PTSR holds the largest survivor, the only figure that needs single accounts; overshoot, PMR and the survivor's
    # share must then follow from budget and deficits alone
    for row in waves.iter_rows(named=True):
        taken, deficit = row[f"budget_{policy}"], row["deficit_usd"]
        assert overshoot(taken, row["budget_needed"]) == pytest.approx(row[f"overshoot_{policy}"], rel=0.01, abs=0.01)
        published = row[f"ptsr_{policy}"]
        if not deficit - taken > 0.0:
            found = survivor_ratios(1.0, taken_usd=taken, deficit_usd=deficit, largest_deficit_usd=row["max_loss_usd"])
            assert found == (None, None, None)
            assert published is None or np.isnan(published)
            continue
        found = survivor_ratios(
            published * (deficit - taken),
            taken_usd=taken,
            deficit_usd=deficit,
            largest_deficit_usd=row["max_loss_usd"],
        )
        assert found == pytest.approx((published, row[f"pmr_{policy}"], row[f"rd_nse_{policy}"]), rel=0.01)


@pytest.mark.parametrize(("known", "predicted"), [(1, (11,)), (5, (8,)), (4, (10, 13, 14))])
def test_largest_survivor_of_one_wave_predicts_the_measures_of_others(waves, known, predicted):
    # Under pro rata the strongest winner keeps (1 - h) of its profit, so one wave's PTSR gives that profit. The same
    # account is the strongest of several waves: its profit predicts their PTSR, PMR and share without reading them.
    rows = {row["wave"]: row for row in waves.iter_rows(named=True)}
    first = rows[known]
    left = first["deficit_usd"] - first["budget_pr"]
    profit = first["ptsr_pr"] * left / (1.0 - first["budget_needed"] / first["total_cap"])
    for wave in predicted:
        row = rows[wave]
        # the other winners in a thousand parts, so that none is stronger
        have = np.array([profit, *[(row["total_cap"] - profit) / 1000] * 1000])
        found = measure(
            have,
            adl.pro_rata(have, row["budget_needed"])[:, 0],
            needed_usd=row["budget_needed"],
            deficit_usd=row["deficit_usd"],
            largest_deficit_usd=row["max_loss_usd"],
        )
        assert (found.ptsr, found.pmr, found.survivor_share) == pytest.approx(
            (row["ptsr_pr"], row["pmr_pr"], row["rd_nse_pr"]), rel=0.01
        )


def test_contract_pro_rata_and_integer_program_against_the_text(waves):
    # adl-contract-prorata-undershoot: the table says -1.46 M in the worst wave and -3.02 M in all, the text -371 k and
    # -1.5 M; adl-ilp-overshoot: 92 k, the text 50 k. The table is what is reproduced.
    short = _column(waves, "overshoot_contract_pr")
    assert short.min() / 1e6 == pytest.approx(-1.46, abs=0.005)
    assert short.sum() / 1e6 == pytest.approx(-3.02, abs=0.005)
    assert _column(waves, "overshoot_fixed_point_ilp_integer").sum() / 1e3 == pytest.approx(92.0, abs=0.5)


def test_largest_remainders_leave_no_contract_of_any_wave_open(shared_folder):
    # What rounding can cost: the needed contracts of every coin and wave over a thousand equal holders. Floors lose up
    # to one contract a holder; largest remainders lose none.
    gaps = pl.read_parquet(shared_folder / "data/adl_2025_10_10/two_pass_wave_coin_gap_per_contract.parquet")
    for contracts in gaps["qty_contracts"].to_numpy():
        needed = int(contracts)
        closed = adl.contract_pro_rata(np.full(1000, float(needed // 1000 + 1)), needed)
        assert int(closed.sum()) == needed


def test_rounding_cannot_explain_what_contract_pro_rata_left_in_the_first_wave(shared_folder, waves):
    # less than one contract per holder and coin; at most all 17,771 winners of the day (headlines.json) hold each coin
    gaps = pl.read_parquet(shared_folder / "data/adl_2025_10_10/two_pass_wave_coin_gap_per_contract.parquet")
    first = gaps.filter(pl.col("wave") == 1)
    lost = np.minimum(_column(first, "qty_contracts"), 17_771.0)
    gap = np.maximum(_column(first, "gap_per_contract_usd"), 0.0)
    most = float(np.dot(lost, gap))
    assert most == pytest.approx(21_951.0, abs=1.0)
    assert -_column(waves, "overshoot_contract_pr")[0] > 15.0 * most


def test_one_account_stands_behind_nine_of_the_sixteen_deficits(shared_folder):
    table = pl.read_parquet(shared_folder / "data/adl_2025_10_10/bad_debt_loser_waves.parquet")
    largest = _column(table, "max_loss_usd")
    repeated = np.isclose(largest, 10_925_707.16, atol=0.01)
    assert int(repeated.sum()) == 9
    distinct = _column(table, "deficit_usd").sum() - 8 * 10_925_707.16
    assert distinct / 1e6 == pytest.approx(12.7, abs=0.05)
