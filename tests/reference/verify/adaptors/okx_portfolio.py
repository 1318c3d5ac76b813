"""OKX portfolio margin: charges of a risk unit, their aggregation, and the account with borrowed coins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from margincover.venues.okx import multi_currency as multi
from margincover.venues.okx import portfolio
from margincover.venues.parameters import ANY_UNDERLYING, parameters
from tests.reference.verify.adaptors import okx_book
from tests.reference.verify.adaptors.named import Inputs, inputs_of, named
from tests.reference.verify.answer import Answer
from tests.reference.verify.cases import Case, UnsupportedError
from tests.reference.verify.facts import as_number

AT = datetime(2025, 6, 1, tzinfo=UTC)
CHARGES = ("mr1", "mr2", "mr3", "mr4", "mr5", "mr6", "mr7", "mr9")
TOTALS = {
    "mmr": "mmr mm maintenancemargin totalmmr mmrafter",
    "imr": "imr im initialmargin totalimr",
    "ratio": "mgnratio marginratio ratio",
    "mr7": "mr7 mr7adj mr7adjusted mr7scaled",
    "mr9": "mr9",
    "base": "impliedbaseprice impliedbase baseprice",
    "equity": "ccyequityusdt ccyequity equityusdt",
    "equsd": "equsd equityusd",
    "borrowmmr": "borrowmmr borrowmm",
    "borrowimr": "borrowimr borrowim",
}


def answer(case: Case) -> Answer:
    """Return the figures of a portfolio-margin case.

    Raises
    ------
    UnsupportedError
        If its inputs hold none of the parts that have a rule.
    """
    given = inputs_of(case, nested=False)
    figures: dict[str, object] = {}
    figures |= _captured(given)
    figures |= _scaling(given)
    figures |= _stablecoins(given)
    figures |= _states(given)
    figures |= _unit(case, given)
    figures |= _base(given)
    figures |= _account(case, given)
    if not figures:
        raise UnsupportedError(f"portfolio margin inputs without a part that has a rule ({', '.join(given.names())})")
    return named(case, figures, spellings=TOTALS)


def _rule(underlying: str) -> portfolio.RiskUnitParameters:
    edition = parameters("okx", mode="portfolio_margin", underlying=underlying, at=AT)
    return portfolio.RiskUnitParameters.from_mapping(edition.values, source=edition.id)


def _captured(given: Inputs) -> dict[str, object]:
    """Return ratio and initial margin of a captured account without liabilities: no fee enters its ratio."""
    adjusted, maintenance = given.number("adjeq"), given.number("mmr")
    if adjusted is None or maintenance is None:
        return {}
    owed = abs(given.number("liability", "liab", "liabusd", "borrowfroz") or 0.0)
    if owed:
        raise UnsupportedError("a captured portfolio account that owes, without the terms of its loan")
    status = okx_book.portfolio_total(adjusted, maintenance=maintenance)
    return {
        "ratio": status.coverage_ratio,
        "imr": status.initial_native,
        "availeq": float(multi.available_usd(status.equity_native, initial_usd=status.initial_native or 0.0)),
    }


def _scaling(given: Inputs) -> dict[str, object]:
    raw, tiers = given.number("mr7raw", "mr7", "rawmr7"), given.rows("tiers", "ladder", "scaling", "multipliers")
    if raw is None or not tiers:
        return {}
    scaling = portfolio.ScalingParameters.from_mapping({"ladder": tiers}, source="the case")
    scaled = float(portfolio.scaled_minimum_charge(raw, scaling))
    figures: dict[str, object] = {"mr7": scaled}
    if (total := given.number("mrsum", "mr16", "mrtotal", "summr16")) is not None:
        for name, minimum in (("mmrbefore", raw), ("mmrafter", scaled), ("mmr", scaled)):
            figures[name] = float(portfolio.unit_maintenance(_charges(mr1=total, mr7=minimum)))
    return figures


def _charges(**stated: float) -> portfolio.UnitCharges:
    return portfolio.UnitCharges(**{name: stated.get(name, 0.0) for name in CHARGES})


def _stablecoins(given: Inputs) -> dict[str, object]:
    """Return MR9 of slices that are stated by their widths."""
    rows = given.rows("slices", "mr9slices")
    pairs = [(as_number(row[0]), as_number(row[1])) for row in rows if isinstance(row, list) and len(row) == 2]
    if not pairs:
        return {}
    edges, ladder = 0.0, []
    for width, rate in pairs:
        ladder.append([edges, rate])
        edges += width or 0.0
    rule = portfolio.StablecoinParameters.from_mapping({"ladder": ladder}, source="the case")
    return {"mr9": float(portfolio.stablecoin_charge(edges, rule))}


def _states(given: Inputs) -> dict[str, object]:
    """Return the maintenance of unit states that are stated by their charges."""
    figures: dict[str, object] = {}
    for layer in given.layers:
        for name, row in layer.items():
            state = Inputs(row) if isinstance(row, Mapping) else Inputs()
            stated = {charge: number for charge in CHARGES if (number := state.number(charge)) is not None}
            if not stated:
                continue
            # "mr1_6" is the sum of the first six charges, "others" that of those that are not named.
            rest = (state.number("mr16") or 0.0) + (state.number("others", "other") or 0.0)
            stated["mr5"] = stated.get("mr5", 0.0) + rest
            figures[f"mmr{name.lower()}"] = float(portfolio.unit_maintenance(_charges(**stated)))
    return figures


def _unit(case: Case, given: Inputs) -> dict[str, object]:
    delta = given.number("absdeltausd", "deltausd", "absdelta", "delta")
    mr1 = given.number("mr1")
    if delta is None and mr1 is None:
        return {}
    match = re.search(r"unit (\w+)", case.account_mode) or re.search(r"(\w+)-USDT-SWAP", str(case.layers))
    underlying = match.group(1).upper() if match else "BTC"
    rule = _rule(underlying)
    charges: dict[str, float] = {name: number for name in CHARGES if (number := given.number(name)) is not None}
    figures: dict[str, object] = {}
    if (worst := given.number("mr6worstpnl", "extremepnl", "mr6pnl")) is not None:
        charges["mr6"] = float(portfolio.extreme_charge(pnl_down=worst, pnl_up=-worst, parameters=rule))
    if delta is not None:
        through_book = _booked(case, given, underlying, abs(delta), charges)
        if through_book is not None:
            return through_book
        charges |= _perpetual_charges(case, given, underlying, delta)
    if not {"mr1", "mr4", "mr7"} <= charges.keys():
        return {**figures, **charges}
    maintenance = portfolio.unit_maintenance(_charges(**charges))
    initial, _ = portfolio.account_margins(
        maintenance[None], borrow_initial_usd=0.0, borrow_maintenance_usd=0.0, parameters=rule
    )
    return {**charges, "mmr": float(maintenance), "imr": float(initial)}


def _booked(
    case: Case, given: Inputs, underlying: str, delta: float, stated: Mapping[str, float]
) -> dict[str, object] | None:
    """Return the figures of a unit of one perpetual as an account of a book; None where the case states other charges.

    The index follows from the stated loss at the extreme move, else from that of the grid, else it is the mark.
    """
    rule, usdt = _rule(underlying), given.number("usdtusd") or 1.0
    worst = given.number("mr6worstpnl", "extremepnl", "mr6pnl")
    index = delta
    if worst is not None:
        index = abs(worst) / rule.extreme_shock_fraction
    elif "mr1" in stated:
        index = stated["mr1"] / max(rule.price_shock_fraction)
    if any(stated.get(name) for name in ("mr2", "mr3", "mr5", "mr9")):
        return None
    _charge_rule(underlying)
    scaling = _scaling_rule(case, given, underlying)
    found = okx_book.unit_figures(underlying, delta=delta, index_usd=index, usdt_usd=usdt, scaling=scaling)
    if "mr1" in stated and abs(found["mr1"] - stated["mr1"]) > 1e-9 * found["mr1"]:
        return None
    if scaling is None:
        # The packaged ladder of such a coin is a bound, and so is what it leads to: MR1, MR4 and MR6 are figures.
        return {name: value for name, value in found.items() if name in ("mr1", "mr4", "mr6")}
    return dict(found)


def _charge_rule(underlying: str) -> portfolio.PerpetualChargeParameters:
    edition = parameters("okx", mode="portfolio_margin_perpetual", underlying=underlying, at=AT)
    if edition.underlying == ANY_UNDERLYING:
        raise UnsupportedError(f"portfolio margin of {underlying}: its charges are packaged as a bound only")
    return portfolio.PerpetualChargeParameters.from_mapping(edition.values, source=edition.id)


def _scaling_rule(case: Case, given: Inputs, underlying: str) -> portfolio.ScalingParameters | None:
    """Return the scaling of a coin: the packaged one, else the multiplier that the case states, else None."""
    edition = parameters("okx", mode="portfolio_margin_scaling", underlying=underlying, at=AT)
    values: Mapping[str, object] = edition.values
    if edition.underlying == ANY_UNDERLYING:
        stated = given.number("mr7multiplier", "multiplier")
        if stated is None and "multiplier 1" not in case.text.lower():
            return None
        values = {"ladder": [[0.0, stated or 1.0]]}
    return portfolio.ScalingParameters.from_mapping(values, source=case.id)


def _perpetual_charges(case: Case, given: Inputs, underlying: str, delta: float) -> dict[str, float]:
    rule = _charge_rule(underlying)
    raw = float(portfolio.perpetual_minimum_charge(delta, rule))
    found = {"mr4": float(portfolio.perpetual_basis_charge(delta, rule))}
    table = _scaling_rule(case, given, underlying)
    return found if table is None else {**found, "mr7": float(portfolio.scaled_minimum_charge(raw, table))}


def _base(given: Inputs) -> dict[str, object]:
    """Return the price that a stated MR1 was taken on: MR1 over the rule's own loss for a base of one dollar."""
    for layer in given.layers:
        for name, row in layer.items():
            held = Inputs(row) if isinstance(row, Mapping) else Inputs()
            size, mr1, shock = held.number("qty", "quantity"), held.number("mr1"), held.number("shock")
            if size is None or mr1 is None or shock is None:
                continue
            unit = -abs(size) * (given.number("usdtusd") or 1.0)
            one = portfolio.worst_loss(portfolio.linear_pnl([unit], shock_fraction=(-shock, shock)))[0]
            return {"base": mr1 / float(one), f"impliedbaseprice{name.lower()}": mr1 / float(one)}
    return {}


