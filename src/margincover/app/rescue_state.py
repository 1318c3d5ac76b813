"""The state in which a rescue starts: the book as it is, after a shock, or after the first hours of an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from margincover.app.stress import book_names
from margincover.coverage.stress_states import CLOSE, PoolBooks, evaluate_path, pool_paths
from margincover.errors import InputError, NotSupportedError, UsageError
from margincover.model.account import Account
from margincover.model.book import Book
from margincover.model.instrument import Kind
from margincover.model.pool import MarginPool
from margincover.model.stress import StressScenario
from margincover.scenarios.calibration import Calibration
from margincover.scenarios.episodes import load_episodes
from margincover.scenarios.shocks import parse_shock, resolve_shock
from margincover.venues.legs import mark_of
from margincover.venues.pools import build_pools


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueState:
    """A book in the state in which the rescue starts, in words, and the venues through which no money goes."""

    book: Book
    text: str
    frozen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def rescue_state(
    book: Book, *, scenario: str | None, after_hours: int | None, shock: str | None, calibration: Calibration
) -> RescueState:
    """Return the state of a book as it is, after a shock, or after the first hours of an episode.

    Raises
    ------
    UsageError
        If both a scenario and a shock are stated, or hours that the episode does not have.
    InputError
        If a scenario, coin, asset or venue is not known.
    NotSupportedError
        If an account holds options: their marks in the moved state are not stated by the book.
    """
    if scenario is None and shock is None:
        if after_hours is not None:
            raise UsageError(f"was {after_hours}", field="--after", allowed="together with --scenario")
        return RescueState(book=book, text="the book as it is")
    if scenario is not None and shock is not None:
        raise UsageError("a scenario and a shock", field="--shock", allowed="one of --scenario and --shock")
    _refuse_options(book)
    pools = build_pools(book, funding_fallback=calibration.pessimistic_funding_per_hour)
    if scenario is not None:
        chosen = _episode(scenario)
        hours = 1 if after_hours is None else after_hours
        if not 1 <= hours <= chosen.n_hours:
            raise UsageError(f"was {hours}", field="--after", allowed=f"1 to {chosen.n_hours} hours of {chosen.name}")
        text = f"after the first {hours} h of {chosen.name} ({chosen.title})"
    else:
        if after_hours is not None:
            raise UsageError(f"was {after_hours}", field="--after", allowed="together with --scenario")
        assert shock is not None, "Invariant: one of both is stated"
        chosen, hours, text = _shock(shock, book, pools), 1, f"after {shock}"
    return _moved(book, pools, chosen, hours - 1, text, calibration)


def _episode(name: str) -> StressScenario:
    try:
        return load_episodes().chosen((name,))[0]
    except InputError as error:
        allowed = (error.allowed or "").removeprefix("all, none, or ")
        raise UsageError(error.found, field="--scenario", allowed=allowed) from None


def _shock(text: str, book: Book, pools: Sequence[MarginPool]) -> StressScenario:
    try:
        return resolve_shock(parse_shock(text), book_names(book, pools))
    except InputError as error:
        raise UsageError(error.found, field=error.field, allowed=error.allowed) from None


def _refuse_options(book: Book) -> None:
    for account in book.accounts:
        for position in account.positions:
            if book.instruments[(account.venue, position.symbol)].kind is Kind.OPTION:
                raise NotSupportedError(
                    f"holds the option {position.symbol}",
                    source=book.source,
                    account=account.id,
                    field="--scenario",
                    allowed="a rescue after a stress for accounts without options; without --scenario and --shock all",
                )


def _moved(
    book: Book, pools: Sequence[MarginPool], scenario: StressScenario, hour: int, text: str, calibration: Calibration
) -> RescueState:
    """Move every mark and asset price to the close of an hour; nothing else of the book changes."""
    ratios: dict[tuple[str, str], float] = {}
    common: dict[str, float] = {}
    fills: list[str] = []
    books = PoolBooks(book=book, calibration=calibration)
    for pool in pools:
        path = pool_paths(scenario, pool, book.proxies, calibration)[0]
        for column, factor in enumerate(pool.factors):
            ratio = float(path.ratio[hour, CLOSE, column])
            ratios.setdefault((pool.venue, factor), ratio)
            common.setdefault(factor, ratio)
        fills += [f"{factor} at {pool.venue}: {rule}" for factor, rule in path.rules.items()]
        states = evaluate_path(scenario, pool, path, books)
        lost = (states.equity <= states.maintenance)[: hour + 1].any(axis=1) & (not pool.is_flat)
        if scenario.is_path and lost.any():
            # A close that looks well again does not bring back what was closed before it.
            fills.append(
                f"{pool.id} was liquidatable in hour {int(lost.argmax()) + 1} of {scenario.name}: the plan "
                "starts as if it had not been closed"
            )
    for row, factor in enumerate(scenario.factors):
        common[factor] = float(scenario.close[hour, row])
    prices = {name: price * common.get(name, 1.0) for name, price in book.market.asset_usd.items()}
    notes = [*fills, *_moved_assets(book, scenario, hour, prices)]
    accounts = tuple(_moved_account(book, account, ratios) for account in book.accounts)
    marks = _moved_marks(book, ratios)
    # A halt whose end lies within the plan is taken as one without an end: no plan may wait for it.
    halts = [h for h in scenario.halts if h.from_hour <= hour + 1 and (h.to_hour is None or h.to_hour > hour + 1)]
    venues = {account.venue for account in book.accounts}
    frozen = tuple(dict.fromkeys(halt.venue for halt in halts if halt.venue in venues and not halt.assets))
    partial = [asset for halt in halts if halt.venue in venues for asset in halt.assets]
    if partial:
        notes.append(f"{', '.join(partial)} halted at a venue: taken as frozen everywhere")
    if scenario.funding or scenario.common_funding is not None:
        notes.append("funding paid on the way to this state is not taken off the wallets")
    moved = replace(book, accounts=accounts, market=replace(book.market, marks=marks, asset_usd=prices))
    return RescueState(book=moved, text=text, frozen=(*frozen, *dict.fromkeys(partial)), notes=tuple(notes))


def _moved_assets(book: Book, scenario: StressScenario, hour: int, prices: dict[str, float]) -> list[str]:
    """Set prices of assets that left their level; one that did at a single venue counts at the lower price anywhere."""
    notes = []
    for move in scenario.asset_moves:
        name = next((name for name in prices if name.upper() == move.asset.upper()), None)
        if name is None or not move.is_active(hour):
            continue
        moved = move.price_usd if move.price_usd is not None else book.market.asset_usd[name] * (move.ratio or 1.0)
        if move.venue is not None:
            notes.append(f"{name} at {move.venue}: its price there is taken for every venue")
            moved = min(moved, prices[name])
        prices[name] = moved
    return notes


def _moved_account(book: Book, account: Account, ratios: dict[tuple[str, str], float]) -> Account:
    positions = []
    for position in account.positions:
        instrument = book.instruments[(account.venue, position.symbol)]
        ratio = ratios[(account.venue, instrument.factor)]
        mark = mark_of(book, account, position, instrument) * ratio
        positions.append(replace(position, mark_price=mark, reported=None))
    # What the venue reported was of another state.
    return replace(account, positions=tuple(positions), reported=())


def _moved_marks(book: Book, ratios: dict[tuple[str, str], float]) -> dict[str, float]:
    marks = dict(book.market.marks)
    for (venue, symbol), instrument in book.instruments.items():
        ratio = ratios.get((venue, instrument.factor))
        for key in dict.fromkeys((instrument.id, f"{symbol}.{venue.upper()}")):
            if ratio is not None and key in book.market.marks:
                marks[key] = book.market.marks[key] * ratio
    return marks
