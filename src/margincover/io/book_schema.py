"""Fields of a book file: names, types, limits and descriptions. No field is accepted that does not stand here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from margincover.io.book_types import (
    Duration,
    FileNames,
    Fraction,
    Instant,
    Limits,
    NonNegative,
    Number,
    Positive,
    StrictTable,
    Text,
    Version,
    Whole,
    listed,
)
from margincover.io.contingency_schema import ContingencyTable
from margincover.io.resource_schema import (
    BufferTable,
    CreditLineTable,
    LimitsTable,
    LoanTable,
    ObligationTable,
    ReserveTable,
    SaleMarketTable,
    TransferInTransitTable,
    TransferTimeTable,
)


class PositionReportTable(StrictTable):
    """What the venue itself says of the position."""

    maintenance: NonNegative | None = Field(None, description="Maintenance margin, in the settle asset.")
    initial: NonNegative | None = Field(None, description="Initial margin, in the settle asset.")
    unrealised_pnl: Number | None = Field(None, description="Unrealised profit, > 0 is a gain, in the settle asset.")
    liquidation_price: Positive | None = Field(None, description="Liquidation price that the venue shows.")


class PositionTable(StrictTable):
    """One open position. Give ``contracts`` (signed) or ``side`` and ``size``."""

    symbol: Text = Field(description="Symbol of the venue (BTCUSDT) or of ccxt (BTC/USDT:USDT).")
    contracts: Number | None = Field(None, description="Signed number of contracts, > 0 is long, not 0.")
    side: Literal["long", "short"] | None = Field(None, description="Direction, together with size.")
    size: Positive | None = Field(None, description="Number of contracts without sign, together with side.")
    entry_price: Positive | None = Field(
        None, description="Average entry price. Needed, unless a venue response of the account states it."
    )
    margin_mode: Literal["cross", "isolated"] | None = Field(
        None, description="Which equity backs the position; cross when left out."
    )
    leverage: Annotated[float, Limits(least=1.0)] | None = Field(None, description="Leverage chosen at the venue.")
    isolated_collateral: Number | None = Field(
        None, description="Isolated only: margin assigned, without unrealised profit, in the settle asset."
    )
    bucket: Literal["NET", "LONG", "SHORT"] = Field(
        "NET", description="NET in one-way mode, LONG or SHORT for a leg of hedge mode."
    )
    mark_price: Positive | None = Field(None, description="Mark seen with the position; else market.marks is used.")
    maintenance_fraction: Fraction | None = Field(
        None, description="Maintenance rate that the venue served for this position; overrides the tier table."
    )
    maintenance_deduction: NonNegative | None = Field(
        None, description="Maintenance deduction that the venue served, in the settle asset."
    )
    implied_volatility: Annotated[float, Limits(above=0.0, most=10.0)] | None = Field(
        None, description="Options only: mark volatility (0.6 is 60 %); else market.implied_volatility is used."
    )
    forward_price: Positive | None = Field(
        None, description="Options only: the venue's underlying price of the expiry; else market.forwards is used."
    )
    reported: PositionReportTable | None = Field(None, description="What the venue itself says of the position.")


class BalanceTable(StrictTable):
    """Holdings of one asset, without what is assigned to isolated positions and before unrealised profit."""

    asset: Text = Field(description="Asset, for example USDT.")
    total: Number = Field(description="Wallet balance; negative means owed.")
    locked: NonNegative = Field(0.0, description="Part that cannot be moved.")
    borrowed: NonNegative = Field(0.0, description="Borrowed amount that total does not carry yet.")
    is_collateral: bool = Field(True, description="False when the venue does not count the asset as margin.")
    observed_at: Instant | None = Field(None, description="When the balance was seen; as_of when left out.")


class OpenOrderTable(StrictTable):
    """One resting limit order."""

    symbol: Text = Field(description="Symbol as in positions.")
    side: Literal["buy", "sell"] = Field(description="Side of the order.")
    contracts: Positive = Field(description="Number of contracts that still rest.")
    price: Positive = Field(description="Limit price.")


class AccountReportTable(StrictTable):
    """What the venue itself says of the cross pool of the account."""

    asset: Text = Field(description="Asset of the amounts; USD where the venue values the account in dollars.")
    equity: Number | None = Field(None, description="Equity (margin balance) as the venue counts it.")
    maintenance: NonNegative | None = Field(None, description="Maintenance margin.")
    initial: NonNegative | None = Field(None, description="Initial margin.")
    available: Number | None = Field(None, description="Free collateral.")
    ratio: Number | None = Field(None, description="The venue's own ratio, in its own direction.")
    ratio_kind: Literal["mm_over_equity", "equity_over_mm"] | None = Field(
        None, description="Direction of ratio: maintenance over equity, or equity over maintenance."
    )


class ResponsesTable(StrictTable):
    """Raw responses of the exchange, file names relative to the book; several files where the venue has pages."""

    positions: FileNames = Field(default_factory=list, description="Open positions of the account.")
    account: FileNames = Field(default_factory=list, description="Account or wallet of the account.")
    balance: FileNames = Field(default_factory=list, description="Balances of the account.")


class AccountTable(StrictTable):
    """One account: the smallest unit that a venue keeps apart."""

    id: Text = Field(description="venue:name, for example binance:main.")
    venue: Text | None = Field(None, description="Venue; taken from id when left out.")
    mode: Text = Field(description="Margin mode of the account in the venue's rulebook.")
    taker_fee: Annotated[float, Limits(least=-0.01, most=0.05)] | None = Field(
        None, description="Own taker fee as a fraction (0.0005 is 5 basis points); the venue's default when left out."
    )
    margin_call_coverage_ratio: Annotated[float, Limits(above=1.0, most=100.0)] | None = Field(
        None, description="Own warning level as equity over maintenance."
    )
    positions: list[PositionTable] = Field(default_factory=list, description="Open positions.")
    positions_csv: Text | None = Field(None, description="CSV file with positions, relative to the book.")
    balances: list[BalanceTable] = Field(default_factory=list, description="Balances by asset.")
    open_orders: list[OpenOrderTable] = Field(default_factory=list, description="Resting limit orders.")
    reported: Annotated[list[AccountReportTable], BeforeValidator(listed)] = Field(
        default_factory=list, description="What the venue says of the account; one object or a list."
    )
    responses: ResponsesTable | None = Field(None, description="Raw responses of the exchange to read.")


class MarketTable(StrictTable):
    """Market levels at one instant."""

    observed_at: Instant = Field(description="When the levels were seen; not after as_of.")
    marks: dict[Text, Positive] = Field(
        default_factory=dict, description="Mark price by SYMBOL.VENUE, or by SYMBOL for every venue."
    )
    asset_usd: dict[Text, Positive] = Field(
        default_factory=dict, description="US dollars per unit of an asset, stable coins included."
    )
    funding_per_hour: dict[Text, Annotated[float, Limits(least=-0.04, most=0.04)]] = Field(
        default_factory=dict, description="Funding as a fraction of notional per hour, > 0 means longs pay."
    )
    volatility_annual: dict[Text, Annotated[float, Limits(above=0.0, most=20.0)]] = Field(
        default_factory=dict, description="Annual volatility by factor (0.6 is 60 %)."
    )
    implied_volatility: dict[Text, Annotated[float, Limits(above=0.0, most=10.0)]] = Field(
        default_factory=dict, description="Implied annual volatility of an option (0.6 is 60 %); keys as in marks."
    )
    forwards: dict[Text, Positive] = Field(
        default_factory=dict,
        description="Forward of an option's expiry in its quote asset; keys as in marks, or BASE-YYMMDD.",
    )
    interest_rate_per_year: dict[Text, Annotated[float, Limits(least=-1.0, most=1.0)]] = Field(
        default_factory=dict,
        description="Interest rate of an expiry (0.05 is 5 %) by BASE-YYMMDD, for rules that discount options.",
    )


class InstrumentTable(StrictTable):
    """Contract facts that override those of the rulebook."""

    venue: Text = Field(description="Venue of the symbol.")
    symbol: Text = Field(description="Symbol as in positions.")
    multiplier: Positive | None = Field(None, description="Base units per contract (inverse: quote units).")
    tick: Positive | None = Field(None, description="Price step.")
    open_interest: NonNegative | None = Field(None, description="Base units open in the whole market (dYdX).")
    open_interest_lower_cap: NonNegative | None = Field(
        None, description="Open interest, in the quote asset, above which initial margin rises (dYdX)."
    )
    open_interest_upper_cap: NonNegative | None = Field(
        None, description="Open interest, in the quote asset, from which initial margin is the whole value; 0: never."
    )


class ToleranceTable(StrictTable):
    """What the desk accepts."""

    probability: Annotated[float, Limits(least=1e-6, most=0.5)] = Field(
        0.01, description="Accepted probability over the horizon (0.01 is 1 %)."
    )
    horizon: Duration = Field(432_000, description="Horizon, from 1h to 30d, for example 5d.")
    measure: Literal["rces", "rc"] = Field("rces", description="Sizing figure: expected shortfall or quantile.")


class SettingsTable(StrictTable):
    """How old inputs may be."""

    max_market_age: Duration = Field(3_600, description="Oldest market levels accepted at as_of.")
    max_history_age: Duration = Field(604_800, description="Largest distance from the last bar to as_of.")
    max_rules_age_days: Whole = Field(180, description="Age in days from which a packaged rule table warns.")


class ProxyTable(StrictTable):
    """Stand-in for a factor without history."""

    factor: Text = Field(description="Factor whose moves are used.")
    multiple: Positive = Field(description="Log moves of the stand-in times this number.")


TierRow = Annotated[list[Number | None], Field(min_length=3, max_length=5)]


class BookTable(StrictTable):
    """A book: accounts, market, resources and tolerance at one instant."""

    schema_version: Version = Field(description="Version of this format; 1.")
    as_of: Instant = Field(description="The instant for which the book is valued, with a time zone.")
    market: MarketTable = Field(description="Market levels.")
    accounts: Annotated[list[AccountTable], Field(min_length=1)] = Field(description="Accounts, at least one.")
    instruments: list[InstrumentTable] = Field(default_factory=list, description="Contract facts of the book.")
    tiers: dict[Text, dict[Text, Annotated[list[TierRow], Field(min_length=1)]]] = Field(
        default_factory=dict,
        description="Live tier tables by venue and symbol; rows of floor, cap, maintenance fraction, "
        "maximum leverage (or null), deduction (or null).",
    )
    tolerance: ToleranceTable | None = Field(None, description="What the desk accepts.")
    settings: SettingsTable | None = Field(None, description="How old inputs may be.")
    reserves: list[ReserveTable] = Field(default_factory=list, description="Cash or coins outside the accounts.")
    credit_lines: list[CreditLineTable] = Field(default_factory=list, description="Money that may be drawn.")
    transfer_times: list[TransferTimeTable] = Field(default_factory=list, description="Times between places.")
    in_transit: list[TransferInTransitTable] = Field(default_factory=list, description="Money on its way.")
    loans: list[LoanTable] = Field(default_factory=list, description="Borrowed money with collateral.")
    obligations: list[ObligationTable] = Field(default_factory=list, description="Money that falls due.")
    sale_markets: dict[Text, SaleMarketTable] = Field(
        default_factory=dict, description="By asset: how much of it can be sold."
    )
    buffers: dict[Text, BufferTable] = Field(
        default_factory=dict, description="By account id: levels of capital above maintenance."
    )
    contingency: list[ContingencyTable] = Field(
        default_factory=list, description="Standing contingency funding plan: actions in the order they are taken."
    )
    limits: LimitsTable | None = Field(None, description="Limits of the daily statement.")
    proxies: dict[Text, ProxyTable] = Field(default_factory=dict, description="Stand-ins by factor.")
