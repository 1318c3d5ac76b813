"""The daily statement: what changed, judged figures, the files of one run against each other, and earlier reports."""

import csv
import io
import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import openpyxl
import pytest

from margincover.app.report_change import PreviousReport, explain_change, place_values
from margincover.app.report_figures import Limit, headline_figures, judged, ratio_interval
from margincover.app.report_previous import file_stem, last_report, read_previous
from margincover.app.report_statement import StatementSettings, statement
from margincover.errors import InputError
from margincover.io.book_file import parse_book
from margincover.io.book_snapshot import book_of_snapshot, book_snapshot
from margincover.model.book import Tolerance
from margincover.model.risk_limits import RiskLimits
from margincover.model.statement import PARTS, HeadlineFigure, Verdict
from margincover.report.statement_tables import statement_tables
from margincover.report.statement_words import interval_text, limit_text, value_text
from margincover.venues.resolve import resolve
from tests.books import demo_data
from tests.end_to_end.test_whatif import straddle_data

PATHS = 1_280
USDT = 0.9993  # US dollars per USDT in the demo book
TIERS = {"binance": {"BTCUSDT": [[0, 1e9, 0.01, 20, None]]}}


def one_position_data(**changes):
    """A Binance account with 1 BTC long from 80,000 and 30,000 USDT, mark 90,000, live tier of 1 %."""
    data = {
        "schema_version": 1,
        "as_of": "2026-01-01T00:00:00Z",
        "market": {
            "observed_at": "2026-01-01T00:00:00Z",
            "marks": {"BTCUSDT": 90_000.0},
            "asset_usd": {"USDT": USDT, "BTC": 90_000.0},
        },
        "accounts": [
            {
                "id": "binance:a",
                "mode": "usdm_single_asset",
                "positions": [{"symbol": "BTCUSDT", "contracts": 1.0, "entry_price": 80_000.0}],
                "balances": [{"asset": "USDT", "total": 30_000.0}],
            }
        ],
        "tiers": TIERS,
        "reserves": [
            {"id": "own", "asset": "USDT", "amount": 1_000.0, "time_to_cash_p50": "1h", "time_to_cash_p99": "2h"}
        ],
    }
    return {**data, **changes}


def next_day(data, **market):
    moved = json.loads(json.dumps(data))
    moved["as_of"] = moved["market"]["observed_at"] = "2026-01-02T00:00:00Z"
    moved["market"].update(market)
    return moved


def change_between(before, now):
    """Return the change from one book's data to another's, with rows by place."""
    old, new = (parse_book(data, source=name) for data, name in ((before, "old"), (now, "new")))
    previous = PreviousReport(source="old.json", book=old, values=place_values(resolve(old)))
    book = resolve(new)
    change = explain_change(previous, book, place_values(book), stated=new)
    for row in (*change.equity, *change.maintenance):
        assert set(row.parts) == set(PARTS)
        assert math.fsum(row.parts.values()) == pytest.approx(row.now_usd - row.before_usd, abs=1e-8)
    return change, {row.place: row for row in change.equity}, {row.place: row for row in change.maintenance}


def parts_of(row):
    return {name: amount for name, amount in row.parts.items() if amount}


def test_price_move_at_unchanged_holdings_is_market_alone():
    _, equity, maintenance = change_between(
        one_position_data(), next_day(one_position_data(), marks={"BTCUSDT": 89_000.0})
    )
    # 1 BTC x -1,000 USDT; maintenance is 1 % of the notional.
    assert equity["binance:a"].before_usd == pytest.approx(40_000.0 * USDT)
    assert parts_of(equity["binance:a"]) == pytest.approx({"market": -1_000.0 * USDT})
    assert parts_of(maintenance["binance:a"]) == pytest.approx({"market": -10.0 * USDT})


