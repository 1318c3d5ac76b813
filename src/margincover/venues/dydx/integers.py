"""dYdX v4 margin in whole numbers: quote quantums (1e-6 USDC), base quantums, parts per million.

Requirements round up, the open-interest interpolation rounds down, a bankruptcy price rounds up. ``dydx_vector`` is the
float twin for many paths. The oracle price is the only price, USDC the only collateral, and there is no haircut.

References
----------
dydxprotocol/v4-chain, x/perpetuals, x/subaccounts and x/clob (main 84d4664, 2026-03-04), read 2026-11 as
a description of the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import TypeVar

from margincover.errors import InputError, RulebookError
from margincover.venues.registry_fields import Place

PPM = 1_000_000
QUOTE_ATOMIC_RESOLUTION = -6


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxParameters:
    """One liquidity tier.

    ``maintenance_fraction_ppm`` is a share of the BASE initial margin. The open-interest caps are in quote quantums; an
    upper cap of 0 means that open interest does not raise the initial margin.
    """

    initial_margin_ppm: int
    maintenance_fraction_ppm: int
    open_interest_lower_cap: int
    open_interest_upper_cap: int

    def __post_init__(self) -> None:
        for key in ("initial_margin_ppm", "maintenance_fraction_ppm"):
            if not 0 <= getattr(self, key) <= PPM:
                raise RulebookError(f"was {getattr(self, key)}", field=key, allowed=f"0 to {PPM} parts per million")
        if not 0 <= self.open_interest_lower_cap <= self.open_interest_upper_cap:
            raise RulebookError(
                f"caps were {self.open_interest_lower_cap} and {self.open_interest_upper_cap}",
                field="open_interest_lower_cap",
                allowed="0 <= lower cap <= upper cap",
            )

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> DydxParameters:
        """Return the tier of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is no whole number in its range.
        """
        return _from_whole_numbers(cls, data, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxLiquidationParameters:
    """Liquidation settings of the chain, in parts per million.

    ``bankruptcy_adjustment_ppm`` may exceed one million: it makes the fillable price reach its worst earlier.
    """

    bankruptcy_adjustment_ppm: int
    spread_to_maintenance_margin_ratio_ppm: int
    max_liquidation_fee_ppm: int

    def __post_init__(self) -> None:
        for key in ("bankruptcy_adjustment_ppm", "spread_to_maintenance_margin_ratio_ppm", "max_liquidation_fee_ppm"):
            if getattr(self, key) < 0:
                raise RulebookError(f"was {getattr(self, key)}", field=key, allowed="a whole number >= 0")
        # More than the whole fill would be a mistaken unit.
        if self.max_liquidation_fee_ppm > PPM:
            raise RulebookError(
                f"was {self.max_liquidation_fee_ppm}", field="max_liquidation_fee_ppm", allowed=f"at most {PPM}"
            )

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> DydxLiquidationParameters:
        """Return the settings of a rule table; see ``DydxParameters.from_mapping`` for the errors."""
        return _from_whole_numbers(cls, data, source)


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxMarket:
    """A market in one state: a coin is ``price * 10^price_exponent`` USD and ``10^-atomic_resolution`` quantums."""

    tier: DydxParameters
    price: int
    price_exponent: int
    atomic_resolution: int

    def __post_init__(self) -> None:
        if self.price <= 0:
            raise InputError(f"was {self.price}", field="oracle price", allowed="a whole number > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxRisk:
    """Net collateral (signed), initial and maintenance requirement (>= 0), in quote quantums."""

    net_collateral: int
    initial: int
    maintenance: int

    @property
    def is_liquidatable(self) -> bool:
        """Return whether net collateral is below a maintenance requirement that is not zero."""
        return self.maintenance > 0 and self.net_collateral < self.maintenance

    @property
    def is_initial_collateralised(self) -> bool:
        """Return whether net collateral covers the initial requirement."""
        return self.net_collateral >= self.initial


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxClose:
    """A reduction of one position: signed base quantums held, and the signed change (opposite sign, not larger)."""

    market: DydxMarket
    position_base_quantums: int
    delta_base_quantums: int

    def __post_init__(self) -> None:
        held, delta = self.position_base_quantums, self.delta_base_quantums
        if held * delta >= 0 or abs(delta) > abs(held):
            raise InputError(
                f"change {delta} does not reduce the position {held}",
                field="delta_base_quantums",
                allowed="the opposite sign of the position and at most its size",
            )


Table = TypeVar("Table", DydxParameters, DydxLiquidationParameters)


def adjusted_initial_margin_ppm(*, tier: DydxParameters, open_interest_quote_quantums: int) -> int:
    """Return the initial margin fraction at an open interest, in parts per million.

    Notes
    -----
    base up to the lower cap, 1 from the upper cap on, between them
    ``base + floor((1 - base) * (open interest - lower) / (upper - lower))``, open interest at the oracle
    price. An earlier form of the chain kept the interpolation as an exact ratio; the two differ by less than one part
    per million of notional.
    """
    if open_interest_quote_quantums < 0:
        raise InputError(f"was {open_interest_quote_quantums}", field="open interest", allowed="a whole number >= 0")
    base, lower, upper = tier.initial_margin_ppm, tier.open_interest_lower_cap, tier.open_interest_upper_cap
    if upper == 0 or open_interest_quote_quantums <= lower:
        return base
    if open_interest_quote_quantums >= upper:
        return PPM
    return base + (PPM - base) * (open_interest_quote_quantums - lower) // (upper - lower)


def initial_quote_quantums(
    *, notional: int, tier: DydxParameters, open_interest_quote_quantums: int, custom_ppm: int = 0
) -> int:
    """Return the initial requirement of a notional >= 0; a user's leverage setting (``custom_ppm``) only raises it."""
    fraction = adjusted_initial_margin_ppm(tier=tier, open_interest_quote_quantums=open_interest_quote_quantums)
    return _ceil_ppm(notional, max(fraction, custom_ppm))


