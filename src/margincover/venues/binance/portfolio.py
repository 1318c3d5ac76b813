"""Binance portfolio margin and portfolio margin Pro: one account ratio, uniMMR = adjusted equity / maintenance.

Sources: Binance FAQ 4868b2f1aa6c4d08af973328462bb0bd (2025-02-06), 5e33af8e6ac04d57a1d0a3398e0a0752,
174861644e7049aaa64845f1db2e4376 (2024-11-14), read 2026-11-22. Danger is down: liquidation at 105 %.
The scenario grid of Pro SPAN accounts is not published: it is not modelled here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, RulebookError
from margincover.venues.cex_fields import ParameterFields, checked, ratio

_THRESHOLDS = ("reminder_ratio", "reduce_only_ratio", "liquidation_ratio", "bankruptcy_ratio")


class PortfolioStatus(IntEnum):
    """State of an account by its uniMMR; a larger number is worse."""

    NORMAL = 0
    REMINDER = 1
    REDUCE_ONLY = 2
    LIQUIDATION = 3
    BANKRUPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioParameters:
    """Account lines (uniMMR as a number, 1.05 is 105 %), loan maintenance by margin leverage, withdrawal multiple."""

    reminder_ratio: float
    reduce_only_ratio: float
    liquidation_ratio: float
    bankruptcy_ratio: float
    withdraw_maintenance_multiple: float
    loan_maintenance_fraction: Mapping[str, float]

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> PortfolioParameters:
        """Return parameters from a table; ``loan_maintenance_fraction`` is keyed by margin leverage, "3", "5", "10".

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a value out of range, or the lines do not fall from reminder to bankruptcy.
        """
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        lines = [fields.number(name, least=0.5, most=10.0) for name in _THRESHOLDS]
        if any(lower >= upper for upper, lower in pairwise(lines)):
            raise RulebookError(f"lines were {lines}", source=source, field="reminder_ratio", allowed="falling lines")
        return cls(
            **dict(zip(_THRESHOLDS, lines, strict=True)),
            withdraw_maintenance_multiple=fields.number("withdraw_maintenance_multiple", least=1.0, most=10.0),
            loan_maintenance_fraction=fields.keyed("loan_maintenance_fraction", least=0.0, most=1.0),
        )

    def loan_maintenance_of(self, margin_leverage: int) -> float:
        """Return the loan maintenance rate of a margin leverage; RulebookError for one that is not offered."""
        key = str(margin_leverage)
        if key not in self.loan_maintenance_fraction:
            raise RulebookError(
                f"margin leverage was {margin_leverage}",
                field="loan_maintenance_fraction",
                allowed=", ".join(self.loan_maintenance_fraction),
            )
        return self.loan_maintenance_fraction[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class NegativeBalanceParameters:
    """Interest-free negative balance in USDT at one VIP level."""

    free_negative_balance_usdt: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> NegativeBalanceParameters:
        """Return parameters from a table; RulebookError as for ``PortfolioParameters``."""
        fields = ParameterFields(data, source=source, names=("free_negative_balance_usdt",))
        return cls(free_negative_balance_usdt=fields.number("free_negative_balance_usdt", least=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParameters:
    """Collateral rate of one asset, a fraction of its index value."""

    collateral_weight: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> CollateralParameters:
        """Return parameters from a table; RulebookError as for ``PortfolioParameters``."""
        fields = ParameterFields(data, source=source, names=("collateral_weight",))
        return cls(collateral_weight=fields.fraction("collateral_weight"))


def asset_equity(
    *, margin_asset: ArrayLike, margin_loan: ArrayLike, futures_asset: ArrayLike, futures_unrealised_pnl: ArrayLike
) -> NDArray[np.float64]:
    """Return equity [asset, path] in the asset: margin asset - loan (>= 0) + futures balances + futures profit."""
    return np.asarray(
        checked(margin_asset, name="margin_asset")
        - checked(margin_loan, name="margin_loan", least=0.0)
        + checked(futures_asset, name="futures_asset")
        + checked(futures_unrealised_pnl, name="futures_unrealised_pnl"),
        dtype=np.float64,
    )


def account_equity_usd(
    equity: ArrayLike, *, index_price: ArrayLike, collateral_weight: ArrayLike
) -> NDArray[np.float64]:
    """Return account equity in USD [path]: sum of ``min(eq * index * weight, eq * index)``; only positive ones are cut.

    Parameters
    ----------
    equity : array [asset, path]
        In the asset, signed.
    index_price : array [asset, path]
        USD, > 0.
    collateral_weight : array [asset, 1]
        Fraction >= 0.
    """
    value = checked(equity, name="equity") * checked(index_price, name="index_price", above=0.0)
    weight = checked(collateral_weight, name="collateral_weight", least=0.0)
    return np.asarray(np.minimum(value * weight, value).sum(axis=0), dtype=np.float64)


def adjusted_equity_usd(equity_usd: ArrayLike, *, open_loss: ArrayLike, index_price: ArrayLike) -> NDArray[np.float64]:
    """Return equity [path] less what open spot-margin orders would lose; open_loss [asset, path] >= 0.

    Notes
    -----
    Portfolio margin for retail has this deduction; the Pro text of 2022 has none (state 0).
    """
    loss = checked(open_loss, name="open_loss", least=0.0) * checked(index_price, name="index_price", above=0.0)
    return np.asarray(checked(equity_usd, name="equity_usd") - loss.sum(axis=0), dtype=np.float64)


def futures_maintenance_usd(
    notional: ArrayLike, *, rate_fraction: ArrayLike, deduction: ArrayLike, settle_index_price: ArrayLike
) -> NDArray[np.float64]:
    """Return futures maintenance in USD [path]: sum over legs of ``(|notional| * rate - deduction) * index``.

    Parameters
    ----------
    notional : array [leg, path]
        In the settle asset: USDT for USD-M, coin for COIN-M; the sign is ignored.
    rate_fraction, deduction : array [leg, path] or [leg, 1]
        Rate and ``cum`` of the bracket that holds the notional, deduction in the settle asset.
    settle_index_price : array [leg, path] or [leg, 1]
        USD per unit of the settle asset, > 0.
    """
    amount = np.abs(checked(notional, name="notional")) * checked(rate_fraction, name="rate_fraction", least=0.0)
    net = amount - checked(deduction, name="deduction", least=0.0)
    index = checked(settle_index_price, name="settle_index_price", above=0.0)
    return np.asarray((net * index).sum(axis=0), dtype=np.float64)


def loan_maintenance_usd(loan: ArrayLike, *, rate_fraction: ArrayLike, index_price: ArrayLike) -> NDArray[np.float64]:
    """Return loan maintenance in USD [path]: sum of ``loan * rate * index`` over assets, loan >= 0."""
    amount = checked(loan, name="loan", least=0.0) * checked(rate_fraction, name="rate_fraction", least=0.0)
    return np.asarray((amount * checked(index_price, name="index_price", above=0.0)).sum(axis=0), dtype=np.float64)


def uni_mmr(adjusted_usd: ArrayLike, *, maintenance_usd: ArrayLike) -> NDArray[np.float64]:
    """Return uniMMR [path] = adjusted equity / maintenance; without maintenance +inf, -inf if equity is negative."""
    return ratio(
        checked(adjusted_usd, name="adjusted_usd"), checked(maintenance_usd, name="maintenance_usd", least=0.0)
    )


def account_status(uni_mmr_ratio: ArrayLike, parameters: PortfolioParameters) -> NDArray[np.int64]:
    """Return ``PortfolioStatus`` numbers [path].

    Raises
    ------
    InputError
        If a ratio is NaN.

    Notes
    -----
    A ratio that stands exactly on a line takes the worse side: the venue writes "<= 105 %" for liquidation and
    "> 150 %" for no restriction, and leaves the other lines open.
    """
    value = np.asarray(uni_mmr_ratio, dtype=np.float64)
    if np.isnan(value).any():
        # A NaN is below no line and would come out as NORMAL.
        raise InputError("held a NaN", field="uni_mmr_ratio", allowed="numbers; +inf is an account without maintenance")
    lines = [getattr(parameters, name) for name in _THRESHOLDS]
    return np.asarray(np.sum([value <= line for line in lines], axis=0), dtype=np.int64)


def maximum_withdrawal_usd(
    equity_usd: ArrayLike, *, maintenance_usd: ArrayLike, parameters: PortfolioParameters
) -> NDArray[np.float64]:
    """Return ``max(equity - multiple * maintenance, 0)`` in USD [path]."""
    required = parameters.withdraw_maintenance_multiple * checked(maintenance_usd, name="maintenance_usd", least=0.0)
    return np.asarray(np.maximum(checked(equity_usd, name="equity_usd") - required, 0.0), dtype=np.float64)


def maximum_loan_usd(
    withdrawal_usd: ArrayLike, *, virtual_loan_usd: ArrayLike, margin_leverage: ArrayLike
) -> NDArray[np.float64]:
    """Return ``(L - 1) * max(withdrawal - virtual loan / (L - 1), 0)`` in USD [path], L > 1."""
    multiple = checked(margin_leverage, name="margin_leverage", above=1.0) - 1.0
    used = checked(virtual_loan_usd, name="virtual_loan_usd", least=0.0) / multiple
    return np.asarray(multiple * np.maximum(checked(withdrawal_usd, name="withdrawal_usd", least=0.0) - used, 0.0))


def futures_order_initial(quantity: ArrayLike, *, price: ArrayLike, leverage: ArrayLike) -> NDArray[np.float64]:
    """Return the initial margin of a futures order, ``|quantity| * price / leverage``, in the quote asset."""
    value = np.abs(checked(quantity, name="quantity")) * checked(price, name="price", above=0.0)
    return np.asarray(value / checked(leverage, name="leverage", above=0.0), dtype=np.float64)


def loan_initial(borrowed: ArrayLike, *, margin_leverage: ArrayLike) -> NDArray[np.float64]:
    """Return the initial margin of a spot-margin order, ``borrowed / (L - 1)``, in the borrowed asset, L > 1."""
    multiple = checked(margin_leverage, name="margin_leverage", above=1.0) - 1.0
    return np.asarray(checked(borrowed, name="borrowed", least=0.0) / multiple, dtype=np.float64)


def negative_balance_interest(
    balance_usdt: ArrayLike, *, daily_rate_fraction: ArrayLike, parameters: NegativeBalanceParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (charged balance <= 0, interest of one day >= 0) in USDT [path].

    Parameters
    ----------
    balance_usdt : array [path]
        Sum of the USDT balances at the daily snapshot, 00:00 UTC, signed.
    daily_rate_fraction : array
        Borrow rate of one day, >= 0.
    """
    charged = np.minimum(checked(balance_usdt, name="balance_usdt") + parameters.free_negative_balance_usdt, 0.0)
    rate = checked(daily_rate_fraction, name="daily_rate_fraction", least=0.0)
    return charged, np.asarray(-charged * rate, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceHolding:
    """One asset of one state for the slow twin, amounts in the asset; ``futures_maintenance`` as |N| * rate - cum."""

    equity: float
    index_price: float
    collateral_weight: float
    open_loss: float
    futures_maintenance: float
    loan: float
    loan_rate_fraction: float


def account_reference(holdings: Sequence[ReferenceHolding]) -> dict[str, float]:
    """Return equity_usd, adjusted_usd and maintenance_usd of one state by exact fractions."""
    equity = adjusted = maintenance = Fraction(0)
    for held in holdings:
        index, value = Fraction(held.index_price), Fraction(held.equity) * Fraction(held.index_price)
        counted = value * Fraction(held.collateral_weight) if value > 0 else value
        equity += min(counted, value)
        adjusted += min(counted, value) - Fraction(held.open_loss) * index
        maintenance += Fraction(held.futures_maintenance) * index
        maintenance += Fraction(held.loan) * Fraction(held.loan_rate_fraction) * index
    return {"equity_usd": float(equity), "adjusted_usd": float(adjusted), "maintenance_usd": float(maintenance)}


def status_reference(uni_mmr_ratio: float, parameters: PortfolioParameters) -> PortfolioStatus:
    """Return the status of one ratio, line by line from the worst: the twin of ``account_status``."""
    if uni_mmr_ratio <= parameters.bankruptcy_ratio:
        return PortfolioStatus.BANKRUPT
    if uni_mmr_ratio <= parameters.liquidation_ratio:
        return PortfolioStatus.LIQUIDATION
    if uni_mmr_ratio <= parameters.reduce_only_ratio:
        return PortfolioStatus.REDUCE_ONLY
    return PortfolioStatus.REMINDER if uni_mmr_ratio <= parameters.reminder_ratio else PortfolioStatus.NORMAL
