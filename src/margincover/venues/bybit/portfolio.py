"""Bybit portfolio margin: stress grid and contingencies of a risk unit, account figures, borrowing, collateral ladders.

Sources: Bybit help Introduction-to-Portfolio-Margin (2024-09-04), API docs asset/portfolio-margin (2026-07-24), help on
borrowing (2025-10-22), all read 2026-11-22. Amounts in USD unless a name says otherwise. Danger is up: the account
rate of maintenance reaches 1.

Profits by volatility state are arguments; ``stress`` computes them. The contingencies for calendar (delta) spreads and
for USDT against USDC are not published and therefore arguments, never defaults; ``portfolio_model`` puts bounds there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from margincover.venues.cex_fields import ParameterFields, checked, truncated, utilisation
from margincover.venues.slices import sliced_total, sliced_total_reference

# accountIMRate and accountMMRate are printed cut to 4 decimals (0.52158 prints 0.5215).
RATE_DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskUnitParameters:
    """Price shocks of the grid (fractions of the price, signed) and initial over maintenance margin."""

    price_shock_fraction: tuple[float, ...]
    initial_over_maintenance: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> RiskUnitParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a shock is below -1 or above 1, or the multiple is below 1.
        """
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        return cls(
            price_shock_fraction=fields.numbers("price_shock_fraction", least=-1.0, most=1.0),
            initial_over_maintenance=fields.number("initial_over_maintenance", least=1.0, most=10.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContingencyParameters:
    """Contingency factors, fractions of the index price; the vega factor is per day of difference."""

    future_fraction: float
    short_option_fraction: float
    vega_spread_fraction_per_day: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ContingencyParameters:
        """Return parameters from a table; RulebookError as for ``RiskUnitParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowParameters:
    """Margin rates of a borrowed coin and the exponent of the penalty beyond the limit."""

    initial_fraction: float
    maintenance_fraction: float
    penalty_exponent: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> BorrowParameters:
        """Return parameters from a table; RulebookError as for ``RiskUnitParameters``."""
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        return cls(
            initial_fraction=fields.fraction("initial_fraction"),
            maintenance_fraction=fields.fraction("maintenance_fraction"),
            penalty_exponent=fields.number("penalty_exponent", least=0.0, most=10.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParameters:
    """Marginal collateral ladder of one coin: lower edges in the coin, rates as fractions of value."""

    edges: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> CollateralParameters:
        """Return parameters from ``ladder = [[lower edge, rate], ...]``; RulebookError as above."""
        edges, rates = ParameterFields(data, source=source, names=("ladder",)).ladder("ladder")
        return cls(edges=edges, rates=rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contingencies:
    """The five contingencies of a risk unit, each an array [path] >= 0; a part that cannot occur is stated as 0."""

    future: ArrayLike
    short_option: ArrayLike
    vega_spread: ArrayLike
    delta_spread: ArrayLike
    stablecoin_spread: ArrayLike

    def total(self) -> NDArray[np.float64]:
        """Return the sum [path]; InputError if a part is negative or not finite."""
        parts = [checked(getattr(self, name), name=name, least=0.0) for name in self.__dataclass_fields__]
        return np.asarray(sum(parts[1:], parts[0]), dtype=np.float64)


def scenario_pnl(*, linear_pnl: ArrayLike, option_pnl: ArrayLike, spot_hedge_pnl: ArrayLike) -> NDArray[np.float64]:
    """Return profit at each price node [node, path]: futures + options at their worst volatility + spot hedge.

    Parameters
    ----------
    linear_pnl, spot_hedge_pnl : array [node, path]
        Signed, > 0 is a gain; the spot hedge as the venue counts it at that node.
    option_pnl : array [node, volatility, path]
        All options of the unit together in each volatility state.

    Notes
    -----
    Taking the worst volatility at each node or for the whole grid gives the same maximum loss.
    """
    options = checked(option_pnl, name="option_pnl").min(axis=1)
    spot = checked(spot_hedge_pnl, name="spot_hedge_pnl")
    return np.asarray(checked(linear_pnl, name="linear_pnl") + options + spot, dtype=np.float64)


def bounded_spot_hedge_pnl(pnl: ArrayLike) -> NDArray[np.float64]:
    """Return a lower bound of the spot-hedge profit [node, path]: losses count, gains do not.

    Notes
    -----
    The venue's text says that the leg is zero where it would gain; its API sample shows a gain counted and a loss not
    counted. Under either reading the counted profit is at least min(profit, 0), so margin is never too small.
    """
    return np.asarray(np.minimum(checked(pnl, name="pnl"), 0.0), dtype=np.float64)


def maximum_loss(pnl: ArrayLike) -> NDArray[np.float64]:
    """Return the worst loss over the nodes [path], >= 0, from profits [node, path]."""
    return np.asarray(np.maximum(-checked(pnl, name="pnl").min(axis=0), 0.0), dtype=np.float64)


def future_contingency(
    *, quantity: ArrayLike, index_price: ArrayLike, parameters: ContingencyParameters
) -> NDArray[np.float64]:
    """Return ``sum |quantity| * factor * index`` [path]; quantity [leg, path] in the coin, index [path]."""
    gross = np.abs(checked(quantity, name="quantity")).sum(axis=0)
    return np.asarray(gross * parameters.future_fraction * checked(index_price, name="index_price", above=0.0))


def short_option_contingency(
    *, net_short_quantity: ArrayLike, index_price: ArrayLike, parameters: ContingencyParameters
) -> NDArray[np.float64]:
    """Return ``net short options * factor * index`` [path]; net_short_quantity >= 0 in the coin."""
    short = checked(net_short_quantity, name="net_short_quantity", least=0.0)
    return np.asarray(short * parameters.short_option_fraction * checked(index_price, name="index_price", above=0.0))


def vega_spread_contingency(
    *, days_difference: ArrayLike, hedged_quantity: ArrayLike, index_price: ArrayLike, parameters: ContingencyParameters
) -> NDArray[np.float64]:
    """Return ``days * hedged vega quantity * factor * index`` [path]; all >= 0."""
    days = checked(days_difference, name="days_difference", least=0.0)
    hedged = checked(hedged_quantity, name="hedged_quantity", least=0.0)
    index = checked(index_price, name="index_price", above=0.0)
    return np.asarray(days * hedged * parameters.vega_spread_fraction_per_day * index, dtype=np.float64)


def unit_margins(
    *, worst_loss: ArrayLike, contingencies: Contingencies, parameters: RiskUnitParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (initial, maintenance) of a risk unit [path]: maintenance = worst loss + contingencies."""
    maintenance = checked(worst_loss, name="worst_loss", least=0.0) + contingencies.total()
    return np.asarray(maintenance * parameters.initial_over_maintenance), np.asarray(maintenance)


def available_usd(
    *, equity_usd: ArrayLike, haircut_loss_usd: ArrayLike, initial_margin_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return ``equity - haircut loss - initial margin`` [path], signed: < 0 is missing.

    Notes
    -----
    Portfolio margin uses equity here, cross margin the margin balance.
    """
    free = checked(equity_usd, name="equity_usd") - checked(haircut_loss_usd, name="haircut_loss_usd", least=0.0)
    return np.asarray(free - checked(initial_margin_usd, name="initial_margin_usd", least=0.0), dtype=np.float64)


def account_rate(
    requirement_usd: ArrayLike, *, equity_usd: ArrayLike, haircut_loss_usd: ArrayLike, order_loss_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return requirement / (equity - haircut loss + order loss) [path], untruncated; +inf when that base is <= 0.

    Parameters
    ----------
    equity_usd : array [path]
        Equity in portfolio margin, margin balance (after collateral ratios) in cross margin.
    haircut_loss_usd : array [path]
        >= 0, value lost to active spot orders that buy coins with a lower ratio.
    order_loss_usd : array [path]
        Signed as the venue's field: <= 0 is a loss.
    """
    base = checked(equity_usd, name="equity_usd") - checked(haircut_loss_usd, name="haircut_loss_usd", least=0.0)
    return utilisation(
        checked(requirement_usd, name="requirement_usd", least=0.0),
        base + checked(order_loss_usd, name="order_loss_usd"),
    )


def printed_rate(rate: ArrayLike) -> NDArray[np.float64]:
    """Return an account rate as the venue prints it, cut to 4 decimals; never compare this one with a threshold."""
    return truncated(rate, decimals=RATE_DECIMALS)


def borrow_amount(
    equity: ArrayLike, *, frozen: ArrayLike, option_buy_initial: ArrayLike, positive_option_value: ArrayLike
) -> NDArray[np.float64]:
    """Return the amount borrowed in a coin [coin, path], >= 0.

    Notes
    -----
    Cross: ``|min(0, equity - buy-option margin - positive option value - frozen)|``. In portfolio margin option value
    counts and the two option terms are stated as 0. An unrealised loss alone makes a borrow.
    """
    left = checked(equity, name="equity") - checked(frozen, name="frozen", least=0.0)
    left = left - checked(option_buy_initial, name="option_buy_initial", least=0.0)
    left = left - checked(positive_option_value, name="positive_option_value", least=0.0)
    return np.asarray(np.maximum(-left, 0.0), dtype=np.float64)


def borrow_margins_usd(
    borrowed: ArrayLike, *, index_price: ArrayLike, parameters: BorrowParameters
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (initial, maintenance) in USD [coin, path] of borrowed amounts >= 0 in the coin."""
    value = checked(borrowed, name="borrowed", least=0.0) * checked(index_price, name="index_price", above=0.0)
    return np.asarray(value * parameters.initial_fraction), np.asarray(value * parameters.maintenance_fraction)


def borrow_interest_per_hour(
    borrowed: ArrayLike,
    *,
    interest_free: ArrayLike,
    rate_per_hour: ArrayLike,
    limit_usage: ArrayLike,
    parameters: BorrowParameters,
) -> NDArray[np.float64]:
    """Return the interest of one hour in the coin [coin, path], >= 0.

    Parameters
    ----------
    interest_free : array
        >= 0; only the borrow that stems from unrealised losses, at most the venue's free limit, may be stated here.
    limit_usage : array
        Borrowed over limit, main account and subaccounts together; above 1 the rate is multiplied by usage^exponent.
    """
    charged = np.maximum(
        checked(borrowed, name="borrowed", least=0.0) - checked(interest_free, name="interest_free", least=0.0), 0.0
    )
    usage = np.maximum(checked(limit_usage, name="limit_usage", least=0.0), 1.0)
    rate = checked(rate_per_hour, name="rate_per_hour", least=0.0)
    return np.asarray(charged * rate * usage**parameters.penalty_exponent, dtype=np.float64)


def collateral_value_usd(
    equity: ArrayLike, *, index_price: ArrayLike, parameters: CollateralParameters
) -> NDArray[np.float64]:
    """Return the value of one coin's equity in USD [path]: positive amounts by slices, negative ones in full."""
    amount = checked(equity, name="equity")
    kept = sliced_total(np.maximum(amount, 0.0), edges=parameters.edges, rates=parameters.rates)
    return np.asarray((kept + np.minimum(amount, 0.0)) * checked(index_price, name="index_price", above=0.0))


def unit_reference(
    *,
    linear: Sequence[float],
    options: Sequence[Sequence[float]],
    spot: Sequence[float],
    contingency: float,
    parameters: RiskUnitParameters,
) -> tuple[float, float]:
    """Return (initial, maintenance) of one state node by node, exact fractions; ``options`` is [node][volatility]."""
    worst = Fraction(0)
    for node in range(len(linear)):
        for shocked in options[node]:
            total = Fraction(linear[node]) + Fraction(shocked) + Fraction(spot[node])
            worst = max(worst, -total)
    maintenance = worst + Fraction(contingency)
    return float(maintenance * Fraction(parameters.initial_over_maintenance)), float(maintenance)


def collateral_reference(equity: float, *, index_price: float, parameters: CollateralParameters) -> float:
    """Return the collateral value of one amount: the twin of ``collateral_value_usd``."""
    if equity <= 0.0:
        return float(Fraction(equity) * Fraction(index_price))
    return sliced_total_reference(equity, edges=parameters.edges, rates=parameters.rates) * index_price
