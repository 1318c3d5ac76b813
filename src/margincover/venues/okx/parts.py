"""Parts of OKX requirements that several account modes share: a leg by its tier, a short option, a loan.

Each part is valued in the pool's unit. Liquidation fees stand inside maintenance: the venue's ratio is equity over
maintenance margin plus fees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError, RulebookError
from margincover.model.explain import ExplainNode, summed
from margincover.model.option_table import OptionTable
from margincover.model.parameter_edition import ParameterEdition
from margincover.model.pool import MarginPool
from margincover.model.pool_model import PoolState, Requirement
from margincover.venues.margin import leg_maintenance
from margincover.venues.models import ModelRequest
from margincover.venues.okx import options
from margincover.venues.okx.multi_currency import BorrowParameters, borrow_margins_usd, borrowed

Paths = NDArray[np.float64]
# A rate that was typed in with few digits may fall short of the table's own by this share.
_FACTOR_TOLERANCE = 1e-9
FEE_NOTE = (
    "closing fees of options: a regular user's fee, at most 12.5 % of the mark; the account's taker fee is futures'"
)
LOAN_NOTE = (
    "loans count at one rate whatever their size, that of the first loan tier unless a rule file states another: "
    "requirements of loans beyond that tier err to the low side"
)
# A short option that has expired, or a long one, has no requirement.
_NOTHING = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionTerms:
    """What one option is margined by: the rule of its coin, its tier's factor >= 1, its closing fee."""

    rule: options.OptionParameters
    factor: float
    fee: options.LiquidationFeeParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanTerms:
    """Rates of a loan of one asset of the pool, by its row in the asset table."""

    asset: int
    rates: BorrowParameters


def option_terms(request: ModelRequest) -> tuple[tuple[OptionTerms, ...], tuple[ParameterEdition, ...]]:
    """Return the terms of each option of a pool and the editions that they come from.

    Raises
    ------
    RulebookError
        If a coin has no option parameters in force.
    InputError
        If a short option does not state its tier's maintenance rate.
    """
    table, found, used = request.pool.options, [], []
    for k in range(table.count):
        edition, fees = request.edition("option", table.bases[k]), request.edition("option_liquidation_fee", "*")
        rule = options.OptionParameters.from_mapping(edition.values, source=f"okx.toml {edition.id}")
        fee = options.LiquidationFeeParameters.from_mapping(fees.values, source=f"okx.toml {fees.id}")
        factor = _tier_factor(request, table, k, rule) if table.quantity[k] < 0 else 1.0
        found.append(OptionTerms(rule=rule, factor=factor, fee=fee))
        used += [edition, fees]
    return tuple(found), tuple(used)


def _tier_factor(request: ModelRequest, table: OptionTable, k: int, rule: options.OptionParameters) -> float:
    """Return the margin factor of a short option's tier from the maintenance rate that its position states."""
    symbol, rate = table.symbols[k], rule.maintenance_fraction
    names = {symbol, _unified(symbol, table.bases[k])}
    positions = request.account.positions
    position = next(p for p in positions if p.symbol in names and p.bucket.value == table.buckets[k])
    stated = position.maintenance_fraction
    allowed = f"{rate:g} x the optMgnFactor of the family's tier ({rate:g} in the first); all its short contracts count"
    if stated is None:
        raise InputError("was not stated", field=f"{symbol}.maintenance_fraction", allowed=allowed)
    factor = stated / rate
    if not factor >= 1.0 - _FACTOR_TOLERANCE:
        raise InputError(f"was {stated:g}", field=f"{symbol}.maintenance_fraction", allowed=allowed)
    return max(factor, 1.0)


def _unified(symbol: str, base: str) -> str:
    """Return the ccxt symbol of an option, which a book may use as well."""
    _, quote, expiry, strike, right = symbol.split("-")
    return f"{base}/{quote}:{base}-{expiry}-{strike}-{right}"


def option_requirements(state: PoolState, terms: Sequence[OptionTerms], *, detailed: bool) -> list[Requirement]:
    """Return the requirement of each short option, in the pool's unit; a long one needs none."""
    done = []
    for k, term in enumerate(terms):
        quantity = float(state.option_quantity[k])
        if quantity >= _NOTHING:
            continue
        price = state.asset_price[int(state.pool.options.asset_index[k])]
        initial, maintenance, fee = _option_margins(state, k, term, quantity)
        done.append(_option_part(state, k, term, (initial * price, maintenance * price, fee * price), detailed))
    return done


def _option_margins(state: PoolState, k: int, term: OptionTerms, quantity: float) -> tuple[Paths, Paths, Paths]:
    """Return (initial, maintenance, closing fee) of a short option in its settle asset, [path] each."""
    table, mark = state.pool.options, state.option_mark[k]
    # Coin-margined options count in coins; those in dollars in units of the index.
    unit = np.ones(state.n_paths) if table.inverse[k] else state.option_index[k]
    initial, maintenance = options.position_margins(
        quantity,
        state=options.OptionState(
            forward_price=state.option_forward[k],
            strike=float(table.strike[k]),
            is_call=bool(table.is_call[k]),
            mark_price=mark,
            margin_unit=unit,
            margin_factor=term.factor,
        ),
        parameters=term.rule,
    )
    fee = options.order_fee(
        size=-quantity,
        premium=mark,
        margin_unit=unit,
        fee_fraction=term.fee.taker_fee_fraction,
        fee_cap_fraction=term.fee.fee_cap_fraction,
    )
    return initial, maintenance, fee


