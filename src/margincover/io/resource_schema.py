"""Fields of a book file for resources and obligations: reserves, lines, loans, ways between places, what falls due."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from margincover.io.book_types import (
    Duration,
    Fraction,
    Instant,
    Limits,
    NonNegative,
    Positive,
    StrictTable,
    Text,
)


class HaircutTable(StrictTable):
    """Haircut of the part of an amount above a floor."""

    floor: NonNegative = Field(description="Units of the asset above which this haircut counts; the first is 0.")
    haircut: Fraction = Field(description="Part of the value that does not count (0.05 is 5 %).")


class ReserveTable(StrictTable):
    """Cash, coins or fund units outside the margin pools."""

    id: Text = Field(description="Name of the place, unique in the book.")
    asset: Text = Field(description="Asset held.")
    amount: NonNegative = Field(description="Amount in units of the asset.")
    time_to_cash_p50: Duration = Field(description="Delay until usable, median.")
    time_to_cash_p99: Duration = Field(description="Delay until usable, 99 % quantile, not below the median.")
    kind: Literal["bank", "stable", "coin", "fund", "custody", "venue"] = Field("stable", description="What it is.")
    custodian: Text | None = Field(None, description="Who holds it; the id when left out.")
    haircuts: list[HaircutTable] = Field(default_factory=list, description="Haircuts by size; none when left out.")
    hours: list[Text] = Field(
        default_factory=list, description="Opening hours in UTC, 'mon-fri 08-17'; always open when left out."
    )
    closed_dates: list[Text] = Field(default_factory=list, description="Dates that are closed, 2026-12-25.")
    cost_fraction: Fraction = Field(0.0, description="Cost of turning it into cash, as a part of the amount.")
    cost: NonNegative = Field(0.0, description="Fixed cost of turning it into cash, in units of the asset.")
    carry_per_year: Annotated[float, Limits(least=-1.0, most=1.0)] = Field(
        0.0, description="Cost of holding it a year as a fraction (0.05 is 5 %)."
    )
    capacity_per_hour: Positive | None = Field(None, description="Most that becomes cash in an hour.")
    daily_limit: Positive | None = Field(None, description="Most that can leave in 24 hours.")
    settlement_cycle: Duration | None = Field(None, description="Off-exchange custody: time between settlements.")
    earmark: Literal["reserve", "trading"] = Field("reserve", description="Kept for margin calls, or for trading.")


class CreditLineTable(StrictTable):
    """Money that may be drawn."""

    id: Text = Field(description="Name of the line, unique in the book.")
    asset: Text = Field(description="Asset that is lent.")
    limit: NonNegative = Field(description="Largest amount that may be owed.")
    drawn: NonNegative = Field(0.0, description="Amount owed now, at most the limit.")
    annual_rate: Fraction = Field(description="Yearly interest as a fraction (0.08 is 8 %).")
    time_to_cash: Duration = Field(description="Delay until a drawn amount is usable.")
    time_to_cash_p99: Duration | None = Field(None, description="The same, 99 % quantile; time_to_cash when left out.")
    committed: bool = Field(True, description="False when the lender may refuse; then stress does not count it.")
    until: Instant | None = Field(None, description="End of the line.")
    fee_fraction: Fraction = Field(0.0, description="Fee on a draw as a fraction.")
    minimum_draw: NonNegative = Field(0.0, description="Least draw in units of the asset.")
    lender: Text | None = Field(None, description="Who lends; the id when left out.")


class TransferTimeTable(StrictTable):
    """How long an asset takes from one place to another."""

    origin: Text = Field(description="Account id, reserve id or credit line id.")
    destination: Text = Field(description="Account id or reserve id.")
    asset: Text = Field(description="Asset sent.")
    p50: Duration = Field(description="Duration, median.")
    p99: Duration = Field(description="Duration, 99 % quantile, not below the median.")
    fee: NonNegative = Field(0.0, description="Fee in units of the asset.")
    network: Text | None = Field(None, description="Network that carries it.")
    fee_fraction: Fraction = Field(0.0, description="Fee as a part of the amount.")
    daily_limit: Positive | None = Field(None, description="Most that can go this way in 24 hours.")
    minimum: NonNegative = Field(0.0, description="Least amount in units of the asset.")
    outage_probability: Fraction = Field(0.0, description="Chance that the way is shut when it is needed.")
    suspended: bool = Field(False, description="True when the way is shut now.")


class TransferInTransitTable(StrictTable):
    """Money already on its way."""

    id: Text = Field(description="Name of the transfer, unique in the book.")
    destination: Text = Field(description="Account id or reserve id.")
    asset: Text = Field(description="Asset sent.")
    amount: NonNegative = Field(description="Amount that will arrive, in units of the asset.")
    arrives_p50: Instant = Field(description="Arrival, median.")
    arrives_p99: Instant = Field(description="Arrival, 99 % quantile, not before the median.")


class CollateralTable(StrictTable):
    """Collateral of a loan."""

    asset: Text = Field(description="Asset pledged.")
    amount: NonNegative = Field(description="Amount in units of the asset.")
    liquidation_threshold: Fraction = Field(1.0, description="Part of the value that counts against the debt.")


class LoanTable(StrictTable):
    """Borrowed money with collateral."""

    id: Text = Field(description="Name of the loan, unique in the book.")
    lender: Text = Field(description="Who lends: a desk, or a protocol.")
    asset: Text = Field(description="Asset owed.")
    amount: Positive = Field(description="Owed now, interest so far included.")
    annual_rate: Fraction = Field(description="Yearly interest as a fraction (0.08 is 8 %).")
    collateral: list[CollateralTable] = Field(default_factory=list, description="Collateral pledged.")
    call_ltv: Fraction | None = Field(None, description="Loan to value at which the lender calls.")
    liquidation_ltv: Fraction | None = Field(
        None, description="Loan to value at which the lender liquidates; a protocol goes by the thresholds."
    )
    cure_period: Duration | None = Field(None, description="Time from a call to the liquidation; none for a protocol.")
    liquidation_penalty: Fraction = Field(0.0, description="Part of the debt lost in a liquidation.")
    due: Instant | None = Field(None, description="Maturity; open-ended when left out.")


class ObligationTable(StrictTable):
    """Money that falls due."""

    id: Text = Field(description="Name of the obligation, unique in the book.")
    asset: Text = Field(description="Asset owed.")
    amount: Positive = Field(description="Amount in units of the asset.")
    due: Instant = Field(description="When it falls due; not before as_of.")
    payee: Text | None = Field(None, description="To whom.")


class SaleMarketTable(StrictTable):
    """How much of an asset can be sold."""

    daily_volume_usd: Positive = Field(description="Volume of a day in US dollars.")
    daily_volatility: Annotated[float, Limits(above=0.0, most=5.0)] = Field(
        description="Volatility of a day as a fraction (0.04 is 4 %)."
    )
    depth_usd: NonNegative = Field(0.0, description="Dollars that can be sold within 1 % of the price.")
    impact_coefficient: NonNegative = Field(1.0, description="Factor of the square-root law, about 1.")
    stress_multiple: Annotated[float, Limits(least=1.0, most=100.0)] = Field(
        3.0, description="Impact in stress over the usual impact."
    )


class BufferTable(StrictTable):
    """Capital kept above maintenance on purpose, as multiples of maintenance margin."""

    search: Annotated[float, Limits(least=1.0, most=100.0)] = Field(description="Below it money is looked for.")
    initial: Annotated[float, Limits(least=1.0, most=100.0)] = Field(description="Level to come back to.")
    release: Annotated[float, Limits(least=1.0, most=1000.0)] = Field(description="Above it money may leave.")


class LimitsTable(StrictTable):
    """Limits of the daily statement; what is left out takes the default of the statement, if there is one."""

    min_coverage_ratio: Annotated[float, Limits(least=1.0, most=1000.0)] | None = Field(
        None, description="Least equity over maintenance of a pool; 1 when left out."
    )
    min_required_coverage_ratio: Annotated[float, Limits(above=0.0, most=1000.0)] | None = Field(
        None, description="Least available over required capital of a pool; 1 when left out."
    )
    min_debt_coverage_ratio: Annotated[float, Limits(above=0.0, most=1000.0)] | None = Field(
        None, description="Least usable assets over what is due; 1 when left out."
    )
    min_survival_horizon: Duration | None = Field(
        None, description="Shortest survival horizon, whole hours; the horizon of the tolerance when left out."
    )
    max_liquidation_probability_24h: Fraction | None = Field(
        None, description="Largest chance of liquidation of one pool in 24 h; the tolerance when left out."
    )
    max_any_liquidation_probability_24h: Fraction | None = Field(
        None, description="Largest chance that any pool is liquidated in 24 h; no limit when left out."
    )
    min_liquid_stock_ratio: Annotated[float, Limits(above=0.0, most=1000.0)] | None = Field(
        None, description="Least liquid stock over stressed outflow; no limit when left out."
    )
    max_stress_liquidated_pools: NonNegative | None = Field(
        None, description="Most pools that the worst episode may liquidate; no limit when left out."
    )
    max_share: dict[Literal["venue", "custodian", "asset", "stable coin"], Fraction] = Field(
        default_factory=dict, description="Largest share of one venue, custodian, asset or stable coin."
    )
