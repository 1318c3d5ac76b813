"""Cover: the main job, from a book to a coverage result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from margincover.app.add_ons import AddOnRun, cover_add_ons
from margincover.app.announcements import announcement_text, announcements
from margincover.app.facade import CoverageReport
from margincover.app.generators import build_generator
from margincover.app.option_volatility import volatility_notes, volatility_settings, with_volatility
from margincover.app.provenance import build_provenance, funding_warnings
from margincover.app.rare import rare_estimates, rare_settings, rare_warnings
from margincover.app.side_factors import ALL, PRICES, Market, require_factors_setting, with_side_factors
from margincover.coverage.reconcile import reconcile
from margincover.coverage.required import measure as measure_coverage
from margincover.coverage.status import pool_statuses
from margincover.errors import InputError, UsageError
from margincover.model.book import Book, Tolerance
from margincover.model.pool import MarginPool
from margincover.model.results import PathSummary
from margincover.model.scenario import History, ScenarioGenerator, ScenarioInfo
from margincover.paths.engine import MAX_PATHS, PathSettings, simulate
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.units import format_duration, parse_utc
from margincover.venues.explain import explain_pool
from margincover.venues.pools import build_pools

DEFAULT_PATHS = 20_000
LONGEST_S = 30 * 86_400
# A calibration is a description of the market of its window; beyond this age the reader is told.
MAX_CALIBRATION_AGE_DAYS = 180
# Difference between a rule and its table along the paths, as a share of the maintenance, that is told to the reader.
LARGEST_TABLE_ERROR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverSettings:
    """Settings of one coverage run; None takes the book's tolerance or the default.

    Parameters
    ----------
    tolerance : float or None
        Accepted probability, 0.000001 to 0.5.
    horizon_s : int or None
        1 h to 30 d.
    measure : str or None
        ``rces`` (Expected Shortfall form) or ``rc`` (quantile).
    paths : int
        Number of joint paths.
    seed : int
    scenarios : str or None
        A name of ``app.generators.METHODS``, with settings as ``fhs:tail=0.03``; None chooses by whether a history is
        given.
    history : path, History or None
    follow_s : int
        How far first passage is followed; at least the horizon.
    threads : int or None
    vol_rule : str or None
        ``sticky-strike`` or ``sticky-delta``: how implied volatility follows its coin; None takes sticky-delta.
    factors : str
        ``prices``, or ``all`` for perpetual funding, local marks and stable coins along the paths too.
    rare : bool
        Small tolerances: RC, RCES and the probabilities at the horizon from a run of their own, by importance sampling
        where the generator can, else by as many plain paths as the tolerance needs.
    add_ons : bool
        Stress weight and full-history floor beside the result, apart from every other figure.
    chunk_blocks : int
        Neither threads nor chunk_blocks changes the result.
    """

    tolerance: float | None = None
    horizon_s: int | None = None
    measure: str | None = None
    paths: int = DEFAULT_PATHS
    seed: int = 1
    scenarios: str | None = None
    history: Path | str | History | None = None
    follow_s: int = LONGEST_S
    threads: int | None = None
    chunk_blocks: int = 4
    vol_rule: str | None = None
    factors: str = PRICES
    add_ons: bool = False
    rare: bool = False


def cover(
    book: Book,
    settings: CoverSettings | None = None,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> CoverageReport:
    """Return required coverage, probabilities and contributions of every account of a book.

    Parameters
    ----------
    book : Book
        From ``load``.
    settings : CoverSettings or None
    generator : ScenarioGenerator or None
        Own generator; then ``scenarios`` and ``history`` must be left out.
    progress : callable or None
        Called with (blocks done, blocks in all).
    **options
        Fields of ``CoverSettings`` by name, for short calls: ``cover(book, tolerance=0.01, paths=100_000)``.

    Raises
    ------
    InputError, RulebookError, StaleDataError, UsageError
        Naming file, account and field.

    Examples
    --------
    >>> import margincover as mc
    >>> report = mc.cover(mc.demo_book(), paths=512, follow_s=86_400)
    >>> report.result.horizon_s
    86400
    """
    chosen = _settings(settings, options)
    tolerance = _tolerance(book, chosen)
    if not 256 <= chosen.paths <= MAX_PATHS:
        raise UsageError(f"was {chosen.paths}", field="--paths", allowed=f"256 to {MAX_PATHS}")
    calibration = load_packaged()
    pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
    statuses, rows = reconcile(book, pools, pool_statuses(pools))
    statuses = tuple(replace(status, explain=explain_pool(pool)) for status, pool in zip(statuses, pools, strict=True))
    # Sorted, so that the order of the accounts does not decide which random numbers a coin gets.
    factors = sorted({factor for pool in pools for factor in pool.factors})
    if generator is None:
        _require_factors(book, pools, chosen, calibration)
        # A book without positions still gets an answer; one factor keeps the generator defined.
        generator = build_generator(
            book,
            factors or [calibration.names[0]],
            method=chosen.scenarios,
            history=chosen.history,
            calibration=calibration,
        )
    elif chosen.scenarios is not None or chosen.history is not None:
        raise UsageError("a generator with scenarios or history", field="generator", allowed="one of them")
    market = Market(pools=tuple(pools), generator=generator)
    if require_factors_setting(chosen.factors) == ALL:
        market = with_side_factors(book, pools, generator)
    generator = market.generator
    moving = with_volatility(market.pools, chosen.vol_rule)
    run = PathSettings(
        n_paths=chosen.paths,
        horizon_s=tolerance.horizon_s,
        follow_s=max(chosen.follow_s, tolerance.horizon_s),
        seed=chosen.seed,
        tolerance=tolerance.probability,
        threads=chosen.threads,
        chunk_blocks=chosen.chunk_blocks,
    )
    paths = simulate(moving, generator, run, progress=progress)
    rare = rare_estimates(moving, generator, tolerance, run, progress=progress) if chosen.rare else None
    result = measure_coverage(
        market.pools,
        statuses,
        paths,
        tolerance,
        reconciliation=rows,
        provenance=build_provenance(
            book,
            pools,
            seed=chosen.seed,
            settings={
                **_settings_text(chosen, tolerance, int(paths.maximum.shape[1])),
                **volatility_settings(moving, generator, horizon_s=tolerance.horizon_s, seed=chosen.seed),
                **rare_settings(rare),
            },
            scenario=_scenario_text(generator.info),
            warnings=[
                *funding_warnings(book, calibration.pessimistic_funding_per_hour),
                *generator.info.warnings,
                *market.warnings,
                *(sample_warnings(tolerance, chosen.paths) if rare is None else rare_warnings(rare)),
                *age_warnings(book, generator),
                *_table_warnings(paths),
                *(announcement_text(each) for each in announcements(book)),
            ],
            not_modelled=[*volatility_notes(pools), *generator.info.not_modelled, *market.not_modelled],
            side_factors=chosen.factors == ALL,
        ),
        rare=rare,
    )
    if chosen.add_ons:
        own = AddOnRun(
            settings=run,
            history=chosen.history,
            vol_rule=chosen.vol_rule,
            side_factors=chosen.factors == ALL,
            calibration=calibration,
        )
        result = replace(result, add_ons=cover_add_ons(book, pools, result, own, factors=factors))
    return CoverageReport(result=result)


def _require_factors(book: Book, pools: Sequence[MarginPool], chosen: CoverSettings, calibration: Calibration) -> None:
    """Raise for a coin that the packaged calibration does not hold, naming the account that needs it."""
    if chosen.history is not None:
        return
    for pool in pools:
        for factor in pool.factors:
            if factor not in calibration and factor not in book.proxies:
                raise InputError(
                    f"{factor} is not in the packaged calibration ({', '.join(calibration.names)})",
                    source=book.source,
                    account=pool.account_id,
                    field=", ".join(pool.legs.symbols) or factor,
                    allowed=f"--history DIR with bars of {factor}, or a stand-in under `proxies` in the book",
                )


def _settings(settings: CoverSettings | None, options: dict[str, object]) -> CoverSettings:
    known = set(CoverSettings.__slots__)
    unknown = sorted(set(options) - known)
    if unknown:
        raise UsageError(f"unknown setting {', '.join(unknown)}", field="cover", allowed=", ".join(sorted(known)))
    return replace(settings or CoverSettings(), **options)  # type: ignore[arg-type]  # names were checked above


def _tolerance(book: Book, chosen: CoverSettings) -> Tolerance:
    stated = book.tolerance
    return Tolerance(
        probability=stated.probability if chosen.tolerance is None else chosen.tolerance,
        horizon_s=stated.horizon_s if chosen.horizon_s is None else chosen.horizon_s,
        measure=stated.measure if chosen.measure is None else chosen.measure,
    )


def _settings_text(chosen: CoverSettings, tolerance: Tolerance, n_paths: int) -> dict[str, str]:
    return {
        "tolerance": f"{tolerance.probability:g}",
        "horizon": format_duration(tolerance.horizon_s),
        "measure": tolerance.measure,
        "paths": str(n_paths),
        "followed": format_duration(max(chosen.follow_s, tolerance.horizon_s)),
        **({} if chosen.factors == PRICES else {"factors": chosen.factors}),
    }


def _scenario_text(info: ScenarioInfo) -> dict[str, str]:
    return {
        "method": info.method,
        "label": info.label,
        "step": format_duration(info.step_s),
        "as_of": info.as_of,
        "input_sha256": info.input_sha256,
        **info.params,
    }


def sample_warnings(tolerance: Tolerance, paths: int) -> list[str]:
    """Return the warning for a tolerance that too few paths reach."""
    expected = tolerance.probability * paths
    if expected >= 30:
        return []
    enough = int(100 / tolerance.probability)
    return [f"only {expected:.0f} paths are expected beyond the tolerance: raise --paths to {enough:,}, or use --rare"]


def _table_warnings(paths: PathSummary) -> list[str]:
    """Return the warning for each pool whose table missed its rule by more than a thousandth of the maintenance."""
    return [
        f"{pool_id}: margins along the paths are read from a table of the venue's rule, which missed the rule by up to "
        f"{error:.2%} of the maintenance in the states priced both ways"
        for pool_id, error in zip(paths.pool_ids, paths.table_error, strict=True)
        if error > LARGEST_TABLE_ERROR
    ]


def age_warnings(book: Book, generator: ScenarioGenerator) -> list[str]:
    """Return the warning for scenarios whose data end long before the book."""
    try:
        end = parse_utc(generator.info.as_of, field="scenario.as_of")
    except InputError:
        return []  # a generator without data, such as one with stated volatilities, has no age
    age = (book.as_of - end).days
    if end > book.as_of:
        # What was not known at as_of must not pass for a forecast made then.
        return [f"scenarios: {generator.info.label} knows the market {(end - book.as_of).days} days after as_of"]
    if age <= MAX_CALIBRATION_AGE_DAYS:
        return []
    return [f"scenarios: {generator.info.label} ends {age} days before as_of"]
