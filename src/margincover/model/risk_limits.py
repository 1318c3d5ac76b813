"""Limits that a desk sets itself for the figures of its daily statement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from margincover.errors import InputError

SHARE_KINDS = ("venue", "custodian", "asset", "stable coin")
_DAY_S = 86_400
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskLimits:
    """Limits of the daily statement; None is not stated, and then the default of the statement stands, if there is one.

    Parameters
    ----------
    min_coverage_ratio : float or None
        Equity over maintenance of every pool, >= 1: at 1 the venue liquidates.
    min_required_coverage_ratio : float or None
        Available over required capital of every pool, > 0; below 1 the stated tolerance is not met.
    min_debt_coverage_ratio : float or None
        Usable assets over what is due, at every due time, > 0.
    min_survival_horizon_s : int or None
        Whole hours, 1 h to 30 d.
    max_liquidation_probability_24h, max_any_liquidation_probability_24h : float or None
        Of the worst pool, and of any pool at all: above 0, below 1.
    min_liquid_stock_ratio : float or None
        Liquid stock over stressed outflow, > 0.
    max_stress_liquidated_pools : int or None
        Pools that the worst episode may liquidate, >= 0.
    max_share : mapping of kind to fraction
        Largest share of one venue, custodian, asset or stable coin, above 0, at most 1.

    Raises
    ------
    InputError
        Naming the limit, if one is outside what is allowed.
    """

    min_coverage_ratio: float | None = None
    min_required_coverage_ratio: float | None = None
    min_debt_coverage_ratio: float | None = None
    min_survival_horizon_s: int | None = None
    max_liquidation_probability_24h: float | None = None
    max_any_liquidation_probability_24h: float | None = None
    min_liquid_stock_ratio: float | None = None
    max_stress_liquidated_pools: int | None = None
    max_share: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _within("min_coverage_ratio", self.min_coverage_ratio, least=1.0)
        for name in ("min_required_coverage_ratio", "min_debt_coverage_ratio", "min_liquid_stock_ratio"):
            _within(name, getattr(self, name), above=0.0)
        one, joint = self.max_liquidation_probability_24h, self.max_any_liquidation_probability_24h
        for name, chance in (
            ("max_liquidation_probability_24h", one),
            ("max_any_liquidation_probability_24h", joint),
        ):
            if chance is not None and not 0.0 < chance < 1.0:
                raise InputError(f"was {chance}", field=name, allowed="a fraction above 0, below 1 (0.01 is 1 %)")
        if one is not None and joint is not None and joint < one:
            raise InputError(
                f"was {joint}, below max_liquidation_probability_24h {one}",
                field="max_any_liquidation_probability_24h",
                allowed="at least the limit of one pool: any pool is liquidated no less often than one",
            )
        survival = self.min_survival_horizon_s
        if survival is not None and (not _HOUR_S <= survival <= 30 * _DAY_S or survival % _HOUR_S):
            raise InputError(f"was {survival} s", field="min_survival_horizon", allowed="whole hours from 1h to 30d")
        pools = self.max_stress_liquidated_pools
        if pools is not None:
            if not 0 <= pools <= 1_000_000 or pools != int(pools):
                raise InputError(f"was {pools}", field="max_stress_liquidated_pools", allowed="a whole number >= 0")
            object.__setattr__(self, "max_stress_liquidated_pools", int(pools))
        for kind, share in self.max_share.items():
            if kind not in SHARE_KINDS:
                raise InputError(f"named '{kind}'", field="max_share", allowed=", ".join(SHARE_KINDS))
            if not 0.0 < share <= 1.0:
                raise InputError(
                    f"was {share}", field=f"max_share.{kind}", allowed="a fraction above 0, at most 1 (0.5 is 50 %)"
                )
        object.__setattr__(self, "max_share", MappingProxyType(dict(self.max_share)))


def _within(name: str, value: float | None, *, least: float | None = None, above: float | None = None) -> None:
    if value is None:
        return
    wrong = not math.isfinite(value) or (least is not None and value < least) or (above is not None and value <= above)
    if wrong or value > 1_000.0:
        floor = f"at least {least:g}" if least is not None else f"above {above:g}"
        raise InputError(f"was {value}", field=name, allowed=f"a ratio {floor}, at most 1000")
