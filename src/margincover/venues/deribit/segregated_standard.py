"""Deribit segregated standard margin (S:SM) of one currency: what is held and what the positions require.

The margin balance is the wallet with the profit of futures and without the value of options, whose marks stand in the
requirement of short options instead. Hedges do not net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, NotSupportedError
from margincover.model.parameter_edition import ParameterEdition
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
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardRates:
    """Parameters of a pool's positions in standard margin.

    ``futures`` and ``options`` hold the parameters by leg, ``leg_index`` the index by leg in its quote asset.
    """

    futures: tuple[FutureIncrementParameters | FutureCurveParameters, ...]
    leg_index: tuple[float, ...]
    options: tuple[OptionParameters, ...]
    notes: tuple[str, ...] = ()

    def requirements(self, state: PoolState) -> list[tuple[int, Requirement]]:
        """Return the requirement of each future and each short option in its settle asset, with that asset's row."""
        pairs = zip(self.futures, self.leg_index, strict=True)
        done = [
            (int(state.pool.legs.asset_index[leg]), future_requirement(state, leg, p, i))
            for leg, (p, i) in enumerate(pairs)
        ]
        return done + option_requirements(state, self.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegregatedStandard:
    """Model of one currency."""

    rates: StandardRates
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
        return tuple(part for _, part in self.rates.requirements(state))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance has no requirement of its own."""
        return ()


def build(request: ModelRequest) -> SegregatedStandard:
    """Return the model of a segregated pool in standard margin."""
    rates, editions = standard_rates(request)
    return SegregatedStandard(
        rates=rates,
        notes=(*rates.notes, *edition_notes(editions, request.at)),
        editions=edition_uses(editions, request.at),
    )


def standard_rates(request: ModelRequest) -> tuple[StandardRates, Sequence[ParameterEdition]]:
    """Return the parameters of each future and each option of a pool, and the editions they come from.

    Raises
    ------
    RulebookError
        If no edition is in force for a coin.
    NotSupportedError
        If a position lies where the leverage curve is not published and states no maintenance rate.
    InputError
        If a position states a maintenance rate that the rule has no place for.
    """
    legs, table = request.pool.legs, request.pool.options
    editions = [request.edition(future_mode(request.pool, k), legs.bases[k]) for k in range(legs.count)]
    index = tuple(0.0 if legs.inverse[k] else request.index(legs.bases[k], legs.quotes[k]) for k in range(legs.count))
    futures, notes = [], []
    for k, edition in enumerate(editions):
        found = future_parameters(edition.values, source=f"{edition.venue}.toml {edition.id}")
        chosen, note = _with_stated_rate(request, k, found)
        futures.append(chosen)
        notes += note
    for symbol in table.symbols:
        _refuse_rate(request, symbol, "an option")
    chosen_options = [
        request.edition("option_inverse" if table.inverse[k] else "option_linear", table.bases[k])
        for k in range(table.count)
    ]
    options = tuple(OptionParameters.from_mapping(e.values, source=f"{e.venue}.toml {e.id}") for e in chosen_options)
    rates = StandardRates(futures=tuple(futures), leg_index=index, options=options, notes=tuple(dict.fromkeys(notes)))
    return rates, [*editions, *chosen_options]


def _with_stated_rate(
    request: ModelRequest, leg: int, found: FutureIncrementParameters | FutureCurveParameters
) -> tuple[FutureIncrementParameters | FutureCurveParameters, list[str]]:
    """Return the parameters of a leg; where the curve is not published, those that the position's own rate implies."""
    legs, symbol = request.pool.legs, request.pool.legs.symbols[leg]
    if isinstance(found, FutureIncrementParameters):
        _refuse_rate(request, symbol, "a future whose rates are published")
        return found, []
    size = abs(float(legs.signed_size[leg])) / (float(legs.mark_price[leg]) if legs.inverse[leg] else 1.0)
    known = 0.0 if found.max_position_coin is None else found.small_position_fraction * found.max_position_coin
    stated = _stated_rate(request, symbol)
    if stated is not None:
        leverage = found.maintenance_of_initial_fraction / stated
        kept = replace(
            found, small_position_leverage=leverage, large_position_leverage=leverage, max_position_coin=None
        )
        return kept, [
            f"{symbol}: the maintenance rate of {stated:.4%} stated with the position is kept at all prices, which "
            "may be too low where the position grows in coin as the price falls; "
            f"initial margin is taken as {1.0 / found.maintenance_of_initial_fraction:.4g} times maintenance"
        ]
    # An inverse position grows in coin as the price falls: without the lowest leverage no size of it is safe.
    if found.large_position_leverage is None and (size > known or legs.inverse[leg]):
        raise NotSupportedError(
            f"{symbol} of {size:,.8g} {legs.bases[leg]} has a leverage curve that is not published: neither the "
            "largest position nor the lowest leverage is known",
            account=request.account.id,
            field="maintenance_fraction",
            allowed="maintenance_fraction on the position: the venue's maintenance margin over the position's size",
        )
    if size <= known:
        return found, []
    return found, [
        f"{symbol}: {size:,.8g} {legs.bases[leg]} lie where the leverage curve is not published; its lowest leverage "
        f"{found.large_position_leverage:g} is taken, which is never below the venue's margin"
    ]


def _stated_rate(request: ModelRequest, symbol: str) -> float | None:
    """Return the maintenance rate that the position in a symbol states, > 0."""
    for position in request.account.positions:
        if position.symbol != symbol:
            continue
        rate = position.maintenance_fraction
        if position.maintenance_deduction_native is not None or rate == 0.0:
            raise InputError(
                f"{symbol} states a maintenance rate of {rate} with deduction {position.maintenance_deduction_native}",
                account=request.account.id,
                field="maintenance_fraction",
                allowed="a fraction > 0 without a deduction",
            )
        return rate
    return None


def _refuse_rate(request: ModelRequest, symbol: str, what: str) -> None:
    if _stated_rate(request, symbol) is not None:
        raise InputError(
            f"{symbol} is {what} and states a maintenance rate",
            account=request.account.id,
            field="maintenance_fraction",
            allowed="none: it is for futures on the part of the leverage curve that is not published",
        )


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


def option_requirements(state: PoolState, parameters: Sequence[OptionParameters]) -> list[tuple[int, Requirement]]:
    """Return the requirement of each short option in its settle asset, with that asset's row; long ones need none."""
    table = state.pool.options
    done: list[tuple[int, Requirement]] = []
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
        part = Requirement(
            label=table.symbols[k], maintenance=margin.maintenance, initial=margin.initial, detail=detail
        )
        done.append((int(table.asset_index[k]), part))
    return done
