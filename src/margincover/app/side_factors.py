"""Put stable coins, local marks and varying funding beside the prices of a run: ``--factors all``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from margincover.errors import UsageError
from margincover.model.book import Book
from margincover.model.instrument import Kind
from margincover.model.pool import MarginPool
from margincover.model.scenario import ScenarioGenerator
from margincover.numeric.arrays import frozen_index
from margincover.paths.charges import BASE_QUOTE
from margincover.scenarios.side_factors import AtVenue, PerpetualFunding, SideFactors
from margincover.scenarios.side_laws import SideLaws, packaged_side_laws
from margincover.venues.assets import is_pegged

PRICES, ALL = "prices", "all"
FACTORS = (PRICES, ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Pools and the generator that moves them, with what the reader is told."""

    pools: tuple[MarginPool, ...]
    generator: ScenarioGenerator
    warnings: tuple[str, ...] = ()
    not_modelled: tuple[str, ...] = ()


def require_factors_setting(text: str) -> str:
    """Return the setting; raise UsageError for an unknown one."""
    if text not in FACTORS:
        raise UsageError(f"was '{text}'", field="--factors", allowed=" or ".join(FACTORS))
    return text


def with_side_factors(
    book: Book, pools: Sequence[MarginPool], generator: ScenarioGenerator, laws: SideLaws | None = None
) -> Market:
    """Return the pools and a generator in which everything beside prices moves too.

    Parameters
    ----------
    book : Book
    pools : sequence of MarginPool
    generator : ScenarioGenerator
        Makes the prices; its paths stay as they are.
    laws : SideLaws or None
        None takes the packaged ones.
    """
    chosen = laws or packaged_side_laws()
    marks = {(pool.factors[f], pool.venue) for pool in pools for f in pool.legs.factor_index}
    moved = tuple(with_stables(pool) for pool in pools)
    funding = _funding(book)
    made = SideFactors(
        base=generator,
        laws=chosen,
        stables=[AtVenue(name=name, venue=venue) for name, venue in sorted(_stables(pools))],
        marks=[AtVenue(name=coin, venue=venue) for coin, venue in sorted(marks)],
        funding=funding,
    )
    coins = {coin for coin, _ in marks}
    return Market(
        pools=moved,
        generator=made,
        warnings=tuple(_warnings(chosen, coins, {venue for _, venue in marks})),
        not_modelled=tuple(_not_modelled(pools)),
    )


def with_stables(pool: MarginPool) -> MarginPool:
    """Return a pool whose stable coins are price factors of its venue, where it counts in USD."""
    held = _held_stables(pool)
    if not held:
        return pool
    factors, index = list(pool.factors), np.array(pool.assets.factor_index)
    for row in held:
        name = AtVenue(name=pool.assets.assets[row], venue=pool.venue).id
        if name not in factors:
            factors.append(name)
        index[row] = factors.index(name)
    return replace(pool, factors=tuple(factors), assets=replace(pool.assets, factor_index=frozen_index(index)))


def _held_stables(pool: MarginPool) -> list[int]:
    if pool.unit != "USD":
        return []
    assets = pool.assets
    return [
        row
        for row, name in enumerate(assets.assets)
        if is_pegged(name) and name.upper() != "USD" and assets.factor_index[row] < 0
    ]


def _stables(pools: Sequence[MarginPool]) -> set[tuple[str, str]]:
    """Return the stable coins that any pool holds or is quoted in, with their venues."""
    found = set()
    for pool in pools:
        found |= {(pool.assets.assets[row], pool.venue) for row in _held_stables(pool)}
        if pool.unit != "USD" or pool.options.count:
            continue
        others = {quote for quote in pool.legs.quotes if quote != BASE_QUOTE}
        if others or (pool.assets.factor_index >= 0).any():
            found.add((BASE_QUOTE, pool.venue))
        found |= {(quote, pool.venue) for quote in others if is_pegged(quote) and quote != "USD"}
    return found


def _funding(book: Book) -> list[PerpetualFunding]:
    """Return the perpetuals whose funding the market states; others stay at their pessimistic cost."""
    found: dict[str, PerpetualFunding] = {}
    for account in book.accounts:
        for position in account.positions:
            instrument = book.instruments[(account.venue, position.symbol)]
            stated = book.market.funding(instrument_id=instrument.id, symbol=position.symbol)
            if instrument.kind is Kind.PERP and stated is not None:
                found[instrument.id] = PerpetualFunding(
                    instrument_id=instrument.id, coin=instrument.factor, venue=account.venue, start_per_hour=stated
                )
    return [found[name] for name in sorted(found)]


def _warnings(laws: SideLaws, coins: set[str], venues: set[str]) -> list[str]:
    found = []
    unknown = sorted(coin for coin in coins if coin not in laws.marks or coin not in laws.funding)
    if unknown:
        found.append(f"marks or funding of {', '.join(unknown)}: by the widest of the laws fitted on other coins")
    elsewhere = sorted(venues - {laws.clamp_venue})
    if elsewhere:
        found.append(f"marks and funding at {', '.join(elsewhere)}: by the laws of {laws.clamp_venue}")
    return found


def _not_modelled(pools: Sequence[MarginPool]) -> list[str]:
    notes = [
        "marks between the ends of the hours, and requirements on a mark that leaves its index",
        "differences of a coin's funding between venues beyond what they are now",
        "a peg that breaks for good: a stable coin comes back to its price in the book",
    ]
    counted = {pool.unit for pool in pools if is_pegged(pool.unit) and pool.unit != "USD"}
    counted |= {
        asset
        for pool in pools
        if pool.unit != "USD"
        for asset in pool.assets.assets
        if is_pegged(asset) and asset.upper() != "USD"
    }
    if counted:
        notes.append(f"moves of {', '.join(sorted(counted))} against USD in accounts that count in a stable coin alone")
    if any(pool.options.count for pool in pools):
        notes.append("the quote of contracts in accounts with options: one index in USD and in stable coins")
    return notes
