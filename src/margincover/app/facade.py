"""Reports of the Python API: a result with its forms (frame, JSON, HTML) and its verdict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from margincover.model.results import CoverageResult, StatusResult
from margincover.model.whatif import ModeComparison, WhatIfResult

if TYPE_CHECKING:
    import polars as pl

COVERED, WARNING, BREACH, UNKNOWN = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """A status result; ``exit_code`` is 0 open, 1 called, 2 liquidatable."""

    result: StatusResult

    @property
    def exit_code(self) -> int:
        """0 when every pool is open or flat, 1 when one is called, 2 when one is liquidatable."""
        states = {pool.state for pool in self.result.pools}
        return BREACH if "liquidatable" in states else WARNING if "called" in states else COVERED

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json import status_to_dict

        return json.dumps(status_to_dict(self.result), indent=indent, allow_nan=False)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per pool, worst first, as a polars DataFrame."""
        return _frame(self.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageReport:
    """A coverage result; ``exit_code`` is 0 covered, 1 warning, 2 breach."""

    result: CoverageResult

    @property
    def exit_code(self) -> int:
        """0 when every pool is covered, 1 when one warns, 2 when one is in breach."""
        verdicts = {pool.verdict for pool in self.result.pools}
        return BREACH if "breach" in verdicts else WARNING if "warning" in verdicts else COVERED

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json import coverage_to_dict

        return json.dumps(coverage_to_dict(self.result), indent=indent, allow_nan=False)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per pool, worst first, as a polars DataFrame."""
        return _frame(self.result)

    def to_html(self) -> str:
        """Return the report as one self-contained HTML page."""
        from margincover.report.html import coverage_html

        return coverage_html(self.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfReport:
    """A what-if result; ``exit_code`` is that of the status after the changes."""

    result: WhatIfResult

    @property
    def exit_code(self) -> int:
        """0 when every pool is open or flat after the changes, 1 when one is called, 2 when one is liquidatable."""
        return StatusReport(result=self.result.after).exit_code

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_whatif import whatif_to_dict

        return json.dumps(whatif_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the what-if as one self-contained HTML page with heat maps."""
        from margincover.report.html_whatif import whatif_html

        return whatif_html(self.result)

    def to_png(self) -> bytes:
        """Return the heat maps as a PNG picture."""
        from margincover.report.heatmap_png import heatmap_png

        return heatmap_png(self.result)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesReport:
    """A comparison of account modes; ``exit_code`` is 0, or 3 when no mode could be computed."""

    result: ModeComparison

    @property
    def exit_code(self) -> int:
        """0 when at least one mode could be computed, 3 (data unknown) when none could."""
        return COVERED if any(row.pools for row in self.result.rows) else UNKNOWN

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return the result as JSON text."""
        from margincover.report.json_whatif import modes_to_dict

        return json.dumps(modes_to_dict(self.result), indent=indent, allow_nan=False)

    def to_html(self) -> str:
        """Return the comparison as one self-contained HTML page."""
        from margincover.report.html_whatif import modes_html

        return modes_html(self.result)


def _frame(result: StatusResult | CoverageResult) -> pl.DataFrame:
    import polars as pl

    from margincover.report.json import rows

    return pl.DataFrame(rows(result), infer_schema_length=None)
