"""Derive's standard manager as its pages write it: cash, legs of one expiry, perpetuals, contingencies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from margincover.venues.derive import standard
from margincover.venues.derive.parameters import StandardParameters
from margincover.venues.derive.state import OptionLegs, StandardHolding, StandardState
from margincover.venues.parameters import parameters
from tests.reference.verify.adaptors.named import Inputs, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number

AT = datetime(2026, 3, 15, tzinfo=UTC)
FIRST = datetime(2026, 1, 21, tzinfo=UTC)
SPELLINGS = {
    "initial": "im initialmargin imtrunc imr netim initial",
    "maintenance": "mm maintenancemargin mmtrunc mmr netmm maintenance",
    "mtm": "mtm marktomarket mtmtrunc value",
    "isolatedinitial": "defaultim isolatedim",
    "isolatedmaintenance": "defaultmm isolatedmm",
    "offset": "offset maxlossoffset optionmargin",
    "forward": "forwardcontingency",
    "scenarios": "scenariolosses scenariopnl scenarios",
    "oracle": "oraclecontingency",
    "buffer": "buffermargin bm",
    "maxshare": "maxpercentage maxshare maxproportion fraction maxfraction maxliquidationshare",
    "cost": "cost bidcost price",
    "requiredcash": "requiredcash cashrequired",
    "withdrawal": "rate withdrawalfee fee feerate",
    "up": "multiplier volmultiplier upmultiplier",
    "upnl": "upnl unrealizedpnl unrealisedpnl",
}


def standard_rules(given: Inputs, coin: str, at: datetime = AT) -> StandardParameters:
    """Return the standard manager's packaged parameters with what the case states in their place."""
    edition = parameters("derive", mode="SM", underlying=coin, at=max(at, FIRST))
    maintenance = given.number("mm", "mmcall")
    stated = {
        "perp_initial_fraction": given.number("perpim", "imfraction"),
        "perp_maintenance_fraction": given.number("perpmm", "mmfraction"),
        "option_initial_max_fraction": given.number("immax", "maxspot"),
        "option_initial_min_fraction": given.number("immin", "minspot"),
        "call_maintenance_fraction": maintenance,
        "put_maintenance_fraction": given.number("mmput") or maintenance,
        "unpaired_initial_factor": given.number("unpairedim"),
        "unpaired_maintenance_factor": given.number("unpairedmm"),
        "depeg_threshold_fraction": given.number("depegthreshold", "threshold"),
        "depeg_factor": given.number("depegfactor"),
        "confidence_threshold_fraction": given.number("confthreshold"),
        "oracle_factor": given.number("ocfactor", "oraclefactor"),
    }
    numbers = {name: value for name, value in stated.items() if value is not None}
    return replace(StandardParameters.from_mapping(edition.values, source=edition.id), **numbers)


def account(case: Case, given: Inputs) -> Answer:
    """Return an account as the documentation's page writes it: cash, option legs of one expiry, perpetuals."""
    cash = given.number("usdc", "cash")
    if cash is None:
        raise UnsupportedError(f"no rule for these inputs of derive {case.product}: {', '.join(sorted(given.keys()))}")
    coin = next((c for c in ("BTC", "SOL", "HYPE") if f"{c} " in case.product), "ETH")
    rules, markets = standard_rules(given, coin), []
    figures: dict[str, object] = {}
    rows = _option_rows(given)
    if rows:
        holding, state = option_book(given, rows)
        alone = standard.isolated_option_margin(legs=holding.legs, state=state, parameters=rules)
        market = standard.market_margin(holding=holding, state=state, parameters=rules)
        figures["isolatedinitial"] = float(alone.initial_usd.sum())
        figures["isolatedmaintenance"] = float(alone.maintenance_usd.sum())
        figures["offset"] = float(market.maintenance_usd[0])
        markets.append(market)
    keys = given.keys()
    for key in keys:
        amount = given.number(key)
        if key.endswith("optionmargin") and amount is not None:
            # The margin of another market, given as a number.
            zero = np.array([amount])
            markets.append(standard.NetMargin(mark_to_market_usd=zero, maintenance_usd=zero, initial_usd=zero))
        match = re.fullmatch(r"(btc|eth|sol|hype)perps?", key)
        if match and amount is not None:
            markets.append(_perp(given, match.group(1), amount))
    margin = standard.account_margin(cash_usd=cash, markets=markets)
    figures |= {"initial": float(margin.initial_usd[0]), "maintenance": float(margin.maintenance_usd[0])}
    missing = {"mtm": "a mark of the legs or of another market is not in the inputs"}
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def _perp(given: Inputs, coin: str, quantity: float) -> standard.NetMargin:
    price = given.need(f"{coin}price", coin, f"{coin}index")
    pnl = np.array([given.number(f"{coin}perpupnl", "perpupnl") or 0.0])
    return standard.perp_margin(
        quantity=quantity, price=np.array([price]), pnl_usd=pnl, parameters=standard_rules(given, coin.upper())
    )


