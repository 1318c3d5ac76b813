"""A cascade from end to end: population, index, markets, run, systemic map."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np

from margincover.app.cascade_index import IndexPath, stated_fall
from margincover.clearing.cascade import CascadeResult, CascadeSettings, Stage, stage_of
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.cascade_cross import run_cross
from margincover.clearing.cascade_isolated import run_isolated, sort_book
from margincover.clearing.cascade_report import CascadeReportData, LevelOutcome, PopulationSummary
from margincover.clearing.cascade_systemic import moves_by_coin, systemic_map
from margincover.clearing.population import BelowZero, Population, population_notes
from margincover.io.population import LoadedPopulation, read_population
from margincover.model.provenance import Provenance
from margincover.version import __version__

MAP_SHOCKS = (-0.02, -0.05, -0.1, -0.15, -0.2, -0.3, 0.1, 0.2)
_MAP_OVER_S, _MAP_DURATION_S = 600.0, 1800.0
NOT_MODELLED = (
    "traders who add collateral, cut positions or enter: only forced orders and the index move prices",
    "limits of the venue's engine and outages: every account under maintenance is found at every look",
    "positions that auto-deleveraging takes off without a trade: everything is sold into the book",
    "collateral in coins, which falls with the market: collateral is taken as USD",
    "options, funding payments and borrowed collateral",
    "maintenance of a table row at its own fraction: a smaller rest keeps the fraction of the whole",
    "order of accounts within a look: longs and shorts that close at the same time net before they meet the book",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeRequest:
    """What was asked for; figures by market name (``BTC@main``) or coin, funds by venue.

    ``population`` None is the shipped description. ``index`` moves ``coin``, or all coins where it is None; the other
    coins move by ``betas`` times the move, 1 where none is stated. ``settings.step_s`` follows the index.
    """

    index: IndexPath
    population: Path | None = None
    coin: str | None = None
    betas: Mapping[str, float] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    depth_usd: Mapping[str, float] = field(default_factory=dict)
    bound_fraction: Mapping[str, float] = field(default_factory=dict)
    fund_usd: Mapping[str, float] = field(default_factory=dict)
    settings: CascadeSettings = field(default_factory=CascadeSettings)
    below_zero: BelowZero = BelowZero.REFUSE
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeReport:
    """A cascade with what surrounds it; ``exit_code`` is 2 where a loss stays that neither accounts nor fund paid."""

    data: CascadeReportData

    @property
    def exit_code(self) -> int:
        """0 where the fund was not touched, 1 where it paid or the run hit its bound, 2 where a loss stays."""
        ledger = self.data.result.ledger
        if ledger.residual_usd >= 0.01:
            return 2
        return 1 if ledger.paid_usd >= 0.01 or self.data.result.is_cut else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_cascade import cascade_to_dict

        return json.dumps(cascade_to_dict(self.data), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the result as one self-contained HTML page."""
        from margincover.report.html_cascade import cascade_html

        return cascade_html(self.data)


def default_population_path() -> Path:
    """Return the shipped description of a population."""
    return Path(str(resources.files("margincover.app") / "data" / "cascade_population.toml"))


def cascade(request: CascadeRequest, *, progress: Callable[[str], None] | None = None) -> CascadeReport:
    """Run a cascade.

    Raises
    ------
    UsageError, InputError
        If the population does not read, or a price, depth or fund is missing or cannot be used.
    """
    say = progress or (lambda _: None)
    say("reading the population")
    path = request.population or default_population_path()
    loaded = read_population(path, prices=request.prices, seed=request.seed)
    population = loaded.population
    notes = population_notes(population, request.below_zero)
    beta = moves_by_coin(population, request.coin, request.betas)
    say("running")
    stage = _stage(request, loaded, beta, request.index)
    engine = engine_of(population, request.settings)
    result = engine(stage)
    say("mapping levels")
    data = CascadeReportData(
        result=result,
        systemic=systemic_map(population, stage, request.settings.impact, beta),
        levels=tuple(_level(request, loaded, beta, shock, engine) for shock in MAP_SHOCKS),
        population=_summary(population, request),
        index_label=request.index.label,
        provenance=_provenance(request, loaded, [*notes, *_bound_notes(loaded, request), *result.notes]),
    )
    return CascadeReport(data=data)


def engine_of(population: Population, settings: CascadeSettings) -> Callable[[Stage], CascadeResult]:
    """Return the engine for sorted isolated accounts where it applies, else the one for cross-margined accounts.

    What a population needs once is done here, so that several stages share it.
    """
    if population.is_isolated and len(population.markets) == 1 and settings.slices is None:
        book = sort_book(population)
        return lambda stage: run_isolated(population, stage, settings, book)
    return lambda stage: run_cross(population, stage, settings)


