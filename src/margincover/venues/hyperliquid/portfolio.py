"""Hyperliquid portfolio margin: liquidation threshold of a collateral token and borrow rate of a stablecoin.

Source: Hyperliquid docs, page "portfolio margin" (alpha text with caps, stored copy of 2026), read 2026-11-22.
How several collateral tokens add up, and the loan-to-value of tokens but HYPE, are not published: an account's
ratio is not modelled here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.errors import InputError
from margincover.venues.cex_fields import ParameterFields, checked


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioParameters:
    """Threshold line (constant and slope in the loan-to-value) and the kinked borrow rate, fractions per year."""

    threshold_base_fraction: float
    threshold_ltv_share: float
    borrow_base_rate_per_year: float
    borrow_slope_per_year: float
    borrow_kink_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> PortfolioParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is out of range.
        """
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(
            threshold_base_fraction=fields.fraction("threshold_base_fraction"),
            threshold_ltv_share=fields.fraction("threshold_ltv_share"),
            borrow_base_rate_per_year=fields.fraction("borrow_base_rate_per_year"),
            borrow_slope_per_year=fields.number("borrow_slope_per_year", least=0.0, most=100.0),
            borrow_kink_fraction=fields.fraction("borrow_kink_fraction"),
        )


def liquidation_threshold(ltv_fraction: ArrayLike, *, parameters: PortfolioParameters) -> NDArray[np.float64]:
    """Return the share of a collateral's value that still counts when liquidation is tested.

    Parameters
    ----------
    ltv_fraction : array
        Loan-to-value of the token, in [0, 1]: the share that counts when borrowing.

    Returns
    -------
    array
        ``0.5 + 0.5 * LTV`` with the published parameters.

    Raises
    ------
    InputError
        If a value is not finite or outside [0, 1].
    """
    ltv = _fraction(ltv_fraction, "ltv_fraction")
    return np.asarray(parameters.threshold_base_fraction + parameters.threshold_ltv_share * ltv, dtype=np.float64)


def borrow_rate_per_year(utilisation_fraction: ArrayLike, *, parameters: PortfolioParameters) -> NDArray[np.float64]:
    """Return the yearly borrow rate of a stablecoin, >= 0: ``base + slope * max(0, utilisation - kink)``.

    Parameters
    ----------
    utilisation_fraction : array
        Borrowed over supplied, in [0, 1].

    Raises
    ------
    InputError
        If a value is not finite or outside [0, 1].
    """
    beyond = np.maximum(_fraction(utilisation_fraction, "utilisation_fraction") - parameters.borrow_kink_fraction, 0.0)
    return np.asarray(parameters.borrow_base_rate_per_year + parameters.borrow_slope_per_year * beyond)


def _fraction(value: ArrayLike, name: str) -> NDArray[np.float64]:
    array = checked(value, name=name, least=0.0)
    if (array > 1.0).any():
        raise InputError(f"held {float(array.max()):g}", field=name, allowed="fractions from 0 to 1 (0.5 is 50 %)")
    return array
