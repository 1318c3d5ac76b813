"""Margin kernels on worked numbers: tiers, deductions, collateral ladders."""

from __future__ import annotations

import math

import numpy as np
import pytest

from margincover.errors import RulebookError
from margincover.model.rules import HaircutLadder, HaircutSlice, MarginTier, TierKernel, TierTable, TierUnit
from margincover.venues import kernels

FLOORS = np.array([0.0, 50_000.0, 250_000.0])
FRACTIONS = np.array([0.004, 0.005, 0.01])
# 50,000 x 0.001 = 50; 50 + 250,000 x 0.005 = 1,300.
DEDUCTIONS = np.array([0.0, 50.0, 1_300.0])
# Bybit's BTC slices in small: 98 % of the first 10, 95 % of the next 10, nothing above 20.
LADDER = {
    "slice_floor": np.array([0.0, 10.0]),
    "slice_cap": np.array([10.0, 20.0]),
    "slice_weight": np.array([0.98, 0.95]),
}


def maintenance(*notional: float) -> list[float]:
    found = kernels.tiered_maintenance(
        notional=np.array(notional), floors=FLOORS, fractions=FRACTIONS, deductions=DEDUCTIONS
    )
    return [float(value) for value in found]


def test_deductions_follow_from_the_rates():
    assert kernels.tier_deductions(floors=list(FLOORS), fractions=list(FRACTIONS)) == pytest.approx(list(DEDUCTIONS))


def test_maintenance_is_the_rate_of_the_tier_less_its_deduction():
    # 10,000 x 0.4 %; 100,000 x 0.5 % - 50; 1,000,000 x 1 % - 1,300.
    assert maintenance(0.0, 10_000.0, 100_000.0, 1_000_000.0) == pytest.approx([0.0, 40.0, 450.0, 8_700.0])


@pytest.mark.parametrize("edge", [50_000.0, 250_000.0])
def test_maintenance_is_continuous_at_an_edge(edge):
    below, at, above = maintenance(math.nextafter(edge, 0.0), edge, math.nextafter(edge, math.inf))
    assert below == pytest.approx(at, rel=1e-12)
    assert above == pytest.approx(at, rel=1e-12)


def test_last_tier_goes_on_above_its_cap():
    assert maintenance(1e12) == pytest.approx([1e12 * 0.01 - 1_300.0])


def test_whole_position_table_jumps_at_its_edge():
    steps = kernels.tiered_maintenance(
        notional=np.array([49_999.0, 50_000.0]), floors=FLOORS, fractions=FRACTIONS, deductions=np.zeros(3)
    )
    assert steps == pytest.approx([49_999.0 * 0.004, 250.0])


def test_fraction_of_initial():
    assert kernels.fraction_of_initial(initial=np.array([0.0, 500.0]), fraction=0.6).tolist() == [0.0, 300.0]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0.0, 0.0), (5.0, 4.9), (10.0, 9.8), (15.0, 9.8 + 4.75), (20.0, 19.3), (500.0, 19.3), (-3.0, -3.0)],
)
def test_collateral_counts_slice_by_slice_and_debt_in_full(amount, expected):
    assert float(kernels.collateral_value(amount=amount, **LADDER)) == pytest.approx(expected)


def test_asset_without_a_ladder_counts_in_full():
    empty = np.array([])
    counted = kernels.collateral_value(amount=7.0, slice_floor=empty, slice_cap=empty, slice_weight=empty)
    assert float(counted) == 7.0


def table(*rows: tuple[float, float, float, float]) -> TierTable:
    tiers = tuple(
        MarginTier(floor=f, cap=c, maintenance_fraction=m, max_leverage=None, deduction=d) for f, c, m, d in rows
    )
    return TierTable(key="X", kernel=TierKernel.PROGRESSIVE, unit=TierUnit.NOTIONAL, tiers=tiers)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no tiers"),
        ([(1, 10, 0.01, 0)], "first floor"),
        ([(0, 10, 1.5, 0)], "maintenance rate"),
        ([(0, 0, 0.01, 0)], "cap"),
        ([(0, 10, 0.01, math.nan)], "deduction"),
        ([(0, 10, 0.01, 0), (11, 20, 0.02, 0.1)], "without gap"),
        ([(0, 10, 0.02, 0), (10, 20, 0.01, 0)], "fell from 0.02 to 0.01"),
        ([(0, 10, 0.01, 0), (10, 20, 0.02, 0)], "jumps"),
        # The fall of the rate is the cause of the negative deduction, so it is what is said.
        ([(0, 10, 0.02, 0), (10, 20, 0.01, -0.1)], "fell from 0.02 to 0.01"),
        ([(0, 10, 0.01, 0), (10, 20, 0.01, -0.1)], "jumps"),
    ],
)
def test_unsound_tier_table_is_refused(rows, words):
    with pytest.raises(RulebookError, match=words):
        table(*rows)


@pytest.mark.parametrize(
    "slices",
    [
        [],
        [(1.0, 10.0, 0.9)],
        [(0.0, 10.0, 0.9), (11.0, 20.0, 0.8)],
        [(0.0, 10.0, 0.8), (10.0, 20.0, 0.9)],
        [(0.0, 10.0, 1.1)],
        [(0.0, 0.0, 0.9)],
    ],
)
def test_unsound_ladder_is_refused(slices):
    with pytest.raises(RulebookError, match=r"collateral\.BTC"):
        HaircutLadder(asset="BTC", slices=tuple(HaircutSlice(floor=f, cap=c, weight=w) for f, c, w in slices))
