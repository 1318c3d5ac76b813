"""Rescue: the cheapest actions, in order and by deadline, that keep every account alive; nothing is traded or sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from margincover.app.rescue_answer import RescueAnswer
from margincover.app.rescue_run import RescueRun, RescueSettings
from margincover.model.book import Book
from margincover.model.rescue import RescueResult
from margincover.model.scenario import ScenarioGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueReport:
    """An emergency plan; ``exit_code`` is 0 nothing to do, 1 a plan keeps the tolerance, 2 no plan does."""

    result: RescueResult

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        if not self.result.meets:
            return 2
        return 1 if self.result.actions else 0

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_rescue import rescue_to_dict

        return json.dumps(rescue_to_dict(self.result), indent=indent, allow_nan=False)


def rescue(
    book: Book,
    settings: RescueSettings | None = None,
    *,
    generator: ScenarioGenerator | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RescueReport:
    """Return the cheapest plan that keeps every account within the tolerance, with deadlines and costs.

    Parameters
    ----------
    book : Book
    settings : RescueSettings or None
    generator : ScenarioGenerator or None
        Own generator; then ``scenarios`` and ``history`` must be left out.
    progress : callable or None
        Called with (parts done, parts in all).

    Raises
    ------
    InputError, RulebookError, StaleDataError, UsageError
        Naming file, account or resource, and field.
    NotSupportedError
        After a stress, for accounts with options.

    Notes
    -----
    Money counts from the end of the first step by which its 99 % delay has run, on every path. Trades are taken to be
    done at ``as_of``, at the mark less taker fee and stressed price impact. The tolerance is met where the upper end of
    the 95 % interval of the probability is within it.
    """
    run = RescueRun.of(book, settings or RescueSettings(), generator)
    return RescueReport(result=RescueAnswer.of(run, progress).result())


__all__ = ["RescueReport", "RescueSettings", "rescue"]