def _stage(request: CascadeRequest, loaded: LoadedPopulation, beta: Floats, index: IndexPath) -> Stage:
    population = loaded.population
    prices = {
        market.coin: market.mark * np.maximum(1.0 + b * (index.relative - 1.0), 1e-6)
        for market, b in zip(population.markets, beta, strict=True)
    }
    # A figure for one market wins over one for its coin, and the command line over the file.
    return stage_of(
        population,
        prices,
        depth_usd=_over(loaded.depth_usd, request.depth_usd),
        bound_fraction=_bounds(population, loaded, request),
        fund_usd={**loaded.fund_usd, **request.fund_usd},
    )


DEFAULT_BOUND = 0.25  # where neither file nor command line states one


def _bounds(population: Population, loaded: LoadedPopulation, request: CascadeRequest) -> dict[str, float]:
    base = dict(loaded.bound_fraction) or {market.name: DEFAULT_BOUND for market in population.markets}
    return _over(base, request.bound_fraction)


def _bound_notes(loaded: LoadedPopulation, request: CascadeRequest) -> list[str]:
    if loaded.bound_fraction:
        return []
    open_ones = [
        market.name
        for market in loaded.population.markets
        if not {market.name, market.coin} & set(request.bound_fraction)
    ]
    if not open_ones:
        return []
    return [
        f"no bound was stated for {', '.join(open_ones)}: the local price may leave the index by at most "
        f"{DEFAULT_BOUND:.0%}, an assumption; --bound states another"
    ]


def _over(base: Mapping[str, float], stated: Mapping[str, float]) -> dict[str, float]:
    kept = {name: value for name, value in base.items() if name.split("@")[0] not in stated}
    return {**kept, **stated}


def _level(
    request: CascadeRequest,
    loaded: LoadedPopulation,
    beta: Floats,
    shock: float,
    engine: Callable[[Stage], CascadeResult],
) -> LevelOutcome:
    step = request.settings.step_s
    fall = stated_fall(shock, over_s=_MAP_OVER_S, duration_s=max(_MAP_DURATION_S, step), step_s=step)
    stage = _stage(request, loaded, beta, fall)
    result = engine(stage)
    marks = np.array([market.mark for market in loaded.population.markets])
    extreme = result.record.low.min(axis=0) if shock < 0.0 else result.record.high.max(axis=0)
    return LevelOutcome(
        shock=shock,
        liquidated_usd=float(result.liquidated_usd.sum()),
        furthest=tuple((extreme / marks - 1.0).tolist()),
        paid_usd=result.ledger.paid_usd,
        residual_usd=result.ledger.residual_usd,
    )


def _summary(population: Population, request: CascadeRequest) -> PopulationSummary:
    notional = np.abs(population.quantity) * population.mark_of_position()
    by_market = [notional[population.market == number] for number in range(len(population.markets))]
    longs = [
        notional[(population.market == number) & (population.quantity > 0.0)].sum()
        for number in range(len(population.markets))
    ]
    finite = population.effective_leverage()
    return PopulationSummary(
        n_accounts=population.n_accounts,
        n_positions=population.n_positions,
        long_usd=tuple(float(value) for value in longs),
        short_usd=tuple(float(each.sum() - long) for each, long in zip(by_market, longs, strict=True)),
        leverage_p10_p50_p90=tuple(np.percentile(finite, [10.0, 50.0, 90.0], method="lower").tolist()),
        source="shipped synthetic population" if request.population is None else population.source,
    )


def _provenance(request: CascadeRequest, loaded: LoadedPopulation, warnings: list[str]) -> Provenance:
    settings, impact = request.settings, request.settings.impact
    is_made = bool(loaded.sources)
    thinning = impact.thinning_move_fraction
    shown = {
        "impact": impact.law.name.lower().replace("_", " "),
        "depth halves at a move of": "never" if thinning is None else f"{thinning:.2%}",
        "least depth left": f"{impact.depth_floor_fraction:.1%}",
        "step": f"{settings.step_s:g} s",
        "feedback": settings.feedback.value,
        "slices": "whole accounts" if settings.slices is None else f"from {settings.slices.least_fraction:.0%} on",
        "remainder": settings.remainder.value,
        "fee": f"{settings.fee_fraction:.2%}, {settings.fee_to_fund_fraction:.0%} of it to the fund",
        "gap between venues halves in": _seconds(settings.arbitrage_half_life_s),
        "gap to the index halves in": _seconds(settings.recovery_half_life_s),
        "bound on rounds": str(settings.max_rounds),
    }
    if is_made and request.population is None:
        warnings = ["no population was named: the shipped synthetic one is used, which describes no venue", *warnings]
    return Provenance(
        version=__version__,
        as_of="the marks of the population",
        input_sha256=loaded.sha256,
        seed=request.seed if is_made else None,
        settings=shown,
        scenario={
            "index": request.index.label,
            **{f"input {k}": text for k, text in enumerate(loaded.sources, start=1)},
        },
        warnings=tuple(warnings),
        not_modelled=NOT_MODELLED,
    )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:g} s"
