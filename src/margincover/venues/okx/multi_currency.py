"""OKX multi-currency margin: discounted equity, account ratio with a fee per leg, borrowing, isolated spot margin.

Sources: OKX help "Multi-currency margin mode: cross margin trading" (2024-10-25), isolated-mode page (2025-02-17), and
captured accounts, read 2026-11-22. Danger is down: liquidation at a ratio of 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import ParameterFields, checked, ratio
from margincover.venues.slices import sliced_total, sliced_total_reference


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountParameters:
    """Marginal discount ladder of one coin: lower edges in coins, rates as fractions of value."""

    edges: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> DiscountParameters:
        """Return parameters from ``ladder = [[lower edge, rate], ...]``.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, edges do not start at 0 and rise, or a rate is not a fraction.
        """
        edges, rates = ParameterFields(data, source=source, names=("ladder",)).ladder("ladder")
        return cls(edges=edges, rates=rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowParameters:
    """Margin rates of a borrowed coin and the liquidation fee rate on the liability plus its maintenance."""

    initial_fraction: float
    maintenance_fraction: float
    liquidation_fee_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> BorrowParameters:
        """Return parameters from a table; RulebookError as for ``DiscountParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


def discounted_equity_usd(
    equity: ArrayLike, *, usd_price: ArrayLike, parameters: DiscountParameters
) -> NDArray[np.float64]:
    """Return the margin value of one coin's equity in USD [path]: positive amounts by slices, negative ones in full.

    Parameters
    ----------
    equity : array [path]
        In the coin, signed: balance + profit + isolated margin + option value - accrued interest. The value of long
        options is no collateral in this mode and is left out by the caller.
    usd_price : array [path]
        > 0.

    Raises
    ------
    InputError
        If a value is not finite or a price is not > 0.
    """
    amount = checked(equity, name="equity")
    kept = sliced_total(np.maximum(amount, 0.0), edges=parameters.edges, rates=parameters.rates)
    return np.asarray((kept + np.minimum(amount, 0.0)) * checked(usd_price, name="usd_price", above=0.0))


def adjusted_equity_usd(discounted_usd: ArrayLike, *, frozen_usd: ArrayLike) -> NDArray[np.float64]:
    """Return adjEq [path]: the sum of discounted equities [asset, path] less what is frozen."""
    total = checked(discounted_usd, name="discounted_usd").sum(axis=0)
    return np.asarray(total - checked(frozen_usd, name="frozen_usd", least=0.0), dtype=np.float64)


def derivative_fee_usd(notional_usd: ArrayLike, *, fee_fraction: ArrayLike) -> NDArray[np.float64]:
    """Return liquidation fees in USD [path]: sum over legs of ``|notional| * taker fee`` of that leg, fee [leg, 1]."""
    fee = checked(fee_fraction, name="fee_fraction", least=0.0)
    return np.asarray((np.abs(checked(notional_usd, name="notional_usd")) * fee).sum(axis=0), dtype=np.float64)


def borrowed(equity: ArrayLike) -> NDArray[np.float64]:
    """Return what is borrowed by itself when a coin's equity is negative [coin, path], >= 0, in the coin."""
    return np.asarray(np.maximum(-checked(equity, name="equity"), 0.0), dtype=np.float64)


