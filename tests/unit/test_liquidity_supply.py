"""What resources bring by when, to whom: limits by the hour and the day, ways, haircuts by size, money in transit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.liquidity.arrival import flow_limit, within_limit
from margincover.liquidity.conversion import Sale, most_of
from margincover.liquidity.supply import IdleOffer, SupplyView, supply_table
from margincover.model.book import Book
from margincover.model.resources import (
    CreditLine,
    HaircutStep,
    OpeningHours,
    Reserve,
    ResourceKind,
    SaleMarket,
    TransferInTransit,
    TransferTime,
)
from margincover.venues.assets import PEGGED_TO_USD
from tests.books import AS_OF, a_book, an_account

HOUR, DAY = 3_600, 86_400
PLACES = ("binance:a", "okx:a", "obligations")


def a_desk(**resources: object) -> Book:
    """Two accounts without positions and some resources."""
    accounts = an_account("binance", "usdm_single_asset", USDT=1e3), an_account("okx", "futures", USDT=1e3)
    book = a_book(*accounts, asset_usd={"USDT": 1.0, "USDC": 1.0, "BTC": 100_000.0})
    return replace(book, **resources)  # type: ignore[arg-type]


def a_reserve(amount: float = 1e5, **fields: object) -> Reserve:
    stated = {"id": "vault", "asset": "USDT", "time_to_cash_p50_s": HOUR, "time_to_cash_p99_s": 2 * HOUR, **fields}
    return Reserve(amount_native=amount, **stated)  # type: ignore[arg-type]


def a_way(destination: str = "binance:a", origin: str = "vault", **fields: object) -> TransferTime:
    stated = {"asset": "USDT", "p50_s": HOUR, "p99_s": HOUR, "fee_native": 0.0, **fields}
    return TransferTime(origin=origin, destination=destination, **stated)  # type: ignore[arg-type]


def table_of(book: Book, *times_s: int, view: SupplyView | None = None, weight: float = 1.0, **more: object):
    return supply_table(
        book,
        times_s,
        weights={account.id: {"USDT": weight, "USDC": weight, "BTC": weight} for account in book.accounts},
        pegged=PEGGED_TO_USD,
        view=view or SupplyView(),
        debts=("obligations",),
        **more,  # type: ignore[arg-type]
    )


def test_a_reserve_is_cash_after_its_delay_and_at_the_account_after_the_way():
    table = table_of(a_desk(reserves=(a_reserve(),), transfer_times=(a_way(),)), HOUR, 2 * HOUR, 3 * HOUR)
    assert table.total_usd[:, 0].tolist() == [0.0, 1e5, 1e5]
    assert table.way_usd[:, 0, 0].tolist() == [0.0, 0.0, 1e5]
    assert not table.way_usd[:, 0, 1].any()
    assert table.way_usd[:, 0, 2].tolist() == [0.0, 1e5, 1e5]
    assert table.notes == ("vault: no way to okx:a",)


def test_medians_come_earlier():
    book = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(p50_s=0),))
    assert table_of(book, HOUR, view=SupplyView(slow=False)).way_usd[0, 0, 0] == 1e5


def test_capacity_and_daily_limit_hold_together():
    # 10 an hour, 100 a day: the day is full after ten hours, and the next begins 24 hours after the first
    flows = [flow_limit(h * HOUR, 0.0, capacity_per_hour=10.0, daily_limit=100.0) for h in (0, 8, 9, 23, 24, 25, 47)]
    assert flows == [10.0, 90.0, 100.0, 100.0, 110.0, 120.0, 200.0]


def test_a_limit_not_used_on_the_first_day_is_not_carried_over():
    # money is there from hour 30 on: at hour 31 one day's worth has gone, not two
    def released(at_s: float) -> float:
        return 1e6 if at_s >= 30 * HOUR else 0.0

    passed = [within_limit(released, h * HOUR, limit=100.0, window_s=DAY) for h in (29, 30, 53, 54)]
    assert passed == [0.0, 100.0, 100.0, 200.0]


def test_flow_keeps_every_window_within_the_limit():
    rng = np.random.default_rng(5)
    steps = np.cumsum(rng.exponential(30.0, 120))

    def released(at_s: float) -> float:
        return 0.0 if at_s < 0.0 else float(steps[min(int(at_s // HOUR), 119)])

    passed = np.array([within_limit(released, h * HOUR, limit=200.0, window_s=DAY) for h in range(120)])
    before = np.concatenate([np.zeros(24), passed])[:120]
    # a window of 24 hours begins just after the hour before it
    assert (passed - before <= 200.0 + 1e-9).all()
    assert (np.diff(passed) >= -1e-9).all()
    assert (passed <= steps + 1e-9).all()


def test_a_way_takes_its_fee_its_least_amount_and_its_limit():
    fee = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(fee_native=10.0, fee_fraction=0.001),))
    assert table_of(fee, 3 * HOUR).way_usd[0, 0, 0] == pytest.approx(1e5 - 100.0 - 10.0)
    least = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(minimum_native=2e5),))
    assert table_of(least, 3 * HOUR).way_usd[0, 0, 0] == 0.0
    limit = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(daily_limit_native=4e4),))
    assert table_of(limit, 3 * HOUR, 27 * HOUR).way_usd[:, 0, 0].tolist() == [4e4, 8e4]


def test_two_ways_share_the_source_and_pay_the_fee():
    ways = (a_way(fee_native=10.0, network="one"), a_way(fee_native=20.0, network="two"))
    assert table_of(a_desk(reserves=(a_reserve(),), transfer_times=ways), 3 * HOUR).way_usd[0, 0, 0] == 1e5 - 10.0


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({"is_suspended": True}, "suspended"),
        ({"outage_probability": 0.02}, "more than 1 in 100"),
        ({"asset": "DAI"}, "does not count as margin"),
        ({"asset": "BTC"}, "coins are not bought"),
    ],
)
def test_a_way_that_cannot_be_used_is_left_out_with_its_reason(way, words):
    table = table_of(a_desk(reserves=(a_reserve(),), transfer_times=(a_way(**way),)), DAY)
    assert not table.way_usd[:, :, 0].any()
    assert any(words in note for note in table.notes)


def test_what_counts_for_less_at_the_account_brings_less():
    book = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(),))
    assert table_of(book, DAY, weight=0.95).way_usd[0, 0, 0] == pytest.approx(0.95e5)


@pytest.mark.parametrize("name", ["vault", "bank of x", "USDT"])
def test_what_is_frozen_brings_nothing_nor_what_is_on_its_way_there(name):
    book = a_desk(
        reserves=(a_reserve(custodian="bank of x"),),
        transfer_times=(a_way(),),
        in_transit=(transit("vault"),),
    )
    table = table_of(book, DAY, view=SupplyView(frozen=(name,)))
    assert not table.total_usd.any()
    assert "vault: frozen" in table.notes


def test_nothing_gets_to_a_frozen_venue():
    book = a_desk(reserves=(a_reserve(),), transfer_times=(a_way(), a_way("okx:a")))
    table = table_of(book, DAY, view=SupplyView(frozen=("binance",)))
    assert table.way_usd[0, 0].tolist() == [0.0, 1e5, 1e5]


def transit(destination: str, amount: float = 5e4, late: int = 4 * HOUR) -> TransferInTransit:
    return TransferInTransit(
        id="wire",
        destination=destination,
        asset="USDT",
        amount_native=amount,
        arrives_p50_at=AS_OF + timedelta(seconds=late // 2),
        arrives_p99_at=AS_OF + timedelta(seconds=late),
    )


def test_money_in_transit_to_an_account_counts_once_and_only_from_its_arrival():
    table = table_of(a_desk(in_transit=(transit("okx:a"),)), 3 * HOUR, 4 * HOUR)
    assert table.total_usd[:, 0].tolist() == [0.0, 5e4]
    assert table.way_usd[1, 0].tolist() == [0.0, 5e4, 0.0]


def test_money_in_transit_to_a_reserve_shares_its_delay_limits_and_haircuts():
    steps = (HaircutStep(floor_native=0.0, haircut=0.0), HaircutStep(floor_native=1e5, haircut=0.5))
    book = a_desk(
        reserves=(a_reserve(haircuts=steps, daily_limit_native=1.2e5),),
        transfer_times=(a_way(),),
        in_transit=(transit("vault"),),
    )
    table = table_of(book, 2 * HOUR, 5 * HOUR, 6 * HOUR, 27 * HOUR)
    assert [source.id for source in table.sources] == ["vault", "wire"]
    # arrives after 4 h, cash after 2 h more; of 20,000 more within the day half counts, of 50,000 on the next day
    assert table.total_usd[:, 0].tolist() == [1e5, 1e5, 1e5, 1e5]
    assert table.total_usd[:, 1].tolist() == [0.0, 0.0, 1e4, 2.5e4]
    assert table.sources[1].haircut_usd == pytest.approx(2.5e4)
    # the way is the reserve's: no dollar of the two together twice
    assert table.way_usd[-1, :, 0].sum() == pytest.approx(1.25e5)


def test_a_bank_pays_out_in_its_hours_and_money_that_comes_to_it_waits_too():
    # AS_OF is Thursday 2026-01-01 00:00, open from 08:00; what comes at 18:00 is cash on Friday 08:00 + 2 h
    office = OpeningHours(is_open=tuple(day < 5 and 8 <= hour < 17 for day in range(7) for hour in range(24)))
    bank = a_reserve(kind=ResourceKind.BANK, hours=office)
    book = a_desk(reserves=(bank,), in_transit=(transit("vault", late=18 * HOUR),))
    table = table_of(book, 9 * HOUR, 10 * HOUR, 33 * HOUR, 34 * HOUR)
    assert table.total_usd[:, 0].tolist() == [0.0, 1e5, 1e5, 1e5]
    assert table.total_usd[:, 1].tolist() == [0.0, 0.0, 0.0, 5e4]


def test_a_reserve_for_trading_and_what_comes_to_it_is_not_drawn_on_unless_asked():
    book = a_desk(reserves=(a_reserve(earmark="trading"),), in_transit=(transit("vault"),))
    assert table_of(book, DAY).sources == ()
    assert table_of(book, DAY, view=SupplyView(with_trading=True)).total_usd.sum() == 1.5e5


def a_line(**fields: object) -> CreditLine:
    stated = {"id": "line", "asset": "USDC", "limit_native": 1e5, "drawn_native": 2e4, "annual_rate_fraction": 0.1,
              "time_to_cash_s": HOUR, **fields}  # fmt: skip
    return CreditLine(**stated)  # type: ignore[arg-type]


def test_a_line_brings_what_is_not_drawn_less_its_fee():
    table = table_of(a_desk(credit_lines=(a_line(fee_fraction=0.01),)), HOUR - 1, HOUR)
    assert table.total_usd[:, 0].tolist() == [0.0, pytest.approx(8e4 * 0.99)]


def test_an_uncommitted_line_counts_only_without_stress():
    book = a_desk(credit_lines=(a_line(is_committed=False),))
    assert table_of(book, DAY).sources == ()
    assert table_of(book, DAY, view=SupplyView(stress=False)).total_usd.sum() == 8e4


def test_a_line_that_ends_within_the_ladder_or_below_its_least_draw_brings_nothing():
    ends = a_desk(credit_lines=(a_line(until=AS_OF + timedelta(hours=12)),))
    assert not table_of(ends, HOUR, DAY).total_usd.any()
    assert "ends within the ladder" in " ".join(table_of(ends, HOUR, DAY).notes)
    assert not table_of(a_desk(credit_lines=(a_line(minimum_draw_native=9e4),)), DAY).total_usd.any()


def test_idle_margin_leaves_by_ways_and_pays_debts_only_by_a_reserve():
    offer = {"binance:a": IdleOffer(total_usd=5e4, by_asset_usd={"USDT": 3e4})}
    out = a_desk(transfer_times=(a_way("okx:a", "binance:a"),))
    table = table_of(out, HOUR, idle=offer)
    assert table.sources[0].is_idle_margin
    assert table.way_usd[0, 0].tolist() == [0.0, 3e4, 0.0]
    assert table.usable_usd.tolist() == [0.0]
    home = a_desk(reserves=(a_reserve(0.0),), transfer_times=(a_way("vault", "binance:a"),))
    table = table_of(home, 2 * HOUR, 3 * HOUR, idle=offer)
    assert table.way_usd[:, 1, 2].tolist() == [0.0, 3e4]


def test_a_coin_is_sold_by_the_hour_with_haircut_and_impact():
    market = SaleMarket(asset="BTC", daily_volume_usd=1e9, daily_volatility=0.03, depth_usd=1e6)
    coin = a_reserve(
        4.0, asset="BTC", kind=ResourceKind.COIN, capacity_per_hour_native=2.0,
        haircuts=(HaircutStep(floor_native=0.0, haircut=0.1),),
    )  # fmt: skip
    book = a_desk(reserves=(coin,), sale_markets={"BTC": market})
    found = table_of(book, 2 * HOUR, 3 * HOUR)
    # within the depth: 0.5 % x 3 in stress on average of the share of the depth used
    by_hand = [amount * 1e5 * 0.9 * (1.0 - 3.0 * 0.005 * amount * 1e5 / 1e6) for amount in (2.0, 4.0)]
    assert found.total_usd[:, 0].tolist() == pytest.approx(by_hand)
    assert found.sources[0].tier == 3


def test_a_coin_without_haircut_or_market_is_an_error():
    book = a_desk(reserves=(a_reserve(1.0, asset="BTC", kind=ResourceKind.COIN),))
    with pytest.raises(InputError, match=r"reserves\.vault.*neither haircuts nor a sale market"):
        table_of(book, DAY)


def test_an_asset_without_a_price_is_an_error():
    book = a_desk(reserves=(a_reserve(1.0, asset="FDUSD"),))
    with pytest.raises(InputError, match=r"reserves\.vault\.asset.*no USD price for FDUSD"):
        table_of(book, DAY)


def test_selling_more_never_brings_less():
    market = SaleMarket(asset="X", daily_volume_usd=1e6, daily_volatility=0.5, depth_usd=1e4, stress_multiple=5.0)
    sale = Sale(price_usd=1.0, haircuts=(HaircutStep(floor_native=0.0, haircut=0.05),), cost_fraction=0.01,
                cost_native=5.0, market=market, stress=True)  # fmt: skip
    best = [most_of(sale, amount) for amount in np.geomspace(10.0, 1e8, 60)]
    assert all(later >= before * (1.0 - 1e-7) for before, later in pairwise(best))
    # a sale of all would bring next to nothing
    assert sale(1e8).usable_usd < 0.01 * best[-1]
