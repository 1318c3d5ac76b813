"""Choose and build the scenario generator of a run; ``METHODS`` is the list that ``--scenarios`` accepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from margincover.errors import UsageError
from margincover.io.history import load_history
from margincover.model.book import Book
from margincover.model.scenario import History, ScenarioGenerator
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.stand_in import StandIn


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorTask:
    """What a builder is given.

    ``factors`` are those to make: with a history the coins that it must hold, stand-ins already left out (they are
    wrapped around what the builder returns); without one all factors of the book. ``history`` is None for a method
    that needs none; ``settings`` are the numbers after the colon of ``--scenarios NAME:key=value``.
    """

    factors: tuple[str, ...]
    book: Book
    calibration: Calibration
    history: History | None
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def bars(self) -> History:
        """The history of a method that needs one."""
        assert self.history is not None, "Invariant: a method that needs a history is given one"
        return self.history


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to make scenarios: builder, whether it reads a history, and the names of its settings."""

    build: Callable[[GeneratorTask], ScenarioGenerator]
    needs_history: bool = True
    settings: tuple[str, ...] = ()


def _montecarlo(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.montecarlo import StudentTMonteCarlo

    stated = {f: v for f, v in task.book.market.volatility_annual.items() if f in task.factors}
    return StudentTMonteCarlo(
        calibration=task.calibration,
        factors=task.factors,
        volatility_annual=stated,
        proxies=dict(task.book.proxies),
    )


def _jumps(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.numeric.draws import Draws
    from margincover.scenarios.jump_figures import JumpSizes, packaged_jumps

    return packaged_jumps(
        task.factors,
        calibration=task.calibration,
        sizes=JumpSizes.MERTON if task.settings.get("merton", 0.0) else JumpSizes.KOU,
        draws=Draws.SOBOL if task.settings.get("sobol", 0.0) else Draws.INDEPENDENT,
        volatility_annual={f: v for f, v in task.book.market.volatility_annual.items() if f in task.factors},
        proxies=dict(task.book.proxies),
    )


def _filtered(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.filtered import TAIL_SHARE, FilteredHistorical

    return FilteredHistorical.fit(task.bars, task.factors, tail_share=task.settings.get("tail", TAIL_SHARE))


def _bootstrap(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.historical import BlockBootstrap

    return BlockBootstrap(history=task.bars, factors=task.factors)


def _t_copula(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.t_copula import TCopula

    return TCopula.fit(task.bars, task.factors)


def _dcc(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.dcc import DynamicCorrelation

    return DynamicCorrelation.fit(task.bars, task.factors)


def _age_weighted(task: GeneratorTask) -> ScenarioGenerator:
    from margincover.scenarios.age_weighted import DECAY_PER_DAY, AgeWeightedBootstrap

    decay = task.settings.get("decay", DECAY_PER_DAY)
    return AgeWeightedBootstrap(history=task.bars, factors=task.factors, decay_per_day=decay)


# One line a generator; read by the command line, never written to.
_REGISTRY: Mapping[str, Method] = {
    "montecarlo": Method(build=_montecarlo, needs_history=False),
    "jumps": Method(build=_jumps, needs_history=False, settings=("merton", "sobol")),
    "fhs": Method(build=_filtered, settings=("tail",)),
    "bootstrap": Method(build=_bootstrap),
    "age-weighted": Method(build=_age_weighted, settings=("decay",)),
    "t-copula": Method(build=_t_copula),
    "dcc": Method(build=_dcc),
}
METHODS = tuple(_REGISTRY)


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
        One of ``METHODS``, with settings as ``NAME:key=value,key=value``; None takes ``fhs`` when a history is given,
        else ``montecarlo``.
    history : path, History or None
        Folder of bars, or bars already loaded.
    calibration : Calibration

    Raises
    ------
    UsageError
        If the method or a setting is unknown, needs a history that is not given, or cannot use one that is.
    InputError
        If a factor is missing and has no stand-in.
    """
    chosen, settings = _parsed(method or ("fhs" if history is not None else "montecarlo"))
    how = _REGISTRY[chosen]
    if not how.needs_history:
        if history is not None:
            with_history = ", ".join(name for name, each in _REGISTRY.items() if each.needs_history)
            raise UsageError(
                f"{chosen} with --history", field="--scenarios", allowed=f"with a history one of {with_history}"
            )
        return how.build(
            GeneratorTask(factors=tuple(factors), book=book, calibration=calibration, history=None, settings=settings)
        )
    if history is None:
        raise UsageError(f"{chosen} without a history", field="--history", allowed="a folder of Parquet or CSV bars")
    needed = tuple(dict.fromkeys(book.proxies[f].factor if f in book.proxies else f for f in factors))
    bars = history if isinstance(history, History) else _load(book, history, needed)
    base = how.build(GeneratorTask(factors=needed, book=book, calibration=calibration, history=bars, settings=settings))
    if tuple(factors) == needed:
        return base
    return StandIn(base=base, factors=tuple(factors), proxies=dict(book.proxies))


def _parsed(text: str) -> tuple[str, dict[str, float]]:
    """Name and settings of ``NAME:key=value,key=value``."""
    name, _, rest = text.partition(":")
    if name not in _REGISTRY:
        raise UsageError(f"was '{name}'", field="--scenarios", allowed=", ".join(METHODS))
    known = _REGISTRY[name].settings
    settings: dict[str, float] = {}
    for pair in rest.split(",") if rest else ():
        key, _, value = pair.partition("=")
        if key not in known or key in settings:
            allowed = f"{name}:{known[0]}=NUMBER (settings: {', '.join(known)})" if known else f"{name} has no setting"
            raise UsageError(f"was '{text}'", field="--scenarios", allowed=allowed)
        try:
            settings[key] = float(value)
        except ValueError:
            raise UsageError(f"{key} was '{value}'", field="--scenarios", allowed="a number") from None
    return name, settings


def _load(book: Book, folder: Path | str, factors: Sequence[str]) -> History:
    return load_history(folder, factors=factors, as_of=book.as_of, max_age_s=book.max_history_age_s)
