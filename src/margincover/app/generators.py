"""Choose and build the scenario generator of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from margincover.errors import UsageError
from margincover.io.history import load_history
from margincover.model.book import Book
from margincover.model.scenario import History, ScenarioGenerator
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.stand_in import StandIn

METHODS = ("montecarlo", "fhs", "bootstrap")


def build_generator(
    book: Book,
    factors: Sequence[str],
    *,
    method: str | None,
    history: Path | str | History | None,
    calibration: Calibration,
) -> ScenarioGenerator:
    """Return the generator for the factors of a book.

    Parameters
    ----------
    book : Book
    factors : sequence of str
    method : str or None
        ``montecarlo``, ``fhs`` or ``bootstrap``; None takes ``fhs`` when a history is given, else ``montecarlo``.
    history : path, History or None
        Folder of bars, or bars already loaded.
    calibration : Calibration

    Raises
    ------
    UsageError
        If the method is unknown, needs a history that is not given, or cannot use one that is.
    InputError
        If a factor is missing and has no stand-in.
    """
    chosen = method or ("fhs" if history is not None else "montecarlo")
    if chosen not in METHODS:
        raise UsageError(f"was '{chosen}'", field="--scenarios", allowed=", ".join(METHODS))
    if chosen == "montecarlo":
        if history is not None:
            raise UsageError(
                "montecarlo with --history", field="--scenarios", allowed="fhs or bootstrap with a history"
            )
        from margincover.scenarios.montecarlo import StudentTMonteCarlo

        stated = {f: v for f, v in book.market.volatility_annual.items() if f in factors}
        return StudentTMonteCarlo(
            calibration=calibration, factors=tuple(factors), volatility_annual=stated, proxies=dict(book.proxies)
        )
    if history is None:
        raise UsageError(f"{chosen} without a history", field="--history", allowed="a folder of Parquet or CSV bars")
    needed = list(dict.fromkeys(book.proxies[f].factor if f in book.proxies else f for f in factors))
    bars = history if isinstance(history, History) else _load(book, history, needed)
    base = _from_history(chosen, bars, needed)
    return base if list(factors) == needed else StandIn(base=base, factors=tuple(factors), proxies=dict(book.proxies))


def _load(book: Book, folder: Path | str, factors: Sequence[str]) -> History:
    return load_history(folder, factors=factors, as_of=book.as_of, max_age_s=book.max_history_age_s)


def _from_history(method: str, bars: History, factors: Sequence[str]) -> ScenarioGenerator:
    if method == "bootstrap":
        from margincover.scenarios.historical import BlockBootstrap

        return BlockBootstrap(history=bars, factors=tuple(factors))
    from margincover.scenarios.filtered import FilteredHistorical

    return FilteredHistorical.fit(bars, tuple(factors))
