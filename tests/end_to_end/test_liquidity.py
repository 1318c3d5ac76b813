"""`margincover liquidity` from a book file to the screen, to JSON and to a page."""

from __future__ import annotations

import json

import pytest

from margincover.app.demo import demo_text
from margincover.cli.main import main

FEW = ("--paths", "1280")


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.json"
    path.write_text(demo_text(), encoding="utf-8")
    return path


def test_screen_shows_every_part_and_ends_with_the_answer(book, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["liquidity", str(book), *FEW, "--html", str(page)]) in (1, 2)
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "Liquidity ladder, cumulative", "Needs over 24 hours", "Debt coverage over 24 hours",
        "Loans; call and liquidation",
        "Liquid stock after the caps", "gross across venues", "equity in accounts, by venue", "What can be drawn on",
        "desk-line: not committed", "At 1 % all needs can be met for",
    ):  # fmt: skip
        assert words in shown
    text = page.read_text(encoding="utf-8")
    for words in (
        'id="liquidity-ladder"',
        'id="liquidity-survival"',
        "Survival horizon",
        "otc-loan",
        "Content-Security",
    ):
        assert words in text
    assert "http://" not in text.split("<script")[0]


def test_json_holds_the_ladder_and_is_the_same_for_any_number_of_threads(book, capsys):
    made = []
    for threads in ("1", "2"):
        main(["liquidity", str(book), *FEW, "--json", "--threads", threads])
        made.append(json.loads(capsys.readouterr().out))
    assert made[0] == made[1]
    found = made[0]
    assert found["ladder"][0]["until_s"] == 3_600
    shortfalls = [row["shortfall"]["value"] for row in found["ladder"]]
    assert shortfalls == sorted(shortfalls)
    assert {row["by"] for row in found["concentrations"]} == {"custodian", "asset", "venue", "stable coin"}
    sources = {row["id"]: row for row in found["supply"]["sources"]}
    for row in sources.values():
        parts = sum(row[name] for name in ("haircut_usd", "impact_usd", "cost_usd", "usable_usd"))
        assert parts == pytest.approx(row["gross_usd"])
    assert "outages, transfer delays, reserves and credit lines" not in found["not_modelled"]


def test_a_frozen_venue_gives_less_and_medians_give_more(book, capsys):
    horizons = []
    for more in (("--frozen", "own wallet"), (), ("--medians", "--no-stress", "--trading")):
        main(["liquidity", str(book), *FEW, "--json", *more])
        found = json.loads(capsys.readouterr().out)
        horizons.append([row["shortfall"]["value"] for row in found["ladder"]])
    for worse, base, better in zip(*horizons, strict=True):
        assert worse >= base >= better
    assert horizons[0] != horizons[1] != horizons[2]


def test_a_name_that_is_not_in_the_book_cannot_be_frozen(book, capsys):
    assert main(["liquidity", str(book), *FEW, "--frozen", "moon"]) == 64
    assert "--frozen: was 'moon'" in capsys.readouterr().err


def test_bad_resources_end_with_data_unknown(book, tmp_path, capsys):
    data = json.loads(demo_text())
    data["sale_markets"] = {}
    data["reserves"][3]["haircuts"] = []
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(data), encoding="utf-8")
    assert main(["liquidity", str(broken), *FEW]) == 3
    assert "BTC has neither haircuts nor a sale market" in capsys.readouterr().err
