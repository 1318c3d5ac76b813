"""The figures that docs/reference/worked-liquidity.md works by hand are those of the program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from margincover.app.demo import demo_book
from margincover.app.liquidity import LiquiditySettings, liquidity
from margincover.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "worked-liquidity.md").read_text(encoding="utf-8")
SMALL, DEMO = PAGE.split("## The demo book")
HOUR = 3_600


def table_after(text: str, header: str) -> list[list[str]]:
    """Rows of the table whose header line starts with some words."""
    lines = text[text.index(header) :].splitlines()[2:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def number(text: str) -> float:
    return float(text.replace(",", "").rstrip("."))


def hours(text: str) -> int:
    return int(text.removesuffix(" h")) * HOUR


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    block = re.search(r"```json\n(.*?)```", SMALL, re.DOTALL)
    assert block is not None
    path = tmp_path_factory.mktemp("book") / "book.json"
    path.write_text(block.group(1), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shown(small):
    from margincover.app.load import load

    return liquidity(load(small), LiquiditySettings(paths=1_280)).result


def usable_by(result, until_s: int) -> float:
    return next(row.supply_usd for row in result.ladder if row.until_s == until_s)


def test_supply_of_the_small_book(shown):
    rows = table_after(SMALL, "| from |")
    # 69 h is no bucket: the bank stands there at 72 h and not yet at 48 h
    found = [usable_by(shown, until) for until in (2 * HOUR, 4 * HOUR, 72 * HOUR)]
    assert found == pytest.approx([number(row[1]) for row in rows])
    assert usable_by(shown, 48 * HOUR) == pytest.approx(number(rows[1][1]))
    ready = {source.id: source.ready_p99_s for source in shown.supply.sources}
    assert ready == {"vault": hours(rows[0][0]), "line": hours(rows[1][0]), "bank": hours(rows[2][0])}


def test_debt_coverage_of_the_small_book(shown):
    rows = table_after(SMALL, "| due |")
    assert len(rows) == len(shown.debts)
    for row, found in zip(rows, shown.debts, strict=True):
        assert (hours(row[0]), row[1]) == (found.due_s, found.label)
        figures = (found.due_usd, found.cumulative_due_usd, found.usable_usd)
        assert [number(cell) for cell in row[2:5]] == pytest.approx(figures, abs=0.005)
        assert number(row[5]) == pytest.approx(found.ratio, abs=5e-5)
    stated = re.search(r"the smallest: \*\*([\d.]+)\*\*", SMALL)
    assert stated is not None
    assert shown.debt_coverage_ratio == pytest.approx(number(stated.group(1)), abs=5e-5)


def test_survival_horizon_of_the_small_book(shown):
    for end, due, usable, met in table_after(SMALL, "| bucket ends |"):
        row = next(row for row in shown.ladder if row.until_s == hours(end))
        assert row.need_gross_usd == pytest.approx(number(due), abs=0.005)
        assert row.opening_usd == pytest.approx(number(usable))
        assert row.shortfall.value == (0.0 if met == "yes" else 1.0)
    stated = re.search(r"all needs can be met for \*\*(\d+ h)\*\*", SMALL)
    assert stated is not None
    assert shown.survival.at_least_s == shown.survival.low_s == shown.survival.high_s == hours(stated.group(1))


def test_the_small_book_is_a_breach_on_the_command_line(small, capsys):
    assert main(["liquidity", str(small), "--paths", "1280", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["reasons"] == [
        "the survival horizon is shorter than the horizon of the tolerance",
        "debt coverage is below 1",
        "the liquid stock over the outflow is below 1.2",
    ]


def test_supply_debt_coverage_and_horizon_of_the_demo_book():
    paths = re.search(r"--paths (\d+)", DEMO)
    assert paths is not None
    found = liquidity(demo_book(), LiquiditySettings(paths=int(paths.group(1)))).result
    for at, amount in table_after(DEMO, "| at |"):
        assert usable_by(found, hours(at)) == pytest.approx(number(amount), abs=0.006)
    for name in ("otc-trade", "interest"):
        due = next(row.due_usd for row in found.debts if row.label == name)
        assert f"{due:,.2f}" in DEMO
    margin = sum(row.due_usd for row in found.debts if row.label == "margin obligations")
    assert f"{margin:,.2f}" in DEMO
    stated = re.search(r"debt coverage ratio, ([\d.]+)\*\*", DEMO)
    assert stated is not None
    assert found.debt_coverage_ratio == pytest.approx(number(stated.group(1)), abs=5e-4)
    horizon = re.search(r"for \*\*(\d+ h)\*\*", DEMO)
    assert horizon is not None
    assert found.survival.at_least_s == hours(horizon.group(1))
    by_end = {row.until_s: row for row in found.ladder}
    assert f"{100 * by_end[2 * HOUR].shortfall.value:.2f} %" in DEMO
    assert f"{100 * by_end[HOUR].shortfall.value:.2f} %" in DEMO
    # the reason given: nothing had reached the account, so its need is what is not met
    fast = found.supply.accounts.index("hyperliquid:fast")
    assert found.supply.at((HOUR,)).way_usd[0, :, fast].sum() == 0.0
    assert found.supply.at((2 * HOUR,)).way_usd[0, :, fast].sum() > 0.0
