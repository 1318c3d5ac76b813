"""Needs that can be met: cuts against a linear programme, and the ladder that is made of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from margincover.errors import InputError
from margincover.liquidity import feasible
from margincover.liquidity.feasible import PathSupply, unmet
from margincover.liquidity.ladder import (
    IdleMargin,
    NeedPaths,
    account_needs,
    concentration,
    ladder_rows,
    path_supply,
    survival_horizon,
    unmet_paths,
)
from margincover.model.liquidity import IDLE_MARGIN, LadderRow, SupplySource, SupplyTable
from margincover.model.results import Estimate


def a_source(name: str = "vault", **fields: object) -> SupplySource:
    stated = {
        "id": name, "kind": "stable", "tier": 2, "custodian": name, "asset": "USDT", "factor": "", "gross_usd": 0.0,
        "haircut_usd": 0.0, "impact_usd": 0.0, "cost_usd": 0.0, "usable_usd": 0.0, "ready_p50_s": 0.0,
        "ready_p99_s": 0.0, **fields,
    }  # fmt: skip
    return SupplySource(**stated)  # type: ignore[arg-type]


def most_met(need: np.ndarray, total: np.ndarray, way: np.ndarray) -> float:
    """Largest sum of needs that flows from sources to places can meet, by linear programming."""
    n_sources, n_places = way.shape
    rows = []
    for source in range(n_sources):
        rows.append(np.eye(n_sources)[source].repeat(n_places))
    for place in range(n_places):
        rows.append(np.tile(np.eye(n_places)[place], n_sources))
    found = linprog(
        -np.ones(n_sources * n_places),
        A_ub=np.array(rows),
        b_ub=np.concatenate([total, need]),
        bounds=[(0.0, limit) for limit in way.ravel()],
        method="highs",
    )
    return -float(found.fun)


def test_cuts_agree_with_a_linear_programme_on_random_desks():
    rng = np.random.default_rng(17)
    met, failed = 0, 0
    for _ in range(150):
        n_sources, n_places, n_paths = int(rng.integers(1, 6)), int(rng.integers(1, 6)), 4
        total = rng.exponential(100.0, n_sources)
        way = np.minimum(
            total[:, None], rng.exponential(80.0, (n_sources, n_places)) * rng.integers(0, 2, (n_sources, n_places))
        )
        scale = rng.uniform(0.3, 1.0, (n_sources, n_paths))
        need = rng.exponential(60.0, (n_places, n_paths)) * rng.integers(0, 2, (n_places, n_paths))
        supply = PathSupply(way_usd=way, total_usd=total, scale=scale, ceiling_usd=np.full(scale.shape, np.inf))
        found = unmet(need, supply)
        for path in range(n_paths):
            factor = scale[:, path]
            wanted = need[:, path].sum()
            can = most_met(need[:, path], total * factor, way * factor[:, None])
            assert found[path] == (can < wanted - 0.01), (need[:, path], total, way)
            met, failed = met + (not found[path]), failed + bool(found[path])
    assert min(met, failed) > 50  # both outcomes were tried


def test_a_dollar_goes_to_one_place():
    supply = PathSupply(
        way_usd=np.array([[100.0, 100.0]]),
        total_usd=np.array([100.0]),
        scale=np.ones((1, 3)),
        ceiling_usd=np.full((1, 3), np.inf),
    )
    need = np.array([[100.0, 60.0, 60.0], [0.0, 60.0, 40.0]])
    assert unmet(need, supply).tolist() == [False, True, False]


def test_more_places_than_are_searched_count_as_unmet(monkeypatch):
    monkeypatch.setattr(feasible, "MAX_PLACES", 1)
    supply = PathSupply(
        way_usd=np.full((1, 2), 1e9), total_usd=np.array([1e9]), scale=np.ones((1, 2)), ceiling_usd=np.full((1, 2), 1e9)
    )
    assert unmet(np.array([[1.0, 1.0], [1.0, 0.0]]), supply).tolist() == [True, False]


def test_shapes_that_do_not_fit_are_refused():
    supply = PathSupply(
        way_usd=np.ones((1, 2)), total_usd=np.ones(1), scale=np.ones((1, 2)), ceiling_usd=np.ones((1, 2))
    )
    with pytest.raises(InputError, match="supply"):
        unmet(np.ones((3, 2)), supply)


def two_hours() -> tuple[SupplyTable, SupplyTable]:
    """One source: nothing at the start, 100 from the end of the first hour on, at one account."""
    table = SupplyTable(
        sources=(a_source(),),
        accounts=("x:a", "obligations"),
        buckets_s=(0, 3_600, 7_200),
        total_usd=np.array([[0.0], [100.0], [100.0]]),
        way_usd=np.array([[[0.0, 0.0]], [[100.0, 100.0]], [[100.0, 100.0]]]),
    )
    return table.at((0, 3_600)), table.at((3_600, 7_200))


def test_money_that_comes_within_the_bucket_is_too_late_for_its_needs():
    opening, supply = two_hours()
    # four paths: never a need, in the first hour, in the second, and more than there is
    running = np.array([[[-5.0, 10.0, -5.0, -5.0], [0.0] * 4], [[-5.0, 10.0, 10.0, 101.0], [0.0] * 4]])
    needs = NeedPaths(running_usd=running, low_ratio={})
    failed = unmet_paths(opening, needs)
    assert failed.tolist() == [[False, True, False, False], [False, True, False, True]]
    rows = ladder_rows(opening, supply, needs, failed, tolerance=0.3)
    assert [row.opening_usd for row in rows] == [0.0, 100.0]
    assert [row.supply_usd for row in rows] == [100.0, 100.0]
    assert [row.shortfall.value for row in rows] == [0.25, 0.5]
    assert [row.gap_usd for row in rows] == [row.need_gross_usd - row.opening_usd for row in rows]
    places = account_needs(opening, supply, needs, tolerance=0.3, until_bucket=1)
    assert places[0].id == "x:a"
    assert (places[0].p_need.value, places[0].p_unmet.value) == (0.75, 0.5)
    assert survival_horizon(rows, tolerance=0.3).at_least_s == 3_600


def test_a_coin_counts_at_its_lowest_price_so_far():
    opening, _ = two_hours()
    table = SupplyTable(
        sources=(a_source(factor="BTC"),), accounts=opening.accounts, buckets_s=opening.buckets_s,
        total_usd=opening.total_usd, way_usd=opening.way_usd,
    )  # fmt: skip
    needs = NeedPaths(
        running_usd=np.array([[[-1.0, -1.0], [0.0, 0.0]], [[80.0, 80.0], [0.0, 0.0]]]),
        low_ratio={"BTC": np.array([[1.0, 0.9], [0.9, 0.7]])},
    )
    assert unmet_paths(table, needs).tolist() == [[False, False], [False, True]]
    with pytest.raises(InputError, match=r"reserves\.vault.*no paths of BTC"):
        unmet_paths(table, NeedPaths(running_usd=needs.running_usd, low_ratio={}))


def test_idle_margin_counts_only_as_far_as_its_own_account_never_needs_it():
    table = SupplyTable(
        sources=(a_source("x:a", kind=IDLE_MARGIN),),
        accounts=("x:a", "x:b"),
        buckets_s=(3_600,),
        total_usd=np.array([[100.0]]),
        way_usd=np.array([[[0.0, 100.0]]]),
    )
    needs = NeedPaths(running_usd=np.array([[[-100.0, -40.0, 5.0], [50.0, 50.0, 50.0]]]), low_ratio={})
    idle = [IdleMargin(source=0, place=0)]
    assert path_supply(table, needs, 0, idle).ceiling_usd.tolist() == [[100.0, 40.0, 0.0]]
    assert unmet_paths(table, needs, idle).tolist() == [[False, True, True]]
    # margin backs its account: it stands on no rung of the ladder
    assert table.usable_usd.tolist() == [0.0]


def a_row(until_s: int, low: float, value: float, high: float) -> LadderRow:
    estimate = Estimate(value=value, standard_error=0.0, low=low, high=high)
    return LadderRow(
        until_s=until_s, opening_usd=0.0, supply_usd=0.0, need_gross_usd=0.0, need_net_usd=0.0,
        need_gross_standard_error_usd=0.0, gap_usd=0.0, shortfall=estimate,
    )  # fmt: skip


def test_survival_horizon_and_its_interval():
    rows = [a_row(1, 0.0, 0.001, 0.002), a_row(2, 0.005, 0.009, 0.015), a_row(3, 0.008, 0.012, 0.02),
            a_row(4, 0.02, 0.03, 0.04)]  # fmt: skip
    found = survival_horizon(rows, tolerance=0.01)
    assert (found.low_s, found.at_least_s, found.high_s, found.is_censored) == (1, 2, 3, False)
    assert survival_horizon(rows[:2], tolerance=0.01).is_censored
    assert survival_horizon(rows[3:], tolerance=0.01).at_least_s == 0


def test_concentration_of_what_is_there():
    found = concentration("asset", {"USDT": 60.0, "USDC": 40.0, "DAI": 0.0})
    assert dict(found.shares) == {"USDT": 0.6, "USDC": 0.4}
    assert found.herfindahl == pytest.approx(0.52)
    assert concentration("asset", {}).herfindahl == 0.0
