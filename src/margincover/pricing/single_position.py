"""Liquidation and bankruptcy price of one position alone in its wallet, without tiers, fees or funding."""

from __future__ import annotations

import math

from margincover.errors import InputError
from margincover.numeric.first_passage import Contract


def liquidation_price(
    contract: Contract, *, entry_price: float, leverage: float, maintenance_fraction: float
) -> float | None:
    """Return the price at which equity meets maintenance, None where no positive price does.

    Parameters
    ----------
    contract : Contract
        Linear positions are backed in the quote asset, inverse ones in the coin.
    entry_price : float
        > 0.
    leverage : float
        Notional at entry over the collateral, > 0.
    maintenance_fraction : float
        Maintenance over current notional, in [0, 1). 0 gives the bankruptcy price, at which nothing is left.

    Notes
    -----
    With P0 the entry and L the leverage, of equity = maintenance:

    - linear long    P0 (1 - 1/L) / (1 - m)      linear short   P0 (1 + 1/L) / (1 + m)
    - inverse long   P0 (1 + m) / (1 + 1/L)      inverse short  P0 (1 - m) / (1 - 1/L), never if L <= 1

    A linear long of leverage 1 is liquidated at price 0. Below it no price liquidates.

    Examples
    --------
    >>> price = liquidation_price(Contract.INVERSE_LONG, entry_price=1.0, leverage=10.0, maintenance_fraction=0.005)
    >>> round(price, 7)
    0.9136364
    """
    legal = all(math.isfinite(v) and v > 0.0 for v in (entry_price, leverage)) and 0.0 <= maintenance_fraction < 1.0
    if not legal:
        raise InputError(
            f"entry {entry_price}, leverage {leverage}, maintenance {maintenance_fraction}",
            field="position",
            allowed="entry and leverage > 0, maintenance in [0, 1)",
        )
    m, collateral = maintenance_fraction, 1.0 / leverage
    if contract is Contract.LINEAR_LONG:
        return None if collateral > 1.0 else entry_price * (1.0 - collateral) / (1.0 - m)
    if contract is Contract.LINEAR_SHORT:
        return entry_price * (1.0 + collateral) / (1.0 + m)
    if contract is Contract.INVERSE_LONG:
        return entry_price * (1.0 + m) / (1.0 + collateral)
    return None if collateral >= 1.0 else entry_price * (1.0 - m) / (1.0 - collateral)


def bankruptcy_price(contract: Contract, *, entry_price: float, leverage: float) -> float | None:
    """Return the price at which equity is zero; see ``liquidation_price``."""
    return liquidation_price(contract, entry_price=entry_price, leverage=leverage, maintenance_fraction=0.0)
