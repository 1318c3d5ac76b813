"""Compile one position to the coefficients of a leg: profit, tier lines, closing fee, initial margin, funding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from margincover.errors import InputError, RulebookError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind, Payoff
from margincover.model.pool import LegTable
from margincover.model.position import MarginMode, Position
from margincover.model.rules import (
    ClosingFee,
    MaintenanceScale,
    MarginTier,
    ModeRule,
    PriceBasis,
    Product,
    TierKernel,
    TierTable,
    TierUnit,
)
from margincover.numeric.arrays import frozen, frozen_index
from margincover.units import years
from margincover.venues import kernels, symbols

FundingFallback = Callable[[str], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One position with everything that its pool needs, still as plain numbers."""

    instrument: Instrument
    position: Position
    mark_price: float
    tiers: tuple[MarginTier, ...]
    fee_on_notional_fraction: float
    maintenance_constant: float
    initial_fraction: float
    initial_constant: float
    initial_known: bool
    funding_per_hour: float
    tier_source: str
    notes: tuple[str, ...]
    years: float = 0.0


def build_leg(
    book: Book, account: Account, position: Position, contracts_in_family: float, fallback: FundingFallback | None
) -> Leg:
    """Return the leg of one position.

    Parameters
    ----------
    contracts_in_family : float
        Contracts that choose the tier where a venue counts them over a family, >= |position.contracts|.
    fallback : callable or None
        Pessimistic funding cost per hour by factor, used when the market states none.

    Raises
    ------
    InputError
        If the mark, the leverage (where the rule needs it) or the funding is missing.
    RulebookError
        If no tier table is in force for the symbol.
    """
    rule = book.rulebooks[account.venue].modes[account.mode]
    instrument = book.instruments[(account.venue, position.symbol)]
    fee = account.taker_fee_fraction
    fee = rule.default_taker_fee_fraction if fee is None else fee
    # A product without tiers, or a cross position whose mode reads none, is margined by the mode's model alone.
    untiered = not book.rulebooks[account.venue].products[instrument.product].tier_key
    untiered = untiered or (not rule.uses_tiers and position.margin_mode is MarginMode.CROSS)
    tiers, tier_source, notes = (
        ((), "", ()) if untiered else _tiers(book, account, position, instrument, contracts_in_family)
    )
    tiers = _scaled(rule, position, tiers)
    entry_value = _value(instrument, position, position.entry_price)
    fee_on_notional, constant = _closing_fee(rule.closing_fee, instrument, position, entry_value, fee)
    initial_fraction, initial_constant = _initial_with_fee(rule, instrument, position, entry_value, fee)
    funding_share = _funding_share(rule, book, position, instrument)
    if rule.maintenance_basis is PriceBasis.ENTRY:
        constant += float(_tier_line(tiers, entry_value)) + funding_share * entry_value
        tiers = ()
    else:
        fee_on_notional += funding_share
    return Leg(
        instrument=instrument,
        position=position,
        mark_price=mark_of(book, account, position, instrument),
        tiers=tiers,
        fee_on_notional_fraction=fee_on_notional,
        maintenance_constant=constant,
        initial_fraction=initial_fraction,
        initial_constant=initial_constant,
        initial_known=position.leverage is not None,
        funding_per_hour=_funding(book, position, instrument, fallback),
        tier_source=tier_source,
        notes=notes,
        years=years_to_expiry(instrument, book.as_of),
    )


def years_to_expiry(instrument: Instrument, at: datetime) -> float:
    """Return the time to expiry in years of 365 days; 0 for a contract without expiry."""
    if instrument.expiry is None:
        return 0.0
    return years((instrument.expiry - at).total_seconds())


def mark_of(book: Book, account: Account, position: Position, instrument: Instrument) -> float:
    """Return the mark of a position: its own, else the market's.

    Raises
    ------
    InputError
        If neither states one.
    """
    if position.mark_price is not None:
        return position.mark_price
    found = book.market.mark(instrument_id=instrument.id, symbol=position.symbol)
    if found is None:
        raise InputError(
            f"no mark price for {position.symbol}",
            source=book.source,
            account=account.id,
            field="mark_price",
            allowed=f"mark_price on the position, or market.marks.'{instrument.id}'",
        )
    return found