def test_market_part_finds_the_mark_under_whatever_key_holds_it():
    # Yesterday by symbol, today by symbol and venue: the old key must not pass for a price of today.
    now = next_day(one_position_data(), marks={"BTCUSDT.BINANCE": 91_000.0})
    _, equity, _ = change_between(one_position_data(), now)
    assert parts_of(equity["binance:a"]) == pytest.approx({"market": 1_000.0 * USDT})


def test_mark_on_a_position_wins_over_the_market_then_and_now():
    before, now = one_position_data(), next_day(one_position_data())
    before["accounts"][0]["positions"][0]["mark_price"] = 90_500.0
    now["accounts"][0]["positions"][0]["mark_price"] = 90_700.0
    _, equity, _ = change_between(before, now)
    assert parts_of(equity["binance:a"]) == pytest.approx({"market": 200.0 * USDT})


def test_transfer_between_reserve_and_account_is_balances_and_cancels_but_for_the_fee():
    now = next_day(one_position_data())
    now["accounts"][0]["balances"][0]["total"] += 499.0
    now["reserves"][0]["amount"] -= 500.0
    _, equity, _ = change_between(one_position_data(), now)
    assert parts_of(equity["binance:a"]) == pytest.approx({"balances": 499.0 * USDT})
    assert parts_of(equity["reserve: own"]) == pytest.approx({"balances": -500.0 * USDT})
    assert sum(row.parts["balances"] for row in equity.values()) == pytest.approx(-1.0 * USDT)


def test_trade_is_positions_after_the_market_took_its_part():
    # Half is sold at 91,000 with a fee of 20: (91,000 - 80,000) / 2 - 20 realised.
    now = next_day(one_position_data(), marks={"BTCUSDT": 91_000.0})
    now["accounts"][0]["positions"][0]["contracts"] = 0.5
    now["accounts"][0]["balances"][0]["total"] += 5_480.0
    _, equity, maintenance = change_between(one_position_data(), now)
    assert parts_of(equity["binance:a"]) == pytest.approx({"market": 1_000.0 * USDT, "positions": -20.0 * USDT})
    assert parts_of(maintenance["binance:a"]) == pytest.approx({"market": 10.0 * USDT, "positions": -455.0 * USDT})


def test_changed_tier_is_rules_at_present_prices():
    now = next_day(one_position_data(tiers={"binance": {"BTCUSDT": [[0, 1e9, 0.02, 20, None]]}}))
    _, equity, maintenance = change_between(one_position_data(), now)
    assert parts_of(equity["binance:a"]) == {}
    assert parts_of(maintenance["binance:a"]) == pytest.approx({"rules": 900.0 * USDT})


def test_closed_position_without_a_present_price_is_positions_and_is_named():
    now = next_day(one_position_data(tiers={}), marks={})
    now["accounts"][0]["positions"] = []
    now["accounts"][0]["balances"][0]["total"] = 39_000.0
    change, equity, _ = change_between(one_position_data(), now)
    assert parts_of(equity["binance:a"]) == pytest.approx({"positions": -1_000.0 * USDT})
    assert change.notes == ("binance:a BTCUSDT: has no price in the present market; its part stands under positions",)


def test_new_and_gone_places_stand_apart():
    now = next_day(one_position_data())
    now["accounts"].append({"id": "okx:b", "mode": "futures", "balances": [{"asset": "USDT", "total": 700.0}]})
    now["reserves"] = []
    _, equity, _ = change_between(one_position_data(), now)
    assert parts_of(equity["okx:b"]) == pytest.approx({"places": 700.0 * USDT})
    assert parts_of(equity["reserve: own"]) == pytest.approx({"places": -1_000.0 * USDT})


def test_difference_from_what_the_report_stated_is_the_rest():
    old = parse_book(one_position_data(), source="old")
    new = parse_book(next_day(one_position_data()), source="new")
    values = tuple(replace(each, equity_usd=each.equity_usd - 5.0) for each in place_values(resolve(old)))
    book = resolve(new)
    previous = PreviousReport(source="old.json", book=old, values=values)
    change = explain_change(previous, book, place_values(book), stated=new)
    assert [parts_of(row) for row in change.equity] == [pytest.approx({"rest": 5.0})] * 2


