"""Binance portfolio margin behind a pool: USD-M, COIN-M and margin wallet against one requirement in USD.

The venue liquidates when uniMMR = adjusted equity / its maintenance margin falls to a line above 1. Maintenance here is
that line times the venue's, so that liquidation stands where equity meets maintenance, as everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, RulebookError
from margincover.model.explain import ExplainNode, summed
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.model.provenance import EditionUse
from margincover.model.rules import HaircutLadder, HaircutSlice
from margincover.numeric.arrays import Vector, frozen
from margincover.venues import kernels
from margincover.venues.binance import portfolio
from margincover.venues.binance.account import above_venue, ladder_uses, leg_requirement, require_counted_debts
from margincover.venues.models import ModelRequest, edition_notes, edition_uses
from margincover.venues.revalue import revalue, row_total, wallet_and_profit

Paths = NDArray[np.float64]

PRO_MODE = "portfolio_margin_pro"
# The unit of the pool as an asset of the book: what open spot-margin orders would lose, as a negative balance.
OPEN_LOSS_ASSET = "USD"
_PRO_NOTE = (
    "portfolio margin Pro: accounts of type PM_1 (classic); the grid of SPAN accounts (PM_3) is not published and "
    "their maintenance differs. The venue asks no initial margin"
)
_RETAIL_NOTE = (
    "open loss of resting spot-margin orders lowers the venue's equity: without it (a negative balance of USD) equity "
    "errs high while such orders rest"
)
_LOAN_INITIAL_NOTE = (
    "initial margin of loans is borrowed / (margin leverage - 1), the venue's check of an order that borrows"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """Collateral ladder of one asset, each [slice]; empty counts in full."""

    floor: Vector
    cap: Vector
    weight: Vector

    @classmethod
    def of(cls, parts: tuple[HaircutSlice, ...]) -> Slices:
        """Return the arrays of the slices of a ladder."""
        return cls(
            floor=frozen([part.floor for part in parts], name="slice_floor", ndim=1),
            # An open last slice is stored as the largest double: arrays hold finite numbers only.
            cap=frozen([min(part.cap, 1.7e308) for part in parts], name="slice_cap", ndim=1),
            weight=frozen([part.weight for part in parts], name="slice_weight", ndim=1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """Margin loan of one asset of the pool, by its row: amount > 0 in the asset, and what each unit requires."""

    asset: int
    amount: float
    maintenance_fraction: float
    initial_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioModel:
    """Model of the account; ``collateral`` [asset]; ``maintenance_multiple`` is the liquidation line of uniMMR."""

    collateral: tuple[Slices, ...]
    loans: tuple[Loan, ...]
    maintenance_multiple: float
    notes: tuple[str, ...]
    editions: tuple[EditionUse, ...]
    initial_known: bool
    is_separable: bool = True

    def held(self, state: PoolState) -> Paths:
        """Return asset equity: all wallets less loans, with unrealised profit."""
        return wallet_and_profit(state, with_options=False)

    def counted(self, pool: MarginPool, held: Paths, asset_price: Paths) -> Paths:
        """Return what each asset counts: positive equity after its collateral rate, negative in full."""
        counted = np.empty_like(held)
        for asset, ladder in enumerate(self.collateral):
            counted[asset] = kernels.collateral_value(
                amount=held[asset], slice_floor=ladder.floor, slice_cap=ladder.cap, slice_weight=ladder.weight
            )
        return counted * asset_price

    def requirements(self, state: PoolState, *, detailed: bool = False) -> tuple[Requirement, ...]:
        """Return one requirement for each leg and each loan, at the index of its asset."""
        legs = [
            leg_requirement(
                state, leg, rate=state.asset_price[int(asset)], multiple=self.maintenance_multiple, detailed=detailed
            )
            for leg, asset in enumerate(state.pool.legs.asset_index)
        ]
        return (*legs, *(self._loan(state, loan, detailed) for loan in self.loans))

    def account_requirements(
        self, pool: MarginPool, held: Paths, asset_price: Paths, *, detailed: bool = False
    ) -> tuple[Requirement, ...]:
        """Return nothing: a negative futures balance is no loan and is charged interest, not margin."""
        return ()

    def _loan(self, state: PoolState, loan: Loan, detailed: bool) -> Requirement:
        value = loan.amount * state.asset_price[loan.asset]
        own = loan.maintenance_fraction * value
        label, unit = f"loan of {state.pool.assets.assets[loan.asset]}", state.pool.unit
        detail = f"{loan.maintenance_fraction:.4%} of {loan.amount:,.10g}"
        initial = loan.initial_fraction * value
        trees: tuple[ExplainNode | None, ExplainNode | None] = (None, None)
        if detailed:
            margin = ExplainNode(label="loan margin", value=float(own[0]), unit=unit, detail=detail)
            parts = (margin, *above_venue(float(own[0]), self.maintenance_multiple, unit))
            share = f"{loan.initial_fraction:.4%} of {loan.amount:,.10g}"
            first = ExplainNode(label=label, value=float(initial[0]), unit=unit, detail=share)
            trees = (summed(label, unit, parts), first)
        return Requirement(
            label=label,
            maintenance=self.maintenance_multiple * own,
            initial=initial,
            detail=detail,
            maintenance_tree=trees[0],
            initial_tree=trees[1],
        )


def build(request: ModelRequest) -> PortfolioModel:
    """Return the model of a portfolio margin account.

    Raises
    ------
    RulebookError
        If an asset that is held, owed or settles a position has no collateral rate in force, or a loan's maintenance
        rate is none of the venue's.
    InputError
        If the balance of USD, the open loss of orders, is positive, or a debt is marked as not counted.
    """
    pool, is_pro = request.pool, request.rule.name == PRO_MODE
    edition = request.edition("portfolio_margin", "*")
    rule = portfolio.PortfolioParameters.from_mapping(edition.values, source=f"{edition.venue}.toml {edition.id}")
    require_counted_debts(request)
    collateral, stated, packaged = _collateral(request)
    loans, loan_notes = _loans(request, rule, is_pro)
    used = [edition, *packaged]
    model = PortfolioModel(
        collateral=collateral,
        loans=loans,
        maintenance_multiple=rule.liquidation_ratio,
        notes=(),
        editions=(*edition_uses(used, request.at), *ladder_uses(request, stated)),
        initial_known=bool(pool.legs.initial_known.all()) and not is_pro,
    )
    notes = [_venue_figures(pool, model), *loan_notes]
    if is_pro or OPEN_LOSS_ASSET not in pool.assets.assets:
        notes.insert(1, _PRO_NOTE if is_pro else _RETAIL_NOTE)
    notes += edition_notes(used, request.at)
    notes += [f"{e.underlying} collateral rate of {e.observed:%Y-%m-%d}: {e.note}" for e in packaged]
    return replace(model, notes=tuple(notes))


def _collateral(
    request: ModelRequest,
) -> tuple[tuple[Slices, ...], dict[str, HaircutLadder], list[ParameterEdition]]:
    """Return the ladder of each asset: the rulebook's, else the packaged rate; where each comes from."""
    pool, ladders = request.pool, request.rulebook.ladders
    settle = {int(index) for index in pool.legs.asset_index}
    found: list[Slices] = []
    stated: dict[str, HaircutLadder] = {}
    packaged: list[ParameterEdition] = []
    for asset, name in enumerate(pool.assets.assets):
        balance = float(pool.assets.balance_native[asset])
        if name == OPEN_LOSS_ASSET:
            if balance > 0.0:
                raise InputError(
                    f"was {balance:g}",
                    account=request.account.id,
                    field=f"balances.{OPEN_LOSS_ASSET}",
                    allowed="0 or less: what open spot-margin orders would lose, in USD, as a negative number",
                )
            found.append(Slices.of(()))
        elif name in ladders:
            stated[name] = ladders[name]
            found.append(Slices.of(ladders[name].slices))
        elif asset in settle or balance != 0.0:
            edition, weight = _packaged_rate(request, name)
            packaged.append(edition)
            found.append(Slices.of((HaircutSlice(floor=0.0, cap=float("inf"), weight=weight),)))
        else:
            found.append(Slices.of(()))
    return tuple(found), stated, packaged


