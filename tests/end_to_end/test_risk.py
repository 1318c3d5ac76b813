"""`margincover risk` from a book file to the screen and to JSON."""

from __future__ import annotations

import json

from margincover.app.demo import demo_text
from margincover.cli.main import main


def test_screen_ends_with_the_answer(tmp_path, capsys):
    book = tmp_path / "book.json"
    book.write_text(demo_text(), encoding="utf-8")
    assert main(["risk", str(book), "--paths", "1280"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("gross across venues", "gross less net", "by batch means: 5 batches", "16 packaged episodes"):
        assert words in shown
    assert shown.endswith("because cash does not move.")


def test_json_is_the_same_for_any_number_of_threads(tmp_path, capsys):
    book = tmp_path / "book.json"
    book.write_text(demo_text(), encoding="utf-8")
    made = []
    for threads in ("1", "2"):
        assert main(["risk", str(book), "--paths", "1280", "--json", "--threads", threads]) == 0
        made.append(json.loads(capsys.readouterr().out))
    assert made[0] == made[1]
    gross, net = (made[0]["liquidity_at_risk_usd"][name]["var"]["value"] for name in ("gross", "net"))
    assert made[0]["liquidity_at_risk_usd"]["cross_exchange"]["value"] == gross - net > 0.0


def test_too_few_paths_are_a_usage_error(tmp_path, capsys):
    book = tmp_path / "book.json"
    book.write_text(demo_text(), encoding="utf-8")
    assert main(["risk", str(book), "--paths", "512"]) == 64
    assert "1280 to 1000000" in capsys.readouterr().err
