"""Paradex: cross margin of perpetuals and options, order checks, partial liquidation, the floor by delta, payloads.

Positions go through the product's book. Resting orders, which a book may not hold at this venue, penalties, limits and
the floor by delta are asked of the public functions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from margincover.venues.paradex import cross
from margincover.venues.paradex import liquidation as around
from margincover.venues.paradex import portfolio as pm
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors import paradex_book
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number, plain, side_of

AT = datetime(2026, 8, 20, tzinfo=UTC)
POSITION = ("position", "size", "quantity", "qty", "positionsize")
MARK = ("mark", "markprice")
INITIAL = ("imf", "initialmarginfraction", "imfbase")
VALUE = ("accountvalue", "accountvalueusd", "equity")
IMR = ("initialmarginrequirement", "imr", "initialmargin")
MMR = ("maintenancemarginrequirement", "mmr", "maintenancemargin")
SPELLINGS = {
    "initial": "imr initialmargin initialmarginrequirement im imrusd",
    "maintenance": "mmr maintenancemargin maintenancemarginrequirement mm mmrusd",
    "netinitial": "netimr netinitialmargin positionimr",
    "buyopen": "buyopen buyopensize",
    "sellopen": "sellopen sellopensize",
    "fee": "feeprovision feeprovisionusd",
    "openloss": "openloss",
    "value": "accountvalue accountvalueusd equity",
    "upnl": "upnl unrealizedpnl unrealisedpnl pnl totalpnl totalupnl",
    "chosen": "chosenshare share liquidationshare",
    "mindelta": "mindelta minimumdelta mindeltarequirement mindeltausd",
    "socialised": "factor socialisedlossfactor socializedlossfactor lossfactor withdrawalfactor rate haircut",
    "free": "freecollateral available withdrawable",
    "ratio": "marginratio mr",
    "costusd": "costusd",
    "keptsells": "keptsells keptsell",
    "keptbuys": "keptbuys keptbuy",
}


def answer(case: Case, side: int | None) -> Answer:
    """Return the figures of a Paradex case."""
    given = inputs_of(case, nested=False)
    stated = set(given.keys())
    for needed, read in _FAMILIES:
        if all(stated & set(options) for options in needed):
            return read(case, given)
    raise UnsupportedError(f"no rule for these inputs of paradex {case.product}: {', '.join(sorted(given.keys()))}")


def _orders(case: Case, given: Inputs) -> Answer:
    held = _signed(given)
    buys, sells = (
        given.number("buyorders", "buys", "openbuys") or 0.0,
        given.number("sellorders", "sells", "opensells") or 0.0,
    )
    resting = {"position": held, "buy_orders": buys, "sell_orders": sells}
    buy, sell = cross.open_sizes(**resting)
    figures: dict[str, object] = {"buyopen": float(buy), "sellopen": float(sell)}
    mark, fraction = given.number(*MARK), given.number(*INITIAL)
    missing = {"initial": "the fee provision and the open loss of orders need fees and order prices"}
    if mark is not None and fraction is not None:
        net = float(cross.perpetual_net_initial_usd(**resting, mark_price=mark, fraction=fraction))
        figures["netinitial"] = net
        fee = given.number("takerfee", "fee", "feerate")
        if not buys and not sells:
            figures["netinitial"] = _initial(held, mark, fraction, 0.0)
        if fee is not None:
            figures["fee"] = float(cross.perpetual_fee_provision_usd(**resting, mark_price=mark, taker_fee=fee))
            if not buys and not sells:
                figures["initial"] = _initial(held, mark, fraction, fee)
        figures |= _maintenance(given, held, mark, fee)
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def _initial(held: float, mark: float, fraction: float, fee: float) -> float:
    """Return the initial margin of a perpetual without orders, from the product."""
    row = paradex_book.Held(coin="BTC", size=held, mark=mark, initial=fraction)
    found = paradex_book.perpetuals([row], fee=fee).initial
    assert found is not None, "Invariant: the leverage is stated"
    return found


def _maintenance(given: Inputs, held: float, mark: float, fee: float | None) -> dict[str, object]:
    """Return maintenance from a stated fraction of it, or as a share of the initial fraction; both with the fee."""
    own, initial = given.number("mmf", "maintenancemarginfraction"), given.number(*INITIAL)
    factor = given.number("mmffactor", "maintenancefactor")
    if own is None and (fee is None or initial is None):
        return {}
    row = paradex_book.Held(coin="BTC", size=held, mark=mark, initial=initial)
    if own is not None or factor is not None:
        row = replace(row, initial=None, maintenance=own if own is not None else (initial or 0.0) * (factor or 0.0))
    return {"maintenance": paradex_book.perpetuals([row], fee=fee or 0.0).maintenance}


def _partial(case: Case, given: Inputs) -> Answer:
    rows = [_leg(row) for row in given.rows("positions")]
    usdc, fraction = given.need("usdc", "balance", "collateral"), given.need("mmf", "maintenancemarginfraction")

    def account(scale: float) -> paradex_book.Account:
        # The page's rate is maintenance of notional with the fee inside.
        held = [replace(row, size=scale * row.size, maintenance=fraction) for row in rows]
        return paradex_book.perpetuals(held, wallet=usdc)

    whole = account(1.0)
    required, profit, value = whole.maintenance, whole.profit, whole.equity
    settings = _liquidation(given)
    chosen = float(around.liquidation_share(account_value_usd=value, maintenance_usd=required, parameters=settings))

    def penalty_of(share: float) -> float:
        return float(around.penalty_usd(share=share, maintenance_usd=required, parameters=settings))

    table = []
    for row in case.expected.get("table", ()):  # type: ignore[attr-defined]  # a list of rows, else unreadable
        left = account(1.0 - row[0]).maintenance if row[0] < 1.0 else 0.0
        paid = penalty_of(row[0])
        table.append([row[0], left, paid, value - paid, left / (value - paid)])
    figures = {"maintenance": required, "value": value, "upnl": profit, "table": table, "chosen": chosen}
    figures["penalty"] = penalty_of(chosen)
    figures["remainingusdc"] = usdc + chosen * profit - penalty_of(chosen)
    figures["ratio"] = required / value if value > 0 else None
    return named(case, figures, spellings=SPELLINGS)


def _leg(row: object) -> paradex_book.Held:
    """Return the position of a row: [coin, size, entry, mark] or an object."""
    if isinstance(row, Mapping):
        facts = Inputs(row)
        return paradex_book.Held(
            coin=_coin(facts.value("market", "symbol", "coin", "asset", "base")),
            size=_signed(facts),
            entry=facts.need("entry", "entryprice", "averageentryprice"),
            mark=facts.need(*MARK),
        )
    words = [item for item in row if as_number(item) is None]  # type: ignore[attr-defined]
    size, entry, mark = [float(item) for item in row if as_number(item) is not None]  # type: ignore[attr-defined]
    return paradex_book.Held(coin=_coin(words[0] if words else None), size=size, entry=entry, mark=mark)


def _coin(name: object) -> str:
    return str(name).partition("-")[0].upper() if isinstance(name, str) and name else "BTC"


def _liquidation(given: Inputs) -> around.ParadexLiquidationParameters:
    values = dict(parameters("paradex", mode="liquidation", underlying="*", at=AT).values)
    stated = {
        "fee_of_maintenance_fraction": given.number("feefractionofmmr", "fee", "feefraction", "liquidationfee"),
        "share_step_fraction": given.number("sharestep", "step"),
        "target_utilisation_fraction": given.number("targetratio", "target"),
    }
    values |= {name: value for name, value in stated.items() if value is not None}
    return around.ParadexLiquidationParameters.from_mapping(values, source="case")


def _delta_floor(case: Case, given: Inputs) -> Answer:
    rows = [[float(part) for part in row] for row in given.rows("deltas", "legs")]  # type: ignore[attr-defined]
    # A row is quantity and delta of one unit.
    legs = np.array([[np.prod(row)] for row in rows])
    spot = np.array([given.need("spot", "index", "spotprice")])
    grid = parameters("paradex", mode="portfolio", underlying="BTC", at=AT)
    rule = pm.ParadexPortfolioParameters.from_mapping(grid.values, source=grid.id)
    unhedged, hedged = given.number("unhedged", "unhedgedfraction"), given.number("hedged", "hedgedfraction")
    rule = replace(
        rule,
        unhedged_fraction=rule.unhedged_fraction if unhedged is None else unhedged,
        hedged_fraction=rule.hedged_fraction if hedged is None else hedged,
    )

    def floor(net: float, pair: float) -> float:
        # One coin of net (or hedged) delta at a price of 1 and a fraction of 1 is the delta itself.
        unit = replace(rule, unhedged_fraction=net, hedged_fraction=pair)
        return float(pm.minimum_delta_usd(deltas=legs, spot=np.ones(1), parameters=unit)[0])

    figures = {
        "netdelta": float(np.copysign(floor(1.0, 0.0), legs.sum())),
        "hedgeddelta": floor(0.0, 1.0),
        "grossdelta": floor(1.0, 2.0),
        "mindelta": float(pm.minimum_delta_usd(deltas=legs, spot=spot, parameters=rule)[0]),
    }
    return named(case, figures, spellings=SPELLINGS)


def _order_check(case: Case, given: Inputs) -> Answer:
    cash, size, fraction = given.need("collateral", "usdc"), given.need("order", "position"), given.need(*INITIAL)
    first, later = given.need("mark0"), given.need("mark1")

    def initial(mark: float, sells: float = 0.0) -> float:
        if not sells:
            return _initial(size, mark, fraction, 0.0)
        resting = {"position": size, "buy_orders": 0.0, "sell_orders": sells}
        return float(cross.perpetual_net_initial_usd(**resting, mark_price=mark, fraction=fraction))

    held = paradex_book.Held(coin="BTC", size=size, entry=first, mark=later, initial=fraction)
    account = paradex_book.perpetuals([held], wallet=cash)
    profit, value = account.profit, account.equity
    figures: dict[str, object] = {"imr0": initial(first), "imr1": initial(later), "upnl": profit, "value": value}
    for key, printed in case.expected.items():
        match = re.fullmatch(r"(offsetting|extra)_sell_([\d.]+)", key)
        if match is None:
            continue
        # The page states the open size that an order leads to; an offsetting order alone leads to none.
        opened = re.search(r"open size ([\d.]+)", str(printed))
        sells = size + float(opened.group(1)) if opened else float(match.group(2))
        passes = around.is_order_accepted(
            account_value_usd=value, initial_before_usd=initial(later), initial_after_usd=initial(later, sells)
        )
        figures[plain(key)] = "accepted" if passes else "rejected"
    return named(case, figures, spellings=SPELLINGS)


def _limit(case: Case, given: Inputs) -> Answer:
    buy, sell = around.order_room(position=_signed(given), limit=given.need("limit", "positionlimit", "maxposition"))
    return named(case, {"maxbuy": float(buy), "maxsell": float(sell)}, spellings=SPELLINGS)


def _cancelled(case: Case, given: Inputs) -> Answer:
    buys, sells = given.rows("buy", "buys", "buyorders"), given.rows("sells", "sell", "sellorders")
    sides = [("buy", 1.0, row) for row in buys] + [("sell", -1.0, row) for row in sells]
    orders = [around.ParadexOrder(size=sign * row[0], price=row[1]) for _, sign, row in sides]  # type: ignore[index]
    left = list(around.orders_kept(position=_signed(given), orders=orders))
    kept: dict[str, list[object]] = {"buy": [], "sell": []}
    cancelled: list[object] = []
    for (side, _, row), order in zip(sides, orders, strict=True):
        if order in left:
            left.remove(order)
            kept[side].append(list(row))  # type: ignore[call-overload]
        else:
            cancelled.append([side, *row])  # type: ignore[misc]
    figures = {"keptsells": kept["sell"], "keptbuys": kept["buy"], "cancelled": cancelled}
    return named(case, figures, spellings=SPELLINGS)


def _option(case: Case, given: Inputs) -> Answer:
    words = f"{case.product} {case.text} {given.value('underlying', 'market') or ''}"
    coin = re.search(r"\b(BTC|ETH|HYPE|CL|SOL|ZEC)\b", words)
    if coin is None:
        raise UnsupportedError("an option without its underlying: the factors differ by underlying")
    short = side_of(given.value("side")) == -1
    size = given.number(*POSITION) or 1.0
    initial, maintenance = paradex_book.option(
        coin=coin.group(1),
        size=-abs(size) if short else size,
        strike=given.need("strike"),
        is_call=str(given.value("type", "optiontype", "right")).lower().startswith("c"),
        mark=given.need(*MARK),
        spot=given.need("spot", "spotprice", "index"),
        # A figure without a stated fee is the requirement without the provision for it.
        fee=given.number("takerfee", "fee", "feerate") or 0.0,
    )
    return named(case, {"initial": initial, "maintenance": maintenance}, spellings=SPELLINGS)


def _socialised(case: Case, given: Inputs) -> Answer:
    factor = around.socialised_loss_factor(
        users_bankruptcy_usd=given.need(*BANKRUPTCY),
        insurance_fund_usd=given.number("insurancefund", "fund", "insurancefundusd", "insurance") or 0.0,
        total_usdc=given.need("totalusdc", "total", "totaldeposits", "deposits", "totalusdcbalance"),
    )
    return named(case, {"socialised": float(factor)}, spellings=SPELLINGS)


def _summary(case: Case, given: Inputs) -> Answer:
    value = given.need(*VALUE)
    figures: dict[str, object] = {}
    missing = {"value": "the account value is an input of this comparison"}
    initial, required, usdc = given.number(*IMR), given.number(*MMR), given.number("totalcollateral", "usdc")
    if initial is not None and usdc is not None:
        free = around.free_collateral_usd(account_value_usd=value, initial_usd=initial, usdc_usd=usdc)
        figures["free"] = float(free)
    if required is not None and value > 0:
        # The venue's margin ratio is maintenance over account value.
        figures["ratio"] = required / value
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def _row(case: Case, given: Inputs) -> Answer:
    """Return the figures of a position row: its value at the entry, in USDC and in USD, and its profit."""
    size, entry = _signed(given), given.need("averageentryprice", "entry", "entryprice")
    mark, usd = given.number(*MARK), given.number("averageentrypriceusd")
    fraction, fee = given.number(*INITIAL), given.number("takerfee", "fee")
    coin = _coin(given.value("market", "symbol"))

    def position(entered: float, seen: float) -> paradex_book.Account:
        # The rate does not enter the figures of a row without an initial fraction; 0 needs no table of the coin.
        held = paradex_book.Held(
            coin=coin,
            size=size,
            entry=entered,
            mark=seen,
            initial=fraction,
            maintenance=None if fraction is not None else 0.0,
        )
        return paradex_book.perpetuals([held], fee=fee or 0.0)

    # Valued at its entry a position is worth what it cost.
    figures: dict[str, object] = {"cost": position(entry, entry).notional}
    if usd is not None:
        figures["costusd"] = position(usd, usd).notional
    missing = {"liquidation_price": "the account behind the position is not in the payload"}
    if mark is None:
        missing["upnl"] = "neither a mark price nor the funding inside the printed profit is in the payload"
    else:
        own = position(entry, mark)
        figures["upnl"] = own.profit
        if fraction is not None and fee is not None:
            figures["initial"] = own.initial
            figures |= _maintenance(given, size, mark, fee)
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def _signed(given: Inputs) -> float:
    size, direction = given.need(*POSITION), side_of(given.value("side"))
    return size if direction is None else direction * abs(size)


BANKRUPTCY = (
    *("bankruptcy", "usersbankruptcy", "bankruptcyamount", "usersbankruptcyamount", "bankruptcies", "losses"),
    *("usersbankruptcyusd", "userbankruptcy", "userbankruptcies", "usersbankruptcies", "totalbankruptcy"),
)
# Input keys by which a family is known, the most telling first: one of each group must be there.
_FAMILIES = (
    ((("strike",), ("spot", "spotprice", "index")), _option),
    ((BANKRUPTCY,), _socialised),
    ((("deltas",),), _delta_floor),
    ((("mark0",), ("mark1",)), _order_check),
    ((("limit", "positionlimit", "maxposition"), POSITION), _limit),
    ((("positions",), ("mmf", "maintenancemarginfraction")), _partial),
    ((("averageentryprice", "entry", "entryprice"), POSITION), _row),
    ((VALUE, IMR + MMR), _summary),
    ((("buyorders", "sellorders"), (*MARK, *INITIAL)), _orders),
    ((("buy", "buys", "sell", "sells"), POSITION), _cancelled),
    ((POSITION, MARK), _orders),
)
