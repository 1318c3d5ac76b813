"""Build: from the facts of a case to the account that goes through the product."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from margincover.model.position import Bucket
from tests.reference.verify.account import AccountSpec, PositionSpec
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.compare import asked
from tests.reference.verify.facts import Facts, as_number, half_unit, position_rows, side_of, tier_rows

# Keys of a size that counts dollars or coins, not contracts.
IN_MONEY = ("Q", "qty_usd", "size_usd", "qtyUsd", "qty_coin", "qty_btc", "size_coin", "size_btc")
# The words by which the families outside the product are known, and what to say of them.
OUT_OF_SCOPE = (
    ("option", "options"),
    ("portfolio", "portfolio margin"),
    (r"\bspan\b", "portfolio margin"),
    ("multi-asset", "multi-assets mode"),
    ("multi_asset", "multi-assets mode"),
    ("multiasset", "multi-assets mode"),
    ("borrow", "borrowing"),
    (r"\binterest", "interest"),
    ("insurance", "insurance fund and auto-deleveraging"),
    ("adl score", "auto-deleveraging"),
    ("order cost", "cost of an order before it is placed"),
    (r"(^|[^a-z])(cross)?pm([^a-z]|$)", "portfolio margin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What an adaptor decides of a case before its positions are read.

    ``symbols`` stand in, in this order, where a case names none. ``own_symbol`` turns a written symbol into one that
    the venue's rulebook reads. ``fill`` may change a position with the facts that only this venue states.
    """

    venue: str
    mode: str
    as_of: datetime
    symbols: Sequence[str]
    isolated: bool
    inverse: bool = False
    fee: float | None = None
    ratio_is_equity_over_maintenance: bool = False
    bankruptcy_without_fee: bool = True
    own_symbol: Callable[[str], str] = str
    fill: Callable[[PositionSpec, Facts], PositionSpec] = lambda spec, facts: spec


def refuse_fixture(case: Case) -> None:
    """Raise UnsupportedError for a payload that is no exchange's own."""
    if case.provenance == "synthetic_fixture":
        raise UnsupportedError("synthetic fixture: written by hand in another project, not an exchange's own numbers")


def refuse_out_of_scope(case: Case) -> None:
    """Raise UnsupportedError for families that the product does not model, by the words of the case."""
    for word, family in OUT_OF_SCOPE:
        if re.search(word, case.family):
            raise UnsupportedError(f"family not modelled: {family} ({case.venue} {case.product}, {case.account_mode})")


def describe(case: Case, setting: Setting, *, side: int | None = None) -> AccountSpec:
    """Return the account of a case.

    Parameters
    ----------
    side : int or None
        Side of a position whose facts say none; None takes the sign of its quantity.

    Raises
    ------
    UnsupportedError
        If the inputs describe no position.
    """
    rows = position_rows(case)
    if not rows:
        raise UnsupportedError("no position in the inputs (the list of positions was empty)")
    positions = _positions(setting, rows, side)
    account = Facts(*case.layers)
    wallet, equity = account.number("wallet"), account.number("equity")
    cross = [position for position in positions if not position.isolated]
    target = _target(case, positions, account)
    return AccountSpec(
        venue=setting.venue,
        mode=setting.mode,
        as_of=setting.as_of,
        positions=tuple(positions),
        wallet=wallet if cross else None,
        equity=equity if cross and wallet is None else None,
        aside=_aside(account, positions, rows) if cross else None,
        fee=setting.fee if setting.fee is not None else account.number("fee"),
        ratio_is_equity_over_maintenance=setting.ratio_is_equity_over_maintenance,
        bankruptcy_without_fee=setting.bankruptcy_without_fee,
        target=target,
        money_half_unit=max(half_unit(account.raw(name)) for name in ("wallet", "equity", "collateral")),
        entry_half_unit=max(half_unit(facts.raw("entry")) for _, facts in rows),
    )


def _positions(setting: Setting, rows: Sequence[tuple[str, Facts]], side: int | None) -> list[PositionSpec]:
    names = _stand_ins(setting.symbols)
    leg_symbol: str | None = None
    found = []
    for label, facts in rows:
        symbol = facts.text("symbol")
        if symbol is None and label in ("both", "long", "short"):
            # Legs that stand under their sides are those of one symbol.
            symbol = leg_symbol = leg_symbol or next(names)
        found.append(_position(setting, setting.own_symbol(symbol or next(names)), label, facts, side))
    return _with_one_mark(_with_buckets(found, rows), rows)


def _stand_ins(symbols: Sequence[str]) -> Iterator[str]:
    """Yield the symbols that stand in for positions without one."""
    yield from symbols
    raise UnsupportedError(f"more than {len(symbols)} positions without a symbol")


def _position(setting: Setting, symbol: str, label: str, facts: Facts, side: int | None) -> PositionSpec:
    quantity, mark = _quantity_and_mark(setting, facts)
    entry = facts.number("entry")
    direction = facts.side or (side_of(label) if label in ("long", "short") else None) or side
    collateral = facts.number("collateral")
    if collateral is None:
        # The wallet of an isolated position is what was assigned to it.
        collateral = facts.number("wallet")
    isolated = _row_isolated(facts, setting.isolated)
    leverage = facts.number("leverage")
    tiers = facts.named("tiers", "brackets")
    return setting.fill(
        PositionSpec(
            symbol=symbol,
            label=label,
            contracts=quantity if direction is None else direction * abs(quantity),
            mark=mark,
            entry=entry,
            isolated=isolated,
            leverage=leverage,
            collateral=collateral if isolated else None,
            extra_collateral=facts.number("extra") or 0.0,
            rate=facts.number("rate"),
            deduction=facts.number("deduction"),
            # A size in dollars (inverse) or in coins (linear) needs no contract size.
            multiplier=1.0 if facts.in_units_of(*IN_MONEY) else facts.number("multiplier"),
            tick=facts.number("tick"),
            tiers=tier_rows(tiers) if tiers is not None and facts.number("rate") is None else (),
        ),
        facts,
    )


