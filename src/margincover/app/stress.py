"""Stress: a book through named episodes and stated shocks, and the least extreme moves that liquidate it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from margincover.app.provenance import build_provenance, funding_warnings
from margincover.coverage.reverse import MAX_ACCOUNTS_IN_PAIRS, ReverseSettings, reverse_stress
from margincover.coverage.stress import evaluate_scenario, severity
from margincover.coverage.stress_states import PoolBooks
from margincover.errors import InputError, UsageError
from margincover.io import text as text_files
from margincover.model.book import Book
from margincover.model.pool import MarginPool
from margincover.model.provenance import Provenance
from margincover.model.scenario import History
from margincover.model.stress import StressResult, StressScenario
from margincover.model.whatif import CellState
from margincover.scenarios.calibration import Calibration, load_packaged
from margincover.scenarios.episodes import EpisodeLibrary, load_episodes
from margincover.scenarios.joint_moves import JointLaw, law_from_calibration, law_from_history
from margincover.scenarios.shocks import ALLOWED, BookNames, Shock, resolve_shock, shock_of
from margincover.units import format_duration
from margincover.venues.pools import build_pools

if TYPE_CHECKING:
    import polars as pl

_FILE_KEYS = frozenset({"name", "moves", "vol", "funding", "hold", "halt"})
_NOT_MODELLED = (
    "trading, top-ups and the liquidation itself: every pool is followed as if nobody acted and no venue closed it",
    "marks of linear positions when their quote asset leaves its peg: they stay as the coin moves in the episode",
    "margin rules of the time: those in force at as_of are applied to every episode",
    "liquidation fees and slippage, open-order margin other than Binance's initial margin",
    "the basis between venues and stable-coin moves, unless the scenario names them",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressSettings:
    """Settings of one stress run.

    Parameters
    ----------
    episodes : tuple of str or None
        Names of packaged episodes; None takes all, an empty tuple none.
    shocks : sequence of (Shock, source)
        ``source`` is the file it came from, None for the command line.
    reverse : bool
        Whether the least extreme liquidating moves are searched.
    horizon_s : int or None
        Horizon of reverse stress; None takes the book's.
    history : path, History or None
        Bars whose covariance replaces the packaged calibration's in reverse stress.
    seed : int
    """

    episodes: tuple[str, ...] | None = None
    shocks: Sequence[tuple[Shock, str | None]] = ()
    reverse: bool = True
    horizon_s: int | None = None
    history: Path | str | History | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StressReport:
    """A stress result; ``exit_code`` is that of the status in the worst scenario."""

    result: StressResult

    @property
    def exit_code(self) -> int:
        """0 when every pool stays open in every scenario, 1 when one is called, 2 when one is liquidated."""
        return int(max((each.state for each in self.result.scenarios), default=CellState.FINE))

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_stress import stress_to_dict

        return json.dumps(stress_to_dict(self.result), indent=indent, allow_nan=False)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per scenario and pool, worst scenario first, as a polars DataFrame."""
        import polars as pl

        from margincover.report.json_stress import stress_rows

        return pl.DataFrame(stress_rows(self.result), infer_schema_length=None)

    def to_html(self) -> str:
        """Return the result as one self-contained HTML page with charts."""
        from margincover.report.html_stress import stress_html

        return stress_html(self.result)


def stress(book: Book, settings: StressSettings | None = None) -> StressReport:
    """Return what named episodes and stated shocks do to a book, and the least extreme moves that liquidate it.

    Parameters
    ----------
    book : Book
    settings : StressSettings or None

    Raises
    ------
    UsageError
        If there is nothing to do: no episode, no shock, no reverse stress.
    InputError, RulebookError, StaleDataError
        If a scenario names a coin, asset or venue that the book does not have, or something that a venue's rule needs
        is missing or too old.
    """
    chosen = settings or StressSettings()
    if chosen.episodes == () and not chosen.shocks and not chosen.reverse:
        raise UsageError(
            "nothing was to be done", field="--episodes", allowed="an episode, a --shock or reverse stress"
        )
    calibration, library = load_packaged(), load_episodes()
    pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
    names = book_names(book, pools)
    scenarios = [
        *library.chosen(chosen.episodes),
        *(resolve_shock(shock, names, source=source) for shock, source in chosen.shocks),
    ]
    _require_unique(scenarios)
    books = PoolBooks(book=book, calibration=calibration)
    results = [evaluate_scenario(scenario, pools, book.proxies, books) for scenario in scenarios]
    horizon_s = book.tolerance.horizon_s if chosen.horizon_s is None else chosen.horizon_s
    law = _law(book, pools, chosen, calibration, library) if chosen.reverse else None
    reverse = (
        ()
        if law is None
        else reverse_stress(pools, ReverseSettings(law=law, episodes=library.episodes, seed=chosen.seed))
    )
    return StressReport(
        result=StressResult(
            scenarios=tuple(sorted(results, key=severity)),
            reverse=reverse,
            reverse_horizon_s=horizon_s,
            reverse_notes=() if law is None else _reverse_notes(law, pools),
            provenance=_provenance(book, pools, chosen, law, calibration),
        )
    )


