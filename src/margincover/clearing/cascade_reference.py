"""Plain twins of the cascade kernels: every round looks at every account. Slow, for tests and as a yardstick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from margincover.clearing.cascade import CascadeSettings, Stage
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.cascade_isolated import liquidation_price
from margincover.clearing.impact import displaced, thinned_depth_usd
from margincover.clearing.population import Population


@dataclass(frozen=True, slots=True, kw_only=True)
class FullScan:
    """Accounts of one market as plain columns, ready for full scans."""

    is_long: np.ndarray[tuple[int], np.dtype[np.bool_]]
    size: Floats
    level: Floats
    bankruptcy: Floats
    mark: float

    @classmethod
    def of(cls, population: Population) -> FullScan:
        """Return the columns of an isolated population in one market."""
        is_long, size = population.quantity > 0.0, np.abs(population.quantity)
        side = np.where(is_long, 1.0, -1.0)
        return cls(
            is_long=is_long,
            size=size,
            level=liquidation_price(population),
            bankruptcy=population.entry - side * population.collateral_usd / size,
            mark=population.markets[0].mark,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOutcome:
    """Price at the end of each step, notional closed, debt left by accounts, and the rounds made."""

    price: Floats
    liquidated_usd: float
    shortfall_usd: float
    rounds: int


def full_scan(accounts: FullScan, stage: Stage, settings: CascadeSettings) -> ScanOutcome:
    """Run a cascade of isolated accounts in one market, scanning all of them in every round."""
    alive = np.ones(accounts.size.size, dtype=bool)
    displacement, rounds, closed, shortfall, prices = 0.0, 0, 0.0, 0.0, []
    recovery = settings.values().recovery
    for index in stage.index[:, 0]:
        for _ in range(settings.values().max_rounds):
            price = index * (1.0 - displacement)
            hit = alive & np.where(accounts.is_long, accounts.level >= price, accounts.level <= price)
            if not hit.any():
                break
            rounds += 1
            sold, bought = accounts.size[hit & accounts.is_long].sum(), accounts.size[hit & ~accounts.is_long].sum()
            net_usd = (sold - bought) * price
            execution, displacement = _walk(index, displacement, net_usd, accounts.mark, stage, settings)
            closed += (sold + bought) * execution
            side = np.where(accounts.is_long[hit], 1.0, -1.0)
            shortfall += (accounts.size[hit] * np.maximum(side * (accounts.bankruptcy[hit] - execution), 0.0)).sum()
            alive &= ~hit
        prices.append(index * (1.0 - displacement))
        displacement *= 1.0 - recovery
    return ScanOutcome(
        price=np.array(prices), liquidated_usd=float(closed), shortfall_usd=float(shortfall), rounds=rounds
    )


def _walk(
    index: float, before: float, sold_usd: float, mark: float, stage: Stage, settings: CascadeSettings
) -> tuple[float, float]:
    """Return the mean price of an order and the displacement after it."""
    impact, bound = settings.impact, float(stage.bound_fraction[0])
    depth = thinned_depth_usd(float(stage.depth_usd[0]), 1.0 - index * (1.0 - before) / mark, impact)
    after = displaced(before, sold_usd, depth, impact.law, bound)
    middle = displaced(before, 0.5 * sold_usd, depth, impact.law, bound)
    return index * (1.0 - (before + 4.0 * middle + after) / 6.0), after