def _value(instrument: Instrument, position: Position, price: float) -> float:
    size = abs(position.contracts) * instrument.multiplier
    return size / price if instrument.payoff is Payoff.INVERSE else size * price


def _tiers(
    book: Book, account: Account, position: Position, instrument: Instrument, contracts_in_family: float
) -> tuple[tuple[MarginTier, ...], str, tuple[str, ...]]:
    if position.maintenance_fraction is not None:
        tier = MarginTier(
            floor=0.0,
            cap=float("inf"),
            maintenance_fraction=position.maintenance_fraction,
            max_leverage=None,
            deduction=position.maintenance_deduction_native or 0.0,
        )
        return (tier,), "position", ()
    table = book.tier_overrides.get(instrument.id)
    if table is None:
        try:
            table = symbols.tier_table_for(book.rulebooks[account.venue], instrument)
        except RulebookError as error:
            # The reader looks for the book first; the rulebook's own name stands in the message.
            raise RulebookError(
                f"{error.found} (rules of {account.venue})",
                source=book.source,
                account=account.id,
                field=position.symbol,
                allowed=error.allowed,
            ) from error
    if table.unit is TierUnit.CONTRACTS:
        _refuse_above_known(table, instrument, contracts_in_family, "contracts")
    else:
        value = _value(instrument, position, mark_of(book, account, position, instrument))
        _refuse_above_known(table, instrument, value, instrument.settle)
    if table.kernel is TierKernel.FRACTION_OF_INITIAL:
        table = _from_initial(table, book.rulebooks[account.venue].products[instrument.product])
    return _in_settle_units(table, position, instrument, contracts_in_family)


def _from_initial(table: TierTable, product: Product) -> TierTable:
    """Return the table in maintenance rates: its own rates are initial ones, maintenance is a fixed share of them."""
    share = product.maintenance_of_initial_fraction
    if share is None:
        raise RulebookError(
            "maintenance_of_initial_fraction was missing",
            field=f"product {product.id}",
            allowed="a fraction in (0, 1] beside tier_kernel = fraction_of_initial",
        )
    rates = kernels.fraction_of_initial(initial=[tier.maintenance_fraction for tier in table.tiers], fraction=share)
    tiers = tuple(
        replace(tier, maintenance_fraction=float(rate), deduction=0.0)
        for tier, rate in zip(table.tiers, rates, strict=True)
    )
    return replace(table, kernel=TierKernel.WHOLE_POSITION, tiers=tiers)


def _in_settle_units(
    table: TierTable, position: Position, instrument: Instrument, contracts_in_family: float
) -> tuple[tuple[MarginTier, ...], str, tuple[str, ...]]:
    if table.unit is TierUnit.NOTIONAL:
        return table.tiers, table.source, _first_tiers_note(table, instrument)
    # Contracts do not change along a path: the band is fixed by the size, its rate applies to the whole notional.
    notes: tuple[str, ...] = ()
    chosen = table.tiers[-1]
    for tier in reversed(table.tiers):
        if contracts_in_family >= tier.floor:
            chosen = tier
            break
    if contracts_in_family > table.tiers[-1].cap:
        notes = (
            f"{instrument.venue_symbol}: {contracts_in_family:g} contracts lie above the last tier; its rate is used",
        )
    whole = MarginTier(
        floor=0.0,
        cap=float("inf"),
        maintenance_fraction=chosen.maintenance_fraction,
        max_leverage=chosen.max_leverage,
        deduction=0.0,
    )
    return (whole,), table.source, notes


