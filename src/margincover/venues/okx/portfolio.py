"""OKX portfolio margin after the risk-unit merge: nine charges of a risk unit and the account's requirement.

Sources: OKX help "Portfolio margin mode" (rev. 2025-12-04), "Multi-currency vs Portfolio margin" (rev. 2025-07-09), API
sample of POST /api/v5/account/position-builder (2025-01-15), read 2026-11-22.

Not published in full, hence arguments and never defaults: the volatility shocks of MR1, and MR2 (theta), MR3 (vega term
structure), MR4 across expiries, MR5 (interest). Amounts in USD, charges >= 0. Danger is down: liquidation at ratio 1.
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
class RiskUnitParameters:
    """Shocks of a risk unit: MR1 grid (signed fractions of the index), MR6 move and its share, initial multiple."""

    price_shock_fraction: tuple[float, ...]
    extreme_shock_fraction: float
    extreme_share_fraction: float
    initial_over_maintenance: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> RiskUnitParameters:
        """Return parameters from a table.

        Raises
        ------
        RulebookError
            If a key is unknown or missing, a shock or share is not a fraction, or the multiple is below 1.
        """
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        return cls(
            price_shock_fraction=fields.numbers("price_shock_fraction", least=-1.0, most=1.0),
            extreme_shock_fraction=fields.fraction("extreme_shock_fraction"),
            extreme_share_fraction=fields.fraction("extreme_share_fraction"),
            initial_over_maintenance=fields.number("initial_over_maintenance", least=1.0, most=10.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PerpetualChargeParameters:
    """MR4 and raw MR7 of a unit that holds perpetuals alone, fractions of the absolute delta in USD."""

    basis_fraction: float
    minimum_charge_fraction: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> PerpetualChargeParameters:
        """Return parameters from a table; RulebookError as for ``RiskUnitParameters``."""
        names = tuple(cls.__dataclass_fields__)
        fields = ParameterFields(data, source=source, names=names)
        return cls(**{name: fields.fraction(name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingParameters:
    """Marginal multipliers of the raw MR7 charge: lower edges in USD, multipliers."""

    edges: tuple[float, ...]
    multipliers: tuple[float, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> ScalingParameters:
        """Return parameters from ``ladder = [[lower edge, multiplier], ...]``; RulebookError as above."""
        edges, multipliers = ParameterFields(data, source=source, names=("ladder",)).ladder("ladder", most=100.0)
        return cls(edges=edges, multipliers=multipliers)


@dataclass(frozen=True, slots=True, kw_only=True)
class StablecoinParameters:
    """Marginal MR9 factors at one level of the stablecoin index: lower edges in USD, fractions of the hedged amount."""

    edges: tuple[float, ...]
    rates: tuple[float, ...]

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> StablecoinParameters:
        """Return parameters from ``ladder = [[lower edge, factor], ...]``; RulebookError as above."""
        edges, rates = ParameterFields(data, source=source, names=("ladder",)).ladder("ladder")
        return cls(edges=edges, rates=rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class StablecoinRangeParameters:
    """Lowest USD price of a stable coin at which the packaged MR9 factors may stand for the venue's."""

    least_price_usd: float

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], *, source: str) -> StablecoinRangeParameters:
        """Return parameters from a table; RulebookError as for ``RiskUnitParameters``."""
        fields = ParameterFields(data, source=source, names=tuple(cls.__dataclass_fields__))
        return cls(least_price_usd=fields.fraction("least_price_usd"))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCharges:
    """The charges of one risk unit [path], USD, >= 0; a charge that cannot arise is stated as 0.

    ``mr7`` is after scaling. MR8, the margin of borrowed coins, belongs to the account.
    """

    mr1: ArrayLike
    mr2: ArrayLike
    mr3: ArrayLike
    mr4: ArrayLike
    mr5: ArrayLike
    mr6: ArrayLike
    mr7: ArrayLike
    mr9: ArrayLike


