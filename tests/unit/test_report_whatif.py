"""What-if reports: complete and readable without colour on a terminal, on a page and as a picture."""

import json
import re
import struct
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from margincover.app.cover import cover
from margincover.app.demo import demo_book
from margincover.errors import UsageError
from margincover.model.explain import ExplainNode, summed
from margincover.model.whatif import CellState, ModeComparison, ModeRow
from margincover.report.format import Rounding
from margincover.report.heatmap import heat_pools, short_ratio, short_usd
from margincover.report.heatmap_png import heatmap_png
from margincover.report.html import coverage_html
from margincover.report.html_whatif import modes_html, whatif_html
from margincover.report.json_whatif import modes_to_dict, whatif_to_dict
from margincover.report.modes import mode_lines, modes_headline, modes_table
from margincover.report.terminal_whatif import grid_tables, whatif_table
from tests.builders import a_provenance, coverage_result, status_result
from tests.unit.test_report_html import read
from tests.whatif_cases import DAYS, LEVELS, OPTION_POOL, SPOTS, whatif_result


def printed(renderable, *, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(renderable)
    return out.getvalue()


@pytest.fixture(scope="module")
def result():
    return whatif_result()


@pytest.fixture(scope="module")
def page(result):
    return whatif_html(result)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_tables_fit_the_screen_and_keep_the_market_as_it_is(result, width):
    for table in (grid_tables(result), whatif_table(result)):
        assert max(len(line.rstrip()) for line in printed(table, width=width).splitlines()) <= width
    text = printed(grid_tables(result), width=width)
    headers = [line.split() for line in text.splitlines() if line.startswith(("vol", "coins")) and "%" in line]
    assert headers
    assert all("0%" in header for header in headers)
    # Before and after are held against each other: they show the same moves.
    assert len({tuple(header) for header in headers if header[0] == "vol"}) == 1


def test_every_pool_with_options_has_a_table_a_day_before_and_after(result):
    text = printed(grid_tables(result), width=140)
    assert text.count(f"Coverage ratio of {OPTION_POOL}") == 2 * len(DAYS)
    assert "in 3 days, before" in text
    assert "in 7 days, after" in text


def test_states_have_a_sign_without_colour(result):
    text = printed(grid_tables(result), width=140)
    grid = result.grid_before.pool(OPTION_POOL)
    rows = text.partition(f"{OPTION_POOL} today, before")[2].splitlines()[2 : 2 + len(LEVELS)]
    # The highest volatility is the first row.
    for row, states in zip(rows, grid.state[0][::-1], strict=True):
        for cell, state in zip(row.split()[1:], states, strict=True):
            sign = {CellState.LIQUIDATED: "x", CellState.CALLED: cell[:-1] + "!"}.get(CellState(int(state)), cell)
            assert cell == sign
            assert (state == CellState.FINE) == (cell.replace(".", "").lstrip("-").isdigit())


def test_unchanged_book_is_shown_once():
    same = whatif_result(changed=False)
    text = printed(grid_tables(same), width=140)
    assert text.count(f"Coverage ratio of {OPTION_POOL}") == len(DAYS)
    assert "before" not in text
    assert "as it is" in read(whatif_html(same)).words


def test_page_loads_nothing_and_closes_every_tag(page):
    reader = read(page)
    assert [value for value in reader.values("src") + reader.values("href") if not value.startswith("#")] == []
    policy = next(value for value in reader.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert len(page) < 1_000_000


def test_page_holds_every_cell_of_every_map_with_its_figures(page, result):
    cells = re.findall(r'<td class="s(\d) d\d" title="([^"]+)"', page)
    maps = [heat for pool in heat_pools(result) for day in pool.days for heat in day.maps]
    assert len(cells) == sum(len(heat.rows) * len(SPOTS) for heat in maps)
    words = {str(int(state)): state.name.lower() for state in CellState}
    assert all(words[state] in title for state, title in cells)
    assert f'max="{len(DAYS) - 1}"' in page
    for label in ("today", "in 3 days", "in 7 days"):
        assert f"<h4>{label}</h4>" in page


def test_names_are_text_on_every_output(result):
    hostile = "okx:<script>alert($x$)[red]</script>"

    def renamed(grid):
        pools = tuple(replace(p, pool_id=hostile) if p.pool_id == "okx:desk" else p for p in grid.pools)
        return replace(grid, pools=pools)

    def renamed_status(status):
        pools = tuple(replace(p, pool_id=hostile) if p.pool_id == "okx:desk" else p for p in status.pools)
        return replace(status, pools=pools)

    changed = replace(
        result,
        before=renamed_status(result.before),
        after=renamed_status(result.after),
        grid_before=renamed(result.grid_before),
        grid_after=renamed(result.grid_after),
    )
    reader = read(whatif_html(changed))
    assert hostile in reader.words
    assert not any("alert" in script for script in reader.scripts)
    assert "[red]" in printed(grid_tables(changed), width=140)
    assert heatmap_png(changed).startswith(b"\x89PNG")


def test_pool_that_is_new_after_the_change_has_no_map_before(result):
    fewer = replace(
        result,
        before=replace(result.before, pools=result.before.pools[1:]),
        grid_before=replace(
            result.grid_before,
            pools=tuple(p for p in result.grid_before.pools if p.pool_id != result.before.pools[0].pool_id),
        ),
    )
    new = heat_pools(fewer)[0]
    assert [heat.when for day in new.days for heat in day.maps] == ["after"]
    assert "none" in printed(whatif_table(fewer), width=140)
    assert read(whatif_html(fewer)).words
    assert heatmap_png(fewer).startswith(b"\x89PNG")


def test_picture_is_the_same_twice_and_twice_as_wide_with_a_change(result):
    picture = heatmap_png(result)
    assert picture == heatmap_png(result)
    width, height = struct.unpack(">II", picture[16:24])
    alone, _ = struct.unpack(">II", heatmap_png(whatif_result(changed=False))[16:24])
    assert width > 1.8 * alone
    assert height > 1_000
    # Nothing that differs from day to day stands in the file.
    assert b"Software" not in picture
    assert b"Creation" not in picture


def test_picture_that_nobody_could_open_is_refused(result):
    def many(pools):
        return tuple(replace(pool, pool_id=f"{pool.pool_id}{n}") for n in range(60) for pool in pools)

    large = replace(
        result,
        after=replace(result.after, pools=many(result.after.pools)),
        grid_after=replace(result.grid_after, pools=many(result.grid_after.pools)),
    )
    with pytest.raises(UsageError, match="--png"):
        heatmap_png(large)


def test_a_book_without_pools_is_said_to_have_none(result):
    none = replace(
        result,
        before=replace(result.before, pools=()),
        after=replace(result.after, pools=()),
        grid_before=replace(result.grid_before, pools=()),
        grid_after=replace(result.grid_after, pools=()),
    )
    assert "no pools" in printed(grid_tables(none), width=80)
    assert "no margin account" in read(whatif_html(none)).words
    assert heatmap_png(none).startswith(b"\x89PNG")


def test_json_is_complete_and_has_no_infinity(result):
    data = json.loads(json.dumps(whatif_to_dict(result), allow_nan=False))
    grid = data["grid_before"]
    figures = grid["pools"][OPTION_POOL]
    shape = (len(grid["days"]), len(grid["volatility_fractions"]), len(grid["spot_fractions"]))
    for name in ("state", "coverage_ratio", "equity_usd", "maintenance_usd", "headroom_usd"):
        assert np.shape(figures[name]) == shape
    # A pool that requires nothing has no ratio.
    assert grid["pools"]["kraken:spare"]["coverage_ratio"][0][0][0] is None


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0.0, "0.00", "0.00"),
        (999.9, "999", "1,000"),
        (1_000.0, "1.00k", "1.00k"),
        (999_999.0, "999k", "1,000k"),
        (-12_345.0, "-12.4k", "-12.3k"),
        (2_345_678.0, "2.34M", "2.35M"),
        (9.87e12, "9,870bn", "9,870bn"),
        (0.001, "0.00", "0.01"),
    ],
)
def test_short_dollars_round_to_the_stated_side(value, down, up):
    assert (short_usd(value, rounding=Rounding.DOWN), short_usd(value, rounding=Rounding.UP)) == (down, up)