def _account(case: Case, given: Inputs) -> dict[str, object]:
    cash, units = given.number("simassetusdt", "cashusdt", "usdt"), given.number("derivmmr", "derivativesmmr")
    rows = given.rows("positions")
    if cash is None or units is None or not rows:
        return {}
    edition = parameters("okx", mode="borrow", underlying="USDT", at=AT)
    stated = {
        "initial_fraction": given.number("borrowimrrate"),
        "maintenance_fraction": given.number("borrowmmrrate"),
        "liquidation_fee_fraction": given.number("liqfeerateonliability", "liqfeerate"),
    }
    rule = multi.BorrowParameters.from_mapping(
        {**edition.values, **{key: value for key, value in stated.items() if value is not None}}, source=case.id
    )
    return dict(
        okx_book.portfolio_account(
            cash,
            legs=[_leg(row) for row in rows if isinstance(row, Mapping)],
            usdt_usd=given.number("usdtusd") or 1.0,
            units_usd=units,
            rates=rule,
        )
    )


def _leg(row: Mapping[str, object]) -> okx_book.Leg:
    named = [(name, as_number(value)) for name, value in row.items() if name.endswith(("SWAP", "FUTURES"))]
    facts = Inputs(row)
    symbol, contracts = named[0] if named else (str(facts.value("instid", "symbol") or "BTC-USDT-SWAP"), None)
    if contracts is None:
        contracts = facts.need("pos", "contracts", "qty")
    return okx_book.Leg(
        symbol=symbol,
        size=contracts * facts.need("ctval", "mult"),
        mark=facts.need("mark", "markpx"),
        entry=facts.need("avg", "avgpx", "entry"),
    )