def test_options_age_in_the_market_part_and_an_expired_one_is_positions():
    # Eight days on, the put of 27 November has expired, and nothing in the market prices it.
    now = straddle_data()
    now["as_of"] = now["market"]["observed_at"] = "2026-11-28T00:00:00Z"
    now["market"]["implied_volatility"] = {"BTC-25DEC26-100000-C": 0.52}
    now["market"]["forwards"] = {"BTC-261225": 90_600.0}
    now["accounts"][0]["positions"] = now["accounts"][0]["positions"][1:]
    change, _, maintenance = change_between(straddle_data(), now)
    row = maintenance["deribit:main"]
    assert len(change.notes) == 1
    assert change.notes[0].startswith("deribit:main BTC-27NOV26-90000-P: has no price")
    # The put frees its margin; eight days take value, and so margin, from the call.
    assert set(parts_of(row)) == {"positions", "market"}
    assert row.parts["positions"] < row.parts["market"] < 0.0


@pytest.mark.parametrize("data", [demo_data(), straddle_data(), one_position_data()])
def test_snapshot_gives_the_same_book_back(data):
    book = parse_book(data, source="book.json", sha256="ab")
    text = json.dumps(book_snapshot(book), allow_nan=False)
    assert book_of_snapshot(json.loads(text), source="report.json") == book


@pytest.mark.parametrize("broken", [None, "x", {}, {"as_of": 3}])
def test_broken_snapshot_names_the_file(broken):
    with pytest.raises(InputError, match=r"report\.json: book\.snapshot") as caught:
        book_of_snapshot(broken, source="report.json")
    assert "http" not in str(caught.value)


def test_snapshot_with_an_impossible_position_is_refused():
    snapshot = book_snapshot(parse_book(one_position_data(), source="book.json"))
    snapshot["accounts"][0]["positions"][0]["contracts"] = 0.0
    with pytest.raises(InputError, match=r"report\.json: .*contracts|report\.json: book\.snapshot"):
        book_of_snapshot(snapshot, source="report.json")


@pytest.mark.parametrize(
    ("value", "low", "high", "limit", "expected"),
    [
        (1.2, None, None, Limit.least(1.0), Verdict.WITHIN),
        (1.0, None, None, Limit.least(1.0), Verdict.WITHIN),
        (0.999, None, None, Limit.least(1.0), Verdict.BREACH),
        (1.2, 0.9, 1.5, Limit.least(1.0), Verdict.WARNING),
        (0.02, 0.01, 0.03, Limit.most(0.01), Verdict.BREACH),
        (0.008, 0.005, 0.012, Limit.most(0.01), Verdict.WARNING),
        (0.008, 0.005, 0.009, Limit.most(0.01), Verdict.WITHIN),
        (0.5, 0.4, 0.6, Limit.most(None), Verdict.WITHIN),
        (None, None, None, Limit.least(1.0), Verdict.WITHIN),
    ],
)
def test_verdict_by_value_interval_and_limit(value, low, high, limit, expected):
    assert judged(value, low=low, high=high, limit=limit) is expected


def test_interval_of_a_ratio_with_an_error_below():
    # 100 / (50 -+ 1.96 x 10): ends 100 / 69.6 and 100 / 30.4.
    low, high = ratio_interval(100.0, 50.0, 10.0)
    assert (low, high) == pytest.approx((100 / 69.599640, 100 / 30.400360), rel=1e-6)
    # An error beyond the figure leaves the upper end open.
    assert ratio_interval(100.0, 10.0, 10.0)[1] is None