def _refuse_above_known(table: TierTable, instrument: Instrument, measure: float, unit: str) -> None:
    """Refuse a size above the last band of a table of which only the first bands are known: its rate is not known."""
    last = table.tiers[-1].cap
    if not table.first_tiers_only or measure <= last:
        return
    raise RulebookError(
        f"{instrument.venue_symbol} held {measure:,.10g} {unit}, above the last known tier ({last:,.10g})",
        source=table.source,
        field=instrument.venue_symbol,
        allowed="the whole table read from the venue: under `tiers` in the book, or as a TOML file with --rules DIR; "
        "or maintenance_fraction on the position",
    )


def _first_tiers_note(table: TierTable, instrument: Instrument) -> tuple[str, ...]:
    last = table.tiers[-1].cap
    if not table.first_tiers_only:
        return ()
    return (
        f"{instrument.venue_symbol}: tiers above {last:,.10g} {instrument.settle} are not known; a price move that "
        "lifts the value above it keeps the last known rate",
    )


def _scaled(rule: ModeRule, position: Position, tiers: tuple[MarginTier, ...]) -> tuple[MarginTier, ...]:
    """Return the tiers as rates on the value where the venue's rates are shares of value / leverage."""
    if rule.maintenance_scale is MaintenanceScale.VALUE:
        return tiers
    leverage = _needed_leverage(position, "its maintenance is a share of value / leverage")
    return tuple(
        replace(tier, maintenance_fraction=tier.maintenance_fraction / leverage, deduction=tier.deduction / leverage)
        for tier in tiers
    )


def _needed_leverage(position: Position, why: str) -> float:
    if position.leverage is None:
        raise InputError(
            "leverage was not given",
            field=f"{position.symbol}.leverage",
            allowed=f"the leverage chosen at the venue: {why}",
        )
    return position.leverage


def _funding_share(rule: ModeRule, book: Book, position: Position, instrument: Instrument) -> float:
    """Return what funding adds to the maintenance rate; 0 where the rule counts none."""
    if rule.funding_in_maintenance_hours == 0.0:
        return 0.0
    stated = book.market.funding(instrument_id=instrument.id, symbol=position.symbol)
    if stated is None:
        raise InputError(
            f"no funding for {position.symbol}, which its venue adds to maintenance",
            field=f"market.funding_per_hour.{instrument.id}",
            allowed="a fraction of notional per hour",
        )
    # How a short counts was not seen: the larger of both readings.
    return (stated if position.contracts > 0 else abs(stated)) * rule.funding_in_maintenance_hours


def _tier_line(tiers: Sequence[MarginTier], value: float) -> float:
    return float(
        kernels.tiered_maintenance(
            notional=value,
            floors=np.array([t.floor for t in tiers]),
            fractions=np.array([t.maintenance_fraction for t in tiers]),
            deductions=np.array([t.deduction for t in tiers]),
        )
    )


def _closing_fee(
    kind: ClosingFee, instrument: Instrument, position: Position, entry_value: float, fee: float
) -> tuple[float, float]:
    """Return (fraction of notional at mark, constant) of a closing fee inside a requirement."""
    if kind is ClosingFee.NONE:
        return 0.0, 0.0
    if kind is ClosingFee.TAKER_ON_NOTIONAL:
        return fee, 0.0
    leverage = _needed_leverage(position, "its closing fee is counted at the bankruptcy price")
    if kind is ClosingFee.TAKER_ON_ENTRY_PLUS_INITIAL:
        return 0.0, entry_value * (1.0 + 1.0 / leverage) * fee
    # Bankruptcy value in the settle asset: entry value x (1 - 1/L) for a linear long, (1 + 1/L) for a linear short;
    # the coin value of an inverse contract rises as the price falls, so its sides are the other way round.
    side = 1.0 if position.contracts > 0 else -1.0
    if instrument.payoff is Payoff.INVERSE:
        side = -side
    return 0.0, entry_value * (1.0 - side / leverage) * fee


def _initial_with_fee(
    rule: ModeRule, instrument: Instrument, position: Position, entry_value: float, fee: float
) -> tuple[float, float]:
    """Return (fraction of notional at mark, constant) of initial margin; both 0 without a leverage."""
    fraction, constant = _initial(rule, position, entry_value)
    if rule.closing_fee_in_initial and position.leverage is not None:
        kind = rule.closing_fee if rule.initial_closing_fee is None else rule.initial_closing_fee
        on_notional, fixed = _closing_fee(kind, instrument, position, entry_value, fee)
        return fraction + on_notional, constant + fixed
    return fraction, constant