def maintenance_quote_quantums(*, notional: int, tier: DydxParameters) -> int:
    """Return ``ceil(ceil(notional * base initial) * maintenance fraction)``: no open interest, no leverage."""
    return _ceil_ppm(_ceil_ppm(notional, tier.initial_margin_ppm), tier.maintenance_fraction_ppm)


def notional_quote_quantums(base_quantums: int, *, market: DydxMarket) -> int:
    """Return the signed value of base quantums at the oracle price, the remainder cut off towards zero."""
    exponent = market.price_exponent + market.atomic_resolution - QUOTE_ATOMIC_RESOLUTION
    return _times_power_of_ten(base_quantums * market.price, exponent)


def position_risk(
    base_quantums: int, *, market: DydxMarket, open_interest_quote_quantums: int = 0, custom_ppm: int = 0
) -> DydxRisk:
    """Return value and requirements of one position of signed base quantums."""
    value = notional_quote_quantums(base_quantums, market=market)
    return DydxRisk(
        net_collateral=value,
        initial=initial_quote_quantums(
            notional=abs(value),
            tier=market.tier,
            open_interest_quote_quantums=open_interest_quote_quantums,
            custom_ppm=custom_ppm,
        ),
        maintenance=maintenance_quote_quantums(notional=abs(value), tier=market.tier),
    )


def account_risk(*, usdc_quote_quantums: int, settled_funding: int, positions: Iterable[DydxRisk]) -> DydxRisk:
    """Return the risk of a subaccount: USDC (negative is a debt) plus settled funding plus its positions."""
    rows = tuple(positions)
    return DydxRisk(
        net_collateral=usdc_quote_quantums + settled_funding + sum(row.net_collateral for row in rows),
        initial=sum(row.initial for row in rows),
        maintenance=sum(row.maintenance for row in rows),
    )


def is_update_allowed(*, before: DydxRisk, after: DydxRisk) -> bool:
    """Return whether the chain accepts a change of an account.

    Notes
    -----
    Accepted when the initial requirement is met afterwards. Otherwise the maintenance requirement may not rise and net
    collateral per maintenance requirement may not fall (compared by products, without division); when either
    maintenance requirement is zero, net collateral itself may not fall.
    """
    if after.is_initial_collateralised:
        return True
    if after.maintenance > before.maintenance:
        return False
    if after.maintenance == 0 or before.maintenance == 0:
        return after.net_collateral >= before.net_collateral
    return after.net_collateral * before.maintenance >= before.net_collateral * after.maintenance


def bankruptcy_price_quote_quantums(*, account: DydxRisk, close: DydxClose) -> int:
    """Return what a reduction must bring at least so that the rest of the account is not worse off, in quote quantums.

    Returns
    -------
    int
        Positive when the reduction sells (proceeds), negative when it buys (cost); rounded towards plus infinity.

    Notes
    -----
    ``-change of position value - floor(net collateral * |change of position maintenance| / account maintenance)``. The
    changes are differences of rounded position figures, not figures of the difference.

    Raises
    ------
    InputError
        If the account has no maintenance requirement.
    """
    _check_maintenance(account)
    held = position_risk(close.position_base_quantums, market=close.market)
    left = position_risk(close.position_base_quantums + close.delta_base_quantums, market=close.market)
    value_change = left.net_collateral - held.net_collateral
    released = abs(left.maintenance - held.maintenance)
    return -value_change - account.net_collateral * released // account.maintenance


