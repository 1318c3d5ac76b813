"""Size of an insurance fund, and policies of sharing a loss on the same shock, from a population or from losses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from margincover.app.cascade import default_population_path
from margincover.app.fund_paths import PathRequest, PathRun, run_paths
from margincover.clearing.adl_rules import AdlRule, adl_rule
from margincover.clearing.adl_rules import packaged as adl_rules
from margincover.clearing.cascade_arrays import Floats
from margincover.clearing.checks import amounts
from margincover.clearing.fund import FundSize, newsvendor_size, size_fund
from margincover.clearing.fund_compare import SPLIT_ACCOUNTS, House, compare, shocked
from margincover.clearing.fund_deficits import scaled_maintenance, stress_exposures, taken_apart
from margincover.clearing.fund_paths import NEVER, FundPaths, run_fund
from margincover.clearing.fund_report import FundSizeData, MaintenanceCase, PresentFund, WaterfallData
from margincover.clearing.population import BelowZero, Population, population_notes
from margincover.clearing.waterfall import Waterfall
from margincover.clearing.waterfall_rules import packaged, waterfall_of
from margincover.errors import InputError, NotSupportedError
from margincover.io.losses import is_losses, read_losses
from margincover.io.population import LoadedPopulation, read_population
from margincover.model.provenance import Provenance
from margincover.numeric.intervals import wilson
from margincover.numeric.quantile import tail_quantile
from margincover.version import __version__

MEMBER_MOVES = (-0.3, -0.2, -0.1, 0.1, 0.2, 0.3)
MAINTENANCE_FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5)
_SENSITIVITY_TAIL = 0.005
_SYNTHETIC = "no population was named: the shipped synthetic one is used, which describes no venue"
SIZE_NOT_MODELLED = (
    "new accounts and new positions within the horizon: who was closed stays closed",
    "traders who add collateral or cut positions before they are liquidated",
    "trade between venues: each market follows the index by itself",
    "hedges within an account: positions are taken apart, which overstates debts",
)
WATERFALL_NOT_MODELLED = (
    "liquidations before the jump: all positions are valued at the price after it",
    "what it costs to put a closed hedge on again",
    "members who do not pay an assessment, and a fund whose assets fall with the market",
)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FundSizeRequest:
    """What was asked for.

    ``source`` is a population or a table of losses, None for the shipped population. ``capital_cost_annual`` is the
    yearly cost of a dollar in the fund, ``loss_cost`` that of a dollar not covered. ``fund_usd`` None takes the fund of
    the population's file, if it states one. ``inflow_usd`` per day comes on top of liquidation fees.
    """

    source: Path | None = None
    venue: str | None = None
    paths: PathRequest = field(default_factory=PathRequest)
    capital_cost_annual: float = 0.15
    loss_cost: float = 1.0
    fund_usd: float | None = None
    inflow_usd: float = 0.0
    coin_fraction: float = 0.0
    coin: str = "BTC"
    prices: Mapping[str, float] = field(default_factory=dict)
    depth_usd: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundSizeReport:
    """A fund's size; ``exit_code`` is 0, 1 or 2."""

    data: FundSizeData

    @property
    def exit_code(self) -> int:
        """0 without a present fund or where it is large enough, 1 below the recommended size, 2 below newsvendor's."""
        present, size = self.data.present, self.data.size
        if present is None or present.fund_usd >= size.recommended_usd:
            return 0
        return 1 if present.fund_usd >= size.newsvendor_usd else 2

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_fund import fund_size_to_dict

        return json.dumps(fund_size_to_dict(self.data), indent=indent, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallRequest:
    """What was asked for.

    ``market`` None is the one with the largest open interest. ``adl_of`` takes the queue of another venue where
    ``venue`` has none. ``at`` None takes the latest packaged editions. ``fund_usd`` None takes the fund of the
    population's file, 0 if it states none.
    """

    policies: Sequence[str]
    population: Path | None = None
    venue: str = "binance"
    market: str | None = None
    shock: float = -0.2
    fund_usd: float | None = None
    own_usd: float = 0.0
    multiple: float = 1.0
    adl_of: str | None = None
    at: datetime | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallReport:
    """Policies side by side; ``exit_code`` is 0, 1 or 2."""

    data: WaterfallData

    @property
    def exit_code(self) -> int:
        """0 where the prefunded layers paid all, 1 where a policy had to pay, 2 where one leaves a residual."""
        if any(each.residual_usd >= 0.01 for each in self.data.outcomes):
            return 2
        return 1 if any(each.measures.taken_usd >= 0.01 for each in self.data.outcomes) else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_fund import waterfall_to_dict

        return json.dumps(waterfall_to_dict(self.data), indent=indent, allow_nan=False)


def fund_size(request: FundSizeRequest, *, progress: Say | None = None) -> FundSizeReport:
    """Return the size of a fund.

    Raises
    ------
    InputError, UsageError
        If the file does not read or is empty, a figure cannot be used, the fund is larger than the market, or too few
        paths have a loss for a tail.
    """
    if request.source is not None and is_losses(request.source):
        return FundSizeReport(data=_size_of_losses(request))
    say = progress or (lambda _: None)
    say("reading the population")
    path = request.source or default_population_path()
    loaded = read_population(path, prices=request.prices, seed=request.paths.seed)
    population, notes = loaded.population, [] if request.source is not None else [_SYNTHETIC]
    notes += population_notes(population, BelowZero.REFUSE)
    venue, warning = _venue(population, request.venue)
    notes += warning
    run = run_paths(loaded, venue, request.paths, request.depth_usd, MAINTENANCE_FACTORS, say)
    if run.n_cut:
        notes.append(f"the bound on rounds stopped a step on {run.n_cut} paths")
    market = _open_interest(population, venue)
    fund = request.fund_usd if request.fund_usd is not None else loaded.fund_usd.get(venue)
    _check_fund(fund, market)
    say("fitting the tail")
    exposure = stress_exposures(population, MEMBER_MOVES)[_at_venue(population, venue)]
    size = _sized(run.total_usd, request, exposure)
    cases = _cases(run, population, venue, request)
    data = FundSizeData(
        venue=venue, market_usd=market, n_paths=run.total_usd.size, horizon_days=request.paths.horizon_days,
        mean_deficit_usd=float(run.total_usd.mean()), share_with_deficit=float((run.total_usd > 0.0).mean()), size=size,
        present=None if fund is None else _present(fund, run, request, size), maintenance=cases,
        provenance=_size_provenance(request, loaded, notes, run.method),
    )  # fmt: skip
    return FundSizeReport(data=data)


def _size_of_losses(request: FundSizeRequest) -> FundSizeData:
    assert request.source is not None, "Invariant: losses come from a file"
    losses = read_losses(request.source)
    days = request.paths.horizon_days
    size = _sized(losses.loss_usd, request, losses.member_usd)
    run = PathRun(
        deficit_usd=losses.loss_usd[np.newaxis], fees_usd=np.zeros((1, losses.loss_usd.size)), period_days=(days,),
        coins={}, cases={}, n_cut=0, method="losses of a file",
    )  # fmt: skip
    provenance = Provenance(
        version=__version__, as_of="the losses of the file", input_sha256=losses.sha256,
        settings=_settings(request), scenario={"losses": request.source.name},
        not_modelled=("where the losses come from: they are taken as given",),
    )  # fmt: skip
    return FundSizeData(
        venue=None, market_usd=None, n_paths=losses.loss_usd.size, horizon_days=days,
        mean_deficit_usd=float(losses.loss_usd.mean()), share_with_deficit=float((losses.loss_usd > 0.0).mean()),
        size=size, present=None if request.fund_usd is None else _present(request.fund_usd, run, request, size),
        maintenance=(), provenance=provenance,
    )  # fmt: skip


def _sized(total: Floats, request: FundSizeRequest, exposure: Floats | None) -> FundSize:
    return size_fund(total, capital_cost=_capital_cost(request), loss_cost=request.loss_cost, exposure_usd=exposure)


def _capital_cost(request: FundSizeRequest) -> float:
    return request.capital_cost_annual * request.paths.horizon_days / 365.0


def _present(fund: float, run: PathRun, request: FundSizeRequest, size: FundSize) -> PresentFund:
    """Return how the present fund does on the paths."""
    days = np.array(run.period_days)[:, np.newaxis]
    amounts(request.inflow_usd, name="inflow_usd")
    if request.coin_fraction > 0.0 and request.coin not in run.coins:
        raise InputError(
            f"was {request.coin}", field="coin", allowed=", ".join(run.coins) or "none: losses of a file have no prices"
        )
    moved = None if request.coin_fraction == 0.0 else run.coins[request.coin]
    paths = run_fund(
        start_usd=fund, deficit_usd=run.deficit_usd, inflow_usd=run.fees_usd + request.inflow_usd * days,
        asset_return=moved, coin_fraction=request.coin_fraction,
    )  # fmt: skip
    drawn, _, low, high = wilson(int((paths.first_paid_at != NEVER).sum()), run.total_usd.size)
    return PresentFund(
        fund_usd=fund,
        depletion=paths.depletion,
        drawn=(drawn, low, high),
        refill_days=_refill_days(paths, run.period_days, request.inflow_usd),
        expected_residual_usd=float(paths.residual_usd.sum(axis=0).mean()),
        covers_fraction=fund / size.recommended_usd if size.recommended_usd > 0.0 else None,
    )


def _refill_days(paths: FundPaths, period_days: Sequence[float], inflow_usd: float) -> tuple[float, float] | None:
    """Days until drawn funds are back, in 1 of 2 and 19 of 20; after the horizon the stated income alone fills them."""
    drawn = np.flatnonzero(paths.first_paid_at != NEVER)
    if not drawn.size:
        return None
    start = np.concatenate([[0.0], np.cumsum(period_days)])
    first, after = paths.first_paid_at[drawn], paths.refilled_after[drawn]
    gap = np.maximum(paths.level_usd[first, drawn] - paths.level_usd[-1, drawn], 0.0)
    later = gap / inflow_usd if inflow_usd > 0.0 else np.where(gap > 0.0, np.inf, 0.0)
    inside = start[np.minimum(first + after + 1, len(period_days))] - start[first]
    days = np.sort(np.where(after == NEVER, start[-1] - start[first] + later, inside))
    half, most = (float(days[int(np.ceil(share * days.size)) - 1]) for share in (0.5, 0.95))
    return half, most


def _cases(run: PathRun, population: Population, venue: str, request: FundSizeRequest) -> tuple[MaintenanceCase, ...]:
    cases = []
    for factor, total in run.cases.items():
        scaled = scaled_maintenance(population, factor)
        due = (scaled.equity_usd() <= scaled.maintenance_usd()) & _at_venue(population, venue)
        cases.append(
            MaintenanceCase(
                factor=factor,
                newsvendor_usd=newsvendor_size(total, capital_cost=_capital_cost(request), loss_cost=request.loss_cost),
                var_usd=tail_quantile(total, _SENSITIVITY_TAIL),
                mean_deficit_usd=float(total.mean()),
                due=int(due.sum()),
            )
        )
    return tuple(cases)


def _venue(population: Population, asked: str | None) -> tuple[str, list[str]]:
    """Return the venue whose fund is sized: the one asked for, else the one with the largest open interest."""
    venues = list(dict.fromkeys(market.venue for market in population.markets))
    if asked is not None:
        if asked not in venues:
            raise InputError(f"was '{asked}'", source=population.source, field="venue", allowed=", ".join(venues))
        return asked, []
    largest = max(venues, key=lambda name: _open_interest(population, name))
    others = ", ".join(name for name in venues if name != largest)
    return largest, [f"the fund of {largest} is sized, not of {others}: name one with --venue"] if others else []


def _at_venue(population: Population, venue: str) -> np.ndarray:
    """Whether an account is at a venue [account]."""
    at = np.array([market.venue == venue for market in population.markets])
    return at[population.market[population.start[:-1]]]


def _open_interest(population: Population, venue: str) -> float:
    """Return the open interest of a venue: the larger side of each market, summed."""
    value = population.quantity * population.mark_of_position()
    total = 0.0
    for number, market in enumerate(population.markets):
        if market.venue == venue:
            held = value[population.market == number]
            total += float(max(held[held > 0.0].sum(), -held[held < 0.0].sum()))
    return total


def _check_fund(fund: float | None, market: float) -> None:
    if fund is not None and not 0.0 <= fund <= market:
        raise InputError(
            f"was {fund:,.2f} USD of a market of {market:,.2f}", field="fund",
            allowed="0 to the open interest: check the unit",
        )  # fmt: skip


def fund_waterfall(request: WaterfallRequest) -> WaterfallReport:
    """Return what each policy takes on the same shock.

    Raises
    ------
    InputError, RulebookError
        If a policy, venue or market is unknown, the population is empty or owes already, or the fund is larger than
        the market.
    """
    path = request.population or default_population_path()
    loaded = read_population(path, prices=request.prices, seed=request.seed)
    number = _market(loaded.population, request.market)
    population = taken_apart(loaded.population, number)
    held = population.quantity * population.mark_of_position()
    market_usd = float(max(held[held > 0.0].sum(), -held[held < 0.0].sum()))
    fund = request.fund_usd
    if fund is None:
        fund = loaded.fund_usd.get(population.markets[0].venue, 0.0)
    _check_fund(fund, market_usd)
    latest = max(origin.valid_from for origin in [w.origin for w in packaged()] + [rule.origin for rule in adl_rules()])
    at = request.at or latest
    rules = waterfall_of(request.venue, at=at)
    house = House(
        waterfall=rules, adl=_adl(request, rules, at), fund_usd=fund,
        own_usd=float(amounts(request.own_usd, name="own_usd")), multiple=request.multiple,
    )  # fmt: skip
    shock = shocked(population, request.shock)
    outcomes = compare(shock, house, request.policies, market_usd=market_usd, seed=request.seed)
    return WaterfallReport(data=WaterfallData(
        venue=request.venue, market=population.markets[0].name, shock=request.shock, market_usd=market_usd,
        n_accounts=population.n_accounts, n_failed=int(shock.is_failed.sum()), n_split=SPLIT_ACCOUNTS,
        loss_usd=shock.deficit_usd + float(shock.before_usd[shock.is_failed].sum()), deficit_usd=shock.deficit_usd,
        fund_usd=fund, outcomes=tuple(outcomes), provenance=_waterfall_provenance(request, loaded, house, population),
    ))  # fmt: skip


def _market(population: Population, name: str | None) -> int:
    names = [market.name for market in population.markets]
    if name is None:
        value = np.abs(population.quantity) * population.mark_of_position()
        return int(np.argmax(np.bincount(population.market, weights=value, minlength=len(names))))
    if name not in names:
        raise InputError(f"was '{name}'", source=population.source, field="market", allowed=", ".join(names))
    return names.index(name)


def _adl(request: WaterfallRequest, rules: Waterfall, at: datetime) -> AdlRule | None:
    if request.adl_of is not None:
        return adl_rule(request.adl_of, at=at)
    known = {rule.venue for rule in adl_rules()}
    if rules.venue not in known and "adl" in request.policies:
        raise NotSupportedError(
            f"no queue of {rules.venue} is packaged", field="--compare adl",
            allowed=f"other policies, or --adl-of {', '.join(sorted(known))}",
        )  # fmt: skip
    return adl_rule(rules.venue, at=at) if rules.venue in known else None


def _settings(request: FundSizeRequest) -> dict[str, str]:
    return {
        "cost of capital": f"{request.capital_cost_annual:.2%} a year",
        "cost of a dollar not covered": f"{request.loss_cost:g}",
        "horizon": f"{request.paths.horizon_days:g} days",
        "income beside liquidation fees": f"{request.inflow_usd:,.2f} USD a day",
        "part of the fund in coins": f"{request.coin_fraction:.0%} {request.coin}",
    }


def _size_provenance(
    request: FundSizeRequest, loaded: LoadedPopulation, notes: Sequence[str], method: str
) -> Provenance:
    paths = request.paths
    settings = _settings(request) | {
        "time between looks": f"{paths.step_s} s",
        "fee": f"{paths.fee_fraction:.2%} of the notional closed, from what the account has left",
        "members of Cover-N": f"accounts, at jumps of all coins by {', '.join(f'{m:+.0%}' for m in MEMBER_MOVES)}",
    }
    return Provenance(
        version=__version__, as_of="the marks of the population", input_sha256=loaded.sha256, seed=paths.seed,
        settings=settings, scenario={"paths": method, **_sources(loaded)}, warnings=tuple(notes),
        not_modelled=SIZE_NOT_MODELLED,
    )  # fmt: skip


def _sources(loaded: LoadedPopulation) -> dict[str, str]:
    return {f"input {k}": text for k, text in enumerate(loaded.sources, start=1)}


def _waterfall_provenance(
    request: WaterfallRequest, loaded: LoadedPopulation, house: House, population: Population
) -> Provenance:
    notes = [_SYNTHETIC] if request.population is None else []
    notes += population_notes(population, BelowZero.REFUSE)
    origin, rule = house.waterfall.origin, house.adl
    if "adl" in request.policies and rule is not None and not rule.is_exact:
        notes.append(f"the queue of {rule.venue} is {rule.origin.confidence}: a plausible order, not the venue's own")
    if not loaded.population.is_isolated:
        notes.append("accounts with several positions are taken apart, their equity dealt out by notional")
    settings = {
        "waterfall": f"{origin.id} ({origin.confidence}), {origin.source}",
        "queue": "none" if rule is None else f"{rule.origin.id} ({rule.origin.confidence}), {rule.score}",
        "contributions": "of the fund, in proportion to maintenance before the shock",
        "assessment": f"to {house.multiple:g} times the contribution",
        "own capital of the venue": f"{house.own_usd:,.2f} USD",
    }
    return Provenance(
        version=__version__, as_of="the marks of the population", input_sha256=loaded.sha256, seed=request.seed,
        settings=settings, scenario=_sources(loaded), warnings=tuple(notes), not_modelled=WATERFALL_NOT_MODELLED,
    )  # fmt: skip
