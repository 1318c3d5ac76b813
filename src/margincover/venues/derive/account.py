"""What both of Derive's managers read of a pool: expiries of its options, base coins, notes that hold for either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState
from margincover.venues.derive.auction import AuctionParameters
from margincover.venues.derive.state import OptionLegs
from margincover.venues.models import ModelRequest

# The venue has one forward for each expiry; what differs by more than printed digits is another expiry's.
_SAME_FORWARD = 1e-6
CASH = "USDC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiries:
    """Expiries of some options of a pool: ``row`` by option, ``names`` (``ETH-260327``) and first option by row."""

    row: tuple[int, ...]
    names: tuple[str, ...]
    first: tuple[int, ...]


def expiries_of(pool: MarginPool, options: Sequence[int]) -> Expiries:
    """Return the expiries of options, given by their numbers in the pool.

    Raises
    ------
    InputError
        If two options of one expiry have different forwards.
    """
    table = pool.options
    first: dict[str, int] = {}
    rows = []
    for option in options:
        _, day, *_ = table.symbols[option].split("-")
        name = f"{table.bases[option]}-{day[2:]}"
        start = first.setdefault(name, option)
        here, there = float(table.forward[option]), float(table.forward[start])
        if abs(here - there) > _SAME_FORWARD * there:
            raise InputError(
                f"{table.symbols[option]} has forward {here:g}, {table.symbols[start]} has {there:g}",
                account=pool.account_id,
                field="forward_price",
                allowed=f"one forward for all options of an expiry, best as market.forwards.'{name}'",
            )
        rows.append(list(first).index(name))
    return Expiries(row=tuple(rows), names=tuple(first), first=tuple(first.values()))


def legs_of(state: PoolState, options: Sequence[int], rows: Sequence[int]) -> OptionLegs:
    """Return the option legs of a state; an expired option has quantity 0."""
    chosen, table = list(options), state.pool.options
    return OptionLegs.of(
        expiry=rows,
        strike=table.strike[chosen],
        is_call=table.is_call[chosen],
        quantity_contracts=state.option_quantity[chosen],
    )


def coins_of(pool: MarginPool) -> dict[str, int]:
    """Return the collateral other than cash that a pool holds, name to number.

    Raises
    ------
    NotSupportedError
        If a coin is borrowed.
    """
    found = {}
    for number, (asset, amount) in enumerate(zip(pool.assets.assets, pool.assets.balance_native, strict=True)):
        if asset == CASH:
            continue
        if amount < 0:
            raise NotSupportedError(
                f"was {amount:g}",
                account=pool.account_id,
                field=f"balances.{asset}",
                allowed=f">= 0: only {CASH} may be borrowed here",
            )
        found[asset] = number
    return found


def spot_of(state: PoolState, index: float, factor: int) -> NDArray[np.float64]:
    """Return the index of an underlying in every state, USD [path]."""
    return np.asarray(index * state.factor_ratio[factor], dtype=np.float64)


def shared_notes(request: ModelRequest) -> tuple[str, ...]:
    """Return the notes that hold for both managers."""
    edition = request.edition("auction", "*")
    scale = AuctionParameters.from_mapping(edition.values, source=f"derive.toml {edition.id}").buffer_fraction
    pool = request.pool
    followers = [
        f"{asset} moves as {pool.factors[factor]} does: their ratio is held"
        for asset, factor in zip(pool.assets.assets, pool.assets.factor_index, strict=True)
        if factor >= 0 and pool.factors[factor] != asset
    ]
    return (
        *followers,
        "equity is the venue's mark to market and a requirement is that value less the venue's net margin: headroom is "
        "the venue's net maintenance margin",
        "oracle feeds are taken as fully trusted (confidence 1): where one is doubted the venue asks for more initial "
        "margin; maintenance does not change",
        f"once flagged, the venue sells the account until equity is {1.0 + scale:g} times maintenance"
        f"{'' if edition.confidence == 'CONFIRMED' else f' ({edition.confidence})'}",
    )
