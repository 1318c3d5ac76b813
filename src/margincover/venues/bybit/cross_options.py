"""Bybit cross margin of the unified account with options: tiers, option margins, borrowing.

The margin balance is the wallet with the profit of perpetuals and futures after the collateral ladders, without the
value of options; the mark of a short option stands in its requirement instead. A long option needs nothing.

References
----------
Bybit help centre: Glossary (2026-03-13), options 000001546 (2023-12-04), borrowing (2025-10-22); read 2026-11-22.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.explain import ExplainNode, summed
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.bybit import account, options
from margincover.venues.bybit.options import OptionParameters, ShortOption
from margincover.venues.bybit.portfolio import BorrowParameters, borrow_amount
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import counted_by_ladder, wallet_and_profit

Paths = NDArray[np.float64]
_BORROW_NOTE = (
    "along paths the margin of a coin borrowed because of short options leaves out funding and settlements since the "
    "start: an error of the borrow rate (4 %) times these, to either side; now it is exact"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossOptions:
    """Model of a cross account that holds options; ``options`` are the factors by option, ``borrow`` terms by asset."""

    options: tuple[OptionParameters, ...]
    borrow: tuple[BorrowParameters, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool
    initial_known: bool

    def held(self, state: PoolState) -> Paths:
        """Return wallet and profits: options do not count in the margin balance."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the margin balance of each asset by its collateral ladder."""
        return counted_by_ladder(pool, held, asset_price)

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the requirement of each leg, of each short option, and of what short options make borrow.

        The last one depends on the state's wallet and profits as well; see ``_is_separable``.
        """
        legs = tuple(account.leg_requirement(state, leg, detailed=detailed) for leg in range(state.pool.legs.count))
        shorts = tuple(
            self._option(state, k, detailed=detailed)
            for k in range(state.pool.options.count)
            if float(state.option_quantity[k]) < 0.0
        )
        return legs + shorts + (self._borrowed_by_options(state) if shorts else ())

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the margin of coins whose wallet and profits are negative: the venue borrows them."""
        borrowed = borrow_amount(held, frozen=0.0, option_buy_initial=0.0, positive_option_value=0.0)
        return account.borrow_requirements(pool, borrowed, asset_price, self.borrow, label="borrowed")

    def _borrowed_by_options(self, state: PoolState) -> tuple[Requirement, ...]:
        """Return the margin of what is borrowed because coin equity holds the negative value of short options.

        Notes
        -----
        Borrow = |min(0, equity - positive option value)|, and equity is wallet, profits and options; the part without
        options is charged by ``account_requirements``.
        """
        held, pool = self.held(state), state.pool
        value = np.zeros_like(held)
        positive = np.zeros_like(held)
        for k, asset in enumerate(pool.options.asset_index):
            value[asset] += state.option_value[k]
            positive[asset] += np.maximum(state.option_value[k], 0.0)
        whole = borrow_amount(held + value, frozen=0.0, option_buy_initial=0.0, positive_option_value=positive)
        own = borrow_amount(held, frozen=0.0, option_buy_initial=0.0, positive_option_value=0.0)
        more = np.maximum(whole - own, 0.0)
        label = "borrowed for short options"
        return account.borrow_requirements(pool, more, state.asset_price, self.borrow, label=label)

    def _option(self, state: PoolState, k: int, *, detailed: bool) -> Requirement:
        """Return the requirement of one short option."""
        table, quantity = state.pool.options, float(state.option_quantity[k])
        price = state.asset_price[table.asset_index[k]]
        index, mark, rates = state.option_index[k], state.option_mark[k], self.options[k]
        leg = ShortOption(
            index_price=index,
            strike=float(table.strike[k]),
            is_call=bool(table.is_call[k]),
            mark_price=mark,
            entry_price=float(table.entry[k]),
        )
        maintenance = options.position_maintenance(
            quantity=quantity, index_price=index, mark_price=mark, parameters=rates
        )
        initial = options.position_initial(quantity=quantity, option=leg, parameters=rates)
        trees = self._trees(state, k) if detailed else (None, None)
        return Requirement(
            label=table.symbols[k],
            maintenance=maintenance * price,
            initial=initial * price,
            maintenance_tree=trees[0],
            initial_tree=trees[1],
        )

    def _trees(self, state: PoolState, k: int) -> tuple[ExplainNode, ExplainNode]:
        """Return the trees of maintenance and initial margin of a short option on the first path."""
        table, unit, rates = state.pool.options, state.pool.unit, self.options[k]
        index, mark = float(state.option_index[k, 0]), float(state.option_mark[k, 0])
        size = -float(state.option_quantity[k]) * float(state.asset_price[table.asset_index[k], 0])
        entry, strike = float(table.entry[k]), float(table.strike[k])

        def node(label: str, per_coin: float, detail: str) -> ExplainNode:
            return ExplainNode(label=label, value=per_coin * size, unit=unit, detail=detail)

        rate, fee = rates.maintenance_fraction, rates.liquidation_fee_fraction
        maintenance: tuple[ExplainNode, ...] = (
            node("rate x index or mark", rate * max(index, mark), f"{rate:.4%} of {max(index, mark):,.10g}"),
            node("mark", mark, f"{mark:,.10g} per coin"),
            node("liquidation fee", fee * index, f"{fee:.4%} of {index:,.10g}"),
        )
        otm = max(strike - index, 0.0) if table.is_call[k] else max(index - strike, 0.0)
        least = rates.minimum_initial_fraction * index
        base = max(rates.initial_fraction * index - otm, least)
        text = f"{rates.initial_fraction:.4%} of {index:,.10g} less {otm:,.10g}, at least {least:,.10g}"
        initial: tuple[ExplainNode, ...] = (
            node("rate x index less out of the money", base, text),
            node("entry or mark", max(entry, mark), f"the larger of {entry:,.10g} and {mark:,.10g}"),
        )
        lower = sum(part.value for part in initial) < sum(part.value for part in maintenance)
        if lower:
            initial = (node("maintenance", sum(p.value for p in maintenance) / size, "never below maintenance"),)
        name = table.symbols[k]
        return summed(name, unit, maintenance), summed(name, unit, initial)


def build(request: ModelRequest) -> CrossOptions:
    """Return the model of a cross account with options.

    Raises
    ------
    RulebookError
        If the option factors of a coin are not known.
    """
    pool = request.pool
    editions = [request.edition("option", base) for base in pool.options.bases]
    terms, borrowing = account.borrow_parameters(request)
    used = [*editions, *borrowing]
    shorts = (_BORROW_NOTE,) if np.any(pool.options.quantity < 0.0) else ()
    return CrossOptions(
        options=tuple(OptionParameters.from_mapping(e.values, source=f"{e.venue}.toml {e.id}") for e in editions),
        borrow=terms,
        notes=(*account.hedge_note(pool), *shorts, *edition_notes(used, request.at)),
        editions=edition_uses(used, request.at),
        is_separable=_is_separable(pool),
        initial_known=bool(pool.legs.initial_known.all()),
    )


def _is_separable(pool: MarginPool) -> bool:
    """Return whether each asset that short options settle in is moved by one factor alone.

    What short options make borrow depends on all profits in their coin together.
    """
    options, legs = pool.options, pool.legs
    for asset in {int(a) for a, q in zip(options.asset_index, options.quantity, strict=True) if q < 0.0}:
        factors = {int(f) for f, a in zip(options.factor_index, options.asset_index, strict=True) if a == asset}
        factors |= {int(f) for f, a in zip(legs.factor_index, legs.asset_index, strict=True) if a == asset}
        if len(factors) > 1:
            return False
    return True
