"""Choice of editions by date, user rules over packaged ones, ages and listings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from margincover.errors import InputError, RulebookError
from margincover.model.rules import PriceBasis
from margincover.venues import registry
from margincover.venues.registry import RuleSource

USER = """
venue = "binance"
[[edition]]
id = "own-{name}"
block = "tiers"
valid_from = {start}
observed = {start}
source = "read from GET fapi/v1/leverageBracket"
retrieved = "2026-11-01"
confidence = "CONFIRMED"
[edition.tiers.usdm]
BTCUSDT = [[0, 1000000, 0.006, 50], [1000000, inf, 0.02, 25]]
"""


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def user(name: str = "a", start: str = "2026-10-01") -> RuleSource:
    return RuleSource(text=USER.format(name=name, start=start), source=f"{name}.toml")


def first_rate(rules: registry.Rulebook, key: str) -> float:
    return rules.tier_tables[key].tiers[0].maintenance_fraction


@pytest.mark.parametrize(
    ("instant", "second_floor"),
    [
        # Bracket 1 of BTCUSDT ended at 50,000 until 2024 and at 300,000 in 2026 (freqtrade releases of those months).
        ("2023-01-01", 50_000.0),
        ("2026-08-31T23:59:59", 50_000.0),
        ("2026-09-01", 300_000.0),
    ],
)
def test_latest_edition_that_has_started_is_used(instant: str, second_floor: float) -> None:
    table = registry.rulebook("binance", at=at(instant)).tier_tables["BTCUSDT"]
    assert table.tiers[1].floor == second_floor


def test_validity_is_half_open() -> None:
    # ETHUSD_PERP ends on 2021-07-01 and has no successor.
    assert "ETHUSD_PERP" in registry.rulebook("binance", at=at("2021-06-30T23:59:59")).tier_tables
    assert "ETHUSD_PERP" not in registry.rulebook("binance", at=at("2021-07-01")).tier_tables


def test_first_table_is_used_at_most_366_days_early() -> None:
    # The first USD-M copy is of 2022-06-01; 366 days before is 2021-05-31.
    assert "BTCUSDT" in registry.rulebook("binance", at=at("2021-05-31")).tier_tables
    assert "BTCUSDT" not in registry.rulebook("binance", at=at("2021-05-30")).tier_tables


def test_early_table_is_named_as_such() -> None:
    rules = registry.rulebook("binance", at=at("2022-05-01"))
    (sentence,) = registry.stale_editions(rules, ["BTCUSDT"], max_age_days=10_000)
    assert sentence == (
        "binance tiers BTCUSDT observed 2022-06-01, 31 days after as_of, used before its validity "
        "(valid from 2022-06-01)"
    )


def test_old_table_is_named_with_its_age() -> None:
    rules = registry.rulebook("binance", at=at("2025-12-01"))
    # 2024-07-01 to 2025-12-01: 184 days to the year's end of 2024, then 334 (non-leap) days to 1 December 2025.
    assert registry.stale_editions(rules, ["BTCUSDT"], max_age_days=180) == (
        "binance tiers BTCUSDT observed 2024-07-01, 518 days before as_of",
    )
    assert registry.stale_editions(rules, ["BTCUSDT"], max_age_days=518) == ()


def test_age_of_a_table_that_is_not_there_is_refused() -> None:
    with pytest.raises(RulebookError, match="'NOSUCH' has no table"):
        registry.stale_editions(registry.rulebook("binance", at=at("2026-10-01")), ["NOSUCH"], max_age_days=1)


def test_age_counts_days_in_utc_and_is_negative_before_the_observation() -> None:
    edition = next(e for e in registry.rulebook("okx", at=at("2026-06-01")).editions if e.block == "tiers")
    assert registry.edition_age_days(edition, at("2026-05-30T23:00:00")) == 2
    assert registry.edition_age_days(edition, at("2026-05-27")) == -1
    # 2026-05-29 00:30 at UTC+2 is still 28 May in UTC.
    east = datetime(2026, 5, 29, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    assert registry.edition_age_days(edition, east) == 0


def test_bybit_moves_from_entry_to_mark_on_2025_09_02() -> None:
    before = registry.rulebook("bybit", at=at("2025-09-01T23:59:59")).modes["uta_cross"]
    after = registry.rulebook("bybit", at=at("2025-09-02")).modes["uta_cross"]
    assert (before.maintenance_basis, after.maintenance_basis) == (PriceBasis.ENTRY, PriceBasis.MARK)


def test_bybit_fee_of_the_2022_payloads() -> None:
    assert registry.rulebook("bybit", at=at("2022-12-29")).modes["uta_cross"].default_taker_fee_fraction == 0.0006
    assert registry.rulebook("bybit", at=at("2023-01-01")).modes["uta_cross"].default_taker_fee_fraction == 0.00055


def test_hyperliquid_leverage_of_the_day() -> None:
    # Maintenance is half of 1 / max leverage: 50x in October 2024, 40x from 15 March 2025.
    assert first_rate(registry.rulebook("hyperliquid", at=at("2024-10-15")), "BTC") == 0.01
    assert first_rate(registry.rulebook("hyperliquid", at=at("2025-10-10")), "BTC") == 0.0125


def test_user_edition_in_force_wins_over_the_packaged_one() -> None:
    rules = registry.rulebook("binance", at=at("2026-11-01"), extra=[user()])
    assert first_rate(rules, "BTCUSDT") == 0.006
    # 1,000,000 x (0.02 - 0.006)
    assert rules.tier_tables["BTCUSDT"].tiers[1].deduction == pytest.approx(14_000.0, rel=1e-12)
    assert "own-a" in {edition.id for edition in rules.editions}
    assert first_rate(rules, "ETHUSDT") == 0.004


def test_user_edition_not_yet_in_force_leaves_the_packaged_one() -> None:
    rules = registry.rulebook("binance", at=at("2026-09-15"), extra=[user()])
    assert first_rate(rules, "BTCUSDT") == 0.004


def test_user_edition_with_a_packaged_id_is_refused() -> None:
    text = user().text.replace("own-a", "binance-usdm-2026-09")
    with pytest.raises(RulebookError, match=r"mine\.toml.*binance-usdm-2026-09.*binance\.toml"):
        registry.rulebook("binance", at=at("2026-11-01"), extra=[RuleSource(text=text, source="mine.toml")])


def test_user_file_of_another_venue_is_left_alone() -> None:
    assert registry.rulebook("okx", at=at("2026-11-01"), extra=[user()]).venue == "okx"


def test_unknown_venue_lists_the_known_ones() -> None:
    with pytest.raises(RulebookError) as error:
        registry.rulebook("mtgox", at=at("2026-11-01"))
    assert "'mtgox'" in str(error.value)
    assert {"binance", "bybit", "dydx", "hyperliquid", "kraken", "okx", "paradex"} <= set(
        error.value.allowed.split(", ")
    )


def test_instant_before_any_mode_is_refused() -> None:
    with pytest.raises(RulebookError, match="no mode in force at 2019-01-01; allowed: from 2020-01-01"):
        registry.rulebook("binance", at=at("2019-01-01"))


def test_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(InputError, match="time zone"):
        registry.rulebook("binance", at=datetime(2026, 1, 1))


def test_description_has_one_row_for_every_rule_in_force() -> None:
    rules = registry.rulebook("bybit", at=at("2026-11-01"))
    rows = registry.describe(rules)
    assert len(rows) == sum(map(len, (rules.modes, rules.tier_tables, rules.ladders, rules.parameters)))
    row = next(row for row in rows if row["key"] == "BTC")
    assert (row["block"], row["edition"], row["observed"]) == (
        "collateral",
        "bybit-collateral-btc-2025-09",
        "2025-09-18",
    )
    assert all(row["source"] and row["confidence"] for row in rows)


def test_packaged_rules_have_no_problem() -> None:
    assert registry.check_all() == []


def test_check_names_a_table_of_no_symbol() -> None:
    text = user().text.replace("BTCUSDT =", "NOSUCH =")
    (problem,) = registry.check_all([RuleSource(text=text, source="mine.toml")])
    assert "NOSUCH" in problem


def test_check_reports_a_broken_text_instead_of_raising() -> None:
    (problem,) = registry.check_all([RuleSource(text="venue = ", source="mine.toml")])
    assert "mine.toml" in problem
    (problem,) = registry.check_all([RuleSource(text='venue = "binance"\nfoo = 1', source="mine.toml")])
    assert "foo" in problem


def test_new_venue_needs_only_its_text() -> None:
    text = """
venue = "newvenue"
[[product]]
id = "perp"
symbol_pattern = "(?P<base>[A-Z]+)-PERP"
payoff = "linear"
quote = "USDC"
settle = "quote"
multipliers = {"*" = 1.0}
tier_kernel = "progressive"
tier_unit = "notional"
tier_key = "{symbol}"
[[edition]]
id = "m"
block = "mode"
valid_from = 2026-01-01
observed = 2026-01-01
source = "page"
retrieved = "2026-01-01"
confidence = "CONFIRMED"
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
    extra = [RuleSource(text=text, source="newvenue.toml")]
    assert "newvenue" in registry.known_venues(extra)
    rules = registry.rulebook("newvenue", at=at("2026-06-01"), extra=extra)
    assert list(rules.modes) == ["cross"]
    assert registry.check_all(extra) == []
