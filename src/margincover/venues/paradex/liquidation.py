"""Paradex around the requirement: order checks, order cancellation, partial liquidation, socialised loss.

References
----------
docs.paradex.trade, risk/liquidations, risk/deleveraging, risk/socialized-losses, risk/paradex-risk-checks (2026-08-20).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.venues.paradex.cross import fraction
from margincover.venues.registry_fields import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexLiquidationParameters:
    """Partial liquidation: fee as a fraction of maintenance, share step, utilisation to come below."""

    fee_of_maintenance_fraction: float
    share_step_fraction: float
    target_utilisation_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ParadexLiquidationParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a value is no fraction, or the step is 0.
        """
        place = Place(dict(data), source, "parameters")
        names = [f.name for f in fields(cls)]
        place.only(names)
        values = {name: fraction(place, name) for name in names}
        if values["share_step_fraction"] == 0.0:
            raise place.error("was 0", key="share_step_fraction", allowed="a fraction above 0, at most 1")
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParadexOrder:
    """A resting order: signed size (a buy > 0) and limit price."""

    size: float
    price: float


def is_order_accepted(
    *, account_value_usd: ArrayLike, initial_before_usd: ArrayLike, initial_after_usd: ArrayLike
) -> NDArray[np.bool_]:
    """Return whether a new order passes: the account covers the new requirement, or the order does not raise it."""
    after = np.asarray(initial_after_usd, dtype=np.float64)
    covered = np.asarray(account_value_usd) >= after
    return np.asarray(covered | (after <= np.asarray(initial_before_usd)), dtype=np.bool_)


def order_room(*, position: ArrayLike, limit: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest buy and the largest sell size under a position limit (both >= 0, coins)."""
    held, most = np.asarray(position, dtype=np.float64), np.asarray(limit, dtype=np.float64)
    return np.maximum(0.0, most - held), np.maximum(0.0, most + held)


def orders_kept(*, position: float, orders: Sequence[ParadexOrder]) -> tuple[ParadexOrder, ...]:
    """Return the orders of one market that stay when account value is below the initial requirement.

    Notes
    -----
    Orders that do not offset the position go. Of the offsetting ones the most passive go first (highest sell, lowest
    buy) until their total size is at most the position. The venue calls this deleveraging; no position changes.
    """
    if any(order.size == 0 for order in orders):
        raise InputError("held an order of size 0", field="orders", allowed="sizes that are not 0")
    kept = [order for order in orders if order.size * position < 0]
    passive = sorted(kept, key=lambda order: order.price, reverse=position > 0)
    while sum(abs(order.size) for order in kept) > abs(position):
        kept.remove(passive.pop(0))
    return tuple(kept)


def free_collateral_usd(
    *, account_value_usd: ArrayLike, initial_usd: ArrayLike, usdc_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return what can be withdrawn: ``min(account value - initial, USDC)``, not below 0."""
    free = np.minimum(np.asarray(account_value_usd, dtype=np.float64) - np.asarray(initial_usd), np.asarray(usdc_usd))
    return np.asarray(np.maximum(0.0, free), dtype=np.float64)


def liquidation_share(
    *, account_value_usd: ArrayLike, maintenance_usd: ArrayLike, parameters: ParadexLiquidationParameters
) -> NDArray[np.float64]:
    """Return the share of every position that the venue takes over, [path].

    Returns
    -------
    array
        0 when account value covers maintenance, else the smallest multiple of the step after which
        ``(1 - s) maintenance / (value - s fee maintenance)`` is below the target; 1 when no smaller one is.
    """
    value, required = np.broadcast_arrays(
        np.asarray(account_value_usd, dtype=np.float64), np.asarray(maintenance_usd, dtype=np.float64)
    )
    share = np.ones(value.shape)
    steps = round(1.0 / parameters.share_step_fraction)
    if abs(steps * parameters.share_step_fraction - 1.0) > 1e-9:
        raise InputError(
            f"was {parameters.share_step_fraction}", field="share_step_fraction", allowed="1 divided by a whole number"
        )
    for k in range(steps - 1, 0, -1):
        s = k / steps
        left = value - penalty_usd(share=s, maintenance_usd=required, parameters=parameters)
        share = np.where((left > 0) & ((1 - s) * required < parameters.target_utilisation_fraction * left), s, share)
    return np.where(required > value, share, 0.0)


def penalty_usd(
    *, share: ArrayLike, maintenance_usd: ArrayLike, parameters: ParadexLiquidationParameters
) -> NDArray[np.float64]:
    """Return the payment to the insurance fund: share times fee times maintenance before the liquidation."""
    fee = np.asarray(share, dtype=np.float64) * parameters.fee_of_maintenance_fraction
    return np.asarray(fee * np.asarray(maintenance_usd), dtype=np.float64)


def socialised_loss_factor(
    *, users_bankruptcy_usd: ArrayLike, insurance_fund_usd: ArrayLike, total_usdc: ArrayLike
) -> NDArray[np.float64]:
    """Return the fraction kept of every withdrawal while the fund is short.

    Notes
    -----
    ``B / (total + B)`` with ``B = max(0, bankruptcy amounts of users - fund)``. The venue's example divides by the
    total alone (25 % where the stated formula gives 20 %); the formula is used.
    """
    shortfall = np.maximum(0.0, np.asarray(users_bankruptcy_usd, dtype=np.float64) - np.asarray(insurance_fund_usd))
    total = np.asarray(total_usdc, dtype=np.float64)
    if np.any(total <= 0):
        raise InputError("held a value that is not above 0", field="total_usdc", allowed="numbers > 0")
    return np.asarray(shortfall / (total + shortfall), dtype=np.float64)
