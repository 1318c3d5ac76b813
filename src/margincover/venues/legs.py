"""Compile one position to the coefficients of a leg: profit, tier lines, closing fee, initial margin, funding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from margincover.errors import InputError, RulebookError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind, Payoff
from margincover.model.pool import LegTable
from margincover.model.position import MarginMode, Position
from margincover.model.rules import (
    ClosingFee,
    MarginTier,
    ModeRule,
    PriceBasis,
    Product,
    TierKernel,
    TierTable,
    TierUnit,
)
from margincover.numeric.arrays import frozen, frozen_index
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
    tiers, tier_source, notes = _tiers(book, account, position, instrument, contracts_in_family)
    entry_value = _value(instrument, position, position.entry_price)
    fee_on_notional, constant = _closing_fee(rule, instrument, position, entry_value, fee)
    initial_fraction, initial_constant = _initial(rule, position, entry_value)
    if rule.closing_fee_in_initial:
        initial_constant += constant
        initial_fraction += fee_on_notional if position.leverage else 0.0
    if rule.maintenance_basis is PriceBasis.ENTRY:
        constant += float(_tier_line(tiers, entry_value))
        tiers = ()
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
    )


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
        return table.tiers, table.source, ()
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
    rule: ModeRule, instrument: Instrument, position: Position, entry_value: float, fee: float
) -> tuple[float, float]:
    """Return (fraction of notional at mark, constant) of the closing fee inside maintenance."""
    if rule.closing_fee is ClosingFee.NONE:
        return 0.0, 0.0
    if rule.closing_fee is ClosingFee.TAKER_ON_NOTIONAL:
        return fee, 0.0
    if position.leverage is None:
        raise InputError(
            "leverage was not given",
            field=f"{position.symbol}.leverage",
            allowed="the leverage chosen at the venue: its closing fee is counted at the bankruptcy price",
        )
    # Bankruptcy value in the settle asset: entry value x (1 - 1/L) for a linear long, (1 + 1/L) for a linear short;
    # the coin value of an inverse contract rises as the price falls, so its sides are the other way round.
    side = 1.0 if position.contracts > 0 else -1.0
    if instrument.payoff is Payoff.INVERSE:
        side = -side
    return 0.0, entry_value * (1.0 - side / position.leverage) * fee


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
    )