def _initial(rule: ModeRule, position: Position, entry_value: float) -> tuple[float, float]:
    if position.leverage is None:
        return 0.0, 0.0
    isolated = position.margin_mode is MarginMode.ISOLATED
    basis = rule.initial_basis_isolated if isolated else rule.initial_basis_cross
    if basis is PriceBasis.ENTRY:
        return 0.0, entry_value / position.leverage
    return 1.0 / position.leverage, 0.0


def _funding(book: Book, position: Position, instrument: Instrument, fallback: FundingFallback | None) -> float:
    """Return the cost per hour as a fraction of notional, > 0 is paid by this position.

    Funding that the market does not state is a cost at the pessimistic rate of ``fallback``, whatever the side.
    """
    if instrument.kind is not Kind.PERP:
        return 0.0
    side = 1.0 if position.contracts > 0 else -1.0
    stated = book.market.funding(instrument_id=instrument.id, symbol=position.symbol)
    if stated is not None:
        return side * stated
    return fallback(instrument.factor) if fallback is not None else 0.0


def leg_table(legs: Sequence[Leg], factors: Sequence[str], assets: Sequence[str]) -> LegTable:
    """Return the arrays of a pool's legs; ``factors`` and ``assets`` fix the indices."""
    starts: list[int] = []
    flat: list[MarginTier] = []
    for leg in legs:
        starts.append(len(flat))
        flat.extend(leg.tiers)
    signed = [leg.position.contracts * leg.instrument.multiplier for leg in legs]
    return LegTable(
        instrument_ids=tuple(leg.instrument.id for leg in legs),
        symbols=tuple(leg.instrument.venue_symbol for leg in legs),
        buckets=tuple(leg.position.bucket.value for leg in legs),
        factor_index=frozen_index([list(factors).index(leg.instrument.factor) for leg in legs]),
        asset_index=frozen_index([list(assets).index(leg.instrument.settle) for leg in legs]),
        inverse=np.array([leg.instrument.payoff is Payoff.INVERSE for leg in legs], dtype=bool),
        signed_size=frozen(signed, name="signed_size", ndim=1),
        entry_price=frozen([leg.position.entry_price for leg in legs], name="entry_price", ndim=1),
        mark_price=frozen([leg.mark_price for leg in legs], name="mark_price", ndim=1),
        tier_start=frozen_index(starts),
        tier_count=frozen_index([len(leg.tiers) for leg in legs]),
        tier_floor=frozen([t.floor for t in flat], name="tier_floor", ndim=1),
        tier_fraction=frozen([t.maintenance_fraction for t in flat], name="tier_fraction", ndim=1),
        tier_deduction=frozen([t.deduction for t in flat], name="tier_deduction", ndim=1),
        fee_on_notional_fraction=frozen([x.fee_on_notional_fraction for x in legs], name="fee", ndim=1),
        maintenance_constant=frozen([x.maintenance_constant for x in legs], name="maintenance_constant", ndim=1),
        initial_fraction=frozen([x.initial_fraction for x in legs], name="initial_fraction", ndim=1),
        initial_constant=frozen([x.initial_constant for x in legs], name="initial_constant", ndim=1),
        initial_known=np.array([x.initial_known for x in legs], dtype=bool),
        funding_per_hour=frozen([x.funding_per_hour for x in legs], name="funding", ndim=1),
        tick=frozen([x.instrument.tick or 0.0 for x in legs], name="tick", ndim=1),
        bases=tuple(leg.instrument.base for leg in legs),
        quotes=tuple(leg.instrument.quote for leg in legs),
        products=tuple(leg.instrument.product for leg in legs),
        years=frozen([leg.years for leg in legs], name="years", ndim=1),
        leverage=frozen([leg.position.leverage or 0.0 for leg in legs], name="leverage", ndim=1),
    )
