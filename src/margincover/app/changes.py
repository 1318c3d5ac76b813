"""Change a book as a what-if: add or reduce positions, move money. Nothing is traded or sent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.errors import InputError, UsageError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Instrument, Kind, Payoff
from margincover.model.position import Balance, MarginMode, Position
from margincover.venues import symbols
from margincover.venues.legs import mark_of
from margincover.venues.option_legs import build_option

OUTSIDE = "outside"
_ADD = re.compile(
    r"^\s*(?:(?P<account>[a-z0-9_]+:\S+)\s+)?(?P<size>[+-]?\d+(?:\.\d+)?)\s+(?P<symbol>[^\s@]+)"
    r"(?:\s*@\s*(?P<price>\d+(?:\.\d+)?))?(?:\s+x(?P<leverage>\d+(?:\.\d+)?))?\s*$"
)
_TRANSFER = re.compile(r"^\s*(?P<amount>\d+(?:\.\d+)?)\s+(?P<asset>\w+)\s+(?P<origin>\S+)\s*->\s*(?P<to>\S+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A trade to try: signed contracts of a symbol in an account, at a price (None: at the mark)."""

    account: str | None
    contracts: float
    symbol: str
    price: float | None = None
    leverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Money to move between cross balances; ``outside`` stands for anywhere that is not an account of the book."""

    amount: float
    asset: str
    origin: str
    destination: str


def parse_trade(text: str) -> Trade:
    """Return the trade in ``"[ACCOUNT] SIZE SYMBOL[@PRICE] [xLEVERAGE]"``.

    Raises
    ------
    UsageError
        If the text does not read so, or the size is 0.

    Examples
    --------
    >>> parse_trade("binance:mm -2 BTCUSDT@90000 x20").contracts
    -2.0
    """
    match = _ADD.match(text)
    if match is None or float(match["size"]) == 0.0:
        raise UsageError(
            f"was '{text}'",
            field="--add",
            allowed="[ACCOUNT] SIZE SYMBOL[@PRICE] [xLEVERAGE], for example 'binance:mm -2 BTCUSDT x20'",
        )
    return Trade(
        account=match["account"],
        contracts=float(match["size"]),
        symbol=match["symbol"],
        price=None if match["price"] is None else float(match["price"]),
        leverage=None if match["leverage"] is None else float(match["leverage"]),
    )


def parse_transfer(text: str) -> Transfer:
    """Return the transfer in ``"AMOUNT ASSET FROM -> TO"``.

    Raises
    ------
    UsageError
        If the text does not read so, or both places are the same.
    """
    match = _TRANSFER.match(text)
    if match is None or match["origin"] == match["to"] or float(match["amount"]) == 0.0:
        raise UsageError(
            f"was '{text}'",
            field="--transfer",
            allowed=f"AMOUNT ASSET FROM -> TO, places are account ids or '{OUTSIDE}'",
        )
    return Transfer(
        amount=float(match["amount"]), asset=match["asset"], origin=match["origin"], destination=match["to"]
    )


def changed_book(book: Book, trades: Sequence[Trade], transfers: Sequence[Transfer]) -> Book:
    """Return the book after the trades and transfers, for ``as_of``.

    A trade against a position realises its profit into the cross balance of the settle asset; an option's premium is
    paid or received at once. Trading fees are not counted. New positions stand in cross margin.

    Raises
    ------
    InputError, UsageError
        If an account, symbol, mark or balance is missing, or a trade meets an isolated or hedge-mode position.
    """
    accounts = {account.id: account for account in book.accounts}
    instruments = dict(book.instruments)
    for trade in trades:
        account = _account(accounts, trade.account, "--add")
        if (account.venue, trade.symbol) not in instruments:
            try:
                instruments[(account.venue, trade.symbol)] = symbols.resolve_instrument(
                    book.rulebooks[account.venue], trade.symbol
                )
            except InputError as error:
                raise error.located(source=book.source, account=account.id, field="--add") from error
        wider = replace(book, instruments=instruments)
        accounts[account.id] = _traded(wider, account, trade, instruments[(account.venue, trade.symbol)])
    for transfer in transfers:
        for place, sign in ((transfer.origin, -1.0), (transfer.destination, 1.0)):
            if place != OUTSIDE:
                account = _account(accounts, place, "--transfer")
                accounts[place] = _credited(account, transfer.asset, sign * transfer.amount)
    return replace(book, accounts=tuple(accounts.values()), instruments=instruments)


def _account(accounts: dict[str, Account], name: str | None, field: str) -> Account:
    if name is None and len(accounts) == 1:
        return next(iter(accounts.values()))
    if name not in accounts:
        raise UsageError(f"account was '{name or 'not stated'}'", field=field, allowed=", ".join(accounts))
    return accounts[name]


def _traded(book: Book, account: Account, trade: Trade, instrument: Instrument) -> Account:
    # The same contract may be written as the venue does or as ccxt does: the instrument decides.
    held = [p for p in account.positions if book.instruments[(account.venue, p.symbol)].id == instrument.id]
    if len(held) > 1 or (held and held[0].margin_mode is MarginMode.ISOLATED):
        raise InputError(
            f"{trade.symbol} is held in hedge mode or isolated margin",
            source=book.source,
            account=account.id,
            field="--add",
            allowed="trades in one-way cross positions",
        )
    old = held[0] if held else None
    probe = old or Position(symbol=trade.symbol, contracts=trade.contracts, entry_price=trade.price or 1.0)
    if instrument.kind is Kind.OPTION:
        return _option_traded(book, account, trade, instrument, old, probe)
    price = trade.price if trade.price is not None else mark_of(book, account, probe, instrument)
    if old is None:
        # A symbol that the market does not quote is marked at the price of the trade.
        quoted = book.market.mark(instrument_id=instrument.id, symbol=trade.symbol)
        new = replace(probe, entry_price=price, leverage=trade.leverage, mark_price=price if quoted is None else None)
        return replace(account, positions=(*account.positions, new))
    total = old.contracts + trade.contracts
    realised = _realised(instrument, old, trade.contracts, price)
    if realised:
        account = _credited(account, instrument.settle, realised)
    if total == 0.0:
        return replace(account, positions=tuple(p for p in account.positions if p is not old))
    leverage = trade.leverage or old.leverage
    changed = replace(
        old, contracts=total, entry_price=_entry(instrument, old, trade.contracts, price), leverage=leverage,
        reported=None,
    )  # fmt: skip
    return replace(account, positions=tuple(changed if p is old else p for p in account.positions))


def _option_traded(
    book: Book, account: Account, trade: Trade, instrument: Instrument, old: Position | None, probe: Position
) -> Account:
    """Return the account after a trade in an option, its premium paid or received in the settle asset."""
    price = trade.price if trade.price is not None else build_option(book, account, probe).mark
    if not price > 0.0:
        raise InputError(
            f"{trade.symbol} is marked at {price:g}", account=account.id, field="--add", allowed="a price by @PRICE"
        )
    account = _credited(account, instrument.settle, -trade.contracts * instrument.multiplier * price)
    if old is None:
        return replace(account, positions=(*account.positions, replace(probe, entry_price=price)))
    total = old.contracts + trade.contracts
    if total == 0.0:
        return replace(account, positions=tuple(p for p in account.positions if p is not old))
    if old.contracts * trade.contracts > 0.0:
        entry = (abs(old.contracts) * old.entry_price + abs(trade.contracts) * price) / abs(total)
    else:
        entry = old.entry_price if abs(trade.contracts) < abs(old.contracts) else price
    changed = replace(old, contracts=total, entry_price=entry, reported=None)
    return replace(account, positions=tuple(changed if p is old else p for p in account.positions))


def _realised(instrument: Instrument, old: Position, contracts: float, price: float) -> float:
    """Return the profit of the part of a position that a trade closes, in the settle asset."""
    if old.contracts * contracts >= 0.0:
        return 0.0
    closed = min(abs(contracts), abs(old.contracts)) * instrument.multiplier * (1.0 if old.contracts > 0 else -1.0)
    if instrument.payoff is Payoff.INVERSE:
        return closed * (1.0 / old.entry_price - 1.0 / price)
    return closed * (price - old.entry_price)


def _entry(instrument: Instrument, old: Position, contracts: float, price: float) -> float:
    """Return the entry price of what remains: averaged when the position grows, the trade's when it turns."""
    if old.contracts * contracts < 0.0:
        return old.entry_price if abs(contracts) < abs(old.contracts) else price
    weights = abs(old.contracts), abs(contracts)
    if instrument.payoff is Payoff.INVERSE:
        # Coin values add up, so that the harmonic mean keeps the unrealised profit.
        return sum(weights) / (weights[0] / old.entry_price + weights[1] / price)
    return (weights[0] * old.entry_price + weights[1] * price) / sum(weights)


def _credited(account: Account, asset: str, amount: float) -> Account:
    balances = list(account.balances)
    for index, balance in enumerate(balances):
        if balance.asset == asset:
            balances[index] = replace(balance, total_native=balance.total_native + amount)
            return replace(account, balances=tuple(balances))
    if amount < 0:
        raise InputError(
            f"holds no {asset}", account=account.id, field="balances", allowed="a balance of the asset that is taken"
        )
    return replace(account, balances=(*account.balances, Balance(asset=asset, total_native=amount)))
