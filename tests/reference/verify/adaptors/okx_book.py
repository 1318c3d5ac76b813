"""OKX cases of further modes as accounts of a book: options, pairs, accounts with several fees, portfolio margin.

What a book cannot state (a fee of its own for each leg, factors of a rule that the case changes) is put in the place of
the pool's parameters; everything else goes through ``resolve``, ``build_pools`` and ``pool_statuses``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from margincover.coverage.status import pool_statuses
from margincover.model.account import Account
from margincover.model.book import BookInput, InstrumentOverride
from margincover.model.explain import ExplainNode
from margincover.model.market import MarketState
from margincover.model.pool import MarginPool
from margincover.model.position import Balance, Position
from margincover.model.results import PoolStatus
from margincover.numeric.arrays import frozen
from margincover.venues import margin
from margincover.venues.explain import explain_pool
from margincover.venues.liquidation_price import nearest_roots
from margincover.venues.okx import options, portfolio
from margincover.venues.okx.futures_model import FuturesModel
from margincover.venues.okx.multi_currency import BorrowParameters
from margincover.venues.okx.multi_currency_model import MultiCurrencyModel
from margincover.venues.okx.portfolio_model import PortfolioModel, unit_charges
from margincover.venues.pools import build_pools
from margincover.venues.registry import RuleSource
from margincover.venues.resolve import resolve
from margincover.venues.revalue import revalue

AT = datetime(2026, 6, 30, tzinfo=UTC)
_LADDER = """
venue = "okx"
[[edition]]
id = "case-loans"
block = "collateral"
valid_from = 2021-01-01
observed = 2026-06-30
source = "the case"
retrieved = "2026-11-24"
confidence = "CONFIRMED"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One linear swap: coins, prices in the quote asset; ``rate`` is the maintenance rate that the case states."""

    symbol: str
    size: float
    mark: float
    entry: float
    rate: float = 0.0


def ladders(rates: Mapping[str, float]) -> RuleSource:
    """Return a rule text in which each coin counts in full and loans have the stated maintenance rate."""
    rows = "".join(
        f"[edition.collateral.{coin}]\nslices = [[0, inf, 1.0]]\nborrow_maintenance_fraction = {rate!r}\n"
        for coin, rate in rates.items()
    )
    return RuleSource(text=_LADDER + rows, source="the case")


def account_pool(
    mode: str,
    balances: Sequence[Balance],
    *,
    prices: Mapping[str, float],
    legs: Sequence[Leg] = (),
    positions: Sequence[Position] = (),
    fee: float | None = None,
    rules: Sequence[RuleSource] = (),
    sizes: Mapping[str, float] | None = None,
) -> MarginPool:
    """Return the pool of an account; ``sizes`` are contract sizes of ``positions``, swaps in ``legs`` count coins."""
    counted = {**dict.fromkeys((leg.symbol for leg in legs), 1.0), **(sizes or {})}
    book = resolve(
        BookInput(
            as_of=AT,
            accounts=(
                Account(
                    id="okx:case",
                    venue="okx",
                    mode=mode,
                    positions=(*(_swap(leg) for leg in legs), *positions),
                    balances=tuple(balances),
                    taker_fee_fraction=fee,
                ),
            ),
            market=MarketState(as_of=AT, observed_at=AT, asset_usd=dict(prices)),
            instrument_overrides=tuple(
                InstrumentOverride(venue="okx", symbol=symbol, multiplier=size, tick=None)
                for symbol, size in counted.items()
            ),
            source="case",
        ),
        extra_rules=rules,
    )
    (pool,) = build_pools(book)
    return pool


def _swap(leg: Leg) -> Position:
    return Position(
        symbol=leg.symbol,
        contracts=leg.size,
        entry_price=leg.entry,
        mark_price=leg.mark,
        leverage=10.0,
        maintenance_fraction=leg.rate,
    )


def status_of(pool: MarginPool) -> PoolStatus:
    """Return the status of one pool."""
    return pool_statuses((pool,))[0]


def figure(pool: MarginPool, label: str) -> float:
    """Return a part of the maintenance margin by its label in the pool's explanation; 0 where it has none."""

    def parts(node: ExplainNode) -> float:
        return node.value if node.label == label else sum(parts(child) for child in node.children)

    return parts(explain_pool(pool)[1])


