"""dYdX v4 margin in floats for many paths: the rule of ``dydx`` without its rounding to quote quantums.

Every requirement differs from the whole-number rule by less than two quote quantums (2e-6 USDC) a position, and the
open-interest fraction by less than one part per million. Axes are [leg, path]; a scalar broadcasts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.dydx.integers import PPM, DydxLiquidationParameters, DydxParameters

_QUOTE_QUANTUM_USD = 1e-6


def initial_fraction(*, tier: DydxParameters, open_interest_usd: ArrayLike) -> NDArray[np.float64]:
    """Return the initial margin fraction at an open interest in USDC at the oracle price, >= 0."""
    base = tier.initial_margin_ppm / PPM
    lower, upper = (cap * _QUOTE_QUANTUM_USD for cap in (tier.open_interest_lower_cap, tier.open_interest_upper_cap))
    open_interest = np.asarray(open_interest_usd, dtype=np.float64)
    if upper == 0:
        return np.full_like(open_interest, base)
    if lower == upper:
        # At the caps themselves the lower one wins: the chain raises the fraction only above it.
        return np.where(open_interest > lower, 1.0, base)
    share = np.clip((open_interest - lower) / (upper - lower), 0.0, 1.0)
    return np.asarray(base + (1.0 - base) * share, dtype=np.float64)


def maintenance_fraction(*, tier: DydxParameters) -> float:
    """Return the maintenance fraction of the notional: base initial fraction times maintenance fraction."""
    return tier.initial_margin_ppm * tier.maintenance_fraction_ppm / PPM**2


def initial_usd(
    *, quantity: ArrayLike, price_usd: ArrayLike, initial_fraction: ArrayLike, custom_fraction: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Return the initial requirement of each leg; ``custom_fraction`` is 1 / the user's own leverage setting, or 0."""
    fraction = np.maximum(np.asarray(initial_fraction, dtype=np.float64), custom_fraction)
    return np.asarray(np.abs(np.asarray(quantity) * np.asarray(price_usd)) * fraction, dtype=np.float64)


def maintenance_usd(
    *, quantity: ArrayLike, price_usd: ArrayLike, maintenance_fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return the maintenance requirement of each leg; open interest and leverage settings do not enter."""
    value = np.abs(np.asarray(quantity) * np.asarray(price_usd))
    return np.asarray(value * maintenance_fraction, dtype=np.float64)


def net_collateral_usd(
    *, usdc: ArrayLike, settled_funding_usd: ArrayLike, quantity: ArrayLike, price_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return USDC plus settled funding plus the value of all legs, [path].

    Parameters
    ----------
    usdc, settled_funding_usd : array [path]
        Signed; a negative balance is the debt of a long.
    quantity : array [leg] or [leg, path]
        Signed coins.
    price_usd : array [leg, path]
        Oracle prices.
    """
    price = np.asarray(price_usd, dtype=np.float64)
    held = np.asarray(quantity, dtype=np.float64)
    if held.ndim == 1 and price.ndim == 2:
        held = held[:, np.newaxis]
    value = np.sum(held * price, axis=0)
    return np.asarray(value + np.asarray(usdc) + np.asarray(settled_funding_usd), dtype=np.float64)


def is_liquidatable(*, net_collateral_usd: ArrayLike, maintenance_usd: ArrayLike) -> NDArray[np.bool_]:
    """Return whether net collateral is below a maintenance requirement that is not zero, [path]."""
    maintenance = np.asarray(maintenance_usd, dtype=np.float64)
    return np.asarray((maintenance > 0) & (np.asarray(net_collateral_usd) < maintenance), dtype=np.bool_)


def liquidation_price_usd(
    *, quantity: ArrayLike, price_usd: ArrayLike, net_collateral_usd: ArrayLike, maintenance_fraction: ArrayLike
) -> NDArray[np.float64]:
    """Return the oracle price at which the only position of an account becomes liquidatable.

    Returns
    -------
    array
        >= 0. Zero for a long that is safe at every price, and for a short that is liquidatable at every price.

    Notes
    -----
    ``(e - q p) / (|q| m - q)``: from ``e + q (p' - p) = |q| p' m``. Valid for a maintenance fraction below 1.
    """
    q = np.asarray(quantity, dtype=np.float64)
    cash = np.asarray(net_collateral_usd) - q * np.asarray(price_usd)
    return np.asarray(np.maximum(cash / (np.abs(q) * maintenance_fraction - q), 0.0), dtype=np.float64)


def bankruptcy_value_usd(
    *,
    closed_quantity: ArrayLike,
    price_usd: ArrayLike,
    maintenance_fraction: ArrayLike,
    net_collateral_usd: ArrayLike,
    account_maintenance_usd: ArrayLike,
) -> NDArray[np.float64]:
    """Return what closing a part of a position must bring at least: proceeds > 0 of a sale, cost < 0 of a purchase.

    Parameters
    ----------
    closed_quantity : array
        Signed coins of the position that are closed (of a long > 0).
    account_maintenance_usd : array
        > 0.
    """
    value = np.asarray(closed_quantity, dtype=np.float64) * np.asarray(price_usd)
    released = np.abs(value) * maintenance_fraction
    return np.asarray(value - np.asarray(net_collateral_usd) * released / account_maintenance_usd, dtype=np.float64)


def fillable_price_usd(
    *,
    quantity: ArrayLike,
    price_usd: ArrayLike,
    maintenance_fraction: ArrayLike,
    net_collateral_usd: ArrayLike,
    account_maintenance_usd: ArrayLike,
    parameters: DydxLiquidationParameters,
) -> NDArray[np.float64]:
    """Return the limit price of a liquidation order: below the oracle for a long, above it for a short.

    Notes
    -----
    ``p (1 - sign(q) rating spread m)``, with
    ``rating = clamp(adjustment (1 - net collateral / account maintenance), 0, 1)``.
    """
    health = np.asarray(net_collateral_usd, dtype=np.float64) / np.asarray(account_maintenance_usd)
    rating = np.clip(parameters.bankruptcy_adjustment_ppm / PPM * (1.0 - health), 0.0, 1.0)
    spread = parameters.spread_to_maintenance_margin_ratio_ppm / PPM * np.asarray(maintenance_fraction)
    return np.asarray(np.asarray(price_usd) * (1.0 - np.sign(quantity) * rating * spread), dtype=np.float64)


def insurance_fund_delta_usd(
    *, proceeds_usd: ArrayLike, bankruptcy_value_usd: ArrayLike, parameters: DydxLiquidationParameters
) -> NDArray[np.float64]:
    """Return the payment to the insurance fund: the fee when > 0, what the fund covers when < 0."""
    proceeds = np.asarray(proceeds_usd, dtype=np.float64)
    surplus = proceeds - np.asarray(bankruptcy_value_usd)
    fee = np.abs(proceeds) * (parameters.max_liquidation_fee_ppm / PPM)
    return np.asarray(np.minimum(surplus, fee), dtype=np.float64)
