"""Stress reports: they fit the screen, say everything without colour, and hold hostile names."""

import json
import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from margincover.app.demo import demo_book
from margincover.app.stress import StressSettings, stress
from margincover.model.stress import ReverseStress
from margincover.report import stress_words as words
from margincover.report.chart_stress import cash_figure, path_figure, reverse_figure
from margincover.report.html_stress import stress_html
from margincover.report.json_stress import stress_rows, stress_to_dict
from margincover.report.terminal_stress import scenario_table, stress_parts
from margincover.scenarios.shocks import parse_shock
from tests.unit.test_report_html import read

HOSTILE = "</script><b>[red]x[/red]"


@pytest.fixture(scope="module")
def result():
    shock = parse_shock("*=-30%,halt=hyperliquid:6h", name=HOSTILE)
    safe = parse_shock("BTC=-0.1%", name="calm")
    settings = StressSettings(episodes=("2020-03-12", "2024-11-05"), shocks=((shock, None), (safe, None)))
    return stress(demo_book(), settings).result


def printed(renderable, width):
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_tables_fit_the_screen_and_states_stand_in_words(result, width):
    for part in (*stress_parts(result), scenario_table(result)):
        assert max(len(line.rstrip()) for line in printed(part, width).splitlines()) <= width
    text = printed(scenario_table(result), width)
    assert "LIQUIDATED" in text
    assert "open" in text


def test_the_worst_stands_first_and_the_headline_names_it(result):
    cash = [each.cash_usd for each in result.scenarios]
    assert cash == sorted(cash, reverse=True)
    headline = words.stress_headline(result)
    assert result.scenarios[0].scenario.name in headline
    assert "least extreme move" in headline


def test_a_halt_says_when_money_can_arrive(result):
    assert "after 6 h" in "".join(printed(part, 200) for part in stress_parts(result))
    rows = [row for row in stress_rows(result) if row["scenario"] == HOSTILE and row["venue"] == "hyperliquid"]
    assert [row["cash_hour"] for row in rows] == [6.0]


def test_the_page_holds_every_scenario_pool_and_source_and_loads_nothing(result):
    page = stress_html(result)
    reader = read(page)
    assert HOSTILE in reader.words
    for each in result.scenarios:
        assert each.scenario.title in reader.words
        for pool in each.pools:
            assert pool.pool_id in reader.words
    assert "BitMEX" in reader.words
    # The rest is the drawing library, whose own text holds such words.
    body, _, _ = page.partition('<script type="application/json"')
    assert not re.search(r"(?:src|href)=\"(?!#)", body)


def test_figures_are_words_too(result):
    worst = result.scenarios[0]
    figures = [cash_figure(result), reverse_figure(result), path_figure(worst, figure_id="x")]
    for figure in figures:
        assert figure is not None
        assert len(figure.caption) > 40
        json.dumps({"data": figure.data, "layout": figure.layout}, allow_nan=False)
    calm = replace(result, scenarios=result.scenarios[-1:], reverse=())
    assert cash_figure(calm) is None
    assert reverse_figure(calm) is None


def test_json_holds_everything_without_a_nan(result):
    data = json.loads(json.dumps(stress_to_dict(result), allow_nan=False))
    assert data["schema"] == "margincover/stress/1"
    assert [each["name"] for each in data["scenarios"]] == [each.scenario.name for each in result.scenarios]
    assert data["reverse"]["moves"][0]["headroom_ratio_after"] <= 0.0


def test_words_round_to_the_cautious_side():
    each = ReverseStress(
        accounts=("a:b",),
        pools=("a:b",),
        distance=2.999,
        moves={"BTC": -0.1, "ETH": 0.2},
        volatility_fraction=0.5,
        headroom_ratio=0.0,
        tail_normal=0.0,
        tail_student=1e-13,
        half_space_student=0.0123,
    )
    assert words.distance_text(each) == "2.99"
    assert words.moves_text(each) == "ETH +20 %, BTC -10 %, vol +50 %"
    assert words.chance_text(each.tail_student) == "< 1e-10 %"
    assert words.chance_text(each.half_space_student) == "1.2 %"
    assert words.moves_text(replace(each, distance=None)) == "none within 40 standard deviations"