def test_short_ratio_never_rounds_up_to_safety():
    assert [short_ratio(x) for x in (0.9999, 1.0, -0.001, 99.99, -250.0)] == ["0.99", "1.00", "-0.01", "99.9", "< -99"]


def comparison(rows):
    return ModeComparison(
        account_id="okx:desk",
        venue="okx",
        present_mode="futures",
        rows=rows,
        notes=("a note",),
        provenance=a_provenance(),
    )


def test_modes_show_pools_their_sum_and_the_reason_of_a_refusal():
    pools = status_result().pools
    both = ModeRow(mode="futures", is_present=True, pools=(pools[0], pools[1]))
    result = comparison((both, ModeRow(mode="spot", is_present=False, error="symbol: <b>no</b> place for options")))
    assert [line.pool for line in mode_lines(result)][-2:] == ["sum of 2 pools", "-"]
    assert both.headroom_usd == pytest.approx(pools[0].headroom_usd + pools[1].headroom_usd)
    for text in (printed(modes_table(result), width=140), read(modes_html(result)).words):
        assert "<b>no</b> place for options" in text
        assert "what one has to spare does not help another" in text
        assert "a note" in text
    data = modes_to_dict(result)
    assert data["modes"][1] == {"mode": "spot", "is_present": False, "error": "symbol: <b>no</b> place for options"}
    assert data["modes"][0]["equity_usd"] == pytest.approx(pools[0].equity_usd + pools[1].equity_usd)


