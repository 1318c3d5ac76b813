"""Headline figures of the statement against their limits, and everything that is in breach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.errors import InputError
from margincover.liquidity.verdict import RATIO_FLOOR
from margincover.model.book import Tolerance
from margincover.model.liquidity import DebtRow, LiquidityResult
from margincover.model.results import CoverageResult, Estimate, HorizonProbability
from margincover.model.risk_limits import RiskLimits
from margincover.model.statement import HeadlineFigure, Verdict
from margincover.model.stress import StressResult
from margincover.report.parts import at_horizon

DAY_S = 86_400
# Half width of a 95 % interval in standard errors.
_WIDTH = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit, whether it is the most that is allowed, and whether the book states it."""

    value: float | None
    is_upper: bool
    is_stated: bool

    @classmethod
    def least(cls, stated: float | None, default: float | None = None) -> Limit:
        """Return a lower limit, the default where none is stated."""
        return cls(value=default if stated is None else stated, is_upper=False, is_stated=stated is not None)

    @classmethod
    def most(cls, stated: float | None, default: float | None = None) -> Limit:
        """Return an upper limit, the default where none is stated."""
        return cls(value=default if stated is None else stated, is_upper=True, is_stated=stated is not None)


def headline_figures(
    coverage: CoverageResult,
    liquidity: LiquidityResult,
    stress: StressResult,
    *,
    limits: RiskLimits,
    tolerance: Tolerance,
) -> tuple[HeadlineFigure, ...]:
    """Return the figures of the head, in the order in which they are read.

    Notes
    -----
    A default limit is the definition's own (a ratio of 1), the horizon of the tolerance for the survival horizon, and
    the tolerance for the chance of liquidation of one pool in 24 h, if its horizon is not shorter than that. Where the
    book states no limit for debt coverage or the liquid stock, a ratio below 1.2 is a warning, as in ``liquidity``.
    """
    chance = tolerance.probability if tolerance.horizon_s >= DAY_S else None
    return (
        _coverage_ratio(coverage, Limit.least(limits.min_coverage_ratio, 1.0)),
        _required_ratio(coverage, Limit.least(limits.min_required_coverage_ratio, 1.0)),
        _debt_ratio(liquidity, Limit.least(limits.min_debt_coverage_ratio, 1.0)),
        _survival(liquidity, Limit.least(limits.min_survival_horizon_s, float(tolerance.horizon_s))),
        _worst_chance(coverage, Limit.most(limits.max_liquidation_probability_24h, chance)),
        _any_chance(coverage, Limit.most(limits.max_any_liquidation_probability_24h)),
        _stock_ratio(liquidity, Limit.least(limits.min_liquid_stock_ratio)),
        _stressed_pools(stress, Limit.most(limits.max_stress_liquidated_pools)),
    )


def judged(value: float | None, *, low: float | None, high: float | None, limit: Limit) -> Verdict:
    """Return how a figure stands against its limit: BREACH beyond it, WARNING when its interval reaches beyond it.

    Examples
    --------
    >>> judged(1.1, low=0.9, high=1.3, limit=Limit.least(1.0))
    <Verdict.WARNING: 1>
    """
    if value is None or limit.value is None:
        return Verdict.WITHIN
    sign = -1.0 if limit.is_upper else 1.0
    worst = high if limit.is_upper else low
    if sign * value < sign * limit.value:
        return Verdict.BREACH
    return Verdict.WARNING if worst is not None and sign * worst < sign * limit.value else Verdict.WITHIN


def _against(figure: HeadlineFigure, limit: Limit, *, floor: float | None = None) -> HeadlineFigure:
    """Return the figure with its limit and verdict; below ``floor`` it warns where the book states no limit."""
    value = figure.value
    verdict = judged(value, low=figure.low, high=figure.high, limit=limit)
    note = figure.note
    if verdict is Verdict.WITHIN and not limit.is_stated and floor is not None and value is not None and value < floor:
        verdict, note = Verdict.WARNING, f"{note}; below {floor:g}"
    return replace(
        figure,
        limit=limit.value,
        is_upper=limit.is_upper,
        is_stated=limit.is_stated,
        verdict=verdict,
        note=note,
    )


def _coverage_ratio(coverage: CoverageResult, limit: Limit) -> HeadlineFigure:
    found = [(pool.status.coverage_ratio, pool.status.pool_id) for pool in coverage.pools]
    known = [(ratio, name) for ratio, name in found if ratio is not None]
    value, where = min(known, default=(None, ""))
    note = "equity after haircut over maintenance, exact at as_of" if known else "no pool has a requirement"
    return _against(
        HeadlineFigure(
            key="coverage_ratio", label="Worst coverage ratio", unit="ratio", value=value, where=where, note=note
        ),
        limit,
    )


def _required_ratio(coverage: CoverageResult, limit: Limit) -> HeadlineFigure:
    known = [pool for pool in coverage.pools if pool.required_coverage_ratio is not None]
    worst = min(known, key=lambda pool: pool.required_coverage_ratio or 0.0, default=None)
    if worst is None:
        return _against(
            HeadlineFigure(
                key="required_coverage_ratio",
                label="Required coverage ratio",
                unit="ratio",
                value=None,
                note="no pool requires capital",
                where="",
            ),
            limit,
        )
    low, high = ratio_interval(worst.available_native, worst.required_native, worst.gap_standard_error_native)
    return _against(
        HeadlineFigure(
            key="required_coverage_ratio",
            label="Required coverage ratio",
            unit="ratio",
            value=worst.required_coverage_ratio,
            where=worst.status.pool_id,
            low=low,
            high=high,
            note="available over required capital at the tolerance",
        ),
        limit,
    )


