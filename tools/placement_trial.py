"""Try ways of placing capital at five venues on real history, walk-forward, and print the tables of the docs page.

Usage::

    python tools/placement_trial.py PRICES --out FILE.json [--workers 2] [--from 2021-01-01] [--until 2026-01-01]

``PRICES`` is a folder of hourly bars, one file a coin, or a folder of such folders. See
``docs/reference/placement-trial.md`` for what is tried and what came out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from placement_desks import KINDS, random_desk
from placement_frozen import frozen_cases, frozen_table
from placement_methods import ALONE, BY_KIND, METHODS, sized
from placement_model import Grid, JointModel
from placement_scores import Row, Series, score

from margincover.errors import InputError
from margincover.io.market_files import load_market
from margincover.numeric.rng import stream

# coins with bars before 2021; younger ones would cut the years from which joint bars are drawn
COINS = ("ADA", "AVAX", "BTC", "DOGE", "DOT", "ETH", "LINK", "SOL", "TRX", "XRP")
DAY_NS = 86_400 * 1_000_000_000
REFIT_DAYS = 28
HORIZONS = (24, 120)
# plans of 24 hours on every fourth day (all days of the week), plans of 120 hours one after the other
EVERY_DAYS = (4, 5)
# the rule without delay and the reserve alone are for information: every fourth plan
ALL_METHODS_EVERY = 4
# a fifth of 1 % of the paths must be a path
MIN_PATHS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The plans of 28 days, all made with one fit."""

    grid: Grid
    days: tuple[int, ...]
    n_paths: tuple[int, int]
    seed: int
    every_days: tuple[int, int] = EVERY_DAYS


def run_task(task: Task) -> dict[int, list[Row]]:
    """Return the rows of one fit by horizon."""
    bars = [task.grid.bar_at(day * DAY_NS) for day in task.days]
    model = JointModel.fit(task.grid, bars[0])
    found: dict[int, list[Row]] = {hours: [] for hours in HORIZONS}
    for day, bar in zip(task.days, bars, strict=True):
        for hours, n_paths, every_days in zip(HORIZONS, task.n_paths, task.every_days, strict=True):
            if bar + hours > task.grid.prices.shape[2] or day % every_days:
                continue
            drawn = model.draw(bar, n_steps=hours, n_paths=n_paths, seed=task.seed)
            came = model.came(bar, n_steps=hours)
            for number, kind in enumerate(KINDS):
                rng = stream(task.seed, f"placement.desk.{hours}", day * len(KINDS) + number)
                desk = random_desk(rng, kind, model.rows.size)
                every = day // every_days % ALL_METHODS_EVERY == 0
                found[hours].append(Row(day=day, kind=kind, sized=sized(desk, drawn, came, all_methods=every)))
    return found


