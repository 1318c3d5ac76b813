"""Collect provenance: editions and their ages, warnings, what is not modelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from margincover.model.book import Book
from margincover.model.instrument import Kind
from margincover.model.pool import MarginPool
from margincover.model.provenance import EditionUse, Provenance
from margincover.model.rules import PoolBy
from margincover.units import format_utc
from margincover.venues import registry, symbols
from margincover.venues.assets import is_pegged
from margincover.version import __version__

ALWAYS_NOT_MODELLED = (
    "liquidation fees, slippage and the liquidation process itself",
    "open-order margin other than Binance's initial margin",
    "outages, transfer delays, reserves and credit lines",
)
# What runs on resources do model, delay by delay.
RESOURCES_NOT_MODELLED = ALWAYS_NOT_MODELLED[2]

# Of runs whose scenarios move prices alone.
_NO_BASIS = "the basis between venues: every mark of a coin moves by the same factor"


def build_provenance(
    book: Book,
    pools: Sequence[MarginPool],
    *,
    seed: int | None = None,
    settings: Mapping[str, str] | None = None,
    scenario: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    not_modelled: Sequence[str] = (),
    side_factors: bool = False,
) -> Provenance:
    """Return the provenance of a result on a book; ``side_factors`` says that stable coins and marks moved too."""
    left_out = [] if side_factors else [*_held_constant(pools)]
    always = ALWAYS_NOT_MODELLED if side_factors else (ALWAYS_NOT_MODELLED[0], _NO_BASIS, *ALWAYS_NOT_MODELLED[1:])
    notes = [note for pool in pools for note in pool.notes]
    return Provenance(
        version=__version__,
        as_of=format_utc(book.as_of),
        input_sha256=book.input_sha256,
        seed=seed,
        settings=dict(settings or {}),
        editions=tuple(dict.fromkeys([*_editions(book), *_model_editions(pools)])),
        scenario=dict(scenario or {}),
        warnings=tuple(dict.fromkeys([*book.issues, *_stale(book), *_unconfirmed(book), *notes, *warnings])),
        not_modelled=tuple(dict.fromkeys([*left_out, *not_modelled, *always])),
    )


def _model_editions(pools: Sequence[MarginPool]) -> list[EditionUse]:
    return [edition for pool in pools if pool.model is not None for edition in pool.model.editions]


def _used_tables(book: Book) -> dict[str, set[str]]:
    """Return, by venue, the keys of the packaged tables that the book uses."""
    used: dict[str, set[str]] = {}
    for account in book.accounts:
        rules = book.rulebooks[account.venue]
        keys = used.setdefault(account.venue, set())
        for position in account.positions:
            instrument = book.instruments[(account.venue, position.symbol)]
            overridden = position.maintenance_fraction is not None or instrument.id in book.tier_overrides
            reads_tiers = rules.modes[account.mode].uses_tiers and rules.products[instrument.product].tier_key
            if not overridden and reads_tiers:
                keys.add(symbols.tier_table_for(rules, instrument).key)
        if rules.modes[account.mode].pool_by is PoolBy.ACCOUNT:
            keys |= {b.asset for b in account.balances if b.asset in rules.ladders}
    return used


def _editions(book: Book) -> tuple[EditionUse, ...]:
    uses: list[EditionUse] = []
    for venue, keys in _used_tables(book).items():
        rules = book.rulebooks[venue]
        modes = {account.mode for account in book.accounts if account.venue == venue}
        sources = {rules.modes[mode].source for mode in modes}
        sources |= {rules.tier_tables[key].source for key in keys if key in rules.tier_tables}
        sources |= {rules.ladders[key].source for key in keys if key in rules.ladders}
        for edition in rules.editions:
            if any(source.startswith(edition.id) for source in sources):
                uses.append(
                    EditionUse(
                        venue=venue,
                        edition=edition.id,
                        valid_from=f"{edition.valid_from:%Y-%m-%d}",
                        source=edition.source,
                        retrieved=edition.retrieved,
                        age_days=registry.edition_age_days(edition, book.as_of),
                    )
                )
    return tuple(uses)


def _stale(book: Book) -> list[str]:
    """Return one sentence for each edition that is old at ``as_of``, with the tables used from it."""
    found: dict[str, list[str]] = {}
    for venue, keys in _used_tables(book).items():
        for key in sorted(keys):
            for sentence in registry.stale_editions(book.rulebooks[venue], [key], book.max_rules_age_days):
                # One edition holds many tables: the same sentence, apart from the key, is said once.
                found.setdefault(sentence.replace(f" {key} ", " {} ", 1), []).append(key)
    return [f"rules: {sentence.replace('{}', ', '.join(keys), 1)}" for sentence, keys in found.items()]


def _unconfirmed(book: Book) -> list[str]:
    """Return one sentence for each confidence below CONFIRMED, with the tables used from such editions."""
    found: dict[str, list[str]] = {}
    for venue, keys in _used_tables(book).items():
        for row in registry.describe(book.rulebooks[venue]):
            if row["block"] != "mode" and row["key"] in keys and row["confidence"] != "CONFIRMED":
                found.setdefault(f"{venue} {row['block']} {{}} {row['confidence']}, not exact", []).append(row["key"])
    return [f"rules: {text.replace('{}', ', '.join(keys), 1)}" for text, keys in found.items()]


def funding_warnings(book: Book, charged_per_hour: Callable[[str], float]) -> list[str]:
    """Return the sentence that names perpetuals whose funding the market does not state, and what they are charged."""
    rates: dict[str, float] = {}
    for account in book.accounts:
        for position in account.positions:
            instrument = book.instruments[(account.venue, position.symbol)]
            stated = book.market.funding(instrument_id=instrument.id, symbol=position.symbol)
            if instrument.kind is Kind.PERP and stated is None:
                rates[instrument.id] = charged_per_hour(instrument.factor)
    if not rates:
        return []
    listed = ", ".join(f"{name} {rate * 8:.3%}" for name, rate in rates.items())
    return [f"funding not stated, charged per 8 h as a cost whatever the side: {listed}"]


def _held_constant(pools: Sequence[MarginPool]) -> list[str]:
    pegged = {asset for pool in pools for asset in (*pool.assets.assets, pool.unit) if is_pegged(asset)} - {"USD"}
    if not pegged:
        return []
    return [f"moves of {', '.join(sorted(pegged))} against USD: held at the price in the book"]