def ratio_interval(above: float, below: float, error: float) -> tuple[float | None, float | None]:
    """Return the 95 % interval of ``above / below`` when ``below`` has a standard error; None where it has no end."""
    ends = []
    for part in (below + _WIDTH * error, below - _WIDTH * error):
        ends.append(above / part if part > 0.0 else None)
    first, second = ends
    if first is not None and second is not None:
        return min(first, second), max(first, second)
    return first, second


def worst_debt(liquidity: LiquidityResult) -> DebtRow | None:
    """Return the due time with the smallest ratio, None without a debt."""
    return min(liquidity.debts, key=lambda row: row.ratio, default=None)


def _debt_ratio(liquidity: LiquidityResult, limit: Limit) -> HeadlineFigure:
    worst = worst_debt(liquidity)
    label = "Debt coverage"
    if worst is None:
        return _against(
            HeadlineFigure(
                key="debt_coverage_ratio",
                label=label,
                unit="ratio",
                value=None,
                note="nothing falls due within the horizon",
                where="",
            ),
            limit,
        )
    row = next((each for each in liquidity.ladder if each.until_s >= worst.due_s), None)
    error = 0.0 if row is None else row.need_gross_standard_error_usd
    low, high = ratio_interval(worst.usable_usd, worst.cumulative_due_usd, error)
    return _against(
        HeadlineFigure(
            key="debt_coverage_ratio",
            label=label,
            unit="ratio",
            value=worst.ratio,
            where=f"{worst.label}, within {worst.due_s / 3_600:g} h",
            low=low if error else None,
            high=high if error else None,
            note="usable assets after haircut over all that is due by then, worst due time",
        ),
        limit,
        floor=RATIO_FLOOR,
    )


def _survival(liquidity: LiquidityResult, limit: Limit) -> HeadlineFigure:
    found = liquidity.survival
    note = "longest time for which all needs are met at the tolerance"
    if found.is_censored:
        note += "; it is longer than what was followed"
    return _against(
        HeadlineFigure(
            key="survival_horizon_s",
            label="Survival horizon",
            unit="s",
            value=float(found.at_least_s),
            low=float(found.low_s),
            high=None if found.is_censored else float(found.high_s),
            note=note,
            where="",
        ),
        limit,
    )


def _chance_24h(probabilities: Sequence[HorizonProbability], name: str) -> Estimate:
    """Return the probability of liquidation within 24 h; paths that do not tell are no reason to show nothing."""
    entry = at_horizon(probabilities, DAY_S)
    if entry is None:
        raise InputError(
            "the paths have no step that ends after 24 h",
            account=name,
            field="liquidation_probability_24h",
            allowed="a history or generator whose steps fit into 24 h",
        )
    return entry.liquidation


def _worst_chance(coverage: CoverageResult, limit: Limit) -> HeadlineFigure:
    names = [pool.status.pool_id for pool in coverage.pools]
    found = [(_chance_24h(pool.probabilities, name), name) for pool, name in zip(coverage.pools, names, strict=True)]
    chance, where = max(found, key=lambda pair: pair[0].value, default=(None, ""))
    label = "P(liquidation) 24 h, worst pool"
    return _probability("liquidation_probability_24h", label, chance, limit, where, "along the paths of the scenarios")


def _any_chance(coverage: CoverageResult, limit: Limit) -> HeadlineFigure:
    chance = _chance_24h(coverage.any_liquidation, "book") if coverage.pools else None
    label = "P(liquidation) 24 h, any pool"
    return _probability("any_liquidation_probability_24h", label, chance, limit, "book", "at least one pool, jointly")


def _probability(key: str, label: str, chance: Estimate | None, limit: Limit, where: str, note: str) -> HeadlineFigure:
    if chance is None:
        return _against(
            HeadlineFigure(
                key=key, label=label, unit="fraction", value=None, note="the book holds no margin account", where=""
            ),
            limit,
        )
    return _against(
        HeadlineFigure(
            key=key,
            label=label,
            unit="fraction",
            value=chance.value,
            where=where,
            low=chance.low,
            high=chance.high,
            note=note,
        ),
        limit,
    )


def _stock_ratio(liquidity: LiquidityResult, limit: Limit) -> HeadlineFigure:
    stock = liquidity.stock
    note = "liquid stock after caps over the stressed outflow" if stock.ratio is not None else "nothing flows out"
    low = high = None
    row = next((each for each in liquidity.ladder if each.until_s == liquidity.horizon_s), None)
    if row is not None and stock.ratio is not None and row.need_gross_standard_error_usd:
        low, high = ratio_interval(stock.stock_usd, stock.outflow_usd, row.need_gross_standard_error_usd)
    return _against(
        HeadlineFigure(
            key="liquid_stock_ratio",
            label="Liquid stock ratio",
            unit="ratio",
            value=stock.ratio,
            low=low,
            high=high,
            note=note,
            where="",
        ),
        limit,
        floor=RATIO_FLOOR,
    )


def _stressed_pools(stress: StressResult, limit: Limit) -> HeadlineFigure:
    worst = max(stress.scenarios, key=lambda each: each.n_liquidated, default=None)
    if worst is None:
        return _against(
            HeadlineFigure(
                key="stress_liquidated_pools",
                label="Pools liquidated in the worst episode",
                unit="pools",
                value=None,
                where="",
            ),
            limit,
        )
    return _against(
        HeadlineFigure(
            key="stress_liquidated_pools",
            label="Pools liquidated in the worst episode",
            unit="pools",
            value=float(worst.n_liquidated),
            where=worst.scenario.name,
            note=f"of {len(worst.pools)}; if nobody acted",
        ),
        limit,
    )
