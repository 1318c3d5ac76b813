"""The figures of one pool as plain Plotly dictionaries, each with a caption that says the same in words."""

from __future__ import annotations

import numpy as np

from margincover.model.results import CoverageResult, PoolCoverage
from margincover.numeric.arrays import Vector
from margincover.report import format as fmt
from margincover.report.chart_maximum import maximum_figure
from margincover.report.chart_probability import probability_figure
from margincover.report.figure import Figure, PlotlyDict, checked, layout_of, numbers, pool_index
from margincover.report.format import Rounding
from margincover.report.parts import at_horizon, ordered_contributions
from margincover.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

FAN_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MAX_FAN_POINTS = 200
_MAX_FACTORS = 8


def fan_figure(result: CoverageResult, pool: PoolCoverage, *, figure_id: str) -> Figure | None:
    """Return quantile bands of equity and maintenance over the horizon, None where no path was kept for pictures.

    Notes
    -----
    Bands hold 50, 90 and 98 % of the paths kept whole (a part of the run), at no more than about 200 points in time.
    """
    paths, index = result.paths, pool_index(result.paths, pool)
    if index is None or paths.fan_equity.shape[-1] == 0:
        return None
    last = min(paths.n_horizon_steps, paths.fan_equity.shape[0] - 1)
    steps = np.unique(np.linspace(0, last, min(last + 1, _MAX_FAN_POINTS)).round().astype(int))
    seconds = steps * paths.step_s
    unit_s, unit_name = (
        (SECONDS_PER_DAY, "days") if last * paths.step_s > 3 * SECONDS_PER_DAY else (SECONDS_PER_HOUR, "hours")
    )
    times = numbers(seconds / unit_s)
    name, n_kept = pool.status.pool_id, paths.fan_equity.shape[-1]
    data: list[PlotlyDict] = []
    medians = {}
    for word, source, colour in (
        ("equity", paths.fan_equity, "--equity"),
        ("maintenance", paths.fan_maintenance, "--maintenance"),
    ):
        values = checked(source[steps, index, :], field=f"fan_{word}", account=name)
        bands = np.quantile(values, FAN_LEVELS, axis=1)
        medians[word] = bands
        data += _fan_traces(times, bands, word=word, colour=colour)
    low, need = float(medians["equity"][0, -1]), float(medians["maintenance"][-1, -1])
    unit = pool.status.unit
    caption = (
        f"Equity and maintenance margin over {fmt.duration_words(last * paths.step_s)}: median and bands that hold "
        f"50, 90 and 98 % of the first {n_kept:,} paths. At the end the lowest 1 % of paths hold less than "
        f"{fmt.native(low, unit, rounding=Rounding.DOWN)} of equity; the highest 1 % of requirements exceed "
        f"{fmt.native(need, unit, rounding=Rounding.UP)}. Where equity falls to maintenance the venue liquidates."
    )
    layout = layout_of(x_title=f"{unit_name} from now", y_title=unit)
    return Figure(id=figure_id, title="Equity and maintenance", caption=caption, data=data, layout=layout)


def _fan_traces(times: list[float], bands: Vector, *, word: str, colour: str) -> list[PlotlyDict]:
    traces: list[PlotlyDict] = []
    for low, high, share in ((0, 6, "98"), (1, 5, "90"), (2, 4, "50")):
        common: PlotlyDict = {"type": "scatter", "mode": "lines", "x": times, "line": {"width": 0}}
        common |= {"legendgroup": word, "showlegend": False, "hoverinfo": "skip"}
        traces.append({**common, "y": numbers(bands[low])})
        traces.append({**common, "y": numbers(bands[high]), "fill": "tonexty", "fillcolor": f"{colour}-{share}"})
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{word}, median",
            "legendgroup": word,
            "x": times,
            "y": numbers(bands[3]),
            "line": {"color": colour, "width": 2, "dash": "solid" if word == "equity" else "dash"},
        }
    )
    return traces


def contribution_figure(pool: PoolCoverage, *, figure_id: str) -> Figure | None:
    """Return the parts of RCES as a waterfall that ends at RCES; None where the pool has no contributions."""
    parts = _grouped(ordered_contributions(pool))
    if not parts:
        return None
    unit, total = pool.status.unit, pool.rces.value
    labels = ["now" if name == "start" else name for name, _ in parts]
    values = [value for _, value in parts]
    trace: PlotlyDict = {
        "type": "waterfall",
        "x": [*labels, "RCES"],
        "y": numbers([*values, total]),
        "measure": ["relative"] * len(values) + ["total"],
        "text": [fmt.number(value, rounding=Rounding.UP, digits=3) for value in (*values, total)],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "x+text",
        "increasing": {"marker": {"color": "--breach"}},
        "decreasing": {"marker": {"color": "--covered"}},
        "totals": {"marker": {"color": "--equity"}},
        "connector": {"line": {"color": "--line", "width": 1}},
    }
    spoken = ", ".join(
        f"{label} {fmt.native(value, unit, rounding=Rounding.UP)}" for label, value in zip(labels, values, strict=True)
    )
    caption = (
        f"From the shortfall now (maintenance - equity) to its mean over the worst paths: {spoken}; together RCES "
        f"{fmt.native(total, unit, rounding=Rounding.UP)}. Above zero, capital must be added."
    )
    layout = layout_of(x_title="", y_title=unit, showlegend=False, hovermode="closest", yaxis={"zerolinewidth": 2})
    return Figure(id=figure_id, title="What makes the requirement", caption=caption, data=[trace], layout=layout)


def _grouped(parts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Put the smallest factors together where there are too many for one chart."""
    ends = {"start", "funding", "remainder"}
    factors = [part for part in parts if part[0] not in ends]
    if len(factors) <= _MAX_FACTORS:
        return parts
    rest = factors[_MAX_FACTORS - 1 :]
    small = {name for name, _ in rest}
    last_kept = factors[_MAX_FACTORS - 2][0]
    grouped = []
    for name, value in parts:
        if name not in small:
            grouped.append((name, value))
        if name == last_kept:
            grouped.append((f"{len(rest)} other factors", sum(amount for _, amount in rest)))
    return grouped


def pool_figures(result: CoverageResult, pool: PoolCoverage, *, prefix: str) -> list[Figure]:
    """Return the figures of one pool; none for a pool without a requirement that no path changes."""
    if pool.status.coverage_ratio is None and _is_constant(result, pool):
        return []
    figures = (
        fan_figure(result, pool, figure_id=f"{prefix}-fan"),
        maximum_figure(result, pool, figure_id=f"{prefix}-maximum"),
        probability_figure(
            pool.probabilities,
            figure_id=f"{prefix}-probability",
            tolerance=result.tolerance,
            name=pool.status.pool_id,
        ),
        contribution_figure(pool, figure_id=f"{prefix}-contribution"),
    )
    return [figure for figure in figures if figure is not None]


def _is_constant(result: CoverageResult, pool: PoolCoverage) -> bool:
    index = pool_index(result.paths, pool)
    if index is None or result.paths.maximum.shape[1] == 0:
        return at_horizon(pool.probabilities, result.horizon_s) is None
    return bool(np.ptp(result.paths.maximum[index]) == 0)
