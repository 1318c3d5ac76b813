"""Binance USD-M multi-assets mode: several margin assets in one cross account, each with a bid and an ask buffer.

Source: Binance FAQ c983a9268cfa4e70a4916c276bb3b7bc (2022-07-06) and ``GET /fapi/v1/assetIndex``, read 2026-11-22.
A positive asset equity counts at the bid rate, a negative one and every requirement at the ask rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import ParameterFields, checked, truncated, utilisation

# The venue prints its rates cut to 8 decimals (two captured assetIndex samples).
RATE_DECIMALS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiAssetsParameters:
    """Buffers of one asset, fractions of its index price; the auto-exchange buffers price forced conversions."""

    bid_buffer_fraction: float
    ask_buffer_fraction: float
    auto_exchange_bid_buffer_fraction: float
    auto_exchange_ask_buffer_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> MultiAssetsParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, or a value is not a fraction.
        """
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoExchangeParameters:
    """Deficit of one asset's wallet, in USD, beyond which the venue converts other assets."""

    deficit_threshold_usd: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> AutoExchangeParameters:
        """Return parameters from a table; RulebookError as for ``MultiAssetsParameters``."""
        fields = ParameterFields(data, source=source, names=("deficit_threshold_usd",))
        return cls(deficit_threshold_usd=fields.number("deficit_threshold_usd", least=0.0))


def asset_rates(
    index_price: ArrayLike, *, bid_buffer_fraction: ArrayLike, ask_buffer_fraction: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bid and ask rate in USD: ``index * (1 - bid buffer)`` and ``index * (1 + ask buffer)``.

    Parameters
    ----------
    index_price : array [asset, path]
        USD per unit of the asset, > 0.
    bid_buffer_fraction, ask_buffer_fraction : array
        [asset, 1] or scalar, in [0, 1].

    Raises
    ------
    InputError
        If a value is out of range.
    """
    index = checked(index_price, name="index_price", above=0.0)
    bid = index * (1.0 - checked(bid_buffer_fraction, name="bid_buffer_fraction", least=0.0))
    ask = index * (1.0 + checked(ask_buffer_fraction, name="ask_buffer_fraction", least=0.0))
    return bid, ask


def printed_rate(rate: ArrayLike) -> NDArray[np.float64]:
    """Return a rate as the venue prints it: cut to 8 decimals."""
    return truncated(rate, decimals=RATE_DECIMALS)


def account_equity_usd(asset_equity: ArrayLike, *, bid_rate: ArrayLike, ask_rate: ArrayLike) -> NDArray[np.float64]:
    """Return account equity in USD [path]: the sum over assets of ``min(equity * bid, equity * ask)``.

    Parameters
    ----------
    asset_equity : array [asset, path]
        Wallet balance plus unrealised profit, in the asset; > 0 is owned, < 0 is owed.
    bid_rate, ask_rate : array [asset, path] or [asset, 1]
        USD, > 0.
    """
    counted = counted_usd(asset_equity, bid_rate=bid_rate, ask_rate=ask_rate)
    return np.asarray(counted.sum(axis=0), dtype=np.float64)


def counted_usd(asset_equity: ArrayLike, *, bid_rate: ArrayLike, ask_rate: ArrayLike) -> NDArray[np.float64]:
    """Return what each asset counts in USD [asset, path]: ``min(equity * bid, equity * ask)``.

    Parameters
    ----------
    asset_equity : array [asset, path]
        In the asset; > 0 is owned, < 0 is owed.
    bid_rate, ask_rate : array [asset, path] or [asset, 1]
        USD; the bid is 0 for an asset that counts nothing.
    """
    equity = checked(asset_equity, name="asset_equity")
    bid, ask = checked(bid_rate, name="bid_rate", least=0.0), checked(ask_rate, name="ask_rate", above=0.0)
    return np.asarray(np.minimum(equity * bid, equity * ask), dtype=np.float64)


def requirement_usd(margin: ArrayLike, *, ask_rate: ArrayLike) -> NDArray[np.float64]:
    """Return an initial or maintenance requirement in USD [path] from amounts [asset, path] >= 0, at the ask rate."""
    amount = checked(margin, name="margin", least=0.0)
    return np.asarray((amount * checked(ask_rate, name="ask_rate", above=0.0)).sum(axis=0), dtype=np.float64)


def available_in_asset(
    equity_usd: ArrayLike, *, initial_margin_usd: ArrayLike, ask_rate: ArrayLike
) -> NDArray[np.float64]:
    """Return what may still be used [asset, path], in each asset: ``(equity - initial margin) / ask``.

    Notes
    -----
    Signed: below 0 it is the amount that is missing. The assets restate one account figure and never add up.
    """
    free = checked(equity_usd, name="equity_usd") - checked(initial_margin_usd, name="initial_margin_usd", least=0.0)
    return np.asarray(free / checked(ask_rate, name="ask_rate", above=0.0), dtype=np.float64)


def margin_utilisation(maintenance_usd: ArrayLike, *, equity_usd: ArrayLike) -> NDArray[np.float64]:
    """Return the venue's margin ratio [path], maintenance / equity: at 1 every position is liquidated.

    Notes
    -----
    0 without maintenance and equity; +inf when equity is 0 or less otherwise.
    """
    return utilisation(
        checked(maintenance_usd, name="maintenance_usd", least=0.0), checked(equity_usd, name="equity_usd")
    )


def auto_exchange_due(
    wallet_balance: ArrayLike, *, index_price: ArrayLike, parameters: AutoExchangeParameters
) -> NDArray[np.bool_]:
    """Return whether an asset's wallet [asset, path] lies below minus the threshold, valued at the index."""
    value = checked(wallet_balance, name="wallet_balance") * checked(index_price, name="index_price", above=0.0)
    return np.asarray(value < -parameters.deficit_threshold_usd, dtype=np.bool_)


def auto_exchange_sale_usd(deficit_usd: ArrayLike, *, collateral_weight: ArrayLike) -> NDArray[np.float64]:
    """Return the value sold to fill a deficit: ``deficit / collateral weight``, weight in (0, 1].

    Examples
    --------
    >>> round(float(auto_exchange_sale_usd(20_000.0, collateral_weight=0.975)))
    20513
    """
    deficit = checked(deficit_usd, name="deficit_usd", least=0.0)
    return np.asarray(deficit / checked(collateral_weight, name="collateral_weight", above=0.0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAsset:
    """One asset of one state for the slow twin: amounts in the asset, buffers as fractions."""

    index_price: float
    bid_buffer_fraction: float
    ask_buffer_fraction: float
    equity: float
    initial_margin: float
    maintenance_margin: float


def account_reference(assets: Sequence[ReferenceAsset]) -> dict[str, object]:
    """Return equity_usd, initial_usd, maintenance_usd and available (list) of one state by exact fractions."""
    equity = initial = maintenance = Fraction(0)
    asks = []
    for asset in assets:
        bid = Fraction(asset.index_price) * (1 - Fraction(asset.bid_buffer_fraction))
        ask = Fraction(asset.index_price) * (1 + Fraction(asset.ask_buffer_fraction))
        equity += Fraction(asset.equity) * (bid if asset.equity > 0 else ask)
        initial += Fraction(asset.initial_margin) * ask
        maintenance += Fraction(asset.maintenance_margin) * ask
        asks.append(ask)
    return {
        "equity_usd": float(equity),
        "initial_usd": float(initial),
        "maintenance_usd": float(maintenance),
        "available": [float((equity - initial) / ask) for ask in asks],
    }
