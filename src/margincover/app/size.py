"""Position sizing: the largest position in a symbol, or scale of an account, that capital carries at a tolerance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

from margincover.app.cover import (
    LARGEST_TABLE_ERROR,
    age_warnings,
    sample_warnings,
)
from margincover.app.generators import build_generator
from margincover.app.option_volatility import volatility_notes
from margincover.app.provenance import build_provenance, funding_warnings
from margincover.app.size_task import SizeSettings, SizeTask
from margincover.coverage.sizing import SearchSettings, SizeSearch
from margincover.coverage.status import pool_statuses
from margincover.errors import UsageError
from margincover.model.book import Book, Tolerance
from margincover.model.provenance import Provenance
from margincover.model.scenario import ScenarioGenerator
from margincover.model.sizing import Bound, SizeCurve, SizePoint, SizingResult
from margincover.paths.engine import MAX_PATHS
from margincover.scenarios.calibration import load_packaged
from margincover.units import SECONDS_PER_DAY, format_duration

CURVE_TOLERANCES = (0.001, 0.01, 0.05)
CURVE_HORIZONS_S = (SECONDS_PER_DAY, 5 * SECONDS_PER_DAY, 10 * SECONDS_PER_DAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeReport:
    """Largest sizes; ``exit_code`` is 2 where the present size is beyond the largest."""

    result: SizingResult

    @property
    def exit_code(self) -> int:
        """0 when the present size keeps the stated tolerance, 2 when it does not."""
        # Of the two sides of a symbol only the one held can be too large.
        held = [curve for curve in self.result.curves if curve.present > 0.0]
        return 2 if any(curve.present_probability.value > self.result.tolerance for curve in held) else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_size import sizing_to_dict

        return json.dumps(sizing_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the result as one self-contained HTML page."""
        from margincover.report.html_size import sizing_html

        return sizing_html(self.result)


def size(
    book: Book,
    settings: SizeSettings,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[str], None] | None = None,
) -> SizeReport:
    """Return the largest position in a symbol, or scale of an account, at a tolerance.

    Parameters
    ----------
    book : Book
    settings : SizeSettings
    generator : ScenarioGenerator or None
        Own generator; then ``scenarios`` and ``history`` must be left out.
    progress : callable or None
        Called with what is being searched.

    Raises
    ------
    UsageError, InputError
        If the account, symbol, side or capital cannot be used, or something that a rule needs is missing.

    Notes
    -----
    Sizes are traded at the mark without fees, in one-way cross margin. The event is the liquidation of a measured pool:
    the one that holds the symbol, or all cross pools of the account.
    """
    _check(settings)
    task = SizeTask.of(book, settings)
    chosen = _generator(task, generator)
    searches = {
        side: SizeSearch(
            pools_at=task.pools_at(side),
            generator=chosen,
            settings=SearchSettings(n_paths=settings.paths, seed=settings.seed, threads=settings.threads),
        )
        for side in task.sides
    }
    curves = tuple(_curve(task, side, search, progress) for side, search in searches.items())
    return SizeReport(
        result=SizingResult(
            account_id=settings.account,
            symbol=settings.symbol,
            capital_usd=task.capital_usd,
            is_capital_stated=settings.capital_usd is not None,
            present_contracts=task.held,
            tolerance=task.tolerance,
            horizon_s=task.horizon_s,
            n_paths=settings.paths,
            curves=curves,
            notes=tuple(task.notes()),
            provenance=_provenance(task, chosen, max(search.table_error for search in searches.values())),
        )
    )


def _provenance(task: SizeTask, chosen: ScenarioGenerator, table_error: float) -> Provenance:
    settings = task.settings
    # With the symbol in it: its tiers and its funding stand behind the answer too.
    book = task.book_with(task.contracts(task.sides[0], 1.0) or task.held)
    pools = task.pools_of(book)
    stated = Tolerance(probability=task.tolerance, horizon_s=task.horizon_s)
    return build_provenance(
        book,
        pools,
        seed=settings.seed,
        settings={
            "tolerance": f"{task.tolerance:g}",
            "horizon": format_duration(task.horizon_s),
            "paths": str(settings.paths),
        },
        scenario={"method": chosen.info.method, "label": chosen.info.label, **chosen.info.params},
        warnings=[
            *funding_warnings(book, task.funding),
            *chosen.info.warnings,
            *sample_warnings(stated, settings.paths),
            *age_warnings(task.book, chosen),
            *_table_warnings(table_error),
        ],
        not_modelled=[*volatility_notes(pools), *chosen.info.not_modelled],
    )


def _check(settings: SizeSettings) -> None:
    if not 256 <= settings.paths <= MAX_PATHS:
        raise UsageError(f"was {settings.paths}", field="--paths", allowed=f"256 to {MAX_PATHS}")
    if settings.side not in (None, "long", "short"):
        raise UsageError(f"was '{settings.side}'", field="--side", allowed="long or short")
    if settings.side is not None and settings.symbol is None:
        raise UsageError(f"was '{settings.side}' with --scale", field="--side", allowed="a side with --symbol only")
    capital = settings.capital_usd
    if capital is not None and not (math.isfinite(capital) and capital > 0.0):
        raise UsageError(f"was {capital}", field="--capital", allowed="USD > 0")


def _table_warnings(error: float) -> list[str]:
    if error <= LARGEST_TABLE_ERROR:
        return []
    return [
        "margins along the paths are read from a table of the venue's rule, which missed the rule by up to "
        f"{error:.2%} of the maintenance in the states priced both ways"
    ]


def _curve(task: SizeTask, side: str, search: SizeSearch, progress: Callable[[str], None] | None) -> SizeCurve:
    tolerances = sorted({*(CURVE_TOLERANCES if task.settings.with_curve else ()), task.tolerance})
    horizons = sorted({*(CURVE_HORIZONS_S if task.settings.with_curve else ()), task.horizon_s})
    points: list[SizePoint] = []
    for horizon_s in horizons:
        if progress:
            progress(f"{side}, {format_duration(horizon_s)}")
        points += search.largest(tolerances, horizon_s)
    stated = next(p for p in points if (p.tolerance, p.horizon_s) == (task.tolerance, task.horizon_s))
    present = task.present(side)
    largest = task.contracts(side, stated.size)
    return SizeCurve(
        side=side,
        present=present,
        present_probability=search.probability(present, task.horizon_s),
        per_size=task.per_size(),
        points=tuple(points),
        stated=stated,
        contracts=largest,
        pools=() if stated.bound is Bound.NONE else pool_statuses(task.pools_with(side, largest)),
    )


def _generator(task: SizeTask, own: ScenarioGenerator | None) -> ScenarioGenerator:
    settings = task.settings
    if own is not None:
        if settings.scenarios is not None or settings.history is not None:
            raise UsageError("a generator with scenarios or history", field="generator", allowed="one of them")
        return own
    pools = task.pools_with(task.sides[0], task.contracts(task.sides[0], 1.0))
    factors = sorted({factor for pool in pools for factor in pool.factors})
    return build_generator(
        task.book, factors, method=settings.scenarios, history=settings.history, calibration=load_packaged()
    )
