"""The slow twin: pools of an account in Decimal, straight from positions, balances and rules.

Nothing here shares code with the array kernels. It is written to be read against the venues' pages, and the tests hold
the kernels to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account
from margincover.model.instrument import Instrument, Payoff
from margincover.model.position import Bucket, MarginMode, Position
from margincover.model.rules import (
    ClosingFee,
    HaircutLadder,
    MaintenanceScale,
    MarginTier,
    ModeRule,
    PoolBy,
    PriceBasis,
    Rulebook,
    TierKernel,
    TierTable,
    TierUnit,
)
from margincover.venues import symbols

# Far more digits than any venue prints: what is left of a difference is not rounding of this module.
DIGITS = 50
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePool:
    """Equity, maintenance and initial margin of one pool, in ``unit``.

    ``maintenance`` is what the liquidation test uses, closing fees included. ``initial`` is that of the positions,
    without resting orders; None when the leverage of a position is not known.
    """

    id: str
    unit: str
    equity: Decimal
    maintenance: Decimal
    initial: Decimal | None

    @property
    def headroom(self) -> Decimal:
        """Equity minus maintenance; liquidation at or below 0."""
        return self.equity - self.maintenance


_Held = tuple[Position, Instrument]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    account: Account
    rulebook: Rulebook
    mode: ModeRule
    held: Sequence[_Held]
    marks: Mapping[str, Decimal]
    asset_usd: Mapping[str, Decimal]
    tier_tables: Mapping[str, TierTable]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leg:
    position: Position
    instrument: Instrument
    profit: Decimal
    maintenance: Decimal
    initial: Decimal | None


def reference_pools(
    account: Account,
    rulebook: Rulebook,
    *,
    marks: Mapping[str, Decimal],
    asset_usd: Mapping[str, Decimal],
    tier_tables: Mapping[str, TierTable],
    instruments: Mapping[str, Instrument] | None = None,
) -> list[ReferencePool]:
    """Return the margin pools of one account.

    Parameters
    ----------
    account : Account
    rulebook : Rulebook
    marks : mapping
        Mark by instrument id, by the position's symbol or by venue symbol; a position without one uses its own
        ``mark_price``.
    asset_usd : mapping
        USD per unit of an asset; needed by account-wide pools.
    tier_tables : mapping
        Tables by instrument id, venue symbol or table key, which win over those of the rulebook.
    instruments : mapping or None
        Instruments by the position's symbol, where the book states contract facts of its own.

    Returns
    -------
    list of ReferencePool
        Cross pools first, then isolated ones. The only pool of an account has the account's id.

    Raises
    ------
    InputError
        If a mark, balance, price or needed leverage is missing, or the mode does not hold a position.
    RulebookError
        If no tier table or collateral ladder is in force.

    Notes
    -----
    With mark p, entry E, size Q and side s: linear profit s Q (p - E), value Q p; inverse profit s Q (1/E - 1/p), value
    Q / p. Maintenance is value x rate - deduction of the tier that holds the value, plus the venue's closing fee.
    """
    mode = rulebook.modes.get(account.mode)
    if mode is None:
        raise InputError(
            f"mode was '{account.mode}'", account=account.id, field="mode", allowed=", ".join(sorted(rulebook.modes))
        )
    with localcontext() as context:
        context.prec = DIGITS
        try:
            stated = instruments or {}
            pools = _pools(
                _Setting(
                    account=account,
                    rulebook=rulebook,
                    mode=mode,
                    held=[
                        (p, stated.get(p.symbol) or symbols.resolve_instrument(rulebook, p.symbol))
                        for p in account.positions
                    ],
                    marks=marks,
                    asset_usd=asset_usd,
                    tier_tables=tier_tables,
                )
            )
        except InputError as error:
            raise error.located(account=account.id) from error
    return [replace(pools[0], id=account.id)] if len(pools) == 1 else pools


def _pools(setting: _Setting) -> list[ReferencePool]:
    legs = [_leg(setting, item) for item in setting.held]
    cross = [leg for leg in legs if leg.position.margin_mode is MarginMode.CROSS]
    isolated = [_isolated(setting.account, leg) for leg in legs if leg.position.margin_mode is MarginMode.ISOLATED]
    if setting.mode.pool_by is not PoolBy.ACCOUNT:
        return _by_settle_asset(setting.account, cross, flat=not isolated) + isolated
    return ([_account_wide(setting, cross)] if cross or not isolated else []) + isolated


def _leg(setting: _Setting, item: _Held) -> _Leg:
    position, instrument = item
    mode = setting.mode
    _check_allowed(mode, position, instrument)
    if mode.funding_in_maintenance_hours:
        raise NotSupportedError("counts funding in maintenance", field=mode.name, allowed="modes without it")
    size = abs(_decimal(position.contracts)) * _decimal(instrument.multiplier)
    entry = _decimal(position.entry_price)
    mark = _mark(position, instrument, setting.marks)
    margin_value = _value(instrument, size, mark if mode.maintenance_basis is PriceBasis.MARK else entry)
    own_fee = setting.account.taker_fee_fraction
    taker = _decimal(mode.default_taker_fee_fraction if own_fee is None else own_fee)
    values = _value(instrument, size, mark), _value(instrument, size, entry)
    fee = _fee_value(mode.closing_fee, item, size, values) * taker
    tiered = _tiered(setting, item, margin_value)
    if mode.maintenance_scale is MaintenanceScale.VALUE_OVER_LEVERAGE:
        tiered /= _leverage(position)
    return _Leg(
        position=position,
        instrument=instrument,
        profit=_profit(position, instrument, size, entry, mark),
        maintenance=tiered + fee,
        initial=_initial(mode, item, size, values, taker),
    )


def _fee_value(kind: ClosingFee, item: _Held, size: Decimal, values: tuple[Decimal, Decimal]) -> Decimal:
    """Return the value that a closing fee is taken on, from the position's values at mark and entry."""
    position, instrument = item
    at_mark, at_entry = values
    if kind is ClosingFee.TAKER_ON_NOTIONAL:
        # The closing trade is at the market, also where maintenance is counted on the entry value.
        return at_mark
    if kind is ClosingFee.TAKER_AT_BANKRUPTCY:
        return _bankruptcy_value(position, instrument, size, _decimal(position.entry_price))
    if kind is ClosingFee.TAKER_ON_ENTRY_PLUS_INITIAL:
        return at_entry + at_entry / _leverage(position)
    return ZERO


