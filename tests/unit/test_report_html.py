"""The report page: one file, no network, no unknown figure, readable in both colour schemes."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest

from margincover.errors import InputError
from margincover.model.results import Estimate, HorizonProbability
from margincover.report.chart_maximum import maximum_figure
from margincover.report.chart_probability import probability_figure
from margincover.report.charts import contribution_figure, fan_figure, pool_figures
from margincover.report.html import coverage_html, plotly_js, script_json
from tests.builders import FLAT_SPEC, STANDARD_SPECS, PoolSpec, a_provenance, coverage_result

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Text, attributes and heading levels of a page; fails on a tag that is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.headings: list[int] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.text)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def six_pools():
    return coverage_result()


@pytest.fixture(scope="module")
def page(six_pools):
    return coverage_html(six_pools)


def test_page_loads_nothing_from_outside(page):
    reader = read(page)
    assert [value for value in reader.values("src") + reader.values("href") if not value.startswith("#")] == []
    policy = next(value for value in reader.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "@import" not in page.split("</style>")[0]
    assert "url(" not in page.split("</style>")[0]


def test_page_stays_near_the_size_of_plotly(page):
    # 6 pools with 4 charts each; a quarter of a megabyte is what the thinning of chart data is for.
    assert len(page) - len(plotly_js()) < 250_000
    assert page.count("plotly.js v") == 1


def test_page_never_shows_an_unknown_figure(page):
    reader = read(page)
    assert re.search(r"\b(nan|NaN|None|inf|Infinity|undefined)\b", reader.words) is None
    figures = next(script for script in reader.scripts if script.startswith('{"book'))
    assert "NaN" not in figures
    assert "null" not in figures


def test_headings_descend_one_level_at_a_time_from_one_h1(page):
    headings = read(page).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_every_chart_has_a_caption_and_every_link_a_target(page):
    reader = read(page)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    assert set(reader.values("aria-labelledby")) <= set(ids)
    assert {value.removeprefix("#") for value in reader.values("href")} <= set(ids)
    figures = json.loads(next(script for script in reader.scripts if script.startswith('{"book')))
    assert set(figures) <= set(ids)
    # 5 pools with positions have four charts each, and the book has one.
    assert len(figures) == 21
    assert ("html", "lang", "en") in reader.attributes


def test_page_answers_in_words_and_ends_with_provenance(page):
    words = read(page).words
    assert words.index("2 of 6 pools are under-covered") < words.index("Reconciliation")
    assert words.index("Reconciliation") < words.index("What is not modelled") < words.index("edition".title())
    assert "Slippage and market impact" in words


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(scheme):
    css = (files("margincover") / "report" / "templates" / "report.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[0 if scheme == "light" else 1]))
    pairs = [
        ("ink", "paper"),
        ("ink", "page"),
        ("muted", "paper"),
        ("muted", "page"),
        ("link", "paper"),
        ("link", "page"),
    ]
    pairs += [(tone, f"{tone}-soft") for tone in ("breach", "warning", "covered")]
    pairs += [("ink", "warning-soft"), ("equity", "paper"), ("maintenance", "paper")]
    for front, back in pairs:
        # WCAG 2.2, success criterion 1.4.3: 4.5 to 1 for text of normal size.
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2.2 (relative luminance of sRGB)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_on_white_is_twenty_one():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_colour_of_a_chart_is_a_variable_of_the_style_sheet(page):
    reader = read(page)
    figures = next(script for script in reader.scripts if script.startswith('{"book'))
    css = page.split("</style>")[0]
    used = set(re.findall(r'"(--[a-z0-9-]+)"', figures))
    assert used
    assert [name for name in sorted(used) if f"{name}:" not in css] == []


def test_names_with_markup_stay_text():
    name = "okx:<script>alert(1)</script>&\"'"
    spec = PoolSpec(id=name, unit="USD", cash=9_000.0, sizes={"BTC": 0.1})
    provenance = a_provenance(warnings=("</script><b>bold</b>",), not_modelled=("<img src=x onerror=y>",))
    reader = read(coverage_html(coverage_result((spec,), n_paths=50, provenance=provenance)))
    assert "<script>alert(1)</script>" in reader.words
    assert reader.values("onerror") == []
    assert "</script><b>bold</b>" in reader.words


@pytest.mark.parametrize(
    "specs",
    [
        (),
        (FLAT_SPEC,),
        (replace(STANDARD_SPECS[1], cash=-5_000.0),),
        (replace(STANDARD_SPECS[1], cash=1e15, sizes={"BTC": 1e9}),),
        (replace(STANDARD_SPECS[2], cash=2e-7, sizes={"BTC": 0.01}),),
    ],
    ids=["no pools", "flat", "negative equity", "huge", "tiny"],
)
@pytest.mark.parametrize("n_paths", [1, 60])
def test_extreme_books_give_a_whole_page(specs, n_paths):
    words = read(coverage_html(coverage_result(specs, n_paths=n_paths))).words
    assert re.search(r"\b(nan|None|inf)\b", words) is None
    assert ("No pool was measured" in words) == (not specs)


def test_a_flat_pool_says_why_it_has_no_chart():
    result = coverage_result((FLAT_SPEC,), n_paths=60)
    assert pool_figures(result, result.pools[0], prefix="p") == []
    words = read(coverage_html(result)).words
    assert "No position, so nothing moves" in words
    assert "no position" in words


@pytest.mark.parametrize(
    ("value", "low", "high"), [(0.0, 0.0, 1e-5), (1.0, 0.999, 1.0), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]
)
def test_probabilities_of_zero_and_one_can_be_drawn_on_a_log_axis(value, low, high):
    estimate = Estimate(value=value, standard_error=0.0, low=low, high=high)
    entries = [HorizonProbability(horizon_s=h, liquidation=estimate, margin_call=estimate) for h in (3_600, 86_400)]
    figure = probability_figure(entries, figure_id="p", tolerance=0.01, name="x")
    assert figure is not None
    assert all(y > 0 for trace in figure.data for y in trace["y"])
    assert ("no hit" in json.dumps(figure.data)) == (value == 0 and high > 0)


def test_fan_is_thinned_and_keeps_both_ends(six_pools):
    pool = next(pool for pool in six_pools.pools if pool.status.pool_id == "binance:main")
    index = six_pools.paths.pool_ids.index("binance:main")
    n_steps = 5_000
    equity = np.repeat(np.linspace(1.0, 2.0, n_steps + 1)[:, None, None], 4, axis=2)
    paths = replace(
        six_pools.paths,
        pool_ids=("binance:main",),
        n_horizon_steps=n_steps,
        fan_equity=equity,
        fan_maintenance=equity / 10,
    )
    figure = fan_figure(replace(six_pools, paths=paths), pool, figure_id="f")
    assert index >= 0
    assert figure is not None
    median = next(trace for trace in figure.data if trace.get("name") == "equity, median")
    assert len(median["y"]) <= 200
    assert (median["y"][0], median["y"][-1]) == (1.0, 2.0)


def test_bars_hold_all_paths_and_split_at_available(six_pools):
    pool = six_pools.pools[1]
    index = six_pools.paths.pool_ids.index(pool.status.pool_id)
    figure = maximum_figure(six_pools, pool, figure_id="m")
    assert figure is not None
    shown = sum(sum(trace["y"]) for trace in figure.data)
    beyond = re.search(r"([\d,]+) paths need more than the chart", figure.caption)
    hidden = int(beyond.group(1)) / six_pools.n_paths if beyond else 0.0
    # Six significant digits per bar: 60 bars of at most 1e-6 each.
    assert shown + hidden == pytest.approx(1.0, abs=6e-5)
    liquidated = (six_pools.paths.maximum[index] >= 0).mean()
    red = next(sum(trace["y"]) for trace in figure.data if trace["name"] == "liquidated")
    assert red + hidden == pytest.approx(liquidated, abs=6e-5)


def test_waterfall_ends_at_rces_and_groups_small_factors(six_pools):
    pool = six_pools.pools[1]
    many = {"start": -100.0, **{f"F{n}": float(n) for n in range(1, 21)}, "funding": 1.0, "remainder": 0.0}
    total = sum(many.values())
    wide = replace(pool, contributions=many, rces=replace(pool.rces, value=total))
    figure = contribution_figure(wide, figure_id="c")
    assert figure is not None
    (trace,) = figure.data
    assert trace["x"][-1] == "RCES"
    assert "13 other factors" in trace["x"]
    assert sum(trace["y"][:-1]) == pytest.approx(trace["y"][-1])


def test_a_nan_on_a_path_is_an_error_that_names_the_pool(six_pools):
    maximum = six_pools.paths.maximum.copy()
    maximum[:, 0] = math.nan
    broken = replace(six_pools, paths=replace(six_pools.paths, maximum=maximum))
    with pytest.raises(InputError, match="maximum: held a NaN"):
        coverage_html(broken)


def test_json_in_a_script_cannot_end_it():
    text = script_json({"a": "</script><!--", "b": "&"})
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": "&"}
    with pytest.raises(ValueError, match="JSON"):
        script_json(math.nan)
