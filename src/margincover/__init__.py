"""margincover: margin call coverage for crypto derivatives.

How much capital, placed where, so that no account is force-liquidated at the tolerance you state.

>>> import margincover as mc
>>> book = mc.demo_book()
>>> [account.id for account in book.accounts][:2]
['binance:market-making', 'binance:coin-treasury']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from margincover.version import __version__

if TYPE_CHECKING:
    from margincover.app.cover import CoverSettings, cover
    from margincover.app.demo import demo_book
    from margincover.app.facade import CoverageReport, StatusReport
    from margincover.app.load import load
    from margincover.app.status import status
    from margincover.errors import (
        InputError,
        MargincoverError,
        NotSupportedError,
        ReconciliationError,
        RulebookError,
        SolverError,
        StaleDataError,
    )
    from margincover.io.book_file import book_json_schema
    from margincover.io.history import load_history
    from margincover.model.book import Book

# Loaded when first used: a plain import loads no heavy library.
_HOMES = {
    "Book": "model.book",
    "CoverSettings": "app.cover",
    "CoverageReport": "app.facade",
    "InputError": "errors",
    "MargincoverError": "errors",
    "NotSupportedError": "errors",
    "ReconciliationError": "errors",
    "RulebookError": "errors",
    "SolverError": "errors",
    "StaleDataError": "errors",
    "StatusReport": "app.facade",
    "book_json_schema": "io.book_file",
    "cover": "app.cover",
    "demo_book": "app.demo",
    "load": "app.load",
    "load_history": "io.history",
    "status": "app.status",
}

__all__ = [
    "Book",
    "CoverSettings",
    "CoverageReport",
    "InputError",
    "MargincoverError",
    "NotSupportedError",
    "ReconciliationError",
    "RulebookError",
    "SolverError",
    "StaleDataError",
    "StatusReport",
    "__version__",
    "book_json_schema",
    "cover",
    "demo_book",
    "load",
    "load_history",
    "status",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"margincover.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'margincover' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
