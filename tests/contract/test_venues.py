"""One battery over every packaged venue, the refusals of the rule reader, and the Decimal twin on worked numbers.

The numbers are facts that the venues published or sent; each test names its source.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources

import pytest

from margincover.errors import InputError, RulebookError
from margincover.model.account import Account
from margincover.model.position import Balance, Bucket, MarginMode, Position
from margincover.model.rules import Rulebook, TierKernel, TierTable, TierUnit
from margincover.venues import registry, symbols
from margincover.venues.reference import ReferencePool, reference_pools
from margincover.venues.registry_parse import CONFIDENCES, VenueRules, parse_rules
from tests.shared_data import shared_folder

VENUES = registry.known_venues()


def packaged(venue: str) -> tuple[str, VenueRules]:
    name = f"{venue}.toml"
    text = resources.files("margincover.venues").joinpath("data").joinpath(name).read_text(encoding="utf-8")
    return text, parse_rules(text, name)


def every_rulebook(venue: str) -> Iterator[Rulebook]:
    for instant in sorted({entry.edition.valid_from for entry in packaged(venue)[1].entries}):
        yield registry.rulebook(venue, at=instant)


def every_table(venue: str) -> Iterator[TierTable]:
    for entry in packaged(venue)[1].entries:
        if isinstance(entry.value, TierTable):
            yield entry.value


# --- the battery ---------------------------------------------------------------------------------------------------


def test_the_four_first_venues_are_packaged() -> None:
    assert set(VENUES) >= {"binance", "bybit", "hyperliquid", "okx"}


@pytest.mark.parametrize("venue", VENUES)
def test_rulebook_can_be_built_at_every_change(venue: str) -> None:
    for rules in every_rulebook(venue):
        assert rules.venue == venue
        assert rules.modes
        assert set(registry.describe(rules)[0]) >= {"edition", "valid_from", "source", "confidence"}


@pytest.mark.parametrize("venue", VENUES)
def test_every_edition_has_a_source_and_dates_in_order(venue: str) -> None:
    for entry in packaged(venue)[1].entries:
        edition = entry.edition
        assert edition.source.strip()
        assert datetime.fromisoformat(edition.retrieved).replace(tzinfo=UTC) >= edition.observed
        assert edition.confidence in CONFIDENCES
        assert edition.valid_to is None or edition.valid_to > edition.valid_from
        assert entry.value.source.startswith(f"{edition.id}; ")


@pytest.mark.parametrize("venue", VENUES)
def test_progressive_tables_are_continuous(venue: str) -> None:
    for table in every_table(venue):
        if table.kernel is not TierKernel.PROGRESSIVE:
            continue
        for lower, upper in zip(table.tiers, table.tiers[1:], strict=False):
            edge = upper.floor
            below = edge * lower.maintenance_fraction - lower.deduction
            above = edge * upper.maintenance_fraction - upper.deduction
            # Only float noise of a dozen sums is allowed.
            assert above == pytest.approx(below, rel=1e-9), f"{venue} {table.key} at {edge}"


@pytest.mark.parametrize("venue", VENUES)
def test_rates_are_fractions_below_the_initial_rate(venue: str) -> None:
    for table in every_table(venue):
        for tier in table.tiers:
            assert 0.0 < tier.maintenance_fraction <= 1.0
            assert tier.max_leverage is not None
            assert tier.maintenance_fraction * tier.max_leverage <= 1.0 + 1e-9, f"{venue} {table.key}"


@pytest.mark.parametrize("venue", VENUES)
def test_every_table_key_is_a_symbol_of_its_product(venue: str) -> None:
    rules = packaged(venue)[1]
    for book in every_rulebook(venue):
        owner = {e.key[1]: e.product for e in rules.entries if isinstance(e.value, TierTable)}
        for key, table in book.tier_tables.items():
            instrument = symbols.resolve_instrument(book, key)
            assert instrument.product == owner[key]
            assert symbols.tier_table_for(book, instrument) is table


@pytest.mark.parametrize("venue", VENUES)
def test_modes_hold_known_products_only(venue: str) -> None:
    ever: set[str] = set()
    for rules in every_rulebook(venue):
        held = {product for mode in rules.modes.values() for product in mode.products}
        assert held <= set(rules.products)
        ever |= held
    # And no product that no mode may ever hold: products carry no dates, modes do.
    assert ever == set(rules.products)


@pytest.mark.parametrize("venue", VENUES)
def test_fees_and_levels_are_plausible(venue: str) -> None:
    for rules in every_rulebook(venue):
        for mode in rules.modes.values():
            assert 0.0001 <= mode.default_taker_fee_fraction <= 0.001
            assert mode.margin_call_coverage_ratio is None or mode.margin_call_coverage_ratio > 1.0


def test_warning_levels_are_those_of_the_venues() -> None:
    levels = {
        venue: {mode.margin_call_coverage_ratio for mode in list(every_rulebook(venue))[-1].modes.values()}
        for venue in ("binance", "bybit", "hyperliquid", "okx")
    }
    # Binance advises to stay below 80 % maintenance over balance: 1 / 0.8. Its portfolio margin reminds at uniMMR 150 %
    # and liquidates at 105 %, where maintenance stands: 1.5 / 1.05. OKX warns at 300 %. The others have none.
    assert levels == {"binance": {1.25, 1.5 / 1.05}, "bybit": {None}, "hyperliquid": {None}, "okx": {3.0}}


def test_hyperliquid_rate_is_half_of_one_over_leverage() -> None:
    for table in every_table("hyperliquid"):
        for tier in table.tiers:
            assert tier.max_leverage is not None
            assert tier.maintenance_fraction == pytest.approx(1 / (2 * tier.max_leverage), rel=1e-12)


@pytest.mark.parametrize(
    ("venue", "instant", "key", "deductions"),
    [
        # `cum` as sent: USD-M copy of 2022-06, BTCUSDT brackets 1-4 (also the Binance FAQ's 50 and 1,300).
        ("binance", "2022-06-15", "BTCUSDT", [0, 50, 1_300, 16_300]),
        # `mmDeduction` as sent on 2025-12-29, BTCUSDT tiers 1-5.
        ("bybit", "2025-12-30", "BTCUSDT", [0, 1_200, 3_020, 4_300, 5_820]),
        # Binance COIN-M FAQ, in BTC: cum of bracket 5 is 0.56 + 50 x (0.05 - 0.025) = 1.81.
        ("binance", "2021-06-01", "BTCUSD_PERP", [0, 0.01, 0.11, 0.56, 1.81]),
    ],
)
def test_computed_deductions_are_those_the_venue_sends(
    venue: str, instant: str, key: str, deductions: list[float]
) -> None:
    at = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    table = registry.rulebook(venue, at=at).tier_tables[key]
    assert [tier.deduction for tier in table.tiers[: len(deductions)]] == pytest.approx(deductions, rel=1e-9)


def test_okx_tables_follow_their_rule_to_the_end() -> None:
    table = registry.rulebook("okx", at=datetime(2026, 6, 1, tzinfo=UTC)).tier_tables["BTC-USDT-SWAP"]
    assert (table.kernel, table.unit) == (TierKernel.WHOLE_POSITION, TierUnit.CONTRACTS)
    for lower, upper in zip(table.tiers[2:], table.tiers[3:], strict=False):
        assert upper.maintenance_fraction - lower.maintenance_fraction == pytest.approx(0.005, abs=1e-12)
        assert upper.cap - lower.cap == pytest.approx(20_000)
    # 133,333 contracts (100 million USD at 75,000) pay 3.75 % on everything.
    held = [tier for tier in table.tiers if tier.floor <= 133_333][-1]
    assert held.maintenance_fraction == pytest.approx(0.0375)
    assert (len(table.tiers), table.tiers[-1].max_leverage) == (99, 2.0)


def test_inferred_tables_are_not_called_complete() -> None:
    for venue in VENUES:
        for entry in packaged(venue)[1].entries:
            if isinstance(entry.value, TierTable) and entry.edition.confidence != "CONFIRMED":
                assert not entry.value.complete, entry.edition.id


@pytest.mark.parametrize(
    ("venue", "edition", "name", "n_columns", "deduction_column"),
    [
        ("binance", "binance-usdm-2022-06", "binance_usdm_2022-06.json", 4, 4),
        ("binance", "binance-usdm-2023-11", "binance_usdm_2023-11.json", 4, 4),
        ("binance", "binance-usdm-2024-03", "binance_usdm_2024-03.json", 4, 4),
        ("binance", "binance-usdm-2024-07", "binance_usdm_2024-07.json", 4, 4),
        ("binance", "binance-usdm-2026-09", "binance_usdm_2026-09.json", 4, 4),
        ("bybit", "bybit-linear-2025-12-29", "bybit_linear_2025-12.json", 5, 5),
        ("okx", "okx-swap-2026-05-28", "okx_swap_2026-05.json", 5, None),
    ],
)
def test_packaged_tables_are_those_that_were_read(
    venue: str, edition: str, name: str, n_columns: int, deduction_column: int | None
) -> None:
    read = json.loads((shared_folder() / "data" / "leverage_tiers" / name).read_text(encoding="utf-8"))["tiers"]
    held = {e.key[1]: e.value for e in packaged(venue)[1].entries if e.edition.id == edition}
    assert set(held) == set(read)
    for key, rows in read.items():
        table = held[key]
        assert isinstance(table, TierTable)
        assert len(table.tiers) == len(rows)
        for tier, row in zip(table.tiers, rows, strict=True):
            # The exchange's largest integer stands for an open end.
            cap = math.inf if row[1] > 1e17 else row[1]
            found = (tier.floor, tier.cap, tier.maintenance_fraction, tier.max_leverage)
            assert found == pytest.approx((row[0], cap, row[2], row[n_columns - 1]), rel=1e-12)
            if deduction_column is not None:
                assert tier.deduction == pytest.approx(row[deduction_column], rel=1e-6, abs=1e-6)


# --- refusals ------------------------------------------------------------------------------------------------------

MODEL = """
venue = "testvenue"
[[product]]
id = "perp"
symbol_pattern = "(?P<base>[A-Z]+)(?P<quote>USDT)"
payoff = "linear"
settle = "quote"
multipliers = {"*" = 1.0}
tier_kernel = "progressive"
tier_unit = "notional"
tier_key = "{symbol}"

