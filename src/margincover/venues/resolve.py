"""Resolve a book: choose the rulebooks in force, turn symbols into instruments, check that marks exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from margincover.errors import InputError, RulebookError
from margincover.model.book import Book, BookInput, InstrumentOverride, TierOverride
from margincover.model.instrument import Instrument
from margincover.model.rules import MarginTier, Rulebook, TierKernel, TierTable
from margincover.venues import kernels, registry, symbols
from margincover.venues.upcoming import future_rules


def resolve(book: BookInput, *, extra_rules: Sequence[registry.RuleSource] = ()) -> Book:
    """Return the book with rulebooks and instruments resolved for ``as_of``.

    Raises
    ------
    InputError, RulebookError
        If a venue, mode or symbol is unknown, an instrument has expired, or an override is unusable.
    """
    rulebooks: dict[str, Rulebook] = {}
    for account in book.accounts:
        if account.venue not in rulebooks:
            rulebooks[account.venue] = _rulebook(book, account.venue, account.id, extra_rules)
        modes = rulebooks[account.venue].modes
        if account.mode not in modes:
            raise InputError(
                f"mode was '{account.mode}'",
                source=book.source,
                account=account.id,
                field="mode",
                allowed=", ".join(sorted(modes)),
            )
    overrides = {(o.venue, o.symbol): o for o in book.instrument_overrides}
    instruments = _instruments(book, rulebooks, overrides)
    _require_single_positions(book, instruments)
    return Book(
        as_of=book.as_of,
        accounts=book.accounts,
        instruments=instruments,
        market=book.market,
        rulebooks=rulebooks,
        future_rules=future_rules(rulebooks, as_of=book.as_of, extra=extra_rules),
        tolerance=book.tolerance,
        tier_overrides=_tier_overrides(book, rulebooks, overrides),
        reserves=book.reserves,
        credit_lines=book.credit_lines,
        transfer_times=book.transfer_times,
        in_transit=book.in_transit,
        loans=book.loans,
        obligations=book.obligations,
        sale_markets=book.sale_markets,
        buffers=book.buffers,
        contingency=book.contingency,
        limits=book.limits,
        proxies=book.proxies,
        max_market_age_s=book.max_market_age_s,
        max_history_age_s=book.max_history_age_s,
        max_rules_age_days=book.max_rules_age_days,
        source=book.source,
        input_sha256=book.input_sha256,
        issues=book.issues,
    )


def _rulebook(book: BookInput, venue: str, account: str, extra: Sequence[registry.RuleSource]) -> Rulebook:
    known = registry.known_venues(extra)
    if venue not in known:
        raise InputError(
            f"venue was '{venue}'", source=book.source, account=account, field="venue", allowed=", ".join(known)
        )
    try:
        return registry.rulebook(venue, at=book.as_of, extra=extra)
    except RulebookError as error:
        raise error.located(source=book.source, account=account) from error


def _instruments(
    book: BookInput, rulebooks: dict[str, Rulebook], overrides: dict[tuple[str, str], InstrumentOverride]
) -> dict[tuple[str, str], Instrument]:
    found: dict[tuple[str, str], Instrument] = {}
    for account in book.accounts:
        wanted = [p.symbol for p in account.positions] + [o.symbol for o in account.open_orders]
        for symbol in wanted:
            key = (account.venue, symbol)
            if key in found:
                continue
            override = overrides.get(key)
            try:
                instrument = symbols.resolve_instrument(
                    rulebooks[account.venue],
                    symbol,
                    multiplier=override.multiplier if override else None,
                    tick=override.tick if override else None,
                )
            except InputError as error:
                raise error.located(source=book.source, account=account.id, field="symbol") from error
            if override is not None:
                instrument = _with_open_interest(book, account.id, instrument, override)
            if instrument.expiry is not None and instrument.expiry <= book.as_of:
                raise InputError(
                    f"{symbol} expired at {instrument.expiry.isoformat()}, as_of is {book.as_of.isoformat()}",
                    source=book.source,
                    account=account.id,
                    field="symbol",
                    allowed="instruments that are still open at as_of",
                )
            found[key] = instrument
    return found


def _with_open_interest(
    book: BookInput, account: str, instrument: Instrument, override: InstrumentOverride
) -> Instrument:
    try:
        return replace(
            instrument,
            open_interest=override.open_interest,
            open_interest_lower_cap=override.open_interest_lower_cap,
            open_interest_upper_cap=override.open_interest_upper_cap,
        )
    except InputError as error:
        raise error.located(source=book.source, account=account, field="instruments") from error


def _require_single_positions(book: BookInput, instruments: dict[tuple[str, str], Instrument]) -> None:
    # The venue's and the ccxt symbol name one instrument: written both ways a position would count twice.
    for account in book.accounts:
        seen: dict[tuple[str, str], str] = {}
        for position in account.positions:
            key = (instruments[(account.venue, position.symbol)].id, position.bucket.value)
            if key in seen:
                raise InputError(
                    f"{position.symbol} is the instrument of {seen[key]}, bucket {position.bucket.value}",
                    source=book.source,
                    account=account.id,
                    field="positions",
                    allowed="one position per instrument and bucket",
                )
            seen[key] = position.symbol


def _tier_overrides(
    book: BookInput, rulebooks: dict[str, Rulebook], overrides: dict[tuple[str, str], InstrumentOverride]
) -> dict[str, TierTable]:
    tables: dict[str, TierTable] = {}
    for override in book.tier_overrides:
        if override.venue not in rulebooks:
            continue
        rules = rulebooks[override.venue]
        stated = overrides.get((override.venue, override.symbol))
        try:
            instrument = symbols.resolve_instrument(
                rules, override.symbol, multiplier=stated.multiplier if stated else None
            )
            product = rules.products[instrument.product]
            tables[instrument.id] = table_from_override(override, product.tier_kernel, rules, instrument.product)
        except InputError as error:
            raise error.located(source=book.source, field=f"tiers.{override.venue}.{override.symbol}") from error
    return tables


def table_from_override(override: TierOverride, kernel: TierKernel, rules: Rulebook, product: str) -> TierTable:
    """Return the tier table that a book carries for one symbol, deductions completed."""
    floors = [row[0] for row in override.rows]
    fractions = [row[2] for row in override.rows]
    computed = kernels.tier_deductions(floors=floors, fractions=fractions)
    progressive = kernel is TierKernel.PROGRESSIVE
    tiers = tuple(
        MarginTier(
            floor=row[0],
            cap=row[1],
            maintenance_fraction=row[2],
            max_leverage=row[3],
            deduction=(row[4] if row[4] is not None else computed[k]) if progressive else 0.0,
        )
        for k, row in enumerate(override.rows)
    )
    return TierTable(
        key=override.symbol,
        kernel=kernel,
        unit=rules.products[product].tier_unit,
        tiers=tiers,
        source=f"book ({override.observed or 'date not given'})",
    )
