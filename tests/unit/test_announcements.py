"""Rules still to come: what they do to the accounts of a book, and what is not announced."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from margincover.app.announcements import announcement_text, announcements
from margincover.app.cover import cover
from margincover.app.load import load
from margincover.app.status import status
from margincover.cli.main import main
from margincover.model.book import BookInput, TierOverride
from margincover.model.market import MarketState
from margincover.venues.registry import RuleSource
from margincover.venues.resolve import resolve
from tests.books import AS_OF, ASSET_USD, MARKS, a_position, an_account, demo_data, write_book

HEAD = """
[[edition]]
id = "{id}"
block = "{block}"
valid_from = {start}
observed = {seen}
source = "announcement of the venue"
retrieved = "{seen}"
confidence = "CONFIRMED"
{end}
"""


def edition(name, start, body, *, block="tiers", seen="2025-12-20", end=""):
    return HEAD.format(id=name, start=start, seen=seen, block=block, end=f"valid_to = {end}" if end else "") + body


def flat_table(symbol, rate, product="usdm"):
    return f"[edition.tiers.{product}]\n{symbol} = [[0, inf, {rate}, 2]]\n"


def rules(venue, *editions):
    return RuleSource(text=f'venue = "{venue}"\n' + "".join(editions), source=f"{venue}.toml")


def a_book(*accounts, extra=(), tiers=(), as_of=AS_OF):
    market = MarketState(as_of=as_of, observed_at=as_of, marks=MARKS, asset_usd=ASSET_USD)
    book = BookInput(as_of=as_of, accounts=accounts, market=market, tier_overrides=tiers, source="test book")
    return resolve(book, extra_rules=extra)


def one_btc(cash=50_000.0, name="a", **fields):
    return an_account("binance", "usdm_single_asset", [a_position("BTCUSDT", 1.0, **fields)], name, USDT=cash)


# 1 BTC at 87,600 USDT lies in the second bracket of July 2024, 50,000 to 600,000: 0.5 % less 50.
NOW_USD = (87_600.0 * 0.005 - 50.0) * 0.9993


def test_a_table_to_come_is_announced_with_what_it_costs():
    book = a_book(one_btc(), extra=[rules("binance", edition("own", "2026-02-01", flat_table("BTCUSDT", 0.02)))])
    (found,) = announcements(book)
    assert (found.venue, found.valid_from) == ("binance", datetime(2026, 2, 1, tzinfo=UTC))
    assert (found.rules, found.editions, found.problems) == (("BTCUSDT tiers",), ("own",), ())
    (effect,) = found.effects
    assert effect.account_id == "binance:a"
    assert effect.maintenance_before_usd == pytest.approx(NOW_USD, rel=1e-12)
    assert effect.maintenance_after_usd == pytest.approx(1_752.0 * 0.9993, rel=1e-12)
    assert effect.equity_after_usd == effect.equity_before_usd
    # 1,752 less 388 is 1,364 USDT: 1,363.05 USD, rounded up.
    assert announcement_text(found) == (
        "from 2026-02-01: binance BTCUSDT tiers change (edition own); binance:a maintenance +1,364 USD"
    )


def test_of_two_changes_each_is_told_by_itself_and_in_order():
    first = edition("first", "2026-02-01", flat_table("BTCUSDT", 0.02))
    second = edition("second", "2026-03-01", flat_table("BTCUSDT", 0.03))
    found = announcements(a_book(one_btc(), extra=[rules("binance", second, first)]))
    assert [each.editions for each in found] == [("first",), ("second",)]
    # 3 % against 2 % of 87,600, and not against today's 0.5 %.
    assert found[1].effects[0].maintenance_before_usd == pytest.approx(1_752.0 * 0.9993, rel=1e-12)
    assert found[1].effects[0].maintenance_after_usd == pytest.approx(2_628.0 * 0.9993, rel=1e-12)


@pytest.mark.parametrize("day", ["2026-01-01", "2026-04-02", "2025-12-01"])
def test_a_date_that_is_past_or_beyond_90_days_is_not_announced(day):
    # 90 days after 1 January 2026 is 1 April.
    book = a_book(one_btc(), extra=[rules("binance", edition("own", day, flat_table("BTCUSDT", 0.02)))])
    assert announcements(book) == ()


def test_the_ninetieth_day_is_announced():
    book = a_book(one_btc(), extra=[rules("binance", edition("own", "2026-04-01", flat_table("BTCUSDT", 0.02)))])
    assert len(announcements(book)) == 1


def test_rules_that_the_book_does_not_use_are_not_announced():
    others = edition("own", "2026-02-01", flat_table("ETHUSDT", 0.02))
    venue = rules("okx", edition("okx-own", "2026-02-01", flat_table("BTC-USDT-SWAP", 0.02, "swap")))
    assert announcements(a_book(one_btc(), extra=[rules("binance", others), venue])) == ()


def test_a_new_observation_of_the_same_table_is_no_change():
    before = edition("seen-once", "2025-11-01", flat_table("BTCUSDT", 0.02))
    again = edition("seen-twice", "2026-02-01", flat_table("BTCUSDT", 0.02))
    assert announcements(a_book(one_btc(), extra=[rules("binance", before, again)])) == ()


def test_a_change_that_moves_nothing_says_so():
    table = (
        "[edition.tiers.usdm]\nBTCUSDT = [[0, 50000, 0.004, 125], [50000, 700000, 0.005, 100], [700000, inf, 0.5, 1]]\n"
    )
    (found,) = announcements(a_book(one_btc(), extra=[rules("binance", edition("own", "2026-02-01", table))]))
    assert found.effects == ()
    assert announcement_text(found).endswith("no account's margins move")


def test_an_account_that_new_rules_liquidate_is_named_with_its_pool():
    # Equity 1,700 lies between today's 388 (1.25 times that is 485) and the 1,752 to come; 2,000 is called then.
    extra = [rules("binance", edition("own", "2026-02-01", flat_table("BTCUSDT", 0.02)))]
    (found,) = announcements(
        a_book(one_btc(1_700.0, "low"), one_btc(2_000.0, "mid"), one_btc(9e4, "high"), extra=extra)
    )
    by_name = {effect.account_id: (effect.liquidatable, effect.called) for effect in found.effects}
    assert by_name == {
        "binance:low": (("binance:low",), ()),
        "binance:mid": ((), ("binance:mid",)),
        "binance:high": ((), ()),
    }
    text = announcement_text(found)
    assert "then LIQUIDATABLE: binance:low" in text
    assert text.index("binance:low") < text.index("binance:mid") < text.index("binance:high")


def test_a_sentence_names_four_accounts_and_counts_the_others():
    extra = [rules("binance", edition("own", "2026-02-01", flat_table("BTCUSDT", 0.02)))]
    (found,) = announcements(a_book(*(one_btc(name=str(number)) for number in range(7)), extra=extra))
    assert len(found.effects) == 7
    text = announcement_text(found)
    assert text.count("maintenance +1,364 USD") == 4
    assert text.endswith("3 accounts move as well")


def test_a_table_that_the_book_states_counts_only_until_the_venues_next_change():
    stated = TierOverride(venue="binance", symbol="BTCUSDT", rows=((0, 1e9, 0.01, 100, None),))
    extra = [rules("binance", edition("own", "2026-02-01", flat_table("BTCUSDT", 0.02)))]
    for book in (
        a_book(one_btc(), extra=extra, tiers=[stated]),
        a_book(one_btc(maintenance_fraction=0.01), extra=extra),
    ):
        (effect,) = announcements(book)[0].effects
        assert effect.maintenance_before_usd == pytest.approx(876.0 * 0.9993, rel=1e-12)
        assert effect.maintenance_after_usd == pytest.approx(1_752.0 * 0.9993, rel=1e-12)


def test_a_new_collateral_ladder_moves_equity():
    ladder = "[edition.collateral.BTC]\nslices = [[0, inf, 0.5]]\nborrow_maintenance_fraction = 0.04\n"
    account = an_account("bybit", "uta_cross", USDT=1_000.0, BTC=2.0)
    book = a_book(account, extra=[rules("bybit", edition("own", "2026-02-01", ladder, block="collateral"))])
    (found,) = announcements(book)
    assert found.rules == ("BTC collateral",)
    (effect,) = found.effects
    # Half of two coins at 87,540 counts, and a stable coin as before.
    stable = effect.equity_after_usd - 87_540.0
    assert effect.equity_before_usd > effect.equity_after_usd
    assert stable == pytest.approx(1_000.0 * 0.9993, rel=1e-9)
    assert "bybit:a equity after haircut -" in announcement_text(found)


def test_a_table_that_ends_without_a_successor_is_a_problem_and_not_silence():
    only = edition("short", "2025-11-01", flat_table("ZZZUSDT", 0.02), end="2026-02-01")
    account = an_account("binance", "usdm_single_asset", [a_position("ZZZUSDT", 1.0, 5.0, mark_price=5.0)], USDT=9.0)
    (found,) = announcements(a_book(account, extra=[rules("binance", only)]))
    assert found.rules == ("ZZZUSDT tiers (without a successor)",)
    assert found.effects == ()
    (problem,) = found.problems
    assert problem.startswith("binance:a cannot be computed: ")
    assert "no tier table 'ZZZUSDT' in force at 2026-02-01" in problem


MODE = """
[edition.mode.cross]
products = ["perp"]
pool_by = "settle_asset"
margin_modes = ["cross"]
maintenance_basis = "mark"
initial_basis_cross = "mark"
initial_basis_isolated = "mark"
closing_fee = "none"
closing_fee_in_initial = false
fee_in_reported_maintenance = false
default_taker_fee_fraction = 0.0005
tick_rule = "none"
haircut_collateral = false
"""


NEW_VENUE = """
venue = "newplace"
[[product]]
id = "perp"
symbol_pattern = "(?P<base>[A-Z]+)-(?P<quote>USDT)"
payoff = "linear"
settle = "quote"
multipliers = {"*" = 1.0}
tier_kernel = "progressive"
tier_unit = "notional"
tier_key = "{symbol}"
"""


def test_a_venue_whose_last_mode_ends_still_has_a_status_and_a_warning():
    mode = edition("np-modes", "2020-01-01", MODE, block="mode", end="2026-02-01")
    text = NEW_VENUE + mode + edition("np-tiers", "2020-01-01", flat_table("BTC-USDT", 0.02, "perp"))
    account = an_account("newplace", "cross", [a_position("BTC-USDT", 1.0, 87_600.0, mark_price=87_600.0)], USDT=9e4)
    book = a_book(account, extra=[RuleSource(text=text, source="newplace.toml")])
    report = status(book)
    assert report.result.pools[0].maintenance_native == pytest.approx(1_752.0, rel=1e-12)
    (warning,) = [text for text in report.result.provenance.warnings if text.startswith("from ")]
    assert "newplace:a cannot be computed: " in warning
    assert "no mode in force at 2026-02-01" in warning


def dated_future(as_of):
    """Return a book with 876,000 USD of a dated BTC future of Deribit at 87,600: 10 coins."""
    position = a_position("BTC-25DEC26", 876_000.0, 87_600.0, mark_price=87_600.0)
    return a_book(an_account("deribit", "segregated_sm", [position], BTC=3.0), as_of=as_of)


def test_parameters_of_a_model_are_announced_with_their_editions():
    # Packaged editions: 1 % and 0.005 % more per coin until 23 September 2026, then two thirds of a leverage curve from
    # 25 to 4. The size at which 25 ends is not published, so the model counts the lowest leverage.
    (found,) = announcements(dated_future(datetime(2026, 8, 1, tzinfo=UTC)))
    assert (found.venue, found.valid_from) == ("deribit", datetime(2026, 9, 23, tzinfo=UTC))
    assert found.editions == ("btc-inverse-future-2026b",)
    assert found.rules == ("parameters of inverse_future BTC",)
    assert found.seen_after_as_of
    (effect,) = found.effects
    assert effect.maintenance_before_usd == pytest.approx(10.0 * (0.01 + 10.0 * 5e-5) * 87_540.0, rel=1e-12)
    assert effect.maintenance_after_usd == pytest.approx(10.0 / 4.0 * 2.0 / 3.0 * 87_540.0, rel=1e-12)


def test_parameters_that_are_only_printed_again_are_not_announced():
    # The edition of 17 February 2026 holds the rates of the one before.
    assert announcements(dated_future(AS_OF)) == ()


def test_an_edition_seen_after_as_of_says_that_nobody_could_know():
    table = edition("late", "2026-02-01", flat_table("BTCUSDT", 0.02), seen="2026-01-15")
    (found,) = announcements(a_book(one_btc(), extra=[rules("binance", table)]))
    assert found.seen_after_as_of
    assert "; seen only after as_of; " in announcement_text(found)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with rules of Binance to come on 1 February 2026, 09:00, for BTCUSDT."""
    place = tmp_path / "rules"
    place.mkdir()
    text = rules("binance", edition("own", "2026-02-01T09:00:00Z", flat_table("BTCUSDT", 0.25))).text
    (place / "binance.toml").write_text(text, encoding="utf-8")
    return place


