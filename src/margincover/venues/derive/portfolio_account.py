"""Derive's portfolio manager PM2 behind a pool: cash, collateral, one perpetual and the options of one underlying.

What is required is the mark to market less the net margin, so that equity less the requirement is the venue's net
margin. Options count at the rule's own discounted value, not at a mark that the book states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.explain import ExplainNode
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.units import years
from margincover.venues.derive import account, pm2
from margincover.venues.derive.account import Expiries
from margincover.venues.derive.parameters import CollateralHaircut, Pm2Parameters, StaticRate
from margincover.venues.derive.pm2_explain import portfolio_trees
from margincover.venues.derive.state import Pm2Holding, Pm2State
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import wallet_and_profit

Paths = NDArray[np.float64]

# From here to its expiry the venue averages an option's settlement price, and its shocks spare the settled part.
AVERAGING_YEARS = years(30.0 * 60.0)
# Share of the forward from which a stated mark is told to differ from the rule's value.
_LARGE_DIFFERENCE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioAccount:
    """Model of a PM2 subaccount.

    ``factor`` is -1 and ``leg`` is -1 where there is none. ``collaterals`` number the pool's assets, ``haircuts`` stand
    beside them. ``rate_per_year`` and ``expiry_confidence`` by expiry, confidences of the venue's feeds from 0 to 1.
    """

    base: str
    parameters: Pm2Parameters
    factor: int
    index_usd: float
    leg: int
    expiries: Expiries
    rate_per_year: tuple[float, ...]
    collaterals: tuple[int, ...]
    haircuts: tuple[CollateralHaircut, ...]
    spot_confidence: float
    perp_confidence: float
    expiry_confidence: tuple[float, ...]
    collateral_confidence: tuple[float, ...]
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return cash with profits and the rule's value of options, and the coins."""
        held = wallet_and_profit(state, with_options=False)
        if state.pool.options.count:
            legs = self.holding(state).legs
            value = pm2.option_value(legs=legs, state=self.state(state), parameters=self.parameters)
            held[state.pool.assets.assets.index(account.CASH)] += value
        return held

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return the mark to market of each asset; haircuts stand in ``requirements``."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return the requirement of the portfolio: the worst loss, contingencies, haircuts."""
        if self.factor < 0 and not self.collaterals:
            return ()
        holding, now = self.holding(state), self.state(state)
        margin = pm2.portfolio_margin(holding=holding, state=now, parameters=self.parameters)
        maintenance: Paths = margin.mark_to_market_usd - margin.maintenance_usd
        initial: Paths = margin.mark_to_market_usd - margin.initial_usd
        trees: tuple[ExplainNode | None, ExplainNode | None] = (None, None)
        if detailed:
            names = tuple(state.pool.assets.assets[k] for k in self.collaterals)
            trees = portfolio_trees(self.base, holding, now, self.parameters, names, state.pool.unit)
        return (
            Requirement(
                label=f"{self.base} portfolio",
                maintenance=maintenance,
                initial=initial,
                maintenance_tree=trees[0],
                initial_tree=trees[1],
            ),
        )

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: owed cash needs no margin of its own, and coins are part of the portfolio."""
        return ()

    def holding(self, state: PoolState) -> Pm2Holding:
        """Return what the pool holds, its cash and the profit of its perpetual apart."""
        return Pm2Holding(
            legs=account.legs_of(state, range(state.pool.options.count), self.expiries.row),
            cash_usd=0.0,
            perp_quantity=float(state.pool.legs.signed_size[self.leg]) if self.leg >= 0 else 0.0,
            # The amounts may differ from path to path: they stand in the collateral's price below.
            collateral_quantity=np.ones(len(self.collaterals)),
            collateral_maintenance_haircut=np.array([h.maintenance_haircut_fraction for h in self.haircuts]),
            collateral_extra_initial_haircut=np.array([h.extra_initial_haircut_fraction for h in self.haircuts]),
            collateral_is_risk_cancelling=np.array([h.is_risk_cancelling for h in self.haircuts], dtype=bool),
        )

    def state(self, state: PoolState) -> Pm2State:
        """Return the market as the rule reads it."""
        chosen, first = list(self.collaterals), list(self.expiries.first)
        usd = state.balance[chosen] * state.asset_price[chosen] * state.pool.unit_usd

        def column(values: tuple[float, ...]) -> Paths:
            return np.reshape(values, (len(values), 1))

        return Pm2State.of(
            n_legs=state.pool.options.count,
            n_expiries=len(first),
            n_collaterals=len(chosen),
            spot=account.spot_of(state, self.index_usd, self.factor) if self.factor >= 0 else np.ones(state.n_paths),
            stable_price=state.pool.unit_usd,
            perp_price=state.leg_price[self.leg] if self.leg >= 0 else 0.0,
            perp_pnl_usd=0.0,
            spot_confidence=self.spot_confidence,
            perp_confidence=self.perp_confidence,
            forward=state.option_forward[first],
            forward_fixed=np.zeros((len(first), 1)),
            years=state.option_years[first].reshape(-1, 1),
            rate_per_year=column(self.rate_per_year),
            expiry_confidence=column(self.expiry_confidence),
            volatility=state.option_volatility,
            collateral_price=usd,
            collateral_confidence=column(self.collateral_confidence),
        )


def build(request: ModelRequest) -> PortfolioAccount:
    """Return the model of a PM2 pool.

    Raises
    ------
    InputError
        If positions are on two underlyings, an option has no stated implied volatility, options of one expiry have
        different forwards, or the market states no index.
    RulebookError
        If the underlying has no parameters in force, or a coin has no haircut in them.
    NotSupportedError
        If a coin is borrowed, or an option is in the averaging before its expiry.
    """
    pool, coins = request.pool, account.coins_of(request.pool)
    base = _underlying(request, coins)
    parameters, editions = parameters_of(request, base)
    _require_options(request)
    expiries = account.expiries_of(pool, range(pool.options.count))
    rates, used, notes = _rates(request, expiries)
    editions += used
    factors = [
        *pool.legs.factor_index,
        *pool.options.factor_index,
        *(pool.assets.factor_index[k] for k in coins.values()),
    ]
    factor = next((int(f) for f in factors if f >= 0), -1)
    return PortfolioAccount(
        base=base,
        parameters=parameters,
        factor=factor,
        index_usd=request.index(base) if pool.legs.count or pool.options.count else 1.0,
        leg=0 if pool.legs.count else -1,
        expiries=expiries,
        rate_per_year=rates,
        collaterals=tuple(coins.values()),
        haircuts=tuple(_haircut(request, base, parameters.haircuts, coin) for coin in coins),
        spot_confidence=1.0,
        perp_confidence=1.0,
        expiry_confidence=(1.0,) * len(expiries.names),
        collateral_confidence=(1.0,) * len(coins),
        notes=(
            *account.shared_notes(request),
            *notes,
            *_mark_notes(pool, expiries, rates),
            *edition_notes(editions, request.at),
        ),
        editions=edition_uses(editions, request.at),
        # The worst scenario of a portfolio is a minimum over moves of all of it: parts of two factors do not add.
        is_separable=len(pool.factors) <= 1,
    )


def parameters_of(request: ModelRequest, base: str) -> tuple[Pm2Parameters, list[ParameterEdition]]:
    """Return the parameters of an underlying in force, and their edition; RulebookError without one."""
    edition = request.edition("PM2", base)
    return Pm2Parameters.from_mapping(edition.values, source=f"derive.toml {edition.id}"), [edition]


def _underlying(request: ModelRequest, coins: Mapping[str, int]) -> str:
    pool = request.pool
    bases = list(dict.fromkeys((*pool.legs.bases, *pool.options.bases)))
    if len(bases) > 1:
        raise InputError(
            f"positions are on {' and '.join(bases)}",
            account=pool.account_id,
            field="positions",
            allowed="one underlying: a portfolio-margin subaccount has one, another subaccount is another account",
        )
    if bases:
        return bases[0]
    moving = [pool.factors[pool.assets.factor_index[k]] for k in coins.values() if pool.assets.factor_index[k] >= 0]
    # Cash alone has no requirement under any underlying's parameters.
    return moving[0] if moving else "ETH"


def _haircut(
    request: ModelRequest, base: str, haircuts: Mapping[str, CollateralHaircut], coin: str
) -> CollateralHaircut:
    if coin not in haircuts:
        raise RulebookError(
            f"{coin} has no haircut in the portfolio margin of {base}",
            source="rules of derive",
            account=request.account.id,
            field=f"balances.{coin}",
            allowed=f"{', '.join(haircuts) or 'none'}, or is_collateral = false",
        )
    return haircuts[coin]


def _require_options(request: ModelRequest) -> None:
    stated = {p.symbol: p.implied_volatility for p in request.account.positions}
    table = request.pool.options
    for k, symbol in enumerate(table.symbols):
        found = stated.get(symbol)
        if found is None:
            found = request.market.option_volatility(instrument_id=table.instrument_ids[k], symbol=symbol)
        if found is None:
            raise InputError(
                f"no implied volatility for {symbol}; a mark alone does not say it, since marks are discounted",
                account=request.account.id,
                field="implied_volatility",
                allowed=f"implied_volatility on the position, or market.implied_volatility.'{symbol}' (0.6 is 60 %)",
            )
        if table.years[k] <= AVERAGING_YEARS:
            raise NotSupportedError(
                f"{symbol} expires within 30 minutes",
                account=request.account.id,
                field="as_of",
                allowed="an earlier instant: what has settled of the averaged price is not in the book",
            )


def _rates(
    request: ModelRequest, expiries: Expiries
) -> tuple[tuple[float, ...], list[ParameterEdition], tuple[str, ...]]:
    """Return the interest rate of each expiry, the edition of the static rate where it was needed, and notes."""
    if not expiries.names:
        return (), [], ()
    given = request.market.interest_rate_per_year
    missing = [name for name in expiries.names if name not in given]
    notes: tuple[str, ...] = (
        "options count at the rule's value (implied volatility, forward, interest rate), not at stated marks",
        "in the last 30 minutes before an expiry whole forwards are shocked; the venue spares the part that has "
        "settled: there either side may be the larger",
    )
    editions = []
    static = 0.0
    if missing:
        edition = request.edition("PM2_rate", "*")
        editions.append(edition)
        static = StaticRate.from_mapping(edition.values, source=f"derive.toml {edition.id}").rate_per_year
        longest = max(float(request.pool.options.years[k]) for k in expiries.first)
        notes += (
            f"no interest rate stated for {', '.join(missing)}: the static rate of {static:.4g} a year is used; a "
            f"point of rate moves the value of an option by at most {longest:.3g} %, on either side",
        )
    return tuple(given.get(name, static) for name in expiries.names), editions, notes


def _mark_notes(pool: MarginPool, expiries: Expiries, rates: tuple[float, ...]) -> tuple[str, ...]:
    """Return a note for each option whose stated mark is far from the rule's value, which counts."""
    table, notes = pool.options, []
    for k, symbol in enumerate(table.symbols):
        # Without a stated mark nothing is left over: the mark is the formula's.
        stated, rest = float(table.mark[k]), float(table.residual[k])
        discount = math.exp(-max(rates[expiries.row[k]], 0.0) * float(table.years[k]))
        difference = stated - (stated - rest) * discount
        if rest and abs(difference) > _LARGE_DIFFERENCE * float(table.forward[k]):
            notes.append(f"{symbol}: the stated mark is {difference:+.6g} from the rule's value, which is used")
    return tuple(notes)
