"""Risk: VaR and ES of a book's profit and loss, stressed VaR and ES, liquidity at risk gross and net across venues."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from margincover.app.cover import LARGEST_TABLE_ERROR, age_warnings, sample_warnings
from margincover.app.generators import build_generator
from margincover.app.option_volatility import volatility_notes, with_volatility
from margincover.app.provenance import build_provenance, funding_warnings
from margincover.coverage import risk as measures
from margincover.coverage.risk import RiskPlan, RiskRun
from margincover.coverage.value_pools import unit_factor
from margincover.errors import InputError, UsageError
from margincover.io.history import load_history
from margincover.model.book import Book, Tolerance
from margincover.model.risk import RiskResult, RiskRow
from margincover.model.scenario import History, ScenarioGenerator
from margincover.paths.engine import BLOCK_PATHS, PathSettings
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.scenarios.episode_blocks import EpisodeBlocks
from margincover.scenarios.episodes import load_episodes
from margincover.scenarios.stress_window import most_volatile_window
from margincover.units import format_duration
from margincover.venues.pools import build_pools

DEFAULT_PATHS = 20_000
MIN_PATHS = 5 * BLOCK_PATHS
# Every path keeps a number for each pool, account, venue and coin.
MAX_PATHS = 1_000_000
STRESSES = ("episodes", "window")


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSettings:
    """Settings of one run; None takes the book's tolerance or the default.

    Parameters
    ----------
    tolerance : float or None
        Tail probability, 0.000001 to 0.5.
    horizon_s : int or None
    paths : int
        1,280 to 1,000,000: standard errors are by batch means, which needs five blocks of 256.
    seed : int
    scenarios : str or None
        A method of ``app.generators``.
    history : path, History or None
    stress : str or None
        ``episodes`` draws stressed paths from the packaged episodes, ``window`` from the most volatile window of the
        history; None takes the window when a history is given.
    stress_days : int
        Length of that window.
    threads : int or None
        Does not change the result.
    """

    tolerance: float | None = None
    horizon_s: int | None = None
    paths: int = DEFAULT_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    stress: str | None = None
    stress_days: int = 90
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskReport:
    """Risk measures; ``exit_code`` is always 0, for a measure alone is no breach."""

    result: RiskResult

    @property
    def exit_code(self) -> int:
        """0."""
        return 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_risk import risk_to_dict

        return json.dumps(risk_to_dict(self.result), indent=indent, allow_nan=False)


def risk(
    book: Book,
    settings: RiskSettings | None = None,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RiskReport:
    """Return the risk measures of a book.

    Parameters
    ----------
    book : Book
    settings : RiskSettings or None
    generator : ScenarioGenerator or None
        Own generator for the paths that are not stressed; then ``scenarios`` must be left out.
    progress : callable or None
        Called with (blocks done, blocks in all) of each of the two runs.

    Raises
    ------
    UsageError, InputError
        If a setting is out of range, the book holds no account, or a coin has no scenarios.

    Notes
    -----
    Profit and loss is the change of wallet, unrealised profit and option values in USD, before haircuts, without
    trading, top-ups or liquidation.
    """
    chosen = settings or RiskSettings()
    tolerance = _tolerance(book, chosen)
    calibration = load_packaged()
    pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
    if not pools:
        raise InputError("held no account", source=book.source, field="accounts", allowed="at least one account")
    moving = with_volatility(pools)
    law = next((pool.spot_volatility for pool in moving if pool.spot_volatility is not None), None)
    plan = measures.plan_risk(moving, law=law)
    # A book without positions still gets an answer; one factor keeps the generator defined.
    factors = plan.factors or (calibration.names[0],)
    _require_units(book, plan, chosen, calibration)
    if generator is not None and chosen.scenarios is not None:
        raise UsageError("a generator with scenarios", field="generator", allowed="one of them")
    own = generator or build_generator(
        book, factors, method=chosen.scenarios, history=chosen.history, calibration=calibration
    )
    stressed = _stressed_generator(book, factors, chosen, calibration)
    paths = PathSettings(
        n_paths=chosen.paths,
        horizon_s=tolerance.horizon_s,
        follow_s=tolerance.horizon_s,
        seed=chosen.seed,
        tolerance=tolerance.probability,
        threads=chosen.threads,
    )
    runs = [measures.run_risk(plan, each, paths, progress=progress) for each in (own, stressed)]
    return RiskReport(result=_result(book, chosen, tolerance, (own, stressed), runs, calibration))


def _result(
    book: Book,
    chosen: RiskSettings,
    tolerance: Tolerance,
    generators: tuple[ScenarioGenerator, ScenarioGenerator],
    runs: list[RiskRun],
    calibration: Calibration,
) -> RiskResult:
    (own, stressed), (run, under_stress), tail = generators, runs, tolerance.probability
    pools = run.plan.pools
    window = stressed.info.params.get("window") or stressed.info.params.get("episodes", "")
    return RiskResult(
        rows=tuple(_row(run, under_stress, place, tail) for place in range(len(run.plan.groups))),
        parts=measures.contributions(run, own.info.factors, tail),
        liquidity=measures.liquidity_at_risk(run, tail),
        stressed_liquidity=measures.liquidity_at_risk(under_stress, tail),
        tolerance=tail,
        horizon_s=tolerance.horizon_s,
        n_paths=run.n_paths,
        batches=measures.batches(run.at_horizon[0]),
        quantile_rule=measures.QUANTILE_RULE,
        stress=f"{stressed.info.label}: {window}",
        provenance=build_provenance(
            book,
            pools,
            seed=chosen.seed,
            settings={
                "tolerance": f"{tail:g}",
                "horizon": format_duration(tolerance.horizon_s),
                "paths": str(run.n_paths),
            },
            scenario={
                "method": own.info.method,
                "label": own.info.label,
                **own.info.params,
                **{f"stress {key}": value for key, value in stressed.info.params.items()},
            },
            warnings=[
                *funding_warnings(book, calibration.pessimistic_funding_per_hour),
                *own.info.warnings,
                *stressed.info.warnings,
                *sample_warnings(tolerance, chosen.paths),
                *age_warnings(book, own),
                *_table_warnings(max(run.table_error, under_stress.table_error)),
            ],
            not_modelled=[
                "top-ups, trades and the liquidation itself: every pool is followed to the horizon",
                "calls between the ends of the hours, and increases of initial margin",
                *volatility_notes(pools),
                *own.info.not_modelled,
            ],
        ),
    )


def _table_warnings(error: float) -> list[str]:
    if error <= LARGEST_TABLE_ERROR:
        return []
    return [
        "margins along the paths are read from a table of the venue's rule, which missed the rule by up to "
        f"{error:.2%} of the maintenance in the states priced both ways"
    ]


def _row(run: RiskRun, stressed: RiskRun, place: int, tail: float) -> RiskRow:
    group = run.plan.groups[place]
    return RiskRow(
        scope=group.scope,
        id=group.id,
        value_usd=float(run.start_usd[place]),
        mean_pnl_usd=-float(run.at_horizon[place].mean()),
        at_horizon=measures.pair(run.at_horizon[place], tail),
        on_path=measures.pair(run.on_path[place], tail),
        stressed_at_horizon=measures.pair(stressed.at_horizon[place], tail),
        stressed_on_path=measures.pair(stressed.on_path[place], tail),
    )


def _tolerance(book: Book, chosen: RiskSettings) -> Tolerance:
    if not MIN_PATHS <= chosen.paths <= MAX_PATHS:
        raise UsageError(f"was {chosen.paths}", field="--paths", allowed=f"{MIN_PATHS} to {MAX_PATHS}")
    if chosen.stress not in (None, *STRESSES):
        raise UsageError(f"was '{chosen.stress}'", field="--stress", allowed=" or ".join(STRESSES))
    if chosen.stress == "window" and chosen.history is None:
        raise UsageError("was 'window' without a history", field="--stress", allowed="window with --history DIR")
    if not 8 <= chosen.stress_days <= 3_650:
        raise UsageError(f"was {chosen.stress_days}", field="--stress-days", allowed="8 to 3650")
    return Tolerance(
        probability=book.tolerance.probability if chosen.tolerance is None else chosen.tolerance,
        horizon_s=book.tolerance.horizon_s if chosen.horizon_s is None else chosen.horizon_s,
        measure=book.tolerance.measure,
    )


def _require_units(book: Book, plan: RiskPlan, chosen: RiskSettings, calibration: Calibration) -> None:
    """Raise for a coin, unit of a pool or factor of its positions, that no scenario moves; names the account."""
    if chosen.history is not None:
        return
    for pool in plan.pools:
        unit = unit_factor(pool)
        for factor in (*pool.factors, *(() if unit is None else (unit,))):
            if factor not in calibration and factor not in book.proxies:
                raise InputError(
                    f"{factor} is not in the packaged calibration ({', '.join(calibration.names)})",
                    source=book.source,
                    account=pool.account_id,
                    field=factor,
                    allowed=f"--history DIR with bars of {factor}, or a stand-in under `proxies` in the book",
                )


def _stressed_generator(
    book: Book, factors: tuple[str, ...], chosen: RiskSettings, calibration: Calibration
) -> ScenarioGenerator:
    if chosen.stress == "episodes" or chosen.history is None:
        return EpisodeBlocks(
            episodes=load_episodes().episodes,
            factors=factors,
            calibration=calibration,
            proxies=dict(book.proxies),
        )
    needed = tuple(dict.fromkeys(book.proxies[f].factor if f in book.proxies else f for f in factors))
    bars = (
        chosen.history
        if isinstance(chosen.history, History)
        else load_history(chosen.history, factors=needed, as_of=book.as_of, max_age_s=book.max_history_age_s)
    )
    window, _ = most_volatile_window(bars, needed, days=chosen.stress_days)
    # The bootstrap's own path through stand-ins keeps one rule for coins without bars.
    return build_generator(book, factors, method="bootstrap", history=window, calibration=calibration)


__all__ = ["DEFAULT_PATHS", "STRESSES", "RiskReport", "RiskSettings", "risk"]
