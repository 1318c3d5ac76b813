"""Raw responses of exchanges to an account: pure functions of JSON that was parsed already.

Takes what the private endpoints of Binance, Bybit, Deribit, Derive, OKX and Hyperliquid answer; gives
``model.account.Account``.
Fields that a venue adds are ignored; a field that is needed and missing is an ``InputError``.
Balances exclude what is assigned to isolated positions; account reports are those of the cross pool.
Must not open files or network connections, nor import ``app``, ``report`` or ``cli``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from margincover.errors import InputError
from margincover.io.exchanges import binance, bybit, deribit, derive, dydx, hyperliquid, okx, paradex
from margincover.io.exchanges.fields import PositionSupplement, VenueParser, finish_position
from margincover.model.account import Account

__all__ = ["ROLES", "ParsedAccount", "PositionSupplement", "parse_account", "supported_venues"]

ROLES = ("positions", "account", "balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAccount:
    """An account read from responses.

    ``marks`` are mark prices by venue symbol; ``issues`` are sentences for the reader.
    """

    account: Account
    marks: Mapping[str, float]
    issues: tuple[str, ...]


def _parsers() -> dict[str, VenueParser]:
    return {
        "binance": binance.parse,
        "bybit": bybit.parse,
        "deribit": deribit.parse,
        "derive": derive.parse,
        "dydx": dydx.parse,
        "hyperliquid": hyperliquid.parse,
        "okx": okx.parse,
        "paradex": paradex.parse,
    }


def supported_venues() -> tuple[str, ...]:
    """Return the venues whose raw responses can be read."""
    return tuple(_parsers())


def parse_account(
    venue: str,
    responses: Mapping[str, object],
    *,
    account_id: str,
    mode: str,
    source: str,
    supplements: Mapping[tuple[str, str], PositionSupplement] | None = None,
) -> ParsedAccount:
    """Return the account that a venue's raw responses describe.

    Parameters
    ----------
    venue, account_id, mode : str
        As in `margincover.model.account.Account`.
    responses : mapping role -> parsed JSON
        Roles ``positions``, ``account``, ``balance``; several files of one role have keys such as ``positions[1]``.
    source : str
        Name of the file, for messages.
    supplements : mapping (symbol, bucket) -> PositionSupplement
        Facts written by hand, used where the payload is silent.

    Raises
    ------
    InputError
        If the venue is not known here, the response is an error of the venue, a needed field is missing or not a
        number, a position has no isolated collateral, or a hand-written fact contradicts the payload.
    NotSupportedError
        If the payload holds something that margincover does not model.
    """
    try:
        parsers = _parsers()
        if venue not in parsers:
            raise InputError(f"venue was '{venue}'", field="responses", allowed=", ".join(parsers))
        for key in responses:
            if key.partition("[")[0] not in ROLES:
                raise InputError(f"unknown response '{key}'", field="responses", allowed=", ".join(ROLES))
        found = parsers[venue](responses, mode)
        written = supplements or {}
        positions = []
        for draft in found.drafts:
            try:
                positions.append(finish_position(draft, written.get(draft.key)))
            except InputError as error:
                raise error.located(field=draft.place) from error
        account = Account(
            id=account_id,
            venue=venue,
            mode=mode,
            positions=tuple(positions),
            balances=found.balances,
            reported=found.reports,
        )
    except InputError as error:
        raise error.located(source=source, account=account_id) from error
    marks = {draft.symbol: draft.mark_price for draft in found.drafts if draft.mark_price is not None}
    return ParsedAccount(account=account, marks=marks, issues=found.issues)