def linear_pnl(delta_usd: ArrayLike, *, shock_fraction: Sequence[float]) -> NDArray[np.float64]:
    """Return the profit of futures, perpetuals and spot at each shock [node, path]: ``delta * shock``.

    Parameters
    ----------
    delta_usd : array [path]
        Signed net delta in USD at the **index** price: the venue shocks the index, not the mark (inferred from its
        sample, 0.015 % of the loss).
    """
    delta = checked(delta_usd, name="delta_usd")
    shocks = checked(np.asarray(shock_fraction, dtype=np.float64), name="shock_fraction")
    return np.asarray(shocks.reshape((-1,) + (1,) * delta.ndim) * delta, dtype=np.float64)


def worst_loss(pnl: ArrayLike) -> NDArray[np.float64]:
    """Return MR1 [path]: the largest loss over all nodes, >= 0, from profits [node, path] or [price, vol, path]."""
    profits = checked(pnl, name="pnl")
    return np.asarray(np.maximum(-profits.reshape((-1, profits.shape[-1])).min(axis=0), 0.0), dtype=np.float64)


def extreme_charge(*, pnl_down: ArrayLike, pnl_up: ArrayLike, parameters: RiskUnitParameters) -> NDArray[np.float64]:
    """Return MR6 [path]: a share of the worse loss of the two extreme moves, >= 0."""
    worst = np.minimum(checked(pnl_down, name="pnl_down"), checked(pnl_up, name="pnl_up"))
    return np.asarray(parameters.extreme_share_fraction * np.maximum(-worst, 0.0), dtype=np.float64)


def perpetual_basis_charge(delta_usd: ArrayLike, parameters: PerpetualChargeParameters) -> NDArray[np.float64]:
    """Return MR4 [path] of a unit that holds only perpetuals, ``factor * |delta|`` (factor inferred from a sample)."""
    return np.asarray(parameters.basis_fraction * np.abs(checked(delta_usd, name="delta_usd")), dtype=np.float64)


def perpetual_minimum_charge(delta_usd: ArrayLike, parameters: PerpetualChargeParameters) -> NDArray[np.float64]:
    """Return raw MR7 [path] of perpetuals, ``factor * |delta|`` (factor inferred from a sample)."""
    return np.asarray(parameters.minimum_charge_fraction * np.abs(checked(delta_usd, name="delta_usd")))


def scaled_minimum_charge(raw_usd: ArrayLike, parameters: ScalingParameters) -> NDArray[np.float64]:
    """Return MR7 after scaling [path]: each slice of the raw charge, >= 0, times its multiplier."""
    return sliced_total(raw_usd, edges=parameters.edges, rates=parameters.multipliers)


