"""Heat maps of a what-if as one PNG picture, drawn without a browser or a screen."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from margincover.errors import UsageError
from margincover.model.whatif import CellState, WhatIfResult
from margincover.report.headline import status_headline
from margincover.report.heatmap import GRID_NOTE, HeatDay, HeatMap, HeatPool, heat_pools

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By state, from the lightest shade to the deepest; the colours of the report page on paper.
_FILLS = {
    CellState.FINE: ("#eef6f0", "#dcece1", "#c5dfce", "#acd0b9", "#93c1a4"),
    CellState.CALLED: ("#f5d9a3",) * 5,
    CellState.LIQUIDATED: ("#f3c1bd", "#eeaaa5", "#e48f88", "#da746c", "#cf5c53"),
}
_INK, _MUTED, _LINE = "#16202b", "#52606f", "#b9c3cd"
_DPI = 130
_CELL_WIDTH, _ROW_HEIGHT = 0.5, 0.3  # inches
_LEFT, _ABOVE, _BETWEEN = 1.0, 0.6, 0.25
_TOP, _BOTTOM = 0.8, 0.6
# The rasteriser draws at most 2^16 pixels a side; half of it is still a picture that viewers open.
_MAX_HEIGHT = 32_000 / _DPI


def heatmap_png(result: WhatIfResult) -> bytes:
    """Return the heat maps of all pools and days, before and after side by side, as a PNG file.

    Colour, a sign (x liquidated, ! called) and the coverage ratio say the same in every cell. The same result gives
    the same bytes with the same version of the drawing library.

    Raises
    ------
    UsageError
        If the picture would be too high to open.
    """
    panels = [(pool, day) for pool in heat_pools(result) for day in pool.days]
    spots = len(result.grid_before.spot_fractions)
    heights = [_ABOVE + _BETWEEN + len(day.maps[0].rows) * _ROW_HEIGHT for _, day in panels]
    width = (2 if result.changed else 1) * (_LEFT + spots * _CELL_WIDTH) + 0.3
    height = _TOP + sum(heights) + _BOTTOM
    if height > _MAX_HEIGHT:
        raise UsageError(
            f"{len(panels)} rows of heat maps do not fit into one picture",
            field="--png",
            allowed="fewer --days or accounts",
        )
    figure = _empty_figure(width, height)
    headline, note = status_headline(result.after), f"x liquidated, ! called. {GRID_NOTE}"
    _words(figure.text, 0.2 / width, 1 - 0.3 / height, _fitted(headline, width), size=11, bold=True)
    _words(figure.text, 0.2 / width, 0.3 / height, _fitted(note, width * 1.25), size=8)
    top = height - _TOP
    for (pool, day), tall in zip(panels, heights, strict=True):
        for column, heat_map in _places(day, result.changed):
            left = column * (_LEFT + spots * _CELL_WIDTH) + _LEFT
            rows = len(heat_map.rows) * _ROW_HEIGHT
            box = (left / width, (top - _ABOVE - rows) / height, spots * _CELL_WIDTH / width, rows / height)
            _draw(figure.add_axes(box), pool, day, heat_map)
        top -= tall
    return _encoded(figure)


def _empty_figure(width: float, height: float) -> Figure:
    # Imported here: only a picture needs it. The object interface: no global state, no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _encoded(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A letter of an account's name that the font lacks is drawn as a box; that is no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _places(day: HeatDay, changed: bool) -> list[tuple[int, HeatMap]]:
    # A pool that is new or gone has one map; it keeps its side.
    return [(1 if changed and heat_map.when == "after" else 0, heat_map) for heat_map in day.maps]


def _draw(axes: Axes, pool: HeatPool, day: HeatDay, heat_map: HeatMap) -> None:
    n_rows, n_columns = len(heat_map.rows), len(heat_map.spot_labels)
    axes.set_xlim(0, n_columns)
    axes.set_ylim(n_rows, 0)
    for y, row in enumerate(heat_map.rows):
        for x, cell in enumerate(row):
            fill = _FILLS[cell.state][cell.depth]
            axes.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], facecolor=fill, edgecolor="white", linewidth=0.8)
            text = f"{cell.mark} {cell.coverage.replace(' ', '')}".strip()
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=_INK, parse_math=False)
    axes.set_xticks([x + 0.5 for x in range(n_columns)], heat_map.spot_labels, fontsize=7.5)
    labels = heat_map.volatility_labels if heat_map.volatility_labels[0] else ()
    axes.set_yticks([y + 0.5 for y in range(len(labels))], labels, fontsize=7.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, colors=_MUTED)
    for spine in axes.spines.values():
        spine.set_color(_LINE)
    if labels:
        axes.set_ylabel("volatility", fontsize=8, color=_MUTED)
    title = " · ".join(part for part in (pool.pool_id, day.label, heat_map.when) if part)
    axes.set_title(title, fontsize=9.5, loc="left", color=_INK, pad=8, parse_math=False)


def _words(draw: object, x: float, y: float, text: str, *, size: float, bold: bool = False) -> None:
    assert callable(draw), "Invariant: text is drawn by a function of the figure"
    draw(x, y, text, fontsize=size, color=_INK if bold else _MUTED, va="center", parse_math=False,
         fontweight="bold" if bold else "normal")  # fmt: skip


def _fitted(text: str, width: float) -> str:
    """Break a sentence into lines for a picture ``width`` inches wide."""
    import textwrap

    return "\n".join(textwrap.wrap(text, max(40, int(width * 11)))[:3])