def tables(rows: Sequence[Row], hours: int, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return scores by method, then by kind of desk and for all."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for method in METHODS:
        if not any(method in row.sized for row in rows):
            continue
        parts = {
            kind: Series.of([row for row in rows if row.kind == kind], method, ALONE, horizon_days=hours // 24)
            for kind in KINDS
        }
        found[method] = {kind: score([part], seed=seed) for kind, part in parts.items()}
        found[method]["all"] = score(list(parts.values()), seed=seed)
    return found


def markdown(scores: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the tables of the docs page: all desks by method, then the rules by kind of desk."""
    lines = [
        "| method | stated | realised at the stated | corrected | realised (95 %) | at the exact rate |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {method} | {_cells(by_kind['all'])} |" for method, by_kind in scores.items()]
    lines += ["", "| method | desks | " + lines[0].split("| ", 2)[2], "|---" + lines[1]]
    for method in (name for name in BY_KIND if name in scores):
        lines += [f"| {method} | {kind} | {_cells(scores[method][kind])} |" for kind in KINDS]
    return "\n".join(lines)


def _cells(of: dict[str, float]) -> str:
    interval = f"{100 * of['rate_low']:.2f}-{100 * of['rate_high']:.2f}"
    return (
        f"{of['planned']:.3f} | {100 * of['planned_rate']:.2f} % | {of['used']:.3f} | "
        f"{100 * of['rate']:.2f} % ({interval}) | {of['exact']:.3f}"
    )


def unsteady(rows: Sequence[Row]) -> tuple[int, int]:
    """Return in how many of the cases more capital did not simply help, and how many there are."""
    flags = [each.is_steady for row in rows for each in row.sized.values()]
    return len(flags) - sum(flags), len(flags)


def tasks_of(grid: Grid, asked: argparse.Namespace) -> list[Task]:
    """Return one task for each 28 days."""
    instants = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (asked.first, asked.until))
    first, until = (int(instant.timestamp()) // 86_400 for instant in instants)
    return [
        Task(
            grid=grid,
            days=tuple(range(start, min(start + REFIT_DAYS, until))),
            n_paths=tuple(asked.paths),
            seed=asked.seed,
            every_days=tuple(asked.every),
        )
        for start in range(first, until, REFIT_DAYS)
    ]


def main() -> None:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prices", type=Path, help="folder of hourly bars")
    parser.add_argument("--out", type=Path, required=True, help="file for the scores, JSON")
    parser.add_argument("--from", dest="first", default="2021-01-01", help="first day, UTC")
    parser.add_argument("--until", default="2026-01-01", help="day after the last, UTC")
    parser.add_argument("--paths", type=int, nargs=2, default=(3_000, 2_000), help="paths for 24 and for 120 hours")
    parser.add_argument(
        "--every", type=int, nargs=2, default=EVERY_DAYS, help="days between plans of 24 and of 120 hours"
    )
    parser.add_argument("--rows", type=Path, help="file for the figures of every desk, JSON")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frozen-day", default="2025-10-10", help="day replayed with each venue frozen in turn")
    asked = parser.parse_args()
    if asked.workers < 1 or min(asked.paths) < MIN_PATHS or min(asked.every) < 1 or asked.first >= asked.until:
        parser.error(f"allowed: a worker or more, {MIN_PATHS} paths or more, --every 1 or more, --from before --until")
    try:
        _run(asked)
    except InputError as error:
        parser.error(str(error))


def _run(asked: argparse.Namespace) -> None:
    grid = Grid.of(load_market(asked.prices, coins=COINS).histories)
    tasks = tasks_of(grid, asked)
    rows: dict[int, list[Row]] = {hours: [] for hours in HORIZONS}
    with multiprocessing.get_context("spawn").Pool(asked.workers) as pool:
        for done, found in enumerate(pool.imap(run_task, tasks), start=1):
            for hours in HORIZONS:
                rows[hours] += found[hours]
            print(f"{done} of {len(tasks)} fits", flush=True)
    if asked.rows is not None:
        asked.rows.write_text(json.dumps({h: [asdict(row) for row in of] for h, of in rows.items()}), encoding="utf-8")
    result: dict[str, object] = {"coins": grid.coins, "from": asked.first, "until": asked.until, "seed": asked.seed}
    for hours in HORIZONS:
        if rows[hours]:
            scores = tables(rows[hours], hours, asked.seed)
            result[f"{hours} h"] = scores
            wrong, total = unsteady(rows[hours])
            windows = len({row.day for row in rows[hours]})
            print(f"\n{hours} h: {windows} plans, {len(rows[hours])} desks; unsteady {wrong} of {total}\n")
            print(markdown(scores))
    day = int(np.datetime64(asked.frozen_day, "D").astype(np.int64))
    cases = frozen_cases(grid, grid.bar_at(day * DAY_NS), n_paths=asked.paths[0], seed=asked.seed)
    result["frozen"] = cases
    print(f"\nEach venue frozen in turn, {asked.frozen_day}\n\n{frozen_table(cases)}")
    asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