def test_words_never_say_more_than_the_figure():
    figure = HeadlineFigure(
        key="p", label="P", unit="fraction", value=0.0, low=0.0, high=0.002, where="", verdict=Verdict.WITHIN
    )
    assert (value_text(figure), interval_text(figure), limit_text(figure)) == ("< 0.2 %", "0 % to 0.2 %", "not stated")
    ratio = replace(figure, unit="ratio", value=0.9999, low=None, high=None, limit=1.0, is_stated=False)
    assert (value_text(ratio), interval_text(ratio), limit_text(ratio)) == ("0.99", "exact", "at least 1.00 (default)")
    lasts = replace(figure, unit="s", value=864_000.0, low=864_000.0, high=None, limit=86_400.0, is_stated=True)
    assert (value_text(lasts), limit_text(lasts)) == ("at least 240 h", "at least 24 h")


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        ({"min_coverage_ratio": 0.9}, "min_coverage_ratio"),
        ({"min_coverage_ratio": float("nan")}, "min_coverage_ratio"),
        ({"min_debt_coverage_ratio": 0.0}, "min_debt_coverage_ratio"),
        ({"min_required_coverage_ratio": 120_000.0}, "min_required_coverage_ratio"),
        ({"max_liquidation_probability_24h": 1.0}, "max_liquidation_probability_24h"),
        (
            {"max_liquidation_probability_24h": 0.02, "max_any_liquidation_probability_24h": 0.01},
            "max_any_liquidation_probability_24h",
        ),
        ({"min_survival_horizon_s": 1_800}, "min_survival_horizon"),
        ({"min_survival_horizon_s": 5_000}, "min_survival_horizon"),
        ({"max_stress_liquidated_pools": -1}, "max_stress_liquidated_pools"),
        ({"max_stress_liquidated_pools": 1.5}, "max_stress_liquidated_pools"),
        ({"max_share": {"planet": 0.5}}, "max_share"),
        ({"max_share": {"venue": 0.0}}, r"max_share\.venue"),
    ],
)
def test_impossible_limits_are_refused_by_name(stated, field):
    with pytest.raises(InputError, match=field):
        RiskLimits(**stated)


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"min_coverage_ratio": 0.5}, "limits.min_coverage_ratio"),
        ({"min_survival_horizon": "90min"}, "limits.min_survival_horizon"),
        ({"max_share": {"venue": 1.5}}, "limits.max_share.venue"),
        ({"max_liquidation_probability_24h": 1}, "limits.max_liquidation_probability_24h"),
        ({"max_stress_liquidated_pools": 0.5}, "limits.max_stress_liquidated_pools"),
        ({"min_coverage": 2}, "unknown field 'min_coverage'"),
    ],
)
def test_nonsense_limits_of_a_book_name_file_and_field(stated, words):
    with pytest.raises(InputError) as caught:
        parse_book(one_position_data(limits=stated), source="book.json")
    assert "book.json" in str(caught.value)
    assert words in str(caught.value)


def test_limits_of_a_book_reach_the_resolved_book():
    stated = {"min_survival_horizon": "36h", "max_share": {"stable coin": 0.5}, "max_stress_liquidated_pools": 0}
    limits = resolve(parse_book(one_position_data(limits=stated), source="book.json")).limits
    assert limits.min_survival_horizon_s == 36 * 3_600
    assert (dict(limits.max_share), limits.max_stress_liquidated_pools) == ({"stable coin": 0.5}, 0)


@pytest.fixture(scope="module")
def two_days(tmp_path_factory):
    """Statements of the demo book on two days, the second explained from the first."""
    folder = tmp_path_factory.mktemp("reports")
    data = demo_data()
    # A name that a spreadsheet must not take for a formula.
    data["reserves"][0]["custodian"] = "=1+1"
    first = parse_book(data, source="book.json", sha256="11")
    report = statement(first, StatementSettings(paths=PATHS))
    file = folder / f"{file_stem(first.as_of)}.json"
    file.write_text(report.to_json(), encoding="utf-8")
    now = next_day(data)
    now["market"]["marks"] = {name: 0.97 * mark for name, mark in now["market"]["marks"].items()}
    now["obligations"] = []  # the one of the demo book was due in between
    now["limits"] = {"min_survival_horizon": "36h", "max_share": {"venue": 0.3}, "max_stress_liquidated_pools": 0}
    second = parse_book(now, source="book.json", sha256="22")
    return report, statement(second, StatementSettings(paths=PATHS), previous=read_previous(file, book=second)), file


