"""Compare what option venues require for the same BTC structures, bare and hedged with the venue's perpetual.

Run: python examples/option_margins.py [FOLDER]

Prints what opening each structure takes, and a table of all figures. With a folder the books are kept there, to be
tried with ``margincover status``, ``whatif`` and ``cover``. The figures are argued in
docs/how-to/compare-option-margins.md.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log, sqrt
from pathlib import Path
from statistics import NormalDist

import margincover as mc
from margincover.model.results import PoolStatus

AS_OF = datetime(2026, 11, 25, 8, tzinfo=UTC)
SPOT = 100_000.0
COINS = 10.0
NOTIONAL_USD = COINS * SPOT
CAPITAL_USD = 300_000.0
NEAR, FAR = datetime(2026, 12, 25, 8, tzinfo=UTC), datetime(2027, 3, 26, 8, tzinfo=UTC)  # 30 and 121 days
FORWARD = {NEAR: 100_400.0, FAR: 101_700.0}
AT_THE_MONEY = {NEAR: 0.50, FAR: 0.52}
LEVERAGE = 50  # of the perpetual, where an account chooses it: the highest that all five venues grant
FUNDING_PER_HOUR = 0.00001
FURTHEST_MOVE = 3.0  # a move beyond +300 % is no move to plan for


@dataclass(frozen=True, kw_only=True)
class Option:
    """One leg in coins, > 0 long; the same on every venue."""

    expiry: datetime
    strike: int
    right: str  # "C" or "P"
    coins: float

    @property
    def years(self) -> float:
        return (self.expiry - AS_OF).total_seconds() / (365 * 86_400)

    @property
    def volatility(self) -> float:
        """Implied volatility: a parabola in standard deviations from the forward, dearer on the downside."""
        level = AT_THE_MONEY[self.expiry]
        x = log(self.strike / FORWARD[self.expiry]) / (level * sqrt(self.years))
        return round(level - 0.02 * x + 0.015 * x * x, 4)

    @property
    def delta_coins(self) -> float:
        sign = 1 if self.right == "C" else -1
        return self.coins * sign * NormalDist().cdf(sign * self._d1)

    @property
    def price_usd(self) -> float:
        """Black (1976) on the forward, not discounted: the mark of every venue here."""
        sign, normal = (1 if self.right == "C" else -1), NormalDist().cdf
        d2 = self._d1 - self.volatility * sqrt(self.years)
        return sign * (FORWARD[self.expiry] * normal(sign * self._d1) - self.strike * normal(sign * d2))

    @property
    def _d1(self) -> float:
        deviation = self.volatility * sqrt(self.years)
        return log(FORWARD[self.expiry] / self.strike) / deviation + deviation / 2


def near(strike: int, right: str, coins: float) -> Option:
    return Option(expiry=NEAR, strike=strike, right=right, coins=coins)


def far(strike: int, right: str, coins: float) -> Option:
    return Option(expiry=FAR, strike=strike, right=right, coins=coins)


STRUCTURES = {
    "short strangle": (near(91_000, "P", -COINS), near(112_000, "C", -COINS)),
    "call calendar": (near(100_000, "C", -COINS), far(100_000, "C", COINS)),
    "straddle calendar": (
        *(near(100_000, right, -COINS) for right in "PC"),
        *(far(100_000, right, COINS) for right in "PC"),
    ),
    "short put spread": (near(95_000, "P", -COINS), near(85_000, "P", COINS)),
}


@dataclass(frozen=True, kw_only=True)
class Venue:
    """How a venue names, counts and settles the structures, and what its rules need besides."""

    name: str
    modes: tuple[str, ...]
    asset: str
    symbol: str
    expiry: str
    perpetual: str
    coins_per_contract: float = 1.0
    perpetual_contracts_per_coin: float = 1.0
    short_option: tuple[tuple[str, float], ...] = ()
    hedge: tuple[tuple[str, float], ...] = ()
    hedge_of: tuple[str, ...] = ()  # the modes that ask for ``hedge``; none named: all of them


VENUES = (
    Venue(
        name="deribit",
        modes=("segregated_sm", "segregated_pm", "cross_sm", "cross_pm"),
        asset="BTC",
        symbol="BTC-{expiry}-{strike}-{right}",
        expiry="%d%b%y",
        perpetual="BTC-PERPETUAL",
        perpetual_contracts_per_coin=SPOT,  # contracts of 1 USD
        # Two thirds of 1 / 50, the rate of small positions; the risk matrices take no rate.
        hedge=(("maintenance_fraction", 2 / 3 / 50),),
        hedge_of=("segregated_sm", "cross_sm"),
    ),
    Venue(
        name="okx",
        modes=("futures", "multi_currency", "portfolio"),
        asset="BTC",
        symbol="BTC-USD-{expiry}-{strike}-{right}",
        expiry="%y%m%d",
        perpetual="BTC-USD-SWAP",
        coins_per_contract=0.01,
        perpetual_contracts_per_coin=SPOT / 100,  # contracts of 100 USD
        short_option=(("maintenance_fraction", 0.03),),  # c times the factor 1 of the first option tier
        # No table of BTC-USD-SWAP is packaged: this is the first tier of BTC-USDT-SWAP, here an assumption.
        hedge=(("maintenance_fraction", 0.004), ("leverage", LEVERAGE)),
    ),
    Venue(
        name="bybit",
        modes=("uta_cross", "uta_portfolio"),
        asset="USDC",
        symbol="BTC-{expiry}-{strike}-{right}",
        expiry="%d%b%y",
        perpetual="BTCPERP",
        hedge=(("leverage", LEVERAGE),),
    ),
    Venue(
        name="derive",
        modes=("standard", "portfolio"),
        asset="USDC",
        symbol="BTC-{expiry}-{strike}-{right}",
        expiry="%Y%m%d",
        perpetual="BTC-PERP",
    ),
    Venue(
        name="paradex",
        modes=("cross", "portfolio"),
        asset="USDC",
        symbol="BTC-USD-{expiry}-{strike}-{right}",
        expiry="%d%b%y",
        perpetual="BTC-USD-PERP",
        hedge=(("leverage", LEVERAGE),),
    ),
)


def symbol_of(venue: Venue, leg: Option) -> str:
    expiry = leg.expiry.strftime(venue.expiry).upper()
    return venue.symbol.format(expiry=expiry, strike=leg.strike, right=leg.right)


def hedge_coins(legs: tuple[Option, ...]) -> float:
    """Return the perpetual that takes the delta of the options away, in steps of 0.01 coin."""
    return -round(sum(leg.delta_coins for leg in legs), 2)


def book_of(venue: Venue, mode: str, legs: tuple[Option, ...], *, is_hedged: bool) -> dict[str, object]:
    """Return the book just after the trade: every entry is the mark, premiums are paid or received."""
    coin = SPOT if venue.asset == "BTC" else 1.0
    # Paradex settles no premium in cash: an option counts with its profit since entry.
    premium_usd = 0.0 if venue.name == "paradex" else -sum(leg.coins * leg.price_usd for leg in legs)
    positions: list[dict[str, object]] = [
        {
            "symbol": symbol_of(venue, leg),
            "contracts": leg.coins / venue.coins_per_contract,
            "entry_price": leg.price_usd / (FORWARD[leg.expiry] if coin > 1 else 1.0),
        }
        | (dict(venue.short_option) if leg.coins < 0 else {})
        for leg in legs
    ]
    if is_hedged:
        contracts = hedge_coins(legs) * venue.perpetual_contracts_per_coin
        facts = dict(venue.hedge) if mode in (venue.hedge_of or venue.modes) else {}
        positions.append({"symbol": venue.perpetual, "contracts": contracts, "entry_price": SPOT} | facts)
    stamp = AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ")
    account = {
        "id": f"{venue.name}:desk",
        "mode": mode,
        "balances": [{"asset": venue.asset, "total": (CAPITAL_USD + premium_usd) / coin}],
        "positions": positions,
    }
    market = {
        "observed_at": stamp,
        "asset_usd": {"BTC": SPOT, "USDC": 1.0, "USDT": 1.0},
        "marks": {venue.perpetual: SPOT},
        "funding_per_hour": {venue.perpetual: FUNDING_PER_HOUR},
        "forwards": {f"BTC-{expiry:%y%m%d}": forward for expiry, forward in FORWARD.items()},
        "interest_rate_per_year": {f"BTC-{expiry:%y%m%d}": 0.05 for expiry in FORWARD},
        "implied_volatility": {symbol_of(venue, leg): leg.volatility for leg in legs},
    }
    return {"schema_version": 1, "as_of": stamp, "market": market, "accounts": [account]}


def books() -> Iterator[tuple[str, str, bool, dict[str, object]]]:
    """Give every book with its structure, venue and mode, and whether it is hedged."""
    for structure, legs in STRUCTURES.items():
        for venue in VENUES:
            for mode in venue.modes:
                for is_hedged in (False, True):
                    yield structure, f"{venue.name} {mode}", is_hedged, book_of(venue, mode, legs, is_hedged=is_hedged)


def file_name(structure: str, mode: str, *, is_hedged: bool) -> str:
    return f"{structure} {mode}{' hedged' if is_hedged else ''}.json".replace(" ", "-")


def percent(fraction: float, sign: str = "") -> str:
    return f"{100 * fraction:{sign}.1f} %"


def moves(pool: PoolStatus) -> str:
    """Return the moves of the coin at which the venue closes the account, with 300,000 USD put in."""
    if pool.state == "liquidatable":
        return "now"
    words = []
    for move in (pool.common_move_down, pool.common_move_up):
        words.append("none" if move is None or abs(move) > FURTHEST_MOVE else percent(move, "+"))
    return " / ".join(words)


def cells(file: Path) -> list[str]:
    """Return margins, their share of the notional, the capital that they ask for, and the moves to liquidation."""
    try:
        (pool,) = mc.status(mc.load(file)).result.pools  # each of these accounts is one pool
    except mc.InputError as error:  # a rule that is not known, or a position that the mode does not hold
        return ["refused", "", "", "", "", "", str(error.found)]
    if pool.initial_usd is None:
        raise SystemExit(f"{pool.pool_id}: initial margin was not stated")
    return [
        f"{pool.initial_usd:,.0f}",
        percent(pool.initial_usd / NOTIONAL_USD),
        f"{pool.maintenance_usd:,.0f}",
        percent(pool.maintenance_usd / NOTIONAL_USD),
        # What the account holds beyond the margin could have been left out at the start.
        f"{CAPITAL_USD - (pool.equity_usd - pool.initial_usd):,.0f}",
        f"{CAPITAL_USD - (pool.equity_usd - pool.maintenance_usd):,.0f}",
        moves(pool),
    ]


HEADINGS = ("structure", "mode", "hedge", "IM USD", "IM", "MM USD", "MM", "to open", "to keep", "liquidated at")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One book of the table and its figures."""

    structure: str
    mode: str
    is_hedged: bool
    figures: list[str]

    @property
    def line(self) -> str:
        hedge = f"{hedge_coins(STRUCTURES[self.structure]):+.2f}" if self.is_hedged else "none"
        return f"| {' | '.join((self.structure, self.mode, hedge, *self.figures))} |"


