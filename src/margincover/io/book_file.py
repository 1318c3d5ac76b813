"""Read a book file: JSON or TOML in, `BookInput` out, with every problem of the file in one error."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from margincover.errors import InputError
from margincover.io.book_accounts import BuiltAccount, ReferencedFiles, build_account, placed
from margincover.io.book_contingency import build_contingency
from margincover.io.book_problems import from_validation, joined
from margincover.io.book_resources import build_limits, build_resources
from margincover.io.book_schema import BookTable
from margincover.io.text import decode_text, parse_json, parse_toml, read_bytes
from margincover.model.book import (
    BookInput,
    InstrumentOverride,
    Proxy,
    TierOverride,
    Tolerance,
)
from margincover.model.market import MarketState
from margincover.units import format_utc

_INSTRUMENT_FACTS = ("multiplier", "tick", "open_interest", "open_interest_lower_cap", "open_interest_upper_cap")


def load_book(path: Path | str) -> BookInput:
    """Return the book of a ``.json`` or ``.toml`` file and of the files that it names.

    Raises
    ------
    InputError
        If a file cannot be read or parsed, or a field is missing, unknown, or outside what is allowed. All problems of
        the book stand in one error, each with account and field.

    Notes
    -----
    ``input_sha256`` is the hash of the file's bytes; where the book names other files it is the hash of that hash and
    of theirs.
    """
    source = str(path)
    kind = Path(path).suffix.lower()
    if kind not in (".json", ".toml"):
        raise InputError(f"the file name ended in '{kind}'", source=source, allowed=".json or .toml")
    content = read_bytes(path)
    text = decode_text(content, source)
    data = parse_json(text, source) if kind == ".json" else parse_toml(text, source)
    return parse_book(data, source=source, base_dir=Path(path).parent, sha256=hashlib.sha256(content).hexdigest())


def book_json_schema() -> dict[str, object]:
    """Return the JSON Schema of a book file; every field has a description."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **BookTable.model_json_schema(),
        "title": "margincover book",
    }


def parse_book(data: object, *, source: str, base_dir: Path | None = None, sha256: str = "") -> BookInput:
    """Return the book of an already parsed JSON or TOML value.

    Parameters
    ----------
    data : object
        Value of the file.
    source : str
        Name of the file, for messages.
    base_dir : Path or None
        Folder of the files that the book names; None when it may name none.
    sha256 : str
        Hash of the book's own bytes.

    Raises
    ------
    InputError
        As `load_book`.
    """
    try:
        table = BookTable.model_validate(data)
    except ValidationError as error:
        raise joined(from_validation(error, model=BookTable, data=data, source=source)) from None
    problems: list[InputError] = []
    files = ReferencedFiles(base_dir)
    accounts = _accounts(table, files, source, problems)
    market = _market(table, accounts, source, problems)
    tolerance = _tolerance(table, source, problems)
    resources = build_resources(table, source, problems)
    contingency = build_contingency(table, source, problems)
    limits = build_limits(table, source, problems)
    overrides = _instruments(table, source, problems), _tiers(table, source, problems)
    if problems or market is None or tolerance is None:
        raise joined(problems)
    ages = (
        {}
        if table.settings is None
        else {
            "max_market_age_s": float(table.settings.max_market_age),
            "max_history_age_s": float(table.settings.max_history_age),
        }
    )
    days = 180 if table.settings is None else table.settings.max_rules_age_days
    return BookInput(
        as_of=table.as_of,
        accounts=tuple(built.account for built in accounts),
        market=market,
        tolerance=tolerance,
        instrument_overrides=overrides[0],
        tier_overrides=overrides[1],
        reserves=resources.reserves,
        credit_lines=resources.credit_lines,
        transfer_times=resources.transfer_times,
        in_transit=resources.in_transit,
        loans=resources.loans,
        obligations=resources.obligations,
        sale_markets=resources.sale_markets,
        buffers=resources.buffers,
        contingency=contingency,
        limits=limits,
        proxies={name: Proxy(factor=row.factor, multiple=row.multiple) for name, row in table.proxies.items()},
        **ages,
        max_rules_age_days=days,
        source=source,
        input_sha256=files.sha256(sha256),
        issues=tuple(issue for built in accounts for issue in built.issues),
    )


