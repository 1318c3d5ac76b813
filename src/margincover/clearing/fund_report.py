"""What the commands on funds show: a size with what surrounds it, and policies side by side."""

from __future__ import annotations

from dataclasses import dataclass

from margincover.clearing.adl_measures import PolicyMeasures
from margincover.clearing.fund import FundSize
from margincover.clearing.waterfall import Layer
from margincover.model.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentFund:
    """How a fund of a stated size does on the paths.

    Parameters
    ----------
    fund_usd : float
    depletion, drawn : tuple of float
        Probability within the horizon with its 95 % interval (estimate, low, high): a deficit is not paid in full, and
        anything is paid at all.
    refill_days : tuple of float or None
        Days from the first payment until the fund is back where it was, in 1 of 2 and in 19 of 20 drawn paths; infinite
        where the income does not do it. None where it is never drawn.
    expected_residual_usd : float
        Mean over paths of the deficit that the fund leaves.
    covers_fraction : float or None
        Fund over the recommended size; None where that is 0.
    """

    fund_usd: float
    depletion: tuple[float, float, float]
    drawn: tuple[float, float, float]
    refill_days: tuple[float, float] | None
    expected_residual_usd: float
    covers_fraction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceCase:
    """Sizes under maintenance times ``factor``; ``due`` accounts are under it before anything moves."""

    factor: float
    newsvendor_usd: float
    var_usd: float
    mean_deficit_usd: float
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FundSizeData:
    """A fund's size. ``market_usd`` is the open interest of one side, None where only losses were given."""

    venue: str | None
    market_usd: float | None
    n_paths: int
    horizon_days: float | None
    mean_deficit_usd: float
    share_with_deficit: float
    size: FundSize
    present: PresentFund | None
    maintenance: tuple[MaintenanceCase, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """One policy on the shock.

    Parameters
    ----------
    name : str
    is_own : bool
        Whether the venue's rules hold this policy.
    paid_usd : tuple of float
        By layer, the defaulters' own money first and what the policy took last.
    layers : tuple of Layer
    residual_usd, difference_usd : float
        What nobody paid; paid + residual - loss, the rounding.
    payers : int
        Accounts that the policy took a cent or more from.
    measures : PolicyMeasures
    split_gain_fraction : float
        Largest change that splitting in two makes to one of the accounts examined, as part of what it has: above 0 it
        saves, below 0 it loses.
    """

    name: str
    is_own: bool
    layers: tuple[Layer, ...]
    paid_usd: tuple[float, ...]
    residual_usd: float
    difference_usd: float
    payers: int
    measures: PolicyMeasures
    split_gain_fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallData:
    """Policies on one shock of one market; loss = own money of the failed + deficit."""

    venue: str
    market: str
    shock: float
    market_usd: float
    n_accounts: int
    n_failed: int
    n_split: int
    loss_usd: float
    deficit_usd: float
    fund_usd: float
    outcomes: tuple[PolicyOutcome, ...]
    provenance: Provenance
