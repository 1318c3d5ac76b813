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
from tests.reference.verify.adaptors import derive_book
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
    rows = _option_rows(given)
    spot, perps = {}, []
    if rows:
        spot[coin] = given.need("spot", "index", coin.lower(), "eth", "btc")
    for key in given.names():
        amount = given.number(key)
        match = re.fullmatch(r"(btc|eth|sol|hype)perps?", key)
        if match and amount:
            name = match.group(1)
            price = spot[name.upper()] = given.need(f"{name}price", name, f"{name}index")
            profit = given.number(f"{name}perpupnl", "perpupnl") or 0.0
            perps.append(derive_book.PerpSpec(coin=name.upper(), quantity=amount, price=price, profit=profit))
    forward = given.number("forward", "fwd") or spot.get(coin, 0.0)
    # The margin of another market, given as a number, is money of the account.
    aside = sum(given.number(key) or 0.0 for key in given.names() if key.endswith("optionmargin"))
    rules = {name: standard_rules(given, name) for name in spot}
    spec = derive_book.SubaccountSpec(
        at=AT,
        cash=cash + aside,
        stable=given.number("usdcprice") or 1.0,
        spot=spot,
        options=[_option(coin, row, forward) for row in rows],
        perps=perps,
    )
    found = derive_book.standard(spec, rules)
    figures: dict[str, object] = {"initial": found.initial, "maintenance": found.maintenance}
    if rows:
        options = derive_book.standard(replace(spec, cash=0.0, perps=[]), {coin: rules[coin]})
        figures["offset"] = options.maintenance
        each = [alone(option, spot[coin], rules[coin]) for option in spec.options]
        figures["isolatedmaintenance"] = sum(part[0] for part in each)
        figures["isolatedinitial"] = sum(part[1] for part in each)
    missing = {"mtm": "a mark of the legs or of another market is not in the inputs"}
    return named(case, figures, spellings=SPELLINGS, missing=missing)


def alone(
    option: derive_book.OptionSpec, spot: float, rules: StandardParameters, at: datetime = AT
) -> tuple[float, float]:
    """Return net maintenance and initial margin of an account that holds one option and nothing else."""
    spec = derive_book.SubaccountSpec(at=at, cash=0.0, spot={option.coin: spot}, options=[option])
    found = derive_book.standard(spec, {option.coin: rules})
    return found.maintenance, found.initial


def _option(coin: str, row: tuple[bool, float, float, float | None], forward: float) -> derive_book.OptionSpec:
    is_call, strike, quantity, mark = row
    if mark is None and quantity < 0:
        raise UnsupportedError("the mark of a short option is not in the inputs")
    return derive_book.OptionSpec(
        coin=coin, strike=strike, is_call=is_call, quantity=quantity, forward=forward, mark=mark or None
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