def test_status_shows_it_on_screen_and_in_json(tmp_path, folder, capsys):
    path = write_book(tmp_path, demo_data())
    main(["status", str(path), "--rules", str(folder)])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Warning: from 2026-02-01 09:00 UTC: binance BTCUSDT tiers change (edition own); binance:" in shown
    main(["status", str(path), "--rules", str(folder), "--json"])
    result = json.loads(capsys.readouterr().out)
    (found,) = result["announcements"]
    assert found["valid_from"] == "2026-02-01T09:00:00Z"
    assert found["effects"]
    for effect in found["effects"]:
        assert effect["maintenance_after_usd"] > effect["maintenance_before_usd"]
        now = sum(p["maintenance_usd"] for p in result["pools"] if p["account_id"] == effect["account_id"])
        assert effect["maintenance_before_usd"] == pytest.approx(now, rel=1e-12)


def test_the_report_of_a_coverage_run_warns_of_it(tmp_path, folder):
    book = load(write_book(tmp_path, demo_data()), rules=folder)
    page = cover(book, paths=256, follow_s=432_000).to_html()
    assert "from 2026-02-01 09:00 UTC: binance BTCUSDT tiers change (edition own); binance:" in page


def test_without_editions_to_come_nothing_is_said(tmp_path):
    report = status(load(write_book(tmp_path, demo_data())))
    assert report.result.announcements == ()
    assert not [text for text in report.result.provenance.warnings if text.startswith("from ")]


def test_rules_show_lists_editions_still_to_come(folder, capsys):
    arguments = ["rules", "show", "binance", "--rules", str(folder), "--at"]
    main([*arguments, "2026-01-01T00:00:00Z", "--json"])
    listed = json.loads(capsys.readouterr().out)["still_to_come"]
    assert (listed[0]["edition"], listed[0]["block"]) == ("own", "tiers")
    # The packaged edition of September 2026 follows, far beyond what a status looks at; its keys are joined.
    later = next(row for row in listed if row["edition"] == "binance-usdm-2026-09")
    assert "BTCUSDT, " in later["key"]
    main([*arguments, "2026-01-01T00:00:00Z"])
    assert "editions still to come" in capsys.readouterr().out
    main([*arguments, "2026-02-01T09:00:00Z", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert "own" not in {row["edition"] for row in shown["still_to_come"]}
    assert "own" in {row["edition"] for row in shown["rules"]}