def option_margins(
    base: str, *, quantity: float, state: options.OptionState, rule: options.OptionParameters
) -> tuple[float, float]:
    """Return (initial, maintenance) of a short coin-margined option, as the page states them: without a closing fee."""
    strike, right = float(np.asarray(state.strike)), "C" if bool(state.is_call) else "P"
    symbol, forward = f"{base}-USD-260925-{strike:.12g}-{right}", float(np.asarray(state.forward_price))
    position = Position(
        symbol=symbol,
        contracts=-quantity,
        entry_price=float(np.asarray(state.mark_price)),
        mark_price=float(np.asarray(state.mark_price)),
        # Any volatility: what the stated mark differs from it is kept.
        implied_volatility=0.5,
        forward_price=forward,
        # The packaged rate times the factor says the tier.
        maintenance_fraction={"BTC": 0.03, "ETH": 0.05}[base] * float(np.asarray(state.margin_factor)),
    )
    pool = account_pool(
        "futures",
        [Balance(asset=base, total_native=0.0)],
        prices={base: forward},
        positions=[position],
        sizes={symbol: 1.0},
    )
    assert isinstance(pool.model, FuturesModel)
    free = options.LiquidationFeeParameters(taker_fee_fraction=0.0, fee_cap_fraction=0.0)
    terms = tuple(
        replace(term, rule=rule, fee=free, factor=float(np.asarray(state.margin_factor))) for term in pool.model.options
    )
    status = status_of(replace(pool, model=replace(pool.model, options=terms)))
    assert status.initial_native is not None
    return status.initial_native, status.maintenance_native


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An isolated spot-margin pair: amounts in their coins, ``margin_quote`` of a long beside its assets."""

    base: str
    quote: str
    is_short: bool
    assets: float
    owed: float
    mark: float
    rate: float
    fee: float
    margin_quote: float = 0.0


def pair_figures(pair: Pair) -> dict[str, float]:
    """Return ratio, maintenance (in the quote coin) and liquidation price of a pair."""
    held, lent = (pair.quote, pair.base) if pair.is_short else (pair.base, pair.quote)
    pool = account_pool(
        "isolated_pair",
        [
            Balance(asset=held, total_native=pair.assets),
            Balance(asset=lent, total_native=0.0 if pair.is_short else pair.margin_quote, borrowed_native=pair.owed),
        ],
        prices={pair.quote: 1.0, pair.base: pair.mark},
        fee=pair.fee,
        rules=[ladders({lent: pair.rate, held: 0.0})],
    )
    status, moved = status_of(pool), pool.factors.index(pair.base)

    def headroom(ratio: np.ndarray) -> np.ndarray:
        factors = np.ones((len(pool.factors), ratio.size))
        factors[moved] = ratio
        equity, maintenance, _ = margin.evaluate_pool(pool, factors)
        return equity - maintenance

    down, up = nearest_roots(headroom)
    root = up if pair.is_short else down
    found = {"mmr": figure(pool, "loan margin")}
    if status.coverage_ratio is not None:
        found["ratio"] = status.coverage_ratio
    if root is not None:
        found["price"] = root * pair.mark
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """What an account owes in dollars, with the rates of the loan."""

    value: float
    rate: float
    fee: float


def fee_account(
    adjusted: float, *, maintenance: float, notional: Sequence[float], fees: Sequence[float], loan: Loan | None
) -> PoolStatus:
    """Return the status of a multi-currency account with a fee of its own for each leg.

    ``adjusted`` and ``maintenance`` are the venue's totals: the first leg carries all maintenance of positions.
    """
    own = maintenance - (loan.value * loan.rate if loan else 0.0)
    legs = [
        Leg(
            symbol=f"LEG{k}-USDT-SWAP",
            size=1.0,
            mark=abs(value),
            entry=abs(value),
            rate=own / abs(value) if k == 0 else 0.0,
        )
        for k, value in enumerate(notional)
    ]
    owed = loan.value if loan else 0.0
    balances = [Balance(asset="USDT", total_native=adjusted + owed)]
    balances += [Balance(asset="BTC", total_native=-owed)] if loan else []
    rates = {"USDT": 0.02, **({"BTC": loan.rate} if loan else {})}
    pool = account_pool("multi_currency", balances, prices={"USDT": 1.0, "BTC": 1.0}, legs=legs, rules=[ladders(rates)])
    assert isinstance(pool.model, MultiCurrencyModel)
    loans = tuple(
        replace(term, rates=replace(term.rates, liquidation_fee_fraction=loan.fee))
        if loan and pool.assets.assets[term.asset] == "BTC"
        else term
        for term in pool.model.loans
    )
    charged = replace(pool.legs, fee_on_notional_fraction=frozen(list(fees), name="fee", ndim=1))
    return status_of(replace(pool, legs=charged, model=replace(pool.model, loans=loans)))


def unit_figures(
    base: str,
    *,
    delta: float,
    index_usd: float,
    usdt_usd: float,
    scaling: portfolio.ScalingParameters | None = None,
) -> dict[str, float]:
    """Return charges, maintenance and initial margin of a unit of one short perpetual.

    ``delta`` > 0 is its value in dollars at the mark, ``index_usd`` at the index. Without ``scaling`` the packaged one
    is in force.
    """
    mark = delta / usdt_usd
    leg = Leg(symbol=f"{base}-USDT-SWAP", size=-1.0, mark=mark, entry=mark)
    pool = account_pool(
        "portfolio",
        [Balance(asset="USDT", total_native=1e9)],
        prices={base: index_usd, "USDT": usdt_usd},
        legs=[leg],
    )
    model = pool.model
    assert isinstance(model, PortfolioModel)
    if scaling is not None:
        model = replace(model, units=tuple(replace(unit, scaling=scaling) for unit in model.units))
        pool = replace(pool, model=model)
    charges, _ = unit_charges(revalue(pool, np.ones((len(pool.factors), 1))), model.units[0])
    found = {name: float(np.asarray(getattr(charges, name))[0]) for name in ("mr1", "mr4", "mr6", "mr7", "mr9")}
    status = status_of(pool)
    assert status.initial_native is not None
    return {**found, "mmr": status.maintenance_native, "imr": status.initial_native}


def portfolio_total(adjusted: float, *, maintenance: float) -> PoolStatus:
    """Return the status of a portfolio account of a stated equity, with one perpetual whose unit has the stated MMR.

    The size is worked back from MR1 and MR4 of that perpetual, mark and index being one.
    """
    one = unit_figures("BTC", delta=1.0, index_usd=1.0, usdt_usd=1.0)
    size = maintenance / one["mmr"]
    leg = Leg(symbol="BTC-USDT-SWAP", size=-size, mark=1.0, entry=1.0)
    return status_of(
        account_pool(
            "portfolio",
            [Balance(asset="USDT", total_native=adjusted)],
            prices={"BTC": 1.0, "USDT": 1.0},
            legs=[leg],
        )
    )


def portfolio_account(
    cash: float, *, legs: Sequence[Leg], usdt_usd: float, units_usd: float, rates: BorrowParameters
) -> dict[str, float]:
    """Return the figures of a portfolio account in USDT whose derivatives' maintenance is an input of the case."""
    bases = {leg.symbol.partition("-")[0]: leg.mark for leg in legs}
    pool = account_pool(
        "portfolio",
        [Balance(asset="USDT", total_native=cash)],
        prices={**bases, "USDT": usdt_usd},
        legs=legs,
        rules=[ladders({"USDT": rates.maintenance_fraction})],
    )
    assert isinstance(pool.model, PortfolioModel)
    shocks = pool.model.units[0].shocks
    loans = tuple(replace(term, rates=rates) for term in pool.model.loans)
    # The index is not stated: the units go out, and their stated sum comes in below.
    pool = replace(pool, model=replace(pool.model, units=(), loans=loans))
    status, owed = status_of(pool), figure(pool, "loan margin")
    assert status.initial_native is not None
    initial, total = portfolio.account_margins(
        [[units_usd]],
        borrow_initial_usd=status.initial_native,
        borrow_maintenance_usd=owed,
        parameters=shocks,
    )
    ratio = portfolio.account_coverage_ratio(
        status.equity_native, maintenance_usd=total, liability_fee_usd=status.maintenance_native - owed
    )
    return {
        "equity": status.equity_native / usdt_usd,
        "equsd": status.equity_native,
        "borrowmmr": owed,
        "borrowimr": status.initial_native,
        "mmr": float(total[0]),
        "imr": float(initial[0]),
        "ratio": float(ratio[0]),
    }
