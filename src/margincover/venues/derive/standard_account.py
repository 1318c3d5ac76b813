"""Derive's standard manager (SM) behind a pool: cash, base coins, perpetuals and options of several underlyings.

Underlyings do not offset each other. What is required is the mark to market of a part less its net margin, so that
equity less the requirement is the venue's net margin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import NotSupportedError, RulebookError
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.derive import account, standard
from margincover.venues.derive.account import Expiries
from margincover.venues.derive.parameters import PerpPrice, StandardParameters
from margincover.venues.derive.standard_explain import expiry_trees
from margincover.venues.derive.state import OptionLegs, StandardHolding, StandardState
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One underlying: its parameters, and what of the pool belongs to it.

    ``factor`` and ``collateral`` number the pool's factors and assets, ``leg`` and ``options`` its positions; -1 is
    none. Confidences are those of the venue's feeds, 0 to 1.
    """

    base: str
    parameters: StandardParameters
    factor: int
    index_usd: float
    leg: int
    options: tuple[int, ...]
    expiries: Expiries
    collateral: int
    spot_confidence: float
    perp_confidence: float
    option_confidence: tuple[float, ...]

    def state(self, state: PoolState) -> StandardState:
        """Return the market as the rule reads it."""
        chosen = list(self.options)
        spot = account.spot_of(state, self.index_usd, self.factor)
        perp = np.zeros(state.n_paths)
        if self.leg >= 0:
            perp = spot if self.parameters.perp_price is PerpPrice.INDEX else state.leg_price[self.leg]
        return StandardState.of(
            n_legs=len(chosen),
            n_expiries=len(self.expiries.names),
            spot=spot,
            stable_price=state.pool.unit_usd,
            forward=state.option_forward[list(self.expiries.first)],
            mark=state.option_mark[chosen],
            perp_price=perp,
            perp_pnl_usd=0.0,
            spot_confidence=self.spot_confidence,
            perp_confidence=self.perp_confidence,
            option_confidence=np.reshape(self.option_confidence, (len(chosen), 1)),
        )

    def holding(self, state: PoolState) -> StandardHolding:
        """Return what the pool holds of the underlying, its base coin apart."""
        perp = float(state.pool.legs.signed_size[self.leg]) if self.leg >= 0 else 0.0
        return StandardHolding(
            legs=account.legs_of(state, self.options, self.expiries.row), perp_quantity=perp, base_quantity=0.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardAccount:
    """Model of a subaccount under the standard manager."""

    markets: tuple[Market, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return cash with profits and the marks of options, and the coins."""
        return wallet_and_profit(state, with_options=True)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the mark to market of each asset; haircuts stand in ``account_requirements``."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each perpetual, each expiry of options, and the contingencies of an underlying."""
        done: list[Requirement] = []
        for market in self.markets:
            now, holding = market.state(state), market.holding(state)
            if market.leg >= 0:
                done.append(_perp_requirement(state, market, now))
            done += _option_requirements(market, holding, now, detailed=detailed, unit=state.pool.unit)
            contingency = _contingency(market, holding, now)
            if contingency is not None:
                done.append(contingency)
        return tuple(done)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return the haircuts of base coins, and what initial margin adds where their feed is doubted."""
        coins = [market for market in self.markets if market.collateral >= 0]
        return tuple(_coin_requirement(pool, market, held, asset_price) for market in coins)


def build(request: ModelRequest) -> StandardAccount:
    """Return the model of a pool under the standard manager.

    Raises
    ------
    InputError
        If the market states no index of an underlying, or options of one expiry have different forwards.
    RulebookError
        If an underlying or a coin has no parameters in force.
    NotSupportedError
        If a coin is borrowed, or the rules give its collateral no credit.
    """
    pool = request.pool
    coins = account.coins_of(pool)
    bases = dict.fromkeys((*pool.legs.bases, *pool.options.bases))
    for coin in coins:
        bases.setdefault(coin)
    parts = [_market(request, base, coins) for base in bases]
    editions = [edition for _, edition in parts]
    return StandardAccount(
        markets=tuple(market for market, _ in parts),
        notes=(*account.shared_notes(request), *edition_notes(editions, request.at)),
        editions=edition_uses(editions, request.at),
    )


def parameters_of(request: ModelRequest, base: str) -> tuple[StandardParameters, ParameterEdition]:
    """Return the parameters of an underlying in force, and their edition; RulebookError without one."""
    edition = request.edition("SM", base)
    return StandardParameters.from_mapping(edition.values, source=f"derive.toml {edition.id}"), edition


def _market(request: ModelRequest, base: str, coins: dict[str, int]) -> tuple[Market, ParameterEdition]:
    pool, coin = request.pool, coins.get(base, -1)
    legs = [k for k, name in enumerate(pool.legs.bases) if name == base]
    options = tuple(k for k, name in enumerate(pool.options.bases) if name == base)
    try:
        parameters, edition = parameters_of(request, base)
    except RulebookError as error:
        if legs or options:
            raise
        raise RulebookError(
            f"{base} ({pool.assets.balance_native[coin]:g} held) is no collateral of the standard manager",
            account=pool.account_id,
            field=f"balances.{base}",
            allowed=f"a base coin that has parameters ({error.allowed}), or is_collateral = false",
        ) from error
    if coin >= 0 and pool.assets.balance_native[coin] > 0 and parameters.base_margin_fraction == 0.0:
        raise NotSupportedError(
            f"was {pool.assets.balance_native[coin]:g}",
            account=pool.account_id,
            field=f"balances.{base}",
            allowed="0, or is_collateral = false: the rules give this coin no credit",
        )
    factors = [*pool.legs.factor_index[legs], *pool.options.factor_index[list(options)]]
    factor = int(factors[0]) if factors else int(pool.assets.factor_index[coin])
    market = Market(
        base=base,
        parameters=parameters,
        factor=factor,
        index_usd=request.index(base),
        leg=legs[0] if legs else -1,
        options=options,
        expiries=account.expiries_of(pool, options),
        collateral=coin,
        spot_confidence=1.0,
        perp_confidence=1.0,
        option_confidence=(1.0,) * len(options),
    )
    return market, edition


def _perp_requirement(state: PoolState, market: Market, now: StandardState) -> Requirement:
    p, size = market.parameters, float(state.pool.legs.signed_size[market.leg])
    margin = standard.perp_margin(quantity=size, price=now.perp_price, pnl_usd=now.perp_pnl_usd, parameters=p)
    return Requirement(
        label=state.pool.legs.symbols[market.leg],
        maintenance=-margin.maintenance_usd,
        initial=-margin.initial_usd,
        detail=f"{p.perp_maintenance_fraction:.4g} (initial {p.perp_initial_fraction:.4g}) of {abs(size):,.8g} at the "
        f"{p.perp_price.value} {float(now.perp_price[0]):,.8g}",
    )


def _option_requirements(
    market: Market, holding: StandardHolding, now: StandardState, *, detailed: bool, unit: str
) -> list[Requirement]:
    done = []
    for row, name in enumerate(market.expiries.names):
        legs, part = one_expiry(holding.legs, now, row)
        margin = standard.option_margin(legs=legs, state=part, parameters=market.parameters)
        symbols = [market.options[k] for k in np.flatnonzero(holding.legs.expiry == row)]
        trees = expiry_trees(name, legs, part, market.parameters, unit) if detailed else (None, None)
        done.append(
            Requirement(
                label=f"{name} options",
                maintenance=margin.mark_to_market_usd - margin.maintenance_usd,
                initial=margin.mark_to_market_usd - margin.initial_usd,
                detail=f"value of {len(symbols)} options less their net margin",
                maintenance_tree=trees[0],
                initial_tree=trees[1],
            )
        )
    return done


def one_expiry(legs: OptionLegs, state: StandardState, row: int) -> tuple[OptionLegs, StandardState]:
    """Return the legs of one expiry, and the state with their rows alone."""
    chosen = np.flatnonzero(legs.expiry == row)
    part = OptionLegs.of(
        expiry=np.zeros(chosen.size, dtype=np.int32),
        strike=legs.strike[chosen],
        is_call=legs.is_call[chosen],
        quantity_contracts=legs.quantity_contracts[chosen],
    )
    return part, replace(
        state,
        forward=state.forward[[row]],
        mark=state.mark[chosen],
        option_confidence=state.option_confidence[chosen],
    )


def _contingency(market: Market, holding: StandardHolding, now: StandardState) -> Requirement | None:
    p = market.parameters
    depeg = standard.depeg_contingency(holding=holding, state=now, parameters=p)
    doubt = standard.oracle_contingency(holding=holding, state=now, parameters=p)
    if not (depeg.any() or doubt.any()):
        return None
    return Requirement(
        label=f"{market.base} depeg and oracle contingency",
        maintenance=np.zeros_like(depeg),
        initial=depeg + doubt,
        detail=f"depeg {float(depeg[0]):,.8g}, oracle {float(doubt[0]):,.8g}; initial margin only",
    )


def _coin_requirement(pool: MarginPool, market: Market, held: Paths, asset_price: Paths) -> Requirement:
    p, quantity = market.parameters, held[market.collateral]
    spot = asset_price[market.collateral] * pool.unit_usd
    margin = standard.base_margin(quantity=quantity, spot=spot, stable_price=pool.unit_usd, parameters=p)
    # Doubt about the feed counts on the amount, as it does for positions.
    doubt = np.zeros_like(quantity)
    if market.spot_confidence < p.confidence_threshold_fraction:
        doubt = (1.0 - market.spot_confidence) * p.oracle_factor * spot * np.abs(quantity)
    return Requirement(
        label=f"{market.base} haircut",
        maintenance=margin.mark_to_market_usd - margin.maintenance_usd,
        initial=margin.mark_to_market_usd - margin.initial_usd + doubt,
        detail=f"{p.base_margin_fraction:.4g} of the value counts, of that {p.base_initial_scale_fraction:.4g} for "
        "initial margin",
    )