def test_every_figure_has_a_verdict_and_the_worst_is_the_exit_code(two_days):
    _, report = two_days[:2]
    figures = {figure.key: figure for figure in report.result.figures}
    assert set(figures) == {
        "coverage_ratio",
        "required_coverage_ratio",
        "debt_coverage_ratio",
        "survival_horizon_s",
        "liquidation_probability_24h",
        "any_liquidation_probability_24h",
        "liquid_stock_ratio",
        "stress_liquidated_pools",
    }
    worst = min(
        p.required_coverage_ratio for p in report.result.coverage.pools if p.required_coverage_ratio is not None
    )
    required = figures["required_coverage_ratio"]
    assert required.value == worst
    assert required.low < required.value < required.high
    assert figures["survival_horizon_s"].limit == 36 * 3_600
    assert 36 * 3_600 in [row.until_s for row in report.result.liquidity.ladder]
    assert report.exit_code == max(each.verdict for each in report.result.breaches)
    assert {"Pools liquidated in the worst episode", "Concentration by venue"} <= {
        b.what for b in report.result.breaches
    }


def test_change_of_the_demo_book_is_market_alone_and_sums(two_days):
    first, second, _ = two_days
    change = second.result.change
    assert change.previous_sha256 == "11"
    by_place = {each.place: each.equity_usd for each in first.result.values}
    for row in change.equity:
        assert row.before_usd == by_place[row.place]
        assert not set(parts_of(row)) - {"market"}
        assert math.fsum(row.parts.values()) == pytest.approx(row.now_usd - row.before_usd, abs=1e-8)


def test_workbook_holds_the_numbers_of_the_json_as_numbers(two_days):
    report = two_days[1]
    book = openpyxl.load_workbook(io.BytesIO(report.to_xlsx()))
    data = json.loads(report.to_json())["tables"]
    assert book.sheetnames == list(data)
    n_numbers = 0
    for name, table in data.items():
        sheet = book[name]
        keys = [column["name"] for column in table["columns"]]
        for line, row in enumerate(table["rows"], start=5):
            for number, key in enumerate(keys, start=1):
                cell = sheet.cell(line, number)
                if isinstance(row[key], str):
                    # Text is a string even where it looks like a formula; the empty one reads as nothing.
                    assert (cell.value or "", cell.data_type) in {(row[key], "s"), ("", "n")}
                elif row[key] is None:
                    assert cell.value is None
                else:
                    # 16 significant digits are what the format keeps.
                    assert cell.data_type == "n"
                    assert cell.value == pytest.approx(row[key], rel=1e-14, abs=1e-300)
                    assert cell.number_format != "General"
                    n_numbers += 1
        assert sheet.max_row == max(4, 4 + len(table["rows"]))
    assert n_numbers > 300
    assert book["accounts"]["D4"].value == "Equity (USD)"
    assert book["accounts"]["J5"].number_format == "0.000%"
    assert "=1+1" in [cell.value for row in book["sources"].iter_rows() for cell in row if cell.data_type == "s"]
    assert book.properties.created == datetime(2026, 1, 2)


def test_csv_holds_the_values_of_the_json(two_days):
    report = two_days[1]
    data = json.loads(report.to_json())["tables"]
    texts = report.to_csv()
    assert list(texts) == list(data)
    for name, text in texts.items():
        rows = list(csv.DictReader(io.StringIO(text)))
        wanted = [
            {key: "" if value is None else str(value) for key, value in row.items()} for row in data[name]["rows"]
        ]
        assert rows == wanted


def test_the_same_statement_gives_the_same_bytes(two_days):
    first = two_days[0]
    book = book_of_snapshot(json.loads(first.to_json())["book"]["snapshot"], source="again")
    again = statement(replace(book), StatementSettings(paths=PATHS, threads=1))
    assert again.to_json() == first.to_json()
    assert again.to_xlsx() == first.to_xlsx()
    assert again.to_csv() == first.to_csv()
    assert again.to_html() == first.to_html()


