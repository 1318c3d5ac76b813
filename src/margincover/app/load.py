"""Load a book with the rules in force."""

from __future__ import annotations

from pathlib import Path

from margincover.errors import InputError
from margincover.io import book_file, text
from margincover.model.book import Book
from margincover.venues import registry
from margincover.venues.resolve import resolve


def load(path: Path | str, *, rules: Path | str | None = None) -> Book:
    """Return the book in a JSON or TOML file, with rulebooks chosen and symbols resolved for its ``as_of``.

    Parameters
    ----------
    path : path
        Book file; see ``margincover schema``.
    rules : path or None
        Folder with rule files ``<venue>.toml`` that add to the packaged rules or override them.

    Raises
    ------
    InputError, RulebookError
        Naming file, account and field.
    """
    return resolve(book_file.load_book(Path(path)), extra_rules=rule_sources(rules))


def rule_sources(folder: Path | str | None) -> tuple[registry.RuleSource, ...]:
    """Return the rule texts of a folder; none when ``folder`` is None.

    Raises
    ------
    InputError
        If the folder does not exist or holds no TOML file.
    """
    if folder is None:
        return ()
    files = sorted(Path(folder).glob("*.toml")) if Path(folder).is_dir() else []
    if not files:
        raise InputError(
            "held no rule files", source=str(folder), field="--rules", allowed="a folder with <venue>.toml"
        )
    return tuple(registry.RuleSource(text=text.read_text(file), source=str(file)) for file in files)
