"""Tables on a screen: complete at 80 columns, numbers whole, words beside every colour."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from margincover.report import terminal
from margincover.report.fitted import Column, chosen_columns
from margincover.report.format import Rounding, number
from margincover.report.headline import coverage_headline, status_headline
from margincover.report.parts import ordered_contributions
from tests.builders import FLAT_SPEC, STANDARD_SPECS, PoolSpec, a_provenance, coverage_result, status_result

WIDTHS = (80, 100, 140)
COVERAGE_TABLES = (
    terminal.coverage_table,
    terminal.probability_table,
    terminal.contribution_table,
    terminal.reconciliation_table,
)


@pytest.fixture(scope="module")
def six_pools():
    return coverage_result()


def printed(renderable, *, width: int, colour: bool = False) -> str:
    out = StringIO()
    Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", COVERAGE_TABLES)
def test_no_line_is_wider_than_the_screen_and_no_cell_is_cut(six_pools, table, width):
    text = printed(table(six_pools), width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("width", WIDTHS)
def test_every_pool_stands_on_one_line_with_its_verdict_and_gap(six_pools, width):
    lines = printed(terminal.coverage_table(six_pools), width=width).splitlines()
    for pool, verdict, gap in (
        ("okx:desk", "BREACH", "67,762 USD"),
        ("hyperliquid:vault", "WARNING", "-1,352.8 USDC"),
        ("kraken:spare", "covered", "-25,000 USD"),
    ):
        row = next(line for line in lines if line.startswith(f"{pool} "))
        assert verdict in row
        assert gap in row


def test_wider_screens_show_more_columns_and_narrow_ones_say_what_is_missing(six_pools):
    narrow = printed(terminal.coverage_table(six_pools), width=80)
    wide = printed(terminal.coverage_table(six_pools), width=200)
    assert "Not shown at this width: Available" in narrow
    assert "Not shown" not in wide
    assert "Median time" in wide


def test_columns_of_priority_zero_stay_whatever_the_width():
    columns = [
        Column(title="Pool", cells=["a" * 30]),
        Column(title="Extra", cells=["1"], priority=2),
        Column(title="Next", cells=["1"], priority=1),
        Column(title="Gap", cells=["1" * 30]),
    ]
    assert [column.title for column in chosen_columns(columns, width=40)] == ["Pool", "Gap"]
    # 32 + 32 for the two, 6 for "Next"; "Extra" would need 7 more.
    assert [column.title for column in chosen_columns(columns, width=76)] == ["Pool", "Next", "Gap"]


def test_colour_only_repeats_a_word(six_pools):
    plain = printed(terminal.coverage_table(six_pools), width=120)
    coloured = printed(terminal.coverage_table(six_pools), width=120, colour=True)
    assert "\x1b[" in coloured
    assert plain.count("BREACH") == coloured.count("BREACH") == 2


def test_names_that_look_like_markup_are_printed_as_names():
    spec = PoolSpec(id="okx:[red]x[/red]", unit="USD", cash=9_000.0, sizes={"BTC": 0.1})
    assert "okx:[red]x[/red]" in printed(terminal.coverage_table(coverage_result((spec,), n_paths=50)), width=100)


def test_headline_says_how_much_to_add_and_where(six_pools):
    expected = (
        "2 of 6 pools are under-covered at 1 % over 5 days: add 67,762 USD to okx:desk and 8,020 USDT to binance:main "
        "(together 75,782 USD). Liquidatable now: okx:desk. 1 of 6 pools is covered only within the error bar or "
        "likely called: hyperliquid:vault."
    )
    assert expected == coverage_headline(six_pools)


def test_headline_of_a_covered_book_says_what_could_leave():
    result = coverage_result((FLAT_SPEC,), n_paths=20)
    expected = "The only pool is covered at 1 % over 5 days. 25,000 USD could leave."
    assert expected == coverage_headline(result)


def test_headline_of_an_empty_book_does_not_claim_safety():
    assert "No pool was measured" in coverage_headline(coverage_result((), n_paths=20))
    assert "says nothing about safety" in status_headline(status_result(()))


def test_headline_names_only_the_first_few_of_many():
    specs = tuple(replace(STANDARD_SPECS[0], id=f"okx:desk{number}") for number in range(9))
    text = coverage_headline(coverage_result(specs, n_paths=50))
    assert text.startswith("9 of 9 pools are under-covered")
    assert "5 more (see the table)" in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", COVERAGE_TABLES)
def test_a_book_without_pools_says_so(table, width):
    text = " ".join(printed(table(coverage_result((), n_paths=20)), width=width).split())
    assert "no pools" in text or "nothing was compared" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_status_shows_state_in_words_and_a_dash_without_requirement(width):
    lines = printed(terminal.status_table(status_result()), width=width).splitlines()
    assert lines[0].startswith("1 of 6 pools is liquidatable now: okx:desk.")
    assert "LIQUIDATABLE" in next(line for line in lines if line.startswith("okx:desk "))
    flat = next(line for line in lines if line.startswith("kraken:spare "))
    assert flat.split()[1:3] == ["flat", "-"]


def test_contributions_end_at_rces_and_keep_their_sum(six_pools):
    for pool in six_pools.pools:
        parts = ordered_contributions(pool)
        assert parts[0][0] == "start"
        # The sum may lose what is below 1e-9 of the largest part.
        assert sum(value for _, value in parts) == pytest.approx(pool.rces.value, rel=1e-6, abs=1e-6)
    shown = printed(terminal.contribution_table(six_pools), width=80)
    assert "= RCES" in shown
    for pool in six_pools.pools:
        assert number(pool.rces.value, rounding=Rounding.UP) in shown


def test_reconciliation_puts_the_largest_difference_first(six_pools):
    lines = [
        replace(line, difference_bps=bps) for line, bps in zip(six_pools.reconciliation[:3], (1, -90, 20), strict=True)
    ]
    text = printed(terminal.reconciliation_table(replace(six_pools, reconciliation=tuple(lines))), width=80)
    assert text.index("-90 bps") < text.index("+20 bps") < text.index("+1 bps")


def test_provenance_shows_warnings_and_what_is_not_modelled():
    text = printed(terminal.provenance_panel(a_provenance()), width=80)
    assert "Warning: okx: the tier table" in text
    assert "Not modelled: Slippage" in text
    assert "seed 7" in text
    assert "seed" not in printed(terminal.provenance_panel(a_provenance(seed=None)), width=80)
