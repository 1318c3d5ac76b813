"""A venue is data: one rule file, no code. The example uses the kernel 'fraction of initial'."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from margincover.errors import RulebookError
from margincover.model.account import Account
from margincover.model.book import BookInput
from margincover.model.market import MarketState
from margincover.model.position import Balance, Position
from margincover.venues import margin, registry
from margincover.venues.liquidation_price import instrument_levels
from margincover.venues.pools import build_pools
from margincover.venues.reference import reference_pools
from margincover.venues.resolve import resolve

AT = datetime(2026, 1, 1, tzinfo=UTC)
RULES = """
venue = "example"
title = "Example venue"

[[product]]
id = "perp"
symbol_pattern = "^(?P<base>[A-Z]+)-USD$"
payoff = "linear"
quote = "USDC"
settle = "quote"
multipliers = {"*" = 1.0}
tier_kernel = "fraction_of_initial"
tier_unit = "notional"
tier_key = "{symbol}"
maintenance_of_initial_fraction = 0.6

[[edition]]
id = "example-modes"
block = "mode"
valid_from = 2020-01-01T00:00:00Z
observed = 2026-01-01T00:00:00Z
source = "made for this test"
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
fee_in_reported_maintenance = true
default_taker_fee_fraction = 0.0005
tick_rule = "none"
haircut_collateral = false

[[edition]]
id = "example-tiers"
block = "tiers"
valid_from = 2020-01-01T00:00:00Z
observed = 2026-01-01T00:00:00Z
source = "made for this test"
retrieved = "2026-01-01"
confidence = "CONFIRMED"

[edition.tiers.perp]
"BTC-USD" = [[0, 1000000, 0.02, 50], [1000000, inf, 0.05, 20]]
"""


def book_of(contracts, rules=RULES):
    account = Account(
        id="example:a",
        venue="example",
        mode="cross",
        positions=(Position(symbol="BTC-USD", contracts=contracts, entry_price=50_000.0, leverage=10.0),),
        balances=(Balance(asset="USDC", total_native=20_000.0),),
    )
    market = MarketState(as_of=AT, observed_at=AT, marks={"BTC-USD": 50_000.0}, asset_usd={"USDC": 1.0})
    source = registry.RuleSource(text=rules, source="example.toml")
    return resolve(BookInput(as_of=AT, accounts=(account,), market=market), extra_rules=(source,))


@pytest.mark.parametrize(
    ("contracts", "maintenance"),
    [
        # 3 x 50,000 lies in the first band: 150,000 x 2 % x 0.6
        (3.0, 1_800.0),
        # 30 x 50,000 lies in the second: 1,500,000 x 5 % x 0.6 on the whole position
        (-30.0, 45_000.0),
    ],
)
def test_maintenance_is_the_stated_share_of_the_initial_rate(contracts, maintenance):
    book = book_of(contracts)
    (pool,) = build_pools(book)
    assert margin.evaluate([pool]).maintenance[0, 0] == pytest.approx(maintenance, rel=1e-12)
    twin = reference_pools(
        book.accounts[0],
        book.rulebooks["example"],
        marks={"BTC-USD": Decimal(50_000)},
        asset_usd={"USDC": Decimal(1)},
        tier_tables={},
    )
    assert float(twin[0].maintenance) == pytest.approx(maintenance, rel=1e-12)


def test_liquidation_price_stands_where_the_band_steps_up():
    # 20 long at 50,000 carry exactly 1,000,000: one dollar higher the rate steps from 1.2 % to 3 %, which costs
    # 18,000 of 20,000 - 12,000 = 8,000 headroom, so the step up itself liquidates this long.
    (pool,) = build_pools(book_of(19.9999))
    (level,) = instrument_levels(pool)
    assert level.up == pytest.approx(1_000_000 / 19.9999, rel=1e-9)
    at = np.array([level.up / 50_000.0 * (1 + 1e-9)])
    equity, required, _ = margin.evaluate_pool(pool, at[None, :])
    assert equity[0] < required[0]


def test_missing_share_is_an_error_that_names_the_product():
    rules = RULES.replace("maintenance_of_initial_fraction = 0.6\n", "")
    with pytest.raises(RulebookError, match="perp"):
        build_pools(book_of(3.0, rules))