def _accounts(table: BookTable, files: ReferencedFiles, source: str, problems: list[InputError]) -> list[BuiltAccount]:
    ids = [row.id for row in table.accounts]
    for name in dict.fromkeys(ids):
        if ids.count(name) > 1:
            problems.append(
                InputError(
                    f"the account stood {ids.count(name)} times",
                    source=source,
                    account=name,
                    field="id",
                    allowed="unique ids",
                )
            )
    found = []
    for row in table.accounts:
        built = build_account(row, files=files, source=source, known_ids=ids, problems=problems)
        if built is None:
            continue
        found.append(built)
        for balance in built.account.balances:
            if balance.observed_at is not None and balance.observed_at > table.as_of:
                problems.append(
                    InputError(
                        f"was {format_utc(balance.observed_at)}, after as_of {format_utc(table.as_of)}",
                        source=source,
                        account=row.id,
                        field=f"balances.{balance.asset}.observed_at",
                        allowed="a time not after as_of",
                    )
                )
    return found


def _market(
    table: BookTable, accounts: Sequence[BuiltAccount], source: str, problems: list[InputError]
) -> MarketState | None:
    marks = dict(table.market.marks)
    for built in accounts:
        for symbol, mark in built.marks.items():
            # What stands in the book's own market wins; each position keeps the mark of its own response.
            if symbol not in table.market.marks:
                marks.setdefault(f"{symbol}.{built.account.venue.upper()}", mark)
    try:
        return MarketState(
            as_of=table.as_of,
            observed_at=table.market.observed_at,
            marks=marks,
            asset_usd=table.market.asset_usd,
            funding_per_hour=table.market.funding_per_hour,
            volatility_annual=table.market.volatility_annual,
            implied_volatility=table.market.implied_volatility,
            forwards=table.market.forwards,
            interest_rate_per_year=table.market.interest_rate_per_year,
        )
    except InputError as error:
        problems.append(error.located(source=source))
        return None


def _tolerance(table: BookTable, source: str, problems: list[InputError]) -> Tolerance | None:
    row = table.tolerance
    try:
        if row is None:
            return Tolerance()
        return Tolerance(probability=row.probability, horizon_s=row.horizon, measure=row.measure)
    except InputError as error:
        problems.append(placed(error, "tolerance").located(source=source))
        return None


def _known_venue(table: BookTable, venue: str, source: str, field: str) -> list[InputError]:
    # Facts of a venue that no account uses would be ignored; most often the name is misspelt.
    venues = sorted({row.id.partition(":")[0] for row in table.accounts})
    if venue in venues:
        return []
    return [
        InputError(f"was '{venue}'", source=source, field=field, allowed=f"a venue of an account: {', '.join(venues)}")
    ]


def _instruments(table: BookTable, source: str, problems: list[InputError]) -> tuple[InstrumentOverride, ...]:
    found: dict[tuple[str, str], InstrumentOverride] = {}
    for number, row in enumerate(table.instruments):
        place = f"instruments[{number}]"
        problems.extend(_known_venue(table, row.venue, source, f"{place}.venue"))
        if (row.venue, row.symbol) in found:
            problems.append(
                InputError(f"{row.venue} {row.symbol} stood twice", source=source, field=place, allowed="one entry")
            )
        stated = {name: value for name in _INSTRUMENT_FACTS if (value := getattr(row, name)) is not None}
        if not stated:
            problems.append(
                InputError("stated nothing", source=source, field=place, allowed=", ".join(_INSTRUMENT_FACTS))
            )
        found[row.venue, row.symbol] = InstrumentOverride(venue=row.venue, symbol=row.symbol, **stated)
    return tuple(found.values())


def _tiers(table: BookTable, source: str, problems: list[InputError]) -> tuple[TierOverride, ...]:
    found = []
    for venue, tables in table.tiers.items():
        problems.extend(_known_venue(table, venue, source, f"tiers.{venue}"))
        for symbol, rows in tables.items():
            complete = []
            for number, row in enumerate(rows):
                floor, cap, fraction, leverage, deduction = [*row, None, None][:5]
                if floor is None or cap is None or fraction is None or not (0 <= floor < cap and 0 < fraction <= 1):
                    problems.append(
                        InputError(
                            f"was {row}",
                            source=source,
                            field=f"tiers.{venue}.{symbol}[{number}]",
                            allowed="[floor, cap > floor, maintenance fraction in (0, 1], max leverage, deduction]",
                        )
                    )
                    continue
                complete.append((floor, cap, fraction, leverage, deduction))
            observed = format_utc(table.market.observed_at)
            found.append(TierOverride(venue=venue, symbol=symbol, rows=tuple(complete), observed=observed))
    return tuple(found)
