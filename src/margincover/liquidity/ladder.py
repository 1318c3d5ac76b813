"""The liquidity ladder: cumulative usable resources against cumulative needs, and how long they last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margincover.errors import InputError
from margincover.liquidity.feasible import CENT, PathSupply, unmet
from margincover.model.liquidity import (
    AccountNeed,
    Concentration,
    LadderRow,
    LiquidStock,
    SupplyTable,
    SurvivalHorizon,
)
from margincover.model.results import Estimate
from margincover.numeric.intervals import wilson
from margincover.numeric.quantile import quantile_interval, tail_quantile

Array = NDArray[np.float64]

# Basel III: Level 2 at most 40 % of the stock, Level 2B at most 15 %; haircuts 15 % and 50 %.
_LEVEL_2A_WEIGHT = 0.85
_LEVEL_2B_WEIGHT = 0.50


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedPaths:
    """Needs along joint paths.

    Parameters
    ----------
    running_usd : array [bucket, place, path]
        Largest amount by which the place was short up to each bucket: of an account the path maximum of maintenance
        less equity, of a debt what has fallen due. Negative: what was never needed. Never falls with time.
    low_ratio : mapping factor -> array [bucket, path]
        Lowest price up to each bucket over the price at ``as_of``.
    """

    running_usd: Array
    low_ratio: Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleMargin:
    """Margin above what an account needs, as a source: ``source`` row of the supply table, ``place`` of the account."""

    source: int
    place: int


def idle_margins(supply: SupplyTable) -> list[IdleMargin]:
    """Return the sources of a table that are margin of its accounts."""
    return [
        IdleMargin(source=number, place=supply.accounts.index(source.id))
        for number, source in enumerate(supply.sources)
        if source.is_idle_margin
    ]


def path_supply(supply: SupplyTable, needs: NeedPaths, bucket: int, idle: Sequence[IdleMargin]) -> PathSupply:
    """Return the sources of a bucket along the paths.

    A source whose price moves counts at the lowest price up to then: when it is sold is not known before. Idle margin
    counts at what the account never needed up to then.
    """
    n_sources, n_paths = len(supply.sources), needs.running_usd.shape[2]
    scale, ceiling = np.ones((n_sources, n_paths)), np.full((n_sources, n_paths), np.inf)
    for number, source in enumerate(supply.sources):
        if source.factor:
            if source.factor not in needs.low_ratio:
                raise InputError(
                    f"no paths of {source.factor}",
                    field=f"reserves.{source.id}",
                    allowed="a coin that the scenarios make, or a stand-in under `proxies`",
                )
            scale[number] = np.minimum(needs.low_ratio[source.factor][bucket], 1.0)
    for row in idle:
        ceiling[row.source] = np.maximum(-needs.running_usd[bucket, row.place], 0.0)
    return PathSupply(
        way_usd=supply.way_usd[bucket], total_usd=supply.total_usd[bucket], scale=scale, ceiling_usd=ceiling
    )


def unmet_paths(opening: SupplyTable, needs: NeedPaths, idle: Sequence[IdleMargin] = ()) -> NDArray[np.bool_]:
    """Return [bucket, path] whether some need by then could not be met in time; once unmet, unmet for good.

    Parameters
    ----------
    opening : SupplyTable
        What is usable at the *start* of each bucket. A need inside a bucket may come at its first minute, and money
        that arrives later in the bucket is then too late; the finer the buckets, the closer to what is needed.
    needs : NeedPaths
        Up to the end of each bucket.
    idle : sequence of IdleMargin
    """
    found = np.stack(
        [
            unmet(needs.running_usd[bucket], path_supply(opening, needs, bucket, idle))
            for bucket in range(len(opening.buckets_s))
        ]
    )
    return np.logical_or.accumulate(found, axis=0)


def ladder_rows(
    opening: SupplyTable, supply: SupplyTable, needs: NeedPaths, failed: NDArray[np.bool_], *, tolerance: float
) -> tuple[LadderRow, ...]:
    """Return the ladder; the standard error of a quantile comes from the interval of its order statistics.

    Parameters
    ----------
    opening, supply : SupplyTable
        What is usable at the start and at the end of each bucket.
    needs : NeedPaths
    failed : array [bucket, path]
        Of ``unmet_paths``.
    tolerance : float
    """
    rows = []
    for bucket, until_s in enumerate(supply.buckets_s):
        running = needs.running_usd[bucket]
        gross = np.maximum(running, 0.0).sum(axis=0)
        net = np.maximum(running.sum(axis=0), 0.0)
        need, there = tail_quantile(gross, tolerance), float(opening.usable_usd[bucket])
        rows.append(
            LadderRow(
                until_s=until_s,
                opening_usd=there,
                supply_usd=float(supply.usable_usd[bucket]),
                need_gross_usd=need,
                need_net_usd=tail_quantile(net, tolerance),
                need_gross_standard_error_usd=quantile_interval(gross, tolerance)[0],
                gap_usd=need - there,
                shortfall=counted(failed[bucket]),
            )
        )
    return tuple(rows)


def account_needs(
    opening: SupplyTable,
    supply: SupplyTable,
    needs: NeedPaths,
    *,
    tolerance: float,
    until_bucket: int,
    idle: Sequence[IdleMargin] = (),
) -> tuple[AccountNeed, ...]:
    """Return, for each place, its need up to a bucket and what can reach it when nobody else calls, worst first."""
    along = [path_supply(opening, needs, bucket, idle) for bucket in range(until_bucket + 1)]
    everywhere = np.arange(needs.running_usd.shape[2])
    rows = []
    for place, name in enumerate(supply.accounts):
        running = needs.running_usd[: until_bucket + 1, place]
        missed = np.zeros(everywhere.size, dtype=np.bool_)
        for bucket, there in enumerate(along):
            missed |= running[bucket] > there.reaching(np.array([place]), everywhere) + CENT
        rows.append(
            AccountNeed(
                id=name,
                need_usd=max(0.0, tail_quantile(running[-1], tolerance)),
                reachable_usd=float(supply.way_usd[until_bucket, :, place].sum()),
                p_need=counted(running[-1] > CENT),
                p_unmet=counted(missed),
            )
        )
    return tuple(sorted(rows, key=lambda row: (-row.p_unmet.value, -row.need_usd, row.id)))


def survival_horizon(rows: Sequence[LadderRow], *, tolerance: float) -> SurvivalHorizon:
    """Return the longest bucket whose probability of a shortfall is within the tolerance, with its interval."""

    def longest(end: str) -> int:
        last = 0
        for row in rows:
            if getattr(row.shortfall, end) > tolerance:
                return last
            last = row.until_s
        return last

    at_least = longest("value")
    return SurvivalHorizon(
        tolerance=tolerance,
        at_least_s=at_least,
        low_s=longest("high"),
        high_s=longest("low"),
        is_censored=bool(rows) and at_least == rows[-1].until_s,
    )


def liquid_stock(level_1: float, level_2a: float, level_2b: float, *, outflow_usd: float) -> LiquidStock:
    """Return the stock of the liquidity coverage ratio and the ratio to a stressed outflow.

    Parameters
    ----------
    level_1, level_2a, level_2b : float
        Market values before haircut: settlement money at bank or venue; the same in own custody; BTC and ETH.
    outflow_usd : float
        Stressed outflow, >= 0.

    Notes
    -----
    stock = L1 + 0.85 L2A + 0.5 L2B - excess over the caps; the excess over 15 % is max(0, B - 15/85 (L1 + A),
    B - 15/60 L1), that over 40 % is max(0, A + B - excess15 - 2/3 L1), with A and B after haircut.

    References
    ----------
    Basel Committee (2013), The Liquidity Coverage Ratio, annex 1. Which asset is of which level is a judgement for
    crypto, stated on the page of the command.
    """
    a, b = _LEVEL_2A_WEIGHT * level_2a, _LEVEL_2B_WEIGHT * level_2b
    over_15 = max(0.0, b - 15.0 / 85.0 * (level_1 + a), b - 15.0 / 60.0 * level_1)
    over_40 = max(0.0, a + b - over_15 - 2.0 / 3.0 * level_1)
    stock = level_1 + a + b - over_15 - over_40
    return LiquidStock(
        level_1_usd=level_1,
        level_2a_usd=level_2a,
        level_2b_usd=level_2b,
        stock_usd=stock,
        outflow_usd=outflow_usd,
        ratio=stock / outflow_usd if outflow_usd > 0.0 else None,
    )


def stock_of(supply: SupplyTable, *, outflow_usd: float) -> LiquidStock:
    """Return the liquid stock at the last time of a supply table: what can be used by then, by tier, at market value.

    Margin of accounts and what is frozen or comes later is left out.
    """
    levels = [0.0, 0.0, 0.0]
    for number, source in enumerate(supply.sources):
        if source.tier <= 3 and not source.is_idle_margin and supply.total_usd[-1, number] > 0.0:
            levels[source.tier - 1] += source.gross_usd
    return liquid_stock(levels[0], levels[1], levels[2], outflow_usd=outflow_usd)


def concentrations(supply: SupplyTable) -> tuple[Concentration, ...]:
    """Return the shares of the usable supply at the last time by custodian and by asset."""
    rows = []
    for by in ("custodian", "asset"):
        amounts: dict[str, float] = {}
        for number, source in enumerate(supply.sources):
            if not source.is_idle_margin:
                name = str(getattr(source, by))
                amounts[name] = amounts.get(name, 0.0) + float(supply.total_usd[-1, number])
        rows.append(concentration(by, amounts))
    return tuple(rows)


def concentration(by: str, amounts_usd: Mapping[str, float]) -> Concentration:
    """Return shares of amounts, largest first; what is not above zero has no share."""
    kept = {name: amount for name, amount in amounts_usd.items() if amount > 0.0}
    total = sum(kept.values())
    shares = {name: amount / total for name, amount in sorted(kept.items(), key=lambda row: (-row[1], row[0]))}
    return Concentration(by=by, total_usd=total, shares=shares, herfindahl=sum(share**2 for share in shares.values()))


def counted(hits: NDArray[np.bool_]) -> Estimate:
    """Return the share of True with its Wilson interval."""
    value, error, low, high = wilson(int(hits.sum()), hits.size)
    return Estimate(value=value, standard_error=error, low=low, high=high)