def _leverage(position: Position) -> Decimal:
    if position.leverage is None:
        raise InputError(
            f"{position.symbol} had no leverage", field="leverage", allowed="the chosen leverage: the rule needs it"
        )
    return _decimal(position.leverage)


def _check_allowed(mode: ModeRule, position: Position, instrument: Instrument) -> None:
    if instrument.product not in mode.products:
        raise InputError(
            f"{position.symbol} is {instrument.product}", field="symbol", allowed=f"products {', '.join(mode.products)}"
        )
    if position.margin_mode.value not in mode.margin_modes:
        raise InputError(
            f"{position.symbol} was {position.margin_mode.value}",
            field="margin_mode",
            allowed=", ".join(mode.margin_modes),
        )
    if instrument.payoff is Payoff.QUANTO:
        raise NotSupportedError(f"{instrument.id} is quanto", field="symbol", allowed="linear or inverse contracts")


def _mark(position: Position, instrument: Instrument, marks: Mapping[str, Decimal]) -> Decimal:
    for key in (instrument.id, position.symbol, instrument.venue_symbol):
        if key in marks:
            return marks[key]
    if position.mark_price is None:
        raise InputError(f"no mark for {position.symbol}", field="mark_price", allowed=f"a mark for {instrument.id}")
    return _decimal(position.mark_price)


def _value(instrument: Instrument, size: Decimal, price: Decimal) -> Decimal:
    return size / price if instrument.payoff is Payoff.INVERSE else size * price


def _profit(position: Position, instrument: Instrument, size: Decimal, entry: Decimal, mark: Decimal) -> Decimal:
    at_entry, at_mark = _value(instrument, size, entry), _value(instrument, size, mark)
    # A linear value rises with the price, an inverse one (coins per contract) falls.
    gain_of_a_long = at_entry - at_mark if instrument.payoff is Payoff.INVERSE else at_mark - at_entry
    return gain_of_a_long if position.contracts > 0 else -gain_of_a_long