def _packaged_rate(request: ModelRequest, asset: str) -> tuple[ParameterEdition, float]:
    try:
        edition = request.edition("portfolio_margin_collateral", asset)
    except RulebookError as error:
        raise RulebookError(
            f"{asset} has no collateral rate in force at {request.at:%Y-%m-%d}",
            source=f"rules of {request.pool.venue}",
            account=request.account.id,
            field=f"balances.{asset}",
            allowed=f"an edition of collateral for {asset} by --rules DIR (GET /sapi/v1/portfolio/collateralRate, "
            "tiers of v2 as slices), or is_collateral = false for a coin that the venue does not count",
        ) from error
    found = portfolio.CollateralParameters.from_mapping(edition.values, source=f"{edition.venue}.toml {edition.id}")
    return edition, found.collateral_weight


def _loans(
    request: ModelRequest, rule: portfolio.PortfolioParameters, is_pro: bool
) -> tuple[tuple[Loan, ...], list[str]]:
    """Return the margin loans of the account, with what is said of their rates."""
    assets, loans, assumed = request.pool.assets.assets, [], []
    by_rate = {rate: int(leverage) for leverage, rate in rule.loan_maintenance_fraction.items()}
    for balance in request.account.balances:
        if balance.borrowed_native == 0.0:
            continue
        ladder = request.rulebook.ladders.get(balance.asset)
        rate = ladder.borrow_maintenance_fraction if ladder is not None else 0.0
        if rate == 0.0:
            rate = max(by_rate)
            assumed.append(balance.asset)
        leverage = _leverage_of(request, balance.asset, rate, by_rate)
        loans.append(
            Loan(
                asset=assets.index(balance.asset),
                amount=balance.borrowed_native,
                maintenance_fraction=rate,
                initial_fraction=0.0 if is_pro else 1.0 / (leverage - 1),
            )
        )
    notes = [] if is_pro or not loans else [_LOAN_INITIAL_NOTE]
    if assumed:
        notes.append(
            f"maintenance rate of loans of {', '.join(assumed)} taken as {max(by_rate):.2%}, that of the lowest margin "
            f"leverage ({by_rate[max(by_rate)]}x) and the highest there is: state borrow_maintenance_fraction by "
            "--rules DIR where the account has another"
        )
    return tuple(loans), notes


