"""Which rows of a Deribit account summary are one pool.

A segregated currency row is a pool of its own. Every currency row of a cross account restates the whole pool in its own
currency, so cross rows are never added: they are checked against each other and become one pool in USD.

References
----------
docs.deribit.com, private/get_account_summaries; captured summaries of February and May 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margincover.errors import InputError, ReconciliationError

SEGREGATED = ("segregated_sm", "segregated_pm")
CROSS = ("cross_sm", "cross_pm")
_TOTALS = ("total_margin_balance_usd", "total_initial_usd", "total_maintenance_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """One currency row of an account summary; the totals are stated exactly in the cross models."""

    currency: str
    margin_model: str
    margin_balance: float
    initial: float
    maintenance: float
    total_margin_balance_usd: float | None = None
    total_initial_usd: float | None = None
    total_maintenance_usd: float | None = None

    def __post_init__(self) -> None:
        if self.margin_model not in (*SEGREGATED, *CROSS):
            raise InputError(
                f"was {self.margin_model!r}",
                field=f"{self.currency}.margin_model",
                allowed=", ".join((*SEGREGATED, *CROSS)),
            )
        for name in ("margin_balance", "initial", "maintenance", *_TOTALS):
            value = getattr(self, name)
            stated = value is not None
            if name in _TOTALS and stated != self.is_cross:
                raise InputError(
                    "was missing" if self.is_cross else "was stated",
                    field=f"{self.currency}.{name}",
                    allowed="totals in the cross models and only there",
                )
            if stated and not np.isfinite(value):
                raise InputError(f"was {value}", field=f"{self.currency}.{name}", allowed="a finite number")

    @property
    def is_cross(self) -> bool:
        """Whether the row belongs to the cross pool."""
        return self.margin_model in CROSS


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPool:
    """One pool whose balance and maintenance are compared: ``unit`` is a coin, or USD for the cross pool."""

    unit: str
    currencies: tuple[str, ...]
    margin_balance: float
    initial: float
    maintenance: float

    @property
    def available_funds(self) -> float:
        """Margin balance without initial margin, before the venue's spot and additional reserves."""
        return self.margin_balance - self.initial


def account_pools(rows: Sequence[SummaryRow], *, tolerance_usd: float = 0.01) -> tuple[AccountPool, ...]:
    """Return the pools of an account: one for each segregated row, and one for all cross rows together.

    Raises
    ------
    InputError
        If a currency stands twice.
    ReconciliationError
        If cross rows state different totals: they are then not of one moment, and no row may be trusted.
    """
    names = [row.currency for row in rows]
    if len(set(names)) != len(names):
        raise InputError("stood twice", field=", ".join(sorted(names)), allowed="one row for each currency")
    pools = [
        AccountPool(
            unit=row.currency,
            currencies=(row.currency,),
            margin_balance=row.margin_balance,
            initial=row.initial,
            maintenance=row.maintenance,
        )
        for row in rows
        if not row.is_cross
    ]
    cross = [row for row in rows if row.is_cross]
    if cross:
        pools.append(_cross_pool(cross, tolerance_usd))
    return tuple(pools)


def _cross_pool(rows: Sequence[SummaryRow], tolerance_usd: float) -> AccountPool:
    totals = np.array([[getattr(row, name) for name in _TOTALS] for row in rows], dtype=np.float64)
    spread = totals.max(axis=0) - totals.min(axis=0)
    if (spread > tolerance_usd).any():
        worst = _TOTALS[int(spread.argmax())]
        raise ReconciliationError(
            f"{worst}: cross rows {', '.join(row.currency for row in rows)} differed by {spread.max():g} USD; "
            f"allowed: {tolerance_usd:g} USD. They restate one pool: read them in one response."
        )
    # The least favourable of the rows, which differ by less than the tolerance.
    return AccountPool(
        unit="USD",
        currencies=tuple(row.currency for row in rows),
        margin_balance=float(totals[:, 0].min()),
        initial=float(totals[:, 1].max()),
        maintenance=float(totals[:, 2].max()),
    )


def row_in_usd(amount: float, row: SummaryRow) -> float:
    """Return a coin figure of a cross row in USD at the index that the row itself implies.

    Raises
    ------
    InputError
        If the row is not of a cross model or its margin balance is 0: it then implies no index.
    """
    if row.total_margin_balance_usd is None or row.margin_balance == 0.0:
        raise InputError("implied no index", field=row.currency, allowed="a cross row with a margin balance")
    return amount * row.total_margin_balance_usd / row.margin_balance


def matrix_maintenance(initial: float, *, order_margin: float, maintenance_factor_fraction: float) -> float:
    """Return the maintenance of a portfolio-margin pool from its initial margin, in the same unit, >= 0.

    Parameters
    ----------
    initial : float
        Initial margin with the margin of open orders and market-maker protection inside, >= 0.
    order_margin : float
        That part of it, >= 0: it counts in initial margin only.
    maintenance_factor_fraction : float

    Raises
    ------
    InputError
        If an amount is not finite or negative, or the order margin is above the initial margin.

    Notes
    -----
    ``MM = factor * (IM - orders)``: maintenance is taken of the risk matrix alone.

    Examples
    --------
    >>> matrix_maintenance(100.0, order_margin=50.0, maintenance_factor_fraction=0.8)
    40.0
    """
    if not (np.isfinite(initial) and np.isfinite(order_margin) and 0.0 <= order_margin <= initial):
        raise InputError(
            f"was {initial} with orders of {order_margin}", field="initial margin", allowed="0 <= orders <= initial"
        )
    return maintenance_factor_fraction * (initial - order_margin)