def _option_rows(given: Inputs) -> list[tuple[bool, float, float, float | None]]:
    """Return (is call, strike, quantity, mark or None) of every leg."""
    found: list[tuple[bool, float, float, float | None]] = []
    for row in given.rows("legs", "options"):
        if isinstance(row, Mapping):
            facts = Inputs(row)
            kind, numbers = str(facts.value("type", "kind", "call")), [facts.number("strike", "k")]
            numbers += [facts.number("qty", "quantity", "size", "amt", "amount"), facts.number("mark", "markprice")]
        else:
            kind = next(str(part) for part in row if isinstance(part, str))  # type: ignore[attr-defined]
            numbers = [as_number(part) for part in row if not isinstance(part, str)]  # type: ignore[attr-defined]
        strike, quantity = numbers[0], numbers[1]
        if strike is None or quantity is None:
            raise UnsupportedError(f"an option leg was {row!r}, not type, strike, quantity")
        mark = numbers[2] if len(numbers) > 2 else None
        mark = given.number(f"mark{strike:g}") if mark is None else mark
        found.append((kind.lower().startswith(("c", "true")), strike, quantity, mark))
    for key in ("shortcalls", "longcalls", "shortputs", "longputs"):
        quantity = given.number(key)
        if quantity is not None:
            sign = -1.0 if key.startswith("short") else 1.0
            found.append(("calls" in key, given.need("strike"), sign * abs(quantity), given.number("mark")))
    return found


def option_book(
    given: Inputs, rows: list[tuple[bool, float, float, float | None]]
) -> tuple[StandardHolding, StandardState]:
    spot = given.need("spot", "index", "eth", "btc")
    if any(mark is None and quantity < 0 for _, _, quantity, mark in rows):
        raise UnsupportedError("the mark of a short option is not in the inputs")
    legs = OptionLegs.of(
        expiry=[0] * len(rows),
        strike=[row[1] for row in rows],
        is_call=[row[0] for row in rows],
        quantity_contracts=[row[2] for row in rows],
    )
    state = StandardState.of(
        n_legs=len(rows),
        n_expiries=1,
        spot=spot,
        stable_price=given.number("usdcprice") or 1.0,
        forward=[[given.number("forward", "fwd") or spot]],
        # A long option's mark enters no margin; the mark to market is not answered here.
        mark=np.array([[row[3] or 0.0] for row in rows]),
        perp_price=0.0,
        perp_pnl_usd=0.0,
        spot_confidence=1.0,
        perp_confidence=1.0,
        option_confidence=[1.0] * len(rows),
    )
    return StandardHolding(legs=legs), state


def contingencies(case: Case, given: Inputs) -> Answer:
    """Return the page's contingencies of a perpetual in BTC and short calls in ETH; printed as negative amounts."""
    stable = given.number("usdcprice") or 1.0
    none = OptionLegs.of(expiry=[], strike=[], is_call=[], quantity_contracts=[])
    calls = given.number("shortethcalls") or 0.0
    short = OptionLegs.of(expiry=[0], strike=[given.need("eth")], is_call=[True], quantity_contracts=[-abs(calls)])
    figures: dict[str, object] = {}
    total, doubt = 0.0, 0.0
    for coin, legs, perp in (("eth", short, 0.0), ("btc", none, given.number("perp", "btcperp") or 0.0)):
        price = given.need(coin)
        n_legs = len(legs.strike)
        state = StandardState.of(
            n_legs=n_legs,
            n_expiries=1,
            spot=price,
            stable_price=stable,
            forward=[[price]],
            mark=np.zeros((n_legs, 1)),
            perp_price=price,
            perp_pnl_usd=0.0,
            spot_confidence=given.number("spotconf") or 1.0,
            perp_confidence=1.0 if coin == "eth" else given.need("perpconf"),
            option_confidence=[1.0] * n_legs,
        )
        holding, rules = StandardHolding(legs=legs, perp_quantity=perp), standard_rules(given, coin.upper())
        depeg = float(standard.depeg_contingency(holding=holding, state=state, parameters=rules)[0])
        oracle = float(standard.oracle_contingency(holding=holding, state=state, parameters=rules)[0])
        figures[f"depeg{coin}"] = -depeg
        doubt += oracle
        total += depeg + oracle
    figures["oracle"] = -doubt
    figures["initial"] = given.need("baseim") - total
    missing = {"maintenance": "the maintenance before the contingencies is not in the inputs"}
    base = given.number("basemm")
    if base is not None:
        # Contingencies enter initial margin only.
        figures["maintenance"] = base
    return named(case, figures, spellings=SPELLINGS, missing=missing)