def _quantity_and_mark(setting: Setting, facts: Facts) -> tuple[float, float]:
    """Return quantity and mark; a case without a mark is a fresh position, whose mark is its entry."""
    quantity, mark = facts.number("quantity"), facts.number("mark") or facts.number("entry")
    notional = facts.number("notional")
    if quantity is None and notional is not None:
        # A bare notional: as many units at the stated price, or at a price of 1, as make it up.
        mark = mark or 1.0
        return (notional * mark if setting.inverse else notional / mark), mark
    if not quantity:
        raise UnsupportedError(f"no position in the inputs (keys {', '.join(sorted(_keys(facts)))})")
    if mark is None and notional:
        mark = abs(quantity / notional if setting.inverse else notional / quantity)
    if mark is None:
        raise UnsupportedError("neither entry nor mark in the inputs")
    return quantity, mark


def _keys(facts: Facts) -> list[str]:
    return [key for layer in facts.layers for key in layer]


def _row_isolated(facts: Facts, default: bool) -> bool:
    """Return the margin mode that a row states for itself, else that of the case."""
    stated = str(facts.named("marginType", "margin_type", "margin_mode", "mgnMode") or "").lower()
    leverage = facts.named("leverage")
    if not stated and isinstance(leverage, Mapping):
        stated = str(leverage.get("type", "")).lower()
    return stated == "isolated" if stated in ("cross", "crossed", "isolated") else default


def _with_one_mark(positions: Sequence[PositionSpec], rows: Sequence[tuple[str, Facts]]) -> list[PositionSpec]:
    """Return the positions with one mark for the legs of a symbol where the case states none: the largest leg's."""
    largest: dict[str, PositionSpec] = {}
    for position in positions:
        held = largest.get(position.symbol)
        if held is None or abs(position.contracts) > abs(held.contracts):
            largest[position.symbol] = position
    return [
        position if facts.number("mark") is not None else replace(position, mark=largest[position.symbol].mark)
        for position, (_, facts) in zip(positions, rows, strict=True)
    ]


def _with_buckets(positions: Sequence[PositionSpec], rows: Sequence[tuple[str, Facts]]) -> list[PositionSpec]:
    """Return the positions in hedge mode's buckets where a symbol has several, or the payload says so."""
    symbols = [position.symbol for position in positions]
    done = []
    for position, (label, facts) in zip(positions, rows, strict=True):
        stated = str(facts.named("positionSide", "posSide") or "").upper()
        index = as_number(facts.named("positionIdx"))
        hedged = stated in ("LONG", "SHORT") or index in (1.0, 2.0)
        if (symbols.count(position.symbol) > 1 and label != "both" and stated != "BOTH") or hedged:
            position = replace(position, bucket=Bucket.LONG if position.contracts > 0 else Bucket.SHORT)
        done.append(position)
    return done


def _target(case: Case, positions: Sequence[PositionSpec], account: Facts) -> int:
    """Return the position that unnamed figures are about."""
    named = account.named("liquidation_price_of", "of", "target", "for_symbol")
    for number, position in enumerate(positions):
        if isinstance(named, str) and named.lower() in (position.symbol.lower(), position.label.lower()):
            return number
    if len(positions) > 1:
        # A captured account with several positions names the one in question by its own size and entry.
        context = Facts(case.layers[0])
        size, entry = context.number("quantity"), context.number("entry")
        for number, position in enumerate(positions):
            if (
                size is not None
                and abs(abs(position.contracts) - abs(size)) <= 1e-12
                and entry in (None, position.entry)
            ):
                return number
    return 0


def _aside(account: Facts, positions: Sequence[PositionSpec], rows: Sequence[tuple[str, Facts]]) -> float | None:
    """Return the frozen headroom of positions given as sums only; None where every position is listed."""
    maintenance, profit = account.number("other_maintenance"), account.number("other_profit")
    if len({p.symbol for p in positions}) > 1 or (maintenance is None and profit is None):
        return None
    aside = (profit or 0.0) - (maintenance or 0.0)
    return aside if aside != 0.0 else None


def any_size(case: Case, isolated: bool) -> Case:
    """Return the case with a size of 1 where it gives none and asks for prices of an isolated position only.

    Such a price does not depend on the size: collateral is the initial margin, in proportion to it.
    """
    facts = Facts(*case.layers)
    listed = facts.named("positions", "legs", "long", "short") is not None
    sized = listed or facts.number("quantity") is not None or facts.number("notional") is not None
    names = [wanted.name or "" for wanted in asked(case)]
    prices = all(name.startswith(("liquidation", "bankruptcy")) for name in names)
    if sized or not isolated or not prices or facts.number("leverage") is None or facts.number("entry") is None:
        return case
    return replace(case, layers=({"qty": 1.0}, *case.layers))