def stablecoin_hedges(
    *, usdt_usd: ArrayLike, usdc_usd: ArrayLike, usd_usd: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the hedged amounts [path] of USDT-USD, USDT-USDC and USDC-USD, >= 0, in USD.

    Parameters
    ----------
    usdt_usd, usdc_usd, usd_usd : array [path]
        Signed cash delta of the contracts that settle in each.

    Notes
    -----
    Pairs are matched in this order; each takes min(|a|, |b|) of opposite signs and leaves the rest to the next.
    """
    left = {
        "usdt": checked(usdt_usd, name="usdt_usd"),
        "usdc": checked(usdc_usd, name="usdc_usd"),
        "usd": checked(usd_usd, name="usd_usd"),
    }
    hedged = []
    for first, second in (("usdt", "usd"), ("usdt", "usdc"), ("usdc", "usd")):
        a, b = left[first], left[second]
        matched = np.where(np.sign(a) * np.sign(b) < 0.0, np.minimum(np.abs(a), np.abs(b)), 0.0)
        left[first], left[second] = a - np.sign(a) * matched, b - np.sign(b) * matched
        hedged.append(np.asarray(matched, dtype=np.float64))
    return hedged[0], hedged[1], hedged[2]


def stablecoin_charge(hedged_usd: ArrayLike, parameters: StablecoinParameters) -> NDArray[np.float64]:
    """Return MR9 [path] of one pair's hedged amount, >= 0; the parameters are those of its index level."""
    return sliced_total(hedged_usd, edges=parameters.edges, rates=parameters.rates)


def unit_maintenance(charges: UnitCharges) -> NDArray[np.float64]:
    """Return the maintenance margin of a risk unit [path].

    Notes
    -----
    ``max(max(MR1, MR2, MR6) + MR3 + MR4 + MR5 + MR9, MR7)``.

    Raises
    ------
    InputError
        If a charge is negative or not finite.
    """
    mr = {name: checked(getattr(charges, name), name=name, least=0.0) for name in charges.__dataclass_fields__}
    market = np.maximum(np.maximum(mr["mr1"], mr["mr2"]), mr["mr6"])
    return np.asarray(np.maximum(market + mr["mr3"] + mr["mr4"] + mr["mr5"] + mr["mr9"], mr["mr7"]), dtype=np.float64)


def account_margins(
    unit_maintenance_usd: ArrayLike,
    *,
    borrow_initial_usd: ArrayLike,
    borrow_maintenance_usd: ArrayLike,
    parameters: RiskUnitParameters,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the account's (initial, maintenance) [path] from units [unit, path] and borrowed coins (MR8) [path]."""
    units = checked(unit_maintenance_usd, name="unit_maintenance_usd", least=0.0).sum(axis=0)
    initial = parameters.initial_over_maintenance * units
    initial = initial + checked(borrow_initial_usd, name="borrow_initial_usd", least=0.0)
    maintenance = units + checked(borrow_maintenance_usd, name="borrow_maintenance_usd", least=0.0)
    return np.asarray(initial), np.asarray(maintenance)


def account_coverage_ratio(
    adjusted_usd: ArrayLike, *, maintenance_usd: ArrayLike, liability_fee_usd: ArrayLike
) -> NDArray[np.float64]:
    """Return mgnRatio [path] = adjEq / (maintenance + fee on liabilities).

    Notes
    -----
    The fee is ``liability * (1 + mmr) * fee`` from ``okx_multi_currency.borrow_margins_usd``; derivatives add none,
    MR7 stands for it (inferred from the sample, and from live accounts without liabilities).
    """
    required = checked(maintenance_usd, name="maintenance_usd", least=0.0)
    required = required + checked(liability_fee_usd, name="liability_fee_usd", least=0.0)
    return ratio(checked(adjusted_usd, name="adjusted_usd"), required)


def perpetual_unit_reference(
    *,
    delta_index_usd: float,
    delta_mark_usd: float,
    shocks: RiskUnitParameters,
    charges: PerpetualChargeParameters,
    scaling: ScalingParameters,
) -> dict[str, float]:
    """Return mr1, mr4, mr6, mr7, mmr and imr of one unit of perpetuals, node by node with exact fractions."""
    base, delta = Fraction(delta_index_usd), abs(Fraction(delta_mark_usd))
    mr1 = max([Fraction(0)] + [-base * Fraction(shock) for shock in shocks.price_shock_fraction])
    extreme = Fraction(shocks.extreme_shock_fraction)
    mr6 = Fraction(shocks.extreme_share_fraction) * max(base * extreme, -base * extreme)
    mr4 = Fraction(charges.basis_fraction) * delta
    raw = float(Fraction(charges.minimum_charge_fraction) * delta)
    mr7 = Fraction(sliced_total_reference(raw, edges=scaling.edges, rates=scaling.multipliers))
    mmr = max(max(mr1, mr6) + mr4, mr7)
    figures = {"mr1": mr1, "mr4": mr4, "mr6": mr6, "mr7": mr7, "mmr": mmr}
    figures["imr"] = mmr * Fraction(shocks.initial_over_maintenance)
    return {name: float(value) for name, value in figures.items()}


def stablecoin_hedges_reference(*, usdt_usd: float, usdc_usd: float, usd_usd: float) -> tuple[float, float, float]:
    """Return the hedged amounts of one state by plain steps: the twin of ``stablecoin_hedges``."""
    left = {"usdt": Fraction(usdt_usd), "usdc": Fraction(usdc_usd), "usd": Fraction(usd_usd)}
    out = []
    for first, second in (("usdt", "usd"), ("usdt", "usdc"), ("usdc", "usd")):
        a, b = left[first], left[second]
        opposite = (a > 0 > b) or (b > 0 > a)
        matched = min(abs(a), abs(b)) if opposite else Fraction(0)
        left[first] = a - matched if a > 0 else a + matched
        left[second] = b - matched if b > 0 else b + matched
        out.append(float(matched))
    return out[0], out[1], out[2]
