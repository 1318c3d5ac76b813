"""Deribit segregated standard margin (S:SM) of one currency: what is held and what the positions require.

The margin balance is the wallet with the profit of futures and without the value of options, whose marks stand in the
requirement of short options instead. Hedges do not net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.deribit import standard
from margincover.venues.deribit.parameters import (
    FutureCurveParameters,
    FutureIncrementParameters,
    OptionParameters,
    future_parameters,
)
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.parameters import ParameterEdition
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegregatedStandard:
    """Model of one currency; ``futures`` and ``options`` hold the parameters by leg, ``leg_index`` the index by leg."""

    futures: tuple[FutureIncrementParameters | FutureCurveParameters, ...]
    leg_index: tuple[float, ...]
    options: tuple[OptionParameters, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the margin balance: options count in the requirement, not here."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: one currency, no haircut."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each future and each short option."""
        pairs = zip(self.futures, self.leg_index, strict=True)
        legs = [future_requirement(state, leg, p, i) for leg, (p, i) in enumerate(pairs)]
        return (*legs, *option_requirements(state, self.options))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance has no requirement of its own."""
        return ()


def build(request: ModelRequest) -> SegregatedStandard:
    """Return the model of a segregated pool in standard margin."""
    futures, options, editions = standard_parameters(request)
    legs = request.pool.legs
    return SegregatedStandard(
        futures=futures,
        leg_index=tuple(
            0.0 if legs.inverse[k] else request.index(legs.bases[k], legs.quotes[k]) for k in range(legs.count)
        ),
        options=options,
        notes=edition_notes(editions, request.at),
        editions=edition_uses(editions, request.at),
    )


def standard_parameters(
    request: ModelRequest,
) -> tuple[
    tuple[FutureIncrementParameters | FutureCurveParameters, ...],
    tuple[OptionParameters, ...],
    Sequence[ParameterEdition],
]:
    """Return the parameters of each future and each option of a pool, and the editions they come from.

    Raises
    ------
    RulebookError
        If no edition is in force for a coin.
    """
    legs, table = request.pool.legs, request.pool.options
    editions = [request.edition(future_mode(request.pool, k), legs.bases[k]) for k in range(legs.count)]
    futures = tuple(future_parameters(e.values, source=f"{e.venue}.toml {e.id}") for e in editions)
    chosen = [
        request.edition("option_inverse" if table.inverse[k] else "option_linear", table.bases[k])
        for k in range(table.count)
    ]
    options = tuple(OptionParameters.from_mapping(e.values, source=f"{e.venue}.toml {e.id}") for e in chosen)
    return futures, options, [*editions, *chosen]


def future_mode(pool: MarginPool, leg: int) -> str:
    """Return the parameter mode of a leg: payoff, and whether it is dated."""
    payoff = "inverse" if pool.legs.inverse[leg] else "linear"
    return f"{payoff}_{'future' if pool.legs.years[leg] > 0.0 else 'perpetual'}"


def future_requirement(
    state: PoolState, leg: int, parameters: FutureIncrementParameters | FutureCurveParameters, index: float
) -> Requirement:
    """Return the requirement of one future in its settle asset; ``index`` is read for linear legs only.

    Sizes on the part of the leverage curve that is not published count at its lowest leverage.
    """
    legs = state.pool.legs
    if legs.inverse[leg]:
        size, price = state.leg_notional[leg], np.ones(state.n_paths)
    else:
        size = np.full(state.n_paths, abs(float(legs.signed_size[leg])))
        price = index * state.factor_ratio[legs.factor_index[leg]]
    leverage = float(legs.leverage[leg]) or None
    if isinstance(parameters, FutureIncrementParameters):
        margin = standard.increment_margin(size, parameters=parameters, unit_price=price, chosen_leverage=leverage)
    else:
        margin = standard.curve_margin(
            size,
            parameters=parameters,
            unknown_curve=standard.UnknownCurve.PESSIMISTIC,
            unit_price=price,
            chosen_leverage=leverage,
        )
    value = float(size[0] * price[0])
    detail = (
        f"{float(margin.maintenance[0]) / value:.4%} of {value:,.8g} {state.pool.assets.assets[legs.asset_index[leg]]}"
    )
    return Requirement(label=legs.symbols[leg], maintenance=margin.maintenance, initial=margin.initial, detail=detail)


def option_requirements(state: PoolState, parameters: Sequence[OptionParameters]) -> list[Requirement]:
    """Return the requirement of each short option in its settle asset; long options need none."""
    table, done = state.pool.options, []
    for k, rates in enumerate(parameters):
        quantity = float(state.option_quantity[k])
        if quantity >= 0.0:
            continue
        common = {
            "index_usd": state.option_index[k],
            "strike_usd": float(table.strike[k]),
            "is_call": bool(table.is_call[k]),
            "parameters": rates,
        }
        if table.inverse[k]:
            margin = standard.inverse_option_margin(quantity, mark_coin=state.option_mark[k], **common)
        else:
            margin = standard.linear_option_margin(quantity, mark_usd=state.option_mark[k], **common)
        asset = state.pool.assets.assets[table.asset_index[k]]
        detail = f"{-quantity:,.8g} short at mark {float(state.option_mark[k, 0]):,.8g} {asset}"
        done.append(
            Requirement(label=table.symbols[k], maintenance=margin.maintenance, initial=margin.initial, detail=detail)
        )
    return done