def _option_part(
    state: PoolState, k: int, term: OptionTerms, values: tuple[Paths, Paths, Paths], detailed: bool
) -> Requirement:
    table, unit = state.pool.options, state.pool.unit
    symbol, (initial, maintenance, fee) = table.symbols[k], values
    asset = state.pool.assets.assets[int(table.asset_index[k])]
    detail = f"{-float(state.option_quantity[k]):,.8g} short at mark {float(state.option_mark[k, 0]):,.8g} {asset}"
    tree = None
    if detailed:
        rule = f"{detail}, rate {term.rule.maintenance_fraction:.4%} x tier factor {term.factor:.6g}, mark included"
        margin = ExplainNode(label="option margin", value=float(maintenance[0]), unit=unit, detail=rule)
        closing = ExplainNode(label="closing fee", value=float(fee[0]), unit=unit)
        tree = summed(symbol, unit, (margin, closing))
    return Requirement(
        label=symbol, maintenance=maintenance + fee, initial=initial, detail=detail, maintenance_tree=tree
    )


def leg_requirements(state: PoolState, *, detailed: bool) -> list[Requirement]:
    """Return the requirement of each perpetual and future by its tier, in the pool's unit, closing fee included."""
    legs, done = state.pool.legs, []
    for leg in range(legs.count):
        price, value = state.asset_price[int(legs.asset_index[leg])], state.leg_notional[leg]
        maintenance = leg_maintenance(state.pool, leg, value) * price
        initial = (legs.initial_fraction[leg] * value + legs.initial_constant[leg]) * price
        label = legs.symbols[leg] if legs.buckets[leg] == "NET" else f"{legs.symbols[leg]} {legs.buckets[leg]}"
        asset = state.pool.assets.assets[int(legs.asset_index[leg])]
        tree = None
        if detailed:
            fee = float(legs.fee_on_notional_fraction[leg] * value[0] * price[0])
            tree = _leg_tree(state.pool, label, float(maintenance[0]), fee, f"{float(value[0]):,.10g} {asset}")
        detail = "" if legs.initial_known[leg] else "leverage not stated: not known"
        done.append(
            Requirement(label=label, maintenance=maintenance, initial=initial, detail=detail, maintenance_tree=tree)
        )
    return done


def _leg_tree(pool: MarginPool, label: str, maintenance: float, fee: float, notional: str) -> ExplainNode:
    detail = f"tier rate x {notional}"
    tier = ExplainNode(label="tier margin", value=maintenance - fee, unit=pool.unit, detail=detail)
    closing = ExplainNode(label="closing fee", value=fee, unit=pool.unit, detail=f"taker fee x {notional}")
    return summed(label, pool.unit, (tier, closing))


def loan_terms(
    request: ModelRequest, *, fee_fraction: float | None = None, owed: Collection[int] = ()
) -> tuple[tuple[LoanTerms, ...], tuple[ParameterEdition, ...]]:
    """Return the terms of every asset of a pool that may be owed, and the editions that they come from.

    The maintenance rate is that of the asset's collateral ladder, which a rule file may restate; ``fee_fraction`` takes
    the place of the packaged liquidation fee; ``owed`` are rows of assets that are owed although their net is not < 0.

    Raises
    ------
    RulebookError
        If an asset that is owed, or in which positions settle, has no maintenance rate of loans.
    """
    pool, found, used = request.pool, [], []
    settle = {int(index) for index in (*pool.legs.asset_index, *pool.options.asset_index)}
    for asset, name in enumerate(pool.assets.assets):
        if asset not in settle and asset not in owed and pool.assets.balance_native[asset] >= 0.0:
            continue
        rate = float(pool.assets.borrow_maintenance_fraction[asset])
        if rate <= 0.0:
            raise RulebookError(
                f"no maintenance rate of {name} loans in force",
                source=f"rules of {pool.venue}",
                account=pool.account_id,
                field=f"collateral.{name}.borrow_maintenance_fraction",
                allowed="the MMR of the coin's loan tier as a fraction > 0, by --rules DIR",
            )
        edition = request.edition("borrow", name)
        found.append(LoanTerms(asset=asset, rates=_loan_rates(edition, rate, fee_fraction)))
        used.append(edition)
    return tuple(found), tuple(used)


def _loan_rates(edition: ParameterEdition, maintenance: float, fee: float | None) -> BorrowParameters:
    """Return the edition's rates with the ladder's maintenance rate, which initial margin is never below."""
    rates = BorrowParameters.from_mapping(edition.values, source=f"okx.toml {edition.id}")
    return BorrowParameters(
        initial_fraction=max(rates.initial_fraction, maintenance),
        maintenance_fraction=maintenance,
        liquidation_fee_fraction=rates.liquidation_fee_fraction if fee is None else fee,
    )


def loan_requirements(
    pool: MarginPool, terms: Sequence[LoanTerms], held: Paths, asset_price: Paths, *, detailed: bool
) -> tuple[Requirement, ...]:
    """Return what each asset that is owed requires, fee included, in the pool's unit; what is held needs none."""
    done = []
    for term in terms:
        owed = borrowed(held[term.asset])
        if not owed.any():
            continue
        value = owed * asset_price[term.asset]
        initial, maintenance, fee = borrow_margins_usd(value, parameters=term.rates)
        label, rates = f"loan of {pool.assets.assets[term.asset]}", term.rates
        detail = f"{rates.maintenance_fraction:.4%} of {float(owed[0]):,.10g}"
        tree = None
        if detailed:
            margin = ExplainNode(label="loan margin", value=float(maintenance[0]), unit=pool.unit, detail=detail)
            closing = f"{rates.liquidation_fee_fraction:.4%} of the loan and its margin"
            charge = ExplainNode(label="closing fee", value=float(fee[0]), unit=pool.unit, detail=closing)
            tree = summed(label, pool.unit, (margin, charge))
        done.append(
            Requirement(
                label=label, maintenance=maintenance + fee, initial=initial, detail=detail, maintenance_tree=tree
            )
        )
    return tuple(done)