def _leverage_of(request: ModelRequest, asset: str, rate: float, by_rate: Mapping[float, int]) -> int:
    for known, leverage in by_rate.items():
        if abs(known - rate) <= 1e-9:
            return leverage
    raise RulebookError(
        f"was {rate:g}",
        source=f"rules of {request.pool.venue}",
        account=request.account.id,
        field=f"collateral.{asset}.borrow_maintenance_fraction",
        allowed=", ".join(f"{known:g} ({leverage}x margin leverage)" for known, leverage in by_rate.items()),
    )


def _venue_figures(pool: MarginPool, model: PortfolioModel) -> str:
    """Return the venue's own maintenance margin and uniMMR at ``as_of`` in words."""
    state = revalue(pool, np.ones((len(pool.factors), 1)))
    own = sum(float(part.maintenance[0]) for part in model.requirements(state)) / model.maintenance_multiple
    equity = row_total(model.counted(pool, model.held(state), state.asset_price))
    # Next to no requirement is covered without limit: the quotient may overflow to infinity.
    with np.errstate(over="ignore"):
        found = float(portfolio.uni_mmr(equity, maintenance_usd=[own])[0])
    line = f"maintenance is {model.maintenance_multiple:g} times the venue's, the uniMMR at which it liquidates"
    if own == 0.0:
        return f"{line}; the venue's own maintenance margin at as_of is 0"
    return f"{line}; at as_of the venue's own maintenance margin is {own:,.2f} USD and uniMMR {found:,.4f}"