def _provenance(
    book: Book, pools: Sequence[MarginPool], chosen: StressSettings, law: JointLaw | None, calibration: Calibration
) -> Provenance:
    made = build_provenance(
        book,
        pools,
        seed=chosen.seed,
        settings={} if law is None else {"reverse horizon": format_duration(law.horizon_s)},
        scenario={"label": "named episodes and stated shocks"}
        | ({} if law is None else {"reverse stress": law.source}),
        warnings=funding_warnings(book, calibration.pessimistic_funding_per_hour),
    )
    # What a run along random paths leaves out is not what a scenario leaves out: depegs and halts are in it.
    return replace(made, not_modelled=_NOT_MODELLED)


def book_names(book: Book, pools: Sequence[MarginPool]) -> BookNames:
    """Return the coins, assets and venues that a shock on this book may name."""
    factors: dict[str, set[str]] = {}
    assets: dict[str, set[str]] = {}
    for pool in pools:
        factors.setdefault(pool.venue, set()).update(pool.factors)
        assets.setdefault(pool.venue, set()).update(
            name for name in pool.assets.assets if name in book.market.asset_usd
        )
    return BookNames(
        factors={venue: frozenset(found) for venue, found in factors.items()},
        assets={venue: frozenset(found) for venue, found in assets.items()},
        asset_usd=book.market.asset_usd,
    )


def _require_unique(scenarios: Sequence[StressScenario]) -> None:
    seen: set[str] = set()
    for scenario in scenarios:
        if scenario.name in seen:
            raise InputError(f"'{scenario.name}' stood twice", field="scenario.name", allowed="each name once")
        seen.add(scenario.name)


def _law(
    book: Book, pools: Sequence[MarginPool], chosen: StressSettings, calibration: Calibration, library: EpisodeLibrary
) -> JointLaw | None:
    factors = sorted({factor for pool in pools if not pool.is_flat for factor in pool.factors})
    if not factors:
        return None
    horizon_s = book.tolerance.horizon_s if chosen.horizon_s is None else chosen.horizon_s
    volatility = library.volatility_law if any(pool.options.count for pool in pools) else None
    if chosen.history is None:
        return law_from_calibration(
            calibration, factors, proxies=book.proxies, horizon_s=horizon_s, volatility=volatility
        )
    history = chosen.history
    if not isinstance(history, History):
        from margincover.io.history import load_history

        history = load_history(history, factors=factors, as_of=book.as_of, max_age_s=book.max_history_age_s)
    return law_from_history(history, factors, horizon_s=horizon_s, nu=calibration.nu_joint, volatility=volatility)


def _reverse_notes(law: JointLaw, pools: Sequence[MarginPool]) -> tuple[str, ...]:
    accounts = {pool.account_id for pool in pools if not pool.is_flat}
    notes = [
        f"distances: standard deviations of log moves over {format_duration(law.horizon_s)}, {law.source}",
        f"Student-t figures: {law.nu:.2f} degrees of freedom, of single hours: a longer horizon has thinner tails",
        *law.notes,
    ]
    if len(accounts) > MAX_ACCOUNTS_IN_PAIRS:
        notes.append(f"pairs are left out beyond {MAX_ACCOUNTS_IN_PAIRS} accounts")
    return tuple(notes)


def load_shocks(path: Path) -> list[tuple[Shock, str | None]]:
    """Return the shocks of a TOML file, each with the name of the file.

    Tables ``[[scenario]]`` hold ``name``, ``moves``, ``vol``, ``funding``, ``hold`` and ``halt``.

    Raises
    ------
    InputError
        Naming the file and the scenario.
    """
    source = str(path)
    data = text_files.parse_toml(text_files.read_text(path), source)
    entries = data.get("scenario")
    if set(data) != {"scenario"} or not isinstance(entries, list) or not entries:
        raise InputError(
            f"held {', '.join(data) or 'nothing'}", source=source, allowed="tables [[scenario]] and nothing else"
        )
    return [(_file_shock(entry, number, source), source) for number, entry in enumerate(entries, start=1)]


def _file_shock(entry: object, number: int, source: str) -> Shock:
    where = f"scenario {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"].strip():
        raise InputError("had no name", source=source, field=where, allowed='name = "..."')
    unknown = sorted(set(entry) - _FILE_KEYS)
    if unknown:
        raise InputError(
            f"held {', '.join(unknown)}", source=source, field=where, allowed=", ".join(sorted(_FILE_KEYS))
        )
    pairs: list[tuple[str, str]] = []
    moves = entry.get("moves", {})
    if not isinstance(moves, Mapping):
        raise InputError("moves was no table", source=source, field=where, allowed=ALLOWED)
    for key, value in moves.items():
        name, at, venue = str(key).partition("@")
        # A name with a reserved word would be read as that word.
        if name in _FILE_KEYS:
            raise InputError(f"moves held '{name}'", source=source, field=where, allowed="coins and assets")
        pairs.append((name, f"{_value(value, where, source)}{at}{venue}"))
    for key in ("vol", "funding", "hold"):
        if key in entry:
            pairs.append((key, _value(entry[key], where, source)))
    halts = entry.get("halt", [])
    pairs += [("halt", _value(each, where, source)) for each in (halts if isinstance(halts, list) else [halts])]
    return shock_of(pairs, name=entry["name"], field=where, source=source)


def _value(value: object, where: str, source: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"was {value!r}", source=source, field=where, allowed='a text such as "-30%", or a USD price')
    return value if isinstance(value, str) else repr(value)