def fillable_price(
    *, account: DydxRisk, market: DydxMarket, position_base_quantums: int, parameters: DydxLiquidationParameters
) -> Fraction:
    """Return the limit price of a liquidation order, in quote quantums per base quantum (exact ratio, >= 0).

    Notes
    -----
    ``(value - rating * spread * maintenance of the position) / size`` with
    ``rating = clamp(adjustment * (1 - net collateral / maintenance of the account), 0, 1)``.

    Raises
    ------
    InputError
        If the position is zero, the account has no maintenance requirement, or the price would be negative.
    """
    _check_maintenance(account)
    if position_base_quantums == 0:
        raise InputError("was 0", field="position_base_quantums", allowed="a position")
    risk = position_risk(position_base_quantums, market=market)
    health = Fraction(account.net_collateral, account.maintenance)
    rating = min(max(Fraction(parameters.bankruptcy_adjustment_ppm, PPM) * (1 - health), Fraction(0)), Fraction(1))
    spread = Fraction(parameters.spread_to_maintenance_margin_ratio_ppm, PPM) * risk.maintenance
    price = (risk.net_collateral - rating * spread) / position_base_quantums
    if price < 0:
        raise InputError(
            f"fillable price was {price}",
            field="spread_to_maintenance_margin_ratio_ppm",
            allowed="a spread below the value of the position",
        )
    return price


def fill_quote_quantums(*, base_quantums: int, subticks: int, quantum_conversion_exponent: int) -> int:
    """Return the value of a fill of base quantums > 0 at a price in subticks, the remainder cut off."""
    if base_quantums <= 0 or subticks <= 0:
        raise InputError(
            f"base quantums were {base_quantums}, subticks {subticks}", field="fill", allowed="whole numbers > 0"
        )
    return _times_power_of_ten(base_quantums * subticks, quantum_conversion_exponent)


def insurance_fund_delta(
    *, account: DydxRisk, close: DydxClose, fill_value: int, parameters: DydxLiquidationParameters
) -> int:
    """Return the payment of a liquidated account to the insurance fund, in quote quantums.

    Parameters
    ----------
    fill_value : int
        Value of the fill, >= 0 (``fill_quote_quantums``).

    Returns
    -------
    int
        Positive is the fee that the account pays, negative what the fund covers.

    Notes
    -----
    ``proceeds - bankruptcy price``, and when that is positive at most ``floor(max fee * fill value)``.
    """
    if fill_value < 0:
        raise InputError(f"was {fill_value}", field="fill_value", allowed="a whole number >= 0")
    proceeds = fill_value if close.delta_base_quantums < 0 else -fill_value
    surplus = proceeds - bankruptcy_price_quote_quantums(account=account, close=close)
    return min(surplus, fill_value * parameters.max_liquidation_fee_ppm // PPM) if surplus > 0 else surplus


def open_interest_change(fills: Iterable[tuple[int, int]]) -> int:
    """Return the change of open interest of a match from (position before, change) of each side, in base quantums.

    Examples
    --------
    >>> open_interest_change([(-100, 300), (250, -300)])
    -50
    """
    return sum(max(before + change, 0) - max(before, 0) for before, change in fills)


def _check_maintenance(account: DydxRisk) -> None:
    if account.maintenance <= 0:
        raise InputError(
            f"was {account.maintenance}", field="account maintenance", allowed="> 0: an account that holds a position"
        )


def _ceil_ppm(value: int, ppm: int) -> int:
    if value < 0 or ppm < 0:
        raise InputError(f"notional was {value}, fraction {ppm}", field="requirement", allowed="values >= 0")
    return -(-value * ppm // PPM)


def _times_power_of_ten(value: int, exponent: int) -> int:
    if exponent >= 0:
        return int(value * 10**exponent)
    whole = abs(value) // 10**-exponent
    return int(whole if value >= 0 else -whole)


def _from_whole_numbers(kind: type[Table], data: Mapping[str, object], source: str) -> Table:
    place = Place(dict(data), source, "parameters")
    names = [f.name for f in fields(kind)]
    place.only(names)
    values: dict[str, int] = {}
    for name in names:
        value = place.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise place.error(f"was {value!r}", key=name, allowed="a whole number (parts per million or quantums)")
        values[name] = value
    try:
        return kind(**values)
    except InputError as error:
        raise error.located(source=source) from error
