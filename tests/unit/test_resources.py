"""Resources of a book: what is read, what is refused, when money arrives and what it brings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from margincover.errors import InputError
from margincover.io.book_file import parse_book
from margincover.liquidity.arrival import flow_limit, next_settlement, ready_at
from margincover.liquidity.conversion import haircut_native, impact_fraction, proceeds
from margincover.model.resources import HOURS_OF_WEEK, BufferPolicy, HaircutStep, OpeningHours, SaleMarket

FRIDAY = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)
OFFICE = OpeningHours(is_open=tuple(day < 5 and 8 <= hour < 17 for day in range(7) for hour in range(24)))


def _book(**extra: object) -> dict[str, object]:
    account = {"id": "binance:a", "mode": "usdm_single_asset", "balances": [{"asset": "USDT", "total": 1000.0}]}
    market = {"observed_at": "2026-11-20T16:30:00Z", "asset_usd": {"USDT": 1.0}}
    return {"schema_version": 1, "as_of": "2026-11-20T16:30:00Z", "market": market, "accounts": [account], **extra}


RENT = {"id": "bank", "asset": "USD", "amount": 1.0, "due": "2027-01-01T00:00:00Z"}
RESERVE = {"id": "bank", "asset": "USD", "amount": 5e5, "time_to_cash_p50": "4h", "time_to_cash_p99": "1d"}


def test_resources_are_read_with_their_hours_and_haircuts() -> None:
    reserve = {
        **RESERVE,
        "kind": "bank",
        "hours": ["mon-fri 08-17"],
        "closed_dates": ["2026-12-25"],
        "haircuts": [{"floor": 0.0, "haircut": 0.0}, {"floor": 1e5, "haircut": 0.1}],
        "daily_limit": 2e5,
    }
    loan = {
        "id": "aave",
        "lender": "Aave",
        "asset": "USDC",
        "amount": 1e5,
        "annual_rate": 0.06,
        "collateral": [{"asset": "ETH", "amount": 60.0, "liquidation_threshold": 0.83}],
    }
    found = parse_book(
        _book(
            reserves=[reserve],
            loans=[loan],
            obligations=[{"id": "rent", "asset": "USD", "amount": 10.0, "due": "2026-12-01T00:00:00Z"}],
            buffers={"binance:a": {"search": 1.5, "initial": 2.0, "release": 3.0}},
            sale_markets={"ETH": {"daily_volume_usd": 1e9, "daily_volatility": 0.04}},
        ),
        source="book.json",
    )
    hours = found.reserves[0].hours
    assert hours is not None
    assert sum(hours.is_open) == 45
    assert found.reserves[0].custodian == "bank"
    assert found.loans[0].collateral[0].liquidation_threshold == 0.83
    assert found.buffers == (BufferPolicy(account="binance:a", search=1.5, initial=2.0, release=3.0),)
    assert found.sale_markets["ETH"].stress_multiple == 3.0


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"reserves": [RESERVE, RESERVE]}, ["resources.bank", "2 times"]),
        ({"reserves": [RESERVE], "obligations": [RENT]},
         ["resources.bank", "2 times"]),
        ({"reserves": [{**RESERVE, "haircuts": [{"floor": 0.0, "haircut": -0.1}]}]}, ["haircut", "-0.1"]),
        ({"reserves": [{**RESERVE, "haircuts": [{"floor": 5.0, "haircut": 0.1}]}]}, ["reserves[0].haircuts", "floors"]),
        ({"reserves": [{**RESERVE, "hours": ["every day"]}]}, ["reserves[0].hours", "every day"]),
        ({"reserves": [{**RESERVE, "amount": -1.0}]}, ["reserves[0].amount", "-1"]),
        ({"obligations": [{"id": "old", "asset": "USD", "amount": 1.0, "due": "2026-01-01T00:00:00Z"}]},
         ["obligations.old.due", "before as_of"]),
        ({"buffers": {"okx:b": {"search": 1.5, "initial": 2.0, "release": 3.0}}}, ["buffers.okx:b", "no account"]),
        ({"buffers": {"binance:a": {"search": 2.5, "initial": 2.0, "release": 3.0}}}, ["buffers.binance:a", "search"]),
        ({"credit_lines": [{"id": "line", "asset": "USD", "annual_rate": 0.1, "time_to_cash": "1h"}]},
         ["credit_lines[0].limit", "missing"]),
        ({"credit_lines": [{"id": "line", "asset": "USD", "limit": 1e6, "annual_rate": 0.1}]},
         ["credit_lines[0].time_to_cash", "missing"]),
        ({"in_transit": [{"id": "t", "destination": "moon", "asset": "USDT", "amount": 1.0,
                          "arrives_p50": "2026-11-20T17:00:00Z", "arrives_p99": "2026-11-20T18:00:00Z"}]},
         ["in_transit[0].destination", "moon"]),
        ({"reserves": [RESERVE],
          "in_transit": [{"id": "t", "destination": "bank", "asset": "USDT", "amount": 1.0,
                          "arrives_p50": "2026-11-20T17:00:00Z", "arrives_p99": "2026-11-20T18:00:00Z"}]},
         ["in_transit[0].asset", "was 'USDT'", "USD, what bank holds"]),
        ({"reserves": [RESERVE],
          "transfer_times": [{"origin": "bank", "destination": "mars", "asset": "USD", "p50": "1h", "p99": "2h"}]},
         ["transfer_times[0].destination", "mars"]),
        ({"reserves": [RESERVE], "transfer_times": [
            {"origin": "venus", "destination": "bank", "asset": "USD", "p50": "1h", "p99": "2h"}]},
         ["transfer_times[0].origin", "venus"]),
        ({"reserves": [RESERVE], "transfer_times": [
            {"origin": "bank", "destination": "binance:a", "asset": "USDT", "p50": "1h", "p99": "2h"},
            {"origin": "bank", "destination": "binance:a", "asset": "USDT", "p50": "1h", "p99": "2h"}]},
         ["transfer_times[1]", "stood again"]),
        ({"loans": [{"id": "l", "lender": "x", "asset": "USD", "amount": 1.0, "annual_rate": 0.1, "call_ltv": 0.9,
                     "liquidation_ltv": 0.8}]}, ["loans[0].call_ltv", "0.9"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(extra: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse_book(_book(**extra), source="book.json")
    text = str(caught.value)
    assert text.startswith("book.json: ")
    for word in words:
        assert word in text


def test_a_delay_runs_only_while_the_place_is_open() -> None:
    assert ready_at(FRIDAY, 1_800, OFFICE) == FRIDAY + timedelta(minutes=30)
    assert ready_at(FRIDAY, 3_600, OFFICE) == datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    assert ready_at(FRIDAY, 3_600, None) == FRIDAY + timedelta(hours=1)
    shut = OpeningHours(is_open=OFFICE.is_open, closed_dates=("2026-11-23",))
    assert ready_at(FRIDAY, 3_600, shut) == datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


def test_a_calendar_that_never_opens_is_an_error() -> None:
    one_hour = OpeningHours(
        is_open=tuple(number == 0 for number in range(HOURS_OF_WEEK)),
        closed_dates=tuple((FRIDAY.date() + timedelta(days=day)).isoformat() for day in range(90)),
    )
    with pytest.raises(InputError, match="not open"):
        ready_at(FRIDAY, 60, one_hour)


def test_settlement_comes_at_the_next_cycle() -> None:
    assert next_settlement(FRIDAY, 4 * 3_600) == datetime(2026, 11, 20, 20, tzinfo=UTC)
    assert next_settlement(FRIDAY.replace(hour=20, minute=0), 4 * 3_600) == FRIDAY.replace(hour=20, minute=0)
    assert next_settlement(FRIDAY, 86_400) == datetime(2026, 11, 21, tzinfo=UTC)
    assert next_settlement(FRIDAY, None) == FRIDAY


def test_flows_are_limited_by_the_hour_and_the_day() -> None:
    assert flow_limit(3_599, 3_600, capacity_per_hour=10.0, daily_limit=None) == 0.0
    assert flow_limit(3_600, 3_600, capacity_per_hour=10.0, daily_limit=None) == 10.0
    assert flow_limit(3 * 3_600, 3_600, capacity_per_hour=10.0, daily_limit=25.0) == 25.0
    assert flow_limit(86_400 + 3_600, 3_600, capacity_per_hour=None, daily_limit=25.0) == 50.0


def test_haircuts_fall_on_their_band_and_parts_sum() -> None:
    steps = (HaircutStep(floor_native=0.0, haircut=0.02), HaircutStep(floor_native=100.0, haircut=0.1))
    assert haircut_native(150.0, steps) == pytest.approx(100 * 0.02 + 50 * 0.1)
    market = SaleMarket(asset="ETH", daily_volume_usd=1e8, daily_volatility=0.04)
    sale = proceeds(
        150.0, price_usd=2_000.0, haircuts=steps, cost_fraction=0.001, cost_native=0.01, market=market, stress=True
    )
    assert sale.gross_usd == 300_000.0
    assert sale.haircut_usd + sale.impact_usd + sale.cost_usd + sale.usable_usd == pytest.approx(sale.gross_usd)
    # square-root law: 2/3 x 0.04 x sqrt(300,000 / 100,000,000) x 3 = 0.438 %
    assert sale.impact_usd == pytest.approx((300_000.0 - 14_000.0) * 2 / 3 * 0.04 * 0.003**0.5 * 3, rel=1e-12)


def test_a_sale_within_the_depth_costs_half_a_per_cent_at_its_edge() -> None:
    market = SaleMarket(asset="ETH", daily_volume_usd=1e8, daily_volatility=0.04, depth_usd=1e4)
    assert impact_fraction(1e4, market, stress=False) == pytest.approx(0.005)
    assert impact_fraction(5e3, market, stress=False) == pytest.approx(0.0025)
    assert impact_fraction(1e4 * 1.01, market, stress=False) >= 0.005
    assert impact_fraction(1e12, market, stress=True) == 1.0