def _bankruptcy_value(position: Position, instrument: Instrument, size: Decimal, entry: Decimal) -> Decimal:
    """Return the value of the position at the price at which its own margin, value / leverage, is gone."""
    if position.leverage is None:
        raise InputError(
            f"{position.symbol} had no leverage",
            field="leverage",
            allowed="the chosen leverage: the closing fee needs it",
        )
    leverage = _decimal(position.leverage)
    long = position.contracts > 0
    if instrument.payoff is Payoff.INVERSE:
        # Bankruptcy price E L / (L + 1) for a long, E L / (L - 1) for a short; value = size / price.
        return size * (leverage + 1 if long else leverage - 1) / (entry * leverage)
    price = entry * (leverage - 1 if long else leverage + 1) / leverage
    return size * price


def _initial(
    mode: ModeRule, item: _Held, size: Decimal, values: tuple[Decimal, Decimal], taker: Decimal
) -> Decimal | None:
    position = item[0]
    if position.leverage is None:
        return None
    crossed = position.margin_mode is MarginMode.CROSS
    basis = mode.initial_basis_cross if crossed else mode.initial_basis_isolated
    value = values[0] if basis is PriceBasis.MARK else values[1]
    kind = mode.closing_fee if mode.initial_closing_fee is None else mode.initial_closing_fee
    fee = _fee_value(kind, item, size, values) * taker if mode.closing_fee_in_initial else ZERO
    return value / _decimal(position.leverage) + fee


def _tiered(setting: _Setting, item: _Held, value: Decimal) -> Decimal:
    position, instrument = item
    if position.maintenance_fraction is not None:
        return value * _decimal(position.maintenance_fraction) - _decimal(position.maintenance_deduction_native or 0.0)
    names = (instrument.id, instrument.venue_symbol, instrument.tier_table)
    table = next((setting.tier_tables[name] for name in names if name in setting.tier_tables), None)
    table = table if table is not None else symbols.tier_table_for(setting.rulebook, instrument)
    measure = value if table.unit is TierUnit.NOTIONAL else _family_contracts(item, setting.held)
    if table.first_tiers_only and measure > _decimal(table.tiers[-1].cap):
        raise RulebookError(
            f"{measure} lies above the last known tier", field=table.key, allowed="a size inside the known tiers"
        )
    tier = _tier_holding(table.tiers, measure)
    if table.kernel is TierKernel.FRACTION_OF_INITIAL:
        share = setting.rulebook.products[instrument.product].maintenance_of_initial_fraction
        if share is None:
            raise RulebookError(f"{instrument.product} has no share of initial margin", field=table.key)
        return value * _decimal(tier.maintenance_fraction) * _decimal(share)
    deduction = _decimal(tier.deduction) if table.kernel is TierKernel.PROGRESSIVE else ZERO
    return value * _decimal(tier.maintenance_fraction) - deduction


def _family_contracts(item: _Held, held: Sequence[_Held]) -> Decimal:
    """Return the contracts that choose the tier: expiries of one family add up in cross margin."""
    position, instrument = item
    if position.margin_mode is MarginMode.ISOLATED:
        return abs(_decimal(position.contracts))
    family = (
        abs(_decimal(other.contracts))
        for other, its in held
        if other.margin_mode is MarginMode.CROSS
        and (its.tier_table, its.product) == (instrument.tier_table, instrument.product)
    )
    return sum(family, ZERO)


def _tier_holding(tiers: Iterable[MarginTier], measure: Decimal) -> MarginTier:
    # The last tier goes on above its cap: a price move can carry a position there.
    return [tier for tier in tiers if _decimal(tier.floor) <= measure][-1]


def _isolated(account: Account, leg: _Leg) -> ReferencePool:
    bucket = leg.position.bucket
    name = leg.instrument.venue_symbol + ("" if bucket is Bucket.NET else f":{bucket.value}")
    collateral = leg.position.isolated_collateral_native
    if collateral is None or collateral < 0:
        raise InputError(f"was {collateral}", field=f"{name}.isolated_collateral", allowed="a number >= 0")
    return ReferencePool(
        id=f"{account.id}/{name}",
        unit=leg.instrument.settle,
        equity=_decimal(collateral) + leg.profit,
        maintenance=leg.maintenance,
        initial=leg.initial,
    )


