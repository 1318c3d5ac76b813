"""Paradex portfolio margin of an account: perpetuals and dated options, coin by coin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.model.explain import ExplainNode, summed
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.paradex import portfolio as rule
from margincover.venues.paradex.cross_model import FEE_NOTE, account_value, option_fee_provision, taker_fee

Paths = NDArray[np.float64]

SCAN_NOTE = (
    "portfolio margin is a beta of the venue: the floor of the upward volatility shock is read as a floor after term "
    "scaling, options are shocked on their forward without discounting; the side of the error is not known"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoinRule:
    """One base asset: its perpetuals and options by row, its index at ``as_of``, the factor that moves it."""

    base: str
    legs: tuple[int, ...]
    options: tuple[int, ...]
    index_usd: float
    factor: int
    parameters: rule.ParadexPortfolioParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexPortfolioMargin:
    """Model of an account in portfolio margin; nothing nets between coins."""

    coins: tuple[CoinRule, ...]
    funding_hours: float
    taker_fee_fraction: float
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    is_separable: bool = True
    initial_known: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return the account value: wallet, profits of perpetuals, and profits of options since entry."""
        return account_value(state)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what is held: USDC alone backs positions, at face value."""
        return held * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each coin."""
        return tuple(self._coin(state, coin, detailed) for coin in self.coins)

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative balance has no requirement of its own."""
        return ()

    def _coin(self, state: PoolState, coin: CoinRule, detailed: bool) -> Requirement:
        book = _portfolio(state, coin)
        losses = rule.scenario_losses_usd(portfolio=book, parameters=coin.parameters)
        scan = np.maximum(losses.max(axis=0), 0.0)
        deltas = rule.leg_deltas(book)
        floor = rule.minimum_delta_usd(deltas=deltas, spot=book.spot, parameters=coin.parameters)
        funding = self._funding(state, coin, book)
        fees = option_fee_provision(state, coin.options, self.taker_fee_fraction)
        for leg in coin.legs:
            fees = fees + state.leg_notional[leg] * self.taker_fee_fraction
        initial, maintenance = rule.portfolio_requirements_usd(
            scan_usd=scan,
            minimum_delta_usd=floor,
            funding_provision_usd=funding,
            fee_provision_usd=fees,
            parameters=coin.parameters,
        )
        trees: list[ExplainNode | None] = [None, None]
        if detailed:
            cells = _cells(coin, losses, scan, floor, state.pool.unit)
            provisions = (
                ExplainNode(
                    label="funding provision",
                    value=float(funding[0]),
                    unit=state.pool.unit,
                    detail=f"expected payment of {self.funding_hours:g} hours",
                ),
                ExplainNode(label="fee provision", value=float(fees[0]), unit=state.pool.unit),
            )
            trees = [
                _tree(coin, cells, factor, provisions, state.pool.unit)
                for factor in (coin.parameters.maintenance_factor, 1.0)
            ]
        return Requirement(
            label=coin.base,
            maintenance=maintenance,
            initial=initial,
            maintenance_tree=trees[0],
            initial_tree=trees[1],
        )

    def _funding(self, state: PoolState, coin: CoinRule, book: rule.ParadexPortfolio) -> Paths:
        rows, legs = list(coin.legs), state.pool.legs
        # The table counts a cost of the leg, the rule a payment of longs.
        paid_by_longs = legs.funding_per_hour[rows] * np.sign(legs.signed_size[rows]) * self.funding_hours
        return rule.funding_provision_usd(
            perpetual_quantity=book.perpetual_quantity,
            perpetual_mark=book.perpetual_mark,
            funding_8h=paid_by_longs[:, None],
        )


def build(request: ModelRequest) -> ParadexPortfolioMargin:
    """Return the model of an account in portfolio margin.

    Raises
    ------
    RulebookError
        If no scan grid is in force for a coin.
    InputError
        If the index of a coin or the funding of a perpetual is not stated.
    """
    legs, options = request.pool.legs, request.pool.options
    for name, symbol in zip(legs.instrument_ids, legs.symbols, strict=True):
        if request.market.funding(instrument_id=name, symbol=symbol) is None:
            raise InputError(
                f"no funding for {symbol}, of which the venue reserves the coming payments",
                account=request.account.id,
                field=f"market.funding_per_hour.{name}",
                allowed="a fraction of notional per hour",
            )
    provision = request.edition("portfolio_provision", "*")
    hours = provision.values["funding_hours"]
    assert isinstance(hours, int | float), "Invariant: the packaged hours are a number"
    editions, coins = [provision], []
    for base in dict.fromkeys((*legs.bases, *options.bases)):
        edition = request.edition("portfolio", base)
        editions.append(edition)
        rows = tuple(k for k in range(legs.count) if legs.bases[k] == base)
        held = tuple(k for k in range(options.count) if options.bases[k] == base)
        coins.append(
            CoinRule(
                base=base,
                legs=rows,
                options=held,
                index_usd=request.index(base),
                factor=int(legs.factor_index[rows[0]] if rows else options.factor_index[held[0]]),
                parameters=rule.ParadexPortfolioParameters.from_mapping(
                    edition.values, source=f"{edition.venue}.toml {edition.id}"
                ),
            )
        )
    fee_notes = (FEE_NOTE,) if options.count else ()
    return ParadexPortfolioMargin(
        coins=tuple(coins),
        funding_hours=float(hours),
        taker_fee_fraction=taker_fee(request),
        notes=(*edition_notes(editions, request.at), SCAN_NOTE, *fee_notes),
        editions=edition_uses(editions, request.at),
    )


def _portfolio(state: PoolState, coin: CoinRule) -> rule.ParadexPortfolio:
    legs, table = state.pool.legs, state.pool.options
    rows, held = list(coin.legs), list(coin.options)
    return rule.ParadexPortfolio(
        spot=coin.index_usd * state.factor_ratio[coin.factor],
        perpetual_quantity=legs.signed_size[rows][:, None],
        perpetual_mark=state.leg_price[rows],
        option_quantity=state.option_quantity[held][:, None],
        strike=table.strike[held][:, None],
        is_call=table.is_call[held][:, None],
        forward=state.option_forward[held],
        volatility=state.option_volatility[held],
        years=state.option_years[held][:, None],
    )


def _cells(coin: CoinRule, losses: Paths, scan: Paths, floor: Paths, unit: str) -> tuple[str, float]:
    """Return which of scan and floor binds in the first path, in words, and its size."""
    worst = int(np.argmax(losses[:, 0]))
    grid = coin.parameters
    scanned = (
        f"worst scenario {worst + 1} of {grid.weights.size}: spot {grid.spot_shocks[worst]:+.4g}, volatility "
        f"{grid.volatility_shocks[worst]:+.4g}, weight {grid.weights[worst]:.4g}: {float(scan[0]):,.8g} {unit}"
    )
    floored = f"minimum delta {float(floor[0]):,.8g} {unit}"
    if scan[0] >= floor[0]:
        return f"{scanned}; above {floored}", float(scan[0])
    return f"{floored}; above {scanned}", float(floor[0])


def _tree(
    coin: CoinRule, cells: tuple[str, float], factor: float, provisions: tuple[ExplainNode, ...], unit: str
) -> ExplainNode:
    text, net = cells
    detail = text if factor == 1.0 else f"{factor:.4g} of {net:,.8g}: {text}"
    scan = ExplainNode(label="scan risk or minimum delta", value=factor * net, unit=unit, detail=detail)
    return summed(coin.base, unit, (scan, *provisions))
