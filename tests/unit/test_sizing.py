"""Sizing: hedges, capital, sides, edges of the search, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from margincover.app.demo import demo_book
from margincover.app.size import SizeReport, SizeSettings, size
from margincover.coverage.sizing import SCAN_SIZES, SearchSettings, SizeSearch
from margincover.errors import InputError, UsageError
from margincover.model.position import MarginMode
from margincover.model.sizing import Bound
from margincover.report.html_size import sizing_html
from margincover.report.size_words import initial_notes, sizing_headline
from margincover.scenarios.brownian import GeometricBrownian
from margincover.venues.symbols import resolve_instrument
from tests.books import MARKS, a_book, a_position, an_account, linear_pool

DAY = 86_400


def market(*factors) -> GeometricBrownian:
    n = len(factors)
    matrix = [[1.0 if i == j else 0.5 for j in range(n)] for i in range(n)]
    return GeometricBrownian(factors=factors, sigma_annual=[0.8] * n, correlation=matrix, step_s=DAY)


def asked(**more) -> SizeSettings:
    return SizeSettings(
        **{"account": "binance:a", "tolerance": 0.01, "horizon_s": DAY, "paths": 4_096, "with_curve": False} | more
    )


def book_of(*positions, funding=None, **totals):
    rates = dict.fromkeys(("BTCUSDT", "ETHUSDT", "BTC-USDT-SWAP"), 0.0)
    totals = totals or {"USDT": 100_000.0}
    return a_book(an_account("binance", "usdm_single_asset", positions, **totals), funding=funding or rates)


def test_a_position_that_is_not_held_is_sized_on_both_sides():
    result = size(book_of(), asked(symbol="BTCUSDT"), generator=market("BTC")).result
    assert [curve.side for curve in result.curves] == ["long", "short"]
    long, short = result.curves
    assert long.contracts > 0.0 > short.contracts
    # A long cannot lose more than it is worth, a short can: at equal volatility the short is the smaller.
    assert long.stated.size > -short.contracts * MARKS["BTCUSDT"] / result.capital_usd > 5.0
    assert (long.present, long.present_probability.value) == (0.0, 0.0)
    assert "Largest long in BTCUSDT" in sizing_headline(result)


def test_contracts_and_size_say_the_same():
    result = size(book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT"), generator=market("BTC")).result
    curve = result.curves[0]
    notional = curve.contracts * MARKS["BTCUSDT"] * 0.9993
    assert result.capital_usd == pytest.approx(100_000.0 * 0.9993)
    assert curve.stated.size * result.capital_usd == pytest.approx(notional)
    assert curve.pools[0].gross_notional_usd == pytest.approx(notional)


def test_whole_lots_are_rounded_towards_zero_on_both_sides():
    book = book_of()
    exact = size(book, asked(symbol="BTCUSDT"), generator=market("BTC")).result.curves
    instrument = resolve_instrument(book.rulebooks["binance"], "BTCUSDT")
    coarse = dataclasses.replace(book, instruments={("binance", "BTCUSDT"): dataclasses.replace(instrument, lot=0.5)})
    rounded = size(coarse, asked(symbol="BTCUSDT"), generator=market("BTC")).result.curves
    assert [c.contracts for c in rounded] == [math.trunc(c.contracts / 0.5) * 0.5 for c in exact]


def test_a_hedge_lets_the_symbol_grow_beyond_what_capital_alone_carries():
    # 3 times capital long of ETH, at correlation 1/2, pays for a part of what a short of BTC loses.
    alone = size(book_of(), asked(symbol="BTCUSDT", side="short"), generator=market("BTC", "ETH")).result.curves[0]
    hedged_book = book_of(a_position("ETHUSDT", 100.0))
    hedged = size(hedged_book, asked(symbol="BTCUSDT", side="short"), generator=market("BTC", "ETH")).result.curves[0]
    assert hedged.stated.size > 1.05 * alone.stated.size


def test_a_hedge_that_is_needed_keeps_small_sizes_out_and_the_largest_is_still_found():
    # 400 ETH long is 12 times capital and breaks the tolerance without a short of BTC against it.
    book = book_of(a_position("ETHUSDT", 400.0))
    curve = size(
        book, asked(symbol="BTCUSDT", side="short", tolerance=0.05), generator=market("BTC", "ETH")
    ).result.curves[0]
    assert curve.present_probability.value > 0.05
    assert curve.stated.bound is Bound.FOUND
    assert curve.stated.size > 1.0


def test_without_any_size_the_answer_is_none_and_says_how_likely_liquidation_is():
    book = book_of(a_position("ETHUSDT", 1_000.0))
    report = size(book, asked(symbol="BTCUSDT", side="long"), generator=market("BTC", "ETH"))
    curve = report.result.curves[0]
    assert (curve.stated.bound, curve.stated.size, curve.contracts) == (Bound.NONE, 0.0, 0.0)
    assert curve.stated.probability.value > 0.01
    assert sizing_headline(report.result).startswith("No long in BTCUSDT keeps the tolerance")
    assert sizing_html(report.result).count("none") >= 1


def test_a_size_beyond_the_scan_is_only_a_lower_bound():
    # Maintenance of 0.1 % and a market that hardly moves: 512 times capital still holds.
    calm = GeometricBrownian(factors=("BTC",), sigma_annual=[1e-4], correlation=[[1.0]], step_s=DAY)
    search = SizeSearch(
        pools_at=lambda s: [linear_pool(notional=max(s, 1e-9), cash=1.0, maintenance_fraction=0.001)],
        generator=calm,
        settings=SearchSettings(n_paths=512, seed=1),
    )
    point = search.largest((0.01,), DAY)[0]
    assert (point.bound, point.size) == (Bound.BEYOND, SCAN_SIZES[-1])


def test_twice_the_capital_carries_twice_the_position():
    book = book_of(a_position("BTCUSDT", 0.2, maintenance_fraction=0.005))
    one, two = (
        size(book, asked(symbol="BTCUSDT", capital_usd=capital), generator=market("BTC")).result
        for capital in (50_000.0, 100_000.0)
    )
    assert (one.capital_usd, two.capital_usd) == (pytest.approx(50_000.0), pytest.approx(100_000.0))
    assert two.curves[0].contracts == pytest.approx(2.0 * one.curves[0].contracts, rel=2e-3)
    assert any("higher tier" in note for note in one.notes)


def test_capital_is_equity_after_haircut_also_where_cash_is_weighted():
    held = [p for a in demo_book().accounts if a.id == "bybit:directional" for p in a.positions]
    report = size(
        demo_book(), asked(account="bybit:directional", symbol=held[0].symbol, capital_usd=200_000.0, paths=512)
    )
    assert report.result.capital_usd == pytest.approx(200_000.0, rel=1e-8)


def test_longer_horizons_and_smaller_tolerances_never_carry_more():
    report = size(
        book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT", with_curve=True), generator=market("BTC")
    )
    points = {(p.horizon_s, p.tolerance): p.size for p in report.result.curves[0].points}
    assert len(points) == 9
    for (horizon, tolerance), largest in points.items():
        for (longer, smaller), other in points.items():
            if longer >= horizon and smaller <= tolerance:
                assert other <= largest


def test_threads_do_not_change_a_bit():
    book = book_of(a_position("BTCUSDT", 1.0))
    one, two = (
        size(book, asked(symbol="BTCUSDT", threads=threads), generator=market("BTC")).to_json() for threads in (1, 2)
    )
    assert one == two


def test_a_present_size_beyond_the_largest_is_exit_code_2():
    small = size(book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT"), generator=market("BTC"))
    large = size(book_of(a_position("BTCUSDT", 20.0)), asked(symbol="BTCUSDT"), generator=market("BTC"))
    assert (small.exit_code, large.exit_code) == (0, 2)
    assert large.result.curves[0].stated.size < large.result.curves[0].present


def test_initial_margin_beyond_equity_is_said():
    position = a_position("BTCUSDT", 1.0, leverage=2.0)
    result = size(book_of(position), asked(symbol="BTCUSDT"), generator=market("BTC")).result
    assert any("would not open this size" in note for note in initial_notes(result))
    unknown = size(book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT"), generator=market("BTC")).result
    assert any("initial margin not known" in note for note in initial_notes(unknown))


def test_isolated_positions_stand_apart_and_are_named():
    isolated = a_position("ETHUSDT", 1.0, isolated_collateral_native=500.0)
    result = size(
        book_of(a_position("BTCUSDT", 1.0), isolated), asked(symbol="BTCUSDT"), generator=market("BTC", "ETH")
    ).result
    assert any("not measured" in note and "ETHUSDT" in note for note in result.notes)


def test_rules_and_funding_of_a_symbol_not_yet_held_are_said():
    book = book_of(a_position("ETHUSDT", 1.0), funding={"ETHUSDT": 0.0})
    result = size(book, asked(symbol="BTCUSDT", side="long"), generator=market("BTC", "ETH")).result
    assert any("funding not stated" in text and "BTCUSDT" in text for text in result.provenance.warnings)


def test_json_holds_the_curve_and_is_plain():
    report = size(book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT"), generator=market("BTC"))
    found = json.loads(report.to_json())
    assert found["schema"] == "margincover/size/1"
    assert found["sides"][0]["curve"][0]["bound"] == "found"
    assert found["sides"][0]["largest_at"]["probability"]["value"] <= 0.01


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"account": "binance:b"}, UsageError, "--account: was 'binance:b'; allowed: binance:a"),
        ({"side": "up"}, UsageError, "--side"),
        ({"symbol": None, "side": "long"}, UsageError, "--side"),
        ({"capital_usd": -1.0}, UsageError, "--capital"),
        ({"capital_usd": float("nan")}, UsageError, "--capital"),
        ({"paths": 10}, UsageError, "--paths"),
        ({"symbol": "NOSUCH"}, InputError, "binance:a"),
        ({"tolerance": 1.5}, InputError, "tolerance"),
        ({"scenarios": "fhs"}, UsageError, "generator"),
    ],
)
def test_what_cannot_be_used_is_named(change, error, text):
    with pytest.raises(error, match=text):
        size(book_of(a_position("BTCUSDT", 1.0)), asked(**{"symbol": "BTCUSDT"} | change), generator=market("BTC"))


def test_isolated_symbols_empty_accounts_and_missing_capital_are_refused():
    isolated = a_position("BTCUSDT", 0.1, isolated_collateral_native=5_000.0)
    assert isolated.margin_mode is MarginMode.ISOLATED
    with pytest.raises(InputError, match="isolated"):
        size(book_of(isolated), asked(symbol="BTCUSDT"), generator=market("BTC"))
    with pytest.raises(InputError, match="no cross position"):
        size(book_of(isolated), asked(), generator=market("BTC"))
    with pytest.raises(InputError, match="allowed: capital > 0"):
        size(book_of(a_position("BTCUSDT", 1.0), USDT=0.0), asked(symbol="BTCUSDT"), generator=market("BTC"))
    # Open profit of 50,000 alone is more than the capital asked for.
    rich = book_of(a_position("BTCUSDT", 1.0, entry_price=MARKS["BTCUSDT"] - 50_000.0), USDT=1_000.0)
    with pytest.raises(InputError, match="would have to leave"):
        size(rich, asked(symbol="BTCUSDT", capital_usd=10_000.0), generator=market("BTC"))


def test_a_report_is_a_value():
    report = size(book_of(a_position("BTCUSDT", 1.0)), asked(symbol="BTCUSDT", paths=512), generator=market("BTC"))
    assert isinstance(report, SizeReport)
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.result = None