def _by_settle_asset(account: Account, cross: Sequence[_Leg], *, flat: bool) -> list[ReferencePool]:
    wallet = {b.asset: _decimal(b.total_native) - _decimal(b.borrowed_native) for b in account.balances}
    wanted = dict.fromkeys(leg.instrument.settle for leg in cross)
    if not wanted and flat:
        # An account without positions still has its wallets; beside positions a mere balance forms no pool.
        wanted = dict.fromkeys(wallet)
    pools = []
    for asset in wanted:
        if asset not in wallet:
            raise InputError(f"no balance of {asset}", field=f"balances.{asset}", allowed="a balance, 0 when none")
        legs = [leg for leg in cross if leg.instrument.settle == asset]
        pools.append(
            ReferencePool(
                id=f"{account.id}/{asset}",
                unit=asset,
                equity=wallet[asset] + sum((leg.profit for leg in legs), ZERO),
                maintenance=sum((leg.maintenance for leg in legs), ZERO),
                initial=_sum_known(leg.initial for leg in legs),
            )
        )
    return pools


def _account_wide(setting: _Setting, cross: Sequence[_Leg]) -> ReferencePool:
    account = setting.account
    if not account.balances:
        raise InputError("no balance was given", field="balances", allowed="the wallet, coin by coin")
    # A coin that the venue does not count as margin supports nothing.
    assets = {
        b.asset: _decimal(b.total_native) - _decimal(b.borrowed_native) for b in account.balances if b.is_collateral
    }
    for leg in cross:
        assets[leg.instrument.settle] = assets.get(leg.instrument.settle, ZERO) + leg.profit
    equity = maintenance = ZERO
    initial: list[Decimal | None] = []
    for asset, amount in assets.items():
        price = _usd(asset, setting.asset_usd)
        ladder = _ladder(setting, asset)
        legs = [leg for leg in cross if leg.instrument.settle == asset]
        # Debts count in full and carry maintenance of their own.
        borrow = max(-amount, ZERO) * _decimal(ladder.borrow_maintenance_fraction if ladder else 0.0)
        equity += _haircut(amount, ladder) * price
        maintenance += (sum((leg.maintenance for leg in legs), ZERO) + borrow) * price
        required = _sum_known(leg.initial for leg in legs)
        initial.append(None if required is None else (required + borrow) * price)
    return ReferencePool(
        id=f"{account.id}/cross", unit="USD", equity=equity, maintenance=maintenance, initial=_sum_known(initial)
    )


def _ladder(setting: _Setting, asset: str) -> HaircutLadder | None:
    ladder = setting.rulebook.ladders.get(asset)
    if ladder is None and setting.mode.haircut_collateral:
        raise RulebookError(
            f"{asset} has no collateral ladder in force at {setting.rulebook.at:%Y-%m-%d}",
            source=f"rules of {setting.rulebook.venue}",
            field=f"balances.{asset}",
            allowed="a ladder by --rules DIR, or is_collateral = false",
        )
    return ladder


def _haircut(amount: Decimal, ladder: HaircutLadder | None) -> Decimal:
    """Return the amount that counts: slice by slice when positive, in full when negative."""
    if ladder is None or amount <= 0:
        return amount
    counted = ZERO
    for part in ladder.slices:
        floor, cap = _decimal(part.floor), _decimal(part.cap)
        if amount > floor:
            counted += (min(amount, cap) - floor) * _decimal(part.weight)
    return counted


def _usd(asset: str, asset_usd: Mapping[str, Decimal]) -> Decimal:
    if asset == "USD":
        return Decimal(1)
    if asset not in asset_usd:
        raise InputError(
            f"no USD price for {asset}", field=f"market.asset_usd.{asset}", allowed="a price > 0, also for stable coins"
        )
    return asset_usd[asset]


def _sum_known(values: Iterable[Decimal | None]) -> Decimal | None:
    total = ZERO
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _decimal(value: float) -> Decimal:
    # The shortest decimal that names the float: what the user or the venue wrote, not its binary neighbour.
    return Decimal(repr(float(value)))