[[edition]]
id = "m1"
block = "mode"
valid_from = 2024-01-01
observed = 2024-01-01
source = "page one"
retrieved = "2024-02-01"
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
haircut_collateral = true

[[edition]]
id = "t1"
block = "tiers"
valid_from = 2024-01-01
valid_to = 2025-01-01
observed = 2024-01-01
source = "page two"
retrieved = "2024-02-01"
confidence = "CONFIRMED"
[edition.tiers.perp]
BTCUSDT = [[0, 50000, 0.004, 125, 0], [50000, inf, 0.005, 100, 50]]

[[edition]]
id = "t2"
block = "tiers"
valid_from = 2025-01-01
observed = 2025-01-01
source = "page two"
retrieved = "2025-02-01"
confidence = "CONFIRMED"
[edition.tiers.perp]
BTCUSDT = [[0, 50000, 0.005, 100]]

[[edition]]
id = "c1"
block = "collateral"
valid_from = 2024-01-01
observed = 2024-01-01
source = "page three"
retrieved = "2024-02-01"
confidence = "CONFIRMED"
[edition.collateral.BTC]
slices = [[0, 10, 0.98], [10, inf, 0.9]]
borrow_maintenance_fraction = 0.04
"""


def test_the_text_that_the_refusals_change_is_itself_valid() -> None:
    rules = parse_rules(MODEL, "rules.toml")
    assert [entry.key for entry in rules.entries] == [
        ("mode", "cross"),
        ("tiers", "BTCUSDT"),
        ("tiers", "BTCUSDT"),
        ("collateral", "BTC"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('venue = "testvenue"', 'venue = "testvenue"\nfoo = 1', ["foo", "unknown key"]),
        ('id = "perp"', 'id = "perp"\nlot = 1', ["product perp", "lot"]),
        ('retrieved = "2025-02-01"', 'retrieved = "2025-02-01"\nurl = "x"', ["edition t2", "url"]),
        ('pool_by = "settle_asset"', 'pool_by = "settle_asset"\nfee = 1', ["edition m1", "cross", "fee"]),
        ("borrow_maintenance_fraction = 0.04", "borrow_maintenance_fraction = 0.04\nx = 1", ["edition c1", "BTC", "x"]),
        ("valid_to = 2025-01-01", "valid_to = 2025-06-01", ["t1", "t2", "overlap", "BTCUSDT"]),
        ("valid_from = 2025-01-01", "valid_from = 2024-01-01", ["t1", "t2", "overlap"]),
        ("valid_to = 2025-01-01", "valid_to = 2024-01-01", ["edition t1", "valid_to"]),
        ("[0, 50000, 0.005, 100]]", "[0, 50000, 0.5, 100]]", ["edition t2", "BTCUSDT tier 1", "0.005 is 0.5 %"]),
        ("[0, 50000, 0.005, 100]]", "[0, 50000, 1.5, 0.5]]", ["edition t2", "BTCUSDT tier 1"]),
        ("[0, 50000, 0.005, 100]]", "[0, 50000, nan, 100]]", ["edition t2", "BTCUSDT tier 1 rate", "nan"]),
        ("[0, 50000, 0.005, 100]]", "[0, 50000, 0.005, nan]]", ["edition t2", "BTCUSDT tier 1 max_leverage"]),
        ("[0, 50000, 0.005, 100]]", "[0, nan, 0.005, 100]]", ["edition t2", "BTCUSDT tier 1 cap"]),
        ("[0, 50000, 0.005, 100]]", "[1, 50000, 0.005, 100]]", ["edition t2", "BTCUSDT", "first floor"]),
        ("[0, 50000, 0.005, 100]]", "[0, 50000, 0.005]]", ["edition t2", "BTCUSDT tier 1", "max_leverage"]),
        ("[50000, inf, 0.005, 100, 50]", "[60000, inf, 0.005, 100]", ["edition t1", "BTCUSDT tier 2", "60000"]),
        ("[50000, inf, 0.005, 100, 50]", "[50000, inf, 0.005, 100, 60]", ["edition t1", "BTCUSDT tier 2", "deduction"]),
        ("[50000, inf, 0.005, 100, 50]", "[50000, inf, 0.003, 100]", ["edition t1", "BTCUSDT tier 2", "0.003"]),
        ('source = "page three"\n', "", ["edition c1", "source", "missing"]),
        ('source = "page three"', 'source = ""', ["edition c1", "source"]),
        ("observed = 2025-01-01\n", "", ["edition t2", "observed", "missing"]),
        ("observed = 2025-01-01", 'observed = "2025-01-01"', ["edition t2", "observed", "a date"]),
        ("observed = 2025-01-01", "observed = 2025-01-01T00:00:00", ["edition t2", "observed", "zone"]),
        ("default_taker_fee_fraction = 0.0005", "default_taker_fee_fraction = 0.06", ["edition m1", "taker_fee"]),
        ("default_taker_fee_fraction = 0.0005\n", "", ["edition m1", "taker_fee", "missing"]),
        ("tick_rule", "margin_call_coverage_ratio = 0.8\ntick_rule", ["edition m1", "margin_call_coverage_ratio"]),
        ("[0, 10, 0.98]", "[0, 10, 98]", ["edition c1", "BTC", "98"]),
        ("[10, inf, 0.9]", "[11, inf, 0.9]", ["edition c1", "BTC", "gap"]),
        ("[10, inf, 0.9]", "[10, inf, nan]", ["edition c1", "BTC", "slices 2 weight"]),
        ("fraction = 0.04", "fraction = 4", ["edition c1", "BTC", "borrow"]),
        ('products = ["perp"]', 'products = ["swap"]', ["edition m1", "products", "'swap'"]),
        (
            "[edition.tiers.perp]\nBTCUSDT = [[0, 50000, 0.005",
            "[edition.tiers.swap]\nBTCUSDT = [[0, 50000, 0.005",
            ["t2"],
        ),
        ('margin_modes = ["cross"]', 'margin_modes = ["hedge"]', ["edition m1", "margin_modes", "isolated"]),
        ('pool_by = "settle_asset"', 'pool_by = "coin"', ["edition m1", "pool_by", "settle_asset"]),
        ('block = "collateral"', 'block = "haircut"', ["edition c1", "block", "collateral"]),
        ('block = "collateral"', 'block = "tiers"', ["edition c1", "collateral", "unknown key"]),
        ('id = "t2"', 'id = "t1"', ["edition t1", "twice"]),
        ("(?P<base>[A-Z]+)", "([A-Z]+)", ["product perp", "symbol_pattern", "base"]),
        ("(?P<base>[A-Z]+)", "(?P<base>[A-Z+)", ["product perp", "symbol_pattern"]),
        ('{"*" = 1.0}', '{"*" = 0}', ["product perp", "multipliers"]),
        ('payoff = "linear"', 'payoff = "quanto"', ["product perp", "payoff", "linear, inverse"]),
        ('payoff = "linear"', 'payoff = "inverse"', ["product perp", "settle", "base"]),
        ("[[0, 50000, 0.005, 100]]", "[[0, 50000, 0.005, 100]", ["TOML"]),
    ],
)
def test_unusable_rules_are_refused_with_their_place(old: str, new: str, named: list[str]) -> None:
    assert old in MODEL
    with pytest.raises(RulebookError) as caught:
        parse_rules(MODEL.replace(old, new, 1), "rules.toml")
    message = str(caught.value)
    assert message.startswith("rules.toml")
    for part in named:
        assert part in message, message


def test_whole_position_table_takes_no_deduction() -> None:
    text = MODEL.replace('"progressive"', '"whole_position"')
    with pytest.raises(RulebookError, match=r"BTCUSDT tier 1"):
        parse_rules(text, "rules.toml")


# --- the Decimal twin on worked numbers ----------------------------------------------------------------------------


def rules_at(venue: str, day: str) -> Rulebook:
    return registry.rulebook(venue, at=datetime.fromisoformat(day).replace(tzinfo=UTC))


def cross_account(venue: str, mode: str, asset: str, total: float, *positions: Position) -> Account:
    balance = Balance(asset=asset, total_native=total)
    return Account(id=f"{venue}:a", venue=venue, mode=mode, positions=positions, balances=(balance,))


def isolated_account(venue: str, mode: str, *positions: Position) -> Account:
    return Account(id=f"{venue}:a", venue=venue, mode=mode, positions=positions)


def only_pool(account: Account, rules: Rulebook, **marks: str) -> ReferencePool:
    stated = {symbol.replace("__", "-"): Decimal(price) for symbol, price in marks.items()}
    (pool,) = reference_pools(account, rules, marks=stated, asset_usd={}, tier_tables={})
    assert pool.id == account.id
    return pool


def assert_root(account: Account, rules: Rulebook, symbol: str, price: str, rounding: str, **frozen: str) -> None:
    """Assert that headroom changes sign within ``rounding`` of a printed liquidation price."""
    name = symbol.replace("-", "__")
    below = only_pool(account, rules, **{name: str(Decimal(price) - Decimal(rounding))}, **frozen).headroom
    above = only_pool(account, rules, **{name: str(Decimal(price) + Decimal(rounding))}, **frozen).headroom
    assert below * above < 0, f"headroom {below} below and {above} above {price}"


def binance_faq_account() -> Account:
    # Binance FAQ b3c689c1f50a44cabb3a84e663b81d93, worked example of two cross longs with their brackets.
    btc = Position(
        symbol="BTCUSDT",
        contracts=109.488,
        entry_price=32_481.98,
        maintenance_fraction=0.025,
        maintenance_deduction_native=16_300.0,
    )
    eth = Position(
        symbol="ETHUSDT",
        contracts=3_683.979,
        entry_price=1_456.84,
        maintenance_fraction=0.1,
        maintenance_deduction_native=135_365.0,
    )
    return cross_account("binance", "usdm_single_asset", "USDT", 1_535_443.01, btc, eth)


def test_binance_faq_cross_eth_long() -> None:
    # Printed 1153.26 for ETHUSDT with BTC at its mark of 31,967.27; printed to the cent.
    rules = rules_at("binance", "2022-07-01")
    assert_root(binance_faq_account(), rules, "ETHUSDT", "1153.26", "0.006", BTCUSDT="31967.27")


def test_binance_faq_cross_btc_long() -> None:
    # Printed 26,316.89 for BTCUSDT with ETH at its mark of 1,335.18.
    rules = rules_at("binance", "2022-07-01")
    assert_root(binance_faq_account(), rules, "BTCUSDT", "26316.89", "0.006", ETHUSDT="1335.18")


def test_binance_isolated_eth_long() -> None:
    # freqtrade tests/exchange/test_binance.py, the same position isolated: 1114.78.
    position = Position(
        symbol="ETHUSDT",
        contracts=3_683.979,
        entry_price=1_456.84,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=1_535_443.01,
        maintenance_fraction=0.1,
        maintenance_deduction_native=135_365.0,
    )
    account = isolated_account("binance", "usdm_single_asset", position)
    assert_root(account, rules_at("binance", "2022-07-01"), "ETHUSDT", "1114.78", "0.006")


def test_binance_isolated_gas_short_with_the_table_of_its_month() -> None:
    # Payload of 2023-11-16 (GitHub ccxt/ccxt 20003): liquidationPrice 10.03654386, isolatedMargin 1.45109202.
    position = Position(
        symbol="GASUSDT",
        contracts=-1.0,
        entry_price=8.616,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=1.57109202,
    )
    account = isolated_account("binance", "usdm_single_asset", position)
    rules = rules_at("binance", "2023-11-16")
    assert only_pool(account, rules, GASUSDT="8.736").equity == Decimal("1.45109202")
    assert_root(account, rules, "GASUSDT", "10.03654386", "0.00000001")


def test_binance_isolated_btc_long_of_the_documentation() -> None:
    # API documentation of positionRisk, 2021-07: liquidationPrice 5930.78; isolated wallet = margin - profit. The value
    # there, 118,616, lies in bracket 2 (0.5 %, 50) of the first table, 2022-06, which is used 331 days early.
    position = Position(
        symbol="BTCUSDT",
        contracts=20.0,
        entry_price=6_563.665,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=13_200.70726908,
    )
    account = isolated_account("binance", "usdm_single_asset", position)
    assert_root(account, rules_at("binance", "2021-07-05"), "BTCUSDT", "5930.78", "0.006")


def test_binance_cross_wld_margins_with_the_table_of_its_month() -> None:
    # Payload of fapi/v3/positionRisk, 2024-07-27 (ccxt 4.5.90): maintMargin 0.07186800, initialMargin 2.39560000.
    position = Position(symbol="WLDUSDT", contracts=5.0, entry_price=2.3483, leverage=5.0)
    account = cross_account("binance", "usdm_single_asset", "USDT", 100.0, position)
    pool = only_pool(account, rules_at("binance", "2024-07-27"), WLDUSDT="2.39560000")
    assert (pool.maintenance, pool.initial) == (Decimal("0.071868"), Decimal("2.3956"))
    assert pool.equity - 100 == Decimal("0.2365")


def test_binance_coinm_quarter() -> None:
    # Payload of 2021 (ccxt 4.5.90, parse_account_position): notional 0.00243939 BTC, initial 0.00024393, maintenance
    # 0.00002439 (1 %), profit -0.00000163, all truncated to 8 decimals. One contract is 100 USD.
    position = Position(
        symbol="BTCUSD_210625",
        contracts=1.0,
        entry_price=41_021.20000069,
        leverage=10.0,
        maintenance_fraction=0.01,
    )
    account = cross_account("binance", "coinm", "BTC", 0.01, position)
    mark = Decimal(100) / Decimal("0.00243939")
    pool = only_pool(account, rules_at("binance", "2021-06-01"), BTCUSD_210625=str(mark))
    assert pool.unit == "BTC"
    # The notional is itself cut at 1e-8, hence one unit of the last digit on everything derived from it.
    assert pool.maintenance == pytest.approx(Decimal("0.00002439"), abs=Decimal("1e-8"))
    assert pool.initial == pytest.approx(Decimal("0.00024393"), abs=Decimal("1e-8"))
    assert pool.equity - Decimal("0.01") == pytest.approx(Decimal("-0.00000163"), abs=Decimal("1.1e-8"))


def test_bybit_xrp_long_of_2022_at_entry_value() -> None:
    # Payload of 2022-12-29 (ccxt 4.5.90, bybit.py): positionIM 3.634521, positionMM 0.381021.
    # Value at entry, fee 0.06 %. By hand: fee = 36.15 x (1 - 1/10) x 0.0006 = 0.019521; MM = 36.15 x 0.01 + fee;
    # IM = 3.615 + fee.
    position = Position(
        symbol="XRPUSDT",
        contracts=100.0,
        entry_price=0.3615,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=3.634521,
        leverage=10.0,
        maintenance_fraction=0.01,
    )
    account = isolated_account("bybit", "uta_isolated", position)
    pool = only_pool(account, rules_at("bybit", "2022-12-29"), XRPUSDT="0.3432")
    assert (pool.initial, pool.maintenance) == (Decimal("3.634521"), Decimal("0.381021"))
    assert pool.equity == Decimal("3.634521") - Decimal("1.83")


def test_bybit_ada_long_of_2025_at_mark_value() -> None:
    # Websocket push of 2025-12-13: positionIM 106.51735757, positionMM 61.74535757, mark 0.41, 75x, fee 0.055 %.
    # The fee is on entry value. The printed fee part is 6e-6 of itself higher than the rule, for a reason not found:
    # 4.2e-7 of maintenance.
    position = Position(
        symbol="ADAUSDT", contracts=18_720.0, entry_price=0.41160027, leverage=75.0, maintenance_fraction=0.0075
    )
    account = cross_account("bybit", "uta_cross", "USDT", 1_000.0, position)
    rules = rules_at("bybit", "2025-12-13")
    (pool,) = reference_pools(
        account, rules, marks={"ADAUSDT": Decimal("0.41")}, asset_usd={"USDT": Decimal(1)}, tier_tables={}
    )
    assert (pool.id, pool.unit) == ("bybit:a", "USD")
    assert pool.maintenance == pytest.approx(Decimal("61.74535757"), rel=Decimal("5e-7"))
    assert pool.initial == pytest.approx(Decimal("106.51735757"), rel=Decimal("5e-7"))
    # 18,720 x (0.41 - 0.41160027); the payload prints -29.957.
    assert pool.equity == Decimal(1_000) + Decimal("18720") * (Decimal("0.41") - Decimal("0.41160027"))


@pytest.mark.parametrize(("side", "expected"), [(1, "5720.0"), (-1, "5200.0")])
def test_bybit_inverse_fee_is_taken_at_the_bankruptcy_price(side: int, expected: str) -> None:
    # 10,000 USD at 20,000 with 21x: bankruptcy at 20,000 x 21 / 22 (long) or x 21 / 20 (short), value there
    # 0.5 x 22 / 21 or 0.5 x 20 / 21 BTC. With a fee of 1.092 % (0.5 x 0.01092 / 21 = 0.00026) the fee is 22 or 20 times
    # 0.00026 = 0.00572 or 0.0052 BTC; maintenance of 0 leaves the fee alone.
    position = Position(
        symbol="BTCUSD",
        contracts=side * 10_000.0,
        entry_price=20_000.0,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=0.1,
        leverage=21.0,
        maintenance_fraction=0.0,
    )
    account = Account(
        id="bybit:a", venue="bybit", mode="uta_isolated", positions=(position,), taker_fee_fraction=0.01092
    )
    pool = only_pool(account, rules_at("bybit", "2026-01-01"), BTCUSD="20000")
    assert pool.maintenance * 1_000_000 == pytest.approx(Decimal(expected), rel=Decimal("1e-40"))


def test_bybit_fee_needs_the_leverage() -> None:
    position = Position(symbol="BTCUSDT", contracts=1.0, entry_price=50_000.0)
    account = cross_account("bybit", "uta_cross", "USDT", 1_000.0, position)
    with pytest.raises(InputError, match=r"bybit:a: leverage: BTCUSDT had no leverage"):
        reference_pools(
            account,
            rules_at("bybit", "2026-01-01"),
            marks={"BTCUSDT": Decimal(50_000)},
            asset_usd={"USDT": Decimal(1)},
            tier_tables={},
        )


def test_bybit_collateral_by_slices_and_debt_in_full() -> None:
    # Help page example of 2025-09-18: BTC 0.98 to 10, 0.95 to 20, ...: 12 BTC count 9.8 + 1.9 = 11.7. A debt of 1,000
    # USDT counts in full and adds 4 % of maintenance.
    balances = (
        Balance(asset="BTC", total_native=12.0),
        Balance(asset="USDT", total_native=0.0, borrowed_native=1_000.0),
        Balance(asset="XRP", total_native=5_000.0, is_collateral=False),
    )
    account = Account(id="bybit:a", venue="bybit", mode="uta_cross", balances=balances)
    prices = {"BTC": Decimal(50_000), "USDT": Decimal("0.999")}
    (pool,) = reference_pools(account, rules_at("bybit", "2026-01-01"), marks={}, asset_usd=prices, tier_tables={})
    assert pool.equity == Decimal("11.7") * 50_000 - 999
    assert pool.maintenance == Decimal("0.04") * 999


def test_collateral_without_a_ladder_is_refused() -> None:
    account = Account(id="bybit:a", venue="bybit", mode="uta_cross", balances=(Balance(asset="XRP", total_native=1.0),))
    with pytest.raises(RulebookError, match="XRP has no collateral ladder"):
        reference_pools(
            account, rules_at("bybit", "2026-01-01"), marks={}, asset_usd={"XRP": Decimal(1)}, tier_tables={}
        )


def test_okx_xrp_swap_cross() -> None:
    # Payload of 2023-08-27 (ccxt 4.5.90, okx.py pro): mgnRatio 69.00363001456147, mmr 0.26346, imr 17.564, liqPx
    # 0.3287514731020614; equity 19.997666 follows from the ratio, the wallet is that less the profit of 0.024.
    position = Position(
        symbol="XRP-USDT-SWAP", contracts=1.0, entry_price=0.52668, leverage=3.0, maintenance_fraction=0.005
    )
    account = cross_account("okx", "futures", "USDT", 19.973666, position)
    rules = rules_at("okx", "2023-08-27")
    pool = only_pool(account, rules, XRP__USDT__SWAP="0.52692")
    # The payload leaves out the fee in mmr; the ratio holds it: 0.26346 + 52.692 x 0.0005.
    assert pool.maintenance == Decimal("0.26346") + Decimal("52.692") * Decimal("0.0005")
    assert pool.initial == Decimal("17.564")
    assert pool.equity / pool.maintenance == pytest.approx(Decimal("69.00363001456147"), rel=Decimal("1e-13"))
    assert_root(account, rules, "XRP-USDT-SWAP", "0.3287514731020614", "1e-14")


def test_okx_eth_future_isolated_is_printed_one_tick_toward_the_mark() -> None:
    # Payload of 2021-04-27 (ccxt 4.5.90, okx.py): mgnRatio 11.731726509588816, mmr 0.0000311811092368, liqPx
    # 2352.8496681818233. The root lies one tick (0.01) further from the mark, which was 2565.656 by the profit.
    position = Position(
        symbol="ETH-USD-210430",
        contracts=1.0,
        entry_price=2_566.31,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=0.0003896645377994,
        leverage=10.0,
        maintenance_fraction=0.008,
    )
    account = isolated_account("okx", "futures", position)
    rules = rules_at("okx", "2021-04-27")
    pool = only_pool(account, rules, ETH__USD__210430="2565.656")
    assert pool.unit == "ETH"
    # The mark is worked back from a profit of 10 printed digits.
    assert pool.equity / pool.maintenance == pytest.approx(Decimal("11.731726509588816"), rel=Decimal("1e-9"))
    assert_root(account, rules, "ETH-USD-210430", "2352.8396681818233", "1e-8")


def test_okx_tier_by_contracts_of_the_family_on_the_whole_position() -> None:
    # 1,500 contracts of 0.01 BTC at 60,000: tier 2 of 2026-05-28 (0.5 %) on 900,000, plus 0.05 % fee: 4,950.
    position = Position(symbol="BTC-USDT-SWAP", contracts=-1_500.0, entry_price=60_000.0)
    account = cross_account("okx", "futures", "USDT", 50_000.0, position)
    pool = only_pool(account, rules_at("okx", "2026-06-01"), BTC__USDT__SWAP="60000")
    assert pool.maintenance == Decimal("4950")
    assert pool.initial is None


HYPERLIQUID = [
    # coin, signed size, entry, isolated margin, printed liquidation price: positions recorded in 2024-10
    # (freqtrade tests/exchange/test_hyperliquid.py, PRs 10839 and 12584).
    ("SOL", 0.16, 146.82, 23.482979, 0.05269872),
    ("BTC", 0.00077, 62_739.0, 24.137992, 31_708.03843631),
    ("ETH", -0.019, 2_642.8, 25.091876, 3_924.18322043),
    ("BTC", -0.00099, 65_536.0, 21.604172, 86_493.46174617),
    ("ETH", -0.0327, 2_552.0, 20.833393, 3_157.53150453),
    ("BTC", -0.00145, 68_139.0, 19.72573, 80_933.61590987),
]


@pytest.mark.parametrize(("coin", "size", "entry", "margin", "printed"), HYPERLIQUID)
def test_hyperliquid_recorded_isolated_positions(
    coin: str, size: float, entry: float, margin: float, printed: float
) -> None:
    position = Position(
        symbol=coin,
        contracts=size,
        entry_price=entry,
        margin_mode=MarginMode.ISOLATED,
        isolated_collateral_native=margin,
    )
    account = isolated_account("hyperliquid", "perps", position)
    # Margins are printed to 1e-6 USDC, which moves the price by 1e-6 / size: at most 4e-8 of entry on these positions.
    rounding = f"{4e-8 * entry:.12f}"
    assert_root(account, rules_at("hyperliquid", "2024-10-15"), coin, str(printed), rounding)


@pytest.mark.parametrize(
    ("coin", "size", "mark", "expected"),
    [
        # Hyperliquid docs, margin tiers 2026: 100m of BTC at 1.25 %; 30m of a 10x / 5x coin: 30m x 0.1 - 1m.
        ("BTC", 1_000.0, "100000", "1250000"),
        ("DOGE", 300_000_000.0, "0.1", "2000000"),
    ],
)
def test_hyperliquid_maintenance_by_tier(coin: str, size: float, mark: str, expected: str) -> None:
    position = Position(symbol=coin, contracts=size, entry_price=float(mark))
    account = cross_account("hyperliquid", "perps", "USDC", 10_000_000.0, position)
    assert only_pool(account, rules_at("hyperliquid", "2026-09-01"), **{coin: mark}).maintenance == Decimal(expected)


# --- pools and their names -----------------------------------------------------------------------------------------


def test_pools_are_named_by_what_shares_one_equity() -> None:
    positions = (
        Position(symbol="BTCUSDT", contracts=1.0, entry_price=50_000.0),
        Position(symbol="ETHUSDC", contracts=-1.0, entry_price=2_000.0),
        Position(
            symbol="SOLUSDT",
            contracts=10.0,
            entry_price=100.0,
            margin_mode=MarginMode.ISOLATED,
            isolated_collateral_native=50.0,
        ),
        Position(
            symbol="XRPUSDT",
            contracts=-10.0,
            entry_price=2.0,
            margin_mode=MarginMode.ISOLATED,
            isolated_collateral_native=5.0,
            bucket=Bucket.SHORT,
        ),
    )
    balances = tuple(Balance(asset=asset, total_native=9_000.0) for asset in ("USDT", "USDC", "BNB"))
    account = Account(id="binance:a", venue="binance", mode="usdm_single_asset", positions=positions, balances=balances)
    marks = {name: Decimal(1) for name in ("BTCUSDT", "ETHUSDC", "SOLUSDT", "XRPUSDT")}
    pools = reference_pools(account, rules_at("binance", "2026-10-01"), marks=marks, asset_usd={}, tier_tables={})
    assert [(pool.id, pool.unit) for pool in pools] == [
        ("binance:a/USDT", "USDT"),
        ("binance:a/USDC", "USDC"),
        ("binance:a/SOLUSDT", "USDT"),
        ("binance:a/XRPUSDT:SHORT", "USDT"),
    ]


@pytest.mark.parametrize(
    ("venue", "mode", "symbol", "named"),
    [
        ("binance", "usdm_single_asset", "BTCUSD_PERP", "products usdm"),
        ("hyperliquid", "perps", "flx:CRCL", "products perp"),
        ("binance", "no_such_mode", "BTCUSDT", "coinm, portfolio_margin"),
    ],
)
def test_position_that_the_mode_does_not_hold_is_refused(venue: str, mode: str, symbol: str, named: str) -> None:
    position = Position(symbol=symbol, contracts=1.0, entry_price=100.0)
    account = cross_account(venue, mode, "USDT", 1.0, position)
    with pytest.raises(InputError, match=named):
        reference_pools(
            account, rules_at(venue, "2026-10-01"), marks={symbol: Decimal(100)}, asset_usd={}, tier_tables={}
        )


def test_cross_position_without_its_balance_is_refused() -> None:
    position = Position(symbol="BTCUSDT", contracts=1.0, entry_price=100.0)
    account = cross_account("binance", "usdm_single_asset", "USDC", 1.0, position)
    with pytest.raises(InputError, match="no balance of USDT"):
        only_pool(account, rules_at("binance", "2026-10-01"), BTCUSDT="100")


def test_missing_mark_is_refused() -> None:
    position = Position(symbol="BTCUSDT", contracts=1.0, entry_price=100.0)
    account = cross_account("binance", "usdm_single_asset", "USDT", 1.0, position)
    with pytest.raises(InputError, match="no mark for BTCUSDT"):
        only_pool(account, rules_at("binance", "2026-10-01"))
