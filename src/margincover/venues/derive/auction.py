"""Derive's liquidation auction: buffer margin, fee, largest share for sale, bids, and what is left when it fails.

Margins are net (value less requirement). A buffer margin below 0 means the account is for sale until it is 0 again.

References
----------
docs.derive.xyz, liquidations (v2, read 2026-03). The discount's schedule in time is not modelled: it is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError, RulebookError
from margincover.venues.derive.parameters import checked_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionParameters:
    """Scale of the buffer, fee of a solvent liquidation, minutes in which an insolvent account's offer falls to MM."""

    buffer_fraction: float
    liquidation_fee_fraction: float
    insolvent_duration_minutes: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> AuctionParameters:
        """Return the parameters of a rule table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a value is not finite or looks like a percentage, or the duration is 0.
        """
        values = checked_numbers(data, [f.name for f in fields(cls)], source)
        if values["insolvent_duration_minutes"] <= 0:
            raise RulebookError("was 0", source=source, field="insolvent_duration_minutes", allowed="> 0")
        return cls(**values)


def buffer_margin(
    *, maintenance_usd: ArrayLike, mark_to_market_usd: ArrayLike, buffer_fraction: float
) -> NDArray[np.float64]:
    """Return the margin at which an auction stops: BM = MM + b (MM - MtM), net, USD, any shape.

    Raises
    ------
    InputError
        If a value is NaN or infinite.

    Examples
    --------
    >>> float(buffer_margin(maintenance_usd=-15_000.0, mark_to_market_usd=5_000.0, buffer_fraction=0.15))
    -18000.0
    """
    maintenance, market = _finite(maintenance_usd, "maintenance_usd"), _finite(mark_to_market_usd, "mark_to_market_usd")
    return np.asarray(maintenance + buffer_fraction * (maintenance - market), dtype=np.float64)


def buffer_margin_reference(*, maintenance_usd: float, mark_to_market_usd: float, buffer_fraction: float) -> Fraction:
    """Return the buffer margin exactly: the twin of ``buffer_margin``."""
    maintenance = Fraction(maintenance_usd)
    return maintenance + Fraction(buffer_fraction) * (maintenance - Fraction(mark_to_market_usd))


def max_share(
    *, buffer_margin_usd: ArrayLike, mark_to_market_usd: ArrayLike, discount: float, reserved_usd: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Return the largest share of an account that may be sold: the one that brings the buffer margin to 0.

    Parameters
    ----------
    buffer_margin_usd : array
        Net. At >= 0 nothing is for sale and the share is 0.
    mark_to_market_usd : array
        > 0: a solvent auction.
    discount : float
        Fraction off the mark to market, 0 to 1.
    reserved_usd : array
        Cash already paid in for earlier bids, >= 0; it is not discounted and not sold again.

    Raises
    ------
    InputError
        If a value is not finite, the discount is not in 0 to 1, or the account is insolvent.

    Notes
    -----
    share = BM / (BM - (1 - d) MtM - d R), at most 1.
    """
    buffer, market = _finite(buffer_margin_usd, "buffer_margin_usd"), _finite(mark_to_market_usd, "mark_to_market_usd")
    reserved = _finite(reserved_usd, "reserved_usd")
    if not 0.0 <= discount <= 1.0 or (market <= 0).any() or (reserved < 0).any():
        raise InputError(
            f"discount was {discount}, or mark to market <= 0, or reserved cash < 0",
            source="derive",
            field="auction",
            allowed="discount 0 to 1, mark_to_market_usd > 0, reserved_usd >= 0",
        )
    # At a buffer of 0 or more the quotient is not looked at; -1 keeps it free of 0/0.
    short = np.where(buffer < 0, buffer, -1.0)
    share = short / (short - (1.0 - discount) * market - discount * reserved)
    return np.asarray(np.where(buffer < 0, np.minimum(share, 1.0), 0.0), dtype=np.float64)


def liquidation_fee(
    *, buffer_margin_usd: ArrayLike, mark_to_market_usd: ArrayLike, fee_fraction: float
) -> NDArray[np.float64]:
    """Return the fee of a solvent liquidation, USD >= 0: f MtM times the largest share at no discount."""
    share = max_share(buffer_margin_usd=buffer_margin_usd, mark_to_market_usd=mark_to_market_usd, discount=0.0)
    return np.asarray(fee_fraction * np.asarray(mark_to_market_usd, dtype=np.float64) * share, dtype=np.float64)


def bid_cost(*, mark_to_market_usd: ArrayLike, discount: float, share: ArrayLike) -> NDArray[np.float64]:
    """Return what a bidder pays for a share of a solvent account, USD: share (1 - d) MtM."""
    market = _finite(mark_to_market_usd, "mark_to_market_usd")
    return np.asarray(_finite(share, "share") * (1.0 - discount) * market, dtype=np.float64)


def bid_required_cash(*, cost_usd: ArrayLike, margin_usd: ArrayLike, share: ArrayLike) -> NDArray[np.float64]:
    """Return the cash a bidder must bring, USD: the cost and his share of the margin that is missing.

    ``cost_usd`` is < 0 when the bidder is paid (insolvent account). ``margin_usd`` is the net margin to be filled:
    the buffer margin of a solvent account, the maintenance margin of an insolvent one.
    """
    cost, missing = _finite(cost_usd, "cost_usd"), -_finite(margin_usd, "margin_usd")
    return np.asarray(cost + _finite(share, "share") * np.maximum(missing, 0.0), dtype=np.float64)


def insolvent_offer(
    *, mark_to_market_usd: ArrayLike, maintenance_usd: ArrayLike, elapsed_minutes: float, duration_minutes: float
) -> NDArray[np.float64]:
    """Return the price of a whole insolvent account, USD <= 0 (the fund pays the bidder).

    It falls in a straight line from min(0, MtM) at the start to MM at the end, and stays there.

    Raises
    ------
    InputError
        If a value is not finite, the elapsed time is negative or the duration is not > 0.
    """
    if not (np.isfinite(elapsed_minutes) and elapsed_minutes >= 0 and duration_minutes > 0):
        raise InputError(
            f"was {elapsed_minutes} of {duration_minutes}",
            source="derive",
            field="elapsed_minutes",
            allowed="elapsed >= 0, duration > 0",
        )
    start = np.minimum(_finite(mark_to_market_usd, "mark_to_market_usd"), 0.0)
    end = _finite(maintenance_usd, "maintenance_usd")
    return np.asarray(start + (end - start) * min(1.0, elapsed_minutes / duration_minutes), dtype=np.float64)


def withdrawal_fee_fraction(*, unpaid_usd: ArrayLike, deposits_usd: ArrayLike) -> NDArray[np.float64]:
    """Return the fee on withdrawals that spreads an unpaid loss over all deposits: debt / (debt + deposits).

    Raises
    ------
    InputError
        If an amount is negative or both are 0.
    """
    debt, deposits = _finite(unpaid_usd, "unpaid_usd"), _finite(deposits_usd, "deposits_usd")
    if (debt < 0).any() or (deposits < 0).any() or (debt + deposits <= 0).any():
        raise InputError(
            "was < 0, or both were 0", source="derive", field="unpaid_usd, deposits_usd", allowed=">= 0, sum > 0"
        )
    return np.asarray(debt / (debt + deposits), dtype=np.float64)


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InputError("held a NaN or an infinity", source="derive", field=name, allowed="finite numbers")
    return array