def borrow_margins_usd(
    liability_usd: ArrayLike, *, parameters: BorrowParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (initial, maintenance, liquidation fee) in USD [coin, path] of liabilities >= 0 in USD.

    Notes
    -----
    The fee applies to the liability plus its maintenance: ``liability * (1 + mmr) * fee`` (four captured positions).
    """
    value = checked(liability_usd, name="liability_usd", least=0.0)
    maintenance = value * parameters.maintenance_fraction
    fee = (value + maintenance) * parameters.liquidation_fee_fraction
    return np.asarray(value * parameters.initial_fraction), np.asarray(maintenance), np.asarray(fee)


def borrow_interest_per_hour(
    liability: ArrayLike, *, interest_free: ArrayLike, rate_per_hour: ArrayLike
) -> NDArray[np.float64]:
    """Return one hour's interest in the coin [coin, path]: ``max(liability - free quota, 0) * rate``; all >= 0."""
    owed = checked(liability, name="liability", least=0.0)
    charged = np.maximum(owed - checked(interest_free, name="interest_free", least=0.0), 0.0)
    return np.asarray(charged * checked(rate_per_hour, name="rate_per_hour", least=0.0), dtype=np.float64)


def account_coverage_ratio(
    adjusted_usd: ArrayLike, *, maintenance_usd: ArrayLike, fee_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return the venue's mgnRatio [path] = adjEq / (maintenance + liquidation fees).

    Notes
    -----
    Without requirement +inf, or -inf when equity is negative.
    """
    required = checked(maintenance_usd, name="maintenance_usd", least=0.0) + checked(fee_usd, name="fee_usd", least=0.0)
    return ratio(checked(adjusted_usd, name="adjusted_usd"), required)


def available_usd(adjusted_usd: ArrayLike, *, initial_usd: ArrayLike) -> NDArray[np.float64]:
    """Return availEq [path] = adjEq - initial margin, signed: < 0 is missing."""
    initial = checked(initial_usd, name="initial_usd", least=0.0)
    return np.asarray(checked(adjusted_usd, name="adjusted_usd") - initial, dtype=np.float64)


def isolated_pair_ratio(
    *, asset_value: ArrayLike, liability_value: ArrayLike, maintenance_fraction: ArrayLike, fee_fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return the ratio of an isolated spot-margin pair [leg, path].

    Parameters
    ----------
    asset_value, liability_value : array [leg, path]
        >= 0, both valued in one currency; ``pos`` of the payload already contains the margin.

    Notes
    -----
    ``(assets - liability) / (liability * mmr + liability * (1 + mmr) * fee)``; +inf without liability.
    """
    assets = checked(asset_value, name="asset_value", least=0.0)
    owed = checked(liability_value, name="liability_value", least=0.0)
    rate = checked(maintenance_fraction, name="maintenance_fraction", least=0.0)
    required = owed * rate + owed * (1.0 + rate) * checked(fee_fraction, name="fee_fraction", least=0.0)
    return ratio(assets - owed, required)


def isolated_pair_debt(
    liability: ArrayLike, *, maintenance_fraction: ArrayLike, fee_fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return the assets at which a pair is liquidated, ``liability * (1 + mmr) * (1 + fee)``, in its coin."""
    owed = checked(liability, name="liability", least=0.0)
    rate = 1.0 + checked(maintenance_fraction, name="maintenance_fraction", least=0.0)
    return np.asarray(owed * rate * (1.0 + checked(fee_fraction, name="fee_fraction", least=0.0)), dtype=np.float64)


def isolated_long_liquidation_price(
    debt_quote: ArrayLike, *, asset_base: ArrayLike, margin_quote: ArrayLike
) -> NDArray[np.float64]:
    """Return the liquidation price of a long pair [leg, path]: ``(debt - quote margin) / base assets``.

    Parameters
    ----------
    debt_quote : array
        From ``isolated_pair_debt`` of the quote liability.
    asset_base : array
        > 0; contains a margin posted in the base coin.
    margin_quote : array
        >= 0, margin posted in the quote coin, 0 for base margin. A result <= 0 means that no price liquidates it.
    """
    net = checked(debt_quote, name="debt_quote", least=0.0) - checked(margin_quote, name="margin_quote", least=0.0)
    return np.asarray(net / checked(asset_base, name="asset_base", above=0.0), dtype=np.float64)


def isolated_short_liquidation_price(asset_quote: ArrayLike, *, debt_base: ArrayLike) -> NDArray[np.float64]:
    """Return the liquidation price of a short pair [leg, path]: ``quote assets / debt``, debt > 0 in the base coin."""
    assets = checked(asset_quote, name="asset_quote", least=0.0)
    return np.asarray(assets / checked(debt_base, name="debt_base", above=0.0), dtype=np.float64)


def isolated_long_opening(
    size_base: ArrayLike, *, price: ArrayLike, leverage: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return (margin in base, borrowed quote, position assets in base) when a long pair with base margin is opened."""
    size = checked(size_base, name="size_base", least=0.0)
    margin = size / checked(leverage, name="leverage", above=0.0)
    return np.asarray(margin), np.asarray(size * checked(price, name="price", above=0.0)), np.asarray(size + margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCoin:
    """One coin of one state for the slow twin: equity in the coin, its price, ladder and borrow rates."""

    equity: float
    usd_price: float
    discount: DiscountParameters
    borrow: BorrowParameters


def account_reference(
    coins: Sequence[ReferenceCoin], *, maintenance_usd: float, fee_usd: float, frozen_usd: float
) -> tuple[float, float]:
    """Return (adjEq, requirement with fees) in USD of one state by exact fractions; derivatives' figures are given."""
    adjusted, required = -Fraction(frozen_usd), Fraction(maintenance_usd) + Fraction(fee_usd)
    for coin in coins:
        price = Fraction(coin.usd_price)
        if coin.equity > 0:
            kept = sliced_total_reference(coin.equity, edges=coin.discount.edges, rates=coin.discount.rates)
            adjusted += Fraction(kept) * price
            continue
        liability = -Fraction(coin.equity) * price
        rate = Fraction(coin.borrow.maintenance_fraction)
        adjusted -= liability
        required += liability * rate + liability * (1 + rate) * Fraction(coin.borrow.liquidation_fee_fraction)
    return float(adjusted), float(required)