def test_modes_sum_of_initial_is_unknown_where_one_is():
    pools = status_result().pools
    unknown = replace(pools[0], initial_native=None, initial_usd=None)
    row = ModeRow(mode="futures", is_present=True, pools=(unknown, pools[1]))
    assert row.initial_usd is None
    assert [line.initial for line in mode_lines(comparison((row,)))][::2] == ["unknown", "unknown"]


def test_modes_headline_names_the_cheapest_and_the_present():
    pools = status_result().pools
    dear = ModeRow(mode="futures", is_present=True, pools=(pools[0],))
    lower = replace(pools[0], headroom_usd=pools[0].headroom_usd + 1_000.0)
    cheap = ModeRow(mode="pm", is_present=False, pools=(lower,))
    text = modes_headline(comparison((dear, cheap)))
    assert "pm leaves the most headroom" in text
    assert "in futures now" in text
    assert "none of 1 modes" in modes_headline(comparison((ModeRow(mode="x", is_present=False, error="no"),)))


def test_report_page_shows_the_explain_trees_of_a_pool():
    covered = coverage_result()
    leaf = ExplainNode(label="<balance>", value=2.0, unit="USD", detail="seen & counted")
    tree = summed("equity after haircut", "USD", (summed("USD", "USD", (leaf,)),))
    first = covered.pools[0]
    explained = replace(first, status=replace(first.status, explain=(tree, tree, tree)))
    page = coverage_html(replace(covered, pools=(explained, *covered.pools[1:])))
    reader = read(page)
    assert page.count("<details") == 6
    assert page.count('<details class="root"') == 3
    assert "<balance>" in reader.words
    assert "seen & counted" in reader.words
    assert "<details" not in coverage_html(covered)
    assert "as far as it is known" not in page
    open_end = replace(explained.status, initial_native=None, initial_usd=None)
    unknown = replace(covered, pools=(replace(explained, status=open_end), *covered.pools[1:]))
    assert coverage_html(unknown).count("as far as it is known") == 1


def test_cover_fills_the_trees():
    report = cover(demo_book(), paths=256, follow_s=86_400)
    for pool in report.result.pools:
        equity, maintenance, _ = pool.status.explain
        assert equity.value == pytest.approx(pool.status.equity_native, rel=1e-9)
        assert maintenance.value == pytest.approx(pool.status.maintenance_native, rel=1e-9)
