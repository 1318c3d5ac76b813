"""Compile the accounts of a book to margin pools: what shares one equity, and which assets back it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.errors import InputError, NotSupportedError, RulebookError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind
from margincover.model.pool import AssetTable, MarginPool
from margincover.model.position import Bucket, MarginMode, Position
from margincover.model.rules import HaircutSlice, ModelFor, ModeRule, PoolBy
from margincover.numeric.arrays import frozen, frozen_index
from margincover.venues import orders
from margincover.venues.assets import is_pegged
from margincover.venues.legs import FundingFallback, Leg, build_leg, leg_table
from margincover.venues.models import ModelRequest, build_model
from margincover.venues.option_legs import OptionLeg, build_option, option_table

# Own warning level where neither the venue nor the user states one: 80 % of equity used by maintenance.
DEFAULT_MARGIN_CALL_COVERAGE_RATIO = 1.25


def build_pools(book: Book, *, funding_fallback: FundingFallback | None = None) -> tuple[MarginPool, ...]:
    """Return all margin pools of a book, in the order of its accounts.

    Raises
    ------
    InputError, RulebookError, NotSupportedError
        If a mark, balance, haircut, tier table or price is missing, or a mode does not allow a position.
    StaleDataError
        If the market levels are older than the book allows.
    """
    try:
        book.market.require_fresh(max_age_s=book.max_market_age_s)
    except InputError as error:
        raise error.located(source=book.source) from error
    pools: list[MarginPool] = []
    for account in book.accounts:
        try:
            pools.extend(_account_pools(book, account, funding_fallback))
        except InputError as error:
            raise error.located(source=book.source, account=account.id) from error
    return tuple(pools)


def _account_pools(book: Book, account: Account, fallback: FundingFallback | None) -> list[MarginPool]:
    rule = book.rulebooks[account.venue].modes[account.mode]
    held = _Held.of(book, account, rule, fallback)
    pools = [_isolated_pool(book, account, rule, leg) for leg in held.isolated]
    if rule.pool_by is PoolBy.ACCOUNT:
        if held.cross or held.options or not pools:
            pools.insert(0, _account_wide_pool(book, account, rule, held))
    else:
        pools = _settle_pools(book, account, rule, held, flat=not pools) + pools
    if len(pools) == 1:
        pools = [replace(pools[0], id=account.id)]
    return orders.with_open_orders(book, account, pools)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Positions of one account, compiled: cross and isolated legs, and options."""

    cross: tuple[Leg, ...]
    isolated: tuple[Leg, ...]
    options: tuple[OptionLeg, ...]

    @classmethod
    def of(cls, book: Book, account: Account, rule: ModeRule, fallback: FundingFallback | None) -> _Held:
        """Return the compiled positions of an account; the errors are those of ``build_pools``."""
        legs, options = [], []
        for position in account.positions:
            instrument = book.instruments[(account.venue, position.symbol)]
            _require_allowed(rule, position, instrument)
            if instrument.kind is Kind.OPTION:
                options.append(build_option(book, account, position))
            else:
                legs.append(_leg(book, account, position, instrument, fallback))
        isolated = [leg for leg in legs if leg.position.margin_mode is MarginMode.ISOLATED]
        cross = [leg for leg in legs if leg.position.margin_mode is MarginMode.CROSS]
        return cls(cross=tuple(cross), isolated=tuple(isolated), options=tuple(options))

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Instruments that share the cross equity of the account."""
        return (*(leg.instrument for leg in self.cross), *(leg.instrument for leg in self.options))

    def settling_in(self, asset: str) -> _Held:
        """Return the cross positions that settle in one asset."""
        return _Held(
            cross=tuple(leg for leg in self.cross if leg.instrument.settle == asset),
            isolated=(),
            options=tuple(leg for leg in self.options if leg.instrument.settle == asset),
        )


def _require_allowed(rule: ModeRule, position: Position, instrument: Instrument) -> None:
    if instrument.product not in rule.products:
        raise InputError(
            f"{position.symbol} is {instrument.product}, which mode {rule.name} does not hold",
            field="symbol",
            allowed=f"products {', '.join(rule.products)}",
        )
    if position.margin_mode.value not in rule.margin_modes:
        raise InputError(
            f"{position.symbol} was {position.margin_mode.value} in mode {rule.name}",
            field="margin_mode",
            allowed=", ".join(rule.margin_modes),
        )
    if instrument.kind is Kind.OPTION and position.margin_mode is MarginMode.ISOLATED:
        raise InputError(f"{position.symbol} is an isolated option", field="margin_mode", allowed="cross")
    if position.isolated_collateral_native is not None and position.isolated_collateral_native < 0:
        raise InputError(
            f"was {position.isolated_collateral_native}",
            field=f"{position.symbol}.isolated_collateral",
            allowed="a number >= 0",
        )


def _leg(
    book: Book, account: Account, position: Position, instrument: Instrument, fallback: FundingFallback | None
) -> Leg:
    family = abs(position.contracts)
    if position.margin_mode is MarginMode.CROSS:
        family = sum(
            abs(other.contracts)
            for other in account.positions
            if other.margin_mode is MarginMode.CROSS
            and book.instruments[(account.venue, other.symbol)].tier_table == instrument.tier_table
            and book.instruments[(account.venue, other.symbol)].product == instrument.product
        )
    return build_leg(book, account, position, family, fallback)


def _settle_pools(book: Book, account: Account, rule: ModeRule, positions: _Held, *, flat: bool) -> list[MarginPool]:
    balances = {balance.asset: balance for balance in account.balances}
    wanted = list(dict.fromkeys(instrument.settle for instrument in positions.instruments))
    if not wanted and flat:
        wanted = list(balances)
    pools = []
    for asset in wanted:
        if asset not in balances:
            raise InputError(
                f"positions settle in {asset}, no balance of it was given",
                field=f"balances.{asset}",
                allowed="a balance, with total 0 when there is none",
            )
        held = balances[asset]
        table = _single_asset(asset, held.total_native - held.borrowed_native)
        part = positions.settling_in(asset)
        pools.append(_pool(book, account, rule, f"{account.id}/{asset}", asset, part, table, MarginMode.CROSS))
    return pools


def _isolated_pool(book: Book, account: Account, rule: ModeRule, leg: Leg) -> MarginPool:
    suffix = "" if leg.position.bucket is Bucket.NET else f":{leg.position.bucket.value}"
    collateral = leg.position.isolated_collateral_native
    assert collateral is not None, "Invariant: an isolated position carries its collateral"
    settle = leg.instrument.settle
    return _pool(
        book,
        account,
        rule,
        f"{account.id}/{leg.instrument.venue_symbol}{suffix}",
        settle,
        _Held(cross=(leg,), isolated=(), options=()),
        _single_asset(settle, collateral),
        MarginMode.ISOLATED,
    )


def _account_wide_pool(book: Book, account: Account, rule: ModeRule, positions: _Held) -> MarginPool:
    held = [balance for balance in account.balances if balance.is_collateral]
    if not account.balances:
        raise InputError("no balance was given", field="balances", allowed="the wallet of the account, coin by coin")
    amounts = {balance.asset: balance.total_native - balance.borrowed_native for balance in held}
    for instrument in positions.instruments:
        # The venue lists every coin it holds for the account; a settle coin that is not listed is not held.
        amounts.setdefault(instrument.settle, 0.0)
    factors = list(dict.fromkeys(instrument.factor for instrument in positions.instruments))
    aliases = book.rulebooks[account.venue].factor_aliases
    moving = {asset: aliases.get(asset, asset) for asset in amounts if not is_pegged(asset)}
    factors += [factor for factor in dict.fromkeys(moving.values()) if factor not in factors]
    table = _haircut_assets(book, account, rule, amounts, moving, factors)
    pool_id = f"{account.id}/cross"
    return _pool(book, account, rule, pool_id, rule.unit, positions, table, MarginMode.CROSS, factors)


def _haircut_assets(
    book: Book,
    account: Account,
    rule: ModeRule,
    amounts: dict[str, float],
    moving: dict[str, str],
    factors: Sequence[str],
) -> AssetTable:
    ladders = book.rulebooks[account.venue].ladders
    starts: list[int] = []
    counts: list[int] = []
    flat: list[HaircutSlice] = []
    borrow: list[float] = []
    for asset, amount in amounts.items():
        ladder = ladders.get(asset)
        if ladder is None and rule.haircut_collateral:
            raise RulebookError(
                f"{asset} ({amount:g} held) has no collateral ladder at {account.venue} in force",
                field=f"balances.{asset}",
                allowed="a ladder by --rules DIR, or is_collateral = false",
            )
        starts.append(len(flat))
        slices = ladder.slices if ladder else ()
        counts.append(len(slices))
        flat.extend(slices)
        borrow.append(ladder.borrow_maintenance_fraction if ladder else 0.0)
    names = tuple(amounts)
    return AssetTable(
        assets=names,
        balance_native=frozen(list(amounts.values()), name="balance", ndim=1),
        price_unit=frozen(
            [asset_price_usd(book, asset) / asset_price_usd(book, rule.unit) for asset in names], name="price", ndim=1
        ),
        factor_index=frozen_index([list(factors).index(moving[a]) if a in moving else -1 for a in names]),
        slice_start=frozen_index(starts),
        slice_count=frozen_index(counts),
        slice_floor=frozen([s.floor for s in flat], name="slice_floor", ndim=1),
        # An open last slice is stored as the largest double: arrays hold finite numbers only.
        slice_cap=frozen([min(s.cap, 1.7e308) for s in flat], name="slice_cap", ndim=1),
        slice_weight=frozen([s.weight for s in flat], name="slice_weight", ndim=1),
        borrow_maintenance_fraction=frozen(borrow, name="borrow_maintenance", ndim=1),
    )


def _single_asset(asset: str, amount: float) -> AssetTable:
    empty = frozen([], name="slices", ndim=1)
    return AssetTable(
        assets=(asset,),
        balance_native=frozen([amount], name="balance", ndim=1),
        price_unit=frozen([1.0], name="price", ndim=1),
        factor_index=frozen_index([-1]),
        slice_start=frozen_index([0]),
        slice_count=frozen_index([0]),
        slice_floor=empty,
        slice_cap=empty,
        slice_weight=empty,
        borrow_maintenance_fraction=frozen([0.0], name="borrow_maintenance", ndim=1),
    )


def asset_price_usd(book: Book, asset: str) -> float:
    """Return the USD price of an asset from the book's market; ``USD`` itself is 1.

    Raises
    ------
    InputError
        If the market does not state it; a stable coin is never assumed to be 1.
    """
    if asset == "USD":
        return 1.0
    price = book.market.asset_usd.get(asset)
    if price is None:
        raise InputError(
            f"no USD price for {asset}",
            source=book.source,
            field=f"market.asset_usd.{asset}",
            allowed="a price > 0, also for stable coins",
        )
    return price


def _margin_call(account: Account, rule: ModeRule) -> tuple[float, str]:
    if account.margin_call_coverage_ratio is not None:
        return account.margin_call_coverage_ratio, "book"
    if rule.margin_call_coverage_ratio is not None:
        return rule.margin_call_coverage_ratio, f"{account.venue} rule"
    return DEFAULT_MARGIN_CALL_COVERAGE_RATIO, "margincover default (the venue has no margin call)"


def _notes(account: Account, rule: ModeRule, positions: _Held) -> tuple[str, ...]:
    notes = tuple(note for leg in positions.cross for note in leg.notes)
    notes += tuple(note for leg in positions.options for note in leg.notes)
    share = rule.backstop_of_maintenance_fraction
    if share is not None:
        notes += (
            f"backstop at headroom {share - 1.0:.4g} x maintenance: below it {account.venue} takes the positions and "
            "all margin of the pool, nothing is returned",
        )
    if rule.confidence != "CONFIRMED":
        notes += (f"mode {rule.name} is {rule.confidence}: {rule.notes}",)
    return notes


def _pool(
    book: Book,
    account: Account,
    rule: ModeRule,
    pool_id: str,
    unit: str,
    positions: _Held,
    assets: AssetTable,
    margin_mode: MarginMode,
    factors: Sequence[str] | None = None,
) -> MarginPool:
    if factors is None:
        factors = list(dict.fromkeys(instrument.factor for instrument in positions.instruments))
    for instrument in positions.instruments:
        if instrument.payoff.value == "quanto":
            raise NotSupportedError(f"{instrument.id} is quanto", field="symbol", allowed="linear or inverse")
    ratio, source = _margin_call(account, rule)
    notes = _notes(account, rule, positions)
    pool = MarginPool(
        id=pool_id,
        account_id=account.id,
        venue=account.venue,
        mode=account.mode,
        margin_mode=margin_mode.value,
        unit=unit,
        unit_usd=asset_price_usd(book, unit),
        factors=tuple(factors),
        legs=leg_table(positions.cross, factors, assets.assets),
        options=option_table(positions.options, factors, assets.assets),
        assets=assets,
        margin_call_coverage_ratio=ratio,
        margin_call_source=source,
        tick_rule=rule.tick_rule,
        notes=notes,
    )
    return _with_model(book, account, rule, pool)


def _with_model(book: Book, account: Account, rule: ModeRule, pool: MarginPool) -> MarginPool:
    # A pool of one isolated position is margined by its tiers in every mode that has such positions.
    if not rule.model or pool.margin_mode == MarginMode.ISOLATED.value:
        return pool
    if rule.model_for is ModelFor.OPTIONS and not pool.options.count:
        return pool
    request = ModelRequest(
        pool=pool,
        rule=rule,
        account=account,
        market=book.market,
        at=book.rulebooks[account.venue].at,
        rulebook=book.rulebooks[account.venue],
        instruments=book.instruments,
    )
    model = build_model(request)
    return replace(pool, model=model, notes=pool.notes + model.notes)
