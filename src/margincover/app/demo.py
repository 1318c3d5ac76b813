"""The shipped example book."""

from __future__ import annotations

import json
from importlib import resources

from margincover.io.book_file import parse_book
from margincover.model.book import Book
from margincover.venues.resolve import resolve

DEMO_SOURCE = "demo book"


def demo_text() -> str:
    """Return the demo book as JSON text, to save and start from."""
    return resources.files("margincover.app").joinpath("data/demo_book.json").read_text(encoding="utf-8")


def demo_book() -> Book:
    """Return the demo book: five accounts on four venues, written for this project.

    Binance USD-M cross and isolated, Binance COIN-M, Bybit unified, OKX futures mode and Hyperliquid; a BTC hedge whose
    legs stand on different venues; one account near its limit. Marks of 2026-01-01 00:00 UTC.
    """
    import hashlib

    text = demo_text()
    digest = hashlib.sha256(text.encode()).hexdigest()
    return resolve(parse_book(json.loads(text), source=DEMO_SOURCE, sha256=digest))
