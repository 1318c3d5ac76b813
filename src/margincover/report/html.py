"""The coverage report as one self-contained HTML file: no network, no other file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from margincover.model.results import CoverageResult
from margincover.report.page import coverage_page

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = "report/templates"


def coverage_html(result: CoverageResult) -> str:
    """Return a complete HTML page with tables, charts, styles and scripts inside.

    Parameters
    ----------
    result : CoverageResult

    Returns
    -------
    str
        One HTML document. It loads nothing: its content security policy forbids every request. Light, dark and
        print styles are included; every chart has a caption that states the figure in words.

    Raises
    ------
    InputError
        If a figure is NaN or infinite, or a probability is not one.
    """
    # Imported here: a terminal run needs no template engine.
    from markupsafe import Markup

    page = coverage_page(result)
    environment = page_environment()
    figures = {figure.id: {"data": figure.data, "layout": figure.layout} for figure in page.figures}
    return environment.get_template("report.html.j2").render(
        page=page,
        css=source_of(environment, "report.css"),
        script=source_of(environment, "report.js"),
        # Marked safe: the text is our own encoding, in which no "<" is left.
        figures=Markup(script_json(figures)),
        plotly_js=Markup(plotly_js() if figures else ""),
    )


def page_environment() -> Environment:
    """Return the environment of the packaged templates: escapes all text, and fails on a name that is not given."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("margincover", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment


def source_of(environment: Environment, name: str) -> Markup:
    """Return a packaged style sheet or script as it is: our own text, safe inside its element."""
    from markupsafe import Markup

    loader = environment.loader
    assert loader is not None, "Invariant: the environment was made with a loader"
    return Markup(loader.get_source(environment, name)[0])


def unbroken(text: str) -> str:
    """Return the text with a space that does not break before every per cent sign."""
    return text.replace(" %", "\u00a0%")


def script_json(value: object) -> str:
    r"""Return JSON that may stand inside a script element: no ``<``, ``>`` or ``&``, no NaN.

    Examples
    --------
    >>> script_json({"name": "</script>"})
    '{"name":"\\u003c/script\\u003e"}'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def plotly_js() -> str:
    """Return plotly.js from the installed package, safe to stand inside a script element."""
    from importlib.resources import files

    text = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    # Inside a JavaScript string or pattern "<\/" means "</"; it must not end the element.
    return re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE)