def rows(folder: Path) -> list[Row]:
    """Return one row a book, with the books written to the folder."""
    found = []
    for structure, mode, is_hedged, book in books():
        file = folder / file_name(structure, mode, is_hedged=is_hedged)
        file.write_text(json.dumps(book, indent=1), encoding="utf-8")
        found.append(Row(structure=structure, mode=mode, is_hedged=is_hedged, figures=cells(file)))
    return found


def summary_lines(table: list[Row]) -> list[str]:
    """Return the capital to open, bare / hedged: a line for each mode, a column for each structure."""
    lines = [f"| to open, USD: bare / hedged | {' | '.join(STRUCTURES)} |", "|---" + "|--:" * len(STRUCTURES) + "|"]
    column = HEADINGS.index("to open") - 3
    for mode in dict.fromkeys(row.mode for row in table):
        cell = {
            structure: [row.figures[column] for row in table if (row.mode, row.structure) == (mode, structure)]
            for structure in STRUCTURES
        }
        words = [" / ".join(pair) if all(pair) else "refused" for pair in cell.values()]
        lines.append(f"| {mode} | {' | '.join(words)} |")
    return lines


def full_lines(table: list[Row]) -> list[str]:
    """Return all figures, a line for each book."""
    return [f"| {' | '.join(HEADINGS)} |", "|---|---|--:|--:|--:|--:|--:|--:|--:|---|", *(row.line for row in table)]


def leg_lines() -> list[str]:
    """Return the legs with the market that every venue sees."""
    return [
        "| structure | coins | option | volatility | mark USD | delta |",
        "|---|--:|---|--:|--:|--:|",
        *(
            f"| {structure} | {leg.coins:+.0f} | {leg.expiry:%d %b %Y} {leg.strike:,} {leg.right}"
            f" | {percent(leg.volatility)} | {leg.price_usd:,.2f} | {leg.delta_coins:+.3f} |"
            for structure, legs in STRUCTURES.items()
            for leg in legs
        ),
    ]


def main(folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(folder or scratch)
        place.mkdir(parents=True, exist_ok=True)
        table = rows(place)
    for lines in (leg_lines(), summary_lines(table), full_lines(table)):
        print("\n".join(lines), end="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