def test_chance_that_the_paths_do_not_tell_is_an_error_not_a_blank(two_days):
    result = two_days[0].result
    broken = replace(result.coverage, any_liquidation=())
    with pytest.raises(InputError, match="book: liquidation_probability_24h"):
        headline_figures(broken, result.liquidity, result.stress, limits=RiskLimits(), tolerance=Tolerance())


def test_short_tolerance_gives_no_default_limit_for_a_longer_chance(two_days):
    result = two_days[0].result
    figures = headline_figures(
        result.coverage, result.liquidity, result.stress, limits=RiskLimits(), tolerance=Tolerance(horizon_s=3_600)
    )
    limits = {figure.key: figure.limit for figure in figures}
    assert limits["liquidation_probability_24h"] is None
    assert limits["survival_horizon_s"] == 3_600


def test_tables_refuse_what_is_not_a_number(two_days):
    result = two_days[0].result
    broken = replace(result, ages=(replace(result.ages[0], age_s=float("nan")),))
    with pytest.raises(InputError, match=r"data_ages\.age_h"):
        statement_tables(broken)


def rewritten(file, folder, **changes):
    data = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    path = folder / "previous.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_report_of_another_desk_is_refused(two_days, tmp_path):
    other = parse_book(next_day(one_position_data()), source="other.json")
    with pytest.raises(InputError, match=r"is of other accounts: binance:market-making.*at least one of binance:a"):
        read_previous(two_days[2], book=other)


def test_later_report_is_refused(two_days):
    data = demo_data()
    data["as_of"] = data["market"]["observed_at"] = "2025-12-31T00:00:00Z"
    with pytest.raises(InputError, match="later than the book of 2025-12-31T00:00:00Z"):
        read_previous(two_days[2], book=parse_book(data, source="book.json"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "margincover/coverage/1"}, "schema was 'margincover/coverage/1'"),
        ({"book": None}, "book: was missing"),
        ({"book": {"snapshot": {}}}, "book.snapshot"),
        ({"as_of": "2026-01-05T00:00:00Z"}, "its book is of 2026-01-01T00:00:00Z"),
        ({"as_of": None}, "as_of"),
        ({"values": []}, "values: held no rows"),
        ({"values": [{"place": "x", "kind": "moon"}]}, "values[0]"),
        ({"values": [{"place": "x", "kind": "account", "equity_usd": None}]}, "values[0].equity_usd"),
        (
            {"values": [{"place": "x", "kind": "account", "equity_usd": 1.0, "maintenance_usd": True}]},
            "values[0].maintenance_usd",
        ),
    ],
)
def test_damaged_report_names_file_and_field(two_days, tmp_path, changes, words):
    path = rewritten(two_days[2], tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_previous(path, book=parse_book({**next_day(demo_data()), "obligations": []}, source="book.json"))
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", "not json"])
def test_unreadable_report_is_an_error(tmp_path, content):
    path = tmp_path / "previous.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"previous\.json"):
        read_previous(path, book=parse_book(demo_data(), source="book.json"))
    with pytest.raises(InputError, match=r"absent\.json"):
        read_previous(tmp_path / "absent.json", book=parse_book(demo_data(), source="book.json"))


def test_last_report_is_the_latest_earlier_one_by_name(tmp_path):
    for day in (1, 3, 9):
        (tmp_path / f"{file_stem(datetime(2026, 1, day, 8, tzinfo=UTC))}.json").write_text("{}")
    (tmp_path / "margincover-report-latest.json").write_text("{}")
    found = last_report(tmp_path, before=datetime(2026, 1, 9, 8, tzinfo=UTC))
    assert found.name == "margincover-report-20260103T080000Z.json"
    assert last_report(tmp_path, before=datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert last_report(tmp_path / "absent", before=datetime(2026, 1, 1, tzinfo=UTC)) is None
